"""What the telemetry of one rig group says about curve, heat, starts and standby.

Each fit returns a `Fit`, or a `NotIdentified` that says why not and what to do. Powers are as the
rigs report them: only a meter could tell by how much all of them are wrong together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gridhash.data.calibration.dwells import SETTLE_S, WHOLE_WATT_KW, Dwell, SettledPoint, usable
from gridhash.data.calibration.statistics import (
    FEWEST_RIGS,
    Delays,
    Floats,
    Interval,
    combine_rigs,
    lag1_autocorrelation,
    mean_delay,
    rounding_error,
)
from gridhash.units import W_PER_KW

SPAN_FOR_CURVE = 0.2
"""A rig's least and greatest load must lie so far apart to tell the slope of its curve."""

CLOCK_STEP_S = 1.0
"""Rigs schedule by their own clocks in whole seconds: a start may come so much earlier."""

OVER_RIGS = "mean of one fit per rig, Student's t over rigs"
CENSORED = "interval-censored likelihood of single starts, profile interval"


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """What a fit leaves: measured less fitted."""

    unit: str
    rms: float
    greatest: float
    lag1: float
    """Correlation of a residual with the one before it, of the same rig."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted parameter."""

    interval: Interval
    n_readings: int
    n_events: int
    """Dwells or starts that were used."""
    n_rigs: int
    method: str
    residuals: Residuals | None
    points: dict[str, Floats] = field(default_factory=dict)
    """What a plot shows: measured values and what belongs to them."""
    n_rigs_left_out: int = 0
    """Rigs whose own estimate lies far from all others."""


@dataclass(frozen=True)
class NotIdentified:
    """Why the telemetry does not tell a parameter, and what to do."""

    why: str


Result = Fit | NotIdentified


def reference_power_kw(points: Sequence[SettledPoint]) -> float:
    """Return the power of a rig at load fraction 1 as it reports it; NaN if no level is known.

    From the highest level at which it was seen to settle: power at that level over its fraction.
    """
    known = [p for p in points if math.isfinite(p.dwell.level_frac * p.power_kw)]
    if not known:
        return math.nan
    highest = max(p.dwell.level_frac for p in known)
    top = [p for p in known if p.dwell.level_frac == highest]
    weights = np.array([p.n for p in top], dtype=np.float64)
    return float(np.average([p.power_kw / highest for p in top], weights=weights))


def fit_nameplate(points: Sequence[SettledPoint]) -> tuple[Result, Result]:
    """Return power [kW] and hash rate [TH/s] of a rig at load fraction 1.

    Power by `reference_power_kw`; hash rate by the line of the rig's own curve where it ran at
    loads far enough apart, else as it settled at load fraction 1.
    """
    power_kw, hashrate_ths, used = [], [], []
    for own in points_by_rig(points):
        reference_kw = reference_power_kw(own)
        if not math.isfinite(reference_kw):
            continue
        power_kw.append(reference_kw)
        used += own
        line = curve_line(own)
        if line is not None:
            hashrate_ths.append(reference_kw / (line.alpha + line.beta))
            continue
        rates = [p.hashrate_ths for p in own if p.dwell.level_frac == 1.0 and p.hashrate_ths > 0.0]
        if rates:
            hashrate_ths.append(float(np.mean(rates)))
    return _over_rigs(power_kw, used, "kW"), _over_rigs(hashrate_ths, used, "TH/s")


@dataclass(frozen=True)
class CurveLine:
    """The line e = alpha + beta p of one rig [kW per TH/s]."""

    alpha: float
    beta: float
    load_frac: Floats
    efficiency: Floats


def curve_line(points: Sequence[SettledPoint]) -> CurveLine | None:
    """Return the line of one rig; None where its loads are too few or too close to each other."""
    reference_kw = reference_power_kw(points)
    own = [p for p in points if math.isfinite(p.power_kw) and p.hashrate_ths > 0.0]
    if len(own) < 3 or not math.isfinite(reference_kw):
        return None
    p = np.array([point.power_kw for point in own]) / reference_kw
    if np.ptp(p) < SPAN_FOR_CURVE:
        return None
    e = np.array([point.power_kw / point.hashrate_ths for point in own])
    weights = np.array([point.n for point in own], dtype=np.float64)
    beta, alpha = np.polyfit(p, e, 1, w=np.sqrt(weights))
    return CurveLine(float(alpha), float(beta), p, e)


