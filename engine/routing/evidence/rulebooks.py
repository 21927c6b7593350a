"""Every rulebook that ever decided, kept by content, so that a decision can be made again years later.

    logs/rulebooks/<version>/<sources>/rules/*.yaml, policies/*.yaml, profiles/*.yaml

In: the files of a home as they were read, and the rulebook loaded from them. Out: a folder that holds all of them. The
version is the digest of meaning, `sources` that of the files' text: comments may change without the version, but not
without the lines that reasons cite. A folder is written once, in full, and never changed; what is read from it is
loaded and must have these two digests again.

All files of the home are kept, also those that the profile does not use: a profile may give values for rule sets that
only another one runs, and would not load without them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any

import msgspec

from engine.backends.facts import FactsError
from engine.book import Backend, Book
from engine.journal.events import Decided, Event
from engine.language.findings import LoadError
from engine.language.load import Files, Workspace, read_files
from engine.language.rulebook import Rulebook
from engine.reload.disk import what_helps
from engine.routing.evidence.errors import ViewError

RULEBOOKS = Path("rulebooks")
"""The folder of kept rulebooks, inside `logs/`."""

_LEAST_PREFIX = 6
"""Characters of an id that may stand for the whole."""


class Rulebooks:
    """The store of one `logs` folder."""

    def __init__(self, logs: Path) -> None:
        self.folder = logs / RULEBOOKS
        self._keeps = Lock()
        """Changes and candidates are looked at in threads of their own, and may be of the same files."""
        self._last: dict[str, tuple[str, Path]] = {}
        """Of the rulebook that was kept last: each file's text, and where it lies."""

    def load(self, home: Path, profile: str, backend: Backend = "compiled") -> Book:
        """Load a profile of a home and keep what it was loaded from; the files are read once.

        Raises:
            LoadError: as `engine.load` does.
            ViewError: if it cannot be kept.

        """
        files = read_files(home)
        rulebook = Workspace(files).rulebook(profile)
        self.keep(files, rulebook)
        return Book(rulebook, backend)

    def keep(self, files: Files, rulebook: Rulebook) -> Path:
        """Keep the files that a rulebook was loaded from; one that is there already is left as it is.

        Files that the last one kept holds too are linked, not written: a reload that changes one waits for one write.

        Raises:
            ViewError: if they cannot be written, and for files that the rulebook was not loaded from.

        """
        if any(files.sources.get(name) != source for name, source in rulebook.sources.items()):
            raise ViewError(f"the rulebook {rulebook.version} is not made of these files", "load it from them")
        target = self._place(rulebook.version, rulebook.sources_digest)
        with self._keeps:
            if not target.is_dir():
                self._keep(target, files)
        return target

    def _keep(self, target: Path, files: Files) -> None:
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            try:
                self._write(beside, files)
            except ViewError:
                if not self._last:
                    raise
                self._last = {}  # what was linked may have been changed since: written anew it is what it should be
                self._write(beside, files)
            if not target.is_dir():  # else another process was faster
                beside.rename(target)
            self._last = {name: (source.text, target / name) for name, source in files.sources.items()}
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ViewError(f"`{target}` cannot be written: {reason}", what_helps(error)) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _write(self, place: Path, files: Files) -> None:
        """Write all files into a folder of their own, and see that they are what the rulebook was made of."""
        shutil.rmtree(place, ignore_errors=True)
        for name, source in files.sources.items():
            text, known = self._last.get(name, ("", None))
            if known is None or text != source.text or not _link(known, place / name):
                _write(place / name, source.text)
        written = read_files(place)
        if written.findings or dict(written.sources) != dict(files.sources):
            raise ViewError(
                f"what was kept in `{place}` is not what was written", "look at the disk, and at who else writes there"
            )

    def open(self, version: str, sources: str, profile: str, backend: Backend = "interpreter") -> Book:
        """The rulebook of a version, as it was.

        Raises:
            ViewError: where it was not kept, and where what was kept is not what it was.

        """
        return Book(self._read(version, sources, profile)[1], backend)

    def files(self, version: str, sources: str, profile: str) -> Files:
        """The files that a rulebook was loaded from.

        Raises:
            ViewError: as `open` does.

        """
        return self._read(version, sources, profile)[0]

    def find(self, version: str, sources: str, profile: str) -> Book | None:
        """The rulebook of a version, None where it was not kept.

        Raises:
            ViewError: where what was kept is not what it was.

        """
        return self.open(version, sources, profile) if self._place(version, sources).is_dir() else None

    def _read(self, version: str, sources: str, profile: str) -> tuple[Files, Rulebook]:
        place = self._place(version, sources)
        if not place.is_dir():
            raise ViewError(
                f"the rulebook {version} (sources {sources}) was not kept: there is no `{place}`",
                "copy it from the machine that decided; `sluice run` keeps each one it uses",
            )
        return _load(place, version, sources, profile)

    def _place(self, version: str, sources: str) -> Path:
        return self.folder / version / sources


