"""durable-rules says what the interpreter says on every step that it can express, and names what it cannot."""

from __future__ import annotations

import math
import re
import resource
import threading
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import durable_rules_engine
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.boundary_inputs import boundary_inputs
from engine.analysis.cross_check import compare
from engine.backends.durable.engine import MOST_TEXT, Engine, EngineError, event_of, to_text
from engine.backends.durable.express import (
    MOST_CHOICES,
    MOST_CONNECTIVES,
    MOST_ON_STACK,
    MOST_PROPERTIES,
    MOST_RULES,
    Expressed,
    Inexpressible,
    express,
)
from engine.backends.durable.witness import DurableStep, UnpostableError
from engine.language.evaluate import Known, Missing
from engine.language.model import Binding, Step
from engine.language.rulebook import Rulebook
from tests.backends.strategies import Drawn, Picker, rulebooks, write_rulebook

FACTS = """
groups:
  g:
    facts:
      x: {type: number, min: -10, max: 10}
      y: {type: number, min: -10, max: 10}
      z: {type: number, min: -10, max: 10}
      huge: {type: number, min: -1e308, max: 1e308}
      f: {type: flag}
      e: {type: flag}
      tier: {type: choice, of: [low, middle, high], ordered: true}
      rank: {type: choice, of: [low, middle, high], ordered: true}
      venue: {type: text}
"""
NUMBERS: dict[str, Known] = dict.fromkeys(("x", "y", "z", "huge"), 1.0)
NAMES: Mapping[str, Known] = {**NUMBERS, "f": True, "e": False, "tier": "middle", "rank": "low", "venue": "paper"}
NUMBER = "{type: number, min: -20, max: 20}"
RULEBOOKS = 60


def load(rules: str, facts: str = FACTS, sets: str = "out") -> Rulebook:
    """A rulebook whose policy `p` runs one rule set `s`; numbers in lines with `when` become parameters of it."""
    values: dict[str, str] = {}

    def parameter(found: re.Match[str]) -> str:
        return f"${values.setdefault(found[0], f'p{len(values)}')}" if found[0] not in ("0", "1") else found[0]

    lines = (
        re.sub(r"(?<![\w.])\d+(\.\d+)?", parameter, line) if "when" in line else line for line in rules.splitlines()
    )
    document = "ruleset: s\n" + "".join(f"{line}\n" for line in lines)
    if values:
        document += "params:\n" + "".join(f"  {name}: {NUMBER}\n" for name in values.values())
    bound = "".join(f"\n  s.{name}: {value}" for value, name in values.items()) or " {}"
    files = {
        "policies/facts.yaml": facts,
        "policies/p.yaml": f"policy: p\nreads: [g]\nsteps: [s]\ndecides: [{sets}]\n",
        "rules/s.yaml": document,
        "profiles/main.yaml": f"profile: main\npolicies: [p]\nvalues:{bound}\n",
    }
    return Drawn(files).load()


def step_of(rulebook: Rulebook) -> tuple[Step, Binding]:
    return rulebook.policies["p"].steps[0], rulebook.bindings[()]


def veto(condition: str, unknown: str = "skip") -> tuple[Step, Binding]:
    return step_of(
        load(f'hit: veto\nsets: {{out: {{type: flag}}}}\nrules: [{{id: r, unknown: {unknown}, when: "{condition}"}}]\n')
    )


def lacking(step: Step, binding: Binding) -> Inexpressible:
    found = DurableStep.of(step, binding.values)
    assert isinstance(found, Inexpressible)
    return found


def opened(step: Step, binding: Binding) -> DurableStep:
    found = DurableStep.of(step, binding.values)
    assert isinstance(found, DurableStep), found
    return found


def vetoed(asked: DurableStep, **changed: Known) -> bool:
    return bool(asked.answer({**NAMES, **changed}).matched)


# --- agreement -----------------------------------------------------------------------------------------------------


CONDITIONS = (
    "x >= 0.3", "0.3 < x", "x == y", "x != y", "x < y", "x + y > z", "z <= x * y", "x * y > 2", "x - y - z >= 0.1",
    "-x < y", "x > -y", "x / 3 >= 0.1", "(x / y) is known", "(x / y) is missing", "(x / y) is known and x / y > 2",
    "(huge * huge) is known", "(huge * huge) is missing", "(huge * huge / x) is known", "x is missing or x < 2",
    "f", "not f", "f and not e", "f or e", "f implies e", "f == e", "f != e", "(f and x > 0) == (e or x > 1)",
    "f in [e, true]", "tier == low", "tier != low", "tier < high", "tier >= rank", "middle <= tier", "tier == rank",
    "tier in [low, high]", "tier not in [rank, high]", "x in [0.1, y]", "x not in [0.1, y, z]", "venue == 'a b'",
    "venue not in ['', 'ü', '{x} q']", "not (x > 1 and (y < 2 or f))",
    "(x > 1) == f", "min(x, y) is known", "abs(x) is missing", "true", "f and not true",
)  # fmt: skip


