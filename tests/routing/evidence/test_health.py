"""Snapshots of health: every field is written by somebody, what is not known is null, and a rule stands behind each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from engine.book import load
from engine.journal.events import BreakerMoved, Checkpoint, ProbeGranted, Tuned
from engine.routing.evidence.contract import (
    STATE_FILES,
    ExecutionHealth,
    RouterHealth,
    SymbolExecution,
    SymbolHealth,
    schemas,
)
from engine.routing.evidence.health import Health
from tests.routing.written import (
    BTC,
    DOGE,
    NEW,
    NOW_MS,
    Facts,
    Groups,
    Holding,
    Written,
    accepted,
    ended,
    ended_taker,
    error,
    handed,
    intent_facts,
    order,
    route,
    shipped,
    snapshot,
    sound,
    started,
    views_of,
)


def health_of(*symbols: str, profile: str = "prod", holdings: Holding | None = None, **groups: Groups) -> Health:
    return Health(shipped(profile), symbols or tuple(groups), Facts(**groups), holdings)


def one(groups: Groups, journal: Written | None = None, now_ms: int = NOW_MS) -> tuple[SymbolHealth, SymbolExecution]:
    health = health_of(BTCUSDT=groups)
    for event in journal.events if journal is not None else ():
        health.see(event)
    return health.symbol(BTC, now_ms)


def leaves_of(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, held in value.items():
            yield from leaves_of(held, f"{path}.{name}")
    elif isinstance(value, list):
        for number, held in enumerate(value):
            yield from leaves_of(held, f"{path}[{number}]")
    else:
        yield path, value


def busy_journal() -> Written:
    """Everything that a symbol's health may tell of has happened."""
    journal = Written()
    journal.add(started(ts_ms=NOW_MS - 60_000))
    journal.add(
        BreakerMoved(
            ts_ms=NOW_MS - 50_000,
            scope=BTC,
            was="half_open",
            state="closed",
            rule="breaker.recovered",
            reason="closed: breaker.recovered",
            pauses=False,
        )
    )
    journal.add(
        Tuned(
            ts_ms=NOW_MS - 40_000,
            symbol=BTC,
            bias_delta=-0.05,
            offset_delta_bps=1.0,
            maker_first=True,
            was={},
            decision_id="0" * 24,
            rulebook="r",
            evidence={},
        )
    )
    route(journal, "a-1", ts_ms=NOW_MS - 3_000)
    order(journal, "a-1", ts_ms=NOW_MS - 3_000)
    error(journal, "a-1-1", NOW_MS - 2_900, -5022, "post_only", "would have taken")
    return journal


def test_all_views_of_a_snapshot_are_of_one_tick_and_moment() -> None:
    health = health_of(BTCUSDT=sound(), NEWUSDT={})
    made = health.snapshot(NOW_MS)
    assert made.ts_ms == NOW_MS
    assert set(made.views) == set(STATE_FILES)
    assert {(view["tick"], view["updated_ts"]) for view in views_of(made).values()} == {(1, NOW_MS / 1000)}


def test_ticks_are_counted_by_the_journal() -> None:
    journal, health = Written(), health_of(BTCUSDT=sound())
    assert [snapshot(health, journal).tick for _ in range(3)] == [1, 2, 3]
    again = health_of(BTCUSDT=sound())
    for event in journal.events:
        again.see(event)
    assert again.snapshot(NOW_MS).tick == 4


def test_the_same_events_and_facts_give_the_same_bytes() -> None:
    def made() -> list[bytes]:
        health = health_of(BTC, DOGE, BTCUSDT=sound(), DOGEUSDT=sound(telemetry=None), holdings=Holding())
        for event in busy_journal().events:
            health.see(event)
        return [bytes(view) for view in health.snapshot(NOW_MS).views.values()]

    assert made() == made()


