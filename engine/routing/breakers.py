"""Breakers: each symbol and the venue have one, which keeps makers out for a while after things went wrong.

In: the events of a journal, and (to decide) the windows, the silence of the feed, and the time. Out: `BreakerMoved`
events, and whether makers wait. What opens and closes a breaker is said by the policy `breaker`; it holds no state, so
this view keeps the last one that was journaled, and hands it back. Every breaker starts closed.

**Trials.** An intent is a trial of every half-open breaker that guards it, from the first maker order planned for it
since then, to its outcome. It fails if any of it ended as taker, or if none of these orders ever rested or traded: a
trial that proves nothing must not close anything.

**Pauses.** Whether makers wait is decided anew each time, since it changes with the trials that are out, while the
state stays. So `decide` comes first, for the symbol and the venue, and then what is decided on `pauses`.

Before the feed has said anything nothing is decided: its silence is missing then, which would open every breaker at the
start of every session, and without a book nothing rests anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from engine.backends.facts import FactsError
from engine.book import Book
from engine.journal.events import BreakerMoved, Checkpoint, Heard, OrderPlanned, Outcome, SessionStarted
from engine.language.types import ChoiceType
from engine.routing.known import VENUE, WindowSource
from engine.routing.views import Handlers, View
from engine.routing.window_events import has_lived

BREAKER = "breaker"
"""The policy, and the group of facts with its own last state."""

CLOSED, HALF_OPEN = "closed", "half_open"
"""The state that every breaker starts in, and the one in which trials are counted."""

_NEXT_STATE, _PAUSE = "next_state", "pause_maker"


class Breaker:
    """One breaker as it stands."""

    __slots__ = ("failures", "out", "pauses", "since_ms", "state", "trials")

    def __init__(self, since_ms: int) -> None:
        self.state = CLOSED
        self.since_ms = since_ms
        """When it went into its state."""
        self.pauses: bool | None = None
        """As decided last; None before that."""
        self.trials = 0
        """Trials that have ended."""
        self.failures = 0
        self.out: dict[str, bool] = {}
        """Trials that have not ended, by intent: whether an order of it has rested or traded."""


class WindowCounts(WindowSource, Protocol):
    """Windows that say when anything was counted."""

    changes: int


class Breakers(View):
    """The breakers of one account: a view over a journal, and the policy that moves them.

    Raises:
        FactsError: if the policy `breaker` does not decide the next state and whether makers wait.

    """

    def __init__(self, book: Book, windows: WindowCounts) -> None:
        self._windows = windows
        self._started_ms: int | None = None
        self._breakers: dict[str, Breaker] = {}
        self._orders: dict[str, str] = {}
        """Intents of maker orders that are trials, by client id."""
        self._changes = 0
        self._settled: dict[str, tuple[int, float, int, int]] = {}
        """What each was decided on last, where that left it as it was."""
        self.use(book)
        self.handlers: Handlers = {
            SessionStarted: self._started,
            OrderPlanned: self._planned,
            Heard: self._heard,
            Outcome: self._ended,
            BreakerMoved: self._moved,
            Checkpoint: self._restored,
        }

    def use(self, book: Book) -> None:
        """Decide by another rulebook from here on. States and trials go on; what makes makers wait is decided anew.

        Raises:
            FactsError: if the policy `breaker` does not decide the next state and whether makers wait; then nothing
                changes.

        """
        runs = BREAKER in book.policies
        state_facts: frozenset[str] = frozenset()
        window_facts: frozenset[str] = frozenset()
        if runs:
            policy = book.policy(BREAKER)
            for name in (_NEXT_STATE, _PAUSE):
                if name not in policy.decides:
                    message = f"the policy `{BREAKER}` does not decide `{name}`"
                    raise FactsError(message, f"add it to its `decides`, or take `{BREAKER}` out of the profile")
            declared = {group.name: frozenset(fact.name for fact in group.facts) for group in policy.groups}
            state_facts = declared.get(BREAKER, frozenset())
            window_facts = declared.get("windows", frozenset())
        self._book, self._runs = book, runs
        self._state_facts, self._window_facts = state_facts, window_facts
        for held in self._breakers.values():
            held.pauses = None
        self._settled.clear()
        self._changes += 1

    def astray(self, now_ms: int) -> list[BreakerMoved]:
        """The moves back to where every breaker starts, of those in a state that this rulebook does not know.

        To be journaled and seen: without a state that the rules know nothing could ever be decided on it again.
        """
        states = self._book.policy(BREAKER).types().get(_NEXT_STATE) if self._runs else None
        if not isinstance(states, ChoiceType):
            return []
        return [
            BreakerMoved(
                ts_ms=now_ms,
                scope=scope,
                was=held.state,
                state=CLOSED,
                rule="",
                reason=f"no rule knows the state {held.state} any more",
                pauses=True,  # until it is decided on
            )
            for scope, held in sorted(self._breakers.items())
            if held.state not in states.of and held.state != CLOSED
        ]

    def decide(self, scope: str, now_ms: int, feed_gap_s: float | None) -> BreakerMoved | None:
        """Let a breaker decide; its move, to be journaled and seen, if it goes into another state.

        `feed_gap_s`: how long the feed has been silent on the scope; None before it said anything, and then nothing is
        decided. Nor is anything where the profile runs no policy `breaker`.
        """
        if not self._runs or feed_gap_s is None:
            return None
        # The same facts at the same moment decide the same: a venue is asked about for every symbol.
        basis = (now_ms, feed_gap_s, self._windows.changes, self._changes)
        if self._settled.get(scope) == basis:
            return None
        held = self._breaker(scope, now_ms)
        facts = self._facts(scope, held, now_ms, feed_gap_s)
        verdict = self._book.verdict(BREAKER, facts)
        held.pauses = verdict[_PAUSE]
        if verdict[_NEXT_STATE] == held.state:
            self._settled[scope] = basis
            return None
        decision = self._book.decide(BREAKER, facts)
        setting = {step.ruleset for step in self._book.policy(BREAKER).steps if _NEXT_STATE in dict(step.sets)}
        rules = [firing.rule.full_id for firing in decision.outcome.fired if firing.rule.ruleset in setting]
        return BreakerMoved(
            ts_ms=now_ms,
            scope=scope,
            was=held.state,
            state=verdict[_NEXT_STATE],
            rule=rules[-1] if rules else "",
            reason=decision.reason,
            pauses=verdict[_PAUSE],
        )

    def pauses(self, symbol: str) -> bool | None:
        """Whether makers of a symbol wait, as decided last for it and for the venue; None where nobody decides that."""
        own, whole = (self._breakers.get(scope) for scope in (symbol, VENUE))
        decided = (own.pauses if own is not None else None, whole.pauses if whole is not None else None)
        if True in decided:
            return True
        return None if None in decided else False

    def state(self, scope: str) -> str:
        """The state of a breaker."""
        held = self._breakers.get(scope)
        return CLOSED if held is None else held.state

    def checkpoint(self) -> dict[str, dict[str, Any]]:
        """What a `Checkpoint` keeps of it, by scope."""
        return {
            scope: {
                "state": held.state,
                "since_ms": held.since_ms,
                "pauses": held.pauses,
                "trials": held.trials,
                "trial_failures": held.failures,
                "out": dict(held.out),
            }
            for scope, held in sorted(self._breakers.items())
        }

    def _breaker(self, scope: str, now_ms: int) -> Breaker:
        held = self._breakers.get(scope)
        if held is None:
            # Closed since the session began, which is when the journal says so.
            held = self._breakers[scope] = Breaker(now_ms if self._started_ms is None else self._started_ms)
        return held

    def _facts(self, scope: str, held: Breaker, now_ms: int, feed_gap_s: float) -> dict[str, Any]:
        state: dict[str, Any] = {
            "scope": "venue" if scope == VENUE else "symbol",
            "state": held.state,
            "in_state_s": max(0, now_ms - held.since_ms) / 1000,
            "trials": float(held.trials),
            "trial_failures": float(held.failures),
            "trials_out": float(len(held.out)),
        }
        windows: dict[str, float] = {**self._windows.facts(scope, now_ms), "feed_gap_s": feed_gap_s}
        return {
            "now": now_ms / 1000,
            "symbol": None if scope == VENUE else scope,
            BREAKER: _declared(state, self._state_facts),
            "windows": _declared(windows, self._window_facts),
        }

    def _guards(self, symbol: str) -> list[Breaker]:
        """The half-open breakers that guard a symbol."""
        found = (self._breakers.get(scope) for scope in (symbol, VENUE))
        return [held for held in found if held is not None and held.state == HALF_OPEN]

    def _started(self, event: SessionStarted) -> None:
        if self._started_ms is None:
            self._started_ms = event.ts_ms

    def _planned(self, event: OrderPlanned) -> None:
        if event.role != "maker":
            return
        guards = self._guards(event.symbol)
        for held in guards:
            held.out.setdefault(event.intent_id, False)
        if guards:
            self._orders[event.client_id] = event.intent_id
            self._changes += 1

    def _heard(self, event: Heard) -> None:
        intent_id = self._orders.get(event.message.client_id)
        if intent_id is None or not has_lived(event.message):
            return
        for held in self._breakers.values():
            if intent_id in held.out:
                held.out[intent_id] = True

    def _ended(self, event: Outcome) -> None:
        for scope in (event.symbol, VENUE):
            held = self._breakers.get(scope)
            lived = None if held is None else held.out.pop(event.intent_id, None)
            if held is not None and lived is not None:
                held.trials += 1
                held.failures += event.fallback or not lived
                self._changes += 1
        if self._orders:
            over = [client_id for client_id, intent_id in self._orders.items() if intent_id == event.intent_id]
            for client_id in over:
                del self._orders[client_id]

    def _moved(self, event: BreakerMoved) -> None:
        held = self._breakers[event.scope] = Breaker(event.ts_ms)
        held.state = event.state
        held.pauses = event.pauses
        self._changes += 1

    def _restored(self, event: Checkpoint) -> None:
        for scope, kept in event.breakers.items():
            held = self._breakers[scope] = Breaker(kept["since_ms"])
            held.state, held.pauses, held.out = kept["state"], kept["pauses"], dict(kept["out"])
            held.trials, held.failures = kept["trials"], kept["trial_failures"]
        self._changes += 1


def _declared(facts: dict[str, Any], names: frozenset[str]) -> Mapping[str, Any]:
    """The facts that the home declares: it may declare less than is measured."""
    return facts if facts.keys() <= names else {name: value for name, value in facts.items() if name in names}
