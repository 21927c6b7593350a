"""Pages of docs/: their tables, the parts of them that are generated, and what code says of itself."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from types import ModuleType


def with_generated(page: str, parts: Mapping[str, str], command: str) -> str:
    """A page with its generated parts, by name, as they are now; each stands between two marks."""
    for name, text in parts.items():
        begin, end = f"<!-- begin {name}: written by `{command}` -->\n", f"<!-- end {name} -->\n"
        before, begun, rest = page.partition(begin)
        _, ended, after = rest.partition(end)
        assert begun, f"the mark where {name} begins is gone"
        assert ended, f"the mark where {name} ends is gone"
        page = f"{before}{begin}{text}{end}{after}"
    return page


def table(page: str, heading: str, number: int = 0) -> list[list[str]]:
    """The rows of a table below a heading, without its head."""
    below = re.split(r"^#+ ", page.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    tables = re.findall(r"(?:^\|[^\n]*\|\n)+", below, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in tables[number].splitlines()[2:]]


def documented(module: ModuleType, class_name: str) -> dict[str, str]:
    """The fields of a class of settings, each with the text that its module has below it; empty where it has none."""
    tree = ast.parse(inspect.getsource(module))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    texts: dict[str, str] = {}
    for node, below in zip(found.body, [*found.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str(text))):
                    texts[node.target.id] = " ".join(inspect.cleandoc(text).split())
                case _:
                    texts[node.target.id] = ""
    return texts
