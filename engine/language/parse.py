"""Expression text becomes a syntax tree (`syntax`), or one problem with its place, its text and how to mend it.

The grammar is grammar.lark, parsed by Lark as LALR(1) at 40 to 60 microseconds an expression; parses are memoised by
text, so an unchanged expression costs a dictionary lookup at the next load. Habits of other languages (`=`, `&&`,
chained comparisons) are known mistakes and get a text of their own.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import lark

from engine.language import syntax
from engine.language.nodes import MOST_NESTING
from engine.language.spelling import near
from engine.language.syntax import Expression

MOST_REMEMBERED = 20_000
"""Parses kept: some twenty times the largest rulebook we generate."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a text is no expression: offsets into it, message and help."""

    start: int
    end: int
    message: str
    help: str


_PARSER = lark.Lark(
    (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8"),
    parser="lalr",
    propagate_positions=True,
    maybe_placeholders=False,
)

_MISTAKES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"=<|=>"), "the `=` comes last in a comparison", "write `<=` or `>=`"),
    (re.compile(r"(?<![<>=!])=(?!=)"), "`=` is no comparison", "equality is written `==`"),
    (re.compile(r"&&?"), "`&&` is not an operator", "write `and`"),
    (re.compile(r"\|\|?"), "`||` is not an operator", "write `or`"),
    (re.compile(r"!(?!=)"), "`!` is not an operator", "write `not`"),
    (re.compile(r"<>"), "`<>` is not an operator", "write `!=`"),
    (re.compile(r"\*\*|\^"), "there are no powers in this language", "multiply"),
    (re.compile(r"%"), "there are no percentages or remainders", "write the ratio: 0.5 for 50 %"),
    (re.compile(r'"'), "text is written in single quotes", "'text'"),
    (re.compile(r"\bis\s+not\b"), "`is not` is not part of the language", "write `is known` or `is missing`, or `!=`"),
    (re.compile(r"\b(null|None|nil|undefined)\b"), "there is no null: a value is missing or known", "`x is missing`"),
    (re.compile(r"\b(True|False|TRUE|FALSE)\b"), "flags are written in lower case", "`true` or `false`"),
    (re.compile(r"\b(AND|OR|NOT|IN|IS)\b"), "words of the language are written in lower case", "and, or, not, in, is"),
)

_WORDS_BETWEEN = ("and", "or", "implies", "in", "is", "not")


@lru_cache(maxsize=MOST_REMEMBERED)
def parse(text: str) -> Expression | Problem:
    """The syntax tree of an expression, or the problem that stopped it.

    >>> parse("spread_bps > $max").operator
    '>'
    >>> parse("spread_bps = 3").message
    '`=` is no comparison'
    """
    if text.count("(") + text.count("-") + text.count("not ") >= MOST_NESTING and _nested(text) >= MOST_NESTING:
        return Problem(0, len(text), f"nested more than {MOST_NESTING} deep", "split it into leaves or steps")
    if not text.strip():
        return Problem(0, max(len(text), 1), "an expression is expected here", "write a condition or a value")
    try:
        tree = _PARSER.parse(text)
    except lark.exceptions.UnexpectedInput as error:
        return _explain(text, error)
    try:
        return _convert(tree)
    except _TooDeepError:
        return Problem(0, len(text), f"nested more than {MOST_NESTING} deep", "split it into leaves or steps")
    except _BadNumberError as error:
        return Problem(error.start, error.end, "this number is too large for a double", "the largest is about 1.8e308")


class _TooDeepError(Exception):
    pass


class _BadNumberError(Exception):
    def __init__(self, start: int, end: int) -> None:
        super().__init__()
        self.start = start
        self.end = end


def _nested(text: str) -> int:
    """An upper bound of the depth an expression can have besides its operators."""
    depth = deepest = 0
    for character in text:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth -= 1
    return max(deepest, _longest_prefix_run(text))


def _longest_prefix_run(text: str) -> int:
    return max((len(re.findall(r"-|not", run)) for run in re.findall(r"(?:(?:-|\bnot\b)\s*)+", text)), default=0)


_MOST_OPERATORS = 100
"""Operators side by side nest to the left; beyond this a text is generated, not written."""


