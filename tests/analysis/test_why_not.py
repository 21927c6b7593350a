"""What would have to be otherwise: found, confirmed, the fewest changes, and honest where there is none."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest

from engine.analysis.request import RequestError
from engine.analysis.why_not.ask import WhyNot, why_not
from engine.analysis.why_not.of_parameters import edit_lines
from engine.analysis.why_not.pages import why_not_json
from engine.analysis.why_not.rounding import Begun, pulled_back
from engine.analysis.why_not.wish import Wish, read_wish
from engine.book import Book, load
from engine.language.model import Arithmetic, Policy, expressions_of, walk
from engine.language.types import ChoiceType, FlagType, NumberType
from tests.analysis.proofs.homes import home, rulebook_of
from tests.backends.strategies import Picker, write_facts, write_rulebook

FACTS: dict[str, Any] = {
    "now": 1000.0,
    "symbol": "BTCUSDT",
    "intent": {
        "side": "buy",
        "qty": 0.01,
        "price": 60000.0,
        "order_type": "limit",
        "maker_requested": True,
        "maker_price": 60000.0,
        "maker_qty": 0.01,
        "reduce_only": False,
    },
    "market": {
        "observed_at": 999.5,
        "bid": 60000.0,
        "ask": 60010.0,
        "bid_qty": 1.0,
        "ask_qty": 2.0,
        "mid": 60005.0,
        "spread_bps": 1.666,
    },
    "telemetry": {
        "observed_at": 900.0,
        "maker_fill_ratio": 0.72,
        "fallback_ratio": 0.3,
        "slippage_p50_bps": 1.5,
        "slippage_p95_bps": 3.0,
        "ack_latency_p50_ms": 300.0,
        "ack_latency_p95_ms": 900.0,
        "sample_count": 60.0,
    },
    "windows": {"maker_paused": False, "probes_last_hour": 0.0},
    "decisions": {"admission": {"admit": True, "admitted_qty": 0.01}},
}


VETO = "ruleset: s\nhit: veto\nsets: {open: {type: flag}}\nunknown: match\nrules:\n"


@pytest.fixture(scope="module")
def prod() -> Book:
    return load("prod")


def ask(book: Book, wish: str, **changed: dict[str, Any]) -> tuple[dict[str, Any], WhyNot]:
    """Ask of the good order above, with facts of some groups changed."""
    facts = copy.deepcopy(FACTS)
    for group, values in changed.items():
        facts[group] |= values
    policy = "routing"
    return facts, why_not(book, policy, facts, read_wish(book.policy(policy), wish))


def applied(facts: dict[str, Any], found: WhyNot) -> dict[str, Any]:
    """The facts as they would have to be."""
    facts = copy.deepcopy(facts)
    for change in found.facts or ():
        *groups, name = change.fact.split(".")
        if change.after is None:
            facts[name]["observed_at"] = facts["now"]
            continue
        held = facts
        for group in groups:
            held = held.setdefault(group, {})
        held[name] = change.after
        held.setdefault("observed_at", facts["now"])
    return facts


def shown(found: WhyNot) -> list[tuple[str, Any, Any]]:
    return [(change.fact, change.before, change.after) for change in found.facts or ()]


def test_a_number_goes_to_the_threshold_and_no_further(prod: Book) -> None:
    facts, found = ask(prod, "route=maker", telemetry={"fallback_ratio": 0.55})
    assert shown(found) == [("telemetry.fallback_ratio", 0.55, 0.4)]
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


def test_what_stands_in_the_way_twice_is_changed_twice(prod: Book) -> None:
    facts, found = ask(prod, "route=maker", telemetry={"fallback_ratio": 0.55}, intent={"maker_requested": False})
    assert {name for name, _, _ in shown(found)} == {"telemetry.fallback_ratio", "intent.maker_requested"}
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


def test_a_stale_group_has_to_be_fresh_and_that_is_one_change(prod: Book) -> None:
    facts, found = ask(prod, "route=maker", telemetry={"observed_at": -5000.0})
    assert shown(found) == [("telemetry", None, None)]
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


def test_a_missing_fact_is_named_with_its_cause(prod: Book) -> None:
    facts, found = ask(prod, "route=maker", telemetry={"maker_fill_ratio": float("nan")})
    assert found.facts is not None
    (change,) = found.facts
    assert (change.fact, change.before, change.cause, change.after) == (
        "telemetry.maker_fill_ratio",
        None,
        "invalid",
        0.7,
    )
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


def test_of_facts_that_contradict_each_other_one_is_enough(prod: Book) -> None:
    facts, found = ask(prod, "route=maker", market={"bid": 60020.0})
    assert found.facts is not None
    (change,) = found.facts
    assert (change.fact, change.before, change.cause, change.after) == ("market.bid", 60020.0, "invalid", 60010.0)
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


def test_a_stale_group_whose_facts_are_related_may_have_to_say_something_else_too(prod: Book) -> None:
    facts, found = ask(prod, "route=maker", telemetry={"observed_at": -5000.0, "slippage_p95_bps": 100.0})
    assert shown(found) == [("telemetry", None, None), ("telemetry.slippage_p95_bps", 100.0, 4.0)]
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


def test_a_stale_group_that_contradicts_itself_has_to_be_fresh_and_sound(prod: Book) -> None:
    stale = {"observed_at": -5000.0, "slippage_p50_bps": 3.5}
    facts, found = ask(prod, "route=maker", telemetry=stale)
    assert {name for name, _, _ in shown(found)} in (
        {"telemetry", "telemetry.slippage_p50_bps"},
        {"telemetry", "telemetry.slippage_p95_bps"},
    )
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


@pytest.mark.parametrize("telemetry", [None, "none", [], {"observed_at": None}, {"observed_at": "late"}])
def test_a_group_that_says_nothing_is_given_fact_by_fact(prod: Book, telemetry: object) -> None:
    facts = {**copy.deepcopy(FACTS), "telemetry": telemetry}
    found = why_not(prod, "routing", facts, read_wish(prod.policy("routing"), "route=maker"))
    assert found.facts
    facts["telemetry"] = {}
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


CHOICES = """
  - {id: a, when: tier < high}
  - {id: b, when: worst == low}
  - {id: c, when: venue != place}
