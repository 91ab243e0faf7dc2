"""Worked examples of every tariff, played through the kernel; the sums are in the docstrings.

The site is `tests.envs.bench`: 1,000 kW that hash for 10 JPY or 0.1 USD a kWh, nothing else.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.envs.columns import ADDER, PRICE
from gridhash.envs.scenario import Scenario
from gridhash.envs.tariff import (
    bias_excess_kwh,
    carbon_cost_per_kwh,
    cheaper_first_kw,
    demand_increment,
    imbalance_cost,
    power_purchase,
)
from gridhash.errors import ConfigError, DataError
from tests.envs.bench import bench, bench_site, on_rows, play

money = st.floats(-50, 200, allow_nan=False)
power = st.floats(0, 5000, allow_nan=False)


def at(scenario: Scenario, local: str) -> int:
    return scenario.row_at(pd.Timestamp(local, tz=scenario.site.timezone))


def test_indexed_price_with_adders_and_levy_in_japan() -> None:
    """500 kW for half an hour at 12.00 JPY, wheeling 1.30, levy 4.18.

    250 kWh: energy 250 x 12 = 3,000; adders 325; levy 1,045. Hashes 250 x 10 = 2,500.
    Profit 2,500 - 3,000 - 325 - 1,045 = -1,870 JPY.
    """
    site = bench_site(market={"adders_per_kwh": 1.3}, tariff={"renewable_levy_per_kwh": 4.18})
    played = play(bench(site, prices=12.0), 0.5, n_rows=1)

    assert played.total() == pytest.approx(
        {"hash_revenue": 2500, "import_energy_cost": 3000, "adder_cost": 325, "levy_cost": 1045}
    )
    assert played.profit.sum() == pytest.approx(-1870)


def test_indexed_price_with_adders_in_texas_goes_negative_too() -> None:
    """1,000 kW for a quarter of an hour is 250 kWh; delivery 0.005 USD.

    At 0.040 USD: 10.00 + 1.25, hashes 25.00: +13.75. At -0.030: -7.50 + 1.25: +31.25 USD.
    """
    site = bench_site(
        currency="USD",
        timezone="America/Chicago",
        period_s=900,
        market={"adders_per_kwh": 0.005},
        tariff={"renewable_levy_per_kwh": 1e-12},
    )
    prices = np.resize([0.040, -0.030], 2 * 96)
    played = play(bench(site, days=2, prices=prices), 1.0, n_rows=2)

    assert played.line("import_energy_cost") == pytest.approx([10.0, -7.5])
    assert played.line("adder_cost") == pytest.approx([1.25, 1.25])
    assert played.profit == pytest.approx([13.75, 31.25])


BANDS = [
    {"from_hour": 8, "to_hour": 22, "days": "weekdays", "price_per_kwh": 18.0},
    {"from_hour": 13, "to_hour": 16.5, "days": "weekdays", "months": [7, 8], "price_per_kwh": 22},
    {"from_hour": 10, "to_hour": 12, "days": "weekends", "price_per_kwh": 7.0},
]  # fmt: skip
BY_THE_CLOCK = (
    ("2024-07-12 07:30", 11.0),  # Friday before the band
    ("2024-07-12 08:00", 18.0),
    ("2024-07-12 13:00", 22.0),  # the last band that holds
    ("2024-07-12 16:00", 22.0),
    ("2024-07-12 16:30", 18.0),
    ("2024-07-12 21:30", 18.0),
    ("2024-07-12 22:00", 11.0),
    ("2024-07-13 13:00", 11.0),  # Saturday
    ("2024-07-13 10:00", 7.0),
    ("2024-07-15 13:00", 11.0),  # Monday, Marine Day
    ("2024-07-15 11:30", 7.0),
    ("2024-07-16 13:00", 22.0),
)


@pytest.mark.parametrize(("local", "price"), BY_THE_CLOCK)
def test_time_of_use_replaces_the_market(local: str, price: float) -> None:
    """1,000 kW for half an hour: 500 kWh at the band's price, whatever the market says."""
    tariff = {"time_of_use": {"bands": BANDS, "otherwise_per_kwh": 11.0}}
    scenario = bench(bench_site(tariff=tariff), first_day="2024-07-10", days=8, prices=33.0)
    played = play(scenario, 1.0, first_row=at(scenario, local), n_rows=1)

    assert played.total() == pytest.approx(
        {"hash_revenue": 5000, "import_energy_cost": 500 * price}
    )


