"""What admission left: refused by its rules, or too small for the venue.

In: a route decision of the route `none`. Out: which of the two. Nothing was sent on either; whoever counts or shows
them uses these words.
"""

from __future__ import annotations

from typing import Literal

from engine.journal.events import Routed


def is_refused(routed: Routed) -> bool:
    """Whether rules of admission left an intent; one that was left without a veto was too small for the venue."""
    return routed.route == "none" and bool(routed.vetoes)


def left_as(routed: Routed) -> Literal["refused", "too_small"]:
    """What an intent is counted as that was not routed."""
    return "refused" if is_refused(routed) else "too_small"
