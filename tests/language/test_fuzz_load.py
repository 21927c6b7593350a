"""Whatever lies in a home folder, a load ends with a rulebook or with findings that point into its files.

The shipped files and a small home with one of everything are broken in many ways: bytes flipped, lines deleted, doubled
and swapped, texts cut off, tokens inserted, scalars replaced, indentation changed, whole files replaced. The long
tests take minutes and belong to `make test-slow`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.book import Book
from engine.home import shipped_home
from engine.language.findings import Finding, Findings, LoadError, Severity, Span
from engine.language.load import Files, Workspace
from engine.language.nodes import Source, decode_source
from engine.language.parse import parse
from engine.language.rulebook import Rulebook

CODE = re.compile(r"[a-z_]+\.[a-z_]+")
NAMES_IN_FRONT = ("YAML",)
"""What a message may start with though it is in upper case."""

SHIPPED = {
    f"{folder}/{path.name}": path.read_bytes()
    for folder in ("rules", "policies", "profiles")
    for path in sorted((shipped_home() / folder).glob("*.yaml"))
}

SMALL = {
    "policies/facts.yaml": b"""\
params: {max_age_s: {type: number, unit: s, min: 0, max: 100}, max_ahead_s: {type: number, unit: s, min: 0, max: 5}}
max_ahead_s: $max_ahead_s
groups:
  market:
    doc: The book.
    max_age_s: $max_age_s
    facts:
      bid: {type: number, unit: price, min: 0, max: 1000000}
      ask: {type: number, unit: price, min: 0, max: 1000000}
      spread_bps: {type: number, unit: bps, min: 0, max: 20000}
  intent:
    facts:
      side: {type: choice, of: [buy, sell]}
      urgent: {type: flag}
      venue: {type: text}
relations: [bid <= ask]
""",
    "policies/route.yaml": b"""\
policy: route
doc: Maker or taker.
reads: [market, intent]
steps: [tier, gates, nudge]
decides: [tier, open, offset_bps]
reason: [tier, offset_bps]
invariants:
  - {id: bounded, claim: offset_bps <= 10}
  - id: wide_is_shut
    profiles: [live]
    claim: spread_bps is known and spread_bps > $gates.max_spread_bps implies vetoed
  - {id: falls, monotone: {of: tier, in: spread_bps, moves: rises}}
  - {id: strict, at_least_as_strict: {profile: live, than: paper, when: open}}
  - {id: within, bounded: {of: offset_bps, min: 0, max: $nudge.base_bps + $nudge.step_bps}}
  - {id: steady, unchanged_when: {of: [tier, open], in: urgent, when: venue == 'here'}}
  - {id: shut, fail_closed: {when: open, missing: [market, intent], unless: side is missing}}
""",
    "policies/size.yaml": b"""\
policy: size
reads: [{decisions: route}, market]
steps: [share]
decides: [share]
""",
    "rules/tier.yaml": b"""\
ruleset: tier
hit: first
sets:
  tier: {type: choice, of: [low, high], ordered: true}
unknown: skip
params:
  low_bps: {type: number, unit: bps, min: 0, max: 100}
  cheap: {type: number, unit: price, min: 0, max: 100}
requires: [$low_bps >= 0, $cheap > 0]
rules:
  - id: wide
    when:
      any:
        - spread_bps > $low_bps
        - all: [(bid / ask) is known, bid / ask < 1, bid < $cheap]
    set: {tier: low}
    why: a wide book
  - id: otherwise
    set: {tier: high}
""",
    "rules/gates.yaml": b"""\
ruleset: gates
hit: veto
sets: {open: {type: flag}}
params: {max_spread_bps: {type: number, unit: bps, min: 0, max: 100}}
rules:
  - {id: wide, when: spread_bps > $max_spread_bps}
  - {id: other_venue, when: venue != 'here' and not urgent, unknown: skip}
  - {id: sold, when: "side in [sell] and tier == low"}
  - {id: blind, when: spread_bps is missing, expect: reason, why: wide objects as well}
""",
    "rules/nudge.yaml": b"""\
ruleset: nudge
hit: each
sets: {offset_bps: {type: number, unit: bps, min: 0, max: 10}}
start: {offset_bps: $base_bps}
unknown: skip
params: {base_bps: {type: number, unit: bps, min: 0, max: 10}, step_bps: {type: number, unit: bps, min: -5, max: 5}}
rules:
  - id: hurry
    when: urgent
    add: {offset_bps: -$step_bps}
    at_least: {offset_bps: 0}
  - id: wide
    when: spread_bps is known and not (tier == high)
    at_most: {offset_bps: "min(spread_bps, $base_bps)"}
""",
    "rules/share.yaml": b"""\
ruleset: share
hit: first
sets: {share: {type: number, min: 0, max: 1}}
unknown: match
rules:
  - {id: shut, when: not open, set: {share: 0}}
  - {id: otherwise, set: {share: 1}}