@pytest.mark.parametrize(("local", "price"), BY_THE_CLOCK)
def test_time_of_use_is_added_to_the_market(local: str, price: float) -> None:
    """500 kWh at 9.00 on the market = 4,500; the band and 1.50 of adders on the adders' line."""
    tariff = {"time_of_use": {"bands": BANDS, "otherwise_per_kwh": 11.0, "replaces": "nothing"}}
    site = bench_site(market={"adders_per_kwh": 1.5}, tariff=tariff)
    scenario = bench(site, first_day="2024-07-10", days=8, prices=9.0)
    played = play(scenario, 1.0, first_row=at(scenario, local), n_rows=1)

    assert played.line("import_energy_cost").sum() == pytest.approx(4500)
    assert played.line("adder_cost").sum() == pytest.approx(500 * (price + 1.5))


def test_a_holiday_of_japan_is_a_weekday_in_texas_and_months_count() -> None:
    tariff = {"time_of_use": {"bands": BANDS, "otherwise_per_kwh": 11.0}}
    site = bench_site(currency="USD", timezone="America/Chicago", tariff=tariff)
    for day, price in (("2024-07-15", 22.0), ("2024-10-14", 18.0)):
        scenario = bench(site, first_day=day, days=2, prices=0.05)
        assert scenario.market[at(scenario, f"{day} 13:00"), PRICE] == price
        assert scenario.market[at(scenario, f"{day} 13:00"), ADDER] == 0.0


PURCHASE = {
    "power_purchase": {"volume_kw": 600.0, "price_per_kwh": 0.03, "resale_fee_per_kwh": 0.002}
}


@pytest.mark.parametrize(
    ("share", "price", "lines"),
    [
        # 400 of 600 kW used: 15 min of 200 kW resold at 0.500 - 0.002 USD.
        (0.4, 0.5, {"power_purchase_cost": 4.5, "resale_revenue": 24.9, "adder_cost": 0.5}),
        # All used, 400 kW more at spot: 100 kWh x 0.5.
        (1.0, 0.5, {"power_purchase_cost": 4.5, "import_energy_cost": 50.0, "adder_cost": 1.25}),
        # Nothing used at a negative price: nothing is sold below zero.
        (0.0, -0.1, {"power_purchase_cost": 4.5}),
        # The block comes first, the rest at the negative price: 100 kWh x -0.1.
        (1.0, -0.1, {"power_purchase_cost": 4.5, "import_energy_cost": -10.0, "adder_cost": 1.25}),
        # A price below the fee: nothing is sold.
        (0.0, 0.001, {"power_purchase_cost": 4.5}),
    ],
)
def test_power_purchase_with_resale(share: float, price: float, lines: dict[str, float]) -> None:
    """600 kW for 15 min at 0.03 USD cost 150 kWh x 0.03 = 4.50, used or not; adders 0.005."""
    site = bench_site(
        currency="USD",
        timezone="America/Chicago",
        period_s=900,
        market={"adders_per_kwh": 0.005},
        tariff=PURCHASE,
    )
    total = play(bench(site, days=2, prices=price), share, n_rows=1).total()
    total.pop("hash_revenue", None)

    assert total == pytest.approx(lines)


DEMAND = {
    "demand_charge": {
        "per_kw_month": 2000.0,
        "power_factor": 0.95,
        "peak_before_kw": 0.0,
    }
}


def months_of(played_starts: pd.DatetimeIndex) -> "pd.Index[int]":
    return played_starts.year * 12 + played_starts.month


