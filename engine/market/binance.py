"""Binance's public-data files: bookTicker, trades, aggTrades and klines, as streams of quotes, trades and bars.

In: `.csv`, `.csv.gz` or the archive's `.zip`, with a header line or without. Out: iterators of events that never look
further than the row they are at, so a day of bookTicker needs no more memory than a minute.

The layout is read from the header by column name; without a header, from the shape of the first row:

| columns | layout (USD-M unless said otherwise) |
|---|---|
| 6 | trades: id, price, qty, quote_qty, time, is_buyer_maker |
| 7, the last a number | bookTicker: update_id, bid, bid_qty, ask, ask_qty, transaction_time, event_time |
| 7, the last true or false | aggTrades: id, price, quantity, first id, last id, transact_time, is_buyer_maker |
| 7, the last two true or false | spot trades: id, price, qty, quote_qty, time, is_buyer_maker, is_best_match |
| 8 | spot aggTrades: as aggTrades, is_best_match |
| 12 | klines: open_time, open, high, low, close, volume, close_time, and five more |

A quote's time is its transaction time, the clock that trades carry too. Spot archives since 2025 count microseconds;
they are brought to milliseconds.

What does not fit is a `MarketDataError` with file, line and a way out: a wrong number of columns, a field that is no
number, NaN, negative or absurdly large, a time that goes back. Crossed and locked books and empty sides (price 0) are
passed on: judging them is for rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from engine.market.errors import MarketDataError
from engine.market.events import Bar, Quote, Trade
from engine.market.names import parse_name
from engine.market.rows import first_rows, not_a_number, read_rows, shown

Kind: TypeAlias = Literal["quotes", "trades", "bars"]
"""What a file holds."""

LARGEST_NUMBER = 1e18
"""Prices and quantities stay below this: nothing traded is larger, and sums of such numbers stay finite."""

_EARLIEST_MS, _LATEST_MS = 10**11, 10**14  # 1973 to 5138: seconds lie below, microseconds above
_MICROSECONDS = 1000

_FLAGS = {"true": True, "false": False, "True": True, "False": False}

# The names that headers use, without underscores and capitals, for each column that is read.
_HEADERS: Mapping[Kind, Mapping[str, Sequence[str]]] = {
    "quotes": {
        "bid": ["bestbidprice"],
        "bid_qty": ["bestbidqty"],
        "ask": ["bestaskprice"],
        "ask_qty": ["bestaskqty"],
        "time": ["transactiontime"],
    },
    "trades": {
        "price": ["price"],
        "qty": ["qty", "quantity"],
        "time": ["time", "transacttime", "timestamp"],
        "is_buyer_maker": ["isbuyermaker"],
    },
    "bars": {
        "time": ["opentime"],
        "open": ["open"],
        "high": ["high"],
        "low": ["low"],
        "close": ["close"],
        "volume": ["volume"],
        "close_time": ["closetime"],
    },
}
_QUOTE_COLUMNS = {"bid": 1, "bid_qty": 2, "ask": 3, "ask_qty": 4, "time": 5}
_TRADE_COLUMNS = {"price": 1, "qty": 2, "time": 4, "is_buyer_maker": 5}
_AGGREGATE_COLUMNS = {"price": 1, "qty": 2, "time": 5, "is_buyer_maker": 6}
_BAR_COLUMNS = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "close_time": 6}


@dataclass(frozen=True, slots=True)
class Layout:
    """How one file is laid out: what it holds, how many columns, where each column that is read stands."""

    kind: Kind
    width: int
    columns: Mapping[str, int]
    header_lines: int
    time_divisor: int = 1
    """What a time is divided by to become milliseconds."""


def read_quotes(path: Path, symbol: str | None = None) -> Iterator[Quote]:
    """Yield the quotes of a bookTicker file in order of time; the symbol comes from the file's name unless given.

    Raises `MarketDataError`, from the first `next` on.
    """
    layout = layout_of(path, "quotes")
    symbol = symbol or symbol_of(path)
    bid_at, ask_at = layout.columns["bid"], layout.columns["ask"]
    bid_qty_at, ask_qty_at = layout.columns["bid_qty"], layout.columns["ask_qty"]
    time_at, width, divisor = layout.columns["time"], layout.width, layout.time_divisor
    largest, latest_ms, previous_ms = LARGEST_NUMBER, _LATEST_MS, _EARLIEST_MS
    for line, row in read_rows(path, skip_lines=layout.header_lines):
        try:
            bid, ask = float(row[bid_at]), float(row[ask_at])
            bid_qty, ask_qty = float(row[bid_qty_at]), float(row[ask_qty_at])
            ts_ms = int(row[time_at]) // divisor
        except (ValueError, IndexError):
            raise _bad_row(path, line, row, layout) from None
        # NaN fails every comparison, so it ends up here too.
        if len(row) != width or not (
            0.0 <= bid < largest and 0.0 <= ask < largest and 0.0 <= bid_qty < largest and 0.0 <= ask_qty < largest
        ):
            raise _bad_row(path, line, row, layout)
        if not previous_ms <= ts_ms < latest_ms:
            raise _bad_time(path, line, ts_ms, previous_ms)
        previous_ms = ts_ms
        yield Quote(symbol, ts_ms, bid, ask, bid_qty, ask_qty)


def read_trades(path: Path, symbol: str | None = None) -> Iterator[Trade]:
    """Yield the trades of a trades or aggTrades file in order of time; the symbol comes from the name unless given.

    Raises `MarketDataError`, from the first `next` on.
    """
    layout = layout_of(path, "trades")
    symbol = symbol or symbol_of(path)
    price_at, qty_at, time_at = layout.columns["price"], layout.columns["qty"], layout.columns["time"]
    maker_at, width, divisor = layout.columns["is_buyer_maker"], layout.width, layout.time_divisor
    largest, latest_ms, previous_ms = LARGEST_NUMBER, _LATEST_MS, _EARLIEST_MS
    for line, row in read_rows(path, skip_lines=layout.header_lines):
        try:
            price, qty, ts_ms = float(row[price_at]), float(row[qty_at]), int(row[time_at]) // divisor
            is_buyer_maker = _FLAGS[row[maker_at]]
        except (ValueError, IndexError, KeyError):
            raise _bad_row(path, line, row, layout) from None
        if len(row) != width or not (0.0 < price < largest and 0.0 <= qty < largest):
            raise _bad_row(path, line, row, layout)
        if not previous_ms <= ts_ms < latest_ms:
            raise _bad_time(path, line, ts_ms, previous_ms)
        previous_ms = ts_ms
        yield Trade(symbol, ts_ms, price, qty, is_buyer_maker)


def read_bars(path: Path, symbol: str | None = None) -> Iterator[Bar]:
    """Yield the bars of a klines file of any interval, each opening after the one before has closed.

    Raises `MarketDataError`, from the first `next` on.
    """
    layout = layout_of(path, "bars")
    symbol = symbol or symbol_of(path)
    at, divisor = layout.columns, layout.time_divisor
    previous_ms = _EARLIEST_MS
    for line, row in read_rows(path, skip_lines=layout.header_lines):
        try:
            opened, high, low, close = (float(row[at[name]]) for name in ("open", "high", "low", "close"))
            volume = float(row[at["volume"]])
            open_time_ms, close_time_ms = int(row[at["time"]]) // divisor, int(row[at["close_time"]]) // divisor
        except (ValueError, IndexError):
            raise _bad_row(path, line, row, layout) from None
        sound = 0.0 < low <= min(opened, close) <= max(opened, close) <= high < LARGEST_NUMBER
        if len(row) != layout.width or not sound or not 0.0 <= volume < LARGEST_NUMBER:
            raise _bad_row(path, line, row, layout)
        if not previous_ms <= open_time_ms < _LATEST_MS:
            raise _bad_time(path, line, open_time_ms, previous_ms)
        if not open_time_ms < close_time_ms < _LATEST_MS:
            raise MarketDataError(
                path, line, "the bar closes before it opens", "restore the row from the venue's archive"
            )
        previous_ms = close_time_ms + 1
        yield Bar(symbol, open_time_ms, opened, high, low, close, volume, close_time_ms)


def layout_of(path: Path, expected: Kind | None = None) -> Layout:
    """Recognise a file by its header, or by the shape of its first row; an error where it is not of `expected` kind."""
    first, *following = first_rows(path, 2)
    layout = _by_shape(first) if _is_number(first[0]) else _by_header(first)
    if layout is None:
        raise MarketDataError(
            path,
            1,
            f"{len(first)} columns that are no layout known here",
            "expected Binance's bookTicker, trades, aggTrades or klines columns",
        )
    if expected is not None and layout.kind != expected:
        raise MarketDataError(path, 1, f"holds {layout.kind}, not {expected}", "give a file that does")
    rows = following if layout.header_lines else [first]
    return replace(layout, time_divisor=_time_divisor(layout, rows[0])) if rows else layout


def symbol_of(path: Path) -> str:
    """The symbol in a file's name; a `MarketDataError` where the name follows no convention."""
    name = parse_name(path)
    if name is None:
        raise MarketDataError(
            path, None, "the name does not say which symbol", "name it like `BTCUSDT-bookTicker-2024-08-08.csv.gz`"
        )
    return name.symbol


