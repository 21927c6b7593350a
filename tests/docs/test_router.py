"""docs/router.md: its tables are those of the code, its examples happen, and what it names exists.

After a change that is meant, `python -m tests.docs.test_router` in the repository writes its generated parts anew.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

import pytest
from rich.console import Console

from engine.analysis.schemas import schemas
from engine.routing import ledger, router, shape
from engine.routing.evidence.contract import schemas as contract_schemas
from engine.routing.evidence.story import story
from engine.routing.evidence.story_pages import print_story
from engine.routing.intents import FACTS, CancelIntent, GivenFacts, Intent, read_request
from engine.routing.orders import OVER, TRANSITIONS, Input, State
from engine.routing.sessions import session
from engine.venues.codes import Refusal, refusal_of
from engine.venues.messages import Rejected
from tests.docs.pages import documented, table, with_generated
from tests.docs.test_language import ROOT
from tests.routing.scene import Scene

PATH = ROOT / "docs/router.md"
PAGE = PATH.read_text(encoding="utf-8")
COMMAND = "python -m tests.docs.test_router"

MEANINGS: dict[Input, str] = {
    "acknowledged": "the venue says that it is open",
    "found_open": "a query finds it open",
    "is_filled": "the venue says that it is filled",
    "is_cancelled": "the venue says that it is cancelled",
    "is_expired": "the venue says that it expired",
    "is_rejected": "the venue says that it was rejected",
    "refused": "the venue refused it and did nothing",
    "unclear": "nobody knows what became of the send",
    "part_filled": "a trade that leaves something",
    "all_filled": "a trade that leaves nothing",
    "cancel_sent": "a cancel is on its way",
    "cancel_missed": "there was nothing to cancel",
    "cancel_refused": "the cancel was refused",
    "cancel_unclear": "nobody knows what became of the cancel",
    "not_found": "a query finds no such order",
    "query_failed": "a query was refused, or lost",
    "proved_absent": "asked often enough, with silence meanwhile",
}
"""What each input of the table is, for people."""

STATES: tuple[State, ...] = get_args(State)


# --- the generated parts ----------------------------------------------------------------------------------------------


def generated() -> dict[str, str]:
    """The generated parts of the page, by name."""
    return {"story": a_story(), "orders": order_life(), "settings": settings()}


def a_story() -> str:
    """A maker order from which the market runs away, as `sluice journal --intent` tells it."""
    scene = Scene()
    scene.send("buy", 0.01)
    scene.wait(200)
    scene.quote(60030.0, 60030.1)
    scene.wait(500)
    page = io.StringIO()
    console = Console(file=page, width=200, color_system=None, highlight=False, markup=False)
    print_story(console, story(scene.journal.events, "i-1"))
    # The id of a decision holds the version of the rulebook, which is not what the page is about.
    told = re.sub(r"\[[0-9a-f]{24}\]", "[id of the decision]", page.getvalue())
    return f"```text\n{told.rstrip()}\n```\n"


def order_life() -> str:
    """The transition table: a row for each input, a column for each state."""
    rows = [
        f"| {MEANINGS[happened]} (`{happened}`) | {' | '.join(following(state, happened) for state in STATES)} |"
        for happened in get_args(Input)
    ]
    head = f"| What happens | {' | '.join(STATES)} |\n|{'---|' * (len(STATES) + 1)}"
    legend = "`=` stays; `!` is listed nowhere: it becomes unknown, and an `order_error` says so."
    return "\n".join([head, *rows, "", legend, ""])


def following(state: State, happened: Input) -> str:
    """What becomes of a state."""
    after = TRANSITIONS[state].get(happened)
    return "!" if after is None else "=" if after == state else after


def settings() -> str:
    """A table for each class of settings, with what its docstrings say."""
    parts = []
    for made, about in ((shape.RouterShape, "of the router"), (shape.SessionShape, "of a session")):
        texts = documented(shape, made.__name__)
        rows = [f"| `{name}` | {_written(getattr(made(), name))} | {text} |" for name, text in texts.items()]
        parts.append(
            "\n".join([f"### Settings {about}", "", "| Setting | Default | Meaning |", "|---|---|---|", *rows])
        )
    return "\n\n".join(parts) + "\n"


def _written(value: object) -> str:
    match value:
        case None:
            return "none"
        case tuple():
            return ", ".join(map(_written, value))
        case int() | float():
            return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"
    raise NotImplementedError(f"say here how {value!r} is written")


def test_the_generated_parts_are_current() -> None:
    assert with_generated(PAGE, generated(), COMMAND) == PAGE, f"run: {COMMAND}"


def test_every_setting_and_every_input_has_a_meaning() -> None:
    assert set(MEANINGS) == set(get_args(Input))
    for made in (shape.RouterShape, shape.SessionShape):
        texts = documented(shape, made.__name__)
        assert [name for name, text in texts.items() if text] == list(made.__dataclass_fields__)


# --- what is written by hand ------------------------------------------------------------------------------------------


def test_every_state_is_described() -> None:
    rows = table(PAGE, "The life of an order")
    described = [state for row in rows for state in re.findall(r"`(\w+)`", row[0])]
    assert sorted(described) == sorted(STATES)
    assert {*re.findall(r"`(\w+)`", rows[-2][0]), "absent"} == OVER


def test_every_class_of_refusals_has_a_row_with_its_codes() -> None:
    def refusal(code: int, text: str = "") -> Refusal:
        return refusal_of(Rejected(0, "c", "place", code, text))

    rows = {row[0].strip("`"): row[1] for row in table(PAGE, "When the venue refuses")}
    assert set(rows) == set(get_args(Refusal))
    stated = {
        (name, code) for name, codes in rows.items() for code in map(int, re.findall(r"-?\d+", codes)) if code != 503
    }
    known = {(refusal(code), code) for code in range(-9999, 600) if code != 503}
    assert stated == {(name, code) for name, code in known if name != "refused"}
    for text in re.findall(r'503 "([^"…]+)', rows["busy"]):
        assert refusal(503, text) == "busy"
    assert refusal(503, "Unknown error, please check your request") == "unclear"


def test_every_reason_that_the_router_gives_an_outcome_is_explained() -> None:
    given = {text for module in (ledger, router, session) for text in reasons_in(module)}
    assert len(given) >= 10
    explained = {
        reason for row in table(PAGE, "An intent, step by step") for reason in re.findall(r"`([^`]+)`", row[1])
    }
    assert given <= explained


def reasons_in(module: ModuleType) -> Iterator[str]:
    """The reasons that a module ends intents with, where they are written out."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Call(ast.Attribute(attr="_finish" | "cancel" | "cancel_all"), [*_, ast.Constant(str(text))]):
                yield text
            case ast.Call(ast.Name("CancelRequested"), keywords=words):
                yield from (str(word.value.value) for word in words if isinstance(word.value, ast.Constant))
            case ast.Assign([ast.Name("reason") | ast.Attribute(attr="end_reason")], ast.Constant(str(text))) if text:
                yield text


