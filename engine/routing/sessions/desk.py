"""A router and everything around it: the views it decides on, what is measured beside it, and what is due with time.

In: what a driver hands in, market events above all. Out: the journal, the venue's requests, and views of both. A
driver (`session`) owns the clock: it says when something happens, and asks with `next_ms` when to come back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from engine.backends.compiled import Verdict
from engine.backends.decision import explain_firing
from engine.backends.facts import FactsError
from engine.book import Book
from engine.journal.events import CandidateMoved, Checkpoint, Event, Given, Imported, Outcome, Routed, RulebookLoaded
from engine.journal.writer import Journal
from engine.language.evaluate import Known as KnownValue
from engine.language.findings import Finding, LoadError, Severity, Span
from engine.language.types import ChoiceType, FlagType, NumberType
from engine.market import Event as MarketEvent
from engine.market import Quote, Trade
from engine.routing.account import Account
from engine.routing.autotune import AUTOTUNE, SUGGEST, Autotune, Tuning
from engine.routing.breakers import BREAKER, Breakers
from engine.routing.chain import ADMISSION, CHAIN, ROUTING, WORKING, Chain, MissingPolicyError
from engine.routing.effectiveness import Effectiveness, Sample
from engine.routing.evidence.baselines import Baselines
from engine.routing.evidence.files import ContractFiles
from engine.routing.evidence.health import Health
from engine.routing.evidence.markouts import Markouts
from engine.routing.facts import SymbolFacts
from engine.routing.known import Known
from engine.routing.router import Router
from engine.routing.sessions.tried import Tried
from engine.routing.shape import RouterShape
from engine.routing.telemetry import imported, redated
from engine.routing.views import View, Watcher
from engine.routing.windows import Windows
from engine.venues.rules import SymbolRules
from engine.venues.venue import Venue

NEVER_MS = 1 << 62

ROLLOUT = "rollout"
"""The policy that says what becomes of a candidate, and the flags that it decides."""

MAY_PROMOTE, MAY_STAY = "may_promote", "may_stay"

_FLUSH_EVERY_S = 1.0
"""Of real time. A flush takes five fsyncs, and a replay as much as a snapshot every few milliseconds: with one flush
each, that took two thirds of the replay of a day."""


@dataclass(frozen=True, slots=True)
class Imports:
    """Effectiveness of one symbol measured elsewhere, to be taken over when the symbol is first seen."""

    source: str
    samples: Sequence[Sample]
    """In order of time."""
    redate: bool = False
    """Move them so that the newest lies at that moment: for replays of another day."""

    def event(self, symbol: str, ts_ms: int) -> Imported:
        """What is written down of it."""
        if not self.redate:
            return next(imported({symbol: self.samples}, self.source, ts_ms))
        moved, shift_ms = redated({symbol: self.samples}, ts_ms)
        return next(imported(moved, self.source, ts_ms, shift_ms))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a desk works in."""

    logs: Path
    rules: Mapping[str, SymbolRules]
    symbols: Mapping[str, SymbolFacts]
    leverage: float
    shape: RouterShape = field(default_factory=RouterShape)
    risk: Mapping[str, Any] | None = None
    """The risk state that is said again and again; None where somebody else says it."""
    baselines: Baselines | None = None
    watchers: Sequence[Callable[[Event], None]] = ()
    imports: Mapping[str, Imports] = field(default_factory=dict)
    """By symbol."""
    clock: Callable[[], float] = time.monotonic
    """Seconds of real time: how often files are written goes by it, and nothing else."""


_Kinds: TypeAlias = Mapping[str, type[FlagType | NumberType | ChoiceType]]

_ASKED: Mapping[str, _Kinds] = {
    ADMISSION: {"admit": FlagType, "admitted_qty": NumberType},
    ROUTING: {"route": ChoiceType},
    WORKING: {"action": ChoiceType},
    BREAKER: {"next_state": ChoiceType, "pause_maker": FlagType},
    SUGGEST: {"suggested_bias_delta": NumberType, "suggested_offset_delta_bps": NumberType},
    AUTOTUNE: {
        "apply": FlagType,
        "next_bias_delta": NumberType,
        "next_offset_delta_bps": NumberType,
        "flip": FlagType,
        "next_maker_first": FlagType,
    },
    ROLLOUT: {MAY_PROMOTE: FlagType, MAY_STAY: FlagType},
}
"""What a session asks of each policy, as far as it cannot do without; what else one decides is its own matter."""

