"""Another value, tried on what was decided: counted beside today's, and refused where the loader refuses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.analysis.request import RequestError
from engine.home import shipped_home
from engine.language.findings import LoadError
from engine.language.types import ChoiceType, FlagType, NumberType
from engine.web.pages.what_if import past_decisions, read_value, tried, what_if, why_it_fails
from engine.web.pages.what_if_page import what_if_html
from tests.routing.written import shipped
from tests.web.world import a_session, write

BOOK = shipped("prod")
NAME = "quality.good_maker_fill_ratio"


def test_transitions_and_counts_stand_beside_todays(tmp_path: Path) -> None:
    write(tmp_path, a_session())
    past = past_decisions(tmp_path, "routing", 10)
    assert len(past) == 2
    found = what_if(BOOK, tried(BOOK, shipped_home(), NAME, 0.99, None), "routing", past)
    assert (found.decisions, found.changed, found.refused, found.since_journal) == (2, 2, 0, 0)
    assert found.transitions["route", "maker", "taker"] == 1
    now, then = found.counts["route"]
    assert (now["maker"], then["maker"]) == (1, 0)
    shown = what_if_html(found, "title")
    assert "2 of 2 decisions would be another (100 %)" in shown
    assert f'href="/decisions/{past[0].decision_id}"' in shown


def test_the_same_value_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, a_session())
    value = BOOK.rulebook.binding_of(None).values[NAME]
    found = what_if(
        BOOK, tried(BOOK, shipped_home(), NAME, value, None), "routing", past_decisions(tmp_path, "routing", 10)
    )
    assert (found.changed, found.examples) == (0, [])
    assert "Nothing would be another" in what_if_html(found, "title")


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
