"""A peak is charged when it is set, and serves its month to the end.

Plays that compare actions are shorter than a month. So that a peak does not look like a waste to
them, the rest of the month takes its share of the charge: a day early in a month bears a thirtieth.
"""

import numpy as np

from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.columns import MONTH
from gridhash.envs.ledger import DEMAND
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario


class PeakCharges:
    """What B plays have been charged for peaks of their present month, and what is left of it."""

    def __init__(self, scenario: Scenario, row: Ints) -> None:
        """Begin plays at a row each, (B,)."""
        self.present = scenario.programs.demand_charge_per_kw > 0.0
        self._scale = scenario.params.reward_scale
        month = scenario.exogenous.calendar[:, MONTH]
        ends = np.append(np.flatnonzero(month[1:] != month[:-1]) + 1, len(month))
        rows = np.arange(len(month) + 1)
        self._rows_left = np.append(ends, len(month) + 1)[np.searchsorted(ends, rows, "right")]
        self._rows_left -= rows
        self._month = np.append(month, month[-1] + 1)
        self._row = row.copy()
        self._of_row = row.copy()  # where the charges begin to count
        self._charged = np.zeros(len(row))

    def book(self, branch: Ints, sites: BatchedSite) -> None:
        """Take what the last step of some plays, (b,), charged them."""
        if not self.present:
            return
        output, row = sites.output, sites.state.row
        anew = self._month[row] != self._month[self._of_row[branch]]
        debt = output.profit - output.reward * self._scale
        self._charged[branch] = np.where(
            anew, 0.0, self._charged[branch] + output.ledger[:, DEMAND] + debt
        )
        self._of_row[branch] = np.where(anew, row, self._of_row[branch])
        self._row[branch] = row

    def left_over(self) -> Floats:
        """Return the share of the charges that the rest of the month bears, (B,) [currency]."""
        if not self.present:
            return self._charged
        left = self._rows_left[self._row] / self._rows_left[self._of_row]
        return np.asarray(self._charged * left)
