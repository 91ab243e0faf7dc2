"""Joining what a file says with what is stored: new rows, filled cells, and disagreements."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gridhash.data.store.block import Block, Values, instants
from gridhash.errors import DataError

SAME_VALUE_FRAC = 1e-9
"""Relative difference below which two values are one number converted in two ways, such as
12.3 万kW and 123,000 kW. No publisher prints that many digits."""

N_SHOWN = 5


@dataclass(frozen=True)
class Conflict:
    """One stored value that a file does not confirm.

    Attributes
    ----------
    instant_s
        Start of its row, seconds since 1970 UTC.
    stored, new
        The two values; `new` is NaN where the file has none.
    stored_known_s, new_known_s
        From when each is known, seconds since 1970 UTC.
    """

    instant_s: int
    column: str
    stored: float
    new: float
    stored_known_s: int
    new_known_s: int

    def __str__(self) -> str:
        """Say what differs."""
        when = f"{_text(self.instant_s)} {self.column}"
        if np.isclose(self.stored, self.new, rtol=SAME_VALUE_FRAC, atol=0.0):
            return f"{when}: known from {_text(self.stored_known_s)}, new {_text(self.new_known_s)}"
        new = "none" if np.isnan(self.new) else f"{self.new:.12g}"
        return f"{when}: stored {self.stored:.12g}, new {new}"


class ConflictError(DataError):
    """A file says other values for instants that are stored; nothing of it was stored.

    Attributes
    ----------
    conflicts
        The first of them in time.
    n_values
        How many there are per column.
    """

    def __init__(
        self, message: str, *, conflicts: Sequence[Conflict], n_values: dict[str, int]
    ) -> None:
        """Keep what programs want to know."""
        super().__init__(message)
        self.conflicts = tuple(conflicts)
        self.n_values = n_values


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Stored rows and new rows as one block, in which the new ones prevail; and what changed."""

    block: Block
    rows_new: int
    rows_same: int = 0
    rows_filled: int = 0
    rows_revised: int = 0
    columns_new: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    n_conflicts: dict[str, int] = field(default_factory=dict)

    @property
    def is_changed(self) -> bool:
        """Whether the block differs from what was stored."""
        return bool(self.rows_new or self.rows_filled or self.rows_revised or self.columns_new)


def merge(stored: Block | None, new: Block, period_s: int | None) -> Merged:
    """Join new rows into stored ones.

    A missing value that the file gives fills the cell. Another value, another instant from which
    it is known, or a missing value where one is stored is a conflict. Where neither gives a value
    its row says that it is known at the end of the period.
    """
    if stored is None:
        return Merged(block=new, rows_new=len(new), columns_new=tuple(new.values))
    starts_s = np.union1d(stored.starts_s, new.starts_s)
    at_stored = np.searchsorted(starts_s, stored.starts_s)
    at_new = np.searchsorted(starts_s, new.starts_s)
    is_stored = np.isin(new.starts_s, stored.starts_s)
    is_filled, is_revised = np.zeros(len(new), dtype=bool), np.zeros(len(new), dtype=bool)
    values, known_s = {}, {}
    conflicts: list[Conflict] = []
    n_conflicts: dict[str, int] = {}
    for name in dict.fromkeys([*stored.values, *new.values]):
        cells, known = np.full(len(starts_s), np.nan), starts_s + (period_s or 0)
        if name in stored.values:
            cells[at_stored], known[at_stored] = stored.values[name], stored.known_s[name]
        if name in new.values:
            before, known_before = cells[at_new], known[at_new]
            after, known_after = new.values[name], new.known_s[name]
            differs = is_stored & ~np.isnan(before)
            differs &= ~_same(before, after) | (known_before != known_after)
            filled = is_stored & np.isnan(before) & ~np.isnan(after)
            taken = ~is_stored | filled | differs
            cells[at_new[taken]], known[at_new[taken]] = after[taken], known_after[taken]
            is_filled |= filled
            is_revised |= differs
            if differs.any():
                n_conflicts[name] = int(differs.sum())
            conflicts += [
                Conflict(
                    int(new.starts_s[row]),
                    name,
                    float(before[row]),
                    float(after[row]),
                    int(known_before[row]),
                    int(known_after[row]),
                )
                for row in np.flatnonzero(differs)[:N_SHOWN]
            ]
        values[name], known_s[name] = cells, known
    conflicts.sort(key=lambda conflict: conflict.instant_s)
    rows_filled = int((is_filled & ~is_revised).sum())
    rows_revised = int(is_revised.sum())
    n_stored = int(is_stored.sum())
    return Merged(
        block=Block(starts_s, values, known_s),
        rows_new=len(new) - n_stored,
        rows_same=n_stored - rows_filled - rows_revised,
        rows_filled=rows_filled,
        rows_revised=rows_revised,
        columns_new=tuple(name for name in new.values if name not in stored.values),
        conflicts=tuple(conflicts[:N_SHOWN]),
        n_conflicts=n_conflicts,
    )


def _same(one: Values, other: Values) -> "np.typing.NDArray[np.bool_]":
    return np.isclose(one, other, rtol=SAME_VALUE_FRAC, atol=0.0)


def _text(instant_s: int) -> str:
    return str(instants(np.array([instant_s]))[0].strftime("%Y-%m-%dT%H:%M:%SZ"))
