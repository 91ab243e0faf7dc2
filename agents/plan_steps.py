"""The intervals of a plan: every dispatch interval at first, longer ones further ahead."""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.rig_program import Intervals
from gridhash.envs.parameters import Floats, Ints

AHEAD_PER_STEP = 8.0
"""A step is about this many times shorter than the time until it begins."""
LONGEST_STEP_H = 1.0


@dataclass(frozen=True)
class PlanSteps:
    """T intervals of a plan that starts within a settlement period."""

    intervals: Intervals
    first_row: Ints
    """(T,) settlement periods from the present one to that of each interval, or its first."""
    n_rows: Ints
    """(T,) settlement periods that each covers; 1 for a part of one."""
    period: Ints
    """(T,) as `gridhash.agents.bound_tariff.Window.period`."""

    @property
    def horizon(self) -> int:
        """Settlement periods that are looked at."""
        return int(self.first_row[-1] + self.n_rows[-1])

    def means(self, by_row: Floats) -> Floats:
        """Return a series by settlement period, (…, H), by interval: (…, T)."""
        sums = np.cumsum(by_row, axis=-1)
        sums = np.concatenate([np.zeros((*sums.shape[:-1], 1)), sums], axis=-1)
        last = self.first_row + self.n_rows
        return np.asarray((sums[..., last] - sums[..., self.first_row]) / self.n_rows)


def plan_steps(
    *, left: int, per_row: int, interval_h: float, horizon_h: float, longest: int
) -> PlanSteps:
    """Return the intervals of a plan.

    Parameters
    ----------
    left
        Dispatch intervals left of the present settlement period.
    per_row
        Dispatch intervals of a settlement period.
    longest
        Settlement periods that are known or forecast: the horizon is no longer.
    """
    row_h = per_row * interval_h
    horizon = max(1, min(round(horizon_h / row_h), longest))
    lengths, first_row, n_rows = [1] * left, [0] * left, [1] * left
    row = 1
    if per_row > 1 and horizon > 1:
        lengths += [1] * per_row
        first_row += [1] * per_row
        n_rows += [1] * per_row
        row = 2
    while row < horizon:
        wanted = min(row * row_h / AHEAD_PER_STEP, LONGEST_STEP_H) / row_h
        size = min(max(int(wanted + 1e-9), 1), horizon - row)
        lengths.append(size * per_row)
        first_row.append(row)
        n_rows.append(size)
        row += size
    length = np.array(lengths, dtype=np.int64)
    first = np.array(first_row, dtype=np.int64)
    return PlanSteps(
        intervals=Intervals(
            begin=np.cumsum(length) - length,
            hours=np.asarray(length * interval_h, dtype=np.float64),
        ),
        first_row=first,
        n_rows=np.array(n_rows, dtype=np.int64),
        period=np.cumsum(np.diff(first, prepend=0) > 0),
    )
