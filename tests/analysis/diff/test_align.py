"""Lists laid beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.diff.align import aligned

LISTS = st.lists(st.sampled_from("abcd"), max_size=8)


def longest(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of a longest common subsequence, by its definition."""
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + longest(a[1:], b[1:])
    return max(longest(a[1:], b), longest(a, b[1:]))


@given(LISTS, LISTS)
def test_every_element_stands_there_once_in_its_order_and_as_many_as_possible_are_paired(
    a: list[str], b: list[str]
) -> None:
    found = list(aligned(a, b))
    assert [i for i, _ in found if i is not None] == list(range(len(a)))
    assert [j for _, j in found if j is not None] == list(range(len(b)))
    pairs = [(i, j) for i, j in found if i is not None and j is not None]
    assert all(a[i] == b[j] for i, j in pairs)
    assert len(pairs) == longest(a, b)


@given(LISTS, LISTS)
def test_the_other_way_round_the_same_are_paired(a: list[str], b: list[str]) -> None:
    there = [(i, j) for i, j in aligned(a, b) if i is not None and j is not None]
    back = [(i, j) for j, i in aligned(b, a) if i is not None and j is not None]
    assert there == back
