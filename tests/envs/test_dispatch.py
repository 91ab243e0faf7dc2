"""The merit-order dispatch against brute force, a linear program and the closed form."""

from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridhash.config import SiteConfig, load_site
from gridhash.envs.dispatch import block_value_per_kwh, dispatch_by_merit
from gridhash.envs.parameters import SiteParameters, compile_site

JAPAN = load_site("japan_pilot")
Floats = npt.NDArray[np.float64]


class Dispatch(NamedTuple):
    """What `dispatch_by_merit` gives."""

    profit_per_h: float
    target_kw: Floats


def dispatch(
    params: SiteParameters,
    import_price: float,
    surplus_kw: float,
    revenue: float,
    shadow: npt.ArrayLike = 0.0,
) -> Dispatch:
    n_groups = len(params.n_rigs)
    target_kw = np.full(n_groups, np.nan)
    shadow_per_kwh = np.broadcast_to(np.asarray(shadow, dtype=float), n_groups).copy()
    profit = dispatch_by_merit(
        params, import_price, surplus_kw, revenue, shadow_per_kwh, target_kw, np.empty(n_groups)
    )
    return Dispatch(profit, target_kw)


def profit_of(
    params: SiteParameters, kw: Floats, phs: float, price: float, surplus_kw: float, revenue: float
) -> float:
    """Return the rate of profit of an operating point; surplus first where it is cheaper."""
    site_kw = float(kw.sum()) * params.pue_for_planning
    cheap_kw = min(site_kw, surplus_kw) if params.surplus_price_per_kwh < price else 0.0
    energy = cheap_kw * params.surplus_price_per_kwh + (site_kw - cheap_kw) * price
    return phs * revenue / 24.0 - energy


def hash_rate(params: SiteParameters, kw: Floats) -> float:
    """Return the hash rate of groups at a power, filled block by block [PH/s]."""
    total = 0.0
    for g, group_kw in enumerate(kw):
        points_kw = params.n_rigs[g] * np.r_[0.0, params.level_kw[g, : params.n_levels[g]]]
        points_phs = params.n_rigs[g] * np.r_[0.0, params.level_phs[g, : params.n_levels[g]]]
        total += float(np.interp(group_kw, points_kw, points_phs))
    return total


@st.composite
def sites(draw: st.DrawFn) -> SiteParameters:
    """Draw a site of one to three groups with work levels of all kinds."""
    groups = []
    for k in range(draw(st.integers(1, 3))):
        b = draw(st.floats(0.05, 0.9))
        loads = draw(st.lists(st.integers(20, 120), min_size=1, max_size=5, unique=True))
        levels = tuple(sorted(x / 100 for x in loads))
        groups.append(
            JAPAN.groups[k].model_copy(
                update={
                    "n_rigs": draw(st.integers(1, 300)),
                    "rig_hashrate_ths": draw(st.floats(300, 700)),
                    "curve_a": 1 - b,
                    "curve_b": b,
                    "load_levels": levels,
                }
            )
        )
    return compile_site(JAPAN.model_copy(update={"groups": tuple(groups)}))


PRICES = st.floats(-10, 60)
REVENUES = st.floats(1000, 15_000)
SURPLUS = st.floats(0, 5000)


@settings(max_examples=60)
@given(params=sites(), price=PRICES, revenue=REVENUES)
def test_no_combination_of_levels_earns_more_without_surplus(
    params: SiteParameters, price: float, revenue: float
) -> None:
    levels = [range(-1, int(n)) for n in params.n_levels]
    best = max(
        sum(
            params.n_rigs[g]
            * (
                params.level_phs[g, level] * revenue / 24.0
                - params.level_kw[g, level] * params.pue_for_planning * price
            )
            for g, level in enumerate(choice)
            if level >= 0
        )
        for choice in product(*levels)
    )

    chosen = dispatch(params, price, 0.0, revenue)

    assert chosen.profit_per_h == pytest.approx(best, rel=1e-9, abs=1e-6)
    phs = hash_rate(params, chosen.target_kw)
    own = profit_of(params, chosen.target_kw, phs, price, 0.0, revenue)
    assert own == pytest.approx(chosen.profit_per_h, rel=1e-9, abs=1e-6)


@settings(max_examples=60)
@given(params=sites(), price=PRICES, surplus_kw=SURPLUS, revenue=REVENUES)
def test_no_operating_point_earns_more_with_surplus(
    params: SiteParameters, price: float, surplus_kw: float, revenue: float
) -> None:
    """A linear program over block powers and energy from surplus."""
    chosen = dispatch(params, price, surplus_kw, revenue)

    blocks = [(g, k) for g in range(len(params.n_rigs)) for k in range(params.n_levels[g])]
    pue = params.pue_for_planning
    values = np.array([block_value_per_kwh(params, g, k, revenue) * pue for g, k in blocks])
    # Variables: power of each block, then power from surplus; the grid gives the rest.
    optimum = linprog(
        np.r_[-(values - pue * price), params.surplus_price_per_kwh - price],
        A_ub=np.r_[-pue * np.ones(len(blocks)), 1.0][None],
        b_ub=[0.0],
        bounds=[(0, params.block_kw[g, k]) for g, k in blocks] + [(0, surplus_kw)],
    )

    scale = float(np.abs(values).max()) * params.n_rigs.sum() * 8
    assert chosen.profit_per_h == pytest.approx(-optimum.fun, rel=1e-7, abs=1e-9 * scale)
    phs = hash_rate(params, chosen.target_kw)
    own = profit_of(params, chosen.target_kw, phs, price, surplus_kw, revenue)
    assert own == pytest.approx(chosen.profit_per_h, rel=1e-7, abs=1e-9 * scale)


