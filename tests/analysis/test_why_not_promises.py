"""An edit of parameters keeps what the policy promises where one can, and says what it breaks where none does."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from engine.analysis.proofs import Question
from engine.analysis.proofs.asking import Budget
from engine.analysis.proofs.prove import prove
from engine.analysis.why_not import promises
from engine.analysis.why_not.ask import WhyNot, rulebooks_of, why_not
from engine.analysis.why_not.of_parameters import edit_lines
from engine.analysis.why_not.pages import why_not_json
from engine.analysis.why_not.wish import read_wish
from engine.book import Book, load
from engine.home import shipped_home
from engine.language.types import Value
from tests.analysis.proofs.homes import home, rulebook_of
from tests.analysis.proofs.homes import rulebooks_of as rulebooks_in
from tests.analysis.test_why_not import FACTS

INVARIANTS: tuple[Question, ...] = ("invariants",)
HEAD = "ruleset: s\nhit: veto\nsets: {open: {type: flag}}\nunknown: match\nrules:\n"
NUMBERS = "params: {n: {type: number, min: -100, max: 100}, m: {type: number, min: -100, max: 100}}\n"
BOTH = HEAD + "  - {id: a, when: x > $n and y > $m}\n" + NUMBERS
EITHER = HEAD + "  - {id: a, when: x > $n}\n  - {id: b, when: x < $m}\n" + NUMBERS
SUM = """
ruleset: s
hit: each
sets: {offset: {type: number, min: 0, max: 100}}
unknown: skip
params:
  base: {type: number, min: 0, max: 9}
  step: {type: number, min: 0, max: 9}
  far: {type: number, min: 0, max: 9}
start: {offset: $base}
rules:
  - {id: up, when: x > 0, add: {offset: $step}}
  - {id: further, when: y > 0, add: {offset: $far}}
