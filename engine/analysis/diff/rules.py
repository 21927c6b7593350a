"""Rule sets and rules side by side, and the rules that one side disables."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from engine.analysis.diff.changes import Change, Part, Spot
from engine.analysis.diff.conditions import compare_conditions, describe_condition
from engine.analysis.diff.parts import (
    ORDER,
    change,
    compare_lists,
    compare_named,
    compare_types,
    merged,
    one_spaced,
    part,
    written,
)
from engine.analysis.diff.renames import SAME, Words, steps_of
from engine.language.findings import Span
from engine.language.model import Rule, Step
from engine.language.printer import print_expression
from engine.language.rulebook import Rulebook
from engine.language.types import Type
from engine.printing import counted


class RuleComparison:
    """The rule sets of two rulebooks; `words` are A's names in B."""

    def __init__(self, a: Rulebook, b: Rulebook, words: Words) -> None:
        self._a, self._b = a, b
        self._words = words
        steps_a, steps_b = {words.ruleset(name): step for name, step in steps_of(a).items()}, steps_of(b)
        self._steps = [(steps_a.get(name), steps_b.get(name)) for name in merged(list(steps_a), list(steps_b))]

    def rulesets(self) -> Iterator[Change]:
        """Rule sets that one side alone runs, that have another name, or that are declared otherwise."""
        for a, b in self._steps:
            names = (a.ruleset if a else None, b.ruleset if b else None)
            parts = self._declared(a, b) if a and b else []
            found = change("rule set", names, (_set_spot(a), _set_spot(b)), parts)
            if found is not None:
                yield found

    def rules(self) -> Iterator[Change]:
        """The rules of sets that both sides run. What a side disables is no rule that it lacks."""
        for a, b in self._steps:
            if a is not None and b is not None:
                yield from self._rules(a, b)

    def disabled(self) -> Iterator[Change]:
        """Rules that one side disables and the other does not."""
        off_a = {self._words.rule(name): name for name in self._a.disabled}
        off_b = self._b.disabled
        runs_a = {self._words.rule(rule.full_id): rule for step in steps_of(self._a).values() for rule in step.rules}
        runs_b = {rule.full_id: rule for step in steps_of(self._b).values() for rule in step.rules}
        for name in merged(list(off_a), list(off_b)):
            if name in off_a and name in off_b:
                continue
            origin = off_b[name] if name in off_b else self._a.disabled[off_a[name]]
            off = Spot("disabled", origin.span, origin.why)
            rule = (runs_a if name in off_b else runs_b).get(name)
            runs = Spot(_rule_text(rule), rule.span) if rule is not None else None
            # One that the other side does not have, or does not run, decides nothing there either.
            decides = rule is not None
            if name in off_b:
                name_a = rule.full_id if rule is not None else None
                yield Change("disabled rule", "disabled", name_a, name, runs, off, decides=decides)
            else:
                name_b = name if rule is not None else None
                yield Change("disabled rule", "enabled", off_a[name], name_b, off, runs, decides=decides)

    def whys(self) -> Iterator[Change]:
        """Rules and disabled rules whose `why` alone differs."""
        for a, b in self._steps:
            if a is not None and b is not None:
                rules_a = {self._words.rule(rule.full_id): rule for rule in a.rules}
                for rule in b.rules:
                    was = rules_a.get(rule.full_id)
                    if was is not None and was.why != rule.why and not self._parts(was, rule):
                        spots = (Spot(was.why, was.span), Spot(rule.why, rule.span))
                        yield Change("why", "changed", was.full_id, rule.full_id, *spots, decides=False)
        off_a = {self._words.rule(name): (name, origin) for name, origin in self._a.disabled.items()}
        for name, origin in self._b.disabled.items():
            if name in off_a and off_a[name][1].why != origin.why:
                name_a, was_off = off_a[name]
                spots = (Spot(was_off.why, was_off.span), Spot(origin.why, origin.span))
                yield Change("why", "changed", f"{name_a} (disabled)", f"{name} (disabled)", *spots, decides=False)

    def _declared(self, a: Step, b: Step) -> list[Part]:
        """What a rule set says beside its rules."""
        parts = [part("hit", Spot(a.hit, a.span), Spot(b.hit, b.span))] if a.hit != b.hit else []
        parts += compare_types("sets", _sets(a), _sets(b))
        start_a = {name: (self._words.expression(text.expression), written(text)) for name, text in a.start}
        start_b = {name: (print_expression(text.expression), written(text)) for name, text in b.start}
        parts += compare_named("start", start_a, start_b)
        file_a, file_b = f"rules/{a.ruleset}.yaml", f"rules/{b.ruleset}.yaml"
        if self._a.sources[file_a].text != self._b.sources[file_b].text:
            required = [_required(self._a, a, self._words), _required(self._b, b, SAME)]
            parts += compare_named("requires", *required, named=False, decides=False)
        return parts

    def _rules(self, a: Step, b: Step) -> Iterator[Change]:
        words = self._words
        rules_a = {words.rule(rule.full_id): rule for rule in a.rules}
        rules_b = {rule.full_id: rule for rule in b.rules}
        off = {*(words.rule(name) for name in self._a.disabled), *self._b.disabled}
        listed_a = [(name, Spot(rule.id, rule.span)) for name, rule in rules_a.items()]
        listed_b = [(name, Spot(rule.id, rule.span)) for name, rule in rules_b.items()]
        order = {
            each.b.span: each for each in compare_lists(ORDER, listed_a, listed_b) if each.kind == "moved" and each.b
        }
        for name in merged(list(rules_a), list(rules_b)):
            one, other = rules_a.get(name), rules_b.get(name)
            if (one is None or other is None) and name in off:
                continue
            parts: list[Part] = []
            if one is not None and other is not None:
                parts = self._parts(one, other)
                parts += [order[other.span]] if other.span in order else []
            names = (one.full_id if one else None, other.full_id if other else None)
            if one is not None and other is not None and one.id == other.id:
                names = (other.full_id, other.full_id)  # that its set has another name is said of the set
            found = change("rule", names, (_rule_spot(one), _rule_spot(other)), parts)
            if found is not None:
                yield found

    def _parts(self, a: Rule, b: Rule) -> list[Part]:
        """What differs within a rule, but for its place in the set."""
        parts = compare_conditions(a, b, self._words)
        if a.on_unknown != b.on_unknown:
            parts.append(part("unknown", *(Spot(rule.on_unknown or "not stated", rule.span) for rule in (a, b))))
        parts += compare_named("", _effects(a, self._words), _effects(b, SAME))
        if a.expect != b.expect:
            spots = [Spot(rule.expect, rule.span, rule.why) if rule.expect else None for rule in (a, b)]
            parts.append(part("expect", *spots, decides=False))
        return parts


