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

import keyword
from collections.abc import Callable, Iterable
from typing import assert_never

from engine.backends.facts import limit
from engine.language import model
from engine.language.flow import NOTHING, Flow, Known
from engine.language.model import AllOf, AnyOf, Binding, Condition, Effect, Expression, FactRef, Leaf, Policy, Rule, Step
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, NumberType, TextType

_LONG_SET = 60
"""A `first` set longer than this becomes a loop that is left at the first match: Python nests every `elif`."""

_RESERVED = frozenset(("now", "nan", "finite", "at", "abs", "True", "False", "None"))
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


def function_name(policy: Policy) -> str:
    """The name of the generated function."""
    return f"decide_{policy.name}"


def generate_policy(rulebook: Rulebook, policy: Policy, binding: Binding) -> str:
    """The source of the function that decides a policy under a binding."""
    return _Generator(rulebook, policy, binding).source()


class Names:
    """Python names for the policy's names: the same, with `_` added to what Python or this module needs itself."""

    def __init__(self, names: Iterable[str], reserved: Iterable[str] = ()) -> None:
        self._names: dict[str, str] = {}
        taken = set(_RESERVED) | set(reserved)
        for name in names:
            python = name
            while python in taken or keyword.iskeyword(python) or python.startswith("__"):
                python = f"{python}_" if not python.startswith("__") else f"n{python}"
            taken.add(python)
            self._names[name] = python

    def __getitem__(self, name: str) -> str:
        return self._names[name]


