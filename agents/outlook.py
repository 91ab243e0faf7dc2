"""What may come, by settlement period: the forecasts that planners plan on."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, Self

import numpy as np

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.envs.parameters import Floats, Ints
from gridhash.errors import ConfigError
from gridhash.units import SECONDS_PER_HOUR

STRATA = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Edges of the shares of paths, from the cheapest to the dearest next hours, that make one path."""
STRATUM_H = 2.0
"""Paths are told apart by what energy costs until then."""


@dataclass(frozen=True)
class Outlook:
    """K paths of what is uncertain over H settlement periods, the present one first."""

    chance: Floats
    """(K,) of each path, 1 in all."""
    all_in_per_kwh: Floats
    """(K, H) what grid energy costs with all adders."""
    surplus_kw: Floats
    """(K, H)"""
    pv_kw: Floats
    """(K, H)"""
    base_kw: Floats
    """(K, H) base points."""
    outdoor_c: Floats
    """(H,)"""
    peak_per_kw: Floats
    """(H,) what a kW of mean power is expected to cost for coincident peaks."""
    increase_baseline_kw: Floats
    """(H,) of a call to consume."""

    def mean(self) -> Self:
        """Return the expectation as one path."""
        return self._merged([np.arange(len(self.chance))])

    def quantile(self, share: float) -> Self:
        """Return one path: so much of the prices, and 1 less so much of own energy, lie below."""
        return replace(
            self.mean(),
            all_in_per_kwh=np.quantile(self.all_in_per_kwh, share, axis=0)[None],
            surplus_kw=np.quantile(self.surplus_kw, 1.0 - share, axis=0)[None],
            pv_kw=np.quantile(self.pv_kw, 1.0 - share, axis=0)[None],
        )

    def strata(self, period_h: float) -> Self:
        """Return few paths with the same expectation: means of paths alike in the next hours."""
        n = len(self.chance)
        soon = max(round(STRATUM_H / period_h), 1)
        supply_kw = self.surplus_kw[:, :soon] + self.pv_kw[:, :soon]
        cost = self.all_in_per_kwh[:, :soon].mean(axis=1)
        order = np.lexsort((-supply_kw.mean(axis=1), cost.round(6)))
        edges = np.round(np.array(STRATA) * n).astype(np.int64)
        parts = [order[a:b] for a, b in pairwise(edges) if b > a]
        return self._merged(parts)

    def _merged(self, parts: list[Ints]) -> Self:
        def means(values: Floats) -> Floats:
            return np.stack(
                [np.average(values[part], axis=0, weights=self.chance[part]) for part in parts]
            )

        return replace(
            self,
            chance=np.array([self.chance[part].sum() for part in parts]),
            all_in_per_kwh=means(self.all_in_per_kwh),
            surplus_kw=means(self.surplus_kw),
            pv_kw=means(self.pv_kw),
            base_kw=means(self.base_kw),
        )


class Forecaster(Protocol):
    """Turns an observation into an outlook."""

    longest: int
    """Settlement periods that it can look ahead."""

    def outlook(self, observation: Observations, n_periods: int) -> Outlook:
        """Return what may come of one site, observation (1, F), over `n_periods`."""
        ...


class Persistence:
    """What the observation itself says, going on: no data needed, nothing fitted.

    Prices are those of the observation: published ones, then those of a day earlier. Surplus and
    panels fade with a time constant; temperature and base point stay. A call to consume is taken
    to count from half of contract power.

    Parameters
    ----------
    fades_h
        Time constant with which surplus and panels fade [h].

    Raises
    ------
    ConfigError
        If `fades_h` is not above 0.
    """

    def __init__(self, reader: ObservationReader, *, fades_h: float = 2.0) -> None:
        if fades_h <= 0.0:
            raise ConfigError(f"fades_h must be above 0: {fades_h}")
        self._reader = reader
        self._fades_h = fades_h
        self.longest = reader.n_prices

    def outlook(self, observation: Observations, n_periods: int) -> Outlook:
        """Return one path."""
        reader = self._reader
        contract_kw = reader.params.contract_power_kw
        period_h = reader.site.market.settlement_period_s / SECONDS_PER_HOUR
        fading = np.exp(-period_h / self._fades_h * np.arange(n_periods))

        def now(name: str) -> float:
            return float(reader.value(observation, name)[0]) if reader.has(name) else 0.0

        base_frac = np.full(n_periods, now("next_base_point_frac"))
        base_frac[0] = now("base_point_frac")
        return Outlook(
            chance=np.ones(1),
            all_in_per_kwh=reader.prices_per_kwh(observation)[:, :n_periods],
            surplus_kw=(now("surplus_frac") * contract_kw * fading)[None],
            pv_kw=(now("pv_frac") * contract_kw * fading)[None],
            base_kw=(base_frac * contract_kw)[None],
            outdoor_c=np.full(n_periods, now("outdoor_temp_c")),
            peak_per_kw=np.zeros(n_periods),
            increase_baseline_kw=np.full(n_periods, 0.5 * contract_kw),
        )
