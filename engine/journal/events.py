"""What a journal says: every event of a session, as typed data. State is what these events add up to.

Each event is one line of JSON with a `type`. `v` is the version of this schema (`VERSION`), `seq` counts the events of
a journal from 1 without a gap, and `ts_ms` is the moment in the time of the market, in milliseconds since 1970 UTC; no
event reads a clock of its own, so a replay writes the same lines.

Whatever changes the state of a router is written before it takes effect: an intent before it is decided on, a decision
before its order, an order before it is sent, a message of the venue before it is acted on. So folding the events gives
the state again, after a crash as after a replay. `docs/schema/journal.json` holds the JSON Schemas of all events.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from engine.venues.messages import Kind, Message, Side

VERSION = 1
"""Of the schema. Fields may be added with a default; anything else is a new version."""

Role: TypeAlias = Literal["maker", "taker"]

Result: TypeAlias = Literal["filled", "partly_filled", "unfilled"]

Scope: TypeAlias = str
"""What a breaker guards: a symbol, or `venue`."""


def _version() -> int:
    return VERSION  # a factory, since a plain default would be left out of the lines


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    v: int = msgspec.field(default_factory=_version)
    seq: int = 0
    """Set by the journal when it is added."""
    ts_ms: int


class SessionStarted(_Event, frozen=True, kw_only=True, tag="session_started"):
    """A router starts, anew or again."""

    profile: str
    rulebook: str
    """The version that decides from here on."""
    sources: str
    """Digest of the rulebook's files."""
    venue: str
    market: str
    """The feed, for people."""
    nav_usd: float
    settings: dict[str, Any] = {}
    """Everything else that was chosen: seed, speed, bounds, fees, faults."""
    resumed: bool = False
    """Whether there was a state to go on from."""


class RulebookLoaded(_Event, frozen=True, kw_only=True, tag="rulebook_loaded"):
    """Another rulebook decides from here on."""

    profile: str
    rulebook: str
    sources: str
    previous: str = ""
    """The version that decided until now."""
    how: str = "files"
    """Where it comes from: `files`, `bundle`, `rollback`, `promote`, or `return` after a failed proof."""
    who: str = ""
    changed: str = ""
    """What differs from the one before, in a line."""
    begun_anew: list[str] = []
    """Windows whose definition changed, so that they count from here on; all other state goes on."""
    checks: dict[str, Any] = {}
    """What it went through: proofs, past decisions that would differ, milliseconds of each stage."""


class RulebookRefused(_Event, frozen=True, kw_only=True, tag="rulebook_refused"):
    """A change was not taken: what decided goes on deciding."""

    profile: str
    rulebook: str | None = None
    """The version that was refused, where it loads."""
    how: str = "files"
    stage: str
    """Where it failed: load, check, fit, proofs …"""
    reason: str
    """The first finding, in a line."""
    findings: list[dict[str, Any]] = []


class RulesSource(_Event, frozen=True, kw_only=True, tag="rules_source"):
    """The home, or the address, that rules come from can be had no longer, or again. What decides goes on deciding."""

    state: str
    """`away` or `back`."""
    origin: str
    """The home, or the address without its password."""
    reason: str = ""
    """What is wrong with it, while `away`."""


class CandidateMoved(_Event, frozen=True, kw_only=True, tag="candidate"):
    """A candidate is tried beside the rulebook in force, decides for some symbols, or does no longer."""

    state: str
    """`shadow`, `partial`, `ended`, `promoted`, `returned`."""
    profile: str
    rulebook: str
    sources: str = ""
    symbols: list[str] = []
    """For which it decides, while `partial`; empty: for none, or for all."""
    reason: str = ""


class ShadowDecided(_Event, frozen=True, kw_only=True, tag="shadow"):
    """What a candidate made of an intent, beside what was decided and executed."""

    policy: str
    decision_id: str
    """Of the decision that counts."""
    intent_id: str
    symbol: str
    rulebook: str
    """Of the candidate."""
    differs: dict[str, list[Any]] = {}
    """Each decided name that came out otherwise: what counts, what the candidate would have it be."""
    rules: list[str] = []
    """The rules of the candidate that fired or vetoed there and not in what counts."""
    record: msgspec.Raw
    """The candidate's whole decision."""


class Given(_Event, frozen=True, kw_only=True, tag="given"):
    """Facts that come from outside: the account, the risk desk, a signal."""

    group: str
    facts: dict[str, Any] | None
    """None: nothing is known any more."""
    symbol: str | None = None
    """None: for all symbols."""
    assumed: bool = False
    """Whether nobody said it: the session assumes it, as long as nobody says otherwise."""


class Imported(_Event, frozen=True, kw_only=True, tag="imported"):
    """Effectiveness measured elsewhere."""

    symbol: str
    source: str
    samples: list[dict[str, Any]]
    """Each as `engine.routing.effectiveness.Sample`."""
    shifted_ms: int = 0
    """What was added to every time of the source."""


