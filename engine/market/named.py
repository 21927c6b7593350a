"""The market in files and folders that a user named, cut down to the symbols and the span that were asked for.

In: paths and a choice. Out: `MarketFiles`. A file that was named is used or refused, unless it has nothing of what was
asked for. A folder gives every file below it that says by its name (or, of raw messages, by its first line) that it is
market data; one-minute bars there warm up ATR if they are of the same venue.

A symbol must come from one venue and in one layout, and no two of its files may hold the same hours: recordings are
never mixed, the error says which they are.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

from engine.market import parquet, raw
from engine.market.choice import Choice
from engine.market.errors import MarketDataError, MarketError
from engine.market.events import MINUTE_MS
from engine.market.files import MarketFile, recognise
from engine.market.kinds import Kind
from engine.market.names import (
    FileName,
    days_of,
    is_market_file,
    is_messages_file,
    is_parquet_file,
    parse_name,
    venue_of,
)
from engine.market.recordings import (
    DAY_MS,
    Found,
    Layout,
    MarketFiles,
    check_minutes,
    first_ms_of,
    fitting_bars,
    only_bars,
    put_together,
    together,
)

_LAYOUTS: Mapping[Kind, Layout] = {
    "quotes": "rows",
    "trades": "rows",
    "quote_bars": "minutes",
    "trade_bars": "minutes",
    "messages": "messages",
}
_LASTS_MS: Mapping[Kind, int] = {"quote_bars": MINUTE_MS - 1, "trade_bars": MINUTE_MS - 1}
"""From the time of a row to its last event."""
_MOST_NAMES = 3  # of files in an error
_NEVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A file that may be part of a symbol's market."""

    file: MarketFile
    first_ms: int
    """The time of its first event; where that is cheap to know, of the first in the span asked for."""
    last_ms: int | None
    """The time of the last event in the span; None where only reading the file would tell."""
    named: bool
    """By itself, not by its folder."""
    streams: frozenset[str]
    """Of messages: `quotes`, `trades`, `bars`."""

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def name(self) -> FileName:
        return parse_name(self.path) or FileName("", "", "")


def named_market(explicit: Sequence[Path], choice: Choice) -> MarketFiles:
    """The market in these files and folders. Raises `MarketError`."""
    paths = dict.fromkeys(explicit)
    folders = [path for path in paths if path.is_dir()]
    files = [(path, True) for path in paths if path not in folders]
    below = [(path, False) for folder in folders for path in _below(folder, choice)]
    by_symbol: dict[str, dict[Path, _Candidate]] = defaultdict(dict)
    for path, named in (*files, *below):
        for candidate in _candidates(path, choice, named=named):
            by_symbol[candidate.file.symbol].setdefault(path.resolve(), candidate)
    found = (_of_symbol(symbol, tuple(of.values()), choice) for symbol, of in sorted(by_symbol.items()))
    market = together((of for of in found if of is not None), choice)
    missing = [symbol for symbol in choice.symbols if all(of.symbol != symbol for of in market.symbols)]
    if missing or not market.symbols:
        raise _nothing(explicit, missing, choice)
    return market


# --- which files -----------------------------------------------------------------------------------------------------


def _below(folder: Path, choice: Choice) -> Iterator[Path]:
    """The files of a folder that may be part of the market, by their names."""
    return (path for path in sorted(folder.rglob("*")) if is_market_file(path) and _may_serve(path, choice))


def _may_serve(path: Path, choice: Choice) -> bool:
    if is_messages_file(path):
        return raw.is_recording(path)
    name = parse_name(path)
    if name is None or not choice.has(name.symbol):
        return False
    if name.content[:1].isdigit():  # bars, of any time
        return name.content == "1m"
    days = days_of(path)
    # Recordings may begin and end some minutes beyond the days in their name.
    return days is None or choice.overlaps(days[0] - DAY_MS, days[1] + DAY_MS)


def _candidates(path: Path, choice: Choice, *, named: bool) -> Iterator[_Candidate]:
    """A file, once for each symbol in it that is asked for, if it may have something of the span."""
    if not path.exists():
        raise MarketDataError(path, None, "no such file or folder", "check the path")
    file = recognise(path)
    streams = raw.contents(path) if file.kind == "messages" else {file.symbol: frozenset({"quotes"})}
    symbols = [symbol for symbol, of in streams.items() if choice.has(symbol) and of & {"quotes", "trades"}]
    first_ms, last_ms = first_ms_of(file) if symbols else None, None
    if first_ms is None:
        if named and symbols:
            raise MarketDataError(path, None, "holds no rows", "leave the file out")
        return
    if file.kind != "bars":
        within = parquet.bounds(path, file.kind, choice.from_ms, choice.to_ms) if is_parquet_file(path) else None
        if within is not None:
            first_ms, last_ms = within[0], within[1] + _LASTS_MS.get(file.kind, 0)
        elif is_parquet_file(path) or not choice.overlaps(first_ms, _NEVER_MS):
            return
    for symbol in symbols:
        yield _Candidate(MarketFile(path, file.kind, symbol), first_ms, last_ms, named, streams[symbol])


