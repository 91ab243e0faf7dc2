"""Which rigs run at a setpoint: whole rigs, their minimum times, and never above the envelope.

The environment's group is a fluid; here it becomes rigs. A setpoint is rounded to the nearest rig,
and down where a cap binds. Applying an allocation and asking again gives the same allocation.
Order inside a group: the longest running stop first; of those that may start, the ones started
least often, then the longest stopped. Ties go by measured efficiency, then by name.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

SAME_KW = 1e-6
"""Powers closer than this are the same."""


@dataclass(frozen=True, kw_only=True)
class RigView:
    """What the allocator must know of one rig."""

    rig_id: str
    running: bool
    """By watts, or told to and not yet due."""
    since_s: float
    """Time since it started or stopped."""
    level: int | None = None
    """Index of the load level that it runs at; None if it stands."""
    n_starts: int = 0
    available: bool = True
    """Takes commands; others are left as they are and are not counted."""
    efficiency_j_per_th: float = math.inf
    """Measured; infinite if unknown."""


@dataclass(frozen=True, kw_only=True)
class GroupTask:
    """What one group is to do."""

    name: str
    rigs: tuple[RigView, ...]
    setpoint_kw: float
    max_kw: float
    """Greatest power allowed; it may break minimum up times, the setpoint may not."""
    level_kw: tuple[float, ...]
    """Power of one rig at each load level, rising."""
    min_up_s: float
    min_down_s: float


@dataclass(frozen=True, kw_only=True)
class GroupTarget:
    """What each available rig of a group shall do."""

    name: str
    level: dict[str, int | None]
    """Load level of each rig; None to stand."""
    power_kw: float
    """Of the running rigs at their levels."""
    forced: tuple[str, ...] = ()
    """Rigs that stop within their minimum up time because of the cap."""
    retry_after_s: float | None = None
    """When a minimum time ends that keeps the group from its setpoint; None if nothing does."""


def allocate_site(
    tasks: Sequence[GroupTask], cap_kw: float, merit_order: Sequence[int]
) -> list[GroupTarget]:
    """Return the targets of all groups, together within `cap_kw`.

    `merit_order` names groups best first: what is above the cap is taken from the last.
    """
    targets = [allocate_group(task) for task in tasks]
    for keep_minimum in (True, False):
        for g in reversed(merit_order):
            excess_kw = sum(target.power_kw for target in targets) - cap_kw
            if excess_kw <= SAME_KW:
                return targets
            floor_kw = _must_run_kw(tasks[g]) if keep_minimum else 0.0
            lowered_kw = max(targets[g].power_kw - excess_kw, floor_kw)
            if lowered_kw < targets[g].power_kw:
                lowered = replace(tasks[g], max_kw=min(tasks[g].max_kw, lowered_kw))
                targets[g] = allocate_group(lowered)
    return targets


def allocate_group(task: GroupTask) -> GroupTarget:
    """Return which rigs of one group run, and at which level."""
    rigs = [rig for rig in task.rigs if rig.available]
    floor_kw = task.level_kw[0]
    locked_up = [rig for rig in rigs if rig.running and rig.since_s < task.min_up_s]
    locked_down = [rig for rig in rigs if not rig.running and rig.since_s < task.min_down_s]
    n_allowed = math.floor((task.max_kw + SAME_KW) / floor_kw)
    n_wanted = min(math.floor(max(task.setpoint_kw, 0.0) / floor_kw + 0.5), n_allowed, len(rigs))
    n_running = max(n_wanted, min(len(locked_up), n_allowed))
    n_running = min(n_running, len(rigs) - len(locked_down))
    chosen = _choose(rigs, n_running, task)
    level = dict.fromkeys((rig.rig_id for rig in rigs), None) | _levels(chosen, task)
    stopped_early = [rig.rig_id for rig in locked_up if level[rig.rig_id] is None]
    return GroupTarget(
        name=task.name,
        level=level,
        power_kw=sum(task.level_kw[own] for own in level.values() if own is not None),
        forced=tuple(sorted(stopped_early)),
        retry_after_s=_retry_after_s(n_wanted - n_running, locked_up, locked_down, task),
    )


def _choose(rigs: list[RigView], n_running: int, task: GroupTask) -> list[RigView]:
    """Return the rigs that run: first those that may not stop, then those that run already."""

    def keep_order(rig: RigView) -> tuple[bool, float, float, str]:
        may_stop = rig.since_s >= task.min_up_s
        return may_stop, rig.since_s, rig.efficiency_j_per_th, rig.rig_id

    def start_order(rig: RigView) -> tuple[int, float, float, str]:
        return rig.n_starts, -rig.since_s, rig.efficiency_j_per_th, rig.rig_id

    running = sorted((rig for rig in rigs if rig.running), key=keep_order)
    able = (rig for rig in rigs if not rig.running and rig.since_s >= task.min_down_s)
    return [*running, *sorted(able, key=start_order)][:n_running]


def _levels(chosen: list[RigView], task: GroupTask) -> dict[str, int | None]:
    """Spread the power over the running rigs: all at two neighbouring levels.

    Rigs at the higher level already stay there, so that no two rigs swap levels.
    """
    n_running = len(chosen)
    if not n_running:
        return {}
    level_kw = task.level_kw
    wanted_kw = min(max(task.setpoint_kw, 0.0), task.max_kw)
    low = max(
        (k for k in range(len(level_kw)) if n_running * level_kw[k] <= wanted_kw + SAME_KW),
        default=0,
    )
    n_high = 0
    if low + 1 < len(level_kw):
        step_kw = level_kw[low + 1] - level_kw[low]
        above_kw = max(wanted_kw - n_running * level_kw[low], 0.0)
        room_kw = task.max_kw - n_running * level_kw[low]
        affordable = max(math.floor((room_kw + SAME_KW) / step_kw), 0)
        n_high = min(math.floor(above_kw / step_kw + 0.5), affordable, n_running)
    by_level = sorted(chosen, key=lambda rig: -(rig.level or 0) if rig.running else 0)
    return {
        rig.rig_id: low + 1 if position < n_high else low for position, rig in enumerate(by_level)
    }


def _must_run_kw(task: GroupTask) -> float:
    """Return the least power of the rigs within their minimum up time [kW]."""
    locked = [rig for rig in task.rigs if rig.available and rig.running]
    return task.level_kw[0] * sum(rig.since_s < task.min_up_s for rig in locked)


def _retry_after_s(
    n_missing: int, locked_up: list[RigView], locked_down: list[RigView], task: GroupTask
) -> float | None:
    if n_missing < 0 and locked_up:
        return min(task.min_up_s - rig.since_s for rig in locked_up)
    if n_missing > 0 and locked_down:
        return min(task.min_down_s - rig.since_s for rig in locked_down)
    return None
