"""The system calls that a journal is written with, and the lock that keeps it to one writer.

`Disk` is the seam at which tests make disks full, short of breath, or broken.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from engine.journal.errors import JournalError

LOCK = "writer.lock"


class Disk:
    """The file system itself. Every method raises `OSError`."""

    def open(self, path: Path) -> int:
        """Open for reading and writing, making it if it is missing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def size(self, file: int) -> int:
        """Length in bytes."""
        return os.fstat(file).st_size

    def write(self, file: int, content: bytes | memoryview, offset: int) -> int:
        """Write at an offset, by one system call, and return how many bytes were taken."""
        return os.pwrite(file, content, offset)

    def truncate(self, file: int, length: int) -> None:
        """Cut off what lies behind."""
        os.ftruncate(file, length)

    def sync(self, file: int) -> None:
        """Wait until the content, and the length that is needed to read it, are on the medium."""
        _sync(file)

    def sync_folder(self, path: Path) -> None:
        """Wait until the entries of a folder are on the medium."""
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, path: Path) -> None:
        """Take a file away."""
        path.unlink(missing_ok=True)

    def close(self, file: int) -> None:
        """Let go of a file."""
        os.close(file)


# fdatasync leaves out times, which nobody needs after a crash, and with them half of the wait.
_sync = getattr(os, "fdatasync", os.fsync)


def make_folder(folder: Path, disk: Disk) -> None:
    """Make a folder and those above it, so that they outlive a power loss."""
    if folder.is_dir():
        return
    make_folder(folder.parent, disk)
    folder.mkdir(exist_ok=True)
    disk.sync_folder(folder.parent)


class Lock:
    """Held by one process at a time, and let go of by the system when it ends, however it ends."""

    def __init__(self, folder: Path, name: str, doing: str) -> None:
        """Take it; `doing` is what its holder does with the folder, such as `written`. Raises `JournalError`."""
        path = folder / name
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            raise JournalError(
                folder, None, f"is being {doing} by {holder}", "stop it first, or choose another folder"
            ) from None
        except OSError:
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        with contextlib.suppress(OSError):  # on a full disk it is held without a name
            os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of it. The file stays: who takes a lock's file away takes it from under the next holder."""
        os.ftruncate(self._file, 0)
        os.close(self._file)