class IntentReceived(_Event, frozen=True, kw_only=True, tag="intent"):
    """A strategy wants to trade; what is written is what it said."""

    intent_id: str
    symbol: str
    intent: dict[str, Any]
    """The facts of the group `intent`."""
    expires_ms: int | None = None
    bid: float | None = None
    """Of the book at arrival; None where a side is empty or nothing was seen yet."""
    ask: float | None = None


DUPLICATE_ID = "duplicate_id"
"""The code of a refusal that says nothing of the intent which had the id before."""


class IntentRefused(_Event, frozen=True, kw_only=True, tag="intent_refused"):
    """Something came that is no intent, or none that can be routed: nothing is decided on it."""

    intent_id: str | None
    code: str
    """`malformed`, `unknown_symbol`, `duplicate_id`, `journal_unwritable`, …"""
    reason: str
    received: str
    """As it came, shortened."""
    place: str = ""
    """File and line where it came from one."""


class CancelRequested(_Event, frozen=True, kw_only=True, tag="cancel_requested"):
    """A strategy takes an intent back, or its time is over, or the session ends."""

    intent_id: str
    reason: str


class Decided(_Event, frozen=True, kw_only=True, tag="decision"):
    """A decision of a policy, as `Decision.json()` writes it (docs/decisions.md)."""

    intent_id: str | None
    policy: str
    record: msgspec.Raw
    client_id: str | None = None
    """For `working`: the order that it is about."""


class Routed(_Event, frozen=True, kw_only=True, tag="route_decision"):
    """What a routing decision means for one intent, or why it was left: the line that answers "why was it a taker"."""

    intent_id: str
    symbol: str
    side: str | None
    route: str
    """`maker`, `taker`, or `none` where admission refused."""
    reason: str
    vetoes: list[str]
    decision_id: str
    target: Decimal
    """Quantity to be executed, rounded to the venue's step."""
    is_exit: bool
    quality: str | None = None
    maker_first: bool | None = None
    taker_bias: str | None = None
    bias: float | None = None
    offset_bps: float | None = None
    probe: bool = False
    keep_reduce_only: bool = True
    protection_bps: float | None = None
    spread_bps: float | None = None
    event: str = "decision"
    """`decision`; `decided_again`, where it could not be sent at once; or what made the route change: `fallback`,
    `submit_failed`, `send_failed`."""


class Worked(_Event, frozen=True, kw_only=True, tag="working"):
    """The working policy asks for something else than to wait."""

    intent_id: str
    client_id: str | None
    """The order that has to make way; None where none rests, or where it may stay, at the same price."""
    action: str
    """`reprice`, `cross`, `cancel` or `leave`."""
    reason: str
    """The rule that decided it, and what it saw."""
    decision_id: str
    cross_reduce_only: bool = False
    protection_bps: float | None = None


class OrderPlanned(_Event, frozen=True, kw_only=True, tag="order"):
    """An order about to be sent: journaled before it leaves, so from here on it may exist."""

    intent_id: str
    client_id: str
    leg: int
    """Counts the orders of an intent from 1."""
    role: Role
    symbol: str
    side: Side
    qty: Decimal
    kind: Kind
    price: Decimal | None
    reduce_only: bool
    mid: float | None
    """At the send."""
    why: str = ""
    """`route`, `reprice`, or the rule that made it cross."""


class CancelPlanned(_Event, frozen=True, kw_only=True, tag="cancel"):
    """A cancel about to be sent."""

    client_id: str
    reason: str


class QueryPlanned(_Event, frozen=True, kw_only=True, tag="query"):
    """A query about to be sent."""

    client_id: str
    attempt: int


class Heard(_Event, frozen=True, kw_only=True, tag="heard"):
    """What the venue said, and what that made of the order."""

    message: Message
    state: str = ""
    """The order's state after it."""
    again: bool = False
    """Whether it is a fill that was heard of before: it is written down, and counts for nothing."""


class ProvedAbsent(_Event, frozen=True, kw_only=True, tag="proved_absent"):
    """Asked often enough, with silence meanwhile: the order was never placed."""

    client_id: str
    queries: int


class OrderError(_Event, frozen=True, kw_only=True, tag="order_error"):
    """Something went wrong with an order: refused, unknown, not understood, more filled than can be."""

    client_id: str
    intent_id: str | None
    code: int
    error: str
    """Its class: `post_only`, `reduce_only`, `rate_limit`, `unknown_outcome`, `unlisted_transition`, …

    Of the journal itself: `journal_unwritable`, `journal_writable` (again), `events_lost`; these name no order.
    """
    text: str


EVENTS_LOST = "events_lost"
"""The class of the error that says that a disk was full for so long that events could not be held."""


class ProbeGranted(_Event, frozen=True, kw_only=True, tag="probe"):
    """An order may rest although its tier is only ok."""

    intent_id: str
    symbol: str


