"""Random rulebooks: what is called proven is broken by no random input, what is called loose is so for all of them.

Inputs are decided by the interpreter on rationals, which is what a proof speaks of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from engine.analysis.diff.exact import exact
from engine.analysis.proofs.asking import Proven
from engine.analysis.proofs.invariants import OfOneSide, Subject, ask
from engine.analysis.proofs.lint import Loose, lint
from engine.analysis.proofs.prove import sides_of
from engine.backends.facts import see
from engine.backends.interpreter import RuleTrace, StepTrace
from engine.backends.solver.space import Side
from engine.language import model
from engine.language.evaluate import Known, Missing, rank
from engine.language.findings import Span
from engine.language.model import Expression, Policy, Written
from engine.language.types import ChoiceType, FlagType, NumberType, Value
from tests.backends.exact import Exact
from tests.backends.strategies import Picker, write_facts, write_rulebook

HERE = Span("policies/p.yaml", 1, 1, 1, 2)
RULEBOOKS = 12
INPUTS = 8
ENDS = 12
TIMEOUT_S = 0.2


def written(expression: Expression) -> Written:
    return Written("", expression, HERE)


def invariants(pick: Picker, policy: Policy) -> Iterator[OfOneSide]:
    """Promises made of the conditions of a policy's rules, most of which it does not keep."""
    leaves = [leaf.written.expression for step in policy.steps for rule in step.rules for leaf in rule.leaves()]
    for first, second in list(pairwise(leaves))[:4]:
        yield model.Claim("it", None, written(model.Logical(0, 0, "implies", first, second)), "", HERE)
        known = model.Not(0, 0, model.Logical(0, 0, "and", first, model.Not(0, 0, first)))
        yield model.Claim("it", None, written(known), "", HERE)
    decided = policy.types()
    numbers = [fact.name for group in policy.groups for fact in group.facts if isinstance(fact.type, NumberType)]
    ordered = [name for name, kind in decided.items() if not isinstance(kind, ChoiceType) or kind.ordered]
    facts = [fact.name for group in policy.groups for fact in group.facts]
    for name, kind in decided.items():
        if isinstance(kind, NumberType):
            low, high = (model.Constant(0, 0, end, kind) for end in (kind.min, kind.max / 2))
            yield model.Bounded("it", None, name, written(low), written(high), "", HERE)
            yield model.Bounded("it", None, name, written(low), None, "", HERE)
        if isinstance(kind, FlagType):
            of = written(model.DecisionRef(0, 0, name, kind))
            yield model.FailClosed("it", None, of, (pick.one(policy.groups).name,), None, "", HERE)
    when = written(pick.one(leaves)) if leaves else written(model.Constant(0, 0, value=True, type=FlagType()))
    for _ in range(2):
        yield model.UnchangedWhen("it", None, (pick.one(list(decided)),), (pick.one(facts),), when, "", HERE)
        if numbers and ordered:
            yield model.Monotone(
                "it", None, pick.one(ordered), pick.one(numbers), pick.one(("rises", "falls")), "", HERE
            )


Names = dict[str, Known]


def seen(side: Side, facts: Mapping[str, Any]) -> Names:
    return see(side.rulebook, side.policy, side.binding, facts).names()


def decided(steps: tuple[StepTrace, ...], name: str) -> Value:
    return next(step.sets[name] for step in steps if name in step.sets)


def kept(invariant: OfOneSide, exactly: Exact, one: Names, other: Names) -> bool:
    """Whether an input, or a pair of which `other` may lend some facts to `one`, breaks no promise."""
    steps = exactly.trace(one)
    types = exactly.side.policy.types()

    def holds(said: Written, names: Names, done: tuple[StepTrace, ...]) -> bool:
        return exactly.value(said.expression, names, done) is True

    match invariant:
        case model.Claim(claim=claim):
            return holds(claim, one, steps)
        case model.Bounded(of=of, least=least, most=most):
            value = decided(steps, of)
            ends = [exactly.value(end.expression, one, steps) if end else value for end in (least, most)]
            return not isinstance(ends[0], Missing) and ends[0] <= value <= ends[1]  # type: ignore[operator]
        case model.Monotone(of=of, in_=in_, moves=moves):
            both = {**one, in_: other[in_]}
            if isinstance(one[in_], Missing) or isinstance(both[in_], Missing) or not one[in_] < both[in_]:  # type: ignore[operator]
                return True
            first, last = (rank(decided(done, of), types[of]) for done in (steps, exactly.trace(both)))
            return first <= last if moves == "rises" else first >= last
        case model.UnchangedWhen(of=of, in_=in_, when=when):
            both = {**one, **{name: other[name] for name in in_}}
            after = exactly.trace(both)
            if not (holds(when, one, steps) and holds(when, both, after)):
                return True
            return all(decided(steps, name) == decided(after, name) for name in of)
        case model.FailClosed(when=when, missing=groups):
            for group in exactly.side.policy.groups:
                for fact in group.facts if group.name in groups else ():
                    without: Names = {**one, fact.name: Missing.ABSENT}
                    if isinstance(one[fact.name], Missing) or not holds(when, without, exactly.trace(without)):
                        continue
                    if not holds(when, one, steps):
                        return False
            return True
    raise AssertionError(invariant)


def related(side: Side) -> set[str]:
    """Facts that are held to each other: taken from two inputs they may be such as no input has."""
    return {end for group in side.policy.groups for item in group.relations for end in (item.left, item.right)}


def spoken_of(invariant: OfOneSide) -> set[str]:
    match invariant:
        case model.Monotone(in_=in_):
            return {in_}
        case model.UnchangedWhen(in_=in_):
            return set(in_)
    return set()


