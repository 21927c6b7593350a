"""Windows as documents: what becomes of `policies/windows.yaml`, what depends on it, and what changes a version."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from engine.home import shipped_home
from engine.language.findings import LoadError, Severity
from engine.language.load import Workspace, load_rulebook
from engine.language.model import Constant, ParameterRef, Window
from engine.language.rulebook import Rulebook
from tests.language.test_fuzz_load import SHIPPED, workspace_of

WINDOWS = "policies/windows.yaml"
TREE: dict[str, Any] = yaml.load(SHIPPED[WINDOWS], yaml.CBaseLoader)  # noqa: S506 - resolves nothing

SMALL: dict[str, str] = {
    "policies/facts.yaml": """
groups:
  windows:
    facts:
      hits: {type: number, unit: count, min: 0, max: 1000}
      spent: {type: number, unit: usd, min: -1000000, max: 1000000}
  other:
    facts: {x: {type: flag}}
""",
    "policies/counting.yaml": "policy: counting\nreads: [windows]\nsteps: [s]\ndecides: [few]\n",
    "policies/plain.yaml": "policy: plain\nreads: [other]\nsteps: [t]\ndecides: [fine]\n",
    "rules/s.yaml": "ruleset: s\nhit: veto\nsets: {few: {type: flag}}\nrules: [{id: many, when: hits > 0}]\n",
    "rules/t.yaml": "ruleset: t\nhit: veto\nsets: {fine: {type: flag}}\nrules: [{id: one, when: x}]\n",
    "rules/u.yaml": (
        "ruleset: u\nhit: veto\nsets: {slow: {type: flag}}\n"
        "params: {slow_ms: {type: number, unit: ms, min: 0, max: 10}}\nrules: [{id: one, when: $slow_ms > 0}]\n"
    ),
    "policies/spare.yaml": "policy: spare\nreads: [other]\nsteps: [u]\ndecides: [slow]\n",
    "profiles/base.yaml": "profile: base\nvalues: {windows.long_s: 60, u.slow_ms: 5}\n",
    "profiles/counts.yaml": "profile: counts\nextends: base\npolicies: [counting]\n",
    "profiles/plain.yaml": "profile: plain\nextends: base\npolicies: [plain]\n",
    WINDOWS: """
params: {long_s: {type: number, unit: s, min: 1, max: 600}}
events:
  ack: {fields: {ms: {type: number, unit: ms, min: 0, max: 100}, late: {type: flag}}}
  fill: {fields: {usd: {type: number, unit: usd, min: -10, max: 10}, ms: {type: number, unit: ms, min: 0, max: 9}}}
windows:
  hits: {doc: of late, event: ack, filter: ms > $u.slow_ms and not late, measure: count, window_s: 30, per: [symbol]}
  spent: {event: fill, measure: sum, of: usd, window_s: $long_s, per: [symbol, venue]}
