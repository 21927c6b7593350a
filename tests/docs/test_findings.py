"""Every code that the engine can report has a section in docs/findings.md, whose examples do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.analysis.proofs.findings import findings_of
from engine.analysis.proofs.prove import prove
from engine.language.findings import Findings, LoadError, Severity
from engine.language.load import Files, Workspace
from engine.language.nodes import decode_source

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `([a-z_.]+)`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
IN_WORDS = {
    "backend.disagrees",
    "backend.inexpressible",
    "cold.never_rests",
    "decision.partial",
    "event.unsupplied",
    "file.missing",
    "file.unreadable",
    "file.encoding",
    "file.too_large",
    "file.name",
    "invariant.undecided",
    "proofs.missing",
    "proofs.undecided",
    "reload.bundle",
    "reload.last_good",
    "reload.no_bundle",
    "reload.overtaken",
    "reload.stage_failed",
    "reload.unfit",
    "reload.unproved",
    "reload.unsettled",
    "shape.too_many",
}
"""Codes of what a page of YAML cannot show.

test_fuzz_files.py, test_cold.py, test_cross_check.py, test_windows.py, tests/reload/, tests/routing/sessions/ and
tests/analysis/proofs/ make each of them.
"""


def blocks(text: str, word: str) -> list[str]:
    """The YAML that follows a word such as `Avoid:`."""
    return re.findall(rf"^{word}\n\n```yaml\n(.*?)```", text, re.MULTILINE | re.DOTALL)


def files_in(block: str) -> dict[str, str]:
    """The files of a block, by the comments that name them."""
    parts = re.split(r"^# (\w+/\w+\.yaml)\n", block, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


HOME = files_in(re.findall(r"```yaml home\n(.*?)```", PAGE, re.DOTALL)[0])


def keys_of(text: str) -> dict[str, str]:
    """The top of a document: each key with its lines. A key without a value takes the key away."""
    parts = re.split(r"^(?=[a-z_]+:)", text, flags=re.MULTILINE)
    return {part.partition(":")[0]: part for part in parts if part.strip()}


def with_changes(block: str) -> dict[str, str]:
    """The home with the files of a block laid over it, key by key."""
    home = dict(HOME)
    for name, text in files_in(block).items():
        keys = {**keys_of(home.get(name, "")), **keys_of(text)}
        home[name] = "".join(part for key, part in keys.items() if part.strip() != f"{key}:")
    return home


PROVED = set(re.findall(r"^### `([a-z_.]+)`", PAGE.partition("\n## Proofs\n")[2].partition("\n## ")[0], re.MULTILINE))
"""Codes of what the solver finds."""


def codes_in(home: dict[str, str], *, proofs: bool = False) -> dict[str, Severity]:
    """What a load of every profile of a home reports, and what asking the solver adds to it."""
    findings = Findings()
    sources = {name: decode_source(text.encode(), name, findings) for name, text in home.items()}
    workspace = Workspace(Files({name: source for name, source in sources.items() if source}, tuple(findings)))
    found = list(workspace.findings)
    for name in (Path(name).stem for name in home if name.startswith("profiles/") and name != "profiles/base.yaml"):
        try:
            found += workspace.rulebook(name).warnings
            if proofs:
                found += findings_of([prove(name, workspace.rulebook)], workspace.rulebook)
        except LoadError as error:
            found += error.findings
    return {finding.code: finding.severity for finding in found}


def reported_codes() -> set[str]:
    """Every code that stands in the sources of the language, and of what `check` and `run` add to it."""
    analyses = (
        ROOT / "engine/analysis" / name for name in ("cold.py", "check.py", "cross_check.py", "proofs/findings.py")
    )
    routing = ("window_events.py", "sessions/desk.py")
    others = [*analyses, *(ROOT / "engine/routing" / name for name in routing)]
    packages = [ROOT / "engine" / name for name in ("language", "reload", "routing/sessions/reloading")]
    paths = [*(path for package in packages for path in sorted(package.glob("*.py"))), *others]
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    files = (".lark", ".yaml", ".json", ".jsonl")
    return {code for code in re.findall(r'"([a-z_]+\.[a-z_]+)"', text) if not code.endswith(files)}


def test_every_code_has_a_section_and_every_section_a_code() -> None:
    assert set(SECTIONS) == reported_codes()


def test_the_home_of_the_examples_loads() -> None:
    assert codes_in(HOME) == {}


@pytest.mark.parametrize("code", sorted(SECTIONS))
def test_a_section_says_what_to_avoid_what_to_prefer_and_why(code: str) -> None:
    text = SECTIONS[code]
    for word in ("Avoid", "refer", "Why: "):
        assert word in text
    avoided, preferred = blocks(text, "Avoid:"), blocks(text, "Prefer:")
    if code in IN_WORDS:
        assert not avoided
        return
    assert avoided
    for block in avoided:
        assert code in codes_in(with_changes(block), proofs=code in PROVED)
    for block in preferred:
        found = codes_in(with_changes(block), proofs=code in PROVED)
        assert code not in found
        assert Severity.ERROR not in found.values(), found
