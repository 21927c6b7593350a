"""The frames of a venue on a socket: they come back as they were written, and what is no frame says why."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market import Bar, Quote, Trade
from engine.venues.messages import Accepted, Cancel, Fill, Place, Query, Rejected, Unknown, Update
from engine.venues.wire import (
    AskTruth,
    ClientFrame,
    Ended,
    Events,
    Failed,
    Hello,
    History,
    Lines,
    Said,
    Seen,
    Tick,
    TrueEnd,
    TrueOrder,
    VenueFrame,
    Welcome,
    WireError,
    read_client_frame,
    read_venue_frame,
    written,
)
from tests.venues.fake_venue import RULES

QUOTE = Quote("BTCUSDT", 5, 100.1, 100.2, 1.5, 0.1 + 0.2)
BAR = Bar("BTCUSDT", 0, 1.0, 2.0, 0.5, 1.5, 10.0, 59_999)
FILL = Fill(5, "a-1", "77", "BTCUSDT", "sell", Decimal("0.010"), Decimal("100.10"), Decimal("-0.0001"), True)

CLIENT_FRAMES: list[ClientFrame] = [
    Hello(1, "router", market=False),
    Seen(3),
    AskTruth(),
    Place("a-1", "BTCUSDT", "buy", Decimal("0.010"), "post_only", Decimal("100.10"), False),
    Place("a-2", "BTCUSDT", "sell", Decimal(0), "market", None, True),
    Cancel("a-1", "BTCUSDT"),
    Query("a-1", "BTCUSDT"),
]

VENUE_FRAMES: list[VenueFrame] = [
    Welcome(1, "paper", 5, [RULES], "a market", {"seed": 7, "queue": "pessimistic"}, 1, 16, False),
    History("BTCUSDT", "mids", [BAR], QUOTE),
    History("BTCUSDT", "prints", [], None),
    Events([QUOTE, Trade("BTCUSDT", 5, 100.1, 0.5, None), BAR, QUOTE]),
    Said(
        9,
        [
            Accepted(5, "a-1", "place", "open", Decimal("0.010")),
            Rejected(5, "a-1", "cancel", -2011, "Unknown order sent.", 100),
            Unknown(5, "a-1", "query", "timeout"),
            FILL,
            Update(5, "a-1", "expired", Decimal(0)),
        ],
    ),
    Tick(5),
    Ended(5, "the feed is over"),
    TrueOrder("a-1", "BTCUSDT", "buy", "ioc", Decimal(1), Decimal(2), False, "filled", Decimal(1), [FILL]),
    TrueEnd(5, 1, {"BTCUSDT": Decimal("-0.010")}),
    Failed("not_json", "no JSON"),
]


@pytest.mark.parametrize("frame", CLIENT_FRAMES, ids=lambda frame: type(frame).__name__)
def test_a_client_frame_is_a_line_and_comes_back_digit_for_digit(frame: ClientFrame) -> None:
    line = written(frame)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert repr(read_client_frame(line)) == repr(frame)


@pytest.mark.parametrize("frame", VENUE_FRAMES, ids=lambda frame: type(frame).__name__)
def test_a_venue_frame_is_a_line_and_comes_back_digit_for_digit(frame: VenueFrame) -> None:
    line = written(frame)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert repr(read_venue_frame(line)) == repr(frame)


def test_fields_that_are_not_known_are_skipped() -> None:
    assert read_client_frame(b'{"request":"seen","events":3,"more":[{"x":1}]}') == Seen(3)


def place_line(qty: str, price: str = '"1"') -> bytes:
    return (
        b'{"request":"place","client_id":"a","symbol":"B","side":"buy","kind":"ioc","reduce_only":false,'
        b'"qty":%s,"price":%s}' % (qty.encode(), price.encode())
    )


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        (b"", "not_json", "truncated"),
        (b"hello", "not_json", "malformed"),
        (b'{"request":"seen","events":3} x', "not_json", "trailing"),
        (b'{"request":"hello","v":1,"client":"\xff\xfe"}', "not_json", "utf-8"),
        (b'{"request":"seen","events":3,"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "not_json", "nested too deeply"),
        (b"[]", "bad_frame", "array"),
        (b'{"events":3}', "bad_frame", "`request`"),
        (b'{"request":"frobnicate"}', "bad_frame", "frobnicate"),
        (b'{"request":"seen","events":"3"}', "bad_frame", "$.events"),
        (place_line('"0,5"'), "bad_frame", "$.qty"),
        (place_line('"NaN"'), "bad_number", "`qty` is NaN"),
        (place_line('"1"', '"Infinity"'), "bad_number", "`price` is Infinity"),
        (place_line('"1e999999999"'), "bad_number", "`qty`"),
        (place_line('"1"', '"1e-999999999"'), "bad_number", "`price`"),
    ],
)
def test_what_cannot_be_used_says_why(line: bytes, code: str, text: str) -> None:
    with pytest.raises(WireError) as caught:
        read_client_frame(line)
    assert caught.value.code == code
    assert text in caught.value.text


def test_a_number_that_a_venue_may_refuse_gets_through_to_it() -> None:
    for qty in ('"-1"', '"0"', "0.1", '"0E-40"'):
        frame = read_client_frame(place_line(qty))
        assert isinstance(frame, Place)
        assert frame.qty <= Decimal("0.1")


@given(
    st.binary(max_size=200)
    | st.sampled_from([written(frame) for frame in CLIENT_FRAMES]).flatmap(
        lambda line: st.tuples(st.integers(0, len(line) - 1), st.integers(0, 255)).map(
            lambda change: line[: change[0]] + bytes([change[1]]) + line[change[0] + 1 :]
        )
    )
)
def test_any_bytes_are_a_frame_or_an_error_of_the_protocol(line: bytes) -> None:
    with suppress(WireError):
        frame = read_client_frame(line)
        assert read_client_frame(written(frame)) == frame


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=10), st.data())
def test_lines_are_the_same_wherever_the_network_cuts_them(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    splitter = Lines(20)
    got: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got.extend(splitter.feed(stream[start:end]))
    assert got == lines


@pytest.mark.parametrize(
    "pieces", [[b"ok\n12345678901\n"], [b"ok\n1234567890", b"1"], [b"ok\n", b"123456", b"78901\n"]]
)
def test_a_line_over_the_limit_is_an_error_after_the_lines_before_it(pieces: list[bytes]) -> None:
    splitter = Lines(10)
    got: list[bytes] = []

    def feed_all() -> None:
        for piece in pieces:
            got.extend(splitter.feed(piece))

    with pytest.raises(WireError, match="longer than 10 bytes") as caught:
        feed_all()
    assert caught.value.code == "line_too_long"
    assert got == [b"ok"]


def test_a_line_as_long_as_the_limit_is_taken() -> None:
    assert list(Lines(10).feed(b"1234567890\n")) == [b"1234567890"]
