"""Recordings in Parquet: quotes and trades in one common layout for all venues, and one-minute bars.

| file | columns |
|---|---|
| `*_quotes.parquet` | ts_ms, recv_ts_ms, bid_px, bid_qty, ask_px, ask_qty |
| `*_trades.parquet` | ts_ms, recv_ts_ms, trade_id, px, qty, is_buyer_maker |
| bars | open_time_ms, open, high, low, close, volume |

In: a path. Out: iterators of events in order of time, fetched from DuckDB in batches. `ts_ms` is the venue's clock; a
recorder that did not keep it left it empty, and then its own clock (`recv_ts_ms`) has to do. Errors are
`MarketDataError`s with the row in the place of the line; DuckDB itself comes with the extra `replay`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.market.binance import LARGEST_NUMBER, Kind, late_row, symbol_of
from engine.market.errors import MarketDataError, MissingExtraError
from engine.market.events import MINUTE_MS, Bar, Quote, Trade
from engine.market.rows import shown

_BATCH_ROWS = 8192

_SELECTS: dict[Kind, str] = {
    "quotes": "coalesce(ts_ms, recv_ts_ms)::BIGINT, bid_px::DOUBLE, ask_px::DOUBLE, bid_qty::DOUBLE, ask_qty::DOUBLE",
    "trades": "coalesce(ts_ms, recv_ts_ms)::BIGINT, px::DOUBLE, qty::DOUBLE, is_buyer_maker::BOOLEAN",
    "bars": "open_time_ms::BIGINT, open::DOUBLE, high::DOUBLE, low::DOUBLE, close::DOUBLE, volume::DOUBLE",
}
_MARKS: dict[Kind, set[str]] = {
    "quotes": {"bid_px", "ask_px"},
    "trades": {"px", "qty"},
    "bars": {"open_time_ms", "open"},
}


def read_quotes(path: Path, symbol: str | None = None) -> Iterator[Quote]:
    """Yield the quotes of a recording; the symbol comes from the file's name unless given."""
    symbol = symbol or symbol_of(path)
    previous_ms = 0
    for row, (ts_ms, bid, ask, bid_qty, ask_qty) in _rows(path, "quotes"):
        _check_time(path, row, ts_ms, previous_ms)
        previous_ms = ts_ms
        _check_numbers(path, row, bid, ask, bid_qty, ask_qty)
        yield Quote(symbol, ts_ms, bid, ask, bid_qty, ask_qty)


def read_trades(path: Path, symbol: str | None = None) -> Iterator[Trade]:
    """Yield the trades of a recording; the symbol comes from the file's name unless given."""
    symbol = symbol or symbol_of(path)
    previous_ms = 0
    for row, (ts_ms, price, qty, is_buyer_maker) in _rows(path, "trades"):
        _check_time(path, row, ts_ms, previous_ms)
        previous_ms = ts_ms
        _check_numbers(path, row, price, qty)
        if price == 0.0:
            raise MarketDataError(path, row, "a trade at price 0", "remove the row: it is no print of the market")
        yield Trade(symbol, ts_ms, price, qty, is_buyer_maker)


def read_bars(path: Path, symbol: str | None = None) -> Iterator[Bar]:
    """Yield the one-minute bars of a recording; the symbol comes from the file's name unless given."""
    symbol = symbol or symbol_of(path)
    previous_ms = 0
    for row, (open_time_ms, opened, high, low, close, volume) in _rows(path, "bars"):
        _check_time(path, row, open_time_ms, previous_ms)
        previous_ms = open_time_ms + MINUTE_MS
        _check_numbers(path, row, opened, high, low, close, volume)
        if not 0.0 < low <= min(opened, close) <= max(opened, close) <= high:
            raise MarketDataError(path, row, "low, open, close and high contradict each other", "record the bar again")
        yield Bar(symbol, open_time_ms, opened, high, low, close, volume, open_time_ms + MINUTE_MS - 1)


def kind_of(path: Path) -> Kind:
    """What the file holds, by its columns."""
    names = {str(name) for name, *_ in _query(path, "SELECT name FROM parquet_schema(?)")}
    for kind, marks in _MARKS.items():
        if marks <= names:
            return kind
    raise MarketDataError(path, None, "columns that are no layout known here", "expected quotes, trades or 1m bars")


def is_readable() -> bool:
    """Whether DuckDB is installed."""
    return find_spec("duckdb") is not None


def _rows(path: Path, kind: Kind) -> Iterator[tuple[int, Sequence[Any]]]:
    return enumerate(_query(path, f"SELECT {_SELECTS[kind]} FROM read_parquet(?)"), 1)  # noqa: S608 - from the table above


def _query(path: Path, sql: str) -> Iterator[Sequence[Any]]:
    """The rows of a query over one file, in the file's order; what DuckDB has against it is a `MarketDataError`."""
    duckdb = _duckdb(path)
    if not path.is_file():
        raise MarketDataError(path, None, "no such file", "check the path")
    # One thread keeps the rows in order without buffering them; brackets keep a `*` in the name from being a pattern.
    literal_name = re.sub(r"([*?\[])", r"[\1]", str(path))
    connection = duckdb.connect(config={"threads": 1})
    try:
        connection.execute(sql, [literal_name])
        while batch := connection.fetchmany(_BATCH_ROWS):
            yield from batch
    except duckdb.Error as error:
        reason = shown(str(error).partition("\n")[0], 160)
        raise MarketDataError(
            path, None, f"cannot be read as Parquet: {reason}", "check the file and its columns"
        ) from error
    finally:
        connection.close()


def _duckdb(path: Path) -> ModuleType:
    try:
        import duckdb  # noqa: PLC0415 - an extra: only who reads Parquet needs it
    except ImportError:
        raise MissingExtraError("replay", f"reading `{path}`") from None
    return duckdb


def _check_time(path: Path, row: int, ts_ms: int | None, previous_ms: int) -> None:
    if ts_ms is None:
        raise MarketDataError(path, row, "no time", "fill ts_ms or recv_ts_ms")
    if ts_ms < previous_ms:
        raise late_row(path, row, ts_ms, previous_ms)


def _check_numbers(path: Path, row: int, *numbers: float | None) -> None:
    for number in numbers:
        if number is None or not 0.0 <= number < LARGEST_NUMBER:
            found = "a number is missing" if number is None else f"`{number}` is no price or quantity"
            raise MarketDataError(path, row, found, f"numbers must lie from 0 to {LARGEST_NUMBER:g}")
