"""The last intents that were decided on: how each was routed at first, and what it cost.

In: the events of a journal, in order. Out: `RoutedIntent`s, oldest first, and whether there were more before. A view.
Apart from stories, so that counts and costs are of the same intents, however much happened to them since.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from engine.journal.events import BaselineDone, Event, Outcome, Routed
from engine.routing.evidence.measured import Measured


@dataclass(slots=True)
class RoutedIntent(Measured):
    """One of them."""

    routed: Routed = field(kw_only=True)
    """The first decision: what changed the route later is no decision of its own."""


class RoutedIntents:
    """The last `most` of them."""

    def __init__(self, most: int) -> None:
        self.is_cut = False
        """Whether the journal holds more before these, or may: it was read back so far and no further."""
        self._most = most
        self._held: dict[str, RoutedIntent] = {}
        self._last_seq = 0

    @property
    def all(self) -> Collection[RoutedIntent]:
        """Oldest first."""
        return self._held.values()

    def see(self, event: Event) -> None:
        """Take the next event."""
        self.is_cut |= not self._held and event.seq != self._last_seq + 1
        self._last_seq = event.seq
        match event:
            case Routed(event="decision"):
                self._held[event.intent_id] = RoutedIntent(routed=event)
                if len(self._held) > self._most:
                    self.is_cut = True
                    del self._held[next(iter(self._held))]
            case Outcome(intent_id=intent_id):
                if (intent := self._held.get(intent_id)) is not None:
                    intent.outcome = event
            case BaselineDone(intent_id=intent_id):
                if (intent := self._held.get(intent_id)) is not None:
                    intent.baselines[event.baseline] = event
