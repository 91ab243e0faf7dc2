"""Wet bulb, dew point and tower water against tables and the psychrometer's own equation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from gridhash.envs.heat_sink import sink_temp_c, spray_water_kg, wetted_share
from gridhash.envs.psychrometrics import dew_point_c, tower_water_kg_per_kwh, wet_bulb_c
from gridhash.errors import ConfigError

PRESSURE_HPA = 1013.25


def saturation_hpa(temp_c: float) -> float:
    """Return Goff and Gratch's (1946) vapour pressure over water, the base of WMO tables."""
    ratio = 373.16 / (temp_c + 273.15)
    exponent = (
        -7.90298 * (ratio - 1)
        + 5.02808 * np.log10(ratio)
        - 1.3816e-7 * (10 ** (11.344 * (1 - 1 / ratio)) - 1)
        + 8.1328e-3 * (10 ** (-3.49149 * (ratio - 1)) - 1)
        + np.log10(1013.246)
    )
    return float(10**exponent)


def psychrometer_c(dry_bulb_c: float, humidity: float) -> float:
    """Return the wet bulb that a ventilated psychrometer shows (WMO-No. 8, annex 4.B)."""
    vapour_hpa = humidity * saturation_hpa(dry_bulb_c)

    def gap(wet_c: float) -> float:
        coefficient = 6.53e-4 * (1 + 0.000944 * wet_c)
        return float(
            saturation_hpa(wet_c) - coefficient * PRESSURE_HPA * (dry_bulb_c - wet_c) - vapour_hpa
        )

    return float(brentq(gap, -60.0, dry_bulb_c))


def test_wet_bulb_of_the_worked_example_of_the_paper() -> None:
    assert wet_bulb_c(20.0, 0.5) == pytest.approx(13.7, abs=0.05)


@pytest.mark.parametrize("dry_bulb", [0.0, 5.0, 10.0, 20.0, 30.0, 40.0])
def test_wet_bulb_is_that_of_a_psychrometer_within_the_published_error(dry_bulb: float) -> None:
    for humidity in (0.2, 0.4, 0.6, 0.8, 0.99):
        error = float(wet_bulb_c(dry_bulb, humidity)) - psychrometer_c(dry_bulb, humidity)
        assert -1.0 <= error <= 0.65, humidity


@pytest.mark.parametrize(
    ("dry_bulb", "humidity", "printed"), [(30, 0.5, 18.4), (25, 0.6, 16.7), (20, 0.5, 9.3)]
)
def test_dew_point_of_printed_tables(dry_bulb: float, humidity: float, printed: float) -> None:
    assert dew_point_c(dry_bulb, humidity) == pytest.approx(printed, abs=0.1)
    assert saturation_hpa(float(dew_point_c(dry_bulb, humidity))) == pytest.approx(
        humidity * saturation_hpa(dry_bulb), rel=5e-3
    )


@given(dry_bulb=st.floats(-60, 60), humidity=st.floats(0, 1), warmer_k=st.floats(0.01, 20))
def test_dew_point_below_wet_bulb_below_dry_bulb_and_all_rise_with_temperature(
    dry_bulb: float, humidity: float, warmer_k: float
) -> None:
    low, high = dew_point_c(dry_bulb, humidity), wet_bulb_c(dry_bulb, humidity)

    assert low <= high <= dry_bulb
    assert dew_point_c(dry_bulb + warmer_k, humidity) > low


@given(dry_bulb=st.floats(5, 45), humidity=st.floats(0.1, 0.9), warmer_k=st.floats(0.5, 5))
def test_wet_bulb_rises_with_temperature_and_humidity(
    dry_bulb: float, humidity: float, warmer_k: float
) -> None:
    here = wet_bulb_c(dry_bulb, humidity)

    assert wet_bulb_c(dry_bulb + warmer_k, humidity) > here
    assert wet_bulb_c(dry_bulb, humidity + 0.05) >= here


def test_arrays_keep_their_shape_and_percent_is_refused() -> None:
    assert wet_bulb_c(np.zeros((3, 2)), 0.5).shape == (3, 2)
    for function in (wet_bulb_c, dew_point_c):
        assert function(20.0, 1.1) == function(20.0, 0.99)
        with pytest.raises(ConfigError, match="found nan"):
            function(20.0, np.array([0.5, np.nan]))
        with pytest.raises(ConfigError, match="found 60: divide percent by 100, fill gaps"):
            function(np.array([20.0, 21.0]), np.array([0.5, 60.0]))


def test_a_megawatt_hour_evaporates_one_and_a_half_tonnes() -> None:
    """Latent heat alone: 3.6 GJ / 2.43 MJ/kg = 1,481 kg; at 3 cycles a third is blown down."""
    assert 1000.0 * tower_water_kg_per_kwh(1.0, 1e9) == pytest.approx(1481.5, rel=1e-4)
    assert 1000.0 * tower_water_kg_per_kwh(1.0, 3.0) == pytest.approx(2222.2, rel=1e-4)
    assert 1000.0 * tower_water_kg_per_kwh(0.8, 3.0) == pytest.approx(1777.8, rel=1e-4)


def test_a_tower_takes_water_only_while_it_sprays_and_gives_heat_away() -> None:
    assert spray_water_kg(90.0, 2.0, 1.0, 5.0, 30.0) == 180.0
    assert spray_water_kg(90.0, 2.0, 1.0, 5.0, 4.9) == 0.0
    assert spray_water_kg(-90.0, 2.0, 1.0, 5.0, 30.0) == 0.0


def test_a_wet_tower_works_against_the_wet_bulb_until_its_spray_could_freeze() -> None:
    assert sink_temp_c(1.0, 5.0, 30.0, 22.0) == 22.0
    assert sink_temp_c(1.0, 5.0, 4.9, 2.0) == 4.9
    assert sink_temp_c(0.0, 5.0, 30.0, 22.0) == 30.0
    assert wetted_share(1.0, 5.0, 0.3, 30.0) == 1.0
    assert wetted_share(1.0, 5.0, 0.3, 4.9) == 0.3
    assert wetted_share(0.0, 5.0, 0.3, 4.9) == 1.0
