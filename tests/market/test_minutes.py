from collections import Counter
from itertools import chain, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import Bar, Event, MinuteBars, Quote, Trade, read_bars
from engine.market.events import MINUTE_MS
from engine.market.files import recognise
from engine.market.minutes import QuoteBar, Side, minute_blocks
from engine.market.parquet import quote_bars
from tests.market.samples import START_MS


def quoted(minute: int, bid: Side, ask: Side) -> QuoteBar:
    return QuoteBar(START_MS + minute * MINUTE_MS, bid, ask)


def printed(minute: int, opened: float, high: float, low: float, close: float, volume: float = 8.0) -> Bar:
    open_ms = START_MS + minute * MINUTE_MS
    return Bar("ADAUSDT", open_ms, opened, high, low, close, volume, open_ms + MINUTE_MS - 1)


RISING = quoted(0, Side(10.0, 13.0, 8.0, 11.0, 1.0), Side(10.5, 13.5, 8.5, 11.5, 2.0))
FALLING = quoted(1, Side(11.0, 12.0, 9.0, 10.0, 3.0), Side(11.5, 12.5, 9.5, 10.5, 4.0))


def events_of(quotes: list[QuoteBar], prints: list[Bar]) -> list[Event]:
    return list(chain.from_iterable(minute_blocks("ADAUSDT", quotes, prints)))


def touches(events: list[Event]) -> list[tuple[float, float, float]]:
    """When the touch changes, in seconds, and to what."""
    quotes = [event for event in events if isinstance(event, Quote)]
    changed = [
        quotes[0],
        *(after for before, after in pairwise(quotes) if (before.bid, before.ask) != (after.bid, after.ask)),
    ]
    return [((quote.ts_ms - START_MS) / 1000, quote.bid, quote.ask) for quote in changed]


def test_a_minute_that_rises_has_its_low_first_one_that_falls_its_high() -> None:
    assert touches(events_of([RISING, FALLING], [])) == [
        (0, 10.0, 10.5),
        (15, 8.0, 8.5),
        (30, 13.0, 13.5),
        (45, 11.0, 11.5),
        (75, 12.0, 12.5),
        (90, 9.0, 9.5),
        (105, 10.0, 10.5),
    ]


def test_the_touch_is_said_again_every_second_of_a_minute_that_has_one() -> None:
    times = [event.ts_ms for event in events_of([RISING, quoted(2, *FALLING[1:])], [])]
    seconds = [START_MS + second * 1000 for second in range(180)]
    assert times == seconds[:60] + seconds[120:]


def test_the_sizes_are_those_last_recorded() -> None:
    quotes = [event for event in events_of([RISING, FALLING], []) if isinstance(event, Quote)]
    sizes = [(quote.bid_qty, quote.ask_qty) for quote in quotes]
    assert sizes == [(1.0, 2.0)] * 105 + [(3.0, 4.0)] * 15
    later = quoted(2, FALLING.bid, FALLING.ask)
    hole = events_of([RISING, later], [printed(1, 10.0, 13.0, 8.0, 11.0)])
    assert [(quote.bid_qty, quote.ask_qty) for quote in hole if isinstance(quote, Quote)] == sizes


def test_a_quarter_of_the_volume_is_printed_in_the_middle_of_each_quarter_at_its_price() -> None:
    prints = [event for event in events_of([], [printed(0, 10.0, 13.0, 8.0, 11.0)]) if isinstance(event, Trade)]
    assert [((trade.ts_ms - START_MS) / 1000, trade.price, trade.qty, trade.is_buyer_maker) for trade in prints] == [
        (7.5, 10.0, 2.0, None),
        (22.5, 8.0, 2.0, None),
        (37.5, 13.0, 2.0, None),
        (52.5, 11.0, 2.0, None),
    ]


def test_prints_go_the_way_of_the_quotes_and_are_sales_at_the_bid_and_purchases_at_the_ask() -> None:
    """The bar of prints rises, from bid to ask; the book falls."""
    prints = [event for event in events_of([FALLING], [printed(1, 11.0, 12.5, 9.25, 11.5)]) if isinstance(event, Trade)]
    assert [(trade.price, trade.is_buyer_maker) for trade in prints] == [
        (11.0, True),
        (12.5, False),
        (9.25, None),
        (11.5, False),
    ]


def test_minutes_that_only_one_of_the_two_has_are_no_matter() -> None:
    events = events_of([RISING, quoted(3, *FALLING[1:])], [printed(minute, 10.0, 13.0, 8.0, 11.0) for minute in (1, 3)])
    minutes = Counter((type(event).__name__, (event.ts_ms - START_MS) // MINUTE_MS) for event in events)
    assert minutes == {("Quote", 0): 60, ("Trade", 1): 4, ("Quote", 3): 60, ("Trade", 3): 4}
    assert all(before.ts_ms < after.ts_ms for before, after in pairwise(events))


prices = st.floats(0.1, 1e6)
bars = st.lists(
    st.tuples(prices, prices, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e6)), min_size=1, max_size=9
).map(
    lambda rows: [
        printed(
            minute,
            min(high, max(low, low + opened * (high - low))),
            high,
            low,
            min(high, max(low, low + closed * (high - low))),
            volume,
        )
        for minute, (one, other, opened, closed, volume) in enumerate(rows)
        for low, high in [sorted((one, other))]
    ]
)


@given(bars)
def test_bars_made_of_the_prints_are_the_bars_they_came_from(recorded: list[Bar]) -> None:
    builder = MinuteBars("ADAUSDT", 0)
    made: list[Bar] = []
    for event in events_of([], recorded):
        assert isinstance(event, Trade)
        made.extend(builder.add(event.ts_ms, event.price, event.qty))
    made.extend(builder.advance(START_MS + len(recorded) * MINUTE_MS))
    assert [bar.volume for bar in made] == pytest.approx([bar.volume for bar in recorded])
    assert [Bar(*_but_volume(bar)) for bar in made] == [Bar(*_but_volume(bar)) for bar in recorded]


def _but_volume(bar: Bar) -> tuple[str, int, float, float, float, float, float, int]:
    return bar.symbol, bar.open_time_ms, bar.open, bar.high, bar.low, bar.close, 0.0, bar.close_time_ms


def test_a_recorded_day_of_minutes_is_a_day_of_events(data_dir: Path) -> None:
    folder = data_dir / "minute_quotes"
    prints = folder / "binance-um_ADAUSDT_20221213_tradebars.parquet"
    assert recognise(prints).kind == "trade_bars"
    events = events_of(
        list(quote_bars(folder / "binance-um_ADAUSDT_20221213_quotebars.parquet")), list(read_bars(prints))
    )
    assert Counter(type(event) for event in events) == {Quote: 1_100 * 60, Trade: 1_440 * 4}
    assert all(before.ts_ms < after.ts_ms for before, after in pairwise(events))
    sides = Counter(event.is_buyer_maker for event in events if isinstance(event, Trade))
    assert sides[True] > 1_500
    assert sides[False] > 1_500
