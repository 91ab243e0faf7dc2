"""The linear program of a plan on forecasts: the bound's blocks on what is known and expected.

As `gridhash.agents.bound`, but from the fleet that the observation shows, over `PlanSteps`, with
the peaks so far. What only a plan needs: calls and orders count where they cover at least half of
an interval; a demand above what is billed costs the charge of all months that it will be billed in;
while held capacity is called the site is to draw what is held less than its full power, since the
observation does not tell its power before the call.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.bound_programs import add_programs
from gridhash.agents.bound_tariff import Energy, IncreaseBaseline, Window, add_tariff
from gridhash.agents.linear_program import LinearProgram
from gridhash.agents.outlook import Outlook
from gridhash.agents.plan_steps import PlanSteps
from gridhash.agents.plan_view import EVENTS, FleetView, event_share, running_chip_c
from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.rig_class import RigClass
from gridhash.agents.rig_program import RigColumns, SiteRows, add_rigs
from gridhash.envs.columns import (
    ADDER,
    BASE_POINT,
    DEPLOYED,
    HELD_PRICE,
    IMBALANCE_SHORTAGE,
    IMBALANCE_SURPLUS,
    N_MARKET,
    OUTDOOR,
    PAUSE,
    PRICE,
    PV,
    REVENUE,
    SURPLUS,
    TRANSMISSION_WEIGHT,
    WET_BULB,
)
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.units import HOURS_PER_DAY, SECONDS_PER_HOUR


@dataclass(frozen=True)
class PlanSite:
    """What does not change from plan to plan."""

    reader: ObservationReader
    programs: ProgramParameters
    classes: list[RigClass]


@dataclass(frozen=True)
class PlanColumns:
    """Where the decisions of one path are."""

    rigs: list[RigColumns]
    balance: Ints


def add_plan(
    program: LinearProgram,
    site: PlanSite,
    steps: PlanSteps,
    fleet: FleetView,
    observation: Observations,
    outlook: Outlook,
    path: int,
) -> PlanColumns:
    """Add one path of an outlook for one site, observation (1, F), to a program."""
    params, programs = site.reader.params, site.programs
    market, import_price = _market(site, steps, observation, outlook, path)
    hours, n = steps.intervals.hours, len(steps.period)
    cooling_kw = float((params.fan_kw + params.pump_kw + params.freeze_heater_kw).sum())
    most_kw = params.max_rig_kw * max(rigs.hot_frac for rigs in site.classes) + cooling_kw
    imported = program.add_columns(n, lower=0.0, upper=most_kw, gain=-hours * import_price)
    from_surplus = program.add_columns(
        n,
        lower=0.0,
        upper=np.minimum(market[:, SURPLUS], most_kw),
        gain=-hours * params.surplus_price_per_kwh,
    )
    balance = program.add_rows(n, lower=0.0, upper=0.0)
    program.add_entries(balance, imported, -1.0)
    program.add_entries(balance, from_surplus, -1.0)
    paused = market[:, PAUSE] > 0.0
    cap_kw = np.where(paused, min(params.rig_cap_kw, programs.pause_rig_cap_kw), params.rig_cap_kw)
    contract = program.add_rows(n, upper=cap_kw)
    columns = [
        add_rigs(
            program,
            rigs,
            steps.intervals,
            market,
            SiteRows(
                balance=balance,
                contract=contract,
                minimum_up_holds=~paused,
                pays_to_burn=import_price < 0.0,
                coldest_c=np.full(n, running_chip_c(rigs)),
            ),
            start,
        )
        for rigs, start in zip(site.classes, fleet.starts, strict=True)
    ]
    if programs.present:
        window = _window(site, steps, market, observation, outlook, most_kw)
        energy = add_tariff(program, window, imported, from_surplus, balance)
        add_programs(program, window, energy)
        if programs.demand_charge_per_kw > 0.0:
            _add_peak(program, site, steps, window, energy, observation)
        if programs.held_kw > 0.0:
            _add_called_capacity(program, window, energy)
    return PlanColumns(rigs=columns, balance=balance)


def _market(
    site: PlanSite, steps: PlanSteps, observation: Observations, outlook: Outlook, path: int
) -> tuple[Floats, Floats]:
    """Return the market array by interval, (T, N_MARKET), and what import costs, (T,)."""
    reader, programs = site.reader, site.programs

    def now(name: str) -> float:
        return float(reader.value(observation, name)[0]) if reader.has(name) else 0.0

    market = np.zeros((len(steps.period), N_MARKET))
    all_in = steps.means(outlook.all_in_per_kwh[path])
    adders = float(reader.prices_per_kwh(observation)[0, 0]) - now("price_per_kwh")
    market[:, PRICE] = all_in - adders
    market[:, ADDER] = adders
    market[:, REVENUE] = float(reader.revenue_per_phs_day(observation)[0])
    market[:, SURPLUS] = steps.means(outlook.surplus_kw[path])
    market[:, PV] = steps.means(outlook.pv_kw[path])
    market[:, BASE_POINT] = steps.means(outlook.base_kw[path])
    market[:, OUTDOOR] = steps.means(outlook.outdoor_c)
    market[:, WET_BULB] = market[:, OUTDOOR]
    market[:, TRANSMISSION_WEIGHT] = steps.means(outlook.peak_per_kw)
    events = steps.means(event_share(reader, observation, steps.horizon).T)
    for share, column in zip(events, EVENTS.values(), strict=True):
        market[:, column] = share >= 0.5
    break_even = now("break_even_per_kwh")
    if programs.held_kw > 0.0:
        market[:, HELD_PRICE] = now("held_price_ratio") * break_even
        market[steps.first_row == 0, DEPLOYED] = now("deployed_frac")
    if programs.balancing:
        market[:, IMBALANCE_SHORTAGE] = now("shortage_price_ratio") * break_even
        market[:, IMBALANCE_SURPLUS] = now("surplus_price_ratio") * break_even
    return market, all_in


def _window(
    site: PlanSite,
    steps: PlanSteps,
    market: Floats,
    observation: Observations,
    outlook: Outlook,
    most_kw: float,
) -> Window:
    reader, params, programs = site.reader, site.reader.params, site.programs

    def now(name: str) -> float:
        return float(reader.value(observation, name)[0]) if reader.has(name) else 0.0

    contract_kw = params.contract_power_kw
    row_hours = reader.site.market.settlement_period_s / SECONDS_PER_HOUR
    n_periods = int(steps.period[-1]) + 1
    plan_kwh = np.full(n_periods, np.nan)
    if programs.balancing:
        known = np.array([now("plan_frac"), now("next_plan_frac")])[:n_periods]
        plan_kwh[: len(known)] = known * contract_kw * row_hours
        plan_kwh[0] -= now("period_import_frac") * contract_kw * row_hours
    angle = np.arctan2(now("hour_sin"), now("hour_cos"))
    hour = angle / (2.0 * np.pi) * HOURS_PER_DAY % HOURS_PER_DAY
    day = ((hour + steps.first_row * row_hours) // HOURS_PER_DAY).astype(np.int64)
    quota_kwh = np.full(int(day[-1]) + 1, programs.surplus_quota_kwh)
    if programs.has_quota:
        quota_kwh[0] *= now("quota_left_frac")
    first = np.flatnonzero(np.diff(steps.period, prepend=-1))
    none = np.zeros(0, dtype=np.int64)
    return Window(
        params=params,
        programs=programs,
        market=market,
        hours=steps.intervals.hours,
        period=steps.period,
        row_hours=row_hours,
        most_kw=min(most_kw, contract_kw),
        day=day,
        quota_kwh=quota_kwh,
        plan_kwh=plan_kwh,
        baseline_kw=np.full(n_periods, now("baseline_frac") * contract_kw),
        increase_baseline=IncreaseBaseline(
            known_kw=steps.means(outlook.increase_baseline_kw)[first],
            period=none,
            past=none,
            share=np.zeros(0),
        ),
    )


def _add_peak(
    program: LinearProgram,
    site: PlanSite,
    steps: PlanSteps,
    window: Window,
    energy: Energy,
    observation: Observations,
) -> None:
    """Charge a mean of a metering period above what is billed already.

    Intervals longer than a metering period are taken to be even.
    """
    reader, programs = site.reader, site.programs

    def now(name: str) -> float:
        return float(reader.value(observation, name)[0])

    contract_kw = site.reader.params.contract_power_kw
    months = 1.0 + (programs.ratchet_months - 1) * programs.ratchet_frac
    above = program.add_columns(
        1, lower=0.0, upper=window.most_kw, gain=-programs.demand_charge_per_kw * months
    )
    metering = programs.metering_steps
    gone = round(now("metered_share") * metering) % metering
    number = (gone + steps.intervals.begin) // metering
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    index = np.cumsum(np.diff(number, prepend=-1) > 0) - 1
    hours = np.bincount(index, steps.intervals.hours)
    gone_h = gone * site.reader.params.interval_s / SECONDS_PER_HOUR
    hours[0] += gone_h
    billed_kw = np.full(len(starts), max(now("month_peak_frac"), now("ratchet_frac")) * contract_kw)
    billed_kw[0] -= now("metered_mean_frac") * contract_kw * gone_h / hours[0]
    below = program.add_rows(len(starts), lower=-billed_kw)
    program.add_entries(below, np.repeat(above, len(starts)), 1.0)
    for columns in energy.metered:
        program.add_entries(below[index], columns, -steps.intervals.hours / hours[index])


def _add_called_capacity(program: LinearProgram, window: Window, energy: Energy) -> None:
    """Fine what is drawn above full power less the called share of what is held."""
    programs = window.programs
    at = np.flatnonzero(window.market[:, DEPLOYED] > 0.0)
    if not at.size:
        return
    limit_kw = window.most_kw - window.market[at, DEPLOYED] * programs.held_kw
    missing = program.add_columns(
        at.size,
        lower=0.0,
        upper=window.most_kw,
        gain=-programs.held_penalty_per_kw_h * window.hours[at],
    )
    above = program.add_rows(at.size, lower=-limit_kw)
    program.add_entries(above, missing, 1.0)
    for columns in energy.site:
        program.add_entries(above, columns[at], -1.0)
