"""A home folder becomes a rulebook, or a list of everything that is wrong with it.

The stages, each taking the output of the one before: `nodes` (YAML), `shapes`, `documents`, `build` (names and types),
`bind` (values), `soundness` (flow and intervals), `rulebook`. All files are read before any is parsed, so a rulebook is
never made of two states of a folder that is being written. A file that did not change is not parsed again.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from engine.language import syntax
from engine.language.bind import Settings, ancestry, bind
from engine.language.build import FACTS, WINDOWS, Library, Usage, build_groups, build_policy, check_ruleset, unused
from engine.language.divergences import divergences
from engine.language.documents import (
    Document,
    DocumentKind,
    ExpressionText,
    NamePlace,
    PolicyDocument,
    ProfileDocument,
    RuleSetDocument,
    Vocabulary,
    WindowsDocument,
    read_document,
)
from engine.language.evaluate import Environment, evaluate
from engine.language.findings import Finding, Findings, LoadError, Related, Severity, Span, one_line
from engine.language.model import (
    Binding,
    EventKind,
    Expression,
    Group,
    ParameterDeclaration,
    ParameterRef,
    Policy,
    Window,
    walk,
)
from engine.language.nodes import Source, read_source
from engine.language.resolve import Scope, resolve_condition
from engine.language.rulebook import Rulebook, digest, version_of
from engine.language.soundness import check_steps
from engine.language.spelling import did_you_mean
from engine.language.types import Value
from engine.language.windows import build_windows, check_windows, rulesets_named

VOCABULARY = "policies/facts.yaml"
"""The file that holds the vocabulary."""

WINDOWS_FILE = "policies/windows.yaml"
"""The file that holds the windows, if a home has any; every other file in `policies/` is a policy."""

_FOLDERS: tuple[tuple[str, DocumentKind], ...] = (("rules", "ruleset"), ("policies", "policy"), ("profiles", "profile"))
_WHOLE = "."
"""What findings of the home itself point at."""
_ROOTS = frozenset((_WHOLE, *(folder for folder, _ in _FOLDERS)))


@dataclass(frozen=True, slots=True)
class Files:
    """The texts of a home folder at one moment, and what could not be read."""

    sources: Mapping[str, Source]
    findings: tuple[Finding, ...]


class Listing(Protocol):
    """Where a home's files are read from: its folder, or a revision of it."""

    def names(self, folder: str) -> Iterable[str]:
        """The names of everything in one of the three folders. Raises OSError, or ValueError for a path with a NUL."""

    def read(self, folder: str, name: str, shown: str, findings: Findings) -> Source | None:
        """One file under the name shown to people; None, with a finding, where it cannot be read."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A home that is a folder."""

    home: Path

    def names(self, folder: str) -> Iterable[str]:
        return [path.name for path in (self.home / folder).iterdir()]

    def read(self, folder: str, name: str, shown: str, findings: Findings) -> Source | None:
        return read_source(self.home / folder / name, shown, findings)


def read_files(home: Path) -> Files:
    """Read every YAML file of a home folder, parsing none."""
    reason = why_no_home(home)
    if reason is not None:
        findings = Findings()
        help_text = "name a folder that holds rules/, policies/ and profiles/, or run `sluice init DIR`"
        findings.add("file.missing", Span(_WHOLE, 1, 1, 1, 2), reason, help_text)
        return Files({}, tuple(findings))
    return read_listing(_Folder(home))


def read_listing(listing: Listing) -> Files:
    """Read every YAML file of a home from wherever it lies, parsing none."""
    findings = Findings()
    sources: dict[str, Source] = {}
    for folder, _ in _FOLDERS:
        try:
            names = sorted(listing.names(folder))
        except (OSError, ValueError) as error:
            reason = "there is no such folder" if isinstance(error, FileNotFoundError) else "it cannot be read"
            where = Span(folder, 1, 1, 1, 2)
            findings.add(
                "file.missing", where, f"`{folder}/`: {reason}", "name another --home, or run `sluice init DIR`"
            )
            continue
        for name in names:
            if name.startswith(".") or not name.endswith((".yaml", ".yml")):
                continue
            shown = one_line(f"{folder}/{name}")
            if name.endswith(".yml"):
                where = Span(shown, 1, 1, 1, 2)
                findings.add("file.name", where, f"`{shown}` is not read", "name it .yaml", severity=Severity.WARNING)
                continue
            source = listing.read(folder, name, shown, findings)
            if source is not None:
                sources[shown] = source
    return Files(sources, tuple(findings))


