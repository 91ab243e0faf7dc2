"""What a guard waits for and holds the site to, with its safe profile: a TOML file, signed."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from gridhash.agents.signing import PublicKey, SigningKey
from gridhash.config_blocks import Block, describe_faults, parse_toml
from gridhash.errors import ConfigError
from gridhash.serving.modbus_config import MeterBlock
from gridhash.serving.state_folder import MAX_FILE_BYTES, write_whole

SIGNATURE_SUFFIX = ".sig"
LONGEST_SILENCE_S = 120.0
"""EEBUS LPC lets a device wait so long for its energy manager before it falls to its failsafe."""


class SafeProfile(Block):
    """What the site falls to when the controller is gone."""

    max_rig_kw: float = Field(
        default=0.0, ge=0, description="rigs stop, least efficient first, until they draw no more"
    )


class GuardSettings(Block):
    """Times are on the guard's monotonic clock."""

    format_version: Literal[1] = Field(default=1, description="layout of the file")
    guard: str = Field(
        default="guard", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="its name in notices"
    )
    heartbeat_limit_s: float = Field(
        default=45.0, gt=0, le=LONGEST_SILENCE_S, description="silence that means failsafe"
    )
    hold_s: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        description="a controller that has taken over waits so long; doubles with each failsafe of "
        "the last hour",
    )
    max_site_kw: float | None = Field(
        default=None, gt=0, description="at the meter; the site's contract_power_kw if left out"
    )
    overload_s: float = Field(
        default=30.0, gt=0, le=600, description="time above it that the controller has to lower"
    )
    overload_frac: float = Field(
        default=0.01, ge=0, le=0.2, description="of max_site_kw, above which it counts"
    )
    trim_s: float = Field(
        default=60.0, gt=0, le=600, description="time for lowering to max_site_kw before all falls"
    )
    poll_s: float = Field(
        default=1.0, gt=0, le=10, description="between two looks at heartbeat and meter"
    )
    retry_s: float = Field(
        default=10.0, gt=0, le=60, description="between two stops of a rig that still draws power"
    )
    settled_s: float = Field(
        default=30.0, gt=0, le=300, description="between two readings once the rigs have obeyed"
    )
    safe_profile: SafeProfile = SafeProfile()
    meter: MeterBlock | None = Field(
        default=None, description="of the whole site, Modbus TCP; the rigs' own sum without one"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.poll_s >= self.heartbeat_limit_s:
            raise ValueError(
                f"poll_s {self.poll_s} must be shorter than heartbeat_limit_s "
                f"{self.heartbeat_limit_s}"
            )
        return self

    def hold_after(self, n_failsafes: int) -> float:
        """Return the hold time after so many failsafes within an hour [s]."""
        return float(min(self.hold_s * 2.0 ** min(max(n_failsafes - 1, 0), 10), 3600.0))


def load_guard_settings(path: Path, *, trusted: PublicKey | None = None) -> GuardSettings:
    """Read the settings; with a trusted key only if it signed them.

    Raises
    ------
    ConfigError
        If the file cannot be read, a key is wrong, or the signature is missing or another's.
    """
    content = _read(path)
    if trusted is not None:
        signature = _read(_signature_path(path))
        try:
            signed = trusted.verifies(bytes.fromhex(signature.decode("ascii").strip()), content)
        except ValueError:
            signed = False
        if not signed:
            raise ConfigError(
                f"{path}: {trusted} did not sign what it says now: sign it again with "
                f"gridhash guard --settings {path.name} --sign KEY.pem"
            )
    try:
        text = content.decode("utf-8")
        return GuardSettings.model_validate(parse_toml(text, origin=str(path)))
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: not UTF-8 text: {err}") from err
    except ValidationError as err:
        raise ConfigError(f"{path}: {describe_faults(err)}") from err


def sign_guard_settings(path: Path, key: SigningKey) -> Path:
    """Sign a settings file that is sound; return the signature's file.

    Raises
    ------
    ConfigError
        See `load_guard_settings`.
    """
    load_guard_settings(path)
    signature = key.sign(_read(path))
    write_whole(_signature_path(path), f"{signature.hex()}\n".encode())
    return _signature_path(path)


def _signature_path(path: Path) -> Path:
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {err.strerror}") from err
