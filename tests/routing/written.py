"""Hand-written journals: events numbered as a journal numbers them, over facts that the shipped rules decide on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from engine.book import Book, load
from engine.home import shipped_home
from engine.journal.events import (
    CancelPlanned,
    Decided,
    Event,
    Heard,
    IntentReceived,
    MarkedOut,
    OrderError,
    OrderPlanned,
    Outcome,
    Routed,
    SessionStarted,
    Snapshot,
)
from engine.routing.evidence.health import Health
from engine.venues.messages import Accepted, Fill, Kind, Rejected, Side

NOW_MS = 1_723_117_200_000
"""2024-08-08 11:40 UTC."""
BTC, DOGE, NEW = "BTCUSDT", "DOGEUSDT", "NEWUSDT"

Groups = dict[str, dict[str, Any] | None]


@cache
def shipped(profile: str) -> Book:
    return load(profile, shipped_home())


class Written:
    """A journal in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, event: Event) -> Any:
        numbered = msgspec.structs.replace(event, seq=len(self.events) + 1)
        self.events.append(numbered)
        return numbered


def sound(now_ms: int = NOW_MS, **changes: Mapping[str, Any] | None) -> Groups:
    """Facts on which the shipped rules rest an order; `changes` are merged in by group, None takes one away."""
    now = now_ms / 1000
    groups: dict[str, dict[str, Any] | None] = {
        "market": {
            "observed_at": now - 0.25,
            "bid": 100.0,
            "ask": 100.02,
            "bid_qty": 3.0,
            "ask_qty": 2.0,
            "mid": 100.01,
            "spread_bps": 2.0,
        },
        "bars": {"observed_at": now - 20, "atr_short": 0.0012, "atr_long": 0.001, "atr_ratio": 1.2},
        "telemetry": {
            "observed_at": now - 12,
            "maker_fill_ratio": 0.82,
            "maker_fill_samples": 240.0,
            "fallback_ratio": 0.125,
            "fallback_samples": 240.0,
            "post_only_reject_ratio": 0.01,
            "post_only_reject_samples": 260.0,
            "slippage_p25_bps": -0.4,
            "slippage_p50_bps": 0.8,
            "slippage_p75_bps": 1.4,
            "slippage_p95_bps": 2.1,
            "slippage_samples": 220.0,
            "ack_latency_p50_ms": 45.0,
            "ack_latency_p95_ms": 120.0,
            "ack_latency_samples": 260.0,
            "sample_count": 240.0,
        },
        "account": {
            "observed_at": now - 1,
            "nav_usd": 1_000_000.0,
            "symbol_notional_usd": 2_500.0,
            "portfolio_notional_usd": 120_000.0,
            "position_qty": 25.0,
            "leverage": 3.0,
            "drawdown_today": -0.001,
        },
        "risk": {"observed_at": now - 30, "risk_mode": "normal", "halted": False, "symbol_disabled": False},
        "tuning": {"tuned_bias_delta": -0.05, "tuned_offset_delta_bps": 0.0},
        "windows": {
            "post_only_rejects_60s": 0.0,
            "fallbacks_in_a_row": 0.0,
            "slow_acks_60s": 0.0,
            "feed_gap_s": 0.25,
            "maker_paused": False,
            "probes_last_hour": 0.0,
        },
        "signal": {"observed_at": now - 5, "expectancy": 1.0, "score": 0.5},
    }
    for name, changed in changes.items():
        groups[name] = None if changed is None else {**(groups[name] or {}), **changed}
    return groups


def intent_facts(**changes: Any) -> dict[str, Any]:
    """An entry that asks to rest."""
    intent = {
        "side": "buy",
        "qty": 0.5,
        "price": 100.0,
        "order_type": "limit",
        "maker_requested": True,
        "maker_price": 100.0,
        "maker_qty": 0.5,
        "reduce_only": False,
    }
    return {name: value for name, value in {**intent, **changes}.items() if value is not None}


class Facts:
    """What is known of each symbol, for a `Health`; the same at every moment."""

    def __init__(self, **groups: Groups) -> None:
        self.held = groups
        self.asked: list[tuple[str, int]] = []

    def groups(self, symbol: str, now_ms: int) -> Groups:
        self.asked.append((symbol, now_ms))
        return self.held.get(symbol, {})


