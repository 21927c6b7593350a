"""A load that remembers earlier ones finds and makes the same as one that remembers nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from engine.book import Book
from engine.language import build, load, soundness
from engine.language.findings import Finding, LoadError
from engine.language.load import Files, Workspace
from engine.language.nodes import Source
from engine.language.rulebook import Rulebook
from tests.reload.homes import FILES, PROFILE, VALUES, facts, values

EDITS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "rules/tier.yaml": (
        ("spread_bps > $low_bps", "spread_bps >= $low_bps"),
        ("spread_bps > $low_bps", "spread > $low_bps"),
        ("of: [low, high]", "of: [low, middle, high]"),
        ("of: [low, high]", "of: [bad, high]"),
        ("unknown: skip\n", ""),
        ("max: 100}\nrules", "max: 50}\nrules"),
        ("# no comment\n", "# a comment\n"),
    ),
    "rules/offset.yaml": (
        ("tier == low", "tier == middle"),
        ("tier == low", "tier == low and spread_bps > 1"),
        ("add: {offset_bps: 1}", "at_least: {offset_bps: $base_bps}"),
        ("start: {offset_bps: $base_bps}", "start: {offset_bps: 0}"),
    ),
    "policies/facts.yaml": (
        ("spread_bps: {type: number, unit: bps, min: 0", "spread_bps: {type: number, unit: bps, min: 1"),
        ("unit: bps, min: 0, max: 20000", "unit: ms, min: 0, max: 20000"),
        ("spread_bps:", "width_bps:"),
    ),
    "policies/routing.yaml": (
        ("steps: [tier, offset]", "steps: [offset, tier]"),
        ("steps: [tier, offset]\ndecides: [tier, offset_bps]", "steps: [tier]\ndecides: [tier]"),
        ("decides: [tier, offset_bps]", "decides: [offset_bps, tier]"),
    ),
    VALUES: (
        (FILES[VALUES], values(low_bps=20)),
        (FILES[VALUES], values(base_bps=200)),
        ("max_age_s: 60", "max_age_s: 6"),
    ),
}


def outcome(files: Mapping[str, str]) -> tuple[Rulebook | None, tuple[Finding, ...]]:
    workspace = Workspace(Files({name: Source.of(name, text) for name, text in files.items()}, ()))
    try:
        rulebook = workspace.rulebook(PROFILE)
    except LoadError as error:
        return None, error.findings
    return rulebook, rulebook.warnings


def forget() -> None:
    for held in (load._read, build._built, build._facts, soundness._looked):
        held.clear()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_was_loaded_before_the_outcome_is_the_same(seed: int) -> None:
    rng = random.Random(seed)
    texts = dict(FILES) | {"rules/tier.yaml": "# no comment\n" + FILES["rules/tier.yaml"]}
    sequence = []
    for _ in range(40):
        name = rng.choice(list(EDITS))
        changed = dict(texts)
        for each in dict.fromkeys((name, rng.choice(list(EDITS)))):
            before, after = rng.choice(EDITS[each])
            changed[each] = texts[each].replace(before, after)
        sequence.append(changed)
    forget()
    warm = [outcome(files) for files in sequence]
    book: Book | None = None
    loaded = 0
    for files, (rulebook, findings) in zip(sequence, warm, strict=True):
        forget()
        fresh, told = outcome(files)
        assert findings == told
        assert (rulebook is None) == (fresh is None)
        if rulebook is None or fresh is None:
            continue
        loaded += 1
        assert (rulebook.version, rulebook.sources_digest) == (fresh.version, fresh.sources_digest)
        assert rulebook.policies == fresh.policies
        assert rulebook.bindings == fresh.bindings
        # And compiled like the book before, it decides as one that was compiled by itself.
        book = Book(rulebook).warm(book)
        for spread in (0.5, 14.0, 20.0, 30.0):
            try:
                alone = Book(fresh).decide("routing", facts(spread)).json()
            except Exception as error:  # noqa: BLE001 - the fact has another name: said alike
                with pytest.raises(type(error), match=str(error).partition(" ")[0]):
                    book.decide("routing", facts(spread))
            else:
                assert book.decide("routing", facts(spread)).json() == alone
    assert 5 < loaded < 40


def test_a_book_warmed_like_another_takes_over_what_is_the_same_and_lets_go_of_the_rest() -> None:
    first, _ = outcome(FILES)
    second, _ = outcome(
        {**FILES, "rules/offset.yaml": FILES["rules/offset.yaml"].replace("bps: 1}", "bps: $base_bps}")}
    )
    assert first is not None
    assert second is not None
    before = Book(first).warm()
    same, other = Book(first).warm(before), Book(second).warm(before)
    assert same.compiled.policy("routing").function is before.compiled.policy("routing").function
    assert other.compiled.policy("routing").function is not before.compiled.policy("routing").function
    assert other.compiled._functions == {}
    market = first.groups["market"]
    assert other.compiled.intake_of(market) is before.compiled.intake_of(market) is not None
