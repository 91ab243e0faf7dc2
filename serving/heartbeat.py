"""What the controller proves each tick: that it lives, what it wants, what it owes.

It is written to a file of the state folder and pushed to guards (`heartbeat_push`). A guard judges
its age by its own monotonic clock, never by an instant in it, and takes only what is newer.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, Field, ValidationError

from gridhash.errors import ServingError
from gridhash.serving.state_folder import Record, read_small, write_whole


class Reduction(Record):
    """An obligation in force: the rigs of the site shall not draw more until an instant."""

    reduction_id: str = Field(min_length=1, max_length=128)
    kind: str = Field(max_length=64)
    """For people, as ``demand response``."""
    max_kw: float = Field(ge=0)
    until: AwareDatetime


class Heartbeat(Record):
    """One sign of life."""

    site: str = Field(max_length=128)
    controller: str = Field(min_length=1, max_length=128)
    """Host and state folder: whose tokens and ticks can be compared."""
    run_id: int = Field(ge=0)
    lease_token: int = Field(ge=0)
    """Every controller takes the lease, in shadow mode too: a site has one heartbeat file."""
    tick: int = Field(ge=0)
    """Counts up within a run."""
    at: AwareDatetime
    """The controller's clock, for people."""
    mode: str = Field(max_length=32)
    """As `site_status.Mode`; a guard acts only if the last one said ``live``."""
    authority: str = Field(max_length=64)
    reason: str = Field(max_length=2000)
    setpoint_kw: Mapping[str, float] = Field(max_length=64)
    """By group."""
    measured_kw: float
    potential_kw: float
    """What the rigs may draw; those that cannot be measured at full power."""
    cap_kw: float
    """What the rigs may draw at most, by the controller's own envelope."""
    reductions: tuple[Reduction, ...] = Field(default=(), max_length=64)
    acknowledged: Mapping[str, int] = Field(default={}, max_length=16)
    """Epoch of each guard's failsafe that the controller has taken over, by guard."""

    @property
    def order(self) -> tuple[int, int, int]:
        """Newer heartbeats of one controller are greater."""
        return self.lease_token, self.run_id, self.tick

    def is_newer_than(self, other: Self | None) -> bool:
        """Return whether this follows another of the same controller; yes after none."""
        return other is None or (self.controller == other.controller and self.order > other.order)

    def kept_kw(self, now: datetime) -> float | None:
        """Return the least of the reductions that still hold [kW]; None if none does."""
        return min((one.max_kw for one in self.reductions if one.until > now), default=None)


def parse_heartbeat(content: bytes) -> Heartbeat:
    """Return a heartbeat from its bytes.

    Raises
    ------
    ServingError
        If they are none.
    """
    try:
        return Heartbeat.model_validate_json(content)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ServingError(f"no heartbeat: {where}: {first['msg']}") from err


def write_heartbeat(path: Path, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat file; raises OSError if it cannot be written."""
    write_whole(path, heartbeat.to_bytes())


def read_heartbeat(path: Path) -> Heartbeat | None:
    """Return the heartbeat in a file; None if there is no file.

    Raises
    ------
    ServingError
        If the file cannot be read or holds none.
    """
    content = read_small(path)
    return None if content is None else parse_heartbeat(content)
