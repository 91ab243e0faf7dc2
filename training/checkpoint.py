"""Files from which a training run continues as if it had never stopped.

A checkpoint is a torch file, hence a pickle: it is read here only, from the user's own run
folder, and never at a site.
"""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from gridhash.errors import TrainingError

FILE_NAME = "checkpoint.pt"


def save(folder: Path, key: dict[str, str], values: dict[str, Any]) -> Path:
    """Write a checkpoint in one step: the file is whole, or it is the one before.

    `key` names the run by its settings, site, spans and prices.
    """
    path = folder / FILE_NAME
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save({"key": key, "values": values}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path


def load(folder: Path, key: dict[str, str]) -> dict[str, Any]:
    """Return the values of the folder's checkpoint.

    Raises
    ------
    TrainingError
        If there is no checkpoint, it is damaged, or it belongs to another site, span or settings.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise TrainingError(f"{path} does not exist: start without --resume, or name its folder")
    try:
        content = torch.load(path, weights_only=False)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as err:
        raise TrainingError(
            f"{path} is damaged ({err}): remove it and start again without --resume"
        ) from err
    differing = [name for name, value in key.items() if content["key"].get(name) != value]
    if differing:
        raise TrainingError(
            f"{path} belongs to another run; these differ: {', '.join(differing)}. Use another "
            "folder, or what that run used"
        )
    values: dict[str, Any] = content["values"]
    return values
