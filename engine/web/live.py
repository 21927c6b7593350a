"""What pages and the API read: one model of the present, kept up to date from the events of a journal.

In: a source of events, the rulebook that decides, and the folder of logs. Out: the last route decisions and the
decisions behind them, the stories of the last intents, the last snapshot with a trend of each symbol, which session
that is, and any decision of the journal made again. Everything is bounded, so that it runs for months.

All of it belongs to one event loop: `poll` takes what has come, folds it, and tells the listeners once a batch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from engine.book import Book
from engine.journal.events import (
    Decided,
    Event,
    IntentReceived,
    Outcome,
    Routed,
    RulebookLoaded,
    SessionEnded,
    SessionStarted,
    Snapshot,
)
from engine.routing.evidence.contract import ExecutionHealth, Nav, Positions, Risk, RouterHealth
from engine.routing.evidence.owners import Owners
from engine.routing.evidence.story import begins
from engine.web.kept import KeptDecisions, Remade, decision_id_of
from engine.web.pace import Pace
from engine.web.pauses import Move, Pause, Pauses
from engine.web.proving import Proof
from engine.web.routed import RoutedIntents
from engine.web.sources import Source

_log = logging.getLogger(__name__)

_WATCHED_S = 60.0
"""From here on the pace is what was seen of it here; before, the times that events have count as well."""


class View(Protocol):
    """Something that is made of events."""

    def see(self, event: Event) -> None:
        """Take the next one."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is held in memory."""

    routes: int = 5_000
    """Route decisions of the feed."""
    decisions: int = 20_000
    """Records of decisions, about 3.5 kB each: older ones are read from the journal."""
    intents: int = 10_000
    """Intents whose story is at hand: about 11 kB each without its decisions, so 110 MB, and more than three minutes
    where each of 50 decisions a second is of another intent."""
    story: int = 400
    """Events of one of them."""
    routed: int = 5_000
    """Intents whose vetoes and costs are counted."""
    trend: int = 120
    """Points of a symbol's trend: two hours of snapshots."""


class HealthNow(msgspec.Struct, frozen=True, kw_only=True):
    """The views of one snapshot, all of the same tick and moment."""

    tick: int
    seq: int
    """Of the snapshot in the journal."""
    updated_ts: float
    """Seconds since 1970 UTC, in the time of the market."""
    router_health: RouterHealth
    execution_health: ExecutionHealth
    nav: Nav
    positions: Positions
    risk: Risk


class Point(msgspec.Struct, frozen=True, gc=False):
    """What a snapshot said of a symbol, for a line over time. None: not known then."""

    ts: float = msgspec.field(name="updated_ts")
    maker_fill_rate: float | None
    fallback_rate: float | None
    slippage_p50: float | None
    slippage_p95: float | None
    ack_latency_ms: float | None
    bias: float | None
    offset_bps: float | None


class _Row(Point, frozen=True, gc=False):
    """The same with its symbol, read from a view: to read no more of it takes a third of the time."""

    symbol: str


class _Rows(msgspec.Struct, frozen=True, gc=False):
    symbols: list[_Row]


_rows_of = msgspec.json.Decoder(_Rows).decode


@dataclass(frozen=True, slots=True)
class SessionNow:
    """The session whose events come in."""

    profile: str
    rulebook: str
    sources: str
    venue: str
    market: str
    started_ms: int
    resumed: bool
    ended: str | None = None
    """Why it ended; None while it runs, as far as the journal says."""
    rulebook_ms: int = 0
    """Since when its rulebook decides."""

    def decides_by(self, book: Book) -> bool:
        """Whether this is the rulebook that it decides by."""
        return (self.profile, self.rulebook) == (book.profile, book.version)


@dataclass(frozen=True, slots=True)
class RouteFilter:
    """Which route decisions are asked for; each that is given has to fit."""

    symbol: str | None = None
    route: str | None = None
    veto: str | None = None
    """A rule, as `set.rule`."""
    quality: str | None = None
    event: str | None = None
    intent: str | None = None
    """What the id of its intent begins with."""

    def fits(self, routed: Routed) -> bool:
        """Whether this is one of them."""
        return (
            (self.symbol is None or routed.symbol == self.symbol)
            and (self.route is None or routed.route == self.route)
            and (self.quality is None or routed.quality == self.quality)
            and (self.event is None or routed.event == self.event)
            and (self.veto is None or self.veto in routed.vetoes)
            and (self.intent is None or routed.intent_id.startswith(self.intent))
        )


