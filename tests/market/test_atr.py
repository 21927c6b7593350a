from itertools import pairwise
from math import fsum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import AtrRatio, Bar, read_bars
from tests.market.samples import bar, flat_bar


def naive_atr(bars: list[Bar], length: int) -> float | None:
    """The definition, from scratch."""
    ranges = [bars[0].high - bars[0].low] + [
        max(this.high - this.low, abs(this.high - before.close), abs(this.low - before.close))
        for before, this in pairwise(bars)
    ]
    return fsum(ranges[-length:]) / length / bars[-1].close if len(ranges) >= length else None


def test_the_first_bar_counts_from_low_to_high_the_others_from_the_close_before() -> None:
    atr = AtrRatio(1, 3)
    atr.add(bar(0, 98.0, 102.0, 100.0))
    assert atr.atr_short == 4.0 / 100.0
    atr.add(bar(1, 107.0, 110.0, 108.0))
    assert atr.atr_short == 10.0 / 108.0
    atr.add(bar(2, 95.0, 96.0, 96.0))
    assert atr.atr_short == 13.0 / 96.0
    assert atr.atr_long == 27.0 / 3 / 96.0
    assert atr.ratio == (13.0 / 96.0) / (27.0 / 3 / 96.0)


def test_there_is_no_ratio_until_there_are_enough_bars() -> None:
    atr = AtrRatio(2, 3)
    seen = []
    for minute in range(3):
        atr.add(bar(minute, 98.0, 102.0, 100.0))
        seen.append((atr.atr_short is None, atr.atr_long is None, atr.ratio is None))
    assert seen == [(True, True, True), (False, True, True), (False, False, False)]


def test_there_is_no_ratio_where_nothing_moved() -> None:
    atr = AtrRatio(1, 2)
    atr.warm_up([flat_bar(0), flat_bar(1)])
    assert (atr.atr_long, atr.ratio) == (0.0, None)


def test_a_calm_end_of_a_wild_stretch_has_ratio_zero() -> None:
    atr = AtrRatio(1, 2)
    atr.warm_up([bar(0, 98.0, 102.0, 100.0), flat_bar(1)])
    assert atr.ratio == 0.0


def test_observed_when_the_last_bar_closed() -> None:
    atr = AtrRatio(1, 2)
    assert atr.observed_at is None
    atr.add(flat_bar(0))
    assert atr.observed_at == flat_bar(1).open_time_ms / 1000


def test_a_hole_in_the_bars_starts_anew() -> None:
    atr = AtrRatio(2, 3)
    atr.warm_up([bar(minute, 98.0, 102.0, 100.0) for minute in range(4)])
    atr.add(bar(5, 150.0, 152.0, 151.0))
    assert (atr.atr_short, atr.atr_long) == (None, None)
    atr.add(bar(6, 150.0, 152.0, 151.0))
    assert (atr.atr_short, atr.atr_long) == (2.0 / 151.0, None)
    atr.add(bar(7, 150.0, 152.0, 151.0))
    assert atr.ratio == 1.0


@pytest.mark.parametrize("minute", [0, 1])
def test_a_bar_of_the_past_is_refused(minute: int) -> None:
    atr = AtrRatio(1, 2)
    atr.warm_up([flat_bar(0), flat_bar(1)])
    with pytest.raises(ValueError, match="opens before the last one closed"):
        atr.add(flat_bar(minute))


@pytest.mark.parametrize(("short", "long"), [(0, 5), (-1, 5), (6, 5)])
def test_lengths_that_make_no_sense(short: int, long: int) -> None:
    with pytest.raises(ValueError, match="1 <= short <= long"):
        AtrRatio(short, long)


prices = st.floats(1e-9, 1e9)
markets = st.lists(st.tuples(prices, prices, st.floats(0, 1)), min_size=1, max_size=40)


@given(markets, st.integers(1, 5), st.integers(0, 10))
def test_each_step_equals_the_definition_to_the_last_bit(
    market: list[tuple[float, float, float]], short: int, further: int
) -> None:
    long = short + further
    bars = [
        bar(minute, min(a, b), max(a, b), max(min(a, b), min(max(a, b), a + share * (b - a))))
        for minute, (a, b, share) in enumerate(market)
    ]
    atr = AtrRatio(short, long)
    for count, this in enumerate(bars, 1):
        atr.add(this)
        expected_short, expected_long = naive_atr(bars[:count], short), naive_atr(bars[:count], long)
        assert (atr.atr_short, atr.atr_long) == (expected_short, expected_long)
        assert atr.ratio == (expected_short / expected_long if expected_short is not None and expected_long else None)


def test_a_giant_bar_leaves_no_trace_once_it_is_out_of_the_window() -> None:
    atr = AtrRatio(2, 3)
    atr.add(bar(0, 1e-9, 1e17, 1.0))
    for minute in range(1, 6):
        atr.add(bar(minute, 1.0, 1.1, 1.0))
    assert atr.atr_long == fsum([1.1 - 1.0] * 3) / 3
    assert atr.ratio == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("binance_vision/um/klines/1m/LINKUSDT-1m-2026-02.csv.gz", 0.39, 4.32),
        ("klines_1m/binance-um_BTCUSDT_202505.parquet", 0.22, 4.18),
    ],
)
def test_recorded_bars_have_the_ratios_they_are_known_by(
    data_dir: Path, name: str, lowest: float, highest: float
) -> None:
    atr = AtrRatio(50, 500)
    ratios = []
    for this in read_bars(data_dir / name):
        atr.add(this)
        if atr.ratio is not None:
            ratios.append(atr.ratio)
    assert (round(min(ratios), 2), round(max(ratios), 2)) == (lowest, highest)
