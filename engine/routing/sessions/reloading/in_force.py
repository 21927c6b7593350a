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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from engine.analysis.diff.changes import Given
from engine.analysis.diff.report import named
from engine.analysis.diff.structure import compare
from engine.book import Book
from engine.journal.events import CandidateMoved, RulebookLoaded, RulebookRefused
from engine.language.findings import one_line
from engine.printing import lasting
from engine.reload.errors import ReloadError
from engine.reload.history import ROLLOUTS, Entry, History, How
from engine.reload.kept_bundles import Trust
from engine.reload.last_good import GoodRulebook, LastGood, StartedOn, standing_in
from engine.reload.pipeline import Gate, Refused, Verdict
from engine.reload.remote import Arrived, Remote
from engine.reload.status import Attempt, Status, Unavailable, attempt_of, began, write_status
from engine.reload.watch import WatchfilesSource
from engine.reload.who import user
from engine.routing.sessions.desk import Desk
from engine.routing.sessions.reloading.options import FirstBundle
from engine.routing.sessions.reloading.origin import RulesOrigin
from engine.routing.sessions.tried import candidate_status

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_log = logging.getLogger(__name__)

_HOW: dict[str, How] = {
    "files": "reload", "bundle": "bundle", "rollback": "rollback", "promote": "promote", "return": "return",
}  # fmt: skip
_OUT_OF_TURN = ("rollback", "promote", "return")
"""What no file and no bundle says: whoever looks after a session has to hear of it."""

_MOST_NAMED, _MOST_FINDINGS = 3, 20
_TIME = "%Y-%m-%d %H:%M:%S UTC"
_SAY_EVERY_MS = 1_000
"""How often a status is written while a candidate is tried, or something waits for room on a disk."""


CHANGES, REQUESTS = "changes", "requests"
"""The parts that go on beside a session: one looks for changes, the other answers what is asked."""


@dataclass(slots=True)
class Watching:
    """How well changes and requests are noticed."""

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
        return self.broken.get(CHANGES, "") or (self.source.trouble if self.source is not None else "")


