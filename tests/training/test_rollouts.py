"""Plays that differ in one action: what they leave out changes nothing, what they find is so."""

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.agents.rules import AlwaysOff, LevelRule
from gridhash.config import load_site
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.parameters import Floats, compile_site
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.training import rollouts
from gridhash.training.improvement import candidate_actions
from gridhash.training.rollouts import compare_actions, visit

HOURS = 6
ACTIONS = np.array([-1.0, -0.2, 0.0, 0.2, 1.0])


class ZeroShadow:
    """The level rule as a shadow price."""

    name = "zero"
    action_kind = ActionKind.SHADOW_PRICE

    def __init__(self, n_groups: int) -> None:
        self.n_groups = n_groups

    def act(self, observation: npt.NDArray[np.float32]) -> Floats:
        return np.zeros((len(observation), self.n_groups))


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario("JapanPilot", years=1, days=40)


def test_visited_states_are_playable_and_seen_as_they_are(four_weeks: Scenario) -> None:
    rows = (24, 20 * 24)
    policy = LevelRule(four_weeks.site)
    visited = visit(four_weeks, rows, policy, 30, np.random.default_rng(0))
    assert visited.observation.shape == (30, len(four_weeks.features))
    assert ((visited.state.row >= rows[0]) & (visited.state.row < rows[1])).all()
    sites = BatchedSite(four_weeks, 30, EpisodeRules())
    for name in sites.state._fields:
        getattr(sites.state, name)[...] = getattr(visited.state, name)
    np.testing.assert_array_equal(sites.observe(), visited.observation)


@pytest.mark.parametrize("name", ["plain", "programs"])
def test_ending_plays_that_became_alike_loses_no_money(
    name: str, four_weeks: Scenario, pilot: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = four_weeks if name == "plain" else pilot
    rows = (scenario.first_row, scenario.n_rows)
    steps = HOURS * 3600 // scenario.site.dispatch_interval_s

    def compared() -> Floats:
        return compare_actions(
            scenario,
            rows,
            ZeroShadow(scenario.n_groups),
            actions=ACTIONS,
            n_states=60,
            horizon_steps=steps,
            rng=np.random.default_rng(4),
        ).gain.astype(np.float64)

    shortened = compared()
    monkeypatch.setattr(rollouts, "CHECK_STEPS", 10_000)
    monkeypatch.setattr(rollouts, "_leaders", lambda setpoint, reward: _nobody_leads(reward))
    whole = compared()
    assert np.abs(whole).max() > 100.0 * np.abs(whole - shortened).max()
    assert np.corrcoef(whole.ravel(), shortened.ravel())[0, 1] > 0.9999


def _nobody_leads(reward: Floats) -> npt.NDArray[np.int64]:
    return np.tile(np.arange(reward.shape[1]), (len(reward), 1))


def test_stopping_loses_what_running_at_half_the_break_even_earns(four_weeks: Scenario) -> None:
    site, trace = four_weeks.site, four_weeks.trace
    half = min(site.break_even_per_kwh(group) for group in site.groups) / 2
    price = np.full(trace.n_rows, half - site.market.adders_per_kwh)
    cheap = build_scenario(site, trace.with_columns({"price_per_kwh": price}))
    found = compare_actions(
        cheap,
        (24, 20 * 24),
        ZeroShadow(cheap.n_groups),
        actions=ACTIONS,
        n_states=40,
        horizon_steps=24,
        rng=np.random.default_rng(1),
    )
    np.testing.assert_allclose(found.gain.sum(axis=1), 0.0, atol=1e-3)
    # The policy's own action, zero, is compared as well.
    assert found.gain.shape[1] == len(ACTIONS) + 1
    assert (found.actions == 0.0).any(axis=1).all()
    # Below the price nothing changes; a whole break-even above it stops what may be stopped.
    np.testing.assert_array_equal(found.gain[:, 0], found.gain[:, 2])
    assert (found.gain[:, -1] <= found.gain[:, 0]).all()
    assert (found.gain[:, -1] < found.gain[:, 0] - 1e-3).mean() > 0.3


def test_the_same_seed_compares_the_same(four_weeks: Scenario) -> None:
    def once() -> rollouts.Comparison:
        return compare_actions(
            four_weeks,
            (24, 20 * 24),
            ZeroShadow(four_weeks.n_groups),
            actions=ACTIONS,
            n_states=20,
            horizon_steps=12,
            rng=np.random.default_rng(9),
        )

    first, second = once(), once()
    np.testing.assert_array_equal(first.gain, second.gain)
    np.testing.assert_array_equal(first.group, second.group)
    np.testing.assert_array_equal(first.observation, second.observation)


def test_states_at_home_are_those_of_the_policy_alone(four_weeks: Scenario) -> None:
    policy = AlwaysOff(four_weeks.site)
    rows = (24, 28 * 24)
    home, abroad = (
        visit(four_weeks, rows, policy, 200, np.random.default_rng(3), astray=astray)
        for astray in (False, True)
    )
    assert home.state.up.sum() == 0.0
    assert abroad.state.up.sum() > 0.0


def test_power_is_compared_as_well_as_shadow_prices() -> None:
    params = compile_site(load_site("japan_pilot"))
    actions = candidate_actions(ActionKind.POWER, params)
    assert (actions[0], actions[-1]) == (0.0, 1.0)
    assert (np.diff(actions) > 0.0).all()
