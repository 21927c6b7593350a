"""Intents as rows: what a row says at each step, and how rows are laid out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.journal.events import Event, IntentReceived, IntentRefused, Outcome, Routed
from engine.routing.sessions.run_rows import Columns, Row, Rows

AT_MS = 1_723_161_256_789


def received(intent_id: str = "a") -> IntentReceived:
    return IntentReceived(ts_ms=AT_MS, intent_id=intent_id, symbol="BTCUSDT", intent={"side": "buy"})


def routed(intent_id: str = "a", **changes: Any) -> Routed:
    given: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "buy",
        "route": "maker",
        "reason": "maker: no veto; quality good",
        "vetoes": [],
        "decision_id": "d",
        "target": Decimal(2),
        "is_exit": False,
        "quality": "good",
        "offset_bps": 1.25,
    }
    return Routed(ts_ms=AT_MS, intent_id=intent_id, **{**given, **changes})


def ended(intent_id: str = "a", **changes: Any) -> Outcome:
    given: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "buy",
        "is_exit": False,
        "route": "maker",
        "result": "filled",
        "reason": "filled",
        "target": Decimal(2),
        "filled": Decimal(2),
        "maker_filled": Decimal(1),
        "cost_usd": 200.1,
        "fees_usd": 0.1,
        "arrival_ms": AT_MS,
        "arrival_mid": 100.0,
        "sent_ms": AT_MS,
        "sent_mid": 100.0,
        "end_mid": 100.0,
        "attempted": Decimal(2),
    }
    return Outcome(ts_ms=AT_MS + 5_000, intent_id=intent_id, **{**given, **changes})


def row_of(*events: Event) -> Row:
    rows = Rows()
    found = [rows.see(event) for event in events]
    assert found[-1] is not None
    assert all(row is found[-1] for row in found)
    return found[-1]


def test_a_row_is_filled_in_as_its_intent_goes_on() -> None:
    open_row = row_of(received(), routed())
    assert (open_row.route, open_row.tier, open_row.offset, open_row.filled) == ("maker", "good", "1.25", "open")
    assert open_row.why == "no veto; quality good"
    assert not open_row.is_over
    row = row_of(received(), routed(), ended())
    assert (row.filled, row.maker, row.bps, row.why) == ("100%", "50%", "+10.00", "no veto; quality good")
    assert row.is_over
    assert row.ts_ms == AT_MS, "an intent keeps the time it came"


def test_a_fallback_says_which_rule_made_it_cross() -> None:
    fallback = routed(event="fallback", route="taker", reason="cross: working.ran_away (drift_bps 3 > max_drift_bps 2)")
    row = row_of(received(), routed(), fallback, ended(fallback=True))
    assert (row.route, row.why) == ("maker", "fallback: working.ran_away (drift_bps 3 > max_drift_bps 2)")
    assert row.fallback


def test_what_was_not_admitted_has_no_share_and_no_cost() -> None:
    none = routed(route="none", reason="not admit: sanity.mid_missing (entry)", target=Decimal(0))
    nothing: dict[str, Any] = {"target": Decimal(0), "filled": Decimal(0), "maker_filled": Decimal(0), "cost_usd": 0.0}
    row = row_of(received(), none, ended(route="none", result="unfilled", reason="not admit: …", **nothing))
    assert (row.route, row.filled, row.maker, row.bps, row.why) == ("none", "-", "-", "-", "sanity.mid_missing (entry)")


def test_an_end_with_a_reason_of_its_own_says_it() -> None:
    nothing: dict[str, Any] = {"filled": Decimal(0), "maker_filled": Decimal(0), "cost_usd": 0.0, "fees_usd": 0.0}
    row = row_of(received(), routed(), ended(result="unfilled", reason="session_ended", **nothing))
    assert (row.filled, row.maker, row.bps, row.why) == ("0%", "-", "+0.00", "session ended")


def test_what_is_no_intent_is_a_row_too() -> None:
    refused = IntentRefused(ts_ms=AT_MS, intent_id=None, code="malformed", reason="no JSON", received="x")
    row = row_of(refused)
    assert (row.intent_id, row.route, row.why, row.is_over) == ("-", "refused", "malformed: no JSON", True)


def test_intents_of_an_earlier_session_make_no_rows() -> None:
    rows = Rows()
    assert rows.see(routed()) is None
    assert rows.see(ended()) is None


def test_kinds_do_not_differ_in_numbers() -> None:
    def none(qty: str) -> Row:
        reason = f"admitted {qty}, less than one step of 0.001"
        return row_of(received(), routed(route="none", reason=f"not admit: {reason}"), ended(route="none"))

    assert none("0.0005").kind == none("0.0009").kind
    assert none("0.0005").kind != row_of(received(), routed(), ended()).kind
    assert row_of(received(), routed(), ended()).kind != row_of(received(), routed(), ended(fallback=True)).kind


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_lines_keep_to_the_width_and_columns_stand_below_their_heads(width: int) -> None:
    reason = "taker: hard_gates.reduce_only (" + "x" * 200
    row = row_of(received("y" * 60), routed("y" * 60, route="taker", reason=reason))
    columns = Columns(["BTCUSDT"], width)
    head, line = columns.head().plain, columns.line(row).plain
    assert max(len(head), len(line)) <= width
    assert line.endswith("…")
    assert line.index("taker") == head.index("route")
    assert line.index("BTCUSDT") == head.index("symbol")
    assert ("hard_gates" in line) is (width == 160), "where there is little room, the rule set is left out"


def test_where_nobody_said_how_wide_it_is_nothing_is_cut() -> None:
    row = row_of(received(), routed(reason="maker: " + "x" * 500))
    assert "x" * 500 in Columns(["BTCUSDT"], None).line(row).plain


def test_text_of_others_cannot_steer_the_screen() -> None:
    row = row_of(received("a\x1b[2J"), routed("a\x1b[2J", reason="maker: \x1b]0;x\x07"))
    assert "\x1b" not in Columns(["BTC\x1bUSDT"], 160).line(row).plain