def test_every_field_of_a_symbol_of_which_all_is_known_is_written() -> None:
    line, execution = one(sound(), busy_journal())
    nulls = [
        path for part in (line, execution) for path, value in leaves_of(msgspec.to_builtins(part)) if value is None
    ]
    assert nulls == []


def test_what_is_not_known_is_null_and_never_zero() -> None:
    line, execution = one({})
    metrics = (
        "maker_fill_rate",
        "fallback_rate",
        "slippage_p50",
        "slippage_p95",
        "ack_latency_ms",
        "ack_latency_p95_ms",
        "sample_count",
        "maker_paused",
        "last_route_decision",
    )
    assert {name: getattr(line, name) for name in metrics} == dict.fromkeys(metrics)
    assert {name: held.state for name, held in line.ages.items()}["telemetry"] == "absent"
    for part in (execution.risk, execution.vol):
        values = {name: value for name, value in msgspec.to_builtins(part).items() if not isinstance(value, dict)}
        assert {name for name, value in values.items() if value is not None} <= {"atr_regime"}, "which rules decide"
    assert execution.router.tuned is None
    assert execution.errors.last is None


def test_a_single_missing_metric_is_null_beside_the_others() -> None:
    telemetry = dict(sound()["telemetry"] or {})
    del telemetry["slippage_p95_bps"]
    line, _ = one({**sound(), "telemetry": telemetry})
    assert line.slippage_p95 is None
    assert line.slippage_p50 == 0.8


def test_figures_are_those_of_the_telemetry() -> None:
    line, execution = one(sound())
    assert (line.maker_fill_rate, line.fallback_rate, line.slippage_p50, line.slippage_p95) == (0.82, 0.125, 0.8, 2.1)
    assert (line.ack_latency_ms, line.ack_latency_p95_ms, line.sample_count) == (45.0, 120.0, 240)
    router = execution.router
    assert (router.slippage_p25, router.slippage_p75, router.post_only_reject_rate) == (-0.4, 1.4, 0.01)


@pytest.mark.parametrize(
    "intent",
    [intent_facts(), intent_facts(reduce_only=True), intent_facts(maker_requested=False, maker_price=None)],
    ids=["entry", "exit", "taker"],
)
def test_the_policy_shown_is_the_one_that_intents_get(intent: dict[str, Any]) -> None:
    groups = sound(telemetry={"fallback_ratio": 0.3, "maker_fill_ratio": 0.75})
    line, execution = one(groups)
    facts = {"now": NOW_MS / 1000, "symbol": BTC, "intent": intent, **groups}
    decision = shipped("prod").decide("routing", handed(shipped("prod"), "routing", facts))
    for name in ("maker_first", "taker_bias", "bias", "quality", "offset_bps"):
        assert getattr(line, name) == getattr(line.policy, name) == decision[name], "and one source says it"
    assert execution.router.policy == line.policy
    assert execution.router.maker_offset_bps == decision["offset_bps"]


def test_the_policy_s_reason_names_the_rules_behind_it() -> None:
    line, _ = one(sound(telemetry={"fallback_ratio": 0.7}))
    assert line.quality == "degraded"
    assert "quality.degraded (fallback_ratio 0.7 >= degraded_fallback_ratio 0.6)" in line.policy.reason
    assert "stance.degraded" in line.policy.reason
    assert not any(name in line.policy.reason for name in ("hard_gates", "probe.", "route.", "protection."))


