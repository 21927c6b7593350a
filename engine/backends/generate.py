"""Generates Python for a policy under one binding: parameters folded in, one pass, no names looked up.

How values are held: numbers are floats and flags bools, choices and texts are strings, and whatever is missing is NaN.
NaN compares false with everything, so the plain comparison *is* "surely true", and the opposite comparison is "surely
false"; only `!=`, `min` and `max` need a second test. A rule that skips when unknown fires when its condition is surely
true; one that matches fires when it is not surely false. What the flow analysis shows to be known is not tested again.

The function takes `now` and one tuple a group (observed_at, the facts in declared order, and the causes of what is
missing, which it ignores) and returns every decision in step order, then one integer a step: the number of the rule
that fired in a `first` set, else a bit mask of those that did.
"""

from __future__ import annotations

import builtins
import functools
import keyword
import re
import sys
from collections.abc import Callable, Iterable
from typing import assert_never

from engine.backends.facts import DECISIONS, limit
from engine.backends.intake import broken_test, sound_test
from engine.language import model
from engine.language.flow import NOTHING, Flow, Interval, Known
from engine.language.model import (
    AllOf,
    AnyOf,
    Binding,
    Condition,
    Effect,
    Expression,
    Leaf,
    Policy,
    Rule,
    Step,
)
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType, TextType

_LONG_SET = 60
"""A `first` set longer than this becomes a loop that is left at the first match: Python nests every `elif`."""

_FEW = 3
"""Up to as many values are compared one by one."""

_MOST_REMEMBERED = 10_000
"""Combinations of vetoes that are remembered: a set of n rules has 2 to the n of them."""

_RESERVED = frozenset(
    # what generated policies use, then what generated records use
    "now nan finite at abs True False None "  # noqa: SIM905 - fifty names in quotes read worse
    "symbol intent_id refs ids results lost gone cause each fired vetoes why parts gaps saw shown looked behind "
    "seen_by_veto headline reason "
    "ident "
    "facts raw verdict written take moment convert never quote encode sha256 gap gappy show stale invalid "
    "name repr len f".split()
)
"""Names that generated functions use themselves."""
WORD = re.compile(r"\w+")
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


def function_name(policy: Policy) -> str:
    """The name of the generated function."""
    return f"decide_{policy.name}"


def direct_name(policy: Policy) -> str:
    """The name of the function that takes facts objects."""
    return f"decide_{policy.name}_facts"


def generate_direct(rulebook: Rulebook, policy: Policy, binding: Binding) -> str:
    """The source of the function that takes a facts object in and decides, in one."""
    return _Generator(rulebook, policy, binding).direct_source()


def generate_observed(rulebook: Rulebook, policy: Policy, binding: Binding) -> str:
    """The source of the function that decides on observations and gives a verdict."""
    return _Generator(rulebook, policy, binding).observed_source()


def generate_policy(rulebook: Rulebook, policy: Policy, binding: Binding) -> str:
    """The source of the function that decides a policy under a binding."""
    return _Generator(rulebook, policy, binding).source()


class Names:
    """Python names for the policy's names: the same, with `_` added to what Python or this module needs itself."""

    def __init__(self, names: Iterable[str], reserved: Iterable[str] = ()) -> None:
        self._names: dict[str, str] = {}
        taken = {*_RESERVED, *dir(builtins), *reserved}
        for name in names:
            python = name
            # Temporaries begin with `_`, so nothing else does.
            while python in taken or keyword.iskeyword(python) or python.startswith("_"):
                python = f"n{python}" if python.startswith("_") else f"{python}_"
            taken.add(python)
            self._names[name] = python

    def __getitem__(self, name: str) -> str:
        return self._names[name]


