"""Walking Lark's table gives what Lark's own parser gives, for sentences and for what is none."""

from __future__ import annotations

from typing import Any

import lark
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.home import shipped_home
from engine.language.load import read_files
from engine.language.parse import _PARSER, _TABLES
from engine.language.tables import Tables

WORDS = (  # noqa: SIM905 - forty words in quotes read worse
    "a spread_bps $limit $set.limit 0 1.5 .5 2e3 'text' '' true false and or not implies in is missing known vetoed by "
    "min max abs ( ) [ ] , . + - * / < <= > >= == != = minimum nota vetoed_by"
).split()

SENTENCES = (
    "a",
    " a ",
    "-(-a) * 2",
    "a - 1 - b / c * d < $set.e + min(f, abs(-g), 1)",
    "not (a or b) and c implies d or not e implies f",
    "a not in [b, 'c', 1]",
    "(a / b) is known and c is missing",
    "vetoed and not vetoed by gates.wide",
    "a\n  and\tb",
    "by == missing",  # words of the language are names where they can be nothing else
    "min == max",
    "nothing",
)

NO_SENTENCES = ("", " ", "a b", "a <", "(a", "a)", "a ? b", "'a", "min()", "a in []", "a < b < c", "not", "a is b")

Outcome = tuple[str, Any]


def by_lark(text: str) -> Outcome:
    """What Lark's own parser makes of a text."""
    try:
        return "tree", _PARSER.parse(text)
    except lark.exceptions.UnexpectedInput:
        return "none", None
    except lark.exceptions.LarkError as error:
        return "error", type(error)
    except Exception as error:  # noqa: BLE001 - whatever the transformer raises
        return "raised", type(error)


def by_table(text: str) -> Outcome:
    """What walking the table makes of it."""
    try:
        tree = _TABLES.parse(text)
    except Exception as error:  # noqa: BLE001 - as above
        return "raised", type(error)
    return ("none", None) if tree is None else ("tree", tree)


@pytest.mark.parametrize("text", SENTENCES)
def test_a_sentence_has_one_tree(text: str) -> None:
    made = by_table(text)
    assert made[0] == "tree"
    assert made == by_lark(text)


@pytest.mark.parametrize("text", NO_SENTENCES)
def test_what_is_no_sentence_has_none(text: str) -> None:
    assert by_table(text) == by_lark(text) == ("none", None)


def test_what_building_a_node_raises_is_raised() -> None:
    assert by_table("a > 1e999") == by_lark("a > 1e999")
    assert by_table("a > 1e999")[0] == "raised"


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.sampled_from((" ", "", "  ")))
def test_any_row_of_words_is_a_sentence_to_both_or_to_none(words: list[str], between: str) -> None:
    text = between.join(words)
    assert by_table(text) == by_lark(text)


@given(st.text(max_size=30))
def test_any_text_is_a_sentence_to_both_or_to_none(text: str) -> None:
    assert by_table(text) == by_lark(text)


def test_every_line_that_ships_is_a_sentence_to_both_or_to_none() -> None:
    lines = {
        line.partition(":")[2].strip() or line.strip(" -")
        for source in read_files(shipped_home()).sources.values()
        for line in source.lines
    }
    lines |= {line.strip(" -") for source in read_files(shipped_home()).sources.values() for line in source.lines}
    outcomes = [by_table(line) for line in sorted(lines)]
    assert outcomes == [by_lark(line) for line in sorted(lines)]
    assert sum(kind == "tree" for kind, _ in outcomes) > 300


def test_an_empty_rule_and_a_token_that_is_dropped_change_nothing() -> None:
    grammar = """
    start: item* END
    item: NAME ["=" NUMBER]
    END: ";"
    NAME: /[a-z]+/
    NUMBER: /[0-9]+/
    %ignore " "
    """

    class Shown(lark.Transformer[Any, Any]):
        def item(self, children: list[Any]) -> str:
            return "".join(child.value if child else "-" for child in children)

        def start(self, children: list[Any]) -> list[Any]:
            return [child if isinstance(child, str) and child != ";" else ";" for child in children]

    for keep in (True, False):
        parser = lark.Lark(grammar, parser="lalr", transformer=Shown(), keep_all_tokens=keep)
        for text in (";", "a;", "a = 1 b c=2 ;"):
            assert [getattr(child, "value", child) for child in Tables(parser).parse(text)] == parser.parse(text)
