"""Rulebooks kept by content: any decision of a journal can be made again under the rules it was made with."""

from __future__ import annotations

import errno
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest

from engine.analysis.explain import LeafLook, explain
from engine.book import load
from engine.home import shipped_home
from engine.journal.events import Decided
from engine.language.findings import LoadError
from engine.language.load import Files, Workspace, read_files
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.rulebooks import Rulebooks, decide_again, find_decision
from tests.reload.homes import PROFILE, make_home
from tests.routing.written import NOW_MS, Written, decided, route, shipped, sound


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that may be changed."""
    for folder in ("rules", "policies", "profiles"):
        shutil.copytree(shipped_home() / folder, tmp_path / "home" / folder)
    return tmp_path / "home"


def change(home: Path, name: str, old: str, new: str) -> None:
    path = home / name
    text = path.read_text()
    assert text.count(old) == 1, (old, text.count(old))
    path.write_text(text.replace(old, new))


def kept(rulebooks: Rulebooks) -> list[Path]:
    return sorted(rulebooks.folder.glob("*/*"))


def a_decision(profile: str = "prod", **changes: Any) -> tuple[Decided, str]:
    journal = Written()
    routed = route(journal, "a-1", profile=profile, groups=sound(**changes))
    return find_decision(journal.events, routed.decision_id), routed.decision_id


@pytest.mark.parametrize("profile", ["prod", "testnet"])
def test_a_kept_rulebook_is_the_one_that_was_loaded(profile: str, tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path)
    book = rulebooks.load(shipped_home(), profile)
    rulebook = book.rulebook
    (place,) = kept(rulebooks)
    assert place == tmp_path / "rulebooks" / rulebook.version / rulebook.sources_digest
    again = rulebooks.open(rulebook.version, rulebook.sources_digest, profile)
    assert (again.version, again.rulebook.sources_digest, again.profile) == (
        rulebook.version,
        rulebook.sources_digest,
        profile,
    )
    assert again.backend == "interpreter"


def test_a_profile_that_runs_few_policies_is_kept_with_the_files_of_others(home: Path, tmp_path: Path) -> None:
    """Base gives values for rule sets that this profile does not run; without their files it would not load."""
    change(home, "profiles/prod.yaml", "working, breaker, suggest, autotune, health, sizing, rollout]", "sizing]")
    rulebooks = Rulebooks(tmp_path)
    book = rulebooks.load(home, "prod")
    assert len(book.rulebook.sources) < len(read_files(home).sources)
    assert rulebooks.open(book.version, book.rulebook.sources_digest, "prod").version == book.version


def test_the_same_meaning_in_other_words_is_kept_beside_it(home: Path, tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path)
    first = rulebooks.load(home, "prod")
    change(home, "rules/hard_gates.yaml", "# yaml-language-server", "# moved down a line\n# yaml-language-server")
    second = rulebooks.load(home, "prod")
    assert first.version == second.version
    assert len(kept(rulebooks)) == 2


def test_what_is_kept_is_written_once(tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path)
    rulebooks.load(shipped_home(), "prod")
    (place,) = kept(rulebooks)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    rulebooks.load(shipped_home(), "prod")
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_a_broken_home_is_reported_as_ever_and_nothing_is_kept(home: Path, tmp_path: Path) -> None:
    change(home, "profiles/prod.yaml", "extends: base", "extends: nothing")
    rulebooks = Rulebooks(tmp_path)
    with pytest.raises(LoadError):
        rulebooks.load(home, "prod")
    assert kept(rulebooks) == []


def test_a_full_disk_keeps_nothing_by_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rulebooks = Rulebooks(tmp_path)
    count = 0

    def fsync(_: int) -> None:
        nonlocal count
        count += 1
        if count == 7:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ViewError, match="no space left"):
        rulebooks.load(shipped_home(), "prod")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_threads_that_keep_the_same_files_do_not_stand_in_each_others_way(tmp_path: Path) -> None:
    files = read_files(make_home(tmp_path / "home"))
    rulebook = Workspace(files).rulebook(PROFILE)
    for number in range(20):
        rulebooks = Rulebooks(tmp_path / str(number))
        with ThreadPoolExecutor(2) as both:
            together = Barrier(2)

            def keep(rulebooks: Rulebooks = rulebooks, together: Barrier = together) -> Path:
                together.wait()
                return rulebooks.keep(files, rulebook)

            places = {kept.result() for kept in [both.submit(keep) for _ in range(2)]}
        assert len(places) == 1
        assert rulebooks.open(rulebook.version, rulebook.sources_digest, PROFILE).version == rulebook.version


def _one_number(home: Path, number: int) -> None:
    path = home / "profiles/base.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(hard_gates\.max_spread_bps: )\d+", rf"\g<1>{number}", text), encoding="utf-8")


def test_what_did_not_change_is_kept_once(home: Path, tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path / "logs")
    books = []
    for number in (12, 13, 14):
        _one_number(home, number)
        books.append(rulebooks.load(home, "prod"))
    folders = kept(rulebooks)
    assert len(folders) == 3
    assert {(folder / "rules/route.yaml").stat().st_ino for folder in folders} == {
        (folders[0] / "rules/route.yaml").stat().st_ino
    }
    assert len({(folder / "profiles/base.yaml").stat().st_ino for folder in folders}) == 3
    for book in books:
        again = rulebooks.open(book.version, book.rulebook.sources_digest, "prod")
        assert again.version == book.version


def test_what_was_spoiled_meanwhile_is_not_linked(home: Path, tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path / "logs")
    _one_number(home, 12)
    rulebooks.load(home, "prod")
    (kept(rulebooks)[0] / "rules/route.yaml").write_text("ruleset: nonsense\n")
    _one_number(home, 13)
    book = rulebooks.load(home, "prod")
    assert rulebooks.open(book.version, book.rulebook.sources_digest, "prod").version == book.version


def test_where_links_cannot_be_files_are_written(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    rulebooks = Rulebooks(tmp_path / "logs")
    for number in (12, 13):
        _one_number(home, number)
        book = rulebooks.load(home, "prod")
        assert rulebooks.open(book.version, book.rulebook.sources_digest, "prod").version == book.version


def test_what_a_rulebook_was_not_made_of_is_not_kept(tmp_path: Path) -> None:
    files = read_files(shipped_home())
    rulebook = Workspace(files).rulebook("prod")
    less = {name: held for name, held in files.sources.items() if "sizing" not in name}
    with pytest.raises(ViewError, match="is not made of these files"):
        Rulebooks(tmp_path).keep(Files(less, ()), rulebook)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("hard_gates.max_spread_bps: 12", "hard_gates.max_spread_bps: 13", "was changed"),
        ("extends", "extend", "does not load"),
        ("# ", "#  ", "was changed"),
    ],
)
def test_what_was_changed_since_is_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path)
    rulebook = rulebooks.load(shipped_home(), "prod").rulebook
    name = "base" if old != "extends" else "prod"
    path = kept(rulebooks)[0] / "profiles" / f"{name}.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ViewError, match=said) as raised:
        rulebooks.open(rulebook.version, rulebook.sources_digest, "prod")
    assert "restore" in raised.value.help


# --- decisions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["prod", "testnet"])
def test_a_decision_is_made_again_bit_for_bit(profile: str, tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path)
    rulebooks.load(shipped_home(), profile)
    event, decision_id = a_decision(profile, market={"spread_bps": 14.0, "bid": "none"}, telemetry={"observed_at": 1.0})
    kept_decision = decide_again(event, rulebooks)
    assert kept_decision.differs == ()
    assert kept_decision.warning == ""
    assert kept_decision.record["decision_id"] == decision_id
    again = explain(kept_decision.book, event.policy, kept_decision.facts)
    assert again.decision.decision_id == decision_id
    assert again.decision.json().encode() == bytes(event.record)


def test_rules_that_were_changed_since_do_not_change_the_trace(home: Path, tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path)
    rulebooks.load(home, "prod")
    event, _ = a_decision(market={"spread_bps": 12.5})
    change(home, "profiles/base.yaml", "hard_gates.max_spread_bps: 12", "hard_gates.max_spread_bps: 20")
    assert rulebooks.load(home, "prod").version != shipped("prod").version
    made = decide_again(event, rulebooks)
    shown = [
        rule.condition.shown
        for step in explain(made.book, "routing", made.facts).steps
        for rule in step.rules
        if rule.rule == "hard_gates.spread_too_wide" and isinstance(rule.condition, LeafLook)
    ]
    assert shown == ["spread_bps 12.5 > max_spread_bps 12"]


def test_a_rulebook_that_was_not_kept_is_said_with_its_version(tmp_path: Path) -> None:
    event, _ = a_decision()
    with pytest.raises(ViewError, match="was not kept") as raised:
        decide_again(event, Rulebooks(tmp_path))
    assert shipped("prod").version in raised.value.message
    assert "copy it" in raised.value.help


def test_a_decision_that_comes_out_otherwise_is_said_loudly(tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path)
    rulebooks.load(shipped_home(), "prod")
    event, _ = a_decision()
    altered = bytes(event.record).replace(b'"route":"maker"', b'"route":"taker"')
    made = decide_again(msgspec.structs.replace(event, record=msgspec.Raw(altered)), rulebooks)
    assert made.differs == ("decided",)
    assert "does not give the decision that was journaled: decided differ" in made.warning


def test_a_record_without_its_facts_cannot_be_made_again(tmp_path: Path) -> None:
    book = shipped("prod")
    market = book.observe("market", {"observed_at": NOW_MS / 1000, "bid": 100.0, "ask": 100.02, "spread_bps": 2.0})
    decision = book.decide_observed("routing", NOW_MS / 1000, "BTCUSDT", {"market": market})
    with pytest.raises(ViewError, match="by their ids"):
        decide_again(decided(NOW_MS, None, decision), Rulebooks(tmp_path))


def test_facts_that_the_rulebook_does_not_know_are_an_error_in_words(tmp_path: Path) -> None:
    rulebooks = Rulebooks(tmp_path)
    rulebooks.load(shipped_home(), "prod")
    event, _ = a_decision()
    altered = bytes(event.record).replace(b'"spread_bps":2.0}', b'"spread":2.0}')
    assert altered != bytes(event.record)
    with pytest.raises(ViewError, match="cannot be made again: there is no fact `spread`"):
        decide_again(msgspec.structs.replace(event, record=msgspec.Raw(altered)), rulebooks)


def test_a_decision_is_found_by_the_beginning_of_its_id() -> None:
    journal = Written()
    ids = [route(journal, f"a-{number}", ts_ms=NOW_MS + number).decision_id for number in range(5)]
    for decision_id in ids:
        assert decision_id.encode() in bytes(find_decision(journal.events, decision_id).record)
        assert find_decision(iter(journal.events), f" {decision_id[:10].upper()} ").intent_id is not None


@pytest.mark.parametrize(
    ("sought", "said"), [("abc", "no id"), ("", "no id"), ('"},{"a', "no id"), ("0" * 24, "holds no decision")]
)
def test_what_is_no_decision_is_said(sought: str, said: str) -> None:
    journal = Written()
    route(journal, "a-1")
    with pytest.raises(ViewError, match=said):
        find_decision(journal.events, sought)


def test_an_id_that_fits_several_is_refused() -> None:
    journal = Written()
    event, decision_id = a_decision()
    for ending in "01":
        record = bytes(event.record).replace(decision_id.encode(), (decision_id[:-1] + ending).encode())
        journal.add(msgspec.structs.replace(event, record=msgspec.Raw(record)))
    with pytest.raises(ViewError, match="2 decisions begin with"):
        find_decision(journal.events, decision_id[:-1])


def test_the_loader_and_the_store_read_the_same(tmp_path: Path) -> None:
    book = Rulebooks(tmp_path).load(shipped_home(), "prod", "interpreter")
    assert (book.version, book.backend) == (load("prod", shipped_home()).version, "interpreter")


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "let the user"),
        (OSError(errno.ENOSPC, "No space left on device"), "make room"),
        (OSError(errno.EROFS, "Read-only file system"), "mount it"),
    ],
)
def test_what_cannot_be_kept_says_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, helps: str
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Path, "mkdir", refuses)
    with pytest.raises(ViewError) as caught:
        Rulebooks(tmp_path).load(shipped_home(), "prod")
    assert caught.value.help.startswith(helps)
