"""Rigs of other firmware are run by the same controller: levels become watts or presets."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from gridhash.agents.policy import Observations
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats
from gridhash.serving.simulated_model import BRAIINS_S21, LUXOS_S21, WHATSMINER_M63S, RigModel

HALF_HOURS = {BRAIINS_S21: 1, LUXOS_S21: 2, WHATSMINER_M63S: 2}
"""How long each is played; Python's gRPC is slow on both sides."""
SHARES = (0.73, 0.25)
Play = Callable[..., Any]


class HalfHours:
    """A policy of shares of full power, the first and then the other half of each hour."""

    name = "half hours"
    action_kind = ActionKind.POWER

    def act(self, observation: Observations) -> Floats:
        angle = np.arctan2(observation[:, 0], observation[:, 1])
        half_hour = np.floor(np.mod(angle, 2.0 * np.pi) * 48.0 / (2.0 * np.pi) + 1e-3).astype(int)
        return np.outer(np.array(SHARES)[half_hour % 2], np.ones(4))


@pytest.mark.parametrize("model", HALF_HOURS, ids=lambda model: model.protocol)
def test_a_site_follows_its_setpoint_by_watts_or_presets_and_every_command_is_verified(
    play: Play, model: RigModel
) -> None:
    n_half_hours = HALF_HOURS[model]
    played = play(HalfHours(), n_half_hours / 2.0, work_levels=True, model=model)

    step_kw, floor_kw = 0.1 * 8.064, 0.5 * 8.064
    for half, share in enumerate(SHARES[:n_half_hours]):
        at = played.start + timedelta(minutes=30 * half + 28)
        for group in played.site.groups:
            rigs = [rig for rig in played.fleet.rigs.values() if rig.group.name == group.name]
            drawn_kw = sum(rig.true_power_w(at) for rig in rigs) / 1000.0
            wanted_kw = share * played.site.max_group_kw(group)
            tolerance_kw = 0.5 * (step_kw if share >= 0.5 else floor_kw) + 0.02 * len(rigs)
            assert abs(drawn_kw - wanted_kw) <= tolerance_kw + 1e-6, (share, group.name)
    told = played.journal.rows(
        "SELECT i.command, r.outcome, v.verdict FROM intents i "
        "JOIN results r ON r.intent_id = i.id JOIN verifications v ON v.intent_id = i.id"
    )
    outcomes = {(row["command"], row["outcome"]) for row in told}
    acknowledged = "pending" if model is WHATSMINER_M63S else "applied"
    assert ("set_work_level", acknowledged) in outcomes
    assert n_half_hours == 1 or ("stop", "pending") in outcomes
    assert {row["verdict"] for row in told} == {"verified"}
    assert {
        (row["kind"], row["text"]) for row in played.journal.rows("SELECT * FROM alarms")
    } == set()
