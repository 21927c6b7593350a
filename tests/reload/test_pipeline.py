"""A candidate is accepted, refused with its findings, or the same; whatever breaks, a verdict comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.book import Book
from engine.language.findings import Finding, Severity, Span
from engine.language.load import Workspace, read_files
from engine.language.rulebook import Rulebook
from engine.reload.dry_run import PastDecision
from engine.reload.errors import ReloadError
from engine.reload.pipeline import Accepted, Gate, Pipeline, ProofAnswer, Refused, Unchanged, Verdict
from engine.reload.proving import prover
from tests.reload.homes import FILES, PROFILE, VALUES, facts, make_home, values

BROKEN = Finding("prove.fails", Severity.ERROR, Span("policies/routing.yaml", 1, 1, 1, 2), "tier rises", "look")
UNKNOWN_FACT = FILES["rules/tier.yaml"].replace("spread_bps >", "spread_bp >")
WARNS = """\
symbols:
  thin:
    of: [DOGEUSDT, dogeusdt]
    values:
      offset.base_bps: {value: 3, why: thin books}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def active(home: Path) -> Book:
    return Book(Workspace(read_files(home)).rulebook(PROFILE))


def consider(home: Path, active: Book | None, pipeline: Pipeline | None = None) -> Verdict:
    return (pipeline or Pipeline(PROFILE)).consider(read_files(home), active)


def proving(answer: ProofAnswer) -> tuple[Callable[[Rulebook], ProofAnswer], list[str]]:
    """A prover that gives one answer, and the versions it was asked about."""
    asked: list[str] = []

    def prove(rulebook: Rulebook) -> ProofAnswer:
        asked.append(rulebook.version)
        return answer

    return prove, asked


def test_what_is_fine_is_accepted_with_the_time_of_every_stage(home: Path, active: Book) -> None:
    (home / VALUES).write_text(values(20))
    verdict = consider(home, active)
    assert isinstance(verdict, Accepted)
    assert verdict.book.decide("routing", facts(14.0)).tier == "high"
    assert list(verdict.timings_ms) == ["load", "check", "compile", "fit", "dry_run", "keep"], "there is no prover"
    assert verdict.line == f"live {verdict.book.version}; not proved; no past decisions to try"


def test_the_same_files_are_unchanged(home: Path, active: Book) -> None:
    assert isinstance(consider(home, active), Unchanged)


def test_a_file_the_profile_does_not_use_changes_nothing(home: Path, active: Book) -> None:
    (home / "rules/other.yaml").write_text("ruleset: other\n")
    assert isinstance(consider(home, active), Unchanged)


def test_what_does_not_load_is_refused_with_its_findings(home: Path, active: Book) -> None:
    (home / "rules/tier.yaml").write_text(UNKNOWN_FACT)
    verdict = consider(home, active)
    assert isinstance(verdict, Refused)
    assert (verdict.stage, verdict.version) == ("load", None)
    assert [finding.code for finding in verdict.findings] == ["name.unknown"]
    assert verdict.line.startswith("rules/tier.yaml:10:11: ")


def test_a_comment_is_another_rulebook_of_the_same_meaning(home: Path, active: Book) -> None:
    prove, asked = proving(ProofAnswer(0, fails=1, findings=(BROKEN,)))
    (home / "rules/tier.yaml").write_text("# a line more\n" + FILES["rules/tier.yaml"])
    verdict = consider(home, active, Pipeline(PROFILE, prove=prove))
    assert isinstance(verdict, Accepted)
    assert verdict.book.version == active.version
    assert verdict.book.rulebook.sources_digest != active.rulebook.sources_digest
    assert not asked
    assert verdict.dry_run is None
    assert verdict.line.endswith("the same meaning as before")


