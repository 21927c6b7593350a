"""Trouble with the rules in a line: nothing where all is well, and what a file says stays text."""

from __future__ import annotations

import msgspec
import pytest

from engine.reload.status import Attempt, Noted, Status, Unavailable
from engine.web.pages.trouble_html import trouble_html, troubles

WELL = Status(profile="prod", version="v", sources="s", generation=1, since_ms=0, process=1, origin="home")
FOUND = Noted(code="shape", place="rules/quality.yaml:1:1", message="rule set has no key `<b>`", help="")
REFUSED = Attempt(at_ms=0, verdict="refused", line="the first line", findings=[FOUND])


def test_all_is_well() -> None:
    accepted = Attempt(at_ms=0, verdict="accepted", line="taken over")
    for status in (None, WELL, msgspec.structs.replace(WELL, attempt=accepted)):
        assert troubles(status) == []
        assert "href" not in trouble_html(status)


def test_a_refused_change_is_told_with_its_first_finding_and_the_way_to_the_rules() -> None:
    shown = trouble_html(msgspec.structs.replace(WELL, attempt=REFUSED))
    assert "rules: the last change was refused: rules/quality.yaml:1:1: rule set has no key `&lt;b&gt;`" in shown
    assert 'href="/rules"' in shown
    assert "▲" in shown
    bare = msgspec.structs.replace(REFUSED, findings=[], line="x" * 500)
    assert len(trouble_html(msgspec.structs.replace(WELL, attempt=bare))) < 500


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"watching": "no inotify"}, "changes are noticed late or not at all: no inotify"),
        ({"unwritten": "disk full"}, "not all is on disk: disk full"),
        ({"last_good": True}, "the last good rulebook stands in for what was refused"),
        ({"unavailable": Unavailable(what="the home is gone", help="", since_ms=0)}, "to be had: the home is gone"),
    ],
)
def test_what_a_session_is_troubled_by_counts_while_it_runs(changed: dict[str, object], said: str) -> None:
    status = msgspec.structs.replace(WELL, **changed)
    assert said in trouble_html(status)
    assert troubles(msgspec.structs.replace(status, ended_ms=1)) == []
    assert len(troubles(msgspec.structs.replace(status, attempt=REFUSED))) == 2
