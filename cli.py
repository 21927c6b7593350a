"""The command line: thin commands that parse, call a function of the engine, print, and return an exit code.

Exit codes: 0 fine, 1 findings (something in files or rows is wrong), 2 usage (something asked for is not there), and
141 where whoever reads standard output has closed it (as in `sluice check | head`), as the shell says of other tools.
`python cli.py` and the installed `sluice` are the same. A command imports what it alone needs, so that `--help`, shell
completion and the commands that need little stay fast.
"""

from __future__ import annotations

import errno
import functools
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from engine.home import InitError, find_home, init_workspace

if TYPE_CHECKING:
    from rich.console import Console

    from engine.analysis.request import RequestError
    from engine.analysis.tables import BadRow, Row
    from engine.backends.facts import FactsError
    from engine.book import Backend, Book
    from engine.language.findings import LoadError

FINE, FOUND, USAGE, CLOSED = 0, 1, 2, 141
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
        from engine.analysis.report import brief
        from engine.analysis.request import open_book

        book = open_book(self.home, profile, backend)
        if line := brief(book.rulebook.warnings, self.home):
            click.echo(line, err=True)
        return book

    def print_json(self, value: Any) -> None:
        """One JSON value, indented."""
        from engine.analysis.report import as_json

        click.echo(as_json(value))


class _Commands(click.Group):
    """The group: what the engine raises on purpose becomes text (or JSON) and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        from engine.analysis.request import RequestError
        from engine.backends.facts import FactsError
        from engine.language.findings import LoadError

        try:
            return super().invoke(ctx)
        except LoadError as error:
            _report_load(error, _session(ctx))
            ctx.exit(FOUND)
        except (RequestError, FactsError, InitError) as error:
            _report_request(error, _session(ctx))
            ctx.exit(USAGE)


def _session(ctx: click.Context) -> Session:
    return ctx.obj if isinstance(ctx.obj, Session) else Session(find_home(ctx.params.get("home")), as_json=False)


def _report_load(error: LoadError, session: Session) -> None:
    from engine.analysis.report import finding_json, print_findings
    from engine.language.load import read_files

    if session.as_json:
        session.print_json({"findings": [finding_json(finding) for finding in error.findings]})
        return
    print_findings(session.console(stderr=True), error.findings, read_files(session.home).sources, session.home)


def _report_request(error: RequestError | FactsError | InitError, session: Session) -> None:
    from engine.printing import printable

    if session.as_json:
        session.print_json({"error": error.message, "help": error.help})
        return
    click.echo(f"error: {printable(error.message)}", err=True)
    if error.help:
        click.echo(f"  help: {printable(error.help)}", err=True)


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


def command(name: str, short: str) -> Callable[[Callable[..., int]], click.Command]:
    """A command with the options all of them have; the function gets a `Session` and returns the exit code."""

    def decorate(function: Callable[..., int]) -> click.Command:
        @functools.wraps(function)
        def run(home: Path | None, as_json: bool, **arguments: Any) -> None:
            ctx = click.get_current_context()
            given = home if home is not None else ctx.find_root().params.get("home")
            session = Session(find_home(given), as_json)
            ctx.find_root().obj = session
            ctx.exit(function(session, **arguments))

        json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        return sluice.command(name, short_help=short)(home_option(json_option(run)))

    return decorate


def _complete_profile(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from engine.language.load import profile_names

    given = ctx.params.get("home") or ctx.find_root().params.get("home")
    return [CompletionItem(name) for name in profile_names(find_home(given)) if name.startswith(incomplete)]


profile_option = click.option(
    "-p", "--profile", required=True, metavar="PROFILE", shell_complete=_complete_profile, help="The profile to load."
)
policy_option = click.option(
    "--policy", default="routing", show_default=True, metavar="NAME", help="The policy to run."
)
facts_argument = click.argument("facts", metavar="FACTS", type=click.Path())


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sluice-router", prog_name="sluice")
@home_option
def sluice(home: Path | None) -> None:
    """Decide for every order, maker or taker, from rules in YAML, and say which rule decided.

    Exit codes: 0 fine, 1 findings, 2 usage, 141 output closed.
    """


@command("check", "Check profiles and everything they depend on.")
@click.argument("profiles", metavar="[PROFILE]...", nargs=-1, shell_complete=_complete_profile)
@click.option(
    "--format", "style", type=click.Choice(["text", "json", "github", "sarif"]), help="How to print. Default: text."
)
def check(session: Session, profiles: tuple[str, ...], style: str | None) -> int:
    """Check profiles, by default all that run policies, and every file of the home.

    Prints each finding with its place and what helps, then a line for each profile. Errors and warnings fail the check,
    notes do not.
    """
    from engine.analysis.check import check_home
    from engine.analysis.report import check_json, github, print_check, sarif

    if session.as_json and style not in (None, "json"):
        raise click.UsageError(f"--json and --format {style} exclude each other.")
    report = check_home(session.home, profiles)
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
@profile_option
@policy_option
@facts_argument
def explain(session: Session, profile: str, policy: str, facts: str) -> int:
    """Explain a decision on FACTS: every step, rule and condition with the values it saw.

    Each rule is matched, not matched, unknown (and then matched or skipped, as it says), or not reached. FACTS is what
    `decide` takes; several rows give several explanations, each under its place.
    """
    from engine.analysis.explain import explain as explain_facts
    from engine.analysis.explain import explanation_json
    from engine.analysis.pages import print_explanation
    from engine.analysis.tables import read_facts

    book = session.open(profile, "interpreter")
    book.policy(policy)
    rows = read_facts(facts, _standard_input(), book.rulebook)
    first, second = next(rows, None), next(rows, None)
    several = second is not None
    console = session.console()

    def show(row: Row) -> None:
        explanation = explain_facts(book, policy, row.facts)
        if session.as_json:
            number = {"row": int(row.place.rpartition(":")[2])} if several else {}
            click.echo(json.dumps({**number, **explanation_json(explanation)}, allow_nan=False))
        else:
            print_explanation(console, explanation, row.place if several else "")

    return _for_each(chain([row for row in (first, second) if row is not None], rows), show, several=several)


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
    """Show what a profile runs: its policies and rule sets, or WHAT.

    WHAT is a policy (its steps), a rule set (its rules and values), a rule as set.rule, or a parameter as set.param.
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


