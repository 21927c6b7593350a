"""Steps asked of durable-rules: which rule fired, or which vetoes matched, and what was set.

`Witness` holds a policy against it step by step: each step that it can express sees the names that the interpreter saw
there, so a step in between that it cannot express stops nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.backends.durable.engine import MOST_TEXT, Engine, EngineError, event_of, with_property
from engine.backends.durable.express import ASKED, EVERY_EVENT, Expressed, Inexpressible, express
from engine.backends.durable.formula import Named
from engine.backends.interpreter import StepTrace
from engine.language.evaluate import Known, Missing
from engine.language.findings import SluiceError
from engine.language.model import Binding, Policy, Rule, Step
from engine.language.types import ChoiceType, FlagType, NumberType, Type, Value


class UnpostableError(SluiceError):
    """A value that is not of its name's type: the engine would compare it all the same (`'0.95'` with 0.9)."""


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """What a step comes to."""

    matched: tuple[Rule, ...]
    """The rule of a `first` set that fired, or every veto that matched, in order."""
    sets: Mapping[str, Value]


def answer_of(trace: StepTrace) -> StepAnswer:
    """The interpreter's answer, to hold another against."""
    return StepAnswer(tuple(look.rule for look in trace.rules if look.matched), trace.sets)


class DurableStep:
    """One step in durable-rules. Not for use by several threads at once."""

    def __init__(self, expressed: Expressed) -> None:
        self.step = expressed.step
        self._expressed = expressed
        self._engine = Engine(expressed.step.ruleset, expressed.definition) if expressed.definition else None

    @classmethod
    def of(cls, step: Step, values: Mapping[str, Value]) -> DurableStep | Inexpressible:
        """A step under bound values (`set.param` to value), or why durable-rules cannot run it."""
        expressed = express(step, values)
        if isinstance(expressed, Inexpressible):
            return expressed
        try:
            return cls(expressed)
        except EngineError as error:
            return Inexpressible(step, error.message, step.span)

    def answer(self, names: Mapping[str, Known]) -> StepAnswer:
        """Ask it, with the facts and decisions of earlier steps by name.

        Raises:
            UnpostableError: for a value that is not of its name's declared type.
            EngineError: where the engine fails.

        """
        event = self._event(names)
        rules = self.step.rules
        if self.step.hit == "veto":
            asked = (with_property(event, ASKED, str(number)) for number in range(len(rules)))
            matched = tuple(rule for rule, one in zip(rules, asked, strict=True) if self._ask(one) is not None)
            return StepAnswer(matched, {name: not matched for name, _ in self.step.sets})
        fired = self._ask(event)
        if fired is None:
            raise EngineError(f"durable-rules fired no rule of `{self.step.ruleset}`, whose last rule matches always")
        rule, seen = fired
        return StepAnswer((rules[rule],), self._sets(rule, seen))

    def close(self) -> None:
        """Free the engine's memory; it cannot be asked any more."""
        if self._engine is not None:
            self._engine.close()

    def _ask(self, event: str) -> tuple[int, dict[str, Any]] | None:
        fired = self._engine.ask(event) if self._engine is not None else None
        if fired is None:
            return None
        name, seen = fired
        return int(name.partition("_")[0]), seen

    def _event(self, names: Mapping[str, Known]) -> str:
        event: dict[str, Any] = {EVERY_EVENT: True, **self._expressed.literals}
        for name, key in self._expressed.properties.items():
            value = names[name]
            event[key] = None if isinstance(value, Missing) else _checked(name, value, self._expressed.types[name])
        return event_of(event)

    def _sets(self, rule: int, seen: Mapping[str, Any]) -> dict[str, Value]:
        given = self._expressed.effects[rule]
        return {
            name: seen[self._expressed.properties[value.name]] if isinstance(value, Named) else value
            for name, value in given.items()
        }


class Witness:
    """A policy under a binding, asked of durable-rules step by step."""

    def __init__(self, policy: Policy, binding: Binding) -> None:
        self.steps = tuple(DurableStep.of(step, binding.values) for step in policy.steps)

    def answers(self, trace: tuple[StepTrace, ...]) -> tuple[StepAnswer | Inexpressible, ...]:
        """Its answer to each step on the names that the interpreter saw there."""
        return tuple(
            step if isinstance(step, Inexpressible) else step.answer(done.names)
            for step, done in zip(self.steps, trace, strict=True)
        )

    def close(self) -> None:
        """Free the engine's memory."""
        for step in self.steps:
            if isinstance(step, DurableStep):
                step.close()


def _checked(name: str, value: Value, kind: Type) -> Value:
    """A value that is of its type."""
    match kind:
        case NumberType():
            sound = type(value) is float and math.isfinite(value)
        case FlagType():
            sound = isinstance(value, bool)
        case ChoiceType(of=of):
            sound = isinstance(value, str) and value in of
        case _:
            sound = isinstance(value, str) and len(json.dumps(value)) - 2 <= MOST_TEXT
    if not sound:
        raise UnpostableError(f"`{name}` is {type(value).__name__} {value!r:.60}, which is not of its type")
    return value
