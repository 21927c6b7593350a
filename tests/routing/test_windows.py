"""Windows over a journal: exact over event time, the same after a restart, kept over a reload."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.home import shipped_home
from engine.journal.events import Checkpoint, Event
from engine.language.findings import LoadError
from engine.language.load import load_rulebook
from engine.language.rulebook import Rulebook
from engine.routing import windows as module
from engine.routing.known import VENUE
from engine.routing.window_events import SUPPLIED
from engine.routing.windows import Row, Windows
from tests.language.test_fuzz_load import workspace_of
from tests.routing.journals import (
    ONE,
    accepted,
    ended,
    failed,
    filled,
    planned,
    probed,
    refused_attempt,
    rejected,
    unclear,
    updated,
)

START = 1_700_000_000_000
BTC, ETH, THIN = "BTCUSDT", "ETHUSDT", "THINUSDT"

FACTS = """
groups:
  windows:
    facts:
      acks: {type: number, unit: count, min: 0, max: 1000000}
      slow: {type: number, unit: count, min: 0, max: 1000000}
      rejects: {type: number, unit: count, min: 0, max: 1000000}
      limited: {type: number, unit: count, min: 0, max: 1000000}
      fees: {type: number, unit: usd, min: -1e308, max: 1e308}
      volume: {type: number, unit: usd, min: 0, max: 1e308}
      pace: {type: number, min: 0, max: 1000000}
      poor: {type: number, unit: count, min: 0, max: 1000000}
      probes: {type: number, unit: count, min: 0, max: 1000000}
"""
WINDOWS = """
params: {long_s: {type: number, unit: s, min: 0.001, max: 600}}
events:
  order: {fields: {maker: {type: flag}}}
  ack: {fields: {maker: {type: flag}, latency_ms: {type: number, unit: ms, min: 0, max: 5000}}}
  post_only_reject: {}
  order_error: {fields: {error: {type: text}}}
  fill:
    fields:
      notional_usd: {type: number, unit: usd, min: 0, max: 1e308}
      fee_usd: {type: number, unit: usd, min: -1e308, max: 1e308}
  maker_attempt: {fields: {fill_ratio: {type: number, unit: ratio, min: 0, max: 1}, fallback: {type: flag}}}
  probe: {}
windows:
  acks: {event: ack, measure: count, window_s: 1, per: [symbol, venue]}
  slow: {event: ack, filter: latency_ms >= $s.slow_ms, measure: count, window_s: 0.25, per: [symbol, venue]}
  rejects: {event: post_only_reject, measure: count, window_s: 1, per: [symbol, venue]}
  limited: {event: order_error, filter: error == 'rate_limit', measure: count, window_s: 1, per: [symbol, venue]}
  fees: {event: fill, filter: fee_usd != 0, measure: sum, of: fee_usd, window_s: 1, per: [symbol, venue]}
  volume: {event: fill, measure: sum, of: notional_usd, window_s: $long_s, per: [symbol]}
  pace: {event: order, measure: rate, window_s: 0.5, per: [symbol, venue]}
  poor: {event: maker_attempt, filter: fallback or fill_ratio <= $s.poor, measure: in_a_row, per: [symbol, venue]}
  probes: {event: probe, measure: count, window_s: 3600, per: [symbol]}
"""
RULES = """
ruleset: s
hit: veto
sets: {out: {type: flag}}
params:
  slow_ms: {type: number, unit: ms, min: 0, max: 100000}
  poor: {type: number, unit: ratio, min: 0, max: 1}
rules: [{id: r, when: acks > 0}]
"""
PROFILE = """
profile: main
policies: [p]
values: {s.slow_ms: 100, s.poor: 0.5, windows.long_s: 2}
symbols:
  thin:
    of: [THINUSDT]
    values: {s.slow_ms: {value: 400, why: slower}, windows.long_s: {value: 3, why: rarer}}
