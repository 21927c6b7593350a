"""The shape of the five kinds of document: which keys there are, which are obligatory, what stands in them.

Cerberus checks a node tree against these shapes before anything is read from it, and `json_schema` turns the same
shapes into JSON Schemas for editors: one description, two uses. Every scalar is text here (YAML resolves nothing for
us), so whether an expression parses or a number is in range is for later stages.

Cerberus needs some 100 microseconds a mapping. A shape depends only on which keys stand where (and on the few scalars
with a list of allowed values), so verdicts are remembered by that skeleton: a thousand rules have a handful of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import cerberus
from cerberus import errors as cerberus_errors

from engine.language.findings import Findings
from engine.language.nodes import Mapping, Node, Scalar, Sequence
from engine.language.spelling import did_you_mean

UNITS = ("bps", "ratio", "ms", "s", "usd", "price", "qty", "count")
"""Units a number may declare; none is allowed too."""

KINDS = ("number", "flag", "choice", "text")
"""Types a fact may have; parameters and decisions have no `text`."""

MEASURES = ("count", "sum", "rate", "in_a_row")
"""What a window says of the events in it."""

SCOPES = ("symbol", "venue")
"""What a window is kept for: each symbol by itself, or all of them together."""

INVARIANT_FORMS = ("claim", "monotone", "bounded", "unchanged_when", "fail_closed", "at_least_as_strict")
"""What an invariant may say, each under a key of its own."""

_TEXT = {"type": "string"}
_NAME = {"type": "string", "regex": r"[A-Za-z_][A-Za-z0-9_]*"}
_NUMBER = {"type": "string", "meta": {"json": {"type": "number"}}}
_FLAG = {"type": "string", "allowed": ["true", "false"], "meta": {"json": {"type": "boolean"}}}
_EXPRESSION = {"type": "string", "meta": {"json": {"type": ["string", "number", "boolean"]}}}
_CONDITION = {"type": ["string", "dict"], "meta": {"json": {"$ref": "#/$defs/condition"}}}
_EFFECTS = {"type": "dict", "minlength": 1, "valuesrules": _EXPRESSION}
_UNKNOWN = {"type": "string", "allowed": ["match", "skip"]}
_NAMES = {"type": "list", "minlength": 1, "schema": _TEXT}
_ONE_OR_MORE = {
    "type": ["string", "list"],
    "minlength": 1,
    "schema": _TEXT,
    "meta": {"json": {"type": ["string", "array"], "minLength": 1, "minItems": 1, "items": {"type": "string"}}},
}
_READS = {"type": "list", "minlength": 1, "schema": {"type": ["string", "dict"]}}
"""Fact groups, and `{decisions: policy}`."""
_VALUE = {"type": "string", "meta": {"json": {"type": ["number", "boolean", "string"]}}}
_SCOPES = {
    **_NAMES,
    "meta": {"json": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(SCOPES)}}},
}

Schema = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Shape:
    """Fields of one kind of mapping, as a Cerberus schema; `parts` are fields that hold further shaped mappings."""

    fields: Schema
    parts: AbstractMapping[str, tuple[Literal["map", "list"], str]] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()
    scalar: bool = False


def _required(rule: dict[str, Any]) -> dict[str, Any]:
    return {**rule, "required": True}


_DECLARATION: Schema = {
    "type": _required({"type": "string", "allowed": list(KINDS)}),
    "unit": {"type": "string", "allowed": list(UNITS)},
    "min": _NUMBER,
    "max": _NUMBER,
    "of": _NAMES,
    "ordered": _FLAG,
    "doc": _TEXT,
}

SHAPES: dict[str, Shape] = {
    "vocabulary": Shape(
        {
            "doc": _TEXT,
            "params": {"type": "dict"},
            "max_ahead_s": _EXPRESSION,
            "groups": _required({"type": "dict", "minlength": 1}),
            "relations": {"type": "list", "schema": _EXPRESSION},
        },
        {"params": ("map", "declaration"), "groups": ("map", "group")},
    ),
    "group": Shape(
        {"doc": _TEXT, "max_age_s": _EXPRESSION, "facts": _required({"type": "dict", "minlength": 1})},
        {"facts": ("map", "declaration")},
    ),
    "declaration": Shape(_DECLARATION),
    "policy": Shape(
        {
            "policy": _required(_NAME),
            "doc": _TEXT,
            "reads": _required(_READS),
            "steps": _required(_NAMES),
            "decides": _required(_NAMES),
            "reason": _NAMES,
            "invariants": {"type": "list"},
        },
        {"invariants": ("list", "invariant")},
    ),
    "invariant": Shape(
        {
            "id": _required(_NAME),
            "doc": _TEXT,
            "profiles": _NAMES,
            "claim": _EXPRESSION,
            "monotone": {
                "type": "dict",
                "schema": {
                    "of": _required(_NAME),
                    "in": _required(_NAME),
                    "moves": _required({"type": "string", "allowed": ["rises", "falls"]}),
                },
            },
            "bounded": {
                "type": "dict",
                "schema": {"of": _required(_NAME), "min": _EXPRESSION, "max": _EXPRESSION},
                "meta": {"also": {"anyOf": [{"required": ["min"]}, {"required": ["max"]}]}},
            },
            "unchanged_when": {
                "type": "dict",
                "schema": {
                    "of": _required(_ONE_OR_MORE),
                    "in": _required(_ONE_OR_MORE),
                    "when": _required(_EXPRESSION),
                },
            },
            "fail_closed": {
                "type": "dict",
                "schema": {"when": _required(_EXPRESSION), "missing": _required(_READS), "unless": _EXPRESSION},
            },
            "at_least_as_strict": {
                "type": "dict",
                "schema": {"profile": _required(_NAME), "than": _required(_NAME), "when": _required(_EXPRESSION)},
            },
        },
        one_of=INVARIANT_FORMS,
    ),
    "ruleset": Shape(
        {
            "ruleset": _required(_NAME),
            "doc": _TEXT,
            "hit": _required({"type": "string", "allowed": ["first", "each", "veto"]}),
            "sets": _required({"type": "dict", "minlength": 1}),
            "start": _EFFECTS,
            "unknown": _UNKNOWN,
            "params": {"type": "dict"},
            "requires": {"type": "list", "schema": _EXPRESSION},
            "rules": _required({"type": "list", "minlength": 1}),
        },
        {"sets": ("map", "declaration"), "params": ("map", "declaration"), "rules": ("list", "rule")},
    ),
    "rule": Shape(
        {
            "id": _required(_NAME),
            "when": _CONDITION,
            "unknown": _UNKNOWN,
            "set": _EFFECTS,
            "add": _EFFECTS,
            "at_least": _EFFECTS,
            "at_most": _EFFECTS,
            "expect": {"type": "string", "allowed": ["unreachable", "reason"]},
            "why": _TEXT,
        }
    ),
    "profile": Shape(
        {
            "profile": _required(_NAME),
            "doc": _TEXT,
            "extends": _NAME,
            "policies": _NAMES,
            "values": {"type": "dict"},
            "disable": {"type": "list"},
            "symbols": {"type": "dict"},
            "diverges": {"type": "list"},
        },
        {
            "values": ("map", "value"),
            "disable": ("list", "disabled"),
            "symbols": ("map", "symbol_group"),
            "diverges": ("list", "divergence"),
        },
    ),
    "windows": Shape(
        {
            "doc": _TEXT,
            "params": {"type": "dict"},
            "events": _required({"type": "dict", "minlength": 1}),
            "windows": _required({"type": "dict", "minlength": 1}),
        },
        {"params": ("map", "declaration"), "events": ("map", "event"), "windows": ("map", "window")},
    ),
    "event": Shape({"doc": _TEXT, "fields": {"type": "dict", "minlength": 1}}, {"fields": ("map", "declaration")}),
    "window": Shape(
        {
            "doc": _TEXT,
            "event": _required(_NAME),
            "filter": _EXPRESSION,
            "measure": _required({"type": "string", "allowed": list(MEASURES)}),
            "of": _NAME,
            "window_s": _EXPRESSION,
            "per": _required(_SCOPES),
        }
    ),
    "value": Shape(
        {
            "value": _required(_VALUE),
            "why": _TEXT,
        },
        scalar=True,
    ),
    "disabled": Shape({"rule": _required(_TEXT), "why": _TEXT}),
    "divergence": Shape(
        {"against": _required(_NAME), "decision": _required(_TEXT), "from": _VALUE, "to": _VALUE, "why": _TEXT}
    ),
    "symbol_group": Shape(
        {"doc": _TEXT, "of": _NAMES, "values": {"type": "dict"}},
        {"values": ("map", "value")},
    ),
}

DOCUMENT_KINDS = ("vocabulary", "policy", "ruleset", "profile", "windows")
"""The shapes that are whole documents."""

_ENUMERATED = frozenset(("type", "unit", "ordered", "hit", "unknown", "moves", "measure", "expect"))


def _allowed(fields: Schema) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every field that lists what it may be, with the list."""
    for name, rule in fields.items():
        if "allowed" in rule:
            yield name, tuple(rule["allowed"])
        if rule["type"] == "dict":
            yield from _allowed(rule.get("schema", {}))


