"""A venue on a socket, as a router has it: the market in order, and no request left open by a broken connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from engine.market import Event
from engine.venues.errors import ConnectError
from engine.venues.messages import Accepted, Cancel, Fill, Message, Query, Rejected, Status, Unknown
from engine.venues.remote import Backoff, RemoteVenue, read_truth
from engine.venues.server import Pace
from engine.venues.venue import Venue
from engine.venues.wire import VERSION, Events, Hello, Seen, Tick, TrueEnd, TrueOrder, VenueFrame, Welcome, written
from tests.venues.fake_venue import RULES, FakeVenue
from tests.venues.sockets import START_MS, finish, order, quotes, serving

LATER_MS = START_MS * 2
QUIET = Pace(heartbeat_s=3600)


class Pauses:
    """Stands in for `asyncio.sleep`: notes how long it was asked for, and waits until it is let go."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.asked_s: list[float] = []
        self._at_once = at_once
        self._go = asyncio.Event()
        self._asked = asyncio.Condition()

    async def __call__(self, seconds: float) -> None:
        self.asked_s.append(seconds)
        async with self._asked:
            self._asked.notify_all()
        if self._at_once:
            await asyncio.sleep(0)
        else:
            await self._go.wait()
            self._go.clear()

    async def were_asked(self, times: int) -> None:
        async with self._asked:
            await self._asked.wait_for(lambda: len(self.asked_s) >= times)

    def let_go(self) -> None:
        self._go.set()


@asynccontextmanager
async def connected(port: int, pauses: Pauses | None = None) -> AsyncIterator[RemoteVenue]:
    venue = await RemoteVenue.connect("127.0.0.1", port, sleep=pauses or Pauses())
    try:
        yield venue
    finally:
        await venue.close()


class StubServer:
    """A venue that does what a test says: `frames` are sent after the welcome, and requests are only collected."""

    def __init__(self, frames: bytes = b"") -> None:
        self.lines: list[bytes] = []
        self.changed = asyncio.Event()
        self._frames = frames
        self._writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.lines.append(await reader.readline())
        writer.write(written(welcome()) + self._frames)
        while line := await reader.readline():
            self.lines.append(line)
            self.changed.set()

    async def heard(self, lines: int) -> None:
        while len(self.lines) < lines:
            self.changed.clear()
            await self.changed.wait()

    def write(self, frame: VenueFrame | bytes) -> None:
        self._writers[-1].write(frame if isinstance(frame, bytes) else written(frame))

    def drop(self) -> None:
        self._writers[-1].close()


def welcome(v: int = VERSION) -> Welcome:
    return Welcome(v, "stub", START_MS, [RULES], "a test", {}, 0, 16, False)


