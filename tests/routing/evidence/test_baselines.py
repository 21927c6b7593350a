"""Baselines: each way of routing on a scripted market, one end for all, and never more than the target."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.journal.events import BaselineDone
from engine.market import Event, Quote, Trade
from engine.routing.evidence.baselines import BASELINES, Baseline, Baselines, BaselineShape
from engine.routing.evidence.costs import shortfall
from engine.routing.shape import RouterShape
from engine.venues.messages import Accepted, Cancel, Fill, Message, Place, Query, Rejected, Request
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.rules import SymbolRules
from engine.venues.venue import EmbeddedVenue

SYMBOL = "BTCUSDT"
RULES = {
    symbol: SymbolRules(
        symbol=symbol,
        tick=Decimal("0.1"),
        step=Decimal("0.001"),
        min_qty=Decimal("0.001"),
        max_qty=Decimal(1000),
        min_notional=Decimal(5),
    )
    for symbol in (SYMBOL, "ETHUSDT")
}
ROUTER = RouterShape(cross_attempts=3, cross_again_ms=250)
TIMES = BaselineShape(timeout_s=30.0, horizon_s=60.0)


def quote(ts_ms: int, bid: float, ask: float, qty: float = 5.0, symbol: str = SYMBOL) -> Quote:
    return Quote(symbol, ts_ms, bid, ask, qty, qty)


def sold(ts_ms: int, price: float, qty: float) -> Trade:
    return Trade(SYMBOL, ts_ms, price, qty, is_buyer_maker=True)


def bought(ts_ms: int, price: float, qty: float) -> Trade:
    return Trade(SYMBOL, ts_ms, price, qty, is_buyer_maker=False)


def paper(**settings: Any) -> Callable[[Mapping[str, SymbolRules]], EmbeddedVenue]:
    given: dict[str, Any] = {
        "uplink_ms": 10,
        "downlink_ms": 10,
        "maker_fee_bps": Decimal(2),
        "taker_fee_bps": Decimal(5),
        "depth": "touch",
    }
    return lambda rules: PaperVenue(rules, PaperSettings(**{**given, **settings}))


def start(baselines: Baselines, **fields: Any) -> None:
    given: dict[str, Any] = {
        "intent_id": "one",
        "symbol": SYMBOL,
        "side": "buy",
        "target": Decimal(2),
        "arrival_mid": 100.0,
        "arrival_ms": 1_000,
        "protection_bps": 15.0,
        "limit_price": None,
        "is_exit": False,
    }
    baselines.start(**{**given, **fields})


def in_order(*events: Event) -> list[Event]:
    return sorted(events, key=lambda event: event.ts_ms)


def play(baselines: Baselines, events: Iterable[Event]) -> list[BaselineDone]:
    return [done for event in events for done in baselines.see(event)]


def run(
    events: Sequence[Event],
    *,
    make: Callable[[Mapping[str, SymbolRules]], EmbeddedVenue] | None = None,
    finish_ms: int = 1_050,
    withdrawn: bool = False,
    **intent: Any,
) -> dict[str, BaselineDone]:
    """One intent at 1,000 ms, with which the router is done at `finish_ms`; the market is over after the events."""
    baselines = Baselines(make or paper(), RULES, ROUTER, TIMES)
    done = play(baselines, (event for event in events if event.ts_ms <= 1_000))
    start(baselines, **intent)
    done += play(baselines, (event for event in events if 1_000 < event.ts_ms <= finish_ms))
    done += baselines.finish("one", finish_ms, withdrawn=withdrawn)
    done += play(baselines, (event for event in events if event.ts_ms > finish_ms))
    done += baselines.close(max(finish_ms, events[-1].ts_ms))
    assert [each.baseline for each in done] == list(BASELINES)
    assert len({each.end_mid for each in done}) == 1
    return {each.baseline: each for each in done}


QUIET: list[Event] = [quote(at, 99.9, 100.1) for at in range(0, 70_000, 500)]


# --- each way --------------------------------------------------------------------------------------------------------


def test_taker_crosses_at_arrival() -> None:
    taker = run(QUIET)["taker"]
    assert [taker.filled, taker.maker_filled] == [2, 0]
    assert taker.cost_usd == pytest.approx(200.2)
    assert taker.fees_usd == pytest.approx(200.2 * 5e-4)
    cost = shortfall(taker)
    assert cost.total_bps == pytest.approx(10.0 + 5.0 * 1.001)
    assert (cost.delay, cost.opportunity) == (0.0, 0.0)


def test_a_sell_is_the_mirror_image() -> None:
    bought_, sold_ = run(QUIET)["taker"], run(QUIET, side="sell")["taker"]
    assert sold_.cost_usd == pytest.approx(199.8)
    assert shortfall(sold_).spread_impact == pytest.approx(shortfall(bought_).spread_impact)


def test_taker_crosses_no_further_than_the_protection() -> None:
    # Within the 15 bps behind the ask of 100.1 lie 100.2, not 100.3, while the order is on its way.
    ran_a_little = [quote(1_000, 99.9, 100.1), *(quote(at, 100.0, 100.2) for at in range(1_005, 70_000, 500))]
    ran_far = [quote(1_000, 99.9, 100.1), *(quote(at, 100.9, 101.1) for at in range(1_005, 1_240, 5))]
    assert run(ran_a_little)["taker"].filled == 2
    taker = run(ran_far, finish_ms=1_235, withdrawn=True)["taker"]
    assert taker.filled == 0
    assert taker.end_mid == 101.0
    assert shortfall(taker).opportunity == pytest.approx(2.0)


def test_taker_tries_again_as_often_as_the_router_does() -> None:
    # What was taken comes back when the quote changes, be it by less than a step.
    thin: list[Event] = [quote(at, 99.9, 100.1, 0.5 + at % 200 * 1e-6) for at in range(0, 70_000, 100)]
    assert run(thin)["taker"].filled == Decimal("1.5"), "three orders, half a coin each"
    assert run(thin, limit_price=100.1)["taker"].filled == Decimal("0.5"), "a limit is tried once"


def test_maker_rests_at_the_touch_and_never_crosses() -> None:
    prints = [sold(5_000, 99.9, 5.5), sold(40_000, 99.9, 0.3)]
    maker = run(in_order(*QUIET, *prints))["maker"]
    assert (maker.filled, maker.maker_filled) == (Decimal("0.8"), Decimal("0.8")), "5 coins were ahead in the queue"
    assert maker.cost_usd == pytest.approx(0.8 * 99.9)
    assert maker.fees_usd == pytest.approx(0.8 * 99.9 * 2e-4)


def test_the_queue_bound_is_that_of_the_venue() -> None:
    events = in_order(*QUIET, sold(5_000, 99.9, 0.5))
    assert run(events)["maker"].filled == 0
    assert run(events, make=paper(queue="optimistic"))["maker"].filled == Decimal("0.5")


def test_maker_then_taker_crosses_only_what_is_left_after_its_time() -> None:
    events = in_order(*QUIET, sold(5_000, 99.9, 5.5))
    both = run(events)["maker_then_taker"]
    assert [both.filled, both.maker_filled] == [2, Decimal("0.5")]
    assert both.cost_usd == pytest.approx(0.5 * 99.9 + 1.5 * 100.1)
    assert both.fees_usd == pytest.approx(0.5 * 99.9 * 2e-4 + 1.5 * 100.1 * 5e-4)


def test_maker_then_taker_crosses_at_the_market_of_its_time_out() -> None:
    early = [quote(at, 99.9, 100.1) for at in range(0, 20_000, 500)]
    late = [quote(at, 101.9, 102.1) for at in range(20_000, 70_000, 500)]
    both = run([*early, *late])["maker_then_taker"]
    assert both.cost_usd == pytest.approx(2 * 102.1)
    assert both.sent_mid == 100.0
    assert shortfall(both).spread_impact == pytest.approx(2 * 2.1)


def test_a_limit_binds_every_way() -> None:
    done = run(QUIET, limit_price=99.5)
    assert [each.filled for each in done.values()] == [0, 0, 0]
    sold_below = in_order(*QUIET, sold(5_000, 99.4, 50.0))
    done = run(sold_below, limit_price=99.5)
    assert [each.cost_usd for each in done.values()] == [0.0, 199.0, 199.0], "and resting orders stood at the limit"


def test_a_post_only_order_that_would_take_is_sent_again_at_the_next_touch() -> None:
    # The ask falls to the bid while the order is on its way, and again while the second one is.
    falling = [
        quote(1_000, 99.9, 100.1),
        quote(1_005, 99.7, 99.9),
        quote(1_025, 99.5, 99.7),
        *(quote(at, 99.5, 99.7) for at in range(1_200, 70_000, 500)),
    ]
    events = in_order(*falling, sold(20_000, 99.5, 50.0))
    maker = run(events)["maker"]
    assert maker.filled == 2
    assert maker.cost_usd == pytest.approx(2 * 99.5)


def test_a_rest_too_small_for_the_venue_is_left_by_an_entry_and_crossed_by_an_exit() -> None:
    filled = in_order(*QUIET, sold(5_000, 99.9, 6.98))
    assert run(filled)["maker_then_taker"].filled == Decimal("1.98")
    assert run(filled, is_exit=True)["maker_then_taker"].filled == 2
    assert run(QUIET, target=Decimal("0.02"))["taker"].filled == 0
    assert run(QUIET, target=Decimal("0.02"), is_exit=True)["taker"].filled == Decimal("0.02")


def test_before_the_first_quote_every_way_waits() -> None:
    done = run([event for event in QUIET if event.ts_ms >= 3_000], arrival_mid=None)
    assert done["taker"].filled == done["maker_then_taker"].filled == 2
    assert done["taker"].sent_mid == 100.0
    assert shortfall(done["taker"]).total_usd is None


def test_an_empty_side_is_waited_out() -> None:
    events = [quote(1_000, 99.9, 0.0), quote(1_400, 99.9, 100.1), *QUIET[4:]]
    done = run(events)
    assert done["taker"].filled == 2
    assert done["maker"].sent_mid is None, "the maker could rest before there was a mid"


# --- the end ---------------------------------------------------------------------------------------------------------


def rising() -> list[Event]:
    """A mid of 100 at 0 s that rises by 0.1 a second."""
    return [quote(at, 99.9 + at // 1_000 / 10, 100.1 + at // 1_000 / 10) for at in range(0, 400_000, 500)]


@pytest.mark.parametrize(
    ("finish_ms", "fields", "end_s"),
    [
        pytest.param(1_050, {}, 61, id="done at once: a resting order still gets its time"),
        pytest.param(200_000, {}, 200, id="the router worked longer"),
        pytest.param(30_000, {"withdrawn": True}, 30, id="the strategy took it back"),
        pytest.param(1_050, {"expires_ms": 21_000}, 21, id="its time is over"),
        pytest.param(25_000, {"expires_ms": 21_000}, 25, id="its time was over, and the cancel took a while"),
    ],
)
def test_all_ways_end_at_the_same_moment(finish_ms: int, fields: dict[str, Any], end_s: int) -> None:
    done = run(rising(), finish_ms=finish_ms, **fields)
    assert done["maker"].filled == 0
    assert done["maker"].end_mid == pytest.approx(100.0 + end_s / 10)
    assert shortfall(done["maker"]).opportunity == pytest.approx(2 * end_s / 10)


def test_the_results_come_when_the_end_has_passed_and_the_cancel_is_confirmed() -> None:
    baselines = Baselines(paper(), RULES, ROUTER, TIMES)
    play(baselines, QUIET[:3])
    start(baselines)
    assert not baselines.finish("one", 1_000)
    assert not play(baselines, [event for event in QUIET if 1_000 < event.ts_ms <= 61_000])
    done = play(baselines, [quote(61_100, 99.9, 100.1)])
    assert [each.ts_ms for each in done] == [61_100] * 3
    assert baselines.open == 0


def test_what_is_filled_while_the_last_cancel_is_on_its_way_counts() -> None:
    events = in_order(*QUIET, sold(61_005, 99.9, 7.0))
    assert run(events)["maker"].filled == 2


def test_the_mid_of_a_feed_that_fell_silent_is_missing() -> None:
    events = [event for event in QUIET if event.ts_ms < 40_000]
    maker = run([*events, quote(40_000, 99.9, 100.1, symbol="ETHUSDT"), quote(70_000, 99.9, 100.1, symbol="ETHUSDT")])
    assert maker["maker"].end_mid is None
    assert shortfall(maker["maker"]).opportunity is None


def test_the_end_of_the_market_ends_everything() -> None:
    baselines = Baselines(paper(), RULES, ROUTER, TIMES)
    play(baselines, QUIET[:3])
    start(baselines)
    start(baselines, intent_id="two", side="sell")
    done = baselines.close(1_500)
    assert [(each.intent_id, each.baseline) for each in done] == [
        (intent_id, baseline) for intent_id in ("one", "two") for baseline in BASELINES
    ]
    assert [each.filled for each in done] == [2, 0, 0] * 2
    assert baselines.open == 0
    assert not baselines.close(1_600)


def test_an_intent_that_nobody_started_or_that_has_ended_finishes_to_nothing() -> None:
    baselines = Baselines(paper(), RULES, ROUTER, TIMES)
    assert not baselines.finish("nobody", 5)
    play(baselines, QUIET[:3])
    start(baselines)
    baselines.finish("one", 2_000, withdrawn=True)
    assert not baselines.finish("one", 3_000)


def test_too_many_at_once_are_counted_and_left() -> None:
    baselines = Baselines(paper(), RULES, ROUTER, BaselineShape(most_open=1))
    play(baselines, QUIET[:3])
    start(baselines)
    start(baselines, intent_id="two")
    assert (baselines.open, baselines.skipped) == (1, 1)


# --- the venue -------------------------------------------------------------------------------------------------------


class Scripted:
    """A venue that writes down what it is sent, and says what the test tells it to."""

    name = "scripted"

    def __init__(self, rules: Mapping[str, SymbolRules]) -> None:
        self.rules = rules
        self.sent: list[tuple[int, Request]] = []
        self.seen: list[Event] = []
        self.messages: list[tuple[int, Message]] = []

    def see(self, event: Event) -> None:
        self.seen.append(event)

    def send(self, request: Request, now_ms: int) -> None:
        self.sent.append((now_ms, request))

    def set_clock(self, now_ms: int) -> None:
        """Requests bear no time."""

    def say(self, *messages: Message) -> None:
        self.messages += [(message.ts_ms, message) for message in messages]

    def next_ms(self) -> int | None:
        return min((due_ms for due_ms, _ in self.messages), default=None)

    def receive(self, now_ms: int) -> Sequence[Message]:
        due = [message for due_ms, message in self.messages if due_ms <= now_ms]
        self.messages = [(due_ms, message) for due_ms, message in self.messages if due_ms > now_ms]
        return due


class Venues:
    """Makes scripted venues, one for each baseline."""

    def __init__(self) -> None:
        self.made: list[Scripted] = []

    def __call__(self, rules: Mapping[str, SymbolRules]) -> Scripted:
        self.made.append(Scripted(rules))
        return self.made[-1]

    def of(self, baseline: Baseline) -> Scripted:
        return self.made[BASELINES.index(baseline)]


def filled(ts_ms: int, qty: object, trade_id: str = "1", client_id: str = "b-1") -> Fill:
    return Fill(
        ts_ms, client_id, trade_id, SYMBOL, "buy", Decimal(str(qty)), Decimal("99.9"), Decimal(0), is_maker=True
    )


def timed_out() -> tuple[Baselines, Scripted]:
    """An intent whose order rests at the venue of maker_then_taker; its time is over, and the cancel was sent."""
    venues = Venues()
    baselines = Baselines(venues, RULES, ROUTER, TIMES)
    play(baselines, QUIET[:3])
    start(baselines)
    venue = venues.of("maker_then_taker")
    venue.say(Accepted(1_010, "b-1", "place", "open", Decimal(0)))
    play(baselines, [event for event in QUIET if 1_000 < event.ts_ms <= 31_500])
    assert venue.sent[-1] == (31_000, Cancel("b-1", SYMBOL))
    return baselines, venue


def test_nothing_crosses_before_the_cancel_is_confirmed() -> None:
    baselines, venue = timed_out()
    play(baselines, [event for event in QUIET if 31_500 < event.ts_ms <= 40_000])
    assert len(venue.sent) == 2
    venue.say(Accepted(40_010, "b-1", "cancel", "cancelled", Decimal(0)))
    play(baselines, [quote(40_005, 99.9, 100.1), quote(40_100, 99.9, 100.1)])
    at_ms, order = venue.sent[-1]
    assert at_ms == 40_010
    assert isinstance(order, Place)
    assert order.kind == "ioc"
    assert order.qty == 2
    assert not order.reduce_only
    assert order.price == Decimal("100.2"), "the ask of 100.1 and 15 bps, rounded towards the better price"


def test_a_fill_while_it_is_cancelled_is_not_crossed_again() -> None:
    baselines, venue = timed_out()
    venue.say(
        filled(31_505, "0.5"), filled(31_506, "0.5"), Accepted(31_510, "b-1", "cancel", "cancelled", Decimal("0.5"))
    )
    play(baselines, [quote(31_501, 99.9, 100.1), quote(31_600, 99.9, 100.1)])
    order = venue.sent[-1][1]
    assert isinstance(order, Place)
    assert order.qty == Decimal("1.5")


def test_a_quantity_that_is_reported_without_its_trade_is_waited_for() -> None:
    baselines, venue = timed_out()
    venue.say(Accepted(31_510, "b-1", "cancel", "cancelled", Decimal("0.5")))
    play(baselines, [quote(31_501, 99.9, 100.1), quote(31_600, 99.9, 100.1)])
    assert not isinstance(venue.sent[-1][1], Place)
    venue.say(filled(31_700, "0.5"))
    play(baselines, [quote(31_601, 99.9, 100.1), quote(31_800, 99.9, 100.1)])
    order = venue.sent[-1][1]
    assert isinstance(order, Place)
    assert order.qty == Decimal("1.5")


def test_a_cancel_that_missed_is_looked_up() -> None:
    baselines, venue = timed_out()
    venue.say(Rejected(31_510, "b-1", "cancel", -2011, "Unknown order sent."))
    play(baselines, [quote(31_501, 99.9, 100.1), quote(31_600, 99.9, 100.1)])
    assert venue.sent[-1] == (31_510, Query("b-1", SYMBOL))
    venue.say(filled(31_610, 2), filled(31_610, 2), Accepted(31_610, "b-1", "query", "filled", Decimal(2)))
    play(baselines, [quote(31_601, 99.9, 100.1), quote(31_700, 99.9, 100.1)])
    assert len(venue.sent) == 3
    done = {each.baseline: each for each in baselines.close(32_000)}
    assert done["maker_then_taker"].filled == 2
    assert done["maker_then_taker"].cost_usd == pytest.approx(199.8)


def test_a_post_only_order_that_was_refused_waits_for_another_quote() -> None:
    venues = Venues()
    baselines = Baselines(venues, RULES, ROUTER, TIMES)
    play(baselines, QUIET[:3])
    start(baselines)
    maker = venues.of("maker")
    maker.say(Rejected(1_010, "b-1", "place", -5022, "would take"))
    play(baselines, [sold(1_005, 99.9, 1.0), sold(1_100, 99.9, 1.0)])
    assert len(maker.sent) == 1
    play(baselines, [quote(1_200, 99.7, 99.8)])
    at_ms, order = maker.sent[-1]
    assert at_ms == 1_200
    assert isinstance(order, Place)
    assert order.price == Decimal("99.7")


def test_a_refusal_other_than_post_only_makes_it_cross_and_ends_the_maker() -> None:
    venues = Venues()
    baselines = Baselines(venues, RULES, ROUTER, TIMES)
    play(baselines, QUIET[:3])
    start(baselines)
    for baseline in BASELINES:
        venues.of(baseline).say(Rejected(1_010, "b-1", "place", -4005, "Quantity greater than max quantity."))
    play(baselines, QUIET[3:8])
    kinds = {
        baseline: [order.kind for _, order in venues.of(baseline).sent if isinstance(order, Place)]
        for baseline in BASELINES
    }
    assert kinds == {"taker": ["ioc"], "maker_then_taker": ["post_only", "ioc"], "maker": ["post_only"]}


def test_a_venue_sees_the_market_only_while_there_is_something_on_it() -> None:
    venues = Venues()
    baselines = Baselines(venues, RULES, ROUTER, TIMES)
    play(baselines, QUIET[:3])
    start(baselines)
    taker = venues.of("taker")
    assert taker.seen == [QUIET[2]], "the last quote, to begin with"
    taker.say(filled(1_010, 2), Accepted(1_010, "b-1", "place", "filled", Decimal(2)))
    play(baselines, QUIET[3:10])
    assert taker.seen == QUIET[2:4], "the quote after which its fill was heard is the last it was shown"
    assert venues.of("maker").seen == QUIET[2:10]
    start(baselines, intent_id="two", arrival_ms=4_600)
    assert taker.seen == [*QUIET[2:4], QUIET[9]]
    start(baselines, intent_id="three", arrival_ms=4_600)
    assert taker.seen == [*QUIET[2:4], QUIET[9]], "what it was shown it is not shown again"


def test_each_symbol_has_venues_of_its_own_and_exits_are_free_of_the_least_notional() -> None:
    venues = Venues()
    baselines = Baselines(venues, RULES, ROUTER, TIMES)
    for symbol in (SYMBOL, "ETHUSDT"):
        play(baselines, [quote(0, 99.9, 100.1, symbol=symbol)])
        start(baselines, intent_id=symbol, symbol=symbol)
    assert len(venues.made) == 6
    assert [set(venue.rules) for venue in venues.made] == [{SYMBOL}] * 3 + [{"ETHUSDT"}] * 3
    assert {rules.min_notional for venue in venues.made for rules in venue.rules.values()} == {0}


# --- properties ------------------------------------------------------------------------------------------------------


def random_market(seed: int, *, seconds: int) -> list[Event]:
    """A walk of quotes with prints around the touch; sometimes a side is empty or the book is locked."""
    chance = random.Random(seed)
    bid, events, at_ms = 1000, list[Event](), 0
    while at_ms < seconds * 1_000:
        at_ms += chance.randrange(1, 400)
        bid += chance.choice((-2, -1, 0, 0, 0, 0, 0, 1, 2))
        width = chance.choice((0, 1, 1, 1, 2, 20))
        empty = chance.random() < 0.02
        events.append(quote(at_ms, 0.0 if empty else bid / 10, (bid + width) / 10, chance.randrange(1, 40) / 10))
        if chance.random() < 0.4:
            is_sell = chance.random() < 0.5
            price = (bid if is_sell else bid + width) / 10
            events.append(Trade(SYMBOL, at_ms, price, chance.randrange(1, 12) / 10, is_buyer_maker=is_sell))
    return events


def many(seed: int, *, queue: str = "optimistic", latency_ms: int = 20) -> list[BaselineDone]:
    """A session of a few dozen intents of both sides, some of them limits, some withdrawn."""
    chance = random.Random(seed + 1)
    make = paper(queue=queue, uplink_ms=latency_ms, downlink_ms=latency_ms)
    venues: list[PaperVenue] = []

    def make_and_keep(rules: Mapping[str, SymbolRules]) -> EmbeddedVenue:
        venue = make(rules)
        assert isinstance(venue, PaperVenue)
        venues.append(venue)
        return venue

    baselines = Baselines(
        make_and_keep,
        RULES,
        ROUTER,
        BaselineShape(timeout_s=4.0, horizon_s=10.0),
    )
    done: list[BaselineDone] = []
    ends: list[tuple[int, str, bool]] = []
    number = 0
    now_ms = 0
    for event in random_market(seed, seconds=60):
        for due in [each for each in ends if each[0] < event.ts_ms]:
            ends.remove(due)
            done += baselines.finish(due[1], max(now_ms, due[0]), withdrawn=due[2])
        now_ms = event.ts_ms
        done += baselines.see(event)
        if isinstance(event, Quote) and event.bid and chance.random() < 0.1:
            number += 1
            side = chance.choice(("buy", "sell"))
            start(
                baselines,
                intent_id=str(number),
                side=side,
                target=Decimal(chance.randrange(1, 5_000)) / 1000,
                arrival_ms=now_ms,
                arrival_mid=(event.bid + event.ask) / 2,
                limit_price=chance.choice((None, None, event.bid, event.ask)),
                is_exit=chance.random() < 0.3,
                expires_ms=chance.choice((None, now_ms + 3_000)),
            )
            ends.append((now_ms + chance.randrange(30, 20_000), str(number), chance.random() < 0.2))
    done += baselines.close(now_ms)
    assert len(done) == 3 * number > 0
    assert baselines.open == 0
    for baseline, venue in zip(BASELINES, venues, strict=True):
        signed = (each.filled if each.side == "buy" else -each.filled for each in done if each.baseline == baseline)
        assert venue.positions().get(SYMBOL, 0) == sum(signed), "no fill goes unnoticed"
    return done


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from(["pessimistic", "optimistic"]), st.sampled_from([0, 1, 20, 400]))
def test_no_way_fills_more_than_the_target_and_each_keeps_to_its_kind(seed: int, queue: str, latency_ms: int) -> None:
    for each in many(seed, queue=queue, latency_ms=latency_ms):
        assert 0 <= each.filled <= each.target
        assert 0 <= each.maker_filled <= each.filled
        if each.baseline == "taker":
            assert each.maker_filled == 0
        if each.baseline == "maker":
            assert each.maker_filled == each.filled


def test_the_same_events_give_the_same_baselines() -> None:
    first, second = many(3), many(3)
    assert first == second
    assert first != many(4)
    assert {each.baseline for each in first if 0 < each.maker_filled < each.filled} == {"maker_then_taker"}
