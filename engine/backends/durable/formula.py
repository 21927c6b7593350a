"""Conditions become formulas that durable-rules can test: no negation, no unknown, only tests of names that hold.

In: a typed condition. Out: when it is *surely* true (or false), and when it is *possibly* so, which is whenever it is
not surely the opposite. A rule that skips when unknown matches where its condition is surely true, one that matches
when unknown where it is possibly true. Negation is pushed down to the tests (negation normal form); a test of something
that may be missing stands beside a test that it is there.

What the engine has no words for raises `InexpressibleError`.
"""

from __future__ import annotations

import operator as operators
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from engine.language import model
from engine.language.evaluate import Environment, Missing, compare, evaluate
from engine.language.flow import Flow
from engine.language.model import AllOf, AnyOf, Condition, Expression, Leaf
from engine.language.syntax import ArithmeticOperator, Comparator
from engine.language.types import ChoiceType, FlagType, NumberType, Value

MOST_PARTS = 3000
"""Parts looked at for one condition. Equalities of conditions double with every level; nobody writes this many."""

_MAX = sys.float_info.max


class InexpressibleError(Exception):
    """durable-rules cannot carry a part of an expression: why, and which part."""

    def __init__(self, reason: str, part: Expression | None = None) -> None:
        self.reason = reason
        self.part = part
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Named:
    """The value of a fact or an earlier decision."""

    name: str


@dataclass(frozen=True, slots=True)
class Sum:
    """One operation on numbers."""

    operator: ArithmeticOperator
    left: Operand
    right: Operand


Operand = Value | Named | Sum
"""What a test compares: a literal, a name, or a sum of such."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison the engine makes; a sum stands on the right alone. `right` is None where it asks for absence."""

    operator: Comparator
    left: Value | Named
    right: Operand | None


@dataclass(frozen=True, slots=True)
class Every:
    """Every part holds; without parts it always does."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Some part holds; without parts none ever does."""

    parts: tuple[Formula, ...]


Formula = Comparison | Every | Some
"""A condition without negation."""

ALWAYS = Every(())
NEVER = Some(())

Certainty = Literal["surely", "possibly"]

