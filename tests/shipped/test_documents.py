"""How the shipped documents are written: what a reader may rely on beyond what the loader enforces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Finding, LoadError, load
from engine.language.model import Binding
from engine.language.types import NumberType
from tests.shipped.books import PROFILES, SHIPPED, book, home_with
from tests.shipped.scenes import neighbour, read

KINDS = {"rules": "ruleset", "profiles": "profile", "policies": "policy"}
DOCUMENTS = sorted(path for folder in KINDS for path in (SHIPPED / folder).glob("*.yaml"))
RULESETS = {path.stem: read(path) for path in sorted((SHIPPED / "rules").glob("*.yaml"))}

DEVIATIONS = {
    "prod": {},
    "testnet": {
        "probe.enabled": True,
        "quality.broken_slippage_bps": 50,
        "reduce_only_flag.drop_on_full_close": True,
        "crossing.max_cross_spread_bps": 60,
        "autotune.enabled": True,
    },
}
"""Everything in which a profile differs from base, symbol groups aside."""


@pytest.mark.parametrize("profile", PROFILES)
def test_a_shipped_profile_loads_without_a_finding(profile: str) -> None:
    assert book(profile, "interpreter").rulebook.warnings == ()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_document_names_its_schema_and_says_what_it_is(path: Path) -> None:
    kind = {"facts": "vocabulary", "windows": "windows"}.get(path.stem, KINDS[path.parent.name])
    first, *_ = path.read_text().splitlines()
    assert first == f"# yaml-language-server: $schema=../docs/schema/{kind}.json"
    assert read(path)["doc"]


@pytest.mark.parametrize("name", RULESETS)
def test_every_rule_begins_with_its_id_and_says_why(name: str) -> None:
    rules = RULESETS[name]["rules"]
    for rule in rules:
        assert next(iter(rule)) == "id"
        assert re.fullmatch(r"[a-z][a-z_]*", rule["id"])
        assert re.match(r"[a-z0-9]", rule["why"])
        assert not rule["why"].endswith(".")
    text = (SHIPPED / "rules" / f"{name}.yaml").read_text()
    assert len(re.findall(r"^  - id: ", text, re.MULTILINE)) == len(rules)


def test_every_rule_set_runs() -> None:
    policies = book("prod", "interpreter").rulebook.policies.values()
    assert {step.ruleset for policy in policies for step in policy.steps} == set(RULESETS)


def test_every_fact_and_decision_says_what_it_is() -> None:
    groups = read(SHIPPED / "policies" / "facts.yaml")["groups"]
    assert all(group["doc"] and all(fact["doc"] for fact in group["facts"].values()) for group in groups.values())
    assert all(name["doc"] for ruleset in RULESETS.values() for name in ruleset["sets"].values())


@pytest.mark.parametrize("name", ["atr_regime", "taker_bias", "quality"])
def test_there_is_one_definition(name: str) -> None:
    """Two definitions of a regime, or two thresholds of a label, drift apart."""
    assert sum(name in document["sets"] for document in RULESETS.values()) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_differs_from_base_where_it_is_meant_to(profile: str) -> None:
    base = read(SHIPPED / "profiles" / "base.yaml")["values"]
    bound = book(profile, "interpreter").rulebook.bindings[()]
    written = {name: number_of(value) for name, value in base.items()}
    assert {name: value for name, value in bound.values.items() if value != written[name]} == DEVIATIONS[profile]
    assert all(bound.origins[name].why for name in DEVIATIONS[profile])


def number_of(written: Any) -> Any:
    """What YAML 1.1 reads is what Sluice reads, for the plain numbers and flags that base holds."""
    return written if isinstance(written, bool) else float(written)


def test_nothing_is_disabled() -> None:
    assert not any(book(profile, "interpreter").rulebook.disabled for profile in PROFILES)


def requirements() -> Iterator[Any]:
    for name, document in RULESETS.items():
        for required in document.get("requires", ()):
            lower, upper = (f"{name}.{side.strip().removeprefix('$')}" for side in required.split("<="))
            yield pytest.param(lower, upper, id=f"{lower} <= {upper}")


@pytest.mark.parametrize(("lower", "upper"), list(requirements()))
def test_a_lower_bound_above_its_upper_one_does_not_load(lower: str, upper: str, tmp_path: Path) -> None:
    values = crossed(book("prod", "interpreter").rulebook.bindings[()], lower, upper)
    found = broken(home_with(tmp_path, "prod", values), lower, upper)
    assert found is not None
    places = {found.span.file, *(related.span.file for related in found.related)}
    assert "profiles/changed.yaml" in places


@pytest.mark.parametrize(("lower", "upper"), list(requirements()))
def test_a_lower_bound_may_equal_its_upper_one(lower: str, upper: str, tmp_path: Path) -> None:
    bound = book("prod", "interpreter").rulebook.bindings[()].values
    assert broken(home_with(tmp_path, "prod", {lower: bound[upper]}), lower, upper) is None


def broken(home: Path, lower: str, upper: str) -> Finding | None:
    """What loading finds wrong with the two bounds, None if nothing (other bounds of the set may be broken)."""
    try:
        load("changed", home, backend="interpreter")
    except LoadError as error:
        findings = error.findings
    else:
        return None
    assert {finding.code for finding in findings} == {"requires.broken"}
    stated = f"${lower.partition('.')[2]} <= ${upper.partition('.')[2]}`"
    return next((finding for finding in findings if stated in finding.message), None)


def crossed(binding: Binding, lower: str, upper: str) -> dict[str, float]:
    """Values for the two that cross by one double, inside both declared ranges."""
    kind = book("prod", "interpreter").rulebook.declarations[lower].type
    assert isinstance(kind, NumberType)
    value = float(binding.values[upper])
    if neighbour(value, 1) <= kind.max:
        return {lower: neighbour(value, 1)}
    return {lower: value, upper: neighbour(value, -1)}
