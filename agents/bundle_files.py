"""The files of a bundle: which there may be, how they are read, written and signed."""

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gridhash.agents.signing import SIGNATURE_BYTES, PublicKey, SigningKey
from gridhash.errors import BundleError

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
WEIGHTS = "policy.safetensors"
FORECASTS = "forecasts"
SUFFIX = ".bundle"
MAX_BYTES = {MANIFEST: 4 * 2**20, SIGNATURE: 1024, WEIGHTS: 64 * 2**20}
MAX_FORECAST_BYTES = 16 * 2**20
"""Of one file of a forecaster."""
MAX_FORECAST_FILES = 1024
"""Of all forecasters of a bundle."""

FORECAST_FILE = re.compile(
    rf"{FORECASTS}/([a-z0-9][a-z0-9_-]{{0,63}})/(forecaster\.json|model_[0-9]{{2,4}}\.txt)"
)
"""Names of the forecaster and of its file; the only files of a bundle that lie in folders."""
# One spelling only, so that no byte of the file can change and the signature still read the same.
_SIGNATURE_FILE = re.compile(
    rb"gridhash bundle signature 1\nkey ([0-9a-f]{64})\nsignature ([0-9a-f]{128})\n"
)
_SIGNED_PREFIX = b"gridhash bundle manifest 1\n"
"""Signed before the manifest, so that a signature given for something else is none here."""

Contents = Mapping[str, bytes]
"""Files of a bundle by their path within it, with / between folders."""


def max_bytes(name: str) -> int | None:
    """Return how large a file of a bundle may be; None if a bundle has no such file."""
    if FORECAST_FILE.fullmatch(name):
        return MAX_FORECAST_BYTES
    return MAX_BYTES.get(name)


def read_folder(path: Path) -> dict[str, bytes]:
    """Return the files of a bundle, each read once; other names, links and large files are refused.

    Raises
    ------
    BundleError
        If the folder cannot be read, holds what no bundle holds, or lacks manifest or signature.
    """
    try:
        names = sorted(_names(path))
        if extra := [name for name in names if max_bytes(name) is None]:
            raise BundleError(f"{path} holds {extra[0]!r}, which is no part of a bundle; remove it")
        if len(names) > len(MAX_BYTES) + MAX_FORECAST_FILES:
            raise BundleError(f"{path} holds {len(names)} files, more than a bundle may")
        return {name: _read_file(path / name, MAX_BYTES.get(name)) for name in names}
    except OSError as err:
        if err.filename in (None, path, str(path)):
            raise BundleError(
                f"{path}: no bundle folder can be read there: {err.strerror}"
            ) from err
        raise BundleError(f"{err.filename}: cannot be read: {err.strerror}") from err


def _names(path: Path) -> Iterator[str]:
    """Yield the paths of a bundle's files, without following a link."""
    for name in os.listdir(path):
        if name != FORECASTS:
            yield name
            continue
        for forecaster in _folder(path / name):
            for file in _folder(path / name / forecaster):
                yield f"{name}/{forecaster}/{file}"


def _folder(path: Path) -> list[str]:
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise BundleError(f"{path} is no plain folder; links and files are refused there")
    return os.listdir(path)


def _read_file(path: Path, most_bytes: int | None) -> bytes:
    most_bytes = MAX_FORECAST_BYTES if most_bytes is None else most_bytes
    if not stat.S_ISREG(path.lstat().st_mode):
        raise BundleError(f"{path} is no plain file; links and devices are refused")
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise BundleError(f"{path} is larger than {most_bytes} bytes, the most that is read")
    return content


def sign(manifest: bytes, key: SigningKey) -> bytes:
    """Return the signature file of a manifest."""
    signature = key.sign(_SIGNED_PREFIX + manifest)
    return (
        f"gridhash bundle signature 1\nkey {key.public.hex}\nsignature {signature.hex()}\n"
    ).encode()


def check_signature(path: Path, contents: Contents) -> PublicKey:
    """Return whose signature holds for the manifest, before the manifest is parsed.

    Raises
    ------
    BundleError
        If manifest or signature are missing, or the signature does not hold.
    """
    for name in (MANIFEST, SIGNATURE):
        if name not in contents:
            what = "unsigned" if name == SIGNATURE else "incomplete"
            raise BundleError(f"{path} is {what}: {name} is missing; export or copy it again")
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


@contextmanager
def new_folder(target: Path, contents: Contents) -> Iterator[Path]:
    """Write files to a folder beside `target`, which gets that name when the block ends well.

    Raises
    ------
    BundleError
        If the target exists or writing fails; then nothing is left.
    """
    if target.exists():
        raise BundleError(f"{target} exists already; choose another name or remove it")
    scratch = target.parent / f".{target.stem}.{secrets.token_hex(8)}{SUFFIX}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir()
        for name, content in contents.items():
            _write_durably(scratch / name, content)
        yield scratch
        for folder in {path.parent for path in scratch.rglob("*")} | {scratch}:
            _sync_folder(folder)
        scratch.rename(target)
        _sync_folder(target.parent)
    except OSError as err:
        raise BundleError(f"{target}: cannot be written: {err.strerror}") from err
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_durably(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
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
