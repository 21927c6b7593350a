"""Transitions that `diverges` says are meant, from whichever side it says so, and entries that nothing uses.

And those that it does not cover: how they are marked, and the line that closes a diff with them.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.markdown import markdown
from engine.analysis.diff.report import Diff, diff_sides, fails
from engine.analysis.diff.sides import Asked, Side
from engine.analysis.diff.transitions import Question, Scope
from engine.analysis.diff.unexpected import closing
from engine.language.rulebook import Rulebook
from tests.analysis.diff.homes import BASE, HOME, edited, load, write
from tests.cli.harness import sluice

ENTRY = "  - {{against: live, decision: {}, why: meant}}\n"


def trial(*entries: str) -> Rulebook:
    """The profile `trial`, with entries about what it does otherwise than `live`."""
    text = HOME["profiles/trial.yaml"] + (
        "diverges:\n" + "".join(ENTRY.format(each) for each in entries) if entries else ""
    )
    return load({**HOME, "profiles/trial.yaml": text}, "trial")


def meant(a: Rulebook, b: Rulebook) -> tuple[set[str], set[str], list[str]]:
    found = behaviour(a, b)
    expected = {each.decision for each in found.transitions if each.expected is not None}
    return expected, {each.decision for each in found.unexpected}, [each.decision for each in found.unused]


def test_an_entry_covers_what_it_names_and_nothing_else() -> None:
    assert meant(load(HOME), trial("routing.tier, from: low, to: middle")) == (
        {"tier"},
        {"open", "offset_bps", "route"},
        [],
    )


def test_ends_left_out_stand_for_any_value() -> None:
    b = trial("routing.tier", "routing.open", "routing.offset_bps", "routing.route, to: maker")
    assert meant(load(HOME), b) == ({"tier", "open", "offset_bps", "route"}, set(), [])


def test_an_entry_the_other_way_round_covers_nothing_and_is_unused() -> None:
    assert meant(load(HOME), trial("routing.tier, from: middle, to: low")) == (
        set(),
        {"tier", "open", "offset_bps", "route"},
        ["tier"],
    )


def test_an_entry_of_the_first_side_is_read_backwards() -> None:
    expected, unexpected, unused = meant(trial("routing.tier, from: low, to: middle"), load(HOME))
    assert expected == {"tier"}
    assert unused == []
    assert "tier" not in unexpected


def test_an_entry_about_another_policy_than_those_asked_is_not_unused() -> None:
    b = trial("size.share")
    assert behaviour(load(HOME), b, policies=["routing"]).unused == ()
    assert [each.decision for each in behaviour(load(HOME), b).unused] == ["share"]


def test_fail_on_unexpected_fails_for_what_is_not_meant_or_not_known() -> None:
    home = Path("home")
    a = Side(Asked("live", home, None, "live"), load(HOME), None)
    b = replace(a, rulebook=trial("routing.tier", "routing.open", "routing.offset_bps", "routing.route"))
    bare = replace(b, rulebook=trial())
    for side, expected in ((b, False), (bare, True), (a, False)):
        found = diff_sides(a, side)
        assert fails(found, "unexpected"), "it was not asked for"
        asked = replace(found, behaviour=behaviour(a.rulebook, side.rulebook))
        assert fails(asked, "unexpected") is expected


MARK = "  unexpected  "
ALL = ("routing.tier", "routing.open", "routing.offset_bps", "routing.route")


def compared(a: Rulebook, b: Rulebook) -> Diff:
    sides = (Side(Asked(book.profile, Path("home"), None, book.profile), book, None) for book in (a, b))
    return replace(diff_sides(*sides), behaviour=behaviour(a, b))


def written(folder: Path, *entries: str) -> Path:
    """A home whose `trial` states these entries about `live`."""
    text = HOME["profiles/trial.yaml"] + "diverges:\n" + "".join(ENTRY.format(each) for each in entries)
    return write(folder, {**HOME, "profiles/trial.yaml": text if entries else HOME["profiles/trial.yaml"]})


def test_the_closing_line_counts_names_and_says_how_to_state_one() -> None:
    last = closing(compared(load(HOME), trial("routing.open", "routing.offset_bps", "routing.route")))
    assert last is not None
    assert last.text == (
        "1 transition is unexpected: routing.tier low -> middle. One that is meant is stated under `diverges` in "
        "profiles/trial.yaml: {against: live, decision: routing.tier, from: low, to: middle, why: …}"
    )


def test_the_entry_that_the_closing_line_shows_covers_the_transition() -> None:
    """Of a number it has no ends, since those would be refused."""
    found = compared(load(HOME), trial("routing.tier", "routing.open", "routing.route"))
    last = closing(found)
    assert last is not None
    assert last.entry == "{against: live, decision: routing.offset_bps, why: …}"
    assert closing(compared(load(HOME), trial(*ALL))) is None


def test_a_transition_of_several_sets_of_symbols_is_named_once() -> None:
    found = compared(load(HOME), trial("routing.tier", "routing.offset_bps", "routing.route"))
    last = closing(found)
    assert last is not None
    assert found.behaviour is not None
    count = len(found.behaviour.unexpected)
    assert last.said == f"{count} transitions are unexpected: routing.open false -> true ({count} times)"


def test_a_profile_that_the_other_extends_is_the_one_that_states_it() -> None:
    """An entry of a child against its parent is refused, so the parent says it, the other way round."""
    child = {
        **HOME,
        "profiles/child.yaml": "profile: child\nextends: live\nvalues:\n  tier.low_bps: {value: 20, why: w}\n",
    }
    last = closing(compared(load(child), load(child, "child")))
    assert last is not None
    assert "in profiles/live.yaml" in last.how
    assert last.entry == "{against: child, decision: routing.tier, from: middle, to: low, why: …}"


def test_two_states_of_one_profile_have_nowhere_to_state_it() -> None:
    last = closing(compared(load(HOME), load(edited((BASE, "tier.low_bps: 10", "tier.low_bps: 15")))))
    assert last is not None
    assert last.text.endswith("`diverges` states differences between two profiles, and both sides are `live`")
    assert last.entry == ""


def test_what_is_undecided_is_named_as_well() -> None:
    found = compared(load(HOME), trial(*ALL))
    assert found.behaviour is not None
    scope = Scope((), (), others=True, groups_a=((),), groups_b=((),))
    asked = replace(found.behaviour, undecided=(Question("routing", "tier", scope, "the time was over"),))
    last = closing(replace(found, behaviour=asked))
    assert last is not None
    assert last.text == "1 decision is undecided, which counts as unexpected: routing.tier"


def test_marks_are_there_where_a_profile_states_anything_or_it_was_asked(tmp_path: Path) -> None:
    stated, bare = written(tmp_path / "stated", ALL[0]), written(tmp_path / "bare")
    fail = ("--fail-on", "unexpected")
    for home, options, marked in ((stated, (), True), (bare, (), False), (bare, fail, True), (stated, fail, True)):
        result = sluice("diff", "live", "trial", *options, cwd=home, columns=80)
        assert (MARK in result.stdout, "unexpected: routing." in result.stdout) == (marked, marked)
        assert result.exit_code == (1 if options else 0)
        assert max(map(len, result.stdout.splitlines())) <= 80
        page = sluice("diff", "live", "trial", *options, "--format", "markdown", cwd=home).stdout
        assert ("- **unexpected**: no entry of `diverges`" in page) is marked
        assert (re.search(r"^\*\*Note:\*\* \d+ transitions are unexpected: ", page, re.MULTILINE) is not None) is marked


def test_an_expected_transition_bears_no_mark(tmp_path: Path) -> None:
    text = sluice("diff", "live", "trial", "--fail-on", "unexpected", cwd=written(tmp_path, *ALL)).stdout
    assert "      expected  meant" in text
    assert MARK not in text
    assert "- expected: meant" in markdown(compared(load(HOME), trial(*ALL)))


def test_programs_read_why_it_failed_on_standard_error(tmp_path: Path) -> None:
    home = written(tmp_path, *ALL[1:])
    for style in ("json", "github"):
        result = sluice("diff", "live", "trial", "--fail-on", "unexpected", "--format", style, cwd=home)
        assert result.exit_code == 1
        assert result.stderr.startswith("1 transition is unexpected: routing.tier low -> middle. ")
        assert "1 transition is" not in result.stdout
        if style == "json":
            assert json.loads(result.stdout)["differs"]
    assert sluice("diff", "live", "trial", "--json", cwd=home).stderr == ""
