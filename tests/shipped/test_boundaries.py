"""Every number of the shipped profiles does what it says at exactly itself, one double below, and one above."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.book import Backend
from engine.language import model
from engine.language.types import NumberType
from tests.shipped.books import BACKENDS, PROFILES, book
from tests.shipped.scenes import HERE, NOW, changed, given, neighbour, number, read, scene

TABLES: list[dict[str, Any]] = read(HERE / "cases" / "boundaries.yaml")
TABLE_KEYS = {"about", "policy", "profile", "symbol", "scene", "decides", "rows"}
ROW_KEYS = {"number", "vary", "at", "gives", "facts"}


def rows() -> Iterator[Any]:
    for table in TABLES:
        for row in table["rows"]:
            about = (
                table["policy"],
                row.get("number", ""),
                row["vary"].replace(" ", "_"),
                table.get("profile", "prod"),
            )
            yield pytest.param(table, row, id="-".join(about))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("table", "row"), list(rows()))
def test_a_number_decides_at_exactly_itself(table: dict[str, Any], row: dict[str, Any], backend: Backend) -> None:
    profile = table.get("profile", "prod")
    found = [decided(table, row, profile, backend, neighbour(float(row["at"]), side)) for side in (-1, 0, 1)]
    assert found == [number(expected) for expected in row["gives"]]


def decided(table: dict[str, Any], row: dict[str, Any], profile: str, backend: Backend, value: float) -> Any:
    """What is decided with the varied input at `value`."""
    kind, _, name = row["vary"].rpartition(" ")
    values = {name.removeprefix("$"): value} if name.startswith("$") else {}
    used = book(profile, backend, values)
    policy = used.rulebook.policies[table["policy"]]
    facts = changed(scene(table["scene"]), row.get("facts", {}))
    now = NOW
    if kind:
        # Ages are exact where one of the two times is 0.
        now = value if kind == "age" else 0.0
        facts[name]["observed_at"] = 0.0 if kind == "age" else value
    elif not values:
        group, _, fact = name.partition(".")
        facts = changed(facts, {group: {fact: value}})
    read_groups = [group.name for group in policy.groups]
    return used.decide(policy.name, given(facts, read_groups, table.get("symbol", "BTCUSDT"), now)).outcome.values[
        table["decides"]
    ]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table["about"]))
def test_a_table_is_written_as_it_should_be(table: dict[str, Any]) -> None:
    assert set(table) <= TABLE_KEYS
    bound = book(table.get("profile", "prod"), "interpreter").rulebook.binding_of(table.get("symbol", "BTCUSDT")).values
    for row in table["rows"]:
        assert set(row) <= ROW_KEYS
        if "number" in row:
            assert row["at"] == bound[row["number"]], f"{row['number']} has another value now"


def test_every_number_that_something_is_compared_with_has_a_row() -> None:
    compared = {name for profile in PROFILES for name in compared_numbers(profile)}
    assert {row["number"] for table in TABLES for row in table["rows"] if "number" in row} == compared


def compared_numbers(profile: str) -> Iterator[str]:
    """Parameters that stand in a comparison of a rule, and the limits of ages."""
    rulebook = book(profile, "interpreter").rulebook
    yield f"facts.{rulebook.max_ahead}"
    for policy in rulebook.policies.values():
        yield from (f"facts.{group.max_age}" for group in policy.groups if group.max_age)
        for step in policy.steps:
            for rule in step.rules:
                for leaf in rule.leaves():
                    for part in model.walk(leaf.written.expression):
                        if isinstance(part, model.Compare):
                            yield from _numbers(part)


def _numbers(compared: model.Compare) -> Iterator[str]:
    for part in model.walk(compared):
        if isinstance(part, model.ParameterRef) and isinstance(part.type, NumberType):
            yield f"{part.ruleset}.{part.name}"
