"""What drives a session: which of several things comes first, holes in a market, midnight, and starting again.

How sessions begin and end over a market of their own is in `test_session.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest

from engine.journal.errors import JournalUnwritableError
from engine.journal.events import (
    CancelPlanned,
    CancelRequested,
    Checkpoint,
    Event,
    Heard,
    Imported,
    IntentReceived,
    IntentRefused,
    OrderPlanned,
    Outcome,
    QueryPlanned,
    SessionEnded,
    SessionStarted,
)
from engine.journal.reader import read, verify
from engine.market import Bar, Quote, Trade
from engine.market import Event as MarketEvent
from engine.routing.account import Account
from engine.routing.autotune import Tuning
from engine.routing.breakers import Breakers
from engine.routing.facts import SymbolFacts
from engine.routing.sessions import session
from engine.routing.sessions.importing import import_telemetry
from engine.routing.sessions.session import Ending
from engine.routing.sessions.start import JOURNAL, Running, SessionOptions, StartError, open_embedded, open_remote
from engine.routing.shape import SessionShape
from engine.routing.telemetry import export
from engine.routing.windows import Windows
from engine.venues.faults import Faults, Script
from engine.venues.messages import Accepted, Fill, Unknown
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.rules import SymbolRules
from engine.venues.server import Offer, Pace
from tests.routing.markets import START_MS, SYMBOL, Ran, hand_made, options, quote, run, shipped
from tests.routing.scene import Scene, client_id
from tests.venues.sockets import Served, serving

OTHER = "ETHUSDT"
MINUTE_MS = 60_000
MIDNIGHT_MS = 1_700_006_400_000

E = TypeVar("E", bound=Event)


def intents_file(folder: Path, *lines: dict[str, Any]) -> str:
    """Intents to buy that ask to rest; each line says what is special about it."""
    path = folder / "intents.jsonl"
    usual = {
        "symbol": SYMBOL,
        "side": "buy",
        "qty": 1,
        "order_type": "market",
        "maker_requested": True,
        "maker_price": 1000,
        "maker_qty": 1,
        "reduce_only": False,
    }
    path.write_text("".join(json.dumps({**usual, **line}) + "\n" for line in lines))
    return str(path)


def at(after_ms: int) -> float:
    return (START_MS + after_ms) / 1000


def steady(until_ms: int, every_ms: int = 100, *, start_ms: int = START_MS, bid: float = 100.0) -> list[MarketEvent]:
    """A market that stands still."""
    return [Quote(SYMBOL, start_ms + ms, bid, bid + 0.01, 500.0, 500.0) for ms in range(0, until_ms, every_ms)]


# --- one millisecond -------------------------------------------------------------------------------------------------


def test_of_one_millisecond_the_market_comes_first_then_messages_timers_and_intents(tmp_path: Path) -> None:
    """At 200 ms: a quote, the answer to an order sent at 150, the end of an intent that may rest for 150, an intent."""
    intents = intents_file(
        tmp_path,
        {"intent_id": "expires", "symbol": OTHER, "ts": at(50), "expires_s": 0.15},
        {"intent_id": "answered", "ts": at(150)},
        {"intent_id": "comes", "ts": at(200)},
    )
    market = [quote(0, 50.0, 50.01, OTHER), *steady(200), quote(200, 100.005, 100.01), quote(300, 100.0, 100.01)]
    ran = run(hand_made(market), tmp_path / "logs", intents=intents, telemetry="generated")
    of_interest = (Heard, CancelRequested, CancelPlanned, IntentReceived)
    now = [event for event in ran.events if event.ts_ms == START_MS + 200 and isinstance(event, of_interest)]
    assert [type(event) for event in now] == list(of_interest)
    heard, arrived = now[0], now[-1]
    assert isinstance(heard, Heard)
    assert isinstance(heard.message, Accepted)
    assert isinstance(arrived, IntentReceived)
    assert (arrived.intent_id, arrived.bid) == ("comes", 100.005)


def test_intents_without_a_time_come_after_all_that_happens_in_the_first_millisecond(tmp_path: Path) -> None:
    intents = intents_file(tmp_path, {"intent_id": "a"}, {"intent_id": "b", "symbol": OTHER})
    market = [quote(0, 100.0, 100.01), quote(0, 50.0, 50.01, OTHER), quote(0, 51.0, 51.01, OTHER), *steady(500)[1:]]
    received = run(hand_made(market), tmp_path / "logs", intents=intents).of(IntentReceived)
    assert [(event.ts_ms, event.bid) for event in received] == [(START_MS, 100.0), (START_MS, 51.0)]


def test_intents_from_before_the_market_come_with_its_beginning(tmp_path: Path) -> None:
    intents = intents_file(tmp_path, {"intent_id": "early", "ts": at(-10_000)}, {"intent_id": "later", "ts": at(50)})
    received = run(hand_made(steady(500)), tmp_path / "logs", intents=intents).of(IntentReceived)
    assert [(event.ts_ms, event.bid) for event in received] == [(START_MS, 100.0), (START_MS + 50, 100.0)]


# --- holes, beginnings and ends --------------------------------------------------------------------------------------


def test_a_hole_of_years_is_passed_at_once_and_orders_in_it_end(tmp_path: Path) -> None:
    years_ms = 3 * 365 * 86_400_000
    rests, after = {"intent_id": "rests", "ts": at(1_000)}, {"intent_id": "after", "ts": at(years_ms)}
    intents = intents_file(tmp_path, rests, after)
    market = [*steady(5_000), *steady(5_000, start_ms=START_MS + years_ms)]
    ran = run(hand_made(market), tmp_path / "logs", intents=intents, telemetry="generated")
    assert len(ran.events) < 100
    first, second = ran.of(Outcome)
    assert (first.intent_id, first.route) == ("rests", "maker")
    assert first.ts_ms < START_MS + 600_000, "it was looked after though nothing was heard of the market"
    assert second.intent_id == "after"
    assert second.arrival_mid == pytest.approx(100.005)
    assert len(ran.lines) == 2


def test_an_exit_that_finds_no_buyers_does_not_go_on_through_a_hole_of_years(tmp_path: Path) -> None:
    years_ms = 3 * 365 * 86_400_000
    usual = {"maker_requested": False, "qty": 100}
    intents = intents_file(
        tmp_path,
        {**usual, "intent_id": "entry", "ts": at(1_000)},
        {**usual, "intent_id": "exit", "ts": at(3_000), "side": "sell", "reduce_only": True},
    )
    thin = [Quote(SYMBOL, START_MS + ms, 100.0, 100.01, 0.01, 0.01) for ms in range(2_000, 5_000, 100)]
    market = [*steady(2_000), *thin, *steady(5_000, start_ms=START_MS + years_ms)]
    ran = run(hand_made(market), tmp_path / "logs", intents=intents)
    assert len(ran.events) < 5_000
    assert {event.intent_id for event in ran.of(Outcome)} == {"entry", "exit"}


def test_a_session_says_what_it_is_made_of_and_what_it_has_seen(tmp_path: Path) -> None:
    market = [*steady(1_000), Trade(SYMBOL, START_MS + 950, 100.0, 1.0, is_buyer_maker=True)]
    ran = run(hand_made(market), tmp_path, shape=SessionShape(nav_usd=5_000.0), paper=PaperSettings(uplink_ms=3))
    first, last = ran.events[0], ran.events[-1]
    assert isinstance(first, SessionStarted)
    assert (first.ts_ms, first.profile, first.nav_usd, first.resumed) == (START_MS, "prod", 5_000.0, False)
    assert (first.rulebook, first.venue, first.market) == (shipped("prod").version, "paper", "hand-made")
    assert (first.settings["paper"]["uplink_ms"], first.settings["telemetry"]) == (3, "none")
    assert last == SessionEnded(
        ts_ms=START_MS + 950,
        seq=len(ran.events),
        reason="market_ended",
        counts={"quotes": 10, "trades": 1, "left_open": 0},
    )


# --- telemetry -------------------------------------------------------------------------------------------------------


@pytest.fixture
def old_telemetry(tmp_path: Path) -> str:
    """What a session of another year has exported, for two symbols."""
    market = [quote(ms, 100.0, 100.01, symbol) for ms in (0, 100) for symbol in (SYMBOL, OTHER)]
    ran = run(hand_made(market), tmp_path / "old", telemetry="generated")
    path = tmp_path / "telemetry.jsonl"
    export(ran.logs / JOURNAL, path, source="another year")
    return str(path)


def test_samples_are_redated_to_the_first_event_of_their_symbol(tmp_path: Path, old_telemetry: str) -> None:
    year_ms = 365 * 86_400_000
    first, second = START_MS + year_ms, START_MS + year_ms + 700
    market = [*steady(2_000, start_ms=first), Quote(OTHER, second, 50.0, 50.01, 1.0, 1.0)]
    market.sort(key=lambda event: event.ts_ms)
    ran = run(hand_made(market), tmp_path / "logs", telemetry=old_telemetry, redate=True)
    took = {event.symbol: event for event in ran.of(Imported)}
    assert {symbol: event.ts_ms for symbol, event in took.items()} == {SYMBOL: first, OTHER: second}
    for event in took.values():
        assert max(sample["ts_ms"] for sample in event.samples) == event.ts_ms
        assert event.shifted_ms == event.ts_ms - START_MS
    assert ran.running.desk.effectiveness.facts(SYMBOL, first)["sample_count"] == len(took[SYMBOL].samples)


def test_samples_that_keep_their_times_count_as_old_as_they_are(tmp_path: Path, old_telemetry: str) -> None:
    year_ms = 365 * 86_400_000
    market = hand_made(steady(1_000, start_ms=START_MS + year_ms))
    ran = run(market, tmp_path / "logs", telemetry=old_telemetry)
    (took,) = ran.of(Imported)
    assert took.shifted_ms == 0
    assert ran.running.desk.effectiveness.facts(SYMBOL, took.ts_ms)["sample_count"] == 0


# --- midnight --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def midnight(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A session into another day, which begins with a fill. On the day before, autotune and a breaker have moved.

    A print of the last milliseconds fills an order, of which the router hears on the next day. The breaker is that of a
    symbol that its feed has forgotten.
    """
    folder = tmp_path_factory.mktemp("midnight")
    start_ms = MIDNIGHT_MS - 59_000
    intents = intents_file(
        folder,
        {"intent_id": "taken", "ts": (start_ms + 1_000) / 1000, "maker_requested": False, "side": "sell", "qty": 3},
        {"intent_id": "measured", "ts": (start_ms + 2_000) / 1000, "maker_price": 99.99},
        {"intent_id": "rests", "ts": (start_ms + 30_000) / 1000, "maker_price": 99.9},
        {"intent_id": "next day", "ts": (MIDNIGHT_MS + 5_000) / 1000, "maker_requested": False},
    )
    market: list[MarketEvent] = [
        Quote(OTHER, start_ms, 50.0, 50.01, 1.0, 1.0),
        *steady(59_000, start_ms=start_ms),
        Trade(SYMBOL, start_ms + 5_000, 99.95, 9.0, is_buyer_maker=True),
        Trade(SYMBOL, MIDNIGHT_MS - 10, 99.8, 900.0, is_buyer_maker=True),
        *steady(20_000, start_ms=MIDNIGHT_MS + 100, bid=101.0),
    ]
    market.sort(key=lambda event: event.ts_ms)
    return run(hand_made(market), folder / "logs", "testnet", intents=intents, telemetry="generated")


