"""A play with all that its metrics are computed from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.envs.market_array import event_spans
from gridhash.envs.scenario import Scenario
from gridhash.envs.wear import FleetWear, fleet_wear
from gridhash.training.play import PolicyRun
from gridhash.training.settled_days import settled_daily_profit
from gridhash.units import SECONDS_PER_HOUR

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Wall time of one decision on one observation [µs]; differs from machine to machine."""

    median_us: float
    p99_us: float


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a policy did on a span of a scenario, and what stands beside it."""

    scenario: Scenario
    run: PolicyRun
    always_on: float | None = None
    """Profit of always on over the same span [currency]."""
    bound: float | None = None
    """What no policy can earn more than [currency]."""
    timing: Timing | None = None
    carbon_g_per_kwh: float | None = None
    """Average factor of the grid where the trace has no column of it."""

    @property
    def frame(self) -> pd.DataFrame:
        """One row per dispatch interval, see `PolicyRun.frame`."""
        return self.run.frame

    @property
    def hours(self) -> float:
        """Length of a dispatch interval [h]."""
        return self.scenario.site.dispatch_interval_s / SECONDS_PER_HOUR

    @property
    def years(self) -> float:
        """Length of the span in years of 8,760 h."""
        return len(self.frame) * self.hours / 8760.0

    def column(self, name: str) -> Floats:
        """Return a column of the frame, (steps,)."""
        return self.frame[name].to_numpy(dtype=np.float64)

    def total(self, *names: str) -> float:
        """Return the sum of columns of the frame over the span."""
        return float(sum(self.frame[name].sum() for name in names))

    def market(self, column: int) -> Floats:
        """Return a column of the market array for each step, (steps,)."""
        first, last = self._rows
        own = self.scenario.market[first:last, column]
        return np.repeat(own, self.scenario.steps_per_row)

    def trace(self, name: str) -> Floats | None:
        """Return a column of the trace for each step, (steps,); None if it has none."""
        if name not in self.scenario.trace.frame:
            return None
        first, last = self._rows
        own = self.scenario.trace.column(name)[first:last]
        return np.repeat(own, self.scenario.steps_per_row)

    def events(self, on: Floats) -> list[slice]:
        """Return the steps of each event: runs where `on`, (steps,), is above zero."""
        starts, ends = event_spans(on)
        return [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]

    @cached_property
    def daily(self) -> Floats:
        """Profit of each local day, what months settle spread over their days, (days,)."""
        days = settled_daily_profit(self.run, self.scenario.site.timezone)
        return days.to_numpy(dtype=np.float64)

    @cached_property
    def wear(self) -> FleetWear:
        """What temperature cycles did to the rigs."""
        return fleet_wear(self.frame, self.scenario.site)

    @cached_property
    def _rows(self) -> tuple[int, int]:
        first = self.scenario.row_at(pd.Timestamp(self.frame.index[0]))
        return first, first + len(self.frame) // self.scenario.steps_per_row
