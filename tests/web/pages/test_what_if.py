"""Another value, tried on what was decided: counted beside today's, and refused where the loader refuses it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.analysis.request import RequestError
from engine.home import shipped_home
from engine.journal.events import Routed
from engine.language.findings import LoadError
from engine.language.types import ChoiceType, FlagType, NumberType
from engine.routing.evidence.report import Report
from engine.web.pages.what_if import (
    AGAIN,
    ANOTHER_NOW,
    NOT_ROUTED,
    UNFINISHED,
    past_decisions,
    read_value,
    tried,
    what_if,
    why_it_fails,
)
from engine.web.pages.what_if_page import what_if_html
from tests.routing.written import Written, route, shipped, started
from tests.web.busy import a_busy_session
from tests.web.world import a_session, write

BOOK = shipped("prod")
NAME = "quality.good_maker_fill_ratio"


def test_transitions_and_counts_stand_beside_todays(tmp_path: Path) -> None:
    write(tmp_path, a_session())
    past = past_decisions(tmp_path, "routing", 10)
    assert (len(past.decisions), past.left_out) == (2, {})
    found = what_if(BOOK, tried(BOOK, shipped_home(), NAME, 0.99, None), "routing", past)
    assert (found.decisions, found.changed, found.left_out) == (2, 2, {})
    assert found.transitions["route", "maker", "taker"] == 1
    now, then = found.counts["route"]
    assert (now["maker"], then["maker"]) == (1, 0)
    shown = what_if_html(found, "title")
    assert "2 of 2 decisions would be another (100 %)" in shown
    assert f'href="/decisions/{past.decisions[0].decision_id}"' in shown


def test_the_same_value_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, a_session())
    value = BOOK.rulebook.binding_of(None).values[NAME]
    found = what_if(
        BOOK, tried(BOOK, shipped_home(), NAME, value, None), "routing", past_decisions(tmp_path, "routing", 10)
    )
    assert (found.changed, list(found.examples)) == (0, [])
    assert "Nothing would be another" in what_if_html(found, "title")


def test_now_is_what_was_journaled_and_what_was_never_routed_is_left_out(tmp_path: Path) -> None:
    """As the page of vetoes and the report count, whatever routing would have made of an intent that was refused."""
    events = a_busy_session(120)
    write(tmp_path, events)
    past = past_decisions(tmp_path, "routing", 1_000)
    found = what_if(BOOK, tried(BOOK, shipped_home(), NAME, 0.99, None), "routing", past)
    report = Report.of(events)
    assert dict(found.counts["route"][0]) == dict(report.routed)
    assert found.left_out == {NOT_ROUTED: report.left.total()}
    assert found.decisions + report.left.total() == 120
    assert f"left out: {report.left.total()} of intents that were refused or too small" in what_if_html(found, "title")
    assert len(past_decisions(tmp_path, "admission", 1_000).decisions) == 120


def test_what_is_left_out_is_of_the_same_time(tmp_path: Path) -> None:
    write(tmp_path, a_busy_session(120))
    past, whole = (past_decisions(tmp_path, "routing", count) for count in (20, 1_000))
    assert past.decisions == whole.decisions[-20:]
    assert 0 < past.left_out[NOT_ROUTED] < whole.left_out[NOT_ROUTED]


def test_a_decision_made_again_or_not_to_its_end_is_left_out(tmp_path: Path) -> None:
    journal = Written()
    journal.add(started())
    route(journal, "again")
    for event in journal.events[-2:]:  # the same decision, and its route, a second time
        is_route = isinstance(event, Routed)
        journal.add(msgspec.structs.replace(event, event="decided_again") if is_route else event)
    route(journal, "killed")
    journal.events.pop()  # its route
    write(tmp_path, journal.events)
    past = past_decisions(tmp_path, "routing", 10)
    assert (len(past.decisions), past.left_out) == (1, {AGAIN: 1, UNFINISHED: 1})


def test_what_another_rulebook_decided_is_left_out(tmp_path: Path) -> None:
    """Else a change of the rulebook would be shown as one of the value."""
    write(tmp_path, a_session())
    past = past_decisions(tmp_path, "routing", 10)
    changed = tried(BOOK, shipped_home(), NAME, 0.99, None)
    found = what_if(changed, changed, "routing", past)
    assert (found.decisions, found.left_out) == (0, {ANOTHER_NOW: 2})
    shown = what_if_html(found, "title")
    assert "No decision can be compared" in shown
    assert "left out: 2 that the rulebook in force makes otherwise" in shown


def test_what_a_rule_set_requires_holds_for_what_is_tried() -> None:
    with pytest.raises(LoadError) as caught:
        tried(BOOK, shipped_home(), "quality.good_fallback_ratio", 0.99, None)
    assert "good_fallback_ratio" in why_it_fails(caught.value)


def test_a_parameter_that_is_not_declared_is_refused() -> None:
    with pytest.raises(RequestError, match="no parameter"):
        tried(BOOK, shipped_home(), "no.such", 1.0, None)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (NumberType("bps", 0, 10), "11"),
        (NumberType("bps", 0, 10), "nan"),
        (NumberType("bps", 0, 10), "x"),
        (FlagType(), "yes"),
        (ChoiceType(("a", "b"), ordered=False), "c"),
    ],
)
def test_a_value_of_another_kind_is_refused(kind: NumberType | FlagType | ChoiceType, text: str) -> None:
    with pytest.raises(RequestError):
        read_value(kind, text)


def test_no_decision_yet(tmp_path: Path) -> None:
    found = what_if(BOOK, BOOK, "routing", past_decisions(tmp_path, "routing", 10))
    assert "holds no decision" in what_if_html(found, "title")
