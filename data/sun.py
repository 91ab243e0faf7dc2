"""Where the sun stands, by pvlib; kept, since it is the same in every draw of a scenario."""

from functools import lru_cache

import pandas as pd

from gridhash.time_grid import grid

CACHED_PLACES = 2
"""Five-minute positions of ten years take 50 MB."""


@lru_cache(maxsize=CACHED_PLACES)
def sun_positions(
    start: pd.Timestamp, end: pd.Timestamp, step_s: int, latitude: float, longitude: float
) -> pd.DataFrame:
    """Return the position at the middle of each step of [start, end), columns as pvlib's [°].

    It is shared: copy what is to be changed.
    """
    import pvlib  # takes half a second, and few sites have panels

    middle = grid(start, end, step_s) + pd.Timedelta(seconds=step_s / 2)
    positions: pd.DataFrame = pvlib.solarposition.get_solarposition(middle, latitude, longitude)
    return positions
