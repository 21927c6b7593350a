"""What other processes ask of a session: the way back."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from engine.backends.solver import turns
from engine.journal.events import RulebookLoaded, RulebookRefused
from engine.language.findings import Finding, Severity, Span
from engine.language.rulebook import Rulebook
from engine.reload.history import History
from engine.reload.pipeline import Pipeline, ProofAnswer, Refused
from engine.reload.read import read_home
from engine.reload.requests import Answer, Request, ask, new_id, take
from tests.routing.sessions.reloading.played import REFUTED, SLIPPAGE, Session, hold_up, side


def test_a_rollback_is_not_undone_by_a_change_that_was_looked_at_meanwhile(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit(*SLIPPAGE)
    session.save()
    session.edit("profiles/testnet.yaml", "broken_slippage_bps: {value: 45", "broken_slippage_bps: {value: 44")
    waits, goes_on = hold_up(session)

    async def both() -> Any:
        saved = asyncio.create_task(session.reloading.changes.consider(read_home(session.home).files, "files", "Ada"))
        await asyncio.to_thread(waits.wait, 60)
        answer = await session.reloading.commands.answer(Request(id=new_id(), action="rollback", who="Grace"))
        assert answer.done, answer
        goes_on.set()
        return await saved

    verdict = asyncio.run(both())
    assert session.running.desk.book.version == first
    assert isinstance(verdict, Refused)
    assert [finding.code for finding in verdict.findings] == ["reload.overtaken"]
    assert session.events(RulebookRefused)[-1].stage == "swap"


def test_what_cannot_run_the_session_is_not_rolled_back_to(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    session.edit(*SLIPPAGE)
    session.save()
    second = session.running.desk.book.version
    found = Finding("reload.unfit", Severity.ERROR, Span("profiles/testnet.yaml", 1, 1, 1, 2), "no `working`", "add it")
    changes = session.reloading.changes
    changes.pipeline = replace(changes.pipeline, fit=lambda _: [found])
    answer = session.ask("rollback")
    assert (answer.done, "no `working`" in answer.line, answer.help) == (False, True, "add it")
    assert session.running.desk.book.version == second


def test_a_rollback_after_a_rollback_goes_further_back_or_says_that_nothing_is_there(
    start: Callable[..., Session],
) -> None:
    session = start()
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit(*SLIPPAGE)
    session.save()
    second = session.running.desk.book.version
    session.edit("profiles/testnet.yaml", "broken_slippage_bps: {value: 45", "broken_slippage_bps: {value: 44")
    session.save()
    third = session.running.desk.book.version
    for decides, left in ((second, third), (first, second)):  # as two who ask at once are answered
        answer = session.ask("rollback")
        assert answer.line.startswith(f"testnet {decides} decides again, instead of {left}: ")
        assert session.running.desk.book.version == decides
    answer = session.ask("rollback")
    assert (answer.done, answer.line) == (False, f"nothing that may decide came before {first}")
    assert session.running.desk.book.version == first


def save_slippage(session: Session, was: int, now: int) -> str:
    """Save a change; the version that it makes."""
    name = "broken_slippage_bps: {value: "
    session.edit("profiles/testnet.yaml", f"{name}{was}", f"{name}{now}")
    session.save()
    return session.running.desk.book.version


def test_a_rollback_never_goes_to_what_was_withdrawn(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    first = session.running.desk.book.version
    save_slippage(session, 50, 45)
    assert session.ask("rollback").done
    save_slippage(session, 45, 44)
    assert session.ask("rollback").done
    assert session.running.desk.book.version == first


def test_of_two_who_roll_back_at_once_the_second_is_told(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    save_slippage(session, 50, 45)
    second = session.running.desk.book.version
    third = save_slippage(session, 45, 44)
    assert session.ask("rollback", decides=third).done
    answer = session.ask("rollback", decides=third)
    assert not answer.done
    told = rf"{third} does not decide any more: {second} does since [\d-]{{10}} [\d:]{{8}} UTC, by Ada \(rollback\)"
    assert re.fullmatch(told, answer.line)
    assert session.running.desk.book.version == second


@pytest.mark.parametrize("while_it", ["is asked", "reads the history", "compares"])
def test_a_rollback_is_refused_whenever_another_one_began_to_decide(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch, while_it: str
) -> None:
    session = start()
    session.reloading.begin()
    in_force = session.reloading.in_force
    before = in_force.book
    second = save_slippage(session, 50, 45)

    def then_takes_back(awaited: Callable[..., Any]) -> Callable[..., Any]:
        async def both(*given: Any) -> Any:
            answer = await awaited(*given)
            in_force.put(before, "return", "", "it is taken back")
            return answer

        return both

    if while_it == "is asked":
        in_force.put(before, "return", "", "it is taken back")
    for moment, name in (("reads the history", "entries"), ("compares", "change_to")):
        if while_it == moment:
            monkeypatch.setattr(in_force, name, then_takes_back(getattr(in_force, name)))
    answer = session.ask("rollback", decides=second)
    assert not answer.done
    assert answer.line.startswith(f"{second} does not decide any more: {before.version} does since ")
    assert [event.how for event in session.events(RulebookLoaded)] == ["files", "return"]


@pytest.mark.parametrize("named", [False, True])
def test_a_rollback_of_what_its_proofs_take_back_meanwhile_goes_no_further(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    session = start("prod", "proofs")
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit("profiles/base.yaml", "proofs_before_swap: true", "proofs_before_swap: false")
    session.save()
    second = session.running.desk.book.version
    session.edit(*REFUTED)
    looks, returned = threading.Event(), threading.Event()
    in_force = session.reloading.in_force

    def proves(rulebook: Rulebook) -> ProofAnswer:
        if rulebook.version in (first, second):  # which the rollback looks at
            looks.set()
            assert returned.wait(60)
            return ProofAnswer(1)
        assert looks.wait(60)
        return ProofAnswer(0, fails=1)

    async def both() -> Answer:
        saving = asyncio.create_task(session.reloading.changes.consider(read_home(session.home).files, "files", "Ada"))
        while in_force.book.version == second:  # noqa: ASYNC110 - nothing tells of a swap
            await asyncio.sleep(0.001)
        bad = in_force.book.version
        request = Request(id=new_id(), action="rollback", version=first if named else None, decides=bad)
        asking = asyncio.create_task(session.reloading.commands.answer(request))
        assert isinstance(await saving, Refused)
        returned.set()
        answer = await asking
        assert answer.line.startswith(f"{bad} does not decide any more: {second} does since ")
        return answer

    monkeypatch.setattr(session.reloading.changes, "prover", lambda _: proves)
    answer = asyncio.run(both())
    assert (answer.done, answer.line.endswith(", by return")) == (False, True)
    assert in_force.book.version == second


def test_what_an_invariant_is_against_is_passed_over_and_refused_by_name(start: Callable[..., Session]) -> None:
    session = start("prod", "none")
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit(*REFUTED)
    session.save()
    bad = session.running.desk.book.version
    session.edit("profiles/base.yaml", "probe.enabled: true", "probe.enabled: false")
    session.edit("profiles/base.yaml", "quality.degraded_ack_ms: 1500", "quality.degraded_ack_ms: 1400")
    session.save()
    third = session.running.desk.book.version
    assert len({first, bad, third}) == 3
    session.close()
    again = start("prod", "proofs")
    again.reloading.begin()
    named = again.ask("rollback", version=bad)
    assert (named.done, named.line.startswith(f"{bad} is refused: policies/routing.yaml:")) == (False, True)
    assert "[invariant.refuted]" in named.line
    assert again.running.desk.book.version == third
    refused = again.events(RulebookRefused)[-1]
    assert (refused.how, refused.rulebook, refused.stage) == ("rollback", bad, "proofs")
    plain = again.ask("rollback")
    assert plain.done, plain
    assert f"; {bad} was passed over, since an invariant fails" in plain.line
    assert again.running.desk.book.version == first


def test_a_rollback_asks_for_proofs_first_whatever_the_profile_says(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start("prod", "proofs")
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit("profiles/base.yaml", "proofs_before_swap: true", "proofs_before_swap: false")
    session.save()
    second = session.running.desk.book.version
    changes = session.reloading.changes
    monkeypatch.setattr(changes, "prover", lambda _: lambda _: ProofAnswer(0, unknown=1))
    answer = session.ask("rollback")
    assert (answer.done, answer.line.startswith(f"{first} is refused: ")) == (False, True)
    assert session.running.desk.book.version == second


def test_a_rollback_to_what_was_proved_waits_for_nobody_elses_proof(start: Callable[..., Session]) -> None:
    session = start("prod", "proofs")
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit("profiles/base.yaml", "quality.degraded_ack_ms: 1500", "quality.degraded_ack_ms: 1400")
    session.save()
    held, over = threading.Event(), threading.Event()

    def prove() -> None:
        with turns.turn():
            held.set()
            over.wait(60)

    other = threading.Thread(target=prove)
    other.start()
    try:
        assert held.wait(60)
        assert session.ask("rollback").done
        assert session.running.desk.book.version == first
        assert not over.is_set()
    finally:
        over.set()
        other.join()


def test_warnings_that_what_is_rolled_back_to_had_already_do_not_refuse_it(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    session.edit(*SLIPPAGE)
    session.save()
    changes = session.reloading.changes
    seen: list[bool] = []
    consider = Pipeline.consider

    def look(pipeline: Pipeline, *given: Any) -> Any:
        seen.append(pipeline.minds_warnings)
        return consider(pipeline, *given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Pipeline, "consider", look)
        assert session.ask("rollback").done
    assert changes.pipeline.minds_warnings
    assert seen == [False]


def test_a_rollback_does_not_wait_until_a_candidate_was_looked_at(candidate: Session) -> None:
    first = candidate.running.desk.book.version
    candidate.reloading.begin()
    candidate.edit(*SLIPPAGE)
    candidate.save()
    waits, goes_on = hold_up(candidate)

    async def asked(action: Any, **given: Any) -> Answer:
        return await asyncio.to_thread(ask, candidate.logs, Request(id=new_id(), action=action, **given))

    async def both() -> None:
        serving = asyncio.create_task(candidate.reloading.commands.serve())
        try:
            trying = asyncio.create_task(asked("shadow", candidate=side(candidate)))
            await asyncio.to_thread(waits.wait, 60)
            assert (await asked("rollback", version=first)).done
            assert candidate.running.desk.book.version == first
            assert not candidate.running.desk.tried.is_tried
            goes_on.set()
            assert (await trying).done
            assert candidate.running.desk.tried.is_tried
        finally:
            goes_on.set()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(both())


def test_a_rollback_decides_by_the_version_before_and_can_be_asked_for_by_name(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    first = session.running.desk.book.version
    session.edit(*SLIPPAGE)
    session.save()
    second = session.running.desk.book.version
    answer = session.ask("rollback")
    assert answer.done, answer
    assert session.running.desk.book.version == first
    assert session.versions(session.order()) == {first}
    assert session.ask("rollback", version=second[:8]).done
    assert session.running.desk.book.version == second
    assert "decides already" in session.ask("rollback", version=second).line
    assert not session.ask("rollback", version="ffffffff").done
    assert [entry.how for entry in History(session.logs).entries()] == ["start", "reload", "rollback", "rollback"]


def test_what_was_asked_of_an_earlier_session_is_not_done_by_the_next(start: Callable[..., Session]) -> None:
    session = start()
    folder = session.logs / "reload" / "requests"
    folder.mkdir(parents=True)
    request = Request(id=new_id(), action="rollback")
    (folder / f"{request.id}.json").write_bytes(msgspec.json.encode(request))
    session.reloading.begin()
    assert not list(take(session.logs))
    assert not folder.stat().st_mode & 0o007, "who may not read the journal's folder may not ask either"