@pytest.mark.parametrize(
    ("changes", "flag", "rule", "saw"),
    [
        ({"telemetry": {"fallback_ratio": 0.51}}, "high_fallback", "high_fallback", "fallback_ratio 0.51 >"),
        ({"telemetry": {"slippage_p50_bps": 4.1, "slippage_p95_bps": 5.0}}, "high_slippage", "high_slippage", "4.1 >"),
        ({"telemetry": {"ack_latency_p95_ms": 1501.0}}, "slow_acks", "slow_acks", "ack_latency_p95_ms 1501 >"),
        ({"telemetry": None}, "telemetry_stale", "telemetry_stale", "sample_count (absent)"),
        ({"windows": {"maker_paused": True}}, "breaker_open", "breaker_open", "maker_paused"),
        ({"account": {"drawdown_today": -0.02}}, "drawdown", "drawdown", "drawdown_today -0.02 <="),
        ({"risk": None}, "risk_stale", "risk_stale", "risk_mode (absent)"),
    ],
)
def test_a_warning_names_the_rule_that_raised_it(changes: Any, flag: str, rule: str, saw: str) -> None:
    line, execution = one(sound(**changes))
    warning = next(each for each in line.warnings if each.flag == flag)
    assert warning.rule == f"health_warnings.{rule}"
    assert warning.at.startswith("rules/health_warnings.yaml:")
    assert saw in warning.reason
    assert line.status in ("warn", "critical")
    assert execution.router.warnings == line.warnings


def test_a_sound_symbol_has_no_warning() -> None:
    line, _ = one(sound())
    assert (line.status, line.warnings, line.vetoes) == ("ok", [], [])


def test_vetoes_shown_are_those_that_no_intent_lifts() -> None:
    line, _ = one(sound(market={"spread_bps": 14.0}, telemetry={"fallback_ratio": 0.5}))
    assert line.vetoes == ["hard_gates.spread_too_wide", "maker_gates.quality_not_good"]


def test_stale_figures_are_shown_and_marked_and_the_rules_do_not_see_them() -> None:
    line, execution = one(sound(telemetry={"observed_at": NOW_MS / 1000 - 901, "fallback_ratio": 0.95}))
    assert (line.fallback_rate, line.ages["telemetry"].state, line.ages["telemetry"].age_s) == (0.95, "stale", 901.0)
    assert line.quality == "ok", "0.95 would be broken"
    assert "hard_gates.telemetry_stale" in line.vetoes
    assert execution.router.telemetry.state == "stale"


@pytest.mark.parametrize(
    "market",
    [
        {"bid": 101.0, "ask": 100.0},
        {"spread_bps": math.nan, "bid": math.inf, "ask": -1.0, "mid": None, "bid_qty": "many", "ask_qty": True},
        {"observed_at": NOW_MS / 1000 + 60},
        {"observed_at": None},
    ],
    ids=["crossed", "nonsense", "of the future", "undated"],
)
def test_invalid_facts_are_null(market: dict[str, Any]) -> None:
    line, execution = one(sound(market=market))
    state = line.ages["market"].state
    if market.get("bid") == 101.0:
        assert state == "fresh", "the spread is known, bid and ask are not"
    else:
        assert (state, execution.vol.spread_bps, execution.vol.mid) == ("invalid", None, None)
    assert "hard_gates.book_missing" in line.vetoes


def test_the_last_route_decision_has_an_age_of_its_own() -> None:
    journal = Written()
    routed = route(journal, "a-1", ts_ms=NOW_MS - 3_000)
    line, _ = one(sound(), journal)
    last = line.last_route_decision
    assert last is not None
    assert (last.route, last.age_s, last.intent_id, last.decision_id) == ("maker", 3.0, "a-1", routed.decision_id)
    assert line.updated_ts == NOW_MS / 1000


@pytest.mark.parametrize(
    ("event", "count"),
    [("fallback", "fallbacks"), ("submit_failed", "submit_failures"), ("send_failed", "send_failures")],
)
def test_what_changes_a_route_is_shown_with_its_reason(event: str, count: str) -> None:
    journal = Written()
    routed = route(journal, "a-1", ts_ms=NOW_MS - 3_000)
    journal.add(
        msgspec.structs.replace(routed, ts_ms=NOW_MS - 500, route="taker", event=event, reason="why it did", vetoes=[])
    )
    line, execution = one(sound(), journal)
    last = line.last_route_decision
    assert last is not None
    assert (last.event, last.route, last.reason, last.age_s) == (event, "taker", "why it did", 0.5)
    assert getattr(execution.router.counts, count) == 1
    assert execution.router.counts.routed_maker == 1
    assert execution.router.counts.routed_taker == 0


