"""What routing each intent came to: one `RouterMetrics` an outcome.

In: the events of a journal, in order. Out: a line of `router_metrics.jsonl` for each `Outcome`, with the policy that
the intent was routed by and the tuning that was in force then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.journal.events import Checkpoint, Event, Outcome, Routed, Tuned
from engine.routing.evidence.contract import Autotune, Deltas, PolicyView, RouterMetrics
from engine.routing.evidence.costs import BPS, shortfall, sign_of

_NO_TUNING: Final = Autotune(applied=False, before=None, after=None)


class Metrics:
    """A fold over a journal; of intents it holds only those that are open."""

    def __init__(self) -> None:
        self._routed: dict[str, tuple[Routed, Autotune]] = {}
        self._tuning: dict[str, Autotune] = {}

    def see(self, event: Event) -> RouterMetrics | None:
        """Take the next event; a line where it is an outcome."""
        match event:
            case Outcome():
                return self.end(event)
            case Routed():
                self.route(event)
            case Tuned():
                self.tune(event)
            case Checkpoint():
                self.restore(event)
        return None

    def end(self, event: Outcome) -> RouterMetrics:
        """The line of an outcome."""
        return _metrics(event, *self._routed.pop(event.intent_id, (None, _NO_TUNING)))

    def route(self, event: Routed) -> None:
        """An intent is routed, under the tuning in force."""
        if event.event == "decision":
            self._routed[event.intent_id] = (event, self._tuning.get(event.symbol, _NO_TUNING))

    def tune(self, event: Tuned) -> None:
        """Another tuning is in force."""
        after = Deltas(
            bias_delta=event.bias_delta, offset_delta_bps=event.offset_delta_bps, maker_first=event.maker_first
        )
        self._tuning[event.symbol] = Autotune(applied=True, before=_deltas(event.was), after=after)

    def restore(self, event: Checkpoint) -> None:
        """A day begins, with what is in force."""
        for symbol, held in event.tuned.items():
            self._tuning[symbol] = Autotune(applied=True, before=None, after=_deltas(held))


def _metrics(outcome: Outcome, routed: Routed | None, tuning: Autotune) -> RouterMetrics:
    filled, sign = float(outcome.filled), sign_of(outcome.side)
    average = outcome.cost_usd / filled if filled else None
    arrival = outcome.arrival_mid
    cost = shortfall(outcome)
    return RouterMetrics(
        seq=outcome.seq,
        ts=outcome.ts_ms / 1000,
        intent_id=outcome.intent_id,
        symbol=outcome.symbol,
        side=outcome.side,
        is_exit=outcome.is_exit,
        route=outcome.route,
        decision_id=None if routed is None else routed.decision_id,
        maker_start=outcome.attempted > 0,
        is_maker_final=outcome.maker_filled == outcome.filled if outcome.filled else None,
        used_fallback=outcome.fallback,
        taker_veto=outcome.taker_veto or None,
        policy=None if routed is None else _policy(routed),
        autotune=tuning,
        result=outcome.result,
        reason=outcome.reason,
        target=outcome.target,
        filled=outcome.filled,
        maker_filled=outcome.maker_filled,
        maker_orders=outcome.submissions,
        post_only_rejects=outcome.post_only_rejects,
        ack_latency_ms=_median(outcome.ack_ms),
        arrival_mid=arrival,
        average_price=average,
        effective_price=(outcome.cost_usd + sign * outcome.fees_usd) / filled if filled else None,
        slippage_bps=None if average is None or not arrival else sign * (average - arrival) / arrival * BPS,
        fees_usd=outcome.fees_usd,
        shortfall_usd=cost.total_usd,
        shortfall_bps=cost.total_bps,
    )


def _policy(routed: Routed) -> PolicyView:
    return PolicyView(
        maker_first=routed.maker_first,
        taker_bias=routed.taker_bias,
        bias=routed.bias,
        quality=routed.quality,
        offset_bps=routed.offset_bps,
        reason=routed.reason,
    )


def _deltas(tuning: Mapping[str, Any]) -> Deltas | None:
    """The group `tuning` as the contract has it."""
    if not tuning:
        return None
    return Deltas(
        bias_delta=tuning.get("tuned_bias_delta"),
        offset_delta_bps=tuning.get("tuned_offset_delta_bps"),
        maker_first=tuning.get("tuned_maker_first"),
    )


def _median(values: list[int]) -> int | None:
    """Nearest rank: one of the values."""
    return sorted(values)[(len(values) - 1) // 2] if values else None
