"""Random rulebooks as text, and random facts for them.

A rulebook is written as a quant would write it (YAML, loaded by the real loader), over a small vocabulary of awkward
ranges: denormals, the largest doubles, a single point, zeros of either sign. Most of what is drawn is made to pass the
checker: operations that may have no result are guarded by `is known`, effects are clamped into the declared range, and
rules whose effects read facts skip when unknown. What is refused all the same is thrown away, and a test counts it.

Everything is drawn through `Picker`, which Hypothesis drives where failures should shrink, and a seeded `Random` where
there should be many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import numpy as np
import yaml
from hypothesis import strategies as st

from engine.language.findings import LoadError
from engine.language.load import Files, Workspace
from engine.language.model import Group, Policy
from engine.language.nodes import Source
from engine.language.rulebook import Rulebook
from engine.language.types import ChoiceType, FlagType, NumberType, TextType, Type

T = TypeVar("T")

NOW = 1_700_000_000.0
MAX_AGE = 60.0
MAX_AHEAD = 5.0
MAX = 1.7976931348623157e308
TINY = 5e-324

RANGES = (
    (-100.0, 100.0), (0.0, 1.0), (-1.0, 1.0), (1.0, 10.0), (-10.0, -1.0), (0.0, 0.0), (0.1, 0.3), (-1e-7, 1e-7),
    (-MAX, MAX), (0.0, MAX), (-TINY, TINY), (TINY, 1.0), (1e-308, 1e308), (-1e16, 1e16),
)  # fmt: skip
DECIDED_RANGES = ((0.0, 1.0), (-1.0, 1.0), (-100.0, 100.0), (0.1, 0.3), (-1e16, 1e16), (0.0, 0.0), (-MAX, MAX))
UNITS = (None, None, None, "bps", "ratio")
CHOICES = (("low", "mid", "high"), ("low", "mid", "high"), ("calm", "low"), ("zed", "alpha"))
TEXTS = ("", "a", "b b", "ü", '{x} "q" \\')
AWKWARD = (0.1, 0.3, 1e-7, 1e16, 0.30000000000000004, 2.5, -0.1, 1e300, -1e300, TINY, 1e-308, MAX, -MAX, 7.0, 0.0, 1.0)
SYMBOLS = (None, "AAA", "BBB", "CCC")


@dataclass(frozen=True)
class Picker:
    """Where choices come from."""

    below: Callable[[int], int]
    """A number from 0 up to the one given, exclusive."""

    def one(self, of: Sequence[T]) -> T:
        return of[self.below(len(of))]

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    @classmethod
    def of(cls, random: Random) -> Picker:
        return cls(random.randrange)


@dataclass(frozen=True)
class Name:
    """Something an expression may name."""

    text: str
    kind: Type
    missable: bool


@dataclass
class _Set:
    """A rule set while it is written."""

    name: str
    params: dict[str, tuple[dict[str, Any], Any]] = field(default_factory=dict)


@dataclass
class _Writer:
    """Draws expressions over the names in scope."""

    pick: Picker
    names: list[Name]
    rules: _Set
    known: set[str] = field(default_factory=set)
    """Facts that earlier rules of the set have shown to be known."""
    risky: list[str] = field(default_factory=list)
    """Operations of the present leaf that may have no result."""

    # Numbers

    def numbers(self, unit: str | None, *, missable: bool = True) -> list[Name]:
        return [
            name
            for name in self.names
            if isinstance(name.kind, NumberType)
            and (name.kind.unit or None) == unit
            and (missable or not name.missable or name.text in self.known)
        ]

    def number(self, unit: str | None, depth: int, *, missable: bool = True) -> str:
        pick = self.pick
        if depth <= 0 or pick.chance(35):
            return self.leaf(unit, missable=missable)
        way = pick.below(9)
        one = self.number(unit, depth - 1, missable=missable)
        if way == 0:
            return f"-{one}" if one[0] not in "-(" and " " not in one else f"-({one})"
        if way == 1:
            return f"abs({one})"
        if way == 2:
            others = [self.number(unit, depth - 1, missable=missable) for _ in range(1 + pick.below(2))]
            return f"{pick.one(('min', 'max'))}({', '.join([one, *others])})"
        operator = pick.one("++--**//")
        other_unit = unit if operator in "+-" else pick.one((None, "ratio")) if unit else None
        if unit and operator in "*/":
            one = self.leaf(unit, missable=missable, literals=False)  # a literal has no unit to keep
        other = self.number(other_unit, depth - 1, missable=missable)
        if operator == "*" and other_unit and pick.chance(50):
            one, other = other, one
        text = f"{_operand(one)} {operator} {_operand(other)}"
        self.risky.append(text)
        return text

    def leaf(self, unit: str | None, *, missable: bool, literals: bool = True) -> str:
        pick = self.pick
        found = self.numbers(unit, missable=missable)
        if found and pick.chance(75):
            return pick.one(found).text
        if literals and pick.chance(40):
            return pick.one(("0", "1", "-1"))
        return self.param(_number(-MAX, MAX, unit), pick.one(AWKWARD))

    def param(self, declared: dict[str, Any], value: Any) -> str:
        for name, (other, held) in self.rules.params.items():
            if other == declared and held == value and self.pick.chance(70):
                return f"${name}"
        name = f"p{len(self.rules.params)}"
        self.rules.params[name] = (declared, value)
        return f"${name}"

    # Conditions

    def condition(self, depth: int) -> str:
        pick = self.pick
        if depth > 0 and pick.chance(55):
            way = pick.below(10)
            if way < 2:
                return f"not {_group(self.condition(depth - 1))}"
            if way < 9:
                word = pick.one(("and", "or", "and", "or", "implies"))
                return f"{_group(self.condition(depth - 1))} {word} {_group(self.condition(depth - 1))}"
            return f"({self.condition(depth - 1)}) {pick.one(('==', '!='))} ({self.condition(depth - 1)})"
        return self.test(depth)

    def test(self, depth: int) -> str:
        pick = self.pick
        way = pick.below(20)
        if way < 9:
            unit = pick.one(UNITS)
            return f"{self.number(unit, depth)} {pick.one(COMPARATORS)} {self.number(unit, depth)}"
        if way < 11:
            return self.choice_test()
        if way < 13:
            flags = [name for name in self.names if isinstance(name.kind, FlagType)]
            if flags:
                flag = pick.one(flags).text
                other = pick.one([name.text for name in flags] + ["true", "false"])
                return pick.one(
                    (flag, flag, f"{flag} == {other}", f"{flag} != {other}", f"{flag} in [{other}, {flag}]")
                )
        if way < 14:
            texts = [name for name in self.names if isinstance(name.kind, TextType)]
            if texts:
                text, other = pick.one(texts).text, f"'{pick.one(TEXTS)}'"
                return pick.one((f"{text} == {other}", f"{text} != {other}", f"{text} not in [{other}, 'a']"))
        if way < 16:
            unit = pick.one(UNITS)
            listed = ", ".join(self.number(unit, depth - 1) for _ in range(1 + pick.below(3)))
            return f"{self.number(unit, depth - 1)} {pick.one(('in', 'not in'))} [{listed}]"
        if way < 19:
            facts = [name.text for name in self.names if name.missable]
            if facts:
                fact = pick.one(facts)
                numbers = [name.text for name in self.numbers(None) if name.missable]
                if numbers and pick.chance(30):
                    fact = f"({pick.one(numbers)} {pick.one('+-*/')} {self.leaf(None, missable=True)})"
                return f"{fact} is {pick.one(('known', 'missing'))}"
        return pick.one(("true", "false"))

    def choice_test(self) -> str:
        pick = self.pick
        choices = [name for name in self.names if isinstance(name.kind, ChoiceType)]
        if not choices:
            return "true"
        name = pick.one(choices)
        assert isinstance(name.kind, ChoiceType)
        same = [other for other in choices if isinstance(other.kind, ChoiceType) and other.kind.of == name.kind.of]
        ordered = [other.text for other in same if isinstance(other.kind, ChoiceType) and other.kind.ordered]
        values = list(name.kind.of)
        declared = {"type": "choice", "of": values, **({"ordered": "true"} if name.kind.ordered else {})}
        param = [self.param(declared, pick.one(values))] if pick.chance(20) else []
        if name.kind.ordered and pick.chance(50):
            sides = [name.text, pick.one(values + ordered + param)]
            first, second = sides if pick.chance(70) else sides[::-1]
            return f"{first} {pick.one(COMPARATORS)} {second}"
        others = values + [other.text for other in same] + param
        if pick.chance(50):
            return f"{name.text} {pick.one(('==', '!='))} {pick.one(others)}"
        listed = ", ".join(pick.one(others) for _ in range(1 + pick.below(3)))
        return f"{name.text} {pick.one(('in', 'not in'))} [{listed}]"

    def leaf_condition(self, depth: int) -> str:
        """A condition in which what may have no result is asked for first."""
        self.risky = []
        text = self.condition(depth)
        risky, self.risky = self.risky, []
        asked = list(dict.fromkeys(risky))
        if not asked or self.pick.chance(3):
            return text
        if self.pick.chance(80):
            return " and ".join([*(f"({each}) is known" for each in asked), _group(text)])
        return " or ".join([*(f"({each}) is missing" for each in asked), _group(text)])

    def when(self, depth: int) -> Any:
        """A leaf, or nested all and any."""
        pick = self.pick
        if depth > 0 and pick.chance(40):
            return {pick.one(("all", "any")): [self.when(depth - 1) for _ in range(1 + pick.below(3))]}
        return self.leaf_condition(pick.below(4))

    # Effects

    def effect(self, kind: Type, *, facts: bool) -> tuple[str, list[str]]:
        """A value for a name of that type, and what has to be known for it."""
        pick = self.pick
        if isinstance(kind, FlagType):
            flags = [name for name in self.names if isinstance(name.kind, FlagType)]
            settled = [name.text for name in flags if not name.missable or name.text in self.known]
            numbers = [name.text for name in self.names if isinstance(name.kind, NumberType) and name.missable]
            if facts and numbers and pick.chance(40):
                fact = pick.one(numbers)
                return pick.one((f"{fact} > 0 or {fact} < 1", f"not {fact} == 0", f"{fact} in [0, 1]")), [fact]
            return pick.one([*settled, "true", "false"]), []
        if isinstance(kind, ChoiceType):
            same = [n for n in self.names if isinstance(n.kind, ChoiceType) and n.kind.of == kind.of]
            if facts and same and pick.chance(40):
                name = pick.one(same)
                return name.text, [name.text] if name.missable else []
            return pick.one([*kind.of, *(n.text for n in same if not n.missable)]), []
        assert isinstance(kind, NumberType)
        unit = kind.unit or None
        self.risky = []
        text = self.number(unit, pick.below(3) if facts else 0, missable=facts)
        risky, self.risky = self.risky, []
        asks = [text] if risky or any(name.missable and name.text in _words(text) for name in self.names) else []
        return self.clamped(text, kind), asks

    def clamped(self, text: str, kind: NumberType) -> str:
        low, high = (self.bound(end, kind.unit) for end in (kind.min, kind.max))
        if self.pick.chance(20) and text in (low, high):
            return text
        return f"max({low}, min({high}, {text}))"

    def bound(self, value: float, unit: str) -> str:
        if value in (0.0, 1.0, -1.0):
            return f"{value:g}"
        return self.param(_number(value, value, unit), value)


COMPARATORS = ("<", "<=", ">", ">=", "==", "!=")


def _number(low: float, high: float, unit: str | None) -> dict[str, Any]:
    return {"type": "number", "min": low, "max": high, **({"unit": unit} if unit else {})}


def _operand(text: str) -> str:
    return f"({text})" if (" " in text and not text.endswith(")")) or text.startswith("-") or ") " in text else text


def _group(text: str) -> str:
    return f"({text})" if " " in text else text


def _words(text: str) -> set[str]:
    return set("".join(character if character.isalnum() or character in "_$" else " " for character in text).split())


# Documents -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """The documents of a rulebook, by path."""

    files: Mapping[str, str]

    def load(self) -> Rulebook:
        """By the engine's own loader. Raises LoadError."""
        sources = {name: Source.of(name, text) for name, text in self.files.items()}
        return Workspace(Files(sources, ())).rulebook("main")

    def try_load(self) -> Rulebook | None:
        """None where the checker refuses it."""
        try:
            return self.load()
        except LoadError:
            return None


