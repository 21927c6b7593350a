"""The rulebook as people read it, the last change, and the candidate beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.analysis.diff.structure import compare
from engine.analysis.show import overview, show
from engine.journal.events import CandidateMoved, ShadowDecided
from engine.reload.history import Entry, Span
from engine.reload.status import Attempt, Noted, Status
from engine.web.candidate import Candidates
from engine.web.pages.freshness import DETAILS, OLD_S, STATE, freshness, freshness_html, freshness_parts
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
from tests.journal.samples import probe
from tests.routing.written import NOW_MS, shipped, started
from tests.web.world import Clock, ListedSource, a_session, a_web

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
    assert shown.count("no key") == 1
    assert "goes on" not in attempt_html(Attempt(at_ms=NOW_MS, verdict="accepted", line="fine"))


def test_until_proofs_are_listed_those_of_the_reload_are_what_is_known(tmp_path: Path) -> None:
    live = a_web(tmp_path, a_session()).live

    def shown(verdict: str, version: str, line: str = "101 of 101 invariants proved; 12 ms") -> str:
        status = Status(
            profile="prod",
            version=BOOK.version,
            sources="s",
            generation=1,
            since_ms=NOW_MS,
            process=1,
            origin="files",
            attempt=Attempt(at_ms=NOW_MS, verdict=verdict, line=line, version=version),
        )
        return in_force_html(BOOK, live, status, None)

    assert "not known yet" not in shown("accepted", BOOK.version)
    assert "101 of 101 invariants proved when it was taken over" in shown("accepted", BOOK.version)
    assert "not known yet" in shown("accepted", "another")
    assert "not known yet" in shown("refused", BOOK.version)
    assert "not known yet" in shown("accepted", BOOK.version, "taken over")
    live.proofs = []
    assert "when it was taken over" not in shown("accepted", BOOK.version)


def test_a_candidate_is_counted_and_forgotten() -> None:
    candidates = Candidates()
    assert "No candidate" in candidate_html(candidates.current)
    candidates.see(CandidateMoved(ts_ms=NOW_MS, state="shadow", profile="prod", rulebook="c" * 16, reason="to see"))
    differing: dict[str, list[Any]] = {"route": ["taker", "maker"], "probe": [False, True]}
    for differs in (differing, {}):
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
    assert "1 of 2 decisions differ (50 %)" in shown
    assert "probe false → true" in shown
    assert "True" not in shown
    assert "routing.route" in shown
    assert "<b>BTC" not in shown
    candidates.see(CandidateMoved(ts_ms=NOW_MS, state="ended", profile="prod", rulebook="c" * 16))
    assert candidates.current is not None
    assert candidates.current.is_over
    candidates.see(started())
    assert candidates.current is None


def test_proofs_and_history_say_where_nobody_knows() -> None:
    assert "Nobody knows yet" in proofs_html(None)
    assert "not installed" in proofs_html(None, is_solver_there=False)
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
    assert "none was seen yet" in in_force_html(BOOK, a_web(tmp_path / "empty").live, None, None)
    assert "the session decides by prod" in in_force_html(shipped("testnet"), live, None, None)


@pytest.mark.parametrize(("quiet_s", "state"), [(0.5, "live"), (OLD_S + 1, "stale")])
def test_what_nobody_writes_looks_stale(tmp_path: Path, quiet_s: float, state: str) -> None:
    class Quiet(ListedSource):
        def quiet_s(self) -> float | None:
            return quiet_s

    live = a_web(tmp_path, source=Quiet(a_session())).live
    assert freshness(live).state == state
    assert f'class="{state}"' in freshness_parts(live)[STATE]
    assert freshness(a_web(tmp_path).live).state == "empty"


@pytest.mark.parametrize(
    ("gap_s", "quiet_s", "state"),
    [
        (0.2, 4.0, "live"),
        (0.2, 12.0, "quiet"),
        (0.2, 21.0, "stale"),
        (10.0, 45.0, "live"),
        (10.0, 55.0, "quiet"),
        (10.0, OLD_S + 1, "stale"),
        (60.0, OLD_S - 1, "live"),
        (60.0, OLD_S + 1, "stale"),
    ],
)
def test_how_long_is_quiet_rests_on_the_pace_of_the_journal(
    tmp_path: Path, gap_s: float, quiet_s: float, state: str
) -> None:
    class Quiet(ListedSource):
        def quiet_s(self) -> float | None:
            return quiet_s

    clock, source = Clock(), Quiet()
    live = a_web(tmp_path, source=source, clock=clock).live
    for number in range(1, 900):
        clock.now_s += gap_s
        source.events.append(msgspec.structs.replace(probe(), seq=number))
        live.poll()
    now = freshness(live)
    assert (now.state, state) == (state, now.state)
    assert any(each.startswith("for ") for each in now.details) == (state == "quiet")


def test_what_is_read_out_does_not_change_with_the_seconds(tmp_path: Path) -> None:
    class Quiet(ListedSource):
        waited_s = OLD_S + 1

        def quiet_s(self) -> float | None:
            return self.waited_s

    source = Quiet(a_session())
    live = a_web(tmp_path, source=source).live
    before = freshness_parts(live)
    source.waited_s += 60
    after = freshness_parts(live)
    assert after[STATE] == before[STATE]
    assert after[DETAILS] != before[DETAILS]
    line = freshness_html(after)
    assert line.count('role="status"') == 1
    assert line.index('role="status"') < line.index(STATE) < line.index("</span>") < line.index(DETAILS)
