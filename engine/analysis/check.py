"""A whole home, checked: every finding of every profile once, and a summary of each profile that loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.analysis.cold import cold_notes
from engine.analysis.request import RequestError, require_home, require_profile
from engine.language.findings import Finding, LoadError, Severity
from engine.language.load import Workspace, profile_names, read_files
from engine.language.nodes import Source
from engine.language.rulebook import Rulebook


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

    @property
    def failed(self) -> bool:
        """True if anything found is an error or a warning."""
        return any(finding.severity is not Severity.NOTE for finding in self.findings)


def check_home(home: Path, profiles: Sequence[str] = ()) -> CheckReport:
    """Check the profiles named, or all that run policies, and every file of the home.

    Raises:
        RequestError: for a home or a profile that is not there, and for a home without any profile.

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
    ordered = tuple(sorted(found.values(), key=lambda finding: finding.span))
    return CheckReport(home, ordered, tuple(loaded), tuple(unloadable), workspace.sources)


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
