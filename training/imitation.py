"""Warm start: clone the day-ahead dynamic program at states of every mode.

The teacher (`gridhash.agents.day_ahead_dp`) says for each group what running is worth over
stopping. The clone answers with a shadow price; merit order runs a group exactly if that price
lies below the group's margin. So a decision is learned as a classification whose logit is
(margin - shadow price) / sharpness, weighted by what a wrong decision costs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.spaces import Box
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.sac.policies import SACPolicy

from gridhash.agents.day_ahead_dp import GRID, KEEP, START, DayAheadDP
from gridhash.agents.policy import ObservationReader
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.training.config import ImitationSettings, TrainingConfig
from gridhash.training.network import actor_output, actor_parameters
from gridhash.training.progress import Progress, TrainingRecord
from gridhash.training.spans import Rows

POOL = 4
"""States drawn for each that is kept."""
CHUNK = 10_000
MOVED_INTERVALS = 7
"""Intervals after a change in which states are drawn."""
MIN_START_HOURS = 0.01
"""Cost of a start below which decisions are not made sharper [h of revenue]."""


@dataclass(frozen=True, kw_only=True)
class DecisionSample:
    """States and what the teacher would do in each."""

    observation: npt.NDArray[np.float32]
    """(N, F)"""
    margin: npt.NDArray[np.float32]
    """(N, G) shadow price, in units of the action, below which the group runs."""
    advantage: npt.NDArray[np.float32]
    """(N, G) worth of running over stopping, per cost of a start; zero where bound."""
    start_hours: float
    """Cost of a start in hours of full revenue: the scale of shadow prices that matter."""


def draw_decisions(
    scenario: Scenario,
    rows: Rows,
    settings: ImitationSettings,
    rng: np.random.Generator,
    *,
    variants: Sequence[Scenario] = (),
) -> DecisionSample:
    """Draw `settings.n_samples` states of a span and ask the teacher about each.

    A third of the states are of the real prices, the others of `variants`, or where there are none
    of copies whose level is shifted, so that the clone knows years that are dearer or cheaper than
    the one it learns from. Of a pool several times as large, states where little speaks for either
    decision are preferred.
    """
    parts = []
    n_others = len(variants) or settings.n_price_shifts
    for number in range(1 + n_others):
        world = scenario
        if number > 0 and variants:
            world = variants[number - 1]
        elif number > 0:
            world = shift_prices(scenario, settings.level_shift_sd, rng)
        share = 2 / 3 / n_others if number > 0 else 1 / 3 if n_others else 1.0
        todo = max(1, round(settings.n_samples * share))
        while todo > 0:
            n = min(todo, CHUNK)
            parts.append(_prefer_contested(_draw(world, rows, POOL * n, rng), n, rng))
            todo -= n
    return _concatenate(parts)


def _concatenate(parts: list[DecisionSample]) -> DecisionSample:
    return DecisionSample(
        observation=np.concatenate([part.observation for part in parts]),
        margin=np.concatenate([part.margin for part in parts]),
        advantage=np.concatenate([part.advantage for part in parts]),
        start_hours=parts[0].start_hours,
    )


def _prefer_contested(pool: DecisionSample, n: int, rng: np.random.Generator) -> DecisionSample:
    """Keep n states of a pool, up to half of them such that a decision hangs in the balance."""
    near = np.abs(pool.advantage)
    contested = np.any((near > 0.0) & (near < 1.0), axis=1)
    order = rng.permutation(len(near))
    first = order[contested[order]][: n // 2]
    others = np.setdiff1d(order, first, assume_unique=True)
    keep = np.concatenate([first, rng.permutation(others)[: n - len(first)]])
    return DecisionSample(
        observation=pool.observation[keep],
        margin=pool.margin[keep],
        advantage=pool.advantage[keep],
        start_hours=pool.start_hours,
    )


def shift_prices(scenario: Scenario, sd: float, rng: np.random.Generator) -> Scenario:
    """Return the scenario with all its prices raised or lowered by one random amount."""
    trace = scenario.trace
    break_even = max(scenario.site.break_even_per_kwh(g) for g in scenario.site.groups)
    price = trace.column("price_per_kwh") + rng.normal(0.0, sd) * break_even
    return build_scenario(scenario.site, trace.with_columns({"price_per_kwh": price}))


def _draw(scenario: Scenario, rows: Rows, n: int, rng: np.random.Generator) -> DecisionSample:
    """Draw n states: half of fleets at rest, half of fleets that were just told something else."""
    n_moved = n // 2
    parts = [_at_rest(scenario, rows, n - n_moved, rng)]
    if n_moved:
        parts.append(_just_moved(scenario, rows, n_moved, rng))
    return label(scenario, np.concatenate(parts))


def _at_rest(
    scenario: Scenario, rows: Rows, n: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    one_interval_days = scenario.site.dispatch_interval_s / 86400.0
    sites = BatchedSite(scenario, n, EpisodeRules(episode_days=one_interval_days, rows=rows))
    sites.draw_starts(np.arange(n), rng)
    sites.state.substep[:] = rng.integers(0, scenario.steps_per_row, n)
    return sites.observe()


def _just_moved(
    scenario: Scenario, rows: Rows, n: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return what fleets see some intervals after random groups were started or stopped.

    So the clone learns from groups that start, or are bound to minimum times, beside others that
    are free to choose. A site is seen at a random one of the intervals it is stepped through.
    """
    days = (MOVED_INTERVALS + scenario.steps_per_row) * scenario.site.dispatch_interval_s / 86400.0
    rules = EpisodeRules(episode_days=days, rows=rows, action_kind=ActionKind.POWER)
    sites = BatchedSite(scenario, n, rules)
    sites.draw_starts(np.arange(n), rng)
    sites.state.substep[:] = rng.integers(0, scenario.steps_per_row, n)
    action = rng.integers(0, 2, (n, scenario.n_groups)).astype(np.float64)
    seen_after = rng.integers(1, MOVED_INTERVALS + 1, n)
    observation = np.empty((n, len(scenario.features)), dtype=np.float32)
    for step in range(1, MOVED_INTERVALS + 1):
        output = sites.step(action)
        now = seen_after == step
        observation[now] = output.observation[now]
    return observation