@dataclass(slots=True)
class _Followed:
    """What was read of a journal; forgotten as a whole where another journal begins."""

    routed: RoutedIntents
    last_seq: int = 0
    last_ms: int | None = None
    session: SessionNow | None = None
    owners: Owners = field(default_factory=Owners)
    stories: dict[str, list[Event]] = field(default_factory=dict)
    decisions: dict[str, Decided] = field(default_factory=dict)
    trends: dict[str, deque[Point]] = field(default_factory=dict)
    pauses: Pauses = field(default_factory=Pauses)
    written: Pace = field(default_factory=Pace)
    """Events as they came in, by the clock of this process."""
    happened: Pace = field(default_factory=Pace)
    """The same in the time of the market."""


class Live:
    """The model. `poll` it often; everything else reads what it has."""

    def __init__(
        self,
        book: Book,
        logs: Path,
        source: Source,
        *,
        views: Sequence[View] = (),
        watchers: Sequence[View] = (),
        current: Callable[[], Book] | None = None,
        keep: Keep | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`views` are shown each event, `watchers` those that happen from now on.

        `current` gives the rulebook in force where somebody else changes it. `clock` gives seconds that never go back,
        `wall` seconds since 1970.
        """
        self.keep = keep or Keep()
        self.routes: deque[Routed] = deque(maxlen=self.keep.routes)
        """The last route decisions, oldest first."""
        self.version = 0
        """Grows with every batch: who has seen this number has seen everything."""
        self.is_caught_up = False
        """Whether everything that was there at the start has been taken."""
        self.kept = KeptDecisions(logs)
        self._proved: tuple[Book, Sequence[Proof]] | None = None
        self._source = source
        self._views = tuple(views)
        self._watchers = tuple(watchers)
        self._current = current
        self._clock = clock
        self._wall = wall
        self._now = _Followed(RoutedIntents(self.keep.routed))
        self._snapshots: deque[Snapshot] = deque(maxlen=self.keep.trend)
        """Those of the batch that is taken; of more than a trend holds the last."""
        self._health: HealthNow | None = None
        self._failure: str | None = None
        self._listeners: list[Callable[[], object]] = []
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            SessionStarted: self._started,
            SessionEnded: self._ended,
            RulebookLoaded: self._loaded,
            Routed: self._routed,
            Decided: self._decided,
            Snapshot: self._snapshot,
        }
        self.use(book)

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def book(self) -> Book:
        """The rulebook that requests are decided by."""
        if self._current is not None and (current := self._current()) is not self._book:
            self.use(current)
        return self._book

    @property
    def loaded_ts(self) -> float:
        """When it was put in force here, in seconds since 1970 of real time."""
        return self._loaded_ts

    def use(self, book: Book) -> None:
        """Decide by another rulebook from here on. One assignment, so a request sees the old one or the new one."""
        self._loaded_ts = self._wall()
        self._book = book
        self.version += 1

    @property
    def proofs(self) -> Sequence[Proof] | None:
        """What is proved of the rulebook in force; None while nobody knows, whatever is known of the one before."""
        book, proved = self.book, self._proved
        return proved[1] if proved is not None and proved[0] is book else None

    def prove(self, book: Book, proofs: Sequence[Proof]) -> None:
        """Take what is proved of a rulebook, which another one may have followed meanwhile."""
        self._proved = book, proofs

    @property
    def session(self) -> SessionNow | None:
        """The session whose events come in; None before the first."""
        return self._now.session

    @property
    def health(self) -> HealthNow | None:
        """The last snapshot, whole; None before the first."""
        return self._health

    @property
    def last_seq(self) -> int:
        """Of the last event; 0 before the first."""
        return self._now.last_seq

    @property
    def last_ts(self) -> float | None:
        """Of the last event, in the time of the market; None before the first."""
        return None if self._now.last_ms is None else self._now.last_ms / 1000

    @property
    def bad_lines(self) -> int:
        """Lines of the journal that said no event."""
        return self._source.bad_lines

    def health_age_s(self) -> float | None:
        """How old the snapshot is in the time of the market, by the last event."""
        if self._health is None or self.last_ts is None:
            return None
        return max(0.0, self.last_ts - self._health.updated_ts)

    def since_health(self) -> Mapping[str, Move]:
        """The last move of each breaker that moved after the snapshot, by scope, the latest first."""
        return {} if self._health is None else self._now.pauses.after(self._health.seq)

    def quiet_s(self) -> float | None:
        """For how long, in real time, nothing was written: a session that died looks like this."""
        return self._source.quiet_s()

    def longest_gap_s(self) -> float | None:
        """For how long at most nothing was written lately while the session ran; None where nobody can say yet.

        Until this was watched for a minute it is at least the longest gap in the time of the market, which a session
        that runs faster than its market writes in less.
        """
        seen = self._now.written
        known = (seen.longest_s, self._now.happened.longest_s if seen.watched_s < _WATCHED_S else None)
        return max((gap for gap in known if gap is not None), default=None)

    def unread_bytes(self) -> int:
        """How far behind the journal this is."""
        return self._source.unread_bytes()

    def failure(self) -> str | None:
        """Why nothing new comes in; None where it does, or would if there were anything."""
        return self._failure or self._source.failure

    def latest(self, wanted: RouteFilter | None = None) -> Iterator[Routed]:
        """Route decisions that fit, the newest first."""
        for routed in reversed(self.routes):
            if wanted is None or wanted.fits(routed):
                yield routed

    @property
    def routed(self) -> RoutedIntents:
        """The last intents that were decided on, with what they cost."""
        return self._now.routed

    def trend(self, symbol: str) -> Sequence[Point]:
        """What the last snapshots said of a symbol, oldest first."""
        return self._now.trends.get(symbol, ())

    def story(self, intent_id: str) -> Sequence[Event]:
        """What happened to one of the last intents, in order; empty for one that is not at hand."""
        return self._now.stories.get(intent_id, ())

    def decided(self, decision_id: str) -> Decided | None:
        """One of the last decisions as it was journaled; None for one that is not at hand."""
        return self._now.decisions.get(decision_id)

    async def decision(self, decision_id: str) -> Remade | None:
        """Any decision of the journal with everything it looked at; None where the journal holds none of this id.

        Old ones are looked for in another thread, as is the rulebook that decided.

        Raises:
            ViewError: where it cannot be made again.
            JournalError: where the journal cannot be read.

        """
        event = self.decided(decision_id)
        return await asyncio.to_thread(self.kept.remake, decision_id, event)

    async def of_intent(self, intent_id: str) -> Sequence[Event]:
        """How an intent came, its routes, what working asked for, and its end, in order; empty where nobody knows it.

        It is looked for in the journal, in another thread, where it is not at hand from its beginning.

        Raises:
            JournalError: where the journal cannot be read.

        """
        held = self.held_of_intent(intent_id)
        if any(isinstance(event, IntentReceived) for event in held):
            return held
        return await asyncio.to_thread(self.kept.of_intent, intent_id) or held

    def held_of_intent(self, intent_id: str) -> Sequence[Event]:
        """The same as far as it is at hand: of a long story the routes alone."""
        routes = [routed for routed in self.routes if routed.intent_id == intent_id]
        told = {event.seq: event for event in (*self.story(intent_id), *routes)}
        return [told[seq] for seq in sorted(told)]

    async def pauses(self, symbol: str, event: Event) -> Sequence[Pause]:
        """The breakers of a symbol that were not closed before an event; of long ago by the journal of its day.

        Raises:
            JournalError: where the journal cannot be read.

        """
        held = self._now.pauses.before(symbol, event.seq)
        return held or (await asyncio.to_thread(self.kept.pauses, event)).before(symbol, event.seq)

    # --- what comes in -----------------------------------------------------------------------------------------------

    def listen(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` after each batch, until what is returned is called."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def poll(self, most: int = 500) -> int:
        """Take what has come, at most so many events, and fold it; how many there were.

        500 take about 4 ms to fold and as long to read, in which nobody is answered.
        """
        old = self._source.old
        events = self._source.take(most)
        for number, event in enumerate(events):
            try:
                self._see(event, is_new=number >= old)
            except Exception:  # noqa: BLE001 - one event must not cost those after it
                _log.exception("an event could not be shown", extra={"seq": event.seq})
        if self._snapshots:
            self._look_at_snapshots()
        if len(events) > old:
            self._now.written.see(self._clock())
        self.is_caught_up = self.is_caught_up or not self._source.old
        if events:
            self.version += 1
            for listener in tuple(self._listeners):
                try:
                    listener()
                except Exception:  # noqa: BLE001 - one page must not stop what the others rest on
                    _log.exception("a listener failed")
        return len(events)

    async def follow(self, *, every_s: float = 0.1, most: int = 500) -> None:
        """Poll for ever; in between, and between two full batches, others are answered."""
        while True:
            full = self._polled(most) == most
            await asyncio.sleep(0.0 if full else every_s)

    def _polled(self, most: int) -> int:
        """Poll; what must not happen is logged once and tried again: else everything would look as it did, for ever."""
        try:
            taken = self.poll(most)
        except Exception as error:  # noqa: BLE001 - whatever it was
            if self._failure is None:
                _log.exception("the journal cannot be followed")
            self._failure = type(error).__name__
            return 0
        self._failure = None
        return taken

    def _see(self, event: Event, *, is_new: bool) -> None:
        now = self._now
        if event.seq <= now.last_seq:  # another journal, begun anew in the same place
            now = self._now = _Followed(RoutedIntents(self.keep.routed))
            self.routes.clear()
            self._snapshots.clear()
            self._health = None
        elif event.seq != now.last_seq + 1:
            now.happened = Pace()  # what is between was not read, so the time between is no gap
        now.last_seq, now.last_ms = event.seq, event.ts_ms
        now.happened.see(event.ts_ms / 1000)
        now.pauses.see(event)
        handler = self._handlers.get(event.__class__)
        if handler is not None:
            handler(event)
        now.routed.see(event)
        self._tell(event)
        for view in self._views:
            view.see(event)
        if is_new:
            for watcher in self._watchers:
                watcher.see(event)

    def _tell(self, event: Event) -> None:
        """Add to the story of the intent that an event is about; what is about a forgotten one begins no other."""
        owners, stories = self._now.owners, self._now.stories
        owners.see(event)
        intent_id = getattr(event, "intent_id", None) or owners.of(event).intent_id
        if intent_id is None:
            return
        told = stories.get(intent_id)
        if told is None:
            if not begins(event):
                return
            told = stories[intent_id] = []
            if len(stories) > self.keep.intents:
                del stories[next(iter(stories))]
        if len(told) < self.keep.story or isinstance(event, Outcome):
            told.append(event)

    def _started(self, event: SessionStarted) -> None:
        self._now.written, self._now.happened = Pace(), Pace()  # the time between two sessions is no gap of either
        self._now.session = SessionNow(
            profile=event.profile,
            rulebook=event.rulebook,
            sources=event.sources,
            venue=event.venue,
            market=event.market,
            started_ms=event.ts_ms,
            resumed=event.resumed,
            rulebook_ms=event.ts_ms,
        )

    def _ended(self, event: SessionEnded) -> None:
        if self._now.session is not None:
            self._now.session = replace(self._now.session, ended=event.reason)

    def _loaded(self, event: RulebookLoaded) -> None:
        if self._now.session is not None:
            self._now.session = replace(
                self._now.session,
                profile=event.profile,
                rulebook=event.rulebook,
                sources=event.sources,
                rulebook_ms=event.ts_ms,
            )

    def _routed(self, event: Routed) -> None:
        self.routes.append(event)

    def _decided(self, event: Decided) -> None:
        held = self._now.decisions
        held[decision_id_of(event)] = event
        if len(held) > self.keep.decisions:
            del held[next(iter(held))]

    def _snapshot(self, event: Snapshot) -> None:
        self._snapshots.append(event)

    def _look_at_snapshots(self) -> None:
        """Read those of a batch: of each what is a point of a trend, and the last one whole, which takes 2 ms."""
        taken = tuple(self._snapshots)
        self._snapshots.clear()
        for event in taken:
            try:
                rows = _rows_of(event.views["router_health"]).symbols
                if event is taken[-1]:
                    self._health = health_of(event)
            except (msgspec.DecodeError, KeyError) as error:
                _log.warning("a snapshot of another version is not shown: %s", error)
                continue
            for row in rows:
                trend = self._now.trends.get(row.symbol)
                if trend is None:
                    trend = self._now.trends[row.symbol] = deque(maxlen=self.keep.trend)
                trend.append(row)


def health_of(event: Snapshot) -> HealthNow:
    """The views of a snapshot.

    Raises:
        msgspec.DecodeError: where they are of another version.
        KeyError: where one is not there.

    """
    views: Mapping[str, msgspec.Raw] = event.views
    router = msgspec.json.decode(views["router_health"], type=RouterHealth)
    return HealthNow(
        tick=event.tick,
        seq=event.seq,
        updated_ts=router.updated_ts,
        router_health=router,
        execution_health=msgspec.json.decode(views["execution_health"], type=ExecutionHealth),
        nav=msgspec.json.decode(views["nav"], type=Nav),
        positions=msgspec.json.decode(views["positions"], type=Positions),
        risk=msgspec.json.decode(views["risk"], type=Risk),
    )