""",
}


def small(changed: dict[str, str] | None = None) -> Workspace:
    """The small home with some files replaced; an empty text takes a file away."""
    files = {**SMALL, **(changed or {})}
    return workspace_of({name: text.encode() for name, text in files.items() if text})


def with_windows(before: str, after: str) -> Workspace:
    assert before in SMALL[WINDOWS]
    return small({WINDOWS: SMALL[WINDOWS].replace(before, after)})


def test_a_window_says_what_it_counts() -> None:
    book = small().rulebook("counts")
    assert book.warnings == ()
    hits, spent = book.windows["hits"], book.windows["spent"]
    assert (hits.event, hits.measure, hits.of) == ("ack", "count", None)
    assert (hits.per, spent.per) == (frozenset({"symbol"}), frozenset({"symbol", "venue"}))
    assert isinstance(hits.length, Constant)
    assert hits.length.value == 30.0
    assert hits.filter is not None
    assert hits.filter.text == "ms > $u.slow_ms and not late"
    assert (spent.measure, spent.of, spent.filter) == ("sum", "usd", None)
    assert isinstance(spent.length, ParameterRef)
    assert (hits.parameters(), hits.fields()) == (frozenset({"u.slow_ms"}), frozenset({"ms", "late"}))
    assert (spent.parameters(), spent.fields()) == (frozenset({"windows.long_s"}), frozenset({"usd"}))
    assert [field.name for field in book.events["ack"].fields] == ["ms", "late"]
    assert str(hits.span) == f"{WINDOWS}:7:3"


def test_the_shipped_windows_give_the_facts_that_rules_read() -> None:
    for profile in ("prod", "testnet"):
        book = load_rulebook(shipped_home(), profile)
        assert book.warnings == ()
        declared = {fact.name for fact in book.groups["windows"].facts}
        assert declared - book.windows.keys() == {"feed_gap_s", "maker_paused"}
        assert book.windows["slow_acks_60s"].parameters() == {"quality.degraded_ack_ms"}
        assert all(window.doc for window in book.windows.values())
        assert all(event.doc and all(field.doc for field in event.fields) for event in book.events.values())


def test_values_that_only_a_window_reads_are_bound() -> None:
    book = small().rulebook("counts")
    assert book.bindings[()].values == {"u.slow_ms": 5.0, "windows.long_s": 60.0}
    assert set(book.declarations) == {"u.slow_ms", "windows.long_s"}
    assert {"rules/u.yaml", WINDOWS} <= book.sources.keys()


# What depends on it ------------------------------------------------------------------------------------------------


def test_a_profile_that_reads_no_windows_has_none() -> None:
    book = small().rulebook("plain")
    assert not book.windows
    assert not book.events
    assert WINDOWS not in book.sources
    assert book.version == small({WINDOWS: "", "profiles/base.yaml": "profile: base\n"}).rulebook("plain").version


def test_a_home_without_windows_loads() -> None:
    values = "profile: base\nvalues: {u.slow_ms: 5}\n"
    book = small({WINDOWS: "", "profiles/base.yaml": values}).rulebook("counts")
    assert not book.windows
    assert book.version != small().rulebook("counts").version


@pytest.mark.parametrize(
    "broken",
    [
        "windows: [",
        "events: {}\nwindows: {}\n",
        SMALL[WINDOWS].replace("event: ack", "event: ackk"),
        SMALL[WINDOWS].replace("ms >", "mss >"),
    ],
)
def test_a_broken_file_stops_what_reads_it_and_nothing_else(broken: str) -> None:
    workspace = small({WINDOWS: broken})
    with pytest.raises(LoadError) as refusal:
        workspace.rulebook("counts")
    assert {finding.span.file for finding in refusal.value.findings} == {WINDOWS}
    plain = workspace.rulebook("plain")
    assert {warning.span.file for warning in plain.warnings} == {WINDOWS}
    assert {warning.severity for warning in plain.warnings} == {Severity.WARNING}


def test_a_broken_rule_set_that_a_window_names_is_blamed_and_not_the_window() -> None:
    workspace = small({"rules/u.yaml": SMALL["rules/u.yaml"].replace("hit: veto", "hit: vote")})
    with pytest.raises(LoadError) as refusal:
        workspace.rulebook("counts")
    assert [finding.span.file for finding in refusal.value.findings] == ["rules/u.yaml"]
    assert workspace.rulebook("plain").windows == {}


def test_an_unreadable_file_is_not_blamed_on_profiles(tmp_path: Path) -> None:
    for name, text in SMALL.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / WINDOWS).write_bytes(b"\xff\xfe")
    with pytest.raises(LoadError) as refusal:
        load_rulebook(tmp_path, "counts")
    assert [finding.code for finding in refusal.value.findings] == ["file.encoding"]


def test_a_division_in_a_filter_is_judged_by_the_values_in_force() -> None:
    fields = "{ms: {type: number, unit: ms, min: 0, max: 100}, late: {type: flag}}"
    assert fields in SMALL[WINDOWS]
    text = SMALL[WINDOWS].replace("ms > $u.slow_ms and not late", "ms / $u.slow_ms > 1 and not late")
    assert small({WINDOWS: text}).rulebook("counts").windows["hits"].filter is not None
    zero = "profile: base\nvalues: {windows.long_s: 60, u.slow_ms: 0}\n"
    with pytest.raises(LoadError) as refusal:
        small({WINDOWS: text, "profiles/base.yaml": zero}).rulebook("counts")
    assert [finding.code for finding in refusal.value.findings] == ["arithmetic.partial"]
    thin = (
        "profile: base\nvalues: {windows.long_s: 60, u.slow_ms: 5}\n"
        "symbols: {thin: {of: [A], values: {u.slow_ms: {value: 0, why: to see}}}}\n"
    )
    with pytest.raises(LoadError) as refusal:
        small({WINDOWS: text, "profiles/base.yaml": thin}).rulebook("counts")
    assert [finding.code for finding in refusal.value.findings] == ["arithmetic.partial"], "of one group of symbols"


# Versions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("window_s: 30", "window_s: 31"),
        ("window_s: 30", "window_s: $long_s"),
        ("ms > $u.slow_ms and not late", "ms >= $u.slow_ms and not late"),
        ("ms > $u.slow_ms and not late", "ms > $u.slow_ms and late"),
        (", filter: ms > $u.slow_ms and not late, measure: count, window_s: 30", ", filter: late, measure: in_a_row"),
        ("per: [symbol]}", "per: [venue]}"),
        ("per: [symbol]}", "per: [symbol, venue]}"),
        ("event: ack, filter: ms > $u.slow_ms and not late", "event: fill, filter: ms > $u.slow_ms"),
        ("  hits:", "  # hits:"),
        ("min: -10, max: 10", "min: -10, max: 11"),
    ],
)
def test_any_change_of_a_window_is_another_version(before: str, after: str) -> None:
    assert with_windows(before, after).rulebook("counts").version != small().rulebook("counts").version


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("doc: of late", "doc: in other words"),
        ("window_s: 30", "window_s: 3e1"),
        ("ms > $u.slow_ms and not late", "(ms>$u.slow_ms) and  not late"),
        ("[symbol, venue]", "[venue, symbol]"),
        ("ms: {type: number, unit: ms, min: 0, max: 9}", "ms: {type: number, unit: ms, min: 0, max: 8}"),
        ("  fill:", "  ping: {doc: nobody counts it}\n  fill:"),
    ],
)
def test_what_means_the_same_is_the_same_version(before: str, after: str) -> None:
    assert with_windows(before, after).rulebook("counts").version == small().rulebook("counts").version


def test_the_order_of_windows_means_nothing() -> None:
    head, _, windows = SMALL[WINDOWS].partition("windows:\n")
    lines = windows.strip("\n").splitlines()
    turned = f"{head}windows:\n" + "\n".join(reversed(lines)) + "\n"
    assert small({WINDOWS: turned}).rulebook("counts").version == small().rulebook("counts").version


@pytest.mark.parametrize(("before", "after"), [("windows.long_s: 60", "windows.long_s: 61"), ("_ms: 5", "_ms: 6")])
def test_a_value_that_a_window_reads_is_part_of_the_version(before: str, after: str) -> None:
    other = SMALL["profiles/base.yaml"].replace(before, after)
    assert small({"profiles/base.yaml": other}).rulebook("counts").version != small().rulebook("counts").version


def shipped_with(edit: Callable[[dict[str, Any]], object]) -> Rulebook:
    tree = yaml.load(SHIPPED[WINDOWS], yaml.CBaseLoader)  # noqa: S506 - resolves nothing
    edit(tree)
    text: str = yaml.dump(tree, sort_keys=False)
    return workspace_of(SHIPPED | {WINDOWS: text.encode()}).rulebook("prod")


@pytest.mark.parametrize("name", TREE["windows"])
def test_every_shipped_window_is_part_of_the_version(name: str) -> None:
    shipped = shipped_with(dict).version
    assert shipped == load_rulebook(shipped_home(), "prod").version
    assert shipped_with(lambda tree: tree["windows"].pop(name)).version != shipped
    if "window_s" in TREE["windows"][name]:
        assert shipped_with(lambda tree: tree["windows"][name].update(window_s="61")).version != shipped


def test_windows_cannot_be_changed() -> None:
    book = small().rulebook("counts")
    for mapping in (book.windows, book.events):
        assert isinstance(mapping, MappingProxyType)
    for item in (book.windows["hits"], book.events["ack"]):
        for field in dataclasses.fields(item):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(item, field.name, None)
    assert isinstance(hash(book.windows["hits"]), int)
    other = with_windows("doc: of late", "doc: in other words").rulebook("counts").windows["hits"]
    assert isinstance(other, Window)
    assert other == book.windows["hits"], "words are no part of what a window means"
