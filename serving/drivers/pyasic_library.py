"""The only module that imports pyasic, which configures loggers and warns when imported."""

import asyncio
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from gridhash.errors import ServingError


@dataclass(frozen=True, kw_only=True)
class PyasicParts:
    """What is used of pyasic."""

    rpc_class: Any
    api_error: type[Exception]
    parse_estats: Callable[[dict[str, Any]], dict[str, Any]]
    miner_of: Callable[[str, str], Any]
    """(address, library's model name) → miner object; warns about a model it does not know."""


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Leave loggers and warnings as they were before an import of pyasic."""
    loggers = [logging.getLogger(), logging.getLogger("asyncssh")]
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as err:
        raise ServingError(
            'driving rigs needs pyasic, which is not installed: pip install "gridhash[drivers]" '
            f"({err})"
        ) from err
    finally:
        for logger, handlers, level in before:
            logger.handlers[:] = handlers
            logger.setLevel(level)


@cache
def load_braiins() -> Any:
    """Return the module of Braiins' public protocol, ``braiins.bos.v1``, that pyasic generated.

    Raises
    ------
    ServingError
        If pyasic is not installed.
    """
    with _quiet_import():
        from pyasic.web.braiins_os.proto.braiins.bos import v1
    # It writes every header of HTTP/2 to its debug log, tokens included.
    logging.getLogger("hpack").setLevel(logging.INFO)
    return v1


@dataclass(frozen=True, kw_only=True)
class WhatsminerSeal:
    """Encrypts commands of WhatsMiner API 2 for one token of one rig."""

    close: Callable[[dict[str, str]], bytes]
    """Returns the request of a command."""
    open: Callable[[dict[str, Any]], dict[str, Any]]
    """Decrypts a reply; raises ValueError, LookupError or TypeError if it cannot."""


def whatsminer_seal(password: str, token: Mapping[str, str]) -> WhatsminerSeal:
    """Return the seal of what ``get_token`` gave (`salt`, `time`, `newsalt`).

    Raises
    ------
    ServingError
        If pyasic is not installed.
    ValueError
        If the rig's salt is none.
    """
    with _quiet_import():
        from passlib.handlers.md5_crypt import md5_crypt
        from pyasic.rpc import btminer

    def hashed(word: str, salt: str) -> str:
        return str(md5_crypt.using(salt=salt).hash(word).split("$")[3])

    digest = hashed(password, token["salt"])
    sign = hashed(digest + token["time"], token["newsalt"])
    own = btminer.TokenData(host_sign=sign, host_passwd_md5=digest)
    return WhatsminerSeal(
        close=lambda command: btminer.create_privileged_cmd(own, dict(command)),
        open=lambda reply: btminer.parse_btminer_priviledge_data(own, reply),
    )


@cache
def load_pyasic() -> PyasicParts:
    """Import pyasic, which configures the root logger and warns, and leave both as they were.

    Raises
    ------
    ServingError
        If pyasic is not installed.
    """
    with _quiet_import():
        from pyasic.errors import APIError
        from pyasic.miners.backends.avalonminer import AvalonMiner
        from pyasic.miners.factory import MinerFactory, MinerTypes
        from pyasic.rpc.avalonminer import AvalonMinerRPCAPI

    class RecordingRpc(AvalonMinerRPCAPI):  # type: ignore[misc]  # pyasic is untyped
        """pyasic's transport; keeps the last reply's bytes, hangs up when a call is given up."""

        last_reply: bytes | None = None

        async def _send_bytes(self, *args: Any, **kwargs: Any) -> bytes:
            self.last_reply = None
            reply: bytes = await super()._send_bytes(*args, **kwargs)
            self.last_reply = reply
            return reply

        async def _read_bytes(self, reader: asyncio.StreamReader, timeout: int) -> bytes:
            try:
                reply: bytes = await super()._read_bytes(reader, timeout)
            except (asyncio.CancelledError, TimeoutError):
                reader._transport.abort()  # type: ignore[attr-defined]  # no public way to it
                raise
            return reply

    def miner_of(address: str, model: str) -> Any:
        return MinerFactory._select_miner_from_classes(address, model, MinerTypes.AVALONMINER)

    return PyasicParts(
        rpc_class=RecordingRpc,
        api_error=APIError,
        parse_estats=AvalonMiner.parse_estats,
        miner_of=miner_of,
    )
