"""What pages are made from: the model of the present, where the documents lie, and who may write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.web.candidate import Candidates
from engine.web.limits import Room
from engine.web.live import Live
from engine.web.reloads import Reloads


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
    """For decisions that are looked for in the journal, the same as of the API."""
    questions: Room
    """For what takes seconds: the solver, the whole journal, thousands of decisions."""
