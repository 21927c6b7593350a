"""Questions about every input at once, asked of the solver: do the invariants hold, is anything dead.

Z3 is the extra `prove`: only what asks questions imports the modules of this package.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from engine.language.spelling import did_you_mean

QUESTION_TIMEOUT_S = 10.0
"""For one question to the solver, where nobody says how long."""

Question: TypeAlias = Literal["invariants", "total", "dead", "conditions", "clamps", "redundant", "parameters"]
"""A kind of question about a profile."""

QUESTIONS: tuple[Question, ...] = get_args(Question)
"""Every kind, in the order they are asked."""


def read_questions(text: str) -> tuple[Question, ...]:
    """The kinds that a list names, with commas between them.

    >>> read_questions("dead, total")
    ('total', 'dead')

    Raises:
        ValueError: for a kind that there is none of.

    """
    named = [name.strip() for name in text.split(",")]
    for name in named:
        if name not in QUESTIONS:
            help_text = did_you_mean(name, QUESTIONS, f"there are {', '.join(QUESTIONS)}")
            raise ValueError(f"`{name}` is no kind of question ({help_text})")
    return tuple(kind for kind in QUESTIONS if kind in named)
