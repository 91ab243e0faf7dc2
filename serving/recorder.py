"""What of a run goes into the journal, and in which order."""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.metadata import version

from gridhash.config import SiteConfig
from gridhash.envs.observation import table_hash
from gridhash.serving.decide import Decision
from gridhash.serving.drivers.protocol import Command, CommandResult, RigDriver
from gridhash.serving.failpoints import failpoint
from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.journal import Journal, JournalError, Row
from gridhash.serving.lease import Lease
from gridhash.serving.lease_record import LOST, RELEASED, record_lease, require_newest
from gridhash.serving.reconcile import PlannedCommand
from gridhash.serving.site_state import SiteSnapshot
from gridhash.serving.snapshot import RigReading
from gridhash.units import W_PER_KW

log = logging.getLogger(__name__)

NO_INTENT = 0
"""Intent id of a stop that had to be sent although the journal could not be written."""

KEPT_TABLES = frozenset({"changes", "verifications", "claims", "results", "alarms"})
"""Rows that are kept in memory while the journal cannot be written; readings come again anyway."""
MAX_KEPT = 20_000

PACKAGES = ("gridhash", "numpy", "numba")


class Recorder:
    """Writes one run of a controller."""

    def __init__(self, journal: Journal) -> None:
        """Write to a journal; `begin` opens the run."""
        self._journal = journal
        self.run_id = 0
        self.decision_lost = False
        """Whether the last commit held a decision and failed: decide again."""
        self.failure = ""
        """Why the journal cannot be written now; empty if it can."""
        self._decision_id = 0
        self._unwritten: list[Row] = []

    def begin(
        self, site: SiteConfig, at: datetime, *, mode: str, policy_name: str, bundle_hash: str,
        note: str,
    ) -> None:  # fmt: skip
        """Open a run.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        failpoint("start.before_run")
        self.run_id = self._journal.append(
            "runs",
            at=at,
            mode=mode,
            site_json=site.model_dump_json(),
            policy_name=policy_name,
            bundle_hash=bundle_hash,
            observation_hash=table_hash(site),
            versions=json.dumps({name: version(name) for name in PACKAGES}),
            note=note,
        )
        failpoint("start.run_begun")

    def append(self, rows: Iterable[Row]) -> bool:
        """Append rows; return False, and say so in the log, if the journal cannot be written.

        What tells of rigs and commands is then kept, and appended with what comes next.
        """
        rows = list(rows)
        try:
            self._journal.append_all([*self._unwritten, *rows])
        except JournalError as err:
            log.critical("%s", err)
            self._keep(rows, err)
            return False
        self._written()
        return True

    def commit(
        self,
        rows: Sequence[Row],
        snapshot: SiteSnapshot | None,
        decision: Decision,
        commands: Sequence[PlannedCommand],
        now: datetime,
        *,
        lease: Lease | None = None,
    ) -> list[tuple[PlannedCommand, int]]:
        """Commit what was found, decided and intended; return the commands that may be sent.

        If the journal cannot be written only stops may be sent: load may fall without a record,
        never rise. They are then written to the log.

        Raises
        ------
        LeaseLost
            If a newer lease than `lease` is in the journal; then nothing was committed.
        """
        decision_id, self.decision_lost = self._decision_id, False
        try:
            with self._journal.transaction():
                failpoint("intent.before_writing")
                if lease is not None and commands:
                    require_newest(self._journal, lease.token)
                self._journal.append_all([*self._unwritten, *rows])
                if snapshot is not None:
                    self._decision_id = self._append_decision(snapshot, decision)
                failpoint("intent.decision_written")
                ids = self._journal.append_all(
                    self._intent_row(planned, now) for planned in commands
                )
                failpoint("intent.before_commit")
        except JournalError as err:
            self._keep(rows, err, now)
            self._decision_id, self.decision_lost = decision_id, snapshot is not None
            stops = [planned for planned in commands if planned.command is Command.STOP]
            names = ", ".join(planned.rig.rig_id for planned in stops) or "none"
            log.critical("%s. No rig is started until then; stopped without record: %s", err, names)
            return [(planned, NO_INTENT) for planned in stops]
        failpoint("intent.after_commit")
        self._written()
        return list(zip(commands, ids, strict=True))

    def reading_row(self, reading: RigReading) -> Row:
        """Return the row of a reading."""
        return Row(
            table="readings",
            values={
                "run_id": self.run_id,
                "at": reading.read_at,
                "rig_id": reading.rig_id,
                "rig_clock_at": reading.rig_clock_at,
                "power_kw": None if reading.power_w is None else reading.power_w / W_PER_KW,
                "hashrate_ths": reading.hashrate_ths,
                "chip_temp_c": reading.chip_temp_c,
                "inlet_temp_c": reading.inlet_temp_c,
                "uptime_s": reading.uptime_s,
                "not_numbers": " ".join(reading.not_numbers),
            },
        )

    def lease_ended(self, lease: Lease, at: datetime) -> None:
        """Commit that the lease is given back, or was lost; say so in the log if that fails."""
        try:
            self.lease_event(lease, RELEASED if lease.held else LOST, at)
        except JournalError as err:
            log.critical("%s", err)

    def lease_event(self, lease: Lease, event: str, at: datetime) -> None:
        """Commit what became of the lease.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        failpoint("lease.before_record")
        record_lease(
            self._journal, self.run_id, at, token=lease.token, holder=lease.holder, event=event
        )
        failpoint("lease.after_record")

    def finding_rows(self, findings: Iterable[Finding]) -> list[Row]:
        """Return the rows of what supervision found out."""
        return [finding.row(self.run_id) for finding in findings]

    def rig_row(self, driver: RigDriver, group_name: str, at: datetime, note: str) -> Row:
        """Return the row of a rig's identity."""
        identity = driver.identity
        return Row(
            table="rigs",
            values={
                "run_id": self.run_id,
                "at": at,
                "rig_id": driver.rig_id,
                "group_name": group_name,
                "address": driver.address,
                "mac": identity.mac if identity else None,
                "model": identity.model if identity else None,
                "firmware": identity.firmware if identity else None,
                "note": note,
            },
        )

    def result_row(self, result: CommandResult, intent_id: int, now: datetime) -> Row:
        """Return the row of a command's result."""
        return Row(
            table="results",
            values={
                "run_id": self.run_id,
                "intent_id": intent_id,
                "at": now,
                "outcome": str(result.outcome),
                "effective_at": result.effective_at,
                "detail": result.detail,
                "took_s": result.took_s,
            },
        )

    def _keep(self, rows: Iterable[Row], err: JournalError, now: datetime | None = None) -> None:
        if not self.failure and now is not None:
            alarm = AlarmRaised(at=now, kind=Alarm.NOT_RECORDED, text=str(err))
            self._unwritten.append(alarm.row(self.run_id))
        if now is not None:
            self.failure = str(err)
        self._unwritten += [row for row in rows if row.table in KEPT_TABLES]
        del self._unwritten[MAX_KEPT:]

    def _written(self) -> None:
        self.failure = ""
        self._unwritten.clear()

    def _append_decision(self, snapshot: SiteSnapshot, decision: Decision) -> int:
        snapshot_id = self._journal.append(
            "snapshots",
            run_id=self.run_id,
            at=snapshot.at,
            input_hash=decision.input_hash,
            text=snapshot.to_text(),
        )
        return self._journal.append(
            "decisions",
            run_id=self.run_id,
            snapshot_id=snapshot_id,
            at=decision.at,
            policy_name=decision.policy_name,
            authority=str(decision.authority),
            setpoint_kw=sum(decision.setpoint_kw),
            reason=decision.reason,
            input_hash=decision.input_hash,
            text=decision.to_text(),
        )

    def _intent_row(self, planned: PlannedCommand, now: datetime) -> Row:
        return Row(
            table="intents",
            values={
                "run_id": self.run_id,
                "decision_id": self._decision_id,
                "at": now,
                "rig_id": planned.rig.rig_id,
                "command": str(planned.command),
                "level": planned.level,
                "power_kw": planned.power_kw,
                "attempt": planned.rig.n_failures + 1,
                "forced": planned.forced,
                "reason": planned.reason,
            },
        )
