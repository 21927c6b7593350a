"""Generates the border for each fact group: a mapping becomes the tuple that generated policies unpack.

A tuple is (observed_at, the facts in declared order, gaps): a missing fact is NaN in its place, and `gaps` is None or
says of each missing fact why (by name). `observed_at` is minus infinity where it was not given and need not be. The
fast way costs one chained comparison a fact; anything out of the ordinary is handed to `facts`, which is the definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from engine.backends.facts import DECISIONS, Gap, check_fact_names, read_fact, read_group
from engine.language.evaluate import Missing
from engine.language.model import Fact, Group
from engine.language.types import ChoiceType, FlagType, NumberType

Observation = tuple[Any, ...]
"""(observed_at, one value a fact in declared order (NaN where missing), gaps by name or None)."""

Intake = Callable[[Any], Observation]
"""Takes what was handed in for a group (a mapping, None, or anything wrong)."""

NAN = math.nan
NEVER = -math.inf
"""`observed_at` of a group that was not dated: never stale, never ahead."""


def intake(group: Group) -> Intake:
    """The generated intake of a group. It raises FactsError for facts the group does not declare."""
    namespace: dict[str, Any] = {
        "nan": NAN,
        "never": NEVER,
        "absent": _absent(group),
        "slowly": lambda raw: observe_slowly(group, raw),
        "convert": _convert,
        "facts": group.facts,
        "isfinite": math.isfinite,
    }
    for number, fact in enumerate(group.facts):
        if isinstance(fact.type, ChoiceType):
            namespace[f"values_{number}"] = frozenset(fact.type.of)
    exec(compile(generate_intake(group), f"<intake {group.name}>", "exec"), namespace)  # noqa: S102 - our own text
    made: Intake = namespace["take"]
    return made


def generate_intake(group: Group) -> str:
    """The source of a group's intake."""
    lines = [
        "def take(raw):",
        f'    """Group {group.name}."""',
        "    if raw is None:",
        "        return absent",
        "    if raw.__class__ is not dict:",
        "        return slowly(raw)",
        "    get = raw.get",
        "    at = get('observed_at')",
        "    count = 1",
        "    if at.__class__ is not float or not isfinite(at):",
        *_undated(group),
        "    gaps = None",
    ]
    for number, fact in enumerate(group.facts):
        lines += [
            f"    v{number} = get({fact.name!r})",
            f"    if {_sound(fact, number)}:",
            "        count += 1",
            "    else:",
            "        if gaps is None: gaps = {}",
            f"        v{number} = convert(facts[{number}], v{number}, gaps)",
            f"        count += {fact.name!r} in raw",
        ]
    lines += ["    if len(raw) != count:", "        return slowly(raw)"]
    numbers = {fact.name: number for number, fact in enumerate(group.facts)}
    for relation in group.relations:
        left, right = numbers[relation.left], numbers[relation.right]
        opposite = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}[relation.operator]
        lines += [f"    if v{left} {opposite} v{right}:", "        return slowly(raw)"]
    values = "".join(f"v{number}, " for number in range(len(group.facts)))
    lines.append(f"    return (at, {values}gaps or None)")
    return "\n".join(lines) + "\n"


def _undated(group: Group) -> list[str]:
    if group.max_age is not None:
        return ["        return slowly(raw)"]
    return [
        "        if at is not None:",
        "            return slowly(raw)",
        "        at = never",
        "        count = 'observed_at' in raw",
    ]


def _sound(fact: Fact, number: int) -> str:
    """The condition under which a raw value can be taken as it is."""
    name = f"v{number}"
    match fact.type:
        case NumberType(min=low, max=high):
            return f"{name}.__class__ is float and {low!r} <= {name} <= {high!r}"
        case FlagType():
            return f"{name} is True or {name} is False"
        case ChoiceType():
            return f"{name}.__class__ is str and {name} in values_{number}"
        case _:
            return f"{name}.__class__ is str and {name}.isascii()"


def _convert(fact: Fact, raw: Any, gaps: dict[str, Gap]) -> Any:
    value = read_fact(fact, raw)
    if isinstance(value, Gap):
        gaps[fact.name] = value
        return NAN
    return value


def _absent(group: Group) -> Observation:
    gap = Gap(Missing.ABSENT)
    return (NEVER, *(NAN for _ in group.facts), {fact.name: gap for fact in group.facts})


def observe_slowly(group: Group, raw: Any) -> Observation:
    """The same by the definition, for whatever the generated intake does not take on itself."""
    if isinstance(raw, Mapping):
        check_fact_names(group.name, raw, frozenset(fact.name for fact in group.facts) | {"observed_at"})
    at, held = read_group(group, raw)
    gaps = {name: value for name, value in held.items() if isinstance(value, Gap)}
    values = (NAN if isinstance(held[fact.name], Gap) else held[fact.name] for fact in group.facts)
    return (NEVER if at is None else at, *values, gaps or None)


def key_of(group: Group) -> tuple[str, str | None]:
    """Where a group stands in a facts object: its key, and under `decisions` the policy's."""
    if group.name.startswith(f"{DECISIONS}."):
        return DECISIONS, group.name.removeprefix(f"{DECISIONS}.")
    return group.name, None
