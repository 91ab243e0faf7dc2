"""Result cells: what one policy of one seed earned on one scenario, each a JSON file.

A cell is valid for as long as its key is what `gridhash.training.cell_maker` would give it today.
All money is in the site's currency; days are local and their profit is
`gridhash.training.settled_days`, what months settle spread over their days.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gridhash.errors import DataError
from gridhash.training.json_file import write_json

FORMAT_VERSION = 2
LEARNED = "learned"
BOUND = "bound"
Role = Literal["validate", "test"]


@dataclass(frozen=True, kw_only=True)
class CellId:
    """Which cell: a scenario, a policy, and the seed that it was trained with; 0 of all others."""

    scenario: str
    policy: str
    seed: int = 0

    @property
    def stem(self) -> str:
        """Name of its file without the ending."""
        return f"{self.scenario}-{self.policy}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class CellPart:
    """A play of one part of the validation or test span, from the state that the site begins with.

    Attributes
    ----------
    role
        Whether it chooses or judges.
    start, end
        First instant and the one after the last, ISO 8601, local.
    profit
        Of the whole part with what it leaves to be paid later; of a bound the certified value.
    daily_profit
        Of each local day; adds up to the profit.
    ledger
        Sum of each ledger line that is not zero.
    metrics
        By name, see `gridhash.training.metrics`; empty of a bound.
    seconds
        That the play, or the program, took.
    """

    role: Role
    start: str
    end: str
    profit: float
    daily_profit: tuple[float, ...]
    ledger: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One result.

    Attributes
    ----------
    key, code
        Of all that the figures depend on; of the code alone.
    parameters
        Of a rule, as tuned on the training span.
    settings
        Of training.
    made_in_s
        Seconds of tuning or training; of learning without what all seeds share, tuned rules.
    source, synthetic
        Where the series come from; what of them is drawn or derived.
    spans
        First and last local day of what teaches, chooses and judges.
    exploratory
        Whether the data are too short for a claim.
    """

    id: CellId
    key: str
    code: str
    currency: str
    source: str
    synthetic: tuple[str, ...]
    exploratory: bool
    spans: dict[str, tuple[str, str]]
    parameters: dict[str, float]
    settings: dict[str, Any]
    made_in_s: float
    parts: tuple[CellPart, ...]

    def of_role(self, role: Role) -> tuple[CellPart, ...]:
        """Return the parts that choose, or those that judge."""
        return tuple(part for part in self.parts if part.role == role)

    def profit(self, role: Role) -> float | None:
        """Return the profit of all parts of a role; None if there is none."""
        parts = self.of_role(role)
        return sum(part.profit for part in parts) if parts else None

    def days(self, part: int | None = None) -> npt.NDArray[np.float64]:
        """Return the profit of each day of the test, or of one of its parts, (days,)."""
        parts = self.of_role("test")
        chosen = parts if part is None else parts[part : part + 1]
        return np.concatenate([np.array(one.daily_profit) for one in chosen])

    def metric(self, name: str) -> float | None:
        """Return a metric of the test: the mean of its parts by their days; None without it."""
        parts = self.of_role("test")
        values = [part.metrics.get(name) for part in parts]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        weights = [len(part.daily_profit) for part in parts]
        return float(np.average(known, weights=weights))


def path_of(cell_id: CellId, folder: Path) -> Path:
    """Return where a cell is kept."""
    return folder / f"{cell_id.stem}.json"


def write_cell(cell: Cell, folder: Path) -> Path:
    """Write a cell, wholly or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(cell.id, folder)
    write_json({"format_version": FORMAT_VERSION, **asdict(cell)}, path)
    return path


def read_cell(path: Path) -> Cell:
    """Return the cell of a file.

    Raises
    ------
    DataError
        If the file cannot be read or is none of this version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format_version") != FORMAT_VERSION:
            raise DataError(f"{path} is a cell of another version: delete it and make it anew")
        values["id"] = CellId(**values["id"])
        values["parts"] = tuple(part_of(part) for part in values["parts"])
        values["synthetic"] = tuple(values["synthetic"])
        values["spans"] = {name: tuple(days) for name, days in values["spans"].items()}
        return Cell(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(f"{path} is no result cell ({err}): delete it and make it anew") from err


def part_of(values: dict[str, Any]) -> CellPart:
    """Return the part that JSON holds."""
    return CellPart(**{**values, "daily_profit": tuple(values["daily_profit"])})


def read_cells(folder: Path) -> list[Cell]:
    """Return every cell of a folder, in the order of their names."""
    return [read_cell(path) for path in sorted(folder.glob("*.json"))]
