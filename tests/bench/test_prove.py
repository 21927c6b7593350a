"""The benchmark's own logic on few rules: what it measures was answered, and says what each figure has to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import prove
from bench._generated import PROFILE, write_home, write_sums_home
from engine.language.load import Workspace, read_files


def test_a_home_is_asked_as_often_as_it_is_wanted_and_the_questions_are_counted(tmp_path: Path) -> None:
    home = write_home(tmp_path / "home", 50)
    taken, asked = prove._figures(prove._PROVE, str(home), PROFILE, "", "dead,total", "2")
    assert len(taken) == 2
    assert all(cpu > 0 for cpu, _ in taken)
    assert asked > 50


def test_answers_that_are_none_are_no_measurement(tmp_path: Path) -> None:
    home = write_home(tmp_path / "home", 50)
    policy = home / "policies" / "generated.yaml"
    policy.write_text(policy.read_text() + "invariants: [{id: it, claim: tier_0 == good}]\n")
    with pytest.raises(prove.Unproven):
        prove._figures(prove._PROVE, str(home), PROFILE, "", "invariants", "1")


def test_the_report_holds_the_figures_with_a_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        prove, "_figures", lambda _, *arguments: ([(1.0, 2.0)] * int(arguments[-1:] == ("2",)) + [(0.5, 1.0)], 7)
    )
    report = prove.measure(1, 150)
    reaches = {figure.name: str(figure.reach) for figure in report.figures if figure.reach is not None}
    assert reaches == {
        "prod": "<= 3",
        "testnet": "<= 3",
        "prod, remembered": "<= 1",
        "routing prod/testnet": "<= 3",
        "150 rules": "<= 30",
        "150 rules of sums": "<= 30",
    }
    assert "150 rules: 7 questions" in report.notes


def test_rules_of_sums_load_and_some_leave_nothing_for_others(tmp_path: Path) -> None:
    home = write_sums_home(tmp_path / "home", 60)
    rulebook = Workspace(read_files(home)).rulebook(PROFILE)
    (policy,) = rulebook.policies.values()
    assert [(step.hit, len(step.rules)) for step in policy.steps] == [("first", 20), ("each", 20), ("veto", 20)]
    assert rulebook.warnings == ()
