"""Comma-separated rows out of `.csv`, `.csv.gz` and `.zip` files, one at a time, in little memory.

In: a path. Out: `(line number, fields)` for each line that is not empty. What is damaged (a truncated gzip stream, a
bad checksum, an archive of several files, bytes that are no text) is a `MarketDataError` with the line it was met at.

Rows are split at commas and nothing else: the venues quote no fields.
"""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, cast

from engine.market.errors import MarketDataError

_BLOCK_BYTES = 1 << 16
_LONGEST_LINE = 1 << 16  # no layout comes near; without a limit, a file without line breaks would fill the memory

_DAMAGE = (
    OSError,
    EOFError,
    UnicodeDecodeError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,  # a way of compressing that Python lacks
    RuntimeError,  # an encrypted archive
)
"""All that reading from a plain, gzip or zip file raises on bad content."""


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def read_rows(path: Path, *, skip_lines: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yield each line as its 1-based number and its fields, leaving out empty lines and the first `skip_lines`.

    A field with an underscore in it is refused: Python would read `61_800` as a number, the venue never writes it.
    Raises `MarketDataError`.
    """
    number = 0
    tail = ""
    with _opened(path) as stream:
        while True:
            try:
                # read1: what can still be decoded before a damaged place is delivered, so the line number is right.
                block = stream.read1(_BLOCK_BYTES).decode("ascii")
            except _DAMAGE as error:
                raise _damaged(path, number + 1, error) from error
            text = tail + block
            if "\r" in text:
                text = text.replace("\r\n", "\n")
            lines = text.split("\n")
            tail = lines.pop() if block else ""
            if len(tail) > _LONGEST_LINE:
                raise MarketDataError(
                    path, number + 1, "the line does not end", "is this a file of comma-separated rows?"
                )
            for line in lines:
                number += 1
                if not line or number <= skip_lines:
                    continue
                fields = line.split(",")
                if "_" in line:
                    raise not_a_number(path, number, next(field for field in fields if "_" in field))
                yield number, fields
            if not block:
                return


def first_rows(path: Path, count: int) -> list[list[str]]:
    """The fields of the first `count` lines, fewer in a shorter file. Raises `MarketDataError`, also for no text."""
    text = ""
    with _opened(path) as stream:
        while text.count("\n") < count and len(text) <= _LONGEST_LINE:
            try:
                block = stream.read1(_BLOCK_BYTES).decode("ascii")
            except _DAMAGE as error:
                raise _damaged(path, 1 + text.count("\n"), error) from error
            if not block:
                break
            text += block
    lines = text.replace("\r\n", "\n").split("\n")[:count]
    if not lines[0]:
        raise MarketDataError(path, 1, "the first line is empty", "expected a header or a row of market data")
    return [line.split(",") for line in lines if line]


def not_a_number(path: Path, line: int, field: str) -> MarketDataError:
    """The error for a field that should be a number, but is not."""
    return MarketDataError(
        path, line, f"`{shown(field)}` is not a number", "restore the row from the venue's archive, or remove it"
    )


def shown(text: str, longest: int = 40) -> str:
    """Foreign text as an error may print it: short, and without control characters."""
    return text[:longest].encode("unicode_escape").decode()


@contextmanager
def _opened(path: Path) -> Iterator[_Readable]:
    """The file's bytes, decompressed; what goes wrong while opening is a `MarketDataError`."""
    with ExitStack() as stack:
        try:
            stream = _open(path, stack)
        except _DAMAGE as error:
            raise _damaged(path, None, error) from error
        yield stream


def _open(path: Path, stack: ExitStack) -> _Readable:
    if path.name.endswith(".zip"):
        archive = stack.enter_context(zipfile.ZipFile(path))
        # Declared as any binary file, but it has read1 like the others.
        return cast("_Readable", stack.enter_context(archive.open(_only_member(path, archive))))
    if path.name.endswith(".gz"):
        return stack.enter_context(gzip.GzipFile(path))
    return stack.enter_context(path.open("rb"))


def _only_member(path: Path, archive: zipfile.ZipFile) -> str:
    members = [name for name in archive.namelist() if not name.endswith("/")]
    if len(members) != 1:
        raise MarketDataError(
            path,
            None,
            f"the archive holds {len(members)} files",
            "an archive of market data holds exactly one csv file",
        )
    return members[0]


def _damaged(path: Path, line: int | None, error: Exception) -> MarketDataError:
    match error:
        case UnicodeDecodeError():
            return MarketDataError(
                path, line, "bytes that are not ASCII text", "is the file compressed under another suffix?"
            )
        case FileNotFoundError():
            return MarketDataError(path, None, "no such file", "check the path")
        case EOFError():
            return MarketDataError(
                path, line, "the compressed file is truncated", "fetch it again; the lines before are fine"
            )
        case OSError() if error.strerror:
            return MarketDataError(
                path, line, f"cannot be read: {error.strerror.lower()}", "check the path and its permissions"
            )
        case _:
            return MarketDataError(
                path, line, f"the compressed file is damaged: {shown(str(error), 80)}", "fetch the file again"
            )
