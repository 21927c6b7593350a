"""Differences that are meant: which `diverges` entry says so of a transition, and which entries nothing uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.analysis.diff.transitions import Transition
from engine.language.model import Divergence
from engine.language.rulebook import Rulebook


def expect(
    a: Rulebook, b: Rulebook, transitions: Iterable[Transition], policies: Sequence[str]
) -> tuple[tuple[Transition, ...], tuple[Divergence, ...]]:
    """The transitions, each with the entry that says it is meant, and the entries about `policies` that none uses.

    Either side may say it, of the other: an entry of A is about the way from B to A.
    """
    entries = [(entry, False) for entry in b.diverges if entry.against == a.profile]
    entries += [(entry, True) for entry in a.diverges if entry.against == b.profile]
    used: set[Divergence] = set()
    marked: list[Transition] = []
    for transition in transitions:
        fitting = [entry for entry, backwards in entries if _fits(entry, transition, backwards=backwards)]
        used.update(fitting)
        marked.append(replace(transition, expected=fitting[0] if fitting else None))
    unused = (entry for entry, _ in entries if entry not in used and entry.policy in policies)
    return tuple(marked), tuple(unused)


def _fits(entry: Divergence, transition: Transition, *, backwards: bool) -> bool:
    if (entry.policy, entry.decision) != (transition.policy, transition.decision):
        return False
    ends = (transition.after, transition.before) if backwards else (transition.before, transition.after)
    return all(given is None or given == end for given, end in zip((entry.before, entry.after), ends, strict=True))
