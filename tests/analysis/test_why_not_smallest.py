"""The smallest change: to the edge of a strict bound and no further, of products too, whole where something is counted,
and in numbers that people read. What brute force finds on a grid is never smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import z3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.analysis.proofs.asking import Budget
from engine.analysis.why_not.ask import WhyNot, why_not
from engine.analysis.why_not.nearest import _left_ms
from engine.analysis.why_not.rounding import Begun, least, pulled_back
from engine.analysis.why_not.wish import read_wish
from engine.book import Book
from engine.language.findings import LoadError
from engine.language.types import NumberType, Value
from tests.analysis.proofs.homes import home, rulebook_of

VETO = "ruleset: s\nhit: veto\nsets: {open: {type: flag}}\nunknown: match\nrules:\n"
COUNTED = (
    "      n: {type: number, unit: count, min: 0, max: 20}\n      m: {type: number, unit: count, min: 0, max: 20}\n"
)
COUNTS = "params: {least: {type: number, unit: count, min: 0, max: 100}}\n"


def book_of(rules: str, values: str = "", head: str = VETO) -> Book:
    """A book of one veto set, in whose vocabulary two facts are counts."""
    documents = home(head + rules, values=values if "$most" in rules else "")
    vocabulary = documents["policies/facts.yaml"]
    documents["policies/facts.yaml"] = vocabulary.replace("      kind:", f"{COUNTED}      kind:")
    return Book(rulebook_of(documents), "interpreter")


def ask(rules: str, values: str = "", head: str = VETO, **facts: Value) -> WhyNot:
    book = book_of(rules, values, head)
    return why_not(book, "p", {"now": 0.0, "g": facts}, read_wish(book.policy("p"), "open=true"))


def changed(found: WhyNot) -> dict[str, Any]:
    return {change.fact.removeprefix("g."): change.after for change in found.facts or ()}


@pytest.mark.parametrize(
    ("rule", "now", "after"),
    [
        ("x >= <0.1>", 0.5, 0.0999),
        ("x >= <0.1>", 0.1, 0.0999999),
        ("x > <0.1>", 0.5, 0.1),
        ("x <= <0.1>", -0.5, 0.1001),
        ("x < <0.41253>", -0.5, 0.41253),
        ("x <= <-2>", -2.0, -1.999999),
        ("x > <1>/<3>", 9.0, 0.333),
        ("x <= 0", -1.0, 0.000001),
    ],
)
def test_a_strict_bound_is_passed_by_as_little_as_reads_well(rule: str, now: float, after: float) -> None:
    found = ask(f"  - {{id: a, when: {rule}}}\n", x=now)
    assert (changed(found), found.undecided) == ({"x": after}, ())


@pytest.mark.parametrize(
    ("rules", "facts", "after"),
    [
        ("x > <5> and y > <-3>", {"x": 6.0, "y": 0.0}, {"y": -3.0}),  # 3 of 20, against 1 of 6
        ("x > <5> and y > <-3>", {"x": 5.5, "y": 0.0}, {"x": 5.0}),  # 0.5 of 5.5, against 3 of 20
        ("x > <5> and y > <-3>", {"x": 6.0}, {"y": -3.0}),
        ("x > <5> and y > <0>", {"x": 5.001}, {"y": 0.0}),
        ("x > <5> and f", {"x": 5.001, "f": True}, {"f": False}),
        ("x > <5> and f", {"x": 5.001}, {"f": False}),
    ],
    ids=["of 0", "of 0, further", "missing", "missing, given where it begins", "a flag", "a flag that is missing"],
)
def test_what_has_nothing_to_be_relative_to_costs_a_share_of_its_range_and_a_flag_nothing(
    rules: str, facts: dict[str, Value], after: dict[str, Value]
) -> None:
    assert changed(ask(f"  - {{id: a, when: {rules}}}\n", "", VETO, **facts)) == after


def test_what_is_changed_twice_is_the_smallest_of_both() -> None:
    found = ask("  - {id: a, when: x >= <0.1>}\n  - {id: b, when: y <= <0.2> or y > <9>}\n", x=8.0, y=-1.0)
    assert changed(found) == {"x": 0.0999, "y": 0.2001}


def test_of_several_ways_the_smallest_is_taken() -> None:
    """Two ways past the bound of one fact, and another fact that is further from its own."""
    rules = "  - {id: a, when: 'x > <0.1> and not (x > <0.7> and x < <0.9>) and y >= <1>'}\n"
    assert changed(ask(rules, x=0.6, y=4.0)) == {"x": 0.7001}
    assert changed(ask(rules, x=0.3, y=4.0)) == {"x": 0.1}
    assert changed(ask(rules, x=0.6, y=1.05)) == {"y": 0.99999}


PRODUCT = "  - {id: a, when: x >= <0.1>}\n  - {id: b, when: x * y >= <0.001>}\n"


def test_a_product_beside_a_strict_bound_is_decided() -> None:
    assert (changed(ask(PRODUCT, x=5.0, y=2.0)), ask(PRODUCT, x=5.0, y=2.0).undecided) == ({"x": 0.000499}, ())
    found = ask("  - {id: a, when: x * y >= <6>}\n", x=5.0, y=2.0)
    assert changed(found) in ({"y": 1.1999}, {"x": 2.999})  # either is two fifths off
    assert found.undecided == ()


def test_a_product_of_which_both_have_to_change_is_halved_in_on() -> None:
    rules = "  - {id: a, when: x * y < <12>}\n  - {id: b, when: x > <6>}\n  - {id: c, when: y > <3>}\n"
    found = ask(rules, x=1.0, y=1.0)
    after = changed(found)
    assert after.keys() == {"x", "y"}
    assert after["x"] * after["y"] >= 12
    assert (after["x"] - 1) + (after["y"] - 1) == pytest.approx(3 + 2, rel=1e-3)  # x = 4, y = 3


def test_where_products_are_too_much_all_factors_but_one_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver gives up on whatever is not linear; one factor at a time is."""
    check = z3.Solver.check

    def only_linear(solver: z3.Solver, *assumptions: Any) -> z3.CheckSatResult:
        return z3.unknown if any(map(multiplies, solver.assertions())) else check(solver, *assumptions)

    monkeypatch.setattr(z3.Solver, "check", only_linear)
    found = ask("  - {id: a, when: x * y >= <6>}\n  - {id: b, when: x > <4>}\n", x=5.0, y=2.0)
    assert changed(found) == {"x": 2.999}
    assert found.undecided == ("facts",)


