"""What proofs found, as findings: invariants that do not hold, and what a profile holds for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.analysis.proofs.lint import Loose
from engine.analysis.proofs.prove import Proofs, Verdict
from engine.backends.decision import Decision
from engine.book import Book
from engine.language.findings import Finding, Related, Severity, Span
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

_MOST_RELATED = 6
_MOST_NAMED = 3


def findings_of(asked: Sequence[Proofs], rulebook: Callable[[str], Rulebook]) -> Iterator[Finding]:
    """The findings of the proofs of some profiles; what is loose in several of them is one finding."""
    for proofs in asked:
        for verdict in proofs.verdicts:
            if verdict.status == "refuted":
                yield _refuted(proofs, verdict, rulebook)
            elif verdict.status == "undecided":
                message = f"whether `{verdict.id}` holds in {proofs.profile} is undecided: {verdict.why}"
                help_text = "give it more time (`--timeout`), or say it in simpler terms; undecided is not proven"
                yield Finding("invariant.undecided", Severity.WARNING, verdict.span, message, help_text)
        if proofs.lint_undecided:
            named = ", ".join(proofs.lint_undecided[:_MOST_NAMED])
            more = len(proofs.lint_undecided) - _MOST_NAMED
            message = f"the solver could not say {named}{f', and {more} more' if more > 0 else ''}"
            where = Span(f"profiles/{proofs.profile}.yaml", 1, 1, 1, 2)
            yield Finding("proofs.undecided", Severity.WARNING, where, message, "give it more time (`--timeout`)")
    loose: dict[Loose, list[str]] = {}
    for proofs in asked:
        for each in proofs.loose:
            loose.setdefault(replace(each, shown_by=()), []).append(proofs.profile)
    for each, profiles in loose.items():
        yield _loose(each, profiles, rulebook)


def decisions_of(
    policy: str, profiles: tuple[str, ...], facts: tuple[Mapping[str, Any], ...], rulebook: Callable[[str], Rulebook]
) -> list[Decision]:
    """Decide what was found again, by the interpreter: one decision an input, or one a profile for the same input."""
    inputs = facts * len(profiles) if len(facts) == 1 else facts
    names = profiles * len(inputs) if len(profiles) == 1 else profiles
    return [
        Book(rulebook(name), "interpreter").decide(policy, given) for name, given in zip(names, inputs, strict=True)
    ]


def _refuted(proofs: Proofs, verdict: Verdict, rulebook: Callable[[str], Rulebook]) -> Finding:
    message = f"`{verdict.id}` does not hold in {proofs.profile}: {verdict.text}"
    help_text = f"`sluice prove {proofs.profile}` shows an input that breaks it"
    related: list[Related] = []
    if verdict.witness is not None:
        witness = verdict.witness
        decisions = decisions_of(verdict.policy, witness.profiles, witness.facts, rulebook)
        help_text = f"for example {_instead(decisions)}; `sluice prove {proofs.profile}` shows the whole input"
        related = list(_fired(decisions))
    return Finding("invariant.refuted", Severity.ERROR, verdict.span, message, help_text, tuple(related))


def _instead(decisions: list[Decision]) -> str:
    return " and then ".join(f"`{decision.reason}`" for decision in decisions)


def _fired(decisions: list[Decision]) -> Iterator[Related]:
    """Where the rules stand that made a decision: vetoes first, at most a few."""
    seen: set[str] = set()
    for decision in decisions:
        outcome = decision.outcome
        for firing, word in [(each, "vetoed") for each in outcome.vetoes] + [(each, "fired") for each in outcome.fired]:
            if firing.rule.full_id not in seen and len(seen) < _MOST_RELATED:
                seen.add(firing.rule.full_id)
                yield Related(firing.rule.span, f"`{firing.rule.full_id}` {word} there")


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
    return Finding(code, severity, loose.span, f"{said} (in {' and '.join(profiles)})", help_text, tuple(related))
