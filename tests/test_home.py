"""Where documents are read from, and how a user gets a workspace of their own."""

from pathlib import Path

import pytest

from engine import home
from engine.home import HOME_FOLDERS, SCHEMAS, InitError, find_home, init_workspace, shipped_home


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small shipped set in place of the real one, with a subfolder, and a file that editors hide."""
    root = tmp_path / "installed"
    documents = ("rules/quality.yaml", "rules/extra/deep.yaml", "policies/routing.yaml", "profiles/base.yaml")
    for name in (*documents, "docs/schema/rule.json", "docs/page.md"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    (root / "rules/.quality.yaml.swp").write_text("junk")
    monkeypatch.setattr(home, "shipped_home", lambda: root)
    return root


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_checkout_ships_its_own_folders() -> None:
    assert shipped_home() == Path(home.__file__).resolve().parent.parent


def test_a_given_home_wins_even_over_a_workspace_around_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profiles").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_home(Path("elsewhere")) == Path("elsewhere")


def test_the_working_directory_is_home_if_it_holds_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_home(None) == shipped_home()
    (tmp_path / "profiles").write_text("a file is no folder")
    assert find_home(None) == shipped_home()
    (tmp_path / "profiles").unlink()
    (tmp_path / "profiles").mkdir()
    assert find_home(None) == tmp_path


def test_init_copies_the_shipped_set_and_returns_what_it_wrote(shipped: Path, tmp_path: Path) -> None:
    target = tmp_path / "not" / "there" / "yet"
    written = init_workspace(target)
    expected = {name: text for name, text in tree(shipped).items() if not name.endswith((".swp", ".md"))}
    assert tree(target) == expected
    assert [str(path.relative_to(target)) for path in written] == [
        "rules/extra/deep.yaml",
        "rules/quality.yaml",
        "policies/routing.yaml",
        "profiles/base.yaml",
        "docs/schema/rule.json",
    ]


@pytest.mark.usefixtures("shipped")
def test_init_leaves_other_files_of_the_folder_alone(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "docs").mkdir()
    (target / "notes.md").write_text("mine")
    (target / "docs/page.md").write_text("mine")
    (target / "rules").mkdir()
    init_workspace(target)
    assert (target / "notes.md").read_text() == (target / "docs/page.md").read_text() == "mine"
    assert (target / "rules/quality.yaml").exists()


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("folder", [*HOME_FOLDERS, SCHEMAS])
def test_init_refuses_a_folder_in_use_and_writes_nothing(tmp_path: Path, folder: str) -> None:
    target = tmp_path / "mine"
    (target / folder).mkdir(parents=True)
    (target / folder / "own.yaml").write_text("mine")
    (target / folder / "second.yaml").write_text("mine too")
    before = tree(target)
    with pytest.raises(InitError) as refused:
        init_workspace(target)
    assert tree(target) == before
    assert refused.value.message == f"`{target / folder / 'own.yaml'}` and 1 more already there, nothing was written"
    assert str(target) in refused.value.help
    assert str(refused.value) == f"{refused.value.message}\n  {refused.value.help}"


@pytest.mark.usefixtures("shipped")
def test_a_second_init_refuses_and_keeps_the_edits_of_the_first(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    init_workspace(target)
    (target / "profiles/base.yaml").write_text("tuned")
    before = tree(target)
    with pytest.raises(InitError, match="already there"):
        init_workspace(target)
    assert tree(target) == before


@pytest.mark.usefixtures("shipped")
def test_init_refuses_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "policies").symlink_to(tmp_path / "gone")
    with pytest.raises(InitError, match="already there"):
        init_workspace(target)
    assert [path.name for path in target.iterdir()] == ["policies"]


@pytest.mark.usefixtures("shipped")
def test_init_takes_back_what_it_wrote_when_a_write_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def full(path: Path) -> bytes:
        if path.name == "base.yaml":
            raise OSError(28, "No space left on device", str(path))
        return real(path)

    target = tmp_path / "mine"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", full)
        with pytest.raises(InitError, match="no space left on device"):
            init_workspace(target)
    assert tree(target) == {}
    init_workspace(target)
    assert tree(target)


@pytest.mark.usefixtures("shipped")
def test_init_into_a_file_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("mine")
    with pytest.raises(InitError, match="file"):
        init_workspace(target)
    assert target.read_text() == "mine"