_STAND_INS = {
    (name, value): f"={values[0]}"
    for name, values in {listed for shape in SHAPES.values() for listed in _allowed(shape.fields)}
    for value in values
}
"""By field and value: the first of the allowed values, for which Cerberus says the same as for any other of them."""

_NAMED = frozenset(("policy", "ruleset", "profile", "id", "extends", "of", "in", "than", "event", "against"))
_FREE = frozenset(("set", "add", "at_least", "at_most", "start"))
"""Fields whose keys are names of the author's own."""

_MOST_ENTRIES = 300
"""Entries of one part, lists of texts and parts with a shape of their own aside; real ones have some ten."""

_KIND_OF_NODE = {Scalar: "text", Mapping: "a mapping", Sequence: "a list"}
_TYPE_HELP = {
    "string": "write one text",
    "dict": "write `key: value`, one a line and indented",
    "list": "write `[a, b]`, or one entry a line after `- `",
}
_KIND_OF_TYPE = {"string": "text", "dict": "a mapping", "list": "a list"}


def check_shape(kind: str, node: Node, findings: Findings) -> bool:
    """True if the node has the shape of that kind; otherwise findings say where it has not."""
    shape = SHAPES[kind]
    if shape.scalar and isinstance(node, Scalar):
        return True
    if not isinstance(node, Mapping):
        if isinstance(node, Scalar) and not node.text:
            findings.add("shape.empty", node.span, f"{_a(kind)} is a mapping, and empty here", _mapping_help(shape))
        else:
            message = f"{_a(kind)} is a mapping, not {_KIND_OF_NODE[type(node)]}"
            findings.add("shape.type", node.span, message, _mapping_help(shape))
        return False
    skeleton = _skeleton(node, shape)
    problems = _verdict(kind, skeleton)
    if problems is None:
        message = f"{_a(kind)} has no part of more than {_MOST_ENTRIES} entries"
        findings.add("shape.too_many", node.span, message, "see docs/language.md for its keys")
        return False
    sound = True
    for problem in problems:
        _report(kind, node, problem, findings)
        sound = False
    given = [name for name in shape.one_of if name in node.entries]
    if shape.one_of and len(given) != 1:
        wanted = ", ".join(f"`{name}`" for name in shape.one_of)
        help_text = "keep one and remove the others" if given else "add one of them"
        message = f"exactly one of {wanted} is expected, {len(given)} given"
        findings.add("shape.one_of", node.span, message, help_text)
        sound = False
    for name, (container, part) in shape.parts.items():
        held = node.get(name)
        if container == "map" and isinstance(held, Mapping):
            for item in held.entries.values():
                sound &= check_shape(part, item, findings)
        elif container == "list" and isinstance(held, Sequence):
            for item in held.items:
                sound &= check_shape(part, item, findings)
    return sound


