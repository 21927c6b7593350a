"""The editor: a document with what the loader says of it at each line, while it is typed.

What was typed and not saved stays in the browser's tab: a page that is loaded anew has it again. Where the file is
changed on disk meanwhile, the page says so, shows how, and asks which of the two shall be.
"""

from __future__ import annotations

import asyncio
import difflib
from typing import Final

from markupsafe import Markup
from nicegui import events, ui

from engine.language.findings import Finding
from engine.printing import printable
from engine.web.limits import client_of
from engine.web.pages.editing import Checked, EditError, Editing
from engine.web.pages.frame import every, raw
from engine.web.pages.live_html import LiveHtml
from engine.web.pages.markup import address, join, mark, nothing_of, soft, tag
from engine.web.pages.rules_html import findings_html
from engine.web.pages.rules_page import ruled
from engine.web.pages.site import Site
from engine.web.problems import ProblemError

_PART = "editor-findings"
_SETTLED_S = 0.3
"""How often is looked whether something was typed."""
_DISK_EVERY_S = 1.0
_ANSWER_S = 3.0
"""How long the browser may take to answer."""
_MOST_CHARACTERS: Final = 200_000
"""Of a document: the browser tells it twice at a save, and no message of a page may be longer than 1 MB."""
_GONE: Final = ""
"""What stands on disk where the document was deleted."""


async def editor_page(site: Site, file: str | None, line: int | None) -> None:
    """Lay the editor out."""
    lead = "Findings appear as you type. Nothing is saved until you say so. Esc, then Tab, leaves the text."
    editing = await asyncio.to_thread(Editing, site.home)
    with ruled(site, "/rules/edit", "Editor", lead=lead) as theme:
        if not editing.names:
            raw(tag("p", "The home holds no document.", class_="alert", role="alert"))
            return
        name = file if file in editing.names else editing.names[0]
        if file is not None and name != file:
            raw(nothing_of("document", file, f"{name} is shown"))
        if len(editing.text(name)) > _MOST_CHARACTERS:
            raw(tag("p", f"{name} is too long to be edited here.", class_="alert", role="alert"))
            return
        editor = _Editor(site, editing, name, line)
        theme.on("dark", lambda event: editor.dress(is_dark=bool(event.args)))


class _Side(ui.element, component="editor_side.js"):
    """What the browser does beside the editor: marks at lines, and what was typed and not saved."""


