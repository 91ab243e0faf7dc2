"""What a policy sees: each number by hand, within its bounds."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.observation import observation_table, table_hash
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.envs.spaces import observation_space

MakeScenario = Callable[..., Scenario]
MakeSites = Callable[..., BatchedSite]
Seen = dict[str, float]


def seen(sites: BatchedSite, i: int = 0) -> Seen:
    """Return what site `i` observes, by name."""
    names = [feature.name for feature in sites.scenario.features]
    return dict(zip(names, sites.observe()[i].tolist(), strict=True))


def at_row(sites: BatchedSite, row: int, running_frac: float = 0.0) -> Seen:
    sites.start_at(row, running_frac=running_frac)
    return seen(sites)


@pytest.fixture(scope="module")
def numbered(japan: SiteConfig, make_scenario: MakeScenario) -> Scenario:
    """Return prices that tell their row: 0.01 JPY x row; measured columns likewise."""
    rows = np.arange(5 * 48)
    return make_scenario(
        japan,
        days=5,
        prices=rows / 100,
        columns={
            "surplus_frac": rows / 1000,
            "outdoor_temp_c": rows / 10,
            "hashprice_usd_per_phs_day": 38 + rows / 100,
        },
    )


def row_numbers(site: SiteConfig, observation: Seen, horizon: int = 72) -> npt.NDArray[np.int64]:
    """Return the rows whose prices the price vector shows."""
    ratios = np.array([observation[f"price_ratio_{k:03d}"] for k in range(horizon)])
    prices = ratios * observation["break_even_per_kwh"] - site.market.adders_per_kwh
    return np.rint(prices * 100).astype(np.int64)


@pytest.mark.parametrize(
    ("slot", "n_known"),
    [(0, 48), (24, 24), (25, 23 + 48), (26, 22 + 48), (47, 1 + 48)],
)
def test_price_vector_ends_where_publication_does_and_repeats_a_day_earlier(
    japan: SiteConfig, numbered: Scenario, make_sites: MakeSites, slot: int, n_known: int
) -> None:
    """Tomorrow's 48 prices are out at 12:30 Japan time, slot 25 (counted from 0)."""
    row = 2 * 48 + slot
    observation = at_row(make_sites(numbered), row)
    k = np.arange(72)

    expected = np.where(k < n_known, row + k, row + k - 48)
    beyond = expected >= row + n_known
    expected[beyond] -= 48
    assert row_numbers(japan, observation).tolist() == expected.tolist()
    assert observation["published_h"] == min(n_known, 72) / 2
    assert observation["price_per_kwh"] == pytest.approx(row / 100)


def test_measured_columns_are_the_last_complete_reading_and_hashprice_is_that_of_now(
    japan: SiteConfig, numbered: Scenario, make_sites: MakeSites
) -> None:
    row = 100
    sites = make_sites(numbered)
    observation = at_row(sites, row)

    assert observation["surplus_frac"] == pytest.approx(0.099)
    assert observation["outdoor_temp_c"] == pytest.approx(9.9)
    break_even = japan.break_even_per_kwh(japan.groups[0]) * (38 + 1.0) / 38
    assert observation["break_even_per_kwh"] == pytest.approx(break_even)
    sites.step(np.zeros((1, 4)))
    assert seen(sites)["outdoor_temp_c"] == pytest.approx(9.9), "the reading is not complete"


def test_calendar_is_local(numbered: Scenario, make_sites: MakeSites) -> None:
    """Row 108 is Wednesday 3 July 2024, 06:00 in Japan: a quarter of a day, day 184 of 365.25."""
    observation = at_row(make_sites(numbered), 108)

    assert [observation["hour_sin"], observation["hour_cos"]] == pytest.approx([1, 0], abs=1e-6)
    weekday = 2 * np.pi * 2 / 7
    assert observation["weekday_sin"] == pytest.approx(np.sin(weekday))
    assert observation["weekday_cos"] == pytest.approx(np.cos(weekday))
    season = 2 * np.pi * 184 / 365.25
    assert observation["season_sin"] == pytest.approx(np.sin(season), abs=1e-6)
    assert observation["season_cos"] == pytest.approx(np.cos(season), abs=1e-6)


