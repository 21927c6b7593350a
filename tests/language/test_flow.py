"""Intervals hold every result that doubles can give, and the analysis is done in reasonable time."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.language import model
from engine.language.evaluate import Environment, Missing, evaluate
from engine.language.flow import NOTHING, Flow
from engine.language.types import NumberType

ENDS = st.sampled_from([0.0, 1.0, -1.0, 0.1, 5e-324, -5e-324, 1e-308, 1e308, 1.7976931348623157e308, -1e300, 3.0, -0.3])
FLOW = Flow({})


def fact(name: str, low: float, high: float) -> model.FactRef:
    return model.FactRef(0, 0, "g", name, NumberType("", low, high))


def within(draw: st.DrawFn, low: float, high: float) -> float:
    return draw(st.sampled_from([low, high]) | st.floats(low, high, allow_nan=False))


@st.composite
def sums(draw: st.DrawFn, depth: int = 3) -> tuple[model.Expression, dict[str, Any]]:
    """A sum over facts, and values of those facts."""
    values: dict[str, Any] = {}

    def make(left: int) -> model.Expression:
        kind = NumberType("", -math.inf, math.inf)
        if left == 0 or draw(st.booleans()):
            low, high = sorted((draw(ENDS), draw(ENDS)))
            name = f"x{len(values)}"
            values[name] = within(draw, low, high)
            return fact(name, low, high)
        way: Any = draw(st.sampled_from(["+", "-", "*", "/", "min", "max", "abs", "neg"]))
        match way:
            case "neg":
                return model.Negative(0, 0, make(left - 1), kind)
            case "abs":
                return model.Call(0, 0, "abs", (make(left - 1),), kind)
            case "min" | "max":
                return model.Call(0, 0, way, (make(left - 1), make(left - 1)), kind)
        return model.Arithmetic(0, 0, way, make(left - 1), make(left - 1), kind)

    return make(depth), values


@given(sums())
def test_a_result_lies_in_its_interval_and_is_missing_only_where_it_may_be(drawn: tuple[Any, dict[str, Any]]) -> None:
    expression, values = drawn
    known = frozenset(part for part in model.walk(expression) if isinstance(part, model.FactRef))
    result = evaluate(expression, Environment(values, {}))
    if isinstance(result, Missing):
        assert FLOW.may_be_missing(expression, known)
    else:
        low, high = FLOW.interval(expression)
        assert low <= float(result) <= high


@pytest.mark.parametrize(
    ("operator", "left", "right", "wanted"),
    [
        ("+", (0.1, 0.2), (0.3, 0.4), (0.4, 0.6000000000000001)),
        ("-", (1, 2), (3, 5), (-4, -1)),
        ("*", (-2, 3), (-5, 7), (-15, 21)),
        ("/", (1, 2), (4, 8), (0.125, 0.5)),
        ("/", (-1, 2), (-8, -4), (-0.5, 0.25)),
        ("/", (1, 2), (0, 4), (0.25, 1.7976931348623157e308)),
        ("/", (0, 0), (0, 4), (0, 0)),
        ("/", (1, 2), (-1, 1), (-1.7976931348623157e308, 1.7976931348623157e308)),
        ("*", (1e200, 1e200), (1e200, 1e200), (1.7976931348623157e308, 1.7976931348623157e308)),
    ],
)
def test_intervals_of_operations(operator: Any, left: Any, right: Any, wanted: tuple[float, float]) -> None:
    kind = NumberType("", -math.inf, math.inf)
    expression = model.Arithmetic(0, 0, operator, fact("a", *left), fact("b", *right), kind)
    low, high = FLOW.interval(expression)
    assert (min(low, high), high) == wanted


def test_a_tangle_of_connectives_is_analysed_at_once() -> None:
    """Each level used to double the work: forty of them would take years."""
    flags = [model.FactRef(0, 0, "g", f"f{number}", model.FLAG) for number in range(3)]
    tangle: model.Expression = flags[0]
    for level in range(40):
        word: Any = ("and", "or", "implies")[level % 3]
        tangle = model.Logical(0, 0, word, tangle, flags[level % 3])
        tangle = model.Not(0, 0, tangle)
    assert FLOW.may_be_missing(tangle, NOTHING)
    assert FLOW.if_true(tangle, NOTHING) <= frozenset(flags)
    assert not FLOW.may_be_missing(tangle, frozenset(flags))
