"""The backends that run the conformance cases, behind one protocol.

A backend that does not know a part of the language says so (`lacks`), and must then really refuse it: a gap that has
closed turns the test red until its mark is taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from engine.backends.decision import Decision
from engine.backends.facts import Gap
from engine.book import Backend as BookBackend
from engine.book import Book
from engine.language.rulebook import Rulebook
from tests.conformance.harness import Answer


class UnsupportedError(Exception):
    """A backend cannot run a policy."""


class Backend(Protocol):
    """One way to run a rulebook."""

    @property
    def name(self) -> str:
        """What test names show."""
        ...

    def lacks(self, rulebook: Rulebook, policy: str) -> str | None:
        """Why this backend cannot run the policy; None if it can."""
        ...

    def answer(self, rulebook: Rulebook, policy: str, facts: Mapping[str, Any]) -> Answer:
        """Decide, or raise `FactsError`, or `UnsupportedError` where `lacks` says why."""
        ...


@dataclass(frozen=True)
class InBook:
    """A backend that `engine.Book` runs itself."""

    name: BookBackend

    def lacks(self, rulebook: Rulebook, policy: str) -> str | None:  # noqa: ARG002 - these carry the whole language
        """Nothing."""
        return None

    def answer(self, rulebook: Rulebook, policy: str, facts: Mapping[str, Any]) -> Answer:
        """Decide."""
        return answer_of(_book(rulebook, self.name).decide(policy, facts))


@lru_cache(maxsize=4)
def _book(rulebook: Rulebook, backend: BookBackend) -> Book:
    """Compiling takes longer than deciding: a rulebook compiles once."""
    return Book(rulebook, backend)


def answer_of(decision: Decision) -> Answer:
    """All of a decision that cases speak of."""
    firings = (*decision.outcome.fired, *decision.outcome.vetoes)
    return Answer(
        decision.values,
        decision.vetoes,
        decision.fired,
        {
            firing.rule.full_id: tuple(firing.rule.leaves()[index].written.text for index in firing.leaves)
            for firing in firings
        },
        {
            name: value.cause
            for group in decision.seen.values.values()
            for name, value in group.items()
            if isinstance(value, Gap)
        },
        decision.reason,
        decision.json(),
    )


BACKENDS: tuple[Backend, ...] = (InBook("interpreter"), InBook("compiled"))
