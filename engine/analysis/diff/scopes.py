"""Which symbols are compared together: those that have the same values on both sides, as far as a policy reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.analysis.diff.reach import steps_for
from engine.analysis.diff.transitions import Scope
from engine.language.rulebook import Rulebook
from engine.language.soundness import parameters_of
from engine.language.types import Value


@dataclass(frozen=True, slots=True)
class Compared:
    """Symbols that have the same values on both sides, of those that what is asked about depends on."""

    symbol: str | None
    """One of them; None where any symbol in no group is."""
    scope: Scope


def compared(a: Rulebook, b: Rulebook, policy: str, decision: str) -> list[Compared]:
    """The sets of symbols for which a decision has to be compared, that of all other symbols first."""
    found: dict[object, list[str | None]] = {}
    for symbol in (None, *sorted({*a.symbols, *b.symbols})):
        key = tuple(_values(book, policy, decision, symbol) for book in (a, b))
        found.setdefault(key, []).append(symbol)
    return [Compared(held[0], _scope(a, b, held)) for held in found.values()]


def _scope(a: Rulebook, b: Rulebook, symbols: list[str | None]) -> Scope:
    groups_a, groups_b = (tuple(dict.fromkeys(book.binding_of(symbol).groups for symbol in symbols)) for book in (a, b))
    named = tuple(symbol for symbol in symbols if symbol is not None)
    excluded = tuple(sorted({*a.symbols, *b.symbols} - set(named)))
    return Scope(named, excluded, None in symbols, groups_a, groups_b)


def _values(book: Rulebook, policy: str, decision: str, symbol: str | None) -> tuple[tuple[str, Value | None], ...]:
    """The values that a decision depends on, for a symbol, by name."""
    of = book.policies[policy]
    values: Mapping[str, Value] = book.binding_of(symbol).values
    names = {name for step in steps_for(of.steps, decision) for name in parameters_of(step)}
    limits = {book.max_ahead, *(group.max_age for group in of.groups)}
    names |= {f"facts.{limit}" for limit in limits if limit is not None}
    return tuple((name, values.get(name)) for name in sorted(names))


def joined(one: Scope, other: Scope) -> Scope:
    """The symbols of both."""
    symbols = tuple(sorted({*one.symbols, *other.symbols}))
    return Scope(
        symbols,
        tuple(sorted({*one.excluded, *other.excluded} - set(symbols))),
        one.others or other.others,
        tuple(dict.fromkeys((*one.groups_a, *other.groups_a))),
        tuple(dict.fromkeys((*one.groups_b, *other.groups_b))),
    )
