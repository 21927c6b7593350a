"""Which rules veto: counted once a decision, over time, by symbol, with what the taker orders cost."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import pytest

from engine.journal.events import Event, Routed
from engine.routing.evidence.costs import CostTotals
from engine.routing.evidence.report import Report
from engine.routing.evidence.why import why
from engine.web.live import Keep, Live
from engine.web.pages.vetoes import BUCKETS, Tally, tally
from engine.web.pages.vetoes_html import vetoes_html, why_html
from engine.web.routed import RoutedIntent, RoutedIntents
from tests.routing.written import BTC, DOGE, NOW_MS, Written, ended_taker, route, shipped, sound, started
from tests.web.busy import a_busy_session
from tests.web.world import ListedSource


def events() -> Written:
    journal = Written()
    journal.add(started())
    route(journal, "rests", ts_ms=NOW_MS)
    route(journal, "leaves", ts_ms=NOW_MS + 1_000, reduce_only=True)
    ended_taker(journal, "leaves", 100.02, ts_ms=NOW_MS + 1_500)
    route(journal, "leaves-2", ts_ms=NOW_MS + 60_000, symbol=DOGE, groups=sound(NOW_MS + 60_000), reduce_only=True)
    return journal


def counted(symbol: str | None = None) -> Tally:
    intents = RoutedIntents(most=100)
    for event in events().events:
        intents.see(event)
    return tally(intents.all, symbol)


@cache
def busy() -> list[Event]:
    return a_busy_session(400)


def busy_tally(tmp_path: Path, symbol: str | None = None, keep: Keep | None = None) -> Tally:
    """As the page counts, whose stories are long forgotten."""
    live = Live(shipped("prod"), tmp_path, ListedSource(busy()), keep=keep or Keep(intents=5))
    while live.poll():
        pass
    return tally(live.routed.all, symbol)


def costs(cost: CostTotals) -> tuple[int, int, object]:
    usd = pytest.approx(cost.total_usd) if cost.complete else None
    return cost.complete, cost.incomplete, usd


def test_counts_and_costs_are_those_of_the_report(tmp_path: Path) -> None:
    """Whatever follows an intent's end: markouts come for minutes."""
    found, report = busy_tally(tmp_path), Report.of(busy())
    figures = report.figures()
    assert found.decisions == 400
    assert {"maker": found.maker, "taker": found.taker} == dict(report.routed)
    assert {"refused": found.refused, "too_small": found.too_small} == dict(report.left)
    assert min(found.maker, found.taker, found.refused, found.too_small) >= 10
    by_route = figures.groups["route"]
    assert costs(found.maker_cost) == costs(by_route["maker"].cost)
    assert costs(found.taker_cost) == costs(by_route["taker"].cost)
    assert found.taker_cost.complete > 100
    assert {rule: count.vetoed for rule, count in found.rules.items()} == {
        rule: veto.vetoes for rule, veto in figures.vetoes.items()
    }


@pytest.mark.parametrize("symbol", [BTC, DOGE])
def test_counts_shares_and_costs_are_those_of_why(symbol: str, tmp_path: Path) -> None:
    found, answer = busy_tally(tmp_path, symbol), why(busy(), symbol)
    assert (found.maker, found.taker, found.refused) == (answer.maker, answer.taker, answer.refused)
    assert found.too_small == answer.too_small
    assert f"{answer.refused} refused, {answer.too_small} too small" in why_html(answer)
    assert found.routed == answer.routed
    assert (costs(found.maker_cost), costs(found.taker_cost)) == (costs(answer.maker_cost), costs(answer.taker_cost))
    assert set(found.rules) == set(answer.vetoes)
    for rule, count in found.rules.items():
        look = answer.vetoes[rule]
        assert (count.vetoed, count.alone, count.last_decision_id) == (look.vetoed, look.alone, look.last_decision_id)
        assert (costs(count.cost), costs(count.alone_cost)) == (costs(look.cost), costs(look.alone_cost))
    assert {rule: count.vetoed for rule, count in found.refusing.items()} == dict(answer.refusals)


