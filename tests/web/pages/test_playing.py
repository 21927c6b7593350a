"""The playground without a page: it begins with a decision's facts, and decides on what they are moved to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import Routed
from engine.language.types import NumberType
from engine.market.book import mid_of, spread_bps_of
from engine.market.events import Quote
from engine.web.pages.playing import Field, Play, Reach, newest_routing, play, reach_of
from tests.routing.written import NOW_MS, handed, intent_facts, shipped, sound

BOOK = shipped("prod")


def begun() -> Play:
    facts: dict[str, Any] = {
        "now": NOW_MS / 1000,
        "symbol": "BTCUSDT",
        "intent_id": "i",
        "intent": intent_facts(),
        **sound(),
    }
    facts["decisions"] = {"admission": {"admit": True, "admitted_qty": 0.5}}
    return play(BOOK, "routing", handed(BOOK, "routing", facts), 0.0)


def fields(held: Play) -> dict[str, Field]:
    return {each.fact.name: each for group in held.groups for each in group.fields}


def test_it_begins_where_the_decision_was() -> None:
    assert begun().decide().decision.values["route"] == "maker"


def test_a_moved_fact_decides_otherwise() -> None:
    held = begun()
    fields(held)["spread_bps"].value = 500.0
    assert held.decide().decision.values["route"] == "taker"


PRICES = st.floats(0.01, 1e6).map(lambda price: float(f"{price:.6g}"))


@given(bid=PRICES, ask=PRICES)
def test_mid_and_spread_follow_bid_and_ask(bid: float, ask: float) -> None:
    held = begun()
    of = fields(held)
    of["bid"].value = bid
    held.follow(of["bid"])
    of["ask"].value = ask
    assert {each.fact.name for each in held.follow(of["ask"])} <= {"mid", "spread_bps"}
    quote = Quote("BTCUSDT", 0, bid, ask, 1.0, 1.0)
    assert of["mid"].value == pytest.approx(mid_of(quote), rel=1e-9)
    assert of["spread_bps"].value == pytest.approx(spread_bps_of(quote), rel=1e-9)


@given(mid=PRICES, spread_bps=st.floats(0.1, 500.0))
def test_bid_and_ask_follow_mid_and_spread(mid: float, spread_bps: float) -> None:
    held = begun()
    of = fields(held)
    of["mid"].value = mid
    held.follow(of["mid"])
    of["spread_bps"].value = spread_bps
    held.follow(of["spread_bps"])
    bid, ask = of["bid"].value, of["ask"].value
    assert isinstance(bid, float)
    assert isinstance(ask, float)
    quote = Quote("BTCUSDT", 0, bid, ask, 1.0, 1.0)
    assert mid_of(quote) == pytest.approx(mid, rel=1e-9)
    assert spread_bps_of(quote) == pytest.approx(spread_bps, abs=1e-4)


def test_half_a_book_has_no_mid_and_a_whole_one_has_one_again() -> None:
    held = begun()
    of = fields(held)
    bid, of["bid"].value = of["bid"].value, None
    assert held.follow(of["bid"]) == [of["mid"], of["spread_bps"]]
    assert (of["mid"].value, of["spread_bps"].value) == (None, None)
    of["spread_bps"].value = 3.0
    assert held.follow(of["spread_bps"]) == []  # of what, nobody knows
    of["bid"].value = bid
    assert held.follow(of["bid"]) == [of["mid"], of["spread_bps"]]


def test_nothing_follows_a_fact_of_another_group() -> None:
    held = begun()
    assert held.follow(fields(held)["maker_price"]) == []


def test_a_group_grows_old_and_goes_away() -> None:
    held = begun()
    telemetry = next(each for each in held.groups if each.group.name == "telemetry")
    assert telemetry.age_s == 12.0
    telemetry.age_s = 1e6
    assert held.decide().decision.values["route"] == "taker"
    telemetry.is_there = False
    assert "telemetry" not in held.facts()
    assert {gap.cause for gap in held.decide().missing if gap.fact.startswith("telemetry.")} == {"absent"}


def test_without_facts_every_group_is_there_and_empty() -> None:
    held = play(BOOK, "routing", None, 1_000.0)
    assert all(group.is_there for group in held.groups)
    assert held.decide().decision.values["route"] == "taker"


def test_sliders_reach_around_large_values_and_over_small_ranges() -> None:
    held = begun()
    of = fields(held)
    ratio, bid = held.reach(of["maker_fill_ratio"]), held.reach(of["bid"])
    assert ratio is not None
    assert (ratio.low, ratio.high) == (0, 1)
    assert bid is not None
    assert bid.low <= 100.0 <= bid.high <= 1_000
    assert held.reach(of["side"]) is None


def test_sliders_go_below_zero_only_with_their_value() -> None:
    signed = NumberType("qty", -1e12, 1e12)
    assert reach_of(signed, 3.359) == Reach(0.0, 3 * 3.359, 0.05)
    assert reach_of(signed, 0.0) == Reach(0.0, 100.0, 0.5)
    short = reach_of(signed, -3.0)
    assert short is not None
    assert short.low <= -3.0 < 0.0 < short.high


def test_a_slider_without_a_value_reaches_as_far_as_others_of_its_unit_or_there_is_none() -> None:
    held = begun()
    fields = {each.fact.name: each for group in held.groups for each in group.fields}
    fields["bid"].value = None
    reach = held.reach(fields["bid"])
    assert reach is not None
    assert reach.low < 100.0 < reach.high < 1_000.0
    assert reach.low == reach.step  # not 1e-9, which is the least that a price can be
    for each in fields.values():
        each.value = None
    assert held.reach(fields["bid"]) is None
    assert held.reach(fields["maker_fill_ratio"]) == Reach(0, 1, 0.005)


def test_it_begins_with_the_newest_decision_of_routing() -> None:
    def routed(decision_id: str, route: str, event: str = "decision") -> Routed:
        return Routed(
            ts_ms=NOW_MS,
            intent_id="i",
            symbol="BTCUSDT",
            side="buy",
            route=route,
            reason="",
            vetoes=[],
            decision_id=decision_id,
            target=Decimal(1),
            is_exit=False,
            event=event,
        )

    newest_first = [routed("refused", "none"), routed("fell-back", "taker", "fallback"), routed("routed", "maker")]
    assert newest_routing(newest_first) == "routed"
    assert newest_routing(newest_first[:2]) is None
