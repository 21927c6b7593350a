"""An edit that breaks a comparison of two profiles is tried in the parent that both take the value from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from rich.console import Console

from engine.analysis.proofs.prove import prove
from engine.analysis.why_not.ask import WhyNot, rulebooks_of, why_not
from engine.analysis.why_not.of_parameters import lines_of
from engine.analysis.why_not.pages import print_why_not, why_not_json
from engine.analysis.why_not.rulebooks import HomeRulebooks
from engine.analysis.why_not.wish import read_wish
from engine.book import Book, load
from engine.home import shipped_home
from engine.language.load import Files
from engine.language.nodes import Source
from tests.analysis.proofs.homes import rulebooks_of as rulebooks_in
from tests.analysis.test_why_not import FACTS
from tests.analysis.test_why_not_promises import BOTH, INVARIANTS, documents

TIGHT = "profile: tight\nextends: main\n"
LOOSE = "profile: loose\nextends: main\nvalues:\n  s.n: {value: 8, why: looser}\n"
AS_STRICT = "at_least_as_strict: {profile: tight, than: loose, when: open}"


def files(promise: str = AS_STRICT, tight: str = TIGHT) -> dict[str, str]:
    return {
        **documents(BOTH, promise, "n: 1, m: 2"),
        "profiles/tight.yaml": tight,
        "profiles/loose.yaml": LOOSE,
    }


def ask(held: dict[str, str], profile: str = "tight", **moment: str) -> WhyNot:
    home = HomeRulebooks(Files({name: Source.of(name, text) for name, text in held.items()}, ()))
    book = Book(home(profile), "interpreter")
    facts: dict[str, Any] = {"now": 0.0, "g": {"x": 9.0, "y": 3.0}, **moment}
    return why_not(book, "p", facts, read_wish(book.policy("p"), "open=true"), others=home)


def test_the_parent_is_edited_where_the_same_edit_of_the_profile_alone_breaks() -> None:
    found = ask(files())
    edit = found.edit
    assert edit is not None
    assert (edit.parent, edit.also, edit.breaks, edit.unproven) == ("main", ("loose",), (), ())
    assert edit.alone_breaks == ("p.kept",)
    (change,) = edit.changes
    assert (change.parameter, change.after) == ("s.m", 3.0)


def test_the_line_that_is_named_written_anew_keeps_every_invariant_and_decides_as_wished() -> None:
    held = files()
    edit = ask(held).edit
    assert edit is not None
    (change,) = edit.changes
    lines = held[change.origin.span.file].splitlines()
    assert lines[change.origin.span.line - 1] == "  s.m: 2"
    lines[change.origin.span.line - 1] = lines_of(edit)[-1]
    held[change.origin.span.file] = "\n".join(lines)
    edited = rulebooks_in(held)
    for profile in ("tight", "loose", "main"):
        assert prove(profile, edited, only=INVARIANTS).proven
    decided = Book(edited("tight"), "interpreter").decide("p", {"now": 0.0, "g": {"x": 9.0, "y": 3.0}})
    assert decided["open"] is True


def test_a_value_of_a_symbol_group_of_the_parent_is_edited_in_that_group() -> None:
    held = files()
    held["profiles/main.yaml"] += "symbols: {thin: {of: [DOGE], values: {s.m: {value: 2.5, why: thin}}}}\n"
    edit = ask(held, symbol="DOGE").edit
    assert edit is not None
    assert (edit.parent, edit.also, edit.breaks, edit.unproven) == ("main", ("loose",), (), ())
    assert lines_of(edit)[:3] == ["symbols:", "  thin:", "    values:"]


@pytest.mark.parametrize(
    "held",
    [
        files(f"{AS_STRICT}}}\n  - {{id: calm, profiles: [loose], claim: not open or y <= 2.5 or x <= 8"),
        files(tight=TIGHT + "values:\n  s.m: {value: 1, why: its own}\n  s.n: {value: 0, why: its own}\n"),
    ],
    ids=["it breaks what another profile promises", "the value is the profile's own"],
)
def test_a_parent_that_is_none_the_better_is_not_offered(held: dict[str, str]) -> None:
    edit = ask(held).edit
    assert edit is not None
    assert (edit.parent, edit.also, edit.breaks) == (None, (), ("p.kept",))


def test_the_shipped_parent_is_named_with_its_line_and_whom_it_changes() -> None:
    book = load("prod")
    facts = copy.deepcopy(FACTS)
    facts["telemetry"]["fallback_ratio"] = 0.55
    wish = read_wish(book.policy("routing"), "route=maker")
    found = why_not(book, "routing", facts, wish, others=rulebooks_of(shipped_home()))
    shown = why_not_json(found)
    assert (shown["parent"], shown["also"], shown["breaks"], shown["unproven"]) == ("base", ["testnet"], [], [])
    console = Console(width=80)
    with console.capture() as page:
        print_why_not(console, found, "taker", "prod")
    said = " ".join(page.get().split())
    assert "with this edit of profiles/base.yaml:" in said
    assert f"# in place of 0.4 at {shown['parameters'][0]['at']}" in said
    assert "it changes the other profiles that extend base: testnet; in profiles/prod.yaml alone it breaks" in said


def test_profiles_that_extend_the_edited_one_change_with_it_and_what_breaks_in_them_is_named() -> None:
    held = files("claim: open implies y <= 2.5 or x <= 8, profiles: [heir]")
    held["profiles/heir.yaml"] = "profile: heir\nextends: tight\nvalues:\n  s.n: {value: 7, why: later}\n"
    edit = ask(held).edit
    assert edit is not None
    assert (edit.parent, edit.also) == (None, ("heir",))
    changed = {**held, "profiles/tight.yaml": TIGHT + "values:\n  s.m: {value: 3, why: tried}\n"}
    (verdict,) = prove("heir", rulebooks_in(changed), only=INVARIANTS).verdicts
    assert ("p.kept" in edit.breaks) == (verdict.status == "refuted")


def test_a_comparison_with_a_profile_that_extends_the_edited_one_holds_with_both_edited() -> None:
    held = files("at_least_as_strict: {profile: tight, than: heir, when: open}")
    held["profiles/heir.yaml"] = "profile: heir\nextends: tight\n"
    edit = ask(held).edit
    assert edit is not None
    assert (edit.breaks, edit.unproven, edit.also) == ((), (), ("heir",))
