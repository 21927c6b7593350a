"""The interpreter held against durable-rules, a second engine that others wrote: on every step that it can express.

In: loaded rulebooks. Out: `CrossCheck`, what was compared and what differed, as findings. Steps are taken one by one,
under each combination of symbol groups, on inputs that lie on the boundaries of their conditions (`boundary_inputs`);
what earlier steps decide is an input there like any fact, of any value of its type. A step that several policies or
profiles run alike is compared once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.analysis.boundary_inputs import Names, boundary_inputs
from engine.backends.decision import show_value
from engine.backends.durable.engine import engine_name
from engine.backends.durable.express import Inexpressible
from engine.backends.durable.witness import DurableStep, StepAnswer, answer_of
from engine.backends.interpreter import trace
from engine.language import model
from engine.language.evaluate import Missing
from engine.language.findings import Finding, Related, Severity
from engine.language.model import Binding, Policy, Rule, Step, walk
from engine.language.printer import print_number
from engine.language.rulebook import Rulebook
from engine.language.soundness import parameters_of
from engine.language.types import Value


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """What two engines said to the same inputs."""

    engine: str
    """The second engine, with its version."""
    sets: int
    """Rule sets compared; one counts once, under however many values."""
    rules: int
    inputs: int
    inexpressible: tuple[str, ...]
    """Rule sets that the second engine cannot run, by name, under some values at least."""
    disagreements: int
    """Rule sets on which the engines differ."""
    findings: tuple[Finding, ...]
    """Disagreements as errors, and a note for each set that cannot be run, which says why."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An input to which the engines give different answers."""

    step: Step
    names: Names
    interpreter: StepAnswer
    witness: StepAnswer


def cross_check(rulebooks: Iterable[Rulebook]) -> CrossCheck:
    """Compare every step of every policy of these rulebooks.

    Raises:
        EngineError: where the second engine fails rather than answers.

    """
    rules: dict[str, set[str]] = {}
    lacking: dict[str, Finding] = {}
    disagreements: dict[str, Finding] = {}
    inputs = 0
    for step, binding in variants(rulebooks):
        found = DurableStep.of(step, binding.values)
        if isinstance(found, Inexpressible):
            lacking.setdefault(step.ruleset, _lacking(found))
            continue
        rules.setdefault(step.ruleset, set()).update(rule.id for rule in step.rules)
        try:
            asked, different = compare(found, binding, boundary_inputs(step, binding.values))
        finally:
            found.close()
        inputs += asked
        if different:
            disagreements.setdefault(step.ruleset, _disagrees(different[0], len(different), asked, binding))
    counted = sum(len(ids) for ids in rules.values())
    findings = (*disagreements.values(), *lacking.values())
    return CrossCheck(engine_name(), len(rules), counted, inputs, tuple(lacking), len(disagreements), findings)


def compare(asked: DurableStep, binding: Binding, inputs: Iterable[Names]) -> tuple[int, list[Disagreement]]:
    """How many inputs a step was asked with, and those to which the engines answer differently."""
    alone = _alone(asked.step)
    count, found = 0, []
    for names in inputs:
        count += 1
        defined = answer_of(trace(alone, binding, names)[0])
        answer = asked.answer(names)
        if not same(defined, answer):
            found.append(Disagreement(asked.step, names, defined, answer))
    return count, found


def same(first: StepAnswer, second: StepAnswer) -> bool:
    """True if the same rules matched and set the same values, to the last bit."""
    return first.matched == second.matched and _bits(first.sets) == _bits(second.sets)


def _bits(sets: Mapping[str, Value]) -> dict[str, str]:
    return {name: repr(value) for name, value in sets.items()}


def variants(rulebooks: Iterable[Rulebook]) -> Iterable[tuple[Step, Binding]]:
    """Every step under every binding, those that mean the same once."""
    seen: set[tuple[Step, tuple[tuple[str, str], ...]]] = set()
    for rulebook in rulebooks:
        for policy in rulebook.policies.values():
            for step in policy.steps:
                for binding in rulebook.bindings.values():
                    values = tuple((name, repr(binding.values[name])) for name in sorted(parameters_of(step)))
                    if (step, values) not in seen:
                        seen.add((step, values))
                        yield step, binding


def _alone(step: Step) -> Policy:
    """A policy of that step alone."""
    return Policy(step.ruleset, (), (step,), (), (), (), step.doc, step.span)


# Findings ------------------------------------------------------------------------------------------------------------


def _lacking(found: Inexpressible) -> Finding:
    message = f"`{found.step.ruleset}` is not held against {engine_name()}: {found.reason}"
    help_text = "nothing is wrong with it: that engine has less than the language (docs/durable-rules.md)"
    return Finding("backend.inexpressible", Severity.NOTE, found.span, message, help_text)


def _disagrees(found: Disagreement, different: int, asked: int, binding: Binding) -> Finding:
    first, second = _differing(found)
    place = first or second
    symbols = f" for {' + '.join(binding.groups)}" if binding.groups else ""
    message = (
        f"{engine_name()} disagrees on `{found.step.ruleset}`{symbols}: the interpreter says "
        f"{_said(found.interpreter)}, it says {_said(found.witness)}, at {_shown(found)} "
        f"({different:,} of {asked:,} inputs differ)"
    )
    help_text = (
        "one of the two engines is wrong: report it, with this finding; docs/durable-rules.md says what is known"
    )
    related = (Related(second.span, "the other rule stands here"),) if first and second and first != second else ()
    span = place.span if place else found.step.span
    return Finding("backend.disagrees", Severity.ERROR, span, message, help_text, related)


def _differing(found: Disagreement) -> tuple[Rule | None, Rule | None]:
    """A rule that the interpreter alone matches, and one that the other alone does."""
    ours, theirs = found.interpreter.matched, found.witness.matched
    return next((rule for rule in ours if rule not in theirs), None), next(
        (rule for rule in theirs if rule not in ours), None
    )


def _said(answer: StepAnswer) -> str:
    rules = ", ".join(rule.id for rule in answer.matched) or "no veto"
    return f"{rules} ({', '.join(f'{name} {_value(value)}' for name, value in answer.sets.items())})"


def _shown(found: Disagreement) -> str:
    """The input, as far as the rules in question look at it."""
    rules = [rule for rule in _differing(found) if rule is not None] or list(found.interpreter.matched)
    looked_at = [
        part.name
        for rule in rules
        for leaf in rule.leaves()
        for part in walk(leaf.written.expression)
        if isinstance(part, model.FactRef | model.DecisionRef)
    ]
    values = {name: found.names[name] for name in dict.fromkeys(looked_at)} or found.names
    return ", ".join(
        f"{name} {'missing' if isinstance(value, Missing) else _value(value)}" for name, value in values.items()
    )


def _value(value: Value) -> str:
    return print_number(value) if isinstance(value, float) else show_value(value)
