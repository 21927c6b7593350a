"""Decisions as HTML: rows of the feed, the whole trace, the story, and what a hostile journal cannot do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine.analysis.explain import explain
from engine.home import shipped_home
from engine.journal.events import Routed
from engine.routing.evidence.rulebooks import Rulebooks
from engine.web.pages.decisions_html import (
    feed_html,
    feed_note,
    feed_row,
    missing_html,
    steps_html,
    story_html,
    why_not_html,
)
from engine.web.pages.head_html import head_html
from tests.routing.written import NOW_MS, intent_facts, marked_out, shipped, sound
from tests.web.world import a_session, a_web

EVENTS = a_session()
ROUTES = [event for event in EVENTS if isinstance(event, Routed)]


def test_a_row_says_what_and_why_and_opens_the_decision() -> None:
    row = feed_row(ROUTES[1])
    assert "▶</i> taker" in row
    assert "hard_<wbr>gates.<wbr>reduce_<wbr>only" in row
    assert "taker: " not in row
    assert 'datetime="2' in row
    assert f'href="/decisions/{ROUTES[1].decision_id}"' in row
    assert "exit" in row
    assert feed_html(ROUTES).count("<tr") == len(ROUTES) + 1


def test_a_row_names_its_intent_which_leads_to_its_decisions() -> None:
    assert 'href="/decisions?intent=exit-1" class="id">exit-1</a>' in feed_row(ROUTES[1])


def test_a_row_that_fell_back_says_why_and_not_what_was_asked_for() -> None:
    reason = "cross: working.ran_away (drift_bps 3.84 > max_drift_bps 3)"
    row = feed_row(msgspec.structs.replace(ROUTES[0], route="taker", event="fallback", reason=reason, vetoes=[]))
    assert "<small>fell back</small>" in row
    assert "cross: " not in row
    assert "working.<wbr>ran_<wbr>away" in row


def test_an_intent_that_was_refused_says_so() -> None:
    left = msgspec.structs.replace(ROUTES[0], route="none", vetoes=["entry_gates.halted"])
    failed = msgspec.structs.replace(left, event="submit_failed", vetoes=[])
    assert "<small>submit failed</small>" in feed_row(failed)
    assert "<small>refused</small>" in feed_row(left)
    assert "<small>too small</small>" in feed_row(msgspec.structs.replace(left, vetoes=[]))


def test_what_came_of_a_decision_stands_before_it_where_it_has_another_reason(tmp_path: Path) -> None:
    Rulebooks(tmp_path).load(shipped_home(), "prod")
    web = a_web(tmp_path, EVENTS)
    remade = web.live.kept.remake(ROUTES[1].decision_id, web.live.decided(ROUTES[1].decision_id))
    assert remade is not None
    too_small = msgspec.structs.replace(ROUTES[1], route="none", reason="admitted 0.1, less than one step", vetoes=[])
    shown = head_html(remade, [too_small])
    assert 0 < shown.index("less than one step") < shown.index("hard_gates.reduce_only")
    assert head_html(remade, [ROUTES[1]]) == head_html(remade)


def test_what_the_feed_does_not_show_is_counted() -> None:
    assert "<p" in feed_note()
    assert "decision" not in feed_note()
    assert "1 newer decision can be shown" in feed_note(waiting=1)
    assert "250 decisions came too fast" in feed_note(passed=250)
    assert "Nothing fits." in feed_html([], "Nothing fits.")


def test_a_hostile_journal_stays_text() -> None:
    bad = "<script>alert(1)</script>"
    routed = msgspec.structs.replace(
        ROUTES[0], symbol=bad, reason=bad, vetoes=[bad], intent_id=f'"{bad}', route=bad, event=bad
    )
    assert "<script>" not in feed_row(routed)
    assert "<script>" not in story_html([routed])


def test_the_trace_holds_every_step_rule_leaf_and_place() -> None:
    book = shipped("prod")
    facts = {"now": NOW_MS / 1000, "symbol": "BTCUSDT", "intent_id": "i", "intent": intent_facts(), **sound()}
    policy = book.policy("routing")
    facts = {
        name: held
        for name, held in facts.items()
        if name in {"now", "symbol", "intent_id", *(group.name for group in policy.groups)}
    }
    explained = explain(book, "routing", facts)
    trace = steps_html(explained, is_of_now=False)
    for step in explained.steps:
        assert f"<b>{step.ruleset}</b>" in trace
        for rule in step.rules:
            assert rule.rule in trace
            assert rule.at in trace
    assert "ack_latency_p50_ms" in trace
    assert "href" not in trace
    assert 'href="/rules/edit?file=rules/quality.yaml&amp;line=31"' in steps_html(explained)
    missing = missing_html(explained.missing)
    assert missing is not None
    assert "tuning.tuned_maker_first" in missing


def test_the_story_tells_the_time_since_the_first() -> None:
    told = story_html([event for event in EVENTS if getattr(event, "intent_id", None) == "entry-1"])
    assert "+0.000 s" in told
    assert "+5.000 s" in told
    assert "It is still open." not in told
    assert f"[{ROUTES[0].decision_id}]" not in told
    assert told.count(f'href="/decisions/{ROUTES[0].decision_id}"') == 2
    assert "this one" in story_html(EVENTS, ROUTES[0].decision_id)
    assert "Only the stories of the last intents" in story_html([])


def test_a_story_of_which_a_part_is_at_hand_says_so() -> None:
    whole = [event for event in EVENTS if getattr(event, "intent_id", None) == "entry-1"]
    assert "at hand" not in story_html(whole)
    assert "How it began is not at hand" in story_html(whole[1:])
    assert "More may have happened than is at hand" in story_html(whole, is_cut=True)


def test_a_story_of_which_a_part_is_at_hand_is_never_called_open() -> None:
    """The end may be among what is missing."""
    going_on = [event for event in EVENTS if getattr(event, "intent_id", None) == "entry-1"][:-1]
    assert "It is still open." in story_html(going_on)
    for part in (story_html(going_on[1:]), story_html([marked_out("entry-1")]), story_html(going_on, is_cut=True)):
        assert "It is still open." not in part
        assert "at hand" in part


def test_a_decision_that_differs_says_so_aloud(tmp_path: Path) -> None:
    Rulebooks(tmp_path).load(shipped_home(), "prod")
    web = a_web(tmp_path, EVENTS)
    remade = web.live.kept.remake(ROUTES[0].decision_id, web.live.decided(ROUTES[0].decision_id))
    assert remade is not None
    assert 'role="alert"' not in head_html(remade)
    assert "entry-1" in head_html(remade)
    assert 'role="alert"' in head_html(replace(remade, differs=("reason",)))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"wish": "route == maker", "already": True}, "route == maker already holds"),
        (
            {"wish": "w", "already": False, "facts": None, "parameters": None, "edit": None, "undecided": ["facts"]},
            "The solver gave up",
        ),
        (
            {
                "wish": "w",
                "already": False,
                "facts": [{"fact": "market.spread_bps", "before": 9.0, "cause": "", "after": 2.0}],
                "parameters": [{"parameter": "a"}],
                "edit": ["values:", "  a: {value: 1}"],
                "undecided": [],
            },
            "values:\n  a: {value: 1}",
        ),
        (
            {
                "wish": "w",
                "already": False,
                "facts": None,
                "edit": ["values:", "  a: {value: 1}"],
                "breaks": ["routing.strict", "routing.no_probes"],
                "undecided": [],
            },
            "This edit breaks what holds today: routing.strict, routing.no_probes",
        ),
    ],
)
def test_what_would_have_to_be_otherwise(found: dict[str, object], said: str) -> None:
    assert said in why_not_html(found)


def test_no_change_of_facts_says_what_was_not_asked_where_makers_waited() -> None:
    found = {"wish": "w", "already": False, "facts": None, "edit": None, "undecided": []}
    assert "did not ask" not in why_not_html(found)
    shown = why_not_html(found, ["hard_gates.breaker_open"])
    assert shown.index("which the policy <code>breaker</code> decided") < shown.index("No such change would do.")
