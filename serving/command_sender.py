"""Sending what was planned and committed, and noting what each rig answered."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from gridhash.serving.clock import Clock
from gridhash.serving.drivers.concurrency import command_rigs
from gridhash.serving.drivers.load import restarts_to_change_load, set_load
from gridhash.serving.drivers.protocol import Command, CommandResult, RigDriver
from gridhash.serving.failpoints import failpoint
from gridhash.serving.findings import Finding
from gridhash.serving.lease import Lease
from gridhash.serving.pending import Pending
from gridhash.serving.reconcile import PlannedCommand
from gridhash.serving.recorder import NO_INTENT, Recorder
from gridhash.serving.settings import ControllerSettings


class CommandSender:
    """Sends commands through the rigs' drivers."""

    def __init__(
        self,
        drivers: Mapping[str, RigDriver],
        clock: Clock,
        recorder: Recorder,
        settings: ControllerSettings,
    ) -> None:
        """`drivers` are named by rig."""
        self._drivers = drivers
        self._clock = clock
        self._recorder = recorder
        self._settings = settings

    async def send(
        self,
        sent: Sequence[tuple[PlannedCommand, int]],
        now: datetime,
        *,
        lease: Lease | None = None,
    ) -> None:
        """Send commands, each with the id of its intent, and record what became of them.

        Nothing is sent if the lease ran out while the intents were committed; they are then
        planned again by whoever holds it.
        """
        if not sent or (lease is not None and not lease.held):
            return
        findings: list[Finding] = []
        for planned, intent_id in sent:
            findings += planned.rig.sent(self._pending(planned, intent_id, now))
        results = await command_rigs(
            [partial(_tell, self._call(planned)) for planned, _ in sent], self._clock
        )
        failpoint("command.all_replied")
        rows = []
        for (planned, intent_id), result in zip(sent, results, strict=True):
            findings += planned.rig.answered(result, self._clock.now())
            if intent_id != NO_INTENT:
                rows.append(self._recorder.result_row(result, intent_id, now))
        self._recorder.append([*rows, *self._recorder.finding_rows(findings)])
        failpoint("command.recorded")

    def _pending(self, planned: PlannedCommand, intent_id: int, now: datetime) -> Pending:
        rig = planned.rig
        boots = planned.command is Command.RESUME or (
            planned.command is Command.SET_WORK_LEVEL
            and restarts_to_change_load(self._drivers[rig.rig_id])
        )
        boot_s = rig.group.boot_s if boots else 0.0
        within = timedelta(seconds=self._settings.verify_within_s + boot_s)
        return Pending(
            intent_id=intent_id,
            command=planned.command,
            level=planned.level,
            sent_at=now,
            deadline_at=now + within,
            before_kw=rig.power_kw,
        )

    def _call(self, planned: PlannedCommand) -> Callable[[], Awaitable[CommandResult]]:
        driver = self._drivers[planned.rig.rig_id]
        if planned.command is Command.STOP:
            return partial(driver.stop, forced=planned.forced)
        if planned.command is Command.RESUME:
            return driver.resume
        assert planned.level is not None
        return partial(set_load, driver, planned.level, planned.rig.level_kw[planned.level])


async def _tell(call: Callable[[], Awaitable[CommandResult]]) -> CommandResult:
    failpoint("command.before_send")
    result = await call()
    failpoint("command.after_reply")
    return result
