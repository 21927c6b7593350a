"""Regions in fewer words, and what a person reads of a transition."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.factors import factored
from engine.analysis.diff.transition_json import behaviour_json
from engine.analysis.diff.transition_pages import apart, told, where
from engine.analysis.diff.transitions import FactCondition, Region, SumCondition, Transition, Weight
from engine.analysis.proofs.asking import Asker, Undecided
from engine.language.types import FlagType
from tests.analysis.diff.homes import BASE, GATES, HOME, OFFSET, edited, load, repository, write
from tests.analysis.diff.inputs import Decided, grid, lies_in, weakened
from tests.cli.harness import sluice

SUMS = """\
ruleset: offset
hit: each
sets: {offset_bps: {type: number, unit: bps, min: 0, max: 10}}
start: {offset_bps: $base_bps}
unknown: skip
params:
  base_bps: {type: number, unit: bps, min: 0, max: 10}
  step_bps: {type: number, unit: bps, min: 0, max: 5}
  most_bps: {type: number, unit: bps, min: 0, max: 10}
rules:
  - {id: low_tier, when: tier == low, add: {offset_bps: $step_bps}}
  - {id: wide, when: spread_bps > 1, add: {offset_bps: $step_bps}}
  - {id: hurried, when: urgent, add: {offset_bps: $step_bps}}
  - {id: selling, when: side == sell, add: {offset_bps: $step_bps}}
  - {id: slow, when: slow_acks_60s > 1, add: {offset_bps: $step_bps}}
  - {id: bidding, when: bid > 1, add: {offset_bps: $step_bps}}
  - {id: bounds, at_most: {offset_bps: $most_bps}}
