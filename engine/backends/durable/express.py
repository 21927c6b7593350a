"""A step becomes a rule set of durable-rules: single-event rules with priorities, parameters folded in as literals.

In: a `first` or `veto` step and the bound values. Out: `Expressed`, the rules as JSON-like data with what is posted to
them, or `Inexpressible`, why not and where.

- A name becomes a property of the event; a missing one is posted as null, since the engine's own test for absence also
  matches events of its making and never ends.
- What stands under the outermost *or* of a condition becomes rules of their own, which share the priority.
- A `first` set is one event: the engine fires the first rule by priority and the event is gone. A `veto` set is asked
  rule by rule, as a veto that fired would hide the others.
- A comparison has a name on its left in the engine; a literal there is posted with the event under a name of its own.
- Effects are read from the event that the engine hands back, or are literals. What an effect computes is not carried:
  the engine would run Python for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.backends.durable.formula import (
    ALWAYS,
    Certainty,
    Comparison,
    Every,
    Formula,
    Formulas,
    InexpressibleError,
    Named,
    Operand,
    Some,
)
from engine.language import model
from engine.language.evaluate import Environment, Missing, evaluate
from engine.language.findings import Span
from engine.language.model import Effect, Expression, Rule, Step, Written, walk
from engine.language.syntax import ArithmeticOperator, Comparator
from engine.language.types import Type, Value

ASKED = "asked"
"""The property that holds the number of the rule asked, of a `veto` set."""

EVERY_EVENT = "always"
"""The property that every event has, for rules that match always."""

MOST_PROPERTIES = 250
"""Properties of an event; the engine's own limit is 255, `id`, `sid` and two of ours among them."""

MOST_ON_STACK = 60
"""Tests the engine may have to keep in mind at once: it fails beyond 64."""

MOST_CONNECTIVES = 15
"""`$and` and `$or` of one rule: the engine notes two marks for each, and has room for 31 marks."""

MOST_CHOICES = 120
"""Every `$or` of a rule set: the engine checks its limit of 128 too late."""

MOST_RULES = 400
"""Rules of a `veto` set, which begin with the same test: the engine has room for 511."""

_OPERATORS: Mapping[Comparator, str] = {
    "<": "$lt",
    "<=": "$lte",
    ">": "$gt",
    ">=": "$gte",
    "==": "$eq",
    "!=": "$neq",
}
_SUMS: Mapping[ArithmeticOperator, str] = {"+": "$add", "-": "$sub", "*": "$mul", "/": "$div"}


@dataclass(frozen=True, slots=True)
class Inexpressible:
    """Why durable-rules cannot run a step, and the place of what it lacks."""

    step: Step
    reason: str
    span: Span


@dataclass(frozen=True, slots=True)
class Expressed:
    """A step as durable-rules runs it."""

    step: Step
    definition: Mapping[str, Any]
    """Rules by name, which is the number of the step's rule, `_`, and the number of the alternative."""
    properties: Mapping[str, str]
    """The property of the event that holds a name."""
    types: Mapping[str, Type]
    """The declared type of each of these names."""
    literals: Mapping[str, float]
    """Properties that every event has, with their value."""
    effects: tuple[Mapping[str, Value | Named], ...]
    """What each rule of a `first` set sets, in order."""


def express(step: Step, values: Mapping[str, Value]) -> Expressed | Inexpressible:
    """A step under bound values (`set.param` to value)."""
    if step.hit == "each":
        return Inexpressible(step, "it is an `each` set, and durable-rules has no running value", step.span)
    try:
        return _Writer(step, values).write()
    except _PlacedError as found:
        return Inexpressible(step, found.reason, found.span)


class _PlacedError(Exception):
    def __init__(self, reason: str, span: Span) -> None:
        self.reason = reason
        self.span = span
        super().__init__(reason)


@dataclass(slots=True)
class _Names:
    """The properties of an event, as far as conditions asked for them."""

    properties: dict[str, str] = field(default_factory=dict)
    literals: dict[float, str] = field(default_factory=dict)

    def property_of(self, left: Value | Named) -> str:
        if isinstance(left, Named):
            return self.properties.setdefault(left.name, f"f{len(self.properties)}")
        return self.literals.setdefault(float(left), f"n{len(self.literals)}")