""",
    "profiles/base.yaml": b"""\
profile: base
values:
  facts.max_age_s: 5
  facts.max_ahead_s: 1
  tier.low_bps: 10
  tier.cheap: 3
  gates.max_spread_bps: 12
  nudge.base_bps: 2
  nudge.step_bps: 0.5
""",
    "profiles/live.yaml": b"""\
profile: live
extends: base
policies: [route, size]
disable: [{rule: gates.sold, why: tried}]
symbols:
  thin: {of: [DOGE, PEPE], values: {gates.max_spread_bps: {value: 25, why: thin}}}
""",
    "profiles/paper.yaml": b"""\
profile: paper
extends: base
policies: [route]
values: {tier.low_bps: {value: 1e1, why: the same}}
diverges:
  - {against: live, decision: route.tier, from: low, to: high, why: other books}
  - {against: live, decision: route.offset_bps, why: it follows the tier}
""",
}

TOKENS: tuple[str, ...] = (
    *"{}[]:,-?#&*!|>'\"%@`\t \n()$<>=+/.~^;\\",
    ": ", "- ", "-\n", "---\n", "...\n", "\n\n", "  ", "\r\n", "\r", "\x00", "\x07", "\x0b", "\x0c", "\x1c", "\x7f",
    "\x85",
    "\u2028", "\u2029", "\ufeff", "\ufffe", "\U0001f600", "é", "ſ", "٣", "&a ", "*a ", "!!int ", "!x ", "<<: ",
    "%YAML 9.9\n",
    "? ", "| \n", ">-\n", '"\\x', '"\\ud800"', "null", "~", "on", "true", "false", "12:30", "010", "1e3", "1e999",
    "-1e-999",
    "0", "1", "-1", "20", "0.1", "9" * 400, ".5", "5.", "1_000", "inf", "nan", "0x10", "(", ")", " and ", " or ",
    " not ",
    " implies ", " is missing", " is known", " in [a, b]", " not in [1]", "min(", "max(a, b)", "abs(-1)", "vetoed",
    "vetoed by gates.wide", "$", "$x", "$tier.low_bps", "$low_bps", " == ", " = ", " != ", " <> ", " && ", "<=", "=<",
    " / 0",
    " * ", " + ", "'text'", "'", "all", "any", "all: []", "any: [x]", "when", "set", "add", "id", "why", "extends",
    "base",
    "ruleset", "policy", "profile", "facts", "decisions", "{decisions: route}", "x" * 300, "a.b", "a.b.c", "", "''",
    '""',
)  # fmt: skip


def inside(span: Span, sources: Mapping[str, Source]) -> bool:
    """True if a span starts at a place that its file has; a file that could not be read has none to compare with."""
    if span.file not in sources:
        return (span.line, span.column) >= (1, 1)
    lines = sources[span.file].lines or ("",)
    return 1 <= span.line <= len(lines) and 1 <= span.column <= len(lines[span.line - 1]) + 1


def assert_sound(findings: Iterable[Finding], sources: Mapping[str, Source]) -> None:
    for finding in findings:
        assert CODE.fullmatch(finding.code), finding
        assert finding.message.strip(), finding
        first = finding.message[0]
        assert not first.isupper() or finding.message.startswith(NAMES_IN_FRONT), finding
        assert not finding.message.endswith("."), finding
        for place in (finding.span, *(related.span for related in finding.related)):
            assert inside(place, sources), (finding, place)
            assert (place.end_line, place.end_column) >= (place.line, place.column), finding
        for text in (finding.message, finding.help, *(related.message for related in finding.related)):
            assert text.isprintable(), finding


def workspace_of(contents: Mapping[str, bytes]) -> Workspace:
    findings = Findings()
    sources = {
        name: source
        for name, data in sorted(contents.items())
        if (source := decode_source(data, name, findings)) is not None
    }
    return Workspace(Files(sources, tuple(findings)))


def load_one(workspace: Workspace, profile: str) -> Rulebook | LoadError:
    try:
        return workspace.rulebook(profile)
    except LoadError as error:
        return error


def load_all(contents: Mapping[str, bytes]) -> list[Book]:
    """Load every profile; findings are checked, and what loads is handed back."""
    if parse.cache_info().currsize > 15_000:  # expressions of thousands of broken documents are of no further use
        parse.cache_clear()
    workspace = workspace_of(contents)
    assert_sound(workspace.findings, workspace.sources)
    books = []
    for name in [*(Path(name).stem for name in contents if name.startswith("profiles/")), "nobody"]:
        found = load_one(workspace, name)
        if isinstance(found, LoadError):
            assert any(finding.severity is Severity.ERROR for finding in found.findings), name
            assert_sound(found.findings, workspace.sources)
        else:
            assert_sound(found.warnings, workspace.sources)
            books.append(Book(found))
    return books


def decide_all(books: Iterable[Book]) -> None:
    """What loads decides, by both backends, and says why."""
    for book in books:
        facts: list[dict[str, object]] = [{"now": 1.0}]
        market = book.rulebook.groups.get("market")
        if market is not None and {"bid", "ask"} <= {fact.name for fact in market.facts}:
            facts.append({"now": 1.0, "symbol": "DOGE", "market": {"observed_at": 1.0, "bid": 2.0, "ask": 3.0}})
        for policy in book.policies:
            for given_facts in facts:
                defined = Book(book.rulebook, "interpreter").decide(policy, given_facts)
                assert book.decide(policy, given_facts).json() == defined.json()


class Mutator:
    """Breaks one file in one way, as a seed says."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = contents
        self.names = sorted(contents)
        lines = [line for data in contents.values() for line in data.decode().splitlines()]
        self.lines = sorted({line for line in lines if line.strip()})
        self.values: list[str] = sorted(
            {part.strip() for line in lines for part in re.split(r": |- ", line) if part.strip()}
        )
        self.words: list[str] = sorted({word for line in lines for word in re.findall(r"[$\w.]+", line)})
        self.ways: tuple[Callable[[bytes, random.Random], bytes], ...] = (
            self.flip, self.cut, self.drop_line, self.double_line, self.swap_lines, self.foreign_line,
            self.insert_token,
            self.replace_word, self.replace_word, self.replace_word, self.replace_value, self.replace_value,
            self.indent,
            self.crlf, self.move_block,
        )  # fmt: skip

    def mutate(self, seed: int) -> dict[str, bytes]:
        """The contents with one to three things broken."""
        chance = random.Random(seed)
        contents = dict(self.contents)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            name = chance.choice(self.names)
            contents[name] = chance.choice(self.ways)(contents[name], chance)
        return contents

    def flip(self, data: bytes, chance: random.Random) -> bytes:
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 4))):
            if changed:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
        return bytes(changed)

    def cut(self, data: bytes, chance: random.Random) -> bytes:
        at = chance.randrange(len(data) + 1)
        return data[:at] if chance.random() < 0.7 else data[at:]

    def _edit(self, data: bytes, chance: random.Random, count: int) -> tuple[list[bytes], list[int]]:
        lines = data.split(b"\n")
        return lines, [chance.randrange(len(lines)) for _ in range(count)]

    def drop_line(self, data: bytes, chance: random.Random) -> bytes:
        lines, (at,) = self._edit(data, chance, 1)
        del lines[at]
        return b"\n".join(lines)

    def double_line(self, data: bytes, chance: random.Random) -> bytes:
        lines, (at, to) = self._edit(data, chance, 2)
        lines.insert(at if chance.random() < 0.5 else to, lines[at])
        return b"\n".join(lines)

    def swap_lines(self, data: bytes, chance: random.Random) -> bytes:
        lines, (at, to) = self._edit(data, chance, 2)
        lines[at], lines[to] = lines[to], lines[at]
        return b"\n".join(lines)

    def move_block(self, data: bytes, chance: random.Random) -> bytes:
        lines, (at, to) = self._edit(data, chance, 2)
        block = lines[at : at + chance.randrange(2, 8)]
        del lines[at : at + len(block)]
        lines[to:to] = block
        return b"\n".join(lines)

    def foreign_line(self, data: bytes, chance: random.Random) -> bytes:
        lines, (at,) = self._edit(data, chance, 1)
        lines.insert(at, chance.choice(self.lines).encode())
        return b"\n".join(lines)

    def insert_token(self, data: bytes, chance: random.Random) -> bytes:
        at = chance.randrange(len(data) + 1)
        return data[:at] + chance.choice(TOKENS).encode("utf-8", "surrogatepass") + data[at:]

    def _replaced(self, data: bytes, chance: random.Random, pattern: bytes) -> bytes:
        found = list(re.finditer(pattern, data))
        if not found:
            return data
        place = chance.choice(found)
        other = chance.choice((self.words, self.values, TOKENS)[chance.choice((0, 0, 1, 2))])
        return data[: place.start()] + other.encode() + data[place.end() :]

    def replace_word(self, data: bytes, chance: random.Random) -> bytes:
        return self._replaced(data, chance, rb"[$\w.]+")

    def replace_value(self, data: bytes, chance: random.Random) -> bytes:
        return self._replaced(data, chance, rb"(?<=: )[^\n{\[#]+|(?<=- )[^\n{\[#]+")

    def indent(self, data: bytes, chance: random.Random) -> bytes:
        lines, (at,) = self._edit(data, chance, 1)
        by = chance.choice((-4, -2, -1, 1, 2, 4))
        lines[at] = b" " * by + lines[at] if by > 0 else lines[at][min(-by, len(lines[at]) - len(lines[at].lstrip())) :]
        return b"\n".join(lines)

    def crlf(self, data: bytes, chance: random.Random) -> bytes:
        whole = data.replace(b"\n", b"\r\n") if chance.random() < 0.5 else data.replace(b"\n", b"\r")
        return b"\xef\xbb\xbf" + whole if chance.random() < 0.5 else whole


