"""What invariants are built into, and the one line that says what each promises."""

from __future__ import annotations

import pytest

from engine.language import model
from engine.language.load import Workspace
from engine.language.printer import print_invariant
from tests.language.test_fuzz_load import SMALL, workspace_of

POLICY = SMALL["policies/route.yaml"].decode().partition("invariants:")[0]


def built(says: str, policy: str = POLICY, name: str = "route") -> model.Invariant:
    text = f"{policy}invariants:\n  - id: a\n    {says}\n"
    workspace: Workspace = workspace_of(SMALL | {f"policies/{name}.yaml": text.encode()})
    (invariant,) = workspace.rulebook("live").policies[name].invariants
    return invariant


@pytest.mark.parametrize(
    ("says", "line"),
    [
        ("claim: open implies\n      tier == high", "open implies tier == high"),
        ("monotone: {of: tier, in: spread_bps, moves: falls}", "tier falls as spread_bps rises"),
        ("monotone: {of: open, in: bid, moves: rises}", "open rises as bid rises"),
        (
            'bounded: {of: offset_bps, min: "min(1,$nudge.base_bps)", max: 2 + $nudge.step_bps}',
            "min(1,$nudge.base_bps) <= offset_bps <= 2 + $nudge.step_bps",
        ),
        ("bounded: {of: offset_bps, min: 0}", "0 <= offset_bps"),
        ("bounded: {of: offset_bps, max: 10}", "offset_bps <= 10"),
        ("unchanged_when: {of: tier, in: venue, when: true}", "tier unchanged by venue where true"),
        (
            "unchanged_when: {of: [tier, open], in: [side, bid], when: tier < high}",
            "tier, open unchanged by side, bid where tier < high",
        ),
        ("fail_closed: {when: open, missing: [market]}", "open, known or not: market"),
        (
            "fail_closed: {when: open, missing: [intent, market], unless: side is missing}",
            "open, known or not: intent, market (unless side is missing)",
        ),
        (
            "at_least_as_strict: {profile: live, than: paper, when: open}",
            "live at least as strict as paper: open",
        ),
    ],
)
def test_a_promise_in_one_line(says: str, line: str) -> None:
    assert print_invariant(built(says)) == line


def test_a_bound_that_is_left_out_is_none() -> None:
    invariant = built("bounded: {of: offset_bps, max: $nudge.base_bps}")
    assert isinstance(invariant, model.Bounded)
    assert invariant.least is None
    assert invariant.most is not None
    assert isinstance(invariant.most.expression, model.ParameterRef)
    assert (invariant.id, invariant.of, invariant.profiles) == ("a", "offset_bps", None)


def test_least_and_most_are_min_and_max() -> None:
    invariant = built("bounded: {max: 3, of: offset_bps, min: 1}")
    assert isinstance(invariant, model.Bounded)
    assert invariant.least is not None
    assert invariant.most is not None
    assert (invariant.least.text, invariant.most.text) == ("1", "3")


def test_one_name_is_a_list_of_one() -> None:
    invariant = built("profiles: [live]\n    doc: why\n    unchanged_when: {of: tier, in: [side, bid], when: urgent}")
    assert isinstance(invariant, model.UnchangedWhen)
    assert invariant.doc == "why"
    assert (invariant.of, invariant.in_, invariant.profiles) == (("tier",), ("side", "bid"), ("live",))
    assert isinstance(invariant.when.expression, model.FactRef)


def test_the_decisions_of_another_policy_are_a_group() -> None:
    policy = SMALL["policies/size.yaml"].decode()
    invariant = built("fail_closed: {when: share > 0, missing: [{decisions: route}, market]}", policy, "size")
    assert isinstance(invariant, model.FailClosed)
    assert invariant.missing == ("decisions.route", "market")
    assert invariant.missing == tuple(
        group.name for group in workspace_of(SMALL).rulebook("live").policies["size"].groups
    )
    assert invariant.unless is None
    assert print_invariant(invariant) == "share > 0, known or not: decisions.route, market"


def test_promises_point_at_their_id() -> None:
    invariants = workspace_of(SMALL).rulebook("live").policies["route"].invariants
    lines = SMALL["policies/route.yaml"].decode().splitlines()
    for invariant in invariants:
        assert lines[invariant.span.line - 1][invariant.span.column - 1 :].startswith(invariant.id)


def test_what_a_broken_file_hides_is_nobodys_fault() -> None:
    """The policy is not blamed for facts and groups of a file that cannot be read."""
    workspace = workspace_of(SMALL | {"policies/facts.yaml": b"groups: [\n"})
    assert {finding.span.file for finding in workspace.findings} == {"policies/facts.yaml"}
    workspace = workspace_of(SMALL | {"rules/nudge.yaml": b"ruleset: [\n"})
    assert {finding.span.file for finding in workspace.findings} == {"rules/nudge.yaml"}
