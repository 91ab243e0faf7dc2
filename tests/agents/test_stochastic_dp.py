"""The table is the exact optimum of its chain, and the exact plan where nothing is uncertain."""

import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import linprog

from gridhash.agents.day_ahead_dp import decision_advantages
from gridhash.agents.policy import ObservationReader
from gridhash.agents.price_chain import ChainSettings, PriceChain, fit_chain
from gridhash.agents.rules import Hysteresis, LevelRule
from gridhash.agents.stochastic_dp import SHAPES, StochasticDP, solve_table
from gridhash.agents.stochastic_tuning import is_worth_trying, tune_stochastic_dp
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.observation import observation_table
from gridhash.envs.parameters import SiteParameters
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError, PolicyError

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Play = Callable[..., float]
Floats = npt.NDArray[np.float64]
EXACT = ChainSettings(n_prices=12, smoothing_h=0.0, prior_count=0.0, price_factors=(1.0,))


@pytest.fixture(scope="module")
def coarse(single_group: SiteConfig, edit_site: EditSite) -> SiteConfig:
    """Return one group in half-hour steps and hourly prices: 480 states of a rig in a day."""
    return edit_site(
        single_group,
        {
            "dispatch_interval_s": 1800,
            "market.settlement_period_s": 3600,
            "start_cost_per_fleet_start": 3000.0,
            "groups.*.min_up_s": 5400.0,
            "groups.*.min_down_s": 3600.0,
            "groups.*.warm_up_s": 300.0,
        },
    )


@pytest.fixture(scope="module")
def two_prices(coarse: SiteConfig) -> PriceChain:
    """Return a cheap and a dear price that change by chance, more often by day."""
    leaves = 0.15 + 0.25 * np.sin(np.arange(24) / 24.0 * np.pi)
    transition = np.empty((1, 24, 2, 2))
    transition[0, :, 0, 1] = leaves
    transition[0, :, 1, 0] = 0.6 - leaves
    transition[0, :, 0, 0] = 1.0 - transition[0, :, 0, 1]
    transition[0, :, 1, 1] = 1.0 - transition[0, :, 1, 0]
    price = np.tile([0.8, 1.25], (1, 24, 1))
    return PriceChain(
        price_centre=price[0, 0],
        second_edge=np.empty(0),
        transition=transition,
        price_ratio=price,
        surplus_frac=np.zeros((1, 24, 2)),
    )


State = tuple[int, int, int, bool, int]
"""Period, interval of it, price, whether the rig runs, intervals since its start or stop."""


def exact_optimum(
    params: SiteParameters, chain: PriceChain, break_even: float, revenue: float
) -> tuple[float, dict[tuple[State, bool], float]]:
    """Return profit per interval and how often each (state, run) occurs, by linear programming."""
    per_period = params.intervals_per_period
    n_up, n_down = params.start_power_frac.shape[1], max(int(params.n_down_lock[0]), 1) + 1
    ages = [(True, a) for a in range(1, n_up)] + [(False, a) for a in range(1, n_down)]
    states: list[State] = [
        (s, t, x, *age)
        for s, t, x, age in itertools.product(range(24), range(per_period), range(2), ages)
    ]
    index = {state: k for k, state in enumerate(states)}
    hours = params.interval_s / 3600.0
    pairs: list[tuple[State, bool]] = []
    rewards: list[float] = []
    columns: list[Floats] = []
    for state in states:
        s, t, x, on, age = state
        for run in (False, True):
            lock = params.n_up_lock[0] if on else params.n_down_lock[0]
            if run is not on and age < lock:
                continue
            running_age = age if on else 0
            share = params.start_power_frac[0, running_age] if run else 0.0
            kw = share * params.level_kw[0, 0] + (1.0 - share) * params.standby_kw[0]
            phs = params.level_phs[0, 0] * params.start_hash_frac[0, running_age] if run else 0.0
            price = chain.price_ratio[0, s, x] * break_even * params.pue_for_planning
            reward = hours * (phs * revenue / 24.0 - kw * price)
            reward -= params.start_cost[0] if run and not on else 0.0
            new_age = min(age + 1, (n_up if run else n_down) - 1) if run is on else 1
            column = np.zeros(len(states))
            column[index[state]] += 1.0
            if t + 1 < per_period:
                column[index[s, t + 1, x, run, new_age]] -= 1.0
            else:
                for y in range(2):
                    column[index[(s + 1) % 24, 0, y, run, new_age]] -= chain.transition[0, s, x, y]
            pairs.append((state, run))
            rewards.append(float(reward))
            columns.append(column)
    flow = np.vstack([np.column_stack(columns), np.ones(len(pairs))])
    right = np.zeros(len(states) + 1)
    right[-1] = 1.0
    solved = linprog(-np.array(rewards), A_eq=flow, b_eq=right, method="highs")
    assert solved.status == 0
    return -float(solved.fun), dict(zip(pairs, map(float, solved.x), strict=True))


