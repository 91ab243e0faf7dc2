"""The supply curve is what settlement charges, convex, and dispatch on it is the optimum."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import SEEN_ALL_IN, SEEN_PRICE
from gridhash.envs.dispatch import block_value_per_kwh, dispatch_by_merit
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import HASH_REVENUE
from gridhash.envs.parameters import SiteParameters, compile_site
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.envs.supply_curve import (
    MAX_SEGMENTS,
    add_grid,
    add_source,
    build_supply_curve,
    dispatch_on_curve,
    raise_above,
)
from tests.envs.bench import FULL_KW, SIGNS, bench_site, bench_trace

Floats = npt.NDArray[np.float64]

PV = {"behind_meter_pv": {"cost_per_kwh": 0.5, "export_price_per_kwh": 6.0}}
BLOCK = {"power_purchase": {"volume_kw": 450.0, "price_per_kwh": 9.0, "resale_fee_per_kwh": 2.0}}
QUOTA = {"surplus_quota_kwh_per_day": 100.0}
BASE = {"base_point": {"penalty_per_kwh": 15.0}}
CALL = {"demand_reduction": {"committed_kw": 300.0, "energy_pay_per_kwh": 4, "penalty_per_kwh": 9}}
MORE = {"demand_increase": {"pay_per_kwh": 3.0, "max_kw": 200.0}}
SITES: dict[str, dict[str, Any]] = {
    "quota": {"tariff": QUOTA},
    "panels": {"tariff": PV},
    "block": {"tariff": BLOCK},
    "all energy": {"tariff": PV | BLOCK | QUOTA},
    "base point": {"tariff": PV | BLOCK, "programs": BASE},
    "calls": {"tariff": PV | BLOCK, "programs": CALL | MORE},
}


def busy_bench(name: str, *, seed: int = 0) -> Scenario:
    """Return three days on which every row has other prices and powers, all known at its start."""
    site = bench_site(market={"adders_per_kwh": 1.5, "surplus_price_per_kwh": 2.0}, **SITES[name])
    template = bench_trace(site, days=3)
    rng = np.random.default_rng(seed)
    n = template.n_rows
    columns = {
        "price_per_kwh": rng.uniform(-8.0, 25.0, n),
        "surplus_frac": rng.uniform(0, 0.6, n) * (rng.random(n) < 0.6),
        "behind_meter_pv_frac": rng.uniform(0, 1.3, n) * (rng.random(n) < 0.7),
        "base_point_frac": rng.uniform(0, 1.0, n),
        "dr_down_call": (rng.random(n) < 0.4).astype(float),
        "dr_up_call": (rng.random(n) < 0.4).astype(float),
    }
    known = dict.fromkeys(columns, template.starts)
    known["price_per_kwh"] = template.available_at["price_per_kwh"]
    return build_scenario(site, template.with_columns(columns, available_at=known))


def curve_of(sites: BatchedSite) -> tuple[Floats, int]:
    """Return the curve of the first site at its present row."""
    scenario = sites.scenario
    curve = np.zeros((2, MAX_SEGMENTS))
    n = build_supply_curve(
        scenario.params, scenario.programs, scenario.exogenous, sites.accounts, 0,
        int(sites.state.row[0]), curve,
    )  # fmt: skip
    return curve, n


def assert_convex(curve: Floats, n: int) -> None:
    assert 1 <= n <= MAX_SEGMENTS
    assert (np.diff(curve[0, :n]) > 0.0).all()
    assert curve[0, 0] > 0.0
    assert np.isinf(curve[0, n - 1])
    assert (np.diff(curve[1, :n]) >= -1e-12).all()


def cost_up_to(curve: Floats, n: int, kw: Floats) -> Floats:
    """Return the integral of the curve from 0 to each power [currency/h]."""
    ends = np.minimum(curve[0, :n], 1e9)
    starts = np.concatenate([[0.0], ends[:-1]])
    filled = np.clip(kw[:, None] - starts, 0.0, ends - starts)
    return np.asarray(filled @ curve[1, :n])


@pytest.mark.parametrize("name", SITES)
def test_the_curve_is_the_convex_hull_of_what_settlement_charges(name: str) -> None:
    """At 41 powers of every row: never above the ledger's cost beyond none, exact at the ends.

    Where the sources are convex it is exact everywhere. With base points it is the sum of two
    hulls, which may lie below the hull of the sum.
    Calls are left out of the exact part: what a call pays ends at the baseline, and the fall in
    price there is left out by design, so the curve lies above.
    """
    scenario = busy_bench(name)
    shares = np.linspace(0.0, 1.0, 41)
    sites = BatchedSite(scenario, 41, EpisodeRules(episode_days=1.0, action_kind=ActionKind.POWER))
    met = 0
    for row in range(scenario.first_row, scenario.n_rows):
        sites.start_at(row)
        curve, n = curve_of(sites)
        assert_convex(curve, n)
        output = sites.step(shares[:, None])
        assert output.record[:, RECORD.index("site_kw")] == pytest.approx(shares * FULL_KW)
        cost = 2.0 * (output.ledger[:, HASH_REVENUE] - output.ledger @ SIGNS)
        cost -= cost[0]
        planned = cost_up_to(curve, n, shares * FULL_KW)
        if name == "calls":
            continue
        assert (planned <= cost + 1e-6).all(), f"row {row}"
        assert planned[-1] == pytest.approx(cost[-1], abs=1e-6), f"row {row}"
        if name != "base point" and (np.diff(cost, 2) >= -1e-6).all():
            # What is not convex between two of the powers aside, a convex cost is met everywhere.
            assert planned == pytest.approx(cost, abs=1e-6), f"row {row}"
            met += 1
    assert name in ("calls", "base point") or met > 20


def greedy(params: SiteParameters, curve: Floats, n: int, revenue: float, shadow: Floats) -> Floats:
    target = np.zeros(len(params.n_rigs))
    dispatch_on_curve(params, curve, n, revenue, shadow, target, np.zeros(len(target)))
    return target


def value_of(params: SiteParameters, revenue: float, shadow: Floats, target: Floats) -> float:
    """Return what rig powers are worth by blocks, lowest first [currency/h]."""
    worth = 0.0
    for g, kw in enumerate(target):
        left = float(kw)
        for level in range(int(params.n_levels[g])):
            taken = min(left, float(params.block_kw[g, level]))
            per_kwh = block_value_per_kwh(params, g, level, revenue) - shadow[g]
            worth += taken * params.pue_for_planning * per_kwh
            left -= taken
        assert left < 1e-6
    return worth


def best_by_lp(
    params: SiteParameters, curve: Floats, n: int, revenue: float, shadow: Floats
) -> float:
    """Return the greatest value less cost over all fillings of blocks and segments."""
    blocks = [(g, k) for g in range(len(params.n_rigs)) for k in range(int(params.n_levels[g]))]
    pue = params.pue_for_planning
    worth = [block_value_per_kwh(params, g, k, revenue) - shadow[g] for g, k in blocks]
    most = [float(params.block_kw[g, k]) * pue for g, k in blocks]
    ends = np.minimum(curve[0, :n], 1e5)
    widths = np.diff(ends, prepend=0.0)
    solved = linprog(
        np.concatenate([-np.array(worth), curve[1, :n]]),
        A_eq=np.concatenate([np.ones(len(blocks)), -np.ones(n)])[None, :],
        b_eq=[0.0],
        bounds=[(0.0, kw) for kw in [*most, *widths]],
    )
    assert solved.success
    return -float(solved.fun)


@st.composite
def curves(draw: st.DrawFn) -> tuple[Floats, int]:
    """Return a curve of random sources and kinks."""
    curve = np.zeros((2, MAX_SEGMENTS))
    n = 0
    for _ in range(draw(st.integers(0, 3))):
        kw, price = draw(st.floats(0, 3000)), draw(st.floats(-20, 40))
        n = add_source(curve, n, kw, price, 4400.0)
    n = add_grid(curve, n, draw(st.floats(-20, 40)), 4400.0)
    for _ in range(draw(st.integers(0, 3))):
        n = raise_above(curve, n, draw(st.floats(-1, 5000)), draw(st.floats(0, 30)))
    return curve, n


@settings(max_examples=150, deadline=None)
@given(made=curves(), revenue=st.floats(0, 15_000), seed=st.integers(0, 1000))
def test_dispatch_on_a_random_curve_is_the_optimum_of_a_linear_program(
    japan_levels: SiteConfig, made: tuple[Floats, int], revenue: float, seed: int
) -> None:
    curve, n = made
    assert_convex(curve, n)
    params = compile_site(japan_levels)
    shadow = np.random.default_rng(seed).uniform(-6, 6, 4) * (seed % 3 > 0)
    target = greedy(params, curve, n, revenue, shadow)
    site_kw = np.array([target.sum() * params.pue_for_planning])
    achieved = value_of(params, revenue, shadow, target) - cost_up_to(curve, n, site_kw)[0]

    # HiGHS takes a price of up to 1e-7 per kWh for none, over up to 4,520 kW.
    assert achieved == pytest.approx(
        best_by_lp(params, curve, n, revenue, shadow), abs=5e-4, rel=1e-6
    )


@settings(max_examples=200, deadline=None)
@given(
    all_in=st.floats(-10, 40),
    surplus_kw=st.floats(0, 5000),
    revenue=st.floats(0, 15_000),
    shadow=st.lists(st.floats(-8, 8), min_size=4, max_size=4),
)
def test_with_surplus_and_grid_alone_it_is_the_dispatch_by_merit(
    japan_levels: SiteConfig, all_in: float, surplus_kw: float, revenue: float, shadow: list[float]
) -> None:
    params = compile_site(japan_levels)
    curve = np.zeros((2, MAX_SEGMENTS))
    n = 0
    if params.surplus_price_per_kwh < all_in:
        n = add_source(curve, n, surplus_kw, params.surplus_price_per_kwh, 1e6)
    n = add_grid(curve, n, all_in, 4400.0)
    by_curve = greedy(params, curve, n, revenue, np.array(shadow))
    by_merit = np.zeros(4)
    dispatch_by_merit(params, all_in, surplus_kw, revenue, np.array(shadow), by_merit, np.zeros(4))

    assert by_curve == pytest.approx(by_merit, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("shadow", [0.0, 2.0, -0.4])
def test_the_kink_between_surplus_and_import_is_held(
    japan_levels: SiteConfig, shadow: float
) -> None:
    """Surplus 1,500 kW at 1.00, grid 15.00; a kWh earns 13.6 to 15 less the shadow price: no
    import, all surplus, whatever the shadow price within those bounds."""
    params = compile_site(japan_levels)
    curve = np.zeros((2, MAX_SEGMENTS))
    n = add_grid(curve, add_source(curve, 0, 1500.0, 1.0, 4400.0), 15.8, 4400.0)
    revenue = japan_levels.hash_revenue_per_phs_day * 0.9
    values = [
        block_value_per_kwh(params, g, k, revenue) - shadow for g in range(4) for k in range(6)
    ]
    assert min(values) > 1.0
    assert max(values) < 15.8
    target = greedy(params, curve, n, revenue, np.full(4, shadow))

    assert target.sum() * params.pue_for_planning == pytest.approx(1500.0)


def test_a_cheaper_source_behind_a_dearer_one_is_taken_with_it_at_their_mean() -> None:
    """200 kW at 6, then 300 kW at 1: 500 kW at 3. Grid at 2 up to 1,000 kW: all at 2.5."""
    curve = np.zeros((2, MAX_SEGMENTS))
    n = add_source(curve, add_source(curve, 0, 200.0, 6.0, 1000.0), 300.0, 1.0, 1000.0)
    assert n == 1
    assert curve[:, 0] == pytest.approx([500.0, 3.0])
    n = add_grid(curve, n, 2.0, 1000.0)
    assert n == 2
    assert curve[:, :2] == pytest.approx(np.array([[1000.0, np.inf], [2.5, 2.5]]))


@pytest.mark.parametrize("name", SITES)
def test_a_higher_price_never_draws_more_by_the_stateless_rule(name: str) -> None:
    scenario = busy_bench(name, seed=5)
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=1.0))
    market = scenario.market
    before = market.copy()
    for row in range(scenario.first_row, scenario.n_rows, 3):
        drawn = []
        for price in np.linspace(-10.0, 30.0, 41):
            sites.start_at(row)
            market[row, SEEN_ALL_IN] += price - market[row, SEEN_PRICE]
            market[row, SEEN_PRICE] = price
            curve, n = curve_of(sites)
            assert_convex(curve, n)
            drawn.append(greedy(scenario.params, curve, n, 4800.0, np.zeros(1))[0])
        assert (np.diff(drawn) <= 1e-6).all(), f"row {row}: {drawn}"
        market[row] = before[row]
