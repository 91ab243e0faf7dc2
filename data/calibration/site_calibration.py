"""A site's own figures from its journal: rig curve, heat, starts and standby, with intervals.

`calibrate_site` fits every rig group of a site to the telemetry of its journal. What the telemetry
does not tell is named, with what to do about it, and never guessed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from gridhash.config import RigGroupConfig, SiteConfig
from gridhash.data.calibration.dwells import Dwell, SettledPoint, dwells_of, settled_points
from gridhash.data.calibration.fits import (
    Fit,
    NotIdentified,
    Result,
    fit_curve,
    fit_delay,
    fit_nameplate,
    fit_resistance,
    fit_standby,
)
from gridhash.data.calibration.plot import plot_group
from gridhash.data.calibration.starts import fit_time_constant, start_brackets
from gridhash.data.calibration.statistics import Interval, difference
from gridhash.data.calibration.table import Line, group_table
from gridhash.data.calibration.telemetry import (
    RESUME,
    ReadingCounts,
    RigTelemetry,
    SiteTelemetry,
    read_telemetry,
)
from gridhash.data.calibration.toml import site_toml
from gridhash.units import W_PER_KW

LOOP_WHY = (
    "the journal holds neither outdoor temperature nor fan speed: take it from the loop's volume "
    "and from the data sheet of the cooler"
)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One parameter of one group."""

    name: str
    """The key of the site file, or of what follows from keys."""
    unit: str
    configured: float
    result: Result

    @property
    def interval(self) -> Interval | None:
        """Estimate and 95 % interval; None where the telemetry does not identify it."""
        return self.result.interval if isinstance(self.result, Fit) else None

    @property
    def agrees(self) -> bool | None:
        """Whether the configured value lies in the interval; None without one."""
        own = self.interval
        return None if own is None else own.low <= self.configured <= own.high

    def to_json(self) -> dict[str, Any]:
        """Return what a program reads; NaN-free."""
        told: dict[str, Any] = {"unit": self.unit, "configured": self.configured}
        if isinstance(self.result, NotIdentified):
            return told | {"identified": False, "why": self.result.why}
        fit = self.result
        return told | {
            "identified": True,
            "value": fit.interval.value,
            "low_95": fit.interval.low,
            "high_95": fit.interval.high,
            "configured_agrees": self.agrees,
            "n_readings": fit.n_readings,
            "n_events": fit.n_events,
            "n_rigs": fit.n_rigs,
            "n_rigs_left_out": fit.n_rigs_left_out,
            "method": fit.method,
            "residuals": None if fit.residuals is None else asdict(fit.residuals),
        }


@dataclass(frozen=True, kw_only=True)
class GroupCalibration:
    """All parameters of the rigs of one model in one group."""

    group: str
    model: str
    n_rigs: int
    counts: ReadingCounts
    """Of the whole group."""
    n_outliers: int
    """Readings of settled rigs that lie far from their own and were left out."""
    n_starts_left_out: int
    """Starts of rigs that were not known to stand before."""
    n_starts_again: int
    """Starts that took more than one command; they count from the first."""
    estimates: tuple[Estimate, ...]
    plot: Path | None

    def __getitem__(self, name: str) -> Estimate:
        """Return an estimate by its name."""
        return next(estimate for estimate in self.estimates if estimate.name == name)


@dataclass(frozen=True, kw_only=True)
class SiteCalibration:
    """What a journal says about a site."""

    site: SiteConfig
    journal: Path
    first_at: pd.Timestamp
    last_at: pd.Timestamp
    n_runs: int
    groups: tuple[GroupCalibration, ...]
    notes: tuple[str, ...]

    def table(self) -> Group:
        """Return everything for a terminal; fits 100 columns."""
        parts = [_table_of(own) for own in self.groups]
        return Group(*parts, *(Text(f"- {note}") for note in self.notes))

    def site_overrides(self) -> str:
        """Return the measured figures as TOML, to be put in place of all `[[groups]]`."""
        measured: dict[str, dict[str, Interval]] = {}
        models = [own.group for own in self.groups]
        for own in self.groups:
            if models.count(own.group) == 1:
                measured[own.group] = {
                    e.name: e.interval for e in own.estimates if e.interval is not None
                }
        source = (
            f"calibration from {self.journal.name}, {self.first_at:%Y-%m-%d %H:%M} to "
            f"{self.last_at:%Y-%m-%d %H:%M} UTC"
        )
        return site_toml(self.site, measured, source)

    def to_json(self) -> dict[str, Any]:
        """Return everything for programs."""
        return {
            "site": self.site.name,
            "journal": str(self.journal),
            "first_at": self.first_at.isoformat(),
            "last_at": self.last_at.isoformat(),
            "n_runs": self.n_runs,
            "notes": list(self.notes),
            "groups": [
                {
                    "group": own.group,
                    "rig_model": own.model,
                    "n_rigs": own.n_rigs,
                    "readings": asdict(own.counts) | {"outliers": own.n_outliers},
                    "starts_left_out": own.n_starts_left_out,
                    "starts_by_several_commands": own.n_starts_again,
                    "plot": None if own.plot is None else str(own.plot),
                    "parameters": {e.name: e.to_json() for e in own.estimates},
                }
                for own in self.groups
            ],
        }


