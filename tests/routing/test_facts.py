"""The facts of one symbol from hand-made events: what is computed, how it is dated, and what is left out."""

from __future__ import annotations

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


def market(built: SymbolFacts, after_ms: int) -> Facts:
    found = built.groups(START_MS + after_ms)["market"]
    assert found is not None
    return found


def bars(built: SymbolFacts, after_ms: int) -> Facts:
    found = built.groups(START_MS + after_ms)["bars"]
    assert found is not None
    return found


def vetoes(built: SymbolFacts, after_ms: int) -> dict[str, Facts]:
    """What the shipped rules say of the book, by rule: what their first leaf saw."""
    now_ms = START_MS + after_ms
    given = {"now": now_ms / 1000, "symbol": SYMBOL, "market": built.groups(now_ms)["market"]}
    record = shipped("prod").decide("routing", given).record()
    return {veto["rule"]: veto["leaves"][0]["saw"] for veto in record["vetoes"] if veto["leaves"]}


def bar(minute: int, low: float, high: float, close: float) -> Bar:
    open_ms = START_MS + minute * 60_000
    return Bar(SYMBOL, open_ms, close, high, low, close, 1.0, open_ms + 59_999)


def test_the_book_is_dated_by_the_venue_and_not_by_the_moment() -> None:
    assert market(builder(quote(0, 99.0, 100.0), quote(1_234, 99.9, 100.1)), 9_000) == {
        "observed_at": START + 1.234,
        "bid": 99.9,
        "ask": 100.1,
        "bid_qty": 2.0,
        "ask_qty": 3.0,
        "mid": 100.0,
        "spread_bps": pytest.approx(20.0),
    }


def test_what_was_never_seen_is_absent() -> None:
    assert builder().groups(START_MS) == {"market": None, "bars": None}


def test_a_market_without_quotes_has_the_price_of_its_last_print() -> None:
    built = builder(trade(0, 100.0), trade(10, 101.0))
    assert (built.last_price, built.last_event_ms) == (101.0, START_MS + 10)
    built.see_quote(quote(20, 99.0, 100.0))
    built.see_trade(trade(30, 101.0))
    assert (built.last_price, built.last_event_ms) == (99.5, START_MS + 30), "from then on it is the mid"


@pytest.mark.parametrize(("bid", "ask", "left"), [(0.0, 100.0, "ask"), (100.0, 0.0, "bid")])
def test_an_empty_side_has_no_price_and_makes_no_mid(bid: float, ask: float, left: str) -> None:
    assert set(market(builder(quote(0, bid, ask)), 0)) == {"observed_at", "bid_qty", "ask_qty", left}


def test_a_crossed_book_is_handed_on_as_it_is_and_the_vocabulary_refuses_it() -> None:
    built = builder(quote(0, 101.0, 100.0))
    assert market(built, 500)["spread_bps"] < 0
    assert vetoes(built, 500)["hard_gates.book_missing"] == {"bid": {"missing": "invalid"}}


def test_the_age_of_a_book_decides_and_exactly_the_limit_is_fresh() -> None:
    built = builder(quote(0, 99.99, 100.01))
    for after_ms, stale in ((2_000, False), (2_001, True)):
        assert ("hard_gates.book_missing" in vetoes(built, after_ms)) is stale


def test_atr_of_prints_by_hand() -> None:
    # Minute 0: high 102, low 100 (the first mid), no close before: 2. Minute 1: high 103, low 99: 4; its close is 99.
    made = bars(builder(*TWO_MINUTES), 121_000)
    assert made == {
        "observed_at": START + 120.0,
        "atr_short": 4.0 / 99.0,
        "atr_long": 3.0 / 99.0,
        "atr_ratio": pytest.approx(4.0 / 3.0),
    }


def test_a_bar_counts_from_the_moment_it_closes() -> None:
    built = builder(*TWO_MINUTES)
    before = bars(built, 119_999)
    assert before["observed_at"] == START + 60.0
    assert "atr_long" not in before
    assert "atr_ratio" not in before
    assert bars(built, 120_000)["observed_at"] == START + 120.0


def test_mids_make_the_bars_of_a_symbol_without_prints() -> None:
    mids = (100.0, 102.0, 101.0, 103.0, 99.0)
    times = (0, 2_000, 59_999, 60_000, 61_000)
    built = builder(*(quote(at, mid - 0.5, mid + 0.5) for at, mid in zip(times, mids, strict=True)), bars_of="mids")
    assert bars(built, 120_000)["atr_short"] == 4.0 / 99.0


def test_quotes_do_not_move_bars_of_prints() -> None:
    wild = [quote(at, 50.0, 200.0) for at in range(62_000, 119_000, 1_000)]
    assert bars(builder(*TWO_MINUTES, *wild), 120_000) == bars(builder(*TWO_MINUTES), 120_000)


def test_bars_from_before_carry_over_without_a_hole_even_if_the_first_print_is_late() -> None:
    warm = (bar(-2, 99.0, 101.0, 100.0), bar(-1, 99.0, 101.0, 100.0))
    built = builder(quote(10, 99.5, 100.5), trade(61_000, 100.0), warm_up=warm)
    made = bars(built, 120_000)
    assert made["observed_at"] == START + 120.0
    assert made["atr_long"] == 0.0, "a quiet minute, then one print at the same price"


def test_a_market_unseen_for_long_starts_its_atr_anew() -> None:
    built = builder(*TWO_MINUTES)
    assert "atr_long" in bars(built, 240_000), "two flat minutes are a quiet market"
    late = bars(built, 1_000_000)
    assert late["observed_at"] == START + 240.0, "and after that nothing closes: the group goes stale by its date"
    built.see_trade(trade(1_000_001, 150.0))
    anew = bars(built, 1_020_000)
    assert set(anew) == {"observed_at", "atr_short"}
    assert anew["atr_short"] == 0.0


def test_atr_does_not_depend_on_how_often_it_is_asked_for() -> None:
    often = builder()
    for event in TWO_MINUTES:
        for after_ms in range(0, event.ts_ms - START_MS, 7_000):
            if often.last_event_ms is not None and START_MS + after_ms > often.last_event_ms:
                often.groups(START_MS + after_ms)
        if isinstance(event, Quote):
            often.see_quote(event)
        else:
            often.see_trade(event)
    assert bars(often, 130_000) == bars(builder(*TWO_MINUTES), 130_000)


def test_every_fact_built_is_declared_by_the_shipped_vocabulary() -> None:
    groups = shipped("prod").rulebook.groups
    for name, made in builder(*TWO_MINUTES).groups(START_MS + 130_000).items():
        assert made is not None
        assert set(made) <= {fact.name for fact in groups[name].facts} | {"observed_at"}
