"""The editor: a document with what the loader says of it at each line, while it is typed."""

from __future__ import annotations

import asyncio

from markupsafe import Markup
from nicegui import ui

from engine.language.findings import Finding
from engine.printing import printable
from engine.web.limits import client_of
from engine.web.pages.editing import Checked, EditError, Editing
from engine.web.pages.frame import every, raw
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import address, mark, soft, tag
from engine.web.pages.rules_html import findings_html
from engine.web.pages.rules_page import ruled
from engine.web.pages.site import Site
from engine.web.problems import ProblemError

_PART = "editor-findings"
_SETTLED_S = 0.3
"""How often is looked whether something was typed."""


async def editor_page(site: Site, file: str | None, line: int | None) -> None:
    """Lay the editor out."""
    lead = "Findings appear as you type. Nothing is saved until you say so."
    editing = await asyncio.to_thread(Editing, site.home)
    with ruled(site, "/rules/edit", "Editor", lead=lead) as theme:
        if not editing.names:
            raw(tag("p", "The home holds no document.", class_="alert", role="alert"))
            return
        editor = _Editor(site, editing, file if file in editing.names else editing.names[0], line)
        theme.on("dark", lambda event: editor.dress(is_dark=bool(event.args)))


class _LineMarks(ui.element, component="line_marks.js"):
    """Marks lines of an editor."""


class _Editor:
    """One open document."""

    def __init__(self, site: Site, editing: Editing, name: str, line: int | None) -> None:
        self._site = site
        self._editing = editing
        self._name = name
        self._checked: str | None = None
        self._is_checking = False
        ui.select(
            editing.names,
            label="Document",
            value=name,
            with_input=True,
            on_change=lambda event: ui.navigate.to(address("/rules/edit", file=event.value)),
        ).props("dense outlined options-dense").classes("find wider")
        with ui.element("div").classes("editor"):
            self._text = ui.codemirror(editing.text(name), language="YAML", indent="  ", line_wrapping=False).props(
                'aria-label="document"'
            )
            self._marks = _LineMarks()
            self._html = LiveHtml(tag("div", soft("Checking …"), id_=_PART, class_="card", role="status"))
        self._save_row()
        if line is not None:
            ui.timer(0.4, lambda: self._text.reveal_line(line), once=True)
        ui.timer(0.2, self._dress, once=True)
        every(_SETTLED_S, self._look)

    def _save_row(self) -> None:
        if not self._site.can_write:
            raw(tag("p", "This server was started without a token, so nothing can be saved here.", class_="soft"))
            return
        with ui.element("form").classes("filters").on("submit.prevent", self._save):
            self._token = ui.input("Token", password=True).props("dense outlined autocomplete=off").classes("filter")
            ui.button("Save").props("no-caps unelevated type=submit")
            self._said = ui.label("").props("role=status")

    async def _dress(self) -> None:
        """Take the colours of the page."""
        self.dress(is_dark=await ui.run_javascript("document.body.classList.contains('body--dark')", timeout=5))

    def dress(self, *, is_dark: bool) -> None:
        """Be light or dark."""
        # As a property it would come with the text as this side last saw it, and take back what was typed meanwhile.
        self._text.run_method("setTheme", "githubDark" if is_dark else "githubLight")

    async def _look(self) -> None:
        text = self._text.value
        if text == self._checked or self._is_checking:
            return
        self._is_checking = True
        try:
            checked = await asyncio.to_thread(self._editing.check, self._name, text)
        finally:
            self._is_checking = False
        self._checked = text
        self._html.show({_PART: self._shown(checked)})
        if self._text.value == text:
            self._mark(checked.of(self._name))

    def _mark(self, findings: list[Finding]) -> None:
        told: dict[int, list[Finding]] = {}
        for finding in findings:
            told.setdefault(finding.span.line, []).append(finding)
        self._marks.run_method(
            "mark",
            self._text.id,
            [
                {
                    "line": line,
                    "kind": f"found-{min(each.severity.value for each in found)}",
                    "says": "; ".join(printable(each.message) for each in found),
                }
                for line, found in told.items()
            ],
        )

    def _shown(self, checked: Checked) -> Markup:
        profiles = [
            tag("li", mark("ok" if version else "error", profile), " ", tag("code", version or "does not load"))
            for profile, version in checked.profiles
        ]
        said = findings_html(checked.findings) if checked.findings else tag("p", mark("ok", "nothing to say"))
        return tag(
            "div",
            tag("h2", "Findings ", tag("small", str(len(checked.findings)))),
            said,
            tag("h3", "Profiles with this text"),
            tag("ul", profiles),
            id_=_PART,
            class_="card",
            role="status",
        )

    async def _save(self) -> None:
        given, self._token.value = self._token.value or "", ""
        try:
            self._site.check_token(given, client_of(ui.context.client.ip))
            await asyncio.to_thread(self._editing.save, self._name, self._text.value)
        except ProblemError as error:
            self._said.text = f"Not saved: {error.detail}."
        except EditError as error:
            self._said.text = f"Not saved: {error.message}; {error.help}."
        else:
            self._said.text = "Saved. A session that watches the home takes it from here."
