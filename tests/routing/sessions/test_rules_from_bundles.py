"""A session that takes its rules from signed bundles: verified before they decide, and the last good one goes on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.book import load
from engine.home import shipped_home
from engine.journal.events import RulebookLoaded, RulebookRefused
from engine.journal.reader import read
from engine.reload.bundle import Origin, build
from engine.reload.last_good import ColdStartError, LastGood
from engine.reload.pipeline import ProofAnswer
from engine.reload.read import read_home
from engine.reload.remote import Arrived, Failed, Remote
from engine.reload.status import read_status
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

    def start(self) -> Running:
        reload = ReloadOptions(gate="findings", address=self.bundle.absolute().as_uri(), keys=(KEY.public_key(),))
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
            if isinstance(polled, Arrived | Failed):
                await reloading.changes.take(remote, polled)
                return polled
            return None

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
