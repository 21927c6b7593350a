"""What an expression means: the one definition, plain and short, that every backend must agree with.

Missing is a value of its own, with its cause. In a condition it is Kleene's third value: unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from engine.language import model
from engine.language.model import Expression
from engine.language.syntax import Comparator
from engine.language.types import ChoiceType, Type, Value


class Missing(StrEnum):
    """Why there is no value."""

    ABSENT = "absent"
    """Not given, or given as null, or its group was not given."""
    STALE = "stale"
    """Its group is older than its age limit."""
    INVALID = "invalid"
    """Not a sound value: wrong type, not finite, out of range, a broken relation, no or a future `observed_at`."""


Known = Value | Missing
"""A value, or why there is none."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What names stand for while a policy runs."""

    names: Mapping[str, Known]
    """Facts, and decisions of the steps done so far."""
    parameters: Mapping[str, Value]
    """By `set.param`."""
    vetoes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """In claims: the rules that vetoed, by rule set."""


def evaluate(expression: Expression, env: Environment) -> Known:
    """The value of an expression, or the cause of the first thing missing in it (for a condition: unknown)."""
    match expression:
        case model.Constant(value=value):
            return value
        case model.FactRef(name=name) | model.DecisionRef(name=name):
            return env.names[name]
        case model.ParameterRef(ruleset=owner, name=name):
            return env.parameters[f"{owner}.{name}"]
        case model.Negative(operand=operand):
            value = evaluate(operand, env)
            return value if isinstance(value, Missing) else -number(value)
        case model.Arithmetic(operator=operator):
            left, right = evaluate(expression.left, env), evaluate(expression.right, env)
            if isinstance(left, Missing) or isinstance(right, Missing):
                return left if isinstance(left, Missing) else right
            return _calculate(operator, number(left), number(right))
        case model.Call():
            return _call(expression, env)
        case model.Compare(operator=operator):
            left, right = evaluate(expression.left, env), evaluate(expression.right, env)
            if isinstance(left, Missing) or isinstance(right, Missing):
                return left if isinstance(left, Missing) else right
            return compare(operator, left, right, expression.left.type)
        case model.Member(negated=negated):
            found = _member(expression, env)
            return found if isinstance(found, Missing) else found != negated
        case model.Presence(operand=operand, known=known):
            return isinstance(evaluate(operand, env), Missing) != known
        case model.Not(operand=operand):
            value = evaluate(operand, env)
            return value if isinstance(value, Missing) else not value
        case model.Logical(operator=operator):
            left, right = evaluate(expression.left, env), evaluate(expression.right, env)
            if operator == "and":
                return conjunction(left, right)
            if operator == "implies" and not isinstance(left, Missing):
                left = not left
            return disjunction(left, right)
        case model.VetoedRef(ruleset=None):
            return any(env.vetoes.values())
        case model.VetoedRef(ruleset=owner, rule=rule):
            return rule in env.vetoes[str(owner)]
    assert_never(expression)


def conjunction(*conditions: Known) -> Known:
    """Kleene's and: false if any is false, else unknown if any is missing, else true."""
    if any(condition is False for condition in conditions):
        return False
    return next((condition for condition in conditions if isinstance(condition, Missing)), True)


def disjunction(*conditions: Known) -> Known:
    """Kleene's or: true if any is true, else unknown if any is missing, else false."""
    if any(condition is True for condition in conditions):
        return True
    return next((condition for condition in conditions if isinstance(condition, Missing)), False)


def number(value: Value) -> float:
    """A value that is a number, as it is: a double, or the exact `Fraction` that one who asks about rationals gave."""
    assert not isinstance(value, str)
    return value


def rank(value: Value, kind: Type) -> float:
    """What a value is ordered by: a choice by its place in the list, a number by itself."""
    return float(kind.of.index(str(value))) if isinstance(kind, ChoiceType) else number(value)


def compare(operator: Comparator, left: Value, right: Value, kind: Type) -> bool:
    """A comparison of two known values of one type (of one list, where they are choices)."""
    if operator == "==":
        return left == right
    if operator == "!=":
        return left != right
    first, second = rank(left, kind), rank(right, kind)
    match operator:
        case "<":
            return first < second
        case "<=":
            return first <= second
        case ">":
            return first > second
        case ">=":
            return first >= second
    assert_never(operator)


def _calculate(operator: str, left: float, right: float) -> Known:
    """One operation; `invalid` where no finite double is its result, or (of a Fraction) next to it."""
    match operator:
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case _:
            if right == 0:
                return Missing.INVALID
            result = left / right
    return result if _is_finite(result) else Missing.INVALID


def _is_finite(result: float) -> bool:
    try:
        return math.isfinite(result)
    except OverflowError:  # a Fraction that no double is near to
        return False


def _call(expression: model.Call, env: Environment) -> Known:
    result: float | None = None
    for argument in expression.arguments:
        value = evaluate(argument, env)
        if isinstance(value, Missing):
            return value
        result = number(value) if result is None else choose(expression.function, result, number(value))
    assert result is not None
    return abs(result) if expression.function == "abs" else result


def choose(function: str, first: float, second: float) -> float:
    """`min` or `max` of two; the first of two equals (0.0 and -0.0 are equal, and differ)."""
    if function == "min":
        return min(first, second)
    return max(first, second)


def _member(expression: model.Member, env: Environment) -> Known:
    wanted = evaluate(expression.operand, env)
    if isinstance(wanted, Missing):
        return wanted
    cause: Missing | None = None
    for element in expression.elements:
        value = evaluate(element, env)
        if isinstance(value, Missing):
            cause = cause or value
        elif value == wanted:
            return True
    return False if cause is None else cause
