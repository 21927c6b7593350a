"""Binance's public-data files: bookTicker, trades, aggTrades and klines, as blocks of quotes, trades and bars.

In: `.csv`, `.csv.gz` or the archive's `.zip`, with a header line or without. Out: iterators of blocks of events that
never look further than the 64 KB they are at, so a day of bookTicker needs no more memory than a minute.

The layout is read from the header by column name; without a header, from the shape of the first row:

| columns | layout (USD-M and COIN-M unless said otherwise) |
|---|---|
| 6 | trades: id, price, qty, quote_qty (COIN-M: base_qty), time, is_buyer_maker |
| 7, the last a number | bookTicker: update_id, bid, bid_qty, ask, ask_qty, transaction_time, event_time |
| 7, the last true or false | aggTrades: id, price, quantity, first id, last id, transact_time, is_buyer_maker |
| 7, the last two true or false | spot trades: id, price, qty, quote_qty, time, is_buyer_maker, is_best_match |
| 8 | spot aggTrades: as aggTrades, is_best_match |
| 12 | klines: open_time, open, high, low, close, volume, close_time, and five more |

A quote's time is its transaction time, the clock that trades carry too. Spot archives since 2025 count microseconds;
they are brought to milliseconds. A row of trades that repeats the one above it, id and all, is the same print and left
out.

What does not fit is a `MarketDataError` with file, line and a way out, raised after the rows before it have been handed
out: a wrong number of columns, a field that is no number, NaN, negative or absurdly large, and a time that goes back,
be it by a millisecond: archives are in order, and one that is not has been tampered with. Crossed and locked books and
empty sides (price 0) are passed on: judging them is for rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from engine.market import blocks
from engine.market.blocks import LARGEST_NUMBER, BlockReader, EventT
from engine.market.errors import MarketDataError, late_row, shown
from engine.market.events import Bar, Quote, Trade
from engine.market.kinds import Kind
from engine.market.names import symbol_of
from engine.market.rows import Chunk, first_lines, not_a_number, read_chunks

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


def quote_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Quote]]:
    """The quotes of a bookTicker file in order of time; the symbol comes from the file's name unless given.

    Raises `MarketDataError`: now for what stands first in the file, while iterating for the rest.
    """
    return _Quotes(path, symbol, "quotes").read()


def trade_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Trade]]:
    """The trades of a trades or aggTrades file in order of time; the symbol comes from the name unless given.

    Raises `MarketDataError`: now for what stands first in the file, while iterating for the rest.
    """
    return _Trades(path, symbol, "trades").read()


def bar_blocks(path: Path, symbol: str | None = None) -> Iterator[list[Bar]]:
    """The bars of a klines file of any interval, each opening after the one before has closed.

    Raises `MarketDataError`: now for what stands first in the file, while iterating for the rest.
    """
    return _Bars(path, symbol, "bars").read()


def last_bars(path: Path, symbol: str | None, before_ms: int | None, count: int) -> list[Bar]:
    """The last `count` bars of a klines file that close before `before_ms`, or of all. Raises `MarketDataError`.

    Rows well before them are not looked at.
    """
    reader = _Bars(path, symbol, "bars")
    kept: deque[tuple[Chunk, int]] = deque()  # with their numbers of lines
    lines = 0
    for chunk in read_chunks(path, skip_lines=reader.layout.header_lines):
        opens_ms = reader.opens_at(chunk)
        if before_ms is not None and opens_ms is not None and opens_ms >= before_ms:
            break
        kept.append((chunk, chunk.text.count(b"\n") + 1))
        lines += kept[-1][1]
        # The last chunk may lie behind `before_ms` but for its first row.
        while lines - kept[0][1] - kept[-1][1] > count:
            lines -= kept.popleft()[1]
    bars: deque[Bar] = deque(maxlen=count)
    for chunk, _ in kept:
        found, fault = reader.until_fault(chunk)
        bars.extend(bar for bar in found if before_ms is None or bar.close_time_ms < before_ms)
        if fault is not None:
            raise fault
    return list(bars)


def layout_of(path: Path, expected: Kind | None = None) -> Layout:
    """Recognise a file by its header, or by the shape of its first row; an error where it is not of `expected` kind."""
    first, *following = (_fields(path, line, text) for line, text in enumerate(first_lines(path, 2), 1))
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
    rows = [row for row in (following if layout.header_lines else [first]) if row != [""]]
    return replace(layout, time_divisor=_time_divisor(layout, rows[0])) if rows else layout


# --- rows into events ------------------------------------------------------------------------------------------------

_Row: TypeAlias = list[str]


class _Reader(BlockReader[Chunk, EventT], ABC):
    """One pass over a file."""

    def __init__(self, path: Path, symbol: str | None, kind: Kind) -> None:
        super().__init__(_EARLIEST_MS)
        self.path = path
        self.layout = layout_of(path, kind)
        self.symbol = symbol or symbol_of(path)

    @abstractmethod
    def one(self, line: int, row: _Row) -> EventT | None:
        """The event of a row, None for one to be left out. Raises `MarketDataError`."""

    def all_of(self, text: str) -> list[EventT] | None:  # noqa: ARG002 - for those that have such a way
        """The events of several lines; None, `ValueError` or `KeyError` unless all of them are sound."""
        return None

    def read(self) -> Iterator[list[EventT]]:
        """The events of the file."""
        return self.blocks(read_chunks(self.path, skip_lines=self.layout.header_lines))

    def at_once(self, chunk: Chunk) -> list[EventT] | None:
        """As `all_of`, for the rows of a chunk."""
        try:
            text = chunk.text.decode("ascii")
            events = None if "_" in text else self.all_of(text)
        except (ValueError, KeyError):
            return None
        return events if events and events[-1].ts_ms < _LATEST_MS else None

    def one_by_one(self, chunk: Chunk) -> Iterator[EventT]:
        """The events of a chunk's rows, without empty lines. Raises `MarketDataError`.

        A field with an underscore in it is refused: Python would read `61_800` as a number, the venue never writes it.
        """
        for line, text in enumerate(chunk.text.split(b"\n"), chunk.first_line):
            if not text:
                continue
            row = _fields(self.path, line, text)
            if b"_" in text:
                raise not_a_number(self.path, line, next(field for field in row if "_" in field))
            event = self.one(line, row)
            if event is not None:
                yield event

    def columns(self, text: str) -> Mapping[str, list[str]]:
        """The columns that are read, by name; `ValueError` unless every line has the file's width.

        All fields are split at once, line breaks being fields of their own: a list for each line would keep the garbage
        collector busy for longer than all the rest takes.
        """
        fields = f"{text}\n".replace("\n", ",\n,").split(",")
        width = self.layout.width + 1
        breaks = fields[width - 1 :: width]
        if breaks.count("\n") != len(breaks) or len(breaks) != text.count("\n") + 1:
            raise ValueError
        return {name: fields[at:-1:width] for name, at in self.layout.columns.items()}

    def times(self, fields: Iterable[str]) -> list[int]:
        """A column of times in milliseconds."""
        divisor = self.layout.time_divisor
        return list(map(int, fields)) if divisor == 1 else [int(field) // divisor for field in fields]

    def check(self, line: int, row: _Row, ts_ms: int, *, sound: bool) -> None:
        """Raise unless the row is sound, as wide as the others and not before the last."""
        if not sound or len(row) != self.layout.width:
            raise _bad_row(self.path, line, row, self.layout)
        if not self.after_ms <= ts_ms < _LATEST_MS:
            raise _bad_time(self.path, line, ts_ms, self.after_ms)


class _Quotes(_Reader[Quote]):
    def all_of(self, text: str) -> list[Quote] | None:
        of = self.columns(text)
        bids, asks, bid_qtys, ask_qtys = (list(map(float, of[name])) for name in ("bid", "ask", "bid_qty", "ask_qty"))
        return blocks.quotes(self.symbol, self.times(of["time"]), bids, asks, bid_qtys, ask_qtys, self.after_ms)

    def one(self, line: int, row: _Row) -> Quote:
        at = self.layout.columns
        try:
            bid, ask, bid_qty, ask_qty = (float(row[at[name]]) for name in ("bid", "ask", "bid_qty", "ask_qty"))
            ts_ms = int(row[at["time"]]) // self.layout.time_divisor
        except (ValueError, IndexError):
            raise _bad_row(self.path, line, row, self.layout) from None
        # NaN fails every comparison, so it is unsound too.
        self.check(
            line, row, ts_ms, sound=all(0.0 <= number < LARGEST_NUMBER for number in (bid, ask, bid_qty, ask_qty))
        )
        return Quote(self.symbol, ts_ms, bid, ask, bid_qty, ask_qty)


class _Trades(_Reader[Trade]):
    _last_line = ""

    def all_of(self, text: str) -> list[Trade] | None:
        lines = text.split("\n")
        if lines[0] == self._last_line or blocks.repeats(lines):
            return None
        of = self.columns(text)
        prices, qtys = list(map(float, of["price"])), list(map(float, of["qty"]))
        flags = [_FLAGS[field] for field in of["is_buyer_maker"]]
        events = blocks.trades(self.symbol, self.times(of["time"]), prices, qtys, flags, self.after_ms)
        if events is not None:
            self._last_line = lines[-1]
        return events

    def one(self, line: int, row: _Row) -> Trade | None:
        text = ",".join(row)
        if text == self._last_line:
            return None
        at = self.layout.columns
        try:
            price, qty = float(row[at["price"]]), float(row[at["qty"]])
            ts_ms = int(row[at["time"]]) // self.layout.time_divisor
            is_buyer_maker = _FLAGS[row[at["is_buyer_maker"]]]
        except (ValueError, IndexError, KeyError):
            raise _bad_row(self.path, line, row, self.layout) from None
        self.check(line, row, ts_ms, sound=0.0 < price < LARGEST_NUMBER and 0.0 <= qty < LARGEST_NUMBER)
        self._last_line = text
        return Trade(self.symbol, ts_ms, price, qty, is_buyer_maker)


class _Bars(_Reader[Bar]):
    def one(self, line: int, row: _Row) -> Bar:
        at, divisor = self.layout.columns, self.layout.time_divisor
        try:
            opened, high, low, close = (float(row[at[name]]) for name in ("open", "high", "low", "close"))
            volume = float(row[at["volume"]])
            open_time_ms, close_time_ms = (int(row[at[name]]) // divisor for name in ("time", "close_time"))
        except (ValueError, IndexError):
            raise _bad_row(self.path, line, row, self.layout) from None
        prices_fit = 0.0 < low <= min(opened, close) <= max(opened, close) <= high < LARGEST_NUMBER
        self.check(line, row, open_time_ms, sound=prices_fit and 0.0 <= volume < LARGEST_NUMBER)
        if not open_time_ms < close_time_ms < _LATEST_MS:
            raise MarketDataError(
                self.path, line, "the bar closes before it opens", "restore the row from the venue's archive"
            )
        return Bar(self.symbol, open_time_ms, opened, high, low, close, volume, close_time_ms)

    def opens_at(self, chunk: Chunk) -> int | None:
        """When the first bar of a chunk opens; None where its first row does not say."""
        row = chunk.text.partition(b"\n")[0].split(b",")
        field = row[self.layout.columns["time"]] if len(row) == self.layout.width else b""
        return int(field) // self.layout.time_divisor if field.isdigit() else None


def _fields(path: Path, line: int, text: bytes) -> _Row:
    try:
        return text.decode("ascii").split(",")
    except UnicodeDecodeError as error:
        raise MarketDataError(
            path, line, "bytes that are not ASCII text", "is the file compressed under another suffix?"
        ) from error


# --- layouts ---------------------------------------------------------------------------------------------------------


def _by_header(names: Sequence[str]) -> Layout | None:
    at = {name.strip().lower().replace("_", ""): position for position, name in enumerate(names)}
    for kind, wanted in _HEADERS.items():
        found = {column: at[alias] for column, aliases in wanted.items() for alias in aliases if alias in at}
        if len(found) == len(wanted):
            return Layout(kind, len(names), found, header_lines=1)
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


# --- what is wrong ---------------------------------------------------------------------------------------------------


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