class _Writer:
    def __init__(self, step: Step, values: Mapping[str, Value]) -> None:
        self._step = step
        self._values = values
        self._names = _Names()

    def write(self) -> Expressed:
        step = self._step
        formulas = [self._formula(rule) for rule in step.rules]
        definition = {
            f"{number}_{alternative}": self._rule(number, part)
            for number, formula in enumerate(formulas)
            for alternative, part in enumerate(formula.parts if isinstance(formula, Some) else (formula,))
        }
        effects = tuple(self._effects(rule) for rule in step.rules) if step.hit == "first" else ()
        self._check_limits(formulas)
        types = {
            part.name: part.type
            for part in _expressions(step)
            if isinstance(part, model.FactRef | model.DecisionRef) and part.name in self._names.properties
        }
        literals = {name: value for value, name in self._names.literals.items()}
        return Expressed(step, definition, dict(self._names.properties), types, literals, effects)

    # Conditions ------------------------------------------------------------------------------------------------

    def _formula(self, rule: Rule) -> Formula:
        """When a rule matches: where its condition is surely true, or where it is not surely false."""
        if rule.condition is None:
            return ALWAYS
        certainty: Certainty = "possibly" if rule.on_unknown == "match" else "surely"
        try:
            return Formulas(self._values).condition(rule.condition, certainty)
        except InexpressibleError as error:
            raise _PlacedError(error.reason, _place(rule, error.part)) from error

    def _rule(self, number: int, formula: Formula) -> dict[str, Any]:
        first = {ASKED: str(number)} if self._step.hit == "veto" else {EVERY_EVENT: True}
        tests = formula.parts if isinstance(formula, Every) else (formula,)
        written = [self._test(test) for test in tests]
        if self._step.hit == "veto" or not written:
            written = [first, *written]
        condition = {"$and": written} if len(written) > 1 else written[0]
        return {"all": [{"m": condition}], "pri": number}

    def _test(self, formula: Formula) -> dict[str, Any]:
        match formula:
            case Every(parts):
                return {"$and": [self._test(part) for part in parts]}
            case Some(parts):
                return {"$or": [self._test(part) for part in parts]}
            case Comparison(operator, left, right):
                compared = {self._names.property_of(left): None if right is None else self._operand(right)}
                return compared if operator == "==" else {_OPERATORS[operator]: compared}

    def _operand(self, operand: Operand) -> Any:
        match operand:
            case Named():
                return {"$m": self._names.property_of(operand)}
            case bool() | str() | float():
                return operand
            case _:
                sides = {"$l": self._operand(operand.left), "$r": self._operand(operand.right)}
                return {_SUMS[operand.operator]: sides}

    # Effects ---------------------------------------------------------------------------------------------------

    def _effects(self, rule: Rule) -> dict[str, Value | Named]:
        given = {effect.name: self._effect(effect) for effect in rule.effects}
        return {name: given[name] for name, _ in self._step.sets}

    def _effect(self, effect: Effect) -> Value | Named:
        written = effect.value
        match written.expression:
            case model.FactRef(name=name) | model.DecisionRef(name=name):
                self._names.property_of(Named(name))
                return Named(name)
        if any(isinstance(part, model.FactRef | model.DecisionRef) for part in walk(written.expression)):
            raise _PlacedError(
                f"what it gives `{effect.name}` is computed, and durable-rules sets nothing", written.span
            )
        value = evaluate(written.expression, Environment({}, self._values))
        if isinstance(value, Missing):  # so the rule never matches, by its own condition
            raise _PlacedError(f"what it gives `{effect.name}` has no value with these parameters", written.span)
        return value

    # Limits ----------------------------------------------------------------------------------------------------

    def _check_limits(self, formulas: list[Formula]) -> None:
        step = self._step
        count = len(self._names.properties) + len(self._names.literals)
        if count > MOST_PROPERTIES:
            raise _PlacedError(f"it reads {count} names, and an event holds {MOST_PROPERTIES}", step.span)
        if step.hit == "veto" and len(step.rules) > MOST_RULES:
            raise _PlacedError(f"it has {len(step.rules)} rules, and {MOST_RULES} are asked for", step.span)
        widths = [_width(formula) for formula in formulas]
        inner = [_inner(formula) for formula in formulas]
        for rule, formula in zip(step.rules, formulas, strict=True):
            for part in formula.parts if isinstance(formula, Some) else (formula,):
                within = step.hit == "veto" and not isinstance(part, Every)  # beside the number asked
                if _connectives(part) + within > MOST_CONNECTIVES:
                    raise _PlacedError("its condition nests more `all` and `any` than durable-rules notes", rule.span)
        if sum(_choices(formula) for formula in formulas) > MOST_CHOICES:
            raise _PlacedError("it has more nested `any` than durable-rules has room for", step.span)
        at_once = (
            sum(widths) + max(inner) if step.hit == "first" else 1 + max(map(sum, zip(widths, inner, strict=True)))
        )
        if at_once > MOST_ON_STACK:
            reason = f"durable-rules keeps {MOST_ON_STACK} tests in mind at once, and it may come to {at_once}"
            raise _PlacedError(reason, step.span)


def _place(rule: Rule, part: Expression | None) -> Span:
    """Where a part of a rule's condition stands."""
    for leaf in rule.leaves():
        if part is not None and any(inner is part for inner in walk(leaf.written.expression)):
            return leaf.written.at(part)
    return rule.span


def _width(formula: Formula) -> int:
    """How many tests the engine begins with."""
    match formula:
        case Every(parts):
            return _width(parts[0]) if parts else 1
        case Some(parts):
            return sum(_width(part) for part in parts)
        case _:
            return 1


def _inner(formula: Formula) -> int:
    """How many tests at most are added to those while it works through the rest: every alternative of every *or*."""
    if isinstance(formula, Comparison):
        return 0
    below = sum(_inner(part) for part in formula.parts)
    return below + (sum(_width(part) for part in formula.parts) if isinstance(formula, Some) else 0)


def _connectives(formula: Formula) -> int:
    return 0 if isinstance(formula, Comparison) else 1 + sum(_connectives(part) for part in formula.parts)


def _choices(formula: Formula) -> int:
    if isinstance(formula, Comparison):
        return 0
    return isinstance(formula, Some) + sum(_choices(part) for part in formula.parts)


def _expressions(step: Step) -> list[Expression]:
    written: list[Written] = [leaf.written for rule in step.rules for leaf in rule.leaves()]
    written += [effect.value for rule in step.rules for effect in rule.effects]
    return [part for text in written for part in walk(text.expression)]
