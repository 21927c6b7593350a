import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.journal.events import VERSION, Decided, Event, Given, MarkedOut, SessionEnded
from engine.journal.lines import HEAD, BadLineError, decode, encode, is_json, seq_in
from tests.journal.samples import at, order, outcome, probe
from tests.journal.strategies import EVENTS, events


@pytest.mark.parametrize("cls", EVENTS)
@settings(max_examples=30)
@given(data=st.data())
def test_an_event_is_its_line_again(cls: type[Event], data: st.DataObject) -> None:
    event = replace(data.draw(events(cls)), seq=data.draw(st.integers(1, 10**12)))
    line = encode(event)
    assert b"\n" not in line
    assert decode(line) == event
    assert encode(decode(line + b"\n")) == line


@settings(max_examples=30)
@given(event=events())
def test_every_line_begins_with_type_version_and_seq(event: Event) -> None:
    head = HEAD.match(encode(replace(event, seq=7)))
    assert head is not None
    assert head[1].decode() == event.__struct_config__.tag
    assert int(head[2]) == 7


def test_quantities_keep_their_digits() -> None:
    again = decode(encode(order()))
    assert str(again.qty) == "0.010"  # type: ignore[union-attr] # an order


def test_a_line_break_that_others_wrote_into_a_record_becomes_a_space() -> None:
    event = Decided(ts_ms=at(), intent_id=None, policy="routing", record=msgspec.Raw(b'{\n"a":\n"\\n"}'))
    assert b'{ "a": "\\n"}' in encode(event)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_must_be_there_is_refused_where_it_is_none(value: float) -> None:
    with pytest.raises(ValueError, match=r"Expected `float`, got `null` - at `\$\.cost_usd`"):
        encode(outcome(cost_usd=value))


def test_a_number_that_may_be_missing_is_written_as_missing() -> None:
    assert decode(encode(replace(order(), mid=float("nan")))) == replace(order(), mid=None)


@pytest.mark.parametrize("value", ["\ud800", {1j: 2}, object()])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode(Given(ts_ms=at(), group="signal", facts={"fact": value}))


def test_a_field_that_came_later_is_passed_over_and_one_that_lacks_has_its_default() -> None:
    line = f'{{"type":"probe","v":{VERSION},"seq":1,"ts_ms":5,"intent_id":"a","symbol":"b","new":{{"x":[1]}}}}'.encode()
    assert decode(line) == replace(probe(5, "a"), symbol="b", seq=1)
    ended = f'{{"type":"session_ended","v":{VERSION},"seq":1,"ts_ms":5,"reason":"done"}}'.encode()
    assert decode(ended) == SessionEnded(ts_ms=5, reason="done", counts={}, seq=1)


def test_a_line_of_another_hand_may_have_blanks_and_another_order() -> None:
    said = json.loads(encode(replace(order(), seq=3)))
    line = json.dumps(dict(sorted(said.items())), indent=1).replace("\n", " ").encode()
    assert HEAD.match(line) is None
    assert decode(line) == replace(order(), seq=3)
    assert seq_in(line) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "is no JSON"),
        (b"\n", "is no JSON"),
        (b"\0\0\0\0", "is no JSON"),
        (b'{"type":"probe","v":1,"se', "is no JSON"),
        (b'{"type":"probe","v":1,"seq":1,"ts_ms":5,"intent_id":"\xff","symbol":"b"}', "is no JSON"),
        (b"[1]", "is no event: expected `object`, got `array`"),
        (b'{"type":"prob","v":1,"seq":1,"ts_ms":5}', "is no event: invalid value 'prob' - at `$.type`"),
        (b'{"type":"probe","v":1,"seq":1,"ts_ms":5,"symbol":"b"}', "is no event: object missing required field"),
        (b'{"type":"given","v":1,"ts_ms":5,"group":"g","facts":' + b'{"a":' * 100_000, "is nested too deep"),
    ],
)
def test_a_line_that_says_no_event_says_why(line: bytes, message: str) -> None:
    with pytest.raises(BadLineError) as caught:
        decode(line)
    assert caught.value.message.startswith(message)
    assert caught.value.is_torn is (message == "is no JSON")
    assert is_json(line) is not caught.value.is_torn


@pytest.mark.parametrize("kind", ["probe", "something_new"])
def test_a_later_version_is_refused_whether_it_could_be_read_or_not(kind: str) -> None:
    line = json.dumps({"type": kind, "v": VERSION + 1, "seq": 4, "ts_ms": 5, "intent_id": "a", "symbol": "b"}).encode()
    with pytest.raises(BadLineError, match=f"is of schema version {VERSION + 1}, and this is {VERSION}") as caught:
        decode(line)
    assert "or a later one" in caught.value.help
    assert not caught.value.is_torn
    assert seq_in(line) == 4


@pytest.mark.parametrize("line", [b"{}", b"[]", b'{"seq":"x"}', b"torn", b'{"type":"probe","v":1,"seq":' + b"9" * 9999])
def test_a_line_without_a_seq_has_none(line: bytes) -> None:
    assert seq_in(line) == 0


def test_a_markout_needs_its_figures() -> None:
    event = MarkedOut(
        ts_ms=at(),
        intent_id="i-1",
        symbol="BTCUSDT",
        trade_id="t-1",
        horizon_s=1.0,
        is_maker=True,
        notional_usd=float(Decimal("600.001")),
        markout_bps=float("nan"),
    )
    with pytest.raises(ValueError, match="markout_bps"):
        encode(event)
