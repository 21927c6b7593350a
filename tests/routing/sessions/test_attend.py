"""A session with somebody watching: what the view is told, and what signals do."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.book import Book
from engine.journal.events import Event, IntentReceived, Outcome, SessionEnded
from engine.journal.reader import read, verify
from engine.reload.last_good import ColdStartError
from engine.routing.sessions.attend import INTERRUPTED, Opening, Watcher, attend, embedded
from engine.routing.sessions.reloading.options import ReloadOptions
from engine.routing.sessions.session import Ending
from engine.routing.sessions.standard_input import StandardInput
from engine.routing.sessions.start import JOURNAL, Running
from engine.routing.shape import SessionShape
from tests.reload.rule_server import rule_server
from tests.reload.signing import KEY
from tests.routing.markets import made_up, options

SHAPE = SessionShape(every_s=0.5, limit_quotes=1500)


class Told:
    """A view that writes down what it is told, and may send signals."""

    def __init__(self, *, signal_after: int | None = None) -> None:
        self.calls: list[str] = []
        self.events: list[Event] = []
        self.times: list[int] = []
        self._signal_after = signal_after

    def start(self, running: Running) -> None:
        assert running.so_far.first_ms is None
        self.calls.append("start")

    def see(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) == self._signal_after:
            os.kill(os.getpid(), signal.SIGINT)

    def progress(self, now_ms: int) -> None:
        self.times.append(now_ms)

    def stopping(self) -> None:
        self.calls.append("stopping")

    def finish(self) -> None:
        self.calls.append("finish")


def test_a_view_is_told_everything_that_is_journaled_and_how_time_goes_by(tmp_path: Path) -> None:
    view = Told()
    shown: list[Book] = []
    given = options(tmp_path, shape=SHAPE, telemetry="generated")
    attended = attend(embedded(given, made_up("BTCUSDT")), view, warn=shown.append, clock=iter((1.0, 3.0)).__next__)
    assert view.calls == ["start", "finish"]
    assert view.events == list(read(tmp_path / JOURNAL))
    assert view.times == sorted(view.times)
    assert len(view.times) > 20
    assert shown == [attended.running.book]
    assert (attended.signal, attended.cut_short, attended.elapsed_s) == (None, False, 2.0)
    assert attended.events == attended.ending.quotes.total() + attended.ending.trades.total() > 1500
    assert attended.events_per_s == attended.events / 2
    assert attended.report.received == sum(isinstance(event, IntentReceived) for event in view.events)


def test_the_example_is_an_intent_that_rested_and_then_crossed(tmp_path: Path) -> None:
    view = Told()
    attended = attend(embedded(options(tmp_path, shape=SHAPE, telemetry="generated"), made_up("BTCUSDT")), view)
    outcomes = [event for event in view.events if isinstance(event, Outcome)]
    (example,) = (event for event in outcomes if event.intent_id == attended.example)
    assert example.attempted
    assert example.fallback == any(event.fallback for event in outcomes)


def test_a_signal_ends_the_session_in_order(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    view = Told(signal_after=60)
    attended = attend(embedded(options(tmp_path, shape=SHAPE, telemetry="generated"), made_up("BTCUSDT")), view)
    assert (attended.signal, attended.cut_short, attended.ending.reason) == (signal.SIGINT, False, INTERRUPTED)
    assert view.calls[0] == "start"
    assert view.calls[-1] == "finish"
    assert isinstance(view.events[-1], SessionEnded)
    assert attended.ending.quotes.total() < 1500
    assert signal.getsignal(signal.SIGINT) is before
    assert verify(tmp_path / JOURNAL) == []


def endless(given: Path, began: Callable[[], None]) -> Opening:
    """Opens a session that does not heed anybody."""
    opening = embedded(options(given, shape=SHAPE), made_up("BTCUSDT"))

    async def open_it(
        watchers: Sequence[Watcher], progress: Callable[[int], None], standard_input: StandardInput
    ) -> Running:
        running = await opening(watchers, progress, standard_input)

        async def drive() -> Ending:
            began()
            await asyncio.Event().wait()
            raise AssertionError

        running.drive = drive
        return running

    return open_it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_at_once(number: signal.Signals, tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    view = Told()
    attended = attend(endless(tmp_path, twice), view)
    assert (attended.signal, attended.cut_short, attended.ending.reason) == (number, True, INTERRUPTED)
    assert view.calls == ["start", "stopping", "finish"]
    assert (tmp_path / JOURNAL / "writer.lock").read_bytes() == b"", "the journal was closed"


def test_a_signal_lets_go_of_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(StandardInput, "close", lambda _: closed.append("closed"))

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert len(closed) == 1, "a session that waits for a line would not hear of it else"
        os.kill(os.getpid(), signal.SIGINT)

    attend(endless(tmp_path, twice), Told())


def test_a_signal_while_a_session_is_opened_ends_the_process(tmp_path: Path) -> None:
    async def opening(*_: object) -> Running:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError

    view = Told()
    with pytest.raises(SystemExit) as caught:
        attend(opening, view)
    assert caught.value.code == 143
    assert view.calls == []
    assert not list(tmp_path.iterdir())


def test_a_view_is_finished_where_a_session_breaks(tmp_path: Path) -> None:
    def broken() -> None:
        raise ValueError("broken")

    view = Told()
    with pytest.raises(ValueError, match="broken"):
        attend(endless(tmp_path, broken), view)
    assert view.calls == ["start", "finish"]


def test_a_start_that_an_address_refuses_leaves_no_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with rule_server(b"no bundle") as server:
        reload = ReloadOptions(gate="findings", address=server.address, keys=(KEY.public_key(),))
        given = options(tmp_path, "testnet", telemetry="generated", reload=reload)
        with pytest.raises(ColdStartError):
            attend(embedded(given, made_up("BTCUSDT")), Told())
        gc.collect()
    assert server.answered == [200]
    assert not [message for message in caplog.messages if "Unclosed" in message]
