"""The command line: thin commands that parse, call a function of the engine, print, and return an exit code.

Exit codes: 0 fine, 1 findings (something in files or rows is wrong), 2 usage (something asked for is not there). As the
shell says of other tools, 130 where Ctrl-C ended it and 143 where SIGTERM did, with a session's report printed all the
same, and 141 where whoever reads standard output has closed it (as in `sluice check | head`).
`python cli.py` and the installed `sluice` are the same. A command imports what it alone needs, so that `--help`, shell
completion and the commands that need little stay fast.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib.util
import io
import json
import logging
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from engine.analysis.proofs import QUESTION_TIMEOUT_S, QUESTIONS
from engine.home import InitError, find_cache, find_home, find_logs, init_workspace

if TYPE_CHECKING:
    from rich.console import Console

    from engine.analysis.check import Proving
    from engine.analysis.diff.report import Diff, FailOn
    from engine.analysis.diff.weigh import Past
    from engine.analysis.explain import Explanation
    from engine.analysis.proofs import Question
    from engine.analysis.request import RequestError
    from engine.analysis.tables import BadRow, Row
    from engine.analysis.why_not.ask import WhyNot
    from engine.analysis.why_not.wish import Wish
    from engine.book import Backend, Book
    from engine.journal.writer import FsyncPolicy
    from engine.language.findings import LoadError
    from engine.language.rulebook import Rulebook
    from engine.printing import Steps
    from engine.reload.pipeline import Gate
    from engine.reload.requests import Action
    from engine.routing.sessions.reloading.options import ReloadOptions
    from engine.routing.sessions.source import MarketSource
    from engine.venues.faults import Faults
    from engine.venues.paper_book import Queue
    from engine.web.logs import LogFormat
    from engine.web.serve import Beside, ServeOptions

FINE, FOUND, USAGE, CLOSED = 0, 1, 2, 141
SIGNALLED = 128
"""Plus the number of a signal: the exit code of what it has ended."""
_GATES = ["proofs", "findings", "none"]
"""What keeps a change of rules out, strictest first."""
_UNMEASURED_COLUMNS = 120
"""The width of pages where neither a terminal nor COLUMNS says one."""


@dataclass(frozen=True)
class Session:
    """What every command is told: where the documents are, and how to print."""

    home: Path
    as_json: bool

    def console(self, *, stderr: bool = False) -> Console:
        """A console on standard output; no styles at all off a terminal or under NO_COLOR."""
        from rich.console import Console

        class Piped(Console):
            def on_broken_pipe(self) -> None:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))  # main() knows what to do

        stream = sys.stderr if stderr else sys.stdout
        plain = bool(os.environ.get("NO_COLOR")) or not stream.isatty()
        console = Piped(file=stream, color_system=None if plain else "auto", highlight=False, markup=False, emoji=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = _UNMEASURED_COLUMNS
        return console

    def open(self, profile: str, backend: Backend = "compiled") -> Book:
        """The book of a profile; what is wrong in files it does not depend on is said in a line, and stops nothing."""
        from engine.analysis.request import open_book

        book = open_book(self.home, profile, backend)
        self.warn(book)
        return book

    def warn(self, book: Book) -> None:
        """Say on standard error in a line what is wrong in files that a book does not depend on."""
        from engine.analysis.report import brief

        if line := brief(book.rulebook.warnings, self.home):
            click.echo(line, err=True)

    def print_json(self, value: Any) -> None:
        """One JSON value, indented."""
        from engine.analysis.report import as_json

        click.echo(as_json(value))


class _Commands(click.Group):
    """The group: what the engine raises on purpose becomes text (or JSON) and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            ctx.exit(SIGNALLED + signal.SIGINT)
        except Exception as error:
            code = _report_error(error, _session(ctx))
            if code is None:  # a defect, or what main() knows
                raise
            ctx.exit(code)


def _report_error(error: Exception, session: Session) -> int | None:
    """Print what was raised on purpose, and return the exit code; None for anything else."""
    from engine.analysis.request import RequestError
    from engine.journal.errors import JournalError
    from engine.language.findings import LoadError, SluiceError
    from engine.market.errors import MarketDataError, MarketError
    from engine.reload.errors import BundleError
    from engine.routing.chain import MissingPolicyError
    from engine.routing.effectiveness import TelemetryError
    from engine.venues.errors import VenueError

    match error:
        case LoadError():
            _report_load(error, session)
            return FOUND
        case BundleError():
            _report_request(RequestError(error.message, error.help), session)
            return FOUND
        case MarketDataError() | JournalError() | TelemetryError() | MissingPolicyError():
            placed = str(error).partition("\n")[0]
            _report_request(RequestError(placed, error.help), session)
            return FOUND
        case MarketError() | VenueError() | InitError():
            _report_request(RequestError(error.message, error.help), session)
            return USAGE
        case SluiceError():
            told = RequestError(getattr(error, "message", str(error)), getattr(error, "help", ""))
            _report_request(told, session)
            return USAGE
        case OSError(filename=str() | Path() as path, strerror=str(reason)):
            _report_request(RequestError(f"`{path}`: {reason.lower()}"), session)
            return USAGE
    return None


def _session(ctx: click.Context) -> Session:
    return ctx.obj if isinstance(ctx.obj, Session) else Session(find_home(ctx.params.get("home")), as_json=False)


def _report_load(error: LoadError, session: Session) -> None:
    from engine.analysis.diff.sides import SideError
    from engine.analysis.report import finding_json, print_findings
    from engine.language.load import read_files

    if session.as_json:
        session.print_json({"findings": [finding_json(finding) for finding in error.findings]})
        return
    console = session.console(stderr=True)
    if isinstance(error, SideError):
        print_findings(console, error.findings, error.sources, home=None)
        return
    print_findings(console, error.findings, read_files(session.home).sources, session.home)


def _report_request(error: RequestError, session: Session) -> None:
    from engine.printing import printable

    if session.as_json:
        session.print_json({"error": error.message, "help": error.help})
        return
    click.echo(f"error: {printable(error.message)}", err=True)
    if error.help:
        click.echo(f"  help: {printable(error.help)}", err=True)


class _Finite(click.FloatRange):
    """A number in a range; NaN, which no comparison refuses, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail("NaN is no number.", param, ctx)
        return number


class _Folder(click.Path):
    """A folder's path, which is not empty: `--home "$UNSET"` must not mean the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty.", param, ctx)
        return super().convert(value, param, ctx)


def home_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--home`, which may stand before or after the command's name."""
    return click.option(
        "--home",
        type=_Folder(path_type=Path),
        metavar="DIR",
        help="Folder that holds rules/, policies/ and profiles/. Default: the working directory if it holds a "
        "profiles/, else the shipped set.",
    )(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`, which every command has."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def command(name: str, short: str, of: click.Group | None = None) -> Callable[[Callable[..., int]], click.Command]:
    """A command with the options all of them have; the function gets a `Session` and returns the exit code.

    `of` is the group that it belongs to, by default `sluice` itself.
    """

    def decorate(function: Callable[..., int]) -> click.Command:
        return (of or sluice).command(name, short_help=short)(home_option(json_option(_in_session(function))))

    return decorate


def _in_session(function: Callable[..., int]) -> Callable[..., None]:
    """Give a function its session; an option that all commands have may stand before a command's name as well."""

    @functools.wraps(function)
    def run(home: Path | None, as_json: bool, **arguments: Any) -> None:
        ctx = click.get_current_context()
        session = Session(find_home(home or _given_before("home")), as_json or bool(_given_before("as_json")))
        ctx.find_root().obj = session
        ctx.exit(function(session, **arguments))

    return run


def _given_before(name: str) -> Any:
    """The value of an option that was given to a group, before the command's name."""
    ctx = click.get_current_context().parent
    while ctx is not None:
        if ctx.params.get(name) is not None:
            return ctx.params[name]
        ctx = ctx.parent
    return None


