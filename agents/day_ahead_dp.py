"""Start and stop by dynamic programming over the prices that are known.

The plan of one rig is exact: states are the dispatch intervals since its start or stop, up to the
minimum times; a start costs wear, power without hashes and hashes foregone, as in the kernel.
Rigs of a group are a fluid, so that the plan of one rig is that of a group; between groups the
only tie is surplus, which goes to them by merit order. Ramps, contract power and temperature are
left to the limits, which act after every policy.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.start_stop_dp import decide
from gridhash.agents.start_stop_spans import span_advantages
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.columns import ADDER, CARBON_COST, PRICE
from gridhash.envs.observation import BREAK_EVEN
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError, DataError
from gridhash.units import SECONDS_PER_HOUR

# Indices of the last axis of `DayAheadDP.advantages`.
KEEP, START = range(2)
# Indices of its axis before: a rig fed by the grid, a rig fed by surplus.
GRID, CHEAP = range(2)

# Group features in the order of the column array that `decide` reads.
_GROUP_FEATURES = ("running_frac", "locked_up_frac", "startable_frac", "rule_load_frac")


class DayAheadDP:
    """Plans every dispatch interval anew over the published prices, and acts on the first.

    Parameters
    ----------
    surplus_persistence_h
        The observation holds the newest surplus reading but no forecast. The plan takes it to
        last for this period and to fade with this time constant [h]; 0 means that it is gone in
        the next period.

    Prices beyond publication are those of the observation, of the same time a day earlier. A
    group runs at the level that is best at the present price; levels change free of charge. Rigs
    within their minimum times have no choice, and others are planned as if they had run, or
    stood, for long.

    Raises
    ------
    ConfigError
        If `surplus_persistence_h` is negative.
    """

    name = "day_ahead_dp"
    action_kind = ActionKind.POWER

    def __init__(self, site: SiteConfig, *, surplus_persistence_h: float = 2.0) -> None:
        if surplus_persistence_h < 0.0:
            raise ConfigError(
                f"surplus_persistence_h must not be negative: {surplus_persistence_h}"
            )
        reader = ObservationReader(site)
        self._reader = reader
        self._params = params = reader.params
        self._columns = np.array(
            [reader.column(n) for n in ("break_even_per_kwh", "minutes_left", "surplus_frac")]
        )
        self._group_columns = np.array([reader.group_columns(name) for name in _GROUP_FEATURES])
        self._like = first_like(params)
        period_h = site.market.settlement_period_s / SECONDS_PER_HOUR
        self._surplus_decay = (
            float(np.exp(-period_h / surplus_persistence_h)) if surplus_persistence_h > 0.0 else 0.0
        )

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        return self._plan(observation)[1]

    def advantages(self, observation: Observations) -> Floats:
        """Return what running is worth over stopping, per rig: (N, G, 2, 2) [currency].

        The third axis is GRID and CHEAP, by what feeds the rig now; the last is KEEP, for a rig
        that has run for long, and START, for one that has long stood.
        """
        return self._plan(observation)[0]

    def _plan(self, observation: Observations) -> tuple[Floats, Floats]:
        reader, params = self._reader, self._params
        reader.check(observation)
        n_groups, n_up = params.start_power_frac.shape
        advantage = np.empty((len(observation), n_groups, 2, 2))
        action = np.empty((len(observation), n_groups))
        decide(
            params,
            observation,
            self._columns,
            self._group_columns,
            reader.column("price_ratio_000"),
            self._like,
            reader.site_phs_per_kw,
            self._surplus_decay,
            np.empty((2, reader.n_prices)),
            np.empty((4, n_groups)),
            np.empty((2, n_up)),
            np.empty(down_ages(params)),
            advantage,
            action,
        )
        return advantage, action


def down_ages(params: SiteParameters) -> int:
    """Return the age buckets of stopped rigs; see `gridhash.envs.state.empty_state`."""
    return max(int(params.n_down_lock.max()), 1) + 1


def first_like(params: SiteParameters) -> Ints:
    """Return for each group the first one with the same rigs, (G,): their plans are the same."""
    per_rig = [
        np.concatenate(
            [
                np.array([params.n_levels[g], params.standby_kw[g], params.start_cost[g]]),
                np.array([params.n_up_lock[g], params.n_down_lock[g]], dtype=np.float64),
                params.level_kw[g],
                params.level_phs[g],
                params.start_power_frac[g],
                params.start_hash_frac[g],
            ]
        )
        for g in range(len(params.n_rigs))
    ]
    first = [
        next(k for k in range(g + 1) if np.array_equal(per_rig[k], own))
        for g, own in enumerate(per_rig)
    ]
    return np.array(first, dtype=np.int64)


@dataclass(frozen=True)
class DecisionAdvantages:
    """What running is worth over stopping with perfect foresight, at every dispatch interval.

    Amounts are in currency per rig. T dispatch intervals, G groups; ages as in `FleetState`: the
    last one is a rig whose minimum time and warm-up are over, age 0 does not stand before a
    decision and holds 0. Within its minimum time a rig has no choice; its number says what the
    choice would be worth.
    """

    rows: tuple[int, int]
    """Settlement periods [first, last)."""
    running: Floats
    """(T, G, U) running on over stopping, for a running rig by age."""
    stopped: Floats
    """(T, G, D) starting over staying off, for a stopped rig by age."""
    value_running: Floats
    """(G, U) value of a running rig at the start of the span."""
    value_stopped: Floats
    """(G, D)"""

    @property
    def keep(self) -> Floats:
        """(T, G) running on over stopping, for a rig that is free to stop."""
        return self.running[:, :, -1]

    @property
    def start(self) -> Floats:
        """(T, G) starting over staying off, for a rig that is free to start."""
        return self.stopped[:, :, -1]


def settled_price_per_kwh(scenario: Scenario) -> Floats:
    """Return what a kWh from the grid costs in the end, (rows,): spot, adders, levy and carbon."""
    market = scenario.market
    levy = scenario.programs.levy_per_kwh
    return np.asarray(market[:, PRICE] + market[:, ADDER] + levy + market[:, CARBON_COST])


def settled_price_ratio(scenario: Scenario) -> Floats:
    """Return `settled_price_per_kwh` per break-even of the site in each row, (rows,)."""
    return np.asarray(settled_price_per_kwh(scenario) / scenario.rows[:, BREAK_EVEN])


def decision_advantages(scenario: Scenario, rows: tuple[int, int]) -> DecisionAdvantages:
    """Return the advantage of running at every interval of a span, all prices of it known.

    For imitation: positive means that the rig should run. Energy costs what it does in the end;
    other lines of a tariff and programs are not planned for. Each group plans for itself with the
    planning PUE; where surplus feeds a share of a group, each of its rigs pays the mix of both
    prices. Beyond the span no state is worth more than another.

    Raises
    ------
    DataError
        If the rows are not in the scenario.
    """
    first, last = rows
    if not 0 <= first < last <= scenario.n_rows:
        raise DataError(f"rows {first} to {last} do not lie within 0 to {scenario.n_rows}")
    params = scenario.params
    n_groups, n_up = params.start_power_frac.shape
    n_down = down_ages(params)
    n_steps = (last - first) * scenario.steps_per_row
    result = DecisionAdvantages(
        rows=rows,
        running=np.zeros((n_steps, n_groups, n_up)),
        stopped=np.zeros((n_steps, n_groups, n_down)),
        value_running=np.zeros((n_groups, n_up)),
        value_stopped=np.zeros((n_groups, n_down)),
    )
    span_advantages(
        params,
        scenario.market,
        settled_price_per_kwh(scenario),
        first,
        np.empty((4, n_groups)),
        np.empty(n_up),
        result.value_running,
        result.value_stopped,
        result.running,
        result.stopped,
    )
    return result
