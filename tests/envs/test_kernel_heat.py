"""Heat in the kernel: conserved, independent of the interval, tripped, derated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.columns import OUTDOOR
from gridhash.envs.kernel import RECORD
from gridhash.envs.scenario import Scenario
from gridhash.envs.thermal import held_heat_rejection, loop_after

EditSite = Callable[[SiteConfig, dict[str, Any]], SiteConfig]
MakeScenario = Callable[..., Scenario]
MakeSites = Callable[..., BatchedSite]
Floats = npt.NDArray[np.float64]
RandomPlay = Callable[[ActionKind, tuple[int, int], int], Callable[[], Floats]]

KW, COOLING_KW, PHS = (RECORD.index(n) for n in ("rig_kw", "cooling_kw", "hashrate_phs"))
REJECTED_KWH = RECORD.index("heat_rejected_kwh")


def mean_chip_c(sites: BatchedSite) -> Floats:
    """Return the mean temperature of all chips of each group, (N, G), from its buckets."""
    state = sites.state
    heat = (state.up * state.up_temp_c).sum(2) + (state.down * state.down_temp_c).sum(2)
    return np.asarray(heat / sites.scenario.params.n_rigs)


def test_halving_the_interval_leaves_temperatures_after_an_hour_at_constant_power(
    japan: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """At every common instant of the hour, from a cold loop with hot and cold chips."""
    paths = []
    for interval_s in (300, 150):
        site = edit_site(japan, {"dispatch_interval_s": interval_s})
        scenario = make_scenario(site, columns={"outdoor_temp_c": 28.0})
        sites = make_sites(scenario, action_kind=ActionKind.POWER)
        sites.start_at(scenario.first_row, running_frac=0.6, coolant_c=5.0)
        path = []
        for step in range(3600 // interval_s):
            sites.step(np.full((1, 4), 0.6))
            if (step + 1) * interval_s % 300 == 0:
                state = sites.state
                path.append(
                    [state.coolant_c[0, 1], state.up_temp_c[0, 1, -1], state.down_temp_c[0, 1, -1]]
                )
        paths.append(np.array(path))

    assert np.ptp(paths[0][:, 0]) > 5.0
    assert np.abs(paths[0] - paths[1]).max() < 1e-9


def test_heat_closes_in_random_play(
    busy_levels_scenario: Scenario, make_sites: MakeSites, random_play: RandomPlay
) -> None:
    """Electrical heat in = heat rejected, integrated from the exact solution, + heat stored."""
    params = busy_levels_scenario.params
    sites = make_sites(busy_levels_scenario, 4, action_kind=ActionKind.POWER)
    sites.start_at(busy_levels_scenario.first_row, running_frac=0.5)
    next_action = random_play(ActionKind.POWER, (4, 4), 3)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    times_s, weights_s = 150.0 * (nodes + 1.0), 150.0 * weights
    total_in_kwh = total_stored_kwh = total_rejected_kwh = 0.0
    for _ in range(150):
        before_c, coolant_c = mean_chip_c(sites), sites.state.coolant_c.copy()
        outdoor_c = busy_levels_scenario.market[sites.state.row, OUTDOOR]
        record = sites.step(next_action()).record.copy()
        after_c = mean_chip_c(sites)
        stored_kj = params.n_rigs * params.rig_heat_capacity_kj_per_k * (after_c - before_c)
        stored_kj += params.loop_heat_capacity_kj_per_k * (sites.state.coolant_c - coolant_c)
        # Each group's heat follows from what it stores; the integral then is a check.
        for i in range(4):
            rejected_kwh = 0.0
            for g in range(4):
                heat_kw = group_heat_kw(sites, i, g)
                ua = held_heat_rejection(
                    heat_kw,
                    outdoor_c[i],
                    params.coolant_setpoint_c[g],
                    params.heat_rejection_min_kw_per_k[g],
                    params.heat_rejection_kw_per_k[g],
                )
                path = [
                    loop_after(
                        before_c[i, g],
                        coolant_c[i, g],
                        heat_kw / params.n_rigs[g],
                        params.n_rigs[g],
                        outdoor_c[i],
                        ua,
                        params.chip_to_coolant_k_per_kw[g],
                        params.rig_heat_capacity_kj_per_k[g],
                        params.loop_heat_capacity_kj_per_k[g],
                        t,
                    )[1]
                    for t in times_s
                ]
                rejected_kwh += ua * float(weights_s @ (np.array(path) - outdoor_c[i])) / 3600
            in_kwh = record[i, KW] / 12
            gap_kwh = in_kwh - rejected_kwh - float(stored_kj[i].sum()) / 3600
            assert abs(gap_kwh) < 1e-9 * (in_kwh + abs(rejected_kwh) + 1.0)
            assert record[i, REJECTED_KWH] == pytest.approx(rejected_kwh, rel=1e-9, abs=1e-7)
            total_in_kwh += in_kwh
            total_rejected_kwh += record[i, REJECTED_KWH]
            total_stored_kwh += float(stored_kj[i].sum()) / 3600
    assert total_in_kwh == pytest.approx(total_rejected_kwh + total_stored_kwh, rel=1e-9)


def group_heat_kw(sites: BatchedSite, i: int, g: int) -> float:
    """Return the power that a group drew in the interval that just ended, from its state now."""
    state, params = sites.state, sites.scenario.params
    age = np.arange(state.up.shape[2])
    younger = np.maximum(age - 1, 0)
    share = params.start_power_frac[g, younger]  # rigs have grown older by one interval
    share[-1] = 1.0
    drawn_kw = share * state.rig_kw[i, g] + (1 - share) * params.standby_kw[g]
    return float(state.up[i, g] @ drawn_kw + state.down[i, g].sum() * params.standby_kw[g])


def test_a_constant_load_settles_at_the_setpoint_and_one_resistance_above(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    scenario = make_scenario(japan, columns={"outdoor_temp_c": 20.0})
    sites = make_sites(scenario, action_kind=ActionKind.POWER)
    sites.start_at(scenario.first_row, running_frac=1.0, coolant_c=25.0)
    for _ in range(24):
        record = sites.step(np.ones((1, 4))).record[0].copy()

    assert sites.state.coolant_c[0] == pytest.approx([40.0] * 4, abs=1e-6)
    assert sites.state.up_temp_c[0, :, -1] == pytest.approx([40.0 + 3.0 * 8.064] * 4, abs=1e-6)
    assert record[REJECTED_KWH] == pytest.approx(record[KW] / 12, rel=1e-9)
    # UA per group is heat / 20 K, the fan speed (UA / UA_n)^(1/0.8), its power the cube of that.
    groups = japan.groups
    fans_kw = sum(
        g.cooling.fan_kw
        * ((g.n_rigs * 8.064 / 20) / g.cooling.heat_rejection_kw_per_k) ** (3 / 0.8)
        for g in groups
    )
    assert record[COOLING_KW] == pytest.approx(fans_kw + sum(g.cooling.pump_kw for g in groups))


def test_idle_site_draws_standby_slowest_fans_and_an_eighth_of_the_pumps(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    scenario = make_scenario(japan, columns={"outdoor_temp_c": 20.0})
    sites = make_sites(scenario, action_kind=ActionKind.POWER)
    sites.start_at(scenario.first_row)
    record = sites.step(np.zeros((1, 4))).record[0]

    assert record[KW] == pytest.approx(537 * 0.02)
    assert record[PHS] == 0.0
    assert record[COOLING_KW] == pytest.approx(108.0 * 0.05**3 + 52.01 / 8)


def test_a_trip_stops_every_rig_until_the_loop_has_cooled(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """60 °C outdoors for two hours, then 5 °C: even rigs just started stop."""
    weather = np.r_[np.full(48, 20.0), np.full(4, 60.0), np.full(140, 5.0)]
    scenario = make_scenario(japan, columns={"outdoor_temp_c": weather})
    sites = make_sites(scenario, action_kind=ActionKind.POWER)
    sites.start_at(scenario.first_row, coolant_c=35.0)
    tripped, coolant_c, running = [], [], []
    for _ in range(40):
        sites.step(np.ones((1, 4)))
        tripped.append(bool(sites.state.tripped[0, 0]))
        coolant_c.append(float(sites.state.coolant_c[0, 0]))
        running.append(float(sites.state.up[0, 0].sum()))

    first = tripped.index(True)
    assert first < 3, "started less than the minimum up time before"
    restart_c = japan.groups[0].cooling.coolant_restart_c
    cool = next(k for k in range(first, 40) if coolant_c[k] <= restart_c)
    assert tripped[first:cool] == [True] * (cool - first)
    assert not any(tripped[cool:])
    assert cool > 24, "warm outdoors keep it tripped"
    assert running[first + 1 : cool + 1] == [0.0] * (cool - first)
    assert running[cool + 1] == pytest.approx(135.0)


def test_a_hot_day_reduces_power_and_trips_nothing(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    scenario = make_scenario(japan, columns={"outdoor_temp_c": 43.0})
    sites = make_sites(scenario, action_kind=ActionKind.POWER)
    sites.start_at(scenario.first_row, running_frac=1.0, coolant_c=40.0)
    powers_kw = []
    for _ in range(288):
        powers_kw.append(float(sites.step(np.ones((1, 4))).record[0, KW]))
        assert not sites.state.tripped.any()

    cap_kw = 0.95 * 537 * 8.064
    assert powers_kw[0] > cap_kw
    assert 0.5 * cap_kw < np.mean(powers_kw[-48:]) < cap_kw
