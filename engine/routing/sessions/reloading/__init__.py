"""Reload in a running session: a saved home, or a new bundle, decides within a second, or what ran goes on.

    changes.py       what is saved, and bundles of an address ──┐
    commands.py      what other processes ask for, rollbacks ───┼──▶ in_force.py    swapped, journaled, remembered, said
    candidates.py    a candidate beside it, and its promotion ──┘
    beside.py        all of it together, as long as a session runs

Loading, proofs, the dry run and writing to disk take place in threads; what changes the desk happens in the session's
own loop, between two of its steps. While a change is looked at somebody may ask for another rulebook: then that one
decides, and the change is refused as overtaken, so a rollback is never undone by what was saved before it.
"""
