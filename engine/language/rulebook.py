"""The rulebook: a loaded profile, immutable, with a version that changes with meaning and with nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from engine.language.findings import Finding
from engine.language.model import (
    Binding,
    Divergence,
    EventKind,
    Group,
    Origin,
    ParameterDeclaration,
    Policy,
    Step,
    Window,
    Written,
)
from engine.language.nodes import Source
from engine.language.printer import print_condition, print_expression, print_value
from engine.language.types import ChoiceType, NumberType, Type

LANGUAGE = 1
"""The meaning of the language itself: raised when the same documents begin to decide differently."""

_DIGITS = 16
"""Hex digits of a version: 64 bits tell any two rulebooks a desk will ever write apart."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Rulebook:
    """Everything needed to decide: policies, values for each combination of symbol groups, and where all of it is."""

    profile: str
    version: str
    """Digest of meaning: names, expressions, hit policies, order, bound numbers as doubles, symbol groups."""
    sources_digest: str
    """Digest of the files' text, since reasons cite file and line."""
    policies: Mapping[str, Policy]
    groups: Mapping[str, Group]
    """Every fact group of the vocabulary."""
    max_ahead: str | None
    """The parameter that limits how far `observed_at` may lie ahead of `now`."""
    declarations: Mapping[str, ParameterDeclaration]
    """Every parameter of a rule set in use, by `set.param`."""
    bindings: Mapping[tuple[str, ...], Binding]
    symbols: Mapping[str, tuple[str, ...]]
    """Symbol to the key of its binding; any other symbol has `()`."""
    disabled: Mapping[str, Origin]
    sources: Mapping[str, Source] = field(repr=False)
    """The files read, by the name findings use."""
    warnings: tuple[Finding, ...] = ()
    events: Mapping[str, EventKind] = field(default_factory=_nothing)
    """The kinds of events that are declared, by name."""
    windows: Mapping[str, Window] = field(default_factory=_nothing)
    """By the fact of the group `windows` that each gives. Empty, as `events` is, where no policy reads that group."""
    requires: Mapping[str, tuple[Written, ...]] = field(default_factory=_nothing)
    """By rule set in use: what it requires of its parameters, which holds for every binding."""
    diverges: tuple[Divergence, ...] = ()
    """Differences from other profiles that are meant; no part of the version."""

    def binding_of(self, symbol: str | None) -> Binding:
        """The values in force for a symbol; base values for one in no group, or none given."""
        return self.bindings[self.symbols.get(symbol or "", ())]


def version_of(
    policies: Iterable[Policy],
    groups: Iterable[Group],
    max_ahead: str | None,
    bindings: Mapping[tuple[str, ...], Binding],
    symbols: Mapping[str, tuple[str, ...]],
    declarations: Mapping[str, ParameterDeclaration],
    windows: Iterable[Window] = (),
    events: Mapping[str, EventKind] | None = None,
) -> str:
    """The digest of meaning. Lines are sorted where order means nothing, and kept where it does."""
    lines: list[str] = [f"language {LANGUAGE}", f"ahead {max_ahead}"]
    for group in sorted(groups, key=lambda group: group.name):
        lines += _group_lines(group)
    for policy in sorted(policies, key=lambda policy: policy.name):
        lines += _policy_lines(policy)
    for window in sorted(windows, key=lambda window: window.fact.name):
        lines.append(f"window {window.fact.name} {sorted(window.per)}")
        lines += counting_lines(window, (events or {})[window.event])
    for names, binding in sorted(bindings.items()):
        for name, value in sorted(binding.values.items()):
            if name in declarations:
                lines.append(f"value {names} {name} {print_value(value, declarations[name].type)}")
    lines += [f"symbol {symbol!r} {names}" for symbol, names in sorted(symbols.items())]
    return digest(lines)


def digest(lines: Iterable[str]) -> str:
    """A short digest of lines of text."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS]


def _group_lines(group: Group) -> list[str]:
    lines = [f"group {group.name} {group.max_age}"]
    lines += sorted(f"fact {group.name} {fact.name} {_type(fact.type)}" for fact in group.facts)
    return lines + sorted(f"relation {item.left} {item.operator} {item.right}" for item in group.relations)


def counting_lines(window: Window, event: EventKind) -> list[str]:
    """What a window counts, and how: parameters by name, and of the event's fields those that it reads."""
    kept = "all" if window.filter is None else print_expression(window.filter.expression, qualified=True)
    length = "for ever" if window.length is None else print_expression(window.length, qualified=True)
    fields = sorted(f"field {item.name} {_type(item.type)}" for item in event.fields if item.name in window.fields())
    return [f"counts {event.name} {kept}", f"as {window.measure} {window.of} over {length}", *fields]


def _policy_lines(policy: Policy) -> list[str]:
    reads = ", ".join(sorted(group.name for group in policy.groups))
    lines = [f"policy {policy.name} reads {reads}", f"decides {policy.decides} reason {policy.reason}"]
    for group in sorted(policy.groups, key=lambda group: group.name):
        if group.name.startswith("decisions."):  # other groups are in the vocabulary's lines
            lines += _group_lines(group)
    for step in policy.steps:
        lines += _step_lines(step)
    return lines


def _step_lines(step: Step) -> list[str]:
    lines = [f"step {step.ruleset} {step.hit}"]
    lines += sorted(f"sets {name} {_type(kind)}" for name, kind in step.sets)
    lines += sorted(f"start {name} {print_expression(text.expression)}" for name, text in step.start)
    for rule in step.rules:
        lines.append(f"rule {rule.id} {rule.on_unknown} {print_condition(rule.condition)}")
        effects = [f"{item.kind} {item.name} {print_expression(item.value.expression)}" for item in rule.effects]
        lines += sorted(effects)
    return lines


def _type(kind: Type) -> str:
    match kind:
        case NumberType(unit=unit, min=low, max=high):
            return f"number {unit} {low!r} {high!r}"
        case ChoiceType(of=of, ordered=ordered):
            return f"choice {of} {ordered}"
        case _:
            return type(kind).__name__
