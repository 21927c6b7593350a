"""Where transitions happen: regions that go on beyond what doubles do not confirm, in bounds that facts can have."""

from __future__ import annotations

from collections.abc import Mapping

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.transitions import FactCondition, Transition
from tests.analysis.diff.homes import load

NUMBER = "{type: number, min: 0, max: 100}"
THIRD = 237
"""No double comes to 1 when it is multiplied by this; in exact arithmetic one number does."""


def home(rules: str, values: Mapping[str, float]) -> dict[str, str]:
    """A home with one veto set over three numbers and a flag; each value that its rules read is a parameter of it."""
    values = {name: value for name, value in values.items() if f"${name}" in rules}
    facts = "".join(f"      {name}: {NUMBER}\n" for name in "xyz")
    return {
        "policies/facts.yaml": f"groups:\n  g:\n    facts:\n{facts}      on: {{type: flag}}\n",
        "policies/p.yaml": "policy: p\nreads: [g]\nsteps: [s]\ndecides: [open]\n",
        "rules/s.yaml": "ruleset: s\nhit: veto\nsets: {open: {type: flag}}\nunknown: skip\nparams:\n"
        + "".join(f"  {name}: {{type: number, min: 0, max: 1000}}\n" for name in values)
        + f"rules:\n{rules}",
        "profiles/live.yaml": "profile: live\npolicies: [p]\nvalues:\n"
        + "".join(f"  s.{name}: {value}\n" for name, value in values.items()),
    }


def closes(before: str, after: str, values: Mapping[str, float]) -> Transition:
    """How an open gate closes where its rules change."""
    found = behaviour(load(home(before, values)), load(home(after, values)))
    (transition,) = (each for each in found.transitions if (each.before, each.after) == (True, False))
    return transition


def texts(transition: Transition) -> set[str]:
    return {region.text for region in transition.regions}


def test_the_search_goes_on_beyond_what_no_double_confirms() -> None:
    """One of three rules matches in exact arithmetic alone; it stands first, where a solver looks first."""
    before = "  - {id: none, when: x > $k and x <= 1}\n"
    after = before + "  - {id: thin, when: x * $k == 1}\n  - {id: y, when: y > $low}\n  - {id: z, when: z > $low}\n"
    found = closes(before, after, {"k": THIRD, "low": 50})
    thin = f"x == {1 / THIRD:.12g}"
    assert texts(found) - {thin} == {"y > 50", "z > 50"}
    assert found.covered
    # Shown by an input of doubles next to it in which another rule matches, if the solver happens to begin there.
    assert thin in {*texts(found), *(region.text for region in found.unconfirmed)}


def test_a_transition_in_exact_arithmetic_alone_is_undecided_and_says_where() -> None:
    never = "  - {id: none, when: x > $k and x <= 1}\n"
    a, b = (load(home(rules, {"k": THIRD})) for rules in (never, never + "  - {id: thin, when: x * $k == 1}\n"))
    found = behaviour(a, b)
    (question,) = found.undecided
    assert f"x == {1 / THIRD:.12g}" in question.why


def test_an_input_around_which_there_is_no_region_is_named_and_all_else_is_listed() -> None:
    """The root of two is no number that bounds could be made of."""
    before = "  - {id: none, when: x > $k and x <= 1}\n"
    after = before + "  - {id: root, when: x * x == $k}\n  - {id: y, when: y > $low}\n  - {id: z, when: z > $low}\n"
    found = closes(before, after, {"k": 2, "low": 50})
    assert texts(found) == {"y > 50", "z > 50"}
    assert not found.covered
    assert found.uncovered == "no region was found around x 1.41421"


def test_bounds_are_those_that_a_fact_can_have() -> None:
    """Some parameters lie at the end of the range of the fact, some beyond it."""
    rules = "  - {id: r, when: x is missing or x > $p}\n"
    before, after = (load(home(rules, {"p": p})) for p in (100, 150))
    assert behaviour(before, after).same
    wide = closes(rules, rules.replace("x > $p", "x >= $p"), {"p": 100})
    assert texts(wide) == {"x == 100"}
    least = closes("  - {id: r, when: x < $p}\n", "  - {id: r, when: x <= $p}\n", {"p": 0})
    assert texts(least) == {"x == 0"}


def test_or_missing_stands_beside_what_a_fact_can_be_alone() -> None:
    """Where it is above 100 it would close as well, and it never is."""
    found = closes(
        "  - {id: r, when: y > $p and x <= $p}\n",
        "  - {id: r, when: y > $p and x <= $p}\n  - {id: m, when: x is missing or x > $p}\n",
        {"p": 100},
    )
    assert texts(found) == {"x is missing"}


def test_no_bound_lies_at_an_end_that_every_value_is_within() -> None:
    found = closes(
        "  - {id: r, when: x > $high}\n",
        "  - {id: r, when: x > $high or (x >= $low and y <= $high)}\n",
        {"low": 0, "high": 100},
    )
    (region,) = found.regions
    assert {condition.text for condition in region.conditions} == {"x is known", "y is known"}
    assert all(isinstance(each, FactCondition) and each.lower is each.upper is None for each in region.conditions)


def test_a_product_that_no_double_holds_is_asked_about_as_well() -> None:
    def ranged(rules: str) -> dict[str, str]:
        made = home(rules, {"k": 6})
        facts = "policies/facts.yaml"
        return {**made, facts: made[facts].replace("min: 0, max: 100", "min: -1e308, max: 1e308")}

    before = "  - {id: none, when: y > $k}\n"
    after = before + "  - {id: product, when: (x * x) is known and x * x > $k}\n"
    found = behaviour(load(ranged(before)), load(ranged(after)))
    assert [(each.before, each.after) for each in found.transitions] == [(True, False)]
