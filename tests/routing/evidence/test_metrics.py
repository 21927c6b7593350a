"""A line of router metrics for each outcome: what was asked, what came of it, and what it cost."""

from __future__ import annotations

from decimal import Decimal

import jsonschema
import msgspec
import pytest

from engine.journal.events import Checkpoint, Event, Tuned
from engine.routing.evidence.contract import Deltas, RouterMetrics, schemas
from engine.routing.evidence.metrics import Metrics
from tests.routing.written import BTC, DOGE, NOW_MS, Written, ended, ended_taker, route, sound


def metrics(events: list[Event]) -> list[RouterMetrics]:
    fold = Metrics()
    return [line for event in events if (line := fold.see(event)) is not None]


def one(journal: Written) -> RouterMetrics:
    (line,) = metrics(journal.events)
    return line


def tuned(symbol: str, bias: float, ts_ms: int = NOW_MS - 1000, **was: float) -> Tuned:
    return Tuned(
        ts_ms=ts_ms,
        symbol=symbol,
        bias_delta=bias,
        offset_delta_bps=1.0,
        maker_first=None,
        was=was,
        decision_id="0" * 24,
        rulebook="r",
        evidence={},
    )


def test_a_maker_fill_is_told_whole() -> None:
    journal = Written()
    routed = route(journal, "a-1")
    outcome = ended(journal, "a-1", ack_ms=[60, 20, 45, 900, 1])
    line = one(journal)
    assert (line.seq, line.ts, line.decision_id) == (outcome.seq, outcome.ts_ms / 1000, routed.decision_id)
    assert (line.maker_start, line.is_maker_final, line.used_fallback) == (True, True, False)
    assert line.ack_latency_ms == 45
    assert line.average_price == pytest.approx(99.98)
    assert line.slippage_bps == pytest.approx((99.98 - 100.01) / 100.01 * 1e4)
    assert line.effective_price == pytest.approx((49.99 + 0.009998) / 0.5)
    assert line.policy is not None
    assert (line.policy.quality, line.policy.offset_bps, line.policy.bias) == ("good", routed.offset_bps, routed.bias)
    assert line.policy.reason == routed.reason


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_slippage_is_cost_on_either_side(side: str, sign: int) -> None:
    journal = Written()
    ended(journal, "a-1", side=side, cost_usd=50.5, fees_usd=0.1, arrival_mid=100.0)
    line = one(journal)
    assert line.slippage_bps == pytest.approx(sign * 100.0)
    assert line.effective_price == pytest.approx(101.0 + sign * 0.2)


def test_a_fallback_is_no_maker_fill() -> None:
    journal = Written()
    ended(journal, "a-1", maker_filled=Decimal("0.2"), fallback=True)
    line = one(journal)
    assert (line.maker_start, line.is_maker_final, line.used_fallback) == (True, False, True)


def test_a_taker_says_which_veto_stood_against_maker() -> None:
    journal = Written()
    routed = route(journal, "a-1", groups=sound(market={"spread_bps": 13.0}))
    ended_taker(journal, "a-1", 100.02, taker_veto=routed.vetoes[0])
    line = one(journal)
    assert (line.maker_start, line.is_maker_final, line.taker_veto) == (False, False, "hard_gates.spread_too_wide")
    assert line.ack_latency_ms is None


def test_what_was_not_filled_has_no_price() -> None:
    journal = Written()
    ended(journal, "a-1", result="unfilled", filled=Decimal(0), maker_filled=Decimal(0), cost_usd=0.0, ack_ms=[])
    line = one(journal)
    assert (line.average_price, line.effective_price, line.slippage_bps, line.is_maker_final) == (None,) * 4
    assert line.ack_latency_ms is None


def test_without_a_mid_at_arrival_there_is_no_slippage() -> None:
    journal = Written()
    ended(journal, "a-1", arrival_mid=None)
    line = one(journal)
    assert (line.slippage_bps, line.shortfall_usd, line.shortfall_bps) == (None, None, None)
    assert line.average_price is not None


def test_the_policy_of_an_intent_routed_before_the_journal_begins_is_null() -> None:
    journal = Written()
    ended(journal, "a-1")
    line = one(journal)
    assert (line.policy, line.decision_id) == (None, None)
    assert (line.autotune.applied, line.autotune.before, line.autotune.after) == (False, None, None)


def test_the_policy_is_that_of_the_decision_not_of_what_came_after() -> None:
    journal = Written()
    routed = route(journal, "a-1")
    journal.add(msgspec.structs.replace(routed, route="taker", event="fallback", reason="later"))
    ended(journal, "a-1", fallback=True)
    line = one(journal)
    assert line.policy is not None
    assert line.policy.reason == routed.reason


def test_the_tuning_in_force_when_it_was_routed_is_told_before_and_after() -> None:
    journal = Written()
    journal.add(tuned(BTC, -0.05))
    journal.add(tuned(DOGE, 0.4))
    journal.add(tuned(BTC, -0.1, tuned_bias_delta=-0.05, tuned_offset_delta_bps=0.5))
    route(journal, "a-1")
    journal.add(tuned(BTC, -0.15, tuned_bias_delta=-0.1))
    ended(journal, "a-1")
    autotune = one(journal).autotune
    assert autotune.applied
    assert autotune.before == Deltas(bias_delta=-0.05, offset_delta_bps=0.5, maker_first=None)
    assert autotune.after == Deltas(bias_delta=-0.1, offset_delta_bps=1.0, maker_first=None)


def test_a_checkpoint_tells_what_is_in_force_and_not_since_when() -> None:
    journal = Written()
    held = {"tuned_bias_delta": 0.1, "tuned_offset_delta_bps": 0.0, "tuned_maker_first": False}
    journal.add(
        Checkpoint(
            ts_ms=NOW_MS, positions={}, cash_usd=Decimal(1), fees_usd=Decimal(0), day_nav_usd=None, tuned={BTC: held}
        )
    )
    route(journal, "a-1")
    ended(journal, "a-1")
    autotune = one(journal).autotune
    assert (autotune.applied, autotune.before) == (True, None)
    assert autotune.after == Deltas(bias_delta=0.1, offset_delta_bps=0.0, maker_first=False)


def test_a_refused_intent_has_a_line_too() -> None:
    journal = Written()
    route(journal, "a-1", qty=-1.0)
    nothing = Decimal(0)
    ended(
        journal,
        "a-1",
        route="none",
        result="unfilled",
        target=nothing,
        filled=nothing,
        maker_filled=nothing,
        attempted=nothing,
        cost_usd=0.0,
        submissions=0,
        ack_ms=[],
    )
    line = one(journal)
    assert (line.route, line.maker_start, line.shortfall_bps) == ("none", False, None)


def test_lines_are_as_their_schema_says() -> None:
    journal = Written()
    journal.add(tuned(BTC, -0.05, tuned_bias_delta=0.0))
    for number in range(2):
        route(journal, f"a-{number}")
    ended(journal, "a-0")
    ended_taker(journal, "a-1", 100.02)
    ended(journal, "unknown", arrival_mid=None)
    for line in metrics(journal.events):
        jsonschema.validate(msgspec.json.decode(msgspec.json.encode(line)), schemas()["router_metrics"])


def test_only_open_intents_are_held() -> None:
    journal, fold = Written(), Metrics()
    for number in range(20):
        route(journal, f"a-{number}")
        ended(journal, f"a-{number}")
    for event in journal.events:
        fold.see(event)
    assert fold._routed == {}
