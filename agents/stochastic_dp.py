"""Start and stop by tabular stochastic dynamic programming: the best plan without look-ahead.

What lies ahead is known in distribution only: a Markov chain of prices counted on training rows
(`gridhash.agents.price_chain`). The start and stop of one rig of each kind is solved for it by
value iteration over a day that repeats, with minimum times, start-up and cost of a start as the
kernel has them. A decision plans the rest of the present period exactly at the present price and
takes what comes after from the table, between the two nearest price states.

Published prices beyond the present are not read, except the next period's where the chain says so.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
import numpy.typing as npt

from gridhash.agents.calendar_features import calendar_of
from gridhash.agents.day_ahead_dp import down_ages, first_like
from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.price_chain import (
    PRICE,
    SECOND,
    ChainSettings,
    PriceChain,
    clock_classes,
    fit_chain,
    slot_of,
)
from gridhash.agents.rules_programs import peak_is_likely
from gridhash.agents.start_stop_action import StartStopAction, fitting_kind
from gridhash.agents.start_stop_dp import decide_by_table, share_on_surplus, solve_periodic_day
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import BREAK_EVEN
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError
from gridhash.units import HOURS_PER_DAY, SECONDS_PER_DAY

Arrays = Mapping[str, npt.NDArray[np.generic]]
NEVER = 9.0
"""A ratio of area demand that none reaches: no peak is shaved."""
TOLERANCE = 1e-6
"""By which values may still move in a day of value iteration, per revenue of a rig in a day."""
SECONDS = ("", *SECOND)
SHAPES: Mapping[str, int] = {
    "table": 4,
    "like": 1,
    "price_centre": 1,
    "second_edge": 1,
    "price_ratio": 3,
    "second": 0,
    "n_seasons": 0,
    "weekends": 0,
    "break_even_per_kwh": 0,
    "demand_ratio": 0,
    "month_ratio": 0,
    "action_kind": 0,
}
"""The arrays of a policy and their dimensions."""


class StochasticDP:
    """Decides by a table of what each mode is worth in each price state and time of day.

    Parameters
    ----------
    arrays
        Plain arrays, as `fit_stochastic_dp` makes and `arrays` returns them: ``table``, (K·S, X,
        groups, U + D), is what each mode is worth at the end of a period [currency];
        ``price_ratio``, (K, C, X), what a period is expected to cost per break-even;
        ``break_even_per_kwh`` the one that the table was solved for.

    Raises
    ------
    PolicyError
        If arrays are missing, or do not fit each other or the site.
    """

    name = "stochastic_dp"

    def __init__(self, site: SiteConfig, arrays: Arrays) -> None:
        self._reader = reader = ObservationReader(site)
        self.arrays = check_arrays(arrays, reader)
        self._table = np.ascontiguousarray(arrays["table"], dtype=np.float64)
        self._like = np.array(arrays["like"], dtype=np.int64)
        self._centre = np.array(arrays["price_centre"], dtype=np.float64)
        self._second_edge = np.array(arrays["second_edge"], dtype=np.float64)
        self._price_ratio = np.array(arrays["price_ratio"], dtype=np.float64)
        self._break_even = float(arrays["break_even_per_kwh"])
        self._demand_ratio = float(arrays["demand_ratio"])
        self._month_ratio = float(arrays["month_ratio"])
        self._second = SECOND.get(SECONDS[int(arrays["second"])])
        self._kinds = ChainSettings(
            n_seasons=int(arrays["n_seasons"]), weekends=bool(arrays["weekends"])
        )
        self._n_slots = int(SECONDS_PER_DAY // site.market.settlement_period_s)
        self._clock = clock_classes(self._n_slots)
        self._lagged = site.tariff.price_known == "lagged"
        self._action = StartStopAction(reader, ActionKind(int(arrays["action_kind"])))

    @property
    def action_kind(self) -> ActionKind:
        """Power, or shadow price where the supply curve has a shape of its own."""
        return self._action.kind

    def act(self, observation: Observations) -> Floats:
        """Return the action of every group."""
        advantage = self.advantages(observation)
        action = self._action(observation, advantage[..., 0] >= 0.0, advantage[..., 1] > 0.0)
        if not self._reader.has("demand_ratio"):
            return action
        likely = peak_is_likely(self._reader, observation, self._demand_ratio, self._month_ratio)
        return np.where(likely[:, None], self._action.off(), action)

    def advantages(self, observation: Observations) -> Floats:
        """Return what keeping and starting a rig are worth, (N, G, 2) [currency]."""
        reader, params = self._reader, self._reader.params
        calendar = calendar_of(reader, observation)
        kind, slot = self._kinds.kind(calendar), slot_of(calendar, self._n_slots)
        seen = reader.value(observation, PRICE)
        state, weight = self._states(seen, observation)
        if self._lagged:
            expected = self._price_ratio[kind[:, None], self._clock[slot][:, None], state]
            price_ratio = (expected * weight).sum(axis=1)
        else:
            price_ratio = seen
        break_even = reader.value(observation, "break_even_per_kwh")
        n_groups, n_up = params.start_power_frac.shape
        minutes = reader.value(observation, "minutes_left")
        left = np.maximum(np.round(minutes * 60.0 / params.interval_s), 1.0)
        advantage = np.empty((len(seen), n_groups, 2))
        decide_by_table(
            params,
            self._like,
            reader.value(observation, "surplus_frac") * params.contract_power_kw,
            price_ratio * break_even,
            reader.revenue_per_phs_day(observation),
            left.astype(np.int64),
            self._table,
            kind * self._n_slots + slot,
            state,
            weight * (break_even / self._break_even)[:, None],
            np.empty((4, n_groups)),
            np.empty(n_up),
            np.empty(n_up),
            np.empty(self._table.shape[-1] - n_up),
            advantage,
        )
        return advantage

    def _states(self, price_ratio: Floats, observation: Observations) -> tuple[Ints, Floats]:
        """Return the two nearest states and how much each counts, (N, 2)."""
        centre = self._centre
        low = np.clip(np.searchsorted(centre, price_ratio) - 1, 0, max(len(centre) - 2, 0))
        high = np.minimum(low + 1, len(centre) - 1)
        width = np.maximum(centre[high] - centre[low], 1e-9)
        share = np.clip((price_ratio - centre[low]) / width, 0.0, 1.0)
        second = np.zeros(len(low), dtype=np.int64)
        if self._second is not None:
            value = self._reader.value(observation, self._second)
            second = np.searchsorted(self._second_edge, value, side="right")
        n_second = len(self._second_edge) + 1
        state = np.column_stack([low, high]) * n_second + second[:, None]
        return np.ascontiguousarray(state), np.column_stack([1.0 - share, share])

    @classmethod
    def of_chain(
        cls,
        site: SiteConfig,
        chain: PriceChain,
        settings: ChainSettings,
        *,
        break_even_per_kwh: float,
        peaks: tuple[float, float] = (NEVER, NEVER),
    ) -> Self:
        """Return the policy that is optimal if prices follow a chain.

        Parameters
        ----------
        break_even_per_kwh
            Of the site, at which the table is solved; it is scaled to the one observed.
        peaks
            Demand ratio and month ratio from which everything stops, as `PeakShaver`.
        """
        params = ObservationReader(site).params
        if chain.surplus_frac.any():
            like = np.arange(len(params.n_rigs))
        else:
            like = np.unique(first_like(params), return_inverse=True)[1]
        n_slots = int(SECONDS_PER_DAY // site.market.settlement_period_s)
        table = solve_table(site, chain, like, break_even_per_kwh)[0]
        arrays = {
            "table": table.reshape(len(chain.price_ratio) * n_slots, *table.shape[2:]),
            "like": like.astype(np.int64),
            "price_centre": chain.price_centre,
            "second_edge": chain.second_edge,
            "price_ratio": chain.price_ratio,
            "second": np.array(SECONDS.index(settings.second)),
            "n_seasons": np.array(settings.n_seasons),
            "weekends": np.array(int(settings.weekends)),
            "break_even_per_kwh": np.array(break_even_per_kwh),
            "demand_ratio": np.array(peaks[0]),
            "month_ratio": np.array(peaks[1]),
            "action_kind": np.array(int(fitting_kind(site))),
        }
        return cls(site, arrays)

    @classmethod
    def fit(
        cls,
        scenario: Scenario,
        rows: tuple[int, int],
        settings: ChainSettings,
        *,
        peaks: tuple[float, float] = (NEVER, NEVER),
    ) -> Self:
        """Return the policy of the chain that rows [first, last) of a scenario show."""
        return cls.of_chain(
            scenario.site,
            fit_chain(scenario, rows, settings),
            settings,
            break_even_per_kwh=float(scenario.rows[slice(*rows), BREAK_EVEN].mean()),
            peaks=peaks,
        )


def check_arrays(arrays: Arrays, reader: ObservationReader) -> Arrays:
    """Return a policy's arrays; raise PolicyError if they fit neither each other nor the site."""
    if set(arrays) != set(SHAPES):
        differing = ", ".join(sorted(set(arrays) ^ set(SHAPES)))
        raise PolicyError(f"a stochastic_dp needs the arrays {', '.join(SHAPES)}; off: {differing}")
    for name, n_axes in SHAPES.items():
        if arrays[name].ndim != n_axes or not np.isfinite(arrays[name].astype(np.float64)).all():
            raise PolicyError(f"{name} must be finite and have {n_axes} axes; fit it again")
    n_groups, n_up = reader.params.start_power_frac.shape
    n_slots = int(SECONDS_PER_DAY // reader.site.market.settlement_period_s)
    n_kinds = int(arrays["n_seasons"]) * (1 + int(arrays["weekends"]))
    n_states = len(arrays["price_centre"]) * (len(arrays["second_edge"]) + 1)
    like = arrays["like"].astype(np.int64)
    expected = {
        "like": (n_groups,),
        "table": (
            n_kinds * n_slots,
            n_states,
            int(like.max(initial=0)) + 1,
            n_up + down_ages(reader.params),
        ),
        "price_ratio": (n_kinds, clock_classes(n_slots)[-1] + 1, n_states),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise PolicyError(
                f"{name} has shape {arrays[name].shape}, but {reader.site.name} needs {shape}: "
                "fit it on this site"
            )
    within = {"second": len(SECONDS), "action_kind": 2}
    for name, n in within.items():
        if not 0 <= int(arrays[name]) < n:
            raise PolicyError(f"{name} is {int(arrays[name])}: it must lie within 0 … {n - 1}")
    if like.min() < 0 or float(arrays["break_even_per_kwh"]) <= 0.0:
        raise PolicyError("like must not be negative and break_even_per_kwh above 0")
    return arrays


def solve_table(
    site: SiteConfig, chain: PriceChain, like: Ints, break_even_per_kwh: float
) -> tuple[Floats, Floats]:
    """Solve the chain for every kind of day and kind of group.

    Returns
    -------
    table
        (K, S, X, groups, U + D) float32: what a mode is worth at the end of a period, less what a
        rig is worth that has long stood [currency].
    profit_per_day
        (K, groups) of one rig, standby included.
    """
    reader = ObservationReader(site)
    params = reader.params
    n_kinds, _, n_states = chain.price_ratio.shape
    n_up = params.start_power_frac.shape[1]
    n_modes = n_up + down_ages(params)
    n_slots = int(SECONDS_PER_DAY // site.market.settlement_period_s)
    clock = clock_classes(n_slots)
    revenue = break_even_per_kwh * HOURS_PER_DAY * params.pue_for_planning / reader.site_phs_per_kw
    price = chain.price_ratio * break_even_per_kwh
    share = _surplus_share(params, chain, price, revenue)
    groups = [int(np.flatnonzero(like == k)[0]) for k in range(like.max() + 1)]
    table = np.empty((n_kinds, n_slots, n_states, len(groups), n_modes), dtype=np.float32)
    profit = np.empty((n_kinds, len(groups)))
    for kind in range(n_kinds):
        for k, g in enumerate(groups):
            after = np.empty((n_slots, n_states, n_modes))
            gain = np.maximum(price[kind] - params.surplus_price_per_kwh, 0.0)
            paid = price[kind] - share[kind, :, :, g] * gain
            profit[kind, k] = solve_periodic_day(
                params,
                g,
                chain.transition[kind],
                clock,
                np.ascontiguousarray(paid[clock]),
                revenue,
                TOLERANCE * revenue * float(params.level_phs[g, 0]),
                np.empty(n_up),
                np.empty((n_states, n_modes)),
                np.zeros((n_states, n_modes)),
                after,
            )
            table[kind, :, :, k] = after - after[..., -1:]
    return table, profit


def _surplus_share(
    params: SiteParameters, chain: PriceChain, price_per_kwh: Floats, revenue_per_phs_day: float
) -> Floats:
    """Return the share of each group's rigs that expected surplus feeds, (K, C, X, G)."""
    n_groups = len(params.n_rigs)
    share = np.zeros((*chain.surplus_frac.shape, n_groups))
    scratch, own = np.empty((3, n_groups)), np.empty(n_groups)
    for cell in np.argwhere(chain.surplus_frac > 1e-6):
        at = tuple(cell)
        if price_per_kwh[at] > params.surplus_price_per_kwh:
            kw = float(chain.surplus_frac[at]) * params.contract_power_kw
            share_on_surplus(params, kw, revenue_per_phs_day, scratch, own)
            share[at] = own
    return share
