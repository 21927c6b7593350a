"""Whether a decision keeps the promises its policy lists under `invariants`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine import Book
from engine.backends.decision import Decision
from engine.language.evaluate import Environment, Known, Missing, evaluate
from engine.language.model import AtLeastAsStrict, Claim, Expression, Logical, Policy
from engine.language.types import ChoiceType, Value


def applies(invariant: Any, profile: str) -> bool:
    """True if the invariant is promised for this profile."""
    return invariant.profiles is None or profile in invariant.profiles


def broken(book: Book, policy: Policy, decision: Decision, facts: Mapping[str, Any]) -> list[str]:
    """The claims a decision breaks; one that comes out unknown is broken."""
    env = environment(book, policy, decision, facts)
    claims = [item for item in policy.invariants if isinstance(item, Claim) and applies(item, book.profile)]
    return [claim.id for claim in claims if evaluate(claim.claim.expression, env) is not True]


def spoken(book: Book, policy: Policy, decision: Decision, facts: Mapping[str, Any]) -> Iterator[str]:
    """The premises that hold of a decision: a claim whose premise never does says nothing."""
    env = environment(book, policy, decision, facts)
    return (name for name, premise in premises(policy, book.profile) if evaluate(premise, env) is True)


def premises(policy: Policy, profile: str | None = None) -> Iterator[tuple[str, Expression]]:
    """What stands before each `implies` of the claims (one after another in a conjunction), for all profiles or one."""
    for item in policy.invariants:
        if isinstance(item, Claim) and (profile is None or applies(item, profile)):
            for number, premise in enumerate(_premises(item.claim.expression), 1):
                yield f"{item.id} {number}", premise


def _premises(claim: Expression) -> Iterator[Expression]:
    if isinstance(claim, Logical) and claim.operator == "implies":
        yield claim.left
    elif isinstance(claim, Logical) and claim.operator == "and":
        yield from (*_premises(claim.left), *_premises(claim.right))


def holds(book: Book, policy: Policy, decision: Decision, facts: Mapping[str, Any], when: Expression) -> bool:
    """True if a condition over facts and decisions holds."""
    return evaluate(when, environment(book, policy, decision, facts)) is True


def looser(book: Book, other: Book, invariant: AtLeastAsStrict, facts: Mapping[str, Any]) -> bool:
    """True if `when` holds under the strict profile and not under the other one."""
    policies = [each.rulebook.policies for each in (book, other)]
    name = next(name for name, policy in policies[0].items() if invariant in policy.invariants)
    held = [
        holds(each, each.rulebook.policies[name], each.decide(name, facts), facts, invariant.when.expression)
        for each in (book, other)
    ]
    return held[0] and not held[1]


def environment(book: Book, policy: Policy, decision: Decision, facts: Mapping[str, Any]) -> Environment:
    """What the names of a claim stand for."""
    names: dict[str, Known] = {**decision.seen.names(), **decision.outcome.values}
    vetoed = {step.ruleset: set[str]() for step in policy.steps if step.hit == "veto"}
    for firing in decision.outcome.vetoes:
        vetoed[firing.rule.ruleset].add(firing.rule.id)
    binding = book.rulebook.binding_of(facts.get("symbol"))
    return Environment(names, binding.values, {name: frozenset(rules) for name, rules in vetoed.items()})


def rank(policy: Policy, name: str, value: Value) -> float:
    """Where a decided value stands in its declared order."""
    kind = policy.types()[name]
    return float(kind.of.index(str(value))) if isinstance(kind, ChoiceType) else float(value)


def known(decision: Decision, fact: str) -> bool:
    """True if the decision saw a value of that fact."""
    return not isinstance(decision.seen.names()[fact], Missing)
