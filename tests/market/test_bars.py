from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import Bar, MinuteBars, read_trades
from engine.market.events import MINUTE_MS, minute_of
from tests.market.samples import START_MS


def bars_of(prices: list[tuple[int, float]], max_flat_minutes: int = 5, until_ms: int | None = None) -> list[Bar]:
    builder = MinuteBars("BTCUSDT", max_flat_minutes)
    closed = [bar for ts_ms, price in prices for bar in builder.add(ts_ms, price, 1.0)]
    return closed if until_ms is None else [*closed, *builder.advance(until_ms)]


def made(minute: int, opened: float, high: float, low: float, close: float, volume: float) -> Bar:
    open_ms = START_MS + minute * MINUTE_MS
    return Bar("BTCUSDT", open_ms, opened, high, low, close, volume, open_ms + MINUTE_MS - 1)


def test_a_bar_holds_the_prices_of_its_utc_minute() -> None:
    prices = [(START_MS + 20_000, 10.0), (START_MS + 30_000, 12.0), (START_MS + 40_000, 9.0), (START_MS + 59_999, 11.0)]
    assert bars_of([*prices, (START_MS + 60_000, 99.0)]) == [made(0, 10.0, 12.0, 9.0, 11.0, 4.0)]


def test_a_bar_is_closed_by_the_next_minute_not_before() -> None:
    builder = MinuteBars("BTCUSDT", 5)
    assert not builder.add(START_MS, 10.0)
    assert not builder.advance(START_MS + 59_999)
    assert list(builder.advance(START_MS + 60_000)) == [made(0, 10.0, 10.0, 10.0, 10.0, 0.0)]
    assert not builder.advance(START_MS + 60_000)


def test_minutes_without_a_price_are_flat_at_the_last_close() -> None:
    assert bars_of([(START_MS, 10.0), (START_MS + 3 * MINUTE_MS, 20.0)]) == [
        made(0, 10.0, 10.0, 10.0, 10.0, 1.0),
        made(1, 10.0, 10.0, 10.0, 10.0, 0.0),
        made(2, 10.0, 10.0, 10.0, 10.0, 0.0),
    ]


def test_the_first_price_of_a_minute_opens_it_even_after_a_flat_one() -> None:
    closed = bars_of([(START_MS, 10.0), (START_MS + 2 * MINUTE_MS, 20.0)], until_ms=START_MS + 3 * MINUTE_MS)
    assert closed[-1] == made(2, 20.0, 20.0, 20.0, 20.0, 1.0)


def test_a_long_silence_leaves_a_hole() -> None:
    closed = bars_of([(START_MS, 10.0), (START_MS + 500 * MINUTE_MS, 20.0)], 2, until_ms=START_MS + 501 * MINUTE_MS)
    assert [(bar.open_time_ms - START_MS) // MINUTE_MS for bar in closed] == [0, 1, 2, 500]


def test_a_silence_just_short_of_the_limit_leaves_none() -> None:
    closed = bars_of([(START_MS, 10.0), (START_MS + 3 * MINUTE_MS, 20.0)], 2, until_ms=START_MS + 4 * MINUTE_MS)
    assert [(bar.open_time_ms - START_MS) // MINUTE_MS for bar in closed] == [0, 1, 2, 3]


def test_before_the_first_price_no_bar_closes() -> None:
    assert not MinuteBars("BTCUSDT", 5).advance(START_MS + 10 * MINUTE_MS)


def test_a_price_before_the_minute_being_built_is_refused() -> None:
    builder = MinuteBars("BTCUSDT", 5)
    builder.add(START_MS, 10.0)
    with pytest.raises(ValueError, match="lies before the minute being built"):
        builder.add(START_MS - 1, 10.0)


steps = st.lists(st.tuples(st.integers(0, 150_000), st.integers(1, 9).map(float)), min_size=1, max_size=40)


def at_times(walk: list[tuple[int, float]]) -> list[tuple[int, float]]:
    ts_ms, prices = START_MS, []
    for step_ms, price in walk:
        ts_ms += step_ms
        prices.append((ts_ms, price))
    return prices


@given(steps)
def test_bars_are_those_of_grouping_by_minute(walk: list[tuple[int, float]]) -> None:
    prices = at_times(walk)
    last_minute = minute_of(prices[-1][0])
    expected, close = [], 0.0
    for open_ms in range(START_MS, last_minute, MINUTE_MS):
        inside = [price for ts_ms, price in prices if minute_of(ts_ms) == open_ms]
        opened, high, low, close = (inside[0], max(inside), min(inside), inside[-1]) if inside else (close,) * 4
        if open_ms >= minute_of(prices[0][0]):
            volume = float(len(inside))
            expected.append(Bar("BTCUSDT", open_ms, opened, high, low, close, volume, open_ms + MINUTE_MS - 1))
    assert bars_of(prices) == expected


@given(steps, st.lists(st.integers(0, 60 * MINUTE_MS), max_size=20), st.integers(0, 2))
def test_bars_do_not_depend_on_how_often_time_is_told(
    walk: list[tuple[int, float]], ticks: list[int], max_flat_minutes: int
) -> None:
    prices = at_times(walk)
    told = MinuteBars("BTCUSDT", max_flat_minutes)
    closed: list[Bar] = []
    clock: list[tuple[int, float | None]] = [(START_MS + tick, None) for tick in ticks]
    for ts_ms, price in sorted([*prices, *clock], key=lambda moment: moment[0]):
        if ts_ms <= prices[-1][0]:
            closed += told.advance(ts_ms) if price is None else told.add(ts_ms, price, 1.0)
    assert closed == bars_of(prices, max_flat_minutes)


def test_a_recorded_day_has_every_minute_once(data_dir: Path) -> None:
    path = data_dir / "binance_vision" / "um" / "aggTrades" / "APEUSDT-aggTrades-2024-10-18.zip"
    builder = MinuteBars("APEUSDT", 0)
    closed = [bar for trade in read_trades(path) for bar in builder.add(trade.ts_ms, trade.price, trade.qty)]
    assert len(closed) == 1_439
    assert all(after.open_time_ms == before.close_time_ms + 1 for before, after in pairwise(closed))
