"""The record of a commissioning: what was found, tried and restored, a line at a time on disk.

It is the transcript from which a simulated rig can be made (`commission_fixture`), and what a
commissioning that was broken off goes on from: a rig with a ``before`` and no ``restored`` is
still to be brought back, one with a ``measured`` need not be tried again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gridhash.errors import ServingError
from gridhash.serving.commission_found import Measured, Was

R = TypeVar("R", Was, Measured)

KEPT = timedelta(days=7)
"""What was measured longer ago is measured again."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What earlier lines leave to do."""

    left_behind: dict[str, Was] = field(default_factory=dict)
    """Rigs that were not seen restored."""
    measured: dict[str, Measured] = field(default_factory=dict)
    """Rigs that are done, of a commissioning that did not end."""


def read_progress(path: Path, now: datetime) -> Progress:
    """Return where the last commissioning of a state folder stopped.

    Raises
    ------
    ServingError
        If the file cannot be read or a line before the last is none of ours.
    """
    progress = Progress()
    for line in lines_of(path):
        kind, rig_id = line.get("kind"), str(line.get("rig_id", ""))
        if kind == "before":
            progress.left_behind[rig_id] = _parsed(path, Was, line["was"])
        elif kind == "restored":
            progress.left_behind.pop(rig_id, None)
        elif kind == "measured" and now - datetime.fromisoformat(line["at"]) <= KEPT:
            progress.measured[rig_id] = _parsed(path, Measured, line["found"])
        elif kind == "end":
            progress.measured.clear()
    return progress


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a record; a last one that was cut off by a loss of power is left out.

    Raises
    ------
    ServingError
        If the file cannot be read, or another line is no JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as err:
        raise ServingError(f"{path}: cannot be read: {err}") from err
    rows = text.splitlines()
    for number, row in enumerate(rows, 1):
        try:
            line = json.loads(row)
        except json.JSONDecodeError as err:
            if number == len(rows):
                return
            raise ServingError(
                f"{path}, line {number}: no line of a commissioning ({err}); move the file "
                "away and "
                "look yourself whether every rig runs as it should"
            ) from err
        yield line


def _parsed(path: Path, record: type[R], value: Any) -> R:
    try:
        return record.model_validate(value)
    except ValidationError as err:
        raise ServingError(
            f"{path}: a line of another version ({err.errors()[0]['msg']}); move the file away and "
            "look yourself whether every rig runs as it should"
        ) from err
