"""Exchanges with a rig over TCP and HTTP: typed failures, nothing left open, no default timeouts.

The caller sets the deadline (`asyncio.timeout`); a cancelled exchange hangs up. Addresses come from
the rig list alone: no proxy, no redirect, no name is ever followed.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from gridhash.errors import RigUnreachable, ServingError
from gridhash.serving.drivers.protocol import Why

LONGEST_REPLY = 1 << 20
"""Bytes of one reply; a rig that sends more is not listened to further."""

N_SHOWN = 200
"""Characters of a rig's words that are passed on."""


class NoReply(RigUnreachable):
    """The rig was connected to and gave no usable answer; it may have heard the command."""


class OtherRig(RigUnreachable):
    """Another machine answers at the address."""


class RefusedByRig(ServingError):
    """The rig answered with an error."""

    def __init__(self, text: str, why: Why = Why.RIG_SAID_NO) -> None:
        """Keep the rig's words and what they mean."""
        super().__init__(text)
        self.why = why


class OtherFirmware(ServingError):
    """What answers does not speak the language of this driver."""


@dataclass(frozen=True)
class Place:
    """Where a rig answers, and its name in messages."""

    rig_id: str
    address: str
    port: int

    def __str__(self) -> str:
        """Return the name with the address."""
        return f"{self.rig_id} ({self.address}:{self.port})"


ReadReply = Callable[[asyncio.StreamReader], Awaitable[bytes]]


async def exchange(place: Place, request: bytes, read_reply: ReadReply) -> bytes:
    """Send a request on a connection of its own and return the reply's bytes.

    Raises
    ------
    RigUnreachable
        If nothing could be connected to.
    NoReply
        If the connection gave no reply.
    """
    try:
        reader, writer = await asyncio.open_connection(
            place.address, place.port, limit=LONGEST_REPLY
        )
    except OSError as err:
        raise RigUnreachable(f"nothing answers at {place} ({err.strerror or err})") from err
    try:
        writer.write(request)
        await writer.drain()
        reply = await read_reply(reader)
    except asyncio.IncompleteReadError as err:
        raise NoReply(f"{place} broke off its reply after {len(err.partial)} bytes") from err
    except OSError as err:
        raise NoReply(f"{place} broke the connection: {err}") from err
    finally:
        writer.transport.abort()
    if not reply.strip(b"\x00\r\n "):
        raise NoReply(f"{place} closed the connection without a reply")
    return reply


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the rig hangs up, or until `LONGEST_REPLY`."""
    parts = []
    left = LONGEST_REPLY
    while left > 0 and (part := await reader.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def parse_json(place: Place, reply: bytes) -> Any:
    """Return the JSON of a reply; NaN and infinity stay what they are.

    Raises
    ------
    NoReply
        If it is none.
    """
    try:
        return json.loads(reply.strip(b"\x00\r\n "))
    except (ValueError, RecursionError) as err:
        shown = reply[:N_SHOWN].decode("utf-8", "replace")
        raise NoReply(f"{place} gave an unreadable reply: {shown!r}") from err


def parse_object(place: Place, reply: bytes) -> dict[str, Any]:
    """Return the JSON object of a reply.

    Raises
    ------
    NoReply
        If it is none.
    """
    parsed = parse_json(place, reply)
    if not isinstance(parsed, dict):
        raise NoReply(f"{place} gave an unreadable reply: {str(parsed)[:N_SHOWN]!r}")
    return parsed


async def ask_web(
    place: Place,
    path: str,
    *,
    send: Any = None,
    auth: httpx.Auth | None = None,
    headers: dict[str, str] | None = None,
    method: str = "",
) -> Any:
    """Return the JSON that a rig's web server answers; an empty object for an empty answer.

    Parameters
    ----------
    send
        JSON to post; None to get.
    method
        Where posting goes without JSON.

    Raises
    ------
    RigUnreachable
        If nothing could be connected to.
    NoReply
        If no whole answer came, or none that is JSON.
    RefusedByRig
        If the status is no success; 401 and 403 mean the credentials.
    """
    # Keys are checked against no certificate store, because rigs have no certificates.
    async with httpx.AsyncClient(
        base_url=f"http://{place.address}:{place.port}",
        auth=auth,
        headers=headers,
        timeout=None,
        trust_env=False,
        verify=False,
        follow_redirects=False,
    ) as client:
        try:
            async with client.stream(
                method or ("GET" if send is None else "POST"), path, json=send
            ) as response:
                body = await _body(place, response)
        except httpx.ConnectError as err:
            raise RigUnreachable(f"nothing answers at {place} ({err})") from err
        except (httpx.HTTPError, ValueError, LookupError, NotImplementedError) as err:
            # The last three come of a digest challenge that httpx does not understand.
            raise NoReply(f"{place} broke off ({type(err).__name__} {err})") from err
    if response.is_success:
        return parse_json(place, body) if body.strip() else {}
    words = body[:N_SHOWN].decode("utf-8", "replace")
    credentials = response.status_code in {401, 403}
    raise RefusedByRig(
        f"{place} refused {path}: HTTP {response.status_code} {words!r}",
        Why.CREDENTIALS if credentials else Why.RIG_SAID_NO,
    )


async def _body(place: Place, response: httpx.Response) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > LONGEST_REPLY:
            raise NoReply(f"{place} sends more than {LONGEST_REPLY} bytes")
    return body
