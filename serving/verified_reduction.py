"""What of the reductions that rigs claim for themselves the site's meter shows.

Without our stops the site would draw what its running rigs draw, what the stopped ones drew
before, and its cooling; what the meter shows less than that is verified, up to what is claimed. A
rig that says it stands and does not, a sag, or a pool that is gone, lowers nothing of ours: the
meter then shows no fall, or the rigs that fell are not among the claims.
"""

from datetime import datetime

from gridhash.serving.claims import ClaimBook
from gridhash.units import SECONDS_PER_HOUR


class VerifiedReduction:
    """The verified part of a site's claims, now and added up."""

    def __init__(self, claims: ClaimBook) -> None:
        """Nothing is verified yet."""
        self.verified_kwh = 0.0
        self._claims = claims
        self._last: tuple[datetime, float] | None = None

    def update(
        self,
        now: datetime,
        metered_kw: float | None,
        auxiliary_kw: float,
        per_reported: float | None,
        running_kw: float,
    ) -> float:
        """Take in one tick; return what is verified now [kW].

        Parameters
        ----------
        metered_kw
            None unless the meter is good.
        auxiliary_kw
            Site power that is not drawn by rigs that run, as it is now: the cooling that a
            reduction saves is not claimed.
        per_reported
            Metered kW of rigs per kW that they report; None if that was never seen.
        running_kw
            That the running rigs report.
        """
        verified_kw = 0.0
        if metered_kw is not None and per_reported is not None and self._claims.claimed_kw:
            would_kw = auxiliary_kw + per_reported * (running_kw + self._claims.reference_kw)
            claimed_kw = per_reported * self._claims.claimed_kw
            verified_kw = min(max(would_kw - metered_kw, 0.0), claimed_kw)
        if self._last is not None and now > self._last[0]:
            hours = (now - self._last[0]).total_seconds() / SECONDS_PER_HOUR
            self.verified_kwh += min(self._last[1], verified_kw) * hours
        self._last = now, verified_kw
        return verified_kw
