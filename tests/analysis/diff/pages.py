"""A diff of everything in every format, and the golden files that hold how it looks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.analysis.diff.homes import EDITS, edited, repository, write
from tests.cli.harness import sluice

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).parent / "golden"
FORMATS = {
    "text_80": ("--all", "--no-behaviour"),
    "text_160": ("--all", "--no-behaviour"),
    "markdown": ("--all", "--no-behaviour", "--format", "markdown"),
    "github": ("--all", "--no-behaviour", "--format", "github"),
    "json": ("--all", "--no-behaviour", "--json"),
    "profiles_80": ("--no-behaviour",),
    "profiles_decisions_80": (),
    "profiles_decisions_160": (),
    "profiles_decisions_markdown": ("--format", "markdown"),
    "profiles_decisions_github": ("--format", "github"),
    "profiles_decisions_json": ("--json",),
}
"""Golden files by name, and the options whose output they hold."""


def changed_home(folder: Path) -> Path:
    """A repository whose working tree has an edit of every kind."""
    return write(repository(folder), edited(*EDITS))


def in_a_new_process(*arguments: str, cwd: Path, columns: int) -> str:
    """What a command prints. Which witness a solver finds depends on what it was asked before in the same process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def page(home: Path, name: str) -> str:
    """What a golden file should hold now, without what no two machines have alike."""
    sides = ("live", "trial") if name.startswith("profiles") else ("git:HEAD:live", "live")
    last = name.rpartition("_")[2]
    columns = int(last) if last.isdigit() else 80
    arguments = ("diff", *sides, "--home", ".", *FORMATS[name])
    if "decisions" in name:
        text = in_a_new_process(*arguments, cwd=home, columns=columns)
    else:
        text = sluice(*arguments, cwd=home, columns=columns).output
    text = re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", re.sub(r"\b[0-9a-f]{16}\b", "VERSION", text))
    text = re.sub(r'"seconds": [0-9.]+', '"seconds": 0', text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())
