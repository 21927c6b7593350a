"""Documents become policies: steps in order, every name resolved against what stands before it.

In: the vocabulary, the rule sets and the policies as documents. Out: `model.Policy` objects whose parameters are still
names; values come with a profile. Everything that can be said without a profile's numbers is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.language import model, syntax
from engine.language.documents import (
    ConditionText,
    Declaration,
    EffectText,
    ExpressionText,
    LeafText,
    NamePlace,
    PolicyDocument,
    RuleDocument,
    RuleSetDocument,
    Vocabulary,
    WindowsDocument,
)
from engine.language.findings import Findings, Related, Severity, Span
from engine.language.invariants import InvariantBuilder
from engine.language.model import Expression
from engine.language.resolve import Scope, resolve, resolve_condition
from engine.language.spelling import did_you_mean
from engine.language.types import ChoiceType, FlagType, NumberType, Type, common_unit, describe, describe_unit

FACTS = "facts"
"""The name under which profiles give the vocabulary's own parameters."""

WINDOWS = "windows"
"""The group of facts that windows give, and the name under which profiles give the windows' own parameters."""


@dataclass(frozen=True, slots=True)
class Library:
    """Every document that was read; what could not be read is listed by name, so that nobody else is blamed for it."""

    vocabulary: Vocabulary | None
    rulesets: Mapping[str, RuleSetDocument]
    policies: Mapping[str, PolicyDocument]
    profiles: frozenset[str]
    broken: frozenset[str]
    """`ruleset:name`, `policy:name`, `profile:name` of files with findings."""
    windows: WindowsDocument | None = None
    """None where the home has none, or a broken one."""

    def params(self) -> dict[str, Mapping[str, Declaration]]:
        """Declared parameters by rule set, the vocabulary's under `facts` and the windows' under `windows`."""
        declared: dict[str, Mapping[str, Declaration]] = {name: doc.params for name, doc in self.rulesets.items()}
        if self.vocabulary is not None:
            declared[FACTS] = self.vocabulary.params
        if self.windows is not None:
            declared[WINDOWS] = self.windows.params
        return declared


@dataclass(slots=True)
class Usage:
    """Which parameters any rule reads, as (rule set, name)."""

    read: set[tuple[str, str]] = field(default_factory=set)

    def note(self, owner: str, name: str) -> None:
        """Keep one."""
        self.read.add((owner, name))


def build_groups(vocabulary: Vocabulary, findings: Findings, usage: Usage) -> dict[str, model.Group]:
    """The fact groups of the vocabulary, with their relations."""
    relations = _relations(vocabulary, findings)
    if vocabulary.max_ahead is not None:
        _age_parameter(vocabulary, vocabulary.max_ahead, findings, usage)
    groups = {}
    for group in vocabulary.groups.values():
        age = _age_parameter(vocabulary, group.max_age, findings, usage) if group.max_age else None
        facts = tuple(model.Fact(fact.name, fact.type, fact.doc, fact.span) for fact in group.facts.values())
        groups[group.name] = model.Group(
            group.name, facts, age, tuple(relations.get(group.name, ())), group.doc, group.span
        )
    return groups


def _age_parameter(vocabulary: Vocabulary, text: ExpressionText, findings: Findings, usage: Usage) -> str | None:
    tree = text.tree
    if not isinstance(tree, syntax.Parameter) or tree.ruleset is not None:
        findings.add(
            "vocabulary.age", text.span, "an age limit is one parameter", "write `$name` and declare it under params"
        )
        return None
    declared = vocabulary.params.get(tree.name)
    if declared is None:
        help_text = did_you_mean(tree.name, vocabulary.params, "declare it under params")
        findings.add("param.unknown", text.span, f"the vocabulary declares no parameter `{tree.name}`", help_text)
        return None
    if not isinstance(declared.type, NumberType) or declared.type.unit != "s":
        related = Related(declared.span, "declared here")
        findings.add("vocabulary.age", text.span, "an age limit is a number in s", "declare it so", related)
        return None
    usage.note(FACTS, tree.name)
    return tree.name


