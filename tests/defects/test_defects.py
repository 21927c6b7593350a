"""Mistakes that routing rules have really made, each written as rules: `check` finds every one, at its place.

Written here, by what was wrong:

- *Meaning.* Missing telemetry read as 0, so that a fill ratio and nothing else makes a tier good; a missing metric that
  hides behind one that is known; a true 0.0 replaced by another metric; a lower bound above the upper one.
- *Rules.* Clamps that can never bind; a tier branch wholly inside the next one; a second definition of the volatility
  regime; two label thresholds; panic that forces taker in a good tier too; a stale "defensive" risk mode that counts as
  "cautious" while a stale "normal" one stays normal.
- *Tuning.* Offsets that tuning makes negative; suggestions applied without a look at their age; steps of a bias that is
  kept as a label, so that they never add up.

What is no rule, and so is not written here: NaN and infinite facts (a fill ratio, an offset), which the border takes
for missing; a configured 0 that a default replaces, since there are no defaults; and what the engine does between
decisions (a tuned delta is rounded to 6 decimals when it is kept; which events count; how an order is sent).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from engine.analysis.check import Proving, check_home
from engine.language.findings import Finding

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*.yaml"))
SHARED = HERE / "shared.yaml"


@dataclass(frozen=True)
class Defect:
    """Documents with a mistake in them, and the findings it owes: code and place, the text that stands there."""

    what: str
    finds: tuple[tuple[str, str, str], ...]
    documents: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Defect:
        """A case: `what`, `finds` (code, file, text at the place) and `documents`; the vocabulary is shared."""
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert held.keys() == {"what", "finds", "documents"}, path
        documents = yaml.safe_load(SHARED.read_text(encoding="utf-8")) | held["documents"]
        return cls(held["what"], tuple((each["code"], each["file"], each["at"]) for each in held["finds"]), documents)

    def write(self, home: Path) -> Path:
        """Write the documents into a folder."""
        for name, text in self.documents.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        return home


def found(home: Path) -> tuple[Finding, ...]:
    report = check_home(home, (), Proving(10.0, None, lambda _: lambda *_: None))
    return report.findings


@pytest.mark.parametrize("path", [path for path in CASES if path != SHARED], ids=lambda path: path.stem)
def test_check_finds_the_defect_at_its_place(path: Path, tmp_path: Path) -> None:
    defect = Defect.read(path)
    findings = found(defect.write(tmp_path))
    shown = "\n".join(f"{finding.code} {finding.span} {finding.message}" for finding in findings)
    places = [
        (
            finding.code,
            finding.span.file,
            defect.documents[finding.span.file].splitlines()[finding.span.line - 1].strip(),
        )
        for finding in findings
    ]
    for code, file, text in defect.finds:
        assert any((code, file) == place[:2] and text in place[2] for place in places), shown


@pytest.mark.parametrize("path", [path for path in CASES if path != SHARED], ids=lambda path: path.stem)
def test_a_case_holds_nothing_else_that_is_wrong(path: Path, tmp_path: Path) -> None:
    """What is found beside the defect would say that the case is careless, or hide that the defect is not found."""
    defect = Defect.read(path)
    wanted = {code for code, _, _ in defect.finds}
    assert {finding.code for finding in found(defect.write(tmp_path))} - {"cold.never_rests"} == wanted
