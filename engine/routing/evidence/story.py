"""Which events of a journal somebody wants to see: of a symbol, of an intent, of some types, of a time.

In: the events of a journal, in order. Out: those asked for; or one intent's whole story, from its arrival to the last
markout.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import get_args

from engine.journal.events import DUPLICATE_ID, Event, IntentReceived, IntentRefused, Outcome
from engine.language.spelling import did_you_mean
from engine.routing.evidence.errors import ViewError
from engine.routing.evidence.owners import Owners

TYPES: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Event)}
"""Every type of event, by the name it has in a journal."""

_MOST_IDS = 10_000


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for; each that is given has to fit."""

    symbol: str | None = None
    """Events of the symbol, and those that concern all."""
    types: frozenset[str] = field(default_factory=frozenset)
    """Names of types; none: all."""
    intent_id: str | None = None
    order: str | None = None
    """A client order id."""
    since_ms: int | None = None
    until_ms: int | None = None
    """Before this."""

    def __post_init__(self) -> None:
        for name in self.types:
            if name not in TYPES:
                help_text = did_you_mean(name, TYPES, f"there are {', '.join(TYPES)}")
                raise ViewError(f"there is no type of event `{name}`", help_text)


def select(events: Iterable[Event], wanted: Filter) -> Iterator[Event]:
    """The events that fit, in order. Earlier ones are read too: they say which order belongs to whom."""
    owners = Owners()
    kinds = tuple(TYPES[name] for name in wanted.types)
    for event in events:
        owners.see(event)
        if kinds and not isinstance(event, kinds):
            continue
        if wanted.since_ms is not None and event.ts_ms < wanted.since_ms:
            continue
        if wanted.until_ms is not None and event.ts_ms >= wanted.until_ms:
            continue
        if wanted.order is not None and _order_of(event) != wanted.order:
            continue
        owner = owners.of(event)
        if wanted.intent_id is not None and owner.intent_id != wanted.intent_id:
            continue
        if wanted.symbol is not None and owner.symbol != wanted.symbol:
            continue
        yield event


def last(events: Iterable[Event], count: int) -> list[Event]:
    """The last events, in order."""
    return list(deque(events, maxlen=count))


def story(events: Iterable[Event], intent_id: str) -> list[Event]:
    """Everything about one intent, in order.

    Raises:
        ViewError: where the journal knows no such intent, with the nearest id.

    """
    ids: dict[str, None] = {}

    def watched() -> Iterator[Event]:
        for event in events:
            if isinstance(event, IntentReceived | IntentRefused) and event.intent_id is not None:
                ids[event.intent_id] = None
                if len(ids) > _MOST_IDS:
                    del ids[next(iter(ids))]
            yield event

    found = list(select(watched(), Filter(intent_id=intent_id)))
    if not found:
        help_text = did_you_mean(intent_id, ids, "`sluice journal --type intent` lists them")
        raise ViewError(f"the journal holds no intent `{intent_id}`", help_text)
    return found


def begins(event: Event) -> bool:
    """Whether it is the first that a journal says of an intent; a refused duplicate is about one that began before."""
    return isinstance(event, IntentReceived) or (isinstance(event, IntentRefused) and event.code != DUPLICATE_ID)


def is_open(events: Sequence[Event]) -> bool:
    """Whether the intent of a story was taken and has not ended.

    False for one that was refused at once, and where it is not known: of a story whose beginning is missing, such as
    markouts alone, the end may be missing as well.
    """
    return any(isinstance(event, IntentReceived) for event in events) and not any(
        isinstance(event, Outcome) for event in events
    )


def _order_of(event: Event) -> str | None:
    message = getattr(event, "message", None)
    client_id: str | None = getattr(event if message is None else message, "client_id", None)
    return client_id
