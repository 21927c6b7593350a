"""The shipped rulebooks on every backend, as they are and with some values changed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml

from engine import Book, load
from engine.book import Backend

SHIPPED = Path(__file__).resolve().parents[2]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
PROFILES = ("prod", "testnet")

REHEARSAL = {
    "probe.enabled": True,
    "size.trim": True,
    "reduce_only_flag.drop_on_full_close": True,
    "autotune.enabled": True,
    "autotune.allowed": True,
    "maker_flip.allow_flip": True,
}
"""Every switch on: what no shipped profile runs must keep its promises too."""


def book(profile: str, backend: Backend, values: Mapping[str, Any] | None = None) -> Book:
    """A shipped profile, or one that extends it by other values."""
    return _book(profile, backend, tuple((values or {}).items()))


@cache
def _book(profile: str, backend: Backend, values: tuple[tuple[str, Any], ...]) -> Book:
    if not values:
        return load(profile, SHIPPED, backend=backend)
    with tempfile.TemporaryDirectory() as folder:
        home = home_with(Path(folder), profile, dict(values))
        return load("changed", home, backend=backend)


def home_with(home: Path, profile: str, values: Mapping[str, Any]) -> Path:
    """A home like the shipped one, with a profile `changed` that extends `profile` by values."""
    for folder in ("rules", "policies"):
        (home / folder).symlink_to(SHIPPED / folder)
    (home / "profiles").mkdir()
    for file in (SHIPPED / "profiles").glob("*.yaml"):
        (home / "profiles" / file.name).symlink_to(file)
    document = {
        "profile": "changed",
        "extends": profile,
        "values": {name: {"value": value, "why": "a test"} for name, value in values.items()},
    }
    # repr of a float is the double exactly; YAML's own float format is not promised to be.
    text = yaml.dump(_plain(document), Dumper=yaml.CSafeDumper, sort_keys=False)
    (home / "profiles" / "changed.yaml").write_text(text)
    return home


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return repr(value) if isinstance(value, float) else value