def test_outcomes_and_probes_are_counted_since_the_journal_begins() -> None:
    journal = Written()
    journal.add(started(ts_ms=NOW_MS - 9_000))
    for number in range(3):
        route(journal, f"a-{number}")
    refused = route(journal, "refused", qty=-1.0)
    journal.add(msgspec.structs.replace(refused, seq=0, intent_id="small", vetoes=[], reason="less than one step"))
    ended(journal, "a-0", post_only_rejects=2)
    ended_taker(journal, "a-1", 100.02, result="partly_filled")
    ended_taker(journal, "a-2", 100.02, result="unfilled", filled=Decimal(0), cost_usd=0.0)
    ended(journal, "other", symbol=DOGE)
    journal.add(ProbeGranted(ts_ms=NOW_MS, intent_id="a-0", symbol=BTC))
    counts = one(sound(), journal)[1].router.counts
    assert counts.since_ts == NOW_MS / 1000 - 9
    assert (counts.routed_maker, counts.refused, counts.too_small) == (3, 1, 1)
    assert (counts.probes, counts.post_only_rejects) == (1, 2)
    assert (counts.filled, counts.partly_filled, counts.unfilled) == (1, 1, 1)


def test_errors_belong_to_the_symbol_of_their_order() -> None:
    journal = busy_journal()
    order(journal, "d-1", symbol=DOGE)
    error(journal, "d-1-1", NOW_MS, 429, "rate_limit", "slow down")
    error(journal, "nobody", NOW_MS, 0, "unknown_order", "who is that")
    error(journal, "a-1-1", NOW_MS - 1_000, -5022, "post_only", "again")
    errors = one(sound(), journal)[1].errors
    assert (errors.count, errors.by_error) == (2, {"post_only": 2})
    assert errors.last is not None
    assert (errors.last.text, errors.last.age_s, errors.last.code) == ("again", 1.0, -5022)


def test_a_breaker_that_never_moved_is_closed() -> None:
    line, _ = one(sound(), busy_journal())
    assert [(held.scope, held.state, held.rule) for held in line.breakers] == [
        (BTC, "closed", "breaker.recovered"),
        ("venue", "closed", ""),
    ]


def test_the_breaker_of_the_venue_guards_every_symbol() -> None:
    journal = Written()
    journal.add(
        BreakerMoved(
            ts_ms=NOW_MS - 7_000,
            scope="venue",
            was="closed",
            state="open",
            rule="breaker.silence",
            reason="r",
            pauses=True,
        )
    )
    line, _ = one(sound(), journal)
    assert [(held.scope, held.state, held.in_state_s, held.pauses) for held in line.breakers][1] == (
        "venue",
        "open",
        7.0,
        True,
    )


@pytest.mark.parametrize(
    ("is_paused", "other", "waits"), [(True, "closed", True), (False, "closed", False), (True, "open", False)]
)
def test_makers_wait_for_the_trial_of_a_half_open_breaker_where_nothing_else_makes_them(
    is_paused: bool, other: str, waits: bool
) -> None:
    """Its move says that a trial may go; once it is on the way, nothing moves."""
    journal = Written()
    for scope, state in ((BTC, "half_open"), ("venue", other)):
        journal.add(
            BreakerMoved(
                ts_ms=NOW_MS - 7_000, scope=scope, was="", state=state, rule="r.r", reason="r", pauses=state == "open"
            )
        )
    line, execution = one(sound(windows={"maker_paused": is_paused}), journal)
    assert line.breakers == execution.router.breakers
    assert [held.pauses for held in line.breakers] == [waits, other == "open"]


