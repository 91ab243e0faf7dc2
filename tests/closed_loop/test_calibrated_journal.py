"""Calibration from the journal of a controller that ran rigs over sockets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridhash.agents.policy import Observations
from gridhash.data.calibration.fits import NotIdentified
from gridhash.data.calibration.site_calibration import calibrate_site
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats

Play = Callable[..., Any]


class Waves:
    """A policy of shares of full power by the half-hour, down to standing still."""

    name = "waves"
    action_kind = ActionKind.POWER

    def act(self, observation: Observations) -> Floats:
        angle = np.arctan2(observation[:, 0], observation[:, 1])
        hour = np.mod(angle, 2.0 * np.pi) * 24.0 / (2.0 * np.pi) + 1e-3
        share = np.array([0.95, 0.55, 0.0, 0.75, 1.0, 0.5])
        return np.outer(share[np.floor(hour * 4.0 / 3.0).astype(int) % 6], np.ones(4))


def test_rigs_that_a_controller_ran_are_as_they_were_made(play: Play) -> None:
    played = play(Waves(), 5.0, work_levels=True)
    for found in calibrate_site(played.journal.path, played.site, folder=None).groups:
        group = next(group for group in played.site.groups if group.name == found.group)
        for name in ("rig_power_w", "rig_hashrate_ths", "curve_b", "standby_w"):
            own = found[name].interval
            assert own is not None, (found.group, name)
            assert own.value == pytest.approx(getattr(group, name), rel=1e-3), name
        resistance = found["chip_to_coolant_k_per_kw"].interval
        assert resistance is not None
        assert resistance.low <= group.cooling.chip_to_coolant_k_per_kw <= resistance.high
        boot = found["boot_s"].interval
        assert boot is not None
        assert boot.low <= group.boot_s <= boot.high
        # This controller reads settled rigs every 150 s: too seldom to see chips warm up.
        assert isinstance(found["chip_time_constant_s"].result, NotIdentified)
