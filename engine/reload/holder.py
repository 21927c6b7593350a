"""The one reference that decisions take: an immutable book, replaced whole.

A reader takes `current` once for a decision and uses what it got to the end: then the decision runs wholly under one
version, whatever is swapped in meanwhile. Taking it is reading one attribute and swapping is storing one, and both are
atomic in Python, so readers in any thread need no lock and never wait. Only writers take turns, for the generation.
Nothing refers to a book that was replaced once the decisions under it are done.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

BookT = TypeVar("BookT")


@dataclass(frozen=True, slots=True)
class Held(Generic[BookT]):
    """A book in force, and how many came before it. A decision keeps this, not the holder."""

    book: BookT
    generation: int
    """0 for the first, one more at each swap."""


class Holder(Generic[BookT]):
    """Holds the book in force."""

    __slots__ = ("_lock", "current")

    def __init__(self, book: BookT) -> None:
        self._lock = Lock()
        self.current = Held(book, 0)
        """What is in force now. Read it once for each decision; only `swap` may set it."""

    def swap(self, book: BookT) -> Held[BookT]:
        """Put another book in force: whoever reads `current` from here on gets it."""
        with self._lock:
            held = Held(book, self.current.generation + 1)
            self.current = held
        return held