def fit_curve(points: Sequence[SettledPoint]) -> Result:
    """Return the slope b of e(p)/e(1) = a + b p with a = 1 - b.

    Per rig: efficiency over load fraction p, both relative to the rig's own power at p = 1, so
    that a rig that reports too much power at all levels does no harm; weighted least squares of
    e = alpha + beta p over dwells, b = beta / (alpha + beta).
    """
    slopes, used, shown = [], [], []
    for own in points_by_rig(points):
        line = curve_line(own)
        if line is None:
            continue
        at_one = line.alpha + line.beta
        slopes.append(line.beta / at_one)
        relative = line.efficiency / at_one
        fitted = 1.0 + slopes[-1] * (line.load_frac - 1.0)
        shown.append(np.stack([line.load_frac, relative, relative - fitted]))
        used += own
    if len(slopes) < FEWEST_RIGS:
        return NotIdentified(
            f"{len(slopes)} rigs settled at known loads {SPAN_FOR_CURVE:g} of nameplate or more "
            f"apart, and {FEWEST_RIGS} are needed: commission work levels and run some rigs at "
            "three of them for 20 minutes each; for on/off rigs a and b do not matter"
        )
    combined = combine_rigs(np.array(slopes))
    p, e, _ = np.concatenate(shown, axis=1)
    return Fit(
        interval=combined.interval,
        n_readings=sum(point.n for point in used),
        n_events=len(used),
        n_rigs=int(combined.used.sum()),
        n_rigs_left_out=int((~combined.used).sum()),
        method=OVER_RIGS,
        residuals=_residuals("1", [own[2] for own in shown]),
        points={"load_frac": p, "relative_efficiency": e},
    )


def fit_resistance(points: Sequence[SettledPoint]) -> Result:
    """Return the thermal resistance from chip to coolant R [K/kW]: settled rise = R P.

    Per rig a line through the origin over dwells. All rigs share the coolant and the step in which
    it is read, so that step is part of the interval.
    """
    found, used, shown = [], [], []
    for own in points_by_rig(points):
        resistance = resistance_of(own)
        if resistance is None:
            continue
        own = [p for p in own if math.isfinite(p.rise_k * p.power_kw)]
        power_kw = np.array([p.power_kw for p in own])
        rise_k = np.array([p.rise_k for p in own])
        residual = rise_k - resistance * power_kw
        found.append(resistance)
        shown.append(np.stack([power_kw, rise_k, residual]))
        used += own
    if len(found) < FEWEST_RIGS:
        return NotIdentified(
            f"{len(found)} rigs tell chip and coolant temperature while they run settled, and "
            f"{FEWEST_RIGS} are needed: let rigs run for more than {SETTLE_S / 60:.0f} minutes"
        )
    values = np.array(found)
    power_kw, rise_k, _ = np.concatenate(shown, axis=1)
    coolant_c = np.concatenate([p.coolant_c for p in used])
    common = rounding_error(coolant_c) / float(rise_k.mean()) * float(values.mean())
    combined = combine_rigs(values, common)
    return Fit(
        interval=combined.interval,
        n_readings=sum(p.n for p in used),
        n_events=len(used),
        n_rigs=int(combined.used.sum()),
        n_rigs_left_out=int((~combined.used).sum()),
        method=OVER_RIGS + ", step of the coolant sensor",
        residuals=_residuals("K", [own[2] for own in shown]),
        points={"power_kw": power_kw, "rise_k": rise_k},
    )


def resistance_of(points: Sequence[SettledPoint]) -> float | None:
    """Return R of one rig, a line through the origin over its dwells [K/kW]; None without any."""
    told = [(p.power_kw, p.rise_k) for p in points if math.isfinite(p.rise_k * p.power_kw)]
    if not told:
        return None
    power_kw, rise_k = np.array(told).T
    return float(np.sum(power_kw * rise_k) / np.sum(power_kw**2))


