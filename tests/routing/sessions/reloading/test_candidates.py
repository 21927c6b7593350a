"""A candidate decides beside, and instead only as far as the rules let it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from engine.book import Book, load
from engine.journal.events import CandidateMoved, Decided, Outcome, RulebookLoaded, ShadowDecided
from engine.journal.reader import read
from engine.reload.history import History
from engine.reload.requests import Request, new_id
from engine.reload.status import read_status
from engine.routing.sessions.desk import Desk
from engine.routing.sessions.start import JOURNAL
from tests.routing.markets import START_MS, SYMBOL
from tests.routing.outcomes import outcome
from tests.routing.sessions.reloading.played import OTHER, SLIPPAGE, Session, side


def roll_out(session: Session) -> None:
    """Have the candidate decide for a symbol."""
    session.ask("shadow", candidate=side(session))
    for _ in range(51):
        session.order()
    assert session.ask("promote", symbols=[SYMBOL]).done


def test_a_candidate_decides_beside_and_nothing_of_it_is_executed(candidate: Session) -> None:
    active = candidate.running.desk.book.version
    assert candidate.ask("shadow", candidate=side(candidate)).done
    intent_id = candidate.order()
    assert candidate.versions(intent_id) == {active}
    compared = candidate.events(ShadowDecided)
    assert [event.policy for event in compared] == ["admission", "routing"]
    assert {event.rulebook for event in compared} == {load("testnet", candidate.home.parent / "other").version}
    record = msgspec.json.decode(compared[1].record)
    assert record["rulebook"] == compared[1].rulebook
    facts = candidate.running.desk.tried.facts()
    assert facts is not None
    assert facts["decided_beside"] == 1.0


def test_divergences_are_counted_by_name_and_rule_with_examples(candidate: Session) -> None:
    path = candidate.home.parent / "other" / "profiles" / "base.yaml"
    path.write_text(path.read_text().replace("hard_gates.max_spread_bps: 12", "hard_gates.max_spread_bps: 1"))
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(3):
        candidate.order()
    found = candidate.running.desk.tried.divergences
    routed = [event for event in candidate.events(ShadowDecided) if event.policy == "routing"]
    assert found.decided == len(routed) == 3
    assert found.by_rule["hard_gates.spread_too_wide"] == sum(
        "hard_gates.spread_too_wide" in event.rules for event in routed
    )
    assert found.by_rule["hard_gates.spread_too_wide"] == 3
    status = read_status(candidate.logs)
    assert status.candidate is not None
    assert status.candidate.state == "shadow"


def test_a_candidate_is_promoted_only_once_the_rules_are_for_it(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.order()
    refused = candidate.ask("promote")
    assert not refused.done
    told = "decided_beside is missing or decided_beside 1 < min_decisions 50"
    assert f"promotion.not_tried ({told}) at rules/promotion.yaml:13" in refused.line
    for _ in range(50):
        candidate.order()
    answer = candidate.ask("promote")
    assert answer.done, answer
    assert candidate.running.desk.book.version == load("testnet", candidate.home.parent / "other").version
    assert candidate.events(RulebookLoaded)[-1].how == "promote"
    assert candidate.events(CandidateMoved)[-1].state == "promoted"
    assert not candidate.running.desk.tried.is_tried


def test_without_a_candidate_there_is_nothing_to_promote_or_end(start: Callable[..., Session]) -> None:
    session = start()
    assert not session.ask("promote").done
    assert not session.ask("end").done


def test_a_candidate_of_another_profile_is_tried_and_not_promoted(candidate: Session) -> None:
    assert candidate.ask("shadow", candidate="prod").done
    for _ in range(51):
        candidate.order()
    answer = candidate.ask("promote")
    assert not answer.done
    assert "profile `prod`" in answer.line


def test_a_rollout_decides_for_its_symbols_alone_until_a_guard_is_crossed(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    active = candidate.running.desk.book.version
    for _ in range(51):
        candidate.order()
    answer = candidate.ask("promote", symbols=[SYMBOL])
    assert answer.done, answer
    other = load("testnet", candidate.home.parent / "other").version
    assert candidate.versions(candidate.order(SYMBOL)) == {other}
    assert candidate.versions(candidate.order(OTHER)) == {active}
    candidate.edit("profiles/base.yaml", "guards.min_outcomes: 20", "guards.min_outcomes: 0")
    candidate.edit("profiles/base.yaml", "guards.max_cost_bps: 10\n", "guards.max_cost_bps: -10000\n")
    candidate.save()
    for _ in range(10):
        candidate.order(SYMBOL, maker_requested=False)
    moved = candidate.events(CandidateMoved)[-1]
    assert moved.state == "returned"
    assert moved.reason.startswith("guards.costs_too_much (rollout_outcomes 1 >= min_outcomes 0 and rollout_cost_bps ")
    assert moved.reason.endswith(" > max_cost_bps -10000) at rules/guards.yaml:19"), "values, limit and place"
    assert candidate.ask("promote").line == f"there is no candidate: the last one was taken back: {moved.reason}"
    assert other not in candidate.versions(candidate.order(SYMBOL))


def test_a_rollout_ends_where_nothing_guards_it_any_more(candidate: Session) -> None:
    roll_out(candidate)
    candidate.edit("profiles/testnet.yaml", ", rollout]", "]")
    candidate.save()
    for _ in range(10):
        candidate.order(OTHER)
    moved = candidate.events(CandidateMoved)[-1]
    assert (moved.state, moved.reason) == ("returned", "the profile runs no policy rollout")
    assert candidate.versions(candidate.order(SYMBOL)) == {candidate.running.desk.book.version}
    candidate.ask("shadow", candidate=side(candidate))
    answer = candidate.ask("promote")
    assert not answer.done
    assert "runs no policy `rollout`" in answer.line


@pytest.mark.parametrize(("symbol", "is_taken_back"), [(SYMBOL, True), (OTHER, False)])
def test_a_rollout_whose_makers_end_as_takers_is_taken_back(
    candidate: Session, symbol: str, *, is_taken_back: bool
) -> None:
    roll_out(candidate)
    desk = candidate.running.desk
    for number in range(10):
        ts_ms = candidate.now_ms + 2000
        desk.router.emit(outcome(ts_ms, symbol=symbol, arrival_ms=candidate.now_ms + 1000, fallback=number < 7))
    facts = desk.tried.facts()
    assert facts is not None
    assert (facts["rollout_attempts"], facts.get("rollout_fallback_ratio")) == (
        (10, 0.7) if is_taken_back else (0, None)
    )
    for _ in range(10):
        candidate.order(OTHER)
    moved = candidate.events(CandidateMoved)[-1]
    told = "rollout_attempts 10 >= min_attempts 10 and rollout_fallback_ratio 0.7 > max_fallback_ratio 0.6"
    reason = f"guards.falls_back ({told}) at rules/guards.yaml:15"
    assert (moved.state, moved.reason) == (("returned", reason) if is_taken_back else ("partial", ""))


def test_a_rollout_has_a_line_in_the_history_with_its_symbols_and_decisions(candidate: Session) -> None:
    candidate.reloading.begin()
    roll_out(candidate)
    for symbol in (SYMBOL, SYMBOL, OTHER):
        candidate.order(symbol)
    assert candidate.ask("promote", symbols=[OTHER]).done
    tried = candidate.running.desk.tried.moved
    assert tried is not None
    assert not candidate.ask("rollback", version=tried.rulebook).done, "for some symbols alone, so never in force"
    candidate.running.desk.end_candidate("returned", "guards.costs_too_much")
    records = [msgspec.json.decode(event.record) for event in candidate.events(Decided)]
    candidate.reloading.in_force.end()
    spans = History(candidate.logs).spans(None, read(candidate.logs / JOURNAL))
    assert [span.entry.how for span in spans] == ["start", "rollout", "rollout"]
    assert [span.entry.symbols for span in spans] == [[], [SYMBOL], [OTHER]]
    assert [span.entry.who for span in spans[1:]] == ["Ada", "Ada"]
    assert [span.ended for span in spans] == ["", "it was given other symbols", "taken back: guards.costs_too_much"]
    assert all(span.until_ms is not None for span in spans)
    made = sum(record["rulebook"] == spans[1].entry.version for record in records)
    assert made > 0
    assert [span.decisions for span in spans[1:]] == [made, 0]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    caplog.clear()
    return told


def test_what_decides_by_no_file_is_a_line_of_the_log(candidate: Session, caplog: pytest.LogCaptureFixture) -> None:
    candidate.reloading.begin()
    desk = candidate.running.desk
    first = desk.book.version
    roll_out(candidate)
    other = load("testnet", candidate.home.parent / "other").version
    assert warnings_of(caplog) == [f"testnet {other}: a candidate decides for {SYMBOL}, by Ada"]
    desk.end_candidate("returned", "guards.costs_too_much")
    candidate.reloading.in_force.say_what_is_new()
    assert warnings_of(caplog) == [f"testnet {other} is taken back for {SYMBOL}: guards.costs_too_much"]
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(51):
        candidate.order()
    assert candidate.ask("promote").done
    (told,) = warnings_of(caplog)
    assert told.startswith(f"rulebook testnet {other} decides (promote, by Ada): ")
    assert candidate.ask("rollback", version=first).done
    (told,) = warnings_of(caplog)
    assert told.startswith(f"rulebook testnet {first} decides (rollback, by Ada): ")


def test_a_rollout_that_is_asked_for_again_goes_on_as_it_is(candidate: Session) -> None:
    roll_out(candidate)
    before = candidate.events(CandidateMoved)
    answer = candidate.ask("promote", symbols=[SYMBOL])
    assert (answer.done, answer.line.endswith(f"decides for {SYMBOL} already")) == (True, True)
    assert candidate.events(CandidateMoved) == before


def test_what_a_rollout_to_other_symbols_did_is_counted_from_its_beginning(candidate: Session) -> None:
    roll_out(candidate)
    candidate.order(SYMBOL, maker_requested=False)
    facts = candidate.running.desk.tried.facts()
    assert facts is not None
    assert facts["rollout_outcomes"] == 1.0
    assert candidate.ask("promote", symbols=[OTHER]).done
    facts = candidate.running.desk.tried.facts()
    assert facts is not None
    assert facts["rollout_outcomes"] == 0.0
    assert candidate.versions(candidate.order(SYMBOL)) == {candidate.running.desk.book.version}


def test_a_rollback_ends_a_rollout(candidate: Session) -> None:
    first = candidate.running.desk.book.version
    candidate.reloading.begin()
    candidate.edit(*SLIPPAGE)
    candidate.save()
    roll_out(candidate)
    assert candidate.ask("rollback").done
    assert candidate.versions(candidate.order(SYMBOL)) == {first}
    moved = candidate.events(CandidateMoved)[-1]
    assert (moved.state, moved.reason) == ("returned", "rolled back by Ada")


def test_what_a_rollout_decides_is_not_compared_with_itself(candidate: Session) -> None:
    roll_out(candidate)
    before = candidate.running.desk.tried.divergences.decided
    candidate.order(SYMBOL)
    assert candidate.running.desk.tried.divergences.decided == before
    candidate.order(OTHER)
    assert candidate.running.desk.tried.divergences.decided == before + 1


def test_an_intent_from_before_a_rollout_says_nothing_of_it(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(51):
        candidate.order(SYMBOL, maker_requested=False)
    desk = candidate.running.desk
    earlier = candidate.events(Outcome)[-1]
    assert earlier.filled
    assert candidate.ask("promote", symbols=[SYMBOL]).done
    desk.router.emit(msgspec.structs.replace(earlier, seq=0, ts_ms=candidate.now_ms + 900, arrival_ms=START_MS))
    facts = desk.tried.facts()
    assert facts is not None
    assert facts["rollout_outcomes"] == 0.0


def test_divergences_from_another_rulebook_count_no_longer(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.order()
    path = candidate.home / "rules" / "quality.yaml"
    path.write_text(f"{path.read_text()}# as before\n")
    candidate.save()
    tried = candidate.running.desk.tried
    assert tried.divergences.decided == 1, "only a comment changed"
    candidate.edit(*SLIPPAGE)
    candidate.save()
    assert tried.is_tried
    assert tried.divergences.decided == 0


def test_another_candidate_is_refused_while_one_is_tried_unless_it_is_to_replace_it(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.order()
    tried = load("testnet", candidate.home.parent / "other").version
    refused = candidate.ask("shadow", candidate="prod")
    assert (refused.done, refused.line) == (False, f"testnet {tried} is tried already, on 1 intent")
    assert "--replace" in refused.help
    divergences = candidate.running.desk.tried.divergences
    assert divergences.decided == 1, "what was counted is kept"
    assert candidate.ask("shadow", candidate="prod", replaces=True).done
    assert [event.state for event in candidate.events(CandidateMoved)] == ["shadow", "ended", "shadow"]


def test_a_rollout_is_ended_by_nothing_but_its_end(candidate: Session) -> None:
    roll_out(candidate)
    tried = load("testnet", candidate.home.parent / "other").version
    for replaces in (False, True):
        refused = candidate.ask("shadow", candidate="prod", replaces=replaces)
        assert (refused.done, refused.line) == (False, f"testnet {tried} decides for {SYMBOL} already")
        assert "sluice shadow --end" in refused.help
    assert candidate.versions(candidate.order(SYMBOL)) == {tried}
    assert candidate.ask("end").done
    assert candidate.ask("shadow", candidate="prod").done


def test_another_candidate_is_not_promoted_in_the_place_of_the_one_it_ended(
    candidate: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate.edit("profiles/base.yaml", "promotion.min_decisions: 50", "promotion.min_decisions: 0")
    candidate.save()
    active = candidate.running.desk.book.version
    candidate.ask("shadow", candidate=side(candidate))
    in_force, commands = candidate.reloading.in_force, candidate.reloading.commands
    usual = in_force.change_to

    async def meanwhile_another(book: Book) -> str:
        path = candidate.home.parent / "other" / "profiles" / "testnet.yaml"
        path.write_text(path.read_text().replace("broken_slippage_bps: {value: 8", "broken_slippage_bps: {value: 9"))
        request = Request(id=new_id(), action="shadow", candidate=side(candidate), replaces=True)
        assert (await commands.answer(request)).done
        return await usual(book)

    monkeypatch.setattr(in_force, "change_to", meanwhile_another)
    answer = candidate.ask("promote")
    assert not answer.done
    assert "taken back meanwhile" in answer.line
    assert candidate.running.desk.book.version == active


def test_what_decides_already_is_no_candidate(candidate: Session) -> None:
    answer = candidate.ask("shadow", candidate="testnet")
    assert not answer.done
    assert "decides already" in answer.line


def test_a_restart_ends_the_candidate_that_nobody_holds_any_more(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.order()
    desk = candidate.running.desk
    again = Desk(desk.book, candidate.running.journal, desk.venue, desk.around)
    again.resume(read(candidate.logs / JOURNAL))
    assert again.tried.is_tried
    again.start(candidate.now_ms + 1000)
    again.settle()
    moved = candidate.events(CandidateMoved)[-1]
    assert (moved.state, moved.reason) == ("ended", "the session was started again")
    assert not again.tried.is_tried


def test_the_end_of_a_session_ends_its_candidate(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    candidate.running.desk.close(candidate.now_ms)
    assert candidate.events(CandidateMoved)[-1].reason == "the session ended"


def test_a_symbol_that_nobody_trades_has_no_rollout(candidate: Session) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    for _ in range(51):
        candidate.order()
    answer = candidate.ask("promote", symbols=["XRPUSDT"])
    assert not answer.done
    assert SYMBOL in answer.help


def test_a_candidate_that_breaks_down_ends_alone(candidate: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate.ask("shadow", candidate=side(candidate))
    shadow = candidate.running.desk.router.deciders.shadow
    assert shadow is not None

    def breaks(*_: object) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(shadow, "decide", breaks)
    intent_id = candidate.order()
    assert candidate.versions(intent_id)
    moved = candidate.events(CandidateMoved)[-1]
    assert moved.state == "ended"
    assert "no such thing" in moved.reason
    assert candidate.running.desk.router.deciders.shadow is None


def test_a_candidate_that_breaks_down_gives_its_symbols_back(
    candidate: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_out(candidate)
    monkeypatch.setattr(candidate.running.desk.router.deciders.shadow, "decide", lambda *_: 1 / 0)
    candidate.order(OTHER)
    assert candidate.versions(candidate.order(SYMBOL)) == {candidate.running.desk.book.version}


def test_a_candidate_that_does_not_load_is_not_tried(candidate: Session) -> None:
    (candidate.home.parent / "other" / "rules" / "quality.yaml").write_text("ruleset: [")
    answer = candidate.ask("shadow", candidate=side(candidate))
    assert not answer.done
    assert "rules/quality.yaml" in answer.line
    assert not candidate.running.desk.tried.is_tried
