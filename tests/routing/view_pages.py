"""The pages of views that are kept as golden files, over hand-written journals."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console

from engine.journal.events import BreakerMoved, Tuned
from engine.routing.evidence.contract import ExecutionHealth, RouterHealth
from engine.routing.evidence.health import Health
from engine.routing.evidence.health_pages import print_execution, print_health
from engine.routing.evidence.story import story
from engine.routing.evidence.story_pages import print_events, print_story
from engine.routing.evidence.why import why
from engine.routing.evidence.why_pages import print_why
from tests.routing.evidence.test_story import long_journal
from tests.routing.evidence.test_why import resting
from tests.routing.written import (
    BTC,
    DOGE,
    NEW,
    NOW_MS,
    Facts,
    Holding,
    Written,
    ended,
    ended_taker,
    error,
    order,
    route,
    shipped,
    sound,
    started,
)

GOLDEN = Path(__file__).resolve().parent / "golden"
WIDTHS = (80, 160)


def console(columns: int, stream: io.StringIO) -> Console:
    """A console of a width that somebody gave, without styles."""
    return Console(
        file=stream,
        width=columns,
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={"COLUMNS": str(columns)},
    )


def troubled() -> Health:
    """One sound symbol, one in trouble, and one of which nothing is known."""
    journal = Written()
    journal.add(started(ts_ms=NOW_MS - 3_600_000))
    journal.add(
        Tuned(
            ts_ms=NOW_MS - 600_000,
            symbol=BTC,
            bias_delta=-0.05,
            offset_delta_bps=0.0,
            maker_first=None,
            was={},
            decision_id="0" * 24,
            rulebook="r",
            evidence={},
        )
    )
    route(
        journal, "d-1", ts_ms=NOW_MS - 40_000, symbol=DOGE, groups=sound(NOW_MS - 40_000, market={"spread_bps": 14.2})
    )
    journal.add(
        BreakerMoved(
            ts_ms=NOW_MS - 12_000,
            scope=DOGE,
            was="closed",
            state="open",
            rule="breaker.rejects",
            reason="open: breaker.rejects (post_only_rejects_60s 5 >= open_at_rejects 5)",
            pauses=True,
        )
    )
    routed = route(journal, "a-1", ts_ms=NOW_MS - 3_000)
    order(journal, "a-1", ts_ms=NOW_MS - 3_000)
    error(journal, "a-1-1", NOW_MS - 2_900, -5022, "post_only", "Due to the order could not be executed as maker")
    journal.add(
        msgspec.structs.replace(
            routed,
            ts_ms=NOW_MS - 2_000,
            route="taker",
            event="fallback",
            vetoes=[],
            reason="cross: working.rejected (post_only_rejects 2 >= cross_after_rejects 2)",
        )
    )
    ended_taker(journal, "a-1", 100.03, ts_ms=NOW_MS - 1_500, fallback=True, post_only_rejects=2)
    stale = {"observed_at": NOW_MS / 1000 - 1020, "fallback_ratio": 0.62, "slippage_p95_bps": 9.5}
    doge = sound(
        telemetry=stale,
        market={"spread_bps": 14.2},
        account={"drawdown_today": -0.02},
        windows={"maker_paused": True},
        tuning=None,
    )
    health = Health(shipped("prod"), (BTC, DOGE, NEW), Facts(BTCUSDT=sound(), DOGEUSDT=doge), Holding())
    for event in journal.events:
        health.see(event)
    return health


def vetoed() -> Written:
    """Forty intents, most of which something stood against."""
    journal = Written()
    for number in range(40):
        ts_ms, intent_id = NOW_MS + number * 1000, f"i-{number:02}"
        spread, telemetry, qty = 2.0, {}, 0.5
        match number % 5:
            case 0:
                spread = 12.4 + number / 10
            case 1:
                telemetry = {"maker_fill_ratio": 0.66 + number / 1000}
            case 2:
                spread, telemetry = 13.0, {"maker_fill_ratio": 0.6, "fallback_ratio": 0.6 + number / 500}
            case 3:
                telemetry = {"observed_at": ts_ms / 1000 - 1000}
        if number % 10 == 9:
            qty = -1.0
        groups = sound(ts_ms, market={"spread_bps": spread}, telemetry=telemetry)
        routed = route(journal, intent_id, ts_ms=ts_ms, groups=groups, qty=qty)
        if routed.route == "taker":
            ended_taker(journal, intent_id, 100.05 + number % 7 / 50, ts_ms=ts_ms + 100, taker_veto=routed.vetoes[0])
            if number % 3 == 0:
                resting(journal, intent_id, 100.0 + number % 4 / 50)
        elif routed.route == "maker":
            ended(journal, intent_id, ts_ms=ts_ms + 100)
    return journal


def _health(page: Console) -> None:
    made = troubled().snapshot(NOW_MS).views["router_health"]
    print_health(page, msgspec.json.decode(made, type=RouterHealth), age_s=700.0)


def _execution(number: int) -> Callable[[Console], None]:
    def show(page: Console) -> None:
        views = troubled().snapshot(NOW_MS).views
        health = msgspec.json.decode(views["router_health"], type=RouterHealth)
        execution = msgspec.json.decode(views["execution_health"], type=ExecutionHealth)
        print_execution(page, health, execution.symbols[number], 12.0)

    return show


def _why(page: Console) -> None:
    print_why(page, why(vetoed().events, BTC, book_of=lambda *_: shipped("prod")))


CASES: dict[str, Callable[[Console], None]] = {
    "health": _health,
    "health_sound": _execution(0),
    "health_stale": _execution(1),
    "health_unknown": _execution(2),
    "why": _why,
    "why_nothing": lambda page: print_why(page, why(vetoed().events, DOGE)),
    "journal": lambda page: print_events(page, long_journal().events),
    "journal_intent": lambda page: print_story(page, story(long_journal().events, "a-1")),
    "journal_open": lambda page: print_story(page, story(long_journal().events, "b-1")),
}
"""Pages by name."""


def page(name: str, columns: int) -> str:
    """A page at a width; versions and ids, which change with every rule, and their lines are left out."""
    stream = io.StringIO()
    CASES[name](console(columns, stream))
    text = re.sub(r"\b[0-9a-f]{16}\b", "RULEBOOK-VERSION", stream.getvalue())
    text = re.sub(r"\b[0-9a-f]{24}\b", "ID-OF-A-DECISION-IN-FULL", text)
    text = re.sub(r"(\.yaml:)(\d+)", lambda found: found[1] + "N" * len(found[2]), text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def golden_file(name: str, columns: int) -> Path:
    """Where a page is kept."""
    return GOLDEN / f"{name}_{columns}.txt"
