"""The backends that run the conformance cases, behind one protocol.

A backend that does not know a part of the language says so (`lacks`), and must then really refuse it: a gap that has
closed turns the test red until its mark is taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from engine.backends.decision import Decision
from engine.backends.durable.express import Inexpressible
from engine.backends.durable.witness import Witness
from engine.backends.durable.witness import answer_of as answer_of_step
from engine.backends.facts import Gap, raw_group
from engine.book import Backend as BookBackend
from engine.book import Book
from engine.language.rulebook import Rulebook
from engine.language.types import Value
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
    written, record = decision.written(), decision.record()
    assert written == (record["decision_id"], decision.reason, decision.json())
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


@dataclass(frozen=True)
class InVerdict:
    """The compiled backend from facts objects to a verdict, which has code of its own for the border."""

    name: str = "verdict"

    def lacks(self, rulebook: Rulebook, policy: str) -> str | None:  # noqa: ARG002 - it carries the whole language
        """Nothing."""
        return None

    def answer(self, rulebook: Rulebook, policy: str, facts: Mapping[str, Any]) -> Answer:
        """Decide; that every name is looked at is promised by `decide` alone, so that is asked first."""
        book = _book(rulebook, "compiled")
        book.decide(policy, facts)
        verdict = book.verdict(policy, facts)
        return Answer(verdict.values, verdict.vetoes)


@dataclass(frozen=True)
class InObserved:
    """The compiled backend on groups taken in one by one."""

    name: str = "observed"

    def lacks(self, rulebook: Rulebook, policy: str) -> str | None:  # noqa: ARG002 - it carries the whole language
        """Nothing."""
        return None

    def answer(self, rulebook: Rulebook, policy: str, facts: Mapping[str, Any]) -> Answer:
        """Decide; the top of the facts object is not part of it, so `decide` is asked of that first."""
        book = _book(rulebook, "compiled")
        book.decide(policy, facts)
        groups = book.policy(policy).groups
        observed = {group.name: book.observe(group.name, raw_group(group, facts)) for group in groups}
        given = (facts["now"], facts.get("symbol"), observed)
        verdict = book.verdict_observed(policy, *given)
        decision = book.decide_observed(policy, *given)
        assert decision.decision_id == decision.record()["decision_id"]
        answer = answer_of(decision)
        assert (verdict.values, verdict.vetoes) == (answer.values, answer.vetoes)
        return replace(answer, json=None)  # its record refers to groups by id


@dataclass(frozen=True)
class InDurable:
    """durable-rules, step by step: each step that it can express decides, on what the interpreter saw there."""

    name: str = "durable"

    def lacks(self, rulebook: Rulebook, policy: str) -> str | None:
        """Why it can express no step of the policy at all, under any binding."""
        found = [step for binding in rulebook.bindings for step in _witness(rulebook, policy, binding).steps]
        reasons = [step.reason for step in found if isinstance(step, Inexpressible)]
        return reasons[0] if len(reasons) == len(found) else None

    def answer(self, rulebook: Rulebook, policy: str, facts: Mapping[str, Any]) -> Answer:
        """Decide; a step that it cannot express is the interpreter's, and of the others the rules must be the same."""
        lacks = self.lacks(rulebook, policy)
        if lacks is not None:
            raise UnsupportedError(lacks)
        decision, trace = _book(rulebook, "interpreter").trace(policy, facts)
        names = rulebook.symbols.get(decision.moment.symbol or "", ())
        values: dict[str, Value] = {}
        vetoes: list[str] = []
        for done, answered in zip(trace, _witness(rulebook, policy, names).answers(trace), strict=True):
            defined = answer_of_step(done)
            answer = defined if isinstance(answered, Inexpressible) else answered
            assert answer.matched == defined.matched
            values |= answer.sets
            vetoes += [rule.full_id for rule in answer.matched if done.step.hit == "veto"]
        return Answer({name: values[name] for name in decision.values}, tuple(vetoes))


@lru_cache(maxsize=16)
def _witness(rulebook: Rulebook, policy: str, binding: tuple[str, ...]) -> Witness:
    return Witness(rulebook.policies[policy], rulebook.bindings[binding])


BACKENDS: tuple[Backend, ...] = (InBook("interpreter"), InBook("compiled"), InVerdict(), InObserved(), InDurable())