def label(scenario: Scenario, observation: npt.NDArray[np.float32]) -> DecisionSample:
    """Ask the teacher about states; rigs within their minimum times have nothing to decide."""
    site, params = scenario.site, scenario.params
    reader = ObservationReader(site)
    teacher = DayAheadDP(site)
    worth = teacher.advantages(observation)[:, :, GRID]
    running = reader.of_groups(observation, "running_frac")
    running -= reader.of_groups(observation, "locked_up_frac")
    startable = reader.of_groups(observation, "startable_frac")
    advantage = running * worth[:, :, KEEP] + startable * worth[:, :, START]
    break_even = reader.value(observation, "break_even_per_kwh")[:, None]
    lowest = reader.level_break_even_ratio(params.level_kw[:, 0], params.level_phs[:, 0])
    price = reader.prices_per_kwh(observation)[:, :1]
    margin = (lowest * break_even - price) / params.shadow_scale_per_kwh
    start_loss = params.start_cost + params.warm_up_h * params.level_kw[:, -1] * break_even
    return DecisionSample(
        observation=observation,
        margin=margin.astype(np.float32),
        advantage=(advantage / np.maximum(start_loss, 1e-9)).astype(np.float32),
        start_hours=start_hours(scenario),
    )


def start_hours(scenario: Scenario) -> float:
    """Return what a start costs in hours of revenue at full power, mean over groups [h]."""
    site, params = scenario.site, scenario.params
    revenue = params.level_phs[:, -1] * site.hash_revenue_per_phs_day / 24.0
    return float(np.mean(params.start_cost / revenue + params.warm_up_h))


def clone(
    policy: BasePolicy,
    sample: DecisionSample,
    config: TrainingConfig,
    progress: Progress,
) -> Iterator[TrainingRecord]:
    """Fit the actor of an SB3 policy to a sample; yield one record per epoch."""
    settings = config.imitation
    observation = torch.as_tensor(sample.observation)
    margin = torch.as_tensor(sample.margin)
    advantage = torch.as_tensor(sample.advantage)
    weight = advantage.abs().clamp_max(1.0).sqrt()
    weight = weight / weight.mean().clamp_min(1e-9)
    wanted = (advantage > 0).float()
    optimizer = torch.optim.AdamW(
        actor_parameters(policy), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    n_batches = max(1, len(observation) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        total_steps=max(1, settings.n_epochs * n_batches),
        pct_start=0.15,
    )
    sharpness = settings.sharpness_per_start * max(sample.start_hours, MIN_START_HOURS)
    shuffle = torch.Generator().manual_seed(config.seed)
    for epoch in range(settings.n_epochs):
        order = torch.randperm(len(observation), generator=shuffle)
        lost, right = 0.0, 0.0
        for k in range(n_batches):
            which = order[k * settings.batch_size : (k + 1) * settings.batch_size]
            shadow = mean_action(policy, observation[which])
            logit = (margin[which] - shadow) / sharpness
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logit, wanted[which], weight=weight[which]
            )
            loss = loss + settings.shadow_penalty * shadow.abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            agree = (logit > 0) == (wanted[which] > 0)
            right += float((agree * weight[which]).sum() / weight[which].sum())
            lost += float(loss.detach())
        progress("clone", epoch + 1, settings.n_epochs, None)
        values = {"loss": lost / n_batches, "agreement": right / n_batches}
        yield TrainingRecord(phase="clone", step=epoch + 1, values=values)


def mean_action(policy: BasePolicy, observation: torch.Tensor) -> torch.Tensor:
    """Return the actor's mean action, (N, G), with its gradient; of levels the logits, (N, M)."""
    output = actor_output(policy, observation)
    space = policy.action_space
    if not isinstance(policy, SACPolicy) or not isinstance(space, Box):
        return output
    low, high = torch.as_tensor(space.low), torch.as_tensor(space.high)
    return (low + high) / 2.0 + (high - low) / 2.0 * torch.tanh(output)