class Expressions:
    """Generates Python for conditions and values, given what is known where they stand."""

    def __init__(self, rulebook: Rulebook, policy: Policy, binding: Binding) -> None:
        self._rulebook = rulebook
        self._policy = policy
        self._binding = binding
        self._flow = Flow(binding.values)
        groups = [group_argument(group) for group in policy.groups]
        traces = [f"fired_{step.ruleset}" for step in policy.steps]
        facts = [fact.name for group in policy.groups for fact in group.facts]
        self.names = Names([*facts, *policy.types()], reserved=[*groups, *traces])
        self._lines: list[str] = []
        self._temporaries = 0
        self._traced = True
        """Whether what fired is handed back beside what was decided."""

    def _emit(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    def _untimely(self, group: model.Group) -> list[str]:
        """The tests under which a group's facts count as missing."""
        tests = []
        age = limit(self._binding, group.max_age)
        ahead = limit(self._binding, self._rulebook.max_ahead)
        if age is not None:
            tests.append(f"now - at > {age!r}")
        if ahead is not None:
            tests.append(f"at - now > {ahead!r}")
        return tests

    # Conditions ------------------------------------------------------------------------------------------------

    def _matches(self, rule: Rule, known: Known) -> str:
        assert rule.condition is not None
        if rule.on_unknown == "match" and self._flow.may_be_unknown(rule.condition, known):
            refuted = self._condition(rule.condition, known, wanted=False)
            return {"True": "False", "False": "True"}.get(refuted, f"not ({refuted})")
        return self._condition(rule.condition, known, wanted=True)

    def _condition(self, condition: Condition, known: Known, *, wanted: bool) -> str:
        """Surely true (or surely false) of a `when`."""
        match condition:
            case Leaf(written):
                return self._surely(written.expression, known, wanted=wanted)
            case AllOf(items) | AnyOf(items):
                joined = isinstance(condition, AllOf) == wanted
                parts = []
                for item in items:
                    part = self._condition(item, known, wanted=wanted)
                    parts.append(part if _atomic(item) or part in _FIXED else f"({part})")
                    known |= self._later(item, known, isinstance(condition, AllOf), joined)
                return _join("and" if joined else "or", parts)
        assert_never(condition)

    def _later(self, item: Condition, known: Known, is_all: bool, joined: bool) -> Known:
        """What the items after this one may take as known in the generated expression."""
        if joined:  # Python goes on only where this one is surely as wanted
            return self._flow.matched(item, known) if is_all else self._flow.refuted(item, known)
        if self._flow.may_be_unknown(item, known):
            return NOTHING
        return self._flow.matched(item, known) if is_all else self._flow.refuted(item, known)

    def _surely(self, e: Expression, known: Known, *, wanted: bool) -> str:
        """A Python condition that holds where the expression is surely true (`wanted`) or surely false."""
        match e:
            case model.Constant(value=value):
                return str(bool(value) == wanted)
            case model.ParameterRef(ruleset=owner, name=name):
                return str(bool(self._binding.values[f"{owner}.{name}"]) == wanted)
            case model.DecisionRef(name=name):
                return self.names[name] if wanted else f"not {self.names[name]}"
            case model.FactRef(name=name):
                if e in known:
                    return self.names[name] if wanted else f"not {self.names[name]}"
                return f"{self.names[name]} is {wanted}"
            case model.Not(operand=operand):
                return self._parenthesised(operand, known, wanted=not wanted)
            case model.Logical():
                return self._logical(e, known, wanted=wanted)
            case model.Presence(operand=operand, known=asked):
                return self._presence(operand, known, present=asked == wanted)
            case model.Compare():
                return self._compare(e, known, wanted=wanted)
            case model.Member(negated=negated):
                return self._member(e, known, found=wanted != negated)
        raise AssertionError(e)

    def _parenthesised(self, e: Expression, known: Known, *, wanted: bool) -> str:
        text = self._surely(e, known, wanted=wanted)
        if text in _FIXED:
            return text
        return text if isinstance(e, (model.Constant, model.FactRef, model.DecisionRef)) and wanted else f"({text})"

    def _logical(self, e: model.Logical, known: Known, *, wanted: bool) -> str:
        first_wanted = wanted != (e.operator == "implies")
        first = self._parenthesised(e.left, known, wanted=first_wanted)
        joined = (e.operator == "and") == wanted
        if joined or not self._flow.may_be_missing(e.left, known):
            gains = self._flow.if_false if e.operator == "or" else self._flow.if_true
            known |= gains(e.left, known)
        second = self._parenthesised(e.right, known, wanted=wanted)
        return _join("and" if joined else "or", [first, second])

    def _presence(self, operand: Expression, known: Known, *, present: bool) -> str:
        if not self._flow.may_be_missing(operand, known):
            return str(present)
        value = self._value(operand, known)
        if value.isidentifier():
            if isinstance(operand.type, FlagType):  # two looks at what it is take less time than comparing
                return (
                    f"({value} is True or {value} is False)"
                    if present
                    else f"({value} is not True and {value} is not False)"
                )
            return f"{value} == {value}" if present else f"{value} != {value}"
        name = self._temporary()
        return f"({name} := {value}) {'==' if present else '!='} {name}"

    def _compare(self, e: model.Compare, known: Known, *, wanted: bool) -> str:
        operator = e.operator if wanted else _OPPOSITE[e.operator]
        kind = e.left.type
        if isinstance(kind, ChoiceType) and operator not in ("==", "!="):
            return self._compare_order(e, kind, operator, known)
        left, right = self._operand(e.left, known), self._operand(e.right, known)
        if operator != "!=":
            return f"{left} {operator} {right}"
        doubtful = [text for text, side in ((left, e.left), (right, e.right)) if self._flow.may_be_missing(side, known)]
        if not doubtful:
            return f"{left} != {right}"
        if isinstance(kind, NumberType) and left.isidentifier():
            bound = self._temporary() if not _plain(right) else ""
            if bound:
                return f"({left} < ({bound} := {right}) or {left} > {bound})"
            return f"({left} < {right} or {left} > {right})"
        first, second = self._temporary(), self._temporary()
        return f"(({first} := {left}) != ({second} := {right}) and {first} == {first} and {second} == {second})"

    def _compare_order(self, e: model.Compare, kind: ChoiceType, operator: str, known: Known) -> str:
        for side, other, mirrored in ((e.left, e.right, False), (e.right, e.left, True)):
            fixed = self._fixed(other)
            if fixed is None:
                continue
            place = kind.of.index(fixed)
            word = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[operator] if mirrored else operator
            kept = [value for number, value in enumerate(kind.of) if _ordered(number, word, place)]
            return f"{self._operand(side, known)} in {_tuple(kept)}"
        ranks = "{" + ", ".join(f"{value!r}: {number}.0" for number, value in enumerate(kind.of)) + "}"
        left, right = (f"{ranks}.get({self._operand(side, known)}, nan)" for side in (e.left, e.right))
        return f"{left} {operator} {right}"

    def _fixed(self, e: Expression) -> str | None:
        """The value of a choice that is fixed at load: a literal or a parameter."""
        if isinstance(e, model.Constant):
            return str(e.value)
        if isinstance(e, model.ParameterRef):
            return str(self._binding.values[f"{e.ruleset}.{e.name}"])
        return None

    def _member(self, e: model.Member, known: Known, *, found: bool) -> str:
        fixed = [self._fixed(element) for element in e.elements]
        if isinstance(e.operand.type, (ChoiceType, TextType)) and all(value is not None for value in fixed):
            operand = self._operand(e.operand, known)
            within = _within(operand, [str(value) for value in fixed], found=found)
            if found or not self._flow.may_be_missing(e.operand, known):
                return within
            return f"({within} and {operand} == {operand})"
        # The operand is generated once: repeated for each element, nested lists would grow without bound.
        name, operand = self._once(self._operand(e.operand, known))
        tests = []
        for element in e.elements:
            value = self._operand(element, known)
            if found:
                tests.append(f"{operand} == {value}")
            elif self._flow.may_be_missing(e.operand, known) or self._flow.may_be_missing(element, known):
                bound, value = self._once(value)
                tests.append(f"({operand} != {value} and {name} == {name} and {bound} == {bound})")
            else:
                tests.append(f"{operand} != {value}")
            operand = name
        return f"({(' or ' if found else ' and ').join(tests)})"

    # Values ----------------------------------------------------------------------------------------------------

    def _operand(self, e: Expression, known: Known) -> str:
        text = self._value(e, known)
        return text if _plain(text) or (text.startswith("(") and text.endswith(")")) else f"({text})"

    def _value(self, e: Expression, known: Known) -> str:
        """A Python expression for the value, NaN where it is missing."""
        match e:
            case model.Constant(value=value):
                return repr(value)
            case model.ParameterRef(ruleset=owner, name=name):
                return repr(self._binding.values[f"{owner}.{name}"])
            case model.FactRef(name=name) | model.DecisionRef(name=name):
                return self.names[name]
            case model.Negative(operand=operand):
                return f"(-{self._operand(operand, known)})"
            case model.Arithmetic():
                return self._arithmetic(e, known)
            case model.Call(function="abs", arguments=(argument,)):
                return f"abs({self._value(argument, known)})"
            case model.Call():
                return self._choose(e, known)
        if not self._flow.may_be_missing(e, known):
            return f"({self._surely(e, known, wanted=True)})"
        return self._condition_value(e, known)

    def _condition_value(self, e: Expression, known: Known) -> str:
        """The value of a condition that may be unknown. Each part is generated once, however deep they nest."""
        match e:
            case model.Not(operand=operand):
                name = self._temporary()
                return f"(nan if ({name} := {self._operand(operand, known)}) != {name} else not {name})"
            case model.Logical(operator=operator):
                left = self._operand(e.left, known)
                if not self._flow.may_be_missing(e.left, known):
                    known |= (self._flow.if_false if operator == "or" else self._flow.if_true)(e.left, known)
                right = self._operand(e.right, known)
                first, second = self._temporary(), self._temporary()
                deciding = {"and": (False, False), "or": (True, True), "implies": (False, True)}[operator]
                asked = f"({first} := {left}) is {deciding[0]} or ({second} := {right}) is {deciding[1]}"
                missing = f"{first} != {first} or {second} != {second}"
                return f"({deciding[1]} if {asked} else nan if {missing} else {not deciding[1]})"
            case model.Compare(operator=operator) if isinstance(e.left.type, FlagType):
                left, right = self._operand(e.left, known), self._operand(e.right, known)
                first, second = self._temporary(), self._temporary()
                asked = f"({first} := {left}) != {first} or ({second} := {right}) != {second}"
                return f"(nan if {asked} else {first} {operator} {second})"
            case model.Member(negated=negated) if isinstance(e.operand.type, FlagType):
                sought, value_sought = self._temporary(), self._operand(e.operand, known)
                names = [(self._temporary(), self._operand(element, known)) for element in e.elements]
                found = " or ".join(f"({name} := {value}) == {sought}" for name, value in names)
                gaps = " or ".join(f"{name} != {name}" for name, _ in names)
                outcome = f"{not negated} if {found} else nan if {gaps} else {negated}"
                return f"(nan if ({sought} := {value_sought}) != {sought} else {outcome})"
        surely, never = self._surely(e, known, wanted=True), self._surely(e, known, wanted=False)
        return f"(True if {surely} else False if {never} else nan)"

    def _arithmetic(self, e: model.Arithmetic, known: Known) -> str:
        left, right = self._operand(e.left, known), self._operand(e.right, known)
        plain = f"({left} {e.operator} {right})"
        if self._flow.partial(e) is None:
            return plain
        if e in known and e.operator == "/":
            return plain  # tested with `is known` before
        if e.operator == "/":
            # Python evaluates the condition first, so the name is set where it is read.
            name, divisor = self._once(right)
            return f"(finite({left} / {name}) if {divisor} else nan)"
        return f"finite{plain}"

    def _choose(self, e: model.Call, known: Known) -> str:
        """`min` or `max` as a fold of pairs: the first of two equals, NaN if either is."""
        sign = "<" if e.function == "min" else ">"
        result, doubtful = self._value(e.arguments[0], known), self._flow.may_be_missing(e.arguments[0], known)
        for argument in e.arguments[1:]:
            value, other_doubtful = self._value(argument, known), self._flow.may_be_missing(argument, known)
            first, set_first = self._once(result)
            second, set_second = self._once(value)
            # Evaluated left to right: the condition sets both names before either is chosen. NaN compares false, so
            # a missing first is chosen by falling through; a missing second is asked for.
            asked = f"{set_second} {sign} {set_first}"
            if other_doubtful:
                asked += f" or {second} != {second}"
            result, doubtful = f"({second} if {asked} else {first})", doubtful or other_doubtful
        return result

    def _once(self, text: str) -> tuple[str, str]:
        """A name for a value, and the text that gives it that name where it is first evaluated."""
        if _plain(text):
            return text, text
        name = self._temporary()
        return name, f"({name} := {text})"

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"_{self._temporaries}"


class _Generator(Expressions):
    """The function that decides."""

    def source(self) -> str:
        policy = self._policy
        arguments = ", ".join(["now", *(group_argument(group) for group in policy.groups)])
        self._emit(0, f"def {function_name(policy)}({arguments}):")
        # Without the version: where a policy did not change, its source has not, and nor need its function.
        self._emit(1, f'"""Policy {policy.name}."""')
        body = self._body()
        used = self._used(body)
        for group in policy.groups:
            self._unpack(group, used)
        return "\n".join([*self._lines, *body]) + "\n"

    def observed_source(self) -> str:
        """From observations to a verdict."""
        self._traced = False
        return self.source()

    def direct_source(self) -> str:
        """From a facts object as it arrives to a verdict: taking in and deciding are one function.

        It reads only the facts that rules read. Where one of them is absent it goes the way of `intake`, which looks
        at all names: a name that nobody declares is refused wherever it could be a slip for one that is missed.
        """
        policy = self._policy
        self._traced = False
        # Classes are asked for a score of times, and a local is found faster than a builtin.
        self._emit(0, f"def {direct_name(policy)}(now, facts, float=float, dict=dict):")
        body = self._body()
        used = self._used(body)
        for number, group in enumerate(policy.groups):
            self._fetch(group, number, used)
        return "\n".join([*self._lines, *body]) + "\n"

    def _body(self) -> list[str]:
        """The lines of the steps and of what is returned."""
        policy = self._policy
        before, self._lines = self._lines, []
        for step in policy.steps:
            self._step(step)
        if self._traced:
            results = [self.names[name] for name in policy.types()] + [f"fired_{step.ruleset}" for step in policy.steps]
            self._emit(1, f"return ({', '.join(results)},)")
        else:
            masks = " | ".join(f"fired_{step.ruleset}" for step in policy.steps if step.hit == "veto")
            values = [self.names[name] for name in policy.decides]
            self._emit(1, f"return verdict({', '.join(values)}, {f'ids[{masks}]' if masks else '()'})")
        body, self._lines = self._lines, before
        return body

    def _used(self, body: list[str]) -> frozenset[tuple[str, str]]:
        """The facts that generated lines read, as (group, name): less than rules mention where parameters decide."""
        words = {word for line in body for word in WORD.findall(line)}
        return frozenset(
            (group.name, fact.name)
            for group in self._policy.groups
            for fact in group.facts
            if self.names[fact.name] in words
        )

    def _unpack(self, group: model.Group, used: frozenset[tuple[str, str]]) -> None:
        read = [self.names[fact.name] for fact in group.facts if (group.name, fact.name) in used]
        if not read:
            return
        held = [self.names[fact.name] if (group.name, fact.name) in used else "_" for fact in group.facts]
        self._emit(1, f"at, {', '.join(held)}, _ = {group_argument(group)}")
        tests = self._untimely(group)
        if tests:
            self._emit(1, f"if {' or '.join(tests)}:")
            self._emit(2, " = ".join([*read, "nan"]))

    def _fetch(self, group: model.Group, number: int, used: frozenset[tuple[str, str]]) -> None:
        read = [fact for fact in group.facts if (group.name, fact.name) in used]
        related = {name for relation in group.relations for name in (relation.left, relation.right)}
        checked = [
            fact for fact in group.facts if fact in read or (fact.name in related and _relates(group, fact, read))
        ]
        key = group.name.removeprefix(f"{DECISIONS}.")
        holder = "facts" if key == group.name else f"facts[{DECISIONS!r}]"
        aged = limit(self._binding, group.max_age)
        ahead = limit(self._binding, self._rulebook.max_ahead)
        if not checked:
            return
        self._emit(1, "try:")
        self._emit(2, f"raw = {holder}[{key!r}]")
        # A defaultdict would make up what is absent.
        self._emit(2, "if raw.__class__ is not dict: raise KeyError")
        dated = "raw['observed_at']"
        self._emit(2, f"at = {dated}" if aged is not None else f"at = {dated} if 'observed_at' in raw else now")
        for fact in checked:
            self._emit(2, f"{self.names[fact.name]} = raw[{fact.name!r}]")
        # Whatever stands where a mapping should may raise anything; `take` looks at it the long way.
        self._emit(1, "except Exception:")
        taken = ", ".join(self.names[fact.name] if fact in checked else "_" for fact in group.facts)
        self._emit(2, f"at, {taken}, _ = take({number}, facts)")
        self._emit(2, "if at == never: at = now")
        undated = "at = now if at is None else moment(at)" if aged is None else "at = moment(at)"
        self._emit(1, f"if at.__class__ is not float: {undated}")
        # Where there is no limit the largest double is one: an infinite `observed_at` is no moment.
        low = -sys.float_info.max if ahead is None else -ahead
        high = sys.float_info.max if aged is None else aged
        self._emit(1, f"if {low!r} <= now - at <= {high!r}:")
        for fact in checked:
            name = self.names[fact.name]
            self._emit(2, f"if not ({sound_test(fact, name)}):")
            self._emit(3, f"{name} = convert(_fact_{number}_{group.facts.index(fact)}, {name})")
        self._relate(group, {fact.name for fact in checked})
        self._emit(1, "else:")
        self._emit(2, " = ".join([*(self.names[fact.name] for fact in checked), "nan"]))

    def _relate(self, group: model.Group, checked: set[str]) -> None:
        """Broken relations make both facts missing; all are looked at before any fact is dropped."""
        relations = [relation for relation in group.relations if {relation.left, relation.right} <= checked]
        names = {fact.name: self.names[fact.name] for fact in group.facts}
        tests = []
        for relation in relations:
            left, right = self.names[relation.left], self.names[relation.right]
            tests.append((left, right, broken_test(group, relation, names)))
        sides = [side for left, right, _ in tests for side in (left, right)]
        if len(sides) == len(set(sides)):
            for left, right, test in tests:
                self._emit(2, f"if {test}: {left} = {right} = nan")
            return
        broken = [f"_broken{number}" for number in range(len(tests))]
        for name, (_, _, test) in zip(broken, tests, strict=True):
            self._emit(2, f"{name} = {test}")
        for name, (left, right, _) in zip(broken, tests, strict=True):
            self._emit(2, f"if {name}: {left} = {right} = nan")

    # Steps -----------------------------------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        self._emit(1, f"# {step.ruleset} ({step.hit}) {step.span.file}")
        match step.hit:
            case "first":
                self._first(step)
            case "each":
                self._each(step)
            case "veto":
                self._veto(step)

    def _first(self, step: Step) -> None:
        looped = len(step.rules) > _LONG_SET
        if looped:
            self._emit(1, "while True:")
        known = NOTHING
        depth = 2 if looped else 1
        begun = False
        for number, rule in enumerate(step.rules):
            test = "True" if rule.condition is None else self._matches(rule, known)
            if test != "False":
                inner = depth + 1
                if test != "True":
                    self._emit(depth, f"{'elif' if begun and not looped else 'if'} {test}:  # {rule.id}")
                elif begun and not looped:
                    self._emit(depth, f"else:  # {rule.id}")
                else:
                    inner = depth
                gained = self._flow.where_matched(rule, known)
                for effect in rule.effects:
                    self._emit(inner, f"{self.names[effect.name]} = {self._value(effect.value.expression, gained)}")
                if self._traced:
                    self._emit(inner, f"fired_{step.ruleset} = {number}")
                elif not rule.effects:
                    self._emit(inner, "pass")
                if looped:
                    self._emit(inner, "break")
                begun = True
            if test == "True":
                return
            known = self._flow.where_passed(rule, known)

    def _each(self, step: Step) -> None:
        for name, start in step.start:
            self._emit(1, f"{self.names[name]} = {self._value(start.expression, NOTHING)}")
        self._masked(step, self._effects)
        for name, kind in step.sets:
            if isinstance(kind, NumberType):
                low, high = self._reach(step, name)
                if low < kind.min:
                    self._emit(1, f"if {self.names[name]} < {kind.min!r}: {self.names[name]} = {kind.min!r}")
                if high > kind.max:
                    self._emit(1, f"if {self.names[name]} > {kind.max!r}: {self.names[name]} = {kind.max!r}")

    def _reach(self, step: Step, name: str) -> Interval:
        """How far the running value of a name can be once every rule had its turn."""
        reach = self._flow.interval(dict(step.start)[name].expression)
        for rule in step.rules:
            for effect in rule.effects:
                if effect.name == name:
                    reach = self._flow.after(reach, effect, certain=rule.condition is None)
        return reach

    def _masked(self, step: Step, then: Callable[[Rule, int], None] | None) -> None:
        traced = self._traced or step.hit == "veto"
        first = 0 if self._traced else self._first_bit(step)
        if traced:
            self._emit(1, f"fired_{step.ruleset} = 0")
        open_flag = ""
        for number, rule in enumerate(step.rules):
            flag, test = self._split(rule)
            if test == "False":
                continue
            depth = 1
            if flag:
                # Neighbours that ask for the same decision first share the question.
                if flag != open_flag:
                    if flag == "False":
                        continue
                    self._emit(1, f"if {flag}:")
                depth = 2
            open_flag = flag
            if test != "True":
                self._emit(depth, f"if {test}:  # {rule.id}")
                depth += 1
            if traced:
                self._emit(depth, f"fired_{step.ruleset} |= {1 << (first + number)}")
            if then:
                then(rule, depth)

    def _first_bit(self, step: Step) -> int:
        """Where a veto step's rules begin in the one mask that a verdict's vetoes are looked up by."""
        before = self._policy.steps[: self._policy.steps.index(step)]
        return sum(len(other.rules) for other in before if other.hit == "veto")

    def _split(self, rule: Rule) -> tuple[str, str]:
        """What a rule asks first, if earlier steps have decided it (`""`: nothing such), and the rest of its test."""
        if rule.condition is None:
            return "", "True"
        if isinstance(rule.condition, Leaf):
            first, *others = _conjuncts(rule.condition.written.expression)
            if others and not self._flow.may_be_missing(first, NOTHING):
                rest = functools.reduce(lambda left, right: model.Logical(0, 0, "and", left, right), others)
                known = self._flow.if_true(first, NOTHING)
                asked = self._surely(first, NOTHING, wanted=True)
                if rule.on_unknown == "match" and self._flow.may_be_missing(rest, known):
                    refuted = self._surely(rest, known, wanted=False)
                    return asked, {"True": "False", "False": "True"}.get(refuted, f"not ({refuted})")
                return asked, self._surely(rest, known, wanted=True)
        return "", self._matches(rule, NOTHING)

    def _effects(self, rule: Rule, depth: int) -> None:
        for effect in rule.effects:
            value = self._value(effect.value.expression, self._flow.where_matched(rule, NOTHING))
            self._emit(depth, self._effect(effect, value))

    def _effect(self, effect: Effect, value: str) -> str:
        name = self.names[effect.name]
        match effect.kind:
            case "set":
                return f"{name} = {value}"
            case "add":
                return f"{name} += {value}"
            case "at_least" | "at_most":
                sign = "<" if effect.kind == "at_least" else ">"
                if _plain(value):
                    return f"if {name} {sign} {value}: {name} = {value}"
                return f"if {name} {sign} (at := {value}): {name} = at"
        assert_never(effect.kind)

    def _veto(self, step: Step) -> None:
        self._masked(step, None)
        for name, _ in step.sets:
            self._emit(1, f"{self.names[name]} = not fired_{step.ruleset}")


_FIXED = ("True", "False")


def _join(word: str, parts: list[str]) -> str:
    """Conditions joined by `and` or `or`, less what a bound parameter has already decided."""
    deciding, idle = ("False", "True") if word == "and" else ("True", "False")
    if deciding in parts:
        return deciding
    return f" {word} ".join(part for part in parts if part != idle) or idle


def _conjuncts(e: Expression) -> list[Expression]:
    """The operands of a chain of `and`s, in order."""
    if isinstance(e, model.Logical) and e.operator == "and":
        return [*_conjuncts(e.left), *_conjuncts(e.right)]
    return [e]


def _relates(group: model.Group, fact: model.Fact, read: list[model.Fact]) -> bool:
    """True where a relation can make a fact that is read missing because of this one, directly."""
    names = {other.name for other in read}
    return any(
        fact.name in (relation.left, relation.right) and names & {relation.left, relation.right}
        for relation in group.relations
    )


def _ordered(first: int, operator: str, second: int) -> bool:
    return {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[operator]


def _within(operand: str, values: list[str], *, found: bool) -> str:
    """A test that texts are among some, or not: of a few, comparing takes less time than `in`."""
    if not operand.isidentifier() or len(values) > _FEW:
        return f"{operand} {'in' if found else 'not in'} {_tuple(values)}"
    operator, word = ("==", " or ") if found else ("!=", " and ")
    return f"({word.join(f'{operand} {operator} {value!r}' for value in values)})"


def _tuple(values: list[str]) -> str:
    return f"({', '.join(repr(value) for value in values)}{',' if len(values) == 1 else ''})"


def _plain(text: str) -> bool:
    """True for a name or a literal: cheap to repeat, and needing no parentheses."""
    return (
        text.isidentifier()
        or text.replace(".", "", 1).replace("e", "", 1).replace("+", "", 1).isalnum()
        or (text.startswith("'") and text.endswith("'") and text.count("'") == len("''"))
    )


def _atomic(condition: Condition) -> bool:
    """True where a leaf's generated text can stand between `and`s as it is."""
    return isinstance(condition, Leaf) and not isinstance(condition.written.expression, (model.Logical, model.Not))


def group_argument(group: model.Group) -> str:
    """The argument a group's observation is handed in by."""
    owner, _, other = group.name.partition(".")
    return f"gd_{other}" if other else f"g_{owner}"


class Fired(dict[int, tuple[str, ...]]):
    """Bit masks of a step, or of several in a row, to the ids of their rules, each mask worked out once."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        super().__init__()
        self._rules = tuple(rules)

    def __missing__(self, mask: int) -> tuple[str, ...]:
        ids = tuple(rule.full_id for number, rule in enumerate(self._rules) if mask >> number & 1)
        if len(self) < _MOST_REMEMBERED:
            self[mask] = ids
        return ids


class Also(dict[int, str]):
    """Bit masks as of `Fired` to what a reason says of the rules after the first."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        super().__init__()
        self._fired = Fired(rules)

    def __missing__(self, mask: int) -> str:
        others = self._fired[mask][1:]
        text = f"; also {', '.join(others)}" if others else ""
        if len(self) < _MOST_REMEMBERED:
            self[mask] = text
        return text
