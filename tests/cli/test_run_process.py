"""`sluice run` and `sluice paper` as processes: signals, pipes, terminals, and a session that is taken up again."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.journal.events import IntentReceived, OrderPlanned, Outcome, SessionEnded, SessionStarted
from engine.journal.reader import read, verify
from tests.cli.test_process import PYTHON_CLI, ROOT, environment, on_a_terminal

GENERATED = ("run", "--generated", "--symbols", "BTCUSDT", "--no-baselines")


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*PYTHON_CLI, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(process: subprocess.Popen[bytes], text: str) -> str:
    """The next line that holds a text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line.decode():
            return line.decode()
    pytest.fail(f"the output ended without `{text}`")


def rest_of(process: subprocess.Popen[bytes]) -> str:
    output, errors = process.communicate(timeout=60)
    assert errors == b""
    return output.decode()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_what_rests_and_reports(number: signal.Signals, code: int, tmp_path: Path) -> None:
    # Slow enough that it cannot be over before the signal comes.
    with started(*GENERATED, "--speed", "20", "--verbose", "--logs", str(tmp_path)) as process:
        line_with(process, "BTCUSDT-")
        process.send_signal(number)
        rest = rest_of(process)
    assert process.returncode == code
    assert "stopping: what rests is cancelled" in rest
    assert "interrupted: " in rest
    assert "by route, bps" in rest
    events = list(read(tmp_path / "journal"))
    assert [event.reason for event in events if isinstance(event, SessionEnded)] == ["interrupted"]
    received = Counter(event.intent_id for event in events if isinstance(event, IntentReceived))
    assert received == Counter(event.intent_id for event in events if isinstance(event, Outcome))
    assert verify(tmp_path / "journal") == []


def test_signals_one_upon_the_other_leave_a_whole_journal(tmp_path: Path) -> None:
    with started(*GENERATED, "--speed", "20", "--verbose", "--logs", str(tmp_path)) as process:
        line_with(process, "BTCUSDT-")
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert verify(tmp_path / "journal") == []


def test_a_signal_ends_a_session_that_waits_for_standard_input(tmp_path: Path) -> None:
    with started(*GENERATED, "--intents", "-", "--logs", str(tmp_path)) as process:
        assert process.stdin is not None
        process.stdin.write(b"nonsense\n")  # and then nothing, for ever
        process.stdin.flush()
        line_with(process, "UTC ")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert "interrupted: " in rest_of(process)
    assert verify(tmp_path / "journal") == []


def test_a_pipe_that_closes_ends_it_quietly(tmp_path: Path) -> None:
    with started(*GENERATED, "--verbose", "--logs", str(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
    assert verify(tmp_path / "journal") == []


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_gets_a_table_that_is_drawn_anew_above_a_bar(columns: int, tmp_path: Path) -> None:
    command = ("--generated", "--limit-quotes", "8000", "--no-baselines", "--logs", str(tmp_path))
    text = on_a_terminal("run", "--home", str(ROOT), *command, columns=columns)
    assert text.count("\x1b[1A") > 10, "lines are gone over again"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    assert re.search(r"2024-01-01 00:0\d:\d\d UTC +.*\d+% +[\d,]+ intents +\d+ open orders", plain)
    shown = [line for line in plain.partition("journal  ")[0].splitlines() if "events/s" not in line]
    assert max(len(line.rstrip()) for line in shown) <= columns
    assert "as many quotes as asked for: 8,000 quotes" in plain


def test_without_colours_a_terminal_gets_the_same_words(tmp_path: Path) -> None:
    command = ("--generated", "--limit-quotes", "3000", "--no-baselines", "--logs", str(tmp_path))
    text = on_a_terminal("run", "--home", str(ROOT), *command, columns=80, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*m", text)
    assert "refused" in text or "taker" in text


def test_a_venue_outlives_its_routers_and_the_next_one_goes_on(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with started("paper", "--generated", "--symbols", "BTCUSDT", "--port", "0", "--speed", "60") as venue:
        address = line_with(venue, "listening on").split()[-1]
        run = ("run", "--venue", address, "--verbose", "--logs", str(logs))
        with started(*run) as first:
            line_with(first, "BTCUSDT-000003")
            first.kill()
        with started(*run) as second:
            head = line_with(second, "going on from")
            line_with(second, "taker ")
            second.send_signal(signal.SIGINT)
            rest_of(second)
        assert second.returncode == 130
        venue.send_signal(signal.SIGTERM)
        stopped = rest_of(venue)
    assert venue.returncode == 0
    assert "stopped at 2024-01-01 00:" in stopped
    assert ": 0 open orders" in stopped, "the second router cancelled what the first one left"
    assert int(head.split()[3].replace(",", "")) > 10
    events = list(read(logs / "journal"))
    assert [event.resumed for event in events if isinstance(event, SessionStarted)] == [False, True]
    ids = [event.intent_id for event in events if isinstance(event, IntentReceived)]
    assert len(set(ids)) == len(ids) > 3, "made-up intents take new names"
    orders = [event.client_id for event in events if isinstance(event, OrderPlanned)]
    assert len(set(orders)) == len(orders)
    assert verify(logs / "journal") == []


def test_two_sessions_do_not_share_a_journal(tmp_path: Path) -> None:
    with started(*GENERATED, "--speed", "5", "--verbose", "--logs", str(tmp_path)) as process:
        line_with(process, "UTC ")
        with started(*GENERATED, "--logs", str(tmp_path)) as second:
            _, errors = second.communicate(timeout=60)
        assert second.returncode == 1
        assert b"is being written by process" in errors
        process.send_signal(signal.SIGINT)
        rest_of(process)
    assert process.returncode == 130
    assert not (tmp_path / "earlier").exists()
