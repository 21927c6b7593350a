"""The version of a rulebook changes with its meaning and with nothing else; nothing in a rulebook can be changed."""

from __future__ import annotations

import dataclasses
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.home import shipped_home
from engine.language import model
from engine.language.findings import LoadError
from engine.language.load import load_rulebook
from engine.language.rulebook import Rulebook, version_of
from engine.language.types import ChoiceType, NumberType
from tests.language.test_fuzz_load import SHIPPED, workspace_of

Tree = dict[str, Any]
TREES: dict[str, Tree] = {name: yaml.load(data, yaml.CBaseLoader) for name, data in SHIPPED.items()}  # noqa: S506 - resolves nothing
PROFILES = ("prod", "testnet")


def rulebook_of(changed: dict[str, bytes], profile: str = "prod") -> Rulebook:
    return workspace_of(SHIPPED | changed).rulebook(profile)


def written(tree: Tree) -> bytes:
    text: str = yaml.dump(tree, allow_unicode=True, sort_keys=False, width=10_000)
    return text.encode()


def edited(name: str, edit: Callable[[Tree], object]) -> dict[str, bytes]:
    """One shipped file after an edit of its tree."""
    tree: Tree = yaml.load(SHIPPED[name], yaml.CBaseLoader)  # noqa: S506 - resolves nothing
    edit(tree)
    return {name: written(tree)}


VERSIONS = {profile: rulebook_of({}, profile).version for profile in PROFILES}


def other_version(changed: dict[str, bytes], profile: str = "prod") -> bool:
    """False where the change does not load; otherwise it must have changed the version."""
    try:
        book = rulebook_of(changed, profile)
    except LoadError:
        return False
    assert book.version != VERSIONS[profile]
    return True


# What changes nothing ----------------------------------------------------------------------------------------------


def reworded(node: Any, chance: random.Random, key: str = "") -> Any:
    """The same meaning: keys in another order, docs and whys in other words, numbers written another way."""
    if isinstance(node, dict):
        entries = list(node.items())
        chance.shuffle(entries)
        return {name: reworded(held, chance, name) for name, held in entries}
    if isinstance(node, list):
        return [reworded(held, chance) for held in node]
    if key in ("doc", "why"):
        return chance.choice((node, "other words: with, [signs] {in} them", "two\nlines"))
    try:
        value = float(node)
    except ValueError:
        return node
    forms = [node, repr(value), f"{value:.25f}", f"{value:.17e}"]
    return chance.choice([form for form in forms if float(form) == value])


def rewritten(name: str, chance: random.Random) -> bytes:
    """A shipped file in another layout: style, quotes, width, comments, line ends."""
    text: str = yaml.dump(
        reworded(TREES[name], chance),
        allow_unicode=chance.random() < 0.5,
        sort_keys=False,
        default_flow_style=chance.choice((None, True, False)),
        default_style=chance.choice((None, None, '"', "'")),
        indent=chance.choice((2, 4, 7)),
        width=chance.choice((40, 120, 10_000)),
    )
    text = f"# {chance.random()}\n\n{text}\n# the end\n"
    data = (text.replace("\n", "\r\n") if chance.random() < 0.3 else text).encode()
    return b"\xef\xbb\xbf" + data if chance.random() < 0.3 else data


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_layout_order_of_keys_wording_and_spelling_of_numbers_change_nothing(seed: int) -> None:
    chance = random.Random(seed)
    changed = {name: rewritten(name, chance) for name in SHIPPED}
    for profile in PROFILES:
        book = rulebook_of(changed, profile)
        assert book.version == VERSIONS[profile]
        assert book.sources_digest != rulebook_of({}, profile).sources_digest


@pytest.mark.parametrize("text", ["20", "20.0", "2e1", "2E+1", "0.2e2", "'20'", "20.000000000000000000001"])
def test_one_double_is_one_value_however_it_is_written(text: str) -> None:
    changed = SHIPPED["profiles/base.yaml"].replace(b"quality.min_samples: 20", f"quality.min_samples: {text}".encode())
    assert rulebook_of({"profiles/base.yaml": changed}).version == VERSIONS["prod"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "sample_count is missing or sample_count < $min_samples",
            "(sample_count is missing)   or (sample_count<$min_samples)",
        ),
        ("fallback_ratio >= $broken_fallback_ratio", "(fallback_ratio >= $quality.broken_fallback_ratio)"),
    ],
)
def test_blanks_and_needless_parentheses_change_nothing(before: str, after: str) -> None:
    data = SHIPPED["rules/quality.yaml"]
    assert before.encode() in data
    assert (
        rulebook_of({"rules/quality.yaml": data.replace(before.encode(), after.encode())}).version == VERSIONS["prod"]
    )


