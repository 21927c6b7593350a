"""What a venue's refusals mean: each code belongs to one class, and the class says what may be done.

In: a `Rejected` message. Out: its class. A refusal that is not known here is `refused`, which nothing resends; one that
leaves the fate of an order open is `unclear`, whatever the venue's documentation says of it.

Source: Binance USD-M futures documentation (error codes, general information), and field reports of -1008 orders that
had been placed although the documentation says they were not.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from engine.venues.messages import Rejected

Refusal: TypeAlias = Literal[
    "unclear", "post_only", "reduce_only", "missed", "absent", "duplicate", "clock", "rate_limit", "busy", "refused"
]
"""What a refusal means.

`unclear`: the order may exist, ask. `post_only`: it would have taken, a count and no error. `reduce_only`: there is
nothing to reduce, or another reduce-only order rests. `missed`: nothing to cancel, ask why. `absent`: no such order, so
far. `duplicate`: this id is open already, adopt it. `clock`: once more. `rate_limit`: wait, all of you. `busy`: not
executed, may be sent again later. `refused`: not executed, and sending it again would not help.
"""

_BY_CODE: dict[int, Refusal] = {
    -1006: "unclear",
    -1007: "unclear",
    -1008: "unclear",
    -1021: "clock",
    -5028: "clock",
    -2011: "missed",
    -2013: "absent",
    -2022: "reduce_only",
    -4118: "reduce_only",
    -4116: "duplicate",
    -5022: "post_only",
    -1003: "rate_limit",
    -1015: "rate_limit",
    403: "rate_limit",
    418: "rate_limit",
    429: "rate_limit",
}

HELD_BACK = 429
"""The code of a request that was never sent, because the venue had just asked for a rest."""

_NOT_EXECUTED = ("service unavailable", "internal error; unable to process")


def refusal_of(message: Rejected) -> Refusal:
    """The class of a refusal."""
    if message.code == 503:
        # Three texts share this number; one that is none of the two below may have been executed.
        text = message.text.lower()
        return "busy" if text.startswith(_NOT_EXECUTED) else "unclear"
    return _BY_CODE.get(message.code, "refused")
