"""Where the events come from that a page shows: a journal that another process writes, or a session in this one.

In: the folder of a journal, or events as a session emits them. Out: events in order, some at a time, when asked.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from engine.journal.errors import JournalError
from engine.journal.events import Event
from engine.journal.folder import day_files
from engine.journal.reader import Follower, tail

_log = logging.getLogger(__name__)

BACKLOG = 50_000
"""Events of a journal that are read again at the start: about 0.5 s, and the last quarter of an hour of a busy desk."""


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


class JournalSource:
    """The journal of another process, followed as it grows. Its last events before are taken first.

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
            return tail(self._folder, count, on_bad=self._report)
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
