"""Where the events come from that a page shows: a journal that another process writes, or a session in this one.

In: the folder of a journal, or events as a session emits them. Out: events in order, some at a time, when asked.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from engine.journal.errors import JournalError
from engine.journal.events import (
    BreakerMoved,
    CandidateMoved,
    Checkpoint,
    Event,
    RulebookLoaded,
    SessionEnded,
    SessionStarted,
)
from engine.journal.folder import day_files, lines_backwards
from engine.journal.lines import HEAD, BadLineError, decode, tags_of
from engine.journal.reader import Follower, Report, tail

_log = logging.getLogger(__name__)

BACKLOG = 50_000
"""Events of a journal that are read again at the start: about 0.5 s, and the last quarter of an hour of a busy desk."""


MOST_SEARCHED_BYTES = 4_000_000_000
"""How much of a journal before these is searched for how things stand: about 10 s, and a day of a busy desk."""

_STANDING = tags_of((SessionStarted, SessionEnded, RulebookLoaded, CandidateMoved, BreakerMoved, Checkpoint))
"""What says how things stand until another of its kind does, however long ago it was."""


class Source(Protocol):
    """Somebody who has events."""

    bad_lines: int
    """Lines that said no event and were passed over."""
    old: int
    """How many of the next events happened before anybody watched."""
    failure: str | None
    """Why nothing can be taken; None where it can, or where nobody has written anything yet."""

    def take(self, most: int) -> Sequence[Event]:
        """The next events in order, at most so many; none where there are none yet."""

    def unread_bytes(self) -> int:
        """How much was written that was not taken yet."""

    def quiet_s(self) -> float | None:
        """For how long, in real time, nothing was written; None where nothing ever was."""


def last_events(folder: Path, count: int, on_bad: Report, most_searched: int = MOST_SEARCHED_BYTES) -> list[Event]:
    """The last events of a journal, at most `count`, and before them those by which things stand as they do.

    A session may run for longer than its last events go back: which it is, what it decides by and which breakers are
    open was said before. That is searched for as far as `most_searched` bytes go, since it is rarely far.

    Raises:
        JournalError: where the journal cannot be read.

    """
    events = tail(folder, count, on_bad=on_bad)
    known = _Known()
    if not events or any(known.see(event) for event in reversed(events)):
        return events
    lines = _earlier_lines(folder, on_bad, most_searched)
    return [*_standing(lines, events[0].seq, known), *events]


@dataclass(slots=True)
class _Known:
    """What is known of how things stand, by events from the last one back."""

    session: bool = False
    breakers: bool = False

    def see(self, event: Event) -> bool:
        """Whether everything is known with this one."""
        if isinstance(event, SessionStarted):
            self.session = True
            self.breakers |= not event.resumed
        elif isinstance(event, Checkpoint):
            self.breakers = True
        return self.session and self.breakers


def _standing(lines: Iterable[bytes], before_seq: int, known: _Known) -> list[Event]:
    found: list[Event] = []
    for line in lines:
        head = HEAD.match(line)
        if head is None or head[1] not in _STANDING or int(head[2]) >= before_seq:
            continue
        try:
            event = decode(line)
        except BadLineError:
            continue  # `sluice journal check` names it
        found.append(event)
        if known.see(event):
            break
    found.reverse()
    return found


def _earlier_lines(folder: Path, on_bad: Report, most_bytes: int) -> Iterator[bytes]:
    """The lines of a journal from its end, as far as so many bytes go, and files can be read."""
    for file in reversed(day_files(folder, archived=True)):
        try:
            with file.open_for_seeking() as stream:
                for _, line in lines_backwards(stream):
                    most_bytes -= len(line)
                    if most_bytes < 0:
                        return
                    yield line
        except (OSError, EOFError, zlib.error) as error:
            on_bad(JournalError(file.path, None, f"cannot be read: {error}", "see that it is whole"))
            return


class JournalSource:
    """The journal of another process, followed as it grows. Its last events before are taken first (`last_events`).

    A line that says no event is logged, counted and passed over: what can be shown is shown. A journal that was moved
    away and begun anew is followed from its beginning.
    """

    def __init__(self, folder: Path, *, backlog: int = BACKLOG, wall: Callable[[], float] = time.time) -> None:
        """`wall` gives seconds since 1970, as file systems count them."""
        self.bad_lines = 0
        self._folder = folder
        self._wall = wall
        self.failure: str | None = None
        self._backlog = deque(self._before(backlog))
        self.old = len(self._backlog)
        self._has_begun = bool(day_files(folder, archived=False))
        """Whether there was a day to follow; those that are archived are read once and may be all that there is."""
        self._follower = Follower(folder, after_seq=self._backlog[-1].seq if self._backlog else None)

    def take(self, most: int) -> Sequence[Event]:
        """The next events; a broken line ends what is taken at once, and the rest follows the next time."""
        if self._backlog:
            taken_again = [self._backlog.popleft() for _ in range(min(most, self.old))]
            self.old = len(self._backlog)
            return taken_again
        taken: list[Event] = []
        try:
            taken.extend(islice(self._follower.news(), most))
        except JournalError as error:
            self._report(error)
            self.failure = None  # it was read
        except OSError as error:
            if self.failure is None:  # once, however often it is tried again
                _log.warning("the journal cannot be read: %s", error)
            self.failure = (error.strerror or type(error).__name__).lower()
        else:
            self._has_begun |= bool(taken)
            gone = self._has_begun and not taken and not day_files(self._folder, archived=False)
            self.failure = "its files are gone" if gone else None
        return taken

    def unread_bytes(self) -> int:
        """Of the files that were not read to their end."""
        return self._follower.unread_bytes()

    def quiet_s(self) -> float | None:
        """Since the newest file of the journal was written to."""
        files = day_files(self._folder, archived=False)
        if not files:
            return None
        try:
            return max(0.0, self._wall() - files[-1].path.stat().st_mtime)
        except FileNotFoundError:
            return None

    def _before(self, count: int) -> list[Event]:
        try:
            return last_events(self._folder, count, self._report)
        except JournalError as error:
            self._report(error)
            return []

    def _report(self, error: JournalError) -> None:
        self.bad_lines += 1
        _log.warning("passed over in the journal: %s:%s: %s", error.path.name, error.line, error.message)


class HandedSource:
    """A session of this process, which hands each event over as it emits it; `see` may be called in its own thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self.bad_lines = 0
        self.old = 0
        self.failure: str | None = None
        self._clock = clock
        self._events: deque[Event] = deque()
        self._seen_s: float | None = None

    def begin_with(self, events: Iterable[Event]) -> None:
        """Take what happened before the session began, for a session that goes on from a journal."""
        before = list(events)
        self._events.extendleft(reversed(before))
        self.old += len(before)

    def see(self, event: Event) -> None:
        """Take the next event; costs the session well under a microsecond."""
        self._events.append(event)

    def take(self, most: int) -> Sequence[Event]:
        """The next events."""
        held = self._events
        taken = [held.popleft() for _ in range(min(most, len(held)))]
        self.old = max(0, self.old - len(taken))
        if taken:
            self._seen_s = self._clock()
        return taken

    def unread_bytes(self) -> int:
        """Nothing: events are handed over whole."""
        return 0

    def quiet_s(self) -> float | None:
        """Since events were last taken."""
        return None if self._seen_s is None else self._clock() - self._seen_s
