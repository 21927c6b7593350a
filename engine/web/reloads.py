"""What became of changed documents, as the session that watches them says in its status file.

In: the folder of logs. Out: the last `Status`, and each new verdict once.
"""

from __future__ import annotations

from pathlib import Path

from engine.reload.errors import ReloadError
from engine.reload.status import Status, read_status


class Reloads:
    """Looks at the status of one logs folder."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self.status: Status | None = None
        """As it was at the last look; None where no session wrote any."""
        self._is_first = True

    def look(self) -> str | None:
        """Read the status again; the verdict on a change that is new since the last look, None where there is none.

        What was decided before the first look is nobody's news.
        """
        before = None if self.status is None else self.status.attempt
        try:
            self.status = read_status(self._logs)
        except ReloadError:
            return None  # none there, or half written by an older release: the next look may find one
        finally:
            is_first, self._is_first = self._is_first, False
        attempt = self.status.attempt
        return None if is_first or attempt is None or attempt == before else attempt.verdict
