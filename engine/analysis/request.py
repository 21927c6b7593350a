"""What a caller may ask for by name, and the error for what is not there.

A name given as an argument that nothing has is a mistake of the caller (`RequestError`, usage); what is wrong inside
the files of a home is a finding (`LoadError`). The command line gives the two different exit codes.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from engine.book import Backend, Book, load
from engine.language.findings import SluiceError
from engine.language.load import profile_names, why_no_home
from engine.language.spelling import did_you_mean


class RequestError(SluiceError):
    """Something was asked for that is not there or cannot be had. Message and help."""

    def __init__(self, message: str, help: str = "") -> None:  # noqa: A002 - the field's name in findings too
        self.message = message
        self.help = help
        super().__init__(f"{message} ({help})" if help else message)


def require_home(home: Path) -> None:
    """Refuse a home that is not there.

    Raises:
        RequestError: with the path as given.

    """
    if reason := why_no_home(home):
        raise RequestError(reason, "name one that holds rules/, policies/ and profiles/, or run `sluice init DIR`")


def require_profile(home: Path, name: str) -> None:
    """Refuse the name of a profile that has no file in a home whose `profiles/` is there, and a home that is not.

    Raises:
        RequestError: with the nearest name.

    """
    require_home(home)
    known = profile_names(home)
    if known and name not in known:
        raise RequestError(f"there is no profile `{name}`", did_you_mean(name, known, f"there are {', '.join(known)}"))


def require_extra(module: str, extra: str) -> None:
    """Refuse what needs a part that is not installed.

    Raises:
        RequestError: with what to install.

    """
    if find_spec(module) is None:
        raise RequestError(f"this needs the extra `{extra}`", f"pip install 'sluice-router[{extra}]'")


def open_book(home: Path, profile: str, backend: Backend = "compiled") -> Book:
    """Load a profile by the name a caller gave.

    Raises:
        RequestError: if no such profile is there.
        LoadError: if it is there and cannot be loaded.

    """
    require_profile(home, profile)
    return load(profile, home, backend=backend)
