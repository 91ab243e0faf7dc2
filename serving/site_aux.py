"""What of a site's power is not drawn by rigs that run: the cooling plant, metered or planned."""

from dataclasses import dataclass, replace
from typing import Self

from gridhash.config import SiteConfig

STEP_FRAC = 0.002
"""Of the contract by which cooling must have moved before it counts anew."""


@dataclass(frozen=True, kw_only=True)
class SiteAux:
    """Power beside that of rigs, at a power of the site or of its rigs."""

    pue: float
    """Site power per rig power, where cooling is not metered."""
    step_kw: float
    cooling_kw: float | None = None
    """As metered; None where it is not, or not now."""

    @classmethod
    def of(cls, site: SiteConfig) -> Self:
        """Return what a site plans with."""
        step_kw = STEP_FRAC * site.limits.contract_power_kw
        return cls(pue=site.pue_for_planning, step_kw=step_kw)

    def with_cooling(self, cooling_kw: float | None) -> Self:
        """Return the same with what is metered now; small moves leave it as it is."""
        known = self.cooling_kw
        if cooling_kw is not None and known is not None and abs(cooling_kw - known) < self.step_kw:
            return self
        return self if cooling_kw == known else replace(self, cooling_kw=cooling_kw)

    def of_rigs(self, rigs_kw: float) -> float:
        """Return what is drawn beside rigs of a power [kW]."""
        return rigs_kw * (self.pue - 1.0) if self.cooling_kw is None else self.cooling_kw

    def rigs_within(self, site_kw: float) -> float:
        """Return what rigs may draw within a site power [kW]."""
        left_kw = site_kw / self.pue if self.cooling_kw is None else site_kw - self.cooling_kw
        return max(left_kw, 0.0)