def test_demand_charge_with_ratchet_and_power_factor_over_14_months() -> None:
    """2,000 JPY/kW at a power factor of 95 %: 10 points above 85 %, so 1,800 JPY/kW and month.

    The site draws 300 kW, and once, in month 1 (April 2024), 700 kW for half an hour. Billed
    demand is 700 kW in months 1 to 12 (April to March): 1,260,000 JPY each; in month 13 the 700 kW
    lie 12 months back and 300 kW are billed: 540,000 JPY, and so in month 14.
    """
    scenario = bench(bench_site(tariff=DEMAND), first_day="2024-03-31", days=427)
    peak = pd.Timestamp("2024-04-11 15:00", tz="Asia/Tokyo")
    played = play(scenario, lambda instant: 0.7 if instant == peak else 0.3)
    bills = pd.Series(played.line("demand_charge")).groupby(np.asarray(months_of(played.starts)))
    paid = bills.sum().to_numpy()

    assert len(paid) == 14
    assert paid == pytest.approx([700 * 1800] * 12 + [300 * 1800] * 2)
    # 300 kW, then 400 more, are owed for eleven months more. From the second month on, the first
    # 300 kW of a month add a twelfth month to what older peaks cover, and each bill pays debt off.
    debt = played.record("demand_liability")
    months = np.asarray(months_of(played.starts)) - 2024 * 12 - 4
    first = months == 0
    assert debt[first & (debt != 0)] == pytest.approx([300 * 1800 * 11, 400 * 1800 * 11])
    later = pd.Series(debt[~first]).groupby(months[~first]).sum().to_numpy()
    assert later == pytest.approx([(300 - 700) * 1800] * 11 + [0.0] * 2)
    scale = scenario.params.reward_scale
    assert played.reward * scale == pytest.approx(played.profit - debt, abs=1e-6)


def test_a_ratchet_of_80_percent_takes_a_debt_for_what_older_peaks_do_not_cover() -> None:
    """Peaks of the months before 900 kW, so 720 kW are billed at least, 1,000 JPY each.

    800 kW in the first month: 80,000 JPY more now. Of the eleven months that this peak counts in,
    the 900 kW cover ten; in the last one it alone is billed, 640 kW: a debt of 640,000, while the
    bill pays off 720,000. 1,000 kW: 200,000 JPY more now, 80 kW more in ten months and 160 kW
    more in the last: 960,000.
    """
    tariff = {
        "demand_charge": {
            "per_kw_month": 1000.0,
            "power_factor": 0.85,
            "ratchet_frac": 0.8,
            "peak_before_kw": 900.0,
        }
    }
    scenario = bench(bench_site(tariff=tariff), first_day="2024-03-31", days=3)
    played = play(scenario, np.array([0.8, 1.0]), n_rows=2)

    assert played.line("demand_charge") == pytest.approx([720_000 + 80_000, 200_000])
    assert played.record("demand_liability") == pytest.approx([640_000 - 720_000, 960_000])


@pytest.mark.parametrize(("months", "frac"), [(12, 1.0), (12, 0.8), (4, 1.0), (1, 1.0)])
def test_reward_takes_every_demand_charge_once(months: int, frac: float) -> None:
    """Over 26 months of peaks that come and lapse, debts made less debts paid are those still owed.

    Owed after a month: in each month to come, the highest peak so far that still counts then.
    """
    charge = {"per_kw_month": 1000.0, "power_factor": 0.85, "peak_before_kw": 500.0}
    tariff = {"demand_charge": charge | {"ratchet_months": months, "ratchet_frac": frac}}
    scenario = bench(bench_site(tariff=tariff), first_day="2024-03-31", days=31 * 26)
    shares = np.array([0.3, 0.9, 0.2, 0.4, 0.4, 0.1, 0.6, 0.2])
    played = play(scenario, lambda instant: float(shares[instant.month % 8]))
    starts = pd.DatetimeIndex(played.starts)
    of_month = np.asarray(months_of(starts)) - (2024 * 12 + 4)
    peaks = 1000.0 * shares[[starts[of_month == m][0].month % 8 for m in range(of_month[-1] + 1)]]
    known = np.concatenate([np.full(months - 1, 500.0), peaks])

    def owed(last: int) -> float:
        ahead = [known[last - (months - 1) + k : last + 1].max() for k in range(1, months)]
        return float(frac * 1000.0 * np.sum(ahead))

    debts = played.record("demand_liability").sum()
    assert debts == pytest.approx(owed(len(known) - 1) - owed(months - 2))


