"""Decisions as HTML: a line of the feed, a decision with everything it looked at, and the story of its orders.

In: events of the journal, a decision made again, and what would have to be otherwise. Out: rows and parts of a page.
What fired stands open, what was looked at in vain can be folded out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from engine.analysis.explain import ConditionLook, Explanation, GapLook, LeafLook, RuleLook, StepLook
from engine.backends.decision import show_value
from engine.journal.events import (
    Decided,
    Event,
    Heard,
    OrderError,
    Outcome,
    Routed,
)
from engine.printing import counted
from engine.routing.breakers import BREAKER
from engine.routing.evidence.left import left_as
from engine.routing.evidence.story import begins, is_open
from engine.routing.evidence.words import Words, after_headline
from engine.venues.messages import Fill
from engine.web.kept import decision_id_of
from engine.web.pages.head_html import (
    COUNTS_AS_TRUE,
    EVENTS,
    MADE,
    PAUSED,
    WHY_PAUSED,
    intent_link,
    is_taken_for_true,
)
from engine.web.pages.markup import (
    Child,
    cell,
    clock,
    decision_link,
    empty,
    file_link,
    join,
    mark,
    name,
    number,
    row,
    section,
    soft,
    table,
    tag,
    without_route,
)

FEED, FEED_TABLE, FEED_NOTE, STORY = "feed", "feed-table", "feed-note", "story"
MOST_ROWS: Final = 100
"""Rows that a page holds: older ones stand on the next."""

_COLUMNS: Final = ("time", "symbol, intent", "route", "tier", "bias", "offset", "spread", "vetoes", "reason", "")


def feed_html(routes: Sequence[Routed], none: str = "") -> Markup:
    """The feed, the newest first; `none` is said where there are no decisions."""
    rows = [feed_row(routed) for routed in routes]
    body = table(_COLUMNS, rows, class_="feed", body_id=FEED, caption="The newest first, times in UTC")
    return tag("div", body, None if rows else empty(none), id_=FEED_TABLE, class_="wide")


def feed_note(*, waiting: int = 0, passed: int = 0, found: str = "") -> Markup:
    """What the feed does not show: decisions that wait while it is held still, and that came too fast for it.

    `found` says what was found in the journal.
    """
    said = [found] if found else []
    if waiting:
        said.append(f"held still: {counted(waiting, 'newer decision')} can be shown")
    if passed:
        said.append(f"{counted(passed, 'decision')} came too fast to be shown here; the filters find them")
    return tag("p", "; ".join(said), id_=FEED_NOTE, class_="soft")


def feed_row(routed: Routed) -> Markup:
    """One route decision."""
    event = EVENTS.get(routed.event, routed.event.replace("_", " "))
    if routed.route == "none" and routed.event in MADE:
        event = left_as(routed).replace("_", " ")
    intent = tag("small", intent_link(routed.intent_id), class_="intent")
    exit_ = tag("small", "exit") if routed.is_exit else None
    link = decision_link(routed.decision_id, "open", label=f"open the decision on {routed.intent_id}")
    return row(
        cell("time", _time(routed.ts_ms)),
        cell("symbol, intent", tag("b", routed.symbol), " ", routed.side or "", " ", exit_, intent, class_="who"),
        cell("route", mark(routed.route), tag("small", event) if event else None),
        cell("tier", mark(routed.quality)),
        cell("bias", number(routed.bias, digits=2)),
        cell("offset", number(routed.offset_bps, "bps"), class_="num"),
        cell("spread", number(routed.spread_bps, "bps"), class_="num"),
        cell("vetoes", [tag("code", name(veto)) for veto in routed.vetoes] or soft("none"), class_="vetoes"),
        cell("reason", name(_reason(routed)), class_="reason"),
        cell("", link, class_="open"),
        class_="new",
    )


def _reason(routed: Routed) -> str:
    """The reason beside its route; that of a change begins with what was asked for, which the event says."""
    return without_route(routed.reason, routed.route) if routed.event in MADE else after_headline(routed.reason)


def _time(ts_ms: int) -> Markup:
    day, _, at = clock(ts_ms, dated=True).partition(" ")
    return tag("time", clock(ts_ms), tag("small", day), datetime=f"{day}T{at}Z")


# --- one decision ----------------------------------------------------------------------------------------------------


def missing_html(missing: Sequence[GapLook]) -> Markup | None:
    """Facts without a value."""
    if not missing:
        return None
    items = [
        tag("li", tag("code", gap.fact), " ", mark(gap.cause), f" (it was {gap.got})" if gap.got else None)
        for gap in missing
    ]
    return section("Missing facts", tag("ul", items), note=f"{len(missing)}, which rules treat as unknown")


def steps_html(explanation: Explanation, *, is_of_now: bool = True) -> Markup:
    """Each step with its rules, each rule with its leaves and the values they saw.

    `is_of_now` says whether the files are as they were then: places in them are links into the editor.
    """
    steps = [_step(number_, step, is_of_now=is_of_now) for number_, step in enumerate(explanation.steps, 1)]
    note = "every step, rule and value, with file and line"
    if not is_of_now:
        note += " as the files were then"
    return section("How it came to that", tag("ol", steps, class_="steps"), note=note)


def _step(place: int, step: StepLook, *, is_of_now: bool) -> Markup:
    fired = [rule for rule in step.rules if rule.verdict in ("matched", "unknown, matched")]
    sets = ", ".join(f"{key} {show_value(value)}" for key, value in step.sets.items())
    told = f"{len(fired)} of {len(step.rules)} matched"
    head = tag(
        "summary", tag("b", step.ruleset), " ", soft(f"{step.hit}, {told}"), " ", tag("span", sets, class_="sets")
    )
    start = ", ".join(f"{key} {show_value(value)}" for key, value in step.start.items())
    begins = tag("p", "begins with ", start, class_="soft") if start else None
    passed = [rule for rule in step.rules if rule not in fired]
    others = None
    if passed:
        label = tag("summary", counted(len(passed), "rule"), " that did not match", class_="soft")
        shown = _rules(passed, is_of_now=is_of_now)
        others = tag("details", label, shown, open=not fired, id_=f"step-{place}-others")
    matched = _rules(fired, is_of_now=is_of_now)
    return tag("li", tag("details", head, begins, matched, others, open=bool(fired), id_=f"step-{place}"))


def _rules(rules: Sequence[RuleLook], *, is_of_now: bool) -> Markup | None:
    return tag("ul", [_rule(rule, is_of_now=is_of_now) for rule in rules], class_="rules") if rules else None


_VERDICT_SIGNS: Final = {
    "matched": ("fired", "✓"),
    "unknown, matched": ("fired", "?"),
    "not matched": ("passed", "·"),
    "unknown, skipped": ("passed", "?"),
    "not reached": ("unreached", "↷"),
}


def _rule(rule: RuleLook, *, is_of_now: bool) -> Markup:
    kind, sign = _VERDICT_SIGNS[rule.verdict]
    effects = [
        tag("li", f"{effect.kind} {effect.name}: ", tag("code", effect.expression), f" = {show_value(effect.value)}")
        for effect in rule.effects
    ]
    return tag(
        "li",
        tag("i", sign, aria_hidden="true"),
        " ",
        tag("b", rule.rule),
        " ",
        tag("span", rule.verdict, class_="verdict"),
        " ",
        file_link(rule.at) if is_of_now else tag("span", rule.at, class_="at"),
        tag("p", rule.why, class_="why"),
        _condition(rule.condition) if rule.condition is not None else None,
        tag("ul", effects, class_="effects") if effects else None,
        class_=kind,
    )


def _condition(look: ConditionLook) -> Markup:
    if isinstance(look, LeafLook):
        truth = tag("span", look.truth, class_=f"truth {look.truth.replace(' ', '-')}")
        shown = f" — {look.shown}" if look.truth != "not reached" and look.shown != look.when else ""
        counts = soft(f" {COUNTS_AS_TRUE}") if is_taken_for_true(look) else None
        kind = "leaf triggered" if look.triggered else "leaf"
        return tag("div", truth, " ", tag("code", look.when), shown, counts, class_=kind)
    items = [_condition(item) for item in look.items]
    return tag("div", soft(f"{look.kind} of"), " ", look.truth, tag("div", items, class_="nested"), class_="nest")


def story_html(story: Sequence[Event], shown: str = "", *, is_cut: bool = False) -> Markup:
    """The events of an intent as a timeline, each with the time since the first; `shown` is the page's own.

    `is_cut` says that as much is at hand as may be, so that more may have happened before its end.
    """
    title = "The story of its orders"
    if not story:
        none = f"Only the stories of the last intents are at hand; {_ALL_OF_IT}."
        return section(title, empty(none), id_=STORY)
    is_from_start = begins(story[0])
    words, start = Words(), story[0].ts_ms
    items = [_told(event, words, start, shown) for event in story]
    return section(
        title,
        None if is_from_start else tag("p", f"How it began is not at hand; {_ALL_OF_IT}.", class_="notice"),
        tag("ol", items, class_="story"),
        tag("p", f"More may have happened than is at hand; {_ALL_OF_IT}.", class_="notice") if is_cut else None,
        tag("p", "It is still open.", class_="soft") if is_open(story) and is_from_start and not is_cut else None,
        note=f"from {clock(start, dated=True)} UTC",
        id_=STORY,
    )


_ALL_OF_IT: Final = "sluice journal --intent ID has all of it"


def _told(event: Event, words: Words, start_ms: int, shown: str) -> Markup:
    decision_id = _id(event)
    link: Markup | None = None
    if decision_id:
        label = f"open the decision {decision_id}"
        link = soft("this one") if decision_id == shown else decision_link(decision_id, "open", label=label)
    return tag(
        "li",
        tag("time", f"+{(event.ts_ms - start_ms) / 1000:,.3f} s"),
        " ",
        tag("span", words.say(event).removesuffix(f"  [{decision_id}]")),
        " ",
        link,
        class_=_kind(event),
    )


def _id(event: Event) -> str:
    """Of the decision that an event is, or tells of; empty for any other."""
    match event:
        case Decided():
            return decision_id_of(event)
        case Routed(decision_id=decision_id):
            return decision_id
    return ""


def _kind(event: Event) -> str | None:
    match event:
        case OrderError():
            return "bad"
        case Outcome():
            return "end"
        case Heard(message=Fill(), again=False):
            return "fill"
        case Routed(event=changed) if changed != "decision":
            return "warn"
    return None


# --- why not maker ---------------------------------------------------------------------------------------------------


def why_not_html(found: Mapping[str, Any], rests_on: Sequence[str] = ()) -> Markup:
    """What would have to be otherwise, as `why_not_json` says it.

    `rests_on` are the rules that vetoed since makers waited, which another policy decided: the solver asks this one.
    """
    wish = str(found["wish"])
    if found["already"]:
        return tag("p", f"{wish} already holds.")
    undecided = found["undecided"]
    return join(
        [
            _not_asked(rests_on),
            tag("h3", "On other facts"),
            _facts(found["facts"], is_undecided="facts" in undecided),
            tag("h3", "On the same facts, with other values in the profile"),
            _edit(found["edit"], is_undecided="parameters" in undecided),
            _promises(found),
        ]
    )


def _not_asked(rests_on: Sequence[str]) -> Markup | None:
    if not rests_on:
        return None
    rules = join([tag("code", name(rule)) for rule in rests_on], ", ")
    says = " rests on ", tag("code", PAUSED), ", which the policy ", tag("code", BREAKER), " decided: see "
    why = tag("a", "why makers waited", href=f"#{WHY_PAUSED}")
    ends = ". Its own rules say when that ends; the solver did not ask them."
    return tag("p", rules, *says, why, ends, class_="notice")


def _none(*, is_undecided: bool) -> Markup:
    return empty("The solver gave up: there may be a change." if is_undecided else "No such change would do.")


def _facts(changes: Sequence[Mapping[str, Any]] | None, *, is_undecided: bool) -> Markup:
    if changes is None:
        return _none(is_undecided=is_undecided)
    return tag("ul", [tag("li", tag("code", str(change["fact"])), " ", _change(change)) for change in changes])


def _change(change: Mapping[str, Any]) -> Child:
    if change["after"] is None:
        return f"fresh, with what it holds (it is {change['cause']})"
    before = f"missing ({change['cause']})" if change["before"] is None else show_value(change["before"])
    return [tag("b", show_value(change["after"])), f" instead of {before}"]


def _edit(lines: Sequence[str] | None, *, is_undecided: bool) -> Markup:
    return _none(is_undecided=is_undecided) if lines is None else tag("pre", join(lines, Markup("\n")))


def _promises(found: Mapping[str, Any]) -> Markup:
    """What becomes of the invariants with the edit."""
    said = (
        ("It is an edit of a profile that others extend, and changes them, too: ", "also"),
        ("This edit breaks what holds today: ", "breaks"),
        ("Not proven with it: ", "unproven"),
    )
    return join([tag("p", text, ", ".join(found[key])) for text, key in said if found.get(key)])
