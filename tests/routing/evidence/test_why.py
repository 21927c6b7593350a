"""Why a symbol is never maker: every veto is counted, priced, and shown where it was nearest to lifting."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.journal.events import BaselineDone, ProbeGranted, Routed
from engine.routing.evidence.why import Why, why
from tests.routing.written import (
    BTC,
    DOGE,
    NOW_MS,
    Groups,
    Written,
    ended,
    ended_taker,
    route,
    shipped,
    sound,
    started,
)

WIDE, QUALITY, STALE = "hard_gates.spread_too_wide", "maker_gates.quality_not_good", "hard_gates.telemetry_stale"
BIAS = "hard_gates.bias_prefers_taker"


def wide(spread_bps: float) -> Groups:
    return sound(market={"spread_bps": spread_bps})


def answered(journal: Written, **asked: Any) -> Why:
    return why(journal.events, BTC, book_of=lambda *_: shipped("prod"), **asked)


def resting(journal: Written, intent_id: str, price: float, **changes: Any) -> None:
    made: dict[str, Any] = {
        "symbol": BTC,
        "baseline": "maker_then_taker",
        "side": "buy",
        "target": Decimal("0.5"),
        "filled": Decimal("0.5"),
        "maker_filled": Decimal("0.5"),
        "cost_usd": 0.5 * price,
        "fees_usd": 0.0,
        "arrival_mid": 100.01,
        "sent_mid": 100.01,
        "end_mid": 100.01,
    }
    journal.add(BaselineDone(ts_ms=NOW_MS + 9000, intent_id=intent_id, **{**made, **changes}))


def test_every_veto_of_a_decision_counts_and_a_single_one_counts_as_alone() -> None:
    journal = Written()
    route(journal, "a-1", groups=wide(13.0))
    route(journal, "a-2", groups=sound(market={"spread_bps": 13.0}, telemetry={"fallback_ratio": 0.5}))
    route(journal, "a-3", groups=sound(telemetry={"fallback_ratio": 0.5}))
    route(journal, "a-4")
    answer = answered(journal)
    assert (answer.intents, answer.maker, answer.taker, answer.refused) == (4, 1, 3, 0)
    assert {name: (look.vetoed, look.alone) for name, look in answer.vetoes.items()} == {WIDE: (2, 1), QUALITY: (2, 1)}
    assert [look.rule for look in answer.ranked] == [WIDE, QUALITY]
    assert answer.as_json()["vetoes"][0]["share"] == 0.5, "of all that was routed"


def test_another_symbol_and_another_time_do_not_count() -> None:
    journal = Written()
    for number in range(6):
        ts_ms = NOW_MS + number * 1000
        route(journal, f"a-{number}", ts_ms=ts_ms, groups=sound(ts_ms, market={"spread_bps": 13.0}))
    route(journal, "d-1", symbol=DOGE, groups=wide(13.0))
    answer = answered(journal, since_ms=NOW_MS + 1000, until_ms=NOW_MS + 4000)
    assert (answer.intents, answer.vetoes[WIDE].vetoed) == (3, 3)
    assert (answer.first_ms, answer.last_ms) == (NOW_MS + 1000, NOW_MS + 3000)
    assert answer.symbols == {BTC: 3}, "the other one came before"


def test_an_outcome_after_the_window_still_prices_a_decision_in_it() -> None:
    journal = Written()
    route(journal, "a-1", groups=wide(13.0))
    ended_taker(journal, "a-1", 100.11, ts_ms=NOW_MS + 60_000)
    assert answered(journal, until_ms=NOW_MS + 1).vetoes[WIDE].cost.complete == 1


def test_a_refusal_is_counted_by_its_own_rules() -> None:
    journal = Written()
    route(journal, "a-1", qty=-1.0)
    route(journal, "a-2", groups=sound(risk=None))
    answer = answered(journal)
    assert (answer.refused, answer.too_small, answer.taker, answer.vetoes) == (2, 0, 0, {})
    assert answer.refusals == {"sanity.qty_invalid": 1, "entry_gates.risk_missing": 1} | dict(answer.refusals)


def test_what_the_venue_would_not_take_is_no_refusal() -> None:
    journal = Written()
    made = route(journal, "a-1")
    journal.events.pop()
    journal.add(
        msgspec.structs.replace(made, seq=0, route="none", vetoes=[], reason="admitted 0.1, less than one step")
    )
    answer = answered(journal)
    assert (answer.intents, answer.refused, answer.too_small, answer.routed) == (1, 0, 1, 0)
    assert answer.refusals == {}


def test_the_cost_of_a_veto_is_that_of_the_taker_orders_it_had_a_part_in() -> None:
    journal = Written()
    both = sound(market={"spread_bps": 13.0}, telemetry={"fallback_ratio": 0.5})
    for intent_id, groups, price in (("a-1", wide(13.0), 100.11), ("a-2", both, 100.31), ("a-3", sound(), 0.0)):
        route(journal, intent_id, groups=groups)
        if price:
            ended_taker(journal, intent_id, price, fees_usd=0.0)
    ended(journal, "a-3")
    answer = answered(journal)
    look = answer.vetoes[WIDE]
    assert look.cost.complete == 2
    assert look.cost.total_usd == pytest.approx(0.5 * (0.10 + 0.30))
    assert look.alone_cost.total_usd == pytest.approx(0.5 * 0.10)
    assert look.cost.total_bps == pytest.approx(0.2 / (2 * 0.5 * 100.01) * 1e4)
    assert answer.vetoes[QUALITY].alone_cost.complete == 0
    assert (answer.taker_cost.complete, answer.maker_cost.complete) == (2, 1)


def test_a_fallback_is_no_taker_route_of_a_veto() -> None:
    journal = Written()
    routed = route(journal, "a-1")
    journal.add(msgspec.structs.replace(routed, route="taker", event="fallback", vetoes=[]))
    ended(journal, "a-1", fallback=True)
    answer = answered(journal)
    assert (answer.maker, answer.taker, answer.vetoes) == (1, 0, {})
    assert answer.maker_cost.complete == 1


def test_what_resting_would_have_saved_is_of_decisions_it_vetoed_alone() -> None:
    journal = Written()
    both = sound(market={"spread_bps": 13.0}, telemetry={"fallback_ratio": 0.5})
    for intent_id, groups in (("a-1", wide(13.0)), ("a-2", both)):
        route(journal, intent_id, groups=groups)
        ended_taker(journal, intent_id, 100.11, fees_usd=0.0)
        resting(journal, intent_id, 90.0, baseline="maker")
        resting(journal, intent_id, 100.01)
    look = answered(journal).vetoes[WIDE]
    assert look.saving.intents == 1
    assert look.saving.usd == pytest.approx(0.05)
    assert look.saving.bps == pytest.approx(0.05 / (0.5 * 100.01) * 1e4)


def test_what_was_not_filled_is_measured_at_the_same_end() -> None:
    journal = Written()
    route(journal, "a-1", groups=wide(13.0))
    half = Decimal("0.25")
    ended_taker(
        journal, "a-1", 100.01, target=Decimal("0.5"), filled=half, cost_usd=25.0025, fees_usd=0.0, end_mid=100.01
    )
    resting(journal, "a-1", 100.01, end_mid=100.41)
    assert answered(journal).vetoes[WIDE].saving.usd == pytest.approx(0.25 * 0.40)


def test_of_several_things_lacking_the_widest_counts() -> None:
    journal = Written()
    for intent_id, fill, slippage in (("a-1", 0.699, 6.0), ("a-2", 0.63, 4.0)):
        route(journal, intent_id, groups=sound(telemetry={"maker_fill_ratio": fill, "slippage_p95_bps": slippage}))
    near = answered(journal).vetoes[QUALITY].nearest
    assert near is not None
    assert [gap.shown for gap in near.gaps] == ["maker_fill_ratio 0.63 >= good_maker_fill_ratio 0.7"]


def test_a_rule_that_was_not_reached_is_no_way_out() -> None:
    journal = Written()
    route(journal, "a-1", groups=sound(telemetry={"sample_count": 15.0, "maker_fill_ratio": 0.69}))
    near = answered(journal).vetoes[QUALITY].nearest
    assert near is not None
    assert (near.rule, near.away) == ("quality.unproven", 0.25), "0.69 of 0.7 would have been nearer"


def test_the_nearest_to_lifting_is_the_smallest_gap_with_its_decision() -> None:
    journal = Written()
    ids = [
        route(journal, f"a-{number}", ts_ms=NOW_MS + number, groups=wide(spread)).decision_id
        for number, spread in enumerate((14.0, 12.36, 13.0))
    ]
    look = answered(journal).vetoes[WIDE]
    near = look.nearest
    assert near is not None
    assert [gap.shown for gap in near.gaps] == ["spread_bps 12.36 > max_spread_bps 12"]
    assert near.away == pytest.approx(0.03)
    assert (near.decision_id, near.rule, near.is_lacking) == (ids[1], WIDE, False)
    assert look.last_decision_id == ids[2]
    assert look.at.startswith("rules/hard_gates.yaml:")


def test_behind_a_tier_stands_the_rule_that_made_it() -> None:
    journal = Written()
    route(journal, "a-1", groups=sound(telemetry={"sample_count": 15.0}))
    route(journal, "a-2", groups=sound(telemetry={"fallback_ratio": 0.63}))
    answer = answered(journal)
    assert answer.vetoes[QUALITY].behind == {"quality.unproven": 1, "quality.degraded": 1}
    near = answer.vetoes[QUALITY].nearest
    assert near is not None
    assert ([gap.shown for gap in near.gaps], near.rule) == (
        ["fallback_ratio 0.63 >= degraded_fallback_ratio 0.6"],
        "quality.degraded",
    )
    assert answer.vetoes[BIAS].nearest is not None
    assert answer.vetoes[BIAS].behind == {"bias_label.prefer_taker": 1}


def test_a_tier_that_nothing_made_shows_what_the_good_one_lacked() -> None:
    journal = Written()
    route(journal, "a-1", groups=sound(telemetry={"maker_fill_ratio": 0.63, "slippage_p95_bps": 4.4}))
    near = answered(journal).vetoes[QUALITY].nearest
    assert near is not None
    assert (near.rule, near.is_lacking) == ("quality.good", True)
    assert [gap.shown for gap in near.gaps] == [
        "maker_fill_ratio 0.63 >= good_maker_fill_ratio 0.7",
        "slippage_p95_bps 4.4 <= good_slippage_bps 4",
    ]
    assert near.away == pytest.approx(0.1), "all of them have to be mended, so the widest counts"


def test_a_good_tier_that_lacks_a_missing_metric_is_at_no_distance() -> None:
    journal = Written()
    telemetry = dict(sound()["telemetry"] or {})
    del telemetry["maker_fill_ratio"]
    route(journal, "a-1", groups={**sound(), "telemetry": telemetry})
    look = answered(journal).vetoes[QUALITY]
    assert look.behind == {"quality.otherwise": 1}
    assert look.nearest is None


def test_without_the_rulebook_the_vetoes_themselves_are_looked_at() -> None:
    journal = Written()
    route(journal, "a-1", groups=sound(market={"spread_bps": 13.0}, telemetry={"fallback_ratio": 0.5}))
    answer = why(journal.events, BTC)
    assert answer.vetoes[WIDE].nearest is not None
    assert answer.vetoes[QUALITY].nearest is None
    assert not answer.vetoes[QUALITY].behind


def test_what_was_missing_is_counted_with_its_cause() -> None:
    journal = Written()
    route(journal, "a-1", groups=sound(telemetry={"observed_at": 1.0}))
    route(journal, "a-2", groups=sound(telemetry=None))
    route(journal, "a-3", groups=sound(telemetry=None))
    assert answered(journal).vetoes[STALE].missing == {"sample_count (absent)": 2, "sample_count (stale)": 1}


def test_a_decision_made_twice_counts_once() -> None:
    """After a crash between the decision and its line the router decides again."""
    journal = Written()
    routed = route(journal, "a-1", groups=wide(13.0))
    journal.events.insert(1, next(event for event in journal.events if not isinstance(event, Routed)))
    answer = answered(journal)
    assert (answer.intents, answer.vetoes[WIDE].vetoed) == (1, 1)
    near = answer.vetoes[WIDE].nearest
    assert near is not None
    assert near.decision_id == routed.decision_id


def test_probes_are_counted() -> None:
    journal = Written()
    route(journal, "a-1")
    journal.add(ProbeGranted(ts_ms=NOW_MS, intent_id="a-1", symbol=BTC))
    journal.add(ProbeGranted(ts_ms=NOW_MS, intent_id="d-1", symbol=DOGE))
    assert answered(journal).probes == 1


def test_a_journal_without_the_symbol_gives_an_empty_answer() -> None:
    journal = Written()
    journal.add(started())
    route(journal, "d-1", symbol=DOGE)
    answer = answered(journal)
    assert (answer.intents, answer.vetoes, answer.symbols) == (0, {}, {DOGE: 1})


def test_the_answer_is_plain_data() -> None:
    journal = Written()
    for number, spread in enumerate((14.0, 12.36, 2.0)):
        route(journal, f"a-{number}", groups=wide(spread))
    ended_taker(journal, "a-0", 100.11)
    resting(journal, "a-0", 100.01)
    plain = json.loads(json.dumps(answered(journal).as_json(), allow_nan=False))
    assert plain["vetoes"][0]["nearest"]["comparisons"][0]["shown"] == "spread_bps 12.36 > max_spread_bps 12"
    assert plain["vetoes"][0]["resting_would_have_saved"]["intents"] == 1
