"""A venue as a process of its own: it owns the market and the account, and outlives the routers that come and go.

In: an embedded venue, the events of a market, and a pace. Out: a server on a socket (`wire` says what is spoken). It
replays the market and gives each event first to the venue and then to the clients; what the venue has to say goes to
all of them at its time. What happens while nobody is connected is told to nobody: a router finds it by queries.

Time is the market's, and events and messages leave in its order. At full speed (`Pace.speed` None) the next event is
sent as soon as every client that wants the market has room, so time goes as fast as the slowest of them. At a multiple
of real time a clock says when, and a market that its clients cannot follow waits for them all the same: time stands,
and is not made up for. Where nothing sets the pace at full speed, because nobody is connected or the market is over,
time goes on by the clock at `Pace.idle_speed`.

A client is never further behind than `Pace.window` events, and what is written to it and not yet on its way is bounded
too, so a client that does not read costs little memory and, after `Pace.patience_s`, its connection.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from ipaddress import ip_address
from typing import Any, Protocol

from engine.market import Bar, Event, MarketError
from engine.venues.history import Histories
from engine.venues.messages import Cancel, Message, Place, Query
from engine.venues.rules import SymbolRules
from engine.venues.venue import EmbeddedVenue
from engine.venues.wire import (
    REQUEST_LIMIT,
    VERSION,
    AskTruth,
    BarsOf,
    ClientFrame,
    Ended,
    Events,
    Failed,
    Hello,
    Lines,
    Said,
    Seen,
    Tick,
    TrueEnd,
    TrueOrder,
    VenueFrame,
    Welcome,
    WireError,
    read_client_frame,
    written,
)

_BATCH = 256
"""Events or messages in a frame at most, and steps before other connections get their turn."""

_UNSENT_LIMIT = 8 * 1024 * 1024
"""Bytes that may lie between a frame and the network for one client."""

_LINGER_S = 2.0
"""So long an erring client may take to read why it is sent away."""


class ServedVenue(EmbeddedVenue, Protocol):
    """An embedded venue that can be asked for all it knows."""

    def orders(self) -> Iterable[TrueOrder]:
        """Every order there has been, oldest first, as it is now."""

    def positions(self) -> Mapping[str, Decimal]:
        """Quantity held by symbol, negative is short; none where it is 0."""


class Clock(Protocol):
    """Real time, for the pace; a test has one of its own."""

    def now_s(self) -> float:
        """Seconds since some moment; never goes back."""

    async def wait(self, woken: asyncio.Event, timeout_s: float) -> None:
        """Until `woken` is set, or so many seconds have gone by; may return early."""


class RealClock:
    """The machine's."""

    def now_s(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    async def wait(self, woken: asyncio.Event, timeout_s: float) -> None:
        """Until `woken` is set, or so many seconds have gone by."""
        try:
            async with asyncio.timeout(timeout_s):
                await woken.wait()
        except TimeoutError:
            pass


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a market goes by."""

    speed: float | None = None
    """Multiple of real time; None for as fast as the clients that want the market can follow."""
    idle_speed: float = 1.0
    """Multiple of real time at full speed while nobody wants the market, and after its end."""
    at_once: bool = False
    """Whether the market starts without waiting for a first client that wants it."""
    window: int = 16
    """The most events sent to a client ahead of what it has taken: so old is what it acts on, at most.

    With 1, venue and client go in step, at some 10,000 events/s; with 16 the limit is some 80,000.
    """
    heartbeat_s: float = 0.1
    """Real time between two ticks."""
    patience_s: float = 10.0
    """Real time for which the market waits for a client that takes nothing, before it is sent away."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a venue tells a client that comes: its symbols, its market, its settings."""

    symbols: Sequence[SymbolRules]
    market: str
    """The feed, for people."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    warm_up: Mapping[str, Sequence[Bar]] = field(default_factory=dict)
    """One-minute bars before the market, oldest first."""
    bars_of: Mapping[str, BarsOf] = field(default_factory=dict)
    """What bars are made of; prints for a symbol left out."""
    keep_bars: int = 501
    """Bars that a client is told of: a full long window of ATR, and the one before it."""
    max_flat_minutes: int = 10
    """Minutes without a price that count as a quiet market (`MinuteBars`)."""


class PaperServer:
    """A venue on a socket.

    `start` opens it, `run` lets time go by until `stop`. Raises `MarketError` where already the first event cannot be
    read; where a later one cannot, the market ends there and `failure` says why.
    """

    def __init__(
        self,
        venue: ServedVenue,
        events: Iterable[Event],
        pace: Pace,
        offer: Offer,
        *,
        clock: Clock | None = None,
        on_end: Callable[[str], None] | None = None,
    ) -> None:
        """`on_end` is told once, in words, when and why the market is over."""
        self.venue = venue
        self.failure: MarketError | None = None
        self._events = iter(events)
        self._pace = pace
        self._offer = offer
        self._clock: Clock = clock or RealClock()
        self._on_end = on_end
        self._histories = Histories(
            [of.symbol for of in offer.symbols],
            warm_up=offer.warm_up,
            bars_of=offer.bars_of,
            keep=offer.keep_bars,
            max_flat_minutes=offer.max_flat_minutes,
        )
        self._clients: set[_Client] = set()  # those that have been welcomed
        self._connections: set[_Client] = set()
        self._listener: asyncio.Server | None = None
        self._woken = asyncio.Event()
        self._stopped = False
        self._started = pace.at_once
        self._next = next(self._events, None)
        self._now_ms = 0 if self._next is None else self._next.ts_ms - 1
        self._anchor: _Anchor | None = None
        self._held_since_s: float | None = None
        self._next_beat_s = self._clock.now_s()

    @property
    def now_ms(self) -> int:
        """The venue's time; before the market starts, a millisecond before its first event."""
        return self._now_ms

    @property
    def has_ended(self) -> bool:
        """Whether the market is over."""
        return self._next is None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port, which is one that was free where 0 is given. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Client(self), host, port)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def run(self) -> None:
        """Let time go by until `stop`, then close every connection."""
        try:
            while not self._stopped:
                self._woken.clear()
                is_more = self._advance()
                self._beat()
                if is_more:
                    await asyncio.sleep(0)
                else:
                    await self._clock.wait(self._woken, self._pause_s())
        finally:
            await self._close()

    def stop(self) -> None:
        """Make `run` return."""
        self._stopped = True
        self._woken.set()

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for client in tuple(self._connections):
            client.close()
        try:
            async with asyncio.timeout(_LINGER_S):
                while self._connections:
                    self._woken.clear()
                    await self._woken.wait()
        except TimeoutError:
            for client in tuple(self._connections):
                client.abort()

    # --- clients ---------------------------------------------------------------------------------------------------

    def connected(self, client: _Client) -> None:
        """Somebody is there who has said nothing yet."""
        self._connections.add(client)

    def left(self, client: _Client) -> None:
        """A client takes no part any more; its connection may take a moment longer."""
        self._clients.discard(client)
        self._woken.set()

    def disconnected(self, client: _Client) -> None:
        """A connection is gone."""
        self._connections.discard(client)
        self._woken.set()

    def take(self, client: _Client, frame: ClientFrame) -> None:
        """Do what a client says. Raises `WireError` for what it may not say."""
        if isinstance(frame, Hello):
            self._welcome(client, frame)
        elif client not in self._clients:
            raise WireError("no_hello", "the first frame has to be `hello`")
        elif isinstance(frame, Seen):
            client.has_seen(frame.events)
        elif isinstance(frame, AskTruth):
            self._tell_truth(client)
        else:
            self._ask(frame)
        self._woken.set()

    def _welcome(self, client: _Client, hello: Hello) -> None:
        if hello.v != VERSION:
            raise WireError("wrong_version", f"this venue speaks version {VERSION}, the client version {hello.v}")
        if client in self._clients:
            raise WireError("bad_frame", "a second `hello`")
        welcome = Welcome(
            v=VERSION,
            venue=self.venue.name,
            now_ms=self._now_ms,
            symbols=list(self._offer.symbols),
            market=self._offer.market,
            settings=dict(self._offer.settings),
            histories=len(self._histories),
            window=self._pace.window,
            ended=self.has_ended,
        )
        frames: list[VenueFrame] = [welcome, *self._histories.at(self._now_ms)]
        client.write_first(b"".join(written(frame) for frame in frames))
        client.wants_market = hello.market
        self._clients.add(client)
        self._started = self._started or hello.market

    def _ask(self, request: Place | Cancel | Query) -> None:
        if self._anchor is not None:
            self._advance()  # the clock has gone on since the last step
        self.venue.send(request, self._now_ms)

    def _tell_truth(self, client: _Client) -> None:
        if not client.is_local:
            raise WireError("not_allowed", "`truth` is for clients on the same machine")
        orders = list(self.venue.orders())
        end = TrueEnd(self._now_ms, len(orders), dict(self.venue.positions()))
        client.write_long([*orders, end])

    def _say(self, messages: Sequence[Message]) -> None:
        for start in range(0, len(messages), _BATCH):
            self._tell_all(Said(self._now_ms, list(messages[start : start + _BATCH])))

    def _tell_all(self, frame: VenueFrame) -> None:
        if self._clients:
            line = written(frame)
            for client in tuple(self._clients):
                client.write(line)

    def _show(self, events: Sequence[Event]) -> None:
        readers = self._readers()
        if events and readers:
            line = written(Events(list(events)))
            for client in readers:
                client.write(line)
                client.sent += len(events)

    def _readers(self) -> list[_Client]:
        return [client for client in self._clients if client.wants_market]

    def _room(self) -> float:
        """Events that every reader has room for; infinite where there is none."""
        return min((self._pace.window - client.unseen for client in self._readers()), default=math.inf)

    # --- time ------------------------------------------------------------------------------------------------------

    def _advance(self) -> bool:
        """Let happen what is due: events, and the venue's messages between them. True where more may be due now."""
        until_ms, room = self._until_ms(), self._room()
        shown: list[Event] = []
        venue, histories = self.venue, self._histories
        is_more = True
        for _ in range(_BATCH):
            event, due_ms = self._next, venue.next_ms()
            if due_ms is not None and due_ms <= until_ms and (event is None or due_ms <= event.ts_ms):
                self._show(shown)
                shown = []
                room = self._room()
                self._now_ms = max(self._now_ms, due_ms)
                self._say(venue.receive(self._now_ms))
            elif event is not None and event.ts_ms <= until_ms and len(shown) < room:
                self._now_ms = max(self._now_ms, event.ts_ms)
                venue.see(event)
                histories.see(event)
                shown.append(event)
                if not self._fetch():
                    break
            else:
                is_more = False
                break
        self._show(shown)
        if self._next is None and shown:
            self._end()
        self._hold(until_ms, moved=bool(shown))
        return is_more

    def _fetch(self) -> bool:
        """Read the next event; False where there is none."""
        try:
            self._next = next(self._events, None)
        except MarketError as error:
            self.failure = error
            self._next = None
        return self._next is not None

    def _end(self) -> None:
        reason = "the feed is over" if self.failure is None else str(self.failure)
        self._tell_all(Ended(self._now_ms, reason))
        if self._on_end is not None:
            self._on_end(reason)

    def _until_ms(self) -> float:
        """How far time may go now."""
        if not self._started:
            return self._now_ms
        speed = self._speed()
        if speed is None:
            self._anchor = None
            return math.inf
        if self._anchor is None:
            self._anchor = _Anchor(self._now_ms, self._clock.now_s(), speed)
        return self._anchor.market_ms(self._clock.now_s())

    def _speed(self) -> float | None:
        """The multiple of real time that is in force, None where clients set the pace."""
        if self._pace.speed is not None:
            return self._pace.speed
        return None if self._next is not None and self._readers() else self._pace.idle_speed

    def _hold(self, until_ms: float, *, moved: bool) -> None:
        """Bring the clock up to `until_ms`, or let it stand at an event that there is no room for."""
        event = self._next
        if event is not None and event.ts_ms <= until_ms and self._room() < 1:
            self._now_ms = event.ts_ms if self._anchor is not None else self._now_ms
            self._anchor = None  # time goes on from here when there is room
            if moved or self._held_since_s is None:
                self._held_since_s = self._clock.now_s()
            return
        self._held_since_s = None
        if self._anchor is not None and (event is None or event.ts_ms > until_ms):
            self._now_ms = max(self._now_ms, int(until_ms))

    def _pause_s(self) -> float:
        """How long nothing happens unless a client says something."""
        now_s = self._clock.now_s()
        pauses = [self._next_beat_s - now_s]
        if self._anchor is not None:
            due_ms, event = self.venue.next_ms(), self._next
            moments = [ms for ms in (due_ms, None if event is None else event.ts_ms) if ms is not None]
            pauses.extend(self._anchor.clock_s(ms) - now_s for ms in moments)
        return max(0.0, min(pauses))

    def _beat(self) -> None:
        """Say the time every now and then, and send those away who have kept the market waiting."""
        now_s = self._clock.now_s()
        if now_s >= self._next_beat_s:
            self._next_beat_s = now_s + self._pace.heartbeat_s
            self._tell_all(Tick(self._now_ms))
        if self._held_since_s is not None and now_s - self._held_since_s >= self._pace.patience_s:
            for client in self._readers():
                if client.unseen >= self._pace.window:
                    client.fail(
                        WireError("too_slow", f"no event of the market taken for {self._pace.patience_s:g} seconds")
                    )


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A moment at which market and clock were read together."""

    at_ms: int
    at_s: float
    speed: float

    def market_ms(self, clock_s: float) -> int:
        """The market's time at a moment of the clock, which may miss that moment by the width of a double."""
        return self.at_ms + int((clock_s - self.at_s) * 1000.0 * self.speed + 1e-3)

    def clock_s(self, market_ms: int) -> float:
        return self.at_s + (market_ms - self.at_ms) / 1000.0 / self.speed


