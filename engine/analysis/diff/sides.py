"""The two sides of a diff: what a user wrote becomes a loaded rulebook that knows where it comes from.

A side is written as

- `prod`: a profile of the home;
- `path/to/home:prod`: a profile of another home;
- `path/to/home/profiles/prod.yaml`: the same, by its file;
- `git:REV:prod`: a profile as it was at a revision of the repository that the home lies in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engine.analysis.diff.revision import open_revision
from engine.analysis.report import openable
from engine.analysis.request import RequestError, require_home
from engine.language.findings import Finding, LoadError, Related, Span, one_line
from engine.language.load import Workspace, profile_names, read_files, read_listing
from engine.language.nodes import Source
from engine.language.rulebook import Rulebook
from engine.language.spelling import did_you_mean

_GIT = "git:"
_HOW = "write `prod`, `path/to/home:prod`, `path/to/home/profiles/prod.yaml` or `git:HEAD:prod`"


class SideError(LoadError):
    """A side does not load. Findings and sources are under names that say which side, and that can be opened."""

    def __init__(self, findings: Iterable[Finding], sources: Mapping[str, Source]) -> None:
        self.sources = sources
        super().__init__(tuple(findings))


@dataclass(frozen=True, slots=True)
class Asked:
    """A side as it was asked for, taken apart."""

    text: str
    home: Path
    revision: str | None
    """The name of a revision; None for the files as they are."""
    profile: str

    @property
    def where(self) -> str:
        """Where it looks for its profile, for messages: in a home, perhaps at a revision."""
        at = f" at the revision `{one_line(self.revision)}`" if self.revision is not None else ""
        return f"`{one_line(str(self.home))}`{at}"

    def shown(self, file: str) -> str:
        """A file of this side as it can be opened, or under its revision's name."""
        return openable(file, self.home) if self.revision is None else f"{_GIT}{self.revision}:{file}"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a diff, loaded. `commit` is the id of its revision, if it has one."""

    asked: Asked
    rulebook: Rulebook
    commit: str | None

    @property
    def label(self) -> str:
        """What the user called it."""
        return self.asked.text


def read_side(text: str, home: Path) -> Asked:
    """What a side asks for. `home` is where profiles and revisions are looked for that name no other.

    Raises:
        RequestError: for a text that cannot be a side.

    """
    if text.startswith(_GIT):
        revision, colon, profile = text.removeprefix(_GIT).rpartition(":")
        if not (colon and revision and profile):
            raise RequestError(f"`{text}` names no revision and profile", "write `git:REV:profile`: `git:HEAD:prod`")
        return Asked(text, home, revision, profile)
    if text.endswith(".yaml"):
        path = Path(text)
        if path.absolute().parent.name != "profiles":
            raise RequestError(f"`{text}` does not lie in a folder `profiles/`", _HOW)
        home_of = path.parent.parent if path.parent.name else path.absolute().parents[1]
        return Asked(text, home_of, None, path.stem)
    if ":" in text:
        folder, _, profile = text.rpartition(":")
        if not (folder and profile):
            raise RequestError(f"`{text}` names no home and profile", _HOW)
        return Asked(text, Path(folder), None, profile)
    if "/" in text or not text:
        raise RequestError(f"`{text}` is no profile", _HOW)
    return Asked(text, home, None, text)


def open_sides(a: str, b: str, home: Path) -> tuple[Side, Side]:
    """Both sides, loaded; files that both come from are read once.

    Raises:
        RequestError: for a side that cannot be had: no such home, revision or profile.
        SideError: with the findings of each side that does not load.

    """
    opened: dict[tuple[Path, str | None], _Opened] = {}
    sides: list[Side] = []
    findings: list[Finding] = []
    sources: dict[str, Source] = {}
    for asked in (read_side(text, home) for text in (a, b)):
        place = (asked.home, asked.revision)
        if place not in opened:
            opened[place] = _open(asked)
        held = opened[place]
        if asked.profile not in held.profiles:
            known = f"there are {', '.join(held.profiles)}"
            message = f"there is no profile `{one_line(asked.profile)}` in {asked.where}"
            raise RequestError(message, did_you_mean(asked.profile, held.profiles, known))
        try:
            sides.append(Side(asked, held.workspace.rulebook(asked.profile), held.commit))
        except LoadError as error:
            findings += _shown(error.findings, asked)
            sources |= {asked.shown(name): source for name, source in held.workspace.sources.items()}
    if findings:
        raise SideError(dict.fromkeys(findings), sources)
    return sides[0], sides[1]


def warnings_of(sides: Iterable[Side]) -> tuple[Finding, ...]:
    """What is wrong in files that the sides do not depend on, each once, under names that can be opened."""
    return tuple(dict.fromkeys(found for side in sides for found in _shown(side.rulebook.warnings, side.asked)))


@dataclass(frozen=True, slots=True)
class _Opened:
    """The files of a side, read."""

    workspace: Workspace
    profiles: list[str]
    commit: str | None


def _open(asked: Asked) -> _Opened:
    if asked.revision is not None:
        revision = open_revision(asked.home, asked.revision)
        profiles, workspace, commit = revision.profiles(), Workspace(read_listing(revision)), revision.commit
    else:
        require_home(asked.home)
        profiles, workspace, commit = profile_names(asked.home), Workspace(read_files(asked.home)), None
    if not profiles:
        raise RequestError(f"there are no profiles in {asked.where}", f"name another home or revision: {_HOW}")
    return _Opened(workspace, profiles, commit)


def _shown(findings: Iterable[Finding], asked: Asked) -> Iterator[Finding]:
    """Findings under the names of files that a side shows."""

    def place(span: Span) -> Span:
        return replace(span, file=asked.shown(span.file))

    for finding in findings:
        related = tuple(Related(place(other.span), other.message) for other in finding.related)
        yield replace(finding, span=place(finding.span), related=related)