@command("run", "Decide over a market, recorded or generated.")
@click.option(
    "-p",
    "--profile",
    default="prod",
    show_default=True,
    metavar="PROFILE",
    shell_complete=_complete_profile,
    help="The profile to load.",
)
@click.argument("files", metavar="[FILES]...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--data",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder of recordings. Default: $SLUICE_DATA, else ../shared/data where present.",
)
@click.option("--generated", is_flag=True, help="Generate the market, even where recordings are present.")
@click.option("--seed", default=7, show_default=True, metavar="N", help="Seed of everything that is generated.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.001, max=86400),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Mean time between two intents of a symbol.",
)
@click.option(
    "--limit-quotes", "limit", type=click.IntRange(min=1), metavar="N", help="Stop after N quotes. Default: all."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0.001),
    metavar="X",
    help="Go X times as fast as the market did. Default: as fast as possible.",
)
def run(
    session: Session,
    profile: str,
    files: tuple[Path, ...],
    folder: Path | None,
    generated: bool,
    seed: int,
    every_s: float,
    limit: int | None,
    speed: float | None,
) -> int:
    """Decide over a market: one routing decision for each intent of a generated strategy.

    FILES are quotes, trades or one-minute bars as Binance publishes them (bookTicker, trades, aggTrades, klines; CSV,
    gzip or zip). Without them the recordings of a folder are taken, and without these a market is generated.
    """
    from contextlib import nullcontext

    from engine.analysis.request import RequestError
    from engine.market import MarketError, MissingExtraError
    from engine.routing import Session as MarketSession
    from engine.routing import SessionShape, open_market, watch
    from engine.routing.pages import JsonView, LiveView, SampleView, print_head, print_report

    if sum((bool(files), folder is not None, generated)) > 1:
        raise click.UsageError("FILES, --data and --generated exclude each other.")
    book = session.open(profile)
    shape = SessionShape(seed=seed, every_s=every_s, limit_quotes=limit)
    console = session.console()
    try:
        market = MarketSession(book, open_market(shape, files, folder, generated=generated), shape)
        if session.as_json:
            report = watch(market, JsonView(click.echo), speed=speed)
            click.echo(json.dumps({"summary": report.as_json()}, allow_nan=False))
            return FINE
        print_head(console, market)
        with LiveView(console) if console.is_terminal else nullcontext(SampleView(console)) as view:
            report = watch(market, view, speed=speed)
        print_report(console, report)
    except MarketError as error:
        problem = RequestError(str(error).partition("\n")[0], error.help)
        if session.as_json:  # a line like those before it
            click.echo(json.dumps({"error": problem.message, "help": problem.help}))
        else:
            _report_request(problem, session)
        return USAGE if isinstance(error, MissingExtraError) else FOUND
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


@command("schema", "Print JSON Schemas of the YAML documents.")
@click.argument("kind", type=click.Choice(["vocabulary", "policy", "ruleset", "profile"]), required=False)
@click.option(
    "--write", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write KIND.json into DIR, or one a kind."
)
def schema(session: Session, kind: str | None, folder: Path | None) -> int:
    """Print the JSON Schema of a kind of YAML document, for editors; without KIND, all of them by kind."""
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
