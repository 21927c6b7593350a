"""Results that no double holds: the interpreter takes them for missing, and so must terms.

In: a typed expression. Out: whether its result can be that large at all, from declared ranges alone, so that a term is
asked for it only where it can. Exact numbers are compared with the least one that rounds to infinity.
"""

from __future__ import annotations

import math
from fractions import Fraction

from engine.language.model import Arithmetic, Call, Constant, DecisionRef, Expression, FactRef, Negative, ParameterRef
from engine.language.types import NumberType

OVERFLOW = Fraction(2**1024 - 2**970)
"""The least number that is nearer to infinity than to any double."""


def can_overflow(operation: Arithmetic) -> bool:
    """True if the exact result of an operation on known operands may be too large for a double."""
    return not math.isfinite(_size(operation))


def _size(expression: Expression) -> float:
    """No result is further from 0 than this; infinite where nothing says so. Rounded up."""
    match expression:
        case Constant(value=value):
            return abs(float(value))
        case FactRef(type=NumberType() as kind) | DecisionRef(type=NumberType() as kind):
            return _reach(kind)
        case ParameterRef(type=NumberType() as kind):
            return _reach(kind)
        case Negative(operand=operand):
            return _size(operand)
        case Call(arguments=arguments):
            return max(_size(argument) for argument in arguments)
        case Arithmetic(operator="/", left=left, right=right):
            least = _least(right)
            return _up(_size(left) / least) if least > 0 else math.inf
        case Arithmetic(operator="*", left=left, right=right):
            return _up(_size(left) * _size(right))
        case Arithmetic(left=left, right=right):
            return _up(_size(left) + _size(right))
    return math.inf


def _least(expression: Expression) -> float:
    """No result is nearer to 0 than this; 0 where nothing says so."""
    match expression:
        case Constant(value=value):
            return abs(float(value))
        case FactRef(type=NumberType() as kind) | DecisionRef(type=NumberType() as kind):
            return float(max(kind.min, -kind.max, 0.0))
        case ParameterRef(type=NumberType() as kind):
            return float(max(kind.min, -kind.max, 0.0))
    return 0.0


def _reach(kind: NumberType) -> float:
    return float(max(abs(kind.min), abs(kind.max)))  # ends may be fractions, whose products know no infinity


def _up(value: float) -> float:
    """The result of an operation that was rounded, as no less than it is; NaN (0 times infinity) as infinity."""
    return math.inf if math.isnan(value) else math.nextafter(value, math.inf)
