"""A second engine as witness: `first` and `veto` sets run by durable-rules, which others wrote.

Conditions become formulas without negation (`formula`), a step becomes single-event rules with priorities (`express`),
the engine runs them (`engine`), and its answer is read back in the language's terms (`witness`). What it cannot carry
is named with its reason and place, never approximated. docs/durable-rules.md says what was measured.
"""
