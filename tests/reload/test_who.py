"""Whom to name for a change: the author of a clean work tree's last commit, else the user."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.reload.who import commit_of, user, who_changed
from tests.reload.homes import VALUES, make_home, values

IDENTITY = ("-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that is committed, below the top of its work tree."""
    monkeypatch.setenv("USER", "grace")
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook of another repository: it is not ours
    home = make_home(tmp_path / "tree/home")
    git(tmp_path / "tree", "init", "-q")
    commit(tmp_path / "tree", 1_700_000_000)
    return home


def git(tree: Path, *arguments: str, time_s: int = 0) -> str:
    environment = {
        "GIT_AUTHOR_DATE": f"{time_s} +0000",
        "GIT_COMMITTER_DATE": f"{time_s} +0000",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=tree, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(tree: Path, time_s: int) -> None:
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "a change", time_s=time_s)


def test_a_clean_work_tree_names_its_author(home: Path) -> None:
    found = commit_of(home)
    assert found is not None
    assert (found.author, found.time_s, found.is_clean) == ("Ada Lovelace <ada@example.org>", 1_700_000_000, True)
    assert found.revision == git(home, "rev-parse", "HEAD")
    assert who_changed(home) == "Ada Lovelace <ada@example.org>"


@pytest.mark.parametrize("name", [VALUES, "rules/new.yaml"])
def test_what_is_not_committed_is_the_users(home: Path, name: str) -> None:
    (home / name).write_text(values(11))
    found = commit_of(home)
    assert found is not None
    assert not found.is_clean
    assert who_changed(home) == "grace"


def test_a_commit_beside_the_home_is_not_its_commit(home: Path) -> None:
    before = commit_of(home)
    (home.parent / "README").write_text("x")
    (home / "logs").mkdir()
    (home / "logs/x").write_text("x")
    commit(home.parent, 1_800_000_000)
    assert commit_of(home) == before


@pytest.mark.parametrize("state", ["no work tree", "never committed", "no git", "no folder"])
def test_without_a_commit_it_is_the_users(tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "grace")
    home = make_home(tmp_path / "home")
    match state:
        case "never committed":
            git(home, "init", "-q")
        case "no git":
            monkeypatch.setenv("PATH", str(tmp_path))
        case "no folder":
            home = tmp_path / "a\0b"
    assert commit_of(home) is None
    assert who_changed(home) == "grace"


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nobody)
    assert user().startswith("uid ")
