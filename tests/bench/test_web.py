"""The benchmark of the dashboard on few decisions: it measures what it says."""

from __future__ import annotations

import pytest

from bench import web
from tests.web.browser import CHROMIUM


def test_every_figure_is_there() -> None:
    if CHROMIUM is None:
        pytest.skip("no browser: apt-get install chromium")
    report = web.measure(openings=1, busy_s=1.0, symbols=8)
    assert [figure.name for figure in report.figures] == [
        "first paint",
        "first paint, median opening",
        "8 symbols are there",
        "decision to page, p50",
        "decision to page, p99",
        "decision to page, the last ones",
        "decisions that never came",
    ]
    assert all(figure.value > 0 for figure in report.figures[:-1])
    assert report.figures[-1].value == 0
