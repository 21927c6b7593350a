"""Minutes of quotes and of prints become quotes and trades, so that a session can run over a day of them.

In: bars of bid and ask, bars of prints, or both, a minute each. Out: blocks of events in order of time. What lay inside
a minute is not recorded; this is the path that is taken through it, the same on every run:

| in the minute | the touch (bid and ask alike) | a print of a quarter of the volume |
|---|---|---|
| 00.0 s .. 15 s | opens | 07.5 s at the open |
| 15.0 s .. 30 s | low, or high where the minute falls | 22.5 s at the same |
| 30.0 s .. 45 s | the other of the two | 37.5 s at the same |
| 45.0 s .. 60 s | closes | 52.5 s at the close |

A minute falls where its mid (or, without quotes, its price) closes lower than it opened: then the high comes first. Bid
and ask are taken to reach their lows and their highs together. Within a quarter the touch is said again every second,
as a feed does: a bar says that there was a book all along, and one that is silent for 15 s would look dead. Sizes are
those last recorded: of the minute before up to the close, since a bar has the size at its close only.

A print is a sale where its price is at the bid or below, a purchase at the ask or above, and of unknown side between
them or without quotes. Minutes without a row give nothing: what is said of a book then is for rules on stale quotes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.market.events import MINUTE_MS, Bar, Event, Quote, Trade

_QUARTERS = 4
_QUARTER_MS = MINUTE_MS // _QUARTERS
_AGAIN_MS = 1000
_PRINT_AFTER_MS = _QUARTER_MS // 2


class Side(NamedTuple):
    """One side of the book over a minute."""

    open: float
    high: float
    low: float
    close: float
    qty: float
    """At the close."""


class QuoteBar(NamedTuple):
    """Both sides of the book over the minute from `open_time_ms` on."""

    open_time_ms: int
    bid: Side
    ask: Side


def minute_blocks(symbol: str, quote_bars: Iterable[QuoteBar], trade_bars: Iterable[Bar]) -> Iterator[list[Event]]:
    """The events of each minute, out of bars in order of time; what comes of either may be empty."""
    before: QuoteBar | None = None
    for open_ms, quoted, printed in _side_by_side(quote_bars, trade_bars):
        yield _minute(symbol, open_ms, quoted, printed, before or quoted)
        before = quoted or before


def _side_by_side(
    quote_bars: Iterable[QuoteBar], trade_bars: Iterable[Bar]
) -> Iterator[tuple[int, QuoteBar | None, Bar | None]]:
    """Each minute that either has, with what both have of it."""
    quotes, prints = iter(quote_bars), iter(trade_bars)
    quoted, printed = next(quotes, None), next(prints, None)
    while quoted is not None or printed is not None:
        open_ms = min(bar.open_time_ms for bar in (quoted, printed) if bar is not None)
        has_quotes = quoted is not None and quoted.open_time_ms == open_ms
        has_prints = printed is not None and printed.open_time_ms == open_ms
        yield open_ms, quoted if has_quotes else None, printed if has_prints else None
        if has_quotes:
            quoted = next(quotes, None)
        if has_prints:
            printed = next(prints, None)


def _minute(
    symbol: str, open_ms: int, quoted: QuoteBar | None, printed: Bar | None, sized: QuoteBar | None
) -> list[Event]:
    """The events of one minute; `sized` has the sizes up to its close."""
    falls = _falls(quoted, printed)
    bids = _path(quoted.bid, falls=falls) if quoted is not None else ()
    asks = _path(quoted.ask, falls=falls) if quoted is not None else ()
    prices = _path(printed, falls=falls) if printed is not None else ()
    events: list[Event] = []
    for quarter in range(_QUARTERS):
        starts_ms = open_ms + quarter * _QUARTER_MS
        if quoted is not None and sized is not None:
            at_close = quoted if quarter == _QUARTERS - 1 else sized
            events += (
                Quote(symbol, ts_ms, bids[quarter], asks[quarter], at_close.bid.qty, at_close.ask.qty)
                for ts_ms in range(starts_ms, starts_ms + _QUARTER_MS, _AGAIN_MS)
            )
        if printed is not None:
            price = prices[quarter]
            side = _is_buyer_maker(price, bids[quarter], asks[quarter]) if quoted is not None else None
            events.append(Trade(symbol, starts_ms + _PRINT_AFTER_MS, price, printed.volume / _QUARTERS, side))
    events.sort(key=lambda event: event.ts_ms)
    return events


def _falls(quoted: QuoteBar | None, printed: Bar | None) -> bool:
    if quoted is not None:
        return quoted.bid.close + quoted.ask.close < quoted.bid.open + quoted.ask.open
    return printed is not None and printed.close < printed.open


def _path(of: Side | Bar, *, falls: bool) -> tuple[float, float, float, float]:
    return (of.open, of.high, of.low, of.close) if falls else (of.open, of.low, of.high, of.close)


def _is_buyer_maker(price: float, bid: float, ask: float) -> bool | None:
    at_bid, at_ask = price <= bid, 0.0 < ask <= price
    return at_bid if at_bid != at_ask else None
