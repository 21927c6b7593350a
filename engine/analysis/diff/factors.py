"""Regions in fewer words: what all of them ask, once, and the rest as choices that do not depend on each other.

In: the regions of a transition. Out: `Factored`: an input lies in one of the regions if it meets all that is common,
and of each choice one alternative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

from engine.analysis.diff.transitions import AgeCondition, Condition, FactCondition, Region, RelationCondition

Conditions = tuple[Condition, ...]
"""All of them have to hold."""


@dataclass(frozen=True, slots=True)
class Factored:
    """Regions, taken apart."""

    common: Conditions
    choices: tuple[tuple[Conditions, ...], ...]
    """Of each choice one alternative has to hold. None where there is one region at most."""


def factored(regions: Sequence[Region]) -> Factored:
    """The same regions: what they share, and what they choose from; one choice where they choose from all at once."""
    if len(regions) < 2:
        return Factored(regions[0].conditions if regions else (), ())
    first, *others = regions
    common = tuple(each for each in first.conditions if all(each in other.conditions for other in others))
    rest = [tuple(each for each in region.conditions if each not in common) for region in regions]
    choices = [_projected(rest, block) for block in _blocks(rest)]
    if prod(map(len, choices)) != len(rest) or any(() in choice for choice in choices):
        return Factored(common, (tuple(rest),))
    return Factored(common, tuple(choices))


def _blocks(regions: Sequence[Conditions]) -> list[frozenset[str]]:
    """What conditions are about, together where one says anything of the other."""
    blocks = list(dict.fromkeys(frozenset((about,)) for region in regions for each in region for about in _about(each)))
    for region in regions:
        for each in region:
            blocks = _together(blocks, _about(each))
    while pair := next((pair for pair in combinations(blocks, 2) if _depend(regions, *pair)), None):
        blocks = _together(blocks, pair[0] | pair[1])
    return blocks


def _together(blocks: Sequence[frozenset[str]], about: frozenset[str]) -> list[frozenset[str]]:
    """The blocks that hold any of these as one, where the first of them was."""
    joined = frozenset().union(*(block for block in blocks if block & about))
    return list(dict.fromkeys(joined if block & about else block for block in blocks))


def _depend(regions: Sequence[Conditions], one: frozenset[str], other: frozenset[str]) -> bool:
    both = _projected(regions, one | other)
    return len(both) != len(_projected(regions, one)) * len(_projected(regions, other))


def _projected(regions: Sequence[Conditions], block: frozenset[str]) -> tuple[Conditions, ...]:
    """What the regions say of a block, each way of saying it once."""
    return tuple(dict.fromkeys(tuple(each for each in region if _about(each) & block) for region in regions))


def _about(condition: Condition) -> frozenset[str]:
    """The facts that a condition is about, or what else it is."""
    match condition:
        case FactCondition(fact=fact):
            return frozenset((fact,))
        case RelationCondition(facts=facts):
            return frozenset(facts)
        case AgeCondition(group=group):
            return frozenset((f"age of {group}",))
    return frozenset((f"{condition.decision} before {condition.rule}",))
