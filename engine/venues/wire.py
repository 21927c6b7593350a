"""What a venue and its clients say to each other on a socket: lines of JSON, one frame each.

A client begins with `hello`, and the venue answers `welcome` and then one `history` for each symbol; after that both
speak when they like. A client sends requests as `messages` has them, and `seen`, which is how far it has come with the
market. The venue sends `events` of its market, `said` with the messages of the account, `tick` so that time is known
while nothing happens, and `ended` once when the market is over:

    > {"request":"hello","v":1,"client":"router"}
    < {"frame":"welcome","v":1,"venue":"paper","now_ms":1704067200000,"symbols":[…],"market":"generated, seed 7",…}
    < {"frame":"history","symbol":"BTCUSDT","bars_of":"prints","bars":[…],"quote":null}
    < {"frame":"events","events":[{"event":"quote","symbol":"BTCUSDT","ts_ms":1704067200014,"bid":60000.1,…}]}
    > {"request":"cancel","client_id":"a-1","symbol":"BTCUSDT"}
    > {"request":"seen","events":16}
    < {"frame":"said","now_ms":1704067200050,"messages":[{"message":"accepted","client_id":"a-1","asked":"cancel",…}]}
    < {"frame":"tick","now_ms":1704067200100}

Everything on a connection stands in the order in which it happened at the venue. Times of frames are the venue's.

A line that cannot be used (too long, no JSON, no such frame, another version, a number that is none) is answered with
an `error` frame, and the connection is closed: after it nobody knows what the other side took in. Fields that a reader
does not know are skipped, so fields may be added; anything else is a new version.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from engine.market import Bar, Event, Quote
from engine.venues.messages import Cancel, Fill, Kind, Message, Place, Query, Side, Status
from engine.venues.rules import SymbolRules

VERSION = 1
"""Of the frames; both sides must have the same."""

REQUEST_LIMIT = 64 * 1024
"""Bytes in a line of a client."""

FRAME_LIMIT = 16 * 1024 * 1024
"""Bytes in a line of a venue: an order of 60,000 trades in a `true_order`, which is the longest there is."""

Fault: TypeAlias = Literal[
    "line_too_long", "not_json", "bad_frame", "bad_number", "no_hello", "wrong_version", "not_allowed", "too_slow"
]
"""Why a connection is closed."""

BarsOf: TypeAlias = Literal["prints", "mids"]
"""What the one-minute bars of a symbol are made of; mids where the market has no prints of it."""


class Hello(msgspec.Struct, frozen=True, tag_field="request", tag="hello"):
    """The first frame of a client."""

    v: int
    client: str = ""
    """For people."""
    market: bool = True
    """Whether it wants the market. A client that does not is never waited for."""


class Seen(msgspec.Struct, frozen=True, tag_field="request", tag="seen"):
    """How many events of this connection the client has taken; the venue is never far ahead of it."""

    events: int


class AskTruth(msgspec.Struct, frozen=True, tag_field="request", tag="truth"):
    """Ask for everything the venue knows of the account. For tests: only a client on the same machine may."""


ClientFrame: TypeAlias = Hello | Seen | AskTruth | Place | Cancel | Query


class Welcome(msgspec.Struct, frozen=True, tag_field="frame", tag="welcome"):
    """The answer to `hello`."""

    v: int
    venue: str
    now_ms: int
    symbols: list[SymbolRules]
    market: str
    """The feed, for people."""
    settings: dict[str, Any]
    """What was chosen where the venue was started: seed, speed, bounds, fees, faults."""
    histories: int
    """So many `history` frames follow."""
    window: int
    """The most events that are sent ahead of what the client has `seen`."""
    ended: bool
    """Whether the market is over; requests are answered all the same."""


class History(msgspec.Struct, frozen=True, tag_field="frame", tag="history"):
    """What a client that comes late needs of a symbol."""

    symbol: str
    bars_of: BarsOf
    bars: list[Bar]
    """Closed one-minute bars, oldest first, up to now."""
    quote: Quote | None
    """The last one, None before the first."""


class Events(msgspec.Struct, frozen=True, tag_field="frame", tag="events"):
    """The market goes on."""

    events: list[Event]


class Said(msgspec.Struct, frozen=True, tag_field="frame", tag="said"):
    """Messages of the account, those of other clients' orders among them."""

    now_ms: int
    """When they left the venue; the time within each is that of what it tells."""
    messages: list[Message]


