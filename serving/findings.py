"""What supervision finds out about rigs, each as one row of the journal."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gridhash.serving.drivers.protocol import Command
from gridhash.serving.journal import CLEARED, LOCKOUT, Row


class Alarm(StrEnum):
    """What an operator is told."""

    UNREACHABLE = "unreachable"
    REACHABLE = "reachable again"
    NO_POWER_READING = "no power reading"
    POWER_READING = "power reading is back"
    CLOCK_SKEW = "clock skew"
    EXTERNAL_CHANGE = "external change"
    RESTARTED = "restarted by hand"
    MISSED = "command not obeyed in time"
    DISOBEYS = "acknowledges and disobeys"
    REFUSES = "refuses commands"
    LOCKOUT = LOCKOUT
    CLEARED = CLEARED
    POLICY_REPLACED = "policy replaced"
    NO_PRICE = "no price"
    TRIPPED = "temperature trip"
    OVER_CAP = "power above the cap"
    STOP_ALL = "stop-all"
    STOP_ALL_LIFTED = "stop-all lifted"
    PLANT_TRIPPED = "plant trip"
    PLANT_NO_START = "plant allows no start"
    PLANT_CLEARED = "plant trips cleared"
    PLANT_SILENT = "plant does not answer"
    OBLIGATION = "obligation in force"
    ORDER_REFUSED = "order refused"
    ORDERS_SILENT = "orders are not heard"
    INPUT_REFUSED = "input refused"
    HELD = "manual hold"
    GUARD = "guard holds the site"
    ADVICE = "advice"
    ARMED = "armed"
    DISARMED = "disarmed"
    STAGE = "canary stage"
    CLOCK_SET = "clock was set"
    PAUSED = "stood still"
    COMMISSIONING_VOID = "commissioning is void"
    NOT_RECORDED = "journal could not be written"
    METER_SILENT = "meter is silent or stale"
    METER_IMPLAUSIBLE = "meter is implausible"
    NO_REVENUE = "load without revenue"
    POWER_RETURN = "rigs came up by themselves"
    FELL_TOGETHER = "rigs fell together"
    DEMAND_CAP = "demand interval binds"
    CIRCUIT_SILENT = "circuit does not answer"
    CIRCUIT_BACK = "circuit answers again"


class Verdict(StrEnum):
    """What watts said about a command."""

    VERIFIED = "verified"
    LATE = "verified late"
    MISSED = "missed"
    NOT_SENT = "not sent"
    SUPERSEDED = "superseded"


class Cause(StrEnum):
    """Why a rig started or stopped."""

    COMMAND = "command"
    EXTERNAL = "external"
    FIRST_SEEN = "first seen"


@dataclass(frozen=True, kw_only=True)
class AlarmRaised:
    """An alarm; `rig_id` is None for the site."""

    at: datetime
    kind: Alarm
    text: str
    rig_id: str | None = None

    def row(self, run_id: int) -> Row:
        """Return the row of the journal."""
        values = {"at": self.at, "rig_id": self.rig_id, "kind": str(self.kind), "text": self.text}
        return Row(table="alarms", values={"run_id": run_id, **values})


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A rig was seen to have started or stopped."""

    at: datetime
    rig_id: str
    running: bool
    cause: Cause

    def row(self, run_id: int) -> Row:
        """Return the row of the journal."""
        return Row(
            table="changes",
            values={
                "run_id": run_id,
                "at": self.at,
                "rig_id": self.rig_id,
                "running": self.running,
                "cause": str(self.cause),
            },
        )


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What became of a command, judged by watts."""

    intent_id: int
    at: datetime
    rig_id: str
    command: Command
    verdict: Verdict
    seconds: float
    """From the command."""
    before_kw: float | None
    after_kw: float | None

    def row(self, run_id: int) -> Row:
        """Return the row of the journal."""
        return Row(
            table="verifications",
            values={
                "run_id": run_id,
                "intent_id": self.intent_id,
                "at": self.at,
                "rig_id": self.rig_id,
                "command": str(self.command),
                "verdict": str(self.verdict),
                "seconds": self.seconds,
                "before_kw": self.before_kw,
                "after_kw": self.after_kw,
            },
        )


Finding = AlarmRaised | Changed | Verified