@pytest.mark.parametrize("metering_s", [900, 1800, 3600])
def test_metering_periods_shorter_and_longer_than_the_settlement_period(metering_s: int) -> None:
    """5-min steps: 300 kW, and 900 kW from 10:15 to 10:30.

    Highest mean over 15 min: 900 kW; over 30 min: 600 kW; over 60 min: 450 kW. 1,800 JPY/kW.
    """
    tariff = {"demand_charge": DEMAND["demand_charge"] | {"metering_period_s": metering_s}}
    scenario = bench(bench_site(tariff=tariff, interval_s=300), first_day="2024-03-31", days=2)

    def share(instant: pd.Timestamp) -> float:
        return 0.9 if instant.hour == 10 and 15 <= instant.minute < 30 else 0.3

    charge = play(scenario, share).line("demand_charge").sum()
    assert charge == pytest.approx({900: 900, 1800: 600, 3600: 450}[metering_s] * 1800)


def test_an_episode_that_begins_within_a_metering_period_meters_what_it_saw() -> None:
    """Metering 60 min, start at 10:30 with 800 kW for half an hour, then 300 kW: peak 800 kW."""
    tariff = {"demand_charge": DEMAND["demand_charge"] | {"metering_period_s": 3600}}
    scenario = bench(bench_site(tariff=tariff), first_day="2024-03-31", days=3)
    row = at(scenario, "2024-04-01 10:30")
    played = play(scenario, lambda t: 0.8 if t.hour == 10 else 0.3, first_row=row, n_rows=7)

    assert np.flatnonzero(played.line("demand_charge")).tolist() == [0]
    assert played.line("demand_charge").sum() == pytest.approx(800 * 1800)


def four_cp_scenario() -> Scenario:
    """Return ERCOT from June to September with one highest quarter of an hour a month."""
    peaks = [
        {
            "name": "4CP",
            "per_kw_year": 100.0,
            "months": [6, 7, 8, 9],
            "peaks_per_month": 1,
            "interval_s": 900,
        }
    ]
    site = bench_site(
        currency="USD",
        timezone="America/Chicago",
        period_s=300,
        tariff={"coincident_peaks": peaks},
    )
    start = pd.Timestamp("2024-05-31", tz="America/Chicago")
    starts = pd.date_range(
        start, pd.Timestamp("2024-10-02", tz="America/Chicago"), freq="5min", inclusive="left"
    )
    demand = np.full(len(starts), 70e6)
    for quarter in FOUR_PEAKS:
        row = int((pd.Timestamp(quarter, tz="America/Chicago") - start).total_seconds()) // 300
        demand[row : row + 3] = 80e6
    # A higher spike of five minutes in June, and in October, outside the months.
    demand[100] = 85e6
    demand[-100:-97] = 99e6
    return bench(site, first_day="2024-05-31", days=124, prices=0.05, columns={"demand_kw": demand})


FOUR_PEAKS = ("2024-06-20 16:45", "2024-07-01 17:00", "2024-08-20 16:30", "2024-09-30 23:45")


def test_four_coincident_peaks_of_15_minutes_in_texas() -> None:
    """100 USD/kW and year, a quarter for each peak: 25 USD/kW.

    The site draws 1,000 kW in June's peak, 500 kW in July's, nothing in August's, and 1,000 kW in
    the first 5 of the 15 minutes of September's, a mean of 333.33 kW: 25,000 + 12,500 + 0 +
    8,333.33 USD. The mean over June's spike of 5 minutes is lower than that of its peak.
    """
    scenario = four_cp_scenario()
    june, july, august, september = (at(scenario, quarter) for quarter in FOUR_PEAKS)
    shares = np.full(scenario.n_rows, 1.0)
    shares[july : july + 3] = 0.5
    shares[august : august + 3] = 0.0
    shares[september + 1 : september + 3] = 0.0
    shares = shares[scenario.first_row :]
    charged = play(scenario, shares).line("transmission_peak_cost")
    rows = np.flatnonzero(charged) + scenario.first_row

    assert rows.tolist() == [*range(june, june + 3), *range(july, july + 3), september]
    assert charged.sum() == pytest.approx(25_000 + 12_500 + 25_000 / 3)


