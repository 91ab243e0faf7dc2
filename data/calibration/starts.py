"""What happens in the minutes after a start or a change of level: delays, and how chips warm up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from gridhash.data.calibration.dwells import (
    WHOLE_WATT_KW,
    Dwell,
    SettledPoint,
    usable,
    usual_scatter,
)
from gridhash.data.calibration.fits import (
    CLOCK_STEP_S,
    OVER_RIGS,
    Fit,
    NotIdentified,
    Residuals,
    Result,
    points_by_rig,
    resistance_of,
)
from gridhash.data.calibration.statistics import (
    FEWEST_RIGS,
    Bools,
    Floats,
    combine_rigs,
    lag1_autocorrelation,
    rounding_error,
)
from gridhash.data.calibration.telemetry import RESUME, SET_LEVEL

STEADY_S = 600.0
"""A rig must have been left alone for so long before a step."""
WINDOW_S = 600.0
LEAD_S = 300.0
"""From so long before a step the coolant's way is followed."""
WIDEST_S = 60.0
"""A step whose instant is known no better does not show how fast chips warm up."""
MOST_STEPS = 24
"""The newest so many steps of a rig are fitted: more would take long and tell little."""
SHORTEST_S, LONGEST_S = 5.0, 1200.0
"""Bounds of the time constant."""


def start_brackets(dwells: Sequence[Dwell], quantity: str) -> tuple[Floats, int]:
    """Return bounds of when a quantity rose after each start, and the number of readings used.

    Only starts of rigs that were known to stand count, from when they were first asked to start:
    what a controller sends again, or to a rig that runs, is not what the rig obeyed.

    Parameters
    ----------
    quantity
        `power_kw` or `hashrate_ths`; risen is half of what the rig had when it was up.

    Returns
    -------
    brackets
        (n, 3): lower and upper bound [s after the start], number of the rig.
    """
    rows = []
    n_readings = 0
    numbers: dict[str, int] = {}
    for dwell in dwells:
        if math.isnan(dwell.asked_s):
            continue
        own = dwell.since_asked()
        at_s, values = dwell.rig.at_s[own], getattr(dwell.rig, quantity)[own]
        told = np.isfinite(values)
        at_s, values = at_s[told], values[told]
        n_readings += int(told.sum())
        bracket = _rise_between(at_s, values, 0.0)
        if bracket is not None and bracket[1] > dwell.asked_s:
            number = numbers.setdefault(dwell.rig.rig_id, len(numbers))
            low_s = max(bracket[0] - dwell.asked_s, 0.0)
            rows.append((low_s, bracket[1] - dwell.asked_s, float(number)))
    return np.array(rows, dtype=np.float64).reshape(-1, 3), n_readings


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a rig's power and the chip temperatures after it; times from the command."""

    at_s: Floats
    """Of all readings, from before the step on."""
    coolant_c: Floats
    chip_at: Bools
    """Which readings tell a chip temperature that is fitted."""
    chip_c: Floats
    before_kw: float
    power_at_s: Floats
    power_kw: Floats
    """After the step."""
    low_s: float
    """The power changed between these."""
    high_s: float