def test_shares_are_of_what_was_routed(tmp_path: Path) -> None:
    """A rule that vetoes each order there is vetoes all of them, however many were refused before."""
    found = busy_tally(tmp_path)
    shown = vetoes_html(found, None, is_cut=False)
    assert f"of {found.routed:,} routed; cost" in shown
    assert f"of {found.decisions:,} decisions, by rules of admission" in shown
    for rule in found.refusing:
        assert rule not in found.rules
        assert shown.index("Which rules refuse") < shown.index(rule)


def test_what_is_counted_is_the_last_decisions_and_says_that_there_were_more(tmp_path: Path) -> None:
    all_of_it = busy_tally(tmp_path)
    last = busy_tally(tmp_path, keep=Keep(routed=100, intents=5))
    assert (all_of_it.decisions, last.decisions) == (400, 100)
    assert all_of_it.first_ms is not None
    assert last.first_ms is not None
    assert last.first_ms > all_of_it.first_ms
    assert "all that were made" in vetoes_html(all_of_it, None, is_cut=False)
    shown = vetoes_html(last, None, is_cut=True)
    assert "<b>100</b>" in shown
    assert "since 2024-08-08 11:4" in shown
    assert "more were made before" in shown
    nothing = vetoes_html(Tally(), "NOSUCH", is_cut=True)
    assert "No decision on NOSUCH was made among the last ones" in nothing


def test_each_veto_is_counted_by_symbol_and_time() -> None:
    found = counted()
    assert (found.maker, found.taker, found.refused) == (1, 2, 0)
    look = found.rules["hard_gates.reduce_only"]
    assert (look.vetoed, look.alone) == (2, 2)
    assert look.symbols == {BTC: 1, DOGE: 1}
    assert (look.over_time[0], look.over_time[BUCKETS - 1]) == (1, 1)
    assert sum(look.over_time) == 2


def test_cost_is_that_of_the_orders_whose_end_is_known() -> None:
    look = counted().rules["hard_gates.reduce_only"]
    assert look.cost.complete == 1
    assert look.cost.total_bps is not None
    assert look.cost.total_bps > 0


def test_what_rules_refused_is_told_from_what_is_too_small() -> None:
    routed = next(event for event in events().events if isinstance(event, Routed) and event.route == "maker")
    refused = msgspec.structs.replace(routed, route="none", vetoes=["entry_gates.halted"])
    too_small = msgspec.structs.replace(routed, route="none", reason="admitted 0.1, less than one step of 1")
    found = tally([RoutedIntent(routed=each) for each in (routed, refused, too_small, too_small)])
    assert (found.maker, found.refused, found.too_small, found.decisions, found.routed) == (1, 1, 2, 4, 1)
    assert (list(found.rules), list(found.refusing)) == ([], ["entry_gates.halted"])
    shown = vetoes_html(found, None, is_cut=False)
    assert "<dt>maker</dt><dd><b>100 %</b>" in shown
    assert "<dt>refused</dt><dd><b>25 %</b>" in shown
    assert "<dt>too small</dt><dd><b>50 %</b>" in shown


def test_one_symbol_alone() -> None:
    assert counted(DOGE).decisions == 1
    assert counted("NOSUCH").decisions == 0


def test_the_page_has_a_row_a_rule_and_links_to_its_decisions() -> None:
    shown = vetoes_html(counted(), None, is_cut=False)
    assert 'href="/decisions?veto=hard_gates.reduce_only"' in shown
    assert "width: 66.7%" in shown
    assert DOGE in shown
    assert "No decision on NOSUCH was made yet" in vetoes_html(counted("NOSUCH"), "NOSUCH", is_cut=False)


def test_the_long_answer_says_what_was_alone() -> None:
    shown = why_html(why(events().events, BTC))
    assert "hard_gates.reduce_only" in shown
    assert "alone in 1" in shown
    assert "No intent of X" in why_html(why(events().events, "X"))
