"""Write the golden files anew, on purpose: `python -m tests.analysis.diff.update_golden`, then read the diff."""

import tempfile
from pathlib import Path

from tests.analysis.diff.pages import FORMATS, GOLDEN, changed_home, page


def main() -> None:
    """Write every file."""
    with tempfile.TemporaryDirectory() as folder:
        home = changed_home(Path(folder))
        for name in FORMATS:
            (GOLDEN / f"{name}.txt").write_text(page(home, name), encoding="utf-8")


if __name__ == "__main__":
    main()
