"""What Z3 is handed: bits, exact numbers, and the terms of the language's values made of them.

A number is (real, missing), a condition is (surely true, surely false), a choice is one bit a value. Whatever is known
here already (a parameter, what follows from it) stays a Python value, so terms hold what depends on inputs alone.

Terms are made by the functions of Z3's own interface: `z3.And`, `z3.If` and the operators look at the sorts of what
they are handed again and again, which took a quarter of the time of all proofs; here the types say it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TypeAlias, assert_never

import z3

from engine.language.syntax import Comparator
from engine.language.types import ChoiceType, FlagType, NumberType, TextType, Type, Value

Bit: TypeAlias = bool | z3.BoolRef
"""True, false, or a term that says when."""

Real: TypeAlias = Fraction | z3.ArithRef
"""An exact number, or a term for one."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A flag or a condition: unknown where neither bit is set."""

    true: Bit
    false: Bit


@dataclass(frozen=True, slots=True)
class Number:
    """A number; where it is missing its value means nothing."""

    value: Real
    missing: Bit


@dataclass(frozen=True, slots=True)
class Options:
    """A choice or a text: one bit a value, of which exactly one is set; a value without a bit is never taken."""

    values: Mapping[str, Bit]
    missing: Bit


Term = Truth | Number | Options
"""What an expression comes to."""


def conj(*bits: Bit) -> Bit:
    """All of them."""
    return _join(bits, z3.Z3_mk_and, deciding=False)


def disj(*bits: Bit) -> Bit:
    """Any of them."""
    return _join(bits, z3.Z3_mk_or, deciding=True)


def _join(bits: Iterable[Bit], make: Callable[..., z3.Ast], *, deciding: bool) -> Bit:
    """Bits joined, where one that is `deciding` decides it and its opposite says nothing."""
    kept: dict[int, z3.BoolRef] = {}
    for bit in bits:
        if bit is deciding:
            return deciding
        if not isinstance(bit, bool):
            kept[bit.get_id()] = bit
    if not kept:
        return not deciding
    if len(kept) == 1:
        return next(iter(kept.values()))
    context = z3.main_ctx()
    made = make(context.ref(), len(kept), (z3.Ast * len(kept))(*(bit.ast for bit in kept.values())))
    return z3.BoolRef(made, context)


def neg(bit: Bit) -> Bit:
    """Not that one."""
    if isinstance(bit, bool):
        return not bit
    context = bit.ctx
    application = z3.Z3_to_app(context.ref(), bit.ast)
    if z3.Z3_get_decl_kind(context.ref(), z3.Z3_get_app_decl(context.ref(), application)) == z3.Z3_OP_NOT:
        return z3.BoolRef(z3.Z3_get_app_arg(context.ref(), application, 0), context)
    return z3.BoolRef(z3.Z3_mk_not(context.ref(), bit.ast), context)


def choose_bit(condition: Bit, then: Bit, otherwise: Bit) -> Bit:
    """One bit or the other."""
    if isinstance(condition, bool):
        return then if condition else otherwise
    return disj(conj(condition, then), conj(neg(condition), otherwise))


def differ(left: Bit, right: Bit) -> Bit:
    """Where one bit is set and the other is not."""
    if isinstance(left, bool):
        return neg(right) if left else right
    if isinstance(right, bool):
        return neg(left) if right else left
    return False if left.eq(right) else z3.Xor(left, right)


@cache
def _literal(numerator: int, denominator: int) -> z3.RatNumRef:
    return z3.Q(numerator, denominator)


def lift(number: Real) -> z3.ArithRef:
    """A number as a term."""
    return _literal(number.numerator, number.denominator) if isinstance(number, Fraction) else number


def lift_bit(bit: Bit) -> z3.BoolRef:
    """A bit as a term."""
    return z3.BoolVal(bit) if isinstance(bit, bool) else bit


def choose_real(condition: Bit, then: Real, otherwise: Real) -> Real:
    """One number or the other."""
    if isinstance(condition, bool):
        return then if condition else otherwise
    if isinstance(then, Fraction) and isinstance(otherwise, Fraction) and then == otherwise:
        return then
    context = condition.ctx
    return z3.ArithRef(z3.Z3_mk_ite(context.ref(), condition.ast, lift(then).ast, lift(otherwise).ast), context)


