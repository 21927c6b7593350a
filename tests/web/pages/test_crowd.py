"""Pages are bounded, and nothing else is kept out for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.web.guard import answer
from engine.web.pages.crowd import Crowd
from tests.web.world import a_web, asking, problem


async def page(_: Any, __: Any, send: Any) -> None:
    await answer(send, 200, b"", "text/plain")


@pytest.mark.parametrize(
    ("path", "is_page"),
    [
        ("/", True),
        ("/decisions/47c8bf0e504baf51fe723f45", True),
        ("/nothing", True),
        ("/_nicegui/1.0/static/nicegui.js", False),
        ("/v1/health", False),
        ("/v1/nothing", False),
        ("/livez", False),
        ("/metrics", False),
    ],
)
def test_one_page_too_many_is_told_to_wait_and_nothing_else_is(tmp_path: Path, path: str, *, is_page: bool) -> None:
    web, opened = a_web(tmp_path), [2]
    web.guard.app = Crowd(page, 3, lambda: opened[0])
    with asking(web) as client:
        assert client.get(path).status_code == 200
        opened[0] = 3
        refused = client.get(path)
    assert refused.status_code == (503 if is_page else 200)
    if is_page:
        assert (problem(refused), refused.headers["retry-after"]) == ("overloaded", "60")
