"""A small journal by hand, of which every number of its report can be computed on paper.

Everything arrives at a mid of 100; ten coins are 1,000 USD. Times are seconds after `START_MS`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from engine.journal.events import (
    BaselineDone,
    Decided,
    Event,
    Heard,
    IntentReceived,
    IntentRefused,
    MarkedOut,
    Outcome,
    Routed,
    SessionEnded,
    SessionStarted,
)
from engine.venues.messages import Fill, Side

START_MS = 1_723_075_200_000
"""2024-08-08 00:00 UTC."""


def at(seconds: float) -> int:
    return START_MS + round(seconds * 1000)


def started(seconds: float = 0, **fields: Any) -> SessionStarted:
    given: dict[str, Any] = {
        "profile": "prod",
        "rulebook": "rulebook-1",
        "sources": "sources-1",
        "venue": "paper",
        "market": "by hand",
        "nav_usd": 1e6,
        "settings": {"seed": 7, "paper": {"queue": "pessimistic"}},
    }
    return SessionStarted(ts_ms=at(seconds), **{**given, **fields})


def arrived(
    intent_id: str,
    seconds: float,
    route: str,
    *,
    side: Side = "buy",
    symbol: str = "BTCUSDT",
    vetoes: list[str] | None = None,
    quality: str | None = "good",
    regime: str | None = "normal",
    is_exit: bool = False,
) -> list[Event]:
    """An intent comes and is routed."""
    decided = {} if regime is None else {"atr_regime": regime}
    record = msgspec.Raw(msgspec.json.encode({"decision_id": "d", "decided": decided, "facts": {}}))
    return [
        IntentReceived(ts_ms=at(seconds), intent_id=intent_id, symbol=symbol, intent={"side": side}),
        Decided(ts_ms=at(seconds), intent_id=intent_id, policy="admission", record=msgspec.Raw(b'{"decided":{}}')),
        Decided(ts_ms=at(seconds), intent_id=intent_id, policy="routing", record=record),
        Routed(
            ts_ms=at(seconds),
            intent_id=intent_id,
            symbol=symbol,
            side=side,
            route=route,
            reason="",
            vetoes=vetoes or [],
            decision_id="d",
            target=Decimal(0) if route == "none" else Decimal(10),
            is_exit=is_exit,
            quality=quality,
        ),
    ]


def ended(intent_id: str, seconds: float, price: float, **fields: Any) -> Outcome:
    """An intent of ten coins ends, filled at `price` as taker unless `fields` say otherwise."""
    filled = Decimal(fields.pop("filled", 10))
    given: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "buy",
        "is_exit": False,
        "route": "taker",
        "result": "filled" if filled == 10 else "partly_filled",
        "reason": "filled",
        "target": Decimal(10),
        "filled": filled,
        "maker_filled": Decimal(0),
        "cost_usd": float(filled) * price,
        "fees_usd": 0.0,
        "arrival_ms": at(seconds) - 500,
        "arrival_mid": 100.0,
        "sent_ms": at(seconds) - 500,
        "sent_mid": 100.0,
        "end_mid": 100.0,
    }
    return Outcome(ts_ms=at(seconds), intent_id=intent_id, **{**given, **fields})


def baselines(
    intent_id: str, seconds: float, taker: float, both: float, maker: float | None, **fields: Any
) -> list[Event]:
    """The prices at which the baselines filled ten coins; None: nothing filled."""
    done: list[Event] = []
    for baseline, price in (("taker", taker), ("maker_then_taker", both), ("maker", maker)):
        filled = Decimal(0) if price is None else Decimal(10)
        given: dict[str, Any] = {
            "symbol": "BTCUSDT",
            "side": "buy",
            "target": Decimal(10),
            "filled": filled,
            "maker_filled": filled if baseline == "maker" else Decimal(0),
            "cost_usd": float(filled) * (price or 0.0),
            "fees_usd": 0.0,
            "arrival_mid": 100.0,
            "sent_mid": 100.0,
            "end_mid": 100.0,
        }
        done.append(BaselineDone(ts_ms=at(seconds), intent_id=intent_id, baseline=baseline, **{**given, **fields}))
    return done


def filled(trade_id: str, seconds: float, *, is_maker: bool, again: bool = False) -> Heard:
    fill = Fill(
        at(seconds), "s-1", trade_id, "BTCUSDT", "buy", Decimal(10), Decimal(100), Decimal("0.25"), is_maker=is_maker
    )
    return Heard(ts_ms=at(seconds), message=fill, again=again)


def marked(trade_id: str, horizon_s: float, bps: float, *, is_maker: bool, notional_usd: float = 1000.0) -> MarkedOut:
    return MarkedOut(
        ts_ms=at(100),
        intent_id="one",
        symbol="BTCUSDT",
        trade_id=trade_id,
        horizon_s=horizon_s,
        is_maker=is_maker,
        notional_usd=notional_usd,
        markout_bps=bps,
    )


def small() -> list[Event]:
    """Four intents: a maker fill, a fallback, and two takers with vetoes; one line not taken, one intent too small."""
    return [
        started(),
        IntentRefused(ts_ms=at(1), intent_id=None, code="malformed", reason="no JSON", received="{"),
        *arrived("refused", 2, "none"),
        ended("refused", 2, 0.0, route="none", target=Decimal(0), filled=0),
        # Rests, and is filled a cent below the mid: -1 bp, where crossing at once costs 3 bps.
        *arrived("maker", 10, "maker"),
        filled("1", 12, is_maker=True),
        filled("1", 13, is_maker=True, again=True),
        ended("maker", 15, 99.99, route="maker", maker_filled=Decimal(10), attempted=Decimal(10)),
        *baselines("maker", 75, taker=100.03, both=99.99, maker=99.99),
        # Rests, is not filled, and crosses later: 5 bps, where crossing at once costs 2.
        *arrived("fallback", 20, "maker", regime="hot"),
        filled("2", 24, is_maker=False),
        ended("fallback", 25, 100.05, route="maker", attempted=Decimal(10), fallback=True),
        *baselines("fallback", 85, taker=100.02, both=100.04, maker=None),
        # Crosses, as an exit of another symbol that nobody would rest: 2 bps like always taker.
        *arrived("exit", 30, "taker", side="sell", symbol="ETHUSDT", vetoes=["hard_gates.reduce_only"], is_exit=True),
        filled("3", 32, is_maker=False),
        ended("exit", 35, 99.98, side="sell", symbol="ETHUSDT", is_exit=True, taker_veto="hard_gates.reduce_only"),
        *baselines("exit", 95, taker=99.98, both=99.99, maker=100.01, side="sell", symbol="ETHUSDT"),
        # Crosses because of its tier: 4 bps, where resting first costs 1.
        *arrived("taker", 40, "taker", vetoes=["maker_gates.quality_not_good", "hard_gates.reduce_only"], quality="ok"),
        filled("4", 42, is_maker=False),
        ended("taker", 45, 100.04, taker_veto="maker_gates.quality_not_good"),
        *baselines("taker", 105, taker=100.04, both=100.01, maker=99.99),
        marked("1", 1.0, 2.0, is_maker=True),
        marked("2", 1.0, -1.0, is_maker=False, notional_usd=1000.0),
        marked("3", 1.0, -4.0, is_maker=False, notional_usd=3000.0),
        marked("1", 10.0, 3.0, is_maker=True),
        SessionEnded(ts_ms=at(200), reason="the market is over"),
    ]
