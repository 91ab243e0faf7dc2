"""What differs between two bundles: settings, scores, tables, site, weights."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue

from gridhash.agents.bundle import parse_manifest
from gridhash.agents.bundle_files import WEIGHTS, check_signature, read_folder
from gridhash.agents.bundle_manifest import Manifest, flatten
from gridhash.agents.bundle_policies import Array, read_arrays


class Part(StrEnum):
    """What of a bundle differs."""

    POLICY = "policy"
    SETTINGS = "settings"  # of training
    SCORES = "scores"  # and verdict
    TABLES = "tables"  # what the policy reads and says
    SITE = "site"
    FORECASTS = "forecasts"
    ORIGIN = "origin"  # data, seed, versions, signature


PART_OF = {
    "policy": Part.POLICY,
    "provenance.training": Part.SETTINGS,
    "provenance.scores": Part.SCORES,
    "verdict": Part.SCORES,
    "observation": Part.TABLES,
    "action": Part.TABLES,
    "groups": Part.TABLES,
    "currency": Part.TABLES,
    "settlement_period_s": Part.TABLES,
    "dispatch_interval_s": Part.TABLES,
    "site_name": Part.SITE,
    "site": Part.SITE,
    "files": Part.FORECASTS,
}
"""Of a path in the manifest or of its beginning; all else is origin."""


class Change(NamedTuple):
    """One value that differs; None where a bundle lacks it."""

    part: Part
    key: str
    first: JsonValue
    second: JsonValue


class ArrayDistance(NamedTuple):
    """How far apart two arrays of a name are."""

    name: str
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    """Of the first and the second; None where a bundle lacks it."""
    relative: float | None
    """Euclidean norm of the difference per norm of the first; None if the shapes differ."""


@dataclass(frozen=True, kw_only=True)
class BundleDiff:
    """Two bundles beside each other."""

    manifests: tuple[Manifest, Manifest]
    changes: tuple[Change, ...]
    arrays: tuple[ArrayDistance, ...]
    """Those that differ."""
    n_arrays: int
    """Names of arrays in either."""


def diff_bundles(first: Path, second: Path) -> BundleDiff:
    """Compare two intact bundles, whoever signed them.

    Raises
    ------
    BundleError
        If one is damaged, incomplete or unsigned.
    """
    (ours, our_arrays), (theirs, their_arrays) = _read(first), _read(second)
    before, after = _leaves(ours), _leaves(theirs)
    keys = [*before, *(key for key in after if key not in before)]
    changes = [
        Change(_part(key), key, before.get(key), after.get(key))
        for key in keys
        if before.get(key) != after.get(key)
    ]
    names = [*our_arrays, *(name for name in their_arrays if name not in our_arrays)]
    distances = [_distance(name, our_arrays.get(name), their_arrays.get(name)) for name in names]
    return BundleDiff(
        manifests=(ours, theirs),
        changes=tuple(sorted(changes, key=lambda change: list(Part).index(change.part))),
        arrays=tuple(found for found in distances if found.relative != 0.0),
        n_arrays=len(names),
    )


def _read(path: Path) -> tuple[Manifest, dict[str, Array]]:
    contents = read_folder(path)
    manifest = parse_manifest(path, contents, check_signature(path, contents))
    has_arrays = WEIGHTS in contents
    return manifest, read_arrays(path / WEIGHTS, contents[WEIGHTS]) if has_arrays else {}


def _leaves(manifest: Manifest) -> dict[str, JsonValue]:
    """Return the values to compare; features by their name, so that one more shifts no other."""
    values = manifest.model_dump(mode="json", exclude={"observation", "site_sha256"})
    values["files"].pop(WEIGHTS, None)
    features = manifest.observation.features
    values["observation"] = {
        "n_features": len(features),
        "feature": {
            feature.name: f"{feature.unit}, {feature.low:g} to {feature.high:g}: {feature.meaning}"
            for feature in features
        },
    }
    return flatten(values)


def _part(key: str) -> Part:
    for beginning, part in PART_OF.items():
        if key == beginning or key.startswith(f"{beginning}."):
            return part
    return Part.ORIGIN


def _distance(name: str, first: Array | None, second: Array | None) -> ArrayDistance:
    shapes = tuple(None if array is None else array.shape for array in (first, second))
    relative = None
    if first is not None and second is not None and first.shape == second.shape:
        a, b = first.astype(np.float64), second.astype(np.float64)
        norm = float(np.linalg.norm(a))
        away = float(np.linalg.norm(a - b))
        relative = away / norm if norm > 0.0 else (0.0 if away == 0.0 else float("inf"))
    return ArrayDistance(name, (shapes[0], shapes[1]), relative)
