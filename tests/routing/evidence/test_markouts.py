"""Markouts: by hand for both sides, at which quote, what is missing, and that a restart goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import Event, Heard, MarkedOut, OrderPlanned
from engine.market import Event as MarketEvent
from engine.market import Quote, Trade
from engine.routing.evidence.markouts import Markouts, markout_bps
from engine.venues.messages import Accepted, Fill, Side

SYMBOL = "BTCUSDT"


def planned(client_id: str = "s-1", ts_ms: int = 0, intent_id: str = "intent-1") -> OrderPlanned:
    return OrderPlanned(
        ts_ms=ts_ms,
        intent_id=intent_id,
        client_id=client_id,
        leg=1,
        role="maker",
        symbol=SYMBOL,
        side="buy",
        qty=Decimal(1),
        kind="post_only",
        price=Decimal(100),
        reduce_only=False,
        mid=100.0,
    )


def fill(
    ts_ms: int,
    side: Side = "buy",
    trade_id: str = "1",
    client_id: str = "s-1",
    *,
    heard_ms: int | None = None,
    again: bool = False,
) -> Heard:
    message = Fill(ts_ms, client_id, trade_id, SYMBOL, side, Decimal(2), Decimal(100), Decimal(0), is_maker=True)
    return Heard(ts_ms=ts_ms if heard_ms is None else heard_ms, message=message, again=again)


def quote(ts_ms: int, mid: float, symbol: str = SYMBOL) -> Quote:
    return Quote(symbol, ts_ms, mid - 0.5, mid + 0.5, 1.0, 1.0)


def run(markouts: Markouts, *events: Event | MarketEvent) -> list[MarkedOut]:
    """Hand in journal and market events; what comes out is journaled, as the router does."""
    done: list[MarkedOut] = []
    for event in events:
        if isinstance(event, (Quote, Trade)):
            made = markouts.see_market(event)
            done += made
            for each in made:
                markouts.see(each)
        else:
            assert not isinstance(event, MarketEvent)
            markouts.see(event)
    return done


def bps(done: Iterable[MarkedOut]) -> dict[float, float]:
    return {each.horizon_s: round(each.markout_bps, 9) for each in done}


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_a_buy_costs_where_the_mid_falls_and_a_sell_where_it_rises(side: Side, sign: int) -> None:
    done = run(
        Markouts(),
        planned(),
        quote(900, 100.5),
        fill(1_000, side),
        quote(1_900, 99.0),
        quote(10_900, 98.0),
        quote(60_900, 101.0),
        quote(300_900, 100.0),
        quote(301_001, 50.0),
    )
    assert bps(done) == {1.0: sign * 100.0, 10.0: sign * 200.0, 60.0: -sign * 100.0, 300.0: 0.0}
    first = done[0]
    assert (first.intent_id, first.symbol, first.trade_id, first.is_maker) == ("intent-1", SYMBOL, "1", True)
    assert first.notional_usd == 200.0
    assert first.ts_ms == 10_900, "it is made by the first event after its moment"


def test_a_quote_of_the_very_moment_counts_and_the_last_of_several() -> None:
    done = run(Markouts([1]), planned(), fill(1_000), quote(2_000, 99.0), quote(2_000, 98.0), quote(2_001, 97.0))
    assert bps(done) == {1.0: 200.0}


def test_any_event_of_any_symbol_moves_the_time_on() -> None:
    markouts = Markouts([1])
    assert not run(markouts, planned(), quote(900, 99.0), fill(1_000), Trade("ETHUSDT", 2_000, 1.0, 1.0, None))
    assert bps(run(markouts, Trade("ETHUSDT", 2_001, 1.0, 1.0, None))) == {1.0: 100.0}


def test_a_silent_feed_makes_no_markout() -> None:
    markouts = Markouts([1, 60], max_quote_age_s=10)
    done = run(markouts, planned(), quote(900, 99.0), fill(1_000), quote(61_001, 90.0))
    assert bps(done) == {1.0: 100.0}
    assert markouts.missing == {1.0: 0, 60.0: 1}
    assert markouts.waiting == 0


def test_a_quote_as_old_as_allowed_still_counts() -> None:
    markouts = Markouts([10], max_quote_age_s=10)
    assert bps(run(markouts, planned(), quote(1_000, 99.0), fill(1_000), quote(11_001, 90.0))) == {10.0: 100.0}


def test_an_empty_side_makes_no_markout() -> None:
    markouts = Markouts([1])
    assert not run(markouts, planned(), fill(1_000), Quote(SYMBOL, 1_500, 0.0, 100.0, 0.0, 1.0), quote(2_001, 99.0))
    assert markouts.missing == {1.0: 1}


def test_a_fill_reported_too_late_is_missing_at_the_horizons_that_have_passed() -> None:
    markouts = Markouts([1, 10])
    done = run(
        markouts, planned(), quote(1_500, 99.0), quote(5_000, 98.0), fill(1_000, heard_ms=5_050), quote(11_500, 98.0)
    )
    assert bps(done) == {10.0: 200.0}
    assert markouts.missing == {1.0: 1, 10.0: 0}


def test_a_fill_reported_late_in_a_quiet_market_is_not() -> None:
    done = run(Markouts([1]), planned(), quote(1_500, 99.0), fill(1_000, heard_ms=5_050), quote(6_000, 90.0))
    assert bps(done) == {1.0: 100.0}


def test_a_fill_reported_again_is_marked_out_once() -> None:
    markouts = Markouts([1])
    done = run(
        markouts,
        planned(),
        fill(1_000),
        fill(1_000, heard_ms=1_100, again=True),
        quote(1_900, 99.0),
        quote(2_001, 99.0),
    )
    assert len(done) == 1
    assert not run(markouts, fill(1_000, heard_ms=2_100, again=True), Trade(SYMBOL, 2_200, 1.0, 1.0, None))
    assert not run(markouts, fill(1_000, heard_ms=2_100, again=True), quote(3_000, 99.0), quote(3_001, 99.0))
    assert markouts.missing == {1.0: 0}


def test_what_is_due_with_an_event_waits_for_all_events_of_its_moment() -> None:
    markouts = Markouts([1])
    run(markouts, planned(), fill(1_000), fill(1_001, trade_id="2"), quote(1_500, 99.0))
    first = run(markouts, quote(2_001, 98.0))
    assert [(each.trade_id, each.markout_bps) for each in first] == [("1", 100.0)]
    second = run(markouts, quote(2_001, 97.0), quote(2_002, 96.0))
    assert [(each.trade_id, each.markout_bps) for each in second] == [("2", 300.0)]


def test_a_fill_reported_again_after_its_markout_is_no_missing_one() -> None:
    markouts = Markouts([1])
    run(markouts, planned(), fill(1_000), quote(1_900, 99.0), quote(2_001, 99.0))
    assert not run(markouts, fill(1_000, heard_ms=2_500, again=True), quote(4_000, 99.0))


def test_an_order_that_nobody_planned_and_answers_are_passed_over() -> None:
    markouts = Markouts()
    run(markouts, fill(1_000, client_id="somebody-else"))
    run(markouts, planned(), Heard(ts_ms=5, message=Accepted(5, "s-1", "place", "open", Decimal(0))))
    assert markouts.waiting == 0


def test_an_order_is_remembered_for_an_hour_after_its_last_use() -> None:
    markouts = Markouts([1])
    run(markouts, planned("old"), planned("used"), fill(3_000_000, client_id="used"))
    run(markouts, planned("new", ts_ms=3_700_000))
    assert markouts.waiting == 1
    run(markouts, fill(3_700_000, client_id="old", trade_id="2"), fill(3_700_000, client_id="used", trade_id="3"))
    assert markouts.waiting == 2


def test_the_end_of_the_feed_settles_what_is_due_and_leaves_the_rest_waiting() -> None:
    markouts = Markouts([1, 10])
    run(markouts, planned(), fill(1_000), quote(1_500, 99.0))
    done = markouts.close(2_000)
    assert bps(done) == {1.0: 100.0}
    assert done[0].ts_ms == 2_000
    assert markouts.waiting == 1
    assert markouts.missing == {1.0: 0, 10.0: 0}


def test_a_restart_goes_on_with_what_was_waiting() -> None:
    first = Markouts()
    journal: list[Event] = [planned(), fill(1_000)]
    journal += run(first, *journal, quote(1_500, 99.0), quote(2_500, 99.0))
    assert len(journal) == 3

    second = Markouts()
    run(second, *journal)
    assert second.waiting == first.waiting == 3
    tail = [quote(10_500, 98.0), quote(11_500, 98.0), quote(60_500, 97.0), quote(61_500, 97.0)]
    assert run(second, *tail) == run(first, *tail) != []


def test_what_falls_due_together_comes_in_the_order_of_the_fills_and_horizons_may_be_named_in_any_order() -> None:
    markouts = Markouts([10, 1], max_quote_age_s=60)
    run(markouts, planned(), quote(900, 99.0), fill(1_000), fill(10_000, trade_id="2"), fill(10_000, trade_id="3"))
    done = run(markouts, quote(30_000, 98.0))
    made = [(each.trade_id, each.horizon_s) for each in done]
    assert made == [("1", 1.0), ("1", 10.0), ("2", 1.0), ("3", 1.0), ("2", 10.0), ("3", 10.0)]
    assert markouts.waiting == 0


def test_a_restart_makes_no_markout_again_though_one_of_a_later_horizon_is_in_the_journal() -> None:
    journal: list[Event] = [planned(), fill(1_000)]
    journal += run(Markouts(), *journal, quote(10_900, 98.0), quote(11_500, 98.0))
    assert [each.horizon_s for each in journal if isinstance(each, MarkedOut)] == [10.0]

    again = Markouts()
    run(again, *journal)
    assert again.waiting == 3
    assert not run(again, quote(10_950, 98.0), quote(12_000, 98.0)), "1 s has no quote, and 10 s is there already"
    assert again.missing == {1.0: 1, 10.0: 0, 60.0: 0, 300.0: 0}
    assert again.waiting == 2


def test_what_came_due_while_the_router_was_down_is_missing() -> None:
    markouts = Markouts([1, 10])
    done = run(markouts, planned(), fill(1_000), quote(5_000, 99.0), quote(10_500, 98.0), quote(11_001, 98.0))
    assert bps(done) == {10.0: 200.0}
    assert markouts.missing == {1.0: 1, 10.0: 0}


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(1.0, 200.0)), max_size=30), st.integers(0, 30))
def test_a_markout_is_that_of_the_last_quote_at_or_before_its_moment(
    moves: list[tuple[int, float]], filled_s: int
) -> None:
    quotes = [quote(at * 1_000, mid) for at, mid in sorted(moves)]
    before = [each for each in quotes if each.ts_ms <= filled_s * 1_000]
    after = [each for each in quotes if each.ts_ms > filled_s * 1_000]
    markouts = Markouts([5], max_quote_age_s=7)
    done = run(markouts, planned(), *before, fill(filled_s * 1_000), *after, quote(1_000_000, 1.0))
    due_ms = (filled_s + 5) * 1_000
    usable = [each for each in quotes if due_ms - 7_000 <= each.ts_ms <= due_ms]
    if usable:
        last = usable[-1]
        assert [each.markout_bps for each in done] == [markout_bps("buy", 100.0, (last.bid + last.ask) / 2)]
    else:
        assert not done
        assert markouts.missing == {5.0: 1}
