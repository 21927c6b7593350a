"""The status that a session writes at every verdict, and another process reads."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.book import load
from engine.language.findings import Finding, Severity, Span
from engine.reload.errors import ReloadError
from engine.reload.pipeline import Pipeline, Refused
from engine.reload.read import read_home
from engine.reload.status import Status, attempt_of, is_running, read_status, write_status
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


@pytest.mark.parametrize("process", [0, -1, 1 << 40])
def test_what_is_no_process_decides_nothing(process: int) -> None:
    assert not is_running(msgspec.structs.replace(STATUS, process=process))


def test_a_status_that_is_not_there_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ReloadError, match="sluice run"):
        read_status(tmp_path)


def test_a_status_that_is_none_is_said(tmp_path: Path) -> None:
    write_status(tmp_path, STATUS)
    (tmp_path / "reload/status.json").write_bytes(b'{"profile": 3}')
    with pytest.raises(ReloadError, match=r"cannot be read.*move `.*status.json` away"):
        read_status(tmp_path)


def test_findings_beyond_the_first_are_counted() -> None:
    found = tuple(
        Finding("yaml.syntax", Severity.ERROR, Span("rules/a.yaml", line, 1, line, 2), "no") for line in range(1, 24)
    )
    attempt = attempt_of(Refused(found, "load", {}), 9)
    assert (len(attempt.findings), attempt.more_findings) == (20, 3)
