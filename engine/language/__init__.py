"""The language: text becomes a checked, immutable rulebook.

Stage by stage: nodes, shapes, documents, build, bind, soundness, rulebook; `load` runs them.
"""
