"""The benchmark of reloads on few of them: it measures what it says, and nothing is mixed or lost."""

from __future__ import annotations

from bench import reload


def test_every_home_and_the_swaps_have_their_figures() -> None:
    report = reload.measure(count=2, proven=1, swapped=20, rules=150)
    values = {figure.name: figure.value for figure in report.figures}
    for home in ("shipped", "150 rules"):
        assert values[f"{home}: change to active, p50"] > 0
        assert values[f"{home}: save to change, p50"] > 0
    for profile in ("prod", "testnet"):
        alone = values["shipped: change to active, p50"]
        assert values[f"shipped {profile}, proofs included: change to active, p50"] > 2 * alone
    assert values["decisions under a mixed version"] == 0
    assert values["decisions lost"] == 0
    assert [note.partition(":")[0] for note in report.notes[:2]] == ["shipped", "150 rules"]
    assert "keep" in report.notes[0]


def test_a_quantile_is_one_of_the_values() -> None:
    assert reload.quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert reload.quantile(list(map(float, range(1000))), 0.999) == 999.0
