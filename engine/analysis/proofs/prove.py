"""Every question about one profile: its invariants, for each of its sets of values, and what it holds for nothing.

In: a profile and where rulebooks come from (an invariant may compare with another profile). Out: `Proofs`, plain data
that `check`, `prove`, the dashboard and reload show. Answers are remembered by what was asked, so a profile that did
not change answers at once.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import z3

from engine.analysis.proofs import QUESTION_TIMEOUT_S
from engine.analysis.proofs.asking import Answer, Refuted, Undecided
from engine.analysis.proofs.invariants import Subject, ask, ask_strict
from engine.analysis.proofs.lint import Loose, lint
from engine.analysis.proofs.runs import facts_of
from engine.backends.solver.space import Side
from engine.language.findings import Span
from engine.language.model import AtLeastAsStrict, Binding, Invariant, ParameterRef, Policy, expressions_of, walk
from engine.language.printer import print_invariant
from engine.language.rulebook import Rulebook

Status = Literal["proven", "refuted", "undecided"]

_MOST_KEPT = 100
"""Answers in a cache folder; those used longest ago go first."""


@dataclass(frozen=True, slots=True)
class Witness:
    """An input that breaks an invariant, or two that together do."""

    profiles: tuple[str, ...]
    """The profile to decide it by; two for an invariant that compares profiles."""
    groups: tuple[str, ...]
    """The symbol groups whose values hold; none for all other symbols."""
    facts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one invariant."""

    policy: str
    id: str
    text: str
    span: Span
    status: Status
    asked: int
    """Questions it took: one for each set of values that differs for it."""
    why: str = ""
    """Why it is undecided."""
    witness: Witness | None = None


@dataclass(frozen=True, slots=True)
class Proofs:
    """Everything that was asked about a profile."""

    profile: str
    version: str
    verdicts: tuple[Verdict, ...]
    loose: tuple[Loose, ...]
    lint_asked: int
    lint_undecided: tuple[str, ...]
    seconds: float
    """What it took, or would have taken again."""
    cached: bool = False

    @property
    def counts(self) -> dict[Status, int]:
        """How many invariants are in each state."""
        found = [verdict.status for verdict in self.verdicts]
        return {status: found.count(status) for status in get_args(Status)}

    @property
    def proven(self) -> bool:
        """Every invariant is."""
        return all(verdict.status == "proven" for verdict in self.verdicts)

    @property
    def clean(self) -> bool:
        """Nothing is refuted, undecided or loose."""
        return self.proven and not self.loose and not self.lint_undecided


Progress = Callable[[str, int, int], None]
"""Told what is asked next, how many questions are done, and how many there are."""


def prove(
    profile: str,
    rulebook: Callable[[str], Rulebook],
    *,
    timeout_s: float = QUESTION_TIMEOUT_S,
    cache: Path | None = None,
    progress: Progress = lambda *_: None,
    loose_ends: bool = True,
) -> Proofs:
    """Ask everything about a profile. `cache` is a folder for answers; `timeout_s` is for one question.

    `loose_ends=False` asks for the invariants alone.

    Raises:
        LoadError: if the profile, or one that an invariant compares it with, does not load.

    """
    book = rulebook(profile)
    kept = _Kept(cache, _digest(book, rulebook, loose_ends=loose_ends))
    if (remembered := kept.read()) is not None:
        return replace(remembered, cached=True)
    started = time.perf_counter()
    sides = {name: sides_of(book, policy) for name, policy in book.policies.items()}
    wanted = [(name, invariant) for name, policy in book.policies.items() for invariant in _asked(book, policy)]
    verdicts: list[Verdict] = []
    subjects: dict[str, list[Subject]] = {}
    for done, (name, invariant) in enumerate(wanted):
        progress(f"{name}.{invariant.id}", done, len(wanted) + 1)
        if name not in subjects:
            subjects = {name: [Subject(side, timeout_s) for side in sides[name]]}
        verdicts.append(_verdict(name, invariant, subjects[name], rulebook, timeout_s))
    progress("dead rules, idle conditions and parameters", len(wanted), len(wanted) + 1)
    found = lint(sides, timeout_s) if loose_ends else None
    proofs = Proofs(
        profile,
        book.version,
        tuple(verdicts),
        found.loose if found else (),
        found.asked if found else 0,
        found.undecided if found else (),
        time.perf_counter() - started,
    )
    progress("", len(wanted) + 1, len(wanted) + 1)
    kept.write(proofs)
    return proofs


def sides_of(book: Rulebook, policy: Policy) -> list[Side]:
    """A policy under each set of values that differs for it."""
    found: list[Side] = []
    seen: list[Mapping[str, object]] = []
    for binding in book.bindings.values():
        values = _values(policy, binding)
        if values not in seen:
            seen.append(values)
            found.append(Side(book, policy, binding))
    return found


