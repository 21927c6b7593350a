"""Findings for people and for machines: text with the source line and a caret, JSON, GitHub annotations, SARIF 2.1.0.

Every renderer takes data and returns text or prints it; none decides what is found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from engine.analysis.check import CheckReport, ProfileSummary
from engine.analysis.cross_check import CrossCheck
from engine.language.findings import MOST_SHOWN, Finding, Severity, Span
from engine.language.nodes import Source
from engine.printing import LEAST_ROOM, counted, print_wrapped, printable

if TYPE_CHECKING:  # the extra `prove`
    from engine.analysis.proofs.prove import Proofs

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def print_check(console: Console, report: CheckReport) -> None:
    """A check as text: the findings, then a line for each profile."""
    print_findings(console, report.findings, report.sources, report.home)
    if report.findings and (report.profiles or report.unloadable):
        console.print()
    name_width = max((len(name) for name in (*_names(report.profiles), *report.unloadable)), default=0)
    for profile in report.profiles:
        line = Text(f"{profile.name:<{name_width}} {describe_profile(profile)}")
        print_wrapped(console, line, hanging=name_width + 1)
        if profile.name in report.proofs:
            proofs = Text(f"{'':<{name_width}} {describe_proofs(report.proofs[profile.name])}")
            print_wrapped(console, proofs, hanging=name_width + 1)
    for name in report.unloadable:
        console.print(Text(f"{name:<{name_width}} does not load", "bold red"))
    if report.crossed is not None:
        print_wrapped(console, Text(describe_cross_check(report.crossed, report.unloadable)))


def _names(profiles: Iterable[ProfileSummary]) -> list[str]:
    return [profile.name for profile in profiles]


def describe_profile(profile: ProfileSummary) -> str:
    """One line: version and counts."""
    counts = (
        counted(profile.rules, "rule"),
        counted(profile.parameters, "parameter"),
        counted(profile.policies, "policy", "policies"),
        counted(profile.symbol_groups, "symbol group"),
    )
    return f"{profile.version}: {', '.join(counts)}"


def describe_proofs(proofs: Proofs) -> str:
    """One line: how many invariants hold, and how many questions about loose ends there were, of what was asked."""
    counts = proofs.counts
    said = [f"{counted(counts['proven'], 'invariant')} proven"] if "invariants" in proofs.only else []
    said += [f"{count} {status}" for status, count in counts.items() if count and status != "proven"]
    if proofs.lint_asked:
        ends = counted(len(proofs.loose), "loose end") if proofs.loose else "no loose end"
        said.append(f"{ends} in {counted(proofs.lint_asked, 'question')}")
    if proofs.lint_undecided:
        said.append(f"{len(proofs.lint_undecided)} of them undecided")
    return ", ".join(said)


def describe_cross_check(crossed: CrossCheck, unloadable: Sequence[str] = ()) -> str:
    """One line: what was compared, and what could not be, or why nothing was: profiles may all be `unloadable`."""
    if not crossed.sets:
        return f"{crossed.engine}: nothing was compared, since {_why_not_compared(crossed, unloadable)}"
    said = f"disagrees on {counted(crossed.disagreements, 'rule set')}" if crossed.disagreements else "agrees"
    compared = f"{counted(crossed.sets, 'rule set')}, {counted(crossed.rules, 'rule')}, {crossed.inputs:,} inputs"
    lacking = f"; it cannot run {', '.join(crossed.inexpressible)}" if crossed.inexpressible else ""
    return f"{crossed.engine} {said}: {compared}{lacking}"


def _why_not_compared(crossed: CrossCheck, unloadable: Sequence[str]) -> str:
    if crossed.inexpressible:
        return f"it cannot run {', '.join(crossed.inexpressible)}"
    if unloadable:
        return f"{', '.join(unloadable)} {'does' if len(unloadable) == 1 else 'do'} not load"
    return "no profile has a rule set"


def print_findings(
    console: Console, findings: Sequence[Finding], sources: Mapping[str, Source], home: Path | None
) -> None:
    """Findings as text, at most fifty, and how to look a code up. Without a home, files are named as they stand."""
    for number, finding in enumerate(findings[:MOST_SHOWN]):
        if number:
            console.print()
        _print_finding(console, finding, sources, home)
    if len(findings) > MOST_SHOWN:
        console.print()
        console.print(Text(f"... and {len(findings) - MOST_SHOWN} more"))
    if findings:
        first = next((finding for finding in findings if finding.severity is not Severity.NOTE), findings[0])
        console.print()
        print_wrapped(console, Text(f"`sluice findings {first.code}` says more about a code", "dim"))


def _print_finding(console: Console, finding: Finding, sources: Mapping[str, Source], home: Path | None) -> None:
    head = Text.assemble(
        (f"{_shown_place(finding.span, home)}: ", "bold"),
        (f"{finding.severity}: ", _STYLES[finding.severity]),
        printable(finding.message),
        (f" [{finding.code}]", "dim"),
    )
    print_wrapped(console, head)
    _print_source(console, finding.span, sources, _STYLES[finding.severity])
    if finding.help:
        print_wrapped(console, Text.assemble("  ", ("help: ", "bold"), printable(finding.help)), hanging=8)
    for related in finding.related:
        print_wrapped(console, Text(f"  {_shown_place(related.span, home)}: {printable(related.message)}"))
        _print_source(console, related.span, sources, "bold")


def _print_source(console: Console, span: Span, sources: Mapping[str, Source], style: str) -> None:
    """The line the span begins in, and carets under the span; long lines are cut around it."""
    source = sources.get(span.file)
    if source is None or span.line > len(source.lines):
        return
    line = printable(source.lines[span.line - 1])
    if not line.strip():
        return
    start = min(span.column - 1, len(line))
    end = min(span.end_column - 1, len(line)) if span.end_line == span.line else len(line.rstrip())
    end = max(end, start + 1)
    number = f"{span.line:>6}"
    shown, start, end = _window(line, start, end, max(console.width - len(number) - 3, LEAST_ROOM))
    console.print(Text(f"{number} | {shown}"), soft_wrap=True)
    before, under = cell_len(shown[:start]), max(cell_len(shown[start:end]), 1)
    console.print(Text.assemble(f"{'':>6} | ", " " * before, ("^" * under, style)), soft_wrap=True)


def _window(line: str, start: int, end: int, room: int) -> tuple[str, int, int]:
    """The part of a line that fits into `room` cells and shows characters from `start` on; start and end within it."""
    line = line.rstrip()
    if cell_len(line) <= room:
        return line, start, end
    first = 0
    if cell_len(line[:end]) > room - 3:
        first = max(0, start - max(room // 3, 1))
    mark = "..." if first else ""
    shown = line[first:]
    cut = cell_len(mark + shown) > room
    while shown and cell_len(mark + shown) + (3 if cut else 0) > room:
        shown = shown[:-1]
    start, end = start - first + len(mark), min(end - first, len(shown)) + len(mark)
    return f"{mark}{shown}{'...' if cut else ''}", start, max(end, start + 1)


def brief(findings: Sequence[Finding], home: Path | None) -> str:
    """One line for findings that stop nothing: the first, how many more, and what shows them; empty where none is."""
    serious = [finding for finding in findings if finding.severity is not Severity.NOTE]
    if not serious:
        return ""
    more = f", and {len(serious) - 1} more" if len(serious) > 1 else ""
    first = serious[0]
    return f"warning: {_shown_place(first.span, home)}: {printable(first.message)}{more} (see `sluice check`)"


def _shown_place(span: Span, home: Path | None) -> str:
    file = openable(span.file, home) if home is not None else span.file
    return f"{printable(file)}:{span.line}:{span.column}"


def openable(file: str, home: Path) -> str:
    """A file of a home as it can be opened from the working directory: relative where it lies below that."""
    path = (home / file).absolute()
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def check_json(report: CheckReport) -> dict[str, Any]:
    """A check as a JSON object, with every finding."""
    return {
        "findings": [finding_json(finding) for finding in report.findings],
        "profiles": [
            {
                "name": profile.name,
                "version": profile.version,
                "rules": profile.rules,
                "parameters": profile.parameters,
                "policies": profile.policies,
                "symbol_groups": profile.symbol_groups,
                "symbols": profile.symbols,
                **_proofs_json(report, profile.name),
            }
            for profile in report.profiles
        ],
        "unloadable": list(report.unloadable),
        "cross_check": None if report.crossed is None else _cross_check_json(report.crossed),
    }


def _cross_check_json(crossed: CrossCheck) -> dict[str, Any]:
    return {
        "engine": crossed.engine,
        "sets": crossed.sets,
        "rules": crossed.rules,
        "inputs": crossed.inputs,
        "disagreements": crossed.disagreements,
        "inexpressible": list(crossed.inexpressible),
    }


def _proofs_json(report: CheckReport, name: str) -> dict[str, Any]:
    proofs = report.proofs.get(name)
    if proofs is None:
        return {}
    return {"proofs": {**proofs.counts, "loose_ends": len(proofs.loose), "questions": proofs.lint_asked}}


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding as a JSON object; files are named as in the home, lines and columns are 1-based, ends exclusive."""
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        **_span_json(finding.span),
        "message": finding.message,
        "help": finding.help,
        "related": [{**_span_json(related.span), "message": related.message} for related in finding.related],
    }


