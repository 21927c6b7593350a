"""Typed expressions become text again, in one canonical form: two that mean the same tree print the same.

The text parses back to the same tree, which is what the version digest and `sluice show` rely on.
"""

from __future__ import annotations

from typing import assert_never

from engine.language import model
from engine.language.model import AllOf, AnyOf, Condition, Expression, Invariant, Leaf, Written
from engine.language.types import TextType, Value

# How tightly each form binds: an operand printed with less than its place asks for gets parentheses.
_IMPLIES, _OR, _AND, _NOT, _TEST, _SUM, _PRODUCT, _UNARY, _ATOM = range(9)
_LOGICAL = {"implies": _IMPLIES, "or": _OR, "and": _AND}


def print_value(value: Value, kind: object) -> str:
    """A value as the language writes it; numbers as the shortest text of the same double.

    >>> print_value(20.0, None), print_value(True, None)
    ('20', 'true')
    """
    if isinstance(kind, TextType):
        return f"'{value}'"
    if isinstance(value, bool):
        return "true" if value else "false"
    return print_number(value) if isinstance(value, float) else str(value)


def print_number(value: float) -> str:
    """The shortest text that reads back as the same double, without a trailing `.0`."""
    text = repr(value)
    return text.removesuffix(".0")


def print_expression(expression: Expression, *, qualified: bool = False) -> str:
    """The canonical text. `qualified` writes parameters as `$set.name`, as claims do."""
    return _print(expression, _IMPLIES, qualified)


def print_condition(condition: Condition | None) -> str:
    """The canonical text of a `when`; nesting is kept, since it decides which leaf triggers."""
    match condition:
        case None:
            return "always"
        case Leaf(written):
            return print_expression(written.expression)
        case AllOf(items):
            return "all[" + "; ".join(print_condition(item) for item in items) + "]"
        case AnyOf(items):
            return "any[" + "; ".join(print_condition(item) for item in items) + "]"
    assert_never(condition)


def print_invariant(invariant: Invariant) -> str:
    """What an invariant promises, in one line, with expressions as written.

    It reads `quality falls as fallback_ratio rises`, or `route == maker, known or not: telemetry (unless probe)`.
    """
    match invariant:
        case model.Claim(claim=claim):
            return _written(claim)
        case model.Monotone(of=of, in_=in_, moves=moves):
            return f"{of} {moves} as {in_} rises"
        case model.Bounded(of=of, least=least, most=most):
            low = f"{_written(least)} <= " if least is not None else ""
            high = f" <= {_written(most)}" if most is not None else ""
            return f"{low}{of}{high}"
        case model.UnchangedWhen(of=decisions, in_=facts, when=when):
            return f"{', '.join(decisions)} unchanged by {', '.join(facts)} where {_written(when)}"
        case model.FailClosed(when=when, missing=groups, unless=unless):
            excepted = f" (unless {_written(unless)})" if unless is not None else ""
            return f"{_written(when)}, known or not: {', '.join(groups)}{excepted}"
        case model.AtLeastAsStrict(profile=profile, than=than, when=when):
            return f"{profile} at least as strict as {than}: {_written(when)}"
    assert_never(invariant)


def _written(written: Written) -> str:
    return " ".join(written.text.split())


def _print(expression: Expression, place: int, qualified: bool) -> str:
    text, binds = _form(expression, qualified)
    return text if binds >= place else f"({text})"


def _form(expression: Expression, qualified: bool) -> tuple[str, int]:
    def show(operand: Expression, place: int) -> str:
        return _print(operand, place, qualified)

    match expression:
        case model.Constant(value=value, type=kind):
            return print_value(value, kind), _ATOM
        case model.FactRef(name=name) | model.DecisionRef(name=name):
            return name, _ATOM
        case model.ParameterRef(ruleset=owner, name=name):
            return (f"${owner}.{name}" if qualified else f"${name}"), _ATOM
        case model.Negative(operand=operand):
            return f"-{show(operand, _UNARY)}", _UNARY
        case model.Arithmetic(operator=operator, left=left, right=right):
            place = _SUM if operator in "+-" else _PRODUCT
            return f"{show(left, place)} {operator} {show(right, place + 1)}", place
        case model.Call(function=function, arguments=arguments):
            return f"{function}({', '.join(show(argument, _SUM) for argument in arguments)})", _ATOM
        case model.Compare(operator=operator, left=left, right=right):
            return f"{show(left, _SUM)} {operator} {show(right, _SUM)}", _TEST
        case model.Member(operand=operand, elements=elements, negated=negated):
            listed = ", ".join(show(element, _SUM) for element in elements)
            return f"{show(operand, _SUM)} {'not in' if negated else 'in'} [{listed}]", _TEST
        case model.Presence(operand=operand, known=known):
            return f"{show(operand, _ATOM)} is {'known' if known else 'missing'}", _TEST
        case model.Not(operand=operand):
            return f"not {show(operand, _NOT)}", _NOT
        case model.Logical(operator="implies", left=left, right=right):
            return f"{show(left, _OR)} implies {show(right, _IMPLIES)}", _IMPLIES
        case model.Logical(operator=word, left=left, right=right):
            place = _LOGICAL[word]
            return f"{show(left, place)} {word} {show(right, place + 1)}", place
        case model.VetoedRef(ruleset=None):
            return "vetoed", _ATOM
        case model.VetoedRef(ruleset=owner, rule=rule):
            return f"vetoed by {owner}.{rule}", _ATOM
    assert_never(expression)
