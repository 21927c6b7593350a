"""The solver is used by one thread at a time, and what is being asked can be ended from another one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import z3

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.extent import extent
from engine.analysis.proofs.asking import Asker, Budget
from engine.analysis.proofs.prove import prove
from engine.analysis.why_not.ask import why_not
from engine.analysis.why_not.nearest import Nearest
from engine.analysis.why_not.wish import read_wish
from engine.backends.solver import turns
from engine.backends.solver.terms import Truth
from engine.backends.solver.turns import StoppedError, turn
from engine.book import Book
from engine.language.load import Files
from engine.language.nodes import Source
from engine.reload.proving import prover
from tests.analysis.proofs.homes import home, rulebook_of, rulebooks_of

RULES = "ruleset: s\nhit: veto\nsets: {open: {type: flag}}\nunknown: skip\nrules:\n  - {id: a, when: x > <5>}\n"
DOCUMENTS = home(RULES, invariants="  - {id: it, claim: x is known and x > 5 implies not open}\n")


def _prove() -> None:
    prove("main", rulebooks_of(DOCUMENTS))


def _compare() -> None:
    behaviour(rulebook_of(DOCUMENTS), rulebook_of(home(RULES.replace("5", "6"))))


def _why_not() -> None:
    book = Book(rulebook_of(DOCUMENTS), "interpreter")
    why_not(book, "p", {"now": 1.0, "g": {"observed_at": 1.0, "x": 7.0}}, read_wish(book.policy("p"), "open=true"))


@pytest.mark.parametrize("ask", [_prove, _compare, _why_not])
def test_whoever_uses_the_solver_has_the_turn(ask: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mine: list[bool] = []
    for solver in (z3.Solver, z3.Optimize):

        def check(self: z3.Solver, *bits: z3.BoolRef, plain: Callable[..., object] = solver.check) -> object:
            mine.append(turns.is_mine())
            return plain(self, *bits)

        monkeypatch.setattr(solver, "check", check)
    ask()
    assert mine
    assert all(mine)
    assert not turns.is_mine()


def too_many() -> list[z3.BoolRef]:
    """What takes minutes to decide: forty numbers, all different, of thirty-eight."""
    numbers = [z3.Int(f"hole {number}") for number in range(40)]
    return [z3.Distinct(*numbers), *(z3.And(number > 0, number < 39) for number in numbers)]


def hard() -> Asker:
    """One that is asked for minutes."""
    return Asker(too_many(), 600.0)


def nearest(holds: list[z3.BoolRef]) -> Nearest[None]:
    """A search for a change where as much holds."""
    book = Book(rulebook_of(DOCUMENTS), "interpreter")
    wish = read_wish(book.policy("p"), "open=true")
    is_open = z3.Bool("open")
    return Nearest([], holds, wish, Truth(is_open, z3.Not(is_open)), lambda _: None, Budget(600.0))


class _Long:
    """Somebody with the turn, who asks for minutes."""

    def __init__(self) -> None:
        self.began = threading.Event()

    def ask(self) -> None:
        with turn():
            asker = hard()
            self.began.set()
            asker.model(z3.Bool("whatever"))


def _asks_again() -> None:
    with turn():
        assert isinstance(Asker([], 10.0).model(z3.Bool("simple")), z3.ModelRef)


def test_what_is_being_asked_and_what_waits_for_it_ends_at_once_and_who_comes_later_is_answered() -> None:
    long, answer = _Long(), prover_answer(is_wanted=False)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(long.ask)
        assert long.began.wait(30)
        waits = pool.submit(answer)
        turns.stop()
        with pytest.raises(StoppedError):
            asked.result(30)
        assert waits.result(30) == 1
    _asks_again()


def prover_answer(*, is_wanted: bool) -> Callable[[], int]:
    """Asks what a reload asks, and says how many invariants nobody knows of."""
    rulebook = rulebook_of(DOCUMENTS)
    files = Files({name: Source.of(name, text) for name, text in DOCUMENTS.items()}, ())
    ask = prover(files, 10.0, None, is_wanted=lambda: is_wanted)
    assert ask is not None
    return lambda: ask(rulebook).unknown


def test_what_was_stopped_for_somebody_else_is_asked_again() -> None:
    goes_on, ends = prover_answer(is_wanted=True), prover_answer(is_wanted=False)
    turns.stop()
    assert goes_on() == 0
    assert ends() == 1


def test_a_mark_from_before_a_stop_gets_no_turn() -> None:
    mark = turns.mark()
    turns.stop()
    with pytest.raises(StoppedError), turn(mark):
        pytest.fail("it has no turn")


def test_what_was_stopped_is_not_taken_for_an_answer() -> None:
    with pytest.raises(StoppedError), turn():
        turns.stop()


def test_an_interrupt_from_the_keyboard_is_not_taken_by_a_question_of_another_thread() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    long, pauses = _Long(), threading.Event()
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(long.ask)
            assert long.began.wait(30)
            for _ in range(20):
                signal.raise_signal(signal.SIGINT)
                pauses.wait(0.005)
            assert not asked.done()
            turns.stop()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT] * 20


@pytest.mark.parametrize(
    "ask",
    [
        lambda: hard().model(z3.Bool("whatever")),
        lambda: extent(too_many(), True, z3.Real("x"), 600.0),
        lambda: nearest(too_many()).search(),
    ],
    ids=["proofs", "ranges", "why not"],
)
def test_an_interrupt_from_the_keyboard_ends_a_question_of_the_main_thread(ask: Callable[[], object]) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    press = threading.Thread(target=signal.raise_signal, args=(signal.SIGINT,))

    def pressed() -> None:
        press.start()
        ask()

    with pytest.raises(KeyboardInterrupt), turn():
        pressed()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    _asks_again()


def test_an_interrupt_between_two_questions_is_not_lost() -> None:
    later: list[object] = []

    def pressed() -> None:
        signal.raise_signal(signal.SIGINT)
        later.append(Asker([], 10.0).model(z3.Bool("simple")))

    with pytest.raises(KeyboardInterrupt), turn():
        pressed()
    assert later == []
    _asks_again()
