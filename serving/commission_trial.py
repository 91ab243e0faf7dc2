"""What one rig is put through while a site is commissioned, and how it is left as it was.

Watts decide, never an acknowledgement: a level exists if the rig tells it back and its power is
steady there, a rig stands once its power is that of standby, and it is back once it draws and
hashes as before. Whatever happens, the rig is brought back to how it was found.
"""

import statistics
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from gridhash.config import RigGroupConfig
from gridhash.errors import RigUnreachable
from gridhash.serving.clock import Clock
from gridhash.serving.commission_found import Measured, PointSeen, Was, is_there, point_before
from gridhash.serving.commission_steps import (
    STEADY_FRAC,
    Interrupted,
    Point,
    TrialSettings,
    points_of,
)
from gridhash.serving.drivers.capabilities import REBOOTING
from gridhash.serving.drivers.driver import FirmwareDriver
from gridhash.serving.drivers.protocol import CommandResult
from gridhash.serving.snapshot import RigReading
from gridhash.serving.verification import LEVEL_TOLERANCE_FRAC, RUNNING_FRAC, stopped_below_w
from gridhash.units import W_PER_KW

Note = Callable[..., None]
"""Takes a kind and fields for the record."""


class RigTrial:
    """One rig under trial."""

    def __init__(
        self,
        driver: FirmwareDriver,
        group: RigGroupConfig,
        clock: Clock,
        settings: TrialSettings,
        *,
        note: Note,
        why_end: Callable[[], str],
    ) -> None:
        """Nothing is sent yet; `why_end` says why to end at once, empty to go on."""
        self._driver = driver
        self._group = group
        self._clock = clock
        self._settings = settings
        self._note = note
        self._why_end = why_end
        self._values: dict[str, Any] = {}
        self._foreign: list[str] = []
        self._problems: list[str] = []

    async def run(self, was: Was, first: RigReading, *, full: bool, may_raise: bool) -> Measured:
        """Put a running rig through everything (`full`), or through a stop and a start.

        Raises
        ------
        Interrupted
            If it is to end; the caller restores the rig.
        """
        identity = await self._driver.identify()
        skew = first.rig_clock_at
        self._values = {
            "clock_skew_s": None if skew is None else (skew - first.read_at).total_seconds()
        }
        left_out: tuple[str, ...] = ()
        if full:
            points, left_out = points_of(identity, first, may_raise=may_raise)
            await self._try_points(points, was)
        if await self._stop(was):
            if full:
                await self._watch_standby(was)
                if self._settings.reboot and identity.capability.firmware in REBOOTING:
                    await self._reboot(was)
            await self._resume(was)
        return Measured(
            rig_id=self._driver.rig_id,
            group=self._group.name,
            firmware=identity.capability.firmware,
            model=identity.model,
            version=identity.firmware,
            mac=identity.mac,
            running_w=was.power_w,
            foreign=tuple(self._foreign),
            left_out=left_out,
            problems=tuple(self._problems),
            **self._values,
        )

    async def restore(self, was: Was, *, may_start: bool) -> str:
        """Bring the rig back to how it was found; return why it is not, empty if it is."""
        why = ""
        for _ in range(self._settings.restore_tries):
            why = await self._restore_once(was, may_start)
            if not why or not may_start:
                break
        return why

    async def _try_points(self, points: tuple[Point, ...], was: Was) -> None:
        seen = []
        for point in points:
            seen.append(await self._try(point, was))
            if len(seen) == 1 and seen[0].taken:
                await self._watch_point(point, seen[0])
        self._values["points"] = tuple(seen)
        if points and (why := await self._set(was)):
            self._problems.append(f"not back at its level: {why}")

    async def _try(self, point: Point, was: Was) -> PointSeen:
        before = await self._read()
        from_w = was.power_w if before is None or before.power_w is None else before.power_w
        sent_at = self._clock.now()
        result = await self._command(point)
        seen = partial(PointSeen, name=point.name, level=point.level)
        if not result.outcome.may_have_reached_rig:
            return seen(taken=False, words=f"{result.outcome}: {result.detail}"[:300])
        last_w: list[float] = []

        def reached(reading: RigReading) -> bool:
            steady = bool(last_w) and abs(last_w[-1] - (reading.power_w or 0.0)) <= (
                STEADY_FRAC * was.power_w
            )
            last_w.append(reading.power_w or 0.0)
            return steady and point.is_reached(reading, was.power_w, from_w)

        seconds = await self._until(reached, self._settings.point_limit_s, sent_at)
        if seconds is None:
            words = f"acknowledged ({result.outcome}), and watts did not go there"
            return seen(taken=False, words=words)
        return seen(taken=True, power_w=last_w[-1], seconds=seconds)

    async def _watch_point(self, point: Point, seen: PointSeen) -> None:
        """Look whether something else changes the rig back from its lowest point."""
        assert seen.power_w is not None
        began_at, at_w = self._clock.now(), seen.power_w

        def changed(reading: RigReading) -> bool:
            power_w = reading.power_w
            return power_w is not None and abs(power_w - at_w) > LEVEL_TOLERANCE_FRAC * at_w

        seconds = await self._until(changed, self._settings.watch_s, began_at)
        if seconds is not None:
            self._foreign.append(f"left {point.name} by itself after {seconds:.0f} s")

    async def _stop(self, was: Was) -> bool:
        sent_at = self._clock.now()
        result = await self._driver.stop()
        self._sent("stop", result)
        if not result.outcome.may_have_reached_rig:
            self._problems.append(f"does not take a stop ({result.outcome}: {result.detail})"[:300])
            return False
        seconds = await self._until(
            lambda reading: self._stands(reading, was), self._settings.stop_limit_s, sent_at
        )
        self._values["stop_s"] = seconds
        if seconds is None:
            limit_s = self._settings.stop_limit_s
            self._problems.append(
                f"acknowledged a stop ({result.outcome}) and still ran after {limit_s:.0f} s"
            )
            return False
        settled_at = self._clock.now() + timedelta(seconds=self._settings.settle_s)
        watts: list[float] = []

        def enough(reading: RigReading) -> bool:
            if reading.read_at >= settled_at and reading.power_w is not None:
                watts.append(reading.power_w)
            return len(watts) >= self._settings.n_standby or not self._stands(reading, was)

        limit_s = self._settings.settle_s + self._settings.n_standby * 4.0 * self._settings.look_s
        await self._until(enough, limit_s, self._clock.now())
        self._values["standby_w"] = statistics.median(watts) if watts else None
        return True

    async def _watch_standby(self, was: Was) -> None:
        began_at = self._clock.now()
        seconds = await self._until(
            lambda reading: not self._stands(reading, was), self._settings.watch_s, began_at
        )
        if seconds is not None:
            self._foreign.append(f"left standby by itself after {seconds:.0f} s")
            await self._driver.stop()
            await self._until(
                lambda reading: self._stands(reading, was),
                self._settings.stop_limit_s,
                self._clock.now(),
            )

    async def _reboot(self, was: Was) -> None:
        before = await self._read()
        sent_at = self._clock.now()
        result = await self._driver.reboot()
        self._sent("reboot", result)
        if not result.outcome.may_have_reached_rig:
            self._problems.append(f"does not take a reboot ({result.outcome})")
            return

        def is_back(reading: RigReading) -> bool:
            if before is None or before.uptime_s is None or reading.uptime_s is None:
                return (reading.read_at - sent_at).total_seconds() > 60.0
            return reading.uptime_s < before.uptime_s

        if await self._until(is_back, self._settings.reboot_limit_s, sent_at) is None:
            self._problems.append("acknowledged a reboot and did not reboot")
            return
        woke = await self._until(
            lambda reading: not self._stands(reading, was),
            self._settings.reboot_watch_s,
            self._clock.now(),
        )
        self._values["survives_reboot"] = woke is None
        if woke is not None:
            await self._driver.stop()
            await self._until(
                lambda reading: self._stands(reading, was),
                self._settings.stop_limit_s,
                self._clock.now(),
            )

    async def _resume(self, was: Was) -> None:
        sent_at, limit_s = self._clock.now(), self._settings.resume_limit_s
        result = await self._driver.resume()
        self._sent("resume", result)
        if not result.outcome.may_have_reached_rig:
            self._problems.append(
                f"does not take a start ({result.outcome}: {result.detail})"[:300]
            )
            return
        seconds = await self._until(lambda reading: self._runs(reading, was), limit_s, sent_at)
        self._values["resume_s"] = seconds
        if seconds is None:
            self._problems.append(f"was told to start and did not run after {limit_s:.0f} s")
        elif was.hashrate_ths:
            least_ths = RUNNING_FRAC * was.hashrate_ths
            self._values["hash_s"] = await self._until(
                lambda reading: (reading.hashrate_ths or 0.0) >= least_ths, limit_s, sent_at
            )

    async def _restore_once(self, was: Was, may_start: bool) -> str:
        try:
            reading = await self._driver.read()
        except RigUnreachable as err:
            await self._wait(heed=False)
            return f"it does not answer: {err}"
        sent_at = self._clock.now()
        if not self._runs(reading, was):
            if not may_start:
                return "it stands, and stop-all lets nothing start"
            if reading.power_w is not None and self._stands(reading, was):
                self._sent("resume", await self._driver.resume())
        why = await self._set(was, heed=False)
        back = await self._until(
            lambda now: self._runs(now, was), self._settings.resume_limit_s, sent_at, heed=False
        )
        return why if back is not None else why or "it does not draw what it drew before"

    async def _set(self, was: Was, *, heed: bool = True) -> str:
        """Set level, preset or power as it was; return why it is not, empty if it is."""
        identity = self._driver.identity
        reading = await self._read()
        if identity is None or reading is None:
            return "it does not answer"
        point = point_before(identity, was)
        if point is None or is_there(reading, was, identity):
            return ""
        result = await self._command(point)
        if not result.outcome.may_have_reached_rig:
            return f"{point.name}: {result.outcome}, {result.detail}"[:300]
        back = await self._until(
            lambda now: self._runs(now, was),
            self._settings.resume_limit_s,
            self._clock.now(),
            heed=heed,
        )
        return "" if back is not None else f"{point.name} was not taken"

    async def _command(self, point: Point) -> CommandResult:
        if point.level is not None:
            result = await self._driver.set_work_level(point.level)
        elif point.preset is not None:
            result = await self._driver.set_preset(point.preset)
        else:
            assert point.power_w is not None
            result = await self._driver.set_power_kw(point.power_w / W_PER_KW)
        self._sent(point.name, result)
        return result

    def _sent(self, what: str, result: CommandResult) -> None:
        self._note("command", what=what, outcome=result.outcome, detail=result.detail[:300])

    def _stands(self, reading: RigReading, was: Was) -> bool:
        limit_w = stopped_below_w(was.power_w, self._group.standby_w)
        return reading.power_w is not None and reading.power_w <= limit_w

    def _runs(self, reading: RigReading, was: Was) -> bool:
        return (reading.power_w or 0.0) >= (1.0 - LEVEL_TOLERANCE_FRAC) * was.power_w

    async def _until(
        self,
        done: Callable[[RigReading], bool],
        limit_s: float,
        since: datetime,
        *,
        heed: bool = True,
    ) -> float | None:
        """Look until it is done; return after how many seconds since an instant, None if never."""
        give_up_at = self._clock.now() + timedelta(seconds=limit_s)
        while True:
            reading = await self._read()
            if reading is not None and done(reading):
                return round((reading.read_at - since).total_seconds(), 3)
            if self._clock.now() >= give_up_at:
                return None
            await self._wait(heed=heed)

    async def _wait(self, *, heed: bool) -> None:
        if heed and (why := self._why_end()):
            raise Interrupted(why)
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=self._settings.look_s))

    async def _read(self) -> RigReading | None:
        try:
            reading = await self._driver.read()
        except (RigUnreachable, ValueError) as err:
            self._note("silent", why=str(err)[:200])
            return None
        self._note(
            "reading",
            power_w=reading.power_w,
            hashrate_ths=reading.hashrate_ths,
            working=reading.working,
            soft_off=reading.soft_off,
            work_level=reading.work_level,
            power_target_w=reading.power_target_w,
            preset=reading.preset,
            uptime_s=reading.uptime_s,
            rig_clock_at=reading.rig_clock_at,
        )
        return reading
