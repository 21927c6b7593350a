"""Which invariants an edit of parameters would break, and what the next search has to mind so that it breaks none.

In: a rulebook, and the same with the edit in it. Out: the invariants that hold of the first and not of the second, and
for each a lesson: what has to hold of the parameters for the input that broke it. The next edit is searched for with
these lessons, so a few inputs stand for all of them (counterexample-guided). The facts that were asked about, and the
inputs that broke an earlier edit, are tried by the interpreter before the solver is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from engine.analysis.proofs import Question
from engine.analysis.proofs.asking import Budget
from engine.analysis.proofs.prove import Status, Verdict, prove
from engine.analysis.why_not.at_hand import Facts, broken_at_hand
from engine.analysis.why_not.rulebooks import Rulebooks, speaks_of
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
    whole: bool = True
    """Every invariant was asked; unset, those broken are not all that may be."""


class Promises:
    """The invariants of a rulebook, asked of one edit after the other."""

    def __init__(self, rulebook: Rulebook, others: Rulebooks | None, budget: Budget, facts: Facts) -> None:
        """`facts` are those that were asked about: the first on which an edit may break something."""
        self._rulebook = rulebook
        self._others = others
        self._budget = budget
        self._today: dict[Name, Status] = {}
        """What is known of invariants without any edit."""
        self._broken: set[Name] = set()
        self._inputs: list[Facts] = [facts]
        """On which an edit is tried before the solver is asked."""

    def judge(
        self, edited: Rulebook, changed: Collection[str], beside: Rulebooks | None = None, *, whole: bool = False
    ) -> Judged:
        """The invariants of policies that read what changed. One that does not hold today is not broken by an edit.

        Inputs at hand are tried first, then those invariants that an earlier edit broke; where this one breaks any of
        them, no others are asked, unless the `whole` answer is wanted. `beside` has the other profiles where the edit
        is theirs, too.
        """
        beside = beside or self._others
        policies = {name: _kept(policy, _concerns(policy, changed)) for name, policy in edited.policies.items()}
        asked = {name: _kept(policy, self._is_comparable) for name, policy in policies.items()}
        at_hand = self._broken_at_hand(edited, asked, beside)
        if at_hand and not whole:
            return Judged(at_hand, whole=False)
        known = {_key(verdict) for verdict in at_hand}
        left = [name for name in _names(asked) if name not in known]
        again = [] if whole else self._failing(edited, asked, beside, self._broken & set(left))
        if any(verdict.status == "refuted" for verdict in again):
            return Judged(self._learned(verdict for verdict in again if verdict.status == "refuted"), whole=False)
        failing = self._failing(edited, asked, beside, left)
        refuted = {_key(verdict) for verdict in failing if verdict.status == "refuted"}
        self._learn_of_today(refuted)
        broken = [each for each in failing if _key(each) in refuted and self._today[_key(each)] == "proven"]
        unknown = {_key(each) for each in failing if "undecided" in (each.status, self._today.get(_key(each)))}
        unknown |= set(_names(policies)) - set(_names(asked))
        found = sorted([*at_hand, *self._learned(broken)], key=lambda verdict: [*_names(asked)].index(_key(verdict)))
        return Judged(tuple(found), tuple(sorted(".".join(name) for name in unknown)))

    def _broken_at_hand(
        self, edited: Rulebook, asked: Mapping[str, Policy], beside: Rulebooks | None
    ) -> tuple[Verdict, ...]:
        """Those that an input at hand breaks with the edit and not without, and that are not known to fail today."""
        found = broken_at_hand(edited, asked, self._inputs, beside)
        if not found:
            return ()
        inputs = [*self._inputs, *(facts for each in found if each.witness for facts in each.witness.facts)]
        kept = {name: _kept(policy, _within(name, {_key(each) for each in found})) for name, policy in asked.items()}
        before = {_key(each) for each in broken_at_hand(self._rulebook, kept, inputs, self._others)}
        fresh = [each for each in found if _key(each) not in before]
        self._learn_of_today({_key(each) for each in fresh})
        return self._learned(each for each in fresh if self._today[_key(each)] != "refuted")

    def _learned(self, broken: Iterable[Verdict]) -> tuple[Verdict, ...]:
        """Invariants that an edit broke: they, and the inputs that did it, are tried on the next one first."""
        learned = tuple(broken)
        self._broken |= {_key(verdict) for verdict in learned}
        for verdict in learned:
            inputs = verdict.witness.facts if verdict.witness is not None else ()
            self._inputs += [facts for facts in inputs if facts not in self._inputs]
        return learned

    def _learn_of_today(self, wanted: Collection[Name]) -> None:
        """Ask what is not known yet of invariants without any edit."""
        fresh = [name for name in wanted if name not in self._today]
        failing = self._failing(self._rulebook, self._rulebook.policies, self._others, fresh) if fresh else []
        held: dict[Name, Status] = dict.fromkeys(fresh, "proven")
        self._today |= held | {_key(verdict): verdict.status for verdict in failing}

    def _is_comparable(self, invariant: Invariant) -> bool:
        """Whether the profile that an invariant compares this one with is there."""
        profile = self._rulebook.profile
        if not isinstance(invariant, AtLeastAsStrict) or not speaks_of(invariant, profile):
            return True
        if self._others is None:
            return False
        try:
            self._others(invariant.than if profile == invariant.profile else invariant.profile)
        except SluiceError:
            return False
        return True

    def _failing(
        self,
        rulebook: Rulebook,
        policies: Mapping[str, Policy],
        others: Rulebooks | None,
        only: Collection[Name],
    ) -> list[Verdict]:
        """Those of some invariants of these policies that are refuted or undecided."""
        policies = {name: _kept(policy, _within(name, only)) for name, policy in policies.items()}
        asked = replace(rulebook, policies={name: policy for name, policy in policies.items() if policy.invariants})
        if not asked.policies:
            return []
        proofs = prove(
            rulebook.profile,
            lambda name: asked if name == rulebook.profile or others is None else others(name),
            only=_INVARIANTS,
            timeout_s=max(self._budget.left_s / 2, _LEAST_S),  # one hard question leaves time for the others
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
