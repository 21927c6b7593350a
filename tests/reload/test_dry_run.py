"""Past decisions are made again by a candidate: counts per decided name, with examples."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.book import Book, load
from engine.journal import NEVER, Journal
from engine.journal.events import Decided, IntentRefused
from engine.reload.dry_run import MOST_EXAMPLES, DryRun, PastDecision, dry_run, past_decision, recent_decisions
from tests.reload.homes import PROFILE, VALUES, facts, make_home, values


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


def decided(book: Book, spread_bps: float) -> Decided:
    record = book.decide("routing", facts(spread_bps)).json()
    return Decided(ts_ms=1, intent_id="one", policy="routing", record=msgspec.Raw(record.encode()))


def made(book: Book, *spreads: float) -> list[PastDecision]:
    return [past for spread in spreads if (past := past_decision(decided(book, spread))) is not None]


def test_the_same_rules_change_no_decision(home: Path) -> None:
    book = load(PROFILE, home)
    past = made(book, 5.0, 14.0, 30.0)
    assert dry_run(book, past) == DryRun(3, 0, {}, ())


def test_what_the_rulebook_in_force_decides_otherwise_already_is_none_of_the_candidates_doing(home: Path) -> None:
    old = load(PROFILE, home)
    past = made(old, 5.0, 14.0, 18.0, 30.0)
    assert {one.rulebook for one in past} == {old.version}
    (home / VALUES).write_text(values(low_bps=20))
    active = load(PROFILE, home)
    (home / VALUES).write_text(values(low_bps=16))
    candidate = load(PROFILE, home)
    assert dry_run(candidate, past).changed == 1, "with what was decided then"
    tried = dry_run(candidate, past, active)
    assert (tried.decisions, tried.changed, tried.than) == (4, 1, active.version)
    assert (tried.examples[0].was, tried.examples[0].would_be) == ("high", "low")
    assert str(tried).startswith(f"1 of 4 past decisions would differ from {active.version}: ")
    (home / VALUES).write_text(values(low_bps=20) + "\n")
    assert dry_run(load(PROFILE, home), past, active).changed == 0


def test_what_the_rulebook_in_force_decided_stands_in_the_record(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    active = load(PROFILE, home)
    past = made(active, 5.0, 14.0)
    (home / VALUES).write_text(values(low_bps=20))
    candidate = load(PROFILE, home)
    monkeypatch.setattr(active, "decide", lambda *_: pytest.fail("it need not be decided again"))
    assert dry_run(candidate, past, active).changed == 1


def test_what_the_rulebook_in_force_cannot_decide_is_left_out(home: Path) -> None:
    active = load(PROFILE, home)
    past = [PastDecision("d", "gone", facts(), {"x": 1.0}), *made(active, 5.0)]
    tried = dry_run(active, past, active)
    assert (tried.decisions, tried.changed, tried.refused) == (1, 0, 0)


def test_every_name_that_differs_is_counted(home: Path) -> None:
    past = made(load(PROFILE, home), 5.0, 14.0, 18.0, 30.0)
    (home / VALUES).write_text(values(low_bps=20))
    tried = dry_run(load(PROFILE, home), past)
    assert (tried.decisions, tried.changed, tried.refused) == (4, 2, 0)
    assert tried.by_name == {"routing.tier": 2, "routing.offset_bps": 2}
    first = tried.examples[0]
    assert (first.name, first.was, first.would_be) == ("tier", "low", "high")
    assert str(first) == f"{past[1].decision_id} (BTCUSDT): routing.tier low → high"
    assert str(tried) == "2 of 4 past decisions would differ: routing.tier 2, routing.offset_bps 2"


def test_examples_are_few(home: Path) -> None:
    past = made(load(PROFILE, home), *[11.0 + number / 100 for number in range(50)])
    (home / VALUES).write_text(values(low_bps=20))
    tried = dry_run(load(PROFILE, home), past)
    assert tried.by_name["routing.tier"] == 50
    assert len(tried.examples) == 2 * MOST_EXAMPLES


def test_what_the_candidate_cannot_decide_is_counted_apart(home: Path) -> None:
    past = [PastDecision("d", "gone", facts(), {"x": 1.0})]
    tried = dry_run(load(PROFILE, home), past)
    assert (tried.decisions, tried.changed, tried.refused) == (1, 0, 1)
    assert "1 cannot be made: " in str(tried)


def test_a_name_that_is_not_decided_any_more_differs(home: Path) -> None:
    past = [PastDecision("d", "routing", facts(), {"tier": "low", "offset_bps": 3.0, "gone": True})]
    tried = dry_run(load(PROFILE, home), past)
    assert tried.by_name == {"routing.gone": 1}
    assert str(tried.examples[0]) == "d (BTCUSDT): routing.gone true → nothing"


def test_a_record_without_facts_cannot_be_made_again(home: Path) -> None:
    book = load(PROFILE, home)
    observed = {"market": book.observe("market", {"observed_at": 100.0, "spread_bps": 14.0})}
    record = book.decide_observed("routing", 100.0, "BTCUSDT", observed).json()
    assert (
        past_decision(Decided(ts_ms=1, intent_id=None, policy="routing", record=msgspec.Raw(record.encode()))) is None
    )


def test_the_last_decisions_of_a_journal_are_taken_in_order(home: Path, tmp_path: Path) -> None:
    book = load(PROFILE, home)
    with Journal(tmp_path / "journal", fsync=NEVER) as journal:
        for spread in (5.0, 14.0, 30.0):
            journal.add(decided(book, spread))
            journal.add(IntentRefused(ts_ms=1, intent_id=None, code="malformed", reason="x", received="x"))
        journal.commit()
    past = recent_decisions(tmp_path / "journal", 2)
    assert [one.facts["market"]["spread_bps"] for one in past] == [14.0, 30.0]
    assert dry_run(book, past).changed == 0
