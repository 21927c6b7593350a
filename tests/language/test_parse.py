"""Every known mistake has its own text, and the place it points at is the mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.language import syntax
from engine.language.parse import _MISTAKES, Problem, parse

MISTAKES = [
    ("x = 3", "=", "`=` is no comparison", "equality is written `==`"),
    ("x =< 3", "=<", "the `=` comes last in a comparison", "write `<=` or `>=`"),
    ("x => 3", "=>", "the `=` comes last in a comparison", "write `<=` or `>=`"),
    ("f && g", "&&", "`&&` is not an operator", "write `and`"),
    ("f & g", "&", "`&&` is not an operator", "write `and`"),
    ("f || g", "||", "`||` is not an operator", "write `or`"),
    ("!f", "!", "`!` is not an operator", "write `not`"),
    ("x <> 3", "<>", "`<>` is not an operator", "write `!=`"),
    ("x ** 2 > 1", "**", "there are no powers in this language", "multiply"),
    ("x ^ 2 > 1", "^", "there are no powers in this language", "multiply"),
    ("x > 50%", "%", "there are no percentages or remainders", "write the ratio: 0.5 for 50 %"),
    ('m == "x"', '"', "text is written in single quotes", "'text'"),
    ("x is not missing", "is not", "`is not` is not part of the language", "write `is known` or `is missing`, or `!=`"),
    ("x is None", "None", "there is no null: a value is missing or known", "`x is missing`"),
    ("f True", "True", "flags are written in lower case", "`true` or `false`"),
    ("f AND g", "AND", "words of the language are written in lower case", "and, or, not, in, is"),
    ("a < b < c", "<", "comparisons do not chain", "write `a <= x and x <= b`"),
    ("(a < b", "b", "a `)` is missing", "close the parenthesis"),
    ("a <", "<", "the expression ends too early", "something must follow"),
    ("f or", "r", "the expression ends too early", "something must follow"),
    ("m == 'x", "'", "this text is not closed", "end it with a single quote on the same line"),
    ("x ? y", "?", "`?` is not part of the language", "see docs/language.md"),
    ("a + b is known", "is", "`is` takes one name or a parenthesis", "write `(x / y) is known`"),
    ("f andd g", "andd", "`andd` is not expected here", "did you mean `and`?"),
    ("f g", "g", "`g` is not expected here", "an operator is missing before it, or it is misspelt"),
    ("x in []", "]", "an empty list contains nothing", "name at least one value"),
    ("a + * b", "*", "`*` is not expected here", "check the operators and parentheses before it"),
    ("x > 1e999", "1e999", "this number is too large for a double", "the largest is about 1.8e308"),
]


@pytest.mark.parametrize(("text", "covered", "message", "help_text"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_known_mistake_has_its_own_text(text: str, covered: str, message: str, help_text: str) -> None:
    found = parse(text)
    assert isinstance(found, Problem)
    assert (text[found.start : found.end], found.message, found.help) == (covered, message, help_text)


def test_every_mistake_of_the_table_is_above() -> None:
    assert {message for _, message, _ in _MISTAKES} <= {message for _, _, message, _ in MISTAKES}


@pytest.mark.parametrize("text", ["m == 'a = b'", "m == 'a && b'", "m == '50%'", "m == 'x is not'", "m != 'None'"])
def test_a_mistake_inside_a_text_is_none(text: str) -> None:
    assert not isinstance(parse(text), Problem)


@pytest.mark.parametrize(
    "text",
    [
        "f andg",
        "f orange",
        "f implieslater",
        "x is knownand",
        "x inside",
        "nothing",
        "android",
        "x in_list",
        "vetoed byset.r",
    ],
)
def test_a_word_ends_where_a_name_would(text: str) -> None:
    found = parse(text)
    assert isinstance(found, (Problem, syntax.Name))


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12.0), ("0.1", 0.1), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("1E-3", 0.001), ("010", 10.0)],
)
def test_numbers_are_the_nearest_double(text: str, value: float) -> None:
    found = parse(text)
    assert isinstance(found, syntax.Number)
    assert found.value == value


def test_places_cover_the_parts() -> None:
    text = " a + b  *(c - 1) in [ x, -y ]"
    found = parse(text)
    assert isinstance(found, syntax.Member)
    assert text[found.start : found.end] == "a + b  *(c - 1) in [ x, -y ]"
    assert text[found.operand.start : found.operand.end] == "a + b  *(c - 1)"
    assert [text[element.start : element.end] for element in found.elements] == ["x", "-y"]
    assert isinstance(found.operand, syntax.Arithmetic)
    assert isinstance(found.operand.right, syntax.Arithmetic)
    assert text[found.operand.right.right.start : found.operand.right.right.end] == "(c - 1)"


@given(st.text(max_size=40) | st.text("()x<>=!&|-+*/' notandriskw1.[]$,e", max_size=60))
def test_any_text_parses_or_has_a_problem_inside_it(text: str) -> None:
    found = parse(text)
    if isinstance(found, Problem):
        assert 0 <= found.start < found.end <= max(len(text), 1)
        assert found.message
