"""The benchmark's own logic on few outcomes: it writes what it then counts, and says what each figure has to be."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from bench import effectiveness
from engine.routing.effectiveness import sample_of


def test_every_outcome_is_a_maker_attempt_and_they_are_the_same_every_time() -> None:
    first, again = (list(islice(effectiveness.outcomes(500, 5), 500)) for _ in range(2))
    assert first == again
    assert all(sample_of(outcome) is not None for outcome in first)
    assert {outcome.symbol for outcome in first} == {f"S{number}USDT" for number in range(5)}
    assert first[-1].ts_ms - first[0].ts_ms < 7 * 86_400_000 <= 500 * (first[1].ts_ms - first[0].ts_ms)


def test_a_journal_in_which_not_all_of_them_count_is_no_measurement(tmp_path: Path) -> None:
    effectiveness.write(tmp_path, 200, 3)
    assert json.loads(effectiveness.figures(str(tmp_path), 200, 3)).keys() == {
        "rebuild", "first look", "memory", "update", "look",
    }  # fmt: skip
    with pytest.raises(effectiveness.Uncounted, match="200 outcomes of 3 symbols count, of 201 and 3"):
        effectiveness.figures(str(tmp_path), 201, 3)


def test_the_report_holds_the_figures_with_a_reach() -> None:
    report = effectiveness.measure(300, 3)
    reaches = {figure.name: str(figure.reach) for figure in report.figures if figure.reach is not None}
    assert reaches == {
        "rebuild": "<= 30",
        "memory": "<= 1024",
        "update": "<= 50",
        "update of one symbol": "<= 50",
        "look": "<= 1",
    }
    assert all(figure.value > 0 for figure in report.figures)
    assert "300 outcomes of 3 symbols" in report.notes[0]
