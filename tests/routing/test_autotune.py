"""Steps of autotune: they add up, they say what they stand on, and the same evidence never moves anything twice."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import Book, load
from engine.journal.events import Checkpoint, Decided, Event, Tuned
from engine.journal.lines import decode, encode
from engine.routing.autotune import Autotune, Tuning
from tests.routing.scene import GOOD, START_MS, SYMBOL
from tests.shipped.books import SHIPPED, book

NORMAL = {"risk_mode": "normal", "halted": False, "symbol_disabled": False}
DEFENSIVE = {**NORMAL, "risk_mode": "defensive"}
DEGRADED = {"maker_fill_ratio": 0.3, "fallback_ratio": 0.7}
STRUGGLING = {"maker_fill_ratio": 0.6, "fallback_ratio": 0.58}
"""Of the tier ok, with more fallbacks than not: suggested is to rest less often, and farther away."""

FLIPPING = """\
ruleset: maker_opinion
doc: An opinion on maker first, which the shipped suggestions do not have.
hit: first
sets:
  suggested_maker_first: {type: flag, doc: whether to try maker first}
unknown: skip
rules:
  - id: in_trouble
    when: router_regime == fallback_heavy
    set: {suggested_maker_first: false}
    why: it does not work
  - id: otherwise
    set: {suggested_maker_first: true}
    why: it does
