"""The pages, put on a server.

In: a `Web` that does not run yet, and the home whose documents are shown. NiceGUI keeps one application a process, so
pages belong to the server they were put on last. Its scripts and styles lie in the wheel: nothing is fetched from
anywhere else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.middleware.gzip import GZipMiddleware
from nicegui import Client, app, ui
from starlette.routing import Match, Mount

from engine.web.guard import Scope
from engine.web.limits import Room
from engine.web.live import RouteFilter
from engine.web.pages.crowd import Crowd
from engine.web.pages.decisions_page import decision_page, decisions_page
from engine.web.pages.editor_page import editor_page
from engine.web.pages.frame import framed, raw, style
from engine.web.pages.health_page import health_page
from engine.web.pages.markup import tag
from engine.web.pages.playground_page import playground_page
from engine.web.pages.rules_page import (
    compare_page,
    history_page,
    in_force_page,
    proofs_page,
    ruleset_page,
    values_page,
)
from engine.web.pages.site import Site
from engine.web.pages.vetoes_page import vetoes_page
from engine.web.pages.what_if_page import what_if_page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from engine.web.server import Web

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1f6feb"/>'
    '<path d="M3 4h10M3 8h6M3 12h10" stroke="#fff" stroke-width="2"/></svg>'
)
_QUESTIONS_AT_ONCE = 2
_SLOW_PAGE_S = 20.0
"""A page that reads the journal first may take so long."""


def mount(web: Web, home: Path, logs: Path) -> None:
    """Put the pages beside the API. Before the server runs."""
    access = web.guard.access
    site = Site(
        live=web.live,
        reloads=web.reloads,
        candidates=web.candidates,
        home=home,
        logs=logs,
        is_open=not access.reading_needs_token,
        can_write=access.token is not None,
        check_token=web.guard.check_token,
        searches=web.api.searches,
        questions=Room(_QUESTIONS_AT_ONCE),
    )
    _register(site)
    _say_what_is_not_there(site)
    web.guard.app = Crowd(web.guard.app, web.settings.limits.pages, lambda: len(Client.instances), _is_a_page)
    ui.run_with(
        web.app,
        title="Sluice",
        favicon=_ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        # On this machine it takes longer to pack the scripts than to hand them over.
        gzip_middleware_factory=None if access.is_loopback else GZipMiddleware,
    )


def _is_a_page(scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in app.routes if not isinstance(route, Mount))


def _say_what_is_not_there(site: Site) -> None:
    """Answer paths that are no page with one that has the menu; files that pages ask for are refused as they were."""
    refuse = app.exception_handlers[404]

    async def no_such_page(request: Request, error: Exception) -> Response:
        if request.scope.get("endpoint") not in (None, app):
            refused: Response = await refuse(request, error)  # type: ignore[misc]  # of Starlette: it is async
            return refused
        with Client(ui.page(""), request=request) as client, framed(site, request.url.path, "There is no such page"):
            raw(tag("p", "Nothing is at ", tag("code", request.url.path), ".", class_="alert", role="alert"))
        return client.build_response(request, 404)

    app.add_exception_handler(404, no_such_page)


def _count(text: str) -> int | None:
    """A number of an address; None where it is none."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None


def _register(site: Site) -> None:
    ui.add_head_html(f"<style>{style()}</style>", shared=True)

    @ui.page("/")
    def health(symbol: str = "") -> None:
        health_page(site, symbol)

    @ui.page("/decisions", response_timeout=_SLOW_PAGE_S)
    async def decisions(
        symbol: str | None = None,
        route: str | None = None,
        veto: str | None = None,
        quality: str | None = None,
        intent: str | None = None,
        before: str = "",
    ) -> None:
        wanted = RouteFilter(symbol=symbol, route=route, veto=veto, quality=quality, intent=intent or None)
        await decisions_page(site, wanted, _count(before))

    @ui.page("/decisions/{decision_id}", response_timeout=_SLOW_PAGE_S)
    async def decision(decision_id: str) -> None:
        await decision_page(site, decision_id)

    @ui.page("/vetoes")
    def vetoes(symbol: str | None = None) -> None:
        vetoes_page(site, symbol)

    @ui.page("/rules")
    def rules() -> None:
        in_force_page(site)

    @ui.page("/rules/set/{name}")
    def ruleset(name: str) -> None:
        ruleset_page(site, name)

    @ui.page("/rules/values")
    def values(symbol: str | None = None) -> None:
        values_page(site, symbol)

    @ui.page("/rules/compare", response_timeout=_SLOW_PAGE_S)
    async def compare(other: str | None = None, everything: str = "0") -> None:
        await compare_page(site, other, everything=everything == "1")

    @ui.page("/rules/proofs")
    def proofs() -> None:
        proofs_page(site)

    @ui.page("/rules/history", response_timeout=_SLOW_PAGE_S)
    async def history() -> None:
        await history_page(site)

    @ui.page("/rules/edit", response_timeout=_SLOW_PAGE_S)
    async def edit(file: str | None = None, line: str = "") -> None:
        await editor_page(site, file, _count(line))

    @ui.page("/rules/play", response_timeout=_SLOW_PAGE_S)
    async def playground(policy: str | None = None, decision: str | None = None) -> None:
        await playground_page(site, policy, decision)

    @ui.page("/what-if")
    def what_if(parameter: str | None = None) -> None:
        what_if_page(site, parameter)
