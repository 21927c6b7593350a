"""Which changes make a transition: over all of its inputs, where trying them on one would name the wrong ones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.transition_json import behaviour_json
from engine.analysis.diff.transitions import Transition
from tests.analysis.diff.homes import BASE, GATES, HOME, LIVE, OFFSET, TIER, edited, load

FACTS = """\
params:
  max_ahead_s: {type: number, unit: s, min: 0, max: 60}
  g_max_age_s: {type: number, unit: s, min: 0, max: 600}
max_ahead_s: $max_ahead_s
groups:
  g:
    max_age_s: $g_max_age_s
    facts:
      x: {type: number, min: 0, max: 100}
      y: {type: number, min: 0, max: 100}
"""
NUMBER = "{type: number, min: 0, max: 100}"


def home(rules: str, values: Mapping[str, float], ages: tuple[float, float] = (1, 5)) -> dict[str, str]:
    """A home with one veto set over two numbers; each value is a parameter of it."""
    return {
        "policies/facts.yaml": FACTS,
        "policies/p.yaml": "policy: p\nreads: [g]\nsteps: [s]\ndecides: [open]\n",
        "rules/s.yaml": "ruleset: s\nhit: veto\nsets: {open: {type: flag}}\nunknown: skip\nparams:\n"
        + "".join(f"  {name}: {NUMBER}\n" for name in values)
        + f"rules:\n{rules}",
        "profiles/live.yaml": "profile: live\npolicies: [p]\nvalues:\n"
        f"  facts.max_ahead_s: {ages[0]}\n  facts.g_max_age_s: {ages[1]}\n"
        + "".join(f"  s.{name}: {value}\n" for name, value in values.items()),
    }


Roles = dict[str, tuple[str | None, str | None]]
"""By change: whether it is enough alone, and whether it is needed."""


def roles(transition: Transition) -> Roles:
    return {each.change.name: (each.alone, each.needed) for each in transition.responsible}


def opens(rules: str, before: Mapping[str, float], after: Mapping[str, float]) -> Roles:
    """How each change makes a closed gate open."""
    found = behaviour(load(home(rules, before)), load(home(rules, after)))
    (transition,) = (each for each in found.transitions if (each.before, each.after) == (False, True))
    assert transition.covered
    return roles(transition)


def test_what_opens_here_by_one_and_there_by_another_is_both() -> None:
    """An input over the limit of x alone would clear y, and the other way round."""
    either = "  - {id: r, when: x > $p or y > $q}\n"
    assert opens(either, {"p": 10, "q": 10}, {"p": 20, "q": 20}) == {
        "s.p": ("sometimes", "sometimes"),
        "s.q": ("sometimes", "sometimes"),
    }


def test_two_gates_on_one_fact_need_both_changes() -> None:
    both = "  - {id: one, when: x > $p}\n  - {id: two, when: x > $q}\n"
    assert opens(both, {"p": 10, "q": 10}, {"p": 20, "q": 20}) == {
        "s.p": ("never", "always"),
        "s.q": ("never", "always"),
    }


def test_where_either_is_enough_neither_is_needed() -> None:
    """Taking any one change back on a witness changes nothing, and would name none."""
    and_both = "  - {id: r, when: x > $p and x > $q}\n"
    assert opens(and_both, {"p": 10, "q": 10}, {"p": 20, "q": 20}) == {
        "s.p": ("always", "never"),
        "s.q": ("always", "never"),
    }


def test_of_two_out_of_three_none_acts_alone_and_none_is_needed() -> None:
    two_of_three = "  - {id: r, when: (x > $p and x > $q) or (x > $q and x > $r) or (x > $p and x > $r)}\n"
    assert opens(two_of_three, dict.fromkeys("pqr", 10), dict.fromkeys("pqr", 20)) == {
        f"s.{name}": ("never", "never") for name in "pqr"
    }


def test_a_change_that_makes_up_for_another_is_named_where_it_is_needed() -> None:
    """The wider limit of x opens up to 20; that of y, which is narrower now, has no part in it."""
    rules = "  - {id: one, when: x > $p}\n  - {id: two, when: y > $q}\n"
    assert opens(rules, {"p": 10, "q": 20}, {"p": 20, "q": 10}) == {"s.p": ("always", "always")}


def test_an_age_limit_is_a_change_like_any_other() -> None:
    rules = "  - {id: r, when: x is missing or x > $p}\n"
    a, b = load(home(rules, {"p": 10})), load(home(rules, {"p": 20}, ages=(1, 60)))
    (transition,) = behaviour(a, b).transitions
    assert roles(transition) == {"facts.g_max_age_s": ("sometimes", "sometimes"), "s.p": ("sometimes", "sometimes")}
    assert {region.text for region in transition.regions} == {"age of g > 5 s and x <= 20", "10 < x <= 20"}


def test_how_far_ahead_and_how_old_are_told_apart() -> None:
    rules = "  - {id: r, when: x is missing or x > $p}\n"
    a, b = load(home(rules, {"p": 10})), load(home(rules, {"p": 10}, ages=(30, 60)))
    (transition,) = behaviour(a, b).transitions
    assert roles(transition) == {
        "facts.g_max_age_s": ("sometimes", "sometimes"),
        "facts.max_ahead_s": ("sometimes", "sometimes"),
    }


LOW_TIER = "  - {id: low_tier, when: tier == low, add: {offset_bps: $step_bps}}\n"
IN_THE_SPREAD = "  - {id: in_the_spread, when: spread_bps is known, at_most: {offset_bps: spread_bps}}\n"
RULES: Mapping[str, tuple[tuple[tuple[str, str, str], ...], str, str]] = {
    "disabled": (
        ((LIVE, "policies:", "disable: [{rule: gates.crossed, why: no}]\npolicies:"),),
        "gates.crossed",
        "disabled in B",
    ),
    "removed": (((GATES, "  - {id: crossed, when: bid >= ask, unknown: skip}\n", ""),), "gates.crossed", "not in B"),
    "added": (((GATES, "rules:\n", "rules:\n  - {id: new, when: bid is missing}\n"),), "gates.new", "not in A"),
    "changed": (((GATES, "bid >= ask", "bid > ask"),), "gates.crossed", "changed"),
    "the last of a set": (
        ((TIER, "{id: otherwise, set: {tier: middle}}", "{id: usual, set: {tier: high}}"),),
        "tier.otherwise, now usual",
        "changed",
    ),
    "a start": (
        ((OFFSET, "offset_bps: $base_bps}", "offset_bps: $base_bps + $step_bps}"),),
        "offset.offset_bps",
        "$base_bps + $step_bps",
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_rules_are_changes_too(case: str) -> None:
    edits, name, became = RULES[case]
    found = behaviour(load(HOME), load(edited(*edits)), policies=["routing"])
    assert found.transitions
    for transition in found.transitions:
        assert name in {each.change.name for each in transition.responsible}, transition.text
        assert next(each.change.b for each in transition.responsible if each.change.name == name) == became


def test_a_rule_that_moved_is_a_change() -> None:
    """What is added before the clamp is clamped, and what is added after it is not."""
    texts = edited((BASE, "tier.low_bps: 10", "tier.low_bps: 1"), (BASE, "tier.high_bps: 3", "tier.high_bps: 1"))
    moved = edited((OFFSET, LOW_TIER, ""), (OFFSET, IN_THE_SPREAD, IN_THE_SPREAD + LOW_TIER), texts=texts)
    (transition,) = behaviour(load(texts), load(moved), policies=["routing"]).transitions
    assert transition.text == "rises by up to 0.5"
    (each,) = transition.responsible
    assert each.change.text == "rule offset.low_tier moved"


def test_changes_that_a_decision_does_not_depend_on_are_not_asked() -> None:
    b = load(
        edited((BASE, "offset.base_bps: 2", "offset.base_bps: 1"), (BASE, "max_spread_bps: 12", "max_spread_bps: 11"))
    )
    for transition in behaviour(load(HOME), b).transitions:
        (change,) = roles(transition)
        assert change == ("offset.base_bps" if transition.decision == "offset_bps" else "gates.max_spread_bps")


def test_a_value_of_an_ordered_choice_that_is_called_otherwise_still_differs_completely() -> None:
    """The order of `wide` among the values of A is not known: changes cannot be tried one by one."""
    facts = FACTS + "      depth: {type: choice, of: [thin, deep], ordered: true}\n"
    rules = "  - {id: r, when: depth <= thin and x > $p}\n"
    a = {**home(rules, {"p": 10}), "policies/facts.yaml": facts}
    b = {name: text.replace("thin", "wide") for name, text in a.items()}
    found = behaviour(load(a), load(b))
    assert found.transitions
    assert all(not each.blended and each.covered for each in found.transitions)


def test_rule_sets_too_different_to_mix_still_differ_completely() -> None:
    """A gate that is a first set now cannot be tried rule by rule."""
    first = """\