def late_row(path: Path, line: int, ts_ms: int, previous_ms: int) -> MarketDataError:
    """The error for a row whose time lies before the row above it, or, of bars, before that one's close."""
    return MarketDataError(
        path, line, f"time {ts_ms} goes back by {previous_ms - ts_ms} ms", "sort the file by its time column"
    )


def _by_header(names: Sequence[str]) -> Layout | None:
    at = {name.strip().lower().replace("_", ""): position for position, name in enumerate(names)}
    for kind, wanted in _HEADERS.items():
        columns = {column: at[alias] for column, aliases in wanted.items() for alias in aliases if alias in at}
        if len(columns) == len(wanted):
            return Layout(kind, len(names), columns, header_lines=1)
    return None


def _by_shape(row: Sequence[str]) -> Layout | None:
    flags = sum(field in _FLAGS for field in row[-2:])
    match len(row), flags:
        case 6, 1:
            return Layout("trades", 6, _TRADE_COLUMNS, header_lines=0)
        case 7, 0:
            return Layout("quotes", 7, _QUOTE_COLUMNS, header_lines=0)
        case 7, 1:
            return Layout("trades", 7, _AGGREGATE_COLUMNS, header_lines=0)
        case 7, 2:
            return Layout("trades", 7, _TRADE_COLUMNS, header_lines=0)
        case 8, 2:
            return Layout("trades", 8, _AGGREGATE_COLUMNS, header_lines=0)
        case 12, 0:
            return Layout("bars", 12, _BAR_COLUMNS, header_lines=0)
        case _:
            return None


