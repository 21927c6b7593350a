"""What is built from this tree works where the tree is not: the wheel, installed on its own, and the lock files."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("rules", "policies", "profiles", "docs/schema")
EXTRAS = ("ccxt", "duckdb", "fastapi", "ibis", "nicegui", "prometheus_client", "uvicorn", "watchfiles", "z3")
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def run(*command: str | Path, cwd: Path, expected: int = 0) -> str:
    """Run a command without this process's settings for Python, and with no input; what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == expected, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built straight from the checkout, without a network."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=ROOT)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a fresh environment that holds the wheel and borrows this one's dependencies.

    Borrowed by a line in a .pth file: .pth files of the borrowed folder itself, and with them the editable install of
    this checkout, are not read through it.
    """
    place = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=place)
    (site_packages,) = place.glob("lib/python*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("platlib") + "\n")
    return place / "bin"


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in SHIPPED
        for path in (folder / name).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_the_wheel_holds_the_engine_the_command_and_the_shipped_set(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    code = {str(path.relative_to(ROOT)) for kind in ("py", "lark") for path in (ROOT / "engine").rglob(f"*.{kind}")}
    assert {*code, "engine/py.typed", "cli.py"} <= names
    assert {f"engine/shipped/{name}" for name in files_of(ROOT)} <= names
    assert {"engine/shipped/docs/findings.md", "engine/shipped/docs/language.md"} <= names
    top = {name.split("/")[0] for name in names}
    assert top == {"engine", "cli.py", "sluice_router-0.1.0.dist-info"}, "nothing else lands in site-packages"


def test_the_wheel_names_its_command_extras_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = message_from_bytes(archive.read("sluice_router-0.1.0.dist-info/METADATA"))
        scripts = archive.read("sluice_router-0.1.0.dist-info/entry_points.txt").decode()
    assert metadata["Name"] == "sluice-router"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra", [])) == {"replay", "prove", "live", "web", "all"}
    assert "sluice = cli:main" in scripts


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, cwd=ROOT)
    (rebuilt,) = tmp_path.glob("*.whl")
    assert rebuilt.name == wheel.name
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(rebuilt) as second:
        assert {name: first.read(name) for name in first.namelist()} == {
            name: second.read(name) for name in second.namelist()
        }


def test_an_installed_wheel_ships_rules_policies_and_profiles(installed: Path, tmp_path: Path) -> None:
    code = "import engine.home; print(engine.home.shipped_home())"
    home = Path(run(installed / "python", "-c", code, cwd=tmp_path).strip())
    assert installed.parent in home.parents, "not the checkout's"
    assert (home / "profiles" / "base.yaml").is_file()
    assert files_of(home) == files_of(ROOT)


def test_init_makes_a_workspace_from_the_wheel_and_check_passes_in_it(installed: Path, tmp_path: Path) -> None:
    run(installed / "sluice", "init", "mine", cwd=tmp_path)
    assert files_of(tmp_path / "mine") == files_of(ROOT)
    for path in (tmp_path / "mine").rglob("*.yaml"):
        named = re.match(r"# yaml-language-server: \$schema=(\S+)", path.read_text())
        assert named is None or (path.parent / named[1]).is_file(), "editors find the schema"
    run(installed / "sluice", "check", cwd=tmp_path / "mine")
    assert "Avoid:" in run(installed / "sluice", "findings", "name.unknown", cwd=tmp_path)
    run(installed / "sluice", "--home", "mine", "check", cwd=tmp_path)
    run(installed / "sluice", "check", "--home", "mine", cwd=tmp_path)


def test_a_second_init_refuses_and_loses_nothing(installed: Path, tmp_path: Path) -> None:
    run(installed / "sluice", "init", "mine", cwd=tmp_path)
    (tmp_path / "mine" / "profiles" / "base.yaml").write_text("# tuned\n")
    before = files_of(tmp_path / "mine")
    run(installed / "sluice", "init", "mine", cwd=tmp_path, expected=2)
    assert files_of(tmp_path / "mine") == before


def test_check_reads_the_workspace_around_it_and_else_the_shipped_set(installed: Path, tmp_path: Path) -> None:
    run(installed / "sluice", "check", cwd=tmp_path)
    run(installed / "sluice", "init", ".", cwd=tmp_path)
    (tmp_path / "profiles" / "prod.yaml").write_text("profile: [\n")
    run(installed / "sluice", "check", cwd=tmp_path, expected=1)


@pytest.mark.parametrize("module", ["engine", "cli"])
def test_importing_the_core_imports_no_extra(installed: Path, tmp_path: Path, module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({EXTRAS!r}) & set(sys.modules)))"
    assert run(installed / "python", "-c", code, cwd=tmp_path).split() == []


@pytest.mark.parametrize("module", ["engine", "cli"])
def test_the_core_imports_where_no_extra_is_installed(installed: Path, tmp_path: Path, module: str) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS!r})); import {module}"  # None: the import fails
    run(installed / "python", "-c", code, cwd=tmp_path)


def pins(lock: Path) -> dict[str, Version]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE)
    return {normal(name): Version(version) for name, version in found}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_there_is_a_lock_for_building_running_testing_and_benchmarks() -> None:
    assert [lock.stem for lock in LOCKS] == ["bench", "build", "dev", "run"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_locked_version_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "make lock" in text.split("\n\n", 1)[0], "the head says how to write it anew"
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    entries = [entry for entry in entries if entry.strip()]
    assert len(entries) == len(pins(lock)) > 0
    for entry in entries:
        assert re.fullmatch(r"\s*\S+==\S+( ;[^\\]+)? \\\n(\s+--hash=sha256:[0-9a-f]{64}( \\\n|\s*$))+", entry), entry
    assert "://" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|@ file|(^|\s)/\w", text)


def test_the_locks_fit_each_other_and_the_project() -> None:
    locked = {lock.stem: pins(lock) for lock in LOCKS}
    for stem, versions in locked.items():
        for name, version in versions.items():
            others = {other[name] for other in locked.values() if name in other}
            assert others == {version}, f"{name} in {stem}.txt"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["replay"]]
    for requirement in wanted:
        assert locked["run"][normal(requirement.name)] in requirement.specifier, f"run `make lock`: {requirement}"
    assert locked["run"].items() <= locked["dev"].items(), "the tests run on what users run on"


def test_make_help_lists_every_target_with_its_purpose() -> None:
    make = shutil.which("make")
    assert make, "make is how this project is run"
    lines = run(make, "--no-print-directory", "help", cwd=ROOT).splitlines()
    assert {line.split()[1] for line in lines} >= {"run", "test", "test-slow", "bench", "lint", "lock", "clean"}