"""
"""So many steps that each set of a few of them comes to a bound of its own."""


def flag(name: str, *, on: bool = True) -> FactCondition:
    return FactCondition(f"g.{name}", FlagType(), "known", values=("true" if on else "false",))


def region(*names: str) -> Region:
    return Region(tuple(flag(name) for name in names))


def sums(base_bps: float, step_bps: float, most_bps: float) -> dict[str, str]:
    texts = edited((BASE, "offset.base_bps: 2", f"offset.base_bps: {base_bps}\n  offset.most_bps: {most_bps}"))
    return edited((BASE, "offset.step_bps: 0.5", f"offset.step_bps: {step_bps}"), texts={**texts, OFFSET: SUMS})


def offset(a: dict[str, str], b: dict[str, str]) -> Transition:
    (found,) = (each for each in behaviour(load(a), load(b)).transitions if each.decision == "offset_bps")
    return found


def test_choices_that_do_not_depend_on_each_other_are_told_apart() -> None:
    found = factored([region("all", *pair) for pair in (("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"))])
    assert found.common == (flag("all"),)
    assert set(found.choices) == {((flag("a"),), (flag("b"),)), ((flag("x"),), (flag("y"),))}


def test_what_is_no_product_stays_one_choice() -> None:
    found = factored([region("a", "x"), region("b", "y")])
    assert found.common == ()
    assert found.choices == (((flag("a"), flag("x")), (flag("b"), flag("y"))),)


def test_one_region_leaves_nothing_to_choose() -> None:
    assert factored([region("a", "b")]).choices == ()
    assert factored([]) == factored([Region(())])


def test_a_sum_that_a_rule_clamps_is_told_as_it_is_where_its_facts_would_take_too_many_regions() -> None:
    found = offset(sums(2, 0.75, 4.25), sums(2, 0.75, 5))
    assert found.covered
    assert [each.text for each in found.regions] == ["offset_bps (before bounds) > 4.25"]
    assert found.text == "rises by 0.75"


def test_a_sum_of_one_side_is_told_with_its_side() -> None:
    found = offset(sums(2, 0.75, 5), sums(2.5, 0.75, 5))
    assert [each.text for each in found.regions] == ["offset_bps (A, before bounds) < 5"]
    (condition,) = found.regions[0].conditions
    assert isinstance(condition, SumCondition)
    assert (condition.rule, condition.side, condition.lower) == ("offset.bounds", "A", None)


def test_regions_of_sums_hold_what_changes_and_nothing_else() -> None:
    values = {
        "book.bid": (None, 0.0, 2.0),
        "book.spread_bps": (None, 0.5, 2.0, 30.0),
        "windows.slow_acks_60s": (None, 2.0),
        "intent.urgent": (None, True),
        "intent.side": ("buy", "sell"),
    }
    a, b = sums(2, 0.75, 5), sums(2.5, 0.75, 5)
    (region,) = offset(a, b).regions
    inputs = [Decided(load(a), load(b), "routing", facts) for facts in grid(values, {"book": (0.0,)}, (None,))]
    changed = [each.values[0]["offset_bps"] != each.values[1]["offset_bps"] for each in inputs]
    assert [lies_in(region, each) for each in inputs] == changed
    assert len(set(changed)) == 2
    for what, weaker in weakened(region):
        assert [lies_in(weaker, each) for each in inputs] != changed, what


def test_a_sum_of_few_steps_is_told_in_facts() -> None:
    found = offset(dict(HOME), edited((BASE, "offset.base_bps: 2", "offset.base_bps: 3")))
    assert not any(isinstance(each, SumCondition) for region in found.regions for each in region.conditions)


def test_a_start_value_is_called_one_with_its_place() -> None:
    found = offset(dict(HOME), edited((BASE, "offset.base_bps: 2", "offset.base_bps: 3")))
    assert dict(apart(found))["offset_bps"] == "2 -> 3, the start value at rules/offset.yaml:4"


def test_no_veto_is_called_that() -> None:
    found = behaviour(load(HOME), load(edited((BASE, "gates.max_spread_bps: 12", "gates.max_spread_bps: 20"))))
    (opens,) = (each for each in found.transitions if each.decision == "open")
    assert dict(apart(opens))["open"] == "false by too_wide -> true by no veto"


def test_flags_are_flags_in_json() -> None:
    b = edited((GATES, "        - urgent\n", "        - urgent and side == sell\n"))
    found = json.loads(json.dumps(behaviour_json(behaviour(load(HOME), load(b), policies=["routing"]))))
    values = {
        condition["fact"]: condition["values"]
        for each in found["transitions"]
        for region in each["regions"]
        for condition in region
        if condition.get("values")
    }
    assert values["intent.urgent"] == [True]
    assert values["intent.side"] == ["buy"]


def test_what_is_said_alike_of_several_symbols_is_said_once() -> None:
    """The groups differ in the region of `open`; `route` refers to that, and changes in the same way."""
    found = behaviour(load(HOME), load(edited((GATES, "spread_bps > $max", "spread_bps >= $max"))))
    by_decision = {decision: transitions for _, decision, transitions in found.decisions()}
    assert len(told(by_decision["open"])) == 2
    (route,) = told(by_decision["route"])
    assert route.scope.text == "all symbols"
    assert len(by_decision["route"]) == 2
    assert list(where(route)) == [("where", ["as open true -> false"])]


def test_a_number_before_and_after_reads_as_a_change(tmp_path: Path) -> None:
    home = repository(tmp_path)
    write(home, edited((BASE, "offset.base_bps: 2", "offset.base_bps: 3")))
    text = sluice("diff", "git:HEAD:live", "live", "--policy", "routing", cwd=home).output
    assert "from 2 to 2.5 -> above 2 to 3.5" in " ".join(text.split())
    page = sluice("diff", "git:HEAD:live", "live", "--format", "markdown", cwd=home).output
    assert "- from: 2 to 2.5 → above 2 to 3.5" in page


def test_what_is_undecided_is_said_once_and_counted_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = repository(tmp_path)
    write(home, edited((BASE, "offset.base_bps: 2", "offset.base_bps: 3")))
    monkeypatch.setattr(Asker, "model", lambda *_: Undecided("it took too long"))
    text = sluice("diff", "git:HEAD:live", "live", "--policy", "routing", "--fail-on", "unexpected", cwd=home)
    assert text.exit_code == 1
    assert "  undecided: 1 decision\n" in text.output
    assert text.output.count("it took too long") == 2  # where it falls, and where it rises
    lines = sluice("diff", "git:HEAD:live", "live", "--policy", "routing", "--format", "github", cwd=home).output
    assert lines.count("undecided: it took too long") == 2


def test_what_is_seen_often_comes_first() -> None:
    b = load(edited((BASE, "max_spread_bps: 12", "max_spread_bps: 20"), (BASE, "{value: 25", "{value: 20")))
    found = behaviour(load(HOME), b)
    opens = next(transitions for _, decision, transitions in found.decisions() if decision == "open")
    weighed = [replace(each, weight=Weight(count, 10, count / 10)) for count, each in enumerate(opens)]
    assert len(weighed) == 2
    assert told(weighed) == weighed[::-1]
