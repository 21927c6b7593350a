"""What an edit breaks on the very facts that were asked about is known without the solver."""

from __future__ import annotations

from typing import Any

import pytest

from engine.analysis.proofs.asking import Budget
from engine.analysis.proofs.prove import prove
from engine.analysis.why_not import promises
from engine.analysis.why_not.ask import why_not
from engine.analysis.why_not.at_hand import broken_at_hand
from engine.analysis.why_not.wish import read_wish
from engine.book import Book
from engine.language.types import Value
from tests.analysis.proofs.homes import rulebook_of
from tests.analysis.proofs.homes import rulebooks_of as rulebooks_in
from tests.analysis.test_why_not_promises import BOTH, EITHER, INVARIANTS, OTHER, STRICTER, SUM, UNSEEN, ask, documents

FORMS: dict[str, tuple[str, str, dict[str, Value], str, str]] = {
    "a claim": (BOTH, "claim: not open or x <= 1 or y <= 2", {"x": 6.0, "y": 3.0}, "n: 1, m: 3", "n: 1, m: 2"),
    "a bound": (
        SUM, "bounded: {of: offset, min: 0, max: 5}", {"x": 1.0, "y": 1.0},
        "base: 4, step: 1, far: 1", "base: 3, step: 1, far: 1",
    ),
    "a direction": (EITHER, "monotone: {of: open, in: x, moves: falls}", {"x": -9.0}, "n: 9, m: -8", "n: 9, m: -10"),
    "no influence": (
        BOTH, "unchanged_when: {of: [open], in: [y], when: x < 5}", {"x": 4.0, "y": 0.0},
        "n: 1, m: 2", "n: 5, m: 2",
    ),
    "not knowing, with a fact given": (
        UNSEEN, "fail_closed: {when: open, missing: [g]}", {"x": 5.0, "y": 1.0},
        "n: 1, strict: false", "n: 1, strict: true",
    ),
    "not knowing, with a fact missing": (
        UNSEEN, "fail_closed: {when: open, missing: [g]}", {"y": 1.0}, "n: 1, strict: false", "n: 1, strict: true",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_broken_where_it_is_and_nowhere_else(form: str) -> None:
    rules, promise, facts, breaking, keeping = FORMS[form]
    for values, broken in ((breaking, ["kept"]), (keeping, [])):
        rulebook = rulebook_of(documents(rules, promise, values))
        found = broken_at_hand(rulebook, rulebook.policies, [{"now": 0.0, "g": facts}], None)
        assert [verdict.id for verdict in found] == broken
    assert prove("main", rulebooks_in(documents(rules, promise, keeping)), only=INVARIANTS).proven


@pytest.mark.parametrize("form", FORMS)
def test_the_inputs_that_break_a_form_are_those_that_the_solver_confirms(form: str) -> None:
    rules, promise, facts, breaking, _ = FORMS[form]
    rulebook = rulebook_of(documents(rules, promise, breaking))
    (found,) = broken_at_hand(rulebook, rulebook.policies, [{"now": 0.0, "g": facts}], None)
    (proved,) = prove("main", lambda _: rulebook, only=INVARIANTS).verdicts
    assert (found.status, found.text, found.span) == (proved.status, proved.text, proved.span)
    assert found.witness is not None
    assert proved.witness is not None
    assert len(found.witness.facts) == len(proved.witness.facts)


@pytest.fixture
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "prove", lambda *given, **how: prove(*given, **{**how, "budget": Budget(0.0)}))


@pytest.mark.usefixtures("_no_time")
def test_an_edit_that_breaks_a_claim_on_the_facts_themselves_says_so_without_a_proof() -> None:
    found = ask(BOTH, "claim: not open or x <= 1 or y <= 2", "n: 1, m: 2", x=6.0, y=3.0)
    assert found.edit is not None
    assert (found.edit.breaks, found.edit.unproven) == (("p.kept",), ())


@pytest.mark.usefixtures("_no_time")
def test_what_the_facts_break_without_the_edit_is_not_broken_by_it() -> None:
    found = ask(BOTH, "claim: x <= 5", "n: 1, m: 2", x=6.0, y=3.0)
    assert found.edit is not None
    assert (found.edit.breaks, found.edit.unproven) == ((), ("p.kept",))


@pytest.mark.usefixtures("_no_time")
def test_an_edit_that_opens_the_stricter_profile_alone_says_so_without_a_proof() -> None:
    both = rulebooks_in({**documents(BOTH, STRICTER, "n: 1, m: 2"), "profiles/other.yaml": OTHER})
    book = Book(both("main"), "interpreter")
    facts: dict[str, Any] = {"now": 0.0, "g": {"x": 9.0, "y": 3.0}}
    found = why_not(book, "p", facts, read_wish(book.policy("p"), "open=true"), others=both)
    assert found.edit is not None
    assert (found.edit.breaks, found.edit.unproven) == (("p.kept",), ())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("given", [float("nan"), 10**400, "six", None, 11.0])
def test_facts_that_do_not_count_are_tried_like_any_others(form: str, given: Any) -> None:
    rules, promise, facts, _, keeping = FORMS[form]
    rulebook = rulebook_of(documents(rules, promise, keeping))
    odd = [{"now": 0.0, "g": {**facts, name: given}} for name in facts]
    assert broken_at_hand(rulebook, rulebook.policies, odd, None) == []
    assert broken_at_hand(rulebook, rulebook.policies, [{"now": 0.0, "g": given}, {"now": 0.0}], None) == []
