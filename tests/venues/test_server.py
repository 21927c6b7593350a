"""A venue as a process: who gets which frames in which order, how time goes by, and what ends a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import Bar, Event, MarketDataError, Quote, Trade
from engine.venues.messages import Accepted, Cancel, Fill, Query
from engine.venues.server import Offer, Pace, PaperServer, _Anchor, _Client
from engine.venues.wire import (
    REQUEST_LIMIT,
    VERSION,
    AskTruth,
    Ended,
    Events,
    Failed,
    Hello,
    History,
    Said,
    Seen,
    Tick,
    TrueEnd,
    TrueOrder,
    VenueFrame,
    Welcome,
    written,
)
from tests.venues.fake_venue import RULES, FakeVenue
from tests.venues.sockets import OFFER, START_MS, ManualClock, RawClient, finish, order, quotes, serving

ALONE = Pace(heartbeat_s=3600)
"""Without ticks in between."""


async def answers(client: RawClient, number: int) -> list[object]:
    """The next messages of the account."""
    got: list[object] = []
    while len(got) < number:
        got.extend((await client.next_of(Said)).messages)
    return got


# --- the welcome -----------------------------------------------------------------------------------------------------


def test_a_client_is_told_of_the_venue_and_its_market() -> None:
    async def work() -> None:
        offer = Offer([RULES], "a test", {"seed": 7, "queue": "pessimistic"})
        async with serving(FakeVenue(), quotes(3), Pace(window=8), offer) as served:
            client = await served.connect()
            client.write(Hello(VERSION, "test"))
            assert await client.frame() == Welcome(
                v=VERSION,
                venue="fake",
                now_ms=START_MS - 1,
                symbols=[RULES],
                market="a test",
                settings={"seed": 7, "queue": "pessimistic"},
                histories=1,
                window=8,
                ended=False,
            )
            assert await client.frame() == History("BTCUSDT", "prints", [], None)
            await client.close()

    finish(work())


def test_a_client_that_comes_late_gets_the_bars_and_the_quote_it_missed() -> None:
    before = Bar("BTCUSDT", START_MS - 60_000, 99.0, 99.5, 98.0, 99.2, 5.0, START_MS - 1)
    events: list[Event] = [
        Quote("BTCUSDT", START_MS, 100.0, 100.1, 1.0, 1.0),
        Trade("BTCUSDT", START_MS + 1000, 103.0, 2.0, False),
        Quote("BTCUSDT", START_MS + 60_000, 90.0, 91.0, 1.0, 1.0),
        Quote("BTCUSDT", START_MS + 61_000, 95.0, 96.0, 1.0, 1.0),
    ]

    async def work() -> None:
        offer = Offer([RULES], "a test", warm_up={"BTCUSDT": [before]})
        async with serving(FakeVenue(), events, ALONE, offer) as served:
            first = await served.client()
            await first.take_events(4)
            late = await served.connect()
            late.write(Hello(VERSION, "late"))
            assert (await late.next_of(Welcome)).ended
            history = await late.next_of(History)
            mid = (100.0 + 100.1) / 2
            assert history.bars == [before, Bar("BTCUSDT", START_MS, mid, 103.0, mid, 103.0, 2.0, START_MS + 59_999)]
            assert history.quote == events[-1]

    finish(work())


@pytest.mark.parametrize("keep", [1, 2])
def test_bars_are_made_of_mids_where_there_are_no_prints(keep: int) -> None:
    events: list[Event] = [
        Quote("BTCUSDT", START_MS, 100.0, 102.0, 1.0, 1.0),
        Quote("BTCUSDT", START_MS + 1, 0.0, 102.0, 0.0, 1.0),
        Trade("BTCUSDT", START_MS + 2, 500.0, 2.0, False),
        Quote("BTCUSDT", START_MS + 3, 104.0, 106.0, 1.0, 1.0),
        Quote("BTCUSDT", START_MS + 60_000, 90.0, 92.0, 1.0, 1.0),
        Quote("ETHUSDT", START_MS + 60_001, 1.0, 2.0, 1.0, 1.0),
        Quote("BTCUSDT", START_MS + 120_000, 90.0, 92.0, 1.0, 1.0),
    ]

    async def work() -> None:
        offer = Offer([RULES], "a test", bars_of={"BTCUSDT": "mids"}, keep_bars=keep)
        async with serving(FakeVenue(), events, ALONE, offer) as served:
            await (await served.client()).take_events(7)
            late = await served.connect()
            late.write(Hello(VERSION))
            history = await late.next_of(History)
            assert history.bars_of == "mids"
            assert (
                history.bars
                == [
                    Bar("BTCUSDT", START_MS, 101.0, 105.0, 101.0, 105.0, 0.0, START_MS + 59_999),
                    Bar("BTCUSDT", START_MS + 60_000, 91.0, 91.0, 91.0, 91.0, 0.0, START_MS + 119_999),
                ][-keep:]
            )

    finish(work())


def test_the_market_waits_for_the_first_client_that_wants_it() -> None:
    async def work() -> None:
        venue, clock = FakeVenue(latency_ms=0), ManualClock()
        async with serving(venue, quotes(20), Pace(), clock=clock) as served:
            watcher = await served.client(market=False)
            watcher.write(Query("a-1", "BTCUSDT"))
            await answers(watcher, 1)
            assert venue.asked[0][1] == START_MS - 1
            await clock.go(60.0)
            assert venue.seen == []
            assert served.server.now_ms == START_MS - 1
            reader = await served.client()
            assert await reader.take_events(20) == quotes(20)

    finish(work())


def test_the_market_may_start_without_anybody() -> None:
    async def work() -> None:
        venue, clock = FakeVenue(), ManualClock()
        async with serving(venue, quotes(10), Pace(speed=1.0, at_once=True), clock=clock) as served:
            client = await served.client(market=False)
            await clock.go(0.5)
            assert (await client.tick_at(START_MS)).now_ms == START_MS - 1 + 500
            assert venue.seen == quotes(5)

    finish(work())


# --- frames ----------------------------------------------------------------------------------------------------------


def test_every_client_gets_the_market_from_when_it_came() -> None:
    async def work() -> None:
        async with serving(FakeVenue(), quotes(100), ALONE) as served:
            one = await served.client()
            two = await served.client()  # when the first window is on its way already
            seen = await asyncio.gather(one.take_events(100), two.take_events(100 - ALONE.window))
            assert seen[0] == quotes(100)
            assert seen[1] == quotes(100)[ALONE.window :]

    finish(work())


def test_the_answer_to_one_client_goes_to_all() -> None:
    async def work() -> None:
        async with serving(FakeVenue(), quotes(1), ALONE) as served:
            one, two = await served.client(), await served.client(market=False)
            await one.take_events(1)
            one.write(order("a-1", "market"))
            assert await answers(one, 2) == await answers(two, 2)

    finish(work())


def test_messages_stand_among_the_events_where_their_time_is() -> None:
    async def work() -> None:
        async with serving(FakeVenue(latency_ms=250), quotes(10), Pace(window=1, heartbeat_s=3600)) as served:
            client = await served.client()
            await client.take_events(2)
            client.write(order("a-1"))
            frames: list[VenueFrame] = []
            while not isinstance(frames[-1] if frames else None, Ended):
                frames.append(await client.frame())
                if isinstance(frames[-1], Events):
                    client.have_seen(2 + sum(isinstance(frame, Events) for frame in frames))
            said = next(frame for frame in frames if isinstance(frame, Said))
            before = frames[: frames.index(said)]
            after = frames[frames.index(said) + 1 :]
            assert said.messages[0].ts_ms + 250 == said.now_ms
            assert all(frame.events[0].ts_ms <= said.now_ms for frame in before if isinstance(frame, Events))
            assert all(frame.events[0].ts_ms >= said.now_ms for frame in after if isinstance(frame, Events))

    finish(work())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"hello?\n", "not_json"),
        (b"\xff\xfe\n", "not_json"),
        (b"\n", "not_json"),
        (b'{"request":"frobnicate"}\n', "bad_frame"),
        (b'{"request":"place","client_id":"x"}\n', "bad_frame"),
        (written(Hello(VERSION)), "bad_frame"),
        (written(Seen(1_000_000)), "bad_frame"),
        (written(order("x", qty="NaN")), "bad_number"),
        (b"x" * (REQUEST_LIMIT + 1), "line_too_long"),
        (b'{"request":"cancel","client_id":"' + b"x" * 2 * REQUEST_LIMIT + b'","symbol":"B"}\n', "line_too_long"),
    ],
)
def test_a_frame_that_cannot_be_used_ends_its_own_connection_alone(data: bytes, code: str) -> None:
    async def work() -> None:
        venue = FakeVenue()
        async with serving(venue, quotes(1), ALONE) as served:
            good, bad = await served.client(), await served.client(market=False)
            await good.take_events(1)
            bad.write_bytes(data + written(order("never")))
            failed = await bad.next_of(Failed)
            assert failed.code == code
            assert failed.text
            with pytest.raises(EOFError):
                await bad.next_of(Welcome)
            good.write(order("a-1"))
            (accepted,) = await answers(good, 1)
            assert isinstance(accepted, Accepted)
            assert [request.client_id for request, _ in venue.asked] == ["a-1"], "nothing after the bad line counts"

    finish(work())


@pytest.mark.parametrize(
    ("first", "code"), [(written(order("a-1")), "no_hello"), (written(Hello(VERSION + 1)), "wrong_version")]
)
def test_a_connection_that_begins_otherwise_is_closed(first: bytes, code: str) -> None:
    async def work() -> None:
        venue = FakeVenue()
        async with serving(venue, quotes(1), ALONE) as served:
            client = await served.connect()
            client.write_bytes(first)
            failed = await client.frame()
            assert isinstance(failed, Failed)
            assert failed.code == code
            with pytest.raises(EOFError):
                await client.frame()
            assert venue.asked == []

    finish(work())


def test_a_line_may_come_in_pieces_and_several_at_once() -> None:
    async def work() -> None:
        venue = FakeVenue(latency_ms=0)
        async with serving(venue, quotes(1), ALONE) as served:
            client = await served.client()
            await client.take_events(1)
            line = written(order("a-1"))
            client.write_bytes(line[:20])
            client_too = await served.client(market=False)  # a round trip, so the piece has arrived
            client_too.write(Query("a-1", "BTCUSDT"))
            await answers(client_too, 1)
            assert [type(request) for request, _ in venue.asked] == [Query]
            client.write_bytes(line[20:] + written(order("a-2")) + written(Cancel("a-1", "BTCUSDT")))
            await answers(client, 4)
            assert [request.client_id for request, _ in venue.asked[1:]] == ["a-1", "a-2", "a-1"]

    finish(work())


# --- pace ------------------------------------------------------------------------------------------------------------


def test_the_market_is_never_further_ahead_than_the_window() -> None:
    async def work() -> None:
        venue = FakeVenue(latency_ms=0)
        async with serving(venue, quotes(1000), Pace(window=8, heartbeat_s=3600)) as served:
            client = await served.client()

            async def ahead() -> int:
                # The answer comes after all that was sent before it.
                client.write(Query("nothing", "BTCUSDT"))
                await answers(client, 1)
                return len(venue.seen)

            assert await ahead() == 8
            client.have_seen(5)
            assert await ahead() == 13
            client.have_seen(13)
            assert await ahead() == 21

    finish(work())


def test_a_message_between_two_events_makes_no_room_for_more() -> None:
    async def work() -> None:
        venue = FakeVenue(latency_ms=150)
        async with serving(venue, quotes(100), Pace(window=4, heartbeat_s=3600)) as served:
            client = await served.client()
            await client.next_of(Events)
            client.write(order("a-1"))
            client.have_seen(4)
            assert (await client.next_of(Said)).now_ms == START_MS + 450
            await client.next_of(Events)
            client.write(Query("nothing", "BTCUSDT"))
            await venue.was_asked(2)
            assert len(venue.seen) == 8

    finish(work())


def test_the_slowest_client_sets_the_pace_until_it_leaves() -> None:
    async def work() -> None:
        venue = FakeVenue()
        async with serving(venue, quotes(100), Pace(window=4, heartbeat_s=3600)) as served:
            slow = await served.client()
            await slow.next_of(Events)
            quick = await served.client()
            taking = asyncio.create_task(quick.take_events(96))
            await slow.close()
            assert await taking == quotes(100)[4:]

    finish(work())


def test_a_client_that_takes_nothing_is_sent_away_in_the_end() -> None:
    async def work() -> None:
        clock = ManualClock()
        async with serving(FakeVenue(), quotes(100), Pace(window=4, patience_s=10.0), clock=clock) as served:
            stuck = await served.client()
            await stuck.next_of(Events)
            quick = await served.client()
            await clock.go(9.9)
            assert (await quick.next_of(Tick)).now_ms == START_MS + 300
            await clock.go(0.2)
            assert (await quick.next_of(Tick)).now_ms == START_MS + 300
            assert (await stuck.next_of(Failed)).code == "too_slow"
            assert await quick.take_events(96) == quotes(100)[4:]

    finish(work())


def test_at_a_multiple_of_real_time_the_clock_says_when() -> None:
    async def work() -> None:
        clock = ManualClock()
        venue = FakeVenue(latency_ms=30)
        async with serving(venue, quotes(100), Pace(speed=2.0, heartbeat_s=0.1, window=50), clock=clock) as served:
            client = await served.client()
            await clock.go(0.2005)  # 401 ms of the market, from a millisecond before its first event
            assert await client.take_events(5) == quotes(5)
            assert (await client.tick_at(START_MS)).now_ms == START_MS + 400
            client.write(order("a-1"))
            await venue.was_asked()
            assert venue.asked[0][1] == START_MS + 400
            await clock.go(0.014)
            assert venue.next_ms() == START_MS + 430, "28 ms later it is still on its way"
            await clock.go(0.002)
            assert (await client.next_of(Said)).now_ms == START_MS + 430

    finish(work())


def test_a_request_comes_at_the_time_of_the_clock() -> None:
    async def work() -> None:
        clock, venue = ManualClock(), FakeVenue()
        async with serving(venue, quotes(100), Pace(speed=1.0), clock=clock) as served:
            client = await served.client()
            await clock.go(0.001)
            await client.take_events(1)
            clock.creep(0.150)
            client.write(order("a-1"))
            await venue.was_asked()
            assert venue.asked[0][1] == START_MS + 150
            assert venue.seen == quotes(2)

    finish(work())


@given(st.integers(0, 2**41), st.integers(0, 10**8), st.floats(0.0, 1e7), st.floats(0.001, 1e5))
def test_the_clock_reaches_a_moment_of_the_market_when_it_says_it_does(
    at_ms: int, later_ms: int, at_s: float, speed: float
) -> None:
    anchor = _Anchor(at_ms, at_s, speed)
    when_s = anchor.clock_s(at_ms + later_ms)
    assert anchor.market_ms(when_s + 1e-6) >= at_ms + later_ms
    assert anchor.market_ms(when_s) <= at_ms + later_ms + 1e-6 * 1000 * speed + 1


def test_a_client_that_was_waited_for_is_not_sent_away_later() -> None:
    async def work() -> None:
        clock = ManualClock()
        events = quotes(10, every_ms=20_000)
        async with serving(FakeVenue(), events, Pace(speed=1.0, window=1, patience_s=10.0), clock=clock) as served:
            client = await served.client()
            await clock.go(20.1)  # so the second event waits for the first to be taken
            client.have_seen(1)
            await client.next_of(Events)
            assert (await client.next_of(Events)).events == events[1:2]
            await clock.go(12.0)  # with an event not taken, but none that waits
            client.have_seen(2)
            await clock.go(8.0)
            assert (await client.next_of(Events)).events == events[2:3]

    finish(work())


def test_a_market_that_was_held_does_not_make_up_for_it() -> None:
    async def work() -> None:
        clock, venue = ManualClock(), FakeVenue()
        async with serving(venue, quotes(100), Pace(speed=1.0, window=2, patience_s=60.0), clock=clock) as served:
            client = await served.client()
            await clock.go(5.0)
            assert (await client.tick_at(START_MS)).now_ms == START_MS + 200, "time stands at what there is no room for"
            client.have_seen(2)
            assert (await client.next_of(Events)).events == [quotes(100)[2]], "and goes on from there"
            assert len(venue.seen) == 3

    finish(work())


def test_the_market_goes_on_without_clients_and_keeps_nothing_for_them() -> None:
    async def work() -> None:
        clock, venue = ManualClock(), FakeVenue(latency_ms=100)
        pace = Pace(idle_speed=10.0, heartbeat_s=0.1, window=4)
        async with serving(venue, quotes(1000), pace, clock=clock) as served:
            router = await served.client()
            await router.next_of(Events)
            router.write(order("a-1", "market"))
            await venue.was_asked()
            await router.close()
            other = await served.client(market=False)
            while served.server.now_ms < START_MS + 1000:
                await clock.go(0.1)
            assert (await other.tick_at(START_MS + 1000)).now_ms == served.server.now_ms
            assert len(venue.seen) >= 10
            back = await served.client()
            assert back.welcome.now_ms >= START_MS + 1000
            back.write(Query("a-1", "BTCUSDT"))
            frame = await back.next_of(Said)
            assert [type(message) for message in frame.messages] == [Fill, Accepted]
            assert isinstance(frame.messages[-1], Accepted)
            assert frame.messages[-1].asked == "query", "the answer to the order itself was told to nobody"

    finish(work())


def test_after_the_market_requests_are_answered_and_time_goes_on() -> None:
    async def work() -> None:
        clock, venue = ManualClock(), FakeVenue(latency_ms=50)
        async with serving(venue, quotes(3), Pace(idle_speed=2.0, heartbeat_s=0.1), clock=clock) as served:
            client = await served.client()
            await client.take_events(3)
            assert await client.next_of(Ended) == Ended(START_MS + 200, "the feed is over")
            assert served.server.has_ended
            client.write(order("a-1"))
            await venue.was_asked()
            await clock.go(0.1)
            said = await client.next_of(Said)
            assert said.now_ms == START_MS + 250
            assert (await client.next_of(Tick)).now_ms == START_MS + 400

    finish(work())


def test_a_feed_that_breaks_ends_the_market_and_says_where() -> None:
    def broken() -> Iterator[Event]:
        yield from quotes(2)
        raise MarketDataError(Path("trades.csv"), 7, "no number", "correct it")

    async def work() -> None:
        async with serving(FakeVenue(latency_ms=0), broken(), ALONE) as served:
            client = await served.client()
            assert await client.take_events(2) == quotes(2)
            assert "trades.csv:7" in (await client.next_of(Ended)).reason
            assert served.server.failure is not None
            client.write(order("a-1"))
            assert len(await answers(client, 1)) == 1

    finish(work())


def test_a_feed_whose_first_event_cannot_be_read_is_refused() -> None:
    def fail(event: Event) -> Event:
        raise MarketDataError(Path("trades.csv"), 1, "no number", f"correct {event}")

    with pytest.raises(MarketDataError, match=r"trades\.csv:1"):
        PaperServer(FakeVenue(), map(fail, quotes(1)), Pace(), OFFER)


def test_stopping_closes_every_connection() -> None:
    async def work() -> None:
        async with serving(FakeVenue(), quotes(1), ALONE) as served:
            one, two = await served.client(), await served.connect()
            served.server.stop()
            for client in (one, two):
                with pytest.raises(EOFError):
                    await client.next_of(Failed)

    finish(work())


# --- truth and memory ------------------------------------------------------------------------------------------------


def test_the_truth_is_every_order_with_its_trades_and_the_positions() -> None:
    async def work() -> None:
        async with serving(FakeVenue(latency_ms=0, silent=["a-2"]), quotes(1), ALONE) as served:
            client = await served.client()
            await client.take_events(1)
            for number in range(1, 400):
                client.write(order(f"a-{number}", "market" if number % 2 == 0 else "post_only", qty="0.5"))
            client.write(AskTruth())
            orders: list[TrueOrder] = []
            while not isinstance(frame := await client.frame(), TrueEnd):
                if isinstance(frame, TrueOrder):
                    orders.append(frame)
            assert [of.client_id for of in orders] == [f"a-{number}" for number in range(1, 400)]
            assert [fill.trade_id for fill in orders[1].fills] == ["2"], "though nobody was told"
            assert orders[0].status == "open"
            assert frame.orders == 399
            assert frame.positions == {"BTCUSDT": Decimal("99.5")}

    finish(work())


def test_the_truth_is_told_no_faster_than_it_is_read() -> None:
    async def work() -> None:
        client = _Client(PaperServer(FakeVenue(), quotes(1), ALONE, OFFER))
        transport = StubTransport("127.0.0.1")
        client.connection_made(transport)
        client.data_received(written(Hello(VERSION)) + written(order("a-1")))
        client.pause_writing()
        client.data_received(written(AskTruth()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert b"true_" not in transport.unsent
        client.resume_writing()
        for _ in range(5):
            await asyncio.sleep(0)
        assert b"true_order" in transport.unsent
        assert b"true_end" in transport.unsent

    finish(work())


class StubTransport(asyncio.Transport):
    """A connection to nowhere, which keeps what is written."""

    def __init__(self, peer: str) -> None:
        super().__init__()
        self.unsent = b""
        self.aborted = 0
        self._peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._peer, 1) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.unsent += data

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def is_closing(self) -> bool:
        return self.aborted > 0

    def can_write_eof(self) -> bool:
        return False

    def abort(self) -> None:
        self.aborted += 1


@pytest.mark.parametrize(("peer", "is_told"), [("127.0.0.1", True), ("::1", True), ("10.0.0.7", False)])
def test_only_a_client_on_the_same_machine_is_told_the_truth(peer: str, is_told: bool) -> None:
    async def work() -> None:
        client = _Client(PaperServer(FakeVenue(), quotes(1), ALONE, OFFER))
        transport = StubTransport(peer)
        client.connection_made(transport)
        client.data_received(written(Hello(VERSION)) + written(AskTruth()))
        for _ in range(3):
            await asyncio.sleep(0)
        assert (b"true_end" in transport.unsent) is is_told
        assert (b"not_allowed" in transport.unsent) is not is_told

    finish(work())


def test_a_client_that_does_not_read_costs_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.venues.server._UNSENT_LIMIT", 1000)

    async def work() -> None:
        server = PaperServer(FakeVenue(), quotes(1), ALONE, Offer([RULES], "x" * 2000))
        client = _Client(server)
        transport = StubTransport("127.0.0.1")
        client.connection_made(transport)
        client.data_received(written(Hello(VERSION)))
        assert transport.aborted == 0, "a long welcome is nothing that it could have read already"
        line = written(Tick(START_MS))
        for _ in range(100):
            client.write(line)
        assert transport.aborted == 1
        unsent = len(transport.unsent)
        assert unsent <= 2000 + 1000 + 500
        client.write(line)
        client.data_received(written(order("a-1")))
        assert len(transport.unsent) == unsent
        assert server._readers() == [], "the market does not wait for it"

    finish(work())