@given(params=sites(), price=PRICES, more=st.floats(0, 30), surplus_kw=SURPLUS, revenue=REVENUES)
def test_a_higher_price_never_raises_any_load(
    params: SiteParameters, price: float, more: float, surplus_kw: float, revenue: float
) -> None:
    low = dispatch(params, price, surplus_kw, revenue).target_kw
    high = dispatch(params, price + more, surplus_kw, revenue).target_kw

    assert (high <= low + 1e-9).all()


@given(params=sites(), price=PRICES, x=st.floats(-20, 20), revenue=REVENUES)
def test_a_shadow_price_for_all_acts_as_a_price_change(
    params: SiteParameters, price: float, x: float, revenue: float
) -> None:
    values = [
        block_value_per_kwh(params, g, k, revenue)
        for g in range(len(params.n_rigs))
        for k in range(params.n_levels[g])
    ]
    assume(min(abs(v - x - price) for v in values) > 1e-9)

    shadowed = dispatch(params, price, 0.0, revenue, x)
    repriced = dispatch(params, price + x, 0.0, revenue)

    assert shadowed.target_kw.tolist() == repriced.target_kw.tolist()
    phs = hash_rate(params, shadowed.target_kw)
    true_profit = profit_of(params, shadowed.target_kw, phs, price, 0.0, revenue)
    assert shadowed.profit_per_h == pytest.approx(true_profit, rel=1e-9, abs=1e-6)


@given(params=sites(), price=PRICES, surplus_kw=SURPLUS, revenue=REVENUES, x=st.floats(0, 50))
def test_a_shadow_price_of_one_group_never_raises_its_load(
    params: SiteParameters, price: float, surplus_kw: float, revenue: float, x: float
) -> None:
    shadow = np.zeros(len(params.n_rigs))
    shadow[0] = x

    plain = dispatch(params, price, surplus_kw, revenue).target_kw
    shadowed = dispatch(params, price, surplus_kw, revenue, shadow).target_kw

    assert shadowed[0] <= plain[0] + 1e-9


def test_surplus_fills_the_most_valuable_blocks_and_stops_where_it_ends() -> None:
    """Two groups of 100 rigs of 8.064 kW, B the more efficient; grid energy too dear.

    2 MW of surplus are 2000 / 1.02 kW of rigs: all of B (806.4 kW) and of A (806.4 kW), and as
    2.0 MW exceed 1.645 MW the rest is left. 1 MW: B whole, then A with what is left of it.
    """
    a = JAPAN.groups[0].model_copy(update={"n_rigs": 100})
    b = JAPAN.groups[1].model_copy(update={"n_rigs": 100, "rig_hashrate_ths": 500.0})
    params = compile_site(JAPAN.model_copy(update={"groups": (a, b)}))

    assert dispatch(params, 30.0, 2000.0, 5569.0).target_kw == pytest.approx([806.4, 806.4])
    assert dispatch(params, 30.0, 1000.0, 5569.0).target_kw == pytest.approx(
        [1000 / 1.02 - 806.4, 806.4]
    )
    assert dispatch(params, 30.0, 500.0, 5569.0).target_kw == pytest.approx([0.0, 500 / 1.02])
    assert dispatch(params, 30.0, 0.0, 5569.0).target_kw == pytest.approx([0.0, 0.0])
    assert dispatch(params, 0.5, 500.0, 5569.0).target_kw == pytest.approx([806.4, 806.4])


def test_surplus_dearer_than_a_hash_is_worth_is_left() -> None:
    params = compile_site(JAPAN)

    assert dispatch(params, 30.0, 4000.0, 5569.0).target_kw.sum() == pytest.approx(4000 / 1.02)
    assert dispatch(params, 30.0, 4000.0, 300.0).target_kw.sum() == 0.0


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.6, 0.75, 0.9, 1.0, 1.1, 1.2])
def test_many_levels_come_to_the_closed_form(ratio: float) -> None:
    """p* = (sqrt(a / r) - a) / b within 0.5 … 1, off above r = 1 / (a + b / 2)."""
    a, b = 0.65, 0.35
    levels = tuple(np.linspace(0.5, 1.0, 12).tolist())
    group = JAPAN.groups[0].model_copy(update={"load_levels": levels})
    site: SiteConfig = JAPAN.model_copy(update={"groups": (group,)})
    params = compile_site(site)
    revenue = site.hash_revenue_per_phs_day

    target_kw = dispatch(params, ratio * site.break_even_per_kwh(group), 0.0, revenue).target_kw

    load = target_kw[0] / site.max_group_kw(group)
    off = ratio > 1 / (a + 0.5 * b)
    closed_form = 0.0 if off else min(max((np.sqrt(a / ratio) - a) / b, 0.5), 1.0)
    assert load == pytest.approx(closed_form, abs=0.5 / 11 / 2 + 1e-9 if not off else 1e-9)
