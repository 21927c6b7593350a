"""The telemetry of 7 days: what counts as a maker attempt, what each metric is, and that nothing but events decides it.

Every defect of the telemetry that was replaced has a test here or in test_telemetry.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import load
from engine.journal.events import Event, Imported, Outcome
from engine.journal.reader import read
from engine.routing.effectiveness import Effectiveness, Sample, TelemetryError, nearest_rank, sample_of
from tests.routing.outcomes import DAY_MS, NOW_MS, import_of, outcome, sample, several_days, taken, write_journal

WEEK_MS = 7 * DAY_MS


def folded(events: Iterable[Event], window_s: float = 7 * 86_400) -> Effectiveness:
    view = Effectiveness(window_s)
    for event in events:
        view.see(event)
    return view


def facts_of(*events: Event, now_ms: int = NOW_MS, symbol: str = "BTCUSDT") -> dict[str, float]:
    return folded(events).facts(symbol, now_ms)


# --- what is a sample ------------------------------------------------------------------------------------------------


def test_an_exit_is_no_sample() -> None:
    assert sample_of(outcome(is_exit=True)) is None


def test_an_entry_that_was_only_sent_to_take_is_no_sample() -> None:
    assert sample_of(taken()) is None


@pytest.mark.parametrize(
    ("side", "paid", "bps"), [("buy", 100.02, 2.0), ("buy", 99.97, -3.0), ("sell", 99.98, 2.0), ("sell", 100.03, -3.0)]
)
def test_slippage_is_positive_where_it_cost_whichever_the_side(side: str, paid: float, bps: float) -> None:
    seen = sample_of(outcome(side=side, cost_usd=2 * paid))
    assert seen is not None
    assert seen.slippage_bps == pytest.approx(bps)


def test_slippage_is_of_everything_that_was_executed_the_taker_part_included() -> None:
    seen = sample_of(outcome(maker_filled=Decimal(1), cost_usd=100.0 + 100.1, fallback=True))
    assert seen is not None
    assert seen.filled == 1
    assert seen.slippage_bps == pytest.approx(5.0)


def test_slippage_is_of_what_was_executed_not_of_what_was_wanted() -> None:
    seen = sample_of(outcome(filled=Decimal(1), maker_filled=Decimal(1), cost_usd=100.01, result="partly_filled"))
    assert seen is not None
    assert seen.slippage_bps == pytest.approx(1.0)


@pytest.mark.parametrize(
    "said", [{"arrival_mid": None}, {"arrival_mid": 0.0}, {"filled": Decimal(0), "maker_filled": Decimal(0)}]
)
def test_without_a_mid_or_an_execution_there_is_no_slippage_and_the_attempt_counts(said: dict[str, Any]) -> None:
    facts = facts_of(outcome(**said))
    assert facts["sample_count"] == 1.0
    assert not [name for name in facts if name.startswith("slippage")]


def test_what_a_venue_executes_beyond_the_attempt_or_refuses_beyond_the_orders_is_cut_off() -> None:
    facts = facts_of(outcome(maker_filled=Decimal(3), filled=Decimal(3), post_only_rejects=2))
    assert (facts["maker_fill_ratio"], facts["post_only_reject_ratio"]) == (1.0, 1.0)


def test_a_latency_below_zero_is_no_measurement() -> None:
    facts = facts_of(outcome(ack_ms=[-3, 0, 70]))
    assert (facts["ack_latency_samples"], facts["ack_latency_p50_ms"]) == (2.0, 0.0)


@pytest.mark.parametrize(
    "said",
    [
        {"attempted": Decimal(0), "filled": Decimal(0)},
        {"attempted": Decimal("NaN")},
        {"attempted": Decimal("Infinity")},
        {"filled": Decimal("2.1")},
        {"filled": Decimal(-1)},
        {"post_only_rejects": 2},
        {"post_only_rejects": -1},
        {"slippage_bps": math.nan},
        {"slippage_bps": -math.inf},
        {"ack_ms": (40, -1)},
    ],
)
def test_a_sample_that_no_attempt_can_have_been_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        sample(**said)


# --- the facts -------------------------------------------------------------------------------------------------------


def test_a_symbol_never_heard_of_has_a_sample_count_of_0_and_nothing_else() -> None:
    view = Effectiveness()
    assert view.facts("BTCUSDT", NOW_MS) == {"observed_at": NOW_MS / 1000, "sample_count": 0.0}
    assert view.symbols == []


def test_the_facts_are_those_of_the_vocabulary_and_sound() -> None:
    book = load("prod")
    group = next(group for group in book.policy("routing").groups if group.name == "telemetry")
    facts = facts_of(outcome(), outcome(maker_filled=Decimal(1), fallback=True, post_only_rejects=1, ack_ms=[90]))
    assert facts.keys() == {"observed_at", *(fact.name for fact in group.facts)}
    decision = book.decide("routing", {"now": NOW_MS / 1000, "symbol": "BTCUSDT", "telemetry": facts})
    assert decision.seen.values["telemetry"] == {name: facts[name] for name in facts if name != "observed_at"}


def test_a_metric_without_samples_is_missing_and_a_measured_zero_is_a_zero() -> None:
    never_filled: dict[str, Any] = {
        "filled": Decimal(0),
        "maker_filled": Decimal(0),
        "cost_usd": 0.0,
        "result": "unfilled",
    }
    assert facts_of(outcome(**never_filled, submissions=0, ack_ms=[])) == {
        "observed_at": NOW_MS / 1000,
        "sample_count": 1.0,
        "maker_fill_ratio": 0.0,
        "maker_fill_samples": 1.0,
        "fallback_ratio": 0.0,
        "fallback_samples": 1.0,
    }


def test_fills_count_by_quantity_and_not_by_order() -> None:
    small = outcome(attempted=Decimal(1), maker_filled=Decimal(1))
    large = outcome(attempted=Decimal(9), maker_filled=Decimal(0))
    assert facts_of(small, large)["maker_fill_ratio"] == 0.1


@pytest.mark.parametrize(
    "said",
    [
        {"reason": "expired", "post_only_rejects": 1},  # GTX that would have taken: status EXPIRED
        {"reason": "cancelled"},
        {"reason": "working_route.too_old"},
    ],
)
def test_an_order_that_expired_or_was_never_filled_is_no_success(said: dict[str, Any]) -> None:
    nothing: dict[str, Any] = {"filled": Decimal(0), "maker_filled": Decimal(0), "cost_usd": 0.0, "result": "unfilled"}
    facts = facts_of(*(outcome(**nothing, **said) for _ in range(30)))
    assert (facts["sample_count"], facts["maker_fill_ratio"]) == (30.0, 0.0)


def test_a_fallback_that_filled_all_of_it_is_no_success_of_makers() -> None:
    facts = facts_of(outcome(maker_filled=Decimal(0), fallback=True))
    assert (facts["maker_fill_ratio"], facts["fallback_ratio"]) == (0.0, 1.0)


def test_fifty_perfect_entries_and_fifty_exits_are_a_fill_ratio_of_1() -> None:
    exits = [outcome(is_exit=True, maker_filled=Decimal(0), fallback=True) for _ in range(50)]
    facts = facts_of(*exits, *(outcome() for _ in range(50)))
    assert (facts["maker_fill_ratio"], facts["fallback_ratio"], facts["sample_count"]) == (1.0, 0.0, 50.0)


def test_a_taker_s_slippage_is_not_held_against_makers() -> None:
    facts = facts_of(outcome(), *(taken(cost_usd=2 * 100.3) for _ in range(50)))
    assert (facts["slippage_p95_bps"], facts["slippage_samples"]) == (0.0, 1.0)


def test_rejects_are_a_share_of_maker_orders_and_not_of_attempts() -> None:
    facts = facts_of(outcome(submissions=3, post_only_rejects=1), outcome())
    assert (facts["post_only_reject_ratio"], facts["post_only_reject_samples"]) == (0.25, 4.0)


def test_latency_is_delivered_and_its_rule_acts_on_it() -> None:
    def quality(ack_ms: int) -> object:
        facts = facts_of(*(outcome(ack_ms=[ack_ms]) for _ in range(20)))
        return load("prod").decide("routing", {"now": NOW_MS / 1000, "telemetry": facts})["quality"]

    assert [quality(ack_ms) for ack_ms in (800, 801, 1500, 2500)] == ["good", "ok", "degraded", "broken"]


def test_quantiles_are_by_nearest_rank() -> None:
    facts = facts_of(*(outcome(ack_ms=[], cost_usd=200.0 * (1 + bps / 10_000)) for bps in (10, 1, 4, 2)))
    seen = [facts[f"slippage_p{percent}_bps"] for percent in (25, 50, 75, 95)]
    assert seen == pytest.approx([1.0, 2.0, 4.0, 10.0])
    facts = facts_of(*(outcome(ack_ms=[ack_ms]) for ack_ms in range(1, 41)))
    assert (facts["ack_latency_p50_ms"], facts["ack_latency_p95_ms"]) == (20.0, 38.0)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60), st.integers(1, 100))
def test_a_nearest_rank_is_the_least_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    def enough(value: int) -> bool:
        return 100 * sum(other <= value for other in values) >= percent * len(values)

    assert nearest_rank(sorted(values), percent) == min(value for value in values if enough(value))


def test_symbols_do_not_mix() -> None:
    view = folded([outcome(), outcome(symbol="ETHUSDT", maker_filled=Decimal(0))])
    assert [view.facts(symbol, NOW_MS)["maker_fill_ratio"] for symbol in view.symbols] == [1.0, 0.0]


def test_what_a_caller_does_with_the_facts_changes_nothing() -> None:
    view = folded([outcome()])
    view.facts("BTCUSDT", NOW_MS)["sample_count"] = 99.0
    assert view.facts("BTCUSDT", NOW_MS)["sample_count"] == 1.0


def test_the_observation_is_as_new_as_the_question() -> None:
    view = folded([outcome()])
    assert [view.facts("BTCUSDT", NOW_MS + ms)["observed_at"] for ms in (0, 500)] == [1723161600.0, 1723161600.5]


def test_the_samples_behind_the_facts_come_in_order_of_time() -> None:
    view = folded([outcome(NOW_MS - 5), import_of(sample(NOW_MS - 9), sample(NOW_MS + 1)), outcome(NOW_MS - WEEK_MS)])
    assert [one.ts_ms for one in view.samples("BTCUSDT", NOW_MS)] == [NOW_MS - 9, NOW_MS - 5]
    assert view.samples("ETHUSDT", NOW_MS) == []


# --- the window ------------------------------------------------------------------------------------------------------


def test_a_sample_counts_until_it_is_seven_days_old_to_the_millisecond() -> None:
    view = folded([outcome()])
    counts = [view.facts("BTCUSDT", NOW_MS + ms)["sample_count"] for ms in (-1, 0, WEEK_MS - 1, WEEK_MS)]
    assert counts == [0.0, 1.0, 1.0, 0.0]


def test_an_outcome_makes_no_sample_of_more_than_a_window_before_it_come_back() -> None:
    view = folded([outcome(NOW_MS - WEEK_MS), outcome()])
    assert view.facts("BTCUSDT", NOW_MS)["sample_count"] == 1.0
    assert view.facts("BTCUSDT", NOW_MS - 1)["sample_count"] == 0.0  # forgotten when the second one came


def test_an_imported_sample_from_the_future_counts_when_its_time_has_come_and_ages_from_there() -> None:
    view = folded([import_of(sample(NOW_MS + DAY_MS))])
    counts = [view.facts("BTCUSDT", NOW_MS + ms)["sample_count"] for ms in (0, DAY_MS - 1, DAY_MS, DAY_MS + WEEK_MS)]
    assert counts == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("text", ["1723161600000", "2024-08-09T00:00:00Z", None, 1723161600.5])
def test_an_import_dated_in_text_is_an_error_and_not_fresh_for_ever(text: object) -> None:
    event = import_of(sample())
    event.samples[0]["ts_ms"] = text
    with pytest.raises(TelemetryError, match=r"an import of BTCUSDT from elsewhere holds what is no sample"):
        Effectiveness().see(event)


def test_the_window_is_not_cut_by_the_end_of_a_file(tmp_path: Path) -> None:
    every_hour = [outcome(NOW_MS - hours * 3_600_000, intent_id=f"i-{hours}") for hours in range(9 * 24, -1, -1)]
    write_journal(tmp_path, every_hour)
    assert len(list(tmp_path.glob("*.jsonl"))) == 10
    assert folded(read(tmp_path)).facts("BTCUSDT", NOW_MS)["sample_count"] == 7 * 24


def test_the_same_import_again_counts_once_and_another_one_beside_it() -> None:
    again = import_of(sample(), sample(NOW_MS - 1))
    facts = facts_of(again, again, import_of(sample(), source="another"), import_of(sample(), symbol="ETHUSDT"))
    assert facts["sample_count"] == 3.0


def test_time_that_goes_back_takes_from_the_sums_what_has_not_happened_yet() -> None:
    view = folded([outcome(NOW_MS - 10), outcome(NOW_MS, fallback=True)])
    late, early = view.facts("BTCUSDT", NOW_MS), view.facts("BTCUSDT", NOW_MS - 1)
    assert (late["fallback_ratio"], early["fallback_ratio"]) == (0.5, 0.0)
    assert view.facts("BTCUSDT", NOW_MS) == late


def test_one_outcome_with_a_time_far_ahead_does_not_end_the_telemetry() -> None:
    view = folded([outcome(NOW_MS + 1000 * DAY_MS), outcome()])
    assert view.facts("BTCUSDT", NOW_MS)["sample_count"] == 1.0


def test_what_left_the_window_is_no_longer_held() -> None:
    view = folded(outcome(NOW_MS + days * DAY_MS) for days in range(100))
    assert len(view._symbols["BTCUSDT"]._samples) <= 8  # one in eight may be on its way out


# --- bits ------------------------------------------------------------------------------------------------------------


def by_definition(samples: Sequence[Sample]) -> dict[str, float]:
    """The facts as docs/telemetry.md defines them, computed from scratch."""
    count = len(samples)
    facts = {"sample_count": float(count)}
    if samples:
        filled, attempted = (
            float(sum((Fraction(qty) for qty in qties), Fraction(0)))
            for qties in ([one.filled for one in samples], [one.attempted for one in samples])
        )
        facts |= {"maker_fill_ratio": filled / attempted, "maker_fill_samples": float(count)}
        facts |= {"fallback_ratio": sum(one.fallback for one in samples) / count, "fallback_samples": float(count)}
    if submissions := sum(one.submissions for one in samples):
        facts["post_only_reject_ratio"] = sum(one.post_only_rejects for one in samples) / submissions
        facts["post_only_reject_samples"] = float(submissions)
    if slippages := sorted(one.slippage_bps + 0.0 for one in samples if one.slippage_bps is not None):
        for percent in (25, 50, 75, 95):
            facts[f"slippage_p{percent}_bps"] = slippages[math.ceil(Fraction(len(slippages) * percent, 100)) - 1]
        facts["slippage_samples"] = float(len(slippages))
    if acks := sorted(float(ack) for one in samples for ack in one.ack_ms):
        for percent in (50, 95):
            facts[f"ack_latency_p{percent}_ms"] = acks[math.ceil(Fraction(len(acks) * percent, 100)) - 1]
        facts["ack_latency_samples"] = float(len(acks))
    return facts


def bits(facts: dict[str, float]) -> dict[str, str]:
    return {name: value.hex() for name, value in sorted(facts.items()) if name != "observed_at"}


def samples_in(events: Iterable[Event], symbol: str, now_ms: int, window_ms: int) -> list[Sample]:
    """Every sample of a symbol that counts at a moment, straight from the events."""
    found: list[Sample] = []
    imports = set()
    for event in events:
        match event:
            case Outcome(symbol=of) if of == symbol:
                one = sample_of(event)
                found += [] if one is None else [one]
            case Imported(symbol=of, source=source) if of == symbol and source not in imports:
                imports.add(source)
                found += msgspec.convert(event.samples, list[Sample])
            case _:
                pass
    return [one for one in found if now_ms - window_ms < one.ts_ms <= now_ms]


SYMBOLS = ("BTCUSDT", "ETHUSDT")
WINDOW_MS = 10_000

times = st.sampled_from((0, 1, 999, 3_000, 7_001, 10_000, 10_001))
quantities = st.decimals(Decimal("1e-8"), Decimal("1e9"), allow_nan=False, places=8)
slippages = st.one_of(st.none(), st.sampled_from((0.0, -0.0, 0.1, -0.1)), st.floats(-1e4, 1e4))
shares = st.sampled_from((Decimal(0), Decimal("0.1"), Decimal("0.333"), Decimal(1)))


@st.composite
def drawn_samples(draw: st.DrawFn, now_ms: int) -> Sample:
    attempted, rejects = draw(quantities), draw(st.integers(0, 2))
    return sample(
        now_ms + draw(st.sampled_from((-1, 1))) * draw(times),
        attempted=attempted,
        filled=attempted * draw(shares),
        fallback=draw(st.booleans()),
        submissions=rejects + draw(st.integers(0, 2)),
        post_only_rejects=rejects,
        slippage_bps=draw(slippages),
        ack_ms=tuple(draw(st.lists(st.integers(0, 50), max_size=2))),
    )


@st.composite
def drawn_outcomes(draw: st.DrawFn, now_ms: int) -> Outcome:
    target = draw(quantities)
    rested, share = draw(st.sampled_from((True, True, False))), draw(shares)
    if not rested:
        return taken(now_ms, symbol=draw(st.sampled_from(SYMBOLS)))
    return outcome(
        now_ms,
        symbol=draw(st.sampled_from(SYMBOLS)),
        side=draw(st.sampled_from(("buy", "sell"))),
        is_exit=draw(st.sampled_from((False, False, True))),
        attempted=target,
        filled=target,
        maker_filled=target * share,
        cost_usd=float(target) * draw(st.sampled_from((100.0, 99.97, 100.5))),
        fallback=share < 1,
        submissions=draw(st.integers(0, 2)),
        post_only_rejects=draw(st.integers(0, 2)),
        ack_ms=draw(st.lists(st.integers(-1, 50), max_size=2)),
    )


@given(st.data())
def test_a_view_that_was_asked_all_along_says_bit_for_bit_what_the_definition_says(data: st.DataObject) -> None:
    view, seen, now_ms = Effectiveness(WINDOW_MS / 1000), list[Event](), NOW_MS
    for number in range(data.draw(st.integers(1, 25))):
        now_ms += data.draw(times)
        kind = data.draw(st.sampled_from(("outcome", "outcome", "import", "ask")))
        if kind == "ask":
            for symbol in SYMBOLS:
                expected = by_definition(samples_in(seen, symbol, now_ms, WINDOW_MS))
                assert bits(view.facts(symbol, now_ms)) == bits(expected)
            continue
        if kind == "outcome":
            seen.append(data.draw(drawn_outcomes(now_ms)))
        else:
            some = data.draw(st.lists(drawn_samples(now_ms), max_size=8))
            symbol = data.draw(st.sampled_from(SYMBOLS))
            seen.append(import_of(*some, ts_ms=now_ms, symbol=symbol, source=f"source {number}"))
        view.see(seen[-1])
    shuffled = data.draw(st.permutations(seen))
    for symbol in SYMBOLS:
        expected = by_definition(samples_in(seen, symbol, now_ms, WINDOW_MS))
        assert bits(view.facts(symbol, now_ms)) == bits(expected)
        assert bits(folded(shuffled, WINDOW_MS / 1000).facts(symbol, now_ms)) == bits(expected)


def test_months_of_adding_and_taking_away_leave_no_trace() -> None:
    """0.1 and 10⁸ and their like, added and taken away in floating point, would leave some."""
    view = Effectiveness()
    for number in range(5000):
        large = {"attempted": Decimal("123456789.1"), "maker_filled": Decimal("0.1")} if number % 2 else {}
        view.see(outcome(NOW_MS + number * 3_600_000, **large))
        view.facts("BTCUSDT", NOW_MS + number * 3_600_000)
    now_ms = NOW_MS + 6000 * 3_600_000
    view.see(outcome(now_ms, attempted=Decimal("0.3"), maker_filled=Decimal("0.1")))
    assert view.facts("BTCUSDT", now_ms)["maker_fill_ratio"] == 0.1 / 0.3


def test_a_journal_of_several_symbols_gives_the_same_in_any_order_and_from_its_files(tmp_path: Path) -> None:
    events = list(several_days(seed=5, count=2000, symbols=3))
    asked = Effectiveness()
    for event in events:
        asked.see(event)
        for symbol in asked.symbols:
            asked.facts(symbol, event.ts_ms)
    in_order = folded(read(write_journal(tmp_path, events)))
    Random(1).shuffle(events)
    unique = [event for event in events if not isinstance(event, Imported)]
    for symbol in ("S0USDT", "S1USDT", "S2USDT"):
        assert in_order.facts(symbol, NOW_MS)["sample_count"] > 300
        assert bits(in_order.facts(symbol, NOW_MS)) == bits(asked.facts(symbol, NOW_MS))
        assert bits(folded(unique).facts(symbol, NOW_MS)) == bits(
            by_definition(samples_in(unique, symbol, NOW_MS, WEEK_MS))
        )
