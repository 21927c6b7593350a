"""A start on broken files goes on with the last good rulebook, loudly; where there is none it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.language.findings import Finding, Severity, Span
from engine.language.load import Files
from engine.language.rulebook import Rulebook
from engine.reload.errors import ReloadError
from engine.reload.last_good import ColdStartError, GoodRulebook, Highest, LastGood, StartedOn, cold_start, standing_in
from engine.reload.pipeline import Accepted, Pipeline, ProofAnswer
from engine.reload.read import read_home
from engine.routing.evidence.rulebooks import Rulebooks
from tests.reload.homes import PROFILE, VALUES, make_home, values


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def start(home: Path, logs: Path, pipeline: Pipeline | None = None) -> StartedOn:
    store = Rulebooks(logs)
    looks = pipeline or Pipeline(PROFILE, keep=store.keep)
    return cold_start(read_home(home).files, lambda _: looks, LastGood(logs), store)


def remember(started: StartedOn, logs: Path) -> None:
    rulebook = started.book.rulebook
    good = GoodRulebook(version=rulebook.version, sources=rulebook.sources_digest, at_ms=1)
    LastGood(logs).remember(PROFILE, good)


def test_good_files_are_what_runs(home: Path, logs: Path) -> None:
    started = start(home, logs)
    assert isinstance(started.accepted, Accepted)
    assert started.refused is None
    assert standing_in(started) is None


def test_broken_files_start_on_the_last_good_rulebook_and_say_so(home: Path, logs: Path) -> None:
    first = start(home, logs)
    remember(first, logs)
    (home / VALUES).write_text("profile: live\n")
    started = start(home, logs)
    assert (started.book.version, started.accepted) == (first.book.version, None)
    assert started.book.rulebook.sources_digest == first.book.rulebook.sources_digest
    said = standing_in(started)
    assert said is not None
    assert (said.code, said.severity) == ("reload.last_good", Severity.ERROR)
    assert first.book.version in said.message
    assert "profiles/live.yaml" in said.message


SHADOWED = (
    "profiles/base.yaml",
    """\
profile: base
values:
  facts.max_age_s: 60
  tier.low_bps: 10
  offset.base_bps: 2
symbols:
  thin:
    of: [DOGEUSDT]
    values:
      tier.low_bps: {value: 25, why: one tick is already 9 bps}
