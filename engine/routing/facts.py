"""What is known of one symbol, as the facts object that policies read.

In: the symbol's quotes and trades in order of time, bars from before, and groups that others keep (account, telemetry,
...). Out: for a moment and an intent, `{"now": ..., "symbol": ..., "market": {...}, "bars": {...}, ...}`. Every group
observed here is dated by the venue's clock: `observed_at` is the time of the quote, or the close of the last bar.

Nothing is judged: a crossed book, a side without orders, a bar of an hour ago are handed on as they are, and a value
that there is none of is left out. Which of them are stale or invalid is for the vocabulary to say, and what that means
for the rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from engine.market import AtrRatio, Bar, MinuteBars, Quote, TopOfBook, Trade
from engine.routing.shape import SessionShape

Facts: TypeAlias = dict[str, Any]
"""A facts object, or one group of it."""

BarsOf: TypeAlias = Literal["prints", "mids"]
"""What one-minute bars are made of. Prints, as the venue's own bars are; mids for a symbol without prints."""

_HOUR_MS = 3_600_000


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
        self._atr = AtrRatio(shape.atr_short_bars, shape.atr_long_bars)
        self._atr.warm_up(warm_up)
        self._probes_ms: deque[int] = deque()

    def see_quote(self, quote: Quote) -> None:
        """Take the next quote."""
        self.last_event_ms = quote.ts_ms
        self.book.update(quote)
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

    def count_probe(self, now_ms: int) -> None:
        """A probe was granted."""
        self._probes_ms.append(now_ms)

    def facts(
        self, now_ms: int, intent_id: str, intent: Mapping[str, Any], kept: Mapping[str, Mapping[str, Any]]
    ) -> Facts:
        """The facts object for an intent at a moment. `kept` are groups that others keep; one left out is absent."""
        for bar in self._bars.advance(now_ms):
            self._atr.add(bar)
        return {
            **kept,
            "now": now_ms / 1000,
            "symbol": self.symbol,
            "intent_id": intent_id,
            "intent": intent,
            "market": self._market_group(),
            "bars": self._bars_group(),
            "windows": {**kept.get("windows", {}), **self._counted(now_ms)},
        }

    def _see_price(self, ts_ms: int, price: float, qty: float) -> None:
        self._priced = True
        for bar in self._bars.add(ts_ms, price, qty):
            self._atr.add(bar)

    def _market_group(self) -> Facts | None:
        quote = self.book.quote
        if quote is None:
            return None
        sides = {"bid": quote.bid or None, "ask": quote.ask or None}  # a price of 0 says that the side is empty
        sizes = {"bid_qty": quote.bid_qty, "ask_qty": quote.ask_qty}
        computed = {"mid": self.book.mid, "spread_bps": self.book.spread_bps}
        return _known({"observed_at": self.book.observed_at, **sides, **sizes, **computed})

    def _bars_group(self) -> Facts | None:
        atr = self._atr
        if atr.observed_at is None:
            return None
        values = {"atr_short": atr.atr_short, "atr_long": atr.atr_long, "atr_ratio": atr.ratio}
        return _known({"observed_at": atr.observed_at, **values})

    def _counted(self, now_ms: int) -> Facts:
        """The windows that this class keeps itself."""
        probes = self._probes_ms
        while probes and probes[0] <= now_ms - _HOUR_MS:
            probes.popleft()
        gap_s = None if self.last_event_ms is None else (now_ms - self.last_event_ms) / 1000
        return _known({"feed_gap_s": gap_s, "probes_last_hour": float(len(probes))})


def _known(values: Mapping[str, Any]) -> Facts:
    return {name: value for name, value in values.items() if value is not None}
