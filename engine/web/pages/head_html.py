"""The head of a decision's page: what became of the order first, then what was decided, and why makers waited.

In: a decision made again, the events of its intent, and the breakers that were not closed before it. Out: the first
parts of the page. A maker order that fell back is a taker order to whoever asks, so that is what the page begins with,
with the decision that made it one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from engine.analysis.explain import ConditionLook, Explanation, LeafLook
from engine.backends.decision import show_value
from engine.book import Book
from engine.journal.events import Event, Outcome, Routed, Worked
from engine.journal.folder import DAY_MS
from engine.routing.breakers import BREAKER, HALF_OPEN
from engine.routing.chain import ADMISSION, ROUTING
from engine.routing.evidence.left import is_refused
from engine.routing.evidence.words import Words, after_headline, trial_of
from engine.routing.known import VENUE
from engine.web.kept import Remade
from engine.web.pages.markup import (
    UNKNOWN,
    Child,
    address,
    age,
    clock,
    decision_link,
    facts_list,
    join,
    mark,
    name,
    section,
    soft,
    tag,
    without_route,
)
from engine.web.pauses import Move, Pause

COUNTS_AS_TRUE: Final = "unknown: counts as true here"
"""Beside a condition on a missing fact that a rule matched on."""
HEAD, WHY_PAUSED = "decision-head", "why-makers-waited"
PAUSED: Final = "maker_paused"
"""The fact that the policy `breaker` decides, and the engine hands back."""

EVENTS: Final = {"decision": "", "decided_again": "decided again", "fallback": "fell back"}
MADE: Final = ("decision", "decided_again")
"""Events of route decisions that were made; others tell what made the route another one."""
_OPEN_FOR: Final = f"{BREAKER}.open_s"
"""The parameter of the shipped rules that says how long a breaker stays open."""
_NOT_OVER: Final = "it was not over when this page was opened"


def head_html(remade: Remade, told: Sequence[Event] = ()) -> Markup:
    """What became of the order, what was decided, by what, and why; `told` are the events of its intent, in order."""
    record, event = remade.record, remade.event
    became = _unsent(remade, told) or _became(str(record["decision_id"]), told)
    decided: Mapping[str, Any] = record["decided"]
    route = decided.get("route")
    pairs: list[tuple[str, Child]] = [
        ("policy", event.policy),
        ("symbol", str(record.get("symbol") or UNKNOWN)),
        ("intent", intent_link(event.intent_id) if event.intent_id else UNKNOWN),
        ("at", f"{clock(event.ts_ms, dated=True)} UTC"),
        ("rulebook", tag("code", f"{record['profile']} {record['rulebook']}")),
        ("decision", tag("code", str(record["decision_id"]))),
        ("journal", f"event {event.seq:,}"),
    ]
    values = [tag("li", tag("b", key), " ", _shown(value)) for key, value in decided.items()]
    lead = [mark(str(route)), " "] if route is not None else []
    differs = (
        tag("p", "Deciding again gives other values of ", ", ".join(remade.differs), class_="alert", role="alert")
        if remade.differs
        else None
    )
    parts = [
        became,
        section(
            "What was decided at first" if became is not None else "What was decided",
            tag("p", *lead, without_route(str(record.get("reason") or ""), str(route)), class_="said"),
            _taken_for_true(remade.explanation),
            differs,
            tag("ul", values, class_="values"),
            facts_list(pairs),
        ),
    ]
    return tag("div", parts, id_=HEAD)


def _taken_for_true(explanation: Explanation) -> list[Markup]:
    """The conditions that a rule matched on though nobody knows whether they hold: the reason reads as if they did."""
    rules = (rule for step in explanation.steps for rule in step.rules if rule.verdict == "unknown, matched")
    leaves = (leaf for rule in rules if rule.condition is not None for leaf in _leaves(rule.condition))
    shown = dict.fromkeys(leaf.shown for leaf in leaves if is_taken_for_true(leaf))
    return [tag("p", tag("code", text), f" is {COUNTS_AS_TRUE}", class_="soft") for text in shown]


def is_taken_for_true(leaf: LeafLook) -> bool:
    """Whether a rule matched on a condition that is unknown, since a fact is missing."""
    return leaf.triggered and leaf.truth == "unknown"


def intent_link(intent_id: str) -> Markup:
    """An intent's id, which leads to its decisions."""
    return tag("a", name(intent_id), href=address("/decisions", intent=intent_id), class_="id")


