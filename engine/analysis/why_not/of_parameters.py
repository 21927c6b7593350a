"""The smallest change of parameters that gives a wished decision, as an edit of a profile.

Limits of age are among them. A change is confirmed by loading the profile with it, so what rule sets require of their
parameters holds, and by deciding again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import z3

from engine.analysis.why_not.nearest import Movable, Nearest, distance_of, holds_with, is_true, pulled_back
from engine.analysis.why_not.wish import Wish
from engine.backends import interpreter
from engine.backends.facts import Gap, Seen, raw_group, read_group, read_moment, see
from engine.backends.solver.encode import encode, parameter_terms, truth_of
from engine.backends.solver.space import Side, fraction_of
from engine.backends.solver.terms import (
    Bit,
    Number,
    Options,
    Term,
    Truth,
    compare_reals,
    conj,
    constant,
    disj,
    neg,
)
from engine.language.build import FACTS
from engine.language.findings import Findings, LoadError
from engine.language.load import Files, Workspace
from engine.language.model import AtLeastAsStrict, Binding, Origin, Policy
from engine.language.nodes import decode_source
from engine.language.printer import print_value
from engine.language.rulebook import Rulebook
from engine.language.soundness import parameters_of
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value

_TRIED_PROFILE = "profile_with_a_change"


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """A parameter as it would have to be, and where it is given now."""

    parameter: str
    before: Value
    after: Value
    type: Type
    origin: Origin


def by_parameters(
    side: Side, seen: Seen, facts: Mapping[str, Any], wish: Wish, undecided: list[str], timeout_s: float
) -> tuple[ParameterChange, ...] | None:
    """The smallest change of parameters; None, and a word in `undecided`, where the solver gave up on it."""
    declared = {name: side.rulebook.declarations[name].type for name in _asked(side)}
    parameters = parameter_terms(side)
    holds: list[Bit] = []
    movables: list[Movable] = []
    for name, kind in declared.items():
        parameters[name], within, changed, distance = _free(name, kind, side.binding.values[name])
        holds += within
        movables.append(Movable(name, changed, distance))
    for owner, required in side.rulebook.requires.items():
        if any(name.startswith(f"{owner}.") for name in declared):
            holds += [truth_of(text.expression, parameters).true for text in required]
    terms = encode(side.policy, parameters, _facts(side, seen, facts, parameters))
    nearest = Nearest(movables, [*holds, wish.where(terms.names[wish.name]), neg(terms.lacking)], timeout_s)
    for model in nearest.models():
        moved = {name: _read(model, parameters[name]) for name in declared}
        moved = {name: value for name, value in moved.items() if value != side.binding.values[name]}
        changes = _loaded(side, facts, moved, wish)
        if changes is not None:
            return changes
    if nearest.gave_up:
        undecided.append("parameters")
    return None


def _asked(side: Side) -> list[str]:
    """The parameters that a policy's steps read, and the limits of age of the facts that it reads."""
    names = {name for step in side.policy.steps for name in parameters_of(step)}
    limits = (side.rulebook.max_ahead, *(group.max_age for group in side.policy.groups))
    return sorted(names | {_limit(name) for name in limits if name is not None})


def _limit(parameter: str) -> str:
    return f"{FACTS}.{parameter}"


def _facts(side: Side, seen: Seen, facts: Mapping[str, Any], parameters: Mapping[str, Term]) -> dict[str, Term]:
    """The facts as they are, missing where limits of age would have it."""
    found: dict[str, Term] = {}
    for group in side.policy.groups:
        at, held = read_group(group, raw_group(group, facts))
        late: Bit = False
        if at is not None and math.isfinite(age := seen.moment.now - at):
            late = disj(
                _less(parameters, group.max_age, Fraction(age)),
                _less(parameters, side.rulebook.max_ahead, Fraction(-age)),
            )
        elif at is not None:  # older than any limit, or further ahead
            late = True
        found |= {fact.name: _constant(held[fact.name], fact.type, late) for fact in group.facts}
    return found


def _less(parameters: Mapping[str, Term], limit: str | None, age: Fraction) -> Bit:
    """Where a limit of age is less than an age."""
    if limit is None:
        return False
    term = parameters[_limit(limit)]
    assert isinstance(term, Number)
    return compare_reals("<", term.value, age)


def _free(name: str, kind: Type, now: Value) -> tuple[Term, list[Bit], Bit, z3.ArithRef | None]:
    """A parameter of any value in its range: the term, what holds of it, where it is another, and how far."""
    match kind:
        case NumberType(min=low, max=high):
            number = z3.Real(f"${name}")
            distance, bounds = distance_of(f"${name}", number, float(now), kind)
            within = [*bounds, compare_reals(">=", number, Fraction(low)), compare_reals("<=", number, Fraction(high))]
            return (
                Number(number, missing=False),
                within,
                neg(compare_reals("==", number, Fraction(float(now)))),
                distance,
            )
        case ChoiceType(of=of):
            bits = {value: z3.Bool(f"${name} is {value}") for value in of}
            return (
                Options(bits, missing=False),
                [z3.PbEq([(bit, 1) for bit in bits.values()], 1)],
                neg(bits[str(now)]),
                None,
            )
    flag = z3.Bool(f"${name}")
    return Truth(flag, neg(flag)), [], neg(flag) if now else flag, None


