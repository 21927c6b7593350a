"""The behavioural half of a diff as a JSON object: everything that text shows, in parts that programs can use."""

from __future__ import annotations

from typing import Any

from engine.analysis.diff.transition_pages import fired
from engine.analysis.diff.transitions import (
    AgeCondition,
    Behaviour,
    Bound,
    Condition,
    FactCondition,
    Numbers,
    Responsible,
    Scope,
    Span,
    SumCondition,
    Transition,
    Weight,
    Witness,
)
from engine.backends.interpreter import StepTrace
from engine.language.model import Divergence
from engine.language.types import FlagType, NumberType, Type


def behaviour_json(found: Behaviour) -> dict[str, Any]:
    """All transitions, what is undecided, and `diverges` entries that nothing uses. Bounds are the nearest doubles."""
    return {
        "policies": list(found.policies),
        "transitions": [_transition(each) for each in found.transitions],
        "undecided": [
            {"policy": each.policy, "decision": each.decision, "scope": _scope(each.scope), "why": each.why}
            for each in found.undecided
        ],
        "unused_diverges": [_entry(entry) for entry in found.unused],
        "only_a": list(found.only_a),
        "only_b": list(found.only_b),
        "history": found.history,
        "seconds": round(found.seconds, 3),
    }


def _transition(each: Transition) -> dict[str, Any]:
    number = isinstance(each.type, NumberType)
    return {
        "policy": each.policy,
        "decision": each.decision,
        **({"moves": each.direction, **_numbers(each.numbers)} if number else {"from": each.before, "to": each.after}),
        "scope": _scope(each.scope),
        "regions": [[_condition(condition) for condition in region.conditions] for region in each.regions],
        "unconfirmed": [[_condition(condition) for condition in region.conditions] for region in each.unconfirmed],
        "covered": each.covered,
        "uncovered": each.uncovered or None,
        "same_inputs_as": each.like or None,
        "responsible": [_responsible(one) for one in each.responsible] if each.blended else None,
        "witness": _witness(each.witness),
        "expected": _entry(each.expected) if each.expected is not None else None,
        "undecided": each.undecided or None,
        "weight": _weight(each.weight),
    }


def _numbers(numbers: Numbers | None) -> dict[str, Any]:
    held = numbers or Numbers(None, None, None)
    return {"from": _span(held.before), "to": _span(held.after), "change": _span(held.change)}


def _span(span: Span | None) -> dict[str, Any] | None:
    return None if span is None else {"least": _bound(span.least), "most": _bound(span.most)}


def _bound(bound: Bound | None) -> dict[str, Any] | None:
    return None if bound is None else {"value": float(bound.value), "inclusive": bound.inclusive}


def _scope(scope: Scope) -> dict[str, Any]:
    return {
        "symbols": list(scope.symbols),
        "others": scope.others,
        "groups_a": [list(groups) for groups in scope.groups_a],
        "groups_b": [list(groups) for groups in scope.groups_b],
    }


def _condition(condition: Condition) -> dict[str, Any]:
    if isinstance(condition, AgeCondition):
        ends = {"lower_s": _bound(condition.lower), "upper_s": _bound(condition.upper)}
        return {"text": condition.text, "group": condition.group, **ends}
    if isinstance(condition, SumCondition):
        ends = {"lower": _bound(condition.lower), "upper": _bound(condition.upper)}
        of = {"sum": condition.decision, "before_rule": condition.rule, "side": condition.side}
        return {"text": condition.text, **of, **ends}
    if not isinstance(condition, FactCondition):
        return {"text": condition.text, "facts": list(condition.facts), "or_missing": condition.or_missing}
    return {
        "text": condition.text,
        "fact": condition.fact,
        "presence": condition.presence,
        "lower": _bound(condition.lower),
        "upper": _bound(condition.upper),
        "values": None if condition.values is None else [_value(condition.type, each) for each in condition.values],
    }


def _value(kind: Type, text: str) -> bool | str:
    return text == "true" if isinstance(kind, FlagType) else text


def _responsible(each: Responsible) -> dict[str, Any]:
    change = each.change
    ends = (change.value_a, change.value_b) if change.kind == "parameter" else (change.a or None, change.b or None)
    return {
        "kind": change.kind,
        "name": change.name,
        "a": ends[0],
        "b": ends[1],
        "unit": change.unit,
        "alone": each.alone or "undecided",
        "needed": each.needed or "undecided",
    }


def _witness(witness: Witness | None) -> dict[str, Any] | None:
    if witness is None:
        return None
    traces = {side: [_step(step) for step in steps] for side, steps in (("a", witness.a), ("b", witness.b))}
    return {"facts": dict(witness.facts), "from": witness.before, "to": witness.after, "trace": traces}


def _step(step: StepTrace) -> dict[str, Any]:
    return {"ruleset": step.step.ruleset, "fired": fired(step), "sets": dict(step.sets)}


def _entry(entry: Divergence) -> dict[str, Any]:
    return {
        "against": entry.against,
        "decision": f"{entry.policy}.{entry.decision}",
        "from": entry.before,
        "to": entry.after,
        "why": entry.why,
        "file": entry.span.file,
        "line": entry.span.line,
    }


def _weight(weight: Weight | None) -> dict[str, Any] | None:
    if weight is None:
        return None
    return {
        "count": weight.count,
        "decisions": weight.decisions,
        "share": weight.share,
        "outcomes": weight.intents,
        "cost_usd": weight.cost_usd,
        "cost_bps": weight.cost_bps,
    }
