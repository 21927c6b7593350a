"""`sluice prove`, and what `check` says of proofs: refuted with a witness, remembered, at every width, without Z3."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine.analysis import check, request
from engine.analysis.proofs.asking import Asker
from tests.cli.harness import HOME, sluice


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the small home, to be broken."""
    target = tmp_path / "home"
    shutil.copytree(HOME, target)
    return target


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def broken(home: Path) -> Path:
    """A home whose gate lets the tier ok pass, which an invariant of live forbids."""
    edit(home / "rules/gates.yaml", "tier < ok or tier == ok and not $trusts_ok", "tier < ok and not $trusts_ok")
    return home


@pytest.fixture
def loose(home: Path) -> Path:
    """A home with a rule that nothing reaches."""
    rule = "  - id: worse\n    when: fallback_ratio > $bad_fallback_ratio\n    set: {tier: bad}\n    why: even more\n"
    edit(home / "rules/tier.yaml", "  - id: good\n", f"{rule}  - id: good\n")
    return home


@pytest.fixture
def without_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (check, request):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == "z3" else find_spec(name))


def test_what_holds_is_counted_and_listed_where_it_is_wanted(home: Path) -> None:
    result = sluice("prove", "live", cwd=home)
    assert result.exit_code == 0
    assert "routing  6 of 6 invariants proven" in result.output
    assert "maker_implies_good" not in result.output
    every = sluice("prove", "live", "--all", cwd=home).output
    assert "  proven     maker_implies_good  policies/routing.yaml:8" in every


def test_an_unchanged_profile_is_remembered_unless_that_is_not_wanted(home: Path) -> None:
    sluice("prove", "live", cwd=home)
    last = sluice("prove", "live", cwd=home).output.splitlines()[-1]
    assert re.fullmatch(r"live: 6 invariants proven, no loose end in \d+ questions \(remembered\)", last)
    last = sluice("prove", "live", "--no-cache", cwd=home).output.splitlines()[-1]
    assert re.fullmatch(r"live: 6 invariants proven, no loose end in \d+ questions \(\d+\.\d s\)", last)


@pytest.mark.parametrize("columns", [80, 160])
def test_what_does_not_hold_is_shown_with_an_input_that_breaks_it(broken: Path, columns: int) -> None:
    result = sluice("prove", "live", cwd=broken, columns=columns)
    assert result.exit_code == 1
    assert "  refuted    maker_implies_good  policies/routing.yaml:8" in result.output
    assert '{"now": 1700000000.0, "intent": {"maker_requested": true}}' in " ".join(result.output.split())
    assert "    decided  tier ok, route maker" in result.output
    assert "route.maker" in result.output.partition("    fired    ")[2]
    assert "maker: no veto; tier ok" not in result.output
    assert max(len(line) for line in result.output.splitlines()) <= columns


@pytest.mark.parametrize("columns", [80, 160])
def test_the_whole_decisions_on_a_witness_are_shown_where_they_are_wanted(broken: Path, columns: int) -> None:
    lines = sluice("prove", "live", "--trace", cwd=broken, columns=columns).output.splitlines()
    shown = lines[lines.index("    decided  tier ok, route maker") :]
    assert any(line.startswith("    maker: no veto; tier ok") for line in shown)
    assert "    rules that matched" in shown
    assert max(len(line) for line in lines) <= columns


@pytest.mark.parametrize("command", ["prove", "check"])
def test_what_reaches_a_rule_that_says_nothing_does_is_shown(home: Path, command: str) -> None:
    edit(home / "rules/tier.yaml", "    why: maker orders end as taker\n", "    expect: unreachable\n    why: never\n")
    said = " ".join(sluice(command, "live", cwd=home).output.split())
    assert "`tier.bad` says `expect: unreachable`, and some input reaches it" in said
    found = re.search(r"help: for example ([^:]*), nothing else: take `expect` away", said)
    assert found is not None
    assert re.fullmatch(r"sample_count [\d.]+, fallback_ratio [\d.]+", found[1])


def test_a_witness_as_json_is_decided_as_it_says(broken: Path) -> None:
    found = json.loads(sluice("prove", "live", "--json", cwd=broken).output)
    (refuted,) = (verdict for verdict in found["verdicts"] if verdict["status"] == "refuted")
    (facts,), (decision,) = refuted["witness"]["facts"], refuted["witness"]["decisions"]
    (broken / "facts.json").write_text(json.dumps(facts))
    again = json.loads(sluice("decide", "-p", "live", "facts.json", "--json", cwd=broken).output)
    assert again == decision
    assert again["decided"]["route"] == "maker"