"""
HOME = {
    "policies/facts.yaml": FACTS,
    "policies/windows.yaml": WINDOWS,
    "policies/p.yaml": "policy: p\nreads: [windows]\nsteps: [s]\ndecides: [out]\n",
    "rules/s.yaml": RULES,
    "profiles/main.yaml": PROFILE,
}


def rulebook_with(before: str = "", after: str = "", *, file: str = "policies/windows.yaml") -> Rulebook:
    """The rulebook of the home above, with a text of one file replaced."""
    assert before in HOME[file]
    files = {**HOME, file: HOME[file].replace(before, after) if before else HOME[file]}
    return workspace_of({name: text.encode() for name, text in files.items()}).rulebook("main")


BOOK = rulebook_with()
SHIPPED = load_rulebook(shipped_home(), "prod")


def after(events: Iterable[Event], book: Rulebook = BOOK) -> Windows:
    """Windows that have seen these events."""
    windows = Windows(book)
    for event in events:
        windows.see(event)
    return windows


def fact(windows: Windows, name: str, now_ms: int, scope: str = BTC) -> float:
    return windows.facts(scope, now_ms)[name]


# Which events are in a window --------------------------------------------------------------------------------------


def test_an_event_counts_from_its_own_millisecond_on_until_the_length_is_over() -> None:
    windows = after([probed(START)], SHIPPED)
    hour_ms = 3_600_000
    counted = {ms: fact(windows, "probes_last_hour", START + ms) for ms in (0, 1, hour_ms - 1, hour_ms, hour_ms + 1)}
    assert counted == {0: 1.0, 1: 1.0, hour_ms - 1: 1.0, hour_ms: 0.0, hour_ms + 1: 0.0}


def test_time_does_not_run_backwards_in_a_window() -> None:
    windows = after(event for ms in (0, 900, 1000) for event in refused_attempt(START + ms, f"{ms}"))
    assert fact(windows, "rejects", START + 1000) == 2.0
    assert fact(windows, "rejects", START + 950) == 2.0, "as of the last event, not three, and not one"
    assert fact(windows, "rejects", START - 5000) == 2.0


def test_an_event_that_comes_late_counts_as_if_it_had_come_in_time() -> None:
    late = after(event for ms in (0, 700, 300) for event in refused_attempt(START + ms, f"{ms}"))
    counted = [fact(late, "rejects", START + ms) for ms in (700, 999, 1000, 1299, 1300, 1699, 1700)]
    assert counted == [3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 0.0]
    gone = after(event for ms in (0, 2000, 900) for event in refused_attempt(START + ms, f"{ms}"))
    assert fact(gone, "rejects", START + 2000) == 1.0


def test_asking_changes_nothing() -> None:
    windows = after(refused_attempt(START, "a"))
    before = windows.checkpoint()
    assert fact(windows, "rejects", START + 10_000) == 0.0
    assert fact(windows, "rejects", START) == 1.0
    assert windows.checkpoint() == before


def test_where_nothing_happened_every_fact_is_0() -> None:
    assert Windows(SHIPPED).facts(BTC, START) == dict.fromkeys(SHIPPED.windows, 0.0)
    assert Windows(SHIPPED).facts(VENUE, START) == {
        "post_only_rejects_60s": 0.0,
        "slow_acks_60s": 0.0,
        "fallbacks_in_a_row": 0.0,
    }
    windows = after(refused_attempt(START, "a"), SHIPPED)
    assert windows.facts(ETH, START) == dict.fromkeys(SHIPPED.windows, 0.0)
    assert windows.facts(BTC, START).keys() == SHIPPED.windows.keys()


def test_facts_are_as_the_vocabulary_declares_them() -> None:
    windows = after(refused_attempt(START, "a"), SHIPPED)
    declared = {fact.name for fact in SHIPPED.groups["windows"].facts}
    for scope in (BTC, VENUE, ETH):
        found = windows.facts(scope, START)
        assert found.keys() <= declared
        assert all(type(value) is float for value in found.values())


# What journal events mean ------------------------------------------------------------------------------------------


def test_a_latency_is_from_the_plan_to_the_answer_on_the_clock_of_the_journal() -> None:
    for latency_ms, slow in ((99, 0.0), (100, 1.0)):
        windows = after([planned(START, "a"), accepted(START + latency_ms, "a")])
        assert (fact(windows, "acks", START + latency_ms), fact(windows, "slow", START + latency_ms)) == (1.0, slow)


def test_an_order_is_acknowledged_once_and_by_the_answer_to_its_placing_alone() -> None:
    windows = after([planned(START, "a"), accepted(START + 1, "a"), accepted(START + 500, "a")])
    assert fact(windows, "acks", START + 500) == 1.0
    others = [updated(START + 1, "a", "open"), accepted(START + 2, "a", asked="query"), rejected(START + 3, "a", -1)]
    assert fact(after([planned(START, "a"), *others]), "acks", START + 3) == 0.0
    assert fact(after([accepted(START, "nobody's")]), "acks", START) == 0.0


def refusals(*answers: Event, role: Any = "maker") -> float:
    return fact(after([planned(START, "a", role=role), *answers]), "rejects", START + 9)


def test_a_post_only_order_is_refused_by_code_or_as_expired_without_having_rested() -> None:
    assert refusals(rejected(START, "a")) == 1.0
    assert refusals(accepted(START, "a", status="expired")) == 1.0
    assert refusals(updated(START, "a", "expired")) == 1.0
    assert refusals(accepted(START, "a", asked="query", status="expired")) == 1.0
    assert refusals(unclear(START, "a"), updated(START + 1, "a", "expired")) == 1.0


def test_a_refusal_counts_once_however_often_it_is_reported() -> None:
    assert refusals(rejected(START, "a"), rejected(START + 1, "a"), updated(START + 2, "a", "expired")) == 1.0


def test_what_is_no_refusal_of_a_post_only_order_does_not_count_as_one() -> None:
    assert refusals(accepted(START, "a"), updated(START + 1, "a", "expired")) == 0.0, "it had rested"
    assert refusals(updated(START, "a", "expired", ONE)) == 0.0, "it had traded"
    assert refusals(filled(START, "a"), updated(START + 1, "a", "expired")) == 0.0, "it had traded"
    assert refusals(accepted(START, "a", status="expired"), role="taker") == 0.0, "it never meant to rest"
    assert refusals(rejected(START, "a", -2019)) == 0.0, "another reason"
    assert refusals(rejected(START, "a", asked="cancel")) == 0.0, "another request"


def test_a_fill_counts_once_and_for_the_symbol_that_it_names() -> None:
    windows = after(
        [
            filled(START, "unknown", ETH, qty="0.1", price="30", fee="-0.5"),
            filled(START, "unknown", ETH, qty="0.1", price="30", fee="-0.5", again=True),
        ]
    )
    assert (fact(windows, "volume", START, ETH), fact(windows, "fees", START, ETH)) == (3.0, -0.5)
    assert fact(windows, "fees", START, VENUE) == -0.5
    assert fact(windows, "volume", START) == 0.0


def test_an_attempt_is_an_entry_that_was_to_rest() -> None:
    def row(**outcome: Any) -> float:
        events = [ended(START, "i1", fallback=True), ended(START + 1, "i2", **outcome)]
        return fact(after(events), "poor", START + 1)

    assert row(fallback=True) == 2.0
    assert row(maker_filled="0.5") == 2.0
    assert row(maker_filled="0.6") == 0.0
    assert row(is_exit=True, maker_filled="0.6") == 1.0, "an exit is no attempt"
    assert row(attempted="0", maker_filled="0") == 1.0, "nor is what was routed taker"


def test_an_error_counts_for_the_symbol_of_its_order() -> None:
    windows = after(
        [
            planned(START, "a", ETH),
            failed(START, "a"),
            failed(START, "a", error="refused"),
            failed(START, "nobody's"),
        ]
    )
    assert fact(windows, "limited", START, ETH) == 1.0
    assert fact(windows, "limited", START, VENUE) == 2.0, "that of an unknown order counts for the venue alone"
    assert windows.checkpoint().keys() == {ETH, VENUE}


def test_a_rate_is_in_events_a_second() -> None:
    windows = after([planned(START, "a"), planned(START + 100, "b"), planned(START + 200, "c", ETH)])
    assert fact(windows, "pace", START + 200) == 4.0
    assert fact(windows, "pace", START + 200, VENUE) == 6.0
    assert fact(windows, "pace", START + 599) == 2.0


def test_a_sum_is_exact_whatever_came_and_went() -> None:
    windows = after(filled(START, "a", fee=fee) for fee in ("1e16", "0.1", "-1e16"))
    assert fact(windows, "fees", START) == 0.1
    for fee in ("1e-300", "0.2", "-0.1"):
        windows.see(filled(START + 999, "a", fee=fee))
    assert fact(windows, "fees", START + 999) == 0.2
    assert fact(windows, "fees", START + 1000) == math.fsum((1e-300, 0.2, -0.1))
    assert fact(windows, "fees", START + 1999) == 0.0


def test_a_sum_beyond_every_double_is_infinite_and_so_no_sound_fact() -> None:
    windows = after(filled(START + ms, f"{ms}", fee="-1e308") for ms in range(3))
    assert fact(windows, "fees", START + 2) == -math.inf
    assert fact(windows, "fees", START + 1002) == 0.0


def test_numbers_outside_of_their_declared_range_are_its_nearest_bound() -> None:
    book = rulebook_with("min: -1e308, max: 1e308", "min: -1, max: 1")
    windows = after([filled(START, "a", fee="7"), filled(START, "b", fee="-5"), filled(START, "c", fee="3")], book)
    assert fact(windows, "fees", START) == 1.0


def test_an_order_is_forgotten_with_its_intent() -> None:
    windows = after([*refused_attempt(START, "a"), *refused_attempt(START, "b")])
    events = windows._events
    assert events._orders == {}
    assert events._by_intent == {}


# Symbol groups -----------------------------------------------------------------------------------------------------


def test_an_event_is_looked_at_with_the_values_of_its_own_symbol_for_the_venue_too() -> None:
    sent = [planned(START, "a", BTC), planned(START, "b", THIN)]
    windows = after([*sent, accepted(START + 200, "a"), accepted(START + 200, "b")])
    assert fact(windows, "slow", START + 200, BTC) == 1.0
    assert fact(windows, "slow", START + 200, THIN) == 0.0
    assert fact(windows, "slow", START + 200, VENUE) == 1.0


def test_a_length_may_differ_by_symbol_group() -> None:
    windows = after([filled(START, "a", BTC), filled(START, "b", THIN)])
    for symbol, length_ms in ((BTC, 2000), (THIN, 3000)):
        assert fact(windows, "volume", START + length_ms - 1, symbol) == 100.0
        assert fact(windows, "volume", START + length_ms, symbol) == 0.0


def test_the_shipped_filter_is_that_of_the_tiers() -> None:
    slow_ms = int(float(SHIPPED.binding_of(BTC).values["quality.degraded_ack_ms"]))
    for latency_ms, slow in ((slow_ms - 1, 0.0), (slow_ms, 1.0)):
        windows = after([planned(START, "a"), accepted(START + latency_ms, "a")], SHIPPED)
        assert fact(windows, "slow_acks_60s", START + latency_ms) == slow
        assert fact(windows, "slow_acks_60s", START + latency_ms, VENUE) == slow


# Against a recount -------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """Journal events, and what they mean by the words of the documents: kind, symbol, time and fields."""

    journal: list[Event] = field(default_factory=list)
    meant: list[tuple[str, str, int, dict[str, Any]]] = field(default_factory=list)

    def tell(self, number: int, what: str, symbol: str, ts_ms: int, size: int) -> None:
        client_id = f"c{number}"

        def plan(at_ms: int) -> None:
            self.journal.append(planned(at_ms, client_id, symbol))
            self.meant.append(("order", symbol, at_ms, {}))

        match what:
            case "ack":
                plan(ts_ms)
                self.journal.append(accepted(ts_ms + size, client_id))
                self.meant.append(("ack", symbol, ts_ms + size, {"latency_ms": float(size)}))
            case "reject":
                plan(ts_ms)
                self.journal.append(rejected(ts_ms, client_id))
                self.meant.append(("post_only_reject", symbol, ts_ms, {}))
            case "error":
                plan(ts_ms)
                self.journal.append(failed(ts_ms, client_id))
                self.meant.append(("order_error", symbol, ts_ms, {}))
            case "fill":
                fee, qty = f"{size - 200}.1", f"0.{size + 1}"
                self.journal.append(filled(ts_ms, client_id, symbol, fee=fee, qty=qty, price="3"))
                values = {"fee_usd": float(fee), "notional_usd": float(self.journal[-1].message.qty * 3)}  # type: ignore[union-attr]  # a fill
                self.meant.append(("fill", symbol, ts_ms, values))
            case "attempt":
                fallback, share = size % 2 == 0, f"0.{size % 10}"
                self.journal.append(ended(ts_ms, f"i{number}", symbol, fallback=fallback, maker_filled=share))
                values = {"poor": float(fallback or float(share) <= 0.5)}
                self.meant.append(("maker_attempt", symbol, ts_ms, values))
            case _:
                self.journal.append(probed(ts_ms, symbol))
                self.meant.append(("probe", symbol, ts_ms, {}))


def recount(meant: Sequence[tuple[str, str, int, dict[str, Any]]], scope: str, now_ms: int) -> dict[str, float]:
    """Every window by its words, from the beginning."""

    def within(length_ms: int, kind: str, keeps: Any = lambda _symbol, _values: True) -> list[dict[str, Any]]:
        found = [
            (ts_ms, values)
            for told, symbol, ts_ms, values in meant
            if told == kind and scope in (symbol, VENUE) and keeps(symbol, values)
        ]
        now = max((now_ms, *(ts_ms for ts_ms, _ in found)))
        return [values for ts_ms, values in found if now - length_ms < ts_ms <= now]

    def is_slow(symbol: str, values: dict[str, Any]) -> bool:
        return float(values["latency_ms"]) >= (400 if symbol == THIN else 100)

    row = 0
    for told, symbol, _, values in meant:
        if told == "maker_attempt" and scope in (symbol, VENUE):
            row = row + 1 if values["poor"] else 0
    found = {
        "acks": float(len(within(1000, "ack"))),
        "slow": float(len(within(250, "ack", is_slow))),
        "rejects": float(len(within(1000, "post_only_reject"))),
        "limited": float(len(within(1000, "order_error"))),
        "fees": math.fsum(values["fee_usd"] for values in within(1000, "fill")),
        "pace": len(within(500, "order")) * 1000 / 500,
        "poor": float(row),
    }
    if scope == VENUE:
        return found
    length_ms = 3000 if scope == THIN else 2000
    return {
        **found,
        "volume": math.fsum(values["notional_usd"] for values in within(length_ms, "fill")),
        "probes": float(len(within(3_600_000, "probe"))),
    }


STEPS_MS = st.sampled_from([0, 0, 0, 1, 1, 50, 249, 250, 251, 499, 500, 501, 999, 1000, 1001, 2000, 3000, 3_600_000])
BACK_MS = st.sampled_from([0, 0, 0, 0, 1, 10, 250, 999, 1500])
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["ack", "ack", "reject", "error", "fill", "fill", "attempt", "attempt", "probe"]),
        st.sampled_from([BTC, ETH, THIN]),
        STEPS_MS,
        BACK_MS,
        st.integers(0, 500),
    ),
    max_size=40,
)


def told(operations: Sequence[tuple[str, str, int, int, int]]) -> Iterator[tuple[int, str, str, int, int]]:
    """Operations with their times: they go on by steps, and some come late."""
    clock_ms = START
    for number, (what, symbol, step_ms, back_ms, size) in enumerate(operations):
        clock_ms += step_ms
        yield number, what, symbol, clock_ms - back_ms, size


@pytest.fixture(scope="module", autouse=True)
def _trimming_starts_early() -> Iterator[None]:
    """So that short streams show what becomes of long ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LEAST_TRIMMED", 3)
        yield


