"""A whole home, checked: every finding of every profile once, and a summary of each profile that loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.analysis.cold import cold_notes
from engine.analysis.cross_check import CrossCheck, cross_check
from engine.analysis.request import RequestError, require_home, require_profile
from engine.language.findings import Finding, LoadError, Severity, Span
from engine.language.load import Workspace, profile_names, read_files
from engine.language.nodes import Source
from engine.language.rulebook import Rulebook

if TYPE_CHECKING:  # the extra `prove`: imported only to ask
    from engine.analysis.proofs.prove import Progress, Proofs


@dataclass(frozen=True, slots=True)
class ProfileSummary:
    """A profile in numbers."""

    name: str
    version: str
    rules: int
    parameters: int
    policies: int
    symbol_groups: int
    symbols: int


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found. Findings stand in file order, notes among them."""

    home: Path
    findings: tuple[Finding, ...]
    profiles: tuple[ProfileSummary, ...]
    unloadable: tuple[str, ...]
    """Profiles that were asked for, or are there, and do not load."""
    sources: Mapping[str, Source]
    """The files as they were when checked."""
    proofs: Mapping[str, Proofs] = field(default_factory=dict)
    """By profile; none where nothing was to be proven, or the solver is not installed."""
    crossed: CrossCheck | None = None
    """What the second engine said, where it was asked; its findings stand among the others."""

    @property
    def failed(self) -> bool:
        """True if anything found is an error or a warning."""
        return any(finding.severity is not Severity.NOTE for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Proving:
    """How a check asks the solver."""

    timeout_s: float
    """For one question."""
    cache: Path | None
    """A folder for answers."""
    progress: Callable[[str], Progress]
    """Shows how far the proofs of a profile are."""
    budget_s: float | None = None
    """For all questions about all profiles together; None: as long as it takes."""


def check_home(
    home: Path, profiles: Sequence[str] = (), proving: Proving | None = None, *, cross: bool = False
) -> CheckReport:
    """Check the profiles named, or all that run policies, and every file of the home.

    With `proving` the invariants of each profile that loads are proven too, and loose ends looked for.
    With `cross` they are held against a second engine as well.

    Raises:
        RequestError: for a home or a profile that is not there, and for a home without any profile.
        EngineError: where the second engine fails rather than answers.

    """
    require_home(home)
    for name in profiles:
        require_profile(home, name)
    workspace = Workspace(read_files(home))
    # A rulebook repeats what is wrong elsewhere as warnings: the same place, code and message is the same finding.
    found = {(finding.span, finding.code, finding.message): finding for finding in workspace.findings}

    def keep(findings: Iterable[Finding]) -> None:
        for finding in findings:
            found.setdefault((finding.span, finding.code, finding.message), finding)

    wanted = list(dict.fromkeys(profiles)) or _all_of(home, workspace)
    if not wanted and not found:
        raise RequestError(f"no profile in `{home}` runs policies", "list them under `policies` in a profile")
    loaded: list[ProfileSummary] = []
    rulebooks: list[Rulebook] = []
    unloadable: list[str] = []
    for name in wanted:
        try:
            rulebook = workspace.rulebook(name)
        except LoadError as error:
            keep(error.findings)
            unloadable.append(name)
        else:
            keep((*rulebook.warnings, *cold_notes(rulebook)))
            loaded.append(summarize(rulebook))
            rulebooks.append(rulebook)
    proofs: dict[str, Proofs] = {}
    if proving is not None and loaded:
        proofs = _prove([summary.name for summary in loaded], workspace, proving, keep)
    crossed = cross_check(rulebooks) if cross else None
    keep(crossed.findings if crossed is not None else ())
    ordered = tuple(sorted(found.values(), key=lambda finding: finding.span))
    return CheckReport(home, ordered, tuple(loaded), tuple(unloadable), workspace.sources, proofs, crossed)


def _prove(
    names: Sequence[str], workspace: Workspace, proving: Proving, keep: Callable[[Iterable[Finding]], None]
) -> dict[str, Proofs]:
    """Prove profiles that load, and keep what was found."""
    if find_spec("z3") is None:
        where = Span(f"profiles/{names[0]}.yaml", 1, 1, 1, 2)
        help_text = "install the solver: pip install 'sluice-router[prove]', or leave proofs out with --no-prove"
        keep([Finding("proofs.missing", Severity.NOTE, where, "the invariants were not proven", help_text)])
        return {}
    from engine.analysis.proofs.asking import Budget  # noqa: PLC0415 - the extra `prove`
    from engine.analysis.proofs.findings import findings_of  # noqa: PLC0415 - the extra `prove`
    from engine.analysis.proofs.prove import prove  # noqa: PLC0415 - the extra `prove`

    rulebook = cache(workspace.rulebook)
    asked: dict[str, Proofs] = {}
    budget = Budget(proving.budget_s)
    for name in names:
        try:
            asked[name] = prove(
                name,
                rulebook,
                timeout_s=proving.timeout_s,
                budget=budget,
                cache=proving.cache,
                progress=proving.progress(name),
            )
        except LoadError as error:  # of a profile that an invariant compares this one with
            keep(error.findings)
    keep(findings_of(tuple(asked.values()), rulebook))
    return asked


def summarize(rulebook: Rulebook) -> ProfileSummary:
    """Count what a rulebook holds; a rule that several policies run counts once."""
    rules = {rule.full_id for policy in rulebook.policies.values() for step in policy.steps for rule in step.rules}
    groups = {group for groups in rulebook.symbols.values() for group in groups}
    return ProfileSummary(
        rulebook.profile,
        rulebook.version,
        len(rules),
        len(rulebook.declarations),
        len(rulebook.policies),
        len(groups),
        len(rulebook.symbols),
    )


def _all_of(home: Path, workspace: Workspace) -> list[str]:
    """The profiles that run policies, and those whose file is too broken to tell."""
    runs = set(workspace.profiles())
    return [name for name in profile_names(home) if name in runs or f"profile:{name}" in workspace.library.broken]
