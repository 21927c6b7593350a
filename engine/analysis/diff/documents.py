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
    Vocabulary,
    read_document,
)
from engine.language.findings import Findings, Span
from engine.language.load import VOCABULARY, profile_documents
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

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary as written."""
        source = self._rulebook.sources[VOCABULARY]
        return cast("Vocabulary", read_document("vocabulary", source, "facts", Findings()))

    @cached_property
    def profiles(self) -> tuple[ProfileDocument, ...]:
        """The profile and those it extends, the root first."""
        return profile_documents(self._rulebook)

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
