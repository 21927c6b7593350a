"""Which rulebook ran last and was good, for a start with files that are broken.

    logs/reload/last_good.json    {"v": 1, "profiles": {"prod": {"version": …, "sources": …, "at_ms": …}}}

The rulebook itself lies in a store by its content (`logs/rulebooks/`), handed in as a `Store`; here stand only the
names to ask it for. A start that has to do without the files says so loudly: `StartedOn.last_good` holds what was wrong
with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from engine.book import Book
from engine.language.findings import Finding, Severity, SluiceError, Span, one_line
from engine.language.load import Files, Workspace
from engine.language.rulebook import Rulebook
from engine.reload.disk import what_helps, write_whole
from engine.reload.errors import ReloadError
from engine.reload.pipeline import Accepted, Pipeline, Refused

RELOAD = Path("reload")
"""The folder of what reloading remembers, inside `logs/`."""

NO_BUNDLE = "reload.no_bundle"
"""The finding of a start whose address gave nothing."""

_FILE = "last_good.json"
_WHOLE = Span(".", 1, 1, 1, 2)


class Store(Protocol):
    """Keeps rulebooks by their content."""

    def keep(self, files: Files, rulebook: Rulebook) -> object:
        """Keep the files that a rulebook was loaded from. Raises `SluiceError` if it cannot."""
        ...

    def files(self, version: str, sources: str, profile: str) -> Files:
        """The files of a rulebook that was kept.

        Raises:
            SluiceError: where there are none, or what was kept is not what it was.

        """
        ...


class GoodRulebook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Names of a rulebook that ran."""

    version: str
    sources: str
    at_ms: int
    """When it was put in force, milliseconds since 1970 UTC."""
    origin: str = ""
    """Where it came from: a folder, or an address."""
    sequence: int | None = None
    """Of its bundle, where it came in one."""
    digest: str = ""
    """Of its bundle."""


class Highest(msgspec.Struct, frozen=True):
    """The bundle of the highest sequence that ran: older ones are refused, whatever runs meanwhile."""

    sequence: int
    digest: str


class _Document(msgspec.Struct, frozen=True):
    v: Literal[1]
    profiles: dict[str, GoodRulebook]
    highest: dict[str, Highest] = {}


