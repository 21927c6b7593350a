"""Where rules, policies and profiles are read from.

A *home* is a folder that holds `rules/`, `policies/` and `profiles/`: a user's workspace, or the set that Sluice ships.
An installed wheel carries the shipped set inside the package, in `engine/shipped/`; in a checkout the three folders lie
beside `engine/`. Beside them, in `docs/`, lie the reference pages and the schemas for editors.
"""

import os
from pathlib import Path

SCHEMAS = "docs/schema"
"""Where the first line of documents says that editors find their schemas: no part of a home, but shipped with it."""

HOME_FOLDERS = ("rules", "policies", "profiles")
"""The folders of a home, each with a role of its own: the logic, the contract, the numbers."""


class InitError(Exception):
    """A workspace cannot be made: `message` says what is in the way and `help` what to do about it."""

    def __init__(self, message: str, help: str) -> None:  # noqa: A002 - findings call it help as well
        super().__init__(f"{message}\n  {help}")
        self.message = message
        self.help = help


def shipped_home() -> Path:
    """The home that came with this installation, as an absolute path; for reading only."""
    package = Path(__file__).resolve().parent
    inside_wheel = package / "shipped"
    return inside_wheel if inside_wheel.is_dir() else package.parent


def find_home(given: Path | None) -> Path:
    """The home to read from: `given`, else the working directory if it holds a `profiles/`, else the shipped one.

    A given path is taken as it is, even if nothing is there: what is missing is a finding of the load.
    """
    if given is not None:
        return given
    here = Path.cwd()
    return here if (here / "profiles").is_dir() else shipped_home()


def find_logs(home: Path, *, is_named: bool = False) -> Path:
    """Where sessions of a home write what they did, by default: `logs/` in it, else in the working directory.

    The set inside an installed wheel is no place to write to, and a folder without `profiles/` is no home, unless a
    user has named it as one: it may be away for now, while its sessions go on.
    """
    is_installed = home.resolve() == (Path(__file__).resolve().parent / "shipped")
    is_home = is_named or (home / "profiles").is_dir()
    return home / "logs" if is_home and not is_installed else Path("logs")


def init_workspace(target: Path) -> list[Path]:
    """Copy the shipped rules, policies, profiles and schemas into `target`, and return the files written.

    `target` is made if it is missing; what else lies in it stays as it is. Raises `InitError` without writing anything
    if one of the four folders already holds a file there, and after taking back what it wrote if a write fails. No
    existing file is ever overwritten.
    """
    folders = (*HOME_FOLDERS, SCHEMAS)
    shipped = shipped_home()
    written: list[Path] = []
    try:
        occupied = [path for folder in folders for path in _files(target / folder)]
        if occupied:
            more = f" and {len(occupied) - 1} more" if len(occupied) > 1 else ""
            raise InitError(
                f"`{occupied[0]}`{more} already there, nothing was written",
                f"choose an empty folder, or first move {_spoken(folders)} in `{target}` out of the way",
            )
        for source in (path for folder in folders for path in _files(shipped / folder)):
            copy = target / source.relative_to(shipped)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("xb") as stream:  # x: a file that appeared meanwhile is not ours to replace
                written.append(copy)
                stream.write(source.read_bytes())
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise InitError(
            f"no workspace made in `{target}`: `{error.filename or target}`: {(error.strerror or str(error)).lower()}",
            "choose a folder that can be written to and has room",
        ) from error
    return written


def _files(folder: Path) -> list[Path]:
    """All files under `folder`, sorted, without hidden ones; the path itself where it is no folder."""
    if not folder.is_dir():
        return [folder] if folder.exists() or folder.is_symlink() else []
    return sorted(path for path in folder.rglob("*") if not path.is_dir() and not path.name.startswith("."))


def _spoken(folders: tuple[str, ...]) -> str:
    return ", ".join(f"{folder}/" for folder in folders)


def find_cache() -> Path:
    """Where what can be worked out again is kept: below the user's cache folder."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "sluice"
