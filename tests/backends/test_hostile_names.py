"""Names, symbols and observations that could trip generated code, and copies of decisions."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest

from engine import Book, FactsError, LoadError, load

NOW = 1000.0
VOCABULARY = """
params:
  ahead: {{type: number, unit: s, min: 0, max: 60}}
max_ahead_s: {ahead}
groups:
  first:
    facts:
      {fact}: {{type: number, min: 0, max: 10}}
  second:
    facts:
      other: {{type: number, min: 0, max: 10}}
"""
RULES = """
ruleset: gates
hit: veto
sets:
  {flag}: {{type: flag}}
rules:
  - id: above
    when: {fact} > other
"""
POLICY = """
policy: p
reads: [first, second]
steps: [gates]
decides: [{flag}]
"""
PROFILE = """
profile: live
policies: [p]
values:
  facts.ahead: 5
symbols:
  core:
    of: [{symbol}]
"""


def home(
    folder: Path, fact: str = "x", flag: str = "open", ahead: str = "$ahead", symbol: str = "BTC", rules: str = RULES
) -> Path:
    """A home of one policy whose names are given."""
    for name, text in {
        "policies/facts.yaml": VOCABULARY.format(fact=fact, ahead=ahead),
        "rules/gates.yaml": rules.format(fact=fact, flag=flag),
        "policies/p.yaml": POLICY.format(flag=flag),
        "profiles/live.yaml": PROFILE.format(symbol=symbol),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def facts(fact: str = "x") -> dict[str, Any]:
    """Facts that veto."""
    return {"now": NOW, "symbol": "BTC", "first": {fact: 3.0}, "second": {"other": 1.0}}


PYTHON = ("float", "str", "len", "class", "now", "at", "nan", "_", "_1", "self", "print", "type", "frozenset")
GENERATED = ("fact_0_0", "fact_1_0", "plain_g_first", "dated_g_first", "ids_gates", "fired_gates", "g_first", "gd_p")


@pytest.mark.parametrize("name", PYTHON + GENERATED)
def test_a_fact_may_have_any_name(name: str, tmp_path: Path) -> None:
    book = load("live", home(tmp_path, fact=name))
    given = facts(name)
    assert book.decide("p", given).json() == load("live", tmp_path, backend="interpreter").decide("p", given).json()
    assert book.verdict("p", given).vetoes == ("gates.above",)


@pytest.mark.parametrize("name", [*PYTHON, *GENERATED, "policy", "reason", "seen"])
def test_a_decision_may_have_any_name(name: str, tmp_path: Path) -> None:
    book = load("live", home(tmp_path, flag=name))
    assert book.decide("p", facts())[name] is False
    assert book.verdict("p", facts())[name] is False


@pytest.mark.parametrize("name", ["values", "vetoes", "__slots__", "__class__"])
def test_what_a_verdict_has_already_is_no_name_of_a_decision(name: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError) as refusal:
        load("live", home(tmp_path, flag=name))
    assert "name.keyword" in {finding.code for finding in refusal.value.findings}


def test_an_age_limit_may_stand_in_parentheses(tmp_path: Path) -> None:
    book = load("live", home(tmp_path, ahead="($ahead)"))
    assert book.decide("p", facts()).open is False


@pytest.mark.parametrize("symbol", ["'A B'", "''", '"A\\nB"'])
def test_a_symbol_is_one_word(symbol: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="is no symbol"):
        load("live", home(tmp_path, symbol=symbol))


def test_a_text_holds_no_control_characters(tmp_path: Path) -> None:
    rules = RULES.replace("{fact} > other", "\"'a\\0b' == 'c'\"")
    with pytest.raises(LoadError):
        load("live", home(tmp_path, rules=rules))


@pytest.mark.parametrize("at", [math.inf, -math.inf, math.nan, True, "now", 10**400])
def test_no_moment_is_no_freshness(at: Any, tmp_path: Path) -> None:
    given = facts() | {"second": {"observed_at": at, "other": 9.0}}
    book = load("live", home(tmp_path))
    assert book.decide("p", given).vetoes == ("gates.above",)
    assert book.verdict("p", given).vetoes == ("gates.above",)


def shipped() -> Book:
    """The shipped prod profile."""
    return load("prod")


def test_a_group_is_decided_on_as_what_it_was_taken_in_as() -> None:
    book = shipped()
    account = book.observe("account", {"observed_at": NOW, "leverage": 2.0})
    with pytest.raises(FactsError, match="taken in as `account`"):
        book.decide_observed("routing", NOW, "BTCUSDT", {"market": account})
    with pytest.raises(FactsError, match="taken in as `account`"):
        book.verdict_observed("routing", NOW, "BTCUSDT", {"market": account})


def test_a_misspelt_group_is_refused_among_observed_ones() -> None:
    book = shipped()
    telemetry = book.observe("telemetry", {"observed_at": NOW, "sample_count": 3.0})
    with pytest.raises(FactsError, match="did you mean `telemetry`"):
        book.decide_observed("routing", NOW, "BTCUSDT", {"telemetri": telemetry})


def test_a_group_taken_in_under_another_declaration_is_refused(tmp_path: Path) -> None:
    before = load("live", home(tmp_path)).observe("first", {"x": 9.0})
    policies = tmp_path / "policies/facts.yaml"
    policies.write_text(policies.read_text().replace("max: 10}", "max: 5}"))
    with pytest.raises(FactsError, match="another declaration"):
        load("live", tmp_path).decide_observed("p", NOW, None, {"first": before})


@pytest.mark.parametrize("backend", ["compiled", "interpreter"])
def test_a_decision_can_be_copied(backend: Any, tmp_path: Path) -> None:
    decision = load("live", home(tmp_path), backend=backend).decide("p", facts())
    assert copy.copy(decision).json() == decision.json()


def test_an_id_does_not_depend_on_where_an_object_lies(tmp_path: Path) -> None:
    book = load("live", home(tmp_path))
    ids = {book.decide("p", facts() | {"second": {"other": object()}}).decision_id for _ in range(5)}
    assert len(ids) == 1


def test_what_another_policy_may_decide_is_part_of_the_version(tmp_path: Path) -> None:
    home(tmp_path)
    (tmp_path / "rules/size.yaml").write_text(
        "ruleset: size\nhit: first\nsets:\n  size: {type: number, min: 0, max: 5}\n"
        "rules:\n  - id: one\n    set: {size: 1}\n"
    )
    (tmp_path / "policies/q.yaml").write_text("policy: q\nreads: [first]\nsteps: [size]\ndecides: [size]\n")
    (tmp_path / "rules/gates.yaml").write_text(RULES.format(fact="x", flag="open").replace("x > other", "size > other"))
    (tmp_path / "policies/p.yaml").write_text(
        POLICY.format(flag="open").replace("[first, second]", "[first, second, {decisions: q}]")
    )
    before = load("live", tmp_path)
    rules = tmp_path / "rules/size.yaml"
    rules.write_text(rules.read_text().replace("max: 5", "max: 50"))
    after = load("live", tmp_path)
    assert before.version != after.version
    assert before.rulebook.sources_digest != after.rulebook.sources_digest