_Skeleton = str | tuple[Any, ...]
_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Problem:
    path: _Path
    rule: str
    constraint: Any


def _skeleton(node: Node, shape: Shape | None, key: str = "") -> _Skeleton:
    """What Cerberus' verdict depends on: keys, kinds of nodes, and text where its allowed values are listed."""
    if isinstance(node, Scalar):
        if key in _ENUMERATED:
            return _STAND_INS.get((key, node.text), f"={node.text}")
        if key in _NAMED:
            return "name" if node.text.isidentifier() and node.text.isascii() else "!" if node.text else ""
        return "text" if node.text else ""
    if isinstance(node, Sequence):
        # A list of texts is like any other: how many there are, and which, tells nothing.
        if node.items and all(isinstance(item, Scalar) for item in node.items):
            return ("list", "text")
        return ("list", *(_skeleton(item, None, key) for item in node.items))
    if shape is None and key in _FREE and all(isinstance(item, Scalar) and item.text for item in node.entries.values()):
        return ("map", *([("x", "text", False)] if node.entries else []))
    parts = shape.parts if shape else {}
    return (
        "map",
        *(
            (name, type(item).__name__ if name in parts else _skeleton(item, None, name), _empty(item))
            for name, item in node.entries.items()
        ),
    )


def _widest(skeleton: Any) -> int:
    if isinstance(skeleton, str):
        return 0
    parts = skeleton[1:] if skeleton[0] == "list" else [item for _, item, _ in skeleton[1:]]
    return max((len(parts), *(_widest(part) for part in parts)))