@pytest.mark.parametrize(("gate", "blocks"), [("proofs", True), ("findings", True), ("none", False)])
def test_a_new_warning_blocks_as_the_gate_says(home: Path, active: Book, gate: Gate, blocks: bool) -> None:
    (home / VALUES).write_text(values() + WARNS)
    verdict = consider(home, active, Pipeline(PROFILE, gate))
    assert isinstance(verdict, Refused if blocks else Accepted)
    assert [finding.code for finding in verdict.findings] == ["profile.symbol"]
    if isinstance(verdict, Refused):
        assert verdict.stage == "check"


def test_a_warning_that_runs_already_blocks_nothing(home: Path) -> None:
    (home / VALUES).write_text(values() + WARNS)
    active = Book(Workspace(read_files(home)).rulebook(PROFILE))
    (home / VALUES).write_text("# moves every line\n" + values(20) + WARNS)
    assert isinstance(consider(home, active), Accepted)


def test_what_is_wrong_elsewhere_blocks_nothing(home: Path, active: Book) -> None:
    (home / "rules/other.yaml").write_text("nothing: here\n")
    (home / VALUES).write_text(values(20))
    verdict = consider(home, active)
    assert isinstance(verdict, Accepted)
    assert {finding.span.file for finding in verdict.findings} == {"rules/other.yaml"}


@pytest.mark.parametrize(("gate", "blocks"), [("proofs", True), ("findings", False), ("none", False)])
@pytest.mark.parametrize("answer", [ProofAnswer(2, fails=1, findings=(BROKEN,)), ProofAnswer(2, unknown=1)])
def test_an_invariant_that_is_not_proved_blocks_as_the_gate_says(
    home: Path, active: Book, gate: Gate, blocks: bool, answer: ProofAnswer
) -> None:
    prove, asked = proving(answer)
    (home / VALUES).write_text(values(20))
    verdict = consider(home, active, Pipeline(PROFILE, gate, prove))
    assert len(asked) == 1
    if blocks:
        assert isinstance(verdict, Refused)
        assert verdict.stage == "proofs"
        assert verdict.version == asked[0]
        assert verdict.findings
    else:
        assert isinstance(verdict, Accepted)
        assert verdict.proofs == answer
        assert "2 of 3 invariants proved" in verdict.line


def test_proofs_may_come_after_the_swap(home: Path, active: Book) -> None:
    prove, asked = proving(ProofAnswer(0, fails=1, findings=(BROKEN,)))
    (home / VALUES).write_text(values(20))
    pipeline = Pipeline(PROFILE, prove=prove, proofs_after_swap=True)
    verdict = consider(home, active, pipeline)
    assert isinstance(verdict, Accepted)
    assert verdict.proofs is None
    assert not asked
    answer = pipeline.proofs_of(verdict.book.rulebook)
    assert answer is not None
    assert not answer.passed


def test_a_book_that_the_session_cannot_run_is_refused(home: Path, active: Book) -> None:
    (home / VALUES).write_text(values(20))
    verdict = consider(home, active, Pipeline(PROFILE, "none", fit=lambda _: [BROKEN]))
    assert isinstance(verdict, Refused)
    assert (verdict.stage, verdict.findings) == ("fit", (BROKEN,))


def test_what_was_decided_under_an_older_rulebook_is_no_difference_of_this_change(home: Path, active: Book) -> None:
    past = [PastDecision("d", "routing", facts(14.0), {"tier": "high", "offset_bps": 2.0}, "of an older one")]
    assert active.decide("routing", facts(14.0)).tier == "low"
    (home / VALUES).write_text(values(base_bps=3))
    verdict = consider(home, active, Pipeline(PROFILE, past=lambda: past))
    assert isinstance(verdict, Accepted)
    assert verdict.dry_run is not None
    assert (verdict.dry_run.by_name, verdict.dry_run.than) == ({"routing.offset_bps": 1}, active.version)
    started = consider(home, None, Pipeline(PROFILE, past=lambda: past))
    assert isinstance(started, Accepted)
    assert started.dry_run is not None
    assert set(started.dry_run.by_name) == {"routing.tier", "routing.offset_bps"}, "nothing is in force at a start"


