"""The syntax tree of expressions: what was written, nothing resolved.

Nodes are data with their place as character offsets `start` and `end` into the expression's text. Meaning lives in the
stages that read them: `resolve` gives names and types, backends give values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ArithmeticOperator = Literal["+", "-", "*", "/"]
Comparator = Literal["<", "<=", ">", ">=", "==", "!="]
Function = Literal["min", "max", "abs"]


@dataclass(frozen=True, slots=True)
class _Placed:
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number(_Placed):
    """`12`, `0.5`, `1e3`: the nearest double."""

    value: float


@dataclass(frozen=True, slots=True)
class Boolean(_Placed):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Text(_Placed):
    """`'text'`, without its quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(_Placed):
    """A fact, a decision or a choice value: the resolver says which."""

    name: str


@dataclass(frozen=True, slots=True)
class Parameter(_Placed):
    """`$name` of the own rule set, or `$set.name` in a claim."""

    ruleset: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Negative(_Placed):
    """`-x`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic(_Placed):
    """`a + b`, `a - b`, `a * b`, `a / b`."""

    operator: ArithmeticOperator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Call(_Placed):
    """`min(a, b)`, `max(a, b, c)`, `abs(a)`."""

    function: Function
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Compare(_Placed):
    """`a <= b` and its kin."""

    operator: Comparator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Member(_Placed):
    """`x in [a, b]`, or `not in`."""

    operand: Expression
    elements: tuple[Expression, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Presence(_Placed):
    """`x is known` (`known` true) or `x is missing`."""

    operand: Expression
    known: bool


@dataclass(frozen=True, slots=True)
class Not(_Placed):
    """`not a`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And(_Placed):
    """`a and b`."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Or(_Placed):
    """`a or b`."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Implies(_Placed):
    """`a implies b`: `not a or b`."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Vetoed(_Placed):
    """`vetoed`, or `vetoed by set.rule` (claims only)."""

    ruleset: str | None
    rule: str | None


Expression = (
    Number
    | Boolean
    | Text
    | Name
    | Parameter
    | Negative
    | Arithmetic
    | Call
    | Compare
    | Member
    | Presence
    | Not
    | And
    | Or
    | Implies
    | Vetoed
)
"""Any node."""

PLACED = _Placed
"""What every node is an instance of."""

KEYWORDS = frozenset(
    (
        "true",
        "false",
        "and",
        "or",
        "not",
        "implies",
        "in",
        "is",
        "missing",
        "known",
        "min",
        "max",
        "abs",
        "vetoed",
        "by",
    )
)
"""Words that name nothing else. `null` and the YAML 1.1 words are ordinary text."""