def _span_json(span: Span) -> dict[str, Any]:
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def github(report: CheckReport) -> str:
    """A check as workflow commands of GitHub Actions, one line a finding."""
    return "".join(f"{_annotation(finding, report.home)}\n" for finding in report.findings)


_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def _annotation(finding: Finding, home: Path) -> str:
    places = [f"{openable(other.span.file, home)}:{other.span.line}: {other.message}" for other in finding.related]
    text = "\n".join([finding.message, *([f"help: {finding.help}"] if finding.help else []), *places])
    return annotation(_COMMANDS[finding.severity], openable(finding.span.file, home), finding.span, finding.code, text)


def annotation(command: str, file: str, span: Span, title: str, text: str) -> str:
    """A workflow command of GitHub Actions (`error`, `warning` or `notice`) that points at a place."""
    properties = {
        "file": file,
        "line": str(span.line),
        "endLine": str(span.end_line),
        "col": str(span.column),
        # GitHub drops columns of annotations over several lines; an end it would misread is left out.
        **({"endColumn": str(span.end_column)} if span.end_line == span.line else {}),
        "title": title,
    }
    listed = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{command} {listed}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    """As GitHub's runner wants it: percent first, then line ends; in properties `:` and `,` as well."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def sarif(report: CheckReport) -> dict[str, Any]:
    """A check as a SARIF 2.1.0 log."""
    codes = sorted({finding.code for finding in report.findings})
    driver = {"name": "sluice", "version": _own_version(), "rules": [{"id": code} for code in codes]}
    return {
        "$schema": _SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, codes.index, report.home) for finding in report.findings],
            }
        ],
    }


def _result(finding: Finding, index: Callable[[str], int], home: Path) -> dict[str, Any]:
    text = f"{finding.message}\nhelp: {finding.help}" if finding.help else finding.message
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index(finding.code),
        "level": finding.severity.value,
        "message": {"text": text},
        "locations": [{"physicalLocation": _location(finding.span, home)}],
    }
    if finding.related:
        result["relatedLocations"] = [
            {"id": number, "physicalLocation": _location(related.span, home), "message": {"text": related.message}}
            for number, related in enumerate(finding.related, 1)
        ]
    return result


def _location(span: Span, home: Path) -> dict[str, Any]:
    file = openable(span.file, home)
    uri = Path(file).as_uri() if Path(file).is_absolute() else quote(file)
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    return {"artifactLocation": {"uri": uri}, "region": region}


def _own_version() -> str:
    try:
        return version("sluice-router")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


def as_json(value: Any) -> str:
    """Indented JSON for people and programs alike; non-finite numbers are a mistake of ours."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
