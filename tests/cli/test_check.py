"""`sluice check`: findings in four formats, each parsed again, over sound and broken homes."""

import itertools
import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest

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


def test_a_sound_home_is_fine_and_each_profile_has_its_line(home: Path) -> None:
    result = sluice("check", cwd=home)
    assert result.exit_code == 0
    lines = result.output.splitlines()[-4:]
    assert re.fullmatch(r"live  [0-9a-f]{16}: 12 rules, 11 parameters, 1 policy, 1 symbol group", lines[0])
    assert re.fullmatch(r"      6 invariants proven, no loose end in \d+ questions", lines[1])
    assert re.fullmatch(r"trial [0-9a-f]{16}: 11 rules, 11 parameters, 1 policy, 0 symbol groups", lines[2])
    assert re.fullmatch(r"      5 invariants proven, no loose end in \d+ questions", lines[3])


def test_a_finding_shows_its_place_its_line_a_caret_and_help(home: Path) -> None:
    edit(home / "rules/tier.yaml", "fallback_ratio >= $bad", "falback_ratio >= $bad")
    result = sluice("check", cwd=home)
    assert result.exit_code == 1
    assert result.output.splitlines()[:5] == [
        "rules/tier.yaml:19:11: error: nothing in policy `routing` is called",
        "    `falback_ratio` [name.unknown]",
        "    19 |     when: falback_ratio >= $bad_fallback_ratio",
        "       |           ^^^^^^^^^^^^^",
        "  help: did you mean `fallback_ratio`?",
    ]
    assert result.output.splitlines()[-2:] == ["live  does not load", "trial does not load"]


def test_a_finding_of_two_profiles_is_shown_once(home: Path) -> None:
    edit(home / "profiles/base.yaml", "tier.min_samples: 20", "tier.min_samples: 2000")
    for arguments in (("check",), ("check", "--json")):
        assert sluice(*arguments, cwd=home).output.count("is 2000, outside of 0 to 1000") == 1


def test_a_broken_profile_is_an_error_once_and_leaves_the_other_loadable(home: Path) -> None:
    (home / "profiles/trial.yaml").write_text("profile: [\n")
    report = json.loads(sluice("check", "--json", cwd=home).output)
    assert [(found["severity"], found["file"]) for found in report["findings"]] == [
        ("error", "profiles/trial.yaml"),
        ("note", "rules/gates.yaml"),
    ]
    assert [profile["name"] for profile in report["profiles"]] == ["live"]
    assert report["unloadable"] == ["trial"]
    result = sluice("decide", "-p", "live", "taker.json", cwd=home)
    assert result.exit_code == 0
    assert result.stdout.startswith("taker: gates.spread_too_wide")
    assert result.stderr.startswith("warning: profiles/trial.yaml:1:11: ")
    assert sluice("decide", "-p", "trial", "taker.json", cwd=home).exit_code == 1


def test_a_place_outside_of_the_working_directory_can_still_be_opened(home: Path, tmp_path: Path) -> None:
    edit(home / "rules/tier.yaml", "hit: first", "hit: frist")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = sluice("check", "--home", str(home), cwd=elsewhere, columns=None).output.partition(":")[0]
    assert Path(place) == home / "rules/tier.yaml"
    place = sluice("check", "--home", "home", cwd=tmp_path, columns=None).output.partition(":")[0]
    assert place == "home/rules/tier.yaml"


def test_more_than_fifty_findings_are_counted_not_shown(home: Path) -> None:
    rules = "".join(
        f"  - id: r{number}\n    when: nothing_{number} > 0\n    set: {{route: maker}}\n" for number in range(60)
    )
    edit(home / "rules/route.yaml", "rules:\n", f"rules:\n{rules}")
    result = sluice("check", cwd=home)
    assert result.exit_code == 1
    assert len(re.findall(r"^\S+:\d+:\d+: (error|warning|note): ", result.output, re.MULTILINE)) == 50
    total = len(json.loads(sluice("check", "--json", cwd=home).output)["findings"])
    assert total >= 60
    assert f"... and {total - 50} more" in result.output


def test_a_warning_fails_the_check_and_a_note_does_not(home: Path) -> None:
    assert "note: a cold live never rests an order" in sluice("check", cwd=home).output
    shutil.copy(home / "rules/tier.yaml", home / "rules/tier.yml")
    result = sluice("check", cwd=home)
    assert result.exit_code == 1
    assert "warning: `rules/tier.yml` is not read" in result.output


