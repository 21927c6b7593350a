"""A session: a market goes by, strategies send intents, and the router works them at a venue, all in one loop.

In: a desk, its venue, a market, and a source of intents. Out: a journal, and an `Ending` that says how it ended. There
are two drivers. `Embedded` runs over a recorded or generated market with a venue inside this process: time is the
market's, nothing is decided with knowledge of what comes after, and the same inputs write the same journal. What falls
on one millisecond happens in this order: the market, the venue's messages, what the router waits for, intents.
`Remote` runs with a venue in another process, whose time and market it takes as they come.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec

from engine.journal.events import SessionEnded, SessionStarted
from engine.market import Event, Quote, Trade
from engine.routing.sessions.collector import collect_while_idle
from engine.routing.sessions.desk import NEVER_MS, Desk
from engine.routing.sessions.inbox import Inbox
from engine.routing.sessions.strategy import IntentSource
from engine.venues.remote import RemoteVenue
from engine.venues.venue import EmbeddedVenue

_LONGEST_WAIT_S = 0.25  # of real time, for a venue that says nothing: a stop is noticed by then
_MOST_SILENT_S = 5.0  # of real time, from a venue that is to cancel what rests before the session ends
_BREATH = 200  # events of a market between two moments at which other tasks are let in
_MOST_AT_ONCE = 2_000  # events of a market taken before the venue's messages are looked at again

NOT_TAKEN = "the session ended before it was taken"
"""Why an intent that was handed in is refused when the session ends."""


@dataclass(slots=True)
class Stop:
    """Ask a session to end: it cancels what rests, waits until that is done, and reports."""

    reason: str = ""

    def __call__(self, reason: str = "stopped") -> None:
        """Ask for it; the first reason counts."""
        self.reason = self.reason or reason


@dataclass(slots=True)
class Ending:
    """How a session ended."""

    reason: str = ""
    quotes: Counter[str] = field(default_factory=Counter)
    """Seen, by symbol."""
    trades: Counter[str] = field(default_factory=Counter)
    first_ms: int | None = None
    last_ms: int = 0
    left_open: int = 0
    """Intents whose orders were not gone in time; the next session takes them up."""


class _Session:
    """What both drivers share."""

    def __init__(
        self,
        desk: Desk,
        intents: IntentSource,
        started: SessionStarted,
        *,
        limit_quotes: int | None = None,
        end_with_intents: bool = False,
        stop: Stop | None = None,
        progress: Callable[[int], None] | None = None,
        breathes: bool = False,
        inbox: Inbox | None = None,
    ) -> None:
        """`started` is the first event to write, at whatever time that is. `progress` is told the time now and then.

        One that `breathes` lets other tasks of its loop in every now and then, however fast its market goes by. `inbox`
        is the one that `intents` look into, where something can be handed in.
        """
        self._breathes = breathes
        self.desk = desk
        self.ending = Ending()
        self.stop = stop or Stop()
        self._intents = intents
        self._inbox = Inbox() if inbox is None else inbox
        self._started = started
        self._quotes_left = NEVER_MS if limit_quotes is None else limit_quotes
        self._end_with_intents = end_with_intents
        self._progress = progress
        self._due_ms = NEVER_MS
        self._is_ending = False  # what is done now is to clear up; nothing new begins

    def _begin(self, ts_ms: int) -> None:
        self.ending.first_ms = self.ending.last_ms = ts_ms
        self.desk.router.now_ms = max(self.desk.router.now_ms, ts_ms)
        self.desk.router.emit(msgspec.structs.replace(self._started, ts_ms=ts_ms))
        self.desk.start(ts_ms)
        self.desk.settle()
        self._due_ms = self._next_ms()  # which is not before the market's first moment

    def _is_enough(self, event: Event) -> bool:
        """Count an event; True if it is one too many, and the session is to end."""
        kind = event.__class__
        if kind is Quote:
            if self._quotes_left == 0:
                self.stop("limit_quotes")
                return True
            self._quotes_left -= 1
            self.ending.quotes[event.symbol] += 1
        elif kind is Trade:
            self.ending.trades[event.symbol] += 1
        return False

    def _at(self, now_ms: int) -> None:
        """Everything that is due at a moment."""
        desk = self.desk
        desk.hear(now_ms)
        if self._takes_intents:
            for request, place in self._intents.take(now_ms):
                desk.router.on_request(request, now_ms, place)
        self._settle()
        self.ending.last_ms = max(self.ending.last_ms, now_ms)
        self._due_ms = self._next_ms()
        if self._end_with_intents and self._intents.next_ms() is None and not desk.router.ledger.works:
            self.stop("intents_ended")
        if self._progress is not None:
            self._progress(now_ms)

    def _settle(self) -> None:
        """Write everything down; who waits for a word on an intent has it from here on."""
        self.desk.settle()
        self._inbox.settle(is_written=self.desk.journal.is_writable)

    @property
    def _takes_intents(self) -> bool:
        """Whether somebody may still want something: what comes after a stop would be left behind."""
        return not (self._is_ending or self.stop.reason)

    def _next_ms(self) -> int:
        """When something is due; what is overdue is due now, after everything else of this millisecond."""
        intents_ms = self._intents.next_ms() if self._takes_intents else None
        desk_ms = self.desk.next_ms()
        due_ms = desk_ms if intents_ms is None or desk_ms < intents_ms else intents_ms
        return max(due_ms, self.ending.last_ms)

    def _withdraw(self) -> int:
        """The session is to end: end every intent. Returns when it stops waiting for that."""
        desk, ending = self.desk, self.ending
        self._is_ending = True
        ending.reason = self.stop.reason or "market_ended"
        desk.router.on_time(ending.last_ms)
        for request, place in self._inbox.leave():
            desk.router.on_left_over(request, place, NOT_TAKEN)
        desk.router.cancel_all("session_ended")
        self._settle()
        return ending.last_ms + desk.around.shape.close_within_ms

    def _conclude(self) -> Ending:
        desk, ending = self.desk, self.ending
        ending.left_open = len(desk.router.ledger.works)
        desk.close(ending.last_ms)
        counts = {
            "quotes": ending.quotes.total(),
            "trades": ending.trades.total(),
            "left_open": ending.left_open,
        }
        desk.router.emit(SessionEnded(ts_ms=ending.last_ms, reason=ending.reason, counts=counts))
        desk.settle()
        return ending


class Embedded(_Session):
    """A session over a market of its own."""

    async def rest(self, seconds: float, market_ms: Callable[[], int]) -> None:
        """Wait for the next event of a market that goes by slowly; what is handed in meanwhile is taken at once.

        `market_ms` gives the time of the market, which is before that event.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        handed_in = asyncio.Event()
        self._inbox.wakes(lambda: loop.call_soon_threadsafe(handed_in.set))
        if self._inbox:
            handed_in.set()
        while loop.time() < until_s and await _is_set_by(handed_in, until_s):
            handed_in.clear()
            self._take_between(max(market_ms(), self.ending.last_ms))

    def _take_between(self, now_ms: int) -> None:
        """Take what was handed in between two events, after all that is due before that."""
        self._inbox.due_ms = now_ms
        while self._due_ms < now_ms:
            self._at(self._due_ms)
        self._at(now_ms)

    async def run(self, events: AsyncIterator[Event], venue: EmbeddedVenue) -> Ending:
        """Run to the end of the market, or until somebody stops it."""
        desk, intents, ending, stop = self.desk, self._intents, self.ending, self.stop
        taken = 0
        see_venue, see_desk, see_intents, router = venue.see, desk.see, intents.see, desk.router
        async for event in events:
            ts_ms = event.ts_ms
            if ending.first_ms is None:
                self._begin(ts_ms)
            if self._breathes:
                taken += 1
                if taken % _BREATH == 0:
                    await asyncio.sleep(0)
            if stop.reason or self._is_enough(event):
                break
            while self._due_ms < ts_ms:
                self._at(self._due_ms)
            ending.last_ms = ts_ms
            see_venue(event)
            see_desk(event)
            see_intents(event)
            if router.is_dirty:
                desk.settle()
                self._due_ms = self._next_ms()
            else:
                intents_ms = intents.next_ms()
                if intents_ms is not None and intents_ms < self._due_ms:
                    self._due_ms = max(intents_ms, ts_ms)
        if ending.first_ms is None:
            return ending
        within_ms = self._withdraw()
        if ending.reason in ("market_ended", "limit_quotes"):
            for request, place in intents.rest():
                router.on_left_over(request, place)
        while desk.router.ledger.works:
            due_ms = max(desk.next_ms(), ending.last_ms)
            if due_ms > within_ms:
                break
            desk.hear(due_ms)
            desk.settle()
            ending.last_ms = due_ms
        return self._conclude()


