"""`diverges`: which entries a profile has, its parents' included."""

from __future__ import annotations

import pytest

from engine.language.findings import LoadError
from engine.language.model import Divergence
from tests.language.test_fuzz_load import SMALL, workspace_of

PAPER = SMALL["profiles/paper.yaml"].decode().partition("diverges:")[0]
TIER = "{against: live, decision: route.tier, from: low, to: high, why: other books}"
OPEN = "{against: live, decision: route.open, to: true, why: no hurry}"


def listed(*entries: str) -> str:
    return "diverges:\n" + "".join(f"  - {entry}\n" for entry in entries)


def stated(files: dict[str, str], profile: str) -> tuple[Divergence, ...]:
    changed = {name: text.encode() for name, text in files.items()}
    return workspace_of(SMALL | changed).rulebook(profile).diverges


def codes(files: dict[str, str], profile: str) -> list[tuple[str, str]]:
    with pytest.raises(LoadError) as caught:
        stated(files, profile)
    return [(finding.code, finding.span.file) for finding in caught.value.findings]


def test_an_entry_keeps_its_values_its_why_and_its_place() -> None:
    tier, opened = stated({"profiles/paper.yaml": PAPER + listed(TIER, OPEN)}, "paper")
    assert (tier.against, tier.policy, tier.decision) == ("live", "route", "tier")
    assert (tier.before, tier.after, tier.why) == ("low", "high", "other books")
    assert (opened.before, opened.after) == (None, True)
    assert str(tier.span) == "profiles/paper.yaml:6:31"


def test_a_profile_without_entries_has_none() -> None:
    assert stated({}, "live") == ()


def test_a_child_adds_to_what_its_parent_states() -> None:
    child = "profile: child\nextends: paper\n" + listed(OPEN)
    files = {"profiles/paper.yaml": PAPER + listed(TIER), "profiles/child.yaml": child}
    assert [item.decision for item in stated(files, "child")] == ["tier", "open"]
    assert [item.decision for item in stated(files, "paper")] == ["tier"]


def test_an_abstract_parent_states_for_all_its_children_what_concerns_them() -> None:
    """Against the child itself an entry says nothing, nor about a policy that the child does not run."""
    size = "{against: nobody_else, decision: size.share, why: other sizes}"
    base = SMALL["profiles/base.yaml"].decode() + listed(TIER, size)
    other = "profile: nobody_else\nextends: base\npolicies: [route, size]\n"
    files = {"profiles/base.yaml": base, "profiles/nobody_else.yaml": other, "profiles/paper.yaml": PAPER}
    assert [item.decision for item in stated(files, "paper")] == ["tier"]
    assert [item.decision for item in stated(files, "live")] == ["share"]
    assert [item.decision for item in stated(files, "nobody_else")] == ["tier"]


def test_against_a_grandchilds_parent_an_entry_says_nothing_of_the_grandchild() -> None:
    files = {
        "profiles/paper.yaml": PAPER + listed(TIER.replace("live", "child")),
        "profiles/child.yaml": "profile: child\nextends: paper\n",
        "profiles/grandchild.yaml": "profile: grandchild\nextends: child\n",
    }
    assert [item.against for item in stated(files, "paper")] == ["child"]
    assert stated(files, "child") == ()
    assert stated(files, "grandchild") == ()


def test_an_entry_wrong_in_the_parent_stops_the_child_as_well_and_points_there() -> None:
    files = {
        "profiles/paper.yaml": PAPER + listed(TIER.replace("high", "hihg")),
        "profiles/child.yaml": "profile: child\nextends: paper\n",
    }
    assert codes(files, "paper") == codes(files, "child") == [("value.type", "profiles/paper.yaml")]


def test_an_empty_why_is_none() -> None:
    text = PAPER + listed(TIER.replace("other books", "''"))
    assert codes({"profiles/paper.yaml": text}, "paper") == [("profile.no_why", "profiles/paper.yaml")]


@pytest.mark.parametrize("name", ["policies/route.yaml", "rules/tier.yaml"])
def test_a_broken_file_that_hides_the_decision_is_blamed_alone(name: str) -> None:
    files = {name: "a: [\n", "profiles/paper.yaml": PAPER + listed(TIER)}
    assert {file for _, file in codes(files, "paper")} == {name}


def test_against_a_broken_profile_nothing_is_said() -> None:
    files = {"profiles/live.yaml": "a: [\n", "profiles/paper.yaml": PAPER + listed(TIER)}
    assert [item.against for item in stated(files, "paper")] == ["live"]


@pytest.mark.parametrize("decision", [".", "route.", ".tier", "route.tier.low", "''", "route . tier", "a b.c"])
def test_a_decision_that_is_none_is_a_finding_at_it(decision: str) -> None:
    text = PAPER + listed(f"{{against: live, decision: {decision}, why: to see}}")
    assert codes({"profiles/paper.yaml": text}, "paper") == [("name.unknown", "profiles/paper.yaml")]