def _relations(vocabulary: Vocabulary, findings: Findings) -> dict[str, list[model.Relation]]:
    by_group: dict[str, list[model.Relation]] = {}
    for text in vocabulary.relations:
        tree = text.tree
        sides = (tree.left, tree.right) if isinstance(tree, syntax.Compare) else ()
        names = [side.name for side in sides if isinstance(side, syntax.Name)]
        holders = [group for group in vocabulary.groups.values() if all(name in group.facts for name in names)]
        if not isinstance(tree, syntax.Compare) or len(names) != len(("left", "right")) or len(holders) != 1:
            findings.add(
                "vocabulary.relation",
                text.span,
                "a relation compares two facts of one group",
                "for example `bid <= ask`; each name must stand in exactly one group with the other",
            )
            continue
        group = holders[0]
        facts = {name: model.FactRef(0, 0, group.name, name, declared.type) for name, declared in group.facts.items()}
        if resolve_condition(text, Scope(facts=facts), findings) is None:
            continue
        relation = model.Relation(names[0], tree.operator, names[1], text.text)
        by_group.setdefault(group.name, []).append(relation)
    return by_group


def check_ruleset(ruleset: RuleSetDocument, findings: Findings) -> bool:
    """What can be said of a rule set alone: that it fits its hit policy. True if so."""
    before = len(findings)
    _check_sets(ruleset, findings)
    for rule in ruleset.rules:
        _check_effects(ruleset, rule, findings)
    if ruleset.hit == "first":
        for rule in ruleset.rules[:-1]:
            if rule.condition is None:
                last = ruleset.rules[-1]
                related = Related(last.span, "the last rule is here")
                help_text = "give it a `when`, or make it the last"
                findings.add(
                    "first.unreachable", rule.span, f"nothing after `{rule.id}` is ever reached", help_text, related
                )
        if ruleset.rules[-1].condition is not None:
            findings.add(
                "first.not_total",
                ruleset.rules[-1].span,
                "the last rule of a `first` set has no `when`",
                "add a last rule that sets every name, for example `- id: otherwise`",
            )
    return len(findings) == before


def _check_sets(ruleset: RuleSetDocument, findings: Findings) -> None:
    started = {effect.name.name for effect in ruleset.start}
    if ruleset.hit == "veto":
        kinds = [declared.type for declared in ruleset.sets.values()]
        if len(kinds) != 1 or not isinstance(kinds[0], FlagType):
            findings.add(
                "veto.sets", ruleset.span, "a veto set sets exactly one flag", "it is true where no veto matched"
            )
    if ruleset.hit == "each":
        for name, declared in ruleset.sets.items():
            if name not in started:
                findings.add("each.start", declared.span, f"`{name}` has no start value", f"add `start: {{{name}: …}}`")
    elif ruleset.start:
        findings.add("each.start", ruleset.start[0].name.span, f"a `{ruleset.hit}` set has no `start`", "remove it")
    for effect in ruleset.start:
        _check_target(ruleset, effect, findings)


def _check_effects(ruleset: RuleSetDocument, rule: RuleDocument, findings: Findings) -> None:
    allowed = {"first": ("set",), "each": model.EFFECT_ORDER, "veto": ()}[ruleset.hit]
    for effect in rule.effects:
        if effect.kind not in allowed:
            listed = " or ".join(f"`{kind}`" for kind in allowed)
            help_text = f"its effects are {listed}" if allowed else "to match is to veto"
            findings.add("hit.effect", effect.name.span, f"a `{ruleset.hit}` rule has no `{effect.kind}`", help_text)
        else:
            _check_target(ruleset, effect, findings)
    set_names = {effect.name.name for effect in rule.effects if effect.kind == "set"}
    if ruleset.hit == "first":
        lacking = [name for name in ruleset.sets if name not in set_names]
        if lacking:
            names = ", ".join(f"`{name}`" for name in lacking)
            findings.add(
                "first.incomplete", rule.span, f"`{rule.id}` does not set {names}", "every rule sets every name"
            )
    elif ruleset.hit == "each" and not rule.effects:
        findings.add("each.no_effect", rule.span, f"`{rule.id}` has no effect", "give it one, or remove the rule")


