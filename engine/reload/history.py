"""Which rulebooks ran, from when to when, who changed them, and what was different.

    logs/reload/history.jsonl    one line each time that another rulebook began to decide, or a session ended

The journal says the same of its own session; this file goes on over all sessions of a `logs` folder, so that
`sluice history` and `sluice rollback` need not read years of journals. Lines are only ever added. A line that a crash
has cut off is passed over, and the next one begins anew.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from engine.journal.events import CandidateMoved, Decided, Event, RulebookLoaded, SessionStarted
from engine.reload.disk import what_helps
from engine.reload.errors import ReloadError
from engine.reload.last_good import RELOAD, GoodRulebook

_FILE = "history.jsonl"
_BEGINNINGS = ("start", "last_good")

How: TypeAlias = Literal[
    "start", "last_good", "reload", "bundle", "rollback", "promote", "return", "proved", "stop",
    "rollout", "rollout_end",
]  # fmt: skip
"""What made a rulebook decide: `last_good` is a start with broken files, `return` goes back to what came before,
since a proof failed that came after the swap. `proved` says that such proofs have passed: it begins nothing. `stop`
ends the last span. From `rollout` to `rollout_end` a candidate decides for some symbols, beside what is in force."""

ROLLOUTS = ("rollout", "rollout_end")
"""What says nothing of what is in force."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another rulebook decides from here on; or with `stop` none."""

    at_ms: int
    how: How
    profile: str
    version: str
    sources: str
    who: str = ""
    changed: str = ""
    """What is different from the one before, in one line."""
    origin: str = ""
    sequence: int | None = None
    """Of its bundle."""
    journal_seq: int | None = None
    """How far the journal was by then; None where nobody said."""
    unproved: bool = False
    """Whether its proofs were to come after it; they have passed where a later entry of the version is not so."""
    symbols: list[str] = []
    """Of a rollout: for which it decides."""


SpanState: TypeAlias = Literal["ended", "running", "killed"]
"""Of a time over which one rulebook decides: when one ended that was killed nobody knows."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time over which one rulebook decided."""

    entry: Entry
    until_ms: int | None
    """None where it decides still, or its session ended without a word."""
    decisions: int | None = None
    """Made under it in this time; None where nobody counted."""
    ended: str = ""
    """Why a rollout was over; empty for anything else."""
    was_killed: bool = False
    """Whether its session ended without a word, as far as later ones show."""

    def state(self, *, runs: bool) -> SpanState:
        """How it stands; `runs` says whether a session is at work."""
        if self.until_ms is not None:
            return "ended"
        return "running" if runs and not self.was_killed else "killed"


