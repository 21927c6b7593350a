"""Where things stand that a rulebook keeps no place of: its documents, read again from the sources it was made of.

A loaded rulebook's documents are sound, so nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import cast

from engine.language.documents import (
    NamePlace,
    PolicyDocument,
    ProfileDocument,
    RuleSetDocument,
    Vocabulary,
    read_document,
)
from engine.language.findings import Findings, Span
from engine.language.load import VOCABULARY
from engine.language.model import Expression
from engine.language.resolve import Scope, resolve_condition
from engine.language.rulebook import Rulebook


class Documents:
    """The documents of one rulebook, each read when it is first asked for."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._policies: dict[str, PolicyDocument] = {}

    def policy(self, name: str) -> PolicyDocument:
        """A policy as written."""
        if name not in self._policies:
            source = self._rulebook.sources[f"policies/{name}.yaml"]
            self._policies[name] = cast("PolicyDocument", read_document("policy", source, name, Findings()))
        return self._policies[name]

    def required(self, ruleset: str) -> list[tuple[Expression, str, Span]]:
        """What a rule set requires of its parameters: typed, as written, and where."""
        source = self._rulebook.sources[f"rules/{ruleset}.yaml"]
        document = cast("RuleSetDocument", read_document("ruleset", source, ruleset, Findings()))
        scope = Scope(ruleset=ruleset, params=document.params)
        typed = [(resolve_condition(text, scope, Findings()), text) for text in document.requires]
        return [(expression, text.text, text.span) for expression, text in typed if expression is not None]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary as written."""
        source = self._rulebook.sources[VOCABULARY]
        return cast("Vocabulary", read_document("vocabulary", source, "facts", Findings()))

    @cached_property
    def profiles(self) -> tuple[ProfileDocument, ...]:
        """The profile and those it extends, the root first."""
        chain: list[ProfileDocument] = []
        name: str | None = self._rulebook.profile
        while name is not None:
            source = self._rulebook.sources[f"profiles/{name}.yaml"]
            document = cast("ProfileDocument", read_document("profile", source, name, Findings()))
            chain.insert(0, document)
            name = document.extends.name if document.extends is not None else None
        return tuple(chain)

    @cached_property
    def members(self) -> Mapping[str, Mapping[str, Span]]:
        """The members of each symbol group, with where they stand."""
        given: dict[str, tuple[NamePlace, ...]] = {}
        for document in self.profiles:
            for name, text in document.symbols.items():
                given[name] = text.of if text.of is not None else given.get(name, ())
        return {name: {place.name: place.span for place in places} for name, places in given.items()}

    def symbol_group(self, name: str) -> Span:
        """Where a symbol group is named last: in the profile, or in the nearest that it extends."""
        return next(document.symbols[name].span for document in reversed(self.profiles) if name in document.symbols)
