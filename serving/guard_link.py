"""The authenticated frames between a controller and a guard, over TCP.

The guard greets with a nonce; each heartbeat must carry the nonce of the guard's last frame, so a
recorded or delayed heartbeat proves nothing later than when the guard asked for it. Each answer
carries the digest of the heartbeat that it answers and the next nonce. Every frame is a length, a
JSON body and its HMAC-SHA256 under a key that both have, one per direction. It is authentic, not
secret: who listens reads power figures.
"""

import asyncio
import hashlib
import hmac
import os
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from gridhash.errors import ServingError
from gridhash.serving.guard_notice import GuardNotice
from gridhash.serving.heartbeat import Heartbeat
from gridhash.serving.private_file import others_may_read
from gridhash.serving.state_folder import MAX_FILE_BYTES, Record

KEY_BYTES = 32
MAC_BYTES = 32
LENGTH_BYTES = 4
TO_GUARD, TO_CONTROLLER = b"gridhash heartbeat 1", b"gridhash guard 1"

R = TypeVar("R", bound=Record)


class LinkError(ServingError):
    """The other end is not who it should be, or said what is no frame."""


class BeatFrame(Record):
    """Controller to guard."""

    nonce: str
    heartbeat: Heartbeat


class GuardFrame(Record):
    """Guard to controller."""

    nonce: str = Field(min_length=32)
    """What the next heartbeat must carry."""
    answers: str
    """`digest` of the heartbeat answered; empty in the greeting."""
    taken: bool
    """Whether the heartbeat counted; one that is not newer does not."""
    notice: GuardNotice


def read_link_key(path: Path) -> bytes:
    """Return the key of a file with 64 hexadecimal digits that its owner alone may read.

    Raises
    ------
    LinkError
        If it cannot be read, others may read it, or it holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4096).decode("ascii", "replace").strip()
    except OSError as err:
        raise LinkError(f"{path}: the heartbeat key cannot be read: {err.strerror}") from err
    if others_may_read(path, mode):
        raise LinkError(f"{path}: others than its owner may read the heartbeat key: chmod 600 it")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        raise LinkError(
            f"{path}: a heartbeat key is {2 * KEY_BYTES} hexadecimal digits; make one: "
            f"(umask 077; openssl rand -hex {KEY_BYTES} > {path.name})"
        )
    return key


def digest(body: bytes) -> str:
    """Return the SHA-256 of a frame's body in hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


async def write_frame(writer: asyncio.StreamWriter, key: bytes, way: bytes, frame: Record) -> bytes:
    """Send a frame and return its body."""
    body = frame.to_bytes()
    writer.write(len(body).to_bytes(LENGTH_BYTES, "big") + body + _mac(key, way, body))
    await writer.drain()
    return body


async def read_frame(
    reader: asyncio.StreamReader, key: bytes, way: bytes, kind: type[R]
) -> tuple[R, bytes]:
    """Return the next frame and its body; nothing of it is looked at before its HMAC is.

    Raises
    ------
    LinkError
        If it is too long, not authentic, or no frame of this kind.
    asyncio.IncompleteReadError
        If the other end hung up.
    """
    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
    if length > MAX_FILE_BYTES:
        raise LinkError(f"a frame of {length} bytes is none of ours")
    body = await reader.readexactly(length)
    if not hmac.compare_digest(await reader.readexactly(MAC_BYTES), _mac(key, way, body)):
        raise LinkError("a frame was not made with our heartbeat key")
    try:
        return kind.model_validate_json(body), body
    except ValidationError as err:
        raise LinkError(f"an authentic frame is none we know: {err.errors()[0]['msg']}") from err


def _mac(key: bytes, way: bytes, body: bytes) -> bytes:
    return hmac.digest(key, way + b"\0" + body, "sha256")
