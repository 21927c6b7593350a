"""What has another name in B and is the same otherwise: rule sets, parameters and rules.

A rename is taken for one only where it can be nothing else: of all that A alone has, exactly one is equal, name aside,
to exactly one of all that B alone has. A rule set is equal by everything in it; a parameter by its declaration and by
every expression that reads it; a rule by its condition, what it does on unknown, and its effects.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.language import model
from engine.language.build import FACTS
from engine.language.model import AllOf, AnyOf, Condition, Expression, Leaf, ParameterRef, Rule, Step, walk
from engine.language.printer import print_condition, print_expression
from engine.language.rulebook import Rulebook


@dataclass(frozen=True, slots=True)
class Words:
    """The names of A as B has them; what is not here has the same name on both sides."""

    rulesets: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    """By `set.param`."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """By `set.rule`."""

    def ruleset(self, name: str) -> str:
        """A rule set's name."""
        return self.rulesets.get(name, name)

    def param(self, name: str) -> str:
        """A parameter, as `set.param`."""
        return self.params.get(name) or self._owned(name)

    def rule(self, name: str) -> str:
        """A rule, as `set.rule`."""
        return self.rules.get(name) or self._owned(name)

    def expression(self, expression: Expression, *, qualified: bool = False) -> str:
        """The canonical text of an expression of A."""
        return print_expression(self._said(expression), qualified=qualified)

    def condition(self, condition: Condition | None) -> str:
        """The canonical text of a `when` of A."""
        return print_condition(self._conditioned(condition) if condition is not None else None)

    def _owned(self, name: str) -> str:
        owner, _, rest = name.partition(".")
        return f"{self.ruleset(owner)}.{rest}"

    def _conditioned(self, condition: Condition) -> Condition:
        match condition:
            case Leaf(written):
                return replace(condition, written=replace(written, expression=self._said(written.expression)))
            case AllOf(items) | AnyOf(items):
                return replace(condition, items=tuple(self._conditioned(item) for item in items))

    def _said(self, expression: Expression) -> Expression:
        say = self._said
        match expression:
            case ParameterRef(ruleset=owner, name=name):
                said = self.param(f"{owner}.{name}").partition(".")
                return replace(expression, ruleset=said[0], name=said[2])
            case model.VetoedRef(ruleset=str(owner), rule=str(rule)):
                said = self.rule(f"{owner}.{rule}").partition(".")
                return replace(expression, ruleset=said[0], rule=said[2])
            case model.Negative() | model.Presence() | model.Not():
                return replace(expression, operand=say(expression.operand))
            case model.Arithmetic() | model.Compare() | model.Logical():
                return replace(expression, left=say(expression.left), right=say(expression.right))
            case model.Call(arguments=arguments):
                return replace(expression, arguments=tuple(say(each) for each in arguments))
            case model.Member(operand=operand, elements=elements):
                return replace(expression, operand=say(operand), elements=tuple(say(each) for each in elements))
            case _:
                return expression


SAME = Words()
"""B's own names."""


def steps_of(rulebook: Rulebook) -> dict[str, Step]:
    """Every rule set in use, once, in the order of their files: it says the same in each policy that runs it."""
    steps = {step.ruleset: step for policy in rulebook.policies.values() for step in policy.steps}
    return dict(sorted(steps.items()))


def find_renames(a: Rulebook, b: Rulebook) -> Words:
    """The names of A that are others in B."""
    steps_a, steps_b = steps_of(a), steps_of(b)
    sets = _only(
        {name: _whole(step) for name, step in steps_a.items() if name not in steps_b},
        {name: _whole(step) for name, step in steps_b.items() if name not in steps_a},
    )
    words = Words(sets)
    words = replace(words, params=_params(a, b, words))
    rules: dict[str, str] = {}
    for name, step in steps_a.items():
        other = steps_b.get(words.ruleset(name))
        if other is not None:
            rules |= _rules(step, other, words, a, b)
    return replace(words, rules=rules)


def effects_of(rule: Rule, words: Words) -> tuple[str, ...]:
    """The effects of a rule as text, in an order of their own."""
    return tuple(sorted(f"{item.kind} {item.name} {words.expression(item.value.expression)}" for item in rule.effects))


