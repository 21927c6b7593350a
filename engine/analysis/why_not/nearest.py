"""The fewest of several things to change, and of those the smallest: what both kinds of changes are found by."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import z3

from engine.analysis.proofs.asking import shortened
from engine.backends.solver.terms import Bit, conj, lift_bit, neg
from engine.language.types import NumberType, Value

_TRIES = 4
"""Models that are tried before it is given up to find one that doubles confirm."""
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True)
class Movable:
    """One thing that may change: where it is another than now, and how far off it is then."""

    name: str
    changed: Bit
    distance: z3.ArithRef | None


@dataclass
class Nearest:
    """Asks for the fewest changes, and of those the smallest."""

    movables: Sequence[Movable]
    holds: Sequence[Bit]
    timeout_s: float
    """For all that is asked together."""
    gave_up: bool = field(default=False, init=False)
    """No model may mean that there is none only while this is unset: what is there in exact numbers, and was not
    confirmed, may be there in doubles too."""

    def models(self) -> Iterator[z3.ModelRef]:
        """The best model, then for a caller that finds that one to be none the best that changes other things."""
        until = time.perf_counter() + self.timeout_s
        excluded: list[Bit] = []
        for _ in range(_TRIES):
            model = self._best(excluded, until - time.perf_counter())
            if model is None:
                return
            yield model
            excluded.append(neg(conj(*(each.changed for each in self.movables if is_true(model, each.changed)))))
        self.gave_up = True

    def _best(self, excluded: Sequence[Bit], left_s: float) -> z3.ModelRef | None:
        search = z3.Optimize()
        search.set("timeout", max(1, round(left_s * 1000)))
        search.add(*(lift_bit(bit) for bit in (*self.holds, *excluded)))
        for each in self.movables:
            search.add_soft(lift_bit(neg(each.changed)), 1, "changes")
        distances = [each.distance for each in self.movables if each.distance is not None]
        if distances:
            search.minimize(z3.Sum(distances))
        result = search.check()
        if result == z3.unknown and search.reason_unknown().startswith("interrupted"):
            raise KeyboardInterrupt  # the solver took it for itself
        self.gave_up = result == z3.unknown or bool(excluded)
        return search.model() if result == z3.sat else None


def is_true(model: z3.ModelRef, bit: Bit) -> bool:
    """Whether a bit is set in a model."""
    return bit if isinstance(bit, bool) else bool(z3.is_true(model.eval(bit, model_completion=True)))


def distance_of(name: str, number: z3.ArithRef, now: float, kind: NumberType) -> tuple[z3.ArithRef, list[Bit]]:
    """How far a number is from what it is now, relative to that (to its range, where it is 0)."""
    scale = Fraction(abs(now)) if now else Fraction(kind.max) - Fraction(kind.min) or Fraction(1)
    distance = z3.Real(f"{name} moved")
    here = Fraction(now)
    apart = (number - z3.Q(here.numerator, here.denominator)) / z3.Q(scale.numerator, scale.denominator)
    return distance, [distance >= apart, distance >= -apart]


def pulled_back(now: float, then: float, holds: Callable[[float], bool]) -> float:
    """The double nearest to `now`, between it and `then`, for which it still holds, in few digits."""
    near, far = _place(now), _place(then)
    while abs(far - near) > 1:
        middle = (near + far) // 2
        near, far = (near, middle) if holds(_at(middle)) else (middle, far)
    edge = _at(far)
    return next(
        (short for digits in range(1, 16) if _between(now, short := shortened(edge, digits), edge, holds)), edge
    )


def _place(number: float) -> int:
    """The place of a double among all of them, in order."""
    bits: int = struct.unpack(">q", struct.pack(">d", number))[0]
    return bits if bits >= 0 else -(bits & _LARGEST)


def _at(place: int) -> float:
    """The double at a place."""
    bits = place if place >= 0 else -place | ~_LARGEST
    number: float = struct.unpack(">d", struct.pack(">q", bits))[0]
    return number


def holds_with(holds: Callable[[dict[Any, Value]], bool], changed: Mapping[Any, Value], key: Any, value: Value) -> bool:
    """Whether the changes hold with one of them another."""
    return holds({**changed, key: value})


def _between(now: float, short: float, far: float, holds: Callable[[float], bool]) -> bool:
    """Whether a number in fewer digits is as good: no further away than by a hair, and it holds."""
    return abs(short - far) <= abs(far - now) * 1e-6 + abs(far) * 1e-12 and holds(short)
