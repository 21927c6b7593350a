"""The pages of decisions: the feed as it happens, and one decision with everything behind it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

from markupsafe import Markup
from nicegui import ui

from engine.book import Book
from engine.journal.errors import JournalError
from engine.journal.events import Event, Routed
from engine.language.findings import SluiceError
from engine.reload.dry_run import past_decision
from engine.routing.evidence.words import Words
from engine.routing.intents import LONGEST_ID
from engine.web.kept import Remade
from engine.web.limits import FullError
from engine.web.live import Live, RouteFilter
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
    missing_html,
    steps_html,
    story_html,
    why_not_html,
)
from engine.web.pages.frame import every, framed, raw
from engine.web.pages.head_html import HEAD, head_html, paused_html, paused_vetoes
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import address, join, tag
from engine.web.pages.site import Site
from engine.web.pages.solving import Asked, UnansweredError, ask_why_not
from engine.web.pauses import Pause

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
_NEWEST, _NEWER, _OLDER = "newest", "← newer", "older →"


async def decisions_page(site: Site, wanted: RouteFilter, before: int | None) -> None:
    """Lay the feed out, and keep it up to date; `before` is the event that everything shown comes before."""
    found = await _found(site, wanted.intent)
    lead = "Route decisions as they are made; open one to see why."
    start = found.routes or list(islice(_earlier(site.live, wanted, before), _FIRST_ROWS))
    filters = tag("div", tag("div", class_="find"), class_="filters")
    with framed(site, "/decisions", "Decisions", lead=lead, first=join([filters, feed_html(start)])):
        _Feed(site, wanted, before, found)


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found of an intent that is not among the decisions held."""

    intent_id: str | None = None
    routes: list[Routed] = field(default_factory=list)
    says: str = ""


async def _found(site: Site, intent_id: str | None) -> _Found:
    """Look for an intent in the journal, where it is not among those held."""
    held = site.live.latest(RouteFilter(intent=intent_id))
    if intent_id is None or any(routed.intent_id == intent_id for routed in held):
        return _Found()
    if len(intent_id) > LONGEST_ID:
        return _Found(intent_id, says="No intent has so long an id.")
    try:
        with site.searches.take():
            told = await site.live.of_intent(intent_id)
    except FullError:
        return _Found(intent_id, says="Too many others look something up: try again.")
    except JournalError as error:
        return _Found(intent_id, says=f"The journal cannot be searched: {error.message}.")
    routes = [event for event in reversed(told) if isinstance(event, Routed)]
    if routes:
        return _Found(intent_id, routes, "Not among those held: found in the journal.")
    if told:
        return _Found(intent_id, says=f"No decision was made on this intent: {Words().say(told[-1])}.")
    return _Found(intent_id, says="The journal holds no intent of this id, and none that is held here begins so.")


def _earlier(live: Live, wanted: RouteFilter, before: int | None) -> Iterator[Routed]:
    """Route decisions that fit and came before an event, the newest first."""
    return (routed for routed in live.latest(wanted) if before is None or routed.seq < before)


