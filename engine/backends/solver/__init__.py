"""A rulebook as terms of Z3: what a policy decides for every input at once.

`space` holds what can be handed in, `encode` makes a policy on it, `terms` is what both are made of. Z3 is the extra
`prove`: only what asks questions imports this package.
"""