def test_a_refuted_invariant_is_a_finding_of_check_that_points_to_the_rules(broken: Path) -> None:
    result = sluice("check", "live", "--json", cwd=broken)
    assert result.exit_code == 1
    (finding,) = (found for found in json.loads(result.output)["findings"] if found["code"] == "invariant.refuted")
    assert (finding["file"], finding["line"], finding["severity"]) == ("policies/routing.yaml", 8, "error")
    assert "rules/route.yaml" in [place["file"] for place in finding["related"]]
    assert (
        "::error file=policies/routing.yaml,line=8" in sluice("check", "live", "--format", "github", cwd=broken).output
    )
    sarif = json.loads(sluice("check", "live", "--format", "sarif", cwd=broken).output)
    assert "invariant.refuted" in [result["ruleId"] for result in sarif["runs"][0]["results"]]


@pytest.mark.parametrize("columns", [80, 160])
def test_a_loose_end_is_shown_by_both_commands(loose: Path, columns: int) -> None:
    for arguments in (("prove", "live"), ("check", "live")):
        result = sluice(*arguments, cwd=loose, columns=columns)
        assert result.exit_code == 1
        assert "rules/tier.yaml:22:9: warning: no input reaches `tier.worse`" in result.output
        assert "1 loose end" in result.output
        assert max(len(line) for line in result.output.splitlines()) <= columns


def test_a_profile_that_two_checks_share_a_loose_end_with_says_so_once(loose: Path) -> None:
    output = " ".join(sluice("check", cwd=loose).output.split())
    assert output.count("no input reaches `tier.worse`") == 1
    assert "`tier.bad` leaves nothing for it (in live and trial)" in output


def test_check_can_leave_proofs_out(broken: Path) -> None:
    result = sluice("check", "--no-prove", cwd=broken)
    assert result.exit_code == 0
    assert "proven" not in result.output


@pytest.mark.usefixtures("without_solver")
def test_without_the_solver_check_says_that_nothing_was_proven_and_prove_refuses(broken: Path) -> None:
    result = sluice("check", "live", cwd=broken)
    assert result.exit_code == 0
    assert "note: the invariants were not proven [proofs.missing]" in " ".join(result.output.split())
    assert "pip install 'sluice-router[prove]'" in " ".join(result.output.split())
    result = sluice("prove", "live", cwd=broken)
    assert result.exit_code == 2
    assert "this needs the extra `prove`" in result.output
    assert "pip install 'sluice-router[prove]'" in result.output


def test_an_interrupt_ends_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Asker, "model", interrupted)
    assert sluice("prove", "live", "--no-cache", cwd=home).exit_code == 130


def test_a_profile_that_is_not_there_and_a_time_that_is_none_are_refused(home: Path) -> None:
    assert sluice("prove", "lve", cwd=home).exit_code == 2
    assert sluice("prove", "live", "--timeout", "0", cwd=home).exit_code == 2
    assert sluice("prove", "live", "--json", "--format", "text", cwd=home).exit_code == 2


def test_a_profile_that_does_not_load_is_reported_as_by_check(home: Path) -> None:
    edit(home / "rules/tier.yaml", "fallback_ratio >= $bad", "falback_ratio >= $bad")
    result = sluice("prove", "live", cwd=home)
    assert result.exit_code == 1
    assert "name.unknown" in result.output


def test_only_some_questions_can_be_asked(broken: Path) -> None:
    result = sluice("prove", "live", "--only", "dead,total", cwd=broken)
    assert result.exit_code == 0
    assert "invariant" not in result.output
    assert re.search(r"live: no loose end in \d+ questions", result.output)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "ded"), "`ded` is no kind of question (did you mean `dead`?)"),
        (("--only", ""), "`` is no kind of question (there are invariants, total, dead,"),
        (("--timeout", "nan"), "`nan` is not between 0 and 1,000,000 seconds"),
        (("--budget", "1e99"), "`1e99` is not between 0 and 1,000,000 seconds"),
        (("--budget", "soon"), "`soon` is no number of seconds"),
    ],
)
def test_what_cannot_be_asked_is_a_matter_of_usage(home: Path, arguments: tuple[str, str], said: str) -> None:
    result = sluice("prove", "live", *arguments, cwd=home)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("command", ["prove", "check"])
def test_what_a_budget_is_not_enough_for_is_counted_and_fails(home: Path, command: str, columns: int) -> None:
    result = sluice(command, "live", "--no-cache", "--budget", "1e-9", cwd=home, columns=columns)
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    found = re.search(r"(\d+) of (\d+) questions are undecided: the budget of 1e-09 s was used up", said)
    assert found is not None
    assert found[1] == found[2]
    assert "live" in said
    assert "6 undecided" in said
    assert max(len(line) for line in result.output.splitlines()) <= columns
