"""The chain from an intent to its outcome: what is known, what is decided on it, and the orders that follow.

`Router` is the core; `Desk` is a router with everything around it, and `Embedded` and `Remote` drive one.
"""
