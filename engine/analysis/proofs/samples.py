"""Inputs that the solver came up with, decided again with something changed: the cheap half of "does it ever matter".

What one of them shows need not be asked of the solver. What none of them shows proves nothing, and is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property

from engine.backends import interpreter
from engine.backends.interpreter import NoValueError, StepTrace
from engine.language.evaluate import Environment, Known, Missing, compare
from engine.language.model import (
    Binding,
    DecisionRef,
    Fact,
    FactRef,
    Policy,
    Relation,
    Rule,
    Step,
    expressions_in,
    walk,
)
from engine.language.soundness import parameters_of
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value

_CALMEST = 3
"""Samples whose neighbours are looked at: where few rules match, a single one is seen to matter."""


class Reads:
    """A policy, and what each of its steps reads, by rule set."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.parameters = {step.ruleset: parameters_of(step) for step in policy.steps}
        self.names = {
            step.ruleset: frozenset(
                part.name
                for expression in expressions_in(step)
                for part in walk(expression)
                if isinstance(part, (FactRef, DecisionRef))
            )
            for step in policy.steps
        }


@dataclass(frozen=True)
class Sample:
    """An input of a policy: facts by name, and the values of parameters."""

    reads: Reads
    facts: Mapping[str, Known]
    parameters: Mapping[str, Value]

    @cached_property
    def steps(self) -> tuple[StepTrace, ...] | None:
        """How it is decided; None if that leaves something without a value."""
        try:
            return interpreter.trace(self.reads.policy, Binding((), self.parameters, {}), self.facts)
        except NoValueError:
            return None

    @cached_property
    def matched(self) -> frozenset[str]:
        """The rules that fire or veto, by `set.rule`."""
        return frozenset(rule.rule.full_id for step in self.steps or () for rule in step.rules if rule.matched)

    def differs_without(self, rule: Rule) -> bool:
        """Whether anything that is handed out changes if a rule is taken away."""

        def changed(step: Step) -> Step:
            if step.ruleset != rule.ruleset:
                return step
            return replace(step, rules=tuple(other for other in step.rules if other is not rule))

        return self._differs(changed, self.parameters, lambda step: step.ruleset == rule.ruleset)

    def differs_with(self, parameter: str, value: Value) -> bool:
        """Whether anything that is handed out changes if a parameter is given another value."""
        return self._differs(
            lambda step: step,
            {**self.parameters, parameter: value},
            lambda step: parameter in self.reads.parameters[step.ruleset],
        )

    def _differs(
        self, changed: Callable[[Step], Step], parameters: Mapping[str, Value], concerns: Callable[[Step], bool]
    ) -> bool:
        """Run again from the first step that a change concerns; a step that reads nothing new is as it was."""
        if self.steps is None:
            return False
        names = dict(self.facts)
        dirty: set[str] = set()
        for before in self.steps:
            if not concerns(before.step) and dirty.isdisjoint(self.reads.names[before.step.ruleset]):
                names |= before.sets
                continue
            try:
                after = interpreter.run_step(changed(before.step), Environment(names, parameters))
            except NoValueError:
                return True
            dirty |= {name for name, value in after.sets.items() if value != before.sets[name]}
            names = {**names, **after.sets}
        return not dirty.isdisjoint(self.reads.policy.decides)


def matters_to(samples: Sequence[Sample], turned: Mapping[str, Sequence[Value]]) -> set[str]:
    """Parameters that change what some sample comes to, turned to one of the given values."""
    return {
        name
        for name, values in turned.items()
        if any(sample.differs_with(name, value) for sample in samples for value in values)
    }


def needed_by(samples: list[Sample], rules: Sequence[Rule]) -> set[str]:
    """Rules without which some sample, or one that differs from it in one fact, is decided otherwise.

    A neighbour that shows it is added to the samples: what is sensitive to one thing often is to another.
    """
    wanted = {rule.full_id: rule for rule in rules}
    needed: set[str] = set()
    for sample in samples:
        needed |= shown_by(sample, wanted, needed)
    for sample in sorted(samples, key=lambda sample: len(sample.matched))[:_CALMEST]:
        for other in _neighbours(sample):
            if wanted.keys() <= needed:
                return needed
            shown = shown_by(other, wanted, needed)
            if shown:
                needed |= shown
                samples.append(other)
    return needed


def shown_by(sample: Sample, wanted: Mapping[str, Rule], needed: AbstractSet[str] = frozenset()) -> set[str]:
    """Of the rules wanted and not known to be needed, those without which a sample is decided otherwise."""
    fired = (wanted[name] for name in sample.matched if name in wanted and name not in needed)
    return {rule.full_id for rule in fired if sample.differs_without(rule)}


def _neighbours(sample: Sample) -> Iterator[Sample]:
    """The sample with one fact changed: missing, the ends of a range, another value."""
    for group in sample.reads.policy.groups:
        kinds = {fact.name: fact.type for fact in group.facts}
        for fact in group.facts:
            for value in _others(fact, sample.facts[fact.name]):
                facts = {**sample.facts, fact.name: value}
                if all(_holds(facts, relation, kinds[relation.left]) for relation in group.relations):
                    yield replace(sample, facts=facts)


def _holds(facts: Mapping[str, Known], relation: Relation, kind: Type) -> bool:
    first, second = facts[relation.left], facts[relation.right]
    if isinstance(first, Missing) or isinstance(second, Missing):
        return True
    return compare(relation.operator, first, second, kind)


def _others(fact: Fact, held: Known) -> Iterator[Known]:
    values: tuple[Known, ...] = ()
    match fact.type:
        case NumberType(min=low, max=high):
            values = (low, high, 0.0) if low <= 0 <= high else (low, high)
        case FlagType():
            values = (True, False)
        case ChoiceType(of=of):
            values = of
    yield from (value for value in (Missing.ABSENT, *values) if value != held)
