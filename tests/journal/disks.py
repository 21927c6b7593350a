"""Disks that count, are full, break, or lose their power."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from engine.journal.disk import Disk


class HastyDisk(Disk):
    """Waits for no medium, for tests that open many journals."""

    def sync(self, file: int) -> None:
        pass

    def sync_folder(self, path: Path) -> None:
        pass


class CountingDisk(Disk):
    """Remembers what it was asked for: `write` with its size, `sync`, `sync_folder`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def count(self, name: str) -> int:
        return sum(called == name for called, _ in self.calls)

    def write(self, file: int, content: bytes | memoryview, offset: int) -> int:
        taken = super().write(file, content, offset)
        self.calls.append(("write", taken))
        return taken

    def sync(self, file: int) -> None:
        super().sync(file)
        self.calls.append(("sync", 0))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self.calls.append(("sync_folder", 0))


class FullDisk(Disk):
    """Takes `room` more bytes, the last write in part, and then answers with an error."""

    def __init__(self, room: int, number: int = errno.ENOSPC) -> None:
        self.room = room
        self.number = number
        self.can_truncate = True

    def open(self, path: Path) -> int:
        if not self.room and not path.exists():
            raise OSError(self.number, os.strerror(self.number), str(path))
        return super().open(path)

    def write(self, file: int, content: bytes | memoryview, offset: int) -> int:
        if not self.room:
            raise OSError(self.number, os.strerror(self.number))
        taken = super().write(file, content[: self.room], offset)
        self.room -= taken
        return taken

    def truncate(self, file: int, length: int) -> None:
        if not self.can_truncate:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().truncate(file, length)


class AtOnce(Executor):
    """Has done what it is given before it returns."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        _do(future, work, *arguments, **named)
        return future


class Later(Executor):
    """Does what it is given when it is told to, or when somebody waits for it."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        class Awaited(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                if not self.done():
                    executor.run()
                return super().result(timeout)

        executor, future = self, Awaited()
        self.waiting.append(lambda: _do(future, work, *arguments, **named))
        return future

    def run(self) -> None:
        """Do all that waits."""
        while self.waiting:
            self.waiting.pop(0)()


def _do(future: Future[Any], work: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    try:
        future.set_result(work(*arguments, **named))
    except OSError as error:
        future.set_exception(error)


class FragileDisk(Disk):
    """Keeps what was synced apart, as a medium does, and can lose all the rest: `lose_power`.

    While `broken` a sync fails, and does then what file systems do: it forgets what it could not write, calls the pages
    clean, so that a later sync has nothing to do for them, and leaves zeros in their place.
    """

    def __init__(self) -> None:
        self.broken = False
        self._paths: dict[int, Path] = {}
        self._medium: dict[Path, bytes] = {}
        self._entries: set[Path] = set()

    def open(self, path: Path) -> int:
        is_new = not path.exists()
        file = super().open(path)
        self._paths[file] = path
        if is_new:
            self._medium[path] = b""
        elif path not in self._medium:
            self._medium[path] = path.read_bytes()
            self._entries.add(path)
        return file

    def sync(self, file: int) -> None:
        path = self._paths[file]
        held = path.read_bytes()
        if self.broken:
            safe = len(self._medium[path])
            os.pwrite(file, b"\0" * (len(held) - safe), safe)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._medium[path] = held

    def sync_folder(self, path: Path) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._entries |= {held for held in self._medium if held.parent == path and held.exists()}

    def lose_power(self, folder: Path) -> None:
        """Leave in the folder what the medium holds."""
        for path in folder.glob("*.jsonl"):
            if path in self._entries:
                path.write_bytes(self._medium[path])
            else:
                path.unlink()
