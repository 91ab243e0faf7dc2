"""`gridhash guard`: a process of its own that watches a controller and only ever lowers.

It knows no policy, no market and no page. It reads the controller's heartbeat from the state folder
or hears it over the network, reads the site's meter where there is one, and in failsafe stops rigs
over the same drivers until their watts show it.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.guard_listen import HeartbeatListener
from gridhash.serving.guard_lowering import GuardedRig, Lowering
from gridhash.serving.guard_record import GuardRecord, last_memory
from gridhash.serving.guard_settings import GuardSettings
from gridhash.serving.guard_watch import GuardWatch
from gridhash.serving.heartbeat import Heartbeat, Reduction, read_heartbeat
from gridhash.serving.heartbeat_push import GuardAddress
from gridhash.serving.sd_notify import sd_notify
from gridhash.serving.site_meter import MeterUnreachable, SiteMeter
from gridhash.serving.state_folder import StateFolder, write_whole
from gridhash.serving.stop_signal import StopSignal

log = logging.getLogger(__name__)

STALE_S = 30.0
"""Age from which a meter's value is none, where the meter says when it took it."""
BUSY_S = 2.0
"""Between two rounds while rigs have not obeyed yet."""


@dataclass(frozen=True, kw_only=True)
class GuardEars:
    """Where heartbeats are heard over the network."""

    address: GuardAddress
    key: bytes


