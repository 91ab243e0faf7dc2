"""What moist outdoor air can cool to, and where it wets what is colder than it.

Vectorised over numpy arrays; temperatures in °C at sea-level pressure (1,013.25 hPa), relative
humidity as a fraction.
"""

import numpy as np
import numpy.typing as npt

from gridhash.errors import ConfigError
from gridhash.units import SECONDS_PER_HOUR

Floats = npt.NDArray[np.float64]

STULL_HUMIDITY = (0.05, 0.99)
"""Relative humidities that Stull's fit was made for [1]."""
HIGHEST_READING = 1.1
"""Of a humidity sensor in fog; counts as 99 %."""
LATENT_HEAT_KJ_PER_KG = 2430.0
"""Of evaporation of water at 30 °C (IAPWS-95 saturation tables) [kJ/kg]."""


def _humidity(relative_humidity_frac: npt.ArrayLike) -> Floats:
    humidity = np.asarray(relative_humidity_frac, dtype=np.float64)
    if not np.all((humidity >= 0.0) & (humidity <= HIGHEST_READING)):
        worst = humidity.flat[np.argmax(np.abs(humidity - 0.5))]
        raise ConfigError(
            f"relative_humidity_frac must lie within 0 … {HIGHEST_READING}; found {worst:g}: "
            "divide percent by 100, fill gaps"
        )
    return np.clip(humidity, *STULL_HUMIDITY)


def dew_point_c(dry_bulb_c: npt.ArrayLike, relative_humidity_frac: npt.ArrayLike) -> Floats:
    """Return the temperature below which a surface gets wet [°C].

    Magnus' formula over water with the coefficients of Alduchov and Eskridge (1996),
    doi 10.1175/1520-0450(1996)035<0601:IMFAOS>2.0.CO;2: vapour pressure within 0.4 % from -40 to
    50 °C. Humidity below 5 % counts as 5 %, above 99 % as 99 %, as in `wet_bulb_c`.

    Raises
    ------
    ConfigError
        If a relative humidity lies outside 0 … 1.1 or is no number.
    """
    dry_bulb = np.asarray(dry_bulb_c, dtype=np.float64)
    gamma = np.log(_humidity(relative_humidity_frac)) + 17.625 * dry_bulb / (243.04 + dry_bulb)
    return np.asarray(243.04 * gamma / (17.625 - gamma))


def wet_bulb_c(dry_bulb_c: npt.ArrayLike, relative_humidity_frac: npt.ArrayLike) -> Floats:
    """Return the wet-bulb temperature, which evaporation cools towards [°C].

    Stull (2011), doi 10.1175/JAMC-D-11-0143.1: a fit for 5-99 % relative humidity and -20 … 50 °C
    at 1,013.25 hPa, with errors of -1.0 … +0.65 K (mean 0.3 K); against a ventilated psychrometer
    (WMO-No. 8) that holds up to 40 °C; at 50 °C and 20 % it is 0.9 K. Humidity outside is moved to
    the nearest edge. The fit leaves the range of the possible in cold dry air, for which it is
    not meant; the result is therefore kept between dew point and dry bulb.

    Raises
    ------
    ConfigError
        If a relative humidity lies outside 0 … 1.1 or is no number.
    """
    dry_bulb = np.asarray(dry_bulb_c, dtype=np.float64)
    percent = 100.0 * _humidity(relative_humidity_frac)
    fit = (
        dry_bulb * np.arctan(0.151977 * np.sqrt(percent + 8.313659))
        + np.arctan(dry_bulb + percent)
        - np.arctan(percent - 1.676331)
        + 0.00391838 * percent**1.5 * np.arctan(0.023101 * percent)
        - 4.686035
    )
    return np.clip(fit, dew_point_c(dry_bulb, relative_humidity_frac), dry_bulb)


def tower_water_kg_per_kwh(evaporated_heat_frac: float, cycles_of_concentration: float) -> float:
    """Return the make-up water of a wet tower per heat that it rejects [kg/kWh].

    Evaporation carries `evaporated_heat_frac` of the heat as latent heat; blow-down keeps salts at
    `cycles_of_concentration` (above 1) times those of the make-up water (mass balance of salt).
    """
    evaporated_kg = SECONDS_PER_HOUR * evaporated_heat_frac / LATENT_HEAT_KJ_PER_KG
    return evaporated_kg * cycles_of_concentration / (cycles_of_concentration - 1.0)
