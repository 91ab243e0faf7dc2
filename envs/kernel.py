"""One dispatch interval of N sites: the loop that calls every relation in order."""

from typing import NamedTuple

import numpy as np

from gridhash.envs.action import wanted_power
from gridhash.envs.fleet import grow_older, run_interval, start_and_stop
from gridhash.envs.jit import njit
from gridhash.envs.ledger import surplus_used_kw, write_ledger
from gridhash.envs.limits import limit_setpoint
from gridhash.envs.observation import (
    OUTDOOR,
    PRICE,
    REVENUE,
    RULE_PROFIT,
    SURPLUS,
    observe,
)
from gridhash.envs.parameters import Floats, Floats32, SiteParameters
from gridhash.envs.state import HOTTEST_C, FleetState, summarise

RECORD = (
    "setpoint_kw",
    "rig_kw",
    "cooling_kw",
    "site_kw",
    "surplus_used_kw",
    "hashrate_phs",
    "rigs_started",
    "rigs_stopped",
    "heat_rejected_kwh",
    "reference_profit",
)
"""Columns of `StepOutput.record` in order."""


class StepOutput(NamedTuple):
    """What one step of N sites gives; the arrays are reused by the next step."""

    observation: Floats32
    """(N, F) float32"""
    reward: Floats
    """(N,)"""
    profit: Floats
    """(N,) signed sum of the ledger [currency]"""
    ledger: Floats
    """(N, 5) terms in the order of `ledger.LEDGER`"""
    record: Floats
    """(N, 10) in the order of `RECORD`"""


def empty_output(n_sites: int, n_features: int) -> StepOutput:
    """Return zeroed outputs for N sites."""
    return StepOutput(
        observation=np.zeros((n_sites, n_features), dtype=np.float32),
        reward=np.zeros(n_sites),
        profit=np.zeros(n_sites),
        ledger=np.zeros((n_sites, 5)),
        record=np.zeros((n_sites, len(RECORD))),
    )


@njit
def step_sites(
    params: SiteParameters,
    market: Floats,
    rows: Floats32,
    bounds: Floats32,
    state: FleetState,
    action: Floats,
    action_kind: int,
    relative_reward: bool,
    scratch: Floats,
    output: StepOutput,
) -> None:
    """Advance every site by one dispatch interval under `action`, (N, G).

    With `relative_reward` the reward is profit less the profit of the best static operating point
    of that instant, which depends on prices alone: the best policy stays the same, the variance
    falls. Otherwise it is profit. Both are divided by `params.reward_scale`. `scratch` is (5, G).
    """
    n_groups = params.n_rigs.shape[0]
    wanted_kw = scratch[3]
    setpoint_kw = scratch[4]
    hours = params.interval_s / 3600.0
    for i in range(state.row.shape[0]):
        # A vector environment steps a site once more after its end; compiled code checks no bounds.
        row = min(state.row[i], market.shape[0] - 1)
        wanted_power(params, market, row, action_kind, action[i], scratch, wanted_kw)
        limit_setpoint(state, params, i, params.rig_cap_kw, wanted_kw, setpoint_kw)
        setpoint = 0.0
        rig_kw = 0.0
        cooling_kw = 0.0
        phs = 0.0
        started = 0.0
        stopped = 0.0
        rejected_kwh = 0.0
        start_wear = 0.0
        for g in range(n_groups):
            state.setpoint_kw[i, g] = setpoint_kw[g]
            setpoint += setpoint_kw[g]
            starts, stops = start_and_stop(state, params, i, g, setpoint_kw[g])
            group_kw, group_cooling_kw, group_phs, group_rejected_kwh = run_interval(
                state, params, i, g, market[row, OUTDOOR]
            )
            started += starts
            stopped += stops
            start_wear += starts * params.start_cost[g]
            rig_kw += group_kw
            cooling_kw += group_cooling_kw
            phs += group_phs
            rejected_kwh += group_rejected_kwh
            grow_older(state, i, g)
            summarise(state, params, i, g)
            if state.summary[i, g, HOTTEST_C] >= params.chip_trip_c[g]:
                state.tripped[i, g] = 1.0
            elif state.coolant_c[i, g] <= params.coolant_restart_c[g]:
                state.tripped[i, g] = 0.0
        site_kw = rig_kw + cooling_kw
        profit = write_ledger(
            params,
            market[row, PRICE],
            market[row, SURPLUS],
            market[row, REVENUE],
            site_kw,
            phs,
            start_wear,
            output.ledger[i],
        )
        reference = market[row, RULE_PROFIT] * hours if relative_reward else 0.0
        output.profit[i] = profit
        output.reward[i] = (profit - reference) / params.reward_scale
        record = output.record[i]
        record[0] = setpoint
        record[1] = rig_kw
        record[2] = cooling_kw
        record[3] = site_kw
        record[4] = surplus_used_kw(params, site_kw, market[row, SURPLUS], market[row, PRICE])
        record[5] = phs
        record[6] = started
        record[7] = stopped
        record[8] = rejected_kwh
        record[9] = reference
        state.substep[i] += 1
        if state.substep[i] == params.intervals_per_period:
            state.substep[i] = 0
            state.row[i] += 1
        observe(params, market, rows, state, i, bounds, output.observation[i])


@njit
def observe_sites(
    params: SiteParameters,
    market: Floats,
    rows: Floats32,
    bounds: Floats32,
    state: FleetState,
    observation: Floats32,
) -> None:
    """Write the observation of every site, (N, F) float32."""
    for i in range(state.row.shape[0]):
        observe(params, market, rows, state, i, bounds, observation[i])
