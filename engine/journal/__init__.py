"""The journal: append-only JSON lines, one file a day, from which all state is rebuilt.

`events` says what is written, `writer` how it is kept, `reader` gives it back, `retention` packs what is old.
"""

from engine.journal.errors import JournalError, JournalUnwritableError
from engine.journal.events import VERSION, Event
from engine.journal.reader import follow, read, tail, verify
from engine.journal.retention import archive, prune
from engine.journal.writer import ALWAYS, NEVER, FsyncPolicy, Journal

__all__ = [
    "ALWAYS",
    "NEVER",
    "VERSION",
    "Event",
    "FsyncPolicy",
    "Journal",
    "JournalError",
    "JournalUnwritableError",
    "archive",
    "follow",
    "prune",
    "read",
    "tail",
    "verify",
]
