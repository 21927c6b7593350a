"""The page of vetoes."""

from __future__ import annotations

import asyncio

from markupsafe import Markup
from nicegui import ui

from engine.journal.errors import JournalError
from engine.journal.reader import tail
from engine.language.findings import SluiceError
from engine.routing.evidence.why import READS, Why, why
from engine.web.pages.frame import every, framed, raw
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import address, section, tag
from engine.web.pages.site import Site
from engine.web.pages.vetoes import tally
from engine.web.pages.vetoes_html import PART, vetoes_html, why_html

_LOOK_EVERY_S = 2.0
MOST_EVENTS = 100_000
"""Events of the journal that the long answer reads; takes some seconds."""


def vetoes_page(site: Site, symbol: str | None) -> None:
    """Lay the page out, and keep it up to date."""
    with framed(site, "/vetoes", "Vetoes", lead="What stands against resting orders, and what crossing cost instead."):
        _Vetoes(site, symbol)


class _Vetoes:
    def __init__(self, site: Site, symbol: str | None) -> None:
        self._site = site
        self._symbol = symbol
        self._version = site.live.version
        symbols = sorted({routed.symbol for routed in site.live.routes} | ({symbol} if symbol else set()))
        with ui.element("div").classes("filters").props('role=group aria-label="filters"'):
            ui.select(
                symbols,
                label="Symbol",
                value=symbol,
                clearable=True,
                with_input=True,
                on_change=lambda event: self._choose(event.value),
            ).props("dense outlined options-dense").classes("filter")
        self._html = LiveHtml(self._shown())
        with ui.element("div").props("aria-live=polite") as self._long:
            self._offer()
        every(_LOOK_EVERY_S, self._look)

    def _shown(self) -> Markup:
        intents = self._site.live.routed
        return vetoes_html(tally(intents.all, self._symbol), self._symbol, is_cut=intents.is_cut)

    def _choose(self, symbol: str | None) -> None:
        self._symbol = symbol or None
        ui.navigate.history.replace(address("/vetoes", symbol=symbol))
        self._html.show({PART: self._shown()})
        self._long.clear()
        with self._long:
            self._offer()

    def _look(self) -> None:
        if self._site.live.version != self._version:
            self._version = self._site.live.version
            self._html.show({PART: self._shown()})

    def _offer(self) -> None:
        if self._symbol is None:
            raw(tag("p", "Choose a symbol to see what was nearest to lifting each veto.", class_="soft"))
            return
        ui.button(f"Why is {self._symbol} taker? Ask the journal", on_click=self._ask).props(
            "no-caps unelevated"
        ).classes("ask")

    async def _ask(self) -> None:
        symbol = self._symbol
        assert symbol is not None
        self._long.clear()
        with self._long:
            raw(tag("p", "Reading the journal …", class_="soft"))
        try:
            with self._site.questions.take():
                answer = await asyncio.to_thread(self._why, symbol)
            shown = section(f"Why {symbol} is taker", why_html(answer), note=f"the last {MOST_EVENTS:,} events")
        except (SluiceError, JournalError, OSError) as error:
            shown = tag("p", str(getattr(error, "message", error)), class_="alert", role="alert")
        self._long.clear()
        with self._long:
            raw(shown)

    def _why(self, symbol: str) -> Why:
        kept = self._site.live.kept
        events = tail(kept.folder, MOST_EVENTS, types=READS, on_bad=lambda _: None)
        return why(events, symbol, book_of=kept.rulebooks.find)
