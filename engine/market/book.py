"""The top of the book of one symbol: the last quote, and what follows from it.

In: quotes. Out: mid, spread and the moment they were seen. Nothing is judged here: a crossed book has a negative
spread, a locked one a spread of 0, and a book with an empty side has neither mid nor spread.
"""

from __future__ import annotations

from engine.market.events import Quote


class TopOfBook:
    """The last quote of one symbol, None before the first."""

    __slots__ = ("mid", "quote")

    def __init__(self) -> None:
        self.quote: Quote | None = None
        self.mid: float | None = None
        """Half way between bid and ask, in the quote asset."""

    def update(self, quote: Quote) -> None:
        """Take the next quote."""
        self.quote = quote
        self.mid = mid_of(quote)

    @property
    def spread_bps(self) -> float | None:
        """(ask − bid) / mid in basis points."""
        return None if self.quote is None else spread_bps_of(self.quote)

    @property
    def observed_at(self) -> float | None:
        """The time of the quote, in seconds since 1970."""
        return None if self.quote is None else self.quote.ts_ms / 1000


def mid_of(quote: Quote) -> float | None:
    """Half way between bid and ask; None where a side is empty (price 0)."""
    return (quote.bid + quote.ask) / 2 if quote.bid > 0.0 and quote.ask > 0.0 else None


def spread_bps_of(quote: Quote) -> float | None:
    """(ask − bid) / mid in basis points; None where a side is empty (price 0)."""
    mid = mid_of(quote)
    return None if mid is None else (quote.ask - quote.bid) / mid * 1e4


def sides_of(mid: float, spread_bps: float) -> tuple[float, float]:
    """Bid and ask of a book with this mid and spread.

    >>> sides_of(100.0, 20.0)
    (99.9, 100.1)
    """
    half = mid * spread_bps / 2e4
    return mid - half, mid + half
