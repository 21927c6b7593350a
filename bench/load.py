"""How long profiles take to load, and how much memory a loaded one holds.

Each figure is a median over fresh processes that have imported Sluice and loaded nothing yet: no cache of parsed files
or expressions is warm (the files' bytes are in the system's cache). Loading means everything `load` does: reading,
parsing, checking, binding. Generated profiles (`_generated.py`) have 100, 300 and 1,000 rules; rules of different sizes
are loaded by turns. The clock is the processor time of the process. Memory is what a process holds resident with Sluice
imported, the prod profile loaded and every policy compiled, less what an interpreter holds that does nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench._generated import PROFILE, write_home
from bench._measure import Reach, Report, run

_SIZES = (100, 300, 1000)
_PROCESSES = 9

_LOAD = """
import gc, sys, time
from engine import load
profile, home = sys.argv[1], sys.argv[2] or None
gc.collect()
start = time.process_time()
book = load(profile, home)
print((time.process_time() - start) * 1000)
"""
_RESIDENT = """
import sys
if sys.argv[1]:
    from engine import load
    book = load(sys.argv[1]).warm()
for line in open("/proc/self/status"):
    if line.startswith("VmRSS:"):
        print(int(line.split()[1]) / 1024)
"""


def measure(processes: int = _PROCESSES, sizes: tuple[int, ...] = _SIZES) -> Report:
    """Load everything in fresh processes, by turns."""
    report = Report("load")
    with tempfile.TemporaryDirectory() as folder:
        homes = {size: write_home(Path(folder) / str(size), size) for size in sizes}
        shipped: list[float] = []
        generated: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(processes):
            shipped.append(_figure(_LOAD, "prod", ""))
            for size, home in homes.items():
                generated[size].append(_figure(_LOAD, PROFILE, str(home)))
    report.add("load prod", statistics.median(shipped), "ms", Reach("<=", 60))
    for size, times in generated.items():
        reach = Reach("<=", 600) if size == max(sizes) == _SIZES[-1] else None
        report.add(f"load {size} rules", statistics.median(times), "ms", reach)
    small, large = min(sizes), max(sizes)
    for size in (small, large):
        report.add(f"a rule of {size}", statistics.median(generated[size]) / size * 1000, "us")
    ratios = [(its / large) / (mine / small) for mine, its in zip(generated[small], generated[large], strict=True)]
    report.add(f"a rule of {large} / of {small}", statistics.median(ratios), "x", Reach("<=", 1.25))
    loaded = [_figure(_RESIDENT, "prod") - _figure(_RESIDENT, "") for _ in range(processes)]
    report.add("prod loaded", statistics.median(loaded), "MiB", Reach("<=", 30))
    return report


def _figure(script: str, *arguments: str) -> float:
    """What a script prints, run by a fresh interpreter."""
    done = subprocess.run(  # noqa: S603 - our own scripts
        [sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
