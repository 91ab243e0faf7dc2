"""The base-point tracker in the kernel: within tolerance where a constant setpoint is not."""

from collections.abc import Callable

import numpy as np
import pytest

from gridhash.agents.policy import ObservationReader, Observations, Policy
from gridhash.agents.rules import AlwaysOn
from gridhash.agents.rules_base_point import BasePointTracker
from gridhash.config import SiteConfig
from gridhash.config_scenario import load_scenario_config
from gridhash.data.processes.base_points import with_base_points
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import observation_table
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.training.metrics_grid import base_point_deviation_frac, base_points_met_frac
from gridhash.training.play import play
from gridhash.training.played import Played

DAYS = 5


class Constant:
    """A share of full power, whatever is asked."""

    name = "constant"
    action_kind = ActionKind.POWER

    def __init__(self, load_frac: float) -> None:
        self._load_frac = load_frac

    def act(self, observation: Observations) -> Floats:
        return np.full((len(observation), 4), self._load_frac)


@pytest.fixture(scope="module")
def site() -> SiteConfig:
    return load_scenario_config("BasePoint").site


@pytest.fixture(scope="module")
def reachable(
    site: SiteConfig, edit_site: Callable[..., SiteConfig], make_scenario: Callable[..., Scenario]
) -> Scenario:
    """Return days of base points within reach, under prices and weather that wander."""
    rng = np.random.default_rng(7)
    n = DAYS * 288
    bare = edit_site(site, {"programs": {}})
    plain = make_scenario(bare, np.repeat(rng.uniform(2.0, 20.0, n // 6), 6)).trace
    process = load_scenario_config("BasePoint").processes
    assert process is not None
    assert process.base_points is not None
    drawn = with_base_points(plain, process.base_points, seed=7, site=site)
    path = drawn.column("base_point_frac")
    assert path.min() == 0.0
    assert path.max() > 0.99
    prices = plain.column("price_per_kwh")
    outdoor_c = 15.0 + 15.0 * np.sin(2.0 * np.pi * np.arange(n) / 288.0)
    return make_scenario(site, prices, {"base_point_frac": path, "outdoor_temp_c": outdoor_c})


def tracked(scenario: Scenario, policy: Policy) -> Played:
    return Played(
        scenario=scenario, run=play(scenario, policy, (scenario.first_row, scenario.n_rows))
    )


@pytest.mark.parametrize(("lean", "raise_first"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)])
def test_the_tracker_keeps_to_base_points_within_reach(
    lean: float, raise_first: float, site: SiteConfig, reachable: Scenario
) -> None:
    rule = BasePointTracker(site, lean=lean, raise_first=raise_first)

    played = tracked(reachable, rule)

    met, deviation = base_points_met_frac(played), base_point_deviation_frac(played)
    assert met is not None
    assert deviation is not None
    assert met >= 0.99
    assert deviation <= 0.02
    assert played.run.profit > tracked(reachable, AlwaysOn(site)).run.profit


@pytest.mark.parametrize("load_frac", [0.0, 0.5, 1.0])
def test_no_constant_setpoint_keeps_to_base_points(load_frac: float, reachable: Scenario) -> None:
    played = tracked(reachable, Constant(load_frac))

    met, deviation = base_points_met_frac(played), base_point_deviation_frac(played)
    assert met is not None
    assert deviation is not None
    assert met < 0.6
    assert deviation > 0.2


def seen(site: SiteConfig, **features: float) -> Observations:
    """Return one observation of a fleet at rest that may start, at 17 °C; features by name."""
    values = dict.fromkeys((feature.name for feature in observation_table(site)), 0.0)
    values |= {f"startable_frac_{group.name}": 1.0 for group in site.groups}
    values |= {"outdoor_temp_c": 17.0}
    assert set(features) <= set(values)
    return np.array([list((values | features).values())], dtype=np.float32)


def test_it_starts_no_more_rigs_than_can_stay(site: SiteConfig) -> None:
    base_kw = 1684.0
    observation = seen(site, base_point_frac=base_kw / 4520.0)

    action = BasePointTracker(site, lean=0.0).act(observation)[0]

    params = ObservationReader(site).params
    rigs = np.minimum(action / 0.5, 1.0) * params.n_rigs
    rig_kw = np.where(rigs > 0.0, action * params.n_rigs * 8.064 / np.maximum(rigs, 1e-9), 0.0)
    # Whole groups are raised to make up for what rigs lack that boot for 30 s of 300.
    assert rigs.sum() * 4.032 <= base_kw
    assert (0.9 * rigs * rig_kw).sum() == pytest.approx(base_kw, abs=60.0)
    assert rig_kw.max() > 4.1


def test_it_leans_to_the_side_that_earns(site: SiteConfig) -> None:
    rule = BasePointTracker(site, lean=0.5)
    running = {f"running_frac_{group.name}": 1.0 for group in site.groups}
    running |= {f"startable_frac_{group.name}": 0.0 for group in site.groups}
    asked = []
    for ratio in (0.1, 5.0):
        features = running | {"base_point_frac": 0.7, "price_ratio_000": ratio}
        action = rule.act(seen(site, **features))[0]
        asked.append(float(action @ (ObservationReader(site).params.n_rigs * 8.064)))

    assert asked[0] - asked[1] == pytest.approx(100.0, abs=5.0)


def test_a_site_without_base_points_is_left_to_the_level_rule(japan: SiteConfig) -> None:
    names = [feature.name for feature in observation_table(japan)]
    values = [0.25 if name.startswith("rule_load_frac") else 0.0 for name in names]

    action = BasePointTracker(japan).act(np.array([values], dtype=np.float32))

    assert action == pytest.approx(np.full((1, 4), 0.25))
