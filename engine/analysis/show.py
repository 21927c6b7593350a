"""What a rulebook says: policies, rule sets and windows, one rule, one policy step by step, values with their origins.

Answers are plain frozen data; `pages` prints them and `as_plain` makes JSON of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.analysis.request import RequestError
from engine.language import model
from engine.language.build import FACTS, WINDOWS
from engine.language.documents import ProfileDocument, ValueText
from engine.language.findings import Span
from engine.language.load import profile_documents
from engine.language.model import (
    AllOf,
    AnyOf,
    Binding,
    Condition,
    Divergence,
    Expression,
    Invariant,
    Leaf,
    Policy,
    Rule,
    Step,
    Window,
    walk,
)
from engine.language.printer import print_expression, print_invariant, print_number, print_value
from engine.language.rulebook import Rulebook
from engine.language.spelling import did_you_mean
from engine.language.types import ChoiceType, FlagType, NumberType, TextType, Type, Value

State = Literal["in force", "in force for its group", "overridden"]


@dataclass(frozen=True, slots=True)
class LayerView:
    """One place that gives a value: a profile, or a symbol group of one."""

    profile: str
    group: str | None
    value: str
    why: str
    at: str
    state: State


@dataclass(frozen=True, slots=True)
class ValueView:
    """A parameter: its value in force and every place that gives one, from the root profile on."""

    name: str
    value: Value
    unit: str
    type: str
    doc: str
    declared_at: str
    layers: tuple[LayerView, ...]


@dataclass(frozen=True, slots=True)
class NameView:
    """A name a step sets, with its type in words."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class SetView:
    """A rule set: what it is for, what it sets, its rules, who runs it."""

    name: str
    doc: str
    at: str
    hit: str
    sets: tuple[NameView, ...]
    rules: tuple[str, ...]
    disabled: tuple[str, ...]
    policies: tuple[str, ...]
    values: tuple[ValueView, ...]


@dataclass(frozen=True, slots=True)
class ConditionView:
    """A `when`: `leaf` holds an expression, `all` and `any` hold items."""

    kind: Literal["leaf", "all", "any"]
    text: str
    items: tuple[ConditionView, ...]


