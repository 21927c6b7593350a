"""The benchmark of the journal on few events: it measures what it says, and its journals hold what was added."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import journal
from engine.journal import ALWAYS, FsyncPolicy, read


@pytest.mark.parametrize("policy", [ALWAYS, FsyncPolicy(10)])
def test_groups_of_any_size_are_written_to_the_last(tmp_path: Path, policy: FsyncPolicy) -> None:
    events = [event for number in range(3) for event in journal.events_of_an_intent(number)]
    assert journal.commits_per_second(tmp_path, policy, 5, events) > 0
    assert [type(event) for event in read(tmp_path)] == [type(event) for event in events]


def test_every_policy_and_group_has_its_figure() -> None:
    report = journal.measure(intents=40, rounds=1)
    names = [figure.name for figure in report.figures]
    assert names[0] == "add an event"
    assert names[1:10] == [
        f"fsync {policy}, groups of {group}" for policy in ("always", "10ms", "never") for group in (1, 10, 100)
    ]
    assert all(figure.value > 0 for figure in report.figures)
