"""One way into every market-data file, whatever its format: what it holds, and its events.

Comma-separated files go to `binance`, Parquet files to `parquet`, raw messages to `raw`; bars of quotes and prints
become events in `minutes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from engine.market import binance, parquet, raw
from engine.market.errors import MarketDataError
from engine.market.events import Bar, Event, Quote, Trade
from engine.market.kinds import Kind
from engine.market.minutes import minute_blocks
from engine.market.names import is_market_file, is_messages_file, is_parquet_file, symbol_of


@dataclass(frozen=True, slots=True)
class MarketFile:
    """A file, what it holds, and for which symbol."""

    path: Path
    kind: Kind
    symbol: str
    """Of messages it may be empty: all symbols."""


def recognise(path: Path, symbol: str | None = None) -> MarketFile:
    """Look into a file; the symbol comes from its name unless given, or is empty for messages.

    Raises `MarketDataError`.
    """
    if path.is_dir():
        raise MarketDataError(path, None, "is a folder", "name the files in it")
    if not is_market_file(path):
        raise MarketDataError(
            path,
            None,
            "no market data by its suffix",
            "expected .csv, .csv.gz, .zip, .parquet, .jsonl or .jsonl.gz",
        )
    if is_messages_file(path):
        if not raw.is_recording(path):
            raise MarketDataError(path, 1, "no raw message of a stream", "expected lines `<ns> {…}` or `<s>: {…}`")
        return MarketFile(path, "messages", symbol or "")
    kind = parquet.kind_of(path) if is_parquet_file(path) else binance.layout_of(path).kind
    return MarketFile(path, kind, symbol or symbol_of(path))


def event_blocks(file: MarketFile) -> Iterator[Sequence[Event]]:
    """Whatever the file holds, in order of time, some events at a time.

    Raises `MarketDataError`: now for what stands first in the file, while iterating for the rest.
    """
    path, symbol = file.path, file.symbol
    match file.kind:
        case "quotes":
            return quote_blocks(path, symbol)
        case "trades":
            return trade_blocks(path, symbol)
        case "bars":
            return bar_blocks(path, symbol)
        case "quote_bars":
            return minute_blocks(symbol, parquet.quote_bars(path), ())
        case "trade_bars":
            return minute_blocks(symbol, (), chain.from_iterable(parquet.bar_blocks(path, symbol)))
        case "messages":
            return raw.message_blocks([path], [symbol] if symbol else None)


def quote_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Quote]]:
    """The quotes of a file of quotes, as `event_blocks`."""
    return parquet.quote_blocks(path, symbol) if is_parquet_file(path) else binance.quote_blocks(path, symbol)


def trade_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Trade]]:
    """The trades of a file of trades, as `event_blocks`."""
    return parquet.trade_blocks(path, symbol) if is_parquet_file(path) else binance.trade_blocks(path, symbol)


def bar_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Bar]]:
    """The bars of a file of bars, as `event_blocks`."""
    return parquet.bar_blocks(path, symbol) if is_parquet_file(path) else binance.bar_blocks(path, symbol)


def last_bars(path: Path, symbol: str | None, before_ms: int | None, count: int) -> list[Bar]:
    """The last `count` bars of a file that close before `before_ms`, or of all. Raises `MarketDataError`."""
    reader = parquet.last_bars if is_parquet_file(path) else binance.last_bars
    return reader(path, symbol, before_ms, count)


def read_events(file: MarketFile) -> Iterator[Event]:
    """The events of `event_blocks`, one by one."""
    return chain.from_iterable(event_blocks(file))


def read_quotes(path: Path, symbol: str | None = None) -> Iterator[Quote]:
    """The events of `quote_blocks`, one by one."""
    return chain.from_iterable(quote_blocks(path, symbol))


def read_trades(path: Path, symbol: str | None = None) -> Iterator[Trade]:
    """The events of `trade_blocks`, one by one."""
    return chain.from_iterable(trade_blocks(path, symbol))


def read_bars(path: Path, symbol: str | None = None) -> Iterator[Bar]:
    """The events of `bar_blocks`, one by one."""
    return chain.from_iterable(bar_blocks(path, symbol))
