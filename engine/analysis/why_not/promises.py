"""Which invariants an edit of parameters would break, and what the next search has to mind so that it breaks none.

In: a rulebook, and the same with the edit in it. Out: the invariants that hold of the first and not of the second, and
for each a lesson: what has to hold of the parameters for the input that broke it. The next edit is searched for with
these lessons, so a few inputs stand for all of them (counterexample-guided).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from engine.analysis.proofs import Question
from engine.analysis.proofs.asking import Budget
from engine.analysis.proofs.prove import Status, Verdict, prove
from engine.backends.solver.encode import PolicyTerms
from engine.backends.solver.terms import Bit, compared, conj, disj, neg
from engine.language.build import FACTS
from engine.language.findings import SluiceError
from engine.language.model import (
    AtLeastAsStrict,
    Bounded,
    Claim,
    FailClosed,
    Invariant,
    ParameterRef,
    Policy,
    expressions_of,
    walk,
)
from engine.language.rulebook import Rulebook

Rulebooks = Callable[[str], Rulebook]
"""Where the rulebooks of other profiles come from, by name. Raises a SluiceError where one does not load."""

Encoded = Callable[[Policy, Mapping[str, Any]], PolicyTerms]
"""A policy on one input, as terms over the parameters that may change."""


Name: TypeAlias = tuple[str, str]
"""An invariant: its policy and its id."""

_INVARIANTS: tuple[Question, ...] = ("invariants",)
_LEAST_S = 0.001
"""For one question, where the budget is used up."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of the invariants with an edit."""

    broken: tuple[Verdict, ...] = ()
    unproven: tuple[str, ...] = ()
    """`policy.invariant`, where the solver gave up, time was over, or the profile to compare with is not there."""


class Promises:
    """The invariants of a rulebook, asked of one edit after the other."""

    def __init__(self, rulebook: Rulebook, others: Rulebooks | None, budget: Budget) -> None:
        self._rulebook = rulebook
        self._others = others
        self._budget = budget
        self._today: dict[Name, Status] = {}
        """What is known of invariants without any edit."""
        self._broken: set[Name] = set()

    def judge(self, edited: Rulebook, changed: Collection[str]) -> Judged:
        """The invariants of policies that read what changed. One that does not hold today is not broken by an edit.

        Those that an earlier edit broke are asked first; where this one breaks any of them, no others are.
        """
        policies = {name: _kept(policy, _concerns(policy, changed)) for name, policy in edited.policies.items()}
        asked = {name: _kept(policy, self._is_comparable) for name, policy in policies.items()}
        again = self._failing(edited, asked, self._broken)
        if any(verdict.status == "refuted" for verdict in again):
            return Judged(tuple(verdict for verdict in again if verdict.status == "refuted"))
        failing = self._failing(edited, asked)
        refuted = {_key(verdict) for verdict in failing if verdict.status == "refuted"}
        self._learn_of_today(refuted)
        broken = tuple(each for each in failing if _key(each) in refuted and self._today[_key(each)] == "proven")
        self._broken |= {_key(verdict) for verdict in broken}
        unknown = {_key(each) for each in failing if "undecided" in (each.status, self._today.get(_key(each)))}
        unknown |= set(_names(policies)) - set(_names(asked))
        return Judged(broken, tuple(sorted(".".join(name) for name in unknown)))

    def _learn_of_today(self, wanted: Collection[Name]) -> None:
        """Ask what is not known yet of invariants without any edit."""
        fresh = [name for name in wanted if name not in self._today]
        failing = self._failing(self._rulebook, self._rulebook.policies, fresh) if fresh else []
        held: dict[Name, Status] = dict.fromkeys(fresh, "proven")
        self._today |= held | {_key(verdict): verdict.status for verdict in failing}

    def _is_comparable(self, invariant: Invariant) -> bool:
        """Whether the profile that an invariant compares this one with is there."""
        profile = self._rulebook.profile
        if not isinstance(invariant, AtLeastAsStrict) or profile not in (invariant.profile, invariant.than):
            return True
        if invariant.profiles is not None and profile not in invariant.profiles:
            return True
        if self._others is None:
            return False
        try:
            self._others(invariant.than if profile == invariant.profile else invariant.profile)
        except SluiceError:
            return False
        return True

    def _failing(
        self, rulebook: Rulebook, policies: Mapping[str, Policy], only: Collection[Name] | None = None
    ) -> list[Verdict]:
        """The invariants of these policies, or `only` some of them, that are refuted or undecided."""
        if only is not None:
            policies = {name: _kept(policy, _within(name, only)) for name, policy in policies.items()}
        asked = replace(rulebook, policies={name: policy for name, policy in policies.items() if policy.invariants})
        if not asked.policies:
            return []
        proofs = prove(
            rulebook.profile,
            lambda name: asked if name == rulebook.profile or self._others is None else self._others(name),
            only=_INVARIANTS,
            timeout_s=max(self._budget.left_s, _LEAST_S),
            budget=self._budget,
        )
        return [verdict for verdict in proofs.verdicts if verdict.status != "proven"]


def _key(verdict: Verdict) -> Name:
    return verdict.policy, verdict.id


def _names(policies: Mapping[str, Policy]) -> Iterator[Name]:
    return ((name, each.id) for name, policy in policies.items() for each in policy.invariants)


def name_of(verdict: Verdict) -> str:
    """An invariant as pages name it."""
    return f"{verdict.policy}.{verdict.id}"


def lesson(rulebook: Rulebook, verdict: Verdict, encoded: Encoded) -> Bit | None:
    """What parameters have to make of the input that broke an invariant; None where it cannot be said."""
    policy, witness = rulebook.policies[verdict.policy], verdict.witness
    invariant = next(each for each in policy.invariants if each.id == verdict.id)
    assert witness is not None
    terms = [encoded(policy, facts) for facts in witness.facts]
    match invariant:
        case Claim(claim=claim):
            return terms[0].truth(claim.expression).true
        case AtLeastAsStrict(when=when, profile=strict):
            held = terms[0].truth(when.expression).true
            return neg(held) if rulebook.profile == strict else held
        case FailClosed(when=when, unless=unless):
            first, second = (each.truth(when.expression).true for each in terms)
            excepted: Bit = False if unless is None else terms[0].truth(unless.expression).true
            return disj(neg(first), second, excepted)
        case Bounded(of=of, least=least, most=most):
            kind, number = policy.types()[of], terms[0].names[of]
            low: Bit = least is None or compared(">=", number, terms[0].number(least.expression), kind).true
            return conj(low, most is None or compared("<=", number, terms[0].number(most.expression), kind).true)
    return None


def _concerns(policy: Policy, changed: Collection[str]) -> Callable[[Invariant], bool]:
    """Whether an invariant of a policy may hold otherwise. Ages matter only where two profiles are compared."""
    parts = [part for expression in expressions_of(policy) for part in walk(expression)]
    reads = any(isinstance(part, ParameterRef) and f"{part.ruleset}.{part.name}" in changed for part in parts)
    ages = any(name.startswith(f"{FACTS}.") for name in changed)
    return lambda invariant: reads or (ages and isinstance(invariant, AtLeastAsStrict))


def _kept(policy: Policy, keep: Callable[[Invariant], bool]) -> Policy:
    return replace(policy, invariants=tuple(each for each in policy.invariants if keep(each)))


def _within(policy: str, wanted: Collection[Name]) -> Callable[[Invariant], bool]:
    return lambda invariant: (policy, invariant.id) in wanted
