"""Labels say what the teacher does, weigh what a mistake costs, and can be learned."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import ObservationReader
from gridhash.agents.rules import LevelRule
from gridhash.envs.action import ActionKind, wanted_power
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import N_MARKET, REVENUE, SEEN_ALL_IN
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.training.config import ImitationSettings, TrainingConfig
from gridhash.training.play import play
from gridhash.training.spans import Spans

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from gridhash.envs.spaces import action_space, observation_space
from gridhash.training.imitation import (
    DecisionSample,
    clone,
    draw_decisions,
    label,
    shift_prices,
    start_hours,
)
from gridhash.training.network import actor_weights, normalisation, policy_kwargs
from gridhash.training.progress import TrainingRecord, silent

Floats = npt.NDArray[np.float64]


def with_start_cost(scenario: Scenario, cost: float) -> Scenario:
    site = scenario.site.model_copy(update={"start_cost_per_fleet_start": cost})
    return build_scenario(site, scenario.trace)


def drawn(
    scenario: Scenario, spans: Spans, n_samples: int, seed: int = 0, **settings: Any
) -> DecisionSample:
    return draw_decisions(
        scenario,
        spans.train,
        ImitationSettings(
            n_samples=n_samples, **{"n_price_shifts": 5, "level_shift_sd": 0.08} | settings
        ),
        np.random.default_rng(seed),
    )


def power_at(scenario: Scenario, observation: npt.NDArray[np.float32], action: Floats) -> Floats:
    """Return the rig power, (N, G), that merit order gives to shadow prices at observed prices."""
    reader = ObservationReader(scenario.site)
    n, n_groups = action.shape
    market = np.zeros((n, N_MARKET + 2 * n_groups))
    market[:, SEEN_ALL_IN] = (
        reader.value(observation, "price_per_kwh") + scenario.params.adders_per_kwh
    )
    market[:, REVENUE] = reader.revenue_per_phs_day(observation)
    wanted_kw = np.zeros((n, n_groups))
    scratch = np.zeros((5, n_groups))
    for i in range(n):
        wanted_power(
            scenario.params,
            market,
            i,
            int(ActionKind.SHADOW_PRICE),
            np.ascontiguousarray(action[i]),
            scratch,
            wanted_kw[i],
        )
    return wanted_kw


@pytest.fixture(scope="module")
def costly(four_weeks: Scenario) -> Scenario:
    """Return the weeks with starts so dear that the level rule cycles too often."""
    return with_start_cost(four_weeks, 100.0)


@pytest.fixture(scope="module")
def sample(costly: Scenario, four_week_spans: Spans) -> DecisionSample:
    return drawn(costly, four_week_spans, 900)


@pytest.fixture(scope="module")
def cloned(
    costly: Scenario, four_week_spans: Spans
) -> tuple[ActorCriticPolicy, list[TrainingRecord]]:
    decisions = drawn(costly, four_week_spans, 8000)
    config = TrainingConfig(
        hidden=(64,),
        imitation=ImitationSettings(n_epochs=16, batch_size=256, learning_rate=5e-3),
    )
    torch.manual_seed(0)
    policy = ActorCriticPolicy(
        observation_space(costly),
        action_space(costly, ActionKind.SHADOW_PRICE),
        lambda _: 1e-3,
        **policy_kwargs((64,), *normalisation(decisions.observation), 0.05),
    )
    return policy, list(clone(policy, decisions, config, silent))


def test_merit_order_turns_a_group_on_exactly_below_its_margin(
    costly: Scenario, sample: DecisionSample
) -> None:
    margin = sample.margin.astype(np.float64)
    reachable = np.abs(margin) < 0.99

    below = power_at(costly, sample.observation, margin - 1e-3)
    above = power_at(costly, sample.observation, margin + 1e-3)

    assert reachable.mean() > 0.9
    full_kw = costly.params.n_rigs * costly.params.level_kw[:, -1]
    np.testing.assert_allclose(below[reachable], np.tile(full_kw, (len(margin), 1))[reachable])
    assert (above[reachable] == 0.0).all()


@pytest.mark.parametrize("start_cost", [0.0, 30.0, 100.0])
def test_a_shadow_price_on_the_side_that_the_label_names_does_what_the_teacher_does(
    start_cost: float, four_weeks: Scenario, four_week_spans: Spans
) -> None:
    scenario = with_start_cost(four_weeks, start_cost)
    decisions = drawn(scenario, four_week_spans, 900)
    observation, margin = decisions.observation, decisions.margin.astype(np.float64)
    runs = decisions.advantage > 0.0
    action = np.where(runs, margin - 1e-3, margin + 1e-3)
    reader = ObservationReader(scenario.site)
    running = reader.of_groups(observation, "running_frac")
    free = running - reader.of_groups(observation, "locked_up_frac")
    free += reader.of_groups(observation, "startable_frac")
    # A group that runs in part may keep its rigs and start no others: one label cannot say both.
    whole = np.isin(running, (0.0, 1.0)) & (free > 1.0 - 1e-6) & (np.abs(margin) < 0.99)

    wanted_kw = power_at(scenario, observation, action)
    teacher = DayAheadDP(scenario.site).act(observation)

    assert whole.mean() > 0.3, "the others run in part, or were just told something else"
    np.testing.assert_array_equal((wanted_kw > 0.0)[whole], (teacher > 0.0)[whole])
    assert 0.05 < runs[whole].mean() < 0.95
    static = margin > 0.0
    if start_cost > 0.0:
        assert (runs != static)[whole].mean() > 0.02, "labels go beyond the level rule"
    else:
        assert decisions.start_hours < 0.1


def test_groups_that_are_bound_weigh_nothing(costly: Scenario) -> None:
    rules = EpisodeRules(action_kind=ActionKind.POWER, episode_days=1.0)
    sites = BatchedSite(costly, 4, rules)
    sites.start_at(5 * 24, running_frac=0.0)
    sites.state.row[:] = [100, 200, 300, 400]
    just_started = sites.step(np.tile([1.0, 0.0, 0.0, 1.0], (4, 1))).observation.copy()
    labels = label(costly, just_started)

    locked = ObservationReader(costly.site).of_groups(just_started, "locked_up_frac")
    assert locked[:, 0] == pytest.approx(1.0)
    assert (labels.advantage[:, [0, 3]] == 0.0).all()
    assert (labels.advantage[:, [1, 2]] != 0.0).all()

    sites.start_at(5 * 24, running_frac=1.0)
    just_stopped = sites.step(np.tile([1.0, 0.0, 1.0, 1.0], (4, 1))).observation.copy()
    labels = label(costly, just_stopped)

    assert (labels.advantage[:, 1] == 0.0).all()
    assert (labels.advantage[:, [0, 2, 3]] != 0.0).all()


def test_bound_groups_do_not_move_the_clone(costly: Scenario, sample: DecisionSample) -> None:
    """Turn the wish of group 0 around but give it no weight: the gradient must be the same."""

    def weights_after(advantage: npt.NDArray[np.float32], margin: npt.NDArray[np.float32]) -> bytes:
        torch.manual_seed(0)
        policy = ActorCriticPolicy(
            observation_space(costly),
            action_space(costly, ActionKind.SHADOW_PRICE),
            lambda _: 1e-3,
            **policy_kwargs((8,), *normalisation(sample.observation), 0.05),
        )
        decisions = replace(sample, advantage=advantage, margin=margin)
        settings = ImitationSettings(n_epochs=1, batch_size=300)
        list(clone(policy, decisions, TrainingConfig(imitation=settings), silent))
        return b"".join(array.tobytes() for array in actor_weights(policy).values())

    bound = sample.advantage.copy()
    bound[:, 0] = 0.0
    turned = sample.margin.copy()
    turned[:, 0] *= -1.0

    assert weights_after(bound, turned) == weights_after(bound, sample.margin)
    assert weights_after(sample.advantage, turned) != weights_after(bound, turned)


def test_states_are_of_the_training_span_alone(
    four_weeks: Scenario, four_week_spans: Spans
) -> None:
    low, high = 24 * 7, 24 * 9
    hashprice = np.full(four_weeks.n_rows, 90.0)
    hashprice[low:high] = np.linspace(20.0, 40.0, high - low)
    trace = four_weeks.trace.with_columns({"hashprice_usd_per_phs_day": hashprice})
    scenario = build_scenario(four_weeks.site, trace)

    decisions = drawn(scenario, replace(four_week_spans, train=(low, high)), 1200)

    reader = ObservationReader(scenario.site)
    seen = np.unique(reader.value(decisions.observation, "break_even_per_kwh"))
    column = reader.column("break_even_per_kwh")
    inside = np.unique(scenario.rows[low:high, column].astype(np.float64))
    np.testing.assert_array_equal(seen, inside)


def test_a_third_of_the_states_are_of_the_real_prices(
    four_weeks: Scenario, four_week_spans: Spans
) -> None:
    decisions = drawn(four_weeks, four_week_spans, 1500, level_shift_sd=0.2)

    reader = ObservationReader(four_weeks.site)
    prices = reader.value(decisions.observation, "price_per_kwh")
    real = np.isin(prices, four_weeks.rows[:, reader.column("price_per_kwh")].astype(np.float64))

    assert len(prices) == pytest.approx(1500, abs=10)
    assert real.mean() == pytest.approx(1 / 3, abs=0.05)
    only_real = drawn(four_weeks, four_week_spans, 60, n_price_shifts=0)
    prices = reader.value(only_real.observation, "price_per_kwh")
    assert np.isin(prices, four_weeks.rows[:, reader.column("price_per_kwh")]).all()


def test_shifted_prices_keep_their_shape(four_weeks: Scenario) -> None:
    shifted = shift_prices(four_weeks, 0.2, np.random.default_rng(4))

    change = shifted.trace.column("price_per_kwh") - four_weeks.trace.column("price_per_kwh")

    assert np.ptp(change) < 1e-12
    assert abs(change[0]) > 1e-4
    pd.testing.assert_index_equal(shifted.trace.starts, four_weeks.trace.starts)


def test_the_sample_follows_from_its_seed(four_weeks: Scenario, four_week_spans: Spans) -> None:
    first, again, other = (drawn(four_weeks, four_week_spans, 60, seed) for seed in (1, 1, 2))

    for name in ("observation", "margin", "advantage"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.observation != other.observation).any()


def test_modes_of_every_kind_are_drawn(costly: Scenario, sample: DecisionSample) -> None:
    running = ObservationReader(costly.site).of_groups(sample.observation, "running_frac")

    assert (running == 0.0).all(axis=1).mean() > 0.1
    assert (running == 1.0).all(axis=1).mean() > 0.1
    assert (running.min(axis=1) != running.max(axis=1)).mean() > 0.1


def test_a_start_costs_what_wear_and_warm_up_cost(costly: Scenario) -> None:
    site, group = costly.site, costly.site.groups[0]
    revenue_per_h = group.rig_hashrate_ths / 1000 * site.hash_revenue_per_phs_day / 24
    wear_h = 100.0 / 537 / revenue_per_h

    assert start_hours(costly) == pytest.approx(wear_h + group.warm_up_s / 3600, rel=0.2)
    free = with_start_cost(costly, 0.0)
    assert start_hours(costly) - start_hours(free) == pytest.approx(wear_h, rel=1e-9)


def test_a_small_sample_is_learned(
    cloned: tuple[ActorCriticPolicy, list[TrainingRecord]],
) -> None:
    _, records = cloned

    assert [r.step for r in records] == list(range(1, 17))
    assert {r.phase for r in records} == {"clone"}
    assert records[-1].values["agreement"] > 0.95
    assert records[-1].values["loss"] < 0.5 * records[0].values["loss"]


def test_the_clone_earns_more_than_the_level_rule_where_starts_are_dear(
    cloned: tuple[ActorCriticPolicy, list[TrainingRecord]],
    costly: Scenario,
    four_week_spans: Spans,
) -> None:
    from gridhash.training.runtime import runtime_policy

    rows = four_week_spans.train
    rule, planner, learned = (
        play(costly, policy, rows).profit
        for policy in (
            LevelRule(costly.site),
            DayAheadDP(costly.site),
            runtime_policy(actor_weights(cloned[0])),
        )
    )

    assert planner > rule
    assert learned > rule + 0.5 * (planner - rule)


def test_cloning_leaves_critic_and_exploration_alone(
    costly: Scenario, sample: DecisionSample
) -> None:
    policy = ActorCriticPolicy(
        observation_space(costly),
        action_space(costly, ActionKind.SHADOW_PRICE),
        lambda _: 1e-3,
        **policy_kwargs((8,), *normalisation(sample.observation), 0.05),
    )
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}

    list(clone(policy, sample, TrainingConfig(), silent))

    changed = {
        name
        for name, tensor in policy.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {
        f"{module}.{kind}"
        for module in ("mlp_extractor.policy_net.0", "action_net")
        for kind in ("weight", "bias")
    }
