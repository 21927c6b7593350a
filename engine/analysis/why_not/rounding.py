"""Changes in numbers that people read: as small as they can be, and hardly larger where that saves many digits.

In: changes that do what is wished, and a test that says so of others. Out: changes without those that need not be,
each number where it begins to do, if few digits write that, or else in the fewest digits close behind.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TypeVar

from engine.language.types import NumberType, Value

K = TypeVar("K", bound=Hashable)

_HARDLY = Decimal("1e-3")
_AT_ALL = Decimal("1e-6")
"""How much further a number may be for fewer digits: of its way from what it is now or of itself, of whichever is less;
or else this little of whichever is more."""
_OF_THE_RANGE = 1e-9
"""How little of it is nothing, where a number begins at 0 and has no size of its own."""
_READ_DIGITS = 10
"""Digits that people read, counted from the first of a number, or of its way."""
_ALL_DIGITS = 18
_DECIMALS = Context(prec=40)
_LARGEST = (1 << 63) - 1


def is_whole(kind: NumberType) -> bool:
    """Whether a number counts something."""
    return kind.unit == "count"


def start_of(now: float | None, kind: NumberType) -> float:
    """What a change of a number begins at: what it is, or else 0, or where that is out of range the nearest to 1."""
    if now is not None:
        return now
    return 0.0 if kind.min <= 0 <= kind.max else min(max(1.0, kind.min), kind.max)


@dataclass(frozen=True, slots=True)
class Begun:
    """What a number that changes begins at, whether it stays whole, and how little of it is nothing to anyone."""

    start: float
    whole: bool = False
    nothing: float = 0.0

    @classmethod
    def of(cls, now: float | None, kind: NumberType) -> Begun:
        """A number of a type; None where it has no value."""
        start = start_of(now, kind)
        nothing = 0.0 if start else min((kind.max - kind.min) * _OF_THE_RANGE, float(_AT_ALL))
        return cls(start, is_whole(kind), nothing)


def least(
    moved: Mapping[K, Value], begun: Mapping[K, Begun], holds: Callable[[Mapping[K, Value]], bool]
) -> dict[K, Value]:
    """Changes without those that need not be, each number as near to where it begins as the others let it be.

    `begun` has the numbers among them.
    """
    kept = dict(moved)
    for key in moved:
        without = {other: value for other, value in kept.items() if other != key}
        if holds(without):
            kept = without
    kept = _together(kept, begun, holds)
    for key, value in kept.items():
        if key in begun and isinstance(value, float):
            one = _with(kept, key, holds)
            kept[key] = pulled_back(begun[key], value, one)
    return kept


def _with(moved: Mapping[K, Value], key: K, holds: Callable[[Mapping[K, Value]], bool]) -> Callable[[float], bool]:
    """Whether changes hold with one of them another number."""
    return lambda number: holds({**moved, key: number})


def _together(
    moved: dict[K, Value], begun: Mapping[K, Begun], holds: Callable[[Mapping[K, Value]], bool]
) -> dict[K, Value]:
    """All numbers in few digits at once, for those of which none can be alone (two bounds with one below the other)."""
    numbers = {
        key: value
        for key, value in moved.items()
        if isinstance(value, float) and key in begun and not begun[key].whole and value != begun[key].start
    }
    firsts = [_first(begun[key], value) for key, value in numbers.items()]
    for place in range(max(firsts), min(firsts) - _READ_DIGITS, -1) if len(numbers) > 1 else ():
        short = {key: _shorter(begun[key], value, place) for key, value in numbers.items()}
        known = {key: number for key, number in short.items() if number is not None}
        if len(known) == len(numbers) and holds({**moved, **known}):
            return {**moved, **known}
    return moved


def pulled_back(begun: Begun, then: float, holds: Callable[[float], bool]) -> float:
    """The number nearest to where it begins, between that and `then`, for which it holds, as people would write it.

    That is where it begins to hold, if it can be written in few digits; else a number in few digits that is hardly
    further away. A whole one stays whole.
    """
    now = begun.start
    if begun.whole:
        near, far = (math.floor(now), math.ceil(then)) if then > now else (math.ceil(now), math.floor(then))
        return float(_edge(near, far, lambda place: holds(float(place))))
    edge = _at(_edge(_place(now), _place(then), lambda place: holds(_at(place))))
    if edge == now:
        return edge
    short: float | None = None
    first = _first(begun, edge)
    for places in range(_ALL_DIGITS):
        if short is not None and places > _READ_DIGITS:
            break
        written = _shorter(begun, edge, first - places)
        if written == edge:
            return edge
        if short is None and written is not None and holds(written):
            short = written
    return edge if short is None else short


def _edge(near: int, far: int, holds: Callable[[int], bool]) -> int:
    while abs(far - near) > 1:
        middle = (near + far) // 2
        near, far = (near, middle) if holds(middle) else (middle, far)
    return far


def _first(begun: Begun, edge: float) -> int:
    """The place of the first digit of a number or of its way, whichever is larger, as a power of ten."""
    exact = Decimal(repr(edge))
    return max(abs(exact), abs(exact - Decimal(begun.start)), Decimal(repr(begun.nothing))).adjusted()


def _shorter(begun: Begun, edge: float, place: int) -> float | None:
    """The edge, or the next number behind it, in digits down to a power of ten; None if that is too far behind."""
    exact, away = Decimal(repr(edge)), ROUND_CEILING if edge > begun.start else ROUND_FLOOR
    if exact.adjusted() - place > _ALL_DIGITS:
        return edge
    written = exact.quantize(Decimal((0, (1,), place)), away, _DECIMALS)
    way = abs(exact - Decimal(begun.start))
    allowed = max(min(way, abs(exact)) * _HARDLY, max(way, abs(exact)) * _AT_ALL, Decimal(repr(begun.nothing)))
    short = float(written)
    return short if abs(written - exact) <= allowed and math.isfinite(short) else None


def _place(number: float) -> int:
    """The place of a double among all of them, in order."""
    bits: int = struct.unpack(">q", struct.pack(">d", number))[0]
    return bits if bits >= 0 else -(bits & _LARGEST)


def _at(place: int) -> float:
    """The double at a place."""
    bits = place if place >= 0 else -place | ~_LARGEST
    number: float = struct.unpack(">d", struct.pack(">q", bits))[0]
    return number
