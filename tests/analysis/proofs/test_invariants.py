"""Each form of invariant, proven and refuted; a refutation is an input that the interpreter confirms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.analysis.proofs.prove import Verdict, prove
from engine.backends.facts import see
from engine.backends.solver.space import Side
from engine.book import Book
from tests.analysis.proofs.homes import home, rulebooks_of

TIERS = """
ruleset: s
hit: first
sets: {level: {type: choice, of: [bad, fair, good], ordered: true}, offset: {type: number, min: -100, max: 100}}
unknown: skip
rules:
  - {id: bad, when: x > <5>, set: {level: bad, offset: <8>}}
  - {id: good, when: x < <-5>, set: {level: good, offset: -1}}
  - {id: fair, set: {level: fair, offset: 1}}
"""
GATES = """
ruleset: gates
hit: veto
sets: {open: {type: flag}}
rules:
  - {id: wide, when: x > <2>}
  - {id: closed, when: venue == 'closed', unknown: skip}
  - {id: old, when: a > <5>}
"""


FAR = GATES.replace("x > <2>", "x > <10>, unknown: skip")
HOLDS = {
    "what moves beyond its range alone": (FAR, "unchanged_when: {of: open, in: x, when: x is known}"),
    "a claim that holds": (TIERS, "claim: level == bad implies x > 0"),
    "the same, guarded": (TIERS, "claim: x is known implies x <= 10"),
    "a claim about vetoes": (GATES, "claim: vetoed implies not open"),
    "a claim that an unseen fact vetoes": (GATES, "claim: x is missing implies vetoed by gates.wide"),
    "bounds that hold": (TIERS, "bounded: {of: offset, min: -1, max: 8}"),
    "one bound": (TIERS, "bounded: {of: offset, min: -1}"),
    "what falls": (TIERS, "monotone: {of: level, in: x, moves: falls}"),
    "a number that rises": (TIERS, "monotone: {of: offset, in: x, moves: rises}"),
    "a flag that falls": (GATES, "monotone: {of: open, in: x, moves: falls}"),
    "what another fact does not move": (
        TIERS,
        "unchanged_when: {of: [level, offset], in: [y, venue], when: x is known}",
    ),
    "what a fact does not move here": (TIERS, "unchanged_when: {of: level, in: x, when: x > 5}"),
    "not knowing never opens": (GATES, "fail_closed: {when: open, missing: [aged]}"),
    "unless it is said": (GATES, "fail_closed: {when: open, missing: [g], unless: venue is missing}"),
}
BROKEN = {
    "a claim that does not": (TIERS, "claim: level == bad implies x > 6"),
    "a claim that is unknown where a fact is missing": (TIERS, "claim: x <= 10"),
    "a claim that one veto is all there is": (GATES, "claim: not open implies vetoed by gates.wide"),
    "a lower bound that does not": (TIERS, "bounded: {of: offset, min: 0, max: 8}"),
    "an upper bound that does not": (TIERS, "bounded: {of: offset, max: 1}"),
    "a bound that may be missing": (TIERS, "bounded: {of: offset, max: small + 8}"),
    "what does not rise": (TIERS, "monotone: {of: level, in: x, moves: rises}"),
    "a flag that does not rise": (GATES, "monotone: {of: open, in: a, moves: rises}"),
    "what a fact moves": (TIERS, "unchanged_when: {of: level, in: x, when: x is known}"),
    "what a fact moves by being missing": (GATES, "unchanged_when: {of: open, in: x, when: y is known}"),
    "not knowing opens": (GATES, "fail_closed: {when: open, missing: [g]}"),
}


def documents(rules: str, says: str) -> dict[str, str]:
    """A home with the invariant."""
    return home(rules, invariants=f"  - id: it\n    {says}\n")


def proven(documents: Mapping[str, str], profile: str = "main", **how: Any) -> Verdict:
    """What is said of the only invariant."""
    (verdict,) = prove(profile, rulebooks_of(documents), only=["invariants"], **how).verdicts
    return verdict


@pytest.mark.parametrize("name", HOLDS)
def test_an_invariant_that_holds_is_proven(name: str) -> None:
    verdict = proven(documents(*HOLDS[name]))
    assert (verdict.status, verdict.witness) == ("proven", None)


@pytest.mark.parametrize("name", BROKEN)
def test_an_invariant_that_does_not_hold_is_refuted_by_an_input(name: str) -> None:
    verdict = proven(documents(*BROKEN[name]))
    assert verdict.status == "refuted"
    assert verdict.witness is not None


def decided(documents: Mapping[str, str], verdict: Verdict) -> list[dict[str, Any]]:
    """What the interpreter decides on a witness."""
    assert verdict.witness is not None
    books = rulebooks_of(documents)
    profiles, facts = verdict.witness.profiles, verdict.witness.facts
    pairs = [(profile, each) for profile in profiles for each in facts]
    return [dict(Book(books(profile), "interpreter").decide(verdict.policy, each).values) for profile, each in pairs]


def test_a_witness_is_plain_facts_left_out_that_need_not_be_given_and_numbers_short() -> None:
    found = documents(*BROKEN["a claim that does not"])
    verdict = proven(found)
    assert verdict.witness is not None
    (facts,) = verdict.witness.facts
    assert facts.keys() == {"now", "g"}
    assert facts["g"] in ({"x": 6.0}, {"x": 5.5})
    assert decided(found, verdict) == [{"level": "bad", "offset": 8.0}]


def test_a_claim_that_is_false_somewhere_is_not_refuted_by_an_input_that_leaves_it_open() -> None:
    found = home(TIERS, invariants="  - {id: it, claim: x <= 1}\n")
    verdict = proven(found)
    assert verdict.witness is not None
    assert verdict.witness.facts[0]["g"]["x"] > 1


def test_two_inputs_that_refute_a_monotone_invariant_differ_in_that_fact_alone() -> None:
    found = documents(*BROKEN["what does not rise"])
    verdict = proven(found)
    assert verdict.witness is not None
    first, second = verdict.witness.facts
    assert first["g"].keys() == second["g"].keys() == {"x"}
    assert first["g"]["x"] < second["g"]["x"]
    levels = [values["level"] for values in decided(found, verdict)]
    assert ["bad", "fair", "good"].index(levels[0]) > ["bad", "fair", "good"].index(levels[1])


ORDERED = """
ruleset: s
hit: veto
sets: {open: {type: flag}}
unknown: skip
rules:
  - {id: r, when: b > <5>}
