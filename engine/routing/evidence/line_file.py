"""A file of JSON lines that is a view of a journal: each line bears the `seq` of the event that it was made of.

In: lines with their numbers. Out: a file that only grows. Opening it cuts off a torn last line and lines beyond the
journal's end; a line whose number is there already is not written again. A failed write leaves the file as it was, and
the lines waiting.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from pathlib import Path

import msgspec

from engine.journal.folder import lines_backwards

MOST_WAITING = 100_000
"""Lines that wait for a disk; beyond them the file is left as it is until it is opened anew, and what is missing seen
again."""


class BehindError(Exception):
    """Too many lines wait: the file lacks some, and takes none any more."""


class _Numbered(msgspec.Struct):
    seq: int = 0


class LineFile:
    """One such file. `add` and `write` may run in different threads.

    `last_seq` is where the journal ends as it is opened.
    """

    def __init__(self, path: Path, last_seq: int) -> None:
        self.path = path
        self._limit: int | None = last_seq
        self._done = 0
        self._end: int | None = None
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._is_behind = False
        with contextlib.suppress(OSError):  # the first write says so
            self._open()

    def wants(self, seq: int) -> bool:
        """Whether the line of an event is missing, as far as is known."""
        return seq > self._done and not self._is_behind

    def add(self, seq: int, line: bytes) -> None:
        """Take a line, without its newline."""
        if not self.wants(seq):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._is_behind = True
            self._waiting.clear()
            return
        self._waiting.append((seq, line))

    def write(self) -> None:
        """Write what waits.

        Raises:
            OSError: where it cannot be written now.
            BehindError: where it takes nothing any more.

        """
        if self._is_behind:
            raise BehindError(f"`{self.path}` lacks more than {MOST_WAITING} lines until the next start")
        if not self._waiting:
            return
        try:
            self._write()
        except OSError as error:
            error.filename = str(self.path)
            raise

    def _write(self) -> None:
        if self._end is None or not self.path.exists() or self.path.stat().st_size != self._end:
            self._open()  # the first time, after a failure, or because somebody moved the file away
        assert self._end is not None
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        lines = [(seq, line) for seq, line in taken if seq > self._done]
        content = b"".join(line + b"\n" for _, line in lines)
        try:
            _append(self.path, content, self._end)
        except OSError:
            self._waiting.extendleft(reversed(lines))
            raise
        self._end += len(content)
        if lines:
            self._done = lines[-1][0]

    def _open(self) -> None:
        """Find the end of the last line that counts, and cut off what lies behind."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        end, last = 0, 0
        with self.path.open("a+b") as stream:
            for offset, line in lines_backwards(stream):
                seq = seq_of(line)
                if seq is not None and (self._limit is None or seq <= self._limit):
                    end, last = offset + len(line), seq
                    break
            stream.truncate(end)
        self._limit = None
        self._end = end
        self._done = max(self._done, last)


def seq_of(line: bytes) -> int | None:
    """The number of a whole line; 0 for an object without one, which is none of ours; None for what is torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line, type=_Numbered).seq
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _append(path: Path, content: bytes, end: int) -> None:
    """Write all of it at the end, or nothing."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _write_all(file, content, end)
    except OSError:
        with contextlib.suppress(OSError):  # what is left then is cut off when it is opened again
            os.ftruncate(file, end)
        raise
    finally:
        os.close(file)


def _write_all(file: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        taken = os.pwrite(file, rest, offset)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest, offset = rest[taken:], offset + taken
