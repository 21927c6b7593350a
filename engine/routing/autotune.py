"""Autotune: what telemetry suggests, how much of it is applied, and what is in force because of it.

In: what is known of a symbol. Out: `Tuned` events, each after the two decisions that it stands on. The policy
`suggest` says which way to lean, the policy `autotune` whether a step is taken and how far it goes; this module rounds
what persists to 6 decimals, so that steps add up, and sees to it that the same evidence never moves anything twice: a
symbol is looked at again only after a maker attempt that ended since, and the last one that a step stood on is
remembered with the step. So with stale inputs, or with none, everything stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.backends.decision import Decision
from engine.book import Book
from engine.journal.events import Checkpoint, Decided, Event, Tuned
from engine.routing.chain import ROUTING, Made
from engine.routing.handing import Handing
from engine.routing.known import KnownFacts
from engine.routing.views import Handlers, View

SUGGEST, AUTOTUNE = "suggest", "autotune"
DECIMALS = 6
"""Of a delta that persists: 0.75 − 3 × 0.05 must not become 0.5999…"""

_BASE_OFFSET = "offset.base_bps"
_STEPS = ("next_bias", "next_offset_bps")
_EVIDENCE_MS = "newest_sample_ms"
_BEFORE_ALL_MS = -(1 << 62)


class SampleTimes(Protocol):
    """When maker attempts ended."""

    def newest_ms(self, symbol: str, now_ms: int) -> int | None:
        """Of the last one that counts at a moment; None where none does."""


class Tuning(View):
    """What is in force by symbol: a view over `Tuned` events."""

    def __init__(self) -> None:
        self._in_force: dict[str, dict[str, Any]] = {}
        self._evidence_ms: dict[str, int] = {}
        self.handlers: Handlers = {Tuned: self._tuned, Checkpoint: self._restored}

    def facts(self, symbol: str) -> dict[str, Any] | None:
        """The group `tuning`; None for a symbol that was never tuned."""
        return self._in_force.get(symbol)

    def evidence_ms(self, symbol: str) -> int:
        """When the last maker attempt ended that the last step stood on; before all times where no step was taken."""
        return self._evidence_ms.get(symbol, _BEFORE_ALL_MS)

    def checkpoint(self) -> dict[str, dict[str, Any]]:
        """What a `Checkpoint` keeps of it."""
        return {
            symbol: {**held, _EVIDENCE_MS: self._evidence_ms[symbol]} if symbol in self._evidence_ms else dict(held)
            for symbol, held in sorted(self._in_force.items())
        }

    def _tuned(self, event: Tuned) -> None:
        held: dict[str, Any] = {
            "tuned_bias_delta": event.bias_delta,
            "tuned_offset_delta_bps": event.offset_delta_bps,
        }
        if event.maker_first is not None:
            held["tuned_maker_first"] = event.maker_first
        self._in_force[event.symbol] = held
        evidence_ms = event.evidence.get(_EVIDENCE_MS)
        if isinstance(evidence_ms, int):
            self._evidence_ms[event.symbol] = evidence_ms

    def _restored(self, event: Checkpoint) -> None:
        self._in_force = {symbol: dict(held) for symbol, held in event.tuned.items()}
        found = {symbol: held.pop(_EVIDENCE_MS, None) for symbol, held in self._in_force.items()}
        self._evidence_ms = {symbol: evidence_ms for symbol, evidence_ms in found.items() if evidence_ms is not None}


class Autotune:
    """Takes steps. A profile that does not run both policies takes none."""

    def __init__(self, book: Book, known: KnownFacts, samples: SampleTimes, tuning: Tuning) -> None:
        self._known = known
        self._samples = samples
        self._tuning = tuning
        self._looked_ms: dict[str, int] = {}
        """The last maker attempt that was looked at, by symbol."""
        self.use(book)

    def use(self, book: Book) -> None:
        """Decide by another rulebook from here on."""
        self._book = book
        self._handing = Handing(book)
        self._runs = {SUGGEST, AUTOTUNE, ROUTING} <= set(book.policies)

    def look(self, symbol: str, now_ms: int) -> Sequence[Event]:
        """The next step of a symbol with the decisions behind it, if there is new evidence and the rules take one."""
        newest_ms = self._samples.newest_ms(symbol, now_ms) if self._runs else None
        # What a router before this one looked at, and took no step on, is looked at once more.
        looked_ms = max(self._looked_ms.get(symbol, _BEFORE_ALL_MS), self._tuning.evidence_ms(symbol))
        if newest_ms is None or newest_ms <= looked_ms:
            return ()
        self._looked_ms[symbol] = newest_ms
        known = dict(self._known.groups(symbol, now_ms))
        suggested = self._book.decide(SUGGEST, self._handing.to(SUGGEST, now_ms, symbol, known))
        known["proposal"] = proposal = self._proposal(symbol, now_ms, known, suggested.values)
        decision = self._book.decide(AUTOTUNE, self._handing.to(AUTOTUNE, now_ms, symbol, known))
        if decision["apply"] is not True:
            return ()
        was = self._tuning.facts(symbol) or {}
        maker_first = decision["next_maker_first"] if decision["flip"] is True else was.get("tuned_maker_first")
        tuned = Tuned(
            ts_ms=now_ms,
            symbol=symbol,
            bias_delta=round(float(decision["next_bias_delta"]), DECIMALS),
            offset_delta_bps=round(float(decision["next_offset_delta_bps"]), DECIMALS),
            maker_first=maker_first if isinstance(maker_first, bool) else None,
            was=dict(was),
            decision_id=decision.decision_id,
            rulebook=self._book.version,
            evidence={
                **proposal,
                "reason": decision.reason,
                "suggested": suggested.reason,
                "sample_count": (known.get("telemetry") or {}).get("sample_count"),
                _EVIDENCE_MS: newest_ms,
                "bounds": self._bounds(symbol),
            },
        )
        unchanged = was.get("tuned_bias_delta", 0.0) == tuned.bias_delta
        unchanged = unchanged and was.get("tuned_offset_delta_bps", 0.0) == tuned.offset_delta_bps
        if unchanged and tuned.maker_first == was.get("tuned_maker_first"):
            return ()
        return (_decided(SUGGEST, suggested, now_ms), _decided(AUTOTUNE, decision, now_ms), tuned)

    def _bounds(self, symbol: str) -> dict[str, Any]:
        """The parameters that bound a step of a symbol, by full name."""
        stepping = {step.ruleset for step in self._book.policy(AUTOTUNE).steps if {*_STEPS} & dict(step.sets).keys()}
        values = self._book.rulebook.binding_of(symbol).values
        return {name: value for name, value in values.items() if name.partition(".")[0] in stepping}

    def _proposal(
        self,
        symbol: str,
        now_ms: int,
        known: Mapping[str, Mapping[str, Any] | None],
        suggested: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What is in force beside what is suggested: the group `proposal`."""
        in_force = self._book.verdict(ROUTING, self._handing.to(ROUTING, now_ms, symbol, known)).values
        base_bps = self._book.rulebook.binding_of(symbol).values.get(_BASE_OFFSET)
        proposal: dict[str, Any] = {"suggestion_age_s": 0.0, "current_maker_first": in_force.get("maker_first")}
        if "suggested_maker_first" in suggested:  # the shipped `suggest` has no opinion on it
            proposal["proposed_maker_first"] = suggested["suggested_maker_first"]
        bias = in_force.get("bias")
        if bias is not None:
            proposal["current_bias"] = bias
            proposal["proposed_bias"] = bias + suggested["suggested_bias_delta"]
        if isinstance(base_bps, int | float):
            delta = (self._tuning.facts(symbol) or {}).get("tuned_offset_delta_bps", 0.0)
            offset = max(0.0, base_bps + delta)
            proposal["current_offset_bps"] = offset
            proposal["proposed_offset_bps"] = offset + suggested["suggested_offset_delta_bps"]
        return proposal


def _decided(policy: str, decision: Decision, now_ms: int) -> Decided:
    return Decided(ts_ms=now_ms, intent_id=None, policy=policy, record=Made.of(decision).record)