@pytest.mark.parametrize("unknown", ["skip", "match"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_means_the_same_at_its_boundaries(condition: str, unknown: str) -> None:
    step, binding = veto(condition, unknown)
    asked, different = compare(opened(step, binding), binding, boundary_inputs(step, binding.values))
    assert asked > 0
    assert different == []


def check_steps(rulebook: Rulebook) -> int:
    """How many steps of a rulebook durable-rules runs; on each it must agree with the interpreter."""
    compared = 0
    for policy in rulebook.policies.values():
        for step in policy.steps:
            for binding in rulebook.bindings.values():
                asked = DurableStep.of(step, binding.values)
                if isinstance(asked, Inexpressible):
                    assert asked.reason
                    continue
                assert compare(asked, binding, boundary_inputs(step, binding.values))[1] == []
                asked.close()
                compared += 1
    return compared


@given(rulebooks())
@settings(max_examples=25)
def test_engines_agree_on_rulebooks_that_shrink(drawn: Drawn) -> None:
    rulebook = drawn.try_load()
    if rulebook is not None:
        check_steps(rulebook)


def test_engines_agree_on_many_rulebooks() -> None:
    drawn = (write_rulebook(Picker.of(Random(seed))).try_load() for seed in range(RULEBOOKS))
    assert sum(check_steps(rulebook) for rulebook in drawn if rulebook is not None) > RULEBOOKS / 2


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_read_as_itself(threshold: float, other: float) -> None:
    """The engine parses numbers by itself; no difference is known, at boundaries and elsewhere."""
    rules = {">=": "$gte", "==": "$eq", "<": "$lt"}
    definition = {
        name: {"all": [{"m": {operator: {"x": threshold}}}], "pri": 0 if name == "==" else 1}
        for name, operator in rules.items()
    }
    engine = Engine("doubles", definition)
    for value in (threshold, other, math.nextafter(threshold, math.inf), math.nextafter(threshold, -math.inf)):
        if math.isfinite(value):
            expected = "==" if value == threshold else ">=" if value > threshold else "<"
            fired = engine.ask(event_of({"x": value}))
            assert fired is not None
            assert fired[0] == expected
            assert repr(fired[1]["x"]) == repr(value)
    engine.close()


def test_the_first_rule_by_priority_fires_and_no_other() -> None:
    rules = """
hit: first
sets: {out: {type: choice, of: [one, two, three]}, copied: {type: number, min: -10, max: 10}}
unknown: skip
rules:
- {id: one, when: x > 2, set: {out: one, copied: x}}
- {id: two, when: x > 1, set: {out: two, copied: 0.1}}
- {id: three, set: {out: three, copied: 0}}
"""
    step, binding = step_of(load(rules, sets="out, copied"))
    asked = opened(step, binding)
    answers = [asked.answer({"x": x}) for x in (2.5, 1.5, 0.5, Missing.STALE)]
    expressed = express(step, binding.values)
    assert isinstance(expressed, Expressed)
    turned = DurableStep(replace(expressed, definition=dict(reversed(list(expressed.definition.items())))))
    assert [turned.answer({"x": x}) for x in (2.5, 1.5, 0.5, Missing.STALE)] == answers
    assert [[rule.id for rule in answer.matched] for answer in answers] == [["one"], ["two"], ["three"], ["three"]]
    assert [dict(answer.sets) for answer in answers] == [
        {"out": "one", "copied": 2.5},
        {"out": "two", "copied": 0.1},
        {"out": "three", "copied": 0.0},
        {"out": "three", "copied": 0.0},
    ]


def test_every_veto_that_matches_is_found() -> None:
    rules = """
hit: veto
sets: {out: {type: flag}}
rules:
- {id: a, when: {any: [x > 1, y > 1]}}
- {id: b, when: f}
- {id: c, when: x > 5, unknown: skip}
"""
    step, binding = step_of(load(rules))
    asked = opened(step, binding)
    found = asked.answer({"x": 2.0, "y": 2.0, "f": True})
    assert ([rule.id for rule in found.matched], found.sets) == (["a", "b"], {"out": False})
    found = asked.answer({"x": 0.0, "y": 0.0, "f": False})
    assert (found.matched, found.sets) == ((), {"out": True})
    missing = dict.fromkeys(("x", "y", "f"), Missing.ABSENT)
    assert [rule.id for rule in asked.answer(missing).matched] == ["a", "b"]


# --- what it cannot carry --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "reason", "part"),
    [
        ("x > 0 and max(x, y) > 1", "durable-rules has no `max`", "max(x, y)"),
        ("abs(x) > 1", "durable-rules has no `abs`", "abs(x)"),
        ("f or x + y > z * 2", "both sides of a comparison are computed", "x + y"),
        ("(" * 24 + "f" + " == e)" * 24, "without negation the condition is too long", ""),
    ],
)
def test_what_the_engine_has_no_words_for_is_named_with_its_place(condition: str, reason: str, part: str) -> None:
    step, binding = veto(condition)
    found = lacking(step, binding)
    assert found.reason == reason
    assert found.span.file == "rules/s.yaml"
    if part:
        text = step.rules[0].leaves()[0].written
        start = found.span.column - text.span.column
        assert condition[start:].startswith(part) or part in condition
        assert found.span.end_column - found.span.column == len(part)


def test_each_sets_and_computed_effects_are_named() -> None:
    each = f"hit: each\nsets: {{out: {NUMBER}}}\nstart: {{out: 0}}\nrules: [{{id: r, when: true, add: {{out: 1}}}}]\n"
    assert lacking(*step_of(load(each))).reason == "it is an `each` set, and durable-rules has no running value"
    rules = ["- {id: r, when: x > 0, set: {out: x + 1}}", "- {id: s, set: {out: 0}}"]
    found = lacking(
        *step_of(load("\n".join(["hit: first", f"sets: {{out: {NUMBER}}}", "unknown: skip", "rules:", *rules])))
    )
    assert found.reason == "what it gives `out` is computed, and durable-rules sets nothing"
    assert found.span.line == 6


def numbered(conditions: list[str], hit: str = "first") -> tuple[Step, Binding]:
    """A set with one rule a condition."""
    effect = ", set: {out: true}" if hit == "first" else ""
    lines = [f"- {{id: r{number}, unknown: skip, when: {text}{effect}}}" for number, text in enumerate(conditions)]
    last = ["- {id: last, set: {out: false}}"] if hit == "first" else []
    return step_of(load("\n".join([f"hit: {hit}", "sets: {out: {type: flag}}", "rules:", *lines, *last, ""])))


def test_what_would_overrun_the_engine_is_refused_before() -> None:
    many = [f"x > {number / 1000}" for number in range(-(MOST_ON_STACK + 1), 0)]
    assert "in mind at once" in lacking(*numbered(many)).reason
    nested = (
        "x > 0 and (" + " and (".join(f"y > {n} or z < {n}" for n in range(MOST_CONNECTIVES)) + ")" * MOST_CONNECTIVES
    )
    assert "notes" in lacking(*numbered([nested], hit="veto")).reason
    assert "are asked for" in lacking(*numbered(["f"] * (MOST_RULES + 1), hit="veto")).reason
    several = " and ".join(["f", *(f"(x > {n} or y > {n})" for n in range(4))])
    assert "nested `any`" in lacking(*numbered([several] * (MOST_CHOICES // 4 + 1), hit="veto")).reason
    facts = "groups:\n  g:\n    facts:\n" + "".join(f"      f{n}: {{type: flag}}\n" for n in range(MOST_PROPERTIES + 1))
    rules = "".join(f"- {{id: r{n}, when: f{n}}}\n" for n in range(MOST_PROPERTIES + 1))
    wide = load(f"hit: veto\nsets: {{out: {{type: flag}}}}\nunknown: skip\nrules:\n{rules}", facts)
    assert "an event holds" in lacking(*step_of(wide)).reason


@pytest.mark.parametrize("hit", ["first", "veto"])
def test_the_largest_sets_that_are_let_through_run(hit: str) -> None:
    """Everything holds at once, which is the most that the engine has to keep in mind."""
    conditions = [f"x > {-number / 1000}" for number in range(MOST_ON_STACK - 1)]
    step, binding = numbered(conditions, hit)
    asked = opened(step, binding)
    found = asked.answer({"x": 1.0}).matched
    assert len(found) == (1 if hit == "first" else len(conditions))
    alternatives = [f"(x > {-n / 1000} and y > {-n / 1000})" for n in range(MOST_CONNECTIVES - 2)]
    step, binding = numbered(["f and (" + " or ".join(alternatives) + ")"], hit)
    assert [rule.id for rule in opened(step, binding).answer({"x": 1.0, "y": 1.0, "f": True}).matched] == ["r0"]
    several = " and ".join(["f", *(f"(x > {n} or y > {n})" for n in range(4))])
    step, binding = numbered([several] * (MOST_CHOICES // 4), hit)
    assert opened(step, binding).answer({"x": 9.0, "y": 9.0, "f": True}).matched[0].id == "r0"
    step, binding = numbered(["f"] * MOST_RULES, "veto")
    assert len(opened(step, binding).answer({"f": True}).matched) == MOST_RULES


# --- the engine ------------------------------------------------------------------------------------------------------


def test_no_thread_is_started() -> None:
    before = threading.active_count()
    step, binding = veto("x > 1")
    assert vetoed(opened(step, binding), x=2.0)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "0.95"),
        ("x", True),
        ("x", 1),
        ("x", math.nan),
        ("x", math.inf),
        ("f", 1.0),
        ("tier", "hgih"),
        ("venue", 3.0),
    ],
)
def test_a_value_of_another_type_is_refused_before_it_is_posted(name: str, value: Any) -> None:
    """The engine itself takes the text 0.95 for something that is at least 0.9."""
    assert Engine("text", {"r": {"all": [{"m": {"$gte": {"x": 0.9}}}]}}).ask(event_of({"x": "0.95"})) is not None
    step, binding = veto("x > 1 or f or tier == high or venue == 'a'")
    with pytest.raises(UnpostableError, match=f"`{name}` is"):
        opened(step, binding).answer({**NAMES, name: value})


def test_a_text_too_long_for_the_engine_is_refused() -> None:
    """It compares lengths in 16 bits: 65,537 letters are one to it."""
    engine = Engine("long", {"r": {"all": [{"m": {"t": "a"}}]}})
    assert engine.ask(event_of({"t": "a" * (MOST_TEXT + 2)})) is not None
    step, binding = veto("venue == 'a'")
    asked = opened(step, binding)
    assert not vetoed(asked, venue="a" * MOST_TEXT)
    with pytest.raises(UnpostableError):
        vetoed(asked, venue="a" * (MOST_TEXT + 1))


@pytest.mark.parametrize("text", ["1e-07", "1e+16", "5e-324"])
def test_exponents_have_a_fraction_since_the_engine_stops_at_the_e(text: str) -> None:
    handle = durable_rules_engine.create_ruleset("exponents", '{"r": {"all": [{"m": {"$ex": {"x": 1}}}]}}')
    with pytest.raises(durable_rules_engine.error, match="204"):
        durable_rules_engine.assert_event(handle, f'{{"id": "1", "x": {text}}}')
    with pytest.raises(durable_rules_engine.error, match="204"):
        durable_rules_engine.create_ruleset("exponent", f'{{"r": {{"all": [{{"m": {{"$gt": {{"x": {text}}}}}}}]}}}}')
    assert to_text(float(text)) == text.replace("e", ".0e")


def test_what_the_engine_refuses_is_raised_and_leaves_nothing_behind() -> None:
    """It fails when the event is half done: one rule has matched it, and then there are too many tests to keep."""
    wide: dict[str, Any] = {
        f"{number}": {"all": [{"m": {"$and": [{"b": True}, {"$gt": {"x": -float(number)}}]}}], "pri": 1}
        for number in range(MOST_ON_STACK + 10)
    }
    engine = Engine("wide", {**wide, "narrow": {"all": [{"m": {"a": True}}], "pri": 0}})
    with pytest.raises(EngineError, match="303"):
        engine.ask(event_of({"x": 1.0, "b": True, "a": True}))
    for _ in range(2):
        assert engine.ask(event_of({"b": False})) is None
        assert engine.ask(event_of({"a": True})) == ("narrow", {"id": "event", "a": True})
    with pytest.raises(EngineError, match="refuses rule set `odd`"):
        Engine("odd", {"r": {"all": [{"m": {"$gt": {"x": [1.0]}}}]}})


def test_a_set_can_be_closed_whether_it_ever_matched_or_not() -> None:
    step, binding = veto("x > 1")
    for x in (None, 0.0, 2.0):
        asked = opened(step, binding)
        if x is not None:
            vetoed(asked, x=x)
        asked.close()
        asked.close()
        with pytest.raises(EngineError, match="closed"):
            vetoed(asked, x=2.0)


def test_a_condition_that_never_holds_needs_no_rule() -> None:
    step, binding = veto("f and not true")
    expressed = express(step, binding.values)
    assert isinstance(expressed, Expressed)
    assert expressed.definition == {}
    assert not vetoed(opened(step, binding))


def grown_kb(before: int) -> int:
    """How far the most memory this process ever had has risen."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def test_memory_stays_flat_over_events_and_over_sets() -> None:
    step, binding = veto("x > 1 or (y > 1 and f) or venue == 'a'")
    asked = opened(step, binding)
    inputs = list(boundary_inputs(step, binding.values))

    def work(times: int) -> None:
        for _ in range(times):
            for names in inputs[:100]:
                asked.answer(names)
            again = opened(step, binding)
            again.answer(inputs[0])
            again.close()

    work(20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work(100)
    assert grown_kb(before) < 2_000
