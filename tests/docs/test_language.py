"""The examples of docs/language.md are one home that loads, and its expressions have the values it states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine import Book, load
from engine.language.evaluate import Environment, Known, Missing, evaluate
from engine.language.findings import LoadError
from engine.language.model import Claim
from tests.docs.test_findings import codes_in, files_in

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/language.md").read_text(encoding="utf-8")
HOME = files_in("\n".join(re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)))
LINES = re.findall(r"^(.+?) +# (\w+)$", re.findall(r"```expressions\n(.*?)```", PAGE, re.DOTALL)[0], re.MULTILINE)
NAMES: dict[str, Known] = {
    "bid": 99.0, "ask": 101.0, "qty": 0.0, "urgent": True, "side": "buy", "venue": "here", "spread_bps": Missing.ABSENT,
}  # fmt: skip
REFUSED = {"unit": "unit.mismatch", "syntax": "expression.syntax"}


def write_home(folder: Path, changed: dict[str, str] | None = None) -> Path:
    for name, text in {**HOME, **(changed or {})}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_home(tmp_path)


def test_the_home_of_the_page_loads() -> None:
    assert codes_in(HOME) == {}


@pytest.mark.parametrize(("expression", "stated"), LINES)
def test_an_expression_has_the_value_stated(tmp_path: Path, expression: str, stated: str) -> None:
    policy = re.sub(r"    claim: route == taker.*", f'    claim: "{expression}"', HOME["policies/routing.yaml"])
    home = write_home(tmp_path, {"policies/routing.yaml": policy})
    if stated in REFUSED:
        with pytest.raises(LoadError) as caught:
            load("prod", home)
        assert [finding.code for finding in caught.value.findings] == [REFUSED[stated]]
        return
    claim = load("prod", home).policy("routing").invariants[1]
    assert isinstance(claim, Claim)
    value = evaluate(claim.claim.expression, Environment(NAMES, {}))
    assert {True: "true", False: "false", Missing.ABSENT: "unknown"}[value] == stated


def decided(home: Path, profile: str, facts: dict[str, object]) -> tuple[object, ...]:
    made = [
        Book(load(profile, home).rulebook, backend).decide("routing", facts) for backend in ("compiled", "interpreter")
    ]
    assert made[0].json() == made[1].json()
    return (*made[0].values.values(), made[0].vetoes)


def test_the_home_decides_as_the_page_says(home: Path) -> None:
    market = {"observed_at": 100.0, "bid": 99.0, "ask": 101.0, "spread_bps": 11.0}
    facts = {"now": 101.0, "market": market, "intent": {"side": "buy", "qty": 1.0, "urgent": True}}
    assert decided(home, "prod", facts) == ("low", False, 2.5, "taker", ("gates.hurried",))
    assert decided(home, "testnet", facts) == ("middle", True, 2.0, "maker", ())
    # An age of exactly the limit is fresh; then all facts of the group are missing at once.
    assert decided(home, "prod", facts | {"now": 105.0})[0] == "low"
    assert decided(home, "prod", facts | {"now": 105.001}) == (
        "middle", False, 2.0, "taker", ("gates.too_wide", "gates.hurried", "gates.no_spread")
    )  # fmt: skip
    # A bound below the start lowers it, and the symbol's group has its own number.
    tight = facts | {"market": market | {"spread_bps": 1.0}, "intent": {"side": "buy", "qty": 1}}
    assert decided(home, "prod", tight) == ("high", True, 1.0, "maker", ())
    wide = facts | {"symbol": "DOGEUSDT", "market": market | {"spread_bps": 24.0}}
    assert decided(home, "testnet", wide)[-1] == ()
    assert decided(home, "testnet", wide | {"symbol": "BTCUSDT"})[-1] == ("gates.too_wide",)


def test_triggering_leaves_are_those_the_page_names(home: Path) -> None:
    book = load("prod", home)
    vetoes = book.decide("routing", {"now": 1.0, "intent": {"side": "sell", "qty": 0.0}}).record()["vetoes"]
    assert [leaf["when"] for leaf in vetoes[-1]["leaves"]] == ["side == sell", "qty <= 0"]
    vetoes = book.decide("routing", {"now": 1.0}).record()["vetoes"]
    assert [leaf["when"] for leaf in vetoes[-1]["leaves"]] == ["qty is missing"]


@pytest.mark.parametrize("name", ["language.md", "findings.md", "decisions.md"])
def test_a_page_keeps_to_one_sentence_a_line_and_to_this_repository(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]*)(#[^)]*)?\)", text):
        page = (ROOT / "docs" / (target or name)).read_text(encoding="utf-8")
        headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in page.splitlines()}
        assert not anchor or anchor[1:] in headings
    assert "http" not in text
