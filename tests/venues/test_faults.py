"""Which fault comes when: likelihoods, scripts, and that a fate depends on its own order alone."""

from collections import Counter
from collections.abc import Callable

import pytest

from engine.venues.codes import refusal_of
from engine.venues.faults import Fates, Faults, Script
from engine.venues.messages import Asked, Rejected
from engine.venues.paper import PaperSettings, PaperVenue
from tests.venues.paper_cases import RULES
from tests.venues.test_paper import BOOK, hear, place

MANY = 4000


def test_nothing_goes_wrong_by_default() -> None:
    fates = Fates(7, Faults(), jitter_ms=0)
    assert not Faults().happen
    assert not Faults(place={"timeout": 0.0}).happen
    assert fates.of_request("a", "place") == (None, True, 0, 0)
    assert fates.of_fill("a") == (None, 0)


@pytest.mark.parametrize("asked", ["place", "cancel", "query"])
def test_faults_come_about_as_often_as_they_are_likely(asked: Asked) -> None:
    faults = {
        "place": Faults(place={"timeout": 0.1, "rate_limit": 0.3}),
        "cancel": Faults(cancel={"timeout": 0.1, "rate_limit": 0.3}),
        "query": Faults(query={"timeout": 0.1, "rate_limit": 0.3}),
    }[asked]
    fates = Fates(7, faults, jitter_ms=0)
    drawn = Counter(fates.of_request(f"a{number}", asked).fault for number in range(MANY))
    assert set(drawn) == {"timeout", "rate_limit", None}
    assert 0.08 < drawn["timeout"] / MANY < 0.12
    assert 0.27 < drawn["rate_limit"] / MANY < 0.33


def test_fill_events_have_likelihoods_of_their_own() -> None:
    fates = Fates(7, Faults(place={"timeout": 1.0}, fill={"lost": 0.25}), jitter_ms=0)
    drawn = Counter(fates.of_fill(f"a{number}").fault for number in range(MANY))
    assert set(drawn) == {"lost", None}
    assert 0.22 < drawn["lost"] / MANY < 0.28


def test_an_unknown_outcome_is_done_half_of_the_time() -> None:
    fates = Fates(7, Faults(place={"unknown": 1.0}), jitter_ms=0)
    done = sum(fates.of_request(f"a{number}", "place").is_done for number in range(MANY))
    assert 0.46 < done / MANY < 0.54


def test_each_request_and_each_kind_has_a_fate_of_its_own() -> None:
    faults = Faults(place={"timeout": 0.5}, cancel={"timeout": 0.5})
    fates = Fates(7, faults, jitter_ms=0)
    placed = [fates.of_request("a", "place").fault for _ in range(30)]
    cancelled = [fates.of_request("a", "cancel").fault for _ in range(30)]
    assert set(placed) == set(cancelled) == {"timeout", None}
    assert placed != cancelled


def test_another_seed_gives_other_fates() -> None:
    def drawn(seed: int) -> list[str | None]:
        fates = Fates(seed, Faults(place={"timeout": 0.5}), jitter_ms=0)
        return [fates.of_request(f"a{number}", "place").fault for number in range(30)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_a_script_replaces_the_likelihoods_of_its_order() -> None:
    script = Script(place=("timeout", None, "ban"), cancel=("unknown",), fill=(None, "late"))
    fates = Fates(7, Faults(place={"unavailable": 1.0}, fill={"lost": 1.0}, scripts={"a": script}), jitter_ms=0)
    assert [fates.of_request("a", "place").fault for _ in range(5)] == ["timeout", None, "ban", None, None]
    assert [fates.of_request("a", "cancel").fault for _ in range(2)] == ["unknown", None]
    assert fates.of_request("a", "query").fault is None
    assert [fates.of_fill("a").fault for _ in range(3)] == [None, "late", None]
    assert fates.of_request("b", "place").fault == "unavailable"
    assert fates.of_fill("b").fault == "lost"


def test_jitter_takes_every_value_up_to_its_bound() -> None:
    fates = Fates(7, Faults(), jitter_ms=3)
    drawn = [fates.of_request(f"a{number}", "place") for number in range(200)]
    assert {fate.uplink_jitter_ms for fate in drawn} == {fate.downlink_jitter_ms for fate in drawn} == {0, 1, 2, 3}
    assert {fates.of_fill(f"a{number}").downlink_jitter_ms for number in range(200)} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Faults(place={"timeout": 1.1}),
        lambda: Faults(cancel={"timeout": -0.1}),
        lambda: Faults(query={"timeout": 0.6, "not_found": 0.6}),
        lambda: Faults(fill={"lost": float("nan")}),
    ],
)
def test_likelihoods_are_shares_of_one(make: Callable[[], Faults]) -> None:
    with pytest.raises(ValueError, match="likelihoods of faults must be 0 to 1"):
        make()


def test_waits_are_not_negative() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Faults(late_ms=-1)


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        ("unavailable", "busy"),
        ("internal_error", "busy"),
        ("clock", "clock"),
        ("overloaded", "unclear"),
        ("overloaded_done", "unclear"),
        ("rate_limit", "rate_limit"),
        ("ban", "rate_limit"),
    ],
)
def test_refusals_of_faults_are_worded_as_a_router_knows_them(fault: str, meaning: str) -> None:
    settings = PaperSettings(faults=Faults(scripts={"a": Script(place=(fault,))}))  # type: ignore[arg-type]  # listed
    venue = PaperVenue({"AB": RULES}, settings)
    venue.see(BOOK)
    venue.send(place("a"), 5)
    [answer] = hear(venue)
    assert isinstance(answer, Rejected)
    assert refusal_of(answer) == meaning
