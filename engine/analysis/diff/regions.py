"""Where a transition happens, in the facts' own terms: regions of inputs, each as wide as it can be made.

In: a transition as a bit over a space of two sides, and an input that makes it. From the paths of that input through
both sides follow conditions (`pieces`) that hold for it and imply the transition. Each is then dropped if the others
imply the transition without it, or else made as weak as it can be: what stays is a prime implicant. Regions are added
until the solver says that no input of the transition lies outside all of them, or until there are too many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Literal

import z3

from engine.analysis.diff.exact import Exact, Sight, is_set
from engine.analysis.diff.paths import Path, follow
from engine.analysis.diff.pieces import ENDS, End, Piece, Terrain, keys_in
from engine.analysis.diff.region_words import region
from engine.analysis.diff.transitions import Region
from engine.analysis.proofs.asking import Confirm, Proven, Refuted, Undecided
from engine.backends.solver.space import Key, Point
from engine.backends.solver.terms import Bit, conj, disj, neg

MOST_REGIONS = 40
"""Regions of one transition; where these do not cover it, it says so."""
FEW_REGIONS = 8
"""Regions in facts alone that say it well enough; where it takes more, sums are tried as they are."""
_MOST_APART = 3
"""Inputs around which no region is found before the search ends."""


@dataclass(frozen=True, slots=True)
class Found:
    """The regions of a transition."""

    regions: tuple[Region, ...]
    covered: bool
    why: str = ""
    """Why they do not cover it."""
    unconfirmed: tuple[Region, ...] = ()
    """Regions in which exact arithmetic makes the transition, and no input of doubles was found that does."""
    first: Point | None = None
    """An input that makes it, as the interpreter confirms; None where none was found."""


def unconfirmed(found: Found) -> str:
    """Where all that is known of a transition is what exact arithmetic makes of it; empty where more is."""
    if found.regions or not found.covered or not found.unconfirmed:
        return ""
    texts = " or ".join(f"({region.text})" for region in found.unconfirmed)
    return f"in exact arithmetic alone, no input of doubles was found that confirms it: {texts}"


@dataclass(frozen=True)
class Wanted:
    """A transition whose regions are looked for: as a bit over a space, and by what the interpreter makes of inputs."""

    bit: Bit
    decision: str
    direction: Literal["rises", "falls"] | None
    exact: Exact
    confirm: Confirm
    """Whether an input makes it, in doubles."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A region as it was found; `point` is an input in it that the interpreter confirms, if there is one."""

    pieces: list[Piece]
    bit: Bit
    point: Point | None


def cover(terrain: Terrain, wanted: Wanted) -> Found:
    """Regions of a transition until they cover it, or why they do not.

    They are in facts alone if few say it, or else with sums as they are before rules clamp them, if that covers it.
    """
    in_facts = _Search(terrain, wanted, with_sums=False)
    plain = in_facts.run(2 * FEW_REGIONS if terrain.sums else MOST_REGIONS)
    if not terrain.sums or (plain.covered and len(plain.regions) <= FEW_REGIONS):
        return plain
    summed = _Search(terrain, wanted, with_sums=True).run(MOST_REGIONS)
    if summed.covered and not (plain.covered and len(plain.regions) <= len(summed.regions)):
        return summed
    return plain if plain.covered else in_facts.run(MOST_REGIONS)


