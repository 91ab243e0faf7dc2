"""Passwords of rigs: from the environment or a private file, never from a list, never in a log.

A rig list names them (``env:NAME`` or ``file:PATH``). What stands there is ``user:password``, or a
password alone for the firmware's usual account. Passwords that every rig of a make is sold with are
refused unless the rig's row allows them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from gridhash.errors import ServingError
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.protocol import Why
from gridhash.serving.drivers.wire import Place, RefusedByRig
from gridhash.serving.private_file import others_may_read

LONGEST_FILE = 4096


class CredentialsError(ServingError):
    """Credentials cannot be had; the message names where from, never what."""


@dataclass(frozen=True)
class Credentials:
    """An account of a rig's firmware. Its text shows no password."""

    username: str
    """Empty for the firmware's usual account."""
    password: SecretStr

    def secret(self) -> str:
        """Return the password in clear; pass it on to nothing but a wire."""
        return self.password.get_secret_value()

    def for_account(self, usual: str) -> "Credentials":
        """Return the same for the firmware's usual account where none is named."""
        return self if self.username else Credentials(usual, self.password)


DEFAULTS: Mapping[FirmwareName, Credentials] = {
    FirmwareName.BRAIINS: Credentials("root", SecretStr("root")),
    FirmwareName.WHATSMINER_V3: Credentials("super", SecretStr("super")),
    FirmwareName.WHATSMINER_V2: Credentials("admin", SecretStr("admin")),
    FirmwareName.VNISH: Credentials("admin", SecretStr("admin")),
    FirmwareName.EPIC: Credentials("root", SecretStr("letmein")),
    FirmwareName.ANTMINER: Credentials("root", SecretStr("root")),
}
"""What these are sold with, as pyasic 0.79.0 has it; Avalon and LuxOS ask for no password."""


def is_default(credentials: Credentials, firmware: FirmwareName) -> bool:
    """Return whether this is the password that the firmware is sold with."""
    default = DEFAULTS.get(firmware)
    return default is not None and credentials.secret() == default.secret()


def read_credentials(
    reference: str, *, folder: Path, environ: Mapping[str, str] = os.environ
) -> Credentials:
    """Return what ``env:NAME`` or ``file:PATH`` refers to; a relative path counts from `folder`.

    Raises
    ------
    CredentialsError
        If it refers to neither, to nothing, or to a file that others may read.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        if name not in environ:
            raise CredentialsError(f"the environment has no variable {name}: set it")
        return _parsed(environ[name], f"the variable {name}")
    if kind == "file" and name:
        return _parsed(_private_text(folder / name), f"the file {folder / name}")
    raise CredentialsError(
        "write env:NAME or file:PATH; a password never stands in the list itself"
    )


def _private_text(path: Path) -> str:
    try:
        if others_may_read(path, path.stat().st_mode):
            raise CredentialsError(f"{path} may be read by others: chmod 600 {path}")
        with path.open(encoding="utf-8") as file:
            return file.read(LONGEST_FILE)
    except (OSError, UnicodeDecodeError) as err:
        # The text of a decoding error would show the file's bytes.
        why = err.strerror if isinstance(err, OSError) else "it is not UTF-8 text"
        raise CredentialsError(f"{path} cannot be read: {why}") from None


def _parsed(text: str, where: str) -> Credentials:
    line = text.strip("\r\n")
    username, colon, password = line.partition(":")
    if not colon:
        username, password = "", line
    if not password or "\n" in line:
        raise CredentialsError(f"{where} must hold one line, user:password or a password alone")
    return Credentials(username, SecretStr(password))


def required(credentials: Credentials | None, place: Place, firmware: FirmwareName) -> Credentials:
    """Return the credentials of a rig that asks for them, with the firmware's usual account.

    Raises
    ------
    RefusedByRig
        If there are none.
    """
    if credentials is None:
        raise RefusedByRig(
            f"{place} asks for a password: write env:NAME or file:PATH in the column credentials "
            "of the rig list",
            Why.CREDENTIALS,
        )
    return credentials.for_account(DEFAULTS[firmware].username)
