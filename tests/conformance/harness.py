"""Reads conformance cases and says what each backend has to answer.

A case is one mapping in a file of this folder: `name`, `description`, what is loaded, what is asked, and exactly one
expectation. Documents are text, with defaults (`defaults.yaml`) for every file a case does not give, so that most cases
are one line. Three short forms stand for whole rule sets:

    condition: x > $limit        a condition, asked with `unknown: skip` and with `unknown: match`; expects `is`
    value: x / y                 a sum, asked whether it is known and what it is; expects `gives`
    rules: "ruleset: s ..."      the rule set `s`, all that policy `p` runs; expects `decides`

`documents` gives any file by its path instead. `facts` are facts of the group `plain`, `given` is everything else of
the facts object, `params` are parameters of the rule set `s` (a number, or a declaration with its `value`).
Expectations: `is` (true, false, unknown), `gives` (a number, or the cause it is missing for), `decides`, `findings`,
`facts_error`. Numbers are compared bit for bit. An unknown field is refused.

YAML tags write what YAML has no text for: `!up 9.7` and `!down 9.7` (the neighbouring doubles), `!float 1e3`,
`!integer 10000000000000000000001`, `!digits 400` (an int of so many nines), `!numpy {kind: float32, value: 0.5}`,
`!repeated {text: x, times: 3}`, `!text "..."`, `!nested 60`, `!wide 3000` and `!long 120` (documents so deep, wide and
long), `!parenthesised 60` and its kin (expressions so deep), `!folder` and `!nothing` in place of a file or folder.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from engine.language.evaluate import Missing
from engine.language.types import Value

FOLDER = Path(__file__).parent
DEFAULTS = "defaults.yaml"
NOW = 1_700_000_000.0
WHOLE = {"type": "number", "min": "-1.7976931348623157e308", "max": "1.7976931348623157e308"}
"""The declaration of a number without limits of its own."""

FOLDER_MARK = object()
NOTHING_MARK = object()

EXPECTATIONS = ("is", "gives", "decides", "findings", "facts_error")
_FORMS = ("condition", "value", "rules", "documents")
_FIELDS = {"name", "description", "profile", "policy", "type", "params", "facts", "given", *_FORMS, *EXPECTATIONS}
_DECIDES = {"values", "vetoes", "fired", "leaves", "reason", "missing"}
_FINDING = {"code", "at", "message", "help", "severity", "related"}


class _CaseLoader(yaml.SafeLoader):
    """YAML as usual, with the tags above, and without silent duplicates."""


def _mapping(loader: _CaseLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise ValueError(f"{node.start_mark}: given twice: {twice}")
    return loader.construct_mapping(node, deep=True)


def _numpy(loader: _CaseLoader, node: yaml.MappingNode) -> Any:
    given = _mapping(loader, node)
    return getattr(np, given["kind"])(given["value"])


def _repeated(loader: _CaseLoader, node: yaml.MappingNode) -> str:
    given = _mapping(loader, node)
    return str(given["text"]) * int(given["times"])


def _long(rules: int) -> str:
    head = "ruleset: s\nhit: first\nsets: {out: {type: number, min: 0, max: 1}}\nunknown: skip\nrules:\n"
    rule = "- {{id: r{}, when: x > $limit and y > $limit, set: {{out: 0}}}}\n"
    middle = "".join(rule.format(number) for number in range(rules))
    last = "- {id: last_but_one, when: x == $limit, set: {out: 1}}\n- {id: last, set: {out: 0}}\n"
    return f"{head}{middle}{last}params: {{limit: {{type: number, min: 0, max: 10}}}}\n"


_CaseLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
_CaseLoader.add_constructor("!up", lambda _, node: math.nextafter(float(node.value), math.inf))
_CaseLoader.add_constructor("!down", lambda _, node: math.nextafter(float(node.value), -math.inf))
_CaseLoader.add_constructor("!float", lambda _, node: float(node.value))
_CaseLoader.add_constructor("!integer", lambda _, node: int(node.value))
_DEEP: dict[str, Callable[[int], str]] = {
    "!parenthesised": lambda depth: "(" * depth + "x > 0" + ")" * depth,
    "!chained": lambda length: "x" + " + x" * length + " > 0",
    "!quotients": lambda length: "x" + " / y" * length,
    "!alternating": lambda depth: "(" * depth + "f" + " and x > 0 or not g)" * depth,
    "!equalities": lambda depth: "(" * depth + "f" + " == g)" * depth,
    "!nested": lambda depth: "rules: " + "[" * depth + "]" * depth,
    "!wide": lambda width: "".join(f"k{number}: x\n" for number in range(width)),
    "!members": lambda depth: "(" * depth + "f" + " in [g, false])" * depth,
}


def _sized(make: Callable[[int], str]) -> Callable[[Any, Any], str]:
    return lambda _, node: make(int(node.value))


for _tag, _make in _DEEP.items():
    _CaseLoader.add_constructor(_tag, _sized(_make))
_CaseLoader.add_constructor("!text", lambda _, node: str(node.value))
_CaseLoader.add_constructor("!long", lambda _, node: _long(int(node.value)))
_CaseLoader.add_constructor("!digits", lambda _, node: 10 ** int(node.value) - 1)
_CaseLoader.add_constructor("!numpy", _numpy)
_CaseLoader.add_constructor("!repeated", _repeated)
_CaseLoader.add_constructor("!folder", lambda _, __: FOLDER_MARK)
_CaseLoader.add_constructor("!nothing", lambda _, __: NOTHING_MARK)


@dataclass(frozen=True)
class Answer:
    """What a backend says to a case; None for what it cannot say."""

    values: Mapping[str, Value]
    vetoes: tuple[str, ...] | None = None
    fired: tuple[str, ...] | None = None
    leaves: Mapping[str, tuple[str, ...]] | None = None
    """The triggering leaves as written, by rule."""
    missing: Mapping[str, Missing] | None = None
    """The missing facts, by name."""
    reason: str | None = None
    json: str | None = None


@dataclass(frozen=True)
class Case:
    """One case. `fields` is what stands in the file."""

    file: str
    name: str
    fields: Mapping[str, Any]
    documents: Mapping[str, Any] = field(repr=False)

    @property
    def expectation(self) -> str:
        """Which of `EXPECTATIONS` it holds."""
        return next(name for name in EXPECTATIONS if name in self.fields)

    @property
    def profile(self) -> str:
        """The profile to load."""
        return str(self.fields.get("profile", "main"))

    @property
    def policy(self) -> str:
        """The policy to run."""
        return str(self.fields.get("policy", "p"))

    @property
    def facts(self) -> dict[str, Any]:
        """The facts object."""
        facts: dict[str, Any] = {"now": NOW}
        if "facts" in self.fields:
            facts["plain"] = self.fields["facts"]
        given: dict[str, Any] = self.fields.get("given", {})
        return facts | given

    def write(self, home: Path) -> Path:
        """Write its documents into a folder."""
        for folder in ("rules", "policies", "profiles"):
            if self.documents.get(folder) is not NOTHING_MARK:
                (home / folder).mkdir(parents=True)
        for name, text in self.documents.items():
            if text is NOTHING_MARK:
                continue
            if text is FOLDER_MARK:
                (home / name).mkdir()
            else:
                (home / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return home


@cache
def cases() -> tuple[Case, ...]:
    """Every case of every file."""
    return tuple(case for path in sorted(FOLDER.glob("*.yaml")) if path.name != DEFAULTS for case in _cases(path))


def _cases(path: Path) -> Iterator[Case]:
    for fields in _read(path):
        _check_fields(path.name, fields)
        yield Case(path.name, f"{path.stem}: {fields['name']}", fields, _documents(fields))


def _read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), _CaseLoader)  # noqa: S506 - a safe loader with tags of our own


@cache
def _defaults() -> dict[str, str]:
    return {str(name): str(text) for name, text in _read(FOLDER / DEFAULTS).items()}


def _check_fields(file: str, fields: Mapping[str, Any]) -> None:
    where = f"{file}: {fields.get('name')}"
    lacking = {"name", "description"} - fields.keys()
    unknown = fields.keys() - _FIELDS
    held = [name for name in EXPECTATIONS if name in fields]
    forms = [name for name in _FORMS if name in fields]
    if lacking or unknown or len(held) != 1 or len(forms) > 1:
        raise ValueError(f"{where}: lacks {lacking}, unknown {unknown}, expectations {held}, forms {forms}")
    if held == ["decides"] and (strange := fields["decides"].keys() - _DECIDES):
        raise ValueError(f"{where}: unknown under decides: {strange}")
    if held == ["findings"]:
        for finding in fields["findings"]:
            if (strange := finding.keys() - _FINDING) or not {"code", "at"} <= finding.keys():
                raise ValueError(f"{where}: unknown in a finding: {strange}, or no code and place")


def _documents(fields: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = dict(fields.get("documents", {}))
    params: Mapping[str, Any] = fields.get("params", {})
    if "condition" in fields:
        given["rules/s.yaml"] = _condition_rules(fields) + _declared(params)
    elif "value" in fields:
        given["rules/s.yaml"] = _value_rules(fields) + _declared(params)
    elif "rules" in fields:
        given["rules/s.yaml"] = fields["rules"]
    documents: dict[str, Any] = {**_defaults(), **given}
    if "profiles/main.yaml" not in given:
        documents["profiles/main.yaml"] += "".join(
            f"  s.{name}: {_written(param['value'] if isinstance(param, dict) else param)}\n"
            for name, param in params.items()
        )
    if "policies/p.yaml" not in given and isinstance(documents.get("rules/s.yaml"), str):
        names = _names_set(documents["rules/s.yaml"])
        documents["policies/p.yaml"] = documents["policies/p.yaml"].replace("[out]", names)
    return {name: text for name, text in documents.items() if text is not None}


def _names_set(rules: str) -> str:
    """The names a rule set sets, for `decides`; `[out]` where its text is broken on purpose."""
    try:
        return json.dumps(list(yaml.load(rules, yaml.BaseLoader)["sets"]))  # noqa: S506 - resolves nothing
    except (yaml.YAMLError, KeyError, TypeError):
        return "[out]"


def _condition_rules(fields: Mapping[str, Any]) -> str:
    text = fields["condition"]
    head = "ruleset: s\nhit: veto\nsets: {out: {type: flag}}\nrules:\n"
    if "findings" in fields:  # one rule, the text as it is: places are those of line 6, column 9
        return f"{head}- id: r\n  when: {text}\n"
    quoted = json.dumps(text, ensure_ascii=False)
    return f"{head}- id: sure\n  when: {quoted}\n  unknown: skip\n- id: maybe\n  when: {quoted}\n  unknown: match\n"


def _value_rules(fields: Mapping[str, Any]) -> str:
    text = fields["value"]
    declared = json.dumps(fields.get("type", WHOLE))
    head = f"ruleset: s\nhit: first\nsets: {{out: {declared}}}\nrules:\n"
    if "findings" in fields:  # one rule, the text as it is: places are those of line 7, column 10
        return f"{head}- id: r\n  set:\n    out: {text}\n"
    quoted, known = json.dumps(text, ensure_ascii=False), json.dumps(f"({text}) is known", ensure_ascii=False)
    return f"{head}- id: known\n  when: {known}\n  set: {{out: {quoted}}}\n- id: gone\n  set: {{out: 0}}\n"


def _declared(params: Mapping[str, Any]) -> str:
    if not params:
        return ""
    lines = ["params:"]
    for name, param in params.items():
        declaration = {key: text for key, text in param.items() if key != "value"} if isinstance(param, dict) else WHOLE
        lines.append(f"  {name}: {json.dumps(declaration)}")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)


def bits(value: Any) -> bytes | bool | str:
    """A value so that equal means the same to the last bit: an int stands for the double it is."""
    if isinstance(value, (bool, str)):
        return value
    return struct.pack(">d", float(value))


def missing_in(expression: str, answer: Answer) -> set[Missing]:
    """Why facts that an expression names are missing."""
    words = "".join(character if character.isalnum() or character == "_" else " " for character in expression).split()
    return {cause for name, cause in (answer.missing or {}).items() if name in words}
