"""Where a market is found: in the files and folders that were named, or else in a folder of recordings.

In: paths, or a folder, and a choice of symbols and time. Out: `MarketFiles`, which says for each symbol where its
quotes, trades and warm-up bars are, and what is missing. What was named is dealt with in `named`.

In a folder that nobody named in full, a symbol counts if there is a Binance USD-M bookTicker file of it; then the
latest one is taken, with the trades (or else aggTrades) of the same days. Coin-margined recordings are left alone:
their quantities are contracts. Bars for warm-up are the symbol's one-minute bars, those that reach up to the recording
if there are any, else those of another day (`warmup` says how they are fitted).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.market import parquet
from engine.market.choice import EVERYTHING, Choice
from engine.market.errors import MarketDataError, MissingExtraError
from engine.market.files import MarketFile
from engine.market.kinds import Kind
from engine.market.named import named_market
from engine.market.names import FileName, days_of, is_market_file, parse_name
from engine.market.recordings import (
    DAY_MS,
    Found,
    MarketFiles,
    check_minutes,
    first_ms_of,
    fitting_bars,
    put_together,
    together,
)

_USD_MARGINED_VENUE = "binance-um"
_OTHER_MARKETS = {"cm", "spot", "option"}
"""Folders of Binance's archive, beside `um`."""


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


def market_files(explicit: Sequence[Path], folder: Path | None, choice: Choice = EVERYTHING) -> MarketFiles:
    """The market in the `explicit` files and folders if there are any, else in `folder`, else none.

    Raises `MarketError`: a file or folder that cannot be used or is not there, two recordings of one symbol, a symbol
    that was asked for and is not there. An empty market is no error where only `folder` was given.
    """
    if explicit:
        return named_market(explicit, choice)
    return MarketFiles(choice=choice) if folder is None else _of_folder(folder, choice)


def _of_folder(folder: Path, choice: Choice) -> MarketFiles:
    """For each symbol with a bookTicker file, the latest of these and what goes with it."""
    by_symbol: dict[str, dict[Path, FileName]] = defaultdict(dict)
    for path in sorted(folder.rglob("*")):
        name = parse_name(path) if is_market_file(path) else None
        if (
            name is not None
            and choice.has(name.symbol)
            and not _OTHER_MARKETS.intersection(path.relative_to(folder).parts)
        ):
            by_symbol[name.symbol][path] = name
    found = (_latest_recording(symbol, names, choice) for symbol, names in sorted(by_symbol.items()))
    return together((of for of in found if of is not None), choice)


def _latest_recording(symbol: str, names: Mapping[Path, FileName], choice: Choice) -> Found | None:
    """The latest bookTicker file of a symbol, the trades of the same days, and the bars that suit best."""
    spans = {name.span for path, name in names.items() if name.content == "bookTicker" and _is_in(path, choice)}
    if not spans:
        return None
    span = max(spans)

    def files(kind: Kind, content: str, span: str | None) -> list[MarketFile]:
        return [
            MarketFile(path, kind, symbol)
            for path, name in names.items()
            if name.content == content and span in {None, name.span}
        ]

    quotes = files("quotes", "bookTicker", span)[0]
    trades = (files("trades", "trades", span) or files("trades", "aggTrades", span))[:1]
    recorded = [file for file in files("bars", "", None) if names[file.path].venue == _USD_MARGINED_VENUE]
    bars = files("bars", "1m", None)
    unread: list[str] = []
    if parquet.is_readable():
        bars += recorded
    else:
        needs = [MissingExtraError("replay", f"reading `{file.path.name}`") for file in recorded]
        unread = [f"{symbol}: {error.message}: {error.help}" for error in needs]
    first_ms = first_ms_of(quotes)
    if first_ms is None:
        raise MarketDataError(quotes.path, None, "holds no rows", "leave the file out")
    starts_ms = max(first_ms, choice.from_ms or 0)
    best = fitting_bars(bars, starts_ms)
    for file in best:
        check_minutes(file)
    found = put_together(
        symbol, [quotes.path], [file.path for file in trades], best, starts_ms=starts_ms, choice=choice
    )
    return Found(found.files, (*found.notes, *unread))


def _is_in(path: Path, choice: Choice) -> bool:
    """Whether the days in a file's name may have something of the span; they may begin and end some minutes beyond."""
    days = days_of(path)
    return days is None or choice.overlaps(days[0] - DAY_MS, days[1] + DAY_MS)
