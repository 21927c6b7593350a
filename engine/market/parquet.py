"""Recordings in Parquet: quotes and trades in one common layout for all venues, and one-minute bars.

| file | columns |
|---|---|
| `*_quotes.parquet` | ts_ms, recv_ts_ms, bid_px, bid_qty, ask_px, ask_qty |
| `*_trades.parquet` | ts_ms, recv_ts_ms, trade_id, px, qty, is_buyer_maker |
| `*_quotebars.parquet` | open_time_ms, bid_open, bid_high, bid_low, bid_close, bid_qty_last, and the same of ask |
| `*_tradebars.parquet`, other bars | open_time_ms, open, high, low, close, volume |

In: a path. Out: iterators of blocks of events in order of time, fetched from DuckDB in batches. `ts_ms` is the venue's
clock; a recorder that did not keep it left it empty, and then its own clock (`recv_ts_ms`) has to do. A trade that
repeats the one above it, id and all, is left out; without an id it may be another print just like it and stays. Errors
are `MarketDataError`s with the row in the place of the line, raised after what is before them has been handed out;
DuckDB itself comes with the extra `replay`.
"""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from engine.market import blocks
from engine.market.blocks import LARGEST_NUMBER, BlockReader, EventT
from engine.market.errors import MarketDataError, MissingExtraError, late_row, shown
from engine.market.events import MINUTE_MS, Bar, Quote, Trade
from engine.market.kinds import Kind
from engine.market.minutes import QuoteBar, Side
from engine.market.names import parse_name, symbol_of

_BATCH_ROWS = 2048  # of five numbers: larger batches take longer a row

_TIME = "coalesce(ts_ms, recv_ts_ms)::BIGINT"
_TIMES: dict[Kind, str] = {
    "quotes": _TIME,
    "trades": _TIME,
    "bars": "open_time_ms::BIGINT",
    "quote_bars": "open_time_ms::BIGINT",
    "trade_bars": "open_time_ms::BIGINT",
}
_BAR = "open_time_ms::BIGINT, open::DOUBLE, high::DOUBLE, low::DOUBLE, close::DOUBLE, volume::DOUBLE"
_SIDES = (f"{side}_{what}::DOUBLE" for side in ("bid", "ask") for what in ("open", "high", "low", "close", "qty_last"))
_SELECTS: dict[Kind, str] = {
    "quotes": f"{_TIME}, bid_px::DOUBLE, ask_px::DOUBLE, bid_qty::DOUBLE, ask_qty::DOUBLE",
    "trades": f"{_TIME}, px::DOUBLE, qty::DOUBLE, is_buyer_maker::BOOLEAN",
    "bars": _BAR,
    "trade_bars": _BAR,
    "quote_bars": f"open_time_ms::BIGINT, {', '.join(_SIDES)}",
}
_MARKS: dict[Kind, set[str]] = {
    "quotes": {"bid_px", "ask_px"},
    "trades": {"px", "qty"},
    "quote_bars": {"open_time_ms", "bid_open", "ask_open"},
    "bars": {"open_time_ms", "open"},
}

_Rows: TypeAlias = Sequence[Any]
"""Tuples of a query's columns, the last one the row's number."""

_NEVER_MS = 1 << 62


def quote_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Quote]]:
    """The quotes of a recording; the symbol comes from the file's name unless given."""
    return _Quotes(path, symbol).blocks(_batches(path, "quotes"))


def trade_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Trade]]:
    """The trades of a recording; the symbol comes from the file's name unless given."""
    return _Trades(path, symbol).blocks(_batches(path, "trades"))


def bar_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Bar]]:
    """The one-minute bars of a recording; the symbol comes from the file's name unless given."""
    return _Bars(path, symbol).blocks(_batches(path, "bars"))


