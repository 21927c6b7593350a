"""Places are exact: what a scalar's span covers in the file is the scalar, however it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.language.findings import Finding, Findings
from engine.language.nodes import (
    MOST_BYTES,
    MOST_NESTING,
    Mapping,
    Node,
    Scalar,
    Sequence,
    Source,
    compose,
    decode_source,
)


def nodes(text: str) -> Node:
    findings = Findings()
    node = compose(Source.of("f.yaml", text), findings)
    assert node is not None, list(findings)
    return node


def refusals(text: str) -> list[Finding]:
    findings = Findings()
    compose(Source.of("f.yaml", text), findings)
    return list(findings)


def scalars(node: Node) -> list[Scalar]:
    """Every scalar of a tree, keys included, in the order written."""
    match node:
        case Scalar():
            return [node]
        case Sequence():
            return [found for item in node.items for found in scalars(item)]
        case Mapping():
            return [found for key, held in node.entries.items() for found in (node.keys[key], *scalars(held))]


def shown(text: str, scalar: Scalar) -> str:
    """What the span covers, by lines and columns alone."""
    span = scalar.span
    lines = text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: b\nc: [d, e]\n", ["a", "b", "c", "d", "e"]),
        ("- a:  b\n  c:\n    - d\n", ["a", "b", "c", "d"]),
        ("{a: b, c: {d: e}}", ["a", "b", "c", "d", "e"]),
        ("größe: 'ü ß'\nz: x", ["größe", "'ü ß'", "z", "x"]),
        ("𝄞: 𝄞𝄞 x\n", ["𝄞", "𝄞𝄞 x"]),
        ('a: "b\\tc"\n', ["a", '"b\\tc"']),
        ("a: one\n  two\nb: c", ["a", "one\n  two", "b", "c"]),
        ("on: 010\nyes: 12:30\n1e3: ~\n", ["on", "010", "yes", "12:30", "1e3", "~"]),
        ("a: # note\n  b # more\n", ["a", "b"]),
    ],
)
def test_a_span_covers_the_scalar(text: str, wanted: list[str]) -> None:
    assert [shown(text, scalar) for scalar in scalars(nodes(text))] == wanted


def test_nothing_is_resolved() -> None:
    texts = ["on", "010", "12:30", "1e3", "yes", "null", "~", "0x10", "2020-01-01", "1_000", ".inf"]
    assert [scalar.text for scalar in scalars(nodes("".join(f"- {text}\n" for text in texts)))] == texts


@pytest.mark.parametrize(
    ("text", "start", "end", "covered"),
    [
        ("a: x > limit", 4, 9, "limit"),
        ("a: 'x > limit'", 4, 9, "limit"),
        ('a: "x > limit"', 4, 9, "limit"),
        ("größe: ü > limit", 4, 9, "limit"),
        ('a: "x\\t> limit"', 4, 9, '"x\\t> limit"'),
        ("a: 'it''s > limit'", 7, 12, "'it''s > limit'"),
        ("a: x >\n  limit", 4, 9, "limit"),
        ("a: x\n  >\n\n  limit", 0, 10, "x\n  >\n\n  limit"),
        ("a: >-\n  x\n  > limit\nb: c", 4, 9, "limit"),
        ("a: > # a comment\n  x > limit\n", 4, 9, "limit"),
        ("a: |\n  x\n    > limit\n", 6, 11, "limit"),
        ("a: 'x >\n  limit'", 4, 9, "limit"),
        ('a: "x >\n  limit"', 2, 9, ">\n  limit"),
        ('a: "x >\\n\n  limit"', 4, 9, '"x >\\n\n  limit"'),
        ("a: x >\n  größe", 4, 9, "größe"),
    ],
)
def test_a_part_of_a_scalar_has_its_own_place(text: str, start: int, end: int, covered: str) -> None:
    scalar = scalars(nodes(text))[1]
    span = scalar.at(start, end)
    lines = text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    assert "\n".join(lines) == covered


def test_windows_line_ends_and_a_byte_order_mark_move_nothing() -> None:
    findings = Findings()
    source = decode_source(b"\xef\xbb\xbfa: b\r\nc: [d,\r\n  e]\r\n", "f.yaml", findings)
    assert source is not None
    node = compose(source, findings)
    assert node is not None
    assert [(scalar.span.line, scalar.span.column) for scalar in scalars(node)] == [
        (1, 1),
        (1, 4),
        (2, 1),
        (2, 5),
        (3, 3),
    ]


@given(
    st.recursive(
        st.text("abcdeü_ 0", min_size=1, max_size=6).map(str.strip).filter(bool),
        lambda inner: st.lists(inner, min_size=1, max_size=3),
        max_leaves=12,
    )
)
def test_flow_lists_of_words_keep_their_places(tree: object) -> None:
    text = "key: " + _flow(tree) + "\nlast: x"
    found = scalars(nodes(text))
    assert [shown(text, scalar) for scalar in found] == [scalar.text for scalar in found]


def _flow(tree: object) -> str:
    return "[" + ", ".join(_flow(item) for item in tree) + "]" if isinstance(tree, list) else str(tree)


def test_the_largest_file_is_read_and_one_byte_more_is_not() -> None:
    findings = Findings()
    assert decode_source(b"#" * MOST_BYTES, "f.yaml", findings) is not None
    assert not list(findings)
    assert decode_source(b"#" * (MOST_BYTES + 1), "f.yaml", findings) is None
    assert [finding.code for finding in findings] == ["file.too_large"]


@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_nesting_is_refused_beyond_its_limit_and_not_before(opening: str) -> None:
    closing = {"[": "]", "{a: ": "}"}[opening]
    deep = opening * MOST_NESTING + "x" + closing * MOST_NESTING
    assert not refusals(deep)
    assert [finding.code for finding in refusals(opening + deep + closing)] == ["yaml.too_deep"]


def test_block_nesting_counts_too() -> None:
    assert not refusals("".join(f"{'  ' * level}a:\n" for level in range(MOST_NESTING)))
    assert [
        finding.code for finding in refusals("".join(f"{' ' * level}a:\n" for level in range(MOST_NESTING + 2)))
    ] == ["yaml.too_deep"]
    assert [finding.code for finding in refusals("- " * (MOST_NESTING + 1) + "x")] == ["yaml.too_deep"]


def test_brackets_in_a_text_are_no_nesting() -> None:
    assert not refusals(f"a: '{'[' * 80}'")
    assert not refusals(f"a: '{'[' * 5000}'")


@pytest.mark.parametrize("levels", [MOST_NESTING + 1, 999, 1000, 1001, 20_000])
@pytest.mark.parametrize("opening", ['[ "]", ', "[ # ]\n ", '{"}": ', "[", "- ", "? "])
def test_nesting_is_seen_whatever_stands_between(opening: str, levels: int) -> None:
    closing = {"[": "]", "{": "}"}.get(opening[0], "")
    codes = {finding.code for finding in refusals(opening * levels + "x" + closing * levels)}
    assert codes - {"yaml.key"} == {"yaml.too_deep"}


def test_too_deep_is_said_once_for_each_place() -> None:
    deep = "[" * MOST_NESTING + "x" + "]" * MOST_NESTING
    assert [str(finding.span) for finding in refusals(f"[{deep}]")] == [f"f.yaml:1:{MOST_NESTING + 1}"]


def test_a_duplicate_key_names_both_places() -> None:
    (finding,) = refusals("a: 1\nb: 2\na: 3\n")
    assert (finding.span.line, finding.related[0].span.line) == (3, 1)
