"""Rulebooks that differ a little: documents with one edit, drawn at random."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from engine.language.findings import LoadError
from engine.language.load import Files, Workspace
from engine.language.nodes import Source
from engine.language.rulebook import Rulebook
from tests.backends.strategies import Picker

Texts = Mapping[str, str]
"""The files of a home by their names."""
Edit = Callable[[Picker, Any], Any]

_SWAPS = (
    ("<=", "<"),
    (">", ">="),
    ("==", "!="),
    (" and ", " or "),
    (" or ", " and "),
    ("known", "missing"),
    ("min(", "max("),
    ("+", "-"),
    ("*", "/"),
    ("true", "false"),
    ("match", "skip"),
    ("low", "high"),
    ("AAA", "DDD"),
)


def load(texts: Texts, profile: str) -> Rulebook | None:
    """The rulebook; None where the checker refuses it."""
    try:
        return Workspace(Files({name: Source.of(name, text) for name, text in texts.items()}, ())).rulebook(profile)
    except LoadError:
        return None


def edited(pick: Picker, texts: Texts) -> dict[str, str]:
    """The files after one random edit, which may make them unsound."""
    name = pick.one(sorted(texts))
    if pick.chance(15):
        return _renamed(pick, texts)
    tree = yaml.load(texts[name], yaml.CBaseLoader)  # noqa: S506 - resolves nothing
    return {**texts, name: yaml.dump(_changed(pick, tree), sort_keys=False, width=10_000)}


def _changed(pick: Picker, node: Any) -> Any:
    """A node with one thing below it changed."""
    match node:
        case dict() if node:
            key = pick.one(list(node))
            if pick.chance(12):
                return {name: held for name, held in node.items() if name != key}
            if pick.chance(5):
                return dict(reversed(node.items()))
            return {**node, key: _changed(pick, node[key])}
        case list() if node:
            at = pick.below(len(node))
            other = pick.below(len(node))
            if pick.chance(15):
                return node[:at] + node[at + 1 :]
            if pick.chance(20):
                moved = [*node[:at], *node[at + 1 :]]
                return [*moved[:other], node[at], *moved[other:]]
            if pick.chance(10) and isinstance(node[at], dict) and "id" in node[at]:
                return [*node[:at], {**node[at], "id": f"{node[at]['id']}_2"}, *node[at:]]
            return [*node[:at], _changed(pick, node[at]), *node[at + 1 :]]
        case str():
            return _text(pick, node)
    return node


def _text(pick: Picker, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        swaps = [(old, new) for old, new in _SWAPS if old in text]
        if swaps and pick.chance(80):
            old, new = pick.one(swaps)
            return text.replace(old, new, 1)
        return text if pick.chance(50) else f"{text}_2"
    return pick.one((f"{value:.25f}", repr(value), repr(value * 0.5), repr(value + 1)))


def _renamed(pick: Picker, texts: Texts) -> dict[str, str]:
    """The files with one name replaced wherever it stands."""
    names = sorted({word for text in texts.values() for word in re.findall(r"\b[a-z]\w{2,}\b", text)})
    old = pick.one(names)
    changed = {name: re.sub(rf"\b{old}\b", f"{old}_x", text) for name, text in texts.items()}
    return {re.sub(rf"/{old}\.yaml$", f"/{old}_x.yaml", name): text for name, text in changed.items()}
