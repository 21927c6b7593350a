"""Sessions that a test plays."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.routing.sessions.reloading.played import Session


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    opened: list[Session] = []

    def begin(*args: Any) -> Session:
        opened.append(Session(tmp_path, *args))
        return opened[-1]

    yield begin
    for session in opened:
        session.close()


@pytest.fixture
def candidate(start: Callable[..., Session], tmp_path: Path) -> Session:
    """A session, and beside its home a candidate that calls nearly every tier broken."""
    session = start()
    shutil.copytree(session.home, tmp_path / "other")
    path = tmp_path / "other" / "profiles" / "testnet.yaml"
    text = path.read_text()
    path.write_text(text.replace("broken_slippage_bps: {value: 50", "broken_slippage_bps: {value: 8"))
    return session
