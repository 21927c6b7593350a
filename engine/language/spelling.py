"""Near names, for "did you mean": only suggested when close enough to be a slip of the hand."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CLOSE_ENOUGH = 0.75
"""Similarity (difflib's ratio) below which a suggestion would mislead more than help."""


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name nearest to `name`, or None if none is near.

    >>> near("falback_ratio", ["fallback_ratio", "fill_ratio"])
    'fallback_ratio'
    >>> near("zebra", ["fallback_ratio"]) is None
    True
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=CLOSE_ENOUGH)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Help text naming the nearest known name, or `otherwise` where none is near.

    >>> did_you_mean("prodd", ["prod", "testnet"])
    'did you mean `prod`?'
    """
    found = near(name, known)
    return f"did you mean `{found}`?" if found else otherwise
