"""Policy bundles: how a policy travels from training to a site.

A bundle is one folder ``NAME.bundle`` that is there whole or not at all::

    manifest.json        what the policy is, what it reads, how it came about (`Manifest`)
    manifest.sig         the signer's public key and its Ed25519 signature of manifest.json
    policy.safetensors   weights; absent if the policy is a rule

Reading trusts nothing before it is checked: sizes and file names, then the signature over the
bytes of the manifest, only then its content, the checksums of the other files, the fit to the
site, and last the weights. There is no pickle and nothing in a bundle is executed.
"""

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from pydantic import ValidationError

import gridhash
from gridhash.agents.bundle_manifest import (
    Manifest,
    MlpSpec,
    Provenance,
    RuleSpec,
    Versions,
    describe_action,
    describe_observation,
    misfits,
    site_changes,
    site_hash,
)
from gridhash.agents.numpy_policy import MlpPolicy, check_weights, mlp_shapes
from gridhash.agents.policy import Policy
from gridhash.agents.rule_registry import build_rule
from gridhash.agents.signing import SIGNATURE_BYTES, PublicKey, SigningKey
from gridhash.config import SiteConfig, describe_faults
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats32
from gridhash.errors import BundleError, PolicyError

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
WEIGHTS = "policy.safetensors"
MAX_BYTES = {MANIFEST: 4 * 2**20, SIGNATURE: 1024, WEIGHTS: 64 * 2**20}
SUFFIX = ".bundle"

# One spelling only, so that no byte of the file can change and the signature still read the same.
_SIGNATURE_FILE = re.compile(
    rb"gridhash bundle signature 1\nkey ([0-9a-f]{64})\nsignature ([0-9a-f]{128})\n"
)
_SIGNED_PREFIX = b"gridhash bundle manifest 1\n"
"""Signed before the manifest, so that a signature given for something else is none here."""


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
    policy: MlpPolicy | RuleSpec,
    *,
    name: str,
    site: SiteConfig,
    key: SigningKey,
    created_at: datetime,
    provenance: Provenance,
) -> Path:
    """Write and sign ``folder/NAME.bundle`` and return its path.

    `policy` is a network or a rule by name; `name` is of lower-case letters, digits, - and _.

    What was written is read back as a site would before it gets its name, so that no bundle
    comes to be that its own site refuses.

    Raises
    ------
    BundleError
        If the name is taken or none, the policy does not fit the site, or writing fails.
    """
    folder = Path(folder)
    if isinstance(policy, MlpPolicy):
        weights: bytes | None = safetensors.numpy.save(dict(policy.weights))
        action_kind: ActionKind = policy.action_kind
    else:
        weights = None
        action_kind = build_rule(policy.rule, policy.parameters, site=site).action_kind
    manifest = _manifest(
        policy,
        weights,
        name=name,
        action_kind=action_kind,
        site=site,
        key=key,
        created_at=created_at,
        provenance=provenance,
    )
    manifest_bytes = (manifest.model_dump_json(indent=1) + "\n").encode()
    files = {MANIFEST: manifest_bytes, SIGNATURE: _sign(manifest_bytes, key)}
    if weights is not None:
        files[WEIGHTS] = weights
    target = folder / f"{manifest.name}{SUFFIX}"
    if target.exists():
        raise BundleError(f"{target} exists already; choose another name or remove it")
    scratch = folder / f".{manifest.name}.{secrets.token_hex(8)}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch.mkdir()
        for file_name, content in files.items():
            _write_durably(scratch / file_name, content)
        load_bundle(scratch, site=site, trusted_keys=[key.public])
        _sync_folder(scratch)
        scratch.rename(target)
        _sync_folder(folder)
    except OSError as err:
        raise BundleError(f"{target}: cannot be written: {err.strerror}") from err
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def load_bundle(
    path: Path, *, site: SiteConfig, trusted_keys: Sequence[PublicKey]
) -> tuple[Policy, Manifest]:
    """Return the policy of a bundle, ready to act at this site, and what is said of it.

    Raises
    ------
    BundleError
        If the bundle is damaged, incomplete, unsigned or signed by a key that is not trusted, or
        does not fit the site; the message says which file or what differs.
    """
    path = Path(path)
    contents = _read_folder(path)
    signer = _check_signature(path, contents)
    if signer not in trusted_keys:
        trusted = ", ".join(str(key) for key in trusted_keys) or "none"
        raise BundleError(
            f"{path}: signed by key {signer.key_id} (public key {signer.hex}), which is not "
            f"trusted here; trusted: {trusted}"
        )
    manifest = _parse(path, contents, signer)
    if reasons := misfits(manifest, site):
        raise BundleError(
            f"{path} does not fit site {site.name}: {'; '.join(reasons)}. Train or export the "
            "policy for this site"
        )
    try:
        return _build(path, manifest, contents, site), manifest
    except PolicyError as err:
        raise BundleError(f"{path}: {err}") from err


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
    contents = _read_folder(path)
    signer = _check_signature(path, contents)
    manifest = _parse(path, contents, signer)
    return BundleDescription(
        manifest=manifest,
        signer=signer,
        trusted=signer in trusted_keys,
        misfits=() if site is None else misfits(manifest, site),
        site_changes=() if site is None else site_changes(manifest, site),
    )


