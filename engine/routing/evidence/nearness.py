"""How far a condition was from turning out otherwise: the comparisons of numbers in it, and the gap of each.

In: a leaf as a decision's record shows it, its text and the values it saw. Out: a `Gap` for each comparison of numbers
that holds (or, asked for those to be mended, that does not). A leaf over flags, choices or missing values has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.backends.decision import show_numbers
from engine.language import syntax
from engine.language.parse import Problem, parse

_MIRRORED: Final[Mapping[str, syntax.Comparator]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED: Final[Mapping[str, syntax.Comparator]] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Gap:
    """One comparison of a value with its bound."""

    value_text: str
    """What is compared, as written."""
    value: float
    operator: str
    bound_text: str
    """What it is compared with, as written."""
    bound: float

    @property
    def size(self) -> float:
        """How far they are apart, in their unit."""
        return abs(self.value - self.bound)

    @property
    def away(self) -> float | None:
        """The same as a share of the bound; None where that is 0."""
        return self.size / abs(self.bound) if self.bound else None

    @property
    def order(self) -> tuple[bool, float]:
        """What gaps are ordered by, nearest first: shares before what has none."""
        return (self.away is None, self.size if self.away is None else self.away)

    @property
    def shown(self) -> str:
        """As text: `spread_bps 12.4 > max_spread_bps 12`."""
        value, bound = show_numbers(self.value, self.bound)
        left = self.value_text if self.value_text == value else f"{self.value_text} {value}"
        right = bound if _is_number(self.bound_text) else f"{self.bound_text} {bound}"
        return f"{left} {self.operator} {right}"


def gaps(when: str, saw: Mapping[str, Any], *, holding: bool = True) -> tuple[Gap, ...]:
    """The comparisons of numbers in a leaf that hold, or those that do not.

    >>> [gap.shown for gap in gaps("spread_bps > $max_spread_bps", {"spread_bps": 12.4, "$max_spread_bps": 12.0})]
    ['spread_bps 12.4 > max_spread_bps 12']
    >>> gaps("quality != good and not probe", {"quality": "ok", "probe": False})
    ()
    """
    tree = parse(when)
    if isinstance(tree, Problem):
        return ()
    found = (_gap(when, saw, part, negated=negated) for part, negated in _comparisons(tree, negated=False))
    return tuple(gap for gap in found if gap is not None and _holds(gap) is holding)


def _comparisons(tree: syntax.Expression, *, negated: bool) -> Iterator[tuple[syntax.Compare, bool]]:
    match tree:
        case syntax.Compare():
            yield tree, negated
        case syntax.And() | syntax.Or():
            yield from _comparisons(tree.left, negated=negated)
            yield from _comparisons(tree.right, negated=negated)
        case syntax.Implies():
            yield from _comparisons(tree.left, negated=not negated)
            yield from _comparisons(tree.right, negated=negated)
        case syntax.Not(operand=operand):
            yield from _comparisons(operand, negated=not negated)


def _gap(when: str, saw: Mapping[str, Any], tree: syntax.Compare, *, negated: bool) -> Gap | None:
    operator: str = tree.operator
    left, right = _number(tree.left, saw), _number(tree.right, saw)
    if operator not in _MIRRORED or left is None or right is None:
        return None
    if negated:
        operator = _NEGATED[operator]
    value, bound = tree.left, tree.right
    if _is_fixed(value) and not _is_fixed(bound):
        value, bound, left, right, operator = bound, value, right, left, _MIRRORED[operator]
    return Gap(_written(when, value), left, operator, _written(when, bound), right)


def _holds(gap: Gap) -> bool:
    match gap.operator:
        case "<":
            return gap.value < gap.bound
        case "<=":
            return gap.value <= gap.bound
        case ">":
            return gap.value > gap.bound
    return gap.value >= gap.bound


def _is_fixed(tree: syntax.Expression) -> bool:
    """Whether it is made of numbers and parameters alone: no market moves it."""
    match tree:
        case syntax.Number() | syntax.Parameter():
            return True
        case syntax.Negative(operand=operand):
            return _is_fixed(operand)
        case syntax.Arithmetic():
            return _is_fixed(tree.left) and _is_fixed(tree.right)
        case syntax.Call(arguments=arguments):
            return all(map(_is_fixed, arguments))
    return False


def _number(tree: syntax.Expression, saw: Mapping[str, Any]) -> float | None:
    """The value of a sum; None where it is none of numbers that are known."""
    match tree:
        case syntax.Number(value=value):
            return value
        case syntax.Name(name=name):
            return _known(saw.get(name))
        case syntax.Parameter(name=name):
            return _known(saw.get(f"${name}"))
        case syntax.Negative(operand=operand):
            inner = _number(operand, saw)
            return None if inner is None else -inner
        case syntax.Arithmetic(operator=operator):
            return _calculated(operator, _number(tree.left, saw), _number(tree.right, saw))
        case syntax.Call(function=function, arguments=arguments):
            return _called(function, [_number(argument, saw) for argument in arguments])
    return None


def _known(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _calculated(operator: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return left / right if right else None


def _called(function: str, arguments: list[float | None]) -> float | None:
    known = [argument for argument in arguments if argument is not None]
    if len(known) < len(arguments):
        return None
    match function:
        case "min":
            return min(known)
        case "max":
            return max(known)
    return abs(known[0])


def _written(when: str, tree: syntax.Expression) -> str:
    return " ".join(when[tree.start : tree.end].split()).replace("$", "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