def why_no_home(home: Path) -> str | None:
    """Why a path cannot be a home, in words; None for a folder."""
    try:
        return None if stat.S_ISDIR(home.stat().st_mode) else f"`{one_line(str(home))}` is no folder"
    except FileNotFoundError:
        return f"there is no folder `{one_line(str(home))}`"
    except (OSError, ValueError):  # ValueError: a path with a NUL
        return f"the folder `{one_line(str(home))}` cannot be read"


def profile_names(home: Path) -> list[str]:
    """The profiles of a home folder, sorted, abstract ones included."""
    folder = home / "profiles"
    return sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []


def load_rulebook(home: Path, profile: str) -> Rulebook:
    """The rulebook of a profile.

    Raises:
        LoadError: with every finding, if anything is wrong with the files the profile depends on.

    """
    return Workspace(read_files(home)).rulebook(profile)


def profile_documents(rulebook: Rulebook) -> tuple[ProfileDocument, ...]:
    """A rulebook's profile and those it extends, the root first, read again from the sources that it was made of."""
    chain: list[ProfileDocument] = []
    name: str | None = rulebook.profile
    while name is not None:
        document, _ = _document("profile", rulebook.sources[f"profiles/{name}.yaml"], name)
        assert isinstance(document, ProfileDocument), "a loaded profile's documents are sound"
        chain.insert(0, document)
        name = document.extends.name if document.extends is not None else None
    return tuple(chain)


