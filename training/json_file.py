"""JSON files that a kill leaves whole."""

import json
from pathlib import Path
from typing import Any


def write_json(values: Any, path: Path) -> None:
    """Write JSON, wholly or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
