"""Long random play with every block: nothing lost, nothing paid twice, all bills reckoned anew.

1,000,000 steps by 500 sites at random places, under both contracts and two kinds of action; and a
year of half-hours of one site, whose bills are reckoned from recorded power by NumPy and pandas
alone.
"""

from collections.abc import Callable
from typing import Any

import jpholiday
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import PAUSE, PRICE
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.scenario import Scenario, build_scenario
from tests.envs.bench import SIGNS, bench_trace
from tests.envs.conftest import edited

Floats = npt.NDArray[np.float64]
RandomPlay = Callable[[ActionKind, tuple[int, int], int], Callable[[], Floats]]
ZONE = "Asia/Tokyo"

PEAKS = [
    {"name": "t", "per_kw_year": 9000.0, "months": [6, 7, 8, 9], "interval_s": 3600},
    {
        "name": "c",
        "ledger_line": "capacity",
        "per_kw_year": 4000.0,
        "months": [1, 2, 12],
        "peaks_per_month": 3,
        "interval_s": 1800,
    },
]
TARIFF: dict[str, Any] = {
    "demand_charge": {"per_kw_month": 420.0, "power_factor": 0.97, "peak_before_kw": 2000.0},
    "coincident_peaks": PEAKS,
    "behind_meter_pv": {"cost_per_kwh": 0.5, "export_price_per_kwh": 6.0},
    "capacity_contribution": {"per_kw_month": 100.0},
    "surplus_quota_kwh_per_day": 9000.0,
    "renewable_levy_per_kwh": 4.18,
    "carbon_price_per_t": 3000.0,
    "time_of_use": {
        "replaces": "nothing",
        "bands": [{"from_hour": 8, "to_hour": 22, "days": "weekdays", "price_per_kwh": 1.5}],
    },
}
BALANCING = {"contract": "balancing", "balancing": {"bias_limit_frac": 0.05}}
BLOCK = {"power_purchase": {"volume_kw": 1500.0, "price_per_kwh": 9.0, "resale_fee_per_kwh": 0.5}}
CALLS: dict[str, Any] = {
    "demand_reduction": {
        "committed_kw": 1000.0,
        "capacity_pay_per_kw_month": 400.0,
        "energy_pay_per_kwh": 10.0,
        "penalty_per_kwh": 60.0,
        "baseline_limit": "none",
    },
    "demand_increase": {"pay_per_kwh": 3.0, "max_kw": 2000.0},
    "pause_orders": {"pause_power_kw": 300.0, "pay_per_h": 100.0, "penalty_per_kwh": 50.0},
    "ancillary": {"held_kw": 500.0, "shortfall_penalty_per_kw_h": 30.0},
}
BASE: dict[str, Any] = {
    "pause_orders": CALLS["pause_orders"],
    "base_point": {"penalty_per_kwh": 30.0},
}