class Workspace:
    """The documents of one reading of a home folder, from which any of its profiles can be loaded."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._found: dict[str, Findings] = {}
        """By the file (or folder) they belong to: a policy's names are its policy's, wherever they point."""
        self._attribute(files.findings)
        documents: dict[DocumentKind, dict[str, Document]] = {"ruleset": {}, "policy": {}, "profile": {}}
        broken: set[str] = {
            f"{_kind_of(finding.span.file)}:{Path(finding.span.file).stem}"
            for finding in files.findings
            if finding.severity is Severity.ERROR
        }
        vocabulary: Vocabulary | None = None
        windows: WindowsDocument | None = None
        for name, source in files.sources.items():
            kind = _kind_of(name)
            stem = Path(name).stem
            document, found = _document(kind, source, stem)
            self._findings_of(name).extend(found)
            if document is None:
                broken.add(f"{kind}:{stem}")
            elif isinstance(document, Vocabulary):
                vocabulary = document
            elif isinstance(document, WindowsDocument):
                windows = document
            else:
                documents[kind][stem] = document
        if VOCABULARY not in files.sources and not self._found.keys() & {VOCABULARY, "policies", _WHOLE}:
            where = Span(VOCABULARY, 1, 1, 1, 2)
            message, help_text = f"there is no `{VOCABULARY}`", "it declares the facts that policies read"
            self._findings_of(VOCABULARY).add("file.missing", where, message, help_text)
        self._profiles = cast("dict[str, ProfileDocument]", documents["profile"])
        unread = {name.partition(":")[2] for name in broken if name.startswith("profile:")}
        self.library = Library(
            vocabulary,
            cast("dict[str, RuleSetDocument]", documents["ruleset"]),
            cast("dict[str, PolicyDocument]", documents["policy"]),
            frozenset(self._profiles.keys() | unread),
            frozenset(broken),
            windows,
        )
        self._usage = Usage()
        self.groups: dict[str, Group] = {}
        if vocabulary is not None:
            self.groups = build_groups(vocabulary, self._findings_of(VOCABULARY), self._usage)
        self._sound = {
            name: check_ruleset(ruleset, self._findings_of(ruleset.source.name))
            for name, ruleset in self.library.rulesets.items()
        }
        self._requires = {name: self._required(ruleset) for name, ruleset in self.library.rulesets.items()}
        self.policies: dict[str, Policy] = {}
        self.events: dict[str, EventKind] = {}
        self.windows: dict[str, Window] = {}
        if vocabulary is not None and not self._found.keys() & _ROOTS:
            self._build_policies()

    def _findings_of(self, name: str) -> Findings:
        return self._found.setdefault(name, Findings())

    def _attribute(self, findings: Iterable[Finding]) -> None:
        """Keep findings under the files they point at."""
        for finding in findings:
            self._findings_of(finding.span.file).extend((finding,))

    def _required(self, ruleset: RuleSetDocument) -> list[tuple[ExpressionText, Expression]]:
        """What a rule set requires of its parameters, typed."""
        scope = Scope(ruleset=ruleset.name, params=ruleset.params)
        found = self._findings_of(ruleset.source.name)
        typed = [(text, resolve_condition(text, scope, found)) for text in ruleset.requires]
        return [(text, expression) for text, expression in typed if expression is not None]

    def _build_policies(self) -> None:
        for name, policy in self.library.policies.items():
            # Each with findings of its own: one that another policy has as well must not look like none.
            found = Findings()
            built = build_policy(policy, self.library, self.groups, self._sound, found, self._usage)
            self._findings_of(policy.source.name).extend(found)
            if built is not None:
                self.policies[name] = built
        found = self._findings_of(WINDOWS_FILE)
        self.events, self.windows = build_windows(self.library, self.groups, found, self._usage)
        found = Findings()
        unused(self.library, self.policies, self._usage, found)
        self._attribute(found)

    @property
    def sources(self) -> Mapping[str, Source]:
        """The files read, by name."""
        return self._files.sources

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with files, whichever profile is asked for."""
        findings = Findings()
        for found in self._found.values():
            findings.extend(found)
        return tuple(findings)

    def profiles(self) -> list[str]:
        """Names of the profiles that can be loaded: those that run policies."""
        return [name for name in self._profiles if self._runs_policies(name)]

    def _ancestors(self, name: str) -> list[str]:
        chain = ancestry(name, self._profiles, self.library, Findings())
        return [document.name for document in chain[:-1]]

    def _runs_policies(self, name: str) -> bool:
        chain = ancestry(name, self._profiles, self.library, Findings())
        return any(document.policies is not None for document in chain) or not chain

    def rulebook(self, profile: str) -> Rulebook:
        """The rulebook of a profile.

        What is wrong with files it does not depend on stops nothing; the rulebook carries it among its warnings.

        Raises:
            LoadError: with every finding of this profile and of the files it depends on.

        """
        findings = Findings()
        for root in sorted(_ROOTS):
            findings.extend(self._found.get(root, ()))
        if findings.has_errors:  # without a folder everything that follows would be noise
            raise LoadError(tuple(findings))
        for name in self._depends_on(profile):
            findings.extend(self._found.get(name, ()))
        made = self._make(profile, findings)
        if made is None or findings.has_errors:
            raise LoadError([finding for finding in findings if finding.severity is not Severity.NOTE])
        own = frozenset(findings)
        elsewhere = (finding for finding in self.findings if finding not in own)
        for finding in elsewhere:
            serious = finding.severity is Severity.ERROR
            findings.extend((replace(finding, severity=Severity.WARNING) if serious else finding,))
        return replace(made, warnings=tuple(findings))

    def _depends_on(self, profile: str) -> list[str]:
        """The files that can stop a profile: its ancestors, its policies, what these read, and their rule sets."""
        names: dict[str, None] = {VOCABULARY: None}
        policies: tuple[NamePlace, ...] | None = None
        ancestor: str | None = profile
        while ancestor is not None and f"profiles/{ancestor}.yaml" not in names:
            names[f"profiles/{ancestor}.yaml"] = None
            document = self._profiles.get(ancestor)
            policies = policies if policies is not None or document is None else document.policies
            ancestor = document.extends.name if document is not None and document.extends is not None else None
        pending = [place.name for place in policies or ()]
        if self._read_windows(pending):
            names[WINDOWS_FILE] = None
            if self.library.windows is not None:
                names |= dict.fromkeys(f"rules/{owner}.yaml" for owner in sorted(rulesets_named(self.library.windows)))
        while pending:
            policy = pending.pop(0)
            if f"policies/{policy}.yaml" in names:
                continue
            names[f"policies/{policy}.yaml"] = None
            if policy in self.library.policies:
                text = self.library.policies[policy]
                names |= dict.fromkeys(f"rules/{place.name}.yaml" for place in text.steps)
                pending += [read.name for read in text.reads if read.decisions]
        return list(names)

    def _read_windows(self, policies: Iterable[str]) -> bool:
        """True if any of these policies reads what windows count."""
        known = [self.library.policies[name] for name in policies if name in self.library.policies]
        return any(read.name == WINDOWS and not read.decisions for policy in known for read in policy.reads)

    def _make(self, profile: str, findings: Findings) -> Rulebook | None:
        if profile not in self._profiles:
            if f"profile:{profile}" not in self.library.broken:
                where = Span(one_line(f"profiles/{profile}.yaml"), 1, 1, 1, 2)
                known = ", ".join(self.profiles())
                help_text = did_you_mean(profile, self._profiles, f"there are {known}" if known else "create it")
                findings.add("profile.unknown", where, f"there is no profile `{profile}`", help_text)
            return None
        chain = ancestry(profile, self._profiles, self.library, findings)
        if not chain:
            return None
        needed = self._needed(chain)
        settings = bind(chain, self.library, needed, findings)
        if not settings.policies:
            where, message = chain[-1].span, f"profile `{profile}` runs no policies"
            heirs = [f"`{name}`" for name in self.profiles() if profile in self._ancestors(name)]
            help_text = "list them under `policies`"
            if heirs:
                help_text = f"ask for one that extends it ({', '.join(heirs)}), or list them under `policies`"
            findings.add("profile.abstract", where, message, help_text)
            return None
        policies = self._chosen(settings, findings)
        self._check_disabled(settings, findings)
        self._check_requires(settings, policies, findings)
        diverges = divergences(chain, settings.policies, policies, self.library, findings)
        complete = all(name in settings.bindings[()].values for name in needed)
        if not complete or findings.has_errors:
            return None
        for policy in policies.values():
            check_steps(policy.steps, settings.bindings, findings, policy.name)
        windows, events = (self.windows, self.events) if self._read_windows(policies) else ({}, {})
        check_windows(windows.values(), settings.bindings, findings)
        declarations = {
            f"{owner}.{name}": ParameterDeclaration(owner, name, declared.type, declared.doc, declared.span)
            for owner, params in self.library.params().items()
            for name, declared in params.items()
            if f"{owner}.{name}" in needed
        }
        ahead = self._max_ahead()
        version = version_of(
            policies.values(),
            self.groups.values(),
            ahead,
            settings.bindings,
            settings.symbols,
            declarations,
            windows.values(),
            events,
        )
        used = self._used_sources(profile)
        return Rulebook(
            profile,
            version,
            digest(line for name in sorted(used) for line in (name, used[name].text)),
            MappingProxyType(policies),
            MappingProxyType(dict(self.groups)),
            ahead,
            MappingProxyType(declarations),
            settings.bindings,
            settings.symbols,
            settings.disabled,
            MappingProxyType(used),
            events=MappingProxyType(dict(events)),
            windows=MappingProxyType(dict(windows)),
            diverges=diverges,
            requires=MappingProxyType(
                {
                    owner: tuple(text.typed(typed) for text, typed in self._requires[owner])
                    for owner in dict.fromkeys(step.ruleset for policy in policies.values() for step in policy.steps)
                }
            ),
        )

    def _needed(self, chain: list[ProfileDocument]) -> dict[str, Span]:
        """Parameters that need a value: of rule sets the profile's policies run, of the vocabulary, and of windows."""
        named = next((document.policies for document in reversed(chain) if document.policies is not None), ())
        owners = {FACTS} | {
            place.name
            for policy in named
            if policy.name in self.library.policies
            for place in self.library.policies[policy.name].steps
        }
        counted: set[str] = set()
        if self._read_windows(policy.name for policy in named):
            owners |= {WINDOWS}
            counted = {name for window in self.windows.values() for name in window.parameters()}
        return {
            full: declared.span
            for owner, params in self.library.params().items()
            for name, declared in params.items()
            for full in (f"{owner}.{name}",)
            if owner in owners or full in counted
        }

    def _chosen(self, settings: Settings, findings: Findings) -> dict[str, Policy]:
        """The profile's policies, without its disabled rules."""
        chosen: dict[str, Policy] = {}
        for place in settings.policies:
            if place.name in chosen:
                findings.add("name.twice", place.span, f"the policy `{place.name}` is given twice", "remove one")
            elif place.name in self.policies:
                chosen[place.name] = _without(self.policies[place.name], settings)
            elif place.name not in self.library.policies and f"policy:{place.name}" not in self.library.broken:
                help_text = did_you_mean(place.name, self.library.policies, "name a file of policies/")
                findings.add("name.unknown", place.span, f"there is no policy `{place.name}`", help_text)
        return chosen

    def _check_disabled(self, settings: Settings, findings: Findings) -> None:
        rules = {
            f"{name}.{rule.id}": (ruleset, rule)
            for name, ruleset in self.library.rulesets.items()
            for rule in ruleset.rules
        }
        remaining = {name: {rule.id for rule in ruleset.rules} for name, ruleset in self.library.rulesets.items()}
        for name, origin in settings.disabled.items():
            owner = name.partition(".")[0]
            if name not in rules:
                if f"ruleset:{owner}" not in self.library.broken:
                    help_text = did_you_mean(name, rules, "rules are named `set.rule`")
                    findings.add("name.unknown", origin.span, f"there is no rule `{name}`", help_text)
                continue
            ruleset, rule = rules[name]
            remaining[owner].discard(rule.id)
            related = Related(rule.span, "the rule is here")
            if ruleset.hit == "first" and rule is ruleset.rules[-1]:
                message = f"`{name}` is the last rule of a `first` set and cannot be disabled"
                findings.add(
                    "profile.disable", origin.span, message, "without it some input would have no decision", related
                )
            elif not remaining[owner]:
                message = f"with `{name}` the last rule of `{owner}` is disabled"
                findings.add("profile.disable", origin.span, message, "take the set out of the policy instead", related)

    def _check_requires(self, settings: Settings, policies: Mapping[str, Policy], findings: Findings) -> None:
        for name in dict.fromkeys(step.ruleset for policy in policies.values() for step in policy.steps):
            ruleset = self.library.rulesets[name]
            for text, typed in self._requires[name]:
                involved = [f"{name}.{part.name}" for part in walk(typed) if isinstance(part, ParameterRef)]
                seen: list[list[Value]] = []
                # Fewest groups first: a binding in which these values are those of another has the same problem.
                for binding in sorted(settings.bindings.values(), key=lambda binding: len(binding.groups)):
                    if all(f"{name}.{param}" in binding.values for param in ruleset.params):
                        values = [binding.values[full] for full in involved]
                        if values not in seen and evaluate(typed, Environment({}, binding.values)) is not True:
                            self._report_requires(text, name, ruleset, binding, settings.profile, findings)
                        seen.append(values)

    def _report_requires(
        self,
        text: ExpressionText,
        owner: str,
        ruleset: RuleSetDocument,
        binding: Binding,
        profile: str,
        findings: Findings,
    ) -> None:
        origins = [
            (full, binding.origins[full])
            for param in ruleset.params
            if (full := f"{owner}.{param}") in binding.origins and f"${param}" in _words(text.text)
        ]
        # The value that deviates most is the one to look at: a symbol group's first, then the profile's own.
        origins.sort(key=lambda named: (named[1].group is None, named[1].profile != profile))
        related = [Related(origin.span, f"`{full}` is {origin.text} here") for full, origin in origins]
        group = f" for the symbol group {' + '.join(binding.groups)}" if binding.groups else ""
        message = f"`{owner}` requires `{text.text}`{group}"
        place = related[0].span if related else text.span
        stated = Related(text.span, "it is required here")
        others = [other for other in (stated, *related) if other.span != place]
        findings.add("requires.broken", place, message, "change one of the values", *others)

    def _max_ahead(self) -> str | None:
        vocabulary = self.library.vocabulary
        if vocabulary is None or vocabulary.max_ahead is None:
            return None
        tree = vocabulary.max_ahead.tree
        return tree.name if isinstance(tree, syntax.Parameter) else None

    def _used_sources(self, profile: str) -> dict[str, Source]:
        names = self._depends_on(profile)
        return {name: self.sources[name] for name in names if name in self.sources}


