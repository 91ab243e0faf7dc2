"""Rigs that have run for an hour draw no less than the bound says of them, and little more."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridhash.agents import bound as bound_module
from gridhash.agents.bound import _coldest_c
from gridhash.agents.lasting_warmth import lasting_warmth
from gridhash.agents.rig_class import rig_classes
from gridhash.config import SiteConfig, parse_site
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario
from gridhash.envs.settlement_record import RIG, STARTED
from gridhash.envs.state import RIG_KW

MakeScenario = Callable[..., Scenario]


def leaky(site: SiteConfig, seed: int) -> SiteConfig:
    """Return the site with rigs whose power follows their chips, and loops of many kinds."""
    rng = np.random.default_rng(seed)
    values = site.model_dump(exclude_unset=True)
    cooling = {
        "loop_heat_capacity_kj_per_k": float(rng.choice([600.0, 3000.0, 13000.0])),
        "fan_min_speed_frac": float(rng.choice([0.05, 0.3])),
        "coolant_setpoint_c": float(rng.choice([30.0, 40.0])),
    }
    wet: dict[str, Any] = {}
    if seed % 3 == 2:
        wet = {
            "kind": "wet_tower",
            "spray_off_below_c": 2.0,
            "spray_off_rejection_frac": 0.4,
            "freeze_protect_c": 10.0,
            "freeze_heater_kw": 60.0,
        }
    own = {"power_per_k": 0.004, "power_reference_c": 65.0}
    groups = [
        group | own | {"cooling": group["cooling"] | cooling | wet} for group in values["groups"]
    ]
    return parse_site(values | {"groups": groups}, origin="test")


@pytest.mark.parametrize("seed", range(9))
def test_no_play_draws_less_than_its_lasting_warmth(
    seed: int, japan_levels: SiteConfig, make_scenario: MakeScenario
) -> None:
    site = leaky(japan_levels, seed)
    rng = np.random.default_rng(seed)
    n = 6 * 48
    outdoor_c = 12.0 + 14.0 * np.sin(np.arange(n) / 48 * 2 * np.pi) + rng.normal(0, 3, n)
    columns = {"outdoor_temp_c": outdoor_c, "relative_humidity_frac": rng.uniform(0.2, 1, n)}
    scenario = make_scenario(site, np.full(n, 5.0), columns)
    rows = (scenario.first_row, scenario.n_rows)
    (rigs,) = rig_classes(scenario.params)
    coldest_c = _coldest_c(scenario, rows, rigs)
    warmth = lasting_warmth(scenario, rows, rigs, coldest_c)
    assert warmth is not None
    cold_frac, n_start = rigs.cold_fracs(coldest_c[0]), len(rigs.power_frac)
    sites = BatchedSite(
        scenario, 1, EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24)
    )
    sites.start_at(rows[0], running_frac=seed % 2)
    action = np.ones((1, 4))
    spans = rng.choice([0.0, 0.5, 0.7, 1.0, 1.0], (200, 4))
    alike = rng.random(200) < 0.6
    spans[alike] = spans[alike, :1]
    low_kw, top_kw = float(rigs.level_kw[0]), float(rigs.level_kw[-1])
    starts, least_slack, full_slack = [0.0], np.inf, np.inf
    before = (0.0, 0.0)
    for t in range((rows[1] - rows[0]) * scenario.steps_per_row):
        if rng.random() < (0.15 if seed < 3 else 0.02):
            action = spans[rng.integers(len(spans))][None]
        record = sites.step(action).record[0]
        starts.append(float(record[STARTED]))
        named_kw = sites.state.group[0, :, RIG_KW]
        by_age = sites.state.up[0, :, 1:]  # those that started in this interval are one old now
        base_kw = rigs.n_rigs * rigs.standby_kw
        for age in range(n_start):
            frac = rigs.power_frac[age]
            drawn = named_kw * cold_frac[age, t] - rigs.standby_kw
            base_kw += frac * float(by_age[:, age] @ drawn)
        old = by_age[:, n_start:].sum(axis=1)
        base_kw += float(old @ (named_kw * cold_frac[-1, t] - rigs.standby_kw))
        extra_kw = float(record[RIG]) - base_kw
        running, power_kw = float(old.sum()), float(old @ named_kw)
        if t >= warmth.lasts + n_start:
            lately = sum(starts[t + 1 - n_start - k] for k in range(warmth.lasts))
            was_running, was_kw = before
            sure_kw = power_kw - top_kw * lately
            long_kw = was_kw - top_kw * (was_running - running + lately)
            own_kw = warmth.slope[t] * sure_kw - warmth.offset[t] * top_kw * rigs.n_rigs
            above = low_kw * (long_kw - low_kw * running)
            steep = top_kw * long_kw + (top_kw - low_kw) * sure_kw - top_kw**2 * running
            least_kw = own_kw + warmth.rise * max(above, steep)
            least_slack = min(least_slack, extra_kw - least_kw)
            if power_kw > 0.85 * top_kw * rigs.n_rigs and lately == 0.0:
                full_slack = min(full_slack, (extra_kw - least_kw) / power_kw)
        before = (running, power_kw)

    assert least_slack >= 0.0
    if seed >= 3:
        assert full_slack < 0.05


def test_the_bound_of_warm_rigs_is_no_higher_for_what_cold_ones_would_earn(
    japan_levels: SiteConfig,
    make_scenario: MakeScenario,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = make_scenario(
        leaky(japan_levels, 0), np.full(4 * 48, 5.0), {"outdoor_temp_c": np.full(4 * 48, 5.0)}
    )
    rows = (scenario.first_row, scenario.n_rows)

    warm = bound_module.perfect_foresight_bound(scenario, rows).value
    monkeypatch.setattr(bound_module, "lasting_warmth", lambda *of: None)
    cold = bound_module.perfect_foresight_bound(scenario, rows).value

    assert warm < 0.95 * cold
