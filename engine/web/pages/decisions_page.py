"""The pages of decisions: the feed as it happens, and one decision with everything behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice, takewhile

from markupsafe import Markup
from nicegui import ui

from engine.journal.errors import JournalError
from engine.journal.events import Routed
from engine.language.findings import SluiceError
from engine.reload.dry_run import past_decision
from engine.web.kept import Remade
from engine.web.live import RouteFilter
from engine.web.openapi import DECISION_ID
from engine.web.pages.decisions_html import (
    FEED,
    FEED_NOTE,
    FEED_TABLE,
    MOST_ROWS,
    STORY,
    feed_html,
    feed_note,
    feed_row,
    head_html,
    missing_html,
    steps_html,
    story_html,
    why_not_html,
)
from engine.web.pages.frame import every, framed, raw
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import address, join, tag
from engine.web.pages.site import Site
from engine.web.pages.solving import Asked, UnansweredError, ask_why_not

_LOOK_EVERY_S = 0.2
_CHOICES_EVERY_S = 5.0
_STORY_EVERY_S = 1.0
_FIRST_ROWS = 12
_CHOICES: tuple[tuple[str, str, Callable[[Routed], tuple[str | None, ...]]], ...] = (
    ("symbol", "Symbol", lambda routed: (routed.symbol,)),
    ("route", "Route", lambda routed: (routed.route,)),
    ("veto", "Veto rule", lambda routed: tuple(routed.vetoes)),
    ("quality", "Tier", lambda routed: (routed.quality,)),
)
"""What can be filtered by: the name in the address, the label, and what a route decision has of it."""

WISH = "route=maker"


def decisions_page(site: Site, wanted: RouteFilter) -> None:
    """Lay the feed out, and keep it up to date."""
    lead = "Route decisions as they are made; open one to see why."
    first = feed_html(list(islice(site.live.latest(wanted), _FIRST_ROWS)))
    filters = tag("div", tag("div", class_="find"), class_="filters")
    with framed(site, "/decisions", "Decisions", lead=lead, first=join([filters, first])):
        _Feed(site, wanted)


class _Feed:
    """One open feed: new decisions are put before the others, as many as fit the filter."""

    def __init__(self, site: Site, wanted: RouteFilter) -> None:
        self._live = site.live
        self._wanted = {name: getattr(wanted, name) for name, _, _ in _CHOICES}
        self._seen_seq = 0
        self._waiting = 0
        """Decisions that fit and came while the page was held still."""
        self._passed = 0
        """Decisions that fit and were pushed out before they were shown: more came at once than the page holds."""
        self._selects: dict[str, ui.select] = {}
        with ui.element("div").classes("filters").props('role=group aria-label="filters"'):
            for name, label, _ in _CHOICES:
                self._selects[name] = (
                    ui.select(
                        self._options(name),
                        label=label,
                        value=self._wanted[name],
                        clearable=True,
                        with_input=name in ("symbol", "veto"),
                        on_change=lambda event, name=name: self._choose(name, event.value),
                    )
                    .props("dense outlined options-dense")
                    .classes("filter")
                )
            self._goes_on = ui.switch("live", value=True, on_change=self._show_all)
        parts = self._parts()
        with ui.element("div").props("role=status"):
            self._note = LiveHtml(parts[FEED_NOTE], parts)
        self._html = LiveHtml(parts[FEED_TABLE])
        every(_LOOK_EVERY_S, self._look)
        every(_CHOICES_EVERY_S, self._refresh_choices)

    @property
    def _filter(self) -> RouteFilter:
        return RouteFilter(**self._wanted)

    def _parts(self) -> dict[str, Markup]:
        """All of it, as it is now."""
        found = list(islice(self._live.latest(self._filter), MOST_ROWS))
        self._seen_seq = self._live.routes[-1].seq if self._live.routes else 0
        self._waiting = self._passed = 0
        none = "No decision fits the filter yet." if any(self._wanted.values()) else "No decision was made yet."
        return {FEED_TABLE: feed_html(found, none), FEED_NOTE: feed_note()}

    def _choose(self, name: str, value: str | None) -> None:
        self._wanted[name] = value or None
        ui.navigate.history.replace(address("/decisions", **self._wanted))
        self._show_all()

    def _show_all(self) -> None:
        parts = self._parts()
        self._html.show({FEED_TABLE: parts[FEED_TABLE]})
        self._note.show({FEED_NOTE: parts[FEED_NOTE]})

    def _look(self) -> None:
        routes = self._live.routes
        last_seq = routes[-1].seq if routes else 0
        if last_seq == self._seen_seq:
            return
        if last_seq < self._seen_seq or self._seen_seq == 0:  # another journal, or the first decision
            self._show_all()
            return
        wanted = self._filter
        came = takewhile(lambda routed: routed.seq > self._seen_seq, reversed(routes))
        new = [routed for routed in came if wanted.fits(routed)]
        self._seen_seq = last_seq
        if not self._goes_on.value:
            self._waiting += len(new)
        elif new:
            self._passed += max(0, len(new) - MOST_ROWS)
            self._html.add(FEED, join(feed_row(routed) for routed in new[:MOST_ROWS]), MOST_ROWS)
        self._note.show({FEED_NOTE: feed_note(waiting=self._waiting, passed=self._passed)})

    def _options(self, name: str) -> list[str]:
        of = next(each for key, _, each in _CHOICES if key == name)
        found = {value for routed in self._live.routes for value in of(routed) if value is not None}
        if self._wanted[name]:
            found.add(self._wanted[name])
        return sorted(found)

    def _refresh_choices(self) -> None:
        for name, select in self._selects.items():
            options = self._options(name)
            if options != select.options:
                select.set_options(options)


async def decision_page(site: Site, decision_id: str) -> None:
    """Lay one decision out."""
    remade: Remade | None = None
    wrong, is_broken = "", False
    if not re.fullmatch(DECISION_ID, decision_id):
        wrong = "An id of a decision is 24 hex digits, in lower case."
    else:
        try:
            with site.searches.take():
                remade = await site.live.decision(decision_id)
        except (SluiceError, JournalError, OSError) as error:
            wrong, is_broken = f"It cannot be made again: {getattr(error, 'message', str(error))}.", True
    about = "" if remade is None else remade.event.intent_id or str(remade.record.get("symbol") or "")
    with framed(site, f"/decisions/{decision_id}", f"Decision on {about}" if about else "Decision"):
        raw(tag("p", tag("a", "← all decisions", href="/decisions")))
        if remade is None:
            if not is_broken:
                ui.context.client.status_code = 404
            raw(tag("p", wrong or "The journal holds no such decision.", class_="alert", role="alert"))
            return
        _Opened(site, remade)


class _Opened:
    """One decision on a page."""

    def __init__(self, site: Site, remade: Remade) -> None:
        self._site = site
        self._remade = remade
        route = remade.explanation.decision.outcome.values.get("route")
        raw(head_html(remade, self._routed()))
        if route is not None and route != "maker":
            with ui.element("section").classes("card"):
                raw(tag("h2", "Why not maker?"))
                self._button = ui.button("Ask the solver", on_click=self._ask).props("no-caps unelevated")
                self._answer = ui.element("div").props("aria-live=polite")
        explained = remade.explanation
        is_of_now = remade.record["sources"] == site.live.book.rulebook.sources_digest
        raw(missing_html(explained.missing))
        self._told = -1
        story = self._story()
        self._story_html = LiveHtml(story[STORY], story)
        every(_STORY_EVERY_S, lambda: self._story_html.show(self._story()))
        raw(steps_html(explained, is_of_now=is_of_now))
        play = f"/rules/play?decision={remade.record['decision_id']}"
        raw(tag("p", tag("a", "Move its facts in the playground", href=play)))

    def _routed(self) -> Routed | None:
        """What came of this decision, where that is at hand."""
        decision_id = self._remade.record["decision_id"]
        made = (each for each in self._site.live.latest() if each.event in ("decision", "decided_again"))
        return next((each for each in made if each.decision_id == decision_id), None)

    def _story(self) -> dict[str, Markup]:
        """As far as it went: its orders may still work. Nothing where it went no further."""
        events = self._site.live.story(self._remade.event.intent_id or "")
        if len(events) == self._told:
            return {}
        self._told = len(events)
        return {STORY: story_html(events, self._remade.record["decision_id"])}

    async def _ask(self) -> None:
        self._button.disable()
        self._answer.clear()
        with self._answer:
            raw(tag("p", "The solver is looking for the smallest change …", class_="soft"))
        try:
            with self._site.questions.take():
                shown = why_not_html(await ask_why_not(self._question()))
        except (UnansweredError, SluiceError) as error:
            shown = tag("p", f"Nobody knows: {getattr(error, 'message', error)}.", class_="alert", role="alert")
        self._answer.clear()
        with self._answer:
            raw(shown)
        self._button.enable()

    def _question(self) -> Asked:
        past = past_decision(self._remade.event)
        record, rulebooks = self._remade.record, self._site.live.kept.rulebooks
        book = rulebooks.open(record["rulebook"], record["sources"], record["profile"])
        kept = rulebooks.home_of(book)
        if past is None or kept is None:
            raise UnansweredError("its rulebook was not kept")
        return Asked(
            home=str(kept),
            profile=book.profile,
            version=book.version,
            policy=past.policy,
            facts=dict(past.facts),
            wish=WISH,
        )
