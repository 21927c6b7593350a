"""What every test may rely on: recorded market data where it is present, one Hypothesis profile, and no silent skips.

`SLUICE_REQUIRE_ALL=1` (set by `.ci/run`) turns every skip into a failure: a machine that checks changes must have the
data, browsers and engines that the tests ask for.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_ALL = os.environ.get("SLUICE_REQUIRE_ALL") == "1"

# The same examples on every run, so that a red test is red for everyone; and nothing that depends on how busy the
# machine is.
settings.register_profile(
    "sluice", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sluice")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is worked out again and kept lands in a folder of this run, never in the user's: processes included."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Recorded market data: `$SLUICE_DATA`, else `../shared/data` beside the checkout; skips without it."""
    given = os.environ.get("SLUICE_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no recorded market data: {'SLUICE_DATA names no folder' if given else 'set SLUICE_DATA to it'}")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_instead_of_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_instead_of_skip(report)
    return report


def _fail_instead_of_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"SLUICE_REQUIRE_ALL=1, and this did not run: {reason}"