def _values(policy: Policy, binding: Binding, *, ages: bool = False) -> dict[str, object]:
    """The values that what a policy decides, or what is claimed of it, depends on."""
    names = {
        f"{part.ruleset}.{part.name}"
        for expression in expressions_of(policy)
        for part in walk(expression)
        if isinstance(part, ParameterRef)
    }
    if ages:
        names |= {name for name in binding.values if name.startswith("facts.")}
    return {name: binding.values.get(name) for name in names}


def _asked(book: Rulebook, policy: Policy) -> Iterator[Invariant]:
    """The invariants that speak of this profile."""
    for invariant in policy.invariants:
        if invariant.profiles is not None and book.profile not in invariant.profiles:
            continue
        if isinstance(invariant, AtLeastAsStrict) and book.profile not in (invariant.profile, invariant.than):
            continue
        yield invariant


def _verdict(
    name: str,
    invariant: Invariant,
    subjects: Iterable[Subject],
    rulebook: Callable[[str], Rulebook],
    timeout_s: float,
) -> Verdict:
    answers: list[tuple[tuple[Side, ...], Answer]] = []
    if isinstance(invariant, AtLeastAsStrict):
        pairs = _pairs(name, invariant, rulebook)
        answers += [(pair, ask_strict(*pair, invariant, timeout_s)) for pair in pairs]
        if not pairs:
            answers.append(((), Undecided(f"`{invariant.profile}` and `{invariant.than}` do not both run `{name}`")))
    else:
        answers += [((subject.side,), ask(subject, invariant)) for subject in subjects]
    plain = Verdict(name, invariant.id, print_invariant(invariant), invariant.span, "proven", len(answers))
    for sides, answer in answers:
        if isinstance(answer, Refuted):
            return replace(plain, status="refuted", witness=_witness(sides, answer))
    undecided = [answer for _, answer in answers if isinstance(answer, Undecided)]
    return replace(plain, status="undecided", why=undecided[0].why) if undecided else plain


def _witness(sides: tuple[Side, ...], answer: Refuted) -> Witness:
    side = sides[0]
    profiles = tuple(each.rulebook.profile for each in sides)
    return Witness(profiles, side.binding.groups, tuple(facts_of(side, point) for point in answer.points))


def _pairs(name: str, invariant: AtLeastAsStrict, rulebook: Callable[[str], Rulebook]) -> list[tuple[Side, Side]]:
    """A policy under both profiles, for each symbol that has other values than those before it, ages included."""
    strict, loose = rulebook(invariant.profile), rulebook(invariant.than)
    if name not in strict.policies or name not in loose.policies:
        return []
    found: list[tuple[Side, Side]] = []
    seen: list[tuple[Mapping[str, object], ...]] = []
    for symbol in (None, *sorted({*strict.symbols, *loose.symbols})):
        first, second = (Side(book, book.policies[name], book.binding_of(symbol), symbol) for book in (strict, loose))
        values = tuple(_values(side.policy, side.binding, ages=True) for side in (first, second))
        if values not in seen:
            seen.append(values)
            found.append((first, second))
    return found


# --- answers kept --------------------------------------------------------------------------------------------------


def _digest(book: Rulebook, rulebook: Callable[[str], Rulebook], *, loose_ends: bool) -> str:
    """Everything that an answer depends on: the documents' text (places are part of it), and the solver."""
    others = sorted(
        {
            invariant.than if invariant.profile == book.profile else invariant.profile
            for policy in book.policies.values()
            for invariant in _asked(book, policy)
            if isinstance(invariant, AtLeastAsStrict)
        }
    )
    lines = [_code(), z3.get_version_string(), str(loose_ends), book.profile]
    for each in (book, *(rulebook(name) for name in others)):
        lines += [each.version, each.sources_digest]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


@cache
def _code() -> str:
    """A digest of the engine that asks: other code may answer otherwise."""
    engine = Path(__file__).parents[2]
    folders = (engine / "language", engine / "backends", engine / "backends/solver", Path(__file__).parent)
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.iterdir() if path.suffix in (".py", ".lark")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Kept:
    """The answers to one set of questions, in a file of a cache folder. What cannot be read or written is not there."""

    def __init__(self, folder: Path | None, digest: str) -> None:
        self._path = folder / f"{digest}.json" if folder is not None else None

    def read(self) -> Proofs | None:
        if self._path is None:
            return None
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Proofs)
        except (OSError, msgspec.MsgspecError):
            return None
        with suppress(OSError):
            os.utime(self._path)
        return found

    def write(self, proofs: Proofs) -> None:
        """Keep them, unless more time might say more."""
        undecided = proofs.lint_undecided or any(verdict.status == "undecided" for verdict in proofs.verdicts)
        if self._path is None or undecided:
            return
        draft = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(proofs))
            draft.replace(self._path)
            self._forget(self._path.parent)
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    @staticmethod
    def _forget(folder: Path) -> None:
        """Remove what was used longest ago, if there is much."""
        kept = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[_MOST_KEPT:]:
            path.unlink(missing_ok=True)
