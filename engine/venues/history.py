"""What a client that comes late has missed of the market: the closed one-minute bars, and the last quote.

In: bars from before the market, and its events in order of time. Out: for a moment, one `History` a symbol. A router
that starts again in the middle of a session finds its ATR there, which no journal of its own holds.

The bars are made as a router makes them: of prints, or of mids where the market has no prints of a symbol, and from
its first mid on in either case.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.market import Bar, Event, MinuteBars, Quote, Trade
from engine.market.book import mid_of
from engine.venues.wire import BarsOf, History


class Histories:
    """The last `keep` bars and the last quote of each symbol."""

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        warm_up: Mapping[str, Sequence[Bar]],
        bars_of: Mapping[str, BarsOf],
        keep: int,
        max_flat_minutes: int,
    ) -> None:
        """`bars_of` is `prints` for a symbol left out; `max_flat_minutes` is that of `MinuteBars`."""
        self._of = {
            symbol: _OneHistory(
                symbol,
                bars_of.get(symbol, "prints"),
                MinuteBars(symbol, max_flat_minutes),
                warm_up.get(symbol, ()),
                keep,
            )
            for symbol in symbols
        }

    def see(self, event: Event) -> None:
        """Take the next event of the market; one of a symbol that is not kept is left alone."""
        of = self._of.get(event.symbol)
        if of is not None:
            of.see(event)

    def at(self, now_ms: int) -> Iterator[History]:
        """What has been closed by `now_ms`."""
        return (of.at(now_ms) for of in self._of.values())

    def __len__(self) -> int:
        return len(self._of)


class _OneHistory:
    def __init__(self, symbol: str, bars_of: BarsOf, minutes: MinuteBars, warm_up: Sequence[Bar], keep: int) -> None:
        self._symbol = symbol
        self._bars_of: BarsOf = bars_of
        self._minutes = minutes
        self._bars = deque(warm_up, maxlen=keep)
        self._quote: Quote | None = None
        self._priced = False

    def see(self, event: Event) -> None:
        if event.__class__ is Quote:
            assert isinstance(event, Quote)
            self._quote = event
            if self._bars_of == "mids" or not self._priced:
                mid = mid_of(event)
                if mid is not None:
                    self._add(event.ts_ms, mid, 0.0)
        elif isinstance(event, Trade) and self._bars_of == "prints":
            self._add(event.ts_ms, event.price, event.qty)

    def at(self, now_ms: int) -> History:
        self._bars.extend(self._minutes.advance(now_ms))
        return History(self._symbol, self._bars_of, list(self._bars), self._quote)

    def _add(self, ts_ms: int, price: float, qty: float) -> None:
        self._priced = True
        self._bars.extend(self._minutes.add(ts_ms, price, qty))
