"""Nodes become documents: the five kinds of file as data, expressions parsed, nothing resolved across files.

In: a node tree of sound shape. Out: a `Vocabulary`, `PolicyDocument`, `RuleSetDocument`, `ProfileDocument` or
`WindowsDocument`. Each stands for one file alone, so a file that did not change need not be read again. A document is
built only if its own file is sound; what refers to a broken one is not blamed for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from engine.language import syntax
from engine.language.findings import Findings, Related, Span, one_line
from engine.language.model import (
    EFFECT_ORDER,
    EffectKind,
    Expectation,
    Expression,
    HitPolicy,
    Measure,
    WindowScope,
    Written,
)
from engine.language.nodes import Mapping, Node, Scalar, Sequence, Source, compose
from engine.language.parse import Problem, parse
from engine.language.shapes import INVARIANT_FORMS, SCOPES, check_shape
from engine.language.spelling import did_you_mean
from engine.language.types import NO_UNIT, ChoiceType, FlagType, NumberType, TextType, Type, Value


@dataclass(frozen=True, slots=True, eq=False)
class ExpressionText:
    """An expression as written: its text, its syntax tree and the scalar it stands in."""

    text: str
    tree: syntax.Expression
    scalar: Scalar

    @property
    def span(self) -> Span:
        """Where the whole expression stands."""
        return self.scalar.span

    def at(self, node: syntax.Expression) -> Span:
        """Where one node of the tree stands."""
        return self.scalar.at(node.start, node.end)

    def typed(self, expression: Expression) -> Written:
        """What it means, with what was written."""
        return Written(self.text, expression, self.span, self.scalar)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A name with its type: a fact, a parameter, or a decision."""

    name: str
    type: Type
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class GroupDocument:
    """A fact group as declared."""

    name: str
    doc: str
    max_age: ExpressionText | None
    facts: dict[str, Declaration]
    span: Span


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """policies/facts.yaml."""

    source: Source
    params: dict[str, Declaration]
    max_ahead: ExpressionText | None
    groups: dict[str, GroupDocument]
    relations: tuple[ExpressionText, ...]


