"""Backends: a rulebook, run. The interpreter is the definition; every other backend must agree with it."""