"""


@pytest.fixture(scope="module")
def choices() -> Book:
    """A book whose choices and texts are related: `worst <= tier`, `place != spot`."""
    documents = home(VETO + CHOICES)
    facts = documents["policies/facts.yaml"].replace("relations: [", "relations: [worst <= tier, place != spot, ")
    more = "      worst: {type: choice, of: [low, middle, high], ordered: true}\n      spot: {type: text}\n"
    documents["policies/facts.yaml"] = facts.replace("      kind:", f"{more}      kind:")
    return Book(rulebook_of(documents), "interpreter")


def test_choices_and_texts_become_what_the_rules_ask_for(choices: Book) -> None:
    group = {"tier": "low", "worst": "middle", "venue": "here", "place": "there", "spot": "elsewhere"}
    facts = {"now": 0.0, "g": group}
    found = why_not(choices, "p", facts, read_wish(choices.policy("p"), "open=true"))
    assert {name: after for name, _, after in shown(found)} in (
        {"g.tier": "high", "g.venue": "there"},
        {"g.tier": "high", "g.place": "here"},
    )
    assert choices.decide("p", applied(facts, found))["open"] is True


def test_an_age_limit_is_a_parameter_too(prod: Book) -> None:
    _, found = ask(prod, "route=maker", telemetry={"observed_at": -5000.0})
    assert found.parameters is not None
    assert [(edit.parameter, edit.before, edit.after) for edit in found.parameters] == [
        ("facts.telemetry_max_age_s", 900.0, 6000.0)
    ]


def test_a_parameter_that_is_a_root_is_a_double_or_undecided() -> None:
    numbers = "params: {n: {type: number, min: 0, max: 10}, m: {type: number, min: 2, max: 2}}\n"
    rules = VETO + "  - {id: a, when: $n * $n < $m}\n"
    book = Book(rulebook_of(home(rules + numbers, values="  s.n: 1\n  s.m: 2\n")), "interpreter")
    found = why_not(book, "p", {"now": 0.0}, read_wish(book.policy("p"), "open=true"), timeout_s=2.0)
    if found.parameters is None:
        assert "parameters" in found.undecided
    else:
        assert [edit.after for edit in found.parameters] == [pytest.approx(2**0.5, abs=1e-3)]


def test_what_takes_too_long_is_said_and_is_not_none(prod: Book) -> None:
    facts = copy.deepcopy(FACTS)
    facts["telemetry"]["fallback_ratio"] = 0.55
    wish = read_wish(prod.policy("routing"), "route=maker")
    found = why_not(prod, "routing", facts, wish, timeout_s=0.0)
    assert (found.facts, found.parameters) == (None, None)
    assert found.undecided == ("facts", "parameters")


def test_an_edit_of_one_parameter_loads_and_decides_so(prod: Book) -> None:
    _, found = ask(prod, "route=maker", telemetry={"fallback_ratio": 0.55})
    assert found.parameters is not None
    assert [(edit.parameter, edit.before, edit.after) for edit in found.parameters] == [
        ("quality.good_fallback_ratio", 0.4, 0.55)
    ]
    head, remark, line = edit_lines(found.parameters)
    assert (head, line) == ("values:", "  quality.good_fallback_ratio: {value: 0.55, why: ...}")
    assert remark.startswith("  # now 0.4 at profiles/base.yaml:")


def test_what_a_rule_set_requires_of_its_parameters_is_kept(prod: Book) -> None:
    _, found = ask(prod, "quality=broken", telemetry={"fallback_ratio": 0.55})
    assert found.parameters is not None
    assert {edit.parameter: edit.after for edit in found.parameters} == {
        "quality.broken_fallback_ratio": 0.55,
        "quality.degraded_fallback_ratio": 0.55,
    }


def test_a_value_of_a_symbol_group_is_edited_there(prod: Book) -> None:
    facts: dict[str, Any] = {
        **FACTS,
        "intent": {**FACTS["intent"], "qty": 0.1},
        "account": {
            "observed_at": 990.0,
            "nav_usd": 100000.0,
            "symbol_notional_usd": 29000.0,
            "portfolio_notional_usd": 50000.0,
            "leverage": 3.0,
            "drawdown_today": -0.01,
        },
        "risk": {"observed_at": 900.0, "risk_mode": "normal", "halted": False, "symbol_disabled": False},
    }
    found = why_not(prod, "admission", facts, read_wish(prod.policy("admission"), "admitted_qty>=0.1"))
    assert found.parameters is not None
    lines = edit_lines(found.parameters)
    assert lines[:3] == ["symbols:", "  CORE:", "    values:"]
    assert lines[3].startswith("      # now ")
    assert lines[4].startswith("      caps.symbol_nav_share: {value: 0.35")


def test_no_parameter_helps_where_the_facts_are_not_there(prod: Book) -> None:
    facts = {name: held for name, held in FACTS.items() if name != "telemetry"}
    found = why_not(prod, "routing", facts, read_wish(prod.policy("routing"), "route=maker"))
    assert found.parameters is None
    assert not found.undecided


def test_an_exit_rests_by_no_parameter(prod: Book) -> None:
    facts, found = ask(prod, "route=maker", intent={"reduce_only": True})
    assert found.parameters is None
    assert shown(found) == [("intent.reduce_only", True, False)]
    assert prod.decide("routing", applied(facts, found))["route"] == "maker"


def test_what_holds_already_needs_nothing(prod: Book) -> None:
    _, found = ask(prod, "route=maker")
    assert (found.already, found.facts, found.parameters) == (True, (), ())


def test_numbers_may_be_wished_by_a_bound(prod: Book) -> None:
    facts, found = ask(prod, "offset_bps<=1")
    assert float(prod.decide("routing", applied(facts, found))["offset_bps"]) <= 1
    assert found.parameters is not None
    assert len(found.parameters) == 1


def test_an_object_says_the_same(prod: Book) -> None:
    _, found = ask(prod, "route=maker", telemetry={"fallback_ratio": 0.55})
    shown = why_not_json(found)
    assert shown["wish"] == "route == maker"
    assert shown["facts"] == [{"fact": "telemetry.fallback_ratio", "before": 0.55, "cause": None, "after": 0.4}]
    assert shown["parameters"][0]["at"].startswith("profiles/base.yaml:")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("maker", "is no wish"),
        ("rout=maker", "sets no `rout`"),
        ("route=make", "cannot be `make`"),
        ("route>maker", "has no order"),
        ("offset_bps<=far", "is a number"),
        ("offset_bps<=nan", "is a number"),
        ("probe=yes", "is a flag"),
    ],
)
def test_a_wish_that_is_none_is_refused(prod: Book, text: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        read_wish(prod.policy("routing"), text)


@pytest.mark.parametrize(
    ("now", "then", "edge"), [(0.0, 1.0, 0.25), (10.0, -10.0, 2.5), (1.0, 1e300, 1e200), (-0.5, 0.5, -1e-9)]
)
def test_a_number_is_pulled_back_to_the_edge(now: float, then: float, edge: float) -> None:
    def holds(number: float) -> bool:
        return number >= edge if then > now else number <= edge

    assert pulled_back(Begun(now), then, holds) == edge


@pytest.mark.parametrize("part", range(4))
def test_changes_of_random_rulebooks_are_confirmed_and_none_is_smaller(part: int) -> None:
    """Of random rulebooks: a change does what it says; where none is said, none of many inputs does it either."""
    asked = 0
    for seed in range(part * 6, part * 6 + 6):
        pick = Picker.of(Random(seed))
        rulebook = write_rulebook(pick).try_load()
        if rulebook is None:
            continue
        book = Book(rulebook, "interpreter")
        for policy in rulebook.policies.values():
            name = pick.one(policy.decides)
            kind = policy.types()[name]
            facts = write_facts(pick, rulebook, policy)
            others = [write_facts(pick, rulebook, policy) | {"symbol": facts.get("symbol")} for _ in range(20)]
            value = book.decide(policy.name, pick.one(others))[name]
            assert isinstance(kind, NumberType | FlagType | ChoiceType)
            wish = Wish(name, "==", value, kind)
            found = why_not(book, policy.name, facts, wish)
            asked += 1
            if found.already:
                assert book.decide(policy.name, facts)[name] == value
            elif found.facts is None and calculates(policy):
                continue  # the solver is exact, and does not round
            elif found.facts is None:
                # That facts go missing is no way to a decision, so only inputs that have what these have count.
                assert found.undecided or not any(
                    book.decide(policy.name, other)[name] == value and _has_all_of(book, policy.name, facts, other)
                    for other in others
                )
            else:
                assert found.facts
                assert len({change.fact for change in found.facts}) == len(found.facts)
                if not any(change.after is None for change in found.facts):  # a group that gets fresh has other times
                    assert wish.holds(book.decide(policy.name, with_changes(facts, found))[name])
    assert asked


def with_changes(facts: dict[str, Any], found: WhyNot) -> dict[str, Any]:
    """Random facts with what would have to be otherwise."""
    facts = copy.deepcopy(facts)
    for change in found.facts or ():
        *groups, name = change.fact.split(".")
        held = facts
        for group in groups:
            if not isinstance(held.get(group), dict):
                held[group] = {}
            held = held[group]
        if held.get("observed_at") is None or change.cause:
            held["observed_at"] = facts["now"]
        held[name] = change.after
    return facts


def calculates(policy: Policy) -> bool:
    expressions = (part for expression in expressions_of(policy) for part in walk(expression))
    return any(isinstance(part, Arithmetic) for part in expressions)


def _has_all_of(book: Book, policy: str, facts: dict[str, Any], other: dict[str, Any]) -> bool:
    mine, theirs = (book.decide(policy, each).seen.names() for each in (facts, other))
    return all(
        not isinstance(theirs[name], str) or isinstance(mine[name], str) for name in mine if mine[name] is not None
    )
