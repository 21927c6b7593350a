"""A journal of several hundred intents: makers, takers for several reasons, refused ones, and what came of each.

Everything that a journal tells of an intent is there: its end, what simple ways of routing would have cost, and
markouts minutes later. Some are not filled in full, so that it matters at which end they are measured; some have no
baselines, and the last ones have not ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import cycle
from typing import Any

import msgspec

from engine.journal.events import BaselineDone, Event, Outcome, Routed
from engine.routing.evidence.baselines import BASELINES
from tests.routing.written import (
    BTC,
    DOGE,
    NOW_MS,
    Groups,
    Written,
    ended,
    ended_taker,
    marked_out,
    route,
    sound,
    started,
)

_APART_MS = 200
_OPEN = 3
"""Of the last ones."""


def a_busy_session(count: int) -> list[Event]:
    """So many intents, one every 200 ms."""
    journal = Written()
    journal.add(started())
    later: list[Event] = []
    for number, (changed, asked) in zip(range(count), cycle(_kinds()), strict=False):
        ts_ms = NOW_MS + number * _APART_MS
        symbol = BTC if number % 3 else DOGE
        routed = route(journal, f"i-{number}", ts_ms=ts_ms, symbol=symbol, groups=sound(ts_ms, **changed), **asked)
        if routed.route == "maker" and number % 11 == 0:
            routed = _too_small(journal, routed)
        if routed.route == "none" or number >= count - _OPEN:
            continue
        outcome = _end(journal, routed, number)
        later += [] if number % 7 == 0 else _baselines(outcome, number)
        later += [marked_out(outcome.intent_id, ts_ms=ts_ms + 305_000) for _ in range(6)]
        for event in later[:5]:
            journal.add(event)
        del later[:5]
    for event in later:
        journal.add(event)
    return journal.events


def _kinds() -> Iterator[tuple[Groups, dict[str, Any]]]:
    """Changed facts, and what is asked for."""
    yield {}, {}
    yield {"market": {"spread_bps": 13.0}}, {}
    yield {"market": {"spread_bps": 13.0}, "telemetry": {"fallback_ratio": 0.5}}, {}
    yield {}, {"reduce_only": True}
    yield {}, {"qty": -1.0}
    yield {"telemetry": {"fallback_ratio": 0.5}}, {}
    yield {}, {}
    yield {"risk": {"halted": True}}, {}


def _too_small(journal: Written, routed: Routed) -> Routed:
    """The same intent, admitted, and less than the venue takes."""
    made = msgspec.structs.replace(routed, route="none", vetoes=[], reason="admitted 0.1, less than one step of 1")
    journal.events[-1] = made
    return made


def _end(journal: Written, routed: Routed, number: int) -> Outcome:
    ts_ms = routed.ts_ms + 100
    made: dict[str, Any] = {"ts_ms": ts_ms, "symbol": routed.symbol, "end_mid": 100.01 + 0.01 * (number % 5)}
    if routed.route == "maker":
        part: dict[str, Any] = {
            "result": "partly_filled",
            "filled": Decimal("0.3"),
            "maker_filled": Decimal("0.3"),
            "cost_usd": 29.994,
        }
        return ended(journal, routed.intent_id, **made, **(part if number % 4 == 0 else {}))
    price, veto = 100.02 + 0.01 * (number % 4), routed.vetoes[0]
    return ended_taker(journal, routed.intent_id, price, taker_veto=veto, **made)


def _baselines(outcome: Outcome, number: int) -> list[Event]:
    """What simple ways would have cost, measured at an end that is not that of the intent."""
    return [
        BaselineDone(
            ts_ms=outcome.ts_ms + 60_000,
            intent_id=outcome.intent_id,
            symbol=outcome.symbol,
            baseline=baseline,
            side="buy",
            target=outcome.target,
            filled=outcome.target,
            maker_filled=Decimal(0),
            cost_usd=float(outcome.target) * 100.03,
            fees_usd=0.01,
            arrival_mid=100.01,
            sent_mid=100.01,
            end_mid=100.2 + 0.01 * (number % 3),
        )
        for baseline in BASELINES
    ]
