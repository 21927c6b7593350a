"""What `sluice status` and `sluice history` print, on narrow and on wide screens."""

from __future__ import annotations

import dataclasses
import io
import os

import pytest
from msgspec.structs import replace
from rich.console import Console

from engine.reload.history import Entry, How, Span
from engine.reload.pages import print_history, print_status
from engine.reload.status import Attempt, CandidateStatus, Noted, Status, Unavailable

NOW_MS = 1_723_116_000_000  # 2024-08-08 11:20:00 UTC
FINDING = Noted(
    code="shape.unknown_key",
    place="profiles/testnet.yaml:10:33",
    message="value has no key `valu`",
    help="did you mean `value`?",
)
STATUS = Status(
    profile="testnet",
    version="1398b602d8d6de8c",
    sources="0a56fdee474c3346",
    generation=3,
    since_ms=NOW_MS - 700_000,
    how="rollback",
    process=os.getpid(),
    origin="https://rules.example/testnet.json",
    who="Ada",
    sequence=6,
    confirmed_ms=NOW_MS - 12_000,
    watching="no more watches",
    unwritten="`logs/reload/history.jsonl` cannot be written: no space left on device",
    attempt=Attempt(
        at_ms=NOW_MS - 2_500,
        verdict="refused",
        line="profiles/testnet.yaml:10:33: value has no key `valu` [shape.unknown_key]",
        timings_ms={"load": 8.84},
        findings=[FINDING],
    ),
    candidate=CandidateStatus(
        state="shadow",
        profile="testnet",
        version="6372c847890d3173",
        facts={"decided_beside": 119.0},
        by_name={"routing.keep_reduce_only": 6},
        by_rule={"reduce_only_flag.otherwise": 6},
        examples=["SOLUSDT-000550 (SOLUSDT): routing.keep_reduce_only false → true"],
    ),
)

STATUS_80 = """\
testnet 1398b602d8d6de8c decides
since        2024-08-08 11:08:20 UTC (12 min ago): rollback, by Ada
from         https://rules.example/testnet.json, bundle 6, confirmed 12 s ago
WARNING      changes or requests may go unnoticed: no more watches
WARNING      a later start will not know all of this:
             `logs/reload/history.jsonl` cannot be written: no space left on
             device
last change  refused 2.5 s ago
             profiles/testnet.yaml:10:33: value has no key `valu`
               [shape.unknown_key]
               did you mean `value`?
took (ms)    load 8.84
candidate    testnet 6372c847890d3173 is tried beside it
             decided_beside 119
otherwise    routing.keep_reduce_only 6
by rule      reduce_only_flag.otherwise 6
             for example SOLUSDT-000550 (SOLUSDT): routing.keep_reduce_only
             false → true
"""


