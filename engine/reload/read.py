"""A home folder, read as it stood at one moment, and its signature, by which a change is noticed.

Files are read while others write them. A reading is taken when the one before it found the same: the same texts, and
the same inode, times, mode and size of every file. What each file held then did not change between the two times that
it was read, and these spans overlap for all files, so all of it stood there at one moment. Times of files alone do not
show that: a file system may give two writes within some milliseconds the same one.

A file that vanishes, or cannot be read, is a finding; nothing here raises.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from engine.home import HOME_FOLDERS
from engine.language.findings import Finding, Severity, Span
from engine.language.load import Files, read_files

Signature: TypeAlias = tuple[tuple[str, tuple[int, ...] | str], ...]
"""Each folder and YAML file with the numbers that change when it does, or with the name of what went wrong."""

MOST_READINGS = 6
"""A home that changes between so many readings is not settled."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The texts of a home, and its signature when they were read."""

    files: Files
    signature: Signature
    readings: int
    """How often the home was read: 2 where nobody wrote meanwhile."""


def signature_of(home: Path) -> Signature:
    """The signature of a home: equal ones mean that nothing was saved in between, as far as times can tell."""
    entries: list[tuple[str, tuple[int, ...] | str]] = []
    for folder in HOME_FOLDERS:
        place = home / folder
        try:
            with os.scandir(place) as listed:
                found = [(entry.name, _numbers(entry)) for entry in listed if _is_document(entry.name)]
            held = place.stat()
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            entries.append((folder, _why(error)))
            continue
        # Of a folder the times mean nothing: editors put files beside those they save.
        entries.append((folder, (held.st_dev, held.st_ino, held.st_mode)))
        entries += [(f"{folder}/{name}", numbers) for name, numbers in sorted(found)]
    return tuple(entries)


def _is_document(name: str) -> bool:
    return not name.startswith(".") and name.endswith((".yaml", ".yml"))


def _numbers(entry: os.DirEntry[str]) -> tuple[int, ...] | str:
    try:
        held = entry.stat()
    except OSError as error:
        return _why(error)
    # The change time shows what keeps the modification time: permissions, and copies that preserve times.
    return (held.st_dev, held.st_ino, held.st_mode, held.st_size, held.st_mtime_ns, held.st_ctime_ns)


def _why(error: OSError | ValueError) -> str:
    return errno.errorcode.get(error.errno or 0, "?") if isinstance(error, OSError) else "?"


def read_home(home: Path, *, most_readings: int = MOST_READINGS, read: Callable[[Path], Files] = read_files) -> Reading:
    """Read a home until two readings in a row find the same; where none do, a finding `reload.unsettled` says so.

    Whoever watches hears of the last write too, and reads again then.
    """
    before = signature_of(home)
    files = read(home)
    after = signature_of(home)
    for count in range(2, most_readings + 1):
        again = read(home)
        latest = signature_of(home)
        settled = before == after == latest and _same(files, again)
        before, files, after = after, again, latest
        if settled:
            return Reading(files, latest, count)
    found = Finding(
        "reload.unsettled",
        Severity.ERROR,
        Span(".", 1, 1, 1, 2),
        f"the files changed each of the {most_readings} times they were read",
        "save them by writing beside and renaming; they are read again at the next change",
    )
    return Reading(Files(files.sources, (*files.findings, found)), after, most_readings)


def _same(files: Files, other: Files) -> bool:
    return files.findings == other.findings and files.sources == other.sources
