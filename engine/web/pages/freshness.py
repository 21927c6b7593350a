"""How fresh a page is: which session it shows, and whether that is still written.

In: the model of the present. Out: a `Freshness`, and the line that stands at the top of every page. Two clocks run
here: a snapshot's age is in the time of the market, and how long nothing was written in real time. How long is too
long is judged by the journal's own pace: one that is written many times a second looks quiet after some seconds.

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

_QUIET_GAPS = 5.0
"""A quiet time is so many times the longest gap between the last writes."""
_QUIET_FLOOR_S = 5.0
"""Less is never called quiet: a busy machine may take so long."""
_STALE_AFTER = 4.0
"""So many quiet times, and nobody is taken to write any more."""
_BEHIND_BYTES = 1_000_000
"""More of the journal that was not read, and what is shown is of before: as much is read in a fiftieth of a second."""

State = Literal["empty", "live", "quiet", "stale", "ended"]

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
    unread = _unread(live)
    if session is None and live.last_seq == 0 and unread is None:
        there = f"nothing is written in {live.kept.folder} yet"
        return Freshness("empty", "no session was seen yet", (there, "start one with sluice run"))
    is_over = session is not None and session.ended is not None
    calm_s = quiet_after_s(live.longest_gap_s())
    is_stale = quiet_s is not None and quiet_s > min(OLD_S, _STALE_AFTER * calm_s)
    is_quiet = not (is_over or is_stale or unread) and quiet_s is not None and quiet_s > calm_s
    details = [f"for {age(quiet_s)}"] if is_quiet else []
    if health is not None:
        details += [f"tick {health.tick}", f"snapshot {age(old_s)} old in market time"]
    if session is not None:
        details += [f"{session.profile} {session.rulebook[:12]}", f"{session.venue}, {session.market}"]
    if quiet_s is not None and not is_quiet:
        details.append(f"written {age(quiet_s)} ago")
    if live.bad_lines:
        details.append(f"{live.bad_lines} broken lines passed over")
    if unread is not None:
        return Freshness("stale", f"stale: {unread}", tuple(details))
    if session is not None and session.ended is not None:
        return Freshness("ended", f"the session has ended: {session.ended.replace('_', ' ')}", tuple(details))
    if is_stale:
        return Freshness("stale", "stale: nothing is written any more", tuple(details))
    if old_s is not None and old_s > OLD_S:
        return Freshness("stale", "stale: snapshots are missing", tuple(details))
    if is_quiet:
        return Freshness("quiet", "quiet", tuple(details))
    return Freshness("live", "live", tuple(details))


def _unread(live: Live) -> str | None:
    """Why the model is not what was written, however lately that was; None where it is.

    The ages of a snapshot and of a file say nothing of it: one is by the last event that was read, the other by one
    that was not.
    """
    if (failure := live.failure()) is not None:
        return f"the journal cannot be read: {failure}"
    if live.last_seq and not live.is_caught_up:
        return "the journal is being read"
    if live.unread_bytes() > _BEHIND_BYTES:
        return "the journal is not read to its end"
    return None


def quiet_after_s(longest_gap_s: float | None) -> float:
    """From how many seconds without a write on a journal is called quiet, by the longest gap of lately.

    >>> quiet_after_s(0.4), quiet_after_s(4.0), quiet_after_s(60.0), quiet_after_s(None)
    (5.0, 20.0, 180.0, 180.0)
    """
    return OLD_S if longest_gap_s is None else min(OLD_S, max(_QUIET_FLOOR_S, _QUIET_GAPS * longest_gap_s))


_SIGNS = {"empty": "○", "live": "●", "quiet": "◔", "stale": "◷", "ended": "■"}


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
