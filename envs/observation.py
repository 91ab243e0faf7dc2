"""What a policy sees: the observation table and the code that fills it, in training and on site.

An observation has two parts. *Row features* follow from calendar, published prices and completed
readings alone and are computed once per settlement period (`row_features`); *step features* come
from the state of the fleet.
Physical quantities stand beside ratios to break-even; normalisation is the network's own matter.
Nothing here reads a value before its time: a price not yet published is replaced by that of the
same time a day earlier, and measured columns are the last complete reading.
"""

import hashlib
import json
import math
from dataclasses import asdict

import numpy as np

from gridhash.config import SiteConfig
from gridhash.envs.accounts import Accounts
from gridhash.envs.columns import (
    ADDER,
    N_MARKET,
    REVENUE,
    RULE_LOAD,
    RULE_PROFIT,
    SEEN_ALL_IN,
    SEEN_OUTDOOR,
    SEEN_PRICE,
    SEEN_SURPLUS,
    Exogenous,
)
from gridhash.envs.dispatch import dispatch_by_merit
from gridhash.envs.feature import Feature
from gridhash.envs.jit import counted, njit
from gridhash.envs.levels import top_level_kw
from gridhash.envs.parameters import Floats, Floats32, Ints, SiteParameters
from gridhash.envs.program_observation import (
    clip,
    observe_programs,
    program_row_table,
    program_step_table,
)
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.state import (
    COOLANT_C,
    DOWN_LOCK,
    HOTTEST_C,
    LOCKED_UP,
    RUNNING,
    SETPOINT_KW,
    STARTABLE,
    STARTING,
    TRIPPED,
    UP_LOCK,
    FleetState,
)
from gridhash.units import SECONDS_PER_HOUR

N_CALENDAR = 6
PRICE_NOW, BREAK_EVEN, PUBLISHED_H, OUTDOOR_NOW, SURPLUS_NOW = range(N_CALENDAR, N_CALENDAR + 5)
N_SITE_ROW = N_CALENDAR + 5
"""Row features before the price vector."""
N_GROUP_ROW = 1
N_GROUP_STEP = 11


def horizon_periods(site: SiteConfig) -> int:
    """Return how many settlement periods the price vector holds."""
    return math.ceil(site.market.horizon_h * SECONDS_PER_HOUR / site.market.settlement_period_s)


def observation_table(site: SiteConfig) -> tuple[Feature, ...]:
    """Return the features of a site's observation in order: shape (F,), float32."""
    rows = [
        Feature(name="hour_sin", unit="1", low=-1, high=1, meaning="local time of day, sine"),
        Feature(name="hour_cos", unit="1", low=-1, high=1, meaning="local time of day, cosine"),
        Feature(name="weekday_sin", unit="1", low=-1, high=1, meaning="day of week, sine"),
        Feature(name="weekday_cos", unit="1", low=-1, high=1, meaning="day of week, cosine"),
        Feature(name="season_sin", unit="1", low=-1, high=1, meaning="day of year, sine"),
        Feature(name="season_cos", unit="1", low=-1, high=1, meaning="day of year, cosine"),
        Feature(
            name="price_per_kwh", unit="currency/kWh", low=-1e3, high=1e4,
            meaning="market price of this settlement period",
        ),
        Feature(
            name="break_even_per_kwh", unit="currency/kWh", low=0, high=1e4,
            meaning="all-in price at which the site at nameplate earns nothing",
        ),
        Feature(
            name="published_h", unit="h", low=0, high=72,
            meaning="how far ahead prices are published, from the start of this period",
        ),
        Feature(
            name="outdoor_temp_c", unit="degC", low=-60, high=70, meaning="last complete reading"
        ),
        Feature(
            name="surplus_frac", unit="1", low=0, high=10,
            meaning="surplus at the last complete reading per contract power",
        ),
    ]  # fmt: skip
    rows += [
        Feature(
            name=f"price_ratio_{k:03d}", unit="1", low=-5, high=20,
            meaning=f"all-in price {k} periods ahead per break-even; a day earlier if unpublished",
        )
        for k in range(horizon_periods(site))
    ]  # fmt: skip
    for group in site.groups:
        rows.append(
            Feature(
                name=f"rule_load_frac_{group.name}",
                unit="1",
                low=0,
                high=1,
                meaning="power that the level rule asks for now per full power",
            )
        )
    rows += program_row_table(site)
    steps = [
        Feature(
            name="minutes_left",
            unit="min",
            low=0,
            high=1440,
            meaning="until the end of this settlement period",
        )
    ]
    for group in site.groups:
        steps += _group_features(group.name)
    steps += program_step_table(site)
    return tuple(rows + steps)


