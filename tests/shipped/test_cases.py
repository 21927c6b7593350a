"""What the shipped policies decide, case by case, on every backend; each rule of each rule set has a case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine import Decision
from engine.book import Backend
from tests.shipped.books import BACKENDS, PROFILES, book
from tests.shipped.scenes import HERE, NOW, changed, given, number, read, scene

FILES: dict[str, dict[str, Any]] = {
    path.stem: read(path) for path in sorted((HERE / "cases").glob("*.yaml")) if path.stem != "boundaries"
}
FILE_KEYS = {"policy", "scene", "profiles", "cases"}
CASE_KEYS = {
    "name", "scene", "profiles", "symbol", "values", "facts", "ages",
    "expect", "vetoes", "fired", "not_fired", "reason",
}  # fmt: skip


def cases() -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Every case with its file and profile."""
    for file in FILES.values():
        for case in file["cases"]:
            for profile in case.get("profiles", file.get("profiles", ["prod"])):
                yield file, case, profile


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("file", "case", "profile"),
    [pytest.param(*item, id=f"{item[0]['policy']}: {item[1]['name']} ({item[2]})") for item in cases()],
)
def test_a_case(file: dict[str, Any], case: dict[str, Any], profile: str, backend: Backend) -> None:
    decision = decide(file, case, profile, backend)
    values = decision.outcome.values
    expected = {name: number(value) for name, value in case.get("expect", {}).items()}
    assert {name: values[name] for name in expected} == expected
    if "vetoes" in case:
        assert list(decision.vetoes) == case["vetoes"]
    assert set(case.get("fired", ())) <= set(decision.fired)
    assert not set(case.get("not_fired", ())) & set(decision.fired)
    if "reason" in case:
        assert decision.reason == case["reason"]


def decide(file: dict[str, Any], case: dict[str, Any], profile: str, backend: Backend) -> Decision:
    """The decision of a case."""
    used = book(profile, backend, case.get("values"))
    policy = used.rulebook.policies[file["policy"]]
    facts = changed(scene(case.get("scene", file["scene"])), case.get("facts", {}))
    for group, age in case.get("ages", {}).items():
        facts[group]["observed_at"] = NOW - age
    read_groups = [group.name for group in policy.groups]
    return used.decide(policy.name, given(facts, read_groups, case.get("symbol", "BTCUSDT")))


@pytest.mark.parametrize("file", FILES.values(), ids=list(FILES))
def test_a_file_is_written_as_it_should_be(file: dict[str, Any]) -> None:
    assert set(file) <= FILE_KEYS
    names = [case["name"] for case in file["cases"]]
    assert len(set(names)) == len(names)
    for case in file["cases"]:
        assert set(case) <= CASE_KEYS
        assert case.keys() & {"expect", "vetoes"}, f"{case['name']} expects nothing"


def test_every_policy_has_a_file() -> None:
    for profile in PROFILES:
        assert set(book(profile, "interpreter").policies) == set(FILES)


def test_every_rule_decides_in_some_case() -> None:
    seen: set[str] = set()
    for file, case, profile in cases():
        decision = decide(file, case, profile, "interpreter")
        seen |= {*decision.fired, *decision.vetoes}
    policies = book("prod", "interpreter").rulebook.policies.values()
    assert {rule.full_id for policy in policies for step in policy.steps for rule in step.rules} == seen
