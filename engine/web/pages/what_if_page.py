"""The page that tries another value of a parameter on what was decided lately."""

from __future__ import annotations

import asyncio

from markupsafe import Markup
from nicegui import ui

from engine.backends.decision import show_value
from engine.book import Book
from engine.journal.errors import JournalError
from engine.language.findings import LoadError, SluiceError
from engine.language.types import ChoiceType, FlagType, NumberType
from engine.printing import counted
from engine.routing.chain import ROUTING
from engine.web.pages.frame import framed, raw, tell_of_another_rulebook
from engine.web.pages.markup import (
    cell,
    decision_link,
    empty,
    file_link,
    join,
    mark,
    nothing_of,
    number,
    percent,
    row,
    section,
    soft,
    table,
    tag,
)
from engine.web.pages.rules_html import value_text
from engine.web.pages.site import Site
from engine.web.pages.vetoes import share
from engine.web.pages.what_if import WhatIf, past_decisions, read_value, tried, what_if, why_it_fails

_COUNTS = (200, 1_000, 5_000)
_ALL = "all symbols"
_JOURNALED, _TRIED = "journaled", "tried"
"""Names of columns."""


def what_if_page(site: Site, parameter: str | None) -> None:
    """Lay the page out."""
    lead = "Try another value of a parameter on what was decided lately; nothing is changed by that."
    with framed(site, "/what-if", "What if", lead=lead):
        tell_of_another_rulebook(site)
        if parameter is not None and parameter not in site.live.book.rulebook.declarations:
            raw(nothing_of("parameter", parameter, "choose one"))
        _WhatIf(site, parameter)


class _WhatIf:
    def __init__(self, site: Site, parameter: str | None) -> None:
        self._site = site
        self._book = site.live.book
        rulebook = self._book.rulebook
        self._names = sorted(rulebook.declarations)
        groups = sorted({group for found in rulebook.symbols.values() for group in found})
        chosen = parameter if parameter in rulebook.declarations else None
        policies = list(self._book.policies)
        with ui.element("form").classes("filters").on("submit.prevent", self._try):
            self._parameter = (
                ui.select(self._names, label="Parameter", value=chosen, with_input=True, on_change=self._offer)
                .props("dense outlined options-dense")
                .classes("filter wider")
            )
            # As it is now from the beginning: to set it later would take back what was typed before the page connected.
            known = value_text(rulebook.binding_of(None).values[chosen]) if chosen is not None else ""
            self._value = ui.input("Value", value=known).props("dense outlined").classes("filter")
            self._group = (
                ui.select([_ALL, *groups], label="For", value=_ALL, on_change=self._offer)
                .props("dense outlined options-dense")
                .classes("filter")
            )
            self._policy = (
                ui.select(policies, label="Policy", value=ROUTING if ROUTING in policies else policies[0])
                .props("dense outlined options-dense")
                .classes("filter")
            )
            self._count = (
                ui.select({count: f"{count:,} decisions" for count in _COUNTS}, label="The last", value=_COUNTS[1])
                .props("dense outlined options-dense")
                .classes("filter")
            )
            self._button = ui.button("Decide again").props("no-caps unelevated type=submit")
        self._now = ui.element("div")
        self._answer = ui.element("div").props("aria-live=polite")
        self._offer()

    def _offer(self) -> None:
        """Say what the parameter is now."""
        self._now.clear()
        name = self._parameter.value
        declared = self._book.rulebook.declarations.get(name or "")
        if declared is None:
            with self._now:
                raw(empty("Choose a parameter: what it is now, and what it may be, is said here."))
            return
        group = None if self._group.value == _ALL else self._group.value
        binding = next((each for each in self._book.rulebook.bindings.values() if group in each.groups), None)
        binding = binding or self._book.rulebook.binding_of(None)
        value, origin = binding.values[name], binding.origins[name]
        self._value.value = value_text(value)
        match declared.type:
            case NumberType(unit=unit, min=low, max=high):
                hint = f"{low:g} to {high:g} {unit}"
            case FlagType():
                hint = "true or false"
            case ChoiceType(of=of):
                hint = ", ".join(of)
            case _:
                hint = ""
        with self._now:
            raw(
                tag(
                    "p",
                    "It is ",
                    tag("b", value_text(value)),
                    f" ({hint}): {declared.doc} ",
                    file_link(origin.span),
                    " ",
                    soft(origin.why),
                )
            )

    async def _try(self) -> None:
        self._button.disable()
        self._answer.clear()
        with self._answer:
            raw(tag("p", "Deciding again …", class_="soft"))
        try:
            with self._site.questions.take():
                shown = await asyncio.to_thread(self._run)
        except LoadError as error:
            shown = _wrong(f"With that value the rulebook does not load: {why_it_fails(error)}.")
        except (SluiceError, JournalError, OSError) as error:
            told = getattr(error, "message", str(error))
            shown = _wrong(f"{told}; {getattr(error, 'help', '')}".rstrip("; "))
        self._answer.clear()
        with self._answer:
            raw(shown)
        self._button.enable()

    def _run(self) -> Markup:
        book: Book = self._book
        name = str(self._parameter.value or "")
        declared = book.rulebook.declarations.get(name)
        if declared is None:
            return _wrong("Choose a parameter.")
        text = str(self._value.value or "").strip()
        if not text:
            return _wrong("Type a value.")
        value = read_value(declared.type, text)
        group = None if self._group.value == _ALL else str(self._group.value)
        then = tried(book, self._site.home, name, value, group)
        past = past_decisions(self._site.live.kept.folder, str(self._policy.value), int(self._count.value))
        found = what_if(book, then, str(self._policy.value), past)
        return what_if_html(found, f"{name} = {value_text(value)}")


