"""Differences that no entry of `diverges` covers, in one closing line: how many, which, and how to state one.

A diff may be asked to fail on them, and what ends a command with 1 has to be named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.analysis.diff.report import Diff
from engine.analysis.diff.transitions import Transition, show_value
from engine.language.rulebook import Rulebook
from engine.printing import counted

_MOST_NAMED = 12
"""Transitions that the closing line names; all of them are marked above it."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The closing line, in parts that Markdown sets otherwise."""

    said: str
    """How many transitions are unexpected or undecided, and which; without a full stop."""
    how: str
    """How to state one on purpose, or why that cannot be done; empty where nothing is unexpected but undecided."""
    entry: str
    """An entry of `diverges` that would cover the first of them; empty where none could."""

    @property
    def text(self) -> str:
        """The line as a whole."""
        how = f"{self.how}: {self.entry}" if self.entry else self.how
        return f"{self.said}. {how}" if how else self.said


def states(diff: Diff) -> bool:
    """True if either profile says under `diverges` what is meant between the two."""
    a, b = diff.a.rulebook, diff.b.rulebook
    return any(entry.against == a.profile for entry in b.diverges) or any(
        entry.against == b.profile for entry in a.diverges
    )


def closing(diff: Diff) -> Closing | None:
    """The closing line; None where every transition is covered, and where decisions were not compared."""
    found = diff.behaviour
    if found is None:
        return None
    sure = [each for each in found.unexpected if not each.undecided]
    said = []
    if sure:
        said.append(f"{counted(len(sure), 'transition')} {_are(sure)} unexpected: {_named(sure)}")
    if found.undecided:
        open_ = list(dict.fromkeys(f"{each.policy}.{each.decision}" for each in found.undecided))
        said.append(
            f"{counted(len(open_), 'decision')} {_are(open_)} undecided, which counts as unexpected: {', '.join(open_)}"
        )
    if not said:
        return None
    how, entry = _statement(diff, sure[0]) if sure else ("", "")
    return Closing("; ".join(said), how, entry)


def _are(counted_things: Sequence[object]) -> str:
    return "is" if len(counted_things) == 1 else "are"


def _named(transitions: Sequence[Transition]) -> str:
    """Each decision with what becomes of it, once for all sets of symbols."""
    times = Counter(f"{each.policy}.{each.decision} {each.text}" for each in transitions)
    texts = [text if count == 1 else f"{text} ({count} times)" for text, count in times.items()]
    more = [f"and {len(texts) - _MOST_NAMED} more"] if len(texts) > _MOST_NAMED else []
    return ", ".join([*texts[:_MOST_NAMED], *more])


def _statement(diff: Diff, transition: Transition) -> tuple[str, str]:
    """Where to state a transition, and as what. A profile states nothing against one that it extends."""
    a, b = diff.a.rulebook, diff.b.rulebook
    if a.profile == b.profile:
        return f"`diverges` states differences between two profiles, and both sides are `{a.profile}`", ""
    backwards = _file(a) in b.sources
    writer, other = (a, b) if backwards else (b, a)
    ends = [transition.before, transition.after]
    before, after = reversed(ends) if backwards else ends
    parts = [f"against: {other.profile}", f"decision: {transition.policy}.{transition.decision}"]
    if transition.direction is None:
        parts += [f"from: {show_value(before)}", f"to: {show_value(after)}"]
    how = f"One that is meant is stated under `diverges` in {_file(writer)}"
    return how, f"{{{', '.join([*parts, 'why: …'])}}}"


def _file(rulebook: Rulebook) -> str:
    return f"profiles/{rulebook.profile}.yaml"
