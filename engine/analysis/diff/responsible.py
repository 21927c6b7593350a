"""Which changes make a transition: asked of the solver over all of its inputs, one change at a time.

Trying a change on one witness names wrong causes: what does nothing there may be all there is elsewhere. So each change
is asked two things. Alone: does A with this change alone decide as B does, for some input of the transition, for all?
Needed: does B without this change decide otherwise, for some input, for all?
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.analysis.diff.blend import Blend, settings
from engine.analysis.diff.switchboard import Switchboard
from engine.analysis.diff.transitions import Change, Often, Responsible
from engine.backends.solver.terms import Bit, Term, conj, neg, same_value


def responsible(
    asker: Switchboard, blend: Blend, transition: Bit, decision: str, after: Term
) -> tuple[Responsible, ...]:
    """The changes that make a transition alone or without which it would not be, somewhere; `after` is what B decides.

    Where none does so by itself, all of those that the decision depends on, with `never` twice: they act together.
    """
    assert blend.terms is not None
    reached = blend.reach.get(decision, frozenset())
    changes = [switch.change for switch in blend.switches if switch.change in reached]
    if len(changes) == 1:  # with this change A is B, as far as this decision goes
        return (Responsible(changes[0], "always", "always"),)
    # A mix that no profile could be, since an effect has no value in it, does not decide as B does.
    as_after = conj(neg(blend.terms.lacking), same_value(blend.terms.names[decision], after))
    found = [_asked(asker, blend, transition, as_after, change, changes) for change in changes]
    acting = [each for each in found if each.undecided or (each.alone, each.needed) != ("never", "never")]
    return tuple(acting or found)


def _asked(
    asker: Switchboard, blend: Blend, transition: Bit, as_after: Bit, change: Change, changes: Iterable[Change]
) -> Responsible:
    only = settings(blend.switches, frozenset((change,)))
    without = settings(blend.switches, frozenset(each for each in changes if each != change))
    alone = _often(asker, [transition, *only], as_after)
    needed = _often(asker, [transition, *without], neg(as_after))
    return Responsible(change, alone, needed)


def _often(asker: Switchboard, given: list[Bit], bit: Bit) -> Often | None:
    """For which inputs of those given a bit is set; None where the solver gives up."""
    never = asker.excluded(*given, bit)
    if never is None:
        return None
    if never:
        return "never"
    always = asker.excluded(*given, neg(bit))
    return None if always is None else "always" if always else "sometimes"
