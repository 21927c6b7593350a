"""How fresh a page is: which session it shows, and whether that is still written.

In: the model of the present. Out: a `Freshness`, and the line that stands at the top of every page. Two clocks run
here: a snapshot's age is in the time of the market, and how long nothing was written in real time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from engine.routing.shape import RouterShape
from engine.web.live import Live
from engine.web.pages.markup import age, tag

OLD_S = 3 * RouterShape().snapshot_every_ms / 1000
"""Three snapshots were missed."""

State = Literal["empty", "live", "stale", "ended"]

LINE = "freshness"


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
        return Freshness("empty", "no session was seen yet", ("`sluice run` writes the journal that is shown here",))
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
        return Freshness("ended", f"the session has ended: {session.ended}", tuple(details))
    if quiet_s is not None and quiet_s > OLD_S:
        return Freshness("stale", f"stale: nothing was written for {age(quiet_s)}", tuple(details))
    if old_s is not None and old_s > OLD_S:
        return Freshness("stale", f"stale: the last snapshot is {age(old_s)} old in market time", tuple(details))
    return Freshness("live", "live", tuple(details))


_SIGNS = {"empty": "○", "live": "●", "stale": "◷", "ended": "■"}


def freshness_html(live: Live) -> Markup:
    """The line at the top."""
    now = freshness(live)
    sign = tag("i", _SIGNS[now.state], aria_hidden="true")
    details = tag("span", " · ".join(now.details), class_="soft")
    return tag("p", tag("b", sign, " ", now.says), " ", details, id_=LINE, class_=f"fresh {now.state}", role="status")