""",
)


def with_a_warning(home: Path) -> None:
    """A value that does not reach a symbol group."""
    name, text = SHADOWED
    (home / name).write_text(text)
    changed = "values:\n  tier.low_bps: {value: 12, why: a nervous week}\n"
    (home / VALUES).write_text(f"profile: live\nextends: base\npolicies: [routing]\n{changed}")


def test_a_first_start_is_not_refused_for_warnings(home: Path, logs: Path) -> None:
    with_a_warning(home)
    started = start(home, logs)
    assert started.accepted is not None
    assert [finding.code for finding in started.accepted.findings] == ["profile.shadowed"]
    remember(started, logs)
    assert start(home, logs).refused is None, "it ran with this warning before"


def test_warnings_that_what_ran_last_did_not_have_are_refused_at_a_start_too(home: Path, logs: Path) -> None:
    first = start(home, logs)
    remember(first, logs)
    with_a_warning(home)
    started = start(home, logs)
    assert started.book.version == first.book.version
    assert started.refused is not None
    assert started.refused.stage == "check"


def test_without_a_last_good_rulebook_there_is_no_start(home: Path, logs: Path) -> None:
    (home / VALUES).write_text("profile: live\n")
    with pytest.raises(ColdStartError, match="no rulebook of `live` ran here before") as refused:
        start(home, logs)
    assert refused.value.findings


def test_a_rulebook_that_was_changed_on_disk_is_not_taken(home: Path, logs: Path) -> None:
    remember(start(home, logs), logs)
    (home / VALUES).write_text("profile: live\n")
    [kept] = logs.glob("rulebooks/*/*/profiles/live.yaml")
    kept.write_text(values(11))
    with pytest.raises(ColdStartError, match="it was changed"):
        start(home, logs)


def test_a_last_good_rulebook_that_cannot_run_the_session_is_not_taken(home: Path, logs: Path) -> None:
    remember(start(home, logs), logs)
    (home / VALUES).write_text("profile: live\n")
    unfit = Finding("x.y", Severity.ERROR, Span("policies/routing.yaml", 1, 1, 1, 2), "no `working`", "")
    with pytest.raises(ColdStartError, match="no `working`"):
        start(home, logs, Pipeline(PROFILE, fit=lambda _: [unfit]))


def test_what_fails_an_invariant_does_not_stand_in_for_itself(home: Path, logs: Path) -> None:
    remember(start(home, logs), logs)  # as under a gate that asks for no proofs
    keep = Rulebooks(logs).keep
    with pytest.raises(ColdStartError, match=r"the last good one .* is refused as well"):
        start(home, logs, Pipeline(PROFILE, prove=lambda _: ProofAnswer(1, fails=1), keep=keep))
    unknown = start(home, logs, Pipeline(PROFILE, prove=lambda _: ProofAnswer(1, unknown=1), keep=keep))
    assert unknown.last_good is not None, "what nobody knows today may have been proved when it ran"


def test_what_fails_an_invariant_does_not_stand_in_for_files_that_are_broken_otherwise(home: Path, logs: Path) -> None:
    first = start(home, logs, Pipeline(PROFILE, gate="none", keep=Rulebooks(logs).keep))
    remember(first, logs)
    (home / VALUES).write_text("profile: live\n")
    asked: list[str] = []

    def prove(rulebook: Rulebook) -> ProofAnswer:
        asked.append(rulebook.version)
        return ProofAnswer(1, fails=1)

    with pytest.raises(ColdStartError, match=r"is refused as well: 1 of 2 invariants fail"):
        start(home, logs, Pipeline(PROFILE, prove=prove))
    assert asked == [first.book.version]
    assert start(home, logs, Pipeline(PROFILE, gate="none")).book.version == first.book.version, "that gate lets it"


def test_who_does_not_vouch_for_the_last_good_rulebook_is_told(home: Path, logs: Path) -> None:
    remember(start(home, logs), logs)
    files, store, seen = read_home(home).files, Rulebooks(logs), list[str]()

    def refuse(good: GoodRulebook) -> None:
        seen.append(good.version)
        raise ReloadError("nobody signed it", "sign it")

    def begin(gone: bool) -> StartedOn:
        held = Files({}, files.findings) if gone else files
        return cold_start(held, lambda _: Pipeline(PROFILE), LastGood(logs), store, vouch=refuse)

    assert begin(gone=False).accepted is not None
    assert not seen, "nothing stands in for anything"
    with pytest.raises(ColdStartError, match="nobody signed it") as refused:
        begin(gone=True)
    assert (refused.value.help, len(seen)) == ("sign it", 1)


@pytest.mark.parametrize("content", [b"", b"{", b'{"v": 2, "profiles": {}}', b'{"v": 1, "profiles": 7}', b"\xff\xfe"])
def test_a_file_that_is_none_is_said(logs: Path, content: bytes) -> None:
    remembered = LastGood(logs)
    remembered.path.parent.mkdir(parents=True)
    remembered.path.write_bytes(content)
    with pytest.raises(ReloadError, match="cannot be read"):
        remembered.of(PROFILE)
    with pytest.raises(ReloadError, match="cannot be read"):  # or the highest sequence would be forgotten
        remembered.remember(PROFILE, GoodRulebook(version="a", sources="b", at_ms=1))


def test_profiles_are_remembered_apart(logs: Path) -> None:
    remembered = LastGood(logs)
    one = GoodRulebook(version="a", sources="b", at_ms=1)
    two = GoodRulebook(version="c", sources="d", at_ms=2, origin="https://rules.example/x", sequence=7, digest="e")
    remembered.remember("prod", one)
    remembered.remember("testnet", two)
    assert (remembered.of("prod"), remembered.of("testnet"), remembered.of("other")) == (one, two, None)


def test_the_highest_sequence_stays_whatever_runs_later(logs: Path) -> None:
    remembered = LastGood(logs)
    for sequence, digest in ((7, "seven"), (9, "nine"), (8, "eight"), (None, "")):
        good = GoodRulebook(version="a", sources="b", at_ms=1, sequence=sequence, digest=digest)
        remembered.remember(PROFILE, good)
    assert remembered.highest(PROFILE) == Highest(9, "nine")
    latest = remembered.of(PROFILE)
    assert latest is not None
    assert latest.sequence is None


def test_a_write_that_fails_leaves_the_old_file(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = LastGood(logs)
    good = GoodRulebook(version="a", sources="b", at_ms=1)
    remembered.remember(PROFILE, good)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReloadError, match="no space left on device"):
        remembered.remember(PROFILE, GoodRulebook(version="c", sources="d", at_ms=2))
    assert remembered.of(PROFILE) == good
    assert [path.name for path in remembered.path.parent.iterdir()] == ["last_good.json"]


def test_where_nobody_vouches_for_the_last_good_one_the_first_earlier_one_that_may_decide_stands_in(
    home: Path, logs: Path
) -> None:
    versions: list[GoodRulebook] = []
    for low_bps in (10, 11, 12, 13):
        (home / VALUES).write_text(values(low_bps))
        started = start(home, logs)
        remember(started, logs)
        rulebook = started.book.rulebook
        versions.append(GoodRulebook(version=rulebook.version, sources=rulebook.sources_digest, at_ms=1))
    fine, refuted, unsigned, last = versions
    (home / VALUES).write_text("profile: live\n")

    def vouch(good: GoodRulebook) -> None:
        if good.version in (last.version, unsigned.version):
            raise ReloadError(f"{good.version} came in no signed bundle")

    def prove(rulebook: Rulebook) -> ProofAnswer:
        return ProofAnswer(1, fails=int(rulebook.version == refuted.version))

    def begin(*earlier: GoodRulebook) -> StartedOn:
        pipeline, store = Pipeline(PROFILE, prove=prove), Rulebooks(logs)
        files = read_home(home).files
        return cold_start(files, lambda _: pipeline, LastGood(logs), store, vouch=vouch, earlier=lambda: earlier)

    started = begin(last, unsigned, refuted, fine)
    assert (started.book.version, started.last_good) == (fine.version, fine)
    assert started.passed_over == f"{last.version} came in no signed bundle"
    said = standing_in(started)
    assert said is not None
    assert f"{started.passed_over}: {fine.version}, which was good before it, runs instead" in said.message
    with pytest.raises(ColdStartError, match=f"{last.version} came in no signed bundle"):
        begin(last, unsigned, refuted)
