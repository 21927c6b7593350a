"""Backends agree to the last bit on random rulebooks and facts, and what was loaded is sound whatever the facts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.book import Book
from engine.language import syntax
from engine.language.evaluate import Missing
from engine.language.flow import NOTHING, Flow, Known
from engine.language.model import AllOf, AnyOf, Condition, Leaf, Policy, Step, walk
from engine.language.parse import Problem, parse
from engine.language.printer import print_expression
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType
from tests.backends.strategies import Drawn, Picker, pickers, rulebooks, write_facts, write_rulebook
from tests.conformance.backends import BACKENDS
from tests.conformance.harness import bits

RULEBOOKS = 240
FACTS = 20
LOADED_AT_LEAST = 0.6


def check_agreement(rulebook: Rulebook, policy: str, facts: dict[str, Any]) -> None:
    """Every backend gives the first one's answer: values, rules, leaves, causes, and the record's text."""
    able = [backend for backend in BACKENDS if backend.lacks(rulebook, policy) is None]
    wanted, *others = [backend.answer(rulebook, policy, facts) for backend in able]
    for answer in others:
        assert list(answer.values) == list(wanted.values)
        for name, value in wanted.values.items():
            assert type(answer.values[name]) is type(value), name
            assert bits(answer.values[name]) == bits(value), name
        for part in ("vetoes", "fired", "leaves", "missing", "reason", "json"):
            given_part = getattr(answer, part)
            assert given_part is None or given_part == getattr(wanted, part), part


def check_soundness(book: Book, policy: Policy, facts: dict[str, Any]) -> None:
    """No decision is missing or out of its declared range, and nothing is unknown that the analysis says is known."""
    decision, steps = book.trace(policy.name, facts)
    flow = Flow(book.rulebook.binding_of(facts.get("symbol")).values)
    for step in steps:
        for name, kind in step.step.sets:
            value = step.sets[name]
            match kind:
                case NumberType(min=low, max=high):
                    assert isinstance(value, float), name
                    assert math.isfinite(value), name
                    assert low <= value <= high, name
                case FlagType():
                    assert value is True or value is False, name
                case ChoiceType(of=of):
                    assert value in of, name
        expected = list(can_be_unknown(step.step, flow))
        for rule, possible in zip(step.rules, expected, strict=False):
            assert possible or not isinstance(rule.condition, Missing), rule.rule.full_id
    assert decision.outcome.values.keys() == policy.types().keys()


def can_be_unknown(step: Step, flow: Flow) -> Iterator[bool]:
    """For each rule, whether the analysis thinks that its condition may be unknown."""
    known: Known = NOTHING
    for rule in step.rules:
        yield rule.condition is not None and flow.may_be_unknown(rule.condition, known)
        if step.hit == "first" and rule.condition is not None:
            unmatched = flow.refuted if rule.on_unknown == "match" else flow.not_matched
            known |= unmatched(rule.condition, known)


def check_again(book: Book, policy: str, facts: dict[str, Any]) -> None:
    """A record can be decided again, to the same text."""
    record = book.decide(policy, facts).record()
    again = {"now": record["now"], "symbol": record["symbol"], "intent_id": record["intent_id"], **record["facts"]}
    assert book.decide(policy, again).record() == record


def check_all(rulebook: Rulebook, pick: Picker, times: int) -> None:
    """All of the above on some random facts, and once what speaks of the rulebook alone."""
    book = Book(rulebook)
    check_printing(rulebook)
    for policy in rulebook.policies.values():
        for _ in range(times):
            facts = write_facts(pick, rulebook, policy)
            check_agreement(rulebook, policy.name, facts)
            check_soundness(book, policy, facts)
            check_again(book, policy.name, facts)


def check_printing(rulebook: Rulebook) -> None:
    """What is printed parses to the tree that was written."""
    for policy in rulebook.policies.values():
        for step in policy.steps:
            written = [text for _, text in step.start]
            for rule in step.rules:
                written += [leaf.written for leaf in rule.leaves()] + [effect.value for effect in rule.effects]
            for text in written:
                assert shape(parse(print_expression(text.expression))) == shape(parse(text.text)), text.text


def shape(node: object) -> object:
    """A syntax tree without its places."""
    assert not isinstance(node, Problem), node
    if isinstance(node, tuple):
        return tuple(shape(part) for part in node)
    if isinstance(node, syntax.Expression):
        fields = [name for name in type(node).__dataclass_fields__ if name not in ("start", "end")]
        return (type(node).__name__, *(shape(getattr(node, name)) for name in fields))
    return node


@given(rulebooks(), pickers())
@settings(max_examples=40)
def test_backends_agree_on_rulebooks_that_shrink(drawn: Drawn, pick: Picker) -> None:
    rulebook = drawn.try_load()
    if rulebook is not None:
        check_all(rulebook, pick, 5)


def agree(seeds: range, times: int) -> int:
    """How many of the rulebooks of these seeds the checker let pass; each is held against random facts."""
    loaded = 0
    for seed in seeds:
        pick = Picker.of(Random(seed))
        drawn = write_rulebook(pick)
        rulebook = drawn.try_load()
        if rulebook is None:
            continue
        loaded += 1
        try:
            check_all(rulebook, pick, times)
        except BaseException as error:
            error.add_note(f"seed {seed}\n" + "\n".join(f"# {name}\n{text}" for name, text in drawn.files.items()))
            raise
    return loaded


@pytest.mark.parametrize("part", range(4))
def test_backends_agree_on_many_rulebooks_and_most_of_them_load(part: int) -> None:
    size = RULEBOOKS // 4
    assert agree(range(part * size, (part + 1) * size), FACTS) >= LOADED_AT_LEAST * size


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(20))
def test_backends_agree_on_very_many_rulebooks(part: int) -> None:
    start = 1_000_000 + part * RULEBOOKS
    assert agree(range(start, start + RULEBOOKS), FACTS) >= LOADED_AT_LEAST * RULEBOOKS


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_random_rulebooks_hold_what_they_are_for(seed: int) -> None:
    """A generator that stopped drawing something would test nothing: see the counts below for what is drawn."""
    for text in write_rulebook(Picker.of(Random(seed))).files.values():
        assert "None" not in text


def test_random_rulebooks_use_the_whole_language() -> None:
    words: set[str] = set()
    nested = 0
    for seed in range(200):
        rulebook = write_rulebook(Picker.of(Random(seed))).try_load()
        if rulebook is None:
            continue
        for policy in rulebook.policies.values():
            for step in policy.steps:
                words |= {step.hit, *(effect.kind for rule in step.rules for effect in rule.effects)}
                for rule in step.rules:
                    words.add(f"unknown {rule.on_unknown}")
                    nested += isinstance(rule.condition, (AllOf, AnyOf)) and not _flat(rule.condition)
                    for leaf in rule.leaves():
                        words |= {_kind(part) for part in walk(leaf.written.expression)}
        words |= {"symbols"} if rulebook.symbols else set()
    assert {
        *(
            "first",
            "each",
            "veto",
            "set",
            "add",
            "at_least",
            "at_most",
            "unknown match",
            "unknown skip",
            "unknown None",
        ),
        *("+", "-", "*", "/", "min", "max", "abs", "<", "<=", ">", ">=", "==", "!=", "and", "or", "implies", "Not"),
        *("Member", "Presence", "FactRef", "DecisionRef", "ParameterRef", "Constant", "Negative", "symbols"),
    } <= words
    assert nested > 50


def _flat(condition: Condition) -> bool:
    return isinstance(condition, Leaf) or all(isinstance(item, Leaf) for item in condition.items)


def _kind(part: Any) -> str:
    return str(getattr(part, "operator", None) or getattr(part, "function", None) or type(part).__name__)
