"""Policies side by side: what they read, their steps, what they hand out and recite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.analysis.diff.changes import Change, Part, Spot
from engine.analysis.diff.documents import Documents
from engine.analysis.diff.parts import change, compare_lists, compare_named, compare_types, merged, part
from engine.analysis.diff.renames import Words
from engine.language.documents import NamePlace, PolicyDocument
from engine.language.findings import Span
from engine.language.model import Policy
from engine.language.rulebook import Rulebook
from engine.language.types import Type
from engine.printing import counted

_OF_ANOTHER = "decisions."
"""What the groups are called that hold the decisions of another policy."""


def compare_policies(
    a: Rulebook, b: Rulebook, documents: tuple[Documents, Documents], words: Words
) -> Iterator[Change]:
    """Policies that one side alone runs, or that say something else; rule sets are compared by themselves."""
    both = a.policies.keys() & b.policies.keys()
    for name in merged(sorted(a.policies), sorted(b.policies)):
        one, other = a.policies.get(name), b.policies.get(name)
        parts: list[Part] = []
        if one is not None and other is not None:
            written = (documents[0].policy(name), documents[1].policy(name))
            parts = [*_lists(one, other, *written, words), *_decided_elsewhere(one, other, both)]
        names = (name if one else None, name if other else None)
        found = change("policy", names, (_spot(one), _spot(other)), parts)
        if found is not None:
            yield found


def _lists(a: Policy, b: Policy, text_a: PolicyDocument, text_b: PolicyDocument, words: Words) -> Iterator[Part]:
    yield from compare_named("reads", _reads(text_a), _reads(text_b), named=False)
    steps_a = [(words.ruleset(place.name), _at(place)) for place in text_a.steps]
    yield from compare_lists("steps", steps_a, [(place.name, _at(place)) for place in text_b.steps])
    decides = [[(place.name, _at(place)) for place in text.decides] for text in (text_a, text_b)]
    yield from compare_lists("decides", *decides)
    if a.reason != b.reason:
        spots = (
            Spot(", ".join(policy.reason), text.reason[0].span if text.reason else policy.span)
            for policy, text in ((a, text_a), (b, text_b))
        )
        yield part("reason", *spots)


def _reads(text: PolicyDocument) -> dict[str, tuple[str, Spot]]:
    """What a policy reads: the order means nothing."""
    names = [(f"{_OF_ANOTHER if read.decisions else ''}{read.name}", read.span) for read in text.reads]
    return {name: (name, Spot(name, span)) for name, span in names}


def _decided_elsewhere(a: Policy, b: Policy, both: frozenset[str] | set[str]) -> Iterator[Part]:
    """What both read of another policy that not both run: nothing else says that it is declared otherwise."""
    groups_a, groups_b = _handed(a), _handed(b)
    for name in groups_a.keys() & groups_b.keys():
        if name.removeprefix(_OF_ANOTHER) not in both:
            yield from compare_types(f"reads {name}", groups_a[name], groups_b[name])


def _handed(policy: Policy) -> dict[str, Mapping[str, tuple[Type, Span]]]:
    return {
        group.name: {fact.name: (fact.type, fact.span) for fact in group.facts}
        for group in policy.groups
        if group.name.startswith(_OF_ANOTHER)
    }


def _at(place: NamePlace) -> Spot:
    return Spot(place.name, place.span)


def _spot(policy: Policy | None) -> Spot | None:
    if policy is None:
        return None
    return Spot(f"{counted(len(policy.steps), 'step')}, decides {', '.join(policy.decides)}", policy.span)
