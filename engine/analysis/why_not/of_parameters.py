"""The smallest change of parameters that gives a wished decision, as an edit of a profile.

Limits of age are among them. A change is confirmed by loading the profile with it, so what rule sets require of their
parameters holds, and by deciding again. Then its invariants are proven; one that breaks any is handed out only where
none is found that keeps them all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import z3

from engine.analysis.proofs.asking import Budget
from engine.analysis.proofs.prove import Verdict
from engine.analysis.why_not.nearest import Movable, Nearest, is_true, movable_number
from engine.analysis.why_not.promises import Promises, Rulebooks, lesson, name_of
from engine.analysis.why_not.rounding import Begun, least
from engine.analysis.why_not.wish import Wish
from engine.backends import interpreter
from engine.backends.facts import Gap, raw_group, read_group, read_moment, see
from engine.backends.solver.encode import PolicyTerms, encode, parameter_terms, truth_of
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
    lift,
    lift_bit,
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
_ROUNDS = 8
"""Edits that are looked at for one that breaks no invariant."""


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """A parameter as it would have to be, and where it is given now."""

    parameter: str
    before: Value
    after: Value
    type: Type
    origin: Origin


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes of parameters, and what becomes of the invariants with them."""

    changes: tuple[ParameterChange, ...]
    breaks: tuple[str, ...] = ()
    """The invariants that hold today and would not with it, as `policy.invariant`."""
    unproven: tuple[str, ...] = ()
    """Those of which nobody knows."""


def by_parameters(
    side: Side, facts: Mapping[str, Any], wish: Wish, budget: Budget, others: Rulebooks | None
) -> tuple[Edit | None, bool]:
    """The smallest edit that keeps every invariant, or where none is found that does, the smallest of all.

    And whether the solver gave up: then one that is not found may be there, and one that is may not be the smallest.
    """
    question = _Question.of(side, facts, wish)
    promises = Promises(side.rulebook, others, budget)
    smallest: Edit | None = None
    gave_up = False
    lessons: list[Bit] = []
    for _ in range(_ROUNDS):
        nearest = Nearest(
            question.movables,
            [*question.holds, *lessons],
            wish,
            question.decided,
            partial(question.confirm, lessons=tuple(lessons)),
            budget,
        )
        found = nearest.search()
        if smallest is None:
            gave_up = nearest.gave_up
        if found is None:
            break
        names = {change.parameter for change in found.changes}
        judged = promises.judge(found.rulebook, names)
        edit = Edit(found.changes, tuple(map(name_of, judged.broken)), judged.unproven)
        if not edit.breaks and (smallest is None or edit.unproven == smallest.unproven):
            return edit, nearest.gave_up
        smallest = smallest or edit
        lessons += question.lessons(judged.broken, names)
    return smallest, gave_up


@dataclass(frozen=True)
class _Loaded:
    """Changes of parameters, and the rulebook with them."""

    changes: tuple[ParameterChange, ...]
    rulebook: Rulebook


@dataclass(frozen=True)
class _Question:
    """What may be otherwise about parameters, as terms."""

    side: Side
    facts: Mapping[str, Any]
    wish: Wish
    free: Mapping[str, Term]
    """The parameters that may change."""
    required: Sequence[Bit]
    """What rule sets require of them."""
    holds: Sequence[Bit]
    movables: Sequence[Movable]
    decided: Term
    """What is wished for."""

    @classmethod
    def of(cls, side: Side, facts: Mapping[str, Any], wish: Wish) -> _Question:
        free: dict[str, Term] = {}
        within: list[Bit] = []
        movables: list[Movable] = []
        for name in _asked(side):
            free[name], ranges, movable = _free(name, side.rulebook.declarations[name].type, side.binding.values[name])
            within += ranges
            movables.append(movable)
        parameters = parameter_terms(side) | free
        required = [
            truth_of(text.expression, parameters).true
            for owner, texts in side.rulebook.requires.items()
            if any(name.startswith(f"{owner}.") for name in free)
            for text in texts
        ]
        terms = encode(side.policy, parameters, _facts(side, facts, parameters))
        holds = [*within, *required, neg(terms.lacking)]
        return cls(side, facts, wish, free, required, holds, movables, terms.names[wish.name])

    def confirm(self, model: z3.ModelRef, *, lessons: Sequence[Bit]) -> _Loaded | None:
        """The changes of a model, as small as the interpreter and the lessons let them be, if the profile loads so."""
        now = self.side.binding.values
        read = {name: _read(model, term) for name, term in self.free.items()}
        moved = {name: value for name, value in read.items() if value != now[name]}

        def holds(changed: Mapping[str, Value]) -> bool:
            values = {**now, **changed}
            return _decides(
                self.side.rulebook, self.side.policy, Binding((), values, {}), self.facts, self.wish
            ) and self._agrees([*self.required, *lessons], values)

        if not holds(moved):
            return None
        declared = self.side.rulebook.declarations
        begun = {
            name: Begun.of(float(now[name]), kind)
            for name in moved
            if isinstance(kind := declared[name].type, NumberType)
        }
        return self._loaded(least(moved, begun, holds)) or self._loaded(moved)

    def lessons(self, broken: Sequence[Verdict], changed: Collection[str]) -> list[Bit]:
        """What is asked of the next edit; where nothing can be, that it changes something else."""
        learned = [lesson(self.side.rulebook, verdict, self._encoded) for verdict in broken]
        told = [bit for bit in learned if bit is not None and bit is not True]
        others = neg(conj(*(each.changed for each in self.movables if each.name in changed)))
        return told if len(told) == len(learned) else [*told, others]

    def _encoded(self, policy: Policy, facts: Mapping[str, Any]) -> PolicyTerms:
        """A policy on one input. Its symbol may have other values: an edit for a group of symbols is for it alone."""
        rulebook = self.side.rulebook
        binding = rulebook.binding_of(read_moment(facts).symbol)
        side = Side(rulebook, policy, binding)
        here = self.side.binding.origins
        shared = {name: term for name, term in self.free.items() if binding.origins[name].group == here[name].group}
        parameters = parameter_terms(side) | shared
        return encode(policy, parameters, _facts(side, facts, parameters))

    def _agrees(self, bits: Sequence[Bit], values: Mapping[str, Value]) -> bool:
        """Whether parameters with these values are as some bits say."""
        agreed = conj(*bits)
        if isinstance(agreed, bool):
            return agreed
        known = [pair for name, term in self.free.items() for pair in _assigned(term, values[name])]
        return bool(z3.is_true(z3.simplify(z3.substitute(agreed, *known))))

    def _loaded(self, changed: Mapping[str, Value]) -> _Loaded | None:
        """The changes, if the profile loads with them and decides as wished."""
        side, binding = self.side, self.side.binding
        changes = tuple(
            ParameterChange(
                name, binding.values[name], value, side.rulebook.declarations[name].type, binding.origins[name]
            )
            for name, value in changed.items()
        )
        rulebook = _load(side.rulebook, changes)
        if rulebook is None:
            return None
        found = rulebook.binding_of(read_moment(self.facts).symbol)
        decides = _decides(rulebook, rulebook.policies[side.policy.name], found, self.facts, self.wish)
        return _Loaded(changes, rulebook) if decides else None