def write_rulebook(pick: Picker) -> Drawn:
    """Draw the documents of a rulebook: policies `p` and sometimes `q`, which reads what `p` decided."""
    groups, facts = _vocabulary(pick)
    files: dict[str, Any] = {}
    values: dict[str, Any] = {"facts.max_ahead_s": MAX_AHEAD, "facts.max_age_s": MAX_AGE}
    overrides: dict[str, list[Any]] = {}
    decided = _policy(pick, "p", list(groups), facts, [], files, values, overrides)
    policies = ["p"]
    if pick.chance(30):
        policies.append("q")
        handed = [Name(name.text, name.kind, missable=True) for name in decided]
        some = [group for group in groups if pick.chance(50)]
        read = [name for group in some for name in facts if name.text.startswith(f"{group}_")]
        _policy(pick, "q", [*some, {"decisions": "p"}], read + handed, handed, files, values, overrides)
    relations = _relations(pick, groups)
    vocabulary: dict[str, Any] = {
        "params": {
            "max_ahead_s": {"type": "number", "unit": "s", "min": 0, "max": 100},
            "max_age_s": {"type": "number", "unit": "s", "min": 0, "max": 100},
        },
        "max_ahead_s": "$max_ahead_s",
        "groups": groups,
    }
    if relations:
        vocabulary["relations"] = relations
    files["policies/facts.yaml"] = vocabulary
    profile: dict[str, Any] = {"profile": "main", "policies": policies, "values": values}
    symbols = _symbols(pick, overrides)
    if symbols:
        profile["symbols"] = symbols
    files["profiles/main.yaml"] = profile
    if not any("max_age_s" in group for group in groups.values()):
        del vocabulary["params"]["max_age_s"], values["facts.max_age_s"]
    return Drawn({name: _dump(document) for name, document in files.items()})


