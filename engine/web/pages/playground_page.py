"""The playground: facts as inputs and sliders, and the decision with its trace as they move."""

from __future__ import annotations

import time
from functools import partial

from markupsafe import Markup
from nicegui import ui

from engine.backends.decision import show_value
from engine.backends.facts import FactsError
from engine.journal.errors import JournalError
from engine.language.findings import SluiceError
from engine.language.types import ChoiceType, FlagType, NumberType, Value
from engine.reload.dry_run import past_decision
from engine.routing.chain import ROUTING
from engine.web.pages.decisions_html import missing_html, steps_html
from engine.web.pages.frame import every, raw, tell_of_another_rulebook
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import address, mark, nothing_of, section, soft, tag, without_route
from engine.web.pages.playing import Field, GroupFields, Play, Reach, newest_routing, play
from engine.web.pages.rules_page import ruled
from engine.web.pages.site import Site
from engine.web.pages.slider import Slider

_DECIDED, _STEPS = "played", "played-steps"
_MOVED_EVERY_S = 0.1
_MISSING = "missing"


async def playground_page(site: Site, policy: str | None, decision_id: str | None) -> None:
    """Lay the playground out, beginning with the facts of a decision."""
    book = site.live.book
    chosen = policy if policy in book.policies else ROUTING if ROUTING in book.policies else book.policies[0]
    facts, begins, wrong, asked = None, "", "", decision_id
    if decision_id is None:
        decision_id = newest_routing(site.live.latest()) if chosen == ROUTING else None
    if decision_id is not None:
        try:
            with site.searches.take():
                remade = await site.live.decision(decision_id)
        except (SluiceError, JournalError, OSError) as error:
            wrong = getattr(error, "message", str(error))
        else:
            past = None if remade is None else past_decision(remade.event)
            if past is not None:
                facts, chosen = past.facts, past.policy if past.policy in book.policies else chosen
                begins = f"It begins with the facts of decision {decision_id[:12]}."
    lead = f"Move a fact and see what would be decided; nothing is written anywhere. {begins}"
    with ruled(site, "/rules/play", "Playground", lead=lead):
        tell_of_another_rulebook(site)
        if wrong:
            raw(tag("p", wrong, class_="alert", role="alert"))
        elif asked is not None and facts is None:
            raw(nothing_of("decision", asked, f"{chosen} is shown without facts"))
        if policy is not None and policy != chosen:
            raw(nothing_of("policy", policy, f"{chosen} is shown"))
        ui.select(
            list(book.policies),
            label="Policy",
            value=chosen,
            on_change=lambda event: ui.navigate.to(address("/rules/play", policy=event.value)),
        ).props("dense outlined options-dense").classes("find")
        try:
            _Playground(play(book, chosen, facts, time.time()))
        except FactsError as error:
            raw(tag("p", str(error), class_="alert", role="alert"))


_SAID_BY_ITSELF = ("", "count", "price", "qty", "ratio")
"""Units that need not be named beside a fact."""


def _label(name: str, unit: str) -> str:
    """A fact with its unit, where its name does not end with it.

    >>> _label("spread_bps", "bps"), _label("score", "ratio"), _label("expectancy", "bps")
    ('spread_bps', 'score', 'expectancy in bps')
    """
    return name if unit in _SAID_BY_ITSELF or name.endswith(f"_{unit}") else f"{name} in {unit}"


