"""A start with files that are broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.home import shipped_home
from engine.journal.events import RulebookLoaded, RulebookRefused, SessionStarted
from engine.journal.reader import read
from engine.reload.history import History
from engine.reload.last_good import ColdStartError
from engine.reload.pipeline import Refused, Unchanged
from engine.reload.status import read_status
from engine.routing.sessions.start import JOURNAL
from tests.routing.markets import START_MS
from tests.routing.sessions.reloading.played import REFUTED, Session


def test_a_start_with_broken_files_takes_the_last_good_rulebook_and_says_so(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    good = session.running.desk.book.version
    session.close()
    (session.home / "rules" / "quality.yaml").write_text("ruleset: [")
    again = start()
    assert again.running.desk.book.version == good
    again.reloading.begin()
    status = read_status(again.logs)
    assert status.last_good
    assert status.attempt is not None
    assert status.attempt.findings[0].code == "yaml.syntax"
    written = list(read(again.logs / JOURNAL))
    assert isinstance(written[0], SessionStarted), "the session's own word comes first"
    (refused,) = again.events(RulebookRefused)
    assert (refused.findings[0]["code"], refused.ts_ms) == ("yaml.syntax", START_MS)
    assert History(again.logs).entries()[-1].how == "last_good"
    shutil.copy(shipped_home() / "rules" / "quality.yaml", again.home / "rules" / "quality.yaml")
    assert isinstance(again.save(), Unchanged)
    assert not read_status(again.logs).last_good, "the files are what decides again"


def test_files_that_cannot_run_the_session_are_broken_ones_at_a_start(start: Callable[..., Session]) -> None:
    session = start()
    session.reloading.begin()
    good = session.running.desk.book.version
    session.close()
    session.edit("profiles/testnet.yaml", "policies: [admission, routing, working,", "policies: [admission, routing,")
    assert start().running.desk.book.version == good


@pytest.mark.parametrize("breaks", [False, True])
def test_what_ran_under_no_gate_and_breaks_an_invariant_stands_in_for_nothing_under_one(
    start: Callable[..., Session], breaks: bool
) -> None:
    session = start("prod", "none")
    session.reloading.begin()
    session.edit(*REFUTED)
    session.save()
    refuted = session.running.desk.book.version
    session.close()
    if breaks:
        (session.home / "rules" / "quality.yaml").write_text("ruleset: [")
    with pytest.raises(ColdStartError, match=rf"the last good one \({refuted}\) is refused as well: .* does not hold"):
        start("prod", "proofs")
    again = start("prod", "none")
    again.reloading.begin()
    assert again.running.desk.book.version == refuted, "that gate asks for no proofs"
    assert read_status(again.logs).last_good == breaks


def test_what_a_start_refused_since_an_invariant_fails_is_no_change_when_it_is_touched(
    start: Callable[..., Session],
) -> None:
    session = start("prod", "proofs")
    session.reloading.begin()
    session.edit("profiles/base.yaml", "proofs_before_swap: true", "proofs_before_swap: false")
    session.save()
    good = session.running.desk.book.version
    session.close()
    session.edit(*REFUTED)
    again = start("prod", "proofs")
    again.reloading.begin()
    assert again.running.desk.book.version == good
    begun = again.events(RulebookLoaded), again.events(RulebookRefused)
    touched = again.save()
    assert isinstance(touched, Unchanged)
    assert not touched.decides
    assert (again.events(RulebookLoaded), again.events(RulebookRefused)) == begun
    status = read_status(again.logs)
    assert status.attempt is not None
    assert (status.attempt.verdict, status.last_good) == ("refused", True)
    with (again.home / "rules" / "sizing.yaml").open("a") as stream:
        stream.write("# the same meaning\n")
    assert isinstance(again.save(), Refused)
    assert again.events(RulebookLoaded) == begun[0], "what is known to fail is proved first"


def test_a_first_start_with_broken_files_does_not_start(tmp_path: Path) -> None:
    for name in ("rules", "policies", "profiles"):
        shutil.copytree(shipped_home() / name, tmp_path / "home" / name)
    (tmp_path / "home" / "rules" / "quality.yaml").write_text("ruleset: [")
    with pytest.raises(ColdStartError, match="no last good rulebook"):
        Session(tmp_path)
