"""Every question about one profile: its invariants, for each of its sets of values, and what it holds for nothing.

In: a profile and where rulebooks come from (an invariant may compare with another profile). Out: `Proofs`, plain data
that `check`, `prove`, the dashboard and reload show. Answers are remembered by what was asked, so a profile that did
not change answers at once.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import z3

from engine.analysis.proofs import QUESTION_TIMEOUT_S, QUESTIONS, Question
from engine.analysis.proofs.asking import Answer, Budget, Refuted, Undecided
from engine.analysis.proofs.invariants import Subject, ask, ask_strict
from engine.analysis.proofs.lint import Lint, Loose, lint, parts_in
from engine.analysis.proofs.runs import facts_of
from engine.backends.solver.space import Side
from engine.backends.solver.turns import turn
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
    across: tuple[str, ...] = ()
    """The two profiles that it compares; it is asked of either, and has one answer."""


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
    only: tuple[Question, ...] = QUESTIONS
    """What was asked."""
    cut_short: str = ""
    """Why not everything was asked, where the budget was used up before."""
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
    def asked(self) -> int:
        """Questions of any kind; an invariant is one."""
        return len(self.verdicts) + self.lint_asked

    @property
    def undecided(self) -> int:
        """Those of them without an answer."""
        return self.counts["undecided"] + len(self.lint_undecided)

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
    only: Collection[Question] = QUESTIONS,
    timeout_s: float = QUESTION_TIMEOUT_S,
    budget: Budget | None = None,
    cache: Path | None = None,
    progress: Progress = lambda *_: None,
) -> Proofs:
    """Ask about a profile: everything, or `only` some kinds of questions.

    `timeout_s` is for one question, `budget` for all of them; `cache` is a folder for answers. Another thread that uses
    the solver is waited for.

    Raises:
        LoadError: if the profile, or one that an invariant compares it with, does not load.
        StoppedError: if `turns.stop` ended it.

    """
    book = rulebook(profile)
    kinds = tuple(kind for kind in QUESTIONS if kind in only)
    kept = _Kept(cache, _digest(book, rulebook, kinds))
    if (known := kept.read()) is not None:
        return known
    with turn():
        proofs = _Asking(book, rulebook, kinds, timeout_s, budget or Budget(), progress).proofs()
    kept.write(proofs)
    return proofs


def remembered(
    profile: str, rulebook: Callable[[str], Rulebook], *, only: Collection[Question], cache: Path | None
) -> Proofs | None:
    """What was answered before, without the solver's turn; None where it was not.

    Raises:
        LoadError: as `prove` does.

    """
    kinds = tuple(kind for kind in QUESTIONS if kind in only)
    return _Kept(cache, _digest(rulebook(profile), rulebook, kinds)).read()


@dataclass(frozen=True)
class _Asking:
    """Everything that is to be asked about one profile."""

    book: Rulebook
    rulebook: Callable[[str], Rulebook]
    only: tuple[Question, ...]
    timeout_s: float
    budget: Budget
    progress: Progress

    def proofs(self) -> Proofs:
        """Ask it all."""
        started = time.perf_counter()
        sides = {name: sides_of(self.book, policy) for name, policy in self.book.policies.items()}
        wanted = self._invariants()
        total = len(wanted) + len(parts_in(sides, self.only))
        verdicts: list[Verdict] = []
        subjects: dict[str, list[Subject]] = {}
        for done, (name, invariant) in enumerate(wanted):
            self.progress(f"{name}.{invariant.id}", done, total)
            if name not in subjects and not self.budget.used_up:
                subjects = {name: [Subject(side, self.timeout_s, self.budget) for side in sides[name]]}
            verdicts.append(self._verdict(name, invariant, subjects.get(name, ())))
        found = Lint((), 0, ())
        if set(self.only) - {"invariants"}:
            found = lint(
                sides,
                self.timeout_s,
                only=self.only,
                budget=self.budget,
                tell=lambda about, done: self.progress(about, len(wanted) + done, total),
            )
        self.progress("", total, total)
        proofs = Proofs(
            self.book.profile,
            self.book.version,
            tuple(verdicts),
            found.loose,
            found.asked,
            found.undecided,
            time.perf_counter() - started,
            self.only,
        )
        return replace(proofs, cut_short=self.budget.why) if proofs.undecided and self.budget.used_up else proofs

    def _invariants(self) -> list[tuple[str, Invariant]]:
        """Those to be asked, with their policies."""
        if "invariants" not in self.only:
            return []
        policies = self.book.policies.items()
        return [(name, invariant) for name, policy in policies for invariant in _asked(self.book, policy)]

    def _verdict(self, name: str, invariant: Invariant, subjects: Iterable[Subject]) -> Verdict:
        answers: list[tuple[tuple[Side, ...], Answer]] = []
        across: tuple[str, ...] = ()
        if isinstance(invariant, AtLeastAsStrict):
            across = (invariant.profile, invariant.than)
        if self.budget.used_up:
            answers.append(((), Undecided(self.budget.why)))
        elif isinstance(invariant, AtLeastAsStrict):
            pairs = _pairs(name, invariant, self.rulebook)
            answers += [(pair, ask_strict(*pair, invariant, self.timeout_s, self.budget)) for pair in pairs]
            if not pairs:
                answers.append(
                    ((), Undecided(f"`{invariant.profile}` and `{invariant.than}` do not both run `{name}`"))
                )
        else:
            answers += [((subject.side,), ask(subject, invariant)) for subject in subjects]
        plain = Verdict(
            name, invariant.id, print_invariant(invariant), invariant.span, "proven", len(answers), across=across
        )
        for sides, answer in answers:
            if isinstance(answer, Refuted):
                return replace(plain, status="refuted", witness=_witness(sides, answer))
        undecided = [answer for _, answer in answers if isinstance(answer, Undecided)]
        return replace(plain, status="undecided", why=undecided[0].why) if undecided else plain


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


def _digest(book: Rulebook, rulebook: Callable[[str], Rulebook], only: tuple[Question, ...]) -> str:
    """Everything that an answer depends on: what is asked, the documents' text (with its places), and the solver."""
    others = sorted(
        {
            invariant.than if invariant.profile == book.profile else invariant.profile
            for policy in book.policies.values()
            for invariant in _asked(book, policy)
            if isinstance(invariant, AtLeastAsStrict)
        }
    )
    lines = [_code(), z3.get_version_string(), *only, book.profile]
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
        return replace(found, cached=True)

    def write(self, proofs: Proofs) -> None:
        """Keep them, unless more time might say more."""
        if self._path is None or proofs.undecided:
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