@pytest.fixture
def console(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return Console(file=io.StringIO(), width=request.param)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("console", [80], indirect=True)
def test_a_status_says_what_decides_and_what_is_wrong(console: Console) -> None:
    print_status(console, STATUS, NOW_MS)
    assert printed(console) == STATUS_80


FAILING = Unavailable(
    what="`https://rules.example/testnet.json` answers 500",
    help="what runs goes on; it is asked again later",
    since_ms=NOW_MS - 700_000,
    times=9,
    next_ms=NOW_MS + 130_000,
)


@pytest.mark.parametrize("console", [80], indirect=True)
def test_an_address_that_fails_says_since_when_how_often_and_when_it_is_asked_again(console: Console) -> None:
    print_status(console, replace(STATUS, unavailable=FAILING), NOW_MS)
    assert """
WARNING      `https://rules.example/testnet.json` answers 500
             9 times in a row, since 2024-08-08 11:08:20 UTC (12 min ago); asked
             again in 130 s
             what runs goes on; it is asked again later
""" in printed(console)


@pytest.mark.parametrize("console", [80], indirect=True)
def test_after_a_rollback_it_is_said_that_the_files_hold_another_version(console: Console) -> None:
    rolled_back = replace(
        STATUS,
        origin="/desk/rules",
        came_from="git:offsets:testnet",
        offered="77ac0ffee77ac0ff",
        attempt=Attempt(at_ms=NOW_MS, verdict="unchanged", line="it is what decided already"),
        sequence=None,
        confirmed_ms=None,
    )
    print_status(console, rolled_back, NOW_MS)
    assert """
from         git:offsets:testnet
files        /desk/rules: another version, 77ac0ffee77ac0ff; the next change or
             start goes by them
""" in printed(console)


@pytest.mark.parametrize("console", [160], indirect=True)
def test_where_the_files_hold_what_decides_only_its_origin_is_said(console: Console) -> None:
    print_status(console, replace(STATUS, offered=STATUS.version), NOW_MS)
    assert "another version" not in printed(console)
    assert "address" not in printed(console)


@pytest.mark.parametrize(("gate", "told"), [("proofs", "gate         proofs\n"), ("none", "are not proved, and new")])
@pytest.mark.parametrize("console", [80], indirect=True)
def test_the_gate_is_said_with_what_it_leaves_unproved(console: Console, gate: str, told: str) -> None:
    print_status(console, replace(STATUS, gate=gate), NOW_MS)
    assert told in printed(console)


@pytest.mark.parametrize("console", [80], indirect=True)
def test_findings_that_are_not_listed_are_counted(console: Console) -> None:
    assert STATUS.attempt is not None
    print_status(console, replace(STATUS, attempt=replace(STATUS.attempt, more_findings=146)), NOW_MS)
    assert "             … and 146 more: `sluice check` lists them\n" in printed(console)


@pytest.mark.parametrize("console", [160], indirect=True)
def test_a_candidate_that_was_taken_back_says_when_and_by_which_limit(console: Console) -> None:
    reason = "guards.costs_too_much (rollout_cost_bps 12.3 > max_cost_bps 10) at rules/guards.yaml:19"
    candidate = CandidateStatus(
        state="returned", profile="testnet", version="6372c847890d3173", reason=reason, since_ms=NOW_MS - 240_000
    )
    print_status(console, replace(STATUS, candidate=candidate), NOW_MS)
    assert f"testnet 6372c847890d3173 was taken back (4 min ago): {reason}\n" in printed(console)


@pytest.mark.parametrize("console", [160], indirect=True)
def test_nobody_asks_the_address_again_once_the_session_is_over(console: Console) -> None:
    print_status(console, replace(STATUS, unavailable=FAILING, ended_ms=NOW_MS), NOW_MS)
    told = printed(console)
    assert FAILING.what in told
    assert "asked again" not in told


@pytest.mark.parametrize("console", [160], indirect=True)
@pytest.mark.parametrize(
    ("origin", "passed_over", "told"),
    [
        ("/rules", "", "the files were refused at the start: this is the last good rulebook"),
        (STATUS.origin, "", "the address gave nothing that may decide at the start: this is the last good rulebook"),
        (STATUS.origin, "the last good one (ab) came in none", "the last good one (ab) came in none: one from before"),
    ],
)
def test_it_is_said_what_another_rulebook_stands_in_for(
    console: Console, origin: str, passed_over: str, told: str
) -> None:
    print_status(console, replace(STATUS, origin=origin, last_good=True, passed_over=passed_over), NOW_MS)
    assert told in printed(console)


@pytest.mark.parametrize("console", [160], indirect=True)
def test_what_a_proof_took_back_is_named_with_how_long_it_decided(console: Console) -> None:
    assert STATUS.attempt is not None
    attempt = replace(STATUS.attempt, taken_back="ab decided for 2.1 s, and was taken back")
    print_status(console, replace(STATUS, attempt=attempt), NOW_MS)
    assert "last change  refused 2.5 s ago: ab decided for 2.1 s, and was taken back\n" in printed(console)


@pytest.mark.parametrize("console", [160], indirect=True)
def test_on_a_wide_screen_each_thing_is_one_line(console: Console) -> None:
    print_status(console, STATUS, NOW_MS)
    assert len(printed(console).splitlines()) == len(STATUS_80.splitlines()) - 4


def span(at_s: int, version: str, how: How, changed: str, decisions: int | None, until_s: int | None) -> Span:
    entry = Entry(
        at_ms=NOW_MS + at_s * 1000,
        how=how,
        profile="testnet",
        version=version * 8,
        sources="s",
        who="Ada",
        changed=changed,
    )
    return Span(entry, None if until_s is None else NOW_MS + until_s * 1000, decisions)


SPANS = [
    span(0, "b0", "start", "", None, 42),
    dataclasses.replace(span(42, "13", "last_good", "", 1_011, None), was_killed=True),
    span(66, "d1", "rollback", "quality.broken_slippage_bps 45 bps → 41 bps", 176, None),
]


@pytest.mark.parametrize("console", [80, 160], indirect=True)
def test_a_history_has_two_lines_for_each_rulebook(console: Console) -> None:
    print_history(console, SPANS, None)
    assert printed(console).splitlines() == [
        "2024-08-08 11:20:00 to 2024-08-08 11:20:42  testnet b0b0b0b0b0b0b0b0  start",
        "    a session began, by Ada",
        "2024-08-08 11:20:42 to it was killed        testnet 1313131313131313  last_good",
        "    a session began on the last good rulebook, by Ada; 1,011 decisions",
        "2024-08-08 11:21:06 to now                  testnet d1d1d1d1d1d1d1d1  rollback",
        "    quality.broken_slippage_bps 45 bps → 41 bps, by Ada; 176 decisions",
    ]


@pytest.mark.parametrize("console", [160], indirect=True)
def test_a_rollout_is_a_line_of_the_history_with_how_it_ended(console: Console) -> None:
    rollout = span(70, "c7", "rollout", "a candidate decides for BTCUSDT", 7, 90)
    rollout = dataclasses.replace(rollout, ended="taken back: guards.falls_back")
    print_history(console, [*SPANS, rollout], None)
    assert printed(console).splitlines()[-4:] == [
        "2024-08-08 11:21:06 to now                  testnet d1d1d1d1d1d1d1d1  rollback",
        "    quality.broken_slippage_bps 45 bps → 41 bps, by Ada; 176 decisions",
        "2024-08-08 11:21:10 to 2024-08-08 11:21:30  testnet c7c7c7c7c7c7c7c7  rollout",
        "    a candidate decides for BTCUSDT, by Ada; 7 decisions; taken back: guards.falls_back",
    ]


@pytest.mark.parametrize("console", [80], indirect=True)
def test_where_nothing_ran_that_is_said(console: Console) -> None:
    print_history(console, [], "prod")
    assert printed(console) == "no rulebook of prod ran here yet\n"


@pytest.mark.parametrize("console", [80], indirect=True)
def test_a_time_that_no_calendar_has_is_a_number(console: Console) -> None:
    print_status(console, replace(STATUS, since_ms=10**18), NOW_MS)
    print_history(console, [span(10**15, "b0", "start", "", None, None)], None)
    assert str(10**18) in printed(console)
