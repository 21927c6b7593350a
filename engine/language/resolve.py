"""Syntax trees become typed expressions: every name resolved in its scope, types and units checked.

In: a syntax tree and a `Scope` (what may be named here). Out: a `model` expression, or None with findings. A bare name
that nothing in scope has is a choice value, and the other side of the comparison (or the target of `set`) says of which
choice; that is the only place where context decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from engine.language import model, syntax
from engine.language.documents import Declaration, ExpressionText
from engine.language.findings import Findings, Related, Span
from engine.language.model import Expression
from engine.language.spelling import did_you_mean
from engine.language.types import (
    ANY_UNIT,
    ChoiceType,
    FlagType,
    NumberType,
    TextType,
    Type,
    Unit,
    common_unit,
    describe,
    describe_unit,
    product_unit,
    quotient_unit,
)

_RULE_NUMBERS = (0.0, 1.0)
"""Literals a rule set may hold (and -1, by the sign); every other number is a parameter."""

_HABITS = {
    **dict.fromkeys(("null", "None", "nil", "undefined", "nan"), "there is no null: test `is missing` or `is known`"),
    **dict.fromkeys(("True", "False", "TRUE", "FALSE", "yes", "no", "on", "off"), "flags are `true` and `false`"),
}
"""Words of other languages that are ordinary names here, and what to write instead where nothing has that name."""

_UNIT_HELP = {
    **dict.fromkeys(("+", "-"), "units of a sum are equal; see docs/language.md, units"),
    "*": "one factor has no unit or is a ratio, or they are a price and a qty; see docs/language.md, units",
    "/": "divide by the same unit, by a ratio or by no unit, or usd by price or qty; see docs/language.md, units",
}

_ORDER = frozenset(("<", "<=", ">", ">="))


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name: facts and decisions by bare name, parameters by `$name`."""

    facts: Mapping[str, model.FactRef] = field(default_factory=dict)
    decisions: Mapping[str, Type] = field(default_factory=dict)
    later: Mapping[str, Span] = field(default_factory=dict)
    """Names set by this or a later step: known only to say so."""
    unread: Mapping[str, tuple[str, Span]] = field(default_factory=dict)
    """Facts of groups that the policy does not read, with their group: known only to say so."""
    unrun: Mapping[str, tuple[str, Span]] = field(default_factory=dict)
    """Names set by rule sets that are no step of the policy, with their rule set: known only to say so."""
    values: Container[str] = ()
    """Values of the choices in scope: whether one is a name no one has depends on what it is compared with."""
    where: Callable[[str], str] | None = None
    """For messages: the policies in which a name means as little as here."""
    ruleset: str = ""
    params: Mapping[str, Declaration] = field(default_factory=dict)
    """Parameters of the own rule set."""
    all_params: Mapping[str, Mapping[str, Declaration]] | None = None
    """In claims and windows: parameters of rule sets, as `$set.name`."""
    vetoes: Mapping[str, Iterable[str]] | None = None
    """In claims: rule ids of every veto step."""
    any_number: bool = False
    """True where literals other than 0 and 1 are allowed."""
    complete: bool = True
    """False where names are missing because another file is broken: then an unknown one is not worth a finding."""
    used: Callable[[str, str], object] | None = None
    """Told of every parameter read, as (rule set, name)."""
    holder: str = "a rule set"
    """For messages: what holds the expression."""
    help_unknown: str = "a policy reads the facts of the groups it lists under `reads`"
    """For messages: where names come from."""


def resolve(text: ExpressionText, scope: Scope, findings: Findings, expected: Type | None = None) -> Expression | None:
    """The typed expression, or None with findings. `expected` is the target's type: it helps to read a bare name."""
    return _Resolver(text, scope, findings).resolve(text.tree, expected)


def resolve_condition(text: ExpressionText, scope: Scope, findings: Findings) -> Expression | None:
    """The typed condition, or None with findings."""
    typed = resolve(text, scope, findings, model.FLAG)
    if typed is None:
        return None
    if not isinstance(typed.type, FlagType):
        findings.add(
            "type.condition", text.span, f"a condition is true or false, this is {describe(typed.type)}", "compare it"
        )
        return None
    return typed


def number(unit: Unit) -> NumberType:
    """The type of a computed number: its range is found by intervals, once parameters have values."""
    return NumberType(unit, -math.inf, math.inf)


