"""Where a session's market comes from: files that were named, a folder of recordings, or a seed.

In: what a user asked for. Out: a `MarketSource`, which is the feed and what a reader of results should know about it.

Where nothing was asked for, the default folder may hold recordings of several years. A session over all of them would
be none that ever was: it takes the latest one, and the other symbols that were recorded on the same days.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.language.spelling import did_you_mean
from engine.market import (
    Choice,
    Feed,
    MarketDataError,
    MarketError,
    MarketFiles,
    MarketShape,
    data_dir,
    generated_feed,
    market_files,
    recorded_feed,
)
from engine.market.choice import EVERYTHING
from engine.market.ends import ends_ms
from engine.market.names import days_of
from engine.market.recordings import SymbolFiles
from engine.routing.facts import BarsOf
from engine.routing.shape import SessionShape


@dataclass(frozen=True, slots=True)
class MarketSource:
    """A market to run over."""

    feed: Feed
    files: MarketFiles
    """Empty where the market is generated."""
    notes: tuple[str, ...]
    """What a reader of results should know, one line each."""
    ends_ms: int | None = None
    """When it is over; None where only a replay would tell."""

    @property
    def is_recorded(self) -> bool:
        """Whether quotes and trades come from files."""
        return bool(self.files.symbols)

    def bars_of(self, symbol: str) -> BarsOf:
        """What to make bars of: prints, but for a recorded symbol that comes without any."""
        return "mids" if any(of.symbol == symbol and not of.trades for of in self.files.symbols) else "prints"


def open_market(
    shape: SessionShape,
    explicit: Sequence[Path] = (),
    folder: Path | None = None,
    *,
    generated: bool = False,
    choice: Choice = EVERYTHING,
    environment: Mapping[str, str] = os.environ,
) -> MarketSource:
    """Open the files named, else the recordings in `folder`, else those in the default folder, else a generated market.

    `choice` says which symbols and which span, of a generated market which symbols. `generated` asks for one at once. A
    folder that was named, be it in `$SLUICE_DATA`, must hold a recording; the one beside the checkout may lie there for
    other reasons. Whatever was chosen must be there.

    Raises:
        MarketError: for a choice that nothing fits.
        MarketDataError: for files and folders that cannot be used.
        MissingExtraError: for Parquet files without what reads them.

    """
    if generated:
        return _generated(shape, choice)
    if explicit:
        return _recorded(shape, market_files(explicit, None, choice))
    named = folder is not None or bool(environment.get("SLUICE_DATA"))
    where = folder if folder is not None else data_dir(environment)
    if where is None:
        return _generated(shape, choice)
    files = market_files((), where, choice)
    if files.symbols:
        _check_symbols(choice, [of.symbol for of in files.symbols], str(where))
        return _recorded(shape, _of_the_same_days(files) if folder is None and choice == EVERYTHING else files)
    if named or choice != EVERYTHING:
        wanted = f" of {', '.join(choice.symbols)}" if choice.symbols else ""
        span = f" {choice}" if choice.has_span else ""
        raise MarketDataError(
            where,
            None,
            f"holds no bookTicker recording{wanted}{span}",
            "name files, another folder, or run with --generated",
        )
    return _generated(shape, choice, f"{where} holds no bookTicker recording")


def _recorded(shape: SessionShape, files: MarketFiles) -> MarketSource:
    feed = recorded_feed(files, shape.warm_up_bars)
    return MarketSource(feed, files, feed.notes, ends_ms(files))


def _generated(shape: SessionShape, choice: Choice, *notes: str) -> MarketSource:
    if choice.has_span:
        raise MarketError("a generated market is asked for by its seed, not by a span", "leave out --from and --to")
    whole = MarketShape(seed=shape.seed, warm_up_bars=shape.warm_up_bars, duration_s=shape.generated_s)
    _check_symbols(choice, [of.symbol for of in whole.symbols], "the generated market")
    made = replace(whole, symbols=tuple(of for of in whole.symbols if choice.has(of.symbol)))
    feed = generated_feed(made)
    ends = None if made.duration_s is None else made.start_ms + round(made.duration_s * 1000)
    return MarketSource(feed, MarketFiles(), (*notes, *feed.notes), ends)


def _check_symbols(choice: Choice, known: Collection[str], where: str) -> None:
    for symbol in choice.symbols:
        if symbol not in known:
            help_text = did_you_mean(symbol, known, f"there are {', '.join(known)}")
            raise MarketError(f"{where} has no symbol `{symbol}`", help_text)


def _of_the_same_days(files: MarketFiles) -> MarketFiles:
    """The symbols recorded on the days of the latest recording; a note names the others."""
    spans = {of.symbol: _days(of) for of in files.symbols}
    first_ms, last_ms = max(spans.values(), key=lambda days: days[1])
    kept = tuple(of for of in files.symbols if spans[of.symbol][0] < last_ms and spans[of.symbol][1] > first_ms)
    names = {of.symbol for of in kept}
    others = [of.symbol for of in files.symbols if of.symbol not in names]
    notes = [note for note in files.notes if note.partition(":")[0] not in others]
    if others:
        notes.append(f"recorded on other days, so left out: {', '.join(others)}; --symbols takes them")
    return replace(files, symbols=kept, notes=tuple(notes))


def _days(of: SymbolFiles) -> tuple[int, int]:
    """The days of a recording; all days where its name does not say."""
    days = [found for path in of.quotes if (found := days_of(path)) is not None]
    return (min(start for start, _ in days), max(end for _, end in days)) if days else (0, 1 << 62)
