"""Decisions of a journal, made again by the rulebook that made them.

In: the id of a decision, and the folder of logs. Out: a `Remade`: its record, the explanation of every step, and what
differs, which should be nothing. The newest day of the journal is searched first, and of the rulebooks that were kept
the ones used last stay loaded. May be called in any thread.
"""

from __future__ import annotations

import logging
import threading
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from engine.analysis.explain import Explanation, explain
from engine.book import Backend, Book
from engine.journal.errors import JournalError
from engine.journal.events import (
    BreakerMoved,
    Checkpoint,
    Decided,
    Event,
    IntentReceived,
    IntentRefused,
    Outcome,
    Routed,
    Worked,
)
from engine.journal.folder import DAY_MS, day_files, days_since_1970
from engine.journal.lines import HEAD, BadLineError, decode, tags_of
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.rulebooks import Rulebooks, decide_again
from engine.routing.sessions.start import JOURNAL
from engine.web.pauses import Pauses

_log = logging.getLogger(__name__)

_TAGS: Final = tags_of((Decided,))
_OF_INTENT: Final = tags_of((IntentReceived, IntentRefused, Routed, Worked, Outcome))
_OF_BREAKERS: Final = tags_of((BreakerMoved, Checkpoint))
_BREAKER_MARKS: Final = (b'"type":"breaker"', b'"type":"checkpoint"')
_BLOCK_BYTES: Final = 1 << 18
"""Searched in a tenth of a millisecond, in which nobody else in this process gets on."""


class _Id(msgspec.Struct):
    decision_id: str


_id_in = msgspec.json.Decoder(_Id).decode


def decision_id_of(event: Decided) -> str:
    """The id of a journaled decision."""
    return _id_in(event.record).decision_id


@dataclass(frozen=True, slots=True)
class Remade:
    """A decision of a journal, made again."""

    event: Decided
    record: Mapping[str, Any]
    """As it was journaled."""
    explanation: Explanation
    differs: tuple[str, ...]
    """Fields in which deciding again gives another record; there should never be one."""


class KeptRulebooks(Rulebooks):
    """The store of a logs folder; the rulebooks used last stay loaded."""

    def __init__(self, logs: Path, most: int = 8) -> None:
        super().__init__(logs)
        self._most = most
        self._open: OrderedDict[tuple[str, str, str, Backend], Book] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, version: str, sources: str, profile: str, backend: Backend = "interpreter") -> Book:
        """The rulebook of a version, as it was. Raises as `Rulebooks.open` does."""
        key = (version, sources, profile, backend)
        with self._lock:
            book = self._open.get(key)
            if book is None:
                book = self._open[key] = super().open(*key)
            self._open.move_to_end(key)
            if len(self._open) > self._most:
                self._open.popitem(last=False)
            return book

    def home_of(self, book: Book) -> Path | None:
        """The folder in which the files of a rulebook are kept; None where they are not."""
        place = self._place(book.version, book.rulebook.sources_digest)
        return place if place.is_dir() else None


