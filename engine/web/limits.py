"""How much one client may ask for: size, depth and names of what it sends, how slowly it may, and how often it comes.

In: bytes, and the time of an injected clock. Out: an answer, or a `ProblemError`. The numbers are about the server, not
about orders: what decides about those is in `profiles/`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.language.findings import SluiceError
from engine.web.problems import ProblemError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do; the defaults suit one desk on one machine."""

    body_bytes: int = 65_536
    """Size of a request's content; a full set of facts takes about 3,000."""
    body_depth: int = 16
    """How deep JSON may be nested; facts need 4."""
    body_within_s: float = 10.0
    """How long a request's content may take to arrive."""
    head_bytes: int = 65_536
    """Size of a request's head, which is its first line and its headers."""
    head_within_s: float = 10.0
    """How long the head may take to arrive, from when a client has connected or begun, and a web socket to open."""
    request_bytes: int = 2_000_000
    """Size of any request on the wire, those of pages too."""
    answer_within_s: float = 30.0
    """How long a client may leave what waits for it, of an answer or on a web socket."""
    connections: int = 1_000
    """Open ones, web sockets too."""
    connections_a_client: int = 250
    """The same, of one client."""
    pages: int = 250
    """Open ones, those too that nobody has looked at since a minute: each takes up to 2 MB."""
    requests_per_s: float = 10_000.0
    """Of one client, all requests together."""
    requests_burst: float = 20_000.0
    intents_per_s: float = 100.0
    """Of one client."""
    intents_burst: float = 500.0
    journaled_within_s: float = 5.0
    """How long the answer on an intent waits until the journal has it; one that waits longer is `handed`."""
    failures_per_s: float = 0.2
    """Wrong tokens of one client: after `failures_burst` of them, one in five seconds is looked at. On loopback, where
    all programs are one client, the right one passes."""
    failures_burst: float = 10.0
    lines_per_s: float = 10.0
    """Lines of the log about requests of one client that are refused or fail; the metrics count those left out."""
    lines_burst: float = 100.0
    searches_at_once: int = 4
    """Decisions that are looked for in old days of the journal at the same time, waiting ones included."""
    metrics_every_s: float = 0.5
    """Metrics are made anew so often; who asks sooner gets the last ones."""
    unread_bytes: int = 16_000_000
    """Of the journal, from which on the server is not ready: what it knows of the session is too old."""
    clients: int = 4_096
    """Clients that are told apart; those that were quiet longest are forgotten, with what they had used up."""


class Buckets:
    """A token bucket a client: it holds `burst` tokens, gets `per_s` a second, and each request takes one.

    Bounded: of more than `clients` the one that came first is forgotten.
    """

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float], clients: int) -> None:
        """`clock` gives seconds that never go back."""
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._clients = clients
        self._held: dict[str, tuple[float, float]] = {}
        """Tokens and the time they were counted, by client, those that came last at the end."""

    def take(self, client: str) -> float:
        """Take a token; 0 where there was one, else the seconds until there is."""
        tokens = self._tokens(client)
        if tokens >= 1.0:
            self._put(client, tokens - 1.0)
            return 0.0
        self._put(client, tokens)
        return (1.0 - tokens) / self._per_s

    def is_empty(self, client: str) -> bool:
        """Whether the next `take` would have to wait."""
        return self._tokens(client) < 1.0

    def __len__(self) -> int:
        return len(self._held)

    def _tokens(self, client: str) -> float:
        held = self._held.get(client)
        if held is None:
            return self._burst
        tokens, at_s = held
        return min(self._burst, tokens + (self._clock() - at_s) * self._per_s)

    def _put(self, client: str, tokens: float) -> None:
        self._held.pop(client, None)
        self._held[client] = (tokens, self._clock())
        if len(self._held) > self._clients:
            del self._held[next(iter(self._held))]


class FullError(SluiceError):
    """Too many ask for the same thing at once."""

    def __init__(self) -> None:
        super().__init__("too many others ask at the moment: try again")
        self.message = str(self)


