"""Steps under bound values: nothing unknown goes unsaid, nothing missing is decided, no number leaves its range.

In: a step, a binding and where findings go. These are the checks that need parameter values (`flow` has the analyses).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.language import model
from engine.language.findings import Findings, Related, Span, one_line
from engine.language.flow import NOTHING, Flow, Interval, Known
from engine.language.model import Arithmetic, Binding, Leaf, Rule, Step, Written
from engine.language.printer import print_number
from engine.language.types import NumberType


def check_step(step: Step, binding: Binding, findings: Findings) -> None:
    """Findings of one step under one binding."""
    _StepCheck(step, binding, findings).run()


def parameters_of(step: Step) -> frozenset[str]:
    """The parameters (`set.param`) a step reads."""
    return frozenset(
        f"{part.ruleset}.{part.name}"
        for expression in model.expressions_in(step)
        for part in model.walk(expression)
        if isinstance(part, model.ParameterRef)
    )


class _StepCheck:
    def __init__(self, step: Step, binding: Binding, findings: Findings) -> None:
        self._step = step
        self._flow = Flow(binding.values)
        self._binding = binding
        self._findings = findings

    def run(self) -> None:
        for name, start in self._step.start:
            self._value(start, NOTHING, f"the start of `{name}`")
            self._in_range(name, start)
        known: Known = NOTHING
        for rule in self._step.rules:
            self._rule(rule, known)
            if self._step.hit == "first":
                known = self._flow.where_passed(rule, known)
        if self._step.hit == "each":
            self._running()

    def _rule(self, rule: Rule, known: Known) -> None:
        if rule.condition is not None:
            partial: dict[str, None] = {}

            def report(leaf: Leaf, operation: Arithmetic, why: str) -> None:
                partial[leaf.written.text[operation.start : operation.end]] = None
                report_unguarded(leaf.written, operation, why, self._findings)

            self._flow.unguarded_in(rule.condition, known, report)
            can_be_unknown = self._flow.may_be_unknown(rule.condition, known)
            if can_be_unknown and rule.on_unknown is None:
                facts = sorted(
                    {
                        part.name
                        for leaf in rule.leaves()
                        for part in model.walk(leaf.written.expression)
                        if isinstance(part, model.FactRef) and part not in known
                    }
                )
                lacking = " or ".join(f"`{fact}`" for fact in facts) + " is missing"
                if not facts:
                    lacking = " or ".join(f"`{one_line(text)}`" for text in partial) + " has no value"
                self._findings.add(
                    "unknown.unstated",
                    rule.span,
                    f"`{rule.id}` does not say what happens while {lacking}",
                    "say `unknown: skip` or `unknown: match`, on the rule or its set, or test `is known` first",
                )
        gained = self._flow.where_matched(rule, known)
        for effect in rule.effects:
            self._value(effect.value, gained, f"what `{rule.id}` gives `{effect.name}`")
            if effect.kind == "set":
                self._in_range(effect.name, effect.value)

    def _value(self, text: Written, known: Known, what: str) -> None:
        reported = len(self._findings)
        self._flow.unguarded(
            text.expression, known, lambda operation, why: report_unguarded(text, operation, why, self._findings)
        )
        if len(self._findings) == reported and self._flow.may_be_missing(text.expression, known):
            facts = [
                part.name
                for part in model.walk(text.expression)
                if isinstance(part, model.FactRef) and part not in known
            ]
            named = " or ".join(f"`{fact}`" for fact in dict.fromkeys(facts)) or "part of it"
            help_text = "test `is known` in the rule's `when`, with `unknown: skip`"
            self._findings.add("effect.missing", text.span, f"{what} may be missing, since {named} may be", help_text)

    def _in_range(self, name: str, text: Written) -> None:
        kind = self._step.type_of(name)
        if not isinstance(kind, NumberType):
            return
        low, high = self._flow.interval(text.expression)
        if kind.min <= low and high <= kind.max:
            return
        reach, declared = _show((low, high)), _show((kind.min, kind.max))
        message = f"`{name}` may reach {reach} here, outside of its declared {declared}"
        help_text = "clamp it with min(…) and max(…), or widen the declared range"
        self._findings.add("interval.range", text.span, message, help_text, *self._bound_values(text))

    def _bound_values(self, text: Written) -> tuple[Related, ...]:
        names = [
            f"{part.ruleset}.{part.name}"
            for part in model.walk(text.expression)
            if isinstance(part, model.ParameterRef)
        ]
        return tuple(
            Related(origin.span, f"`{name}` is {origin.text} here")
            for name in dict.fromkeys(names)
            if (origin := self._binding.origins.get(name))
        )

    def _running(self) -> None:
        """The running value of an `each` set stays finite, whichever rules match."""
        for name, start in self._step.start:
            kind = self._step.type_of(name)
            if not isinstance(kind, NumberType):
                continue
            low, high = self._flow.interval(start.expression)
            for rule in self._step.rules:
                for effect in rule.effects:
                    if effect.name != name:
                        continue
                    low, high = self._flow.after((low, high), effect, certain=rule.condition is None)
                    if not (math.isfinite(low) and math.isfinite(high)):
                        message = f"the running value of `{name}` can overflow here"
                        self._findings.add(
                            "interval.overflow", effect.value.span, message, "narrow the ranges it is made of"
                        )
                        return


def report_unguarded(text: Written, operation: Arithmetic, why: str, findings: Findings) -> None:
    """The finding of an operation that may have no value, and was not tested before."""
    written = text.text[operation.start : operation.end]
    help_text = f"test `({written}) is known` to its left, or in an earlier leaf of the same `all`"
    findings.add("arithmetic.partial", text.at(operation), f"`{written}` may have no value: {why}", help_text)


def _show(reach: Interval) -> str:
    return f"{print_number(reach[0])} to {print_number(reach[1])}"


@dataclass(frozen=True, slots=True)
class _Looked:
    """A step that was looked at, its parameters, and the values under which nothing was found."""

    step: Step
    names: frozenset[str]
    sound: list[dict[str, object]]


_looked: dict[tuple[str, str], _Looked] = {}
"""The last step of each policy and rule set: a reload looks only at what was built anew, or has other values."""

_MOST_LOOKED, _MOST_SOUND = 4096, 64


def _looked_at(owner: str, step: Step) -> _Looked:
    known = _looked.get((owner, step.ruleset))
    if known is None or known.step is not step:
        if len(_looked) >= _MOST_LOOKED:
            _looked.clear()
        known = _looked[owner, step.ruleset] = _Looked(step, parameters_of(step), [])
    return known


def check_steps(
    steps: Iterable[Step], bindings: Mapping[tuple[str, ...], Binding], findings: Findings, owner: str = ""
) -> None:
    """All steps under all bindings; a binding that changes none of a step's parameters needs no second look.

    `owner` is the policy they belong to.
    """
    base = bindings[()]
    for step in steps:
        looked = _looked_at(owner, step)
        names, seen = looked.names, looked.sound.copy()
        said: set[tuple[str, Span, str]] = set()
        for binding in (base, *bindings.values()):
            valuation = _valuation(names, binding)
            if valuation not in seen:
                seen.append(valuation)
                found = Findings()  # its own: a finding of an earlier binding must not look like none
                check_step(step, binding, found)
                if not len(found) and len(looked.sound) < _MOST_SOUND:
                    looked.sound.append(valuation)
                for finding in found:
                    # Where only the places of values differ, it is the problem of the binding before.
                    if (finding.code, finding.span, finding.message) not in said:
                        findings.extend((finding,))
                        said.add((finding.code, finding.span, finding.message))


def _valuation(names: frozenset[str], binding: Binding) -> dict[str, object]:
    return {name: binding.values.get(name) for name in names}
