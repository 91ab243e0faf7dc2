"""Policy bundles: how a policy travels from training to a site.

A bundle is one folder ``NAME.bundle`` that is there whole or not at all::

    manifest.json        what the policy is, what it reads, how it came about (`Manifest`)
    manifest.sig         the signer's public key and its Ed25519 signature of manifest.json
    policy.safetensors   weights of a network or arrays of a table; absent if the policy is a rule
    forecasts/NAME/…     forecasters of what the policy reads (`data.forecasts.storage`), if any

Reading trusts nothing before it is checked: sizes and file names, then the signature over the
bytes of the manifest, only then its content, the checksums of the other files, the fit to the
site, and last the weights. There is no pickle and nothing in a bundle is executed.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

import gridhash
from gridhash.agents.bundle_files import (
    FORECAST_FILE,
    FORECASTS,
    MANIFEST,
    SIGNATURE,
    SUFFIX,
    Contents,
    check_signature,
    new_folder,
    read_folder,
    sign,
)
from gridhash.agents.bundle_manifest import (
    FORMAT_VERSION,
    Manifest,
    Provenance,
    RuleSpec,
    Verdict,
    Versions,
    describe_action,
    describe_observation,
    misfits,
    site_changes,
    site_hash,
)
from gridhash.agents.bundle_policies import BundledPolicy, build_policy, policy_files, spec_of
from gridhash.agents.policy import Policy
from gridhash.agents.rule_registry import build_rule
from gridhash.agents.signing import PublicKey, SigningKey
from gridhash.config import SiteConfig, describe_faults
from gridhash.errors import BundleError, FileFormatError, PolicyError

if TYPE_CHECKING:
    from gridhash.data.forecasts.forecast import Forecaster

Array = npt.NDArray[Any]


class LoadedBundle(NamedTuple):
    """What a site gets from a bundle that it may trust."""

    policy: Policy
    manifest: Manifest
    forecasters: "Mapping[str, Forecaster]"
    """By name; whoever builds the observation forecasts with them."""


@dataclass(frozen=True)
class BundleDescription:
    """What an intact bundle says, whoever signed it."""

    manifest: Manifest
    signer: PublicKey
    trusted: bool
    misfits: tuple[str, ...]
    """Why it cannot run at the site asked about."""
    site_changes: tuple[str, ...]
    """Figures of the site file that differ from those at training."""


def write_bundle(
    folder: Path,
    policy: BundledPolicy,
    *,
    name: str,
    site: SiteConfig,
    key: SigningKey,
    created_at: datetime,
    provenance: Provenance,
    verdict: Verdict | None = None,
    forecasters: "Mapping[str, Forecaster] | None" = None,
) -> Path:
    """Write and sign ``folder/NAME.bundle`` and return its path.

    `policy` is a network, a table, or a rule by name; `name` is of lower-case letters, digits, -
    and _, and so are the names of `forecasters`.

    What was written is read back as a site would before it gets its name, so that no bundle
    comes to be that its own site refuses.

    Raises
    ------
    BundleError
        If the name is taken or none, the policy does not fit the site, or writing fails.
    """
    files = policy_files(policy, name)
    for forecaster_name, forecaster in (forecasters or {}).items():
        from gridhash.data.forecasts.storage import forecaster_files

        for file, content in forecaster_files(forecaster).items():
            files[f"{FORECASTS}/{forecaster_name}/{file}"] = content
    if isinstance(policy, RuleSpec):
        action_kind = build_rule(policy.rule, policy.parameters, site=site).action_kind
    else:
        action_kind = policy.action_kind
    try:
        manifest = Manifest(
            name=name,
            created_at=created_at,
            policy=spec_of(policy),
            observation=describe_observation(site),
            action=describe_action(site, action_kind),
            site_name=site.name,
            currency=site.currency,
            groups=tuple(group.name for group in site.groups),
            settlement_period_s=site.market.settlement_period_s,
            dispatch_interval_s=site.dispatch_interval_s,
            site=site.model_dump(mode="json"),
            site_sha256=site_hash(site),
            provenance=provenance,
            versions=Versions(
                python=platform.python_version(),
                numpy=np.__version__,
                gridhash=gridhash.__version__,
            ),
            verdict=verdict,
            files={file: _sha256(content) for file, content in files.items()},
            key_id=key.public.key_id,
        )
    except ValidationError as err:
        raise BundleError(f"bundle {name!r}: {describe_faults(err)}") from err
    target = Path(folder) / f"{manifest.name}{SUFFIX}"
    with new_folder(target, {**_signed(manifest, key), **files}) as scratch:
        load_bundle(scratch, site=site, trusted_keys=[key.public])
    return target


def load_bundle(path: Path, *, site: SiteConfig, trusted_keys: Sequence[PublicKey]) -> LoadedBundle:
    """Return the policy of a bundle, ready to act at this site, and what is said of it.

    Raises
    ------
    BundleError
        If the bundle is damaged, incomplete, unsigned or signed by a key that is not trusted, or
        does not fit the site; the message says which file or what differs.
    """
    path = Path(path)
    return open_contents(path, read_folder(path), site=site, trusted_keys=trusted_keys)


def open_contents(
    path: Path, contents: Contents, *, site: SiteConfig, trusted_keys: Sequence[PublicKey]
) -> LoadedBundle:
    """Do what `load_bundle` does, from files that are read already; `path` is for messages."""
    signer = check_signature(path, contents)
    if signer not in trusted_keys:
        raise BundleError(f"{path}: {distrust(signer, trusted_keys)}")
    manifest = parse_manifest(path, contents, signer)
    if reasons := misfits(manifest, site):
        raise BundleError(
            f"{path} does not fit site {site.name}: {'; '.join(reasons)}. Train or export the "
            "policy for this site"
        )
    try:
        policy = build_policy(path, manifest, contents, site)
    except PolicyError as err:
        raise BundleError(f"{path}: {err}") from err
    return LoadedBundle(policy, manifest, _read_forecasters(path, manifest, contents))


def distrust(signer: PublicKey, trusted_keys: Sequence[PublicKey]) -> str:
    """Return the words for a signer who is not trusted."""
    trusted = ", ".join(str(key) for key in trusted_keys) or "none"
    return (
        f"signed by key {signer.key_id} (public key {signer.hex}), which is not trusted here; "
        f"trusted: {trusted}"
    )


def describe_bundle(
    path: Path, *, site: SiteConfig | None = None, trusted_keys: Sequence[PublicKey] = ()
) -> BundleDescription:
    """Return what a bundle says of itself; it need be neither trusted nor made for the site.

    Raises
    ------
    BundleError
        If it is damaged, incomplete, or its signature does not hold for its own key.
    """
    path = Path(path)
    contents = read_folder(path)
    signer = check_signature(path, contents)
    manifest = parse_manifest(path, contents, signer)
    return BundleDescription(
        manifest=manifest,
        signer=signer,
        trusted=signer in trusted_keys,
        misfits=() if site is None else misfits(manifest, site),
        site_changes=() if site is None else site_changes(manifest, site),
    )


def sign_again(
    path: Path, target: Path, *, key: SigningKey, verdict: Verdict | None = None
) -> Path:
    """Write an intact bundle to `target` under another key, and with a new verdict if one is given.

    Whoever signed it before is kept in the manifest. Whether that signer is to be trusted is the
    caller's question: `describe_bundle` tells who it is.

    Raises
    ------
    BundleError
        If the bundle is damaged, `target` exists or is named otherwise than bundles are.
    """
    path, target = Path(path), Path(target)
    contents = read_folder(path)
    signer = check_signature(path, contents)
    manifest = parse_manifest(path, contents, signer)
    if target.suffix != SUFFIX:
        raise BundleError(f"{target}: a bundle is called NAME{SUFFIX}")
    values = manifest.model_dump(mode="json") | {
        "format_version": FORMAT_VERSION,
        "name": target.stem,
        "key_id": key.public.key_id,
        "earlier_keys": [*manifest.earlier_keys, signer.key_id],
    }
    if verdict is not None:
        values["verdict"] = verdict.model_dump(mode="json")
    try:
        renewed = Manifest.model_validate_json(json.dumps(values))
    except ValidationError as err:
        raise BundleError(f"{target}: {describe_faults(err)}") from err
    with new_folder(target, {**contents, **_signed(renewed, key)}) as scratch:
        describe_bundle(scratch)
    return target


def _signed(manifest: Manifest, key: SigningKey) -> dict[str, bytes]:
    text = (manifest.model_dump_json(indent=1) + "\n").encode()
    return {MANIFEST: text, SIGNATURE: sign(text, key)}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def parse_manifest(path: Path, contents: Contents, signer: PublicKey) -> Manifest:
    """Return the manifest of verified bytes, after checking what it says of the other files.

    Raises
    ------
    BundleError
        If it is none, is of a newer format, or the files are not those that were signed.
    """
    where = path / MANIFEST
    try:
        values = json.loads(contents[MANIFEST])
    except (ValueError, RecursionError) as err:
        raise BundleError(f"{where}: no JSON: {err}") from err
    version = values.get("format_version") if isinstance(values, dict) else None
    if version not in range(1, FORMAT_VERSION + 1):
        newer = isinstance(version, int) and version > FORMAT_VERSION
        raise BundleError(
            f"{where}: format_version is {version!r}; this gridhash, {gridhash.__version__}, reads "
            f"versions 1 to {FORMAT_VERSION}{': update gridhash' if newer else ''}"
        )
    try:
        manifest = Manifest.model_validate_json(contents[MANIFEST])
    except ValidationError as err:
        raise BundleError(f"{where}: {describe_faults(err)}") from err
    if manifest.key_id != signer.key_id:
        raise BundleError(f"{where} names key {manifest.key_id} but {signer.key_id} signed it")
    for name in contents.keys() - manifest.files.keys() - {MANIFEST, SIGNATURE}:
        raise BundleError(f"{path} holds {name}, which its manifest does not name; remove it")
    for name, sha256 in manifest.files.items():
        if name not in contents:
            raise BundleError(f"{path} is incomplete: {name} is missing; copy it again")
        if _sha256(contents[name]) != sha256:
            raise BundleError(
                f"{path / name} is not the file that was signed: its SHA-256 differs; copy it again"
            )
    return manifest


def _read_forecasters(
    path: Path, manifest: Manifest, contents: Contents
) -> "dict[str, Forecaster]":
    if not manifest.forecasters:
        return {}
    from gridhash.data.forecasts.storage import read_forecaster  # LightGBM only where it is used

    files: dict[str, dict[str, bytes]] = {name: {} for name in manifest.forecasters}
    for name in manifest.files:
        if match := FORECAST_FILE.fullmatch(name):
            files[match[1]][match[2]] = contents[name]
    try:
        return {name: read_forecaster(own, path / FORECASTS / name) for name, own in files.items()}
    except FileFormatError as err:
        raise BundleError(str(err)) from err
