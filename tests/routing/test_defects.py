"""What went wrong in the system that Sluice replaces and is the matter of no single module: a test for each.

`docs/contract.md` lists all of them, with the tests elsewhere that hold the others.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.journal.events import CancelPlanned, Heard, OrderPlanned, Outcome, Worked
from engine.routing.evidence.metrics import Metrics
from engine.venues.faults import RequestFault, Script
from tests.routing.scene import Scene, client_id

FIRST = client_id("i-1", 1)


@pytest.mark.parametrize("fault", ["unavailable", "rate_limit", "clock", "timeout", "unknown"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_reprice_waits_until_its_cancel_is_certain_and_sends_only_what_is_left(
    fault: RequestFault, seed: int
) -> None:
    """A cancel that failed was followed by a new order for the full quantity."""
    scene = Scene(scripts={FIRST: Script(cancel=(fault,))}, seed=seed)
    scene.send("buy", 0.01, maker_price=60000.0)
    scene.quote(59999.0, 59999.1)
    scene.wait(60_000)
    while not scene.of(CancelPlanned) and not scene.of(Outcome):
        scene.wait(5)
    assert [worked.action for worked in scene.of(Worked)] == ["reprice"]
    scene.trade(59980.0, 0.004, seller=True)  # before the cancel arrives
    scene.wait(30_000)
    first, second = scene.orders
    assert (first.qty, second.qty) == (Decimal("0.01"), Decimal("0.006"))
    events = scene.journal.events
    gone = [event for event in scene.of(Heard) if event.message.client_id == FIRST and event.state == "cancelled"]
    assert events.index(gone[0]) < events.index(second)
    assert len(scene.venue.open_orders()) == 1
    assert scene.executed == Decimal("0.004")


@pytest.mark.parametrize(
    ("side", "bid", "runs_away"),
    [("buy", 60030.0, True), ("buy", 59970.0, False), ("sell", 59970.0, True), ("sell", 60030.0, False)],
)
def test_a_market_that_comes_towards_an_order_is_waited_for_on_either_side(
    side: str, bid: float, *, runs_away: bool
) -> None:
    """A measure without the sign of the side made a sell cross when the market had moved in its favour."""
    scene = Scene()
    scene.send(side, 0.01)
    scene.wait(200)
    scene.quote(bid, bid + 0.1)
    scene.wait(1_000)
    assert [worked.action for worked in scene.of(Worked)] == (["cross"] if runs_away else [])


def test_a_sell_that_fills_above_the_mid_is_a_gain_and_no_fallback() -> None:
    """The same fill was taken for slippage beyond the limit, and the order was sent again as taker."""
    scene = Scene()
    scene.send("sell", 0.01)
    scene.wait(200)
    scene.trade(60090.0, 5.0, seller=False)
    scene.wait(200)
    assert [order.kind for order in scene.orders] == ["post_only"]
    line = last_metrics(scene)
    assert (line.used_fallback, line.is_maker_final) == (False, True)
    assert line.slippage_bps is not None
    assert line.slippage_bps < 0


def test_fees_change_no_price_that_is_sent() -> None:
    """Fees were added to the limit. They are reported, as the effective price, and never sent."""
    sent, reported = [], []
    for bps in (Decimal(0), Decimal(50)):
        scene = Scene(maker_fee_bps=bps, taker_fee_bps=bps)
        scene.send("buy", 0.01)
        scene.wait(200)
        scene.quote(60030.0, 60030.1)
        scene.wait(500)
        sent.append([(order.kind, order.qty, order.price) for order in scene.orders])
        line = last_metrics(scene)
        assert line.average_price is not None
        assert line.effective_price is not None
        reported.append((line.average_price, line.effective_price - line.average_price))
    assert [kind for kind, *_ in sent[0]] == ["post_only", "ioc"]
    assert sent[0] == sent[1]
    assert reported[0][0] == reported[1][0]
    assert (reported[0][1], reported[1][1]) == (0, pytest.approx(reported[0][0] * 0.005))


def test_a_missing_maker_price_is_not_replaced_by_the_price_of_the_order() -> None:
    scene = Scene()
    scene.send("buy", 0.01, maker_price=None, order_type="limit", price=59990.0)
    assert scene.routes[0].vetoes == ["hard_gates.maker_price_invalid"]
    assert [order.kind for order in scene.orders] == ["ioc"]


def test_a_small_maker_price_never_moves_an_order_towards_the_market() -> None:
    """Whatever is tuned, no buy rests above the bid and no sell below the ask."""
    for side, worse in (("buy", 70_000.0), ("sell", 50_000.0)):
        scene = Scene()
        scene.send(side, 0.01, maker_price=worse)
        price = scene.orders[0].price
        assert price is not None
        assert price < 60000 if side == "buy" else price > Decimal("60000.1")


@pytest.mark.parametrize(
    ("why", "rule"),
    [
        ("ran_away", "working.ran_away"),
        ("rejected", "working.rejected"),
        ("too_old", "working.too_old"),
        ("submit_failed", "working.submit_failed"),
    ],
)
def test_every_way_from_maker_to_taker_leaves_a_route_decision_that_says_why(why: str, rule: str) -> None:
    scene = fallen_back(why)
    decided, fallback = (route for route in scene.routes if route.event != "submit_failed")
    assert (decided.event, decided.route, decided.vetoes) == ("decision", "maker", [])
    assert (fallback.event, fallback.route) == ("fallback", "taker")
    assert rule in fallback.reason
    same = ("intent_id", "symbol", "side", "decision_id", "quality", "maker_first", "taker_bias", "bias", "offset_bps")
    assert [getattr(fallback, name) for name in same] == [getattr(decided, name) for name in same]
    assert fallback.target == scene.outcome.target - scene.outcome.maker_filled
    events = scene.journal.events
    crossing = next(event for event in events if isinstance(event, OrderPlanned) and event.role == "taker")
    assert events.index(fallback) < events.index(crossing)


def test_a_maker_order_that_was_refused_for_good_leaves_a_route_decision_even_where_nothing_follows() -> None:
    scene = Scene()
    scene.send("buy", 0.002, maker_price=40000.0)
    scene.quote(60000.0, 60300.0)  # too wide for an entry to cross
    scene.wait(2_000)
    assert scene.outcome.reason.startswith("leave: working.submit_failed")
    assert [route.event for route in scene.routes] == ["decision", "submit_failed"]


def fallen_back(why: str) -> Scene:
    """A session of one maker order that ends as taker."""
    scene = Scene(uplink_ms=50) if why == "rejected" else Scene()
    match why:
        case "ran_away":
            scene.send("buy", 0.01)
            scene.wait(200)
            scene.quote(60030.0, 60030.1)
        case "rejected":
            scene.send("sell", 0.01)
            for bid in (60100.0, 60200.0, 60300.0):
                scene.quote(bid, bid + 0.1)  # before the order arrives: it would take
                scene.wait(60)
        case "too_old":
            scene.send("buy", 0.01, maker_price=59900.0)
            scene.wait(200)
            scene.trade(59890.0, 0.005, seller=True)  # half of it, so that it is not slow
            scene.wait(301_000)
        case "submit_failed":
            scene.send("buy", 0.002, maker_price=40000.0)  # less than the least notional at its own price
    scene.wait(2_000)
    return scene


def last_metrics(scene: Scene) -> Any:
    """The line that the one intent of a scene leaves behind."""
    metrics = Metrics()
    lines = [line for event in scene.journal.events if (line := metrics.see(event)) is not None]
    assert len(lines) == 1
    return lines[0]