@dataclass(frozen=True, slots=True)
class NamePlace:
    """A name where it is mentioned."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Read:
    """One entry of `reads`: a group, or the decisions of another policy."""

    name: str
    decisions: bool
    span: Span


@dataclass(frozen=True, slots=True)
class ClaimText:
    """`claim`."""

    claim: ExpressionText


@dataclass(frozen=True, slots=True)
class MonotoneText:
    """`monotone`."""

    of: NamePlace
    in_: NamePlace
    moves: Literal["rises", "falls"]


@dataclass(frozen=True, slots=True)
class BoundedText:
    """`bounded`; at least one of the bounds is there."""

    of: NamePlace
    least: ExpressionText | None
    most: ExpressionText | None


@dataclass(frozen=True, slots=True)
class UnchangedText:
    """`unchanged_when`."""

    of: tuple[NamePlace, ...]
    in_: tuple[NamePlace, ...]
    when: ExpressionText


@dataclass(frozen=True, slots=True)
class FailClosedText:
    """`fail_closed`."""

    when: ExpressionText
    missing: tuple[Read, ...]
    unless: ExpressionText | None


@dataclass(frozen=True, slots=True)
class StrictText:
    """`at_least_as_strict`."""

    profile: NamePlace
    than: NamePlace
    when: ExpressionText


InvariantText = ClaimText | MonotoneText | BoundedText | UnchangedText | FailClosedText | StrictText
"""What an invariant says, as written."""


@dataclass(frozen=True, slots=True)
class InvariantDocument:
    """An invariant as written."""

    id: str
    doc: str
    profiles: tuple[NamePlace, ...] | None
    says: InvariantText
    span: Span


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """policies/<name>.yaml."""

    source: Source
    name: str
    doc: str
    reads: tuple[Read, ...]
    steps: tuple[NamePlace, ...]
    decides: tuple[NamePlace, ...]
    reason: tuple[NamePlace, ...]
    invariants: tuple[InvariantDocument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class LeafText:
    """One leaf of a `when`."""

    expression: ExpressionText


@dataclass(frozen=True, slots=True)
class NestedText:
    """`all:` or `any:` of a `when`."""

    kind: Literal["all", "any"]
    items: tuple[ConditionText, ...]


ConditionText = LeafText | NestedText
"""A condition as written."""


@dataclass(frozen=True, slots=True)
class EffectText:
    """An effect as written."""

    kind: EffectKind
    name: NamePlace
    value: ExpressionText


@dataclass(frozen=True, slots=True)
class RuleDocument:
    """A rule as written."""

    id: str
    condition: ConditionText | None
    unknown: Literal["match", "skip"] | None
    effects: tuple[EffectText, ...]
    expect: Expectation | None
    why: str
    span: Span


@dataclass(frozen=True, slots=True)
class RuleSetDocument:
    """rules/<name>.yaml."""

    source: Source
    name: str
    doc: str
    hit: HitPolicy
    sets: dict[str, Declaration]
    start: tuple[EffectText, ...]
    unknown: Literal["match", "skip"] | None
    params: dict[str, Declaration]
    requires: tuple[ExpressionText, ...]
    rules: tuple[RuleDocument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ValueText:
    """A value as a profile gives it; `why` is None where it gives none."""

    name: str
    scalar: Scalar
    why: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class DisabledText:
    """One entry of `disable`."""

    rule: str
    why: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class DivergenceText:
    """One entry of `diverges`; `before` and `after` are what stands under `from` and `to`."""

    against: NamePlace
    decision: Scalar
    before: Scalar | None
    after: Scalar | None
    why: str | None

    @property
    def span(self) -> Span:
        """Where the entry is pointed at."""
        return self.decision.span


@dataclass(frozen=True, slots=True)
class SymbolGroupText:
    """A named group of symbols and what differs for it; `of` is None where only values are added."""

    name: str
    of: tuple[NamePlace, ...] | None
    values: dict[str, ValueText]
    span: Span


@dataclass(frozen=True, slots=True)
class ProfileDocument:
    """profiles/<name>.yaml."""

    source: Source
    name: str
    doc: str
    extends: NamePlace | None
    policies: tuple[NamePlace, ...] | None
    values: dict[str, ValueText]
    disable: tuple[DisabledText, ...]
    symbols: dict[str, SymbolGroupText]
    diverges: tuple[DivergenceText, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class EventDocument:
    """A kind of events as declared."""

    name: str
    doc: str
    fields: dict[str, Declaration]
    span: Span


@dataclass(frozen=True, slots=True)
class WindowDocument:
    """A window as written, under the name of the fact that it gives."""

    fact: NamePlace
    doc: str
    event: NamePlace
    filter: ExpressionText | None
    measure: Measure
    of: NamePlace | None
    length: ExpressionText | None
    per: tuple[WindowScope, ...]


@dataclass(frozen=True, slots=True)
class WindowsDocument:
    """policies/windows.yaml."""

    source: Source
    params: dict[str, Declaration]
    events: dict[str, EventDocument]
    windows: tuple[WindowDocument, ...]


_IN_TIME: tuple[Measure, ...] = ("count", "sum", "rate")
_WINDOW_KEYS: tuple[tuple[str, tuple[Measure, ...], tuple[Measure, ...], str], ...] = (
    ("window_s", _IN_TIME, _IN_TIME, "say how long it looks back: `window_s: 60`"),
    ("of", ("sum",), ("sum",), "name the field to add up"),
    ("filter", (*_IN_TIME, "in_a_row"), ("in_a_row",), "say which events go on with the row; any other ends it"),
)
"""Keys of a window, the measures that may have them, those that must, and what to write."""

Document = Vocabulary | PolicyDocument | RuleSetDocument | ProfileDocument | WindowsDocument
"""Any document."""

DocumentKind = Literal["vocabulary", "policy", "ruleset", "profile", "windows"]


def read_document(kind: DocumentKind, source: Source, stem: str, findings: Findings) -> Document | None:
    """The document in a source; None, with findings, if its file is not sound. `stem` is the name the file promises."""
    node = compose(source, findings)
    if node is None or not check_shape(kind, node, findings) or not isinstance(node, Mapping):
        return None
    reader = _Reader(source, findings)
    document: Document
    match kind:
        case "vocabulary":
            document = reader.vocabulary(node)
        case "policy":
            document = reader.policy(node)
        case "ruleset":
            document = reader.ruleset(node)
        case "profile":
            document = reader.profile(node)
        case "windows":
            document = reader.windows(node)
    if not isinstance(document, (Vocabulary, WindowsDocument)) and document.name != stem:
        where = node.entries[kind].span
        findings.add(
            "name.file", where, f"this file should be called `{document.name}.yaml`", f"or the {kind} `{stem}`"
        )
        reader.sound = False
    return document if reader.sound else None


def read_value(scalar: Scalar, kind: Type, findings: Findings, what: str) -> Value | None:
    """The value a scalar gives for a type; None, with a finding, if it gives none (range is not checked here)."""
    match kind:
        case NumberType():
            tree = parse(scalar.text)
            if isinstance(tree, syntax.Number):
                return tree.value
            if isinstance(tree, syntax.Negative) and isinstance(tree.operand, syntax.Number):
                return -tree.operand.value
            findings.add(
                "value.type", scalar.span, f"{what} is a number, not `{scalar.text}`", _number_help(scalar.text)
            )
        case FlagType():
            if scalar.text in ("true", "false"):
                return scalar.text == "true"
            findings.add("value.type", scalar.span, f"{what} is a flag, not `{scalar.text}`", "write `true` or `false`")
        case ChoiceType(of=of):
            if scalar.text in of:
                return scalar.text
            findings.add(
                "value.type", scalar.span, f"{what} cannot be `{scalar.text}`", "it is one of " + ", ".join(of)
            )
        case TextType():
            return scalar.text
    return None


def _number_help(text: str) -> str:
    if "_" in text or "," in text:
        return "write it without separators"
    if text.rstrip().endswith("%"):
        return "write the ratio: 0.5 for 50 %"
    return "write it like 12, 0.5, -3 or 1e3"


class _Reader:
    """Reads one node tree of sound shape; `sound` turns false with the first finding."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self.sound = True

    def vocabulary(self, node: Mapping) -> Vocabulary:
        groups: dict[str, GroupDocument] = {}
        held = node.entries["groups"]
        assert isinstance(held, Mapping)
        for name, group in held.entries.items():
            assert isinstance(group, Mapping)
            key = held.keys[name]
            self._name(key, reserved=("now", "symbol", "intent_id", "decisions"))
            facts = self._declarations(group.get("facts"), texts=True, reserved=("observed_at",))
            max_age = group.get("max_age_s")
            groups[name] = GroupDocument(
                name, _text(group, "doc"), self._expression(max_age) if max_age else None, facts, key.span
            )
        ahead = node.get("max_ahead_s")
        return Vocabulary(
            self._source,
            self._declarations(node.get("params"), texts=False),
            self._expression(ahead) if ahead else None,
            groups,
            tuple(text for item in _items(node, "relations") if (text := self._expression(item))),
        )

    def policy(self, node: Mapping) -> PolicyDocument:
        items = [item for item in _items(node, "invariants") if isinstance(item, Mapping)]
        self._unique([(_text(item, "id"), item.entries["id"].span) for item in items], "invariant")
        return PolicyDocument(
            self._source,
            _text(node, "policy"),
            _text(node, "doc"),
            self._reads(node, "reads"),
            self._names(node, "steps"),
            self._names(node, "decides"),
            self._names(node, "reason"),
            tuple(made for item in items if (made := self._invariant(item))),
            node.entries["policy"].span,
        )

    def _reads(self, node: Mapping, key: str) -> tuple[Read, ...]:
        """Fact groups, and `{decisions: policy}`."""
        reads = []
        for item in _items(node, key):
            if isinstance(item, Scalar):
                reads.append(Read(item.text, decisions=False, span=item.span))
                continue
            other = item.get("decisions") if isinstance(item, Mapping) else None
            if isinstance(other, Scalar) and isinstance(item, Mapping) and len(item.entries) == 1:
                reads.append(Read(other.text, decisions=True, span=other.span))
            else:
                help_text = "write the name alone, or `decisions` and one policy"
                self._refuse("shape.type", item.span, "a read is a group or `{decisions: policy}`", help_text)
        return tuple(reads)

    def _invariant(self, node: Mapping) -> InvariantDocument | None:
        """An invariant; None where an expression of it does not parse."""
        (form,) = (name for name in INVARIANT_FORMS if name in node.entries)
        held = node.entries[form]
        says: InvariantText | None
        if isinstance(held, Mapping):
            says = self._says(form, node.keys[form], held)
        else:
            claim = self._expression(held)
            says = ClaimText(claim) if claim is not None else None
        if says is None:
            return None
        return InvariantDocument(
            _text(node, "id"),
            _text(node, "doc"),
            self._names(node, "profiles") if "profiles" in node.entries else None,
            says,
            node.entries["id"].span,
        )

    def _says(self, form: str, key: Scalar, held: Mapping) -> InvariantText | None:
        """What stands under the key of a form."""
        expressions = {
            name: self._expression(held.entries[name])
            for name in ("when", "unless", "min", "max")
            if name in held.entries
        }
        if None in expressions.values():
            return None
        when = expressions.get("when")
        match form:
            case "monotone":
                of, in_ = _place(held.entries["of"]), _place(held.entries["in"])
                return MonotoneText(of, in_, _as_move(_text(held, "moves")))
            case "bounded":
                least, most = expressions.get("min"), expressions.get("max")
                if least is None and most is None:
                    message = "`bounded` lacks both `min` and `max`"
                    self._refuse("shape.missing_key", key.span, message, "add one of them, or both")
                return BoundedText(_place(held.entries["of"]), least, most)
            case "unchanged_when" if when is not None:
                return UnchangedText(self._one_or_more(held, "of"), self._one_or_more(held, "in"), when)
            case "fail_closed" if when is not None:
                return FailClosedText(when, self._reads(held, "missing"), expressions.get("unless"))
            case "at_least_as_strict" if when is not None:
                return StrictText(_place(held.entries["profile"]), _place(held.entries["than"]), when)
        raise AssertionError(form)

    def ruleset(self, node: Mapping) -> RuleSetDocument:
        rules = [self._rule(item) for item in _items(node, "rules") if isinstance(item, Mapping)]
        self._unique([(rule.id, rule.span) for rule in rules], "rule")
        start = node.get("start")
        return RuleSetDocument(
            self._source,
            _text(node, "ruleset"),
            _text(node, "doc"),
            _as_hit(_text(node, "hit")),
            self._declarations(node.get("sets"), texts=False),
            self._effects("set", start) if isinstance(start, Mapping) else (),
            _as_unknown(_text(node, "unknown")),
            self._declarations(node.get("params"), texts=False),
            tuple(text for item in _items(node, "requires") if (text := self._expression(item))),
            tuple(rules),
            node.entries["ruleset"].span,
        )

    def _rule(self, node: Mapping) -> RuleDocument:
        effects: list[EffectText] = []
        for kind in EFFECT_ORDER:
            held = node.get(kind)
            if isinstance(held, Mapping):
                effects += self._effects(kind, held)
        when = node.get("when")
        expect, why = _as_expectation(_text(node, "expect")), _text(node, "why")
        if expect is not None and not why:
            message = f"`expect: {expect}` stands without a why"
            self._refuse("expect.no_why", node.keys["expect"].span, message, "say why it is meant: `why: …`")
        return RuleDocument(
            _text(node, "id"),
            self._condition(when) if when is not None else None,
            _as_unknown(_text(node, "unknown")),
            tuple(effects),
            expect,
            why,
            node.entries["id"].span,
        )

    def _effects(self, kind: EffectKind, node: Mapping) -> tuple[EffectText, ...]:
        return tuple(
            EffectText(kind, _place(node.keys[name]), text)
            for name, item in node.entries.items()
            if (text := self._expression(item))
        )

    def _condition(self, node: Node) -> ConditionText | None:
        if isinstance(node, Scalar):
            text = self._expression(node)
            return LeafText(text) if text else None
        if isinstance(node, Mapping) and len(node.entries) == 1:
            word, held = next(iter(node.entries.items()))
            if word in ("all", "any") and isinstance(held, Sequence) and held.items:
                items = tuple(item for child in held.items if (item := self._condition(child)))
                return NestedText("all" if word == "all" else "any", items)
        self._refuse(
            "shape.condition",
            node.span,
            "a condition is one expression, or `all:` / `any:` with a list of them",
            "write `x > $limit`, or `all:` with such expressions in a list under it",
        )
        return None

    def profile(self, node: Mapping) -> ProfileDocument:
        symbols: dict[str, SymbolGroupText] = {}
        held = node.get("symbols")
        if isinstance(held, Mapping):
            for name, group in held.entries.items():
                assert isinstance(group, Mapping)
                self._name(held.keys[name])
                members = self._names(group, "of") if "of" in group.entries else None
                self._unique([(member.name, member.span) for member in members or ()], "symbol")
                for member in members or ():
                    if not member.name.isprintable() or member.name.split() != [member.name]:
                        message = f"`{one_line(member.name)}` is no symbol"
                        self._refuse("shape.name", member.span, message, "a symbol is one word: BTCUSDT")
                symbols[name] = SymbolGroupText(name, members, self._values(group.get("values")), held.keys[name].span)
        extends = node.get("extends")
        disabled = tuple(
            DisabledText(_text(item, "rule"), _text(item, "why") or None, item.entries["rule"].span)
            for item in _items(node, "disable")
            if isinstance(item, Mapping)
        )
        return ProfileDocument(
            self._source,
            _text(node, "profile"),
            _text(node, "doc"),
            _place(extends) if extends is not None else None,
            self._names(node, "policies") if "policies" in node.entries else None,
            self._values(node.get("values")),
            disabled,
            symbols,
            tuple(_divergence(item) for item in _items(node, "diverges") if isinstance(item, Mapping)),
            node.entries["profile"].span,
        )

    def windows(self, node: Mapping) -> WindowsDocument:
        events: dict[str, EventDocument] = {}
        held = node.entries["events"]
        assert isinstance(held, Mapping)
        for name, event in held.entries.items():
            assert isinstance(event, Mapping)
            self._name(held.keys[name])
            fields = self._declarations(event.get("fields"), texts=True)
            events[name] = EventDocument(name, _text(event, "doc"), fields, held.keys[name].span)
        windows = node.entries["windows"]
        assert isinstance(windows, Mapping)
        return WindowsDocument(
            self._source,
            self._declarations(node.get("params"), texts=False),
            events,
            tuple(
                self._window(windows.keys[name], window)
                for name, window in windows.entries.items()
                if isinstance(window, Mapping)
            ),
        )

    def _window(self, key: Scalar, node: Mapping) -> WindowDocument:
        """A window. Which keys it has depends on its measure: each is there exactly where it means something."""
        measure = _as_measure(_text(node, "measure"))
        for name, allowed, needed, help_text in _WINDOW_KEYS:
            if name in node.entries and measure not in allowed:
                message = f"a window that measures `{measure}` has no `{name}`"
                self._refuse("window.key", node.keys[name].span, message, f"remove `{name}`, or measure otherwise")
            elif name not in node.entries and measure in needed:
                self._refuse("window.key", key.span, f"a window that measures `{measure}` lacks `{name}`", help_text)
        written, length, of = node.get("filter"), node.get("window_s"), node.get("of")
        return WindowDocument(
            _place(key),
            _text(node, "doc"),
            _place(node.entries["event"]),
            self._expression(written) if written is not None else None,
            measure,
            _place(of) if of is not None else None,
            self._expression(length) if length is not None else None,
            self._scopes(node),
        )

    def _scopes(self, node: Mapping) -> tuple[WindowScope, ...]:
        places = self._names(node, "per")
        self._unique([(place.name, place.span) for place in places], "scope")
        scopes: list[WindowScope] = []
        for place in places:
            if place.name in SCOPES:
                scopes.append("symbol" if place.name == "symbol" else "venue")
            else:
                help_text = did_you_mean(place.name, SCOPES, "it is one of symbol, venue")
                self._refuse("shape.value", place.span, f"`per` cannot be `{one_line(place.name)}`", help_text)
        return tuple(scopes)

    def _values(self, node: Node | None) -> dict[str, ValueText]:
        values: dict[str, ValueText] = {}
        if not isinstance(node, Mapping):
            return values
        for name, item in node.entries.items():
            why: str | None = None
            scalar: Node = item
            if isinstance(item, Mapping):
                scalar = item.entries["value"]
                why = _text(item, "why") or None
            assert isinstance(scalar, Scalar)
            values[name] = ValueText(name, scalar, why, node.keys[name].span)
        return values

    def _declarations(
        self, node: Node | None, *, texts: bool, reserved: tuple[str, ...] = ()
    ) -> dict[str, Declaration]:
        declared: dict[str, Declaration] = {}
        if not isinstance(node, Mapping):
            return declared
        for name, item in node.entries.items():
            assert isinstance(item, Mapping)
            self._name(node.keys[name], reserved)
            kind = self._type(item, node.keys[name], texts=texts)
            if kind is not None:
                declared[name] = Declaration(name, kind, _text(item, "doc"), node.keys[name].span)
        return declared

    def _type(self, node: Mapping, key: Scalar, *, texts: bool) -> Type | None:
        kind = _text(node, "type")
        allowed = {"number": ("unit", "min", "max"), "choice": ("of", "ordered")}.get(kind, ())
        for name in node.entries:
            if name not in ("type", "doc", *allowed):
                self._refuse("type.key", node.keys[name].span, f"a {kind} has no `{name}`", f"remove `{name}`")
        match kind:
            case "number":
                return self._number_type(node, key)
            case "flag":
                return FlagType()
            case "choice":
                return self._choice_type(node, key)
            case _ if texts:
                return TextType()
        self._refuse("type.text", node.entries["type"].span, "only facts can be texts", "declare a choice")
        return None

    def _number_type(self, node: Mapping, key: Scalar) -> NumberType | None:
        bounds: list[float] = []
        for name in ("min", "max"):
            bound = node.get(name)
            if not isinstance(bound, Scalar):
                self._refuse(
                    "type.no_range",
                    key.span,
                    f"the number `{key.text}` lacks `{name}`",
                    "every number declares a finite min and max: the checker reasons with them",
                )
                continue
            value = read_value(bound, NumberType(NO_UNIT, -math.inf, math.inf), self._findings, f"`{name}`")
            if isinstance(value, float):
                bounds.append(value)
            else:
                self.sound = False
        if len(bounds) < len(("min", "max")):
            return None
        if bounds[0] > bounds[1]:
            self._refuse("type.range", node.entries["min"].span, f"min of `{key.text}` is above its max", "swap them")
            return None
        # -0.0 and 0.0 are one bound; the written sign of a zero must not reach a digest or a comparison.
        return NumberType(_text(node, "unit") or NO_UNIT, bounds[0] + 0.0, bounds[1] + 0.0)

    def _choice_type(self, node: Mapping, key: Scalar) -> ChoiceType | None:
        listed = node.get("of")
        if not isinstance(listed, Sequence):
            self._refuse(
                "type.no_values", key.span, f"the choice `{key.text}` lacks `of`", "list its values: `of: [a, b]`"
            )
            return None
        values = self._names(node, "of")
        for item in listed.items:
            assert isinstance(item, Scalar)
            self._name(item)
        self._unique([(value.name, value.span) for value in values], "value")
        return ChoiceType(tuple(value.name for value in values), _text(node, "ordered") == "true")

    def _expression(self, node: Node) -> ExpressionText | None:
        assert isinstance(node, Scalar)
        parsed = parse(node.text)
        if isinstance(parsed, Problem):
            where = node.at(parsed.start, parsed.end)
            self._refuse("expression.syntax", where, parsed.message, parsed.help)
            return None
        return ExpressionText(node.text, parsed, node)

    def _name(self, key: Scalar, reserved: tuple[str, ...] = ()) -> None:
        if not (key.text.isidentifier() and key.text.isascii()):
            self._refuse(
                "shape.name", key.span, f"`{key.text}` is not a name", "letters, digits and `_`, not first a digit"
            )
        elif key.text in syntax.KEYWORDS or key.text in reserved or key.text.startswith("__"):
            self._refuse("name.keyword", key.span, f"`{key.text}` is a word of the language", "choose another name")

    def _names(self, node: Mapping, key: str) -> tuple[NamePlace, ...]:
        return tuple(_place(item) for item in _items(node, key))

    def _one_or_more(self, node: Mapping, key: str) -> tuple[NamePlace, ...]:
        """A name, or a list of them."""
        held = node.entries[key]
        return (_place(held),) if isinstance(held, Scalar) else self._names(node, key)

    def _unique(self, named: list[tuple[str, Span]], what: str) -> None:
        first: dict[str, Span] = {}
        for name, span in named:
            if name in first:
                related = Related(first[name], "it is given here first")
                help_text = "remove one of them" if what in ("symbol", "value") else "rename one of them"
                self._refuse("name.twice", span, f"the {what} `{name}` is given twice", help_text, related)
            first.setdefault(name, span)

    def _refuse(self, code: str, span: Span, message: str, help_text: str, *related: Related) -> None:
        self.sound = False
        self._findings.add(code, span, message, help_text, *related)


