"""The state files of one tick: written so that nobody reads half of one, read so that nobody mixes two ticks.

In: texts by name. Out: `logs/state/NAME.json`. All are written in full and synced beside the old ones before the first
is renamed, so a full disk leaves the old tick whole. Between two renames files are of different ticks: a reader sees
that, since all of a tick carry the same `tick` and `updated_ts`, and looks again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.routing.evidence.contract import STATE_FILES, ExecutionHealth, Nav, Positions, Risk, RouterHealth
from engine.routing.evidence.errors import ViewError

STATE = Path("state")
"""The folder of state files, inside `logs/`."""

_View = TypeVar("_View", RouterHealth, ExecutionHealth, Nav, Positions, Risk)


@dataclass(frozen=True, slots=True)
class State:
    """What the state files of one tick say."""

    router_health: RouterHealth
    execution_health: ExecutionHealth
    nav: Nav
    positions: Positions
    risk: Risk

    @property
    def tick(self) -> int:
        """The tick of all of them."""
        return self.router_health.tick

    @property
    def ticks(self) -> dict[str, tuple[int, float]]:
        """Tick and moment of each file."""
        held = {name: getattr(self, name) for name in STATE_FILES}
        return {name: (view.tick, view.updated_ts) for name, view in held.items()}


def write_together(folder: Path, texts: Mapping[str, bytes]) -> None:
    """Write `NAME.json` for each text; an error before the first rename leaves all of the old files.

    Raises:
        OSError: if one cannot be written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    beside = {name: folder / f".{name}.json.new" for name in texts}
    try:
        for name, text in texts.items():
            with beside[name].open("wb") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
    except OSError:
        for path in beside.values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    for name, path in beside.items():
        path.replace(folder / f"{name}.json")
    entries = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(entries)
    finally:
        os.close(entries)


def read_state(
    logs: Path, *, tries: int = 20, wait_s: float = 0.05, wait: Callable[[float], object] = time.sleep
) -> State:
    """The state files under `logs/`, all of one tick; where they are not, a writer is at work and is waited for.

    Raises:
        ViewError: where a file is missing or is none of ours, and where ticks stay mixed.

    """
    folder = logs / STATE
    state = _read_all(folder)
    for _ in range(tries - 1):
        if len(set(state.ticks.values())) == 1:
            break
        wait(wait_s)
        state = _read_all(folder)
    if len(set(state.ticks.values())) > 1:
        told = ", ".join(f"{name} {tick}" for name, (tick, _) in state.ticks.items())
        raise ViewError(
            f"the files in `{folder}` are of different ticks: {told}",
            "a writer stopped between two of them; its next start writes them all",
        )
    return state


def state_age_s(logs: Path, clock: Callable[[], float] = time.time) -> float | None:
    """How long ago the state files under `logs/` were written, in seconds of real time; None where there are none."""
    try:
        return max(clock() - (logs / STATE / "router_health.json").stat().st_mtime, 0.0)
    except OSError:
        return None


def _read_all(folder: Path) -> State:
    return State(
        router_health=_read(folder / "router_health.json", RouterHealth),
        execution_health=_read(folder / "execution_health.json", ExecutionHealth),
        nav=_read(folder / "nav.json", Nav),
        positions=_read(folder / "positions.json", Positions),
        risk=_read(folder / "risk.json", Risk),
    )


def _read(path: Path, kind: type[_View]) -> _View:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise ViewError(f"there is no `{path}`", "`sluice run` writes it") from None
    except OSError as error:
        raise ViewError(f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}", "look at it") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ViewError(
            f"`{path}` is none of this version: {str(error)[:1].lower()}{str(error)[1:]}",
            "move it away; the next tick of `sluice run` writes it",
        ) from error
