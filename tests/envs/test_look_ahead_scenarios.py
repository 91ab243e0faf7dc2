"""No look-ahead in any scenario or block: poison all that is not known yet, rebuild, see the same.

At an instant t every value of every column whose `available_at` lies after t is replaced, and trace
and scenario are built anew: forecasts, events, plan, baselines, scalers and all. Observation and
what the rule sets at t must keep their bits, both when t is reached by play and when an episode
opens there. What `available_at` itself must be is held by `tests/data` and `test_look_ahead`.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.config import SiteConfig
from gridhash.config_scenario import scenario_names
from gridhash.data.trace import Trace
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.kernel import RECORD
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from tests.envs.bench import bench_site, bench_trace

SETPOINT = RECORD.index("setpoint_kw")
DAYS = 18
INSTANTS = 2
"""Instants tried in each case; 70 in all."""


LIVED_THROUGH = (
    "outdoor_temp_c",
    "relative_humidity_frac",
    "surplus_frac",
    "behind_meter_pv_frac",
)
"""What leaves its mark on temperatures and meters before its own figure is known."""


def poisoned(
    site: SiteConfig, trace: Trace, row: int, rng: np.random.Generator, *, played: bool
) -> Trace:
    """Return the trace with every value that is unknown at the start of a row replaced.

    Where the rows before are `played`, their weather stays as it was, known or not.
    """
    frame = trace.frame.copy()
    now = trace.starts[row]
    for name in frame.columns:
        unknown = np.asarray(trace.available_at[name] > now)
        if name == site.tariff.settles_at and site.tariff.price_known == "current":
            # By its statement this variant sees the price of the present period.
            unknown = np.arange(trace.n_rows) > row
        if played and name in LIVED_THROUGH:
            unknown &= np.arange(trace.n_rows) >= row
        values = frame[name].to_numpy(copy=True)
        mixed = rng.permutation(values)
        low, high = values.min(), values.max()
        mirrored = low + high - mixed
        values[unknown] = np.where(rng.random(trace.n_rows) < 0.5, mixed, mirrored)[unknown]
        frame[name] = values
    return replace(trace, frame=frame)


def seen_by_play(scenario: Scenario, first: int, row: int) -> list[bytes]:
    """Play the rule from a row through another; return observations and setpoints."""
    steps = (row - first) * scenario.steps_per_row + 1
    days = steps * scenario.site.dispatch_interval_s / 86400.0
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=days))
    sites.start_at(first, running_frac=0.5)
    zero = np.zeros((1, scenario.n_groups))
    seen = []
    for _ in range(steps):
        seen.append(sites.observe().tobytes())
        seen.append(sites.step(zero).record[:, SETPOINT].tobytes())
    return seen


def assert_blind(scenario: Scenario, seed: int) -> None:
    rng = np.random.default_rng(seed)
    per_day = scenario.slots_per_day
    for row in rng.integers(scenario.first_row, scenario.n_rows - 1, INSTANTS):
        for first in (max(scenario.first_row, row - per_day // 2), row):
            played = bool(first < row)
            trace = poisoned(scenario.site, scenario.trace, int(row), rng, played=played)
            other = build_scenario(scenario.site, trace)
            assert (other.market != scenario.market).any()
            before, after = (seen_by_play(s, int(first), int(row)) for s in (scenario, other))
            assert before == after, (
                f"row {row} opened at {first}: {differing(scenario, before, after)}"
            )


def differing(scenario: Scenario, before: list[bytes], after: list[bytes]) -> str:
    """Return where two plays differ first: which features, or the setpoint."""
    k = next(k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    if k % 2:
        return f"setpoint of step {k // 2}"
    first, second = (np.frombuffer(x, dtype=np.float32) for x in (before[k], after[k]))
    names = [f.name for f, a, b in zip(scenario.features, first, second, strict=True) if a != b]
    return f"step {k // 2}: {', '.join(names)}"


@pytest.mark.parametrize("name", scenario_names())
def test_no_scenario_sees_what_is_not_known_yet(name: str) -> None:
    assert_blind(open_named_scenario(name, days=DAYS), seed=11)


def everything(
    *, timezone: str, currency: str, first_day: str, seed: int, gate_h: float = 9.0,
    price_known: str = "published", programs: dict[str, object] | None = None,
) -> Scenario:  # fmt: skip
    """Return a site with every tariff block that goes with a balancing contract, and programs."""
    real_time = price_known != "published"
    tariff = {
        "contract": "balancing",
        "balancing": {"gate_closure_local_hour": gate_h},
        "settles_at": "real_time_price_per_kwh" if real_time else "price_per_kwh",
        "price_known": price_known,
        "price_delay_s": 600 if price_known == "lagged" else 0,
        "demand_charge": {"per_kw_month": 400.0, "metering_period_s": 3600},
        "coincident_peaks": [
            {"name": "p", "per_kw_year": 9.0, "months": [3, 10], "interval_s": 3600}
        ],
        "behind_meter_pv": {"export_price_per_kwh": 0.01},
        "surplus_quota_kwh_per_day": 4000.0,
        "carbon_price_per_t": 30.0,
        "time_of_use": {
            "replaces": "nothing",
            "bands": [{"from_hour": 8, "to_hour": 20, "days": "weekdays", "price_per_kwh": 0.01}],
        },
    }
    site = bench_site(
        currency=currency, timezone=timezone, period_s=1800, interval_s=900, tariff=tariff,
        programs=programs or {},
        observation={"forecast_h": [1.0, 24.0], "price_history_h": [0.5, 3.0]},
    )  # fmt: skip
    scale = 10.0 if currency == "JPY" else 0.1
    template = bench_trace(site, first_day=first_day, days=14, prices=scale)
    rng = np.random.default_rng(seed)
    n = template.n_rows
    span = np.arange(n) // 4

    def events() -> npt.NDArray[np.float64]:
        return np.repeat(rng.random(n // 4 + 1) < 0.2, 4)[:n].astype(float)

    # Calls are known an hour before the next hour; figures of the market late.
    hourly = template.starts[np.minimum(span * 4, n - 1)] - pd.Timedelta(hours=1)
    columns = {
        "price_per_kwh": rng.uniform(-0.5, 2.0, n) * scale,
        "real_time_price_per_kwh": rng.uniform(-0.5, 2.0, n) * scale,
        "surplus_frac": rng.uniform(0, 1, n) * (rng.random(n) < 0.5),
        "behind_meter_pv_frac": rng.uniform(0, 1.2, n) * (rng.random(n) < 0.5),
        "outdoor_temp_c": rng.uniform(-5, 35, n),
        "hashprice_usd_per_phs_day": rng.uniform(30, 60, n),
        "carbon_g_per_kwh": rng.uniform(100, 800, n),
        "demand_kw": rng.uniform(5e6, 9e6, n),
        "imbalance_shortage_price_per_kwh": rng.uniform(1, 3, n) * scale,
        "imbalance_surplus_price_per_kwh": rng.uniform(0, 1, n) * scale,
        "dr_down_call": events(),
        "dr_up_call": events(),
        "pause_order": events(),
        "base_point_frac": rng.uniform(0, 1, n),
        "ancillary_price_per_kw_h": rng.uniform(0, 1, n) * scale,
        "ancillary_deployed_frac": rng.uniform(0, 1, n) * (rng.random(n) < 0.2),
    }
    known = {name: hourly for name in ("dr_down_call", "dr_up_call", "pause_order")}
    known["base_point_frac"] = template.starts
    known["ancillary_price_per_kw_h"] = template.starts
    late = template.starts + pd.Timedelta(hours=3)
    known |= {name: late for name in columns if name.startswith("imbalance")}
    known["demand_kw"] = template.starts + pd.Timedelta(minutes=35)
    known["price_per_kwh"] = template.available_at["price_per_kwh"]
    return build_scenario(site, template.with_columns(columns, available_at=known))


CALLS: dict[str, object] = {
    "demand_reduction": {"committed_kw": 300.0, "energy_pay_per_kwh": 4.0, "penalty_per_kwh": 9.0},
    "demand_increase": {"pay_per_kwh": 3.0, "max_kw": 200.0},
    "pause_orders": {"pause_power_kw": 100.0},
    "ancillary": {"held_kw": 200.0, "shortfall_penalty_per_kw_h": 1.0},
}
BASE: dict[str, object] = {"base_point": {"penalty_per_kwh": 1.0}}


@pytest.mark.parametrize("price_known", ["published", "lagged", "current"])
@pytest.mark.parametrize("programs", [CALLS, BASE], ids=["calls", "base point"])
@pytest.mark.parametrize(
    ("timezone", "currency", "first_day", "gate_h"),
    [
        ("Asia/Tokyo", "JPY", "2024-10-01", 9.0),
        ("Europe/Berlin", "EUR", "2024-10-19", 14.25),
        ("Europe/Berlin", "EUR", "2024-03-23", 2.0),
        ("America/Chicago", "USD", "2024-10-27", 0.0),
    ],
)
def test_no_block_sees_what_is_not_known_yet(
    timezone: str,
    currency: str,
    first_day: str,
    gate_h: float,
    programs: dict[str, object],
    price_known: str,
) -> None:
    """Also over the days of 23 and 25 hours, with late readings and a gate at odd times."""
    scenario = everything(
        timezone=timezone, currency=currency, first_day=first_day, seed=3, gate_h=gate_h,
        price_known=price_known, programs=programs,
    )  # fmt: skip
    assert_blind(scenario, seed=5)