def test_coincident_peaks_of_any_number_and_line_and_shares_of_a_row() -> None:
    """60,000 JPY/kW and year on the two highest hours of July: 30,000 JPY/kW each.

    Half-hourly data in steps of 5 min. In the first hour (14:00, 2nd) the site draws 1,000 kW for
    10 minutes: mean 166.67 kW, 5,000,000 JPY. In the second (18:00, 9th) 200 kW: 6,000,000 JPY.
    A month of 26 days of data has none.
    """
    peaks = [
        {
            "name": "capacity",
            "ledger_line": "capacity",
            "per_kw_year": 60_000.0,
            "months": [6, 7],
            "peaks_per_month": 2,
            "interval_s": 3600,
        }
    ]
    site = bench_site(tariff={"coincident_peaks": peaks}, interval_s=300)
    demand = np.full(58 * 48, 10e6)
    june, first, second = 10 * 48, (26 + 1) * 48 + 28, (26 + 8) * 48 + 36
    demand[june : june + 2] = 14e6
    demand[first : first + 2] = 12e6
    demand[second : second + 2] = 13e6
    scenario = bench(site, first_day="2024-06-05", days=58, columns={"demand_kw": demand})

    def share(instant: pd.Timestamp) -> float:
        if instant.month == 7 and instant.day == 2:
            return 1.0 if instant.hour == 14 and instant.minute < 10 else 0.0
        return 0.2

    charged = play(scenario, share)
    line = pd.Series(charged.line("capacity_peak_cost"), index=charged.starts)
    by_day = line.groupby(charged.starts.strftime("%m-%d")).sum()

    # Half of the year's charge: June has no bill.
    assert by_day[by_day > 0].to_dict() == pytest.approx({"07-02": 2_500_000, "07-09": 3_000_000})


def test_peak_intervals_lie_on_the_clock_wherever_the_data_begin() -> None:
    """Data from 00:05 on in steps of 5 min; the peak of 15 min is 10:00 to 10:15."""
    peaks = [{"name": "p", "per_kw_year": 12.0, "months": [7], "interval_s": 900}]
    site = bench_site(
        currency="USD", timezone="America/Chicago", period_s=300, tariff={"coincident_peaks": peaks}
    )
    demand = np.full(32 * 288, 50e6)
    demand[10 * 288 + 120 : 10 * 288 + 123] = 60e6
    whole = bench(
        site, first_day="2024-06-30", days=32, prices=0.05, columns={"demand_kw": demand}
    ).trace
    from gridhash.envs.market_array import coincident_weights

    later = whole.between(whole.starts[1], whole.end)
    weights = coincident_weights(site.tariff.coincident_peaks[0], later, site.timezone)
    assert np.flatnonzero(weights).tolist() == [10 * 288 + 119 + k for k in range(3)]
    assert weights.sum() == pytest.approx(12.0)


def test_peak_interval_shorter_than_the_settlement_period_is_refused() -> None:
    peaks = [{"name": "p", "per_kw_year": 12.0, "months": [7], "interval_s": 900}]
    site = bench_site(tariff={"coincident_peaks": peaks})
    with pytest.raises(DataError, match="interval_s 900 is no multiple"):
        bench(site, columns={"demand_kw": 1e6})


BALANCING = {
    "contract": "balancing",
    "balancing": {"bias_limit_frac": 0.05, "bias_penalty_per_kwh": 10.0},
}
IMBALANCE = {"imbalance_shortage_price_per_kwh": 20.0, "imbalance_surplus_price_per_kwh": 5.0}


