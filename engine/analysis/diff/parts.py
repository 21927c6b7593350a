"""How differences are put together: of lists, of things with names, and of types."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from engine.analysis.diff.align import aligned
from engine.analysis.diff.changes import Change, Kind, Part, Spot, Topic
from engine.analysis.show import describe_type
from engine.language.findings import Span
from engine.language.model import Written
from engine.language.printer import print_number
from engine.language.types import ChoiceType, NumberType, Type, describe

ORDER = "order"
"""What differs where something stands elsewhere among its like."""


def part(what: str, a: Spot | None, b: Spot | None, *, decides: bool = True) -> Part:
    """A part that was added, removed or changed."""
    return Part(_kind(a, b), what, a, b, decides)


def change(
    topic: Topic,
    names: tuple[str | None, str | None],
    spots: tuple[Spot | None, Spot | None],
    parts: Sequence[Part] = (),
    *,
    decides: bool = True,
) -> Change | None:
    """Something that is on one side alone, or differs in its name or its parts; None where nothing differs.

    `decides` says whether what is added, removed or renamed is a part of the version; otherwise the parts say it.
    """
    (name_a, name_b), (a, b) = names, spots
    kind = _kind(a, b)
    if kind != "changed":
        return Change(topic, kind, name_a, name_b, a, b, tuple(parts), decides)
    if name_a != name_b:
        return Change(topic, "renamed", name_a, name_b, a, b, tuple(parts), decides)
    if not parts:
        return None
    if [each.what for each in parts] == [ORDER]:
        kind = "moved"
    return Change(topic, kind, name_a, name_b, a, b, tuple(parts), any(each.decides for each in parts))


def written(text: Written) -> Spot:
    """An expression as it was written, on one line."""
    return Spot(one_spaced(text.text), text.span)


def one_spaced(text: str) -> str:
    """The text without line breaks and indentation."""
    return " ".join(text.split())


def compare_named(
    what: str,
    a: Mapping[str, tuple[Hashable, Spot]],
    b: Mapping[str, tuple[Hashable, Spot]],
    *,
    named: bool = True,
    decides: bool = True,
) -> list[Part]:
    """Things by name, each with what it means and how that looks, where their order means nothing.

    `named` says whether a part tells the name beside `what`; otherwise it is what the thing looks like.
    """
    parts: list[Part] = []
    for name in merged(list(a), list(b)):
        here, there = a.get(name), b.get(name)
        if here is None or there is None or here[0] != there[0]:
            spots = (here[1] if here else None, there[1] if there else None)
            parts.append(part(f"{what} {name}".strip() if named else what, *spots, decides=decides))
    return parts


def merged(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """The names of both lists, each once, in an order that is that of both as far as they agree."""
    names = (a[i] if i is not None else b[j] if j is not None else "" for i, j in aligned(a, b))
    return list(dict.fromkeys(names))


def compare_lists(what: str, a: Sequence[tuple[str, Spot]], b: Sequence[tuple[str, Spot]]) -> list[Part]:
    """Names in an order that means something, each once: those of A as B calls them, with how each looks."""
    names_a, names_b = [name for name, _ in a], [name for name, _ in b]
    parts: list[Part] = []
    for i, j in aligned(names_a, names_b):
        if j is None and i is not None and names_a[i] not in names_b:
            parts.append(part(what, a[i][1], None))
        elif i is None and j is not None and names_b[j] not in names_a:
            parts.append(part(what, None, b[j][1]))
        elif i is None and j is not None:
            parts.append(Part("moved", what, placed(a, names_a.index(names_b[j])), placed(b, j)))
    return parts


def placed(listed: Sequence[tuple[str, Spot]], index: int) -> Spot:
    """An entry of a list, and after which other it stands."""
    spot = listed[index][1]
    place = f"after {listed[index - 1][1].text}" if index else "first"
    return Spot(f"{spot.text}, {place}", spot.span)


def compare_types(
    what: str,
    a: Mapping[str, tuple[Type, Span]],
    b: Mapping[str, tuple[Type, Span]],
) -> list[Part]:
    """Declared names with their types."""

    def spots(own: Mapping[str, tuple[Type, Span]], other: Mapping[str, tuple[Type, Span]]) -> dict[str, Spot]:
        return {
            name: Spot(type_text(kind, other[name][0] if name in other else kind), span)
            for name, (kind, span) in own.items()
        }

    spots_a, spots_b = spots(a, b), spots(b, a)
    return compare_named(
        what,
        {name: (kind, spots_a[name]) for name, (kind, _) in a.items()},
        {name: (kind, spots_b[name]) for name, (kind, _) in b.items()},
    )


def type_text(kind: Type, other: Type) -> str:
    """A type in words, told apart from another: by every digit of its range, or by its unit or order, if need be."""
    text = describe_type(kind)
    if kind == other or text != describe_type(other):
        return text
    if isinstance(kind, NumberType):
        return f"{print_number(kind.min)} to {print_number(kind.max)} {kind.unit}".rstrip()
    return f"{text} ({'ordered' if isinstance(kind, ChoiceType) and kind.ordered else describe(kind)})"


def _kind(a: Spot | None, b: Spot | None) -> Kind:
    return "added" if a is None else "removed" if b is None else "changed"
