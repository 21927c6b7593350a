"""Views: who is told of which event, in which order, and who hears that the first one comes."""

from __future__ import annotations

from engine.journal.events import Event, IntentRefused, ProbeGranted
from engine.routing.views import View, Views, Watcher

GRANTED = ProbeGranted(ts_ms=7, intent_id="i-1", symbol="BTCUSDT")
REFUSED = IntentRefused(ts_ms=5, intent_id=None, code="malformed", reason="no JSON", received="x")


class Noted(View):
    """Takes probes alone, and notes what it is told in a list it shares with others."""

    def __init__(self, name: str, notes: list[tuple[str, object]]) -> None:
        self._name, self._notes = name, notes
        self.handlers = {ProbeGranted: self._probe}

    def begin(self, ts_ms: int) -> None:
        self._notes.append((self._name, ts_ms))

    def _probe(self, event: ProbeGranted) -> None:
        self._notes.append((self._name, event))


def test_an_event_is_told_to_the_views_that_take_it_in_their_order_and_to_no_others() -> None:
    notes: list[tuple[str, object]] = []
    views = Views([Noted("one", notes), Noted("two", notes)])
    views.see(GRANTED)
    views.see(REFUSED)
    assert notes[2:] == [("one", GRANTED), ("two", GRANTED)]


def test_every_view_hears_once_when_the_first_event_is_whatever_that_is() -> None:
    notes: list[tuple[str, object]] = []
    views = Views([Noted("one", notes), Noted("two", notes)])
    views.see(REFUSED)
    assert notes == [("one", 5), ("two", 5)]
    views.see(REFUSED)
    assert len(notes) == 2


def test_a_watcher_is_told_of_everything() -> None:
    seen: list[Event] = []
    views = Views([Watcher(seen.append)])
    views.see(GRANTED)
    views.see(REFUSED)
    assert seen == [GRANTED, REFUSED]


def test_a_view_by_itself_passes_over_what_does_not_change_it() -> None:
    notes: list[tuple[str, object]] = []
    view = Noted("one", notes)
    view.see(REFUSED)
    view.see(GRANTED)
    assert notes == [("one", GRANTED)]