def test_what_the_profile_does_not_use_changes_nothing() -> None:
    spare = b"ruleset: spare\nhit: veto\nsets: {spared: {type: flag}}\nrules: [{id: always}]\n"
    assert rulebook_of({"rules/spare.yaml": spare}).version == VERSIONS["prod"]
    other = edited("profiles/testnet.yaml", lambda tree: tree["values"].pop("probe.enabled"))
    assert rulebook_of(other).version == VERSIONS["prod"]
    assert other_version(other, "testnet")


def test_what_is_promised_expected_and_meant_changes_nothing() -> None:
    invariants = [
        {"id": "offset", "bounded": {"of": "offset_bps", "max": "1000"}},
        {"id": "tier", "unchanged_when": {"of": "quality", "in": ["bid", "ask"], "when": "true"}},
        {"id": "closed", "fail_closed": {"when": "route == maker", "missing": ["market"]}},
    ]
    meant = {"against": "prod", "decision": "routing.quality", "from": "broken", "to": "ok", "why": "to see"}
    changed = {
        **edited("policies/routing.yaml", lambda tree: tree.update(invariants=invariants)),
        **edited("rules/quality.yaml", lambda tree: tree["rules"][0].update(expect="reason", why="to see")),
        **edited("profiles/testnet.yaml", lambda tree: tree.update(diverges=[meant])),
    }
    for profile in PROFILES:
        book = rulebook_of(changed, profile)
        assert book.version == VERSIONS[profile]
        assert len(book.policies["routing"].invariants) == len(invariants)
    assert len(book.diverges) == 1


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_every_process_finds_the_same_version(seed: str) -> None:
    code = "from engine import load; print(load('prod').version, load('testnet').version)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [VERSIONS["prod"], VERSIONS["testnet"]]


# What changes something --------------------------------------------------------------------------------------------


def variants(text: str) -> Iterator[str]:
    if text in ("true", "false"):
        yield "false" if text == "true" else "true"
        return
    value = float(text)
    for limit in (math.inf, -math.inf):
        yield repr(math.nextafter(value, limit))


@pytest.mark.parametrize("name", sorted(TREES["profiles/base.yaml"]["values"]))
def test_every_number_and_flag_counts_to_the_last_bit(name: str) -> None:
    text = TREES["profiles/base.yaml"]["values"][name]
    loaded = [
        other_version(edited("profiles/base.yaml", lambda tree: tree["values"].__setitem__(name, other)))  # noqa: B023 - used at once
        for other in variants(text)
    ]
    assert any(loaded)


RULES = [(name, number) for name, tree in TREES.items() for number in range(len(tree.get("rules", ())))]


def test_every_rule_counts_as_it_is_and_where_it_is() -> None:
    loaded = 0
    for name, number in RULES:

        def drop(tree: Tree, at: int = number) -> None:
            del tree["rules"][at]

        def swap(tree: Tree, at: int = number) -> None:
            rules = tree["rules"]
            rules[at - 1], rules[at] = rules[at], rules[at - 1]

        def rename(tree: Tree, at: int = number) -> None:
            tree["rules"][at]["id"] += "_"

        def turn(tree: Tree, at: int = number) -> None:
            rule = tree["rules"][at]
            rule["unknown"] = "match" if rule.get("unknown", tree.get("unknown")) == "skip" else "skip"

        for edit in (drop, swap) if number % 2 else (rename, turn):
            loaded += other_version(edited(name, edit))
    assert loaded > len(RULES)


def test_a_disabled_rule_counts() -> None:
    disable = [{"rule": "hard_gates.bias_prefers_taker", "why": "to see"}]
    assert other_version(edited("profiles/prod.yaml", lambda tree: tree.update(disable=disable)))


def test_the_order_of_steps_counts() -> None:
    loaded = 0
    for name, tree in TREES.items():
        for at in range(1, len(tree.get("steps", ()))):

            def swap(tree: Tree, at: int = at) -> None:
                steps = tree["steps"]
                steps[at - 1], steps[at] = steps[at], steps[at - 1]

            loaded += other_version(edited(name, swap))
    assert loaded


