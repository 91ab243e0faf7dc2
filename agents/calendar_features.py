"""Hour, weekday and season back from the sines and cosines of an observation."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.units import DAYS_PER_YEAR, HOURS_PER_DAY

FIRST_DAY_OF_WEEKEND = 5
DAYS_OF_DECEMBER = 31
_COLUMNS = [f"{name}_{part}" for name in ("hour", "weekday", "season") for part in ("sin", "cos")]


class Calendar(NamedTuple):
    """Local time at the start of a settlement period, (N,) each."""

    hour: Floats
    """[0, 24)"""
    weekend: npt.NDArray[np.bool_]
    """Saturday or Sunday; holidays are not known here."""
    since_december: Floats
    """Share of the year since the first of December, [0, 1); a day late in a leap year."""

    def season(self, n: int) -> Ints:
        """Return which of `n` equal parts of the year it is, winter first."""
        return np.floor(self.since_december * n).astype(np.int64)


def calendar_of(reader: ObservationReader, observation: Observations) -> Calendar:
    """Return the calendar of a batch of observations."""
    seen = reader.check(observation)
    return _calendar(*(seen[:, reader.column(name)] for name in _COLUMNS))


def calendar_of_rows(scenario: Scenario, rows: tuple[int, int]) -> Calendar:
    """Return the calendar of the rows [first, last) of a scenario."""
    names = [feature.name for feature in scenario.features]
    features = scenario.rows[slice(*rows)]
    return _calendar(*(features[:, names.index(name)] for name in _COLUMNS))


def _calendar(*parts: npt.NDArray[np.float32]) -> Calendar:
    hour, weekday, season = (
        _phase(sine, cosine) for sine, cosine in zip(parts[::2], parts[1::2], strict=True)
    )
    return Calendar(
        hour=hour * HOURS_PER_DAY,
        weekend=np.floor(weekday * 7.0) >= FIRST_DAY_OF_WEEKEND,
        since_december=(season + DAYS_OF_DECEMBER / DAYS_PER_YEAR) % 1.0,
    )


def _phase(sine: npt.NDArray[np.float32], cosine: npt.NDArray[np.float32]) -> Floats:
    """Return a phase in [0, 1), rid of float32's rounding."""
    angle = np.arctan2(sine.astype(np.float64), cosine.astype(np.float64))
    return np.asarray((angle / (2.0 * np.pi) + 1e-6) % 1.0)
