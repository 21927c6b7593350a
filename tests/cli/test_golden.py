"""What people read: help and pages at 80 columns, kept as files whose diffs are reviewed."""

import pytest

from tests.cli.harness import CASES, GOLDEN, golden, sluice


@pytest.mark.parametrize("name", CASES)
def test_output_is_as_reviewed(name: str) -> None:
    reviewed = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert golden(name) == reviewed, "if this is meant: python -m tests.cli.update_golden, and read the diff"


def test_every_golden_file_has_a_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("name", [name for name in CASES if name != "decide_several"])
def test_pages_keep_to_the_width(name: str, columns: int) -> None:
    # Rows of `decide` that are piped stay on one line each, however long: other tools read them.
    lines = sluice(*CASES[name], columns=columns).output.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= columns


def test_a_wide_screen_is_used() -> None:
    for name in ("explain_taker", "explain_gaps", "check"):
        narrow, wide = sluice(*CASES[name]).output, sluice(*CASES[name], columns=160).output
        assert len(wide.splitlines()) < len(narrow.splitlines()), name