def runs(rng: np.random.Generator, n: int, length: int, share: float) -> Floats:
    return np.repeat((rng.random(n // length + 1) < share).astype(float), length)[:n]


def busy_year(site: SiteConfig, days: int, seed: int) -> Trace:
    """Return random prices, weather, orders and calls, all within what is plausible."""
    template = bench_trace(site, first_day="2024-04-01", days=days)
    rng = np.random.default_rng(seed)
    n = template.n_rows
    called = runs(rng, n, 6, 0.02) * (np.asarray(template.starts.hour) < 9)
    columns = {
        "price_per_kwh": rng.uniform(-2.0, 25.0, n),
        "surplus_frac": rng.uniform(0, 1, n) * runs(rng, n, 8, 0.3),
        "behind_meter_pv_frac": rng.uniform(0, 1.2, n) * runs(rng, n, 12, 0.4),
        "outdoor_temp_c": rng.uniform(-10, 38, n),
        "hashprice_usd_per_phs_day": rng.uniform(25, 65, n),
        "currency_per_usd": rng.uniform(120, 170, n),
        "carbon_g_per_kwh": rng.uniform(200, 700, n),
        "demand_kw": rng.uniform(6e6, 15e6, n),
        "imbalance_shortage_price_per_kwh": rng.uniform(5, 40, n),
        "imbalance_surplus_price_per_kwh": rng.uniform(0, 12, n),
        "dr_down_call": called,
        "dr_up_call": runs(rng, n, 4, 0.03),
        "pause_order": runs(rng, n, 5, 0.02),
        "base_point_frac": rng.uniform(0, 1, n),
        "ancillary_price_per_kw_h": rng.uniform(0, 3, n),
        "ancillary_deployed_frac": runs(rng, n, 2, 0.05),
    }
    known = dict.fromkeys(LATE, template.starts)
    # A call is announced whole, so that its hours say which day the baseline leaves out.
    known["dr_down_call"] = template.starts - pd.Timedelta(days=1)
    return template.with_columns(columns, available_at=known)


LATE = (
    "imbalance_shortage_price_per_kwh",
    "imbalance_surplus_price_per_kwh",
    "dr_down_call",
    "dr_up_call",
    "pause_order",
    "base_point_frac",
    "ancillary_price_per_kw_h",
)


def busy_site(programs: dict[str, Any], tariff: dict[str, Any], **changes: Any) -> SiteConfig:
    japan = load_site("japan_pilot")
    return edited(
        japan, {"use_work_levels": True, "tariff": tariff, "programs": programs} | changes
    )


def scenario_of(kind: str, days: int, seed: int) -> Scenario:
    contract = BLOCK if kind == "base point" else BALANCING
    site = busy_site(BASE if kind == "base point" else CALLS, TARIFF | contract)
    return build_scenario(site, busy_year(site, days, seed))


def assert_step_holds(scenario: Scenario, sites: BatchedSite, rows: npt.NDArray[np.int64]) -> None:
    """Check what must hold in every interval of every site."""
    output, market = sites.output, scenario.market[rows]
    terms = dict(zip(LEDGER_NAMES, output.ledger.T, strict=True))
    record = dict(zip(RECORD, output.record.T, strict=True))
    tariff, contract_kw = scenario.site.tariff, scenario.site.limits.contract_power_kw
    hours = scenario.site.dispatch_interval_s / 3600.0
    for array in (output.observation, output.ledger, output.record, output.reward):
        assert np.isfinite(array).all()
    low, high = scenario.bounds.T
    assert ((output.observation >= low) & (output.observation <= high)).all()
    assert output.ledger @ SIGNS == pytest.approx(output.profit, rel=1e-12, abs=1e-6)
    # Every kWh comes from one source and is paid once.
    site_kw, import_kw = record["site_kw"], record["import_kw"]
    sources = record["pv_used_kw"] + record["surplus_used_kw"] + import_kw
    assert sources == pytest.approx(site_kw, abs=1e-6)
    for name in ("pv_used_kw", "surplus_used_kw", "import_kw"):
        assert (record[name] >= 0.0).all()
    assert terms["levy_cost"] == pytest.approx(import_kw * hours * 4.18, abs=1e-6)
    assert terms["pv_cost"] == pytest.approx(record["pv_used_kw"] * hours * 0.5, abs=1e-6)
    if tariff.power_purchase is not None:
        block_kw = np.minimum(import_kw, 1500.0)
        spot = (import_kw - block_kw) * hours * market[:, PRICE]
        assert terms["import_energy_cost"] == pytest.approx(spot, abs=1e-6)
        resold = (1500.0 - block_kw) * hours * np.maximum(market[:, PRICE] - 0.5, 0.0)
        assert terms["resale_revenue"] == pytest.approx(resold, abs=1e-6)
    # Limits: contract, pause, rigs.
    assert site_kw.max() <= contract_kw + 1e-6
    paused = market[:, PAUSE] > 0.0
    assert (record["setpoint_kw"][paused] <= scenario.programs.pause_rig_cap_kw + 1e-9).all()
    assert (record["pause_excess_kw"][paused] <= 1e-6).all()
    # Each term that can only cost or only earn is not negative.
    either = ("import_energy_cost", "imbalance_cost", "surplus_energy_cost")
    for name, amounts in terms.items():
        if name not in either:
            assert (amounts >= -1e-9).all(), name


@pytest.mark.parametrize("kind", ["balancing", "base point"])
@pytest.mark.parametrize("action_kind", [ActionKind.SHADOW_PRICE, ActionKind.POWER])
def test_a_quarter_of_a_million_random_steps_break_nothing(
    random_play: RandomPlay, kind: str, action_kind: ActionKind
) -> None:
    scenario = scenario_of(kind, 40, seed=7)
    n_sites, n_steps = 500, 500
    rules = EpisodeRules(episode_days=n_steps / 288.0, action_kind=action_kind)
    sites = BatchedSite(scenario, n_sites, rules)
    sites.draw_starts(np.arange(n_sites), np.random.default_rng(5))
    next_action = random_play(action_kind, (n_sites, scenario.n_groups), 6)
    n_rigs = scenario.params.n_rigs
    for k in range(n_steps):
        rows = sites.state.row.copy()
        sites.step(next_action())
        if k % 5 == 0:
            assert_step_holds(scenario, sites, rows)
    rigs = sites.state.up.sum(2) + sites.state.down.sum(2) + sites.state.broken
    assert np.abs(rigs - n_rigs).max() < 1e-9
    assert np.isfinite(sites.accounts.value).all()


@pytest.fixture(scope="module")
def year(random_play: RandomPlay) -> tuple[Scenario, pd.DataFrame]:
    """Return a year of half-hours of one site under a balancing contract, all blocks on."""
    site = busy_site(
        CALLS, TARIFF | BALANCING,
        dispatch_interval_s=1800,
        **{"groups.*.boot_s": 0.0, "groups.*.warm_up_s": 0.0},
    )  # fmt: skip
    scenario = build_scenario(site, busy_year(site, 365, seed=1))
    n_steps = scenario.n_rows - scenario.first_row
    sites = BatchedSite(
        scenario, 1, EpisodeRules(episode_days=n_steps / 48, action_kind=ActionKind.POWER)
    )
    sites.start_at(scenario.first_row)
    next_action = random_play(ActionKind.POWER, (1, 4), 9)
    made = np.zeros((n_steps, len(RECORD) + len(LEDGER_NAMES)))
    for k in range(n_steps):
        output = sites.step(next_action())
        made[k] = np.concatenate([output.record[0], output.ledger[0]])
    local = scenario.trace.starts[scenario.first_row :].tz_convert(ZONE)
    played = pd.DataFrame(made, columns=[*RECORD, *LEDGER_NAMES], index=local)
    return scenario, played


def months_of(series: pd.DataFrame | pd.Series) -> npt.NDArray[np.str_]:
    return np.asarray(pd.DatetimeIndex(series.index).strftime("%Y-%m"), dtype=str)


def test_demand_charge_of_a_year_from_recorded_power(
    year: tuple[Scenario, pd.DataFrame],
) -> None:
    """420 x (1 + 0.85 - 0.97) = 369.6 JPY/kW on the highest of 12 months; 2,000 kW before."""
    _, played = year
    metered = played["site_kw"] - played["pv_used_kw"]
    peaks = metered.groupby(months_of(metered)).max()
    billed = peaks.expanding().max().clip(lower=2000.0)
    charged = played["demand_charge"].groupby(months_of(played)).sum()
    # The first month was under way: only what exceeds the 2,000 kW of before is booked.
    expected = billed * 369.6
    expected.iloc[0] -= 2000.0 * 369.6

    assert len(peaks) == 12
    assert charged.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-9)


@pytest.mark.parametrize(
    ("line", "months", "span_h", "count", "rate"),
    [
        ("transmission_peak_cost", (6, 7, 8, 9), 1.0, 1, 9000.0 / 4),
        ("capacity_peak_cost", (1, 2, 12), 0.5, 3, 4000.0 / 9),
    ],
)
def test_coincident_peaks_of_a_year_from_recorded_power(
    year: tuple[Scenario, pd.DataFrame],
    line: str,
    months: tuple[int, ...],
    span_h: float,
    count: int,
    rate: float,
) -> None:
    scenario, played = year
    local = scenario.trace.starts.tz_convert(ZONE)
    span = pd.Timedelta(hours=span_h)
    demand = pd.DataFrame({"kw": scenario.trace.column("demand_kw")}, index=local)
    demand = demand.resample(span).mean()
    metered = (played["site_kw"] - played["pv_used_kw"]).resample(span).mean()
    expected = 0.0
    for month in months:
        highest = demand[pd.DatetimeIndex(demand.index).month == month].nlargest(count, "kw").index
        expected += float(metered[highest].sum()) * rate

    assert played[line].sum() == pytest.approx(expected, rel=1e-9)


def test_imbalance_and_bias_of_a_year_from_recorded_power(
    year: tuple[Scenario, pd.DataFrame],
) -> None:
    """Spot on the plan, imbalance price on the rest; 5 % of a month's plan is tolerated."""
    scenario, played = year
    first = scenario.first_row
    columns = {name: scenario.trace.column(str(name))[first:] for name in scenario.trace.frame}
    planned = played["nominated_kw"] * 0.5
    deviation = played["import_kw"] * 0.5 - planned
    price = np.where(
        deviation >= 0,
        columns["imbalance_shortage_price_per_kwh"],
        columns["imbalance_surplus_price_per_kwh"],
    )
    assert played["imbalance_cost"].sum() == pytest.approx(float((deviation * price).sum()))
    spot = float((planned * columns["price_per_kwh"]).sum())
    assert played["import_energy_cost"].sum() == pytest.approx(spot)
    months = months_of(played)
    net, plan = deviation.groupby(months).sum(), planned.groupby(months).sum()
    excess = (net.abs() - 0.05 * plan).clip(lower=0.0)
    assert excess.max() > 0.0
    bias = played["bias_penalty"].groupby(months).sum()
    assert bias.to_numpy() == pytest.approx(excess.to_numpy() * 10.0)


def test_baselines_and_calls_of_a_year_from_recorded_power(
    year: tuple[Scenario, pd.DataFrame],
) -> None:
    """High 4 of 5 over the whole year, by a table of days and slots; pay and fine from it.

    Where a pause order of the utility holds, the call is neither paid nor fined.
    """
    scenario, played = year
    first = scenario.first_row
    free = (scenario.trace.column("pause_order")[first:] <= 0.0).astype(float)
    metered = (played["site_kw"] - played["pv_used_kw"]).to_numpy().reshape(-1, 48)
    calls = (scenario.trace.column("dr_down_call")[first:] > 0.0).reshape(-1, 48)
    days = pd.DatetimeIndex(played.index[::48])
    good = [
        bool(day.day_of_week < 5 and not jpholiday.is_holiday(day.date()) and not called.any())
        for day, called in zip(days, calls, strict=True)
    ]
    pay = fine = 0.0
    checked = 0
    for d in np.flatnonzero(calls.any(axis=1)):
        past = [k for k in range(d - 1, -1, -1) if good[k]][:5]
        if len(past) < 5:
            continue
        slots = np.flatnonzero(calls[d])
        if (np.diff(slots) > 1).any():
            starts = np.split(slots, np.flatnonzero(np.diff(slots) > 1) + 1)
        else:
            starts = [slots]
        for own in starts:
            history = metered[past][:, own]
            kept = np.delete(history, history.sum(axis=1).argmin(), axis=0)
            delivered = np.clip(kept.mean(axis=0) - metered[d, own], 0.0, 1000.0)
            at = d * 48 + own
            booked = played["reduction_energy_pay"].to_numpy()[at]
            assert booked == pytest.approx(free[at] * delivered * 0.5 * 10.0, abs=1e-6)
            missing = np.maximum(900.0 - delivered, 0.0)
            fined = played["reduction_penalty"].to_numpy()[at]
            assert fined == pytest.approx(free[at] * missing * 0.5 * 60.0, abs=1e-6)
            pay, fine, checked = pay + booked.sum(), fine + fined.sum(), checked + own.size
    assert checked > 60
    assert pay > 0.0
    assert fine > 0.0


def test_surplus_of_each_day_stays_within_its_quota(
    year: tuple[Scenario, pd.DataFrame],
) -> None:
    _, played = year
    used = (played["surplus_used_kw"] * 0.5).groupby(pd.DatetimeIndex(played.index).date).sum()

    assert used.max() == pytest.approx(9000.0)
