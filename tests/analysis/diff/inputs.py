"""Inputs decided on both sides of a diff, and what a region says of one: written again, without a solver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import product, takewhile
from typing import Any

from engine.analysis.diff.transitions import (
    AgeCondition,
    Bound,
    Condition,
    FactCondition,
    Region,
    Scope,
    SumCondition,
    Transition,
)
from engine.backends.facts import Seen, see
from engine.backends.interpreter import run, trace
from engine.language.evaluate import Environment, Known, Missing, evaluate, number
from engine.language.model import Expression
from engine.language.rulebook import Rulebook
from engine.language.types import NumberType, Value

NOW = 1_700_000_000.0


@dataclass(frozen=True)
class Decided:
    """One input under both sides, seen and decided by the interpreter when that is asked for."""

    a: Rulebook
    b: Rulebook
    policy: str
    facts: Mapping[str, Any]

    @cached_property
    def seen(self) -> tuple[Seen, Seen]:
        """What each side sees of the facts. Raises FactsError."""
        mine, theirs = (
            see(book, book.policies[self.policy], book.binding_of(self.symbol), self.facts) for book in (self.a, self.b)
        )
        return mine, theirs

    @cached_property
    def values(self) -> tuple[Mapping[str, Value], Mapping[str, Value]]:
        """What each side decides."""
        before, after = (
            run(book.policies[self.policy], book.binding_of(self.symbol), seen.names()).values
            for book, seen in zip((self.a, self.b), self.seen, strict=True)
        )
        return before, after

    @property
    def grouped(self) -> bool:
        """Whether the symbol is in a group of either side."""
        return self.symbol in self.a.symbols or self.symbol in self.b.symbols

    @property
    def symbol(self) -> str | None:
        return self.facts.get("symbol")

    def known(self, fact: str) -> Known:
        """A fact as the side sees it that has a value of it, if one has."""
        group, _, name = fact.rpartition(".")
        for seen in self.seen:
            value = seen.values.get(group, {}).get(name)
            if isinstance(value, float | bool | str) and not isinstance(value, Missing):
                return value
        return Missing.ABSENT

    def before(self, side: int, rule: str, decision: str) -> float:
        """A number on one side before a rule clamps it."""
        book = (self.a, self.b)[side]
        steps = trace(book.policies[self.policy], book.binding_of(self.symbol), self.seen[side].names())
        step = next(step for step in steps if any(each.rule.full_id == rule for each in step.rules))
        env = Environment(step.names, book.binding_of(self.symbol).values)
        value = number(_there(dict(step.step.start)[decision].expression, env))
        for each in takewhile(lambda each: each.rule.full_id != rule, step.rules):
            for effect in (effect for effect in each.rule.effects if each.matched and effect.name == decision):
                given = number(_there(effect.value.expression, env))
                match effect.kind:
                    case "add":
                        value += given
                    case "set":
                        value = given
                    case "at_least":
                        value = max(value, given)
                    case "at_most":
                        value = min(value, given)
        return value

    def age(self, group: str) -> float | None:
        observed = next((seen.observed_at[group] for seen in self.seen if group in seen.observed_at), None)
        return None if observed is None else NOW - observed


def _there(expression: Expression, env: Environment) -> Value:
    found = evaluate(expression, env)
    assert not isinstance(found, Missing)
    return found


def within(scope: Scope, decided: Decided) -> bool:
    """Whether an input is of the symbols that a transition is about."""
    return scope.whole or (decided.symbol in scope.symbols if decided.grouped else scope.others)


def makes(transition: Transition, decided: Decided) -> bool:
    """Whether an input makes a transition."""
    if not within(transition.scope, decided):
        return False
    before, after = (values[transition.decision] for values in decided.values)
    if isinstance(transition.type, NumberType):
        return before < after if transition.direction == "rises" else before > after  # type: ignore[operator]
    return (before, after) == (transition.before, transition.after)


def lies_in(region: Region, decided: Decided) -> bool:
    """Whether an input meets every condition of a region."""
    return all(meets(condition, decided) for condition in region.conditions)


def meets(condition: Condition, decided: Decided) -> bool:
    """Whether an input meets a condition."""
    if isinstance(condition, AgeCondition):
        age = decided.age(condition.group)
        return _between(age or 0.0, condition.lower, condition.upper)  # not said: of no age that matters
    if isinstance(condition, SumCondition):
        return all(
            _between(decided.before(side, condition.rule, condition.decision), condition.lower, condition.upper)
            for side, name in enumerate(("A", "B"))
            if condition.side in (None, name)
        )
    if not isinstance(condition, FactCondition):
        names = {fact.rpartition(".")[2]: decided.known(fact) for fact in condition.facts}
        held = evaluate(condition.expression, Environment(names, {}))
        return condition.or_missing if isinstance(held, Missing) else bool(held)
    value = decided.known(condition.fact)
    if isinstance(value, Missing):
        return condition.presence != "known"
    if condition.presence == "missing":
        return False
    if condition.values is not None:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return text in condition.values if text not in condition.others or text in condition.values else False
    if condition.lower is None and condition.upper is None:
        return True
    return _between(float(value), condition.lower, condition.upper)


def _between(value: float, low: Bound | None, high: Bound | None) -> bool:
    exact = Fraction(value)
    above = low is None or exact > low.value or (low.inclusive and exact == low.value)
    return above and (high is None or exact < high.value or (high.inclusive and exact == high.value))


def weakened(region: Region) -> Iterator[tuple[str, Region]]:
    """A region without one thing that it asks: a bound, that a fact is known, values, a whole condition."""
    for place, condition in enumerate(region.conditions):
        for what, weaker in _weaker(condition):
            rest = (*region.conditions[:place], *((weaker,) if weaker else ()), *region.conditions[place + 1 :])
            yield f"{condition.text} without {what}", Region(rest)


def _weaker(condition: Condition) -> Iterator[tuple[str, Condition | None]]:
    if isinstance(condition, SumCondition):
        for end in ("lower", "upper"):
            weaker = replace(condition, **{end: None})  # type: ignore[arg-type]  # one of its bounds
            if getattr(condition, end) is not None:
                yield end, weaker if weaker.lower or weaker.upper else None
        return
    if not isinstance(condition, FactCondition):
        yield "all of it", None
        return
    if condition.lower is not None:
        yield "lower", _asking(replace(condition, lower=None))
    if condition.upper is not None:
        yield "upper", _asking(replace(condition, upper=None))
    if condition.values is not None:
        yield "values", _asking(replace(condition, values=None))
    if condition.presence != "any":
        yield condition.presence, _asking(replace(condition, presence="any"))


def _asking(condition: FactCondition) -> FactCondition | None:
    """The condition, if it asks anything."""
    asks = (condition.lower, condition.upper, condition.values) != (None, None, None) or condition.presence != "any"
    return condition if asks else None


def grid(
    values: Mapping[str, tuple[Any, ...]], ages: Mapping[str, tuple[float, ...]], symbols: tuple[str | None, ...]
) -> Iterator[dict[str, Any]]:
    """Every input that has one of these values for each fact (`group.fact`; None is missing)."""
    for symbol, *picked in product(symbols, *ages.values(), *values.values()):
        facts: dict[str, Any] = {"now": NOW, **({"symbol": symbol} if symbol else {})}
        for group, age in zip(ages, picked, strict=False):
            facts[group] = {"observed_at": NOW - age}
        for fact, value in zip(values, picked[len(ages) :], strict=True):
            group, _, name = fact.partition(".")
            if value is not None:
                facts.setdefault(group, {})[name] = value
        yield facts
