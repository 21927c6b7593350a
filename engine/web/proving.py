"""What is proved of the rulebook that is served, found out in a process of its own.

In: a rulebook and a home that holds its files. Out: a `Proof` for each invariant, or None where nobody knows: the
solver is not installed, it broke down, or the files say another rulebook by now. The solver is not made for several
threads, and a session in this process may be proving a candidate meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from engine.book import Book
from engine.home import find_cache
from engine.web.access import TOKEN_VARIABLE

_log = logging.getLogger(__name__)

STATES = ("proven", "refuted", "undecided")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one invariant."""

    policy: str
    id: str
    text: str
    at: str
    """File and line."""
    status: str
    """`proven`, `refuted` or `undecided`."""
    why: str
    """Why it is undecided; empty where it is not."""


def counted(proofs: Sequence[Proof]) -> dict[str, int]:
    """How many invariants are in each state."""
    found = Counter(proof.status for proof in proofs)
    return {state: found[state] for state in STATES}


class _Answer(msgspec.Struct):
    version: str
    proofs: list[Proof]


async def prove(book: Book, home: Path) -> list[Proof] | None:
    """What is proved of a rulebook by the files of a home; takes seconds where nothing is remembered."""
    if find_spec("z3") is None:
        return None
    # Not by `multiprocessing`, which would run the main module of whoever serves a second time.
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter, which starts in a millisecond
        [sys.executable, "-m", __name__, str(home), book.profile],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        answered, _ = await asyncio.to_thread(process.communicate)
    finally:
        process.kill()  # done already, unless whoever waited was cancelled
    if process.returncode != 0:
        _log.warning("the invariants of %s were not proved: the solver broke down", book.profile)
        return None
    answer = msgspec.json.decode(answered, type=_Answer)
    return answer.proofs if answer.version == book.version else None


def environment() -> dict[str, str]:
    """That of this process, and where its modules are; the token is none of the solver's business."""
    held = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    return held | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def main(home: str, profile: str) -> None:
    """What the process does: prove, and print what came of it as JSON."""
    from engine.analysis.proofs.prove import prove as ask  # noqa: PLC0415 - the extra `prove`
    from engine.language.load import Workspace, read_files  # noqa: PLC0415 - of this process alone

    rulebook = cache(Workspace(read_files(Path(home))).rulebook)
    proofs = ask(profile, rulebook, cache=find_cache() / "proofs", only=["invariants"])
    found = [
        Proof(
            policy=verdict.policy,
            id=verdict.id,
            text=verdict.text,
            at=f"{verdict.span.file}:{verdict.span.line}",
            status=verdict.status,
            why=verdict.why,
        )
        for verdict in proofs.verdicts
    ]
    sys.stdout.buffer.write(msgspec.json.encode(_Answer(proofs.version, found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
