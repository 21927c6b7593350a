"""What proofs found, as findings: invariants that do not hold, and what a profile holds for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.analysis.proofs.behind import Decided, rules_behind
from engine.analysis.proofs.inputs import given_text
from engine.analysis.proofs.lint import Loose
from engine.analysis.proofs.prove import Proofs, Verdict
from engine.backends.decision import Decision
from engine.book import Book
from engine.language.findings import Finding, Related, Severity, Span
from engine.language.model import Invariant
from engine.language.rulebook import Rulebook

_LOOSE = {
    "partial": (
        "decision.partial", Severity.ERROR, "`{part}` leaves some input of policy `{text}` without a decision",
        "give its last rule no `when`, and guard every effect by `is known`",
    ),
    "dead": (
        "rule.dead", Severity.WARNING, "no input reaches `{part}`{because}",
        "remove it, or say `expect: unreachable` and why it stands there",
    ),
    "redundant": (
        "rule.redundant", Severity.WARNING, "without `{part}` every decision is the same",
        "remove it, or say `expect: reason` if the reason is what it is for",
    ),
    "reachable": (
        "rule.reachable", Severity.WARNING, "`{part}` says `expect: unreachable`, and some input reaches it",
        "take `expect` away, or put right what let the input through",
    ),
    "needed": (
        "rule.needed", Severity.WARNING, "`{part}` says `expect: reason`, and without it decisions change",
        "take `expect` away: the rule does more than give a reason",
    ),
    "always_true": (
        "condition.always", Severity.WARNING, "`{text}` is true whenever `{part}` is looked at",
        "take it out of the condition, or look whether a bound is wrong",
    ),
    "never_true": (
        "condition.never", Severity.WARNING, "`{text}` is never true when `{part}` is looked at",
        "take it out of the condition, or look whether a bound is wrong",
    ),
    "clamp_idle": (
        "clamp.idle", Severity.WARNING, "the clamp `{text}` never changes anything",
        "remove it, or look whether its bound is wrong",
    ),
    "clamp_always": (
        "clamp.always", Severity.WARNING, "the clamp `{text}` always decides: what stands before it has no effect",
        "set the value plainly, or look whether its bound is wrong",
    ),
    "param_idle": (
        "param.idle", Severity.WARNING, "no value of `{part}` changes any decision",
        "remove it, or look for the rule that should heed it",
    ),
}  # fmt: skip
"""Code, severity, message and help of each kind of loose end."""

_FIRST_TOLD = ("refuted", "proven", "undecided")
"""Of two answers to one question, the one that says more: with either profile there may have been too little time."""

_MOST_RELATED = 6
_MOST_NAMED = 3


def findings_of(asked: Sequence[Proofs], rulebook: Callable[[str], Rulebook]) -> Iterator[Finding]:
    """The findings of the proofs of some profiles; what is loose in several of them is one finding."""
    across: dict[tuple[str, ...], Verdict] = {}
    for verdict in (verdict for proofs in asked for verdict in proofs.verdicts if verdict.across):
        name = (verdict.policy, verdict.id, *verdict.across)
        known = across.setdefault(name, verdict)
        if _FIRST_TOLD.index(verdict.status) < _FIRST_TOLD.index(known.status):
            across[name] = verdict
    for proofs in asked:
        for verdict in proofs.verdicts:
            if verdict.across:  # asked of both profiles, and one answer
                name = (verdict.policy, verdict.id, *verdict.across)
                if across.get(name) is not verdict:
                    continue
                del across[name]
            if verdict.status == "refuted":
                yield _refuted(proofs, verdict, rulebook)
            elif verdict.status == "undecided" and verdict.why != proofs.cut_short:
                message = f"whether `{verdict.id}` holds {_where(proofs, verdict)} is undecided: {verdict.why}"
                help_text = "give it more time (`--timeout`), or say it in simpler terms; undecided is not proven"
                yield Finding("invariant.undecided", Severity.WARNING, verdict.span, message, help_text)
        if proofs.cut_short or proofs.lint_undecided:
            yield _unanswered(proofs)
    loose: dict[Loose, list[str]] = {}
    shown_by: dict[Loose, tuple[Mapping[str, object], ...]] = {}
    for proofs in asked:
        for each in proofs.loose:
            alike = replace(each, shown_by=())
            loose.setdefault(alike, []).append(proofs.profile)
            shown_by[alike] = shown_by.get(alike) or each.shown_by
    for each, profiles in loose.items():
        yield _loose(replace(each, shown_by=shown_by[each]), profiles, rulebook)


def _unanswered(proofs: Proofs) -> Finding:
    """What the solver could not say, or was not asked in time: one finding for all of it."""
    where = Span(f"profiles/{proofs.profile}.yaml", 1, 1, 1, 2)
    late = [f"whether `{verdict.id}` holds" for verdict in proofs.verdicts if verdict.why == proofs.cut_short]
    names = (*(late if proofs.cut_short else ()), *proofs.lint_undecided)
    first = list(dict.fromkeys(names))[:_MOST_NAMED]
    more = sum(name not in first for name in names)
    named = f"{', '.join(first)}{f', and {more:,} more' if more else ''}"
    if not proofs.cut_short:
        help_text = "give it more time (`--timeout`)"
        return Finding("proofs.undecided", Severity.WARNING, where, f"the solver could not say {named}", help_text)
    message = f"{len(names):,} of {proofs.asked:,} questions are undecided: {proofs.cut_short} ({named})"
    help_text = f"give them more (`--budget`), or ask less (`sluice prove {proofs.profile} --only dead,total`)"
    return Finding("proofs.undecided", Severity.WARNING, where, message, help_text)


def _where(proofs: Proofs, verdict: Verdict) -> str:
    return f"between {' and '.join(verdict.across)}" if verdict.across else f"in {proofs.profile}"


def decisions_of(
    policy: str, profiles: tuple[str, ...], facts: tuple[Mapping[str, Any], ...], rulebook: Callable[[str], Rulebook]
) -> list[Decision]:
    """Decide what was found again, by the interpreter: one decision an input, or one a profile for the same input."""
    inputs = inputs_of(profiles, facts)
    return [Book(rulebook(name), "interpreter").decide(policy, given) for name, given in inputs]


def inputs_of(profiles: tuple[str, ...], facts: tuple[Mapping[str, Any], ...]) -> list[tuple[str, Mapping[str, Any]]]:
    """What is to be decided of a witness: a profile and an input each, two of either at most."""
    inputs = facts * len(profiles) if len(facts) == 1 else facts
    names = profiles * len(inputs) if len(profiles) == 1 else profiles
    return list(zip(names, inputs, strict=True))


def _refuted(proofs: Proofs, verdict: Verdict, rulebook: Callable[[str], Rulebook]) -> Finding:
    message = f"`{verdict.id}` does not hold {_where(proofs, verdict)}: {verdict.text}"
    help_text = f"`sluice prove {proofs.profile}` shows an input that breaks it"
    related: tuple[Related, ...] = ()
    if verdict.witness is not None:
        witness = verdict.witness
        decisions = decisions_of(verdict.policy, witness.profiles, witness.facts, rulebook)
        help_text = f"for example {_instead(decisions)}; `sluice prove {proofs.profile}` shows the whole input"
        related = _behind(verdict, witness.profiles, decisions, rulebook)
    return Finding("invariant.refuted", Severity.ERROR, verdict.span, message, help_text, related)


def _instead(decisions: list[Decision]) -> str:
    return " and then ".join(f"`{decision.reason}`" for decision in decisions)


def _behind(
    verdict: Verdict, profiles: tuple[str, ...], decisions: list[Decision], rulebook: Callable[[str], Rulebook]
) -> tuple[Related, ...]:
    """The rules that made the decisions, nearest to the claim first."""
    names = profiles * (len(decisions) // len(profiles))
    policies = [rulebook(name).policies[verdict.policy] for name in names]
    decided = [Decided(*each) for each in zip(names, policies, (one.outcome for one in decisions), strict=True)]
    return rules_behind(invariant_of(verdict, profiles[0], rulebook), decided)


def invariant_of(verdict: Verdict, profile: str, rulebook: Callable[[str], Rulebook]) -> Invariant:
    """The invariant that a verdict is of."""
    return next(each for each in rulebook(profile).policies[verdict.policy].invariants if each.id == verdict.id)


def _loose(loose: Loose, profiles: Sequence[str], rulebook: Callable[[str], Rulebook]) -> Finding:
    code, severity, message, help_text = _LOOSE[loose.what]
    because = ""
    if loose.what == "dead" and loose.because is not None:
        shadows = ", ".join(f"`{name}`" for name in loose.because)
        because = f": {shadows} leave{'s' * (len(loose.because) == 1)} nothing for it"
        because = because if shadows else ": its condition is never true"
    said = message.format(part=loose.part, text=" ".join(loose.text.split()), because=because)
    related = []
    if loose.because:
        places = {
            rule.full_id: rule.span
            for policy in rulebook(profiles[0]).policies.values()
            for step in policy.steps
            for rule in step.rules
        }
        related = [Related(places[name], f"`{name}` stands before it") for name in loose.because[:_MOST_RELATED]]
    if loose.shown_by:
        help_text = f"for example {given_text(loose.shown_by[0])}: {help_text}"
    return Finding(code, severity, loose.span, f"{said} (in {' and '.join(profiles)})", help_text, tuple(related))
