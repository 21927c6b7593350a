"""A profile's chain of files becomes bindings: one set of values for each combination of symbol groups.

In: profile documents and the parameters that are declared. Out: `Settings`, in which every value has its origin (the
profile, the group, the line, the why). A value nobody declares, a declared one nobody gives, a deviation without a
`why` and a symbol for which two groups say different things are findings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.language.build import FACTS, WINDOWS, Library
from engine.language.documents import Declaration, NamePlace, ProfileDocument, SymbolGroupText, ValueText, read_value
from engine.language.findings import Findings, Related, Severity, Span
from engine.language.model import Binding, Origin
from engine.language.printer import print_number
from engine.language.spelling import did_you_mean
from engine.language.types import NumberType, Value


@dataclass(frozen=True, slots=True)
class Settings:
    """What a profile says, its ancestors included."""

    profile: str
    policies: tuple[NamePlace, ...]
    disabled: Mapping[str, Origin]
    """Disabled rules by `set.rule`."""
    bindings: Mapping[tuple[str, ...], Binding]
    """By the names of the symbol groups, sorted; `()` is for every symbol that stands in none."""
    symbols: Mapping[str, tuple[str, ...]]
    """Symbol to the names of its groups, sorted."""


def ancestry(
    name: str, profiles: Mapping[str, ProfileDocument], library: Library, findings: Findings
) -> list[ProfileDocument]:
    """The chain of documents from the root to `name`; empty, with findings, where it is broken."""
    chain: list[ProfileDocument] = []
    document: ProfileDocument | None = profiles[name]
    while document is not None:
        if document in chain:
            assert document.extends is not None
            findings.add(
                "profile.cycle", document.extends.span, f"`{document.name}` extends itself", "break the circle"
            )
            return []
        chain.insert(0, document)
        parent = document.extends
        if parent is None:
            break
        document = profiles.get(parent.name)
        if document is None:
            if f"profile:{parent.name}" not in library.broken:
                help_text = did_you_mean(parent.name, profiles, "create it, or name another")
                findings.add("profile.unknown", parent.span, f"there is no profile `{parent.name}`", help_text)
            return []
    return chain


def bind(chain: list[ProfileDocument], library: Library, needed: Mapping[str, Span], findings: Findings) -> Settings:
    """The settings of a chain. `needed`: parameters that rules read (`set.param` to the declaration's place)."""
    return _Binder(chain, library, findings).bind(needed)


@dataclass(slots=True)
class _Group:
    """A symbol group, merged along the chain."""

    members: tuple[NamePlace, ...]
    values: dict[str, tuple[Value, Origin]]
    span: Span


class _Binder:
    def __init__(self, chain: list[ProfileDocument], library: Library, findings: Findings) -> None:
        self._chain = chain
        self._library = library
        self._params = library.params()
        self._findings = findings
        self._leaf = chain[-1]

    def bind(self, needed: Mapping[str, Span]) -> Settings:
        base: dict[str, tuple[Value, Origin]] = {}
        groups: dict[str, _Group] = {}
        policies: tuple[NamePlace, ...] = ()
        disabled: dict[str, Origin] = {}
        for document in self._chain:
            if document.policies is not None:
                policies = document.policies
            base |= self._values(document, None, document.values)
            self._warn_of_shadows(document, groups)
            for text in document.symbols.values():
                self._merge_group(document, text, groups)
            for entry in document.disable:
                if entry.why is None:
                    message = f"`{entry.rule}` is disabled without a why"
                    self._findings.add("profile.no_why", entry.span, message, "say why: `{rule: …, why: …}`")
                disabled[entry.rule] = Origin(document.name, None, entry.why or "", entry.span, "disabled")
        given = {name for document in self._chain for name in document.values}
        for name, place in needed.items():
            if name not in base and name not in given:  # one given and refused was reported there
                message = f"`{name}` has no value in profile `{self._leaf.name}`"
                related = Related(place, "it is declared here")
                self._findings.add(
                    "param.no_value", self._leaf.span, message, "give it one in the base profile", related
                )
        if all(place.name in self._library.policies for place in policies):  # what a broken one runs is not known
            self._unread(needed)
        symbols = self._membership(groups)
        self._warn_of_cases(groups)
        bindings: dict[tuple[str, ...], Binding] = {(): self._binding((), base, groups)}
        for names in symbols.values():
            bindings.setdefault(names, self._binding(names, base, groups))
        # A group nobody is in yet still has values that must be sound.
        for name in groups:
            bindings.setdefault((name,), self._binding((name,), base, groups))
        return Settings(
            self._leaf.name, policies, MappingProxyType(disabled), MappingProxyType(bindings), MappingProxyType(symbols)
        )

    def _values(
        self, document: ProfileDocument, group: str | None, values: Mapping[str, ValueText]
    ) -> dict[str, tuple[Value, Origin]]:
        bound = {}
        for text in values.values():
            declared = self._declared(text)
            if declared is None:
                continue
            if text.why is None and (group is not None or document.extends is not None):
                message = f"`{text.name}` deviates without a why"
                self._findings.add("profile.no_why", text.span, message, "say why: `{value: …, why: …}`")
            value = read_value(text.scalar, declared.type, self._findings, f"`{text.name}`")
            if value is None or not self._in_range(text, declared, value):
                continue
            value = value + 0.0 if isinstance(value, float) else value
            bound[text.name] = (value, Origin(document.name, group, text.why or "", text.span, text.scalar.text))
        return bound

    def _declared(self, text: ValueText) -> Declaration | None:
        owner, _, name = text.name.partition(".")
        params = self._params.get(owner)
        if params is None or name not in params:
            hidden = {FACTS: self._library.vocabulary is None, WINDOWS: f"{WINDOWS}:{WINDOWS}" in self._library.broken}
            if f"ruleset:{owner}" not in self._library.broken and not hidden.get(owner, False):
                known = [f"{holder}.{param}" for holder, declared in self._params.items() for param in declared]
                help_text = did_you_mean(text.name, known, "values are named `set.param`; remove it, or declare it")
                self._findings.add("value.unknown", text.span, f"no rule set declares `{text.name}`", help_text)
            return None
        return params[name]

    def _in_range(self, text: ValueText, declared: Declaration, value: Value) -> bool:
        kind = declared.type
        if not isinstance(kind, NumberType) or kind.min <= float(value) <= kind.max:
            return True
        reach = f"{print_number(kind.min)} to {print_number(kind.max)}"
        related = Related(declared.span, f"declared here with {reach}")
        message = f"`{text.name}` is {text.scalar.text}, outside of {reach}"
        self._findings.add("value.range", text.scalar.span, message, "change the value, or the declared range", related)
        return False

    def _merge_group(self, document: ProfileDocument, text: SymbolGroupText, groups: dict[str, _Group]) -> None:
        values = self._values(document, text.name, text.values)
        known = groups.get(text.name)
        if known is None:
            if text.of is None:
                message = f"the symbol group `{text.name}` has no members"
                help_text = did_you_mean(text.name, self._all_groups(), "list them: `of: [BTCUSDT, …]`")
                self._findings.add("profile.group", text.span, message, help_text)
            groups[text.name] = _Group(text.of or (), values, text.span)
            return
        known.members = text.of if text.of is not None else known.members
        known.values |= values

    def _warn_of_shadows(self, document: ProfileDocument, groups: Mapping[str, _Group]) -> None:
        """A value given for all symbols does not reach those of an inherited group that has one of its own."""
        for text in document.values.values():
            for name, group in groups.items():
                again = document.symbols.get(name)
                if text.name not in group.values or (again is not None and text.name in again.values):
                    continue
                origin = group.values[text.name][1]
                message = f"`{text.name}` does not change for the symbols of `{name}`: they keep {origin.text}"
                help_text = f"give it under `symbols: {name}:` as well, changed or not"
                related = Related(origin.span, f"`{name}` gives it here")
                self._findings.add(
                    "profile.shadowed", text.span, message, help_text, related, severity=Severity.WARNING
                )

    def _unread(self, needed: Mapping[str, Span]) -> None:
        """What a profile changes must be read by some rule that it runs; what it inherits may serve other profiles."""
        if self._leaf.extends is None:
            return
        given = [self._leaf.values, *(text.values for text in self._leaf.symbols.values())]
        for text in (text for values in given for text in values.values()):
            owner, _, name = text.name.partition(".")
            if text.name not in needed and name in self._params.get(owner, {}):
                does = "reads the group" if owner == WINDOWS else "runs"
                message = f"no policy of `{self._leaf.name}` {does} `{owner}`, so nothing reads `{text.name}`"
                help_text = "remove it, or add the policy to `policies`"
                self._findings.add("value.unread", text.span, message, help_text)

    def _all_groups(self) -> list[str]:
        """The groups that have members somewhere in the chain."""
        return [text.name for document in self._chain for text in document.symbols.values() if text.of is not None]

    def _warn_of_cases(self, groups: Mapping[str, _Group]) -> None:
        """Exchanges write a symbol in one way: two that differ by case alone are a slip of the hand."""
        first: dict[str, NamePlace] = {}
        for member in (member for group in groups.values() for member in group.members):
            known = first.setdefault(member.name.casefold(), member)
            if known.name != member.name:
                message = f"`{member.name}` and `{known.name}` differ by case alone"
                related = Related(known.span, "the other stands here")
                help_text = "symbols are compared letter by letter: write both alike"
                warn = Severity.WARNING
                self._findings.add("profile.symbol", member.span, message, help_text, related, severity=warn)

    def _membership(self, groups: Mapping[str, _Group]) -> dict[str, tuple[str, ...]]:
        holders: dict[str, list[str]] = {}
        for name, group in groups.items():
            for member in group.members:
                for other in holders.get(member.name, []):
                    for shared in groups[other].values.keys() & group.values.keys():
                        first, second = groups[other].values[shared][1], group.values[shared][1]
                        related = Related(first.span, f"`{other}` gives it here")
                        message = f"`{member.name}` stands in `{other}` and `{name}`, and both give `{shared}`"
                        help_text = "give it in one of them, or take the symbol out of the other"
                        self._findings.add("profile.group_conflict", second.span, message, help_text, related)
                holders.setdefault(member.name, []).append(name)
        return {symbol: tuple(sorted(names)) for symbol, names in sorted(holders.items())}

    def _binding(
        self, names: tuple[str, ...], base: Mapping[str, tuple[Value, Origin]], groups: Mapping[str, _Group]
    ) -> Binding:
        merged = dict(base)
        for name in names:
            merged |= groups[name].values
        return Binding(
            names,
            MappingProxyType({name: value for name, (value, _) in merged.items()}),
            MappingProxyType({name: origin for name, (_, origin) in merged.items()}),
        )
