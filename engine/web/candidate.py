"""The candidate that is tried beside the rulebook in force, and what it would have decided otherwise.

In: the events of a journal. Out: a `Candidate`, or None while none is tried. A view: `see` each event. How often it
differs is what a session counts itself (`Tried`), which `sluice status` shows and promotion rests on; here are added
which values became which, and the last examples.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace

from engine.journal.events import CandidateMoved, Event, SessionStarted, ShadowDecided
from engine.printing import plainly
from engine.routing.sessions.tried import Divergences, Tried

MOST_EXAMPLES = 20

_OVER = frozenset({"ended", "promoted", "returned"})


@dataclass(slots=True)
class Numbers:
    """A number that came out otherwise."""

    times: int = 0
    was: float = 0.0
    """The sum of what counts."""
    would_be: float = 0.0


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
    found: Divergences = field(default_factory=Divergences)
    """How often it would have decided otherwise, since what it is compared with is in force."""
    compared_ms: int | None = None
    """Since when that was read: a candidate may be tried for longer than the journal is read back. None: never."""
    transitions: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    """By `policy.name`: what counts, what the candidate would have it be."""
    numbers: dict[str, Numbers] = field(default_factory=dict)
    """The same of numbers."""
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
        self._tried = Tried()

    def see(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, SessionStarted):
            self.current, self._tried = None, Tried()
            return
        self._tried.see(event)
        if isinstance(event, CandidateMoved):
            self._move(event)
        elif self.current is not None and self.current.found is not self._tried.divergences:
            self._begin_anew(self.current)
        if isinstance(event, ShadowDecided):
            self._compare(event)

    def _move(self, event: CandidateMoved) -> None:
        now, found = self.current, self._tried.divergences
        if now is None or now.found is not found:
            now = self.current = Candidate(event.rulebook, event.profile, event.state, event.ts_ms, found=found)
        now.state, now.reason, now.symbols = event.state, event.reason, tuple(event.symbols)

    def _begin_anew(self, now: Candidate) -> None:
        """It is compared with another rulebook from here on."""
        self.current = replace(
            now,
            found=self._tried.divergences,
            compared_ms=None,
            transitions={},
            numbers={},
            examples=deque(maxlen=MOST_EXAMPLES),
        )

    def _compare(self, event: ShadowDecided) -> None:
        now = self.current
        if now is None or now.rulebook != event.rulebook:
            return
        now.compared_ms = now.compared_ms or event.ts_ms
        if not event.differs:
            return
        now.examples.append(event)
        for name, (was, would_be) in event.differs.items():
            full = f"{event.policy}.{name}"
            if isinstance(was, float) and isinstance(would_be, float):
                moved = now.numbers.setdefault(full, Numbers())
                moved.times, moved.was, moved.would_be = moved.times + 1, moved.was + was, moved.would_be + would_be
            else:
                now.transitions.setdefault(full, Counter())[_shown(was), _shown(would_be)] += 1


def _shown(value: object) -> str:
    return "a number" if isinstance(value, float) else plainly(value)
