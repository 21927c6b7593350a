"""The status that a session writes at every verdict, and another process reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.book import load
from engine.reload.errors import ReloadError
from engine.reload.pipeline import Pipeline
from engine.reload.read import read_home
from engine.reload.status import Status, attempt_of, read_status, write_status
from tests.reload.homes import PROFILE, VALUES, make_home, values

STATUS = Status(
    profile=PROFILE, version="a", sources="b", generation=3, since_ms=5, process=7, origin="/rules", who="Ada"
)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [(values(20), "accepted"), (values(), "unchanged"), ("profile: live\n", "refused")],
)
def test_every_verdict_is_written_and_read_again(tmp_path: Path, text: str, verdict: str) -> None:
    home = make_home(tmp_path / "home")
    active = load(PROFILE, home)
    (home / VALUES).write_text(text)
    attempt = attempt_of(Pipeline(PROFILE).consider(read_home(home).files, active), 9)
    assert (attempt.verdict, attempt.at_ms) == (verdict, 9)
    assert attempt.timings_ms["load"] > 0
    assert bool(attempt.findings) == (verdict == "refused")
    with_attempt = Status(**{name: getattr(STATUS, name) for name in STATUS.__struct_fields__} | {"attempt": attempt})
    write_status(tmp_path / "logs", with_attempt)
    assert read_status(tmp_path / "logs") == with_attempt


def test_a_status_that_is_not_there_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ReloadError, match="sluice run"):
        read_status(tmp_path)


def test_a_status_that_is_none_is_said(tmp_path: Path) -> None:
    write_status(tmp_path, STATUS)
    (tmp_path / "reload/status.json").write_bytes(b'{"profile": 3}')
    with pytest.raises(ReloadError, match="cannot be read"):
        read_status(tmp_path)
