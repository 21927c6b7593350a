"""What pages are made from: the model of the present, where the documents lie, and who may write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.language.findings import SluiceError
from engine.web.candidate import Candidates
from engine.web.live import Live
from engine.web.reloads import Reloads


class FullError(SluiceError):
    """Too many ask for the same thing at once."""

    def __init__(self) -> None:
        super().__init__("too many others ask at the moment: try again")
        self.message = str(self)


class Room:
    """Room for so many at once. Who finds none is told so, rather than kept waiting. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def take(self) -> Iterator[None]:
        """Be one of them. Raises `FullError` where there is no room."""
        if not self._free:
            raise FullError
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


@dataclass(frozen=True, slots=True)
class Site:
    """One server's pages."""

    live: Live
    reloads: Reloads
    candidates: Candidates
    home: Path
    """The documents that the editor shows and saves."""
    logs: Path
    is_open: bool
    """Whether everybody who reaches the server may read, without logging in."""
    can_write: bool
    """Whether the server has a token: without one nobody may save."""
    check_token: Callable[[str, str], None]
    """Takes what was given, and the client's address; raises `ProblemError` where that is not the token."""
    searches: Room
    """For decisions that are looked for in the journal."""
    questions: Room
    """For what takes seconds: the solver, the whole journal, thousands of decisions."""
