"""Generates Python that writes a decision's record as JSON, straight from what the compiled policy returned.

`decision.Decision.record` says what a record is; this writes the same text, character by character, without building
it: every part that does not depend on values is a literal here, which is worth a factor of twenty. Missing facts are
NaN, as in `generate`; `lost` maps the name of each to what a person is told of it (`Gap.told`), the cause in front.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, assert_never

import msgspec

from engine.backends.decision import ID_DIGITS, Written, gap_record, self_evident, setters, show_numbers, to_json
from engine.backends.facts import DECISIONS, Gap
from engine.backends.generate import WORD, Also, Expressions, group_argument
from engine.backends.intake import NAN, NEVER, finite
from engine.backends.source import function_from
from engine.language import model
from engine.language.evaluate import Missing
from engine.language.flow import NOTHING
from engine.language.model import AllOf, AnyOf, Binding, Condition, Expression, Leaf, Policy, Rule, Step, walk
from engine.language.rulebook import Rulebook
from engine.language.types import FlagType, NumberType, TextType, Type

RecordFunction = Callable[..., Written]
"""(now, symbol, intent_id, refs, observations of the groups, the policy's results) to what was written.

`refs` is the text of the groups' ids where the record refers to groups journaled before, and "" where it holds facts.
"""


def record_function(rulebook: Rulebook, policy: Policy, binding: Binding, *, with_facts: bool) -> RecordFunction:
    """The generated function, ready to call. `with_facts`: the record holds the facts rather than the groups' ids."""
    namespace: dict[str, Any] = {
        "nan": NAN,
        "never": NEVER,
        "encode": msgspec.json.Encoder().encode,
        "sha256": hashlib.sha256,
        "gap": _gap,
        "gappy": _gappy,
        "Written": Written,
        "tuple_new": tuple.__new__,  # half the time of a named tuple's own
        "show": show_numbers,
        "finite": finite,
        "also": Also(rule for step in policy.steps if step.hit == "veto" for rule in step.rules),
        "stale": Missing.STALE.value,
        "invalid": Missing.INVALID.value,
    }
    for group in policy.groups:
        argument = group_argument(group)
        namespace[f"_plain_{argument}"] = _facts_struct(group, dated=False)
        namespace[f"_dated_{argument}"] = _facts_struct(group, dated=True)
        namespace[f"_fields_{argument}"] = {name: field for field, name in _fields(group)}
    source = generate_record(rulebook, policy, binding, with_facts=with_facts)
    made: RecordFunction = function_from(source, "record", f"record {policy.name}", namespace)
    return made


def generate_record(rulebook: Rulebook, policy: Policy, binding: Binding, *, with_facts: bool) -> str:
    """The source of the function that writes a policy's records under a binding."""
    return _RecordGenerator(rulebook, policy, binding).source(with_facts=with_facts)


def _facts_struct(group: model.Group, *, dated: bool) -> type[msgspec.Struct]:
    """The facts of a group as msgspec writes them fastest: sorted, `observed_at` first."""
    fields = ([("at", "observed_at")] if dated else []) + _fields(group)
    rename = dict(fields)
    return msgspec.defstruct(
        f"Facts_{group_argument(group)}", [(field, Any) for field in rename], rename=rename, gc=False
    )


def _fields(group: model.Group) -> list[tuple[str, str]]:
    """The field of each fact, and its name, sorted. Fields are numbered, so that a fact may have any name."""
    return [(f"f{number}", fact.name) for number, fact in enumerate(sorted(group.facts, key=_by_name))]


def _gap(name: str, lost: Mapping[str, str]) -> str:
    return f'{{"missing":"{lost[name].partition(":")[0]}"}}'


def _gappy(facts: msgspec.Struct, gaps: Mapping[str, Gap], fields: Mapping[str, str]) -> str:
    """The facts of a group in which some are missing: those absent are left out, as in `decision.group_record`."""
    for name, gap in gaps.items():
        setattr(facts, fields[name], msgspec.UNSET if gap.cause is Missing.ABSENT else gap_record(gap))
    return to_json(facts)


class _RecordGenerator(Expressions):
    """Text in generated f-strings is called *template* here: literal text with its braces doubled, and `{…}` parts."""

    def source(self, *, with_facts: bool) -> str:
        policy = self._policy
        groups = [group_argument(group) for group in policy.groups]
        self._emit(0, "def record(now, symbol, intent_id, refs, observations, results):")
        if groups:
            self._emit(1, f"{', '.join(groups)}, = observations")
        names = [self.names[name] for name in policy.types()]
        fired = [f"fired_{step.ruleset}" for step in policy.steps]
        self._emit(1, f"{', '.join([*names, *fired])}, = results")
        before, self._lines = self._lines, []
        self._emit(1, "vetoes = ''; fired = ''; why = None; parts = ''; gaps = {}")
        for step in policy.steps:
            self._step(step)
        self._reason()
        self._assemble(with_facts=with_facts)
        body, self._lines = self._lines, before
        self._emit(1, "lost = {}")
        words = {word for line in body for word in WORD.findall(line)}
        for group in policy.groups:
            self._group(group, words, with_facts=with_facts)
        if with_facts:
            self._facts()
        return "\n".join([*self._lines, *body]) + "\n"

    # Facts -----------------------------------------------------------------------------------------------------

    def _group(self, group: model.Group, words: set[str], *, with_facts: bool) -> None:
        """Unpack a group; `words` are the names that the rest of the function reads."""
        names = [self.names[fact.name] for fact in group.facts]
        argument = group_argument(group)
        if not with_facts:
            if words.isdisjoint(names):
                return
            names = [name if name in words else "_" for name in names]
        self._emit(1, f"at, {', '.join(names)}, gone = {argument}")
        tests = self._untimely(group)
        if tests:
            self._emit(1, f"if ({' or '.join(tests)}) and at != never:")
            # The future is looked at first, as in facts.untimely.
            cause = {1: "stale" if group.max_age else "invalid", 2: f"invalid if {tests[-1]} else stale"}[len(tests)]
            self._emit(2, f"cause = {cause}")
            for fact, name in zip(group.facts, names, strict=True):
                if name != "_":
                    self._emit(2, f"lost[{fact.name!r}] = cause")
            self._emit(2, " = ".join([*(name for name in names if name != "_"), "nan"]))
            if with_facts:
                ordered = sorted(fact.name for fact in group.facts)
                missing = ",".join(f'"{name}":{{{{"missing":"{{cause}}"}}}}' for name in ordered)
                self._emit(2, f"{argument} = f'{{{{\"observed_at\":{{encode(at).decode()}},{missing}}}}}'")
        self._emit(1, f"{'elif' if tests else 'if'} gone:")
        self._emit(2, "for name, each in gone.items(): lost[name] = each.told")
        if with_facts:
            values = ", ".join(self.names[fact.name] for fact in sorted(group.facts, key=_by_name))
            plain, dated = f"_plain_{argument}({values})", f"_dated_{argument}(at, {values})"
            self._emit(2, f"{argument} = gappy({plain} if at == never else {dated}, gone, _fields_{argument})")
            self._emit(1, f"elif at == never: {argument} = encode({plain}).decode()")
            self._emit(1, f"else: {argument} = encode({dated}).decode()")

    def _facts(self) -> None:
        """All groups, sorted; other policies' decisions first, under a key of their own."""
        ordered = sorted(self._policy.groups, key=_by_name)
        decided = [group for group in ordered if group.name.startswith(f"{DECISIONS}.")]
        self._emit(1, "facts = []")
        if decided:
            tests = " or ".join(f"{group_argument(group)} != '{{}}'" for group in decided)
            inner = ",".join(
                f'"{group.name.removeprefix(DECISIONS + ".")}":{{{group_argument(group)}}}' for group in decided
            )
            self._emit(1, f"if {tests}: facts.append(f'\"{DECISIONS}\":{{{{{inner}}}}}')")
        for group in ordered:
            if group not in decided:
                argument = group_argument(group)
                self._emit(1, f"if {argument} != '{{}}': facts.append('\"{group.name}\":' + {argument})")
        self._emit(1, "facts = '{' + ','.join(facts) + '}'")

    def _json(self, name: str, kind: Type) -> str:
        """The template of a known value's JSON."""
        python = self.names[name]
        match kind:
            case NumberType():
                return f"{{encode({python}).decode()}}"
            case FlagType():
                return f'{{"true" if {python} else "false"}}'
            case TextType():
                return f"{{encode({python}).decode()}}"
            case _:
                return f'"{{{python}}}"'

    # Rules -----------------------------------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        for number, rule in enumerate(step.rules):
            if step.hit == "first":
                self._emit(1, f"{'if' if number == 0 else 'elif'} fired_{step.ruleset} == {number}:")
            else:
                self._emit(1, f"if fired_{step.ruleset} & {1 << number}:")
            self._rule(step, rule)

    def _rule(self, step: Step, rule: Rule) -> None:
        headline = self._policy.reason[0]
        veto = step.hit == "veto"
        decides = not veto and any(effect.name == headline for effect in rule.effects)
        head = f'{{{{"rule":"{rule.full_id}","at":{_literal(to_json(f"{rule.span.file}:{rule.span.line}"))},"leaves":['
        target = "vetoes" if veto else "fired"
        if not _has_any_in(rule):
            leaves = rule.leaves()
            saw = ",".join(self._leaf_json(leaf) for leaf in leaves)
            self._emit(2, f"{target} += f',{head}{saw}]}}}}'")
            if not veto:
                self._note_gaps(2, leaves)
        else:
            assert rule.condition is not None
            self._emit(2, "saw = []")
            self._triggers(2, rule.condition, lambda depth, leaf: self._saw(depth, leaf, gaps=not veto))
            self._emit(2, f"{target} += f',{head}{{\",\".join(saw)}}]}}}}'")
        if veto:
            self._emit(2, "if why is None:")
            self._explain(3, rule, "why")
            if _has_any_in(rule):
                self._emit(3, "seen_by_veto = looked")
            self._behind(3, rule)
        elif decides and not self._vetoing():
            self._explain(2, rule, "why")

    def _vetoing(self) -> bool:
        return any(step.hit == "veto" for step in self._policy.steps)

    def _saw(self, depth: int, leaf: Leaf, *, gaps: bool) -> None:
        self._emit(depth, f"saw.append(f'{self._leaf_json(leaf)}')")
        if gaps:
            self._note_gaps(depth, (leaf,))

    def _explain(self, depth: int, rule: Rule, into: str) -> None:
        """Emit what makes `into` the rule with the leaves that triggered it, as a reason shows it."""
        if not _has_any_in(rule):
            shown = [self._leaf_text(depth, leaf, f"_leaf{leaf.index}") for leaf in rule.leaves()]
            text = f"{rule.full_id} ({', '.join(shown)})" if shown else rule.full_id
            self._emit(depth, f"{into} = f'{text}'")
            return
        assert rule.condition is not None
        self._emit(depth, "shown = []; looked = set()")
        self._triggers(depth, rule.condition, lambda inner, leaf: self._shown(inner, rule, leaf))
        self._emit(depth, f"{into} = f'{rule.full_id} ({{\", \".join(shown)}})'")

    def _shown(self, depth: int, rule: Rule, leaf: Leaf) -> None:
        text = self._leaf_text(depth, leaf, f"_leaf{leaf.index}")
        self._emit(depth, f"shown.append(f'{text}')")
        for name, _ in setters(self._policy, rule, (leaf.index,)):
            self._emit(depth, f"looked.add({name!r})")

    def _behind(self, depth: int, rule: Rule) -> None:
        """Emit what adds the rules behind the decisions that a veto looked at."""
        dynamic = _has_any_in(rule)
        for name, step in setters(self._policy, rule, range(len(rule.leaves()))):
            inner = depth
            if dynamic:
                self._emit(depth, f"if {name!r} in seen_by_veto:")
                inner += 1
            for number, setter in enumerate(step.rules):
                self._emit(inner, f"{'if' if number == 0 else 'elif'} fired_{step.ruleset} == {number}:")
                self._explain(inner + 1, setter, "behind")
            self._emit(inner, f"why += f', {name} by {{behind}}'")

    def _triggers(self, depth: int, condition: Condition, then: Callable[[int, Leaf], None]) -> None:
        """Do something for each triggering leaf of a condition that matched."""
        match condition:
            case Leaf():
                then(depth, condition)
            case AllOf(items):
                for item in items:
                    self._triggers(depth, item, then)
            case AnyOf(items):
                tests = [self._condition(item, NOTHING, wanted=True) for item in items]
                tests += [f"not ({self._condition(item, NOTHING, wanted=False)})" for item in items]
                # Chosen first, so that each item is written once: twice a level would double with every level.
                chosen = self._temporary()
                places = "".join(f"{number % len(items)} if {test} else " for number, test in enumerate(tests))
                self._emit(depth, f"{chosen} = {places}0")
                for number, item in enumerate(items):
                    self._emit(depth, f"{'if' if number == 0 else 'elif'} {chosen} == {number}:")
                    self._triggers(depth + 1, item, then)
            case _:
                assert_never(condition)

    def _refs(self, expression: Expression) -> list[model.FactRef | model.DecisionRef | model.ParameterRef]:
        refs = (model.FactRef, model.DecisionRef, model.ParameterRef)
        return [part for part in walk(expression) if isinstance(part, refs)]

    def _leaf_json(self, leaf: Leaf) -> str:
        """The template of one triggering leaf."""
        saw: dict[str, str] = {}
        for part in self._refs(leaf.written.expression):
            match part:
                case model.ParameterRef(ruleset=owner, name=name):
                    saw[f"${name}"] = _literal(to_json(self._binding.values[f"{owner}.{name}"]))
                case model.DecisionRef(name=name, type=kind):
                    saw[name] = self._json(name, kind)
                case model.FactRef(name=name, type=kind):
                    saw[name] = self._maybe_json(name, kind)
        inner = ",".join(f'"{name}":{text}' for name, text in saw.items())
        return f'{{{{"when":{_literal(to_json(leaf.written.text))},"saw":{{{{{inner}}}}}}}}}'

    def _maybe_json(self, name: str, kind: Type) -> str:
        """The template of a value's JSON, or of the gap it left."""
        python = self.names[name]
        match kind:
            case NumberType():
                value = f"encode({python}).decode()"
            case FlagType():
                value = f'("true" if {python} else "false")'
            case _:
                value = f"encode({python}).decode()"
        return f'{{{value} if {python} == {python} else gap("{name}", lost)}}'

    def _note_gaps(self, depth: int, leaves: tuple[Leaf, ...]) -> None:
        refs = (part for leaf in leaves for part in self._refs(leaf.written.expression))
        for name in dict.fromkeys(part.name for part in refs if isinstance(part, model.FactRef)):
            python = self.names[name]
            shown = f"f'{name} ({{lost[\"{name}\"]}})'"
            self._emit(depth, f"if {python} != {python}: gaps[{shown}] = None")

    def _leaf_text(self, depth: int, leaf: Leaf, prefix: str) -> str:
        """Emit what the leaf's line of reason needs, and give its template."""
        text = leaf.written.text
        places: dict[int, tuple[int, str, str, bool]] = {}
        numbers: list[str] = []
        evident = self_evident(leaf.written.expression)
        for part in self._refs(leaf.written.expression):
            kind = part.type
            match part:
                case model.ParameterRef(ruleset=owner, name=name):
                    value = self._binding.values[f"{owner}.{name}"]
                    python = f'"{value}"' if isinstance(value, str) else repr(value)
                case _:
                    python = self.names[part.name]
            missable = isinstance(part, model.FactRef)
            if part.start in evident:
                if missable:
                    places[part.start] = (part.end, part.name, "", missable)
                continue
            match kind:
                case NumberType():
                    if python not in numbers:
                        numbers.append(python)
                    shown = f"{prefix}[{numbers.index(python)}]"
                case FlagType() if isinstance(part, model.ParameterRef):
                    shown = '"true"' if value else '"false"'
                case FlagType():
                    if not missable:
                        continue
                    shown = ""
                case _:
                    shown = python
            places[part.start] = (part.end, part.name, shown, missable)
        if numbers:
            self._emit(depth, f"{prefix} = show({', '.join(numbers)})")
        template, done = "", 0
        for start, (end, name, shown, missable) in sorted(places.items()):
            # A flag that is known stays as written, parentheses and all.
            known = f'"{name} " + {shown}' if shown else f'"{" ".join(text[start:end].split())}"'
            python = self.names[name] if missable else ""
            value = f'({known}) if {python} == {python} else "{name} (" + lost["{name}"] + ")"' if missable else known
            template += f"{_literal(text[done:start])}{{{value}}}"
            done = end
        template += _literal(text[done:])
        if " ".join(text.split()) == text and not any(
            isinstance(part.type, TextType) for part in self._refs(leaf.written.expression)
        ):
            return template
        self._emit(depth, f"{prefix}_text = ' '.join(f'{template}'.split())")
        return f"{{{prefix}_text}}"

    # The rest --------------------------------------------------------------------------------------------------

    def _reason(self) -> None:
        policy = self._policy
        headline, *recited = policy.reason
        types = policy.types()
        self._emit(1, f"headline = {self._headline(headline, types[headline])}")
        depth = 1
        if self._vetoing():
            self._emit(1, "if why is not None:")
            masks, bits = [], 0
            for step in policy.steps:
                if step.hit == "veto":
                    masks.append(f"fired_{step.ruleset} << {bits}" if bits else f"fired_{step.ruleset}")
                    bits += len(step.rules)
            self._emit(2, f"reason = f'{{headline}}: {{why}}{{also[{' | '.join(masks)}]}}'")
            self._emit(1, "else:")
            depth = 2
            self._emit(depth, "parts = '; no veto'")
        else:
            self._emit(depth, "if why is not None: parts = '; ' + why")
        for name in recited:
            python = self.names[name]
            match types[name]:
                case FlagType():
                    self._emit(depth, f"if {python}: parts += '; {name}'")
                case NumberType():
                    self._emit(depth, f"parts += f'; {name} {{{python}:.6g}}'")
                case _:
                    self._emit(depth, f"parts += f'; {name} {{{python}}}'")
        self._emit(depth, "if gaps: parts += '; missing ' + ', '.join(gaps)")
        self._emit(depth, "reason = f'{headline}: {parts[2:]}' if parts else headline")

    def _headline(self, name: str, kind: Type) -> str:
        python = self.names[name]
        match kind:
            case FlagType():
                return f"{name!r} if {python} else {'not ' + name!r}"
            case NumberType():
                return f"f'{{{python}:.6g}}'"
            case _:
                return python

    def _assemble(self, *, with_facts: bool) -> None:
        policy, rulebook = self._policy, self._rulebook
        types = policy.types()
        self._emit(1, "symbol = 'null' if symbol is None else encode(symbol).decode()")
        self._emit(1, "intent_id = 'null' if intent_id is None else encode(intent_id).decode()")
        self._emit(1, "now = encode(now).decode()")
        head = _literal(to_json([policy.name, rulebook.profile, rulebook.version])[:-1])
        went_in = "facts" if with_facts else "refs"
        self._emit(
            1,
            f"ident = sha256(f'{head},{{symbol}},{{intent_id}},{{now}}]{{{went_in}}}'.encode())"
            f".hexdigest()[:{ID_DIGITS}]",
        )
        fixed = _literal(
            to_json(
                {
                    "policy": policy.name,
                    "profile": rulebook.profile,
                    "rulebook": rulebook.version,
                    "sources": rulebook.sources_digest,
                }
            )[1:-1]
        )
        decided = ",".join(f'"{name}":{self._json(name, types[name])}' for name in policy.decides)
        self._emit(
            1,
            'return tuple_new(Written, (ident, reason, f\'{{"decision_id":"{ident}","now":{now},'
            + fixed
            + ',"symbol":{symbol},"intent_id":{intent_id},"decided":{{'
            + decided
            + '}},"vetoes":[{vetoes[1:]}],"fired":[{fired[1:]}],"reason":{encode(reason).decode()},'
            + ('"facts":{facts}}}\'))' if with_facts else '"groups":{refs}}}\'))'),
        )


def _has_any_in(rule: Rule) -> bool:
    """True where the leaves that trigger a rule depend on the facts."""
    return rule.condition is not None and _has_any(rule.condition)


def _has_any(condition: Condition) -> bool:
    match condition:
        case Leaf():
            return False
        case AnyOf():
            return True
        case AllOf(items):
            return any(_has_any(item) for item in items)
    assert_never(condition)


def _by_name(named: model.Fact | model.Group) -> str:
    return named.name


def _literal(text: str) -> str:
    """Literal text for a template between single quotes."""
    return (
        text.replace("\\", "\\\\")
        .replace("'", "\\'")
        .replace("{", "{{")
        .replace("}", "}}")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
    )