def _shown(value: Any) -> Child:
    if isinstance(value, str) and value in ("maker", "taker"):
        return mark(value)
    return show_value(value)


def _unsent(remade: Remade, told: Sequence[Event]) -> Markup | None:
    """That nothing was sent on a decision, and why: admission refused, or what it left was too small for the venue.

    None where something was, and where that is what was decided. What came of the decisions of a moment is journaled
    after them, under the id of one.
    """
    made = (each for each in told if isinstance(each, Routed) and each.event in MADE and each.seq > remade.event.seq)
    routed = next(made, None)
    if remade.event.policy not in (ADMISSION, ROUTING) or routed is None or routed.route != "none":
        return None
    if remade.event.policy == ADMISSION and is_refused(routed):
        return None
    if is_refused(routed):
        why = f"refused by {after_headline(routed.reason)}"
    elif routed.side is None:
        why = routed.reason
    else:
        why = f"too small for the venue, {routed.reason}"
    link = None
    if routed.decision_id != remade.record["decision_id"]:
        label = f"open the decision to admit {routed.intent_id}"
        link = soft("by ", decision_link(routed.decision_id, "the decision of admission", label=label))
    said = tag("p", mark("refused", "nothing was sent"), f": {why} ", link, class_="said")
    return section("What became of the order", said)


def _became(decision_id: str, told: Sequence[Event]) -> Markup | None:
    """What made the route of a decision another one, the last first; None where nothing did."""
    changes = [
        _change(each, told)
        for each in told
        if isinstance(each, Routed) and each.decision_id == decision_id and each.event not in MADE
    ]
    if not changes:
        return None
    end = next((each for each in reversed(told) if isinstance(each, Outcome)), None)
    ended = None if end is None else tag("p", "In the end: ", Words().say(end), class_="soft")
    return section("What became of the order", changes[::-1], ended)


def _change(routed: Routed, told: Sequence[Event]) -> Markup:
    """One change of a route, and the decision that asked for it where one did."""
    how = EVENTS.get(routed.event, routed.event.replace("_", " "))
    asked = [each for each in told if isinstance(each, Worked) and each.seq < routed.seq]
    link = None
    if routed.event == "fallback" and asked:
        label = f"open the decision of {routed.intent_id} to cross"
        link = decision_link(asked[-1].decision_id, "the decision to cross", label=label)
    text = f": {how}, {after_headline(routed.reason)} "
    at = soft(f"at {clock(routed.ts_ms)} UTC{', by ' if link is not None else ''}")
    return tag("p", mark(routed.route), text, at, link, class_="said")


# --- why makers waited -----------------------------------------------------------------------------------------------


def paused_vetoes(explanation: Explanation) -> list[str]:
    """The rules that fired since makers waited: they rest on a fact that another policy made."""
    return [
        rule.rule
        for step in explanation.steps
        for rule in step.rules
        if rule.verdict == "matched" and rule.condition is not None and any(map(_is_pause, _leaves(rule.condition)))
    ]


def _leaves(look: ConditionLook) -> Iterator[LeafLook]:
    if isinstance(look, LeafLook):
        yield look
    else:
        for item in look.items:
            yield from _leaves(item)


def _is_pause(leaf: LeafLook) -> bool:
    return leaf.triggered and re.search(rf"\b{PAUSED}\b", leaf.when) is not None