def _link(known: Path, path: Path) -> bool:
    """Have a file of the same content stand here too; False where that cannot be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.hardlink_to(known)
    except OSError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _load(place: Path, version: str, sources: str, profile: str) -> tuple[Files, Rulebook]:
    """Load what is kept in a folder, and see that it is what it should be."""
    files = read_files(place)
    try:
        rulebook = Workspace(files).rulebook(profile)
    except LoadError as error:
        first = error.findings[0]
        raise ViewError(f"what is kept in `{place}` does not load: {first.span}: {first.message}", _RESTORE) from error
    if (rulebook.version, rulebook.sources_digest) != (version, sources):
        found = f"{rulebook.version} (sources {rulebook.sources_digest})"
        raise ViewError(f"what is kept in `{place}` is {found}, so it was changed", _RESTORE)
    return files, rulebook


_RESTORE = "restore the folder from a copy, or read it with the release of Sluice that wrote it"


class _Record(msgspec.Struct):
    """What of a decision's record is needed to make it again."""

    decision_id: str
    now: float
    policy: str
    profile: str
    rulebook: str
    sources: str
    symbol: str | None
    intent_id: str | None
    facts: dict[str, Any] | None = None
    groups: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision of a journal, and everything it takes to make it again."""

    event: Decided
    record: Mapping[str, Any]
    """As it was journaled."""
    book: Book
    """The rulebook that decided, on the interpreter."""
    facts: Mapping[str, Any]
    """What it decided on."""
    differs: tuple[str, ...]
    """Fields in which deciding again gives another record; there should never be one."""

    @property
    def title(self) -> str:
        """Which decision it is: its id, whose it was, when and under what."""
        record = self.record
        whose = " ".join(str(record[name]) for name in ("symbol", "intent_id") if record.get(name))
        at = datetime.fromtimestamp(record["now"], UTC)
        return f"{record['decision_id']}  {whose}, {at:%Y-%m-%d %H:%M:%S} UTC, {record['profile']} {record['rulebook']}"

    @property
    def warning(self) -> str:
        """What to say above an explanation that is not that of the decision; empty where it is."""
        if not self.differs:
            return ""
        return (
            f"deciding again does not give the decision that was journaled: {', '.join(self.differs)} differ. "
            "What follows is not what happened; either the journal was changed, or this release decides differently"
        )


def find_decision(events: Iterable[Event], decision_id: str) -> Decided:
    """The event of a decision, by its id or the beginning of it.

    Raises:
        ViewError: where there is none, or the beginning fits several.

    """
    sought = decision_id.strip().lower()
    if len(sought) < _LEAST_PREFIX or not sought.isalnum() or not sought.isascii():
        raise ViewError(
            f"`{decision_id}` is no id of a decision", "an id is 24 hex digits; `sluice journal` shows them"
        )
    mark = f'"decision_id":"{sought}'.encode()
    found: dict[str, Decided] = {}
    for event in events:
        if isinstance(event, Decided) and mark in bytes(event.record):
            held = msgspec.json.decode(event.record, type=_Record)
            if held.decision_id.startswith(sought):
                found[held.decision_id] = event
    if not found:
        raise ViewError(f"the journal holds no decision `{decision_id}`", "`sluice journal` shows the ids it holds")
    if len(found) > 1:
        several = ", ".join(list(found)[:5])
        raise ViewError(f"{len(found)} decisions begin with `{decision_id}`", f"name one whole: {several}")
    return next(iter(found.values()))


def decide_again(event: Decided, rulebooks: Rulebooks) -> Kept:
    """Make a decision again, under the rulebook that it was made with.

    Raises:
        ViewError: where the rulebook was not kept, and where the record does not hold what was decided on.

    """
    held = msgspec.json.decode(event.record, type=_Record)
    if held.facts is None:
        raise ViewError(
            f"the decision `{held.decision_id}` refers to groups of facts by their ids and holds none of them",
            "only decisions that hold their facts can be made again",
        )
    book = rulebooks.open(held.rulebook, held.sources, held.profile)
    facts = {"now": held.now, "symbol": held.symbol, "intent_id": held.intent_id, **held.facts}
    record = msgspec.json.decode(event.record)
    try:
        again = msgspec.json.decode(book.decide(held.policy, facts).json())
    except FactsError as error:
        raise ViewError(
            f"the decision `{held.decision_id}` cannot be made again: {error.message}", error.help
        ) from error
    differs = tuple(name for name in dict.fromkeys((*record, *again)) if record.get(name) != again.get(name))
    return Kept(event, MappingProxyType(record), book, MappingProxyType(facts), differs)
