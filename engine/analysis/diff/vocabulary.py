"""Facts and windows side by side."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from engine.analysis.diff.changes import Change, Part, Spot
from engine.analysis.diff.documents import Documents
from engine.analysis.diff.parts import (
    change,
    compare_named,
    compare_types,
    merged,
    one_spaced,
    part,
    written,
)
from engine.analysis.diff.renames import SAME, Words
from engine.language.build import FACTS
from engine.language.findings import Span
from engine.language.model import Group, Window
from engine.language.printer import print_expression
from engine.language.rulebook import Rulebook
from engine.language.types import Type


def compare_facts(a: Rulebook, b: Rulebook, documents: tuple[Documents, Documents], words: Words) -> Iterator[Change]:
    """Groups of facts, and how far ahead of now an observation may lie."""
    limits = (_limit(a.max_ahead, words), _limit(b.max_ahead, SAME))
    if limits[0] != limits[1]:
        spots = [
            Spot(f"${book.max_ahead}", text.vocabulary.max_ahead.span)
            if book.max_ahead is not None and text.vocabulary.max_ahead is not None
            else None
            for book, text in zip((a, b), documents, strict=True)
        ]
        names = ("max_ahead_s" if spots[0] else None, "max_ahead_s" if spots[1] else None)
        found = change("facts", names, (spots[0], spots[1]), [part("max_ahead_s", *spots)])
        if found is not None:
            yield found
    for name in merged(list(a.groups), list(b.groups)):
        one, other = a.groups.get(name), b.groups.get(name)
        parts = list(_group(one, other, documents, words)) if one and other else []
        names = (name if one else None, name if other else None)
        found = change("facts", names, (_group_spot(one), _group_spot(other)), parts)
        if found is not None:
            yield found


def compare_windows(a: Rulebook, b: Rulebook, words: Words) -> Iterator[Change]:
    """Windows by the fact that each gives, and the fields that they read."""
    for name in merged(list(a.windows), list(b.windows)):
        one, other = a.windows.get(name), b.windows.get(name)
        parts: list[Part] = []
        if one is not None and other is not None:
            parts = compare_named("", _counting(one, words), _counting(other, SAME))
            if one.event == other.event:
                parts += compare_types(f"field {one.event}", _fields(a, one), _fields(b, other))
        names = (name if one else None, name if other else None)
        found = change("window", names, (_window_spot(one), _window_spot(other)), parts)
        if found is not None:
            yield found


def _group(a: Group, b: Group, documents: tuple[Documents, Documents], words: Words) -> Iterator[Part]:
    if _limit(a.max_age, words) != _limit(b.max_age, SAME):
        spots = [
            Spot(f"${group.max_age}", _age_span(text, group)) if group.max_age is not None else None
            for group, text in zip((a, b), documents, strict=True)
        ]
        yield part("max_age_s", *spots)
    facts = [{fact.name: (fact.type, fact.span) for fact in group.facts} for group in (a, b)]
    yield from compare_types("fact", *facts)
    relations = [_relations(group, text) for group, text in zip((a, b), documents, strict=True)]
    yield from compare_named("relation", *relations, named=False)


def _limit(name: str | None, words: Words) -> str | None:
    """The parameter that limits an age, by B's name."""
    return words.param(f"{FACTS}.{name}") if name is not None else None


def _age_span(documents: Documents, group: Group) -> Span:
    age = documents.vocabulary.groups[group.name].max_age
    return age.span if age is not None else group.span


def _relations(group: Group, documents: Documents) -> dict[str, tuple[Hashable, Spot]]:
    """The relations of a group, by what they say: their order means nothing."""
    spans = {text.text: text.span for text in documents.vocabulary.relations}
    found: dict[str, tuple[Hashable, Spot]] = {}
    for relation in sorted(group.relations, key=lambda relation: (relation.left, relation.operator, relation.right)):
        said = f"{relation.left} {relation.operator} {relation.right}"
        spot = Spot(one_spaced(relation.text), spans.get(relation.text, group.span))
        found[said if said not in found else f"{said} again, at {len(found)}"] = (said, spot)
    return found


def _counting(window: Window, words: Words) -> dict[str, tuple[Hashable, Spot]]:
    """What a window counts and how, key by key as its document has them."""

    def plain(text: str) -> tuple[Hashable, Spot]:
        return text, Spot(text, window.span)

    found = {
        "event": plain(window.event),
        "measure": plain(window.measure),
        "per": plain(", ".join(sorted(window.per))),
    }
    if window.of is not None:
        found["of"] = plain(window.of)
    if window.filter is not None:
        said = words.expression(window.filter.expression, qualified=True)
        found["filter"] = (said, written(window.filter))
    if window.length is not None:
        said = words.expression(window.length, qualified=True)
        found["window_s"] = (said, Spot(print_expression(window.length, qualified=True), window.span))
    return found


def _fields(rulebook: Rulebook, window: Window) -> dict[str, tuple[Type, Span]]:
    """The fields of its event that a window reads; no decision depends on others."""
    fields = rulebook.events[window.event].fields
    return {field.name: (field.type, field.span) for field in fields if field.name in window.fields()}


def _group_spot(group: Group | None) -> Spot | None:
    return Spot(", ".join(fact.name for fact in group.facts), group.span) if group is not None else None


def _window_spot(window: Window | None) -> Spot | None:
    return Spot(f"{window.measure} of {window.event}", window.span) if window is not None else None
