"""Keys that sign policy bundles and keys that a site trusts (Ed25519)."""

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridhash.errors import BundleError

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_KEY_FILE_BYTES = 4096


@dataclass(frozen=True)
class PublicKey:
    """A key that checks signatures; two are equal if their bytes are."""

    raw: bytes
    label: str = field(default="", compare=False)
    """Where it was read from, for messages."""

    def __post_init__(self) -> None:
        """Refuse what is no key."""
        if len(self.raw) != PUBLIC_KEY_BYTES:
            raise BundleError(f"a public key has {PUBLIC_KEY_BYTES} bytes; found {len(self.raw)}")

    @property
    def hex(self) -> str:
        """The key as 64 hexadecimal digits."""
        return self.raw.hex()

    @property
    def key_id(self) -> str:
        """A short name to compare by eye: the head of the key's SHA-256."""
        return f"ed25519:{hashlib.sha256(self.raw).hexdigest()[:16]}"

    def __str__(self) -> str:
        """Return the short name, with the origin where it is known."""
        return f"{self.key_id} ({self.label})" if self.label else self.key_id

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether this key signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A private key; its text never shows it."""

    _key: Ed25519PrivateKey = field(repr=False)
    public: PublicKey

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes."""
        return self._key.sign(message)


def generate_key(path: Path) -> SigningKey:
    """Make a new key: the private one at `path` (PEM, mode 0600), the public one beside it.

    The public key goes to the same name with the suffix ``.pub``, as 64 hexadecimal digits: that
    file is what a site is given to trust.

    Raises
    ------
    BundleError
        If either file exists: no key is ever overwritten.
    """
    path = Path(path)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public_path = path.with_suffix(".pub")
    if public_path == path:
        raise BundleError(f"{path}: the suffix .pub is for the public key; choose another name")
    if public_path.exists():
        raise BundleError(
            f"{public_path} exists already and is not overwritten; choose another name"
        )
    key = _signing_key(private, label=public_path.name)
    _write_new(path, pem, mode=0o600)
    _write_new(public_path, f"{key.public.hex}\n".encode(), mode=0o644)
    return key


def read_key(path: Path) -> SigningKey:
    """Read a private key.

    Raises
    ------
    BundleError
        If the file is missing, is no Ed25519 key, or others may read it.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        pem = _read_small(path)
    except OSError as err:
        raise BundleError(f"{path}: the signing key cannot be read: {err.strerror}") from err
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BundleError(
            f"{path}: others may read this private key (mode {stat.S_IMODE(mode):04o}); "
            f"run chmod 600 {path}"
        )
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as err:
        raise BundleError(f"{path}: no private key in PEM form without password: {err}") from err
    if not isinstance(private, Ed25519PrivateKey):
        raise BundleError(f"{path}: the key is not of type Ed25519; make one with generate_key")
    return _signing_key(private, label=path.with_suffix(".pub").name)


def read_public_key(source: str | Path) -> PublicKey:
    """Return a public key given as 64 hexadecimal digits or as a file that holds them.

    Raises
    ------
    BundleError
        If there is neither.
    """
    text = str(source)
    if isinstance(source, str) and (raw := _key_bytes(text)) is not None:
        return PublicKey(raw)
    try:
        content = _read_small(Path(source)).decode("ascii", errors="replace")
    except OSError as err:
        raise BundleError(
            f"{text}: neither a readable file nor the {2 * PUBLIC_KEY_BYTES} hexadecimal digits "
            f"of a public key: {err.strerror}"
        ) from err
    if (raw := _key_bytes(content)) is None:
        raise BundleError(
            f"{text}: holds no public key; expected {2 * PUBLIC_KEY_BYTES} hexadecimal digits"
        )
    return PublicKey(raw, label=Path(source).name)


def _key_bytes(text: str) -> bytes | None:
    digits = text.strip()
    if len(digits) != 2 * PUBLIC_KEY_BYTES:
        return None
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def _signing_key(private: Ed25519PrivateKey, *, label: str) -> SigningKey:
    raw = private.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return SigningKey(private, PublicKey(raw, label=label))


def _read_small(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_KEY_FILE_BYTES)


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    try:
        # Exclusive and with its mode from the start: the key is never open to others.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as err:
        raise BundleError(f"{path} exists already and is not overwritten") from err
    except OSError as err:
        raise BundleError(f"{path}: cannot be written: {err.strerror}") from err
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