def last_bars(path: Path, symbol: str | None, before_ms: int | None, count: int) -> list[Bar]:
    """The last `count` one-minute bars that close before `before_ms`, or of all. Raises `MarketDataError`."""
    latest_ms = _NEVER_MS if before_ms is None else before_ms - MINUTE_MS
    sql = f"{_select(path, 'bars')} WHERE open_time_ms <= ? ORDER BY open_time_ms DESC, file_row_number DESC LIMIT ?"
    rows = [row for batch in _query(path, sql, latest_ms, count) for row in batch]
    bars, fault = _Bars(path, symbol).until_fault(rows[::-1])
    if fault is not None:
        raise fault
    return bars


def quote_bars(path: Path) -> Iterator[QuoteBar]:
    """The minutes of a file of quote bars, each after the one before. Raises `MarketDataError`."""
    previous_ms = 0
    for batch in _batches(path, "quote_bars"):
        for open_time_ms, *numbers, row in batch:
            _check_time(path, row, open_time_ms, previous_ms)
            previous_ms = open_time_ms + MINUTE_MS
            _check_numbers(path, row, *numbers)
            bid, ask = Side(*numbers[:5]), Side(*numbers[5:])
            for side in (bid, ask):
                if not side.low <= min(side.open, side.close) <= max(side.open, side.close) <= side.high:
                    raise _contradiction(path, row)
            yield QuoteBar(open_time_ms, bid, ask)


def kind_of(path: Path) -> Kind:
    """What the file holds, by its columns, and of bars by its name."""
    names = _column_names(path)
    for kind, marks in _MARKS.items():
        if marks <= names:
            name = parse_name(path)
            return "trade_bars" if kind == "bars" and name is not None and name.content == "tradebars" else kind
    raise MarketDataError(
        path, None, "columns that are no layout known here", "expected quotes, trades, 1m bars or 1m quote bars"
    )


def bounds(path: Path, kind: Kind, from_ms: int | None = None, to_ms: int | None = None) -> tuple[int, int] | None:
    """The first and the last time in a file from `from_ms` to before `to_ms`; None where there is none."""
    times = f"SELECT {_TIMES[kind]} AS ts FROM read_parquet(?)"  # noqa: S608 - from the table above
    sql = f"SELECT min(ts), max(ts) FROM ({times}) WHERE ts >= ? AND ts < ?"  # noqa: S608 - as above
    span = (-_NEVER_MS if from_ms is None else from_ms, _NEVER_MS if to_ms is None else to_ms)
    ((first_ms, last_ms),) = (row for batch in _query(path, sql, *span) for row in batch)
    return None if first_ms is None else (first_ms, last_ms)


def is_readable() -> bool:
    """Whether DuckDB is installed."""
    return find_spec("duckdb") is not None


# --- rows into events ------------------------------------------------------------------------------------------------


class _Reader(BlockReader[_Rows, EventT], ABC):
    """One pass over a file; every row ends with its number."""

    def __init__(self, path: Path, symbol: str | None) -> None:
        super().__init__()
        self.path = path
        self.symbol = symbol or symbol_of(path)

    def check(self, row: int, ts_ms: int | None, *numbers: float | None) -> None:
        """Raise unless the row has a time, none before the last, and its numbers are sound."""
        _check_time(self.path, row, ts_ms, self.after_ms)
        _check_numbers(self.path, row, *numbers)


class _Quotes(_Reader[Quote]):
    def at_once(self, chunk: _Rows) -> list[Quote] | None:
        times, bids, asks, bid_qtys, ask_qtys, _ = zip(*chunk, strict=True)
        try:
            return blocks.quotes(self.symbol, times, bids, asks, bid_qtys, ask_qtys, self.after_ms)
        except TypeError:  # something is missing
            return None

    def one_by_one(self, chunk: _Rows) -> Iterator[Quote]:
        for ts_ms, bid, ask, bid_qty, ask_qty, row in chunk:
            self.check(row, ts_ms, bid, ask, bid_qty, ask_qty)
            yield Quote(self.symbol, ts_ms, bid, ask, bid_qty, ask_qty)


