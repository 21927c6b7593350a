"""The command as a process: both ways to start it, pipes that close, full disks, terminals, odd encodings."""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.harness import HOME

ROOT = Path(__file__).resolve().parents[2]
PYTHON_CLI = (sys.executable, str(ROOT / "cli.py"))


def environment(**more: str) -> dict[str, str]:
    unwanted = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "PYTHONWARNINGS")
    return {**{name: value for name, value in os.environ.items() if name not in unwanted}, **more}


def run(*arguments: str, stdin: bytes = b"", cwd: Path = HOME, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PYTHON_CLI, *arguments],
        input=stdin,
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        check=False,
        timeout=60,
    )


def on_a_terminal(*arguments: str, columns: int, **more: str) -> str:
    """What a terminal of that width gets to see."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env: Mapping[str, str] = environment(TERM="xterm-256color", **more)
    with subprocess.Popen([*PYTHON_CLI, *arguments], cwd=HOME, env=env, stdout=slave, stderr=slave, stdin=slave):
        os.close(slave)
        shown = b""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("--version",), 0),
        (("check",), 0),
        (("--home", "nowhere", "check"), 2),
        (("check", "--home", "nowhere"), 2),
        (("decide", "-p", "nope", "taker.json"), 2),
        (("frobnicate",), 2),
        ((), 2),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int) -> None:
    done = run(*arguments)
    assert done.returncode == code, done
    assert b"Traceback" not in done.stderr


def test_home_may_stand_before_or_after_and_after_wins(tmp_path: Path) -> None:
    command = ("decide", "-p", "live", str(HOME / "taker.json"), "--json")
    expected = run(*command).stdout
    assert run("--home", str(HOME), *command, cwd=tmp_path).stdout == expected != b""
    assert run(*command, "--home", str(HOME), cwd=tmp_path).stdout == expected
    assert run("--home", "nowhere", *command, "--home", str(HOME), cwd=tmp_path).stdout == expected
    assert run(*command, cwd=tmp_path).returncode == 2, "elsewhere it is the shipped set, which has no such profile"


@pytest.mark.parametrize(
    "arguments", [("check",), ("explain", "-p", "live", "taker.json"), ("show", "-p", "live"), ("schema",), ("--help",)]
)
def test_a_pipe_that_closes_is_quiet_and_no_finding(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [*PYTHON_CLI, *arguments],
            cwd=HOME,
            env=environment(),
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.stderr == b""
    assert done.returncode == 141, "what a shell says of a process that a closed pipe has ended"


@pytest.mark.parametrize("command", ["check", "decide -p live taker.json", "--help"])
def test_closed_standard_streams_make_no_traceback(command: str) -> None:
    def shell(closing: str) -> subprocess.CompletedProcess[bytes]:
        line = f"{' '.join(map(shlex.quote, PYTHON_CLI))} {command} {closing}"
        return subprocess.run(
            ["sh", "-c", line], cwd=HOME, env=environment(), capture_output=True, check=False, timeout=60
        )

    done = shell(">&-")
    assert done.returncode == 2
    assert done.stderr == b"error: cannot write: standard output is closed\n"
    assert shell("2>&-").returncode == 0
    assert shell("2>&- --nonsense").returncode == 2
    assert shell("<&-").returncode == 0


def test_a_closed_standard_input_holds_no_facts() -> None:
    line = f"{' '.join(map(shlex.quote, PYTHON_CLI))} decide -p live - <&-"
    done = subprocess.run(["sh", "-c", line], cwd=HOME, env=environment(), capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [("check",), ("decide", "-p", "live", "several.csv", "--json")])
def test_a_full_disk_is_an_error_in_one_line(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PYTHON_CLI, *arguments],
            cwd=HOME,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == b"error: cannot write: no space left on device\n"


def test_standard_input_and_odd_encodings() -> None:
    done = run("explain", "-p", "live", "-", stdin=(HOME / "maker.json").read_bytes(), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.decode("ascii").startswith("maker: no veto")
    facts = '{"now": 1, "symbol": "価格", "market": {"venue": "価格"}}'.encode()
    done = run("decide", "-p", "live", "-", stdin=facts, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"\\u4fa1" in done.stdout


def test_colours_are_for_terminals_alone_and_never_the_only_sign() -> None:
    command = ("explain", "-p", "live", "gaps.json")
    coloured = on_a_terminal(*command, columns=80)
    plain = on_a_terminal(*command, columns=80, NO_COLOR="1")
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    assert b"\x1b" not in run(*command).stdout
    for word in ("matched", "not matched", "unknown, skipped", "unknown, matched", "not reached", "stale", "absent"):
        assert word in plain


@pytest.mark.parametrize("columns", [80, 160])
def test_several_decisions_are_a_table_on_a_terminal(columns: int) -> None:
    lines = on_a_terminal("decide", "-p", "live", "several.csv", columns=columns, NO_COLOR="1").splitlines()
    assert lines[0].split() == ["row", "symbol", "reason"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["2", "BTCUSDT"],
        ["3", "DOGEUSDT"],
        ["4", "-"],
        ["5", "ETHUSDT"],
    ]
    assert max(len(line) for line in lines) <= columns


def test_shell_completion_knows_the_profiles_of_the_home(tmp_path: Path) -> None:
    for words in (f"sluice --home {HOME} decide -p l", f"sluice decide --home {HOME} -p l"):
        done = run(
            cwd=tmp_path, _SLUICE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1)
        )
        assert done.stdout.decode().split() == ["plain,live"]
    done = run(_SLUICE_COMPLETE="bash_source")
    assert b"_SLUICE_COMPLETE=bash_complete" in done.stdout


def test_help_needs_neither_rich_nor_an_extra() -> None:
    code = (
        "import sys; sys.argv = ['sluice', '--help']; import cli\n"
        "try: cli.main()\n"
        "finally: print(sorted({'duckdb', 'rich', 'z3'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, check=False)
    assert done.stderr.decode().strip() == "[]"
