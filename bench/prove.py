"""How long the solver takes: all proofs of the shipped profiles, a behavioural diff, and questions about many rules.

Every figure but `again` and `routing prod/testnet` is of a process of its own, the import of everything included, and
is given twice: the processor time of the process, and (`wall`) what a clock said, which others on the machine lengthen.

- `prod`, `testnet`: every invariant proven and every loose end looked for, nothing remembered.
- `prod, again`: the same a second time in the same process, the documents read anew and nothing remembered. That asks
  the solver everything again, so it saves the imports alone.
- `prod, remembered`: the same in a process of its own that finds the answers of before: what is warm for whoever works
  on a home, and therefore what has a reach.
- `routing prod/testnet`: everything that the policy decides differently under the two profiles, in a process that has
  imported what it needs and read the documents.
- `300 rules`: a generated policy: that every decision has a value, dead rules, and every other loose end.
- `300 rules of sums`: another one, whose conditions are sums and products of facts: that every decision has a value,
  and dead rules.
- `300 rules of sums, everything`: the same with every other loose end.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench._generated import PROFILE, write_home, write_sums_home
from bench._measure import Reach, Report, run
from engine.analysis.proofs import QUESTIONS

HOME = Path(__file__).resolve().parents[1]
RULES = 300
_PROCESSES = 3
_EVERYTHING = ",".join(QUESTIONS)

_PROVE = """
import json, sys, time
start = time.time() - time.process_time()
home, profile, folder, only, times = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
from functools import cache
from pathlib import Path
from engine.analysis.proofs import read_questions
from engine.analysis.proofs.prove import prove
from engine.language.load import Workspace, read_files
taken = []
for _ in range(times):
    began, began_wall = (time.process_time(), time.time()) if taken else (0, start)
    rulebook = cache(Workspace(read_files(Path(home))).rulebook)
    proofs = prove(profile, rulebook, only=read_questions(only), cache=Path(folder) if folder else None)
    taken.append((time.process_time() - began, time.time() - began_wall))
proven = proofs.proven and not proofs.lint_undecided
print(json.dumps({"taken": taken, "proven": proven, "asked": proofs.asked}))
"""
_DIFF = """
import json, sys, time
from pathlib import Path
from engine.analysis.diff.behaviour import behaviour
from engine.language.load import Workspace, read_files
workspace = Workspace(read_files(Path(sys.argv[1])))
a, b = workspace.rulebook("prod"), workspace.rulebook("testnet")
began, began_wall = time.process_time(), time.time()
found = behaviour(a, b, policies=["routing"])
taken = [(time.process_time() - began, time.time() - began_wall)]
print(json.dumps({"taken": taken, "proven": not found.undecided, "asked": 0}))
"""


class Unproven(Exception):  # noqa: N818 - it says what it is
    """Not everything was answered, so the times mean nothing."""


def _figures(script: str, *arguments: str) -> tuple[list[tuple[float, float]], int]:
    """Processor and wall seconds of what a script did, and how many questions it asked."""
    done = subprocess.run(  # noqa: S603 - our own scripts
        [sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True, cwd=HOME
    )
    said = json.loads(done.stdout)
    if not said["proven"]:
        raise Unproven(arguments)
    return [(cpu, wall) for cpu, wall in said["taken"]], said["asked"]


def _add(report: Report, name: str, taken: list[tuple[float, float]], limit: float | None) -> None:
    reach = None if limit is None else Reach("<=", limit)
    report.add(name, statistics.median(cpu for cpu, _ in taken), "s", reach)
    report.add(f"{name}, wall", statistics.median(wall for _, wall in taken), "s")


def measure(processes: int = _PROCESSES, rules: int = RULES) -> Report:
    """Ask everything in fresh processes."""
    report = Report("prove")
    for profile in ("prod", "testnet"):
        runs = [_figures(_PROVE, str(HOME), profile, "", _EVERYTHING, "2") for _ in range(processes)]
        _add(report, profile, [taken[0] for taken, _ in runs], 3)
        _add(report, f"{profile}, again", [taken[1] for taken, _ in runs], None)
        report.note(f"{profile}: {runs[0][1]} questions")
    with tempfile.TemporaryDirectory() as folder:
        _figures(_PROVE, str(HOME), "prod", folder, _EVERYTHING, "1")
        remembered = [_figures(_PROVE, str(HOME), "prod", folder, _EVERYTHING, "1")[0][0] for _ in range(processes)]
        _add(report, "prod, remembered", remembered, 1)
        _add(report, "routing prod/testnet", [_figures(_DIFF, str(HOME))[0][0] for _ in range(processes)], 3)
        home = write_home(Path(folder) / "generated", rules)
        many, asked = _figures(_PROVE, str(home), PROFILE, "", _EVERYTHING, "1")
        _add(report, f"{rules} rules", many, 30)
        report.note(f"{rules} rules: {asked} questions")
        home = write_sums_home(Path(folder) / "sums", rules)
        for name, only, limit in (
            (f"{rules} rules of sums", "total,dead", 30),
            (f"{rules} rules of sums, everything", _EVERYTHING, None),
        ):
            sums, asked = _figures(_PROVE, str(home), PROFILE, "", only, "1")
            _add(report, name, sums, limit)
            report.note(f"{name}: {asked} questions")
    return report


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
