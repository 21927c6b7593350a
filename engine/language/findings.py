"""Findings: the one type for everything Sluice has to say about documents, from a YAML error to a failed claim.

A finding has a code (set where it is made, one section each in docs/findings.md), a severity, the span it points at,
a message, a line of help, and related places where two things disagree. Findings are collected, not raised one by one:
a `Findings` list goes through all stages of a load, and `LoadError` carries what it gathered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_SHOWN = 50
"""A load reports at most this many findings; more would bury the first."""

_LONGEST = 600
"""Characters of a message that are kept."""


class Severity(StrEnum):
    """How bad a finding is: an error stops a load, a warning fails `check`, a note does neither."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file: 1-based lines and columns, columns count characters, the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def within(self, start: int, end: int) -> Span:
        """The part from character `start` to `end` of a one-line span."""
        return Span(self.file, self.line, self.column + start, self.line, self.column + max(end, start + 1))


@dataclass(frozen=True, slots=True)
class Related:
    """A second place a finding speaks of, and what is there."""

    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong (or worth knowing) at one place. `message` says what, `help` how to fix it."""

    code: str
    severity: Severity
    span: Span
    message: str
    help: str = ""
    related: tuple[Related, ...] = ()


class Findings:
    """What a load has found so far, in the order found; the same finding is kept once."""

    def __init__(self) -> None:
        self._kept: dict[Finding, None] = {}

    def add(
        self,
        code: str,
        span: Span,
        message: str,
        help: str = "",  # noqa: A002 - the field's name in the public type
        *related: Related,
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Keep one finding. The author's text in a message may hold anything: it is shown on one line, shortened."""
        shown = tuple(Related(place.span, one_line(place.message)) for place in related)
        self._kept[Finding(code, severity, span, one_line(message), one_line(help), shown)] = None

    def extend(self, findings: Iterable[Finding]) -> None:
        """Keep findings another stage made."""
        self._kept.update(dict.fromkeys(findings))

    @property
    def has_errors(self) -> bool:
        """True if anything kept stops a load."""
        return any(finding.severity is Severity.ERROR for finding in self._kept)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def one_line(text: str) -> str:
    r"""The text with line breaks and control characters replaced, and its middle left out where it is very long.

    >>> one_line("a\n  b")
    'a b'
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "�" for character in " ".join(text.split()))


class SluiceError(Exception):
    """Base of every error Sluice raises on purpose; anything else that escapes is a bug."""


class LoadError(SluiceError):
    """A profile could not be loaded. `findings` holds all that was found, in file order, errors and warnings."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(sorted(findings, key=lambda finding: finding.span))
        super().__init__(self._summary())

    def _summary(self) -> str:
        shown = [
            f"{finding.span}: {finding.message} [{finding.code}]{f'; {finding.help}' if finding.help else ''}"
            for finding in self.findings[:MOST_SHOWN]
        ]
        if len(self.findings) > MOST_SHOWN:
            shown.append(f"... and {len(self.findings) - MOST_SHOWN} more")
        return "\n".join(shown)
