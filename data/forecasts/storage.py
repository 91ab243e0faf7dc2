"""Forecasters on disk: one JSON manifest and LightGBM's own text, hashed; nothing is executed."""

import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
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
    files = forecaster_files(forecaster)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
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
    try:
        names = [path for path in folder.iterdir() if is_forecaster_file(path.name)]
        files = {path.name: path.read_bytes() for path in names}
    except OSError as err:
        raise FileFormatError(f"{folder / MANIFEST}: no readable forecaster: {err}") from err
    return read_forecaster(files, folder)


def is_forecaster_file(name: str) -> bool:
    """Return whether a file of this name may be part of a forecaster's folder."""
    return name == MANIFEST or re.fullmatch(r"model_[0-9]{2,4}\.txt", name) is not None


def forecaster_files(forecaster: Forecaster) -> dict[str, bytes]:
    """Return the files of a forecaster by name.

    Raises
    ------
    FileFormatError
        If it is of a kind that has no file format.
    """
    if not isinstance(forecaster, _FORECASTERS):
        raise FileFormatError(f"{type(forecaster).__name__} has no file format")
    files: dict[str, bytes] = {}
    content = _encode(forecaster, files)
    text = json.dumps(content, allow_nan=False)
    manifest = {"format": FORMAT, "sha256": _sha256(text), "content": content}
    return {MANIFEST: json.dumps(manifest, allow_nan=False).encode(), **files}


def read_forecaster(files: Mapping[str, bytes], origin: Path) -> Forecaster:
    """Return the forecaster that its files hold; `origin` is their folder, for messages.

    Raises
    ------
    FileFormatError
        If a file is missing, damaged, or of another format.
    """
    path = origin / MANIFEST
    try:
        manifest = json.loads(files[MANIFEST].decode())
    except KeyError:
        raise FileFormatError(f"{path}: no readable forecaster: the file is missing") from None
    except (ValueError, RecursionError) as err:
        raise FileFormatError(f"{path}: no readable forecaster: {err}") from err
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileFormatError(f"{path}: it is not a forecaster of format {FORMAT}; train it again")
    content = manifest.get("content")
    if _sha256(json.dumps(content)) != manifest.get("sha256"):
        raise FileFormatError(f"{path}: its content does not match its checksum: it is damaged")
    forecaster = _decode(content, files, origin)
    if not isinstance(forecaster, _FORECASTERS):
        raise FileFormatError(f"{path}: it holds {type(forecaster).__name__}, no forecaster")
    return forecaster


def _encode(value: object, files: dict[str, bytes]) -> Any:
    """Return a value as JSON; models become files of their own."""
    match value:
        case pd.Timestamp():
            return {"instant": value.isoformat()}
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else {"float": repr(value)}
        case tuple():
            return [_encode(item, files) for item in value]
        case dict():
            return {"map": {key: _encode(item, files) for key, item in value.items()}}
        case np.ndarray():
            return {"array": value.tolist(), "dtype": str(value.dtype)}
        case lgb.Booster():
            text = value.model_to_string()
            name = f"model_{len(files):02}.txt"
            files[name] = text.encode()
            return {"model": name, "sha256": _sha256(text)}
        case _ if type(value).__name__ in _TYPES and dataclasses.is_dataclass(value):
            fields = {
                field.name: _encode(getattr(value, field.name), files)
                for field in dataclasses.fields(value)
            }
            return {"type": type(value).__name__, "fields": fields}
    raise FileFormatError(f"{type(value).__name__} has no file format")


def _decode(value: Any, files: Mapping[str, bytes], origin: Path) -> Any:
    match value:
        case list():
            return tuple(_decode(item, files, origin) for item in value)
        case {"instant": text}:
            return pd.Timestamp(text)
        case {"float": text}:
            return float(text)
        case {"map": items}:
            return {key: _decode(item, files, origin) for key, item in items.items()}
        case {"array": items, "dtype": dtype}:
            return np.array(items, dtype=dtype)
        case {"model": name, "sha256": digest}:
            return _decode_model(files.get(name), digest, origin / str(name))
        case {"type": name, "fields": fields}:
            kind = _TYPES.get(name)
            if kind is None:
                raise FileFormatError(f"{origin}: unknown type {name}; update gridhash")
            return kind(**{key: _decode(item, files, origin) for key, item in fields.items()})
    return value


def _decode_model(data: bytes | None, digest: str, path: Path) -> lgb.Booster:
    if data is None:
        raise FileFormatError(f"{path}: the model is missing")
    text = data.decode(errors="replace")
    if _sha256(text) != digest:
        raise FileFormatError(f"{path}: it does not match its checksum: it is damaged")
    return lgb.Booster(model_str=text)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
