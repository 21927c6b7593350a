"""What proves the invariants of a candidate: the solver, with the files that the candidate is made of.

In: the files of a home. Out: what a pipeline asks for a `ProofAnswer`. Z3 is the extra `prove`; without it nothing is
proved, which the gate `proofs` takes for what it is: no prover, no proof, and nothing to refuse.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

from engine.backends.solver.turns import StoppedError, mark, turn
from engine.language.load import Files, Workspace
from engine.language.rulebook import Rulebook
from engine.reload.pipeline import ProofAnswer, Prove


def prover(files: Files, timeout_s: float, cache: Path | None) -> Prove | None:
    """What proves the invariants of a rulebook of these files; None where the solver is not installed."""
    if find_spec("z3") is None:
        return None
    from engine.analysis.proofs.findings import findings_of  # noqa: PLC0415 - the extra `prove`
    from engine.analysis.proofs.prove import prove  # noqa: PLC0415 - the extra `prove`

    asked_at = mark()

    def answer(rulebook: Rulebook) -> ProofAnswer:
        others = functools.cache(Workspace(files).rulebook)  # an invariant may compare with another profile
        if others(rulebook.profile).version != rulebook.version:
            raise ValueError("the files are not those of the rulebook")  # what holds for others says nothing of it
        try:
            with turn(asked_at):
                proofs = prove(rulebook.profile, others, only=["invariants"], timeout_s=timeout_s, cache=cache)
        except StoppedError:  # the session ends, and nobody waits for the answer
            return ProofAnswer(0, unknown=1)
        counts = proofs.counts
        return ProofAnswer(
            counts["proven"], counts["refuted"], counts["undecided"], tuple(findings_of([proofs], others))
        )

    return answer
