"""Which rules a refuted invariant names: nearest to its claim first, and those of both sides where there are two."""

from __future__ import annotations

from engine.analysis.proofs.findings import findings_of
from engine.analysis.proofs.prove import prove
from tests.analysis.proofs.homes import GATES, ROUTE, home, rulebooks_of

TIERS = """
ruleset: tiers
hit: first
sets: {rank: {type: choice, of: [bad, good], ordered: true}}
unknown: skip
rules:
  - {id: low, when: y < <0>, set: {rank: bad}}
  - {id: otherwise, set: {rank: good}}
"""
OTHER = """
profile: other
policies: [p]
values: {facts.max_age_s: 60, facts.max_ahead_s: 5, gates.n0: 9, tiers.n0: 0}
"""


def told(invariant: str) -> list[str]:
    """What the finding of the only invariant is told to look at."""
    documents = home(GATES, TIERS, ROUTE, invariants=f"  - {invariant}\n", profiles__other=OTHER)
    books = rulebooks_of(documents)
    (finding,) = findings_of([prove("main", books, only=["invariants"])], books)
    assert finding.code == "invariant.refuted"
    return [related.message for related in finding.related]


def test_what_sets_the_names_of_a_claim_comes_before_what_these_hang_on() -> None:
    found = told("{id: it, claim: x is known and x > 5 implies way == maker}")
    assert found[:2] == ["`route.closed` fired there", "`gates.far` vetoed there"]
    assert told("{id: it, claim: rank == bad}")[0] == "`tiers.otherwise` fired there"


def test_a_claim_about_vetoes_names_these_first() -> None:
    found = told("{id: it, claim: x is known and x > 5 implies not vetoed by gates.far}")
    assert found[0] == "`gates.far` vetoed there"


def test_of_two_inputs_the_rules_of_both_are_named() -> None:
    found = told("{id: it, monotone: {of: way, in: x, moves: falls}}")
    assert found[:3] == [
        "`route.otherwise` fired there, with the first input alone",
        "`route.closed` fired there, with the second input alone",
        "`gates.far` vetoed there, with the second input alone",
    ]


def test_what_the_claim_does_not_hang_on_is_left_out() -> None:
    found = told("{id: it, unchanged_when: {of: [rank], in: [y], when: open}}")
    assert {text.partition(",")[0] for text in found} == {"`tiers.low` fired there", "`tiers.otherwise` fired there"}


def test_what_a_missing_fact_gains_is_told_beside_what_knowing_it_refuses() -> None:
    found = told("{id: it, fail_closed: {when: way == maker, missing: [g]}}")
    assert found[0] == "`route.otherwise` fired there, with the first input alone"
    assert found[1] == "`route.closed` fired there, with the second input alone"


def test_of_two_profiles_each_is_named() -> None:
    found = told("{id: it, at_least_as_strict: {profile: other, than: main, when: way == maker}}")
    assert found[:3] == [
        "`route.otherwise` fired there, in other alone",
        "`route.closed` fired there, in main alone",
        "`gates.far` vetoed there, in main alone",
    ]
