"""What tests of venues on sockets share: a server that runs for a while, a client that speaks raw lines, a clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from engine.market import Event, Quote
from engine.venues.messages import Kind, Place
from engine.venues.server import Clock, Offer, Pace, PaperServer, ServedVenue
from engine.venues.wire import (
    FRAME_LIMIT,
    VERSION,
    ClientFrame,
    Events,
    Hello,
    Seen,
    Tick,
    VenueFrame,
    Welcome,
    read_venue_frame,
    written,
)
from tests.venues.fake_venue import RULES

START_MS = 1_700_000_040_000
"""A whole minute."""

OFFER = Offer([RULES], "a test")

_T = TypeVar("_T")
_Frame = TypeVar("_Frame", bound=VenueFrame)


def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a test's coroutine; one that waits for what never comes fails instead of hanging."""

    async def within() -> _T:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(within())


def quotes(number: int, every_ms: int = 100, start_ms: int = START_MS) -> list[Event]:
    return [Quote("BTCUSDT", start_ms + index * every_ms, 100.0, 100.1, 1.0, 2.0) for index in range(number)]


def order(client_id: str, kind: Kind = "post_only", qty: str = "1") -> Place:
    return Place(client_id, "BTCUSDT", "buy", Decimal(qty), kind, None if kind == "market" else Decimal(100), False)


@dataclass
class Served:
    """A server that runs, and the clients that a test has connected to it."""

    server: PaperServer
    port: int
    clients: list[RawClient] = field(default_factory=list)

    async def connect(self) -> RawClient:
        """A client that has said nothing yet."""
        client = RawClient(*await asyncio.open_connection("127.0.0.1", self.port, limit=FRAME_LIMIT))
        self.clients.append(client)
        return client

    async def client(self, *, market: bool = True) -> RawClient:
        """A client that has been welcomed."""
        client = await self.connect()
        client.write(Hello(VERSION, "test", market))
        client.welcome = await client.next_of(Welcome)
        for _ in range(client.welcome.histories):
            await client.frame()
        return client


@asynccontextmanager
async def serving(
    venue: ServedVenue,
    events: Iterable[Event],
    pace: Pace | None = None,
    offer: Offer = OFFER,
    *,
    clock: Clock | None = None,
    port: int = 0,
) -> AsyncIterator[Served]:
    server = PaperServer(venue, events, pace or Pace(), offer, clock=clock)
    bound = await server.start(port=port)
    running = asyncio.create_task(server.run())
    served = Served(server, bound)
    try:
        yield served
    finally:
        for client in served.clients:
            await client.close()
        server.stop()
        await running


class RawClient:
    """A client that sends and gets lines, and does nothing by itself."""

    welcome: Welcome

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._seen = 0

    def write(self, frame: ClientFrame) -> None:
        self.write_bytes(written(frame))

    def write_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def frame(self) -> VenueFrame:
        """The next frame; `EOFError` where the venue has closed the connection."""
        line = await self._reader.readline()
        if not line:
            raise EOFError
        return read_venue_frame(line)

    async def next_of(self, kind: type[_Frame]) -> _Frame:
        """The next frame of a kind; those before it are dropped."""
        while True:
            frame = await self.frame()
            if isinstance(frame, kind):
                return frame

    async def tick_at(self, now_ms: int) -> Tick:
        """The first tick that says this time or a later one; what comes before it is dropped."""
        while (tick := await self.next_of(Tick)).now_ms < now_ms:
            pass
        return tick

    async def take_events(self, number: int) -> list[Event]:
        """The next events of the market, each lot acknowledged as it comes."""
        taken: list[Event] = []
        while len(taken) < number:
            taken.extend((await self.next_of(Events)).events)
            self.have_seen(len(taken))
        return taken

    def have_seen(self, more: int) -> None:
        """Tell the venue of so many events in all."""
        self._seen = more
        self.write(Seen(self._seen))

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):  # the venue may have closed it first, with something unread
            await self._writer.wait_closed()


class ManualClock:
    """A clock that stands until it is told to go on; one server waits by it."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        self._until_s = 0.0
        self._woken: asyncio.Event | None = None
        self._is_waiting = asyncio.Event()

    def now_s(self) -> float:
        return self._now_s

    async def wait(self, woken: asyncio.Event, timeout_s: float) -> None:
        if timeout_s <= 0:
            await asyncio.sleep(0)
            return
        self._until_s = self._now_s + timeout_s
        self._woken = woken
        self._is_waiting.set()
        await woken.wait()
        self._is_waiting.clear()

    def creep(self, seconds: float) -> None:
        """Let time go by without waking anybody, as it does between a wake-up and what it leads to."""
        self._now_s += seconds

    async def go(self, seconds: float) -> None:
        """Let time go by, until the server has done what is due."""
        await self._is_waiting.wait()
        self._now_s += seconds
        if self._now_s >= self._until_s:
            assert self._woken is not None
            self._is_waiting.clear()
            self._woken.set()
            await self._is_waiting.wait()
