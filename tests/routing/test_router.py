"""What the router does with decisions, orders and whatever a venue says, at the shipped rules.

Each defect of the exposure kind that the replaced system had is a test here.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from engine.journal.events import (
    CancelPlanned,
    Decided,
    Heard,
    IntentReceived,
    IntentRefused,
    OrderError,
    Outcome,
    ProvedAbsent,
    QueryPlanned,
    Worked,
)
from engine.routing.intents import CancelIntent, Intent, read_request
from engine.venues.faults import Script
from engine.venues.messages import Accepted, Cancel, Fill, Place, Query, Rejected, Request, Unknown, Update
from tests.routing.scene import RULES, SYMBOL, Scene, client_id

FIRST, SECOND = client_id("i-1", 1), client_id("i-1", 2)
MARKET_BUY = {"side": "buy", "qty": 0.01, "order_type": "market", "maker_requested": False, "reduce_only": False}


def places(scene: Scene) -> list[Place]:
    return [request for _, request in scene.venue.sent if isinstance(request, Place)]


# --- maker and taker -------------------------------------------------------------------------------------------------


def test_a_maker_order_rests_behind_the_touch_and_away_from_the_market() -> None:
    """1.5 bps below 60000.0 is 59991.0; a sell 1.5 bps above 60000.1 is 60009.10…, rounded up to the tick."""
    buy, sell = Scene(), Scene()
    buy.send("buy")
    sell.send("sell")
    assert (buy.orders[0].kind, buy.orders[0].price) == ("post_only", Decimal("59991.0"))
    assert sell.orders[0].price == Decimal("60009.2")


def test_a_maker_price_that_is_less_aggressive_than_the_touch_counts() -> None:
    scene = Scene()
    scene.send("buy", maker_price=59900.05)
    assert scene.orders[0].price == Decimal("59900.0")


def test_a_filled_maker_order_ends_its_intent() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(100)
    scene.trade(59980.0, 9.0, seller=True)
    scene.wait(100)
    outcome = scene.outcome
    assert (outcome.result, outcome.route, outcome.maker_filled) == ("filled", "maker", Decimal("0.01"))
    assert outcome.cost_usd == pytest.approx(599.91)
    assert outcome.ack_ms == [20]
    assert not outcome.fallback


def test_a_taker_intent_crosses_with_a_protection_limit() -> None:
    """15 bps through the ask of 60000.1, rounded down to the tick."""
    scene = Scene(telemetry={"sample_count": 0.0})
    scene.send("buy", 0.01)
    scene.wait(100)
    order = scene.orders[0]
    assert (order.kind, order.price) == ("ioc", Decimal("60090.1"))
    assert scene.outcome.taker_veto == "maker_gates.quality_not_good"
    assert scene.outcome.cost_usd == pytest.approx(600.001)


def test_a_limit_intent_crosses_at_its_own_price_and_once() -> None:
    scene = Scene(telemetry={"sample_count": 0.0})
    scene.send("buy", 0.01, order_type="limit", price=59000.0)
    scene.wait(5_000)
    assert [order.price for order in scene.orders] == [Decimal("59000.0")]
    assert (scene.outcome.result, scene.outcome.reason) == ("unfilled", "not_taken")


def test_what_the_visible_book_cannot_fill_is_crossed_again_but_not_for_ever() -> None:
    scene = Scene(telemetry={"sample_count": 0.0}, depth="touch")
    scene.quote(60000.0, 60000.1, 0.004)
    scene.send("buy", 0.01)
    scene.wait(5_000)
    assert [order.qty for order in scene.orders] == [Decimal("0.01"), Decimal("0.006"), Decimal("0.006")]
    assert scene.outcome.result == "partly_filled"
    assert scene.outcome.filled == scene.executed == Decimal("0.004")


def test_an_exit_is_sent_with_the_reduce_only_flag() -> None:
    scene = Scene(telemetry={"sample_count": 0.0})
    scene.send("buy", 0.01)
    scene.wait(100)
    scene.send("sell", 0.01, reduce_only=True)
    scene.wait(100)
    assert [order.reduce_only for order in scene.orders] == [False, True]
    assert scene.account.positions[SYMBOL] == 0


# --- exposure --------------------------------------------------------------------------------------------------------


def test_a_fallback_waits_until_the_resting_order_is_gone() -> None:
    """The replaced system sent a market order for the full quantity while an accepted limit still rested."""
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.quote(60030.0, 60030.1)  # it ran away by more than 3 bps
    assert scene.of(Worked)[0].action == "cross"
    assert len(places(scene)) == 1
    scene.wait(10)
    assert len(places(scene)) == 1
    scene.wait(100)
    assert [order.kind for order in scene.orders] == ["post_only", "ioc"]
    assert scene.outcome.fallback
    assert scene.executed == Decimal("0.01")


def test_a_fallback_sends_only_what_is_left() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.trade(59991.0, 0.0, seller=True)
    scene.quote(59991.0, 59991.1, 0.001)
    scene.trade(59991.0, 0.005, seller=True)
    scene.wait(100)
    assert 0 < scene.executed < Decimal("0.01")
    scene.quote(60030.0, 60030.1)
    scene.wait(200)
    assert scene.orders[1].qty == Decimal("0.01") - scene.orders[0].qty + (scene.orders[0].qty - scene.fills[0].qty)
    assert scene.executed == Decimal("0.01")


def test_a_fill_that_arrives_while_the_cancel_is_on_its_way_is_not_sent_again() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.quote(60030.0, 60030.1)
    scene.trade(59980.0, 9.0, seller=True)  # before the cancel reaches the venue
    scene.wait(500)
    assert len(places(scene)) == 1
    assert scene.outcome.result == "filled"


def test_a_time_out_after_the_send_is_asked_for_and_never_sent_again() -> None:
    """The replaced system sent the same request five times after a time-out, without a client id."""
    scene = Scene(scripts={FIRST: Script(place=("timeout",))})
    scene.send("buy", 0.01)
    scene.wait(8_000)
    assert len(places(scene)) == 1
    assert [request for _, request in scene.venue.sent if isinstance(request, Query)]
    assert scene.orders[0].client_id in {order.client_id for order in scene.venue.open_orders()}
    assert [error.error for error in scene.of(OrderError)] == ["unknown_outcome"]


def test_an_order_that_never_arrived_is_sent_again_only_after_spaced_proof() -> None:
    scene = Scene(scripts={FIRST: Script(place=("unknown",))}, seed=2)
    scene.send("buy", 0.01)
    scene.wait(5_500)
    assert len(places(scene)) == 1
    scene.wait(30_000)
    queries = scene.of(QueryPlanned)
    if scene.of(ProvedAbsent):
        spacing = [later.ts_ms - earlier.ts_ms for earlier, later in pairwise(queries)]
        assert len(queries) >= 5
        assert min(spacing) >= 2_000
        assert len(places(scene)) == 2
    else:
        assert len(places(scene)) == 1


def test_an_acknowledgement_that_says_filled_counts_as_accepted_and_its_trades_as_fills() -> None:
    """The replaced system did not count a FILLED acknowledgement as accepted, and sent the order again."""
    scene = Scene(telemetry={"sample_count": 0.0}, scripts={FIRST: Script(fill=("lost",))})
    scene.send("buy", 0.01)
    scene.wait(100)
    assert isinstance(scene.venue.said[0], Accepted)
    assert scene.venue.said[0].status == "filled"
    assert scene.router.ledger.works["i-1"].filled == 0
    assert scene.router.ledger.works["i-1"].possible == Decimal("0.01")
    scene.wait(2_000)
    assert len(places(scene)) == 1
    assert scene.outcome.filled == Decimal("0.01")


def test_a_cancel_that_failed_is_followed_by_nothing_before_the_order_is_known() -> None:
    """The replaced system repriced the full quantity after a cancel that had failed."""
    scene = Scene(scripts={FIRST: Script(cancel=("timeout", "timeout"))})
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.quote(60030.0, 60030.1)
    scene.wait(4_000)
    assert len(places(scene)) == 1
    scene.wait(60_000)
    assert scene.executed <= Decimal("0.01")
    assert scene.outcome.filled == scene.executed


def test_a_maker_order_is_never_larger_than_what_was_admitted() -> None:
    """The replaced system let a maker quantity through that nobody had vetted."""
    scene = Scene()
    scene.send("buy", 0.01, maker_qty=0.02)
    assert scene.orders[0].kind == "ioc"
    assert scene.orders[0].qty == Decimal("0.01")
    assert "hard_gates.maker_qty_above_admitted" in scene.routes[0].vetoes


def test_a_smaller_maker_quantity_rests_in_parts() -> None:
    scene = Scene()
    scene.send("buy", 0.01, maker_qty=0.004)
    scene.wait(100)
    scene.trade(59980.0, 9.0, seller=True)
    scene.wait(200)
    assert [order.qty for order in scene.orders] == [Decimal("0.004"), Decimal("0.004")]


def test_a_late_fill_after_a_cancel_counts_and_the_rest_shrinks() -> None:
    scene = Scene(scripts={FIRST: Script(fill=("late",))})
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.quote(59991.0, 59991.1, 0.001)
    scene.trade(59991.0, 0.005, seller=True)
    scene.quote(60030.0, 60030.1)
    scene.wait(10_000)
    assert scene.outcome.filled == scene.executed == Decimal("0.01")
    assert sum(order.qty for order in scene.orders[1:]) == Decimal("0.01") - scene.fills[0].qty


def test_a_fill_that_is_told_twice_counts_once() -> None:
    scene = Scene(telemetry={"sample_count": 0.0}, scripts={FIRST: Script(fill=("duplicate",))})
    scene.send("buy", 0.01)
    scene.wait(500)
    heard = [event for event in scene.of(Heard) if isinstance(event.message, Fill)]
    assert scene.outcome.filled == Decimal("0.01")
    assert scene.account.positions[SYMBOL] == Decimal("0.01")
    assert [event.again for event in heard] in ([False], [False, True])


def test_an_order_that_comes_back_beside_its_successor_is_cancelled() -> None:
    """It was proven absent by silence, and what speaks is right: one of the two has to go."""
    scene = Scene(scripts={FIRST: Script(place=("unknown",), query=("not_found",) * 6)}, seed=1)
    scene.send("buy", 0.01)
    scene.wait(16_000)
    assert scene.of(ProvedAbsent)
    scene.wait(1_000)
    scene.router.on_message(Update(scene.now_ms, FIRST, "open", Decimal(0)), scene.now_ms)
    scene.router.commit()
    cancelled = {request.client_id for _, request in scene.venue.sent if isinstance(request, Cancel)}
    assert FIRST in cancelled
    assert "over_target" in {error.error for error in scene.of(OrderError)}


def test_an_order_that_lives_on_after_its_intent_has_ended_is_cancelled() -> None:
    scene = Scene(scripts={FIRST: Script(place=("unknown",), query=("not_found",) * 9)}, seed=1)
    scene.cancel(scene.send("buy", 0.01))
    scene.wait(20_000)
    assert scene.outcome.result == "unfilled"
    scene.router.on_message(Update(scene.now_ms, FIRST, "open", Decimal(0)), scene.now_ms)
    scene.router.commit()
    assert isinstance(scene.venue.sent[-1][1], Cancel)


@pytest.mark.parametrize(
    "message",
    [
        Accepted(1, FIRST, "place", "open", Decimal("NaN")),
        Update(1, FIRST, "open", Decimal(-1)),
        Fill(1, FIRST, "t", SYMBOL, "buy", Decimal("Infinity"), Decimal(1), Decimal(0), is_maker=True),
        Fill(1, FIRST, "t", SYMBOL, "buy", Decimal(1), Decimal("sNaN"), Decimal(0), is_maker=True),
        Fill(1, FIRST, "t", SYMBOL, "buy", Decimal(-1), Decimal(1), Decimal(0), is_maker=True),
        Fill(1, FIRST, "t", SYMBOL, "sell", Decimal(1), Decimal(1), Decimal(0), is_maker=True),
        Fill(1, FIRST, "t", "ETHUSDT", "buy", Decimal(1), Decimal(1), Decimal(0), is_maker=True),
    ],
)
def test_a_message_that_cannot_be_is_journaled_and_not_taken(message: Any) -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.router.on_message(message, scene.now_ms)
    assert [error.error for error in scene.of(OrderError)] == ["unsound_message"]
    assert scene.router.ledger.works["i-1"].filled == 0
    assert scene.account.positions[SYMBOL] == 0


def test_a_fill_of_an_order_that_the_journal_lost_moves_the_position_once() -> None:
    scene = Scene()
    fill = Fill(1, "s-lost-1", "t", SYMBOL, "buy", Decimal("0.01"), Decimal(60000), Decimal(0), is_maker=False)
    scene.router.on_message(fill, scene.now_ms)
    scene.router.on_message(fill, scene.now_ms)
    assert scene.account.positions[SYMBOL] == Decimal("0.01")
    assert {error.error for error in scene.of(OrderError)} == {"unknown_order"}


def test_two_exits_of_the_whole_position_do_not_turn_it_where_the_flag_is_dropped() -> None:
    scene = Scene("testnet", telemetry={"sample_count": 30.0})
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.send("sell", 0.01, reduce_only=True)
    scene.send("sell", 0.01, reduce_only=True)
    scene.wait(10_000)
    assert [order.reduce_only for order in scene.orders[1:3]] == [False, True]
    assert scene.account.positions[SYMBOL] == 0


# --- what had to wait ------------------------------------------------------------------------------------------------


def test_a_halt_stops_what_waits_for_the_venue_to_be_ready_again() -> None:
    scene = Scene(scripts={client_id("i-1", 1): Script(place=("rate_limit",))})
    scene.send("buy", 0.01)
    scene.wait(100)
    scene.send("buy", 0.01)
    scene.given("risk", risk_mode="normal", halted=True, symbol_disabled=False)
    scene.wait(10_000)
    assert len(places(scene)) == 1
    reasons = {outcome.intent_id: outcome.reason for outcome in scene.of(Outcome)}
    assert reasons["i-1"].startswith("cancel: working.halted")
    assert "entry_gates.halted" in reasons["i-2"]
    assert [route.event for route in scene.routes if route.intent_id == "i-2"] == ["decision", "decided_again"]


def test_a_decided_cross_does_not_go_out_into_a_book_that_is_gone() -> None:
    scene = Scene(downlink_ms=3_000)
    scene.send("buy", 0.01)
    scene.wait(6_100)
    scene.quote(60030.0, 60030.1)
    assert scene.of(Worked)[-1].action == "cross"
    scene.quote(0.0, 0.0)
    scene.wait(10_000)
    assert [order.kind for order in scene.orders] == ["post_only"]
    assert scene.outcome.reason.startswith("cancel: working.book_missing")


def test_an_exit_goes_on_until_it_is_out_of_a_thin_book() -> None:
    scene = Scene(depth="touch")
    scene.account.positions[SYMBOL] = Decimal("0.1")
    scene.venue = type(scene.venue)(RULES, scene.venue.settings, {SYMBOL: Decimal("0.1")})
    scene.router._venue = scene.venue
    scene.quote(60000.0, 60000.1, 0.01)
    scene.send("sell", 0.1, reduce_only=True)
    for number in range(30):
        scene.wait(300)
        scene.quote(60000.0, 60000.1, 0.01 + number * 1e-6)
    assert scene.outcome.result == "filled"
    assert len(scene.orders) > 5


# --- post-only rejects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["code", "expired", "open_then_expired"])
def test_the_first_post_only_reject_rests_again_and_the_second_crosses(style: str) -> None:
    """Both ways a venue says it, and neither is an error."""
    scene = Scene(post_only_reject=style, uplink_ms=50)
    scene.send("sell", 0.01)
    scene.quote(60100.0, 60100.1)  # before the order arrives: it would take
    scene.wait(60)
    scene.quote(60200.0, 60200.1)
    scene.wait(60)
    scene.quote(60300.0, 60300.1)
    scene.wait(2_000)
    kinds = [order.kind for order in scene.orders]
    assert kinds == ["post_only", "post_only", "ioc"]
    assert scene.outcome.post_only_rejects == 2
    assert scene.outcome.fallback
    assert not [error for error in scene.of(OrderError) if error.error == "post_only"]


# --- working ---------------------------------------------------------------------------------------------------------


def test_a_slow_order_is_repriced_three_times_and_then_crossed() -> None:
    scene = Scene()
    scene.send("buy", 0.01, maker_price=60000.0)
    for bid in (59999.0, 59998.0, 59997.0, 59996.0, 59995.0):
        scene.quote(bid, bid + 0.1)
        scene.wait(62_000)
    actions = [worked.action for worked in scene.of(Worked)]
    assert actions == ["reprice", "reprice", "reprice", "cross"]
    assert scene.executed == Decimal("0.01")
    assert [order.kind for order in scene.orders] == ["post_only"] * 4 + ["ioc"]


def test_a_reprice_at_the_same_price_keeps_the_place_in_the_queue() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(65_000)
    assert [worked.action for worked in scene.of(Worked)] == ["reprice"]
    assert len(scene.orders) == 1
    assert not scene.of(CancelPlanned)


def test_a_halt_cancels_an_entry_and_ends_it() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.given("risk", risk_mode="normal", halted=True, symbol_disabled=False)
    scene.wait(1_500)
    assert scene.outcome.reason.startswith("cancel: working.halted")
    assert scene.executed == 0
    assert not scene.venue.open_orders()


def test_a_book_that_is_gone_cancels() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.quote(0.0, 60000.1)
    scene.wait(1_500)
    assert scene.outcome.reason.startswith("cancel: working.book_missing")


def test_a_submit_that_failed_for_good_crosses_once() -> None:
    """Less than the least notional at its own price, though not at the mid."""
    scene = Scene()
    scene.send("buy", 0.002, maker_price=40000.0)
    scene.wait(2_000)
    assert [order.kind for order in scene.orders] == ["post_only", "ioc"]
    assert [worked.reason.split()[1] for worked in scene.of(Worked)] == ["working.submit_failed"]
    assert [route.event for route in scene.routes] == ["decision", "submit_failed", "fallback"]


def test_a_failed_taker_send_leaves_a_route_decision() -> None:
    """The replaced system left no record of it. Here there is no position that the exit could make smaller."""
    scene = Scene()
    scene.send("sell", 0.01, reduce_only=True)
    scene.wait(5_000)
    assert [route.event for route in scene.routes] == ["decision", "send_failed"]
    assert "-2022" in scene.outcome.reason
    assert {error.code for error in scene.of(OrderError)} == {-2022}


def test_an_entry_too_small_for_the_venue_is_not_sent() -> None:
    scene = Scene(telemetry={"sample_count": 0.0})
    scene.send("buy", 0.001)
    scene.send("buy", 0.0004)
    assert [route.route for route in scene.routes] == ["none", "none"]
    assert "worth 60.0001, less than the 100 that the venue takes" in scene.routes[0].reason
    assert "less than one step of 0.001" in scene.routes[1].reason
    assert not scene.venue.sent


# --- a venue in trouble ----------------------------------------------------------------------------------------------


def test_a_rate_limit_stops_everything_and_cancels_go_first() -> None:
    """The replaced system answered a 429 with nine more posts."""
    scene = Scene(scripts={client_id("i-2", 1): Script(place=("rate_limit",))})
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.send("buy", 0.01)
    scene.wait(100)
    scene.send("buy", 0.01)
    scene.cancel("i-1")
    before = len(scene.venue.sent)
    scene.wait(4_500)
    assert len(scene.venue.sent) == before, "something was sent while the venue asked for a rest"
    scene.wait(1_000)
    after = [request for _, request in scene.venue.sent[before:]]
    assert isinstance(after[0], Cancel)
    assert [type(request) for request in after].count(Place) == 2


@pytest.mark.parametrize("code", [429, 418, 403, -1003])
def test_what_has_not_left_yet_when_the_venue_asks_for_a_rest_does_not_leave(code: int) -> None:
    """Several things are decided on in one step, and leave together at its end."""
    scene = Scene()
    resting = scene.send("buy", 0.01)
    scene.wait(200)
    first = scene.send("buy", 0.01, maker_requested=False)
    before = len(scene.venue.sent)
    for number in range(3):
        scene.router.on_request(Intent(f"entry {number}", SYMBOL, MARKET_BUY), scene.now_ms)
    exit_facts = {**MARKET_BUY, "side": "sell", "reduce_only": True}
    scene.router.on_request(Intent("exit", SYMBOL, exit_facts), scene.now_ms)
    scene.router.on_request(CancelIntent(resting, "cancelled"), scene.now_ms)
    refusal = Rejected(scene.now_ms, client_id(first, 1), "place", code, "Too many requests.", retry_after_ms=3_000)
    scene.router.on_message(refusal, scene.now_ms)
    scene.router.commit()
    scene.wait(2_990)
    assert len(scene.venue.sent) == before
    scene.wait(20)
    kinds = [
        "exit" if isinstance(request, Place) and request.reduce_only else type(request).__name__
        for _, request in scene.venue.sent[before:]
    ]
    assert kinds[:2] == ["Cancel", "exit"]
    assert kinds[2:] == ["Place"] * 3
    held = [error for error in scene.of(OrderError) if "not sent" in error.text]
    assert {error.error for error in held} == {"rate_limit"}
    assert len(held) == 5


def test_of_what_leaves_at_once_cancels_leave_first_and_then_exits() -> None:
    scene = Scene()
    resting = scene.send("buy", 0.01)
    scene.wait(200)
    before = len(scene.venue.sent)
    scene.router.on_request(Intent("entry", SYMBOL, MARKET_BUY), scene.now_ms)
    scene.router.on_request(Intent("exit", SYMBOL, {**MARKET_BUY, "side": "sell", "reduce_only": True}), scene.now_ms)
    scene.router.on_request(CancelIntent(resting, "cancelled"), scene.now_ms)
    scene.router.commit()
    left = [request for _, request in scene.venue.sent[before:]]
    assert [type(request) for request in left] == [Cancel, Place, Place]
    assert [request.reduce_only for request in left if isinstance(request, Place)] == [True, False]


def test_where_a_quote_comes_as_the_gate_opens_cancels_and_exits_still_go_first() -> None:
    scene = Scene()
    resting = scene.send("buy", 0.01)
    scene.wait(200)
    entry = scene.send("buy", 0.01)
    refusal = Rejected(scene.now_ms, client_id(entry, 1), "place", 429, "Too many requests.", retry_after_ms=3_000)
    scene.router.on_message(refusal, scene.now_ms)
    scene.cancel(resting)
    before = len(scene.venue.sent)
    scene.now_ms += 3_000
    scene.quote(60000.0, 60000.2)
    scene.router.on_time(scene.now_ms)
    scene.router.commit()
    assert [type(request) for _, request in scene.venue.sent[before:]] == [Cancel, Place]


@pytest.mark.parametrize(("asked", "kind"), [("place", Place), ("cancel", Cancel), ("query", Query)])
def test_where_the_clock_is_off_it_is_set_by_the_venue_before_anything_else_is_sent(
    asked: str, kind: type[Request]
) -> None:
    """-1021 and -5028: setting it, and one more try."""
    scripts = {
        "place": Script(place=("clock",)),
        "cancel": Script(cancel=("clock",)),
        "query": Script(place=("timeout",), query=("clock",)),
    }
    scene = Scene(scripts={FIRST: scripts[asked]})
    scene.send("buy", 0.01)
    scene.wait(6_000)
    scene.cancel("i-1")
    scene.wait(6_000)
    (set_at,) = [place for place, (_, request) in enumerate(scene.venue.sent) if request == "set_clock"]
    before = [request for _, request in scene.venue.sent[:set_at]]
    assert isinstance(before[-1], kind)
    assert isinstance(scene.venue.sent[set_at + 1][1], kind)
    assert scene.outcome.reason == "cancelled"
    assert not scene.venue.open_orders()


def test_a_clock_that_stays_off_is_given_up_after_one_more_try_each_time_an_order_was_taken_in_between() -> None:
    scripts = {client_id("i-1", leg): Script(place=("clock",)) for leg in range(1, 9)}
    scene = Scene(scripts={**scripts, FIRST: Script(place=("unavailable",))})
    scene.send("buy", 0.01)
    scene.wait(5_000)
    makers = [order for order in scene.orders if order.role == "maker"]
    assert len(makers) == 3, "busy, the clock, and once more"
    assert sum(request == "set_clock" for _, request in scene.venue.sent) >= 2


def test_not_executed_is_sent_again_later_and_later_and_then_given_up() -> None:
    scene = Scene(scripts={client_id("i-1", leg): Script(place=("unavailable",)) for leg in range(1, 9)})
    scene.send("buy", 0.01)
    scene.wait(5_000)
    makers = [order.ts_ms for order in scene.orders if order.kind == "post_only"]
    gaps = [later - earlier for earlier, later in pairwise(makers)]
    assert [round(gap, -2) for gap in gaps] == [200, 400, 800]
    assert len({order.client_id for order in scene.orders}) == len(scene.orders)
    assert scene.outcome.result == "unfilled"


def test_no_answer_at_all_is_an_unknown_outcome() -> None:
    scene = Scene(uplink_ms=20_000)
    scene.send("buy", 0.01)
    scene.wait(5_000)
    assert isinstance(scene.of(Heard)[-1].message, Unknown)
    assert scene.of(QueryPlanned)
    assert len(places(scene)) == 1


def test_a_message_about_an_order_nobody_sent_is_journaled_and_nothing_else() -> None:
    scene = Scene()
    scene.router.on_message(Update(scene.now_ms, "somebody-else", "open", Decimal(0)), scene.now_ms)
    assert [error.error for error in scene.of(OrderError)] == ["unknown_order"]


# --- intents ---------------------------------------------------------------------------------------------------------


def test_an_intent_that_expires_is_cancelled_and_ended() -> None:
    scene = Scene()
    scene.send("buy", 0.01, expires_s=5.0)
    scene.wait(4_900)
    assert scene.venue.open_orders()
    scene.wait(400)
    assert scene.outcome.reason == "expired"
    assert not scene.venue.open_orders()


def test_an_intent_can_be_taken_back() -> None:
    scene = Scene()
    scene.cancel(scene.send("buy", 0.01))
    scene.wait(200)
    assert scene.outcome.reason == "cancelled"
    assert not scene.venue.open_orders()


def test_taking_back_what_is_not_there_is_refused_and_journaled() -> None:
    scene = Scene()
    scene.cancel("nobody")
    assert [refused.code for refused in scene.of(IntentRefused)] == ["unknown_intent"]


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"side": None}, "sanity.side_missing"),
        ({"qty": 0.0}, "sanity.qty_invalid"),
        ({"qty": -1.0}, "sanity.qty_invalid"),
        ({"order_type": "limit"}, "sanity.limit_without_price"),
        ({"qty": 100.0, "maker_qty": 100.0}, "entry_gates.order_above_nav_share"),
    ],
)
def test_what_is_not_admitted_is_never_sent_and_says_why(more: dict[str, Any], rule: str) -> None:
    scene = Scene()
    scene.send(**more)
    scene.wait(200)
    assert scene.routes[0].route == "none"
    assert rule in scene.routes[0].vetoes
    assert scene.outcome.result == "unfilled"
    assert not scene.venue.sent


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\xff\xfe", "malformed"),
        (b'{"intent_id": "a", "symbol": "BTCUSDT", "qty": NaN}', "malformed"),
        (b'{"symbol": "BTCUSDT"}', "malformed"),
        (b'{"intent_id": "a", "symbol": "BTCUSDT", "qty": "much"}', "malformed"),
        (b'{"intent_id": "a", "symbol": "BTCUSDT", "quantity": 1}', "malformed"),
        (b'{"intent_id": "a", "symbol": "NOSUCH", "side": "buy", "qty": 1}', "unknown_symbol"),
        (b'{"intent_id": "i-1", "symbol": "BTCUSDT", "side": "buy", "qty": 1}', "duplicate_id"),
    ],
)
def test_what_is_no_intent_is_refused_with_a_reason_and_the_session_goes_on(line: bytes, code: str) -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.router.on_request(read_request(line, 400), scene.now_ms, "intents.jsonl:7")
    (refused,) = scene.of(IntentRefused)
    assert (refused.code, refused.place) == (code, "intents.jsonl:7")
    assert refused.reason
    scene.send("buy", 0.01)
    assert len(scene.of(IntentReceived)) == 2


# --- the journal -----------------------------------------------------------------------------------------------------


def test_nothing_leaves_before_what_led_to_it_is_written() -> None:
    scene = Scene()
    commits = scene.journal.commits
    scene.router.on_request(
        read_request(
            b'{"intent_id": "x", "symbol": "BTCUSDT", "side": "buy", "qty": 0.01, "order_type": "market"}', 400
        ),
        scene.now_ms,
    )
    assert scene.orders
    assert not scene.venue.sent
    scene.router.commit()
    assert scene.venue.sent
    assert scene.journal.commits == commits + 1


def test_a_journal_that_cannot_be_written_stops_new_orders_and_keeps_cancelling() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.journal.is_full = True
    scene.send("buy", 0.01)
    assert "i-2" not in scene.router.ledger.known
    scene.cancel("i-1")
    scene.wait(200)
    assert isinstance(scene.venue.sent[-1][1], Cancel)
    assert not scene.venue.open_orders()


def test_decisions_are_journaled_with_their_facts_and_rulebook() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    policies = [event.policy for event in scene.of(Decided)]
    assert policies == ["admission", "routing"]
    assert b'"rulebook"' in bytes(scene.of(Decided)[1].record)
    assert b'"spread_bps"' in bytes(scene.of(Decided)[1].record)


def test_open_entries_count_as_exposure_until_they_end() -> None:
    scene = Scene()
    scene.send("buy", 0.01)
    reserved = scene.router.known.reserved
    assert reserved[SYMBOL] == Decimal("0.01")
    assert scene.account.facts(SYMBOL, scene.now_ms, reserved)["symbol_notional_usd"] == pytest.approx(600.0005)
    scene.cancel("i-1")
    scene.wait(200)
    assert reserved[SYMBOL] == 0