def test_the_tuning_in_force_survives_a_checkpoint() -> None:
    journal = Written()
    journal.add(
        Checkpoint(
            ts_ms=NOW_MS - 10,
            positions={},
            cash_usd=Decimal(1),
            fees_usd=Decimal(0),
            day_nav_usd=1.0,
            tuned={BTC: {"tuned_bias_delta": -0.1, "tuned_offset_delta_bps": 2.0}},
        )
    )
    tuned = one(sound(), journal)[1].router.tuned
    assert tuned is not None
    assert (tuned.bias_delta, tuned.offset_delta_bps, tuned.maker_first, tuned.ts) == (-0.1, 2.0, None, None)


def test_a_breaker_that_only_a_checkpoint_knows_of_stands_as_it_says() -> None:
    journal = Written()
    held = {"state": "open", "since_ms": NOW_MS - 5_000, "pauses": True, "trials": 0, "trial_failures": 0, "out": {}}
    journal.add(
        Checkpoint(
            ts_ms=NOW_MS - 10,
            positions={},
            cash_usd=Decimal(1),
            fees_usd=Decimal(0),
            day_nav_usd=1.0,
            breakers={BTC: held},
        )
    )
    own, venue = one(sound(), journal)[0].breakers
    assert (own.state, own.in_state_s, own.pauses, own.reason) == ("open", 5.0, True, "")
    assert (venue.state, venue.reason) == ("closed", "never moved")


def router_of(health: Health) -> RouterHealth:
    return msgspec.json.decode(health.snapshot(NOW_MS).views["router_health"], type=RouterHealth)


def test_the_summary_is_of_all_symbols_and_of_fresh_figures() -> None:
    summary = router_of(
        health_of(
            BTCUSDT=sound(),
            DOGEUSDT=sound(telemetry={"sample_count": 60.0, "fallback_ratio": 0.625, "slippage_p95_bps": 9.0}),
            OLDUSDT=sound(telemetry={"observed_at": NOW_MS / 1000 - 2000, "slippage_p95_bps": 99.0}),
            NEWUSDT={},
        )
    ).summary
    assert (summary.symbols, summary.status) == (4, "critical")
    assert summary.statuses == {"ok": 1, "warn": 2, "critical": 1}
    assert summary.qualities == {"broken": 0, "degraded": 1, "ok": 2, "good": 1}
    assert summary.sample_count == 300
    assert summary.fallback_rate == pytest.approx((240 * 0.125 + 60 * 0.625) / 300)
    assert summary.slippage_p95 == 9.0
    assert summary.makers_paused == 1, "of one nobody knows"
    assert summary.stale == ["OLDUSDT", NEW]


def test_a_summary_of_nothing_measured_says_null() -> None:
    summary = router_of(health_of(BTCUSDT={})).summary
    assert (summary.sample_count, summary.maker_fill_rate, summary.fallback_rate) == (None, None, None)
    assert (summary.slippage_p95, summary.ack_latency_ms) == (None, None)
    assert router_of(Health(shipped("prod"), (), Facts())).summary.status is None


def test_never_measured_is_zero_attempts() -> None:
    telemetry = {"observed_at": NOW_MS / 1000, "sample_count": 0.0}
    line, _ = one({**sound(), "telemetry": telemetry})
    assert (line.sample_count, line.maker_fill_rate, line.ages["telemetry"].state) == (0, None, "fresh")
    assert router_of(health_of(BTCUSDT={**sound(), "telemetry": telemetry})).summary.sample_count == 0


def test_positions_are_exact_and_name_what_is_held_besides() -> None:
    health = health_of(BTCUSDT=sound(), DOGEUSDT=sound(), holdings=Holding())
    views = views_of(health.snapshot(NOW_MS))
    assert {row["symbol"]: row["qty"] for row in views["positions"]["positions"]} == {
        BTC: "25.001",
        DOGE: "0",
        "OLDUSDT": "-3",
    }
    assert (views["nav"]["cash_usd"], views["nav"]["nav_usd"]) == ("997500.25", 1_000_000.0)


