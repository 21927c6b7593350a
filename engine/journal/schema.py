"""The JSON Schemas of a journal's lines, from the types of its events.

In: nothing. Out: one schema that every line written satisfies; `docs/schema/journal.json` holds it. It says what the
types leave open as well: what a Decimal looks like in text, that what is written as it came (`Raw`) is an object, and
that every line carries `v` and `seq`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

import msgspec

from engine.journal import events
from engine.journal.events import VERSION, Event
from engine.venues import messages

DECIMAL = r"^-?[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?$"
"""As `str(Decimal)` writes a finite number."""


def journal_schema() -> dict[str, Any]:
    """The schema of a line: any of the events, each of which, as each message of a venue, has a definition."""
    (line,), definitions = msgspec.json.schema_components([Event])
    notes = _field_notes(events) | _field_notes(messages)
    for cls in get_args(Event):
        _tighten(definitions[cls.__name__], cls)
    for name, definition in definitions.items():
        for field, schema in definition["properties"].items():
            if (note := notes.get(f"{name}.{field}")) is not None:
                schema["description"] = note
    for schema in _all_schemas(definitions):
        if schema.get("format") == "decimal":
            schema["pattern"] = DECIMAL
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sluice journal, one line",
        **line,
        "$defs": definitions,
    }


def _tighten(definition: dict[str, Any], cls: type[Event]) -> None:
    """Make an event's schema as strict as its lines are."""
    properties = definition["properties"]
    for field in msgspec.structs.fields(cls):
        if field.type is msgspec.Raw:
            properties[field.encode_name]["type"] = "object"
        elif get_args(field.type)[1:] == (msgspec.Raw,):
            properties[field.encode_name]["additionalProperties"] = {"type": "object"}
    properties["v"] = {"const": VERSION, "description": "Version of this schema."}
    properties["seq"] = {
        "type": "integer",
        "minimum": 1,
        "description": "Counts the events of a journal without a gap.",
    }
    properties["ts_ms"]["description"] = "Milliseconds since 1970 UTC, in the time of the market."
    definition["required"] = ["type", "v", "seq", *(name for name in definition["required"] if name != "type")]


def _field_notes(module: ModuleType) -> dict[str, str]:
    """The text under each field of a module's classes, on one line, by `Class.field`."""
    notes: dict[str, str] = {}
    for cls in ast.parse(inspect.getsource(module)).body:
        if not isinstance(cls, ast.ClassDef):
            continue
        for field, below in zip(cls.body, cls.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    notes[f"{cls.name}.{name}"] = " ".join(text.split())
                case _:
                    pass
    return notes


def _all_schemas(held: Any) -> Iterator[dict[str, Any]]:
    if isinstance(held, dict):
        yield held
        for inner in held.values():
            yield from _all_schemas(inner)
    elif isinstance(held, list):
        for inner in held:
            yield from _all_schemas(inner)
