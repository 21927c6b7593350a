"""What the name of a market-data file says: the symbol, what is in it, the venue, and the days it spans.

Three conventions are read. Binance archives: `BTCUSDT-bookTicker-2024-08-08.csv.gz`, `LINKUSDT-1m-2026-02.zip`; their
venue is in the folders above (`um`, `cm`, `spot`). Recordings in Parquet: `binance-um_BTCUSDT_202505.parquet`,
`binance-um_BTCUSDT_20260216T0400_quotes.parquet`. Raw messages: `usdm_….jsonl.gz`, `coinm_….jsonl.gz`, whose lines
name the symbols.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.market.errors import MarketDataError

_ARCHIVE = re.compile(
    r"(?P<symbol>[^-]+)-(?P<content>bookTicker|trades|aggTrades|\d+(?:s|m|h|d|w|mo))(?:-(?P<span>\d[^.]*))?\..+"
)
_RECORDING = re.compile(
    r"(?P<venue>[^_]+)_(?P<symbol>.+)_(?P<span>\d{6,8}[^_.]*(?:_windows)?)(?:_(?P<content>[a-z]+))?\.parquet"
)
_ROWS_SUFFIXES = (".csv", ".csv.gz", ".zip")
_MESSAGES_SUFFIXES = (".jsonl", ".jsonl.gz")

_VENUE_FOLDERS = {"um": "binance-um", "cm": "binance-cm", "spot": "binance-spot", "option": "binance-option"}
"""Folders of Binance's archive."""
_VENUE_PREFIXES = {"usdm": "binance-um", "coinm": "binance-cm", "spot": "binance-spot"}
"""First words of the names of raw recordings."""

_DAY = re.compile(r"(?<!\d)(\d{4})-(\d\d)(?:-(\d\d))?(?!\d)")
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class FileName:
    """The parts of a name; `content` is the archive's word (`bookTicker`, `1m`) or the recording's (`quotes`, ``)."""

    symbol: str
    content: str
    span: str
    venue: str = ""


def parse_name(path: Path) -> FileName | None:
    """The parts of the file's name, or None where it follows neither convention of names with a symbol.

    >>> parse_name(Path("um/BTCUSDT-bookTicker-2024-08-08.csv.gz"))
    FileName(symbol='BTCUSDT', content='bookTicker', span='2024-08-08', venue='')
    >>> parse_name(Path("binance-cm_BTCUSD_PERP_20221213_quotes.parquet"))
    FileName(symbol='BTCUSD_PERP', content='quotes', span='20221213', venue='binance-cm')
    """
    match = _ARCHIVE.fullmatch(path.name) or _RECORDING.fullmatch(path.name)
    if match is None:
        return None
    return FileName(**{part: text or "" for part, text in match.groupdict().items()})


def symbol_of(path: Path) -> str:
    """The symbol in a file's name; a `MarketDataError` where the name follows no convention."""
    name = parse_name(path)
    if name is None:
        raise MarketDataError(
            path, None, "the name does not say which symbol", "name it like `BTCUSDT-bookTicker-2024-08-08.csv.gz`"
        )
    return name.symbol


def venue_of(path: Path) -> str:
    """The venue that a file's name or its folders say, empty where they say none.

    >>> venue_of(Path("data/cm/trades/BTCUSD_PERP-trades-2024-08-08.csv.gz"))
    'binance-cm'
    """
    if path.name.endswith(_MESSAGES_SUFFIXES):
        return _VENUE_PREFIXES.get(path.name.partition("_")[0], "")
    name = parse_name(path)
    if name is not None and name.venue:
        return name.venue
    return next((_VENUE_FOLDERS[part] for part in reversed(path.parts[:-1]) if part in _VENUE_FOLDERS), "")


def days_of(path: Path) -> tuple[int, int] | None:
    """The days in an archive's name: from the start of the first to the end of the last, in ms; None where it has none.

    >>> days_of(Path("LINKUSDT-1m-2026-02.csv.gz")) == (1769904000000, 1772323200000)
    True
    """
    name = parse_name(path)
    found = [_days(*match.groups()) for match in _DAY.finditer(name.span)] if name is not None else []
    known = [days for days in found if days is not None]
    return (min(start for start, _ in known), max(end for _, end in known)) if known else None


def is_rows_file(path: Path) -> bool:
    """Whether the file has a suffix of comma-separated rows."""
    return path.name.endswith(_ROWS_SUFFIXES)


def is_messages_file(path: Path) -> bool:
    """Whether the file has a suffix of raw messages, one a line."""
    return path.name.endswith(_MESSAGES_SUFFIXES)


def is_parquet_file(path: Path) -> bool:
    """Whether the file has the suffix of Parquet."""
    return path.name.endswith(".parquet")


def is_market_file(path: Path) -> bool:
    """Whether the file has a suffix that can be read here."""
    return is_rows_file(path) or is_parquet_file(path) or is_messages_file(path)


def _days(year: str, month: str, day: str | None) -> tuple[int, int] | None:
    try:
        if day is None:
            start = datetime(int(year), int(month), 1, tzinfo=UTC)
            days = monthrange(int(year), int(month))[1]
        else:
            start = datetime(int(year), int(month), int(day), tzinfo=UTC)
            days = 1
    except ValueError:  # digits that are no day
        return None
    start_ms = int(start.timestamp()) * 1000
    return start_ms, start_ms + days * _DAY_MS
