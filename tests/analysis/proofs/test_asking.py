"""One question: proven, refuted by what was confirmed, or undecided; never shown what nobody confirmed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import z3

from engine.analysis.proofs.asking import Asker, Budget, Proven, Refuted, Undecided, plainer
from engine.analysis.proofs.runs import Points
from engine.backends.solver.space import Point

X = ("g", "x")
Y = ("g", "y")


def point(**values: float | None) -> Point:
    return Point({("g", name): value for name, value in values.items()}, {})


def read(found: z3.ModelRef) -> Points:
    x = found.eval(z3.Real("x"), model_completion=True)
    return (point(x=float(x.as_fraction())),)


def x_of(points: Points) -> float:
    value = points[0].given[X]
    return value if isinstance(value, float) else math.nan


class Giving(z3.Solver):  # type: ignore[misc]  # z3 is untyped
    """A solver that gives up, for a reason."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason

    def check(self, *_: object) -> z3.CheckSatResult:
        return z3.unknown

    def reason_unknown(self) -> str:
        return self._reason


@pytest.fixture
def giving_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Solvers give up for the reason that this holds."""
    reason = ["timeout"]
    monkeypatch.setattr(z3, "Solver", lambda: Giving(reason[0]))
    return reason


def test_what_no_input_does_is_proven_and_what_one_does_is_refuted_by_it() -> None:
    x = z3.Real("x")
    asker = Asker([x >= 0, x <= 1], timeout_s=10)
    assert asker.find([x > 1], read, lambda _: True) == Proven()
    found = asker.find([x > 0.25, x < 0.75], read, lambda points: 0.25 < x_of(points) < 0.75)
    assert isinstance(found, Refuted)
    assert found.points == (point(x=0.5),)


def test_a_question_leaves_nothing_behind() -> None:
    x = z3.Real("x")
    asker = Asker([x >= 0], timeout_s=10)
    assert isinstance(asker.model(x > 5), z3.ModelRef)
    assert isinstance(asker.model(x < 5), z3.ModelRef)
    assert asker.core([x < 0], []) == ()
    assert isinstance(asker.model(x < 5), z3.ModelRef)


def test_what_is_never_confirmed_is_undecided_and_not_shown() -> None:
    x = z3.Real("x")
    low, high = 0.1, math.nextafter(0.1, 1)
    asked: list[float] = []

    def confirm(points: Points) -> bool:
        asked.append(x_of(points))
        return low < x_of(points) < high

    answer = Asker([x >= 0, x <= 1], timeout_s=10).find(
        [x > z3.Q(*low.as_integer_ratio()), x < z3.Q(*high.as_integer_ratio())], read, confirm
    )
    assert answer == Undecided("no input of doubles confirms it")
    assert len(set(asked)) > 1, "it looked nearby"


def test_a_model_that_rounding_spoils_is_searched_again_nearby() -> None:
    """A third is no double; above it only the next double is."""
    x = z3.Real("x")
    third = z3.Q(1, 3)
    answer = Asker([x >= third], timeout_s=10).find(
        [x < third + z3.Q(1, 2**60)], read, lambda points: x_of(points) * 3 > 1
    )
    assert isinstance(answer, Refuted)
    assert x_of(answer.points) * 3 > 1


def test_another_model_is_asked_for_where_nothing_near_the_first_is_confirmed() -> None:
    x = z3.Real("x")
    answer = Asker([z3.Or(x == 1, x == 7)], timeout_s=10).find([x > 0], read, lambda points: x_of(points) == 7)
    assert answer == Refuted((point(x=7.0),))
    answer = Asker([z3.Or(x == 1, x == 7)], timeout_s=10).find([x > 0], read, lambda points: x_of(points) == 1)
    assert answer == Refuted((point(x=1.0),))


def test_that_no_further_model_is_left_is_no_proof() -> None:
    x = z3.Real("x")
    answer = Asker([z3.Or(x == 1, x == 7)], timeout_s=10).find([x > 0], read, lambda _: False)
    assert answer == Undecided("no input of doubles confirms it")


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("timeout", "it took too long"),
        ("canceled", "it took too long"),
        ("smt tactic", "the solver gave up: smt tactic"),
    ],
)
def test_a_solver_that_gives_up_proves_nothing(giving_up: list[str], reason: str, said: str) -> None:
    giving_up[0] = reason
    asker = Asker([], timeout_s=10)
    assert asker.find([z3.Bool("b")], lambda _: (), lambda _: True) == Undecided(said)
    assert asker.under(z3.Bool("b")) == Undecided(said)
    assert asker.core([z3.Bool("b")], []) is None


def test_an_interrupt_that_the_solver_swallowed_is_raised_again(giving_up: list[str]) -> None:
    giving_up[0] = "interrupted from keyboard"
    asker = Asker([], timeout_s=10)
    for ask in (lambda: asker.model(z3.Bool("b")), lambda: asker.under(z3.Bool("b")), lambda: asker.core([], [])):
        with pytest.raises(KeyboardInterrupt):
            ask()


def test_a_core_names_few() -> None:
    x = z3.Real("x")
    named: Sequence[tuple[str, z3.BoolRef]] = [("a", x < 5), ("b", x < 3), ("c", x > 3), ("d", x > -100)]
    assert set(Asker([], timeout_s=10).core([x >= 3], named) or ()) == {"b"}
    assert Asker([], timeout_s=10).core([x >= 3], [("a", x < 5)]) is None


def test_a_witness_is_made_plain_and_stays_one() -> None:
    tried = (point(x=0.123456789, y=7.25),)
    plain = plainer(tried, lambda points: 0.12 < x_of(points) < 0.13)
    assert plain == (point(x=0.123, y=None),)


def test_numbers_that_two_inputs_share_stay_shared() -> None:
    first, second = point(x=1.23456, y=0.7654), point(x=1.23456, y=0.9876)

    def confirm(points: Points) -> bool:
        (one, other) = points
        return one.given[X] == other.given[X] and one.given[X] is not None and one.given[Y] != other.given[Y]

    plain = plainer((first, second), confirm)
    assert confirm(plain)
    assert plain[0].given == {X: 0.0, Y: 0.0}
    assert plain[1].given == {X: 0.0, Y: 1.0}


def test_what_comes_after_the_budget_is_not_asked_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 0.5, 2.0, 2.0, 2.0])
    asker = Asker([], 10.0, Budget(1.0, lambda: next(moments)))
    assert isinstance(asker.model(z3.Bool("b")), z3.ModelRef)
    monkeypatch.setattr(z3.Solver, "check", lambda *_: pytest.fail("there was no time left"))
    assert asker.model(z3.Bool("b")) == Undecided("the budget of 1 s was used up")
