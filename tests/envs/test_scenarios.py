"""The scenarios as environments: they are made, checked, repeated, varied and split."""

import warnings
from functools import cache

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import gridhash.envs.registration  # noqa: F401 - makes the ids known
from gridhash.config_scenario import load_scenario_config, parse_scenario, scenario_names
from gridhash.envs.columns import PRICE
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.named_scenario import (
    open_named_scenario,
    randomised,
    row_spans,
    scenario_trace,
)
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError

NAMES = scenario_names()
DAY_S = 86400


@cache
def opened(name: str) -> Scenario:
    """Return a whole scenario, opened once for all tests here."""
    return open_named_scenario(name)


def short(name: str) -> Scenario:
    return open_named_scenario(name, days=16)


def test_every_scenario_has_an_id() -> None:
    registered = {env_id for env_id in gymnasium.registry if env_id.startswith("gridhash/")}
    assert registered == {"gridhash/MiningSite-v0", *(f"gridhash/{name}-v0" for name in NAMES)}


@pytest.mark.parametrize("name", NAMES)
def test_make_needs_no_file_and_plays_the_named_scenario(name: str) -> None:
    env = gymnasium.make(f"gridhash/{name}-v0")
    site_env = env.unwrapped
    assert isinstance(site_env, MiningSiteEnv)
    assert site_env.scenario.site == load_scenario_config(name).site
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    for _ in range(3):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert np.isfinite(observation).all()
        assert np.isfinite(float(reward))
        assert not terminated
        assert not truncated