def _empty(node: Node) -> bool:
    return not (node.text if isinstance(node, Scalar) else node.entries if isinstance(node, Mapping) else node.items)


# Cerberus checks the schemas themselves at some milliseconds each: once, not at every load.
_VALIDATORS = {kind: cerberus.Validator(shape.fields) for kind, shape in SHAPES.items()}
_ONE_AT_A_TIME = threading.Lock()
"""A validator holds the errors of its last document, and two threads may load at once."""


@lru_cache(maxsize=4096)
def _verdict(kind: str, skeleton: _Skeleton) -> tuple[_Problem, ...] | None:
    """What is wrong with a skeleton; None where it is too wide to ask: Cerberus' time grows with the square of that."""
    if _widest(skeleton) > _MOST_ENTRIES:
        return None
    validator = _VALIDATORS[kind]
    problems: list[_Problem] = []
    with _ONE_AT_A_TIME:
        validator.validate(_sample(skeleton), normalize=False)
        _collect(validator._errors, problems)  # noqa: SLF001 - the public `errors` drops the rule and its constraint
    return tuple(problems)


def _sample(skeleton: Any) -> Any:
    """A document of this skeleton."""
    if isinstance(skeleton, str):
        if skeleton.startswith("="):
            return skeleton[1:]
        return {"name": "name", "!": "!", "": "", "text": "text", "Mapping": {"x": ""}, "Sequence": [""]}.get(
            skeleton, "text"
        )
    if skeleton[0] == "list":
        return [_sample(item) for item in skeleton[1:]]
    result: dict[str, Any] = {}
    for key, item, empty in skeleton[1:]:
        sample = _sample(item)
        if item in ("Mapping", "Sequence"):
            sample = ({} if empty else {"x": ""}) if item == "Mapping" else ([] if empty else [""])
        result[key] = sample
    return result


def _collect(errors: Any, problems: list[_Problem]) -> None:
    for error in errors:
        if error.child_errors:
            _collect(error.child_errors, problems)
        elif error.code == cerberus_errors.UNKNOWN_FIELD.code:
            problems.append(_Problem(tuple(error.document_path), "unknown", None))
        else:
            constraint = tuple(error.constraint) if isinstance(error.constraint, list) else error.constraint
            problems.append(_Problem(tuple(error.document_path), error.rule, constraint))


def _report(kind: str, node: Mapping, problem: _Problem, findings: Findings) -> None:
    *path, last = problem.path
    holder: Node = node
    for step in path:
        holder = _child(holder, step)
    title = _title(kind) if not path else f"`{path[-1]}`"
    here = _child(holder, last) if problem.rule != "required" else holder
    if problem.rule == "required":
        span = holder.keys[next(iter(holder.keys))].span if isinstance(holder, Mapping) and holder.keys else holder.span
        findings.add("shape.missing_key", span, f"{title} lacks `{last}`", f"add `{last}: …`")
    elif problem.rule == "unknown":
        known = _known_keys(kind, path)
        span = holder.keys[str(last)].span if isinstance(holder, Mapping) else holder.span
        if here.source.text[here.start.index : here.end.index].strip() == "" and " " in str(last):
            message = f"YAML cut a text at a comma: `{last}` stands as a key of its own"
            findings.add("yaml.split_text", span, message, "in `{…}`, put a text with a comma in double quotes")
            return
        listed = "its keys are " + ", ".join(f"`{name}`" for name in known)
        findings.add("shape.unknown_key", span, f"{title} has no key `{last}`", did_you_mean(str(last), known, listed))
    elif problem.rule == "type":
        wanted = problem.constraint if isinstance(problem.constraint, tuple) else (problem.constraint,)
        names = " or ".join(_KIND_OF_TYPE.get(str(name), str(name)) for name in wanted)
        if isinstance(here, Scalar) and not here.text and isinstance(last, str):
            findings.add("shape.empty", here.span, f"`{last}` is empty", "give at least one entry, or remove the key")
            return
        help_text = " or ".join(_TYPE_HELP[str(name)] for name in wanted)
        if last == "when" and "dict" in wanted:
            help_text = "write `x > $limit`, or `all:` with such expressions in a list under it"
        findings.add("shape.type", here.span, f"`{last}` is {_KIND_OF_NODE[type(here)]}, not {names}", help_text)
    elif problem.rule == "allowed":
        text = here.text if isinstance(here, Scalar) else ""
        listed = "it is one of " + ", ".join(str(value) for value in problem.constraint)
        findings.add(
            "shape.value", here.span, f"`{last}` cannot be `{text}`", did_you_mean(text, problem.constraint, listed)
        )
    elif problem.rule == "regex":
        text = here.text if isinstance(here, Scalar) else ""
        findings.add(
            "shape.name", here.span, f"`{text}` is not a name", "letters, digits and `_`, not starting with a digit"
        )
    else:
        findings.add("shape.empty", here.span, f"`{last}` is empty", "give at least one entry, or remove the key")