def fit_time_constant(
    dwells: Sequence[Dwell], points: Sequence[SettledPoint]
) -> tuple[Result, Result]:
    """Return the chips' time constant [s] and the heat capacity of a rig [kJ/K].

    Per rig, over its starts and changes of level: tau dT/dt = T_coolant(t) + R P(t) - T with what
    the rig read of coolant and power and its own settled R; nonlinear least squares with a soft-L1
    loss over tau and the instant of each step, which readings of power bound. The heat capacity is
    tau / R.
    """
    steps_of: dict[str, list[Step]] = {}
    for dwell in dwells:
        step = _step_of(dwell)
        if step is not None:
            steps_of.setdefault(dwell.rig.rig_id, []).append(step)
    fitted = []
    for own in points_by_rig(points):
        resistance = resistance_of(own)
        steps = steps_of.get(own[0].dwell.rig.rig_id, [])[-MOST_STEPS:]
        if steps and resistance is not None:
            fitted.append(_RigFit(steps, resistance))
    if len(fitted) < FEWEST_RIGS:
        n_steps = sum(len(steps) for steps in steps_of.values())
        missing = NotIdentified(
            f"{n_steps} starts or level changes of {len(fitted)} rigs show how chips warm up, and "
            f"{FEWEST_RIGS} rigs are needed: start rigs that stood for ten minutes and read them "
            "every ten seconds until they have settled"
        )
        return missing, missing
    tau_s = np.array([rig.tau_s for rig in fitted])
    resistance_k_per_kw = np.array([rig.resistance for rig in fitted])
    steps = [step for rig in fitted for step in rig.steps]
    rise_k = np.concatenate([np.abs(rig.settled_rise_k) for rig in fitted])
    coolant_c = np.concatenate([step.coolant_c for step in steps])
    # Least squares weighs a step by the square of its rise.
    common_frac = rounding_error(coolant_c) * float(np.sum(rise_k) / np.sum(rise_k**2))
    residuals = Residuals(
        unit="K",
        rms=float(np.sqrt(np.mean(np.concatenate([rig.residual_k for rig in fitted]) ** 2))),
        greatest=float(max(np.abs(rig.residual_k).max() for rig in fitted)),
        lag1=float(np.mean([lag1_autocorrelation(rig.residual_k) for rig in fitted])),
    )
    shown = np.concatenate([rig.shown for rig in fitted], axis=1)
    results = []
    for values in (tau_s, tau_s / resistance_k_per_kw):
        combined = combine_rigs(values, common_frac * float(values.mean()))
        results.append(
            Fit(
                interval=combined.interval,
                n_readings=sum(len(step.chip_c) for step in steps),
                n_events=len(steps),
                n_rigs=int(combined.used.sum()),
                n_rigs_left_out=int((~combined.used).sum()),
                method=OVER_RIGS + ", step of the coolant sensor",
                residuals=residuals,
                points={"since_step_s": shown[0], "rise_frac": shown[1]},
            )
        )
    return results[0], results[1]


class _RigFit:
    """The time constant of one rig."""

    def __init__(self, steps: Sequence[Step], resistance: float) -> None:
        self.steps = steps
        self.resistance = resistance
        low_s = np.array([SHORTEST_S, *(step.low_s for step in steps)])
        high_s = np.array([LONGEST_S, *(step.high_s for step in steps)])
        # Bounds are widened a little: the solver wants its start strictly between them.
        middle_s = np.array([60.0, *(0.5 * (step.low_s + step.high_s) for step in steps)])
        found = least_squares(
            self._residuals,
            middle_s,
            jac=self._jacobian,
            bounds=(low_s - 1e-3, high_s + 1e-3),
            loss="soft_l1",
            tr_solver="lsmr",  # the exact solver's threads wait for each other on a busy host
            x_scale=np.array([60.0, *([2.0] * len(steps))]),
            max_nfev=60,
        )
        self.tau_s = float(found.x[0])
        self.residual_k = self._residuals(found.x)
        self.settled_rise_k = np.array(
            [resistance * (float(np.median(s.power_kw)) - s.before_kw) for s in steps]
        )
        self.shown = self._shown(found.x)

    def _residuals(self, x: Floats) -> Floats:
        return np.concatenate(
            [
                step.chip_c - predicted_chip_c(step, float(x[0]), float(at_s), self.resistance)
                for step, at_s in zip(self.steps, x[1:], strict=True)
            ]
        )

    def _jacobian(self, x: Floats) -> Floats:
        """Return forward differences; the instant of a step moves its own residuals alone."""
        now = self._residuals(x)
        jacobian = np.zeros((len(now), len(x)))
        jacobian[:, 0] = (self._residuals(x + np.eye(len(x))[0] * 1e-3) - now) / 1e-3
        moved = (self._residuals(x + np.where(np.arange(len(x)) > 0, 1e-3, 0.0)) - now) / 1e-3
        first = 0
        for column, step in enumerate(self.steps, start=1):
            own = slice(first, first + len(step.chip_c))
            jacobian[own, column] = moved[own]
            first = own.stop
        return jacobian

    def _shown(self, x: Floats) -> Floats:
        """Return (2, n): time since the step, and the share of the settled rise that is reached."""
        parts = []
        for step, at_s, rise_k in zip(self.steps, x[1:], self.settled_rise_k, strict=True):
            chip_s = step.at_s[step.chip_at]
            without = first_order(
                step.at_s,
                step.coolant_c + self.resistance * step.before_kw,
                self.tau_s,
                float(step.coolant_c[0]) + self.resistance * step.before_kw,
            )[step.chip_at]
            parts.append(np.stack([chip_s - at_s, (step.chip_c - without) / rise_k]))
        return np.concatenate(parts, axis=1)


