"""What strategies send: every line becomes a request or a refusal, and none becomes a traceback."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.routing.intents import CancelIntent, GivenFacts, Intent, Refusal, read_request

SOUND = b'{"intent_id": "a", "symbol": "BTCUSDT", "side": "buy", "qty": 1, "ts": 12.5, "expires_s": 60}'


def test_a_sound_line_is_an_intent() -> None:
    assert read_request(SOUND, 400) == Intent("a", "BTCUSDT", {"side": "buy", "qty": 1}, 12_500, 60.0)


def test_other_lines_take_back_and_hand_in() -> None:
    assert read_request('{"type": "cancel", "intent_id": "a"}', 400) == CancelIntent("a", "cancelled")
    given_facts = read_request({"type": "given", "group": "risk", "facts": {"halted": True}}, 400)
    assert given_facts == GivenFacts("risk", {"halted": True}, None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "no JSON"),
        (b"[1]", "an object is expected, not list"),
        (b'{"intent_id": "a"}', "`symbol` is a text"),
        (b'{"intent_id": 7, "symbol": "B"}', "`intent_id` is a text"),
        (b'{"intent_id": "", "symbol": "B"}', "`intent_id` is a text"),
        (b'{"intent_id": "a\\nb", "symbol": "B"}', "`intent_id` is a text"),
        (b'{"intent_id": "a", "symbol": "B", "sde": "buy"}', "did you mean `side`?"),
        (b'{"intent_id": "a", "symbol": "B", "reduce_only": "yes"}', "`reduce_only` is no flag"),
        (b'{"intent_id": "a", "symbol": "B", "price": true}', "`price` is no number"),
        (b'{"intent_id": "a", "symbol": "B", "expires_s": -1}', "`expires_s` is a number"),
        (b'{"intent_id": "a", "symbol": "B", "ts": "now"}', "`ts` is a number"),
        (b'{"type": "order", "intent_id": "a"}', "`type` is intent, cancel or given"),
        (b'{"type": "given", "group": "telemetry", "facts": {}}', "`group` is one of account, risk, signal"),
        (b'{"type": "given", "group": "risk", "facts": 1}', "`facts` is an object, or null"),
    ],
)
def test_what_is_wrong_is_said(line: bytes, reason: str) -> None:
    refusal = read_request(line, 400)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "malformed"
    assert reason in refusal.reason


def test_a_refusal_keeps_the_id_and_what_came_shortened() -> None:
    refusal = read_request(b'{"intent_id": "a", "symbol": "B", "qty": "' + b"x" * 1000 + b'"}', 50)
    assert isinstance(refusal, Refusal)
    assert (refusal.intent_id, len(refusal.received)) == ("a", 50)


@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: SOUND.replace(b"BTCUSDT", text.encode("utf-8", "surrogatepass")))
)
def test_no_bytes_raise(line: bytes) -> None:
    assert isinstance(read_request(line, 40), Intent | CancelIntent | GivenFacts | Refusal)


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(
    [
        "type",
        "intent_id",
        "symbol",
        "ts",
        "expires_s",
        "side",
        "qty",
        "price",
        "group",
        "facts",
        "reason",
        "reduce_only",
    ]
)


@given(st.dictionaries(KEYS, VALUES | st.sampled_from(["intent", "cancel", "given", "risk"])))
def test_no_object_raises(held: dict[str, Any]) -> None:
    assert isinstance(read_request(held, 40), Intent | CancelIntent | GivenFacts | Refusal)
