"""A made-up week of maker attempts: sound, reproducible, and with a symbol in each tier."""

from __future__ import annotations

from engine.journal.events import Imported
from engine.routing.effectiveness import WINDOW_S, Effectiveness
from engine.routing.sessions.generated_samples import RECORDS, generated_samples
from engine.routing.telemetry import imported
from tests.routing.markets import shipped

NEWEST_MS = 1_700_000_000_000
SYMBOLS = tuple(f"S{number}USDT" for number in range(len(RECORDS)))


def taken_in(seed: int = 7) -> Effectiveness:
    view = Effectiveness()
    event: Imported
    for event in imported(generated_samples(seed, SYMBOLS, NEWEST_MS), "made up", NEWEST_MS):
        view.see(event)
    return view


def test_all_of_them_lie_in_the_window_and_stay_there_for_a_day() -> None:
    samples = generated_samples(7, SYMBOLS, NEWEST_MS)
    times = [sample.ts_ms for held in samples.values() for sample in held]
    assert max(times) == NEWEST_MS
    assert min(times) > NEWEST_MS + 86_400_000 - WINDOW_S * 1000
    for held in samples.values():
        assert [sample.ts_ms for sample in held] == sorted(sample.ts_ms for sample in held)


def test_the_same_seed_gives_the_same_and_a_symbol_its_own() -> None:
    samples = generated_samples(7, SYMBOLS, NEWEST_MS)
    assert samples == generated_samples(7, reversed(SYMBOLS), NEWEST_MS)
    assert samples != generated_samples(8, SYMBOLS, NEWEST_MS)
    assert len({held[0].attempted for held in samples.values()}) == len(SYMBOLS)


def test_at_shipped_numbers_there_is_a_symbol_in_most_tiers() -> None:
    view, book = taken_in(), shipped("prod")
    tiers = []
    for symbol in SYMBOLS:
        facts = {"now": NEWEST_MS / 1000, "symbol": symbol, "telemetry": view.facts(symbol, NEWEST_MS)}
        tiers.append(book.decide("routing", facts)["quality"])
    assert tiers == ["good", "good", "ok", "good", "degraded", "ok"]


def test_every_metric_is_there_and_valid() -> None:
    view = taken_in()
    declared = {fact.name: fact for fact in shipped("prod").rulebook.groups["telemetry"].facts}
    for symbol in SYMBOLS:
        facts = dict(view.facts(symbol, NEWEST_MS) or {})
        facts.pop("observed_at")
        assert set(facts) == set(declared), symbol
