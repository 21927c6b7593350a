"""A running session and other rulebooks: what is saved decides from the next decision on, or what ran goes on."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from engine.backends.solver import turns
from engine.book import Book, load
from engine.home import shipped_home
from engine.journal.events import (
    CandidateMoved,
    Decided,
    Event,
    Outcome,
    RulebookLoaded,
    RulebookRefused,
    SessionStarted,
    ShadowDecided,
)
from engine.journal.reader import read
from engine.language.load import read_files
from engine.market import Quote
from engine.reload.errors import ReloadError
from engine.reload.history import History
from engine.reload.last_good import ColdStartError
from engine.reload.pipeline import Accepted, Gate, Refused, Unchanged
from engine.reload.read import Reading, read_home
from engine.reload.requests import ANSWERS, Answer, Request, ask, new_id, take
from engine.reload.status import is_running, read_status
from engine.routing.intents import Intent
from engine.routing.sessions.desk import Desk
from engine.routing.sessions.reloading import beside as going_on
from engine.routing.sessions.reloading import changes, commands, in_force
from engine.routing.sessions.reloading.beside import Reloading
from engine.routing.sessions.reloading.options import ReloadOptions
from engine.routing.sessions.start import JOURNAL, PAPER, Running, open_embedded
from engine.venues.paper import PaperVenue
from tests.routing.markets import START_MS, SYMBOL, hand_made, options

E = TypeVar("E", bound=Event)
OTHER = "ETHUSDT"


class Session:
    """A session that a test plays quote by quote, over a home that it edits."""

    def __init__(self, folder: Path, profile: str = "testnet", gate: Gate = "findings") -> None:
        self.home = folder / "home"
        if not self.home.exists():
            for name in ("rules", "policies", "profiles"):
                shutil.copytree(shipped_home() / name, self.home / name)
        self.logs = folder / "logs"
        self.profile = profile
        self.gate = gate
        self.now_ms = START_MS
        self.count = 0
        self.running: Running = self.open()

    def open(self) -> Running:
        market = hand_made([Quote(symbol, START_MS, 100.0, 100.02, 500.0, 500.0) for symbol in (SYMBOL, OTHER)])
        given = options(self.logs, self.profile, telemetry="generated", reload=ReloadOptions(gate=self.gate))
        chosen = replace(given, home=self.home)
        running = open_embedded(chosen, market)
        book = running.desk.book
        running.desk.router.emit(
            SessionStarted(
                ts_ms=START_MS,
                profile=book.profile,
                rulebook=book.version,
                sources=book.rulebook.sources_digest,
                venue="paper",
                market="hand-made",
                nav_usd=1e6,
                settings={PAPER: {}},
            )
        )
        running.desk.start(START_MS)
        return running

    @property
    def reloading(self) -> Reloading:
        assert self.running.reloading is not None
        return self.running.reloading

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.home / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def save(self) -> Accepted | Refused | Unchanged:
        """What becomes of the home as it is now."""
        return asyncio.run(self.reloading.changes.consider(read_home(self.home).files, "files", "Ada"))

    def ask(self, action: Any, **given: Any) -> Answer:
        request = Request(id=new_id(), action=action, who="Ada", **given)
        return asyncio.run(self.reloading.commands.answer(request))

    def order(self, symbol: str = SYMBOL, **facts: Any) -> str:
        """A quote, and an intent that asks to rest; the id of the intent."""
        desk, self.now_ms = self.running.desk, self.now_ms + 1000
        assert isinstance(desk.venue, PaperVenue)
        quote = Quote(symbol, self.now_ms, 100.0, 100.02, 500.0, 500.0)
        desk.venue.see(quote)
        desk.see(quote)
        self.count += 1
        intent = {
            "side": "buy",
            "qty": 2.0,
            "order_type": "market",
            "maker_requested": True,
            "maker_price": 100.0,
            "maker_qty": 2.0,
            "reduce_only": False,
            **facts,
        }
        intent_id = f"i{self.count}"
        desk.router.on_request(Intent(intent_id, symbol, intent, None, None), self.now_ms)
        desk.settle()
        desk.hear(self.now_ms + 900)
        desk.settle()
        return intent_id

    def events(self, kind: type[E]) -> list[E]:
        self.running.desk.settle()
        return [event for event in read(self.logs / JOURNAL) if isinstance(event, kind)]

    def versions(self, intent_id: str) -> set[str]:
        """The rulebooks that decided an intent."""
        mine = [event for event in self.events(Decided) if event.intent_id == intent_id]
        return {msgspec.json.decode(event.record)["rulebook"] for event in mine}

    def close(self) -> None:
        self.running.journal.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    opened: list[Session] = []

    def begin(*args: Any) -> Session:
        opened.append(Session(tmp_path, *args))
        return opened[-1]

    yield begin
    for session in opened:
        session.close()


SLIPPAGE = ("profiles/testnet.yaml", "broken_slippage_bps: {value: 50", "broken_slippage_bps: {value: 45")


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
    session.edit("profiles/base.yaml", "probe.enabled: false", "probe.enabled: true")
    verdict = session.save()
    assert isinstance(verdict, Refused)
    assert verdict.stage == "proofs"
    assert any("no_probes" in finding.message for finding in verdict.findings)
    assert session.events(RulebookRefused)[0].findings[0]["code"] == "invariant.refuted"


def test_a_profile_may_have_proofs_come_after_the_swap_and_what_fails_is_taken_back(
    start: Callable[..., Session],
) -> None:
    session = start("prod", "proofs")
    session.edit("profiles/base.yaml", "proofs_before_swap: true", "proofs_before_swap: false")
    accepted = session.save()
    assert isinstance(accepted, Accepted)
    session.edit("profiles/base.yaml", "probe.enabled: false", "probe.enabled: true")
    refused = session.save()
    assert isinstance(refused, Refused), "it decided for a while, and does no longer"
    assert [event.how for event in session.events(RulebookLoaded)] == ["files", "files", "return"]
    assert session.running.desk.book.version == accepted.book.version
    assert session.events(RulebookRefused)[0].stage == "proofs"
    status = read_status(session.logs)
    assert status.attempt is not None
    assert (status.version, status.attempt.verdict) == (accepted.book.version, "refused")
    assert [entry.how for entry in History(session.logs).entries()] == ["reload", "reload", "return"]


def loaded(book: Book) -> RulebookLoaded:
    version, sources = book.version, book.rulebook.sources_digest
    return RulebookLoaded(ts_ms=0, profile=book.profile, rulebook=version, sources=sources)


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


def hold_up(session: Session) -> tuple[threading.Event, threading.Event]:
    """Have the next change wait before its dry run: set when it does, and to be set for it to go on."""
    waits, goes_on = threading.Event(), threading.Event()

    def past() -> tuple[()]:
        waits.set()
        assert goes_on.wait(60)
        return ()

    looking = session.reloading.changes
    looking.pipeline = replace(looking.pipeline, past=past)
    return waits, goes_on


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


def test_a_policy_that_does_not_say_what_the_session_asks_is_refused(start: Callable[..., Session]) -> None:
    session = start()
    session.edit("policies/rollout.yaml", "decides: [may_promote, may_stay,", "decides: [may_promote,")
    session.edit("policies/rollout.yaml", "reason: [may_promote, may_stay]", "reason: [may_promote]")
    verdict = session.save()
    assert isinstance(verdict, Refused)
    assert verdict.stage == "fit"
    assert "may_stay" in verdict.line


def test_a_full_disk_keeps_nobody_from_deciding_by_what_was_saved(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = start()

    def full(*_: object) -> None:
        raise ReloadError("no space left on device")

    monkeypatch.setattr(in_force, "write_status", full)
    monkeypatch.setattr(History, "add", full)
    session.edit(*SLIPPAGE)
    assert isinstance(session.save(), Accepted)
    assert session.running.desk.book.version == load("testnet", session.home).version
    session.save()
    assert len([record for record in caplog.records if "no space" in record.getMessage()]) == 2, "once of each file"


def test_a_session_that_is_over_or_was_killed_decides_no_longer(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    running = read_status(session.logs)
    assert is_running(running)
    assert not is_running(msgspec.structs.replace(running, process=2**22 + 1)), "there is no such process"
    assert is_running(msgspec.structs.replace(running, process=2**22 + 1, host="elsewhere")), "who knows"
    session.reloading.in_force.end()
    ended = read_status(session.logs)
    assert ended.ended_ms is not None
    assert not is_running(ended)


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
    assert not session.ask("rollback", version="ffffffff").done
    assert [entry.how for entry in History(session.logs).entries()] == ["start", "reload", "rollback", "rollback"]


# --- candidates ------------------------------------------------------------------------------------------------------


@pytest.fixture
def candidate(start: Callable[..., Session], tmp_path: Path) -> Session:
    """A session, and beside its home a candidate that calls nearly every tier broken."""
    session = start()
    shutil.copytree(session.home, tmp_path / "other")
    path = tmp_path / "other" / "profiles" / "testnet.yaml"
    text = path.read_text()
    path.write_text(text.replace("broken_slippage_bps: {value: 50", "broken_slippage_bps: {value: 8"))
    return session


def side(session: Session) -> str:
    return f"{session.home.parent / 'other'}:testnet"


def test_a_candidate_decides_beside_and_nothing_of_it_is_executed(candidate: Session) -> None:
    active = candidate.running.desk.book.version
    assert candidate.ask("shadow", candidate=side(candidate)).done
    intent_id = candidate.order()
    assert candidate.versions(intent_id) == {active}
    compared = candidate.events(ShadowDecided)
    assert [event.policy for event in compared] == ["admission", "routing"]
    assert {event.rulebook for event in compared} == {load("testnet", candidate.home.parent / "other").version}
    record = msgspec.json.decode(compared[1].record)
    assert record["rulebook"] == compared[1].rulebook
    facts = candidate.running.desk.tried.facts()
    assert facts is not None
    assert facts["decided_beside"] == 1.0


def test_divergences_are_counted_by_name_and_rule_with_examples(candidate: Session) -> None:
    path = candidate.home.parent / "other" / "profiles" / "base.yaml"
    path.write_text(path.read_text().replace("hard_gates.max_spread_bps: 12", "hard_gates.max_spread_bps: 1"))
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(3):
        candidate.order()
    found = candidate.running.desk.tried.divergences
    routed = [event for event in candidate.events(ShadowDecided) if event.policy == "routing"]
    assert found.decided == len(routed) == 3
    assert found.by_rule["hard_gates.spread_too_wide"] == sum(
        "hard_gates.spread_too_wide" in event.rules for event in routed
    )
    assert found.by_rule["hard_gates.spread_too_wide"] == 3
    status = read_status(candidate.logs)
    assert status.candidate is not None
    assert status.candidate.state == "shadow"


def test_a_candidate_is_promoted_only_once_the_rules_are_for_it(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.order()
    refused = candidate.ask("promote")
    assert not refused.done
    assert "promotion.not_tried" in refused.line
    for _ in range(50):
        candidate.order()
    answer = candidate.ask("promote")
    assert answer.done, answer
    assert candidate.running.desk.book.version == load("testnet", candidate.home.parent / "other").version
    assert candidate.events(RulebookLoaded)[-1].how == "promote"
    assert candidate.events(CandidateMoved)[-1].state == "promoted"
    assert not candidate.running.desk.tried.is_tried


def test_without_a_candidate_there_is_nothing_to_promote_or_end(start: Callable[..., Session]) -> None:
    session = start()
    assert not session.ask("promote").done
    assert not session.ask("end").done


def test_a_candidate_of_another_profile_is_tried_and_not_promoted(candidate: Session) -> None:
    assert candidate.ask("shadow", candidate="prod").done
    for _ in range(51):
        candidate.order()
    answer = candidate.ask("promote")
    assert not answer.done
    assert "profile `prod`" in answer.line


def test_a_rollout_decides_for_its_symbols_alone_until_a_guard_is_crossed(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    active = candidate.running.desk.book.version
    for _ in range(51):
        candidate.order()
    answer = candidate.ask("promote", symbols=[SYMBOL])
    assert answer.done, answer
    other = load("testnet", candidate.home.parent / "other").version
    assert candidate.versions(candidate.order(SYMBOL)) == {other}
    assert candidate.versions(candidate.order(OTHER)) == {active}
    candidate.edit("profiles/base.yaml", "guards.min_outcomes: 20", "guards.min_outcomes: 0")
    candidate.edit("profiles/base.yaml", "guards.max_cost_bps: 10\n", "guards.max_cost_bps: -10000\n")
    candidate.save()
    for _ in range(10):
        candidate.order(SYMBOL, maker_requested=False)
    moved = candidate.events(CandidateMoved)[-1]
    assert (moved.state, moved.reason) == ("returned", "guards.costs_too_much")
    assert other not in candidate.versions(candidate.order(SYMBOL))


def test_what_a_rollout_decides_is_not_compared_with_itself(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(51):
        candidate.order()
    assert candidate.ask("promote", symbols=[SYMBOL]).done
    before = candidate.running.desk.tried.divergences.decided
    candidate.order(SYMBOL)
    assert candidate.running.desk.tried.divergences.decided == before
    candidate.order(OTHER)
    assert candidate.running.desk.tried.divergences.decided == before + 1


def test_an_intent_from_before_a_rollout_says_nothing_of_it(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(51):
        candidate.order(SYMBOL, maker_requested=False)
    desk = candidate.running.desk
    earlier = candidate.events(Outcome)[-1]
    assert earlier.filled
    assert candidate.ask("promote", symbols=[SYMBOL]).done
    desk.router.emit(msgspec.structs.replace(earlier, seq=0, ts_ms=candidate.now_ms + 900, arrival_ms=START_MS))
    facts = desk.tried.facts()
    assert facts is not None
    assert facts["rollout_outcomes"] == 0.0


def test_divergences_from_another_rulebook_count_no_longer(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.order()
    path = candidate.home / "rules" / "quality.yaml"
    path.write_text(f"{path.read_text()}# as before\n")
    candidate.save()
    tried = candidate.running.desk.tried
    assert tried.divergences.decided == 1, "only a comment changed"
    candidate.edit(*SLIPPAGE)
    candidate.save()
    assert tried.is_tried
    assert tried.divergences.decided == 0


def test_another_candidate_ends_the_one_before(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    assert candidate.ask("shadow", candidate="prod").done
    assert [event.state for event in candidate.events(CandidateMoved)] == ["shadow", "ended", "shadow"]


def test_what_decides_already_is_no_candidate(candidate: Session) -> None:
    answer = candidate.ask("shadow", candidate="testnet")
    assert not answer.done
    assert "decides already" in answer.line


def test_a_restart_ends_the_candidate_that_nobody_holds_any_more(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.order()
    desk = candidate.running.desk
    again = Desk(desk.book, candidate.running.journal, desk.venue, desk.around)
    again.resume(read(candidate.logs / JOURNAL))
    assert again.tried.is_tried
    again.start(candidate.now_ms + 1000)
    again.settle()
    moved = candidate.events(CandidateMoved)[-1]
    assert (moved.state, moved.reason) == ("ended", "the session was started again")
    assert not again.tried.is_tried


def test_the_end_of_a_session_ends_its_candidate(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.running.desk.close(candidate.now_ms)
    assert candidate.events(CandidateMoved)[-1].reason == "the session ended"


def test_a_symbol_that_nobody_trades_has_no_rollout(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(51):
        candidate.order()
    answer = candidate.ask("promote", symbols=["XRPUSDT"])
    assert not answer.done
    assert SYMBOL in answer.help


def test_a_candidate_that_breaks_down_ends_alone(candidate: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    shadow = candidate.running.desk.router.deciders.shadow
    assert shadow is not None

    def breaks(*_: object) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(shadow, "decide", breaks)
    intent_id = candidate.order()
    assert candidate.versions(intent_id)
    moved = candidate.events(CandidateMoved)[-1]
    assert moved.state == "ended"
    assert "no such thing" in moved.reason
    assert candidate.running.desk.router.deciders.shadow is None


def test_a_candidate_that_breaks_down_gives_its_symbols_back(
    candidate: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(51):
        candidate.order()
    assert candidate.ask("promote", symbols=[SYMBOL]).done
    monkeypatch.setattr(candidate.running.desk.router.deciders.shadow, "decide", lambda *_: 1 / 0)
    candidate.order(OTHER)
    assert candidate.versions(candidate.order(SYMBOL)) == {candidate.running.desk.book.version}


def test_a_candidate_that_does_not_load_is_not_tried(candidate: Session) -> None:
    (candidate.home.parent / "other" / "rules" / "quality.yaml").write_text("ruleset: [")
    answer = candidate.ask("shadow", candidate=side(candidate))
    assert not answer.done
    assert "rules/quality.yaml" in answer.line
    assert not candidate.running.desk.tried.is_tried


# --- cold starts, and what others ask --------------------------------------------------------------------------------


def test_a_start_with_broken_files_takes_the_last_good_rulebook_and_says_so(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    good = session.running.desk.book.version
    session.close()
    (session.home / "rules" / "quality.yaml").write_text("ruleset: [")
    again = start()
    assert again.running.desk.book.version == good
    again.reloading.begin()
    status = read_status(again.logs)
    assert status.last_good
    assert status.attempt is not None
    assert status.attempt.findings[0].code == "yaml.syntax"
    written = list(read(again.logs / JOURNAL))
    assert isinstance(written[0], SessionStarted), "the session's own word comes first"
    (refused,) = again.events(RulebookRefused)
    assert (refused.findings[0]["code"], refused.ts_ms) == ("yaml.syntax", START_MS)
    assert History(again.logs).entries()[-1].how == "last_good"
    shutil.copy(shipped_home() / "rules" / "quality.yaml", again.home / "rules" / "quality.yaml")
    assert isinstance(again.save(), Unchanged)
    assert not read_status(again.logs).last_good, "the files are what decides again"


def test_files_that_cannot_run_the_session_are_broken_ones_at_a_start(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    good = session.running.desk.book.version
    session.close()
    session.edit("profiles/testnet.yaml", "policies: [admission, routing, working,", "policies: [admission, routing,")
    assert start().running.desk.book.version == good


def test_a_first_start_with_broken_files_does_not_start(tmp_path: Path) -> None:
    for name in ("rules", "policies", "profiles"):
        shutil.copytree(shipped_home() / name, tmp_path / "home" / name)
    (tmp_path / "home" / "rules" / "quality.yaml").write_text("ruleset: [")
    with pytest.raises(ColdStartError, match="no last good rulebook"):
        Session(tmp_path)


def test_a_request_is_taken_answered_and_read_by_whoever_asked(tmp_path: Path) -> None:
    request = Request(id=new_id(), action="end")
    served: list[Request] = []

    def sleep(_: float) -> None:
        served.extend(take(tmp_path))
        answer = tmp_path / ANSWERS / f"{request.id}.json"
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_bytes(msgspec.json.encode(Answer(id=request.id, done=True, line="done")))

    assert ask(tmp_path, request, sleep=sleep).line == "done"
    assert served == [request]


def test_a_request_that_nobody_takes_is_taken_back(tmp_path: Path) -> None:
    times = iter(range(100))
    with pytest.raises(Exception, match="no session answers"):
        ask(tmp_path, Request(id="1", action="end"), timeout_s=3, clock=lambda: next(times), sleep=lambda _: None)
    assert not list(take(tmp_path))


def test_what_is_no_request_is_answered_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "reload" / "requests"
    folder.mkdir(parents=True)
    (folder / "7.json").write_bytes(b"{}")
    (folder / "8.json").write_bytes(b'{"id": "../../9", "action": "end"}')
    assert not list(take(tmp_path))
    for number in "78":
        answer = msgspec.json.decode((tmp_path / ANSWERS / f"{number}.json").read_bytes(), type=Answer)
        assert not answer.done


def test_an_answer_that_cannot_be_written_holds_nobody_up(tmp_path: Path) -> None:
    folder = tmp_path / "reload" / "requests"
    folder.mkdir(parents=True)
    (tmp_path / ANSWERS).write_bytes(b"no folder")
    (folder / "7.json").write_bytes(b"{}")
    request = Request(id=new_id(), action="end")
    (folder / f"{request.id}.json").write_bytes(msgspec.json.encode(request))
    assert list(take(tmp_path)) == [request]


def test_what_was_asked_of_an_earlier_session_is_not_done_by_the_next(start: Callable[..., Session]) -> None:
    session = start()
    folder = session.logs / "reload" / "requests"
    folder.mkdir(parents=True)
    request = Request(id=new_id(), action="rollback")
    (folder / f"{request.id}.json").write_bytes(msgspec.json.encode(request))
    session.reloading.begin()
    assert not list(take(session.logs))
    assert not folder.stat().st_mode & 0o007, "who may not read the journal's folder may not ask either"


def test_who_does_not_wait_for_an_answer_takes_the_request_back(tmp_path: Path) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, Request(id="1", action="end"), sleep=interrupt)
    assert not list(take(tmp_path))


# --- what goes on beside a session -----------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, a minute at most."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of files and other threads
            await asyncio.sleep(0.005)


def beside(session: Session, then: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what goes on beside a session while something is done."""

    async def both() -> None:
        task = asyncio.create_task(session.reloading.run())
        try:
            await then()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(both())


