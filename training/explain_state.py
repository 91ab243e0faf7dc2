"""The site at one instant of a play: what it was, what a policy asks of it, what holds it back."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridhash.agents.policy import Policy
from gridhash.envs.accounts import Accounts
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import PAUSE
from gridhash.envs.kernel import RECORD, choose_setpoint, empty_scratch
from gridhash.envs.limits import feasible_range_kw
from gridhash.envs.parameters import Floats, Floats32
from gridhash.envs.play_record import PlayRecord
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import (
    BROKEN,
    COOLANT_C,
    DOWN_LOCK,
    HOTTEST_C,
    SETPOINT_KW,
    TRIPPED,
    UP_LOCK,
    FleetState,
)
from gridhash.envs.thermal import load_cap_frac
from gridhash.errors import DataError
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

DAYS_BEFORE = 4.0
HOURS_AFTER = 18.0
SAME_KW = 1e-6


@dataclass(frozen=True, kw_only=True)
class Instant:
    """A site at the start of a dispatch interval, as a policy's play had brought it there."""

    scenario: Scenario
    at: pd.Timestamp
    """Local time of the site."""
    row: int
    state: FleetState
    accounts: Accounts
    observation: Floats32
    """(1, F)"""
    past: Floats32
    """(steps, F) observations of the play up to here."""
    frame: pd.DataFrame
    """Intervals before and after the instant, as `PlayRecord.frame`."""

    @property
    def market(self) -> Floats:
        """What is true and what is known of the present period, columns of `envs.columns`."""
        return np.asarray(self.scenario.market[self.row])

    def feature(self, name: str) -> float | None:
        """Return one number of the observation; None if the site has no such feature."""
        names = [feature.name for feature in self.scenario.features]
        return float(self.observation[0, names.index(name)]) if name in names else None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a policy asks of every group and what the limits make of it."""

    name: str
    kind: ActionKind
    action: Floats
    """(G,)"""
    wanted_kw: Floats
    """(G,) rig power that the action means."""
    setpoint_kw: Floats
    """(G,) after the limits."""
    limits: tuple[str, ...]
    """Per group, what holds it off what was wanted; empty if nothing does."""

    def shadow_per_kwh(self, scenario: Scenario) -> Floats | None:
        """Return what a kWh is worth to it above its price, (G,); None if it acts by power."""
        if self.kind is not ActionKind.SHADOW_PRICE:
            return None
        return np.asarray(np.clip(self.action, -1, 1) * scenario.params.shadow_scale_per_kwh)


def play_to(
    scenario: Scenario,
    policy: Policy,
    at: pd.Timestamp,
    *,
    days_before: float = DAYS_BEFORE,
    hours_after: float = HOURS_AFTER,
    progress: Callable[[int, int], None] | None = None,
) -> Instant:
    """Play a policy from rest, some days before an instant, to it and on; return the instant.

    `at` is taken back to the start of its dispatch interval.

    Raises
    ------
    DataError
        If the instant lies outside what can be played.
    """
    row = scenario.row_at(at)
    if row < scenario.first_row:
        first = scenario.trace.starts[scenario.first_row].tz_convert(scenario.site.timezone)
        raise DataError(f"{at} cannot be explained: the first instant that can is {first}")
    interval_s = scenario.site.dispatch_interval_s
    start = scenario.trace.starts[row]
    substep = int((at - start).total_seconds() // interval_s)
    per_day = SECONDS_PER_DAY / scenario.trace.period_s
    first_row = max(scenario.first_row, row - round(days_before * per_day))
    rows_after = -(-round(hours_after * SECONDS_PER_HOUR) // scenario.trace.period_s)
    last_row = min(scenario.n_rows, row + 1 + rows_after)
    n_before = (row - first_row) * scenario.steps_per_row + substep
    n_steps = min((last_row - first_row) * scenario.steps_per_row,
                  n_before + round(hours_after * SECONDS_PER_HOUR / interval_s))  # fmt: skip
    sites = BatchedSite(
        scenario,
        1,
        EpisodeRules(
            episode_days=n_steps * interval_s / SECONDS_PER_DAY,
            action_kind=policy.action_kind,
            relative_reward=False,
            rows=(first_row, last_row),
        ),
    )
    sites.start_at(first_row)
    record = PlayRecord(scenario, n_steps)
    past = np.zeros((n_before, len(scenario.features)), dtype=np.float32)
    observation = sites.observe()
    state, accounts, seen = sites.state, sites.accounts, observation
    for step in range(n_steps):
        if step < n_before:
            past[step] = observation[0]
        elif step == n_before:
            state = FleetState._make(array.copy() for array in sites.state)
            accounts = Accounts._make(array.copy() for array in sites.accounts)
            seen = observation.copy()
        observation = sites.step(policy.act(observation)).observation
        record.keep(sites)
        if progress is not None and step % 64 == 0:
            progress(step, n_steps)
    return Instant(
        scenario=scenario,
        at=(start + pd.Timedelta(seconds=substep * interval_s)).tz_convert(scenario.site.timezone),
        row=row,
        state=state,
        accounts=accounts,
        observation=seen,
        past=past,
        frame=record.frame(),
    )


def choice_of(instant: Instant, policy: Policy) -> Choice:
    """Return what a policy would do with the site at an instant."""
    return choice_of_action(
        instant, policy.name, policy.action_kind, policy.act(instant.observation)[0]
    )


def choice_of_action(instant: Instant, name: str, kind: ActionKind, action: Floats) -> Choice:
    """Return what an action, (G,), means for the site at an instant."""
    scenario = instant.scenario
    state = FleetState._make(array.copy() for array in instant.state)
    scratch = empty_scratch(scenario.n_groups)
    choose_setpoint(
        scenario.params,
        scenario.programs,
        scenario.exogenous,
        state,
        instant.accounts,
        np.ascontiguousarray(action, dtype=np.float64),
        int(kind),
        0,
        instant.row,
        scratch,
        np.zeros(len(RECORD)),
    )
    wanted_kw, setpoint_kw = scratch.group[3].copy(), scratch.group[4].copy()
    return Choice(
        name=name,
        kind=kind,
        action=np.array(action, dtype=np.float64),
        wanted_kw=wanted_kw,
        setpoint_kw=setpoint_kw,
        limits=limits_in_words(instant, wanted_kw, setpoint_kw),
    )


def rig_cap_kw(instant: Instant) -> tuple[float, str]:
    """Return the most that all rigs together may draw now [kW], and what sets it."""
    params, programs = instant.scenario.params, instant.scenario.programs
    paused = programs.has_pause and instant.market[PAUSE] > 0.0
    if paused and programs.pause_rig_cap_kw < params.rig_cap_kw:
        return float(programs.pause_rig_cap_kw), "pause order of the utility"
    return float(params.rig_cap_kw), "contract power"


def limits_in_words(instant: Instant, wanted_kw: Floats, setpoint_kw: Floats) -> tuple[str, ...]:
    """Return what holds each group off what was wanted; empty words for a group that is free."""
    params, state = instant.scenario.params, instant.state
    n_groups = instant.scenario.n_groups
    ranges = np.array([feasible_range_kw(state, params, 0, g) for g in range(n_groups)])
    cap_kw, cap_name = rig_cap_kw(instant)
    last_kw = float(state.group[0, :, SETPOINT_KW].sum())
    ceiling_kw = min(cap_kw, max(last_kw + params.ramp_up_kw, float(ranges[:, 0].sum())))
    words = []
    for g in range(n_groups):
        low_kw, high_kw = ranges[g]
        wanted, given = float(wanted_kw[g]), float(setpoint_kw[g])
        if abs(wanted - given) <= SAME_KW:
            words.append("")
        elif given < wanted and wanted > high_kw + SAME_KW and given >= high_kw - SAME_KW:
            words.append(_why_no_more(instant, g, float(high_kw)))
        elif given > wanted and given <= low_kw + SAME_KW:
            minutes = state.group[0, g, UP_LOCK] * params.interval_s / 60.0
            words.append(
                f"minimum up time: rigs that started lately must run, {low_kw:,.0f} kW; the last "
                f"may stop in {minutes:.0f} min"
            )
        elif given < wanted and ceiling_kw >= cap_kw - SAME_KW:
            words.append(f"{cap_name}: all rigs together at most {cap_kw:,.0f} kW")
        elif given < wanted:
            words.append(f"ramp: power may rise by {params.ramp_up_kw:,.0f} kW an interval")
        else:
            words.append(f"ramp: power may fall by {params.ramp_down_kw:,.0f} kW an interval")
    return tuple(words)


def _why_no_more(instant: Instant, g: int, high_kw: float) -> str:
    params, group = instant.scenario.params, instant.state.group[0, g]
    if group[TRIPPED] > 0.0:
        return (
            f"temperature trip: no rig runs until the loop, now {group[COOLANT_C]:.0f} °C, has "
            f"cooled to {params.coolant_restart_c[g]:.0f} °C"
        )
    share = load_cap_frac(group[HOTTEST_C], params.chip_derate_c[g], params.chip_trip_c[g])
    top_kw = float(params.n_rigs[g] * params.level_kw[g, params.n_levels[g] - 1])
    if share < 1.0 and high_kw >= share * top_kw - SAME_KW:
        return f"temperature: chips at {group[HOTTEST_C]:.0f} °C allow {share:.0%} of full power"
    minutes = group[DOWN_LOCK] * params.interval_s / 60.0
    if minutes > 0.0:
        return (
            f"minimum down time: rigs for {high_kw:,.0f} kW can run; all may start in "
            f"{minutes:.0f} min"
        )
    if group[BROKEN] > 0.0:
        return f"repair: {group[BROKEN]:.0f} rigs are broken, {high_kw:,.0f} kW can run"
    return f"rigs too cold to start: {high_kw:,.0f} kW can run"
