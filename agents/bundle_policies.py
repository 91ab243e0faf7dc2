"""The policies that a bundle may hold: their arrays, what a manifest says of them, and back."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from gridhash.agents.bundle_files import WEIGHTS, Contents
from gridhash.agents.bundle_manifest import (
    LevelMlpSpec,
    Manifest,
    MlpSpec,
    PolicySpec,
    RuleSpec,
    TableSpec,
)
from gridhash.agents.level_policy import LevelPolicy
from gridhash.agents.numpy_policy import MlpPolicy, OutputKind, check_weights, mlp_shapes
from gridhash.agents.policy import Policy
from gridhash.agents.relative_policy import RelativePolicy
from gridhash.agents.rule_registry import build_rule, parameters_of
from gridhash.agents.table_registry import DTYPES, TablePolicy, build_table, check_arrays
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.errors import BundleError, PolicyError

Array = npt.NDArray[Any]
BundledPolicy = MlpPolicy | LevelPolicy | RelativePolicy | RuleSpec | TablePolicy


def policy_files(policy: BundledPolicy, name: str) -> dict[str, bytes]:
    """Return the files that hold a policy's arrays; none of a rule.

    Raises
    ------
    BundleError
        If a table's arrays are of a kind that bundles do not hold; `name` is for the message.
    """
    if isinstance(policy, RuleSpec):
        return {}
    if isinstance(policy, MlpPolicy | LevelPolicy | RelativePolicy):
        return {WEIGHTS: safetensors.numpy.save(dict(policy.weights))}
    arrays = {key: np.asarray(array, order="C") for key, array in policy.arrays.items()}
    try:
        check_arrays(arrays)
    except PolicyError as err:
        raise BundleError(f"bundle {name!r}: {err}") from err
    return {WEIGHTS: safetensors.numpy.save(arrays)}


def spec_of(policy: BundledPolicy) -> PolicySpec:
    """Return what a manifest says of a policy."""
    if isinstance(policy, RuleSpec):
        return policy
    if isinstance(policy, MlpPolicy):
        return MlpSpec(
            n_features=policy.n_features,
            hidden=policy.hidden,
            n_groups=policy.n_groups,
            output=policy.output,
            clip=policy.clip,
        )
    if isinstance(policy, RelativePolicy):
        return MlpSpec(
            n_features=policy.network.n_features,
            hidden=policy.network.hidden,
            n_groups=policy.network.n_outputs,
            output=OutputKind.CLIP,
            clip=policy.network.clip,
            added_to=RuleSpec(rule=policy.rule.name, parameters=parameters_of(policy.rule)),
        )
    if isinstance(policy, LevelPolicy):
        return LevelMlpSpec(
            n_features=policy.network.n_features,
            hidden=policy.network.hidden,
            level_counts=policy.level_counts,
            clip=policy.network.clip,
        )
    return TableSpec(table=policy.name)


def build_policy(path: Path, manifest: Manifest, contents: Contents, site: SiteConfig) -> Policy:
    """Return the policy of a bundle whose manifest fits the site; `path` is for messages.

    Raises
    ------
    BundleError
        If the file of its arrays is damaged, or it acts otherwise than the manifest says.
    PolicyError
        If its arrays are not those that the manifest describes.
    """
    spec = manifest.policy
    action_kind = manifest.action.action_kind
    if isinstance(spec, MlpSpec):
        weights = read_arrays(path / WEIGHTS, contents[WEIGHTS])
        check_weights(weights, mlp_shapes(spec.n_features, spec.hidden, spec.n_groups))
        if spec.added_to is not None:
            rule = build_rule(spec.added_to.rule, spec.added_to.parameters, site=site)
            moved = RelativePolicy(rule, weights, name=manifest.name, clip=spec.clip)
            return _acting_by(action_kind, moved, f"rule {rule.name}", path)
        return MlpPolicy(
            weights,
            name=manifest.name,
            action_kind=action_kind,
            clip=spec.clip,
            output=spec.output,
        )
    policy: Policy
    if isinstance(spec, LevelMlpSpec):
        weights = read_arrays(path / WEIGHTS, contents[WEIGHTS])
        n_outputs = sum(spec.level_counts)
        check_weights(weights, mlp_shapes(spec.n_features, spec.hidden, n_outputs))
        return LevelPolicy(weights, name=manifest.name, site=site, clip=spec.clip)
    if isinstance(spec, RuleSpec):
        policy, what = build_rule(spec.rule, spec.parameters, site=site), f"rule {spec.rule}"
    else:
        arrays = read_arrays(path / WEIGHTS, contents[WEIGHTS])
        policy, what = build_table(spec.table, arrays, site=site), f"table {spec.table}"
    return _acting_by(action_kind, policy, what, path)


def _acting_by(kind: ActionKind, policy: Policy, what: str, path: Path) -> Policy:
    if policy.action_kind is not kind:
        raise BundleError(
            f"{path}: {what} acts by {policy.action_kind.name.lower()}, the manifest says "
            f"{kind.name.lower()}"
        )
    return policy


def read_arrays(path: Path, content: bytes) -> dict[str, Array]:
    """Return the arrays of a safetensors file by name; raise BundleError if it is none."""
    try:
        arrays = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as err:
        raise BundleError(f"{path}: no safetensors file: {err}") from err
    found = {}
    for name, array in arrays:
        if array["dtype"] not in DTYPES:
            raise BundleError(
                f"{path}: array {name} is {array['dtype']}; expected one of {', '.join(DTYPES)}"
            )
        dtype = DTYPES[array["dtype"]]
        values = np.frombuffer(array["data"], dtype=dtype).reshape(array["shape"])
        found[name] = values.astype(dtype.newbyteorder("="), copy=False)
    return found
