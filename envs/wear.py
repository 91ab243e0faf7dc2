"""What temperature cycles cost solder joints: Norris-Landzberg over rainflow-counted cycles.

A report only, beside what every policy earned: money is charged per start
(`start_cost_per_fleet_start`). No public field data tie curtailment cycles to failures of rigs, so
show results over a range of costs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import rainflow

from gridhash.config import SiteConfig
from gridhash.config_blocks import Mark
from gridhash.errors import DataError
from gridhash.units import DAYS_PER_YEAR, SECONDS_PER_DAY

ZERO_C_IN_K = 273.15
REFERENCE_RANGE_K = 50.0
REFERENCE_MAX_C = 75.0
"""Damage is counted in cycles of this range that end at this hottest temperature."""
RANGE_EDGES_K = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, np.inf)
DEEP_CYCLE_K = 20.0


@dataclass(frozen=True, kw_only=True)
class SolderFatigue:
    """Constants of the Norris-Landzberg relation for one solder."""

    range_exponent: float
    frequency_exponent: float
    activation_k: float
    """Activation energy over Boltzmann's constant [K]."""
    mark: Mark
    source: str


SN_PB = SolderFatigue(
    range_exponent=1.9,
    frequency_exponent=1.0 / 3.0,
    activation_k=1414.0,
    mark="sourced",
    source="Norris and Landzberg (1969), doi 10.1147/rd.133.0266: exponents 1.9 and 1/3, 1414 K",
)
SAC = SolderFatigue(
    range_exponent=2.65,
    frequency_exponent=0.136,
    activation_k=2185.0,
    mark="assumed",
    source="Pan et al. (2005) for SnAgCu, quoted at second hand; later work finds no consistent "
    "set for SnAgCu (Vasudevan and Fan 2008)",
)


@dataclass(frozen=True, kw_only=True)
class ThermalCycle:
    """A temperature cycle: range, hottest temperature and how often it comes."""

    range_k: float
    max_c: float
    per_day: float


def acceleration_factor(test: ThermalCycle, use: ThermalCycle, solder: SolderFatigue) -> float:
    """Return how many cycles of use do the damage of one test cycle, N_use / N_test [1].

    Norris and Landzberg (1969): (dT_t/dT_u)^n (f_u/f_t)^m exp(E (1/T_u - 1/T_t)), with T the
    hottest temperature [K].
    """
    hot_use_k, hot_test_k = use.max_c + ZERO_C_IN_K, test.max_c + ZERO_C_IN_K
    return float(
        (test.range_k / use.range_k) ** solder.range_exponent
        * (use.per_day / test.per_day) ** solder.frequency_exponent
        * np.exp(solder.activation_k * (1.0 / hot_use_k - 1.0 / hot_test_k))
    )


@dataclass(frozen=True, kw_only=True)
class WearReport:
    """Rainflow count of a temperature series."""

    range_edges_k: tuple[float, ...]
    n_cycles: tuple[float, ...]
    """Cycles by range, one per bin between two edges; half cycles count one half."""
    n_deep_cycles: float
    """Cycles of more than 20 K: stops rather than changes of level."""
    days: float
    equivalent_cycles: float
    """Damage in cycles of 50 K that reach 75 °C."""


def rainflow_cycles(values: npt.ArrayLike) -> list[tuple[float, float, float]]:
    """Return (range, mean, count) of every cycle by ASTM E1049-85 section 5.4.4."""
    series = np.asarray(values, dtype=np.float64)
    return [(r, mean, count) for r, mean, count, _, _ in rainflow.extract_cycles(series)]


def wear_report(
    chip_temp_c: npt.ArrayLike, interval_s: float, solder: SolderFatigue = SAC
) -> WearReport:
    """Count the cycles of a chip temperature series, (T,), and the damage they do.

    Each cycle is weighed against the reference cycle by `acceleration_factor` at equal frequency,
    since a real series has none of its own.

    Raises
    ------
    DataError
        If the series is not one-dimensional or holds a value that is no number.
    """
    series = np.asarray(chip_temp_c, dtype=np.float64)
    if series.ndim != 1 or not np.all(np.isfinite(series)):
        raise DataError(
            f"chip temperatures must be one series of finite values; found shape {series.shape} "
            f"with {int(np.sum(~np.isfinite(series)))} values that are no number: fill the gaps"
        )
    reference = ThermalCycle(range_k=REFERENCE_RANGE_K, max_c=REFERENCE_MAX_C, per_day=1.0)
    cycles = [cycle for cycle in rainflow_cycles(series) if cycle[0] > 0.0]
    ranges = np.array([range_k for range_k, _, _ in cycles])
    counts = np.array([count for _, _, count in cycles])
    by_range, _ = np.histogram(ranges, bins=np.array(RANGE_EDGES_K), weights=counts)
    damage = 0.0
    for range_k, mean_c, count in cycles:
        own = ThermalCycle(range_k=range_k, max_c=mean_c + 0.5 * range_k, per_day=1.0)
        damage += count / acceleration_factor(reference, own, solder)
    return WearReport(
        range_edges_k=RANGE_EDGES_K,
        n_cycles=tuple(float(n) for n in by_range),
        n_deep_cycles=float(np.sum(counts[ranges > DEEP_CYCLE_K])),
        days=len(series) * interval_s / SECONDS_PER_DAY,
        equivalent_cycles=damage,
    )


@dataclass(frozen=True, kw_only=True)
class FleetWear:
    """What the rigs of a site went through, each group by its chips; mean over rigs, per year."""

    groups: dict[str, WearReport]
    wear_cycles_per_year: float
    """Damage in cycles of 50 K that reach 75 °C [1/year]."""
    deep_cycles_per_year: float
    """Cycles of more than 20 K [1/year]."""


def fleet_wear(frame: pd.DataFrame, site: SiteConfig, solder: SolderFatigue = SAC) -> FleetWear:
    """Return the wear of a play: `frame` of `PlayRecord.frame` or `training.play.play`.

    The series of a group is that of its hottest chip, so that a group that stops in part counts
    no cycle; the starts per rig beside it do.

    Raises
    ------
    DataError
        If the frame is empty, or has no chip temperature of a group, or one that is no number.
    """
    if frame.empty:
        raise DataError("nothing was played: keep at least one interval")
    reports = {}
    for group in site.groups:
        name = f"chip_temp_c_{group.name}"
        if name not in frame:
            raise DataError(
                f"the play has no column {name}: play it with the site that has the group"
            )
        reports[group.name] = wear_report(frame[name], site.dispatch_interval_s, solder)
    years = len(frame) * site.dispatch_interval_s / SECONDS_PER_DAY / DAYS_PER_YEAR
    share = [group.n_rigs / site.n_rigs / years for group in site.groups]
    damage = [report.equivalent_cycles for report in reports.values()]
    deep = [report.n_deep_cycles for report in reports.values()]
    return FleetWear(
        groups=reports,
        wear_cycles_per_year=float(np.dot(share, damage)),
        deep_cycles_per_year=float(np.dot(share, deep)),
    )
