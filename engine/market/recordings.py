"""The recording of one symbol: its files put together, and the bars that warm up ATR for it.

In: the files of a symbol that were found to belong together. Out: `SymbolFiles`, and notes on what is missing. Which
files those are is for `discover` and `named`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from engine.market import parquet, raw
from engine.market.choice import EVERYTHING, Choice
from engine.market.errors import MarketDataError
from engine.market.events import MINUTE_MS, Bar, minute_of
from engine.market.files import MarketFile, bar_blocks, event_blocks, last_bars
from engine.market.names import days_of, is_parquet_file

Layout: TypeAlias = Literal["rows", "minutes", "messages"]
"""How a symbol is recorded: quotes and trades in files of their own, bars of both, or raw messages."""

DAY_MS = 86_400_000

_LONGEST_WARM_UP_MS = 2 * DAY_MS  # more than any ATR looks back
_NEVER_MS = 1 << 62


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
    layout: Layout = "rows"
    """Of messages, `quotes` and `trades` are the same files, which may hold other symbols too."""


@dataclass(frozen=True, slots=True)
class Found:
    """The files of one symbol, and what is missing among them."""

    files: SymbolFiles
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarketFiles:
    """The files of a market by symbol, in order of the symbols' names; empty where there are none."""

    symbols: tuple[SymbolFiles, ...] = ()
    notes: tuple[str, ...] = ()
    """What is missing, one line each."""
    choice: Choice = EVERYTHING
    """What was asked for; the files may hold more."""


def together(found: Iterable[Found], choice: Choice) -> MarketFiles:
    """The market of these symbols."""
    symbols = tuple(found)
    return MarketFiles(tuple(of.files for of in symbols), tuple(note for of in symbols for note in of.notes), choice)


def put_together(
    symbol: str,
    quotes: Sequence[Path],
    trades: Sequence[Path],
    bars: Sequence[MarketFile],
    *,
    starts_ms: int,
    choice: Choice,
    layout: Layout = "rows",
) -> Found:
    """A recording that starts at `starts_ms`, and the bars to begin it with."""
    minute_ms = minute_of(starts_ms)
    other_day = bool(bars) and not any(ends_before(file, minute_ms) == minute_ms for file in bars)
    missing = [
        (not quotes, f"{symbol}: no quotes, so there is no book"),
        (not trades, f"{symbol}: no trades"),
        (not bars and choice.from_ms is None, no_bars(symbol)),  # a recording may have bars of its own before a time
    ]
    return Found(
        SymbolFiles(symbol, tuple(quotes), tuple(trades), tuple(file.path for file in bars), other_day, layout),
        tuple(note for is_missing, note in missing if is_missing),
    )


def no_bars(symbol: str) -> str:
    """The note on a symbol without bars before it."""
    return f"{symbol}: no one-minute bars, ATR is missing until enough minutes have passed"


def first_ms_of(file: MarketFile) -> int | None:
    """The time of a file's first event; None where it has none. Raises `MarketDataError`."""
    if file.kind == "messages":
        return raw.first_ms(file.path)
    return next((block[0].ts_ms for block in event_blocks(file)), None)


def check_minutes(file: MarketFile) -> None:
    """Raise `MarketDataError` unless a file of bars has bars of a minute."""
    first = next((block[0] for block in bar_blocks(file.path, file.symbol)), None)
    if first is not None and first.ts_ms - first.open_time_ms != MINUTE_MS:
        raise MarketDataError(
            file.path, 2, "bars that are not one minute long", "give 1m klines: ATR is taken over minutes"
        )


def only_bars(file: MarketFile) -> MarketDataError:
    """The error for bars that nothing goes with."""
    return MarketDataError(file.path, None, f"only bars of {file.symbol}", "give quotes or trades of it as well")


def fitting_bars(files: Sequence[MarketFile], starts_ms: int) -> list[MarketFile]:
    """Of files of bars, in order of time: those with the last minutes before a time, else the last of all, else none.

    Several files where one goes on where the other ends, as those of days do.
    """
    minute_ms = minute_of(starts_ms)
    best, best_ms = None, 0
    for file in sorted(files, key=_latest_end, reverse=True):
        if _latest_end(file) <= best_ms:
            break
        ends_ms = ends_before(file, minute_ms)
        if ends_ms is not None and ends_ms > best_ms:
            best, best_ms = file, ends_ms
    if best is None:
        return list(files[-1:])
    chain = [best]
    while (begins_ms := _begins(chain[0])) > minute_ms - _LONGEST_WARM_UP_MS:
        prior = next(
            (
                file
                for file in files
                if file not in chain and _latest_end(file) >= begins_ms and ends_before(file, begins_ms) == begins_ms
            ),
            None,
        )
        if prior is None:
            break
        chain.insert(0, prior)
    return chain


def ends_before(file: MarketFile, before_ms: int) -> int | None:
    """When the last bar of a file that closes before a time ends; None where all close later."""
    if is_parquet_file(file.path):
        within = parquet.bounds(file.path, file.kind, None, before_ms - MINUTE_MS + 1)
        return None if within is None else within[1] + MINUTE_MS
    bars = last_bars(file.path, file.symbol, before_ms, 1)
    return bars[-1].ts_ms if bars else None


def bars_before(files: SymbolFiles, starts_ms: int, count: int) -> list[Bar]:
    """The last `count` bars of a symbol's files before the minute of a time, else the last of all; fewer are fine.

    Where several files serve, their bars follow each other without a hole.
    """
    minute_ms = minute_of(starts_ms)
    found = [last_bars(path, files.symbol, minute_ms, count) for path in files.bars]
    pieces = [bars for bars in found if bars]
    if not pieces:
        return last_bars(files.bars[-1], files.symbol, None, count) if files.bars else []
    taken = max(pieces, key=lambda bars: bars[-1].ts_ms)
    while len(taken) < count:
        begins_ms = taken[0].open_time_ms
        earlier = ([bar for bar in bars if bar.ts_ms <= begins_ms] for bars in pieces)
        prior = next((bars for bars in earlier if bars and bars[-1].ts_ms == begins_ms), None)
        if prior is None:
            break
        taken = prior + taken
    return taken[-count:]


def _latest_end(file: MarketFile) -> int:
    """No bar of the file ends after this, by the days in its name."""
    days = None if is_parquet_file(file.path) else days_of(file.path)
    return _NEVER_MS if days is None else days[1]


def _begins(file: MarketFile) -> int:
    """When the first bar of a file opens."""
    if is_parquet_file(file.path):
        within = parquet.bounds(file.path, file.kind)
        return 0 if within is None else within[0]
    return next((block[0].open_time_ms for block in bar_blocks(file.path, file.symbol)), 0)