def _dump(document: Any) -> str:
    return yaml.dump(_written(document), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=1000)


def _written(document: Any) -> Any:
    """Numbers as the language writes them: all scalars are text to it."""
    if isinstance(document, dict):
        return {key: _written(held) for key, held in document.items()}
    if isinstance(document, list):
        return [_written(held) for held in document]
    return repr(document) if isinstance(document, float) else document


def _vocabulary(pick: Picker) -> tuple[dict[str, Any], list[Name]]:
    groups: dict[str, Any] = {}
    names: list[Name] = []
    for number in range(1 + pick.below(3)):
        facts: dict[str, Any] = {}
        for place in range(1 + pick.below(5)):
            name = f"g{number}_{'xfcxtxo'[pick.below(7)]}{place}"
            declared, kind = _declare(pick, name[3])
            facts[name] = declared
            names.append(Name(name, kind, missable=True))
        groups[f"g{number}"] = {**({"max_age_s": "$max_age_s"} if pick.chance(50) else {}), "facts": facts}
    return groups, names


def _declare(pick: Picker, letter: str, ranges: Sequence[tuple[float, float]] = RANGES) -> tuple[dict[str, Any], Type]:
    match letter:
        case "x":
            low, high = pick.one(ranges)
            unit = pick.one(UNITS)
            return _number(low, high, unit), NumberType(unit or "", low, high)
        case "f":
            return {"type": "flag"}, FlagType()
        case "t":
            return {"type": "text"}, TextType()
    of = pick.one(CHOICES)
    ordered = letter == "o"
    return {"type": "choice", "of": list(of), **({"ordered": "true"} if ordered else {})}, ChoiceType(of, ordered)


