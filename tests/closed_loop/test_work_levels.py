"""Rigs whose work levels a commissioning has unlocked."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from gridhash.agents.policy import Observations
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats
from gridhash.serving.history import check_run, transitions

HOURS = 4.0
Play = Callable[..., Any]


class Shares:
    """A policy of shares of full power by the hour."""

    name = "shares"
    action_kind = ActionKind.POWER

    def act(self, observation: Observations) -> Floats:
        angle = np.arctan2(observation[:, 0], observation[:, 1])
        hour = np.floor(np.mod(angle, 2.0 * np.pi) * 24.0 / (2.0 * np.pi) + 1e-3).astype(int)
        # START is 09:00 in Japan.
        return np.outer(np.array([0.73, 0.55, 0.25, 0.9])[(hour - 9) % 4], np.ones(4))


@pytest.fixture(scope="module")
def played(play: Play) -> Any:
    return play(Shares(), HOURS, work_levels=True)


def test_groups_follow_their_setpoint_within_one_step_of_one_rig(played: Any) -> None:
    step_kw, floor_kw = 0.1 * 8.064, 0.5 * 8.064
    for hour, share in enumerate((0.73, 0.55, 0.25, 0.9)):
        at = played.start + timedelta(hours=hour, minutes=58)
        for group in played.site.groups:
            rigs = [rig for rig in played.fleet.rigs.values() if rig.group.name == group.name]
            drawn_kw = sum(rig.true_power_w(at) for rig in rigs) / 1000.0
            wanted_kw = share * played.site.max_group_kw(group)
            tolerance_kw = 0.5 * (step_kw if share >= 0.5 else floor_kw) + 0.02 * len(rigs)
            assert abs(drawn_kw - wanted_kw) <= tolerance_kw + 1e-6, (hour, group.name)


def test_level_changes_are_intended_verified_and_break_nothing(played: Any) -> None:
    check = check_run(played.journal, played.fleet)
    assert check.violations == ()
    assert check.verified_frac == 1.0
    assert "set_work_level" in set(transitions(played.journal, played.fleet).command)
