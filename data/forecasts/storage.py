"""Forecasters on disk: one JSON manifest and LightGBM's own text, hashed; nothing is executed."""

import dataclasses
import hashlib
import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from gridhash.data.forecasts.anchor import Anchor
from gridhash.data.forecasts.baselines import Climatology, ReferenceForecaster
from gridhash.data.forecasts.features import FeatureSpec
from gridhash.data.forecasts.forecast import Forecaster
from gridhash.data.forecasts.quantile_map import Calibration
from gridhash.data.forecasts.quantile_model import QuantileModel
from gridhash.data.splits import Span
from gridhash.errors import FileFormatError

FORMAT = 1
MANIFEST = "forecaster.json"

_FORECASTERS = (ReferenceForecaster, Climatology, QuantileModel)
_TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (*_FORECASTERS, Anchor, Calibration, FeatureSpec, Span)
}


def save_forecaster(forecaster: Forecaster, folder: Path) -> None:
    """Write a forecaster to a new folder; it appears whole or not at all.

    Raises
    ------
    FileFormatError
        If the folder exists already, or the forecaster is of a kind that has no file format.
    """
    if folder.exists():
        raise FileFormatError(f"{folder} exists already; choose another folder or remove it")
    if not isinstance(forecaster, _FORECASTERS):
        raise FileFormatError(f"{type(forecaster).__name__} has no file format")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        content = _encode(forecaster, unfinished)
        text = json.dumps(content, allow_nan=False)
        manifest = {"format": FORMAT, "sha256": _sha256(text), "content": content}
        (unfinished / MANIFEST).write_text(json.dumps(manifest, allow_nan=False), encoding="utf-8")
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def load_forecaster(folder: Path) -> Forecaster:
    """Read a forecaster back; its forecasts are the same to the bit.

    Raises
    ------
    FileFormatError
        If a file is missing, damaged, or of another format.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise FileFormatError(f"{path}: no readable forecaster: {err}") from err
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileFormatError(f"{path}: it is not a forecaster of format {FORMAT}; train it again")
    content = manifest.get("content")
    if _sha256(json.dumps(content)) != manifest.get("sha256"):
        raise FileFormatError(f"{path}: its content does not match its checksum: it is damaged")
    forecaster = _decode(content, folder)
    if not isinstance(forecaster, _FORECASTERS):
        raise FileFormatError(f"{path}: it holds {type(forecaster).__name__}, no forecaster")
    return forecaster


def _encode(value: object, folder: Path) -> Any:
    match value:
        case pd.Timestamp():
            return {"instant": value.isoformat()}
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else {"float": repr(value)}
        case tuple():
            return [_encode(item, folder) for item in value]
        case dict():
            return {"map": {key: _encode(item, folder) for key, item in value.items()}}
        case np.ndarray():
            return {"array": value.tolist(), "dtype": str(value.dtype)}
        case lgb.Booster():
            return _encode_model(value, folder)
        case _ if type(value).__name__ in _TYPES and dataclasses.is_dataclass(value):
            fields = {
                field.name: _encode(getattr(value, field.name), folder)
                for field in dataclasses.fields(value)
            }
            return {"type": type(value).__name__, "fields": fields}
    raise FileFormatError(f"{type(value).__name__} has no file format")


def _encode_model(booster: lgb.Booster, folder: Path) -> dict[str, str]:
    text = booster.model_to_string()
    name = f"model_{len(list(folder.iterdir())):02}.txt"
    (folder / name).write_bytes(text.encode())
    return {"model": name, "sha256": _sha256(text)}


def _decode(value: Any, folder: Path) -> Any:
    match value:
        case list():
            return tuple(_decode(item, folder) for item in value)
        case {"instant": text}:
            return pd.Timestamp(text)
        case {"float": text}:
            return float(text)
        case {"map": items}:
            return {key: _decode(item, folder) for key, item in items.items()}
        case {"array": items, "dtype": dtype}:
            return np.array(items, dtype=dtype)
        case {"model": name, "sha256": digest}:
            return _decode_model(folder / Path(name).name, digest)
        case {"type": name, "fields": fields}:
            kind = _TYPES.get(name)
            if kind is None:
                raise FileFormatError(f"{folder}: unknown type {name}; update gridhash")
            return kind(**{key: _decode(item, folder) for key, item in fields.items()})
    return value


def _decode_model(path: Path, digest: str) -> lgb.Booster:
    try:
        data = path.read_bytes()
    except OSError as err:
        raise FileFormatError(f"{path}: the model is missing: {err}") from err
    text = data.decode(errors="replace")
    if _sha256(text) != digest:
        raise FileFormatError(f"{path}: it does not match its checksum: it is damaged")
    return lgb.Booster(model_str=text)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