@settings(max_examples=150, deadline=None)
@given(OPERATIONS, st.lists(STEPS_MS, max_size=3))
def test_windows_say_what_a_recount_says(operations: list[tuple[str, str, int, int, int]], later_ms: list[int]) -> None:
    windows, story = Windows(BOOK), Told()
    for number, what, symbol, ts_ms, size in told(operations):
        seen = len(story.journal)
        story.tell(number, what, symbol, ts_ms, size)
        for event in story.journal[seen:]:
            windows.see(event)
        for scope in (symbol, VENUE):
            for ms in (0, *later_ms):
                assert windows.facts(scope, ts_ms + ms) == recount(story.meant, scope, ts_ms + ms)
    again = after(story.journal)
    last_ms = max((event.ts_ms for event in story.journal), default=START)
    for scope in (BTC, ETH, THIN, VENUE):
        assert again.facts(scope, last_ms) == windows.facts(scope, last_ms)
    assert again.checkpoint() == windows.checkpoint(), "a restart folds the same journal"


@settings(max_examples=100, deadline=None)
@given(OPERATIONS, st.randoms(use_true_random=False))
def test_of_events_at_one_time_the_order_does_not_matter(
    operations: list[tuple[str, str, int, int, int]], chance: Any
) -> None:
    in_order = list(told([(*one[:3], 0, one[4]) for one in operations if one[0] != "attempt"]))
    mixed = sorted(in_order, key=lambda each: (each[3], chance.random()))
    one, other = Told(), Told()
    for number, what, symbol, ts_ms, _ in in_order:
        one.tell(number, what, symbol, ts_ms, 0)
    for number, what, symbol, ts_ms, _ in mixed:
        other.tell(number, what, symbol, ts_ms, 0)
    assert after(one.journal).checkpoint() == after(other.journal).checkpoint()


