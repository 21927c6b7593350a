"""Tuning over many steps: what is persisted adds up, and never leaves its bounds."""

from __future__ import annotations

from typing import Any

import pytest

from engine import Book, Decision
from engine.book import Backend
from tests.shipped.books import BACKENDS, REHEARSAL, book
from tests.shipped.scenes import changed, given, scene

DECIMALS = 6
"""What the engine persists is rounded to this many."""


def decide(used: Book, policy: str, name: str, *changes: dict[str, Any]) -> Decision:
    """A policy decided on a changed scene."""
    groups = [group.name for group in used.rulebook.policies[policy].groups]
    return used.decide(policy, given(changed(scene(name), *changes), groups))


def steps(used: Book, count: int, bias_step: float, offset_step_bps: float = 0.0) -> dict[str, Any]:
    """The tuning after some suggestions of one step each, persisted as the engine persists it."""
    tuning: dict[str, Any] = {"tuned_bias_delta": 0.0, "tuned_offset_delta_bps": 0.0}
    for _ in range(count):
        routed = decide(used, "routing", "ok", {"tuning": tuning})
        proposal = {
            "current_bias": routed.bias,
            "proposed_bias": float(routed.bias) + bias_step,
            "current_offset_bps": 2.0 + tuning["tuned_offset_delta_bps"],
            "proposed_offset_bps": 2.0 + tuning["tuned_offset_delta_bps"] + offset_step_bps,
        }
        tuned = decide(used, "autotune", "proposal", {"tuning": tuning, "proposal": proposal})
        assert tuned.apply is True
        tuning = {
            "tuned_bias_delta": round(float(tuned.next_bias_delta), DECIMALS),
            "tuned_offset_delta_bps": round(float(tuned.next_offset_delta_bps), DECIMALS),
        }
    return tuning


@pytest.mark.parametrize("backend", BACKENDS)
def test_three_steps_of_the_bias_add_up_exactly(backend: Backend) -> None:
    """0.75 less three times 0.05 is 0.6, not 0.5999…: it must not fall below the label's threshold."""
    used = book("prod", backend, {**REHEARSAL, "stance.ok_bias": 0.75})
    tuning = steps(used, 3, -0.05)
    assert tuning["tuned_bias_delta"] == -0.15
    routed = decide(used, "routing", "ok", {"tuning": tuning})
    assert (routed.bias, routed.taker_bias) == (0.6, "prefer_taker")


@pytest.mark.parametrize("backend", BACKENDS)
def test_small_steps_reach_another_label(backend: Backend) -> None:
    """Kept as a label, the bias would be balanced again after every step."""
    used = book("prod", backend, REHEARSAL)
    labels = [decide(used, "routing", "ok", {"tuning": steps(used, count, -0.05)}).taker_bias for count in range(4)]
    assert labels == ["balanced", "balanced", "prefer_maker", "prefer_maker"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_bias_stops_at_its_ends(backend: Backend) -> None:
    used = book("prod", backend, REHEARSAL)
    assert steps(used, 15, -0.05)["tuned_bias_delta"] == -0.5
    assert steps(used, 15, 0.05)["tuned_bias_delta"] == 0.5


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_tuned_offset_stops_at_its_ends_and_the_quote_never_leaves_its_bounds(backend: Backend) -> None:
    used = book("prod", backend, REHEARSAL)
    low, high = steps(used, 9, 0.0, -9.0), steps(used, 9, 0.0, 9.0)
    assert (low["tuned_offset_delta_bps"], high["tuned_offset_delta_bps"]) == (-2.0, 8.0)
    assert decide(used, "routing", "maker", {"tuning": low}).offset_bps == 0.5
    assert decide(used, "routing", "maker", {"tuning": high}).offset_bps == 8.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_suggestion_becomes_a_step(backend: Backend) -> None:
    """What `suggest` leans, `autotune` applies and `routing` obeys."""
    used = book("prod", backend, REHEARSAL)
    suggested = decide(used, "suggest", "maker")
    proposal = {
        "current_bias": 0.25,
        "proposed_bias": 0.25 + float(suggested.suggested_bias_delta),
        "current_offset_bps": 2.0,
        "proposed_offset_bps": 2.0 + float(suggested.suggested_offset_delta_bps),
    }
    none: dict[str, Any] = {"tuning": {"tuned_bias_delta": None, "tuned_offset_delta_bps": None}}
    tuned = decide(used, "autotune", "proposal", none, {"proposal": proposal})
    tuning = {
        "tuned_bias_delta": round(float(tuned.next_bias_delta), DECIMALS),
        "tuned_offset_delta_bps": round(float(tuned.next_offset_delta_bps), DECIMALS),
    }
    assert tuning == {"tuned_bias_delta": -0.05, "tuned_offset_delta_bps": -1.0}
    routed = decide(used, "routing", "maker", {"tuning": tuning})
    assert (routed.bias, routed.offset_bps) == (0.2, 1.0)
