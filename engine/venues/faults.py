"""What can go wrong between a router and a venue, made to happen: which fault, to which request, how likely.

In: a seed and `Faults`, which gives likelihoods for each kind of request, and scripts for single orders. Out: for each
request and each fill event its fate. A fate depends on the seed, the client order id, the kind of request, and how many
of that kind came before for that id, and on nothing else: another order more or less changes no fate but its own.

What the faults stand for, on Binance USD-M futures (general information and error codes of its documentation, and the
field reports named here):

| fault | the venue | the router hears |
|---|---|---|
| `timeout` | does it | `Unknown` after `timeout_ms`, counted from the send |
| `unknown` | does it or not, half and half | `Unknown`: HTTP 503 "Unknown error…" |
| `unavailable` | does nothing | 503 "Service Unavailable." |
| `internal_error` | does nothing | 503 "Internal error; unable to process…" |
| `clock` | does nothing | -1021: the router's clock is off |
| `overloaded` | does nothing | -1008 |
| `overloaded_done` | does it, against its documentation | -1008 |
| `rate_limit` | does nothing, nor anything else for `retry_after_ms` | 429, to each request of that time |
| `ban` | does nothing, nor anything else for `ban_ms` | 418, to each request of that time |
| `not_found` | knows the order; for queries | -2013: a copy that answers is behind |
| `out_of_order` | does it | the answer `disorder_ms` late, after what happened next |

Orders that only reduce a position are exempt from -1008. An event of a fill can be `late` (by `late_ms`: when a cancel
ends the order meanwhile, the fill comes after the cancel's answer), `duplicate` (again after `duplicate_ms`) or `lost`
(only a query finds it). The event that says an order is filled is the event of its last fill, and shares its fate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import Struct
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from engine.venues.messages import Asked

RequestFault: TypeAlias = Literal[
    "timeout",
    "unknown",
    "unavailable",
    "internal_error",
    "clock",
    "overloaded",
    "overloaded_done",
    "rate_limit",
    "ban",
    "not_found",
    "out_of_order",
]
"""What can become of a request."""

FillFault: TypeAlias = Literal["late", "duplicate", "lost"]
"""What can become of the event of a fill."""


@dataclass(frozen=True, slots=True)
class Script:
    """The faults of one order: of its first, second, … request of a kind, and of its fills; none after the last."""

    place: tuple[RequestFault | None, ...] = ()
    cancel: tuple[RequestFault | None, ...] = ()
    query: tuple[RequestFault | None, ...] = ()
    fill: tuple[FillFault | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, and how often; nothing by default. Raises `ValueError` for likelihoods that are none."""

    place: Mapping[RequestFault, float] = field(default_factory=dict)
    """Likelihood of each fault of an order's placing, 0 to 1; together at most 1."""
    cancel: Mapping[RequestFault, float] = field(default_factory=dict)
    query: Mapping[RequestFault, float] = field(default_factory=dict)
    fill: Mapping[FillFault, float] = field(default_factory=dict)
    scripts: Mapping[str, Script] = field(default_factory=dict)
    """By client order id; for such an order the likelihoods do not count."""
    timeout_ms: int = 5_000
    """How long a router waits for an answer that does not come; ccxt waits 10 s unless it is told otherwise."""
    retry_after_ms: int = 5_000
    ban_ms: int = 120_000
    """By Binance's documentation a ban takes from 2 minutes, the first time, to 3 days."""
    late_ms: int = 2_000
    duplicate_ms: int = 50
    disorder_ms: int = 100

    def __post_init__(self) -> None:
        for kind, likelihoods in self._by_kind().items():
            if not all(0.0 <= one <= 1.0 for one in likelihoods.values()) or sum(likelihoods.values()) > 1.0 + 1e-9:
                raise ValueError(f"likelihoods of faults must be 0 to 1, and of one kind together at most 1: {kind}")
        waits = (
            self.timeout_ms, self.retry_after_ms, self.ban_ms, self.late_ms, self.duplicate_ms, self.disorder_ms
        )  # fmt: skip
        if min(waits) < 0:
            raise ValueError("the waits of faults must not be negative")

    def _by_kind(self) -> Mapping[str, Mapping[RequestFault, float] | Mapping[FillFault, float]]:
        return {"place": self.place, "cancel": self.cancel, "query": self.query, "fill": self.fill}

    @property
    def happen(self) -> bool:
        """Whether anything can go wrong."""
        return bool(self.scripts) or any(any(of.values()) for of in self._by_kind().values())


