"""Write schemas and golden pages anew, on purpose: `python -m tests.routing.update_views`, then read the diff."""

from engine.analysis.schemas import write_schemas
from engine.routing.evidence.contract import schemas
from tests.routing.evidence.test_contract import PUBLISHED
from tests.routing.view_pages import CASES, GOLDEN, WIDTHS, golden_file, page


def main() -> None:
    """Write every file, and remove golden pages of cases that are gone."""
    write_schemas(PUBLISHED, schemas())
    GOLDEN.mkdir(exist_ok=True)
    pages = {golden_file(name, columns): page(name, columns) for name in CASES for columns in WIDTHS}
    for path in GOLDEN.glob("*.txt"):
        if path not in pages:
            path.unlink()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