class _Feed:
    """One open feed: new decisions are put before the others, as many as fit the filter."""

    def __init__(self, site: Site, wanted: RouteFilter, before: int | None, found: _Found) -> None:
        self._live = site.live
        self._wanted = {name: getattr(wanted, name) for name in (*(name for name, _, _ in _CHOICES), "intent")}
        self._before = before
        """While older decisions are shown the page stands still."""
        self._held_seq = 0
        """Of the newest decision there was when the page was last shown whole, or went on."""
        self._found = found
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
            ui.input(
                "Intent", value=self._wanted["intent"], on_change=lambda event: self._choose("intent", event.value)
            ).props(f"dense outlined clearable debounce=200 maxlength={LONGEST_ID}").classes("filter").on(
                "keydown.enter", lambda: ui.navigate.to(self._address())
            )
            self._goes_on = ui.switch("live", value=before is None, on_change=self._go_on)
        parts = self._parts()
        with ui.element("div").props("role=status"):
            self._note = LiveHtml(parts[FEED_NOTE], parts)
        self._html = LiveHtml(parts[FEED_TABLE], parts)
        with ui.element("nav").props('aria-label="older and newer"').classes("pages"):
            self._ways = {
                label: ui.button(label, on_click=lambda label=label: self._turn(label)).props("no-caps flat dense")
                for label in (_NEWEST, _NEWER, _OLDER)
            }
            self._end = ui.label("The oldest that are held here: of an older one ask for the intent's id.")
        self._end.classes("soft")
        self._show_ways()
        every(_LOOK_EVERY_S, self._look)
        every(_CHOICES_EVERY_S, self._refresh_choices)

    @property
    def _filter(self) -> RouteFilter:
        return RouteFilter(**self._wanted)

    def _address(self, before: int | None = None) -> str:
        return address("/decisions", **self._wanted, before=before)

    def _parts(self) -> dict[str, Markup]:
        """All of it, as it is now."""
        fitting = list(self._live.latest(self._filter))
        start = next((at for at, routed in enumerate(fitting) if self._is_earlier(routed)), len(fitting))
        shown = fitting[start : start + MOST_ROWS]
        self._seen_seq = self._held_seq = self._live.routes[-1].seq if self._live.routes else 0
        self._waiting, self._passed = (0 if self._before is None else start), 0
        self._says, none = "", "No decision was made yet."
        if self._is_found(is_held=bool(fitting)):
            shown, none = [routed for routed in self._found.routes if self._filter.fits(routed)], self._found.says
            self._says = none if shown else ""
        elif any(self._wanted.values()):
            none = "No decision that is held here fits the filter."
            if self._wanted["intent"]:
                none += " Enter looks for the whole id in the journal."
        return {
            FEED_TABLE: feed_html(shown, none),
            FEED_NOTE: feed_note(waiting=self._waiting, found=self._says),
        }

    def _is_found(self, *, is_held: bool) -> bool:
        """Whether what the journal has of an intent is shown: an id that is found whole goes before beginnings."""
        found = self._found
        return bool(found.says) and found.intent_id == self._wanted["intent"] and (bool(found.routes) or not is_held)

    def _is_earlier(self, routed: Routed) -> bool:
        return self._before is None or routed.seq < self._before

    def _turned(self) -> dict[str, str | None]:
        """Where the ways to newer and older decisions lead: to addresses that stay where they are. None: nowhere."""
        fitting = [routed.seq for routed in self._live.latest(self._filter) if routed.seq <= self._held_seq]
        start = next((at for at, seq in enumerate(fitting) if self._before is None or seq < self._before), len(fitting))
        end = start + MOST_ROWS
        newest = None if self._before is None else self._address()
        newer = newest if start <= MOST_ROWS else self._address(fitting[start - MOST_ROWS - 1])
        return {_NEWEST: newest, _NEWER: newer, _OLDER: self._address(fitting[end - 1]) if end < len(fitting) else None}

    def _turn(self, label: str) -> None:
        to = self._turned()[label]
        if to is not None:
            ui.navigate.to(to)

    def _show_ways(self) -> None:
        turned = self._turned()
        for label, button in self._ways.items():
            button.set_visibility(turned[label] is not None)
        self._end.set_visibility(self._before is not None and turned[_OLDER] is None)

    def _choose(self, name: str, value: str | None) -> None:
        self._wanted[name] = (value or "").strip().encode(errors="replace").decode() or None
        ui.navigate.history.replace(self._address())
        self._go_on_from_now()

    def _go_on(self) -> None:
        """Switched: to hold still, or to show what is new."""
        if self._goes_on.value and self._before is not None:
            ui.navigate.history.replace(self._address())
            self._before = None
        self._show_all()

    def _go_on_from_now(self) -> None:
        """Leave the older decisions for the newest that fit."""
        was_held, self._before = self._before is not None, None
        if was_held:
            self._goes_on.value = True  # which shows them
        else:
            self._show_all()

    def _show_all(self) -> None:
        parts = self._parts()
        self._html.show({FEED_TABLE: parts[FEED_TABLE]})
        self._note.show({FEED_NOTE: parts[FEED_NOTE]})
        self._show_ways()

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
        if self._goes_on.value:
            self._held_seq = last_seq
        if not self._goes_on.value:
            self._waiting += len(new)
        elif new:
            self._passed += max(0, len(new) - MOST_ROWS)
            self._html.add(FEED, join(feed_row(routed) for routed in new[:MOST_ROWS]), MOST_ROWS)
        self._note.show({FEED_NOTE: feed_note(waiting=self._waiting, passed=self._passed, found=self._says)})

    def _options(self, name: str) -> list[str]:
        of = next(each for key, _, each in _CHOICES if key == name)
        found = {value for routed in self._live.routes for value in of(routed) if value is not None}
        if self._wanted[name]:
            found.add(self._wanted[name])
        return sorted(found)

    def _refresh_choices(self) -> None:
        self._show_ways()
        for name, select in self._selects.items():
            options = self._options(name)
            if options != select.options:
                select.set_options(options)


