"""Proofs as people read them: what holds, what does not with an input that shows it, and what is loose.

In: `Proofs`. Out: text for a terminal, or an object for JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from engine.analysis.proofs.findings import decisions_of
from engine.analysis.proofs.prove import Proofs, Verdict
from engine.analysis.proofs.refutations import print_refutation
from engine.analysis.report import describe_proofs
from engine.language.rulebook import Rulebook
from engine.printing import counted, print_wrapped, printable

_STYLES = {"proven": "green", "refuted": "bold red", "undecided": "bold yellow"}


def print_proofs(
    console: Console, proofs: Proofs, rulebook: Callable[[str], Rulebook], *, every: bool, trace: bool = False
) -> None:
    """The proofs of a profile: each invariant that does not hold with its witness, and with `every` all that do.

    With `trace` every decision on a witness is shown in full.
    """
    console.print(Text.assemble((proofs.profile, "bold"), f"  {proofs.version}"))
    for policy in dict.fromkeys(verdict.policy for verdict in proofs.verdicts):
        verdicts = [verdict for verdict in proofs.verdicts if verdict.policy == policy]
        late = [verdict for verdict in verdicts if proofs.cut_short and verdict.why == proofs.cut_short]
        shown = [verdict for verdict in verdicts if verdict.status != "proven" and verdict not in late]
        proven = sum(verdict.status == "proven" for verdict in verdicts)
        told = f"  {proven} of {counted(len(verdicts), 'invariant')} proven"
        console.print()
        console.print(Text.assemble((policy, "bold"), f"{told}, {len(late)} not in time" if late else told))
        shown = verdicts if every else shown
        for number, verdict in enumerate(shown):
            if number and (shown[number - 1].witness or verdict.witness):
                console.print()
            _print_verdict(console, verdict, rulebook, trace=trace)
    console.print()
    took = "remembered" if proofs.cached else f"{proofs.seconds:.1f} s"
    print_wrapped(console, Text(f"{proofs.profile}: {describe_proofs(proofs)} ({took})"), hanging=2)


def _print_verdict(console: Console, verdict: Verdict, rulebook: Callable[[str], Rulebook], *, trace: bool) -> None:
    head = Text.assemble(
        "  ",
        (f"{verdict.status:<9}", _STYLES[verdict.status]),
        f"  {verdict.id}",
        (f"  {verdict.span.file}:{verdict.span.line}", "dim"),
    )
    print_wrapped(console, head, hanging=4)
    print_wrapped(console, Text(f"             {printable(' '.join(verdict.text.split()))}"), hanging=13)
    if verdict.why:
        print_wrapped(console, Text(f"             {verdict.why}"), hanging=13)
    if verdict.witness is None:
        return
    print_refutation(console, verdict, verdict.witness, rulebook, trace=trace)


def proofs_json(proofs: Proofs, rulebook: Callable[[str], Rulebook]) -> dict[str, Any]:
    """Proofs as a JSON object; a witness with the records of its decisions."""
    found: dict[str, Any] = msgspec.to_builtins(proofs)
    for shown, verdict in zip(found["verdicts"], proofs.verdicts, strict=True):
        if verdict.witness is not None:
            witness = verdict.witness
            decisions = decisions_of(verdict.policy, witness.profiles, witness.facts, rulebook)
            shown["witness"]["decisions"] = [decision.record() for decision in decisions]
    return found
