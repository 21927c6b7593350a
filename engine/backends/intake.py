"""Generates the border for each fact group: a mapping becomes the tuple that generated policies unpack.

A tuple is (observed_at, the facts in declared order, gaps): a missing fact is NaN in its place, and `gaps` is None or
says of each missing fact why (by name). `observed_at` is minus infinity where it was not given and need not be. The
fast way costs one chained comparison a fact; anything out of the ordinary is handed to `facts`, the definition.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from engine.backends.facts import DECISIONS, Gap, check_fact_names, read_fact, read_group
from engine.backends.source import function_from
from engine.language.evaluate import Missing
from engine.language.model import Fact, Group, Relation
from engine.language.types import ChoiceType, FlagType, NumberType

Observation = tuple[Any, ...]
"""(observed_at, one value a fact in declared order (NaN where missing), gaps by name or None)."""

Intake = Callable[[Any], Observation]
"""Takes what was handed in for a group (a mapping, None, or anything wrong)."""

NAN = math.nan
NEVER = -math.inf
"""`observed_at` of a group that was not dated: never stale, never ahead."""


def finite(value: float) -> float:
    """The value where it is finite, else NaN: what generated code makes of an operation that may have no result."""
    return value if value - value == 0.0 else NAN  # infinity less itself is NaN


def intake(group: Group) -> Intake:
    """The generated intake of a group. It raises FactsError for facts the group does not declare."""
    names = [fact.name for fact in group.facts]
    namespace: dict[str, Any] = {
        "nan": NAN,
        "never": NEVER,
        "absent": _absent(group),
        "no_value": Gap(Missing.ABSENT),
        "slowly": lambda raw: observe_slowly(group, raw),
        "convert": _convert,
        "facts": group.facts,
        "known": frozenset((*names, "observed_at")),
        "pick": operator.itemgetter(*names),
        "pick_dated": operator.itemgetter("observed_at", *names),
    }
    made: Intake = function_from(generate_intake(group), "take", f"intake {group.name}", namespace)
    return made


def generate_intake(group: Group) -> str:
    """The source of a group's intake.

    A complete, sound mapping takes the first way: every value fetched in one call, one chain of comparisons. The second
    way looks at facts one by one, and hands what is neither sound nor None to the definition.
    """
    values = "".join(f"v{number}, " for number in range(len(group.facts)))
    sound = " and ".join(sound_test(fact, f"v{number}") for number, fact in enumerate(group.facts))
    sound += "".join(f" and {_holds(group, relation)}" for relation in group.relations)
    dated = "at.__class__ is float and at - at == 0.0"  # infinity less itself is NaN
    lines = [
        "def take(raw):",
        f'    """Group {group.name}."""',
        "    if raw is None:",
        "        return absent",
        "    if raw.__class__ is not dict:",
        "        return slowly(raw)",
        "    size = len(raw)",
        f"    if size == {len(group.facts) + 1}:",
        "        try:",
        f"            at, {values}= pick_dated(raw)",
        "        except KeyError:",
        "            pass",
        "        else:",
        f"            if {dated} and {sound}:",
        f"                return (at, {values}None)",
    ]
    if group.max_age is None:
        # A group of one fact is fetched by itself: itemgetter then gives no tuple.
        fetch = "pick(raw)" if len(group.facts) > 1 else f"(raw[{group.facts[0].name!r}],)"
        lines += [
            f"    elif size == {len(group.facts)}:",
            "        try:",
            f"            {values}= {fetch}",
            "        except KeyError:",
            "            pass",
            "        else:",
            f"            if {sound}:",
            f"                return (never, {values}None)",
        ]
    lines += [
        "    get = raw.get",
        "    at = get('observed_at')",
        "    count = 1",
        f"    if not ({dated}):",
        *_undated(group),
        "    gaps = None",
    ]
    for number, fact in enumerate(group.facts):
        lines += [
            f"    v{number} = get({fact.name!r})",
            f"    if {sound_test(fact, f'v{number}')}:",
            "        count += 1",
            "    else:",
            "        if gaps is None: gaps = {}",
            f"        if v{number} is None:",
            f"            gaps[{fact.name!r}] = no_value",
            f"            v{number} = nan",
            "        else:",
            f"            v{number} = convert(facts[{number}], v{number}, gaps)",
            "            count += 1",
        ]
    # A null counts as absent but its key is there: only where keys are left over are names looked at.
    lines += ["    if count != size and not raw.keys() <= known:", "        return slowly(raw)"]
    for relation in group.relations:
        lines += [f"    if {broken_test(group, relation, _numbered(group))}:", "        return slowly(raw)"]
    lines.append(f"    return (at, {values}gaps)")
    return "\n".join(lines) + "\n"


def _holds(group: Group, relation: Relation) -> str:
    left, right = _sides(group, relation, _numbered(group))
    return f"{left} {relation.operator} {right}"


def broken_test(group: Group, relation: Relation, names: Mapping[str, str]) -> str:
    """The condition under which a relation is surely broken, `names` being what holds each fact.

    A missing value is NaN, with which every comparison but `!=` is false.
    """
    left, right = _sides(group, relation, names)
    if relation.operator == "==":
        return f"{left} != {right} and {left} == {left} and {right} == {right}"
    opposite = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "!=": "=="}[relation.operator]
    return f"{left} {opposite} {right}"


def _sides(group: Group, relation: Relation, names: Mapping[str, str]) -> tuple[str, str]:
    """What the two facts compare by: choices that have an order by their places in the list."""
    left, right = names[relation.left], names[relation.right]
    kind = next(fact.type for fact in group.facts if fact.name == relation.left)
    if relation.operator not in ("==", "!=") and isinstance(kind, ChoiceType):
        places = "{" + ", ".join(f"{value!r}: {place}.0" for place, value in enumerate(kind.of)) + "}"
        return f"{places}.get({left}, nan)", f"{places}.get({right}, nan)"
    return left, right


def _numbered(group: Group) -> dict[str, str]:
    return {fact.name: f"v{number}" for number, fact in enumerate(group.facts)}


def _undated(group: Group) -> list[str]:
    if group.max_age is not None:
        return ["        return slowly(raw)"]
    return [
        "        if at is not None:",
        "            return slowly(raw)",
        "        at = never",
        "        count = 0",
    ]


def sound_test(fact: Fact, name: str) -> str:
    """The condition under which a raw value, held by `name`, can be taken as it is. Never raises."""
    match fact.type:
        case NumberType(min=low, max=high):
            # Python runs two comparisons in less time than a chain of them.
            return f"{name}.__class__ is float and {low!r} <= {name} and {name} <= {high!r}"
        case FlagType():
            return f"({name} is True or {name} is False)"
        case ChoiceType(of=of):
            return f"{name}.__class__ is str and {name} in {of!r}"
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