def views(ran: Ran, events: Iterable[Event]) -> dict[str, Any]:
    """What some events add up to, as far as it does not depend on the feed."""
    book = ran.running.book
    account, tuning, windows = Account(3.0), Tuning(), Windows(book.rulebook)
    breakers = Breakers(book, windows)
    for event in events:
        for view in (account, tuning, windows, breakers):
            view.see(event)
    return state(account, tuning, windows, breakers)


def state(account: Account, tuning: Tuning, windows: Windows, breakers: Breakers) -> dict[str, Any]:
    held = account.checkpoint()
    del held["marks"], held["day_nav_usd"]  # which go by quotes
    moved = {scope: each for scope, each in breakers.checkpoint().items() if each["state"] != "closed"}
    for each in moved.values():
        del each["pauses"]  # decided anew at every look
    return {**held, "tuned": tuning.checkpoint(), "windows": windows.checkpoint(), "breakers": moved}


def test_a_day_begins_with_a_checkpoint_of_all_events_before_it(midnight: Ran) -> None:
    (checkpoint,) = midnight.of(Checkpoint)
    index = midnight.events.index(checkpoint)
    first = midnight.events[index + 1]
    assert isinstance(first, Heard)
    assert isinstance(first.message, Fill)
    assert checkpoint.ts_ms == first.ts_ms == MIDNIGHT_MS + 15
    assert midnight.lines[1].splitlines()[0].startswith(b'{"type":"checkpoint"')

    folded = views(midnight, midnight.events[:index])
    said = views(midnight, [checkpoint])
    assert said == folded
    assert said["positions"] == {SYMBOL: -2}
    assert said["tuned"].keys() == {SYMBOL, OTHER}
    assert said["breakers"].keys() == {OTHER}
    assert any(said["windows"].values())


