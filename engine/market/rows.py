"""Lines out of plain, `.gz` and `.zip` files, some at a time, in little memory.

In: a path. Out: whole lines in chunks of about 64 KB, each with the number of its first line. What is damaged (a
truncated gzip stream, a bad checksum, an archive of several files) is a `MarketDataError` with the line it was met at,
raised after all lines before it have been handed out.

Chunks and not lines, because a reader that looks at a thousand rows at once needs a third of the time for each.
"""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from engine.market.errors import MarketDataError, shown

_BLOCK_BYTES = 1 << 16
_LONGEST_LINE = 1 << 16  # no layout comes near; without a limit, a file without line breaks would fill the memory

_DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,  # a way of compressing that Python lacks
    RuntimeError,  # an encrypted archive
)
"""All that reading from a plain, gzip or zip file raises on bad content."""


class Chunk(NamedTuple):
    """Some lines that follow each other in a file, without the break at the end of the last."""

    first_line: int
    """1-based number of the first of them in the file."""
    text: bytes
    """Line breaks are single line feeds."""


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def read_chunks(path: Path, *, skip_lines: int = 0) -> Iterator[Chunk]:
    """Yield the lines of a file without the first `skip_lines`, in chunks. Raises `MarketDataError`."""
    line = 1
    tail = b""
    with _opened(path) as stream:
        while True:
            try:
                # read1: what can still be decoded before a damaged place is delivered, so the line number is right.
                block = stream.read1(_BLOCK_BYTES)
            except _DAMAGE as error:
                raise _damaged(path, line, error) from error
            lines, found, tail = (tail + block).rpartition(b"\n") if block else (tail, b"", b"")
            if len(tail) > _LONGEST_LINE:
                raise MarketDataError(path, line, "the line does not end", "is this a file of market data?")
            if found or lines:
                text = lines.removesuffix(b"\r").replace(b"\r\n", b"\n") if b"\r" in lines else lines
                chunk = _without_lines(Chunk(line, text), skip_lines - line + 1)
                line += lines.count(b"\n") + 1
                if chunk is not None:
                    yield chunk
            if not block:
                return


def first_lines(path: Path, count: int) -> list[bytes]:
    """The first `count` lines, fewer in a shorter file. Raises `MarketDataError`, also where the first is empty."""
    lines: list[bytes] = []
    for chunk in read_chunks(path):
        lines += chunk.text.split(b"\n")
        if len(lines) >= count:
            break
    if not lines or not lines[0]:
        raise MarketDataError(path, 1, "the first line is empty", "expected a header or a row of market data")
    return lines[:count]


def not_a_number(path: Path, line: int, field: str) -> MarketDataError:
    """The error for a field that should be a number, but is not."""
    return MarketDataError(
        path, line, f"`{shown(field)}` is not a number", "restore the row from the venue's archive, or remove it"
    )


def _without_lines(chunk: Chunk, count: int) -> Chunk | None:
    """The chunk without its first `count` lines, None where it has no more."""
    if count <= 0:
        return chunk
    lines = chunk.text.split(b"\n")
    return Chunk(chunk.first_line + count, b"\n".join(lines[count:])) if count < len(lines) else None


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
