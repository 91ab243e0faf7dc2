"""Files from which a training run continues as if it had never stopped.

A checkpoint is a torch file, hence a pickle, behind a line with its SHA-256: it is read here only,
from the user's own run folder, never at a site, and not before the sum is right.
"""

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from gridhash.errors import TrainingError

FILE_NAME = "checkpoint.pt"
_MAGIC = b"gridhash checkpoint 1 "
_HEADER_BYTES = len(_MAGIC) + 2 * hashlib.sha256().digest_size + 1


def save(folder: Path, key: dict[str, str], values: dict[str, Any]) -> Path:
    """Write a checkpoint in one step: the file is whole, or it is the one before.

    `key` names the run by its settings, site, spans and prices.

    Raises
    ------
    TrainingError
        If it cannot be written.
    """
    path = folder / FILE_NAME
    part = path.with_suffix(".part")
    buffer = io.BytesIO()
    torch.save({"key": key, "values": values}, buffer)
    content = buffer.getvalue()
    try:
        with part.open("wb") as file:
            file.write(_header(content))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as err:
        raise TrainingError(f"{part} cannot be written: {err.strerror}") from err
    return path


def require(folder: Path) -> Path:
    """Return the path of the folder's checkpoint; raise TrainingError if there is none."""
    path = folder / FILE_NAME
    if not path.exists():
        raise TrainingError(f"{path} does not exist: start without --resume, or name its folder")
    return path


def load(folder: Path, key: dict[str, str]) -> dict[str, Any]:
    """Return the values of the folder's checkpoint.

    Raises
    ------
    TrainingError
        If there is no checkpoint, it is damaged, or it belongs to another site, span or settings.
    """
    path = require(folder)
    try:
        raw = path.read_bytes()
    except OSError as err:
        raise TrainingError(f"{path} cannot be read: {err.strerror}") from err
    header, content = raw[:_HEADER_BYTES], raw[_HEADER_BYTES:]
    if not header.startswith(_MAGIC):
        raise TrainingError(
            f"{path} is no checkpoint of this gridhash: remove it and start again without --resume"
        )
    if header != _header(content):
        raise TrainingError(
            f"{path} is damaged (its SHA-256 differs): remove it and start again without --resume"
        )
    try:
        found = torch.load(io.BytesIO(content), weights_only=False)
    except (AttributeError, ImportError, RuntimeError, TypeError, pickle.UnpicklingError) as err:
        raise TrainingError(
            f"{path} was written by another version of gridhash or torch ({err}): use that one, "
            "or remove it and start again without --resume"
        ) from err
    differing = [name for name, value in key.items() if found["key"].get(name) != value]
    if differing:
        raise TrainingError(
            f"{path} belongs to another run; these differ: {', '.join(differing)}. Use another "
            "folder, or what that run used"
        )
    values: dict[str, Any] = found["values"]
    return values


def _header(content: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n"
