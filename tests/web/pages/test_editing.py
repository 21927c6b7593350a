"""Documents edited in memory: the loader's findings at their lines, and saving that hurts nobody."""

from __future__ import annotations

import codecs
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.home import init_workspace
from engine.language.load import Files, read_files
from engine.web.pages import editing as pages_editing
from engine.web.pages.editing import EditError, Editing

NAME = "rules/quality.yaml"


@pytest.fixture
def editing(tmp_path: Path) -> Editing:
    init_workspace(tmp_path)
    return Editing(tmp_path)


def test_the_text_as_it_is_is_sound_and_gives_the_versions_in_force(editing: Editing) -> None:
    checked = editing.check(NAME, editing.text(NAME))
    assert checked.is_sound
    assert dict(checked.profiles).keys() == {"prod", "testnet"}
    assert None not in dict(checked.profiles).values()


def test_a_finding_stands_at_its_line_and_says_which_profiles_fail(editing: Editing) -> None:
    checked = editing.check(NAME, f"nonsense: 1\n{editing.text(NAME)}")
    assert not checked.is_sound
    assert [(each.span.line, each.code) for each in checked.of(NAME)] == [(1, "shape.unknown_key")]
    assert set(dict(checked.profiles).values()) == {None}


@pytest.mark.parametrize("text", ["", "\x00", "a: [", "- " * 5000, "\ud800"])
def test_any_text_can_be_checked(editing: Editing, text: str) -> None:
    assert not editing.check(NAME, text).is_sound


def test_a_sound_text_is_saved_whole(editing: Editing) -> None:
    before = editing.text(NAME)
    text = f"# tried\n{before}"
    editing.save(NAME, text, before)
    assert (editing.home / NAME).read_text() == text
    editing.save(NAME, f"# again\n{text}", text)


def test_a_document_is_saved_as_it_was_written(editing: Editing, tmp_path: Path) -> None:
    path = editing.home / NAME
    target = tmp_path / "elsewhere.yaml"
    target.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\n", b"\r\n"))
    target.chmod(0o640)
    path.unlink()
    path.symlink_to(target)
    editing.read_again()
    before = editing.text(NAME)
    assert "\r" not in before
    editing.save(NAME, f"# tried\n{before}", before)
    assert path.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    written = target.read_bytes()
    assert written.startswith(codecs.BOM_UTF8 + b"# tried\r\n")
    assert written.count(b"\n") == written.count(b"\r\n") == before.count("\n") + 1


@pytest.mark.parametrize("name", ["../outside.yaml", "/etc/passwd", "rules/none.yaml", "rules/../rules/quality.yaml"])
def test_only_documents_of_the_home_are_written(editing: Editing, name: str) -> None:
    with pytest.raises(EditError, match="no document of this home"):
        editing.save(name, "a: 1", "")


def test_what_would_not_load_is_not_saved(editing: Editing) -> None:
    before = editing.text(NAME)
    with pytest.raises(EditError, match="would not load"):
        editing.save(NAME, f"nonsense: 1\n{before}", before)
    with pytest.raises(EditError, match="half a character"):
        editing.save(NAME, f"# \ud800\n{before}", before)
    assert (editing.home / NAME).read_text() == before


def test_what_somebody_else_changed_is_not_overwritten(editing: Editing) -> None:
    text = editing.text(NAME)
    (editing.home / NAME).write_text(f"# theirs\n{text}")
    with pytest.raises(EditError, match="changed meanwhile"):
        editing.save(NAME, f"# mine\n{text}", text)
    assert (editing.home / NAME).read_text().startswith("# theirs")


def test_of_several_who_edit_the_same_text_one_is_saved(editing: Editing) -> None:
    text = editing.text(NAME)

    def save(number: int) -> bool:
        try:
            Editing(editing.home).save(NAME, f"# {number}\n{text}", text)
        except EditError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        saved = list(pool.map(save, range(4)))
    assert saved.count(True) == 1
    assert (editing.home / NAME).read_text() == f"# {saved.index(True)}\n{text}"


def test_what_is_saved_has_to_load_beside_the_other_documents_as_they_are_by_then(editing: Editing) -> None:
    text = editing.text(NAME)
    assert not editing.read_again()
    base = editing.home / "profiles" / "base.yaml"
    base.write_text(base.read_text().replace("quality.min_samples: 20", "quality.min_samples: none"))
    with pytest.raises(EditError, match="would not load"):
        editing.save(NAME, f"# mine\n{text}", text)
    assert Editing(editing.home).text(NAME) == text
    other = Editing(editing.home)
    base.write_text(base.read_text().replace("quality.min_samples: none", "quality.min_samples: 21"))
    assert other.read_again()


def test_what_is_saved_stays_though_a_reading_from_before_ends_after_it(
    editing: Editing, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = editing.text(NAME)
    text = f"# mine\n{before}"
    has_read, may_end = threading.Event(), threading.Event()

    def late(home: Path) -> Files:
        files = read_files(home)
        if threading.current_thread() is not threading.main_thread():
            has_read.set()
            assert may_end.wait(30)
        return files

    monkeypatch.setattr(pages_editing, "read_files", late)
    with ThreadPoolExecutor(1) as pool:
        look = pool.submit(editing.read_again)
        assert has_read.wait(30)
        editing.save(NAME, text, before)
        may_end.set()
        assert not look.result(30)
    assert editing.text(NAME) == text


def test_what_is_shown_meanwhile_is_not_what_a_save_is_held_against(
    editing: Editing, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = editing.text(NAME)
    old = read_files(editing.home)
    (editing.home / NAME).write_text(f"# theirs\n{before}")

    monkeypatch.setattr(Editing, "read_again", lambda self: setattr(self, "_files", old))  # a slow thread's
    with pytest.raises(EditError, match="changed meanwhile"):
        editing.save(NAME, f"# mine\n{before}", before)
    assert (editing.home / NAME).read_text().startswith("# theirs")
