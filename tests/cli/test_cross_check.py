"""`check --cross-check`: what a second engine says, in every form, and at every width."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.analysis.cross_check import CrossCheck
from engine.analysis.report import describe_cross_check
from engine.backends.durable import express as expressing
from engine.backends.durable.engine import engine_name
from tests.cli.harness import HOME, sluice

CHECK = ("check", "--no-prove", "--cross-check")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes more than for at least."""
    monkeypatch.setattr(expressing, "_OPERATORS", {**expressing._OPERATORS, ">": "$gte", ">=": "$gt", "<": "$lte"})


def test_the_last_line_says_what_was_compared() -> None:
    result = sluice(*CHECK, columns=None)
    assert result.exit_code == 0
    *_, line = result.output.splitlines()
    assert line.startswith(f"{engine_name()} agrees: ")
    assert " rule sets, " in line
    assert line.endswith("it cannot run offset")


def test_a_set_that_cannot_be_run_is_a_note_that_says_why() -> None:
    found = json.loads(sluice(*CHECK, "--json").output)
    notes = [finding for finding in found["findings"] if finding["code"] == "backend.inexpressible"]
    assert [(note["file"], note["severity"]) for note in notes] == [("rules/offset.yaml", "note")]
    assert "`each` set" in notes[0]["message"]
    assert found["cross_check"]["inexpressible"] == ["offset"]
    assert found["cross_check"]["disagreements"] == 0
    assert json.loads(sluice("check", "--no-prove", "--json").output)["cross_check"] is None


def test_where_no_profile_loads_nothing_was_compared_and_nothing_agrees(tmp_path: Path) -> None:
    home = Path(shutil.copytree(HOME, tmp_path / "home"))
    (home / "rules/gates.yaml").write_text("ruleset: [", encoding="utf-8")
    result = sluice(*CHECK, "live", cwd=home, columns=160)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == f"{engine_name()}: nothing was compared, since live does not load"


def test_where_the_engine_can_run_no_rule_set_the_last_line_says_so() -> None:
    crossed = CrossCheck("other 1.0", 0, 0, 0, ("offset",), 0, ())
    assert describe_cross_check(crossed) == "other 1.0: nothing was compared, since it cannot run offset"


@pytest.mark.usefixtures("broken")
def test_a_disagreement_fails_the_check_in_every_form() -> None:
    result = sluice(*CHECK, columns=160)
    assert result.exit_code == 1
    assert "[backend.disagrees]" in " ".join(result.output.split())
    assert f"{engine_name()} disagrees on " in result.output.splitlines()[-1]
    annotations = sluice(*CHECK, "--format", "github")
    assert annotations.exit_code == 1
    assert "title=backend.disagrees::" in annotations.output


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("columns", [80, 160])
def test_what_it_prints_keeps_to_the_width(columns: int) -> None:
    lines = sluice(*CHECK, columns=columns).output.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= columns