def multiplies(term: z3.ExprRef) -> bool:
    factors = [part for part in term.children() if not z3.is_rational_value(part)]
    return (z3.is_mul(term) and len(factors) > 1) or any(map(multiplies, factors))


COUNTING = VETO.replace("rules:", "params: {most: {type: number, unit: count, min: 0, max: 100}}\nrules:")


@pytest.mark.parametrize(
    ("rule", "most", "after"), [("n >= $most", 2.5, 2.0), ("n >= $most", 3, 2.0), ("n <= $most", 7.5, 8)]
)
def test_what_is_counted_is_whole(rule: str, most: float, after: float) -> None:
    found = ask(f"  - {{id: a, when: {rule}}}\n", f"  s.most: {most}\n", COUNTING, n=7.0)
    assert changed(found) == {"n": after}


def test_a_parameter_that_counts_is_whole() -> None:
    found = ask("  - {id: a, when: n >= $most}\n", "  s.most: 2\n", COUNTING, n=6.5)
    assert found.parameters is not None
    assert [change.after for change in found.parameters] == [7.0]


def test_where_no_whole_number_does_none_is_proposed() -> None:
    between = "  - {id: a, when: n <= $most}\n  - {id: b, when: n >= $most + 1}\n"
    found = ask(between, "  s.most: 2\n", COUNTING, n=7.0)
    assert (found.facts, found.undecided) == (None, ())