"""


@pytest.mark.parametrize(
    "says",
    [
        "unchanged_when: {of: open, in: a, when: b is known}",
        "unchanged_when: {of: open, in: [a, c], when: b is known}",
        "monotone: {of: open, in: a, moves: rises}",
    ],
)
def test_facts_of_a_relation_do_not_make_each_other_missing_in_a_comparison(says: str) -> None:
    """`a` beyond `b` would make both invalid: that is no change of `a` with all else equal."""
    assert proven(home(ORDERED, invariants=f"  - id: it\n    {says}\n")).status == "proven"


FAIL_OPEN = """
ruleset: s
hit: veto
sets: {open: {type: flag}}
unknown: skip
rules:
  - {id: both, when: "x > <5> and y > <5>"}
"""


def test_fail_closed_is_asked_of_one_fact_at_a_time() -> None:
    found = home(FAIL_OPEN, invariants="  - {id: it, fail_closed: {when: open, missing: [g]}}\n")
    verdict = proven(found)
    assert verdict.witness is not None
    without, known = verdict.witness.facts
    (fact,) = known["g"].keys() - without["g"].keys()
    assert {**without["g"], fact: known["g"][fact]} == known["g"]
    assert [values["open"] for values in decided(found, verdict)] == [True, False]


STRICT = "  - {id: it, at_least_as_strict: {profile: main, than: other, when: open}}\n"
OTHER = """
profile: other
policies: [p]
values:
  facts.max_age_s: 60
  facts.max_ahead_s: 5
  gates.n0: 2
  gates.n1: 5
