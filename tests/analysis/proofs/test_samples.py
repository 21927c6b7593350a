"""Deciding an input again with something changed: the same as deciding all of it, though only what changed is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest

from engine.analysis.proofs.samples import Reads, Sample
from engine.backends import interpreter
from engine.backends.facts import see
from engine.language.evaluate import Known
from engine.language.model import Binding, Policy
from engine.language.soundness import parameters_of
from engine.language.types import FlagType, NumberType, Value
from tests.backends.strategies import Picker, write_facts, write_rulebook

RULEBOOKS = 60


def decided(policy: Policy, values: Mapping[str, Value], names: Mapping[str, Known]) -> list[Value] | None:
    try:
        done = interpreter.run(policy, Binding((), values, {}), names)
    except interpreter.NoValueError:
        return None
    return [done.values[name] for name in policy.decides]


@pytest.mark.parametrize("part", range(2))
def test_only_what_a_change_concerns_is_run_again(part: int) -> None:
    counted: Counter[tuple[str, bool]] = Counter()
    for seed in range(part * RULEBOOKS, (part + 1) * RULEBOOKS):
        check(seed, counted)
    assert min(counted[what, differs] for what in ("rule", "parameter") for differs in (True, False)) > RULEBOOKS // 2


def check(seed: int, counted: Counter[tuple[str, bool]]) -> None:
    """Each rule and each parameter of a random rulebook, on a random input."""
    pick = Picker.of(Random(seed))
    rulebook = write_rulebook(pick).try_load()
    for policy in rulebook.policies.values() if rulebook else ():
        assert rulebook is not None
        binding = rulebook.bindings[()]
        names = see(rulebook, policy, binding, write_facts(pick, rulebook, policy)).names()
        sample = Sample(Reads(policy), names, binding.values)
        before = decided(policy, binding.values, names)
        for step in policy.steps:
            for rule in step.rules[: -1 if step.hit == "first" else None]:
                kept = replace(step, rules=tuple(other for other in step.rules if other is not rule))
                changed = replace(policy, steps=tuple(kept if other is step else other for other in policy.steps))
                differs = decided(changed, binding.values, names) != before
                assert sample.differs_without(rule) == differs, (seed, rule.full_id)
                counted["rule", differs] += 1
            for name in sorted(parameters_of(step)):
                for value in turned(binding.values[name], rulebook.declarations[name].type):
                    differs = decided(policy, {**binding.values, name: value}, names) != before
                    assert sample.differs_with(name, value) == differs, (seed, name, value)
                    counted["parameter", differs] += 1


def turned(value: Value, kind: object) -> tuple[Value, ...]:
    """Other values of a parameter."""
    match kind:
        case NumberType(min=low, max=high):
            return (low, high, 0.0)
        case FlagType():
            return (not value,)
    return ()


def test_an_input_that_is_not_decided_at_all_shows_nothing() -> None:
    for seed in range(40):
        pick = Picker.of(Random(seed))
        rulebook = write_rulebook(pick).try_load()
        if rulebook is None:
            continue
        policy = next(iter(rulebook.policies.values()))
        first = [step for step in policy.steps if step.hit == "first" and len(step.rules) > 1]
        if not first:
            continue
        broken = replace(policy, steps=(replace(first[0], rules=()),))
        names = see(rulebook, policy, rulebook.bindings[()], write_facts(pick, rulebook, policy)).names()
        sample = Sample(Reads(broken), names, rulebook.bindings[()].values)
        assert sample.steps is None
        assert sample.matched == frozenset()
        assert not sample.differs_with("x", 1.0)
        return
    pytest.fail("no rulebook with a `first` set was drawn")
