"""The pages of rules, but for the editor and the playground."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from markupsafe import Markup
from nicegui import ui

from engine.analysis.diff.structure import compare
from engine.analysis.request import RequestError
from engine.analysis.show import overview, show
from engine.book import Book
from engine.language.findings import LoadError
from engine.language.load import Workspace, load_rulebook, read_files
from engine.reload.errors import ReloadError
from engine.reload.history import History
from engine.web.pages.frame import ThemeButton, every, framed, raw, tell_of_another_rulebook
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import address, empty, nothing_of, section, tag
from engine.web.pages.rules_html import (
    IN_FORCE,
    compare_html,
    findings_html,
    history_html,
    in_force_html,
    policies_html,
    proofs_html,
    ruleset_html,
    subpages_html,
    values_html,
)
from engine.web.pages.site import Site

_LOOK_EVERY_S = 1.0
_BODY = "rules-body"


@contextmanager
def ruled(site: Site, path: str, title: str, *, lead: str = "") -> Iterator[ThemeButton]:
    """A page of rules."""
    with framed(site, path, title, lead=lead, first=subpages_html(path)) as theme:
        raw(subpages_html(path))
        yield theme


@contextmanager
def as_opened(site: Site, path: str, title: str, *, lead: str = "") -> Iterator[None]:
    """A page of rules that stays as it was when it was opened, and says so where that is no longer what decides."""
    with ruled(site, path, title, lead=lead):
        tell_of_another_rulebook(site)
        yield


def in_force_page(site: Site) -> None:
    """What decides, and the policies that it runs."""
    with ruled(site, "/rules", "Rules", lead="The rulebook that decides, as people read it."):
        book = site.live.book
        html = LiveHtml(Markup("").join([_in_force(site), _policies(book)]))
        shown = book

        def look() -> None:
            nonlocal shown
            parts = {IN_FORCE: _in_force(site)}
            if site.live.book is not shown:
                shown = site.live.book
                parts[_BODY] = _policies(shown)
            html.show(parts)

        every(_LOOK_EVERY_S, look)


def _in_force(site: Site) -> Markup:
    return in_force_html(site.live.book, site.live, site.reloads.status, site.candidates.current)


def _policies(book: Book) -> Markup:
    return tag("div", policies_html(overview(book.rulebook)), id_=_BODY)


def ruleset_page(site: Site, name: str) -> None:
    """One rule set."""
    with as_opened(site, f"/rules/set/{name}", "Rule set"):
        rulebook = site.live.book.rulebook
        try:
            view = show(rulebook, name).ruleset
        except RequestError as error:
            view = None
            raw(tag("p", f"{error.message}.", class_="alert", role="alert"))
        if view is not None:
            raw(ruleset_html(rulebook, view))


def values_page(site: Site, symbol: str | None) -> None:
    """Every value, with where it comes from."""
    with as_opened(site, "/rules/values", "Values", lead="Every parameter, and every place that gives it a value."):
        rulebook = site.live.book.rulebook
        if symbol is not None and symbol not in rulebook.symbols:
            raw(nothing_of("group with the symbol", symbol, "the values of all symbols are shown"))
        ui.select(
            sorted(rulebook.symbols),
            label="For a symbol",
            value=symbol if symbol in rulebook.symbols else None,
            clearable=True,
            with_input=True,
            on_change=lambda event: ui.navigate.to(address("/rules/values", symbol=event.value)),
        ).props("dense outlined options-dense").classes("find")
        raw(values_html(show(rulebook, None, symbol).values or ()))


async def compare_page(site: Site, other: str | None, *, everything: bool) -> None:
    """The profile in force beside another one."""
    book = site.live.book
    names = await asyncio.to_thread(lambda: Workspace(read_files(site.home)).profiles())
    others = [name for name in names if name != book.profile]
    chosen = other if other in others else next(iter(others), None)
    with as_opened(site, "/rules/compare", "Compare", lead="Values and rules of two profiles beside each other."):
        if other is not None and other != chosen:
            raw(nothing_of("other profile", other, f"{chosen} is shown" if chosen else "nothing is shown"))
        if chosen is None:
            raw(empty("There is no other profile."))
            return

        def go(name: str | None, *, whole: bool) -> None:
            ui.navigate.to(address("/rules/compare", other=name, everything=int(whole)))

        with ui.element("div").classes("filters"):
            ui.select(
                others, label="Beside", value=chosen, on_change=lambda event: go(event.value, whole=everything)
            ).props("dense outlined options-dense").classes("filter")
            ui.switch("equal values too", value=everything, on_change=lambda event: go(chosen, whole=event.value))
        try:
            rulebook = await asyncio.to_thread(load_rulebook, site.home, chosen)
        except LoadError as error:
            raw(section(f"{chosen} does not load", findings_html(error.findings)))
            return
        structure = await asyncio.to_thread(compare, book.rulebook, rulebook)
        raw(compare_html(structure, book.rulebook, rulebook, only_differences=not everything))


def proofs_page(site: Site) -> None:
    """What is proved of the rulebook in force."""
    with ruled(
        site, "/rules/proofs", "Proofs", lead="What policies promise, and whether it was proved for every input."
    ):
        html = LiveHtml(_proofs(site))
        every(_LOOK_EVERY_S, lambda: html.show({_BODY: _proofs(site)}))


def _proofs(site: Site) -> Markup:
    return tag("div", proofs_html(site.live.proofs, is_solver_there=find_spec("z3") is not None), id_=_BODY)


async def history_page(site: Site) -> None:
    """Which rulebooks ran."""
    with as_opened(site, "/rules/history", "History", lead="Which rulebooks decided here, and who changed them."):
        try:
            spans = await asyncio.to_thread(History(site.logs).spans, site.live.book.profile)
        except ReloadError as error:
            raw(tag("p", str(error), class_="alert", role="alert"))
            return
        raw(history_html(spans))