"""


def strict(other: str = OTHER, profile: str = "") -> dict[str, str]:
    return home(GATES, invariants=STRICT, profile=profile, profiles__other=other)


@pytest.mark.parametrize("asked", ["main", "other"])
def test_a_profile_is_at_least_as_strict_as_its_like_and_not_as_a_stricter_one(asked: str) -> None:
    assert proven(strict(), asked).status == "proven"
    assert proven(strict(OTHER.replace("n0: 2", "n0: 3")), asked).status == "proven"
    verdict = proven(strict(OTHER.replace("n0: 2", "n0: 1.5")), asked)
    assert verdict.status == "refuted"
    assert verdict.witness is not None
    assert verdict.witness.profiles == ("main", "other")
    assert [values["open"] for values in decided(strict(OTHER.replace("n0: 2", "n0: 1.5")), verdict)] == [True, False]


@pytest.mark.parametrize("asked", ["main", "other"])
def test_an_age_limit_alone_can_make_a_profile_stricter(asked: str) -> None:
    longer, shorter = (OTHER.replace("max_age_s: 60", f"max_age_s: {limit}") for limit in (90, 30))
    assert proven(strict(longer), asked).status == "proven"
    found = strict(shorter)
    verdict = proven(found, asked)
    assert verdict.witness is not None
    assert [values["open"] for values in decided(found, verdict)] == [True, False]


GROUPS = """
symbols:
  thin:
    of: [AAA, BBB]
    values:
      {value}
"""


@pytest.mark.parametrize("asked", ["main", "other"])
@pytest.mark.parametrize("value", ["gates.n0: {value: 1.5, why: thin}", "facts.max_age_s: {value: 30, why: slow}"])
def test_symbols_are_compared_with_themselves(asked: str, value: str) -> None:
    """The other profile is stricter for two symbols alone, and main may be so for the same ones."""
    groups = GROUPS.replace("{value}", value)
    found = strict(OTHER + groups)
    verdict = proven(found, asked)
    assert verdict.status == "refuted"
    assert verdict.witness is not None
    assert verdict.witness.facts[0]["symbol"] in ("AAA", "BBB")
    assert [values["open"] for values in decided(found, verdict)] == [True, False]
    assert proven(strict(OTHER + groups, profile=groups), asked).status == "proven"
    elsewhere = groups.replace("AAA, BBB", "CCC")
    assert proven(strict(OTHER + groups, profile=elsewhere), asked).status == "refuted"


def test_a_profile_that_does_not_run_the_policy_leaves_the_comparison_undecided() -> None:
    rules = "ruleset: t\nhit: veto\nsets: {out: {type: flag}}\nrules:\n  - {id: r, when: f}\n"
    found = home(GATES, invariants=STRICT, rules__t=rules)
    found["policies/q.yaml"] = "policy: q\nreads: [g]\nsteps: [t]\ndecides: [out]\n"
    found["profiles/other.yaml"] = (
        "profile: other\npolicies: [q]\nvalues:\n  facts.max_ahead_s: 5\n  facts.max_age_s: 60\n"
    )
    verdict = proven(found)
    assert verdict.status == "undecided"
    assert verdict.why == "`main` and `other` do not both run `p`"


def test_each_set_of_values_of_symbols_is_asked() -> None:
    groups = GROUPS.replace("{value}", "gates.n0: {value: 3, why: thin}")
    found = home(GATES, invariants="  - {id: it, claim: open implies x <= 2}\n", profile=groups)
    verdict = proven(found)
    assert verdict.asked == 2
    assert verdict.witness is not None
    assert verdict.witness.groups == ("thin",)
    assert verdict.witness.facts[0]["symbol"] == "AAA"
    assert decided(found, verdict) == [{"open": True}]


def test_an_invariant_of_other_profiles_is_not_asked() -> None:
    found = home(GATES, invariants="  - {id: it, profiles: [other], claim: open}\n", profiles__other=OTHER)
    assert prove("main", rulebooks_of(found), only=["invariants"]).verdicts == ()
    assert proven(found, "other").status == "refuted"


def test_a_witness_is_seen_by_the_policy_as_it_was_found() -> None:
    """No fact of a witness is invalid: it is given and sound, or left out."""
    for case in BROKEN.values():
        found = documents(*case)
        verdict = proven(found)
        rulebook = rulebooks_of(found)("main")
        side = Side(rulebook, rulebook.policies["p"], rulebook.bindings[()])
        for facts in verdict.witness.facts if verdict.witness else ():
            seen = see(rulebook, side.policy, side.binding, facts)
            for group, held in facts.items():
                if isinstance(held, dict):
                    assert {name: seen.values[group][name] for name in held if name != "observed_at"} == {
                        name: value for name, value in held.items() if name != "observed_at"
                    }
