"""Reloads as one meets them: `sluice run` as a process, files that are saved beside it, and what commands say."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.home import shipped_home
from engine.journal.events import CandidateMoved, Decided, IntentReceived, Outcome, RulebookLoaded, RulebookRefused
from engine.journal.reader import read, verify
from engine.reload.requests import Answer, Request
from engine.reload.status import Status, Unavailable, write_status
from tests.cli.harness import sluice
from tests.cli.test_process import PYTHON_CLI, ROOT, environment

PATIENCE_S = 60.0
"""For a machine that is busy with other things; what is waited for takes a second."""


class Process:
    """A session in a process of its own, over a home that is edited."""

    def __init__(self, folder: Path) -> None:
        self.home, self.logs = folder / "home", folder / "logs"
        for name in ("rules", "policies", "profiles"):
            shutil.copytree(shipped_home() / name, self.home / name)

    @contextmanager
    def running(self, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        command = (
            "run",
            "-p",
            "testnet",
            "--home",
            str(self.home),
            "--logs",
            str(self.logs),
            "--reload-gate",
            "findings",
        )
        with subprocess.Popen(
            [*PYTHON_CLI, *command, *more], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                self.until(lambda found: found["process"] == process.pid)
                yield process
            finally:
                process.kill()

    def status(self) -> dict[str, Any]:
        """What `sluice status` says; empty before a session said anything."""
        result = sluice("status", "--json", "--logs", str(self.logs))
        found: dict[str, Any] = json.loads(result.output)
        return found if "process" in found else {}

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the status says something."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = self.status()
            if found and condition(found):
                return found
            time.sleep(0.05)
        pytest.fail(f"it never came to that: {found}")

    def save(self, broken_bps: int) -> None:
        """Save the profile as editors do: beside, then renamed."""
        text = (shipped_home() / "profiles" / "testnet.yaml").read_text()
        beside = self.home / "profiles" / ".testnet.yaml.swp"
        beside.write_text(
            text.replace("broken_slippage_bps: {value: 50", f"broken_slippage_bps: {{value: {broken_bps}")
        )
        beside.replace(self.home / "profiles" / "testnet.yaml")

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in read(self.logs / "journal") if isinstance(event, kind)]


def stop(process: subprocess.Popen[bytes]) -> str:
    """End a session in good order; what it printed."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=PATIENCE_S)[0].decode()


def test_a_save_decides_in_a_running_session_and_a_broken_one_does_not(tmp_path: Path) -> None:
    session = Process(tmp_path)
    with session.running("--generated", "--speed", "20", "--every", "0.5", "--no-baselines") as process:
        first = session.status()["version"]
        session.save(45)
        second = session.until(lambda found: found["version"] != first)["version"]
        (session.home / "rules" / "quality.yaml").write_text("ruleset: [")
        refused = session.until(lambda found: found["attempt"]["verdict"] == "refused")
        assert refused["version"] == second
        assert refused["attempt"]["findings"][0]["place"].startswith("rules/quality.yaml:1:")
        shown = sluice("status", "--logs", str(session.logs))
        assert shown.exit_code == 1
        shutil.copy(shipped_home() / "rules" / "quality.yaml", session.home / "rules" / "quality.yaml")
        session.until(lambda found: found["attempt"]["verdict"] == "unchanged")
        back = sluice("rollback", "--logs", str(session.logs))
        assert (back.exit_code, f"testnet {first} decides again" in back.output) == (0, True)
        output = stop(process)
    assert f"testnet {second} decides from here on (files): quality.broken_slippage_bps 50 bps → 45 bps" in output
    versions = [msgspec.json.decode(event.record)["rulebook"] for event in session.of(Decided)]
    assert list(dict.fromkeys(versions)) == [first, second]
    assert [event.how for event in session.of(RulebookLoaded)] == ["files", "rollback"]
    assert [event.stage for event in session.of(RulebookRefused)] == ["load"]
    received = {event.intent_id for event in session.of(IntentReceived)}
    assert received == {event.intent_id for event in session.of(Outcome)}, "none is lost at a swap"
    assert verify(session.logs / "journal") == []
    history = json.loads(sluice("history", "--json", "--logs", str(session.logs)).output)
    assert [span["how"] for span in history] == ["start", "reload", "rollback"]
    assert sum(span["decisions"] for span in history) == len(versions)
    ended = sluice("status", "--logs", str(session.logs))
    assert (ended.exit_code, "no session runs" in ended.output) == (1, True)


@pytest.mark.parametrize(("gone", "code"), [("", 0), ("`/rules` is gone", 1)])
def test_a_status_fails_while_no_rules_can_be_had(tmp_path: Path, gone: str, code: int) -> None:
    trouble = Unavailable(what=gone, help="put it back", since_ms=5) if gone else None
    found = Status(
        profile="prod",
        version="a",
        sources="b",
        origin="/rules",
        generation=0,
        since_ms=5,
        process=os.getpid(),
        unavailable=trouble,
    )
    write_status(tmp_path, found)
    result = sluice("status", "--logs", str(tmp_path))
    assert (result.exit_code, gone in result.output) == (code, True)
    assert json.loads(sluice("status", "--json", "--logs", str(tmp_path)).output).get("unavailable") == (
        {"what": gone, "help": "put it back", "since_ms": 5} if gone else None
    )


