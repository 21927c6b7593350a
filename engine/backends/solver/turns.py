"""Whose turn it is to use the solver: one at a time in a process, and whoever ends a session need not wait for it.

Z3 keeps all terms in one context that is not made for several threads. What asks it anything, from the first term to
the last model, therefore stands in `with turn():`. A thread that waits meanwhile waits here, and `stop` ends both: what
is being asked, and what waits for that. Importing this module imports no solver.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_POLL_S = 0.02
"""How often whoever waits looks again, and whoever stops says so again: an interrupt between two questions is lost."""

_turn = threading.RLock()
_interrupting = threading.Lock()
"""Held to interrupt the turn that is taken, and to give it back: no interrupt reaches the next one."""
_stops = 0
"""How often everything was stopped."""
_since: int | None = None
"""Of the turn that is taken: how often that was when it was asked for."""


_pressed = False
"""Whether Ctrl-C was pressed during the turn that is taken."""


class StoppedError(Exception):
    """A question was ended from outside before there was an answer: nothing is known."""


def mark() -> int:
    """What a turn that is taken later begins with, so that `stop` ends it even if it comes before that."""
    return _stops


@contextmanager
def turn(since: int | None = None) -> Iterator[None]:
    """The solver for oneself; within a turn of one's own, at once. `since` is what `mark` said, else now.

    Raises:
        StoppedError: if `stop` was called since; what was found meanwhile is not to be relied on.
        KeyboardInterrupt: in the main thread, once Ctrl-C was pressed: at the next question, or at the end.

    """
    global _since  # noqa: PLW0603 - one solver, one turn
    asked_at = _stops if since is None else since
    while not _turn.acquire(timeout=_POLL_S):
        if asked_at != _stops:
            raise StoppedError
    outer = _since
    with ExitStack() as ends:
        ends.callback(_turn.release)
        if outer is None:
            _since = asked_at
            ends.callback(_give_back)
            _let_go_elsewhere()
            ends.enter_context(_keyboard())
        go_on()
        try:
            yield
        except Exception:
            go_on()  # an interrupted solver refuses whatever it is handed, which is no error of those who hand it in
            raise
        go_on()


def _give_back() -> None:
    """End the turn, and leave the solver as it was: one that was interrupted refuses everything but a question."""
    import z3  # noqa: PLC0415 - the extra `prove`, and somebody has used it

    global _since, _pressed
    with _interrupting:
        was_interrupted = _pressed or _since != _stops
        _since, _pressed = None, False
    if was_interrupted:
        z3.Solver().check()


@contextmanager
def _keyboard() -> Iterator[None]:
    """Let Ctrl-C end a question of the main thread, and be lost at no moment.

    Z3 would take the signal for itself while it is asked something, and forget it where it has an answer already; an
    exception that is raised while Python lets go of a term is dropped. So the signal is noted, a thread interrupts the
    solver, and `go_on` raises it. Where somebody else minds the signal, that is left to them.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    watcher = threading.Thread(target=_interrupt_when, args=(heard,), daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(before)
        told.close()
        watcher.join()
        heard.close()
    go_on()  # pressed after the last question


def _note(*_: object) -> None:
    global _pressed  # noqa: PLW0603 - as above
    _pressed = True


def _interrupt_when(heard: socket.socket) -> None:
    """Interrupt the solver once there was a signal, again and again, until nobody listens any more."""
    is_pressed = False
    while True:
        try:
            signals = heard.recv(1)
        except TimeoutError:
            _interrupt()
            continue
        if not signals:
            return
        if signals[0] == signal.SIGINT and not is_pressed:
            is_pressed = True
            heard.settimeout(_POLL_S)
            _interrupt()


def _interrupt() -> None:
    import z3  # noqa: PLC0415 - the extra `prove`, and somebody is using it

    z3.main_ctx().interrupt()


def go_on() -> None:
    """Between two questions: nothing, unless it is over.

    Raises:
        StoppedError: if what has this turn was stopped.
        KeyboardInterrupt: if Ctrl-C was pressed.

    """
    if _pressed:
        raise KeyboardInterrupt
    if _since not in (None, _stops):
        raise StoppedError


def is_mine() -> bool:
    """Whether this thread has the turn."""
    return _turn._is_owned()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 - as `Condition` asks it


def stop() -> None:
    """End what is being asked, and what waits for that; returns once it has ended. For whatever thread.

    Who asks afterwards is answered as ever, unless with a `mark` from before.
    """
    global _stops  # noqa: PLW0603 - as above
    _stops += 1
    while not _turn.acquire(timeout=_POLL_S):
        with _interrupting:
            if _since == _stops:  # somebody else's, who came later
                return
            if _since is not None:
                _interrupt()
    _turn.release()


def _let_go_elsewhere() -> None:
    """Let any thread collect terms: which one Python's collector runs in cannot be chosen."""
    import z3  # noqa: PLC0415 - the extra `prove`, for those who use it

    z3.Z3_enable_concurrent_dec_ref(z3.main_ctx().ref())
