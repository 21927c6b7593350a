"""What a policy is made of, as far as anything can be asked about it: each part that should matter has a name.

In: a policy. Out: the names of its parts, the bit of the solver that says where one of them is possible, and the parts
that an input shows to be possible when the interpreter decides it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from engine.analysis.proofs import Question
from engine.backends import interpreter
from engine.backends.interpreter import RuleTrace, StepTrace
from engine.backends.solver.encode import PolicyTerms
from engine.backends.solver.terms import Bit, compare_reals, conj, neg
from engine.language import model
from engine.language.evaluate import Environment, Missing, evaluate, number
from engine.language.model import Expression, Leaf, Policy, Rule, Step
from engine.language.soundness import parameters_of
from engine.language.types import Value

Part: TypeAlias = tuple[str, ...]
"""One thing that can be asked about: its kind, the rule, set or parameter, and what tells it from others of that."""

Possible: TypeAlias = tuple[Part, Expression | None]
"""A part of a rule that should be possible for some input, with the condition that it is about."""

POSSIBLE: Mapping[str, Question] = {"rule": "dead", "leaf": "conditions", "clamp": "clamps"}
"""The kinds of parts that should be possible for some input, and what they are asked for."""
_CLAMPS = ("at_least", "at_most")


def parts_of(policy: Policy, only: Container[Question]) -> Iterator[Part]:
    """Every part of a policy that these questions are about. Without any disabled rule: a loaded policy has none."""
    for step in policy.steps:
        if "total" in only:
            yield "total", policy.name, step.ruleset
        for rule in step.rules:
            for part, _ in possible_of(rule):
                if POSSIBLE[part[0]] in only:
                    yield part
            if "redundant" in only and is_removable(step, rule):
                yield "needed", rule.full_id
        if "parameters" in only:
            yield from (("param", name) for name in sorted(parameters_of(step)))


def bits_of(terms: PolicyTerms, only: Container[Question]) -> Iterator[tuple[Part, Bit]]:
    """Every part of an encoded policy that should be possible for some input, with the bit that says for which."""
    for item in terms.rules.values():
        for part, about in possible_of(item.rule):
            if POSSIBLE[part[0]] not in only:
                continue
            match part:
                case ("rule", _):
                    yield part, item.fires
                case ("leaf", _, index, path, state):
                    assert about is not None
                    truth = terms.truth(about).true if path else item.leaves[int(index)].true
                    yield part, conj(item.reached, truth if state == "true" else neg(truth))
                case ("clamp", name, index, state):
                    effect = item.rule.effects[int(index)]
                    before, after = terms.running[name, effect.name, int(index)]
                    binds = compare_reals("!=", before, after)
                    yield part, conj(item.fires, binds if state == "binds" else neg(binds))


def shown_in(
    steps: Iterable[StepTrace],
    parameters: Mapping[str, Value],
    parts: Mapping[str, Sequence[Possible]],
    wanted: Container[Part],
) -> Iterator[Part]:
    """Of the parts of each rule (`possible_of`, by `set.rule`), those wanted that a decision shows to be possible."""
    for step in steps:
        env = Environment(step.names, parameters)
        for seen in step.rules:
            for part, about in parts[seen.rule.full_id]:
                if part in wanted and part[0] != "clamp" and _shows(seen, part, about, env):
                    yield part
        if step.step.hit == "each":
            yield from (part for part in _clamps_in(step, env) if part in wanted)


def _shows(seen: RuleTrace, part: Part, about: Expression | None, env: Environment) -> bool:
    """Whether a rule that was looked at fired, or one of its conditions was true, or was not."""
    if part[0] == "rule":
        return seen.matched
    _, _, index, path, state = part
    assert about is not None
    truth = evaluate(about, env) if path else seen.leaves[int(index)]
    return (truth is True) == (state == "true")


def _clamps_in(step: StepTrace, env: Environment) -> Iterator[Part]:
    """What each clamp of the rules that matched did to the running value."""
    running = {name: evaluate(start.expression, env) for name, start in step.step.start}
    for seen in step.rules:
        if not seen.matched:
            continue
        for index, effect in enumerate(seen.rule.effects):
            before, given = running[effect.name], evaluate(effect.value.expression, env)
            assert not isinstance(before, Missing)
            assert not isinstance(given, Missing)
            running[effect.name] = interpreter.applied(effect, before, given)
            if effect.kind in _CLAMPS:
                state = "binds" if number(before) != running[effect.name] else "idle"
                yield "clamp", seen.rule.full_id, str(index), state


def possible_of(rule: Rule) -> Iterator[Possible]:
    """The parts of one rule that should be possible."""
    name = rule.full_id
    yield ("rule", name), None
    for leaf in rule.leaves():
        for path, condition in atoms(leaf):
            for state in ("true", "other"):
                yield ("leaf", name, str(leaf.index), path, state), condition
    for index, effect in enumerate(rule.effects):
        if effect.kind in _CLAMPS:
            for state in ("binds", "idle"):
                yield ("clamp", name, str(index), state), None


def is_removable(step: Step, rule: Rule) -> bool:
    """Whether a rule can be asked to be needed: the last of a `first` set stands for totality."""
    return not (step.hit == "first" and rule is step.rules[-1])


def atoms(leaf: Leaf) -> Iterator[tuple[str, Expression]]:
    """A leaf (with an empty path) and the conditions that its `and`, `or`, `not` and `implies` join."""
    yield from _joined(leaf.written.expression, "")


def _joined(expression: Expression, path: str) -> Iterator[tuple[str, Expression]]:
    yield path, expression
    match expression:
        case model.Logical(left=left, right=right):
            yield from _joined(left, f"{path}l")
            yield from _joined(right, f"{path}r")
        case model.Not(operand=operand):
            yield from _joined(operand, f"{path}n")


def in_words(part: Part) -> str:
    """A part as a person would name it."""
    kind, *names = part
    words = {
        "total": "whether `{1}` always has a value", "rule": "whether `{0}` is reached",
        "needed": "whether `{0}` is needed", "param": "whether `{0}` matters",
        "leaf": "whether a condition of `{0}` decides", "clamp": "whether a clamp of `{0}` binds",
    }  # fmt: skip
    return words[kind].format(*names)
