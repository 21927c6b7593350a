"""When a recorded market is over, as far as that can be known without reading all of it: for a progress bar.

In: `MarketFiles`. Out: a time, or None where only a replay would tell. It promises nothing else: a file that is damaged
behind its last line, or cut off, shows when it is read.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from engine.market import parquet
from engine.market.binance import layout_of
from engine.market.errors import MarketError
from engine.market.kinds import Kind
from engine.market.names import is_parquet_file
from engine.market.recordings import MarketFiles, SymbolFiles
from engine.market.rows import read_chunks

_MOST_BYTES = 32 << 20  # of a file of rows, which has to be unpacked to its end: a second or so

_KINDS: dict[str, tuple[Kind, Kind]] = {"rows": ("quotes", "trades"), "minutes": ("quote_bars", "trade_bars")}


def ends_ms(files: MarketFiles) -> int | None:
    """The time of the last event, or the end of the span asked for if that is earlier; None where it is not known."""
    found = [_ends_ms(of) for of in files.symbols]
    known = [end_ms for end_ms in found if end_ms is not None]
    last_ms = max(known) if known and len(known) == len(found) else None
    times = [at_ms for at_ms in (last_ms, files.choice.to_ms) if at_ms is not None]
    return min(times, default=None)


def _ends_ms(of: SymbolFiles) -> int | None:
    """The last time in the files of a symbol."""
    if of.layout not in _KINDS:
        return None
    ends: list[int | None] = []
    for kind, paths in zip(_KINDS[of.layout], (of.quotes, of.trades), strict=True):
        ends += [_last_ms(path, kind) for path in paths[-1:]]  # they are in order of time
    return None if None in ends else max((end_ms for end_ms in ends if end_ms is not None), default=None)


def _last_ms(path: Path, kind: Kind) -> int | None:
    """The time of the last row of a file."""
    try:
        if is_parquet_file(path):
            within = parquet.bounds(path, kind)
            return None if within is None else within[1]
        if path.stat().st_size > _MOST_BYTES:
            return None
        layout = layout_of(path, kind)
        (chunk,) = deque(read_chunks(path), maxlen=1)
        row = chunk.text.rstrip(b"\n").rpartition(b"\n")[2].split(b",")
        return int(row[layout.columns["time"]]) // layout.time_divisor
    except (MarketError, ValueError, IndexError, OSError):
        return None