def _complete_profile(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from engine.language.load import profile_names

    given = ctx.params.get("home") or ctx.find_root().params.get("home")
    return [CompletionItem(name) for name in profile_names(find_home(given)) if name.startswith(incomplete)]


def _complete_type(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from engine.routing.evidence.story import TYPES

    return [CompletionItem(name) for name in TYPES if name.startswith(incomplete)]


profile_option = click.option(
    "-p", "--profile", required=True, metavar="PROFILE", shell_complete=_complete_profile, help="The profile to load."
)
policy_option = click.option(
    "--policy", default="routing", show_default=True, metavar="NAME", help="The policy to run."
)
facts_argument = click.argument("facts", metavar="FACTS", type=click.Path())


class _Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in later Clicks only
    """A value that a function of the engine reads; what that finds wrong is what the user is told."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


def _parse_time(text: str) -> int:
    from engine.market import MarketError, parse_time

    try:
        return parse_time(text)
    except MarketError as error:
        raise ValueError(f"{error.message}: {error.help}") from None


def _parse_fsync(text: str) -> FsyncPolicy:
    from engine.journal.writer import FsyncPolicy

    return FsyncPolicy.parse(text)


def _parse_faults(text: str) -> Faults:
    from engine.venues.fault_spec import parse_faults

    return parse_faults([text])


def _parse_symbols(text: str) -> tuple[str, ...]:
    symbols = tuple(dict.fromkeys(symbol.strip() for symbol in text.split(",")))
    if not all(symbols):
        raise ValueError(f"`{text}` names no symbol somewhere: write `BTCUSDT,ETHUSDT`")
    return symbols


def _parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"`{text}` is no address: write `127.0.0.1:7077`")
    return host, int(port)


def _parse_questions(text: str) -> tuple[Question, ...]:
    from engine.analysis.proofs import read_questions

    return read_questions(text)


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"`{text}` is no number of seconds") from None
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError(f"`{text}` is not between 0 and {_LONGEST_S:,.0f} seconds")
    return seconds


_TIME = _Parsed("time", _parse_time)
_SECONDS = _Parsed("seconds", _parse_seconds)
_LONGEST_S = 1e6
"""More than eleven days; the solver counts milliseconds in 32 bits."""
_MARKET_OPTIONS = (
    click.argument("files", metavar="[FILES]...", nargs=-1, type=click.Path(exists=True, path_type=Path)),
    click.option(
        "--feed",
        "feeds",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        metavar="PATH",
        help="A file or folder of market data, as FILES; may be given several times.",
    ),
    click.option(
        "--symbols",
        type=_Parsed("symbols", _parse_symbols),
        metavar="A,B",
        help="The symbols to take. Default: all of FILES, else of the latest recording.",
    ),
    click.option(
        "--from", "from_ms", type=_TIME, metavar="TIME", help="Begin there: 2024-08-08, or with T23:55 (UTC)."
    ),
    click.option("--to", "to_ms", type=_TIME, metavar="TIME", help="End before it."),
    click.option("--generated", is_flag=True, help="Generate the market, even where recordings are present."),
    click.option("--seed", default=7, show_default=True, metavar="N", help="Seed of everything that is made up."),
    click.option(
        "--exchange-info",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Binance's exchangeInfo, for ticks and steps. Default: assumed from the market.",
    ),
    click.option(
        "--queue",
        type=click.Choice(["pessimistic", "optimistic"]),
        default="pessimistic",
        show_default=True,
        help="What stands ahead of a resting order: all that is visible, or nothing.",
    ),
    click.option(
        "--faults",
        type=_Parsed("faults", _parse_faults),
        metavar="LIST",
        help="What goes wrong, how often: place.timeout=0.01,late_ms=500.",
    ),
    click.option(
        "--speed",
        type=_Finite(min=0.001),
        metavar="X",
        help="Go X times as fast as the market did. Default: as fast as possible.",
    ),
)


def market_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What says which market goes by, and what the paper venue is like that trades it."""
    for option in reversed(_MARKET_OPTIONS):
        function = option(function)
    return function


def _open_market(
    seed: int,
    paths: Sequence[Path],
    symbols: tuple[str, ...] | None,
    from_ms: int | None,
    to_ms: int | None,
    *,
    generated: bool,
) -> MarketSource:
    """The market that was asked for, or else the one there is."""
    from engine.market import Choice
    from engine.routing.sessions.source import open_market
    from engine.routing.shape import SessionShape

    if paths and generated:
        raise click.UsageError("market data and --generated exclude each other.")
    return open_market(
        SessionShape(seed=seed), paths, generated=generated, choice=Choice(symbols or (), from_ms, to_ms)
    )


def logs_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--logs`, the folder that sessions write to."""
    return click.option(
        "--logs",
        type=_Folder(path_type=Path),
        metavar="DIR",
        help="Folder of the journal and its views. Default: logs/ in the home.",
    )(function)


def _logs(session: Session, given: Path | None) -> Path:
    """The folder that was named, else that of the home: where one was named it stays that, also while it is away."""
    home = click.get_current_context().params.get("home") or _given_before("home")
    return given or _given_before("logs") or find_logs(session.home, is_named=home is not None)


@dataclass(frozen=True)
class ServerChoice:
    """How a server was asked for."""

    host: str
    port: int
    token_file: Path | None
    names: tuple[str, ...]
    proxies: tuple[str, ...]
    log_format: LogFormat

    def options(self, session: Session, logs: Path) -> ServeOptions:
        """The options of the server; refused where the extra is not installed."""
        from engine.analysis.request import require_extra

        require_extra("nicegui", "web")
        from engine.web.serve import ServeOptions

        return ServeOptions(
            home=session.home,
            logs=logs,
            host=self.host,
            port=self.port,
            token_file=self.token_file,
            names=self.names,
            proxies=self.proxies,
            log_format=self.log_format,
            as_json=session.as_json,
        )


_SERVER_OPTIONS = (
    click.option(
        "--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Where to listen; others need a token."
    ),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=7070,
        show_default=True,
        metavar="PORT",
        help="The port to listen at; 0 for one that is free.",
    ),
    click.option(
        "--token-file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A file that holds the token. Default: SLUICE_TOKEN, if it is set.",
    ),
    click.option(
        "--allow-host",
        "names",
        multiple=True,
        metavar="NAME",
        help="A host name by which others reach it: needs a token. May be given several times.",
    ),
    click.option(
        "--proxy",
        "proxies",
        multiple=True,
        metavar="ADDRESS",
        help="A proxy in front, whose X-Forwarded headers are believed: needs a token. May be given several times.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["console", "json"]),
        default="console",
        show_default=True,
        help="What is logged on standard error: text, or a JSON object a line with each event of note.",
    ),
)


def server_options(function: Callable[..., int]) -> Callable[..., int]:
    """What says where a server listens, and who may use it; the function gets it as `server`."""

    @functools.wraps(function)
    def packed(
        session: Session,
        host: str,
        port: int,
        token_file: Path | None,
        names: tuple[str, ...],
        proxies: tuple[str, ...],
        log_format: LogFormat,
        **arguments: Any,
    ) -> int:
        return function(session, server=ServerChoice(host, port, token_file, names, proxies, log_format), **arguments)

    for option in reversed(_SERVER_OPTIONS):
        packed = option(packed)
    return packed


_OF_A_SERVER = ("host", "port", "token_file", "names", "proxies", "log_format")
"""Options of `run` that only a server has."""


def span_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--since` and `--until`, a span of a journal."""
    until = click.option("--until", "until_ms", type=_TIME, metavar="TIME", help="Only what was before.")
    since = click.option(
        "--since", "since_ms", type=_TIME, metavar="TIME", help="Only from there on: 2024-08-08, or with T23:55 (UTC)."
    )
    return since(until(function))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sluice-router", prog_name="sluice")
@home_option
def sluice(home: Path | None) -> None:
    """Decide for every order, maker or taker, from rules in YAML, and say which rule decided.

    Exit codes: 0 fine, 1 findings, 2 usage, 130 interrupted, 141 output closed.
    """


def proving_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--timeout`, `--budget` and `--no-cache`, for what asks the solver all there is to ask."""
    budget = click.option(
        "--budget",
        "budget_s",
        type=_SECONDS,
        metavar="SECONDS",
        help="How long all questions may take together; what is not asked in time is undecided.",
    )
    keep = click.option(
        "--cache/--no-cache", default=True, help="Use answers of before where nothing changed. Default."
    )
    return solver_timeout(budget(keep(function)))


def solver_timeout(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--timeout`, for what asks the solver."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=_SECONDS,
        default=QUESTION_TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="How long the solver may take for one question.",
    )(function)


def _proving(timeout_s: float, budget_s: float | None, *, cache: bool) -> Proving:
    from engine.analysis.check import Proving

    return Proving(timeout_s, find_cache() / "proofs" if cache else None, _proving_steps, budget_s)


def _proving_steps(profile: str) -> Steps:
    from engine.printing import Steps

    return Steps(f"proving {profile}", "questions", sys.stderr)


@command("check", "Check profiles and everything they depend on.")
@click.argument("profiles", metavar="[PROFILE]...", nargs=-1, shell_complete=_complete_profile)
@click.option(
    "--format", "style", type=click.Choice(["text", "json", "github", "sarif"]), help="How to print. Default: text."
)
@click.option(
    "--prove/--no-prove",
    default=True,
    help="Prove the invariants and look for loose ends. On by default; needs the extra `prove`.",
)
@proving_options
@click.option("--cross-check", "cross", is_flag=True, help="Hold the rules against a second engine, durable-rules.")
def check(
    session: Session,
    profiles: tuple[str, ...],
    style: str | None,
    prove: bool,
    timeout_s: float,
    budget_s: float | None,
    cache: bool,
    cross: bool,
) -> int:
    """Check profiles, by default all that run policies, and every file of the home.

    Prints each finding with its place and what helps, then a line for each profile. Errors and warnings fail the check,
    notes do not.
    """
    from engine.analysis.check import check_home
    from engine.analysis.report import check_json, github, print_check, sarif

    if session.as_json and style not in (None, "json"):
        raise click.UsageError(f"--json and --format {style} exclude each other.")
    report = check_home(
        session.home, profiles, _proving(timeout_s, budget_s, cache=cache) if prove else None, cross=cross
    )
    match style or ("json" if session.as_json else "text"):
        case "json":
            session.print_json(check_json(report))
        case "sarif":
            session.print_json(sarif(report))
        case "github":
            click.echo(github(report), nl=False)
        case _:
            print_check(session.console(), report)
    return FOUND if report.failed else FINE


@command("prove", "Prove the invariants of a profile, and look for loose ends.")
@click.argument("profile", metavar="PROFILE", shell_complete=_complete_profile)
@click.option("--all", "every", is_flag=True, help="List what holds, too.")
@click.option("--trace", is_flag=True, help="Show what breaks an invariant with its whole decisions.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), help="How to print. Default: text.")
@click.option(
    "--only",
    type=_Parsed("questions", _parse_questions),
    default=",".join(QUESTIONS),
    metavar="KINDS",
    help=f"What to ask, with commas between: {', '.join(QUESTIONS)}. Default: everything.",
)
@proving_options
def prove(
    session: Session,
    profile: str,
    every: bool,
    trace: bool,
    style: str | None,
    only: tuple[Question, ...],
    timeout_s: float,
    budget_s: float | None,
    cache: bool,
) -> int:
    """Prove the invariants of a profile for every input, and look for what it holds and nothing needs.

    What does not hold is shown with an input that breaks it, decided by the interpreter. Undecided is not proven. Fails
    if an invariant is refuted, an end is loose, or anything is undecided.
    """
    from engine.analysis.request import require_extra, require_profile

    if session.as_json and style == "text":
        raise click.UsageError("--json and --format text exclude each other.")
    require_profile(session.home, profile)
    require_extra("z3", "prove")
    from engine.analysis.proofs.asking import Budget
    from engine.analysis.proofs.findings import findings_of
    from engine.analysis.proofs.pages import print_proofs, proofs_json
    from engine.analysis.proofs.prove import prove as ask
    from engine.analysis.report import print_findings
    from engine.language.load import Workspace, read_files

    workspace = Workspace(read_files(session.home))
    rulebook = functools.cache(workspace.rulebook)
    how = _proving(timeout_s, budget_s, cache=cache)
    proofs = ask(
        profile,
        rulebook,
        only=only,
        timeout_s=how.timeout_s,
        budget=Budget(how.budget_s),
        cache=how.cache,
        progress=how.progress(profile),
    )
    if session.as_json or style == "json":
        session.print_json(proofs_json(proofs, rulebook))
        return FINE if proofs.clean else FOUND
    console = session.console()
    print_proofs(console, proofs, rulebook, every=every, trace=trace)
    loose = [finding for finding in findings_of([proofs], rulebook) if not finding.code.startswith("invariant.")]
    if loose:
        console.print()
        print_findings(console, loose, workspace.sources, session.home)
    return FINE if proofs.clean else FOUND


@command("decide", "Decide on facts, and say which rule decided.")
@profile_option
@policy_option
@click.option(
    "--backend",
    type=click.Choice(["compiled", "interpreter"]),
    default="compiled",
    show_default=True,
    help="What decides: generated Python, or the interpreter that defines it.",
)
@facts_argument
def decide(session: Session, profile: str, policy: str, backend: str, facts: str) -> int:
    """Decide on FACTS: a JSON object, JSON lines, a CSV or Parquet table, or - for standard input.

    One object prints a summary, several a line each; --json prints each record on a line of its own. A row that cannot
    be decided is reported with its place, and the others are still decided.
    """
    from engine.analysis.pages import print_decision, print_decision_head, print_decision_line
    from engine.analysis.tables import read_facts

    book = session.open(profile, "interpreter" if backend == "interpreter" else "compiled")
    book.policy(policy)
    rows = read_facts(facts, _standard_input(), book.rulebook)
    first, second = next(rows, None), next(rows, None)
    several = second is not None
    console = session.console()
    table = several and console.is_terminal and not session.as_json
    if table:
        print_decision_head(console)

    def show(row: Row) -> None:
        decision = book.decide(policy, row.facts)
        if session.as_json:
            click.echo(decision.json())
        elif several:
            print_decision_line(console, row.place, decision, table=table)
        else:
            print_decision(console, decision)

    return _for_each(chain([row for row in (first, second) if row is not None], rows), show, several=several)


@command("explain", "Explain a decision: every step, rule and value.")
@click.option(
    "-p",
    "--profile",
    metavar="PROFILE",
    shell_complete=_complete_profile,
    help="The profile to load; a journaled decision has its own.",
)
@policy_option
@click.option("--decision", "decision_id", metavar="ID", help="A decision of the journal, or the beginning of its id.")
@click.option(
    "--why-not",
    "wish",
    metavar="WISH",
    help="Instead say the smallest change that gives another decision: route=maker, offset_bps<=2.",
)
@click.option("--trace", is_flag=True, help="With --why-not: the explanation too, below the answer.")
@solver_timeout
@logs_option
@click.argument("facts", metavar="[FACTS]", type=click.Path(), required=False)
def explain(
    session: Session,
    profile: str | None,
    policy: str,
    decision_id: str | None,
    wish: str | None,
    trace: bool,
    timeout_s: float,
    logs: Path | None,
    facts: str | None,
) -> int:
    """Explain a decision: every step, rule and condition with the values it saw.

    On FACTS, which are what `decide` takes; several rows give several explanations, each under its place. Or, with
    --decision, one of the journal, under the rulebook version that it was made with. Each rule is matched, not matched,
    unknown (and then matched or skipped, as it says), or not reached.

    With --why-not, what would have to be otherwise is what is shown; --timeout is for changes of facts, and again for
    changes of the profile. --json has both, the explanation and the answer.
    """
    from engine.analysis.explain import explain as explain_facts
    from engine.analysis.explain import explanation_json
    from engine.analysis.tables import read_facts

    if decision_id is not None:
        if facts is not None:
            raise click.UsageError("FACTS and --decision exclude each other.")
        wished = _Wished(wish, trace, timeout_s, session.home)
        return _explain_journaled(session, decision_id, profile, wished, _logs(session, logs))
    if profile is None or facts is None:
        ctx = click.get_current_context()
        missing = next(param for param in ctx.command.params if param.name == ("facts" if profile else "profile"))
        raise click.MissingParameter("Only --decision needs neither", ctx, missing)
    book = session.open(profile, "interpreter")
    book.policy(policy)
    rows = read_facts(facts, _standard_input(), book.rulebook)
    first, second = next(rows, None), next(rows, None)
    several = second is not None
    console = session.console()
    wished = _Wished(wish, trace, timeout_s, session.home)
    asked = wished.of(book, policy)

    def show(row: Row) -> None:
        explanation = explain_facts(book, policy, row.facts)
        if session.as_json:
            number = {"row": int(row.place.rpartition(":")[2])} if several else {}
            shown = {**number, **explanation_json(explanation), **asked.json(row.facts)}
            click.echo(json.dumps(shown, allow_nan=False))
        else:
            asked.print(console, explanation, row.facts, row.place if several else "")

    return _for_each(chain([row for row in (first, second) if row is not None], rows), show, several=several)


@dataclass(frozen=True)
class _Wished:
    """What `--why-not` asks, if it was given, and how."""

    wish: str | None
    trace: bool
    timeout_s: float
    home: Path

    def of(self, book: Book, policy: str) -> _Asked:
        """The same of a policy."""
        if self.wish is None:
            return _Asked(None, self, book, policy)
        from engine.analysis.request import require_extra

        require_extra("z3", "prove")
        from engine.analysis.why_not.wish import read_wish

        return _Asked(read_wish(book.policy(policy), self.wish), self, book, policy)


@dataclass(frozen=True)
class _Asked:
    """A wish for a policy of a book; none asks nothing, and leaves explanations as they are."""

    wish: Wish | None
    how: _Wished
    book: Book
    policy: str

    def json(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What an explanation's object has besides."""
        if self.wish is None:
            return {}
        from engine.analysis.why_not.pages import why_not_json

        return {"why_not": why_not_json(self._answer(self.wish, facts))}

    def print(self, console: Console, explanation: Explanation, facts: Mapping[str, Any], title: str = "") -> None:
        """The answer, and the explanation where it is wanted; without a wish the explanation."""
        from engine.analysis.pages import print_explanation

        if self.wish is None:
            print_explanation(console, explanation, title)
            return
        from engine.analysis.why_not.pages import print_why_not

        answer = self._answer(self.wish, facts)
        print_why_not(console, answer, explanation.decision.reason, self.book.profile, title)
        if self.how.trace:
            console.print()
            print_explanation(console, explanation)

    def _answer(self, wish: Wish, facts: Mapping[str, Any]) -> WhyNot:
        from engine.analysis.why_not.ask import rulebooks_of, why_not

        others = rulebooks_of(self.how.home)
        return why_not(self.book, self.policy, facts, wish, timeout_s=self.how.timeout_s, others=others)


def _explain_journaled(session: Session, decision_id: str, profile: str | None, wished: _Wished, logs: Path) -> int:
    """Explain a decision that was made; one that would be another today is a finding."""
    from engine.analysis.explain import explain as explain_facts
    from engine.analysis.explain import explanation_json
    from engine.analysis.request import RequestError
    from engine.journal.events import Decided
    from engine.journal.reader import read
    from engine.routing.evidence.rulebooks import Rulebooks, decide_again, find_decision
    from engine.routing.sessions.listing import journal_in

    event = find_decision(read(journal_in(logs), types=(Decided,)), decision_id)
    kept = decide_again(event, Rulebooks(logs))
    if profile not in (None, kept.book.profile):
        raise RequestError(f"it was decided under the profile `{kept.book.profile}`, not `{profile}`", "leave out -p")
    explanation = explain_facts(kept.book, event.policy, kept.facts)
    asked = wished.of(kept.book, event.policy)
    if session.as_json:
        shown = {"differs": list(kept.differs), **explanation_json(explanation)}
        click.echo(json.dumps({**shown, **asked.json(kept.facts)}, allow_nan=False))
    else:
        if kept.warning:
            click.echo(f"warning: {kept.warning}", err=True)
        asked.print(session.console(), explanation, kept.facts, kept.title)
    return FOUND if kept.differs else FINE


def _standard_input() -> IO[bytes]:
    """Standard input, empty where it is closed."""
    return sys.stdin.buffer if sys.stdin is not None else io.BytesIO()


def _for_each(rows: Iterable[Row | BadRow], show: Callable[[Row], None], *, several: bool) -> int:
    """Show row by row. A bad one among several is reported on standard error and costs the exit code 1."""
    from engine.analysis.request import RequestError
    from engine.analysis.tables import BadRow
    from engine.backends.facts import FactsError
    from engine.printing import printable

    code = FINE
    for row in rows:
        if isinstance(row, BadRow):
            problem = RequestError(f"{row.place}: {row.message}", row.help)
        else:
            try:
                show(row)
            except FactsError as error:
                problem = RequestError(f"{row.place}: {error.message}", error.help)
            else:
                continue
        if not several:
            raise problem
        click.echo(printable(str(problem)), err=True)
        code = FOUND
    return code


@command("diff", "Show what differs between two profiles, homes or revisions.")
@click.argument("a", metavar="A", shell_complete=_complete_profile)
@click.argument("b", metavar="B", shell_complete=_complete_profile)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "markdown", "github"]),
    help="How to print. Default: text.",
)
@click.option("--all", "every", is_flag=True, help="List as well where the why alone differs.")
@click.option(
    "--fail-on",
    type=click.Choice(["never", "any", "unexpected"]),
    default="never",
    show_default=True,
    help="Exit with 1 where anything differs, or where a decision does that no `diverges` entry says is meant.",
)
@click.option(
    "--behaviour/--no-behaviour",
    default=True,
    help="Find every decision that differs. On by default; needs the extra `prove`.",
)
@click.option("--policy", "policies", metavar="NAME", multiple=True, help="Compare decisions of this policy alone.")
@click.option(
    "--history",
    metavar="PATH",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Weigh each transition by real decisions: a journal, or a table of facts (JSON lines, CSV, Parquet).",
)
@solver_timeout
def diff(
    session: Session,
    a: str,
    b: str,
    style: str | None,
    every: bool,
    fail_on: FailOn,
    behaviour: bool,
    policies: tuple[str, ...],
    history: tuple[Path, ...],
    timeout_s: float,
) -> int:
    """Show what differs from A to B: values, rules, facts, symbol groups, invariants, and every decision.

    A and B are profiles of the home (prod), of another one (path/to/home:prod, path/to/home/profiles/prod.yaml), or as
    they were at a git revision: sluice diff git:HEAD:prod prod. Layout, comments and docs make no difference.
    """
    from engine.analysis.diff.annotations import github
    from engine.analysis.diff.markdown import markdown
    from engine.analysis.diff.pages import print_diff
    from engine.analysis.diff.report import diff_json, diff_sides, fails
    from engine.analysis.diff.sides import open_sides, warnings_of
    from engine.analysis.diff.unexpected import closing
    from engine.analysis.report import brief
    from engine.printing import printable

    if session.as_json and style not in (None, "json"):
        raise click.UsageError(f"--json and --format {style} exclude each other.")
    if style == "json":  # what goes wrong is told in the same way
        session = click.get_current_context().find_root().obj = replace(session, as_json=True)
    sides = open_sides(a, b, session.home)
    if line := brief(warnings_of(sides), None):
        click.echo(line, err=True)
    found = diff_sides(*sides)
    required = bool(policies or history or fail_on == "unexpected")
    if required and not behaviour:
        raise click.UsageError("--no-behaviour leaves nothing for --policy, --history and --fail-on unexpected.")
    if required or (behaviour and find_spec("z3") is not None):
        found = _with_behaviour(found, policies, history, timeout_s)
    elif behaviour:
        click.echo("note: what is decided differently needs the extra `prove`; --no-behaviour leaves it out", err=True)
    marked = fail_on == "unexpected"
    last = closing(found) if marked else None
    style = style or ("json" if session.as_json else "text")
    match style:
        case "json":
            session.print_json(diff_json(found, with_whys=every))
        case "markdown":
            click.echo(markdown(found, with_whys=every, marked=marked), nl=False)
        case "github":
            click.echo(github(found, with_whys=every), nl=False)
        case _:
            print_diff(session.console(), found, with_whys=every, marked=marked)
    if last is not None and style in ("json", "github"):  # programs read the output: why it is 1 stands beside it
        click.echo(printable(last.text), err=True)
    return FOUND if fails(found, fail_on) else FINE


def _with_behaviour(found: Diff, policies: tuple[str, ...], history: tuple[Path, ...], timeout_s: float) -> Diff:
    """The diff with its transitions, weighed where there is history."""
    from engine.analysis.diff.report import require_shared
    from engine.analysis.request import require_extra
    from engine.printing import Steps

    require_shared(found, policies)
    require_extra("z3", "prove")
    from engine.analysis.diff.behaviour import behaviour
    from engine.analysis.diff.weigh import weigh

    rulebooks = found.a.rulebook, found.b.rulebook
    asked = behaviour(
        *rulebooks, policies=policies or None, timeout_s=timeout_s, progress=Steps("comparing", "decisions", sys.stderr)
    )
    if history:
        asked = weigh(asked, *rulebooks, chain.from_iterable(_past(path, rulebooks[0]) for path in history))
    return replace(found, behaviour=asked)


def _past(path: Path, rulebook: Rulebook) -> Iterable[Past]:
    """What was decided on once, out of a journal or a table."""
    from engine.analysis.diff.weigh import past_rows
    from engine.analysis.tables import read_facts
    from engine.routing.evidence.past import is_journal, past_decisions

    if is_journal(path):
        yield from past_decisions(path)
    else:
        yield from past_rows(read_facts(str(path), _standard_input(), rulebook))


@command("show", "Show policies, rule sets, rules and values.")
@profile_option
@click.argument("what", required=False)
@click.option("--values", is_flag=True, help="Every value with its unit, range, and each place that gives it.")
@click.option("--symbol", metavar="SYMBOL", help="Values in force for this symbol.")
@click.option("--python", is_flag=True, help="The Python generated for a policy.")
@click.option("--policy", default="routing", show_default=True, metavar="NAME", help="The policy for --python.")
def show(
    session: Session, profile: str, what: str | None, values: bool, symbol: str | None, python: bool, policy: str
) -> int:
    """Show what a profile runs: its policies, rule sets and windows, or WHAT.

    WHAT is a policy (its steps), a rule set (its rules and values), a rule as set.rule, a parameter as set.param, a
    window, or `windows` for all of them.
    """
    from engine.analysis.pages import print_overview, print_shown
    from engine.analysis.show import as_plain, overview
    from engine.analysis.show import show as show_named

    if python and (what or values):
        raise click.UsageError("--python goes with --policy and --symbol alone.")
    book = session.open(profile)
    if python:
        source = book.compiled.policy(policy, symbol).source
        if session.as_json:
            session.print_json({"policy": policy, "symbol": symbol, "python": source})
        else:
            click.echo(source.rstrip())
        return FINE
    if what is None and not values:
        view = overview(book.rulebook)
        if session.as_json:
            session.print_json(as_plain(view))
        else:
            print_overview(session.console(), view)
        return FINE
    shown = show_named(book.rulebook, what, symbol)
    if session.as_json:
        session.print_json(as_plain(shown))
    else:
        print_shown(session.console(), shown)
    return FINE


def reload_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--reload`, `--reload-gate`, `--rules` and `--rules-key`: how other rulebooks come into a running session."""
    options = (
        click.option(
            "--reload/--no-reload",
            "reloads",
            default=None,
            help="Let saved rules decide while it runs. Default: at a venue, with --speed and with --web.",
        ),
        click.option(
            "--reload-gate",
            "gate",
            type=click.Choice(_GATES),
            help="What keeps a change out: unproven invariants (default), new warnings, or only what does not load.",
        ),
        click.option(
            "--rules", metavar="ADDRESS", help="Poll this address for bundles (https:…, file:…), and watch no home."
        ),
        click.option(
            "--rules-key",
            "rules_keys",
            type=click.Path(path_type=Path),
            multiple=True,
            metavar="FILE",
            help="A public key; bundles must be signed by one of them. Or $SLUICE_PUBLIC_KEY.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _reload(
    reloads: bool | None, gate: Gate | None, rules: str | None, rules_keys: tuple[Path, ...], *, live: bool
) -> ReloadOptions | None:
    """How a session reloads, if it does."""
    if reloads is False and rules is not None:
        raise click.UsageError("--rules and --no-reload exclude each other.")
    if rules is not None and not rules.strip():
        raise click.UsageError("--rules names no address.")
    if rules_keys and rules is None:
        raise click.UsageError("--rules-key goes with --rules alone.")
    if reloads is None and rules is None:  # nobody asked for it
        reloads = live and importlib.util.find_spec("watchfiles") is not None
    if reloads is False:
        if gate is not None:
            raise click.UsageError("--reload-gate goes with --reload or --rules: this session does not reload.")
        return None
    from engine.analysis.request import require_extra
    from engine.reload.keys import public_keys
    from engine.routing.sessions.reloading.options import ReloadOptions

    require_extra("watchfiles", "live")
    if gate == "proofs":
        require_extra("z3", "prove")
    if gate is None and importlib.util.find_spec("z3") is None:
        gate = "findings"
        click.echo("note: changes are let in unproven: that needs pip install 'sluice-router[prove]'", err=True)
    elif gate in ("findings", "none"):
        click.echo(f"note: --reload-gate {gate} proves nothing: what breaks an invariant may decide", err=True)
    keys = public_keys(rules_keys) if rules is not None else ()
    return ReloadOptions(gate=gate or "proofs", address=rules, keys=keys)


@command("status", "Say what a session decides by, and what became of the last change.")
@logs_option
def status(session: Session, logs: Path | None) -> int:
    """Say which rulebook decides, since when and from where, what became of the last change, and how a candidate does.

    Fails where no session runs, the last change was refused, the last good rulebook stands in for broken files, or the
    home or the address gives nothing that could decide.
    """
    import msgspec

    from engine.reload.pages import print_status
    from engine.reload.status import is_running, read_status

    found = read_status(_logs(session, logs))
    runs = is_running(found)
    if session.as_json:
        session.print_json({**msgspec.to_builtins(found), "is_running": runs})
    else:
        print_status(session.console(), found, time.time_ns() // 1_000_000)
    refused = found.attempt is not None and found.attempt.verdict == "refused"
    return FOUND if refused or found.last_good or found.unavailable is not None or not runs else FINE


@command("history", "List the rulebooks that decided, when, by whom, and what changed.")
@click.option("-p", "--profile", metavar="PROFILE", help="Of this profile alone.")
@logs_option
def history(session: Session, profile: str | None, logs: Path | None) -> int:
    """List the rulebooks that decided here, oldest first: when, by whom, what, and how many decisions.

    Decisions are counted as far as the journal goes back.
    """
    import msgspec

    from engine.journal.reader import read
    from engine.reload.history import COUNTED, History
    from engine.reload.pages import print_history
    from engine.routing.sessions.start import JOURNAL

    place = _logs(session, logs)
    journal = place / JOURNAL
    events = read(journal, types=COUNTED, on_bad=lambda _: None) if journal.is_dir() else ()
    spans, runs = History(place).spans(profile, events), _runs(place)
    if session.as_json:
        session.print_json(
            [
                {
                    **msgspec.to_builtins(span.entry),
                    "until_ms": span.until_ms,
                    "state": span.state(runs=runs),
                    "decisions": span.decisions,
                }
                for span in spans
            ]
        )
    else:
        print_history(session.console(), spans, profile, runs=runs)
    return FINE


def _runs(logs: Path) -> bool:
    """Whether a session that reloads is at work in a folder."""
    from engine.reload.errors import ReloadError
    from engine.reload.status import is_running, read_status

    try:
        return is_running(read_status(logs))
    except ReloadError:
        return False


def _ask_session(session: Session, logs: Path | None, action: Action, **given: Any) -> int:
    """Ask the session of a `logs` folder for something, and print its answer."""
    from engine.reload.errors import ReloadError
    from engine.reload.requests import Request, ask, new_id
    from engine.reload.status import read_status
    from engine.reload.who import user

    place = _logs(session, logs)
    if not _runs(place):
        raise ReloadError(
            f"no session that reloads runs in `{place}`", "start one: `sluice run --reload`, or name its folder: --logs"
        )
    status = read_status(place)
    if action == "rollback":  # which is meant from there
        given["decides"] = status.version
    answer = ask(place, Request(id=new_id(), action=action, who=user(), **given), process=status.process)
    if session.as_json:
        session.print_json({"done": answer.done, "line": answer.line, "help": answer.help})
    elif answer.done:
        click.echo(answer.line)
    else:
        click.echo(f"error: {answer.line}" + (f"\n  help: {answer.help}" if answer.help else ""), err=True)
    return FINE if answer.done else FOUND


@command("rollback", "Have a running session decide by an earlier rulebook again.")
@click.argument("version", metavar="[VERSION]", required=False)
@logs_option
def rollback(session: Session, version: str | None, logs: Path | None) -> int:
    """Have the running session decide by an earlier rulebook again: VERSION, or the one before.

    It has to pass the gate as a change does. The files stay as they are: once they say something else they are looked
    at like any other change.
    """
    if version is not None and not version.strip():
        raise click.UsageError("VERSION is empty.")
    return _ask_session(session, logs, "rollback", version=version)


@command("shadow", "Try a candidate beside what a running session decides by.")
@click.argument("candidate", metavar="[CANDIDATE]", required=False)
@click.option("--replace", "replaces", is_flag=True, help="Try it in the place of the one that is tried.")
@click.option("--end", is_flag=True, help="No longer try one.")
@logs_option
def shadow(session: Session, candidate: str | None, replaces: bool, end: bool, logs: Path | None) -> int:
    """Have the running session decide every intent by CANDIDATE too, and execute only what is in force.

    CANDIDATE is a side as `sluice diff` takes it: a profile, HOME:PROFILE, or git:REV:PROFILE. `sluice status` counts
    how often it would have decided otherwise; the journal holds both decisions.

    There is one at a time: while one is tried another is refused, unless --replace is given. One that decides for some
    symbols has to be ended first.
    """
    if end and candidate is None and not replaces:
        return _ask_session(session, logs, "end")
    if end or not candidate:
        raise click.UsageError("Name a candidate, or say --end alone.")
    side, home = _absolute_side(candidate), str(session.home.absolute())
    return _ask_session(session, logs, "shadow", candidate=side, home=home, replaces=replaces)


def _absolute_side(side: str) -> str:
    """A side whose path, if it has one, does not hang on where this command runs."""
    if side.startswith("git:"):
        return side
    place, colon, profile = side.rpartition(":")
    if colon:
        return f"{Path(place).absolute()}:{profile}"
    return str(Path(side).absolute()) if side.endswith(".yaml") or os.sep in side else side


@command("promote", "Let the candidate of a running session decide, if the rules are for it.")
@click.option(
    "--symbols",
    type=_Parsed("symbols", _parse_symbols),
    metavar="NAMES",
    help="For these symbols or symbol groups alone, with commas between them.",
)
@logs_option
def promote(session: Session, symbols: tuple[str, ...] | None, logs: Path | None) -> int:
    """Let the candidate decide, if the policy `rollout` lets it: tried often enough, and deciding nearly alike.

    With --symbols it decides for these alone, until a guard of that policy is crossed; then what was in force decides
    for them again.
    """
    return _ask_session(session, logs, "promote", symbols=list(symbols or ()))


@command("run", "Run a trading session over a market, recorded or generated.")
@click.option(
    "-p",
    "--profile",
    default="prod",
    show_default=True,
    metavar="PROFILE",
    shell_complete=_complete_profile,
    help="The profile to load.",
)
@market_options
@click.option(
    "--intents",
    default="signals",
    show_default=True,
    metavar="FILE|-|signals",
    help="Who wants to trade: JSON lines of a file or of standard input, or a made-up strategy.",
)
@click.option(
    "--telemetry",
    metavar="FILE|generated|none",
    help="Effectiveness to start from. Default: generated; with --venue none.",
)
@click.option("--redate", is_flag=True, help="Move the samples of a telemetry file to just before this market.")
@click.option(
    "--risk",
    type=click.Choice(["normal", "cautious", "defensive", "none"]),
    default="normal",
    show_default=True,
    help="The risk mode that is assumed; none where the intents say it.",
)
@click.option(
    "--every",
    "every_s",
    type=_Finite(min=0.001, max=86400),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Mean time between two made-up intents of a symbol.",
)
@click.option(
    "--nav",
    type=_Finite(min=1, max=1e12),
    default=1e6,
    metavar="USD",
    help="Net asset value at the start. Default: 1,000,000.",
)
@click.option("--limit-quotes", type=click.IntRange(min=1), metavar="N", help="Stop after N quotes. Default: all.")
@click.option("--end-with-intents", is_flag=True, help="Stop when every intent has ended and none is to come.")
@click.option("--no-baselines", is_flag=True, help="Leave out the simple ways of routing that costs are compared with.")
@click.option(
    "--venue",
    type=_Parsed("address", _parse_address),
    metavar="HOST:PORT",
    help="Trade at a running `sluice paper`, over its market; goes on from the journal.",
)
@logs_option
@click.option(
    "--fsync",
    type=_Parsed("fsync", _parse_fsync),
    default="never",
    show_default=True,
    metavar="always|10ms|never",
    help="How much of the journal outlives a power loss; all of it outlives a killed process.",
)
@click.option("-v", "--verbose", is_flag=True, help="A line for each intent when it ends.")
@reload_options
@click.option("--web", is_flag=True, help="Show it on a web page and take intents over HTTP, until Ctrl-C.")
@server_options
def run(
    session: Session,
    profile: str,
    files: tuple[Path, ...],
    feeds: tuple[Path, ...],
    symbols: tuple[str, ...] | None,
    from_ms: int | None,
    to_ms: int | None,
    generated: bool,
    seed: int,
    exchange_info: Path | None,
    queue: Queue,
    faults: Faults | None,
    speed: float | None,
    intents: str,
    telemetry: str | None,
    redate: bool,
    risk: str,
    every_s: float,
    nav: float,
    limit_quotes: int | None,
    end_with_intents: bool,
    no_baselines: bool,
    venue: tuple[str, int] | None,
    logs: Path | None,
    fsync: FsyncPolicy,
    verbose: bool,
    reloads: bool | None,
    gate: Gate | None,
    rules: str | None,
    rules_keys: tuple[Path, ...],
    web: bool,
    server: ServerChoice,
) -> int:
    """Run a trading session: intents are admitted, routed, worked and filled on a paper venue, and all is journaled.

    FILES are quotes, trades or one-minute bars as Binance publishes them, recordings in Parquet, raw messages, or
    folders of these. Without any, recordings beside the checkout (or in $SLUICE_DATA) are taken, and without these a
    market is generated. Ctrl-C cancels what rests and reports; a second one stops at once.
    """
    from engine.analysis.request import require_profile
    from engine.reload.last_good import ran_before
    from engine.routing.sessions.attend import attend, embedded, remote
    from engine.routing.sessions.run_pages import print_end, run_json
    from engine.routing.sessions.run_views import view_for
    from engine.routing.sessions.start import GENERATED, NONE, SessionOptions
    from engine.routing.shape import SessionShape
    from engine.venues.faults import Faults
    from engine.venues.paper import PaperSettings

    beside = _beside(session, server, _logs(session, logs), wanted=web)
    reload = _reload(reloads, gate, rules, rules_keys, live=venue is not None or speed is not None or web)
    # A bundle brings its own; and where a home, or its profile, is away, what ran last stands in.
    if rules is None and not (reload is not None and ran_before(_logs(session, logs), profile)):
        require_profile(session.home, profile)
    options = SessionOptions(
        profile=profile,
        home=session.home,
        logs=_logs(session, logs),
        inbox=None if beside is None else beside.inbox,
        shape=SessionShape(seed=seed, every_s=every_s, limit_quotes=limit_quotes, nav_usd=nav),
        paper=PaperSettings(seed=seed, queue=queue, faults=faults or Faults()),
        exchange_info=exchange_info,
        intents=intents,
        telemetry=telemetry or (NONE if venue is not None else GENERATED),
        redate=redate,
        risk_mode=None if risk == "none" else risk,
        fsync=fsync,
        speed=speed,
        baselines=not no_baselines,
        reload=reload,
        end_with_intents=end_with_intents,
    )
    if venue is None:
        market = _open_market(seed, (*feeds, *files), symbols, from_ms, to_ms, generated=generated)
        opening = embedded(options, market)
    else:
        _refuse_beside("--venue", *_OF_A_MARKET)
        market, opening = None, remote(options, *venue)
    if logging.lastResort is not None:  # which logs where nobody set up anything; a session may go on for days
        dated = logging.Formatter("%(asctime)s UTC %(message)s", "%Y-%m-%d %H:%M:%S")
        dated.converter = time.gmtime
        logging.lastResort.setFormatter(dated)
    console = session.console()
    view = view_for(console, options, market, verbose=verbose, as_json=session.as_json)
    with beside or contextlib.nullcontext():
        attended = attend(opening if beside is None else beside.opening(opening), view, warn=session.warn)
        if session.as_json:
            session.print_json(run_json(options, market, attended))
        else:
            print_end(console, options, attended, find_logs(find_home(None)))
        if beside is not None and attended.signal is None:
            beside.wait()
    if attended.signal is not None:
        return SIGNALLED + attended.signal
    return FOUND if attended.running.lost else FINE


def _beside(session: Session, server: ServerChoice, logs: Path, *, wanted: bool) -> Beside | None:
    """The server beside a session, if one is wanted; its options make no sense without."""
    if wanted:
        options = server.options(session, logs)
        from engine.web.serve import Beside

        return Beside(options, functools.partial(click.echo, err=session.as_json))
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if param.name in _OF_A_SERVER and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} goes with --web alone.")
    return None


_OF_A_MARKET = (
    *("files", "feeds", "symbols", "from_ms", "to_ms", "generated", "exchange_info", "queue", "faults", "speed"),
    "no_baselines",
)
"""Options of `run` that a venue in another process has for itself."""


def _refuse_beside(option: str, *names: str) -> None:
    """Refuse options that were given beside another one."""
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{param.opts[0] if param.opts[0][0] == '-' else 'FILES'} does not go with {option}."
            )


@command("serve", "Serve the API, the metrics and the pages over a journal.")
@profile_option
@logs_option
@server_options
@click.option("--no-prove", is_flag=True, help="Do not prove the invariants in the background.")
def serve(session: Session, profile: str, logs: Path | None, server: ServerChoice, no_prove: bool) -> int:
    """Serve decisions by PROFILE over HTTP, and what the journal of a running session says, until Ctrl-C.

    On this machine alone everybody may read; at another address (--host) a token is needed. To write, it always is.
    """
    from dataclasses import replace

    from engine.analysis.request import require_profile

    require_profile(session.home, profile)
    options = server.options(session, _logs(session, logs))
    from engine.web.serve import serve as run_server

    return run_server(session.open(profile), replace(options, prove=not no_prove), click.echo)


@command("paper", "Run a paper venue as a process of its own.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7077,
    show_default=True,
    metavar="PORT",
    help="The port to listen at; 0 for one that is free.",
)
@market_options
@click.option(
    "--idle-speed",
    type=_Finite(min=0.001),
    default=1.0,
    show_default=True,
    metavar="X",
    help="How fast time goes without --speed while nobody is connected, and after the market.",
)
@click.option("--at-once", is_flag=True, help="Start the market without waiting for somebody to connect.")
def paper(
    session: Session,
    host: str,
    port: int,
    files: tuple[Path, ...],
    feeds: tuple[Path, ...],
    symbols: tuple[str, ...] | None,
    from_ms: int | None,
    to_ms: int | None,
    generated: bool,
    seed: int,
    exchange_info: Path | None,
    queue: Queue,
    faults: Faults | None,
    speed: float | None,
    idle_speed: float,
    at_once: bool,
) -> int:
    """Run a paper venue that outlives its routers: `sluice run --venue HOST:PORT` trades there.

    It replays a market, chosen as `run` chooses one, and keeps orders and positions until Ctrl-C or SIGTERM.
    """
    from engine.venues.faults import Faults
    from engine.venues.paper import PaperSettings
    from engine.venues.serve import ServeOptions, serve
    from engine.venues.server import Pace

    market = _open_market(seed, (*feeds, *files), symbols, from_ms, to_ms, generated=generated)
    options = ServeOptions(
        host=host,
        port=port,
        pace=Pace(speed=speed, idle_speed=idle_speed, at_once=at_once),
        venue=PaperSettings(seed=seed, queue=queue, faults=faults or Faults()),
        exchange_info=exchange_info,
        as_json=session.as_json,
    )
    bars_of = {symbol: market.bars_of(symbol) for symbol in market.feed.symbols}
    return serve(market.feed, options, click.echo, bars_of=bars_of)


@sluice.group(
    "journal",
    short_help="Show what sessions did: last events, filters, an intent's story.",
    invoke_without_command=True,
)
@click.option(
    "-n",
    "--last",
    "count",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="How many of the last events; 0 for all.",
)
@click.option("--symbol", metavar="SYMBOL", help="Only events of this symbol.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    shell_complete=_complete_type,
    help="Only events of this type; may be given several times.",
)
@span_options
@click.option("--order", metavar="ID", help="Only events of the order with this client order id.")
@click.option("--intent", "intent_id", metavar="ID", help="The whole story of an intent, as a timeline.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@logs_option
@home_option
@json_option
@click.pass_context
def journal(ctx: click.Context, /, **arguments: Any) -> None:
    """Show the journal: its last events, one a line, those that fit a filter, or one intent's whole story.

    --json prints the events as they stand in the journal.
    """
    if ctx.invoked_subcommand is None:
        _in_session(_list_journal)(**arguments)
    _refuse_beside(f"`journal {ctx.invoked_subcommand}`", *(name for name in arguments if name not in _OF_ALL))


_OF_ALL = ("home", "logs", "as_json")
"""Options that may stand before the name of a command of a group."""


def _list_journal(
    session: Session,
    count: int,
    symbol: str | None,
    types: tuple[str, ...],
    since_ms: int | None,
    until_ms: int | None,
    order: str | None,
    intent_id: str | None,
    follow: bool,
    logs: Path | None,
) -> int:
    from engine.journal.lines import encode
    from engine.journal.reader import read
    from engine.routing.evidence.story import Filter, story
    from engine.routing.evidence.story_pages import print_events, print_story
    from engine.routing.sessions.listing import following, journal_in, listing

    folder = journal_in(_logs(session, logs))
    if intent_id is not None:
        _refuse_beside("--intent", "count", "symbol", "types", "since_ms", "until_ms", "order", "follow")
        events = story(read(folder), intent_id)
        if session.as_json:
            for event in events:
                click.echo(encode(event))
        else:
            print_story(session.console(), events)
        return FINE
    wanted = Filter(symbol, frozenset(types), None, order, since_ms, until_ms)
    found = (following if follow else listing)(folder, wanted, count or None)
    if session.as_json:
        for event in found.events:
            click.echo(encode(event))
    else:
        print_events(session.console(), found.events, found.before)
    return FINE


@command("archive", "Pack old days of the journal.", of=journal)
@click.option(
    "--older-than", "days", type=click.IntRange(min=0), required=True, metavar="DAYS", help="How old a day must be."
)
@logs_option
def archive(session: Session, days: int, logs: Path | None) -> int:
    """Pack the days that are more than DAYS old; they are read like any other.

    A day that a session may still need stays: the last eight, those after the last checkpoint, and those with an intent
    that is open.
    """
    from engine.journal.retention import archive as archive_days
    from engine.routing.sessions.listing import journal_in

    done = archive_days(journal_in(_logs(session, logs)), days, datetime.now(UTC).date())
    if session.as_json:
        archived = [
            {"day": str(of.day), "path": str(of.path), "bytes_before": of.size_before, "bytes": of.size}
            for of in done.archived
        ]
        kept = [{"day": str(of.day), "reason": of.reason} for of in done.kept]
        session.print_json({"archived": archived, "kept": kept})
        return FINE
    for of in done.archived:
        click.echo(f"{of.day}  {of.size_before:,} bytes packed into {of.size:,}: {of.path}")
    for kept_day in done.kept:
        click.echo(f"{kept_day.day}  stays: {kept_day.reason}")
    if not done.archived and not done.kept:
        click.echo(f"no day is more than {days} days old")
    return FINE


@command("prune", "Take archived days away.", of=journal)
@click.option(
    "--older-than", "days", type=click.IntRange(min=0), required=True, metavar="DAYS", help="How old a day must be."
)
@click.option("--yes", is_flag=True, help="Do it; without, only say what would go.")
@logs_option
def prune(session: Session, days: int, yes: bool, logs: Path | None) -> int:
    """Take away archived days that are more than DAYS old; without --yes, only say which."""
    from engine.journal.retention import prune as prune_days
    from engine.routing.sessions.listing import journal_in

    found = prune_days(journal_in(_logs(session, logs)), days, datetime.now(UTC).date(), dry_run=not yes)
    if session.as_json:
        session.print_json({"removed" if yes else "would_remove": [str(path) for path in found]})
        return FINE
    for path in found:
        click.echo(f"{'removed' if yes else 'would be removed'}: {path}")
    if not found:
        click.echo(f"no archived day is more than {days} days old")
    elif not yes:
        click.echo("nothing was removed; --yes does it")
    return FINE


@command("check", "Look for lost and broken lines of the journal.", of=journal)
@logs_option
def check_journal(session: Session, logs: Path | None) -> int:
    """Look for lines that say no event, and for numbers that are missing or come twice."""
    from engine.journal.reader import verify
    from engine.printing import printable
    from engine.routing.sessions.listing import journal_in

    folder = journal_in(_logs(session, logs))
    found = verify(folder)
    if session.as_json:
        findings = [
            {"path": str(error.path), "line": error.line, "message": error.message, "help": error.help}
            for error in found
        ]
        session.print_json({"journal": str(folder), "findings": findings})
    else:
        for error in found:
            click.echo(printable(str(error).replace("\n", ";")))
        click.echo(f"{folder}: {'nothing is missing' if not found else f'{len(found)} findings'}")
    return FOUND if found else FINE


@command("report", "Say what routing cost, and what it saved.")
@span_options
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it as a page with plots."
)
@logs_option
def report(session: Session, since_ms: int | None, until_ms: int | None, html: Path | None, logs: Path | None) -> int:
    """Say what routing cost, beside three simple ways to route the same intents: by route, tier, regime and veto."""
    from engine.journal.reader import read
    from engine.routing.evidence.report import READS, Report, report_json
    from engine.routing.evidence.report_html import report_html
    from engine.routing.evidence.report_pages import print_report
    from engine.routing.sessions.listing import between, journal_in, since_day

    folder = journal_in(_logs(session, logs))
    events = read(folder, since_day=since_day(since_ms), types=READS)
    made = Report.of(between(events, since_ms, until_ms))
    if html is not None:
        html.write_text(report_html(made), encoding="utf-8")
    if session.as_json:
        session.print_json(report_json(made))
    elif html is not None:
        click.echo(str(html))
    else:
        print_report(session.console(), made)
    return FINE


@command("health", "Show how each symbol is routed now, and how that went.")
@click.argument("symbol", required=False, metavar="[SYMBOL]")
@logs_option
def health(session: Session, symbol: str | None, logs: Path | None) -> int:
    """Show the health of the router as of its last snapshot: all symbols, or SYMBOL with everything known of it."""
    import msgspec

    from engine.routing.evidence.health_pages import one_symbol, print_execution, print_health
    from engine.routing.evidence.state_files import read_state, state_age_s

    state, age_s = read_state(_logs(session, logs)), state_age_s(_logs(session, logs))
    if symbol is None:
        if session.as_json:
            session.print_json(msgspec.to_builtins(state.router_health))
        else:
            print_health(session.console(), state.router_health, age_s)
        return FINE
    held = one_symbol(state, symbol)
    if session.as_json:
        session.print_json(msgspec.to_builtins(held))
    else:
        print_execution(session.console(), state.router_health, held, age_s)
    return FINE


@command("why", "Say why a symbol is never maker.")
@click.argument("symbol", metavar="SYMBOL")
@span_options
@logs_option
def why(session: Session, symbol: str, since_ms: int | None, until_ms: int | None, logs: Path | None) -> int:
    """Say what stood against resting orders in SYMBOL: each veto, its cost, and how near it was to lifting."""
    from engine.journal.reader import read
    from engine.routing.evidence.rulebooks import Rulebooks
    from engine.routing.evidence.why import READS
    from engine.routing.evidence.why import why as ask_why
    from engine.routing.evidence.why_pages import print_why
    from engine.routing.sessions.listing import journal_in, since_day

    place = _logs(session, logs)
    events = read(journal_in(place), since_day=since_day(since_ms), types=READS)
    answer = ask_why(events, symbol, since_ms, until_ms, Rulebooks(place).find)
    if session.as_json:
        session.print_json(answer.as_json())
    else:
        print_why(session.console(), answer)
    return FINE if answer.intents else USAGE


@sluice.group("telemetry", short_help="Carry measured effectiveness from one place to another.")
@logs_option
@home_option
@json_option
def telemetry(**_: Any) -> None:
    """Carry measured effectiveness from one place to another."""


@command("export", "Write what was measured into a file.", of=telemetry)
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--source", metavar="NAME", help="Whose samples these are, for people. Default: this machine.")
@logs_option
def export_telemetry(session: Session, file: Path, source: str | None, logs: Path | None) -> int:
    """Write the samples of the last 7 days into FILE, for `telemetry import` or `run --telemetry`."""
    import platform

    import msgspec

    from engine.routing.sessions.listing import journal_in
    from engine.routing.telemetry import export

    header = export(journal_in(_logs(session, logs)), file, source=source or platform.node() or "somewhere")
    if session.as_json:
        session.print_json({"file": str(file), **msgspec.to_builtins(header)})
    else:
        click.echo(f"{file}: what {header.source} measured")
    return FINE


@command("import", "Take measured effectiveness into the journal.", of=telemetry)
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@logs_option
def import_telemetry(session: Session, file: Path, logs: Path | None) -> int:
    """Take the samples of FILE into the journal, for a session with a venue in another process (`run --venue`).

    A session over a recorded or generated market has a journal of its own: start that with `run --telemetry FILE`.
    """
    from engine.routing.sessions.importing import import_telemetry as take_over

    taken = take_over(_logs(session, logs), file)
    counts = {symbol: len(samples) for symbol, samples in taken.telemetry.samples.items()}
    if session.as_json:
        session.print_json({"journal": str(taken.folder), "source": taken.telemetry.name, "samples": counts})
    else:
        told = ", ".join(f"{symbol} {count:,}" for symbol, count in counts.items())
        click.echo(f"{taken.folder}: samples of {taken.telemetry.name}: {told or 'none'}")
    return FINE


@sluice.group("bundle", short_help="Put a profile and its rules into one signed file.")
@json_option
@home_option
def bundle(**_: Any) -> None:
    """Put a profile and its rules into one signed file, for a fleet."""


public_key_option = click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A trusted public key, PEM or base64; may be given several times. Default: SLUICE_PUBLIC_KEY, if it is set.",
)


@command("build", "Make a bundle.", of=bundle)
@click.argument("profile", metavar="PROFILE", shell_complete=_complete_profile)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="The bundle."
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sign with this Ed25519 key, PEM or base64. Default: SLUICE_SIGNING_KEY, if it is set.",
)
@click.option(
    "--sequence",
    type=click.IntRange(0, 10**15 - 1),
    metavar="N",
    help="Its place in the order of bundles. Default: its time.",
)
@click.option(
    "--time", "time_ms", type=_TIME, metavar="TIME", help="Its time. Default: SOURCE_DATE_EPOCH, else of the commit."
)
@click.option("--author", metavar="NAME", help="Whose it is. Default: of the commit, else the user.")
@click.option(
    "--reload-gate",
    "gate",
    type=click.Choice(_GATES),
    default="proofs",
    show_default=True,
    help="What keeps a bundle from being made, as a reload is refused.",
)
def build_bundle(
    session: Session,
    profile: str,
    output: Path,
    key: Path | None,
    sequence: int | None,
    time_ms: int | None,
    author: str | None,
    gate: Gate,
) -> int:
    """Put PROFILE and every file of the home into one file: the same bytes for the same files, time and key."""
    from engine.analysis.request import RequestError, require_profile
    from engine.reload.bundle import build, origin_of, parse
    from engine.reload.bundle_pages import bundle_json, bundle_lines
    from engine.reload.disk import write_whole
    from engine.reload.keys import signing_key
    from engine.reload.proving import prover
    from engine.reload.read import read_home
    from engine.reload.who import commit_of

    require_profile(session.home, profile)
    if not output.parent.is_dir():
        raise RequestError(f"there is no folder `{output.parent}`", "make it, or name another file with -o")
    time_s = time_ms // 1000 if time_ms is not None else None
    origin = origin_of(commit_of(session.home), time_s=time_s, sequence=sequence, author=author)
    files = read_home(session.home).files
    prove = prover(files, QUESTION_TIMEOUT_S, find_cache() / "proofs") if gate == "proofs" else None
    made = build(files, profile, origin, key=signing_key(key), gate=gate, prove=prove)
    write_whole(output, made)
    if session.as_json:
        session.print_json({"file": str(output), **bundle_json(parse(made))})
    else:
        click.echo("\n".join([f"{output}: {len(made) / 1024:.0f} KiB", *bundle_lines(parse(made), is_ours=True)]))
    return FINE


@command("verify", "Verify a bundle.", of=bundle)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("-p", "--profile", metavar="PROFILE", help="Refuse it if it is of another profile.")
@public_key_option
def verify_bundle(session: Session, file: Path, profile: str | None, public_keys: tuple[Path, ...]) -> int:
    """Verify every part of the bundle in FILE: its form, its signature, its files, and that they make its version."""
    from engine.reload.bundle import read_bundle, verify
    from engine.reload.bundle_pages import bundle_json, verified_line
    from engine.reload.keys import public_keys as read_public_keys

    verified = verify(read_bundle(file), read_public_keys(public_keys), profile=profile)
    if session.as_json:
        session.print_json({**bundle_json(verified.bundle), "signed_by": verified.signed_by})
    else:
        click.echo(verified_line(verified))
    return FINE


@command("inspect", "Show what a bundle holds.", of=bundle)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("name", metavar="[NAME]", required=False)
def inspect_bundle(session: Session, file: Path, name: str | None) -> int:
    """Show what the bundle in FILE says of itself and which files it holds, or the text of the one called NAME.

    Nothing is verified: `sluice bundle verify` does.
    """
    from engine.printing import printable
    from engine.reload.bundle import parse, read_bundle, text_of
    from engine.reload.bundle_pages import bundle_json, bundle_lines

    found = parse(read_bundle(file))
    if name is not None:
        text = text_of(found, name)
        if session.as_json:
            session.print_json({"name": name, "text": text})
        else:
            click.echo("\n".join(printable(line) for line in text.splitlines()))
    elif session.as_json:
        session.print_json(bundle_json(found))
    else:
        click.echo("\n".join([*bundle_lines(found), *(f"  {held}" for held in found.content)]))
    return FINE


@command("findings", "Say what a finding's code means.")
@click.argument("code", required=False)
def findings(session: Session, code: str | None) -> int:
    """Say what a finding's CODE means, what to avoid and what to prefer; without CODE, list all codes."""
    from engine.analysis.codes import first_sentence, section, sections

    if code is not None:
        text = section(code)
        if session.as_json:
            session.print_json({"code": code, "text": text})
        else:
            click.echo(f"{code}\n\n{text}")
    elif session.as_json:
        session.print_json([{"code": name, "text": text} for name, text in sections().items()])
    else:
        for name, text in sections().items():
            click.echo(f"{name:<24}  {first_sentence(text)}")
    return FINE


@command("schema", "Print JSON Schemas of the YAML documents and the journal.")
@click.argument(
    "kind",
    type=click.Choice(["vocabulary", "policy", "ruleset", "profile", "windows", "journal"]),
    required=False,
)
@click.option(
    "--write", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write KIND.json into DIR, or one a kind."
)
def schema(session: Session, kind: str | None, folder: Path | None) -> int:
    """Print the JSON Schema of a kind of YAML document, for editors, or of the journal; without KIND, all by kind."""
    from engine.analysis.schemas import schemas, write_schemas

    found = schemas(kind)
    if folder is not None:
        written = write_schemas(folder, found)
        if session.as_json:
            session.print_json({"written": [str(path) for path in written]})
        else:
            for path in written:
                click.echo(str(path))
    else:
        session.print_json(found[kind] if kind else found)
    return FINE


@command("init", "Make a workspace of your own.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def init(session: Session, folder: Path) -> int:
    """Copy the shipped rules, policies, profiles and schemas into DIR, a workspace of your own.

    Nothing that is there is overwritten.
    """
    written = init_workspace(folder)
    if session.as_json:
        session.print_json({"workspace": str(folder), "written": [str(path) for path in written]})
    else:
        click.echo(f"{len(written)} files in {folder}; try: sluice check --home {shlex.quote(str(folder))}")
    return FINE


def main() -> None:
    """Run the command line; the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character the terminal lacks is no reason to fail
    if sys.stdout is None:
        click.echo("error: cannot write: standard output is closed", err=True)
        sys.exit(USAGE)
    if sys.stderr is None:  # nowhere to complain to is no reason to fail
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
    output = sys.stdout
    try:
        sluice.main(prog_name="sluice")
    except SystemExit:
        if sys.stdout is not output:  # Click has put another in its place: the pipe was closed
            sys.exit(CLOSED)
        raise
    except OSError as error:  # a full disk below standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has nowhere to go
        click.echo(f"error: cannot write: {(error.strerror or str(error)).lower()}", err=True)
        sys.exit(USAGE)


if __name__ == "__main__":
    main()
