"""The history: which rulebook decided from when to when, over all sessions, and what to go back to."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.events import Decided, Event, RulebookLoaded, SessionStarted
from engine.reload.errors import ReloadError
from engine.reload.history import RELOADS, Entry, History, How, Span, rollback_to, unpassed


def entry(at_ms: int, version: str, how: How = "reload", profile: str = "prod", seq: int | None = None) -> Entry:
    return Entry(
        at_ms=at_ms,
        how=how,
        profile=profile,
        version=version,
        sources="s",
        who="Ada",
        changed="tier: 1 rule",
        journal_seq=seq,
    )


def decision(ts_ms: int, version: str) -> Decided:
    record = msgspec.Raw(msgspec.json.encode({"rulebook": version, "decided": {}}))
    return Decided(ts_ms=ts_ms, intent_id=None, policy="routing", record=record)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "logs")


def test_what_was_added_is_read_in_order(history: History) -> None:
    entries = [entry(1, "aa", "start"), entry(5, "bb"), entry(9, "bb", "stop")]
    for one in entries:
        history.add(one)
    assert history.entries() == entries
    assert history.entries("testnet") == []


def test_without_a_file_there_is_no_history(history: History) -> None:
    assert history.entries() == []
    assert history.spans() == []


def test_a_span_lasts_until_the_next_entry(history: History) -> None:
    entries = [entry(1, "aa", "start"), entry(5, "bb"), entry(9, "bb", "stop"), entry(20, "aa", "start")]
    for one in entries:
        history.add(one)
    assert history.spans() == [Span(entries[0], 5), Span(entries[1], 9), Span(entries[3], None)]


def test_what_was_killed_is_told_from_what_runs_also_a_rollout(history: History) -> None:
    killed = [entry(1, "aa", "start"), entry(5, "bb", "rollout")]
    for one in killed:
        history.add(one)
    assert [span.state(runs=True) for span in history.spans()] == ["running", "running"]
    assert [span.state(runs=False) for span in history.spans()] == ["killed", "killed"]
    for one in (entry(9, "cc", "start", profile="testnet"), entry(12, "aa", "start"), entry(13, "bb", "rollout_end")):
        history.add(one)
    assert [span.until_ms for span in history.spans()] == [None, None, None, None]
    assert [span.state(runs=True) for span in history.spans()] == ["killed", "killed", "killed", "running"]
    assert [span.state(runs=True) for span in history.spans("testnet")] == ["killed"], "another session runs"
    history.add(entry(20, "aa", "stop"))
    assert history.spans()[-1].state(runs=True) == "ended"


def loaded(version: str) -> RulebookLoaded:
    return RulebookLoaded(ts_ms=0, profile="prod", rulebook=version, sources="s")


def started(version: str, *, reloads: bool = True) -> SessionStarted:
    return SessionStarted(
        ts_ms=0,
        profile="prod",
        rulebook=version,
        sources="s",
        venue="v",
        market="m",
        nav_usd=1.0,
        settings={RELOADS: "proofs"} if reloads else {},
    )


def journal(*events: Event, first_seq: int = 1) -> list[Event]:
    """Events as a journal numbers them."""
    return [numbered(event, seq) for seq, event in enumerate(events, first_seq)]


def numbered(event: Event, seq: int) -> Event:
    return msgspec.structs.replace(event, seq=seq)


def counted(history: History, entries: list[Entry], events: list[Event]) -> list[int | None]:
    for one in entries:
        history.add(one)
    return [span.decisions for span in history.spans(journal=events)]


def test_decisions_are_counted_by_what_made_them(history: History) -> None:
    entries = [entry(1, "aa", "start", seq=2), entry(5, "bb", seq=4), entry(9, "aa", "rollback", seq=6)]
    made = journal(
        started("aa"),
        decision(1, "aa"),
        decision(2, "aa"),
        loaded("bb"),
        decision(3, "bb"),
        loaded("aa"),
        decision(4, "aa"),
    )
    assert counted(history, entries, made) == [2, 1, 1]


def test_of_one_profile_the_counts_are_the_same(history: History) -> None:
    entries = [entry(1, "aa", "start", "testnet", 1), entry(2, "bb", "start", seq=3), entry(3, "cc", seq=5)]
    made = journal(started("aa"), decision(1, "aa"), started("bb"), decision(2, "bb"), loaded("cc"))
    assert counted(history, entries, made) == [1, 1, 0]
    assert [span.decisions for span in history.spans("prod", made)] == [1, 0]


def test_a_journal_that_begins_later_is_laid_beside_the_end_of_the_history(history: History) -> None:
    entries = [
        entry(1, "aa", "start", seq=1),
        entry(2, "aa", "stop", seq=7),
        entry(3, "aa", "start", seq=8),
        entry(5, "bb", seq=10),
    ]
    begun = (started("aa"), decision(1, "aa"), loaded("bb"), decision(2, "bb"), decision(3, "bb"))
    made = journal(*begun, first_seq=8)
    assert counted(history, entries, made) == [None, 1, 2]


def test_a_journal_that_was_begun_anew_says_nothing_of_what_ran_before(history: History) -> None:
    entries = [entry(1, "aa", "start", seq=1), entry(2, "aa", "stop", seq=9), entry(3, "aa", "start", seq=1)]
    assert counted(history, entries, journal(started("aa"), decision(1, "aa"))) == [None, 1]


def test_a_session_that_does_not_reload_is_counted_nowhere(history: History) -> None:
    entries = [entry(1, "aa", "start", seq=1), entry(2, "aa", "stop", seq=2), entry(3, "aa", "start", seq=5)]
    made = journal(
        started("aa"),
        decision(1, "aa"),
        started("aa", reloads=False),
        decision(2, "aa"),
        started("aa"),
        started("aa", reloads=False),
        decision(3, "aa"),
        decision(4, "aa"),
    )
    assert counted(history, entries, made) == [1, 0]


def test_a_replay_in_the_place_of_the_journal_says_nothing_of_what_ran_before(history: History) -> None:
    entries = [entry(1, "aa", "start", seq=1), entry(2, "aa", "stop", seq=9)]
    made = journal(started("aa", reloads=False), decision(1, "aa"), decision(2, "aa"))
    assert counted(history, entries, made) == [None]


def test_a_line_that_a_full_disk_did_not_take_is_counted_nowhere(history: History) -> None:
    entries = [entry(1, "aa", "start", seq=1), entry(5, "bb", seq=5)]
    made = journal(started("aa"), decision(1, "aa"), loaded("aa"), decision(2, "aa"), loaded("bb"), decision(3, "bb"))
    assert counted(history, entries, made) == [1, 1]


def test_what_a_candidate_decides_is_counted_nowhere(history: History) -> None:
    made = journal(started("aa"), decision(1, "cc"), decision(2, "aa"), decision(3, "cc"))
    assert counted(history, [entry(1, "aa", "start", seq=1)], made) == [1]


@pytest.mark.parametrize("torn", [b'{"at_ms": 7, "ho', b"\xff\xff", b"[]"])
def test_a_line_that_was_cut_off_is_passed_over(history: History, torn: bytes) -> None:
    history.add(entry(1, "aa"))
    with history.path.open("ab") as stream:
        stream.write(torn)
    history.add(entry(5, "bb"))
    assert [one.version for one in history.entries()] == ["aa", "bb"]


def test_a_line_that_was_written_twice_is_one_entry(history: History) -> None:
    for one in (entry(1, "aa"), entry(1, "aa"), entry(5, "bb"), entry(9, "aa")):
        history.add(one)
    assert [(one.at_ms, one.version) for one in history.entries()] == [(1, "aa"), (5, "bb"), (9, "aa")]


def test_a_file_that_cannot_be_read_is_said(history: History) -> None:
    history.path.mkdir(parents=True)
    with pytest.raises(ReloadError, match="cannot be read"):
        history.entries()
    with pytest.raises(ReloadError, match="cannot be written"):
        history.add(entry(1, "aa"))


RAN = [entry(1, "aa11", "start"), entry(2, "aa22"), entry(3, "bb33"), entry(4, "bb33", "stop")]


def test_a_rollback_goes_to_the_version_before() -> None:
    assert rollback_to(RAN, "bb33").version == "aa22"


def test_a_comment_is_no_version_to_go_back_from() -> None:
    assert rollback_to([*RAN, entry(5, "bb33")], "bb33").version == "aa22"


def test_a_version_may_be_named_by_its_beginning() -> None:
    assert rollback_to(RAN, "bb33", "aa1").version == "aa11"
    assert rollback_to(RAN, "bb33", " BB33 ").version == "bb33"


def test_a_rollback_goes_back_from_what_decides_also_where_no_line_says_so() -> None:
    assert rollback_to(RAN[:1], "aa22").version == "aa11"


BACK = [entry(1, "aa11", "start"), entry(2, "bb22"), entry(3, "cc33"), entry(4, "bb22", "rollback")]


def test_a_rollback_after_a_rollback_goes_further_back_and_never_to_what_was_just_left() -> None:
    assert rollback_to(BACK, "bb22").version == "aa11"
    with pytest.raises(ReloadError, match="nothing that may decide came before aa11") as refused:
        rollback_to([*BACK, entry(5, "aa11", "rollback")], "aa11")
    assert "name another version" in refused.value.help
    assert rollback_to(BACK, "bb22", "cc").version == "cc33", "by its name"
    assert rollback_to([*BACK, entry(5, "dd44")], "dd44").version == "bb22", "what was left is withdrawn"


A, B, C, D = "aa11", "bb22", "cc33", "dd44"


def of(*told: tuple[str, How] | str) -> list[Entry]:
    """Entries in their order; a version alone was saved."""
    pairs: list[tuple[str, How]] = [(one, "reload") if isinstance(one, str) else one for one in told]
    return [entry(at_ms, version, how) for at_ms, (version, how) in enumerate(pairs)]


def back(version: str) -> tuple[str, How]:
    return version, "rollback"


@pytest.mark.parametrize(
    ("entries", "target"),
    [
        pytest.param(of(A, B, back(A), C), A, id="what was withdrawn is not gone back to"),
        pytest.param(of(C, A, B, (C, "promote")), B, id="what was promoted had decided long before"),
        pytest.param(of(A, B, C, D, A), D, id="what was saved again had decided at first"),
        pytest.param(of(A, B, C, back(B)), A, id="a second rollback goes further back"),
        pytest.param(of(A, B, C, back(A), back(C)), A, id="by its name to what was left before"),
        pytest.param(of(A, B, A, C, back(A)), B, id="the last time that a version decided is gone back to"),
        pytest.param(of((A, "start"), B, (B, "stop"), (B, "start"), (B, "stop"), (B, "start")), A, id="a restart"),
        pytest.param(of((A, "start"), B, (B, "stop"), (A, "start")), B, id="a restart with other files"),
        pytest.param(of((A, "start"), B, (D, "rollout"), (D, "rollout_end")), A, id="a rollout"),
        pytest.param(of(A, B, C, (B, "return"), (B, "return")), A, id="a return, also where it is told twice"),
        pytest.param(of(A, B, C, back(B), (C, "proved"), (B, "stop")), A, id="proofs that pass too late"),
    ],
)
def test_a_rollback_goes_to_what_decided_last_before(entries: list[Entry], target: str) -> None:
    decides = [one.version for one in entries if one.how not in ("rollout", "rollout_end")][-1]
    assert rollback_to(entries, decides).version == target


@given(st.data())
def test_rollbacks_undo_changes_one_by_one(data: st.DataObject) -> None:
    versions = data.draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
    ran = [version for version, _ in groupby(versions)]
    steps = data.draw(st.integers(0, len(ran) - 1))
    entries, decides = [entry(at_ms, version) for at_ms, version in enumerate(versions)], versions[-1]
    for _ in range(steps):
        decides = rollback_to(entries, decides).version
        entries.append(entry(len(entries), decides, "rollback"))
    assert decides == ran[-1 - steps]


@given(st.lists(st.booleans(), max_size=30))
def test_what_a_rollback_left_decides_by_no_later_one(saves: list[bool]) -> None:
    entries, decides, left = of("0"), "0", set[str]()
    for number, saved in enumerate(saves, 1):
        if saved:
            decides = str(number)
            entries.append(entry(number, decides))
            continue
        left.add(decides)
        try:
            decides = rollback_to(entries, decides).version
        except ReloadError:
            assert decides == "0", "only what it all began with has nothing before it"
            left.discard(decides)
        else:
            assert decides not in left
            entries.append(entry(number, decides, "rollback"))


def test_the_latest_files_of_a_version_are_gone_back_to() -> None:
    again = msgspec.structs.replace(entry(4, "aa22", "reload"), sources="later")
    assert rollback_to([*RAN, again], "bb33").sources == "later"


def test_what_is_passed_over_is_gone_back_to_by_its_name_alone() -> None:
    assert rollback_to(RAN, "bb33", passed_over=["aa22"]).version == "aa11"
    with pytest.raises(ReloadError, match="nothing that may decide came before bb33"):
        rollback_to(RAN, "bb33", passed_over=["aa22", "aa11"])
    assert rollback_to(RAN, "bb33", "aa22", passed_over=["aa22"]).version == "aa22", "who names it is told by the gate"


def test_a_rollout_is_nothing_to_go_back_to() -> None:
    assert rollback_to([RAN[0], entry(2, "dd", "rollout"), RAN[2]], "bb33").version == "aa11"


def unproved(at_ms: int, version: str) -> Entry:
    return msgspec.structs.replace(entry(at_ms, version), unproved=True)


def test_what_decided_before_its_proofs_is_gone_back_to_once_they_have_passed() -> None:
    taken_back = [*RAN[:1], unproved(2, "cc44"), entry(3, "aa11", "return"), entry(4, "bb33")]
    assert rollback_to(taken_back, "bb33").version == "aa11"
    with pytest.raises(ReloadError, match="before its proofs"):
        rollback_to(taken_back, "bb33", "cc44")
    proved = [*RAN[:1], unproved(2, "cc44"), entry(3, "cc44", "proved"), entry(4, "bb33")]
    assert rollback_to(proved, "bb33").version == rollback_to(proved, "bb33", "cc").version == "cc44"


def test_what_was_taken_back_is_passed_over_where_a_killed_session_left_it() -> None:
    killed = [*of(A, B), unproved(5, C), entry(6, B, "last_good")]
    assert rollback_to(killed, B).version == A
    assert unpassed(killed) == {C}
    assert unpassed([*killed, entry(7, C, "start")]) == {C}, "under which gate it began nobody knows"
    assert unpassed([*killed, entry(7, C, "proved")]) == set()


def test_that_proofs_have_passed_is_no_time_of_its_own(history: History) -> None:
    for one in (entry(1, "aa", "start"), unproved(5, "bb"), entry(6, "bb", "proved"), entry(9, "bb", "stop")):
        history.add(one)
    assert [(span.entry.version, span.until_ms) for span in history.spans()] == [("aa", 5), ("bb", 9)]


@pytest.mark.parametrize(
    ("entries", "wanted", "told"),
    [
        ([], None, "no rulebook ran here yet"),
        (RAN[:1], None, "nothing that may decide came before aa11"),
        (RAN, "aa", "2 rulebooks begin with `aa`"),
        (RAN, "cc", "no rulebook `cc` ran here"),
        (RAN, " ", "no rulebook"),
    ],
)
def test_a_rollback_that_cannot_be_says_why(entries: list[Entry], wanted: str | None, told: str) -> None:
    with pytest.raises(ReloadError, match=told):
        rollback_to(entries, "aa11", wanted)
