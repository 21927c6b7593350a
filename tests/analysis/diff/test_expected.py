"""Transitions that `diverges` says are meant, from whichever side it says so, and entries that nothing uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.analysis.diff.behaviour import behaviour
from engine.analysis.diff.report import diff_sides, fails
from engine.analysis.diff.sides import Asked, Side
from engine.language.rulebook import Rulebook
from tests.analysis.diff.homes import HOME, load

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
