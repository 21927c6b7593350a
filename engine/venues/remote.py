"""A venue in another process, for a router: requests leave without waiting, and what comes is taken when it suits.

In: host and port of a venue (`server`). Out: a `Venue`, with the market of that venue as a stream. A router's loop:

    venue = await RemoteVenue.connect("127.0.0.1", 7077)
    while not venue.is_over:
        await venue.wait(1.0)
        while (event := venue.poll()) is not None:
            ...  # first what `venue.receive(event.ts_ms)` gives, then the event
        ...  # what `venue.receive(venue.now_ms())` gives, then the time itself

A connection that breaks leaves no request open: each that was not answered becomes `Unknown`, since it may have arrived
or not, and a request made without a connection is `Rejected` with 503, since it certainly did not. The connection is
made again by itself, with pauses that grow. What the venue said meanwhile is gone: ask (`Query`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from engine.market import Event
from engine.venues.errors import ConnectError, reason_of
from engine.venues.messages import Accepted, Asked, Message, Rejected, Request, Unknown, asked_of
from engine.venues.rules import SymbolRules
from engine.venues.wire import (
    FRAME_LIMIT,
    VERSION,
    AskTruth,
    ClientFrame,
    Ended,
    Events,
    Failed,
    Hello,
    History,
    Lines,
    Said,
    Seen,
    Tick,
    TrueEnd,
    TrueOrder,
    VenueFrame,
    Welcome,
    WireError,
    read_venue_frame,
    written,
)

_UNSENT_LIMIT = 4 * 1024 * 1024
"""Bytes of requests that may wait for a venue that does not read; further requests are refused."""

CONNECTION_LOST = "connection lost"
"""The cause of an `Unknown` for a request that was under way when the connection broke."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between attempts to connect again: each twice the one before, up to a limit. All in real time."""

    first_s: float = 0.1
    longest_s: float = 5.0
    attempt_s: float = 5.0
    """So long an attempt may take."""

    def pauses_s(self) -> Iterator[float]:
        """Without end."""
        pause_s = self.first_s
        while True:
            yield pause_s
            pause_s = min(2 * pause_s, self.longest_s)


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything a venue knows of the account, whatever it told anyone."""

    now_ms: int
    orders: Mapping[str, TrueOrder]
    """By client order id, oldest first; the latest where several orders had the same."""
    twice: tuple[str, ...]
    """Client order ids of more than one order: none where no order was ever sent twice."""
    positions: Mapping[str, Decimal]
    """By symbol, negative is short; none where it is 0."""


class _Asking(NamedTuple):
    asked: Asked
    client_id: str


class RemoteVenue:
    """A venue on a socket, as the router sees it. Made by `connect`; `close` when done."""

    def __init__(
        self, host: str, port: int, client: str, backoff: Backoff, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.connections = 0
        """How often a connection was made: each time after the first, what the venue said in between was missed."""
        self.problem = ""
        """Why the last attempt to connect failed, or the last connection was closed; empty while there is one."""
        self._host = host
        self._port = port
        self._client = client
        self._backoff = backoff
        self._sleep = sleep
        self._link: _Link | None = None  # None while there is no connection
        self._welcome: Welcome | None = None
        self._histories: Mapping[str, History] = {}
        self._now_ms = 0
        self._ended: Ended | None = None
        self._events: deque[Event] = deque()
        self._old_events = 0  # of `_events`, those that an earlier connection brought
        self._messages: deque[tuple[int, Message]] = deque()  # with the venue's time when it came
        self._unanswered: Counter[_Asking] = Counter()
        self._news = asyncio.Event()  # set for a moment only, which wakes whoever waits
        self._arrived = 0  # counts the news
        self._waited = 0  # the count when `wait` last returned
        self._reconnecting: asyncio.Task[None] | None = None
        self._is_closed = False

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        *,
        client: str = "router",
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> RemoteVenue:
        """Connect to a venue that is there; later the connection is kept up without further ado.

        `client` is a name for people, `sleep` waits between attempts. Raises `ConnectError` where the first one fails.
        """
        venue = cls(host, port, client, backoff or Backoff(), sleep)
        await venue._open()
        return venue

    async def close(self) -> None:
        """Close the connection for good. What has come may still be taken."""
        self._is_closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reconnecting
        if self._link is not None:
            await self._link.close()
        self.wake()

    # --- what is known of the venue --------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """For journals and people, as the venue says it."""
        return self.welcome.venue

    @property
    def welcome(self) -> Welcome:
        """What the venue said of itself when the connection was last made."""
        assert self._welcome is not None, "connect() gives only venues that have been connected"
        return self._welcome

    @property
    def rules(self) -> Mapping[str, SymbolRules]:
        """By symbol."""
        return {of.symbol: of for of in self.welcome.symbols}

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was chosen where the venue was started."""
        return self.welcome.settings

    @property
    def histories(self) -> Mapping[str, History]:
        """By symbol: bars and the last quote when the connection was last made."""
        return self._histories

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at the moment."""
        return self._link is not None

    @property
    def has_ended(self) -> bool:
        """Whether the venue's market is over; events of it may still be there to be taken."""
        return self._ended is not None

    @property
    def is_over(self) -> bool:
        """Whether the venue's market is over and all of it has been taken."""
        return self._ended is not None and not self._events

    def now_ms(self) -> int:
        """The venue's time as far as its market has been taken: never beyond an event that still waits."""
        return self._events[0].ts_ms if self._events else self._now_ms

    # --- requests and messages -------------------------------------------------------------------------------------

    def send(self, request: Request, now_ms: int) -> None:
        """Hand a request over; returns at once. Its time is that of the venue: `now_ms` is not sent."""
        asking = _asking(request)
        link = self._link
        if link is None or link.unsent > _UNSENT_LIMIT:
            self._arrive(
                Rejected(max(now_ms, self._now_ms), asking.client_id, asking.asked, 503, "Service Unavailable.")
            )
            return
        self._unanswered[asking] += 1
        link.write(request)

    def set_clock(self, now_ms: int) -> None:
        """Its time is the venue's already, and requests bear none."""

    def next_ms(self) -> int | None:
        """When the first message that waits here left the venue; None without one. What is to come nobody knows."""
        return self._messages[0][0] if self._messages else None

    def receive(self, now_ms: int) -> Sequence[Message]:
        """The messages that have come and had left the venue by `now_ms`, in the order in which they left."""
        due: list[Message] = []
        while self._messages and self._messages[0][0] <= now_ms:
            due.append(self._messages.popleft()[1])
        return due

    # --- the market ------------------------------------------------------------------------------------------------

    def poll(self) -> Event | None:
        """The next event of the market if it has come, without waiting.

        Asking for it says that those before are done with: what was sent because of them reaches the venue before it
        goes on beyond its window.
        """
        if self._link is not None:
            self._link.tell_taken()
        if not self._events:
            return None
        if self._old_events:
            self._old_events -= 1
        elif self._link is not None:
            self._link.taken += 1
        return self._events.popleft()

    async def market(self) -> AsyncIterator[Event]:
        """The events of the market until it is over, across connections; what happened between two is left out."""
        while True:
            while (event := self.poll()) is not None:
                yield event
            if self.is_over or self._is_closed:
                return
            await self._news.wait()

    async def wait(self, timeout_s: float | None) -> bool:
        """Wait until something is new: an event, a message, the time, the connection, `wake`. False after `timeout_s`.

        While events or messages wait to be taken, it only lets others have their turn.
        """
        if self._events or self._messages or self._waited != self._arrived:
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            except TimeoutError:
                return False
        self._waited = self._arrived
        return True

    # --- the connection --------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Connect and take the welcome. Raises `ConnectError`."""
        link = _Link(Hello(v=VERSION, client=self._client), self._begin, self._hear, self._lost)
        await link.open(self._host, self._port, self._backoff.attempt_s)

    def _begin(self, link: _Link, welcome: Welcome, histories: Mapping[str, History]) -> None:
        """A connection stands, and its frames follow."""
        self.connections += 1
        self._link = link
        self._welcome = welcome
        self._histories = histories
        self._old_events = len(self._events)
        self._now_ms = max(self._now_ms, welcome.now_ms)
        self._ended = Ended(welcome.now_ms, "before this connection") if welcome.ended else None
        self.problem = ""
        self.wake()

    def _hear(self, frame: VenueFrame) -> None:
        """Take a frame after the welcome."""
        if isinstance(frame, Events):
            self._events.extend(frame.events)
            self._now_ms = max(self._now_ms, frame.events[-1].ts_ms) if frame.events else self._now_ms
        elif isinstance(frame, Said):
            self._now_ms = max(self._now_ms, frame.now_ms)
            for message in frame.messages:
                self._settle(message)
                self._arrive(message)
        elif isinstance(frame, Tick):
            self._now_ms = max(self._now_ms, frame.now_ms)
        elif isinstance(frame, Ended):
            self._now_ms = max(self._now_ms, frame.now_ms)
            self._ended = frame
        self.wake()

    def _settle(self, message: Message) -> None:
        """Cross off the request that a message answers, if it is one of this client."""
        if isinstance(message, Accepted | Rejected | Unknown):
            asking = _Asking(message.asked, message.client_id)
            if asking in self._unanswered:
                self._unanswered[asking] -= 1
                if not self._unanswered[asking]:
                    del self._unanswered[asking]

    def _arrive(self, message: Message) -> None:
        self._messages.append((self._now_ms, message))
        self.wake()

    def wake(self) -> None:
        """Let `wait` return: something is new, be it of the venue or of whoever calls this."""
        self._arrived += 1
        self._news.set()
        self._news.clear()

    def _lost(self, problem: str) -> None:
        """The connection is gone: nobody knows what became of what was asked on it."""
        self._link = None
        self.problem = problem
        for asking in self._unanswered.elements():
            self._arrive(Unknown(self._now_ms, asking.client_id, asking.asked, CONNECTION_LOST))
        self._unanswered.clear()
        self.wake()
        if not self._is_closed:
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        for pause_s in self._backoff.pauses_s():
            await self._sleep(pause_s)
            try:
                await self._open()
            except ConnectError as error:
                self.problem = error.message
            else:
                return


