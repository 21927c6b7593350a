"""Windows: how often what happened of late, by symbol and for the venue, as `policies/windows.yaml` declares it.

In: the events of a journal, in order. Out: for a scope and a moment, one number a window. A view: the same events give
the same numbers, in a running session as after a crash; no clock is read, and asking changes nothing.

**What is in a window.** An event at t counts from t on, that moment included, for less than the window's length: at
`now` it counts if now − length < t <= now. So an order in the same millisecond sees it, and after exactly the length it
is gone. Times are the journal's, in whole milliseconds; of events at one time the order does not matter.

**Clocks.** Time does not run backwards in a window: asked for a moment before the latest event it counted, it answers
for the moment of that event. An event that comes late, dated before others, is sorted in where it belongs, and counts
as if it had come in time, unless by then it had already left. A row (`in_a_row`) has no times: it goes by the order of
the journal, where an event that the filter keeps goes on with it and any other ends it.

**Sums** are exact: doubles are added as whole multiples of the smallest one, and rounded once, when asked for. So it
never matters in which order values came and went, and what an empty window says is 0.

**Symbol groups.** A filter is compiled once for each combination of symbol groups. In a window of the venue each event
is looked at with the values of its own symbol; how far such a window looks back is what a symbol in no group has.

**Reload and restart.** `carry_over` brings what a window holds over to another rulebook where it counts the same; any
other window begins anew. A restart counts the whole journal by the rulebook that is in force then.

Each event costs the same, however many a window holds. A window keeps one entry a millisecond at most, and (beyond a
few) at most twice as many as are in it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import Any

from engine.backends.filters import Keeps, clamp, filter_function
from engine.journal.events import Checkpoint
from engine.language.model import Binding, Constant, Window
from engine.language.printer import print_value
from engine.language.rulebook import Rulebook, counting_lines, digest
from engine.language.types import NumberType, Value
from engine.routing.known import VENUE
from engine.routing.views import Handlers, View
from engine.routing.window_events import SUPPLIED, WindowEvents, check_supplied

_SMALLEST_BITS = 1074
"""Every double is a whole multiple of 2 to the minus this."""

_LONG = 1 << 53
"""Integers from here on are written as text."""

_LEAST_TRIMMED = 64
"""Entries that are not worth looking through for old ones."""


class TimeWindow:
    """What was counted of late: amounts by time, and what they add up to over a length."""

    __slots__ = ("_before", "_divisor", "_length_ms", "_times", "_upto")

    def __init__(self, length_ms: int, divisor: int) -> None:
        self._length_ms = length_ms
        self._divisor = divisor
        self._times: list[int] = []
        self._upto: list[int] = []
        """For each time, everything added up to it; so what lies between two times is one subtraction."""
        self._before = 0
        """Everything that was added at times no longer kept."""

    def add(self, ts_ms: int, amount: int) -> None:
        """Count an amount at a time."""
        times, upto = self._times, self._upto
        if not times or ts_ms > times[-1]:
            times.append(ts_ms)
            upto.append((upto[-1] if upto else self._before) + amount)
            if len(times) >= _LEAST_TRIMMED and times[len(times) // 2] <= ts_ms - self._length_ms:
                self._trim(bisect_right(times, ts_ms - self._length_ms))
        elif ts_ms > times[-1] - self._length_ms:
            place = bisect_left(times, ts_ms)
            if times[place] != ts_ms:
                times.insert(place, ts_ms)
                upto.insert(place, upto[place - 1] if place else self._before)
            for later in range(place, len(upto)):
                upto[later] += amount

    def at(self, now_ms: int) -> float:
        """What is in the window at a moment."""
        times, upto = self._times, self._upto
        if not times:
            return 0.0
        gone = bisect_right(times, max(now_ms, times[-1]) - self._length_ms)
        total = upto[-1] - (upto[gone - 1] if gone else self._before)
        try:
            return total / self._divisor
        except OverflowError:  # beyond every double: no sound fact, and rules see it as missing
            return math.inf if total > 0 else -math.inf

    def entries(self) -> list[tuple[int, int]]:
        """What is kept: time and amount, in order of time."""
        before = [self._before, *self._upto]
        return [(ts_ms, before[place + 1] - before[place]) for place, ts_ms in enumerate(self._times)]

    def restore(self, entries: list[tuple[int, int]]) -> None:
        """Hold these entries and no others."""
        self._times, self._upto, self._before = [], [], 0
        for ts_ms, amount in entries:
            self.add(ts_ms, amount)

    def _trim(self, gone: int) -> None:
        self._before = self._upto[gone - 1]
        del self._times[:gone], self._upto[:gone]


class Row:
    """How many of the latest events in a row were kept."""

    __slots__ = ("_length",)

    def __init__(self) -> None:
        self._length = 0

    def add(self, ts_ms: int, amount: int) -> None:
        """Go on with the row, or (amount 0) end it."""
        del ts_ms
        self._length = self._length + 1 if amount else 0

    def at(self, now_ms: int) -> float:
        """The length of the row."""
        del now_ms
        return float(self._length)

    def entries(self) -> list[tuple[int, int]]:
        """The length, as a single entry without a time."""
        return [(0, self._length)]

    def restore(self, entries: list[tuple[int, int]]) -> None:
        """Be as long as said."""
        ((_, self._length),) = entries


Store = TimeWindow | Row


class _Bound:
    """A window under the values of one combination of symbol groups."""

    __slots__ = ("keeps", "key", "length_ms")

    def __init__(self, rulebook: Rulebook, window: Window, binding: Binding) -> None:
        self.keeps: Keeps | None = filter_function(rulebook, window, binding, tuple(SUPPLIED[window.event]))
        self.length_ms = _length_ms(window, binding)
        types = {name: declared.type for name, declared in rulebook.declarations.items()}
        values = [f"{name} {print_value(binding.values[name], types[name])}" for name in sorted(window.parameters())]
        self.key = digest([*counting_lines(window, rulebook.events[window.event]), *values])
        """What it counts under these values: equal keys count the same."""


class _Counted:
    """A window, ready to count."""

    def __init__(self, rulebook: Rulebook, window: Window) -> None:
        self.name = window.fact.name
        self.window = window
        self.is_row = window.measure == "in_a_row"
        made: dict[tuple[object, ...], _Bound] = {}
        self.bound: dict[tuple[str, ...], _Bound] = {}
        """By symbol groups; those with the same values share one."""
        for groups, binding in rulebook.bindings.items():
            values = tuple(binding.values[name] for name in sorted(window.parameters()))
            self.bound[groups] = made.get(values) or made.setdefault(values, _Bound(rulebook, window, binding))
        self._place = 0
        self._field = NumberType("", 0.0, 0.0)
        if window.of is not None:
            self._place = list(SUPPLIED[window.event]).index(window.of)
            kinds = {field.name: field.type for field in rulebook.events[window.event].fields}
            field = kinds[window.of]
            assert isinstance(field, NumberType), "the language adds up numbers alone"
            self._field = field

    def amount(self, values: tuple[Value, ...]) -> int:
        """What one event adds."""
        if self.window.measure == "sum":
            return _as_multiple(clamp(float(values[self._place]), self._field))
        return 1000 if self.window.measure == "rate" else 1

    def store(self, length_ms: int) -> Store:
        """An empty store for a scope."""
        if self.is_row:
            return Row()
        # A rate is events a second: a thousand for each, over milliseconds.
        divisor = {"sum": 1 << _SMALLEST_BITS, "rate": length_ms}.get(self.window.measure, 1)
        return TimeWindow(length_ms, divisor)


class Windows(View):
    """The windows of a rulebook, over the events of a journal.

    Raises:
        LoadError: if the rulebook declares events that the router does not tell of.

    """

    def __init__(self, rulebook: Rulebook) -> None:
        check_supplied(rulebook)
        self.changes = 0
        """How often anything was counted; while it stays as it is, only time changes an answer."""
        self._symbols = rulebook.symbols
        self._counted = [_Counted(rulebook, window) for window in rulebook.windows.values()]
        self._by_kind: dict[str, list[_Counted]] = {}
        for each in self._counted:
            self._by_kind.setdefault(each.window.event, []).append(each)
        self._of_symbol = [each for each in self._counted if "symbol" in each.window.per]
        self._of_venue = [each for each in self._counted if "venue" in each.window.per]
        self._nothing = {
            is_venue: dict.fromkeys((each.name for each in held), 0.0)
            for is_venue, held in ((False, self._of_symbol), (True, self._of_venue))
        }
        self._scopes: dict[str, dict[str, Store]] = {}
        self._events = WindowEvents(self._count)
        self.handlers: Handlers = {**self._events.handlers, Checkpoint: self._restored}

    def facts(self, scope: str, now_ms: int) -> dict[str, float]:
        """The facts of the group `windows` that are counted, for a symbol or for `VENUE`; 0 where nothing happened."""
        stores = self._scopes.get(scope)
        if stores is None:
            return self._nothing[scope == VENUE].copy()
        return {name: store.at(now_ms) for name, store in stores.items()}

    def carry_over(self, old: Windows) -> list[str]:
        """Take over what the windows of an earlier rulebook hold, wherever they count the same.

        Returns the facts whose windows begin anew, at least for some symbol, since they are new or count otherwise.
        """
        self._events.carry_over(old._events)
        for scope, stores in old._scopes.items():
            for name, store in stores.items():
                if self._key(name, scope) == old._key(name, scope):
                    self._stores(scope)[name].restore(store.entries())
        self.changes += 1
        scopes = ("", VENUE, *self._symbols, *old._symbols)
        return [
            each.name
            for each in self._counted
            if any(self._key(each.name, scope) not in (None, old._key(each.name, scope)) for scope in scopes)
        ]

    def use(self, rulebook: Rulebook) -> list[str]:
        """Count by another rulebook from here on; returns the facts whose windows begin anew (`carry_over`).

        Raises:
            LoadError: if it declares events that the router does not tell of; then nothing changes.

        """
        fresh = Windows(rulebook)
        begun = fresh.carry_over(self)
        for name in ("_symbols", "_counted", "_by_kind", "_of_symbol", "_of_venue", "_nothing", "_scopes"):
            setattr(self, name, getattr(fresh, name))  # what has been seen of events, and who is told, stays
        self.changes += 1
        return begun

    def checkpoint(self) -> dict[str, dict[str, Any]]:
        """What a `Checkpoint` keeps of it: by scope and fact, the entries and what they count."""
        return {
            scope: {
                name: {"key": self._key(name, scope), "entries": [(ts_ms, _written(amount)) for ts_ms, amount in held]}
                for name, store in stores.items()
                if (held := store.entries())
            }
            for scope, stores in sorted(self._scopes.items())
        }

    def _restored(self, event: Checkpoint) -> None:
        """Go on from a checkpoint; what counted otherwise then is left as the events before it made it."""
        for scope, facts in event.windows.items():
            for name, held in facts.items():
                if held["key"] == self._key(name, scope):
                    self._stores(scope)[name].restore([(ts_ms, _read(amount)) for ts_ms, amount in held["entries"]])
        self.changes += 1

    def _count(self, kind: str, symbol: str | None, ts_ms: int, values: tuple[Value, ...]) -> None:
        counted = self._by_kind.get(kind)
        if counted is None:
            return
        self.changes += 1
        groups = self._symbols.get(symbol or "", ())
        for each in counted:
            keeps = each.bound[groups].keeps
            kept = keeps is None or keeps(*values)
            if not kept and not each.is_row:
                continue
            amount = each.amount(values) if kept else 0
            per = each.window.per
            if symbol is not None and "symbol" in per:
                self._stores(symbol)[each.name].add(ts_ms, amount)
            if "venue" in per:
                self._stores(VENUE)[each.name].add(ts_ms, amount)

    def _stores(self, scope: str) -> dict[str, Store]:
        stores = self._scopes.get(scope)
        if stores is None:
            groups = () if scope == VENUE else self._symbols.get(scope, ())
            counted = self._of_venue if scope == VENUE else self._of_symbol
            stores = {each.name: each.store(each.bound[groups].length_ms) for each in counted}
            self._scopes[scope] = stores
        return stores

    def _key(self, name: str, scope: str) -> str | None:
        """What a window counts for a scope; None where there is no such window."""
        counted = self._of_venue if scope == VENUE else self._of_symbol
        each = next((one for one in counted if one.name == name), None)
        if each is None:
            return None
        if scope != VENUE:
            return each.bound[self._symbols.get(scope, ())].key
        # Its events are looked at with the values of their symbols, so all of these make up what it counts.
        usual = each.bound[()].key
        others = {symbol: each.bound[groups].key for symbol, groups in sorted(self._symbols.items())}
        return digest([usual, *(f"{symbol} {key}" for symbol, key in others.items() if key != usual)])


def _length_ms(window: Window, binding: Binding) -> int:
    length = window.length
    if length is None:
        return 0
    value = length.value if isinstance(length, Constant) else binding.values[f"{length.ruleset}.{length.name}"]
    return round(float(value) * 1000)


def _written(amount: int) -> int | str:
    """An amount for a line of JSON, whose integers are short."""
    return amount if abs(amount) < _LONG else hex(amount)


def _read(written: int | str) -> int:
    return written if isinstance(written, int) else int(written, 16)


def _as_multiple(value: float) -> int:
    """A double as a whole multiple of the smallest one."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_SMALLEST_BITS - denominator.bit_length() + 1)