def _sets(step: Step) -> dict[str, tuple[Type, Span]]:
    return {name: (kind, step.span) for name, kind in step.sets}


def _required(rulebook: Rulebook, step: Step, words: Words) -> Mapping[str, tuple[Hashable, Spot]]:
    """What a set requires of its parameters, by what it says."""
    found = {}
    for text in rulebook.requires[step.ruleset]:
        said = words.expression(text.expression)
        found[said] = (said, Spot(one_spaced(text.text), text.span))
    return found


def _effects(rule: Rule, words: Words) -> dict[str, tuple[Hashable, Spot]]:
    return {
        f"{item.kind} {item.name}": (words.expression(item.value.expression), written(item.value))
        for item in rule.effects
    }


def _set_spot(step: Step | None) -> Spot | None:
    if step is None:
        return None
    sets = ", ".join(name for name, _ in step.sets)
    return Spot(f"{step.hit}, {counted(len(step.rules), 'rule')}, sets {sets}", step.span)


def _rule_spot(rule: Rule | None) -> Spot | None:
    return Spot(_rule_text(rule), rule.span, rule.why) if rule is not None else None


def _rule_text(rule: Rule) -> str:
    """A rule on one line."""
    when = f"when {describe_condition(rule.condition)}" if rule.condition is not None else "always"
    unknown = f"unknown: {rule.on_unknown}" if rule.on_unknown is not None else ""
    effects = (f"{item.kind} {item.name}: {one_spaced(item.value.text)}" for item in rule.effects)
    return "; ".join(text for text in (when, unknown, *effects) if text)