class History:
    """The history of one `logs` folder."""

    def __init__(self, logs: Path) -> None:
        self.path = logs / RELOAD / _FILE

    def add(self, entry: Entry) -> None:
        """Add a line, and wait until it is on the medium. Raises `ReloadError` if it cannot be written."""
        line = msgspec.json.encode(entry) + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as stream:
                end = stream.tell()
                stream.seek(max(end - 1, 0))
                torn = end and stream.read(1) != b"\n"
                stream.write(b"\n" + line if torn else line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ReloadError(f"`{self.path}` cannot be written: {reason}", what_helps(error)) from error

    def entries(self, profile: str | None = None) -> list[Entry]:
        """Every entry but those of rollouts, oldest first; of one profile if given.

        Raises:
            ReloadError: for a file that cannot be read.

        """
        found = [entry for entry in self._lines() if entry.how not in ROLLOUTS]
        return [entry for entry in found if profile is None or entry.profile == profile]

    def _lines(self) -> list[Entry]:
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ReloadError(f"`{self.path}` cannot be read: {reason}", "check its permissions") from error
        found = [entry for line in lines if line and (entry := _entry(line)) is not None]
        # A line that was written after all, though the disk said otherwise, is there twice.
        return [entry for entry, _ in groupby(found)]

    def spans(self, profile: str | None = None, journal: Iterable[Event] | None = None) -> list[Span]:
        """The spans, oldest first; with the events of a journal each says how many decisions were made in it.

        Those of rollouts lie within others.
        """
        lines = [entry for entry in self._lines() if entry.how != "proved"]
        counts = _counted(lines, journal) if journal is not None else {}
        mine = [(number, entry) for number, entry in enumerate(lines) if profile in (None, entry.profile)]
        reigns = [(number, entry) for number, entry in mine if entry.how not in ROLLOUTS]
        # What a session began with says nothing of when the one before it was killed.
        ends = [None if entry.how in _BEGINNINGS else entry.at_ms for _, entry in reigns[1:]]
        found = {
            number: Span(entry, end, counts.get(number))
            for (number, entry), end in zip_longest(reigns, ends)
            if entry.how != "stop"
        }
        for place, (number, entry) in enumerate(mine):
            if entry.how == "rollout":
                last = next((later for _, later in mine[place + 1 :] if later.how in _ENDS_ROLLOUT), None)
                until_ms = None if last is None or last.how in _BEGINNINGS else last.at_ms
                ended = last.changed if last is not None and last.how == "rollout_end" else ""
                found[number] = Span(entry, until_ms, counts.get(number), ended)
        begun = max((number for number, entry in enumerate(lines) if entry.how in _BEGINNINGS), default=0)
        return [
            replace(span, was_killed=span.until_ms is None and number < begun) for number, span in sorted(found.items())
        ]


def rollback_to(
    entries: Sequence[Entry], decides: str, wanted: str | None = None, *, passed_over: Collection[str] = ()
) -> Entry:
    """The entry to go back to: the latest of a version (or the beginning of one), else of the one before what decides.

    Before is as an undo has it: what decided last before this one, but for what a rollback left or a proof took back.
    What decided before its proofs is not gone back to unless they passed, and without a name nothing that is
    `passed_over`.

    Raises:
        ReloadError: where there is none, and where the beginning fits several.

    """
    ran = [entry for entry in entries if entry.how not in ("stop", *ROLLOUTS)]
    if not ran:
        raise ReloadError("no rulebook ran here yet", "`sluice run` starts one")
    proved = {entry.version for entry in ran if not entry.unproved}
    if wanted is None:
        latest = {entry.version: entry for entry in ran}
        barred = {decides, *passed_over} | (latest.keys() - proved)
        good = [version for version in _undoable(ran, decides) if version not in barred]
        if not good:
            raise ReloadError(
                f"nothing that may decide came before {decides}", "name another version: `sluice history` lists them"
            )
        return latest[good[-1]]
    fitting = {entry.version: entry for entry in ran if entry.version.startswith(wanted.strip().lower())}
    if not wanted.strip() or not fitting:
        raise ReloadError(f"no rulebook `{wanted}` ran here", "`sluice history` lists them")
    if len(fitting) > 1:
        raise ReloadError(f"{len(fitting)} rulebooks begin with `{wanted}`", f"name one whole: {', '.join(fitting)}")
    ((version, entry),) = fitting.items()
    if version not in proved:
        raise ReloadError(
            f"{version} decided before its proofs, and they have not passed", "save it again: it is proved then"
        )
    return entry


def _undoable(ran: Iterable[Entry], decides: str | None = None) -> list[str]:
    """The versions that decided one after the other, without what was undone; last the one that decides.

    A rollback undoes all that came after the version it went to, an automatic return what it took back.
    """
    stack: list[str] = []
    for entry in ran:
        if entry.how == "proved":  # by then another one may decide
            continue
        if entry.how == "rollback" and entry.version in stack:
            while stack[-1] != entry.version:
                stack.pop()
        elif entry.how == "return" and stack:
            stack.pop()
        # The same may begin again, as at a restart or with another comment.
        if stack[-1:] != [entry.version]:
            stack.append(entry.version)
    return stack if decides is None or stack[-1:] == [decides] else [*stack, decides]


def unpassed(entries: Iterable[Entry]) -> frozenset[str]:
    """The versions that decided before their proofs, of which nobody said that these passed."""
    waiting: set[str] = set()
    for entry in entries:
        if entry.unproved:
            waiting.add(entry.version)
        elif entry.how == "proved":
            waiting.discard(entry.version)
    return frozenset(waiting)


def good_before(entries: Sequence[Entry]) -> list[GoodRulebook]:
    """What decided here and may stand in for what is away, the latest first.

    What was rolled back or taken back is none of it unless it decided again, nor what decided before its proofs and
    never passed them.
    """
    ran = [entry for entry in entries if entry.how not in ("stop", *ROLLOUTS)]
    latest = {entry.version: entry for entry in ran}
    kept = dict.fromkeys(reversed(_undoable(ran)))
    good = [latest[version] for version in kept if version not in unpassed(ran)]
    return [
        GoodRulebook(
            version=entry.version,
            sources=entry.sources,
            at_ms=entry.at_ms,
            origin=entry.origin,
            sequence=entry.sequence,
        )
        for entry in good
    ]


class _Version(msgspec.Struct):
    rulebook: str


_version = msgspec.json.Decoder(_Version)


_ENDS_ROLLOUT = (*ROLLOUTS, *_BEGINNINGS, "stop")

COUNTED = (Decided, RulebookLoaded, SessionStarted, CandidateMoved)
"""The events that `History.spans` counts by."""

RELOADS = "reload_gate"
"""The setting that only a session has which writes a history."""


@dataclass(slots=True)
class _Reign:
    """A time over which a journal says that one rulebook decided."""

    version: str
    begun_seq: int
    is_listed: bool
    """Whether its session writes a history."""
    is_rollout: bool = False
    """Whether it decided for some symbols alone, beside another one."""
    until_seq: float = math.inf
    decisions: int = 0

    def is_of(self, entry: Entry) -> bool:
        """Whether an entry was written in this time."""
        seq = entry.journal_seq
        if seq is None or not self.begun_seq <= seq < self.until_seq or entry.version != self.version:
            return False
        return entry.how == "rollout" if self.is_rollout else entry.how not in ("stop", *ROLLOUTS)


def _counted(entries: Sequence[Entry], journal: Iterable[Event]) -> dict[int, int]:
    """How many decisions each entry's rulebook made, by the entry's place.

    Both are laid beside each other from their ends, since a journal may begin later than the history does, or anew. A
    journal's time is its market's, so an entry is known by how far the journal was. What a session decided that writes
    no history, or whose line a full disk did not take, is counted nowhere.
    """
    counts: dict[int, int] = {}
    for reigns in _reigns(journal):
        rest = len(entries)
        for reign in reversed(reigns):
            places = reversed(range(rest)) if reign.is_listed else ()
            found = next((number for number in places if reign.is_of(entries[number])), None)
            if found is not None:
                counts[found], rest = reign.decisions, found
    return counts


def _reigns(journal: Iterable[Event]) -> tuple[list[_Reign], list[_Reign]]:
    """What was in force, and the candidates that decided for some symbols beside it."""
    reigns: list[_Reign] = []
    rollouts: list[_Reign] = []
    for event in journal:
        if rollouts and isinstance(event, CandidateMoved | SessionStarted):
            rollouts[-1].until_seq = min(rollouts[-1].until_seq, event.seq)
        if isinstance(event, RulebookLoaded | SessionStarted):
            if reigns:
                reigns[-1].until_seq = event.seq
            is_listed = isinstance(event, RulebookLoaded) or RELOADS in event.settings
            reigns.append(_Reign(event.rulebook, event.seq, is_listed))
        elif isinstance(event, CandidateMoved):
            if event.state == "partial":
                rollouts.append(_Reign(event.rulebook, event.seq, is_listed=True, is_rollout=True))
        elif isinstance(event, Decided):
            version = _version.decode(event.record).rulebook
            for reign in (*reigns[-1:], *rollouts[-1:]):
                if reign.version == version and event.seq < reign.until_seq:
                    reign.decisions += 1
    return reigns, rollouts


def _entry(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
