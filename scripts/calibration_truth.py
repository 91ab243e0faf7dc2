"""What the simulated rigs of the calibration study are truly like, and how badly they are read."""

from dataclasses import dataclass

import numpy as np

from gridhash.config import SiteConfig, load_site

Truth = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Sensors:
    """How much worse the readings are than the simulator's own, whole watts and whole degrees."""

    power_frac: float = 0.004
    hashrate_frac: float = 0.02
    """Drifting: each reading keeps 0.8 of the last one's error."""
    chip_k: float = 0.5
    lost_frac: float = 0.01
    without_frac: float = 0.005
    stale_frac: float = 0.003
    wrong_frac: float = 0.002


EXACT = Sensors(
    power_frac=0.0, hashrate_frac=0.0, chip_k=0.0, lost_frac=0.0, without_frac=0.0,
    stale_frac=0.0, wrong_frac=0.0,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Standard deviation between rigs, as a share of the group's value."""

    power: float = 0.02
    reported: float = 0.02
    efficiency: float = 0.02
    heat: float = 0.03
    times: float = 0.05
    standby: float = 0.05
    slope: float = 0.03


def drawn_site(random: np.random.Generator, n_rigs: int, *, work_levels: bool = True) -> SiteConfig:
    """Return a site of one group whose true parameters lie around those of the preset."""
    pilot = load_site("japan_pilot")
    site = pilot.model_copy(update={"groups": pilot.groups[:1]}).scaled_to(n_rigs)
    group = site.groups[0]
    b = round(float(random.uniform(0.2, 0.5)), 3)
    cooling = group.cooling.model_copy(
        update={
            "chip_to_coolant_k_per_kw": 3.0 * random.uniform(0.8, 1.25),
            "rig_heat_capacity_kj_per_k": 17.0 * random.uniform(0.8, 1.25),
        }
    )
    drawn = group.model_copy(
        update={
            "curve_a": 1.0 - b,
            "curve_b": b,
            "standby_w": float(random.uniform(15.0, 60.0)),
            "boot_s": float(random.uniform(15.0, 60.0)),
            "warm_up_s": float(random.uniform(30.0, 120.0)),
            "rig_hashrate_ths": 480.0 * random.uniform(0.95, 1.05),
            "cooling": cooling,
        }
    )
    return site.model_copy(update={"groups": (drawn,), "use_work_levels": work_levels})


def truth_of(site: SiteConfig) -> Truth:
    """Return what calibration is to find."""
    group, cooling = site.groups[0], site.groups[0].cooling
    resistance, capacity = cooling.chip_to_coolant_k_per_kw, cooling.rig_heat_capacity_kj_per_k
    return {
        "curve_b": group.curve_b,
        "chip_to_coolant_k_per_kw": resistance,
        "chip_time_constant_s": resistance * capacity,
        "rig_heat_capacity_kj_per_k": capacity,
        "boot_s": group.boot_s,
        "warm_up_s": group.warm_up_s,
        "start_up_s": group.boot_s + group.warm_up_s,
        "standby_w": group.standby_w,
        "rig_power_w": group.rig_power_w,
        "rig_hashrate_ths": group.rig_hashrate_ths,
    }
