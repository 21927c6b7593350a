"""The one protocol every venue speaks: take requests without waiting, hand out messages when they are there.

An embedded venue lives in the time of the market it is given (`next_ms` says when its next message is due), a venue on
a socket in its own. A router never waits inside `send`: whatever becomes of a request arrives as a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.market import Event
from engine.venues.messages import Message, Request


class Venue(Protocol):
    """Where orders go."""

    @property
    def name(self) -> str:
        """For journals and people, such as `paper`."""

    def send(self, request: Request, now_ms: int) -> None:
        """Hand a request over; returns at once and never raises for what the venue may have against it.

        What was handed over and has not left when the venue asks for a rest (429, 418, 403) is rejected with that code
        and what is left of the wait, and does not leave: one gate for the whole venue, here as in the router.
        """

    def set_clock(self, now_ms: int) -> None:
        """The venue said that our clock is off (-1021, -5028): go by its own, for every request handed over from now
        on. Returns at once. Nothing to do for a venue whose requests bear no time.
        """

    def next_ms(self) -> int | None:
        """When the next message is due, in the venue's time; None while nothing is on its way, or nobody can know."""

    def receive(self, now_ms: int) -> Sequence[Message]:
        """The messages due by `now_ms`, in the order in which they arrive."""


class EmbeddedVenue(Venue, Protocol):
    """A venue inside this process, which lives off the same market as the router."""

    def see(self, event: Event) -> None:
        """Take the next event of the market; times may only grow."""
