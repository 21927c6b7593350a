"""What proves the invariants of a candidate: the solver, with the files that the candidate is made of.

In: the files of a home. Out: what a pipeline asks for a `ProofAnswer`. Z3 is the extra `prove`; without it nothing is
proved, which the gate `proofs` takes for what it is: no prover, no proof, and nothing to refuse.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engine.analysis.proofs import Question
from engine.backends.solver.turns import StoppedError, mark, turn
from engine.language.load import Files, Workspace
from engine.language.rulebook import Rulebook
from engine.reload.pipeline import ProofAnswer, Prove

_ASKED: Final[tuple[Question, ...]] = ("invariants",)
"""What keeps a change out; what else a solver says of a profile does not."""


def prover(
    files: Files, timeout_s: float, cache: Path | None, *, is_wanted: Callable[[], bool] = lambda: True
) -> Prove | None:
    """What proves the invariants of a rulebook of these files; None where the solver is not installed.

    Whoever ends a session stops the solver for the whole process. Where `is_wanted` says that somebody waits for this
    answer all the same, it is asked for again; it has to say no before the session's own stop.
    """
    if find_spec("z3") is None:
        return None
    from engine.analysis.proofs.findings import findings_of  # noqa: PLC0415 - the extra `prove`
    from engine.analysis.proofs.prove import prove, remembered  # noqa: PLC0415 - the extra `prove`

    begun = mark()

    def answer(rulebook: Rulebook) -> ProofAnswer:
        others = functools.cache(Workspace(files).rulebook)  # an invariant may compare with another profile
        if others(rulebook.profile).version != rulebook.version:
            raise ValueError("the files are not those of the rulebook")  # what holds for others says nothing of it
        asked_at = begun
        # What was answered before waits for nobody's turn, unless all was stopped meanwhile.
        proofs = remembered(rulebook.profile, others, only=_ASKED, cache=cache) if mark() == begun else None
        while proofs is None:
            try:
                with turn(asked_at):
                    proofs = prove(rulebook.profile, others, only=_ASKED, timeout_s=timeout_s, cache=cache)
            except StoppedError:
                asked_at = mark()  # first: a stop after the look is for this question as well
                if not is_wanted():
                    return ProofAnswer(0, unknown=1)
        counts = proofs.counts
        return ProofAnswer(
            counts["proven"], counts["refuted"], counts["undecided"], tuple(findings_of([proofs], others))
        )

    return answer