class RequestFate(NamedTuple):
    """What becomes of a request."""

    fault: RequestFault | None
    is_done: bool
    """Whether the venue does what `unknown` leaves open."""
    uplink_jitter_ms: int
    downlink_jitter_ms: int


class FillFate(NamedTuple):
    """What becomes of the event of a fill."""

    fault: FillFault | None
    downlink_jitter_ms: int


_NO_REQUEST_FATE = RequestFate(None, is_done=True, uplink_jitter_ms=0, downlink_jitter_ms=0)
_NO_FILL_FATE = FillFate(None, 0)

_FOUR_INTEGERS = Struct("<4I")
_RANGE = 1 << 32

_Fault = TypeVar("_Fault", RequestFault, FillFault)


class Fates:
    """Says what becomes of each request and each fill event."""

    def __init__(self, seed: int, faults: Faults, jitter_ms: int) -> None:
        self._seed = seed
        self._faults = faults
        self._jitter_ms = jitter_ms
        self._is_idle = not jitter_ms and not faults.happen
        self._likelihoods: Mapping[Asked, Mapping[RequestFault, float]] = {
            "place": faults.place, "cancel": faults.cancel, "query": faults.query
        }  # fmt: skip
        self._counts: dict[tuple[str, str], int] = {}

    def of_request(self, client_id: str, asked: Asked) -> RequestFate:
        """The fate of the next request of this kind for this order."""
        if self._is_idle:
            return _NO_REQUEST_FATE
        number = self._count(client_id, asked)
        chance, coin, up, down = self._numbers(client_id, asked, number)
        script = self._faults.scripts.get(client_id)
        if script is None:
            fault = _drawn(self._likelihoods[asked], chance)
        else:
            scripted = {"place": script.place, "cancel": script.cancel, "query": script.query}[asked]
            fault = scripted[number] if number < len(scripted) else None
        return RequestFate(fault, coin < 0.5, self._jitter(up), self._jitter(down))

    def of_fill(self, client_id: str) -> FillFate:
        """The fate of the event of this order's next fill."""
        if self._is_idle:
            return _NO_FILL_FATE
        number = self._count(client_id, "fill")
        chance, down, _, _ = self._numbers(client_id, "fill", number)
        script = self._faults.scripts.get(client_id)
        if script is None:
            fault = _drawn(self._faults.fill, chance)
        else:
            fault = script.fill[number] if number < len(script.fill) else None
        return FillFate(fault, self._jitter(down))

    def _count(self, client_id: str, kind: str) -> int:
        """How many of this kind came before."""
        key = (client_id, kind)
        number = self._counts.get(key, 0)
        self._counts[key] = number + 1
        return number

    def _numbers(self, client_id: str, kind: str, number: int) -> tuple[float, float, float, float]:
        """Four numbers in [0, 1). A hash, since making a `Random` for each request takes ten times as long."""
        digest = blake2b(f"{self._seed}/{client_id}/{kind}/{number}".encode(), digest_size=16).digest()
        one, two, three, four = _FOUR_INTEGERS.unpack(digest)
        return one / _RANGE, two / _RANGE, three / _RANGE, four / _RANGE

    def _jitter(self, number: float) -> int:
        return int(number * (self._jitter_ms + 1))


def _drawn(likelihoods: Mapping[_Fault, float], chance: float) -> _Fault | None:
    """The fault that a number in [0, 1) falls on, in the order given."""
    for fault, likelihood in likelihoods.items():
        if chance < likelihood:
            return fault
        chance -= likelihood
    return None
