"""A recorded market as a feed: files of several symbols and layouts, read side by side in one order of events.

In: `MarketFiles`. Out: a `Feed` of the span that was asked for. A symbol starts with its first quote that has a price
on both sides (or, without quotes, with its first trade): what was printed before has no book to be seen against.

Bars for warm-up are those of the files; where there are none, and the start was set by the user, the recording's own
prints before it make them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from engine.market.bars import MinuteBars
from engine.market.book import mid_of
from engine.market.choice import Choice
from engine.market.errors import MarketDataError, MarketError
from engine.market.events import MINUTE_MS, Bar, Event, Quote, Trade
from engine.market.feed import Feed
from engine.market.files import bar_blocks, quote_blocks, trade_blocks
from engine.market.merge import merge
from engine.market.minutes import minute_blocks
from engine.market.parquet import quote_bars
from engine.market.raw import message_blocks
from engine.market.recordings import MarketFiles, SymbolFiles, bars_before, no_bars
from engine.market.warmup import WarmUp, warm_up_for

_EventT = TypeVar("_EventT", Quote, Trade, Bar, Event)

_MAX_FLAT_MINUTES = 10  # of a recording's own minutes without a print; beyond them it counts as unseen


def recorded_feed(files: MarketFiles, warm_up_bars: int) -> Feed:
    """Open recorded files, with up to `warm_up_bars` bars before each symbol's start.

    A symbol that has nothing in the span asked for is left out, and a note says so. Raises `MarketError`: now for what
    stands first in a file or where nothing is left, and while iterating for the rest.
    """
    starts = _starts(files)
    silent = [of.symbol for of in files.symbols if of.symbol not in starts]
    if not starts:
        raise MarketError(f"no quotes or trades {files.choice}", "the recordings lie before or after it")
    held = [of for of in files.symbols if of.symbol in starts]
    warm_up = {of.symbol: _warm_up(of, starts[of.symbol], files.choice, warm_up_bars) for of in held}
    notes = [note for note in files.notes if note.partition(":")[0] not in silent]
    notes += [f"{symbol}: nothing {files.choice}" for symbol in silent]
    notes += [f"{symbol}: ATR starts from {bars}" for symbol, bars in warm_up.items() if bars.bars]
    if files.choice.from_ms is not None:
        notes += [no_bars(symbol) for symbol, bars in warm_up.items() if not bars.bars]

    def open_events() -> Iterator[Event]:
        return merge(*(chain.from_iterable(blocks) for blocks in _streams(held, files.choice, starts)))

    return Feed("recorded", tuple(starts), warm_up, open_events, tuple(notes))


# --- events ----------------------------------------------------------------------------------------------------------


class _Start(NamedTuple):
    ts_ms: int
    price: float


def _streams(
    held: Sequence[SymbolFiles], choice: Choice, starts: Mapping[str, _Start]
) -> Iterator[Iterator[Sequence[Event]]]:
    """The streams that make up the market, each in order of time and rank."""
    for of in held:
        since = replace(choice, from_ms=starts[of.symbol].ts_ms)
        if of.layout == "rows":
            yield _trades(of, since)
            yield _quotes(of, since)
        elif of.layout == "minutes":
            yield _minutes(of, since)
    for paths, symbols in _message_groups(held).items():
        blocks = choice.cut(message_blocks(paths, symbols, bars=False))
        yield _since(blocks, {symbol: starts[symbol].ts_ms for symbol in symbols})


def _quotes(of: SymbolFiles, choice: Choice) -> Iterator[Sequence[Quote]]:
    """The quotes of a symbol."""
    if of.layout == "rows":
        return _in_sequence(of.quotes, of.symbol, quote_blocks, choice)
    return _of_kind(Quote, _mixed(replace(of, trades=()) if of.layout == "minutes" else of, choice))


def _trades(of: SymbolFiles, choice: Choice) -> Iterator[Sequence[Trade]]:
    """The trades of a symbol."""
    if of.layout == "rows":
        return _in_sequence(of.trades, of.symbol, trade_blocks, choice)
    return _of_kind(Trade, _mixed(replace(of, quotes=()) if of.layout == "minutes" else of, choice))


def _mixed(of: SymbolFiles, choice: Choice) -> Iterator[Sequence[Event]]:
    """Quotes and trades of a symbol whose layout has them in one stream."""
    if of.layout == "minutes":
        return _minutes(of, choice)
    return choice.cut(message_blocks(of.quotes or of.trades, [of.symbol], bars=False))


def _minutes(of: SymbolFiles, choice: Choice) -> Iterator[Sequence[Event]]:
    """Quotes and trades of a symbol that is recorded in bars."""
    quoted = chain.from_iterable(quote_bars(path) for path in of.quotes)
    printed = chain.from_iterable(block for path in of.trades for block in bar_blocks(path, of.symbol))
    return choice.cut(minute_blocks(of.symbol, quoted, printed))


def _in_sequence(
    paths: Sequence[Path],
    symbol: str,
    read: Callable[[Path, str], Iterator[Sequence[_EventT]]],
    choice: Choice,
) -> Iterator[Sequence[_EventT]]:
    """The events of files that follow each other in time; a `MarketDataError` where two overlap."""
    last_ms = 0
    for path in paths:
        for block in choice.cut(read(path, symbol)):
            if block[0].ts_ms < last_ms:
                raise MarketDataError(
                    path, None, "starts before the file before it ends", "give files that do not overlap"
                )
            last_ms = block[-1].ts_ms
            yield block


def _message_groups(held: Iterable[SymbolFiles]) -> Mapping[tuple[Path, ...], list[str]]:
    """The symbols that are recorded in the same files of messages, so that these are read once."""
    groups: dict[tuple[Path, ...], list[str]] = defaultdict(list)
    for of in held:
        if of.layout == "messages":
            groups[of.quotes or of.trades].append(of.symbol)
    return groups


def _since(blocks: Iterable[Sequence[Event]], since: Mapping[str, int]) -> Iterator[Sequence[Event]]:
    """The events without those of a symbol before its time."""
    all_since_ms = max(since.values())
    for block in blocks:
        kept = (
            block
            if block[0].ts_ms >= all_since_ms
            else [event for event in block if event.ts_ms >= since[event.symbol]]
        )
        if kept:
            yield kept


def _of_kind(kind: type[_EventT], blocks: Iterable[Sequence[Event]]) -> Iterator[Sequence[_EventT]]:
    return ([event for event in block if isinstance(event, kind)] for block in blocks)


# --- the start -------------------------------------------------------------------------------------------------------


def _starts(files: MarketFiles) -> dict[str, _Start]:
    """Where each symbol starts, without those that have nothing in the span."""
    starts: dict[str, _Start] = {}
    for paths, symbols in _message_groups(files.symbols).items():
        quoted = {of.symbol for of in files.symbols if of.symbol in symbols and of.quotes}
        events = chain.from_iterable(files.choice.cut(message_blocks(paths, symbols, bars=False)))
        starts |= _message_starts(events, symbols, quoted)
    for of in files.symbols:
        start = None if of.layout == "messages" else _start(of, files.choice)
        if start is not None:
            starts[of.symbol] = start
        elif of.symbol not in starts and not files.choice.has_span:
            raise MarketDataError((of.quotes or of.trades)[0], None, f"no price of {of.symbol}", "leave the file out")
    return {of.symbol: starts[of.symbol] for of in files.symbols if of.symbol in starts}


def _start(of: SymbolFiles, choice: Choice) -> _Start | None:
    """The time and mid of a symbol's first quote that has one; without one, time and price of its first trade."""
    for quote in chain.from_iterable(_quotes(of, choice)):
        mid = mid_of(quote)
        if mid is not None:
            return _Start(quote.ts_ms, mid)
    return next((_Start(trade.ts_ms, trade.price) for trade in chain.from_iterable(_trades(of, choice))), None)