def test_memory_is_bounded_by_the_length_of_the_window() -> None:
    windows = Windows(BOOK)
    for ms in range(0, 20_000, 2):
        windows.see(planned(START + ms, f"{ms}"))
        windows.see(ended(START + ms, f"of-{ms}", attempted="0"))
        for _ in range(3):  # at one time, one entry
            windows.see(filled(START + ms, "a"))
    held = {name: len(store.entries()) for name, store in windows._scopes[BTC].items()}
    assert held["pace"] <= 2 * 250
    assert held["fees"] <= 2 * 500
    assert held["volume"] <= 2 * 1000
    windows.see(filled(START + 60_000, "a"))
    assert len(windows._scopes[BTC]["fees"].entries()) == 1


# Reload and restart ------------------------------------------------------------------------------------------------


def busy() -> list[Event]:
    """Something of everything, for three symbols."""
    story = Told()
    kinds = ("ack", "reject", "error", "fill", "attempt", "probe")
    for number, (what, symbol) in enumerate(itertools.product(kinds, (BTC, ETH, THIN))):
        story.tell(number, what, symbol, START + number, 450 - number)
    return story.journal


NOW = START + 600


def reloaded(book: Rulebook) -> tuple[Windows, Windows, list[str]]:
    old = after(busy())
    new = Windows(book)
    return old, new, new.carry_over(old)


