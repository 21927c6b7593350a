"""Views: what the events of a journal add up to, each told of the types of events that change it and of no others.

A view folds events, in order: the same ones give the same state, in a running session as after a crash. It writes
nothing and reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, get_args

from engine.journal.events import Event

Handlers: TypeAlias = Mapping[type[Event], Callable[[Any], None]]
"""What to do with an event, by its type."""


class View:
    """One view, made of what its handlers keep."""

    handlers: Handlers

    def begin(self, ts_ms: int) -> None:
        """The first event of all, which comes next, is of this time."""

    def see(self, event: Event) -> None:
        """Take the next event."""
        handler = self.handlers.get(event.__class__)
        if handler is not None:
            handler(event)


class Watcher(View):
    """Somebody who is told of every event."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self.handlers = dict.fromkeys(get_args(Event), tell)


class Views:
    """Several views as one. Most events change few of them, so who is told is looked up once for each type."""

    def __init__(self, views: Iterable[View]) -> None:
        held = self._views = tuple(views)
        self._has_begun = False
        self._told: dict[type[Event], tuple[Callable[[Any], None], ...]] = {
            kind: tuple(view.handlers[kind] for view in held if kind in view.handlers) for kind in get_args(Event)
        }

    def see(self, event: Event) -> None:
        """Tell each view that is changed by it, in their order."""
        if not self._has_begun:
            self._has_begun = True
            for view in self._views:
                view.begin(event.ts_ms)
        for handler in self._told[event.__class__]:
            handler(event)
