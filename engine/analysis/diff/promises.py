"""Invariants side by side. No decision depends on one, so they are no part of the version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from engine.analysis.diff.changes import Change, Part, Spot
from engine.analysis.diff.parts import change, merged, part
from engine.analysis.diff.renames import SAME, Words
from engine.language.model import Invariant, Written
from engine.language.printer import print_invariant
from engine.language.rulebook import Rulebook


def compare_invariants(a: Rulebook, b: Rulebook, words: Words) -> Iterator[Change]:
    """The invariants of policies that both sides run; of one for other profiles alone, that it does not hold here."""
    for name in merged(list(a.policies), list(b.policies)):
        if name not in a.policies or name not in b.policies:
            continue
        held_a = {each.id: each for each in a.policies[name].invariants}
        held_b = {each.id: each for each in b.policies[name].invariants}
        for key in merged(list(held_a), list(held_b)):
            one, other = held_a.get(key), held_b.get(key)
            parts = list(_parts(one, other, a.profile, b.profile, words)) if one and other else []
            names = (f"{name}.{key}" if one else None, f"{name}.{key}" if other else None)
            found = change("invariant", names, (_spot(one), _spot(other)), parts, decides=False)
            if found is not None:
                yield found


def _parts(a: Invariant, b: Invariant, profile_a: str, profile_b: str, words: Words) -> Iterator[Part]:
    if _said(a, words) != _said(b, SAME):
        yield part("says", *(Spot(print_invariant(each), each.span) for each in (a, b)), decides=False)
    if a.profiles != b.profiles:
        yield part("profiles", *(Spot(_profiles(each), each.span) for each in (a, b)), decides=False)
    elif _holds(a, profile_a) != _holds(b, profile_b):
        spots = (
            Spot("yes" if _holds(each, profile) else f"only of {_profiles(each)}", each.span)
            for each, profile in ((a, profile_a), (b, profile_b))
        )
        yield part("promised", *spots, decides=False)


def _holds(invariant: Invariant, profile: str) -> bool:
    return invariant.profiles is None or profile in invariant.profiles


def _profiles(invariant: Invariant) -> str:
    return "all" if invariant.profiles is None else ", ".join(invariant.profiles)


def _spot(invariant: Invariant | None) -> Spot | None:
    return Spot(print_invariant(invariant), invariant.span) if invariant is not None else None


def _said(invariant: Invariant, words: Words) -> str:
    """What an invariant promises, however it was written."""
    held = {field.name: getattr(invariant, field.name) for field in fields(invariant)}
    said: dict[str, Any] = {
        name: replace(text, text=words.expression(text.expression, qualified=True))
        for name, text in held.items()
        if isinstance(text, Written)
    }
    return print_invariant(replace(invariant, **said))