def paused_html(pauses: Sequence[Pause], at_ms: int, book: Book | None, symbol: str) -> Markup:
    """Which breakers made makers of a symbol wait at a moment: since when, by which rule and values, until when.

    `book` is the rulebook that decided, None where it is not at hand.
    """
    none = tag("p", "Which breaker that was, the journal of that day does not say.", class_="soft")
    held = None if book is None else book.rulebook
    open_s = {
        scope: None if held is None else held.binding_of(None if scope == VENUE else symbol).values.get(_OPEN_FOR)
        for scope in (symbol, VENUE)
    }
    return section(
        "Why makers waited",
        [_pause(pause, at_ms, open_s.get(pause.scope), waits=_waits(pause, pauses)) for pause in pauses] or none,
        tag("p", _comes_from(), class_="soft"),
        note="the breakers as they stood then",
        id_=WHY_PAUSED,
    )


def _comes_from() -> Child:
    ruleset = tag("a", BREAKER, href=f"/rules/set/{BREAKER}")
    return [tag("code", PAUSED), " is what the policy ", ruleset, " decided: its own rules say when makers may again."]


def _waits(pause: Pause, pauses: Sequence[Pause]) -> bool:
    """Whether makers waited for it: for the trial of one that is half open, where no other made them."""
    return not any(other.now.state != HALF_OPEN for other in pauses if other is not pause)


def _pause(pause: Pause, at_ms: int, open_s: object, *, waits: bool) -> Markup:
    now, whose = pause.now, "the venue, for all symbols" if pause.scope == VENUE else pause.scope
    trial = trial_of(now.state, waits=True) if waits else ""
    since = f"since {_clock(now.ts_ms, at_ms)} UTC, {age((at_ms - now.ts_ms) / 1000)} before{trial and f', {trial}'}"
    moves = [tag("li", f"{_clock(each.ts_ms, at_ms)} ", *_moved(each)) for each in pause.moves]
    earlier = None
    if len(moves) > 1:
        label = tag("summary", "since it was closed")
        earlier = tag("details", label, tag("ul", moves, class_="findings"), id_=f"moves-{pause.scope}")
    return join(
        [
            tag("p", mark(now.state, now.state.replace("_", " ")), f" breaker of {whose}: {since}", class_="said"),
            tag("p", "by ", *by_rule(now)),
            tag("p", _until(pause, open_s)),
            earlier,
        ]
    )


def _moved(move: Move) -> Sequence[Child]:
    was = f"{move.was.replace('_', ' ')} → " if move.was else ""
    return [f"{was}{move.state.replace('_', ' ')} by ", *by_rule(move)]


def by_rule(move: Move) -> Sequence[Child]:
    """The rule, with what it saw, and the event that says so."""
    if not move.rule:
        return [move.reason or "what happened before that day", " ", soft(f"journal: event {move.seq:,}")]
    saw = re.search(rf"{re.escape(move.rule)} (\(.*?\))(; |$)", move.reason)
    ruleset = move.rule.partition(".")[0]
    rule = tag("a", name(move.rule), href=address(f"/rules/set/{ruleset}"))
    return [rule, f" {saw[1]}" if saw else "", " ", soft(f"journal: event {move.seq:,}")]


def _until(pause: Pause, open_s: object) -> Child:
    after = pause.next
    if after is not None:
        ended = after.state.replace("_", " ")
        return [f"until {_clock(after.ts_ms, pause.now.ts_ms)} UTC, when it went {ended} by ", *by_rule(after)]
    if pause.now.state != HALF_OPEN and isinstance(open_s, float):
        earliest = _clock(pause.now.ts_ms + open_s * 1000, pause.now.ts_ms)
        return f"until {earliest} UTC at the earliest ({_OPEN_FOR} {show_value(open_s)} s); {_NOT_OVER}"
    return _NOT_OVER


def _clock(ts_ms: float, beside_ms: int) -> str:
    """A moment, with its date where that is another day than beside it."""
    return clock(ts_ms, dated=ts_ms // DAY_MS != beside_ms // DAY_MS)
