"""How often transitions occurred among past decisions, and what those intents cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.transition_pages import weight_text
from engine.analysis.diff.transitions import Behaviour, Transition
from engine.analysis.diff.weigh import past_rows, weigh
from engine.analysis.request import RequestError
from engine.analysis.tables import BadRow, Row
from tests.analysis.diff.homes import BASE, HOME, edited, load

NOW = 1_700_000_000.0
A = load(HOME)
B = load(edited((BASE, "gates.max_spread_bps: 12", "gates.max_spread_bps: 20")))


@dataclass(frozen=True)
class Paid:
    intent_id: str
    usd: float
    notional_usd: float


@dataclass(frozen=True)
class Once:
    facts: Mapping[str, Any]
    policy: str | None = "routing"
    cost: Paid | None = None


def book(spread_bps: float, symbol: str | None = None) -> dict[str, Any]:
    facts = {"now": NOW, "book": {"observed_at": NOW, "spread_bps": spread_bps}, "intent": {"urgent": False}}
    return {**facts, "symbol": symbol} if symbol else facts


def weighed(*past: Once) -> dict[str, Transition]:
    found = weigh(behaviour(A, B), A, B, past)
    return {each.decision: each for each in found.transitions}


def test_counts_and_shares_are_of_decisions_of_the_policy() -> None:
    found = weighed(Once(book(15)), Once(book(18)), Once(book(5)), Once(book(30)), Once({"now": NOW}, "size"))
    assert set(found) == {"open", "route"}
    for each in found.values():
        assert each.weight is not None
        assert (each.weight.count, each.weight.decisions, each.weight.share) == (2, 4, 0.5)
        assert weight_text(each) == "2 of 4 decisions (50 %)"


def test_a_transition_that_never_occurred_says_so() -> None:
    assert weight_text(weighed(Once(book(5)))["route"]) == "never, in 1 decision"
    assert weight_text(weighed()["route"]) == "no decision of this policy in history"


def test_other_symbols_do_not_count() -> None:
    """The group keeps its own limit of 25: for its symbols nothing changes."""
    weight = weighed(Once(book(15, "DOGEUSDT")), Once(book(15, "BTCUSDT")))["route"].weight
    assert weight is not None
    assert (weight.count, weight.decisions) == (1, 2)


def test_transitions_alike_count_for_their_own_symbols() -> None:
    wider = (BASE, "max_spread_bps: 12", "max_spread_bps: 20"), (BASE, "{value: 25", "{value: 30")
    b = load(edited(*wider))
    past = [Once(book(15)), Once(book(16, "BTCUSDT")), Once(book(28, "DOGEUSDT"))]
    found = weigh(behaviour(A, b), A, b, past)
    counts = {(each.decision, each.scope.text): each.weight.count for each in found.transitions if each.weight}
    assert counts["route", "symbols in no group"] == 2
    assert counts["route", "DOGEUSDT, PEPEUSDT"] == 1


def test_money_is_that_of_intents_each_once() -> None:
    found = weighed(
        Once(book(15), cost=Paid("one", 3.0, 1000.0)),
        Once(book(16), cost=Paid("one", 3.0, 1000.0)),
        Once(book(15), cost=Paid("two", -1.0, 3000.0)),
        Once(book(5), cost=Paid("three", 99.0, 1000.0)),
        Once(book(15)),
    )
    weight = found["route"].weight
    assert weight is not None
    assert (weight.count, weight.intents, weight.cost_usd, weight.cost_bps) == (4, 2, 2.0, 5.0)
    assert weight_text(found["route"]) == "4 of 5 decisions (80 %); 2 outcomes known: 5 bps, 2.00 USD of cost"


def test_facts_without_a_policy_are_decided_by_every_one() -> None:
    found = weigh(behaviour(A, B), A, B, [Once(book(15), policy=None)])
    assert found.history == "2 decisions"


def test_facts_that_a_side_refuses_are_left_out_and_told_of() -> None:
    found = weigh(behaviour(A, B), A, B, [Once({**book(15), "nothing": {"x": 1}})])
    assert found.history == "0 decisions, 1 set of facts left out, which a side refuses"


def test_numbers_count_by_the_way_they_move() -> None:
    b = load(edited((BASE, "offset.base_bps: 2", "offset.base_bps: 3")))
    found: Behaviour = weigh(behaviour(A, b), A, b, [Once(book(5)), Once(book(1))])
    (rises,) = found.transitions
    assert rises.weight is not None
    assert (rises.weight.count, rises.weight.decisions) == (1, 2)


def test_a_row_that_is_no_facts_stops_with_its_place() -> None:
    def rows() -> Iterator[Row | BadRow]:
        yield Row("facts.jsonl:1", book(15))
        yield BadRow("facts.jsonl:2", "this is not JSON", "look")

    read = past_rows(rows())
    assert next(iter(read)).facts == book(15)
    with pytest.raises(RequestError, match=r"facts\.jsonl:2: this is not JSON"):
        list(read)
