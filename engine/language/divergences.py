"""Differences between profiles that are meant: what a profile states under `diverges`, its ancestors included.

In: a profile's chain of documents and the policies it runs. Out: `model.Divergence`s in the order written, the root's
first. Whether profiles differ so is not asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.language.build import Library
from engine.language.documents import DivergenceText, NamePlace, ProfileDocument, read_value
from engine.language.findings import Findings, Related
from engine.language.model import Divergence, Policy
from engine.language.nodes import Scalar
from engine.language.spelling import did_you_mean
from engine.language.types import NumberType, Type, Value


def divergences(
    chain: list[ProfileDocument],
    runs: tuple[NamePlace, ...],
    policies: Mapping[str, Policy],
    library: Library,
    findings: Findings,
) -> tuple[Divergence, ...]:
    """The divergences of the last profile of a chain.

    `runs` are the policies that the profile names, `policies` those of them that are sound. What a profile inherits may
    serve others: an entry about a policy that it does not run, or against itself, is left out.
    """
    reader = _Reader(chain, frozenset(place.name for place in runs), policies, library, findings)
    found: dict[tuple[object, ...], Divergence] = {}
    for document in chain:
        for text in document.diverges:
            made = reader.read(document, text)
            if made is None:
                continue
            known = found.setdefault((made.against, made.policy, made.decision, made.before, made.after), made)
            if known is not made:
                related = Related(known.span, "it is given here first")
                message = f"this divergence from `{made.against}` is given twice"
                findings.add("name.twice", made.span, message, "remove one of them", related)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Reader:
    chain: list[ProfileDocument]
    runs: frozenset[str]
    policies: Mapping[str, Policy]
    library: Library
    findings: Findings

    def read(self, document: ProfileDocument, text: DivergenceText) -> Divergence | None:
        """One entry; None where it says nothing of this profile, or, with findings, where it is wrong."""
        if text.why is None:
            message = f"`{text.decision.text}` diverges without a why"
            self.findings.add("profile.no_why", text.span, message, "say why: `{against: …, decision: …, why: …}`")
        sound = self._against(document, text.against)
        policy, kind = self._decision(document, text.decision)
        if kind is None:
            return None
        before, after = self._value(text.before, "from", kind, text), self._value(text.after, "to", kind, text)
        given = [(text.before, before), (text.after, after)]
        if not sound or any(scalar is not None and value is None for scalar, value in given):
            return None
        if before is not None and before == after:
            assert text.after is not None
            message = f"from `{text.after.text}` to `{text.after.text}` is no difference"
            self.findings.add("profile.diverges", text.after.span, message, "name two values, or leave one out for any")
            return None
        name = text.decision.text.partition(".")[2]
        return Divergence(text.against.name, policy, name, before, after, text.why or "", text.span)

    def _against(self, document: ProfileDocument, place: NamePlace) -> bool:
        """True if an entry speaks of this profile and of one that it can differ from."""
        names = [one.name for one in self.chain]
        older = names[: names.index(document.name) + 1]
        if place.name not in self.library.profiles:
            known = sorted(self.library.profiles - set(older))
            help_text = did_you_mean(place.name, known, "name a file of profiles/")
            self.findings.add("profile.unknown", place.span, f"there is no profile `{place.name}`", help_text)
        elif place.name == document.name:
            message = f"`{place.name}` does not diverge from itself"
            self.findings.add("profile.diverges", place.span, message, "name the profile that it is compared with")
        elif place.name in older:
            message = f"`{document.name}` extends `{place.name}`: every deviation from it says why already"
            self.findings.add("profile.diverges", place.span, message, "remove the entry, or name another profile")
        return place.name in self.library.profiles and place.name not in names

    def _decision(self, document: ProfileDocument, scalar: Scalar) -> tuple[str, Type | None]:
        """The policy of a decision, and the decision's type; None, with findings unless others have them."""
        name, dot, decision = scalar.text.partition(".")
        if not dot:
            decides = [f"{one.name}.{known}" for one in self.policies.values() for known in one.decides]
            owner = next((full for full in decides if full.endswith(f".{name}")), None)
            help_text = f"write `{owner}`" if owner else did_you_mean(name, decides, "write `policy.decision`")
            self.findings.add("name.unknown", scalar.span, f"`{name}` lacks its policy", help_text)
        elif name not in self.library.policies:
            if f"policy:{name}" not in self.library.broken:
                help_text = did_you_mean(name, self.runs, "name a policy that the profile runs")
                self.findings.add("name.unknown", scalar.at(0, len(name)), f"there is no policy `{name}`", help_text)
        elif name not in self.runs:
            if document is self.chain[-1]:
                message = f"`{document.name}` does not run `{name}`"
                help_text = did_you_mean(name, self.runs, "add the policy to `policies`, or remove the entry")
                self.findings.add("profile.diverges", scalar.at(0, len(name)), message, help_text)
        elif name in self.policies:
            return name, self._type(self.policies[name], scalar, decision)
        return name, None

    def _type(self, policy: Policy, scalar: Scalar, decision: str) -> Type | None:
        if decision in policy.decides:
            return policy.types()[decision]
        where = scalar.at(len(policy.name) + 1, len(scalar.text)) if decision else scalar.span
        help_text = did_you_mean(decision, policy.decides, "it decides " + ", ".join(policy.decides))
        self.findings.add("name.unknown", where, f"`{policy.name}` does not decide `{decision}`", help_text)
        return None

    def _value(self, scalar: Scalar | None, key: str, kind: Type, text: DivergenceText) -> Value | None:
        if scalar is None:
            return None
        if isinstance(kind, NumberType):
            message = f"`{text.decision.text}` is a number, of which any difference is meant"
            self.findings.add("profile.diverges", scalar.span, message, f"remove `{key}`")
            return None
        return read_value(scalar, kind, self.findings, f"`{key}`")