def calibrate_site(journal: Path, site: SiteConfig, *, folder: Path | None) -> SiteCalibration:
    """Fit what a site's rigs are like to the telemetry of its journal.

    Parameters
    ----------
    journal
        The file that `serve` wrote; it is only read, also while a controller writes it.
    site
        Whose groups are fitted; its figures are what the fits are compared with.
    folder
        Where one plot per group and rig model is written, made if need be; None for no plot.

    Raises
    ------
    DataError
        If there is no such journal, or it holds no reading of the site's groups.
    FileFormatError
        If the file is no journal of a known format.
    """
    telemetry = read_telemetry(journal, [group.name for group in site.groups])
    groups = []
    for group in site.groups:
        models: dict[str, list[RigTelemetry]] = {}
        for rig in telemetry.rigs:
            if rig.group == group.name:
                models.setdefault(rig.model, []).append(rig)
        groups += [
            _calibrate(group, model, rigs, telemetry.counts[group.name], folder)
            for model, rigs in sorted(models.items())
        ]
    return SiteCalibration(
        site=site,
        journal=journal,
        first_at=telemetry.first_at,
        last_at=telemetry.last_at,
        n_runs=telemetry.n_runs,
        groups=tuple(groups),
        notes=_notes(site, telemetry, groups),
    )


def _calibrate(
    group: RigGroupConfig,
    model: str,
    rigs: Sequence[RigTelemetry],
    counts: ReadingCounts,
    folder: Path | None,
) -> GroupCalibration:
    dwells = [d for rig in rigs for d in dwells_of(rig, group.rig_power_w / W_PER_KW)]
    points = settled_points([d for d in dwells if d.does == "run"])
    results = _results(dwells, points)
    cooling = group.cooling
    resistance, capacity = cooling.chip_to_coolant_k_per_kw, cooling.rig_heat_capacity_kj_per_k
    configured = {
        "rig_power_w": ("W", group.rig_power_w),
        "rig_hashrate_ths": ("TH/s", group.rig_hashrate_ths),
        "curve_a": ("1", group.curve_a),
        "curve_b": ("1", group.curve_b),
        "standby_w": ("W", group.standby_w),
        "boot_s": ("s", group.boot_s),
        "warm_up_s": ("s", group.warm_up_s),
        "start_up_s": ("s", group.boot_s + group.warm_up_s),
        "chip_to_coolant_k_per_kw": ("K/kW", resistance),
        "rig_heat_capacity_kj_per_k": ("kJ/K", capacity),
        "chip_time_constant_s": ("s", resistance * capacity),
        "loop_heat_capacity_kj_per_k": ("kJ/K", cooling.loop_heat_capacity_kj_per_k),
        "heat_rejection_kw_per_k": ("kW/K", cooling.heat_rejection_kw_per_k),
    }
    return GroupCalibration(
        group=group.name,
        model=model,
        n_rigs=len(rigs),
        counts=counts,
        n_outliers=sum(point.n_outliers for point in points),
        n_starts_left_out=sum(d.told == RESUME and math.isnan(d.asked_s) for d in dwells),
        n_starts_again=sum(d.asked_s < d.start_s for d in dwells),
        estimates=tuple(
            Estimate(name=name, unit=unit, configured=value, result=results[name])
            for name, (unit, value) in configured.items()
        ),
        plot=None if folder is None else plot_group(folder, group, model, results),
    )


