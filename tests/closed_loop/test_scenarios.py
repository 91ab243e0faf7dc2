"""Scenarios with tariff or programs, served for an hour and a half beside the environment."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import build_scenario
from gridhash.serving.replay import replay
from gridhash.serving.simulated_model import AIR_1566, HYDRO_1566HA

Play = Callable[..., Any]
HOURS = 1.5
RIGS_PER_GROUP = 5
ROW_DAY = 30
"""Days after the data begin."""


@pytest.mark.parametrize("name", ["RealTimeErcot", "BasePoint", "SolarSurplus"])
def test_a_served_scenario_asks_for_what_the_environment_asks_for(play: Play, name: str) -> None:
    whole = open_named_scenario(name, days=40)
    n_rigs = {group.name: RIGS_PER_GROUP for group in whole.site.groups}
    scenario = build_scenario(whole.site.scaled_to(n_rigs), whole.trace)
    site = scenario.site
    is_air = all(group.cooling.kind == "air" for group in site.groups)
    start = (scenario.trace.start + timedelta(days=ROW_DAY, hours=1)).to_pydatetime()
    played = play(
        None,
        HOURS,
        on=scenario,
        start=start,
        model=AIR_1566 if is_air else HYDRO_1566HA,
        work_levels=site.use_work_levels,
    )
    n_steps = round(HOURS * 3600 / site.dispatch_interval_s)
    rules = EpisodeRules(episode_days=HOURS / 24.0, action_kind=ActionKind.SHADOW_PRICE)
    kernel = BatchedSite(scenario, 1, rules)
    kernel.start_at(
        int((start - scenario.trace.start).total_seconds() // scenario.trace.period_s),
        running_frac=1.0,
        coolant_c=40.0,
    )
    modelled = []
    for _ in range(n_steps):
        kernel.step(np.zeros((1, scenario.n_groups)))
        modelled.append(kernel.state.setpoint_kw[0].copy())
    texts = played.journal.frame("decisions", played.controller.run_id).text
    asked = [json.loads(text) for text in texts]
    on_grid = [own for own in asked if own["at"][17:19] == "00"][:n_steps]
    asked_kw = [[float.fromhex(kw) for kw in own["setpoint_kw"]] for own in on_grid]
    rig_kw = max(group.rig_power_w for group in site.groups) / 1000.0
    assert np.abs(np.array(asked_kw) - np.array(modelled)).max() <= rig_kw + 1e-6
    if name == "BasePoint":
        assert np.ptp(np.array(modelled)) > rig_kw  # there was something to follow
    assert replay(played.journal, None).differences == ()