@dataclass(frozen=True, slots=True)
class EffectView:
    """What a rule does to a name."""

    kind: str
    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule with everything that decides what it does."""

    name: str
    hit: str
    at: str
    why: str
    when: ConditionView | None
    on_unknown: str | None
    expect: str | None
    effects: tuple[EffectView, ...]
    values: tuple[ValueView, ...]


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of a policy: what it reads and what it sets."""

    ruleset: str
    hit: str
    rules: int
    doc: str
    at: str
    sets: tuple[NameView, ...]
    facts: tuple[str, ...]
    decisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InvariantView:
    """What a policy promises, in words."""

    id: str
    says: str
    profiles: tuple[str, ...] | None
    """The profiles for which it is promised; None: all."""
    at: str


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A policy as its list of steps."""

    name: str
    doc: str
    at: str
    reads: tuple[str, ...]
    decides: tuple[str, ...]
    steps: tuple[StepView, ...]
    invariants: tuple[InvariantView, ...]


@dataclass(frozen=True, slots=True)
class WindowView:
    """A window: what it counts and the fact that it gives."""

    name: str
    type: str
    doc: str
    at: str
    measure: str
    of: str | None
    event: str
    filter: str | None
    length: str | None
    """In words, such as `60 s`; None where it looks back to the first event."""
    per: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DivergenceView:
    """A difference from another profile that is meant; a value of None stands for any."""

    against: str
    decision: str
    before: Value | None
    after: Value | None
    why: str
    at: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything a profile runs, by name."""

    profile: str
    version: str
    policies: tuple[PolicyView, ...]
    rulesets: tuple[SetView, ...]
    windows: tuple[WindowView, ...]
    disabled: Mapping[str, str]
    symbols: Mapping[str, tuple[str, ...]]
    """Symbol groups to their members."""
    diverges: tuple[DivergenceView, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """The answer to `show`: whatever bears the name asked for (a policy and a rule set may share one)."""

    profile: str
    version: str
    symbol: str | None
    groups: tuple[str, ...]
    policy: PolicyView | None = None
    ruleset: SetView | None = None
    rule: RuleView | None = None
    values: tuple[ValueView, ...] | None = None
    windows: tuple[WindowView, ...] | None = None


def overview(rulebook: Rulebook) -> Overview:
    """All policies, rule sets and windows."""
    members: dict[str, list[str]] = {}
    for symbol, groups in rulebook.symbols.items():
        for group in groups:
            members.setdefault(group, []).append(symbol)
    return Overview(
        rulebook.profile,
        rulebook.version,
        tuple(_policy(policy) for policy in rulebook.policies.values()),
        tuple(_set(rulebook, step, None, with_values=False) for step in _steps(rulebook).values()),
        tuple(_window(window) for window in rulebook.windows.values()),
        {name: origin.why for name, origin in rulebook.disabled.items()},
        {name: tuple(sorted(found)) for name, found in sorted(members.items())},
        tuple(_divergence(item) for item in rulebook.diverges),
    )


def show(rulebook: Rulebook, what: str | None, symbol: str | None = None) -> Shown:
    """What bears the name `what`: a policy, a rule set, a rule (`set.rule`), a window; without a name, every value.

    `facts` and `windows` stand for the parameters of the vocabulary and for all windows.

    `symbol` chooses the values in force; without one, those for symbols in no group, and groups' own values beside.

    Raises:
        RequestError: if nothing bears the name, with the nearest that is there.

    """
    groups = rulebook.binding_of(symbol).groups
    shown = Shown(rulebook.profile, rulebook.version, symbol, groups)
    if what is None:
        return dataclasses.replace(shown, values=tuple(_values(rulebook, list(rulebook.declarations), symbol)))
    steps = _steps(rulebook)
    rules = {rule.full_id: (step, rule) for step in steps.values() for rule in step.rules}
    policy, step = rulebook.policies.get(what), steps.get(what)
    if what == FACTS:
        names = [name for name in rulebook.declarations if name.startswith(f"{what}.")]
        return dataclasses.replace(shown, values=tuple(_values(rulebook, names, symbol)))
    if policy is None and step is None:
        if what == WINDOWS and rulebook.windows:
            return _windows(shown, rulebook, list(rulebook.windows.values()), symbol)
        if what in rulebook.windows:
            return _windows(shown, rulebook, [rulebook.windows[what]], symbol)
        if what in rules:
            return dataclasses.replace(shown, rule=_rule(rulebook, *rules[what], symbol))
        if what in rulebook.declarations:
            return dataclasses.replace(shown, values=tuple(_values(rulebook, [what], symbol)))
        if what in rulebook.disabled:
            origin = rulebook.disabled[what]
            raise RequestError(f"the rule `{what}` is disabled at {_at(origin.span)}", origin.why)
        known = [*rulebook.policies, *steps, *rules, *rulebook.declarations, *rulebook.windows]
        raise RequestError(
            f"`{rulebook.profile}` runs no policy, rule set or rule `{what}`",
            did_you_mean(what, known, "`show` without a name lists policies and rule sets"),
        )
    return dataclasses.replace(
        shown,
        policy=_policy(policy) if policy is not None else None,
        ruleset=_set(rulebook, step, symbol, with_values=True) if step is not None else None,
    )


def as_plain(view: Any) -> dict[str, Any]:
    """A view as a JSON-like object, without what it does not hold."""
    return {name: value for name, value in dataclasses.asdict(view).items() if value is not None or name == "symbol"}


def describe_type(kind: Type) -> str:
    """A type with its unit and range, or its values, in the language's words."""
    match kind:
        case NumberType(unit=unit, min=low, max=high):
            reach = f"{_number(low)} to {_number(high)}"
            return f"{reach} {unit}".rstrip()
        case FlagType():
            return "flag"
        case ChoiceType(of=of, ordered=ordered):
            return (" < " if ordered else ", ").join(of)
        case TextType():
            return "text"


def _number(value: float) -> str:
    """Large and small powers of ten as such: a range is read, not counted."""
    return f"{value:g}" if abs(value) >= 1e6 else print_number(value)


def _steps(rulebook: Rulebook) -> dict[str, Step]:
    """Every rule set in use, once."""
    return {step.ruleset: step for policy in rulebook.policies.values() for step in policy.steps}


def _at(span: Span) -> str:
    return f"{span.file}:{span.line}"


def _names(sets: tuple[tuple[str, Type], ...]) -> tuple[NameView, ...]:
    return tuple(NameView(name, describe_type(kind)) for name, kind in sets)


def _policy(policy: Policy) -> PolicyView:
    return PolicyView(
        policy.name,
        " ".join(policy.doc.split()),
        _at(policy.span),
        tuple(group.name for group in policy.groups),
        policy.decides,
        tuple(_step(step) for step in policy.steps),
        tuple(_invariant(invariant) for invariant in policy.invariants),
    )


def _invariant(invariant: Invariant) -> InvariantView:
    return InvariantView(invariant.id, print_invariant(invariant), invariant.profiles, _at(invariant.span))


def _divergence(item: Divergence) -> DivergenceView:
    decision = f"{item.policy}.{item.decision}"
    return DivergenceView(item.against, decision, item.before, item.after, " ".join(item.why.split()), _at(item.span))


def _step(step: Step) -> StepView:
    facts: dict[str, None] = {}
    decisions: dict[str, None] = {}
    for part in _parts(step):
        if isinstance(part, model.FactRef):
            facts[f"{part.group}.{part.name}"] = None
        elif isinstance(part, model.DecisionRef):
            decisions[part.name] = None
    doc = " ".join(step.doc.split())
    return StepView(
        step.ruleset, step.hit, len(step.rules), doc, _at(step.span), _names(step.sets), tuple(facts), tuple(decisions)
    )


def _parts(step: Step) -> Iterator[Expression]:
    for _, start in step.start:
        yield from walk(start.expression)
    for rule in step.rules:
        yield from _rule_parts(rule)


def _rule_parts(rule: Rule) -> Iterator[Expression]:
    for leaf in rule.leaves():
        yield from walk(leaf.written.expression)
    for effect in rule.effects:
        yield from walk(effect.value.expression)


def _set(rulebook: Rulebook, step: Step, symbol: str | None, *, with_values: bool) -> SetView:
    names = [name for name in rulebook.declarations if name.startswith(f"{step.ruleset}.")]
    policies = rulebook.policies.values()
    return SetView(
        step.ruleset,
        " ".join(step.doc.split()),
        _at(step.span),
        step.hit,
        _names(step.sets),
        tuple(rule.id for rule in step.rules),
        tuple(name for name in rulebook.disabled if name.startswith(f"{step.ruleset}.")),
        tuple(policy.name for policy in policies if any(one.ruleset == step.ruleset for one in policy.steps)),
        tuple(_values(rulebook, names, symbol)) if with_values else (),
    )


def _windows(shown: Shown, rulebook: Rulebook, windows: list[Window], symbol: str | None) -> Shown:
    """Windows, and the values that they read."""
    read = {name for window in windows for name in window.parameters()}
    values = tuple(_values(rulebook, [name for name in rulebook.declarations if name in read], symbol))
    return dataclasses.replace(shown, windows=tuple(_window(window) for window in windows), values=values or None)


def _window(window: Window) -> WindowView:
    length = None if window.length is None else f"{print_expression(window.length, qualified=True)} s"
    return WindowView(
        window.fact.name,
        describe_type(window.fact.type),
        " ".join(window.doc.split()),
        _at(window.span),
        window.measure,
        window.of,
        window.event,
        None if window.filter is None else " ".join(window.filter.text.split()),
        length,
        tuple(sorted(window.per)),
    )


def _rule(rulebook: Rulebook, step: Step, rule: Rule, symbol: str | None) -> RuleView:
    params = {f"{part.ruleset}.{part.name}": None for part in _rule_parts(rule) if isinstance(part, model.ParameterRef)}
    return RuleView(
        rule.full_id,
        step.hit,
        _at(rule.span),
        rule.why,
        _condition(rule.condition) if rule.condition is not None else None,
        rule.on_unknown,
        rule.expect,
        tuple(EffectView(effect.kind, effect.name, effect.value.text) for effect in rule.effects),
        tuple(_values(rulebook, list(params), symbol)),
    )


def _condition(condition: Condition) -> ConditionView:
    match condition:
        case Leaf(written):
            return ConditionView("leaf", " ".join(written.text.split()), ())
        case AllOf(items):
            return ConditionView("all", "", tuple(_condition(item) for item in items))
        case AnyOf(items):
            return ConditionView("any", "", tuple(_condition(item) for item in items))


def _values(rulebook: Rulebook, names: list[str], symbol: str | None) -> Iterator[ValueView]:
    binding = rulebook.binding_of(symbol)
    chain = profile_documents(rulebook)
    for name in names:
        declared = rulebook.declarations[name]
        kind = declared.type
        yield ValueView(
            name,
            binding.values[name],
            kind.unit if isinstance(kind, NumberType) else "",
            describe_type(kind),
            " ".join(declared.doc.split()),
            _at(declared.span),
            tuple(_layers(name, kind, rulebook, binding, chain, symbol)),
        )


def _layers(
    name: str, kind: Type, rulebook: Rulebook, binding: Binding, chain: Sequence[ProfileDocument], symbol: str | None
) -> Iterator[LayerView]:
    """Every place that gives the value: for all symbols first, then groups, each from the root profile on."""
    in_force = binding.origins[name].span
    by_group = {other.origins[name].span for other in rulebook.bindings.values() if other.origins[name].group}
    places: list[tuple[ProfileDocument, str | None, ValueText | None]] = [
        (document, None, document.values.get(name)) for document in chain
    ]
    places += [
        (document, group, held.values.get(name))
        for document in chain
        for group, held in document.symbols.items()
        if symbol is None or group in binding.groups
    ]
    for document, group, text in places:
        if text is None:
            continue
        state: State = "overridden"
        if text.span == in_force:
            state = "in force"
        elif symbol is None and group is not None and text.span in by_group:
            state = "in force for its group"
        value = text.scalar.text
        if isinstance(kind, NumberType):
            value = print_value(float(value), kind)
        yield LayerView(document.name, group, value, text.why or "", _at(text.span), state)