def _relations(pick: Picker, groups: Mapping[str, Any]) -> list[str]:
    found = []
    for group in groups.values():
        numbers = [name for name, declared in group["facts"].items() if declared["type"] == "number"]
        ordered = [name for name, declared in group["facts"].items() if "ordered" in declared]
        for names in (numbers, ordered):
            if len(names) > 1 and pick.chance(40):
                first, second = names[0], names[1]
                if all(group["facts"][first].get(key) == group["facts"][second].get(key) for key in ("unit", "of")):
                    found.append(f"{first} {pick.one(COMPARATORS)} {second}")
    return found


def _policy(
    pick: Picker, name: str, reads: list[Any], facts: list[Name], handed: list[Name],
    files: dict[str, Any], values: dict[str, Any], overrides: dict[str, list[Any]],
) -> list[Name]:  # fmt: skip
    decisions: list[Name] = []
    steps = []
    for number in range(1 + pick.below(4)):
        rules = _Set(f"{name}_set{number}")
        scope = [*facts, *decisions]
        document, sets = _ruleset(pick, rules, scope, f"{name}{number}")
        used = _words(str(document))
        rules.params = {key: held for key, held in rules.params.items() if f"${key}" in used}
        if rules.params:
            document["params"] = {key: declared for key, (declared, _) in rules.params.items()}
            for key, (declared, value) in rules.params.items():
                values[f"{rules.name}.{key}"] = value
                if declared["type"] == "choice" or (
                    declared["type"] == "number" and declared["min"] != declared["max"]
                ):
                    overrides[f"{rules.name}.{key}"] = list(declared.get("of", AWKWARD))
        files[f"rules/{rules.name}.yaml"] = document
        steps.append(rules.name)
        decisions += sets
    assert all(name not in decisions for name in handed)
    names = [each.text for each in decisions]
    decided = [each for each in names if pick.chance(80)] or names[:1]
    policy = {"policy": name, "reads": reads, "steps": steps, "decides": decided}
    if pick.chance(50):
        policy["reason"] = [each for each in decided if pick.chance(60)] or decided[:1]
    files[f"policies/{name}.yaml"] = policy
    return [each for each in decisions if each.text in decided]


