"""What every algorithm of Stable-Baselines3 does here: go on from a policy, and resume exactly."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridhash.agents.policy import Observations, Policy
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import EpisodeRules
from gridhash.envs.parameters import Floats32
from gridhash.envs.scenario import Scenario
from gridhash.training.config import TrainingConfig
from gridhash.training.network import Weights
from gridhash.training.runtime import LearnedPolicy
from gridhash.training.spans import Rows
from gridhash.training.vec_env import SiteVecEnv


@dataclass(frozen=True, kw_only=True)
class PhaseInputs:
    """What an algorithm is built from."""

    scenario: Scenario
    rows: Rows
    """Settlement periods [first, last) that episodes are drawn from."""
    config: TrainingConfig
    center: Floats32
    """(F,), with `scale` the normalisation inside the network."""
    scale: Floats32
    exploration_sd: float
    """Standard deviation of a continuous action at the start."""
    folder: Path
    """Receives TensorBoard files."""
    rule: Policy | None = None
    """What the actor adds to."""

    @property
    def kind(self) -> ActionKind:
        """How numbers of an action are meant."""
        return ActionKind[self.config.action.upper()]

    def make_env(self) -> SiteVecEnv:
        """Return the sites to learn from, rewarded beside the best static operating point."""
        settings = self.config.fine_tuning
        rules = EpisodeRules(
            episode_days=settings.episode_days,
            action_kind=self.kind,
            relative_reward=True,
            # An episode ends with an observation of the row after its last.
            rows=(self.rows[0], self.rows[1] - 1),
        )
        return SiteVecEnv(
            self.scenario, settings.n_envs, rules, seed=self.config.seed, added_to=self.rule
        )


class Phase(ABC):
    """An algorithm on one scenario, an iteration at a time."""

    model: Any
    """Of Stable-Baselines3 or sb3-contrib."""
    env: SiteVecEnv

    @abstractmethod
    def learn(self, *, warming: bool) -> None:
        """Collect one roll-out and learn from it, with the actor frozen while the critic warms."""

    @abstractmethod
    def runtime(self, weights: Weights) -> LearnedPolicy:
        """Return an actor of this algorithm as the NumPy policy that runs on site."""

    @abstractmethod
    def kl_to(self, start: Weights, observation: Observations) -> float:
        """Return the mean KL divergence from the policy's action to that of `start` [nat]."""

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """Return what `restore` goes on from, for a checkpoint."""

    @abstractmethod
    def restore(self, values: dict[str, Any]) -> None:
        """Go on from what `values` returned."""

    def env_values(self) -> dict[str, Any]:
        """Return the state of the sites and of their random numbers."""
        sites = self.env.sites
        return {
            "fleet": sites.state._asdict(),
            "accounts": sites.accounts._asdict(),
            "steps_left": sites.steps_left,
            "env_rng": self.env.rng.bit_generator.state,
        }

    def restore_env(self, values: dict[str, Any]) -> None:
        """Put the sites back to what `env_values` returned."""
        sites = self.env.sites
        for name, array in sites.state._asdict().items():
            array[...] = values["fleet"][name]
        for name, array in sites.accounts._asdict().items():
            array[...] = values["accounts"][name]
        sites.steps_left[:] = values["steps_left"]
        self.env.rng.bit_generator.state = values["env_rng"]
        self.env.look_again()
