"""Why not something else: the smallest change of facts, or of parameters, that gives the wished decision.

The fewest changes first, then the smallest relative ones. Every change is confirmed by the interpreter; numbers are
then moved back towards what they were, as far as the wish lets them. Needs the solver (extra `prove`).
"""
