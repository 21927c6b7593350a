"""The page that says whether routing is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from engine.web.pages.frame import every, framed
from engine.web.pages.health_html import ROWS, SINCE, SUMMARY, rows_html, since_html, summary_html, table_html
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import empty, join, tag
from engine.web.pages.site import Site

if TYPE_CHECKING:
    from markupsafe import Markup

_LOOK_EVERY_S = 0.25
_FIRST_ROWS = 12


def health_page(site: Site, symbol: str = "") -> None:
    """Lay the page out, and keep it up to date."""
    lead = "How each symbol is routed now, and how that went."
    with framed(site, "/", "Health", lead=lead, first=_first(site, symbol)):
        _Health(site, symbol)


def _first(site: Site, symbol: str) -> Markup | None:
    """What fits on a screen."""
    health = site.live.health
    if health is None:
        return None
    rows = rows_html(health, site.live.trend, symbol, most=_FIRST_ROWS)
    return join([tag("div", class_="find"), _since(site), summary_html(health), table_html(rows)])


def _since(site: Site) -> Markup:
    return since_html(site.live.since_health(), site.live.last_ts)


class _Health:
    """One open page. A snapshot is shown whole; what did not change in it is not sent again."""

    def __init__(self, site: Site, symbol: str) -> None:
        self._site = site
        self._wanted = symbol
        self._names: list[str] | None = None
        ui.input("Find a symbol", value=symbol, on_change=lambda event: self._find(event.value)).props(
            "dense outlined clearable debounce=200"
        ).classes("find")
        self._seen = self._seq()
        parts, rows = self._parts()
        self._html = LiveHtml(join(parts.values()), {**parts, **rows})
        every(_LOOK_EVERY_S, self._look)

    def _seq(self) -> int | None:
        health = self._site.live.health
        return None if health is None else health.seq

    def _parts(self) -> tuple[dict[str, Markup], dict[str, Markup]]:
        """What is to be shown anew, and the rows that stand in it."""
        health = self._site.live.health
        if health is None:
            waiting = empty("No snapshot was seen yet: a session writes one a minute, in the time of its market.")
            none = since_html({}, None)
            return {SINCE: none, SUMMARY: tag("div", waiting, id_=SUMMARY), ROWS: tag("div", id_=ROWS)}, {}
        rows = rows_html(health, self._site.live.trend, self._wanted)
        summary = {SINCE: _since(self._site), SUMMARY: summary_html(health)}
        names = list(rows)
        if names == self._names:
            return {**summary, **rows}, {}
        self._names = names
        return {**summary, ROWS: table_html(rows)}, rows

    def _find(self, text: str | None) -> None:
        self._wanted = (text or "").strip()
        self._html.show(*self._parts())

    def _look(self) -> None:
        if self._seq() != self._seen:
            self._seen = self._seq()
            self._html.show(*self._parts())
        else:
            self._html.show({SINCE: _since(self._site)})