def _convert(tree: Any, depth: int = 0) -> Expression:
    """A Lark tree as our nodes."""
    if depth > _MOST_OPERATORS:
        raise _TooDeepError
    rule, children, meta = tree.data, tree.children, tree.meta
    match rule:
        case "group":
            return _convert(children[0], depth + 1)
        case "true" | "false":
            return syntax.Boolean(meta.start_pos, meta.end_pos, rule == "true")
        case "vetoed":
            return syntax.Vetoed(meta.start_pos, meta.end_pos, None, None)
    start, end = meta.start_pos, meta.end_pos
    first = children[0]
    match rule:
        case "number":
            value = float(first)
            if not math.isfinite(value):
                raise _BadNumberError(start, end)
            return syntax.Number(start, end, value)
        case "text":
            return syntax.Text(start, end, str(first)[1:-1])
        case "name":
            return syntax.Name(start, end, str(first))
        case "param":
            owner, _, name = str(first)[1:].rpartition(".")
            return syntax.Parameter(start, end, owner or None, name)
        case "vetoed_by":
            return syntax.Vetoed(start, end, str(first), str(children[1]))
        case "call":
            arguments = tuple(_convert(argument, depth + 1) for argument in children[1].children)
            return syntax.Call(start, end, str(first), arguments)  # type: ignore[arg-type]  # the lexer admits no other
        case "negative":
            return syntax.Negative(start, end, _convert(first, depth + 1))
        case "not_":
            return syntax.Not(start, end, _convert(first, depth + 1))
        case "is_missing" | "is_known":
            return syntax.Presence(start, end, _convert(first, depth + 1), rule == "is_known")
        case "member" | "not_member":
            elements = tuple(_convert(element, depth + 1) for element in children[1].children)
            return syntax.Member(start, end, _convert(first, depth + 1), elements, rule == "not_member")
    left, right = _convert(first, depth + 1), _convert(children[-1], depth + 1)
    match rule:
        case "compare":
            return syntax.Compare(start, end, str(children[1]), left, right)  # type: ignore[arg-type]  # as above
        case "binary":
            return syntax.Arithmetic(start, end, str(children[1]), left, right)  # type: ignore[arg-type]  # as above
        case "and_":
            return syntax.And(start, end, left, right)
        case "or_":
            return syntax.Or(start, end, left, right)
        case "implies":
            return syntax.Implies(start, end, left, right)
    raise AssertionError(rule)


def _explain(text: str, error: lark.exceptions.UnexpectedInput) -> Problem:
    token = getattr(error, "token", None)
    at = error.pos_in_stream if error.pos_in_stream is not None and error.pos_in_stream >= 0 else len(text)
    word = str(token) if token is not None and token.type != "$END" else ""
    if token is not None and token.type == "$END":
        at = len(text.rstrip())
    for pattern, message, help_text in _MISTAKES:
        found = pattern.search(text)
        if found and not _inside_quotes(text, found.start()) and found.start() <= max(at, found.end() - 1):
            return Problem(found.start(), found.end(), message, help_text)
    end = at + max(len(word), 1)
    if not word and at >= len(text.rstrip()):
        if text.count("(") > text.count(")"):
            return Problem(max(at - 1, 0), at, "a `)` is missing", "close the parenthesis")
        return Problem(max(at - 1, 0), at, "the expression ends too early", "something must follow")
    if token is None:
        if text[at] == "'":
            return Problem(at, at + 1, "this text is not closed", "end it with a single quote on the same line")
        return Problem(at, at + 1, f"`{text[at]}` is not part of the language", "see docs/language.md")
    if token.type == "COMPARE" and re.search(r"(<=?|>=?|==|!=)", text[:at]):
        return Problem(at, end, "comparisons do not chain", "write `a <= x and x <= b`")
    if word == "is":
        return Problem(at, end, "`is` takes one name or a parenthesis", "write `(x / y) is known`")
    if token.type == "NAME":
        meant = near(word, _WORDS_BETWEEN)
        help_text = f"did you mean `{meant}`?" if meant else "an operator is missing before it, or it is misspelt"
        return Problem(at, end, f"`{word}` is not expected here", help_text)
    if word == "]" and text[:at].rstrip().endswith("["):
        return Problem(at, end, "an empty list contains nothing", "name at least one value")
    return Problem(at, end, f"`{word}` is not expected here", "check the operators and parentheses before it")


def _inside_quotes(text: str, position: int) -> bool:
    return text.count("'", 0, position) % 2 == 1