@dataclass
class _Search:
    """The search for regions, one input after the other."""

    terrain: Terrain
    wanted: Wanted
    with_sums: bool
    held: list[_Held] = field(default_factory=list)
    apart: list[tuple[str, Bit]] = field(default_factory=list)
    """Inputs around which no region was found, in words, and what is not next to them."""

    def run(self, most: int) -> Found:
        """Regions until they cover the transition, but not more than these; from where it ended, if it did."""
        bit = self.terrain.asker.named(self.wanted.bit)
        why, most_apart = "", len(self.apart) + _MOST_APART
        while not why:
            left = [bit, *(others for _, others in self.apart), *(neg(each.bit) for each in self.held)]
            found = self.terrain.model(left)
            if isinstance(found, Undecided):
                why = found.why
            elif isinstance(found, Proven):
                why = self._without_regions()
                break
            elif len(self.held) == most:
                why = f"there are more than {most} regions"
            elif not self._around(found, bit):
                self.apart.append((self.terrain.near(found), self.terrain.elsewhere(found)))
                why = self._without_regions() if len(self.apart) >= most_apart else ""
        kept = _needed(self.terrain, _alike(self.terrain, bit, self.held))
        sure, unsure = ([each for each in kept if (each.point is None) == thin] for thin in (False, True))
        first = next((each.point for each in self.held if each.point is not None), None)
        return Found(self._in_words(sure), not why, why, self._in_words(unsure), first)

    def _without_regions(self) -> str:
        return f"no region was found around {' and '.join(text for text, _ in self.apart)}" if self.apart else ""

    def _around(self, found: z3.ModelRef, bit: z3.BoolRef) -> bool:
        """Add the region around an input. It is made of what the solver found, before anything was rounded."""
        sight = self.wanted.exact.sight(found)
        if sight is None:
            return False
        pieces = self.terrain.pieces(sight, self._paths(sight, into_clamps=not self.with_sums))
        if self.with_sums:
            pieces += self.terrain.sums_on(self._paths(sight, into_clamps=False))
        kept = widest(self.terrain, bit, pieces)
        if kept is None:
            return False
        region = conj(*(piece.bit for piece in kept))
        if not is_set(found, region):  # a root, of which the solver says so many digits
            return False
        point = self.terrain.space.point(found)
        if self.wanted.confirm((point,)):
            self.held.append(_Held(kept, region, point))
        else:
            answer = self.terrain.find([bit, region], self.wanted.confirm)
            self.held.append(_Held(kept, region, answer.points[0] if isinstance(answer, Refuted) else None))
        return True

    def _paths(self, sight: Sight, *, into_clamps: bool) -> list[Path]:
        """The paths to a decision on both sides; of a number that rises or falls, with that comparison of the two."""
        paths = [follow(way, self.wanted.decision, into_clamps=into_clamps) for way in sight.ways]
        if self.wanted.direction is not None:
            before, after = (path.numbers[self.wanted.decision] for path in paths)
            paths[0].compared("<" if self.wanted.direction == "rises" else ">", before, after)
        return paths

    def _in_words(self, held: Iterable[_Held]) -> tuple[Region, ...]:
        """The regions, those of fewest conditions first, in an order that does not depend on how they were found."""
        found = (region(self.terrain.space, each.pieces) for each in held)
        return tuple(sorted(found, key=lambda region: (len(region.conditions), region.text)))


def _alike(terrain: Terrain, bit: Bit, held: Sequence[_Held]) -> list[_Held]:
    """The regions, where one says a thing as another does if it can, and is the wider for it or the same.

    Each was made as wide as it can be by itself, and there are several ways; in one way they have more in common.
    """
    found = list(held)
    for at, other in product(range(len(found)), held):
        for pieces in _as_in(found[at].pieces, other.pieces):
            wider = terrain.asker.excluded(found[at].bit, neg(conj(*(piece.bit for piece in pieces))))
            kept = widest(terrain, bit, pieces) if wider else None
            if kept is not None:
                found[at] = _Held(kept, conj(*(piece.bit for piece in kept)), found[at].point)
    return found


def _as_in(mine: Sequence[Piece], theirs: Sequence[Piece]) -> Iterator[list[Piece]]:
    """A region with what it says of some facts replaced by how another compares the same."""
    own, others = {piece.meaning for piece in mine}, {piece.meaning for piece in theirs}
    new = [piece for piece in theirs if piece.meaning not in own]
    for piece in new:
        if piece.relation is None:
            continue
        about = set(keys_in(piece.relation))
        kept = [each for each in mine if each.meaning in others or about.isdisjoint(_keys(each))]
        if len(kept) < len(mine):
            yield [*kept, *(each for each in new if not about.isdisjoint(_keys(each)))]


def _needed(terrain: Terrain, held: Sequence[_Held]) -> list[_Held]:
    """The regions without those that the others cover; those that no input confirms go first."""
    kept = sorted(held, key=lambda each: each.point is not None)
    for own in list(kept):
        others = [other for other in kept if other is not own]
        if others and terrain.asker.excluded(own.bit, neg(disj(*(other.bit for other in others)))) is True:
            kept = others
    return kept


def widest(terrain: Terrain, transition: Bit, pieces: Sequence[Piece]) -> list[Piece] | None:
    """The pieces that are needed for the transition, each as weak as it can be; None if they do not imply it."""
    outside = neg(transition)
    core = terrain.asker.few(outside, [piece.bit for piece in pieces])
    if core is None:
        return None
    sums = [piece for piece in pieces if piece.sum is not None]  # stand for many facts, so these are dropped last
    kept = list(pieces) if sums else [pieces[index] for index in core]
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
        case "sum":
            assert piece.sum is not None
            assert piece.bound is not None
            bounds = terrain.bounds(piece.end, piece.sum)
            wider = (terrain.sum_bound(piece.end, piece.sum, bound) for bound in bounds[: bounds.index(piece.bound)])
            return next((each for each in wider if enough(each)), piece)
        case "missing":
            return _beside_missing(terrain, piece, lambda weaker: enough(weaker) and _adds(terrain, weaker, others))
    return piece


def _adds(terrain: Terrain, piece: Piece, others: Sequence[Piece]) -> bool:
    """Whether any input beside those without the fact meets what stands in place of `missing`."""
    bits = (other.bit for other in others)
    return all(terrain.asker.excluded(piece.bit, neg(terrain.gone(key)), *bits) is False for key in _keys(piece))


def _keys(piece: Piece) -> list[Key]:
    return list(keys_in(piece.relation)) if piece.relation is not None else [piece.key]


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