def seen(site: SiteConfig, **features: float) -> npt.NDArray[np.float32]:
    """Return one observation with features by name, all others 0."""
    names = [feature.name for feature in observation_table(site)]
    assert set(features) <= set(names)
    return np.array([[features.get(name, 0.0) for name in names]], dtype=np.float32)


def test_on_a_markov_price_the_table_earns_and_does_the_exact_optimum(
    coarse: SiteConfig, two_prices: PriceChain
) -> None:
    reader = ObservationReader(coarse)
    break_even = coarse.break_even_per_kwh(coarse.groups[0])
    revenue = break_even * 24.0 * reader.params.pue_for_planning / reader.site_phs_per_kw

    optimum, often = exact_optimum(reader.params, two_prices, break_even, revenue)
    profit = solve_table(coarse, two_prices, np.zeros(1, dtype=np.int64), break_even)[1]

    assert profit[0, 0] == pytest.approx(48 * optimum, rel=1e-6)
    policy = StochasticDP.of_chain(
        coarse, two_prices, ChainSettings(), break_even_per_kwh=break_even
    )
    decided = set()
    oldest = {True: reader.params.start_power_frac.shape[1] - 1, False: 2}
    for ((s, t, x, on, age), run), share in often.items():
        if share < 1e-7 or age < oldest[on]:
            continue
        angle = 2.0 * np.pi * s / 24.0
        observation = seen(
            coarse,
            hour_sin=np.sin(angle),
            hour_cos=np.cos(angle),
            weekday_cos=1.0,
            season_cos=1.0,
            price_ratio_000=two_prices.price_centre[x],
            break_even_per_kwh=break_even,
            minutes_left=60.0 - 30.0 * t,
        )
        keep, start = policy.advantages(observation)[0, 0]
        assert (keep >= 0.0 if on else start > 0.0) == run, (s, t, x, on)
        decided.add((on, run))
    assert decided == {(True, True), (True, False), (False, True), (False, False)}


@pytest.mark.parametrize("second", ["", "ahead"])
def test_on_prices_that_repeat_every_day_the_table_is_the_exact_plan(
    second: str, single_group: SiteConfig, make_scenario: MakeScenario
) -> None:
    break_even = single_group.break_even_per_kwh(single_group.groups[0])
    rng = np.random.default_rng(3)
    ratio = rng.choice([0.5, 0.7, 0.85, 0.95, 1.05, 1.2, 1.5, 2.0], 48)
    day = ratio * break_even - single_group.market.adders_per_kwh
    scenario = make_scenario(single_group, np.tile(day, 24))
    rows = (scenario.first_row, scenario.n_rows)
    settings = replace(EXACT, second=second, n_second=12)

    policy = StochasticDP.fit(scenario, rows, settings)
    plan = decision_advantages(scenario, rows)

    middle = range(10 * 48, 11 * 48)
    sites = BatchedSite(scenario, len(middle), EpisodeRules(episode_days=1 / 48))
    sites.start_at(scenario.first_row)
    sites.state.row[:] = scenario.first_row + np.array(middle)
    advantage = policy.advantages(sites.observe())
    first = np.array(middle) * scenario.steps_per_row
    scale = np.abs(plan.keep).max()
    assert advantage[:, 0, 0] == pytest.approx(plan.keep[first, 0], abs=1e-5 * scale)
    assert advantage[:, 0, 1] == pytest.approx(plan.start[first, 0], abs=1e-5 * scale)
    assert {bool(x > 0.0) for x in plan.start[first, 0]} == {True, False}