_WORDS = {FlagType: "flag", NumberType: "number", ChoiceType: "choice"}


def unfit(book: Book) -> Iterator[Finding]:
    """Why no desk can decide by a book; nothing where one can."""
    where = Span(f"profiles/{book.profile}.yaml", 1, 1, 1, 2)
    try:
        Chain(book)
        Breakers(book, Windows(book.rulebook))
    except LoadError as error:
        yield from error.findings
    except (MissingPolicyError, FactsError) as error:
        yield Finding("reload.unfit", Severity.ERROR, where, error.message, error.help)
        return
    tunes = {SUGGEST, AUTOTUNE} <= set(book.policies)  # neither is asked without the other
    for asked, names in _ASKED.items():
        if asked not in book.policies or (asked in (SUGGEST, AUTOTUNE) and not tunes):
            continue
        policy = book.policy(asked)
        for name, kind in names.items():
            if name not in policy.decides or not isinstance(policy.types()[name], kind):
                message = f"the policy `{asked}` does not decide the {_WORDS[kind]} `{name}`"
                without = "" if asked in CHAIN else f", or take `{asked}` out of the profile"
                help_text = f"add it to its `decides`{without}"
                yield Finding("reload.unfit", Severity.ERROR, where, message, help_text)


class _ToMeasure(View):
    """What the baselines are to be told: a view must not write."""

    def __init__(self) -> None:
        self._started: list[Routed] = []
        self._ended: list[Outcome] = []
        self.handlers = {Routed: self._see_routed, Outcome: self._ended.append}

    def __bool__(self) -> bool:
        return bool(self._started or self._ended)

    def take(self) -> tuple[list[Routed], list[Outcome]]:
        """What came since the last time: intents that were admitted, and their ends."""
        taken = self._started.copy(), self._ended.copy()
        self._started.clear()
        self._ended.clear()
        return taken

    def _see_routed(self, event: Routed) -> None:
        if event.event == "decision" and event.route != "none":
            self._started.append(event)


