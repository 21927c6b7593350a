"""How far a condition was from turning out otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from engine.routing.evidence.nearness import gaps

SAW = {
    "spread_bps": 12.4,
    "$max_spread_bps": 12.0,
    "fallback_ratio": 0.62,
    "$limit": 0.6,
    "qty": 3.0,
    "price": 50.0,
    "$max_usd": 100.0,
    "flag": True,
    "gone": {"missing": "stale"},
    "tier": "ok",
}


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ("spread_bps > $max_spread_bps", ["spread_bps 12.4 > max_spread_bps 12"]),
        ("$max_spread_bps < spread_bps", ["spread_bps 12.4 > max_spread_bps 12"]),
        ("qty * price > $max_usd", ["qty * price 150 > max_usd 100"]),
        ("not spread_bps <= $max_spread_bps", ["spread_bps 12.4 > max_spread_bps 12"]),
        ("qty <= 3", ["qty 3 <= 3"]),
        ("qty is missing or qty >= 2", ["qty 3 >= 2"]),
        ("qty is known and spread_bps > qty", ["spread_bps 12.4 > qty 3"]),
        ("flag implies qty > 2", ["qty 3 > 2"]),
        ("qty > 5 implies flag", ["qty 3 <= 5"]),
        ("flag >= 1", []),
        ("max(qty, 1) > -$limit", ["max(qty, 1) 3 > -limit -0.6"]),
        ("abs(-qty) >= min(price, $max_usd) / 20", ["abs(-qty) 3 >= min(price, max_usd) / 20 2.5"]),
        ("spread_bps < $max_spread_bps", []),
        ("gone > 3", []),
        ("tier < good", []),
        ("tier != good and not flag", []),
        ("unheard_of > 3", []),
        ("qty / (price - 50) > 1", []),
        ("qty == 3", []),
        ("this is no expression", []),
    ],
)
def test_comparisons_that_hold_are_found(when: str, shown: list[str]) -> None:
    assert [gap.shown for gap in gaps(when, SAW)] == shown


def test_what_is_to_be_mended_is_found_the_other_way_round() -> None:
    found = gaps("fallback_ratio <= $limit and qty > 2", SAW, holding=False)
    assert [gap.shown for gap in found] == ["fallback_ratio 0.62 <= limit 0.6"]


@pytest.mark.parametrize(
    ("value", "bound", "away"), [(12.36, 12.0, 0.03), (12.0, 12.0, 0.0), (-2.0, -4.0, 0.5), (5.0, 0.0, None)]
)
def test_distance_is_a_share_of_the_bound(value: float, bound: float, away: float | None) -> None:
    (gap,) = gaps("value >= $bound", {"value": value, "$bound": bound})
    assert gap.away == (None if away is None else pytest.approx(away))


def test_a_difference_in_the_last_digit_is_shown() -> None:
    saw: dict[str, Any] = {"value": 12.000000000000002, "$bound": 12.0}
    assert [gap.shown for gap in gaps("value > $bound", saw)] == ["value 12.000000000000002 > bound 12"]
