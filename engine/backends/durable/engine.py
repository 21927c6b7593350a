"""The engine of durable-rules, driven below its Python: events in, the name of the rule that fired and its event out.

`durable.lang` and `durable.engine.Host` are not used: a host starts two timer threads that never stop, and swallows
exceptions of actions. Here the extension module they stand on is called, which has neither: there are no actions, an
answer is read back instead. What the engine refuses is raised as `EngineError`.

Not for use by several threads at once: an answer takes several calls.
"""

from __future__ import annotations

import json
import locale
import weakref
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import durable_rules_engine

from engine.language.findings import SluiceError

MOST_TEXT = 65_535
"""Characters of a text as JSON. The engine keeps lengths of texts it compares in 16 bits, and forgets the rest."""

_HANDLED, _NOT_HANDLED = 0, 1
_EVENT_ID = "event"
_FIRST_EVENT = {"begin": True}
_FIRST_RULE = {"begin": {"all": [{"m": _FIRST_EVENT}]}}


class EngineError(SluiceError):
    """durable-rules refused a rule set or an event, or did not answer as it promises."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.help = "docs/durable-rules.md says what is known of it"
        super().__init__(message)


def engine_name() -> str:
    """The engine with its version."""
    return f"durable-rules {version('durable_rules')}"


class Engine:
    """One rule set of durable-rules, whose definition is JSON-like. Free its memory with `close`, or let it go."""

    def __init__(self, name: str, definition: Mapping[str, Any]) -> None:
        if locale.localeconv()["decimal_point"] != ".":  # the engine reads numbers as the C library does
            raise EngineError("durable-rules would misread numbers: this process writes them with another point")
        try:
            self._handle: int = durable_rules_engine.create_ruleset(name, to_text({**_FIRST_RULE, **definition}))
        except durable_rules_engine.error as error:
            raise EngineError(f"durable-rules refuses rule set `{name}`: {error}") from error
        self._begin()
        self.close = weakref.finalize(self, _delete, self._handle)

    def ask(self, event: str) -> tuple[str, dict[str, Any]] | None:
        """Post an event (`event_of`): which rule of least priority number matches, and what it consumed.

        None where no rule matches.

        Raises:
            EngineError: where the engine fails; it forgets the event then.

        """
        if not self.close.alive:  # the engine gives a handle that was freed to the next rule set
            raise EngineError("the rule set is closed")
        try:
            return self._ask(event)
        except durable_rules_engine.error as error:
            self._forget()
            raise EngineError(f"durable-rules failed: {error}") from error
        except EngineError:
            self._forget()
            raise

    def _ask(self, event: str) -> tuple[str, dict[str, Any]] | None:
        handled, state = durable_rules_engine.assert_event(self._handle, event)
        if handled == _NOT_HANDLED:
            return None
        if handled != _HANDLED:
            raise EngineError(f"durable-rules kept an earlier event: result {handled}")
        started = durable_rules_engine.start_action_for_state(self._handle, state)
        if started is None:
            raise EngineError("durable-rules took an event and fired no rule")
        fired: dict[str, Any] = json.loads(started[1])
        if durable_rules_engine.complete_and_start_action(self._handle, state) is not None:
            raise EngineError("durable-rules fired a second rule on a consumed event")
        ((rule, message),) = fired.items()
        return rule, message["m"]

    def _begin(self) -> None:
        """Fire one rule. Until then the engine's state for events holds pointers that it never set, and would free."""
        self._ask(event_of(_FIRST_EVENT))

    def _forget(self) -> None:
        """Drop what the engine holds of the event: what is half done would come back with the next one."""
        durable_rules_engine.delete_state(self._handle, None)
        self._begin()


def _delete(handle: int) -> None:
    """Free a rule set, and first the state that it holds for its events, which deleting alone leaks."""
    durable_rules_engine.delete_state(handle, None)
    durable_rules_engine.delete_ruleset(handle)


def event_of(properties: Mapping[str, Any]) -> str:
    """An event as text."""
    return to_text({"id": _EVENT_ID, **properties})


def with_property(event: str, name: str, value: str) -> str:
    """An event with one property more, a text that needs no escapes: cheaper than writing all of it again."""
    return f'{event[:-1]}, "{name}": "{value}"}}'


def to_text(value: Any) -> str:
    """JSON as the engine reads it: a number has a point and a fraction, since `1e-07` would be read as 1 and rubbish.

    >>> to_text({"x": 1e-07, "y": 20.0, "z": None})
    '{"x": 1.0e-07, "y": 20.0, "z": null}'
    """
    if isinstance(value, float):
        digits, exponent, power = repr(value).partition("e")
        return f"{digits}{'' if '.' in digits else '.0'}{exponent}{power}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: {to_text(held)}" for key, held in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(to_text(held) for held in value) + "]"
    return json.dumps(value)
