"""The site at a glance: what is asked, what is measured, what is claimed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from gridhash.serving.decide import Decision
from gridhash.serving.journal import Row
from gridhash.serving.rig_status import RigStatus


class Mode(StrEnum):
    """Whether rigs are commanded."""

    SHADOW = "shadow"  # decides and records
    ADVISORY = "advisory"  # says besides what a person should command
    LIVE = "live"  # commands, once it is armed


@dataclass(frozen=True, kw_only=True)
class SiteStatus:
    """What an operator sees first."""

    at: datetime
    mode: Mode
    reason: str
    setpoint_kw: float
    measured_kw: float
    """Sum of the readings, self-reported."""
    potential_kw: float
    """What the rigs may draw; those that cannot be measured at full power."""
    cap_kw: float
    claimed_kw: float
    n_running: int
    n_stopped: int
    n_unknown: int
    n_pending: int

    @classmethod
    def of(
        cls,
        rigs: Iterable[RigStatus],
        *,
        at: datetime,
        mode: Mode,
        decision: Decision | None,
        cap_kw: float,
        claimed_kw: float,
    ) -> Self:
        """Add up what is known of the rigs."""
        rigs = list(rigs)
        return cls(
            at=at,
            mode=mode,
            reason=decision.reason if decision else "",
            setpoint_kw=sum(decision.setpoint_kw) if decision else 0.0,
            measured_kw=sum(rig.power_kw or 0.0 for rig in rigs),
            potential_kw=sum(rig.potential_kw() for rig in rigs),
            cap_kw=cap_kw,
            claimed_kw=claimed_kw,
            n_running=sum(rig.measured and rig.running is True for rig in rigs),
            n_stopped=sum(rig.measured and rig.running is False for rig in rigs),
            n_unknown=sum(not rig.measured for rig in rigs),
            n_pending=sum(rig.pending is not None for rig in rigs),
        )

    def row(self, run_id: int) -> Row:
        """Return the row of the journal."""
        return Row(
            table="supervisions",
            values={
                "run_id": run_id,
                "at": self.at,
                "setpoint_kw": self.setpoint_kw,
                "measured_kw": self.measured_kw,
                "potential_kw": self.potential_kw,
                "cap_kw": self.cap_kw,
                "claimed_kw": self.claimed_kw,
                "n_running": self.n_running,
                "n_stopped": self.n_stopped,
                "n_unknown": self.n_unknown,
                "n_pending": self.n_pending,
            },
        )
