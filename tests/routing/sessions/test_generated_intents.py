"""Intents made up from a seed: every kind of them, and their pace."""

from __future__ import annotations

from collections import Counter

from engine.routing.sessions.generated_intents import GeneratedIntents, IntentMix


def test_intents_of_every_kind() -> None:
    intents = GeneratedIntents(7, "BTCUSDT", every_s=2.0, nav_usd=1e6)
    kinds: Counter[str] = Counter()
    for number in range(4000):
        position = (3.0, -3.0, 0.0)[number % 3]
        intent = intents.intent(99.0, 101.0, position)
        buys = intent["side"] == "buy"
        kinds["all"] += 1
        kinds["plain"] += intent["maker_requested"] and intent.get("maker_qty") == intent["qty"]
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
        if intent["order_type"] == "limit":
            kinds["limit"] += 1
            assert intent["price"] >= 101.0 if buys else intent["price"] <= 99.0, "through the market"
        if "maker_price" in intent:
            assert intent["maker_price"] == (99.0 if buys else 101.0)
        assert intent["qty"] > 0.0
    assert kinds["plain"] > kinds["all"] * 0.8
    assert all(kinds[kind] > 10 for kind in kinds), kinds


def test_the_same_seed_gives_the_same_intents() -> None:
    def some(seed: int) -> list[dict[str, object]]:
        intents = GeneratedIntents(seed, "BTCUSDT", every_s=2.0, nav_usd=1e6)
        return [intents.intent(99.0, 101.0, 0.0) for _ in range(20)]

    assert some(7) == some(7) != some(8)


def test_waits_are_half_to_one_and_a_half_of_the_mean() -> None:
    intents = GeneratedIntents(7, "BTCUSDT", every_s=2.0, nav_usd=1e6, mix=IntentMix())
    waits = [intents.wait_ms() for _ in range(1000)]
    assert 1000 <= min(waits) <= max(waits) <= 3000
    assert GeneratedIntents(7, "BTCUSDT", every_s=1e-9, nav_usd=1e6).wait_ms() == 1