class _Playground:
    """One open playground. Decides at most ten times a second, however fast a slider moves."""

    def __init__(self, held: Play) -> None:
        self._play = held
        self._is_moved = False
        self._numbers: dict[int, ui.number] = {}
        """By the identity of the field."""
        self._is_following = False
        with ui.element("div").classes("play"):
            with ui.element("div").classes("inputs"):
                symbols = sorted(held.book.rulebook.symbols)
                options = sorted({*symbols, *([held.symbol] if held.symbol else [])})
                ui.select(
                    options,
                    label="Symbol",
                    value=held.symbol,
                    clearable=True,
                    on_change=lambda event: self._symbol(event.value),
                ).props("dense outlined options-dense")
                for number, group in enumerate(held.groups):
                    self._group(group, is_open=number < 2)
            shown = self._shown()
            self._decided = LiveHtml(shown[_DECIDED], shown).classes("decided").props("aria-live=polite")
            self._steps = LiveHtml(shown[_STEPS], shown).classes("trace")
        every(_MOVED_EVERY_S, self._look)

    def _symbol(self, symbol: str | None) -> None:
        self._play.symbol = symbol or None
        self._is_moved = True

    def _group(self, held: GroupFields, *, is_open: bool) -> None:
        with ui.element("details").props("open" if is_open else "").classes("card"):
            with ui.element("summary"):
                raw(tag("b", held.group.name), soft(f" {' '.join(held.group.doc.split())}"), into="span")
            with ui.element("div").classes("known"):
                ui.switch(
                    f"{held.group.name} known",
                    value=held.is_there,
                    on_change=lambda event: self._set(held, "is_there", event.value),
                ).props("dense")
            if held.age_s is not None:
                self._number(
                    f"{held.group.name}: age in s",
                    held.age_s,
                    Reach(0.0, max(60.0, 3 * held.age_s), 0.5),
                    partial(self._set, held, "age_s"),
                )
            for each in held.fields:
                self._field(each)

    def _set(self, of: GroupFields | Field, name: str, value: Value | None) -> None:
        setattr(of, name, value)
        self._is_moved = True
        if isinstance(of, Field) and not self._is_following:
            self._follow(of)

    def _follow(self, moved: Field) -> None:
        """Show what followed a fact that was moved; what follows moves nothing in its turn."""
        self._is_following = True
        try:
            for each in self._play.follow(moved):
                assert each.value is None or isinstance(each.value, float), "numbers alone follow"
                self._numbers[id(each)].set_value(each.value)
        finally:
            self._is_following = False

    def _field(self, held: Field) -> None:
        kind, set_ = held.fact.type, partial(self._set, held, "value")
        match kind:
            case NumberType(unit=unit):
                label = _label(held.fact.name, unit)
                self._numbers[id(held)] = self._number(label, held.value, self._play.reach(held), set_)
            case FlagType():
                known = {"true": True, "false": False}
                now = _MISSING if held.value is None else show_value(held.value)
                self._choice(held.fact.name, [*known, _MISSING], now, lambda value: set_(known.get(value)))
            case ChoiceType(of=of):
                now = held.value if isinstance(held.value, str) and held.value in of else _MISSING
                self._choice(
                    held.fact.name, [*of, _MISSING], now, lambda value: set_(None if value == _MISSING else value)
                )
            case _:
                ui.input(
                    held.fact.name, value=str(held.value or ""), on_change=lambda event: set_(event.value or None)
                ).props("dense outlined")

    def _choice(self, label: str, options: list[str], now: str, set_: object) -> None:
        assert callable(set_)
        ui.select(options, label=label, value=now, on_change=lambda event: set_(event.value)).props(
            "dense outlined options-dense"
        )

    def _number(self, label: str, now: Value | None, reach: Reach | None, set_: object) -> ui.number:
        """A number and its slider, if it has one, which follow each other; an empty number is a missing fact."""
        assert callable(set_)
        with ui.element("div").classes("slide"):
            number = ui.number(label, value=now if isinstance(now, float) else None, placeholder=_MISSING).props(
                "dense outlined clearable debounce=150 stack-label"
            )
            slider = None
            if reach is not None:
                at = now if isinstance(now, float) else (reach.low + reach.high) / 2
                slider = Slider(label, reach, at, number.set_value)

        def typed(value: float | None) -> None:
            set_(None if value is None else float(value))
            if value is not None and slider is not None:
                slider.put(float(value))

        number.on_value_change(lambda event: typed(event.value))
        return number

    def _look(self) -> None:
        if self._is_moved:
            self._is_moved = False
            shown = self._shown()
            self._decided.show({_DECIDED: shown[_DECIDED]})
            self._steps.show({_STEPS: shown[_STEPS]})

    def _shown(self) -> dict[str, Markup]:
        try:
            explained = self._play.decide()
        except FactsError as error:
            wrong = tag("p", str(error), class_="alert", role="alert")
            return {_DECIDED: tag("div", wrong, id_=_DECIDED), _STEPS: tag("div", id_=_STEPS)}
        decision = explained.decision
        values = [tag("li", tag("b", name), " ", show_value(value)) for name, value in decision.values.items()]
        route = decision.values.get("route")
        lead = [mark(str(route)), " "] if route is not None else []
        head = section(
            "It would decide",
            tag("p", *lead, without_route(decision.reason, str(route)), class_="said"),
            tag("ul", values, class_="values"),
        )
        steps = [missing_html(explained.missing), steps_html(explained)]
        return {_DECIDED: tag("div", head, id_=_DECIDED), _STEPS: tag("div", steps, id_=_STEPS)}