def _check_target(ruleset: RuleSetDocument, effect: EffectText, findings: Findings) -> None:
    declared = ruleset.sets.get(effect.name.name)
    if declared is None:
        help_text = did_you_mean(effect.name.name, ruleset.sets, "it sets " + ", ".join(ruleset.sets))
        findings.add("name.unknown", effect.name.span, f"`{ruleset.name}` does not set `{effect.name.name}`", help_text)
    elif effect.kind != "set" and not isinstance(declared.type, NumberType):
        message = f"`{effect.kind}` is for numbers, `{effect.name.name}` is {describe(declared.type)}"
        findings.add("hit.effect", effect.name.span, message, "use `set`")


@dataclass(frozen=True, slots=True)
class _Built:
    """A step and all that it was made from."""

    ruleset: RuleSetDocument
    facts: Mapping[str, model.FactRef]
    decisions: Mapping[str, Type]
    step: model.Step
    read: frozenset[tuple[str, str]]
    """The parameters that its rules read."""


_built: dict[tuple[str, str], _Built] = {}
"""The last step of each policy and rule set that was built without a finding: a reload builds only what changed."""
_facts: dict[str, dict[str, model.FactRef]] = {}
"""The last facts of each policy, so that equal ones are the same."""

_MOST_BUILT = 4096


def _same_facts(policy: str, facts: dict[str, model.FactRef]) -> dict[str, model.FactRef]:
    """The facts in scope of a policy: those of its last build where they are equal."""
    known = _facts.get(policy)
    if known is None or known != facts:
        if len(_facts) >= _MOST_BUILT:
            _facts.clear()
        known = _facts[policy] = facts
    return known


def build_policy(
    document: PolicyDocument,
    library: Library,
    groups: Mapping[str, model.Group],
    sound: Mapping[str, bool],
    findings: Findings,
    usage: Usage,
) -> model.Policy | None:
    """The policy with all names resolved; None, with findings, where that fails.

    `sound` says of each rule set whether it stands by itself.
    """
    return _PolicyBuilder(document, library, groups, sound, findings, usage).build()


