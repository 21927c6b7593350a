"""How a diff looks: in every format as it was reviewed, and within the width of a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.analysis.diff.markdown import markdown
from engine.analysis.diff.report import diff_sides
from engine.analysis.diff.sides import open_sides
from tests.analysis.diff.homes import BASE, EDITS, LIVE, commit, edited, repository, write
from tests.analysis.diff.pages import FORMATS, GOLDEN, changed_home, page
from tests.cli.harness import sluice


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose working tree has an edit of every kind."""
    return changed_home(tmp_path_factory.mktemp("changed"))


@pytest.mark.parametrize("name", FORMATS)
def test_output_is_as_reviewed(home: Path, name: str) -> None:
    reviewed = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert page(home, name) == reviewed, "if this is meant: python -m tests.analysis.diff.update_golden"


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_text_keeps_to_the_width_and_uses_it(home: Path, columns: int) -> None:
    lines = sluice("diff", "git:HEAD:live", "live", "--all", cwd=home, columns=columns).output.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= columns
    wide = sluice("diff", "git:HEAD:live", "live", "--all", cwd=home, columns=300).output.splitlines()
    assert len(wide) < len(lines) or columns > 80


def test_both_places_stand_on_one_line(home: Path) -> None:
    text = sluice("diff", "live", "trial", cwd=home, columns=55).output
    assert "profiles/base.yaml:6 -> profiles/trial.yaml:5" in text


def test_every_topic_is_in_every_format(home: Path) -> None:
    report = json.loads(sluice("diff", "git:HEAD:live", "live", "--json", "--all", cwd=home).output)
    missing = {topic for topic, found in report["structure"].items() if not found}
    assert missing == set()
    for style in ("text", "markdown", "github"):
        text = sluice("diff", "git:HEAD:live", "live", "--all", "--format", style, cwd=home, columns=400).output
        for topic, found in report["structure"].items():
            for change in found:
                assert (change.get("parameter") or change.get("name")) in text, (style, topic)


@pytest.mark.parametrize("style", ["text", "markdown", "github"])
def test_what_is_the_same_is_one_line(home: Path, style: str) -> None:
    result = sluice("diff", "live", "profiles/live.yaml", "--format", style, "--all", "--fail-on", "any", cwd=home)
    assert result.exit_code == 0
    (line,) = result.output.splitlines()
    assert re.search(r"live and profiles/live\\?\.yaml are the same, version [0-9a-f]{16}$", line)


def test_promises_alone_leave_the_version_as_it_is(tmp_path: Path) -> None:
    home = repository(tmp_path)
    path = home / "policies/routing.yaml"
    path.write_text(path.read_text().replace("tier, in: spread_bps, moves: falls", "tier, in: bid, moves: falls"))
    result = sluice("diff", "git:HEAD:live", "live", "--fail-on", "any", cwd=home)
    assert result.exit_code == 1
    first, second = result.output.splitlines()[:2]
    assert re.fullmatch(r"git:HEAD:live and live decide alike, version [0-9a-f]{16}; promises differ", first)
    assert second == "1 invariant differs"


def test_only_any_difference_fails_and_only_when_asked(home: Path) -> None:
    for on, code in (("never", 0), ("any", 1)):
        assert sluice("diff", "live", "trial", "--fail-on", on, cwd=home).exit_code == code
    assert sluice("diff", "live", "trial", cwd=home).exit_code == 0


def test_annotations_point_at_lines_that_are_there(tmp_path: Path) -> None:
    home = changed_home(tmp_path)
    texts = edited(*EDITS, (LIVE, "[routing, size]", "[routing]"))
    write(home, {name: text for name, text in texts.items() if name not in ("policies/size.yaml", "rules/share.yaml")})
    lines = sluice("diff", "git:HEAD:live", "live", "--format", "github", cwd=home).output.splitlines()
    assert any("rule set share" in line for line in lines)
    for line in lines:
        found = re.match(r"::(?:notice|warning) file=([^,]+),line=(\d+),", line)
        assert found, line
        assert int(found[2]) <= len((home / found[1]).read_text(encoding="utf-8").splitlines())


def test_nothing_in_a_why_becomes_markup(tmp_path: Path) -> None:
    home = repository(tmp_path)
    why = "'a | b <img> [x](y) `c` *d* @team \\ e'"
    write(home, edited((LIVE, "policies:", f"values: {{tier.low_bps: {{value: 11, why: {why}}}}}\npolicies:")))
    text = markdown(diff_sides(*open_sides("git:HEAD:live", "live", home)))
    (row,) = (line for line in text.splitlines() if "tier.low_bps" in line)
    cells = re.split(r"(?<!\\) \| ", row.strip("| "))
    assert cells[4] == r"a \| b \<img\> \[x\](y) \`c\` \*d\* &#64;team \\ e"


def test_a_side_that_does_not_load_is_shown_with_its_revision_and_line(tmp_path: Path) -> None:
    home = repository(tmp_path)
    write(home, edited((BASE, "tier.low_bps: 10", "tier.low_bps: 1000")))
    result = sluice("diff", "git:HEAD:live", "live", cwd=home)
    assert result.exit_code == 1
    assert result.stderr.startswith("profiles/base.yaml:6:17: error: `tier.low_bps` is 1000")
    back = sluice("diff", "live", "git:HEAD:nope", "--format", "json", cwd=home)
    assert json.loads(back.stdout)["error"].startswith("there is no profile `nope`")
    assert back.exit_code == 2


def test_findings_of_a_revision_are_named_by_it(tmp_path: Path) -> None:
    home = repository(tmp_path)
    write(home, edited((BASE, "tier.low_bps: 10", "tier.low_bps: 1000")))
    commit(home, "too much")
    write(home, edited())
    for arguments in ((), ("--home", str(home))):
        result = sluice("diff", "git:HEAD:live", "live", *arguments, cwd=home if not arguments else tmp_path)
        assert result.stderr.startswith("git:HEAD:profiles/base.yaml:6:17: error: `tier.low_bps` is 1000")
        assert "     6 |   tier.low_bps: 1000" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("live",), ("live", "trial", "--format", "sarif"), ("live", "trial", "--json", "--format", "github")],
)
def test_usage(home: Path, arguments: tuple[str, ...]) -> None:
    assert sluice("diff", *arguments, cwd=home).exit_code == 2
