"""The smallest change of parameters that gives a wished decision, as an edit of a profile.

What rule sets require of their parameters holds: a change is confirmed by loading the profile with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import z3

from engine.analysis.why_not.nearest import Movable, Nearest, distance_of, holds_with, is_true, pulled_back
from engine.analysis.why_not.wish import Wish
from engine.backends import interpreter
from engine.backends.facts import Gap, Seen
from engine.backends.solver.encode import encode, parameter_terms, truth_of
from engine.backends.solver.space import Side
from engine.backends.solver.terms import (
    Bit,
    Number,
    Options,
    Term,
    Truth,
    compare_reals,
    constant,
    neg,
)
from engine.language.evaluate import Known
from engine.language.findings import Findings, LoadError, Severity
from engine.language.load import Files, Workspace
from engine.language.model import Binding, Origin, Policy
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
    side: Side, symbol: str | None, seen: Seen, wish: Wish, undecided: list[str]
) -> tuple[ParameterChange, ...] | None:
    """The smallest change of parameters; None, and a word in `undecided`, where the solver gave up on it."""
    names = sorted({name for step in side.policy.steps for name in parameters_of(step)})
    declared = {name: side.rulebook.declarations[name].type for name in names}
    parameters = parameter_terms(side)
    holds: list[Bit] = []
    movables: list[Movable] = []
    for name, kind in declared.items():
        parameters[name], within, changed, distance = _free(name, kind, side.binding.values[name])
        holds += within
        movables.append(Movable(name, changed, distance))
    facts = {
        fact.name: _constant(seen.values[group.name][fact.name], fact.type)
        for group in side.policy.groups
        for fact in group.facts
    }
    for owner, required in side.rulebook.requires.items():
        if any(name.startswith(f"{owner}.") for name in names):
            holds += [truth_of(text.expression, parameters).true for text in required]
    terms = encode(side.policy, parameters, facts)
    nearest = Nearest(movables, [*holds, wish.where(terms.names[wish.name]), neg(terms.lacking)])
    models = nearest.models()
    for model in models:
        moved = {name: _read(model, parameters[name]) for name in declared}
        moved = {name: value for name, value in moved.items() if value != side.binding.values[name]}
        changes = _loaded(side, symbol, seen, moved, declared, wish)
        if changes is not None:
            return changes
    if models or nearest.gave_up:  # what is there in exact numbers may be there in doubles too
        undecided.append("parameters")
    return None


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


def _constant(held: Value | Gap, kind: Type) -> Term:
    if not isinstance(held, Gap):
        return constant(held, kind)
    match kind:
        case NumberType():
            return Number(Fraction(0), missing=True)
        case FlagType():
            return Truth(true=False, false=False)
    return Options({}, missing=True)


def _read(model: z3.ModelRef, term: Term) -> Value:
    match term:
        case Number(value=number):
            found = model.eval(number, model_completion=True)
            return float(Fraction(found.numerator_as_long(), found.denominator_as_long()))
        case Truth(true=bit):
            return is_true(model, bit)
        case Options(values=values):
            return next(name for name, bit in values.items() if is_true(model, bit))


def _loaded(
    side: Side, symbol: str | None, seen: Seen, moved: Mapping[str, Value], declared: Mapping[str, Type], wish: Wish
) -> tuple[ParameterChange, ...] | None:
    """The changes of parameters, as small as the interpreter lets them be, if the profile loads with them."""
    facts = seen.names()

    def holds(changed: Mapping[str, Value]) -> bool:
        binding = Binding(side.binding.groups, {**side.binding.values, **changed}, {})
        try:
            return wish.holds(interpreter.run(side.policy, binding, facts).values[wish.name])
        except interpreter.NoValueError:
            return False

    if not holds(moved):
        return None
    least = dict(moved)
    for name, value in moved.items():
        now = side.binding.values[name]
        if isinstance(value, float) and isinstance(now, float):
            least = {**least, name: pulled_back(now, value, partial(holds_with, holds, least, name))}
    for changed in (least, dict(moved)):
        changes = tuple(
            ParameterChange(name, side.binding.values[name], value, declared[name], side.binding.origins[name])
            for name, value in changed.items()
        )
        if _loads(side.rulebook, changes, symbol, side.policy, facts, wish):
            return changes
    return None


def _loads(
    rulebook: Rulebook,
    changes: Sequence[ParameterChange],
    symbol: str | None,
    policy: Policy,
    facts: Mapping[str, Known],
    wish: Wish,
) -> bool:
    """Whether a profile with these values loads, and decides as wished."""
    text = [f"profile: {_TRIED_PROFILE}", f"extends: {rulebook.profile}"]
    plain = [change for change in changes if change.origin.group is None]
    if plain:
        text += ["values:", *(f"  {_entry(change)}" for change in plain)]
    grouped = {change.origin.group for change in changes if change.origin.group is not None}
    if grouped:
        text.append("symbols:")
    for group in sorted(grouped):
        text += [f"  {group}:", "    values:"]
        text += [f"      {_entry(change)}" for change in changes if change.origin.group == group]
    findings = Findings()
    source = decode_source("\n".join(text).encode(), f"profiles/{_TRIED_PROFILE}.yaml", findings)
    assert source is not None
    workspace = Workspace(Files({**rulebook.sources, source.name: source}, ()))
    try:
        changed = workspace.rulebook(_TRIED_PROFILE)
    except LoadError as error:
        # A rulebook carries the files that it needs: what it says of other profiles cannot be looked up here.
        serious = {item.code for item in error.findings if item.severity is Severity.ERROR}
        return serious <= {"profile.unknown"} and not _required(error)
    decided = interpreter.run(changed.policies[policy.name], changed.binding_of(symbol), facts).values[wish.name]
    return wish.holds(decided)


def _required(error: LoadError) -> bool:
    return any(item.code in ("requires.broken", "value.range") for item in error.findings)


def _entry(change: ParameterChange) -> str:
    return f"{change.parameter}: {{value: {print_value(change.after, change.type)}, why: tried}}"