def test_a_reload_that_changes_no_window_keeps_all_of_them() -> None:
    book = rulebook_with("acks > 0", "acks > 1", file="rules/s.yaml")
    assert book.version != BOOK.version
    old, new, anew = reloaded(book)
    assert anew == []
    assert new.checkpoint() == old.checkpoint()
    new.see(probed(NOW))
    assert fact(new, "probes", NOW) == fact(old, "probes", NOW) + 1, "and the old ones are left as they were"


def test_an_order_that_was_out_during_a_reload_is_still_known_after_it() -> None:
    old, new = after([planned(START, "a")]), Windows(BOOK)
    new.carry_over(old)
    for windows in (new, old):
        windows.see(accepted(START + 150, "a"))
        assert (fact(windows, "acks", START + 150), fact(windows, "slow", START + 150)) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("before", "changed", "anew"),
    [
        ("latency_ms >= $s.slow_ms", "latency_ms > $s.slow_ms", ["slow"]),
        ("measure: count, window_s: 0.25", "measure: count, window_s: 0.5", ["slow"]),
        ("filter: fee_usd != 0, measure: sum, of: fee_usd", "measure: sum, of: fee_usd", ["fees"]),
        ("fallback or fill_ratio", "not fallback or fill_ratio", ["poor"]),
        ("event: post_only_reject", "event: order", ["rejects"]),
    ],
)
def test_a_window_that_counts_otherwise_begins_anew_and_alone(before: str, changed: str, anew: list[str]) -> None:
    old, new, begun = reloaded(rulebook_with(before, changed))
    assert begun == anew
    for scope in (BTC, ETH, THIN, VENUE):
        kept = {name: value for name, value in old.facts(scope, NOW).items() if name not in anew}
        assert {name: value for name, value in new.facts(scope, NOW).items() if name not in anew} == kept
        assert all(new.facts(scope, NOW)[name] == 0.0 for name in anew)


