"""Stretches of time in which a rig was left as it was told to be, and what it settled at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gridhash.data.calibration.statistics import Bools, Floats, inliers
from gridhash.data.calibration.telemetry import (
    RESUME,
    SET_LEVEL,
    STOP,
    UNPROVEN_RESUME,
    RigTelemetry,
)

SETTLE_S = 600.0
"""After a command, until chip and coolant have settled: several minutes of their time constants."""

FEWEST_READINGS = 5
WHOLE_DEGREE_K = 1.0
WHOLE_WATT_KW = 1e-3
"""Steps of Avalon sensors: the least scatter of what they read."""
RUNS_FROM_FRAC, STANDS_TO_FRAC = 0.4, 0.1
"""Shares of nameplate power by which watts tell what a rig does when a run begins."""


@dataclass(frozen=True, kw_only=True)
class Dwell:
    """One rig from a command until the next."""

    rig: RigTelemetry
    does: Literal["run", "stop"]
    told: str
    """What began it: `stop`, `resume`, `set_work_level` or `run`."""
    start_s: float
    """When the rig acted."""
    end_s: float
    """When it was next told something; infinite for the last."""
    level_frac: float
    """NaN where it is not known."""
    before: "Dwell | None"
    """The one before, if nothing unknown lies between."""
    asked_s: float
    """Of a start: when a rig that was known to stand was first to start; else NaN."""

    def readings(self, from_s: float = -math.inf, to_s: float = math.inf) -> slice:
        """Return the readings between two instants that fall into the dwell."""
        at_s = self.rig.at_s
        first = np.searchsorted(at_s, max(self.start_s, from_s), side="left")
        return slice(int(first), int(np.searchsorted(at_s, min(self.end_s, to_s), side="right")))

    def since_asked(self) -> slice:
        """Return the readings from the instant at which the rig was first to start."""
        at_s = self.rig.at_s
        first = np.searchsorted(at_s, self.asked_s, side="left")
        return slice(int(first), int(np.searchsorted(at_s, self.end_s, side="right")))

    def settled(self, after_s: float = SETTLE_S) -> slice:
        """Return the readings taken long enough after the command."""
        return self.readings(from_s=self.start_s + after_s)


@dataclass(frozen=True, kw_only=True)
class SettledPoint:
    """Means over the settled readings of one dwell; NaN where too few tell the quantity."""

    dwell: Dwell
    n: int
    """Readings used, of the quantity that has most."""
    n_outliers: int
    power_kw: float
    hashrate_ths: float
    rise_k: float
    """Chip above coolant."""
    coolant_c: Floats
    """The coolant readings used."""


def dwells_of(rig: RigTelemetry, nameplate_kw: float) -> list[Dwell]:
    """Return the dwells of a rig in which it is known what it was to do.

    A controller sends a start again that watts did not prove in time, though the rig may still be
    obeying the first: such a start counts from the first command after the rig was known to stand.
    """
    dwells: list[Dwell] = []
    before: Dwell | None = None
    level = only_level = asked_s = math.nan
    for index, told in enumerate(rig.told):
        end_s = rig.told[index + 1].sent_s if index + 1 < len(rig.told) else math.inf
        does: Literal["run", "stop"] | None = None
        if told.kind == "run":
            level = only_level = told.level_frac
            does = _by_watts(rig, nameplate_kw, told.effective_s, end_s)
            before = None
        elif told.kind == STOP:
            does = "stop"
        elif told.kind == RESUME:
            does = "run"
        elif told.kind == SET_LEVEL:
            level = told.level_frac
            does = "run" if before is None else before.does
        stood = before is not None and before.does == "stop" and _is_sure(before)
        if told.kind in (RESUME, UNPROVEN_RESUME) and stood:
            asked_s = told.effective_s
        elif told.kind not in (RESUME, UNPROVEN_RESUME) or before is not None:
            asked_s = math.nan
        if does is None:
            before, level = None, only_level
            continue
        before = Dwell(
            rig=rig,
            does=does,
            told=told.kind,
            start_s=told.effective_s,
            end_s=end_s,
            level_frac=level,
            before=before,
            asked_s=asked_s,
        )
        dwells.append(before)
    return dwells


def settled_points(dwells: Sequence[Dwell]) -> list[SettledPoint]:
    """Return what each dwell settled at; dwells with too few settled readings are left out."""
    points = []
    for dwell in dwells:
        own = dwell.settled()
        rig = dwell.rig
        power_kw, hashrate_ths = rig.power_kw[own], rig.hashrate_ths[own]
        chip_c, coolant_c = rig.chip_temp_c[own], rig.inlet_temp_c[own]
        good = {
            "power": usable(power_kw, usual_scatter(power_kw)),
            "hash": usable(hashrate_ths, usual_scatter(hashrate_ths)),
            "rise": usable(chip_c - coolant_c, WHOLE_DEGREE_K),
        }
        n = max(int(kept.sum()) for kept in good.values())
        if n < FEWEST_READINGS:
            continue
        finite = [np.isfinite(x) for x in (power_kw, hashrate_ths, chip_c - coolant_c)]
        points.append(
            SettledPoint(
                dwell=dwell,
                n=n,
                n_outliers=sum(
                    int(told.sum() - kept.sum())
                    for told, kept in zip(finite, good.values(), strict=True)
                ),
                power_kw=_mean(power_kw, good["power"]),
                hashrate_ths=_mean(hashrate_ths, good["hash"]),
                rise_k=_mean(chip_c - coolant_c, good["rise"]),
                coolant_c=coolant_c[good["rise"]],
            )
        )
    return points


def usable(values: Floats, scatter: float) -> Bools:
    """Return True where a value was told and is no outlier among its own, (n,) -> (n,).

    `scatter` is the least standard deviation that is held possible.
    """
    kept = np.isfinite(values)
    if kept.any():
        kept[kept] = inliers(values[kept], scatter)
    return np.asarray(kept, dtype=np.bool_)


def usual_scatter(values: Floats) -> float:
    """Return the least scatter of power or hash rate, half a percent of the median."""
    told = values[np.isfinite(values)]
    return 5e-3 * float(np.abs(np.median(told))) if told.size else 0.0


def _mean(values: Floats, kept: Bools) -> float:
    return float(values[kept].mean()) if kept.sum() >= FEWEST_READINGS else math.nan


def _is_sure(stands: Dwell) -> bool:
    """Return whether a rig stood; one that a run found at low watts may have been starting."""
    return stands.told != "run" or stands.end_s - stands.start_s >= SETTLE_S


def _by_watts(
    rig: RigTelemetry, nameplate_kw: float, from_s: float, to_s: float
) -> Literal["run", "stop"] | None:
    own = (rig.at_s >= from_s) & (rig.at_s <= to_s) & np.isfinite(rig.power_kw)
    if not own.any():
        return None
    frac = float(np.median(rig.power_kw[own])) / nameplate_kw
    return "run" if frac >= RUNS_FROM_FRAC else "stop" if frac <= STANDS_TO_FRAC else None
