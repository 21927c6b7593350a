"""docs/journal.md describes every event and every field of the journal's schema, in the schema's words.

After a change that is meant, `python -m tests.docs.test_journal` in the repository writes the tables anew.
"""

from __future__ import annotations

import json
from typing import Any

from engine.journal.schema import journal_schema
from tests.docs.test_language import ROOT

PATH = ROOT / "docs/journal.md"
MARK = "<!-- From here on written by `python -m tests.docs.test_journal`. -->\n"
COMMON = ("type", "v", "seq", "ts_ms")


def tables() -> str:
    """A section for each event, and one for each message of a venue."""
    schema = journal_schema()
    definitions = schema["$defs"]
    events = [_name(ref) for ref in schema["anyOf"]]
    messages = [_name(ref) for ref in definitions["Heard"]["properties"]["message"]["anyOf"]]
    sections = [_section("###", _tag(definitions[name], "type"), definitions[name], COMMON) for name in events]
    heading = (
        "## Messages of a venue\n\nWhat stands as `message` in [`heard`](#heard); `message` inside it says which it is."
    )
    said = [_section("###", _tag(definitions[name], "message"), definitions[name], ("message",)) for name in messages]
    return "\n".join([*sections, f"{heading}\n", *said])


def _section(level: str, tag: str, definition: dict[str, Any], left_out: tuple[str, ...]) -> str:
    rows = [
        f"| `{name}` | {_type(schema)}{_default(schema)} | {schema.get('description', '')} |"
        for name, schema in definition["properties"].items()
        if name not in left_out
    ]
    table = "\n".join(["| Field | Type | Meaning |", "|---|---|---|", *rows])
    return f"{level} `{tag}`\n\n{definition['description']}\n\n{table}\n"


def _type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": str(ref)}:
            return f"`{_name({'$ref': ref})}`"
        case {"anyOf": [{"$ref": _}, *_]}:
            return "[a message](#messages-of-a-venue)"
        case {"anyOf": list(choices)}:
            return " or ".join(map(_type, choices))
        case {"enum": list(values)}:
            return ", ".join(f"`{value}`" for value in values)
        case {"format": "decimal"}:
            return "decimal"
        case {"type": "object", "additionalProperties": dict(inner)}:
            return f"object of {_plural(_type(inner))}"
        case {"type": "array", "prefixItems": list(items)}:
            return f"list of {', '.join(map(_type, items))}"
        case {"type": "array", "items": dict(inner)}:
            return f"list of {_plural(_type(inner))}"
        case {"type": str(name)}:
            return {"string": "text", "boolean": "flag"}.get(name, name)
        case _:
            raise NotImplementedError(f"say here how {schema} is called")


def _plural(name: str) -> str:
    first, _, rest = name.partition(" ")
    return " ".join([f"{first}s", rest]).strip()


def _default(schema: dict[str, Any]) -> str:
    return f"; `{json.dumps(schema['default'])}` if left out" if "default" in schema else ""


def _name(ref: dict[str, str]) -> str:
    return ref["$ref"].rpartition("/")[2]


def _tag(definition: dict[str, Any], field: str) -> str:
    (tag,) = definition["properties"][field]["enum"]
    return str(tag)


def test_the_tables_are_current() -> None:
    _, _, written = PATH.read_text(encoding="utf-8").partition(MARK)
    assert written == "\n" + tables(), "run: python -m tests.docs.test_journal"


def test_every_event_has_a_meaning_and_no_cell_breaks_its_table() -> None:
    for line in tables().splitlines():
        assert not line.startswith("|") or line.replace(r"\|", "").count("|") == 4, line
    for name, definition in journal_schema()["$defs"].items():
        assert definition["description"], name


if __name__ == "__main__":
    page, mark, _ = PATH.read_text(encoding="utf-8").partition(MARK)
    assert mark, "the mark is gone"
    PATH.write_text(page + mark + "\n" + tables(), encoding="utf-8")
