"""The best without foresight lies between every plan and perfect foresight."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gridhash.agents.day_ahead_dp import decision_advantages, settled_price_per_kwh
from gridhash.agents.information import PriceChain, RigUnderPrices
from gridhash.config import SiteConfig
from gridhash.envs.columns import REVENUE
from gridhash.envs.parameters import compile_site
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError

EditSite = Callable[..., SiteConfig]


@pytest.fixture(scope="module")
def site(single_group: SiteConfig, edit_site: EditSite) -> SiteConfig:
    return edit_site(single_group, {"dispatch_interval_s": 1800, "groups.*.min_down_s": 3600.0})


def rig_of(site: SiteConfig, chain: PriceChain) -> RigUnderPrices:
    return RigUnderPrices(compile_site(site), 0, chain, site.hash_revenue_per_phs_day)


def random_chain(site: SiteConfig, seed: int, *, lagged: bool) -> PriceChain:
    rng = np.random.default_rng(seed)
    move = rng.dirichlet(np.full(5, 0.4), 5) + 1.5 * np.eye(5)
    price = site.break_even_per_kwh(site.groups[0]) * rng.uniform(0.5, 1.6, 5)
    return PriceChain(price, move / move.sum(axis=1, keepdims=True), lagged=lagged)


def test_without_chance_the_optimum_is_the_plan_over_known_prices(
    site: SiteConfig, make_scenario: Callable[..., Scenario], make_prices: Callable[..., Any]
) -> None:
    scenario = make_scenario(site, make_prices(site, days=3, seed=2))
    rows = (scenario.first_row, scenario.n_rows)
    prices = settled_price_per_kwh(scenario)[rows[0] : rows[1]]
    n = len(prices)
    chain = PriceChain(prices, np.roll(np.eye(n), 1, axis=1), lagged=False)
    rig = RigUnderPrices(scenario.params, 0, chain, float(scenario.market[rows[0], REVENUE]))

    plan = decision_advantages(scenario, rows)

    run, rest = rig.expected()
    up, down = np.zeros((n, rig.n_up)), np.zeros((n, rig.n_down))
    for _ in range(n):
        up, down, _, _ = rig.back(run, rest, chain.move @ up, chain.move @ down)
    assert down[0, 1:] == pytest.approx(plan.value_stopped[0, 1:])
    assert up[0, 1:] == pytest.approx(plan.value_running[0, 1:])


@pytest.mark.parametrize("lagged", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_no_plan_beats_the_optimum_and_foresight_does(
    seed: int, lagged: bool, site: SiteConfig
) -> None:
    rig = rig_of(site, random_chain(site, seed, lagged=lagged))

    optimum = rig.optimum(200)

    played = [
        rig.played(decide, 200)
        for decide in (
            rig.greedy(),
            rig.planned_on_means(48),
            rig.planned_on_paths(48, n_paths=100, seed=1),
        )
    ]
    assert max(played) <= optimum + 1e-9 * abs(optimum)
    foresight = rig.foresight(200, n_paths=2000, seed=0)
    assert optimum < foresight + 0.01 * abs(foresight)


def test_what_is_seen_late_is_worth_less_unless_it_tells_nothing(site: SiteConfig) -> None:
    chain = random_chain(site, 3, lagged=False)
    assert rig_of(site, replace(chain, lagged=True)).optimum(200) < rig_of(site, chain).optimum(200)
    same = PriceChain(np.full(2, 5.0), np.full((2, 2), 0.5), lagged=False)
    late = rig_of(site, replace(same, lagged=True)).optimum(200)
    assert late == pytest.approx(rig_of(site, same).optimum(200))


def test_a_played_policy_earns_what_drawn_plays_do(site: SiteConfig) -> None:
    chain = random_chain(site, 1, lagged=False)
    rig = rig_of(site, chain)
    keep, start = rig.greedy()
    params, n_paths, n_steps = compile_site(site), 4000, 30
    earned = []
    for bins in chain.draw(n_paths, n_steps, 5):
        up, down, total = 0, rig.n_down - 1, 0.0
        for k in bins:
            if up and (keep[k, up] or up < params.n_up_lock[0]):
                total += rig.run[k, up]
                up = min(up + 1, rig.n_up - 1)
            elif not up and start[k, down] and down >= params.n_down_lock[0]:
                total += rig.run[k, 0] - params.start_cost[0]
                up, down = 1, 0
            else:
                total += rig.rest[k]
                down = 1 if up else min(down + 1, rig.n_down - 1)
                up = 0
        earned.append(total)

    error = np.std(earned) / np.sqrt(n_paths)
    assert rig.played((keep, start), n_steps) == pytest.approx(np.mean(earned), abs=4.0 * error)


def test_chances_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        PriceChain(np.ones(2), np.array([[0.5, 0.4], [0.0, 1.0]]), lagged=False)
