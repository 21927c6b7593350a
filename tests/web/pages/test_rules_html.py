"""The rulebook as people read it, the last change, and the candidate beside it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.analysis.diff.structure import compare
from engine.analysis.show import overview, show
from engine.journal.events import CandidateMoved, ShadowDecided
from engine.reload.history import Entry, Span
from engine.reload.status import Attempt, Noted
from engine.web.candidate import Candidates
from engine.web.pages.freshness import OLD_S, freshness
from engine.web.pages.rules_html import (
    attempt_html,
    candidate_html,
    compare_html,
    history_html,
    in_force_html,
    policies_html,
    proofs_html,
    ruleset_html,
    values_html,
)
from engine.web.proving import Proof
from tests.routing.written import NOW_MS, shipped, started
from tests.web.world import ListedSource, a_session, a_web

BOOK = shipped("prod")


def test_every_policy_and_rule_set_can_be_read() -> None:
    view = overview(BOOK.rulebook)
    shown = policies_html(view)
    for policy in view.policies:
        assert f"policy {policy.name}" in shown
        for step in policy.steps:
            assert f'href="/rules/set/{step.ruleset}"' in shown
    for held in view.rulesets:
        seen = show(BOOK.rulebook, held.name).ruleset
        assert seen is not None
        whole = ruleset_html(BOOK.rulebook, seen)
        assert all(f"{held.name}.{rule}" in whole for rule in held.rules)


def test_a_value_says_every_place_that_gives_it() -> None:
    shown = values_html(show(shipped("testnet").rulebook, None).values or ())
    assert "/rules/edit?file=profiles/testnet.yaml" in shown
    assert "<s>" in shown
    assert "overridden" in shown


def test_profiles_stand_beside_each_other_with_differences_marked() -> None:
    a, b = BOOK.rulebook, shipped("testnet").rulebook
    structure = compare(a, b)
    only = compare_html(structure, a, b, only_differences=True)
    whole = compare_html(structure, a, b, only_differences=False)
    assert only.count("≠ differs") == len(structure.values)
    assert len(whole) > len(only)
    assert "They decide alike." in compare_html(compare(a, a), a, a, only_differences=True)


def test_a_refused_change_says_where_and_that_the_old_one_stays() -> None:
    found = Noted(code="shape.unknown_key", place="rules/quality.yaml:1:1", message="no key `x`", help="its keys are")
    shown = attempt_html(
        Attempt(at_ms=NOW_MS, verdict="refused", line="rules/quality.yaml:1:1: no key", findings=[found])
    )
    assert "/rules/edit?file=rules/quality.yaml&amp;line=1" in shown
    assert "The version before goes on deciding." in shown
    assert "goes on" not in attempt_html(Attempt(at_ms=NOW_MS, verdict="accepted", line="fine"))


def test_a_candidate_is_counted_and_forgotten() -> None:
    candidates = Candidates()
    assert "No candidate" in candidate_html(candidates.current)
    candidates.see(CandidateMoved(ts_ms=NOW_MS, state="shadow", profile="prod", rulebook="c" * 16, reason="to see"))
    for differs in ({"route": ["taker", "maker"]}, {}):
        candidates.see(
            ShadowDecided(
                ts_ms=NOW_MS,
                policy="routing",
                decision_id="d" * 24,
                intent_id="i",
                symbol="<b>BTC",
                rulebook="c" * 16,
                differs=differs,
                record=msgspec.Raw(b"{}"),
            )
        )
    shown = candidate_html(candidates.current)
    assert "1 of 2 decisions differ" in shown
    assert "routing.route" in shown
    assert "<b>BTC" not in shown
    candidates.see(CandidateMoved(ts_ms=NOW_MS, state="ended", profile="prod", rulebook="c" * 16))
    assert candidates.current is not None
    assert candidates.current.is_over
    candidates.see(started())
    assert candidates.current is None


def test_proofs_and_history_say_where_nobody_knows() -> None:
    assert "Nobody knows yet" in proofs_html(None)
    proof = Proof(policy="routing", id="p", text="t", at="policies/routing.yaml:3", status="undecided", why="too slow")
    proven = msgspec.structs.replace(proof, id="q", status="proven", why="")
    shown = proofs_html([proven, proof])
    assert shown.index("too slow") < shown.index("<code>q</code>")
    entry = Entry(at_ms=NOW_MS, how="reload", profile="prod", version="v1", sources="s", who="ann", changed="<i>")
    assert "<i>" not in history_html([Span(entry, None)])
    assert "No session" in history_html([])


def test_another_rulebook_than_the_sessions_is_said(tmp_path: Path) -> None:
    live = a_web(tmp_path, a_session()).live
    assert "the session decides by" not in in_force_html(BOOK, live, None, None)
    assert "the session decides by prod" in in_force_html(shipped("testnet"), live, None, None)


@pytest.mark.parametrize(("quiet_s", "state"), [(0.5, "live"), (OLD_S + 1, "stale")])
def test_what_nobody_writes_looks_stale(tmp_path: Path, quiet_s: float, state: str) -> None:
    class Quiet(ListedSource):
        def quiet_s(self) -> float | None:
            return quiet_s

    live = a_web(tmp_path, source=Quiet(a_session())).live
    assert freshness(live).state == state
    assert freshness(a_web(tmp_path).live).state == "empty"
