"""Every bound of the shipped rules binds in some case, at the numbers of a shipped profile.

One that never can promises what it does not do. Cases may turn switches of a profile, but no numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.backends.interpreter import StepTrace, at_least, at_most, trace
from engine.language.evaluate import Environment, Missing, evaluate
from engine.language.model import Effect, Policy
from engine.language.types import Value
from tests.shipped.books import book
from tests.shipped.test_cases import cases, decide

Bound = tuple[str, str, str]
"""A rule, the name it bounds, and from which side."""


def test_every_bound_binds_in_some_case() -> None:
    """The replaced system had clamps wider than all that could reach them."""
    binding: set[Bound] = set()
    for file, case, profile in cases():
        values = case.get("values", {})
        if not all(isinstance(value, bool) for value in values.values()):
            continue
        used = book(profile, "interpreter", values)
        decision = decide(file, case, profile, "interpreter")
        policy = used.rulebook.policies[file["policy"]]
        bound = used.rulebook.binding_of(decision.moment.symbol)
        for step in trace(policy, bound, decision.seen.names()):
            binding |= set(bound_by(step, Environment(step.names, bound.values)))
    policies = book("prod", "interpreter").rulebook.policies.values()
    assert binding == {each for policy in policies for each in bounds_of(policy)}


def bounds_of(policy: Policy) -> Iterator[Bound]:
    """The bounds that the rules of a policy set."""
    for step in policy.steps:
        for rule in step.rules:
            for effect in rule.effects:
                if effect.kind in ("at_least", "at_most"):
                    yield rule.full_id, effect.name, effect.kind


def bound_by(step: StepTrace, env: Environment) -> Iterator[Bound]:
    """The bounds that changed a value in a step, its effects applied one by one."""
    running = {name: evaluate(written.expression, env) for name, written in step.step.start}
    for done in step.rules:
        for effect in done.rule.effects if done.matched else ():
            before = running.get(effect.name)
            running[effect.name] = applied(effect, before, evaluate(effect.value.expression, env))
            if effect.kind in ("at_least", "at_most") and running[effect.name] != before:
                yield done.rule.full_id, effect.name, effect.kind


def applied(effect: Effect, before: Value | Missing | None, value: Value | Missing) -> Value:
    """What an effect makes of a value."""
    assert not isinstance(value, Missing)
    if effect.kind == "set" or before is None or isinstance(before, Missing):
        return value
    match effect.kind:
        case "add":
            return float(before) + float(value)
        case "at_least":
            return at_least(float(before), float(value))
        case "at_most":
            return at_most(float(before), float(value))