class Outcome(_Event, frozen=True, kw_only=True, tag="outcome"):
    """What became of an intent: its last event save markouts."""

    intent_id: str
    symbol: str
    side: Side
    is_exit: bool
    route: str
    """As decided at first: `maker` or `taker`."""
    result: Result
    reason: str
    """Why it ended: `filled`, the rule that ended it, `expired`, `cancelled`, a venue's refusal."""
    target: Decimal
    filled: Decimal
    maker_filled: Decimal
    cost_usd: float
    """Sum of quantity × price over its fills."""
    fees_usd: float
    arrival_ms: int
    arrival_mid: float | None
    sent_ms: int | None
    """First send; None where nothing was sent."""
    sent_mid: float | None
    end_mid: float | None
    attempted: Decimal = Decimal(0)
    """Quantity of the maker attempt; 0 where none was made."""
    fallback: bool = False
    """Whether some of a maker attempt ended as taker."""
    submissions: int = 0
    """Maker orders sent."""
    post_only_rejects: int = 0
    ack_ms: list[int] = []
    """Submit to acknowledgement of each maker order."""
    withdrawn: bool = False
    """Whether it was taken back, by the strategy, its expiry or the end of the session."""
    taker_veto: str = ""
    """The first veto against maker, where it was routed taker."""


class MarkedOut(_Event, frozen=True, kw_only=True, tag="markout"):
    """How the mid stood against a fill some time after it; positive is cost."""

    intent_id: str
    symbol: str
    trade_id: str
    horizon_s: float
    is_maker: bool
    notional_usd: float
    markout_bps: float


class BaselineDone(_Event, frozen=True, kw_only=True, tag="baseline"):
    """What the same intent would have cost by a simple way of routing, on the same market."""

    intent_id: str
    symbol: str
    baseline: str
    """`taker`, `maker`, or `maker_then_taker`."""
    side: Side
    target: Decimal
    filled: Decimal
    maker_filled: Decimal
    cost_usd: float
    fees_usd: float
    arrival_mid: float | None
    sent_mid: float | None
    end_mid: float | None


class BreakerMoved(_Event, frozen=True, kw_only=True, tag="breaker"):
    """A breaker goes into another state."""

    scope: Scope
    was: str
    state: str
    rule: str
    """The rule that decided it."""
    reason: str
    pauses: bool


class Tuned(_Event, frozen=True, kw_only=True, tag="tuned"):
    """A suggestion of autotune was applied: what is in force from here on, and what it stood on."""

    symbol: str
    bias_delta: float
    offset_delta_bps: float
    maker_first: bool | None
    was: dict[str, Any]
    decision_id: str
    rulebook: str
    evidence: dict[str, Any]


class Snapshot(_Event, frozen=True, kw_only=True, tag="snapshot"):
    """The views of one moment, as they are written to files (`router_health`, `execution_health`, `nav`, …)."""

    tick: int
    """Counts the snapshots of a journal from 1."""
    views: dict[str, msgspec.Raw] = {}
    """By name, each a JSON object as `engine.routing.evidence.contract` describes it: to rebuild the files from."""


class Checkpoint(_Event, frozen=True, kw_only=True, tag="checkpoint"):
    """What the events so far add up to, at the start of a day's file: what came before may be archived."""

    positions: dict[str, Decimal]
    cash_usd: Decimal
    fees_usd: Decimal
    day_nav_usd: float | None
    """Net asset value at the start of the day, which drawdown is measured from."""
    marks: dict[str, float] = {}
    """Last mids."""
    given: list[tuple[str, str | None, dict[str, Any]]] = []
    """Group, symbol and facts of what was given from outside."""
    assumed: list[str] = []
    """Groups of which what is given for all symbols is what the session assumed."""
    tuned: dict[str, dict[str, Any]] = {}
    breakers: dict[str, dict[str, Any]] = {}
    windows: dict[str, dict[str, Any]] = {}
    """By scope and fact: what is in the window, and a digest of what it counts."""


class SessionEnded(_Event, frozen=True, kw_only=True, tag="session_ended"):
    """A router stops in order."""

    reason: str
    counts: dict[str, int] = {}


Event: TypeAlias = (
    SessionStarted
    | RulebookLoaded
    | RulebookRefused
    | RulesSource
    | CandidateMoved
    | ShadowDecided
    | Given
    | Imported
    | IntentReceived
    | IntentRefused
    | CancelRequested
    | Decided
    | Routed
    | Worked
    | OrderPlanned
    | CancelPlanned
    | QueryPlanned
    | Heard
    | ProvedAbsent
    | OrderError
    | ProbeGranted
    | Outcome
    | MarkedOut
    | BaselineDone
    | BreakerMoved
    | Tuned
    | Snapshot
    | Checkpoint
    | SessionEnded
)
"""Anything a journal holds."""
