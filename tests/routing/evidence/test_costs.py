"""Implementation shortfall: parts computed by hand for both sides, their sum, what is missing, and sums of many."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import BaselineDone, Outcome
from engine.routing.evidence.costs import PARTS, CostTotals, Saving, Shortfall, in_bps, shortfall
from engine.venues.messages import Side


def done(side: Side = "buy", target: object = 10, filled: object = 10, **fields: Any) -> BaselineDone:
    """A baseline's result; arrival at 100, sent at 100, end at 100, filled at 100 without fees."""
    given: dict[str, Any] = {
        "ts_ms": 0,
        "intent_id": "one",
        "symbol": "BTCUSDT",
        "baseline": "taker",
        "maker_filled": Decimal(0),
        "cost_usd": float(str(filled)) * 100.0,
        "fees_usd": 0.0,
        "arrival_mid": 100.0,
        "sent_mid": 100.0,
        "end_mid": 100.0,
    }
    return BaselineDone(**{**given, **fields}, side=side, target=Decimal(str(target)), filled=Decimal(str(filled)))


def outcome(**fields: Any) -> Outcome:
    given: dict[str, Any] = {
        "ts_ms": 0,
        "intent_id": "one",
        "symbol": "BTCUSDT",
        "side": "sell",
        "is_exit": False,
        "route": "maker",
        "result": "filled",
        "reason": "filled",
        "target": Decimal(10),
        "filled": Decimal(10),
        "maker_filled": Decimal(10),
        "cost_usd": 1000.0,
        "fees_usd": 0.0,
        "arrival_ms": 0,
        "arrival_mid": 100.0,
        "sent_ms": 0,
        "sent_mid": 100.0,
        "end_mid": 100.0,
    }
    return Outcome(**{**given, **fields})


def split(cost: Shortfall) -> tuple[float | None, ...]:
    return (*(cost.usd(part) for part in PARTS), cost.total_usd)


# --- one intent ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "prices", "parts"),
    [
        # Wanted 10, got 8, from 100: the mid was 101 at the send and 104 at the end, and the fills averaged 102.
        pytest.param("buy", {"sent_mid": 101.0, "end_mid": 104.0, "cost_usd": 816.0}, (8.0, 8.0, 2.0, 8.0), id="buy"),
        # The mirror image: the mid was 99, then 96, and the fills averaged 98.
        pytest.param("sell", {"sent_mid": 99.0, "end_mid": 96.0, "cost_usd": 784.0}, (8.0, 8.0, 2.0, 8.0), id="sell"),
        # The market came towards the order: everything but the fees is gained.
        pytest.param(
            "buy", {"sent_mid": 99.0, "end_mid": 96.0, "cost_usd": 784.0}, (-8.0, -8.0, 2.0, -8.0), id="buy, gained"
        ),
        pytest.param(
            "sell", {"sent_mid": 101.0, "end_mid": 104.0, "cost_usd": 816.0}, (-8.0, -8.0, 2.0, -8.0), id="sell, gained"
        ),
    ],
)
def test_the_parts_of_a_shortfall(side: Side, prices: dict[str, float], parts: tuple[float, ...]) -> None:
    cost = shortfall(done(side, 10, 8, fees_usd=2.0, **prices))
    assert split(cost) == (*parts, sum(parts))
    assert cost.notional_usd == 1000.0
    assert cost.total_bps == pytest.approx(sum(parts) * 10)


def test_delay_concerns_what_was_filled_and_opportunity_what_was_not() -> None:
    assert split(shortfall(done("buy", 10, 10, cost_usd=1010.0, sent_mid=101.0))) == (10.0, 0.0, 0.0, 0.0, 10.0)
    nothing = done("buy", 10, 0, sent_mid=101.0, end_mid=103.0)
    assert split(shortfall(nothing)) == (0.0, 0.0, 0.0, 30.0, 30.0)


def test_a_sell_that_fills_above_its_mid_gains() -> None:
    cost = shortfall(outcome(side="sell", cost_usd=1003.0))
    assert cost.spread_impact == -3.0
    assert cost.total_bps == pytest.approx(-30.0)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_fees_are_a_part_of_their_own_and_cost_whichever_side(side: Side) -> None:
    assert split(shortfall(done(side, fees_usd=0.7))) == (0.0, 0.0, 0.7, 0.0, 0.7)
    assert split(shortfall(done(side, fees_usd=-0.2))) == (0.0, 0.0, -0.2, 0.0, -0.2), "a rebate is a gain"


@pytest.mark.parametrize("is_exit", [False, True])
def test_exits_cost_as_entries_do(is_exit: bool) -> None:
    assert split(shortfall(outcome(is_exit=is_exit, cost_usd=998.0, fees_usd=0.5))) == (0.0, 2.0, 0.5, 0.0, 2.5)


def test_the_rest_can_be_measured_at_another_moment() -> None:
    left = outcome(side="buy", filled=Decimal(4), cost_usd=400.0, end_mid=100.0)
    assert shortfall(left).opportunity == 0.0
    assert shortfall(left, end_mid=101.0).opportunity == 6.0


# --- what is missing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mids", "missing"),
    [
        ({"arrival_mid": None}, ("arrival", "delay", "opportunity")),
        ({"sent_mid": None}, ("delay", "spread_impact")),
        ({"end_mid": None}, ("opportunity",)),
    ],
)
def test_a_part_whose_mid_nobody_saw_is_missing_and_so_is_the_total(
    mids: dict[str, None], missing: tuple[str, ...]
) -> None:
    cost = shortfall(done("buy", 10, 8, fees_usd=1.0, **mids))
    assert cost.missing == missing
    assert [cost.usd(part) for part in PARTS if part in missing] == [None] * len(set(missing) & set(PARTS))
    assert cost.fees == 1.0
    assert cost.total_usd is None
    assert cost.total_bps is None


