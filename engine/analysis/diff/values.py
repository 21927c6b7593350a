"""Values side by side: for each parameter, and for each symbol group that gives it another."""

from __future__ import annotations

from collections.abc import Iterator

from engine.analysis.diff.changes import Change, Given, Kind, Spot, ValueChange
from engine.analysis.diff.parts import merged, type_text
from engine.analysis.diff.renames import Words
from engine.language.model import Binding, ParameterDeclaration
from engine.language.printer import print_value
from engine.language.rulebook import Rulebook
from engine.language.types import NumberType


def compare_values(a: Rulebook, b: Rulebook, words: Words) -> Iterator[ValueChange]:
    """The values that differ, parameter by parameter, for all symbols first."""
    for name_a, name_b in _names(a, b, words):
        yield from _Parameter(a, b, name_a, name_b).changes()


def compare_declarations(a: Rulebook, b: Rulebook, words: Words) -> Iterator[Change]:
    """The parameters that both sides declare, with another type, range or unit. No decision depends on it."""
    for name_a, name_b in _names(a, b, words):
        if name_a is None or name_b is None:
            continue
        one, other = a.declarations[name_a], b.declarations[name_b]
        if one.type != other.type:
            spots = (_declared(one, other), _declared(other, one))
            yield Change("parameter", "changed", name_a, name_b, *spots, decides=False)


def compare_reasons(a: Rulebook, b: Rulebook, words: Words) -> Iterator[Change]:
    """The values that are equal and have another `why`."""
    for name_a, name_b in _names(a, b, words):
        if name_a is None or name_b is None:
            continue
        parameter = _Parameter(a, b, name_a, name_b)
        for group, one, other in parameter.equal():
            suffix = f" for {group}" if group else ""
            spots = (Spot(one.why, one.span), Spot(other.why, other.span))
            if one.why != other.why:
                yield Change("why", "changed", f"{name_a}{suffix}", f"{name_b}{suffix}", *spots, decides=False)


def groups_of(rulebook: Rulebook) -> list[str]:
    """The names of a profile's symbol groups, sorted."""
    return sorted({name for names in rulebook.bindings for name in names})


def _names(a: Rulebook, b: Rulebook, words: Words) -> Iterator[tuple[str | None, str | None]]:
    """The parameters of both sides: what each calls it, None where it has none."""
    names_a = {words.param(name): name for name in a.declarations}
    for name in merged(list(names_a), list(b.declarations)):
        yield names_a.get(name), name if name in b.declarations else None


def _declared(one: ParameterDeclaration, other: ParameterDeclaration) -> Spot:
    return Spot(type_text(one.type, other.type), one.span)


class _Parameter:
    """One parameter on both sides."""

    def __init__(self, a: Rulebook, b: Rulebook, name_a: str | None, name_b: str | None) -> None:
        self._names = name_a, name_b
        self._base = _given(a, name_a, None), _given(b, name_b, None)
        self._groups = {
            group: (_given(a, name_a, group), _given(b, name_b, group)) for group in merged(groups_of(a), groups_of(b))
        }

    def changes(self) -> Iterator[ValueChange]:
        name_a, name_b = self._names
        kind: Kind = "added" if name_a is None else "removed" if name_b is None else "changed"
        differs = _differ(*self._base)
        renamed = kind == "changed" and _bare(name_a) != _bare(name_b)  # that its set was, is said of the set
        if differs or renamed:
            kept = tuple(group for group, pair in self._groups.items() if differs and not _differ(*pair))
            of_all: Kind = "renamed" if renamed else kind
            yield ValueChange(of_all, name_a, name_b, None, *self._base, kept)
        for group, (one, other) in self._groups.items():
            if _differ(one, other) and _is_own(one, other):
                yield ValueChange(kind, name_a, name_b, group, one, other)

    def equal(self) -> Iterator[tuple[str | None, Given, Given]]:
        """Where both sides give the same value: for all symbols, and for groups of which a side gives it itself."""
        for group, (one, other) in ((None, self._base), *self._groups.items()):
            of_group = group is None or _is_own(one, other)
            if of_group and one is not None and other is not None and not _differ(one, other):
                yield group, one, other


def _given(rulebook: Rulebook, name: str | None, group: str | None) -> Given | None:
    """The value in force for the symbols of a group; those of a group that there is none of have that of all."""
    if name is None:
        return None
    binding: Binding = rulebook.bindings.get((group,) if group is not None else (), rulebook.bindings[()])
    value, origin, kind = binding.values[name], binding.origins[name], rulebook.declarations[name].type
    unit = kind.unit if isinstance(kind, NumberType) else ""
    text = f"{print_value(value, kind)} {unit}".rstrip()
    return Given(value, unit, text, origin.span, origin.why, origin.profile, origin.group)


def _bare(name: str | None) -> str:
    """A parameter without its rule set."""
    return (name or "").rpartition(".")[2]


def _differ(a: Given | None, b: Given | None) -> bool:
    """A number and a flag never agree, and a unit is no part of a value."""
    return a is None or b is None or type(a.value) is not type(b.value) or a.value != b.value


def _is_own(a: Given | None, b: Given | None) -> bool:
    """True if a group gives the value itself, on either side."""
    return any(given is not None and given.group is not None for given in (a, b))
