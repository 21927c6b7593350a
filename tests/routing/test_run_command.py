"""`sluice run` as a process: pages, JSON, errors, Ctrl-C, a terminal, and a number changed in YAML."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests.routing.test_source import QUOTES, recording

ROOT = Path(__file__).resolve().parents[2]
SLUICE = (sys.executable, str(ROOT / "cli.py"))


def environment(**more: str) -> dict[str, str]:
    unwanted = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "SLUICE_DATA")
    return {**{name: value for name, value in os.environ.items() if name not in unwanted}, **more}


def sluice(*arguments: str, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SLUICE, *arguments],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def summary(*arguments: str) -> dict[str, Any]:
    done = sluice("run", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    held: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["summary"]
    return held


@pytest.mark.parametrize("columns", [80, 160])
def test_a_page_says_what_is_generated_and_keeps_to_the_width(columns: int) -> None:
    done = sluice("run", "--generated", "-p", "testnet", "--limit-quotes", "40000", COLUMNS=str(columns))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= columns
    assert len(lines) < 100
    text = " ".join(done.stdout.split())
    for part in (
        "profile testnet, rulebook ",
        "recorded nothing",
        "generated from seed 7: quotes and trades of 4 symbols",
        "telemetry (over a generated stream of outcomes)",
        "account, risk, tuning, windows, signal",
        "this market is made up",
        "UTC symbol spread tier regime route offset reason",
        "over 40,000 quotes",
        "quotes a second",
        "maker_gates.quality_not_good",
        "rules/maker_gates.yaml:",
        "most frequent veto",
    ):
        assert part in text, part


def test_json_lines_are_the_records_of_both_policies_and_a_summary() -> None:
    done = sluice("run", "--generated", "--limit-quotes", "3000", "--json", "--seed", "3")
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    held = last["summary"]
    assert [line["policy"] for line in lines] == ["admission", "routing"] * held["decisions"]
    assert (held["quotes"], held["seed"], held["profile"], held["interrupted"]) == (3000, 3, "prod", False)
    assert {line["rulebook"] for line in lines} == {held["rulebook"]}
    assert held["generated"][:3] == ["quotes", "trades", "bars"]
    again = sluice("run", "--generated", "--limit-quotes", "3000", "--json", "--seed", "3")
    assert again.stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1]


def test_recorded_data_in_time(data_dir: Path) -> None:
    began = time.monotonic()
    done = sluice("run", "--limit-quotes", "100000", "--json", SLUICE_DATA=str(data_dir))
    elapsed_s = time.monotonic() - began
    held = json.loads(done.stdout.splitlines()[-1])["summary"]
    assert held["market"] == "recorded"
    assert held["quotes"] == 100_000
    assert held["files"]["BTCUSDT"]
    assert "telemetry" in held["generated"]
    assert "quotes" not in held["generated"]
    assert elapsed_s < 10.0


def test_the_page_of_recorded_data_names_files_and_warm_up(data_dir: Path) -> None:
    done = sluice("run", "--data", str(data_dir), "--limit-quotes", "5000", COLUMNS="160")
    assert "BTCUSDT-bookTicker-2024-08-08.csv.gz" in done.stdout
    assert re.search(r"note +BTCUSDT: ATR starts from \d+ bars of another time", done.stdout)
    assert "recorded   quotes of" in done.stdout


def test_named_files_are_run_over(tmp_path: Path) -> None:
    held = summary(str(recording(tmp_path)), "--every", "0.2")
    assert list(held["symbols"]) == ["BTCUSDT"]
    assert held["quotes"] == 50
    assert held["decisions"] > 10


def test_a_number_changed_in_yaml_changes_decisions(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    assert sluice("init", str(workspace)).returncode == 0
    arguments = ("--generated", "--limit-quotes", "30000")
    before = summary(*arguments)
    assert summary(*arguments, "--home", str(workspace))["vetoes"] == before["vetoes"]
    base = workspace / "profiles" / "base.yaml"
    text = base.read_text()
    assert "hard_gates.max_spread_bps: 12" in text
    base.write_text(text.replace("hard_gates.max_spread_bps: 12", "hard_gates.max_spread_bps: 3"))
    after = summary(*arguments, "--home", str(workspace))
    assert after["rulebook"] != before["rulebook"]
    assert (after["quotes"], after["decisions"], after["tiers"]) == (
        before["quotes"],
        before["decisions"],
        before["tiers"],
    )
    rule = "hard_gates.spread_too_wide"
    assert after["vetoes"][rule] > 2 * before["vetoes"][rule]
    assert after["routes"]["maker"] < before["routes"]["maker"]
    assert after["routes"]["taker"] > before["routes"]["taker"]


def torn(folder: Path) -> Path:
    path = recording(folder)
    lines = path.read_text().splitlines(keepends=True)
    lines[30] = "1,2,x\n"
    path.write_text("".join(lines))
    return path


def test_a_broken_market_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = torn(tmp_path)
    done = sluice("run", str(path), "--every", "0.2")
    assert done.returncode == 1
    assert f"error: {path}:31: 3 columns where the file has 7" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_json_ends_with_the_error_as_a_line(tmp_path: Path) -> None:
    path = torn(tmp_path)
    done = sluice("run", str(path), "--every", "0.2", "--json")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["error"].startswith(f"{path}:31: ")
    assert len(lines) > 1


def test_what_cannot_be_run_over(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv").write_text(QUOTES)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for arguments, code, says in (
        ((str(tmp_path / "BTCUSDT-bookTicker-2024-08-08.csv"),), 1, "BTCUSDT-bookTicker"),
        ((str(tmp_path / "notes.txt"),), 1, "no market data"),
        ((str(tmp_path),), 1, "is a folder"),
        (("--data", str(tmp_path / "empty")), 1, "no bookTicker recording"),
        ((str(tmp_path / "nowhere.csv"),), 2, "does not exist"),
        (("--generated", "--data", str(tmp_path)), 2, "exclude each other"),
        (("--every", "0"), 2, "--every"),
        (("-p", "prd", "--generated"), 2, "prod"),
    ):
        done = sluice("run", *arguments)
        assert done.returncode == code, (arguments, done)
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_ctrl_c_ends_with_the_summary_so_far() -> None:
    with subprocess.Popen(
        [*SLUICE, "run", "--generated", "--speed", "2", "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
        errors = process.stderr.read()
    assert process.returncode == 0
    assert errors == ""
    assert all(json.loads(line) for line in first)
    held = json.loads(rest[-1])["summary"]
    assert held["interrupted"] is True
    assert 2 <= held["decisions"] < 100


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_gets_a_table_that_is_drawn_anew(columns: int) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [*SLUICE, "run", "--generated", "--limit-quotes", "60000"]
    shown = b""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(TERM="xterm-256color"), stdin=slave, stdout=slave, stderr=slave
    ):
        os.close(slave)
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data
    os.close(master)
    text = shown.decode()
    assert text.count("\x1b[1A") > 10, "lines are gone over again"
    assert text.count("UTC ") >= 2
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    assert max(len(line.rstrip()) for line in plain.splitlines() if "gates vetoedUTC" not in line) <= columns
    assert re.search(r"\d decisions  [\d,]+ maker  [\d,]+ taker  \d+ of \d+ gates vetoed", plain)
    assert "over 60,000 quotes" in plain
