"""docs/contract.md: every rule, invariant, test and case that it names exists, and every row and question names one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from engine import load
from tests.docs.test_language import ROOT
from tests.shipped.scenes import read

PAGE = (ROOT / "docs/contract.md").read_text(encoding="utf-8")
ROWS = {"# The criteria of acceptance": 6, "# The guarantees given then": 5, "# What went wrong before": 34}
"""How many rows stand under a heading: as many as there were criteria, guarantees, and defects."""
QUESTIONS = {
    "## 1. The routing contract": 3,
    "## 2. The router policy": 3,
    "## 3. Offsets and errors": 5,
    "## 4. Health and telemetry": 3,
    "## 5. State": 3,
    "## 6. Tests": 2,
}
"""How many questions each of the six had."""


def under(heading: str) -> str:
    """What stands under a heading, up to the next of its kind or a higher one."""
    level = len(heading) - len(heading.lstrip("#"))
    after = PAGE.partition(f"\n{heading}\n")[2]
    assert after, f"there is no heading `{heading}`"
    return re.split(rf"^#{{1,{level}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def quoted(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def rows(text: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of the tables with a column `Held by`: what is held, and the ids that hold it."""
    for table in re.findall(r"\|[^\n]*\| Held by \|\n\|---\|---\|\n((?:\|[^\n]*\|\n)+)", text):
        for line in table.splitlines():
            what, ids = line.strip("|").split(" | ")
            yield what.strip(), quoted(ids)


def questions() -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Every question with the ids that hold its answer, by kind."""
    for heading in QUESTIONS:
        for part in under(heading).split("\n### ")[1:]:
            question, _, answer = part.partition("\n")
            held = re.findall(r"^- (Rules|Invariants|Tests): (.*)$", answer, re.MULTILINE)
            yield question, {kind: quoted(ids) for kind, ids in held}


@cache
def rules() -> frozenset[str]:
    policies = load("prod").rulebook.policies.values()
    return frozenset(rule.full_id for policy in policies for step in policy.steps for rule in step.rules)


@cache
def invariants() -> frozenset[str]:
    policies = load("prod").rulebook.policies.values()
    return frozenset(f"{policy.name}.{invariant.id}" for policy in policies for invariant in policy.invariants)


@cache
def names_in(path: Path) -> frozenset[str]:
    """The functions of a file of tests, or the names of the cases of a data file."""
    if not path.is_file():
        return frozenset()
    if path.suffix == ".yaml":
        held = read(path)
        return frozenset(case["name"] for case in (held["cases"] if isinstance(held, dict) else held))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def is_test(id_: str) -> bool:
    """Whether there is such a test or case; the parameters of a test, in brackets, may be left out."""
    path, _, name = id_.partition("::")
    if path.endswith(".py"):
        name = name.partition("[")[0]
        return name.startswith("test_") and name in names_in(ROOT / path)
    return name in names_in(ROOT / path)


def is_known(id_: str) -> bool:
    return is_test(id_) if "::" in id_ else id_ in rules() or id_ in invariants()


def every_id() -> list[str]:
    """All ids that hold something, and whatever else on the page looks like the id of a test."""
    held = [id_ for _, ids in rows(PAGE) for id_ in ids]
    asked = [id_ for _, ids in questions() for of in ids.values() for id_ in of]
    return sorted({*held, *asked, *(text for text in quoted(PAGE) if "::" in text)})


def test_every_id_exists() -> None:
    assert [id_ for id_ in every_id() if not is_known(id_)] == []


def test_ids_of_a_question_are_of_the_kind_it_says() -> None:
    for question, ids in questions():
        assert set(ids.get("Rules", ())) <= rules(), question
        assert set(ids.get("Invariants", ())) <= invariants(), question
        assert all(is_test(id_) for id_ in ids["Tests"]), question


@pytest.mark.parametrize("heading", QUESTIONS)
def test_every_question_is_answered_and_a_test_holds_the_answer(heading: str) -> None:
    parts = under(heading).split("\n### ")[1:]
    assert len(parts) == QUESTIONS[heading]
    for part in parts:
        assert re.search(r"^[A-Z`][^|]*\.$", part, re.MULTILINE), part
        assert re.search(r"^- Tests: `", part, re.MULTILINE), part


@pytest.mark.parametrize("heading", ROWS)
def test_every_row_is_held_by_something(heading: str) -> None:
    held = list(rows(under(heading)))
    assert len(held) == len({what for what, _ in held}) == ROWS[heading]
    assert [what for what, ids in held if not ids] == []
    if heading != "# The guarantees given then":
        assert [what for what, ids in held if not any("::" in id_ for id_ in ids)] == []


def test_every_policy_is_named() -> None:
    named = {id_.partition(".")[0] for id_ in every_id() if id_ in invariants()}
    assert named >= set(load("prod").policies)


def test_an_id_that_does_not_exist_is_found() -> None:
    wrong = [
        "hard_gates.no_such_gate",
        "routing.no_such_claim",
        "tests/routing/test_orders.py::test_no_such",
        "tests/no_such.py::test_a",
        "tests/shipped/cases/routing.yaml::no such case",
    ]
    assert [id_ for id_ in wrong if is_known(id_)] == []
    assert is_known("tests/shipped/test_cases.py::test_a_case[routing]")
