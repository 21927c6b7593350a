"""What a journal says that routing cost: beside three simple ways to route, by route, tier, symbol, regime and veto.

In: the events of a journal, all of them or some days. Out: a `Report`; `figures()` are its numbers, and `report_json`
the same as plain data. `report_pages` prints it, `report_html` makes a page of it. Costs are defined in `costs.py`,
baselines in `baselines.py`, markouts in `markouts.py`.

Four ways are compared on the same intents: those of which the costs of the router and of all three baselines are known
in full. What was not filled is measured at the end that all four ways of an intent share. Intents without baselines, or
with a part missing, count in the groups as far as they go, and never in a comparison.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypeVar, get_args

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
    Role,
    Routed,
    RulebookLoaded,
    SessionEnded,
    SessionStarted,
)
from engine.routing.evidence.baselines import BASELINES, Baseline
from engine.routing.evidence.costs import CostTotals, Saving, Shortfall, shortfall
from engine.routing.evidence.left import left_as
from engine.routing.evidence.markouts import HORIZONS_S
from engine.routing.evidence.measured import Measured, was_traded
from engine.venues.messages import Fill

READS: tuple[type[Event], ...] = (
    SessionStarted,
    RulebookLoaded,
    IntentReceived,
    IntentRefused,
    Decided,
    Routed,
    Heard,
    Outcome,
    BaselineDone,
    MarkedOut,
    SessionEnded,
)
"""The events that a report is made of; a reader may leave out all others."""

Dimension: TypeAlias = Literal["route", "tier", "regime", "kind", "symbol"]

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
"""What intents are grouped by: the route decided first, the quality tier, the ATR regime, entry or exit, the symbol."""

Way: TypeAlias = Literal["router"] | Baseline

WAYS: tuple[Way, ...] = ("router", *BASELINES)
"""The ways that are compared."""

ROLES: tuple[Role, ...] = get_args(Role)

NOT_SAID = "not said"
"""The group of intents of which the journal does not say the tier or regime: its events lie before these days."""


@dataclass(slots=True)
class Session:
    """One session of the journal."""

    profile: str
    rulebooks: list[str]
    """The versions that decided, in order."""
    venue: str
    market: str
    started_ms: int
    ended_ms: int | None = None
    """None where it did not end in order, or not in these days."""
    resumed: bool = False
    queue: str | None = None
    """The bound of the queue ahead of resting orders that its venue used; None where it does not say."""
    timeout_s: float | None = None
    """How long `maker_then_taker` rested; None where it does not say, as `horizon_s`."""
    horizon_s: float | None = None
    """Least time from arrival to the end at which what was not filled is measured."""


@dataclass(slots=True)
class Amounts:
    """How much of some intents was filled, in USD at the prices of their fills, and how."""

    intents: int = 0
    filled: int = 0
    """Intents filled in full."""
    partly_filled: int = 0
    unfilled: int = 0
    filled_usd: float = 0.0
    maker_usd: float = 0.0
    """Within one intent all fills count at its average price."""
    wanted_usd: float = 0.0
    """Target × mid at arrival, of intents that have one."""
    wanted_filled_usd: float = 0.0
    """Filled × mid at arrival, of the same."""

    def add(self, done: Outcome | BaselineDone) -> None:
        """Take one intent."""
        self.intents += 1
        if done.filled >= done.target:
            self.filled += 1
        elif done.filled:
            self.partly_filled += 1
        else:
            self.unfilled += 1
        if done.filled:
            self.filled_usd += done.cost_usd
            self.maker_usd += done.cost_usd * float(done.maker_filled / done.filled)
        if done.arrival_mid is not None:
            self.wanted_usd += float(done.target) * done.arrival_mid
            self.wanted_filled_usd += float(done.filled) * done.arrival_mid

    @property
    def fill_share(self) -> float | None:
        """Filled of what was wanted, by value at arrival."""
        return self.wanted_filled_usd / self.wanted_usd if self.wanted_usd else None

    @property
    def maker_share(self) -> float | None:
        """Filled as maker of what was filled, by value."""
        return self.maker_usd / self.filled_usd if self.filled_usd else None

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "intents": self.intents,
            "filled": self.filled,
            "partly_filled": self.partly_filled,
            "unfilled": self.unfilled,
            "filled_usd": self.filled_usd,
            "fill_share": self.fill_share,
            "maker_share": self.maker_share,
        }


@dataclass(slots=True)
class Group:
    """Intents that have something in common."""

    amounts: Amounts = field(default_factory=Amounts)
    attempts: int = 0
    """Intents that sent a maker order."""
    fallbacks: int = 0
    """Of those, intents of which some quantity ended as taker."""
    cost: CostTotals = field(default_factory=CostTotals)
    saving: Saving = field(default_factory=Saving)
    """Against always taker."""

    @property
    def fallback_ratio(self) -> float | None:
        """Fallbacks of attempts."""
        return self.fallbacks / self.attempts if self.attempts else None

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **self.amounts.as_json(),
            "maker_attempts": self.attempts,
            "fallbacks": self.fallbacks,
            "fallback_ratio": self.fallback_ratio,
            "cost": self.cost.as_json(),
            "saved_against_taker": self.saving.as_json(),
        }


@dataclass(slots=True)
class Compared:
    """One way of routing the intents that all ways are compared on."""

    amounts: Amounts = field(default_factory=Amounts)
    cost: CostTotals = field(default_factory=CostTotals)
    saving: Saving = field(default_factory=Saving)
    """Against always taker."""

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **self.amounts.as_json(),
            "cost": self.cost.as_json(),
            "saved_against_taker": self.saving.as_json(),
        }


@dataclass(slots=True)
class MarkoutMean:
    """Markouts of one role at one horizon."""

    fills: int = 0
    notional_usd: float = 0.0
    _weighted: float = 0.0

    def add(self, marked: MarkedOut) -> None:
        """Take one markout."""
        self.fills += 1
        self.notional_usd += marked.notional_usd
        self._weighted += marked.notional_usd * marked.markout_bps

    @property
    def bps(self) -> float | None:
        """Weighted by notional; positive is cost."""
        return self._weighted / self.notional_usd if self.notional_usd else None


@dataclass(slots=True)
class FillCount:
    """Fills of one role, each trade once."""

    fills: int = 0
    notional_usd: float = 0.0
    fees_usd: float = 0.0


@dataclass(slots=True)
class VetoCost:
    """One veto rule of routing, and the taker routes that it came first in."""

    vetoes: int = 0
    """Intents it vetoed, alone or with others."""
    taker_routes: int = 0
    """Intents routed taker of which it was the first veto: each has one, so their costs add up."""
    cost: CostTotals = field(default_factory=CostTotals)
    """Of those routes."""
    against_resting: Saving = field(default_factory=Saving)
    """What `maker_then_taker` would have saved on them."""

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "vetoes": self.vetoes,
            "taker_routes": self.taker_routes,
            "cost": self.cost.as_json(),
            "maker_then_taker_would_have_saved": self.against_resting.as_json(),
        }


@dataclass(slots=True)
class _Intent(Measured):
    """One intent, as far as the journal has told of it."""

    regime: str | None = None
    routed: Routed | None = None


@dataclass(slots=True)
class Figures:
    """The numbers of a report."""

    all: Group = field(default_factory=Group)
    groups: dict[Dimension, dict[str, Group]] = field(
        default_factory=lambda: {dimension: {} for dimension in DIMENSIONS}
    )
    ways: dict[Way, Compared] = field(default_factory=lambda: {way: Compared() for way in WAYS})
    not_compared: int = 0
    """Intents with baselines of which some cost is not known in full."""
    without_baselines: int = 0
    vetoes: dict[str, VetoCost] = field(default_factory=dict)
    savings: list[tuple[int, tuple[float, ...]]] = field(default_factory=list)
    """For each compared intent its arrival in ms, and what each of `WAYS` saved on it against always taker, in USD."""

    def add(self, intent: _Intent) -> None:
        """Take one intent that has its outcome."""
        outcome, routed, cost = intent.outcome, intent.routed, intent.cost
        assert outcome is not None
        assert cost is not None
        costs = self._compare(intent, outcome, cost)
        values: dict[Dimension, str] = {
            "route": outcome.route,
            "tier": NOT_SAID if routed is None or routed.quality is None else routed.quality,
            "regime": intent.regime or NOT_SAID,
            "kind": "exit" if outcome.is_exit else "entry",
            "symbol": outcome.symbol,
        }
        saved = None if costs is None else _saved(costs, "router")
        groups = (self.groups[dimension].setdefault(value, Group()) for dimension, value in values.items())
        for group in (self.all, *groups):
            group.amounts.add(outcome)
            group.attempts += outcome.attempted > 0
            group.fallbacks += outcome.attempted > 0 and outcome.fallback
            group.cost.add(cost)
            if saved is not None:
                group.saving.add(*saved)
        if outcome.taker_veto:
            veto = self.vetoes.setdefault(outcome.taker_veto, VetoCost())
            veto.taker_routes += 1
            veto.cost.add(cost)
            if costs is not None:
                usd, notional_usd = _saved(costs, "maker_then_taker", than="router")
                veto.against_resting.add(usd, notional_usd)

    def _compare(self, intent: _Intent, outcome: Outcome, cost: Shortfall) -> Mapping[Way, Shortfall] | None:
        """The costs of all ways, where all of them are known."""
        if len(intent.baselines) < len(BASELINES):
            self.without_baselines += 1
            return None
        done: dict[Way, Outcome | BaselineDone] = {"router": outcome}
        done |= {baseline: intent.baselines[baseline] for baseline in BASELINES}
        costs: dict[Way, Shortfall] = {"router": cost}
        costs |= {baseline: shortfall(intent.baselines[baseline]) for baseline in BASELINES}
        if any(each.missing for each in costs.values()):
            self.not_compared += 1
            return None
        for way, compared in self.ways.items():
            compared.amounts.add(done[way])
            compared.cost.add(costs[way])
            compared.saving.add(*_saved(costs, way))
        self.savings.append((outcome.arrival_ms, tuple(_saved(costs, way)[0] for way in WAYS)))
        return costs


def _saved(costs: Mapping[Way, Shortfall], way: Way, than: Way = "taker") -> tuple[float, float]:
    """What a way saved against another, and on which notional, in USD; both costs are known."""
    saving, dearer = costs[way], costs[than]
    assert saving.total_usd is not None
    assert dearer.total_usd is not None
    assert saving.notional_usd is not None
    return dearer.total_usd - saving.total_usd, saving.notional_usd


class _Values(msgspec.Struct):
    atr_regime: str | None = None


class _Record(msgspec.Struct):
    """The one thing that a report reads from a decision's record."""

    decided: _Values


