"""The interpreter: what a policy means, run on the typed tree, with everything it looked at kept as a trace.

It is the definition. It is meant to be read, and every other backend is held against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from engine.backends.outcome import Firing, Outcome
from engine.language.evaluate import Environment, Known, Missing, conjunction, disjunction, evaluate, number
from engine.language.model import AllOf, AnyOf, Binding, Condition, Effect, Leaf, Policy, Rule, Step
from engine.language.types import NumberType, Value


class NoValueError(Exception):
    """An effect, a start or a whole step has no value. No loaded policy does that; one changed after loading may."""


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule looked at: the truth of each leaf, of the whole condition, and whether the rule matched."""

    rule: Rule
    leaves: tuple[Known, ...]
    condition: Known
    matched: bool
    triggering: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StepTrace:
    """One step: the rules looked at (a `first` set stops at the one that matched) and what it set."""

    step: Step
    rules: tuple[RuleTrace, ...]
    names: Mapping[str, Known]
    """What the step could read: facts and earlier decisions."""
    sets: Mapping[str, Value]


def trace(policy: Policy, binding: Binding, facts: Mapping[str, Known]) -> tuple[StepTrace, ...]:
    """Run a policy on its facts (by bare name) and keep every step."""
    names = dict(facts)
    steps = []
    for step in policy.steps:
        done = run_step(step, Environment(dict(names), binding.values))
        names |= done.sets
        steps.append(done)
    return tuple(steps)


def run(policy: Policy, binding: Binding, facts: Mapping[str, Known]) -> Outcome:
    """Run a policy on its facts (by bare name)."""
    return outcome(trace(policy, binding, facts))


def outcome(steps: tuple[StepTrace, ...]) -> Outcome:
    """What a trace comes to."""
    matched = [
        (step.step.hit == "veto", Firing(rule.rule, rule.triggering))
        for step in steps
        for rule in step.rules
        if rule.matched
    ]
    return Outcome(
        {name: value for step in steps for name, value in step.sets.items()},
        tuple(firing for veto, firing in matched if not veto),
        tuple(firing for veto, firing in matched if veto),
    )


def run_step(step: Step, env: Environment) -> StepTrace:
    """Run one step on what stands before it."""
    rules: list[RuleTrace] = []
    for rule in step.rules:
        rules.append(look(rule, env))
        if step.hit == "first" and rules[-1].matched:
            break
    matched = [done.rule for done in rules if done.matched]
    sets: dict[str, Value]
    match step.hit:
        case "first":
            if not matched:
                raise NoValueError(step.ruleset)
            sets = {effect.name: _known(effect, env) for effect in matched[0].effects}
        case "each":
            sets = _apply_each(step, matched, env)
        case "veto":
            sets = {name: not matched for name, _ in step.sets}
    return StepTrace(step, tuple(rules), env.names, {name: sets[name] for name, _ in step.sets})


def look(rule: Rule, env: Environment) -> RuleTrace:
    """One rule under an environment: does it match, and by which leaves."""
    leaves = tuple(evaluate(leaf.written.expression, env) for leaf in rule.leaves())
    if rule.condition is None:
        return RuleTrace(rule, leaves, condition=True, matched=True, triggering=())
    condition = _truth(rule.condition, leaves)
    matched = rule.on_unknown == "match" if isinstance(condition, Missing) else bool(condition)
    triggering = tuple(_triggering(rule.condition, leaves)) if matched else ()
    return RuleTrace(rule, leaves, condition, matched, triggering)


def _truth(condition: Condition, leaves: tuple[Known, ...]) -> Known:
    match condition:
        case Leaf(index=index):
            return leaves[index]
        case AllOf(items):
            return conjunction(*(_truth(item, leaves) for item in items))
        case AnyOf(items):
            return disjunction(*(_truth(item, leaves) for item in items))
    assert_never(condition)


def _triggering(condition: Condition, leaves: tuple[Known, ...]) -> list[int]:
    """The leaves that made it match: of `any` the first true item (else the first unknown), of `all` every one."""
    match condition:
        case Leaf(index=index):
            return [index]
        case AllOf(items):
            return [index for item in items for index in _triggering(item, leaves)]
        case AnyOf(items):
            truths = [_truth(item, leaves) for item in items]
            unknown = (index for index, truth in enumerate(truths) if isinstance(truth, Missing))
            chosen = next((index for index, truth in enumerate(truths) if truth is True), next(unknown, 0))
            return _triggering(items[chosen], leaves)
    assert_never(condition)


def _apply_each(step: Step, matched: list[Rule], env: Environment) -> dict[str, Value]:
    running: dict[str, Value] = {}
    for name, start in step.start:
        value = evaluate(start.expression, env)
        if isinstance(value, Missing):
            raise NoValueError(start.text)
        running[name] = value
    for rule in matched:
        for effect in rule.effects:
            running[effect.name] = applied(effect, running[effect.name], _known(effect, env))
    for name, kind in step.sets:
        if isinstance(kind, NumberType):
            running[name] = at_most(at_least(number(running[name]), kind.min), kind.max)
    return running


def applied(effect: Effect, running: Value, value: Value) -> Value:
    """A running value after an effect of an `each` set, given what the effect's expression comes to."""
    match effect.kind:
        case "set":
            return value
        case "add":
            return number(running) + number(value)
        case "at_least":
            return at_least(number(running), number(value))
        case "at_most":
            return at_most(number(running), number(value))
    assert_never(effect.kind)


def at_least(value: float, bound: float) -> float:
    """The value, raised to a lower bound."""
    return max(value, bound)


def at_most(value: float, bound: float) -> float:
    """The value, lowered to an upper bound."""
    return min(value, bound)


def _known(effect: Effect, env: Environment) -> Value:
    value = evaluate(effect.value.expression, env)
    if isinstance(value, Missing):
        raise NoValueError(effect.value.text)
    return value
