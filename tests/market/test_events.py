import pytest

from engine.market.events import minute_of
from tests.market.samples import START_MS, flat_bar, quote, trade


@pytest.mark.parametrize("event", [quote(START_MS), trade(START_MS), flat_bar(0)])
def test_events_do_not_change(event: object) -> None:
    with pytest.raises(AttributeError):
        event.symbol = "ETHUSDT"  # type: ignore[attr-defined]  # what is tried is wrong on purpose


def test_a_bar_is_known_from_the_millisecond_after_its_close() -> None:
    assert flat_bar(0).ts_ms == flat_bar(0).close_time_ms + 1 == flat_bar(1).open_time_ms


def test_of_one_millisecond_bars_come_before_trades_before_quotes() -> None:
    assert flat_bar(0).rank < trade(START_MS).rank < quote(START_MS).rank


@pytest.mark.parametrize(("ts_ms", "minute"), [(0, 0), (59_999, 0), (60_000, 60_000), (60_001, 60_000)])
def test_minutes_start_on_whole_minutes(ts_ms: int, minute: int) -> None:
    assert minute_of(ts_ms) == minute