# --- what goes together ----------------------------------------------------------------------------------------------


def _of_symbol(symbol: str, candidates: Iterable[_Candidate], choice: Choice) -> Found | None:
    """The recording of a symbol out of all files that may be part of it; None where folders hold only bars of it."""
    of: dict[Kind, list[_Candidate]] = defaultdict(list)
    for candidate in sorted(candidates, key=attrgetter("first_ms")):
        of[candidate.file.kind].append(candidate)
    if of["quotes"] or of["trades"] or of["messages"]:  # then the bars of prints are no more than bars
        of["bars"] += of.pop("trade_bars", [])
    ticks = [one for kind in _LAYOUTS for one in of[kind]]
    if not ticks:
        if any(one.named for one in of["bars"]):
            raise only_bars(of["bars"][0].file)
        return None
    _only(symbol, "in several layouts", ((one, _LAYOUTS[one.file.kind]) for one in ticks))
    venue = _only(symbol, "from several venues", ((one, venue_of(one.path)) for one in ticks))
    layout = _LAYOUTS[ticks[0].file.kind]
    of["trades"], notes = _without_doubles(symbol, of["trades"])
    for kind in _LAYOUTS:
        _check_apart(of[kind])
    if layout == "messages":
        files = [one.path for one in of["messages"]]
        quotes, trades = (
            files if any(what in one.streams for one in of["messages"]) else [] for what in ("quotes", "trades")
        )
    else:
        quotes = [one.path for one in of["quotes"] + of["quote_bars"]]
        trades = [one.path for one in of["trades"] + of["trade_bars"]]
    starts_ms = max(choice.from_ms or 0, min(one.first_ms for one in of["quotes"] or of["quote_bars"] or ticks))
    bars, foreign = _bars(of["bars"], venue, starts_ms)
    found = put_together(symbol, quotes, trades, bars, starts_ms=starts_ms, choice=choice, layout=layout)
    return Found(found.files, (*found.notes, *notes, *foreign))


def _bars(found: Sequence[_Candidate], venue: str, starts_ms: int) -> tuple[list[MarketFile], list[str]]:
    """The bars to warm up with: those that were named, else the best of the same venue in the folders.

    With a note on each that is of another venue.
    """
    named = [one.file for one in found if one.named]
    for file in named:
        check_minutes(file)
    foreign = [one for one in found if venue and venue_of(one.path) not in {"", venue}]
    same_venue = [one.file for one in found if one not in foreign]
    notes = [
        f"{one.file.symbol}: the bars in {one.path.name} are of {venue_of(one.path)}, not of {venue}"
        for one in foreign
        if one.named
    ]
    return named or fitting_bars(same_venue, starts_ms), notes


def _only(symbol: str, how: str, words: Iterable[tuple[_Candidate, str]]) -> str:
    """The one word said of all candidates, empty where nothing is said; `MarketError` where there are several."""
    by_word: dict[str, list[str]] = defaultdict(list)
    for candidate, word in words:
        if word:
            by_word[word].append(candidate.path.name)
    if len(by_word) > 1:
        said = ", ".join(f"{word} ({_listed(names)})" for word, names in sorted(by_word.items()))
        raise MarketError(
            f"{symbol} is recorded {how}: {said}",
            "recordings are not mixed: name the files of one, or a folder that has one, or narrow the span",
        )
    return next(iter(by_word), "")


def _without_doubles(symbol: str, trades: Sequence[_Candidate]) -> tuple[list[_Candidate], tuple[str, ...]]:
    """Of trades and aggregate trades of the same days in a folder, the trades: they are the same prints."""
    spans = {one.name.span for one in trades if one.name.content == "trades"}
    doubles = [one for one in trades if one.name.content == "aggTrades" and one.name.span in spans and not one.named]
    notes = (f"{symbol}: {_listed([one.path.name for one in doubles])} left out, there are trades of the same days",)
    return [one for one in trades if one not in doubles], notes if doubles else ()


def _check_apart(candidates: Sequence[_Candidate]) -> None:
    """Raise `MarketError` where two files of a kind hold the same hours, as far as that can be told without reading."""
    for earlier, later in pairwise(candidates):
        same_days = earlier.name.span != "" and earlier.name.span == later.name.span
        if (earlier.last_ms is not None and later.first_ms < earlier.last_ms) or same_days:
            raise MarketError(
                f"{earlier.path} and {later.path} both hold {earlier.file.kind.replace('_', ' ')} of "
                f"{earlier.file.symbol}, and their times overlap",
                "recordings are not mixed: name one of them, or narrow the span",
            )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _nothing(explicit: Sequence[Path], missing: Sequence[str], choice: Choice) -> MarketDataError:
    """The error for paths that have nothing of what was asked for."""
    what = f"quotes or trades of {', '.join(missing)}" if missing else "quotes or trades"
    where = explicit[0] if len(explicit) == 1 else Path(os.path.commonpath([path.absolute() for path in explicit]))
    return MarketDataError(
        where, None, f"no {what} {choice}".rstrip(), "name files or folders that have them, or ask for less"
    )
