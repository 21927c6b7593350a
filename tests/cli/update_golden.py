"""Write the golden files anew, on purpose: `python -m tests.cli.update_golden`, then read the diff."""

from tests.cli.harness import CASES, GOLDEN, golden


def main() -> None:
    """Write every file, and remove those of cases that are gone."""
    for path in GOLDEN.glob("*.txt"):
        if path.stem not in CASES:
            path.unlink()
    for name in CASES:
        (GOLDEN / f"{name}.txt").write_text(golden(name), encoding="utf-8")


if __name__ == "__main__":
    main()
