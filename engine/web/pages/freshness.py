"""How fresh a page is: which session it shows, and whether that is still written.

In: the model of the present. Out: a `Freshness`, and the line that stands at the top of every page. Two clocks run
here: a snapshot's age is in the time of the market, and how long nothing was written in real time.

The state stands apart from the figures beside it: it is read out when it changes, and they change every second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from engine.routing.shape import RouterShape
from engine.web.live import Live
from engine.web.pages.markup import age, tag

OLD_S = 3 * RouterShape().snapshot_every_ms / 1000
"""Three snapshots were missed."""

State = Literal["empty", "live", "stale", "ended"]

STATE, DETAILS = "fresh-state", "fresh-details"


@dataclass(frozen=True, slots=True)
class Freshness:
    """What is shown of it."""

    state: State
    says: str
    """In words."""
    details: tuple[str, ...]


def freshness(live: Live) -> Freshness:
    """How fresh the model is now."""
    session, health = live.session, live.health
    quiet_s, old_s = live.quiet_s(), live.health_age_s()
    if session is None and live.last_seq == 0:
        return Freshness("empty", "no session was seen yet", ("start one with sluice run: its journal is shown here",))
    details = []
    if health is not None:
        details += [f"tick {health.tick}", f"snapshot {age(old_s)} old in market time"]
    if session is not None:
        details += [f"{session.profile} {session.rulebook[:12]}", f"{session.venue}, {session.market}"]
    if quiet_s is not None:
        details.append(f"written {age(quiet_s)} ago")
    if live.bad_lines:
        details.append(f"{live.bad_lines} broken lines passed over")
    if session is not None and session.ended is not None:
        return Freshness("ended", f"the session has ended: {session.ended.replace('_', ' ')}", tuple(details))
    if quiet_s is not None and quiet_s > OLD_S:
        return Freshness("stale", "stale: nothing is written any more", tuple(details))
    if old_s is not None and old_s > OLD_S:
        return Freshness("stale", "stale: snapshots are missing", tuple(details))
    return Freshness("live", "live", tuple(details))


_SIGNS = {"empty": "○", "live": "●", "stale": "◷", "ended": "■"}


def freshness_parts(live: Live) -> dict[str, Markup]:
    """What changes in the line at the top, by its ids."""
    now = freshness(live)
    sign = tag("i", _SIGNS[now.state], aria_hidden="true")
    return {
        STATE: tag("b", sign, " ", now.says, id_=STATE, class_=now.state),
        DETAILS: tag("span", " · ".join(now.details), id_=DETAILS, class_="soft"),
    }


def freshness_html(parts: Mapping[str, Markup]) -> Markup:
    """The line at the top."""
    return tag("p", tag("span", parts[STATE], role="status"), " ", parts[DETAILS], class_="fresh")