def _results(dwells: Sequence[Dwell], points: Sequence[SettledPoint]) -> Mapping[str, Result]:
    power, hashrate = fit_nameplate(points)
    curve_b = fit_curve(points)
    time_constant, capacity = fit_time_constant(dwells, points)
    boot = fit_delay(*start_brackets(dwells, "power_kw"), "power rose")
    start_up = fit_delay(*start_brackets(dwells, "hashrate_ths"), "hashing began")
    return {
        "rig_power_w": _mapped(power, lambda own: own.scaled(W_PER_KW)),
        "rig_hashrate_ths": hashrate,
        "curve_a": _mapped(
            curve_b, lambda own: Interval(1.0 - own.value, 1.0 - own.high, 1.0 - own.low)
        ),
        "curve_b": curve_b,
        "standby_w": fit_standby(dwells),
        "boot_s": boot,
        "warm_up_s": _warm_up(start_up, boot),
        "start_up_s": start_up,
        "chip_to_coolant_k_per_kw": fit_resistance(points),
        "rig_heat_capacity_kj_per_k": capacity,
        "chip_time_constant_s": time_constant,
        "loop_heat_capacity_kj_per_k": NotIdentified(LOOP_WHY),
        "heat_rejection_kw_per_k": NotIdentified(LOOP_WHY),
    }


def _mapped(result: Result, change: Callable[[Interval], Interval]) -> Result:
    return replace(result, interval=change(result.interval)) if isinstance(result, Fit) else result


def _warm_up(start_up: Result, boot: Result) -> Result:
    """Return the time from full power to the first hash: what boot leaves of the start-up."""
    if not isinstance(start_up, Fit):
        return start_up
    if not isinstance(boot, Fit):
        return boot
    return replace(
        start_up,
        interval=difference(start_up.interval, boot.interval),
        n_readings=start_up.n_readings + boot.n_readings,
        n_rigs=min(start_up.n_rigs, boot.n_rigs),
        method="start_up_s less boot_s, interval from both (MOVER)",
        residuals=None,
        points={},
    )


def _notes(
    site: SiteConfig, telemetry: SiteTelemetry, groups: Sequence[GroupCalibration]
) -> tuple[str, ...]:
    notes = [
        "Powers are as the rigs report them, often 5-20 % off a meter; R is per kW so reported. "
        "Compare the sum with a site meter before relying on rig_power_w."
    ]
    if telemetry.n_older:
        notes.append(f"{telemetry.n_older} older readings of the journal were not read.")
    if telemetry.other_groups:
        notes.append(
            f"Left out, as {site.name} has no such group: {', '.join(telemetry.other_groups)}."
        )
    for one in groups:
        name = f"{one.group}, {one.model}"
        if one.n_starts_left_out:
            notes.append(
                f"{name}: {one.n_starts_left_out} starts were left out: the rig was not known to "
                "stand before."
            )
        if one.n_starts_again:
            notes.append(
                f"{name}: {one.n_starts_again} starts took more than one command and count from "
                "the first; if the rigs ignored that one, they start sooner than boot_s says."
            )
    for group in site.groups:
        own = [calibration for calibration in groups if calibration.group == group.name]
        if not own:
            notes.append(f"{group.name}: the journal holds no reading of its rigs.")
        if len(own) > 1:
            notes.append(
                f"{group.name} holds rigs of {len(own)} models: make a group of each in the site "
                "file; until then no figure of it is proposed."
            )
    return tuple(notes)


def _table_of(own: GroupCalibration) -> RenderableType:
    counts = own.counts
    missing = ", ".join(f"{n} without {name}" for name, n in counts.without.items())
    below = [
        f"readings of the group: {counts.total}; left out: {counts.doubled} doubled, "
        f"{counts.stale} stale, {own.n_outliers} outliers of settled rigs; {missing}; "
        f"{counts.not_numbers} with something that is no number"
    ]
    lost = sum(e.result.n_rigs_left_out for e in own.estimates if isinstance(e.result, Fit))
    if lost:
        below.append(f"{lost} estimates of single rigs lie far from all others and were left out")
    lines = [Line(e.name, e.configured, e.result) for e in own.estimates]
    return group_table(f"{own.group}: {own.n_rigs} x {own.model}", lines, below)
