"""No chip of any play is colder than the bound takes it to be, which is no colder than it must."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridhash.agents.bound import _coldest_c
from gridhash.agents.coldest import coldest_chips
from gridhash.agents.rig_class import rig_classes
from gridhash.config import SiteConfig, parse_site
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario
from gridhash.envs.thermal import loop_after

MakeScenario = Callable[..., Scenario]


def leaky(site: SiteConfig, seed: int) -> SiteConfig:
    """Return the site with rigs whose power follows their chips, and small loops."""
    rng = np.random.default_rng(seed)
    values = site.model_dump(exclude_unset=True)
    cooling = {"loop_heat_capacity_kj_per_k": float(rng.choice([800.0, 8000.0]))}
    if seed % 2:
        cooling |= {"spray_off_below_c": 2.0, "spray_off_rejection_frac": 0.4}
    groups = []
    for group in values["groups"]:
        own: dict[str, Any] = {"power_per_k": 0.0025, "power_reference_c": 65.0}
        kind = {"kind": "wet_tower"} if seed % 2 else {}
        groups.append(group | own | {"cooling": group["cooling"] | cooling | kind})
    return parse_site(values | {"groups": groups}, origin="test")


@pytest.mark.parametrize("seed", range(6))
def test_no_chip_of_a_play_is_colder(
    seed: int, japan_levels: SiteConfig, make_scenario: MakeScenario
) -> None:
    site = leaky(japan_levels, seed)
    rng = np.random.default_rng(seed)
    n = 4 * 48
    outdoor_c = 12.0 + 14.0 * np.sin(np.arange(n) / 48 * 2 * np.pi) + rng.normal(0, 4, n)
    columns = {"outdoor_temp_c": outdoor_c, "relative_humidity_frac": rng.uniform(0.2, 1, n)}
    scenario = make_scenario(site, np.full(n, 5.0), columns)
    rows = (scenario.first_row + 20, scenario.n_rows)
    (rigs,) = rig_classes(scenario.params)
    coldest_c, coldest_loop_c = _coldest_c(scenario, rows, rigs)
    sites = BatchedSite(
        scenario, 3, EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24)
    )
    begins = [scenario.first_row, rows[0] - 1, rows[0]]
    for row, coolant_c in zip(begins, (20.0, 20.0, 40.0), strict=True):
        which = np.array([begins.index(row)])
        sites.start_at(row, coolant_c=coolant_c, which=which)
    closest_k = np.inf
    level = np.zeros((3, 1))
    for _ in range((n - rows[0]) * scenario.steps_per_row - 1):
        level = np.where(rng.random((3, 1)) < 0.05, rng.choice([0.0, 0.0, 0.5, 1.0], (3, 1)), level)
        sites.step(np.tile(level, (1, 4)))
        at = (sites.state.row - rows[0]) * scenario.steps_per_row + sites.state.substep
        for i in range(3):
            if not 0 <= at[i] < len(coldest_c):
                continue
            held = np.concatenate([sites.state.up[i], sites.state.down[i]], axis=1) > 0.0
            temp_c = np.concatenate([sites.state.up_temp_c[i], sites.state.down_temp_c[i]], axis=1)
            closest_k = min(closest_k, float(temp_c[held].min() - coldest_c[at[i]]))
            assert sites.state.coolant_c[i].min() >= coldest_loop_c[at[i]]

    assert closest_k >= 0.0
    assert closest_k < 3.0


def test_a_loop_at_rest_falls_as_its_equations_say() -> None:
    coldest_c, coldest_loop_c = np.empty(4), np.empty(4)
    coldest_chips(
        np.zeros(4), np.full(4, 1.0), np.full(4, 9.0), 10.0, 3.0, 50.0, 900.0, 300.0, 20.0, 0, 20.0,
        coldest_c, coldest_loop_c,
    )  # fmt: skip

    chip_c, loop_c = 20.0, 20.0
    for t in range(4):
        assert (coldest_c[t], coldest_loop_c[t]) == pytest.approx((chip_c, loop_c))
        chip_c, loop_c = loop_after(chip_c, loop_c, 0.0, 10.0, 0.0, 9.0, 3.0, 50.0, 900.0, 300.0)
