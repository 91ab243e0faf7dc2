"""Rolling plans use what is known and learned alone, and earn nearly what can be earned."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gridhash.agents.analog_forecast import AnalogForecaster
from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.mpc import RollingPlanner, Variant
from gridhash.agents.outlook import Persistence
from gridhash.agents.plan_steps import plan_steps
from gridhash.agents.plan_view import class_power, fleet_view, plan_classes
from gridhash.agents.policy import ObservationReader
from gridhash.agents.roster import PLANNERS, build_policy, policy_names, tuned_policy
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError, DataError

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Play = Callable[..., float]


def sites_at(scenario: Scenario, row: int, *, n_sites: int = 1) -> BatchedSite:
    sites = BatchedSite(
        scenario, n_sites, EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24)
    )
    sites.start_at(row)
    return sites


@pytest.fixture(scope="module")
def wavy(
    japan_levels: SiteConfig,
    edit_site: EditSite,
    make_scenario: MakeScenario,
    make_prices: Callable[..., Any],
) -> Scenario:
    """Return 20 days of 15-minute decisions with surplus by day."""
    site = edit_site(japan_levels, {"dispatch_interval_s": 900})
    prices = make_prices(site, days=20, seed=4)
    hour = np.arange(len(prices)) / 2.0 % 24.0
    rng = np.random.default_rng(2)
    clear = np.repeat(rng.random(20), 48)
    surplus = np.clip(np.sin((hour - 6.0) / 12.0 * np.pi), 0.0, None) * clear
    return make_scenario(site, prices, {"surplus_frac": surplus})


def test_steps_of_a_plan_cover_the_horizon_and_grow_longer() -> None:
    steps = plan_steps(left=2, per_row=3, interval_h=1 / 12, horizon_h=24.0, longest=96)

    hours = steps.intervals.hours
    assert hours.sum() == pytest.approx(24.0 - 1 / 12)
    assert hours[:5] == pytest.approx(1 / 12)
    assert steps.first_row[:6].tolist() == [0, 0, 1, 1, 1, 2]
    assert (np.diff(hours) > -1e-9)[:-1].all()
    assert hours.max() == pytest.approx(1.0)
    assert steps.intervals.begin == pytest.approx((np.cumsum(hours) - hours) * 12)
    assert steps.horizon == 96
    assert steps.means(np.arange(96.0))[-1] == pytest.approx(
        np.mean(np.arange(96 - steps.n_rows[-1], 96))
    )


@pytest.mark.parametrize("name", list(PLANNERS))
def test_a_planner_comes_near_the_bound_where_prices_are_published(
    name: str, wavy: Scenario, play_policy: Play
) -> None:
    rows = (18 * 48, 19 * 48)
    planner = tuned_policy(name, wavy, (wavy.first_row, 17 * 48))
    bound = perfect_foresight_bound(wavy, rows).value

    profit = play_policy(planner, wavy, rows)

    assert planner.name == name
    assert play_policy(build_policy("level_rule", wavy.site), wavy, rows) < profit < bound
    assert profit > 0.97 * bound


def test_planners_are_named_but_stand_in_no_comparison_unasked(wavy: Scenario) -> None:
    assert not set(PLANNERS) & set(policy_names(wavy.site))
    assert build_policy("mpc", wavy.site).name == "mpc"


def test_a_plan_is_followed_until_the_next_and_made_anew_when_time_jumps(
    wavy: Scenario, play_policy: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    plan = RollingPlanner._plan

    def counted(self: RollingPlanner, observation: Any) -> list[Any]:
        made.append(1)
        return plan(self, observation)

    monkeypatch.setattr(RollingPlanner, "_plan", counted)
    planner = RollingPlanner(wavy.site, replan_every=4)
    rows = (18 * 48, 18 * 48 + 12)
    once = play_policy(RollingPlanner(wavy.site), wavy, rows)
    made.clear()

    several = play_policy(planner, wavy, rows)

    assert 6 <= len(made) <= 12
    assert several == pytest.approx(once, rel=0.02)
    made.clear()
    planner.act(sites_at(wavy, 10 * 48 + 7).observe())
    assert made == [1]


def test_sites_of_a_batch_are_planned_each_by_itself(wavy: Scenario) -> None:
    sites = sites_at(wavy, 18 * 48, n_sites=3)
    for level in (0.3, 1.0):
        sites.step(np.array([[level] * 4, [0.0] * 4, [1.0, 0.0, 1.0, 0.0]]))
    observation = sites.observe()

    together = RollingPlanner(wavy.site).act(observation)

    alone = [RollingPlanner(wavy.site).act(observation[k : k + 1])[0] for k in range(3)]
    assert together == pytest.approx(np.stack(alone), abs=1e-6)
    assert ((together >= 0.0) & (together <= 1.0)).all()


def test_the_fleet_is_read_as_it_is(wavy: Scenario) -> None:
    reader, classes = ObservationReader(wavy.site), plan_classes(wavy.params)
    sites = sites_at(wavy, 18 * 48)
    sites.step(np.array([[1.0, 1.0, 0.0, 0.0]]))
    sites.step(np.array([[1.0, 1.0, 0.0, 0.0]]))
    for action in ([0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]):
        sites.step(np.array([action]))

        fleet = fleet_view(reader, classes, sites.observe())

        (start,) = fleet.starts
        (rigs,) = classes
        begin = np.arange(5)
        up, down = sites.state.up[0].sum(axis=0), sites.state.down[0].sum(axis=0)
        true = replace(start, up=up, down=down)
        assert start.running == pytest.approx(up.sum(), rel=1e-6)
        assert start.held(rigs.n_up_lock, begin) == pytest.approx(
            true.held(rigs.n_up_lock, begin), abs=1e-3
        )
        assert start.startable(rigs.n_down_lock, begin) == pytest.approx(
            true.startable(rigs.n_down_lock, begin), abs=1e-3
        )
    power = class_power(fleet, rigs, running=fleet.running.sum(), power_kw=100.0)
    assert power[0] == 0.0
    assert sum(power.values()) == pytest.approx(100.0)


def test_forecasts_read_nothing_after_the_training_span(wavy: Scenario) -> None:
    rows = (wavy.first_row, 17 * 48)
    exogenous = wavy.exogenous
    market, seen = exogenous.market.copy(), exogenous.rows.copy()
    market[rows[1] :], seen[rows[1] :] = 7.0, 7.0
    other = replace(wavy, exogenous=exogenous._replace(market=market, rows=seen))
    observation = sites_at(wavy, 18 * 48 + 20).observe()

    outlooks = [AnalogForecaster(s, rows).outlook(observation, 60) for s in (wavy, other)]

    assert np.array_equal(outlooks[0].all_in_per_kwh, outlooks[1].all_in_per_kwh)
    assert np.array_equal(outlooks[0].surplus_kw, outlooks[1].surplus_kw)


def test_analogs_expect_the_sun_to_rise_where_persistence_does_not(wavy: Scenario) -> None:
    observation = sites_at(wavy, 18 * 48 + 8).observe()  # four in the morning
    forecaster = AnalogForecaster(wavy, (wavy.first_row, 17 * 48))

    learned = forecaster.outlook(observation, 30).mean().surplus_kw[0]

    contract_kw = wavy.params.contract_power_kw
    assert learned[16] > 0.2 * contract_kw  # at noon
    plain = Persistence(ObservationReader(wavy.site)).outlook(observation, 30)
    assert plain.surplus_kw.max() == pytest.approx(0.0, abs=1e-6)
    published = plain.all_in_per_kwh[0, :30]
    assert forecaster.outlook(observation, 30).all_in_per_kwh[:, :30] == pytest.approx(
        np.tile(published, (64, 1)), rel=1e-4
    )


def test_few_paths_keep_the_expectation_of_many(wavy: Scenario) -> None:
    observation = sites_at(wavy, 18 * 48 + 20).observe()
    many = AnalogForecaster(wavy, (wavy.first_row, 17 * 48)).outlook(observation, 60)

    few = many.strata(0.5)

    assert len(few.chance) == 5
    assert few.chance.sum() == pytest.approx(1.0)
    assert few.chance @ few.surplus_kw == pytest.approx(many.mean().surplus_kw[0])
    assert (many.quantile(0.9).surplus_kw <= many.quantile(0.1).surplus_kw).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quantile": 1.5, "variant": Variant.QUANTILE}, "quantile"),
        ({"horizon_h": 0.0}, "horizon_h"),
        ({"replan_every": 0}, "replan_every"),
    ],
)
def test_settings_out_of_range_are_refused(
    settings: dict[str, Any], message: str, wavy: Scenario
) -> None:
    with pytest.raises(ConfigError, match=message):
        RollingPlanner(wavy.site, **settings)


def test_a_span_too_short_to_learn_from_is_refused(wavy: Scenario) -> None:
    with pytest.raises(DataError, match="less than two weeks"):
        AnalogForecaster(wavy, (48, 96))