@pytest.fixture(scope="module")
def noisy(japan: SiteConfig, make_scenario: MakeScenario) -> Scenario:
    """Return 120 days of prices around break-even: a daily course, and noise for hours."""
    rng = np.random.default_rng(11)
    n = 120 * 48
    score = np.zeros(n)
    for k in range(1, n):
        score[k] = 0.8 * score[k - 1] + 0.6 * rng.normal()
    level = japan.break_even_per_kwh(japan.groups[0])
    course = 0.3 * np.sin(4.0 * np.pi * np.arange(n) / 48)
    prices = level * (1.0 + course + 0.25 * score) - japan.market.adders_per_kwh
    return make_scenario(japan, prices)


def test_it_beats_hysteresis_on_days_that_it_never_saw(noisy: Scenario, play_policy: Play) -> None:
    train, unseen = (noisy.first_row, 80 * 48), (82 * 48, noisy.n_rows)

    fitted = StochasticDP.fit(noisy, train, ChainSettings())

    level = play_policy(LevelRule(noisy.site), noisy, unseen)
    hysteresis = max(
        play_policy(Hysteresis(noisy.site, start_ratio=low, stop_ratio=high), noisy, unseen)
        for low, high in ((0.95, 1.1), (0.9, 1.2), (0.85, 1.3))
    )
    assert play_policy(fitted, noisy, unseen) > hysteresis > level


def test_settings_are_chosen_where_there_is_enough_to_hold_out(noisy: Scenario) -> None:
    first = noisy.first_row

    tuned = tune_stochastic_dp(noisy, (first, first + 21 * 48))
    untuned = tune_stochastic_dp(noisy, (first, first + 10 * 48))

    assert untuned.arrays["table"].shape[:2] == (48, ChainSettings().n_prices)
    assert tuned.arrays["table"].shape[1] <= 160
    assert tuned.arrays["table"].shape[:2] != untuned.arrays["table"].shape[:2]


@pytest.mark.parametrize(
    ("change", "tried"),
    [
        ({"n_prices": 24}, True),
        ({"n_prices": 200}, False),
        ({"second": "ahead"}, True),
        ({"second": "surplus"}, False),
        ({"n_second": 9}, False),
        ({"n_seasons": 4}, False),
        ({"weekends": True}, True),
    ],
)
def test_only_changes_that_mean_something_are_tried(
    change: dict[str, Any], tried: bool, noisy: Scenario
) -> None:
    """120 days without surplus, and no second feature so far."""
    changed = replace(ChainSettings(), **change)

    assert (
        is_worth_trying(noisy, (noisy.first_row, noisy.n_rows), ChainSettings(), changed) is tried
    )


@pytest.mark.parametrize(
    "settings",
    [
        ChainSettings(),
        ChainSettings(second="surplus", n_second=4, weekends=True),
        ChainSettings(second="ahead", n_seasons=4, smoothing_h=0.0, prior_count=0.0),
    ],
)
def test_probabilities_of_a_chain_add_up_to_one(
    settings: ChainSettings, lively_scenario: Scenario
) -> None:
    rows = (lively_scenario.first_row, lively_scenario.n_rows)

    chain = fit_chain(lively_scenario, rows, settings)

    assert chain.transition.min() >= 0.0
    assert chain.transition.sum(axis=-1) == pytest.approx(1.0)
    assert chain.transition.shape[0] == settings.n_kinds
    assert chain.surplus_frac.max() > 0.0
    assert (np.diff(chain.price_centre) > 0.0).all()


