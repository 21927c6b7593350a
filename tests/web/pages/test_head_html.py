"""The head of a decision: what became of the order first, and which breaker made makers wait."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.analysis.explain import LeafLook, NestedLook, RuleLook, StepLook, explain
from engine.home import shipped_home
from engine.journal.events import Event, Routed, Worked
from engine.routing.evidence.rulebooks import Rulebooks
from engine.web.kept import Remade
from engine.web.pages.decisions_html import steps_html
from engine.web.pages.head_html import head_html, paused_html, paused_vetoes
from engine.web.pauses import Pauses
from tests.routing.written import BTC, NOW_MS, Written, ended, handed, intent_facts, route, shipped, sound
from tests.web.test_pauses import MOVES
from tests.web.world import a_session, a_web

RAN_AWAY = "cross: working.ran_away (drift_bps 3.84 > max_drift_bps 3)"


def crossed(decision_id: str) -> Worked:
    return Worked(
        ts_ms=NOW_MS + 2000,
        intent_id="entry-1",
        client_id="entry-1-1",
        action="cross",
        reason=RAN_AWAY,
        decision_id=decision_id,
    )


def fallen() -> tuple[Written, Routed]:
    """An order that rested, ran away and was crossed."""
    journal = Written()
    made = route(journal, "entry-1")
    journal.add(msgspec.structs.replace(crossed("a" * 24), action="reprice"))
    journal.add(crossed("b" * 24))
    journal.add(
        msgspec.structs.replace(made, seq=0, ts_ms=NOW_MS + 2000, route="taker", reason=RAN_AWAY, event="fallback")
    )
    return journal, made


@pytest.fixture
def remade(tmp_path: Path) -> Remade:
    Rulebooks(tmp_path).load(shipped_home(), "prod")
    live = a_web(tmp_path, a_session()).live
    (decision_id,) = [event.decision_id for event in live.routes if event.intent_id == "entry-1"]
    found = live.kept.remake(decision_id, live.decided(decision_id))
    assert found is not None
    return found


def test_a_maker_that_fell_back_is_a_taker_first_with_the_decision_that_made_it_one(remade: Remade) -> None:
    journal, made = fallen()
    assert made.decision_id == remade.record["decision_id"]
    ended(journal, "entry-1", reason="filled", maker_filled=Decimal(0))
    head = head_html(remade, journal.events)
    became, first = head.index("What became of the order"), head.index("What was decided at first")
    told = head.index("taker</span>: fell back, working.ran_away (drift_bps 3.84 &gt; max_drift_bps 3)")
    assert became < told < first < head.index("no veto")
    assert f'href="/decisions/{"b" * 24}"' in head[became:first]
    assert "a" * 24 not in head
    assert "In the end: filled" in head[became:first]


def test_the_last_change_stands_first(remade: Remade) -> None:
    journal, made = fallen()
    refused = "the venue refused it: -2022 ReduceOnly Order is rejected."
    journal.add(msgspec.structs.replace(made, seq=0, route="taker", reason=refused, event="send_failed"))
    head = head_html(remade, journal.events)
    assert head.index(f"send failed, {refused}") < head.index("fell back") < head.index("What was decided at first")


def test_an_order_that_is_what_was_decided_has_no_other_headline(remade: Remade) -> None:
    journal, made = fallen()
    other: list[Event] = [
        msgspec.structs.replace(event, decision_id="c" * 24) if isinstance(event, Routed) else event
        for event in journal.events
    ]
    assert "What became" not in head_html(remade, [made])
    assert "What became" not in head_html(remade, other), "another decision on the same intent"
    assert 'href="/decisions?intent=entry-1"' in head_html(remade)


def left(remade: Remade, reason: str, vetoes: list[str], **more: object) -> Routed:
    """What a journal says next of the intent, under the id of the decision to admit it."""
    seq = remade.event.seq + 1
    made = route(Written(), "entry-1")
    changed = msgspec.structs.replace(made, seq=seq, route="none", reason=reason, vetoes=vetoes, decision_id="d" * 24)
    return msgspec.structs.replace(changed, **more)


def test_a_routing_decision_that_admission_refused_begins_with_that(remade: Remade) -> None:
    refused = left(
        remade, "not admit: entry_gates.nav_missing (nav_usd (absent) is missing)", ["entry_gates.nav_missing"]
    )
    head = head_html(remade, [refused])
    said = head.index("nothing was sent</span>: refused by entry_gates.nav_missing (nav_usd (absent) is missing)")
    assert head.index("What became of the order") < said < head.index("What was decided at first")
    assert f'href="/decisions/{"d" * 24}"' in head[said:]


def test_a_decision_on_what_the_venue_would_not_take_begins_with_that(remade: Remade) -> None:
    small = "admitted 0.1, less than one step of 1"
    for event in (left(remade, small, []), left(remade, small, [], decision_id=remade.record["decision_id"])):
        head = head_html(remade, [event])
        said = head.index(f"nothing was sent</span>: too small for the venue, {small}")
        assert head.index("What became of the order") < said < head.index("What was decided at first")
        assert ("the decision of admission" in head) is (event.decision_id == "d" * 24)
    sideless = left(remade, "it names no side", [], side=None)
    assert "nothing was sent</span>: it names no side" in head_html(remade, [sideless])


def test_what_an_earlier_decision_on_the_intent_came_to_is_not_told_of_this_one(remade: Remade) -> None:
    before = left(remade, "admitted 0.1, less than one step", [], seq=remade.event.seq - 1)
    after = left(remade, "maker: no veto", [], route="maker", event="decided_again")
    assert "nothing was sent" not in head_html(remade, [before, after])


def test_a_condition_on_a_missing_fact_that_a_rule_matched_on_is_said_to_count_as_true(remade: Remade) -> None:
    assert "counts as true" not in head_html(remade)
    book = shipped("prod")
    intent = {name: held for name, held in intent_facts().items() if name != "reduce_only"}
    facts = {"now": NOW_MS / 1000, "symbol": BTC, "intent_id": "i", "intent": intent, **sound()}
    explained = explain(book, "routing", handed(book, "routing", facts))
    head = head_html(replace(remade, explanation=explained))
    assert head.count("<code>reduce_only (absent)</code> is unknown: counts as true here") == 1
    steps = steps_html(explained)
    gate = steps[steps.index("<b>hard_gates.reduce_only</b>") :]
    assert 'reduce_only (absent)<span class="soft"> unknown: counts as true here' in gate
    assert steps.count("counts as true here") == gate.count("counts as true here") < steps.count(">unknown<")


# --- why makers waited -----------------------------------------------------------------------------------------------


def test_a_veto_that_rests_on_a_pause_is_told_from_others() -> None:
    book = shipped("prod")

    def vetoes(*, is_paused: bool | None) -> list[str]:
        groups = sound(windows={"maker_paused": is_paused})
        facts = {"now": NOW_MS / 1000, "symbol": BTC, "intent_id": "i", "intent": intent_facts(), **groups}
        return paused_vetoes(explain(book, "routing", handed(book, "routing", facts)))

    assert vetoes(is_paused=True) == ["hard_gates.breaker_open"]
    assert vetoes(is_paused=False) == []


def test_a_rule_that_fired_for_something_else_rests_on_no_pause() -> None:
    def leaf(when: str, *, triggered: bool) -> LeafLook:
        return LeafLook(when=when, shown=when, truth="true", triggered=triggered, saw={})

    def vetoes(*, is_pause: bool) -> list[str]:
        leaves = leaf("bid is missing", triggered=not is_pause), leaf("maker_paused", triggered=is_pause)
        rule = RuleLook("gates.any", "r.yaml:1", "", "matched", NestedLook("any", "true", leaves), ())
        step = StepLook("gates", "veto", {}, (rule,), {})
        book = shipped("prod")
        facts = handed(book, "routing", {"now": 1.0, "symbol": BTC, "intent_id": "i", **sound()})
        return paused_vetoes(replace(explain(book, "routing", facts), steps=(step,)))

    assert vetoes(is_pause=True) == ["gates.any"]
    assert vetoes(is_pause=False) == []


def seen() -> Pauses:
    pauses = Pauses()
    for move in MOVES:
        pauses.see(move)
    return pauses


def test_the_breaker_is_told_with_its_rule_its_values_and_its_times() -> None:
    shown = paused_html(seen().before(BTC, 3), NOW_MS + 3500, shipped("prod"), BTC)
    assert "open</span> breaker of BTCUSDT: since 11:40:02.000 UTC, 1.5 s before" in shown
    assert 'href="/rules/set/breaker"' in shown
    assert "(fallbacks_in_a_row 3 &gt;= open_at_fallbacks 3)" in shown
    assert "until 11:40:04.000 UTC, when it went half open by " in shown
    assert "maker_paused</code> is what the policy" in shown
    assert "venue" not in shown


def test_one_that_is_still_open_says_when_it_may_be_over_by_the_rulebook_that_decided() -> None:
    (venue,) = seen().before(BTC, 13)
    open_s = shipped("prod").rulebook.binding_of(None).values["breaker.open_s"]
    shown = paused_html([venue], NOW_MS + 13_000, shipped("prod"), BTC)
    assert "breaker of the venue, for all symbols: since 11:40:08.000 UTC" in shown
    assert f"at the earliest (breaker.open_s {open_s:g} s)" in shown
    assert "at the earliest" not in paused_html([venue], NOW_MS + 13_000, None, BTC)


def test_one_that_is_half_open_made_makers_wait_for_its_trial_where_no_other_made_them() -> None:
    own, venue = seen().before(BTC, 11)
    assert own.now.state == "half_open"
    assert "before, its trial on the way" in paused_html([own], NOW_MS + 11_000, None, BTC)
    assert "its trial on the way" not in paused_html([own, venue], NOW_MS + 11_000, None, BTC)


def test_how_it_came_to_it_goes_back_to_when_it_was_closed() -> None:
    own, _ = seen().before(BTC, 9)
    shown = paused_html([own], NOW_MS + 9000, None, BTC)
    assert shown.index("closed → open by") < shown.index("open → half open by") < shown.index("half open → open by")
    assert "does not say" in paused_html([], NOW_MS, None, BTC)
