"""Past prices in the observation: those that were known, no other."""

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario


@pytest.fixture(scope="module")
def victoria() -> Scenario:
    return open_named_scenario("RealTimeNem", days=4)


def feature(scenario: Scenario, name: str) -> npt.NDArray[np.float32]:
    names = [one.name for one in scenario.features]
    return np.asarray(scenario.rows[:, names.index(name)])


@pytest.mark.parametrize(("hours", "n"), [("0.25", 3), ("1", 12), ("4", 48), ("24", 288)])
def test_they_are_those_of_the_newest_known_intervals(
    victoria: Scenario, hours: str, n: int
) -> None:
    price = victoria.trace.column("real_time_price_per_kwh")
    available = victoria.trace.available_at["real_time_price_per_kwh"].to_numpy()
    value = feature(victoria, "break_even_per_kwh").astype(np.float64)
    starts = victoria.trace.frame.index.to_numpy()
    for row in (300, 700, 1151):
        known = int((available <= starts[row]).sum())
        assert known <= row, "the price of an interval is known when it is over"
        last = price[known - n : known]
        mean, high = (feature(victoria, f"price_{what}_{hours}h")[row] for what in ("mean", "high"))
        assert mean == pytest.approx(np.clip(last.mean() / value[row], -5, 20), rel=1e-5)
        assert high == pytest.approx(np.clip(last.max() / value[row], -5, 20), rel=1e-5)


def test_before_the_first_price_it_stands_for_the_past(victoria: Scenario) -> None:
    price = victoria.trace.column("real_time_price_per_kwh")
    value = feature(victoria, "break_even_per_kwh")[0]
    assert feature(victoria, "price_mean_24h")[0] == pytest.approx(price[0] / value, rel=1e-5)