class LastGood:
    """What is remembered in one `logs` folder."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.path = logs / RELOAD / _FILE

    def remember(self, profile: str, good: GoodRulebook) -> None:
        """Remember what runs now.

        Raises:
            ReloadError: if it cannot be written; and for a file that is none, since with it the sequences are lost.

        """
        held = self._read()
        highest, before = dict(held.highest), held.highest.get(profile)
        if good.sequence is not None and (before is None or good.sequence > before.sequence):
            highest[profile] = Highest(good.sequence, good.digest)
        document = _Document(1, {**held.profiles, profile: good}, highest)
        try:
            write_whole(self.path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ReloadError(f"`{self.path}` cannot be written: {reason}", what_helps(error)) from error

    def all(self) -> list[GoodRulebook]:
        """What ran last under any profile. Raises `ReloadError` for a file that is none."""
        return list(self._read().profiles.values())

    def of(self, profile: str) -> GoodRulebook | None:
        """What ran last under a profile; None where nothing did. Raises `ReloadError` for a file that is none."""
        return self._read().profiles.get(profile)

    def highest(self, profile: str) -> Highest | None:
        """The bundle of the highest sequence that ran under a profile. Raises `ReloadError` for a file that is none."""
        return self._read().highest.get(profile)

    def _read(self) -> _Document:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Document)
        except FileNotFoundError:
            return _Document(1, {})
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            told = one_line(str(getattr(error, "strerror", None) or error))
            raise ReloadError(
                f"`{self.path}` cannot be read: {told}",
                "look at it: without it bundles of any sequence are taken; moved away, it is written anew",
            ) from error


def ran_before(logs: Path, profile: str) -> bool:
    """Whether something ran under a profile, which a start takes where files are away; False where nobody knows."""
    try:
        return LastGood(logs).of(profile) is not None
    except ReloadError:
        return False


@dataclass(frozen=True, slots=True)
class StartedOn:
    """What a session begins with."""

    book: Book
    accepted: Accepted | None
    """The verdict on the files, where they are what runs."""
    refused: Refused | None = None
    """What was wrong with the files, where the last good rulebook runs instead: to be said loudly, and often."""
    last_good: GoodRulebook | None = None
    passed_over: str = ""
    """Why what ran last does not stand in, but one from before it; empty where it does."""


class ColdStartError(ReloadError):
    """Nothing can run: the files were refused, and no earlier rulebook can stand in for them."""

    def __init__(self, refused: Refused, why_no_other: str, help_text: str = "") -> None:
        first = refused.findings[0]
        if first.code == NO_BUNDLE:  # whose own help says that what runs goes on
            help_text = help_text or "nothing runs: start it again once the address gives a bundle"
        super().__init__(
            f"what there is to run is refused, and there is no last good rulebook: {refused.line}; {why_no_other}",
            help_text or first.help or "correct the files: `sluice check` shows what is wrong",
        )
        self.findings = refused.findings


def cold_start(
    files: Files,
    pipeline_of: Callable[[Files], Pipeline],
    remembered: LastGood,
    store: Store,
    *,
    vouch: Callable[[GoodRulebook], None] = lambda _: None,
    earlier: Callable[[], Iterable[GoodRulebook]] = tuple,
) -> StartedOn:
    """Start on the files of a home, or where they are refused on the last rulebook that was good.

    `pipeline_of` says what files go through. Warnings are held against what ran last, as they are in a reload. Where
    nothing ran before they refuse nothing: no rulebook at all is worse than one with warnings, which whoever starts it
    sees. What stands in for the files goes through the same, but for its warnings, since it may have run under a gate
    that asked for less; what nobody knows now may have been proved then. `vouch` raises `ReloadError` where it must not
    stand in; then the first of `earlier` ones does that may. They are all that was good here, the latest first.

    Raises:
        ColdStartError: where the files are refused and nothing else is there.

    """
    pipeline = pipeline_of(files)
    good = kept = before = None
    why_no_other = f"no rulebook of `{pipeline.profile}` ran here before"
    try:
        good = remembered.of(pipeline.profile)
        if good is not None:
            kept = store.files(good.version, good.sources, pipeline.profile)
            before = Workspace(kept).rulebook(pipeline.profile)
    except SluiceError as error:
        why_no_other = getattr(error, "message", str(error))
    verdict = replace(pipeline, before=before, minds_warnings=before is not None).consider(files, None)
    if isinstance(verdict, Accepted):
        return StartedOn(verdict.book, verdict)
    assert isinstance(verdict, Refused)  # without a running rulebook nothing is unchanged
    if good is None:
        raise ColdStartError(verdict, why_no_other)
    try:
        vouch(good)
    except ReloadError as error:
        for other in earlier():
            with suppress(SluiceError):
                vouch(other)
                found = _stands_in(store.files(other.version, other.sources, pipeline.profile), pipeline_of)
                if isinstance(found, Book):
                    return StartedOn(found, None, verdict, other, error.message)
        raise ColdStartError(verdict, error.message, error.help) from error
    if kept is None or before is None:
        raise ColdStartError(verdict, why_no_other)
    found = _stands_in(kept, pipeline_of)
    if isinstance(found, Refused):
        raise ColdStartError(verdict, f"the last good one ({good.version}) is refused as well: {found.line}")
    return StartedOn(found, None, verdict, good)


def _stands_in(kept: Files, pipeline_of: Callable[[Files], Pipeline]) -> Book | Refused:
    """What may stand in for files that are refused, or why it must not. Raises `LoadError` where it does not load."""
    pipeline = pipeline_of(kept)
    verdict = replace(pipeline, minds_warnings=False, past=tuple, keep=None).consider(kept, None)
    if isinstance(verdict, Accepted):
        return verdict.book
    assert isinstance(verdict, Refused)  # without a running rulebook nothing is unchanged
    if verdict.stage != "proofs" or verdict.is_refuted:
        return verdict
    return Book(Workspace(kept).rulebook(pipeline.profile)).warm()


def standing_in(started: StartedOn) -> Finding | None:
    """The finding of a start on the last good rulebook; None where the files run."""
    if started.refused is None:
        return None
    from_address = started.refused.findings[0].code == NO_BUNDLE
    what = "the address gives nothing" if from_address else "the files are refused"
    which = f"the last good rulebook {started.book.version}"
    if started.passed_over:
        which = f"{started.passed_over}: {started.book.version}, which was good before it,"
    return Finding(
        "reload.last_good",
        Severity.ERROR,
        _WHOLE,
        f"{what}, {which} runs instead: {started.refused.line}",
        "it is asked again by itself" if from_address else "correct the files: what is saved is looked at at once",
    )