class KeptDecisions:
    """The decisions of one logs folder."""

    def __init__(self, logs: Path) -> None:
        self.rulebooks = KeptRulebooks(logs)
        self.folder = logs / JOURNAL
        self._searching = threading.Lock()

    def remake(self, decision_id: str, event: Decided | None = None) -> Remade | None:
        """A decision by its whole id, or by its event where that is at hand; None where the journal holds none.

        Raises:
            ViewError: where it cannot be made again.
            JournalError: where the journal cannot be read.

        """
        found = event or self.find(decision_id)
        if found is None:
            return None
        kept = decide_again(found, self.rulebooks)
        return Remade(found, kept.record, explain(kept.book, found.policy, kept.facts), kept.differs)

    def compiled(self, version: str, sources: str, profile: str) -> Book | None:
        """A rulebook that was kept, ready to decide; None where it was not, or is not what it was."""
        try:
            return self.rulebooks.open(version, sources, profile, "compiled").warm()
        except ViewError as error:
            _log.warning("the session's rulebook cannot be shown: %s", error.message)
            return None

    def find(self, decision_id: str) -> Decided | None:
        """The event of a decision, from the newest day back.

        A journal may hold gigabytes, and whoever may read may ask for an id that nobody has: so blocks are compared as
        bytes, 1 GB in about half a second, and only a line that holds the id is decoded. Archived days are unpacked
        as they are read, and never lie on a disk. One search runs at a time, whoever waits for it: several would only
        take the processor from each other, and from those who decide.

        Raises:
            JournalError: where the journal cannot be read.

        """
        mark = f'"decision_id":"{decision_id}"'.encode()
        with self._searching:
            for lines in self._days_with(mark):
                found = [event for line in lines if (event := _decided(line, decision_id))]
                if found:
                    return found[-1]
        return None

    def of_intent(self, intent_id: str) -> list[Event]:
        """What the journal says of an intent, in order: how it came, its routes, what working asked for, and its end.

        It is looked for as `find` does, from the newest day back to the one on which it came.

        Raises:
            JournalError: where the journal cannot be read.

        """
        mark = b'"intent_id":' + msgspec.json.encode(intent_id)
        told: list[Event] = []
        with self._searching:
            for lines in self._days_with(mark):
                events = [event for line in lines if (event := _event(line, _OF_INTENT)) is not None]
                told = [event for event in events if getattr(event, "intent_id", None) == intent_id] + told
                if any(isinstance(event, IntentReceived) for event in told):
                    break
        return told

    def pauses(self, event: Event) -> Pauses:
        """What the breakers did on the day of an event: its file begins with how they stood before.

        Raises:
            JournalError: where the journal cannot be read.

        """
        told: list[Event] = []
        day = event.ts_ms // DAY_MS
        with self._searching:
            for mark in _BREAKER_MARKS:
                for lines in self._days_with(mark, day):
                    told += [said for line in lines if (said := _event(line, _OF_BREAKERS)) is not None]
        pauses = Pauses(most=None)
        for each in sorted(told, key=lambda each: each.seq):
            pauses.see(each)
        return pauses

    def _days_with(self, mark: bytes, day: int | None = None) -> Iterator[list[bytes]]:
        """The lines of each day that hold a mark, in order, the newest day first; of one day, counted from 1970, alone.

        Raises:
            JournalError: where the journal cannot be read.

        """
        for file in reversed(day_files(self.folder, archived=True)):
            if day is not None and days_since_1970(file.day) != day:
                continue
            try:
                with file.open() as stream:
                    lines = list(_lines_with(mark, stream))
            except FileNotFoundError:
                continue  # pruned just now
            except (OSError, EOFError, zlib.error) as error:
                raise JournalError(file.path, None, f"cannot be read: {error}", "see that it is whole") from error
            yield lines


def _lines_with(mark: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """The lines that hold a mark, in order; blocks without it are not looked at any closer."""
    begun = b""  # a line whose end was not read yet
    while block := stream.read(_BLOCK_BYTES):
        whole, newline, rest = block.rpartition(b"\n")
        if not newline:
            begun += block
            continue
        lines, begun = begun + whole + newline, rest
        if mark in lines:
            yield from (line for line in lines.splitlines(keepends=True) if mark in line)
    if mark in begun:
        yield begun


def _decided(line: bytes, decision_id: str) -> Decided | None:
    """The event of a line if it is this decision: others name it as well."""
    event = _event(line, _TAGS)
    return event if isinstance(event, Decided) and decision_id_of(event) == decision_id else None


def _event(line: bytes, tags: Collection[bytes]) -> Event | None:
    """The event of a line if it is of one of these types, and can be read."""
    head = HEAD.match(line)
    if head is None or head[1] not in tags:
        return None
    try:
        return decode(line)
    except BadLineError:
        return None
