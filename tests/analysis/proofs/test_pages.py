"""How a refutation reads: the input, what another one gives otherwise, what moved, and by which rules."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from engine.analysis.proofs.pages import print_proofs
from engine.analysis.proofs.prove import prove
from tests.analysis.proofs.homes import GATES, ROUTE, home, rulebooks_of

OFFSET = """
ruleset: offset
hit: each
sets: {offset_bps: {type: number, min: 0, max: 100}}
start: {offset_bps: 1}
unknown: skip
rules:
  - {id: wide, when: y > <0>, add: {offset_bps: <3>}}
"""
OTHER = """
profile: other
policies: [p]
values: {facts.max_age_s: 60, facts.max_ahead_s: 5, gates.n0: 4, offset.n0: 0, offset.n1: 3}
"""


def page(invariant: str, *, columns: int = 160, trace: bool = False) -> list[str]:
    """The lines about the only invariant, without the policy above and the count below."""
    documents = home(GATES, OFFSET, ROUTE, invariants=f"  - {invariant}\n", profiles__other=OTHER)
    books = rulebooks_of(documents)
    stream = io.StringIO()
    console = Console(file=stream, width=columns, _environ={"COLUMNS": str(columns)})
    print_proofs(console, prove("main", books, only=["invariants"]), books, every=False, trace=trace)
    return stream.getvalue().splitlines()[3:-2]


def test_of_one_input_it_is_told_what_was_decided_and_what_fired() -> None:
    assert page("{id: it, claim: x is known and x > 5 implies way == maker}")[1:] == [
        "             x is known and x > 5 implies way == maker",
        '    as with  {"now": 1700000000.0, "g": {"x": 10.0}}',
        "    decided  way taker",
        "    vetoed   gates.far",
        "    fired    route.closed",
    ]


def test_of_two_inputs_the_second_is_told_by_what_it_gives_otherwise_and_what_moved() -> None:
    lines = page("{id: it, monotone: {of: offset_bps, in: y, moves: falls}}")
    assert lines[2:] == [
        '    as with  {"now": 1700000000.0, "g": {"y": 0.0}}',
        "    and      as with the first, but y: 0 -> 1",
        "    moved    offset_bps 1, the start value at rules/offset.yaml:5 -> 4 by wide",
        "    fired    with the first: route.otherwise",
        "             with the second: also offset.wide",
    ]


def test_what_is_not_given_in_one_of_two_inputs_is_missing_there() -> None:
    lines = page("{id: it, fail_closed: {when: way == maker, missing: [g]}}")
    assert next(line for line in lines if "the first, but" in line).endswith((": missing -> 10", ": missing -> round"))
    assert any(line.startswith("    moved    way maker by otherwise -> taker by closed") for line in lines)
    assert "    vetoed   with the first: none" in lines


def test_of_two_profiles_it_is_told_what_each_decides() -> None:
    lines = page("{id: it, at_least_as_strict: {profile: main, than: other, when: way == maker}}")
    assert lines[2].startswith("    as with  {")
    assert lines[3:] == [
        "    decided  in main: way maker",
        "             in other: way taker",
        "    vetoed   in main: none",
        "             in other: gates.far",
        "    fired    in main: route.otherwise",
        "             in other: also route.closed; not route.otherwise",
    ]


def test_where_the_claim_speaks_of_no_decision_the_reason_is_told() -> None:
    lines = page("{id: it, claim: not vetoed by gates.far}")
    assert any(line.startswith("    decided  ") and "gates.far" in line for line in lines)


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_everything_stands_below_its_claim_and_fits(columns: int) -> None:
    lines = page("{id: it, monotone: {of: offset_bps, in: y, moves: falls}}", columns=columns, trace=True)
    assert max(len(line) for line in lines) <= columns
    assert all(line.startswith("    ") for line in lines[1:] if line)
    assert [line for line in lines if line.endswith(":")] == ["    with the first:", "    with the second:"]
    assert lines.count("    rules that matched") == 2


def test_the_whole_decisions_are_shown_on_demand_alone() -> None:
    claim = "{id: it, claim: way == maker}"
    assert "    rules that matched" not in page(claim)
    assert "    rules that matched" in page(claim, trace=True)
