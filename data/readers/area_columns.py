"""The ten areas of Japan: number, place, plausible power; and how their files name a quantity.

Demand: `demand_median_mw` holds the median of any file and `demand_max_mw` every value (single
hours can be near zero, as in Hokkaido's blackout of 2018-09-06). Round figures about a third below
the lowest and a tenth above the highest demand known: the published record peaks of the areas
(Tokyo 64.3 GW in 2001, Kansai 33.1, Chubu 28.2, Kyushu 17.7, Tohoku 15.6, Chugoku 12.3, Shikoku
6.0, Hokkaido 5.8, Hokuriku 5.7, Okinawa 1.7 GW), Kyushu's hourly range 2016-2023 (6.2 … 16.4 GW)
and the official file heads of 2016-2026. High over low stays below ten, so that a wrong power of
ten is found.

Capacities: the most that a source can give, as round figures 1.2 to 2 times what is installed or
licensed; storage and exchange have either sign. They only have to tell a column in the wrong unit
or the wrong place, and leave room for years of growth.
"""

from dataclasses import dataclass
from functools import cached_property

from gridhash.errors import DataError

_CAPACITIES_MW = {
    # hokkaido tohoku tokyo chubu hokuriku kansai chugoku shikoku kyushu okinawa
    "nuclear_kw": (2200, 3300, 9500, 3900, 1900, 7200, 2400, 1000, 4600, 0),
    "thermal_kw": (6000, 20000, 60000, 32000, 7000, 26000, 15000, 6500, 20000, 2500),
    "thermal_lng_kw": (2000, 12000, 42000, 20000, 900, 14000, 5000, 1500, 7000, 900),
    "thermal_coal_kw": (3500, 9000, 14000, 7000, 4000, 4500, 7500, 4500, 8000, 1300),
    "thermal_oil_kw": (3000, 3000, 12000, 4000, 2500, 9500, 4000, 2500, 4500, 1000),
    "thermal_other_kw": (1500, 4000, 15000, 6000, 1000, 5000, 3000, 1500, 3000, 600),
    "hydro_kw": (1700, 3500, 4500, 4000, 2600, 4500, 1500, 1400, 2400, 30),
    "geothermal_kw": (80, 500, 50, 40, 20, 20, 20, 20, 350, 5),
    "biomass_kw": (800, 2000, 2500, 1800, 500, 1500, 1500, 800, 2000, 150),
    "solar_kw": (4000, 14000, 32000, 18000, 2800, 13000, 12000, 6000, 20000, 1000),
    "wind_kw": (3000, 5000, 2000, 1500, 600, 800, 1200, 800, 2500, 60),
    "pumped_hydro_kw": (1000, 800, 12000, 6000, 300, 6500, 3000, 1000, 3600, 60),
    "battery_kw": (1500, 1500, 2500, 1500, 500, 1500, 1000, 500, 2500, 200),
    "interconnector_kw": (1500, 11000, 14000, 8000, 4000, 14000, 8500, 4500, 4500, 0),
    "other_kw": (500, 1000, 3000, 2000, 500, 2000, 1000, 500, 1500, 100),
}
"""Capacity of each source [MW] in the ten areas, by number from 1."""

SOURCES = tuple(_CAPACITIES_MW)
"""What adds up to the supply of an area."""

EITHER_SIGN = frozenset({"pumped_hydro_kw", "battery_kw", "interconnector_kw", "other_kw"})
"""Sources that may be negative; solar and wind may by a few MW, the rest may not."""

CURTAILED = {
    "thermal_curtailed_kw": "thermal_kw",
    "biomass_curtailed_kw": "biomass_kw",
    "solar_curtailed_kw": "solar_kw",
    "wind_curtailed_kw": "wind_kw",
}
"""Curtailed power → the source that would have given it; not part of the supply."""


@dataclass(frozen=True)
class Area:
    """One area: official number, bounds [MW], and the box of its land [°] (lat, lat, lon, lon)."""

    key: str
    number: int
    demand_median_mw: tuple[float, float]
    demand_max_mw: float
    box: tuple[float, float, float, float]

    @cached_property
    def capacity_mw(self) -> dict[str, float]:
        """Capacity by quantity."""
        return {name: caps[self.number - 1] for name, caps in _CAPACITIES_MW.items()}


AREAS = {
    area.key: area
    for area in (
        Area("hokkaido", 1, (1600, 6000), 6800, (41.4, 45.5, 139.4, 145.8)),
        Area("tohoku", 2, (4500, 15500), 18000, (36.8, 41.6, 138.2, 142.1)),
        Area("tokyo", 3, (15000, 60000), 70000, (34.6, 37.2, 138.2, 140.9)),
        Area("chubu", 4, (7000, 27000), 32000, (34.5, 37.1, 136.2, 139.2)),
        Area("hokuriku", 5, (1500, 6000), 7000, (35.6, 37.6, 135.9, 137.8)),
        Area("kansai", 6, (7500, 31000), 38000, (33.4, 35.8, 134.2, 136.8)),
        Area("chugoku", 7, (3200, 12500), 14500, (33.7, 35.7, 130.8, 134.5)),
        Area("shikoku", 8, (1300, 6000), 7500, (32.7, 34.6, 132.0, 134.9)),
        Area("kyushu", 9, (5000, 17500), 20500, (31.0, 34.7, 128.6, 132.1)),
        Area("okinawa", 10, (350, 1700), 2000, (24.0, 27.1, 122.9, 128.3)),
    )
}
"""Every area by its key."""

AREA_BY_NUMBER = {area.number: area for area in AREAS.values()}


def choose_area(path: str, found: str | None, asked: str | None, *, evidence: str) -> Area:
    """Return the area that file and user agree on.

    Parameters
    ----------
    found, evidence
        Area that the file or its name tells, and what told it.
    asked
        Area that the user named, if any.

    Raises
    ------
    DataError
        If neither says it, they disagree, or the user's is unknown.
    """
    key = None if asked is None else asked.strip().casefold()
    if key is not None and key not in AREAS:
        raise DataError(f"{path}: unknown area {asked!r}; choose one of {', '.join(AREAS)}")
    if found is None and key is None:
        raise DataError(
            f"{path}: neither the content nor the file name says the area; name it with --area, "
            f"one of {', '.join(AREAS)}"
        )
    if found is not None and key is not None and found != key:
        raise DataError(
            f"{path}: the area asked for is {key}, but {evidence} says {found}; correct one of them"
        )
    return AREAS[found or key or ""]