def _constant(held: Value | Gap, kind: Type, late: Bit) -> Term:
    """A fact that is there unless its group is late."""
    if not isinstance(held, Gap):
        term = constant(held, kind)
        match term:
            case Truth(true, false):
                return Truth(conj(neg(late), true), conj(neg(late), false))
            case Number() | Options():
                return replace(term, missing=late)
    match kind:
        case NumberType():
            return Number(Fraction(0), missing=True)
        case FlagType():
            return Truth(true=False, false=False)
    return Options({}, missing=True)


def _read(model: z3.ModelRef, term: Term) -> Value:
    match term:
        case Number(value=number):
            return float(number if isinstance(number, Fraction) else fraction_of(model, number))
        case Truth(true=bit):
            return is_true(model, bit)
        case Options(values=values):
            return next(name for name, bit in values.items() if is_true(model, bit))


def _loaded(
    side: Side, facts: Mapping[str, Any], moved: Mapping[str, Value], wish: Wish
) -> tuple[ParameterChange, ...] | None:
    """The changes of parameters, as small as the interpreter lets them be, if the profile loads with them."""

    def holds(changed: Mapping[str, Value]) -> bool:
        binding = Binding(side.binding.groups, {**side.binding.values, **changed}, {})
        return _decides(side.rulebook, side.policy, binding, facts, wish)

    if not holds(moved):
        return None
    least = dict(moved)
    for name, value in moved.items():
        now = side.binding.values[name]
        if isinstance(value, float) and isinstance(now, float):
            least[name] = pulled_back(now, value, partial(holds_with, holds, least, name))
    for changed in (least, moved):
        changes = tuple(
            ParameterChange(
                name,
                side.binding.values[name],
                value,
                side.rulebook.declarations[name].type,
                side.binding.origins[name],
            )
            for name, value in changed.items()
        )
        if _loads(side, changes, facts, wish):
            return changes
    return None


def _decides(rulebook: Rulebook, policy: Policy, binding: Binding, facts: Mapping[str, Any], wish: Wish) -> bool:
    """Whether the wished decision is made. A value that no profile loads with may leave something without one."""
    seen = see(rulebook, policy, binding, facts)
    try:
        return wish.holds(interpreter.run(policy, binding, seen.names()).values[wish.name])
    except interpreter.NoValueError:
        return False


def _loads(side: Side, changes: Sequence[ParameterChange], facts: Mapping[str, Any], wish: Wish) -> bool:
    """Whether a profile with these values loads, and decides as wished."""
    rulebook = side.rulebook
    text = "\n".join([f"profile: {_TRIED_PROFILE}", f"extends: {rulebook.profile}", *edit_lines(changes, "tried")])
    documents = {_TRIED_PROFILE: text, **{name: f"profile: {name}" for name in _named(rulebook)}}
    sources = dict(rulebook.sources)
    findings = Findings()
    for name, document in documents.items():
        source = decode_source(document.encode(), f"profiles/{name}.yaml", findings)
        assert source is not None
        sources[source.name] = source
    try:
        changed = Workspace(Files(sources, ())).rulebook(_TRIED_PROFILE)
    except LoadError:
        return False
    binding = changed.binding_of(read_moment(facts).symbol)
    return _decides(changed, changed.policies[side.policy.name], binding, facts, wish)


def _named(rulebook: Rulebook) -> set[str]:
    """The profiles that a rulebook's documents name and whose files it does not carry."""
    named = {divergence.against for divergence in rulebook.diverges}
    for policy in rulebook.policies.values():
        for invariant in policy.invariants:
            named |= set(invariant.profiles or ())
            if isinstance(invariant, AtLeastAsStrict):
                named |= {invariant.profile, invariant.than}
    return {name for name in named if f"profiles/{name}.yaml" not in rulebook.sources}


def edit_lines(changes: Sequence[ParameterChange], why: str = "...") -> list[str]:
    """The lines to write into a profile: its own values, then those of its symbol groups; above each what it is now."""
    lines: list[str] = []
    plain = [change for change in changes if change.origin.group is None]
    if plain:
        lines += ["values:", *(f"  {line}" for change in plain for line in _entry(change, why))]
    groups = sorted({change.origin.group for change in changes if change.origin.group is not None})
    if groups:
        lines.append("symbols:")
    for group in groups:
        inside = [change for change in changes if change.origin.group == group]
        lines += [f"  {group}:", "    values:", *(f"      {line}" for change in inside for line in _entry(change, why))]
    return lines


def _entry(change: ParameterChange, why: str) -> tuple[str, str]:
    now, then = (print_value(value, change.type) for value in (change.before, change.after))
    place = f"{change.origin.span.file}:{change.origin.span.line}"
    return f"# now {now} at {place}", f"{change.parameter}: {{value: {then}, why: {why}}}"
