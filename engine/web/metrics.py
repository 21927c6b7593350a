"""Metrics for Prometheus: a view over the events of a journal, and what the server itself measures.

In: the events of a journal, in order (`see`), the rulebook, the model of the present, and requests as they are
answered. Out: a registry of its own, and its text. Counters count what happens while this process watches, and nothing
of what a journal held before: they begin at 0, and Prometheus takes whatever comes after that for new. Times are in
seconds, ratios from 0 to 1, slippage and offsets in bps, as everywhere here.

Labels are bounded: symbols beyond `MOST_SYMBOLS` share the label `other`, where a figure is the worst of them, and so
do names beyond `MOST_NAMES`. docs/api.md lists every metric.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from engine.journal.events import (
    EVENTS_LOST,
    BreakerMoved,
    Checkpoint,
    Decided,
    Event,
    Heard,
    IntentReceived,
    IntentRefused,
    OrderError,
    OrderPlanned,
    Outcome,
    Role,
    Routed,
    RulebookLoaded,
    SessionStarted,
)
from engine.reload.remote import PollResult
from engine.routing.chain import ROUTING
from engine.routing.evidence.contract import SymbolHealth
from engine.routing.known import VENUE
from engine.venues.codes import Refusal
from engine.venues.messages import Fill
from engine.web.live import Live
from engine.web.proving import counted

MOST_SYMBOLS = 200
"""Symbols that have a label of their own."""

MOST_NAMES = 500
"""The same for names that documents give, such as rules."""

OTHER = "other"

NO_RULE = "none"
"""The label of a route that no veto stands behind."""

LATENCIES_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 1.5, 2.5, 5.0, 10.0)
"""Bounds of venue latencies; 0.8, 1.5 and 2.5 s are where the shipped tiers begin."""

DURATIONS_S = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Bounds of how long an intent lives."""

REQUESTS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Bounds of how long a request takes."""


ERRORS: Final = (*get_args(Refusal), "unknown_outcome", EVENTS_LOST)
"""Classes of order errors that there are always, at 0 until the first one."""

_KNOWN: Final[Mapping[str, Sequence[str]]] = {
    "errors": ERRORS,
    "reloads": ("accepted", "refused", "unchanged"),
    "orders": get_args(Role),
    "fills": get_args(Role),
}


class Labels:
    """Names that may be labels: the first `most` of them, and `other` for all that come later."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The label of a name."""
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= self._most:
                return OTHER
            known = self._known[name] = name
        return known


class _Rule(msgspec.Struct):
    rule: str


class _Record(msgspec.Struct):
    """What of a decision's record is counted."""

    decision_id: str
    policy: str
    profile: str
    vetoes: list[_Rule]
    fired: list[_Rule]


_record_of = msgspec.json.Decoder(_Record).decode


