"""The rulebook as people read it: what is in force, policies and rule sets, values and where they come from.

In: what `show`, `compare`, the solver and the history say. Out: parts of the pages of rules.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from markupsafe import Markup

from engine.analysis.diff.changes import Change, Given, Structure, ValueChange
from engine.analysis.diff.report import sections, summary
from engine.analysis.show import (
    ConditionView,
    LayerView,
    Overview,
    PolicyView,
    RuleView,
    SetView,
    StepView,
    ValueView,
    show,
)
from engine.book import Book
from engine.language.findings import Finding
from engine.language.printer import print_number
from engine.language.rulebook import Rulebook
from engine.language.types import Value
from engine.printing import counted, plainly
from engine.reload.history import Span as Ran
from engine.reload.status import Attempt, Noted, Status
from engine.routing.chain import ROUTING
from engine.routing.sessions.tried import Divergences
from engine.web.candidate import Candidate
from engine.web.live import Live
from engine.web.pages.markup import (
    UNKNOWN,
    Child,
    address,
    cell,
    clock,
    decision_link,
    empty,
    facts_list,
    file_link,
    join,
    mark,
    name,
    number,
    percent,
    row,
    section,
    soft,
    table,
    tag,
)
from engine.web.proving import STATES, Proof
from engine.web.proving import counted as counted_proofs

IN_FORCE: Final = "in-force"
_PROVED: Final = re.compile(r"\d+ of \d+ invariants proved")
"""As the line of an accepted change says it."""
_MOST_TRANSITIONS: Final = 10
"""Of one name."""
SUBPAGES: Final = (
    ("/rules", "In force"),
    ("/rules/values", "Values"),
    ("/rules/compare", "Compare"),
    ("/rules/proofs", "Proofs"),
    ("/rules/history", "History"),
    ("/rules/edit", "Editor"),
    ("/rules/play", "Playground"),
)


def subpages_html(path: str) -> Markup:
    """The way to the other pages of rules."""
    links = [tag("a", label, href=to, aria_current=_current(path, to)) for to, label in SUBPAGES]
    return tag("nav", links, class_="sub", aria_label="pages of rules")


def _current(path: str, to: str) -> str | None:
    """Whether a link leads to the page that is shown, or to the one over it."""
    if path == to:
        return "page"
    return "true" if to == "/rules" and path.startswith("/rules/set/") else None


# --- in force --------------------------------------------------------------------------------------------------------


def in_force_html(book: Book, live: Live, status: Status | None, candidate: Candidate | None) -> Markup:
    """What decides, since when, and what became of the last change."""
    session = live.session
    pairs: list[tuple[str, Child]] = [
        ("profile", book.profile),
        ("version", tag("code", book.version)),
        ("files", tag("code", book.rulebook.sources_digest)),
    ]
    if session is not None and session.decides_by(book):
        pairs.append(("since", f"{clock(session.rulebook_ms, dated=True)} UTC, in the time of the market"))
    elif session is None and live.last_seq:
        pairs.append(("session", "its start was not found in the journal: nobody knows what it decides by"))
    elif session is None:
        pairs.append(("session", "none was seen yet: requests to this server are decided by it"))
    else:
        shown = tag("span", f"the session decides by {session.profile} {session.rulebook}", class_="alert")
        pairs.append(("session", shown))
    pairs += _of_status(book, status)
    known = None if live.proofs is None else proofs_line(live.proofs)
    pairs.append(("proofs", known or _proved_at_reload(book, status) or soft("not known yet")))
    parts = [section("In force", facts_list(pairs))]
    if status is not None and status.attempt is not None:
        parts.append(attempt_html(status.attempt))
    parts.append(candidate_html(candidate))
    return tag("div", parts, id_=IN_FORCE)


def _of_status(book: Book, status: Status | None) -> list[tuple[str, Child]]:
    """What the session that watches the files says; how a rulebook came in force, of this one alone."""
    if status is None:
        return []
    pairs: list[tuple[str, Child]]
    if (status.profile, status.version) == (book.profile, book.version):
        pairs = [("from", status.origin), ("put in force by", status.who or UNKNOWN)]
        if status.last_good:
            pairs.append(("note", mark("warn", "the last good rulebook stands in for what was refused")))
    else:
        whose = f"{status.profile} {status.version}"
        pairs = [("status", soft(f"the last one that a session wrote is of {whose}, which is not in force here"))]
    if status.unavailable is not None and status.ended_ms is None:
        since = clock(status.unavailable.since_ms, dated=True)
        pairs.append(("no rules", mark("warn", f"{status.unavailable.what} (since {since} UTC)")))
    if status.watching and status.ended_ms is None:
        pairs.append(("watching", mark("warn", status.watching)))
    if status.unwritten:
        pairs.append(("not on disk", mark("warn", f"a later start will not know all of this: {status.unwritten}")))
    return pairs


def _proved_at_reload(book: Book, status: Status | None) -> Child:
    """What the prover said as this version was taken over: until each invariant is listed, that is what is known."""
    attempt = None if status is None else status.attempt
    if attempt is None or attempt.verdict != "accepted" or attempt.version != book.version:
        return None
    told = _PROVED.search(attempt.line)
    return None if told is None else [told[0], " when it was taken over"]


def proofs_line(proofs: Sequence[Proof]) -> Markup:
    """How many invariants are in each state."""
    counts = counted_proofs(proofs)
    return join([mark(state, f"{counts[state]} {state}") for state in STATES if counts[state]] or ["none"], ", ")


def attempt_html(attempt: Attempt) -> Markup:
    """What became of the last change of the files."""
    at = f"{clock(attempt.at_ms, dated=True)} UTC"
    stays = tag("p", "The version before goes on deciding.") if attempt.verdict == "refused" else None
    line = "" if attempt.findings else f" {attempt.line}"  # the line of a refusal is its first finding
    return section(
        "The last change",
        tag("p", mark(attempt.verdict), line),
        stays,
        tag("ul", [tag("li", _noted(found)) for found in attempt.findings], class_="findings"),
        note=at,
        id_="last-change",
    )


def _noted(found: Noted) -> Child:
    parts = found.place.split(":")
    where = file_link(":".join(parts[:2])) if len(parts) > 1 else tag("span", found.place, class_="at")
    return [where, " ", tag("b", found.message), " ", soft(found.help), " ", tag("code", found.code)]


def findings_html(findings: Sequence[Finding]) -> Markup:
    """Findings of the loader, each with its place."""
    items = [
        tag(
            "li",
            mark(found.severity.value),
            " ",
            file_link(found.span),
            " ",
            tag("b", found.message),
            " ",
            soft(found.help),
            " ",
            tag("code", found.code),
        )
        for found in findings
    ]
    return tag("ul", items, class_="findings")


def candidate_html(candidate: Candidate | None) -> Markup:
    """The candidate that is tried, and where it would decide otherwise."""
    title = "Candidate"
    if candidate is None:
        return section(title, empty("No candidate is tried beside it."))
    scope = f", for {', '.join(candidate.symbols)}" if candidate.symbols else ""
    from_ms = candidate.compared_ms
    compared = "" if from_ms is None else f", compared from {clock(from_ms, dated=True)} UTC on"
    head = tag(
        "p",
        mark("warn" if not candidate.is_over else None, candidate.state),
        f"{scope}: {_beside_line(candidate.found)} ",
        soft(candidate.reason),
    )
    rows = [
        row(
            cell("name", tag("code", what)),
            cell("decides", was),
            cell("candidate", would_be),
            cell("decisions", f"{times:,}"),
        )
        for known, _ in candidate.found.by_name.most_common()
        for what, was, would_be, times in _moves(candidate, known)
    ]
    moved = tag("div", table(("name", "decides", "candidate", "decisions"), rows), class_="wide") if rows else None
    label = f"the last {counted(len(candidate.examples), 'decision')} that differed"
    examples = [
        tag(
            "li",
            decision_link(each.decision_id),
            f" {each.symbol}: ",
            _differs(each.differs),
            " ",
            soft(", ".join(each.rules)),
        )
        for each in reversed(candidate.examples)
    ]
    return section(
        title,
        head,
        moved,
        tag("details", tag("summary", label), tag("ul", examples, class_="findings"), id_="differing")
        if examples
        else None,
        note=f"{candidate.rulebook} since {clock(candidate.since_ms, dated=True)} UTC{compared}",
    )


def _beside_line(found: Divergences) -> str:
    """How often it would have decided otherwise, as `sluice status` counts it: of the intents that both decided."""
    if not found.decided:
        return "no intent was decided by both yet"
    routed = f"{found.routed_otherwise:,} routed otherwise ({percent(found.routed_otherwise / found.decided)})"
    admitted = f"{found.admitted_otherwise:,} admitted otherwise ({percent(found.admitted_otherwise / found.decided)})"
    return f"of {counted(found.decided, 'intent')} decided by both {routed}, {admitted}"


def _moves(candidate: Candidate, what: str) -> Iterator[tuple[str, str, str, int]]:
    """Name, what counts, what the candidate would have it be, and how often: the most frequent first."""
    moved = candidate.numbers.get(what)
    if moved is not None:
        was, would_be = (number(total / moved.times, digits=3) for total in (moved.was, moved.would_be))
        yield what, f"{was} on average", f"{would_be} on average", moved.times
    for (before, after), times in candidate.transitions.get(what, Counter()).most_common(_MOST_TRANSITIONS):
        yield what, before, after, times


def _differs(differs: dict[str, list[object]]) -> str:
    return ", ".join(f"{what} {plainly(was)} → {plainly(would_be)}" for what, (was, would_be) in differs.items())


# --- policies and rule sets ------------------------------------------------------------------------------------------


def policies_html(view: Overview) -> Markup:
    """Each policy as its steps."""
    return join(_policy(policy) for policy in view.policies)


def _policy(policy: PolicyView) -> Markup:
    steps = tag("ol", [_step(step) for step in policy.steps], class_="policy")
    promises = [tag("li", tag("code", each.id), " ", each.says, " ", file_link(each.at)) for each in policy.invariants]
    body = [
        tag("p", policy.doc),
        facts_list([("reads", ", ".join(policy.reads)), ("decides", ", ".join(policy.decides))]),
        steps,
        tag(
            "details",
            tag("summary", f"promises ({len(promises)})"),
            tag("ul", promises),
            id_=f"promises-{policy.name}",
        )
        if promises
        else None,
    ]
    head = tag("summary", tag("h2", f"policy {policy.name}"), " ", soft(counted(len(policy.steps), "step")))
    return tag(
        "section", tag("details", head, *body, open=policy.name == ROUTING, id_=f"policy-{policy.name}"), class_="card"
    )


def _step(step: StepView) -> Markup:
    sets = ", ".join(each.name for each in step.sets)
    return tag(
        "li",
        tag("a", tag("b", step.ruleset), href=f"/rules/set/{step.ruleset}"),
        " ",
        soft(f"{step.hit}, {counted(step.rules, 'rule')}"),
        " → ",
        tag("span", sets, class_="sets"),
        " ",
        tag("small", step.doc),
    )


def ruleset_html(rulebook: Rulebook, view: SetView) -> Markup:
    """A rule set with its rules and values."""
    rules = [found for rule in view.rules if (found := show(rulebook, f"{view.name}.{rule}").rule) is not None]
    sets = ", ".join(f"{each.name} ({each.type})" for each in view.sets)
    pairs: list[tuple[str, Child]] = [
        ("hit", view.hit),
        ("sets", sets),
        ("run by", ", ".join(view.policies)),
        ("written in", file_link(view.at)),
    ]
    if view.disabled:
        pairs.append(("disabled", ", ".join(view.disabled)))
    values = section("Values", values_html(view.values)) if view.values else None
    return join(
        [
            section(f"rule set {view.name}", tag("p", view.doc), facts_list(pairs)),
            section("Rules", tag("ol", [_rule(rule) for rule in rules], class_="rules")),
            values,
        ]
    )


def _rule(rule: RuleView) -> Markup:
    effects = [tag("li", f"{each.kind} {each.name}: ", tag("code", each.expression)) for each in rule.effects]
    unknown = f"unknown: {rule.on_unknown}" if rule.on_unknown is not None else ""
    return tag(
        "li",
        tag("b", rule.name),
        " ",
        file_link(rule.at),
        tag("p", rule.why, class_="why"),
        _condition(rule.when) if rule.when is not None else soft("always"),
        soft(unknown) if unknown else None,
        tag("ul", effects, class_="effects") if effects else None,
        class_="fired",
    )


def _condition(view: ConditionView) -> Markup:
    if view.kind == "leaf":
        return tag("div", tag("code", view.text), class_="leaf")
    return tag("div", soft(f"{view.kind} of"), tag("div", map(_condition, view.items), class_="nested"), class_="nest")


# --- values ----------------------------------------------------------------------------------------------------------


def values_html(values: Iterable[ValueView]) -> Markup:
    """Values with every place that gives one."""
    rows = [
        row(
            tag("th", name(value.name), scope="row", data_label="parameter", id_=f"value-{value.name}"),
            cell("value", tag("b", value_text(value.value)), " ", value.unit),
            cell("given by", tag("ul", [_layer(layer) for layer in value.layers]), class_="given"),
            cell("means", value.doc, tag("small", value.type), class_="reason"),
            cell(
                "",
                tag(
                    "a",
                    "what if",
                    href=address("/what-if", parameter=value.name),
                    aria_label=f"what if {value.name} were another",
                ),
            ),
        )
        for value in values
    ]
    return tag(
        "div",
        table(("parameter", "value", "given by, last wins", "means", ""), rows, class_="values-table"),
        class_="wide",
    )


def _layer(layer: LayerView) -> Markup:
    group = f" for {layer.group}" if layer.group is not None else ""
    shown = f"{layer.value} by {layer.profile}{group}"
    text: Child = tag("s", shown) if layer.state == "overridden" else shown
    state = soft(f" {layer.state}") if layer.state != "in force" else None
    return tag("li", text, state, " ", file_link(layer.at), tag("small", layer.why))


def value_text(value: Value) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return print_number(value) if isinstance(value, float) else value


# --- compare ---------------------------------------------------------------------------------------------------------


def compare_html(structure: Structure, a: Rulebook, b: Rulebook, *, only_differences: bool) -> Markup:
    """Two profiles beside each other: all values, and what else differs."""
    same = "They decide alike." if a.version == b.version else ""
    differing = {change.name for change in structure.values}
    others = [
        section(
            title, tag("ul", [_changed(change) for change in changes], class_="findings"), note=f"{len(changes)} differ"
        )
        for title, changes in sections(structure)
    ]
    return join(
        [
            tag("p", same or f"{summary(structure)}. What was added or removed is so in {b.profile}."),
            section("Values", _beside(structure, a, b, differing, only_differences=only_differences)),
            *others,
        ]
    )


def _beside(structure: Structure, a: Rulebook, b: Rulebook, differing: set[str], *, only_differences: bool) -> Markup:
    rows: list[Markup] = [_value_change(change, a.profile, b.profile) for change in structure.values]
    if not only_differences:
        mine, theirs = a.binding_of(None).values, b.binding_of(None).values
        rows += [
            row(
                tag("th", name(key), scope="row", data_label="parameter"),
                cell(a.profile, value_text(value)),
                cell(b.profile, value_text(theirs[key])),
                cell("", soft("same")),
            )
            for key, value in mine.items()
            if key in theirs and key not in differing
        ]
    if not rows:
        return empty("No value differs.")
    return tag("div", table(("parameter", a.profile, b.profile, ""), rows, class_="compare"), class_="wide")


def _value_change(change: ValueChange, a: str, b: str) -> Markup:
    scope = tag("small", f"for {change.group}") if change.group is not None else None
    return row(
        tag("th", name(change.name), scope, scope="row", data_label="parameter"),
        cell(a, _given(change.a), class_="differs"),
        cell(b, _given(change.b), class_="differs"),
        cell("", tag("span", "≠ differs", class_="mark warn")),
    )


def _given(given: Given | None) -> Child:
    if given is None:
        return soft("not declared")
    return [tag("b", given.text), " ", file_link(given.span), tag("small", given.why)]


def _changed(change: Change) -> Markup:
    parts = [
        tag(
            "li",
            f"{part.kind} ",
            tag("b", part.what),
            ": ",
            part.a.text if part.a else "nothing",
            " → ",
            part.b.text if part.b else "nothing",
        )
        for part in change.parts
    ]
    at = change.b or change.a
    return tag(
        "li",
        mark("warn", change.kind),
        " ",
        tag("b", change.name),
        " ",
        file_link(at.span) if at is not None else None,
        tag("ul", parts, class_="soft") if parts else None,
    )


# --- proofs and history ----------------------------------------------------------------------------------------------


def proofs_html(proofs: Sequence[Proof] | None, *, is_solver_there: bool = True) -> Markup:
    """What is proved of the rulebook in force."""
    if proofs is None and not is_solver_there:
        return empty("Nobody knows: the solver is not installed (pip install 'sluice-router[prove]').")
    if proofs is None:
        return empty("Nobody knows yet: the solver is at work, unless proofs were left out with --no-prove.")
    rows = [
        row(
            cell("state", mark(proof.status)),
            cell("policy", proof.policy),
            cell("promise", tag("code", name(proof.id)), tag("small", proof.text), class_="reason"),
            cell("where", file_link(proof.at)),
            cell("why undecided" if proof.why else "", proof.why),
        )
        for proof in sorted(proofs, key=lambda proof: (-STATES.index(proof.status), proof.policy, proof.id))
    ]
    body = tag("div", table(("state", "policy", "promise", "where", ""), rows), class_="wide")
    return join([tag("p", proofs_line(proofs)), body])


def history_html(spans: Sequence[Ran]) -> Markup:
    """Which rulebooks ran, the last first."""
    if not spans:
        return empty("No session wrote a history here yet.")
    rows = [
        row(
            cell("from", f"{clock(ran.entry.at_ms, dated=True)}"),
            cell(
                "until",
                clock(ran.until_ms, dated=True)
                if ran.until_ms is not None
                else soft("it was killed" if ran.was_killed else "now, as far as is known"),
            ),
            cell("version", tag("code", ran.entry.version)),
            cell("how", ran.entry.how),
            cell("who", ran.entry.who or UNKNOWN),
            cell("what changed", "; ".join(filter(None, (ran.entry.changed, ran.ended))) or soft("–"), class_="reason"),
        )
        for ran in reversed(spans)
    ]
    return tag(
        "div",
        table(("from", "until", "version", "how", "who", "what changed"), rows, caption="Real time, in UTC"),
        class_="wide",
    )
