"""The compiled filters of windows: one Python function per filter and binding, parameters folded in.

In: a window and the values in force. Out: a function of an event's fields that says whether the window counts it. It is
generated as the conditions of rules are, and agrees with `evaluate`; since fields are always known, so is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from engine.backends.generate import WORD, Expressions
from engine.backends.intake import NAN, finite
from engine.backends.source import function_from
from engine.language.flow import NOTHING
from engine.language.model import Binding, EventKind, Expression, Policy, Step, Window
from engine.language.rulebook import Rulebook
from engine.language.types import NumberType, Value

Keeps: TypeAlias = Callable[..., bool]
"""(the event's values, in order) to whether a window counts the event."""


def filter_function(rulebook: Rulebook, window: Window, binding: Binding, fields: Sequence[str]) -> Keeps | None:
    """The filter of a window under a binding; None where it counts every event.

    `fields` names the values that the function is handed, in order: at least those that the event declares.
    """
    if window.filter is None:
        return None
    event = rulebook.events[window.event]
    source = _FilterGenerator(rulebook, _as_policy(event), binding).source(window.filter.expression, event, fields)
    shown = f"filter {window.fact.name}"
    made: Keeps = function_from(source, "keeps", shown, {"nan": NAN, "finite": finite})
    return made


def clamp(value: float, kind: NumberType) -> float:
    """A number of an event within its declared range."""
    return kind.min if value < kind.min else min(value, kind.max)


def _as_policy(event: EventKind) -> Policy:
    """What generated expressions read their names from: the fields, as names that are always known."""
    sets = tuple((field.name, field.type) for field in event.fields)
    step = Step(event.name, "first", sets, (), (), event.doc, event.span)
    return Policy(event.name, (), (step,), (), (), (), event.doc, event.span)


class _FilterGenerator(Expressions):
    def source(self, expression: Expression, event: EventKind, fields: Sequence[str]) -> str:
        declared: dict[str, Value | object] = {field.name: field.type for field in event.fields}
        arguments = [self.names[name] if name in declared else f"_unread{place}" for place, name in enumerate(fields)]
        test = self._surely(expression, NOTHING, wanted=True)
        words = frozenset(WORD.findall(test))
        self._emit(0, f"def keeps({', '.join(arguments)}):")
        for field in event.fields:
            name = self.names[field.name]
            if isinstance(field.type, NumberType) and name in words:
                self._emit(1, f"if {name} < {field.type.min!r}: {name} = {field.type.min!r}")
                self._emit(1, f"if {name} > {field.type.max!r}: {name} = {field.type.max!r}")
        self._emit(1, f"return {test}")
        return "\n".join(self._lines) + "\n"
