from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import Event, Quote, Trade, merge, read_quotes, read_trades
from tests.market.samples import flat_bar, quote, trade


def order(event: Event) -> tuple[int, int]:
    return event.ts_ms, event.rank


def test_the_same_millisecond_has_trades_before_quotes() -> None:
    quotes = [quote(1), quote(2), quote(3)]
    trades = [trade(2), trade(3)]
    assert list(merge(quotes, trades)) == [quotes[0], trades[0], quotes[1], trades[1], quotes[2]]


def test_a_bar_comes_after_its_last_millisecond_and_before_the_next() -> None:
    closed = flat_bar(0)
    inside, after = trade(closed.close_time_ms), trade(closed.close_time_ms + 1)
    assert list(merge([inside, after], [quote(after.ts_ms)], [closed])) == [inside, closed, after, quote(after.ts_ms)]


def test_symbols_of_one_moment_come_in_the_order_of_their_names() -> None:
    bitcoin, ether = quote(5, symbol="BTCUSDT"), quote(5, symbol="ETHUSDT")
    assert list(merge([ether], [bitcoin])) == list(merge([bitcoin], [ether])) == [bitcoin, ether]


def test_equal_events_of_one_symbol_come_in_the_order_of_the_streams() -> None:
    first, second = [quote(1, 10.0), quote(1, 11.0)], [quote(1, 20.0)]
    assert list(merge(first, second)) == first + second
    assert list(merge(second, first)) == second + first


def test_nothing_merges_to_nothing() -> None:
    assert list(merge()) == list(merge([], [])) == []


@pytest.mark.parametrize("others", [[], [quote(9)], [quote(4)]])
def test_a_stream_out_of_order_is_refused(others: list[Event]) -> None:
    with pytest.raises(ValueError, match="out of order at the quote of BTCUSDT at 3 ms"):
        list(merge([quote(1), quote(5), quote(3)], others))


def test_a_quote_before_a_trade_of_its_millisecond_is_out_of_order() -> None:
    with pytest.raises(ValueError, match="out of order at the trade"):
        list(merge([quote(1), trade(1)]))


def test_an_event_is_handed_on_before_the_next_is_asked_for() -> None:
    def breaking_off() -> Iterator[Event]:
        yield quote(1)
        raise OSError("the line is down")

    merged = merge(breaking_off(), [quote(7)])
    assert next(merged) == quote(1)
    with pytest.raises(OSError, match="the line is down"):
        next(merged)


events = st.builds(quote, st.integers(0, 9), symbol=st.sampled_from("AB")) | st.builds(
    trade, st.integers(0, 9), symbol=st.sampled_from("AB")
)
streams = st.lists(st.lists(events, max_size=12).map(lambda stream: sorted(stream, key=order)), max_size=5)


@given(streams)
def test_a_merge_is_ordered_and_each_stream_keeps_its_order(given_streams: list[list[Event]]) -> None:
    merged = list(merge(*given_streams))
    assert merged == sorted(merged, key=order)
    remaining = [list(stream) for stream in given_streams]
    for event in merged:
        stream = next(stream for stream in remaining if stream and stream[0] is event)
        stream.pop(0)
    assert not any(remaining)


@given(st.lists(events, max_size=30), st.booleans())
def test_streams_of_one_symbol_and_kind_come_in_one_order(market: list[Event], backwards: bool) -> None:
    """By time, then kind, then symbol, whichever way the streams are given."""
    in_order = sorted(market, key=lambda event: (*order(event), event.symbol))
    by_symbol_and_kind = [list(group) for _, group in groupby(sorted(in_order, key=split), key=split)]
    assert list(merge(*(reversed(by_symbol_and_kind) if backwards else by_symbol_and_kind))) == in_order


def split(event: Event) -> tuple[str, int]:
    return event.symbol, event.rank


def test_recorded_aggressors_agree_with_the_book_before_them(data_dir: Path) -> None:
    """Buys at or above the ask, sells at or below the bid of the last quote: so the order is that of the venue."""
    folder = data_dir / "binance_vision" / "um"
    last: Quote | None = None
    agreeing = trades = 0
    for event in merge(
        read_quotes(folder / "bookTicker" / "BTCUSDT-bookTicker-2024-08-08.csv.gz"),
        read_trades(folder / "trades" / "BTCUSDT-trades-2024-08-08.csv.gz"),
    ):
        if isinstance(event, Quote):
            last = event
        elif isinstance(event, Trade) and last is not None:
            trades += 1
            agreeing += event.price <= last.bid if event.is_buyer_maker else event.price >= last.ask
    assert trades > 20_000
    assert agreeing / trades > 0.995
