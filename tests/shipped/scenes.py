"""Scenes: whole situations as facts, read from scenes.yaml, and how a test changes them.

A fact may be written as `{below: x}` or `{above: x}`: the double next to x. An empty value is an absent fact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Facts = dict[str, Any]
HERE = Path(__file__).parent
NOW = 1_700_000_000.0


def read(path: Path) -> Any:
    """A data file of the tests."""
    return yaml.load(path.read_text(), yaml.CSafeLoader)


@cache
def _scenes() -> dict[str, Facts]:
    held: dict[str, Facts] = read(HERE / "scenes.yaml")
    return held


def scene(name: str) -> Facts:
    """The facts of a scene, by group; no group says when it was observed."""
    held = dict(_scenes()[name])
    parent = held.pop("from", None)
    return changed(scene(parent), held) if parent else deepcopy(held)


def changed(facts: Facts, *others: Mapping[str, Any]) -> Facts:
    """A copy with some facts, or whole groups (by None), replaced."""
    result = deepcopy(facts)
    for other in others:
        for name, held in other.items():
            if name == "decisions" and isinstance(held, Mapping):
                result[name] = changed(result.get(name, {}), held)
            elif isinstance(held, Mapping):
                result[name] = {**(result.get(name) or {}), **{fact: number(value) for fact, value in held.items()}}
            else:
                result[name] = held
    return result


def number(written: Any) -> Any:
    """A value as written in a data file; a double's neighbour if that is what it says."""
    if isinstance(written, Mapping):
        ((word, value),) = written.items()
        return neighbour(float(value), {"below": -1, "above": 1}[word])
    return written


def neighbour(value: float, side: int) -> float:
    """The next double below (-1) or above (1), or the value itself (0)."""
    return math.nextafter(value, side * math.inf) if side else value


def given(facts: Facts, groups: Iterable[str], symbol: str | None = "BTCUSDT", now: float = NOW) -> Facts:
    """Facts ready to be decided: those groups alone that are read, each observed now unless it says otherwise."""
    result: Facts = {"now": now, "symbol": symbol}
    for group in groups:
        owner, _, other = group.partition(".")
        source = facts.get("decisions") or {} if other else facts
        held = source.get(other or owner)
        target = result.setdefault("decisions", {}) if other else result
        target[other or owner] = {"observed_at": now, **held} if isinstance(held, dict) else held
    return result