def _text(node: Mapping, key: str) -> str:
    held = node.get(key)
    return held.text.strip() if isinstance(held, Scalar) else ""


def _items(node: Mapping, key: str) -> list[Node]:
    held = node.get(key)
    return held.items if isinstance(held, Sequence) else []


def _place(node: Node) -> NamePlace:
    assert isinstance(node, Scalar)
    return NamePlace(node.text, node.span)


def _divergence(node: Mapping) -> DivergenceText:
    decision, before, after = (node.get(name) for name in ("decision", "from", "to"))
    assert isinstance(decision, Scalar)
    return DivergenceText(
        _place(node.entries["against"]),
        decision,
        before if isinstance(before, Scalar) else None,
        after if isinstance(after, Scalar) else None,
        _text(node, "why") or None,
    )


def _as_expectation(text: str) -> Expectation | None:
    return "unreachable" if text == "unreachable" else "reason" if text == "reason" else None


def _as_move(text: str) -> Literal["rises", "falls"]:
    return "rises" if text == "rises" else "falls"


def _as_hit(text: str) -> HitPolicy:
    return "first" if text == "first" else "each" if text == "each" else "veto"


def _as_measure(text: str) -> Measure:
    return "sum" if text == "sum" else "rate" if text == "rate" else "in_a_row" if text == "in_a_row" else "count"


def _as_unknown(text: str) -> Literal["match", "skip"] | None:
    return "match" if text == "match" else "skip" if text == "skip" else None
