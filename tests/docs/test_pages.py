"""All pages of docs/: their links lead somewhere, and every command they show exists with the options it has there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

import cli
from tests.docs.test_language import ROOT

PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
OURS = ("api.md", "contract.md", "router.md", "venues.md")
"""Pages about running a router."""


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def anchors(name: str) -> set[str]:
    """What the headings of a page are linked as."""
    headings = re.findall(r"^#+ (.*)$", text_of(name), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", text_of(name)):
        if target.startswith("https://"):
            continue
        assert (ROOT / "docs" / (target or name)).is_file(), target
        assert not anchor or anchor[1:] in anchors(target or name), f"{target}{anchor}"


def commands(text: str) -> list[str]:
    """The commands that a page shows, between backticks or as lines of a block."""
    inline = re.findall(r"`(sluice [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    blocks = re.findall(r"^```(?:sh|text)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("sluice ")]
    return [*inline, *(re.split(r"  +| #", line)[0] for line in lines)]


def wrong_with(line: str) -> str | None:
    """What is wrong with a command, as it is written on a page; None where nothing is."""
    words = iter(shlex.split(line)[1:])
    command: click.Command = cli.sluice
    for word in words:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
        elif word.startswith("-") and word != "-":
            found = next((param for param in command.params if word in param.opts), None)
            if found is None:
                return f"`{command.name}` has no option {word}"
            if isinstance(found, click.Option) and not found.is_flag:
                next(words, None)
        elif command is cli.sluice:
            return f"there is no command `{word}`"
    return None


@pytest.mark.parametrize("name", PAGES)
def test_every_command_shown_exists_with_its_options(name: str) -> None:
    wrong = {line: said for line in commands(text_of(name)) if (said := wrong_with(line)) is not None}
    assert wrong == {}


@pytest.mark.parametrize("name", OURS)
def test_every_option_shown_alone_belongs_to_some_command(name: str) -> None:
    known = {option for command in every_command(cli.sluice) for param in command.params for option in param.opts}
    shown = {word for code in re.findall(r"`(--[^`]+)`", text_of(name)) for word in code.split() if word[:2] == "--"}
    assert shown <= known


def every_command(group: click.Group) -> Iterator[click.Command]:
    """The commands of a group and of those in it."""
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from every_command(command)


def test_a_command_that_does_not_exist_is_found() -> None:
    assert wrong_with("sluice journal archive --older-than 30") is None
    assert wrong_with("sluice jounal") == "there is no command `jounal`"
    assert wrong_with("sluice run --no-such 3") == "`run` has no option --no-such"
    assert len(commands(text_of("router.md"))) > 20


@pytest.mark.parametrize("name", OURS)
def test_a_page_keeps_to_one_sentence_a_line_and_to_this_repository(name: str) -> None:
    prose = re.sub(r"^```.*?^```", "", text_of(name), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in prose.splitlines() if not line.startswith(("|", "#", "<!--", "- ", ">"))]
    two = [line for line in lines if re.search(r"[a-z`)]\. [A-Z]", re.sub(r"^\d+\. ", "", line))]
    assert two == []
    assert not re.search(r"https?://|/work/|/tmp/|/home/", prose)
