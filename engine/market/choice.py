"""Which part of a market is asked for: some symbols, a span of time.

In: what a user writes, symbols and ISO times. Out: a `Choice`, which readers take. A span is half open: an event at
its end is not in it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import TypeVar

from engine.market.errors import MarketError, shown
from engine.market.events import Bar, Event, Quote, Trade

_AnyEvent = TypeVar("_AnyEvent", Quote, Trade, Bar, Event)

_TS_MS = attrgetter("ts_ms")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked for; by default everything."""

    symbols: tuple[str, ...] = ()
    """Empty for all there are."""
    from_ms: int | None = None
    """Events before it are left out; bars for warm-up are taken from before it."""
    to_ms: int | None = None
    """Events from it on are left out."""

    def __post_init__(self) -> None:
        if self.from_ms is not None and self.to_ms is not None and self.from_ms >= self.to_ms:
            raise MarketError(
                f"nothing lies between {iso(self.from_ms)} and {iso(self.to_ms)}", "let the span end after it starts"
            )

    @property
    def has_span(self) -> bool:
        """Whether some time is left out."""
        return self.from_ms is not None or self.to_ms is not None

    def has(self, symbol: str) -> bool:
        """Whether a symbol is asked for."""
        return not self.symbols or symbol in self.symbols

    def overlaps(self, first_ms: int, last_ms: int) -> bool:
        """Whether some moment from the first to the last, both included, is asked for."""
        return (self.to_ms is None or first_ms < self.to_ms) and (self.from_ms is None or last_ms >= self.from_ms)

    def cut(self, blocks: Iterable[Sequence[_AnyEvent]]) -> Iterator[Sequence[_AnyEvent]]:
        """The events of the span, out of blocks in order of time; blocks after the span are not asked for."""
        from_ms, to_ms = self.from_ms, self.to_ms
        for block in blocks:
            kept = block
            if from_ms is not None and block[0].ts_ms < from_ms:
                kept = block[bisect_left(block, from_ms, key=_TS_MS) :]
            if to_ms is not None and block[-1].ts_ms >= to_ms:
                kept = kept[: bisect_left(kept, to_ms, key=_TS_MS)]
                if kept:
                    yield kept
                return
            if kept:
                yield kept

    def __str__(self) -> str:
        """The span, for people: `from … to …`, or as much of it as there is."""
        parts = [
            f"{word} {iso(at_ms)}" for word, at_ms in (("from", self.from_ms), ("to", self.to_ms)) if at_ms is not None
        ]
        return " ".join(parts)


EVERYTHING = Choice()
"""All symbols, all the time."""


def parse_time(text: str) -> int:
    """Milliseconds since 1970 of an ISO date or time; UTC unless it says otherwise. Raises `MarketError`.

    >>> parse_time("2024-08-08T23:54:16Z") == parse_time("2024-08-08 23:54:16") == 1723161256000
    True
    >>> parse_time("2024-08-09") - parse_time("2024-08-08")
    86400000
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MarketError(
            f"`{shown(text)}` is no time", "write it as `2024-08-08` or `2024-08-08T23:54:16`, in UTC"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def iso(ts_ms: int) -> str:
    """A time as people read it, in UTC, to the second: `2024-08-08 23:54:16`."""
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
