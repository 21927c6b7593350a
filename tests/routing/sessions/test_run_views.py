"""What is shown while a session goes on, with a clock of its own and a screen in memory."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from engine.journal.events import IntentReceived, Outcome, RulebookLoaded
from engine.routing.sessions.attend import attend, embedded
from engine.routing.sessions.run_pages import print_end, run_json
from engine.routing.sessions.run_views import LinesView, LiveView, SilentView, view_for
from engine.routing.sessions.start import open_embedded
from engine.routing.shape import SessionShape
from tests.routing.markets import Ran, made_up, options

SHAPE = SessionShape(every_s=0.5, limit_quotes=1200)


def screen(*, terminal: bool, columns: int = 100, lines: int = 30) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    console = Console(
        file=stream,
        force_terminal=terminal,
        width=columns,
        height=lines,
        color_system=None,
        highlight=False,
        markup=False,
        _environ={"COLUMNS": str(columns)},
    )
    return console, stream


class Clock:
    """Goes on by a step whenever somebody looks."""

    def __init__(self, step_s: float) -> None:
        self.now_s = 0.0
        self._step_s = step_s

    def __call__(self) -> float:
        self.now_s += self._step_s
        return self.now_s


def head(_: object) -> None:
    """Nothing comes before the table here."""


def run(view: LinesView | LiveView | SilentView, logs: Path) -> Ran:
    given = options(logs, shape=SHAPE, telemetry="generated")
    attended = attend(embedded(given, made_up("BTCUSDT")), view)
    return Ran(attended.running, attended.ending, logs)


def test_every_intent_is_a_line_when_it_ends(tmp_path: Path) -> None:
    console, stream = screen(terminal=False, columns=160)
    ran = run(LinesView(console, head, all_of_them=True), tmp_path)
    lines = [line for line in stream.getvalue().splitlines() if "BTCUSDT" in line]
    assert [line.split()[1] for line in lines] == [event.intent_id for event in ran.of(Outcome)]


def test_or_the_first_of_each_kind_and_no_more_than_some(tmp_path: Path) -> None:
    console, stream = screen(terminal=False, columns=160)
    run(LinesView(console, head, all_of_them=False, most=3), tmp_path)
    lines = [line for line in stream.getvalue().splitlines() if "BTCUSDT" in line]
    assert len(lines) == 3
    assert len({tuple(line.split()[4:5] + line.split()[10:11]) for line in lines}) == 3
    assert "the first intent of each kind" in stream.getvalue()


def test_a_table_of_the_last_intents_stands_above_how_far_it_is(tmp_path: Path) -> None:
    console, stream = screen(terminal=True, columns=100, lines=16)
    ran = run(LiveView(console, head, limit_quotes=1200, clock=Clock(0.02)), tmp_path)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n")
    shares = [int(share) for share in re.findall(r"(\d+)%  [\d,]+ intents", plain)]
    assert shares == sorted(shares)
    assert shares[0] < 20
    assert shares[-1] > 80
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 100
    counted = [int(number) for number in re.findall(r"(\d+) intents", plain)]
    assert max(counted) <= len(ran.of(IntentReceived)), "an intent that ends is not counted again"
    assert max(counted) > 0.8 * len(ran.of(IntentReceived))
    final = plain.rpartition("bps why")[2].splitlines()
    assert len([line for line in final if "BTCUSDT" in line]) == 8, "as many as the screen has room for"
    assert "events/s" not in plain.rpartition("bps why")[2], "the bar is gone at the end"


def test_it_is_drawn_some_times_a_second_and_not_for_every_event(tmp_path: Path) -> None:
    console, stream = screen(terminal=True)
    run(LiveView(console, head, clock=Clock(0.0)), tmp_path)
    assert stream.getvalue().count("events/s") == 1, "time stands still: it is drawn once at the start"


def test_without_an_end_in_sight_there_is_no_bar(tmp_path: Path) -> None:
    console, stream = screen(terminal=True)
    run(LiveView(console, head, clock=Clock(0.05)), tmp_path)
    assert "events/s" in stream.getvalue()
    assert "━" not in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_who_asks_it_to_stop_is_told_so(terminal: bool, tmp_path: Path) -> None:
    console, stream = screen(terminal=terminal)
    view = LiveView(console, head, clock=Clock(0.0)) if terminal else LinesView(console, head, all_of_them=True)
    running = open_embedded(options(tmp_path), made_up("BTCUSDT"))
    running.journal.close()
    view.start(running)
    view.stopping()
    view.finish()
    assert "stopping: what rests is cancelled; once more stops at once" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_another_rulebook_is_a_line(terminal: bool) -> None:
    console, stream = screen(terminal=terminal)
    view = LiveView(console, head, clock=Clock(0.0)) if terminal else LinesView(console, head, all_of_them=False)
    changed = "quality.broken_slippage_bps 50 bps → 45 bps"
    view.see(RulebookLoaded(ts_ms=1, profile="prod", rulebook="abc", sources="d", how="files", changed=changed))
    assert stream.getvalue() == f"rulebook prod abc decides from here on (files): {changed}\n"


def test_the_view_suits_the_place(tmp_path: Path) -> None:
    given, market = options(tmp_path), made_up("BTCUSDT")
    terminal, pipe = screen(terminal=True)[0], screen(terminal=False)[0]
    assert isinstance(view_for(terminal, given, market), LiveView)
    assert isinstance(view_for(terminal, given, market, verbose=True), LinesView)
    assert isinstance(view_for(pipe, given, market), LinesView)
    assert isinstance(view_for(terminal, given, market, as_json=True), SilentView)


def test_a_session_that_left_orders_says_so(tmp_path: Path) -> None:
    console, stream = screen(terminal=False)
    given, market = options(tmp_path, shape=SHAPE), made_up("BTCUSDT")
    attended = attend(embedded(given, market), SilentView())
    attended.ending.left_open = 2
    print_end(console, given, attended, tmp_path)
    text = stream.getvalue()
    assert "2 intents left open: orders may rest at the venue" in text
    assert "--logs" not in text, "commands find the folder by themselves"
    assert run_json(given, market, attended)["left_open"] == 2