async def decision_page(site: Site, decision_id: str) -> None:
    """Lay one decision out."""
    remade, behind = None, _Behind()
    wrong, is_broken = "", False
    if not re.fullmatch(DECISION_ID, decision_id):
        wrong = "An id of a decision is 24 hex digits, in lower case."
    else:
        try:
            with site.searches.take():
                remade = await site.live.decision(decision_id)
                if remade is not None:
                    behind = await _behind(site.live, remade)
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
        _Opened(site, remade, behind)


@dataclass(frozen=True, slots=True)
class _Behind:
    """What is told beside a decision."""

    told: Sequence[Event] = ()
    """The events of its intent, as far as its head needs them."""
    pauses: Sequence[Pause] = ()
    book: Book | None = None
    """The rulebook that decided."""


async def _behind(live: Live, remade: Remade) -> _Behind:
    """Look behind a decision, in another thread where that takes the journal."""
    event, record = remade.event, remade.record
    told = await live.of_intent(event.intent_id) if event.intent_id else ()
    if not paused_vetoes(remade.explanation):
        return _Behind(told)
    pauses = await live.pauses(str(record.get("symbol")), event)
    book = live.kept.rulebooks.open(record["rulebook"], record["sources"], record["profile"])
    return _Behind(told, pauses, book)


class _Opened:
    """One decision on a page."""

    def __init__(self, site: Site, remade: Remade, behind: _Behind) -> None:
        self._site = site
        self._remade = remade
        self._behind = behind
        self._told = -1
        parts = self._parts()
        head, story = parts[HEAD], parts[STORY]
        self._head_html = LiveHtml(head, {HEAD: head})
        explained = remade.explanation
        self._rests_on = paused_vetoes(explained)
        if self._rests_on:
            raw(paused_html(behind.pauses, remade.event.ts_ms, behind.book, str(remade.record.get("symbol"))))
        route = explained.decision.outcome.values.get("route")
        if route is not None and route != "maker":
            with ui.element("section").classes("card"):
                raw(tag("h2", "Why not maker?"))
                self._button = ui.button("Ask the solver", on_click=self._ask).props("no-caps unelevated")
                self._answer = ui.element("div").props("aria-live=polite")
        is_of_now = remade.record["sources"] == site.live.book.rulebook.sources_digest
        raw(missing_html(explained.missing))
        self._story_html = LiveHtml(story, {STORY: story})
        every(_STORY_EVERY_S, self._look)
        raw(steps_html(explained, is_of_now=is_of_now))
        play = f"/rules/play?decision={remade.record['decision_id']}"
        raw(tag("p", tag("a", "Move its facts in the playground", href=play)))

    def _look(self) -> None:
        parts = self._parts()
        if parts:
            self._head_html.show({HEAD: parts[HEAD]})
            self._story_html.show({STORY: parts[STORY]})

    def _parts(self) -> dict[str, Markup]:
        """As far as it went: its orders may still work. Nothing where it went no further."""
        live, intent_id = self._site.live, self._remade.event.intent_id or ""
        story = live.story(intent_id)
        if len(story) == self._told:
            return {}
        self._told = len(story)
        told = {event.seq: event for event in (*self._behind.told, *live.held_of_intent(intent_id))}
        is_cut = len(story) >= live.keep.story
        return {
            HEAD: head_html(self._remade, [told[seq] for seq in sorted(told)]),
            STORY: story_html(story, self._remade.record["decision_id"], is_cut=is_cut),
        }

    async def _ask(self) -> None:
        self._button.disable()
        self._answer.clear()
        with self._answer:
            raw(tag("p", "The solver is looking for the smallest change …", class_="soft"))
        try:
            with self._site.questions.take():
                asked = await asyncio.to_thread(self._question)  # where the rulebook is not at hand, it is loaded
                shown = why_not_html(await ask_why_not(asked), self._rests_on)
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
