"""A decision as somebody would have it: `route=maker`, `offset_bps<=2`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from engine.analysis.request import RequestError
from engine.backends.solver.terms import (
    Bit,
    Number,
    Term,
    compare_reals,
    compared,
    conj,
    constant,
    disj,
    is_value,
    neg,
)
from engine.language.evaluate import compare
from engine.language.model import Policy
from engine.language.printer import print_value
from engine.language.spelling import did_you_mean
from engine.language.syntax import Comparator
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value

_MARGIN = Fraction(1, 10**9)
"""Of a number; doubles round by far less."""
_WISH = re.compile(r"\s*(\w+)\s*(==|=|!=|<=|>=|<|>)\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Wish:
    """A decision as it should have been: `route == maker`, `offset_bps <= 2`."""

    name: str
    operator: Comparator
    value: Value
    type: Type

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {print_value(self.value, self.type)}"

    def holds(self, decided: Value) -> bool:
        """Whether a decision is as wished."""
        return compare(self.operator, decided, self.value, self.type)

    def where(self, term: Term) -> Bit:
        """Where a decision is as wished."""
        if self.operator == "==":
            return is_value(term, self.value)
        return compared(self.operator, term, constant(self.value, self.type), self.type).true

    def clearly(self, term: Term) -> Bit:
        """Where a decision is as wished however doubles round; of what is no number, or has one value, as `where`."""
        if not isinstance(term, Number) or self.operator == "==":
            return self.where(term)
        value = Fraction(float(self.value))
        margin = max(abs(value), Fraction(1)) * _MARGIN
        below = compare_reals("<=", term.value, value - margin) if self.operator in ("<", "<=", "!=") else False
        above = compare_reals(">=", term.value, value + margin) if self.operator in (">", ">=", "!=") else False
        return conj(neg(term.missing), disj(below, above))


def read_wish(policy: Policy, text: str) -> Wish:
    """A wish as written on a command line: `route=maker`, `offset_bps<=2`.

    Raises:
        RequestError: for what is no wish about a decision of the policy.

    """
    found = _WISH.fullmatch(text)
    if found is None:
        raise RequestError(f"`{text}` is no wish", "write it like route=maker, or offset_bps<=2")
    name, operator, value = found.groups()
    kind = policy.types().get(name)
    if kind is None:
        known = ", ".join(policy.decides)
        raise RequestError(
            f"`{policy.name}` sets no `{name}`", did_you_mean(name, policy.types(), f"it decides {known}")
        )
    wish = Wish(name, _operator(operator), _wished(name, value, kind), kind)
    ordered = isinstance(kind, NumberType) or (isinstance(kind, ChoiceType) and kind.ordered)
    if wish.operator not in ("==", "!=") and not ordered:
        raise RequestError(f"`{name}` has no order", "wish for a value: " + f"{name}={value}")
    return wish


def _operator(text: str) -> Comparator:
    operators: Mapping[str, Comparator] = {
        "=": "==", "==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
    }  # fmt: skip
    return operators[text]


def _wished(name: str, text: str, kind: Type) -> Value:
    match kind:
        case NumberType():
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if math.isfinite(value):
                return value
            raise RequestError(f"`{name}` is a number, not `{text}`", f"write it like {name}<=2")
        case FlagType():
            if text in ("true", "false"):
                return text == "true"
            raise RequestError(f"`{name}` is a flag, not `{text}`", f"write {name}=true or {name}=false")
        case ChoiceType(of=of):
            if text in of:
                return text
            raise RequestError(f"`{name}` cannot be `{text}`", did_you_mean(text, of, "it is one of " + ", ".join(of)))
    raise RequestError(f"`{name}` cannot be wished for", "")
