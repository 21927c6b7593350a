"""What every page has around it: the way to the other pages, the theme, how fresh it is, and trouble with the rules.

`framed` is a context: what is made inside it is the page. `every` runs something as long as a page is open, and a
failure of it is logged and ends nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from markupsafe import Markup
from nicegui import ui

from engine.reload.status import Status
from engine.web.guard import LOGOUT
from engine.web.pages.freshness import freshness_html, freshness_parts
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import join, tag
from engine.web.pages.site import Site
from engine.web.pages.trouble_html import TROUBLE, trouble_html

_log = logging.getLogger(__name__)

PAGES = (
    ("/", "Health"),
    ("/decisions", "Decisions"),
    ("/vetoes", "Vetoes"),
    ("/rules", "Rules"),
    ("/what-if", "What if"),
)
"""Path and name, in the order in which they stand at the top."""

_FRESH_EVERY_S = 1.0
_NOTICE = "another-rulebook"


class ThemeButton(ui.element, component="theme.js"):
    """Light, dark or automatic."""


class Connection(ui.element, component="connection.js"):
    """Says so when the server does not answer."""


@cache
def style() -> str:
    """How pages look."""
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


@contextmanager
def framed(site: Site, path: str, title: str, *, lead: str = "", first: Markup | None = None) -> Iterator[ThemeButton]:
    """A page: what is made inside stands under the heading.

    `first` is shown until the scripts are there, which takes most of a second on a busy machine; then what is made
    inside stands in its place.
    """
    ui.page_title(f"{title} · Sluice")
    navigation = _navigation(path, is_logged_in=not site.is_open)
    parts = freshness_parts(site.live)
    fresh = freshness_html(parts)
    trouble = trouble_html(_status(site, path))
    heading = join([tag("h1", title), tag("p", lead, class_="lead") if lead else None])
    ui.add_body_html(_first(navigation, join([fresh, trouble]), heading, first))
    with ui.element("header").classes("top"):
        raw(navigation)
        theme = ThemeButton()
    Connection()
    line = LiveHtml(fresh, parts)
    every(_FRESH_EVERY_S, lambda: line.show(freshness_parts(site.live)))
    troubled = LiveHtml(trouble, {TROUBLE: trouble})
    troubled.props("role=status")
    every(_FRESH_EVERY_S, lambda: troubled.show({TROUBLE: trouble_html(_status(site, path))}))
    with ui.element("div").props("id=main tabindex=-1"):  # NiceGUI's layout is the `main` around it
        raw(heading)
        yield theme


def _status(site: Site, path: str) -> Status | None:
    """What the session that watches the rules says; the page of rules itself shows all of it anyway."""
    return None if path == "/rules" else site.reloads.status


_DRESS: Final = """<script>
{
  const kept = localStorage.getItem("sluice-theme");
  const dark = kept === "dark" || (kept !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.body.classList.add(dark ? "body--dark" : "body--light");
}
</script>"""
"""Takes the theme before anything is painted."""


def _first(navigation: Markup, lines: Markup, heading: Markup, first: Markup | None) -> str:
    """The page as it is before scripts run; `theme.js` takes it away."""
    top = tag("header", tag("div", navigation), class_="top")
    return f"{_DRESS}{tag('div', top, lines, tag('div', heading, first, class_='main'), id_='first')}"


def _navigation(path: str, *, is_logged_in: bool) -> Markup:
    skip = tag("a", "Skip to the page", href="#main", class_="skip")
    links = [tag("a", name, href=to, aria_current="page" if _is_within(path, to) else None) for to, name in PAGES]
    leave = tag("form", tag("button", "Log out", type="submit"), method="post", action=LOGOUT) if is_logged_in else None
    return tag("div", skip, tag("span", "sluice", class_="brand"), tag("nav", links, aria_label="pages"), leave)


def _is_within(path: str, to: str) -> bool:
    return path == to or (to != "/" and path.startswith(f"{to}/"))


def tell_of_another_rulebook(site: Site) -> None:
    """Say so, where another rulebook decides by now than when the page was opened: the page is of the one before."""
    shown = site.live.book.version

    def notice() -> dict[str, Markup]:
        version = site.live.book.version
        said = None
        if version != shown:
            again = tag("a", "Load the page anew", href="")
            says = f"Another rulebook decides by now: {version[:12]}. This page is of {shown[:12]}."
            said = tag("p", tag("i", "▲ ", aria_hidden="true"), says, " ", again, class_="notice")
        return {_NOTICE: tag("div", said, id_=_NOTICE)}

    start = notice()
    html = LiveHtml(start[_NOTICE], start)
    html.props("role=status")
    every(_FRESH_EVERY_S, lambda: html.show(notice()))


def raw(*parts: Markup | None, into: str = "div") -> ui.html:
    """HTML of our own making, which escapes what it was given, in an element of its own."""
    return ui.html("".join(str(part) for part in parts if part is not None), sanitize=False, tag=into)


def every(seconds: float, do: Callable[[], object]) -> ui.timer:
    """Run something again and again while the page is open; what it gives is awaited where it has to be."""

    async def safely() -> None:
        try:
            given = do()
            if isinstance(given, Awaitable):
                await given
        except Exception:  # noqa: BLE001 - a page that is open goes on, and the log has the trace
            _log.exception("a page could not be brought up to date")

    return ui.timer(seconds, safely)
