"""What can be unknown, and how far numbers reach: the two analyses that make a loaded rule set safe to run.

*Flow* decides, over the tree and left to right, which facts and sums are surely known at a place: after a test that
could only succeed (or fail) with them known. What it cannot show counts as possible.

*Intervals* follow declared ranges through arithmetic. Correctly rounded operations are monotone, so endpoints computed
in doubles bound every double result exactly. A parameter's interval is the value it is bound to, which is why both
analyses run for each combination of symbol groups.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from engine.language.model import (
    AllOf,
    AnyOf,
    Arithmetic,
    Call,
    Compare,
    Condition,
    Constant,
    DecisionRef,
    Effect,
    Expression,
    FactRef,
    Leaf,
    Logical,
    Member,
    Negative,
    Not,
    ParameterRef,
    Presence,
    Rule,
    VetoedRef,
    children,
)
from engine.language.types import NumberType, Value

Known = frozenset[Expression]
"""Facts and sums that are surely known at a place."""

Interval = tuple[float, float]
"""Least and greatest value a number can have where it is known."""

NOTHING: Known = frozenset()
_MAX = sys.float_info.max
_MOST_TANGLED = 8


@dataclass(frozen=True, slots=True)
class Flow:
    """The analyses under one binding; `values` maps `set.param` to its bound value."""

    values: Mapping[str, Value]

    # Intervals -------------------------------------------------------------------------------------------------

    def interval(self, expression: Expression) -> Interval:
        """The interval of a number, wherever it is known."""
        match expression:
            case Constant(value=value):
                return (float(value), float(value))
            case ParameterRef(ruleset=owner, name=name):
                bound = float(self.values[f"{owner}.{name}"])
                return (bound, bound)
            case FactRef(type=NumberType(min=low, max=high)) | DecisionRef(type=NumberType(min=low, max=high)):
                return (low, high)
            case Negative(operand=operand):
                low, high = self.interval(operand)
                return (-high, -low)
            case Arithmetic():
                low, high = self._reach(expression)
                return (max(low, -_MAX), min(high, _MAX))
            case Call(function="abs", arguments=(argument,)):
                low, high = self.interval(argument)
                return (max(low, -high, 0.0), max(-low, high))
            case Call(function=function, arguments=arguments):
                reaches = [self.interval(argument) for argument in arguments]
                choose = min if function == "min" else max
                return (choose(low for low, _ in reaches), choose(high for _, high in reaches))
        raise AssertionError(expression)

    def partial(self, expression: Arithmetic) -> str | None:
        """Why this operation may have no finite result though its operands are known; None if it always has one."""
        if expression.operator == "/":
            low, high = self.interval(expression.right)
            if low <= 0 <= high:
                return "the divisor can be 0"
        low, high = self._reach(expression)
        return None if low >= -_MAX and high <= _MAX else "the result can overflow"

    def _reach(self, expression: Arithmetic) -> Interval:
        """The interval before overflow is cut off."""
        (a, b), (c, d) = self.interval(expression.left), self.interval(expression.right)
        match expression.operator:
            case "+":
                return (a + c, b + d)
            case "-":
                return (a - d, b - c)
            case "*":
                corners = [a * c, a * d, b * c, b * d]
            case "/" if c < 0 < d or c == d == 0:
                return (-_MAX, _MAX)
            case "/":
                corners = [_limit(x, y, negative=d <= 0) for x in (a, b) for y in (c, d)]
        return (min(corners), max(corners))

    def after(self, reach: Interval, effect: Effect, *, certain: bool) -> Interval:
        """The interval of a running value after an effect, of a rule that matches always (`certain`) or perhaps."""
        low, high = reach
        first, last = self.interval(effect.value.expression)
        match effect.kind:
            case "set":
                applied = (first, last)
            case "add":
                applied = (low + first, high + last)
            case "at_least":
                applied = (max(low, first), max(high, last))
            case "at_most":
                applied = (min(low, first), min(high, last))
        return applied if certain else (min(low, applied[0]), max(high, applied[1]))

    # Flow ------------------------------------------------------------------------------------------------------

    def may_be_missing(self, expression: Expression, known: Known) -> bool:
        """True if a value may be missing, or a condition unknown, where `known` is known."""
        match expression:
            case Constant() | ParameterRef() | DecisionRef() | VetoedRef() | Presence():
                return False
            case FactRef():
                return expression not in known
            case Arithmetic():
                if expression in known:
                    return False
                return self.partial(expression) is not None or self._any_missing(expression, known)
            case Negative() | Call() | Compare() | Member() | Not():
                return self._any_missing(expression, known)
            case Logical(operator=operator, left=left, right=right):
                return self.may_be_missing(left, known) or self.may_be_missing(
                    right, known | (self.if_false(left, known) if operator == "or" else self.if_true(left, known))
                )
        assert_never(expression)

    def _any_missing(self, expression: Expression, known: Known) -> bool:
        return any(self.may_be_missing(child, known) for child in children(expression))

    def if_true(self, condition: Expression, known: Known) -> Known:
        """What is known besides, where the condition is true."""
        match condition:
            case Presence(operand=operand, known=True):
                return _known_with(operand)
            case Member(negated=False, operand=operand):
                return _known_with(operand)
            case Not(operand=operand):
                return self.if_false(operand, known)
            case Logical(operator="and", left=left, right=right):
                first = self.if_true(left, known)
                return first | self.if_true(right, known | first)
            case Logical(operator="or", left=left, right=right):
                return self._either(left, right, known, first_true=True)
            case Logical(operator="implies", left=left, right=right):
                return self.if_false(left, known) & self.if_true(right, known)
            case Member(operand=operand, elements=elements):  # apart from every element: each of them is known
                return frozenset().union(*(_known_with(part) for part in (operand, *elements)))
            case Compare() | FactRef():
                return _known_with(condition)
        return NOTHING

    def if_false(self, condition: Expression, known: Known) -> Known:
        """What is known besides, where the condition is false."""
        match condition:
            case Presence(operand=operand, known=False):
                return _known_with(operand)
            case Member(negated=True, operand=operand):
                return _known_with(operand)
            case Not(operand=operand):
                return self.if_true(operand, known)
            case Logical(operator="and", left=left, right=right):
                return self._either(left, right, known, first_true=False)
            case Logical(operator="or", left=left, right=right):
                first = self.if_false(left, known)
                return first | self.if_false(right, known | first)
            case Logical(operator="implies", left=left, right=right):
                first = self.if_true(left, known)
                return first | self.if_false(right, known | first)
            case Member(operand=operand, elements=elements):  # apart from every element: each of them is known
                return frozenset().union(*(_known_with(part) for part in (operand, *elements)))
            case Compare() | FactRef():
                return _known_with(condition)
        return NOTHING

    def _either(self, left: Expression, right: Expression, known: Known, *, first_true: bool) -> Known:
        """Known where one side decided: the left did, or (the left being decided the other way) the right did."""
        decided, other = (self.if_true, self.if_false) if first_true else (self.if_false, self.if_true)
        by_left = decided(left, known)
        # Each look at the other way doubles the work of one level, so a tangle is not followed that far down.
        context = NOTHING if _tangled(left, _MOST_TANGLED) or self.may_be_missing(left, known) else other(left, known)
        return by_left & (context | decided(right, known | context))

    # Conditions of rules ---------------------------------------------------------------------------------------

    def may_be_unknown(self, condition: Condition, known: Known) -> bool:
        """True if a `when` may be unknown."""
        match condition:
            case Leaf(written):
                return self.may_be_missing(written.expression, known)
            case AllOf(items) | AnyOf(items):
                gains = self.matched if isinstance(condition, AllOf) else self.refuted
                for item in items:
                    if self.may_be_unknown(item, known):
                        return True
                    known |= gains(item, known)
                return False
        assert_never(condition)

    def matched(self, condition: Condition, known: Known) -> Known:
        """What is known besides, where a `when` is true."""
        match condition:
            case Leaf(written):
                return self.if_true(written.expression, known)
            case AllOf(items):
                gained = NOTHING
                for item in items:
                    gained |= self.matched(item, known | gained)
                return gained
            case AnyOf(items):
                return frozenset.intersection(*(self.matched(item, known) for item in items))
        assert_never(condition)

    def refuted(self, condition: Condition, known: Known) -> Known:
        """What is known besides, where a `when` is false."""
        match condition:
            case Leaf(written):
                return self.if_false(written.expression, known)
            case AllOf(items):
                return frozenset.intersection(*(self.refuted(item, known) for item in items))
            case AnyOf(items):
                gained = NOTHING
                for item in items:
                    gained |= self.refuted(item, known | gained)
                return gained
        assert_never(condition)

    def not_matched(self, condition: Condition, known: Known) -> Known:
        """What is known besides, where a `when` is false or unknown."""
        if not self.may_be_unknown(condition, known):
            return self.refuted(condition, known)
        if isinstance(condition, AnyOf):
            return frozenset().union(*(self.not_matched(item, known) for item in condition.items))
        if isinstance(condition, Leaf):
            return self._not_true(condition.written.expression, known)
        return NOTHING

    def _not_true(self, condition: Expression, known: Known) -> Known:
        if not self.may_be_missing(condition, known):
            return self.if_false(condition, known)
        if isinstance(condition, Logical) and condition.operator == "or":
            return self._not_true(condition.left, known) | self._not_true(condition.right, known)
        return NOTHING

    def where_matched(self, rule: Rule, known: Known) -> Known:
        """All that is known where a rule matched; one that matches when unknown shows nothing by matching."""
        if rule.condition is None or (rule.on_unknown == "match" and self.may_be_unknown(rule.condition, known)):
            return known
        return known | self.matched(rule.condition, known)

    def where_passed(self, rule: Rule, known: Known) -> Known:
        """All that is known below a rule of a `first` set that did not match."""
        if rule.condition is None:
            return known
        unmatched = self.refuted if rule.on_unknown == "match" else self.not_matched
        return known | unmatched(rule.condition, known)

    # Unguarded operations --------------------------------------------------------------------------------------

    def unguarded(self, expression: Expression, known: Known, report: Callable[[Arithmetic, str], None]) -> None:
        """Report every operation that may have no result and was not tested with `is known` before."""
        match expression:
            case Presence():
                return
            case Logical(operator=operator, left=left, right=right):
                self.unguarded(left, known, report)
                gained = self.if_false(left, known) if operator == "or" else self.if_true(left, known)
                self.unguarded(right, known | gained, report)
                return
            case Arithmetic():
                if expression in known:
                    return
                why = self.partial(expression)
                if why:
                    report(expression, why)
        for child in children(expression):
            self.unguarded(child, known, report)

    def unguarded_in(self, condition: Condition, known: Known, report: Callable[[Leaf, Arithmetic, str], None]) -> None:
        """`unguarded` for every leaf of a `when`, each in its place."""
        match condition:
            case Leaf(written):
                self.unguarded(written.expression, known, lambda operation, why: report(condition, operation, why))
            case AllOf(items) | AnyOf(items):
                gains = self.matched if isinstance(condition, AllOf) else self.refuted
                for item in items:
                    self.unguarded_in(item, known, report)
                    known |= gains(item, known)


def _known_with(expression: Expression) -> Known:
    """All that must be known for this to have a value: facts and sums in it, itself included."""
    match expression:
        case FactRef():
            return frozenset((expression,))
        case Presence() | Logical() | Not():
            return NOTHING  # these can be decided with parts of them missing
        case Member(operand=operand):
            return _known_with(operand)  # an element that equals it decides, whatever the others are
        case Arithmetic():
            return frozenset((expression,)).union(*(_known_with(child) for child in children(expression)))
    return frozenset().union(*(_known_with(child) for child in children(expression)))


def _tangled(expression: Expression, levels: int) -> bool:
    """True if connectives nest deeper than so many levels."""
    if not isinstance(expression, (Logical, Not)):
        return False
    return levels == 0 or any(_tangled(child, levels - 1) for child in children(expression))


def _limit(dividend: float, divisor: float, *, negative: bool) -> float:
    """`dividend / divisor`; at divisor 0 its limit from the side the interval lies on."""
    if divisor != 0:
        return dividend / divisor
    if dividend == 0:
        return 0.0
    return -_MAX if (dividend < 0) != negative else _MAX