@dataclass
class Holding:
    """An account."""

    positions: dict[str, Decimal] = field(
        default_factory=lambda: {BTC: Decimal("25.001"), "OLDUSDT": Decimal(-3), "FLATUSDT": Decimal(0)}
    )
    cash: Decimal = Decimal("997500.25")
    fees: Decimal = Decimal("12.5")


def started(profile: str = "prod", ts_ms: int = NOW_MS) -> SessionStarted:
    book = shipped(profile)
    return SessionStarted(
        ts_ms=ts_ms,
        profile=profile,
        rulebook=book.version,
        sources=book.rulebook.sources_digest,
        venue="paper",
        market="hand-written",
        nav_usd=1_000_000.0,
    )


def route(
    journal: Written,
    intent_id: str,
    *,
    ts_ms: int = NOW_MS,
    symbol: str = BTC,
    profile: str = "prod",
    groups: Groups | None = None,
    **intent: Any,
) -> Routed:
    """An intent arrives, and is admitted and routed by a shipped book."""
    book, held = shipped(profile), intent_facts(**intent)
    known = groups if groups is not None else sound(ts_ms)
    journal.add(IntentReceived(ts_ms=ts_ms, intent_id=intent_id, symbol=symbol, intent=held, bid=100.0, ask=100.02))
    facts = {"now": ts_ms / 1000, "symbol": symbol, "intent_id": intent_id, "intent": held, **known}
    admission = book.decide("admission", handed(book, "admission", facts))
    journal.add(decided(ts_ms, intent_id, admission))
    facts["decisions"] = {"admission": admission.values}
    routing = book.decide("routing", handed(book, "routing", facts))
    journal.add(decided(ts_ms, intent_id, routing))
    admits = admission["admit"] is True
    said = routing if admits else admission
    values = routing.values
    routed: Routed = journal.add(
        Routed(
            ts_ms=ts_ms,
            intent_id=intent_id,
            symbol=symbol,
            side=held.get("side"),
            route=str(values["route"]) if admits else "none",
            reason=said.reason,
            vetoes=list(said.vetoes),
            decision_id=said.decision_id,
            target=Decimal(repr(admission["admitted_qty"])),
            is_exit=held.get("reduce_only") is True,
            quality=str(values["quality"]),
            maker_first=values["maker_first"] is True,
            taker_bias=str(values["taker_bias"]),
            bias=float(values["bias"]),
            offset_bps=float(values["offset_bps"]),
            probe=values["probe"] is True,
            protection_bps=float(values["protection_bps"]),
            spread_bps=(known["market"] or {}).get("spread_bps"),
        )
    )
    return routed