def predicted_chip_c(step: Step, tau_s: float, switch_s: float, resistance: float) -> Floats:
    """Return the chip temperature at the readings that tell it [°C], power stepping at an instant.

    Exact response of tau dT/dt = T_coolant + R P - T (`gridhash.envs.thermal`, one rig) to coolant
    and power that are linear between readings; settled before the step.
    """
    settled_c = step.coolant_c + resistance * step.before_kw
    chip_c = first_order(step.at_s, settled_c, tau_s, float(settled_c[0]))
    after = step.at_s > switch_s
    at_s = np.concatenate([[switch_s], step.at_s[after]])
    above_kw = np.interp(at_s, step.power_at_s, step.power_kw) - step.before_kw
    chip_c[after] += resistance * first_order(at_s, above_kw, tau_s, 0.0)[1:]
    return chip_c[step.chip_at]


def first_order(at_s: Floats, drive: Floats, tau_s: float, start: float) -> Floats:
    """Return y at each instant of tau dy/dt = x - y, x linear between instants, all (n,)."""
    h = np.diff(at_s)
    decay = np.exp(-h / tau_s)
    slope = np.diff(drive) / h
    gain = drive[1:] - drive[:-1] * decay - slope * tau_s * (1.0 - decay)
    left = np.exp(-(at_s - at_s[0]) / tau_s)
    y = np.empty_like(drive)
    y[0] = start
    y[1:] = left[1:] * (start + np.cumsum(gain / left[1:]))
    return y


def _step_of(dwell: Dwell) -> Step | None:
    """Return the step of power at the start of a dwell, if its readings show it well enough."""
    before = dwell.before
    if before is None or dwell.told not in (RESUME, SET_LEVEL) or dwell.does != "run":
        return None
    if dwell.start_s - before.start_s < STEADY_S:
        return None
    rig = dwell.rig
    earlier_kw = rig.power_kw[before.settled(60.0)]
    earlier_kw = earlier_kw[usable(earlier_kw, max(usual_scatter(earlier_kw), WHOLE_WATT_KW))]
    inside = dwell.readings(to_s=dwell.start_s + WINDOW_S)
    at_s, power_kw = rig.at_s[inside], rig.power_kw[inside]
    told = np.isfinite(power_kw)
    if not earlier_kw.size or told.sum() < 4:
        return None
    before_kw = float(earlier_kw.mean())
    bracket = _rise_between(at_s[told], power_kw[told], before_kw)
    if bracket is None:
        return None
    low_s, high_s = (max(at - dwell.start_s, -CLOCK_STEP_S) for at in bracket)
    after = (at_s >= bracket[1]) & told
    after[after] = usable(power_kw[after], usual_scatter(power_kw[after]))
    first = int(np.searchsorted(rig.at_s, dwell.start_s - LEAD_S))
    whole = slice(first, inside.stop)
    coolant_c = rig.inlet_temp_c[whole]
    known = np.isfinite(coolant_c)
    if high_s - low_s > WIDEST_S or not after.any() or known.sum() < 4:
        return None
    since_s = rig.at_s[whole] - dwell.start_s
    chip_at = np.isfinite(rig.chip_temp_c[whole]) & (since_s >= low_s)
    warming = chip_at & (since_s > high_s) & (since_s <= high_s + WIDEST_S)
    if warming.sum() < 3:
        return None
    return Step(
        at_s=since_s,
        coolant_c=np.interp(since_s, since_s[known], coolant_c[known]),
        chip_at=np.asarray(chip_at, dtype=np.bool_),
        chip_c=rig.chip_temp_c[whole][chip_at],
        before_kw=before_kw,
        power_at_s=at_s[after] - dwell.start_s,
        power_kw=power_kw[after],
        low_s=low_s,
        high_s=high_s,
    )


def _rise_between(at_s: Floats, values: Floats, before: float) -> tuple[float, float] | None:
    """Return the instants between which values went half of the way from before to after.

    After is the median of the later half of the readings. None if they never did, or if they did
    not move; the first bound is the first instant less infinity where the first reading is beyond.
    """
    if len(values) < 4:
        return None
    after = float(np.median(values[len(values) // 2 :]))
    half = 0.5 * (before + after)
    if abs(after - before) <= 0.05 * max(abs(after), abs(before)):
        return None
    beyond = values >= half if after > before else values <= half
    first = int(np.argmax(beyond))
    return (float(at_s[first - 1]) if first > 0 else -math.inf), float(at_s[first])
