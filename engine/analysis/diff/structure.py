"""The structural half of a diff: what two rulebooks say differently, in the documents' own terms.

In: two rulebooks. Out: a `Structure`. What is compared is the checked model, so that layout, comments, quotes and the
spelling of numbers make no difference; what is shown is what was written. Everything that the version depends on is
compared, and beside it what is promised of the same decisions: invariants, `requires`, `expect`, declared ranges of
parameters.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.analysis.diff.changes import Change, Part, Spot, Structure
from engine.analysis.diff.documents import Documents
from engine.analysis.diff.parts import change, merged, part
from engine.analysis.diff.policies import compare_policies
from engine.analysis.diff.promises import compare_invariants
from engine.analysis.diff.renames import find_renames
from engine.analysis.diff.rules import RuleComparison
from engine.analysis.diff.values import compare_declarations, compare_reasons, compare_values, groups_of
from engine.analysis.diff.vocabulary import compare_facts, compare_windows
from engine.language.rulebook import Rulebook


def compare(a: Rulebook, b: Rulebook) -> Structure:
    """Everything that differs between two rulebooks as they are written; empty for one and the same."""
    words = find_renames(a, b)
    documents = (Documents(a), Documents(b))
    rules = RuleComparison(a, b, words)
    return Structure(
        values=tuple(compare_values(a, b, words)),
        policies=tuple(compare_policies(a, b, documents, words)),
        rulesets=tuple(rules.rulesets()),
        rules=tuple(rules.rules()),
        disabled=tuple(rules.disabled()),
        parameters=tuple(compare_declarations(a, b, words)),
        facts=tuple(compare_facts(a, b, documents, words)),
        windows=tuple(compare_windows(a, b, words)),
        symbols=tuple(_symbol_groups(a, b, documents)),
        invariants=tuple(compare_invariants(a, b, words)),
        whys=(*compare_reasons(a, b, words), *rules.whys()),
    )


def _symbol_groups(a: Rulebook, b: Rulebook, documents: tuple[Documents, Documents]) -> Iterator[Change]:
    """Symbol groups by their members; what they give is among the values."""
    groups_a, groups_b = groups_of(a), groups_of(b)
    for name in merged(groups_a, groups_b):
        here = documents[0].members[name] if name in groups_a else {}
        there = documents[1].members[name] if name in groups_b else {}
        parts: list[Part] = []
        if name in groups_a and name in groups_b:
            parts = [part("of", Spot(symbol, here[symbol]), None) for symbol in here if symbol not in there]
            parts += [part("of", None, Spot(symbol, there[symbol])) for symbol in there if symbol not in here]
        spots = [
            Spot(", ".join(members) or "no symbols", text.symbol_group(name)) if name in groups else None
            for members, groups, text in zip((here, there), (groups_a, groups_b), documents, strict=True)
        ]
        names = (name if spots[0] else None, name if spots[1] else None)
        found = change("symbol group", names, (spots[0], spots[1]), parts)
        if found is not None:
            yield found
