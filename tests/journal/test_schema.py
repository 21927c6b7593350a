"""The published schema: every line that is written satisfies it, and what it refuses is no line of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.journal.events import VERSION, Event
from engine.journal.lines import BadLineError, decode, encode
from engine.journal.schema import journal_schema
from tests.journal.samples import order
from tests.journal.strategies import EVENTS, events

PUBLISHED = Path(__file__).resolve().parents[2] / "docs/schema/journal.json"
SCHEMA = journal_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def said(event: Event) -> dict[str, Any]:
    """What an event's line says, as anybody's JSON parser reads it."""
    read: dict[str, Any] = json.loads(encode(replace(event, seq=1)))
    return read


def test_the_schema_in_docs_is_current() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == SCHEMA, "run: sluice schema --write docs/schema"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert len(SCHEMA["anyOf"]) == len(EVENTS)


@pytest.mark.parametrize("cls", EVENTS)
@settings(max_examples=15)
@given(data=st.data())
def test_every_line_satisfies_it(cls: type[Event], data: st.DataObject) -> None:
    line = said(data.draw(events(cls)))
    own = {"$ref": f"#/$defs/{cls.__name__}", "$defs": SCHEMA["$defs"]}
    jsonschema.Draft202012Validator(own).validate(line)


@settings(max_examples=20)
@given(event=events())
def test_every_line_satisfies_the_whole(event: Event) -> None:
    VALIDATOR.validate(said(event))


def test_nothing_is_left_open() -> None:
    """`Any` and `Raw` become schemas that take everything; each of them has to be closed on purpose."""

    def walk(held: Any, place: str) -> None:
        if isinstance(held, dict):
            assert held or place.endswith("/default"), place
            for name, inner in held.items():
                walk(inner, f"{place}/{name}")
        elif isinstance(held, list):
            for number, inner in enumerate(held):
                walk(inner, f"{place}/{number}")

    walk(SCHEMA, "")


ORDER = said(order())


@pytest.mark.parametrize(
    "change",
    [
        {"type": "ordre"},
        {"v": VERSION + 1},
        {"seq": 0},
        {"seq": "1"},
        {"ts_ms": 1.5},
        {"qty": "NaN"},
        {"qty": "1,5"},
        {"qty": 1.5},
        {"price": ""},
        {"side": "long"},
        {"mid": "60000"},
    ],
)
def test_a_wrong_value_does_not_satisfy_it(change: dict[str, Any]) -> None:
    VALIDATOR.validate(ORDER)
    assert not VALIDATOR.is_valid(ORDER | change)


@pytest.mark.parametrize("name", ["type", "v", "seq", "ts_ms", "qty", "price", "mid"])
def test_a_field_that_must_be_there_is_asked_for(name: str) -> None:
    assert not VALIDATOR.is_valid({field: value for field, value in ORDER.items() if field != name})


@pytest.mark.parametrize("record", [None, 1, "x", [], True])
def test_a_decision_without_a_record_does_not_satisfy_it(record: Any) -> None:
    decision = {"type": "decision", "v": 1, "seq": 1, "ts_ms": 1, "intent_id": None, "policy": "routing", "record": {}}
    VALIDATOR.validate(decision)
    assert not VALIDATOR.is_valid(decision | {"record": record})


def test_a_field_that_comes_later_satisfies_it() -> None:
    VALIDATOR.validate(ORDER | {"new": 1})


SPOILS: st.SearchStrategy[tuple[str, Any]] = st.tuples(
    st.sampled_from(sorted(ORDER)), st.sampled_from([None, True, 0, -1, 1.5, "", "x", "1E+2", [], {}])
)


@settings(max_examples=150)
@given(spoils=st.lists(SPOILS, min_size=1, max_size=3))
def test_whatever_satisfies_it_can_be_read(spoils: list[tuple[str, Any]]) -> None:
    line = ORDER | dict(spoils)
    try:
        decode(json.dumps(line).encode())
    except BadLineError:
        assert not VALIDATOR.is_valid(line), line
