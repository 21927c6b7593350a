"""A decision with everything the interpreter looked at on its way: each step, each rule, each leaf with its values.

In: a book, a policy, a facts object. Out: an `Explanation`, plain data that the command line draws as a tree and prints
as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.backends.decision import Decision, explain_leaf, gap_record, seen_by, show_value
from engine.backends.facts import Gap
from engine.backends.interpreter import RuleTrace, StepTrace
from engine.book import Book
from engine.language import model
from engine.language.evaluate import Environment, Known, Missing, conjunction, disjunction, evaluate
from engine.language.model import EFFECT_ORDER, AllOf, AnyOf, Binding, Condition, Leaf, Rule, walk
from engine.language.types import FlagType, Value

Truth = Literal["true", "false", "unknown", "not reached"]
Verdict = Literal["matched", "not matched", "unknown, matched", "unknown, skipped", "not reached"]


@dataclass(frozen=True, slots=True)
class LeafLook:
    """One leaf: as written, with the values it saw, and what it came to."""

    when: str
    shown: str
    truth: Truth
    triggered: bool
    saw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NestedLook:
    """An `all` or `any`, and what it came to."""

    kind: Literal["all", "any"]
    truth: Truth
    items: tuple[ConditionLook, ...]


ConditionLook = LeafLook | NestedLook


@dataclass(frozen=True, slots=True)
class EffectLook:
    """An effect that applied: the name, the operation, the expression and its value."""

    kind: str
    name: str
    expression: str
    value: Value


@dataclass(frozen=True, slots=True)
class RuleLook:
    """One rule of a step."""

    rule: str
    at: str
    why: str
    verdict: Verdict
    condition: ConditionLook | None
    effects: tuple[EffectLook, ...]


@dataclass(frozen=True, slots=True)
class StepLook:
    """One step: its rules, and the values it set."""

    ruleset: str
    hit: str
    start: Mapping[str, Value]
    rules: tuple[RuleLook, ...]
    sets: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class GapLook:
    """A fact without a value."""

    fact: str
    cause: str
    got: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, its steps, and the facts that were missing."""

    decision: Decision
    steps: tuple[StepLook, ...]
    missing: tuple[GapLook, ...]


def explain(book: Book, policy: str, facts: Mapping[str, Any]) -> Explanation:
    """Decide by the interpreter and keep everything it looked at.

    Raises:
        FactsError: as `Book.decide` does.

    """
    decision, steps = book.trace(policy, facts)
    binding = book.rulebook.binding_of(decision.moment.symbol)
    missing = tuple(
        GapLook(f"{group}.{name}", value.cause.value, value.got)
        for group, held in decision.seen.values.items()
        for name, value in held.items()
        if isinstance(value, Gap)
    )
    return Explanation(decision, tuple(_step(step, binding) for step in steps), missing)


def _step(step: StepTrace, binding: Binding) -> StepLook:
    looked = {trace.rule.id: trace for trace in step.rules}
    rules = tuple(_rule(rule, looked.get(rule.id), step.names, binding) for rule in step.step.rules)
    env = Environment(step.names, binding.values)
    start = {name: _value(evaluate(written.expression, env)) for name, written in step.step.start}
    return StepLook(step.step.ruleset, step.step.hit, start, rules, dict(step.sets))


def _rule(rule: Rule, trace: RuleTrace | None, names: Mapping[str, Known], binding: Binding) -> RuleLook:
    condition = _condition(rule.condition, trace, names, binding)[0] if rule.condition is not None else None
    env = Environment(names, binding.values)
    effects: tuple[EffectLook, ...] = ()
    if trace is not None and trace.matched:
        ordered = sorted(rule.effects, key=lambda effect: EFFECT_ORDER.index(effect.kind))
        effects = tuple(
            EffectLook(effect.kind, effect.name, effect.value.text, _value(evaluate(effect.value.expression, env)))
            for effect in ordered
        )
    return RuleLook(rule.full_id, f"{rule.span.file}:{rule.span.line}", rule.why, _verdict(trace), condition, effects)


def _value(value: Known) -> Value:
    assert not isinstance(value, Missing), "the loader lets no effect pass that may be missing"
    return value


def _verdict(trace: RuleTrace | None) -> Verdict:
    if trace is None:
        return "not reached"
    if isinstance(trace.condition, Missing):
        return "unknown, matched" if trace.matched else "unknown, skipped"
    return "matched" if trace.matched else "not matched"


def _condition(
    condition: Condition, trace: RuleTrace | None, names: Mapping[str, Known], binding: Binding
) -> tuple[ConditionLook, Known]:
    match condition:
        case Leaf(written, index=index):
            value: Known = trace.leaves[index] if trace is not None else False
            truth: Truth = "not reached" if trace is None else _truth(value)
            triggered = trace is not None and index in trace.triggering
            saw = seen_by(written.expression, names, binding)
            return LeafLook(written.text, _shown(condition, names, binding), truth, triggered, saw), value
        case AllOf(items) | AnyOf(items):
            looks = [_condition(item, trace, names, binding) for item in items]
            join = conjunction if isinstance(condition, AllOf) else disjunction
            value = join(*(value for _, value in looks))
            truth = "not reached" if trace is None else _truth(value)
            kind: Literal["all", "any"] = "all" if isinstance(condition, AllOf) else "any"
            return NestedLook(kind, truth, tuple(look for look, _ in looks)), value


def _truth(value: Known) -> Truth:
    return "unknown" if isinstance(value, Missing) else "true" if value else "false"


def _shown(leaf: Leaf, names: Mapping[str, Known], binding: Binding) -> str:
    """The leaf with its values; flags, which read as conditions, follow in parentheses where there are several."""
    flags = {
        part.name: names[part.name]
        for part in walk(leaf.written.expression)
        if isinstance(part, model.FactRef | model.DecisionRef) and isinstance(part.type, FlagType)
    }
    known = [f"{name} {show_value(value)}" for name, value in flags.items() if not isinstance(value, Missing)]
    text = explain_leaf(leaf, names, binding)
    return f"{text} ({', '.join(known)})" if known else text


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation as a JSON object: the decision's record, the steps, the missing facts."""
    return {
        "decision": explanation.decision.record(),
        "steps": [
            {
                "ruleset": step.ruleset,
                "hit": step.hit,
                "start": dict(step.start),
                "rules": [_rule_json(rule) for rule in step.rules],
                "sets": dict(step.sets),
            }
            for step in explanation.steps
        ],
        "missing": [{"fact": gap.fact, **gap_record(Gap(Missing(gap.cause), gap.got))} for gap in explanation.missing],
    }


def _rule_json(rule: RuleLook) -> dict[str, Any]:
    return {
        "rule": rule.rule,
        "at": rule.at,
        "why": rule.why,
        "verdict": rule.verdict,
        "when": _condition_json(rule.condition) if rule.condition is not None else None,
        "effects": [
            {"effect": effect.kind, "name": effect.name, "expression": effect.expression, "value": effect.value}
            for effect in rule.effects
        ],
    }


def _condition_json(look: ConditionLook) -> dict[str, Any]:
    if isinstance(look, NestedLook):
        return {look.kind: [_condition_json(item) for item in look.items], "truth": look.truth}
    return {"leaf": look.when, "truth": look.truth, "triggered": look.triggered, "saw": dict(look.saw)}
