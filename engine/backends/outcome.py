"""What any backend hands back for one decision: every value, and which rules fired by which leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.language.model import Rule
from engine.language.types import Value


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that matched, and the numbers of the leaves that triggered it (none where it has no `when`)."""

    rule: Rule
    leaves: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one run of a policy."""

    values: Mapping[str, Value]
    """What every step set, in order."""
    fired: tuple[Firing, ...]
    """Rules of `first` and `each` sets that matched, in order."""
    vetoes: tuple[Firing, ...]
    """Rules of `veto` sets that matched, in order."""
