"""Errors of the API as problem details (RFC 9457): one JSON object with a type, a title, a status and what helps.

In: the name of a kind of problem, and what was wrong this time. Out: a `ProblemError` that any handler may raise, and
the bytes it is answered with. `KINDS` is the list of all that can come; docs/api.md describes each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

CONTENT_TYPE = "application/problem+json"

PREFIX = "urn:sluice:problem:"
"""What the `type` of every problem begins with."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem."""

    status: int
    title: str


KINDS: Final[Mapping[str, Kind]] = {
    "malformed": Kind(400, "The request cannot be read"),
    "token-required": Kind(401, "A token is required"),
    "cross-site": Kind(403, "The request comes from another site"),
    "writes-disabled": Kind(403, "No token is set, so nothing can be written"),
    "not-found": Kind(404, "There is no such thing"),
    "method-not-allowed": Kind(405, "The method is not allowed here"),
    "too-slow": Kind(408, "The request took too long to arrive"),
    "conflict": Kind(409, "The id stands for something else"),
    "too-large": Kind(413, "The request is too large"),
    "not-json": Kind(415, "The content is to be JSON"),
    "wrong-host": Kind(421, "This server does not answer for that host"),
    "refused": Kind(422, "The content was understood and refused"),
    "rate-limited": Kind(429, "Too many requests"),
    "head-too-large": Kind(431, "The head of the request is too large"),
    "defect": Kind(500, "Something is wrong with the server"),
    "no-session": Kind(503, "No session runs here"),
    "not-ready": Kind(503, "The server is not ready"),
    "overloaded": Kind(503, "The server has too much to do"),
}
"""Every kind of problem, by name."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Problem details, as they are answered."""

    type: str
    """`urn:sluice:problem:` and the name of the kind."""
    title: str
    status: int
    detail: str
    """What was wrong this time."""
    help: str
    """What to do about it; empty where nobody knows."""
    instance: str
    """`urn:request:` and the id of the request, which logs say as well."""


class ProblemError(Exception):
    """A request that is answered with a problem."""

    def __init__(
        self,
        name: str,
        detail: str,
        help: str = "",  # noqa: A002 - findings call it help as well
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail
        self.help = help
        self.headers = headers or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.name].status

    def problem(self, request_id: str) -> Problem:
        """What is answered."""
        kind = KINDS[self.name]
        return Problem(
            type=f"{PREFIX}{self.name}",
            title=kind.title,
            status=kind.status,
            detail=self.detail,
            help=self.help,
            instance=f"urn:request:{request_id}",
        )
