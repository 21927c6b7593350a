"""What can be wrong with market data, and a missing extra: the errors this package raises on purpose."""

from __future__ import annotations

from pathlib import Path


class MarketError(Exception):
    """Base of the errors of market data: `message` says what is wrong, `help` what to do about it."""

    def __init__(self, message: str, help: str, place: str = "") -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{place}: {message}\n  {help}" if place else f"{message}\n  {help}")
        self.message = message
        self.help = help


class MarketDataError(MarketError):
    """A file of market data cannot be used: where, what, and how to fix it.

    `line` is 1-based and counts the header; in a Parquet file it is the row. It is None where the whole file is meant.
    """

    def __init__(self, path: Path, line: int | None, message: str, help: str) -> None:  # noqa: A002 - as in the base
        super().__init__(message, help, place=str(path) if line is None else f"{path}:{line}")
        self.path = path
        self.line = line


class MissingExtraError(MarketError):
    """Something asked for needs an optional part of Sluice that is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the extra `{extra}`, which is not installed",
            f"pip install 'sluice-router[{extra}]'",
        )
        self.extra = extra


def late_row(path: Path, line: int, ts_ms: int, previous_ms: int) -> MarketDataError:
    """The error for a row whose time lies before the row above it, or, of bars, before that one's close."""
    return MarketDataError(
        path, line, f"time {ts_ms} goes back by {previous_ms - ts_ms} ms", "sort the file by its time column"
    )


def shown(text: str, longest: int = 40) -> str:
    """Foreign text as an error may print it: short, and without control characters."""
    return text[:longest].encode("unicode_escape").decode()
