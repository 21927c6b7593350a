"""Where the two sides of a diff come from: homes, files of profiles, and revisions of real repositories."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.analysis.diff.revision import open_revision
from engine.analysis.diff.sides import Asked, SideError, open_sides, read_side, warnings_of
from engine.analysis.diff.structure import compare
from engine.analysis.request import RequestError
from engine.language.load import Files, read_files, read_listing
from tests.analysis.diff.homes import BASE, HOME, TIER, commit, edited, git, load, repository, write

HERE = Path("here")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that is a repository, committed as it is."""
    return repository(tmp_path / "home")


# What a text asks for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "home", "revision", "profile"),
    [
        ("prod", HERE, None, "prod"),
        ("other:prod", Path("other"), None, "prod"),
        ("/x/home:prod", Path("/x/home"), None, "prod"),
        ("/x/a:b:prod", Path("/x/a:b"), None, "prod"),
        ("/x/home/profiles/prod.yaml", Path("/x/home"), None, "prod"),
        ("profiles/prod.yaml", Path(), None, "prod"),
        ("git:HEAD:prod", HERE, "HEAD", "prod"),
        ("git:HEAD~2:prod", HERE, "HEAD~2", "prod"),
        ("git:origin/main:prod", HERE, "origin/main", "prod"),
        ("git:HEAD^{/a: b}:prod", HERE, "HEAD^{/a: b}", "prod"),
        ("./git:prod", Path("git"), None, "prod"),
    ],
)
def test_a_side_is_taken_apart_in_one_way(text: str, home: Path, revision: str | None, profile: str) -> None:
    assert read_side(text, HERE) == Asked(text, home, revision, profile)


@pytest.mark.parametrize("text", ["", "git:prod", "git::prod", "git:HEAD:", ":prod", "home:", "a/b", "rules/tier.yaml"])
def test_what_cannot_be_a_side_says_how_one_is_written(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_side(text, HERE)
    assert caught.value.help.startswith("write `")


def test_a_profile_is_found_by_its_file_from_within_its_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "profiles")
    assert read_side("live.yaml", HERE).home == home


# Revisions -----------------------------------------------------------------------------------------------------------


def test_a_file_changed_in_the_working_tree_against_head(home: Path) -> None:
    write(home, edited((BASE, "tier.low_bps: 10", "tier.low_bps: 12")))
    a, b = open_sides("git:HEAD:live", "live", home)
    (value,) = compare(a.rulebook, b.rulebook).values
    assert (value.name, value.a and value.a.value, value.b and value.b.value) == ("tier.low_bps", 10.0, 12.0)
    assert (a.commit, b.commit) == (git(home, "rev-parse", "HEAD"), None)
    assert git(home, "status", "--porcelain") == "M profiles/base.yaml"


def test_a_revision_by_branch_tag_and_id(home: Path) -> None:
    first = git(home, "rev-parse", "HEAD")
    git(home, "tag", "-a", "v1", "-m", "one")
    git(home, "branch", "try/this")
    write(home, edited((BASE, "tier.low_bps: 10", "tier.low_bps: 12")))
    commit(home, "wider")
    for name in ("v1", "try/this", first[:10], "HEAD~1", "HEAD^{/the home}"):
        a, b = open_sides(f"git:{name}:live", "git:main:live", home)
        assert (a.commit, a.rulebook.version) == (first, load(HOME).version)
        assert b.rulebook.version != a.rulebook.version


def test_a_home_below_the_top_of_its_repository(tmp_path: Path) -> None:
    home = write(tmp_path / "repo" / "desks" / "a", HOME)
    git(tmp_path / "repo", "init", "--quiet")
    commit(tmp_path / "repo", "two desks")
    (home / "profiles/live.yaml").write_text("profile: live\nextends: base\npolicies: [routing]\n")
    a, b = open_sides("git:HEAD:live", "live", home)
    assert [change.name for change in compare(a.rulebook, b.rulebook).policies] == ["size"]


def read(home: Path) -> tuple[Files, Files]:
    """The files of a home as they are, and as they are committed."""
    return read_files(home), read_listing(open_revision(home, commit_id(home)))


def commit_id(home: Path) -> str:
    return commit(home, "more")


def test_a_revision_is_read_as_its_folder_is(home: Path) -> None:
    """With the same limits and findings, whatever lies there."""
    rules = home / "rules"
    (rules / "large.yaml").write_bytes(b"#" * ((1 << 20) + 1))
    (rules / "latin.yaml").write_bytes(b"doc: \xff")
    (rules / "old.yml").write_text("ruleset: old")
    (rules / "ü b\n.yaml").write_text("ruleset: odd")
    (rules / "marked.yaml").write_bytes(b"\xef\xbb\xbfruleset: marked\r\nhit: veto\r\n")
    (rules / "empty.yaml").write_bytes(b"")
    (rules / ".hidden.yaml").write_text("no")
    (rules / "notes.txt").write_bytes(b"\xff")
    (rules / "folder.yaml").mkdir()
    (rules / "folder.yaml" / "x").write_text("x")
    folder, revision = read(home)
    assert revision == folder
    assert {finding.code for finding in revision.findings} == {
        "file.too_large",
        "file.encoding",
        "file.name",
        "file.unreadable",
    }