def test_every_class_of_errors_that_the_router_finds_is_explained() -> None:
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(router))) if isinstance(node, ast.Call)]
    found = {
        argument.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "_error"
        for argument in call.args[3:4]
        if isinstance(argument, ast.Constant)
    }
    assert len(found) >= 8
    assert found == {row[0].strip("`") for row in table(PAGE, "When the venue refuses", 1)}


def test_every_code_of_a_refused_intent_is_named() -> None:
    source = inspect.getsource(router)
    codes = {"malformed", *re.findall(r'_refuse\(\s*[\w.]+, "(\w+)"', source)}
    codes |= set(re.findall(r'return "(\w+)"', inspect.getsource(router.Router._why_not)))
    assert len(codes) >= 5
    assert [code for code in codes if f"`{code}`" not in PAGE] == []


def test_the_intents_shown_can_be_read_and_every_field_is_explained() -> None:
    (block,) = re.findall(r"```json intents\n(.*?)```", PAGE, re.DOTALL)
    kinds = [type(read_request(line, 400)) for line in block.splitlines()]
    assert kinds == [GivenFacts, Intent, CancelIntent, GivenFacts]
    explained = {name for row in table(PAGE, "Intents") for name in re.findall(r"`(\w+)`", row[0])}
    assert explained == {"type", "intent_id", "symbol", "ts", "expires_s", "reason", "group", "facts", *FACTS}


def test_every_file_has_the_schema_that_is_linked_and_every_field_to_watch_is_in_its_file() -> None:
    linked = {name for row in table(PAGE, "Files to watch") for name in re.findall(r"schema/(\w+)\.json", row[2])}
    assert linked == {*contract_schemas(), "journal"}
    assert linked <= set(schemas(None)) | set(contract_schemas())
    for fields, file, _ in table(PAGE, "Files to watch", 1):
        for path in re.findall(r"`([^`]+)`", fields):
            names = list(contract_schemas()) if file.startswith("every file") else [file]
            assert [name for name in names if name != "router_metrics" and not has_field(name, path)] == [], path


def has_field(file: str, path: str) -> bool:
    """Whether a file has a field, by the names on the way to it."""
    schema = contract_schemas()[file]
    at: Any = schema
    for name in path.replace("[]", "").split("."):
        at = _resolved(schema, at).get("properties", {}).get(name)
        if at is None:
            return False
    return True


def _resolved(schema: Any, part: Any) -> Any:
    for choice in part.get("anyOf", ()):
        if "$ref" in choice:
            part = choice
    part = part.get("items", part) if part.get("type") == "array" else part
    return schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


@pytest.mark.parametrize("path", ["symbols[].no_such", "symbols[].router.no_such", "no_such"])
def test_a_field_that_is_not_there_is_found(path: str) -> None:
    assert not has_field("execution_health", path)


if __name__ == "__main__":
    PATH.write_text(with_generated(PAGE, generated(), COMMAND), encoding="utf-8")
