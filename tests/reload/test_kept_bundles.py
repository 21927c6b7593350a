"""Signed bundles that decided are kept, so that the keys of a later start can be asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.reload.bundle import Origin, Verified, build, verify
from engine.reload.errors import ReloadError
from engine.reload.kept_bundles import KeptBundles
from engine.reload.last_good import GoodRulebook
from engine.reload.read import read_home
from tests.reload.homes import PROFILE, VALUES, make_home, values
from tests.reload.signing import KEY, OTHER


def bundle(folder: Path, low_bps: float = 10, *, signed: bool = True) -> Verified:
    home = make_home(folder / "home")
    (home / VALUES).write_text(values(low_bps))
    data = build(read_home(home).files, PROFILE, Origin("Ada", 1, 1), key=KEY if signed else None)
    return verify(data)


def named(verified: Verified) -> GoodRulebook:
    rulebook = verified.rulebook
    return GoodRulebook(version=rulebook.version, sources=rulebook.sources_digest, at_ms=1)


def names(verified: Verified) -> tuple[str, str]:
    return verified.rulebook.version, verified.rulebook.sources_digest


def test_what_was_kept_is_verified_by_the_keys_of_now(tmp_path: Path) -> None:
    kept, verified = KeptBundles(tmp_path), bundle(tmp_path)
    kept.keep(verified)
    (path,) = kept.folder.iterdir()
    assert verify(path.read_bytes(), [KEY.public_key()]).rulebook.version == verified.rulebook.version, "as it came"
    kept.verify(*names(verified), PROFILE, [OTHER.public_key(), KEY.public_key()])
    with pytest.raises(ReloadError, match="not trusted here"):
        kept.verify(*names(verified), PROFILE, [OTHER.public_key()])
    with pytest.raises(ReloadError, match="of the profile `live`"):
        kept.verify(*names(verified), "prod", [KEY.public_key()])


def test_an_unsigned_bundle_is_not_kept(tmp_path: Path) -> None:
    kept, verified = KeptBundles(tmp_path), bundle(tmp_path, signed=False)
    kept.keep(verified)
    with pytest.raises(ReloadError, match="came in no signed bundle"):
        kept.verify(*names(verified), PROFILE, [KEY.public_key()])


def test_the_bundle_of_another_rulebook_vouches_for_none(tmp_path: Path) -> None:
    kept, one, other = KeptBundles(tmp_path), bundle(tmp_path), bundle(tmp_path, 12)
    kept.keep(one)
    (path,) = kept.folder.iterdir()
    kept.keep(other)
    path.write_bytes(other.bundle.written)
    with pytest.raises(ReloadError, match="is another one"):
        kept.verify(*names(one), PROFILE, [KEY.public_key()])


def test_the_oldest_are_removed_but_what_a_start_would_take(tmp_path: Path) -> None:
    kept, verified = KeptBundles(tmp_path), bundle(tmp_path)
    kept.keep(verified)
    (good,) = kept.folder.iterdir()
    os.utime(good, (0, 0))
    for number in range(1, 25):
        path = kept.folder / f"{number:02}.s.json"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    kept.forget([named(verified)])
    left = sorted(path.name for path in kept.folder.iterdir())
    assert left == sorted([good.name, *(f"{number:02}.s.json" for number in range(5, 25))])


def test_a_disk_that_does_not_take_it_is_said(tmp_path: Path) -> None:
    kept, verified = KeptBundles(tmp_path), bundle(tmp_path)
    kept.folder.parent.mkdir(parents=True)
    kept.folder.write_text("a file where a folder should be")
    with pytest.raises(ReloadError, match="cannot be written"):
        kept.keep(verified)
    kept.forget([])
