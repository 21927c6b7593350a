"""What can go wrong with a journal: a place that is broken, and a disk that takes nothing more."""

from __future__ import annotations

from pathlib import Path


class JournalError(Exception):
    """A journal cannot be used as it is: where, what, and what to do about it.

    `line` is 1-based; it is None where the whole file or folder is meant.
    """

    def __init__(self, path: Path, line: int | None, message: str, help: str) -> None:  # noqa: A002 - findings call it help as well
        place = str(path) if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {message}\n  {help}")
        self.path = path
        self.line = line
        self.message = message
        self.help = help


class JournalUnwritableError(JournalError):
    """The disk is full or broken: what was added waits in memory, and nothing that relies on it may happen."""
