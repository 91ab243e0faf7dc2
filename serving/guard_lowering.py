"""Stopping rigs until watts show that the rest draw no more than a cap. Nothing here starts one.

A rig that does not answer, or was not read, counts at full power. A rig that was told to stop
counts as fallen until its retry is due, and at full power again if it then still draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gridhash.config import SiteConfig
from gridhash.serving.clock import Clock
from gridhash.serving.drivers.concurrency import command_rigs, read_rigs
from gridhash.serving.drivers.protocol import CommandResult, RigDriver
from gridhash.serving.verification import stopped_below_w
from gridhash.units import W_PER_KW

SAME_KW = 1e-6
TRIED = 2
"""Stops without effect from which on a rig no longer counts as one that will fall."""

CONCURRENT = 256
"""Rigs spoken to at once: one that hangs must not keep the next from its stop."""


class Note(Protocol):
    """Writes a line to a record: `kind` and fields."""

    def __call__(self, kind: str, **fields: object) -> None:
        """Write it."""


@dataclass
class GuardedRig:
    """What is known of one rig."""

    driver: RigDriver
    rated_kw: float
    stopped_below_kw: float
    answers: bool = False
    power_kw: float | None = None
    told_s: float | None = None
    """When it was last told to stop."""
    n_told: int = 0
    outcome: str = ""
    """What became of its last stop, as recorded."""

    @property
    def stands(self) -> bool:
        """Whether its own watts show that it stands."""
        return self.power_kw is not None and self.power_kw <= self.stopped_below_kw

    @property
    def potential_kw(self) -> float:
        """What it may draw above standby [kW]."""
        return 0.0 if self.stands else max(self.rated_kw, self.power_kw or 0.0)


class Lowering:
    """The rigs of a site, least efficient first, and what was told to them."""

    def __init__(
        self, rigs: Sequence[GuardedRig], clock: Clock, *, retry_s: float, note: Note
    ) -> None:
        """Know nothing of the rigs yet."""
        self.rigs = list(rigs)
        self._clock = clock
        self._retry_s = retry_s
        self._note = note
        self.was_read = False

    @property
    def potential_kw(self) -> float:
        """What all rigs may draw above standby [kW]."""
        return sum(rig.potential_kw for rig in self.rigs)

    @property
    def n_standing(self) -> int:
        """Rigs whose own watts show that they stand."""
        return sum(rig.stands for rig in self.rigs)

    def forget(self) -> None:
        """Know nothing of the rigs again, as after a time of not looking."""
        self.was_read = False
        for rig in self.rigs:
            rig.answers, rig.power_kw, rig.told_s, rig.n_told, rig.outcome = (
                False,
                None,
                None,
                0,
                "",
            )

    async def read(self) -> None:
        """Read every rig."""
        readings = await read_rigs([rig.driver for rig in self.rigs], self._clock, limit=CONCURRENT)
        for rig in self.rigs:
            stood, reading = rig.stands, readings[rig.driver.rig_id]
            rig.answers = reading is not None
            watts = None if reading is None else reading.power_w
            rig.power_kw = None if watts is None else watts / W_PER_KW
            if rig.stands:
                if not stood and rig.n_told:
                    self._note("stands", rig=rig.driver.rig_id, power_kw=rig.power_kw)
                rig.told_s, rig.n_told, rig.outcome = None, 0, ""
        self.was_read = True

    def is_settled(self, cap_kw: float) -> bool:
        """Return whether nothing is to be done: watts show the cap kept, or all was tried."""
        return self.was_read and self.potential_kw <= cap_kw + SAME_KW

    async def stop_down_to(self, cap_kw: float) -> int:
        """Tell rigs to stop, least efficient first, until the rest keep the cap; return how many.

        Rigs that do not answer are told too, and counted as if they would not hear.
        """
        now_s = self._clock.monotonic()
        left_kw = self.potential_kw
        chosen = []
        for rig in self.rigs:
            if left_kw <= cap_kw + SAME_KW:
                break
            if rig.stands:
                continue
            waits = rig.told_s is not None and now_s - rig.told_s < self._retry_s
            if (rig.answers or not self.was_read) and rig.n_told < TRIED:
                left_kw -= rig.potential_kw
            if not waits:
                chosen.append(rig)
        for rig in chosen:
            rig.told_s, rig.n_told = now_s, rig.n_told + 1
        results = await command_rigs(
            [partial(rig.driver.stop, forced=True) for rig in chosen], self._clock, limit=CONCURRENT
        )
        for rig, result in zip(chosen, results, strict=True):
            self._take(rig, result)
        return len(chosen)

    def _take(self, rig: GuardedRig, result: CommandResult) -> None:
        """Record what became of a stop, once for each outcome in a row."""
        if str(result.outcome) != rig.outcome:
            rig.outcome = str(result.outcome)
            self._note("stop", rig=result.rig_id, outcome=rig.outcome, detail=result.detail[:200])


def guarded_rigs(
    site: SiteConfig, drivers: Callable[[str], Sequence[RigDriver]]
) -> list[GuardedRig]:
    """Return the rigs of a site, those of the least efficient group first.

    `drivers` gives the drivers of a group by its name.
    """
    rigs = []
    for group in sorted(site.groups, key=lambda group: -group.efficiency_j_per_th):
        rated_kw = group.level_power_kw(site.levels_of(group)[-1])
        below_w = stopped_below_w(rated_kw * W_PER_KW, group.standby_w)
        rigs += [
            GuardedRig(driver=driver, rated_kw=rated_kw, stopped_below_kw=below_w / W_PER_KW)
            for driver in drivers(group.name)
        ]
    return rigs
