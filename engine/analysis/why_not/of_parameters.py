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
from engine.analysis.why_not.promises import Judged, Promises, lesson, name_of
from engine.analysis.why_not.rounding import Begun, least
from engine.analysis.why_not.rulebooks import Family, HomeRulebooks, Rulebooks, family_of, loaded
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
from engine.language.model import Binding, Origin, Policy
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
    parent: str | None = None
    """The profile that it is an edit of, where that is a parent of the one asked about."""
    also: tuple[str, ...] = ()
    """The other profiles that extend the parent, which change with it."""
    alone_breaks: tuple[str, ...] = ()
    """What the same edit breaks in the profile asked about alone; there may be more."""


def by_parameters(
    side: Side, facts: Mapping[str, Any], wish: Wish, budget: Budget, others: Rulebooks | None
) -> tuple[Edit | None, bool]:
    """The smallest edit that keeps every invariant, or where none is found that does, the smallest of all.

    That one is handed out as an edit of the parent that has the values in force, where this breaks nothing.
    And whether the solver gave up: then one that is not found may be there, and one that is may not be the smallest.
    """
    question = _Question.of(side, facts, wish)
    promises = Promises(side.rulebook, others, budget, facts)
    smallest: _Judgement | None = None
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
        gave_up |= nearest.gave_up
        if found is None:
            break
        judged = _Judgement.of_edit(found, promises, question.family_of(found, others))
        if not judged.of.broken:
            smallest = smallest and smallest.whole(promises)
            if smallest is None or set(judged.edit.unproven) <= {*smallest.edit.breaks, *smallest.edit.unproven}:
                return judged.with_heirs(question, budget), gave_up
        smallest = smallest or judged
        told, is_all = question.lessons(judged.of.broken, found.names)
        gave_up |= not is_all
        lessons += told
    else:
        gave_up = True
    if smallest is None:
        return None, gave_up
    if smallest.of.broken and isinstance(others, HomeRulebooks):
        in_parent = _in_parent(question, smallest.found, others, Budget(budget.seconds))
        if in_parent is not None:
            return replace(in_parent, alone_breaks=smallest.edit.breaks), gave_up
    return smallest.whole(promises).with_heirs(question, budget), gave_up


def _in_parent(question: _Question, found: _Loaded, home: HomeRulebooks, budget: Budget) -> Edit | None:
    """The same edit where the values in force stand, if that is one parent, and no profile that extends it breaks.

    All of these profiles change, and are judged.
    """
    rulebook = question.side.rulebook
    parents = {change.origin.profile for change in found.changes}
    if len(parents) != 1 or rulebook.profile in parents:
        return None
    (parent,) = parents
    family = family_of(home, rulebook, parent, edit_lines(found.changes, "tried"))
    if family is None or not question.decides(family(rulebook.profile)):
        return None
    unproven: set[str] = set()
    for place, (name, edited) in enumerate(family.edited.items()):
        share = Budget(budget.left_s / (len(family.edited) - place))
        today = rulebook if name == rulebook.profile else home(name)
        judged = Promises(today, home, share, question.facts).judge(edited, found.names, family)
        if judged.broken:
            return None
        unproven |= set(judged.unproven)
    also = tuple(name for name in family.edited if name not in (parent, rulebook.profile))
    return Edit(found.changes, unproven=tuple(sorted(unproven)), parent=parent, also=also)


@dataclass(frozen=True)
class _Loaded:
    """Changes of parameters, and the rulebook with them."""

    changes: tuple[ParameterChange, ...]
    rulebook: Rulebook

    @property
    def names(self) -> set[str]:
        """The parameters that change."""
        return {change.parameter for change in self.changes}


