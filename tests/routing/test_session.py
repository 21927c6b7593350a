"""Sessions: what an intent may see, that the same seed decides the same, and that every kind of decision occurs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Book, FactsError, load
from engine.market import Event, Quote
from engine.routing import MarketSource, Session, SessionShape, open_market
from engine.routing.chain import Chain
from engine.routing.watch import watch
from tests.routing.markets import START_MS, Ran, generated, hand_made, quote, records, run, shipped, trade

OFTEN = SessionShape(every_s=0.5)
PROFILES = ("prod", "testnet")


class Nobody:
    """A view that looks at nothing."""

    def show(self, *_: object) -> None:
        pass


def check_coverage(ran: Ran) -> None:
    values = ran.tally.all.values
    for name in ("routes", "tiers"):
        kinds = ran.tally.kinds[name]
        assert kinds
        assert all(values[name][kind] for kind in kinds), values[name]
    assert ran.tally.gates_hit >= 8, ran.tally.all.vetoes
    causes = {
        leaf["saw"]["sample_count"]["missing"]
        for step in ran.steps
        for veto in step.routed.routing.record()["vetoes"]
        if veto["rule"] == "hard_gates.telemetry_stale"
        for leaf in veto["leaves"]
    }
    assert causes == {"absent", "stale"}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_generated_market_shows_every_route_tier_regime_and_gate(profile: str) -> None:
    ran = generated(profile)
    check_coverage(ran)
    regimes = ran.tally.all.values["regimes"]
    assert all(regimes[kind] for kind in ran.tally.kinds["regimes"])


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", [7, 8])
def test_recorded_markets_show_every_route_and_tier(profile: str, seed: int, data_dir: Path) -> None:
    shape = SessionShape(seed=seed)
    ran = run(open_market(shape, folder=data_dir), shape, profile)
    assert ran.session.quotes.total() > 100_000
    check_coverage(ran)


def test_probes_are_granted_where_the_profile_says_so() -> None:
    probes = {name: sum(step.routed.routing["probe"] is True for step in generated(name).steps) for name in PROFILES}
    assert probes["prod"] == 0
    assert 0 < probes["testnet"] <= 4 * 6, "6 an hour for each of four symbols"
    strict = {
        step.routed.routing["quality"] for step in generated("prod").steps if step.routed.routing["route"] == "maker"
    }
    assert strict == {"good"}


def test_the_same_seed_gives_the_same_records() -> None:
    def few(seed: int) -> Ran:
        shape = SessionShape(seed=seed, limit_quotes=4000)
        return run(open_market(shape, generated=True), shape)

    first, second, other = few(7), few(7), few(8)
    assert records(first) == records(second)
    assert first.tally.as_json() == second.tally.as_json()
    assert records(first) != records(other)


def test_both_backends_decide_the_same() -> None:
    shape = SessionShape(limit_quotes=1500)
    market = open_market(shape, generated=True)
    slow = Session(Book(shipped("testnet").rulebook, "interpreter"), market, shape)
    assert [step.routed.routing.json() for step in slow] == records(run(market, shape, "testnet"))


def test_a_record_decides_again_to_the_same() -> None:
    book = shipped("prod")
    for step in generated("prod").steps[::97]:
        record = step.routed.routing.record()
        facts = {name: record[name] for name in ("now", "symbol", "intent_id")} | record["facts"]
        assert book.decide("routing", facts).record() == record


def test_the_clock_is_the_venue_s_and_nothing_is_seen_before_its_time() -> None:
    events = tuple(open_market(SessionShape(), generated=True).feed)[:3000]
    ran = run(hand_made(events), OFTEN)
    assert len(ran.steps) > 100
    for step in ran.steps[::7]:
        last = [
            event
            for event in events
            if isinstance(event, Quote) and event.symbol == step.symbol and event.ts_ms <= step.now_ms
        ]
        record = step.routed.routing.record()
        assert record["now"] == step.now_ms / 1000
        market = record["facts"]["market"]
        assert market["observed_at"] == last[-1].ts_ms / 1000
        if step.now_ms - last[-1].ts_ms <= 2000:
            assert (market["bid"], market["ask"]) == (last[-1].bid, last[-1].ask)


def test_steps_come_in_order_of_time() -> None:
    times = [step.now_ms for step in generated("prod").steps]
    assert times == sorted(times)


def test_an_intent_sees_the_events_of_its_own_millisecond() -> None:
    def quotes() -> Iterator[Event]:
        yield from (quote(at, 99.0 + at * 1e-6, 100.0 + at * 1e-6) for at in range(2_000))

    for step in run(hand_made(quotes()), SessionShape(every_s=0.05)).steps:
        bid = step.routed.routing.record()["facts"]["market"]["bid"]
        assert bid == 99.0 + (step.now_ms - START_MS) * 1e-6


def test_a_silent_symbol_sleeps_and_wakes_with_its_feed() -> None:
    noise = [quote(at, 9.9, 10.1, "ETHUSDT") for at in range(0, 200_000, 1_000)]
    spoken = [quote(0, 99.0, 100.0), quote(100_000, 99.0, 100.0)]
    events = sorted(noise + spoken, key=lambda event: event.ts_ms)
    steps = run(hand_made(events), OFTEN).steps
    at = [step.now_ms - START_MS for step in steps if step.symbol == "BTCUSDT"]
    assert any(2_000 < moment <= 10_000 for moment in at), "for a while it goes on, against a stale book"
    assert not any(10_000 < moment <= 100_000 for moment in at)
    assert any(100_000 < moment <= 110_000 for moment in at)
    gaps = {
        step.routed.routing.record()["facts"]["windows"]["feed_gap_s"] for step in steps if step.symbol == "BTCUSDT"
    }
    assert max(gaps) > 5.0


def test_a_market_of_trades_alone_is_decided_without_a_book() -> None:
    steps = run(hand_made(trade(at, 100.0) for at in range(0, 20_000, 100)), OFTEN).steps
    assert steps
    for step in steps:
        assert step.spread_bps is None
        assert "hard_gates.book_missing" in step.routed.routing.vetoes


def test_a_book_that_never_has_both_sides_gets_no_intents() -> None:
    assert not run(hand_made(quote(at, 0.0, 100.0) for at in range(0, 20_000, 100)), OFTEN).steps


def test_admission_is_decided_first_and_handed_on() -> None:
    refused = 0
    for step in generated("prod").steps[::5]:
        admission, record = step.routed.admission, step.routed.routing.record()
        assert admission is not None
        assert record["facts"]["decisions"]["admission"]["admitted_qty"] == admission["admitted_qty"]
        assert record["intent_id"] == admission.moment.intent_id
        if not admission["admit"]:
            refused += 1
            assert record["decided"]["route"] == "taker" or "maker_qty" not in record["facts"]["intent"]
    assert refused


def test_limit_quotes_counts_quotes() -> None:
    ran = run(open_market(SessionShape(), generated=True), SessionShape(limit_quotes=777))
    assert ran.session.quotes.total() == 777


def test_a_home_that_declares_less_is_handed_less() -> None:
    home = Path(__file__).resolve().parents[1] / "cli" / "home"
    book = load("live", home)
    shape = SessionShape(limit_quotes=3000)
    steps = list(Session(book, open_market(shape, generated=True), shape))
    assert steps
    assert all(step.routed.admission is None for step in steps)


def test_the_chain_needs_a_policy_routing() -> None:
    class Without(Book):
        def __init__(self) -> None:
            super().__init__(shipped("prod").rulebook)

        def policy(self, name: str) -> Any:
            return super().policy("nothing of the kind" if name == "routing" else name)

    with pytest.raises(FactsError, match="runs no policy"):
        Chain(Without())


def test_watching_keeps_the_pace_and_waits_at_most_a_second() -> None:
    events = [*(quote(at, 99.0, 100.0) for at in range(0, 10_000, 100)), quote(90_000_000, 99.0, 100.0)]
    events += [quote(90_000_000 + at, 99.0, 100.0) for at in range(100, 5_000, 100)]
    waits: list[float] = []
    session = Session(shipped("prod"), hand_made(events), SessionShape(every_s=1.0))
    report = watch(session, Nobody(), speed=4.0, sleep=waits.append)
    assert len(waits) == report.tally.all.decisions - 1
    assert max(waits) == 1.0
    assert sorted(waits)[-2] <= 1.5 / 4


def test_ctrl_c_reports_what_was_decided_until_then() -> None:
    class Impatient:
        seen = 0

        def show(self, *_: object) -> None:
            self.seen += 1
            if self.seen == 10:
                raise KeyboardInterrupt

    market: MarketSource = open_market(OFTEN, generated=True)
    report = watch(Session(shipped("prod"), market, OFTEN), Impatient())
    assert report.interrupted
    assert report.tally.all.decisions == 10
    assert json.loads(json.dumps(report.as_json()))["interrupted"] is True


def test_counts_add_up() -> None:
    tally = generated("prod").tally
    counts = tally.as_json()
    assert counts["decisions"] == len(generated("prod").steps) == tally.admitted + tally.refused
    for name in ("routes", "tiers", "regimes"):
        assert sum(counts[name].values()) == counts["decisions"]
        for kind, times in counts[name].items():
            assert times == sum(held[name][kind] for held in counts["symbols"].values())
    assert counts["routes"]["maker"] == sum(not step.routed.routing.vetoes for step in generated("prod").steps)