class _Resolver:
    def __init__(self, text: ExpressionText, scope: Scope, findings: Findings) -> None:
        self._text = text
        self._scope = scope
        self._findings = findings

    def resolve(self, node: syntax.Expression, expected: Type | None = None) -> Expression | None:
        at = (node.start, node.end)
        match node:
            case syntax.Number(value=value):
                if not self._scope.any_number and value not in _RULE_NUMBERS:
                    return self._refuse(
                        "number.literal", node, f"{self._scope.holder} holds no numbers beyond 0, 1 and -1",
                        "declare a parameter and give its value in profiles/",
                    )  # fmt: skip
                return model.Constant(*at, value, NumberType(ANY_UNIT, value, value))
            case syntax.Boolean(value=flag):
                return model.Constant(*at, flag, model.FLAG)
            case syntax.Text(value=literal):
                if isinstance(expected, ChoiceType) and literal in expected.of:
                    return self._refuse(
                        "type.mismatch", node, "a choice value is written without quotes", f"`{literal}`"
                    )
                return model.Constant(*at, literal, TextType())
            case syntax.Name():
                return self._name(node, expected)
            case syntax.Parameter():
                return self._parameter(node)
            case syntax.Negative(operand=operand):
                inner = self._number(operand)
                return inner and model.Negative(*at, inner, number(_unit(inner)))
            case syntax.Arithmetic():
                return self._arithmetic(node)
            case syntax.Call():
                return self._call(node)
            case syntax.Compare():
                return self._compare(node)
            case syntax.Member():
                return self._member(node)
            case syntax.Presence():
                return self._presence(node)
            case syntax.Not(operand=operand):
                negated = self._flag(operand)
                return negated and model.Not(*at, negated)
            case syntax.And(left=left, right=right):
                return self._logical(node, "and", left, right)
            case syntax.Or(left=left, right=right):
                return self._logical(node, "or", left, right)
            case syntax.Implies(left=left, right=right):
                return self._logical(node, "implies", left, right)
            case syntax.Vetoed():
                return self._vetoed(node)
        assert_never(node)

    def _refuse(
        self, code: str, node: syntax.Expression, message: str, help_text: str, *related: Related
    ) -> Expression | None:
        """Keep a finding; there is no typed expression then."""
        self._findings.add(code, self._text.at(node), message, help_text, *related)
        return None

    def _name(self, node: syntax.Name, expected: Type | None) -> Expression | None:
        at, name, scope = (node.start, node.end), node.name, self._scope
        if name in scope.facts:
            fact = scope.facts[name]
            return model.FactRef(*at, fact.group, fact.name, fact.type)
        if name in scope.decisions:
            return model.DecisionRef(*at, name, scope.decisions[name])
        if isinstance(expected, ChoiceType) and name in expected.of:
            return model.Constant(*at, name, expected)
        if name in scope.later:
            here = f" in {scope.where(name)}" if scope.where else ""
            return self._refuse(
                "name.later", node, f"`{name}` is not yet decided here{here}", "a step reads what earlier steps set",
                Related(scope.later[name], "it is set here"),
            )  # fmt: skip
        if name in scope.params:
            return self._refuse("name.unknown", node, f"`{name}` is a parameter", f"write `${name}`")
        if not scope.complete:
            return None
        known = [*scope.facts, *scope.decisions]
        where = scope.where(name) if scope.where else ""
        if name in scope.unrun:
            owner, place = scope.unrun[name]
            return self._refuse(
                "name.unknown", node, f"`{owner}` sets `{name}` and is no step of {where}",
                "add it to the steps, or read the decisions of a policy that runs it", Related(place, "it is set here"),
            )  # fmt: skip
        if name in scope.unread:
            owner, place = scope.unread[name]
            return self._refuse(
                "name.unknown", node, f"`{name}` is a fact of `{owner}`, which is not read by {where}",
                f"add `{owner}` to its `reads`", Related(place, "it is declared here"),
            )  # fmt: skip
        if isinstance(expected, ChoiceType):
            message = f"`{name}` is neither a name in scope nor a value of the choice"
            listed = "its values are " + ", ".join(expected.of)
            return self._refuse("name.unknown", node, message, did_you_mean(name, [*expected.of, *known], listed))
        if name in ("min", "max", "abs"):
            return self._refuse("name.keyword", node, f"`{name}` is a function", f"write `{name}(…)`")
        otherwise = _HABITS.get(name, scope.help_unknown)
        nothing = f"nothing in {where} is" if where else "nothing here is"
        return self._refuse("name.unknown", node, f"{nothing} called `{name}`", did_you_mean(name, known, otherwise))

    def _parameter(self, node: syntax.Parameter) -> Expression | None:
        scope = self._scope
        owner = node.ruleset or scope.ruleset
        if not owner:
            return self._refuse(
                "param.unknown", node, f"`${node.name}` lacks its rule set", f"write `$set.{node.name}`"
            )
        if owner == scope.ruleset:
            params = scope.params
        elif scope.all_params is None:
            return self._refuse(
                "param.unknown", node, "a rule set reads its own parameters only",
                "declare one of its own, or decide it in a step",
            )  # fmt: skip
        elif owner in scope.all_params:
            params = scope.all_params[owner]
        elif scope.ruleset:
            help_text = did_you_mean(owner, scope.all_params, "name a file of rules/")
            return self._refuse("param.unknown", node, f"there is no rule set `{owner}`", help_text)
        else:
            help_text = did_you_mean(owner, scope.all_params, "name one that the policy runs")
            return self._refuse("param.unknown", node, f"there is no rule set `{owner}` among the steps", help_text)
        declared = params.get(node.name)
        if declared is None:
            help_text = did_you_mean(node.name, params, f"declare it under `params` of {owner}")
            others = scope.all_params or {}
            if node.ruleset is None and (other := next((name for name in others if node.name in others[name]), None)):
                help_text = f"write `${other}.{node.name}`"
            return self._refuse("param.unknown", node, f"`{owner}` declares no parameter `{node.name}`", help_text)
        if scope.used:
            scope.used(owner, node.name)
        return model.ParameterRef(node.start, node.end, owner, node.name, declared.type)

    def _number(self, node: syntax.Expression) -> Expression | None:
        typed = self.resolve(node)
        if typed is not None and not isinstance(typed.type, NumberType):
            message = f"a number is expected, this is {describe(typed.type)}"
            return self._refuse("type.mismatch", node, message, "arithmetic, `min`, `max` and `abs` are for numbers")
        return typed

    def _flag(self, node: syntax.Expression) -> Expression | None:
        typed = self.resolve(node)
        if typed is not None and not isinstance(typed.type, FlagType):
            message = f"a condition is expected, this is {describe(typed.type)}"
            return self._refuse("type.mismatch", node, message, "compare it with something")
        return typed

    def _arithmetic(self, node: syntax.Arithmetic) -> Expression | None:
        left, right = self._number(node.left), self._number(node.right)
        if left is None or right is None:
            return None
        first, second = _unit(left), _unit(right)
        match node.operator:
            case "*":
                unit = product_unit(first, second)
            case "/":
                unit = quotient_unit(first, second)
            case _:
                unit = common_unit(first, second)
        if unit is None:
            word = {"*": "times", "/": "divided by", "+": "plus", "-": "minus"}[node.operator]
            message = f"{describe_unit(first)} {word} {describe_unit(second)} has no meaning"
            return self._refuse("unit.mismatch", node, message, _UNIT_HELP[node.operator])
        return model.Arithmetic(node.start, node.end, node.operator, left, right, number(unit))

    def _call(self, node: syntax.Call) -> Expression | None:
        wanted = "one argument" if node.function == "abs" else "two or more arguments"
        if (node.function == "abs") != (len(node.arguments) == 1):
            help_text = f"{len(node.arguments)} given"
            return self._refuse("type.arguments", node, f"`{node.function}` takes {wanted}", help_text)
        arguments = []
        unit: Unit = ANY_UNIT
        for argument in node.arguments:
            typed = self._number(argument)
            if typed is None:
                continue
            joined = common_unit(unit, _unit(typed))
            if joined is None:
                message = f"{describe_unit(unit)} and {describe_unit(_unit(typed))} do not compare"
                return self._refuse("unit.mismatch", argument, message, "give it numbers of one unit")
            unit = joined
            arguments.append(typed)
        if len(arguments) < len(node.arguments):
            return None
        return model.Call(node.start, node.end, node.function, tuple(arguments), number(unit))

    def _open(self, node: syntax.Expression) -> bool:
        """True for what only context can read: a bare name that nothing in scope has."""
        return (
            isinstance(node, syntax.Name)
            and node.name not in self._scope.facts
            and node.name not in self._scope.decisions
        )

    def _pair(self, left: syntax.Expression, right: syntax.Expression) -> tuple[Expression, Expression] | None:
        if self._open(left) and not self._open(right):
            second = self.resolve(right)
            first = self._beside(second, left)
        else:
            first = self.resolve(left)
            second = self._beside(first, right)
        return (first, second) if first is not None and second is not None else None

    def _beside(self, partner: Expression | None, node: syntax.Expression) -> Expression | None:
        """The other side of a comparison. Beside one that is wrong, a choice value is not worth a finding."""
        if partner is not None:
            return self.resolve(node, partner.type)
        if not (isinstance(node, syntax.Name) and self._open(node) and node.name in self._scope.values):
            self.resolve(node)
        return None

    def _compare(self, node: syntax.Compare) -> Expression | None:
        pair = self._pair(node.left, node.right)
        if pair is None or not self._comparable(node, *pair, ordered=node.operator in _ORDER):
            return None
        return model.Compare(node.start, node.end, node.operator, *pair)

    def _comparable(self, node: syntax.Expression, left: Expression, right: Expression, *, ordered: bool) -> bool:
        match left.type, right.type:
            case NumberType(unit=first), NumberType(unit=second):
                if common_unit(first, second) is not None:
                    return True
                message = f"{describe_unit(first)} and {describe_unit(second)} do not compare"
                self._refuse("unit.mismatch", node, message, "compare numbers of one unit")
                return False
            case ChoiceType() as first_choice, ChoiceType() as second_choice:
                if first_choice.of != second_choice.of:
                    message = "choices compare only if their lists are equal"
                    self._refuse("type.mismatch", node, message, "compare each of them with one of its values")
                elif ordered and not (first_choice.ordered and second_choice.ordered):
                    message = "these choices have no order"
                    self._refuse("type.order", node, message, "declare them with `ordered: true`, or use `==` or `in`")
                else:
                    return True
                return False
            case (FlagType(), FlagType()) | (TextType(), TextType()):
                if not ordered:
                    return True
                self._refuse("type.order", node, f"{describe(left.type)} has no order", "use `==` or `!=`")
                return False
        message = f"{describe(left.type)} does not compare with {describe(right.type)}"
        quoted = {type(left.type), type(right.type)} == {ChoiceType, TextType}
        help_text = "a choice value is written without quotes" if quoted else "compare values of one type"
        self._refuse("type.mismatch", node, message, help_text)
        return False

    def _member(self, node: syntax.Member) -> Expression | None:
        if self._open(node.operand):
            if not self._scope.complete:
                return None
            message = "the left side of `in` is a name in scope"
            known = [*self._scope.facts, *self._scope.decisions]
            assert isinstance(node.operand, syntax.Name)
            otherwise = "name a fact or what an earlier step decides"
            help_text = did_you_mean(node.operand.name, known, otherwise)
            return self._refuse("name.unknown", node.operand, message, help_text)
        operand = self.resolve(node.operand)
        elements = []
        for element in node.elements:
            typed = self._beside(operand, element)
            if operand is not None and typed is not None and self._comparable(element, operand, typed, ordered=False):
                elements.append(typed)
        if operand is None or len(elements) < len(node.elements):
            return None
        return model.Member(node.start, node.end, operand, tuple(elements), node.negated)

    def _presence(self, node: syntax.Presence) -> Expression | None:
        operand = self.resolve(node.operand)
        if operand is None:
            return None
        if isinstance(operand, (model.Compare, model.Member, model.Presence, model.Not, model.Logical)):
            help_text = "ask it of a name or a sum"
            return self._refuse("presence.condition", node, "a condition is neither known nor missing", help_text)
        if not any(isinstance(part, (model.FactRef, model.Arithmetic)) for part in model.walk(operand)):
            return self._refuse(
                "presence.always", node, "this is always known", "only facts, and sums of them, can be missing"
            )
        return model.Presence(node.start, node.end, operand, node.known)

    def _logical(
        self,
        node: syntax.And | syntax.Or | syntax.Implies,
        operator: str,
        left: syntax.Expression,
        right: syntax.Expression,
    ) -> Expression | None:
        first, second = self._flag(left), self._flag(right)
        if first is None or second is None:
            return None
        return model.Logical(node.start, node.end, operator, first, second)  # type: ignore[arg-type]  # one of three literals

    def _vetoed(self, node: syntax.Vetoed) -> Expression | None:
        vetoes = self._scope.vetoes
        if vetoes is None:
            return self._refuse("claim.only", node, "`vetoed` is for claims", "read the flag that the veto set sets")
        if node.ruleset is not None and node.ruleset not in vetoes:
            help_text = did_you_mean(node.ruleset, vetoes, "name a veto rule set of this policy")
            return self._refuse("name.unknown", node, f"no veto step is called `{node.ruleset}`", help_text)
        if node.ruleset is not None and node.rule is not None and node.rule not in vetoes[node.ruleset]:
            help_text = did_you_mean(node.rule, vetoes[node.ruleset], "name one of its rules")
            return self._refuse("name.unknown", node, f"`{node.ruleset}` has no rule `{node.rule}`", help_text)
        return model.VetoedRef(node.start, node.end, node.ruleset, node.rule)


def _unit(expression: Expression) -> Unit:
    assert isinstance(expression.type, NumberType)
    return expression.type.unit