class _Trades(_Reader[Trade]):
    _last_id: object = None

    def at_once(self, chunk: _Rows) -> list[Trade] | None:
        times, prices, qtys, flags, ids, _ = zip(*chunk, strict=True)
        if ids.count(None) < len(ids) and (ids[0] == self._last_id or blocks.repeats(ids)):
            return None
        try:
            events = blocks.trades(self.symbol, times, prices, qtys, flags, self.after_ms)
        except TypeError:  # something is missing
            return None
        if events is not None:
            self._last_id = ids[-1]
        return events

    def one_by_one(self, chunk: _Rows) -> Iterator[Trade]:
        for ts_ms, price, qty, is_buyer_maker, trade_id, row in chunk:
            if trade_id is not None and trade_id == self._last_id:
                continue
            self.check(row, ts_ms, price, qty)
            if price == 0.0:
                raise MarketDataError(
                    self.path, row, "a trade at price 0", "remove the row: it is no print of the market"
                )
            self._last_id = trade_id
            yield Trade(self.symbol, ts_ms, price, qty, is_buyer_maker)


class _Bars(_Reader[Bar]):
    def at_once(self, chunk: _Rows) -> list[Bar] | None:  # noqa: ARG002 - bars are few
        return None

    def one_by_one(self, chunk: _Rows) -> Iterator[Bar]:
        for open_time_ms, opened, high, low, close, volume, row in chunk:
            self.check(row, open_time_ms, opened, high, low, close, volume)
            if not 0.0 < low <= min(opened, close) <= max(opened, close) <= high:
                raise _contradiction(self.path, row)
            yield Bar(self.symbol, open_time_ms, opened, high, low, close, volume, open_time_ms + MINUTE_MS - 1)


# --- queries ---------------------------------------------------------------------------------------------------------


def _batches(path: Path, kind: Kind) -> Iterator[_Rows]:
    """The rows of a file in its order, each with its 1-based number behind it."""
    return _query(path, _select(path, kind))


def _select(path: Path, kind: Kind) -> str:
    select = _SELECTS[kind]
    if kind == "trades":
        select += ", trade_id" if "trade_id" in _column_names(path) else ", NULL"
    return f"SELECT {select}, file_row_number + 1 FROM read_parquet(?, file_row_number = true)"  # noqa: S608 - ours


def _column_names(path: Path) -> set[str]:
    return {str(name) for batch in _query(path, "SELECT name FROM parquet_schema(?)") for (name,) in batch}


def _query(path: Path, sql: str, *values: object) -> Iterator[_Rows]:
    """The rows of a query over one file, in batches; what DuckDB has against it is a `MarketDataError`."""
    duckdb = _duckdb(path)
    if not path.is_file():
        raise MarketDataError(path, None, "no such file", "check the path")
    # Brackets keep a `*` in the name from being a pattern.
    literal_name = re.sub(r"([*?\[])", r"[\1]", str(path))
    cursor = _database(duckdb).cursor()
    try:
        cursor.execute(sql, [literal_name, *values])
        while batch := cursor.fetchmany(_BATCH_ROWS):
            yield batch
    except duckdb.Error as error:
        reason = shown(str(error).partition("\n")[0], 160)
        raise MarketDataError(
            path, None, f"cannot be read as Parquet: {reason}", "check the file and its columns"
        ) from error
    finally:
        cursor.close()


@cache
def _database(duckdb: ModuleType) -> Any:
    """One empty database for all files: to start one takes ten times as long as to open a file.

    With one thread rows keep their order without being buffered.
    """
    return duckdb.connect(config={"threads": 1})


def _duckdb(path: Path) -> ModuleType:
    try:
        import duckdb  # noqa: PLC0415 - an extra: only who reads Parquet needs it
    except ImportError:
        raise MissingExtraError("replay", f"reading `{path}`") from None
    return duckdb


# --- what is wrong ---------------------------------------------------------------------------------------------------


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


def _contradiction(path: Path, row: int) -> MarketDataError:
    return MarketDataError(path, row, "low, open, close and high contradict each other", "record the bar again")