_COMPARE: Mapping[Comparator, Callable[[Fraction, Fraction], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MAKE_COMPARISON: Mapping[Comparator, Callable[..., z3.Ast]] = {
    "==": z3.Z3_mk_eq,
    "<": z3.Z3_mk_lt,
    "<=": z3.Z3_mk_le,
    ">": z3.Z3_mk_gt,
    ">=": z3.Z3_mk_ge,
}


def compare_reals(comparator: Comparator, left: Real, right: Real) -> Bit:
    """A comparison of two numbers that are there."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _COMPARE[comparator](left, right)
    if comparator == "!=":
        return neg(compare_reals("==", left, right))
    first, second = lift(left), lift(right)
    context = first.ctx
    return z3.BoolRef(_MAKE_COMPARISON[comparator](context.ref(), first.ast, second.ast), context)


def missing_of(term: Term) -> Bit:
    """Where a term has no value."""
    return neg(disj(term.true, term.false)) if isinstance(term, Truth) else term.missing


def constant(value: Value, kind: Type) -> Term:
    """A known value as a term."""
    match kind:
        case NumberType():
            return Number(Fraction(float(value)), missing=False)
        case FlagType():
            return Truth(bool(value), not value)
        case ChoiceType() | TextType():
            return Options({str(value): True}, missing=False)
    assert_never(kind)


def choose(condition: Bit, then: Term, otherwise: Term) -> Term:
    """One term or the other, of one type."""
    if isinstance(condition, bool):
        return then if condition else otherwise
    match then, otherwise:
        case Truth(), Truth():
            return Truth(
                choose_bit(condition, then.true, otherwise.true), choose_bit(condition, then.false, otherwise.false)
            )
        case Number(), Number():
            value = choose_real(condition, then.value, otherwise.value)
            return Number(value, choose_bit(condition, then.missing, otherwise.missing))
        case Options(), Options():
            names = {**then.values, **otherwise.values}
            values = {
                name: choose_bit(condition, then.values.get(name, False), otherwise.values.get(name, False))
                for name in names
            }
            return Options(values, choose_bit(condition, then.missing, otherwise.missing))
    raise TypeError(then, otherwise)


def equal(left: Term, right: Term) -> Truth:
    """`left == right`: unknown if one is missing."""
    known = conj(neg(missing_of(left)), neg(missing_of(right)))
    same = same_value(left, right)
    return Truth(conj(known, same), conj(known, neg(same)))


def same_value(left: Term, right: Term) -> Bit:
    """Where two terms that are there have one value."""
    match left, right:
        case Truth(), Truth():
            return disj(conj(left.true, right.true), conj(left.false, right.false))
        case Number(), Number():
            return compare_reals("==", left.value, right.value)
        case Options(), Options():
            return disj(*(conj(bit, right.values[name]) for name, bit in left.values.items() if name in right.values))
    raise TypeError(left, right)


def is_value(term: Term, value: Value) -> Bit:
    """Where a term is there and has a given value."""
    match term:
        case Truth():
            return term.true if value else term.false
        case Number():
            return conj(neg(term.missing), compare_reals("==", term.value, Fraction(float(value))))
        case Options():
            return conj(neg(term.missing), term.values.get(str(value), False))
    assert_never(term)


def ranked(term: Term, kind: Type) -> Number:
    """What a term is ordered by: a choice by its place in the list, false below true, a number by itself."""
    match term:
        case Number():
            return term
        case Truth():
            return Number(choose_real(term.true, Fraction(1), Fraction(0)), missing_of(term))
        case Options():
            assert isinstance(kind, ChoiceType)
            rank: Real = Fraction(0)
            for index, name in enumerate(kind.of):
                rank = choose_real(term.values.get(name, False), Fraction(index), rank)
            return Number(rank, term.missing)
    assert_never(term)


def compared(comparator: Comparator, left: Term, right: Term, kind: Type) -> Truth:
    """A comparison of two terms of one type: unknown if one is missing."""
    if comparator in ("==", "!="):
        truth = equal(left, right)
        return truth if comparator == "==" else Truth(truth.false, truth.true)
    known = conj(neg(missing_of(left)), neg(missing_of(right)))
    if isinstance(left, Options) and isinstance(right, Options):
        assert isinstance(kind, ChoiceType)
        holds = _ordered(comparator, left, right, kind)
    else:
        holds = compare_reals(comparator, ranked(left, kind).value, ranked(right, kind).value)
    return Truth(conj(known, holds), conj(known, neg(holds)))


def _ordered(comparator: Comparator, left: Options, right: Options, kind: ChoiceType) -> Bit:
    """An order of choices by their places, without numbers."""
    places = {name: Fraction(index) for index, name in enumerate(kind.of)}
    return disj(
        *(
            conj(first, second)
            for name, first in left.values.items()
            for other, second in right.values.items()
            if _COMPARE[comparator](places[name], places[other])
        )
    )
