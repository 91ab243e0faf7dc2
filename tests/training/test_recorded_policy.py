"""Plays that were cut off and go on from the decisions that were kept."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.agents.rules import Hysteresis
from gridhash.envs.scenario import Scenario
from gridhash.training.play import play
from gridhash.training.recorded_policy import RecordedPolicy
from gridhash.training.spans import Rows


class CutOff:
    """Acts as the hysteresis does, until it is asked too often."""

    name = "cut_off"

    def __init__(self, scenario: Scenario, n_asked: int) -> None:
        self.policy = Hysteresis(scenario.site)
        self.action_kind = self.policy.action_kind
        self.left = n_asked

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.policy.act(observation)


def test_a_play_in_three_pieces_is_the_play_in_one(
    scenario: Scenario, ten_days: Rows, tmp_path: Path
) -> None:
    n_steps = (ten_days[1] - ten_days[0]) * scenario.steps_per_row
    whole = play(scenario, CutOff(scenario, n_steps), ten_days)

    for n_asked in (1000, 700):
        recorded = RecordedPolicy(CutOff(scenario, n_asked), tmp_path / "play.npz")
        with pytest.raises(KeyboardInterrupt):
            play(scenario, recorded, ten_days)
        recorded.save()
    rest = CutOff(scenario, n_steps - 1700)
    last = RecordedPolicy(rest, tmp_path / "play.npz")
    run = play(scenario, last, ten_days)

    assert rest.left == 0, "only what was not kept was asked for"
    pd.testing.assert_frame_equal(run.frame, whole.frame, check_exact=True)
    assert len(last.seconds) == n_steps
    assert run.name == "cut_off"


def test_decisions_are_kept_every_minute_and_a_damaged_file_counts_as_none(
    scenario: Scenario, ten_days: Rows, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "play.npz"
    seconds = iter(range(0, 10**9, 20))
    recorded = RecordedPolicy(CutOff(scenario, 10), path, clock=lambda: float(next(seconds)))
    with pytest.raises(KeyboardInterrupt):
        play(scenario, recorded, ten_days)

    assert len(RecordedPolicy(CutOff(scenario, 0), path).kept) == 10, "each decision took 20 s"
    path.write_bytes(path.read_bytes()[:200])
    assert RecordedPolicy(CutOff(scenario, 0), path).kept == []
