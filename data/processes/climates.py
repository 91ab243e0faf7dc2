"""Stated climates and areas that the processes draw from.

Monthly means of temperature and humidity are set near the climate normals 1991–2020 of the
national services and are not copies of them: assumed. Deviations of a day and their memory: 2.1 to
3.1 K and 0.66 at Tokyo Haneda 2016–2021, 2.9 K and 0.69 in ERCOT's area 2024 (measured).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Climate:
    """Temperature and humidity of a place.

    Attributes
    ----------
    mean_c
        Mean temperature by month [12], °C.
    wave_k
        Half the difference between the warmest and the coldest hour [K].
    day_sd_k
        Deviation of a day, which lasts [K].
    humidity_frac
        Mean relative humidity by month [12].
    """

    mean_c: tuple[float, ...]
    wave_k: float
    day_sd_k: float
    humidity_frac: tuple[float, ...]


CLIMATES = {
    "fukuoka": Climate(
        (6.9, 7.8, 10.8, 15.4, 19.9, 23.3, 27.4, 28.4, 24.7, 19.6, 14.2, 9.1),
        3.6,
        2.4,
        (0.63, 0.63, 0.65, 0.65, 0.68, 0.74, 0.75, 0.72, 0.73, 0.67, 0.67, 0.64),
    ),
    "tokyo": Climate(
        (5.4, 6.1, 9.4, 14.3, 18.8, 21.9, 25.7, 26.9, 23.3, 18.0, 12.5, 7.7),
        3.6,
        2.6,
        (0.55, 0.56, 0.64, 0.67, 0.73, 0.79, 0.83, 0.80, 0.82, 0.76, 0.67, 0.59),
    ),
    "dallas": Climate(
        (8.0, 10.3, 14.8, 18.8, 23.2, 27.7, 29.9, 30.0, 26.1, 20.1, 13.7, 9.0),
        5.0,
        3.2,
        (0.67, 0.66, 0.64, 0.65, 0.70, 0.66, 0.60, 0.60, 0.65, 0.66, 0.67, 0.68),
    ),
    "melbourne": Climate(
        (21.0, 21.0, 19.0, 16.0, 13.2, 10.9, 10.3, 11.2, 13.1, 15.2, 17.5, 19.3),
        4.7,
        3.0,
        (0.60, 0.62, 0.64, 0.68, 0.74, 0.77, 0.76, 0.72, 0.68, 0.64, 0.62, 0.60),
    ),
    "frankfurt": Climate(
        (2.1, 3.0, 6.7, 11.0, 15.2, 18.6, 20.6, 20.1, 15.5, 10.6, 6.0, 2.9),
        4.2,
        3.1,
        (0.83, 0.78, 0.71, 0.64, 0.64, 0.65, 0.65, 0.67, 0.74, 0.81, 0.85, 0.85),
    ),
    "amsterdam": Climate(
        (3.9, 4.2, 6.5, 9.8, 13.3, 16.0, 18.1, 18.0, 15.2, 11.5, 7.5, 4.6),
        3.3,
        2.7,
        (0.87, 0.84, 0.80, 0.75, 0.75, 0.76, 0.77, 0.78, 0.82, 0.84, 0.87, 0.88),
    ),
}


@dataclass(frozen=True)
class AreaDemand:
    """Demand of an area.

    Attributes
    ----------
    mean_kw
        Of a year.
    month_factor
        Of the mean [12].
    hour_factor
        Of the month's level on working days: winter (December to February), summer (June to
        September) and the months between [3, 24].
    weekend_factor
        Of working days.
    day_sd_frac, hour_sd_frac
        Deviations that last about four days, and about five hours.
    warm_frac_per_k, cold_frac_per_k
        Growth with a temperature above the climate's in summer, and below it in winter [1/K].
    climate
        Name of the climate that temperature is compared with.
    source
        Of the figures.
    """

    mean_kw: float
    month_factor: tuple[float, ...]
    hour_factor: tuple[tuple[float, ...], ...]
    weekend_factor: float
    day_sd_frac: float
    hour_sd_frac: float
    warm_frac_per_k: float
    cold_frac_per_k: float
    climate: str
    source: str


# fmt: off
AREAS = {
    "kyushu": AreaDemand(
        mean_kw=9.68e6,
        month_factor=(1.123, 1.086, 0.946, 0.874, 0.856, 0.965,
                      1.113, 1.127, 1.038, 0.894, 0.910, 1.070),
        hour_factor=(
            (0.873, 0.873, 0.914, 0.952, 0.969, 0.982, 1.031, 1.094, 1.132, 1.120, 1.079, 1.060,
             1.015, 1.022, 1.010, 1.012, 1.055, 1.109, 1.153, 1.134, 1.097, 1.049, 0.992, 0.939),
            (0.824, 0.783, 0.787, 0.818, 0.853, 0.871, 0.869, 0.911, 1.022, 1.123, 1.172, 1.209,
             1.193, 1.226, 1.231, 1.221, 1.220, 1.189, 1.166, 1.130, 1.070, 1.009, 0.959, 0.909),
            (0.864, 0.852, 0.897, 0.964, 1.006, 1.010, 1.001, 1.003, 1.030, 1.074, 1.085, 1.098,
             1.061, 1.089, 1.086, 1.079, 1.098, 1.111, 1.130, 1.113, 1.069, 1.020, 0.978, 0.935),
        ),
        weekend_factor=0.902,
        day_sd_frac=0.05,
        hour_sd_frac=0.03,
        warm_frac_per_k=0.02,
        cold_frac_per_k=0.012,
        climate="fukuoka",
        source="profile measured on Kyushu T&D 2019 and 2021 to 2023; the rest assumed",
    ),
    "ercot": AreaDemand(
        mean_kw=5.27e7,
        month_factor=(0.960, 0.910, 0.860, 0.890, 0.990, 1.110,
                      1.160, 1.200, 1.080, 0.970, 0.890, 0.920),
        hour_factor=(
            (0.920, 0.905, 0.900, 0.905, 0.925, 0.975, 1.050, 1.090, 1.085, 1.070, 1.055, 1.035,
             1.015, 0.995, 0.985, 0.985, 1.005, 1.055, 1.090, 1.085, 1.065, 1.030, 0.985, 0.945),
            (0.865, 0.820, 0.785, 0.765, 0.760, 0.775, 0.800, 0.830, 0.880, 0.940, 1.000, 1.065,
             1.125, 1.175, 1.215, 1.240, 1.250, 1.245, 1.215, 1.165, 1.120, 1.070, 0.995, 0.925),
            (0.885, 0.855, 0.840, 0.835, 0.850, 0.895, 0.955, 0.985, 1.000, 1.020, 1.040, 1.055,
             1.070, 1.085, 1.095, 1.105, 1.120, 1.130, 1.125, 1.125, 1.110, 1.065, 1.000, 0.935),
        ),
        weekend_factor=0.955,
        day_sd_frac=0.025,
        hour_sd_frac=0.015,
        warm_frac_per_k=0.013,
        cold_frac_per_k=0.02,
        climate="dallas",
        source="highest hour near the record of 85.5 GW of August 2023 (ERCOT); the rest assumed",
    ),
}
# fmt: on
