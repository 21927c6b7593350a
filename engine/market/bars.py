"""One-minute bars out of prices as they come: prints, or mids where there are none.

In: times and prices of one symbol. Out: the bars that have closed, on UTC minute boundaries. A minute without a price
gives a flat bar at the last close, so that what is averaged over bars is averaged over minutes. After more than
`max_flat_minutes` of them the market was not quiet but unseen: no bars follow until the next price, and the hole this
leaves makes `AtrRatio` start anew instead of taking silence for calm and the first move after it for a panic.

The bars depend on the prices only, not on how often `advance` is called between them.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.market.events import MINUTE_MS, Bar, minute_of

_NO_BARS: Sequence[Bar] = ()


class MinuteBars:
    """Builds the bars of one symbol."""

    def __init__(self, symbol: str, max_flat_minutes: int) -> None:
        self._symbol = symbol
        self._max_flat_minutes = max_flat_minutes
        self._flat_minutes = 0  # closed since the last price
        self._open_ms: int | None = None  # start of the minute being built; None before the first price and in a hole
        self._priced = False  # whether the minute being built has seen a price; if not, its values are the last close
        self._open = self._high = self._low = self._close = self._volume = 0.0

    def add(self, ts_ms: int, price: float, qty: float = 0.0) -> Sequence[Bar]:
        """Take a price, and return the bars that closed before it, oldest first; mostly none.

        `ValueError` for a time before the minute being built.
        """
        closed = _NO_BARS
        open_ms = self._open_ms
        if open_ms is None or not open_ms <= ts_ms < open_ms + MINUTE_MS:
            if open_ms is not None and ts_ms < open_ms:
                raise ValueError(f"price of {self._symbol} at {ts_ms} ms lies before the minute being built")
            closed = self.advance(ts_ms)
            self._open_ms = minute_of(ts_ms)
        if not self._priced:
            self._priced = True
            self._open = self._high = self._low = price
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._close = price
        self._volume += qty
        return closed

    def advance(self, now_ms: int) -> Sequence[Bar]:
        """Say that time has come to `now_ms` without a price, and return the bars that closed by then, oldest first."""
        minute_ms = minute_of(now_ms)
        closed: list[Bar] = []
        while self._open_ms is not None and self._open_ms < minute_ms:
            if not self._priced and self._flat_minutes == self._max_flat_minutes:
                self._open_ms = None
            else:
                closed.append(self._close_minute(self._open_ms))
        return closed

    def _close_minute(self, open_ms: int) -> Bar:
        """The bar of the minute being built; the next one starts out flat at its close."""
        close = self._close
        bar = Bar(
            self._symbol, open_ms, self._open, self._high, self._low, close, self._volume, open_ms + MINUTE_MS - 1
        )
        self._flat_minutes = 0 if self._priced else self._flat_minutes + 1
        self._open_ms = open_ms + MINUTE_MS
        self._priced = False
        self._open = self._high = self._low = close
        self._volume = 0.0
        return bar
