"""Each metric on a day or two whose numbers are written down by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.envs import columns as c
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario
from gridhash.training import metrics_fleet as fleet
from gridhash.training import metrics_grid as grid
from gridhash.training import metrics_money as money
from gridhash.training.metrics import GROUPS, METRICS, mean_of, metrics_of
from gridhash.training.play import PolicyRun
from gridhash.training.played import Played, Timing

Make = Callable[..., Played]


def _played(scenario: Scenario, days: int = 2, liability: float = 0.0, **columns: Any) -> Played:
    """Return a play of some days from the first local midnight; columns not given are zero."""
    local = scenario.trace.starts.tz_convert(scenario.site.timezone)
    midnights = np.flatnonzero((local.hour == 0) & (local.minute == 0))
    first = int(midnights[midnights >= scenario.first_row][0])
    n_steps = days * scenario.slots_per_day * scenario.steps_per_row
    names = ["price_per_kwh", "surplus_kw", "profit", *LEDGER_NAMES, *RECORD]
    names += [f"chip_temp_c_{group.name}" for group in scenario.site.groups]
    values = {name: np.zeros(n_steps) for name in names}
    for name, value in columns.items():
        assert name in values
        values[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), n_steps).copy()
    index = pd.date_range(
        scenario.trace.starts[first],
        periods=n_steps,
        freq=f"{scenario.site.dispatch_interval_s}s",
        name="start",
    )
    run = PolicyRun(name="hand", frame=pd.DataFrame(values, index=index), liability=liability)
    return Played(scenario=scenario, run=run)


def _with_market(scenario: Scenario, column: int, rows: slice, value: float) -> Scenario:
    """Return the scenario with a market column set to `value` in rows of the play, else zero."""
    first = scenario.row_at(pd.Timestamp(_played(scenario).frame.index[0]))
    market = scenario.market.copy()
    market[:, column] = 0.0
    market[first + rows.start : first + rows.stop, column] = value
    return replace(scenario, exogenous=scenario.exogenous._replace(market=market))


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario("JapanPilot", years=1, days=5)


@pytest.fixture(scope="module")
def base_points() -> Scenario:
    return open_named_scenario("BasePoint", years=1, days=5)


@pytest.fixture(scope="module")
def ercot() -> Scenario:
    return open_named_scenario("RealTimeErcot", years=1, days=5)


def test_profit_charges_what_is_left_to_be_paid_and_fixed_charges_stand_apart(
    pilot: Scenario,
) -> None:
    played = _played(pilot, liability=70.0, profit=1.0, demand_charge=[500.0, *[0.0] * 575])

    assert money.ledger_profit(played) == 576.0
    assert money.remaining_liability(played) == 70.0
    assert money.profit(played) == 506.0
    assert money.fixed_charges(played) == 500.0
    assert money.operating_profit(played) == 1076.0
    per_mw_year = 506.0 / (pilot.site.max_rig_kw / 1000.0) * 8760.0 / 48.0
    assert money.profit_per_mw_year(played) == pytest.approx(per_mw_year)


def test_uplift_is_nothing_for_always_on_and_all_for_the_bound(scenario: Scenario) -> None:
    played = replace(_played(scenario, profit=1.0), always_on=376.0, bound=776.0)

    assert money.uplift_frac(played) == pytest.approx(0.5)
    assert money.regret(played) == pytest.approx(200.0)
    assert money.uplift_frac(replace(played, always_on=576.0)) == pytest.approx(0.0)
    assert money.uplift_frac(replace(played, bound=576.0)) == pytest.approx(1.0)
    assert money.uplift_frac(replace(played, bound=376.0)) is None
    assert money.regret(replace(played, bound=None)) is None


def test_what_is_paid_per_kwh_holds_every_line_of_energy(scenario: Scenario) -> None:
    lines: dict[str, Any] = dict.fromkeys(money.ENERGY_COSTS, 2.0)
    played = _played(scenario, site_kw=1200.0, resale_revenue=1.0, start_wear_cost=9.0, **lines)

    # 1,200 kW for five minutes are 100 kWh.
    assert money.energy_bill(played) == pytest.approx(576 * 15.0)
    assert money.effective_price_per_kwh(played) == pytest.approx(15.0 / 100.0)
    assert money.effective_price_per_kwh(_played(scenario)) is None


def test_the_capture_price_weighs_prices_by_load(scenario: Scenario) -> None:
    price = np.repeat([10.0, 30.0], 288)

    always = _played(scenario, price_per_kwh=price, site_kw=500.0)
    first_day = _played(scenario, price_per_kwh=price, site_kw=np.repeat([500.0, 0.0], 288))

    assert money.capture_price_ratio(always) == pytest.approx(1.0)
    assert money.capture_price_ratio(first_day) == pytest.approx(0.5)
    assert money.capture_price_ratio(_played(scenario, price_per_kwh=price)) is None


def test_risk_is_that_of_local_days(scenario: Scenario) -> None:
    by_day = np.array([3.0, -1.0, -2.0, 4.0, 5.0, 5.0])
    played = _played(scenario, days=6, profit=np.repeat(by_day, 288))

    days = 288.0 * by_day
    assert played.daily == pytest.approx(days)
    assert money.daily_deviation(played) == pytest.approx(days.std())
    assert money.cvar_day(played) == pytest.approx(-576.0)
    assert money.max_drawdown(played) == pytest.approx(3.0 * 288.0)
    assert money.worst_month(played) == pytest.approx(days.sum())


def test_the_worst_twentieth_of_sixty_days_are_three(scenario: Scenario) -> None:
    by_day = np.random.default_rng(0).permutation(60).astype(np.float64)

    played = _played(scenario, days=60, profit=np.repeat(by_day / 288.0, 288))

    assert money.cvar_day(played) == pytest.approx(np.mean([0, 1, 2]))


def test_energy_hashes_and_loads_are_means_over_time(scenario: Scenario) -> None:
    half = np.repeat([1.0, 0.0], 288)
    played = _played(
        scenario,
        site_kw=1100.0 * half,
        rig_kw=1000.0 * half,
        hashrate_phs=50.0 * half,
        surplus_used_kw=100.0 * half,
        pv_used_kw=200.0 * half,
        rigs_started=np.eye(1, 576).ravel() * scenario.site.n_rigs * 0.25,
    )

    assert fleet.energy_mwh(played) == pytest.approx(26.4)
    assert fleet.import_mwh(played) == pytest.approx(19.2)
    assert fleet.pue(played) == pytest.approx(1.1)
    assert fleet.hash_phs_day(played) == pytest.approx(50.0)
    assert fleet.efficiency_j_per_th(played) == pytest.approx(20.0)
    assert fleet.load_frac(played) == pytest.approx(500.0 / scenario.site.max_rig_kw)
    assert fleet.hashing_frac(played) == 0.5
    assert fleet.fleet_starts(played) == pytest.approx(0.25)
    assert (fleet.pue(_played(scenario)), fleet.efficiency_j_per_th(_played(scenario))) == (
        None,
        None,
    )


def test_minutes_over_temperature_count_any_group_once(scenario: Scenario) -> None:
    limit_c = scenario.site.groups[0].cooling.chip_derate_c
    first, second = (f"chip_temp_c_{group.name}" for group in scenario.site.groups[:2])
    hot = np.zeros(576)
    hot[10:14] = limit_c + 3.0
    groups: dict[str, Any] = {first: hot, second: np.roll(hot, 2)}
    played = _played(
        scenario,
        tripped_groups=np.eye(1, 576).ravel() * 2.0,
        cold_groups=np.repeat([1.0, 0.0], [6, 570]),
        **groups,
    )

    assert fleet.over_temperature_min(played) == pytest.approx(30.0)
    assert fleet.max_chip_temp_c(played) == limit_c + 3.0
    assert fleet.tripped_min(played) == pytest.approx(5.0)
    assert fleet.cold_min(played) == pytest.approx(30.0)


def test_a_stop_of_all_rigs_once_a_day_is_a_deep_cycle_a_day(scenario: Scenario) -> None:
    chips: dict[str, Any] = {
        f"chip_temp_c_{group.name}": np.tile(np.repeat([70.0, 30.0], 144), 10)
        for group in scenario.site.groups
    }

    played = _played(scenario, days=10, **chips)

    assert fleet.deep_cycles_per_year(played) == pytest.approx(365.0, rel=0.06)
    assert fleet.wear_cycles_per_year(played) > 0.0


def test_decision_times_are_those_that_were_measured(scenario: Scenario) -> None:
    played = replace(_played(scenario), timing=Timing(median_us=5.0, p99_us=9.0))

    assert (fleet.decision_us(played), fleet.decision_p99_us(played)) == (5.0, 9.0)
    assert fleet.decision_us(_played(scenario)) is None


def test_surplus_beyond_contract_power_cannot_be_captured(pilot: Scenario) -> None:
    contract_kw = pilot.site.limits.contract_power_kw
    surplus = np.repeat([2.0 * contract_kw, 0.0], 288)

    played = _played(
        pilot, surplus_kw=surplus, surplus_used_kw=np.repeat([0.5 * contract_kw, 0.0], 288)
    )

    assert grid.surplus_captured_frac(played) == pytest.approx(0.5)
    assert grid.avoided_curtailment_mwh(played) == pytest.approx(12.0 * contract_kw / 1000.0)
    assert grid.surplus_captured_frac(_played(pilot)) is None


def test_a_call_is_met_from_its_tolerated_part_on(pilot: Scenario) -> None:
    called = _with_market(pilot, c.REDUCTION_CALL, slice(10, 16), 1.0)
    called = _with_market(called, c.PAUSE, slice(0, 0), 0.0)
    due_kwh = 3.0 * called.programs.committed_kw

    def delivering(share: float) -> Played:
        return _played(called, delivered_kwh=np.eye(1, 576, 70).ravel() * share * due_kwh)

    assert called.programs.reduction_tolerance_frac == 0.9
    assert grid.calls_met_frac(delivering(0.9)) == 1.0
    assert grid.calls_met_frac(delivering(0.89)) == 0.0
    assert grid.call_delivery_frac(delivering(0.89)) == pytest.approx(0.89)
    assert grid.calls_met_frac(_played(pilot)) is None


def test_a_call_under_a_pause_order_is_not_counted(pilot: Scenario) -> None:
    called = _with_market(pilot, c.REDUCTION_CALL, slice(10, 16), 1.0)
    called = _with_market(called, c.PAUSE, slice(8, 16), 1.0)

    assert grid.calls_met_frac(_played(called)) is None


def test_pauses_are_met_while_the_site_stays_below_their_power(pilot: Scenario) -> None:
    paused = _with_market(pilot, c.PAUSE, slice(4, 6), 1.0)
    excess = np.zeros(576)
    excess[4 * 6 : 4 * 6 + 3] = 50.0

    assert grid.pauses_met_frac(_played(paused, pause_excess_kw=excess)) == pytest.approx(0.75)
    assert grid.pauses_met_frac(_played(_with_market(pilot, c.PAUSE, slice(0, 0), 0.0))) is None


def test_base_points_are_met_within_the_tolerance(base_points: Scenario) -> None:
    excess = np.repeat([0.0, 10.0], [432, 144])

    played = _played(
        base_points,
        base_point_excess_kw=excess,
        base_point_market_excess_kw=np.repeat([0.0, 5.0], [504, 72]),
        base_point_deviation_kw=np.tile([-45.0, 45.0], 288),
    )

    assert grid.base_points_met_frac(played) == pytest.approx(0.75)
    assert grid.base_points_market_met_frac(played) == pytest.approx(0.875)
    deviation = grid.base_point_deviation_frac(played)
    assert deviation == pytest.approx(45.0 / base_points.site.max_rig_kw)


def test_held_capacity_is_judged_while_it_is_deployed(ercot: Scenario) -> None:
    deployed = _with_market(ercot, c.DEPLOYED, slice(0, 8), 1.0)
    steps = ercot.steps_per_row
    played = _played(
        deployed, held_missing_kw=np.where(np.arange(2 * 96 * steps) < 2 * steps, 5.0, 0.0)
    )

    assert grid.held_met_frac(played) == pytest.approx(0.75)


def test_coincident_peaks_count_by_what_they_cost(ercot: Scenario) -> None:
    peaks = _with_market(ercot, c.TRANSMISSION_WEIGHT, slice(10, 11), 8.0)
    peaks = _with_market(peaks, c.CAPACITY_WEIGHT, slice(0, 0), 0.0)
    steps = ercot.steps_per_row
    load = np.zeros(2 * 96 * steps)
    load[10 * steps : 11 * steps] = ercot.site.max_rig_kw

    assert grid.coincident_peak_frac(_played(peaks, site_kw=load)) == pytest.approx(1.0)
    assert grid.coincident_peak_frac(_played(peaks, site_kw=load.max() - load)) == 0.0
    played = _played(peaks, transmission_peak_cost=np.eye(1, load.size).ravel() * 7.0)
    assert grid.coincident_peak_cost(played) == 7.0


def test_the_highest_demand_is_a_mean_over_the_metering_period(pilot: Scenario) -> None:
    load = np.zeros(576)
    load[12:18] = [0.0, 0.0, 0.0, 600.0, 600.0, 600.0]

    assert pilot.site.tariff.metering_period_s == 1800
    assert grid.max_demand_kw(_played(pilot, site_kw=load)) == pytest.approx(300.0)
    assert grid.max_demand_kw(_played(pilot, site_kw=load, pv_used_kw=0.5 * load)) == pytest.approx(
        150.0
    )


def test_marginal_carbon_is_free_while_renewables_are_curtailed(pilot: Scenario) -> None:
    played = _played(
        pilot,
        site_kw=1000.0,
        surplus_kw=np.repeat([800.0, 0.0], 288),
        surplus_used_kw=np.repeat([800.0, 0.0], 288),
        hashrate_phs=60.0,
    )
    known = replace(played, carbon_g_per_kwh=400.0)

    # 0.2 MW and 1 MW for a day each, at 0.4 t/MWh.
    assert grid.co2_average_t(known) == pytest.approx(24.0 * 1.2 * 0.4)
    assert grid.co2_marginal_t(known) == pytest.approx(24.0 * 0.4)
    per_ph = 24.0 * 1.2 * 0.4 * 1e6 / (60.0 * 48.0 * 3600.0)
    assert grid.co2_g_per_ph(known) == pytest.approx(per_ph)
    assert grid.co2_average_t(played) is None


def test_pay_and_penalties_add_up_all_programs(pilot: Scenario, scenario: Scenario) -> None:
    lines: dict[str, Any] = dict.fromkeys((*grid.PAYMENTS, *grid.PENALTIES), 1.0)
    played = _played(pilot, **lines)

    assert grid.program_pay(played) == 5 * 576.0
    assert grid.program_penalty(played) == 4 * 576.0
    assert grid.program_pay(_played(scenario)) is None


def test_every_metric_has_a_name_of_its_own_and_a_definition() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert sum(len(group) for group in GROUPS.values()) == len(METRICS)
    for metric in METRICS:
        assert len(metric.definition) > 10
        assert "[" not in metric.definition
        assert metric.definition.endswith(".")


def test_all_metrics_are_computed_and_averaged_over_seeds(scenario: Scenario) -> None:
    first, second = (metrics_of(_played(scenario, profit=x, site_kw=1.0)) for x in (1.0, 3.0))
    second["co2_average_t"] = 5.0

    mean = mean_of([first, second])

    assert list(mean) == [metric.name for metric in METRICS]
    assert mean["profit"] == pytest.approx(2.0 * 576.0)
    assert mean["co2_average_t"] is None