def _time_divisor(layout: Layout, row: Sequence[str]) -> int:
    """1 for milliseconds, 1000 for microseconds; a row that is broken here is reported by the reader."""
    field = row[layout.columns["time"]] if len(row) == layout.width else ""
    return _MICROSECONDS if field.isdecimal() and 15 <= len(field) <= 17 else 1


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def _bad_row(path: Path, line: int, row: Sequence[str], layout: Layout) -> MarketDataError:
    """What is wrong with a row that could not be used; slow and only called then."""
    if len(row) != layout.width:
        return MarketDataError(
            path,
            line,
            f"{len(row)} columns where the file has {layout.width}",
            "the row is torn or two rows ran together: fetch the file again, or remove it",
        )
    for column, position in layout.columns.items():
        field = row[position]
        if column == "is_buyer_maker":
            if field not in _FLAGS:
                return MarketDataError(path, line, f"{column} is `{shown(field)}`", "it must be true or false")
        elif not _is_number(field):
            return not_a_number(path, line, field)
        elif "time" in column and not field.strip().isdecimal():
            return MarketDataError(
                path, line, f"{column} is `{shown(field)}`", "it must be whole milliseconds since 1970"
            )
        elif not 0.0 <= float(field) < LARGEST_NUMBER:
            return MarketDataError(
                path, line, f"{column} is `{shown(field)}`", f"it must lie from 0 to {LARGEST_NUMBER:g}"
            )
    if layout.kind == "trades":
        return MarketDataError(path, line, "a trade at price 0", "remove the row: it is no print of the market")
    return MarketDataError(
        path, line, "low, open, close and high contradict each other", "restore the row from the archive"
    )


def _bad_time(path: Path, line: int, ts_ms: int, previous_ms: int) -> MarketDataError:
    if not _EARLIEST_MS <= ts_ms < _LATEST_MS:
        found = shown(str(ts_ms))
        return MarketDataError(path, line, f"time {found} is not in milliseconds since 1970", "convert the column")
    return late_row(path, line, ts_ms, previous_ms)
