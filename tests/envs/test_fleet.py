"""Rigs, power and hashes of a group: conserved, and as reckoned by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.fleet import rig_hashrate_phs
from gridhash.envs.kernel import RECORD
from gridhash.envs.parameters import compile_site
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import place_at_rest

EditSite = Callable[[SiteConfig, dict[str, Any]], SiteConfig]
MakeScenario = Callable[..., Scenario]
MakeSites = Callable[..., BatchedSite]
Floats = npt.NDArray[np.float64]

KW, PHS = RECORD.index("rig_kw"), RECORD.index("hashrate_phs")


def test_rigs_that_stop_again_and_again_without_minimum_times_are_all_kept(
    japan: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    site = edit_site(japan, {"groups.*.min_up_s": 0.0, "groups.*.min_down_s": 0.0})
    sites = make_sites(make_scenario(site), action_kind=ActionKind.POWER)
    sites.start_at(sites.scenario.first_row, running_frac=1.0)

    for share in (0.75, 0.5, 0.25, 0.5, 0.0, 1.0):
        sites.step(np.full((1, 4), share))
        assert sites.state.up.sum(2)[0] == pytest.approx(share * sites.scenario.params.n_rigs)
        rigs = (sites.state.up.sum(2) + sites.state.down.sum(2))[0]
        assert rigs == pytest.approx([135, 134, 134, 134])


def play_start(
    sites: BatchedSite, n_steps: int, running: float = 0.0
) -> tuple[float, float, list[float]]:
    """Start the last group, `running` of it before; return rig kWh, PH/s x h, power per step."""
    params = sites.scenario.params
    sites.start_at(sites.scenario.first_row)
    place_at_rest(
        sites.state,
        params,
        np.array([0]),
        np.array([[0.0, 0.0, 0.0, running]]),
        np.full((1, 4), 30.0),
    )
    hours = params.interval_s / 3600
    steps = [sites.step(np.array([[0.0, 0.0, 0.0, 1.0]])).record[0].copy() for _ in range(n_steps)]
    energy_kwh = hours * float(sum(record[KW] for record in steps))
    hashes = hours * float(sum(record[PHS] for record in steps))
    return energy_kwh, hashes, [float(record[KW]) for record in steps]


def test_a_start_draws_and_hashes_what_boot_and_warm_up_leave(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """134 rigs start, 403 stand by at 20 W: 30 s boot, then 8.064 kW; hashes from 90 s on."""
    sites = make_sites(make_scenario(japan), action_kind=ActionKind.POWER)

    energy_kwh, hashes, powers_kw = play_start(sites, 6)

    others_kw = 403 * 0.02
    assert powers_kw[0] == pytest.approx(134 * (30 * 0.02 + 270 * 8.064) / 300 + others_kw)
    assert powers_kw[1:] == pytest.approx([134 * 8.064 + others_kw] * 5)
    assert energy_kwh == pytest.approx(134 * (30 * 0.02 + 1770 * 8.064) / 3600 + others_kw / 2)
    assert hashes == pytest.approx(134 * 0.480 * (1800 - 90) / 3600)


@pytest.mark.parametrize(("boot_s", "warm_up_s"), [(30.0, 60.0), (200.0, 0.0), (400.0, 500.0)])
def test_energy_and_hashes_of_a_start_do_not_depend_on_the_interval(
    japan: SiteConfig,
    edit_site: EditSite,
    make_scenario: MakeScenario,
    make_sites: MakeSites,
    boot_s: float,
    warm_up_s: float,
) -> None:
    totals = []
    for interval_s in (300, 150, 50):
        site = edit_site(
            japan,
            {
                "dispatch_interval_s": interval_s,
                "groups.*.boot_s": boot_s,
                "groups.*.warm_up_s": warm_up_s,
            },
        )
        sites = make_sites(make_scenario(site), action_kind=ActionKind.POWER)
        totals.append(play_start(sites, 3600 // interval_s, running=0.3)[:2])

    assert totals[1] == pytest.approx(totals[0], rel=1e-12)
    assert totals[2] == pytest.approx(totals[0], rel=1e-12)


def test_hash_rate_between_levels_is_that_of_a_mix_of_rigs(japan_levels: SiteConfig) -> None:
    params = compile_site(japan_levels)
    low_phs, high_phs = params.level_phs[0, 2], params.level_phs[0, 3]

    low_kw, high_kw = params.level_kw[0, 2], params.level_kw[0, 3]

    between = rig_hashrate_phs(params, 0, 0.75 * low_kw + 0.25 * high_kw)

    assert between == pytest.approx(0.75 * low_phs + 0.25 * high_phs)
    for level in range(6):
        assert rig_hashrate_phs(params, 0, params.level_kw[0, level]) == pytest.approx(
            params.level_phs[0, level]
        )


def test_a_low_setpoint_runs_fewer_rigs_at_the_lowest_level_a_high_one_all(
    japan_levels: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    scenario = make_scenario(japan_levels, columns={"outdoor_temp_c": 20.0})
    sites = make_sites(scenario, action_kind=ActionKind.POWER)
    sites.start_at(scenario.first_row)

    sites.step(np.array([[0.2, 0.5, 0.75, 1.0]]))

    assert sites.state.up.sum(2)[0] == pytest.approx([0.4 * 135, 134, 134, 134])
    assert sites.state.rig_kw[0] == pytest.approx(8.064 * np.array([0.5, 0.5, 0.75, 1.0]))