class _News(NamedTuple):
    """What a status says and what may be another without a word of anybody."""

    moved: CandidateMoved | None
    watching: str
    unwritten: str
    confirmed_ms: int | None
    unavailable: Unavailable | None


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
        *,
        gate: Gate,
        keys: Sequence[Ed25519PublicKey] = (),
    ) -> None:
        """`started` is what the session begins with; None where nothing stands in for anything.

        With `keys`, what decides has to have come in a bundle that one of them signed.
        """
        self.desk = desk
        self.trust = Trust(desk.around.logs, desk.book.profile, keys)
        """Whether a rulebook may decide that comes in no bundle now."""
        self.sequence: int | None = None
        """Of the bundle that decides."""
        self.history = History(desk.around.logs)
        self._logs = desk.around.logs
        self._last_good = LastGood(self._logs)
        self._remote = remote
        self.origin = RulesOrigin(desk, home, remote, now_ms)
        """Where rules come from."""
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
        self.attempt: Attempt | None = None
        """What the status shows as the last change."""
        self.offered: str | None = desk.book.version
        """The version that the files, or the address, had when they were last looked at; None for what makes none."""
        self._came_from = self._came_from_before = ""
        """Where what decides came from, and what did before it; empty for `origin`."""
        self._gate = gate
        self._moved, self._moved_ms = desk.tried.moved, now_ms()
        """How the candidate stood when it was last looked at, and since when, by the clock of the system."""
        self.asked_by = ""
        """Who asked last for something of the candidate."""
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

    @property
    def since(self) -> str:
        """What decides, since when (UTC), and by what and by whom, in a line."""
        by = f"{self._who} ({self._how})" if self._who else self._how
        return f"{self.book.version} does since {datetime.fromtimestamp(self._since_ms / 1000, UTC):{_TIME}}, by {by}"

    # --- what decides ------------------------------------------------------------------------------------------------

    def begin(self, first: FirstBundle | None) -> None:
        """Say what the session begins with, and what was wrong with the files or the bundle where others stand in."""
        started = self._started
        if started is not None and started.refused is not None:
            self.note(started.refused)
            self.refuse("files" if first is None else "bundle", started.refused)
            good = started.last_good
            self.sequence = good.sequence if good is not None else None
            self._came_from = self._not_here(good.origin if good is not None else "")
        if first is not None and first.polled is not None:
            self._begin_with(first.remote, first.polled, None if started is None else started.refused)
        self._remember("")
        self.say().result()

    def _begin_with(self, remote: Remote, polled: Arrived, refused: Refused | None) -> None:
        """What became of the bundle that was there when the session began."""
        if refused is not None and refused.stage == "keep":
            remote.put_off()  # nothing is wrong with the bundle
            return
        if refused is None:
            self.sequence = polled.verified.bundle.manifest.sequence
        with suppress(ReloadError):  # the status says so, and it is asked for again
            self._write_bundle(lambda: remote.taken(polled, accepted=refused is None)).result()

    def end(self) -> None:
        """The session is over."""
        self._follow_candidate()
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
        unproved: bool = False,
        came_from: str = "",
    ) -> None:
        """Have a rulebook, which is fit, decide from here on. `changed` says in a line what is different then.

        `came_from` says where it came from, where that is not the home or the address.
        One that is `unproved` is nothing that a later start or a rollback takes, until `proved` is said of it.
        """
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
        came_from = self._came_from_before if how == "return" else self._not_here(came_from)
        self._came_from_before, self._came_from = self._came_from, came_from
        by = f"{how}, by {one_line(who)}" if who else how
        level = logging.WARNING if how in _OUT_OF_TURN else logging.INFO
        _log.log(level, "rulebook %s %s decides (%s): %s", book.profile, book.version, by, changed)
        self._remember(changed, unproved=unproved)

    def proved(self, book: Book) -> None:
        """The proofs of a rulebook that decided before them have passed."""
        entry = self._entry("proved", book=book)
        self._entries.append(entry)
        self._write("history", self._add_entries)
        if self.book is book:
            self._remember_as_good(entry)

    def stays(self, sequence: int | None) -> None:
        """What decides is what the files, or the bundle of a sequence, say."""
        self._standing_in, self._came_from = False, ""
        if sequence is not None:
            self.sequence, self._good = sequence, None

    def take_back(self, before: Book, told: str, sequence: int | None) -> str:
        """Have the rulebook before decide again, since a proof failed of this one; says what it had done, in a line.

        `told` says in a line what is different then. Nobody asked for it.
        """
        decided = f"{self.book.version} decided for {lasting((self._now_ms() - self._since_ms) / 1000)}"
        self.put(before, "return", "", f"{decided} and is taken back, since a proof failed: {told}", sequence=sequence)
        return f"{decided}, and was taken back"

    def note(self, verdict: Verdict, taken_back: str = "") -> None:
        """What the status shows as the last change; `taken_back` as `take_back` says it."""
        self.attempt = msgspec.structs.replace(attempt_of(verdict, self._now_ms()), taken_back=taken_back)
        self.offered = self.attempt.version

    def refuse(self, how: str, refused: Refused, *, candidate: str = "") -> None:
        """Say in log and journal that something must not decide, and why; `candidate` is the name of one."""
        desk = self.desk
        change = f"the change to {refused.version}" if refused.version else "a change"
        what = f"the candidate {candidate}" if candidate else change
        _log.error("%s is refused (%s): %s", what, refused.stage, refused.line)
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

    @property
    def _from_where(self) -> str:
        return self._came_from or self.origin.name

    def _not_here(self, came_from: str) -> str:
        """Where a rulebook came from; empty for the home, or the address, itself."""
        return "" if came_from == self.origin.name else came_from

    async def change_to(self, book: Book) -> str:
        """How a book differs from what decides, in a line; when this is back, the same decides as it says."""
        while True:
            before = self.book
            told = await asyncio.to_thread(changed, before, book)
            if self.book is before:
                return told

    # --- what is remembered ------------------------------------------------------------------------------------------

    def _entry(self, how: How, told: str = "", *, book: Book | None = None, unproved: bool = False) -> Entry:
        book = book or self.book
        begins = how not in ("proved", "stop")
        return Entry(
            at_ms=self._now_ms(),
            how=how,
            profile=book.profile,
            version=book.version,
            sources=book.rulebook.sources_digest,
            who=self._who if begins else "",
            changed=told,
            origin=self._from_where if begins else "",
            sequence=self.sequence if begins else None,
            journal_seq=self.desk.journal.last_seq,
            unproved=unproved,
        )

    async def entries(self) -> list[Entry]:
        """The history of this profile, with what a disk did not take yet. Raises `ReloadError` if it cannot be read."""
        waiting = self._entries.copy()  # which the writer shortens at any time
        written = await asyncio.to_thread(self.history.entries)
        late = [entry for entry in waiting if entry.how not in ROLLOUTS and entry not in written]
        return [entry for entry in (*written, *late) if entry.profile == self.book.profile]

    def _remember(self, told: str, *, unproved: bool = False) -> None:
        """What a later session, and whoever asks, needs to know of what decides from here on."""
        entry = self._entry(self._how, told, unproved=unproved)
        self._entries.append(entry)
        self._write("history", self._add_entries)
        self._good = None  # what was to be remembered so far is over: written later, it would stand for this one
        # What stands in for files is remembered already.
        if entry.how != "last_good" and not unproved:
            self._remember_as_good(entry)

    def _remember_as_good(self, entry: Entry) -> None:
        """Have a later start take what decides. Of a bundle its address remembers it, with the sequence."""
        if self.sequence is None:
            good = GoodRulebook(
                version=entry.version, sources=entry.sources, at_ms=entry.at_ms, origin=self._from_where
            )
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
            try:
                taken()
            except ReloadError as error:
                _log.error("the sequence of the bundle is not remembered: %s", error)
                self._unwritten["bundle"] = str(error)
                raise
            self._unwritten.pop("bundle", None)
            # What was put in force since the bundle was stands in the file again; what it superseded waits no longer.
            self._try("last good", self._remember_good)

        return self._writer.submit(write)

    def _write(self, name: str, writing: Callable[[], None]) -> Future[None]:
        """Have something written after everything before it."""
        return self._writer.submit(self._try, name, writing)

    def _try(self, name: str, writing: Callable[[], None]) -> None:
        """Write something, in the writer's thread. What does not take it, such as a full disk, is logged, once."""
        try:
            writing()
        except Exception as error:  # noqa: BLE001 - nobody else looks at what the writer does
            if self._unwritten.get(name) != str(error):
                _log.error("not remembered: %s", error, exc_info=None if isinstance(error, ReloadError) else error)
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
        self._follow_candidate()
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
            began=began(os.getpid()),
            host=socket.gethostname(),
            ended_ms=ended_ms,
            origin=self.origin.name,
            came_from=self._came_from,
            offered=self.offered,
            gate=self._gate,
            who=self._who,
            last_good=self._standing_in,
            passed_over=self._started.passed_over if self._standing_in and self._started is not None else "",
            sequence=self.sequence,
            confirmed_ms=news.confirmed_ms,
            unavailable=news.unavailable,
            polls=self.origin.polls,
            watching=news.watching,
            unwritten=news.unwritten,
            attempt=self.attempt,
            candidate=candidate_status(tried, self._moved_ms),
        )
        return self._write("status", lambda: write_status(self._logs, status))

    def say_what_is_new(self) -> None:
        """Write the status where it says something else than the one before.

        Where a candidate is tried, or a disk did not take something, it is written every second.
        """
        is_due = self._now_ms() >= self._said_ms + _SAY_EVERY_MS
        if self._said != self._news() or (is_due and (self.desk.tried.is_tried or self._unwritten)):
            self.say()

    def _follow_candidate(self) -> None:
        """Write into the history where a candidate begins to decide for some symbols, and where it no longer does."""
        before, moved = self._moved, self.desk.tried.moved
        if moved is before:
            return
        self._moved, self._moved_ms = moved, self._now_ms()
        if before is not None and before.state == "partial":
            state, reason = ("ended", "") if moved is None else (moved.state, moved.reason)
            ended = {"returned": "taken back", "partial": "it was given other symbols"}.get(state, state)
            if state == "returned":
                symbols = ", ".join(before.symbols)
                _log.warning("%s %s is taken back for %s: %s", before.profile, before.rulebook, symbols, reason)
            self._entries.append(self._of_rollout("rollout_end", before, f"{ended}{reason and f': {reason}'}"))
        if moved is not None and moved.state == "partial":
            told = f"a candidate decides for {', '.join(moved.symbols)}"
            by = f", by {one_line(self.asked_by)}" if self.asked_by else ""
            _log.warning("%s %s: %s%s", moved.profile, moved.rulebook, told, by)
            self._entries.append(self._of_rollout("rollout", moved, told, self.asked_by))
        if self._entries:
            self._write("history", self._add_entries)

    def _of_rollout(self, how: How, moved: CandidateMoved, told: str, who: str = "") -> Entry:
        return Entry(
            at_ms=self._moved_ms,
            how=how,
            profile=moved.profile,
            version=moved.rulebook,
            sources=moved.sources,
            who=who,
            changed=told,
            journal_seq=self.desk.journal.last_seq,
            symbols=moved.symbols,
        )

    def _news(self) -> _News:
        return _News(
            self.desk.tried.moved,
            self._watching.trouble,
            self._not_remembered(),
            self._confirmed_ms(),
            self.origin.unavailable,
        )

    def _confirmed_ms(self) -> int | None:
        return self._remote.confirmed_ms if self._remote is not None else None

    def _not_remembered(self) -> str:
        return "; ".join(told for name, told in sorted(self._unwritten.copy().items()) if name != "status")


def changed(before: Book, after: Book) -> str:
    """What is different, in a line: the first of it by name, values before all else, and how much more there is."""
    structure = compare(before.rulebook, after.rulebook)
    told = [
        f"{change.name} {_given(change.a)} → {_given(change.b)}{f' for {change.group}' if change.group else ''}"
        for change in structure.values
    ]
    told += [
        f"{_TOPICS.get(change.topic, change.topic)} {named(change)} {change.kind}" for change in structure.changes()
    ]
    if not told:
        is_same = before.rulebook.sources_digest == after.rulebook.sources_digest
        return "nothing" if is_same else "whys only" if structure.whys else "comments only"
    more = len(told) - _MOST_NAMED
    return "; ".join(told) if more <= 0 else f"{'; '.join(told[: _MOST_NAMED - 1])}; and {more + 1} more"


_TOPICS = {"disabled rule": "rule"}
"""Where the word of a change says the rest."""


def _given(given: Given | None) -> str:
    return "nothing" if given is None else given.text.removesuffix(" count")  # which says no more than the number
