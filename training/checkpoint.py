"""Save and restore a training run so that it continues as if it had never stopped.

A checkpoint holds network and optimiser, the state of every site, each random number generator
and the best policy so far. It is a torch file, hence a pickle: read here only, from the user's
own run folder, and never at a site.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gridhash.errors import TrainingError
from gridhash.training.progress import TrainingRecord

if TYPE_CHECKING:
    from gridhash.training.learner import Learner

FILE_NAME = "checkpoint.pt"


def save(learner: "Learner") -> Path:
    """Write the checkpoint of a learner in one step: it is whole, or it is the one before."""
    model, state = learner.model, learner.state
    values: dict[str, Any] = {
        "key": learner.key,
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "last_observation": model._last_obs,
        "last_episode_starts": model._last_episode_starts,
        "torch_rng": torch.get_rng_state(),
        "numpy_rng": np.random.get_state(),
        "fleet": {name: array.copy() for name, array in learner.env.sites.state._asdict().items()},
        "steps_left": learner.env.sites.steps_left.copy(),
        "env_rng": learner.env.rng.bit_generator.state,
        "state": {
            "iteration": state.iteration,
            "best_validation": state.best_validation,
            "best_weights": state.best_weights,
            "clone_weights": state.clone_weights,
            "records": [asdict(record) for record in state.records],
            "finished": state.finished,
        },
    }
    path = learner.folder / FILE_NAME
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(values, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path


def restore(learner: "Learner") -> None:
    """Put a learner back where its checkpoint left it.

    Raises
    ------
    TrainingError
        If there is no checkpoint, it is damaged, or it belongs to another site, span or settings.
    """
    path = learner.folder / FILE_NAME
    if not path.exists():
        raise TrainingError(f"{path} does not exist: start without --resume, or name its folder")
    try:
        values = torch.load(path, weights_only=False)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as err:
        raise TrainingError(f"{path} is damaged ({err}): start again without --resume") from err
    if values["key"] != learner.key:
        differing = [
            name for name, value in learner.key.items() if values["key"].get(name) != value
        ]
        raise TrainingError(
            f"{path} belongs to another run; these differ: {', '.join(differing)}. Use another "
            "folder, or the settings of that run"
        )
    model = learner.model
    model.policy.load_state_dict(values["policy"])
    model.policy.optimizer.load_state_dict(values["optimizer"])
    model.num_timesteps = values["num_timesteps"]
    model._n_updates = values["n_updates"]
    model._last_obs = values["last_observation"]
    model._last_episode_starts = values["last_episode_starts"]
    torch.set_rng_state(values["torch_rng"])
    np.random.set_state(values["numpy_rng"])
    for name, array in learner.env.sites.state._asdict().items():
        array[...] = values["fleet"][name]
    learner.env.sites.steps_left[:] = values["steps_left"]
    learner.env.rng.bit_generator.state = values["env_rng"]
    state = values["state"]
    for name, value in state.items():
        if name == "records":
            value = [TrainingRecord(**record) for record in value]
        setattr(learner.state, name, value)
