"""Reading a journal: all of it in order, its last events, or what is being written to it.

In: the folder of a journal. Out: its events. Days come in order, archived ones too; a writer may be at work meanwhile,
so what stands behind the last whole line of the last file is not there yet, or never will be, and is passed over.

A line elsewhere that says no event is an error with its place, unless the caller takes such errors (`on_bad`), and with
them goes on. A seq that is missing or comes twice is no error: whoever wants to know of it gives `on_gap`.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from datetime import date
from pathlib import Path
from typing import BinaryIO, TypeAlias

from engine.journal.errors import JournalError
from engine.journal.events import EVENTS_LOST, Event, OrderError
from engine.journal.folder import BLOCK_BYTES, DayFile, day_files, lines_backwards
from engine.journal.lines import HEAD, BadLineError, decode, seq_in, tags_of

Report: TypeAlias = Callable[[JournalError], object]
"""Takes what is wrong with a place, so that reading can go on."""


def read(
    folder: Path,
    *,
    since_day: date | None = None,
    types: Collection[type[Event]] | None = None,
    on_bad: Report | None = None,
    on_gap: Report | None = None,
) -> Iterator[Event]:
    """Yield the events of a journal in order, those of `types` alone if given.

    `since_day` leaves out the files of earlier days. Lines of other types are passed over without being decoded. With
    `on_gap` the seqs of all lines are compared, passed over or not; pruned days in front are no gap.

    Raises `JournalError` from the first `next` on, for a line that says no event unless `on_bad` is given, and for a
    file that cannot be read.
    """
    files = [file for file in day_files(folder, archived=True) if since_day is None or file.day >= since_day]
    wanted = None if types is None else _Wanted(types)
    order = None if on_gap is None else _Order(on_gap)
    report = _raise if on_bad is None else on_bad
    for file in files:
        yield from _events(file, wanted, report, order, may_be_torn=file is files[-1])


def read_file(
    file: DayFile, *, types: Collection[type[Event]] | None = None, on_bad: Report | None = None
) -> Iterator[Event]:
    """Yield the events of one file alone, without passing over a torn end; else as `read`."""
    wanted = None if types is None else _Wanted(types)
    yield from _events(file, wanted, _raise if on_bad is None else on_bad, None, may_be_torn=False)


def tail(
    folder: Path, count: int, *, types: Collection[type[Event]] | None = None, on_bad: Report | None = None
) -> list[Event]:
    """The last events of a journal, at most `count`, in order; files are read from their end. Errors as in `read`."""
    wanted = None if types is None else _Wanted(types)
    report = _raise if on_bad is None else on_bad
    found: list[Event] = []
    files = day_files(folder, archived=True)
    for file in reversed(files):
        if len(found) >= count:
            break
        may_be_torn = file is files[-1]
        try:
            with file.open_for_seeking() as stream:
                for offset, line in lines_backwards(stream):
                    try:
                        event = _event(line, wanted)
                    except BadLineError as error:
                        if not (may_be_torn and error.is_torn):
                            report(JournalError(file.path, _line_number(stream, offset), error.message, error.help))
                        continue
                    may_be_torn = False
                    if event is not None:
                        found.append(event)
                        if len(found) >= count:
                            break
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(file, error) from error
    found.reverse()
    return found


async def follow(
    folder: Path,
    *,
    after_seq: int | None = None,
    types: Collection[type[Event]] | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    poll_s: float = 0.2,
) -> AsyncIterator[Event]:
    """Yield events as they are written, for ever; those after `after_seq`, or from now on where it is None.

    Goes on with the first file when the journal was moved away and begun anew. Raises `JournalError` for a line that
    says no event.
    """
    follower = Follower(folder, after_seq=after_seq, types=types)
    while True:
        for event in follower.news():
            yield event
        await sleep(poll_s)


def verify(folder: Path) -> list[JournalError]:
    """Everything that is wrong with a journal's lines: those that say no event, and seqs missing or doubled.

    What never reached a full disk left no gap, since nothing was numbered; the router says so itself when it can write
    again, and that is repeated here.
    """
    found: list[JournalError] = []
    for event in read(folder, on_bad=found.append, on_gap=found.append):
        if isinstance(event, OrderError) and event.error == EVENTS_LOST:
            message = f"seq {event.seq} says that events never reached it: {event.text}"
            found.append(JournalError(folder, None, message, "ask the venue for the orders of that time"))
    return found


class _Wanted:
    """The types of events that are asked for, and how their lines begin."""

    __slots__ = ("tags", "types")

    def __init__(self, types: Collection[type[Event]]) -> None:
        self.types = frozenset(types)
        self.tags = tags_of(self.types)

    def passes_over(self, line: bytes) -> bool:
        """Whether a line is surely of another type; one that begins in an unusual way has to be decoded."""
        head = HEAD.match(line)
        return head is not None and head[1] not in self.tags


class _Order:
    """Compares the seq of every line with the one before it."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last: int | None = None

    def see(self, seq: int, path: Path, line: int) -> None:
        last, self._last = self._last, seq
        if last is None or seq == last + 1:
            return
        if seq <= last:
            message, help_text = f"seq {seq} comes after {last}", "compare the lines: one of them may be a copy"
        else:
            missing = f"{last + 1}" if seq == last + 2 else f"{last + 1} to {seq - 1}"
            message, help_text = f"seq {missing} missing", "lines were lost: ask the venue for the orders of that time"
        self._report(JournalError(path, line, message, help_text))