def test_the_days_from_a_checkpoint_on_add_up_to_the_same_as_all_days(midnight: Ran) -> None:
    """What came before it may be archived; and the fill that begins the day must not count twice."""
    (checkpoint,) = midnight.of(Checkpoint)
    desk = midnight.running.desk
    later = midnight.events[midnight.events.index(checkpoint) :]
    now = state(desk.account, desk.tuning, desk.windows, desk.breakers)
    assert views(midnight, midnight.events) == views(midnight, later) == now
    assert now["positions"] == {}


def test_drawdown_is_measured_from_midnight_in_the_session_as_after_a_restart(midnight: Ran) -> None:
    """NAV was lower by then than at the start; and after midnight it falls, since a short position is held."""
    (checkpoint,) = midnight.of(Checkpoint)
    sold = 1_000_000 - float(checkpoint.fees_usd) + 3 * 100.0 - 99.98
    assert checkpoint.day_nav_usd == pytest.approx(sold - 2 * 100.005, abs=0.02)
    again = Account(3.0)
    for event in midnight.events:
        again.see(event)
    assert again.checkpoint()["marks"] == midnight.running.desk.account.checkpoint()["marks"]
    facts = [account.facts(SYMBOL, 0, {}) for account in (again, midnight.running.desk.account)]
    assert facts[0] == facts[1]
    assert facts[0]["drawdown_today"] == facts[0]["nav_usd"] / checkpoint.day_nav_usd - 1.0 < 0.0