class Desk:
    """A router with its views."""

    def __init__(self, book: Book, journal: Journal, venue: Venue, around: Surroundings) -> None:
        self.journal = journal
        self.venue = venue
        self.around = around
        self.account = Account(around.leverage)
        self.effectiveness = Effectiveness()
        self.windows = Windows(book.rulebook)
        self.breakers = Breakers(book, self.windows)
        self.tuning = Tuning()
        self.tried = Tried()
        self.markouts = Markouts()
        self.known = Known(around.symbols, self.account, self.effectiveness, self.windows, self.breakers, self.tuning)
        self.health = Health(book, tuple(around.symbols), self.known, self.account)
        self.files = ContractFiles(around.logs, journal.last_seq)
        self.autotune = Autotune(book, self.known, self.effectiveness, self.tuning)
        self._to_measure = _ToMeasure()
        self.router = Router(
            book,
            journal,
            venue,
            around.rules,
            self.known,
            self.breakers,
            around.shape,
            views=(
                self.effectiveness,
                self.windows,
                self.breakers,
                self.tuning,
                self.markouts,
                self.health,
                self.tried,
                *([] if around.baselines is None else [self._to_measure]),
            ),
            watchers=(self.files, *map(Watcher, around.watchers)),
        )
        self._to_import = dict(around.imports)
        self._tick_ms = 0
        self._snapshot_ms = 0
        self._risk_ms = 0
        self._flush_due_s = -math.inf
        self.has_begun = False
        """Whether the session has said in the journal that it began; before that nothing else may."""

    @property
    def book(self) -> Book:
        """The rulebook in force."""
        return self.router.book

    # --- other rulebooks ---------------------------------------------------------------------------------------------

    def try_beside(self, book: Book, moved: CandidateMoved) -> None:
        """Let a candidate, which is fit, decide every intent beside what is in force; one before it no longer does."""
        self.end_candidate("ended", "another one is tried")
        self.router.deciders.roll_out(None)
        self.router.deciders.try_beside(book)
        self._emit_now(moved)

    def roll_out(self, book: Book, moved: CandidateMoved) -> None:
        """Let a candidate decide for the symbols that `moved` names; a guard of the policy `rollout` may end it."""
        self.router.deciders.roll_out(book, moved.symbols)
        self._emit_now(moved)

    def end_candidate(self, state: str, reason: str) -> None:
        """What is in force decides alone again; nothing happens where there is no candidate."""
        moved = self.tried.moved
        if moved is None or not self.tried.is_tried:
            return
        self.router.deciders.try_beside(None)
        self.router.deciders.roll_out(None)
        self._emit_now(msgspec.structs.replace(moved, seq=0, state=state, reason=reason))

    def against_candidate(self, flag: str) -> str | None:
        """The vetoes against a flag of the policy `rollout`, with their values and places in its files.

        None where none stands, or the profile does not run it.
        """
        judged = self.judge_candidate()
        if judged is None or judged[flag] is True:
            return None
        book = self.book
        deciding = {step.ruleset for step in book.policy(ROLLOUT).steps if flag in dict(step.sets)}
        decision, _ = book.trace(ROLLOUT, self._of_candidate())
        names: dict[str, KnownValue] = {**decision.seen.names(), **decision.outcome.values}
        binding, told = book.rulebook.binding_of(None), decision.seen.told()
        vetoes = [veto for veto in decision.outcome.vetoes if veto.rule.ruleset in deciding]
        shown = [
            f"{explain_firing(veto, names, binding, told)} at {veto.rule.span.file}:{veto.rule.span.line}"
            for veto in vetoes
        ]
        return "; ".join(shown) or f"`{flag}` is not true"

    def judge_candidate(self) -> Verdict | None:
        """What the policy `rollout` says of the candidate; None where the profile does not run it."""
        book = self.book
        return book.verdict(ROLLOUT, self._of_candidate()) if ROLLOUT in book.policies else None

    def _of_candidate(self) -> dict[str, Any]:
        """What the policy `rollout` decides on."""
        handing = self.router.deciders.active.handing
        return handing.to(ROLLOUT, self.router.now_ms, None, {"candidate": self.tried.facts()})

    def _guard(self) -> None:
        """End a rollout that the rules no longer let go on."""
        if not self.router.deciders.partial:
            return
        if ROLLOUT not in self.book.policies:
            self.end_candidate("returned", f"the profile runs no policy {ROLLOUT}")
        elif (against := self.against_candidate(MAY_STAY)) is not None:
            self.end_candidate("returned", against)

    def _emit_now(self, event: Event) -> None:
        self.router.emit(msgspec.structs.replace(event, ts_ms=self.router.now_ms))
        self.settle()

    def adopt(self, book: Book, loaded: RulebookLoaded) -> None:
        """Decide by another book, which is fit, from here on: between two events, so every step is of one version.

        What the session knows goes on: windows that count as before, breakers, tuned steps, orders and their counts.
        `loaded` is written down, with what begins anew.
        """
        router = self.router
        router.deciders.use(book)
        begun = self.windows.use(book.rulebook)
        self.breakers.use(book)
        self.autotune.use(book)
        self.health.use(book)
        router.emit(msgspec.structs.replace(loaded, ts_ms=router.now_ms, begun_anew=begun))
        for moved in self.breakers.astray(router.now_ms):
            router.emit(moved)
        self.settle()

    # --- market and time ---------------------------------------------------------------------------------------------

    def see(self, event: MarketEvent) -> None:
        """Take the next event of the market, which the venue has seen."""
        router = self.router
        if self._to_import and event.symbol in self._to_import:
            router.emit(self._to_import.pop(event.symbol).event(event.symbol, event.ts_ms))
        if event.ts_ms >= self._tick_ms:
            self._tick(event.ts_ms)
        if isinstance(event, Quote):
            router.on_quote(event)
        elif isinstance(event, Trade):
            router.on_trade(event)
        for marked in self.markouts.see_market(event):
            router.emit(marked)
        if self.around.baselines is not None:
            for done in self.around.baselines.see(event):
                router.emit(done)

    def hear(self, now_ms: int) -> None:
        """Take what the venue has to say by now, then do what is due."""
        router = self.router
        for message in self.venue.receive(now_ms):
            router.on_message(message, now_ms)
        router.on_time(now_ms)
        if now_ms >= self._tick_ms:
            self._tick(now_ms)

    def next_ms(self) -> int:
        """When `hear` has something to do, as far as anybody here knows.

        A tick alone is nothing to come back for: while the market is silent and no order rests, nothing changes.
        Recordings have holes of years.
        """
        next_ms = NEVER_MS
        for due_ms in (self.router.next_ms(), self.venue.next_ms()):
            if due_ms is not None and due_ms < next_ms:
                next_ms = due_ms
        return next_ms

    def settle(self) -> None:
        """Write down what has happened, hand over what is to be sent, and let the measurements follow."""
        if self._to_measure:
            self._measure()
        if self.router.is_dirty:
            self.router.commit()

    def resume(self, events: Iterable[Event]) -> None:
        """Take over from the journal of an earlier desk."""

        def seen() -> Iterator[Event]:
            for event in events:
                self.files.see(event)  # it tells what it has by its seq, and adds what a crash left out
                yield event

        self.router.resume(seen())
        self._to_import = {
            symbol: each
            for symbol, each in self._to_import.items()
            if (symbol, each.source) not in self.effectiveness.imports
        }

    def start(self, now_ms: int) -> None:
        """The first moment of a session. A snapshot would show nothing yet: the first one comes with the next tick."""
        self.has_begun = True
        self.end_candidate("ended", "the session was started again")  # nobody holds its rulebook any more
        self._snapshot_ms = now_ms + self.around.shape.tick_every_ms
        self._tick(now_ms)

    def close(self, now_ms: int) -> None:
        """The market is over, and so is everything that waits for it."""
        self.end_candidate("ended", "the session ended")
        for marked in self.markouts.close(now_ms):
            self.router.emit(marked)
        if self.around.baselines is not None:
            self._measure()
            for done in self.around.baselines.close(now_ms):
                self.router.emit(done)
        self._snapshot(now_ms)
        self.settle()
        self.files.flush()

    def checkpoint(self, ts_ms: int) -> Checkpoint:
        """What everything so far adds up to, for the first line of a day."""
        self.account.begin_day()
        return Checkpoint(
            ts_ms=ts_ms,
            **self.account.checkpoint(),
            tuned=self.tuning.checkpoint(),
            breakers=self.breakers.checkpoint(),
            windows=self.windows.checkpoint(),
        )

    # --- what is due with time ---------------------------------------------------------------------------------------

    def _tick(self, now_ms: int) -> None:
        shape = self.around.shape
        self._tick_ms = now_ms + shape.tick_every_ms
        if self.around.risk is not None and now_ms >= self._risk_ms and not self.account.is_said("risk"):
            self._risk_ms = now_ms + shape.risk_every_ms
            self.router.emit(Given(ts_ms=now_ms, group="risk", facts=dict(self.around.risk), assumed=True))
        self.router.look_at_breakers(now_ms)
        self._guard()
        for symbol in self.effectiveness.symbols:
            if symbol in self.around.symbols:
                for step in self.autotune.look(symbol, now_ms):
                    self.router.emit(step)
        if now_ms >= self._snapshot_ms:
            self._snapshot_ms = now_ms + shape.snapshot_every_ms
            self._snapshot(now_ms)
        now_s = self.around.clock()
        if now_s >= self._flush_due_s:
            self._flush_due_s = now_s + _FLUSH_EVERY_S
            self.router.commit()  # files follow the journal
            self.files.flush()

    def _snapshot(self, now_ms: int) -> None:
        self.router.emit(self.health.snapshot(now_ms))
        self.router.commit()

    # --- baselines ---------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        baselines = self.around.baselines
        if baselines is None:
            return
        started, ended = self._to_measure.take()
        for routed in started:
            self._follow(baselines, routed)
        for outcome in ended:
            for done in baselines.finish(outcome.intent_id, outcome.ts_ms, withdrawn=outcome.withdrawn):
                self.router.emit(done)

    def _follow(self, baselines: Baselines, routed: Routed) -> None:
        work = self.router.ledger.works.get(routed.intent_id)
        if work is None or routed.protection_bps is None:
            return
        intent = work.received.intent
        baselines.start(
            routed.intent_id,
            routed.symbol,
            work.side,
            routed.target,
            work.arrival_mid,
            work.received.ts_ms,
            routed.protection_bps,
            intent["price"] if intent.get("order_type") == "limit" else None,
            routed.is_exit,
            work.received.expires_ms,
        )
