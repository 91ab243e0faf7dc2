"""What a policy is: a batch of observations in, a batch of actions out."""

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import horizon_periods, observation_table
from gridhash.envs.parameters import Floats, SiteParameters, compile_site
from gridhash.errors import PolicyError
from gridhash.units import HOURS_PER_DAY

Observations = npt.NDArray[np.float32]
"""(N, F) float32 in the order of `observation_table(site)`."""


@runtime_checkable
class Policy(Protocol):
    """A pure function of the observation: what must be remembered is in the observation."""

    @property
    def name(self) -> str:
        """Name in tables and on the command line."""
        ...

    @property
    def action_kind(self) -> ActionKind:
        """How the numbers of `act` are meant."""
        ...

    def act(self, observation: Observations) -> Floats:
        """Return the action of every site, (N, G) float64; the observation is only read."""
        ...


def check_action(action: npt.ArrayLike, *, n_sites: int, n_groups: int) -> Floats:
    """Return an action as a contiguous (N, G) float64 array.

    Raises
    ------
    PolicyError
        If it has the wrong shape or holds NaN or infinity.
    """
    array = np.ascontiguousarray(action, dtype=np.float64)
    if array.shape != (n_sites, n_groups):
        raise PolicyError(f"action has shape {array.shape}, expected {(n_sites, n_groups)}")
    finite = np.isfinite(array)
    if not finite.all():
        site, group = np.argwhere(~finite)[0]
        raise PolicyError(
            f"action of site {site}, group {group} is {array[site, group]}: the policy must "
            "return finite numbers"
        )
    return array


class ObservationReader:
    """Finds features of a site's observation by name, and turns ratios back into amounts.

    Raises
    ------
    PolicyError
        From every method that takes an observation, if its width is not that of the table.
    """

    def __init__(self, site: SiteConfig) -> None:
        self.site = site
        self.params: SiteParameters = compile_site(site)
        names = [feature.name for feature in observation_table(site)]
        self.n_features = len(names)
        self.n_groups = len(site.groups)
        self._columns = {name: column for column, name in enumerate(names)}
        self._group_columns: dict[str, slice] = {}
        for name in names:
            stem = name.removesuffix(site.groups[0].name)
            own = [self._columns.get(stem + group.name) for group in site.groups]
            columns = [column for column in own if column is not None]
            if stem != name and stem.endswith("_") and len(columns) == len(own):
                self._group_columns[stem.removesuffix("_")] = _evenly_spaced(columns)
        first = self._columns["price_ratio_000"]
        self.n_prices = horizon_periods(site)
        self._prices = slice(first, first + self.n_prices)
        top_kw = self.params.n_rigs * self.params.level_kw[:, -1]
        top_phs = self.params.n_rigs * self.params.level_phs[:, -1]
        self.site_phs_per_kw = float(top_phs.sum() / top_kw.sum())
        """Hash rate per rig power of the whole site at its top levels: the break-even's basis."""

    def column(self, name: str) -> int:
        """Return the column of a feature; raise PolicyError if the table lacks it."""
        if name not in self._columns:
            raise PolicyError(f"the observation of {self.site.name} has no feature {name!r}")
        return self._columns[name]

    def has(self, name: str) -> bool:
        """Return whether the table holds a feature, which hangs on the blocks of the site."""
        return name in self._columns

    def check(self, observation: Observations) -> Observations:
        """Return the observation if its width is that of the table."""
        if observation.ndim != 2 or observation.shape[1] != self.n_features:
            raise PolicyError(
                f"observation has shape {observation.shape}, but {self.site.name} has "
                f"{self.n_features} features: use (N, {self.n_features})"
            )
        return observation

    def value(self, observation: Observations, name: str) -> Floats:
        """Return one feature of every site, (N,) float64."""
        return self.check(observation)[:, self.column(name)].astype(np.float64)

    def of_groups(self, observation: Observations, name: str) -> Floats:
        """Return a feature that each group has, such as ``running_frac``, (N, G) float64."""
        if name not in self._group_columns:
            raise PolicyError(f"the groups of {self.site.name} have no feature {name!r}")
        return self.check(observation)[:, self._group_columns[name]].astype(np.float64)

    def group_columns(self, name: str) -> npt.NDArray[np.int64]:
        """Return the columns, (G,), of a feature that each group has."""
        if name not in self._group_columns:
            raise PolicyError(f"the groups of {self.site.name} have no feature {name!r}")
        return np.arange(self.n_features)[self._group_columns[name]]

    def prices_per_kwh(self, observation: Observations) -> Floats:
        """Return all-in prices from the present period on, (N, H) [currency/kWh].

        From ``published_h`` on they are not published yet but those of a day earlier.
        """
        ratio = self.check(observation)[:, self._prices].astype(np.float64)
        return ratio * self.value(observation, "break_even_per_kwh")[:, None]

    def revenue_per_phs_day(self, observation: Observations) -> Floats:
        """Return what 1 PH/s earns in a day at the present hashprice, (N,) [currency]."""
        return (
            self.value(observation, "break_even_per_kwh")
            * (HOURS_PER_DAY * self.params.pue_for_planning)
            / self.site_phs_per_kw
        )

    def level_break_even_ratio(self, level_kw: Floats, level_phs: Floats) -> Floats:
        """Return each group's break-even at a level per that of the site, (G,).

        Comparable with the features ``price_ratio_…``. `level_kw` and `level_phs` are (G,) power
        and hash rate of one rig.
        """
        return level_phs / level_kw / self.site_phs_per_kw


def _evenly_spaced(columns: list[int]) -> slice:
    """Return columns as a slice, by which NumPy reads a batch of one far faster than by a list."""
    step = columns[1] - columns[0] if len(columns) > 1 else 1
    found = slice(columns[0], columns[-1] + 1, step)
    assert columns == [*range(columns[0], columns[-1] + 1, step)], "a table repeats its groups"
    return found
