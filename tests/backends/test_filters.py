"""The compiled filters of windows say of every event what the definition says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends.filters import clamp, filter_function
from engine.language.evaluate import Environment, evaluate
from engine.language.rulebook import Rulebook
from engine.language.types import NumberType
from tests.language.test_fuzz_load import workspace_of

FIELDS = ("n", "m", "f", "class", "role", "text")
"""Some of them words that Python needs itself."""
HOME = """\
# policies/facts.yaml
groups: {windows: {facts: {w0: {type: number, unit: count, min: 0, max: 9}}}}
# policies/p.yaml
{policy: p, reads: [windows], steps: [s], decides: [out]}
# rules/s.yaml
ruleset: s
hit: veto
sets: {out: {type: flag}}
params:
  low: {type: number, min: -5, max: 5}
  on: {type: flag}
  pick: {type: choice, of: [a, b, c], ordered: true}
rules: [{id: r, when: w0 > 0 and $on and $low > 0 and $pick == a}]
# profiles/main.yaml
profile: main
policies: [p]
values: {s.low: 1.5, s.on: true, s.pick: b}
symbols: {thin: {of: [THIN], values: {s.low: {value: 0, why: x}, s.on: {value: false, why: x}}}}
# policies/windows.yaml
events:
  e:
    fields:
      n: {type: number, min: -3, max: 3}
      m: {type: number, min: 0, max: 100}
      f: {type: flag}
      class: {type: flag}
      role: {type: choice, of: [a, b, c], ordered: true}
      text: {type: text}
windows:
  w0: {event: e, filter: FILTER, measure: count, window_s: 1, per: [symbol]}
"""

SUMS = st.recursive(
    st.sampled_from(["n", "m", "$s.low", "0", "1", "-1"]),
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from("+-*"), part).map(lambda it: f"({it[0]} {it[1]} {it[2]})"),
        st.tuples(st.sampled_from(["min", "max"]), part, part).map(lambda it: f"{it[0]}({it[1]}, {it[2]})"),
        part.map(lambda it: f"abs({it})"),
        part.map(lambda it: f"(-({it}))"),
    ),
    max_leaves=4,
)
TESTS = st.one_of(
    st.tuples(SUMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS).map(" ".join),
    st.tuples(SUMS, SUMS, SUMS).map(lambda it: f"{it[0]} in [{it[1]}, {it[2]}]"),
    st.tuples(SUMS, SUMS).map(lambda it: f"(n / ({it[0]})) is known and n / ({it[0]}) > {it[1]}"),
    st.sampled_from(["f", "class", "$s.on", "f == class", "f != $s.on", "true", "f in [class, $s.on]"]),
    st.sampled_from(["role == a", "role >= $s.pick", "b < role", "role not in [a, c]", "role != $s.pick"]),
    st.sampled_from(["text == 'x'", "text != 'y'", "text in ['x', 'y']", "text == text"]),
)
FILTERS = st.recursive(
    TESTS,
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from(["and", "or", "implies"]), part).map(lambda it: f"({it[0]}) {it[1]} ({it[2]})"),
        part.map(lambda it: f"not ({it})"),
    ),
    max_leaves=4,
)
EVENTS = st.fixed_dictionaries(
    {
        "n": st.sampled_from([-3.0, -1.5, -0.0, 0.0, 1.0, 1.5, 3.0]) | st.floats(-3, 3),
        "m": st.sampled_from([0.0, 1.0, 100.0]) | st.floats(0, 100),
        "f": st.booleans(),
        "class": st.booleans(),
        "role": st.sampled_from("abc"),
        "text": st.sampled_from(["x", "y", ""]),
    }
)


def rulebook_with(written: str) -> Rulebook:
    text = HOME.replace("FILTER", '"' + written.replace("\\", "\\\\") + '"')
    parts = text.split("# ")[1:]
    files = {part.partition("\n")[0]: part.partition("\n")[2].encode() for part in parts}
    return workspace_of(files).rulebook("main")


@settings(max_examples=60, deadline=None)
@given(FILTERS, st.lists(EVENTS, min_size=1, max_size=8))
def test_a_compiled_filter_is_the_definition(written: str, events: list[dict[str, Any]]) -> None:
    book = rulebook_with(written)
    window = book.windows["w0"]
    assert window.filter is not None
    for binding in book.bindings.values():
        keeps = filter_function(book, window, binding, FIELDS)
        assert keeps is not None
        for event in events:
            stated = evaluate(window.filter.expression, Environment(event, binding.values))
            assert keeps(*(event[name] for name in FIELDS)) is stated, (written, event)


def test_values_are_handed_over_in_the_order_asked_for_and_others_are_ignored() -> None:
    book = rulebook_with("m > n")
    keeps = filter_function(book, book.windows["w0"], book.bindings[()], ("other", "m", "another", "n"))
    assert keeps is not None
    assert keeps("x", 2.0, None, 1.0)
    assert not keeps("x", 1.0, None, 2.0)


@pytest.mark.parametrize("n", [-1e9, -3.0, 2.0, 3.0, 1e9])
def test_a_number_outside_of_its_declared_range_is_its_nearest_bound(n: float) -> None:
    book = rulebook_with("n * n <= m")
    keeps = filter_function(book, book.windows["w0"], book.bindings[()], FIELDS)
    assert keeps is not None
    assert keeps(n, 9.0, False, False, "a", "")
    assert not keeps(n, 3.0, False, False, "a", "")
    assert clamp(n, NumberType("", -3.0, 3.0)) == max(-3.0, min(n, 3.0))


def test_a_window_without_a_filter_has_no_function() -> None:
    text = HOME.replace("filter: FILTER, ", "")
    files = {part.partition("\n")[0]: part.partition("\n")[2].encode() for part in text.split("# ")[1:]}
    book = workspace_of(files).rulebook("main")
    assert filter_function(book, book.windows["w0"], book.bindings[()], FIELDS) is None
