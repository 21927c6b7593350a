"""Two conditions side by side, leaf by leaf.

Leaves that say the same are laid beside each other first; what remains between two such pairs changed into each other,
in the order written, or was added or removed. A leaf alone is compared with `all:` or `any:` as if it were their only
item, so that one more condition beside it is one leaf added and not everything changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.analysis.diff.align import aligned
from engine.analysis.diff.changes import Part, Spot
from engine.analysis.diff.parts import one_spaced, part, placed
from engine.analysis.diff.renames import SAME, Words
from engine.language.model import AllOf, AnyOf, Condition, Leaf, Rule, leaves_of


def compare_conditions(a: Rule, b: Rule, words: Words) -> list[Part]:
    """What differs between the conditions of two rules; `words` are A's names in B."""
    if words.condition(a.condition) == SAME.condition(b.condition):
        return []
    return list(_whole(a, b, words))


def describe_condition(condition: Condition) -> str:
    """A condition on one line, as it was written: `all of [a > 1; any of [b; c]]`."""
    match condition:
        case Leaf(written):
            return one_spaced(written.text)
        case AllOf(items) | AnyOf(items):
            word = "all" if isinstance(condition, AllOf) else "any"
            return f"{word} of [{'; '.join(describe_condition(item) for item in items)}]"


@dataclass(frozen=True, slots=True)
class _Item:
    """A condition among others, and the words that make it B's."""

    condition: Condition
    words: Words

    @property
    def text(self) -> str:
        """What it says, in one form."""
        return self.words.condition(self.condition)

    @property
    def is_leaf(self) -> bool:
        return isinstance(self.condition, Leaf)

    @property
    def spot(self) -> Spot:
        """As it was written, at its first leaf."""
        first = next(leaves_of(self.condition))
        return Spot(describe_condition(self.condition), first.written.span)


def _whole(a: Rule, b: Rule, words: Words) -> Iterator[Part]:
    """The two `when`: how their items hang together, and the items."""
    (kind_a, items_a), (kind_b, items_b) = _taken_apart(a.condition, words), _taken_apart(b.condition, SAME)
    if kind_a != kind_b:
        spots = [
            Spot(_nesting(kind, items), items[0].spot.span if items else rule.span)
            for kind, items, rule in ((kind_a, items_a, a), (kind_b, items_b, b))
        ]
        yield part("when", *spots)
    yield from _items(items_a, items_b, f"when {kind_a}".strip() if kind_a == kind_b else "when")


def _items(a: Sequence[_Item], b: Sequence[_Item], path: str) -> Iterator[Part]:
    pairs = list(aligned([item.text for item in a], [item.text for item in b]))
    lone_a = [i for i, j in pairs if i is not None and j is None]
    lone_b = [j for i, j in pairs if j is not None and i is None]
    moved = list(_moved(a, b, lone_a, lone_b))
    gone, come = {i for i, _ in moved}, {j for _, j in moved}
    left: list[_Item] = []
    right: list[_Item] = []
    for i, j in pairs:
        if i is not None and j is not None:
            yield from _between(left, right, path)
            left, right = [], []
        elif i is not None and i not in gone:
            left.append(a[i])
        elif j is not None and j not in come:
            right.append(b[j])
    yield from _between(left, right, path)
    listed_a, listed_b = [(item.text, item.spot) for item in a], [(item.text, item.spot) for item in b]
    for i, j in moved:
        yield Part("moved", path, placed(listed_a, i), placed(listed_b, j))


def _moved(
    a: Sequence[_Item], b: Sequence[_Item], lone_a: Iterable[int], lone_b: Iterable[int]
) -> Iterator[tuple[int, int]]:
    """Of what found no partner, pairs that say the same in another place."""
    left = list(lone_b)
    for i in lone_a:
        j = next((j for j in left if b[j].text == a[i].text), None)
        if j is not None:
            left.remove(j)
            yield i, j


def _between(a: Sequence[_Item], b: Sequence[_Item], path: str) -> Iterator[Part]:
    """What stands between two items that both sides have: like became like, as far as it goes."""
    rest_a: list[_Item] = []
    rest_b: list[_Item] = []
    for leaf in (True, False):
        alike_a = [item for item in a if item.is_leaf is leaf]
        alike_b = [item for item in b if item.is_leaf is leaf]
        for one, other in zip(alike_a, alike_b, strict=False):
            yield from _became(one, other, path)
        common = min(len(alike_a), len(alike_b))
        rest_a += alike_a[common:]
        rest_b += alike_b[common:]
    for one, other in zip(rest_a, rest_b, strict=False):
        yield part(path, one.spot, other.spot)
    common = min(len(rest_a), len(rest_b))
    for item in rest_a[common:]:
        yield part(path, item.spot, None)
    for item in rest_b[common:]:
        yield part(path, None, item.spot)


def _became(a: _Item, b: _Item, path: str) -> Iterator[Part]:
    match a.condition, b.condition:
        case (AllOf(), AllOf()) | (AnyOf(), AnyOf()):
            kind, items_a = _taken_apart(a.condition, a.words)
            _, items_b = _taken_apart(b.condition, b.words)
            yield from _items(items_a, items_b, f"{path} {kind}")
        case _:
            yield part(path, a.spot, b.spot)


def _taken_apart(condition: Condition | None, words: Words) -> tuple[str, list[_Item]]:
    """How a condition's items hang together, and the items: a leaf is its own only one."""
    match condition:
        case None:
            return "", []
        case Leaf():
            return "", [_Item(condition, words)]
        case AllOf(items) | AnyOf(items):
            return "all" if isinstance(condition, AllOf) else "any", [_Item(item, words) for item in items]


def _nesting(kind: str, items: Sequence[_Item]) -> str:
    return f"{kind} of" if kind else "one condition" if items else "always"
