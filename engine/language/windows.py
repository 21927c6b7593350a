"""`policies/windows.yaml` becomes windows: events counted over time, which policies read as facts.

In: the document, the facts of the group `windows`, and the parameters that rule sets declare. Out: `model.EventKind`s
and `model.Window`s. A filter is an expression over the fields of an event, which are always known, so it is never
unknown: what could be (a division by a field that can be 0) is refused once parameters have values.

Where events come from is not known here. Whoever counts them says at start which kinds there are; facts of the group
that no window gives are for him to supply as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

from engine.language import model, syntax
from engine.language.build import WINDOWS, Library, Usage
from engine.language.documents import Declaration, EventDocument, ExpressionText, WindowDocument, WindowsDocument
from engine.language.findings import Findings, Related
from engine.language.flow import NOTHING, Flow
from engine.language.model import Binding, Constant, EventKind, Fact, Group, ParameterRef, Window, Written
from engine.language.printer import print_number
from engine.language.resolve import Scope, resolve, resolve_condition
from engine.language.soundness import report_unguarded
from engine.language.spelling import did_you_mean
from engine.language.types import NO_UNIT, ChoiceType, NumberType, Unit, describe

SHORTEST_S = 0.001
"""The shortest window: events are dated in milliseconds."""

_OWNER = re.compile(r"\$(\w+)\.")


def build_windows(
    library: Library, groups: Mapping[str, Group], findings: Findings, usage: Usage
) -> tuple[dict[str, EventKind], dict[str, Window]]:
    """The kinds of events, and the windows by the fact that each gives; both are empty without a document."""
    document = library.windows
    if document is None:
        return {}, {}
    if WINDOWS in library.rulesets and document.params:
        place = next(iter(document.params.values())).span
        message = f"the parameters of `{WINDOWS}` are those of this file, and there is a rule set of that name"
        related = Related(library.rulesets[WINDOWS].span, "the rule set is here")
        findings.add("name.clash", place, message, "rename the rule set", related)
    for event in document.events.values():
        _check_fields(event, findings)
    builder = _Builder(document, library, groups.get(WINDOWS), findings, usage)
    windows = {made.fact.name: made for text in document.windows if (made := builder.window(text))}
    return {event.name: _kind(event) for event in document.events.values()}, windows


def rulesets_named(document: WindowsDocument) -> frozenset[str]:
    """The rule sets whose parameters a document names."""
    texts = [text for window in document.windows for text in (window.filter, window.length) if text is not None]
    return frozenset(owner for text in texts for owner in _OWNER.findall(text.text)) - {WINDOWS}


def check_windows(windows: Iterable[Window], bindings: Mapping[tuple[str, ...], Binding], findings: Findings) -> None:
    """Findings of filters under bound values: one that could have no value for some event."""
    for window in windows:
        written = window.filter
        if written is None or not any(isinstance(part, model.Arithmetic) for part in model.walk(written.expression)):
            continue  # only a sum can have no value
        for binding in bindings.values():
            report = partial(_report, written, findings)
            Flow(binding.values).unguarded(written.expression, NOTHING, report)


def _report(written: Written, findings: Findings, operation: model.Arithmetic, why: str) -> None:
    report_unguarded(written, operation, why, findings)


def _check_fields(event: EventDocument, findings: Findings) -> None:
    values = {
        value: declared.span
        for declared in event.fields.values()
        if isinstance(declared.type, ChoiceType)
        for value in declared.type.of
    }
    for name in event.fields.keys() & values.keys():
        message = f"`{name}` is both a field and a choice value of the event `{event.name}`"
        related = Related(values[name], "the choice is declared here")
        findings.add("name.clash", event.fields[name].span, message, "rename one of them", related)


def _kind(event: EventDocument) -> EventKind:
    fields = tuple(Fact(field.name, field.type, field.doc, field.span) for field in event.fields.values())
    return EventKind(event.name, fields, event.doc, event.span)


class _Builder:
    def __init__(
        self, document: WindowsDocument, library: Library, group: Group | None, findings: Findings, usage: Usage
    ) -> None:
        self._document = document
        self._library = library
        self._facts = {fact.name: fact for fact in group.facts} if group is not None else {}
        self._findings = findings
        self._usage = usage

    def window(self, text: WindowDocument) -> Window | None:
        """The window with its names resolved; None, with findings, where that fails."""
        before = len(self._findings)
        fact = self._fact(text)
        event = self._document.events.get(text.event.name)
        if event is None:
            known = self._document.events
            help_text = did_you_mean(text.event.name, known, "the events are " + ", ".join(known))
            self._findings.add("name.unknown", text.event.span, f"there is no event `{text.event.name}`", help_text)
            return None
        field = self._field(text, event) if text.of is not None else None
        written = self._filter(text.filter, event) if text.filter is not None else None
        length = self._length(text.length) if text.length is not None else None
        if fact is not None and (text.of is None or field is not None):
            self._fits(text, fact, field)
        hidden = (text.filter is not None and written is None) or (text.length is not None and length is None)
        if fact is None or hidden or len(self._findings) > before:
            return None
        of = field.name if field is not None else None
        return Window(
            fact, event.name, written, text.measure, of, length, frozenset(text.per), text.doc, text.fact.span
        )

    def _fact(self, text: WindowDocument) -> Fact | None:
        name, span = text.fact.name, text.fact.span
        fact = self._facts.get(name)
        if fact is None:
            message = f"there is no fact `{name}` in the group `{WINDOWS}`"
            help_text = did_you_mean(name, self._facts, "declare it there, in policies/facts.yaml")
            self._findings.add("name.unknown", span, message, help_text)
        elif not isinstance(fact.type, NumberType):
            message = f"`{name}` is {describe(fact.type)}, and a window gives a number"
            related = Related(fact.span, "it is declared here")
            self._findings.add("type.mismatch", span, message, "declare it as a number, or remove the window", related)
            return None
        return fact

    def _field(self, text: WindowDocument, event: EventDocument) -> Declaration | None:
        assert text.of is not None
        numbers = [name for name, declared in event.fields.items() if isinstance(declared.type, NumberType)]
        field = event.fields.get(text.of.name)
        if field is None or field.name not in numbers:
            listed = "its numbers are " + ", ".join(numbers) if numbers else "declare it under `fields` of the event"
            message = f"`{text.of.name}` is no number of the event `{event.name}`"
            help_text = did_you_mean(text.of.name, numbers, listed)
            self._findings.add("name.unknown", text.of.span, message, help_text)
            return None
        return field

    def _filter(self, text: ExpressionText, event: EventDocument) -> Written | None:
        if self._hidden(text):
            return None
        types = {field.name: field.type for field in event.fields.values()}
        scope = self._scope(
            decisions=types,
            values=[value for kind in types.values() if isinstance(kind, ChoiceType) for value in kind.of],
            where=lambda _: f"the event `{event.name}`",
        )
        typed = resolve_condition(text, scope, self._findings)
        return text.typed(typed) if typed is not None else None

    def _length(self, text: ExpressionText) -> Constant | ParameterRef | None:
        tree = text.tree
        if isinstance(tree, syntax.Number):
            if tree.value >= SHORTEST_S:
                return Constant(tree.start, tree.end, tree.value, NumberType("s", tree.value, tree.value))
            message = f"a window lasts {print_number(SHORTEST_S)} s at least, not {text.text}"
            self._findings.add("window.length", text.span, message, "events are dated in milliseconds")
            return None
        if not isinstance(tree, syntax.Parameter):
            help_text = "write `60`, or `$name` and declare it under params"
            self._findings.add("window.length", text.span, "a length is one number or one parameter", help_text)
            return None
        if self._hidden(text):
            return None
        typed = resolve(text, self._scope(), self._findings)
        if not isinstance(typed, ParameterRef):
            return None
        kind = typed.type
        if not isinstance(kind, NumberType) or kind.unit != "s" or kind.min < SHORTEST_S:
            message = f"a length is a number in s of {print_number(SHORTEST_S)} at least, `{text.text}` may be another"
            help_text = f"declare it with `unit: s` and a `min` of {print_number(SHORTEST_S)} or more"
            self._findings.add("window.length", text.span, message, help_text)
            return None
        return typed

    def _scope(self, **given: object) -> Scope:
        return Scope(
            ruleset=WINDOWS,
            params=self._document.params,
            all_params={name: ruleset.params for name, ruleset in self._library.rulesets.items()},
            used=self._usage.note,
            holder="a filter",
            help_unknown="a filter reads the fields of its event",
            **given,  # type: ignore[arg-type]  # what a filter may name beside parameters
        )

    def _hidden(self, text: ExpressionText) -> bool:
        """True where a broken rule set hides a parameter: nobody here is to blame."""
        return any(f"ruleset:{owner}" in self._library.broken for owner in _OWNER.findall(text.text))

    def _fits(self, text: WindowDocument, fact: Fact, field: Declaration | None) -> None:
        """The declared unit and range take what the window gives: 0 of no event, and that of one."""
        kind, given = fact.type, field.type if field is not None else None
        assert isinstance(kind, NumberType)
        unit: Unit = "count"
        low, high = 0.0, 1.0
        if text.measure == "rate":
            unit, high = NO_UNIT, 0.0
        elif isinstance(given, NumberType):
            unit, low, high = given.unit, min(given.min, 0.0), max(given.max, 0.0)
        related = Related(fact.span, "it is declared here")
        if kind.unit != unit:
            given_words = describe(NumberType(unit, low, high))
            message = f"`{fact.name}` is {describe(kind)}, and this window gives {given_words}"
            help_text = f"declare it with `unit: {unit}`" if unit != NO_UNIT else "declare it without a unit"
            self._findings.add("unit.mismatch", text.fact.span, message, help_text, related)
        elif not (kind.min <= low and high <= kind.max):
            declared = f"{print_number(kind.min)} to {print_number(kind.max)}"
            reach = print_number(low) if low == high else f"{print_number(low)} to {print_number(high)}"
            message = f"`{fact.name}` is declared with {declared}, and of at most one event this window gives {reach}"
            self._findings.add("window.range", text.fact.span, message, "widen the declared range", related)