def test_members_of_symbol_groups_count() -> None:
    for group in TREES["profiles/base.yaml"]["symbols"]:

        def leave(tree: Tree, group: str = group) -> None:
            tree["symbols"][group]["of"].pop()

        def join(tree: Tree, group: str = group) -> None:
            tree["symbols"][group]["of"].append("NEWUSDT")

        assert other_version(edited("profiles/base.yaml", leave))
        assert other_version(edited("profiles/base.yaml", join))


def test_what_a_policy_hands_out_and_recites_counts() -> None:
    assert other_version(edited("policies/routing.yaml", lambda tree: tree["decides"].remove("bias")))
    assert other_version(edited("policies/routing.yaml", lambda tree: tree["reason"].reverse()))


def test_what_facts_are_declared_as_counts() -> None:
    def widen(tree: Tree) -> None:
        tree["groups"]["market"]["facts"]["spread_bps"]["max"] = "20001"

    def forget(tree: Tree) -> None:
        tree["relations"].remove("bid <= ask")

    def keep(tree: Tree) -> None:
        del tree["groups"]["signal"]["max_age_s"]
        del tree["params"]["signal_max_age_s"]

    assert other_version(edited("policies/facts.yaml", widen))
    assert other_version(edited("policies/facts.yaml", forget))
    base = edited("profiles/base.yaml", lambda tree: tree["values"].pop("facts.signal_max_age_s"))
    assert other_version(edited("policies/facts.yaml", keep) | base)


def version_with(book: Rulebook, change: Callable[[model.Step], model.Step]) -> list[str]:
    """Versions of the rulebook with one step changed, for each step that the change changes."""
    found = []
    for policy in book.policies.values():
        for number, step in enumerate(policy.steps):
            changed = change(step)
            if changed == step:
                continue
            steps = (*policy.steps[:number], changed, *policy.steps[number + 1 :])
            policies = {**book.policies, policy.name: dataclasses.replace(policy, steps=steps)}
            found.append(
                version_of(
                    policies.values(),
                    book.groups.values(),
                    book.max_ahead,
                    book.bindings,
                    book.symbols,
                    book.declarations,
                )
            )
    assert found
    return found


def wider(step: model.Step) -> model.Step:
    sets = tuple(
        (name, dataclasses.replace(kind, max=kind.max + 1) if isinstance(kind, NumberType) else kind)
        for name, kind in step.sets
    )
    return dataclasses.replace(step, sets=sets)


def reordered(step: model.Step) -> model.Step:
    sets = tuple(
        (name, dataclasses.replace(kind, of=kind.of[::-1]) if isinstance(kind, ChoiceType) else kind)
        for name, kind in step.sets
    )
    return dataclasses.replace(step, sets=sets)


def unordered(step: model.Step) -> model.Step:
    sets = tuple(
        (name, dataclasses.replace(kind, ordered=not kind.ordered) if isinstance(kind, ChoiceType) else kind)
        for name, kind in step.sets
    )
    return dataclasses.replace(step, sets=sets)


def hit_otherwise(step: model.Step) -> model.Step:
    return dataclasses.replace(step, hit="each" if step.hit == "first" else "first")


@pytest.mark.parametrize("change", [wider, reordered, unordered, hit_otherwise], ids=lambda change: change.__name__)
def test_hit_policies_and_types_of_decisions_count(change: Callable[[model.Step], model.Step]) -> None:
    assert VERSIONS["prod"] not in version_with(rulebook_of({}), change)


def test_profiles_differ() -> None:
    assert VERSIONS["prod"] != VERSIONS["testnet"]


# Nothing can be changed --------------------------------------------------------------------------------------------


def test_a_rulebook_cannot_be_changed() -> None:
    book = load_rulebook(shipped_home(), "prod")
    binding = book.binding_of("BTCUSDT")
    for mapping in (
        book.policies, book.groups, book.declarations, book.bindings, book.symbols, book.disabled, book.sources,
        binding.values, binding.origins,
    ):  # fmt: skip
        with pytest.raises(TypeError):
            mapping["x"] = None  # type: ignore[index]  # what is tested
    for item in (book, binding, book.policies["routing"], book.policies["routing"].steps[0], book.groups["market"]):
        for field in dataclasses.fields(item):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(item, field.name, None)
    for policy in book.policies.values():
        hash(policy.steps)
