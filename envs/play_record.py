"""What happened in the newest dispatch intervals of one site, as a table."""

import numpy as np
import pandas as pd

from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.columns import OUTDOOR, PRICE, SURPLUS
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES, N_LEDGER
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import HOTTEST_C

OF_GROUPS = ("setpoint_kw", "coolant_temp_c", "chip_temp_c")


class PlayRecord:
    """Keeps the newest `n_steps` intervals of site 0 of a `BatchedSite`."""

    def __init__(self, scenario: Scenario, n_steps: int) -> None:
        self.scenario = scenario
        self.n_steps = n_steps
        self._row = np.zeros(n_steps, dtype=np.int64)
        self._substep = np.zeros(n_steps, dtype=np.int64)
        self._profit = np.zeros(n_steps)
        self._ledger = np.zeros((n_steps, N_LEDGER))
        self._record = np.zeros((n_steps, len(RECORD)))
        self._groups = np.zeros((n_steps, scenario.n_groups, len(OF_GROUPS)))
        self._kept = 0

    def clear(self) -> None:
        """Forget everything; a new episode begins."""
        self._kept = 0

    def keep(self, sites: BatchedSite) -> None:
        """Keep the interval that was just played."""
        k = self._kept % self.n_steps
        row, substep = int(sites.state.row[0]), int(sites.state.substep[0])
        if substep == 0:
            row, substep = row - 1, self.scenario.steps_per_row
        self._row[k], self._substep[k] = row, substep - 1
        self._profit[k] = sites.output.profit[0]
        self._ledger[k] = sites.output.ledger[0]
        self._record[k] = sites.output.record[0]
        self._groups[k, :, 0] = sites.state.setpoint_kw[0]
        self._groups[k, :, 1] = sites.state.coolant_c[0]
        self._groups[k, :, 2] = sites.state.summary[0, :, HOTTEST_C]
        self._kept += 1

    def frame(self) -> pd.DataFrame:
        """Return a row per interval, oldest first, indexed by its start in UTC.

        Columns: market, profit, ledger, record, and of each group the setpoint, the loop and the
        hottest chip at the end of the interval.
        """
        n = min(self._kept, self.n_steps)
        order = np.arange(self._kept - n, self._kept) % self.n_steps
        scenario = self.scenario
        market = scenario.market[self._row[order]]
        columns = {
            "price_per_kwh": market[:, PRICE],
            "surplus_kw": market[:, SURPLUS],
            "outdoor_temp_c": market[:, OUTDOOR],
            "profit": self._profit[order],
        }
        columns |= dict(zip(LEDGER_NAMES, self._ledger[order].T, strict=True))
        record = dict(zip(RECORD, self._record[order].T, strict=True))
        del record["reference_profit"]
        columns |= record
        for g, group in enumerate(scenario.site.groups):
            for k, name in enumerate(OF_GROUPS):
                columns[f"{name}_{group.name}"] = self._groups[order, g, k]
        seconds = self._substep[order] * scenario.site.dispatch_interval_s
        starts = scenario.trace.starts[self._row[order]] + pd.to_timedelta(seconds, unit="s")
        return pd.DataFrame(columns, index=pd.DatetimeIndex(starts, name="start"))