def _group_features(name: str) -> list[Feature]:
    table = (
        (
            "run_worth", "1", -1, 1,
            "what running now is worth over stopping, over the price vector and without minimum "
            "times, per cost of a start: x / (1 + |x|); a rig that runs should go on above 0, one "
            "that stands should start above 0.5",
        ),
        ("running_frac", "1", 0, 1, "rigs that run"),
        ("starting_frac", "1", 0, 1, "running rigs that do not hash fully yet"),
        ("locked_up_frac", "1", 0, 1, "running rigs within their minimum up time"),
        ("startable_frac", "1", 0, 1, "stopped rigs that may start now"),
        ("locked_up_min", "min", 0, 1440, "until every running rig may stop"),
        ("locked_down_min", "min", 0, 1440, "until every stopped rig may start"),
        ("load_frac", "1", 0, 1, "setpoint of the last interval per full power"),
        ("chip_temp_c", "degC", -60, 200, "hottest bucket of rigs"),
        ("coolant_temp_c", "degC", -60, 200, "loop"),
        ("tripped", "1", 0, 1, "1 from a temperature trip until the loop has cooled"),
    )  # fmt: skip
    return [
        Feature(name=f"{feature}_{name}", unit=unit, low=low, high=high, meaning=meaning)
        for feature, unit, low, high, meaning in table
    ]


