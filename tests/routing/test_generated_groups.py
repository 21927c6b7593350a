"""What is generated beside the market: every kind of telemetry, sound groups, and intents of every kind."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.backends.facts import read_group
from engine.routing.generated_intents import GeneratedIntents, IntentMix
from engine.routing.generated_state import OLD_SNAPSHOT_S, GeneratedState
from engine.routing.generated_telemetry import OLD_S, ROUND_S, GeneratedTelemetry, Outcome, nearest_rank, summary
from engine.routing.session import GENERATED
from tests.routing.markets import shipped

NOW = 1_700_000_000.0


def outcome(
    filled: float, *, fell_back: bool = False, rejects: int = 0, slippage: float = 0.0, ack: float | None = None
) -> Outcome:
    return Outcome(2.0, filled, fell_back, 1 + rejects, rejects, slippage, ack)


def test_telemetry_facts_by_hand() -> None:
    outcomes = [
        outcome(2.0, slippage=-1.0, ack=100.0),
        outcome(1.0, fell_back=True, rejects=2, slippage=3.0, ack=300.0),
        outcome(0.0, fell_back=True, slippage=9.0),
        outcome(1.0, slippage=1.0, ack=200.0),
    ]
    assert summary(outcomes) == {
        "sample_count": 4.0,
        "maker_fill_ratio": 0.5,
        "maker_fill_samples": 4.0,
        "fallback_ratio": 0.5,
        "fallback_samples": 4.0,
        "post_only_reject_ratio": 2 / 6,
        "post_only_reject_samples": 6.0,
        "slippage_p25_bps": -1.0,
        "slippage_p50_bps": 1.0,
        "slippage_p75_bps": 3.0,
        "slippage_p95_bps": 9.0,
        "slippage_samples": 4.0,
        "ack_latency_p50_ms": 200.0,
        "ack_latency_p95_ms": 300.0,
        "ack_latency_samples": 3.0,
    }


def test_latencies_nobody_measured_are_left_out() -> None:
    assert not [name for name in summary([outcome(1.0)]) if name.startswith("ack_latency")]


@pytest.mark.parametrize(("percent", "rank"), [(1, 1), (50, 10), (51, 11), (95, 19), (96, 20), (100, 20)])
def test_nearest_rank(percent: int, rank: int) -> None:
    assert nearest_rank([float(number) for number in range(1, 21)], percent) == rank


def test_a_round_of_telemetry_has_every_kind_and_all_of_it_is_sound() -> None:
    declared = shipped("prod").rulebook.groups["telemetry"]
    telemetry = GeneratedTelemetry(7, "BTCUSDT")
    kinds: Counter[str] = Counter()
    for second in range(int(ROUND_S) + 1):
        now = NOW + second
        group = telemetry.at(now)
        if group is None:
            kinds["never published"] += 1
            continue
        _, values = read_group(declared, group)
        assert {name for name, value in values.items() if value != group.get(name)} <= {
            name for name in values if name not in group
        }, "nothing that is there may be invalid"
        age = now - group["observed_at"]
        if age > OLD_S - 1:
            kinds["old"] += 1
        elif "ack_latency_p50_ms" not in group:
            kinds["without latencies"] += 1
        elif group["sample_count"] < 20:
            kinds["few samples"] += 1
        else:
            assert -0.001 <= age <= 5.0
            kinds["fresh"] += 1
    assert set(kinds) == {"never published", "old", "without latencies", "few samples", "fresh"}


def test_a_spell_replaces_its_outcomes_one_by_one() -> None:
    telemetry = GeneratedTelemetry(7, "BTCUSDT")
    ratios = [group["maker_fill_ratio"] for second in range(0, 60, 5) if (group := telemetry.at(NOW + second))]
    assert len(set(ratios)) > 5
    again = GeneratedTelemetry(7, "BTCUSDT")
    assert again.at(NOW) == GeneratedTelemetry(7, "BTCUSDT").at(NOW)
    assert GeneratedTelemetry(8, "BTCUSDT").at(NOW) != again.at(NOW)


def test_generated_groups_are_declared_sound_and_reproducible() -> None:
    groups = shipped("prod").rulebook.groups
    state, same, other = (GeneratedState(seed, "BTCUSDT", 1e6) for seed in (7, 7, 8))
    seen: Counter[str] = Counter()
    for second in range(0, 7200, 3):
        now = NOW + second
        made = state.groups(now, 100.0)
        assert made == same.groups(now, 100.0)
        seen["differs"] += made != other.groups(now, 100.0)
        assert set(made) <= set(GENERATED)
        for name, group in made.items():
            assert not set(group) - {fact.name for fact in groups[name].facts} - {"observed_at"}
            _, values = read_group(groups[name], group)
            assert {fact: values[fact] for fact in group if fact != "observed_at"} == {
                fact: value for fact, value in group.items() if fact != "observed_at"
            }
        seen["never tuned"] += "tuning" not in made
        seen["paused"] += made["windows"]["maker_paused"]
        seen["old account"] += now - made["account"]["observed_at"] >= OLD_SNAPSHOT_S
        seen["disabled"] += made["risk"]["symbol_disabled"]
        seen["maker off"] += made.get("tuning", {}).get("tuned_maker_first") is False
    assert all(seen[kind] for kind in ("differs", "never tuned", "paused", "old account", "disabled", "maker off"))


def test_the_desk_has_one_risk_mode_for_all_symbols() -> None:
    one, two = GeneratedState(7, "BTCUSDT", 1e6), GeneratedState(7, "ETHUSDT", 1e6)
    for second in range(0, 3600, 30):
        left, right = one.groups(NOW + second, 100.0)["risk"], two.groups(NOW + second, 5.0)["risk"]
        assert (left["risk_mode"], left["halted"]) == (right["risk_mode"], right["halted"])


def test_intents_of_every_kind() -> None:
    intents = GeneratedIntents(7, "BTCUSDT", every_s=2.0, nav_usd=1e6)
    kinds: Counter[str] = Counter()
    for number in range(4000):
        position = (3.0, -3.0, 0.0)[number % 3]
        intent = intents.intent(99.0, 101.0, position)
        kinds["all"] += 1
        kinds["plain"] += (
            intent["maker_requested"] and intent.get("maker_qty") == intent["qty"] and "maker_price" in intent
        )
        kinds["market"] += intent["order_type"] == "market" and "price" not in intent
        kinds["without price"] += intent["maker_requested"] and "maker_price" not in intent
        kinds["without qty"] += intent["maker_requested"] and "maker_qty" not in intent
        kinds["qty 0"] += intent.get("maker_qty") == 0.0
        kinds["large"] += intent["qty"] * 100.0 >= 0.199 * 1e6
        kinds["small"] += intent["qty"] * 100.0 < 96.0
        if intent["reduce_only"]:
            kinds["exit"] += 1
            kinds["whole exit"] += intent["qty"] == 3.0
            assert intent["side"] == ("sell" if position > 0 else "buy")
        assert intent["qty"] > 0.0
        if "price" in intent:
            assert intent["price"] == (99.0 if intent["side"] == "buy" else 101.0)
    assert kinds["plain"] > kinds["all"] * 0.8
    assert all(kinds[kind] > 10 for kind in kinds), kinds


def test_waits_are_half_to_one_and_a_half_of_the_mean() -> None:
    intents = GeneratedIntents(7, "BTCUSDT", every_s=2.0, nav_usd=1e6, mix=IntentMix())
    waits = [intents.wait_ms() for _ in range(1000)]
    assert 1000 <= min(waits) <= max(waits) <= 3000
    assert GeneratedIntents(7, "BTCUSDT", every_s=1e-9, nav_usd=1e6).wait_ms() == 1
