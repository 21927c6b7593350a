"""Bars of the past, brought to where a recording starts, so that ATR is there from its first minute.

Recordings of quotes rarely come with the hundreds of minutes before them. Bars of another day serve instead: ATR is
relative to price, so what matters of them is how far prices moved, in shares, minute by minute. They are moved in time
so that the last one closes with the minute before the recording's first, and all prices are multiplied by one factor
so that the last close is the recording's first price: no jump and no hole at the seam, and every true range keeps
its size relative to price. Bars that do end there are taken as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.market.events import Bar, minute_of


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Bars ready for `AtrRatio.warm_up`, and what was done to them."""

    bars: tuple[Bar, ...] = ()
    shifted_ms: int = 0
    """Milliseconds added to every time; 0 where the bars are the minutes before the recording."""
    price_factor: float = 1.0
    """What every price was multiplied by."""

    @property
    def is_from_another_day(self) -> bool:
        """Whether the bars are not those of the minutes just before the recording."""
        return self.shifted_ms != 0

    def __str__(self) -> str:
        if not self.bars:
            return "no bars"
        recorded_ms = self.bars[-1].open_time_ms - self.shifted_ms
        last = f"{datetime.fromtimestamp(recorded_ms / 1000, UTC):%Y-%m-%d %H:%M}"
        if not self.is_from_another_day:
            return f"{len(self.bars)} bars up to {last}"
        return f"{len(self.bars)} bars of another time (up to {last}), moved here and prices × {self.price_factor:.4g}"


def warm_up_for(bars: Iterable[Bar], starts_ms: int, first_price: float, count: int) -> WarmUp:
    """Take the last `count` bars that closed before the minute of `starts_ms`, or else the last `count` of all.

    `bars` are in order of time; `first_price` (above 0) is the recording's first mid or print. Fewer bars are fine.
    """
    minute_ms = minute_of(starts_ms)
    before: deque[Bar] = deque(maxlen=count)
    after: deque[Bar] = deque(maxlen=count)
    for bar in bars:
        if bar.close_time_ms < minute_ms:
            before.append(bar)
        elif before:
            break
        else:
            after.append(bar)
    chosen = before or after  # at most one of them holds any
    if not chosen:
        return WarmUp()
    shift_ms = minute_ms - chosen[-1].ts_ms
    if shift_ms == 0:
        return WarmUp(tuple(chosen))
    factor = first_price / chosen[-1].close
    return WarmUp(tuple(_moved(bar, shift_ms, factor) for bar in chosen), shift_ms, factor)


def _moved(bar: Bar, shift_ms: int, factor: float) -> Bar:
    return Bar(
        bar.symbol,
        bar.open_time_ms + shift_ms,
        bar.open * factor,
        bar.high * factor,
        bar.low * factor,
        bar.close * factor,
        bar.volume,
        bar.close_time_ms + shift_ms,
    )
