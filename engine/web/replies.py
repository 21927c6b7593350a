"""What the API answers, as typed data: encoded from here, and described from here in the OpenAPI document."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

from engine.analysis.show import Overview, RuleView, ValueView
from engine.journal.events import Result
from engine.web.live import HealthNow
from engine.web.proving import Proof


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Something the API answers."""


class DecideRequest(_Reply, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be decided."""

    policy: str
    facts: dict[str, Any]


class Handed(_Reply, frozen=True, kw_only=True):
    """An intent was handed to the session. What becomes of it stands in the journal under its id."""

    intent_id: str
    symbol: str
    state: Literal["taken", "refused", "handed"] = "handed"
    """`taken`: the journal has it. `refused`: the journal has it as no intent that can be routed. `handed`: it waits
    for the session, and is lost if the process is killed."""
    refused: str | None = None
    """Why, where it was."""


class Routing(_Reply, frozen=True, kw_only=True):
    """What a routing decision meant for an intent."""

    decision_id: str
    route: str
    """`maker`, `taker`, or `none` where admission refused."""
    reason: str
    vetoes: list[str]
    event: str
    """`decision`, `decided_again`, or what made the route change."""
    ts_ms: int


class Ended(_Reply, frozen=True, kw_only=True):
    """How an intent ended; quantities are decimals as text."""

    result: Result
    reason: str
    """`filled`, the rule that ended it, `expired`, `cancelled`, a venue's refusal."""
    target: Decimal
    filled: Decimal
    maker_filled: Decimal
    value_usd: float
    """Quantity times price, summed over its fills."""
    fees_usd: float
    cost_usd: float | None
    """Implementation shortfall, fees included, positive is cost; null where the mid at one of its moments is missing,
    and where nothing was to be traded."""
    cost_bps: float | None
    """The same in bps of the target at the mid of its arrival."""
    ts_ms: int


class IntentReply(_Reply, frozen=True, kw_only=True):
    """What became of an intent so far, by the journal."""

    intent_id: str
    state: Literal["handed", "refused", "working", "ended"]
    """`handed`: the session has it, and the journal does not know of it yet. `refused`: it was no intent that can be
    routed, and may be put right and sent again."""
    refused: str | None
    """Why, where it was."""
    routes: list[Routing]
    """In order; the first is the one that it was routed by."""
    ended: Ended | None
    decisions: list[str]
    """The ids of the decisions on it that are at hand, in order."""


class FindingReply(_Reply, frozen=True, kw_only=True):
    """Something that was found in the documents."""

    code: str
    severity: str
    at: str
    """File, line and column."""
    message: str
    help: str


class SessionReply(_Reply, frozen=True, kw_only=True):
    """The session whose journal is shown."""

    profile: str
    rulebook: str
    sources: str
    venue: str
    market: str
    started_ts: float
    """Seconds since 1970 UTC, in the time of the market."""
    ended: str | None
    """Why it ended; null while it runs."""
    same_rulebook: bool
    """Whether it decides by the rulebook of this answer."""


class MovedSince(_Reply, frozen=True, kw_only=True):
    """A breaker that went into another state after the snapshot, as it stands now."""

    scope: str
    """A symbol, or `venue`."""
    state: str
    rule: str
    """What moved it; empty where the rulebook no longer knew the state that it was in."""
    reason: str
    seq: int
    """Of its event in the journal."""
    ts_ms: int


class HealthReply(HealthNow, frozen=True, kw_only=True):
    """The one snapshot that everything here comes from, and how old it is."""

    age_s: float | None
    """Since the snapshot, in the time of the market, by the last event of the journal."""
    quiet_s: float | None
    """For how long nothing was written to the journal, in real time."""
    failure: str | None
    """Why nothing new can be read, so that all of this is of before; null where it can."""
    unread_bytes: int
    """Of the journal, which were written and are not in this."""
    since: list[MovedSince]
    """Breakers that moved after the snapshot, the latest first: nothing else in this knows of it yet."""
    session: SessionReply | None


class DecisionReply(_Reply, frozen=True, kw_only=True):
    """A decision of the journal, and everything it looked at, made again by the rulebook that made it."""

    decision: dict[str, Any]
    """The record as it was journaled."""
    seq: int
    """Of its event in the journal."""
    ts_ms: int
    client_id: str | None
    """For the policy `working`: the order that it is about."""
    steps: list[dict[str, Any]]
    missing: list[dict[str, Any]]
    differs: list[str]
    """Fields in which deciding again gives another record; there should never be one."""


class FactView(_Reply, frozen=True, kw_only=True):
    """A fact as the vocabulary declares it."""

    name: str
    type: str
    doc: str


class GroupView(_Reply, frozen=True, kw_only=True):
    """Facts that are observed at one moment."""

    name: str
    doc: str
    max_age: str | None
    """The parameter that says when it is stale; null where it never is."""
    facts: list[FactView]


class RulebookReply(_Reply, frozen=True, kw_only=True):
    """The rulebook that decides here."""

    profile: str
    version: str
    sources: str
    loaded_ts: float
    """When it was put in force here, in seconds since 1970 UTC."""
    overview: Overview
    rules: list[RuleView]
    values: list[ValueView]
    groups: list[GroupView]
    warnings: list[FindingReply]
    proofs: list[Proof] | None
    """What is proved of it; null while nobody knows, and where the solver is not installed."""
    session: SessionReply | None


class Alive(_Reply, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(_Reply, frozen=True, kw_only=True):
    """The process can do its work."""

    status: Literal["ready"] = "ready"
    journal: Literal["followed", "empty"]
    """`empty`: nothing was ever read of it, so that no session is seen; one may still begin."""
