"""Questions about every input at once, asked of the solver: do the invariants hold, is anything dead.

Z3 is the extra `prove`: only what asks questions imports the modules of this package.
"""

QUESTION_TIMEOUT_S = 10.0
"""For one question to the solver, where nobody says how long."""
