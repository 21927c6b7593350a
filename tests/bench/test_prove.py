"""The benchmark's own logic on few rules: what it measures was answered, and says what each figure has to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import prove
from bench._generated import PROFILE, write_home


def test_a_home_is_asked_as_often_as_it_is_wanted_and_the_questions_are_counted(tmp_path: Path) -> None:
    home = write_home(tmp_path / "home", 50)
    taken, asked = prove._figures(prove._PROVE, str(home), PROFILE, "", "2")
    assert len(taken) == 2
    assert all(cpu > 0 for cpu, _ in taken)
    assert asked > 50


def test_answers_that_are_none_are_no_measurement(tmp_path: Path) -> None:
    home = write_home(tmp_path / "home", 50)
    policy = home / "policies" / "generated.yaml"
    policy.write_text(policy.read_text() + "invariants: [{id: it, claim: tier_0 == good}]\n")
    with pytest.raises(prove.Unproven):
        prove._figures(prove._PROVE, str(home), PROFILE, "", "1")


def test_the_report_holds_the_figures_with_a_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        prove, "_figures", lambda _, *arguments: ([(1.0, 2.0)] * int(arguments[-1:] == ("2",)) + [(0.5, 1.0)], 7)
    )
    report = prove.measure(1, 50)
    reaches = {figure.name: str(figure.reach) for figure in report.figures if figure.reach is not None}
    assert reaches == {
        "prod": "<= 3",
        "testnet": "<= 3",
        "prod, remembered": "<= 1",
        "routing prod/testnet": "<= 3",
        "50 rules": "<= 30",
    }
    assert "50 rules: 7 questions" in report.notes
