"""`Book.verdict` takes facts in by a way of its own; what it decides is what the interpreter decides."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine import Book, load

NOW = 1000.0

HOME = {
    "policies/facts.yaml": """
params:
  max_age_s: {type: number, unit: s, min: 0, max: 100}
  max_ahead_s: {type: number, unit: s, min: 0, max: 100}
max_ahead_s: $max_ahead_s
groups:
  fresh:
    max_age_s: $max_age_s
    facts:
      width: {type: number, unit: bps, min: -10, max: 2e16}
      open: {type: flag}
  lasting:
    facts:
      depth: {type: number, min: 0, max: 10}
      side: {type: choice, of: [buy, sell, both]}
      venue: {type: text}
  unused:
    facts:
      idle: {type: flag}
""",
    "policies/shown.yaml": """
policy: shown
reads: [fresh, lasting]
steps: [first_gates, seen, second_gates, bounds]
decides: [clear, wide, deep, opened, sided, clear_still, bounded]
reason: [clear]
""",
    "rules/first_gates.yaml": """
ruleset: first_gates
hit: veto
sets: {clear: {type: flag}}
rules:
  - {id: width_missing, when: width is missing}
  - {id: open_missing, when: open is missing}
  - {id: side_missing, when: side is missing}
""",
    "rules/seen.yaml": """
ruleset: seen
hit: each
sets:
  wide: {type: number, min: -10, max: 2e16, unit: bps}
  deep: {type: number, min: 0, max: 10}
  opened: {type: flag}
  sided: {type: flag}
start: {wide: 0, deep: 0, opened: false, sided: false}
unknown: skip
rules:
  - {id: width, when: width is known, set: {wide: width}}
  - {id: depth, when: depth is known, set: {deep: depth}}
  - {id: open, when: open is known and open, set: {opened: true}}
  - {id: side, when: "side in [buy, sell]", set: {sided: true}}
""",
    "rules/second_gates.yaml": """
ruleset: second_gates
hit: veto
sets: {clear_still: {type: flag}}
unknown: skip
rules:
  - {id: side_other, when: "side not in [buy, sell]"}
  - {id: venue_other, when: "venue != 'here'"}
  - {id: shut, when: open is known and not open}
""",
    "rules/bounds.yaml": """
ruleset: bounds
hit: each
sets: {bounded: {type: number, min: -10, max: 2e16, unit: bps}}
start: {bounded: wide}
params:
  least: {type: number, unit: bps, min: -10, max: 10}
  most: {type: number, unit: bps, min: -10, max: 10}
rules:
  - {id: inside, at_least: {bounded: $least}, at_most: {bounded: $most}}
""",
    "profiles/live.yaml": """
profile: live
policies: [shown]
values: {facts.max_age_s: 60, facts.max_ahead_s: 5, bounds.least: -2, bounds.most: 5}
""",
}

SOUND: dict[str, dict[str, Any]] = {
    "fresh": {"observed_at": NOW, "width": 2.5, "open": True},
    "lasting": {"depth": 1.5, "side": "buy", "venue": "here"},
}

RAW: tuple[Any, ...] = (
    *(None, True, False, 0, 3, -11, 11, 2**53, 2**53 + 1, 2**54 + 2, 10**400, 0.0, -0.0, 2.5, -11.0, 1e17),
    *(math.nan, math.inf, -math.inf, "buy", "both", "", "3", "ü", "\ud800", [], [1.0], {}, {"missing": "stale"}),
    *({"missing": "invalid", "got": "x"}, (), Decimal(3), np.float64(2.5), np.int64(3), np.bool_(True), np.str_("buy")),
)

FACTS = [(group, name) for group, held in SOUND.items() for name in (*held, "observed_at")]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, Book]:
    home: Path = tmp_path_factory.mktemp("home")
    for name, text in HOME.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    return load("live", home), load("live", home, backend="interpreter")


def check(books: tuple[Book, Book], facts: dict[str, Any]) -> None:
    """A verdict holds what the interpreter decides, of the same types."""
    compiled, interpreter = books
    decision = interpreter.decide("shown", facts)
    expected = (*decision.values.values(), decision.vetoes)
    made = msgspec.structs.astuple(compiled.verdict("shown", facts))
    assert repr(made) == repr(expected), facts


def given(**groups: Any) -> dict[str, Any]:
    return {"now": NOW, "symbol": "S"} | {name: dict(held) for name, held in SOUND.items()} | groups


@pytest.mark.parametrize(("group", "name"), FACTS)
def test_any_value_of_a_fact(books: tuple[Book, Book], group: str, name: str) -> None:
    for raw in RAW:
        check(books, given(**{group: SOUND[group] | {name: raw}}))


@pytest.mark.parametrize(("group", "name"), FACTS)
def test_any_value_of_a_fact_beside_one_that_is_absent(books: tuple[Book, Book], group: str, name: str) -> None:
    for raw, absent in itertools.product(RAW, SOUND[group]):
        held = SOUND[group] | {name: raw}
        del held[absent]
        check(books, given(**{group: held}))


@pytest.mark.parametrize("group", SOUND)
def test_a_group_that_is_no_object(books: tuple[Book, Book], group: str) -> None:
    for raw in RAW:
        if not isinstance(raw, dict):
            check(books, given(**{group: raw}))


def test_every_combination_of_vetoes_of_two_sets(books: tuple[Book, Book]) -> None:
    values = itertools.product((2.5, None), (True, False, None), ("buy", "both", None), ("here", "there"))
    vetoes = set()
    for width, opened, side, venue in values:
        facts = given(
            fresh={"observed_at": NOW, "width": width, "open": opened},
            lasting={"depth": 1.0, "side": side, "venue": venue},
        )
        check(books, facts)
        vetoes.add(books[0].verdict("shown", facts).vetoes)
    assert len(vetoes) == 2 * 3 * 3 * 2


@pytest.mark.parametrize("width", [-10.0, -2.0, math.nextafter(-2.0, -3.0), 0.0, 5.0, math.nextafter(5.0, 6.0), 2e16])
def test_a_value_at_its_bounds(books: tuple[Book, Book], width: float) -> None:
    check(books, given(fresh={"observed_at": NOW, "width": width, "open": True}))
