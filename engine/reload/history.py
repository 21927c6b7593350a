"""Which rulebooks ran, from when to when, who changed them, and what was different.

    logs/reload/history.jsonl    one line each time that another rulebook began to decide, or a session ended

The journal says the same of its own session; this file goes on over all sessions of a `logs` folder, so that
`sluice history` and `sluice rollback` need not read years of journals. Lines are only ever added. A line that a crash
has cut off is passed over, and the next one begins anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
        return [entry for entry in found if profile is None or entry.profile == profile]

    def spans(self, profile: str | None = None, journal: Iterable[Event] | None = None) -> list[Span]:
        """The spans, oldest first; with the events of a journal each says how many decisions were made in it."""
        entries = self.entries(profile)
        # What a session began with says nothing of when the one before it was killed.
        ends = [None if entry.how in _BEGINNINGS else entry.at_ms for entry in entries[1:]]
        ends += [None] if entries else []
        counts = _counted(entries, journal) if journal is not None else None
        return [
            Span(entry, end, counts.get(number) if counts is not None else None)
            for number, (entry, end) in enumerate(zip(entries, ends, strict=True))
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


def _counted(entries: Sequence[Entry], journal: Iterable[Event]) -> dict[int, int]:
    """How many decisions each entry's rulebook made, by the order of what began: a journal's time is its market's.

    A journal may begin after the history does, so both are laid beside each other from their ends.
    """
    parts: list[tuple[str, int]] = []
    for event in journal:
        if isinstance(event, Decided):
            version, made = parts[-1] if parts else ("", 0)
            # A candidate that decides for some symbols is in force for none of the others: it is counted nowhere.
            if parts and _version.decode(event.record).rulebook == version:
                parts[-1] = (version, made + 1)
        elif isinstance(event, RulebookLoaded | SessionStarted):
            parts.append((event.rulebook, 0))
    counts: dict[int, int] = {}
    number = len(entries)
    for version, made in reversed(parts):
        number -= 1
        while number >= 0 and (entries[number].how == "stop" or entries[number].version != version):
            number -= 1
        if number < 0:
            break
        counts[number] = made
    return counts


def _entry(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
