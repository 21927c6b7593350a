"""Why makers waited at a moment: which breaker was not closed then, since when, and by which rule.

In: the events of a journal, in order. Out: the `Pause`s of a symbol as they stood before an event. The policy `routing`
sees one flag of all this (`maker_paused`); the rules that set it are those of the policy `breaker`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from engine.journal.events import BreakerMoved, Checkpoint, Event
from engine.routing.breakers import CLOSED
from engine.routing.known import VENUE

MOST_MOVES: Final = 100
"""Of one breaker, that are remembered: it takes two a minute to open, to be tried and to open again."""


@dataclass(frozen=True, slots=True)
class Move:
    """A breaker went into a state."""

    seq: int
    """Of the event that says so."""
    ts_ms: int
    state: str
    was: str = ""
    """Empty, as are rule and reason, where a checkpoint says that it was in this state, and nothing of how it came."""
    rule: str = ""
    reason: str = ""
    pauses: bool = False
    """Whether makers waited from then on; of one that is half open they do later, while its trial is on the way."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A breaker that was not closed."""

    scope: str
    """A symbol, or `venue`."""
    moves: tuple[Move, ...]
    """How it came to its state then, from the first move after it was closed; at least one."""
    next: Move | None
    """What ended that state; None where it has not ended yet, as far as is known."""

    @property
    def now(self) -> Move:
        """The move into the state it was in."""
        return self.moves[-1]


class Pauses:
    """Remembers the last moves of each breaker, all where `most` is None. A view: `see` each event, in order."""

    def __init__(self, most: int | None = MOST_MOVES) -> None:
        self._most = most
        self._moves: dict[str, deque[Move]] = {}

    def see(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case BreakerMoved():
                told = (event.seq, event.ts_ms, event.state, event.was, event.rule, event.reason, event.pauses)
                self._add(event.scope, Move(*told))
            case Checkpoint():
                for scope, held in event.breakers.items():
                    last = self._moves.get(scope)
                    if not last or last[-1].state != held["state"]:
                        pauses = held.get("pauses") is True
                        self._add(scope, Move(event.seq, held["since_ms"], held["state"], pauses=pauses))

    def _add(self, scope: str, move: Move) -> None:
        self._moves.setdefault(scope, deque(maxlen=self._most)).append(move)

    def before(self, symbol: str, seq: int) -> list[Pause]:
        """The breakers of a symbol, its own first, that were not closed just before an event."""
        found = (_pause(scope, self._moves.get(scope, ()), seq) for scope in (symbol, VENUE))
        return [pause for pause in found if pause is not None]

    def after(self, seq: int) -> Mapping[str, Move]:
        """The last move of each breaker that moved after an event, by scope, the latest first."""
        last = ((scope, moves[-1]) for scope, moves in self._moves.items())
        # What a checkpoint alone says is no move: it repeats how a breaker stood before all that was read.
        later = (each for each in last if each[1].seq > seq and each[1].was)
        return dict(sorted(later, key=lambda each: -each[1].seq))


def _pause(scope: str, moves: Iterable[Move], seq: int) -> Pause | None:
    earlier: list[Move] = []
    for move in moves:
        if move.seq > seq:
            return _since_closed(scope, earlier, move)
        earlier.append(move)
    return _since_closed(scope, earlier, None)


def _since_closed(scope: str, moves: list[Move], after: Move | None) -> Pause | None:
    open_ = tuple(takewhile(lambda move: move.state != CLOSED, reversed(moves)))[::-1]
    return Pause(scope, open_, after) if open_ else None
