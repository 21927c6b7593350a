"""docs/prod-vs-testnet.md is what `sluice diff prod testnet` finds, and all of it is meant.

After a change that is meant, `python -m tests.docs.test_prod_vs_testnet` in the repository writes the page anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.markdown import markdown
from engine.analysis.diff.report import diff_sides
from engine.analysis.diff.sides import open_sides
from tests.docs.test_language import ROOT

PATH = ROOT / "docs/prod-vs-testnet.md"
COMMAND = "python -m tests.docs.test_prod_vs_testnet"
INTRODUCTION = f"""\
<!-- written by `{COMMAND}` -->

# What testnet decides otherwise than prod

The two shipped profiles have the same rules and not the same numbers.
This page lists which numbers differ, and every decision that differs for it.
For no other input do the two decide differently.
Where several regions are listed, an input that lies in one of them is decided differently.
Each difference is stated under `diverges` in `profiles/testnet.yaml`.
`sluice diff prod testnet --fail-on unexpected` fails on any other.
`sluice diff prod testnet` shows an input of each as well, with both traces beside each other.

"""


def page() -> str:
    found = diff_sides(*open_sides("prod", "testnet", ROOT))
    found = replace(found, behaviour=behaviour(found.a.rulebook, found.b.rulebook, timeout_s=60))
    _, _, text = markdown(found, witnesses=False).partition("\n\n")  # without the versions, in the first line
    return INTRODUCTION + text


def test_the_page_is_what_diff_finds(tmp_path: Path) -> None:
    """In a process of its own: what a solver finds first depends on what it was asked before."""
    made = tmp_path / "page.md"
    subprocess.run([sys.executable, "-m", __name__, str(made)], cwd=ROOT, check=True)
    assert PATH.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), f"write it anew: {COMMAND}"


def test_every_difference_is_meant_and_every_entry_is_used() -> None:
    text = PATH.read_text(encoding="utf-8")
    found = re.search(r"^(\d+) transitions of \d+ decisions, (\d+) of them expected\.$", text, re.MULTILINE)
    assert found
    assert found[1] == found[2]
    assert "**Note:**" not in text


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else PATH).write_text(page(), encoding="utf-8")
