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


def test_who_asks_by_head_opens_no_page_and_what_is_no_page_is_not_there(tmp_path: Path) -> None:
    web, opened = a_web(tmp_path), [2]

    async def opening(scope: Any, receive: Any, send: Any) -> None:
        opened[0] += 1
        await page(scope, receive, send)

    web.guard.app = Crowd(opening, 3, lambda: opened[0], lambda scope: scope["path"] == "/")
    with asking(web) as client:
        assert [client.request("HEAD", "/").status_code for _ in range(5)] == [200] * 5
        assert client.request("HEAD", "/nothing").status_code == 404
        assert opened == [2]
        assert client.get("/").status_code == 200
        assert opened == [3]
        missing = client.get("/nothing")
        assert (missing.status_code, problem(missing)) == (404, "not-found")  # not told to wait
        assert client.request("OPTIONS", "/").status_code == 200  # of what stands behind


def test_a_browser_is_told_by_a_page_that_there_are_too_many(tmp_path: Path) -> None:
    web = a_web(tmp_path)
    web.guard.app = Crowd(page, 3, lambda: 3)
    with asking(web) as client:
        refused = client.get("/", headers={"Accept": "text/html,*/*"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    assert refused.headers["content-type"] == "text/html; charset=utf-8"
    assert "too many pages are open" in refused.text
