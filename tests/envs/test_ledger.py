from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.config import SiteConfig, load_site
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.columns import RULE_PROFIT
from gridhash.envs.kernel import RECORD as RECORD_NAMES
from gridhash.envs.ledger import LEDGER, LEDGER_NAMES, surplus_used_kw, write_ledger
from gridhash.envs.parameters import compile_site
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import place_at_rest

PARAMS = compile_site(load_site("japan_pilot"))
SIGNS = np.array([term.sign for term in LEDGER])


def finite(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


def test_golden_interval_of_the_japan_pilot(
    japan: SiteConfig,
    make_scenario: Callable[..., Scenario],
    make_sites: Callable[..., BatchedSite],
) -> None:
    """Five minutes by hand: three loops have long run, the fourth starts, it is 40 °C outdoors.

    Rigs     403 run at 8.064 kW: 3249.792 kW. 134 start: 30 s at 20 W, 270 s at 8.064 kW, mean
             0.1 x 0.02 + 0.9 x 8.064 = 7.2596 kW: 972.7864 kW. Together 4222.5784 kW.
    Cooling  outdoors as warm as the 40 °C setpoint: fans full, 27.15 + 3 x 26.95 = 108.00 kW;
             pumps full, 13.07 + 3 x 12.98 = 52.01 kW. Site 4382.5884 kW.
    Hashes   the started rigs hash after 90 of 300 s: (403 + 0.7 x 134) x 0.48 = 238.464 PH/s.
             At 38 USD x 150 JPY x 0.98 x 0.997 = 5569.242 JPY per PH/s and day, 1/288 day:
             4611.332376 JPY.
    Energy   surplus 0.25 x 4520 = 1130 kW, 94.166667 kWh at 1.00: 94.166667 JPY. From the grid
             3252.5884 kW, 271.049033 kWh: at 10.00, 2710.490333 JPY; adders at 5.50,
             1490.769683 JPY.
    Wear     134 / 537 of 10000 JPY: 2495.344507 JPY.
    Profit   4611.332376 - 2710.490333 - 1490.769683 - 94.166667 - 2495.344507 = -2179.438814 JPY.
    Rule     grid energy at 15.50 costs more than a kWh earns, 0.48 / 8.064 x 5569.242 / 24 / 1.02
             = 13.541769 JPY, so the rule runs on surplus alone: 1130 x (13.541769 - 1.00) / 12
             = 1181.016561 JPY.
    Reward   (-2179.438814 - 1181.016561) / (257.76 x 5569.242 / 288 = 4984.471590) = -0.674185.
    """
    scenario = make_scenario(
        japan, prices=10.0, columns={"surplus_frac": 0.25, "outdoor_temp_c": 40.0}
    )
    sites = make_sites(scenario, 1, action_kind=ActionKind.POWER)
    sites.start_at(scenario.first_row)
    place_at_rest(
        sites.state,
        scenario.params,
        np.array([0]),
        np.array([[1.0, 1.0, 1.0, 0.0]]),
        np.full((1, 4), 40.0),
    )

    output = sites.step(np.ones((1, 4)))

    record = dict(zip(RECORD_NAMES, output.record[0], strict=True))
    assert record["rig_kw"] == pytest.approx(4222.5784, abs=1e-9)
    assert record["cooling_kw"] == pytest.approx(160.01, abs=1e-9)
    assert record["site_kw"] == pytest.approx(4382.5884, abs=1e-9)
    assert record["surplus_used_kw"] == pytest.approx(1130.0, abs=1e-9)
    assert record["hashrate_phs"] == pytest.approx(238.464, abs=1e-9)
    assert record["rigs_started"] == pytest.approx(134.0, abs=1e-9)
    assert record["reference_profit"] == pytest.approx(1181.016561, abs=1e-6)
    terms = dict(zip(LEDGER_NAMES, output.ledger[0], strict=True))
    assert terms == pytest.approx(
        dict.fromkeys(LEDGER_NAMES, 0.0)
        | {
            "hash_revenue": 4611.332376,
            "import_energy_cost": 2710.490333,
            "adder_cost": 1490.769683,
            "surplus_energy_cost": 94.166667,
            "start_wear_cost": 2495.344507,
        },
        abs=1e-6,
    )
    assert output.profit[0] == pytest.approx(-2179.438814, abs=1e-6)
    assert output.reward[0] == pytest.approx(-0.674185, abs=1e-6)


@given(
    price=finite(-50, 200),
    surplus_kw=finite(0, 5000),
    revenue=finite(0, 20_000),
    site_kw=finite(0, 5000),
    phs=finite(0, 260),
    wear=finite(0, 20_000),
)
def test_terms_sum_to_profit_and_energy_is_neither_lost_nor_paid_twice(
    price: float, surplus_kw: float, revenue: float, site_kw: float, phs: float, wear: float
) -> None:
    terms = np.zeros(len(LEDGER_NAMES))
    terms[LEDGER_NAMES.index("start_wear_cost")] = wear
    profit, used_kw = write_ledger(PARAMS, price, surplus_kw, revenue, site_kw, phs, terms)

    assert profit == pytest.approx(float(SIGNS @ terms), rel=1e-12, abs=1e-9)
    imported_kwh = terms[2] / PARAMS.adders_per_kwh
    surplus_kwh = terms[3] / PARAMS.surplus_price_per_kwh
    assert imported_kwh + surplus_kwh == pytest.approx(site_kw / 12, rel=1e-12, abs=1e-9)
    assert terms[1] == pytest.approx(imported_kwh * price, rel=1e-12, abs=1e-9)
    assert surplus_kwh * 12 == pytest.approx(used_kw, rel=1e-12, abs=1e-9)
    assert used_kw <= surplus_kw
    assert (terms[[0, 2, 3, 4]] >= 0).all()


@given(price=finite(-50, 200), surplus_kw=finite(0, 5000), site_kw=finite(0, 5000))
def test_no_other_split_between_surplus_and_grid_is_cheaper(
    price: float, surplus_kw: float, site_kw: float
) -> None:
    all_in = price + PARAMS.adders_per_kwh

    def cost(used_kw: float) -> float:
        return used_kw * PARAMS.surplus_price_per_kwh + (site_kw - used_kw) * all_in

    used_kw = surplus_used_kw(PARAMS, site_kw, surplus_kw, price)

    assert cost(used_kw) <= min(cost(0.0), cost(min(surplus_kw, site_kw))) + 1e-9


def test_surplus_dearer_than_the_grid_is_left_alone() -> None:
    """Surplus costs 1.00; at -4.50 + 5.50 = 1.00 the grid is as cheap, below it cheaper."""
    assert surplus_used_kw(PARAMS, 4000.0, 1000.0, -4.49) == 1000.0
    assert surplus_used_kw(PARAMS, 4000.0, 1000.0, -4.50) == 0.0
    assert surplus_used_kw(PARAMS, 4000.0, 1000.0, -20.0) == 0.0
    assert surplus_used_kw(PARAMS, 600.0, 1000.0, 10.0) == 600.0


@pytest.mark.parametrize("relative", [False, True])
def test_ledger_of_random_play_sums_to_profit_and_profit_less_reference_to_reward(
    busy_scenario: Scenario, make_sites: Callable[..., BatchedSite], relative: bool
) -> None:
    rng = np.random.default_rng(5)
    sites = make_sites(busy_scenario, 32, relative_reward=relative)
    sites.start_at(busy_scenario.first_row, running_frac=0.5)
    references = []
    for _ in range(300):
        row = int(sites.state.row[0])
        output = sites.step(rng.uniform(-1, 1, (32, 4)))

        assert np.abs(output.ledger @ SIGNS - output.profit).max() < 1e-9
        record = dict(zip(RECORD_NAMES, output.record.T, strict=True))
        assert record["site_kw"] == pytest.approx(record["rig_kw"] + record["cooling_kw"])
        reference = output.record[:, RECORD_NAMES.index("reference_profit")]
        scale = busy_scenario.params.reward_scale
        assert output.reward * scale == pytest.approx(output.profit - reference, abs=1e-9)
        references.append(reference[0])
        expected = busy_scenario.market[row, RULE_PROFIT] / 12 if relative else 0.0
        assert reference == pytest.approx(expected, rel=1e-12)
    assert np.ptp(references) > 0.0 if relative else references == [0.0] * 300
