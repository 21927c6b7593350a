"""The three things a market says: a quote, a trade, a bar. Immutable, typed, cheap to make.

Times are milliseconds since 1970 UTC on the venue's clock. Prices are in the quote asset; quantities in the base asset,
except on coin-margined symbols, where they are contracts.

Events are `msgspec.Struct`s: making one takes 35 ns, a `NamedTuple` 170 ns. They hold only numbers and text, so they
can be left out of the garbage collector's rounds (`gc=False`). Written as JSON each says what it is (`event`), so that
a mixed stream of them can be read back.

Every event has a `ts_ms`, the moment it is known, and a `rank`, its place among events of the same millisecond: bars
first, then trades, then quotes. A quote that carries the time of a trade shows the book after that trade.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import msgspec

MINUTE_MS = 60_000
"""Milliseconds in a minute: the length of the bars that ATR is taken over."""


class Quote(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="quote"):
    """The best bid and ask from `ts_ms` on. A price of 0 means that side is empty; crossed and locked books occur."""

    rank: ClassVar[int] = 2

    symbol: str
    ts_ms: int
    bid: float
    ask: float
    bid_qty: float
    ask_qty: float


class Trade(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="trade"):
    """One print. `is_buyer_maker` is true where the aggressor sold, None where the source does not say."""

    rank: ClassVar[int] = 1

    symbol: str
    ts_ms: int
    price: float
    qty: float
    is_buyer_maker: bool | None


class Bar(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="bar"):
    """Open, high, low, close of one interval, both ends included: a minute closes at `open_time_ms + 59_999`."""

    rank: ClassVar[int] = 0

    symbol: str
    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    close_time_ms: int

    @property
    def ts_ms(self) -> int:
        """The first millisecond at which the bar is closed and so may be known: the one after `close_time_ms`."""
        return self.close_time_ms + 1


Event: TypeAlias = Quote | Trade | Bar
"""Anything a feed yields."""


def minute_of(ts_ms: int) -> int:
    """The start of the UTC minute that `ts_ms` lies in, in milliseconds."""
    return ts_ms - ts_ms % MINUTE_MS
