"""How many pages may be open at once: each takes up to 2 MB here, also one that nobody looks at for a minute.

In: what stands behind the gate. Out: the same, but a page that would be one too many is a problem. With a session in
this process it is the session's memory as well.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.web.guard import Application, Receive, Scope, Send, answer, is_page, nothing_there
from engine.web.problems import ProblemError

_FILES = "/_nicegui"
"""What pages ask for when they are open."""

_FORGOTTEN_S = 60
"""After so long a page that never connected is forgotten."""


class Crowd:
    """The application, with room for so many pages."""

    def __init__(
        self, app: Application, most: int, count: Callable[[], int], knows: Callable[[Scope], bool] = lambda _: True
    ) -> None:
        """`count` says how many pages there are, `knows` whether a request is for one."""
        self._app = app
        self._most = most
        self._count = count
        self._knows = knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on. Raises `ProblemError` for a page that finds no room."""
        if _opens_page(scope):
            is_full = self._count() >= self._most
            if (is_full or scope.get("is_head")) and not self._knows(scope):
                raise nothing_there(404)  # the page that says so would be one more
            if scope.get("is_head"):
                await answer(send, 200, b"", "text/html; charset=utf-8")
                return
            if is_full:
                raise ProblemError(
                    "overloaded",
                    "too many pages are open",
                    "close some, or try again in a minute",
                    headers={"Retry-After": str(_FORGOTTEN_S)},
                )
        await self._app(scope, receive, send)


def _opens_page(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and is_page(scope["path"])
        and not scope["path"].startswith(_FILES)
    )
