"""Which rulebooks ran, from when to when, who changed them, and what was different.

    logs/reload/history.jsonl    one line each time that another rulebook began to decide, or a session ended

The journal says the same of its own session; this file goes on over all sessions of a `logs` folder, so that
`sluice history` and `sluice rollback` need not read years of journals. Lines are only ever added. A line that a crash
has cut off is passed over, and the next one begins anew.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from engine.journal.events import Decided, Event, RulebookLoaded, SessionStarted
from engine.reload.errors import ReloadError
from engine.reload.last_good import RELOAD

_FILE = "history.jsonl"
_BEGINNINGS = ("start", "last_good")

How: TypeAlias = Literal["start", "last_good", "reload", "bundle", "rollback", "promote", "return", "stop"]
"""What made a rulebook decide: `last_good` is a start with broken files, `return` goes back to what came before,
since a proof failed that came after the swap. `stop` ends the last span."""


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


@dataclass(frozen=True, slots=True)
class Span:
    """A time over which one rulebook decided."""

    entry: Entry
    until_ms: int | None
    """None where it decides still, or its session ended without a word."""
    decisions: int | None = None
    """Made under it in this time; None where nobody counted."""


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
            raise ReloadError(f"`{self.path}` cannot be written: {reason}", "make room, or free the folder") from error

    def entries(self, profile: str | None = None) -> list[Entry]:
        """Every entry, oldest first; of one profile if given.

        Raises:
            ReloadError: for a file that cannot be read.

        """
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ReloadError(f"`{self.path}` cannot be read: {reason}", "check its permissions") from error
        found = [entry for line in lines if line and (entry := _entry(line)) is not None]
        # A line that was written after all, though the disk said otherwise, is there twice.
        found = [entry for entry, _ in groupby(found)]
        return [entry for entry in found if profile is None or entry.profile == profile]

    def spans(self, profile: str | None = None, journal: Iterable[Event] | None = None) -> list[Span]:
        """The spans, oldest first; with the events of a journal each says how many decisions were made in it."""
        entries = self.entries()
        counts = _counted(entries, journal) if journal is not None else {}
        mine = [(number, entry) for number, entry in enumerate(entries) if profile in (None, entry.profile)]
        # What a session began with says nothing of when the one before it was killed.
        ends = [None if entry.how in _BEGINNINGS else entry.at_ms for _, entry in mine[1:]]
        return [
            Span(entry, end, counts.get(number))
            for (number, entry), end in zip_longest(mine, ends)
            if entry.how != "stop"
        ]


def rollback_to(entries: Sequence[Entry], wanted: str | None = None) -> Entry:
    """The entry to go back to: the latest of a version (or the beginning of one), else the one before what runs.

    Raises:
        ReloadError: where there is none, and where the beginning fits several.

    """
    ran = [entry for entry in entries if entry.how != "stop"]
    if not ran:
        raise ReloadError("no rulebook ran here yet", "`sluice run` starts one")
    if wanted is None:
        before = [entry for entry in ran if entry.version != ran[-1].version]
        if not before:
            raise ReloadError(f"only {ran[-1].version} ran here", "there is nothing to go back to")
        return before[-1]
    fitting = {entry.version: entry for entry in ran if entry.version.startswith(wanted.strip().lower())}
    if not wanted.strip() or not fitting:
        raise ReloadError(f"no rulebook `{wanted}` ran here", "`sluice history` lists them")
    if len(fitting) > 1:
        raise ReloadError(f"{len(fitting)} rulebooks begin with `{wanted}`", f"name one whole: {', '.join(fitting)}")
    return next(iter(fitting.values()))


class _Version(msgspec.Struct):
    rulebook: str


_version = msgspec.json.Decoder(_Version)


COUNTED = (Decided, RulebookLoaded, SessionStarted)
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
    decisions: int = 0

    def is_of(self, entry: Entry, until_seq: float) -> bool:
        """Whether an entry was written in this time."""
        seq = entry.journal_seq
        fits = seq is not None and self.begun_seq <= seq < until_seq
        return fits and entry.how != "stop" and entry.version == self.version


def _counted(entries: Sequence[Entry], journal: Iterable[Event]) -> dict[int, int]:
    """How many decisions each entry's rulebook made, by the entry's place.

    Both are laid beside each other from their ends, since a journal may begin later than the history does, or anew. A
    journal's time is its market's, so an entry is known by how far the journal was. What a session decided that writes
    no history, or whose line a full disk did not take, is counted nowhere.
    """
    counts: dict[int, int] = {}
    rest, until_seq = len(entries), math.inf
    for reign in reversed(_reigns(journal)):
        places = reversed(range(rest)) if reign.is_listed else ()
        found = next((number for number in places if reign.is_of(entries[number], until_seq)), None)
        until_seq = reign.begun_seq
        if found is not None:
            counts[found], rest = reign.decisions, found
    return counts


def _reigns(journal: Iterable[Event]) -> list[_Reign]:
    reigns: list[_Reign] = []
    for event in journal:
        if isinstance(event, RulebookLoaded | SessionStarted):
            is_listed = isinstance(event, RulebookLoaded) or RELOADS in event.settings
            reigns.append(_Reign(event.rulebook, event.seq, is_listed))
        # A candidate that decides for some symbols is in force for none of the others: it is counted nowhere.
        elif isinstance(event, Decided) and reigns and _version.decode(event.record).rulebook == reigns[-1].version:
            reigns[-1].decisions += 1
    return reigns


def _entry(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
