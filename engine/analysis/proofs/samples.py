"""Inputs that the solver came up with, decided again with something changed: the cheap half of "does it ever matter".

What one of them shows need not be asked of the solver. What none of them shows proves nothing, and is asked.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property

from engine.analysis.proofs.parts import Part, possible_of, shown_in
from engine.backends import interpreter
from engine.backends.interpreter import NoValueError, RuleTrace, StepTrace
from engine.language.evaluate import Environment, Known, Missing, compare
from engine.language.model import (
    Binding,
    DecisionRef,
    Expression,
    Fact,
    FactRef,
    ParameterRef,
    Policy,
    Relation,
    Rule,
    Step,
    expressions_in,
    walk,
)
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value

_CALMEST = 3
"""Samples whose neighbours are looked at: where few rules match, a single one is seen to matter."""


@dataclass
class _Users:
    """Who reads a parameter in one step."""

    conditions: list[Rule] = field(default_factory=list)
    effects: set[str] = field(default_factory=set)
    """Rules, by `set.rule`."""
    start: bool = False


def _users(step: Step) -> dict[str, _Users]:
    """Who reads each parameter of a step."""
    found: dict[str, _Users] = {}
    for _, written in step.start:
        for name in _parameters(written.expression):
            found.setdefault(name, _Users()).start = True
    for rule in step.rules:
        for leaf in rule.leaves():
            for name in _parameters(leaf.written.expression):
                users = found.setdefault(name, _Users())
                if not users.conditions or users.conditions[-1] is not rule:
                    users.conditions.append(rule)
        for effect in rule.effects:
            for name in _parameters(effect.value.expression):
                found.setdefault(name, _Users()).effects.add(rule.full_id)
    return found


def _parameters(expression: Expression) -> set[str]:
    return {f"{part.ruleset}.{part.name}" for part in walk(expression) if isinstance(part, ParameterRef)}


class Reads:
    """A policy, and what each of its steps reads, by rule set."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.parts = {rule.full_id: tuple(possible_of(rule)) for step in policy.steps for rule in step.rules}
        self.users: dict[str, dict[str, _Users]] = {}
        """By parameter and rule set."""
        for step in policy.steps:
            for name, users in _users(step).items():
                self.users.setdefault(name, {})[step.ruleset] = users
        self.names = {
            step.ruleset: frozenset(
                part.name
                for expression in expressions_in(step)
                for part in walk(expression)
                if isinstance(part, (FactRef, DecisionRef))
            )
            for step in policy.steps
        }

    def only_by(self, parameter: str, rules: Container[str]) -> bool:
        """Whether some of these rules (`set.rule`), and nothing else, read a parameter."""
        readers = self.users.get(parameter, {}).values()
        return bool(readers) and all(
            not users.start
            and all(rule.full_id in rules for rule in users.conditions)
            and all(name in rules for name in users.effects)
            for users in readers
        )


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

        return self._differs(changed, self.parameters, lambda done: done.step.ruleset == rule.ruleset, {})

    def differs_with(self, parameter: str, value: Value) -> bool:
        """Whether anything that is handed out changes if a parameter is given another value."""
        if value == self.parameters.get(parameter):
            return False
        parameters = ChainMap({parameter: value}, self.parameters)  # type: ignore[arg-type]
        users = self.reads.users.get(parameter, {})
        return self._differs(
            lambda step: step, parameters, lambda done: self._concerned(done, users, parameters), users
        )

    def _concerned(self, done: StepTrace, users_of: Mapping[str, _Users], parameters: Mapping[str, Value]) -> bool:
        """Whether a step may come to something else with another value of a parameter.

        It does not where the rules that read it match as they did, and none that matched says it in an effect: of many
        rules few are looked at again.
        """
        users = users_of.get(done.step.ruleset)
        if users is None:
            return False
        if users.start or not users.effects.isdisjoint(self.matched):
            return True
        env = Environment(done.names, parameters)
        return any(
            interpreter.look(rule, env).matched != self._looked_at[rule.full_id].matched
            for rule in users.conditions
            if rule.full_id in self._looked_at
        )

    @cached_property
    def _looked_at(self) -> Mapping[str, RuleTrace]:
        return {seen.rule.full_id: seen for step in self.steps or () for seen in step.rules}

    def shows(self, wanted: Container[Part]) -> set[Part]:
        """The parts wanted that this input shows to be possible."""
        return set(shown_in(self.steps or (), self.parameters, self.reads.parts, wanted))

    def _differs(
        self,
        changed: Callable[[Step], Step],
        parameters: Mapping[str, Value],
        concerns: Callable[[StepTrace], bool],
        users: Mapping[str, _Users],
    ) -> bool:
        """Run again from the first step that a change concerns; a step that reads nothing new is as it was."""
        if self.steps is None:
            return False
        names = dict(self.facts)
        dirty: set[str] = set()
        for before in self.steps:
            step = before.step
            if dirty.isdisjoint(self.reads.names[step.ruleset]):
                if not concerns(before):
                    names |= before.sets
                    continue
                step = self._without_idle(step, users.get(step.ruleset))
            try:
                after = interpreter.run_step(changed(step), Environment(names, parameters))
            except NoValueError:
                return True
            dirty |= {name for name, value in after.sets.items() if value != before.sets[name]}
            names = {**names, **after.sets}
        return not dirty.isdisjoint(self.reads.policy.decides)

    def _without_idle(self, step: Step, users: _Users | None) -> Step:
        """A step on the same input without the rules that did not match, and read no parameter that is another now."""
        readers = {rule.full_id for rule in users.conditions} if users is not None else ()
        kept = (
            rule
            for rule in step.rules
            if (seen := self._looked_at.get(rule.full_id)) is None or seen.matched or rule.full_id in readers
        )
        return replace(step, rules=tuple(kept))


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