def test_a_value_of_a_symbol_group_begins_its_symbols_anew_and_the_venue() -> None:
    old, new, anew = reloaded(rulebook_with("value: 400", "value: 300", file="profiles/main.yaml"))
    assert anew == ["slow"]
    for scope in (BTC, ETH):
        assert new.facts(scope, NOW) == old.facts(scope, NOW)
    assert fact(old, "slow", NOW, VENUE) > 0.0
    assert fact(new, "slow", NOW, VENUE) == 0.0
    assert fact(new, "acks", NOW, THIN) == fact(old, "acks", NOW, THIN) > 0.0


def test_a_symbol_that_changes_its_group_begins_anew_where_its_values_do() -> None:
    old, new, anew = reloaded(rulebook_with("[THINUSDT]", "[THINUSDT, ETHUSDT]", file="profiles/main.yaml"))
    assert anew == ["slow", "volume"]
    assert new.facts(BTC, NOW) == old.facts(BTC, NOW)
    assert fact(new, "volume", NOW, ETH) == 0.0
    assert fact(new, "fees", NOW, ETH) == fact(old, "fees", NOW, ETH) != 0.0


def test_another_scope_begins_empty_and_leaves_the_others() -> None:
    before = "probes: {event: probe, measure: count, window_s: 3600, per: [symbol]}"
    old, new, anew = reloaded(rulebook_with(before, before.replace("[symbol]", "[symbol, venue]")))
    assert anew == ["probes"]
    assert fact(new, "probes", NOW) == fact(old, "probes", NOW)
    assert fact(new, "probes", NOW, VENUE) == 0.0


