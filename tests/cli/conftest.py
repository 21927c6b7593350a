"""A session that several tests of the command line look into."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import sluice


@dataclass(frozen=True)
class Played:
    """A session that is over."""

    logs: Path
    said: dict[str, Any]
    """What `run --json` printed."""

    def __call__(self, *arguments: str, **how: Any) -> Any:
        """Run a command on its logs."""
        return sluice(*arguments, "--logs", str(self.logs), **how)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A short session over a generated market, in which orders rest and cross."""
    logs = tmp_path_factory.mktemp("played") / "logs"
    arguments = ("--generated", "--symbols", "BTCUSDT,ETHUSDT", "--limit-quotes", "5000", "-p", "testnet")
    result = sluice("run", *arguments, "--logs", str(logs), "--json", cwd=Path(__file__).parents[2])
    assert result.exit_code == 0, result.stderr
    return Played(logs, json.loads(result.stdout))