@pytest.mark.parametrize("part", range(2))
def test_nothing_that_is_proven_is_ever_broken(part: int) -> None:
    counted: Counter[str] = Counter()
    for seed in range(part * RULEBOOKS // 2, (part + 1) * RULEBOOKS // 2):
        check_invariants(seed, counted)
    assert counted["Proven"] > RULEBOOKS
    assert counted["Refuted"] > RULEBOOKS


def check_invariants(seed: int, counted: Counter[str]) -> None:
    """The promises of one rulebook."""
    pick = Picker.of(Random(seed))
    rulebook = write_rulebook(pick).try_load()
    for policy in rulebook.policies.values() if rulebook else ():
        side = sides_of(rulebook, policy)[0]  # type: ignore[arg-type]  # there is one
        subject, exactly = Subject(side, TIMEOUT_S), Exact(side)
        inputs = [seen(side, write_facts(pick, side.rulebook, policy)) for _ in range(INPUTS)]
        for invariant in invariants(pick, policy):
            answer = ask(subject, invariant)
            counted[type(answer).__name__] += 1
            if not isinstance(answer, Proven):
                continue
            counted[f"proven {type(invariant).__name__}"] += 1
            for one, other in pairwise(inputs):
                if related(side).isdisjoint(spoken_of(invariant)):
                    assert kept(invariant, exactly, one, other), (seed, invariant, one, other)


# Loose ends ----------------------------------------------------------------------------------------------------------


def turned(pick: Picker, side: Side, only: str | None = None) -> Side:
    """The side with its flag parameters, or only one parameter, given some other value."""
    values = dict(side.binding.values)
    for name, declared in side.rulebook.declarations.items():
        match declared.type:
            case FlagType() if only in (None, name):
                values[name] = pick.chance(50)
            case ChoiceType(of=of) if only == name:
                values[name] = pick.one(of)
            case NumberType(min=low, max=high) if only == name:
                near = (low, high, 0.0, 1.0, low / 2 + high / 2, *(v for v in values.values() if type(v) is float))
                values[name] = pick.one([value for value in near if low <= value <= high])
    return replace(side, binding=replace(side.binding, values=values))


def without(policy: Policy, rule: str) -> Policy:
    steps = tuple(
        replace(step, rules=tuple(other for other in step.rules if other.full_id != rule)) for step in policy.steps
    )
    return replace(policy, steps=steps)


class Claimed:
    """What is said of a part, to be held against inputs: of one side, its flags turned at random."""

    def __init__(self, pick: Picker, end: Loose, side: Side) -> None:
        self._end = end
        side = turned(pick, side)
        self._one, self._other = Exact(side), Exact(side)
        if end.what == "redundant":
            self._other.policy = exact(without(side.policy, end.part))
        if end.what == "param_idle":
            self._other.binding = exact(turned(pick, side, end.part).binding)

    def holds(self, names: Names) -> bool:
        """Whether an input shows nothing else."""
        steps = self._one.trace(names)
        looked = next((rule for step in steps for rule in step.rules if rule.rule.full_id == self._end.part), None)
        match self._end.what:
            case "dead":
                return looked is None or not looked.matched
            case "redundant" | "param_idle":
                other = self._other.trace(names)
                return all(decided(steps, name) == decided(other, name) for name in self._one.side.policy.decides)
            case "always_true" | "never_true":
                return looked is None or self._condition(steps, looked)
        return True

    def _condition(self, steps: tuple[StepTrace, ...], looked: RuleTrace) -> bool:
        """Several parts of a leaf may begin where the loose one does: it is one of them."""
        place = (self._end.span.line, self._end.span.column)
        (names,) = (step.names for step in steps if looked in step.rules)
        said = [rule for step in self._one.side.policy.steps for rule in step.rules if rule.full_id == self._end.part]
        leaves = [leaf.written for leaf in said[0].leaves()]
        parts = [(text.at(part), part) for text in leaves for part in model.walk(text.expression)]
        found = [part for at, part in parts if (at.line, at.column) == place and part.type == FlagType()]
        values = [self._one.value(part, names, ()) is True for part in found]
        return (self._end.what == "always_true") in values


@pytest.mark.parametrize("part", range(2))
def test_whatever_is_called_loose_is_so_for_random_inputs(part: int) -> None:
    counted: Counter[str] = Counter()
    for seed in range(500 + part * RULEBOOKS // 2, 500 + (part + 1) * RULEBOOKS // 2):
        check_ends(seed, counted)
    for what in ("dead", "redundant", "never_true", "param_idle"):
        assert counted[what], counted


def check_ends(seed: int, counted: Counter[str]) -> None:
    """The loose ends of one rulebook."""
    pick = Picker.of(Random(seed))
    rulebook = write_rulebook(pick).try_load()
    if rulebook is None:
        return
    sides = {name: sides_of(rulebook, policy) for name, policy in rulebook.policies.items()}
    found = lint(sides, TIMEOUT_S)
    assert not any(end.what == "partial" for end in found.loose)
    for _ in range(min(len(found.loose), ENDS)):
        end = pick.one(found.loose)
        counted[end.what] += 1
        for side in (side for held in sides.values() for side in held if end.part.partition(".")[0] in steps_of(side)):
            claimed = Claimed(pick, end, side)
            for _ in range(INPUTS):
                names = seen(side, write_facts(pick, rulebook, side.policy))
                assert claimed.holds(names), (seed, end, names)


def steps_of(side: Side) -> set[str]:
    return {step.ruleset for step in side.policy.steps}
