"""YAML text becomes nodes: mappings, sequences and scalars, each with its place, and nothing resolved.

In: a `Source` (name and text). Out: a `Node` tree, or findings. PyYAML's C parser composes with the base loader, so
`on`, `12:30`, `010` and `1e3` stay the text they are; what a scalar means is said by the place it stands in. Refused:
duplicate keys, aliases, tags, several documents, files over 1 MiB, nesting over 50. Two traps of YAML get a text of
their own: an expression that flow style cuts at a comma, and one that starts with a quote.
"""

from __future__ import annotations

import codecs
import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from engine.language.findings import Findings, Related, Span

MOST_BYTES = 1 << 20
"""A document larger than this is refused: rules are read by people."""

MOST_NESTING = 50
"""Documents and expressions nested deeper than this are refused."""

_MAPPING = "tag:yaml.org,2002:map"
_SEQUENCE = "tag:yaml.org,2002:seq"
_SCALAR = "tag:yaml.org,2002:str"

_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1."""

_MOST_UNLOOKED = 1000
"""A text with more brackets, or more indentation, than this is looked through before it is composed."""


FLOW_HELP = (
    "an expression that holds a comma, `[` or `{` cannot stand in flow style: "
    "write it in block style, on a line of its own, or put it in double quotes"
)
QUOTE_HELP = (
    "an expression that starts with a quote ends there for YAML: turn it round (`mode == 'x'`) or double-quote all"
)
APOSTROPHE_HELP = "the apostrophe ends the quoted text there: write it twice, or put the text in double quotes"
_APOSTROPHE = re.compile(r"(?:[:\-,\[{]\s+|[\[{])'[^']*'$")
"""What stands before a letter where an apostrophe has ended a quoted text."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file as read: the name shown to people, and its text."""

    name: str
    text: str
    lines: tuple[str, ...] = field(repr=False, compare=False)

    @classmethod
    def of(cls, name: str, text: str) -> Source:
        """A source from text in hand."""
        return cls(name, text, tuple(text.splitlines()))

    def start(self) -> Span:
        """The first character, for findings that concern the whole file."""
        return Span(self.name, 1, 1, 1, 2)


class Mark(Protocol):
    """A point in a file, as PyYAML gives it: characters from the start, and 0-based line and column."""

    index: int
    line: int
    column: int


@dataclass(slots=True, eq=False)
class Scalar:
    """A piece of text. `raw` is what stands in the file between its marks; `style` is YAML's (`None` is plain)."""

    source: Source
    text: str
    style: str | None
    start: Mark
    end: Mark

    @property
    def raw(self) -> str:
        """The characters of the file, quotes and line breaks included."""
        return self.source.text[self.start.index : self.end.index]

    @property
    def span(self) -> Span:
        """Where it stands."""
        return _span(self)

    def at(self, start: int, end: int) -> Span:
        """Where characters `start` to `end` of `text` stand; the whole scalar where escapes blur that.

        Folding changes blanks alone, so over several lines the characters that are none are counted.
        """
        raw, opening = self.raw, 0
        if self.style in ("'", '"'):
            raw, opening = raw[:-1], 1
        elif self.style is not None:
            opening = raw.find("\n") + 1  # the header: `>-`, `|` and the like, and perhaps a comment
        if self.start.line == self.end.line and raw[opening:] == self.text:
            return self.span.within(opening + start, opening + end)
        inked = [at for at in range(opening, len(raw)) if not raw[at].isspace()]
        if [raw[at] for at in inked] != [character for character in self.text if not character.isspace()]:
            return self.span
        first = sum(not character.isspace() for character in self.text[:start])
        past = sum(not character.isspace() for character in self.text[:end])
        if not inked:
            return self.span
        begin = inked[first] if first < len(inked) else inked[-1] + 1
        return self._between(begin, inked[past - 1] + 1 if past > first else begin + 1)

    def _between(self, begin: int, end: int) -> Span:
        """The span of characters of `raw`."""
        line, column = self._place(begin)
        end_line, end_column = self._place(end)
        return Span(self.source.name, line, column, end_line, end_column)

    def _place(self, offset: int) -> tuple[int, int]:
        breaks = list(_LINE_BREAK.finditer(self.source.text, self.start.index, self.start.index + offset))
        if not breaks:
            return self.start.line + 1, self.start.column + 1 + offset
        return self.start.line + 1 + len(breaks), self.start.index + offset - breaks[-1].end() + 1


@dataclass(slots=True, eq=False)
class Mapping:
    """Keys to nodes, in the order written. `keys` holds the key scalars by their text."""

    source: Source
    entries: dict[str, Node]
    keys: dict[str, Scalar]
    start: Mark
    end: Mark

    @property
    def span(self) -> Span:
        """Where it stands."""
        return _span(self)

    def get(self, key: str) -> Node | None:
        """The node of a key, None where it is not given."""
        return self.entries.get(key)


