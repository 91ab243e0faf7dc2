"""A site for sums by hand: 1,000 kW of rigs, no cooling, no start-up, a break-even of 10 or 0.1.

100 rigs of 10 kW and 0.5 PH/s that start and stop at once: 50 PH/s and 1,000 kW in all. At 48 USD
per PH/s and day an hour at full load earns 50 x 48 / 24 = 100 USD, or 10,000 JPY at 100 JPY/USD:
0.1 USD or 10 JPY a kWh.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.config import SiteConfig, parse_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER, LEDGER_NAMES
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.time_grid import grid, published_the_day_before

Floats = npt.NDArray[np.float64]
Shares = float | Floats | Callable[[pd.Timestamp], float]

FULL_KW = 1000.0
SIGNS = np.array([term.sign for term in LEDGER], dtype=float)
COOLING = {
    "rig_heat_capacity_kj_per_k": 17.0,
    "chip_to_coolant_k_per_kw": 0.1,
    "loop_heat_capacity_kj_per_k": 1e5,
    "heat_rejection_kw_per_k": 1e4,
    "heat_rejection_exponent": 0.8,
    "fan_kw": 0.0,
    "fan_min_speed_frac": 0.05,
    "pump_kw": 0.0,
    "pump_idle_flow_frac": 0.5,
    "coolant_setpoint_c": 40.0,
    "chip_derate_c": 75.0,
    "chip_trip_c": 85.0,
    "coolant_restart_c": 50.0,
}


def bench_site(
    *,
    currency: str = "JPY",
    timezone: str = "Asia/Tokyo",
    period_s: int = 1800,
    interval_s: int | None = None,
    market: Mapping[str, Any] | None = None,
    tariff: Mapping[str, Any] | None = None,
    programs: Mapping[str, Any] | None = None,
    **changes: Any,
) -> SiteConfig:
    """Return the site; the interval is the settlement period unless given, adders are 0."""
    values: dict[str, Any] = {
        "name": "bench",
        "currency": currency,
        "timezone": timezone,
        "area": "test",
        "dispatch_interval_s": interval_s or period_s,
        "outdoor_temp_c": 20.0,
        "pue_for_planning": 1.0,
        "start_cost_per_fleet_start": 0.0,
        "market": {
            "settlement_period_s": period_s,
            "price_published_local": "12:30:00",
            "adders_per_kwh": 0.0,
            "horizon_h": 1,
        }
        | dict(market or {}),
        "mining": {
            "hashprice_usd_per_phs_day": 48.0,
            "currency_per_usd": 100.0 if currency == "JPY" else 1.0,
            "pool_fee_frac": 0.0,
            "stale_frac": 0.0,
        },
        "limits": {
            "contract_power_kw": FULL_KW,
            "ramp_up_kw_per_min": 1e6,
            "ramp_down_kw_per_min": 1e6,
        },
        "groups": [
            {
                "name": "all",
                "rig_model": "bench",
                "n_rigs": 100,
                "rig_power_w": 10_000.0,
                "rig_hashrate_ths": 500.0,
                "curve_a": 1.0,
                "curve_b": 0.0,
                "standby_w": 0.0,
                "boot_s": 0.0,
                "warm_up_s": 0.0,
                "min_up_s": 0.0,
                "min_down_s": 0.0,
                "cooling": COOLING,
            }
        ],
        "tariff": dict(tariff or {}),
        "programs": dict(programs or {}),
    }
    return parse_site(values | changes, origin="bench")


def bench_trace(
    site: SiteConfig,
    *,
    first_day: str = "2024-07-01",
    days: int = 4,
    prices: npt.ArrayLike = 12.0,
    columns: Mapping[str, npt.ArrayLike] | None = None,
    known: Mapping[str, pd.DatetimeIndex] | None = None,
) -> Trace:
    """Return a trace from a local midnight on; a scalar serves all rows."""
    start = pd.Timestamp(first_day, tz=site.timezone)
    starts = grid(start, start + pd.DateOffset(days=days), site.market.settlement_period_s)
    trace = Trace.from_prices(
        starts,
        np.broadcast_to(np.asarray(prices, dtype=float), len(starts)),
        published_at=published_the_day_before(
            starts, timezone=site.timezone, at=site.market.price_published_local
        ),
        period_s=site.market.settlement_period_s,
        currency=site.currency,
        area=site.area,
        source="bench",
    )
    if not columns:
        return trace
    values = {k: np.broadcast_to(np.asarray(v, float), len(starts)) for k, v in columns.items()}
    return trace.with_columns(values, available_at=known)


def on_rows(scenario_rows: int, rows: Mapping[int, float], elsewhere: float = 0.0) -> Floats:
    """Return a column that has these values in these rows."""
    values = np.full(scenario_rows, elsewhere)
    for row, value in rows.items():
        values[row] = value
    return values


@dataclass(frozen=True)
class Played:
    """What was booked, step by step; `total` adds up."""

    starts: pd.DatetimeIndex
    """(steps,) local"""
    rows: npt.NDArray[np.int64]
    terms: Floats
    """(steps, N_LEDGER)"""
    records: Floats
    """(steps, N_RECORD)"""
    profit: Floats
    reward: Floats

    def line(self, name: str) -> Floats:
        """Return a ledger line, (steps,)."""
        return self.terms[:, LEDGER_NAMES.index(name)]

    def record(self, name: str) -> Floats:
        """Return a column of the record, (steps,)."""
        return self.records[:, RECORD.index(name)]

    def total(self) -> dict[str, float]:
        """Return the sum of each ledger line that is not zero everywhere."""
        sums = self.terms.sum(axis=0)
        used = np.abs(self.terms).max(axis=0) > 0.0
        return {n: float(s) for n, s, u in zip(LEDGER_NAMES, sums, used, strict=True) if u}


def bench(site: SiteConfig, **trace_options: Any) -> Scenario:
    """Return the scenario; arguments as `bench_trace`."""
    return build_scenario(site, bench_trace(site, **trace_options))


def play(
    scenario: Scenario,
    shares: Shares,
    *,
    first_row: int | None = None,
    n_rows: int | None = None,
    kind: ActionKind = ActionKind.POWER,
) -> Played:
    """Play a span; `shares` is one number, one per step, or a function of local time."""
    first = scenario.first_row if first_row is None else first_row
    rows = n_rows or scenario.n_rows - first
    steps, per_row = rows * scenario.steps_per_row, scenario.steps_per_row
    days = steps * scenario.site.dispatch_interval_s / 86400.0
    rules = EpisodeRules(episode_days=days, action_kind=kind, relative_reward=False)
    sites = BatchedSite(scenario, 1, rules)
    sites.start_at(first)
    at = np.arange(steps)
    starts = scenario.trace.starts[first + at // per_row] + pd.to_timedelta(
        at % per_row * scenario.site.dispatch_interval_s, unit="s"
    )
    local = starts.tz_convert(scenario.site.timezone)
    if callable(shares):
        given = np.array([shares(instant) for instant in local])
    else:
        given = np.broadcast_to(np.asarray(shares, dtype=float), steps)
    terms, records = np.zeros((steps, len(LEDGER))), np.zeros((steps, len(RECORD)))
    profit, reward = np.zeros(steps), np.zeros(steps)
    for k in range(steps):
        output = sites.step(np.full((1, scenario.n_groups), given[k]))
        terms[k], records[k] = output.ledger[0], output.record[0]
        profit[k], reward[k] = output.profit[0], output.reward[0]
    assert np.abs(terms @ SIGNS - profit).max() < 1e-9 * max(1.0, np.abs(profit).max())
    return Played(
        starts=local,
        rows=first + at // per_row,
        terms=terms,
        records=records,
        profit=profit,
        reward=reward,
    )