class Metrics:
    """All metrics of one process. Two views: `see` each event, `count` those that happen from now on, after `see`.

    `text` is what Prometheus fetches.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, most_symbols: int = MOST_SYMBOLS) -> None:
        """`wall` gives seconds since 1970."""
        # Else there is a second series beside each that counts, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # published without types
        self.registry = CollectorRegistry(auto_describe=True)
        self._wall = wall
        self._symbol = Labels(most_symbols)
        self._name = Labels(MOST_NAMES)
        self._profile = ""
        self._routing: tuple[str, str] = ("", "")
        """Of the last decision of routing: its id, and the profile that made it."""
        self._breakers: dict[str, str] = {}
        self._polls: dict[str, int] = dict.fromkeys(get_args(PollResult), 0)
        self._count = self._counters()
        self._time = self._histograms()
        self.registry.register(_State(self))
        ProcessCollector(registry=self.registry)
        self.live: Live | None = None
        """What gauges are read from when they are fetched; set once, when there is one."""
        self._states: dict[type[Event], Callable[[Any], None]] = {
            SessionStarted: self._started,
            RulebookLoaded: self._loaded,
            BreakerMoved: self._moved,
            Checkpoint: self._restored,
        }
        self._counts: dict[type[Event], Callable[[Any], None]] = {
            RulebookLoaded: self._swapped,
            Decided: self._decided,
            Routed: self._routed,
            IntentReceived: self._received,
            IntentRefused: self._refused,
            OrderPlanned: self._planned,
            Heard: self._heard,
            OrderError: self._error,
            Outcome: self._ended,
            BreakerMoved: self._broke,
        }
        self.counting = _Counting(self)

    # --- what comes in -----------------------------------------------------------------------------------------------

    def see(self, event: Event) -> None:
        """Take the next event, for how things stand."""
        handler = self._states.get(event.__class__)
        if handler is not None:
            handler(event)

    def count(self, event: Event) -> None:
        """Count an event that has just happened."""
        handler = self._counts.get(event.__class__)
        if handler is not None:
            handler(event)

    def reloaded(self, result: str) -> None:
        """A session looked at changed documents: `accepted`, `refused` or `unchanged`."""
        self._count["reloads"].labels(self._name(result)).inc()

    def polled(self, results: Mapping[str, int]) -> None:
        """How often the address of bundles gave `new` ones, the `same` one, or `failed`, since the session began."""
        self._polls = {**self._polls, **results}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is a pattern of the API, never a path as it came."""
        self._count["requests"].labels(route, method, str(status)).inc()
        self._time["requests"].labels(route).observe(seconds)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Everything as text, and the content type: the form that an `Accept` asks for."""
        encode, content_type = choose_encoder(form_of(accept))
        return encode(self.registry), content_type

    # --- counters and histograms -------------------------------------------------------------------------------------

    def _counters(self) -> dict[str, Counter]:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace="sluice", registry=self.registry)

        counters = {
            "decisions": counter("decisions", "Decisions journaled.", "policy", "profile"),
            "rules": counter("rules_fired", "Rules that matched in a decision.", "policy", "rule", "profile"),
            "vetoes": counter(
                "vetoes", "Vetoes in decisions; of routing, of intents that were routed.", "policy", "rule", "profile"
            ),
            "routes": counter(
                "routes", "Route decisions; rule is the first veto.", "route", "event", "rule", "profile"
            ),
            "symbol_routes": counter("symbol_routes", "First route decisions of intents.", "symbol", "route"),
            "intents": counter("intents", "Intents received.", "symbol"),
            "refused": counter("intents_refused", "What came and was no intent that can be routed.", "code"),
            "orders": counter("orders", "Orders sent.", "role"),
            "fills": counter("fills", "Executions heard of, each once.", "liquidity"),
            "outcomes": counter("outcomes", "Intents that ended.", "route", "result"),
            "fallbacks": counter("fallbacks", "Maker attempts of which some ended as taker.", "symbol"),
            "errors": counter("order_errors", "Errors of orders at the venue, by class.", "error"),
            "moves": counter("breaker_moves", "Breakers that went into a state.", "scope", "state"),
            "reloads": counter("rulebook_reloads", "What became of changed documents.", "result"),
            "swaps": counter("rulebook_swaps", "Rulebooks put in force while a session ran.", "profile"),
            "requests": counter("http_requests", "Requests answered.", "route", "method", "status"),
        }
        # A series that begins with its first event has no increase by it, so an alert would miss the one that counts.
        for name, values in _KNOWN.items():
            for value in values:
                counters[name].labels(value)
        return counters

    def _histograms(self) -> dict[str, Histogram]:
        def histogram(name: str, text: str, bounds: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, text, labels, namespace="sluice", buckets=bounds, registry=self.registry)

        return {
            "ack": histogram("ack_latency_seconds", "Maker orders: submit to acknowledgement.", LATENCIES_S),
            "send": histogram("send_latency_seconds", "Intents: arrival to first send.", LATENCIES_S),
            "intent": histogram("intent_duration_seconds", "Intents: arrival to outcome.", DURATIONS_S, "route"),
            "requests": histogram("http_request_duration_seconds", "Requests: to the answer.", REQUESTS_S, "route"),
        }

    # --- events ------------------------------------------------------------------------------------------------------

    def _started(self, event: SessionStarted) -> None:
        self._profile = event.profile
        self._count["swaps"].labels(self._name(event.profile))  # at 0, so that the first one is an increase
        if not event.resumed:
            self._breakers.clear()

    def _loaded(self, event: RulebookLoaded) -> None:
        self._profile = event.profile

    def _swapped(self, event: RulebookLoaded) -> None:
        self._count["swaps"].labels(self._name(event.profile)).inc()

    def _decided(self, event: Decided) -> None:
        record = _record_of(event.record)
        policy, profile = self._name(record.policy), self._name(record.profile)
        self._count["decisions"].labels(policy, profile).inc()
        for rule in record.fired:
            self._count["rules"].labels(policy, self._name(rule.rule), profile).inc()
        if record.policy == ROUTING:  # whether there is anything to route is said by what comes of it
            self._routing = record.decision_id, profile
        else:
            self._vetoed(policy, profile, (rule.rule for rule in record.vetoes))

    def _vetoed(self, policy: str, profile: str, rules: Iterable[str]) -> None:
        for rule in rules:
            self._count["vetoes"].labels(policy, self._name(rule), profile).inc()

    def _routed(self, event: Routed) -> None:
        rule = self._name(event.vetoes[0]) if event.vetoes else NO_RULE
        self._count["routes"].labels(event.route, event.event, rule, self._name(self._profile)).inc()
        if event.event == "decision":
            self._count["symbol_routes"].labels(self._symbol(event.symbol), event.route).inc()
            if event.route != "none":  # else these are the vetoes of admission, which are counted
                decision_id, profile = self._routing
                made_by = profile if decision_id == event.decision_id else self._name(self._profile)
                self._vetoed(ROUTING, made_by, event.vetoes)

    def _received(self, event: IntentReceived) -> None:
        self._count["intents"].labels(self._symbol(event.symbol)).inc()

    def _refused(self, event: IntentRefused) -> None:
        self._count["refused"].labels(self._name(event.code)).inc()

    def _planned(self, event: OrderPlanned) -> None:
        self._count["orders"].labels(event.role).inc()

    def _heard(self, event: Heard) -> None:
        if isinstance(event.message, Fill) and not event.again:
            self._count["fills"].labels("maker" if event.message.is_maker else "taker").inc()

    def _error(self, event: OrderError) -> None:
        self._count["errors"].labels(self._name(event.error)).inc()

    def _ended(self, event: Outcome) -> None:
        self._count["outcomes"].labels(event.route, event.result).inc()
        if event.fallback:
            self._count["fallbacks"].labels(self._symbol(event.symbol)).inc()
        for ack_ms in event.ack_ms:
            self._time["ack"].observe(ack_ms / 1000)
        if event.sent_ms is not None:
            self._time["send"].observe((event.sent_ms - event.arrival_ms) / 1000)
        self._time["intent"].labels(event.route).observe((event.ts_ms - event.arrival_ms) / 1000)

    def _moved(self, event: BreakerMoved) -> None:
        self._breakers[event.scope] = event.state

    def _broke(self, event: BreakerMoved) -> None:
        self._count["moves"].labels(self._scope(event.scope), self._name(event.state)).inc()

    def _restored(self, event: Checkpoint) -> None:
        for scope, held in event.breakers.items():
            self._breakers[scope] = str(held.get("state", ""))

    def _scope(self, scope: str) -> str:
        return scope if scope == VENUE else self._symbol(scope)

    # --- gauges, read when they are fetched --------------------------------------------------------------------------

    def state(self) -> Iterator[Metric]:
        """The gauges, as things stand now."""
        live = self.live
        yield self._breaker_states()
        text = "What came of asking the address of bundles."
        polls = CounterMetricFamily("sluice_bundle_polls", text, labels=("result",))
        for result, count in self._polls.items():
            polls.add_metric((result,), count)
        yield polls
        if live is None:
            return
        proofs = {} if live.proofs is None else counted(live.proofs)
        yield gauge("proofs", "Invariants of the active rulebook, by what became of their proof.", "state").of(
            {(state,): number for state, number in proofs.items()}
        )
        yield from self._rulebook(live)
        yield from self._journal(live)
        yield from self._account(live)
        yield from self._symbols(live)

    def _breaker_states(self) -> Metric:
        worst: dict[str, str] = {}
        for scope, state in self._breakers.items():
            label = self._scope(scope)
            if _STATES.get(state, 3) >= _STATES.get(worst.get(label, ""), -1):
                worst[label] = state
        states = dict.fromkeys(worst.items(), 1.0)
        return gauge("breaker_state", "1 for the state that a breaker is in.", "scope", "state").of(states)

    def _rulebook(self, live: Live) -> Iterator[Metric]:
        book = live.book
        info = InfoMetricFamily("sluice_rulebook", "The rulebook that decides.", labels=())
        info.add_metric((), {"profile": book.profile, "version": book.version, "sources": book.rulebook.sources_digest})
        yield info
        yield one("rulebook_loaded_timestamp_seconds", "When the rulebook was put in force here.", live.loaded_ts)
        yield one("rulebook_age_seconds", "For how long the rulebook has been in force.", self._wall() - live.loaded_ts)
        session = live.session
        running = None if session is None and live.last_seq else session is not None and session.ended is None
        yield one("session_running", "1 while a session runs, as far as its journal says.", running)
        if session is not None:
            differs = not session.decides_by(book)
            yield one("session_rulebook_differs", "1 where the session decides by another rulebook.", differs)

    def _journal(self, live: Live) -> Iterator[Metric]:
        yield one("journal_unread_bytes", "How far behind the journal this process is.", live.unread_bytes())
        yield one("journal_last_seq", "Number of the last event that was read.", live.last_seq)
        yield one("journal_followed", "1 while what is written to the journal can be read.", live.failure() is None)
        bad = CounterMetricFamily("sluice_journal_bad_lines", "Lines of the journal that said no event.")
        bad.add_metric((), live.bad_lines)
        yield bad
        yield one("journal_quiet_seconds", "For how long nothing was written, in real time.", live.quiet_s())
        yield one("journal_last_event_timestamp_seconds", "When the last event was, in market time.", live.last_ts)

    def _account(self, live: Live) -> Iterator[Metric]:
        health = live.health
        if health is None:
            return
        yield one("health_age_seconds", "How old the last snapshot is, in market time.", live.health_age_s())
        yield one("health_tick", "Number of the last snapshot.", health.tick)
        statuses = {(status,): float(count) for status, count in health.router_health.summary.statuses.items()}
        yield gauge("symbols_by_status", "Symbols by what the policy health says of them.", "status").of(statuses)
        yield one("symbols_stale", "Symbols with a stale book or telemetry.", len(health.router_health.summary.stale))
        yield one("makers_paused", "Symbols whose makers wait.", health.router_health.summary.makers_paused)
        yield one("nav_usd", "Net asset value.", health.nav.nav_usd)
        yield one("drawdown_ratio", "Drawdown of the day, 0 or less.", health.nav.drawdown_today)

    def _symbols(self, live: Live) -> Iterator[Metric]:
        rows = () if live.health is None else live.health.router_health.symbols
        for figure in SYMBOL_FIGURES:
            held: dict[tuple[str, ...], float] = {}
            for row in rows:
                value = figure.read(row)
                if value is not None:
                    label = (self._symbol(row.symbol),)
                    held[label] = value if label not in held else figure.worst((held[label], value))
            yield gauge(f"symbol_{figure.name}", figure.text, "symbol").of(held)
        for name, text in (("quality", "1 for the tier of a symbol."), ("status", "1 for the health of a symbol.")):
            states: dict[tuple[str, ...], float] = {}
            for row in rows:
                state = getattr(row, name)
                if state is not None:
                    key = (self._symbol(row.symbol), str(state))
                    states[key] = states.get(key, 0.0) + 1.0
            yield gauge(f"symbol_{name}", text, "symbol", name).of(states)


_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}
"""How bad the states of a breaker are: of those that share a label the worst is shown."""


@dataclass(frozen=True, slots=True)
class SymbolFigure:
    """A gauge a symbol, from the last snapshot."""

    name: str
    text: str
    read: Callable[[SymbolHealth], float | None]
    worst: Callable[[Iterable[float]], float]
    """Of the symbols that share the label `other`."""


def _age(group: str) -> Callable[[SymbolHealth], float | None]:
    return lambda row: row.ages[group].age_s if group in row.ages else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


SYMBOL_FIGURES: Final = (
    SymbolFigure("maker_fill_ratio", "Filled of maker quantity.", lambda row: row.maker_fill_rate, min),
    SymbolFigure("fallback_ratio", "Maker attempts that ended as taker.", lambda row: row.fallback_rate, max),
    SymbolFigure("slippage_p50_bps", "Median slippage; positive is cost.", lambda row: row.slippage_p50, max),
    SymbolFigure("slippage_p95_bps", "Slippage of the worst 5 %.", lambda row: row.slippage_p95, max),
    SymbolFigure("ack_p50_seconds", "Median acknowledgement.", lambda row: _seconds(row.ack_latency_ms), max),
    SymbolFigure("ack_p95_seconds", "Slow acknowledgements.", lambda row: _seconds(row.ack_latency_p95_ms), max),
    SymbolFigure("samples", "Maker attempts behind these figures.", lambda row: row.sample_count, min),
    SymbolFigure("bias", "0 prefers maker, 1 taker.", lambda row: row.bias, max),
    SymbolFigure("offset_bps", "How far behind the touch makers rest.", lambda row: row.offset_bps, max),
    SymbolFigure("maker_first", "1 where orders may rest.", lambda row: row.maker_first, min),
    SymbolFigure("book_age_seconds", "Age of the book at the snapshot.", _age("market"), max),
    SymbolFigure("telemetry_age_seconds", "Age of the telemetry at the snapshot.", _age("telemetry"), max),
)
"""What of a symbol's health is a gauge."""


@dataclass(frozen=True, slots=True)
class _Gauge:
    """A gauge that has no values yet."""

    family: GaugeMetricFamily

    def of(self, values: Mapping[Any, float]) -> Metric:
        """The gauge with its values, each by its labels in their order."""
        for labels, value in values.items():
            self.family.add_metric(labels, value)
        return self.family


def gauge(name: str, text: str, *labels: str) -> _Gauge:
    """A gauge of ours, without its values yet."""
    return _Gauge(GaugeMetricFamily(f"sluice_{name}", text, labels=labels))


def one(name: str, text: str, value: float | None) -> Metric:
    """A gauge without labels; without a value where nothing is known."""
    return gauge(name, text).of({} if value is None else {(): float(value)})


def form_of(accept: str) -> str:
    """Which of two forms an `Accept` asks for, whatever versions and escapings it names: our names need none."""
    return _OPENMETRICS if "application/openmetrics-text" in accept.lower() else ""


_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"


class _Counting:
    """The view that counts."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def see(self, event: Event) -> None:
        """Count an event that has just happened."""
        self._metrics.count(event)


class _State(Collector):
    """Hands the gauges to the registry."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """Nothing: they are read when they are fetched, and not before there is anything."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The gauges now."""
        return self._metrics.state()
