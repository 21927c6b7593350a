"""The dashboard as people use it: in a browser, beside a session that trades while they look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from engine.routing.intents import LONGEST_ID
from tests.web.browser import Serving, Watched, chromium, picture, serving, unreadable, until, watched
from tests.web.test_pauses import moved
from tests.web.world import TOKEN, a_session, write

PAGES = {
    "/": "health",
    "/decisions": "decisions",
    "/vetoes": "vetoes",
    "/rules": "rules",
    "/rules/values": "values",
    "/rules/compare": "compare",
    "/rules/proofs": "proofs",
    "/rules/history": "history",
    "/rules/set/quality": "ruleset",
    "/rules/edit?file=rules/quality.yaml": "editor",
    "/rules/play": "playground",
    "/what-if": "what_if",
}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A session of the testnet profile, eight times as fast as its market: it goes on for two and a half minutes."""
    folder = tmp_path_factory.mktemp("session")
    arguments = ("-p", "testnet", "--generated", "--speed", "8", "--web", "--reload-gate", "findings")
    with serving(folder / "home", folder / "logs", *arguments) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def seen(browser: Browser, session: Serving) -> Iterator[Watched]:
    with watched(browser, session.url) as page:
        yield page


def test_decisions_arrive_as_they_are_made_and_can_be_filtered(seen: Watched) -> None:
    page = seen.go("/decisions")
    first = page.locator("#feed tr").first
    expect(first).to_be_visible()
    before = first.inner_text()
    until(lambda: first.inner_text() != before, "a new decision on top")
    page.get_by_label("Route").click()
    page.get_by_role("option", name="taker", exact=True).click()
    until(lambda: set(_column(page, "route")) == {"▶ taker"}, "takers alone")
    page.get_by_role("switch", name="live").click()
    expect(page.locator("#feed-note")).to_contain_text("held still: ")
    held, waits = first.inner_text(), page.locator("#feed-note").inner_text()
    until(lambda: page.locator("#feed-note").inner_text() != waits, "more of them wait")
    assert first.inner_text() == held
    page.get_by_role("switch", name="live").click()
    expect(page.locator("#feed-note")).to_be_empty()
    until(lambda: first.inner_text() != held, "it goes on")
    assert page.evaluate("location.search") == "?route=taker"
    page.reload()
    until(lambda: set(_column(page, "route")) == {"▶ taker"}, "the filter stands in the address")


def _column(page: Page, name: str) -> list[str]:
    texts = page.locator(f"#feed td[data-label='{name}']").all_inner_texts()
    return [text.partition("\n")[0].strip() for text in texts]


def test_older_decisions_stand_still_under_an_address_of_their_own(seen: Watched) -> None:
    page = seen.go("/decisions")
    page.get_by_role("button", name="older →").click()
    page.wait_for_url("**/decisions?before=*")
    expect(page.locator("#feed-note")).to_contain_text("held still: ")
    first, waits = page.locator("#feed tr").first, page.locator("#feed-note").inner_text()
    held = first.inner_text()
    until(lambda: page.locator("#feed-note").inner_text() != waits, "newer ones wait")
    assert first.inner_text() == held
    page.reload()
    expect(first).to_have_text(re.compile(re.escape(held.split()[0])))
    page.get_by_role("button", name="newest").click()
    page.wait_for_url("**/decisions")
    until(lambda: first.inner_text() != held, "it goes on")


def test_an_intent_is_found_by_its_id_which_may_be_long(seen: Watched, session: Serving) -> None:
    intent_id = "x" * LONGEST_ID
    _hand(session, intent_id)
    page = seen.go(f"/decisions?intent={intent_id[:9]}")
    expect(page.locator("#feed .intent")).to_have_text([intent_id])
    _fits(page)
    page.locator("#feed a", has_text="open").click()
    expect(page.locator("h1", has_text=intent_id).last).to_be_visible()
    _fits(page)
    page = seen.go("/decisions")
    page.get_by_label("Intent").fill("nobody-1")
    expect(page.get_by_text("Enter looks for the whole id in the journal.")).to_be_visible()
    page.get_by_label("Intent").press("Enter")
    expect(page.locator("#app").get_by_text("The journal holds no intent of this id")).to_be_visible()
    assert page.evaluate("location.search") == "?intent=nobody-1"