class Remote(_Session):
    """A session with a venue in another process."""

    _connections = 0
    """Those of the venue that were noticed."""

    async def run(self, venue: RemoteVenue) -> Ending:
        """Run to the end of the venue's market, or until somebody stops it."""
        self._connections = venue.connections
        self._begin(venue.now_ms())
        loop = asyncio.get_running_loop()
        self._inbox.wakes(lambda: loop.call_soon_threadsafe(venue.wake))
        while not self.stop.reason and not venue.is_over:
            await venue.wait(_LONGEST_WAIT_S)
            self._take(venue)
        within_ms = self._withdraw()
        silent_s = 0.0  # the time of a venue that is gone stands still
        while self.desk.router.ledger.works and venue.now_ms() <= within_ms and silent_s < _MOST_SILENT_S:
            silent_s = 0.0 if await venue.wait(_LONGEST_WAIT_S) else silent_s + _LONGEST_WAIT_S
            self._take(venue)
        return self._conclude()

    def _take(self, venue: RemoteVenue) -> None:
        """What has come. Where the session is ending, it still goes by what it sees, and counts none of it."""
        desk = self.desk
        if venue.connections != self._connections:
            self._connections = venue.connections
            desk.router.on_gap(max(venue.now_ms(), self.ending.last_ms), "the connection was lost for a while")
        for taken in range(_MOST_AT_ONCE):
            event = venue.poll()
            if event is None:
                if not taken:
                    collect_while_idle()
                break
            if not self._is_ending and (self.stop.reason or self._is_enough(event)):
                return
            while self._due_ms < event.ts_ms:
                self._at(self._due_ms)
            self.ending.last_ms = max(self.ending.last_ms, event.ts_ms)
            if event.symbol not in desk.router.symbols:
                continue  # the venue was started again with other symbols
            desk.see(event)
            self._intents.see(event)
            if desk.router.is_dirty:
                desk.settle()
                self._due_ms = self._next_ms()
        self._at(max(venue.now_ms(), self.ending.last_ms))
        desk.router.commit()  # an fsync may be due, though there is nothing new


async def _is_set_by(event: asyncio.Event, until_s: float) -> bool:
    """Wait for an event; False where the time of the loop came to `until_s` first."""
    try:
        async with asyncio.timeout_at(until_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