"""
UNSEEN = (
    HEAD
    + "  - {id: a, when: x > $n, unknown: skip}\n  - {id: b, when: x is missing and $strict}\n"
    + NUMBERS.replace("m: {type: number, min: -100, max: 100}", "strict: {type: flag}")
)


def documents(rules: str, promise: str, values: str) -> dict[str, str]:
    said = f"  - {{id: kept, {promise}}}\n" if promise else ""
    return home(rules, invariants=said, values="".join(f"  s.{line}\n" for line in values.split(", ")))


def ask(rules: str, promise: str, values: str, wish: str = "open=true", **facts: Value) -> WhyNot:
    book = Book(rulebook_of(documents(rules, promise, values)), "interpreter")
    return why_not(book, "p", {"now": 0.0, "g": facts}, read_wish(book.policy("p"), wish))


def edits(found: WhyNot) -> dict[str, Any]:
    assert found.edit is not None
    return {change.parameter.removeprefix("s."): change.after for change in found.edit.changes}


CASES: dict[str, tuple[str, str, str, str, dict[str, Value], dict[str, Any], dict[str, Any]]] = {
    "a claim": (
        BOTH, "claim: open implies y <= 2.5 or x <= 8", "n: 1, m: 2",
        "open=true", {"x": 6.0, "y": 3.0}, {"m": 3.0}, {"n": 6.0},
    ),
    "a bound": (
        SUM, "bounded: {of: offset, min: 0, max: 5}", "base: 1.5, step: 1, far: 1",
        "offset>=5", {"x": 1.0, "y": -1.0}, {"base": 4.0}, {"base": 4.0, "far": 0.0},
    ),
    "not knowing gains nothing": (
        UNSEEN, "fail_closed: {when: open, missing: [g]}", "n: 1, strict: true",
        "open=true", {"y": 1.0}, {"strict": False}, {"n": 10.0, "strict": False},
    ),
    "a direction": (
        EITHER, "monotone: {of: open, in: x, moves: falls}", "n: 9, m: -10",
        "open=false", {"x": -9.0}, {"m": -8.999}, {"n": -9.001},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_edit_that_breaks_a_promise_is_passed_over_for_one_that_keeps_it(case: str) -> None:
    rules, promise, values, wish, facts, smallest, kept = CASES[case]
    assert edits(ask(rules, "", values, wish, **facts)) == smallest
    found = ask(rules, promise, values, wish, **facts)
    assert found.edit is not None
    assert (edits(found), found.edit.breaks, found.edit.unproven) == (kept, (), ())
    # Of a direction no lesson can be said: that the same parameters might do with other values is not ruled out.
    assert found.undecided == (("parameters",) if case == "a direction" else ())
    changed = dict(pair.split(": ") for pair in values.split(", ")) | {
        name: str(value).lower() for name, value in edits(found).items()
    }
    edited = rulebooks_in(documents(rules, promise, ", ".join(f"{name}: {value}" for name, value in changed.items())))
    assert prove("main", edited, only=INVARIANTS).proven


def test_where_every_edit_breaks_a_promise_the_smallest_says_which() -> None:
    found = ask(BOTH, "claim: not open or x <= 1 or y <= 2", "n: 1, m: 2", x=6.0, y=3.0)
    assert found.edit is not None
    assert (edits(found), found.edit.breaks) == ({"m": 3.0}, ("p.kept",))


def test_what_is_broken_today_is_not_broken_by_an_edit() -> None:
    found = ask(BOTH, "claim: open", "n: 1, m: 2", x=6.0, y=3.0)
    assert found.edit is not None
    assert (edits(found), found.edit.breaks, found.edit.unproven) == ({"m": 3.0}, (), ())


OTHER = "profile: other\nextends: main\nvalues:\n  s.n: {value: 8, why: looser}\n"
STRICTER = "at_least_as_strict: {profile: main, than: other, when: open}"


@pytest.mark.parametrize(
    ("profile", "wish", "facts", "edit", "breaks"),
    [
        ("main", "open=true", {"x": 6.0, "y": 3.0}, {"n": 6.0}, ()),
        ("main", "open=true", {"x": 9.0, "y": 3.0}, {"m": 3.0}, ("p.kept",)),
        ("other", "open=false", {"x": 6.0, "y": 3.0}, {"n": 5.999}, ()),
        ("other", "open=false", {"x": 0.5, "y": 3.0}, {"n": 0.4999}, ("p.kept",)),
    ],
)
def test_two_profiles_stay_as_strict_as_each_other(
    profile: str, wish: str, facts: dict[str, Value], edit: dict[str, Any], breaks: tuple[str, ...]
) -> None:
    both = rulebooks_in({**documents(BOTH, STRICTER, "n: 1, m: 2"), "profiles/other.yaml": OTHER})
    book = Book(both(profile), "interpreter")
    asked = ("p", {"now": 0.0, "g": facts}, read_wish(book.policy("p"), wish))
    found = why_not(book, *asked, others=both)
    assert found.edit is not None
    assert (edits(found), found.edit.breaks, found.edit.unproven) == (edit, breaks, ())
    alone = why_not(book, *asked)
    assert alone.edit is not None
    assert (alone.edit.breaks, alone.edit.unproven) == ((), ("p.kept",))


def test_a_value_of_a_group_of_symbols_is_held_to_its_own_promises() -> None:
    """The edit is for the group alone, and what breaks the promise is an input of a symbol of it."""
    rules, promise, values, wish, facts, _, kept = CASES["a bound"]
    files = documents(rules, promise, values)
    given = ", ".join(f"s.{line.replace(': ', ': {value: ')}, why: thin}}" for line in values.split(", "))
    files["profiles/main.yaml"] += f"symbols: {{thin: {{of: [DOGE], values: {{{given}}}}}}}\n"
    book = Book(rulebook_of(files), "interpreter")
    found = why_not(book, "p", {"now": 0.0, "symbol": "DOGE", "g": facts}, read_wish(book.policy("p"), wish))
    assert found.edit is not None
    assert (edits(found), found.edit.breaks) == (kept, ())
    assert "  thin:" in edit_lines(found.edit.changes)


def test_the_shipped_profiles_name_what_an_edit_breaks() -> None:
    """Rulebooks without the documents of a home: nobody knows what a parent's edit would change."""
    book = load("prod")
    facts = copy.deepcopy(FACTS)
    facts["telemetry"]["fallback_ratio"] = 0.55
    wish = read_wish(book.policy("routing"), "route=maker")
    found = why_not(book, "routing", facts, wish, others=rulebooks_of(shipped_home()).__call__)
    shown = why_not_json(found)
    assert (shown["breaks"], shown["unproven"]) == (["routing.prod_is_stricter"], [])


def test_where_nobody_knows_in_time_no_promise_is_called_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "prove", lambda *given, **how: prove(*given, **{**how, "budget": Budget(0.0)}))
    found = ask(BOTH, "claim: open implies y <= 2.5 or x <= 8", "n: 1, m: 2", x=6.0, y=3.0)
    assert found.edit is not None
    assert (edits(found), found.edit.breaks, found.edit.unproven) == ({"m": 3.0}, (), ("p.kept",))
