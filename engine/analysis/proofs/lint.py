"""What a profile holds and nothing needs: dead rules, idle conditions, clamps and parameters.

In: the policies of a profile under each of their sets of values. Out: `Loose` ends, each with its place. A part is
loose only if it is so in every policy that runs it and under every set of values; flag parameters are free, since a
rule that a flag turns off is not dead. Where the solver gives up on a part, it is `undecided` and not loose.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Literal, TypeAlias

import z3

from engine.analysis.proofs import QUESTIONS, Question
from engine.analysis.proofs.asking import Asker, Budget, Proven, Refuted, Undecided
from engine.analysis.proofs.parts import (
    POSSIBLE,
    Part,
    atoms,
    bits_of,
    in_words,
    is_removable,
    parts_of,
)
from engine.analysis.proofs.runs import Points, facts_of, run
from engine.analysis.proofs.samples import Reads, Sample, matters_to, needed_by, shown_by
from engine.backends.facts import see
from engine.backends.interpreter import NoValueError
from engine.backends.solver.encode import PolicyTerms, RuleTerms, encode, parameter_terms
from engine.backends.solver.space import Point, Side, Space
from engine.backends.solver.terms import (
    Bit,
    Number,
    Options,
    Term,
    Truth,
    choose,
    compare_reals,
    conj,
    constant,
    differ,
    disj,
    neg,
    same_value,
)
from engine.language.findings import Span
from engine.language.model import Expression, Policy, Rule, walk
from engine.language.soundness import parameters_of
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value

What = Literal[
    "partial", "dead", "redundant", "always_true", "never_true", "clamp_idle", "clamp_always", "param_idle",
    "reachable", "needed",
]  # fmt: skip
"""What is wrong with a part. The last two are of rules that say something else of themselves."""


@dataclass(frozen=True, slots=True)
class Loose:
    """A part of a profile that nothing needs, or a rule that is not what it says of itself."""

    what: What
    part: str
    """`set.rule`, `set.param`, or a policy."""
    text: str
    """The condition or effect, as written; empty for whole rules and parameters."""
    span: Span
    because: tuple[str, ...] | None = None
    """For a dead rule: the rules before it that together leave nothing for it; None where that is not known."""
    shown_by: tuple[Mapping[str, object], ...] = ()
    """A facts object that shows it, for `partial` and `reachable` where flags are as they are bound."""


@dataclass(frozen=True, slots=True)
class Lint:
    """What was found, how much was looked at, and what the solver could not say."""

    loose: tuple[Loose, ...]
    asked: int
    undecided: tuple[str, ...]
    """Parts, in words; what is asked of one in several ways stands there as often."""


_DEAD = frozenset[Question]({"dead"})
_OF_PARTS = frozenset[Question]({"conditions", "clamps"})
_CLAMPS = frozenset[Question]({"clamps"})
_OF_LIVE_RULES = frozenset[Question]({"dead", "conditions", "clamps", "redundant", "parameters"})
"""Questions that look at what fires first."""
_IDLE_CONDITIONS: tuple[tuple[str, What], ...] = (("true", "never_true"), ("other", "always_true"))
_IDLE_CLAMPS: tuple[tuple[str, What], ...] = (("binds", "clamp_idle"), ("idle", "clamp_always"))
"""What it is called where a state of a condition or a clamp is not possible."""


Tell: TypeAlias = Callable[[str, int], None]
"""Told what is asked about, and how many questions are answered."""


def lint(
    sides: Mapping[str, list[Side]],
    timeout_s: float,
    *,
    only: Collection[Question] = QUESTIONS,
    budget: Budget | None = None,
    tell: Tell = lambda *_: None,
) -> Lint:
    """Ask canned questions. `sides` are those of each policy, one for each set of values that differs for it."""
    if budget is not None and budget.used_up:
        parts = sorted(parts_in(sides, only))
        return Lint((), len(parts), tuple(in_words(part) for part in parts))
    return _Lint(sides, timeout_s, frozenset(only), budget or Budget(), tell).run()


def parts_in(sides: Mapping[str, list[Side]], only: Collection[Question]) -> frozenset[Part]:
    """Everything that `lint` would be asked about."""
    return frozenset(part for held in sides.values() for part in parts_of(held[0].policy, only))


@dataclass
class _Subject:
    """One policy under one set of values, its flag parameters free."""

    side: Side
    space: Space
    parameters: dict[str, Term]
    terms: PolicyTerms
    asker: Asker
    reads: Reads
    samples: list[Sample] = field(default_factory=list)
    """What the solver found so far. Most questions of the kind "does it ever matter" are answered by one of them."""
    turned: Mapping[str, bool] = field(default_factory=dict)
    """The flag parameters of the model that was read last."""

    @classmethod
    def of(cls, side: Side, timeout_s: float, budget: Budget) -> _Subject:
        space = Space(side)
        parameters = parameter_terms(side)
        read = frozenset(name for step in side.policy.steps for name in parameters_of(step))
        for name, declared in side.rulebook.declarations.items():
            if isinstance(declared.type, FlagType) and name in read:
                free = z3.Bool(f"${name}")
                parameters[name] = Truth(free, neg(free))
        terms = encode(side.policy, parameters, space.facts(side))
        asker = Asker(space.domain(), timeout_s, budget)
        return cls(side, space, parameters, terms, asker, Reads(side.policy))

    @property
    def vetoes(self) -> list[RuleTerms]:
        """The rules that object."""
        return [item for item in self.terms.rules.values() if item.step.hit == "veto"]

    def note(self, found: z3.ModelRef) -> Sample:
        """Keep the input of a model."""
        self.samples.append(self.sample(*self.read(found)))
        return self.samples[-1]

    def read(self, found: z3.ModelRef) -> tuple[Point]:
        """The input of a model, whose flags are turned from here on."""
        self.turned = self.flags(found)
        return (self.space.point(found),)

    def sample(self, point: Point) -> Sample:
        """An input, under the flags of the model that was read last."""
        side = self.side
        seen = see(side.rulebook, side.policy, side.binding, facts_of(side, point))
        return Sample(self.reads, seen.names(), {**side.binding.values, **self.turned})

    def flags(self, found: z3.ModelRef) -> dict[str, bool]:
        """The flag parameters of a model."""
        return {
            name: bool(z3.is_true(found.eval(term.true, model_completion=True)))
            for name, term in self.parameters.items()
            if isinstance(term, Truth) and not isinstance(term.true, bool)
        }

    def flag_bit(self, name: str, *, value: bool) -> Bit:
        """Where a flag parameter has a value."""
        term = self.parameters[name]
        assert isinstance(term, Truth)
        return term.true if value else term.false


class _Lint:
    def __init__(
        self,
        sides: Mapping[str, list[Side]],
        timeout_s: float,
        only: frozenset[Question],
        budget: Budget,
        tell: Tell,
    ) -> None:
        self._timeout_s = timeout_s
        self._only = only
        self._budget = budget
        self._tell = tell
        self._parts = parts_in(sides, only)
        # What never fires is no loose condition besides, and what makes it fire shows most of the rest.
        # A rule of idle clamps alone is not redundant besides, so that is asked with it.
        explored = only & _OF_PARTS | (_DEAD if only & _OF_LIVE_RULES else frozenset())
        explored |= _CLAMPS if "redundant" in only else frozenset()
        self._explored = frozenset(part for part in parts_in(sides, explored) if part[0] in POSSIBLE)
        self._subjects = [_Subject.of(side, timeout_s, budget) for held in sides.values() for side in held]
        self._loose: list[Loose] = []
        self._undecided: dict[Part, None] = {}
        self._possible: set[Part] = set()
        self._settled: set[Part] = set()
        self._later: list[tuple[_Subject, Part, Bit]] = []
        """Parts of rules that never fire for one subject: a question only if they do for another."""

    def run(self) -> Lint:
        if "total" in self._only:
            for subject in self._subjects:
                self._partial(subject)
        for subject in self._subjects:
            self._explore(subject)
        dead = {part[1] for part in self._explored if part[0] == "rule" and self._is_loose(part)}
        for subject, part, bit in self._later:
            if part[1] not in dead and part not in self._possible:
                self._by_itself(subject, part, bit)
        self._settle("what is possible", *self._explored)
        if "dead" in self._only:
            self._rules(dead)
        if "conditions" in self._only:
            self._conditions(dead)
        if "clamps" in self._only:
            self._clamps(dead)
        if "redundant" in self._only:
            self._redundant(dead)
        if "parameters" in self._only:
            self._parameters(dead)
        ordered = sorted(self._loose, key=lambda loose: loose.span)
        undecided = [in_words(part) for part in self._undecided if part in self._parts - self._possible]
        return Lint(tuple(ordered), len(self._parts), tuple(undecided))

    def _settle(self, about: str, *parts: Part) -> None:
        """Note what is answered, and say how far it is."""
        self._settled |= self._parts & set(parts)
        self._tell(about, len(self._settled))

    # --- what is possible ---

    def _explore(self, subject: _Subject) -> None:
        """Note which of the parts that should be possible are, many an input."""
        bits = {part: bit for part, bit in bits_of(subject.terms, QUESTIONS) if part in self._explored}
        self._possible |= {part for part, bit in bits.items() if bit is True}
        left = {part: bit for part, bit in bits.items() if part not in self._possible and not isinstance(bit, bool)}
        while left:
            found = subject.asker.model(disj(*left.values()))
            if isinstance(found, Proven):
                return
            if isinstance(found, Undecided):
                self._one_by_one(subject, left)
                return
            # What an input shows is asked of the interpreter: evaluating terms costs as much as all rules before them.
            seen = subject.note(found).shows(left)
            seen = seen or {part for part, bit in left.items() if z3.is_true(found.eval(bit, model_completion=True))}
            if not seen:  # a model that does not say which of them it is: no rounding of roots shall loop for ever
                self._one_by_one(subject, left)
                return
            self._possible |= seen
            self._settle("what is possible", *seen)
            left = {part: bit for part, bit in left.items() if part not in seen}

    def _one_by_one(self, subject: _Subject, left: Mapping[Part, Bit]) -> None:
        """Together they are too much for the solver: each by itself, and the conditions of what never fires later."""
        fires = self._possible | left.keys()
        unfired = {name for name in subject.terms.rules if ("rule", name) not in fires}
        for part, bit in sorted(left.items(), key=lambda item: item[0][0] != "rule"):
            if part[1] in unfired:
                self._later.append((subject, part, bit))
            elif isinstance(self._by_itself(subject, part, bit), Proven) and part[0] == "rule":
                unfired.add(part[1])

    def _by_itself(self, subject: _Subject, part: Part, bit: Bit) -> z3.ModelRef | Proven | Undecided:
        """Ask whether a part is possible, and note it."""
        found = subject.asker.model(bit)
        if isinstance(found, Undecided):
            self._undecided[part] = None
        elif not isinstance(found, Proven):
            self._possible.add(part)
        return found

    def _is_loose(self, part: Part) -> bool:
        return part in self._explored and part not in self._possible and part not in self._undecided

    def _running(self) -> dict[str, tuple[_Subject, RuleTerms]]:
        """Every rule with one subject that runs it."""
        found: dict[str, tuple[_Subject, RuleTerms]] = {}
        for subject in self._subjects:
            for name, item in subject.terms.rules.items():
                found.setdefault(name, (subject, item))
        return found

    # --- each question ---

    def _partial(self, subject: _Subject) -> None:
        """Every step has a value for every input. Flags are as bound: it is with them that the loader let it pass."""
        side, space = subject.side, subject.space
        for step in side.policy.steps:
            part = ("total", side.policy.name, step.ruleset)
            lacking = [subject.terms.lacks[step.ruleset], *_flags_as_bound(subject)]
            answer = subject.asker.find(lacking, lambda found: (space.point(found),), partial(_undecided_by, side))
            self._settle("what has no value", part)
            if isinstance(answer, Undecided):
                self._undecided[part] = None
            elif isinstance(answer, Refuted):
                facts = facts_of(side, answer.points[0])
                self._loose.append(Loose("partial", step.ruleset, side.policy.name, step.span, shown_by=(facts,)))

    def _rules(self, dead: set[str]) -> None:
        for name, (subject, item) in self._running().items():
            if item.rule.expect == "unreachable":
                if name not in dead and ("rule", name) in self._possible:
                    self._reachable(item.rule)
            elif name in dead:
                self._loose.append(Loose("dead", name, "", item.rule.span, self._shadows(subject, item)))

    def _shadows(self, subject: _Subject, item: RuleTerms) -> tuple[str, ...] | None:
        """The rules before it that take all of its inputs; none if it could match none anyway, None if not known."""
        if item.step.hit != "first":
            return ()
        before = []
        for rule in item.step.rules:
            if rule is item.rule:
                break
            before.append((rule.full_id, neg(subject.terms.rules[rule.full_id].matched)))
        return subject.asker.core([item.matched], before)

    def _reachable(self, rule: Rule) -> None:
        """A rule that says no input reaches it, with one that does; flags as they are bound, else turned."""
        name = rule.full_id
        running = [subject for subject in self._subjects if name in subject.terms.rules]
        for subject in running:
            point = _reaching(subject, name, _flags_as_bound(subject), subject.side)
            if point is not None:
                facts = facts_of(subject.side, point)
                self._loose.append(Loose("reachable", name, "", rule.span, shown_by=(facts,)))
                return
        for subject in running:
            found = subject.asker.model(subject.terms.rules[name].fires)
            if not isinstance(found, z3.ModelRef):
                continue
            flags = subject.flags(found)
            bits = [subject.flag_bit(flag, value=value) for flag, value in flags.items()]
            if _reaching(subject, name, bits, _with_flags(subject.side, flags)) is not None:
                self._loose.append(Loose("reachable", name, "", rule.span))
                return
        self._possible.discard(("rule", name))
        self._undecided["rule", name] = None

    def _conditions(self, dead: set[str]) -> None:
        for name, (_, item) in self._running().items():
            if name in dead or item.rule.expect == "unreachable":
                continue
            for leaf in item.rule.leaves():
                said: list[Expression] = []
                for path, part in atoms(leaf):
                    if any(part in list(walk(above)) for above in said):
                        continue
                    for truth, what in _IDLE_CONDITIONS:
                        if self._is_loose(("leaf", name, str(leaf.index), path, truth)):
                            text = leaf.written.text[part.start : part.end] if path else leaf.written.text
                            self._loose.append(Loose(what, name, text, leaf.written.at(part)))
                            said.append(part)

    def _clamps(self, dead: set[str]) -> None:
        for name, (_, item) in self._running().items():
            if name in dead:
                continue
            for index, effect in enumerate(item.rule.effects):
                for state, what in _IDLE_CLAMPS:
                    if self._is_loose(("clamp", name, str(index), state)):
                        text = f"{effect.kind}: {effect.name}: {effect.value.text}"
                        self._loose.append(Loose(what, name, text, effect.value.span))

    def _redundant(self, dead: set[str]) -> None:
        """Rules without which every decision is the same."""
        needed: set[str] = set()
        doubtful: set[str] = set()
        asked: set[str] = set()
        for subject in self._subjects:
            candidates = [item for item in subject.terms.rules.values() if is_removable(item.step, item.rule)]
            asked |= {item.rule.full_id for item in candidates}
            left = {item.rule.full_id: item.rule for item in candidates if item.rule.full_id not in needed | dead}
            if self._budget.used_up:
                doubtful |= left.keys()
                continue
            self._quietest(subject)
            needed |= needed_by(subject.samples, list(left.values()))
            self._alone(subject, left, needed)
            left = {name: rule for name, rule in left.items() if name not in needed}
            if not left:
                continue
            ask = self._without(subject, left)
            for name, rule in left.items():
                if name in needed:  # an input that was found for another one showed it
                    continue
                found = ask(rule)
                if isinstance(found, Undecided):
                    doubtful.add(name)
                elif not isinstance(found, Proven):
                    needed |= {name, *shown_by(subject.note(found), left)}
                self._settle("what each rule is for", ("needed", name), *(("needed", other) for other in needed))
        running = self._running()
        for name in sorted(asked - dead):
            rule = running[name][1].rule
            if name in needed:
                if rule.expect == "reason":
                    self._loose.append(Loose("needed", name, "", rule.span))
            elif name in doubtful:
                self._undecided["needed", name] = None
            elif rule.expect != "reason" and not self._only_idle_clamps(rule):
                self._loose.append(Loose("redundant", name, "", rule.span))

    @staticmethod
    def _quietest(subject: _Subject) -> None:
        """Keep an input that nothing objects to, if there is one: what objects next to it matters there."""
        found = subject.asker.model(*(neg(item.matched) for item in subject.vetoes))
        if isinstance(found, z3.ModelRef):
            subject.note(found)

    @staticmethod
    def _alone(subject: _Subject, left: Mapping[str, Rule], needed: set[str]) -> None:
        """Look at each rule where it fires and no other objects: mostly it is seen to matter there."""
        for name in left:
            if name in needed:
                continue
            others = (neg(item.matched) for item in subject.vetoes if item.rule.full_id != name)
            found = subject.asker.model(subject.terms.rules[name].fires, *others)
            if isinstance(found, z3.ModelRef):
                needed |= shown_by(subject.note(found), left, needed)

    def _only_idle_clamps(self, rule: Rule) -> bool:
        """Each of its effects is a finding already."""
        clamps = [("clamp", rule.full_id, str(index), "binds") for index, _ in enumerate(rule.effects)]
        return bool(clamps) and all(self._is_loose(part) for part in clamps)

    def _without(
        self, subject: _Subject, rules: Mapping[str, Rule]
    ) -> Callable[[Rule], z3.ModelRef | Proven | Undecided]:
        """What tells whether some input is decided otherwise without one of these rules."""
        policy, facts = subject.side.policy, subject.space.facts(subject.side)
        switches = {name: z3.Bool(f"with {name}") for name in rules}
        asker = Asker(subject.space.domain(), self._timeout_s, self._budget)
        asker.assume(_changed(policy, subject.terms, encode(policy, subject.parameters, facts, switches)))
        # Only where a rule does something can its absence change anything: said plainly, it saves half of the search.
        asker.assume(*(disj(bit, subject.terms.rules[name].fires) for name, bit in switches.items()))

        def ask(rule: Rule) -> z3.ModelRef | Proven | Undecided:
            bits = [z3.Not(bit) if name == rule.full_id else bit for name, bit in switches.items()]
            found = asker.under(*bits)
            if rule.expect != "reason" or not isinstance(found, z3.ModelRef):
                return found
            # That this one is needed is a finding, so the interpreter has to see it.
            seen = asker.find(bits, subject.read, lambda points: subject.sample(points[0]).differs_without(rule))
            return found if isinstance(seen, Refuted) else Undecided("no input of doubles confirms it")

        return ask

    def _parameters(self, dead: set[str]) -> None:
        """Parameters whose value makes no difference: not at the ends of their range, and not anywhere in it.

        Of one that dead rules alone read the rule is the finding: it is not asked about.
        """
        matters: set[str] = set()
        doubtful: set[str] = set()
        asked: dict[str, Side] = {}
        for subject in self._subjects:
            read = {name for step in subject.side.policy.steps for name in parameters_of(step)}
            names = sorted(name for name in read if not subject.reads.only_by(name, dead))
            self._settle("what each parameter is for", *(("param", name) for name in read.difference(names)))
            for name in names:
                asked.setdefault(name, subject.side)
            pending = [name for name in names if name not in matters]
            if self._budget.used_up:
                doubtful |= set(pending)
                continue
            matters |= matters_to(subject.samples, {name: _ends(_declared(subject, name)) for name in pending})
            pending = [name for name in pending if name not in matters]
            if not pending:
                continue
            turned, switches = _turned(subject, pending)
            facts = subject.space.facts(subject.side)
            asker = Asker(subject.space.domain(), self._timeout_s, self._budget)
            other_terms = encode(subject.side.policy, turned, facts)
            asker.assume(_changed(subject.side.policy, subject.terms, other_terms))
            said: dict[str, z3.ModelRef | Proven | Undecided] = {}
            for name in pending:
                # With none of its own switches set nothing would differ, so any of them may be.
                alone = [z3.Not(bit) for other in pending if other != name for bit in switches[other]]
                felt = conj(disj(*switches[name]), _felt(name, subject, other_terms))
                # Only what a reader of it does otherwise can change anything: said plainly, it saves search.
                asker.assume(disj(felt, conj(*(neg(bit) for bit in switches[name]))))
                if self._is_felt(subject, name, [felt, *alone]):
                    matters.add(name)
                else:
                    said[name] = asker.under(*alone)
                self._settle("what each parameter is for", ("param", name), *(("param", other) for other in matters))
            said |= self._anywhere(subject, [name for name, found in said.items() if isinstance(found, Proven)])
            for name, found in said.items():
                if isinstance(found, Undecided):
                    doubtful.add(name)
                elif not isinstance(found, Proven):
                    matters.add(name)
        for name, side in asked.items():
            if name in matters:
                continue
            if name in doubtful:
                self._undecided["param", name] = None
                continue
            self._loose.append(Loose("param_idle", name, "", side.rulebook.declarations[name].span))

    @staticmethod
    def _is_felt(subject: _Subject, name: str, felt: list[Bit]) -> bool:
        """Look at a parameter where a rule feels it, first where nothing objects: mostly it is seen to matter there."""
        for quiet in ([neg(item.matched) for item in subject.vetoes], []):
            found = subject.asker.model(*felt, *quiet)
            if isinstance(found, z3.ModelRef):
                sample = subject.note(found)
                if any(sample.differs_with(name, value) for value in _ends(_declared(subject, name))):
                    return True
        return False

    def _anywhere(self, subject: _Subject, names: list[str]) -> dict[str, z3.ModelRef | Proven | Undecided]:
        """Whether any value of each of these parameters, in its declared range, changes a decision."""
        names = [name for name in names if not isinstance(_declared(subject, name), FlagType)]
        if not names:
            return {}
        parameters = dict(subject.parameters)
        switches = {name: z3.Bool(f"{name} is any") for name in names}
        asker = Asker(subject.space.domain(), self._timeout_s, self._budget)
        for name in names:
            free, within = _free(name, _declared(subject, name))
            asker.assume(*within)
            parameters[name] = choose(switches[name], free, parameters[name])
        policy, facts = subject.side.policy, subject.space.facts(subject.side)
        asker.assume(_changed(policy, subject.terms, encode(policy, parameters, facts)))
        # One at a time: all of them free at once is a question with products of them, which can take much longer.
        return {name: asker.under(*(z3.Not(switches[other]) for other in names if other != name)) for name in names}


def _changed(policy: Policy, terms: PolicyTerms, other: PolicyTerms) -> Bit:
    """Where another version of the policy decides otherwise, or cannot decide."""
    return disj(other.lacking, *(neg(same_value(terms.names[name], other.names[name])) for name in policy.decides))


def _felt(parameter: str, subject: _Subject, other: PolicyTerms) -> Bit:
    """Where a rule that reads a parameter matches otherwise than it did, or says the parameter in an effect."""
    felt: list[Bit] = []
    for users in subject.reads.users[parameter].values():
        names = [rule.full_id for rule in users.conditions]
        felt += [differ(subject.terms.rules[name].matched, other.rules[name].matched) for name in names]
        felt += [other.rules[name].fires for name in users.effects]
        felt.append(users.start)
    return disj(*felt)


def _ends(kind: Type) -> tuple[Value, ...]:
    match kind:
        case NumberType(min=low, max=high):
            return (low, high)
        case ChoiceType(of=of):
            return of
        case FlagType():
            return (True, False)
    raise TypeError(kind)


def _declared(subject: _Subject, name: str) -> Type:
    return subject.side.rulebook.declarations[name].type


def _flags_as_bound(subject: _Subject) -> list[Bit]:
    values = subject.side.binding.values
    return [
        subject.flag_bit(name, value=bool(values[name]))
        for name, term in subject.parameters.items()
        if isinstance(term, Truth)
    ]


def _with_flags(side: Side, flags: Mapping[str, bool]) -> Side:
    return replace(side, binding=replace(side.binding, values={**side.binding.values, **flags}))


def _reaching(subject: _Subject, name: str, flags: list[Bit], side: Side) -> Point | None:
    """An input for which a rule fires, confirmed by the interpreter under a side with those flags."""

    def confirm(points: Points) -> bool:
        steps = run(side, points[0]).steps
        return any(seen.rule.full_id == name and seen.matched for step in steps for seen in step.rules)

    wanted = [subject.terms.rules[name].fires, *flags]
    answer = subject.asker.find(wanted, lambda found: (subject.space.point(found),), confirm)
    return answer.points[0] if isinstance(answer, Refuted) else None


def _undecided_by(side: Side, points: Points) -> bool:
    try:
        run(side, points[0])
    except NoValueError:
        return True
    return False


def _turned(subject: _Subject, names: list[str]) -> tuple[dict[str, Term], dict[str, list[z3.BoolRef]]]:
    """Parameters that switches turn to the ends of their range, to another choice, or to the other flag."""
    turned = dict(subject.parameters)
    switches: dict[str, list[z3.BoolRef]] = {}
    for name in names:
        kind = _declared(subject, name)
        switches[name] = []
        for value in _ends(kind):
            switch = z3.Bool(f"{name} turned to {value}")
            switches[name].append(switch)
            turned[name] = choose(switch, constant(value, kind), turned[name])
    return turned, switches


def _free(name: str, kind: Type) -> tuple[Term, list[Bit]]:
    """A parameter of any value in its declared range, and what holds of it."""
    match kind:
        case NumberType(min=low, max=high):
            number = z3.Real(f"any {name}")
            within = [compare_reals(">=", number, Fraction(low)), compare_reals("<=", number, Fraction(high))]
            return Number(number, missing=False), within
        case ChoiceType(of=of):
            bits = {value: z3.Bool(f"any {name} {value}") for value in of}
            return Options(bits, missing=False), [z3.PbEq([(bit, 1) for bit in bits.values()], 1)]
    flag = z3.Bool(f"any {name}")
    return Truth(flag, neg(flag)), []