def fit_standby(dwells: Sequence[Dwell]) -> Result:
    """Return the power of a stopped rig [W], from readings a while after the stop."""
    found, residuals = [], []
    n_readings = n_events = 0
    for own in _by_rig_of_dwells([d for d in dwells if d.does == "stop"]):
        parts = [d.rig.power_kw[d.settled(60.0)] * W_PER_KW for d in own]
        power_w = np.concatenate(parts)
        power_w = power_w[usable(power_w, WHOLE_WATT_KW * W_PER_KW)]
        if power_w.size < 3:
            continue
        n_readings += power_w.size
        n_events += sum(part.size > 0 for part in parts)
        mean_w = float(power_w.mean())
        found.append(mean_w)
        residuals.append(power_w - mean_w)
    if len(found) < FEWEST_RIGS:
        return NotIdentified(
            f"{len(found)} rigs were stopped by command and read in standby, and {FEWEST_RIGS} are "
            "needed: stop some rigs for ten minutes"
        )
    values = np.array(found)
    combined = combine_rigs(values, rounding_error(np.round(values)))
    return Fit(
        interval=combined.interval,
        n_readings=n_readings,
        n_events=n_events,
        n_rigs=int(combined.used.sum()),
        n_rigs_left_out=int((~combined.used).sum()),
        method=OVER_RIGS + ", step of the power reading",
        residuals=_residuals("W", residuals),
        points={"standby_w": values},
    )


def fit_delay(brackets: Floats, n_readings: int, what: str) -> Result:
    """Return the mean of delays after a start [s] of which the readings tell bounds.

    Parameters
    ----------
    brackets
        (n, 3): lower bound, upper bound, number of the rig.
    what
        The event, for the message where too few were seen.
    """
    rigs = np.unique(brackets[:, 2])
    if len(brackets) < 3 or len(rigs) < FEWEST_RIGS:
        return NotIdentified(
            f"{len(brackets)} starts of {len(rigs)} rigs show when {what}, and 3 of {FEWEST_RIGS} "
            "are needed: stop and start some rigs while the controller reads them"
        )
    delays: Delays = mean_delay(brackets[:, 0], brackets[:, 1], brackets[:, 2].astype(np.int64))
    found = delays.interval
    # By how much a rig acts before its command is due is the same for the starts of a dispatch.
    interval = Interval(found.value + 0.5 * CLOCK_STEP_S, found.low, found.high + CLOCK_STEP_S)
    middle_s = 0.5 * (brackets[:, 0] + brackets[:, 1])
    residual_s = middle_s - interval.value
    return Fit(
        interval=interval,
        n_readings=n_readings,
        n_events=len(brackets),
        n_rigs=len(rigs),
        method=CENSORED + ", whole seconds of the rig's clock",
        residuals=_residuals("s", [residual_s[brackets[:, 2] == rig] for rig in rigs]),
        points={"low_s": brackets[:, 0], "high_s": brackets[:, 1]},
    )


def points_by_rig(points: Sequence[SettledPoint]) -> list[list[SettledPoint]]:
    """Return the points of running rigs, rig by rig."""
    grouped: dict[str, list[SettledPoint]] = {}
    for point in points:
        if point.dwell.does == "run":
            grouped.setdefault(point.dwell.rig.rig_id, []).append(point)
    return list(grouped.values())


def _by_rig_of_dwells(dwells: Sequence[Dwell]) -> list[list[Dwell]]:
    grouped: dict[str, list[Dwell]] = {}
    for dwell in dwells:
        grouped.setdefault(dwell.rig.rig_id, []).append(dwell)
    return list(grouped.values())


def _over_rigs(values: Sequence[float], used: Sequence[SettledPoint], unit: str) -> Result:
    """Return the mean of one value per rig."""
    if len(values) < FEWEST_RIGS:
        return NotIdentified(
            f"{len(values)} rigs are known to have settled at a load level, and {FEWEST_RIGS} are "
            "needed: run rigs at load fraction 1 for 20 minutes"
        )
    rigs = np.array(values)
    combined = combine_rigs(rigs)
    return Fit(
        interval=combined.interval,
        n_readings=sum(p.n for p in used),
        n_events=len(used),
        n_rigs=int(combined.used.sum()),
        n_rigs_left_out=int((~combined.used).sum()),
        method=OVER_RIGS,
        residuals=_residuals(unit, [rigs - combined.interval.value]),
    )


def _residuals(unit: str, by_rig: Sequence[Floats]) -> Residuals:
    every = np.concatenate(by_rig)
    lags = [lag1_autocorrelation(own) for own in by_rig if len(own) >= 3]
    return Residuals(
        unit=unit,
        rms=float(np.sqrt(np.mean(every**2))),
        greatest=float(np.abs(every).max()),
        lag1=float(np.mean(lags)) if lags else 0.0,
    )
