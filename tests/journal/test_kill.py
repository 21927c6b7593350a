"""`kill -9` of a process that writes: what it had committed is there, and nothing is there twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from engine.journal import NEVER, Journal, read

WRITER = """
import sys
from pathlib import Path
from engine.journal import FsyncPolicy, Journal
from engine.journal.events import ProbeGranted

journal = Journal(Path(sys.argv[1]), fsync=FsyncPolicy.parse(sys.argv[2]))
text = "x" * int(sys.argv[3])
day_ms = 86_400_000
while True:
    for _ in range(journal.last_seq % 5 + 1):
        seq = journal.last_seq + 1
        journal.add(ProbeGranted(ts_ms=1723161240000 + seq // 400 * day_ms, intent_id=f"i-{seq}", symbol=text))
    journal.commit()
    print(journal.last_seq, flush=True)
"""


def run_and_kill(folder: Path, policy: str, size: int, after: int) -> int:
    """Let it write until it has said so many times what it committed, kill it, and return the last it said."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), policy, str(size)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        for _ in range(after):
            writer.stdout.readline()
        writer.kill()
        said = [line for line in writer.stdout.read().split(b"\n")[:-1] if line]
        return int(said[-1]) if said else 0


@pytest.mark.parametrize(("policy", "size"), [("never", 10), ("5ms", 20_000), ("always", 10)])
def test_what_was_committed_is_there_after_every_kill(tmp_path: Path, policy: str, size: int) -> None:
    chance = Random(policy)
    for _ in range(2):
        committed = run_and_kill(tmp_path, policy, size, after=chance.randint(1, 120))
        found = list(read(tmp_path))
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        assert len(found) >= committed
        Journal(tmp_path, fsync=NEVER).close()
        assert list(read(tmp_path)) == found, "repairing takes no event away"


@pytest.mark.slow
def test_a_hundred_kills(tmp_path: Path) -> None:
    chance = Random(7)
    for _ in range(100):
        committed = run_and_kill(tmp_path, "never", chance.choice([1, 100_000]), after=chance.randint(0, 50))
        found = [event.seq for event in read(tmp_path)]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= committed
