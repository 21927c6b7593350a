"""A home as it was at a revision of the git repository that it lies in.

In: the home's folder and a revision's name. Out: a `Listing`, from which `read_listing` makes the same `Files` as from
a folder, with the same limits and findings. All is asked of the program `git`; the working tree is not touched.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.analysis.request import RequestError
from engine.home import HOME_FOLDERS
from engine.language.findings import Findings, Span, one_line
from engine.language.nodes import MOST_BYTES, Source, decode_source, refuse_size
from engine.language.spelling import did_you_mean

_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""What git tells a hook of the repository it runs in, partly relative to that: the home says which one is meant."""

_LINK = "120000"
"""The mode of a symbolic link."""


@dataclass(frozen=True, slots=True)
class _Held:
    """An entry of a folder. `data` is what a file of at most 1 MiB holds; nothing for all else."""

    kind: Literal["file", "link", "other"]
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Revision:
    """The three folders of a home at one commit."""

    commit: str
    """The full id of the commit."""
    folders: Mapping[str, Mapping[str, _Held]]
    """What lies in each folder that is there, by name."""

    def profiles(self) -> list[str]:
        """The profiles there, sorted, abstract ones included."""
        names = self.folders.get("profiles", {})
        return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and name[0] != ".")

    def names(self, folder: str) -> Iterable[str]:
        """The names of everything in one of the three folders. Raises FileNotFoundError."""
        if folder not in self.folders:
            raise FileNotFoundError(folder)
        return self.folders[folder]

    def read(self, folder: str, name: str, shown: str, findings: Findings) -> Source | None:
        """One file under the name shown to people; None, with a finding, where it cannot be read."""
        held = self.folders[folder][name]
        whole = Span(shown, 1, 1, 1, 2)
        match held.kind:
            case "link":
                help_text = "put a file in its place, or check the revision out and name that as HOME:profile"
                findings.add("file.unreadable", whole, f"`{shown}` is a link, not followed at a revision", help_text)
                return None
            case "other":
                findings.add("file.unreadable", whole, f"`{shown}` is no file", "put a file in its place")
                return None
        if held.data is None:
            refuse_size(shown, findings)
            return None
        return decode_source(held.data, shown, findings)


def open_revision(home: Path, name: str) -> Revision:
    """The home at a revision, by any name that git has for one.

    Raises:
        RequestError: where there is no git, the home lies in no repository, or nothing has that name.

    """
    git = _Git(home)
    git.require_repository()
    commit = git.commit(name)
    return Revision(commit, git.folders(commit, name))


class _Git:
    """The program `git`, asked about the repository that a home lies in."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def require_repository(self) -> None:
        done = self._run("rev-parse", "--git-dir")
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().partition("\n")[0].removeprefix("fatal: ")
            message = f"`{one_line(str(self._home))}` lies in no git repository that can be read"
            raise RequestError(message, f"git says: {one_line(said)}" if said else "name another --home")

    def commit(self, name: str) -> str:
        """The id of the commit that a name stands for."""
        if name.isprintable():  # others are no names, and some cannot be handed to a program
            done = self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            if not done.returncode:
                return done.stdout.decode().strip()
        message = f"the repository of `{one_line(str(self._home))}` has no revision `{one_line(name)}`"
        if self._run("rev-parse", "--is-shallow-repository").stdout.strip() == b"true":
            raise RequestError(message, "it is a shallow clone: `git fetch --unshallow` brings the rest")
        known = self._run("for-each-ref", "--format=%(refname:short)").stdout.decode(errors="replace").split("\n")
        raise RequestError(message, did_you_mean(name, known, "name a commit, a branch or a tag, such as HEAD"))

    def folders(self, commit: str, name: str) -> dict[str, dict[str, _Held]]:
        """What lies in the three folders of the home, at a commit."""
        # With a slash at the end, git lists what is in a folder, by paths from the home on.
        done = self._run("ls-tree", "-z", "--long", commit, *(f"{folder}/" for folder in HOME_FOLDERS))
        if done.returncode:
            raise _lacking(name)
        entries = [_entry(line) for line in done.stdout.split(b"\0") if line]
        wanted = [entry.id for entry in entries if entry.readable]
        contents = dict(zip(wanted, self._contents(wanted, name), strict=True))
        folders: dict[str, dict[str, _Held]] = {}
        for entry in entries:
            folder, _, file = entry.path.partition("/")
            folders.setdefault(folder, {})[file] = _Held(entry.kind, contents.get(entry.id))
        return folders

    def _contents(self, ids: Sequence[bytes], name: str) -> Iterable[bytes]:
        """What the files with these ids hold."""
        rest = self._run("cat-file", "--batch", given=b"".join(each + b"\n" for each in ids)).stdout if ids else b""
        for _ in ids:
            head, _, rest = rest.partition(b"\n")
            words = head.split()
            if len(words) != len(("id", "type", "size")):  # the id, and `missing`
                raise _lacking(name)
            size = int(words[2])
            yield rest[:size]
            rest = rest[size + 1 :]  # a line end follows

    def _run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
        try:
            return subprocess.run(  # noqa: S603 - arguments of our own, and a name that is no option
                ["git", "-C", str(self._home), *arguments],  # noqa: S607 - the user's own git
                input=given,
                capture_output=True,
                env=environment,
                check=False,
            )
        except FileNotFoundError:
            raise RequestError(
                "there is no program `git`, which a revision is read with",
                "install it, or name a copy of the home as HOME:profile",
            ) from None


def _lacking(name: str) -> RequestError:
    """What a partial clone says whose origin is away."""
    message = f"this clone lacks files of the revision `{one_line(name)}`"
    return RequestError(message, "`git fetch` them while the remote can be reached")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of `git ls-tree --long`."""

    path: str
    kind: Literal["file", "link", "other"]
    id: bytes
    size: int

    @property
    def readable(self) -> bool:
        """True for what is read: a file of the language that is not too large."""
        return self.kind == "file" and self.size <= MOST_BYTES and self.path.endswith(".yaml")


def _entry(line: bytes) -> _Entry:
    described, _, path = line.partition(b"\t")
    mode, kind, name, size = described.split()
    what: Literal["file", "link", "other"] = "other"
    if kind == b"blob":
        what = "link" if mode == _LINK.encode() else "file"
    return _Entry(os.fsdecode(path), what, name, int(size) if size != b"-" else 0)