@dataclass(frozen=True)
class _Judgement:
    """Changes, and what becomes of the invariants with them."""

    found: _Loaded
    of: Judged
    family: Family | None
    """The profiles that extend the edited one, where there are any: they change with it."""

    @classmethod
    def of_edit(cls, found: _Loaded, promises: Promises, family: Family | None) -> _Judgement:
        """The invariants of the edited profile alone."""
        return cls(found, promises.judge(found.rulebook, found.names, family), family)

    @property
    def edit(self) -> Edit:
        return Edit(self.found.changes, tuple(map(name_of, self.of.broken)), self.of.unproven)

    def whole(self, promises: Promises) -> _Judgement:
        """The same with every invariant asked."""
        if self.of.whole:
            return self
        return replace(self, of=promises.judge(self.found.rulebook, self.found.names, self.family, whole=True))

    def with_heirs(self, question: _Question, budget: Budget) -> Edit:
        """The edit, and what it breaks in the profiles that extend this one."""
        edit = self.edit
        if self.family is None:
            return edit
        heirs = tuple(name for name in self.family.edited if name != question.side.rulebook.profile)
        breaks, unproven = list(edit.breaks), {*edit.unproven}
        for name in heirs:
            today = self.family.home(name)
            promises = Promises(today, self.family.home, Budget(budget.seconds), question.facts)
            judged = promises.judge(self.family.edited[name], self.found.names, self.family, whole=True)
            breaks += [each for each in map(name_of, judged.broken) if each not in breaks]
            unproven |= set(judged.unproven)
        return replace(edit, breaks=tuple(breaks), unproven=tuple(sorted(unproven - {*breaks})), also=heirs)


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

    def family_of(self, found: _Loaded, home: Rulebooks | None) -> Family | None:
        """The profiles that extend this one, with an edit; None where there are none."""
        rulebook = self.side.rulebook
        if not isinstance(home, HomeRulebooks):
            return None
        family = family_of(home, rulebook, rulebook.profile, edit_lines(found.changes, "tried"))
        return family if family is not None and len(family.edited) > 1 else None

    def lessons(self, broken: Sequence[Verdict], changed: Collection[str]) -> tuple[list[Bit], bool]:
        """What is asked of the next edit; where nothing can be, that it changes something else.

        And whether that leaves every edit in that would do: another value of the same parameters might.
        """
        learned = [lesson(self.side.rulebook, verdict, self._encoded) for verdict in broken]
        told = [bit for bit in learned if bit is not None and bit is not True]
        if len(told) == len(learned) and told:
            return told, True
        others = neg(conj(*(each.changed for each in self.movables if each.name in changed)))
        return [*told, others], False

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
        return _Loaded(changes, rulebook) if self.decides(rulebook) else None

    def decides(self, rulebook: Rulebook) -> bool:
        """Whether a rulebook decides as wished on the facts."""
        found = rulebook.binding_of(read_moment(self.facts).symbol)
        return _decides(rulebook, rulebook.policies[self.side.policy.name], found, self.facts, self.wish)


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
    return loaded(rulebook, {_TRIED_PROFILE: text}, _TRIED_PROFILE)


def lines_of(edit: Edit) -> list[str]:
    """The lines of an edit; those of a parent's take the place of lines that it has."""
    return edit_lines(edit.changes, was="now" if edit.parent is None else "in place of")


def edit_lines(changes: Sequence[ParameterChange], why: str = "...", was: str = "now") -> list[str]:
    """The lines to write into a profile: its own values, then those of its symbol groups; above each what it is now."""
    lines: list[str] = []
    plain = [change for change in changes if change.origin.group is None]
    if plain:
        lines += ["values:", *(f"  {line}" for change in plain for line in _entry(change, why, was))]
    groups = sorted({change.origin.group for change in changes if change.origin.group is not None})
    if groups:
        lines.append("symbols:")
    for group in groups:
        inside = [change for change in changes if change.origin.group == group]
        lines += [
            f"  {group}:",
            "    values:",
            *(f"      {line}" for change in inside for line in _entry(change, why, was)),
        ]
    return lines


def _entry(change: ParameterChange, why: str, was: str) -> tuple[str, str]:
    now, then = (print_value(value, change.type) for value in (change.before, change.after))
    place = f"{change.origin.span.file}:{change.origin.span.line}"
    return f"# {was} {now} at {place}", f"{change.parameter}: {{value: {then}, why: {why}}}"
