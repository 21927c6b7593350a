"""Does a cold profile ever rest an order: what is claimed holds for every order tried, and names its ways out."""

from __future__ import annotations

import random
from typing import Any

import pytest

from engine import Book, load
from engine.analysis.cold import cold_notes, cold_stops
from engine.home import shipped_home
from engine.language.findings import Severity
from engine.language.types import ChoiceType, FlagType, NumberType, Type
from tests.cli.harness import HOME

NOW = 1_700_000_000.0


def drawn(kind: Type, chance: random.Random) -> Any:
    match kind:
        case NumberType(min=low, max=high):
            return chance.choice([low, high, chance.uniform(max(low, -100), min(high, 100)), 0.0])
        case FlagType():
            return chance.random() < 0.5
        case ChoiceType(of=of):
            return chance.choice(of)
        case _:
            return chance.choice(["near", "far"])


def cold_facts(book: Book, chance: random.Random, symbol: str | None) -> dict[str, Any]:
    """Anything at all, except that the symbol has no maker history."""
    facts: dict[str, Any] = {"now": NOW, "symbol": symbol, "decisions": {}}
    for group in book.rulebook.policies["routing"].groups:
        held: dict[str, Any] = {"observed_at": NOW - chance.choice([0, 1, 10_000])}
        for fact in group.facts:
            if chance.random() < 0.9:
                held[fact.name] = drawn(fact.type, chance)
        if any(fact.name == "sample_count" for fact in group.facts):
            held = {"observed_at": NOW, "sample_count": 0}
        if group.name.startswith("decisions."):
            facts["decisions"][group.name.partition(".")[2]] = held
        else:
            facts[group.name] = held
    return facts


@pytest.mark.parametrize(("home", "profile"), [(HOME, "live"), (shipped_home(), "prod")])
def test_where_it_says_never_no_cold_order_rests_and_its_veto_is_there(home: Any, profile: str) -> None:
    book, chance = load(profile, home), random.Random(7)
    stops = {stop.groups: stop for stop in cold_stops(book.rulebook)}
    assert stops.keys() == book.rulebook.bindings.keys()
    for _ in range(2_000):
        symbol = chance.choice([None, *book.rulebook.symbols])
        decision = book.decide("routing", cold_facts(book, chance, symbol))
        assert decision["route"] == "taker"
        stop = stops[book.rulebook.binding_of(symbol).groups]
        assert {rule.full_id for rule in stop.vetoes} <= set(decision.vetoes)


def test_prod_is_cold_and_says_what_would_change_that() -> None:
    (note,) = cold_notes(load("prod", shipped_home()).rulebook)
    assert note.severity is Severity.NOTE
    assert note.code == "cold.never_rests"
    assert "maker_gates.quality_not_good" in note.message
    assert note.help == "set `probe.enabled` to true, or import telemetry"


def test_a_profile_that_probes_is_not_cold() -> None:
    assert cold_notes(load("testnet", shipped_home()).rulebook) == []
    assert cold_notes(load("trial", HOME).rulebook) == []


def test_a_profile_that_is_cold_for_some_symbols_names_them(tmp_path: Any) -> None:
    import shutil

    shutil.copytree(HOME, tmp_path / "home")
    live = tmp_path / "home/profiles/live.yaml"
    text = live.read_text().replace("    values:\n", "    values:\n      gates.trusts_ok: {value: true, why: thin}\n")
    live.write_text(text)
    (note,) = cold_notes(load("live", tmp_path / "home").rulebook)
    assert "for symbols in no group" in note.message
