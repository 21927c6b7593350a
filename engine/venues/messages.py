"""What is said to a venue and what it says back: the whole protocol, as typed messages.

A router sends a `Request`: `Place`, `Cancel` or `Query`. Each is answered with one of three outcomes: `Accepted`,
`Rejected` with the venue's code, or `Unknown`, where nobody can say whether the venue acted (a time-out after the send,
HTTP 503 "Unknown error"). Beside the answers a venue reports `Fill`s, each with its trade id, and `Update`s of an
order's state. Answers may come late, twice, or never, and in another order than things happened.

Quantities and prices are `Decimal`, in the base and the quote asset: what a venue is sent is what was rounded, digit
for digit. Times are milliseconds since 1970 UTC on the venue's clock.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

Side: TypeAlias = Literal["buy", "sell"]

Kind: TypeAlias = Literal["post_only", "ioc", "market"]
"""How an order is sent: GTX, which never takes; IOC, which never rests; or at the market."""

Status: TypeAlias = Literal["open", "filled", "cancelled", "expired", "rejected"]
"""What the venue says an order is. `expired` is also what a post-only order becomes that would have taken."""

Asked: TypeAlias = Literal["place", "cancel", "query"]
"""Which request an answer belongs to."""


class Place(msgspec.Struct, frozen=True, tag_field="request", tag="place"):
    """Send an order."""

    client_id: str
    """At most 36 characters of `[.A-Z:/a-z0-9_-]`; unique among open orders only, so never used twice."""
    symbol: str
    side: Side
    qty: Decimal
    kind: Kind
    price: Decimal | None
    """The limit; None for an order at the market."""
    reduce_only: bool


class Cancel(msgspec.Struct, frozen=True, tag_field="request", tag="cancel"):
    """Take an order back."""

    client_id: str
    symbol: str


class Query(msgspec.Struct, frozen=True, tag_field="request", tag="query"):
    """Ask what became of an order. Its fills come first, each of them again, and then the answer."""

    client_id: str
    symbol: str


Request: TypeAlias = Place | Cancel | Query


def asked_of(request: Request) -> Asked:
    """What its answer will say was asked."""
    return "place" if isinstance(request, Place) else "cancel" if isinstance(request, Cancel) else "query"


class Accepted(msgspec.Struct, frozen=True, tag_field="message", tag="accepted"):
    """The venue did what was asked: the order was placed, was cancelled, or is as described."""

    ts_ms: int
    client_id: str
    asked: Asked
    status: Status
    filled: Decimal
    """Cumulative quantity executed, as the venue counts it; never itself a fill, those come by trade id."""


class Rejected(msgspec.Struct, frozen=True, tag_field="message", tag="rejected"):
    """The venue refused, and nothing was done."""

    ts_ms: int
    client_id: str
    asked: Asked
    code: int
    """The venue's own number, such as -5022; HTTP's where there is none (429)."""
    text: str
    retry_after_ms: int = 0
    """How long the venue asks to wait; 0 where it does not say."""


class Unknown(msgspec.Struct, frozen=True, tag_field="message", tag="unknown"):
    """Nobody knows whether the venue did it."""

    ts_ms: int
    client_id: str
    asked: Asked
    cause: str


class Fill(msgspec.Struct, frozen=True, tag_field="message", tag="fill"):
    """An execution. The same trade id may be reported more than once; it counts once."""

    ts_ms: int
    client_id: str
    trade_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    """In the quote asset; negative is a rebate."""
    is_maker: bool


class Update(msgspec.Struct, frozen=True, tag_field="message", tag="update"):
    """The venue says unasked what an order is now."""

    ts_ms: int
    client_id: str
    status: Status
    filled: Decimal
    """Cumulative quantity executed, as the venue counts it."""


Message: TypeAlias = Accepted | Rejected | Unknown | Fill | Update