class Guard:
    """One guard of one site. `run` it until it is to end."""

    def __init__(
        self,
        folder: StateFolder,
        settings: GuardSettings,
        rigs: Sequence[GuardedRig],
        clock: Clock,
        *,
        max_site_kw: float,
        meter: SiteMeter | None = None,
        ears: GuardEars | None = None,
    ) -> None:
        """Take up what the last process left; nothing is sent.

        Parameters
        ----------
        folder
            Of the controller on this host, or the guard's own on a second host.
        max_site_kw
            At the meter, unless the settings say.
        """
        self.folder = folder
        self.settings = settings
        self.record = GuardRecord(folder.guard_record)
        self.watch = GuardWatch(
            settings,
            max_site_kw=settings.max_site_kw or max_site_kw,
            now=clock.now,
            monotonic=clock.monotonic,
            memory=last_memory(folder.guard_record),
        )
        self.lowering = Lowering(rigs, clock, retry_s=settings.retry_s, note=self._note)
        self._clock = clock
        self._meter = meter
        self._ears = ears
        self._in_file: Heartbeat | None = None
        """What the heartbeat file held at the last look: the same again proves nothing."""
        self._kept: tuple[str, str, tuple[Reduction, ...]] | None = None
        self._troubles: dict[str, str] = {}
        self._was_lowering = False

    async def run(self, stop: StopSignal) -> None:
        """Watch and lower until it is to end.

        Raises
        ------
        PortInUse
            If the address to listen at is taken.
        """
        self._begin()
        async with AsyncExitStack() as stack:
            if self._ears is not None:
                await stack.enter_async_context(
                    HeartbeatListener(
                        self._ears.address.host,
                        self._ears.address.port,
                        self._ears.key,
                        take=self._hear,
                        notice=self.watch.notice,
                        monotonic=self._clock.monotonic,
                    )
                )
            sd_notify("READY=1", f"STATUS={self.watch.state}")
            lowering = asyncio.create_task(self._lower())
            try:
                while not stop.requested:
                    if lowering.done():
                        lowering.result()
                    await self.look()
                    sd_notify("WATCHDOG=1")
                    await self._sleep(self.settings.poll_s, stop)
            finally:
                lowering.cancel()
                await asyncio.gather(lowering, return_exceptions=True)
                sd_notify("STOPPING=1")
                self._note("end", state=self.watch.state, silence_s=round(self.watch.silence_s, 1))
                self.record.close()

    async def look(self) -> None:
        """Look once at heartbeat and meter, change state if it is time, and say so."""
        self._read_heartbeat()
        await self._read_meter()
        if self.watch.update():
            self._note_state()
        try:
            write_whole(self.folder.guard_notice, self.watch.notice().to_bytes())
            self._trouble("notice", "")
        except OSError as err:
            self._trouble("notice", f"{self.folder.guard_notice} cannot be written: {err.strerror}")

    async def lower_once(self) -> float:
        """Do one round of lowering; return after how long to do the next [s]."""
        if not self.watch.lowers:
            self._was_lowering = False
            return self.settings.poll_s
        if not self._was_lowering:
            self.lowering.forget()
            self._was_lowering = True
        if self.watch.cap_kw() == 0.0 and not self.lowering.was_read:
            await self.lowering.stop_down_to(0.0)  # stop first, look afterwards
        await self.lowering.read()
        self.watch.trim(self.lowering.potential_kw)
        cap_kw = self.watch.cap_kw()
        if cap_kw is None:  # handed back meanwhile
            return self.settings.poll_s
        await self.lowering.stop_down_to(cap_kw)
        settled = self.lowering.is_settled(cap_kw)
        self._trouble(
            "cap",
            ""
            if settled
            else f"rigs may still draw {self.lowering.potential_kw:.0f} kW, cap {cap_kw:.0f} kW",
        )
        return self.settings.settled_s if settled else BUSY_S

    async def _lower(self) -> None:
        while True:
            wait_s = await self.lower_once()
            due_s = self._clock.monotonic() + wait_s
            while self._clock.monotonic() < due_s and self.watch.lowers == self._was_lowering:
                await self._sleep(min(self.settings.poll_s, wait_s))

    async def _sleep(self, seconds: float, stop: StopSignal | None = None) -> None:
        until = self._clock.now() + timedelta(seconds=seconds)
        if stop is None:
            await self._clock.sleep_until(until)
        else:
            await stop.sleep_until(self._clock, until)

    def _begin(self) -> None:
        memory = self.watch.memory()
        self._note(
            "begin",
            settings=self.settings.model_dump(mode="json"),
            state=memory.state,
            n_rigs=len(self.lowering.rigs),
            meter=self._meter is not None,
        )
        try:
            heartbeat = read_heartbeat(self.folder.heartbeat)
        except ServingError as err:
            self._trouble("heartbeat", str(err))
        else:
            self._in_file = heartbeat
            if heartbeat is not None:
                self.watch.remember(heartbeat)
        self._remember()

    def _read_heartbeat(self) -> None:
        """Take the heartbeat of the file, if it is another than the last."""
        asked_s = self._clock.monotonic()
        try:
            heartbeat = read_heartbeat(self.folder.heartbeat)
        except ServingError as err:
            self._trouble("heartbeat", str(err))
            return
        self._trouble("heartbeat", "")
        if heartbeat is not None and heartbeat != self._in_file:
            self._in_file = heartbeat
            self._hear(heartbeat, asked_s)

    def _hear(self, heartbeat: Heartbeat, asked_s: float) -> bool:
        last = self.watch.heartbeat
        if not self.watch.take(heartbeat, asked_s):
            if last is not None and last.controller != heartbeat.controller:
                self._trouble(
                    "controllers",
                    f"{heartbeat.controller} beats too, while {last.controller} lives",
                )
            return False
        self._remember()
        return True

    def _remember(self) -> None:
        """Record the heartbeat when what must be kept of it changes."""
        heartbeat = self.watch.heartbeat
        if heartbeat is None:
            return
        kept = heartbeat.controller, heartbeat.mode, heartbeat.reductions
        if kept != self._kept:
            self._kept = kept
            self.record.remember(self._clock.now(), self.watch.memory())

    async def _read_meter(self) -> None:
        if self._meter is None:
            return
        try:
            reading = await self._meter.read()
        except MeterUnreachable as err:
            self._trouble("meter", str(err))
            return
        age_s = (self._clock.now() - reading.taken_at).total_seconds()
        stale = abs(age_s) > STALE_S
        self._trouble("meter", f"its value is {age_s:.0f} s old" if stale else "")
        if not stale:
            self.watch.take_meter(reading.power_kw)

    def _note_state(self) -> None:
        notice = self.watch.notice()
        log.warning("guard %s: %s", notice.state, notice.reason)
        self._note(
            "state",
            state=notice.state,
            epoch=notice.epoch,
            cap_kw=notice.cap_kw,
            reason=notice.reason,
            hold_s=self.watch.hold_s,
        )
        self.record.remember(self._clock.now(), self.watch.memory())
        sd_notify(f"STATUS={notice.state}: {notice.reason}")

    def _trouble(self, what: str, words: str) -> None:
        """Record a trouble when it begins and when it ends."""
        before = bool(self._troubles.pop(what, ""))
        if words:
            self._troubles[what] = words
        if bool(words) != before:
            self._note("trouble" if words else "trouble over", what=what, words=words)

    def _note(self, kind: str, **fields: object) -> None:
        self.record.write(self._clock.now(), kind, **fields)