def _only(a: Mapping[str, Hashable], b: Mapping[str, Hashable]) -> dict[str, str]:
    """Pairs of what has the same content, where no other name on either side has it."""
    held_a, held_b = list(a.values()), list(b.values())
    by_content = {content: name for name, content in b.items()}
    return {
        name: by_content[content]
        for name, content in a.items()
        if held_a.count(content) == 1 and held_b.count(content) == 1
    }


def _whole(step: Step) -> Hashable:
    starts = {name: print_expression(text.expression) for name, text in step.start}
    rules = tuple((rule.id, *_content(rule, SAME)) for rule in step.rules)
    return step.hit, frozenset(step.sets), frozenset(starts.items()), rules


def _content(rule: Rule, words: Words) -> tuple[Hashable, ...]:
    return words.condition(rule.condition), rule.on_unknown, effects_of(rule, words)


def _rules(step_a: Step, step_b: Step, words: Words, a: Rulebook, b: Rulebook) -> dict[str, str]:
    """Rules of a set that both sides have; what one side disables has not become another."""
    ids_a, ids_b = {rule.id for rule in step_a.rules}, {rule.id for rule in step_b.rules}
    return _only(
        {
            rule.full_id: _content(rule, words)
            for rule in step_a.rules
            if rule.id not in ids_b and f"{step_b.ruleset}.{rule.id}" not in b.disabled
        },
        {
            rule.full_id: _content(rule, SAME)
            for rule in step_b.rules
            if rule.id not in ids_a and f"{step_a.ruleset}.{rule.id}" not in a.disabled
        },
    )


def _params(a: Rulebook, b: Rulebook, words: Words) -> dict[str, str]:
    only_a = [name for name in a.declarations if words.param(name) not in b.declarations]
    known = {words.param(name) for name in a.declarations}
    only_b = [name for name in b.declarations if name not in known]
    if not only_a or not only_b:
        return {}
    return _only(_used(a, only_a, words), _used(b, only_b, SAME))


def _used(rulebook: Rulebook, names: list[str], words: Words) -> dict[str, Hashable]:
    """How each of these parameters is declared and used: every use, with a mark in its place."""
    reads = list(_reads(rulebook, words))
    found: dict[str, Hashable] = {}
    for name in names:
        marked = replace(words, params=dict.fromkeys(names, ".other") | {name: ".this"})
        uses = sorted(
            f"{place}: {marked.expression(expression, qualified=True)}"
            for place, expression in reads
            if any(isinstance(part, ParameterRef) and _full(part) == name for part in walk(expression))
        )
        uses += _ages(rulebook, name)
        if uses:  # what nothing reads could have become anything
            owner = words.ruleset(name.partition(".")[0])
            found[name] = (owner, rulebook.declarations[name].type, tuple(uses))
    return found


def _full(part: ParameterRef) -> str:
    return f"{part.ruleset}.{part.name}"


def _reads(rulebook: Rulebook, words: Words) -> Iterator[tuple[str, Expression]]:
    """Every expression that may read a parameter, with what it is for; rules go unnamed, since they may be renamed."""
    for step in steps_of(rulebook).values():
        owner = words.ruleset(step.ruleset)
        for name, text in step.start:
            yield f"{owner} start {name}", text.expression
        for rule in step.rules:
            for leaf in rule.leaves():
                yield f"{owner} when", leaf.written.expression
            for effect in rule.effects:
                yield f"{owner} {effect.kind} {effect.name}", effect.value.expression
    for window in rulebook.windows.values():
        if window.filter is not None:
            yield f"filter {window.fact.name}", window.filter.expression
        if window.length is not None:
            yield f"length {window.fact.name}", window.length


def _ages(rulebook: Rulebook, name: str) -> list[str]:
    """What a parameter of the vocabulary limits the age of."""
    owner, _, param = name.partition(".")
    if owner != FACTS:
        return []
    ages = [f"age {group.name}" for group in rulebook.groups.values() if group.max_age == param]
    return [*sorted(ages), *(["ahead"] if rulebook.max_ahead == param else [])]
