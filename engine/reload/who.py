"""Who changed a home: the author of the last commit where it is a clean git work tree, else the user of this process.

Also the commit that a bundle says it was built from. Git is asked as a program and may be missing; it is told to take
no locks, and given a few seconds.
"""

from __future__ import annotations

import getpass
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.home import HOME_FOLDERS

_PATIENCE_S = 5.0
_FIELDS = "%H%x00%an <%ae>%x00%ct"


@dataclass(frozen=True, slots=True)
class Commit:
    """The last commit that changed the three folders of a home."""

    revision: str
    author: str
    """As `Name <address>`."""
    time_s: int
    """When it was committed, seconds since 1970 UTC."""
    is_clean: bool
    """Whether the folders are as it left them."""


def commit_of(home: Path) -> Commit | None:
    """The commit that a home is at; None where it is in no git work tree, was never committed, or git is missing."""
    told = _git(home, "log", "-1", f"--format={_FIELDS}", "--", *HOME_FOLDERS)
    if not told:
        return None
    revision, author, time_s = told.rstrip("\n").split("\0")
    changes = _git(home, "status", "--porcelain", "--untracked-files=all", "--", *HOME_FOLDERS)
    return Commit(revision, author, int(time_s), changes == "")


def who_changed(home: Path) -> str:
    """Whom to name for what a home says now."""
    commit = commit_of(home)
    return commit.author if commit is not None and commit.is_clean else user()


def user() -> str:
    """The user of this process: `$USER`, or what the system says."""
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def _git(home: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - arguments of our own
            ["git", "-C", str(home), *arguments],  # noqa: S607 - the user's own git, wherever it is
            env=environment | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PATIENCE_S,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
