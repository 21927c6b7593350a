"""JSON Schemas of the YAML documents, as an editor reads them, and of the journal's lines, for whoever reads those.

The shipped documents name their schema in their first line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.analysis.request import RequestError
from engine.journal.schema import journal_schema
from engine.language.shapes import DOCUMENT_KINDS, json_schema


def schemas(kind: str | None = None) -> dict[str, dict[str, Any]]:
    """The schema of a kind, or of all, by kind."""
    found = {name: json_schema(name) for name in DOCUMENT_KINDS if kind in (None, name)}
    return found | {"journal": journal_schema()} if kind in (None, "journal") else found


def write_schemas(folder: Path, found: dict[str, dict[str, Any]]) -> list[Path]:
    """Write `KIND.json` for each, making the folder if it is missing, and return the files.

    Raises:
        RequestError: if one cannot be written.

    """
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, schema in found.items():
            path = folder / f"{kind}.json"
            path.write_text(as_file(schema), encoding="utf-8")
            written.append(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"`{error.filename or folder}` cannot be written: {reason}"
        raise RequestError(message, "name another folder") from error
    return written


def as_file(schema: dict[str, Any]) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