class Tick(msgspec.Struct, frozen=True, tag_field="frame", tag="tick"):
    """Time goes on."""

    now_ms: int


class Ended(msgspec.Struct, frozen=True, tag_field="frame", tag="ended"):
    """The market is over. The venue is not: it answers, and time goes on in ticks."""

    now_ms: int
    reason: str


class TrueOrder(msgspec.Struct, frozen=True, tag_field="frame", tag="true_order"):
    """An order as the venue has it, whatever it told anyone."""

    client_id: str
    symbol: str
    side: Side
    kind: Kind
    qty: Decimal
    price: Decimal | None
    reduce_only: bool
    status: Status
    filled: Decimal
    fills: list[Fill]
    """Each trade once."""


class TrueEnd(msgspec.Struct, frozen=True, tag_field="frame", tag="true_end"):
    """The end of the answer to `truth`, after all orders."""

    now_ms: int
    orders: int
    positions: dict[str, Decimal]
    """By symbol, negative is short; none where it is 0."""


class Failed(msgspec.Struct, frozen=True, tag_field="frame", tag="error"):
    """Why the venue closes this connection."""

    code: Fault
    text: str


VenueFrame: TypeAlias = Welcome | History | Events | Said | Tick | Ended | TrueOrder | TrueEnd | Failed


class WireError(Exception):
    """A line that cannot be used, or a side that does not keep to the protocol: the code and a sentence."""

    def __init__(self, code: Fault, text: str) -> None:
        super().__init__(text)
        self.code: Fault = code
        self.text = text


class Lines:
    """Cuts what arrives on a connection into lines, wherever the network cut it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []  # of a line whose end has not come yet
        self._held = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are complete with this piece, without their ends.

        Raises `WireError` after them where the next one is longer than the limit, whether or not its end is there.
        """
        *lines, rest = data.split(b"\n")
        for piece in lines:
            line = piece
            if self._parts:
                self._parts.append(piece)
                line = b"".join(self._parts)
                self._parts.clear()
                self._held = 0
            self._check(len(line))
            yield line
        if rest:
            self._parts.append(rest)
            self._held += len(rest)
            self._check(self._held)

    def _check(self, length: int) -> None:
        if length > self._limit:
            raise WireError("line_too_long", f"a line is longer than {self._limit} bytes")


_Frame = TypeVar("_Frame")


class _Reader(Generic[_Frame]):
    """Turns the lines of one side into frames."""

    def __init__(self, frames: Any) -> None:
        self._decoder: msgspec.json.Decoder[_Frame] = msgspec.json.Decoder(frames)

    def __call__(self, line: bytes) -> _Frame:
        try:
            return self._decoder.decode(line)
        except msgspec.ValidationError as error:
            raise WireError("bad_frame", f"no frame of this protocol: {_lowered(error)}") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WireError("not_json", f"no JSON: {_lowered(error)}") from None
        except RecursionError:
            raise WireError("not_json", "no JSON that can be read: nested too deeply") from None


_read_client_frame = _Reader[ClientFrame](ClientFrame)

read_venue_frame = _Reader[VenueFrame](VenueFrame)
"""A line of a venue as a frame; raises `WireError`."""

_encoder = msgspec.json.Encoder()


def read_client_frame(line: bytes) -> ClientFrame:
    """A line of a client as a frame; raises `WireError`.

    Quantities and prices are finite and of a size that occurs; what else is wrong with a request is for the venue to
    refuse.
    """
    frame = _read_client_frame(line)
    if isinstance(frame, Place):
        for name, number in (("qty", frame.qty), ("price", frame.price)):
            if number is not None and not _is_plain(number):
                raise WireError("bad_number", f"`{name}` is {number}: give a finite number below 1e30")
    return frame


def written(frame: ClientFrame | VenueFrame) -> bytes:
    """A frame as a line, with its end."""
    return _encoder.encode(frame) + b"\n"


def _is_plain(number: Decimal) -> bool:
    """Whether arithmetic with it stays finite and cheap: `1e999999999` is short as text alone."""
    return number.is_finite() and (number == 0 or -30 <= number.adjusted() <= 30)


def _lowered(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