# --- a venue in another process --------------------------------------------------------------------------------------

RULE = SymbolRules(SYMBOL, Decimal("0.01"), Decimal("0.001"), Decimal("0.001"), Decimal(1_000), Decimal(5))
MANY = [
    {
        "intent_id": f"i-{number}",
        "ts": at(100 + 40 * number),
        "side": ("buy", "sell")[number % 3 == 0],
        "maker_price": (1000, 1)[number % 3 == 0],
        "maker_requested": number % 4 != 0,
        "expires_s": 3,
    }
    for number in range(100)
]


def wavering(until_ms: int) -> list[MarketEvent]:
    """A market that goes up and down by 3 bps every second, with prints on either side."""
    market: list[MarketEvent] = []
    for ms in range(0, until_ms, 50):
        bid = 100.0 + 0.01 * (ms // 250 % 4)
        market.append(Quote(SYMBOL, START_MS + ms, bid, bid + 0.01, 50.0, 50.0))
        market.append(Trade(SYMBOL, START_MS + ms + 20, bid - 0.03, 70.0, is_buyer_maker=True))
        market.append(Trade(SYMBOL, START_MS + ms + 30, bid + 0.04, 70.0, is_buyer_maker=False))
    return market


@asynccontextmanager
async def paper(market: Sequence[MarketEvent], settings: PaperSettings | None = None) -> AsyncIterator[Served]:
    """A venue on a socket, in a loop of its own pace."""
    venue = PaperVenue({SYMBOL: RULE}, settings or PaperSettings())
    async with serving(venue, market, Pace(), Offer([RULE], "a test")) as served:
        yield served


@dataclass
class Remotely:
    """Sessions at one venue, one after the other, on the same logs."""

    served: Served
    options: SessionOptions

    async def run(self, until: Callable[[Event], bool] | None = None, *, watch: Watch | None = None) -> Running:
        """A session that runs to its end, or that is cut off at once where an event is such."""
        ended: list[asyncio.Task[Ending]] = []

        def see(event: Event) -> None:
            if watch is not None:
                watch(running, event)
            if until is not None and until(event) and ended:
                ended[0].cancel()

        running = await open_remote(self.options, "127.0.0.1", self.served.port, watchers=(see,))
        ended.append(asyncio.create_task(running.run()))
        with suppress(asyncio.CancelledError):
            await ended[0]
        return running

    @property
    def events(self) -> list[Event]:
        assert verify(self.options.logs / JOURNAL) == []
        return list(read(self.options.logs / JOURNAL))

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


Watch: TypeAlias = Callable[[Running, Event], None]


def nth(kind: type[Event], number: int) -> Callable[[Event], bool]:
    """Whether it is the n-th event of a kind."""
    seen = [0]

    def is_it(event: Event) -> bool:
        seen[0] += isinstance(event, kind)
        return isinstance(event, kind) and seen[0] == number

    return is_it


def remote_options(folder: Path, *lines: dict[str, Any], **given: Any) -> SessionOptions:
    chosen = {"telemetry": "generated", "end_with_intents": True, "intents": intents_file(folder, *lines), **given}
    return options(folder / "logs", **chosen)


def test_a_session_that_was_cut_off_is_gone_on_with_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    """Cut off before anything, after a few orders were sent, and once more."""

    async def play() -> None:
        faults = Faults(place={"timeout": 0.1}, fill={"lost": 0.1, "duplicate": 0.2}, timeout_ms=300)
        async with paper(wavering(120_000), PaperSettings(faults=faults)) as served:
            sessions = Remotely(served, remote_options(tmp_path, *MANY))
            for until in (nth(SessionStarted, 1), nth(OrderPlanned, 7), nth(Heard, 40), nth(IntentReceived, 20)):
                await sessions.run(until)
            last = await sessions.run()
            assert last.so_far.reason == "intents_ended"
            assert [event.resumed for event in sessions.of(SessionStarted)] == [False, True, True, True, True]
            assert sorted(event.intent_id for event in sessions.of(IntentReceived)) == sorted(
                str(each["intent_id"]) for each in MANY
            )
            assert len(sessions.of(Imported)) == 1
            assert sessions.of(IntentRefused) == []
            orders = {order.client_id: order for order in served.server.venue.orders()}
            planned = sessions.of(OrderPlanned)
            assert len({order.client_id for order in planned}) == len(planned)
            executed: defaultdict[str, Decimal] = defaultdict(Decimal)
            for order in planned:
                if order.client_id in orders:
                    assert orders[order.client_id].status != "open"
                    executed[order.intent_id] += orders[order.client_id].filled
            outcomes = sessions.of(Outcome)
            assert len(outcomes) == len(MANY)
            assert all(each.filled == executed[each.intent_id] <= each.target for each in outcomes)
            assert Counter(each.route for each in outcomes).keys() == {"maker", "taker"}
            positions = {symbol: qty for symbol, qty in last.desk.account.positions.items() if qty}
            assert positions == served.server.venue.positions()

    asyncio.run(play())


def test_telemetry_that_was_imported_before_the_first_session_is_not_taken_for_one(tmp_path: Path) -> None:
    """Cash would be missing: a session that goes on has it from its journal."""
    path = tmp_path / "telemetry.jsonl"
    old = run(hand_made(steady(200)), tmp_path / "old", telemetry="generated")
    export(old.logs / JOURNAL, path, source="old")
    import_telemetry(tmp_path / "logs", path)

    async def play() -> None:
        async with paper(steady(5_000)) as served:
            sessions = Remotely(served, remote_options(tmp_path, telemetry="none"))
            running = await sessions.run()
            (started,) = sessions.of(SessionStarted)
            assert (started.resumed, running.resumed) == (False, 1)
            assert running.desk.account.nav == 1_000_000

    asyncio.run(play())


def test_a_venue_that_is_gone_does_not_keep_a_session_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time stands still, so nothing that waits for it ever comes; and cancels are not tried as fast as can be."""
    monkeypatch.setattr(session, "_LONGEST_WAIT_S", 0.005)
    monkeypatch.setattr(session, "_MOST_SILENT_S", 0.02)

    async def play() -> None:
        async with paper(steady(600_000)) as served:
            rests = {"intent_id": "rests", "ts": at(100), "maker_price": 90}
            sessions = Remotely(served, remote_options(tmp_path, rests))

            def watch(running: Running, event: Event) -> None:
                if isinstance(event, Heard) and event.state == "open":
                    served.server.stop()
                    running.stop("enough")

            running = await sessions.run(watch=watch)
            assert (running.so_far.reason, running.so_far.left_open) == ("enough", 1)
            assert len(sessions.of(CancelPlanned)) == 1
            assert isinstance(sessions.events[-1], SessionEnded)

    asyncio.run(play())


def test_a_session_at_its_limit_still_hears_the_venue_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async def play() -> None:
        async with paper(steady(200_000)) as served:
            rests = {"intent_id": "rests", "ts": at(100), "maker_price": 90}
            chosen = remote_options(tmp_path, rests, end_with_intents=False, shape=SessionShape(limit_quotes=20))
            sessions = Remotely(served, chosen)
            running = await sessions.run()
            assert (running.so_far.reason, running.so_far.left_open) == ("limit_quotes", 0)
            assert running.so_far.quotes.total() == 20
            assert {order.status for order in served.server.venue.orders()} == {"cancelled"}

    asyncio.run(play())


def test_a_session_that_is_about_to_end_takes_no_more_intents(tmp_path: Path) -> None:
    """They would come after everything was withdrawn, and be left behind."""

    async def play() -> None:
        async with paper(steady(200_000), PaperSettings(uplink_ms=2_000)) as served:
            late = [{"intent_id": f"late {ms}", "ts": at(ms), "maker_price": 90} for ms in range(4_500, 60_000, 500)]
            rests = {"intent_id": "rests", "ts": at(100), "maker_price": 90}
            sessions = Remotely(served, remote_options(tmp_path, rests, *late))

            def watch(running: Running, event: Event) -> None:
                if isinstance(event, Heard) and event.state == "open":
                    running.stop("enough")

            running = await sessions.run(watch=watch)
            assert (running.so_far.reason, running.so_far.left_open) == ("enough", 0)
            assert [event.intent_id for event in sessions.of(IntentReceived)] == ["rests"]

    asyncio.run(play())


def test_after_a_break_of_the_connection_every_order_that_may_live_is_asked_for(tmp_path: Path) -> None:
    """What filled meanwhile was told to nobody, and no rule would look for it for minutes."""

    async def play() -> None:
        async with paper(steady(600_000)) as served:
            rests = {"intent_id": "rests", "ts": at(100), "maker_price": 90, "expires_s": 300}
            sessions = Remotely(served, remote_options(tmp_path, rests))
            cut: list[int] = []

            def watch(_: Running, event: Event) -> None:
                if isinstance(event, Heard) and event.state == "open" and not cut:
                    cut.append(event.ts_ms)
                    for client in tuple(served.server._connections):
                        client.abort()

            running = await sessions.run(watch=watch)
            assert running.so_far.reason == "intents_ended"
            asked = sessions.of(QueryPlanned)
            assert asked
            assert asked[0].ts_ms - cut[0] < 60_000
            assert "connection" in next(
                each.message.cause for each in sessions.of(Heard) if isinstance(each.message, Unknown)
            )

    asyncio.run(play())


def test_a_symbol_that_the_venue_did_not_name_is_passed_over(tmp_path: Path) -> None:
    """As after a venue was started again with other symbols, while the session went on."""

    async def play() -> None:
        market = steady(5_000)
        market[10:10] = [Quote(OTHER, START_MS + 950, 50.0, 50.1, 1.0, 1.0)]
        async with paper(market) as served:
            sessions = Remotely(served, remote_options(tmp_path, end_with_intents=False))
            running = await sessions.run()
            assert running.so_far.reason == "market_ended"
            assert OTHER not in running.desk.around.symbols

    asyncio.run(play())


def test_the_journal_of_a_replay_is_not_gone_on_with(tmp_path: Path) -> None:
    run(hand_made(steady(200)), tmp_path / "logs")

    async def play() -> None:
        async with paper(steady(200)) as served:
            with pytest.raises(StartError, match="is of a replay"):
                await open_remote(remote_options(tmp_path), "127.0.0.1", served.port)

    asyncio.run(play())


# --- what starting again found ---------------------------------------------------------------------------------------


def test_a_cancel_that_is_refused_is_sent_again_but_not_at_once() -> None:
    """A venue that is away refuses without delay: the journal would fill with attempts."""
    scene = Scene(scripts={client_id("i-1", 1): Script(cancel=("unavailable",) * 3)}, uplink_ms=1, downlink_ms=1)
    scene.send()
    scene.wait(200)
    scene.cancel("i-1")
    scene.wait(1_000)
    cancels = [event.ts_ms for event in scene.of(CancelPlanned)]
    assert [later - earlier for earlier, later in pairwise(cancels)] == [200, 200, 200]
    assert scene.outcome.reason == "cancelled"


def test_a_router_that_starts_again_and_again_says_of_an_order_only_once_that_it_is_unknown() -> None:
    """With a line for each order at each start, many orders kept a router that was killed often from anything else."""
    first = Scene()
    first.send()
    past = list(first.journal.events)
    for written in (1, 0, 0):
        again = Scene()
        before = len(again.journal.events)
        again.router.resume(past)
        fresh = again.journal.events[before:]
        assert [event.state for event in fresh if isinstance(event, Heard)] == ["unknown"] * written
        past += fresh


def test_a_quote_older_than_the_bars_that_a_router_begins_with_counts_for_the_minute_after_them() -> None:
    """A venue tells a router that comes late of its closed bars and its last quote; of a thin symbol that is old."""
    facts = SymbolFacts(SYMBOL, SessionShape(atr_short_bars=1, atr_long_bars=2), warm_up=bars(3))
    facts.see_quote(Quote(SYMBOL, START_MS + MINUTE_MS, 100.0, 100.01, 1.0, 1.0))
    groups = facts.groups(START_MS + 4 * MINUTE_MS)
    assert groups["market"] is not None
    assert groups["bars"] is not None
    assert groups["market"]["observed_at"] == at(MINUTE_MS)
    assert groups["bars"]["observed_at"] == at(4 * MINUTE_MS)


def bars(number: int) -> list[Bar]:
    """Minutes from `START_MS` on."""
    return [
        Bar(
            SYMBOL,
            START_MS + minute * MINUTE_MS,
            100.0,
            100.5,
            99.5,
            100.0,
            1.0,
            START_MS + minute * MINUTE_MS + 59_999,
        )
        for minute in range(number)
    ]


def test_an_exit_below_the_least_notional_keeps_the_flag_without_which_the_venue_would_refuse_it() -> None:
    """The rules of testnet drop the flag from an order that closes the whole position, however small that is."""
    flags = {}
    for parts in ((0.002,), (0.001, 0.001)):
        scene = Scene("testnet", telemetry={"sample_count": 0.0})
        scene.send("buy", 0.002, maker_requested=False)
        scene.wait(200)
        for part in parts:
            scene.send("sell", part, reduce_only=True)
            scene.wait(200)
        assert scene.account.positions[SYMBOL] == 0
        flags[parts] = [order.reduce_only for order in scene.orders[1:]]
    assert flags == {(0.002,): [False], (0.001, 0.001): [True, True]}


def test_a_journal_that_cannot_be_closed_is_said_beside_what_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = open_embedded(options(tmp_path), hand_made([quote(0, 60000.0, 60000.1), quote(1_000, 60000.0, 60000.1)]))
    close = running.journal.close

    def fail() -> None:
        close()
        raise JournalUnwritableError(tmp_path, None, "12 bytes of events are lost: no space left", "make room")

    monkeypatch.setattr(running.journal, "close", fail)
    assert asyncio.run(running.run()).reason == "market_ended"
    assert running.lost == "12 bytes of events are lost: no space left: make room"
