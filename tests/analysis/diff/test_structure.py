"""What differs between two rulebooks, as they are written: cases as data, and what holds for any two."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Iterator
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.diff.changes import Change, Part, Spot, Structure, ValueChange
from engine.analysis.diff.structure import compare
from engine.language.rulebook import Rulebook
from tests.analysis.diff import edits
from tests.analysis.diff.homes import (
    BASE,
    EDITS,
    FACTS,
    GATES,
    HOME,
    LIVE,
    OFFSET,
    ROUTING,
    TIER,
    WINDOWS,
    edited,
    load,
)
from tests.backends.strategies import Picker, pickers, write_rulebook
from tests.shipped.books import SHIPPED

SLOW = "  - {id: slow, when: slow_acks_60s >= $most_slow, unknown: skip}\n"
NESTED = "        - all: [side == sell, tier == low]\n"
CASES: dict[str, tuple[tuple[tuple[str, str, str], ...], tuple[str, ...]]] = {
    "a value": (
        ((BASE, "tier.low_bps: 10", "tier.low_bps: 11.5"),),
        ("value changed tier.low_bps: 10 bps -> 11.5 bps",),
    ),
    "a value that a group has of its own": (
        ((BASE, "max_spread_bps: 12", "max_spread_bps: 13"),),
        ("value changed gates.max_spread_bps: 12 bps -> 13 bps, but not for thin",),
    ),
    "a group's value": (
        ((BASE, "{value: 25", "{value: 30"),),
        ("value changed gates.max_spread_bps for thin: 25 bps -> 30 bps",),
    ),
    "a group": (
        ((BASE, "symbols:", "symbols:\n  deep: {of: [BTCUSDT], values: {tier.low_bps: {value: 9, why: deep}}}"),),
        ("value changed tier.low_bps for deep: 10 bps -> 9 bps", "symbol group added deep: BTCUSDT"),
    ),
    "members": (
        ((BASE, "PEPEUSDT", "SHIBUSDT"),),
        ("symbol group changed thin", "  removed of: PEPEUSDT", "  added of: SHIBUSDT"),
    ),
    "a parameter with another name": (
        ((OFFSET, "step_bps: {", "low_bps: {"), (OFFSET, "$step_bps", "$low_bps"), (BASE, "t.step_bps", "t.low_bps")),
        ("value renamed offset.step_bps -> offset.low_bps: 0.5 bps -> 0.5 bps",),
    ),
    "two parameters whose names were exchanged for others are told apart by what reads them": (
        (
            (OFFSET, "base_bps: {", "first_bps: {"),
            (OFFSET, "$base_bps", "$first_bps"),
            (
                OFFSET,
                "  step_bps: {type: number, unit: bps, min: 0, max: 5}",
                "  more_bps: {type: number, unit: bps, min: 0, max: 5}",
            ),
            (OFFSET, "$step_bps", "$more_bps"),
            (BASE, "offset.base_bps: 2", "offset.first_bps: 3"),
            (BASE, "offset.step_bps", "offset.more_bps"),
        ),
        (
            "value renamed offset.base_bps -> offset.first_bps: 2 bps -> 3 bps",
            "value renamed offset.step_bps -> offset.more_bps: 0.5 bps -> 0.5 bps",
        ),
    ),
    "a declared range": (
        (
            (
                TIER,
                "  low_bps: {type: number, unit: bps, min: 0, max: 100",
                "  low_bps: {type: number, unit: bps, min: 0, max: 99",
            ),
        ),
        ("parameter changed tier.low_bps: 0 to 100 bps -> 0 to 99 bps (decides nothing)",),
    ),
    "a leaf": (
        ((GATES, "spread_bps > $max", "spread_bps >= $max"),),
        (
            "rule changed gates.too_wide",
            "  changed when: spread_bps > $max_spread_bps -> spread_bps >= $max_spread_bps",
        ),
    ),
    "a leaf beside another": (
        ((GATES, "        - urgent\n", "        - urgent\n        - bid is missing\n"),),
        ("rule changed gates.hurried", "  added when any: bid is missing"),
    ),
    "a leaf deep inside": (
        ((GATES, "tier == low]", "tier != high, urgent]"),),
        (
            "rule changed gates.hurried",
            "  changed when any all: tier == low -> tier != high",
            "  added when any all: urgent",
        ),
    ),
    "leaves in another order": (
        ((GATES, f"        - urgent\n{NESTED}", f"{NESTED}        - urgent\n"),),
        (
            "rule changed gates.hurried",
            "  moved when any: urgent, first -> urgent, after all of [side == sell; tier == low]",
        ),
    ),
    "any for all": (
        ((GATES, "      any:", "      all:"),),
        ("rule changed gates.hurried", "  changed when: any of -> all of"),
    ),
    "a condition more for a rule that had one": (
        ((GATES, "when: bid >= ask", "when: {all: [bid >= ask, urgent]}"),),
        ("rule changed gates.crossed", "  changed when: one condition -> all of", "  added when: urgent"),
    ),
    "a condition for a rule that had none": (
        (
            (OFFSET, "when: spread_bps is known, ", ""),
            (OFFSET, "at_most: {offset_bps: spread_bps}", "at_most: {offset_bps: $step_bps}"),
        ),
        (
            "rule changed offset.in_the_spread",
            "  removed when: spread_bps is known",
            "  changed at_most offset_bps: spread_bps -> $step_bps",
        ),
    ),
    "what unknown does": (
        ((GATES, "$most_slow, unknown: skip", "$most_slow, unknown: match"),),
        ("rule changed gates.slow", "  changed unknown: skip -> match"),
    ),
    "an effect of another kind": (
        ((OFFSET, "add: {offset_bps", "at_least: {offset_bps"),),
        (
            "rule changed offset.low_tier",
            "  removed add offset_bps: $step_bps",
            "  added at_least offset_bps: $step_bps",
        ),
    ),
    "a rule": (
        ((OFFSET, "  - {id: in_the_spread, when: spread_bps is known, at_most: {offset_bps: spread_bps}}\n", ""),),
        ("rule removed offset.in_the_spread: when spread_bps is known; unknown: skip; at_most offset_bps: spread_bps",),
    ),
    "a rule with another id": (
        ((GATES, "id: slow", "id: slow_acks"),),
        ("rule renamed gates.slow -> gates.slow_acks",),
    ),
    "a rule elsewhere": (
        (
            (GATES, SLOW, ""),
            (GATES, "bid >= ask, unknown: skip}\n", "bid >= ask, unknown: skip}\n" + SLOW),
        ),
        ("rule moved gates.slow", "  moved order: slow, after too_wide -> slow, after crossed"),
    ),
    "a rule that is disabled": (
        ((LIVE, "policies:", "disable: [{rule: gates.slow, why: to see}]\npolicies:"),),
        ("disabled rule disabled gates.slow: when slow_acks_60s >= $most_slow; unknown: skip -> disabled",),
    ),
    "a disabled rule beside one like it is not renamed": (
        (
            (LIVE, "policies:", "disable: [{rule: gates.slow, why: to see}]\npolicies:"),
            (GATES, "rules:\n", "rules:\n" + SLOW.replace("id: slow", "id: slow_too")),
        ),
        (
            "rule added gates.slow_too: when slow_acks_60s >= $most_slow; unknown: skip",
            "disabled rule disabled gates.slow: when slow_acks_60s >= $most_slow; unknown: skip -> disabled",
        ),
    ),
    "what a rule is expected to do": (
        ((TIER, "why: a wide book moves first", "why: a wide book moves first, expect: reason"),),
        ("rule changed tier.wide (decides nothing)", "  added expect: reason"),
    ),
    "a hit policy and what it needs": (
        (
            (GATES, "hit: veto", "hit: first"),
            (GATES, "rules:", "unknown: skip\nrules:"),
            *(
                (GATES, f"id: {name},", f"id: {name}, set: {{open: false}},")
                for name in ("too_wide", "slow", "crossed")
            ),
            (GATES, "  - id: hurried\n", "  - id: hurried\n    set: {open: false}\n"),
            (GATES, "  - {id: crossed", "  - {id: crossed"),
            (GATES, "bid >= ask, unknown: skip}\n", "bid >= ask}\n  - {id: otherwise, set: {open: true}}\n"),
        ),
        (
            "rule set changed gates",
            "  changed hit: veto -> first",
            "rule changed gates.too_wide",
            "  changed unknown: match -> skip",
            "  added set open: false",
            "rule changed gates.slow",
            "  added set open: false",
            "rule changed gates.hurried",
            "  added set open: false",
            "rule changed gates.crossed",
            "  added set open: false",
            "rule added gates.otherwise: always; unknown: skip; set open: true",
        ),
    ),
    "what a set sets, starts from and requires": (
        (
            (
                OFFSET,
                "offset_bps: {type: number, unit: bps, min: 0, max: 10}",
                "offset_bps: {type: number, unit: bps, min: 0, max: 11}",
            ),
            (OFFSET, "start: {offset_bps: $base_bps}", "start: {offset_bps: $base_bps * 1}"),
            (TIER, "requires: [$high_bps <= $low_bps]", "requires: [$high_bps < $low_bps]"),
        ),
        (
            "rule set changed offset",
            "  changed sets offset_bps: 0 to 10 bps -> 0 to 11 bps",
            "  changed start offset_bps: $base_bps -> $base_bps * 1",
            "rule set changed tier (decides nothing)",
            "  removed requires: $high_bps <= $low_bps",
            "  added requires: $high_bps < $low_bps",
        ),
    ),
    "the steps of a policy": (
        ((ROUTING, "steps: [tier, gates, offset", "steps: [tier, offset, gates"),),
        ("policy changed routing", "  moved steps: offset, after gates -> offset, after tier"),
    ),
    "what a policy reads, decides and recites": (
        (
            (ROUTING, "decides: [tier, open, offset_bps, route]", "decides: [open, offset_bps, route]"),
            (ROUTING, "reason: [route, tier]", "reason: [route, offset_bps]"),
            ("policies/size.yaml", "reads: [", "reads: [book, "),
        ),
        (
            "policy changed routing",
            "  removed decides: tier",
            "  changed reason: route, tier -> route, offset_bps",
            "policy changed size",
            "  added reads: book",
        ),
    ),
    "a policy less": (
        ((LIVE, "[routing, size]", "[routing]"),),
        ("policy removed size: 1 step, decides share", "rule set removed share: first, 2 rules, sets share"),
    ),
    "facts": (
        (
            (FACTS, "max: 20000}", "max: 30000}"),
            (FACTS, "      urgent: {type: flag}\n", "      urgent: {type: flag}\n      note: {type: text}\n"),
            (FACTS, "relations: [bid <= ask]", "relations: [bid < ask]"),
        ),
        (
            "facts changed book",
            "  changed fact spread_bps: 0 to 20000 bps -> 0 to 30000 bps",
            "  removed relation: bid <= ask",
            "  added relation: bid < ask",
            "facts changed intent",
            "  added fact note: text",
        ),
    ),
    "a range that differs in its last digit": (
        (
            (
                FACTS,
                "bid: {type: number, unit: price, min: 0, max: 1000000",
                "bid: {type: number, unit: price, min: 0, max: 1000001",
            ),
        ),
        ("facts changed book", "  changed fact bid: 0 to 1000000 price -> 0 to 1000001 price"),
    ),
    "what limits ages": (
        (
            (FACTS, "max_ahead_s: $max_ahead_s", "max_ahead_s: $book_max_age_s"),
            (FACTS, "    max_age_s: $book_max_age_s", "    max_age_s: $max_ahead_s"),
        ),
        (
            "facts changed max_ahead_s",
            "  changed max_ahead_s: $max_ahead_s -> $book_max_age_s",
            "facts changed book",
            "  changed max_age_s: $book_max_age_s -> $max_ahead_s",
        ),
    ),
    "an age that no longer counts": (
        (
            (FACTS, "    max_age_s: $book_max_age_s\n", ""),
            (FACTS, "  book_max_age_s: {type: number, unit: s, min: 0, max: 600}\n", ""),
            (BASE, "  facts.book_max_age_s: 5\n", ""),
        ),
        (
            "value removed facts.book_max_age_s: 5 s -> ",
            "facts changed book",
            "  removed max_age_s: $book_max_age_s",
        ),
    ),
    "a window": (
        (
            (WINDOWS, "latency_ms > $", "latency_ms >= $"),
            (WINDOWS, "window_s: 60, per: [symbol]", "window_s: 61, per: [venue]"),
            (WINDOWS, "max: 600000}", "max: 700000}"),
        ),
        (
            "window changed slow_acks_60s",
            "  changed per: symbol -> venue",
            "  changed filter: latency_ms > $slow_ack_ms -> latency_ms >= $slow_ack_ms",
            "  changed window_s: 60 -> 61",
            "  changed field ack latency_ms: 0 to 600000 ms -> 0 to 700000 ms",
        ),
    ),
    "invariants": (
        (
            (ROUTING, "claim: not open implies route == taker", "claim: not open implies route != maker"),
            (ROUTING, "  - {id: wider_is_worse", "  - {id: wider_is_never_better"),
            (ROUTING, "  - id: narrow\n", "  - id: narrow\n    profiles: [trial]\n"),
        ),
        (
            "invariant changed routing.narrow (decides nothing)",
            "  changed profiles: all -> trial",
            "invariant changed routing.closed_is_taker (decides nothing)",
            "  changed says: not open implies route == taker -> not open implies route != maker",
            "invariant removed routing.wider_is_worse: tier falls as spread_bps rises (decides nothing)",
            "invariant added routing.wider_is_never_better: tier falls as spread_bps rises (decides nothing)",
        ),
    ),
}
"""Edits of the home, and what `compare` says of them."""

SAME = {
    "layout and quotes": (
        GATES,
        "{id: too_wide, when: spread_bps > $max_spread_bps}",
        'id: too_wide\n    when: "spread_bps>($max_spread_bps)"',
    ),
    "comments": (BASE, "  tier.low_bps: 10\n", "  # as measured\n  tier.low_bps: 10\n"),
    "the spelling of numbers": (BASE, "tier.low_bps: 10", "tier.low_bps: 1e1"),
    "a field that no window reads": (WINDOWS, "    fields:\n", "    fields:\n      id: {type: text}\n"),
    "docs": (TIER, "hit: first", "doc: How good the book is.\nhit: first"),
    "the order of keys": (
        FACTS,
        "{type: number, unit: price, min: 0, max: 1000000}",
        "{max: 1000000, min: 0, unit: price, type: number}",
    ),
    "the order of facts": (
        FACTS,
        "      urgent: {type: flag}\n      side: {type: choice, of: [buy, sell]}\n",
        "      side: {type: choice, of: [buy, sell]}\n      urgent: {type: flag}\n",
    ),
    "a parameter named in full": (GATES, "$most_slow", "$gates.most_slow"),
    "a value that a profile gives again": (
        LIVE,
        "extends: base",
        "extends: base\nvalues: {tier.low_bps: {value: 10, why: again}}",
    ),
    "the order of members": (BASE, "[DOGEUSDT, PEPEUSDT]", "[PEPEUSDT, DOGEUSDT]"),
}


def lines(structure: Structure) -> Iterator[str]:
    """A structure, a line for each change and each part."""
    for value in structure.values:
        name = f"{value.name_a} -> {value.name_b}" if value.kind == "renamed" else value.name
        group = f" for {value.group}" if value.group else ""
        kept = f", but not for {', '.join(value.kept)}" if value.kept else ""
        before, after = (given.text if given else "" for given in (value.a, value.b))
        yield f"value {value.kind} {name}{group}: {before} -> {after}{kept}"
    for change in structure.changes():
        yield _line(change)
        for part in change.parts:
            yield f"  {part.kind} {part.what}: {_texts(part.a, part.b)}"


def _line(change: Change) -> str:
    name = f"{change.name_a} -> {change.name_b}" if change.kind == "renamed" else change.name
    lone = change.kind in ("added", "removed", "disabled", "enabled") or change.topic == "parameter"
    told = f": {_texts(change.a, change.b)}" if lone else ""
    return f"{change.topic} {change.kind} {name}{told}{'' if change.decides else ' (decides nothing)'}"


def _texts(a: Spot | None, b: Spot | None) -> str:
    return " -> ".join(spot.text for spot in (a, b) if spot is not None)


@pytest.mark.parametrize("name", CASES)
def test_what_differs_is_named(name: str) -> None:
    changes, expected = CASES[name]
    before, after = load(HOME), load(edited(*changes))
    found = compare(before, after)
    assert list(lines(found)) == list(expected)
    assert found.decides == (before.version != after.version)


@pytest.mark.parametrize("name", SAME)
def test_what_means_the_same_is_no_difference(name: str) -> None:
    before, after = load(HOME), load(edited(SAME[name]))
    assert before.sources_digest != after.sources_digest
    assert not compare(before, after)


def test_a_rule_set_with_another_name_is_one_difference() -> None:
    files = edited((TIER, "ruleset: tier", "ruleset: grade"), (ROUTING, "steps: [tier", "steps: [grade"))
    files["rules/grade.yaml"] = files.pop(TIER)
    for name in ("tier.low_bps", "tier.high_bps"):
        files[BASE] = files[BASE].replace(name, name.replace("tier", "grade"))
    found = compare(load(HOME), load(files))
    assert list(lines(found)) == ["rule set renamed tier -> grade"]


def test_of_two_parameters_that_are_read_alike_none_is_taken_for_the_other() -> None:
    """Both steps are added where the tier is low: either could have become either."""
    before = edited(
        (OFFSET, "rules:\n", "rules:\n  - {id: again, when: tier == low, add: {offset_bps: $other_bps}}\n"),
        (OFFSET, "params:\n", "params:\n  other_bps: {type: number, unit: bps, min: 0, max: 5}\n"),
        (BASE, "offset.base", "offset.other_bps: 0.5\n  offset.base"),
    )
    after = {name: text.replace("step_bps", "x_bps").replace("other_bps", "y_bps") for name, text in before.items()}
    assert Counter(value.kind for value in compare(load(before), load(after)).values) == {"removed": 2, "added": 2}
    one = {name: text.replace("step_bps", "x_bps") for name, text in before.items()}
    assert [value.kind for value in compare(load(before), load(one)).values] == ["renamed"]


def test_a_rule_disabled_in_a_set_that_does_not_run_decides_nothing() -> None:
    alone = (LIVE, "[routing, size]", "[routing]")
    off = (LIVE, "policies:", "disable: [{rule: share.maker, why: to see}]\npolicies:")
    assert list(lines(compare(load(edited(alone)), load(edited(alone, off))))) == [
        "disabled rule disabled share.maker: disabled (decides nothing)",
    ]


def test_what_is_read_of_a_policy_that_does_not_run() -> None:
    alone = (LIVE, "[routing, size]", "[size]")
    more = ("rules/route.yaml", "[maker, taker]", "[maker, taker, both]")
    assert list(lines(compare(load(edited(alone)), load(edited(alone, more))))) == [
        "policy changed size",
        "  changed reads decisions.routing route: maker, taker -> maker, taker, both",
    ]


def test_profiles_of_one_home() -> None:
    found = compare(load(HOME), load(HOME, "trial"))
    assert list(lines(found)) == [
        "value changed tier.low_bps: 10 bps -> 20 bps",
        "disabled rule disabled gates.slow: when slow_acks_60s >= $most_slow; unknown: skip -> disabled",
        "invariant changed routing.closed_is_taker (decides nothing)",
        "  changed promised: yes -> only of live",
    ]
    back = compare(load(HOME, "trial"), load(HOME))
    assert [change.kind for change in back.disabled] == ["enabled"]


def test_both_places_and_both_whys_are_there() -> None:
    (value,) = compare(load(HOME), load(HOME, "trial")).values
    assert value.a is not None
    assert value.b is not None
    assert (str(value.a.span), value.a.profile, value.a.why) == ("profiles/base.yaml:6:3", "base", "")
    assert (str(value.b.span), value.b.profile, value.b.why) == (
        "profiles/trial.yaml:5:3",
        "trial",
        "trial books are thin",
    )


def test_a_why_alone_is_no_difference_and_is_kept_apart() -> None:
    found = compare(
        load(HOME),
        load(edited((TIER, "a wide book moves first", "it moves"), (BASE, "one tick is already 9 bps", "one tick"))),
    )
    assert not found
    assert [(change.name, _texts(change.a, change.b)) for change in found.whys] == [
        ("gates.max_spread_bps for thin", "one tick is already 9 bps -> one tick"),
        ("tier.wide", "a wide book moves first -> it moves"),
    ]


# What holds for any two ----------------------------------------------------------------------------------------------

_FLIPPED = {"added": "removed", "removed": "added", "disabled": "enabled", "enabled": "disabled"}


def plain(structure: Structure) -> Counter[Hashable]:
    """A structure without the order of what differs."""
    return Counter(_plain_value(value) for value in structure.values) + Counter(
        _plain_change(change) for change in (*structure.changes(), *structure.whys)
    )


def _plain_value(value: ValueChange) -> Hashable:
    return dataclasses.replace(value, kept=tuple(sorted(value.kept)))


def _plain_change(change: Change) -> Hashable:
    return dataclasses.replace(change, parts=()), frozenset(Counter(change.parts).items())


def mirrored(structure: Structure) -> Structure:
    """The structure as it looks from the other side."""
    held: dict[str, Any] = {
        field.name: tuple(_flipped(each) for each in getattr(structure, field.name))
        for field in dataclasses.fields(structure)
    }
    return Structure(**held)


def _flipped(item: Change | ValueChange | Part) -> Change | ValueChange | Part:
    """One difference from the other side."""
    turned = dataclasses.replace(item, kind=_FLIPPED.get(item.kind, item.kind), a=item.b, b=item.a)  # type: ignore[arg-type]  # kind by kind
    if isinstance(turned, Part):
        return turned
    turned = dataclasses.replace(turned, name_a=turned.name_b, name_b=turned.name_a)
    if isinstance(turned, Change):
        turned = dataclasses.replace(turned, parts=tuple(_flipped(part) for part in turned.parts))  # type: ignore[misc]  # parts stay parts
    return turned


def assert_sound(a: Rulebook, b: Rulebook) -> None:
    """What holds for any two rulebooks."""
    found = compare(a, b)
    assert found.decides == (a.version != b.version)
    assert plain(mirrored(found)) == plain(compare(b, a))
    assert not compare(b, b)
    assert not compare(b, b).whys


@cache
def shipped() -> dict[str, str]:
    """The shipped files by their names."""
    folders = ("rules", "policies", "profiles")
    paths = [path for folder in folders for path in sorted((SHIPPED / folder).glob("*.yaml"))]
    return {f"{path.parent.name}/{path.name}": path.read_text(encoding="utf-8") for path in paths}


@settings(max_examples=60)
@given(pickers())
def test_versions_differ_exactly_where_the_structure_does_and_each_way_says_the_same(pick: Picker) -> None:
    texts, profile = (HOME, pick.one(("live", "trial"))) if pick.chance(40) else (write_rulebook(pick).files, "main")
    before = edits.load(texts, profile)
    after = edits.load(edits.edited(pick, edits.edited(pick, texts)), profile)
    if before is not None and after is not None:
        assert_sound(before, after)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_the_same_of_very_many_edits(block: int) -> None:
    loaded = 0
    for seed in range(400 * block, 400 * (block + 1)):
        pick = Picker.of(Random(seed))
        texts = shipped() if seed % 20 == 0 else HOME if seed % 2 else write_rulebook(pick).files
        profile = "prod" if seed % 20 == 0 else "live" if seed % 2 else "main"
        before = edits.load(texts, profile)
        after = edits.load(edits.edited(pick, texts), profile)
        if before is not None and after is not None:
            loaded += 1
            assert_sound(before, after)
    assert loaded > 100


@given(st.permutations(range(len(EDITS))), st.integers(1, len(EDITS)))
@settings(max_examples=30)
def test_any_of_the_edits_of_the_home_together(order: list[int], most: int) -> None:
    texts = dict(HOME)
    for number in order[:most]:
        name, old, new = EDITS[number]
        texts[name] = texts[name].replace(old, new, 1)
    after = edits.load(texts, "live")
    if after is not None:
        assert_sound(load(HOME), after)


def test_the_shipped_profiles() -> None:
    prod, testnet = (edits.load(shipped(), profile) for profile in ("prod", "testnet"))
    assert prod is not None
    assert testnet is not None
    assert_sound(prod, testnet)
    assert {value.name for value in compare(prod, testnet).values} >= {"probe.enabled", "hard_gates.max_spread_bps"}
