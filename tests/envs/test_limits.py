"""What groups may draw: no random play breaks a limit, and each is met."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.kernel import RECORD
from gridhash.envs.limits import feasible_ranges, limit_setpoint
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import place_at_rest, summarise_sites

EditSite = Callable[[SiteConfig, dict[str, Any]], SiteConfig]
MakeScenario = Callable[..., Scenario]
MakeSites = Callable[..., BatchedSite]
Floats = npt.NDArray[np.float64]
RandomPlay = Callable[[ActionKind, tuple[int, int], int], Callable[[], Floats]]

SITE_KW, STARTED = RECORD.index("site_kw"), RECORD.index("rigs_started")


@pytest.mark.parametrize("kind", list(ActionKind))
@pytest.mark.parametrize("use_work_levels", [False, True])
def test_random_play_conserves_rigs_and_breaks_no_limit(
    japan: SiteConfig,
    edit_site: EditSite,
    make_scenario: MakeScenario,
    make_sites: MakeSites,
    random_play: RandomPlay,
    kind: ActionKind,
    use_work_levels: bool,
) -> None:
    """25,600 steps in each of four cases; ages are tracked here from starts and stops alone."""
    site = edit_site(
        japan,
        {
            "use_work_levels": use_work_levels,
            "limits.contract_power_kw": 3600.0,
            "limits.ramp_up_kw_per_min": 200.0,
            "limits.ramp_down_kw_per_min": 260.0,
            "groups.1.min_up_s": 900.0,
            "groups.2.min_down_s": 0.0,
            "groups.3.min_up_s": 0.0,
            "groups.3.min_down_s": 3000.0,
            "groups.0.rig_hashrate_ths": 470.0,
        },
    )
    weather = np.random.default_rng(2).uniform(-15, 33, 4 * 48)
    scenario = make_scenario(site, days=4, columns={"outdoor_temp_c": weather})
    params = scenario.params
    n_sites, n_steps, n_groups = 64, 400, 4
    sites = make_sites(scenario, n_sites, action_kind=kind)
    sites.start_at(scenario.first_row, running_frac=0.6)
    next_action = random_play(kind, (n_sites, n_groups), 7)
    running = sites.state.up.sum(2)
    started = np.zeros((n_steps + 1, n_sites, n_groups))
    stopped = np.zeros((n_steps + 1, n_sites, n_groups))
    setpoint_kw = sites.state.setpoint_kw.sum(1)
    at_limit = dict.fromkeys(("contract", "ramp up", "ramp down"), 0)

    for step in range(1, n_steps + 1):
        record = sites.step(next_action()).record
        state = sites.state
        assert np.abs(state.up.sum(2) + state.down.sum(2) - params.n_rigs).max() < 1e-9
        assert min(state.up.min(), state.down.min()) >= 0.0
        assert record[:, SITE_KW].max() <= site.limits.contract_power_kw + 1e-9
        change_kw = state.setpoint_kw.sum(1) - setpoint_kw
        assert change_kw.max() <= 200.0 * 5 + 1e-9
        assert change_kw.min() >= -260.0 * 5 - 1e-9
        change = state.up.sum(2) - running
        started[step] = started[step - 1] + np.maximum(change, 0.0)
        stopped[step] = stopped[step - 1] + np.maximum(-change, 0.0)
        assert record[:, STARTED] == pytest.approx(np.maximum(change, 0.0).sum(1), abs=1e-9)
        at_limit["contract"] += int((state.setpoint_kw.sum(1) > params.rig_cap_kw - 1e-6).sum())
        at_limit["ramp up"] += int((change_kw > 1000 - 1e-6).sum())
        at_limit["ramp down"] += int((change_kw < -1300 + 1e-6).sum())
        running = state.up.sum(2)
        setpoint_kw = state.setpoint_kw.sum(1)
    assert not sites.state.tripped.any()

    # First in, first out: by step t no more may have stopped than had started `lock` steps before
    # (and than ran at the start), and the other way round.
    first_up = 0.6 * params.n_rigs
    for g in range(n_groups):
        for lock, first, came, went in (
            (int(params.n_up_lock[g]), first_up[g], started, stopped),
            (int(params.n_down_lock[g]), params.n_rigs[g] - first_up[g], stopped, started),
        ):
            may_go = first + came[: n_steps + 1 - lock, :, g]
            assert (went[lock:, :, g] <= may_go + 1e-6).all(), (g, lock)
            if lock:
                tight = np.abs(went[lock:, :, g] - may_go) < 1e-6
                assert tight.mean() > 0.001, f"group {g}: the lock of {lock} never binds"
    assert min(at_limit.values()) > 20, at_limit


def put(sites: BatchedSite, running: list[float], coolant_c: float = 30.0) -> None:
    """Put the one site at rest with a share of each group's rigs long running."""
    place_at_rest(
        sites.state,
        sites.scenario.params,
        np.array([0]),
        np.array([running]),
        np.full((1, 4), coolant_c),
    )


def limited(sites: BatchedSite, shares: list[float], cap_kw: float = 1e9) -> Floats:
    """Return what remains of wanted shares of full rig power, in shares, (G,)."""
    params = sites.scenario.params
    full_kw = params.n_rigs * params.level_kw[:, -1]
    setpoint_kw = np.empty(4)
    wanted_kw = np.array(shares) * full_kw
    limit_setpoint(sites.state, params, 0, cap_kw, wanted_kw, setpoint_kw)
    return np.asarray(setpoint_kw / full_kw)


