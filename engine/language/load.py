"""A home folder becomes a rulebook, or a list of everything that is wrong with it.

The stages, each taking the output of the one before: `nodes` (YAML), `shapes`, `documents`, `build` (names and types),
`bind` (values), `soundness` (flow and intervals), `rulebook`. All files are read before any is parsed, so a rulebook is
never made of two states of a folder that is being written. A file that did not change is not parsed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from engine.language.bind import Settings, ancestry, bind
from engine.language.build import FACTS, Library, Usage, build_groups, build_policy, check_ruleset, unused
from engine.language.documents import (
    Document,
    DocumentKind,
    ExpressionText,
    PolicyDocument,
    ProfileDocument,
    RuleSetDocument,
    Vocabulary,
    read_document,
)
from engine.language.evaluate import Environment, evaluate
from engine.language.findings import Finding, Findings, LoadError, Related, Severity, Span
from engine.language.model import Binding, Group, ParameterDeclaration, Policy
from engine.language.nodes import Source, read_source
from engine.language.resolve import Scope, resolve_condition
from engine.language.rulebook import Rulebook, digest, version_of
from engine.language.soundness import check_steps
from engine.language.spelling import did_you_mean

VOCABULARY = "policies/facts.yaml"
"""The file that holds the vocabulary; every other file in `policies/` is a policy."""

_FOLDERS: tuple[tuple[str, DocumentKind], ...] = (("rules", "ruleset"), ("policies", "policy"), ("profiles", "profile"))


@dataclass(frozen=True, slots=True)
class Files:
    """The texts of a home folder at one moment, and what could not be read."""

    sources: Mapping[str, Source]
    findings: tuple[Finding, ...]


def read_files(home: Path) -> Files:
    """Read every YAML file of a home folder, parsing none."""
    findings = Findings()
    sources: dict[str, Source] = {}
    for folder, _ in _FOLDERS:
        place = home / folder
        try:
            names = sorted(path.name for path in place.iterdir())
        except OSError as error:
            reason = "there is no such folder" if isinstance(error, FileNotFoundError) else "it cannot be read"
            where = Span(folder, 1, 1, 1, 2)
            findings.add("file.missing", where, f"`{folder}/`: {reason}", "name another --home, or run `sluice init DIR`")
            continue
        for name in names:
            if name.startswith(".") or not name.endswith((".yaml", ".yml")):
                continue
            shown = f"{folder}/{name}"
            if name.endswith(".yml"):
                where = Span(shown, 1, 1, 1, 2)
                findings.add("file.name", where, f"`{shown}` is not read", "name it .yaml", severity=Severity.WARNING)
                continue
            source = read_source(place / name, shown, findings)
            if source is not None:
                sources[shown] = source
    return Files(sources, tuple(findings))


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


class Workspace:
    """The documents of one reading of a home folder, from which any of its profiles can be loaded."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._findings = Findings()
        self._findings.extend(files.findings)
        documents: dict[DocumentKind, dict[str, Document]] = {"ruleset": {}, "policy": {}, "profile": {}}
        broken: set[str] = {
            f"{_kind_of(finding.span.file)}:{Path(finding.span.file).stem}" for finding in files.findings
        }
        vocabulary: Vocabulary | None = None
        for name, source in files.sources.items():
            kind = _kind_of(name)
            stem = Path(name).stem
            document, found = _document(kind, source, stem)
            self._findings.extend(found)
            if document is None:
                broken.add(f"{kind}:{stem}")
            elif isinstance(document, Vocabulary):
                vocabulary = document
            else:
                documents[kind][stem] = document
        if vocabulary is None and VOCABULARY not in files.sources and not files.findings:
            where = Span(VOCABULARY, 1, 1, 1, 2)
            self._findings.add("file.missing", where, f"there is no `{VOCABULARY}`", "it declares the facts that policies read")
        self._profiles = cast("dict[str, ProfileDocument]", documents["profile"])
        known = self._profiles.keys() | {Path(name).stem for name in files.sources if name.startswith("profiles/")}
        self.library = Library(
            vocabulary,
            cast("dict[str, RuleSetDocument]", documents["ruleset"]),
            cast("dict[str, PolicyDocument]", documents["policy"]),
            frozenset(known),
            frozenset(broken),
        )
        self._usage = Usage()
        self.groups: dict[str, Group] = (
            build_groups(vocabulary, self._findings, self._usage) if vocabulary is not None else {}
        )
        self._sound = {
            name: check_ruleset(ruleset, self._findings) for name, ruleset in self.library.rulesets.items()
        }
        self.policies: dict[str, Policy] = {}
        for name, policy in self.library.policies.items():
            built = build_policy(policy, self.library, self.groups, self._sound, self._findings, self._usage)
            if built is not None:
                self.policies[name] = built
        if not self.library.broken:
            unused(self.library, self.policies, self._usage, self._findings)

    @property
    def sources(self) -> Mapping[str, Source]:
        """The files read, by name."""
        return self._files.sources

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with files, whichever profile is asked for."""
        return tuple(self._findings)

    def profiles(self) -> list[str]:
        """Names of the profiles that can be loaded: those that run policies."""
        return [name for name in self._profiles if self._runs_policies(name)]

    def _runs_policies(self, name: str) -> bool:
        chain = ancestry(name, self._profiles, self.library, Findings())
        return any(document.policies is not None for document in chain) or not chain

    def rulebook(self, profile: str) -> Rulebook:
        """The rulebook of a profile.

        Raises:
            LoadError: with every finding of the home folder and of this profile.

        """
        findings = Findings()
        findings.extend(self._findings)
        made = self._make(profile, findings)
        if made is None or findings.has_errors:
            raise LoadError([finding for finding in findings if finding.severity is not Severity.NOTE])
        return replace(made, warnings=tuple(findings))

    def _make(self, profile: str, findings: Findings) -> Rulebook | None:
        if profile not in self._profiles:
            if f"profile:{profile}" not in self.library.broken:
                where = Span(f"profiles/{profile}.yaml", 1, 1, 1, 2)
                known = ", ".join(self.profiles())
                help_text = did_you_mean(profile, self._profiles, f"there are {known}" if known else "")
                findings.add("profile.unknown", where, f"there is no profile `{profile}`", help_text)
            return None
        chain = ancestry(profile, self._profiles, self.library, findings)
        if not chain:
            return None
        needed = self._needed(chain)
        settings = bind(chain, self.library, needed, findings)
        if not settings.policies:
            where = chain[-1].span
            findings.add("profile.abstract", where, f"profile `{profile}` runs no policies", "list them under `policies`")
            return None
        policies = self._chosen(settings, findings)
        self._check_disabled(settings, findings)
        self._check_requires(settings, findings)
        complete = all(name in settings.bindings[()].values for name in needed)
        if not complete or findings.has_errors:
            return None
        for policy in policies.values():
            check_steps(policy.steps, settings.bindings, findings)
        declarations = {
            f"{owner}.{name}": ParameterDeclaration(owner, name, declared.type, declared.doc, declared.span)
            for owner, params in self.library.params().items()
            for name, declared in params.items()
            if f"{owner}.{name}" in needed
        }
        ahead = self._max_ahead()
        version = version_of(
            policies.values(), self.groups.values(), ahead, settings.bindings, settings.symbols, declarations
        )
        used = self._used_sources(chain, policies)
        return Rulebook(
            profile,
            version,
            digest(line for name in sorted(used) for line in (name, used[name].text)),
            policies,
            self.groups,
            ahead,
            declarations,
            settings.bindings,
            settings.symbols,
            settings.disabled,
            used,
        )

    def _needed(self, chain: list[ProfileDocument]) -> dict[str, Span]:
        """Parameters that need a value: those of rule sets the profile's policies run, and the vocabulary's."""
        named = next((document.policies for document in reversed(chain) if document.policies is not None), ())
        owners = {FACTS} | {
            place.name
            for policy in named
            if policy.name in self.library.policies
            for place in self.library.policies[policy.name].steps
        }
        return {
            f"{owner}.{name}": declared.span
            for owner, params in self.library.params().items()
            if owner in owners
            for name, declared in params.items()
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
                help_text = did_you_mean(place.name, self.library.policies)
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
                findings.add("profile.disable", origin.span, message, "without it some input would have no decision", related)
            elif not remaining[owner]:
                message = f"with `{name}` the last rule of `{owner}` is disabled"
                findings.add("profile.disable", origin.span, message, "take the set out of the policy instead", related)

    def _check_requires(self, settings: Settings, findings: Findings) -> None:
        used = {place.name for name in self.policies for place in self.library.policies[name].steps}
        for name, ruleset in self.library.rulesets.items():
            scope = Scope(ruleset=name, params=ruleset.params)
            for text in ruleset.requires:
                typed = resolve_condition(text, scope, findings)
                if typed is None or name not in used:
                    continue
                for binding in settings.bindings.values():
                    if all(f"{name}.{param}" in binding.values for param in ruleset.params):
                        held = evaluate(typed, Environment({}, binding.values))
                        if held is not True:
                            self._report_requires(text, name, ruleset, binding, findings)

    def _report_requires(
        self, text: ExpressionText, owner: str, ruleset: RuleSetDocument, binding: Binding, findings: Findings
    ) -> None:
        related = [
            Related(origin.span, f"`{full}` is {origin.text} here")
            for param in ruleset.params
            if (full := f"{owner}.{param}") in binding.origins and f"${param}" in _words(text.text)
            for origin in (binding.origins[full],)
        ]
        group = f" for the symbol group {' + '.join(binding.groups)}" if binding.groups else ""
        message = f"`{owner}` requires `{text.text}`{group}"
        place = related[0].span if related else text.span
        stated = Related(text.span, "it is required here")
        findings.add("requires.broken", place, message, "change one of the values", stated, *related)

    def _max_ahead(self) -> str | None:
        vocabulary = self.library.vocabulary
        if vocabulary is None or vocabulary.max_ahead is None:
            return None
        return vocabulary.max_ahead.text.strip().removeprefix("$")

    def _used_sources(self, chain: list[ProfileDocument], policies: Mapping[str, Policy]) -> dict[str, Source]:
        names = {document.source.name for document in chain} | {VOCABULARY}
        for policy in policies.values():
            names.add(self.library.policies[policy.name].source.name)
            names |= {self.library.rulesets[step.ruleset].source.name for step in policy.steps}
        return {name: self.sources[name] for name in names}


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
    folder = name.partition("/")[0]
    return next((kind for known, kind in _FOLDERS if known == folder), "ruleset")


@lru_cache(maxsize=4096)
def _document(kind: DocumentKind, source: Source, stem: str) -> tuple[Any, tuple[Finding, ...]]:
    """One file as a document, remembered by its text: a reload parses only what changed."""
    findings = Findings()
    document = read_document(kind, source, stem, findings)
    return document, tuple(findings)
