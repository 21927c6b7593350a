"""What happened last to each symbol, and how often what: the part of its health that only the journal knows.

In: the events of a journal, in order. Out: for a symbol its last route decision, counts, errors, breakers and the
tuning in force, as the contract files show them. A view: the same events give the same, after a crash as in a session.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from engine.journal.events import (
    BreakerMoved,
    Checkpoint,
    Event,
    OrderError,
    Outcome,
    ProbeGranted,
    Routed,
    Snapshot,
    Tuned,
)
from engine.routing.evidence.contract import BreakerView, Counts, ErrorsPart, ErrorView, InForce, LastRoute
from engine.routing.evidence.left import left_as
from engine.routing.evidence.owners import Owners
from engine.routing.known import VENUE
from engine.routing.views import Handlers, View

_ROUTES = {"maker": "routed_maker", "taker": "routed_taker"}
_CHANGES = {"fallback": "fallbacks", "submit_failed": "submit_failures", "send_failed": "send_failures"}
_RESULTS = {"filled": "filled", "partly_filled": "partly_filled", "unfilled": "unfilled"}


@dataclass(frozen=True, slots=True)
class _Breaker:
    """How a breaker came to stand; without rule and reason where only a checkpoint knows of it."""

    state: str
    since_ms: int
    rule: str = ""
    reason: str = ""
    pauses: bool = False


class Recent(View):
    """A view over a journal."""

    def __init__(self) -> None:
        self.began_ms: int | None = None
        """Time of the first event seen: what counts count from."""
        self.tick = 0
        """Of the last snapshot."""
        self._owners = Owners()
        self._routed: dict[str, Routed] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._errors: dict[str, Counter[str]] = {}
        self._last_error: dict[str, tuple[OrderError, str | None]] = {}
        self._breakers: dict[str, _Breaker] = {}
        self._tuned: dict[str, InForce] = {}
        self.handlers: Handlers = {
            **self._owners.handlers,
            Routed: self._see_routed,
            OrderError: self._see_error,
            Outcome: self._see_outcome,
            ProbeGranted: self._see_probe,
            BreakerMoved: self._see_breaker,
            Tuned: self._see_tuned,
            Checkpoint: self._see_checkpoint,
            Snapshot: self._see_snapshot,
        }

    def begin(self, ts_ms: int) -> None:
        """Counts count from here on."""
        self.began_ms = ts_ms

    def see(self, event: Event) -> None:
        """Take the next event."""
        if self.began_ms is None:
            self.begin(event.ts_ms)
        super().see(event)

    def last_route(self, symbol: str, now_ms: int) -> LastRoute | None:
        """The last route decision of a symbol, or what changed a route since."""
        routed = self._routed.get(symbol)
        if routed is None:
            return None
        return LastRoute(
            ts=routed.ts_ms / 1000,
            age_s=age_s(routed.ts_ms, now_ms),
            event=routed.event,
            route=routed.route,
            reason=routed.reason,
            vetoes=routed.vetoes,
            intent_id=routed.intent_id,
            decision_id=routed.decision_id,
            quality=routed.quality,
            offset_bps=routed.offset_bps,
            spread_bps=routed.spread_bps,
        )

    def counts(self, symbol: str) -> Counts:
        """What was done for a symbol."""
        since_ts = None if self.began_ms is None else self.began_ms / 1000
        return Counts(since_ts=since_ts, **self._counts.get(symbol, Counter()))

    def errors(self, symbol: str, now_ms: int) -> ErrorsPart:
        """What went wrong with orders of a symbol."""
        counted = self._errors.get(symbol, Counter())
        held = self._last_error.get(symbol)
        view = None
        if held is not None:
            last, intent_id = held
            view = ErrorView(
                ts=last.ts_ms / 1000,
                age_s=age_s(last.ts_ms, now_ms),
                error=last.error,
                code=last.code,
                text=last.text,
                intent_id=intent_id,
                client_id=last.client_id,
            )
        return ErrorsPart(count=counted.total(), by_error=dict(sorted(counted.items())), last=view)

    def breakers(self, symbol: str, now_ms: int) -> list[BreakerView]:
        """The breakers that guard a symbol: its own and the venue's. One that never moved is closed."""
        return [self._breaker(scope, now_ms) for scope in (symbol, VENUE)]

    def tuned(self, symbol: str) -> InForce | None:
        """The tuning in force."""
        return self._tuned.get(symbol)

    def _breaker(self, scope: str, now_ms: int) -> BreakerView:
        held = self._breakers.get(scope)
        if held is None:
            held = _Breaker("closed", now_ms if self.began_ms is None else self.began_ms, reason="never moved")
        return BreakerView(
            scope=scope,
            state=held.state,
            since_ts=held.since_ms / 1000,
            in_state_s=age_s(held.since_ms, now_ms),
            pauses=held.pauses,
            rule=held.rule,
            reason=held.reason,
        )

    def _count(self, symbol: str, name: str, times: int = 1) -> None:
        self._counts.setdefault(symbol, Counter())[name] += times

    def _see_routed(self, event: Routed) -> None:
        self._routed[event.symbol] = event
        if event.event != "decision":
            name = _CHANGES.get(event.event)
        else:
            name = left_as(event) if event.route == "none" else _ROUTES.get(event.route)
        if name is not None:
            self._count(event.symbol, name)

    def _see_error(self, event: OrderError) -> None:
        owner = self._owners.of(event)
        if owner.symbol is not None:
            self._errors.setdefault(owner.symbol, Counter())[event.error] += 1
            self._last_error[owner.symbol] = (event, owner.intent_id)

    def _see_outcome(self, event: Outcome) -> None:
        self._count(event.symbol, _RESULTS[event.result])
        if event.post_only_rejects:
            self._count(event.symbol, "post_only_rejects", event.post_only_rejects)

    def _see_probe(self, event: ProbeGranted) -> None:
        self._count(event.symbol, "probes")

    def _see_breaker(self, event: BreakerMoved) -> None:
        self._breakers[event.scope] = _Breaker(event.state, event.ts_ms, event.rule, event.reason, pauses=event.pauses)

    def _see_tuned(self, event: Tuned) -> None:
        self._tuned[event.symbol] = InForce(
            ts=event.ts_ms / 1000,
            bias_delta=event.bias_delta,
            offset_delta_bps=event.offset_delta_bps,
            maker_first=event.maker_first,
            decision_id=event.decision_id,
        )

    def _see_checkpoint(self, event: Checkpoint) -> None:
        for scope, held in event.breakers.items():
            if scope not in self._breakers:  # which would say more of it
                since_ms = held.get("since_ms", event.ts_ms)
                state, pauses = held.get("state", ""), held.get("pauses") is True
                self._breakers[scope] = _Breaker(state, since_ms, pauses=pauses)
        for symbol, held in event.tuned.items():
            self._tuned[symbol] = InForce(
                ts=None,
                bias_delta=held.get("tuned_bias_delta"),
                offset_delta_bps=held.get("tuned_offset_delta_bps"),
                maker_first=held.get("tuned_maker_first"),
                decision_id=None,
            )

    def _see_snapshot(self, event: Snapshot) -> None:
        self.tick = event.tick


def age_s(then_ms: int, now_ms: int) -> float:
    """How long ago, in seconds."""
    return (now_ms - then_ms) / 1000