def handed(book: Book, policy: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The groups that a policy reads, of a facts object."""
    reads = {group.name.partition(".")[0] for group in book.policy(policy).groups}
    return {name: held for name, held in facts.items() if name in reads or name in ("now", "symbol", "intent_id")}


def decided(ts_ms: int, intent_id: str | None, decision: Any) -> Decided:
    record = msgspec.Raw(decision.json().encode())
    return Decided(ts_ms=ts_ms, intent_id=intent_id, policy=decision.policy, record=record)


def order(
    journal: Written,
    intent_id: str,
    *,
    leg: int = 1,
    ts_ms: int = NOW_MS,
    role: str = "maker",
    side: Side = "buy",
    qty: str = "0.5",
    price: str | None = "99.98",
    symbol: str = BTC,
    why: str = "route",
) -> OrderPlanned:
    kind: Kind = "post_only" if role == "maker" else "ioc"
    planned: OrderPlanned = journal.add(
        OrderPlanned(
            ts_ms=ts_ms,
            intent_id=intent_id,
            client_id=f"{intent_id}-{leg}",
            leg=leg,
            role="maker" if role == "maker" else "taker",
            symbol=symbol,
            side=side,
            qty=Decimal(qty),
            kind=kind,
            price=None if price is None else Decimal(price),
            reduce_only=False,
            mid=100.01,
            why=why,
        )
    )
    return planned


def accepted(journal: Written, client_id: str, ts_ms: int, status: str = "open", filled: str = "0") -> Heard:
    message = Accepted(ts_ms, client_id, "place", status, Decimal(filled))  # type: ignore[arg-type]  # named by the test
    heard: Heard = journal.add(Heard(ts_ms=ts_ms, message=message, state=status))
    return heard


def rejected(journal: Written, client_id: str, ts_ms: int, code: int, text: str) -> Heard:
    heard: Heard = journal.add(
        Heard(ts_ms=ts_ms, message=Rejected(ts_ms, client_id, "place", code, text), state="rejected")
    )
    return heard


def filled(
    journal: Written,
    client_id: str,
    ts_ms: int,
    *,
    trade_id: str = "t-1",
    side: Side = "buy",
    qty: str = "0.5",
    price: str = "99.98",
    is_maker: bool = True,
    symbol: str = BTC,
    again: bool = False,
) -> Heard:
    fee = Decimal(qty) * Decimal(price) * Decimal("0.0002")
    fill = Fill(ts_ms, client_id, trade_id, symbol, side, Decimal(qty), Decimal(price), fee, is_maker)
    heard: Heard = journal.add(Heard(ts_ms=ts_ms, message=fill, state="open", again=again))
    return heard


def cancel(journal: Written, client_id: str, ts_ms: int, reason: str) -> CancelPlanned:
    planned: CancelPlanned = journal.add(CancelPlanned(ts_ms=ts_ms, client_id=client_id, reason=reason))
    return planned


def error(journal: Written, client_id: str, ts_ms: int, code: int, kind: str, text: str) -> OrderError:
    found: OrderError = journal.add(
        OrderError(ts_ms=ts_ms, client_id=client_id, intent_id=None, code=code, error=kind, text=text)
    )
    return found


def ended(journal: Written, intent_id: str, *, ts_ms: int = NOW_MS + 5000, **changes: Any) -> Outcome:
    """An outcome; by default all of it was filled as maker, at 99.98 against 100.01 at arrival."""
    made: dict[str, Any] = {
        "symbol": BTC,
        "side": "buy",
        "is_exit": False,
        "route": "maker",
        "result": "filled",
        "reason": "filled",
        "target": Decimal("0.5"),
        "filled": Decimal("0.5"),
        "maker_filled": Decimal("0.5"),
        "cost_usd": 49.99,
        "fees_usd": 0.009998,
        "arrival_ms": NOW_MS,
        "arrival_mid": 100.01,
        "sent_ms": NOW_MS,
        "sent_mid": 100.01,
        "end_mid": 100.05,
        "attempted": Decimal("0.5"),
        "submissions": 1,
        "ack_ms": [45],
    }
    outcome: Outcome = journal.add(Outcome(ts_ms=ts_ms, intent_id=intent_id, **{**made, **changes}))
    return outcome


def ended_taker(
    journal: Written, intent_id: str, price: float, *, ts_ms: int = NOW_MS + 100, **changes: Any
) -> Outcome:
    """The outcome of an intent that crossed at a price."""
    qty = Decimal(changes.pop("qty", "0.5"))
    made: dict[str, Any] = {
        "route": "taker",
        "target": qty,
        "filled": qty,
        "maker_filled": Decimal(0),
        "cost_usd": float(qty) * price,
        "fees_usd": float(qty) * price * 0.0005,
        "attempted": Decimal(0),
        "submissions": 0,
        "ack_ms": [],
    }
    return ended(journal, intent_id, ts_ms=ts_ms, **{**made, **changes})


def marked_out(intent_id: str, *, ts_ms: int = NOW_MS + 305_000, is_maker: bool = True) -> MarkedOut:
    """How the mid stood against a fill of an intent, five minutes later."""
    return MarkedOut(
        ts_ms=ts_ms,
        intent_id=intent_id,
        symbol=BTC,
        trade_id="t-1",
        horizon_s=300.0,
        is_maker=is_maker,
        notional_usd=50.0,
        markout_bps=0.1,
    )


def snapshot(health: Health, journal: Written, now_ms: int = NOW_MS) -> Snapshot:
    """A snapshot, written down and seen."""
    made: Snapshot = journal.add(health.snapshot(now_ms))
    health.see(made)
    return made


def views_of(made: Snapshot) -> dict[str, Any]:
    """The views of a snapshot as plain data."""
    return {name: msgspec.json.decode(view) for name, view in made.views.items()}
