"""Running the command line in tests: in process, at a fixed width, over the small home beside this file."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from click.testing import CliRunner, Result

import cli

HOME = Path(__file__).resolve().parent / "home"
GOLDEN = HOME.parent / "golden"
COMMANDS = (
    *("bundle", "check", "decide", "diff", "explain", "findings", "health", "history", "init", "journal", "paper"),
    *("promote", "prove", "report", "rollback", "run", "schema", "serve", "shadow", "show", "status", "telemetry"),
    "why",
)
NESTED = (
    ("bundle", "build"),
    ("bundle", "inspect"),
    ("bundle", "verify"),
    ("journal", "archive"),
    ("journal", "check"),
    ("journal", "prune"),
    ("telemetry", "export"),
    ("telemetry", "import"),
)
"""Commands of a group."""

CASES: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    **{f"help_{name}": (name, "--help") for name in COMMANDS},
    **{f"help_{group}_{name}": (group, name, "--help") for group, name in NESTED},
    "check": ("check",),
    "decide": ("decide", "-p", "live", "taker.json"),
    "decide_several": ("decide", "-p", "live", "several.csv"),
    "explain_taker": ("explain", "-p", "live", "taker.json"),
    "explain_maker": ("explain", "-p", "live", "maker.json"),
    "explain_gaps": ("explain", "-p", "live", "gaps.json"),
    "why_not": ("explain", "-p", "live", "taker.json", "--why-not", "route=maker"),
    "why_not_gaps": ("explain", "-p", "live", "gaps.json", "--why-not", "offset_bps>=3"),
    "findings_code": ("findings", "first.unreachable"),
    "show": ("show", "-p", "trial"),
    "show_policy": ("show", "-p", "live", "routing"),
    "show_set": ("show", "-p", "live", "gates"),
    "show_rule": ("show", "-p", "live", "gates.spread_too_wide"),
    "show_values": ("show", "-p", "live", "--values"),
    "show_values_symbol": ("show", "-p", "live", "--values", "--symbol", "DOGEUSDT"),
}
"""Golden files by name, and the arguments whose output they hold."""


@contextlib.contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """Be in a folder for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def sluice(
    *arguments: str,
    cwd: Path = HOME,
    columns: int | None = 80,
    stdin: bytes = b"",
    env: Mapping[str, str | None] | None = None,
) -> Result:
    """Run a command; anything but an orderly exit fails the test."""
    width = str(columns) if columns is not None else None
    given: dict[str, str | None] = {"COLUMNS": width, "NO_COLOR": None, "FORCE_COLOR": None, **(env or {})}
    with working_directory(cwd):
        result = CliRunner().invoke(cli.sluice, list(arguments), prog_name="sluice", input=stdin, env=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def golden(name: str) -> str:
    """What a golden file should hold now: versions and ids, which change with every rule, are left out."""
    text = sluice(*CASES[name]).output
    text = re.sub(r"\b[0-9a-f]{24}\b", "DECISION-ID", re.sub(r"\b[0-9a-f]{16}\b", "VERSION", text))
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())
