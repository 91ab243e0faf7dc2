"""What is read from single rigs: their dwells, their starts, how their chips warm up."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gridhash.config import load_site
from gridhash.data.calibration.dwells import Dwell, dwells_of, settled_points, usable
from gridhash.data.calibration.fits import (
    Fit,
    NotIdentified,
    fit_delay,
    reference_power_kw,
)
from gridhash.data.calibration.starts import (
    Step,
    first_order,
    predicted_chip_c,
    start_brackets,
)
from gridhash.data.calibration.telemetry import RigTelemetry, Told
from gridhash.serving.simulated_physics import RigSegment

NAMEPLATE_KW = 8.0


def told(kind: str, at_s: float, level_frac: float = math.nan, delay_s: float = 5.0) -> Told:
    delay_s = 0.0 if kind in ("run", "unknown") else delay_s
    return Told(sent_s=at_s, effective_s=at_s + delay_s, kind=kind, level_frac=level_frac)


def rig(power_kw: Any, *events: Told, step_s: float = 10.0) -> RigTelemetry:
    power = np.asarray(power_kw, dtype=np.float64)
    return RigTelemetry(
        rig_id="r1",
        group="g",
        model="m",
        firmware="f",
        at_s=np.arange(len(power), dtype=np.float64) * step_s,
        power_kw=power,
        hashrate_ths=power * 60.0,
        chip_temp_c=40.0 + 3.0 * power,
        inlet_temp_c=np.full(len(power), 40.0),
        told=events,
    )


def does(dwells: list[Dwell]) -> list[tuple[str, str, float, float]]:
    return [(d.does, d.told, d.start_s, d.end_s) for d in dwells]


def test_a_rig_is_followed_from_command_to_command() -> None:
    own = rig(
        np.full(500, 8.0),
        told("run", 0.0),
        told("set_work_level", 1000.0, 0.5, delay_s=0.0),
        told("stop", 2000.0),
        told("resume", 4000.0),
    )
    dwells = dwells_of(own, NAMEPLATE_KW)
    assert does(dwells) == [
        ("run", "run", 0.0, 1000.0),
        ("run", "set_work_level", 1000.0, 2000.0),
        ("stop", "stop", 2005.0, 4000.0),
        ("run", "resume", 4005.0, math.inf),
    ]
    # A rig keeps its level while it stands; which it had before the first command nobody knows.
    assert math.isnan(dwells[0].level_frac)
    assert [d.level_frac for d in dwells[1:]] == [0.5, 0.5, 0.5]
    assert dwells[3].before is dwells[2]


def test_nothing_is_known_between_a_change_by_others_and_the_next_proven_command() -> None:
    own = rig(
        np.full(500, 8.0),
        told("run", 0.0, 1.0),
        told("unknown", 1000.0),
        told("stop", 2000.0),
    )
    dwells = dwells_of(own, NAMEPLATE_KW)
    assert [(d.told, d.end_s) for d in dwells] == [("run", 1000.0), ("stop", math.inf)]
    assert dwells[1].before is None
    assert dwells[1].level_frac == 1.0  # on/off rigs have one level


def test_watts_tell_what_a_rig_does_when_a_run_begins() -> None:
    for power_kw, expected in ((8.0, "run"), (0.02, "stop")):
        [dwell] = dwells_of(rig(np.full(90, power_kw), told("run", 0.0)), NAMEPLATE_KW)
        assert dwell.does == expected
    assert dwells_of(rig(np.full(90, 2.0), told("run", 0.0)), NAMEPLATE_KW) == []
    assert dwells_of(rig(np.full(90, np.nan), told("run", 0.0)), NAMEPLATE_KW) == []


def test_only_settled_readings_count_and_outliers_are_counted() -> None:
    power_kw = np.full(200, 8.0)
    power_kw[:60] = 5.0  # the first ten minutes
    power_kw[150] = 12.0
    [point] = settled_points(dwells_of(rig(power_kw, told("run", 0.0, 1.0)), NAMEPLATE_KW))
    assert point.power_kw == pytest.approx(8.0)
    assert point.rise_k == pytest.approx(24.0)
    assert point.n_outliers == 3  # of power, hash rate and chip temperature
    assert point.n == 139


def test_missing_readings_are_no_readings() -> None:
    kept = usable(np.array([1.0, np.nan, 1.0, 1.01, 1.1]), 0.01)
    assert kept.tolist() == [True, False, True, True, False]
    assert not usable(np.full(4, np.nan), 1.0).any()


def test_full_power_follows_from_the_highest_level_seen() -> None:
    power_kw = np.concatenate([np.full(200, 4.2), np.full(200, 6.3)])
    own = rig(
        power_kw,
        told("run", 0.0),
        told("set_work_level", 10.0, 0.5, delay_s=0.0),
        told("set_work_level", 2000.0, 0.75, delay_s=0.0),
    )
    points = settled_points(dwells_of(own, NAMEPLATE_KW))
    assert reference_power_kw(points) == pytest.approx(8.4)
    assert math.isnan(reference_power_kw([]))


def test_a_start_lies_between_the_readings_that_enclose_it() -> None:
    power_kw = np.full(300, 0.02)
    power_kw[104:] = 8.0
    power_kw[102] = np.nan
    own = rig(power_kw, told("run", 0.0, 1.0), told("resume", 1000.0))
    brackets, n_readings = start_brackets(dwells_of(own, NAMEPLATE_KW), "power_kw")
    # Readings at 1030 s (standby) and 1040 s (full), the rig acts at 1005 s.
    assert brackets.tolist() == [[25.0, 35.0, 0.0]]
    assert n_readings == 198
    # A rig whose pool is down draws power and never hashes.
    idle = dataclasses.replace(own, hashrate_ths=np.zeros(300))
    assert start_brackets(dwells_of(idle, NAMEPLATE_KW), "hashrate_ths")[0].shape == (0, 3)


def starting_rigs(boot_s: float, again_s: float, first: str) -> list[RigTelemetry]:
    """Return six rigs that are started four times; each start is sent again before they obey."""
    rigs = []
    for number in range(6):
        events = [told("run", 0.0, 1.0)]
        power_kw = np.full(2000, 8.0)
        at_s = np.arange(2000) * 5.0
        for stop_s in (1000.0, 3000.0, 5000.0, 7000.0):
            asked_s = stop_s + 900.0 + 0.7 * number
            power_kw[(at_s >= stop_s + 5.0) & (at_s < asked_s + 5.0 + boot_s + 0.9 * number)] = 0.02
            events += [
                told("stop", stop_s),
                told(first, asked_s),
                told("resume", asked_s + again_s),
            ]
        rigs.append(dataclasses.replace(rig(power_kw, *events, step_s=5.0), rig_id=f"r{number}"))
    return rigs


@pytest.mark.parametrize(("boot_s", "again_s"), [(120.0, 90.0), (300.0, 240.0)])
def test_a_start_that_was_sent_again_counts_from_the_first_command(
    boot_s: float, again_s: float
) -> None:
    rigs = starting_rigs(boot_s, again_s, "unproven resume")
    dwells = [dwell for own in rigs for dwell in dwells_of(own, NAMEPLATE_KW)]
    found = fit_delay(*start_brackets(dwells, "power_kw"), "power rose")
    assert isinstance(found, Fit)
    assert found.n_events == 24
    assert found.interval.low <= boot_s + 2.25 <= found.interval.high
    assert found.interval.value == pytest.approx(boot_s + 2.25, abs=3.0)


def test_starts_of_rigs_in_an_unknown_state_are_left_out() -> None:
    rigs = starting_rigs(120.0, 90.0, "unknown")
    dwells = [dwell for own in rigs for dwell in dwells_of(own, NAMEPLATE_KW)]
    brackets, n_readings = start_brackets(dwells, "power_kw")
    assert (brackets.shape, n_readings) == ((0, 3), 0)
    assert isinstance(fit_delay(brackets, n_readings, "power rose"), NotIdentified)


@pytest.mark.parametrize("first", ["resume", "unproven resume"])
def test_starts_of_rigs_that_run_are_left_out(first: str) -> None:
    own = rig(np.full(300, 8.0), told("run", 0.0, 1.0), told(first, 1000.0), told("resume", 1100.0))
    assert start_brackets(dwells_of(own, NAMEPLATE_KW), "power_kw")[0].shape == (0, 3)


def test_a_rig_that_a_run_finds_starting_was_not_stopped() -> None:
    power_kw = np.full(300, 8.0)
    power_kw[:12] = 0.02
    own = rig(power_kw, told("run", 0.0, 1.0), told("resume", 50.0))
    assert start_brackets(dwells_of(own, NAMEPLATE_KW), "power_kw")[0].shape == (0, 3)


def test_first_order_response_is_that_of_the_differential_equation() -> None:
    random = np.random.default_rng(1)
    at_s = np.cumsum(random.uniform(1.0, 30.0, 40))
    drive = random.uniform(20.0, 60.0, 40)
    solved = solve_ivp(
        lambda t, y: (np.interp(t, at_s, drive) - y) / 45.0,
        (at_s[0], at_s[-1]),
        [33.0],
        t_eval=at_s,
        rtol=1e-9,
        atol=1e-9,
        max_step=1.0,
    )
    assert first_order(at_s, drive, 45.0, 33.0) == pytest.approx(solved.y[0], abs=1e-3)


def test_chips_warm_up_as_those_of_simulated_rigs() -> None:
    cooling = load_site("japan_pilot").groups[0].cooling
    start = datetime(2026, 1, 1, tzinfo=UTC)
    stands = RigSegment(
        start_at=start,
        start_w=20.0,
        target_w=20.0,
        lag_s=0.0,
        hashrate_ths=0.0,
        chip_start_c=30.06,
        coolant_c=30.0,
        cooling=cooling,
    )
    runs = stands.followed_by(start + timedelta(seconds=33.0), target_w=8064.0, hashrate_ths=0.0)
    at_s = np.arange(0.0, 300.0, 10.0)
    measured_c = np.array(
        [(runs if t >= 33.0 else stands).chip_temp_c(start + timedelta(seconds=t)) for t in at_s]
    )
    step = Step(
        at_s=at_s,
        coolant_c=np.full(30, 30.0),
        chip_at=np.ones(30, dtype=np.bool_),
        chip_c=measured_c,
        before_kw=0.02,
        power_at_s=at_s[at_s >= 40.0],
        power_kw=np.full(26, 8.064),
        low_s=30.0,
        high_s=40.0,
    )
    assert predicted_chip_c(step, 51.0, 33.0, 3.0) == pytest.approx(measured_c, abs=1e-6)
