"""The life of an order: which state follows which, as one table, and how much of an order may still be executed.

In: what was sent and what the venue said. Out: the order's state, its fills by trade id, and `possible`, the quantity
that may yet turn out to be executed. Nothing here sends anything.

Three rules keep exposure from doubling. A fill counts by its trade id, once, whatever else the venue says. A quantity
that the venue reports as executed, and of which no trade was seen, stays possible until its trades are seen. And an
order that is over stays over: an answer that was on its way before it ended does not bring it back, save one that was
only believed never to have existed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias, get_args

from engine.journal.events import OrderPlanned
from engine.venues.codes import refusal_of
from engine.venues.messages import Accepted, Fill, Message, Rejected, Status, Unknown, Update

State: TypeAlias = Literal[
    "planned", "open", "cancelling", "unknown", "filled", "cancelled", "expired", "rejected", "absent"
]
"""`planned`: journaled, so it may have been sent. `unknown`: ask before anything else. The last five are over."""

Input: TypeAlias = Literal[
    "acknowledged",
    "found_open",
    "is_filled",
    "is_cancelled",
    "is_expired",
    "is_rejected",
    "refused",
    "unclear",
    "part_filled",
    "all_filled",
    "cancel_sent",
    "cancel_missed",
    "cancel_refused",
    "cancel_unclear",
    "not_found",
    "query_failed",
    "proved_absent",
]
"""What can happen to an order, as far as its state goes."""

OVER: frozenset[State] = frozenset({"filled", "cancelled", "expired", "rejected", "absent"})
"""States in which nothing more can be executed than the venue has said."""

_ENDS: dict[Input, State] = {
    "is_filled": "filled",
    "is_cancelled": "cancelled",
    "is_expired": "expired",
    "is_rejected": "rejected",
    "all_filled": "filled",
}


def _stays(state: State) -> dict[Input, State]:
    """What an order that is over makes of answers that come late: nothing; a late fill counts, and ends nothing."""
    late: tuple[Input, ...] = (
        "acknowledged",
        "found_open",
        "is_cancelled",
        "is_expired",
        "is_rejected",
        "unclear",
        "part_filled",
        "cancel_sent",
        "cancel_missed",
        "cancel_refused",
        "cancel_unclear",
        "not_found",
        "query_failed",
        "proved_absent",
    )
    return {**dict.fromkeys(late, state), "is_filled": "filled", "all_filled": "filled"}


TRANSITIONS: dict[State, dict[Input, State]] = {
    "planned": _ENDS
    | {
        "acknowledged": "open",
        "found_open": "open",
        "refused": "rejected",
        "unclear": "unknown",
        "part_filled": "open",
        "cancel_sent": "cancelling",
        "not_found": "unknown",
        "query_failed": "planned",
    },
    "open": _ENDS
    | {
        "acknowledged": "open",
        "found_open": "open",
        "unclear": "unknown",
        "part_filled": "open",
        "cancel_sent": "cancelling",
        # The answers to a cancel that was sent before a query found the order open again.
        "cancel_missed": "unknown",
        "cancel_refused": "open",
        "cancel_unclear": "unknown",
        "not_found": "unknown",
        "query_failed": "open",
    },
    "cancelling": _ENDS
    | {
        "acknowledged": "cancelling",
        # It was asked for after the cancel was sent: the cancel got lost, and has to be sent again.
        "found_open": "open",
        "refused": "rejected",
        "unclear": "unknown",
        "part_filled": "cancelling",
        "cancel_sent": "cancelling",
        "cancel_missed": "unknown",
        "cancel_refused": "open",
        "cancel_unclear": "unknown",
        "not_found": "unknown",
        "query_failed": "cancelling",
    },
    "unknown": _ENDS
    | {
        "acknowledged": "open",
        "found_open": "open",
        "refused": "rejected",
        "unclear": "unknown",
        "part_filled": "unknown",
        "cancel_sent": "unknown",
        "cancel_missed": "unknown",
        "cancel_refused": "unknown",
        "cancel_unclear": "unknown",
        "not_found": "unknown",
        "query_failed": "unknown",
        "proved_absent": "absent",
    },
    "filled": _stays("filled"),
    "cancelled": _stays("cancelled"),
    "expired": _stays("expired"),
    # An order that was refused and then lives contradicts the venue: that is listed nowhere, and looked up.
    "rejected": {
        each: state
        for each, state in _stays("rejected").items()
        if each not in ("acknowledged", "found_open", "part_filled", "all_filled", "is_filled")
    }
    | {"refused": "rejected"},
    # Proven never to have existed by silence alone, so whatever speaks of it is right.
    "absent": _ENDS
    | {
        "acknowledged": "open",
        "found_open": "open",
        "refused": "rejected",
        "unclear": "absent",
        "part_filled": "open",
        "cancel_missed": "absent",
        "cancel_refused": "absent",
        "cancel_unclear": "absent",
        "not_found": "absent",
        "query_failed": "absent",
        "proved_absent": "absent",
    },
}
"""The table: for each state, what each input makes of it. What is not listed makes the order `unknown`, so it is asked
for; the router journals that it happened."""

_BY_STATUS: dict[Status, Input] = {
    "filled": "is_filled",
    "cancelled": "is_cancelled",
    "expired": "is_expired",
    "rejected": "is_rejected",
}


class Order:
    """One order and what is known of it."""

    __slots__ = (
        "absence_query",
        "absences",
        "acked_ms",
        "cancel_ms",
        "client_id",
        "filled",
        "over_ms",
        "plan",
        "post_only_rejected",
        "queries",
        "query_ms",
        "reported",
        "state",
        "trade_ids",
        "unlisted",
        "vain_answers",
    )

    def __init__(self, plan: OrderPlanned) -> None:
        self.plan = plan
        self.client_id = plan.client_id
        self.state: State = "planned"
        self.filled = Decimal(0)
        """By trades that were seen."""
        self.reported = Decimal(0)
        """The most that the venue said was executed."""
        self.trade_ids: set[str] = set()
        self.post_only_rejected = False
        """Whether it was refused because it would have taken, by code or as expired at once."""
        self.acked_ms: int | None = None
        self.cancel_ms: int | None = None
        """Last cancel sent."""
        self.query_ms: int | None = None
        """Last query sent."""
        self.over_ms: int | None = None
        """When it was first heard that it had ended."""
        self.queries = 0
        self.vain_answers = 0
        """Answers to queries after which trades that were reported are still missing."""
        self.absences = 0
        """Queries in a row that found nothing; an answer that comes twice counts once."""
        self.absence_query = 0
        """The number of the query that was counted last."""
        self.unlisted: list[str] = []
        """What happened to it that no transition is listed for."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, as far as the venue says."""
        return self.state in OVER

    @property
    def unseen(self) -> Decimal:
        """Reported as executed, without a trade so far; never below 0."""
        return max(self.reported - self.filled, Decimal(0))

    @property
    def possible(self) -> Decimal:
        """The most that may yet turn out to be executed beyond `filled`."""
        if self.is_over:
            return self.unseen
        return max(self.plan.qty - self.filled, self.unseen)

    @property
    def is_settled(self) -> bool:
        """Over, and every quantity executed is known by its trades."""
        return self.is_over and self.reported <= self.filled

    def move(self, happened: Input) -> None:
        """Go on to the next state; where the table lists none, the order is unknown from here on."""
        following = TRANSITIONS[self.state].get(happened)
        if following is None:
            self.unlisted.append(f"{happened} while {self.state}")
            following = "unknown"
        self.state = following

    def hear(self, message: Message) -> None:
        """Take what the venue says of this order."""
        happened = self._read(message)
        if happened is not None:
            self.move(happened)
        if isinstance(message, Accepted | Rejected) and message.asked == "query" and self.is_over and self.unseen:
            self.vain_answers += 1

    def _read(self, message: Message) -> Input | None:
        """What a message means for the state; None for a fill that was seen before."""
        match message:
            case Fill():
                return self._take_fill(message)
            case Accepted() | Update():
                self.reported = max(self.reported, message.filled)
                self.absences = 0
                return self._read_status(message)
            case Rejected(asked="place"):
                refusal = refusal_of(message)
                if refusal in ("unclear", "duplicate"):
                    return "unclear"
                self.post_only_rejected = refusal == "post_only"
                return "refused"
            case Rejected(asked="cancel"):
                match refusal_of(message):
                    case "missed" | "absent":
                        return "cancel_missed"
                    case "unclear" | "duplicate":
                        return "cancel_unclear"
                return "cancel_refused"
            case Rejected():
                if refusal_of(message) != "absent":
                    return "query_failed"
                if self.queries > self.absence_query:
                    self.absences += 1
                    self.absence_query = self.queries
                return "not_found"
            case Unknown(asked="place"):
                return "unclear"
            case Unknown(asked="cancel"):
                return "cancel_unclear"
        return "query_failed"

    def _take_fill(self, fill: Fill) -> Input | None:
        if fill.trade_id in self.trade_ids:
            return None
        self.trade_ids.add(fill.trade_id)
        self.filled += fill.qty
        self.absences = 0
        return "all_filled" if self.filled >= self.plan.qty else "part_filled"

    def _read_status(self, message: Accepted | Update) -> Input:
        status = message.status
        if status == "open":
            return "found_open" if isinstance(message, Accepted) and message.asked == "query" else "acknowledged"
        # A post-only order that would have taken comes back expired, without an error and without having rested.
        if status == "expired" and self.plan.kind == "post_only" and message.filled == 0:
            self.post_only_rejected = True
        return _BY_STATUS[status]


def listed() -> tuple[tuple[State, Input, State], ...]:
    """Every transition of the table, in order, for documents and tests."""
    return tuple(
        (state, happened, TRANSITIONS[state][happened])
        for state in get_args(State)
        for happened in get_args(Input)
        if happened in TRANSITIONS[state]
    )
