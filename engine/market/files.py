"""One way into every market-data file, whatever its format: what it holds, and its events.

Comma-separated files go to `binance`, Parquet files to `parquet`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.market import binance, parquet
from engine.market.binance import Kind, symbol_of
from engine.market.errors import MarketDataError
from engine.market.events import Bar, Event, Quote, Trade
from engine.market.names import is_market_file


@dataclass(frozen=True, slots=True)
class MarketFile:
    """A file, what it holds, and for which symbol."""

    path: Path
    kind: Kind
    symbol: str


def recognise(path: Path, symbol: str | None = None) -> MarketFile:
    """Look into a file; the symbol comes from its name unless given. Raises `MarketDataError`."""
    if path.is_dir():
        raise MarketDataError(path, None, "is a folder", "name the files in it")
    if not is_market_file(path):
        raise MarketDataError(path, None, "no market data by its suffix", "expected .csv, .csv.gz, .zip or .parquet")
    kind = parquet.kind_of(path) if _is_parquet(path) else binance.layout_of(path).kind
    return MarketFile(path, kind, symbol or symbol_of(path))


def read_quotes(path: Path, symbol: str | None = None) -> Iterator[Quote]:
    """Yield the quotes of a file in order of time. Raises `MarketDataError` from the first `next` on."""
    reader = parquet.read_quotes if _is_parquet(path) else binance.read_quotes
    return reader(path, symbol)


def read_trades(path: Path, symbol: str | None = None) -> Iterator[Trade]:
    """Yield the trades of a file in order of time. Raises `MarketDataError` from the first `next` on."""
    reader = parquet.read_trades if _is_parquet(path) else binance.read_trades
    return reader(path, symbol)


def read_bars(path: Path, symbol: str | None = None) -> Iterator[Bar]:
    """Yield the bars of a file in order of time. Raises `MarketDataError` from the first `next` on."""
    reader = parquet.read_bars if _is_parquet(path) else binance.read_bars
    return reader(path, symbol)


def read_events(file: MarketFile) -> Iterator[Event]:
    """Yield whatever the file holds. Raises `MarketDataError` from the first `next` on."""
    match file.kind:
        case "quotes":
            return read_quotes(file.path, file.symbol)
        case "trades":
            return read_trades(file.path, file.symbol)
        case "bars":
            return read_bars(file.path, file.symbol)


def _is_parquet(path: Path) -> bool:
    return path.name.endswith(".parquet")
