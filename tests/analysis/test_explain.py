"""Explanations agree with the decisions they explain, leaf by leaf, on whatever arrives."""

import random

from engine import load
from engine.analysis.explain import LeafLook, NestedLook, explain, explanation_json
from engine.home import shipped_home
from tests.analysis.test_cold import cold_facts
from tests.cli.harness import HOME


def test_matched_rules_are_those_of_the_decision() -> None:
    chance = random.Random(3)
    for home, profile in ((HOME, "live"), (shipped_home(), "testnet")):
        book = load(profile, home)
        for _ in range(50):
            facts = cold_facts(book, chance, None)
            explanation = explain(book, "routing", facts)
            decision = book.decide("routing", facts)
            rules = [rule for step in explanation.steps for rule in step.rules]
            matched = {rule.rule for rule in rules if rule.verdict in ("matched", "unknown, matched")}
            assert matched == {*decision.vetoes, *decision.fired}
            assert explanation_json(explanation)["decision"] == decision.record()
            for rule in rules:
                if isinstance(rule.condition, LeafLook | NestedLook):
                    said = {"matched": "true", "not matched": "false", "not reached": "not reached"}
                    assert rule.condition.truth == said.get(rule.verdict, "unknown")
                assert bool(rule.effects) <= (rule.verdict in ("matched", "unknown, matched"))
