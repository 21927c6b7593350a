"""Metrics: what is counted, what labels may be, and that names and units are as Prometheus wants them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from engine.journal.events import (
    BreakerMoved,
    Checkpoint,
    Event,
    IntentReceived,
    IntentRefused,
    OrderError,
    Routed,
    RulebookLoaded,
    SessionEnded,
    SessionStarted,
    Snapshot,
)
from engine.routing.evidence.report import Report
from engine.web.live import Live
from engine.web.metrics import OTHER, SYMBOL_FIGURES, Labels, Metrics
from engine.web.proving import Proof
from tests.routing.written import BTC, DOGE, NOW_MS, Written, ended, ended_taker, filled, shipped, started
from tests.web.busy import a_busy_session
from tests.web.world import Clock, ListedSource, a_session


def metrics_of(tmp_path: Path, events: Iterable[Event], *, most_symbols: int = 200, old: int = 0) -> Metrics:
    clock = Clock(5000.0)
    metrics = Metrics(wall=clock, most_symbols=most_symbols)
    source = ListedSource(events, old=old)
    live = Live(shipped("prod"), tmp_path, source, views=(metrics,), watchers=(metrics.counting,), wall=clock)
    metrics.live = live
    while live.poll():
        pass
    clock.now_s += 60
    return metrics


def families(metrics: Metrics) -> dict[str, Metric]:
    text, _ = metrics.text("text/plain")
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a name by the values of their labels, in the order of the labels' names."""
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in families(metrics).values()
        for sample in family.samples
        if sample.name == name
    }


