"""What rigs are worth by age when the price of every interval is known: an oracle's cost to go.

With the marginal price of the clairvoyant plan (`gridhash.agents.clairvoyant`) in place of the
market's, a rig decides for itself as the plan of the whole site decides for it: that price holds
what surplus, calls, peaks and quotas make of one more kWh.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.start_stop_spans import span_values
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import FleetState
from gridhash.errors import DataError


@dataclass(frozen=True, kw_only=True)
class RigValues:
    """T dispatch intervals of a span, G groups; ages as in `FleetState` [currency per rig]."""

    rows: tuple[int, int]
    """Settlement periods [first, last)."""
    price_per_kwh: Floats
    """(T,) what a kWh of site power costs."""
    running: Floats
    """(T + 1, G, U) before each interval and after the last."""
    stopped: Floats
    """(T + 1, G, D)"""

    def of_fleets(self, state: FleetState, interval: Ints) -> Floats:
        """Return what fleets are worth before an interval of the span each, (N,) [currency].

        Rigs under repair are worth nothing.
        """
        running = np.einsum("nga,nga->n", state.up, self.running[interval])
        stopped = np.einsum("nga,nga->n", state.down, self.stopped[interval])
        return np.asarray(running + stopped)


def rig_values(scenario: Scenario, rows: tuple[int, int], price_per_kwh: Floats) -> RigValues:
    """Return the values of rigs by age over a span, every price of it known.

    Exact for one rig: a start costs wear, power without hashes and hashes foregone, and minimum
    times bind, as in the kernel. Beyond the span no state is worth more than another.

    Parameters
    ----------
    rows
        Settlement periods [first, last).
    price_per_kwh
        (T,) of each dispatch interval of the span.

    Raises
    ------
    DataError
        If the rows are not in the scenario, or there is not one price per interval.
    """
    first, last = rows
    if not 0 <= first < last <= scenario.n_rows:
        raise DataError(f"rows {first} to {last} do not lie within 0 to {scenario.n_rows}")
    n_steps = (last - first) * scenario.steps_per_row
    if price_per_kwh.shape != (n_steps,):
        raise DataError(
            f"prices have shape {price_per_kwh.shape}: rows {first} to {last} have {n_steps} "
            "dispatch intervals"
        )
    params = scenario.params
    n_groups, n_up = params.start_power_frac.shape
    n_down = max(int(params.n_down_lock.max()), 1) + 1
    values = RigValues(
        rows=rows,
        price_per_kwh=price_per_kwh,
        running=np.zeros((n_steps + 1, n_groups, n_up)),
        stopped=np.zeros((n_steps + 1, n_groups, n_down)),
    )
    span_values(
        params,
        scenario.market,
        np.ascontiguousarray(price_per_kwh, dtype=np.float64),
        first,
        np.empty(n_up),
        values.running,
        values.stopped,
    )
    return values
