"""The facts of one symbol from hand-made events: what is computed, how it is dated, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from engine.market import Bar, Event, Quote
from engine.routing.facts import BarsOf, Facts, SymbolFacts
from engine.routing.shape import SessionShape
from tests.routing.markets import START_MS, SYMBOL, quote, shipped, trade

SHORT = SessionShape(atr_short_bars=1, atr_long_bars=2, max_flat_minutes=2)
START = START_MS / 1000
TWO_MINUTES = (
    quote(0, 99.5, 100.5),
    trade(1_000, 100.0),
    trade(2_000, 102.0),
    trade(59_999, 101.0),
    trade(60_000, 103.0),
    trade(61_000, 99.0),
)


def builder(
    *events: Event, shape: SessionShape = SHORT, bars_of: BarsOf = "prints", warm_up: tuple[Bar, ...] = ()
) -> SymbolFacts:
    built = SymbolFacts(SYMBOL, shape, bars_of=bars_of, warm_up=warm_up)
    for event in events:
        if isinstance(event, Quote):
            built.see_quote(event)
        else:
            assert not isinstance(event, Bar)
            built.see_trade(event)
    return built


def facts(built: SymbolFacts, after_ms: int, **kept: Facts) -> Facts:
    return built.facts(START_MS + after_ms, "i-1", {"side": "buy"}, kept)


def bar(minute: int, low: float, high: float, close: float) -> Bar:
    open_ms = START_MS + minute * 60_000
    return Bar(SYMBOL, open_ms, close, high, low, close, 1.0, open_ms + 59_999)


def test_the_book_is_dated_by_the_venue_and_not_by_the_intent() -> None:
    made = facts(builder(quote(0, 99.0, 100.0), quote(1_234, 99.9, 100.1)), 9_000)
    assert made["now"] == START + 9.0
    assert made["market"] == {
        "observed_at": START + 1.234,
        "bid": 99.9,
        "ask": 100.1,
        "bid_qty": 2.0,
        "ask_qty": 3.0,
        "mid": 100.0,
        "spread_bps": pytest.approx(20.0),
    }


def test_moment_intent_and_groups_kept_by_others_are_handed_on() -> None:
    kept = {"nav_usd": 5.0}
    made = facts(builder(quote(0, 99.0, 101.0)), 0, account=kept)
    assert (made["symbol"], made["intent_id"], made["intent"]) == (SYMBOL, "i-1", {"side": "buy"})
    assert made["account"] is kept


def test_what_was_never_seen_is_absent() -> None:
    made = facts(builder(), 0)
    assert made["market"] is None
    assert made["bars"] is None
    assert made["windows"] == {"probes_last_hour": 0.0}


@pytest.mark.parametrize(("bid", "ask", "left"), [(0.0, 100.0, "ask"), (100.0, 0.0, "bid")])
def test_an_empty_side_has_no_price_and_makes_no_mid(bid: float, ask: float, left: str) -> None:
    market = facts(builder(quote(0, bid, ask)), 0)["market"]
    assert set(market) == {"observed_at", "bid_qty", "ask_qty", left}


def test_a_crossed_book_is_handed_on_as_it_is_and_the_vocabulary_refuses_it() -> None:
    made = facts(builder(quote(0, 101.0, 100.0)), 500)
    assert made["market"]["spread_bps"] < 0
    decision = shipped("prod").decide("routing", {key: made[key] for key in ("now", "symbol", "market")})
    (veto,) = [veto for veto in decision.record()["vetoes"] if veto["rule"] == "hard_gates.book_missing"]
    assert veto["leaves"][0]["saw"] == {"bid": {"missing": "invalid"}}


def test_the_age_of_a_book_decides_and_exactly_the_limit_is_fresh() -> None:
    built = builder(quote(0, 99.99, 100.01))
    for after_ms, stale in ((2_000, False), (2_001, True)):
        made = facts(built, after_ms)
        decision = shipped("prod").decide("routing", {key: made[key] for key in ("now", "symbol", "market")})
        assert ("hard_gates.book_missing" in decision.vetoes) is stale


def test_atr_of_prints_by_hand() -> None:
    # Minute 0: high 102, low 100 (the first mid), no close before: 2. Minute 1: high 103, low 99: 4; its close is 99.
    made = facts(builder(*TWO_MINUTES), 121_000)["bars"]
    assert made == {
        "observed_at": START + 120.0,
        "atr_short": 4.0 / 99.0,
        "atr_long": 3.0 / 99.0,
        "atr_ratio": pytest.approx(4.0 / 3.0),
    }


def test_a_bar_counts_from_the_moment_it_closes() -> None:
    built = builder(*TWO_MINUTES)
    before = facts(built, 119_999)["bars"]
    assert before["observed_at"] == START + 60.0
    assert "atr_long" not in before
    assert "atr_ratio" not in before
    assert facts(built, 120_000)["bars"]["observed_at"] == START + 120.0


def test_mids_make_the_bars_of_a_symbol_without_prints() -> None:
    mids = (100.0, 102.0, 101.0, 103.0, 99.0)
    times = (0, 2_000, 59_999, 60_000, 61_000)
    built = builder(*(quote(at, mid - 0.5, mid + 0.5) for at, mid in zip(times, mids, strict=True)), bars_of="mids")
    assert facts(built, 120_000)["bars"]["atr_short"] == 4.0 / 99.0


def test_quotes_do_not_move_bars_of_prints() -> None:
    wild = [quote(at, 50.0, 200.0) for at in range(62_000, 119_000, 1_000)]
    assert facts(builder(*TWO_MINUTES, *wild), 120_000)["bars"] == facts(builder(*TWO_MINUTES), 120_000)["bars"]


def test_bars_from_before_carry_over_without_a_hole_even_if_the_first_print_is_late() -> None:
    warm = (bar(-2, 99.0, 101.0, 100.0), bar(-1, 99.0, 101.0, 100.0))
    built = builder(quote(10, 99.5, 100.5), trade(61_000, 100.0), warm_up=warm)
    made = facts(built, 120_000)["bars"]
    assert made["observed_at"] == START + 120.0
    assert made["atr_long"] == 0.0, "a quiet minute, then one print at the same price"


def test_a_market_unseen_for_long_starts_its_atr_anew() -> None:
    built = builder(*TWO_MINUTES)
    assert "atr_long" in facts(built, 240_000)["bars"], "two flat minutes are a quiet market"
    late = facts(built, 1_000_000)["bars"]
    assert late["observed_at"] == START + 240.0, "and after that nothing closes: the group goes stale by its date"
    built.see_trade(trade(1_000_001, 150.0))
    anew = facts(built, 1_020_000)["bars"]
    assert set(anew) == {"observed_at", "atr_short"}
    assert anew["atr_short"] == 0.0


def test_atr_does_not_depend_on_how_often_it_is_asked_for() -> None:
    often = builder()
    for event in TWO_MINUTES:
        for after_ms in range(0, event.ts_ms - START_MS, 7_000):
            if often.last_event_ms is not None and START_MS + after_ms > often.last_event_ms:
                facts(often, after_ms)
        if isinstance(event, Quote):
            often.see_quote(event)
        else:
            often.see_trade(event)
    assert facts(often, 130_000)["bars"] == facts(builder(*TWO_MINUTES), 130_000)["bars"]


def test_windows_hold_the_silence_of_the_feed_and_the_probes_of_an_hour() -> None:
    built = builder(quote(0, 99.0, 101.0), trade(500, 100.0))
    for after_ms in (0, 1_000, 2_000):
        built.count_probe(START_MS + after_ms)
    kept: dict[str, Any] = {"maker_paused": True}
    assert facts(built, 4_000, windows=kept)["windows"] == {
        "maker_paused": True,
        "feed_gap_s": 3.5,
        "probes_last_hour": 3.0,
    }
    assert facts(built, 3_600_999)["windows"]["probes_last_hour"] == 2.0
    assert facts(built, 3_601_000)["windows"]["probes_last_hour"] == 1.0
    assert kept == {"maker_paused": True}, "what others keep is not written to"


def test_every_fact_built_is_declared_by_the_shipped_vocabulary() -> None:
    groups = shipped("prod").rulebook.groups
    made = facts(builder(*TWO_MINUTES), 130_000)
    for group in ("market", "bars", "windows"):
        declared = {fact.name for fact in groups[group].facts} | {"observed_at"}
        assert set(made[group]) <= declared