def counted(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a counter that has counted something."""
    return {labels: value for labels, value in values(metrics, name).items() if value}


def test_vetoes_of_routing_are_those_of_the_report(tmp_path: Path) -> None:
    """Routing decides on refused intents as well: what vetoed there kept no order from resting."""
    events = a_busy_session(200)
    counts = counted(metrics_of(tmp_path, events), "sluice_vetoes_total")
    of_routing = {rule: times for (policy, _, rule), times in counts.items() if policy == "routing"}
    assert of_routing == {rule: veto.vetoes for rule, veto in Report.of(events).figures().vetoes.items()}
    assert sum(times for (policy, _, _), times in counts.items() if policy == "admission") == 50
    again = [msgspec.structs.replace(event, event="decided_again") for event in events if isinstance(event, Routed)]
    assert counted(metrics_of(tmp_path, [*events, *again]), "sluice_vetoes_total") == counts


def test_decisions_rules_and_vetoes_are_counted(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, a_session())
    assert values(metrics, "sluice_decisions_total") == {("admission", "prod"): 2.0, ("routing", "prod"): 2.0}
    assert values(metrics, "sluice_rules_fired_total")["routing", "prod", "quality.good"] == 2.0
    assert values(metrics, "sluice_vetoes_total") == {("routing", "prod", "hard_gates.reduce_only"): 1.0}
    assert values(metrics, "sluice_routes_total") == {
        ("decision", "prod", "maker", "none"): 1.0,
        ("decision", "prod", "taker", "hard_gates.reduce_only"): 1.0,
    }
    assert values(metrics, "sluice_symbol_routes_total") == {("maker", BTC): 1.0, ("taker", BTC): 1.0}


def test_what_became_of_intents_is_counted_and_timed_in_seconds(tmp_path: Path) -> None:
    journal = Written()
    journal.add(started())
    filled(journal, "i-1-1", NOW_MS)
    filled(journal, "i-1-1", NOW_MS, again=True)
    ended(journal, "i-1", ack_ms=[45, 800], sent_ms=NOW_MS + 30, ts_ms=NOW_MS + 5000)
    ended_taker(journal, "i-2", 100.0, fallback=True)
    metrics = metrics_of(tmp_path, journal.events)
    assert values(metrics, "sluice_fills_total") == {("maker",): 1.0, ("taker",): 0.0}
    assert values(metrics, "sluice_outcomes_total") == {("filled", "maker"): 1.0, ("filled", "taker"): 1.0}
    assert values(metrics, "sluice_fallbacks_total") == {(BTC,): 1.0}
    assert values(metrics, "sluice_ack_latency_seconds_sum")[()] == pytest.approx(0.845)
    buckets = values(metrics, "sluice_ack_latency_seconds_bucket")
    assert (buckets["0.025",], buckets["0.05",], buckets["0.5",], buckets["0.8",]) == (0.0, 1.0, 1.0, 2.0)
    assert values(metrics, "sluice_intent_duration_seconds_sum")["maker",] == 5.0
    assert values(metrics, "sluice_send_latency_seconds_count")[()] == 2.0


def test_errors_refusals_and_breakers_are_counted_by_class(tmp_path: Path) -> None:
    moved: dict[str, Any] = {"ts_ms": 2, "rule": "a.b", "reason": "", "pauses": True}
    events: list[Event] = [
        started(),
        OrderError(ts_ms=1, client_id="c", intent_id=None, code=-1007, error="unknown_outcome", text=""),
        IntentRefused(ts_ms=1, intent_id=None, code="malformed", reason="", received=""),
        Checkpoint(
            ts_ms=1,
            positions={},
            cash_usd=Decimal(0),
            fees_usd=Decimal(0),
            day_nav_usd=None,
            breakers={DOGE: {"state": "half_open", "since_ms": 1}},
        ),
        BreakerMoved(**moved, scope=BTC, was="closed", state="open"),
        BreakerMoved(**moved, scope="venue", was="open", state="closed"),
    ]
    metrics = metrics_of(tmp_path, numbered(events))
    assert counted(metrics, "sluice_order_errors_total") == {("unknown_outcome",): 1.0}
    assert values(metrics, "sluice_intents_refused_total") == {("malformed",): 1.0}
    states = {(DOGE, "half_open"): 1.0, (BTC, "open"): 1.0, ("venue", "closed"): 1.0}
    assert values(metrics, "sluice_breaker_state") == states
    assert values(metrics, "sluice_breaker_moves_total") == {(BTC, "open"): 1.0, ("venue", "closed"): 1.0}
    anew = metrics_of(tmp_path, numbered([*events, started()]))
    assert values(anew, "sluice_breaker_state") == {}
    again = [event for event in numbered([*events, started()]) if isinstance(event, SessionStarted)][-1]
    resumed = metrics_of(tmp_path, numbered([*events, msgspec.structs.replace(again, resumed=True)]))
    assert values(resumed, "sluice_breaker_state") == states


def numbered(events: Sequence[Event]) -> list[Event]:
    journal = Written()
    return [journal.add(event) for event in events]


def test_the_rulebook_the_journal_and_the_account_are_shown_as_they_are(tmp_path: Path) -> None:
    events = a_session()
    metrics, book = metrics_of(tmp_path, events), shipped("prod")
    (info,) = families(metrics)["sluice_rulebook_info"].samples
    assert info.labels == {"profile": "prod", "version": book.version, "sources": book.rulebook.sources_digest}
    expected = {
        "sluice_rulebook_loaded_timestamp_seconds": 5000.0,
        "sluice_rulebook_age_seconds": 60.0,
        "sluice_session_running": 1.0,
        "sluice_session_rulebook_differs": 0.0,
        "sluice_journal_last_seq": float(events[-1].seq),
        "sluice_journal_last_event_timestamp_seconds": events[-1].ts_ms / 1000,
        "sluice_journal_unread_bytes": 0.0,
        "sluice_journal_quiet_seconds": 3.5,
        "sluice_journal_bad_lines_total": 0.0,
        "sluice_journal_followed": 1.0,
        "sluice_health_age_seconds": 0.0,
        "sluice_health_tick": 1.0,
        "sluice_nav_usd": 1_000_000.0,
        "sluice_drawdown_ratio": -0.001,
    }
    assert {name: values(metrics, name)[()] for name in expected} == expected


def test_what_a_journal_held_before_is_state_and_no_count(tmp_path: Path) -> None:
    """A server that starts again must not count again what it had counted: to Prometheus that would be new."""
    journal = Written()
    journal.events = a_session()
    moved: dict[str, Any] = {"rule": "a.b", "reason": "", "pauses": True, "scope": BTC}
    journal.add(BreakerMoved(**moved, ts_ms=NOW_MS + 8000, was="closed", state="open"))
    before = len(journal.events)
    journal.add(BreakerMoved(**moved, ts_ms=NOW_MS + 9000, was="open", state="half_open"))
    metrics = metrics_of(tmp_path, journal.events, old=before)
    names = {
        sample.name for family in families(metrics).values() if family.type == "counter" for sample in family.samples
    }
    assert {name for name in names if name.startswith("sluice_") and counted(metrics, name)} == {
        "sluice_breaker_moves_total"
    }
    assert values(metrics, "sluice_breaker_moves_total") == {(BTC, "half_open"): 1.0}
    assert values(metrics, "sluice_breaker_state") == {(BTC, "half_open"): 1.0}
    assert values(metrics, "sluice_intent_duration_seconds_count") == {}
    assert values(metrics, "sluice_nav_usd") == {(): 1_000_000.0}
    again = metrics_of(tmp_path, journal.events, old=len(journal.events))
    assert values(again, "sluice_breaker_state") == {(BTC, "half_open"): 1.0}


def test_what_alerts_wait_for_is_there_at_0_before_it_happens(tmp_path: Path) -> None:
    """Prometheus sees no increase in a series that begins at 1."""
    metrics = metrics_of(tmp_path, ())
    assert set(values(metrics, "sluice_order_errors_total").values()) == {0.0}
    assert ("events_lost",) in values(metrics, "sluice_order_errors_total")
    assert values(metrics, "sluice_rulebook_reloads_total")["refused",] == 0.0


def test_a_session_whose_start_was_not_read_is_not_said_to_have_ended(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, a_session()[1:])
    assert values(metrics, "sluice_session_running") == {}
    journal = Written()
    journal.events = a_session()
    journal.add(SessionEnded(ts_ms=NOW_MS + 8000, reason="market_ended"))
    assert values(metrics_of(tmp_path, journal.events), "sluice_session_running") == {(): 0.0}


def test_the_first_swap_of_a_session_is_an_increase(tmp_path: Path) -> None:
    assert values(metrics_of(tmp_path, a_session()), "sluice_rulebook_swaps_total") == {("prod",): 0.0}


def test_a_session_under_another_rulebook_is_shown_to_differ(tmp_path: Path) -> None:
    journal = Written()
    journal.events = a_session()
    journal.add(RulebookLoaded(ts_ms=NOW_MS + 8000, profile="prod", rulebook="v2", sources="s2"))
    metrics = metrics_of(tmp_path, journal.events)
    assert values(metrics, "sluice_session_rulebook_differs")[()] == 1.0
    assert values(metrics, "sluice_rulebook_swaps_total") == {("prod",): 1.0}


def test_reloads_proofs_and_requests_are_told_by_the_server(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, ())
    metrics.reloaded("accepted")
    metrics.reloaded("refused")
    assert metrics.live is not None
    proofs = [
        Proof(policy="routing", id=f"p{number}", text="", at="", status=status, why="")
        for number, status in enumerate(("proven", "proven", "undecided"))
    ]
    metrics.live.prove(metrics.live.book, proofs)
    metrics.answered("/v1/decide", "POST", 200, 0.002)
    assert counted(metrics, "sluice_rulebook_reloads_total") == {("accepted",): 1.0, ("refused",): 1.0}
    assert values(metrics, "sluice_proofs") == {("proven",): 2.0, ("refuted",): 0.0, ("undecided",): 1.0}
    metrics.live.use(shipped("testnet"))
    assert values(metrics, "sluice_proofs") == {}  # those are of the rulebook before
    assert values(metrics, "sluice_http_requests_total") == {("POST", "/v1/decide", "200"): 1.0}
    assert values(metrics, "sluice_http_request_duration_seconds_count") == {("/v1/decide",): 1.0}


def test_a_symbols_figures_are_those_of_the_snapshot_in_base_units(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, a_session())
    assert values(metrics, "sluice_symbol_maker_fill_ratio") == {(BTC,): 0.82}  # nothing is known of the other
    assert values(metrics, "sluice_symbol_ack_p50_seconds") == {(BTC,): 0.045}
    assert values(metrics, "sluice_symbol_slippage_p95_bps") == {(BTC,): 2.1}
    assert values(metrics, "sluice_symbol_quality")["good", BTC] == 1.0
    assert values(metrics, "sluice_symbol_maker_first")[BTC,] == 1.0


def test_symbols_beyond_the_cap_share_a_label_with_the_worst_of_their_figures(tmp_path: Path) -> None:
    events = a_session()
    made = [event for event in events if isinstance(event, Snapshot)][-1]
    router = msgspec.json.decode(made.views["router_health"])
    row = router["symbols"][0]
    router["symbols"] = [
        {**row, "symbol": f"S{number}", "maker_fill_rate": number / 10, "slippage_p95": float(number)}
        for number in range(1, 5)
    ]
    views = {**made.views, "router_health": msgspec.Raw(msgspec.json.encode(router))}
    received = IntentReceived(ts_ms=1, intent_id="i", symbol="S1", intent={})
    some = [msgspec.structs.replace(received, symbol=f"S{number}") for number in (1, 2, 3, 4, 1)]
    metrics = metrics_of(tmp_path, numbered([*some, msgspec.structs.replace(made, views=views)]), most_symbols=2)
    assert values(metrics, "sluice_intents_total") == {("S1",): 2.0, ("S2",): 1.0, (OTHER,): 2.0}
    assert values(metrics, "sluice_symbol_maker_fill_ratio") == {("S1",): 0.1, ("S2",): 0.2, (OTHER,): 0.3}
    assert values(metrics, "sluice_symbol_slippage_p95_bps") == {("S1",): 1.0, ("S2",): 2.0, (OTHER,): 4.0}
    assert values(metrics, "sluice_symbol_quality")["good", OTHER] == 2.0


@given(st.lists(st.text(max_size=3), max_size=60), st.integers(0, 8))
def test_labels_never_number_more_than_allowed_and_never_change(names: list[str], most: int) -> None:
    labels = Labels(most)
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(name, labels(name))
    assert all(labels(name) == label for name, label in first.items())
    assert all(label in (name, OTHER) for name, label in first.items())
    assert len({label for name, label in first.items() if label == name}) <= most or most == 0


_UNITS = ("seconds", "bytes", "ratio", "bps", "usd")


def test_names_follow_the_conventions(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, a_session())
    ours = {name: family for name, family in families(metrics).items() if name.startswith("sluice_")}
    assert len(ours) > 40
    for name, family in ours.items():
        assert family.documentation.endswith("."), name
        assert family.type in ("counter", "gauge", "histogram", "info"), name
        if family.type == "histogram":
            assert name.endswith("_seconds")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
            assert "le" not in sample.labels or family.type == "histogram"
        assert not [part for part in name.split("_") if part in ("ms", "milliseconds", "percent")], name
    assert {figure.name for figure in SYMBOL_FIGURES} <= {name.removeprefix("sluice_symbol_") for name in ours}


def test_before_anything_happened_there_is_a_text_without_made_up_figures(tmp_path: Path) -> None:
    metrics = Metrics()
    assert b"sluice_" in metrics.text("")[0]
    metrics = metrics_of(tmp_path, ())
    assert values(metrics, "sluice_nav_usd") == {}
    assert values(metrics, "sluice_journal_last_event_timestamp_seconds") == {}
    assert values(metrics, "sluice_session_running") == {(): 0.0}
