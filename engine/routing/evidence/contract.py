"""The files that dashboards and monitors read: every field of them, as typed data, and its JSON Schema.

What is not known is null, never 0 and never left out. Times are seconds since 1970 UTC (`…_ts`) or ages in seconds
(`…_s`). The five state files of one tick carry the same `tick` and `updated_ts`. `docs/schema/` holds the schemas,
`engine.routing.evidence.files` writes and reads the files, `engine.routing.evidence.health` says what stands in them.
"""

from __future__ import annotations

from decimal import Decimal
from inspect import cleandoc
from typing import Any, Literal, TypeAlias

import msgspec

Freshness: TypeAlias = Literal["fresh", "stale", "absent", "invalid"]
"""How rules saw a group of facts. `stale` and `invalid` are missing to them, whatever the values shown beside it."""

Severity: TypeAlias = str | None
"""As the policy `health` decides it: `ok`, `warn` or `critical`; null where the profile runs no such policy."""


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a file."""


class PolicyView(_Part, frozen=True, kw_only=True):
    """How orders of a symbol are routed."""

    maker_first: bool | None
    taker_bias: str | None
    """`prefer_maker`, `balanced` or `prefer_taker`."""
    bias: float | None
    """The number behind the label, from 0 (maker) to 1 (taker)."""
    quality: str | None
    """The tier: `broken`, `degraded`, `ok` or `good`."""
    offset_bps: float | None
    reason: str
    """The rules behind it, and what they saw."""


class Warned(_Part, frozen=True, kw_only=True):
    """One warning and the rule that raised it."""

    flag: str
    rule: str
    at: str
    """File and line of the rule."""
    reason: str
    """What the rule saw."""


class Observed(_Part, frozen=True, kw_only=True):
    """How old a group of facts is, and what it is to the rules."""

    age_s: float | None
    """Null where it has no time of observation."""
    state: Freshness


class BreakerView(_Part, frozen=True, kw_only=True):
    """A breaker, of the symbol or of the whole venue."""

    scope: str
    state: str
    since_ts: float
    in_state_s: float
    pauses: bool
    rule: str
    reason: str


class LastRoute(_Part, frozen=True, kw_only=True):
    """The last thing that was decided about an order of the symbol."""

    ts: float
    age_s: float
    event: str
    """`decision`, or what changed the route: `fallback`, `submit_failed`, `send_failed`."""
    route: str
    """`maker`, `taker`, or `none` where admission refused."""
    reason: str
    vetoes: list[str]
    intent_id: str
    decision_id: str
    quality: str | None
    offset_bps: float | None
    spread_bps: float | None


class SymbolHealth(_Part, frozen=True, kw_only=True):
    """One symbol of `router_health.json`.

    `maker_first`, `bias`, `quality` and the like come from a routing decision made for this snapshot on what is known
    now, without an intent: none of them depends on one. What was last decided about an order is
    `last_route_decision`, with its own age.
    """

    symbol: str
    updated_ts: float
    status: Severity
    reason: str
    """Of the status."""
    warnings: list[Warned]
    maker_fill_rate: float | None
    fallback_rate: float | None
    slippage_p50: float | None
    """bps; positive is cost."""
    slippage_p95: float | None
    ack_latency_ms: float | None
    """Median; tiers use this one."""
    ack_latency_p95_ms: float | None
    sample_count: int | None
    """Maker attempts behind these figures."""
    maker_first: bool | None
    taker_bias: str | None
    bias: float | None
    quality: str | None
    offset_bps: float | None
    policy: PolicyView
    vetoes: list[str]
    """Gates that stand against every maker order of the symbol now, whatever its intent says."""
    maker_paused: bool | None
    breakers: list[BreakerView]
    last_route_decision: LastRoute | None
    ages: dict[str, Observed]
    """By group of facts."""


class Summary(_Part, frozen=True, kw_only=True):
    """All symbols together."""

    symbols: int
    status: Severity
    """The worst of all."""
    statuses: dict[str, int]
    """Symbols by status."""
    qualities: dict[str, int]
    """Symbols by tier."""
    maker_first: int
    """Symbols whose policy lets orders rest."""
    makers_paused: int
    """Symbols whose makers wait for a breaker, or of which nobody knows."""
    sample_count: int | None
    """Maker attempts; like the next four over symbols whose telemetry is fresh."""
    maker_fill_rate: float | None
    """Mean over symbols, weighted by attempts."""
    fallback_rate: float | None
    """Of all attempts together."""
    slippage_p95: float | None
    """bps, of the worst symbol."""
    ack_latency_ms: float | None
    """Median of the slowest symbol."""
    stale: list[str]
    """Symbols whose book or telemetry is not fresh."""


class RouterHealth(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """`router_health.json`, and each line of `router_health.jsonl`."""

    updated_ts: float
    tick: int
    seq: int = 0
    """Of the snapshot in the journal; set when it is written."""
    profile: str
    rulebook: str
    summary: Summary
    symbols: list[SymbolHealth]
    per_symbol: list[SymbolHealth] = []
    """The same list again, under the name that older readers know; set when it is written."""


class Counts(_Part, frozen=True, kw_only=True):
    """What was done for a symbol since `since_ts`, which is where the journal at hand begins."""

    since_ts: float | None
    routed_maker: int = 0
    routed_taker: int = 0
    refused: int = 0
    """Intents that rules of admission refused."""
    too_small: int = 0
    """Intents that were admitted, and of which the venue would take nothing."""
    fallbacks: int = 0
    """Maker orders whose rest was sent as taker."""
    submit_failures: int = 0
    """Maker orders that were refused for good."""
    send_failures: int = 0
    """Orders that could not be sent, or failed as taker."""
    probes: int = 0
    filled: int = 0
    partly_filled: int = 0
    unfilled: int = 0
    post_only_rejects: int = 0


class Suggested(_Part, frozen=True, kw_only=True):
    """What telemetry and signal suggest; nothing is applied by that."""

    router_regime: str | None
    suggested_bias_delta: float | None
    suggested_offset_delta_bps: float | None
    reason: str


class InForce(_Part, frozen=True, kw_only=True):
    """The tuning that was applied last."""

    ts: float | None
    """Null where the journal only knows that it is in force."""
    bias_delta: float | None
    offset_delta_bps: float | None
    maker_first: bool | None
    decision_id: str | None


class RouterPart(_Part, frozen=True, kw_only=True):
    """How orders of the symbol are routed, and how that went."""

    status: Severity
    reason: str
    warnings: list[Warned]
    policy: PolicyView
    vetoes: list[str]
    maker_offset_bps: float | None
    last_route_decision: LastRoute | None
    maker_fill_rate: float | None
    fallback_rate: float | None
    post_only_reject_rate: float | None
    slippage_p25: float | None
    slippage_p50: float | None
    slippage_p75: float | None
    slippage_p95: float | None
    ack_latency_ms: float | None
    ack_latency_p95_ms: float | None
    sample_count: int | None
    maker_paused: bool | None
    breakers: list[BreakerView]
    counts: Counts
    suggested: Suggested | None
    tuned: InForce | None
    telemetry: Observed


class RiskPart(_Part, frozen=True, kw_only=True):
    """What the risk desk and the account say."""

    risk_mode: str | None
    halted: bool | None
    symbol_disabled: bool | None
    drawdown_today: float | None
    nav_usd: float | None
    symbol_notional_usd: float | None
    portfolio_notional_usd: float | None
    position_qty: float | None
    risk: Observed
    account: Observed


class VolPart(_Part, frozen=True, kw_only=True):
    """How the market moves."""

    atr_regime: str | None
    atr_ratio: float | None
    atr_short: float | None
    atr_long: float | None
    spread_bps: float | None
    mid: float | None
    market: Observed
    bars: Observed


class SizingPart(_Part, frozen=True, kw_only=True):
    """How much of the usual size to trade."""

    size_factor: float | None
    reason: str


class ErrorView(_Part, frozen=True, kw_only=True):
    """One order error."""

    ts: float
    age_s: float
    error: str
    code: int
    text: str
    intent_id: str | None
    client_id: str


class ErrorsPart(_Part, frozen=True, kw_only=True):
    """What went wrong with orders of the symbol, since `counts.since_ts`."""

    count: int
    by_error: dict[str, int]
    last: ErrorView | None


class SymbolExecution(_Part, frozen=True, kw_only=True):
    """Execution health of one symbol."""

    symbol: str
    updated_ts: float
    router: RouterPart
    risk: RiskPart
    vol: VolPart
    sizing: SizingPart
    errors: ErrorsPart


class ExecutionHealth(_Part, frozen=True, kw_only=True):
    """`execution_health.json`."""

    updated_ts: float
    tick: int
    symbols: list[SymbolExecution]


class Nav(_Part, frozen=True, kw_only=True):
    """`nav.json`: what the account is worth, as the rules saw it."""

    updated_ts: float
    tick: int
    nav_usd: float | None
    drawdown_today: float | None
    portfolio_notional_usd: float | None
    cash_usd: Decimal | None
    fees_usd: Decimal | None
    account: Observed


class Position(_Part, frozen=True, kw_only=True):
    """What is held of one symbol."""

    symbol: str
    qty: Decimal | None
    """Short is negative."""
    notional_usd: float | None
    """Gross exposure: the position and what open orders may add."""


class Positions(_Part, frozen=True, kw_only=True):
    """`positions.json`."""

    updated_ts: float
    tick: int
    positions: list[Position]


class SymbolRisk(_Part, frozen=True, kw_only=True):
    """What may be traded of one symbol."""

    symbol: str
    risk_mode: str | None
    halted: bool | None
    symbol_disabled: bool | None
    maker_paused: bool | None
    state: Freshness


class Risk(_Part, frozen=True, kw_only=True):
    """`risk.json`. At the top stands what all symbols agree on; null where they differ, or nobody knows."""

    updated_ts: float
    tick: int
    risk_mode: str | None
    halted: bool | None
    drawdown_today: float | None
    risk: Observed
    symbols: list[SymbolRisk]


class Deltas(_Part, frozen=True, kw_only=True):
    """What a tuning adds to what the rules start from."""

    bias_delta: float | None
    offset_delta_bps: float | None
    maker_first: bool | None
    """Null where tuning says nothing of it."""


class Autotune(_Part, frozen=True, kw_only=True):
    """The tuning that was in force when an intent was routed."""

    applied: bool
    """Whether there was one."""
    before: Deltas | None
    """What its last step went out from; null where that was nothing, or is not known."""
    after: Deltas | None


class RouterMetrics(_Part, frozen=True, kw_only=True):
    """A line of `router_metrics.jsonl`: what routing one intent came to."""

    seq: int
    """Of the outcome in the journal."""
    ts: float
    intent_id: str
    symbol: str
    side: str
    is_exit: bool
    route: str
    """As decided at first."""
    decision_id: str | None
    maker_start: bool
    """Whether a maker order was attempted."""
    is_maker_final: bool | None
    """Whether all that was filled was filled as maker; null where nothing was."""
    used_fallback: bool
    """Whether some of a maker attempt ended as taker."""
    taker_veto: str | None
    policy: PolicyView | None
    """As routed; null where the journal at hand begins later."""
    autotune: Autotune
    result: str
    reason: str
    target: Decimal
    filled: Decimal
    maker_filled: Decimal
    maker_orders: int
    post_only_rejects: int
    ack_latency_ms: int | None
    """Median of its maker orders, nearest rank; null where none was acknowledged."""
    arrival_mid: float | None
    average_price: float | None
    effective_price: float | None
    """The average price with fees in: reported, never sent."""
    slippage_bps: float | None
    """Average price against the mid at arrival; positive is cost, for buys and sells alike."""
    fees_usd: float
    shortfall_usd: float | None
    shortfall_bps: float | None


FILES: dict[str, type[_Part]] = {
    "router_health": RouterHealth,
    "execution_health": ExecutionHealth,
    "nav": Nav,
    "positions": Positions,
    "risk": Risk,
    "router_metrics": RouterMetrics,
}
"""What each file holds, by name. `route_decisions.jsonl` holds events of the journal, as `journal.json` describes."""

STATE_FILES = ("nav", "positions", "risk", "execution_health", "router_health")
"""The files of one tick, in the order in which they are written: who waits for the last has all."""


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each file, by name."""
    return {name: _closed(msgspec.json.schema(kind)) for name, kind in FILES.items()}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that asks for every field and allows no other: a field that nothing writes, or nobody knows, is seen."""
    for part in schema["$defs"].values():
        part["description"] = cleandoc(part.get("description", ""))
        part["required"] = list(part["properties"])
        part["additionalProperties"] = False
        for held in part["properties"].values():
            held.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
