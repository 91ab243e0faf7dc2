"""What was read at the site, when, and how far it can be trusted."""

import math
from dataclasses import dataclass, fields
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class RigReading:
    """One reading of one rig; None where the firmware does not report, never a guess.

    Raises
    ------
    ValueError
        If a time names no instant or a number is not finite.
    """

    rig_id: str
    read_at: datetime
    """The controller's clock when the rig answered."""
    rig_clock_at: datetime | None = None
    """The rig's own clock in the same answer; may be years off."""
    power_w: float | None = None
    """At the wall, as the rig itself measures it (5-20 % off a meter is usual)."""
    hashrate_ths: float | None = None
    chip_temp_c: float | None = None
    """Hottest chip."""
    inlet_temp_c: float | None = None
    """Coolant or air into the rig."""
    outlet_temp_c: float | None = None
    """Coolant or air out of the rig."""
    working: bool | None = None
    """The firmware's own word that it hashes; power decides, not this."""
    soft_off: bool | None = None
    """The firmware's own word that it was put to sleep."""
    work_level: int | None = None
    uptime_s: float | None = None
    power_target_w: float | None = None
    """What the firmware says that it is set to draw, where it takes watts."""
    preset: str | None = None
    """The preset that the firmware says it runs at, where it has presets."""
    not_numbers: tuple[str, ...] = ()
    """Fields that the rig sent as NaN, infinity or text, each as ``field=raw``; they are None."""

    def __post_init__(self) -> None:
        """Reject times that name no instant and numbers that are none."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, datetime) and value.utcoffset() is None:
                raise ValueError(f"{field.name} of {self.rig_id} has no time zone: {value}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{field.name} of {self.rig_id} is not finite: {value}")
