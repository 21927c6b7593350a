"""A session that takes its rules from signed bundles: verified before they decide, and the last good one goes on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.book import load
from engine.home import shipped_home
from engine.journal.events import RulebookLoaded, RulebookRefused, RulesSource
from engine.journal.reader import read
from engine.reload.bundle import Origin, build
from engine.reload.errors import ReloadError
from engine.reload.last_good import ColdStartError, LastGood
from engine.reload.pipeline import ProofAnswer
from engine.reload.read import read_home
from engine.reload.remote import Arrived, Failed, Remote
from engine.reload.requests import Answer, Request, new_id
from engine.reload.status import read_status
from engine.routing.evidence import rulebooks
from engine.routing.sessions.reloading.options import ReloadOptions, fetch_first
from engine.routing.sessions.start import JOURNAL, Running, open_embedded
from tests.reload.signing import KEY, OTHER
from tests.routing.markets import hand_made, options, quote


class Fleet:
    """A home, the bundle that is built from it, and a session that polls that bundle."""

    def __init__(self, folder: Path) -> None:
        self.home, self.bundle, self.logs = folder / "home", folder / "bundle.json", folder / "logs"
        for name in ("rules", "policies", "profiles"):
            shutil.copytree(shipped_home() / name, self.home / name)
        self.opened: list[Running] = []

    def publish(self, sequence: int, broken_bps: int = 50, key: Ed25519PrivateKey | None = KEY) -> str:
        """Build a bundle with this number in it; the version of its rulebook."""
        path = self.home / "profiles" / "testnet.yaml"
        path.write_text(
            (shipped_home() / "profiles" / "testnet.yaml")
            .read_text()
            .replace("broken_slippage_bps: {value: 50", f"broken_slippage_bps: {{value: {broken_bps}")
        )
        origin = Origin("Ada <ada@desk.example>", 1_700_000_000, sequence)
        self.bundle.write_bytes(build(read_home(self.home).files, "testnet", origin, key=key, gate="findings"))
        return load("testnet", self.home).version

    def start(self, keys: Sequence[Ed25519PrivateKey] = (KEY,)) -> Running:
        public = [key.public_key() for key in keys]
        reload = ReloadOptions(gate="findings", address=self.bundle.absolute().as_uri(), keys=public)
        given = options(self.logs, "testnet", telemetry="generated")
        fetched = asyncio.run(fetch_first(reload, "testnet", self.logs))
        market = hand_made([quote(0, 100.0, 100.02)])
        running = open_embedded(replace(given, home=self.home, reload=fetched), market)
        assert running.reloading is not None
        running.reloading.begin()
        self.opened.append(running)
        return running

    def poll(self, running: Running) -> Arrived | Failed | None:
        """The next poll, and what the session makes of it."""
        reloading = running.reloading
        assert reloading is not None
        remote = reloading.remote
        assert isinstance(remote, Remote)

        async def poll() -> Arrived | Failed | None:
            polled = await remote.poll()
            await reloading.changes.take(remote, polled)
            return polled if isinstance(polled, Arrived | Failed) else None

        return asyncio.run(poll())

    def refusals(self, running: Running) -> list[str]:
        running.desk.settle()
        return [event.reason for event in read(self.logs / JOURNAL) if isinstance(event, RulebookRefused)]


async def say_what_is_new(running: Running) -> None:
    """What a session does now and then."""
    assert running.reloading is not None
    running.reloading.in_force.say_what_is_new()
    await running.reloading.in_force.written()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    for running in made.opened:
        running.journal.close()


def test_a_session_begins_with_the_bundle_and_a_newer_one_decides(fleet: Fleet) -> None:
    first = fleet.publish(1)
    running = fleet.start()
    assert running.desk.book.version == first
    second = fleet.publish(2, broken_bps=45)
    assert isinstance(fleet.poll(running), Arrived)
    assert running.desk.book.version == second != first
    (loaded,) = [event for event in read(fleet.logs / JOURNAL) if isinstance(event, RulebookLoaded)]
    assert (loaded.how, loaded.who, loaded.rulebook) == ("bundle", "Ada <ada@desk.example>", second)
    status = read_status(fleet.logs)
    assert (status.sequence, status.version) == (2, second)
    assert fleet.poll(running) is None


def test_the_status_follows_what_the_address_confirms(fleet: Fleet) -> None:
    fleet.publish(1)
    running = fleet.start()
    reloading = running.reloading
    assert reloading is not None
    assert reloading.remote is not None
    fleet.publish(2, broken_bps=45)
    fleet.poll(running)
    for _ in range(2):
        asyncio.run(say_what_is_new(running))
        confirmed_ms = reloading.remote.confirmed_ms
        assert confirmed_ms is not None
        assert read_status(fleet.logs).confirmed_ms == confirmed_ms
        while reloading.remote.confirmed_ms == confirmed_ms:  # the clock goes on
            assert fleet.poll(running) is None


@pytest.mark.parametrize("part", [b'"author": "Ada', b'"version": "', b"value: 45", b'"sequence": 2'])
def test_a_bundle_that_was_tampered_with_anywhere_is_refused_and_what_ran_goes_on(fleet: Fleet, part: bytes) -> None:
    first = fleet.publish(1)
    running = fleet.start()
    fleet.publish(2, broken_bps=45)
    data = fleet.bundle.read_bytes()
    assert part in data
    changed = {b"value: 45": b"value: 46", b'"sequence": 2': b'"sequence": 3'}.get(part, part + b"0")
    fleet.bundle.write_bytes(data.replace(part, changed, 1))
    assert isinstance(fleet.poll(running), Failed)
    assert running.desk.book.version == first
    assert len(fleet.refusals(running)) == 1
    status = read_status(fleet.logs)
    assert status.attempt is not None
    assert status.attempt.verdict == "refused"


def test_an_older_bundle_comes_in_no_more_however_well_it_is_signed(fleet: Fleet) -> None:
    fleet.publish(5)
    old = fleet.bundle.read_bytes()
    fleet.publish(6, broken_bps=45)
    running = fleet.start()
    second = running.desk.book.version
    fleet.bundle.write_bytes(old)
    assert isinstance(fleet.poll(running), Failed)
    assert running.desk.book.version == second
    address = fleet.bundle.absolute().as_uri()
    (told,) = fleet.refusals(running)
    assert f"the bundle of `{address}` is refused: its sequence 5 is below 6, which ran here before" in told
    highest = LastGood(fleet.logs).highest("testnet")
    assert highest is not None
    assert highest.sequence == 6


@pytest.mark.parametrize("key", [None, OTHER])
def test_a_bundle_without_the_right_signature_is_refused(fleet: Fleet, key: Ed25519PrivateKey | None) -> None:
    first = fleet.publish(1)
    running = fleet.start()
    fleet.publish(2, broken_bps=45, key=key)
    assert isinstance(fleet.poll(running), Failed)
    assert running.desk.book.version == first


def test_a_first_bundle_that_is_unsigned_starts_nothing(fleet: Fleet) -> None:
    fleet.publish(1, key=None)
    with pytest.raises(ColdStartError, match="not signed"):
        fleet.start()


def test_an_address_that_gives_nothing_starts_on_what_ran_last(fleet: Fleet) -> None:
    first = fleet.publish(1)
    fleet.start().journal.close()
    fleet.opened.clear()
    shutil.rmtree(fleet.logs / JOURNAL)
    fleet.bundle.unlink()
    again = fleet.start()
    assert again.desk.book.version == first
    status = read_status(fleet.logs)
    assert (status.last_good, status.sequence) == (True, 1)
    held = LastGood(fleet.logs).of("testnet")
    assert held is not None
    assert (held.version, held.sequence) == (first, 1), "what stands in is remembered as it was"


def start_without_the_address(fleet: Fleet, *keys: Ed25519PrivateKey) -> Running:
    """Another session of the folder, while nothing can be had from the address."""
    for running in fleet.opened:
        running.journal.close()
    fleet.opened.clear()
    shutil.rmtree(fleet.logs / JOURNAL)
    fleet.bundle.unlink(missing_ok=True)
    return fleet.start(keys)


def test_what_a_key_signed_that_is_no_longer_trusted_starts_nothing(fleet: Fleet) -> None:
    first = fleet.publish(1)
    fleet.start()
    with pytest.raises(ColdStartError, match=rf"the last good one \({first}\) cannot be verified: it is signed by"):
        start_without_the_address(fleet, OTHER)
    assert fleet.start((OTHER, KEY)).desk.book.version == first, "with both keys while they change"


def test_what_never_came_in_a_signed_bundle_starts_nothing_where_a_key_is_configured(fleet: Fleet) -> None:
    unsigned = fleet.publish(1, key=None)
    assert fleet.start(()).desk.book.version == unsigned
    with pytest.raises(ColdStartError, match="came in no signed bundle that is kept here"):
        start_without_the_address(fleet, KEY)
    assert fleet.start(()).desk.book.version == unsigned, "nobody asks for a signature"


def test_it_is_said_where_came_from_what_stands_in_for_an_address_that_never_gave_it(fleet: Fleet) -> None:
    given = options(fleet.logs, "testnet", telemetry="generated", reload=ReloadOptions(gate="findings"))
    running = open_embedded(replace(given, home=fleet.home), hand_made([quote(0, 100.0, 100.02)]))
    fleet.opened.append(running)
    assert running.reloading is not None
    running.reloading.begin()
    start_without_the_address(fleet)
    status = read_status(fleet.logs)
    assert (status.last_good, status.came_from) == (True, str(fleet.home.absolute()))
    assert status.origin == fleet.bundle.absolute().as_uri()
    with pytest.raises(ColdStartError, match="came in no signed bundle"):
        start_without_the_address(fleet, KEY)


def test_a_bundle_that_was_changed_on_disk_vouches_for_nothing(fleet: Fleet) -> None:
    fleet.publish(1)
    fleet.start()
    (kept,) = (fleet.logs / "reload" / "bundles").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"value: 50", b"value: 51", 1))
    with pytest.raises(ColdStartError, match="cannot be verified: its signature does not fit"):
        start_without_the_address(fleet, KEY)


def test_what_was_rolled_back_to_is_verified_by_the_bundle_that_it_came_in(fleet: Fleet) -> None:
    first = fleet.publish(1)
    running = fleet.start()
    fleet.publish(2, broken_bps=45)
    assert isinstance(fleet.poll(running), Arrived)
    assert running.reloading is not None
    answer = asyncio.run(running.reloading.commands.answer(Request(id=new_id(), action="rollback")))
    assert answer.done, answer
    assert start_without_the_address(fleet, KEY).desk.book.version == first


def test_a_bundle_that_could_not_be_remembered_does_not_undo_a_rollback(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fleet.publish(1)
    running = fleet.start()
    assert running.reloading is not None
    fleet.publish(2, broken_bps=45)
    with monkeypatch.context() as patched:
        patched.setattr(LastGood, "remember", refuse)
        assert isinstance(fleet.poll(running), Arrived)
        answer = asyncio.run(running.reloading.commands.answer(Request(id=new_id(), action="rollback")))
        assert answer.done, answer
    assert isinstance(fleet.poll(running), Arrived), "it comes again, since it was not remembered"
    assert running.desk.book.version == first
    held, highest = LastGood(fleet.logs).of("testnet"), LastGood(fleet.logs).highest("testnet")
    assert (held is not None and held.version, highest is not None and highest.sequence) == (first, 2)
    fleet.publish(3, broken_bps=45)
    fleet.poll(running)
    assert running.desk.book.version != first, "a bundle of a higher sequence is meant"


def test_a_newer_bundle_that_says_the_same_is_the_one_that_decides(fleet: Fleet) -> None:
    fleet.publish(1)
    running = fleet.start()
    fleet.publish(2)
    assert isinstance(fleet.poll(running), Arrived)
    assert read_status(fleet.logs).sequence == 2


def test_a_bad_bundle_that_stays_is_said_once(fleet: Fleet) -> None:
    fleet.publish(1)
    running = fleet.start()
    fleet.publish(2, broken_bps=45, key=OTHER)
    for _ in range(3):
        assert isinstance(fleet.poll(running), Failed)
    assert len(fleet.refusals(running)) == 1


def test_a_bundle_that_fails_its_proofs_after_the_swap_is_not_remembered_as_good(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fleet.publish(1)
    running = fleet.start()
    reloading = running.reloading
    assert reloading is not None
    fails = ProofAnswer(0, fails=1)
    monkeypatch.setattr(reloading.changes, "proofs_first", lambda: False)
    monkeypatch.setattr(reloading.changes, "prover", lambda _: lambda _: fails)
    fleet.publish(2, broken_bps=45)
    assert isinstance(fleet.poll(running), Arrived)
    assert running.desk.book.version == first
    status = read_status(fleet.logs)
    assert (status.version, status.sequence) == (first, 1)
    highest = LastGood(fleet.logs).highest("testnet")
    assert highest is not None
    assert highest.sequence == 1


def test_a_bad_bundle_that_is_gone_again_is_the_last_change_no_more(fleet: Fleet) -> None:
    fleet.publish(1)
    running = fleet.start()
    fine = fleet.bundle.read_bytes()
    fleet.publish(2, broken_bps=45)
    assert isinstance(fleet.poll(running), Arrived)
    second = fleet.bundle.read_bytes()
    for _ in range(2):
        fleet.bundle.write_bytes(fine)
        assert isinstance(fleet.poll(running), Failed)
        refused = read_status(fleet.logs).attempt
        assert refused is not None
        assert refused.verdict == "refused"
        fleet.bundle.write_bytes(second)
        assert fleet.poll(running) is None
        attempt = read_status(fleet.logs).attempt
        assert attempt is not None
        assert attempt.verdict == "accepted"
    assert len(fleet.refusals(running)) == 2, "each time that it came"


def refuse(*_: object) -> None:
    raise ReloadError("no space left on device", "make room")


def test_a_sequence_that_is_not_remembered_is_in_the_status_until_it_is(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.publish(1)
    with monkeypatch.context() as patched:
        patched.setattr(LastGood, "remember", refuse)
        running = fleet.start()
        assert "no space" in read_status(fleet.logs).unwritten
    assert isinstance(fleet.poll(running), Arrived)
    assert read_status(fleet.logs).unwritten == ""
    fleet.publish(2, broken_bps=45)
    with monkeypatch.context() as patched:
        patched.setattr(LastGood, "remember", refuse)
        assert isinstance(fleet.poll(running), Arrived)
        assert "no space" in read_status(fleet.logs).unwritten
    assert isinstance(fleet.poll(running), Arrived)
    assert read_status(fleet.logs).unwritten == ""


def test_a_first_bundle_that_could_not_be_kept_is_asked_for_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fleet.publish(1)
    fleet.start().journal.close()
    fleet.opened.clear()
    shutil.rmtree(fleet.logs / JOURNAL)
    second = fleet.publish(2, broken_bps=45)
    with monkeypatch.context() as patched:
        patched.setattr(rulebooks, "_write", refuse)
        running = fleet.start()
    assert running.desk.book.version == first
    assert isinstance(fleet.poll(running), Arrived)
    assert running.desk.book.version == second


def test_an_address_that_fails_is_in_the_status_and_once_in_the_journal_until_it_answers(fleet: Fleet) -> None:
    fleet.publish(1)
    running = fleet.start()
    held = fleet.bundle.read_bytes()
    fleet.poll(running)
    fleet.bundle.unlink()
    for times in (1, 2, 3):
        assert isinstance(fleet.poll(running), Failed)
        told = read_status(fleet.logs).unavailable
        assert told is not None
        assert told.times == times
        assert "gives nothing: no such file" in told.what
    fleet.bundle.write_bytes(held)
    assert fleet.poll(running) is None
    status = read_status(fleet.logs)
    assert status.unavailable is None
    assert status.polls == {"new": 1, "same": 2, "failed": 3}
    running.desk.settle()
    moves = [event for event in read(fleet.logs / JOURNAL) if isinstance(event, RulesSource)]
    assert [(event.state, "gives nothing" in event.reason) for event in moves] == [("away", True), ("back", False)]


def test_after_a_rollback_the_status_says_that_the_address_has_another_version(fleet: Fleet) -> None:
    first = fleet.publish(1)
    running = fleet.start()
    second = fleet.publish(2, broken_bps=45)
    fleet.poll(running)
    reloading = running.reloading
    assert reloading is not None
    assert asyncio.run(reloading.commands.answer(Request(id="1", action="rollback"))).done
    status = read_status(fleet.logs)
    assert (status.version, status.offered) == (first, second)
    assert status.came_from == f"bundle 1 of {status.origin}"


def test_a_start_that_an_address_keeps_from_running_does_not_say_that_what_runs_goes_on(fleet: Fleet) -> None:
    with pytest.raises(ColdStartError, match="gives nothing") as refused:
        fleet.start()
    assert refused.value.help == "nothing runs: start it again once the address gives a bundle"


def ask(running: Running, action: Any, **given: Any) -> Answer:
    assert running.reloading is not None
    return asyncio.run(running.reloading.commands.answer(Request(id=new_id(), action=action, who="Ada", **given)))


def end(fleet: Fleet) -> None:
    for running in fleet.opened:
        running.journal.close()
    fleet.opened.clear()
    shutil.rmtree(fleet.logs / JOURNAL)


def test_a_rollback_goes_only_to_what_a_signed_bundle_vouches_for(fleet: Fleet) -> None:
    first = fleet.publish(1)
    fleet.start()
    end(fleet)
    unsigned = fleet.publish(2, broken_bps=47, key=None)
    fleet.start(())
    end(fleet)
    third = fleet.publish(3, broken_bps=45)
    running = fleet.start()
    answer = ask(running, "rollback", version=unsigned)
    assert not answer.done
    assert "came in no signed bundle that is kept here" in answer.line, "as a start says it"
    assert answer.help
    assert running.desk.book.version == third
    answer = ask(running, "rollback")
    assert answer.done, answer
    assert running.desk.book.version == first
    assert f"{unsigned} was passed over, since no signed bundle vouches for it" in answer.line


def test_where_no_signed_bundle_came_before_there_is_nothing_to_roll_back_to(fleet: Fleet) -> None:
    unsigned = fleet.publish(1, key=None)
    fleet.start(())
    end(fleet)
    second = fleet.publish(2, broken_bps=45)
    running = fleet.start()
    answer = ask(running, "rollback")
    assert not answer.done
    assert unsigned in answer.line
    assert running.desk.book.version == second
    end(fleet)
    assert ask(fleet.start(()), "rollback").done, "nobody asks for a signature"


@pytest.mark.parametrize("symbols", [[], ["BTCUSDT"]])
def test_a_candidate_that_came_in_no_signed_bundle_is_tried_and_never_decides(
    fleet: Fleet, symbols: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fleet.publish(1)
    running = fleet.start()
    fleet.publish(2, broken_bps=45)  # which nobody polls: the home says so alone
    candidate = f"{fleet.home}:testnet"
    assert ask(running, "shadow", candidate=candidate).done
    monkeypatch.setattr(running.desk, "against_candidate", lambda _: None)
    answer = ask(running, "promote", symbols=symbols)
    assert not answer.done
    assert "came in no signed bundle" in answer.line
    assert "`sluice bundle build --key`" in answer.help
    assert running.desk.book.version == first
    assert not running.desk.router.deciders.partial


def test_where_the_last_good_one_is_not_vouched_for_the_newest_that_is_stands_in(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.publish(1)
    fleet.start()
    end(fleet)
    second = fleet.publish(2, broken_bps=46)
    fleet.start()
    end(fleet)
    unsigned = fleet.publish(3, broken_bps=47, key=None)
    assert fleet.start(()).desk.book.version == unsigned
    running = start_without_the_address(fleet, KEY)
    assert running.desk.book.version == second
    status = read_status(fleet.logs)
    assert (status.last_good, status.sequence) == (True, 2)
    assert f"the last good one ({unsigned}) came in no signed bundle" in status.passed_over
    assert f"{second}, which was good before it, runs instead" in caplog.text
    fleet.publish(2, broken_bps=46)
    assert isinstance(fleet.poll(running), Failed), "the highest that ever ran stays remembered"
    highest = LastGood(fleet.logs).highest("testnet")
    assert highest is not None
    assert highest.sequence == 3
    fourth = fleet.publish(4, broken_bps=45)
    fleet.poll(running)
    assert running.desk.book.version == fourth
    assert read_status(fleet.logs).passed_over == ""


def test_what_was_rolled_back_does_not_stand_in(fleet: Fleet) -> None:
    unsigned = fleet.publish(1, key=None)
    running = fleet.start(())
    fleet.publish(2, broken_bps=46)
    fleet.poll(running)
    assert ask(running, "rollback").done
    with pytest.raises(ColdStartError, match=rf"the last good one \({unsigned}\) came in no signed bundle"):
        start_without_the_address(fleet, KEY)