def _events(
    file: DayFile, wanted: _Wanted | None, on_bad: Report, order: _Order | None, *, may_be_torn: bool
) -> Iterator[Event]:
    """The events of one file."""
    try:
        with file.open() as stream:
            yield from _events_of(stream, file.path, wanted, on_bad, order, may_be_torn=may_be_torn)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(file, error) from error


def _events_of(
    stream: BinaryIO, path: Path, wanted: _Wanted | None, on_bad: Report, order: _Order | None, *, may_be_torn: bool
) -> Iterator[Event]:
    torn: list[JournalError] = []  # of the last file: what is no JSON, held until a whole line follows
    for number, line in enumerate(stream, 1):
        if wanted is not None and wanted.passes_over(line):
            if order is not None:
                order.see(seq_in(line), path, number)
            continue
        try:
            event = _whole(line)
        except BadLineError as error:
            problem = JournalError(path, number, error.message, error.help)
            if may_be_torn and error.is_torn:
                torn.append(problem)
            else:
                on_bad(problem)
            continue
        for problem in torn:
            on_bad(problem)
        torn.clear()
        if order is not None:
            order.see(event.seq, path, number)
        if wanted is None or type(event) in wanted.types:
            yield event


def _whole(line: bytes) -> Event:
    """The event of a line that has its newline. Raises `BadLineError`."""
    if not line.endswith(b"\n"):
        raise BadLineError("has no end", "the file was cut off: copy it from where it is whole", is_torn=True)
    return decode(line)


def _event(line: bytes, wanted: _Wanted | None) -> Event | None:
    """The event of a line, or None where it is of another type. Raises `BadLineError`."""
    if wanted is not None and wanted.passes_over(line):
        return None
    event = _whole(line)
    return event if wanted is None or type(event) in wanted.types else None


class Follower:
    """How far a journal was followed: what was written since is read whenever somebody asks.

    Begins after the line of `after_seq`, or where it is None with what is written from now on.
    """

    def __init__(
        self, folder: Path, *, after_seq: int | None = None, types: Collection[type[Event]] | None = None
    ) -> None:
        self._folder = folder
        self._wanted = None if types is None else _Wanted(types)
        self._file: DayFile | None = None
        self._inode = 0
        self._offset = 0
        self._line: int | None = 0
        """Lines before the offset; None where nobody needed to know: a day may have gigabytes in front of it."""
        self._find(after_seq)

    def unread_bytes(self) -> int:
        """How much was written that was not read yet."""
        unread = 0
        for file in day_files(self._folder, archived=False):
            if self._file is None or file.day >= self._file.day:
                try:
                    unread += file.path.stat().st_size
                except FileNotFoundError:
                    continue  # moved away just now
        return max(0, unread - self._offset)

    def news(self) -> Iterator[Event]:
        """What was written since, up to the last whole line. Whoever stops early goes on there the next time.

        Raises `JournalError` for a line that says no event; the next call goes on behind it.
        """
        while True:
            # Listed before reading: a writer is done with a file when it begins the next.
            files = day_files(self._folder, archived=False)
            if self._file is None or _inode(self._file.path) != self._inode:  # moved away, and perhaps begun anew
                self._file = None
                if not files:
                    return
                self._go_to(files[0], 0)
            file = self._file
            assert file is not None
            yield from self._rest_of(file)
            later = [other for other in files if other.day > file.day]
            if not later:
                return
            self._go_to(later[0], 0)

    def _find(self, after_seq: int | None) -> None:
        """Go behind the line of a seq, or to the end."""
        for file in reversed(day_files(self._folder, archived=False)):
            with file.path.open("rb") as stream:
                for offset, line in lines_backwards(stream):
                    if line.endswith(b"\n") and (after_seq is None or 0 < seq_in(line) <= after_seq):
                        self._go_to(file, offset + len(line))
                        self._line = None
                        return
            self._go_to(file, 0)

    def _go_to(self, file: DayFile, offset: int) -> None:
        self._file, self._offset, self._line = file, offset, 0
        self._inode = _inode(file.path)

    def _rest_of(self, file: DayFile) -> Iterator[Event]:
        try:
            stream = file.path.open("rb")
        except FileNotFoundError:
            return  # moved away just now
        with stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return  # the writer is not done with it
                self._offset += len(line)
                if self._line is not None:
                    self._line += 1
                try:
                    event = _event(line, self._wanted)
                except BadLineError as error:
                    if self._line is None:
                        self._line = _line_number(stream, self._offset) - 1
                    raise JournalError(file.path, self._line, error.message, error.help) from None
                if event is not None:
                    yield event


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _line_number(stream: BinaryIO, offset: int) -> int:
    """Which line begins at an offset, from 1."""
    stream.seek(0)
    number, left = 1, offset
    while left > 0 and (block := stream.read(min(left, BLOCK_BYTES))):
        number += block.count(b"\n")
        left -= len(block)
    return number


def _raise(problem: JournalError) -> None:
    raise problem


def _unreadable(file: DayFile, error: Exception) -> JournalError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return JournalError(file.path, None, f"cannot be read: {reason.lower()}", "see that it is whole and may be read")