ruleset: gates
hit: first
sets: {open: {type: flag}}
unknown: skip
params:
  max_spread_bps: {type: number, unit: bps, min: 0, max: 100}
rules:
  - {id: wide, when: spread_bps > $max_spread_bps, set: {open: false}}
  - {id: otherwise, set: {open: true}}
"""
    texts = {**HOME, GATES: first}
    texts[BASE] = texts[BASE].replace("  gates.most_slow: 5\n", "")
    texts.pop("profiles/trial.yaml")
    found = behaviour(load(HOME), load(texts), policies=["routing"])
    assert {each.decision for each in found.transitions} == {"open", "route"}
    assert all(not each.blended and not each.responsible and each.covered for each in found.transitions)


def test_json_has_values_of_their_own_type_with_their_unit() -> None:
    """A rule has no value: what became of it is a text."""
    b = load(edited((BASE, "gates.max_spread_bps: 12", "gates.max_spread_bps: 11")))
    listed = [
        (each["name"], each["a"], each["b"], each["unit"])
        for other in (b, load(HOME, "trial"))
        for transition in behaviour_json(behaviour(load(HOME), other, policies=["routing"]))["transitions"]
        for each in transition["responsible"]
    ]
    assert ("gates.max_spread_bps", 12.0, 11.0, "bps") in listed
    assert ("gates.slow", None, "disabled in B", "") in listed
    assert all(isinstance(a, float) for name, a, _, _ in listed if name == "gates.max_spread_bps")


def test_json_has_the_limits_of_ages_as_numbers_of_seconds() -> None:
    rules = "  - {id: r, when: x > $p}\n"
    found = behaviour(load(home(rules, {"p": 10})), load(home(rules, {"p": 10}, (2, 6))))
    listed = [each for transition in behaviour_json(found)["transitions"] for each in transition["responsible"]]
    assert listed
    assert {(each["name"], each["a"], each["b"], each["unit"]) for each in listed} <= {
        ("facts.max_ahead_s", 1.0, 2.0, "s"),
        ("facts.g_max_age_s", 5.0, 6.0, "s"),
    }