@pytest.mark.parametrize("name", NAMES)
def test_gymnasium_and_stable_baselines_check_env_find_nothing(name: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    scenario = short(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(f"gridhash/{name}-v0", scenario=scenario, episode_days=1.0)
        check_env(env.unwrapped, skip_render_check=True)
        checker.check_env(env.unwrapped)


def test_a_vector_environment_is_made_by_name() -> None:
    envs = gymnasium.make_vec(
        "gridhash/SpotJapan-v0",
        num_envs=3,
        vectorization_mode=gymnasium.VectorizeMode.VECTOR_ENTRY_POINT,
    )
    observation, _ = envs.reset(seed=1)
    assert observation.shape[0] == 3


def test_a_site_beside_a_named_scenario_is_refused() -> None:
    with pytest.raises(ConfigError, match="brings its own site"):
        MiningSiteEnv(scenario_name="SpotJapan", site="japan_pilot")


def test_spot_japan_is_the_plain_site_to_the_bit() -> None:
    plain = open_scenario(ScenarioRequest(site="japan_pilot"))
    scenario = opened("SpotJapan")

    assert scenario.site == plain.site
    assert scenario.market.tobytes() == plain.market.tobytes()
    assert scenario.rows.tobytes() == plain.rows.tobytes()
    assert scenario.features == plain.features
    assert scenario.first_row == plain.first_row


@pytest.mark.parametrize("name", NAMES)
def test_every_column_that_is_drawn_is_labelled_so(name: str) -> None:
    """What no real series stands behind says so in the notes of its trace."""
    trace = opened(name).trace
    labels = " ".join(note for note in trace.notes if note.startswith("synthetic: "))

    assert [column for column in trace.frame.columns if column not in labels] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_draws_the_same_bits_and_another_others(name: str) -> None:
    config = load_scenario_config(name)
    first, again, other = (
        scenario_trace(config, seed=seed, years=1, days=16) for seed in (3, 3, 4)
    )

    assert first.frame.to_numpy().tobytes() == again.frame.to_numpy().tobytes()
    assert first.frame.to_numpy().tobytes() != other.frame.to_numpy().tobytes()
    assert list(first.frame.columns) == list(other.frame.columns)


def test_a_scenario_based_on_base_points_may_ask_for_anything() -> None:
    values = {"processes": {"base_points": {"within_reach": False}}}
    free = parse_scenario({"name": "Anything", "based_on": "BasePoint", **values}, origin="here")
    wanted, promised = (
        scenario_trace(config, years=1, days=30).column("base_point_frac")
        for config in (free, load_scenario_config("BasePoint"))
    )

    highest = 4500.0 / 4520.0
    assert wanted.max() == promised.max() == pytest.approx(highest)
    assert promised.min() == 0.0
    assert 0.01 < (wanted != promised).mean() < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_spans_are_disjoint_with_an_embargo_and_the_test_is_the_end(name: str) -> None:
    scenario, settings = opened(name), load_scenario_config(name).spans
    spans = row_spans(scenario, settings)
    embargo_rows = settings.embargo_days * DAY_S / scenario.trace.period_s

    assert spans.train[0] >= scenario.first_row
    assert spans.validate[0] - spans.train[1] >= embargo_rows
    assert spans.test[0] - spans.validate[1] >= embargo_rows
    assert spans.test[1] == scenario.n_rows
    for first, last in (spans.train, spans.validate, spans.test):
        assert (last - first) * scenario.trace.period_s >= 14 * DAY_S
        local = scenario.trace.starts[first].tz_convert(scenario.site.timezone)
        assert (local.hour, local.minute) == (0, 0)


@pytest.mark.parametrize("name", NAMES)
def test_randomised_variants_lie_in_their_ranges_and_repeat(name: str) -> None:
    config = load_scenario_config(name)
    variants = randomised(config, 3, seed=5, years=1, days=8)
    again = randomised(config, 2, seed=5, years=1, days=8)
    ranges = config.randomisation

    assert [v.site for v in variants[:2]] == [v.site for v in again]
    assert variants[0].market.tobytes() == again[0].market.tobytes()
    assert len({v.site for v in variants}) == 3
    for variant in variants:
        site, frame = variant.site, variant.trace.frame
        wanted = ranges.hashprice_usd_per_phs_day
        assert wanted is not None
        assert wanted.low <= site.mining.hashprice_usd_per_phs_day <= wanted.high
        if "hashprice_usd_per_phs_day" in frame:
            mean = frame["hashprice_usd_per_phs_day"].mean()
            assert mean == pytest.approx(site.mining.hashprice_usd_per_phs_day)
        if ranges.curve_b is not None:
            assert all(ranges.curve_b.low <= g.curve_b <= ranges.curve_b.high for g in site.groups)
        if ranges.adders_per_kwh is not None:
            adders = ranges.adders_per_kwh
            assert adders.low <= site.market.adders_per_kwh <= adders.high
        if ranges.start_cost_per_fleet_start is not None:
            cost = ranges.start_cost_per_fleet_start
            assert cost.low <= site.start_cost_per_fleet_start <= cost.high


@pytest.mark.parametrize(
    ("lagged", "current"),
    [("RealTimeErcot", "RealTimeErcotCurrent"), ("RealTimeNem", "RealTimeNemCurrent")],
)
def test_a_lagged_price_is_seen_one_period_later_than_a_current_one(
    lagged: str, current: str
) -> None:
    """Both settle the same prices; the policy sees them a period apart."""
    late, now = opened(lagged), opened(current)
    seen = [f.name for f in late.features].index("price_per_kwh")

    assert late.market[:, PRICE].tobytes() == now.market[:, PRICE].tobytes()
    real = late.trace.column("real_time_price_per_kwh").astype(np.float32)
    assert (now.rows[:, seen] == real).all()
    assert (late.rows[1:, seen] == real[:-1]).all()


def test_variants_on_the_same_prices_differ_in_what_is_drawn_alone() -> None:
    config = load_scenario_config("DayAheadEurope")
    trace = scenario_trace(config, days=8)
    for variant in randomised(config, 2, seed=1, new_prices=False, days=8):
        assert variant.trace.frame.equals(trace.frame)
        assert variant.site != config.site


def test_years_are_drawn_and_days_are_cut() -> None:
    config = load_scenario_config("JapanPilot")

    assert scenario_trace(config, years=1).n_rows == 366 * 48  # FY2023 holds 29 February
    assert scenario_trace(config, days=16).n_rows == 16 * 48
    with pytest.raises(ConfigError, match="days 1"):
        scenario_trace(config, days=1)
    with pytest.raises(ConfigError, match="years 0"):
        scenario_trace(config, years=0)
