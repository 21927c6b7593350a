"""All questions about a profile: what they come to, and what is remembered of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.analysis.proofs import QUESTIONS, Question, read_questions
from engine.analysis.proofs import prove as module
from engine.analysis.proofs.asking import Asker, Budget, Undecided
from engine.analysis.proofs.findings import findings_of
from engine.analysis.proofs.prove import Proofs, prove, sides_of
from engine.language.findings import Severity
from tests.analysis.proofs.homes import home, rulebook_of, rulebooks_of

RULES = """
ruleset: s
hit: veto
sets: {open: {type: flag}}
unknown: skip
rules:
  - {id: a, when: x > <5>, why: far}
"""
HOLDS = "  - {id: it, claim: x is known and x > 5 implies not open}\n"
BETWEEN = "  - {id: it, claim: not (x is known and x > 0.1 and x < 0.10000000000000002)}\n"
OTHER = "profile: other\npolicies: [p]\nvalues:\n  facts.max_age_s: 60\n  facts.max_ahead_s: 5\n  s.n0: 6\n"
STRICT = "  - {id: it, at_least_as_strict: {profile: main, than: other, when: open}}\n"


def ask(documents: dict[str, str], cache: Path | None = None, *only: Question) -> Proofs:
    return prove("main", rulebooks_of(documents), cache=cache, only=only or QUESTIONS)


def test_a_claim_that_is_false_only_between_two_doubles_is_undecided_and_has_no_witness() -> None:
    """Exactly it does not hold, and no input that anyone can hand in breaks it."""
    proofs = ask(home(RULES, invariants=BETWEEN))
    (verdict,) = proofs.verdicts
    assert (verdict.status, verdict.witness, verdict.why) == ("undecided", None, "no input of doubles confirms it")
    assert not proofs.proven
    assert not proofs.clean
    (finding,) = findings_of([proofs], rulebooks_of(home(RULES, invariants=BETWEEN)))
    assert (finding.code, finding.severity) == ("invariant.undecided", Severity.WARNING)


def test_a_solver_that_gives_up_leaves_everything_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("model", "under"):
        monkeypatch.setattr(Asker, name, lambda *_: Undecided("it took too long"))
    monkeypatch.setattr(Asker, "core", lambda *_: None)
    documents = home(RULES, invariants=HOLDS)
    proofs = ask(documents)
    assert [verdict.status for verdict in proofs.verdicts] == ["undecided"]
    assert proofs.loose == ()
    assert proofs.lint_undecided
    assert not proofs.clean
    codes = [finding.code for finding in findings_of([proofs], rulebooks_of(documents))]
    assert codes == ["invariant.undecided", "proofs.undecided"]


def test_the_invariants_alone_can_be_asked() -> None:
    proofs = ask(home(RULES.replace("<5>", "<10>"), invariants="  - {id: it, claim: open}\n"), None, "invariants")
    assert [verdict.status for verdict in proofs.verdicts] == ["proven"]
    assert (proofs.loose, proofs.lint_asked) == ((), 0)
    assert proofs.clean


def test_progress_names_what_comes_next_and_ends() -> None:
    told: list[tuple[str, int, int]] = []
    documents = home(RULES, invariants=HOLDS)
    prove("main", rulebooks_of(documents), progress=lambda *step: told.append(step))
    assert told[0] == ("p.it", 0, 7)
    assert told[-1] == ("", 7, 7)
    assert {total for _, _, total in told} == {7}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_policy_is_asked_about_once_for_values_that_are_the_same_to_it() -> None:
    groups = "symbols:\n  thin:\n    of: [AAA]\n    values:\n      facts.max_age_s: {value: 30, why: slow}\n"
    documents = home(RULES, profile=groups)
    rulebook = rulebook_of(documents)
    assert len(rulebook.bindings) == 2
    assert len(sides_of(rulebook, rulebook.policies["p"])) == 1


# What is remembered --------------------------------------------------------------------------------------------------


def test_an_answer_is_remembered_and_is_the_same(tmp_path: Path) -> None:
    rules = RULES + "  - {id: b, when: x > <10>, why: never}\n"
    documents = home(rules, invariants="  - {id: it, claim: open}\n")
    first, again = ask(documents, tmp_path), ask(documents, tmp_path)
    assert (first.cached, again.cached) == (False, True)
    assert replace(again, cached=False) == first
    assert first.verdicts[0].witness is not None
    assert first.loose


CHANGES = {
    "a rule": ("rules/s.yaml", "x > $n0", "x >= $n0"),
    "the place of a rule": ("rules/s.yaml", "rules:\n", "rules:\n\n"),
    "a why": ("rules/s.yaml", "why: far", "why: too far"),
    "an invariant": ("policies/p.yaml", "x > 5", "x > 6"),
    "a range": ("policies/facts.yaml", "x: {type: number, min: -10", "x: {type: number, min: -11"),
    "a value": ("profiles/main.yaml", "s.n0: 5", "s.n0: 5.5"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_answer_is_forgotten_with_any_change_of_a_document(what: str, tmp_path: Path) -> None:
    documents = home(RULES, invariants=HOLDS)
    ask(documents, tmp_path)
    file, old, new = CHANGES[what]
    assert old in documents[file]
    changed = documents | {file: documents[file].replace(old, new)}
    assert not ask(changed, tmp_path).cached
    assert ask(documents, tmp_path).cached


def test_an_answer_is_forgotten_with_a_change_of_a_profile_that_it_compares_with(tmp_path: Path) -> None:
    documents = home(RULES, invariants=STRICT, profiles__other=OTHER)
    assert ask(documents, tmp_path).proven
    changed = documents | {"profiles/other.yaml": OTHER.replace("6", "4")}
    proofs = ask(changed, tmp_path)
    assert not proofs.cached
    assert not proofs.proven


def test_an_answer_is_forgotten_with_a_change_of_what_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = home(RULES, invariants=HOLDS)
    ask(documents, tmp_path)
    monkeypatch.setattr(module, "_code", lambda: "other")
    assert not ask(documents, tmp_path).cached


def test_answers_with_and_without_loose_ends_are_not_confused(tmp_path: Path) -> None:
    documents = home(RULES, invariants=HOLDS)
    ask(documents, tmp_path, "invariants")
    assert not ask(documents, tmp_path).cached
    assert ask(documents, tmp_path, "invariants").lint_asked == 0


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"\xff\xfe", b'{"profile": 1}', b"null"])
def test_a_corrupted_answer_is_none(tmp_path: Path, junk: bytes) -> None:
    documents = home(RULES, invariants=HOLDS)
    ask(documents, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(junk)
    assert not ask(documents, tmp_path).cached
    assert ask(documents, tmp_path).cached


def test_a_folder_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for folder in (blocked, blocked / "below"):
        assert not ask(home(RULES, invariants=HOLDS), folder).cached
    assert blocked.read_text() == ""


def test_what_is_undecided_is_asked_again(tmp_path: Path) -> None:
    documents = home(RULES, invariants=BETWEEN)
    ask(documents, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KEPT", 2)
    documents = home(RULES, invariants=HOLDS)
    for value in ("5", "6", "7"):
        ask(
            documents | {"profiles/main.yaml": documents["profiles/main.yaml"].replace("n0: 5", f"n0: {value}")},
            tmp_path,
        )
    assert len(list(tmp_path.iterdir())) == 2


def test_what_one_profile_had_no_time_for_hides_nothing_that_another_refuted(tmp_path: Path) -> None:
    documents = home(RULES, invariants=STRICT, profiles__other=OTHER.replace("6", "4"))
    books = rulebooks_of(documents)
    refuted = prove("other", books, cache=tmp_path)
    late = prove("main", books, budget=Budget(1e-9))
    for asked in ([late, refuted], [refuted, late]):
        codes = [finding.code for finding in findings_of(asked, books)]
        assert sorted(codes) == ["invariant.refuted", "proofs.undecided"]


# Some questions, and some time ---------------------------------------------------------------------------------------

MANY = RULES + "  - {id: b, when: x > <10>, why: never}\n  - {id: c, when: x > <6>, why: further}\n"
FOUND = {
    "invariants": (),
    "total": (),
    "dead": ("dead",),
    "conditions": (),
    "clamps": (),
    "redundant": ("redundant",),
    "parameters": (),
}
ASKED = {
    "invariants": 1,
    "total": 1,
    "dead": 3,
    "conditions": 6,  # each leaf: true, and false
    "clamps": 0,
    "redundant": 3,
    "parameters": 3,
}


@pytest.mark.parametrize("kind", QUESTIONS)
def test_one_kind_of_question_finds_what_it_is_about_and_nothing_else(kind: Question) -> None:
    documents = home(MANY, invariants=HOLDS)
    proofs = ask(documents, None, kind)
    assert tuple(loose.what for loose in proofs.loose) == FOUND[kind]
    assert len(proofs.verdicts) == (kind == "invariants")
    assert proofs.asked == ASKED[kind]
    everything = ask(documents)
    assert everything.asked == sum(ask(documents, None, each).asked for each in QUESTIONS)
    assert sorted(loose.what for loose in everything.loose) == sorted(sum(FOUND.values(), ()))


CLAMPED = """
ruleset: s
hit: each
sets: {o: {type: number, min: 0, max: 5}}
unknown: skip
start: {o: 1}
rules:
  - {id: up, when: x > 0, add: {o: 1}}
  - {id: cap, when: y > 0, at_most: {o: <4>}}
