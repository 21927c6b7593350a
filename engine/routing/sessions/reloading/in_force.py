"""What decides in a session: put in force between two of its steps, remembered for cold starts, and said to who asks.

In: rulebooks that may decide, and verdicts on those that may not. Out: the swap, its line in the journal, in the
history, in what is kept for a start with broken files, and in the status that `sluice status` reads. A disk that does
not take any of these stops nothing: it is logged.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from engine.analysis.diff.changes import Given, Structure
from engine.analysis.diff.report import summary
from engine.analysis.diff.structure import compare
from engine.book import Book
from engine.journal.events import CandidateMoved, RulebookLoaded, RulebookRefused
from engine.reload.errors import ReloadError
from engine.reload.history import Entry, History, How
from engine.reload.last_good import GoodRulebook, LastGood, StartedOn, standing_in
from engine.reload.pipeline import Refused, Verdict
from engine.reload.remote import Remote
from engine.reload.status import Attempt, Status, attempt_of, write_status
from engine.reload.watch import WatchfilesSource
from engine.reload.who import user
from engine.routing.sessions.desk import Desk
from engine.routing.sessions.reloading.options import FirstBundle
from engine.routing.sessions.tried import candidate_status

_log = logging.getLogger(__name__)

_HOW: dict[str, How] = {
    "files": "reload", "bundle": "bundle", "rollback": "rollback", "promote": "promote", "return": "return",
}  # fmt: skip
_MOST_VALUES, _MOST_FINDINGS = 3, 20
_SAY_EVERY_MS = 1_000
"""How often a status is written while a candidate is tried, or something waits for room on a disk."""


CHANGES, REQUESTS = "changes", "requests"
"""The parts that go on beside a session: one looks for changes, the other answers what is asked."""


@dataclass(slots=True)
class Watching:
    """How well changes and requests are noticed."""

    is_away: bool = False
    """Whether the home is."""
    source: WatchfilesSource | None = None
    broken: dict[str, str] = field(default_factory=dict)
    """What broke down last in each part that goes on beside the session: until a change comes through, or a look for
    requests does."""

    @property
    def trouble(self) -> str:
        """Why changes, or requests, may go unnoticed; empty where all is well."""
        return "; ".join(filter(None, (self._of_changes, self.broken.get(REQUESTS))))

    @property
    def _of_changes(self) -> str:
        if self.is_away:
            return "the home is away"
        return self.broken.get(CHANGES, "") or (self.source.trouble if self.source is not None else "")


class _News(NamedTuple):
    """What a status says and what may be another without a word of anybody."""

    moved: CandidateMoved | None
    watching: str
    unwritten: str
    confirmed_ms: int | None


class InForce:
    """What a session decides by, and what is known of it."""

    def __init__(
        self,
        desk: Desk,
        home: Path,
        remote: Remote | None,
        watching: Watching,
        started: StartedOn | None,
        now_ms: Callable[[], int],
    ) -> None:
        """`started` is what the session begins with; None where nothing stands in for anything."""
        self.desk = desk
        self.sequence: int | None = None
        """Of the bundle that decides."""
        self.history = History(desk.around.logs)
        self._logs = desk.around.logs
        self._last_good = LastGood(self._logs)
        self._home = home
        self._remote = remote
        self._watching = watching
        self._started = started
        self._standing_in = started is not None and started.refused is not None
        self._now_ms = now_ms
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="reload")
        """Writes one thing after the other: an fsync in the session's loop would hold up orders."""
        self._generation = 0
        self._since_ms = now_ms()
        self._how: How = "last_good" if self._standing_in else "start"
        self._who = user()
        self._attempt: Attempt | None = None
        self._said_ms = 0
        self._said: _News | None = None
        self._entries: deque[Entry] = deque()
        """Of the history, to be written."""
        self._good: tuple[str, GoodRulebook] | None = None
        """A profile and what decides under it; None while a bundle does, which is remembered with its sequence."""
        self._unwritten: dict[str, str] = {}
        """What a disk did not take, and why: it is tried again with whatever is written next."""
        if started is not None and (finding := standing_in(started)) is not None:
            _log.error("%s: %s", finding.code, finding.message)

    @property
    def book(self) -> Book:
        """The rulebook in force."""
        return self.desk.book

    # --- what decides ------------------------------------------------------------------------------------------------

    def begin(self, first: FirstBundle | None) -> None:
        """Say what the session begins with, and what was wrong with the files or the bundle where others stand in."""
        started = self._started
        if started is not None and started.refused is not None:
            self.note(started.refused)
            self.refuse("files" if first is None else "bundle", started.refused)
            self.sequence = started.last_good.sequence if started.last_good is not None else None
        if first is not None and first.polled is not None:
            accepted = not self._standing_in
            if accepted:
                self.sequence = first.polled.verified.bundle.manifest.sequence
            polled = first.polled
            with suppress(ReloadError):
                self._write_bundle(lambda: first.remote.taken(polled, accepted=accepted)).result()
        self._remember("")
        self.say().result()

    def end(self) -> None:
        """The session is over."""
        stop = self._entry("stop")
        self._entries.append(stop)
        self._write("history", self._add_entries)
        self.say(ended_ms=stop.at_ms)
        self._writer.shutdown()

    def put(
        self,
        book: Book,
        how: str,
        who: str,
        changed: str,
        *,
        checks: Mapping[str, Any] | None = None,
        sequence: int | None = None,
    ) -> None:
        """Have a rulebook, which is fit, decide from here on. `changed` says in a line what is different then."""
        before = self.book
        loaded = RulebookLoaded(
            ts_ms=0,
            profile=book.profile,
            rulebook=book.version,
            sources=book.rulebook.sources_digest,
            previous=before.version,
            how=how,
            who=who,
            changed=changed,
            checks=dict(checks or {}),
        )
        self.desk.adopt(book, loaded)
        self._generation += 1
        self._since_ms, self._how, self._who, self.sequence = self._now_ms(), _HOW[how], who, sequence
        self._standing_in = False
        _log.info("rulebook %s %s decides (%s): %s", book.profile, book.version, how, changed)
        self._remember(changed)

    def stays(self, sequence: int | None) -> None:
        """What decides is what the files, or the bundle of a sequence, say."""
        self._standing_in = False
        if sequence is not None:
            self.sequence, self._good = sequence, None

    def note(self, verdict: Verdict) -> None:
        """What the status shows as the last change."""
        self._attempt = attempt_of(verdict, self._now_ms())

    def refuse(self, how: str, refused: Refused) -> None:
        """Say in log and journal that something must not decide, and why."""
        desk = self.desk
        _log.error("a change is refused (%s): %s", refused.stage, refused.line)
        findings = [
            {"code": found.code, "at": str(found.span), "message": found.message, "help": found.help}
            for found in refused.findings[:_MOST_FINDINGS]
        ]
        desk.router.emit(
            RulebookRefused(
                ts_ms=desk.router.now_ms,
                profile=desk.book.profile,
                rulebook=refused.version,
                how=how,
                stage=refused.stage,
                reason=refused.line,
                findings=findings,
            )
        )
        desk.settle()

    async def change_to(self, book: Book) -> str:
        """How a book differs from what decides, in a line; when this is back, the same decides as it says."""
        while True:
            before = self.book
            told = await asyncio.to_thread(changed, before, book)
            if self.book is before:
                return told

    # --- what is remembered ------------------------------------------------------------------------------------------

    def _entry(self, how: How, told: str = "") -> Entry:
        book = self.book
        begins = how != "stop"
        return Entry(
            at_ms=self._now_ms(),
            how=how,
            profile=book.profile,
            version=book.version,
            sources=book.rulebook.sources_digest,
            who=self._who if begins else "",
            changed=told,
            origin=self._origin() if begins else "",
            sequence=self.sequence if begins else None,
            journal_seq=self.desk.journal.last_seq,
        )

    def _remember(self, told: str) -> None:
        """What a later session, and whoever asks, needs to know of what decides from here on."""
        entry = self._entry(self._how, told)
        self._entries.append(entry)
        self._write("history", self._add_entries)
        self._good = None  # what was to be remembered so far is over: written later, it would stand for this one
        # Of a bundle its address remembers it, with the sequence; and what stands in for files is remembered already.
        if entry.sequence is None and entry.how != "last_good":
            good = GoodRulebook(version=entry.version, sources=entry.sources, at_ms=entry.at_ms, origin=entry.origin)
            self._good = entry.profile, good
            self._write("last good", self._remember_good)

    def _add_entries(self) -> None:
        while self._entries:
            self.history.add(self._entries[0])
            self._entries.popleft()

    def _remember_good(self) -> None:
        if (good := self._good) is not None:
            self._last_good.remember(*good)

    async def remember_bundle(self, taken: Callable[[], None]) -> None:
        """Have the address of a bundle remember what became of it, in turn with all else that is written.

        Raises:
            ReloadError: what `taken` raises.

        """
        await asyncio.wrap_future(self._write_bundle(taken))

    def _write_bundle(self, taken: Callable[[], None]) -> Future[None]:
        def write() -> None:
            taken()
            # What was put in force since the bundle was stands in the file again; what it superseded waits no longer.
            self._try("last good", self._remember_good)

        return self._writer.submit(write)

    def _write(self, name: str, writing: Callable[[], None]) -> Future[None]:
        """Have something written after everything before it."""
        return self._writer.submit(self._try, name, writing)

    def _try(self, name: str, writing: Callable[[], None]) -> None:
        """Write something, in the writer's thread. A disk that does not take it is logged, once."""
        try:
            writing()
        except ReloadError as error:
            if self._unwritten.get(name) != str(error):
                _log.error("not remembered: %s", error)
            self._unwritten[name] = str(error)
        else:
            self._unwritten.pop(name, None)

    def _write_again(self) -> None:
        """Try what a disk did not take, in case there is room by now."""
        for name, writing in (("history", self._add_entries), ("last good", self._remember_good)):
            if name in self._unwritten:
                self._write(name, writing)

    async def written(self) -> None:
        """Wait until all is written that was to be."""
        await asyncio.wrap_future(self._writer.submit(lambda: None))

    # --- what is said of it ------------------------------------------------------------------------------------------

    def say(self, ended_ms: int | None = None) -> Future[None]:
        """Write the status."""
        self._write_again()
        self._said_ms = self._now_ms()
        book, tried = self.book, self.desk.tried
        self._said = news = self._news()
        status = Status(
            profile=book.profile,
            version=book.version,
            sources=book.rulebook.sources_digest,
            generation=self._generation,
            since_ms=self._since_ms,
            how=self._how,
            process=os.getpid(),
            host=socket.gethostname(),
            ended_ms=ended_ms,
            origin=self._origin(),
            who=self._who,
            last_good=self._standing_in,
            sequence=self.sequence,
            confirmed_ms=news.confirmed_ms,
            watching=news.watching,
            unwritten=news.unwritten,
            attempt=self._attempt,
            candidate=candidate_status(tried),
        )
        return self._write("status", lambda: write_status(self._logs, status))

    def say_what_is_new(self) -> None:
        """Write the status where it says something else than the one before.

        Where a candidate is tried, or a disk did not take something, it is written every second.
        """
        is_due = self._now_ms() >= self._said_ms + _SAY_EVERY_MS
        if self._said != self._news() or (is_due and (self.desk.tried.is_tried or self._unwritten)):
            self.say()

    def _news(self) -> _News:
        return _News(self.desk.tried.moved, self._watching.trouble, self._not_remembered(), self._confirmed_ms())

    def _confirmed_ms(self) -> int | None:
        return self._remote.confirmed_ms if self._remote is not None else None

    def _not_remembered(self) -> str:
        return "; ".join(told for name, told in sorted(self._unwritten.copy().items()) if name != "status")

    def _origin(self) -> str:
        return str(self._home.absolute()) if self._remote is None else self._remote.shown


def changed(before: Book, after: Book) -> str:
    """What is different, in a line: the values where there are few and nothing else, else how much of each kind."""
    structure = compare(before.rulebook, after.rulebook)
    values = structure.values
    if len(values) > _MOST_VALUES or replace(structure, values=()) != Structure():
        return summary(structure)
    if not values:
        return "nothing that decides"
    return "; ".join(
        f"{change.name} {_given(change.a)} → {_given(change.b)}{f' for {change.group}' if change.group else ''}"
        for change in values
    )


def _given(given: Given | None) -> str:
    return "nothing" if given is None else given.text
