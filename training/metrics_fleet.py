"""Metrics of the fleet: energy, hashes, starts, wear, temperatures, decisions."""

import numpy as np

from gridhash.training.played import Floats, Played

MINUTES_PER_HOUR = 60.0


def energy_mwh(played: Played) -> float:
    """Return energy of rigs and cooling [MWh]."""
    return played.total("site_kw") * played.hours / 1000.0


def import_mwh(played: Played) -> float:
    """Return energy from the grid, without surplus and own panels [MWh]."""
    return float(import_kw(played).sum()) * played.hours / 1000.0


def import_kw(played: Played) -> Floats:
    """Return power from the grid without surplus and own panels of each step, (steps,) [kW]."""
    return played.column("site_kw") - played.column("surplus_used_kw") - played.column("pv_used_kw")


def pue(played: Played) -> float | None:
    """Return site energy per rig energy [1]; None if no rig drew any."""
    rig = played.total("rig_kw")
    return played.total("site_kw") / rig if rig > 0.0 else None


def hash_phs_day(played: Played) -> float:
    """Return hashes that count [PH/s for a day]."""
    return played.total("hashrate_phs") * played.hours / 24.0


def efficiency_j_per_th(played: Played) -> float | None:
    """Return rig energy per hash, standby and start-up included [J/TH]; None without hashes."""
    phs = played.total("hashrate_phs")
    return played.total("rig_kw") / phs if phs > 0.0 else None


def load_frac(played: Played) -> float:
    """Return mean rig power per full rig power [1]."""
    return float(played.frame["rig_kw"].mean()) / played.scenario.site.max_rig_kw


def hashing_frac(played: Played) -> float:
    """Return the share of intervals in which any rig hashes [1]."""
    return float((played.frame["hashrate_phs"] > 0.0).mean())


def fleet_starts(played: Played) -> float:
    """Return rigs started per rig of the site [1]."""
    return played.total("rigs_started") / played.scenario.site.n_rigs


def wear_cycles_per_year(played: Played) -> float:
    """Return solder fatigue, mean over rigs, in cycles of 50 K that reach 75 °C [1/year]."""
    return played.wear.wear_cycles_per_year


def deep_cycles_per_year(played: Played) -> float:
    """Return chip temperature cycles of more than 20 K, mean over rigs [1/year]."""
    return played.wear.deep_cycles_per_year


def max_chip_temp_c(played: Played) -> float:
    """Return the hottest chip of any group [°C]."""
    chips = [f"chip_temp_c_{group.name}" for group in played.scenario.site.groups]
    return float(played.frame[chips].max().max())


def over_temperature_min(played: Played) -> float:
    """Return minutes in which a chip lies above where the power of its group is limited [min]."""
    hot = [
        played.column(f"chip_temp_c_{group.name}") > group.cooling.chip_derate_c
        for group in played.scenario.site.groups
    ]
    return float(np.any(hot, axis=0).sum()) * _minutes(played)


def tripped_min(played: Played) -> float:
    """Return minutes in which a temperature trip holds a group [min]."""
    return float((played.frame["tripped_groups"] > 0.0).sum()) * _minutes(played)


def cold_min(played: Played) -> float:
    """Return minutes in which a loop is too cold or too near to the dew point to start [min]."""
    return float((played.frame["cold_groups"] > 0.0).sum()) * _minutes(played)


def decision_us(played: Played) -> float | None:
    """Return the median wall time of one decision on one observation [µs]."""
    return None if played.timing is None else played.timing.median_us


def decision_p99_us(played: Played) -> float | None:
    """Return the 99 % point of that wall time [µs]."""
    return None if played.timing is None else played.timing.p99_us


def _minutes(played: Played) -> float:
    return played.hours * MINUTES_PER_HOUR
