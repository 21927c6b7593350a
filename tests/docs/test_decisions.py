"""The example of docs/decisions.md is a decision really made, and every field of it is explained.

After a change that is meant, `python -m tests.docs.test_decisions` in the repository writes the example anew.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from engine import load
from tests.docs.test_language import ROOT, write_home

PATH = ROOT / "docs/decisions.md"
RECORD = re.compile(r"(?<=```json record\n).*?(?=```)", re.DOTALL)


def facts_of(page: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(re.findall(r"```json facts\n(.*?)```", page, re.DOTALL)[0])
    return facts


def record_of(page: str, home: Path) -> dict[str, Any]:
    return load("prod", write_home(home)).decide("routing", facts_of(page)).record()


def short(value: Any, depth: int = 0) -> str:
    """JSON with what is small on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + 2 * depth <= 110 or not isinstance(value, (dict, list)):
        return flat
    inner = "  " * (depth + 1)
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(name)}: {short(held, depth + 1)}" for name, held in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
    return "[\n" + ",\n".join(inner + short(held, depth + 1) for held in value) + "\n" + "  " * depth + "]"


def write() -> None:
    page = PATH.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        text = short(record_of(page, Path(folder))) + "\n"
    PATH.write_text(RECORD.sub(lambda _: text, page, count=1), encoding="utf-8")


def test_the_example_is_what_the_facts_above_it_give(tmp_path: Path) -> None:
    page = PATH.read_text(encoding="utf-8")
    shown = RECORD.findall(page)
    assert len(shown) == 1
    assert json.loads(shown[0]) == record_of(page, tmp_path)


def test_every_field_is_explained(tmp_path: Path) -> None:
    page = PATH.read_text(encoding="utf-8")
    record = record_of(page, tmp_path)
    assert record["vetoes"] or record["fired"]
    for field in [*record, *record["fired"][0]]:
        assert re.search(rf"^\|[^|]*`{field}`", page, re.MULTILINE), field


def test_a_record_decided_again_is_the_same(tmp_path: Path) -> None:
    page = PATH.read_text(encoding="utf-8")
    book = load("prod", write_home(tmp_path))
    record = book.decide("routing", facts_of(page)).record()
    again = {name: record[name] for name in ("now", "symbol", "intent_id")} | record["facts"]
    assert book.decide("routing", again).record() == record


if __name__ == "__main__":
    write()