def _child(node: Node, step: str | int) -> Node:
    if isinstance(node, Mapping):
        return node.entries[str(step)]
    if isinstance(node, Sequence) and isinstance(step, int):
        return node.items[step]
    return node


def _known_keys(kind: str, path: list[str | int]) -> list[str]:
    fields: Any = SHAPES[kind].fields
    for step in path:
        fields = fields.get(step, {}).get("schema", {}) if isinstance(fields, dict) else {}
    return list(fields)


def _a(kind: str) -> str:
    title = {"disabled": "entry of `disable`", "divergence": "entry of `diverges`"}.get(kind, _title(kind))
    return f"{'an' if title[0] in 'aeiou' else 'a'} {title}"


def _mapping_help(shape: Shape) -> str:
    needed = [name for name, rule in shape.fields.items() if rule.get("required")] or list(shape.fields)[:2]
    # A deviation without a why is refused.
    needed += ["why"] if shape in (SHAPES["disabled"], SHAPES["divergence"], SHAPES["value"]) else []
    return "write `" + ", ".join(f"{name}: …" for name in needed) + "`"


def _title(kind: str) -> str:
    return {"ruleset": "rule set", "windows": "document of windows"}.get(kind, kind.replace("_", " "))


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a document kind, for editors.

    It describes shape alone: that names exist, units fit and every parameter has a value is for `sluice check`.
    """
    condition = {
        "description": "one expression, or nested all: / any:",
        "oneOf": [
            {"type": ["string", "boolean"]},
            *(
                {
                    "type": "object",
                    "properties": {word: {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/condition"}}},
                    "required": [word],
                    "additionalProperties": False,
                }
                for word in ("all", "any")
            ),
        ],
    }
    definitions = {name: _json_shape(name) for name in SHAPES if name not in DOCUMENT_KINDS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Sluice {_title(kind)}",
        **_json_shape(kind),
        "$defs": {"condition": condition, **definitions},
    }


def _json_shape(kind: str) -> dict[str, Any]:
    shape = SHAPES[kind]
    properties = {}
    for name, rule in shape.fields.items():
        if name in shape.parts:
            container, part = shape.parts[name]
            item = {"$ref": f"#/$defs/{part}"}
            held = {"additionalProperties": item} if container == "map" else {"items": item}
            properties[name] = {**_json_rule(rule), **held}
        else:
            properties[name] = _json_rule(rule)
    result: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": [name for name, rule in shape.fields.items() if rule.get("required")],
        "additionalProperties": False,
    }
    if shape.one_of:
        result["oneOf"] = [{"required": [name]} for name in shape.one_of]
    return {"anyOf": [{"type": ["number", "boolean", "string"]}, result]} if shape.scalar else result


def _json_rule(rule: dict[str, Any]) -> dict[str, Any]:
    override = rule.get("meta", {}).get("json")
    if override:
        return dict(override)
    kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    names = [{"string": "string", "dict": "object", "list": "array"}[kind] for kind in kinds]
    result: dict[str, Any] = {"type": names[0] if len(names) == 1 else names}
    if "allowed" in rule:
        result["enum"] = rule["allowed"]
    if "regex" in rule:
        result["pattern"] = f"^{rule['regex']}$"
    if "minlength" in rule:
        result["minItems" if "array" in names else "minProperties"] = rule["minlength"]
    if "valuesrules" in rule:
        result["additionalProperties"] = _json_rule(rule["valuesrules"])
    if isinstance(rule.get("schema"), dict):
        inner = rule["schema"]
        if "array" in names:
            result["items"] = _json_rule(inner)
        else:
            result["properties"] = {name: _json_rule(item) for name, item in inner.items()}
            result["required"] = [name for name, item in inner.items() if item.get("required")]
            result["additionalProperties"] = False
    return {**result, **rule.get("meta", {}).get("also", {})}
