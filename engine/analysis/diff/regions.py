"""Where a transition happens, in the facts' own terms: regions of inputs, each as wide as it can be made.

In: a transition as a bit over a space of two sides, and an input that makes it. From the paths of that input through
both sides follow conditions (`pieces`) that hold for it and imply the transition. Each is then dropped if the others
imply the transition without it, or else made as weak as it can be: what stays is a prime implicant. Regions are added
until the solver says that no input of the transition lies outside all of them, or until there are too many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from engine.analysis.diff.paths import Path, follow
from engine.analysis.diff.pieces import ENDS, End, Piece, Terrain, keys_in
from engine.analysis.diff.region_words import region
from engine.analysis.diff.transitions import Region
from engine.analysis.proofs.asking import Confirm, Proven, Refuted, Undecided
from engine.analysis.proofs.runs import Points, Run
from engine.backends.solver.space import Point
from engine.backends.solver.terms import Bit, conj, disj, neg

MOST_REGIONS = 12
"""Regions of one transition; where these do not cover it, it says so."""


@dataclass(frozen=True, slots=True)
class Found:
    """The regions of a transition."""

    regions: tuple[Region, ...]
    covered: bool
    why: str = ""
    """Why they do not cover it."""


def cover(
    terrain: Terrain,
    transition: Bit,
    decision: str,
    decide: Callable[[Point], tuple[Run, Run]],
    confirm: Confirm,
    first: Point,
    direction: Literal["rises", "falls"] | None,
) -> Found:
    """Regions of a transition until they cover it, or why they do not.

    `decide` runs an input under both sides, `confirm` says whether it makes the transition; `first` does.
    """
    regions: list[tuple[list[Piece], Bit]] = []
    point, why = first, ""

    def outside_all(points: Points) -> bool:
        if not confirm(points):
            return False
        runs = decide(points[0])
        return not any(all(piece.holds(runs, points[0]) for piece in pieces) for pieces, _ in regions)

    wanted = terrain.asker.named(transition)
    while not why:
        if len(regions) == MOST_REGIONS:
            why = f"there are more than {MOST_REGIONS} regions"
            break
        runs = decide(point)
        pieces = terrain.pieces(runs, point, _paths(runs, decision, direction))
        kept = widest(terrain, wanted, pieces)
        bit = conj(*(piece.bit for piece in kept)) if kept is not None else False
        if kept is None or terrain.asker.excluded(bit) is not False:
            why = "the solver found no region around an input"
            break
        regions.append((kept, bit))
        answer = terrain.find([wanted, *(neg(each) for _, each in regions)], outside_all)
        match answer:
            case Proven():
                kept_regions = _needed(terrain, regions)
                return Found(_in_words(terrain, kept_regions), covered=True)
            case Undecided(reason):
                why = reason
            case Refuted(points):
                point = points[0]
    return Found(_in_words(terrain, _needed(terrain, regions)), covered=False, why=why)


def _in_words(terrain: Terrain, regions: Iterable[Sequence[Piece]]) -> tuple[Region, ...]:
    """The regions, those of fewest conditions first, in an order that does not depend on how they were found."""
    found = (region(terrain.space, pieces) for pieces in regions)
    return tuple(sorted(found, key=lambda region: (len(region.conditions), region.text)))


def _needed(terrain: Terrain, regions: list[tuple[list[Piece], Bit]]) -> list[list[Piece]]:
    """The regions without those that the others cover."""
    kept = list(regions)
    for pieces, own in regions:
        others = [(other, bit) for other, bit in kept if other is not pieces]
        if others and terrain.asker.excluded(own, neg(disj(*(bit for _, bit in others)))) is True:
            kept = others
    return [pieces for pieces, _ in kept]


def _paths(runs: tuple[Run, Run], decision: str, direction: Literal["rises", "falls"] | None) -> list[Path]:
    """The paths to a decision on both sides; of a number that rises or falls, with that comparison of the two."""
    paths = [follow(run, decision) for run in runs]
    if direction is not None:
        before, after = (path.numbers[decision] for path in paths)
        paths[0].compared("<" if direction == "rises" else ">", before, after)
    return paths


def widest(terrain: Terrain, transition: Bit, pieces: Sequence[Piece]) -> list[Piece] | None:
    """The pieces that are needed for the transition, each as weak as it can be; None if they do not imply it."""
    outside = neg(transition)
    core = terrain.asker.few(outside, [piece.bit for piece in pieces])
    if core is None:
        return None
    kept = [pieces[index] for index in core]
    for piece in list(kept):
        others = [other for other in kept if other is not piece]
        if _enough(terrain, outside, others):
            kept = others
            continue
        weaker = _weakest(terrain, outside, piece, others)
        kept[kept.index(piece)] = weaker
    return kept


def _enough(terrain: Terrain, outside: Bit, pieces: Iterable[Piece]) -> bool:
    return terrain.asker.excluded(outside, *(piece.bit for piece in pieces)) is True


def _weakest(terrain: Terrain, outside: Bit, piece: Piece, others: Sequence[Piece]) -> Piece:
    def enough(weaker: Piece) -> bool:
        return _enough(terrain, outside, [*others, weaker])

    match piece.kind:
        case "lower" | "upper":
            return next((each for each in _looser(terrain, piece) if enough(each)), piece)
        case "values":
            return _wider(terrain, piece, enough)
        case "missing":
            return _beside_missing(terrain, piece, enough)
    return piece


def _looser(terrain: Terrain, piece: Piece) -> Iterator[Piece]:
    """Bounds further out, the furthest first."""
    assert piece.bound is not None
    kind: End = "lower" if piece.kind == "lower" else "upper"
    for bound in terrain.bounds(kind, piece.key):
        if bound == piece.bound:
            return
        yield terrain.bound(kind, piece.key, bound)


def _wider(terrain: Terrain, piece: Piece, enough: Callable[[Piece], bool]) -> Piece:
    order = terrain.all_values(piece.key)
    for value in order:
        if value not in piece.values:
            wider = terrain.values_in(piece.key, tuple(sorted((*piece.values, value), key=order.index)))
            piece = wider if enough(wider) else piece
    return piece


def _beside_missing(terrain: Terrain, piece: Piece, enough: Callable[[Piece], bool]) -> Piece:
    """What a fact may be where it is known, if anything."""
    if terrain.space.variables[piece.key].number is not None:
        tried = (terrain.bound(kind, piece.key, bound) for kind in ENDS for bound in terrain.bounds(kind, piece.key))
        related = (
            each
            for comparison in list(terrain.relations)
            if piece.key in keys_in(comparison)
            for held in (True, False)
            for each in terrain.relation(comparison, held=held)
        )
        return next((each for each in chain(tried, related) if enough(each)), piece)
    for value in terrain.all_values(piece.key):
        beside = terrain.values_in(piece.key, (value,))
        if enough(beside):
            return _wider(terrain, beside, enough)
    return piece
