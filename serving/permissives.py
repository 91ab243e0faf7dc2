"""What the plant must show before rigs may run: flow, no leak, coolant, pressure, no fire.

Read only: protection belongs to the plant's own controller, we only never work against it. A
permissive whose reading is missing, stale or no number allows no start and no raise; one that is
outside its range stops its rigs at once. A leak or a fire stays until a named person clears it.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gridhash.errors import ServingError
from gridhash.serving.input_age import AGE_LIMITS
from gridhash.serving.instants import require_aware

READ_WITHIN_S = 1.0


class PlantUnreachable(ServingError):
    """The plant's controller gave no usable answer in time."""


@dataclass(frozen=True, kw_only=True)
class PlantValue:
    """One reading of one sensor.

    Raises
    ------
    ValueError
        If its instant names no time zone.
    """

    value: float
    """A contact is 0 (open) or 1 (closed)."""
    at: datetime
    """When the plant measured it; when it was read, where the plant does not say."""

    def __post_init__(self) -> None:
        """Reject an instant that is none."""
        require_aware(self.at, "at")


class PlantReader(Protocol):
    """Reads the plant's sensors; never writes to it."""

    async def read(self) -> Mapping[str, PlantValue]:
        """Return what each sensor shows, by its name.

        Raises
        ------
        PlantUnreachable
            If no usable answer came in time.
        """


@dataclass(frozen=True, kw_only=True)
class Permissive:
    """One condition on one sensor.

    Raises
    ------
    ValueError
        If its range is empty.
    """

    sensor: str
    groups: tuple[str, ...] = ()
    """Groups that need it; empty for all of the site."""
    low: float = -math.inf
    high: float = math.inf
    latches: bool = False
    """Whether a trip stays until a person clears it, as for a leak or a fire."""
    stale_s: float = AGE_LIMITS["plant"].last_good_s

    def __post_init__(self) -> None:
        """Reject a range that nothing lies in."""
        if not self.low < self.high:
            raise ValueError(f"{self.sensor}: {self.low} to {self.high} is no range")


class Verdict(StrEnum):
    """What a permissive says."""

    CLEAR = "clear"
    NO_START = "no start"
    TRIPPED = "tripped"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A permissive, what it says, and why; no words where it is clear."""

    permissive: Permissive
    verdict: Verdict
    words: str = ""


def judge(permissive: Permissive, reading: PlantValue | None, now: datetime) -> Judged:
    """Return what a permissive says of a reading; pure, without memory of earlier trips."""

    def judged(verdict: Verdict, words: str) -> Judged:
        text = f"{permissive.sensor} {words}"
        return Judged(permissive=permissive, verdict=verdict, words=text)

    if reading is None:
        return judged(Verdict.NO_START, "is missing")
    if not math.isfinite(reading.value):
        return judged(Verdict.NO_START, f"is no number ({reading.value})")
    age_s = (now - reading.at).total_seconds()
    if not -permissive.stale_s <= age_s <= permissive.stale_s:
        return judged(Verdict.NO_START, f"is {age_s:.0f} s old")
    if not permissive.low <= reading.value <= permissive.high:
        bounds = f"{permissive.low:g} to {permissive.high:g}"
        return judged(Verdict.TRIPPED, f"is {reading.value:g}, outside {bounds}")
    return Judged(permissive=permissive, verdict=Verdict.CLEAR)


class Plant:
    """The permissives of a site, read anew each tick."""

    def __init__(self, reader: PlantReader, permissives: Sequence[Permissive]) -> None:
        """Nothing was read yet, so nothing may start."""
        self._reader = reader
        self._permissives = tuple(permissives)
        self._latched: dict[Permissive, str] = {}
        self._values: Mapping[str, PlantValue] = {}
        self.failure = ""
        """Why the last reading failed; empty if it did not."""

    async def read(self) -> None:
        """Read the sensors; keeps what it had, which then grows stale, if they do not answer."""
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                self._values = await self._reader.read()
            self.failure = ""
        except (PlantUnreachable, OSError, TimeoutError) as err:
            self.failure = str(err) or f"no answer within {READ_WITHIN_S:g} s"

    def judge(self, now: datetime) -> list[Judged]:
        """Return what each permissive says now; a latched trip stands whatever is read since."""
        found = []
        for permissive in self._permissives:
            judged = judge(permissive, self._values.get(permissive.sensor), now)
            if judged.verdict is Verdict.TRIPPED and permissive.latches:
                self._latched.setdefault(permissive, judged.words)
            if permissive in self._latched and judged.verdict is not Verdict.TRIPPED:
                words = f"{self._latched[permissive]}; until a person clears it"
                judged = Judged(permissive=permissive, verdict=Verdict.TRIPPED, words=words)
            found.append(judged)
        return found

    def clear(self) -> None:
        """Forget latched trips; a sensor that still shows one trips again at once."""
        self._latched.clear()
