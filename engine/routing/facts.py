"""What the market says of one symbol, as groups of facts.

In: the symbol's quotes and trades in order of time, and bars from before. Out: for a moment, the groups `market` and
`bars`. Each is dated by the venue's clock: `observed_at` is the time of the quote, or the close of the last bar.

Nothing is judged: a crossed book, a side without orders, a bar of an hour ago are handed on as they are, and a value
that there is none of is left out. Which of them are stale or invalid is for the vocabulary to say, and what that means
for the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from engine.market import AtrRatio, Bar, MinuteBars, Quote, TopOfBook, Trade
from engine.market.events import minute_of
from engine.routing.shape import SessionShape

Facts: TypeAlias = dict[str, Any]
"""A facts object, or one group of it."""

BarsOf: TypeAlias = Literal["prints", "mids"]
"""What one-minute bars are made of. Prints, as the venue's own bars are; mids for a symbol without prints."""


class SymbolFacts:
    """The facts of one symbol; times may only grow."""

    def __init__(
        self, symbol: str, shape: SessionShape, *, bars_of: BarsOf = "prints", warm_up: Iterable[Bar] = ()
    ) -> None:
        self.symbol = symbol
        self.book = TopOfBook()
        self.last_event_ms: int | None = None
        """When the feed last said anything of the symbol."""
        self.last_price: float | None = None
        """The last mid, or print where there are no quotes; the touch may have moved on, or be empty."""
        self._bars_of: BarsOf = bars_of
        self._bars = MinuteBars(symbol, shape.max_flat_minutes)
        self._priced = False
        self._market: Facts | None = None  # as it stands; None where it has to be put together
        bars = tuple(warm_up)
        self._advanced_ms = bars[-1].close_time_ms + 1 if bars else 0
        self._atr = AtrRatio(shape.atr_short_bars, shape.atr_long_bars)
        self._atr.warm_up(bars)

    def see_quote(self, quote: Quote) -> None:
        """Take the next quote."""
        self.last_event_ms = quote.ts_ms
        self.book.update(quote)
        self._market = None
        # Even where bars are made of prints, the first mid begins the first of them: warm-up bars end there, and a hole
        # up to the first print would undo them.
        mid = self.book.mid
        if mid is not None:
            self.last_price = mid
            if self._bars_of == "mids" or not self._priced:
                self._see_price(quote.ts_ms, mid, 0.0)

    def see_trade(self, trade: Trade) -> None:
        """Take the next trade."""
        self.last_event_ms = trade.ts_ms
        if self.book.quote is None:
            self.last_price = trade.price
        if self._bars_of == "prints":
            self._see_price(trade.ts_ms, trade.price, trade.qty)

    def groups(self, now_ms: int) -> dict[str, Facts | None]:
        """The groups at a moment; None for one that is absent."""
        self._advanced_ms = max(self._advanced_ms, minute_of(now_ms))
        for bar in self._bars.advance(now_ms):
            self._atr.add(bar)
        return {"market": self.market(), "bars": self._bars_group()}

    def _see_price(self, ts_ms: int, price: float, qty: float) -> None:
        self._priced = True
        # A feed may lag behind the clock that others go by, and a quote be older than the bars that a router begins
        # with: such prices count for the minute that is being built.
        for bar in self._bars.add(max(ts_ms, self._advanced_ms), price, qty):
            self._atr.add(bar)

    def market(self) -> Facts | None:
        """The group `market` as it stands. Not to be changed: it is handed out until the next quote."""
        quote = self.book.quote
        if quote is None or self._market is not None:
            return self._market
        held: Facts = {"observed_at": quote.ts_ms / 1000}
        if quote.bid:  # a price of 0 says that the side is empty
            held["bid"] = quote.bid
        if quote.ask:
            held["ask"] = quote.ask
        held["bid_qty"] = quote.bid_qty
        held["ask_qty"] = quote.ask_qty
        if self.book.mid is not None:
            held["mid"] = self.book.mid
            held["spread_bps"] = self.book.spread_bps
        self._market = held
        return held

    def _bars_group(self) -> Facts | None:
        atr = self._atr
        if atr.observed_at is None:
            return None
        values = {"atr_short": atr.atr_short, "atr_long": atr.atr_long, "atr_ratio": atr.ratio}
        return _known({"observed_at": atr.observed_at, **values})


def _known(values: Mapping[str, Any]) -> Facts:
    return {name: value for name, value in values.items() if value is not None}