_OPPOSITE: Mapping[Comparator, Comparator] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_TURNED: Mapping[Comparator, Comparator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NUMBERS: Mapping[Comparator, Callable[[float, float], bool]] = {
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "==": operators.eq,
    "!=": operators.ne,
}


def every(*parts: Formula) -> Formula:
    """All parts, flattened; `NEVER` if one never holds."""
    return _joined(Every, NEVER, parts)


def some(*parts: Formula) -> Formula:
    """Some part, flattened; `ALWAYS` if one always holds."""
    return _joined(Some, ALWAYS, parts)


def _joined(kind: type[Every | Some], deciding: Formula, parts: Iterable[Formula]) -> Formula:
    kept: dict[Formula, None] = {}
    for part in parts:
        if part == deciding:
            return deciding
        kept.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return next(iter(kept)) if len(kept) == 1 else kind(tuple(kept))


class Formulas:
    """Formulas of conditions under bound values (`set.param` to value), which are folded in as literals."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        self._flow = Flow(values)
        self._looked_at = 0

    def condition(self, condition: Condition, certainty: Certainty) -> Formula:
        """When a `when` is surely, or possibly, true.

        Raises:
            InexpressibleError: where the engine has no words for a part of it.

        """
        match condition:
            case Leaf(written):
                return self.holds(written.expression, certainty)
            case AllOf(items):
                return every(*(self.condition(item, certainty) for item in items))
            case AnyOf(items):
                return some(*(self.condition(item, certainty) for item in items))
        assert_never(condition)

    def holds(self, expression: Expression, certainty: Certainty, *, wanted: bool = True) -> Formula:
        """When a condition is surely, or possibly, `wanted`."""
        self._looked_at += 1
        if self._looked_at > MOST_PARTS:
            raise InexpressibleError("without negation the condition is too long", expression)
        match expression:
            case model.Constant(value=value):
                return ALWAYS if value is wanted else NEVER
            case model.ParameterRef():
                return ALWAYS if self._literal(expression) is wanted else NEVER
            case model.FactRef(name=name) | model.DecisionRef(name=name):
                test = self._test("==", Named(name), wanted)
                return test if certainty == "surely" else some(self.missing(expression), test)
            case model.Not(operand=operand):
                return self.holds(operand, certainty, wanted=not wanted)
            case model.Logical(operator=operator, left=left, right=right):
                # `a implies b` is `not a or b`, and what makes `a and b` false is what makes `not a or not b` true.
                first = self.holds(left, certainty, wanted=wanted != (operator == "implies"))
                second = self.holds(right, certainty, wanted=wanted)
                return every(first, second) if wanted == (operator == "and") else some(first, second)
            case model.Compare(operator=operator, left=left, right=right):
                return self._compared(operator if wanted else _OPPOSITE[operator], left, right, certainty)
            case model.Member(operand=operand, elements=elements, negated=negated):
                if wanted != negated:
                    return some(*(self._compared("==", operand, element, certainty) for element in elements))
                return every(*(self._compared("!=", operand, element, certainty) for element in elements))
            case model.Presence(operand=operand, known=known):
                return self.known(operand) if known == wanted else self.missing(operand)
        raise InexpressibleError(f"a {type(expression).__name__} is no condition", expression)  # pragma: no cover

    def known(self, expression: Expression) -> Formula:
        """When a fact or a sum has a value; literals, parameters and decisions always have one."""
        match expression:
            case model.FactRef(name=name):
                return self._test("!=", Named(name), None)
            case model.Arithmetic(left=left, right=right):
                return every(self.known(left), self.known(right), *self._in_doubles(expression))
        return every(*(self.known(part) for part in model.children(expression)))

    def missing(self, expression: Expression) -> Formula:
        """When a fact or a sum has no value."""
        match expression:
            case model.FactRef(name=name):
                return self._test("==", Named(name), None)
            case model.Arithmetic(left=left, right=right):
                beyond = (_denied(test) for test in self._in_doubles(expression))
                return some(self.missing(left), self.missing(right), *beyond)
        return some(*(self.missing(part) for part in model.children(expression)))

    def _in_doubles(self, expression: model.Arithmetic) -> list[Formula]:
        """Tests that an operation on known numbers has a result: the divisor is not 0, and the result is finite."""
        if self._flow.partial(expression) is None:
            return []
        tests = []
        if expression.operator == "/":
            tests.append(self._numbers("!=", self._operand(expression.right), 0.0, expression))
        result = self._operand(expression)
        return [
            *tests,
            self._numbers("<=", result, _MAX, expression),
            self._numbers(">=", result, -_MAX, expression),
        ]

    # Comparisons -----------------------------------------------------------------------------------------------

    def _compared(self, operator: Comparator, left: Expression, right: Expression, certainty: Certainty) -> Formula:
        """When a comparison is surely, or possibly, true."""
        if isinstance(left.type, FlagType):
            same = (self._both(left, right, certainty, value, value == (operator == "==")) for value in (True, False))
            return some(*same)
        test = self._known_compared(operator, left, right)
        if certainty == "surely":
            return every(self.known(left), self.known(right), test)
        return some(self.missing(left), self.missing(right), test)

    def _both(self, left: Expression, right: Expression, certainty: Certainty, first: bool, second: bool) -> Formula:
        return every(self.holds(left, certainty, wanted=first), self.holds(right, certainty, wanted=second))

    def _known_compared(self, operator: Comparator, left: Expression, right: Expression) -> Formula:
        """The comparison itself, of two sides that are known."""
        if isinstance(left.type, NumberType):
            return self._numbers(operator, self._operand(left), self._operand(right), left)
        first, second = self._operand(left), self._operand(right)
        if not isinstance(first, Named):
            first, second, operator = second, first, _TURNED[operator]
        if not isinstance(first, Named):
            assert not isinstance(first, Sum)
            assert not isinstance(second, Sum | Named)
            return ALWAYS if compare(_TURNED[operator], second, first, left.type) else NEVER
        if operator in ("==", "!="):
            return self._test(operator, first, second)
        assert isinstance(left.type, ChoiceType)  # nothing else but numbers has an order
        return self._ordered(operator, first, second, left.type)

    def _ordered(self, operator: Comparator, first: Named, second: Operand, kind: ChoiceType) -> Formula:
        """An order of choices, which the engine compares as text: every pair of values that stands in that order."""
        pairs = [
            (self._test("==", first, one), ALWAYS if second == other else self._test("==", second, other))
            for one in kind.of
            for other in (kind.of if isinstance(second, Named) else (second,))
            if not isinstance(other, Sum | Named) and compare(operator, one, other, kind)
        ]
        return some(*(every(*pair) for pair in pairs))

    def _numbers(self, operator: Comparator, left: Operand, right: Operand, part: Expression) -> Formula:
        if isinstance(left, Sum) or (isinstance(right, Named) and not isinstance(left, Named)):
            left, right, operator = right, left, _TURNED[operator]
        if isinstance(left, Sum):
            raise InexpressibleError("both sides of a comparison are computed", part)
        if isinstance(left, Named) or isinstance(right, Sum):
            return self._test(operator, left, right)
        assert not isinstance(right, Named)
        return ALWAYS if _NUMBERS[operator](float(left), float(right)) else NEVER

    def _operand(self, expression: Expression) -> Operand:
        match expression:
            case model.FactRef(name=name) | model.DecisionRef(name=name):
                return Named(name)
            case model.Constant() | model.ParameterRef():
                return self._literal(expression)
            case model.Negative(operand=operand):
                return self._sum("*", -1.0, self._operand(operand))
            case model.Arithmetic(operator=operator, left=left, right=right):
                return self._sum(operator, self._operand(left), self._operand(right))
            case model.Call(function=function):
                raise InexpressibleError(f"durable-rules has no `{function}`", expression)
        raise InexpressibleError("a condition is compared as a value", expression)  # pragma: no cover - flags are not

    def _sum(self, operator: ArithmeticOperator, left: Operand, right: Operand) -> Operand:
        """A sum; one of literals is computed here, as the engine would fold no parameter in."""
        if isinstance(left, Named | Sum) or isinstance(right, Named | Sum):
            return Sum(operator, left, right)
        first, second = float(left), float(right)
        match operator:
            case "+":
                return first + second
            case "-":
                return first - second
            case "*":
                return first * second
            case "/":  # by 0 it has no value, and `known` says so
                return first / second if second else 0.0
        assert_never(operator)

    def _literal(self, expression: Expression) -> Value:
        value = evaluate(expression, Environment({}, self._values))
        assert not isinstance(value, Missing)
        return value

    def _test(self, operator: Comparator, left: Value | Named | Operand, right: Operand | None) -> Comparison:
        assert not isinstance(left, Sum)
        return Comparison(operator, left, right)


def _denied(formula: Formula) -> Formula:
    """The opposite of one test of known numbers."""
    if formula in (ALWAYS, NEVER):
        return NEVER if formula == ALWAYS else ALWAYS
    assert isinstance(formula, Comparison)
    return Comparison(_OPPOSITE[formula.operator], formula.left, formula.right)