@pytest.mark.parametrize("before", [True, False])
def test_a_home_that_is_named_has_its_logs_though_its_profiles_are_gone(tmp_path: Path, *, before: bool) -> None:
    home = tmp_path / "home"
    found = Status(profile="prod", version="a", sources="b", origin="/r", generation=0, since_ms=5, process=os.getpid())
    write_status(home / "logs", found)
    named = ("--home", str(home))
    arguments = (*named, "status") if before else ("status", *named)
    assert "prod a decides" in sluice(*arguments, cwd=tmp_path).output
    shutil.rmtree(home)
    told = sluice(*arguments, cwd=tmp_path, columns=160).output
    assert f"there is no `{home / 'logs' / 'reload' / 'status.json'}`" in " ".join(told.split())
    told = sluice("rollback", *named, cwd=tmp_path, columns=160).output
    assert f"runs in `{home / 'logs'}`" in " ".join(told.split())


def test_nobody_is_asked_where_no_session_runs(tmp_path: Path) -> None:
    result = sluice("rollback", "--logs", str(tmp_path))
    assert result.exit_code != 0
    assert "no session that reloads runs" in result.output


@pytest.mark.parametrize("named", ["", ",", "BTCUSDT,,ETHUSDT", " "])
@pytest.mark.parametrize("command", [("promote",), ("run", "--generated"), ("paper", "--generated")])
def test_symbols_that_name_none_somewhere_are_not_all_of_them(command: tuple[str, ...], named: str) -> None:
    result = sluice(*command, "--symbols", named)
    assert result.exit_code == 2
    assert "names no symbol somewhere" in result.output


@pytest.mark.parametrize("gate", ["none", "findings"])
def test_a_gate_that_proves_nothing_is_said_at_the_start(gate: str, tmp_path: Path) -> None:
    session = ("run", "-p", "testnet", "--generated", "--symbols", "BTCUSDT", "--limit-quotes", "200")
    result = sluice(*session, "--logs", str(tmp_path), "--home", str(shipped_home()), "--reload", "--reload-gate", gate)
    assert result.exit_code == 0, result.output
    assert f"note: --reload-gate {gate} proves nothing: what breaks an invariant may decide" in result.stderr
    told = " ".join(result.stdout.split())
    assert f"reload from {shipped_home()}; gate {gate}: invariants are not proved" in told
    assert logging.lastResort is not None
    logged = logging.lastResort.format(logging.LogRecord("engine", logging.WARNING, "", 1, "it is gone", (), None))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC it is gone", logged), "lines of a log have a time"


@pytest.mark.parametrize(("command", "decides"), [(("rollback",), "a"), (("rollback", "b"), "a"), (("promote",), None)])
def test_a_rollback_names_what_decides_when_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], decides: str | None
) -> None:
    write_status(
        tmp_path,
        Status(
            profile="prod", version="a", sources="s", origin="/rules", generation=0, since_ms=5, process=os.getpid()
        ),
    )
    asked: list[Request] = []

    def answer(_: Path, request: Request, **__: object) -> Answer:
        asked.append(request)
        return Answer(id=request.id, done=True, line="done")

    monkeypatch.setattr("engine.reload.requests.ask", answer)
    assert sluice(*command, "--logs", str(tmp_path)).exit_code == 0
    assert [request.decides for request in asked] == [decides]


def test_an_empty_version_is_none_to_go_back_to() -> None:
    result = sluice("rollback", "")
    assert (result.exit_code, "VERSION is empty." in result.output) == (2, True)


@pytest.mark.parametrize("arguments", [(), ("",), ("prod", "--end"), ("--end", "--replace"), ("--replace",)])
def test_a_candidate_is_named_or_ended(arguments: tuple[str, ...]) -> None:
    result = sluice("shadow", *arguments)
    assert result.exit_code == 2
    assert "Name a candidate, or say --end alone." in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rules-key", "public.pem"), "--rules-key goes with --rules alone"),
        (("--reload-gate", "none"), "--reload-gate goes with --reload or --rules"),
        (("--no-reload", "--rules", "file:x"), "exclude each other"),
        (("--rules", ""), "--rules names no address"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(arguments: tuple[str, ...], told: str) -> None:
    result = sluice("run", "-p", "live", "--generated", *arguments)
    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.slow
def test_a_candidate_does_not_outlive_the_session_that_was_killed_with_it(tmp_path: Path) -> None:
    session = Process(tmp_path)
    shutil.copytree(session.home, tmp_path / "other")
    text = (session.home / "profiles" / "testnet.yaml").read_text()
    changed = text.replace("broken_slippage_bps: {value: 50", "broken_slippage_bps: {value: 9")
    (tmp_path / "other" / "profiles" / "testnet.yaml").write_text(changed)
    paper = [*PYTHON_CLI, "paper", "--generated", "--symbols", "BTCUSDT", "--port", "0", "--speed", "20"]
    with subprocess.Popen(paper, cwd=ROOT, env=environment(), stdout=subprocess.PIPE) as venue:
        try:
            assert venue.stdout is not None
            address = next(line.decode().split()[-1] for line in venue.stdout if b"listening on" in line)
            run = ("--venue", address, "--every", "0.5")
            with session.running(*run) as first:
                asked = sluice("shadow", f"{tmp_path / 'other'}:testnet", "--logs", str(session.logs))
                assert asked.exit_code == 0, asked.output
                session.until(lambda found: found["candidate"]["facts"].get("decided_beside", 0) > 0)
                first.kill()
            with session.running(*run) as second:
                session.until(lambda found: found["candidate"]["state"] == "ended")
                stop(second)
        finally:
            venue.kill()
    assert [event.state for event in session.of(CandidateMoved)] == ["shadow", "ended"]
    assert verify(session.logs / "journal") == []
