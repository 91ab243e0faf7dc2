"""The kernel passes over filled buckets only: it must know them, and lose neither rig nor heat."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.age_buckets import DOWN_END, DOWN_FIRST, UP_END, UP_FIRST, Counts
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.kernel import RECORD
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import summarise_sites

EditSite = Callable[[SiteConfig, dict[str, Any]], SiteConfig]
MakeScenario = Callable[..., Scenario]
MakeSites = Callable[..., BatchedSite]
Floats = npt.NDArray[np.float64]
RandomPlay = Callable[[ActionKind, tuple[int, int], int], Callable[[], Floats]]


def outside(counts: Floats, first: Counts, end: Counts) -> Floats:
    """Return the rigs of each group, (N, G), outside its buckets from `first` to before `end`."""
    age = np.arange(counts.shape[2])
    inside = (age >= first[:, :, None]) & (age < end[:, :, None])
    return np.asarray(np.where(inside, 0.0, counts).sum(2))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"groups.*.min_up_s": 0.0, "groups.*.min_down_s": 0.0},
        {"limits.ramp_up_kw_per_min": 30.0, "limits.ramp_down_kw_per_min": 40.0},
        {"groups.*.boot_s": 400.0, "groups.*.warm_up_s": 500.0},
    ],
)
def test_no_rig_is_outside_the_filled_buckets_and_none_is_lost(
    japan_levels: SiteConfig,
    edit_site: EditSite,
    make_scenario: MakeScenario,
    make_sites: MakeSites,
    random_play: RandomPlay,
    changes: dict[str, float],
) -> None:
    kind = ActionKind.POWER
    sites = make_sites(make_scenario(edit_site(japan_levels, changes)), 8, action_kind=kind)
    sites.draw_starts(np.arange(8), np.random.default_rng(1))
    action = random_play(kind, (8, 4), 2)
    n_rigs = sites.scenario.params.n_rigs
    state = sites.state
    most = 0

    for _ in range(400):
        sites.step(action())
        filled = state.filled
        assert not outside(state.up, filled[:, :, UP_FIRST], filled[:, :, UP_END]).any()
        assert not outside(state.down, filled[:, :, DOWN_FIRST], filled[:, :, DOWN_END]).any()
        assert np.allclose(state.up.sum(2) + state.down.sum(2), n_rigs, rtol=1e-12)
        summary = state.summary.copy()
        summarise_sites(state, sites.scenario.params, np.arange(8))
        np.testing.assert_array_equal(state.summary, summary)
        most = max(most, int(((state.up > 0).sum(2) + (state.down > 0).sum(2)).max()))
    assert most >= 2  # not only fleets of one bucket were met


def test_broken_rigs_neither_run_nor_start_nor_draw_power(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """Of 134 stopped rigs 34 break: 100 start and draw 8.064 kW each once they have booted."""
    sites = make_sites(make_scenario(japan), action_kind=ActionKind.POWER)
    sites.start_at(sites.scenario.first_row)
    state = sites.state
    state.down[0, 3, -1] -= 34.0
    state.broken[0, 3] = 34.0
    summarise_sites(state, sites.scenario.params, np.array([0]))

    records = [sites.step(np.array([[0.0, 0.0, 0.0, 1.0]])).record[0].copy() for _ in range(3)]

    assert [record[RECORD.index("rigs_started")] for record in records] == [100.0, 0.0, 0.0]
    assert records[2][RECORD.index("rig_kw")] == pytest.approx(100 * 8.064 + 403 * 0.02)
    assert state.up[0, 3].sum() == 100.0
    assert state.broken[0, 3] == 34.0

    sites.start_at(sites.scenario.first_row)
    assert not state.broken.any()


def test_heat_closes_with_broken_rigs(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """Heat in less heat out is what warmed the loop and the chips that are in it."""
    sites = make_sites(make_scenario(japan), action_kind=ActionKind.POWER)
    params, state = sites.scenario.params, sites.state
    sites.start_at(sites.scenario.first_row, running_frac=0.5)
    for count in (state.up, state.down):
        count[0, :, -1] -= 20.0
    state.broken[0] = 40.0
    summarise_sites(state, params, np.array([0]))

    def stored_kj() -> float:
        heat = (state.up * state.up_temp_c).sum(2) + (state.down * state.down_temp_c).sum(2)
        chips_kj = heat[0] * params.rig_heat_capacity_kj_per_k
        return float((chips_kj + state.coolant_c[0] * params.loop_heat_capacity_kj_per_k).sum())

    for share in (0.3, 1.0, 0.0):
        before_kj = stored_kj()
        record = sites.step(np.full((1, 4), share)).record[0]
        rejected_kj = 3600 * record[RECORD.index("heat_rejected_kwh")]
        added_kj = 300 * record[RECORD.index("rig_kw")]
        assert stored_kj() - before_kj == pytest.approx(added_kj - rejected_kj, abs=1e-4)