def test_only_the_profiles_named_are_loaded() -> None:
    report = json.loads(sluice("check", "trial", "--format", "json").output)
    assert [profile["name"] for profile in report["profiles"]] == ["trial"]
    assert report["findings"] == []


def carets(output: str) -> list[tuple[str, str]]:
    """Each line that has carets under it, and what stands above them; cells are characters here."""
    return [
        (line.rstrip(), line[under.index("^") : under.rindex("^") + 1])
        for line, under in itertools.pairwise(output.splitlines())
        if "^" in under and not under.strip(" |^")
    ]


def test_a_long_line_is_cut_around_its_span(home: Path) -> None:
    long = f"when: gates_open and {'gates_open and ' * 20}$nope and gates_open{' and gates_open' * 20}"
    edit(home / "rules/route.yaml", "when: gates_open", long)
    output = sluice("check", cwd=home).output
    ((line, above),) = carets(output)
    assert above == "$nope"
    assert line.startswith("     8 | ...")
    assert line.endswith("...")
    assert max(len(text) for text in output.splitlines()) <= 80
    ((line, above),) = carets(sluice("check", cwd=home, columns=1000).output)
    assert above == "$nope"
    assert "..." not in line


def test_carets_count_cells_and_nothing_steers_the_terminal(home: Path) -> None:
    edit(home / "rules/gates.yaml", "    why: the strategy did not ask", "    why: x\n    価格: x # \u200f")
    output = sluice("check", cwd=home).output
    assert "\n    13 |     価格: x # " in output
    assert "\n       |     ^^^^\n" in output, "two characters, four cells"
    assert "\u200f" not in output


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe", b"[" * 500, b"a: b: c", b"- 1", b"\x00", b"profile: live\n" * 2])
def test_no_junk_in_a_home_makes_a_traceback(home: Path, junk: bytes) -> None:
    for name in ("profiles/live.yaml", "policies/facts.yaml", "rules/tier.yaml", "policies/routing.yaml"):
        kept = (home / name).read_bytes()
        (home / name).write_bytes(junk)
        for arguments in (("check",), ("decide", "-p", "live", "taker.json"), ("show", "-p", "live")):
            result = sluice(*arguments, cwd=home)
            assert result.exit_code == 1, (name, arguments, result.output)
            assert f"{name}:" in result.output
        (home / name).write_bytes(kept)


def test_a_home_without_anything_says_what_is_missing(tmp_path: Path) -> None:
    result = sluice("check", cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert result.exit_code == 0, "outside of any home it is the shipped set"
    (tmp_path / "profiles").mkdir()
    result = sluice("check", cwd=tmp_path)
    assert result.exit_code == 1
    assert "there is no such folder" in result.output
    (tmp_path / "profiles").rmdir()
    for folder in ("rules", "policies", "profiles"):
        (tmp_path / folder).mkdir()
    shutil.copy(HOME / "policies/facts.yaml", tmp_path / "policies")
    assert sluice("check", cwd=tmp_path).exit_code in (1, 2)


@pytest.mark.parametrize("command", [("check",), ("decide", "-p", "live", "taker.json"), ("show", "-p", "live")])
def test_a_home_that_is_not_there_is_usage(command: tuple[str, ...]) -> None:
    result = sluice(*command, "--home", "no/where")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "error: there is no folder `no/where`"
    assert "sluice init" in result.stderr
    result = sluice(*command, "--home", "taker.json", "--json")
    assert result.exit_code == 2
    assert json.loads(result.output)["error"] == "`taker.json` is no folder"


def test_an_empty_home_is_usage() -> None:
    result = sluice("--home", "", "check")
    assert result.exit_code == 2
    assert "the path is empty" in result.stderr


def test_a_profile_without_policies_names_those_that_extend_it() -> None:
    for command in (("check", "base"), ("decide", "-p", "base", "taker.json")):
        result = sluice(*command, columns=160)
        assert result.exit_code == 1
        assert "help: ask for one that extends it (`live`, `trial`), or list them under `policies`" in result.output


def test_how_to_look_a_code_up_is_said_once(home: Path) -> None:
    edit(home / "rules/tier.yaml", "fallback_ratio >= $bad", "falback_ratio >= $bd")
    result = sluice("check", cwd=home)
    assert result.output.count("`sluice findings name.unknown` says more about a code") == 1


def test_a_word_of_a_text_of_several_lines_has_its_caret(home: Path) -> None:
    folded = "when: >-\n      sample_count > 0 and\n      ratio >= $bad"
    edit(home / "rules/tier.yaml", "when: fallback_ratio >= $bad", folded)
    lines = sluice("check", cwd=home).output.splitlines()
    assert lines[0].startswith("rules/tier.yaml:21:7: error: nothing in policy `routing` is called")
    at = next(number for number, line in enumerate(lines) if line.startswith("    21 |"))
    assert lines[at : at + 2] == ["    21 |       ratio >= $bad_fallback_ratio", "       |       ^^^^^"]


# --- codes -------------------------------------------------------------------------------------------------


def test_findings_lists_every_code_and_says_what_each_means() -> None:
    listed = json.loads(sluice("findings", "--json").output)
    codes = [entry["code"] for entry in listed]
    assert "name.unknown" in codes
    assert [line.split()[0] for line in sluice("findings").output.splitlines()] == codes
    for entry in listed:
        assert json.loads(sluice("findings", entry["code"], "--json").output) == entry
    result = sluice("findings", "name.unknwn")
    assert result.exit_code == 2
    assert "did you mean `name.unknown`?" in result.stderr


# --- machines ------------------------------------------------------------------------------------------


def unescaped(text: str) -> str:
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def test_github_annotations_parse_back_to_the_findings(home: Path) -> None:
    edit(home / "rules/tier.yaml", "fallback_ratio >= $bad", "falback_ratio >= $bad")
    moved = home.parent / "a, b: 100%0A"
    home.rename(moved)
    found = json.loads(sluice("check", "--json", "--home", moved.name, cwd=moved.parent).output)["findings"]
    result = sluice("check", "--format", "github", "--home", moved.name, cwd=moved.parent)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert len(lines) == len(found)
    for line, finding in zip(lines, found, strict=True):
        match = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
        assert match, line
        properties = dict(part.split("=", 1) for part in match[2].split(","))
        assert unescaped(properties["file"]) == f"a, b: 100%0A/{finding['file']}"
        assert (int(properties["line"]), int(properties["col"])) == (finding["line"], finding["column"])
        assert properties["title"] == finding["code"]
        assert unescaped(match[3]).startswith(finding["message"])


SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "rules": {"type": "array", "uniqueItems": True, "items": {"required": ["id"]}}
                                },
                            }
                        },
                    },
                    "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
                },
            },
        },
    },
    "$defs": {
        "result": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": -1},
                "level": {"enum": ["none", "note", "warning", "error"]},
                "message": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
                "locations": {"type": "array", "items": {"$ref": "#/$defs/location"}},
                "relatedLocations": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/location"}},
            },
        },
        "location": {
            "type": "object",
            "required": ["physicalLocation"],
            "properties": {
                "id": {"type": "integer", "minimum": -1},
                "physicalLocation": {
                    "type": "object",
                    "required": ["artifactLocation", "region"],
                    "properties": {
                        "artifactLocation": {
                            "type": "object",
                            "properties": {"uri": {"type": "string", "pattern": r"^[^ \\:]+$|^file:///[^ \\]+$"}},
                        },
                        "region": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                name: {"type": "integer", "minimum": 1}
                                for name in ("startLine", "startColumn", "endLine", "endColumn")
                            },
                        },
                    },
                },
            },
        },
    },
}
"""The rules of the SARIF 2.1.0 schema that concern what we write."""


def test_sarif_is_valid_and_says_what_json_says(home: Path) -> None:
    edit(home / "profiles/base.yaml", "tier.min_samples: 20", "tier.min_samples: 2000")
    log = json.loads(sluice("check", "--format", "sarif", cwd=home).output)
    jsonschema.Draft202012Validator(SARIF).validate(log)
    found = json.loads(sluice("check", "--json", cwd=home).output)["findings"]
    (run,) = log["runs"]
    assert len(run["results"]) == len(found) > 0
    for result, finding in zip(run["results"], found, strict=True):
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == finding["code"]
        assert result["level"] == finding["severity"]
        assert result["message"]["text"].startswith(finding["message"])
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uri"] == finding["file"]
        assert place["region"]["startLine"] == finding["line"]
        assert len(result.get("relatedLocations", [])) == len(finding["related"])


def test_two_formats_at_once_are_refused() -> None:
    assert sluice("check", "--json", "--format", "sarif").exit_code == 2
    assert sluice("check", "--json", "--format", "json").exit_code == 0