def test_a_part_that_concerns_no_quantity_needs_no_mid() -> None:
    assert shortfall(done("buy", 10, 10, end_mid=None)).total_usd == 0.0
    assert shortfall(done("buy", 10, 0, sent_mid=None, end_mid=101.0)).total_usd == 10.0


def test_without_a_mid_at_arrival_there_are_no_bps() -> None:
    cost = shortfall(done("buy", 10, 10, arrival_mid=None, sent_mid=100.0, cost_usd=1001.0))
    assert cost.spread_impact == 1.0
    assert cost.notional_usd is None
    assert cost.missing == ("arrival", "delay")
    assert in_bps(1.0, None) is None
    assert in_bps(1.0, 0.0) is None


# --- properties ------------------------------------------------------------------------------------------------------

prices = st.floats(1e-3, 1e5, allow_nan=False)
quantities = st.decimals(0, 10_000, places=3)


@given(
    st.sampled_from(["buy", "sell"]), quantities, st.floats(0, 1), prices, prices, prices, prices, st.floats(-50, 50)
)
def test_the_parts_add_up_to_the_whole_whatever_the_mid_at_the_send(
    side: Side, target: Decimal, share: float, arrival: float, sent: float, end: float, paid: float, fees: float
) -> None:
    filled = (target * Decimal(share)).quantize(Decimal("0.001"))
    cost_usd = float(filled) * paid
    cost = shortfall(
        done(
            side,
            target,
            filled,
            cost_usd=cost_usd,
            fees_usd=fees,
            arrival_mid=arrival,
            sent_mid=sent,
            end_mid=end,
        )
    )
    sign = 1 if side == "buy" else -1
    whole = sign * (cost_usd - float(filled) * arrival) + fees + sign * float(target - filled) * (end - arrival)
    scale = float(target) * max(arrival, sent, end, paid) + abs(fees)
    assert cost.total_usd == pytest.approx(whole, abs=1e-9 * max(scale, 1e-9))


@given(quantities, st.floats(0, 1), prices, prices, prices, prices)
def test_buy_and_sell_mirror_each_other(
    target: Decimal, share: float, arrival: float, sent: float, end: float, paid: float
) -> None:
    filled = (target * Decimal(share)).quantize(Decimal("0.001"))
    fields = {"cost_usd": float(filled) * paid, "arrival_mid": arrival, "sent_mid": sent, "end_mid": end}
    buy, sell = shortfall(done("buy", target, filled, **fields)), shortfall(done("sell", target, filled, **fields))
    for part in PARTS:
        bought, sold = buy.usd(part), sell.usd(part)
        assert bought is not None
        assert sold is not None
        assert bought == -sold or part == "fees"


# --- many ------------------------------------------------------------------------------------------------------------


def test_totals_weigh_by_notional_and_add_up() -> None:
    totals = CostTotals()
    totals.add(shortfall(done("buy", 10, 10, cost_usd=1001.0, fees_usd=0.5)))  # 1.5 of 1,000
    totals.add(shortfall(done("sell", 30, 30, cost_usd=3003.0, fees_usd=0.6)))  # -2.4 of 3,000
    assert totals.complete == 2
    assert totals.total_usd == pytest.approx(-0.9)
    assert totals.total_bps == pytest.approx(-0.9 / 4000 * 1e4)
    bps = [totals.part_bps(part) for part in PARTS]
    assert bps == pytest.approx([0.0, -2.0 / 0.4, 1.1 / 0.4, 0.0])


def test_totals_leave_out_what_is_incomplete_and_count_it() -> None:
    totals = CostTotals()
    totals.add(shortfall(done("buy", 10, 10, cost_usd=1001.0)))
    totals.add(shortfall(done("buy", 10, 8, cost_usd=900.0, end_mid=None)))
    totals.add(shortfall(done("buy", 10, 8, arrival_mid=None)))
    assert (totals.complete, totals.incomplete) == (1, 2)
    assert totals.total_usd == 1.0
    assert totals.missing == {"opportunity": 2, "arrival": 1, "delay": 1}


def test_totals_of_nothing_are_missing_and_no_zero() -> None:
    totals = CostTotals()
    assert totals.total_usd is None
    assert totals.total_bps is None
    assert totals.part_bps("fees") is None
    assert totals.as_json()["bps"] is None


def test_a_saving_weighs_by_notional_and_says_how_sure_it_is() -> None:
    saving = Saving()
    assert saving.bps is None
    saving.add(2.0, 1000.0)
    assert saving.bps == pytest.approx(20.0)
    assert saving.error_bps is None, "one intent says nothing of the spread"
    saving.add(-1.0, 1000.0)
    # 20 and -10 bps: their mean is 5, their standard deviation 15 × √2, and the error of the mean that / √2.
    assert saving.bps == pytest.approx(5.0)
    assert saving.error_bps == pytest.approx(15.0)
    assert saving.usd == pytest.approx(1.0)


def test_equal_savings_have_no_error() -> None:
    saving = Saving()
    for notional in (100.0, 900.0, 250.0):
        saving.add(notional * 3e-4, notional)
    assert saving.bps == pytest.approx(3.0)
    assert saving.error_bps == pytest.approx(0.0, abs=1e-5)
