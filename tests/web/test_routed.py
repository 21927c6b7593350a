"""The last intents that were decided on: which they are, what they cost, and whether there were more before."""

from __future__ import annotations

import msgspec

from engine.journal.events import Event, Routed, SessionStarted
from engine.web.routed import RoutedIntents
from tests.routing.written import started
from tests.web.busy import a_busy_session


def seen(events: list[Event], most: int = 1_000) -> RoutedIntents:
    intents = RoutedIntents(most)
    for event in events:
        intents.see(event)
    return intents


def test_only_first_decisions_take_a_place_and_the_oldest_goes() -> None:
    events = a_busy_session(40)
    ids = [event.intent_id for event in events if isinstance(event, Routed)]
    changed = [msgspec.structs.replace(e, event="fallback", route="taker") for e in events if isinstance(e, Routed)]
    later = [msgspec.structs.replace(each, seq=len(events) + n) for n, each in enumerate(changed, 1)]
    intents = seen([*events, *later], most=30)
    assert [each.routed.intent_id for each in intents.all] == ids[-30:]
    assert all(each.routed.event == "decision" for each in intents.all)
    assert intents.is_cut


def test_what_an_intent_cost_is_known_once_it_has_ended() -> None:
    held = list(seen(a_busy_session(40)).all)
    ended = [each for each in held if each.outcome is not None]
    assert 10 < len(ended) < 40
    assert all((each.cost is not None) == (each.outcome is not None) for each in held)
    assert sum(bool(each.baselines) for each in ended) > 10
    assert all(each.end_mid == 100.2 + 0.01 * (held.index(each) % 3) for each in ended if each.baselines)


def test_it_says_whether_the_journal_was_read_from_its_beginning() -> None:
    events = a_busy_session(10)
    assert isinstance(events[0], SessionStarted)
    assert not seen(events).is_cut
    assert seen(events[5:]).is_cut
    standing = [events[0], *events[5:]]  # how things stand is looked for further back than what happened
    assert seen(standing).is_cut
    assert not seen([started()]).all