def _wrong(text: str) -> Markup:
    return tag("p", text, class_="alert", role="alert")


def what_if_html(found: WhatIf, title: str) -> Markup:
    """What would differ, beside what was decided."""
    left_out = _left_out(found)
    if not found.decisions and left_out is None:
        return empty(f"The journal holds no decision of {found.policy} yet.")
    if not found.decisions:
        return section(title, empty("No decision can be compared."), left_out)
    changed = f"{found.changed:,} of {counted(found.decisions, 'decision')} would be another"
    head = f"{changed} ({percent(share(found.changed, found.decisions))})"
    by_symbol = ", ".join(f"{symbol} {times:,}" for symbol, times in found.symbols.most_common(12))
    return join(
        [
            section(
                title,
                tag("p", mark("warn" if found.changed else "ok", head), class_="said", role="status"),
                left_out,
                tag("p", f"by symbol: {by_symbol}", class_="soft") if by_symbol else None,
            ),
            section("Counts", _counts(found), note="as it was journaled, and with the value that is tried"),
            section("Transitions", _transitions(found)),
            section(
                "Decisions that would be another",
                _examples(found),
                note=f"the last {len(found.examples)}, newest first",
            ),
        ]
    )


def _left_out(found: WhatIf) -> Markup | None:
    """How many of the same time do not count, and why."""
    if not found.left_out:
        return None
    parts = ", ".join(f"{times:,} {why}" for why, times in found.left_out.most_common())
    return tag("p", f"left out: {parts}", class_="soft")


def _counts(found: WhatIf) -> Markup:
    rows = [
        row(
            cell("name", tag("code", name)),
            cell("value", value),
            cell(_JOURNALED, f"{now[value]:,}"),
            cell(_TRIED, tag("b", f"{then[value]:,}") if now[value] != then[value] else f"{then[value]:,}"),
            cell("difference", f"{then[value] - now[value]:+,}" if now[value] != then[value] else soft("same")),
        )
        for name, (now, then) in found.counts.items()
        for value in sorted({*now, *then})
        if name == "route" or now != then
    ]
    return tag("div", table(("name", "value", _JOURNALED, _TRIED, "difference"), rows), class_="wide")


def _transitions(found: WhatIf) -> Markup:
    rows = [
        row(
            cell("name", tag("code", name)),
            cell(_JOURNALED, mark(now)),
            cell(_TRIED, mark(then)),
            cell("decisions", f"{times:,}"),
        )
        for (name, now, then), times in found.transitions.most_common()
    ]
    rows += [
        row(
            cell("name", tag("code", name)),
            cell(_JOURNALED, f"{number(moved.now / moved.times, digits=3)} on average"),
            cell(_TRIED, f"{number(moved.then / moved.times, digits=3)} on average"),
            cell("decisions", f"{moved.times:,}"),
        )
        for name, moved in found.numbers.items()
    ]
    if not rows:
        return empty("Nothing would be another.")
    return tag("div", table(("name", _JOURNALED, _TRIED, "decisions"), rows), class_="wide")


def _examples(found: WhatIf) -> Markup:
    if not found.examples:
        return empty("None.")
    items = [
        tag(
            "li",
            decision_link(each.decision_id),
            f" {each.symbol or ''}: ",
            ", ".join(f"{name} {show_value(now)} → {show_value(then)}" for name, now, then in each.changes),
        )
        for each in reversed(found.examples)
    ]
    return tag("ul", items, class_="findings")