def _ruleset(pick: Picker, rules: _Set, scope: list[Name], prefix: str) -> tuple[dict[str, Any], list[Name]]:
    hit = pick.one(("first", "first", "each", "each", "veto"))
    sets: dict[str, Any] = {}
    names: list[Name] = []
    for number in range(1 if hit == "veto" else 1 + pick.below(3)):
        declared, kind = _declare(pick, "f" if hit == "veto" else pick.one("xxxfco"), DECIDED_RANGES)
        sets[f"{prefix}_d{number}"] = declared
        names.append(Name(f"{prefix}_d{number}", kind, missable=False))
    writer = _Writer(pick, scope, rules)
    document: dict[str, Any] = {"ruleset": rules.name, "hit": hit, "sets": sets}
    silent = (None,) if hit == "veto" or pick.chance(10) else ()
    whole = pick.one((*silent, "match", "skip", "skip"))
    if whole:
        document["unknown"] = whole
    if hit == "each":
        document["start"] = {name.text: writer.effect(name.kind, facts=False)[0] for name in names}
    count = 1 + pick.below(5) if not pick.chance(2) else 65 + pick.below(5)
    document["rules"] = [
        _rule(pick, writer, hit, names, f"r{number}", last=number == count - 1) for number in range(count)
    ]
    return document, names


