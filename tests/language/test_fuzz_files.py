"""Files that are no ordinary files, texts made to break a parser, and what one broken file may and may not stop."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.home import shipped_home
from engine.language.findings import LoadError, Severity
from engine.language.load import Workspace, load_rulebook, read_files
from tests.language.test_fuzz_load import SMALL, assert_sound, load_all, workspace_of


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, data in SMALL.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def errors_of(home: Path, profile: str) -> set[tuple[str, str]]:
    """(file, code) of what stops a profile; empty where it loads."""
    try:
        load_rulebook(home, profile)
    except LoadError as error:
        return {(found.span.file, found.code) for found in error.findings if found.severity is Severity.ERROR}
    return set()


def delete(path: Path) -> None:
    path.unlink()


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.yaml")


def circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00x\n\x80")


def too_large(path: Path) -> None:
    path.write_bytes(b"#" * ((1 << 20) + 1))


def unclosed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n{ [")


BREAKS: list[Callable[[Path], None]] = [delete, directory, pipe, dangling, circle, empty, no_text, too_large, unclosed]


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda item: item.__name__)
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_file_that_cannot_be_used_is_named_wherever_it_is_needed(
    home: Path, name: str, break_it: Callable[[Path], None]
) -> None:
    break_it(home / name)
    workspace = Workspace(read_files(home))
    assert_sound(workspace.findings, workspace.sources)
    live, paper = errors_of(home, "live"), errors_of(home, "paper")
    needed_by_live = name != "profiles/paper.yaml"
    needed_by_paper = name not in ("profiles/live.yaml", "policies/size.yaml", "rules/share.yaml")
    if break_it is delete and name in ("profiles/live.yaml", "profiles/paper.yaml"):
        # An invariant of the policy compares with the profile that is gone.
        assert ("policies/route.yaml", "profile.unknown") in (paper if name == "profiles/live.yaml" else live)
        return
    assert bool(live) == needed_by_live
    assert bool(paper) == needed_by_paper
    for found in (live, paper):
        files = {file for file, _ in found}
        if break_it is delete and name != "policies/facts.yaml":
            assert name not in files  # there is nothing to point at: whoever names it is told
        elif found:
            assert files == {name}


def test_what_a_profile_does_not_depend_on_stops_only_others_and_is_shown(home: Path) -> None:
    unclosed(home / "rules/share.yaml")
    workspace = Workspace(read_files(home))
    assert [finding.span.file for finding in workspace.findings] == ["rules/share.yaml"]
    paper = workspace.rulebook("paper")
    assert [(found.span.file, found.severity) for found in paper.warnings] == [("rules/share.yaml", Severity.WARNING)]
    assert errors_of(home, "live") == {("rules/share.yaml", "yaml.syntax")}


def test_a_policy_of_other_profiles_may_be_wrong(home: Path) -> None:
    text = (home / "policies/size.yaml").read_text()
    (home / "policies/size.yaml").write_text(text.replace("market", "markt"))
    assert errors_of(home, "live") == {("policies/size.yaml", "name.unknown")}
    assert errors_of(home, "paper") == set()


def test_a_rule_set_wrong_in_two_policies_is_reported_once_and_stops_both(home: Path) -> None:
    text = (home / "rules/tier.yaml").read_text()
    (home / "rules/tier.yaml").write_text(text.replace("spread_bps >", "spread >"))
    (home / "policies/other.yaml").write_text("policy: other\nreads: [market]\nsteps: [tier]\ndecides: [tier]\n")
    (home / "profiles/third.yaml").write_text("profile: third\nextends: base\npolicies: [other]\n")
    workspace = Workspace(read_files(home))
    assert [finding.code for finding in workspace.findings] == ["name.unknown"]
    assert errors_of(home, "third") == errors_of(home, "paper") == {("rules/tier.yaml", "name.unknown")}


def test_a_folder_that_is_missing_is_the_one_finding(home: Path) -> None:
    shutil.rmtree(home / "rules")
    assert errors_of(home, "live") == {("rules", "file.missing")}


@pytest.mark.parametrize("path", ["nowhere", "a\0b", "rules/tier.yaml"])
def test_a_home_that_is_none_is_a_finding(home: Path, path: str) -> None:
    assert errors_of(home / path, "live") == {(".", "file.missing")}


def test_a_file_without_permission_is_a_finding(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refuse(path: Path, *args: object, **kwargs: object) -> object:
        if path.name == "tier.yaml":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)  # type: ignore[call-overload]  # handed through as it came

    monkeypatch.setattr(Path, "open", refuse)
    assert errors_of(home, "live") == {("rules/tier.yaml", "file.unreadable")}


@pytest.mark.parametrize("name", ["a\nb.yaml", "\udcff.yaml", " .yaml", "ä.yaml", "x.yaml.yaml", "con\x1b[31m.yaml"])
def test_a_file_of_any_name_is_a_finding(home: Path, name: str) -> None:
    (home / "rules" / name).write_bytes(SMALL["rules/share.yaml"])
    workspace = Workspace(read_files(home))
    assert {finding.code for finding in workspace.findings} == {"name.file"}
    for finding in workspace.findings:
        assert finding.span.file.isprintable()
    assert errors_of(home, "live") == set()


def test_a_link_to_itself_is_a_finding_whose_help_speaks_of_the_link(home: Path) -> None:
    (home / "rules/tier.yaml").unlink()
    (home / "rules/tier.yaml").symlink_to("tier.yaml")
    (found,) = [finding for finding in Workspace(read_files(home)).findings if finding.code == "file.unreadable"]
    assert found.help == "it is a link that leads back to itself: put a file in its place"


def test_a_load_error_holds_help_as_well(home: Path) -> None:
    with pytest.raises(LoadError) as caught:
        load_rulebook(home, "liev")
    assert str(caught.value) == (
        "profiles/liev.yaml:1:1: there is no profile `liev` [profile.unknown]; did you mean `live`?"
    )


def test_files_that_are_not_for_us_are_left_alone(home: Path) -> None:
    (home / "rules/.tier.yaml.swp").write_bytes(b"\xff")
    (home / "rules/notes.txt").write_bytes(b"\xff")
    (home / "rules/old").mkdir()
    assert Workspace(read_files(home)).findings == ()


def test_a_yml_file_is_pointed_out_and_does_not_count(home: Path) -> None:
    (home / "rules/tier.yaml").rename(home / "rules/tier.yml")
    assert ("policies/route.yaml", "name.unknown") in errors_of(home, "live")
    assert "file.name" in {finding.code for finding in Workspace(read_files(home)).findings}


@pytest.mark.parametrize("profile", ["", "LIVE", "../live", "live.yaml", "a\nb", "\ud800", "x" * 10_000, "base"])
def test_a_profile_of_any_name_is_a_finding(home: Path, profile: str) -> None:
    with pytest.raises(LoadError) as caught:
        load_rulebook(home, profile)
    expected = "profile.abstract" if profile == "base" else "profile.unknown"
    assert [finding.code for finding in caught.value.findings] == [expected]
    assert all(finding.message.isprintable() and finding.span.file.isprintable() for finding in caught.value.findings)


def test_profiles_that_extend_each_other_are_a_finding(home: Path) -> None:
    text = (home / "profiles/base.yaml").read_text()
    (home / "profiles/base.yaml").write_text(text.replace("profile: base", "profile: base\nextends: live"))
    assert "profile.cycle" in {code for _, code in errors_of(home, "live")}


BOMBS = {
    "brackets": b"[" * 100_000,
    "braces": b"{a: " * 50_000,
    "dashes": b"- " * 50_000,
    "keys on one line": b"? " * 50_000,
    "staircase": b"".join(b" " * depth + b"a:\n" for depth in range(1_000)),
    "laughs": b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n, n, n - 1, n - 1) for n in range(98, 122)),
    "own alias": b"&a [*a]",
    "merge": b"a: &a {x: 1}\nb: {<<: *a}\n",
    "long key": b"k" * 100_000 + b": 1",
    "long number": b"ruleset: " + b"9" * 500_000,
    "many keys": b"".join(b"k%d: v\n" % n for n in range(50_000)),
    "documents": b"a: b\n---\n" * 1_000,
    "tags": b"!!python/object/apply:os.system [echo]",
    "directive": b"%YAML 9.9\n---\na: b",
    "nul": b"ruleset: a\0b",
    "lone surrogate": b"a: \xed\xa0\x80",
    "escaped surrogate": b'a: "\\ud800"',
    "escaped nul": b'ruleset: "\\0"',
    "byte order marks": b"\xef\xbb\xbf\xef\xbb\xbfa: b",
    "utf-16": "ruleset: a".encode("utf-16"),
    "comment": b"# nothing",
    "blank": b" \n\t\n",
    "scalar": b"just text",
    "list": b"- a\n- b\n",
    "null": b"~",
    "open quote": b'a: "b',
    "open block": b"a: |",
    "line separators": "a: b\u2028c: d\u2029e: [".encode(),
}


@pytest.mark.parametrize("bomb", sorted(BOMBS))
@pytest.mark.parametrize("name", ["policies/facts.yaml", "rules/tier.yaml", "profiles/live.yaml"])
def test_a_text_made_to_break_a_parser_is_a_finding(name: str, bomb: str) -> None:
    load_all(SMALL | {name: BOMBS[bomb]})
    assert {finding.span.file for finding in workspace_of(SMALL | {name: BOMBS[bomb]}).findings} == {name}


def alternating(depth: int) -> str:
    text = "urgent"
    for number in range(depth):
        text = f"({text} {'and' if number % 2 else 'or'} spread_bps > $max_spread_bps)"
    return text


EXPRESSIONS = {
    "parentheses": "(" * 100_000,
    "closed parentheses": "(" * 40 + "urgent" + ")" * 40,
    "too many parentheses": "(" * 60 + "urgent" + ")" * 60,
    "not": "not " * 40 + "urgent",
    "too many not": "not " * 10_000 + "urgent",
    "minus": "-" * 10_000 + "1 < 0",
    "sum": " + ".join(["bid"] * 60) + " > 0",
    "long sum": " + ".join(["bid"] * 5_000) + " > 0",
    "products": " * ".join(["$max_spread_bps"] * 60) + " > 0",
    "or": " or ".join(["urgent"] * 60),
    "implies": " implies ".join(["urgent"] * 60),
    "alternating": alternating(45),
    "calls": "min(" * 40 + "bid, 1" + ", 1)" * 39 + ") > 0",
    "members": f"side in [{', '.join(['buy'] * 2_000)}]",
    "digits": f"spread_bps > {'9' * 100_000}",
    "overflow": "spread_bps > 1e999",
    "underflow": "spread_bps > 1e-999",
    "name": "x" * 100_000,
    "text": f"venue == '{'x' * 10_000}'",
    "line break": "urgent\n  and\n  urgent",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("made", sorted(EXPRESSIONS))
def test_an_expression_of_any_size_loads_or_says_where(made: str) -> None:
    quoted = '"' + EXPRESSIONS[made].replace("\n", "\\n") + '"'
    gates = SMALL["rules/gates.yaml"].replace(b"spread_bps > $max_spread_bps", quoted.encode())
    load_all(SMALL | {"rules/gates.yaml": gates})
    claims = SMALL["policies/route.yaml"].replace(b"offset_bps <= 10", quoted.replace("$max", "$gates.max").encode())
    load_all(SMALL | {"policies/route.yaml": claims})


def test_the_shipped_profiles_depend_on_nothing_of_each_other(tmp_path: Path) -> None:
    for folder in ("rules", "policies", "profiles"):
        shutil.copytree(shipped_home() / folder, tmp_path / folder)
    (tmp_path / "profiles/testnet.yaml").write_text("profile: testnet\nextends: [\n")
    book = load_rulebook(tmp_path, "prod")
    assert book.version == load_rulebook(shipped_home(), "prod").version
    assert [finding.span.file for finding in book.warnings] == ["profiles/testnet.yaml"]