@pytest.mark.parametrize(
    ("share", "imbalance"),
    [(1.0, 0.0), (0.6, -200 * 5.0), (0.0, -500 * 5.0)],
)
def test_balancing_pays_spot_on_the_plan_and_the_imbalance_price_on_the_rest(
    share: float, imbalance: float
) -> None:
    """Spot 8.00 is below the 10.00 that a kWh earns: the plan is 1,000 kW, 500 kWh a half-hour.

    The plan costs 4,000 JPY whatever is drawn. Drawn 600 kW: 200 kWh are sold back at 5.00,
    -1,000 JPY. Drawn nothing: 500 kWh, -2,500 JPY.
    """
    scenario = bench(bench_site(tariff=BALANCING), prices=8.0, columns=IMBALANCE)
    played = play(scenario, share, first_row=96, n_rows=1)

    assert played.record("nominated_kw") == pytest.approx([1000.0])
    assert played.line("import_energy_cost") == pytest.approx([4000.0])
    assert played.line("imbalance_cost") == pytest.approx([imbalance])


def test_balancing_charges_the_shortage_price_where_more_than_planned_is_drawn() -> None:
    """Spot 14.00 is above what a kWh earns: the plan is nothing. 400 kW for half an hour in two
    steps of which the second draws nothing: 100 kWh at 20.00 = 2,000 JPY, and no spot on them.
    """
    site = bench_site(tariff=BALANCING, interval_s=900)
    scenario = bench(site, prices=14.0, columns=IMBALANCE)
    played = play(scenario, np.array([0.4, 0.0]), first_row=96, n_rows=1)

    assert played.record("nominated_kw") == pytest.approx([0.0, 0.0])
    assert played.line("import_energy_cost").sum() == 0.0
    assert played.line("imbalance_cost") == pytest.approx([0.0, 2000.0])
    assert played.record("imbalance_kwh") == pytest.approx([0.0, 100.0])


@pytest.mark.parametrize(("share", "excess_kwh"), [(0.97, 0.0), (0.90, 0.05), (1.0, 0.0)])
def test_bias_of_a_month_beyond_five_percent_is_penalised_once(
    share: float, excess_kwh: float
) -> None:
    """June 30 is played: planned 48 x 500 = 24,000 kWh. At 90 % all day the net deviation is
    -2,400 kWh, 1,200 kWh more than the 5 % tolerated: 12,000 JPY, booked in the month's last step.
    """
    scenario = bench(
        bench_site(tariff=BALANCING), first_day="2024-06-28", prices=8.0, columns=IMBALANCE
    )
    played = play(scenario, share, first_row=96)
    booked = np.flatnonzero(played.line("bias_penalty"))

    expected = [47, 95] if excess_kwh else []
    assert booked.tolist() == expected
    assert played.line("bias_penalty").sum() == pytest.approx(2 * excess_kwh * 24_000 * 10.0)


def test_deviations_that_cancel_are_no_bias() -> None:
    """20 % too little for half the day, none planned otherwise; then a day that balances it."""
    prices = np.full(4 * 48, 8.0)
    scenario = bench(
        bench_site(tariff=BALANCING), first_day="2024-06-28", prices=prices, columns=IMBALANCE
    )
    shares = np.where(np.arange(96) % 2 == 0, 0.8, 1.0)
    played = play(scenario, shares, first_row=96)
    # 10 % below the plan over the month: 5 % beyond what is tolerated.
    assert played.line("bias_penalty")[47] == pytest.approx(0.05 * 24_000 * 10.0)
    deviation = played.record("imbalance_kwh")[:48]
    assert deviation.sum() == pytest.approx(-2400.0)