async def read_truth(host: str, port: int, timeout_s: float = 30.0) -> Truth:
    """Ask a venue on this machine for all its orders, trades and positions.

    Raises `ConnectError`, also where the answer takes longer than `timeout_s` of real time.
    """
    answer: asyncio.Future[TrueEnd] = asyncio.get_running_loop().create_future()
    orders: list[TrueOrder] = []

    def begin(link: _Link, _: Welcome, __: Mapping[str, History]) -> None:
        link.write(AskTruth())

    def hear(frame: VenueFrame) -> None:
        if isinstance(frame, TrueOrder):
            orders.append(frame)
        elif isinstance(frame, TrueEnd) and not answer.done():
            answer.set_result(frame)

    def lost(problem: str) -> None:
        if not answer.done():
            answer.set_exception(ConnectError(problem, "ask a venue on this machine that is running"))

    link = _Link(Hello(v=VERSION, client="truth", market=False), begin, hear, lost)
    await link.open(host, port, timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            end = await answer
    except TimeoutError:
        raise _no_answer(host, port) from None
    finally:
        await link.close()
    if end.orders != len(orders):
        raise ConnectError(f"the venue told of {len(orders)} of {end.orders} orders", "ask again")
    counts = Counter(order.client_id for order in orders)
    twice = tuple(client_id for client_id, count in counts.items() if count > 1)
    return Truth(end.now_ms, {order.client_id: order for order in orders}, twice, end.positions)


def _asking(request: Request) -> _Asking:
    return _Asking(asked_of(request), request.client_id)


def _no_answer(host: str, port: int) -> ConnectError:
    return ConnectError(f"the venue at {host}:{port} does not answer", "check that a paper venue listens there")


class _Link(asyncio.Protocol):
    """One connection, as the client sees it.

    `begin` is called with the welcome, then `hear` with each frame after it, then `lost` with the reason; none of them
    where the connection ends before the welcome.
    """

    def __init__(
        self,
        hello: Hello,
        begin: Callable[[_Link, Welcome, Mapping[str, History]], None],
        hear: Callable[[VenueFrame], None],
        lost: Callable[[str], None],
    ) -> None:
        self.taken = 0
        """Events of this connection."""
        self._hello = hello
        self._begin = begin
        self._hear = hear
        self._lost = lost
        self._lines = Lines(FRAME_LIMIT)
        self._welcome: Welcome | None = None
        self._histories: dict[str, History] = {}
        self._has_begun = False
        self._problem = ""
        self._transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()  # it has begun, or is closed
        self._is_closed = False
        self._told = 0  # of `taken`, what the venue knows of
        self._stride = 1

    async def open(self, host: str, port: int, timeout_s: float) -> None:
        """Connect and wait for the welcome. Raises `ConnectError`."""
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().create_connection(lambda: self, host, port)
                await self._changed.wait()
        except TimeoutError:
            raise _no_answer(host, port) from None
        except OSError as error:
            raise ConnectError(
                f"no venue at {host}:{port}: {reason_of(error)}",
                "start one with `sluice paper`, or name its port",
            ) from None
        finally:
            if not self._has_begun and self._transport is not None:
                self._transport.abort()
        if not self._has_begun:
            raise ConnectError(self._problem, "check that a paper venue of this version listens there")

    async def close(self) -> None:
        """Close, with what was written."""
        if self._transport is not None:
            self._transport.close()
        while not self._is_closed:
            self._changed.clear()
            await self._changed.wait()

    @property
    def unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, frame: ClientFrame) -> None:
        """Send a frame; one on a connection that is breaking is lost, as `lost` will say."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(written(frame))

    def tell_taken(self) -> None:
        """Tell the venue how many events were taken, every few."""
        if self.taken - self._told >= self._stride:
            self._told = self.taken
            self.write(Seen(self.taken))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.write(self._hello)

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._take(read_venue_frame(line))
        except WireError as error:
            self._problem = error.text
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._problem = self._problem or ("the venue closed the connection" if exc is None else str(exc).lower())
        self._is_closed = True
        self._changed.set()
        if self._has_begun:
            self._lost(self._problem)

    def _take(self, frame: VenueFrame) -> None:
        if isinstance(frame, Failed):
            self._problem = frame.text
        elif self._has_begun:
            self._hear(frame)
        elif self._welcome is None:
            if not isinstance(frame, Welcome):
                raise WireError("bad_frame", "the first frame of the venue is no `welcome`")
            if frame.v != VERSION:
                raise WireError("wrong_version", f"the venue speaks version {frame.v}, this client version {VERSION}")
            self._welcome = frame
            self._stride = max(1, frame.window // 4)
            self._begin_if_complete(frame)
        elif isinstance(frame, History):
            self._histories[frame.symbol] = frame
            self._begin_if_complete(self._welcome)

    def _begin_if_complete(self, welcome: Welcome) -> None:
        if len(self._histories) == welcome.histories:
            self._has_begun = True
            self._begin(self, welcome, self._histories)
            self._changed.set()
