"""Every algorithm goes on from what imitation made, resumes to the bit, and runs without torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridhash.agents.level_policy import LevelMasks, LevelPolicy
from gridhash.agents.rules import LevelRule
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.levels import decode_levels
from gridhash.envs.parameters import compile_site
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.training.config import (
    ImitationSettings,
    ImprovementSettings,
    SacSettings,
    TrainingConfig,
)
from gridhash.training.play import play
from gridhash.training.spans import Spans

pytest.importorskip("stable_baselines3")

import torch

from gridhash.training.learner import Learner
from gridhash.training.network import actor_weights, load_actor
from gridhash.training.power_clone import RULE_EPOCHS, clone_power, nearest_level
from gridhash.training.progress import silent

Made = Callable[..., Learner]
KINDS = [
    ("power", "ppo"),
    ("levels", "maskable_ppo"),
    ("shadow_price", "sac"),
    ("power", "sac"),
]


class Crash(BaseException):
    """Ends a run where nothing of ours can catch it."""


def crash_at(n_calls: int) -> Callable[[str, int, int, float | None], None]:
    left = [n_calls]

    def tell(phase: str, done: int, total: int, profit: float | None) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Crash(phase, done)

    return tell


@pytest.fixture(scope="module")
def with_levels(four_weeks: Scenario) -> Scenario:
    site = SiteConfig.model_validate(four_weeks.site.model_dump() | {"use_work_levels": True})
    return build_scenario(site, four_weeks.trace)


@pytest.fixture
def made(
    with_levels: Scenario,
    four_week_spans: Spans,
    tiny_training: TrainingConfig,
    tmp_path: Path,
) -> Made:
    def make(
        action: str, algorithm: str, folder: str = "run", *, seed: int = 3, **changes: Any
    ) -> Learner:
        settings: dict[str, Any] = {
            "n_iterations": 4, "n_critic_iterations": 2, "max_kl_to_clone": 1e9
        }  # fmt: skip
        sac = SacSettings(
            n_envs=4, n_steps=12, updates_per_step=1, batch_size=16, buffer_size=160,
            learning_rate=3e-3, episode_days=0.25,
        )  # fmt: skip
        rounds = ImprovementSettings(
            n_rounds=1, n_states=40, horizon_h=2.0, n_epochs=2, batch_size=20
        )
        config = TrainingConfig.model_validate(
            {
                **tiny_training.model_dump(),
                "seed": seed,
                "action": action,
                "algorithm": algorithm,
                "improvement": rounds.model_dump(),
                "ppo": tiny_training.ppo.model_copy(update=settings | changes).model_dump(),
                "sac": sac.model_copy(update=settings | changes).model_dump(),
            }
        )
        return Learner(with_levels, four_week_spans, config, tmp_path / folder)

    return make


def flat(value: Any, name: str, into: dict[str, bytes]) -> dict[str, bytes]:
    """Return every array and number of nested values in bytes by name."""
    if isinstance(value, dict):
        for key, child in value.items():
            flat(child, f"{name}.{key}", into)
    elif isinstance(value, torch.Tensor):
        into[name] = value.detach().numpy().tobytes()
    elif isinstance(value, np.ndarray):
        into[name] = value.tobytes()
    else:
        into[name] = repr(value).encode()
    return into


def bits(learner: Learner) -> dict[str, bytes]:
    found = flat(learner.phase.values(), "phase", {})
    found |= flat(vars(learner.state), "learner", {})
    return found | {"torch": torch.get_rng_state().numpy().tobytes()}


@pytest.mark.parametrize(("action", "algorithm"), KINDS)
def test_a_run_goes_on_as_if_it_had_not_crashed_and_a_seed_gives_one_policy(
    action: str, algorithm: str, made: Made
) -> None:
    whole = made(action, algorithm, "whole")
    told: list[str] = []
    whole.run(lambda phase, *_: told.append(phase))
    assert told[-6:] == ["clone", "improve", "critic", "critic", algorithm, algorithm]
    at = len(told)
    for n_calls in (at - 3, at - 1):  # in the warm-up, and after two iterations of four
        folder = f"crashed-{n_calls}"
        with pytest.raises(Crash):
            made(action, algorithm, folder).run(crash_at(n_calls))
        torch.manual_seed(999)
        np.random.seed(999)
        resumed = made(action, algorithm, folder)
        resumed.run(silent, resume=True)
        first, second = bits(whole), bits(resumed)
        assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.parametrize(("action", "algorithm"), KINDS)
def test_what_torch_learned_is_what_runs_on_site(
    action: str, algorithm: str, made: Made, with_levels: Scenario
) -> None:
    learner = made(action, algorithm)
    learner.run(silent)
    learned: Any = learner.model.policy
    policy = learner.phase.runtime(actor_weights(learned))
    seen = learner.decisions.observation

    assert policy.action_kind is ActionKind[action.upper()]
    if isinstance(policy, LevelPolicy):
        masks = LevelMasks(with_levels.site).of(seen)
        with torch.no_grad():
            own = learned.get_distribution(torch.as_tensor(seen), action_masks=masks)
            chance = torch.cat([one.probs for one in own.distributions], dim=1).numpy()
        np.testing.assert_allclose(policy.probabilities(seen), chance, atol=1e-6)
        said, _ = learned.predict(seen, deterministic=True, action_masks=masks)
        assert (policy.act(seen) == said).mean() > 0.999
    else:
        said, _ = learner.model.predict(seen, deterministic=True)
        np.testing.assert_allclose(policy.act(seen), said, atol=2e-6)


@pytest.mark.parametrize(("action", "algorithm"), KINDS)
def test_warming_the_critic_leaves_the_actor_and_the_start_is_no_distance_away(
    action: str, algorithm: str, made: Made
) -> None:
    learner = made(action, algorithm, n_iterations=2)
    learner.run(silent)

    start = learner.state.clone_weights
    for name, array in actor_weights(learner.model.policy).items():
        assert array.tobytes() == start[name].tobytes(), name
    assert learner.kl_to_clone() == pytest.approx(0.0, abs=1e-5)
    moved = {name: array.copy() for name, array in start.items()}
    moved["output.bias"][0] += 0.05
    load_actor(learner.model.policy, moved)
    assert learner.kl_to_clone() > 1e-5


def test_the_distance_of_levels_and_of_sac_is_that_of_their_distributions(
    made: Made, with_levels: Scenario
) -> None:
    levels, sac = (made(*kind, kind[1], n_iterations=0) for kind in KINDS[1:3])
    for learner in (levels, sac):
        learner.run(silent)
    seen = levels.decisions.observation
    masks = LevelMasks(with_levels.site).of(seen)
    distances = []
    for learner in (levels, sac):
        policy: Any = learner.model.policy
        layer = policy.action_net if learner is levels else policy.actor.mu

        def now(policy: Any = policy, own: Learner = learner) -> list[Any]:
            with torch.no_grad():
                at = torch.as_tensor(seen)
                if own is levels:
                    return list(policy.get_distribution(at, action_masks=masks).distributions)
                mean, log_sd, _ = policy.actor.get_action_dist_params(at)
                return [torch.distributions.Normal(mean, log_sd.exp())]

        before = now()
        with torch.no_grad():
            layer.bias[:2] += torch.tensor([0.2, -0.1])
        pairs = zip(now(), before, strict=True)
        kl = [torch.distributions.kl_divergence(p, q).reshape(len(seen), -1) for p, q in pairs]
        exact = float(torch.cat(kl, dim=1).sum(dim=1).mean())
        distances.append((learner.kl_to_clone(), exact))
    for own, exact in distances:
        assert own == pytest.approx(exact, rel=1e-3)


def test_the_replay_buffer_is_in_the_checkpoint_as_far_as_it_is_filled(made: Made) -> None:
    learner = made("shadow_price", "sac", n_iterations=3)
    learner.run(silent)

    phase: Any = learner.phase
    kept = phase.values()["buffer"]["observations"]
    assert len(kept) == 36
    assert phase.buffer.pos == 36
    full = made("shadow_price", "sac", "full", n_iterations=4)
    full.run(silent)
    own: Any = full.phase
    assert own.buffer.full
    assert len(own.values()["buffer"]["rewards"]) == 40


def test_the_nearest_level_is_the_nearest(with_levels: Scenario) -> None:
    params = compile_site(with_levels.site)
    for levels in ([1, 2, 0, 1], [0, 3, 1, 0]):
        power_kw = decode_levels(params, [levels])
        np.testing.assert_array_equal(nearest_level(params, power_kw), [levels])
        np.testing.assert_array_equal(nearest_level(params, power_kw * 1.001), [levels])


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_shadow_prices_begin_at_zero_without_a_plan_which_is_the_level_rule(
    algorithm: str, with_levels: Scenario, four_week_spans: Spans, tiny_training: TrainingConfig,
    tmp_path: Path,
) -> None:  # fmt: skip
    values = tiny_training.model_dump() | {"algorithm": algorithm}
    values["imitation"] |= {"n_epochs": 0}
    values["ppo"] |= {"n_iterations": 0}
    values["sac"] |= {"n_iterations": 0}
    learner = Learner(with_levels, four_week_spans, TrainingConfig.model_validate(values), tmp_path)

    policy = learner.run(silent)

    assert (policy.act(learner.decisions.observation) == 0.0).all()
    rule = play(with_levels, LevelRule(with_levels.site), four_week_spans.validate)
    assert learner.state.best_validation == rule.profit


@pytest.mark.parametrize(("action", "algorithm"), [*KINDS[:2], KINDS[3]])
def test_actors_of_power_and_levels_begin_as_the_rule_without_a_plan(
    action: str, algorithm: str, made: Made, with_levels: Scenario, four_week_spans: Spans
) -> None:
    learner = made(action, algorithm)
    settings = ImitationSettings(n_epochs=0, n_samples=3000, batch_size=64, learning_rate=1e-2)

    records = list(
        clone_power(
            learner.model.policy, learner.kind, with_levels, four_week_spans.train, settings,
            silent, seed=1,
        )
    )  # fmt: skip

    agreement = [record.values["agreement"] for record in records]
    assert len(agreement) == RULE_EPOCHS
    assert agreement[-1] > 0.8
    assert agreement[-1] > agreement[0]
