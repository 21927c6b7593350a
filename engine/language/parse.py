"""Expression text becomes a syntax tree (`syntax`), or one problem with its place, its text and how to mend it.

The grammar is grammar.lark, of which Lark makes an LALR(1) table that `tables` walks, at some 12 microseconds an
expression; parses are memoised by text, so an unchanged expression costs a dictionary lookup at the next load. Habits
of other languages (`=`, `&&`, chained comparisons) are known mistakes and get a text of their own.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import lark

from engine.language import syntax
from engine.language.nodes import MOST_NESTING
from engine.language.spelling import near
from engine.language.syntax import Expression
from engine.language.tables import Tables

MOST_REMEMBERED = 20_000
"""Parses kept: some twenty times the largest rulebook we generate."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a text is no expression: offsets into it, message and help."""

    start: int
    end: int
    message: str
    help: str


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
        # What _Nodes made of it; where that is nothing, Lark's own parser says why.
        tree = cast("Expression", _TABLES.parse(text) or _PARSER.parse(text))
    except lark.exceptions.UnexpectedInput as error:
        return _explain(text, error)
    except _BadNumberError as error:
        return Problem(error.start, error.end, "this number is too large for a double", "the largest is about 1.8e308")
    if len(text) > 2 * _MOST_OPERATORS and _depth(tree) > _MOST_OPERATORS:  # an operator takes two characters
        return Problem(0, len(text), f"nested more than {MOST_NESTING} deep", "split it into leaves or steps")
    return tree


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


_MOST_OPERATORS = 60
"""Operators side by side nest to the left; beyond this a text is generated, not written."""


def _depth(tree: Expression) -> int:
    """How deep a tree is, without recursion: what follows recurses, and must not run out of stack."""
    deepest = 0
    waiting: list[tuple[Any, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        for name in type(node).__slots__:
            held = getattr(node, name)
            children = held if isinstance(held, tuple) else (held,)
            waiting.extend((child, depth + 1) for child in children if isinstance(child, syntax.PLACED))
    return deepest


class _Nodes(lark.Transformer[Any, Any]):
    """Builds our nodes while the parser reduces: no tree of Lark's own, and positions from the tokens alone."""

    def number(self, children: list[Any]) -> Expression:
        token = children[0]
        value = float(token.value)
        if not math.isfinite(value):
            raise _BadNumberError(token.start_pos, token.end_pos)
        return syntax.Number(token.start_pos, token.end_pos, value)

    def true(self, children: list[Any]) -> Expression:
        return syntax.Boolean(children[0].start_pos, children[0].end_pos, value=True)

    def false(self, children: list[Any]) -> Expression:
        return syntax.Boolean(children[0].start_pos, children[0].end_pos, value=False)

    def text(self, children: list[Any]) -> Expression:
        return syntax.Text(children[0].start_pos, children[0].end_pos, children[0].value[1:-1])

    def name(self, children: list[Any]) -> Expression:
        return syntax.Name(children[0].start_pos, children[0].end_pos, children[0].value)

    def param(self, children: list[Any]) -> Expression:
        owner, _, name = children[0].value[1:].rpartition(".")
        return syntax.Parameter(children[0].start_pos, children[0].end_pos, owner or None, name)

    def vetoed(self, children: list[Any]) -> Expression:
        return syntax.Vetoed(children[0].start_pos, children[0].end_pos, None, None)

    def vetoed_by(self, children: list[Any]) -> Expression:
        return syntax.Vetoed(children[0].start_pos, children[-1].end_pos, children[2].value, children[4].value)

    def group(self, children: list[Any]) -> Expression:
        inner: Expression = replace(children[1], start=children[0].start_pos, end=children[2].end_pos)
        return inner

    def call(self, children: list[Any]) -> Expression:
        function, _, arguments, closing = children
        return syntax.Call(function.start_pos, closing.end_pos, function.value, arguments)

    def listed(self, children: list[Any]) -> tuple[Expression, ...]:
        return tuple(children[::2])  # commas stand between them

    elements = arguments = listed

    def negative(self, children: list[Any]) -> Expression:
        return syntax.Negative(children[0].start_pos, children[1].end, children[1])

    def not_(self, children: list[Any]) -> Expression:
        return syntax.Not(children[0].start_pos, children[1].end, children[1])

    def is_missing(self, children: list[Any]) -> Expression:
        return syntax.Presence(children[0].start, children[2].end_pos, children[0], known=False)

    def is_known(self, children: list[Any]) -> Expression:
        return syntax.Presence(children[0].start, children[2].end_pos, children[0], known=True)

    def member(self, children: list[Any]) -> Expression:
        return syntax.Member(children[0].start, children[-1].end_pos, children[0], children[-2], negated=False)

    def not_member(self, children: list[Any]) -> Expression:
        return syntax.Member(children[0].start, children[-1].end_pos, children[0], children[-2], negated=True)

    def compare(self, children: list[Any]) -> Expression:
        left, operator, right = children
        return syntax.Compare(left.start, right.end, operator.value, left, right)

    def binary(self, children: list[Any]) -> Expression:
        left, operator, right = children
        return syntax.Arithmetic(left.start, right.end, operator.value, left, right)

    def and_(self, children: list[Any]) -> Expression:
        return syntax.And(children[0].start, children[2].end, children[0], children[2])

    def or_(self, children: list[Any]) -> Expression:
        return syntax.Or(children[0].start, children[2].end, children[0], children[2])

    def implies(self, children: list[Any]) -> Expression:
        return syntax.Implies(children[0].start, children[2].end, children[0], children[2])


_PARSER = lark.Lark(
    (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8"),
    parser="lalr",
    keep_all_tokens=True,
    maybe_placeholders=False,
    transformer=_Nodes(),
)
_TABLES = Tables(_PARSER)


def _explain(text: str, error: lark.exceptions.UnexpectedInput) -> Problem:
    token = getattr(error, "token", None)
    place: Any = error.pos_in_stream  # Lark gives None or -1 at the end of the text
    at: int = len(text) if place is None or place < 0 else place
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