# --- numbers that people read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "edge", "written"),
    [
        (0.5, 0.09999999999999999, 0.0999),
        (0.01, 0.0016666666666666668, 0.001666),
        (60000.5, 59999.99999999999, 59999.99),
        (0.0, 0.30000000000000004, 0.3001),
        (-1.0, 5e-324, 0.000001),
        (0.0, 1e300, 1e300),
        (14.2, 12.0, 12.0),
        (1.0, 0.41253, 0.41253),
        (0.5, 0.5, 0.5),
    ],
)
def test_an_edge_is_written_in_few_digits(now: float, edge: float, written: float) -> None:
    def holds(number: float) -> bool:
        return number >= edge if edge > now else number <= edge

    assert pulled_back(Begun(now), edge, holds) == written


def test_what_has_no_size_of_its_own_is_no_noise() -> None:
    """Half of the last digit of something else, from 0 in a range of 2000, is written as a number that people know."""
    begun = Begun.of(None, NumberType("bps", -1000.0, 1000.0))
    assert pulled_back(begun, -1.0, lambda number: number <= -5.552e-17) == -0.000001
    assert pulled_back(begun, -1.0, lambda number: number <= -3e-7) == -3e-7


@pytest.mark.parametrize(
    ("low", "high", "start"), [(-1.0, 1.0, 0.0), (1e-9, 1e9, 1.0), (5.0, 9.0, 5.0), (-9.0, -5.0, -5.0)]
)
def test_what_has_no_value_begins_at_a_plain_one(low: float, high: float, start: float) -> None:
    assert Begun.of(None, NumberType("", low, high)).start == start


def test_where_only_one_double_does_it_is_written_in_full() -> None:
    assert pulled_back(Begun(0.0), 0.1 + 0.2, lambda number: number == 0.1 + 0.2) == 0.1 + 0.2


def test_numbers_that_hold_each_other_get_short_together() -> None:
    """Neither can be shortened alone: the lower one has to stay below the upper one, and both below a bound."""

    def holds(changes: Mapping[str, Value]) -> bool:
        low, high = float(changes.get("low", 0.5)), float(changes.get("high", 8.0))
        return low <= high < 0.5

    moved = {"high": 0.49999999991, "low": 0.4999999999}
    short = least(moved, {"high": Begun(8.0), "low": Begun(0.5)}, holds)
    assert short == {"high": 0.4999999, "low": 0.4999999}


def test_what_need_not_change_does_not() -> None:
    assert least({"a": True, "b": 2.0}, {"b": Begun(1.0)}, lambda changes: "a" in changes) == {"a": True}


# --- brute force -----------------------------------------------------------------------------------------------------

NUMBERS = ("-3", "-0.5", "0.1", "0.3", "2", "4.75")
ORDERS = ("<", "<=", ">", ">=")
OPERATORS = (*ORDERS, "==", "!=")


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> str:
    """A condition over numbers, counts, a flag and a choice."""
    if depth and draw(st.booleans()):
        word = draw(st.sampled_from(["and", "or"]))
        return f"({draw(conditions(depth - 1))}) {word} ({draw(conditions(depth - 1))})"
    left = draw(st.sampled_from(["x", "y", "n", "f", "tier", "x * y"]))
    match left:
        case "f":
            return draw(st.sampled_from(["f", "not f"]))
        case "tier":
            return f"tier {draw(st.sampled_from(OPERATORS))} {draw(st.sampled_from(['low', 'middle', 'high']))}"
        case "n":
            return f"n {draw(st.sampled_from(OPERATORS))} $most"
    right = draw(st.sampled_from([*(f"<{number}>" for number in NUMBERS), "x", "y"]))
    return f"{left} {draw(st.sampled_from(ORDERS if '*' in left else OPERATORS))} {right}"