@asynccontextmanager
async def listening(on_connect: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> AsyncIterator[int]:
    """A port where a function talks to whoever connects."""
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        talking = on_connect(reader, writer)
        if asyncio.iscoroutine(talking):
            await talking

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


async def take(venue: Venue, number: int) -> list[Message]:
    """The next messages of a venue, whenever they left it."""
    assert isinstance(venue, RemoteVenue)
    got: list[Message] = []
    while len(got) < number:
        await venue.wait(None)
        got.extend(venue.receive(LATER_MS))
    return got


# --- orders and the market -------------------------------------------------------------------------------------------


def test_a_router_hears_what_the_venue_has_to_say_of_its_orders() -> None:
    async def work() -> None:
        async with serving(FakeVenue(latency_ms=0), quotes(1), QUIET) as served, connected(served.port) as venue:
            assert venue.name == "fake"
            assert venue.rules == {"BTCUSDT": RULES}
            venue.send(order("a-1", "market"), 0)
            venue.send(order("a-2"), 0)
            venue.send(Cancel("a-2", "BTCUSDT"), 0)
            venue.send(Query("a-3", "BTCUSDT"), 0)
            placed, fill, rests, cancelled, absent = await take(venue, 5)
            assert placed == Accepted(placed.ts_ms, "a-1", "place", "filled", Decimal(1))
            assert isinstance(fill, Fill)
            assert fill.trade_id == "1"
            assert rests == Accepted(rests.ts_ms, "a-2", "place", "open", Decimal(0))
            assert cancelled == Accepted(cancelled.ts_ms, "a-2", "cancel", "cancelled", Decimal(0))
            assert absent == Rejected(absent.ts_ms, "a-3", "query", -2013, "Unknown order.")

    finish(work())


def test_the_market_comes_whole_and_ends() -> None:
    async def work() -> None:
        async with serving(FakeVenue(), quotes(500), QUIET) as served, connected(served.port) as venue:
            assert [event async for event in venue.market()] == quotes(500)
            assert venue.is_over

    finish(work())


def test_unread_messages_do_not_keep_the_market_from_others() -> None:
    async def work() -> None:
        async with serving(FakeVenue(latency_ms=0), quotes(2), QUIET) as served, connected(served.port) as venue:
            events = venue.market()
            venue.send(order("a-1"), 0)
            await anext(events)
            while venue.next_ms() is None:
                await venue.wait(None)
            await anext(events)
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(anext(events), 10)

    finish(work())


def test_messages_and_events_can_be_taken_in_the_order_of_the_venue() -> None:
    async def work() -> None:
        fake = FakeVenue(latency_ms=250)
        async with serving(fake, quotes(200), QUIET) as served, connected(served.port) as venue:
            order_of: list[tuple[int, str]] = []
            while not venue.is_over:
                await venue.wait(None)
                while (event := venue.poll()) is not None:
                    if len(order_of) == 50:
                        venue.send(order("a-1"), event.ts_ms)
                    left_ms = venue.next_ms()
                    order_of.extend((left_ms or 0, type(message).__name__) for message in venue.receive(event.ts_ms))
                    order_of.append((event.ts_ms, "event"))
            ((_, asked_ms),) = fake.asked
            at = order_of.index((asked_ms + 250, "Accepted"))
            assert 50 < at < len(order_of) - 1
            assert order_of == sorted(order_of, key=lambda one: one[0])

    finish(work())


def test_the_time_is_never_beyond_an_event_that_waits_to_be_taken() -> None:
    async def work() -> None:
        async with serving(FakeVenue(), quotes(10), QUIET) as served, connected(served.port) as venue:
            while not venue.has_ended:
                await venue.wait(None)
            assert venue.now_ms() == START_MS
            venue.poll()
            assert venue.now_ms() == START_MS + 100
            while venue.poll() is not None:
                pass
            assert venue.now_ms() == START_MS + 900

    finish(work())


def test_a_router_that_takes_nothing_holds_no_more_than_the_window() -> None:
    async def work() -> None:
        fake = FakeVenue(latency_ms=0)
        async with (
            serving(fake, quotes(1000), Pace(window=8, heartbeat_s=3600)) as served,
            connected(served.port) as venue,
        ):
            venue.send(Query("nothing", "BTCUSDT"), 0)
            await take(venue, 1)
            assert len(fake.seen) == 8
            for _ in range(3):  # the third says that a quarter of the window is done with
                venue.poll()
            venue.send(Query("nothing", "BTCUSDT"), 0)
            await take(venue, 1)
            assert len(fake.seen) == 10

    finish(work())


def test_with_a_window_of_one_the_venue_waits_for_what_an_event_leads_to() -> None:
    async def work() -> None:
        fake = FakeVenue(latency_ms=1_000_000)
        async with (
            serving(fake, quotes(20), Pace(window=1, heartbeat_s=3600)) as served,
            connected(served.port) as venue,
        ):
            async for event in venue.market():
                venue.send(order(f"a-{event.ts_ms}"), event.ts_ms)
            before_the_last = [asked_ms for _, asked_ms in fake.asked[:19]]
            assert before_the_last == [event.ts_ms for event in quotes(19)]

    finish(work())


def test_waiting_ends_with_its_time_or_with_news() -> None:
    async def work() -> None:
        stub = StubServer()
        async with listening(stub) as port, connected(port) as venue:
            assert await venue.wait(None), "the connection was news"
            assert not await venue.wait(0)
            stub.write(Tick(START_MS + 5))
            assert await venue.wait(None)
            assert venue.now_ms() == START_MS + 5
            assert not await venue.wait(0)

    finish(work())


# --- connections that break ------------------------------------------------------------------------------------------


def test_what_was_asked_on_a_connection_that_breaks_is_unknown() -> None:
    async def work() -> None:
        stub = StubServer()
        async with listening(stub) as port, connected(port) as venue:
            for number in range(3):
                venue.send(order(f"a-{number}"), 0)
            venue.send(Cancel("a-0", "BTCUSDT"), 0)
            venue.send(Query("a-0", "BTCUSDT"), 0)
            venue.send(Query("a-0", "BTCUSDT"), 0)
            await stub.heard(7)
            stub.write(b'{"frame":"said","now_ms":%d,"messages":[%s,%s]}\n' % (START_MS + 7, ANSWER, OTHERS))
            assert len(await take(venue, 2)) == 2
            stub.drop()
            lost = await take(venue, 5)
            assert [(type(message), message.client_id) for message in lost] == [
                (Unknown, "a-0"),
                (Unknown, "a-2"),
                (Unknown, "a-0"),
                (Unknown, "a-0"),
                (Unknown, "a-0"),
            ]
            assert all(isinstance(one, Unknown) and one.cause == "connection lost" for one in lost)
            assert [one.asked for one in lost if isinstance(one, Unknown)] == [
                "place", "place", "cancel", "query", "query"
            ]  # fmt: skip
            assert {one.ts_ms for one in lost} == {START_MS + 7}
            assert venue.problem == "the venue closed the connection"

    finish(work())


ANSWER = b'{"message":"accepted","ts_ms":1,"client_id":"a-1","asked":"place","status":"open","filled":"0"}'
OTHERS = b'{"message":"accepted","ts_ms":1,"client_id":"b-9","asked":"place","status":"open","filled":"0"}'


def test_a_request_without_a_connection_is_refused_as_not_sent() -> None:
    async def work() -> None:
        stub = StubServer()
        async with listening(stub) as port, connected(port) as venue:
            await venue.wait(None)
            await stub.heard(1)
            stub.drop()
            while venue.is_connected:
                await venue.wait(None)
            venue.send(order("a-1"), START_MS + 9)
            (refused,) = venue.receive(LATER_MS)
            assert refused == Rejected(START_MS + 9, "a-1", "place", 503, "Service Unavailable.")

    finish(work())


def test_a_connection_is_made_again_and_serves_on() -> None:
    async def work() -> None:
        pauses, pace = Pauses(), Pace(window=4, heartbeat_s=3600, idle_speed=1e-6)
        async with (
            serving(FakeVenue(latency_ms=0), quotes(40), pace) as served,
            connected(served.port, pauses) as venue,
        ):
            events: list[Event] = []
            while len(events) < 6:
                await venue.wait(None)
                events.extend(drained(venue))
            for client in tuple(served.server._clients):
                client.abort()
            events.extend(await taken_until(venue, is_connected=False))
            pauses.let_go()
            events.extend(await taken_until(venue, is_connected=True))
            events.extend([event async for event in venue.market()])
            assert pauses.asked_s == [0.1]
            assert venue.problem == ""
            times = [event.ts_ms for event in events]
            assert times == sorted(set(times)), "none twice, none out of order"
            assert events[-1] == quotes(40)[-1]
            venue.send(order("a-1"), 0)
            assert len(await take(venue, 1)) == 1

    finish(work())


async def taken_until(venue: RemoteVenue, *, is_connected: bool) -> list[Event]:
    """The events that are there until the connection stands, or is gone."""
    events: list[Event] = []
    while venue.is_connected is not is_connected:
        await venue.wait(None)
        events.extend(drained(venue))
    return events


def drained(venue: RemoteVenue) -> list[Event]:
    events: list[Event] = []
    while (event := venue.poll()) is not None:
        events.append(event)
    return events


def test_events_of_an_earlier_connection_do_not_count_on_a_later_one() -> None:
    async def work() -> None:
        stub, pauses = StubServer(), Pauses()
        async with listening(stub) as port, connected(port, pauses) as venue:
            stub.write(Events(quotes(5)))
            while venue.now_ms() != START_MS:
                await venue.wait(None)
            stub.drop()
            await pauses.were_asked(1)
            pauses.let_go()
            while not venue.is_connected:
                await venue.wait(None)
            stub.write(Events(quotes(8, start_ms=START_MS + 5000)))
            stub.write(Tick(START_MS + 9000))
            taken: list[Event] = []
            while venue.now_ms() < START_MS + 9000:
                await venue.wait(None)
                taken.extend(drained(venue))
            assert taken == [*quotes(5), *quotes(8, start_ms=START_MS + 5000)]
            await stub.heard(4)
            hello = written(Hello(VERSION, "router"))
            assert stub.lines == [hello, hello, written(Seen(4)), written(Seen(8))], "every quarter of the window"

    finish(work())


def test_each_request_is_lost_once() -> None:
    async def work() -> None:
        stub, pauses = StubServer(), Pauses()
        async with listening(stub) as port, connected(port, pauses) as venue:
            for number, client_id in enumerate(["a-1", "a-2"], 1):
                venue.send(order(client_id), 0)
                await stub.heard(2 * number)
                stub.drop()
                assert [message.client_id for message in await take(venue, 1)] == [client_id]
                await pauses.were_asked(number)
                pauses.let_go()
                while not venue.is_connected:
                    await venue.wait(None)

    finish(work())


def test_a_venue_that_takes_in_nothing_more_is_as_good_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.venues.remote._UNSENT_LIMIT", -1)

    async def work() -> None:
        async with listening(StubServer()) as port, connected(port) as venue:
            venue.send(order("a-1"), 0)
            assert [type(message) for message in venue.receive(LATER_MS)] == [Rejected]

    finish(work())


def test_a_router_that_comes_after_the_market_knows_that_it_is_over() -> None:
    async def work() -> None:
        async with serving(FakeVenue(latency_ms=0), quotes(3), QUIET) as served:
            async with connected(served.port) as first:
                assert len([event async for event in first.market()]) == 3
            async with connected(served.port) as venue:
                assert venue.is_over
                assert [event async for event in venue.market()] == []
                assert venue.histories["BTCUSDT"].quote == quotes(3)[-1]
                venue.send(order("a-1"), 0)
                assert len(await take(venue, 1)) == 1

    finish(work())


def test_attempts_to_connect_again_grow_rarer_up_to_a_limit() -> None:
    async def work() -> None:
        stub, pauses = StubServer(), Pauses(at_once=True)
        async with listening(stub) as port:
            venue = await RemoteVenue.connect("127.0.0.1", port, sleep=pauses, backoff=Backoff(0.1, 1.0))
            await stub.heard(1)
        # Nobody listens any more.
        await pauses.were_asked(7)
        assert pauses.asked_s[:7] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
        assert venue.problem.endswith(": connection refused")
        await venue.close()

    finish(work())


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 400 Bad Request\n", b'{"frame":"frobnicate"}\n', b'{"frame":"said","now_ms":1,"messages":[7]}\n'],
)
def test_a_venue_that_talks_nonsense_is_left(line: bytes) -> None:
    async def work() -> None:
        stub = StubServer()
        async with listening(stub) as port, connected(port) as venue:
            venue.send(order("a-1"), 0)
            await stub.heard(2)
            stub.write(line)
            (lost,) = await take(venue, 1)
            assert isinstance(lost, Unknown)
            assert not venue.is_connected
            assert "no frame" in venue.problem or "no JSON" in venue.problem

    finish(work())


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"SSH-2.0-OpenSSH_9.6\n", "no JSON"),
        (written(Tick(5)), "no `welcome`"),
        (written(welcome(VERSION + 1)), f"version {VERSION + 1}"),
        (b'{"frame":"error","code":"wrong_version","text":"another version"}\n', "another version"),
        (b"", "closed the connection"),
    ],
)
def test_what_is_no_venue_of_this_version_is_not_connected_to(reply: bytes, text: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(reply)
        writer.close()

    async def work() -> None:
        async with listening(answer) as port:
            with pytest.raises(ConnectError, match=text) as caught:
                await RemoteVenue.connect("127.0.0.1", port)
            assert caught.value.help
            with pytest.raises(ConnectError, match=text):
                await read_truth("127.0.0.1", port)

    finish(work())


def test_a_venue_that_does_not_answer_is_given_up() -> None:
    async def work() -> None:
        async with listening(lambda *_: None) as port:
            with pytest.raises(ConnectError, match="does not answer"):
                await RemoteVenue.connect("127.0.0.1", port, backoff=Backoff(attempt_s=0.01))

    finish(work())


def test_nobody_there_is_said_with_what_to_do() -> None:
    async def work() -> None:
        async with listening(lambda *_: None) as port:
            pass
        with pytest.raises(ConnectError) as caught:
            await RemoteVenue.connect("127.0.0.1", port)
        assert caught.value.message == f"no venue at 127.0.0.1:{port}: connection refused"
        assert "sluice paper" in caught.value.help

    finish(work())


def test_closing_ends_the_market_and_leaves_no_request_open() -> None:
    async def work() -> None:
        stub, pauses = StubServer(), Pauses()
        async with listening(stub) as port, connected(port, pauses) as venue:
            reading = asyncio.create_task(anext(venue.market(), None))
            venue.send(order("a-1"), 0)
            await stub.heard(2)
            await venue.close()
            assert await reading is None
            assert [type(message) for message in venue.receive(LATER_MS)] == [Unknown]
            venue.send(order("a-2"), 0)
            assert [type(message) for message in venue.receive(LATER_MS)] == [Rejected]
            assert pauses.asked_s == [], "nobody connects again"

    finish(work())


def test_the_truth_can_be_asked_for() -> None:
    async def work() -> None:
        fake = FakeVenue(latency_ms=0, silent=["a-2"])
        async with serving(fake, quotes(1), QUIET) as served, connected(served.port) as venue:
            venue.send(order("a-1"), 0)
            venue.send(order("a-2", "market"), 0)
            await take(venue, 1)
            truth = await read_truth("127.0.0.1", served.port)
            assert list(truth.orders) == ["a-1", "a-2"]
            assert truth.twice == ()
            assert [fill.qty for fill in truth.orders["a-2"].fills] == [Decimal(1)]
            assert truth.positions == {"BTCUSDT": Decimal(1)}

    finish(work())


def test_the_truth_says_which_orders_were_sent_twice() -> None:
    def true_order(client_id: str, status: Status) -> TrueOrder:
        return TrueOrder(client_id, "BTCUSDT", "buy", "ioc", Decimal(1), Decimal(1), False, status, Decimal(0), [])

    orders = [true_order("a-1", "expired"), true_order("a-2", "open"), true_order("a-1", "open")]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(written(welcome()) + b"".join(written(one) for one in orders) + written(TrueEnd(START_MS, 3, {})))

    async def work() -> None:
        async with listening(answer) as port:
            truth = await read_truth("127.0.0.1", port)
            assert truth.twice == ("a-1",)
            assert truth.orders["a-1"].status == "open"

    finish(work())


def test_the_truth_is_not_waited_for_when_the_venue_goes() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == written(Hello(VERSION, "truth", market=False))
        writer.write(written(welcome()))
        await reader.readline()
        writer.close()

    async def work() -> None:
        async with listening(answer) as port:
            with pytest.raises(ConnectError, match="closed the connection"):
                await read_truth("127.0.0.1", port)

    finish(work())


def test_the_end_of_the_truth_says_how_many_orders_there_are() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(written(welcome()) + written(TrueEnd(START_MS, 3, {})))

    async def work() -> None:
        async with listening(answer) as port:
            with pytest.raises(ConnectError, match="0 of 3 orders"):
                await read_truth("127.0.0.1", port)

    finish(work())
