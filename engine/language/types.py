"""The types of facts, parameters and decisions, and the algebra of units.

Four types: numbers with a unit and a finite range, flags, choices among named values, and texts (facts only).
"""

from __future__ import annotations

from dataclasses import dataclass

Unit = str
"""One of `shapes.UNITS`, or `NO_UNIT`, or (in expressions only) `ANY_UNIT`."""

NO_UNIT: Unit = ""
"""A declared number without a unit: equal to nothing but itself, unitless in `*` and `/`."""

ANY_UNIT: Unit = "any"
"""A bare number: it takes its partner's unit."""

_SCALING = frozenset((NO_UNIT, "ratio", ANY_UNIT))
"""Units that leave the other factor's unit as it is."""

_PRODUCTS = {("price", "qty"): "usd", ("qty", "price"): "usd"}
_QUOTIENTS = {("usd", "price"): "qty", ("usd", "qty"): "price"}


@dataclass(frozen=True, slots=True)
class NumberType:
    """An IEEE double within [min, max]; `unit` is `NO_UNIT` where none is declared."""

    unit: Unit
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class FlagType:
    """True or false."""


@dataclass(frozen=True, slots=True)
class ChoiceType:
    """One of the named values; `ordered` ones compare by their place in the list."""

    of: tuple[str, ...]
    ordered: bool


@dataclass(frozen=True, slots=True)
class TextType:
    """Any text; equality only."""


Type = NumberType | FlagType | ChoiceType | TextType
"""Any type."""

Value = float | bool | str
"""A known value: numbers are floats, flags bools, choices and texts str."""


def describe(kind: Type) -> str:
    """The type in the language's words."""
    match kind:
        case NumberType(unit=unit):
            return f"a number in {unit}" if unit not in (NO_UNIT, ANY_UNIT) else "a number"
        case FlagType():
            return "a flag"
        case ChoiceType(of=of):
            return "a choice of " + ", ".join(of)
        case TextType():
            return "a text"


def describe_unit(unit: Unit) -> str:
    """The unit in the language's words.

    >>> describe_unit("bps"), describe_unit("")
    ('bps', 'no unit')
    """
    return {NO_UNIT: "no unit", ANY_UNIT: "a bare number"}.get(unit, unit)


def common_unit(left: Unit, right: Unit) -> Unit | None:
    """The unit of a sum, a comparison or a `min`, a bare number taking its partner's; None if they differ.

    >>> common_unit("bps", "any"), common_unit("bps", "ms")
    ('bps', None)
    """
    if left == ANY_UNIT:
        return right
    if right in (ANY_UNIT, left):
        return left
    return None


def product_unit(left: Unit, right: Unit) -> Unit | None:
    """The unit of `left * right`, None if the language has none for it.

    >>> product_unit("price", "qty"), product_unit("ratio", "bps"), product_unit("bps", "ms")
    ('usd', 'bps', None)
    """
    if "ratio" in (left, right) and left in _SCALING and right in _SCALING:
        return "ratio"  # whichever comes first
    if left in _SCALING:
        return right if right != ANY_UNIT else left
    if right in _SCALING:
        return left
    return _PRODUCTS.get((left, right))


def quotient_unit(left: Unit, right: Unit) -> Unit | None:
    """The unit of `left / right`, None if the language has none for it.

    >>> quotient_unit("usd", "price"), quotient_unit("ms", "ms"), quotient_unit("any", "ms")
    ('qty', 'ratio', None)
    """
    if left == right:
        return left if left in (ANY_UNIT, NO_UNIT) else "ratio"
    if right in _SCALING:
        return left
    return _QUOTIENTS.get((left, right))