def test_a_folder_that_a_revision_lacks_is_a_finding(home: Path) -> None:
    shutil.rmtree(home / "rules")
    folder, revision = read(home)
    assert [finding.message for finding in revision.findings] == ["`rules/`: there is no such folder"]
    assert revision == folder


def test_a_link_is_not_followed_at_a_revision(home: Path) -> None:
    (home / TIER).rename(home / "tier.txt")
    (home / TIER).symlink_to("../tier.txt")
    folder, revision = read(home)
    assert folder.findings == ()
    (finding,) = revision.findings
    assert finding.message == "`rules/tier.yaml` is a link, not followed at a revision"


@pytest.mark.parametrize(
    ("side", "message", "help_text"),
    [
        ("git:HAED:live", "has no revision `HAED`", "name a commit, a branch or a tag, such as HEAD"),
        ("git:mian:live", "has no revision `mian`", "did you mean `main`?"),
        ("git:--all:live", "has no revision `--all`", "name a commit"),
        ("git:a\0b:live", "has no revision `a�b`", "name a commit"),
        ("git:HEAD:lvie", "there is no profile `lvie`", "did you mean `live`?"),
        ("git:HEAD~1:live", "has no revision `HEAD~1`", "name a commit"),
        ("lvie", "there is no profile `lvie`", "did you mean `live`?"),
        ("nowhere:live", "there is no folder `nowhere`", "name one that holds rules/"),
    ],
)
def test_what_is_not_there_says_so_and_what_is_near(home: Path, side: str, message: str, help_text: str) -> None:
    with pytest.raises(RequestError) as caught:
        open_sides(side, "live", home)
    assert message in caught.value.message
    assert caught.value.help.startswith(help_text)


def test_a_profile_that_was_not_there_yet_is_not_there(home: Path) -> None:
    (home / "profiles/new.yaml").write_text("profile: new\nextends: live\n")
    with pytest.raises(RequestError, match=r"there is no profile `new` in `.*` at the revision `HEAD`"):
        open_sides("git:HEAD:new", "new", home)


def test_a_home_that_a_revision_does_not_hold(home: Path) -> None:
    inner = write(home / "inner", HOME)
    with pytest.raises(RequestError, match=r"there are no profiles in `.*inner` at the revision `HEAD`"):
        open_sides("git:HEAD:live", "live", inner)


def test_a_home_outside_of_any_repository(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        open_sides("git:HEAD:live", "live", write(tmp_path, HOME))
    assert "lies in no git repository" in caught.value.message
    assert caught.value.help.startswith("git says: not a git repository")


def test_a_shallow_clone_says_how_to_get_the_rest(home: Path, tmp_path: Path) -> None:
    commit(home, "second")
    git(tmp_path, "clone", "--quiet", "--depth", "1", home.as_uri(), "shallow")
    with pytest.raises(RequestError) as caught:
        open_sides("git:HEAD~1:live", "live", tmp_path / "shallow")
    assert caught.value.help == "it is a shallow clone: `git fetch --unshallow` brings the rest"
    open_sides("git:HEAD:live", "live", tmp_path / "shallow")


def test_a_clone_without_the_files_says_so(home: Path, tmp_path: Path) -> None:
    git(home, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--no-checkout", "--filter=blob:none", home.as_uri(), "partial")
    write(tmp_path / "partial", HOME)
    shutil.rmtree(home)
    with pytest.raises(RequestError, match="this clone lacks files of the revision `HEAD`"):
        open_sides("git:HEAD:live", "live", tmp_path / "partial")


def test_a_machine_without_git(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequestError, match="there is no program `git`"):
        open_sides("git:HEAD:live", "live", home)
    open_sides("live", "trial", home)


def test_the_repository_is_the_homes_even_in_a_hook_of_another(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = git(home, "rev-parse", "HEAD")
    other = repository(tmp_path / "other")
    commit(other, "another")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert open_sides("git:HEAD:live", "live", home)[0].commit == own


# Sides that do not load ----------------------------------------------------------------------------------------------


def test_findings_of_a_side_say_which_side_and_both_sides_are_told(home: Path) -> None:
    write(home, edited((TIER, "spread_bps > $low_bps", "spread > $low_bps")))
    commit(home, "a slip")
    write(home, edited((TIER, "spread_bps > $low_bps", "spread_bps > $lo_bps")))
    with pytest.raises(SideError) as caught:
        open_sides("git:HEAD:live", "live", home)
    files = [finding.span.file for finding in caught.value.findings]
    assert "git:HEAD:rules/tier.yaml" in files
    assert f"{home}/rules/tier.yaml" in files
    assert set(files) <= caught.value.sources.keys()
    with pytest.raises(SideError) as caught:
        open_sides("git:HEAD:live", "git:HEAD~1:live", home)
    assert {finding.span.file for finding in caught.value.findings} == {"git:HEAD:rules/tier.yaml"}


def test_what_is_wrong_elsewhere_stops_nothing_and_is_told_once_for_each_place(home: Path) -> None:
    (home / "rules/spare.yaml").write_text("ruleset: [\n")
    commit(home, "a broken spare")
    sides = open_sides("git:HEAD:live", "live", home)
    assert [finding.span.file for finding in warnings_of(sides)] == [
        "git:HEAD:rules/spare.yaml",
        f"{home}/rules/spare.yaml",
    ]
    assert len(warnings_of(open_sides("live", "trial", home))) == 1