@pytest.fixture
def sites(
    japan: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario, make_sites: MakeSites
) -> BatchedSite:
    """Return one site of four equal groups in rising efficiency, loop_d best; slow ramps."""
    site = edit_site(
        japan,
        {
            "groups.0.n_rigs": 134,
            "groups.0.rig_hashrate_ths": 440.0,
            "groups.1.rig_hashrate_ths": 450.0,
            "groups.2.rig_hashrate_ths": 460.0,
            "groups.3.rig_hashrate_ths": 470.0,
            "limits.ramp_up_kw_per_min": 0.5 * 134 * 8.064 / 5,
            "limits.ramp_down_kw_per_min": 1.5 * 134 * 8.064 / 5,
        },
    )
    return make_sites(
        make_scenario(site, columns={"outdoor_temp_c": 20.0}), 1, action_kind=ActionKind.POWER
    )


def test_upward_ramp_cuts_the_worst_groups_first(sites: BatchedSite) -> None:
    put(sites, [0.0, 0.0, 0.0, 0.0])

    assert limited(sites, [1.0, 1.0, 0.3, 0.3]) == pytest.approx([0.0, 0.0, 0.2, 0.3])


def test_downward_ramp_keeps_power_in_the_best_group_that_ran(sites: BatchedSite) -> None:
    put(sites, [1.0, 1.0, 1.0, 0.0])

    assert limited(sites, [0.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0, 0.5, 1.0, 0.0])


def test_downward_ramp_starts_no_rig(sites: BatchedSite) -> None:
    put(sites, [1.0, 1.0, 0.4, 0.0])

    assert limited(sites, [0.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0, 0.5, 0.4, 0.0])


def test_cap_stops_the_worst_first_and_rigs_within_their_minimum_up_time_last(
    sites: BatchedSite,
) -> None:
    full_kw = 134 * 8.064
    put(sites, [0.0, 0.0, 0.0, 1.0])
    sites.step(np.array([[0.5, 0.0, 0.0, 1.0]]))  # loop_a has just started

    assert limited(sites, [0.5, 0.0, 0.0, 1.0], 1.2 * full_kw) == pytest.approx([0.5, 0, 0, 0.7])
    assert limited(sites, [0.5, 0.0, 0.0, 1.0], 0.3 * full_kw) == pytest.approx([0.3, 0, 0, 0])


def test_a_cap_below_what_the_downward_ramp_holds_stops_no_group_that_is_wanted(
    sites: BatchedSite,
) -> None:
    """Three groups ran, the ramp holds 1.5 of them, the cap leaves 1.0: only the cap counts."""
    full_kw = 134 * 8.064
    put(sites, [1.0, 1.0, 1.0, 0.0])

    assert limited(sites, [0.9, 0.0, 0.0, 0.0], full_kw) == pytest.approx([0.9, 0, 0.1, 0])


def test_a_cap_below_the_minimum_up_times_stops_what_is_wanted_least(sites: BatchedSite) -> None:
    full_kw = 134 * 8.064
    put(sites, [0.0, 0.0, 0.0, 0.0])
    sites.step(np.array([[0.3, 0.0, 0.2, 0.0]]))

    assert limited(sites, [0.3, 0.0, 0.1, 0.0], 0.4 * full_kw) == pytest.approx([0.3, 0, 0.1, 0])
    assert limited(sites, [1.0, 0.0, 1.0, 1.0], 0.4 * full_kw) == pytest.approx([0.2, 0, 0.2, 0])
    assert limited(sites, [0.0, 0.0, 0.0, 0.0], 0.4 * full_kw) == pytest.approx([0.2, 0, 0.2, 0])


def test_a_started_rig_may_stop_after_its_minimum_up_time_and_start_after_its_down_time(
    sites: BatchedSite,
) -> None:
    """Intervals of 300 s: up at least 1800 s are six, down at least 1200 s four."""
    put(sites, [0.0, 0.0, 0.0, 0.0])
    wanted = [0.4] + [0.0] * 10 + [0.4] * 4
    running = []
    for share in wanted:
        sites.step(np.array([[share, 0.0, 0.0, 0.0]]))
        running.append(round(float(sites.state.up[0, 0].sum() / 134), 9))

    assert running == [0.4] * 6 + [0.0] * 5 + [0.4] * 4
    put(sites, [0.4, 0.0, 0.0, 0.0])
    running = []
    for share in [0.0] + [1.0] * 6:  # of 134, 40 % stop: the other 60 % may start at once
        sites.step(np.array([[share, 0.0, 0.0, 0.0]]))
        running.append(round(float(sites.state.up[0, 0].sum() / 134), 9))
    assert running == [0.0, 0.5, 0.6, 0.6, 1.0, 1.0, 1.0]


def test_a_hot_group_may_draw_what_its_derate_leaves(sites: BatchedSite) -> None:
    put(sites, [1.0, 1.0, 1.0, 1.0])
    sites.state.up_temp_c[0, 2, -1] = 77.5
    sites.state.up_temp_c[0, 3, -1] = 85.0
    sites.state.tripped[0, 1] = 1.0
    summarise_sites(sites.state, sites.scenario.params, np.array([0]))

    ranges_kw = feasible_ranges(sites.state, sites.scenario.params, np.array([0]))

    assert ranges_kw.shape == (1, 4, 2)
    assert ranges_kw[0, :, 0].tolist() == [0.0] * 4
    assert ranges_kw[0, :, 1] / (134 * 8.064) == pytest.approx([1.0, 0.0, 0.75, 0.0])
