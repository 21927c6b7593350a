"""Where a session's market comes from: files that were named, a folder of recordings, or a seed.

In: what a user asked for. Out: a `MarketSource`, which is the feed and what a reader of results should know about it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.market import (
    Feed,
    MarketDataError,
    MarketFiles,
    MarketShape,
    data_dir,
    generated_feed,
    market_files,
    recorded_feed,
)
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
    environment: Mapping[str, str] = os.environ,
) -> MarketSource:
    """Open the files named, else the recordings in `folder`, else those in the default folder, else a generated market.

    `generated` asks for the last at once. A folder that was named, be it in `$SLUICE_DATA`, must hold a recording; the
    one beside the checkout may lie there for other reasons.

    Raises:
        MarketDataError: for files and folders that cannot be used.
        MissingExtraError: for Parquet files without what reads them.

    """
    if generated:
        return _generated(shape)
    if explicit:
        return _recorded(shape, market_files(explicit, None))
    named = folder is not None or bool(environment.get("SLUICE_DATA"))
    where = folder if folder is not None else data_dir(environment)
    if where is None:
        return _generated(shape)
    files = market_files((), where)
    if files.symbols:
        return _recorded(shape, files)
    if named:
        raise MarketDataError(
            where, None, "holds no bookTicker recording", "name files, another folder, or run with --generated"
        )
    return _generated(shape, f"{where} holds no bookTicker recording")


def _recorded(shape: SessionShape, files: MarketFiles) -> MarketSource:
    feed = recorded_feed(files, shape.warm_up_bars)
    return MarketSource(feed, files, feed.notes)


def _generated(shape: SessionShape, *notes: str) -> MarketSource:
    feed = generated_feed(MarketShape(seed=shape.seed, warm_up_bars=shape.warm_up_bars))
    return MarketSource(feed, MarketFiles(), (*notes, *feed.notes))
