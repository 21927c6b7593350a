"""Which files a journal consists of, and their lines from the end.

logs/journal/2024-08-08.jsonl               the lines of a UTC day
logs/journal/2024-08-08.torn                what was cut off behind the last whole line after a crash
logs/journal/archive/2024-05-01.jsonl.gz    a day that was archived
logs/journal/writer.lock                    held by the one process that writes
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

DAY_MS = 86_400_000

ARCHIVE = "archive"
"""The folder of archived days, inside the journal's."""

BLOCK_BYTES = 1 << 20
"""How much is read at once."""

_EPOCH = date(1970, 1, 1)
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl(\.gz)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class DayFile:
    """The lines of a day."""

    day: date
    path: Path
    is_archived: bool = False

    def open(self) -> BinaryIO:
        """Open it for reading from its beginning; one that was archived meanwhile is read from there."""
        path = self.path
        if not self.is_archived:
            try:
                return path.open("rb", buffering=BLOCK_BYTES)
            except FileNotFoundError:
                path = archived_path(path.parent, self.day)
                if not path.exists():
                    raise
        return _Unpacking(gzip.GzipFile(path), BLOCK_BYTES)

    def open_for_seeking(self) -> BinaryIO:
        """Open it for reading from anywhere; an archived day is unpacked into a file without a name."""
        stream = self.open()
        if not isinstance(stream, _Unpacking):
            return stream
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            with stream:
                shutil.copyfileobj(stream, unpacked, BLOCK_BYTES)
        except BaseException:
            unpacked.close()
            raise
        return unpacked


class _Unpacking(io.BufferedReader):
    """What is read from an archive; GzipFile's own way to read lines takes several times as long."""


def day_files(folder: Path, *, archived: bool) -> list[DayFile]:
    """The files of a journal in order of days; of a day that is there twice, the one that is not archived."""
    found = _listed(folder, is_archived=False)
    if archived:
        found = _listed(folder / ARCHIVE, is_archived=True) | found
    return [found[day] for day in sorted(found)]


def day_path(folder: Path, day: int) -> Path:
    """The file of a day, counted from 1970; `ValueError` where no calendar has it."""
    try:
        return folder / f"{_EPOCH + timedelta(days=day)}.jsonl"
    except OverflowError:
        raise ValueError(f"{day * DAY_MS} ms since 1970 lies in no year with four digits") from None


def archived_path(folder: Path, day: date) -> Path:
    """Where a day is archived."""
    return folder / ARCHIVE / f"{day}.jsonl.gz"


def days_since_1970(day: date) -> int:
    """The number of a day, as `day_path` takes it."""
    return (day - _EPOCH).days


def lines_backwards(stream: BinaryIO, block_bytes: int = 1 << 16) -> Iterator[tuple[int, bytes]]:
    """The lines of a file from its end, each with its offset and its newline; the first may have none."""
    position = stream.seek(0, os.SEEK_END)
    begun = b""  # the end of a line whose beginning was not read yet
    while position:
        step = min(max(block_bytes, len(begun)), position)  # grows with a long line, so that it is not copied for ever
        position -= step
        stream.seek(position)
        begun = stream.read(step) + begun
        end = len(begun)
        while start := begun.rfind(b"\n", 0, end - 1) + 1:
            yield position + start, begun[start:end]
            end = start
        begun = begun[:end]
    if begun:
        yield 0, begun


def _listed(folder: Path, *, is_archived: bool) -> dict[date, DayFile]:
    try:
        paths = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found: dict[date, DayFile] = {}
    for path in paths:
        match = _NAME.fullmatch(path.name)
        if match is None or bool(match[2]) is not is_archived:
            continue
        try:
            day = date.fromisoformat(match[1])
        except ValueError:
            continue  # 2024-13-45 is nobody's day
        found[day] = DayFile(day, path, is_archived)
    return found
