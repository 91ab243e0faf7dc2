"""What is tried on one rig while a site is commissioned, and for how long it is waited."""

from dataclasses import dataclass

from gridhash.errors import ServingError
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.protocol import RigIdentity
from gridhash.serving.snapshot import RigReading

PROBED_LEVELS = (0, 1, 2)
"""Work levels that any Avalon was ever seen to take."""

POWER_SHARES = (0.5, 0.75)
"""Shares of the power before at which firmware that takes watts is tried."""

MOST_PRESETS = 6
SAME_FRAC = 0.08
"""A rig is at a power if its own watts are this close to it …"""
STEADY_FRAC = 0.01
"""… and steady if two readings in a row differ by less."""


class Interrupted(ServingError):
    """A person, or stop-all, ends the commissioning; rigs are still to be restored."""


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """How often is looked, and how long waited [s]."""

    look_s: float = 2.0
    point_limit_s: float = 300.0
    """For watts to come to a level, power or preset."""
    stop_limit_s: float = 180.0
    settle_s: float = 30.0
    """In standby, before its power counts."""
    n_standby: int = 5
    watch_s: float = 120.0
    """In standby and at a changed level, to see whether something else changes it back."""
    reboot_limit_s: float = 600.0
    """For an answer after a reboot."""
    reboot_watch_s: float = 300.0
    """After that answer, to see whether the rig starts by itself."""
    resume_limit_s: float = 900.0
    restore_tries: int = 3
    reboot: bool = True

    def expected_s(self, n_points: int) -> float:
        """Return how long a full trial lasts at most if the rig obeys, roughly [s]."""
        own_s = self.settle_s + 2.0 * self.watch_s + self.resume_limit_s / 2.0 + 60.0
        reboot_s = self.reboot_watch_s + 60.0 if self.reboot else 0.0
        return own_s + reboot_s + n_points * 90.0


@dataclass(frozen=True, kw_only=True)
class Point:
    """A work level, a power or a preset to try."""

    name: str
    level: int | None = None
    power_w: float | None = None
    """Watts asked for, or those that the firmware says of a preset; None if nobody knows."""
    preset: str | None = None

    def is_reached(self, reading: RigReading, before_w: float, from_w: float) -> bool:
        """Return whether watts, and the rig's word where it gives one, are those of the point.

        Parameters
        ----------
        before_w
            Power of the rig before anything was tried.
        from_w
            Power before this point was commanded.
        """
        power_w = reading.power_w
        if power_w is None:
            return False
        if self.preset is not None and reading.preset not in {None, self.preset}:
            return False
        if self.power_w is not None:
            off_w = abs(power_w - self.power_w)
            near = off_w <= SAME_FRAC * self.power_w
            # A rig that stayed where it was is not at a point that lies close by.
            apart_w = abs(before_w - self.power_w)
            return near and (apart_w <= SAME_FRAC * self.power_w / 2.0 or off_w < apart_w / 2.0)
        if reading.work_level is not None:
            return reading.work_level == self.level
        return abs(power_w - from_w) > STEADY_FRAC * 2.0 * from_w


def probed_levels(firmware: FirmwareName, _model: str, _version: str | None) -> tuple[int, ...]:
    """Return the work levels that commissioning may try on rigs of a firmware."""
    return PROBED_LEVELS if firmware is FirmwareName.AVALON else ()


def points_of(
    identity: RigIdentity, before: RigReading, *, may_raise: bool
) -> tuple[tuple[Point, ...], tuple[str, ...]]:
    """Return what to try on a rig, lowest first, and what is left out and why.

    Parameters
    ----------
    before
        How it ran; nothing above that is tried unless `may_raise`.
    """
    capability, before_w = identity.capability, before.power_w or 0.0
    if capability.work_levels:
        top = before.work_level
        points = [Point(name=f"level {level}", level=level) for level in capability.work_levels]
        if may_raise:
            return tuple(points), ()
        kept = tuple(own for own in points if top is not None and (own.level or 0) <= top)
        left = tuple(
            f"{own.name}: it may draw more than before, and the contract power leaves no room"
            for own in points
            if own not in kept
        )
        return kept, left
    if capability.continuous_power:
        least_w = identity.min_power_w or 0.0
        return tuple(
            Point(name=f"{share:.0%} of its power", power_w=float(round(share * before_w)))
            for share in POWER_SHARES
            if share * before_w >= least_w
        ), ()
    known = sorted(
        (preset for preset in identity.presets if preset.power_w and preset.power_w <= before_w),
        key=lambda preset: preset.power_w or 0.0,
    )
    stride = max(1, -(-len(known) // MOST_PRESETS))
    points = [Point(name=own.name, preset=own.name, power_w=own.power_w) for own in known[::stride]]
    return tuple(points), ()
