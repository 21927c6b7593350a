"""Inputs that a solver found, run by the interpreter.

In: a side and a `Point`. Out: a `Run`: the facts object as a caller would hand it in, every step of the decision, and
what a claim comes to there. Nothing that a solver says is shown to anyone before it went through here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.backends.decision import Decision
from engine.backends.facts import DECISIONS, Seen, see
from engine.backends.interpreter import StepTrace, outcome, trace
from engine.backends.solver.space import Point, Side
from engine.language.evaluate import Environment, Known, evaluate
from engine.language.model import Expression
from engine.language.types import Value

NOW = 1_700_000_000.0
"""The moment of every witness (s since 1970); what counts are ages."""


@dataclass(frozen=True)
class Run:
    """One input, decided by the interpreter under one side."""

    side: Side
    facts: Mapping[str, Any]
    seen: Seen
    steps: tuple[StepTrace, ...]

    @cached_property
    def names(self) -> Mapping[str, Known]:
        """Every fact, and what every step set."""
        return {**self.seen.names(), **{name: value for step in self.steps for name, value in step.sets.items()}}

    @cached_property
    def vetoes(self) -> Mapping[str, frozenset[str]]:
        """The rules that vetoed, by rule set."""
        return {
            step.step.ruleset: frozenset(rule.rule.id for rule in step.rules if rule.matched)
            for step in self.steps
            if step.step.hit == "veto"
        }

    def value(self, expression: Expression) -> Known:
        """What a claim, or any expression in the scope of claims, comes to."""
        return evaluate(expression, Environment(self.names, self.side.binding.values, self.vetoes))

    def decided(self, name: str) -> Value:
        """What was decided for a name that a step sets."""
        return next(step.sets[name] for step in self.steps if name in step.sets)

    @property
    def decision(self) -> Decision:
        """The decision with its reason and record."""
        side = self.side
        return Decision(side.rulebook, side.policy, side.binding, self.seen, outcome(self.steps))


def run(side: Side, point: Point) -> Run:
    """Decide one input under one side."""
    return run_on(side, facts_of(side, point))


def run_on(side: Side, facts: Mapping[str, Any]) -> Run:
    """Decide on a facts object under one side. Raises FactsError, as `see` does."""
    seen = see(side.rulebook, side.policy, side.binding, facts)
    return Run(side, facts, seen, trace(side.policy, side.binding, seen.names()))


def facts_of(side: Side, point: Point) -> dict[str, Any]:
    """A point as a facts object: what is missing is left out, and so is a group of which nothing is known."""
    facts: dict[str, Any] = {"now": NOW}
    if side.symbol is not None:
        facts["symbol"] = side.symbol
    for group in side.policy.groups:
        held = {
            fact.name: value for fact in group.facts if (value := point.given.get((group.name, fact.name))) is not None
        }
        if not held:
            continue
        if group.max_age is not None or group.name in point.ages:
            held = {"observed_at": NOW - point.ages.get(group.name, 0.0), **held}
        if group.name.startswith(f"{DECISIONS}."):
            facts.setdefault(DECISIONS, {})[group.name.removeprefix(f"{DECISIONS}.")] = held
        else:
            facts[group.name] = held
    return facts


Points = Sequence[Point]
"""The inputs of one question: one, or two that differ in some facts."""