def test_words_and_other_fields_are_no_part_of_what_a_window_counts() -> None:
    _, _, anew = reloaded(rulebook_with("  rejects: {", "  rejects: {doc: other words, "))
    assert anew == []
    _, _, anew = reloaded(rulebook_with("min: 0, max: 5000", "min: 0, max: 6000"))
    assert anew == ["slow"], "the one that reads the field, not the other of the same events"


def checkpoint_of(windows: Windows) -> Checkpoint:
    """A checkpoint as it comes back from a file."""
    event = Checkpoint(
        ts_ms=NOW,
        positions={},
        cash_usd=ONE,
        fees_usd=ONE,
        day_nav_usd=None,
        windows=windows.checkpoint(),
    )
    return msgspec.json.decode(msgspec.json.encode(event), type=Checkpoint)


def test_a_checkpoint_brings_everything_back() -> None:
    old = after(busy())
    new = after([checkpoint_of(old)])
    assert new.checkpoint() == old.checkpoint()
    for scope in (BTC, ETH, THIN, VENUE):
        for now_ms in (NOW, NOW + 900, NOW + 2500):
            assert new.facts(scope, now_ms) == old.facts(scope, now_ms)
    assert after([*busy(), checkpoint_of(old)]).checkpoint() == old.checkpoint(), "nothing counts twice"


