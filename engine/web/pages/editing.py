"""One document of a home, changed in memory: what the loader says of it, and how it is saved.

In: the home as it is on disk, the name of a file and its new text. Out: a `Checked`; saving replaces the file whole,
and only where nobody else has changed it since and the loader finds no error. A session that watches the home takes it
over.
"""

from __future__ import annotations

import codecs
import itertools
import stat
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.language.findings import Finding, Findings, LoadError, Severity, SluiceError
from engine.language.load import Files, Workspace, read_files
from engine.language.nodes import MOST_BYTES, Source, decode_source
from engine.reload.disk import write_whole


class EditError(SluiceError):
    """A document cannot be edited or saved so: what is wrong, and what helps."""

    def __init__(self, message: str, help: str) -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{message} ({help})")
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of an edit in memory."""

    findings: tuple[Finding, ...]
    """Those of this file first."""
    profiles: tuple[tuple[str, str | None], ...]
    """Each profile, and the version it would have; None where it would not load."""

    @property
    def is_sound(self) -> bool:
        """Whether it may be saved."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def of(self, file: str) -> list[Finding]:
        """The findings of one file."""
        return [finding for finding in self.findings if finding.span.file == file]


_SAVING = threading.Lock()
"""One document is saved at a time by this process: of two pages that replace the same text, one is told of the other.

Another program may still write between the look whether a document was changed and its replacement.
"""


class Editing:
    """The documents of a home, as they were when `read_again` was called last; for several threads."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._files = read_files(home)
        self._readings = itertools.count(1)
        self._shown = 0
        """The reading that `_files` are of: one that began before it and ends after it is out of date."""
        self._showing = threading.Lock()

    def read_again(self) -> bool:
        """Read all documents, which takes some milliseconds; whether any of them is another now."""
        reading = next(self._readings)
        files = read_files(self.home)
        with self._showing:
            if reading < self._shown:
                return False
            before, self._files, self._shown = self._files, files, reading
        return _texts(before) != _texts(files)

    @property
    def names(self) -> list[str]:
        """Every document that may be edited."""
        return sorted(self._files.sources)

    def text(self, name: str) -> str:
        """A document as it was read last.

        Raises:
            EditError: for what is no document of the home.

        """
        return _text(self._files, name)

    def check(self, name: str, text: str) -> Checked:
        """What the loader says of the home with another text of a document; takes a tenth of a second."""
        files = self._files
        _text(files, name)
        return _check(files, name, text)

    def save(self, name: str, text: str, before: str) -> None:
        """Write a document in place of the text `before`, beside all others as they are on disk now.

        Raises:
            EditError: where it would not load, is too long, was changed meanwhile, or cannot be written.

        """
        try:
            content = text.encode()
        except UnicodeEncodeError:
            raise EditError("the text holds half a character", "type it again") from None
        if len(content) > MOST_BYTES:
            raise EditError("the text is too long", "split the document")
        with _SAVING:
            files = read_files(self.home)  # what is shown may be older, or become so in another thread
            if _text(files, name) != before:
                raise EditError(f"`{name}` was changed meanwhile", "look at what is there now, and decide")
            if not _check(files, name, text).is_sound:
                raise EditError("it would not load", "mend the findings first")
            try:
                _replace(self.home / name, content)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise EditError(f"`{name}` cannot be written: {reason}", "check its permissions") from error
            self.read_again()


def _replace(path: Path, content: bytes) -> None:
    """Write a document as it was written: with its line ends and its mark, where a link leads, for whom it was."""
    path = path.resolve()
    before = path.read_bytes()
    if 0 < before.count(b"\n") == before.count(b"\r\n"):
        content = content.replace(b"\n", b"\r\n")
    if before.startswith(codecs.BOM_UTF8):
        content = codecs.BOM_UTF8 + content
    write_whole(path, content, stat.S_IMODE(path.stat().st_mode))


def _text(files: Files, name: str) -> str:
    if name not in files.sources:
        raise EditError(f"`{name}` is no document of this home", "choose one from the list")
    return files.sources[name].text


def _check(files: Files, name: str, text: str) -> Checked:
    found = Findings()
    source = decode_source(text.encode("utf-8", "replace"), name, found)
    findings = (*(each for each in files.findings if each.span.file != name), *found)
    sources = {**files.sources, name: source or Source.of(name, "")}
    workspace = Workspace(Files(sources, findings))
    kept = {(each.span, each.code, each.message): each for each in workspace.findings}
    profiles: list[tuple[str, str | None]] = []
    for profile in workspace.profiles():
        version, said = _loaded(workspace, profile)
        profiles.append((profile, version))
        for each in said:
            kept.setdefault((each.span, each.code, each.message), each)
    ordered = sorted(kept.values(), key=lambda each: (each.span.file != name, each.span))
    return Checked(tuple(ordered), tuple(profiles))


def _texts(files: Files) -> dict[str, str]:
    return {name: source.text for name, source in files.sources.items()}


def _loaded(workspace: Workspace, profile: str) -> tuple[str | None, Sequence[Finding]]:
    try:
        rulebook = workspace.rulebook(profile)
    except LoadError as error:
        return None, error.findings
    return rulebook.version, rulebook.warnings