def test_what_was_taken_before_is_no_change_though_something_else_is_in_force(home: Path, active: Book) -> None:
    (home / VALUES).write_text(values(20))
    taken = consider(home, active)
    assert isinstance(taken, Accepted)
    identity = (taken.book.version, taken.book.rulebook.sources_digest)
    again = consider(home, active, Pipeline(PROFILE, taken=identity))
    assert isinstance(again, Unchanged)
    assert (again.version, again.decides) == (taken.book.version, False)
    again = consider(home, taken.book, Pipeline(PROFILE, taken=identity))
    assert isinstance(again, Unchanged)
    assert again.decides
    (home / VALUES).write_text(values(20) + "# another text\n")
    assert isinstance(consider(home, active, Pipeline(PROFILE, taken=identity)), Accepted)


def test_the_dry_run_says_what_would_differ_and_blocks_nothing(home: Path, active: Book) -> None:
    past = [PastDecision("d", "routing", facts(14.0), {"tier": "low", "offset_bps": 3.0})]
    (home / VALUES).write_text(values(20))
    verdict = consider(home, active, Pipeline(PROFILE, past=lambda: past))
    assert isinstance(verdict, Accepted)
    assert verdict.dry_run is not None
    assert (verdict.dry_run.decisions, verdict.dry_run.changed) == (1, 1)


def test_what_is_accepted_is_kept_before_it_decides(home: Path, active: Book) -> None:
    kept: list[str] = []
    (home / VALUES).write_text(values(20))
    verdict = consider(home, active, Pipeline(PROFILE, keep=lambda _, rulebook: kept.append(rulebook.version)))
    assert isinstance(verdict, Accepted)
    assert kept == [verdict.book.version]


def _fails(*_: object) -> None:
    message = "the disk is full"
    raise OSError(message)


@pytest.mark.parametrize("stage", ["fit", "dry_run", "keep", "proofs", "load"])
def test_a_stage_that_breaks_down_is_a_refusal(
    home: Path, active: Book, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / VALUES).write_text(values(20))
    if stage == "load":
        monkeypatch.setattr("engine.reload.pipeline.Workspace", _fails)
    handed = {"proofs": "prove", "dry_run": "past", "load": "keep"}.get(stage, stage)
    verdict = consider(home, active, Pipeline(PROFILE, **{handed: _fails}))  # type: ignore[arg-type]
    assert isinstance(verdict, Refused)
    assert verdict.stage == stage
    assert [finding.code for finding in verdict.findings] == ["reload.stage_failed"]
    assert "the disk is full" in verdict.line


@pytest.mark.parametrize(("error", "is_whole"), [(ReloadError("no room"), False), (OSError("what is this"), True)])
def test_what_says_itself_what_is_wrong_is_logged_without_its_whole_story(
    home: Path, active: Book, caplog: pytest.LogCaptureFixture, error: Exception, *, is_whole: bool
) -> None:
    def keep(*_: object) -> None:
        raise error

    (home / VALUES).write_text(values(20))
    consider(home, active, Pipeline(PROFILE, keep=keep))
    (record,) = caplog.records
    assert str(error) in record.getMessage()
    assert bool(record.exc_info) == is_whole


def test_at_a_start_everything_is_new(home: Path) -> None:
    prove, asked = proving(ProofAnswer(1))
    verdict = consider(home, None, Pipeline(PROFILE, prove=prove))
    assert isinstance(verdict, Accepted)
    assert len(asked) == 1


def test_proofs_of_other_files_are_no_proofs(home: Path, active: Book) -> None:
    pytest.importorskip("z3")
    before = prover(read_files(home), 10.0, None)
    (home / VALUES).write_text(values(20))
    verdict = consider(home, active, Pipeline(PROFILE, prove=before))
    assert isinstance(verdict, Refused)
    assert verdict.stage == "proofs"
    assert isinstance(consider(home, active, Pipeline(PROFILE, prove=prover(read_files(home), 10.0, None))), Accepted)