def test_run_worth_is_the_plan_over_published_prices_in_costs_of_a_start(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """At 00:00 24 h are known: 2 h at 5 JPY (earning), 4 h at 20 (losing), the rest at 5.

    A rig earns 8.064 x 1.02 x (13.541769 - 10.5) = 25.0196 JPY/h at 5 JPY and loses
    8.064 x 1.02 x 11.958231 = 98.3603 JPY/h at 20 JPY; standing by would cost 0.020 x 1.02 x 10.5
    = 0.2142 and 0.020 x 1.02 x 25.5 = 0.5202 JPY/h. A start costs 10000 / 537 = 18.621974 JPY of
    wear and 60 s of 111.3848 JPY/h of hashes, 1.856414: 20.478388 JPY.

    From the end of the first period 1.5 h are left to earn, more than a start: to run then is
    worth a start. In the losing hours to run at the end of a period is worth nothing, but in the
    last of them, after which running pays.
    """
    prices = np.full(4 * 48, 5.0)
    prices[96 + 4 : 96 + 12] = 20.0
    sites = make_sites(make_scenario(japan, prices=prices))
    gain, loss = (25.0196 + 0.2142) / 20.478388, (-98.3603 + 0.5202) / 20.478388

    def squashed(value: float) -> float:
        return value / (1 + abs(value))

    observation = at_row(sites, 96)
    for group in ("loop_a", "loop_d"):
        worth = observation[f"run_worth_{group}"]
        assert worth == pytest.approx(squashed(1.0 + 0.5 * gain), rel=1e-5)
        assert observation[f"rule_load_frac_{group}"] == 1.0
    for _ in range(3):
        sites.step(np.zeros((1, 4)))
    assert seen(sites)["run_worth_loop_a"] == pytest.approx(squashed(1.0 + 0.25 * gain), rel=1e-5)
    first_losing = at_row(sites, 96 + 4)["run_worth_loop_a"]
    assert first_losing == pytest.approx(squashed(0.5 * loss), rel=1e-5)
    last_losing = at_row(sites, 96 + 11)["run_worth_loop_a"]
    assert last_losing == pytest.approx(squashed(1.0 + 0.5 * loss), rel=1e-5)


def test_fleet_features_follow_a_start_and_a_stop(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """40 % of a group runs; then all start; then, held up 30 min, those that may stop do."""
    scenario = make_scenario(japan, prices=5.0, columns={"outdoor_temp_c": 20.0})
    sites = make_sites(scenario, action_kind=ActionKind.POWER)

    def group(name: str) -> float:
        return seen(sites)[f"{name}_loop_b"]

    sites.start_at(scenario.first_row, running_frac=0.4)
    assert seen(sites)["minutes_left"] == 30.0
    assert group("running_frac") == pytest.approx(0.4)
    assert group("startable_frac") == pytest.approx(0.6)
    assert group("locked_up_frac") == group("locked_up_min") == group("locked_down_min") == 0.0
    assert group("load_frac") == pytest.approx(0.4)
    sites.step(np.ones((1, 4)))
    assert seen(sites)["minutes_left"] == 25.0
    assert group("running_frac") == 1.0
    assert group("starting_frac") == 0.0, "boot and warm-up end within the interval"
    assert group("locked_up_frac") == pytest.approx(0.6)
    assert group("locked_up_min") == 25.0
    assert group("startable_frac") == 0.0
    sites.step(np.zeros((1, 4)))
    assert group("running_frac") == pytest.approx(0.6)
    assert group("load_frac") == pytest.approx(0.6)
    assert group("locked_up_min") == 20.0
    assert group("locked_down_min") == 15.0
    assert group("startable_frac") == 0.0
    assert group("chip_temp_c") > group("coolant_temp_c") > 20.0
    assert group("chip_temp_c") == pytest.approx(sites.state.up_temp_c[0, 1, 2], rel=1e-6)
    for _ in range(4):
        sites.step(np.zeros((1, 4)))
    assert seen(sites)["minutes_left"] == 30.0
    assert group("locked_up_min") == 0.0
    assert group("startable_frac") == pytest.approx(0.4)


def test_a_start_longer_than_an_interval_is_seen_as_starting(
    japan: SiteConfig,
    edit_site: Callable[..., SiteConfig],
    make_sites: MakeSites,
    make_scenario: MakeScenario,
) -> None:
    site = edit_site(japan, {"groups.*.boot_s": 400.0, "groups.*.warm_up_s": 300.0})
    sites = make_sites(make_scenario(site), action_kind=ActionKind.POWER)
    sites.start_at(sites.scenario.first_row)
    fractions = []
    for _ in range(4):
        sites.step(np.full((1, 4), 0.5))
        fractions.append(seen(sites)["starting_frac_loop_a"])

    assert fractions == pytest.approx([0.5, 0.5, 0.0, 0.0])


@pytest.mark.parametrize("kind", list(ActionKind))
def test_observations_of_random_play_lie_in_the_space(
    busy_scenario: Scenario,
    make_sites: MakeSites,
    kind: ActionKind,
    random_play: Callable[..., Callable[[], npt.NDArray[np.float64]]],
) -> None:
    sites = make_sites(busy_scenario, 64, action_kind=kind)
    sites.start_at(busy_scenario.first_row, running_frac=0.5)
    next_action = random_play(kind, (64, 4), 11)
    space, bounds = observation_space(busy_scenario), busy_scenario.bounds
    lowest = np.full(len(bounds), np.inf)
    highest = np.full(len(bounds), -np.inf)
    for _ in range(500):
        observation = sites.step(next_action()).observation
        assert np.isfinite(observation).all()
        assert (observation >= bounds[:, 0]).all()
        assert (observation <= bounds[:, 1]).all()
        lowest = np.minimum(lowest, observation.min(0))
        highest = np.maximum(highest, observation.max(0))
    assert space.contains(observation[0].copy())
    names = [feature.name for feature in busy_scenario.features]
    still = {name for name, spread in zip(names, highest - lowest, strict=True) if spread == 0}
    assert {name.rsplit("_loop", 1)[0] for name in still} <= {"starting_frac", "tripped"}


def test_observations_stay_in_the_space_at_the_extremes_of_the_data(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """Prices at both ends of the schema, ±60 °C, hashprice from 1 to 5000 USD."""
    rng = np.random.default_rng(0)
    n = 4 * 48
    scenario = make_scenario(
        japan,
        prices=np.r_[rng.choice([-50.0, 0.01, 8.0, 1000.0], n)],
        columns={
            "outdoor_temp_c": rng.choice([-60.0, 60.0], n),
            "hashprice_usd_per_phs_day": rng.choice([1.0, 38.0, 5000.0], n),
            "surplus_frac": rng.choice([0.0, 1.0], n),
        },
    )
    sites = make_sites(scenario, 8)
    sites.start_at(scenario.first_row, running_frac=1.0)
    for _ in range(500):
        output = sites.step(rng.uniform(-1, 1, (8, 4)))
        assert (output.observation >= scenario.bounds[:, 0]).all()
        assert (output.observation <= scenario.bounds[:, 1]).all()
        assert np.isfinite(output.reward).all()
        assert np.isfinite(output.record).all()


def test_names_are_unique_and_bounds_are_in_order(japan_levels: SiteConfig) -> None:
    table = observation_table(japan_levels)
    names = [feature.name for feature in table]

    assert len(set(names)) == len(names)
    assert all(feature.low < feature.high for feature in table)
    assert all(feature.unit and feature.meaning for feature in table)


def test_table_hash_follows_the_table_and_nothing_else(
    japan: SiteConfig, edit_site: Callable[..., SiteConfig]
) -> None:
    same = edit_site(japan, {"limits.contract_power_kw": 9000.0, "groups.0.n_rigs": 20})
    others = [
        edit_site(japan, {"market.horizon_h": 24}),
        edit_site(japan, {"groups.0.name": "loop_z"}),
        edit_site(japan, {"market.settlement_period_s": 900, "market.horizon_h": 18}),
    ]

    assert table_hash(same) == table_hash(japan)
    assert len({table_hash(site) for site in [japan, *others]}) == 4


def test_a_trace_of_prices_alone_takes_the_figures_of_the_site(
    japan: SiteConfig, make_trace: Callable[..., Trace], make_sites: MakeSites
) -> None:
    scenario = build_scenario(japan, make_trace(japan))
    observation = at_row(make_sites(scenario), scenario.first_row)

    assert observation["outdoor_temp_c"] == japan.outdoor_temp_c
    assert observation["surplus_frac"] == 0.0
    assert observation["break_even_per_kwh"] == pytest.approx(
        japan.break_even_per_kwh(japan.groups[0])
    )
