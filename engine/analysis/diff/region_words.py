"""A region in words: its pieces as conditions, those of one fact together, numbers of parameters filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from engine.analysis.diff.paths import Linear, difference
from engine.analysis.diff.pieces import Clamped, End, Piece, keys_in
from engine.analysis.diff.transitions import (
    AgeCondition,
    Bound,
    Condition,
    FactCondition,
    Region,
    RelationCondition,
    SumCondition,
    show_exact,
)
from engine.backends.solver.space import OTHER, Key, Space
from engine.language.model import Compare
from engine.language.printer import print_expression
from engine.language.syntax import Comparator

_MIRRORED: Mapping[Comparator, Comparator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def region(space: Space, pieces: Sequence[Piece]) -> Region:
    """The pieces as conditions, those of one fact together, in the order of the vocabulary."""
    by_fact: dict[Key, list[Piece]] = {}
    relations: list[Condition] = []
    ages: dict[str, AgeCondition] = {}
    for piece in pieces:
        match piece.kind:
            case "relation" | "sum":
                continue
            case "age lower" | "age upper":
                assert piece.bound is not None
                held = ages.get(piece.key[0], AgeCondition(piece.key[0], None, None))
                lower = piece.kind == "age lower"
                ages[piece.key[0]] = replace(held, lower=piece.bound) if lower else replace(held, upper=piece.bound)
            case _:
                by_fact.setdefault(piece.key, []).append(piece)
    known = {key for key, held in by_fact.items() if any(piece.kind == "known" for piece in held)}
    related: set[Key] = set()
    for piece in pieces:
        if piece.relation is not None:
            facts = list(keys_in(piece.relation))
            or_missing = not known.issuperset(facts)
            related |= set() if or_missing else set(facts)
            names = tuple(f"{group}.{name}" for group, name in facts)
            relations.append(RelationCondition(piece.relation, names, or_missing, _worded(piece.relation)))
    order = {key: index for index, key in enumerate(space.variables)}
    facts_first = [
        _condition(space, key, by_fact[key])
        for key in sorted(by_fact, key=order.__getitem__)
        if not (key in related and [piece.kind for piece in by_fact[key]] == ["known"])
    ]
    return Region((*ages.values(), *facts_first, *relations, *_sums(pieces)))


def _sums(pieces: Sequence[Piece]) -> Iterator[SumCondition]:
    """What is asked of each sum, both ends together."""
    held: dict[Clamped, dict[End, Bound | None]] = {}
    for piece in pieces:
        if piece.sum is not None:
            held.setdefault(piece.sum, {})[piece.end] = piece.bound
    for clamped, ends in reversed(held.items()):  # pieces have those of later rules first
        side: Literal["A", "B"] | None = None if clamped.side is None else "B" if clamped.side else "A"
        running = clamped.running
        yield SumCondition(running.name, running.rule, side, ends.get("lower"), ends.get("upper"))


def _condition(space: Space, key: Key, pieces: Sequence[Piece]) -> FactCondition:
    kinds = {piece.kind: piece for piece in pieces}
    name = f"{key[0]}.{key[1]}"
    variable = space.variables[key]
    all_values = ["true", "false"] if variable.flag is not None else list(variable.options)
    if "missing" in kinds:
        return FactCondition(name, variable.type, "missing")
    lower, upper, values = kinds.get("lower"), kinds.get("upper"), kinds.get("values")
    bounds = [each.bound if each is not None else None for each in (lower, upper)]
    at_end = variable.number is not None and any(
        bound is not None and other is None and bound.value == end
        for bound, other, end in zip(bounds, reversed(bounds), reversed(space.ends(key)), strict=True)
    )
    listed = None if values is None else tuple("" if value == OTHER else value for value in values.values)
    others = [value for value in all_values if values is not None and value not in values.values]
    return FactCondition(
        name,
        variable.type,
        "known" if "known" in kinds else "any",
        bounds[0],
        bounds[1],
        listed,
        tuple(value for value in others if value != OTHER),
        at_end and any(bound is not None and bound.inclusive for bound in bounds),
    )


def _worded(comparison: Compare) -> str:
    """A comparison of facts; a sum of them with each on the side where it is added."""
    found = difference(comparison)
    if found is None:
        return print_expression(comparison)
    left, right = _added(found, 1), _added(found, -1)
    constant = found.constant
    operator: str = comparison.operator
    if not left:
        left, right, constant, operator = right, left, -constant, _MIRRORED[comparison.operator]
    if constant and right:
        (left if constant > 0 else right).append(show_exact(abs(constant)))
    elif not right:
        right = [show_exact(-constant)]
    return f"{' + '.join(left)} {operator} {' + '.join(right)}"


def _added(of: Linear, sign: int) -> list[str]:
    return [
        fact.name if abs(factor) == 1 else f"{show_exact(abs(factor))} * {fact.name}"
        for fact, factor in of.factors
        if factor * sign > 0
    ]