def test_a_checkpoint_of_windows_that_counted_otherwise_is_left_aside() -> None:
    before = after(busy(), rulebook_with("latency_ms >= $s.slow_ms", "latency_ms > $s.slow_ms"))
    mine = after(busy())
    restored = after([*busy(), checkpoint_of(before)])
    assert restored.facts(BTC, NOW) == mine.facts(BTC, NOW)
    assert fact(after([checkpoint_of(before)]), "slow", NOW) == 0.0


def test_changes_says_when_an_answer_may_be_another() -> None:
    windows = Windows(BOOK)
    seen = [windows.changes]
    for event in (probed(START), checkpoint_of(windows)):
        windows.see(event)
        seen.append(windows.changes)
    windows.carry_over(Windows(BOOK))
    seen.append(windows.changes)
    assert seen == sorted(set(seen))


def test_a_row_has_no_time() -> None:
    row = Row()
    for ts_ms, amount in ((5, 1), (3, 1), (9, 0), (1, 1)):
        row.add(ts_ms, amount)
    assert row.at(0) == row.at(10**15) == 1.0


# What the router tells of ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "changed", "at", "message", "help_text"),
    [
        ("  probe: {}", "  prob: {}", "13:3", "the router tells of no event `prob`", "did you mean `probe`?"),
        (
            "reject: {}",
            "reject: {fields: {code: {type: flag}}}",
            "6:31",
            "the event `post_only_reject` has no field `code`",
            "it has none",
        ),
        (
            "{error: {type: text}}",
            "{error: {type: text}, kode: {type: flag}}",
            "7:47",
            "the event `order_error` has no field `kode`",
            "did you mean `code`?",
        ),
        (
            "notional_usd: {type: number, unit: usd",
            "notional_usd: {type: number",
            "10:7",
            "`notional_usd` of the event `fill` is a number in usd, and declared as a number without a unit",
            "declare it as it is",
        ),
        (
            "ack: {fields: {maker: {type: flag}",
            "ack: {fields: {maker: {type: choice, of: [yes, no]}",
            "5:18",
            "`maker` of the event `ack` is a flag, and declared as a choice of yes, no",
            "declare it as it is",
        ),
    ],
)
def test_a_home_that_declares_other_events_is_refused(
    before: str, changed: str, at: str, message: str, help_text: str
) -> None:
    text = "\n".join(line for line in WINDOWS.splitlines() if not line.startswith(("  volume", "  probes")))
    assert before in text
    files = {**HOME, "policies/windows.yaml": text.replace(before, changed).replace("params: {", "# params: {")}
    files["profiles/main.yaml"] = PROFILE.replace(", windows.long_s: 2", "").replace(
        ", windows.long_s: {value: 3, why: rarer}", ""
    )
    book = workspace_of({name: held.encode() for name, held in files.items()}).rulebook("main")
    with pytest.raises(LoadError) as refusal:
        Windows(book)
    (found,) = refusal.value.findings
    assert (str(found.span), found.message, found.help) == (f"policies/windows.yaml:{at}", message, help_text)
    assert found.code == "event.unsupplied"


def test_the_shipped_file_declares_all_there_is() -> None:
    declared = {event.name: {field.name for field in event.fields} for event in SHIPPED.events.values()}
    assert declared == {name: set(fields) for name, fields in SUPPLIED.items()}


def test_a_home_without_windows_counts_nothing() -> None:
    files = {name: text for name, text in HOME.items() if name != "policies/windows.yaml"}
    files["rules/s.yaml"] = RULES.replace("acks > 0", "acks > 0 and $slow_ms > 0 and $poor > 0")
    files["profiles/main.yaml"] = "profile: main\npolicies: [p]\nvalues: {s.slow_ms: 100, s.poor: 0.5}\n"
    book = workspace_of({name: text.encode() for name, text in files.items()}).rulebook("main")
    windows = after(busy(), book)
    assert windows.facts(BTC, NOW) == {}
    assert windows.facts(VENUE, NOW) == {}
    assert windows.changes == 0