@st.composite
def rulebooks(draw: st.DrawFn) -> str:
    """The rules of a small veto set."""
    rules = draw(st.lists(conditions(), min_size=1, max_size=3))
    return "".join(f"  - {{id: r{number}, when: '{rule}'}}\n" for number, rule in enumerate(rules))


def numbers() -> st.SearchStrategy[float]:
    return st.sampled_from([-10.0, -3.0, -0.5, 0.0, 0.1, 0.25, 0.3, 2.0, 4.75, 10.0]) | st.floats(-10, 10, width=16)


def others(name: str, now: Value) -> Iterator[tuple[Value, float]]:
    """The values of a grid that one fact could have, each with what it costs."""
    match name:
        case "f":
            yield not now, 0.0
        case "tier":
            yield from ((tier, 0.0) for tier in ("low", "middle", "high") if tier != now)
        case _:
            low, high, step = (0, 20, 1.0) if name == "n" else (-10, 10, 0.125)
            edges = [] if name == "n" else [float(text) + nudge for text in NUMBERS for nudge in (-1e-9, 0.0, 1e-9)]
            scale = abs(float(now)) or high - low
            for number in [low + index * step for index in range(int((high - low) / step) + 1)] + edges:
                if number != now:
                    yield number, abs(number - float(now)) / scale


@settings(max_examples=60, deadline=None)
@given(
    rules=rulebooks(),
    most=st.sampled_from([0, 2.5, 3]),
    facts=st.fixed_dictionaries(
        {
            "x": numbers(),
            "y": numbers(),
            "n": st.integers(0, 20).map(float),
            "f": st.booleans(),
            "tier": st.sampled_from(["low", "middle", "high"]),
        }
    ),
)
@example(
    rules="  - {id: a, when: x >= <0.1>}\n", most=3, facts={"x": 0.5, "y": 0.0, "n": 1.0, "f": True, "tier": "low"}
)
def test_no_change_of_one_fact_is_smaller(rules: str, most: float, facts: dict[str, Value]) -> None:
    try:
        book = book_of(rules, f"  s.most: {most}\n", COUNTING if "$most" in rules else VETO)
    except LoadError:
        return  # a comparison of one thing with itself, say

    def is_open(changes: Mapping[str, Value]) -> bool:
        return bool(book.decide("p", {"now": 0.0, "g": {**facts, **changes}})["open"])

    if is_open({}):
        return
    found = why_not(book, "p", {"now": 0.0, "g": facts}, read_wish(book.policy("p"), "open=true"))
    assert not found.undecided
    after = changed(found)
    assert found.facts is None or is_open(after)
    costs = [cost for name, now in facts.items() for value, cost in others(name, now) if is_open({name: value})]
    if not costs:
        return
    assert len(after) == 1
    ((name, value),) = after.items()
    assert name != "n" or float(value).is_integer()
    if isinstance(value, float) and name in ("x", "y", "n"):
        now = float(facts[name])
        scale = abs(now) or 20
        way, size = abs(value - now) * 1.1, abs(value) * 1.1
        allowed = max(min(way, size) * 1e-3, max(way, size) * 1e-6, 0.0 if now else 2.1e-8) if name != "n" else 0.0
        assert abs(value - now) <= min(costs) * scale + allowed


@pytest.mark.parametrize("given_up", range(12))
def test_an_answer_that_one_question_was_missing_for_is_as_small_or_says_so(
    given_up: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "  - {id: a, when: x * y < <12>}\n  - {id: b, when: x > <6>}\n  - {id: c, when: y > <6>}\n"
    smallest = changed(ask(rules, x=1.0, y=1.0))
    asked = 0

    def left(budget: Budget, plain: Callable[[Budget], int] = _left_ms) -> int:
        nonlocal asked
        asked += 1
        return plain(Budget(0.0) if asked == given_up + 1 else budget)

    monkeypatch.setattr("engine.analysis.why_not.nearest._left_ms", left)
    found = ask(rules, x=1.0, y=1.0)
    assert asked > given_up
    assert changed(found) == smallest or "facts" in found.undecided