def test_what_is_saved_is_noticed_also_if_that_was_before_anybody_watched(start: Callable[..., Session]) -> None:
    session = start()
    session.edit(*SLIPPAGE)
    saved = load("testnet", session.home).version

    async def wait() -> None:
        await until(lambda: session.running.desk.book.version == saved)

    beside(session, wait)
    assert [entry.how for entry in History(session.logs).entries()] == ["start", "reload", "stop"]


def test_nothing_is_said_before_the_session_has_begun(start: Callable[..., Session]) -> None:
    session = start()
    session.running.desk.has_begun = False

    async def wait() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not (session.logs / "reload" / "status.json").exists()
        session.running.desk.has_begun = True
        await until((session.logs / "reload" / "status.json").exists)

    beside(session, wait)


def test_a_watch_that_breaks_down_begins_anew_and_loses_no_save(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start()
    is_broken = True

    def reads(home: Path) -> Reading:
        if is_broken:
            raise OSError("no more files")
        return read_home(home)

    monkeypatch.setattr(changes, "read_home", reads)
    monkeypatch.setattr(going_on, "_AGAIN_S", 0.0)
    session.edit(*SLIPPAGE)
    saved = load("testnet", session.home).version

    async def wait() -> None:
        nonlocal is_broken
        await until((session.logs / "reload" / "requests").is_dir)
        await until(lambda: "no more files" in read_status(session.logs).watching)
        answer = await asyncio.to_thread(ask, session.logs, Request(id=new_id(), action="end"))
        assert answer.line == "there is no candidate", "requests are served all the same"
        is_broken = False
        await until(lambda: session.running.desk.book.version == saved)
        await until(lambda: not read_status(session.logs).watching)

    beside(session, wait)


def test_requests_that_cannot_be_looked_for_are_in_the_status_until_they_can(
    start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start()
    is_broken = True

    def takes(logs: Path) -> list[Request]:
        if is_broken:
            raise PermissionError("permission denied")
        return list(take(logs))

    monkeypatch.setattr(commands, "take", takes)
    monkeypatch.setattr(going_on, "_AGAIN_S", 0.0)

    async def wait() -> None:
        nonlocal is_broken
        await until((session.logs / "reload" / "requests").is_dir)
        await until(lambda: "requests: PermissionError" in read_status(session.logs).watching)
        is_broken = False
        await until(lambda: not read_status(session.logs).watching)

    beside(session, wait)


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


def test_a_return_by_a_guard_is_in_the_status_at_once(candidate: Session) -> None:
    async def wait() -> None:
        await until((candidate.logs / "reload" / "requests").is_dir)
        request = Request(id=new_id(), action="shadow", candidate=side(candidate))
        assert (await asyncio.to_thread(ask, candidate.logs, request)).done
        candidate.running.desk.end_candidate("returned", "guards.costs_too_much")

        def is_told() -> bool:
            found = read_status(candidate.logs).candidate
            return found is not None and found.state == "returned"

        await until(is_told)

    beside(candidate, wait)
