"""Where a training run stands: what a checkpoint keeps beside the algorithm's own."""

from dataclasses import dataclass, field

import numpy as np

from gridhash.envs.parameters import Floats
from gridhash.training.network import Weights
from gridhash.training.progress import TrainingRecord
from gridhash.training.rollouts import Comparison


@dataclass(kw_only=True)
class LearnerState:
    """Where a run stands."""

    round: int = 0
    """Rounds of improvement done."""
    iteration: int = 0
    """PPO iterations done."""
    best_validation: float = -np.inf
    best_weights: Weights = field(default_factory=dict)
    best_days: Floats = field(default_factory=lambda: np.zeros(0))
    """Profit of each day of the validation span [currency]."""
    start_weights: Weights = field(default_factory=dict)
    """What imitation left, before it was improved."""
    start_days: Floats = field(default_factory=lambda: np.zeros(0))
    clone_weights: Weights = field(default_factory=dict)
    """What PPO starts from and must stay near: the best after imitation and improvement."""
    comparisons: list[Comparison] = field(default_factory=list)
    records: list[TrainingRecord] = field(default_factory=list)
    finished: bool = False
