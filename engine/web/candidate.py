"""The candidate that is tried beside the rulebook in force, and what it would have decided otherwise.

In: the events of a journal. Out: a `Candidate`, or None while none is tried. A view: `see` each event.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from engine.journal.events import CandidateMoved, Event, SessionStarted, ShadowDecided
from engine.printing import plainly

MOST_EXAMPLES = 20

_OVER = frozenset({"ended", "promoted", "returned"})


@dataclass(slots=True)
class Candidate:
    """What is known of one candidate."""

    rulebook: str
    profile: str
    state: str
    """`shadow` or `partial`; then how it went out."""
    since_ms: int
    reason: str = ""
    symbols: tuple[str, ...] = ()
    """For which it decides while `partial`."""
    decisions: int = 0
    """That it was asked for beside those that count."""
    differing: int = 0
    by_name: Counter[str] = field(default_factory=Counter)
    """How many differ in each name, as `policy.name`."""
    transitions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Name, what counts, what the candidate would have it be."""
    examples: deque[ShadowDecided] = field(default_factory=lambda: deque(maxlen=MOST_EXAMPLES))

    @property
    def is_over(self) -> bool:
        """Whether it is tried no longer."""
        return self.state in _OVER


class Candidates:
    """Follows the candidate of a journal."""

    def __init__(self) -> None:
        self.current: Candidate | None = None
        """The one that is tried, or that was tried last."""

    def see(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case SessionStarted():
                self.current = None
            case CandidateMoved():
                self._move(event)
            case ShadowDecided():
                self._compare(event)

    def _move(self, event: CandidateMoved) -> None:
        now = self.current
        if now is None or now.rulebook != event.rulebook:
            now = self.current = Candidate(event.rulebook, event.profile, event.state, event.ts_ms)
        now.state, now.reason, now.symbols = event.state, event.reason, tuple(event.symbols)

    def _compare(self, event: ShadowDecided) -> None:
        now = self.current
        if now is None or now.rulebook != event.rulebook:
            return
        now.decisions += 1
        if not event.differs:
            return
        now.differing += 1
        now.examples.append(event)
        for name, (was, would_be) in event.differs.items():
            now.by_name[f"{event.policy}.{name}"] += 1
            if not isinstance(was, float) and not isinstance(would_be, float):
                now.transitions[f"{event.policy}.{name}", plainly(was), plainly(would_be)] += 1