_read_record = msgspec.json.Decoder(_Record).decode

_Setting = TypeVar("_Setting", str, float)


class Report:
    """A view over a journal. Intents of which all is said are added up and forgotten; the others wait in memory."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.received = 0
        """Intents that came and could be read."""
        self.refused: Counter[str] = Counter()
        """What came and was no intent that can be routed, by code."""
        self.left: Counter[str] = Counter()
        """Intents on which nothing was sent: `refused` by rules of admission, or `too_small` for the venue."""
        self.routed: Counter[str] = Counter()
        """Admitted intents by the route decided first."""
        self.fills: dict[Role, FillCount] = {role: FillCount() for role in ROLES}
        self.markouts: dict[Role, dict[float, MarkoutMean]] = {role: {} for role in ROLES}
        """By role and horizon in seconds."""
        self._vetoed: Counter[str] = Counter()
        self._figures = Figures()
        self._intents: dict[str, _Intent] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            SessionStarted: self._start,
            RulebookLoaded: self._reload,
            SessionEnded: self._end,
            IntentReceived: self._receive,
            IntentRefused: self._refuse,
            Decided: self._decide,
            Routed: self._route,
            Heard: self._hear,
            Outcome: self._finish,
            BaselineDone: self._measure,
            MarkedOut: self._mark,
        }

    @classmethod
    def of(cls, events: Iterable[Event]) -> Report:
        """The report of these events."""
        report = cls()
        for event in events:
            report.see(event)
        return report

    def see(self, event: Event) -> None:
        """Take the next event."""
        if self.first_ms is None:
            self.first_ms = event.ts_ms
        self.last_ms = event.ts_ms
        handler = self._handlers.get(event.__class__)
        if handler is not None:
            handler(event)

    def figures(self) -> Figures:
        """The numbers as of now, with those intents that still wait for their baselines."""
        figures = copy.deepcopy(self._figures)
        for intent in self._intents.values():
            if intent.outcome is not None:
                figures.add(intent)
        for rule, times in self._vetoed.items():
            figures.vetoes.setdefault(rule, VetoCost()).vetoes = times
        return figures

    @property
    def open(self) -> int:
        """Admitted intents without an outcome."""
        return sum(intent.outcome is None and intent.routed is not None for intent in self._intents.values())

    @property
    def queues(self) -> tuple[str, ...]:
        """The bounds of the queue that were used, each once; none where no session says."""
        return tuple(dict.fromkeys(session.queue for session in self.sessions if session.queue is not None))

    # --- handlers ----------------------------------------------------------------------------------------------------

    def _start(self, event: SessionStarted) -> None:
        self.sessions.append(
            Session(
                event.profile,
                [event.rulebook],
                event.venue,
                event.market,
                event.ts_ms,
                resumed=event.resumed,
                queue=_setting(event.settings, "queue", str),
                timeout_s=_setting(event.settings, "timeout_s", float),
                horizon_s=_setting(event.settings, "horizon_s", float),
            )
        )

    def _reload(self, event: RulebookLoaded) -> None:
        if self.sessions:
            self.sessions[-1].rulebooks.append(event.rulebook)

    def _end(self, event: SessionEnded) -> None:
        if self.sessions:
            self.sessions[-1].ended_ms = event.ts_ms

    def _receive(self, event: IntentReceived) -> None:
        del event
        self.received += 1

    def _refuse(self, event: IntentRefused) -> None:
        self.refused[event.code] += 1

    def _decide(self, event: Decided) -> None:
        if event.policy == "routing" and event.intent_id is not None:
            self._of(event.intent_id).regime = _read_record(event.record).decided.atr_regime

    def _route(self, event: Routed) -> None:
        if event.event != "decision":
            return
        if event.route == "none":
            self.left[left_as(event)] += 1
            self._intents.pop(event.intent_id, None)
            return
        self.routed[event.route] += 1
        self._vetoed.update(event.vetoes)
        self._of(event.intent_id).routed = event

    def _hear(self, event: Heard) -> None:
        fill = event.message
        if isinstance(fill, Fill) and not event.again:
            count = self.fills["maker" if fill.is_maker else "taker"]
            count.fills += 1
            count.notional_usd += float(fill.qty * fill.price)
            count.fees_usd += float(fill.fee)

    def _finish(self, event: Outcome) -> None:
        if not was_traded(event):
            self._intents.pop(event.intent_id, None)
            return
        intent = self._of(event.intent_id)
        intent.outcome = event
        self._settle(event.intent_id, intent)

    def _measure(self, event: BaselineDone) -> None:
        intent = self._of(event.intent_id)
        intent.baselines[event.baseline] = event
        self._settle(event.intent_id, intent)

    def _mark(self, event: MarkedOut) -> None:
        role: Role = "maker" if event.is_maker else "taker"
        self.markouts[role].setdefault(event.horizon_s, MarkoutMean()).add(event)

    def _of(self, intent_id: str) -> _Intent:
        return self._intents.setdefault(intent_id, _Intent())

    def _settle(self, intent_id: str, intent: _Intent) -> None:
        if intent.is_complete:
            self._figures.add(intent)
            del self._intents[intent_id]


def _setting(settings: Mapping[str, Any], name: str, kind: type[_Setting]) -> _Setting | None:
    """One of the settings of a session, which may be nested once; None where it is not there, or of another kind."""
    for level in (settings, *(inner for inner in settings.values() if isinstance(inner, Mapping))):
        value = level.get(name)
        if isinstance(value, kind):
            return value
    return None


# --- as data ---------------------------------------------------------------------------------------------------------

MOST_POINTS = 400
"""Points of the saving over time that are handed out; of more, so many are kept, the last among them."""


def saving_over_time(figures: Figures) -> list[tuple[int, dict[Way, float]]]:
    """What each way has saved against always taker up to each arrival, in USD; at most `MOST_POINTS` points."""
    running = dict.fromkeys(WAYS, 0.0)
    points: list[tuple[int, dict[Way, float]]] = []
    for arrival_ms, saved in sorted(figures.savings, key=lambda point: point[0]):
        for way, usd in zip(WAYS, saved, strict=True):
            running[way] += usd
        points.append((arrival_ms, dict(running)))
    if len(points) <= MOST_POINTS:
        return points
    apart = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(number * apart)] for number in range(MOST_POINTS)]


def missing_markouts(report: Report, role: Role, horizon_s: float) -> int:
    """Fills that have no markout at a horizon: the feed was silent or over, or they lie before these days."""
    return max(report.fills[role].fills - report.markouts[role].get(horizon_s, MarkoutMean()).fills, 0)


def horizons(report: Report) -> list[float]:
    """The horizons of markouts in seconds: the usual ones, where there are fills, and any other that occurs."""
    occurring = {horizon for of_role in report.markouts.values() for horizon in of_role}
    usual = HORIZONS_S if any(count.fills for count in report.fills.values()) else ()
    return sorted(occurring.union(usual))


def by_cost(vetoes: Mapping[str, VetoCost]) -> list[tuple[str, VetoCost]]:
    """Vetoes, the dearest first; those whose cost is not known behind, by how often they vetoed."""
    return sorted(
        vetoes.items(),
        key=lambda item: (
            item[1].cost.total_usd is None,
            -(item[1].cost.total_usd or 0.0),
            -item[1].vetoes,
            item[0],
        ),
    )


def queue_statement(report: Report) -> str:
    """Which bound of the queue ahead of resting orders the numbers stand on, in a sentence."""
    match report.queues:
        case ("pessimistic",):
            return (
                "pessimistic: everything visible at its price stands ahead of a resting order, and only prints at "
                "that price work it off. Resting orders fill no later than shown; the optimistic bound was not run."
            )
        case ("optimistic",):
            return (
                "optimistic: a resting order stands first at its price, so that any print there fills it. Resting "
                "orders fill no sooner than shown; the pessimistic bound was not run."
            )
        case ():
            return "the journal does not say which bound of the queue ahead of resting orders its venue used."
        case queues:
            return f"sessions differ: {', '.join(queues)}. The numbers below mix them; report the sessions one by one."


def report_json(report: Report) -> dict[str, Any]:
    """The report as plain data. Shares are ratios, costs USD and bps of the arrival notional; missing is null."""
    figures = report.figures()
    return {
        "from": utc(report.first_ms),
        "to": utc(report.last_ms),
        "sessions": [
            {
                "profile": session.profile,
                "rulebooks": session.rulebooks,
                "venue": session.venue,
                "market": session.market,
                "started": utc(session.started_ms),
                "ended": utc(session.ended_ms),
                "resumed": session.resumed,
                "queue": session.queue,
                "baselines": {"timeout_s": session.timeout_s, "horizon_s": session.horizon_s},
            }
            for session in report.sessions
        ],
        "queue": {"used": list(report.queues), "statement": queue_statement(report)},
        "intents": {
            "received": report.received,
            "refused": dict(sorted(report.refused.items())),
            "not_admitted": report.left.total(),
            "refused_by_admission": report.left["refused"],
            "too_small": report.left["too_small"],
            "routed": dict(sorted(report.routed.items())),
            "open": report.open,
        },
        "all": figures.all.as_json(),
        "groups": {
            dimension: {value: group.as_json() for value, group in sorted(groups.items())}
            for dimension, groups in figures.groups.items()
        },
        "compared": {
            "intents": figures.ways["router"].cost.complete,
            "left_out": {"cost_missing": figures.not_compared, "no_baselines": figures.without_baselines},
            "ways": {way: compared.as_json() for way, compared in figures.ways.items()},
        },
        "fills": {
            role: {"fills": count.fills, "notional_usd": count.notional_usd, "fees_usd": count.fees_usd}
            for role, count in report.fills.items()
        },
        "markouts": {
            role: [
                {
                    "horizon_s": horizon_s,
                    "bps": (mean := of_role.get(horizon_s, MarkoutMean())).bps,
                    "fills": mean.fills,
                    "missing": missing_markouts(report, role, horizon_s),
                }
                for horizon_s in horizons(report)
            ]
            for role, of_role in report.markouts.items()
        },
        "vetoes": {rule: veto.as_json() for rule, veto in by_cost(figures.vetoes)},
        "saved_against_taker_usd": [
            {"at": utc(arrival_ms), **saved} for arrival_ms, saved in saving_over_time(figures)
        ],
    }


def utc(ts_ms: int | None) -> str | None:
    """A moment for people and JSON.

    >>> utc(1_700_000_000_000), utc(None)
    ('2023-11-14T22:13:20Z', None)
    """
    return None if ts_ms is None else f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