def test_surplus_quota_of_a_day_is_used_once_and_renewed_at_midnight() -> None:
    """Surplus 60 % of 1,000 kW at 1.00 JPY, quota 1,500 kWh a day; grid 12.00.

    Full load takes 600 kW, 300 kWh a half-hour: gone after five half-hours. In the last the price
    of the surplus is 300 JPY and 200 kWh are from the grid. Next day the same again.
    """
    site = bench_site(
        market={"surplus_price_per_kwh": 1.0}, tariff={"surplus_quota_kwh_per_day": 1500.0}
    )
    played = play(bench(site, days=3, columns={"surplus_frac": 0.6}), 1.0)
    cost = played.line("surplus_energy_cost")

    assert cost.reshape(2, 48).sum(axis=1) == pytest.approx([1500.0, 1500.0])
    assert cost[:6] == pytest.approx([300.0] * 5 + [0.0])
    assert played.record("import_kw")[:6] == pytest.approx([400.0] * 5 + [1000.0])


def test_panels_behind_the_meter_serve_the_load_first_and_export_the_rest() -> None:
    """Panels give 700 kW; a kWh used costs 2.00, one exported earns 6.00; grid 12 + 1 JPY.

    At 1,000 kW: 350 kWh of one's own, 700 JPY; 150 kWh from the grid, 1,800 + 150 JPY. At 200 kW:
    100 kWh, 200 JPY; 250 kWh exported, 1,500 JPY.
    """
    site = bench_site(
        market={"adders_per_kwh": 1.0},
        tariff={"behind_meter_pv": {"cost_per_kwh": 2.0, "export_price_per_kwh": 6.0}},
    )
    scenario = bench(site, columns={"behind_meter_pv_frac": 0.7})
    full, part = (play(scenario, share, n_rows=1).total() for share in (1.0, 0.2))

    assert full == pytest.approx(
        {"hash_revenue": 5000, "pv_cost": 700, "import_energy_cost": 1800, "adder_cost": 150}
    )
    assert part == pytest.approx({"hash_revenue": 1000, "pv_cost": 200, "export_revenue": 1500})


def test_one_meter_does_not_import_and_export_at_once_however_cheap_the_grid() -> None:
    """Grid 0.01, export 6.00, panels 700 kW, load 500 kW: 100 kWh exported, none imported."""
    tariff = {"behind_meter_pv": {"export_price_per_kwh": 6.0}}
    scenario = bench(bench_site(tariff=tariff), prices=0.01, columns={"behind_meter_pv_frac": 0.7})
    played = play(scenario, 0.5, n_rows=1)

    assert played.total() == pytest.approx({"hash_revenue": 2500, "export_revenue": 600})
    assert played.record("import_kw") == pytest.approx([0.0])
    assert played.record("pv_used_kw") == pytest.approx([500.0])


def test_demand_and_coincident_peaks_are_metered_behind_the_panels() -> None:
    """1,000 kW less 700 kW of panels: 300 kW x 1,800 JPY."""
    tariff = {"behind_meter_pv": {}, **DEMAND}
    scenario = bench(
        bench_site(tariff=tariff), first_day="2024-03-31", columns={"behind_meter_pv_frac": 0.7}
    )
    assert play(scenario, 1.0, n_rows=4).line("demand_charge").sum() == pytest.approx(540_000)


def test_capacity_contribution_is_booked_in_the_first_interval_of_each_month() -> None:
    """409 JPY/kW and month on 1,000 kW of contract: 409,000 JPY on 1 June and on 1 July."""
    tariff = {"capacity_contribution": {"per_kw_month": 409.0}}
    site = bench_site(tariff=tariff, interval_s=900)
    scenario = bench(site, first_day="2024-05-31", days=33)
    played = play(scenario, 0.3)
    booked = np.flatnonzero(played.line("capacity_contribution"))

    assert played.line("capacity_contribution")[booked] == pytest.approx([409_000.0] * 2)
    assert [str(t)[:19] for t in played.starts[booked]] == [
        "2024-06-01 00:00:00",
        "2024-07-01 00:00:00",
    ]
    # From the middle of a month on, only the next one is booked.
    later = play(scenario, 0.3, first_row=at(scenario, "2024-06-20 07:30"))
    assert later.line("capacity_contribution").sum() == pytest.approx(409_000.0)


