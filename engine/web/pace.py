"""How often something is written: the longest time between two writes that came lately.

In: the moment of each write. Out: the longest gap of the last minutes, by which one tells a quiet journal from a dead
one.
"""

from __future__ import annotations

from collections import deque

LATELY_S = 600.0
"""Gaps that are longer ago are forgotten."""


class Pace:
    """Of one writer, by one clock."""

    def __init__(self) -> None:
        self._first_s: float | None = None
        self._last_s = 0.0
        self._gaps: deque[tuple[float, float]] = deque()
        """When it ended and how long it was, for each that is longer than all after it: the first is the longest."""

    @property
    def longest_s(self) -> float | None:
        """The longest gap of lately, in seconds; None before the second write."""
        return self._gaps[0][1] if self._gaps else None

    @property
    def watched_s(self) -> float:
        """From the first write to the last, in seconds."""
        return 0.0 if self._first_s is None else self._last_s - self._first_s

    def see(self, now_s: float) -> None:
        """Something was written at this moment; one before the last counts as the last."""
        if self._first_s is None:
            self._first_s = self._last_s = now_s
            return
        gap = max(0.0, now_s - self._last_s)
        self._last_s = max(self._last_s, now_s)
        while self._gaps and self._gaps[-1][1] <= gap:
            self._gaps.pop()
        self._gaps.append((self._last_s, gap))
        while self._gaps[0][0] < self._last_s - LATELY_S:
            self._gaps.popleft()