def _without(policy: Policy, settings: Settings) -> Policy:
    """The policy less its disabled rules."""
    if not settings.disabled:
        return policy
    steps = tuple(
        replace(step, rules=tuple(rule for rule in step.rules if rule.full_id not in settings.disabled))
        for step in policy.steps
    )
    return replace(policy, steps=steps)


def _words(text: str) -> set[str]:
    return set("".join(character if character.isalnum() or character in "_$" else " " for character in text).split())


def _kind_of(name: str) -> DocumentKind:
    if name == VOCABULARY:
        return "vocabulary"
    if name == WINDOWS_FILE:
        return "windows"
    folder = name.partition("/")[0]
    return next((kind for known, kind in _FOLDERS if known == folder), "ruleset")


_Read = tuple[Any, tuple[Finding, ...]]
_read: dict[tuple[DocumentKind, str], list[tuple[Source, _Read]]] = {}
"""The last texts of each file, with the documents they are, newest first."""


def _document(kind: DocumentKind, source: Source, stem: str) -> _Read:
    """One file as a document, remembered by its text: a reload parses only what changed.

    Two texts of a name are remembered, so that a session that reloads for years holds no more than at first.
    """
    known = _read.get((kind, source.name), [])
    for held, read in known:
        if held == source:
            return read
    findings = Findings()
    read = read_document(kind, source, stem, findings), tuple(findings)
    if len(_read) >= _MOST_NAMES:
        _read.clear()
    _read[kind, source.name] = [(source, read), *known[:1]]
    return read


_MOST_NAMES = 4096