class _PolicyBuilder:
    def __init__(
        self,
        document: PolicyDocument,
        library: Library,
        groups: Mapping[str, model.Group],
        sound: Mapping[str, bool],
        findings: Findings,
        usage: Usage,
    ) -> None:
        self._document = document
        self._library = library
        self._groups = groups
        self._sound = sound
        self._findings = findings
        self._usage = usage
        self._facts: dict[str, model.FactRef] = {}
        self._decisions: dict[str, Type] = {}
        self._places: dict[str, Span] = {}
        self._choices: dict[str, Span] = {}
        self._unread: dict[str, tuple[str, Span]] = {}
        self._unrun: dict[str, tuple[str, Span]] = {}
        self._complete = True

    def build(self) -> model.Policy | None:
        before = len(self._findings)
        if self._reads_broken():
            return None
        first: dict[tuple[str, bool], Span] = {}
        read = []
        for entry in self._document.reads:
            known = first.setdefault((entry.name, entry.decisions), entry.span)
            if known is not entry.span:
                related = Related(known, "it is given here first")
                self._findings.add("name.twice", entry.span, f"`{entry.name}` is read twice", "remove one", related)
            elif group := self._read(entry.name, entry.decisions, entry.span):
                read.append(group)
        for group in read:
            for fact in group.facts:
                self._declare(fact.name, fact.type, fact.span)
                self._facts[fact.name] = model.FactRef(0, 0, group.name, fact.name, fact.type)
        self._facts = _same_facts(self._document.name, self._facts)
        rulesets, complete = self._rulesets()
        for ruleset in rulesets:
            for declared in ruleset.sets.values():
                self._declare(declared.name, declared.type, declared.span)
            for declared in ruleset.params.values():
                self._declare_choices(declared.type, declared.span)
        self._clashes()
        self._complete = complete and len(read) == len(self._document.reads)
        self._point_elsewhere()
        steps = []
        later = {name: item.span for ruleset in rulesets for name, item in ruleset.sets.items()}
        for ruleset in rulesets:
            steps.append(self._built(ruleset, later))
            for declared in ruleset.sets.values():
                self._decisions[declared.name] = declared.type
                later.pop(declared.name, None)
        if not complete:
            return None
        decides = self._decided(self._document.decides)
        reason = tuple(place.name for place in self._document.reason) or decides[:1]
        for place in self._document.reason:
            if place.name not in decides:
                help_text = did_you_mean(place.name, decides, "the reason recites what the policy decides")
                self._findings.add("name.unknown", place.span, f"the policy does not decide `{place.name}`", help_text)
        invariants = self._invariants(tuple(read), steps)
        if len(self._findings) > before:
            return None
        return model.Policy(
            self._document.name,
            tuple(read),
            tuple(steps),
            decides,
            reason,
            invariants,
            self._document.doc,
            self._document.span,
        )

    def _read(self, name: str, decisions: bool, span: Span) -> model.Group | None:
        if not decisions:
            group = self._groups.get(name)
            if group is None and self._library.vocabulary is not None:
                help_text = did_you_mean(name, self._groups, "groups are declared in policies/facts.yaml")
                self._findings.add("name.unknown", span, f"there is no fact group `{name}`", help_text)
            return group
        other = self._library.policies.get(name)
        if other is None or name == self._document.name:
            if f"policy:{name}" not in self._library.broken:
                others = [known for known in self._library.policies if known != self._document.name]
                help_text = did_you_mean(name, others, "name another policy")
                self._findings.add("name.unknown", span, f"there is no other policy `{name}`", help_text)
            return None
        facts = []
        for decided in other.decides:
            for place in other.steps:
                ruleset = self._library.rulesets.get(place.name)
                if ruleset is not None and decided.name in ruleset.sets:
                    declared = ruleset.sets[decided.name]
                    facts.append(model.Fact(declared.name, declared.type, declared.doc, declared.span))
        return model.Group(f"decisions.{name}", tuple(facts), None, (), f"What {name} decided.", other.span)

    def _reads_broken(self) -> bool:
        """True where another policy's decisions are read and a broken file hides them: nobody here is to blame."""
        broken, policies = self._library.broken, self._library.policies
        others = [entry.name for entry in self._document.reads if entry.decisions]
        return any(f"policy:{name}" in broken for name in others) or any(
            f"ruleset:{place.name}" in broken for name in others if name in policies for place in policies[name].steps
        )

    def _rulesets(self) -> tuple[list[RuleSetDocument], bool]:
        """The rule sets of the steps, and whether all are there and sound (what a missing one sets is not known)."""
        found: list[RuleSetDocument] = []
        first: dict[str, Span] = {}
        complete = True
        for place in self._document.steps:
            if place.name in first:
                related = Related(first[place.name], "it is given here first")
                self._findings.add(
                    "name.twice", place.span, f"the step `{place.name}` is given twice", "remove one", related
                )
                continue
            first[place.name] = place.span
            ruleset = self._library.rulesets.get(place.name)
            if ruleset is not None:
                complete &= self._sound[place.name]
                found.append(ruleset)
                continue
            complete = False
            if f"ruleset:{place.name}" not in self._library.broken:
                help_text = did_you_mean(place.name, self._library.rulesets, f"create rules/{place.name}.yaml")
                self._findings.add("name.unknown", place.span, f"there is no rule set `{place.name}`", help_text)
        return found, complete

    def _declare(self, name: str, kind: Type, span: Span) -> None:
        if name in self._places:
            related = Related(self._places[name], "it stands here as well")
            message = f"policy `{self._document.name}` has two names `{name}`"
            help_text = "a name is set by one step, and facts of the groups read together have different names"
            self._findings.add("name.clash", span, message, help_text, related)
        self._places.setdefault(name, span)
        self._declare_choices(kind, span)

    def _declare_choices(self, kind: Type, span: Span) -> None:
        if isinstance(kind, ChoiceType):
            for value in kind.of:
                self._choices.setdefault(value, span)

    def _clashes(self) -> None:
        for name in self._places.keys() & self._choices.keys():
            related = Related(self._choices[name], "the choice is declared here")
            message = f"`{name}` is both a name and a choice value in policy `{self._document.name}`"
            self._findings.add("name.clash", self._places[name], message, "rename one of them", related)

    def _point_elsewhere(self) -> None:
        """Note what has names that this policy lacks, for findings to say so."""
        for group in self._groups.values():
            for fact in group.facts:
                self._unread.setdefault(fact.name, (group.name, fact.span))
        steps = {place.name for place in self._document.steps}
        for name, ruleset in self._library.rulesets.items():
            if name not in steps:
                for declared in ruleset.sets.values():
                    self._unrun.setdefault(declared.name, (name, declared.span))

    def _where(self, ruleset: str, name: str) -> str:
        """This policy, and all others that run the rule set and in which a name means as little: said once for all."""
        own = self._standing(self._document, ruleset, name)
        alike = [
            f"`{policy.name}`"
            for policy in self._library.policies.values()
            if policy is self._document or self._standing(policy, ruleset, name) == own
        ]
        return f"policy {alike[0]}" if len(alike) == 1 else f"policies {', '.join(alike[:-1])} and {alike[-1]}"

    def _standing(
        self, policy: PolicyDocument, ruleset: str, name: str
    ) -> Literal["not run", "known", "later", "nothing"]:
        """What a name is to a rule set in a policy."""
        steps = [place.name for place in policy.steps]
        if ruleset not in steps:
            return "not run"
        for entry in policy.reads:
            other = self._library.policies.get(entry.name) if entry.decisions else None
            group = self._groups.get(entry.name) if not entry.decisions else None
            if (group and any(fact.name == name for fact in group.facts)) or (
                other and any(place.name == name for place in other.decides)
            ):
                return "known"
        for number, step in enumerate(steps):
            held = self._library.rulesets.get(step)
            if held is not None and name in held.sets:
                return "known" if number < steps.index(ruleset) else "later"
        return "nothing"

    def _built(self, ruleset: RuleSetDocument, later: Mapping[str, Span]) -> model.Step:
        """The step, the one that was built last where nothing that it is made from is another since.

        The names in scope say whether a step resolves, and to what; everything else that a scope holds is for findings.
        """
        place = (self._document.name, ruleset.name)
        known = _built.get(place)
        if (
            known is not None
            and known.ruleset is ruleset
            and known.facts is self._facts
            and known.decisions == self._decisions
        ):
            self._usage.read |= known.read
            return known.step
        before, usage = len(self._findings), Usage()
        step = self._step(ruleset, later, usage)
        self._usage.read |= usage.read
        if len(self._findings) == before and self._complete:
            if len(_built) >= _MOST_BUILT:
                _built.clear()
            _built[place] = _Built(ruleset, self._facts, dict(self._decisions), step, frozenset(usage.read))
        return step

    def _step(self, ruleset: RuleSetDocument, later: Mapping[str, Span], usage: Usage) -> model.Step:
        scope = Scope(
            facts=self._facts,
            decisions=dict(self._decisions),
            later=later,
            ruleset=ruleset.name,
            params=ruleset.params,
            used=usage.note,
            complete=self._complete,
            unread=self._unread,
            unrun=self._unrun,
            values=self._choices,
            where=lambda name: self._where(ruleset.name, name),
        )
        started = [effect for text in ruleset.start if (effect := self._effect(text, ruleset, scope))]
        start = {effect.name: effect.value for effect in started}
        sets = tuple((declared.name, declared.type) for declared in ruleset.sets.values())
        rules = tuple(self._rule(rule, ruleset, scope) for rule in ruleset.rules)
        ordered = tuple((name, start[name]) for name, _ in sets if name in start)
        return model.Step(ruleset.name, ruleset.hit, sets, ordered, rules, ruleset.doc, ruleset.span)

    def _rule(self, rule: RuleDocument, ruleset: RuleSetDocument, scope: Scope) -> model.Rule:
        on_unknown = rule.unknown or ruleset.unknown or ("match" if ruleset.hit == "veto" else None)
        effects = [made for text in rule.effects if (made := self._effect(text, ruleset, scope))]
        condition = _ConditionBuilder(scope, self._findings).build(rule.condition) if rule.condition else None
        return model.Rule(
            ruleset.name, rule.id, condition, on_unknown, tuple(effects), rule.why, rule.span, rule.expect
        )

    def _effect(self, text: EffectText, ruleset: RuleSetDocument, scope: Scope) -> model.Effect | None:
        if text.name.name not in ruleset.sets:
            return None  # check_ruleset says so
        target = ruleset.sets[text.name.name].type
        typed = resolve(text.value, scope, self._findings, target)
        if typed is None or not self._assignable(text, target, typed):
            return None
        return model.Effect(text.kind, text.name.name, text.value.typed(typed))

    def _assignable(self, text: EffectText, target: Type, typed: Expression) -> bool:
        match target, typed.type:
            case NumberType(unit=wanted), NumberType(unit=given):
                if common_unit(wanted, given) is not None:
                    return True
                message = f"`{text.name.name}` is in {describe_unit(wanted)}, this is in {describe_unit(given)}"
                help_text = f"give it an expression in {describe_unit(wanted)}, or declare `{text.name.name}` otherwise"
                self._findings.add("unit.mismatch", text.value.span, message, help_text)
                return False
            case ChoiceType(of=wanted_values), ChoiceType(of=given_values) if wanted_values == given_values:
                return True
            case FlagType(), FlagType():
                return True
        message = f"`{text.name.name}` is {describe(target)}, this is {describe(typed.type)}"
        help_text = f"give it {describe(target)}"
        self._findings.add("type.mismatch", text.value.span, message, help_text)
        return False

    def _invariants(self, read: tuple[model.Group, ...], steps: list[model.Step]) -> tuple[model.Invariant, ...]:
        scope = Scope(
            facts=self._facts,
            decisions=self._decisions,
            all_params={place.name: self._library.rulesets[place.name].params for place in self._document.steps},
            vetoes={step.ruleset: [rule.id for rule in step.rules] for step in steps if step.hit == "veto"},
            any_number=True,
            complete=self._complete,
            unread=self._unread,
            unrun=self._unrun,
            values=self._choices,
            where=lambda _: f"policy `{self._document.name}`",
        )
        builder = InvariantBuilder(scope, read, self._groups, self._library.profiles, self._findings)
        return tuple(made for text in self._document.invariants if (made := builder.build(text)))

    def _decided(self, places: tuple[NamePlace, ...]) -> tuple[str, ...]:
        decided = []
        for place in places:
            if place.name in decided:
                self._findings.add("name.twice", place.span, f"`{place.name}` is decided twice", "remove one")
            elif place.name in ("values", "vetoes"):
                message = f"a decision cannot be called `{place.name}`: a verdict has that already"
                self._findings.add("name.keyword", place.span, message, "choose another name")
            elif place.name in self._decisions:
                decided.append(place.name)
            else:
                help_text = did_you_mean(place.name, self._decisions, "steps set " + ", ".join(self._decisions))
                self._findings.add("name.unknown", place.span, f"no step sets `{place.name}`", help_text)
        return tuple(decided)