SHIPPED_MUTATOR, SMALL_MUTATOR = Mutator(SHIPPED), Mutator(SMALL)
SEEDS = st.integers(0, 2**64 - 1)

WORDS = st.sampled_from([*SMALL_MUTATOR.words, *SMALL_MUTATOR.values, *TOKENS])
SHAPED = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=25
)


def dumped(shape: object, *, flow: bool | None) -> bytes:
    text: str = yaml.dump(shape, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    return text.encode("utf-8", "replace")


def check_small(seed: int) -> None:
    decide_all(load_all(SMALL_MUTATOR.mutate(seed)))


def check_shipped(seed: int) -> None:
    load_all(SHIPPED_MUTATOR.mutate(seed))


def check_replaced(name: str, data: bytes) -> None:
    load_all(SMALL | {name: data})


def check_expression(text: str) -> None:
    """Any text, quoted so that YAML hands it over whole, in the places where expressions stand."""
    quoted = b'"' + text.encode("unicode_escape").replace(b'"', b'\\"') + b'"'
    for name, place in (
        ("rules/gates.yaml", b"spread_bps > $max_spread_bps"),
        ("rules/nudge.yaml", b"-$step_bps"),
        ("policies/route.yaml", b"offset_bps <= 10"),
    ):
        decide_all(load_all(SMALL | {name: SMALL[name].replace(place, quoted)}))


SOUP = st.lists(
    st.sampled_from(
        [
            "spread_bps", "bid", "ask", "side", "urgent", "venue", "tier", "offset_bps", "$max_spread_bps",
            "$step_bps", "$base_bps",
            "low", "high", "buy", "sell", "0", "1", "2.5", "'here'", "true", "false", "(", ")", "(", ")", "+", "-",
            "*", "/", "<",
            "<=", ">", ">=", "==", "!=", "in [", "not in [", "]", ",", "is missing", "is known", "and", "or", "not",
            "implies",
            "min(", "max(", "abs(", "vetoed", "vetoed by gates.wide", "=", "&&", "$", "§", "\n", "'", '"',
        ]
    ),
    max_size=12,
).map(" ".join)  # fmt: skip
NUMBERS = st.sampled_from(["spread_bps", "$max_spread_bps", "$step_bps", "$base_bps", "0", "1", "bid / ask", "bid"])
SUMS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"-({part})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
    ),
    max_leaves=6,
)
TESTS = st.one_of(
    st.tuples(SUMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS).map(" ".join),
    st.tuples(SUMS, st.sampled_from(["is known", "is missing"])).map(lambda p: f"({p[0]}) {p[1]}"),
    st.sampled_from(
        ["urgent", "venue == 'here'", "side == buy", "side in [buy, sell]", "tier < high", "vetoed", "true"]
    ),
)
LOGIC = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or", "implies"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=8,
)
EXPRESSIONS = SOUP | SUMS | LOGIC | st.text(max_size=30)
PLACES = st.sampled_from(sorted(SMALL))
CONTENT = st.binary(max_size=200) | st.builds(dumped, SHAPED, flow=st.sampled_from([None, True, False]))


@settings(max_examples=500)
@given(SEEDS)
def test_a_small_home_broken_anywhere_loads_or_says_where(seed: int) -> None:
    check_small(seed)


@settings(max_examples=250)
@given(SEEDS)
def test_the_shipped_home_broken_anywhere_loads_or_says_where(seed: int) -> None:
    check_shipped(seed)


@settings(max_examples=300)
@given(PLACES, CONTENT)
def test_a_file_of_anything_loads_or_says_where(name: str, data: bytes) -> None:
    check_replaced(name, data)


@settings(max_examples=250)
@given(EXPRESSIONS)
def test_any_text_as_an_expression_loads_or_says_where(text: str) -> None:
    check_expression(text)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=30_000)
@given(SEEDS)
def test_a_small_home_broken_anywhere_at_length(seed: int) -> None:
    check_small(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=12_000)
@given(SEEDS)
def test_the_shipped_home_broken_anywhere_at_length(seed: int) -> None:
    check_shipped(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=13_000)
@given(PLACES, CONTENT)
def test_a_file_of_anything_at_length(name: str, data: bytes) -> None:
    check_replaced(name, data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=10_000)
@given(EXPRESSIONS)
def test_any_text_as_an_expression_at_length(text: str) -> None:
    check_expression(text)