def table_hash(site: SiteConfig) -> str:
    """Return a hash of the observation table; a bundle made for another table is refused."""
    table = [asdict(feature) for feature in observation_table(site)]
    text = json.dumps([table, site.market.settlement_period_s], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@njit
def squash(x: float) -> float:
    """Return x / (1 + |x|): fine around zero, bounded by 1."""
    return x / (1.0 + abs(x))


@njit
def site_value_per_kwh(params: SiteParameters, revenue_per_phs_day: float) -> float:
    """Return the all-in price at which the whole site at its top level earns nothing."""
    phs = 0.0
    kw = 0.0
    for g in range(params.groups.shape[0]):
        phs += params.groups[g].n_rigs * params.level_phs[g, params.groups[g].n_levels - 1]
        kw += params.groups[g].n_rigs * top_level_kw(params, g)
    return phs / kw * revenue_per_phs_day / 24.0 / params.pue_for_planning


@njit
def rig_margin_per_h(
    params: SiteParameters, g: int, price_per_kwh: float, revenue_per_phs_day: float
) -> float:
    """Return what a rig earns per hour by running at its best level, over standing by."""
    best = -np.inf
    for level in range(params.groups[g].n_levels):
        margin = params.level_phs[g, level] * revenue_per_phs_day / 24.0
        margin -= params.level_kw[g, level] * params.pue_for_planning * price_per_kwh
        best = max(best, margin)
    return float(best + params.groups[g].standby_kw * params.pue_for_planning * price_per_kwh)


@njit
def start_loss(params: SiteParameters, g: int, revenue_per_phs_day: float) -> float:
    """Return what starting one rig costs: wear, and the revenue missed while it warms up."""
    phs = params.level_phs[g, params.groups[g].n_levels - 1]
    return float(
        params.groups[g].start_cost + params.groups[g].warm_up_h * phs * revenue_per_phs_day / 24.0
    )


@njit
def row_features(
    params: SiteParameters,
    market: Floats,
    phases: Floats,
    extras: Floats,
    ahead_price: Floats,
    ahead_until: Ints,
    idle_kw: float,
    period_h: float,
    horizon: int,
    bounds: Floats32,
    ahead: Floats,
    scratch: Floats,
    out: Floats32,
) -> None:
    """Fill the row features of every settlement period, `out` of (rows, R) float32.

    Also writes RULE_PROFIT, RULE_LOAD and the columns per group of `market`.

    The price vector comes from `ahead_price`, unknown from row `ahead_until[r]` on at the start of
    row r: the settlement price itself, or the day-ahead price where a later one settles. `extras`,
    (rows,), is what the newest readings add to price and adders: levy and carbon. `phases` is
    (rows, 6), `bounds` (F, 2); `ahead` (horizon,) and `scratch` (5, G) are working memory.
    """
    n_groups = params.groups.shape[0]
    n_rows = market.shape[0]
    per_day = round(24.0 / period_h)
    for r in range(n_rows):
        known = min(ahead_until[r], n_rows) - r
        value = site_value_per_kwh(params, market[r, REVENUE])
        for k in range(N_CALENDAR):
            out[r, k] = phases[r, k]
        out[r, PRICE_NOW] = market[r, SEEN_PRICE]
        out[r, BREAK_EVEN] = value
        out[r, PUBLISHED_H] = max(min(known, horizon), 0) * period_h
        out[r, OUTDOOR_NOW] = market[r, SEEN_OUTDOOR]
        out[r, SURPLUS_NOW] = market[r, SEEN_SURPLUS] / params.contract_power_kw
        scratch[0, :] = 0.0
        market[r, RULE_PROFIT] = dispatch_by_merit(
            params,
            market[r, SEEN_ALL_IN],
            market[r, SEEN_SURPLUS],
            market[r, REVENUE],
            scratch[0],
            scratch[1],
            scratch[2],
        )
        rule_kw = 0.0
        for g in range(n_groups):
            rule_kw += scratch[1, g]
        load_kw = max(rule_kw * params.pue_for_planning, idle_kw)
        market[r, RULE_LOAD] = min(load_kw, params.contract_power_kw)
        for k in range(horizon):
            source = r + k
            while source >= r + known:
                source -= per_day
            ahead[k] = market[r, SEEN_PRICE] if k == 0 else ahead_price[max(source, 0)]
            # Adders by the clock are known; what else is added stays as it is now.
            ahead[k] += market[min(r + k, n_rows - 1), ADDER] + extras[r]
            out[r, N_SITE_ROW + k] = ahead[k] / value
        column = N_SITE_ROW + horizon
        for g in range(n_groups):
            loss = max(start_loss(params, g, market[r, REVENUE]), 1e-9)
            # Value of a rig that runs, and of one that stands, from each period on [starts].
            running = 0.0
            standing = 0.0
            margin = 0.0
            for k in range(horizon - 1, -1, -1):
                margin = rig_margin_per_h(params, g, ahead[k], market[r, REVENUE]) * period_h / loss
                if k > 0:
                    go_on = margin + running
                    running = max(go_on, standing)
                    standing = max(standing, go_on - 1.0)
            market[r, N_MARKET + 2 * g] = running - standing
            market[r, N_MARKET + 2 * g + 1] = margin
            full_kw = params.groups[g].n_rigs * top_level_kw(params, g)
            out[r, column] = scratch[1, g] / full_kw
            column += N_GROUP_ROW
        for k in range(column):
            out[r, k] = clip(out[r, k], bounds, k)


@njit
def observe(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    state: FleetState,
    accounts: Accounts,
    i: int,
    row_shown: int,
    observation: Floats32,
) -> int:
    """Write the observation of site `i`, (F,) float32; return the row that it then shows.

    `row_shown` is the row whose features `observation` holds already, -1 for none.
    """
    market, rows, bounds = exogenous.market, exogenous.rows, exogenous.bounds
    n_groups = params.groups.shape[0]
    row = counted(min(state.row[i], market.shape[0] - 1))
    n_row = counted(rows.shape[1])
    if row != row_shown:
        for k in range(n_row):
            observation[k] = rows[row, k]
    interval_min = params.interval_s / 60.0
    left = params.intervals_per_period - state.substep[i]
    left_share = left / params.intervals_per_period
    observation[n_row] = left * interval_min
    for g in range(n_groups):
        k = counted(n_row + 1 + g * N_GROUP_STEP)
        per_rig = params.groups[g].per_rig
        summary = state.group[i, g]
        later, period = market[row, N_MARKET + 2 * g], market[row, N_MARKET + 2 * g + 1]
        observation[k] = squash(later + left_share * period)
        observation[k + 1] = summary[RUNNING] * per_rig
        observation[k + 2] = summary[STARTING] * per_rig
        observation[k + 3] = summary[LOCKED_UP] * per_rig
        observation[k + 4] = (
            0.0 if state.group[i, g, TRIPPED] > 0.0 else summary[STARTABLE] * per_rig
        )
        observation[k + 5] = summary[UP_LOCK] * interval_min
        observation[k + 6] = summary[DOWN_LOCK] * interval_min
        observation[k + 7] = state.group[i, g, SETPOINT_KW] * params.groups[g].per_full_kw
        observation[k + 8] = clip(summary[HOTTEST_C], bounds, k + 8)
        observation[k + 9] = clip(state.group[i, g, COOLANT_C], bounds, k + 9)
        observation[k + 10] = state.group[i, g, TRIPPED]
    if programs.present:
        k = counted(n_row + 1 + n_groups * N_GROUP_STEP)
        observe_programs(
            params, programs, accounts, exogenous.calendar, i, row, bounds, k, observation
        )
    return int(row)
