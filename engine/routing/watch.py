"""Run a session to its end, show every step to a view, and report what came of it.

In: a session and a view. Out: a `Report`: counts, how long it took, and whether somebody stopped it; a session that was
stopped reports what it did until then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from engine.routing.session import GENERATED, Session, Step
from engine.routing.tally import Tally

_LONGEST_WAIT_S = 1.0  # recordings have holes of hours and years


class View(Protocol):
    """Somebody who is shown a session as it goes."""

    def show(self, step: Step, tally: Tally) -> None:
        """Take a step, already counted."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a session."""

    session: Session
    tally: Tally
    elapsed_s: float
    """From the first event to the last, reading, deciding and showing included."""
    interrupted: bool

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        session, market = self.session, self.session.market
        quotes, trades = session.quotes.total(), session.trades.total()
        counts = self.tally.as_json()
        for symbol, held in counts["symbols"].items():
            held |= {"quotes": session.quotes[symbol], "trades": session.trades[symbol]}
        return {
            "profile": session.book.profile,
            "rulebook": session.book.version,
            "market": market.feed.source,
            "files": {
                of.symbol: [str(path) for path in (*of.quotes, *of.trades, *of.bars)] for of in market.files.symbols
            },
            "notes": list(market.notes),
            "generated": list(GENERATED) if market.is_recorded else ["quotes", "trades", "bars", *GENERATED],
            "seed": session.shape.seed,
            "every_s": session.shape.every_s,
            "quotes": quotes,
            "trades": trades,
            **counts,
            "interrupted": self.interrupted,
            "elapsed_s": round(self.elapsed_s, 3),
            "quotes_per_s": round(quotes / self.elapsed_s) if self.elapsed_s else None,
        }


def watch(
    session: Session,
    view: View,
    *,
    speed: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Run a session. Ctrl-C ends it in good order.

    `speed` is how much faster than the market's own time it may go, None for as fast as it can; no wait is longer than
    a second.
    """
    tally = Tally(session.book, session.market.feed.symbols)
    began = clock()
    previous_ms: int | None = None
    interrupted = False
    try:
        for step in session:
            if speed is not None:
                if previous_ms is not None:
                    sleep(min((step.now_ms - previous_ms) / 1000 / speed, _LONGEST_WAIT_S))
                previous_ms = step.now_ms
            tally.add(step)
            view.show(step, tally)
    except KeyboardInterrupt:
        interrupted = True
    return Report(session, tally, clock() - began, interrupted)
