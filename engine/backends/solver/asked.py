"""Solvers as everybody here uses them: inside a turn, which minds the keyboard (`turns`).

Left to itself, Z3 takes Ctrl-C while it is asked something: the answer is "unknown" then, which looks as if time had
been over, and whoever pressed it is not heard.
"""

from __future__ import annotations

import z3


def solver() -> z3.Solver:
    """A solver that leaves the keyboard alone."""
    made = z3.Solver()
    made.set("ctrl_c", False)
    return made


def optimizer() -> z3.Optimize:
    """An optimizer that leaves the keyboard alone."""
    made = z3.Optimize()
    made.set("ctrl_c", False)
    return made
