"""What a guard tells the controller, and how the controller takes over again.

While a guard is in failsafe or hands back, the controller starts nothing and stays at or below the
guard's cap. When it has read its rigs and keeps to that, it acknowledges the failsafe's epoch in
its heartbeats; after its hold time the guard hands back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError

from gridhash.errors import ServingError
from gridhash.serving.state_folder import Record, read_small


class GuardState(StrEnum):
    """What a guard does."""

    WATCHING = "watching"
    FAILSAFE = "failsafe"  # it lowers load; the controller is gone or the envelope exceeded
    HANDING_BACK = "handing back"  # the controller has acknowledged; the hold time runs


class GuardNotice(Record):
    """One guard's word."""

    guard: str = Field(min_length=1, max_length=64)
    state: GuardState
    epoch: int = Field(ge=0)
    """Counts failsafes; the one to acknowledge."""
    cap_kw: float | None = Field(default=None, ge=0)
    """What the rigs may draw at most while it is not watching."""
    reason: str = Field(max_length=2000)
    since: AwareDatetime
    at: AwareDatetime

    @property
    def binds(self) -> bool:
        """Whether the controller starts nothing and keeps to the cap."""
        return self.state is not GuardState.WATCHING


@dataclass(frozen=True, kw_only=True)
class GuardOrders:
    """What all guards together ask of the controller."""

    starts_allowed: bool
    cap_kw: float | None
    reason: str
    epochs: Mapping[str, int]
    """What to acknowledge, by guard, once the controller keeps to it."""


def guard_orders(notices: Iterable[GuardNotice]) -> GuardOrders:
    """Return what the controller keeps to, given the last word of each guard."""
    binding = [notice for notice in notices if notice.binds]
    caps_kw = [notice.cap_kw for notice in binding if notice.cap_kw is not None]
    return GuardOrders(
        starts_allowed=not binding,
        cap_kw=min(caps_kw, default=None),
        reason="; ".join(f"guard {notice.guard}: {notice.reason}" for notice in binding),
        epochs={notice.guard: notice.epoch for notice in binding},
    )


def read_guard_notice(path: Path) -> GuardNotice | None:
    """Return the word of the guard of this host; None if there never was one.

    Raises
    ------
    ServingError
        If the file cannot be read or holds none.
    """
    content = read_small(path)
    if content is None:
        return None
    try:
        return GuardNotice.model_validate_json(content)
    except ValidationError as err:
        raise ServingError(f"{path}: no guard's notice: {err.errors()[0]['msg']}") from err