def _rule(pick: Picker, writer: _Writer, hit: str, names: list[Name], identity: str, *, last: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": identity}
    total = hit == "first" and last
    facts = [name.text for name in writer.names if name.missable and name.text not in writer.known]
    asked: list[str] = []
    effects: dict[str, dict[str, str]] = {}
    for name in names if hit != "veto" else ():
        kinds = ["set"]
        if hit == "each":
            kinds = [kind for kind in ("set", "add", "at_least", "at_most") if pick.chance(40)]
            kinds = kinds if isinstance(name.kind, NumberType) else ["set"] if pick.chance(60) else []
        for kind in kinds:
            text, asks = writer.effect(name.kind, facts=not total)
            effects.setdefault(kind, {})[name.text] = text
            asked += asks
    if hit == "each" and not effects:
        effects["set"] = {names[0].text: writer.effect(names[0].kind, facts=False)[0]}
    if hit == "first" and not total and facts and pick.chance(20):
        fact = pick.one(facts)
        rule["when"] = pick.one((f"{fact} is missing", {"any": [f"{fact} is missing", writer.leaf_condition(1)]}))
        if isinstance(rule["when"], dict):
            rule["unknown"] = "skip"
        effects = {"set": {name.text: writer.effect(name.kind, facts=False)[0] for name in names}}
        writer.known.add(fact)
    elif not total and (hit != "each" or asked or pick.chance(85)):
        rule["when"] = writer.when(pick.below(3))
        # Without the question the rule's own condition must show it: right or wrong, that is for the checker to say.
        if asked and pick.chance(95):
            rule["when"] = {"all": [*(f"({each}) is known" for each in dict.fromkeys(asked)), rule["when"]]}
            if not pick.chance(5):
                rule["unknown"] = "skip"
        elif pick.chance(35):
            rule["unknown"] = pick.one(("match", "skip"))
    rule.update(effects)
    return rule


def _symbols(pick: Picker, overrides: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Two groups that share a symbol, and no value."""
    if not overrides or pick.chance(50):
        return {}
    names = list(overrides)
    groups: dict[str, Any] = {}
    for number, members in enumerate((["AAA", "BBB"], ["AAA", "CCC"])):
        chosen = [name for place, name in enumerate(names) if place % 2 == number and pick.chance(60)]
        given = {name: {"value": pick.one(overrides[name]), "why": "drawn"} for name in chosen}
        if given:
            groups[f"group{number}"] = {"of": members, "values": given}
    return groups


# Facts ---------------------------------------------------------------------------------------------------------------


def write_facts(pick: Picker, rulebook: Rulebook, policy: Policy) -> dict[str, Any]:
    """Draw a facts object, sound for the most part."""
    values = [value for binding in rulebook.bindings.values() for value in binding.values.values()]
    bound = [value for value in values if isinstance(value, float)]
    facts: dict[str, Any] = {"now": pick.one((NOW, NOW, NOW, int(NOW), np.float64(NOW)))}
    symbol = pick.one(SYMBOLS)
    if symbol or pick.chance(20):
        facts["symbol"] = symbol
    if pick.chance(20):
        facts["intent_id"] = pick.one(("i-1", "ü\n", None))
    decisions: dict[str, Any] = {}
    for group in policy.groups:
        if pick.chance(5):
            continue
        held = _group_facts(pick, group, bound)
        if group.name.startswith("decisions."):
            decisions[group.name.removeprefix("decisions.")] = held
        else:
            facts[group.name] = held
    if decisions:
        facts["decisions"] = decisions
    return facts


def _group_facts(pick: Picker, group: Group, bound: Sequence[float]) -> Any:
    if pick.chance(2):
        return pick.one((None, 5, [], "x"))
    held: dict[str, Any] = {}
    if pick.chance(90 if group.max_age else 30):
        held["observed_at"] = _moment(pick)
    for fact in group.facts:
        if not pick.chance(12):
            held[fact.name] = _bad(pick, fact.type) if pick.chance(8) else _good(pick, fact.type, bound)
    return held


def _moment(pick: Picker) -> Any:
    limits = (NOW - MAX_AGE, NOW + MAX_AHEAD)
    edge = pick.one(limits)
    near = (edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf))
    return pick.one(
        (
            NOW,
            NOW - 1,
            int(NOW),
            NOW - 30,
            *near,
            pick.one((0.0, NOW * 2, math.nan, math.inf, -math.inf, "now", True, None)),
        )
    )


def _bad(pick: Picker, kind: Type) -> Any:
    values: list[Any] = [None, math.nan, math.inf, "1", [], {}, True, 10**400, 2**53 + 1, "", "\ud800", b"x", 1 + 0j]
    if isinstance(kind, NumberType):
        values += [math.nextafter(kind.max, math.inf), math.nextafter(kind.min, -math.inf)] * 3
    if isinstance(kind, FlagType):
        values += [0, 1, "true"]
    return pick.one(values)


def _good(pick: Picker, kind: Type, bound: Sequence[float]) -> Any:
    match kind:
        case FlagType():
            return pick.one((True, False, np.bool_(True)))
        case ChoiceType(of=of):
            return pick.one(of)
        case NumberType(min=low, max=high):
            near = [low, high, math.nextafter(low, high), math.nextafter(high, low), 0.0, -0.0, 1.0, low / 2 + high / 2]
            for value in (pick.one(bound), pick.one(AWKWARD)) if bound else (pick.one(AWKWARD),):
                near += [value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf)]
            value = pick.one([each for each in near if low <= each <= high])
            if value.is_integer() and abs(value) < 1e18 and pick.chance(10):
                return int(value)
            return np.float64(value) if pick.chance(3) else value
    return pick.one(TEXTS)


# Hypothesis ----------------------------------------------------------------------------------------------------------


@st.composite
def pickers(draw: st.DrawFn) -> Picker:
    """A picker whose choices Hypothesis makes, and shrinks."""
    return Picker(lambda most: draw(st.integers(0, most - 1)))


def rulebooks() -> st.SearchStrategy[Drawn]:
    """Documents of rulebooks, some of which the checker refuses."""
    return pickers().map(write_rulebook)
