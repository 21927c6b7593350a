"""Two lists laid beside each other, so that as much as possible stays in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def aligned(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int | None, int | None]]:
    """Indices of both lists in one order: pairs of what is common, and between these what only one of them has.

    The pairs are a longest common subsequence. Of several, the choice does not depend on which list comes first, so
    that a diff the other way round names the same elements. Quadratic in what lies between an equal beginning and an
    equal end.

    >>> list(aligned(["x", "y"], ["y", "z"]))
    [(0, None), (1, 0), (None, 1)]
    """
    begin = 0
    while begin < min(len(a), len(b)) and a[begin] == b[begin]:
        yield begin, begin
        begin += 1
    end_a, end_b = len(a), len(b)
    while end_a > begin and end_b > begin and a[end_a - 1] == b[end_b - 1]:
        end_a, end_b = end_a - 1, end_b - 1
    at_a, at_b = begin, begin
    for i, j in _common(a[begin:end_a], b[begin:end_b]):
        yield from _gap(at_a, begin + i, at_b, begin + j)
        yield begin + i, begin + j
        at_a, at_b = begin + i + 1, begin + j + 1
    yield from _gap(at_a, end_a, at_b, end_b)
    yield from zip(range(end_a, len(a)), range(end_b, len(b)), strict=True)


def _gap(from_a: int, to_a: int, from_b: int, to_b: int) -> Iterator[tuple[int | None, int | None]]:
    for i in range(from_a, to_a):
        yield i, None
    for j in range(from_b, to_b):
        yield None, j


def _common(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The pairs of a longest common subsequence: at each step the least text of all that it can go on with."""
    longest = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    by_length: dict[int, list[tuple[str, int, int]]] = {}
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            if a[i] == b[j]:
                longest[i][j] = longest[i + 1][j + 1] + 1
                by_length.setdefault(longest[i][j], []).append((a[i], i, j))
            else:
                longest[i][j] = max(longest[i + 1][j], longest[i][j + 1])
    from_a = from_b = 0
    for left in range(longest[0][0], 0, -1):
        # Of one text, the first place in a and the first in b belong together: if either can be had, both can.
        _, i, j = min(each for each in by_length[left] if each[1] >= from_a and each[2] >= from_b)
        yield i, j
        from_a, from_b = i + 1, j + 1