def _message_starts(events: Iterable[Event], symbols: Sequence[str], quoted: Collection[str]) -> dict[str, _Start]:
    """As `_start`, for the symbols of one recording of messages; `quoted` are those that have quotes."""
    starts: dict[str, _Start] = {}
    traded: dict[str, _Start] = {}
    for event in events:
        symbol = event.symbol
        if isinstance(event, Quote):
            mid = mid_of(event)
            if mid is not None:
                starts.setdefault(symbol, _Start(event.ts_ms, mid))
        elif isinstance(event, Trade):
            first = traded.setdefault(symbol, _Start(event.ts_ms, event.price))
            if symbol not in quoted:
                starts[symbol] = first
        if len(starts) == len(symbols):
            break
    return traded | starts


# --- bars before it --------------------------------------------------------------------------------------------------


def _warm_up(of: SymbolFiles, start: _Start, choice: Choice, count: int) -> WarmUp:
    """The bars before a symbol's start: of its files, or else of its own prints before the span."""
    bars = bars_before(of, start.ts_ms, count)
    if choice.from_ms is not None and not bars:
        bars = _own_bars(of, choice.from_ms, start.ts_ms, count)
    return warm_up_for(bars, start.ts_ms, start.price, count)


def _own_bars(of: SymbolFiles, from_ms: int, starts_ms: int, count: int) -> list[Bar]:
    """The last `count` bars of a symbol's prints before the span, or of its mids where it has no prints."""
    before = Choice(from_ms=from_ms - (count + _MAX_FLAT_MINUTES + 1) * MINUTE_MS, to_ms=from_ms)
    builder = MinuteBars(of.symbol, _MAX_FLAT_MINUTES)
    bars: deque[Bar] = deque(maxlen=count)
    if of.trades:
        for trade in chain.from_iterable(_trades(of, before)):
            bars.extend(builder.add(trade.ts_ms, trade.price, trade.qty))
    else:
        for quote in chain.from_iterable(_quotes(of, before)):
            mid = mid_of(quote)
            if mid is not None:
                bars.extend(builder.add(quote.ts_ms, mid))
    bars.extend(builder.advance(starts_ms))
    return list(bars)
