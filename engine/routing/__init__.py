"""The chain from an intent to its outcome: what is known, what is decided on it, and the orders that follow.

`Router` is the core. `evidence` says what came of it: costs, reports, health, the story of an intent. `sessions` runs
it on a market: a desk is a router with everything around it, and `Embedded` and `Remote` drive one.
Imports run one way: `routing ← evidence ← sessions`.
"""