def _hand(session: Serving, intent_id: str) -> None:
    """Hand an intent over that crosses at once."""
    said = {"intent_id": intent_id, "symbol": "BTCUSDT", "side": "buy", "qty": 0.01, "order_type": "market"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(f"{session.url}/v1/intents", json=said, headers=headers).status_code == 202

    def is_there() -> bool:
        found = httpx.get(f"{session.url}/v1/intents/{intent_id}").json()
        return bool(found.get("routes"))

    until(is_there, "it was routed")


def _fits(page: Page) -> None:
    """Nothing has to be scrolled sideways, wide or narrow."""
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/rules/edit?file=nope", "There is no document `nope`: "),
        (f"/rules/play?decision={'f' * 24}", f"There is no decision `{'f' * 24}`: "),
        ("/what-if?parameter=nope", "There is no parameter `nope`: "),
        ("/rules/values?symbol=NOPE", "There is no group with the symbol `NOPE`: "),
    ],
)
def test_what_an_address_asks_for_and_is_not_there_is_said(seen: Watched, path: str, said: str) -> None:
    expect(seen.go(path).locator("#app .notice")).to_contain_text(said)


def test_health_follows_the_snapshots(seen: Watched) -> None:
    page = seen.go("/")
    expect(page.locator("#health-rows tbody tr").first).to_be_visible()
    tick = page.locator("#fresh-details").inner_text()
    ages = page.locator("#health-rows").inner_text()
    until(lambda: page.locator("#fresh-details").inner_text() != tick, "it says how old it is")
    until(lambda: page.locator("#health-rows").inner_text() != ages, "the next snapshot")
    page.get_by_label("Find a symbol").fill("eth")
    until(lambda: page.locator("#health-rows tbody tr").count() == 1, "one symbol")
    page.set_viewport_size({"width": 390, "height": 900})
    row = page.locator("#health-rows tbody tr")
    expect(row.locator("td[data-label='spread / regime']")).to_be_hidden()
    row.locator("summary").click()
    expect(row.locator("td[data-label='spread / regime']")).to_be_visible()


def test_an_edited_file_reloads_and_a_broken_one_shows_its_finding_while_the_old_version_stays(
    seen: Watched, session: Serving
) -> None:
    page = seen.go("/rules/values")
    values = page.context.new_page()
    values.goto(page.url)
    expect(values.locator("table.values-table")).to_be_visible()
    page = seen.go("/rules")
    version = page.locator("#in-force dd code").first
    before = version.inner_text()
    profile = session.home / "profiles" / "testnet.yaml"
    profile.write_text(profile.read_text().replace("value: 50", "value: 48", 1))
    until(lambda: version.inner_text() != before, "another version decides")
    expect(page.locator("#last-change")).to_contain_text("accepted")
    expect(values.get_by_text("Another rulebook decides by now")).to_be_visible()
    values.get_by_role("link", name="Load the page anew").click()
    expect(values.get_by_role("row", name="quality.broken_slippage_bps")).to_contain_text("48 bps")
    values.close()
    reloaded = version.inner_text()
    ruleset = session.home / "rules" / "quality.yaml"
    sound = ruleset.read_text()
    ruleset.write_text(f"nonsense: 1\n{sound}")
    try:
        expect(page.locator("#last-change")).to_contain_text("rule set has no key `nonsense`")
        expect(page.locator("#last-change")).to_contain_text("The version before goes on deciding.")
        assert version.inner_text() == reloaded
        health = page.context.new_page()
        health.goto(session.url)
        expect(health.locator("#app #rules-trouble")).to_contain_text("rule set has no key `nonsense`")
        health.close()
        picture(page, "rules-refused-1280-light")
    finally:
        ruleset.write_text(sound)
    expect(page.locator("#last-change")).not_to_contain_text("nonsense")