@dataclass(slots=True, eq=False)
class Sequence:
    """Nodes in order."""

    source: Source
    items: list[Node]
    start: Mark
    end: Mark

    @property
    def span(self) -> Span:
        """Where it stands."""
        return _span(self)


Node = Scalar | Mapping | Sequence
"""Any node of a document."""


def _span(node: Scalar | Mapping | Sequence) -> Span:
    start, end = node.start, node.end
    return Span(node.source.name, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def read_source(path: Path, name: str, findings: Findings) -> Source | None:
    """The text of a file under the name shown to people; None, with a finding, where it cannot be read."""
    whole = Span(name, 1, 1, 1, 2)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            findings.add("file.unreadable", whole, f"`{name}` is no file", "put a file in its place")
            return None
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        findings.add("file.missing", whole, f"there is no file `{name}`", "create it, or name another --home")
        return None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        help_text = "check its permissions"
        if error.errno == errno.ELOOP:
            help_text = "it is a link that leads back to itself: put a file in its place"
        findings.add("file.unreadable", whole, f"`{name}` cannot be read: {reason.lower()}", help_text)
        return None
    return decode_source(data, name, findings)


def decode_source(data: bytes, name: str, findings: Findings) -> Source | None:
    """The text of bytes in hand: at most 1 MiB of UTF-8, a byte order mark allowed."""
    if len(data) > MOST_BYTES:
        refuse_size(name, findings)
        return None
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        where = Span(name, line, 1, line, 2)
        findings.add("file.encoding", where, f"byte {error.start + 1} of `{name}` is not UTF-8", "save it as UTF-8")
        return None
    return Source.of(name, text.replace("\r\n", "\n"))


def refuse_size(name: str, findings: Findings) -> None:
    """The finding of a file over `MOST_BYTES`."""
    whole = Span(name, 1, 1, 1, 2)
    findings.add("file.too_large", whole, f"`{name}` is larger than 1 MiB", "split it: one rule set a file")


def compose(source: Source, findings: Findings) -> Node | None:
    """The nodes of one document; None, with findings, where it is no YAML we accept."""
    if _could_exhaust(source.text) and _too_deep(source, findings):
        return None
    try:
        root = yaml.compose(source.text, _Loader)
    except yaml.MarkedYAMLError as error:
        _explain_yaml_error(source, error, findings)
        return None
    except yaml.reader.ReaderError as error:
        findings.add(
            "yaml.syntax",
            source.start(),
            f"character U+{ord(str(error.character)[0]):04X} is not allowed in YAML"
            if not isinstance(error.character, int)
            else f"character U+{error.character:04X} is not allowed in YAML",
            "remove the control character",
        )
        return None
    except yaml.YAMLError:
        findings.add("yaml.syntax", source.start(), "this is not YAML", "check its quotes and its indentation")
        return None
    except (ValueError, UnicodeEncodeError):
        findings.add("yaml.syntax", source.start(), "it holds a character that no YAML file may hold", "remove it")
        return None
    if root is None:
        help_text = "write what it should hold, or remove the file"
        findings.add("yaml.empty", source.start(), f"`{source.name}` is empty", help_text)
        return None
    builder = _Builder(source, findings)
    node = builder.build(root)
    return None if builder.refused else node


_TAGS = {yaml.ScalarNode: _SCALAR, yaml.SequenceNode: _SEQUENCE, yaml.MappingNode: _MAPPING}


class _Loader(yaml.CBaseLoader):
    """The C loader, resolving nothing: its base looks for rules by value and by path, of which there are none."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:  # noqa: ARG002 - PyYAML's own signature
        """The tag of a node that names none."""
        return _TAGS[kind]

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Nothing depends on the path."""

    def ascend_resolver(self) -> None:
        """Nothing depends on the path."""


class _Builder:
    """Turns PyYAML's nodes into ours, refusing what the language leaves out."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._seen: set[int] = set()
        self._depth = 0
        self.refused = False

    def build(self, node: Any, flow: bool = False) -> Node:
        seen, ident = self._seen, id(node)
        if ident in seen:  # an alias is the same object again
            again = Sequence(self._source, [], node.start_mark, node.end_mark)
            self._refuse("yaml.alias", again.span, "anchors and aliases are not part of the language", "write it out")
            return again
        seen.add(ident)
        if node.__class__ is yaml.ScalarNode:
            scalar = Scalar(self._source, node.value, node.style or None, node.start_mark, node.end_mark)
            if node.tag != _SCALAR:
                self._refuse_tag(node, scalar.span)
            if flow and scalar.style is None and scalar.text.count("(") != scalar.text.count(")"):
                self._refuse(
                    "yaml.split_expression", scalar.span, f"YAML cut this expression at `{node.value}`", FLOW_HELP
                )
            return scalar
        if self._depth == MOST_NESTING:
            flat = Sequence(self._source, [], node.start_mark, node.end_mark)
            self._refuse("yaml.too_deep", _first_character(self._source, node.start_mark), *_TOO_DEEP)
            return flat
        self._depth += 1
        made: Node
        if node.__class__ is yaml.MappingNode:
            made = self._mapping(node, node.start_mark, node.end_mark)
        else:
            made = Sequence(self._source, [], node.start_mark, node.end_mark)
            if node.tag != _SEQUENCE:
                self._refuse_tag(node, made.span)
            in_flow = bool(node.flow_style)
            made.items = [self.build(item, in_flow) for item in node.value]
        self._depth -= 1
        return made

    def _mapping(self, node: Any, start: Mark, end: Mark) -> Mapping:
        mapping = Mapping(self._source, {}, {}, start, end)
        if node.tag != _MAPPING:
            self._refuse_tag(node, mapping.span)
        in_flow = bool(node.flow_style)
        for key_node, value_node in node.value:
            key = self.build(key_node, in_flow)
            if not isinstance(key, Scalar):
                self._refuse("yaml.key", key.span, "a key must be a name", FLOW_HELP)
                continue
            value = self.build(value_node, in_flow)
            if key.text in mapping.keys:
                self._refuse(
                    "yaml.duplicate_key",
                    key.span,
                    f"`{key.text}` is given twice",
                    "keep one of them",
                    Related(mapping.keys[key.text].span, "it is given here first"),
                )
                continue
            mapping.keys[key.text] = key
            mapping.entries[key.text] = value
        return mapping

    def _refuse_tag(self, node: yaml.Node, span: Span) -> None:
        self._refuse("yaml.tag", span, f"the tag `{node.tag}` is not part of the language", "remove the tag")

    def _refuse(self, code: str, span: Span, message: str, help_text: str, *related: Related) -> None:
        self.refused = True
        self._findings.add(code, span, message, help_text, *related)


def _explain_yaml_error(source: Source, error: yaml.MarkedYAMLError, findings: Findings) -> None:
    mark = error.problem_mark or error.context_mark
    span = _point(source, mark) if mark else source.start()
    problem = (error.problem or "this is not YAML").replace("\n", " ")
    text = source.lines[span.line - 1] if source.lines else ""
    related = []
    if error.context and error.context_mark and error.context_mark.line + 1 != span.line:
        related = [Related(_point(source, error.context_mark), str(error.context))]
    if "alias" in problem:
        findings.add("yaml.alias", span, "anchors and aliases are not part of the language", "write it out")
        return
    if isinstance(error, yaml.composer.ComposerError) and "document" in problem:
        findings.add(
            "yaml.documents", span, "a file holds one document", "remove the `---` and what follows, or split it"
        )
        return
    before = text[: span.column - 1]
    if _APOSTROPHE.search(before) and text[len(before) : len(before) + 1].isalpha():
        findings.add("yaml.syntax", span, "the quoted text ends before this", APOSTROPHE_HELP, *related)
    elif "end of stream" in problem and "quoted" in str(error.context):
        findings.add("yaml.syntax", span, "a quoted text is not closed", "close it where it should end", *related)
    elif "flow" in str(error.context) or "',' or" in problem:
        findings.add("yaml.syntax", span, problem, FLOW_HELP, *related)
    elif "expected key" in problem and re.search(r"(:|-)\s+['\"]", text):
        findings.add("yaml.syntax", span, problem, QUOTE_HELP, *related)
    elif "\t" in text:
        findings.add("yaml.syntax", span, problem, "YAML is indented with spaces: this line holds a tab", *related)
    else:
        findings.add(
            "yaml.syntax",
            span,
            problem,
            "check the indentation and the colons of this line and the one above",
            *related,
        )


def _point(source: Source, mark: Mark) -> Span:
    """One character; YAML's mark of the end of a text lies on a line that is not there."""
    line, column = mark.line + 1, mark.column + 1
    if line > len(source.lines):
        line, column = max(len(source.lines), 1), len(source.lines[-1]) + 1 if source.lines else 1
    return Span(source.name, line, column, line, column + 1)


_TOO_DEEP = (f"nested more than {MOST_NESTING} deep", "flatten it")
"""What is said of it, and the help."""


def _could_exhaust(text: str) -> bool:
    """Whether composing a text could exhaust the stack: every bracket may open a level, and every indentation.

    PyYAML's C composer has no limit of its own and takes the process down at some ten thousand levels. Closing brackets
    do not count against it: they may stand in a text or a comment.
    """
    blank = text.replace("?", " ").replace(":", " ").replace("-", " ")  # all that nests at the start of a line
    return text.count("[") + text.count("{") > _MOST_UNLOOKED or " " * _MOST_UNLOOKED in blank


def _too_deep(source: Source, findings: Findings) -> bool:
    """Whether a text is nested too deep, from the event stream, which does not recurse."""
    depth = 0
    try:
        for event in _events(source.text):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MOST_NESTING:
                    mark: Any = event.start_mark
                    findings.add("yaml.too_deep", _first_character(source, mark), *_TOO_DEEP)
                    return True
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except (yaml.YAMLError, ValueError):
        return False  # compose() reports it, with its place
    return False


def _first_character(source: Source, mark: Mark) -> Span:
    return Span(source.name, mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2)


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, _Loader)
