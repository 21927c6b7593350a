"""Which rules veto: counted once a decision, over time, by symbol, with what the taker orders cost."""

from __future__ import annotations

import msgspec

from engine.journal.events import Outcome, Routed
from engine.routing.evidence.why import why
from engine.web.pages.vetoes import BUCKETS, tally
from engine.web.pages.vetoes_html import vetoes_html, why_html
from tests.routing.written import BTC, DOGE, NOW_MS, Written, ended_taker, route, sound, started


def events() -> Written:
    journal = Written()
    journal.add(started())
    route(journal, "rests", ts_ms=NOW_MS)
    route(journal, "leaves", ts_ms=NOW_MS + 1_000, reduce_only=True)
    ended_taker(journal, "leaves", 100.02, ts_ms=NOW_MS + 1_500)
    route(journal, "leaves-2", ts_ms=NOW_MS + 60_000, symbol=DOGE, groups=sound(NOW_MS + 60_000), reduce_only=True)
    return journal


def counted(symbol: str | None = None):  # type: ignore[no-untyped-def]  # a Tally
    held = events().events
    ends = {event.intent_id: event for event in held if isinstance(event, Outcome)}
    return tally([event for event in held if isinstance(event, Routed)], ends.get, symbol)


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
    found = tally([routed, refused, too_small, too_small], lambda _: None)
    assert (found.maker, found.refused, found.too_small, found.routed) == (1, 1, 2, 4)
    shown = vetoes_html(found, None, 5_000)
    assert "<dt>refused</dt><dd><b>25 %</b>" in shown
    assert "<dt>too small</dt><dd><b>50 %</b>" in shown


def test_one_symbol_alone() -> None:
    assert counted(DOGE).routed == 1
    assert counted("NOSUCH").routed == 0


def test_the_page_has_a_row_a_rule_and_links_to_its_decisions() -> None:
    shown = vetoes_html(counted(), None, 5_000)
    assert "the last 5,000 at most" in shown
    assert 'href="/decisions?veto=hard_gates.reduce_only"' in shown
    assert "width: 66.7%" in shown
    assert DOGE in shown
    assert "No decision on NOSUCH was made yet" in vetoes_html(counted("NOSUCH"), "NOSUCH", 5_000)


def test_the_long_answer_says_what_was_alone() -> None:
    shown = why_html(why(events().events, BTC))
    assert "hard_gates.reduce_only" in shown
    assert "alone in 1" in shown
    assert "No intent of X" in why_html(why(events().events, "X"))