class _Generator:
    def __init__(self, rulebook: Rulebook, policy: Policy, binding: Binding) -> None:
        self._rulebook = rulebook
        self._policy = policy
        self._binding = binding
        self._flow = Flow(binding.values)
        groups = [f"g_{_identifier(group.name)}" for group in policy.groups]
        traces = [f"fired_{step.ruleset}" for step in policy.steps]
        facts = [fact.name for group in policy.groups for fact in group.facts]
        self.names = Names([*facts, *policy.types()], reserved=[*groups, *traces])
        self._lines: list[str] = []
        self._temporaries = 0

    def source(self) -> str:
        policy = self._policy
        arguments = ", ".join(["now", *(f"g_{_identifier(group.name)}" for group in policy.groups)])
        where = f"symbols of {' + '.join(self._binding.groups)}" if self._binding.groups else "every other symbol"
        self._emit(0, f"def {function_name(policy)}({arguments}):")
        self._emit(1, f'"""Policy {policy.name}, rulebook {self._rulebook.version}, {where}."""')
        used = self._used()
        for group in policy.groups:
            self._unpack(group, used)
        for step in policy.steps:
            self._step(step)
        results = [self.names[name] for name in policy.types()] + [f"fired_{step.ruleset}" for step in policy.steps]
        self._emit(1, f"return ({', '.join(results)},)")
        return "\n".join(self._lines) + "\n"

    def _emit(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    def _used(self) -> frozenset[tuple[str, str]]:
        """The facts any rule reads, as (group, name)."""
        written = [text for step in self._policy.steps for _, text in step.start]
        for step in self._policy.steps:
            for rule in step.rules:
                written += [leaf.written for leaf in rule.leaves()] + [effect.value for effect in rule.effects]
        return frozenset(
            (part.group, part.name)
            for text in written
            for part in model.walk(text.expression)
            if isinstance(part, FactRef)
        )

    def _unpack(self, group: model.Group, used: frozenset[tuple[str, str]]) -> None:
        read = [self.names[fact.name] for fact in group.facts if (group.name, fact.name) in used]
        if not read:
            return
        held = [self.names[fact.name] if (group.name, fact.name) in used else "_" for fact in group.facts]
        self._emit(1, f"at, {', '.join(held)}, _ = g_{_identifier(group.name)}")
        tests = []
        age = limit(self._binding, group.max_age)
        ahead = limit(self._binding, self._rulebook.max_ahead)
        if age is not None:
            tests.append(f"now - at > {age!r}")
        if ahead is not None:
            tests.append(f"at - now > {ahead!r}")
        if tests:
            self._emit(1, f"if {' or '.join(tests)}:")
            self._emit(2, " = ".join([*read, "nan"]))

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
        known: Known = NOTHING
        depth = 2 if looped else 1
        for number, rule in enumerate(step.rules):
            if rule.condition is None:
                inner = depth if looped or number == 0 else depth + 1
                if inner > depth:
                    self._emit(depth, f"else:  # {rule.id}")
            else:
                word = "if" if looped or number == 0 else "elif"
                self._emit(depth, f"{word} {self._matches(rule, known)}:  # {rule.id}")
                inner = depth + 1
            for effect in rule.effects:
                self._emit(inner, f"{self.names[effect.name]} = {self._value(effect.value.expression, self._gained(rule, known))}")
            self._emit(inner, f"fired_{step.ruleset} = {number}")
            if looped:
                self._emit(inner, "break")
            if rule.condition is not None:
                unmatched = self._flow.refuted if rule.on_unknown == "match" else self._flow.not_matched
                known |= unmatched(rule.condition, known)

    def _gained(self, rule: Rule, known: Known) -> Known:
        """What is known where a rule matched."""
        if rule.condition is None or (rule.on_unknown == "match" and self._flow.may_be_unknown(rule.condition, known)):
            return known
        return known | self._flow.matched(rule.condition, known)

    def _each(self, step: Step) -> None:
        for name, start in step.start:
            self._emit(1, f"{self.names[name]} = {self._value(start.expression, NOTHING)}")
        self._masked(step, self._effects)
        for name, kind in step.sets:
            if isinstance(kind, NumberType):
                self._emit(1, f"if {self.names[name]} < {kind.min!r}: {self.names[name]} = {kind.min!r}")
                self._emit(1, f"elif {self.names[name]} > {kind.max!r}: {self.names[name]} = {kind.max!r}")

    def _masked(self, step: Step, then: Callable[[Rule, int], None] | None) -> None:
        self._emit(1, f"fired_{step.ruleset} = 0")
        for number, rule in enumerate(step.rules):
            depth = 1
            if rule.condition is not None:
                self._emit(1, f"if {self._matches(rule, NOTHING)}:  # {rule.id}")
                depth = 2
            self._emit(depth, f"fired_{step.ruleset} |= {1 << number}")
            if then:
                then(rule, depth)

    def _effects(self, rule: Rule, depth: int) -> None:
        for effect in rule.effects:
            self._emit(depth, self._effect(effect, self._value(effect.value.expression, self._gained(rule, NOTHING))))

    def _effect(self, effect: Effect, value: str) -> str:
        name = self.names[effect.name]
        match effect.kind:
            case "set":
                return f"{name} = {value}"
            case "add":
                return f"{name} += {value}"
            case "at_least":
                return f"if {name} < (at := {value}): {name} = at"
            case "at_most":
                return f"if {name} > (at := {value}): {name} = at"
        assert_never(effect.kind)

    def _veto(self, step: Step) -> None:
        self._masked(step, None)
        for name, _ in step.sets:
            self._emit(1, f"{self.names[name]} = not fired_{step.ruleset}")

    # Conditions ------------------------------------------------------------------------------------------------

    def _matches(self, rule: Rule, known: Known) -> str:
        assert rule.condition is not None
        if rule.on_unknown == "match" and self._flow.may_be_unknown(rule.condition, known):
            refuted = self._condition(rule.condition, known, wanted=False)
            return f"not ({refuted})"
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
                    parts.append(part if _atomic(item) else f"({part})")
                    known |= self._later(item, known, isinstance(condition, AllOf), joined)
                return (" and " if joined else " or ").join(parts)
        assert_never(condition)

    def _later(self, item: Condition, known: Known, is_all: bool, joined: bool) -> Known:  # noqa: FBT001 - two local facts
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
        return text if isinstance(e, (model.Constant, model.FactRef, model.DecisionRef)) and wanted else f"({text})"

    def _logical(self, e: model.Logical, known: Known, *, wanted: bool) -> str:
        first_wanted = wanted != (e.operator == "implies")
        first = self._parenthesised(e.left, known, wanted=first_wanted)
        joined = (e.operator == "and") == wanted
        if joined or not self._flow.may_be_missing(e.left, known):
            gains = self._flow.if_false if e.operator == "or" else self._flow.if_true
            known |= gains(e.left, known)
        second = self._parenthesised(e.right, known, wanted=wanted)
        return f"{first} {'and' if joined else 'or'} {second}"

    def _presence(self, operand: Expression, known: Known, *, present: bool) -> str:
        if not self._flow.may_be_missing(operand, known):
            return str(present)
        value = self._value(operand, known)
        if value.isidentifier():
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
        doubtful = [
            text
            for text, side in ((left, e.left), (right, e.right))
            if self._flow.may_be_missing(side, known)
        ]
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
            values = _tuple([str(value) for value in fixed])
            operand = self._operand(e.operand, known)
            if found:
                return f"{operand} in {values}"
            if not self._flow.may_be_missing(e.operand, known):
                return f"{operand} not in {values}"
            return f"({operand} not in {values} and {operand} == {operand})"
        tests = [
            self._compare(model.Compare(e.start, e.end, "==", e.operand, element), known, wanted=found)
            for element in e.elements
        ]
        return f"({(' or ' if found else ' and ').join(tests)})"

    # Values ----------------------------------------------------------------------------------------------------

    def _operand(self, e: Expression, known: Known) -> str:
        text = self._value(e, known)
        return text if _plain(text) or text.startswith("(") and text.endswith(")") else f"({text})"

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
            if right.isidentifier():
                return f"(finite({left} / {right}) if {right} else nan)"
            name = self._temporary()
            # Python evaluates the condition first, so the name is set where it is read.
            return f"(finite({left} / {name}) if ({name} := {right}) else nan)"
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
            # a missing first is chosen by falling through (unless it hides a comparison), a missing second is asked for.
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


def _ordered(first: int, operator: str, second: int) -> bool:
    return {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[operator]


def _tuple(values: list[str]) -> str:
    return f"({', '.join(repr(value) for value in values)}{',' if len(values) == 1 else ''})"


def _plain(text: str) -> bool:
    """True for a name or a literal: cheap to repeat, and needing no parentheses."""
    return text.isidentifier() or text.replace(".", "", 1).replace("e", "", 1).replace("+", "", 1).isalnum() or (
        text.startswith("'") and text.endswith("'") and text.count("'") == len("''")
    )


def _atomic(condition: Condition) -> bool:
    """True where a leaf's generated text can stand between `and`s as it is."""
    return isinstance(condition, Leaf) and not isinstance(condition.written.expression, (model.Logical, model.Not))


def _identifier(name: str) -> str:
    return name.replace(".", "_")

