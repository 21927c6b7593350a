"""The solver, asked in a process of its own: it is not made for several threads, and a page must not wait for it.

In: a rulebook's files, a profile, a policy, the facts of a decision and a wish. Out: what would have to be otherwise,
as `why_not_json` says it, or a sentence that says why nobody knows.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from engine.web.proving import environment

WITHIN_S = 60.0


class UnansweredError(Exception):
    """Nobody knows: the text says why."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the solver."""

    home: str
    profile: str
    version: str
    policy: str
    facts: dict[str, Any]
    wish: str


async def ask_why_not(asked: Asked) -> dict[str, Any]:
    """What would have to be otherwise; takes seconds.

    Raises:
        UnansweredError: where the solver is not installed, or breaks down, or takes too long.

    """
    if find_spec("z3") is None:
        raise UnansweredError("the solver is not installed: pip install 'sluice-router[prove]'")
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter, which starts in a millisecond
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        answered, _ = await asyncio.to_thread(process.communicate, msgspec.json.encode(asked), WITHIN_S)
    except subprocess.TimeoutExpired:
        raise UnansweredError(f"the solver took more than {WITHIN_S:.0f} s") from None
    finally:
        process.kill()  # done already, unless whoever waited was cancelled
        await asyncio.to_thread(process.wait)
    if process.returncode != 0:
        raise UnansweredError("the solver broke down")
    answer: dict[str, Any] = msgspec.json.decode(answered)
    if "refused" in answer:
        raise UnansweredError(str(answer["refused"]))
    return answer


def main() -> None:
    """What the process does: ask, and print the answer as JSON."""
    from engine.analysis.why_not.ask import rulebooks_of, why_not  # noqa: PLC0415 - the extra `prove`
    from engine.analysis.why_not.pages import why_not_json  # noqa: PLC0415 - the same
    from engine.analysis.why_not.wish import read_wish  # noqa: PLC0415 - the same
    from engine.book import load  # noqa: PLC0415 - of this process alone
    from engine.language.findings import SluiceError  # noqa: PLC0415 - the same

    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    try:
        book = load(asked.profile, Path(asked.home), backend="interpreter")
        if book.version != asked.version:
            answer: dict[str, Any] = {"refused": "the files say another rulebook by now"}
        else:
            wish = read_wish(book.policy(asked.policy), asked.wish)
            others = rulebooks_of(Path(asked.home))
            answer = why_not_json(why_not(book, asked.policy, asked.facts, wish, others=others))
    except SluiceError as error:
        answer = {"refused": getattr(error, "message", str(error))}
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
