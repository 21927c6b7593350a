"""The average true range over closed one-minute bars, short against long: what says how wild a market is.

True range of a bar: max(high − low, |high − previous close|, |low − previous close|); the first bar has no previous
close, so there it is high − low. ATR(n): the simple mean of the last n true ranges, divided by the last close. The
ratio is ATR(short) / ATR(long). This is the one definition of ATR; every consumer takes it from here.

Each bar costs the same whatever the lengths, and the figures are those a calculation from scratch with `math.fsum`
gives, to the last bit: the sums are kept as integers, which do not drift.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from engine.market.events import Bar

_SCALE_BITS = 1074
"""Every double is a whole multiple of 2**-1074."""


class AtrRatio:
    """ATR(short), ATR(long) and their ratio over the closed bars of one symbol.

    Bars must follow each other without a hole. Where one is left out, what came before says nothing about the minutes
    missed, so counting starts anew with the bar after the hole.
    """

    def __init__(self, short: int, long: int) -> None:
        if not 1 <= short <= long:
            raise ValueError(f"lengths must be 1 <= short <= long, got {short} and {long}")
        self._short = _WindowMean(short)
        self._long = _WindowMean(long)
        self._last: Bar | None = None

    def add(self, bar: Bar) -> None:
        """Take the next closed bar; `ValueError` for one that opens before the last one closed."""
        last = self._last
        if last is not None and bar.open_time_ms <= last.close_time_ms:
            raise ValueError(f"bar of {bar.symbol} at {bar.open_time_ms} ms opens before the last one closed")
        if last is not None and bar.open_time_ms > last.close_time_ms + 1:
            self._short.clear()
            self._long.clear()
            last = None
        true_range = _true_range(bar, last)
        self._short.add(true_range)
        self._long.add(true_range)
        self._last = bar

    def warm_up(self, bars: Iterable[Bar]) -> None:
        """Take bars of the past, oldest first."""
        for bar in bars:
            self.add(bar)

    @property
    def atr_short(self) -> float | None:
        """ATR over the short window as a share of the last close, None until there are enough bars."""
        return self._relative(self._short.mean())

    @property
    def atr_long(self) -> float | None:
        """ATR over the long window as a share of the last close, None until there are enough bars."""
        return self._relative(self._long.mean())

    @property
    def ratio(self) -> float | None:
        """ATR(short) / ATR(long); None until there are enough bars, and where ATR(long) is 0."""
        short, long = self.atr_short, self.atr_long
        return short / long if short is not None and long else None

    @property
    def observed_at(self) -> float | None:
        """When the last bar closed, in seconds since 1970; None before the first."""
        return None if self._last is None else self._last.ts_ms / 1000

    def _relative(self, mean: float | None) -> float | None:
        return None if mean is None or self._last is None else mean / self._last.close


def _true_range(bar: Bar, previous: Bar | None) -> float:
    if previous is None:
        return bar.high - bar.low
    return max(bar.high - bar.low, abs(bar.high - previous.close), abs(bar.low - previous.close))


class _WindowMean:
    """The mean of the last `length` numbers, kept as an exact sum of integers."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._kept: deque[int] = deque()
        self._total = 0

    def add(self, number: float) -> None:
        numerator, denominator = number.as_integer_ratio()
        scaled = numerator << (_SCALE_BITS + 1 - denominator.bit_length())
        self._kept.append(scaled)
        self._total += scaled
        if len(self._kept) > self._length:
            self._total -= self._kept.popleft()

    def clear(self) -> None:
        self._kept.clear()
        self._total = 0

    def mean(self) -> float | None:
        """None until the window is full. The sum is rounded once, then divided: as `fsum(window) / length`."""
        if len(self._kept) < self._length:
            return None
        return self._total / (1 << _SCALE_BITS) / self._length