def test_carbon_price_on_grid_energy_alone() -> None:
    """450 g/kWh at 3,000 JPY/t: 1.35 JPY/kWh. 400 kWh from the grid, 100 kWh surplus: 540 JPY."""
    site = bench_site(tariff={"carbon_price_per_t": 3000.0})
    columns = {"carbon_g_per_kwh": 450.0, "surplus_frac": 0.2}
    played = play(bench(site, columns=columns), 1.0, n_rows=1)

    assert played.line("carbon_cost") == pytest.approx([540.0])
    assert carbon_cost_per_kwh(450.0, 3000.0) == pytest.approx(1.35)


def test_a_real_time_price_settles_and_is_not_seen_before_its_time() -> None:
    """Day-ahead 0.05, real time 0.30: 250 kWh cost 75.00 USD."""
    site = bench_site(
        currency="USD",
        timezone="America/Chicago",
        period_s=900,
        tariff={
            "settles_at": "real_time_price_per_kwh",
            "price_known": "lagged",
            "renewable_levy_per_kwh": 1e-12,
        },
    )
    columns = {"real_time_price_per_kwh": on_rows(3 * 96, {100: 0.3}, 0.02)}
    scenario = bench(site, days=3, prices=0.05, columns=columns)
    played = play(scenario, 1.0, first_row=100, n_rows=2)

    assert played.line("import_energy_cost") == pytest.approx([75.0, 5.0])
    assert scenario.rows[100:102, 6].tolist() == pytest.approx([0.02, 0.3])


@given(load=power, available=power, own=money, grid=money)
def test_no_split_between_a_source_and_the_grid_is_cheaper(
    load: float, available: float, own: float, grid: float
) -> None:
    taken = cheaper_first_kw(load, available, own, grid)
    best = min(k * own + (load - k) * grid for k in (0.0, min(load, available)))
    assert 0.0 <= taken <= min(load, available)
    assert taken * own + (load - taken) * grid == pytest.approx(best, abs=1e-6)


@given(load=power, volume=power, price=money, spot=money, fee=st.floats(0, 10))
def test_every_kwh_is_of_the_block_or_at_spot_and_nothing_is_sold_below_zero(
    load: float, volume: float, price: float, spot: float, fee: float
) -> None:
    spot_kw, paid, resale = power_purchase(load, volume, price, spot, fee)
    assert spot_kw == pytest.approx(max(load - volume, 0.0))
    assert paid == volume * price
    assert resale == pytest.approx(max(volume - load, 0.0) * max(spot - fee, 0.0))


@given(means=st.lists(power, min_size=1, max_size=20), rate=st.floats(0, 3000))
def test_booked_increments_add_up_to_the_charge_on_the_highest_mean(
    means: list[float], rate: float
) -> None:
    billed, paid = 0.0, 0.0
    for mean in means:
        billed, charge = demand_increment(mean, billed, rate)
        paid += charge
    assert billed == max(means)
    assert paid == pytest.approx(max(means) * rate)


def test_imbalance_and_bias_by_hand() -> None:
    """120 kWh against 100 planned at 20/5: 400. 70: -150. 30 kWh off 1,000 at 2 %: 10 kWh."""
    assert imbalance_cost(120.0, 100.0, 20.0, 5.0) == pytest.approx(400.0)
    assert imbalance_cost(70.0, 100.0, 20.0, 5.0) == pytest.approx(-150.0)
    assert bias_excess_kwh(-30.0, 1000.0, 0.02) == pytest.approx(10.0)
    assert bias_excess_kwh(20.0, 1000.0, 0.02) == 0.0


@pytest.mark.parametrize(
    ("tariff", "words"),
    [
        ({**BALANCING, **PURCHASE}, "would pay twice for the same kWh"),
        ({"contract": "balancing"}, "go together"),
        ({"price_delay_s": 60}, "needs price_known = lagged"),
        ({"settles_at": "real_time_price_per_kwh"}, "is not published ahead"),
    ],
)
def test_contracts_that_contradict_themselves_are_refused(
    tariff: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        bench_site(tariff=tariff)
