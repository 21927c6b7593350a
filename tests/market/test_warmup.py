import pytest

from engine.market import AtrRatio, warm_up_for
from engine.market.events import MINUTE_MS
from tests.market.samples import START_MS, bar, flat_bar

BARS = [bar(minute, 90.0 + minute, 110.0 + minute, 100.0 + minute) for minute in range(10)]


def test_bars_up_to_the_recording_are_taken_as_they_are() -> None:
    warm_up = warm_up_for(BARS, START_MS + 8 * MINUTE_MS + 17, 500.0, count=3)
    assert warm_up.bars == tuple(BARS[5:8])
    assert not warm_up.is_from_another_day
    assert str(warm_up) == "3 bars up to 2024-08-09 00:01"


def test_bars_of_another_day_end_with_the_minute_before_and_at_the_first_price() -> None:
    starts_ms = START_MS + 5_000 * MINUTE_MS + 17
    warm_up = warm_up_for(BARS, starts_ms, 218.0, count=4)
    assert warm_up.is_from_another_day
    assert warm_up.bars[-1].ts_ms == START_MS + 5_000 * MINUTE_MS
    assert warm_up.bars[-1].close == 218.0
    assert warm_up.price_factor == 2.0
    assert [bar.high for bar in warm_up.bars] == [2 * bar.high for bar in BARS[6:]]
    assert [bar.volume for bar in warm_up.bars] == [bar.volume for bar in BARS[6:]]
    assert "up to 2024-08-09 00:03" in str(warm_up)
    assert "prices × 2" in str(warm_up)


def test_later_bars_serve_where_there_are_no_earlier_ones() -> None:
    warm_up = warm_up_for(BARS, START_MS - 1_000 * MINUTE_MS, 109.0, count=100)
    assert len(warm_up.bars) == 10
    assert warm_up.shifted_ms == -1_010 * MINUTE_MS
    assert warm_up.bars[-1].ts_ms == START_MS - 1_000 * MINUTE_MS


def test_earlier_bars_are_preferred_and_later_ones_not_looked_at() -> None:
    bars = iter([BARS[0], *BARS[6:]])
    warm_up = warm_up_for(bars, START_MS + 5 * MINUTE_MS, 100.0, count=100)
    assert [bar.close for bar in warm_up.bars] == [100.0]
    assert list(bars) == BARS[7:]


def test_a_bar_that_closes_inside_the_first_minute_is_not_of_the_past() -> None:
    assert warm_up_for(BARS[:2], START_MS + MINUTE_MS + 59_999, 100.0, count=9).bars == (BARS[0],)


def test_moving_bars_keeps_the_ratio() -> None:
    here, there = AtrRatio(3, 9), AtrRatio(3, 9)
    here.warm_up(BARS)
    there.warm_up(warm_up_for(BARS, START_MS + 77 * MINUTE_MS, 0.0123, count=10).bars)
    assert here.ratio is not None
    assert there.ratio == pytest.approx(here.ratio)
    assert there.atr_long == pytest.approx(here.atr_long)


def test_without_bars_there_is_no_warm_up() -> None:
    assert warm_up_for([], START_MS, 100.0, count=5).bars == ()
    assert str(warm_up_for([], START_MS, 100.0, count=5)) == "no bars"


def test_fewer_bars_than_asked_for_are_all_taken() -> None:
    assert len(warm_up_for([flat_bar(0)], START_MS + MINUTE_MS, 100.0, count=5).bars) == 1