def test_the_editor_finds_what_is_wrong_at_its_line_and_saves_for_the_token_alone(
    seen: Watched, session: Serving
) -> None:
    page = seen.go("/rules/edit?file=rules/quality.yaml")
    file = session.home / "rules" / "quality.yaml"
    before = file.read_text()
    _type(page, "nonsense: 1\n")
    expect(page.locator(".found-error")).to_have_text("nonsense: 1")
    expect(page.locator("#editor-findings")).to_contain_text("rules/quality.yaml:1")
    picture(page, "editor-finding-1280-light")
    _save(page, TOKEN, "Not saved: it would not load")
    page.keyboard.press("Control+Home")
    page.locator(".cm-content").press("Control+Home")
    for _ in range(len("nonsense: 1")):
        page.keyboard.press("Delete")
    page.keyboard.type("# tried")
    expect(page.locator("#editor-findings")).to_contain_text("nothing to say")
    _save(page, "wrong-token-wrong-token", "Not saved: the token")
    assert file.read_text() == before
    _save(page, TOKEN, "Saved.")
    assert file.read_text() == f"# tried\n{before}"
    assert TOKEN not in page.content()


def _type(page: Page, text: str) -> None:
    """Put text before the document."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.type(text)


def test_what_was_typed_outlives_a_load_and_nobody_s_change_is_overwritten_unseen(
    seen: Watched, session: Serving
) -> None:
    page = seen.go("/rules/edit?file=rules/regime.yaml&line=24")
    file = session.home / "rules" / "regime.yaml"
    before = file.read_text()
    expect(page.locator(".cm-activeLine")).to_contain_text("id: panic")
    expect(page.get_by_role("textbox", name="rules/regime.yaml")).to_be_visible()
    expect(page.locator("#editor-findings")).to_contain_text("nothing to say")
    _type(page, "# typed\n")
    page.reload()
    expect(page.get_by_text("What was typed here and not saved is back.")).to_be_visible()
    expect(page.locator(".cm-line").first).to_have_text("# typed")
    try:
        file.write_text(f"# theirs\n{before}")
        expect(page.get_by_text("The file was changed on disk since this edit began.")).to_be_visible()
        page.get_by_text("what was changed").click()
        expect(page.locator(".notice pre")).to_contain_text("+# theirs")
        _save(page, TOKEN, "was changed meanwhile")
        assert file.read_text() == f"# theirs\n{before}"
        page.get_by_role("button", name="Take the file").click()
        expect(page.locator(".cm-line").first).to_have_text("# theirs")
        file.write_text(before)
        expect(page.get_by_text("The file was changed on disk: this is how it is now.")).to_be_visible()
        expect(page.locator(".cm-line").first).not_to_have_text("# theirs")
    finally:
        file.write_text(before)
    assert page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('sluice'))") == []


def test_what_is_shown_is_saved_though_the_server_was_not_told_of_it_and_nothing_where_the_browser_is_silent(
    seen: Watched, session: Serving
) -> None:
    page = seen.go("/rules/edit?file=rules/regime.yaml")
    file = session.home / "rules" / "regime.yaml"
    before = file.read_text()
    expect(page.locator("#editor-findings")).to_contain_text("nothing to say")
    expect(page.get_by_role("textbox", name="rules/regime.yaml")).to_be_visible()
    try:
        page.evaluate("getElement(document.querySelector('.nicegui-codemirror').id.slice(1)).emitting = false")
        _type(page, "# shown\n")
        _save(page, TOKEN, "Saved.")
        assert file.read_text() == f"# shown\n{before}"
        side = "getElement(document.querySelector('.editor > div[hidden]').id.slice(1))"
        page.evaluate(f"() => {{ {side}.held = () => new Promise(() => {{}}); }}")  # what it gives is not called
        _type(page, "# typed\n")
        _save(page, TOKEN, "Not saved: the browser does not say what it shows")
        assert file.read_text() == f"# shown\n{before}"
    finally:
        file.write_text(before)


def test_what_is_typed_after_the_file_was_taken_from_disk_is_told_in_order(seen: Watched, session: Serving) -> None:
    page = seen.go("/rules/edit?file=rules/regime.yaml")
    file = session.home / "rules" / "regime.yaml"
    before = file.read_text()
    expect(page.locator("#editor-findings")).to_contain_text("nothing to say")
    try:
        file.write_text(f"# theirs\n{before}")
        expect(page.locator(".cm-line").first).to_have_text("# theirs")
        _type(page, "nonsense: 1\n")
        expect(page.locator(".found-error")).to_have_text("nonsense: 1")
        expect(page.locator("#editor-findings")).to_contain_text("rules/regime.yaml:1")
    finally:
        file.write_text(before)


def _save(page: Page, token: str, said: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(said)).to_be_visible()


def test_one_decision_opens_with_its_trace_its_story_and_why_not_maker(seen: Watched) -> None:
    page = seen.go("/decisions?route=taker")
    page.locator("#feed a", has_text="open").first.click()
    expect(page.get_by_role("heading", name="What was decided")).to_be_visible()
    expect(page.locator(".steps").get_by_text("rules/").first).to_be_visible()
    expect(page.locator(".story li").first).to_contain_text("intent")
    page.get_by_role("button", name="Ask the solver").click()
    expect(page.get_by_role("heading", name="On other facts")).to_be_visible(timeout=60_000)
    _fits_a_phone(page)
    picture(page, "decision-1280-light")


def test_the_playground_decides_as_facts_move(seen: Watched) -> None:
    page = seen.go("/rules/play")
    played = page.locator(".play")
    expect(page.locator("#played")).to_contain_text("It would decide")
    step = page.locator("#step-1")
    step.locator("summary").first.click()
    expect(step).not_to_have_attribute("open", "")
    group = page.locator("details.card", has_text="telemetry").first
    group.locator("summary").click()
    before = played.text_content()
    slider = group.get_by_role("slider", name="maker_fill_ratio")
    slider.focus()
    expect(slider).to_be_focused()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    until(lambda: played.text_content() != before, "another trace")
    expect(step).not_to_have_attribute("open", "")
    group.get_by_role("switch", name="telemetry known").click()
    expect(page.locator("#played-steps")).to_contain_text("telemetry.maker_fill_ratio ∅ absent")


def test_the_spread_of_the_playground_follows_its_prices(seen: Watched) -> None:
    page = seen.go("/rules/play")
    group = page.locator("details.card", has=page.locator("summary b").get_by_text("market", exact=True))

    def of(name: str) -> Locator:
        return group.get_by_role("spinbutton", name=name, exact=True)

    if group.get_attribute("open") is None:
        group.locator("summary").click()
    of("bid").fill("100")
    of("ask").fill("101")
    expect(of("mid")).to_have_value("100.5")
    expect(of("spread_bps")).to_have_value("99.50248756")
    of("spread_bps").fill("20")
    expect(of("ask")).to_have_value("100.6005")


def test_another_value_is_tried_on_what_was_decided(seen: Watched) -> None:
    page = seen.go("/what-if?parameter=quality.good_maker_fill_ratio")
    page.get_by_label("Value").fill("0.99")
    page.get_by_role("button", name="Decide again").click()
    expect(page.get_by_role("heading", name="quality.good_maker_fill_ratio = 0.99")).to_be_visible()
    expect(page.get_by_role("heading", name="Transitions")).to_be_visible()
    row = page.locator("tr", has_text="route").filter(has_text="▶ taker")
    expect(row.locator("td[data-label='journaled']")).to_have_text("◆ maker")
    picture(page, "what_if-answer-1280-light")
    _fits_a_phone(page)
    page.get_by_label("Value").fill("7")
    page.get_by_role("button", name="Decide again").click()
    expect(page.get_by_role("alert")).to_contain_text("out of range")


def _fits_a_phone(page: Page) -> None:
    """Nothing has to be scrolled sideways."""
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})


def test_every_page_opens_wide_and_narrow_light_and_dark(seen: Watched) -> None:
    for path, name in PAGES.items():
        page = seen.go(path)
        page.wait_for_timeout(150)  # for what comes over the web socket
        backgrounds = []
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for theme in THEMES:
                page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # colours change at once
                expect(page.locator(f"body.body--{theme}")).to_have_count(1)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{path} is {wide} px wide at {width} px"
                backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
                picture(page, f"{name}-{width}-{theme}")
                if width == 1280:
                    assert unreadable(page) == [], f"{path}, {theme}"
        assert len(set(backgrounds)) == 2, f"{path} looks alike in light and dark"
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light", reduced_motion="no-preference")


@pytest.mark.parametrize("path", ["/nosuch", "/decisions/zz", f"/decisions/{'0' * 24}"])
def test_what_is_not_there_is_404_on_a_page_with_the_menu(browser: Browser, session: Serving, path: str) -> None:
    page = browser.new_page()
    answer = page.goto(f"{session.url}{path}")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("link", name="Health").first.click()
    expect(page.locator("#health-rows")).to_be_visible()
    page.close()


def test_a_keyboard_reaches_everything(seen: Watched) -> None:
    page = seen.go("/decisions")
    page.locator("#feed a").first.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    reached = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
        )
    assert {"Health", "Rules", "What if", "Symbol", "Route", "live"} <= reached, reached
    theme = page.get_by_role("button", name="theme")
    theme.focus()
    for _ in range(2):
        page.keyboard.press("Enter")
    expect(page.locator("body.body--dark")).to_have_count(1)
    page.reload()
    expect(page.locator("body.body--dark")).to_have_count(1)


def test_a_breaker_that_moves_after_the_snapshot_is_said_above_its_figures(browser: Browser, tmp_path: Path) -> None:
    events, journal = a_session(), tmp_path / "logs" / "journal"
    write(journal, events)
    at = len(events)
    arguments = ("-p", "prod", "--no-prove")
    with (
        serving(tmp_path / "home", tmp_path / "logs", *arguments, command="serve") as running,
        watched(browser, running.url) as seen,
    ):
        page = seen.go("/")
        since = page.locator("#health-since")
        expect(page.locator("#health-summary")).to_contain_text("makers may rest")
        expect(since).to_be_empty()
        write(journal, [moved(at + 1, "closed", "open", scope="venue")])
        expect(since).to_contain_text("▲ since this snapshot")
        expect(since).to_contain_text("the breaker of the venue opened")
        assert page.locator("#health-since, #health-summary").first.get_attribute("id") == "health-since"
        assert unreadable(page) == []
        picture(page, "health_since")
        page.reload()
        expect(since).to_contain_text("makers wait")


def test_off_loopback_a_browser_is_asked_for_the_token(browser: Browser, tmp_path: Path) -> None:
    write(tmp_path / "logs" / "journal", a_session())
    arguments = ("-p", "prod", "--host", "0.0.0.0", "--no-prove")  # noqa: S104 - that is what is tested
    with serving(tmp_path / "home", tmp_path / "logs", *arguments, command="serve") as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - the same
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{url}/decisions")
        assert page.url == f"{url}/login?next=/decisions"
        page.get_by_label("Token").fill("wrong-token-wrong-token")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Decisions")).to_be_visible()
        assert page.url == f"{url}/decisions"
        assert TOKEN not in page.content()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.goto(url)
        assert page.url == f"{url}/login"
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_function("window.did_handshake")
        expect(page.get_by_text("the server does not answer")).to_have_count(0)
    expect(page.get_by_text("the server does not answer")).to_be_visible()
    expect(page.locator("#fresh-state")).to_be_hidden()
    expect(page.locator("#fresh-details")).to_be_hidden()
    assert unreadable(page) == []
    context.close()
