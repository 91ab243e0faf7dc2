"""What tariff and programs of one site remember, as it stands in a snapshot.

The same accounts as in training (`gridhash.envs.accounts`): peaks, quotas, plans, the load of past
days. They are kept by `gridhash.serving.site_accounts`; a decision only reads them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np

from gridhash.envs.accounts import N_ACCOUNTS, Accounts
from gridhash.envs.columns import CALL_FIRST, N_CALENDAR_COLUMNS
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.programs import BASELINE_DAYS
from gridhash.serving.instants import require_aware

EXACT = "<f8"
N_MONTHS = 12


@dataclass(frozen=True, kw_only=True)
class ProgramsNow:
    """Accounts of one site and the calendar of one settlement period.

    Raises
    ------
    ValueError
        If the numbers are not those of one site.
    """

    period_start: datetime
    """Of the settlement period that the accounts are in."""
    n_booked: int
    """Dispatch intervals of it that are booked."""
    calendar: tuple[int, ...]
    """(7,) of `gridhash.envs.columns`; CALL_FIRST is counted from this period on."""
    numbers: bytes
    """All accounts one after the other, float64, little-endian: see `accounts`."""

    def __post_init__(self) -> None:
        """Reject what is none."""
        require_aware(self.period_start, "period_start")
        fixed = N_ACCOUNTS + N_MONTHS
        per_slot, rest = divmod(len(self.numbers) // 8 - fixed, BASELINE_DAYS + 3)
        if len(self.calendar) != N_CALENDAR_COLUMNS or rest or per_slot < 1:
            raise ValueError("these are no accounts of a site")

    @classmethod
    def of(
        cls, accounts: Accounts, calendar: Ints, row: int, period_start: datetime, n_booked: int
    ) -> Self:
        """Return the accounts of site 0 in a row of a calendar, (rows, 7)."""
        own = calendar[row].copy()
        if own[CALL_FIRST] >= 0:
            own[CALL_FIRST] = max(own[CALL_FIRST] - row, 0)
        numbers = np.concatenate([np.ravel(table[0]) for table in accounts])
        return cls(
            period_start=period_start,
            n_booked=n_booked,
            calendar=tuple(int(number) for number in own),
            numbers=numbers.astype(EXACT).tobytes(),
        )

    def accounts(self) -> Accounts:
        """Return the kernel's accounts of one site."""
        numbers = np.frombuffer(self.numbers, dtype=EXACT).astype(np.float64)
        slots = (numbers.size - N_ACCOUNTS - N_MONTHS) // (BASELINE_DAYS + 3)
        shapes = ((N_ACCOUNTS,), (N_MONTHS,), (BASELINE_DAYS, slots), (slots,), (2, slots))
        tables: list[Floats] = []
        for shape in shapes:
            size = int(np.prod(shape))
            tables.append(numbers[:size].reshape((1, *shape)).copy())
            numbers = numbers[size:]
        return Accounts(*tables)

    def calendar_array(self) -> Ints:
        """Return the kernel's calendar of one row."""
        return np.array([self.calendar], dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold, to the bit."""
        return {
            "period_start": self.period_start.isoformat(timespec="microseconds"),
            "n_booked": self.n_booked,
            "calendar": list(self.calendar),
            "numbers": self.numbers.hex(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any] | None) -> Self | None:
        """Return what `to_json` gave; raises KeyError, TypeError or ValueError if it is not."""
        if raw is None:
            return None
        return cls(
            period_start=datetime.fromisoformat(raw["period_start"]),
            n_booked=int(raw["n_booked"]),
            calendar=tuple(int(number) for number in raw["calendar"]),
            numbers=bytes.fromhex(raw["numbers"]),
        )
