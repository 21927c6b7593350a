"""A feed: a market that can be read from its start, with the bars that ATR needs before it. Recorded or generated.

In: the files of some symbols (`discover`) or the shape of a generated market (`generated`). Out: a `Feed`, which gives
the same events in the same order each time it is iterated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple, TypeVar

from engine.market.book import mid_of
from engine.market.discover import MarketFiles, SymbolFiles
from engine.market.errors import MarketDataError
from engine.market.events import Bar, Event, Quote, Trade
from engine.market.files import read_bars, read_quotes, read_trades
from engine.market.merge import merge
from engine.market.warmup import WarmUp, warm_up_for

_AnyEvent = TypeVar("_AnyEvent", Quote, Trade, Bar)


@dataclass(frozen=True, slots=True)
class Feed:
    """Quotes and trades of some symbols in order, and bars for the time before."""

    source: str
    """`recorded`, or `generated` with the seed, for people."""
    symbols: tuple[str, ...]
    warm_up: Mapping[str, WarmUp]
    """For each symbol; without bars where there are none."""
    open_events: Callable[[], Iterator[Event]]
    """Start over: a new iterator over all events."""
    notes: tuple[str, ...] = ()
    """What a reader of results should know about this market, one line each."""

    def __iter__(self) -> Iterator[Event]:
        return self.open_events()


def recorded_feed(files: MarketFiles, warm_up_bars: int) -> Feed:
    """Open recorded files, with up to `warm_up_bars` bars before each symbol's first quote, or trade without quotes.

    Trades printed before a symbol's first quote are left out: there is no book to see them against. Raises
    `MarketDataError` or `MissingExtraError` now for what stands first in a file, and while iterating for the rest.
    """
    starts = {of.symbol: _first_priced(of) for of in files.symbols}
    warm_up = {of.symbol: _warm_up(of, starts[of.symbol], warm_up_bars) for of in files.symbols}

    def open_events() -> Iterator[Event]:
        streams: list[Iterator[Event]] = []
        for of in files.symbols:
            is_early = partial(_is_before, starts[of.symbol].ts_ms)
            streams.append(dropwhile(is_early, _in_sequence(of.trades, of.symbol, read_trades)))
            streams.append(_in_sequence(of.quotes, of.symbol, read_quotes))
        return merge(*streams)

    notes = (*files.notes, *(f"{symbol}: ATR starts from {bars}" for symbol, bars in warm_up.items() if bars.bars))
    return Feed("recorded", tuple(starts), warm_up, open_events, notes)


class _Start(NamedTuple):
    ts_ms: int
    price: float


def _first_priced(of: SymbolFiles) -> _Start:
    """The time and mid of a symbol's first quote that has one; without one, time and price of its first trade."""
    for quote in _in_sequence(of.quotes, of.symbol, read_quotes):
        mid = mid_of(quote)
        if mid is not None:
            return _Start(quote.ts_ms, mid)
    for trade in _in_sequence(of.trades, of.symbol, read_trades):
        return _Start(trade.ts_ms, trade.price)
    raise MarketDataError((of.quotes or of.trades)[0], None, f"no price of {of.symbol}", "leave the file out")


def _warm_up(of: SymbolFiles, start: _Start, count: int) -> WarmUp:
    return warm_up_for(_in_sequence(of.bars, of.symbol, read_bars), start.ts_ms, start.price, count)


def _in_sequence(
    paths: Sequence[Path], symbol: str, read: Callable[[Path, str], Iterator[_AnyEvent]]
) -> Iterator[_AnyEvent]:
    """The events of files that follow each other in time; a `MarketDataError` where two overlap."""
    last_ms = 0
    for path in paths:
        for event in read(path, symbol):
            if event.ts_ms < last_ms:
                raise MarketDataError(
                    path, None, "starts before the file before it ends", "give files that do not overlap"
                )
            last_ms = event.ts_ms
            yield event


def _is_before(ts_ms: int, event: Event) -> bool:
    return event.ts_ms < ts_ms