class _Editor:
    """One open document."""

    def __init__(self, site: Site, editing: Editing, name: str, line: int | None) -> None:
        self._site = site
        self._editing = editing
        self._name = name
        self._line = line
        self._before = editing.text(name)
        """What was on disk where the edit began: only this is replaced."""
        self._asked_about = self._before
        """What was on disk when the page said that it was changed."""
        self._checked: str | None = None
        self._is_checking = False
        ui.select(
            editing.names,
            label="Document",
            value=name,
            with_input=True,
            on_change=lambda event: ui.navigate.to(address("/rules/edit", file=event.value)),
        ).props("dense outlined options-dense").classes("find wider")
        self._notice = ui.element("div").props("role=status")
        with ui.element("div").classes("editor"):
            self._text = ui.codemirror(self._before, language="YAML", indent="  ", line_wrapping=False)
            self._side = _Side()
            self._side.on("found", self._found)
            self._html = LiveHtml(tag("div", soft("Checking …"), id_=_PART, class_="card", role="status"))
        self._save_row()
        ui.timer(0.2, self._begin, once=True)
        every(_SETTLED_S, self._look)
        every(_DISK_EVERY_S, self._look_at_disk)

    def _save_row(self) -> None:
        if not self._site.can_write:
            raw(tag("p", "This server was started without a token, so nothing can be saved here.", class_="soft"))
            return
        with ui.element("form").classes("filters").on("submit.prevent", self._save):
            self._token = ui.input("Token", password=True).props("dense outlined autocomplete=off").classes("filter")
            ui.button("Save").props("no-caps unelevated type=submit")
            self._said = ui.element("div").props("role=status")

    async def _begin(self) -> None:
        """Take the colours of the page, what was typed before, and the line that was asked for."""
        self.dress(is_dark=await ui.run_javascript("document.body.classList.contains('body--dark')", timeout=5))
        self._side.run_method("begin", self._text.id, self._name, self._before, self._line)

    def dress(self, *, is_dark: bool) -> None:
        """Be light or dark."""
        # As a property it would come with the text as this side last saw it, and take back what was typed meanwhile.
        self._text.run_method("setTheme", "githubDark" if is_dark else "githubLight")

    def _found(self, event: events.GenericEventArguments) -> None:
        """What was typed before is back, which began with the text that is told."""
        self._before = self._asked_about = str(event.args)
        self._tell("What was typed here and not saved is back.")

    async def _look(self) -> None:
        text = self._text.value
        if text == self._checked or self._is_checking:
            return
        self._is_checking = True
        try:
            checked = await asyncio.to_thread(self._editing.check, self._name, text)
        except EditError as error:
            self._html.show({_PART: tag("div", tag("p", f"{error.message}: {error.help}."), id_=_PART, class_="card")})
            return
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
        self._side.run_method(
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

    # --- what is on disk ---------------------------------------------------------------------------------------------

    async def _look_at_disk(self) -> None:
        """See whether the home was changed since: another document changes what is found, this one is asked about."""
        if await asyncio.to_thread(self._editing.read_again):
            self._checked = None
        now = self._editing.text(self._name) if self._name in self._editing.names else _GONE
        if now == self._asked_about:
            return
        self._asked_about = now
        if now == self._before:
            self._tell("")
        elif now == self._text.value:
            self._keep(now)
        elif now == _GONE:
            self._tell("The file was deleted on disk; what is typed here cannot be saved.")
        elif self._text.value == self._before:
            await self._take_unless_typed(now)
        else:
            self._ask(now)

    def _tell(self, text: str) -> None:
        self._notice.clear()
        if text:
            with self._notice:
                raw(tag("p", text, class_="notice"))

    def _ask(self, now: str) -> None:
        """Say what was changed on disk since the edit began, and ask which of the two shall be."""
        change = difflib.unified_diff(self._before.splitlines(), now.splitlines(), "as it was", "on disk", lineterm="")
        shown = tag("details", tag("summary", "what was changed"), tag("pre", join(change, "\n")))
        self._notice.clear()
        with self._notice, ui.element("div").classes("notice"):
            raw(tag("p", "The file was changed on disk since this edit began."), shown)
            with ui.element("div").classes("filters"):
                ui.button("Keep what is typed", on_click=lambda: self._keep(now)).props("no-caps unelevated")
                take = ui.button("Take the file", on_click=lambda: self._take(now, None))
                take.props("no-caps outline")  # which throws away what was typed

    async def _take_unless_typed(self, now: str) -> None:
        taken = await self._take(now, self._before)
        if taken:
            self._tell("The file was changed on disk: this is how it is now.")
        elif taken is None:
            self._asked_about = self._before  # to be seen again
        else:
            self._ask(now)

    async def _take(self, now: str, shown: str | None) -> bool | None:
        """Have the browser show what is on disk, in place of `shown` alone or of anything.

        Returns whether it did; None where it does not answer.
        """
        taken = await self._ask_browser("take", now, shown)
        if taken is not True:
            return False if taken is False else None
        self._tell("")
        self._before = self._asked_about = now
        return True

    async def _ask_browser(self, method: str, *args: object) -> object:
        """What a method of the browser's side gives; None where there is no answer."""
        try:
            return await self._side.run_method(method, *args, timeout=_ANSWER_S)
        except TimeoutError:
            return None

    def _keep(self, now: str) -> None:
        """To save replaces from here on what is on disk now."""
        self._tell("")
        self._begin_with(now)

    def _begin_with(self, text: str) -> None:
        self._before = self._asked_about = text
        self._side.run_method("based", text)

    async def _save(self) -> None:
        given, self._token.value = self._token.value or "", ""
        try:
            self._site.check_token(given, client_of(ui.context.client.ip))
            text, before = await self._held()
            await asyncio.to_thread(self._editing.save, self._name, text, before)
        except ProblemError as error:
            self._say(f"Not saved: {error.detail}.", "error")
        except EditError as error:
            self._say(f"Not saved: {error.message}; {error.help}.", "error")
        else:
            self._begin_with(text)
            self._checked = None  # other documents may be others as well
            self._tell("")
            self._say("Saved. A session that watches the home takes it from here.", "ok")

    def _say(self, text: str, state: str) -> None:
        """What became of a save, with the sign and the colour of `state`."""
        self._said.clear()
        with self._said:
            raw(tag("p", mark(state, text), class_="said"))

    async def _held(self) -> tuple[str, str]:
        """What the browser shows, and what was on disk where that edit began: this side may know less of both.

        Raises:
            EditError: if the browser does not say.

        """
        match await self._ask_browser("held"):
            case {"text": str(text), "before": str(before)}:
                return text, before
            case _:
                raise EditError("the browser does not say what it shows", "try again, or load the page anew")