def test_without_an_account_positions_are_those_of_the_facts() -> None:
    views = views_of(health_of(BTCUSDT=sound(), NEWUSDT={}).snapshot(NOW_MS))
    assert [row["qty"] for row in views["positions"]["positions"]] == ["25.0", None]
    assert views["nav"]["cash_usd"] is None


def test_nav_is_that_of_the_newest_account() -> None:
    old = sound(account={"observed_at": NOW_MS / 1000 - 30, "nav_usd": 5.0})
    views = views_of(health_of(OLDUSDT=old, NEWUSDT={}, BTCUSDT=sound()).snapshot(NOW_MS))
    assert (views["nav"]["nav_usd"], views["nav"]["account"]["age_s"]) == (1_000_000.0, 1.0)


def test_risk_at_the_top_is_what_all_symbols_agree_on() -> None:
    defensive = sound(risk={"risk_mode": "defensive"})
    views = views_of(health_of(BTCUSDT=sound(), DOGEUSDT=defensive).snapshot(NOW_MS))
    assert (views["risk"]["risk_mode"], views["risk"]["halted"]) == (None, False)
    assert [row["risk_mode"] for row in views["risk"]["symbols"]] == ["normal", "defensive"]
    assert views_of(health_of(BTCUSDT=sound(), NEWUSDT={}).snapshot(NOW_MS))["risk"]["risk"]["state"] == "absent"


def test_views_are_as_their_schemas_say() -> None:
    health = health_of(BTC, DOGE, NEW, BTCUSDT=sound(), DOGEUSDT=sound(telemetry=None), holdings=Holding())
    for event in busy_journal().events:
        health.see(event)
    views = views_of(health.snapshot(NOW_MS))
    views["router_health"] |= {"seq": 1, "per_symbol": views["router_health"]["symbols"]}  # as files have it
    for name, view in views.items():
        jsonschema.validate(view, schemas()[name])


def test_a_profile_that_runs_fewer_policies_leaves_nulls() -> None:
    home = Path(__file__).resolve().parents[2] / "cli" / "home"
    book = load("live", home)
    assert set(book.policies) == {"routing"}
    known = {name: held for name, held in sound().items() if name in book.rulebook.groups}
    line, execution = Health(book, [BTC], Facts(BTCUSDT=known)).symbol(BTC, NOW_MS)
    assert (line.status, line.reason, line.warnings) == (None, "", [])
    assert (execution.router.suggested, execution.sizing.size_factor) == (None, None)
    assert line.offset_bps is not None


def test_another_rulebook_decides_from_there_on() -> None:
    groups = sound(telemetry={"slippage_p95_bps": 30.0})
    health = health_of(BTCUSDT=groups)
    assert health.symbol(BTC, NOW_MS)[0].quality == "broken"
    health.use(shipped("testnet"))
    assert health.symbol(BTC, NOW_MS)[0].quality == "degraded", "testnet is broken from 50 bps on"
    assert router_of(health).profile == "testnet"


def test_facts_that_no_rule_could_read_are_left_out() -> None:
    groups = sound(market={"imbalance": 0.3})
    assert one({**groups, "weather": {"rain": 1.0}})[0].status == "ok"


def test_execution_and_router_health_agree() -> None:
    health = health_of(BTCUSDT=sound())
    for event in busy_journal().events:
        health.see(event)
    made = health.snapshot(NOW_MS)
    router = msgspec.json.decode(made.views["router_health"], type=RouterHealth).symbols[0]
    execution = msgspec.json.decode(made.views["execution_health"], type=ExecutionHealth).symbols[0]
    shared = set(execution.router.__struct_fields__) & set(router.__struct_fields__)
    assert len(shared) > 10
    assert {name: getattr(router, name) for name in shared} == {
        name: getattr(execution.router, name) for name in shared
    }


def test_an_acknowledged_order_changes_no_route() -> None:
    journal = busy_journal()
    before = one(sound(), journal)[0].last_route_decision
    accepted(journal, "a-1-1", NOW_MS - 100)
    assert one(sound(), journal)[0].last_route_decision == before
