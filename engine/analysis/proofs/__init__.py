"""Questions about every input at once, asked of the solver: do the invariants hold, is anything dead.

Z3 is the extra `prove`: only what asks questions imports this package.
"""
