"""A campaign of faults at work on a fleet, on the fleet's own clock, stepped or real."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self

from gridhash.serving.clock import Clock
from gridhash.serving.simulated_campaign import (
    Campaign,
    Fault,
    HandFault,
    PowerFault,
    SwapFault,
    rigs_of_faults,
)
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import Change, RigFaults
from gridhash.serving.simulated_rig import SimulatedRig


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that a campaign does at a time."""

    at_s: float
    """After the campaign's start."""
    act: Callable[[], Awaitable[None]]


class FaultSchedule:
    """Makes and mends the faults of a campaign while entered: ``async with schedule:``.

    The campaign starts when the schedule is entered. Other faults of a rig, given before, stay and
    come back when the campaign's own end.
    """

    def __init__(
        self, fleet: SimulatedFleet, campaign: Campaign, clock: Clock, *, origin: str = "campaign"
    ) -> None:
        """Draw the rigs of every fault; `origin` is named in errors.

        Raises
        ------
        ConfigError
            If the campaign names a rig or group that the fleet does not have, or too few rigs are
            left to draw from.
        """
        self._fleet = fleet
        self._clock = clock
        group_of = {rig.rig_id: rig.group.name for rig in fleet.rigs.values()}
        self.met = rigs_of_faults(campaign, group_of, origin=origin)
        """Each fault with the rigs that it meets: the truth that a controller is to find."""
        self._own: dict[str, RigFaults] = {}
        self._begun: list[tuple[Fault, list[str]]] = []
        self._moments = sorted(
            (moment for fault, rigs in self.met for moment in self._moments_of(fault, rigs)),
            key=lambda moment: moment.at_s,
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def n_active(self) -> int:
        """Rigs with a lasting fault of the campaign now."""
        return len({rig for _, rigs in self._begun for rig in rigs})

    def rigs_with(self, *kinds: str) -> set[str]:
        """Return the rigs that faults of some kinds meet at any time."""
        return {rig for fault, rigs in self.met if fault.kind in kinds for rig in rigs}

    async def __aenter__(self) -> Self:
        """Start the campaign; what begins at once has begun when this returns."""
        start = self._clock.now()
        self._own = {rig_id: rig.faults for rig_id, rig in self._fleet.rigs.items()}
        first = [moment for moment in self._moments if moment.at_s == 0.0]
        for moment in first:
            await moment.act()

        async def play() -> None:
            for moment in self._moments[len(first) :]:
                await self._clock.sleep_until(start + timedelta(seconds=moment.at_s))
                with self._clock.outstanding("a fault campaign"):
                    await moment.act()

        self._task = asyncio.create_task(play())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the campaign; what is wrong stays wrong. An error of its own is raised here."""
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def check(self) -> None:
        """Raise what broke the campaign off, if something did."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def mend(self) -> None:
        """End every fault of the campaign that has begun, once the schedule is left."""
        for fault, rigs in reversed(self._begun.copy()):
            await self._end(fault, rigs)

    def _moments_of(self, fault: Fault, rigs: list[str]) -> list[Moment]:
        if isinstance(fault, HandFault):
            act = partial(self._by_hand, fault, rigs)
            return [Moment(at_s=at_s, act=act) for at_s in _times_of(fault)]
        moments = [Moment(at_s=fault.from_s, act=partial(self._begin, fault, rigs))]
        if fault.until_s is not None:
            moments.append(Moment(at_s=fault.until_s, act=partial(self._end, fault, rigs)))
        return moments

    async def _begin(self, fault: Fault, rigs: list[str]) -> None:
        self._begun.append((fault, rigs))
        if isinstance(fault, PowerFault):
            for rig_id in rigs:
                self._fleet.rigs[rig_id].lose_power()
        await self._bring_about(fault, rigs)

    async def _end(self, fault: Fault, rigs: list[str]) -> None:
        self._begun.remove((fault, rigs))
        if isinstance(fault, PowerFault):
            for rig_id in rigs:
                self._fleet.rigs[rig_id].regain_power()
        await self._bring_about(fault, rigs)

    async def _bring_about(self, fault: Fault, rigs: list[str]) -> None:
        if isinstance(fault, SwapFault):
            await self._swap(rigs)
            return
        for rig_id in rigs:
            merged = self._own[rig_id]
            for other, met in self._begun:
                if rig_id in met:
                    merged = replace(merged, **other.sets())
            await self._fleet.set_faults(rig_id, merged)

    async def _swap(self, rigs: list[str]) -> None:
        for one, other in zip(rigs[::2], rigs[1::2], strict=True):
            await self._fleet.swap_addresses(one, other)

    async def _by_hand(self, fault: HandFault, rigs: list[str]) -> None:
        for rig_id in rigs:
            rig = self._fleet.rigs[rig_id]
            rig.change_by_hand(fault.change, _maker(rig, fault))


def _times_of(fault: HandFault) -> list[float]:
    if fault.every_s is None or fault.until_s is None:
        return [fault.from_s]
    n_times = math.ceil((fault.until_s - fault.from_s) / fault.every_s)
    return [fault.from_s + index * fault.every_s for index in range(n_times)]


def _maker(rig: SimulatedRig, fault: HandFault) -> Callable[[], None]:
    if fault.change is Change.POWER_LIMIT:
        assert fault.power_w is not None
        return partial(rig.set_power_limit, fault.power_w)
    makers = {Change.STOP: rig.stop, Change.START: rig.start, Change.REBOOT: rig.restart}
    return makers[fault.change]
