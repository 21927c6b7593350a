"""Which files make up a market: those that were named, or the best that a data folder holds.

In: paths, or a folder. Out: `MarketFiles`, which says for each symbol where its quotes, trades and warm-up bars are,
and what is missing. In a folder, a symbol counts if there is a Binance USD-M bookTicker file of it; then the latest
one is taken, with the trades (or else aggTrades) of the same days. Coin-margined recordings are left alone: their
quantities are contracts.

Bars for warm-up are the symbol's one-minute bars, those that reach up to the recording if there are any, else those of
another day (`warmup` says how they are fitted).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.market import parquet
from engine.market.binance import Kind
from engine.market.errors import MarketDataError, MissingExtraError
from engine.market.events import MINUTE_MS, Bar, Event, minute_of
from engine.market.files import MarketFile, read_bars, read_events, recognise
from engine.market.names import FileName, is_market_file, parse_name

_USD_MARGINED_VENUE = "binance-um"
_OTHER_MARKETS = {"cm", "spot", "option"}
"""Folders of Binance's archive, beside `um`."""


@dataclass(frozen=True, slots=True)
class SymbolFiles:
    """The files of one symbol, each tuple in order of time."""

    symbol: str
    quotes: tuple[Path, ...] = ()
    trades: tuple[Path, ...] = ()
    bars: tuple[Path, ...] = ()
    """One-minute bars to warm up ATR with."""
    bars_from_another_day: bool = False
    """Whether `bars` leave out the minute before the recording, so that they have to be moved to it."""


@dataclass(frozen=True, slots=True)
class MarketFiles:
    """The files of a market by symbol, in order of the symbols' names; empty where there are none."""

    symbols: tuple[SymbolFiles, ...] = ()
    notes: tuple[str, ...] = ()
    """What is missing, one line each."""