def _asked(side: Side) -> list[str]:
    """The parameters that a policy's steps read, and the limits of age of the facts that it reads."""
    names = {name for step in side.policy.steps for name in parameters_of(step)}
    limits = (side.rulebook.max_ahead, *(group.max_age for group in side.policy.groups))
    return sorted(names | {_limit(name) for name in limits if name is not None})


def _limit(parameter: str) -> str:
    return f"{FACTS}.{parameter}"


def _facts(side: Side, facts: Mapping[str, Any], parameters: Mapping[str, Term]) -> dict[str, Term]:
    """The facts as they are, missing where limits of age would have it."""
    now = read_moment(facts).now
    found: dict[str, Term] = {}
    for group in side.policy.groups:
        at, held = read_group(group, raw_group(group, facts))
        late: Bit = False
        if at is not None and math.isfinite(age := now - at):
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


def _free(name: str, kind: Type, now: Value) -> tuple[Term, list[Bit], Movable]:
    """A parameter of any value in its range: the term, what holds of it, and where it is another."""
    match kind:
        case NumberType(min=low, max=high):
            number = z3.Real(f"${name}")
            changed = neg(compare_reals("==", number, Fraction(float(now))))
            movable, holds = movable_number(name, number, changed, float(now), kind)
            holds += [compare_reals(">=", number, Fraction(low)), compare_reals("<=", number, Fraction(high))]
            return Number(number, missing=False), holds, movable
        case ChoiceType(of=of):
            bits = {value: z3.Bool(f"${name} is {value}") for value in of}
            one = z3.PbEq([(bit, 1) for bit in bits.values()], 1)
            return Options(bits, missing=False), [one], Movable(name, neg(bits[str(now)]))
    flag = z3.Bool(f"${name}")
    return Truth(flag, neg(flag)), [], Movable(name, neg(flag) if now else flag)


def _assigned(term: Term, value: Value) -> Iterator[tuple[z3.ExprRef, z3.ExprRef]]:
    """The variables of a parameter, each with what it is for a value."""
    match term:
        case Number(value=number):
            yield lift(number), lift(Fraction(float(value)))
        case Truth(true=bit):
            yield lift_bit(bit), z3.BoolVal(bool(value))
        case Options(values=values):
            for name, bit in values.items():
                yield lift_bit(bit), z3.BoolVal(name == value)


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


def _decides(rulebook: Rulebook, policy: Policy, binding: Binding, facts: Mapping[str, Any], wish: Wish) -> bool:
    """Whether the wished decision is made. A value that no profile loads with may leave something without one."""
    seen = see(rulebook, policy, binding, facts)
    try:
        return wish.holds(interpreter.run(policy, binding, seen.names()).values[wish.name])
    except interpreter.NoValueError:
        return False


def _load(rulebook: Rulebook, changes: Sequence[ParameterChange]) -> Rulebook | None:
    """The profile with these values, under its own name; None if it does not load with them."""
    text = "\n".join([f"profile: {_TRIED_PROFILE}", f"extends: {rulebook.profile}", *edit_lines(changes, "tried")])
    documents = {_TRIED_PROFILE: text, **{name: f"profile: {name}" for name in _named(rulebook)}}
    sources = dict(rulebook.sources)
    findings = Findings()
    for name, document in documents.items():
        source = decode_source(document.encode(), f"profiles/{name}.yaml", findings)
        assert source is not None
        sources[source.name] = source
    try:
        return replace(Workspace(Files(sources, ())).rulebook(_TRIED_PROFILE), profile=rulebook.profile)
    except LoadError:
        return None


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
