"""Inputs that proofs found, in few words: what one of them gives, and what another one gives otherwise.

In: facts objects. Out: text with facts by their bare names, as rules read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.analysis.diff.transitions import show_value

_MOST_GIVEN = 6
"""Facts of an input that are told of where it is told of shortly."""
_FRAME = ("now", "observed_at")
"""What an input has besides facts: they say when it is."""


def given_text(facts: Mapping[str, Any]) -> str:
    """What an input gives, in a few words.

    >>> given_text({"now": 1.0, "bars": {"observed_at": 1.0, "atr_ratio": 2.5}, "intent": {"reduce_only": True}})
    'atr_ratio 2.5, reduce_only true, nothing else'
    >>> given_text({"now": 1.0})
    'no fact at all'
    """
    given = [f"{path[-1]} {_shown(value)}" for path, value in _flat(facts) if path[-1] not in _FRAME]
    if not given:
        return "no fact at all"
    more = len(given) - _MOST_GIVEN
    return ", ".join((*given[:_MOST_GIVEN], f"{more} more facts" if more > 0 else "nothing else"))


def changed_text(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """What a second input gives otherwise than the first.

    >>> changed_text({"now": 1.0, "g": {"x": 0.5, "f": True}}, {"now": 1.0, "g": {"x": 2.0}})
    'x: 0.5 -> 2, f: true -> missing'
    """
    before, after = dict(_flat(first)), dict(_flat(second))
    moved = [path for path in dict.fromkeys((*before, *after)) if before.get(path) != after.get(path)]
    # With the first fact of a group its time comes along, and that says nothing.
    told = [path for path in moved if path[-1] not in _FRAME] or moved
    return ", ".join(f"{path[-1]}: {_shown(before.get(path))} -> {_shown(after.get(path))}" for path in told)


def _flat(facts: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*path, name))
        else:
            yield (*path, name), value


def _shown(value: Any) -> str:
    return "missing" if value is None else show_value(value)
