"""What is saved decides from the next decision on, or what ran goes on."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from engine.backends.solver import turns
from engine.book import load
from engine.home import shipped_home
from engine.journal.events import BreakerMoved, Decided, RulebookLoaded, RulebookRefused
from engine.language.load import read_files
from engine.language.rulebook import Rulebook
from engine.reload.errors import ReloadError
from engine.reload.history import History
from engine.reload.last_good import LastGood
from engine.reload.pipeline import Accepted, Pipeline, ProofAnswer, Refused, Unchanged, Verdict
from engine.reload.read import read_home
from engine.reload.requests import Request, new_id
from engine.reload.status import read_status
from tests.routing.markets import START_MS, SYMBOL
from tests.routing.sessions.reloading.played import OTHER, REFUTED, SLIPPAGE, Session, loaded


def test_a_saved_value_decides_from_the_next_decision_on(start: Callable[..., Session]) -> None:
    session = start()
    before = session.running.desk.book.version
    first = session.order()
    session.edit(*SLIPPAGE)
    verdict = session.save()
    second = session.order()
    assert isinstance(verdict, Accepted)
    assert session.versions(first) == {before}
    assert session.versions(second) == {verdict.book.version} == {load("testnet", session.home).version}
    (loaded,) = session.events(RulebookLoaded)
    assert (loaded.previous, loaded.rulebook, loaded.who, loaded.how) == (before, verdict.book.version, "Ada", "files")
    assert loaded.changed == "quality.broken_slippage_bps 50 bps → 45 bps"
    assert loaded.checks["past"]["decisions"] == 2
    status = read_status(session.logs)
    assert (status.version, status.generation) == (verdict.book.version, 1)


def touch(session: Session) -> Unchanged:
    """Save the home again as it is."""
    for path in session.home.rglob("*.yaml"):
        path.touch()
    verdict = session.save()
    assert isinstance(verdict, Unchanged)
    return verdict


def test_what_was_rolled_back_comes_back_by_a_change_and_not_by_the_same_files(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit(*SLIPPAGE)
    session.save()
    assert session.ask("rollback").done
    assert not touch(session).decides
    (session.home / "profiles" / "draft.yaml").write_text("profile: draft\n")
    assert isinstance(session.save(), Unchanged), "what this session does not run says nothing of it"
    assert session.running.desk.book.version == first
    attempt = read_status(session.logs).attempt
    assert attempt is not None
    assert attempt.verdict == "accepted", "what became of these files is told already"
    (session.home / "rules" / "quality.yaml").write_text("ruleset: [")
    assert isinstance(session.save(), Refused)
    shutil.copy(shipped_home() / "rules" / "quality.yaml", session.home / "rules" / "quality.yaml")
    assert not touch(session).decides
    attempt = read_status(session.logs).attempt
    assert attempt is not None
    assert (attempt.verdict, attempt.line) == ("unchanged", "it is as it was: what decides stays")
    assert session.running.desk.book.version == first
    session.edit("profiles/testnet.yaml", "broken_slippage_bps: {value: 45", "broken_slippage_bps: {value: 44")
    assert isinstance(session.save(), Accepted)
    assert session.running.desk.book.version == load("testnet", session.home).version


def test_what_a_session_began_with_comes_back_by_no_touch(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    session.edit(*SLIPPAGE)
    session.save()
    second = session.running.desk.book.version
    session.close()
    again = start()
    again.reloading.begin()
    assert again.ask("rollback").done
    assert not touch(again).decides
    assert again.running.desk.book.version != second


def test_files_that_were_refused_for_want_of_room_are_looked_at_again(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start()
    session.edit(*SLIPPAGE)

    def full(*_: object) -> None:
        raise ReloadError("no space left on device")

    changes = session.reloading.changes
    with monkeypatch.context() as patched:
        patched.setattr(changes, "pipeline", replace(changes.pipeline, keep=full))
        assert isinstance(session.save(), Refused)
    assert isinstance(session.save(), Accepted)


def test_a_touch_that_is_looked_at_while_somebody_rolls_back_is_neither_refused_nor_taken(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start()
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit(*SLIPPAGE)
    session.save()
    looked_at, goes_on = threading.Event(), threading.Event()
    consider = Pipeline.consider

    def slowly(pipeline: Pipeline, *given: Any) -> Verdict:
        verdict = consider(pipeline, *given)
        if isinstance(verdict, Unchanged):
            looked_at.set()
            assert goes_on.wait(60)
        return verdict

    async def both() -> Verdict:
        saved = asyncio.create_task(session.reloading.changes.consider(read_home(session.home).files, "files", "Ada"))
        await asyncio.to_thread(looked_at.wait, 60)
        answer = await session.reloading.commands.answer(Request(id=new_id(), action="rollback"))
        assert answer.done, answer
        goes_on.set()
        return await saved

    monkeypatch.setattr(Pipeline, "consider", slowly)
    verdict = asyncio.run(both())
    assert isinstance(verdict, Unchanged)
    assert not verdict.decides
    assert session.running.desk.book.version == first
    assert not session.events(RulebookRefused)


def test_what_could_not_be_proved_in_time_is_tried_again_by_a_touch(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start("prod", "proofs")
    set_proofs_after_the_swap(session)
    session.edit("profiles/base.yaml", "quality.degraded_ack_ms: 1500", "quality.degraded_ack_ms: 1400")
    with monkeypatch.context() as patched:
        patched.setattr(session.reloading.changes, "prover", lambda _: lambda _: ProofAnswer(0, unknown=1))
        assert isinstance(session.save(), Refused)
    assert isinstance(session.save(), Accepted)


def test_what_a_proof_took_back_decides_by_no_touch_again(start: Callable[..., Session]) -> None:
    session = start("prod", "proofs")
    good = set_proofs_after_the_swap(session)
    session.edit(*REFUTED)
    assert isinstance(session.save(), Refused)
    assert not touch(session).decides
    assert session.running.desk.book.version == good
    assert len(session.events(RulebookLoaded)) == 3
    status = read_status(session.logs)
    assert status.attempt is not None
    assert status.attempt.verdict == "refused"


def decided(session: Session) -> list[str]:
    """The versions that began to decide, in their order."""
    return [event.rulebook for event in session.events(RulebookLoaded)]


def test_what_a_proof_took_back_decides_by_no_other_comment_again(start: Callable[..., Session]) -> None:
    session = start("prod", "proofs")
    good = set_proofs_after_the_swap(session)
    session.edit(*REFUTED)
    assert isinstance(session.save(), Refused)
    bad = load("prod", session.home).version
    assert decided(session)[1:] == [bad, good]
    for number in range(2):
        with (session.home / "rules" / "sizing.yaml").open("a") as stream:
            stream.write(f"# {number}\n")
        refused = session.save()
        assert isinstance(refused, Refused)
        assert (refused.version, refused.stage, refused.is_refuted) == (bad, "proofs", True)
    assert decided(session)[1:] == [bad, good], "it decided once, and never since"


def test_what_a_proof_took_back_decides_in_no_later_session_before_it_is_proved(start: Callable[..., Session]) -> None:
    session = start("prod", "proofs")
    session.reloading.begin()
    good = set_proofs_after_the_swap(session)
    session.edit(*REFUTED)
    assert isinstance(session.save(), Refused)
    session.close()
    (session.home / "profiles").rename(session.home / "away")
    again = start("prod", "proofs")
    again.reloading.begin()
    assert again.running.desk.book.version == good
    before = decided(again)
    (session.home / "away").rename(session.home / "profiles")
    assert isinstance(again.save(), Refused)
    assert decided(again) == before
    again.edit("profiles/base.yaml", "quality.degraded_ack_ms: 1500", "quality.degraded_ack_ms: 1400")
    again.edit("profiles/base.yaml", "probe.enabled: true", "probe.enabled: false")
    assert isinstance(again.save(), Accepted), "what nobody doubts decides before its proofs"
    assert again.running.desk.book.version != good


def test_where_nobody_knows_what_failed_before_proofs_come_first(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start("prod", "proofs")
    good = set_proofs_after_the_swap(session)

    async def cannot() -> list[Any]:
        raise ReloadError("the history cannot be read")

    monkeypatch.setattr(session.reloading.in_force, "entries", cannot)
    session.edit(*REFUTED)
    assert isinstance(session.save(), Refused)
    assert decided(session) == [good]


def test_of_the_first_change_only_what_differs_is_written(start: Callable[..., Session]) -> None:
    session = start()
    session.edit(*SLIPPAGE)
    verdict = session.save()
    assert isinstance(verdict, Accepted)
    (kept,) = (session.logs / "rulebooks" / verdict.book.version).iterdir()
    alone = [str(path.relative_to(kept)) for path in kept.rglob("*.yaml") if path.stat().st_nlink == 1]
    assert alone == ["profiles/testnet.yaml"], "each file has an fsync of its own: a change waits for one"


def test_every_policy_decides_by_the_new_rulebook(start: Callable[..., Session]) -> None:
    session = start()
    session.edit(*SLIPPAGE)
    session.save()
    desk = session.running.desk
    held = (desk.router.book, desk.breakers._book, desk.autotune._book, desk.health._book)
    assert {book.version for book in held} == {load("testnet", session.home).version}


def test_broken_files_change_nothing_and_say_where(start: Callable[..., Session]) -> None:
    session = start()
    before = session.running.desk.book
    (session.home / "rules" / "quality.yaml").write_text("ruleset: [")
    verdict = session.save()
    assert isinstance(verdict, Refused)
    assert session.running.desk.book is before
    (refused,) = session.events(RulebookRefused)
    assert (refused.stage, refused.findings[0]["code"]) == ("load", "yaml.syntax")
    assert refused.findings[0]["at"].startswith("rules/quality.yaml:1:")
    status = read_status(session.logs)
    assert status.attempt is not None
    assert (status.version, status.attempt.verdict) == (before.version, "refused")
    assert session.versions(session.order()) == {before.version}


def test_what_breaks_an_invariant_is_refused_by_its_name(start: Callable[..., Session]) -> None:
    session = start("prod", "proofs")
    session.edit(*REFUTED)
    verdict = session.save()
    assert isinstance(verdict, Refused)
    assert verdict.stage == "proofs"
    assert any("no_probes" in finding.message for finding in verdict.findings)
    assert session.events(RulebookRefused)[0].findings[0]["code"] == "invariant.refuted"


def test_a_breaker_in_a_state_that_the_new_rules_do_not_know_is_closed_and_the_journal_says_so(
    start: Callable[..., Session],
) -> None:
    session = start()
    opened = BreakerMoved(
        ts_ms=START_MS, scope=SYMBOL, was="closed", state="half_open", rule="", reason="as it happens", pauses=True
    )
    session.running.desk.router.emit(opened)
    for name in ("policies/facts", "policies/breaker", "rules/breaker", "rules/maker_pause"):
        session.edit(f"{name}.yaml", "half_open", "trying")
    assert isinstance(session.save(), Accepted)
    moved = session.events(BreakerMoved)[-1]
    assert (moved.scope, moved.was, moved.state) == (SYMBOL, "half_open", "closed")
    assert session.running.desk.breakers.state(SYMBOL) == "closed"


def set_proofs_after_the_swap(session: Session) -> str:
    """Have changes decide before their proofs; the version that says so."""
    session.edit("profiles/base.yaml", "proofs_before_swap: true", "proofs_before_swap: false")
    accepted = session.save()
    assert isinstance(accepted, Accepted)
    return accepted.book.version


def test_a_profile_may_have_proofs_come_after_the_swap_and_what_fails_is_taken_back(
    start: Callable[..., Session], caplog: pytest.LogCaptureFixture
) -> None:
    session = start("prod", "proofs")
    good = set_proofs_after_the_swap(session)
    session.edit(*REFUTED)
    refused = session.save()
    assert isinstance(refused, Refused), "it decided for a while, and does no longer"
    assert [event.how for event in session.events(RulebookLoaded)] == ["files", "files", "return"]
    assert session.running.desk.book.version == good
    assert session.events(RulebookRefused)[0].stage == "proofs"
    status = read_status(session.logs)
    assert status.attempt is not None
    assert (status.version, status.attempt.verdict) == (good, "refused")
    taken_back = refused.version
    assert re.fullmatch(rf"{taken_back} decided for [\d.]+ s, and was taken back", status.attempt.taken_back)
    entries = History(session.logs).entries()
    assert [entry.how for entry in entries] == ["reload", "reload", "return"]
    assert (status.who, entries[-1].who) == ("", ""), "nobody asked for it"
    warned = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert len(warned) == 2
    assert warned[0].startswith(f"the change to {taken_back} is refused (proofs)")
    told = rf"rulebook prod {good} decides \(return\): {taken_back} decided for [\d.]+ s and is taken back, since"
    assert re.match(told, warned[1])


def test_what_a_proof_took_back_is_not_rolled_back_to(start: Callable[..., Session]) -> None:
    session = start("prod", "proofs")
    session.reloading.begin()
    first = session.running.desk.book.version
    good = set_proofs_after_the_swap(session)
    session.edit(*REFUTED)
    assert isinstance(session.save(), Refused)
    taken_back = History(session.logs).entries()[-2].version
    assert not session.ask("rollback", version=taken_back).done
    assert session.running.desk.book.version == good
    assert session.ask("rollback").done
    assert session.running.desk.book.version == first, "not what a proof refuted"


@pytest.mark.parametrize("proofs", [ProofAnswer(0, fails=1), ProofAnswer(1)])
def test_proofs_change_nothing_of_what_was_put_in_force_meanwhile(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch, proofs: ProofAnswer
) -> None:
    session = start("prod", "proofs")
    session.reloading.begin()
    first = session.running.desk.book.version
    set_proofs_after_the_swap(session)
    session.edit(*REFUTED)
    version = load("prod", session.home).version

    async def both() -> None:
        loop = asyncio.get_running_loop()

        def proves(rulebook: Rulebook) -> ProofAnswer:
            if rulebook.version != version:  # which is rolled back to
                return ProofAnswer(1)
            request = Request(id=new_id(), action="rollback", version=first)
            answer = asyncio.run_coroutine_threadsafe(session.reloading.commands.answer(request), loop)
            assert answer.result(60).done
            return proofs

        monkeypatch.setattr(session.reloading.changes, "prover", lambda _: proves)
        await session.reloading.changes.consider(read_home(session.home).files, "files", "Ada")

    asyncio.run(both())
    monkeypatch.setattr(session.reloading.changes, "prover", lambda _: lambda _: proofs)
    assert session.running.desk.book.version == first
    assert [event.how for event in session.events(RulebookLoaded)] == ["files", "files", "rollback"]
    good = LastGood(session.logs).of("prod")
    assert good is not None
    assert good.version == first
    answer = session.ask("rollback", version=version)
    assert (answer.done, "before its proofs" in answer.line) == (proofs.passed, not proofs.passed)


def test_what_decides_before_its_proofs_is_what_no_start_takes_until_they_pass(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start("prod", "proofs")
    session.reloading.begin()
    before = set_proofs_after_the_swap(session)
    seen: list[str] = []

    def proves(_: Rulebook) -> ProofAnswer:
        asyncio.run(session.reloading.in_force.written())
        good = LastGood(session.logs).of("prod")
        assert good is not None
        seen.extend((session.running.desk.book.version, good.version))
        return ProofAnswer(1)

    monkeypatch.setattr(session.reloading.changes, "prover", lambda _: proves)
    session.edit("profiles/base.yaml", "quality.degraded_ack_ms: 1500", "quality.degraded_ack_ms: 1400")
    session.save()
    now = session.running.desk.book.version
    assert seen == [now, before]
    good = LastGood(session.logs).of("prod")
    assert good is not None
    assert good.version == now != before
    assert session.ask("rollback").done
    assert session.ask("rollback", version=now).done, "it was proved"


@pytest.mark.parametrize(
    ("policy", "without", "told"),
    [
        ("admission", ("decides: [admit, ", "decides: ["), "the flag `admit`"),
        ("autotune", (" flip,", ""), "the flag `flip`"),
        ("suggest", ("suggested_bias_delta, ", ""), "the number `suggested_bias_delta`"),
    ],
)
def test_a_policy_that_leaves_out_what_a_session_asks_is_refused_and_ends_none(
    start: Callable[..., Session], policy: str, without: tuple[str, str], told: str
) -> None:
    session = start()
    before = session.running.desk.book.version
    path = session.home / "policies" / f"{policy}.yaml"
    head = path.read_text().partition("invariants:")[0]
    path.write_text(head.replace(*without).replace("reason: [admit, ", "reason: ["))
    verdict = session.save()
    assert isinstance(verdict, Refused)
    assert (verdict.stage, verdict.findings[0].code) == ("fit", "reload.unfit")
    assert told in verdict.line
    assert session.versions(session.order()) == {before}


def test_swaps_under_load_mix_no_versions_and_lose_no_intent(start: Callable[..., Session]) -> None:
    swaps = 100
    session = start()
    desk = session.running.desk
    first = desk.book.warm()
    session.edit("profiles/base.yaml", "proofs_before_swap: true", "proofs_before_swap: false")
    second = load("testnet", session.home).warm()
    wanted = {first.version: True, second.version: False}
    mixed, made, done = list[str](), list[int](), threading.Event()

    def work() -> None:
        """Decide as another thread does, such as that of the API: by the book in force."""
        count = 0
        while not done.is_set() or not count:
            record = desk.book.decide("rollout", {"now": 1.0, "symbol": None}).record()
            count += 1
            if record["decided"]["proofs_first"] is not wanted[record["rulebook"]]:
                mixed.append(record["rulebook"])
        made.append(count)

    async def loop() -> list[str]:
        intents = []
        for number in range(swaps):
            book = (second, first)[number % 2]
            desk.adopt(book, loaded(book))
            if number % 10 == 0:
                intents.append(session.order((SYMBOL, OTHER)[number // 10 % 2]))
            await asyncio.sleep(0)
        return intents

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        intents = asyncio.run(loop())
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert mixed == []
    assert all(made)
    assert len(session.events(RulebookLoaded)) == swaps
    first_ones = {policy: dict[str, str]() for policy in ("admission", "routing")}
    for event in session.events(Decided):
        if event.intent_id in intents and event.policy in first_ones:
            record = msgspec.json.decode(event.record)
            first_ones[event.policy].setdefault(event.intent_id, record["rulebook"])
    assert first_ones["admission"] == first_ones["routing"]
    assert list(first_ones["routing"]) == intents


def test_a_policy_that_does_not_say_what_the_session_asks_is_refused(start: Callable[..., Session]) -> None:
    session = start()
    session.edit("policies/rollout.yaml", "decides: [may_promote, may_stay,", "decides: [may_promote,")
    session.edit("policies/rollout.yaml", "reason: [may_promote, may_stay]", "reason: [may_promote]")
    verdict = session.save()
    assert isinstance(verdict, Refused)
    assert verdict.stage == "fit"
    assert "may_stay" in verdict.line


def test_breakers_and_windows_go_on_and_what_counts_otherwise_begins_anew(start: Callable[..., Session]) -> None:
    session = start()
    session.order()
    desk = session.running.desk
    before = {scope: (held["state"], held["since_ms"]) for scope, held in desk.breakers.checkpoint().items()}
    session.edit(*SLIPPAGE)
    session.save()
    after = {scope: (held["state"], held["since_ms"]) for scope, held in desk.breakers.checkpoint().items()}
    assert before == after != {}
    assert session.events(RulebookLoaded)[-1].begun_anew == []
    session.edit("profiles/base.yaml", "quality.degraded_ack_ms: 1500", "quality.degraded_ack_ms: 1400")
    session.save()
    assert session.events(RulebookLoaded)[-1].begun_anew == ["slow_acks_60s"]


def test_a_profile_that_cannot_route_is_refused(start: Callable[..., Session]) -> None:
    session = start()
    session.edit("profiles/testnet.yaml", "policies: [admission, routing, working,", "policies: [admission, routing,")
    verdict = session.save()
    assert isinstance(verdict, Refused)
    assert session.running.desk.book.profile == "testnet"


def test_a_proof_is_asked_for_again_unless_its_own_session_ends(start: Callable[..., Session]) -> None:
    session = start("testnet", "proofs")
    assert session.running.reloading is not None
    files = read_files(session.home)
    prove = session.running.reloading.changes.prover(files)
    assert prove is not None
    turns.stop()
    assert prove(session.running.desk.book.rulebook).unknown == 0
    session.running.reloading.stop_proving()
    assert prove(session.running.desk.book.rulebook).unknown == 1
