"""What the site's own electricity meter offers to controller and guard."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gridhash.errors import ServingError
from gridhash.serving.instants import require_aware


class MeterUnreachable(ServingError):
    """The meter gave no usable answer within its deadline."""


@dataclass(frozen=True, kw_only=True)
class MeterReading:
    """Power of the whole site, rigs and cooling together.

    Raises
    ------
    ValueError
        If the instant has no time zone or the power is not finite.
    """

    read_at: datetime
    """The reader's clock when the meter answered."""
    power_kw: float
    """Drawn from the grid; negative if the site feeds in."""

    def __post_init__(self) -> None:
        """Reject what is no reading."""
        require_aware(self.read_at, "read_at")
        if not math.isfinite(self.power_kw):
            raise ValueError(f"a meter's power is a finite number; found {self.power_kw}")


class SiteMeter(Protocol):
    """Reads the site's meter."""

    async def read(self) -> MeterReading:
        """Read the power now, within the meter's own deadline.

        Raises
        ------
        MeterUnreachable
            If no usable answer came before the deadline.
        """