"""


class Facts:
    """What is known of a symbol, and when the last maker attempt ended."""

    def __init__(self, tuning: Tuning) -> None:
        self.tuning = tuning
        self.risk: dict[str, Any] | None = NORMAL
        self.telemetry: dict[str, Any] = GOOD
        self.age_s = 0.0
        self.newest: int | None = START_MS

    def groups(self, symbol: str, now_ms: int) -> Mapping[str, Mapping[str, Any] | None]:
        now = now_ms / 1000
        return {
            "telemetry": {**self.telemetry, "observed_at": now - self.age_s},
            "risk": self.risk and {**self.risk, "observed_at": now},
            "tuning": self.tuning.facts(symbol),
        }

    def newest_ms(self, symbol: str, now_ms: int) -> int | None:
        del symbol, now_ms
        return self.newest


class Desk:
    """Autotune with its view; `step` looks once more, after one more maker attempt."""

    def __init__(self, with_book: Book | None = None, *, past: list[Event] | None = None) -> None:
        self.tuning = Tuning()
        self.facts = Facts(self.tuning)
        self.autotune = Autotune(with_book or book("testnet", "compiled"), self.facts, self.facts, self.tuning)
        self.journal: list[Event] = []
        for event in past or ():
            self.tuning.see(event)

    def look(self) -> Tuned | None:
        events = self.autotune.look(SYMBOL, START_MS)
        self.journal += events
        for event in events:
            self.tuning.see(event)
        tuned = events[-1] if events else None
        assert tuned is None or isinstance(tuned, Tuned)
        return tuned

    def step(self) -> Tuned | None:
        assert self.facts.newest is not None
        self.facts.newest += 1
        return self.look()


def deltas(tuned: Tuned | None) -> tuple[float, float] | None:
    return None if tuned is None else (tuned.bias_delta, tuned.offset_delta_bps)


# --- adding up -------------------------------------------------------------------------------------------------------


def test_bounded_steps_add_up_to_the_end_of_their_range_and_then_nothing_is_said_to_be_applied() -> None:
    """The replaced system kept the bias as a label: each step began anew, and each was logged as applied."""
    desk = Desk()
    assert [deltas(desk.step()) for _ in range(7)] == [
        (-0.05, -1.0),
        (-0.1, -2.0),
        (-0.15, -2.0),
        (-0.2, -2.0),
        (-0.25, -2.0),
        None,
        None,
    ]


def test_what_persists_is_rounded_to_six_decimals_so_that_steps_meet_their_numbers() -> None:
    """In doubles 0.75 − 3 × 0.05 is 0.5999999999999999, and a bound of 0.6 would not be reached."""
    assert 0.75 - 0.05 - 0.05 - 0.05 < 0.6
    desk = Desk()
    desk.facts.telemetry = {**GOOD, **STRUGGLING}
    up = [step.bias_delta for _ in range(5) if (step := desk.step()) is not None]
    assert up == [0.05, 0.1, 0.15, 0.2, 0.25], "sums of doubles: 0.15000000000000002"
    desk.facts.telemetry = GOOD
    down = [step.bias_delta for _ in range(3) if (step := desk.step()) is not None]
    assert down == [0.2, 0.15, 0.1]
    assert 0.5 + down[-1] == 0.6


# --- provenance ------------------------------------------------------------------------------------------------------


def test_a_step_says_what_was_in_force_what_it_stands_on_and_which_rules_took_it() -> None:
    desk = Desk()
    desk.step()
    step = desk.step()
    assert step is not None
    assert step.was == {"tuned_bias_delta": -0.05, "tuned_offset_delta_bps": -1.0}
    assert step.rulebook == book("testnet", "compiled").version
    evidence = step.evidence
    assert (evidence["sample_count"], evidence["newest_sample_ms"]) == (GOOD["sample_count"], START_MS + 2)
    assert "maker_strong" in evidence["suggested"]
    assert (evidence["current_bias"], evidence["proposed_bias"]) == (0.2, pytest.approx(0.15))
    assert evidence["bounds"] == {
        "autotune_step.max_bias_step": 0.05,
        "autotune_step.max_offset_step_bps": 2.0,
        "autotune_step.max_offset_bps": 10.0,
    }


def test_the_decisions_behind_a_step_are_journaled_before_it() -> None:
    desk = Desk()
    step = desk.step()
    assert step is not None
    suggested, applied, tuned = desk.journal
    assert isinstance(suggested, Decided)
    assert isinstance(applied, Decided)
    assert tuned is step
    assert (suggested.policy, applied.policy, applied.intent_id) == ("suggest", "autotune", None)
    record = msgspec.json.decode(applied.record)
    assert (record["decision_id"], record["symbol"]) == (step.decision_id, SYMBOL)
    assert [decode(encode(event) + b"\n") for event in desk.journal] == desk.journal


# --- evidence --------------------------------------------------------------------------------------------------------


def test_the_same_attempts_move_nothing_twice() -> None:
    desk = Desk()
    assert desk.step() is not None
    assert desk.look() is None
    assert desk.step() is not None


def test_attempts_that_grow_too_old_are_no_new_evidence() -> None:
    """Numbers change then, but nothing happened: of a week of history, a sample ages out every few minutes."""
    desk = Desk()
    assert desk.step() is not None
    desk.facts.telemetry = {**GOOD, "sample_count": 199.0, "slippage_p95_bps": 1.9}
    assert desk.look() is None
    assert desk.facts.newest is not None
    desk.facts.newest -= 1_000  # the last one has aged out
    assert desk.look() is None
    desk.facts.newest = None
    assert desk.look() is None


@pytest.mark.parametrize("through", ["fold", "checkpoint"])
def test_what_is_in_force_and_what_it_stands_on_survive_a_restart(through: str) -> None:
    """A router that is killed every minute must not take a step each time, with nothing new to go by."""
    desk = Desk()
    desk.step()
    desk.step()
    past: list[Event] = [decode(encode(event) + b"\n") for event in desk.journal]
    if through == "checkpoint":
        past = [checkpoint(desk.tuning)]
    again = Desk(past=past)
    assert again.tuning.facts(SYMBOL) == desk.tuning.facts(SYMBOL)
    assert again.tuning.checkpoint() == desk.tuning.checkpoint()
    again.facts.newest = desk.facts.newest
    assert again.look() is None
    assert deltas(again.step()) == (-0.15, -2.0)


def checkpoint(tuning: Tuning) -> Checkpoint:
    nothing = Decimal(0)
    event = Checkpoint(
        ts_ms=START_MS,
        positions={},
        cash_usd=nothing,
        fees_usd=nothing,
        day_nav_usd=None,
        tuned=tuning.checkpoint(),
    )
    read = decode(encode(event) + b"\n")
    assert isinstance(read, Checkpoint)
    return read


# --- when nothing moves ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"risk": None},
        {"risk": DEFENSIVE},
        {"age_s": 901.0},
        {"telemetry": {**GOOD, **DEGRADED}},
        {"newest": None},
    ],
    ids=["risk unknown", "defensive", "telemetry stale", "tier degraded", "no attempts"],
)
def test_everything_stays_as_it_is(change: dict[str, Any]) -> None:
    desk = Desk()
    desk.step()
    assert desk.facts.newest is not None
    desk.facts.newest += 1
    for name, value in change.items():
        setattr(desk.facts, name, value)
    assert desk.look() is None
    assert desk.tuning.facts(SYMBOL) == {"tuned_bias_delta": -0.05, "tuned_offset_delta_bps": -1.0}


def test_prod_takes_no_step_until_somebody_turns_it_on() -> None:
    desk = Desk(book("prod", "compiled"))
    assert desk.step() is None
    assert desk.journal == []
    assert Desk(book("prod", "compiled", {"autotune.enabled": True})).step() is not None


# --- maker first -----------------------------------------------------------------------------------------------------


@cache
def flipping_home(folder: Path) -> Path:
    """The shipped home, but its suggestions have an opinion on maker first; `flip` is testnet with flips allowed."""
    for name in ("rules", "policies", "profiles"):
        (folder / name).mkdir()
        for file in (SHIPPED / name).glob("*.yaml"):
            (folder / name / file.name).symlink_to(file)
    (folder / "rules" / "maker_opinion.yaml").write_text(FLIPPING)
    policy = folder / "policies" / "suggest.yaml"
    text = policy.read_text()
    policy.unlink()
    text = text.replace("steps: [router_regime, lean]", "steps: [router_regime, lean, maker_opinion]")
    policy.write_text(text.replace("decides: [router_regime, ", "decides: [router_regime, suggested_maker_first, "))
    allow = "values: {maker_flip.allow_flip: {value: true, why: a test}}"
    (folder / "profiles" / "flip.yaml").write_text(f"profile: flip\nextends: testnet\n{allow}\n")
    return folder


def test_maker_first_is_turned_only_where_that_is_allowed(tmp_path: Path) -> None:
    home = flipping_home(tmp_path)
    for profile, turned in (("testnet", None), ("flip", False)):
        desk = Desk(load(profile, home))
        desk.facts.telemetry = {**GOOD, **STRUGGLING}
        step = desk.step()
        assert step is not None
        assert step.maker_first is turned
    tuning = desk.tuning.facts(SYMBOL)
    assert tuning is not None
    assert tuning["tuned_maker_first"] is False
    desk.facts.risk = {**NORMAL, "risk_mode": "cautious"}
    desk.facts.telemetry = GOOD
    step = desk.step()
    assert step is not None
    assert step.maker_first is False, "in cautious mode steps are taken, and flips are not"
    desk.facts.risk = NORMAL
    step = desk.step()
    assert step is not None
    assert step.maker_first is True