class _Client(asyncio.Protocol):
    """One connection, as the server sees it."""

    def __init__(self, server: PaperServer) -> None:
        self.wants_market = False
        self.sent = 0
        """Events, since it connected."""
        self._server = server
        self._seen = 0
        self._lines = Lines(REQUEST_LIMIT)
        self._unsent_limit = _UNSENT_LIMIT
        self._transport: asyncio.Transport | None = None
        self._is_over = False  # nothing more is read or written
        self._flows = asyncio.Event()
        self._flows.set()
        self._long: asyncio.Task[None] | None = None

    @property
    def unseen(self) -> int:
        """Events sent that it has not taken yet."""
        return self.sent - self._seen

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return peer is not None and ip_address(peer[0]).is_loopback

    def has_seen(self, events: int) -> None:
        """It has taken so many events. Raises `WireError` for a number that cannot be."""
        if not self._seen <= events <= self.sent:
            raise WireError("bad_frame", f"`seen` says {events}, after {self._seen}, with {self.sent} sent")
        self._seen = events

    def write_first(self, lines: bytes) -> None:
        """Send the welcome, which with many symbols is long."""
        self._unsent_limit = len(lines) + _UNSENT_LIMIT
        self.write(lines)

    def write(self, line: bytes) -> None:
        """Send a line; too much of it unsent ends the connection."""
        if self._is_over or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(line)
        if self._transport.get_write_buffer_size() > self._unsent_limit:
            self._end()
            self._transport.abort()

    def write_long(self, frames: Sequence[VenueFrame]) -> None:
        """Send many frames, no faster than they are read."""
        self._long = asyncio.get_running_loop().create_task(self._write_long(frames))

    def fail(self, error: WireError) -> None:
        """Say why, and close."""
        if self._is_over or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(written(Failed(error.code, error.text)))
        self._end()
        # Closing at once, with bytes of the client still unread, would make the network drop the frame just written.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_S, self._transport.abort)

    def close(self) -> None:
        """Close, with what was written."""
        if self._transport is not None:
            self._end()
            self._transport.close()

    def abort(self) -> None:
        """Close, whatever is unsent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connected(self)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        try:
            for line in self._lines.feed(data):
                self._server.take(self, read_client_frame(line))
        except WireError as error:
            self.fail(error)

    def pause_writing(self) -> None:
        self._flows.clear()

    def resume_writing(self) -> None:
        self._flows.set()

    def connection_lost(self, _: Exception | None) -> None:
        self._end()
        self._server.disconnected(self)

    def _end(self) -> None:
        """It takes no part any more."""
        self._is_over = True
        if self._long is not None:
            self._long.cancel()
        self._server.left(self)

    async def _write_long(self, frames: Sequence[VenueFrame]) -> None:
        for frame in frames:
            await self._flows.wait()
            self.write(written(frame))