class _ConditionBuilder:
    """Numbers the leaves as it goes."""

    def __init__(self, scope: Scope, findings: Findings) -> None:
        self._scope = scope
        self._findings = findings
        self._count = 0

    def build(self, text: ConditionText) -> model.Condition | None:
        if isinstance(text, LeafText):
            typed = resolve_condition(text.expression, self._scope, self._findings)
            if typed is None:
                return None
            leaf = model.Leaf(text.expression.typed(typed), self._count)
            self._count += 1
            return leaf
        items = tuple(made for item in text.items if (made := self.build(item)))
        if not items:
            return None
        return model.AllOf(items) if text.kind == "all" else model.AnyOf(items)


def unused(library: Library, policies: Mapping[str, model.Policy], usage: Usage, findings: Findings) -> None:
    """Declared and never read: rule sets in no policy, parameters in no rule."""
    stepped = {step.name for policy in library.policies.values() for step in policy.steps}
    policies_unread = any(name.startswith("policy:") for name in library.broken)
    for name, ruleset in library.rulesets.items():
        if name not in stepped:
            if policies_unread:
                continue  # a policy that cannot be read may well run it
            help_text = "add it to the steps of one, or remove the file"
            findings.add(
                "ruleset.unused", ruleset.span, f"no policy runs `{name}`", help_text, severity=Severity.WARNING
            )
            continue
        if not any(step.ruleset == name for policy in policies.values() for step in policy.steps):
            continue  # the policy that would read its parameters is broken
        _unused_params(name, ruleset.params, usage, findings)
    if library.vocabulary is not None:
        _unused_params(FACTS, library.vocabulary.params, usage, findings)
    if library.windows is not None:
        _unused_params(WINDOWS, library.windows.params, usage, findings)


def _unused_params(owner: str, params: Mapping[str, Declaration], usage: Usage, findings: Findings) -> None:
    for declared in params.values():
        if (owner, declared.name) not in usage.read:
            message = f"no rule reads the parameter `{declared.name}`"
            findings.add("param.unused", declared.span, message, "remove it, and its value in profiles/")
