import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.agents.rules import AlwaysOn, LevelRule
from gridhash.envs.action import ActionKind
from gridhash.envs.ledger import LEDGER
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError
from gridhash.training.play import play
from gridhash.training.spans import Rows


class Broken:
    name = "broken"
    action_kind = ActionKind.POWER

    def __init__(self, action: npt.NDArray[np.float64]) -> None:
        self.action = action

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return self.action


@pytest.fixture(scope="module")
def frame(scenario: Scenario, ten_days: Rows) -> pd.DataFrame:
    return play(scenario, LevelRule(scenario.site), ten_days).frame


def test_profit_is_the_signed_sum_of_the_ledger(frame: pd.DataFrame) -> None:
    signed = sum(term.sign * frame[term.name] for term in LEDGER)

    np.testing.assert_allclose(frame["profit"], signed, rtol=0, atol=1e-9)


def test_every_interval_of_the_span_is_kept_once(
    frame: pd.DataFrame, scenario: Scenario, ten_days: Rows
) -> None:
    starts = scenario.trace.starts
    expected = pd.date_range(
        starts[ten_days[0]], starts[ten_days[1]], freq="300s", inclusive="left"
    )

    assert list(frame.index) == list(expected)
    assert not frame.isna().to_numpy().any()


def test_prices_stand_at_their_own_intervals(
    frame: pd.DataFrame, scenario: Scenario, ten_days: Rows
) -> None:
    hourly = frame["price_per_kwh"].to_numpy().reshape(-1, scenario.steps_per_row)
    prices = scenario.trace.column("price_per_kwh")[slice(*ten_days)]

    assert (hourly == prices[:, None]).all()


def test_a_second_play_gives_the_same_bits(
    frame: pd.DataFrame, scenario: Scenario, ten_days: Rows
) -> None:
    again = play(scenario, LevelRule(scenario.site), ten_days).frame

    pd.testing.assert_frame_equal(frame, again, check_exact=True)


def test_local_days_add_up_to_the_span_also_on_the_day_of_25_hours(
    scenario: Scenario, ten_days: Rows
) -> None:
    run = play(scenario, LevelRule(scenario.site), ten_days)

    daily = run.daily_profit("Europe/Amsterdam")

    assert len(daily) == 10
    assert daily.sum() == pytest.approx(run.profit, abs=1e-9)
    local = pd.DatetimeIndex(run.frame.index).tz_convert("Europe/Amsterdam")
    assert (local.date == pd.Timestamp("2018-10-28").date()).sum() == 25 * 12


def test_the_fleet_starts_from_rest_unless_told_otherwise(
    scenario: Scenario, ten_days: Rows
) -> None:
    cold = play(scenario, AlwaysOn(scenario.site), ten_days).frame
    warm = play(scenario, AlwaysOn(scenario.site), ten_days, running_frac=1.0).frame

    assert cold["rigs_started"].sum() == pytest.approx(scenario.site.n_rigs)
    assert warm["rigs_started"].sum() == 0.0


def test_progress_is_told_within_the_span(scenario: Scenario, ten_days: Rows) -> None:
    told: list[tuple[int, int]] = []

    play(
        scenario,
        AlwaysOn(scenario.site),
        ten_days,
        progress=lambda done, total: told.append((done, total)),
    )

    assert {total for _, total in told} == {241 * 12}
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros((1, 3)), r"shape \(1, 3\), expected \(1, 4\)"),
        (np.array([[1.0, np.nan, 1.0, 1.0]]), "group loop_b is nan"),
    ],
)
def test_an_action_that_is_none_is_refused(
    action: npt.NDArray[np.float64], message: str, scenario: Scenario, ten_days: Rows
) -> None:
    with pytest.raises(PolicyError, match=message):
        play(scenario, Broken(action), ten_days)
