"""What the name of a market-data file says: the symbol, what is in it, and the days it spans.

Two conventions are read. Binance archives: `BTCUSDT-bookTicker-2024-08-08.csv.gz`, `LINKUSDT-1m-2026-02.zip`.
Recordings in Parquet: `binance-um_BTCUSDT_20260216T0400_quotes.parquet`, `binance-um_BTCUSDT_202505.parquet`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ARCHIVE = re.compile(
    r"(?P<symbol>[^-]+)-(?P<content>bookTicker|trades|aggTrades|\d+(?:s|m|h|d|w|mo))(?:-(?P<span>\d[^.]*))?\..+"
)
_RECORDING = re.compile(
    r"(?P<venue>[^_]+)_(?P<symbol>.+)_(?P<span>\d{6,8}[^_.]*(?:_windows)?)(?:_(?P<content>[a-z]+))?\.parquet"
)
_SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet")


@dataclass(frozen=True, slots=True)
class FileName:
    """The parts of a name; `content` is the archive's word (`bookTicker`, `1m`) or the recording's (`quotes`, ``)."""

    symbol: str
    content: str
    span: str
    venue: str = ""


def parse_name(path: Path) -> FileName | None:
    """The parts of the file's name, or None where it follows neither convention.

    >>> parse_name(Path("um/BTCUSDT-bookTicker-2024-08-08.csv.gz"))
    FileName(symbol='BTCUSDT', content='bookTicker', span='2024-08-08', venue='')
    >>> parse_name(Path("binance-cm_BTCUSD_PERP_20221213_quotes.parquet"))
    FileName(symbol='BTCUSD_PERP', content='quotes', span='20221213', venue='binance-cm')
    """
    match = _ARCHIVE.fullmatch(path.name) or _RECORDING.fullmatch(path.name)
    if match is None:
        return None
    return FileName(**{part: text or "" for part, text in match.groupdict().items()})


def is_market_file(path: Path) -> bool:
    """Whether the file has a suffix that can be read here."""
    return path.name.endswith(_SUFFIXES)
