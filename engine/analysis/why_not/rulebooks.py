"""The rulebooks that an edit may concern: those of other profiles, as they are and with the edit in a shared parent.

In: a home's documents. Out: rulebooks by profile. A value that a profile takes from a parent is changed there for every
profile that takes it, too, so invariants that compare two of them may hold where an edit of one alone breaks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from engine.language.findings import Findings, LoadError, SluiceError
from engine.language.load import Files, Workspace, profile_documents
from engine.language.model import AtLeastAsStrict, Invariant
from engine.language.nodes import Source, decode_source
from engine.language.rulebook import Rulebook

Rulebooks = Callable[[str], Rulebook]
"""Where the rulebooks of other profiles come from, by name. Raises a SluiceError where one does not load."""

_BEFORE = "profile_before_a_change"
_NAME = re.compile(r"^profile[ \t]*:.*$", re.MULTILINE)
"""The line that names a profile. Text of many lines is indented, so no line of it begins so."""


@dataclass
class HomeRulebooks:
    """The rulebooks of one reading of a home, each loaded when it is first asked for; raises LoadError then."""

    files: Files
    _workspace: Workspace | None = field(default=None, init=False)
    _loaded: dict[str, Rulebook] = field(default_factory=dict, init=False)

    def __call__(self, profile: str) -> Rulebook:
        """The rulebook of a profile."""
        if self._workspace is None:
            self._workspace = Workspace(self.files)
        if profile not in self._loaded:
            self._loaded[profile] = self._workspace.rulebook(profile)
        return self._loaded[profile]

    @property
    def names(self) -> list[str]:
        """Every profile that has a document, sorted."""
        places = (re.fullmatch(r"profiles/(.+)\.yaml", name) for name in self.files.sources)
        return sorted(found[1] for found in places if found is not None)


@dataclass(frozen=True)
class Family:
    """The profiles that extend one parent, with an edit of it."""

    edited: Mapping[str, Rulebook]
    """With the edit, by profile."""
    home: HomeRulebooks

    def __call__(self, profile: str) -> Rulebook:
        """A profile with the edit, or as it is where that is no concern of it."""
        return self.edited[profile] if profile in self.edited else self.home(profile)


def family_of(home: HomeRulebooks, rulebook: Rulebook, parent: str, lines: list[str]) -> Family | None:
    """Every profile that extends a parent, with these lines in it.

    None where any of them does not load so, or where the home's documents are not those that the rulebook was made of.
    """
    file = f"profiles/{parent}.yaml"
    edited: dict[str, Rulebook] = {}
    for name in home.names:
        try:
            book = home(name)
        except SluiceError:  # a parent that runs nothing by itself, or a profile that decides nothing as it is
            continue
        if parent not in (document.name for document in profile_documents(book)):
            continue
        if book.sources[file] != rulebook.sources.get(file):
            return None
        changed = _with_lines(book, parent, lines)
        if changed is None:
            return None
        edited[name] = changed
    mine = edited.get(rulebook.profile)
    return Family(edited, home) if mine is not None and home(rulebook.profile).version == rulebook.version else None


def _with_lines(rulebook: Rulebook, parent: str, lines: list[str]) -> Rulebook | None:
    """A rulebook with these lines in a parent of it: over the parent's own, and below all that extends it."""
    file = f"profiles/{parent}.yaml"
    before, renamed = _NAME.subn(f"profile: {_BEFORE}", rulebook.sources[file].text)
    if renamed != 1:
        return None
    over = "\n".join([f"profile: {parent}", f"extends: {_BEFORE}", *lines])
    return loaded(rulebook, {parent: over, _BEFORE: before}, rulebook.profile)


def loaded(rulebook: Rulebook, documents: Mapping[str, str], profile: str) -> Rulebook | None:
    """One of these profiles, beside all that a rulebook was made of, under the rulebook's name; None if it fails."""
    sources = dict(rulebook.sources)
    findings = Findings()
    stubs = {name: f"profile: {name}" for name in _named(rulebook)}
    for name, document in {**stubs, **documents}.items():
        source: Source | None = decode_source(document.encode(), f"profiles/{name}.yaml", findings)
        assert source is not None
        sources[source.name] = source
    try:
        return replace(Workspace(Files(sources, ())).rulebook(profile), profile=rulebook.profile)
    except LoadError:
        return None


def _named(rulebook: Rulebook) -> set[str]:
    """The profiles that a rulebook's documents name and whose files it does not carry."""
    named = {divergence.against for divergence in rulebook.diverges}
    for policy in rulebook.policies.values():
        for invariant in policy.invariants:
            named |= set(invariant.profiles or ())
            if isinstance(invariant, AtLeastAsStrict):
                named |= {invariant.profile, invariant.than}
    return {name for name in named if f"profiles/{name}.yaml" not in rulebook.sources}


def speaks_of(invariant: Invariant, profile: str) -> bool:
    """Whether an invariant is asked of a profile."""
    if invariant.profiles is not None and profile not in invariant.profiles:
        return False
    return not isinstance(invariant, AtLeastAsStrict) or profile in (invariant.profile, invariant.than)
