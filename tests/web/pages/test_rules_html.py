"""The rulebook as people read it, the last change, and the candidate beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.analysis.diff.structure import compare
from engine.analysis.show import overview, show
from engine.book import Book
from engine.journal.events import CandidateMoved, Event, RulebookLoaded, SessionEnded, ShadowDecided
from engine.reload.history import Entry, Span
from engine.reload.status import Attempt, Noted, Status, Unavailable
from engine.routing.sessions.tried import Tried, candidate_status
from engine.web.candidate import Candidates
from engine.web.live import Live
from engine.web.pages.freshness import DETAILS, OLD_S, STATE, freshness, freshness_html, freshness_parts
from engine.web.pages.markup import clock
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
    live.prove(live.book, [])
    assert "when it was taken over" not in shown("accepted", BOOK.version)


def status_of(book: Book, **changes: Any) -> Status:
    made = Status(
        profile=book.profile,
        version=book.version,
        sources="s",
        generation=1,
        since_ms=NOW_MS,
        process=1,
        origin="/home/of/files",
        who="ann",
    )
    return msgspec.structs.replace(made, **changes)


def test_a_home_that_is_gone_is_said_while_a_session_runs(tmp_path: Path) -> None:
    live = a_web(tmp_path, a_session()).live
    gone = Unavailable(what="`/home/of/files/rules` is gone", help="put it back", since_ms=NOW_MS)
    shown = in_force_html(BOOK, live, status_of(BOOK, unavailable=gone), None)
    assert "`/home/of/files/rules` is gone (since 2" in shown
    assert "is gone" not in in_force_html(BOOK, live, status_of(BOOK, unavailable=gone, ended_ms=NOW_MS), None)


def test_what_no_disk_took_is_said_also_after_the_end(tmp_path: Path) -> None:
    live = a_web(tmp_path, a_session()).live
    assert "not on disk" not in in_force_html(BOOK, live, status_of(BOOK), None)
    for ended_ms in (None, NOW_MS):
        status = status_of(BOOK, unwritten="`<i>history`: no space left on device", ended_ms=ended_ms)
        shown = in_force_html(BOOK, live, status, None)
        assert "<dt>not on disk</dt>" in shown
        assert "a later start will not know all of this: `&lt;i&gt;history`: no space left on device" in shown


def test_what_a_status_says_of_another_rulebook_is_not_told_of_this_one(tmp_path: Path) -> None:
    live = a_web(tmp_path, a_session()).live
    ours = in_force_html(BOOK, live, status_of(BOOK, last_good=True, watching="no more watches"), None)
    assert all(told in ours for told in ("/home/of/files", "ann", "last good rulebook", "no more watches"))
    others = in_force_html(BOOK, live, status_of(shipped("testnet"), last_good=True), None)
    assert not [told for told in ("/home/of/files", "ann", "last good rulebook") if told in others]
    assert f"is of testnet {shipped('testnet').version}, which is not in force here" in others
    over = in_force_html(BOOK, live, status_of(BOOK, watching="no more watches", ended_ms=NOW_MS), None)
    assert "no more watches" not in over


def test_a_session_whose_start_was_not_read_is_not_said_to_be_none(tmp_path: Path) -> None:
    live = a_web(tmp_path, a_session()[1:]).live
    shown = in_force_html(BOOK, live, None, None)
    assert "none was seen yet" not in shown
    assert "its start was not found in the journal" in shown


def beside(policy: str, **differs: list[Any]) -> ShadowDecided:
    return ShadowDecided(
        ts_ms=NOW_MS + 3_600_000,
        policy=policy,
        decision_id="d" * 24,
        intent_id="i",
        symbol="<b>BTC",
        rulebook="c" * 16,
        differs=differs,
        record=msgspec.Raw(b"{}"),
    )


def test_what_a_candidate_would_decide_otherwise_is_counted_as_the_status_counts_it() -> None:
    """Of intents, and not of the decisions on them; each name that differs, numbers too."""
    events: list[Event] = [
        CandidateMoved(ts_ms=NOW_MS, state="shadow", profile="prod", rulebook="c" * 16),
        *(beside("admission") for _ in range(4)),
        beside("routing", route=["taker", "maker"], bias=[0.5, 0.25]),
        beside("routing", bias=[0.5, 0.75]),
        beside("routing", route=["taker", "maker"], quality=["ok", None], offset_bps=[1.5, None]),
        beside("routing"),
        beside("admission", admitted_qty=[0.5, 0.25]),
    ]
    candidates, tried = Candidates(), Tried()
    for event in events:
        candidates.see(event)
        tried.see(event)
    status = candidate_status(tried)
    assert status is not None
    assert (status.facts["decided_beside"], status.facts["route_change_share"]) == (4, 0.5)
    assert candidates.current is not None
    assert dict(candidates.current.found.by_name) == status.by_name
    shown = candidate_html(candidates.current)
    assert "of 4 intents decided by both 2 routed otherwise (50 %), 1 admitted otherwise (25 %)" in shown
    for name, times in status.by_name.items():
        assert f"<code>{name}</code>" in shown
        assert times == sum(
            [*candidates.current.transitions.get(name, {}).values()]
            + [moved.times for held, moved in candidates.current.numbers.items() if held == name]
        )
    assert "0.500 on average" in shown
    candidates.see(RulebookLoaded(ts_ms=NOW_MS, profile="prod", rulebook="v2", sources="s", previous="v1"))
    assert "no intent was decided by both yet" in candidate_html(candidates.current)
    assert not candidates.current.examples


def test_a_candidate_is_counted_and_forgotten() -> None:
    candidates = Candidates()
    assert "No candidate" in candidate_html(candidates.current)
    candidates.see(CandidateMoved(ts_ms=NOW_MS, state="shadow", profile="prod", rulebook="c" * 16, reason="to see"))
    differing: dict[str, list[Any]] = {"route": ["taker", "maker"], "probe": [False, True]}
    for differs in (differing, {}):
        candidates.see(beside("routing", **differs))
    shown = candidate_html(candidates.current)
    assert "of 2 intents decided by both 1 routed otherwise (50 %), 0 admitted otherwise (0 %)" in shown
    since, compared = (f"{clock(NOW_MS + ms, dated=True)} UTC" for ms in (0, 3_600_000))
    assert f"since {since}, compared from {compared} on" in shown  # what was tried before was not read back
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


@pytest.mark.parametrize("session_ended", [False, True])
def test_what_cannot_be_read_looks_stale_however_lately_it_was_written(tmp_path: Path, *, session_ended: bool) -> None:
    """The file is written to, and the snapshot is as old as the last event: neither says that nothing is read."""
    events = a_session()
    if session_ended:
        events.append(SessionEnded(ts_ms=NOW_MS + 9000, seq=events[-1].seq + 1, reason="market_ended"))
    source = ListedSource(events)
    live = a_web(tmp_path, source=source).live
    assert freshness(live).state == ("ended" if session_ended else "live")
    source.failure = "permission denied"
    now = freshness(live)
    assert (now.state, now.says) == ("stale", "stale: the journal cannot be read: permission denied")
    source.failure = None
    assert freshness(live).state == ("ended" if session_ended else "live")


def test_a_journal_that_could_never_be_read_is_no_empty_one(tmp_path: Path) -> None:
    source = ListedSource()
    source.failure = "permission denied"
    assert freshness(a_web(tmp_path, source=source).live).says == "stale: the journal cannot be read: permission denied"


def test_a_model_that_is_far_behind_the_journal_looks_stale(tmp_path: Path) -> None:
    class Behind(ListedSource):
        unread = 2_000

        def unread_bytes(self) -> int:
            return self.unread

    source = Behind(a_session())
    live = a_web(tmp_path, source=source).live
    assert freshness(live).state == "live"
    source.unread = 2_000_000
    assert freshness(live).says == "stale: the journal is not read to its end"


def test_while_a_journal_is_read_from_its_backlog_nothing_looks_like_now(tmp_path: Path) -> None:
    events = a_session()
    live = Live(BOOK, tmp_path, ListedSource(events, old=len(events)))
    live.poll(len(events) - 1)
    assert freshness(live).says == "stale: the journal is being read"
    live.poll()
    assert freshness(live).state == "live"


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
