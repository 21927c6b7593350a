"""Why not something else: the smallest change of facts, or of parameters, that gives the wished decision.

The fewest changes first, then the smallest relative ones, in numbers that people read. Every change is confirmed by the
interpreter; an edit of parameters keeps every invariant, or names those that it breaks. Needs the solver (extra
`prove`).
"""
