"""A run is decided by its seed, resumes to the same bits, and learns from its span alone."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import TrainingError
from gridhash.training.config import ImprovementSettings, TrainingConfig
from gridhash.training.play import play
from gridhash.training.spans import Spans

pytest.importorskip("stable_baselines3")

import torch

from gridhash.training.learner import Learner
from gridhash.training.network import actor_weights
from gridhash.training.ppo_phase import ACTOR_PARAMETERS
from gridhash.training.progress import silent
from gridhash.training.runtime import runtime_policy

MakeLearner = Callable[..., Learner]


class Crash(BaseException):
    """Ends a run where nothing of ours can catch it."""


@dataclass
class CrashAt:
    """A progress callback that ends the run when it is told something for the n-th time."""

    n_calls: int

    def __call__(self, phase: str, done: int, total: int, profit: float | None) -> None:
        self.n_calls -= 1
        if self.n_calls == 0:
            raise Crash(phase, done)


@pytest.fixture
def make_learner(
    four_weeks: Scenario,
    four_week_spans: Spans,
    tiny_training: TrainingConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> MakeLearner:
    def make(
        *,
        scenario: Scenario = four_weeks,
        folder: Path | None = None,
        seed: int = tiny_training.seed,
        **ppo: float,
    ) -> Learner:
        config = tiny_training.model_copy(
            update={"seed": seed, "ppo": tiny_training.ppo.model_copy(update=ppo)}
        )
        folder = folder or tmp_path_factory.mktemp("run")
        return Learner(scenario, four_week_spans, config, folder)

    return make


def bits(learner: Learner) -> dict[str, bytes]:
    """Return everything that a run leaves, in bytes by name."""
    state, model = learner.state, learner.model
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for name, tensor in model.policy.state_dict().items():
        arrays[f"final {name}"] = tensor.numpy()
    for key, moments in model.policy.optimizer.state_dict()["state"].items():
        for name, tensor in moments.items():
            arrays[f"optimizer {key} {name}"] = tensor.numpy()
    for name, array in state.best_weights.items():
        arrays[f"best {name}"] = array
    for name, array in state.clone_weights.items():
        arrays[f"clone {name}"] = array
    for name, array in learner.phase.env.sites.state._asdict().items():
        arrays[f"fleet {name}"] = array
    found = {name: array.tobytes() for name, array in arrays.items()}
    found["records"] = repr(state.records).encode()
    found["best_validation"] = repr(state.best_validation).encode()
    found["torch"] = torch.get_rng_state().numpy().tobytes()
    return found


def different(first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if first[name] != second[name]]


@pytest.fixture(scope="module")
def whole(
    four_weeks: Scenario,
    four_week_spans: Spans,
    tiny_training: TrainingConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Learner, dict[str, bytes], list[tuple[str, int, int, bool]]]:
    """Return a run from start to end in one go, its bits, and what it told on the way."""
    told: list[tuple[str, int, int, bool]] = []
    folder = tmp_path_factory.mktemp("whole")
    learner = Learner(four_weeks, four_week_spans, tiny_training, folder)
    learner.run(lambda *now: told.append((*now[:3], now[3] is not None)))
    return learner, bits(learner), told


Whole = tuple[Learner, dict[str, bytes], list[tuple[str, int, int, bool]]]


def test_every_phase_is_told_to_its_end(whole: Whole) -> None:
    assert whole[2] == [
        ("clone", 1, 2, False),
        ("clone", 2, 2, False),
        ("clone", 2, 2, True),
        ("critic", 1, 2, False),
        ("critic", 2, 2, False),
        ("ppo", 1, 4, False),
        ("ppo", 2, 4, True),
        ("ppo", 3, 4, False),
        ("ppo", 4, 4, True),
    ]


def test_one_seed_gives_one_policy(whole: Whole, make_learner: MakeLearner) -> None:
    again = make_learner()
    again.run(silent)
    assert different(bits(again), whole[1]) == []

    other = make_learner(seed=4)
    other.run(silent)
    changed = different(bits(other), whole[1])
    assert {"final action_net.weight", "clone layer.0.weight", "records"} <= set(changed)


@pytest.mark.parametrize(
    "n_calls",
    [
        pytest.param(1, id="first epoch of the clone"),
        pytest.param(3, id="validation of the clone"),
        pytest.param(4, id="critic warm-up"),
        pytest.param(6, id="first iteration of PPO"),
        pytest.param(9, id="last validation"),
    ],
)
def test_a_run_that_crashed_goes_on_as_if_it_had_not(
    n_calls: int, whole: Whole, make_learner: MakeLearner, tmp_path: Path
) -> None:
    with pytest.raises(Crash):
        make_learner(folder=tmp_path).run(CrashAt(n_calls))
    torch.manual_seed(999)
    np.random.seed(999)

    resumed = make_learner(folder=tmp_path)
    resumed.run(silent, resume=True)

    assert different(bits(resumed), whole[1]) == []


@pytest.mark.parametrize("n_calls", [4, 5], ids=["first round", "second round"])
def test_improvement_goes_on_as_if_it_had_not_crashed(
    n_calls: int,
    four_weeks: Scenario,
    four_week_spans: Spans,
    tiny_training: TrainingConfig,
    tmp_path: Path,
) -> None:
    rounds = ImprovementSettings(n_rounds=3, n_states=40, horizon_h=2.0, n_epochs=2, batch_size=20)
    config = tiny_training.model_copy(update={"improvement": rounds})

    def made(name: str) -> Learner:
        return Learner(
            four_weeks, four_week_spans, config, tmp_path / name, variants=[four_weeks] * 2
        )

    whole = made("whole")
    whole.run(silent)
    with pytest.raises(Crash):
        made("parts").run(CrashAt(n_calls))
    torch.manual_seed(999)
    resumed = made("parts")
    resumed.run(silent, resume=True)

    assert [r.step for r in whole.state.records if r.phase == "improve"] == [1, 1, 2, 2, 3, 3]
    assert different(bits(resumed), bits(whole)) == []


def test_a_run_that_crashes_again_and_again_ends_the_same(
    whole: Whole, make_learner: MakeLearner, tmp_path: Path
) -> None:
    crashes = 0
    while True:
        learner = make_learner(folder=tmp_path)
        try:
            # The first attempt gets as far as the clone, each later one an iteration further.
            learner.run(CrashAt(2 if crashes else 4), resume=crashes > 0)
            break
        except Crash:
            crashes += 1

    assert crashes == 6
    assert different(bits(learner), whole[1]) == []


def test_a_finished_run_resumes_to_its_best_policy_at_once(
    whole: Whole, make_learner: MakeLearner
) -> None:
    learner = make_learner(folder=whole[0].folder)
    told: list[str] = []

    policy = learner.run(lambda phase, *_: told.append(phase), resume=True)

    assert told == []
    for name, array in policy.weights.items():
        np.testing.assert_array_equal(array, whole[0].state.best_weights[name])


@pytest.mark.parametrize("what", ["settings", "spans", "prices", "site"])
def test_a_checkpoint_of_another_run_is_refused(
    what: str,
    whole: Whole,
    make_learner: MakeLearner,
    four_weeks: Scenario,
    four_week_spans: Spans,
    tiny_training: TrainingConfig,
) -> None:
    folder = whole[0].folder
    if what == "settings":
        learner = make_learner(folder=folder, n_iterations=7)
    elif what == "spans":
        spans = Spans(train=(24, 480), validate=(480, 576), test=four_week_spans.test)
        learner = Learner(four_weeks, spans, tiny_training, folder)
    elif what == "prices":
        prices = four_weeks.trace.column("price_per_kwh")
        prices[100] += 0.001
        learner = make_learner(folder=folder, scenario=rewritten(four_weeks, prices))
    else:
        site = four_weeks.site.model_copy(update={"start_cost_per_fleet_start": 31.0})
        learner = make_learner(folder=folder, scenario=build_scenario(site, four_weeks.trace))

    with pytest.raises(TrainingError, match=f"belongs to another run; these differ:.* {what}"):
        learner.run(silent, resume=True)


def rewritten(scenario: Scenario, prices: npt.NDArray[np.float64]) -> Scenario:
    trace: Trace = scenario.trace.with_columns({"price_per_kwh": prices})
    return build_scenario(scenario.site, trace)


def test_what_lies_after_the_training_span_teaches_nothing(
    whole: Whole, make_learner: MakeLearner, four_weeks: Scenario, four_week_spans: Spans
) -> None:
    prices = four_weeks.trace.column("price_per_kwh")
    prices[four_week_spans.train[1] :] = 0.4

    learner = make_learner(scenario=rewritten(four_weeks, prices))
    learner.run(silent)

    learned = [name for name in whole[1] if name.startswith(("final", "clone", "optimizer"))]
    changed = different(bits(learner), whole[1])
    assert set(changed).isdisjoint(learned)
    assert "best_validation" in changed, "the validation span was rewritten"


def test_what_lies_after_the_validation_span_changes_nothing_at_all(
    whole: Whole, make_learner: MakeLearner, four_weeks: Scenario, four_week_spans: Spans
) -> None:
    prices = four_weeks.trace.column("price_per_kwh")
    prices[four_week_spans.validate[1] :] = 0.4

    learner = make_learner(scenario=rewritten(four_weeks, prices))
    learner.run(silent)

    assert different(bits(learner), whole[1]) == []
    assert learner.key == whole[0].key, "a checkpoint knows nothing of later prices either"


def test_episodes_and_their_last_observations_are_of_training_rows(
    make_learner: MakeLearner, four_week_spans: Spans
) -> None:
    env = make_learner(episode_days=20.0 - 1 / 24).phase.env  # one start alone fits the span
    env.reset()
    assert (env.sites.state.row == four_week_spans.train[0]).all()
    env.sites.steps_left[:] = env.sites.episode_steps
    terminal = None
    action = np.zeros((env.num_envs, 4), dtype=np.float32)
    for _ in range(env.sites.episode_steps):
        last_row = int(env.sites.state.row[0])
        _, _, done, infos = env.step(action)
        if done[0]:
            terminal = infos[0]["terminal_observation"]

    assert last_row == four_week_spans.train[1] - 2
    assert terminal is not None
    n_row = env.scenario.rows.shape[1]
    np.testing.assert_array_equal(terminal[:n_row], env.scenario.rows[last_row + 1])
    assert env.scenario.n_rows == four_week_spans.train[1], "later rows are not even there"


def test_warming_the_critic_leaves_the_actor_as_it_is(make_learner: MakeLearner) -> None:
    learner = make_learner(n_iterations=3, n_critic_iterations=3)
    learner.run(silent)

    clone = learner.state.clone_weights
    for name, array in actor_weights(learner.model.policy).items():
        assert array.tobytes() == clone[name].tobytes(), name
    policy: Any = learner.model.policy
    log_std = policy.log_std.detach().numpy()
    np.testing.assert_array_equal(log_std, np.float32(np.log(learner.phase.exploration_sd)))
    assert [r.phase for r in learner.state.records] == ["clone"] * 3, "no reason to validate again"
    unmoved = make_learner(n_iterations=0)
    unmoved.run(silent)
    for name, tensor in unmoved.model.policy.named_parameters():
        moved = not torch.equal(tensor, dict(learner.model.policy.named_parameters())[name])
        assert moved == (not name.startswith(ACTOR_PARAMETERS)), name


def test_the_actor_learns_again_after_the_warm_up(whole: Whole) -> None:
    learner = whole[0]
    assert all(parameter.requires_grad for parameter in learner.model.policy.parameters())
    final = actor_weights(learner.model.policy)
    for name, array in learner.state.clone_weights.items():
        assert (array != final[name]).any() == (not name.startswith("normalise")), name


def test_the_distance_to_the_clone_is_the_divergence_of_the_action_distributions(
    make_learner: MakeLearner,
) -> None:
    learner = make_learner(n_iterations=0)
    learner.run(silent)
    policy: Any = learner.model.policy
    observation = torch.as_tensor(learner.decisions.observation)
    with torch.no_grad():
        at_clone = copy.deepcopy(policy.get_distribution(observation).distribution)
    assert learner.kl_to_clone() == pytest.approx(0.0, abs=1e-6)

    distances = []
    for _ in range(3):
        with torch.no_grad():
            policy.action_net.bias += 0.01
            policy.log_std -= 0.1
            now = policy.get_distribution(observation).distribution
            exact = torch.distributions.kl_divergence(now, at_clone).sum(dim=1).mean()
        distances.append(learner.kl_to_clone())
        assert distances[-1] == pytest.approx(float(exact), rel=1e-3)
    assert 0.0 < distances[0] < distances[1] < distances[2]


def test_the_best_on_validation_is_kept_not_the_last(
    make_learner: MakeLearner, four_weeks: Scenario, four_week_spans: Spans
) -> None:
    learner = make_learner(learning_rate=0.3)  # so fast that it can only do harm
    policy = learner.run(silent)
    profits = [
        r.values["validation_profit"]
        for r in learner.state.records
        if "validation_profit" in r.values
    ]

    def profit(weights: dict[str, npt.NDArray[np.float32]]) -> float:
        return play(learner.scenario, runtime_policy(weights), four_week_spans.validate).profit

    assert len(profits) == 3
    assert profits[-1] < max(profits)
    assert learner.state.best_validation == max(profits)
    assert profit(dict(policy.weights)) == max(profits)
    assert profit(actor_weights(learner.model.policy)) == profits[-1]


def test_a_run_stops_where_it_strays_too_far_from_the_clone(
    make_learner: MakeLearner, tmp_path: Path
) -> None:
    learner = make_learner(folder=tmp_path, max_kl_to_clone=1e-6)
    learner.run(silent)

    assert learner.state.finished
    assert learner.state.iteration == 3, "two of the critic, one of PPO"
    last = learner.state.records[-1]
    assert (last.phase, last.step) == ("ppo", 3)
    assert last.values["kl_to_clone"] > 1e-6
    resumed = make_learner(folder=tmp_path, max_kl_to_clone=1e-6)
    resumed.run(silent, resume=True)
    assert resumed.state.iteration == 3