def _manifest(
    policy: MlpPolicy | RuleSpec,
    weights: bytes | None,
    *,
    name: str,
    action_kind: ActionKind,
    site: SiteConfig,
    key: SigningKey,
    created_at: datetime,
    provenance: Provenance,
) -> Manifest:
    if isinstance(policy, MlpPolicy):
        spec: MlpSpec | RuleSpec = MlpSpec(
            n_features=policy.n_features,
            hidden=policy.hidden,
            n_groups=policy.n_groups,
            output=policy.output,
            clip=policy.clip,
        )
    else:
        spec = policy
    try:
        return Manifest(
            name=name,
            created_at=created_at,
            policy=spec,
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
            files={} if weights is None else {WEIGHTS: hashlib.sha256(weights).hexdigest()},
            key_id=key.public.key_id,
        )
    except ValidationError as err:
        raise BundleError(f"bundle {name!r}: {describe_faults(err)}") from err


def _sign(manifest: bytes, key: SigningKey) -> bytes:
    signature = key.sign(_SIGNED_PREFIX + manifest)
    return (
        f"gridhash bundle signature 1\nkey {key.public.hex}\nsignature {signature.hex()}\n"
    ).encode()


def _read_folder(path: Path) -> dict[str, bytes]:
    """Read the files of a bundle, each once, refusing other names, links and large files."""
    try:
        names = sorted(os.listdir(path))
    except OSError as err:
        raise BundleError(f"{path}: no bundle folder can be read there: {err.strerror}") from err
    if extra := [name for name in names if name not in MAX_BYTES]:
        raise BundleError(f"{path} holds {extra[0]!r}, which is no part of a bundle; remove it")
    for name in (MANIFEST, SIGNATURE):
        if name not in names:
            what = "unsigned" if name == SIGNATURE else "incomplete"
            raise BundleError(f"{path} is {what}: {name} is missing; export or copy it again")
    try:
        return {name: _read_file(path / name, MAX_BYTES[name]) for name in names}
    except OSError as err:
        raise BundleError(f"{err.filename}: cannot be read: {err.strerror}") from err


def _read_file(path: Path, max_bytes: int) -> bytes:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise BundleError(f"{path} is no plain file; links and devices are refused")
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BundleError(f"{path} is larger than {max_bytes} bytes, the most that is read")
    return content


def _check_signature(path: Path, contents: Mapping[str, bytes]) -> PublicKey:
    """Return whose signature holds for the manifest, before the manifest is parsed."""
    found = _SIGNATURE_FILE.fullmatch(contents[SIGNATURE])
    if found is None:
        raise BundleError(f"{path / SIGNATURE} is damaged: it does not read as a signature")
    signer = PublicKey(bytes.fromhex(found[1].decode()))
    signature = bytes.fromhex(found[2].decode())
    assert len(signature) == SIGNATURE_BYTES
    if not signer.verifies(signature, _SIGNED_PREFIX + contents[MANIFEST]):
        raise BundleError(
            f"{path}: the signature of key {signer.key_id} does not hold: {MANIFEST} or "
            f"{SIGNATURE} was changed after signing"
        )
    return signer


def _parse(path: Path, contents: Mapping[str, bytes], signer: PublicKey) -> Manifest:
    """Return the manifest of verified bytes, after checking what it says of the other files."""
    where = path / MANIFEST
    try:
        values = json.loads(contents[MANIFEST])
    except (ValueError, RecursionError) as err:
        raise BundleError(f"{where}: no JSON: {err}") from err
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != 1:
        raise BundleError(f"{where}: format_version is {version!r}; this gridhash reads version 1")
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
        if hashlib.sha256(contents[name]).hexdigest() != sha256:
            raise BundleError(
                f"{path / name} is not the file that was signed: its SHA-256 differs; copy it again"
            )
    return manifest


def _build(
    path: Path, manifest: Manifest, contents: Mapping[str, bytes], site: SiteConfig
) -> Policy:
    spec = manifest.policy
    action_kind = manifest.action.action_kind
    if isinstance(spec, RuleSpec):
        rule = build_rule(spec.rule, spec.parameters, site=site)
        if rule.action_kind is not action_kind:
            raise BundleError(
                f"{path}: rule {spec.rule} acts by {rule.action_kind.name.lower()}, the manifest "
                f"says {manifest.action.kind}"
            )
        return rule
    weights = _read_weights(path / WEIGHTS, contents[WEIGHTS])
    check_weights(weights, mlp_shapes(spec.n_features, spec.hidden, spec.n_groups))
    return MlpPolicy(
        weights,
        name=manifest.name,
        action_kind=action_kind,
        clip=spec.clip,
        output=spec.output,
    )


def _read_weights(path: Path, content: bytes) -> dict[str, Floats32]:
    try:
        arrays = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as err:
        raise BundleError(f"{path}: no safetensors file: {err}") from err
    weights = {}
    for name, array in arrays:
        if array["dtype"] != "F32":
            raise BundleError(f"{path}: array {name} is {array['dtype']}; expected F32")
        values = np.frombuffer(array["data"], dtype="<f4").reshape(array["shape"])
        weights[name] = values.astype(np.float32, copy=False)
    return weights


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
