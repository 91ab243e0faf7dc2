from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from gridhash.config import load_site
from gridhash.serving.simulated_physics import RigSegment

START = datetime(2024, 4, 1, tzinfo=UTC)
COOLING = load_site("japan_pilot").groups[0].cooling
CHIP_TIME_CONSTANT_S = COOLING.chip_to_coolant_k_per_kw * COOLING.rig_heat_capacity_kj_per_k


def segment(*, lag_s: float, start_w: float = 8064.0, target_w: float = 20.0) -> RigSegment:
    return RigSegment(
        start_at=START,
        start_w=start_w,
        target_w=target_w,
        lag_s=lag_s,
        hashrate_ths=480.0,
        chip_start_c=64.0,
        coolant_c=40.0,
        cooling=COOLING,
    )


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@given(
    lag_s=st.sampled_from([0.0, 6.0, 45.0]),
    at_s=st.floats(0.0, 600.0),
    split=st.floats(0.0, 1.0),
)
def test_splitting_a_segment_changes_nothing(lag_s: float, at_s: float, split: float) -> None:
    whole = segment(lag_s=lag_s)
    end = after(at_s)
    halves = whole.followed_by(after(at_s * split), target_w=20.0, hashrate_ths=480.0)
    # Without lag the power has stepped before the split, so both parts draw the target.

    assert halves.power_w(end) == pytest.approx(whole.power_w(end), abs=1e-6)
    assert halves.energy_kwh(end) == pytest.approx(whole.energy_kwh(end), abs=1e-9)
    assert halves.work_th(end) == pytest.approx(whole.work_th(end), abs=1e-6)
    assert halves.chip_temp_c(end) == pytest.approx(whole.chip_temp_c(end), abs=1e-6)


@pytest.mark.parametrize(
    "lag_s", [6.0, 45.0, CHIP_TIME_CONSTANT_S, CHIP_TIME_CONSTANT_S * (1 + 1e-9)]
)
def test_power_energy_and_temperature_solve_their_differential_equations(lag_s: float) -> None:
    exact = segment(lag_s=lag_s)

    def rates(_: float, state: list[float]) -> list[float]:
        power_w, _, chip_c = state
        flow_kw = (chip_c - 40.0) / COOLING.chip_to_coolant_k_per_kw
        return [
            (20.0 - power_w) / lag_s,
            power_w / 3.6e6,
            (power_w / 1e3 - flow_kw) / COOLING.rig_heat_capacity_kj_per_k,
        ]

    solved = solve_ivp(rates, (0.0, 120.0), [8064.0, 0.0, 64.0], rtol=1e-10, atol=1e-10).y[:, -1]

    end = after(120.0)
    assert exact.power_w(end) == pytest.approx(solved[0], abs=1e-4)
    assert exact.energy_kwh(end) == pytest.approx(solved[1], abs=1e-8)
    assert exact.chip_temp_c(end) == pytest.approx(solved[2], abs=1e-5)


def test_the_past_before_a_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="before the segment"):
        segment(lag_s=0.0).power_w(after(-1.0))