def data_dir(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder of recorded market data: `$SLUICE_DATA`, else `../shared/data` beside the checkout; None without one.

    A `$SLUICE_DATA` that names no folder is a `MarketDataError`: a slip in it must not pass as having no data.
    """
    given = environment.get("SLUICE_DATA")
    if given:
        folder = Path(given)
        if not folder.is_dir():
            raise MarketDataError(folder, None, "SLUICE_DATA names no folder", "correct the variable, or unset it")
        return folder
    checkout = Path(__file__).resolve().parents[2]
    beside = checkout.parent / "shared" / "data"
    return beside if beside.is_dir() else None


def market_files(explicit: Sequence[Path], folder: Path | None) -> MarketFiles:
    """The market in the `explicit` files if there are any, else in `folder`, else none. Raises `MarketDataError`."""
    if explicit:
        return _of_files([recognise(path) for path in dict.fromkeys(explicit)])
    return MarketFiles() if folder is None else _of_folder(folder)


def _of_files(files: Iterable[MarketFile]) -> MarketFiles:
    """Group named files by symbol; every one of them is used or refused."""
    by_symbol: dict[str, list[MarketFile]] = defaultdict(list)
    for file in files:
        by_symbol[file.symbol].append(file)
    return _together(
        _symbol_files(symbol, _in_order(of, "quotes"), _in_order(of, "trades"), _in_order(of, "bars"))
        for symbol, of in sorted(by_symbol.items())
    )


def _of_folder(folder: Path) -> MarketFiles:
    """For each symbol with a bookTicker file, the latest of these and what goes with it."""
    by_symbol: dict[str, dict[Path, FileName]] = defaultdict(dict)
    for path in sorted(folder.rglob("*")):
        name = parse_name(path) if is_market_file(path) else None
        if name is not None and not _OTHER_MARKETS.intersection(path.relative_to(folder).parts):
            by_symbol[name.symbol][path] = name
    return _together(
        _latest_recording(symbol, names)
        for symbol, names in sorted(by_symbol.items())
        if any(name.content == "bookTicker" for name in names.values())
    )


def _latest_recording(symbol: str, names: Mapping[Path, FileName]) -> _Found:
    """The latest bookTicker file of a symbol, the trades of the same span, and the bars that suit best."""
    span = max(name.span for name in names.values() if name.content == "bookTicker")

    def files(kind: Kind, content: str) -> list[MarketFile]:
        spans = {name.span for name in names.values()} if kind == "bars" else {span}
        return [
            MarketFile(path, kind, symbol)
            for path, name in names.items()
            if name.content == content and name.span in spans
        ]

    quotes = files("quotes", "bookTicker")[:1]
    trades = (files("trades", "trades") or files("trades", "aggTrades"))[:1]
    recorded = [file for file in files("bars", "") if names[file.path].venue == _USD_MARGINED_VENUE]
    bars = files("bars", "1m")
    unread: list[str] = []
    if parquet.is_readable():
        bars += recorded
    else:
        needs = [MissingExtraError("replay", f"reading `{file.path.name}`") for file in recorded]
        unread = [f"{symbol}: {error.message}: {error.help}" for error in needs]
    starts_ms = _first_event(quotes[0]).ts_ms
    fitting = [file for file in bars if _reaches(file, starts_ms)]
    found = _symbol_files(symbol, quotes, trades, (fitting or bars)[-1:])
    return _Found(found.files, (*found.notes, *unread))


@dataclass(frozen=True, slots=True)
class _Found:
    files: SymbolFiles
    notes: tuple[str, ...]


def _together(found: Iterable[_Found]) -> MarketFiles:
    symbols = tuple(found)
    return MarketFiles(tuple(of.files for of in symbols), tuple(note for of in symbols for note in of.notes))


def _symbol_files(
    symbol: str, quotes: Sequence[MarketFile], trades: Sequence[MarketFile], bars: Sequence[MarketFile]
) -> _Found:
    """The files of one symbol, checked, and what is missing among them."""
    if not quotes and not trades:
        raise MarketDataError(bars[0].path, None, f"only bars of {symbol}", "give quotes or trades of it as well")
    for file in bars:
        _check_minutes(file)
    starts_ms = _first_event((quotes or trades)[0]).ts_ms
    other_day = bool(bars) and not any(_reaches(file, starts_ms) for file in bars)
    missing = [
        (not quotes, f"{symbol}: no quotes, so there is no book"),
        (not trades, f"{symbol}: no trades"),
        (not bars, f"{symbol}: no one-minute bars, ATR is missing until enough minutes have passed"),
    ]
    return _Found(
        SymbolFiles(symbol, _paths(quotes), _paths(trades), _paths(bars), other_day),
        tuple(note for is_missing, note in missing if is_missing),
    )


def _in_order(files: Iterable[MarketFile], kind: Kind) -> list[MarketFile]:
    return sorted((file for file in files if file.kind == kind), key=lambda file: _first_event(file).ts_ms)


def _first_event(file: MarketFile) -> Event:
    event = next(read_events(file), None)
    if event is None:
        raise MarketDataError(file.path, None, "holds no rows", "leave the file out")
    return event


def _check_minutes(file: MarketFile) -> None:
    first = _first_event(file)
    if isinstance(first, Bar) and first.ts_ms - first.open_time_ms != MINUTE_MS:
        raise MarketDataError(
            file.path, 2, "bars that are not one minute long", "give 1m klines: ATR is taken over minutes"
        )


def _reaches(file: MarketFile, starts_ms: int) -> bool:
    """Whether a file of bars has the minute before the one that `starts_ms` lies in."""
    wanted_ms = minute_of(starts_ms) - MINUTE_MS
    for bar in read_bars(file.path, file.symbol):
        if bar.open_time_ms >= wanted_ms:
            return bar.open_time_ms == wanted_ms
    return False


def _paths(files: Iterable[MarketFile]) -> tuple[Path, ...]:
    return tuple(file.path for file in files)
