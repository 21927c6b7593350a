"""A solver asked many questions about the same bits: each gets a name once, and then is switched on or off."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import z3

from engine.analysis.proofs.asking import Asker, Budget
from engine.backends.solver.terms import Bit, lift_bit


class Switchboard(Asker):
    """An asker whose bits get names once, so that many questions about the same bits are quick."""

    def __init__(self, domain: Iterable[z3.BoolRef], timeout_s: float, budget: Budget | None = None) -> None:
        super().__init__(domain, timeout_s, budget)
        self._names: dict[int, tuple[z3.BoolRef, z3.BoolRef]] = {}

    def named(self, bit: Bit) -> z3.BoolRef:
        """A switch that is on where the bit is set, and off elsewhere."""
        term = lift_bit(bit)
        if z3.is_const(term) and term.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            return term
        known = self._names.get(term.get_id())
        if known is None:
            switch = z3.Bool(f"switch {len(self._names)}")
            self.assume(switch == term)
            known = self._names[term.get_id()] = (switch, term)  # the term is held, since ids of dead ones come again
        return known[0]

    def excluded(self, *bits: Bit) -> bool | None:
        """True if these cannot all hold; None where the solver gives up."""
        started = time.perf_counter()
        result = self._check(*(self.named(bit) for bit in bits))
        self.seconds += time.perf_counter() - started
        return None if result == z3.unknown else bool(result == z3.unsat)

    def few(self, wanted: Bit, bits: Sequence[Bit]) -> list[int] | None:
        """The indices of bits that exclude `wanted`, by one unsatisfiable core; None if they do not, or undecided."""
        switches = [self.named(bit) for bit in bits]
        if self.excluded(wanted, *switches) is not True:
            return None
        core = {str(switch) for switch in self._solver.unsat_core()}
        return [index for index, switch in enumerate(switches) if str(switch) in core]