def test_a_chain_counts_what_followed(
    single_group: SiteConfig, make_scenario: MakeScenario
) -> None:
    """Cheap half-hours come in pairs and dear ones alone, whatever the time."""
    break_even = single_group.break_even_per_kwh(single_group.groups[0])
    prices = np.tile([0.5, 0.5, 2.0], 5 * 16) * break_even - single_group.market.adders_per_kwh
    scenario = make_scenario(single_group, prices)

    rows = (scenario.first_row, scenario.n_rows)
    chain = fit_chain(scenario, rows, ChainSettings(smoothing_h=100.0, price_factors=(1.0,)))
    twice = fit_chain(scenario, rows, ChainSettings(smoothing_h=100.0, price_factors=(1.0, 1.5)))

    assert chain.price_centre == pytest.approx([0.5, 2.0])
    moves = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert chain.transition[0, 0] == pytest.approx(moves, abs=0.02)
    # Counted again at half as much more: both chains side by side, and no way between them.
    assert twice.price_centre == pytest.approx([0.5, 0.75, 2.0, 3.0])
    assert twice.transition[0, 0][::2, ::2] == pytest.approx(moves, abs=0.02)
    assert twice.transition[0, 0][1::2, 1::2] == pytest.approx(moves, abs=0.02)
    assert twice.price_ratio[0, 0] == pytest.approx([0.5, 0.75, 2.0, 3.0], rel=1e-6)


def test_a_late_price_is_taken_for_what_follows_it(
    single_group: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario
) -> None:
    """The price alternates; the newest known one is that of the period before."""
    site = edit_site(
        single_group,
        {"tariff": {"settles_at": "real_time_price_per_kwh", "price_known": "lagged"}},
    )
    break_even = site.break_even_per_kwh(site.groups[0])
    real_time = np.tile([0.2, 1.8], 10 * 24) * break_even - site.market.adders_per_kwh
    scenario = make_scenario(site, np.full(480, break_even), {"real_time_price_per_kwh": real_time})
    rows = (scenario.first_row, scenario.n_rows)

    policy = StochasticDP.fit(scenario, rows, EXACT)

    sites = BatchedSite(scenario, 2, EpisodeRules(episode_days=1 / 24))
    sites.start_at(scenario.first_row, running_frac=1.0)
    sites.state.row[1] += 1
    observation = sites.observe()
    newest = ObservationReader(site).value(observation, "price_ratio_000")
    assert newest == pytest.approx([1.8, 0.2], rel=1e-5)
    keep = policy.advantages(observation)[:, 0, 0]
    assert keep[0] > 0.0 > keep[1]


def test_it_is_carried_as_plain_arrays(noisy: Scenario) -> None:
    policy = StochasticDP.fit(noisy, (noisy.first_row, 30 * 48), ChainSettings(n_prices=6))
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **policy.arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again = StochasticDP(noisy.site, dict(stored))

    sites = BatchedSite(noisy, 50, EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(50), np.random.default_rng(0))
    observation = sites.observe()
    assert np.array_equal(again.act(observation), policy.act(observation))
    assert len(np.unique(policy.act(observation))) > 1
    assert policy.action_kind is ActionKind.POWER


@pytest.mark.parametrize("name", list(SHAPES))
def test_arrays_that_do_not_fit_are_refused(
    name: str, coarse: SiteConfig, two_prices: PriceChain, japan: SiteConfig
) -> None:
    arrays: dict[str, npt.NDArray[Any]] = dict(
        StochasticDP.of_chain(coarse, two_prices, ChainSettings(), break_even_per_kwh=14.0).arrays
    )
    StochasticDP(coarse, arrays)
    wrong = arrays[name][..., None]
    not_finite = np.full(arrays[name].shape, np.nan)

    with pytest.raises(PolicyError, match=name):
        StochasticDP(coarse, {**arrays, name: wrong})
    if arrays[name].size:
        with pytest.raises(PolicyError, match=name):
            StochasticDP(coarse, {**arrays, name: not_finite})
    with pytest.raises(PolicyError, match="needs the arrays"):
        StochasticDP(coarse, {key: array for key, array in arrays.items() if key != name})
    with pytest.raises(PolicyError, match="fit it on this site"):
        StochasticDP(japan, arrays)


@pytest.mark.parametrize(
    "values",
    [
        {"n_prices": 0},
        {"second": "wind"},
        {"smoothing_h": -1.0},
        {"prior_count": -1.0},
        {"price_factors": ()},
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ChainSettings(**values)
