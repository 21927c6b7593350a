"""Standard input by lines, without getting stuck in it.

In: a file descriptor, be it a file, a pipe or a terminal. Out: its lines, either waited for or as they have come. Who
waits for a line cannot do anything else meanwhile; `close` from a signal handler ends the wait.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator

_BLOCK_BYTES = 1 << 16
_LOOK_EVERY_S = 0.2  # a signal handler runs between two looks


class StandardInput:
    """Lines of a stream, each with its line break; the last may have none."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._begun = b""
        self._lines: list[bytes] = []
        self._is_over = sys.stdin is None and descriptor == 0  # it was closed, and its number may be another file's now

    def close(self) -> None:
        """Read nothing more; whoever waits for a line gets none."""
        self._is_over = True

    def __iter__(self) -> Iterator[bytes]:
        """The lines, each waited for."""
        while True:
            self._read(_LOOK_EVERY_S)
            yield from self._take()
            if self._is_over:
                return

    def arrived(self) -> list[bytes]:
        """The lines that have come since the last call, without waiting."""
        self._read(0.0)
        return self._take()

    def _take(self) -> list[bytes]:
        lines, self._lines = self._lines, []
        return lines

    def _read(self, wait_s: float) -> None:
        """Read what is there; the end of the stream is its last line."""
        while not self._is_over and select.select([self._descriptor], [], [], wait_s)[0]:
            block = os.read(self._descriptor, _BLOCK_BYTES)
            *lines, self._begun = (self._begun + block).split(b"\n")
            self._lines += [line + b"\n" for line in lines]
            if not block:
                self._is_over = True
                if self._begun:
                    self._lines.append(self._begun)
            if self._lines:
                return