class Room:
    """Room for so many at once. Who finds none is told so, rather than kept waiting. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def take(self) -> Iterator[None]:
        """Be one of them. Raises `FullError` where there is no room."""
        if not self._free:
            raise FullError
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


def client_of(host: str | None) -> str:
    """Whom a request counts for: an IPv4 address, or the /64 that an IPv6 address lies in.

    >>> client_of("10.0.0.7"), client_of("2001:db8::1:2"), client_of(None)
    ('10.0.0.7', '2001:db8::/64', '')
    """
    if host is None or ":" not in host:
        return host or ""
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def refuse_often(wait_s: float) -> None:
    """Raise `ProblemError` where a bucket says to wait."""
    if wait_s > 0.0:
        shown = max(1, math.ceil(wait_s))
        raise ProblemError(
            "rate-limited", "this client asks too often", f"wait {shown} s", headers={"Retry-After": str(shown)}
        )


async def read_body(
    headers: dict[bytes, bytes], receive: Callable[[], Awaitable[MutableMapping[str, Any]]], limits: Limits
) -> bytes:
    """The content of a request.

    Raises:
        ProblemError: where it is larger than allowed, whatever its head says of it, or takes too long to come.

    """
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > limits.body_bytes:
        raise _too_large(limits)
    message = await _next(receive, limits)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _rest(body, receive, limits)
    if len(body) > limits.body_bytes:
        raise _too_large(limits)
    return body


async def _next(receive: Callable[[], Awaitable[MutableMapping[str, Any]]], limits: Limits) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout(limits.body_within_s):
            message = await receive()
    except TimeoutError:
        raise _too_slow(limits) from None
    if message["type"] == "http.disconnect":
        raise ProblemError("malformed", "the client went away before its request was complete")
    return message


async def _rest(body: bytes, receive: Callable[[], Awaitable[MutableMapping[str, Any]]], limits: Limits) -> bytes:
    """A content that comes in parts: all of them within the time of one."""
    parts, size = [body], len(body)
    try:
        async with asyncio.timeout(limits.body_within_s):
            while size <= limits.body_bytes:
                message = await _next(receive, limits)
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise _too_slow(limits) from None
    return b"".join(parts)


def _too_large(limits: Limits) -> ProblemError:
    return ProblemError(
        "too-large",
        f"the content is larger than {limits.body_bytes} bytes",
        "send less at once",
        headers={"Connection": "close"},
    )


def _too_slow(limits: Limits) -> ProblemError:
    return ProblemError(
        "too-slow",
        f"the content did not arrive within {limits.body_within_s:g} s",
        headers={"Connection": "close"},
    )


_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
"""Texts, which are passed over, and what opens and closes."""


def refuse_deep(body: bytes, most: int) -> None:
    r"""Refuse JSON that is nested deeper than `most`; what is no JSON passes or not, its reader will say.

    >>> refuse_deep(b'{"a": ["}", "\\"[["]}', 2)

    Raises:
        ProblemError: for what is too deep.

    """
    if body.count(b"{") + body.count(b"[") <= most:
        return
    depth = 0
    for mark in _MARKS.finditer(body):
        first = body[mark.start()]
        if first in b"{[":
            depth += 1
            if depth > most:
                raise ProblemError("too-large", f"the content is nested deeper than {most} levels", "flatten it")
        elif first in b"}]":
            depth -= 1


def refuse_doubled(body: bytes, read: object, level: int = 0) -> None:
    r"""Refuse JSON that names something twice in one object: which of the two was meant, nobody can say.

    `read` is what a reader that takes the last one made of it, `level` how many names above it were read elsewhere.

    >>> refuse_doubled(b'{"a": {"b:": 1}, "b": ":"}', {"a": {"b:": 1}, "b": ":"})

    Raises:
        ProblemError: for what has a name twice.

    """
    # Each name stands before a colon, and few contents have any others: as many of both, and no name was lost.
    if body.count(b":") != level + _names_in(read):
        json.loads(body, object_pairs_hook=_named_once)


def _names_in(read: object) -> int:
    if isinstance(read, dict):
        return len(read) + sum(_names_in(held) for held in read.values() if isinstance(held, dict | list))
    return sum(_names_in(held) for held in read if isinstance(held, dict | list)) if isinstance(read, list) else 0


def _named_once(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise ProblemError("refused", f"`{name[:100]}` is said twice in one object", "say it once")
        names.add(name)
