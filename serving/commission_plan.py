"""Which rigs a commissioning stops, and in which order: a few of each kind, a rack, 5 %."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from gridhash.config import SiteConfig
from gridhash.serving.canary import RACK_RIGS, SHARE
from gridhash.serving.commissioning_record import LEAST_RIGS
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.roll_call import Fate, RigFate
from gridhash.serving.snapshot import RigReading
from gridhash.serving.verification import RUNNING_FRAC
from gridhash.units import W_PER_KW

Kind = tuple[FirmwareName, str, str | None]
"""Firmware, model and firmware version: what is measured once."""


@dataclass(frozen=True, kw_only=True)
class CommissionStage:
    """Rigs that are tried together; the next stage only follows a clean one."""

    words: str
    rigs: tuple[str, ...]
    full: bool
    """Whether everything is tried on them, or a stop and a start alone."""


@dataclass(frozen=True, kw_only=True)
class CommissionPlan:
    """What would be done, and what is left alone and why."""

    kinds: Mapping[Kind, tuple[str, ...]]
    """Running rigs of each kind."""
    stages: tuple[CommissionStage, ...]
    left_alone: Mapping[str, str]
    """Why a rig is not touched, by rig."""
    rig_w: Mapping[str, float]
    """What each of those rigs draws now."""
    room_kw: float
    """Contract power that nothing of the site can use."""

    @property
    def too_few(self) -> dict[Kind, int]:
        """Kinds of which fewer rigs run than a figure needs."""
        return {kind: len(own) for kind, own in self.kinds.items() if len(own) < LEAST_RIGS}


def kind_of(fate: RigFate) -> Kind:
    """Return what kind an identified rig is of."""
    assert fate.identity is not None
    own = fate.identity
    return own.capability.firmware, own.model, own.firmware


def plan_commissioning(
    site: SiteConfig,
    fates: Sequence[RigFate],
    readings: Mapping[str, RigReading | None],
    *,
    locked: Mapping[str, str],
    racks: Mapping[str, str],
    rigs_per_kind: int = LEAST_RIGS,
) -> CommissionPlan:
    """Return the stages for the rigs that run now; nothing that stands is started.

    Parameters
    ----------
    locked
        Reason of each lockout, by rig.
    racks
        Rack of each rig; without it a dozen rigs of the first group are one.
    """
    level_w = {
        group.name: group.level_power_kw(site.levels_of(group)[0]) * W_PER_KW
        for group in site.groups
    }
    left = {
        fate.rig_id: why
        for fate in fates
        if (why := _why_left(fate, readings.get(fate.rig_id), locked, level_w[fate.group]))
    }
    usable = [fate for fate in fates if fate.rig_id not in left]
    kinds: dict[Kind, list[str]] = {}
    for fate in usable:
        kinds.setdefault(kind_of(fate), []).append(fate.rig_id)
    few = [rig for own in kinds.values() for rig in own[:rigs_per_kind]]
    stages = [CommissionStage(words="a few of each kind", rigs=tuple(few), full=True)]
    rack = [rig for rig in _rack(usable, racks) if rig not in few]
    stages.append(CommissionStage(words="a rack", rigs=tuple(rack), full=False))
    share = _share(site, usable, {*few, *rack})
    stages.append(
        CommissionStage(words=f"{100 * SHARE:g} % of the power", rigs=tuple(share), full=False)
    )
    return CommissionPlan(
        kinds={kind: tuple(own) for kind, own in kinds.items()},
        stages=tuple(stage for stage in stages if stage.rigs),
        left_alone=left,
        rig_w={fate.rig_id: _power_w(readings[fate.rig_id]) for fate in usable},
        room_kw=site.limits.contract_power_kw - site.max_rig_kw - site.max_cooling_kw,
    )


def _power_w(reading: RigReading | None) -> float:
    assert reading is not None
    assert reading.power_w is not None
    return reading.power_w


def _why_left(
    fate: RigFate, reading: RigReading | None, locked: Mapping[str, str], lowest_w: float
) -> str:
    if fate.fate is not Fate.IDENTIFIED:
        return f"{fate.fate}: {fate.detail}"
    if fate.rig_id in locked:
        return f"locked out: {locked[fate.rig_id]}"
    if reading is None or reading.power_w is None:
        return "tells no power: nothing can be measured"
    if reading.power_w < RUNNING_FRAC * lowest_w:
        return f"stands or starts ({reading.power_w:.0f} W): what does not run is not started"
    return ""


def _rack(usable: Sequence[RigFate], racks: Mapping[str, str]) -> list[str]:
    if not usable:
        return []
    first = usable[0]
    own = racks.get(first.rig_id)
    if own is not None:
        return [fate.rig_id for fate in usable if racks.get(fate.rig_id) == own]
    return [fate.rig_id for fate in usable if fate.group == first.group][:RACK_RIGS]


def _share(site: SiteConfig, usable: Sequence[RigFate], taken: set[str]) -> list[str]:
    """Return further rigs, of all groups in turn, within the share of the site's power."""
    rig_kw = {group.name: site.max_group_kw(group) / group.n_rigs for group in site.groups}
    left_kw = SHARE * site.max_rig_kw
    left_kw -= sum(rig_kw[fate.group] for fate in usable if fate.rig_id in taken)
    by_group: dict[str, list[RigFate]] = {}
    for fate in usable:
        by_group.setdefault(fate.group, []).append(fate)
    chosen = []
    for turn in zip_longest(*by_group.values()):
        for fate in turn:
            if fate is None or fate.rig_id in taken or rig_kw[fate.group] > left_kw:
                continue
            chosen.append(fate.rig_id)
            left_kw -= rig_kw[fate.group]
    return chosen
