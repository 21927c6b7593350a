"""The one that writes a journal: events are numbered, held, and written group by group.

In: events. Out: lines in the file of their UTC day, and a promise by `commit`.

What the promise is worth. When `commit` returns, the lines were taken by write(2): they are the system's, and outlive
the end of this process, `kill -9` included. A power loss, or the end of the system, they outlive once fsync returned.
When that is asked for is the `FsyncPolicy`:

    always       in every commit, which    nothing that was committed is lost
                 waits for it
    every n ms   begun by the first commit what was committed in the last n ms may be lost, and while the disk
                 that comes n ms after the was busy with two fsyncs; `commit` has to be called when idle too
                 last, which does not wait
    never        by the system, at its own what was committed in about the last 30 s may be lost,
                 time                      and a hole may stand in the middle of it

No commit waits for the fsync of every n ms, since a busy disk takes milliseconds for it: it runs in a thread, one at a
time, and a later commit takes notice of how it went. With one intent a millisecond and an fsync every 10 ms, the 99th
percentile of a commit was 0.1 ms so, and up to 8 ms where commits waited.

A journal that lost its end in a power loss knows less than the venue: orders that it does not name must be asked for.

Full and broken disks. What a failed write left behind is cut off again, back to the last commit, and everything since
is held in memory. `commit` raises once; after that it tries again whenever it is called, and says by its result whether
all is written. When the disk takes it, the lines follow in order and with no seq missing.

An fsync that failed is never repeated as if nothing had been: the system may have dropped the pages that it could not
write, called them clean, and would then report success for data that is nowhere. So the bytes of every commit since the
last fsync that succeeded are kept, written again at their old place (which makes the pages dirty again), and only then
is fsync asked for. In between nothing is cut off, since orders were sent on the strength of those lines. Without fsync
there is nothing to keep.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from msgspec.structs import replace

from engine.journal.disk import LOCK, Disk, Lock, make_folder
from engine.journal.errors import JournalError, JournalUnwritableError
from engine.journal.events import Checkpoint, Event
from engine.journal.folder import DAY_MS, DayFile, day_files, day_path, days_since_1970, lines_backwards
from engine.journal.lines import encode, is_json, later_version, seq_in

E = TypeVar("E", bound=Event)

_BEFORE_ALL_DAYS = -(1 << 62)
_CLOSED = "the journal is closed"


@dataclass(frozen=True, slots=True)
class FsyncPolicy:
    """When commits are made to outlive a power loss.

    >>> [str(FsyncPolicy.parse(text)) for text in ("always", "10ms", "never")]
    ['always', '10ms', 'never']
    """

    every_ms: float | None
    """At most so long after the last one; 0: in every commit; None: never."""

    @classmethod
    def parse(cls, text: str) -> FsyncPolicy:
        """`always`, `never`, or milliseconds such as `10ms`. Raises `ValueError`."""
        if text in ("always", "never"):
            return ALWAYS if text == "always" else NEVER
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?ms", text, re.ASCII)
        if match is None:
            raise ValueError(f"`{text}` is no fsync policy: `always`, `never`, or milliseconds such as `10ms`")
        return cls(float(match[1]))

    def __str__(self) -> str:
        match self.every_ms:
            case None:
                return "never"
            case 0:
                return "always"
            case every_ms:
                return f"{every_ms:g}ms"


ALWAYS = FsyncPolicy(0)
NEVER = FsyncPolicy(None)


@dataclass(frozen=True, slots=True)
class Torn:
    """What a crash left behind the last whole line, and where it was put."""

    path: Path
    """The file that it was taken from."""
    moved_to: Path
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """An fsync that runs beside the writer."""

    future: Future[None]
    end: int
    """What it makes safe: the file up to here."""
    commits: int
    """How many of `_unsynced` that is."""


class Journal:
    """The writer of a journal; one per folder, and not to be shared between threads."""

    def __init__(
        self,
        folder: Path,
        *,
        fsync: FsyncPolicy,
        checkpoint: Callable[[int], Checkpoint] | None = None,
        clock: Callable[[], float] = time.monotonic,
        disk: Disk | None = None,
        executor: Executor | None = None,
        limit_bytes: int = 64 << 20,
    ) -> None:
        """Lock the folder, making it if it is missing, repair its end, and find the last seq.

        `checkpoint` is asked, with the `ts_ms` of the event that begins it, for the first event of every day but that
        of a journal's first. `clock` gives seconds, for the policy of fsync alone. `executor` runs the fsyncs of every
        n ms, by default in a thread, until the journal is closed. At most `limit_bytes` wait in memory (a little more,
        by the last event).

        Raises `JournalError` where another process writes, where the end is of a later version of the schema, and where
        the folder cannot be used.
        """
        self.folder = folder
        self.policy = fsync
        self._waits = fsync == ALWAYS
        self._checkpoint = checkpoint
        self._clock = clock
        self._disk = Disk() if disk is None else disk
        self._executor = ThreadPoolExecutor(1, "journal-fsync") if executor is None else executor
        self._limit = limit_bytes

        self._closed = False
        self._failure: OSError | None = None
        self._held = 0  # bytes that wait

        self._file: int | None = None
        self._file_day = _BEFORE_ALL_DAYS
        self._end = 0  # of what is committed, in the file
        self._synced = 0  # of what outlives a power loss, in the file
        self._unsynced: list[bytes] = []  # what lies between the two, where the policy asks for fsync
        self._is_suspect = False  # whether an fsync failed since
        self._flight: _Flight | None = None
        self._sync_due_s = self._next_sync_s()

        try:
            make_folder(folder, self._disk)
            self._lock = Lock(folder, LOCK, "written")
        except OSError as error:
            raise _unusable(folder, error) from error
        try:
            self.torn = self._repair()
            self._disk.sync_folder(folder)  # a file may have been made just before a crash
            self._day, self._seq = self._last()
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise _unusable(folder, error) from error
            raise
        self._lines: list[bytes] = []  # of the current day; the same list is the last of `_waiting`
        self._waiting = deque([(self._day, self._lines)])

    @property
    def last_seq(self) -> int:
        """Of the last event added, in this process or before; 0 in an empty journal."""
        return self._seq

    @property
    def is_writable(self) -> bool:
        """Whether the last commit succeeded: if not, nothing may be sent that has to be in the journal first."""
        return self._failure is None

    @property
    def waiting_bytes(self) -> int:
        """What was added and is not written yet."""
        return self._held

    def add(self, event: E) -> E:
        """Number an event and hold it for the next commit; returns it with its seq.

        The day of a file never goes back: an event that is earlier than its file's day stands in it all the same.

        Raises `JournalUnwritableError` if too much waits already, and `ValueError` or `TypeError` for what JSON cannot
        say (`lines.encode`); the event was not added then.
        """
        if self._closed:
            raise ValueError(_CLOSED)
        if self._held >= self._limit:
            raise JournalUnwritableError(
                self._path,
                None,
                f"{self._held} bytes wait to be written, and no more are held",
                "make room on the disk",
            )
        day = event.ts_ms // DAY_MS
        if day > self._day:
            self._turn(day, event.ts_ms)
        return self._put(event)

    def commit(self) -> bool:
        """Write everything added since, by one write(2) a file; then fsync, if the policy wants it now.

        True if all of it is written. Raises `JournalUnwritableError` when that fails for the first time; while it goes
        on failing the result is False.
        """
        if self._closed:
            raise ValueError(_CLOSED)
        was_writable = self.is_writable
        error = self._failure = self._write_out()
        if error is not None and was_writable:
            raise JournalUnwritableError(
                self._path, None, f"cannot be written: {_reason(error)}", "make room, and writing goes on by itself"
            ) from error
        return error is None

    def close(self) -> None:
        """Commit, fsync unless the policy is never, and let go of the folder.

        Raises `JournalUnwritableError` if something could not be written; it is lost then.
        """
        if self._closed:
            return
        self._closed = True
        try:
            error = self._write_out()
            try:
                self._sync()  # of what was committed, whether or not the rest could be written
            except OSError as failed:
                error = error or failed
        finally:
            self._executor.shutdown()
            if self._file is not None:
                with contextlib.suppress(OSError):  # it says again what fsync said
                    self._disk.close(self._file)
            self._lock.release()
        if error is not None:
            lost = (
                f"{self._held} bytes of events are lost"
                if self._held
                else "the last events may not outlive a power loss"
            )
            raise JournalUnwritableError(
                self._path,
                None,
                f"{lost}: {_reason(error)}",
                "when the router starts again it has to ask the venue for the orders of that time",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # --- adding ----------------------------------------------------------------------------------------------------

    def _put(self, event: E) -> E:
        numbered = replace(event, seq=self._seq + 1)
        line = encode(numbered)
        self._lines.append(line)
        self._held += len(line) + 1
        self._seq += 1
        return numbered

    def _turn(self, day: int, ts_ms: int) -> None:
        """Begin a later day."""
        day_path(self.folder, day)  # that there is such a day
        checkpoint = self._checkpoint(ts_ms) if self._checkpoint is not None and self._seq else None
        self._day = day
        self._lines = []
        self._waiting.append((day, self._lines))
        if checkpoint is not None:
            self._put(checkpoint)

    # --- writing ---------------------------------------------------------------------------------------------------

    def _write_out(self) -> OSError | None:
        """Write what waits and fsync what is due; what went wrong, if something did."""
        try:
            if self._flight is not None and self._flight.future.done():
                self._land()
            if self._is_suspect:
                assert self._file is not None
                self._write(self._file, b"".join(self._unsynced), self._synced)
                self._sync()
            while True:
                day, lines = self._waiting[0]
                if lines:
                    self._append(day, lines)
                if len(self._waiting) == 1:
                    break
                self._waiting.popleft()
            if self._waits:
                self._sync()
            elif self._unsynced and self._flight is None and self._clock() >= self._sync_due_s:
                self._take_off()
        except OSError as error:
            return error
        return None

    def _append(self, day: int, lines: list[bytes]) -> None:
        """Write lines behind the last commit, all of them or none."""
        file = self._file if self._file is not None and day == self._file_day else self._change_to(day)
        content = b"\n".join([*lines, b""])
        try:
            self._write(file, content, self._end)
        except OSError:
            with contextlib.suppress(OSError):  # what is left then is written over by the next try
                self._disk.truncate(file, self._end)
            raise
        self._end += len(content)
        self._held -= len(content)
        lines.clear()
        if self.policy.every_ms is not None:
            self._unsynced.append(content)

    def _change_to(self, day: int) -> int:
        """Open the file of a day, whose entry in the folder then outlives a power loss."""
        if self._file is not None:
            self._sync()
            self._disk.close(self._file)
            self._file = None
        path = day_path(self.folder, day)
        is_new = not path.exists()
        file = self._disk.open(path)
        try:
            if is_new:
                self._disk.sync_folder(self.folder)
            self._end = self._synced = self._disk.size(file)
        except OSError:
            self._disk.close(file)
            if is_new:  # so that the next try makes the entry anew, and its sync is worth something
                self._disk.remove(path)
            raise
        self._file, self._file_day = file, day
        return file

    def _write(self, file: int, content: bytes, offset: int) -> None:
        """Write all of it, at an offset: to do so twice does no harm."""
        rest = memoryview(content)
        while rest:
            taken = self._disk.write(file, rest, offset)
            if not taken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            rest = rest[taken:]
            offset += taken

    # --- fsync -----------------------------------------------------------------------------------------------------

    def _sync(self) -> None:
        """Wait until everything committed outlives a power loss."""
        if self._flight is not None:
            self._land()
        if not self._unsynced:
            return
        assert self._file is not None
        try:
            self._disk.sync(self._file)
        except OSError:
            self._is_suspect = True
            raise
        self._is_suspect = False
        self._unsynced.clear()
        self._synced = self._end
        self._sync_due_s = self._next_sync_s()

    def _take_off(self) -> None:
        """Begin an fsync of everything committed, and go on."""
        assert self._file is not None
        future = self._executor.submit(self._disk.sync, self._file)
        self._flight = _Flight(future, self._end, len(self._unsynced))
        self._sync_due_s = self._next_sync_s()

    def _land(self) -> None:
        """Take notice of how the fsync went that was begun; wait for it if need be."""
        assert self._flight is not None
        flight, self._flight = self._flight, None
        try:
            flight.future.result()
        except OSError:
            self._is_suspect = True
            raise
        del self._unsynced[: flight.commits]
        self._synced = flight.end

    def _next_sync_s(self) -> float:
        every_ms = self.policy.every_ms
        return self._clock() + every_ms / 1000 if every_ms else 0.0

    @property
    def _path(self) -> Path:
        """The file that is written, or would be next."""
        day = self._waiting[0][0]
        return self.folder if day == _BEFORE_ALL_DAYS else day_path(self.folder, day)

    # --- opening ---------------------------------------------------------------------------------------------------

    def _repair(self) -> tuple[Torn, ...]:
        """Move what is no whole line out of the end of the last file; a file that is empty then is taken away."""
        torn: list[Torn] = []
        for day_file in reversed(day_files(self.folder, archived=False)):
            file = self._disk.open(day_file.path)
            try:
                moved = self._repair_end(day_file, file)
                if moved is not None:
                    torn.append(moved)
                if self._disk.size(file):
                    break
            finally:
                self._disk.close(file)
            self._disk.remove(day_file.path)  # its day has not begun, so its checkpoint is still to come
        return tuple(torn)

    def _repair_end(self, day_file: DayFile, file: int) -> Torn | None:
        with day_file.path.open("rb") as stream:
            whole = 0  # length of what stays
            for offset, line in lines_backwards(stream):
                if line.endswith(b"\n") and is_json(line):
                    whole = offset + len(line)
                    break
            stream.seek(whole)
            torn = stream.read()
        if not torn:
            return None
        # First a copy that lasts, then the cut: whatever happens in between, nothing is lost.
        moved_to = day_file.path.with_suffix(".torn")
        copy = self._disk.open(moved_to)
        try:
            self._write(copy, torn + b"\n", self._disk.size(copy))
            self._disk.sync(copy)
        finally:
            self._disk.close(copy)
        self._disk.sync_folder(self.folder)
        self._disk.truncate(file, whole)
        self._disk.sync(file)
        return Torn(day_file.path, moved_to, len(torn))

    def _last(self) -> tuple[int, int]:
        """The day that is written to, and the last seq."""
        files = day_files(self.folder, archived=True)
        day = next((days_since_1970(file.day) for file in reversed(files) if not file.is_archived), _BEFORE_ALL_DAYS)
        for file in reversed(files):
            with file.open_for_seeking() as stream:
                for _, line in lines_backwards(stream):
                    later = later_version(line)
                    if later is not None:
                        raise JournalError(file.path, None, f"its last line {later.message}", later.help)
                    if seq := seq_in(line):
                        return day, seq
        return day, 0


def _unusable(folder: Path, error: OSError) -> JournalError:
    return JournalError(folder, None, f"cannot be used: {_reason(error)}", "choose a folder that can be written to")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