"""


@pytest.mark.parametrize("kind", [None, *QUESTIONS])
def test_a_clamp_that_never_binds_is_no_redundant_rule_besides_whatever_is_asked(kind: Question | None) -> None:
    proofs = ask(home(CLAMPED), None, *([kind] if kind else []))
    expected = ["clamp_idle"] if kind in (None, "clamps") else []
    assert [loose.what for loose in proofs.loose] == expected


def test_kinds_of_questions_are_read_from_a_list_and_a_wrong_one_is_named() -> None:
    assert read_questions("parameters, dead") == ("dead", "parameters")
    with pytest.raises(ValueError, match=r"`ded` is no kind of question \(did you mean `dead`\?\)"):
        read_questions("total,ded")


class Clock:
    """Goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize("seconds", [0.5, 4, 8])
def test_what_is_not_asked_in_time_is_undecided_and_nothing_is_taken_for_loose(seconds: float, tmp_path: Path) -> None:
    documents = home(MANY, invariants=HOLDS)
    books = rulebooks_of(documents)
    proofs = prove("main", books, budget=Budget(seconds, Clock()), cache=tmp_path)
    everything = ask(documents)
    assert proofs.undecided
    assert proofs.cut_short == f"the budget of {seconds:g} s was used up"
    assert not proofs.clean
    assert proofs.asked == everything.asked
    assert {(loose.what, loose.part) for loose in proofs.loose} <= {
        (loose.what, loose.part) for loose in everything.loose
    }
    late = [finding for finding in findings_of([proofs], books) if finding.code == "proofs.undecided"]
    assert len(late) == 1
    assert f"{proofs.undecided} of {proofs.asked} questions are undecided: the budget of" in late[0].message
    assert not any(finding.code == "invariant.undecided" for finding in findings_of([proofs], books))
    assert not prove("main", books, cache=tmp_path).cached


def test_an_invariant_that_compares_two_profiles_is_one_finding_for_both() -> None:
    documents = home(RULES, invariants=STRICT, profiles__other=OTHER.replace("6", "4"))
    books = rulebooks_of(documents)
    asked = [prove(name, books) for name in ("main", "other")]
    assert [proofs.counts["refuted"] for proofs in asked] == [1, 1]
    (finding,) = (found for found in findings_of(asked, books) if found.code == "invariant.refuted")
    assert finding.message.startswith("`it` does not hold between main and other: ")
