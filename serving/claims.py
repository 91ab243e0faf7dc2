"""Which reduction may be claimed: only what a rig's own watts show, stopped by our command.

Every claim here is *self-reported*: rig readings are 5-20 % off a meter. What the site's meter
shows of all claims together is kept apart (`gridhash.serving.verified_reduction`).
A claim counts between two readings that both show the rig standing, at the smaller reduction of
the two; a rig that cannot be reached or measured ends it. So it may be too little, never too much.
"""

from dataclasses import dataclass
from datetime import datetime

from gridhash.serving.journal import Row
from gridhash.serving.rig_status import RigStatus
from gridhash.units import SECONDS_PER_HOUR, W_PER_KW

METHOD = "self-reported"


@dataclass
class Claim:
    """The reduction of one rig since it was first seen to stand."""

    rig_id: str
    reference_kw: float
    """Power before the stop was obeyed."""
    start_at: datetime
    end_at: datetime
    reduced_kw: float
    reduced_kwh: float = 0.0

    def row(self, run_id: int) -> Row:
        """Return the row of the journal."""
        return Row(
            table="claims",
            values={
                "run_id": run_id,
                "rig_id": self.rig_id,
                "start_at": self.start_at,
                "end_at": self.end_at,
                "reference_kw": self.reference_kw,
                "reduced_kwh": self.reduced_kwh,
                "method": METHOD,
            },
        )


class ClaimBook:
    """The reductions that are claimed now."""

    def __init__(self) -> None:
        self._open: dict[str, Claim] = {}

    @property
    def claimed_kw(self) -> float:
        """Reduction claimed now, all rigs [kW]."""
        return sum(claim.reduced_kw for claim in self._open.values())

    @property
    def reference_kw(self) -> float:
        """What the rigs of the claims drew before, by themselves [kW]."""
        return sum(claim.reference_kw for claim in self._open.values())

    def update(self, rig: RigStatus) -> list[Claim]:
        """Take in what is known of a rig after a reading; return the claim that ended."""
        claim = self._open.get(rig.rig_id)
        reading, reference_kw = rig.reading, rig.reference_kw
        if not rig.stands_by_command or reading is None or reference_kw is None:
            return [self._open.pop(rig.rig_id)] if claim else []
        assert reading.power_w is not None
        reduced_kw = max(reference_kw - reading.power_w / W_PER_KW, 0.0)
        ended = []
        if claim is not None and claim.reference_kw != reference_kw:
            ended, claim = [claim], None
        if claim is None:
            self._open[rig.rig_id] = Claim(
                rig_id=rig.rig_id,
                reference_kw=reference_kw,
                start_at=reading.read_at,
                end_at=reading.read_at,
                reduced_kw=reduced_kw,
            )
            return ended
        # A clock that was set back claims nothing for the step.
        hours = max((reading.read_at - claim.end_at).total_seconds(), 0.0) / SECONDS_PER_HOUR
        claim.reduced_kwh += min(claim.reduced_kw, reduced_kw) * hours
        claim.reduced_kw, claim.end_at = reduced_kw, reading.read_at
        return ended

    def close(self) -> list[Claim]:
        """End and return every claim."""
        claims = list(self._open.values())
        self._open.clear()
        return claims
