"""Checking a run after the fact: its journal against what the simulated rigs truly did.

`check_run` looks for broken promises (a command without a prior intent, a setpoint outside the
limits, a minimum time, a claim that was not delivered) and for their twins, so that doing nothing
does not pass. `transitions` and `rig_fates` are the tables that people read.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from gridhash.config import SiteConfig
from gridhash.serving.drivers.protocol import Command
from gridhash.serving.findings import Alarm, Verdict
from gridhash.serving.journal import Journal
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.site_state import from_exact
from gridhash.units import SECONDS_PER_HOUR, W_PER_KW

WITHIN_S = 60.0
"""Time in which the power of a command shall be verified."""

SAME_KW = 1e-6
CLAIM_TOLERANCE_FRAC = 0.02
"""By which a claim may exceed the truth before it is a violation: rigs measure themselves."""

ASCSET = re.compile(r"ascset\|0,(softoff|softon|worklevel)\b")
COMMAND_OF = {
    "softoff": Command.STOP, "softon": Command.RESUME, "worklevel": Command.SET_WORK_LEVEL,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunCheck:
    """Figures of one run against the simulated world."""

    n_commands: int
    """That the rigs received."""
    n_without_intent: int
    n_setpoints: int
    n_setpoints_outside: int
    commanded_kw: float
    """Sum over all commands to rigs that obey."""
    verified_kw: float
    """Of it, verified by watts within 60 s of the command."""
    median_s: float
    """From command to verified, rigs that obey; NaN without commands."""
    p95_s: float
    claimed_kwh: float
    truly_reduced_kwh: float
    """Energy not drawn between a stop command and the next start."""
    claimed_from_faulty_kwh: float
    violations: tuple[str, ...]

    @property
    def verified_frac(self) -> float:
        """Share of the commanded power that was verified in time; 1 if none was commanded."""
        return self.verified_kw / self.commanded_kw if self.commanded_kw else 1.0

    @property
    def claimed_frac(self) -> float:
        """Share of the true reduction that was claimed; 1 if there was none."""
        return self.claimed_kwh / self.truly_reduced_kwh if self.truly_reduced_kwh else 1.0


def obedient(fleet: SimulatedFleet) -> set[str]:
    """Return the rigs without a fault that keeps them from obeying or from telling their power."""
    return {
        rig.rig_id
        for rig in fleet.rigs.values()
        if rig.faults.unreachable == "no"
        and not (rig.faults.lies or rig.faults.refuses or rig.faults.ignores)
        and not rig.faults.nan_telemetry
    }


def check_run(journal: Journal, fleet: SimulatedFleet, *, run_id: int | None = None) -> RunCheck:
    """Check a finished run; the newest if `run_id` is None."""
    run_id = run_id or journal.last_run_id()
    site = site_of(journal, run_id)
    intents = intents_with_verdicts(journal, run_id)
    claims = journal.frame("claims", run_id)
    good = obedient(fleet)
    violations: list[str] = []
    n_commands, unrecorded = _unrecorded_commands(fleet, intents)
    violations += unrecorded
    n_setpoints, outside = _setpoints_outside(journal, run_id)
    violations += outside
    violations += _broken_minimum_times(site, fleet, intents)
    violations += _false_claims(fleet, claims, intents)
    told = orders(journal, run_id)
    own = told[told.rig_id.isin(good)]
    in_time = own[own.verified_s <= WITHIN_S]
    start, end = _span(journal, run_id)
    faulty = claims[~claims.rig_id.isin(good)]
    return RunCheck(
        n_commands=n_commands,
        n_without_intent=len(unrecorded),
        n_setpoints=n_setpoints,
        n_setpoints_outside=len(outside),
        commanded_kw=float(own.power_kw.sum()),
        verified_kw=float(in_time.power_kw.sum()),
        median_s=float(own.verified_s.median()),
        p95_s=float(own.verified_s.quantile(0.95)),
        claimed_kwh=float(claims.reduced_kwh.sum()),
        truly_reduced_kwh=sum(true_reduction_kwh(rig, start, end) for rig in fleet.rigs.values()),
        claimed_from_faulty_kwh=float(faulty.reduced_kwh.sum()),
        violations=tuple(violations),
    )


def site_of(journal: Journal, run_id: int) -> SiteConfig:
    """Return the site of a run."""
    text = journal.rows("SELECT site_json FROM runs WHERE id = ?", run_id)[0]["site_json"]
    return SiteConfig.model_validate_json(text)


def intents_with_verdicts(journal: Journal, run_id: int) -> pd.DataFrame:
    """Return every intent with `outcome`, `verdict`, `before_kw`, `after_kw` and `verified_at`.

    `verified_at` is NaT where watts never confirmed the command.
    """
    intents = journal.frame("intents", run_id)
    results = journal.frame("results", run_id).set_index("intent_id")
    verdicts = journal.frame("verifications", run_id).set_index("intent_id")
    verdicts = verdicts.rename(columns={"at": "judged_at"})
    joined = intents.join(results[["outcome", "detail"]]).join(
        verdicts[["verdict", "judged_at", "before_kw", "after_kw"]]
    )
    proven = joined.verdict.isin([Verdict.VERIFIED, Verdict.LATE])
    joined["verified_at"] = joined.judged_at.where(proven)
    return joined


def orders(journal: Journal, run_id: int) -> pd.DataFrame:
    """Return one row per decision, rig and command: its attempts together.

    Columns: decision_id, rig_id, command, at (first attempt), power_kw, attempts, verified_s (from
    the first attempt to the proof by watts; NaN if there is none).
    """
    intents = intents_with_verdicts(journal, run_id)
    grouped = intents.groupby(["decision_id", "rig_id", "command"], sort=False)
    table = grouped.agg(
        at=("at", "min"),
        power_kw=("power_kw", "first"),
        attempts=("at", "size"),
        verified_at=("verified_at", "min"),
    ).reset_index()
    table["power_kw"] = table.power_kw.abs()
    table["verified_s"] = (table.verified_at - table["at"]).dt.total_seconds()
    return table.drop(columns="verified_at")


def transitions(
    journal: Journal, fleet: SimulatedFleet | None = None, *, run_id: int | None = None
) -> pd.DataFrame:
    """Return one row per decision and kind of command that led to commands.

    Columns: at, command, n_rigs, commanded_kw, verified_kw (within 60 s), median_s, max_s,
    reason; with the simulated fleet also obedient_kw (commanded from rigs that obey) and true_kw
    (by which the commanded rigs' true power changed within 60 s).
    """
    run_id = run_id or journal.last_run_id()
    reasons = journal.frame("decisions", run_id).reason
    good = obedient(fleet) if fleet is not None else set()
    rows = []
    told = orders(journal, run_id)
    for (decision_id, command), own in told.groupby(["decision_id", "command"], sort=False):
        row = {
            "at": own["at"].min(),
            "command": command,
            "n_rigs": len(own),
            "commanded_kw": own.power_kw.sum(),
            "verified_kw": own[own.verified_s <= WITHIN_S].power_kw.sum(),
            "median_s": own.verified_s.median(),
            "max_s": own.verified_s.max(),
            "reason": reasons.get(decision_id, ""),
        }
        if fleet is not None:
            row["obedient_kw"] = own[own.rig_id.isin(good)].power_kw.sum()
            row["true_kw"] = sum(
                abs(_true_change_kw(fleet.rigs[str(rig_id)], at.to_pydatetime()))
                for rig_id, at in zip(own.rig_id, own["at"], strict=True)
            )
        rows.append(row)
    return pd.DataFrame(rows).sort_values("at", ignore_index=True) if rows else pd.DataFrame()


def rig_fates(
    journal: Journal, fleet: SimulatedFleet | None = None, *, run_id: int | None = None
) -> pd.DataFrame:
    """Return one row per rig: commands sent and proven, alarms, energy claimed, last state.

    With the simulated fleet also truly_reduced_kwh.
    """
    run_id = run_id or journal.last_run_id()
    intents = intents_with_verdicts(journal, run_id)
    claims = journal.frame("claims", run_id).groupby("rig_id").reduced_kwh.sum()
    changes = journal.frame("changes", run_id).groupby("rig_id").running.last()
    alarms = journal.frame("alarms", run_id)
    start, end = _span(journal, run_id)
    rows = []
    for rig in journal.frame("rigs", run_id).itertuples():
        own = intents[intents.rig_id == rig.rig_id]
        kinds = list(alarms[alarms.rig_id == rig.rig_id].kind)
        row = {
            "rig_id": rig.rig_id,
            "group": rig.group_name,
            "address": rig.address,
            "stops": int((own.command == Command.STOP).sum()),
            "starts": int((own.command == Command.RESUME).sum()),
            "verified": int(own.verified_at.notna().sum()),
            "missed": int((own.verdict == Verdict.MISSED).sum()),
            "alarms": ", ".join(dict.fromkeys(kinds)),
            "claimed_kwh": float(claims.get(rig.rig_id, 0.0)),
            "state": _state_of(changes.get(rig.rig_id), kinds),
        }
        if fleet is not None:
            row["truly_reduced_kwh"] = true_reduction_kwh(fleet.rigs[str(rig.rig_id)], start, end)
        rows.append(row)
    return pd.DataFrame(rows)


def true_reduction_kwh(rig: SimulatedRig, start: datetime, end: datetime) -> float:
    """Return the energy that a rig truly did not draw because of our stops [kWh].

    From each stop command to the next start command, against its true power before the stop.
    """
    reduced_kwh = 0.0
    stopped_at: datetime | None = None
    log = [(at, command) for at, command in received(rig) if start <= at <= end]
    for at, command in [*log, (end, Command.RESUME)]:
        if command is Command.STOP and stopped_at is None:
            stopped_at = at
        elif command is Command.RESUME and stopped_at is not None:
            reduced_kwh += _not_drawn_kwh(rig, stopped_at, at)
            stopped_at = None
    return reduced_kwh


def received(rig: SimulatedRig) -> list[tuple[datetime, Command]]:
    """Return the commands that change something, as the rig received them."""
    log = []
    for entry in rig.commands:
        found = ASCSET.match(entry.text)
        if found:
            log.append((entry.received_at, COMMAND_OF[found[1]]))
    return log


def _not_drawn_kwh(rig: SimulatedRig, start: datetime, end: datetime) -> float:
    hours = (end - start).total_seconds() / SECONDS_PER_HOUR
    drawn_kwh = rig.energy_kwh(end) - rig.energy_kwh(start)
    return rig.true_power_w(start) / W_PER_KW * hours - drawn_kwh


def _true_change_kw(rig: SimulatedRig, at: datetime) -> float:
    after = min(at + timedelta(seconds=WITHIN_S), rig.clock.now())
    return (rig.true_power_w(after) - rig.true_power_w(at)) / W_PER_KW


def _unrecorded_commands(fleet: SimulatedFleet, intents: pd.DataFrame) -> tuple[int, list[str]]:
    """Match every command that a rig received with an intent of its own, not later than it."""
    free: dict[tuple[str, str], list[datetime]] = {}
    for intent in intents.itertuples():
        key = (str(intent.rig_id), str(intent.command))
        free.setdefault(key, []).append(pd.Timestamp(str(intent.at)).to_pydatetime())
    n_commands, violations = 0, []
    for rig in fleet.rigs.values():
        for at, command in received(rig):
            n_commands += 1
            own = free.get((rig.rig_id, str(command)), [])
            prior = [intended_at for intended_at in own if intended_at <= at]
            if prior:
                own.remove(prior[-1])
            else:
                violations.append(f"{rig.rig_id} received {command} at {at} without an intent")
    return n_commands, violations


def _setpoints_outside(journal: Journal, run_id: int) -> tuple[int, list[str]]:
    found = journal.rows("SELECT id, text FROM decisions WHERE run_id = ?", run_id)
    n_setpoints, violations = 0, []
    for row in found:
        text = json.loads(row["text"])
        setpoint_kw, max_kw = from_exact(text["setpoint_kw"]), from_exact(text["max_kw"])
        n_setpoints += len(setpoint_kw)
        cap_kw = float.fromhex(text["rig_cap_kw"])
        fits = all(
            -SAME_KW <= own <= most + SAME_KW for own, most in zip(setpoint_kw, max_kw, strict=True)
        )
        if not fits or sum(setpoint_kw) > cap_kw + SAME_KW:
            violations.append(f"decision {row['id']}: {setpoint_kw} kW exceeds its limits")
    over = journal.rows(
        "SELECT at, potential_kw, cap_kw FROM supervisions WHERE run_id = ? "
        "AND setpoint_kw > cap_kw + ?", run_id, SAME_KW,
    )  # fmt: skip
    return n_setpoints, violations + [
        f"{row['at']}: setpoint above {row['cap_kw']}" for row in over
    ]


def _broken_minimum_times(
    site: SiteConfig, fleet: SimulatedFleet, intents: pd.DataFrame
) -> list[str]:
    groups = {group.name: group for group in site.groups}
    forced = intents[intents.forced == 1]
    excused = set(zip(forced.rig_id, forced["at"], strict=True))
    violations = []
    for rig in fleet.rigs.values():
        group = groups[rig.group.name]
        last: tuple[datetime, Command] | None = None
        for at, command in received(rig):
            if command is Command.SET_WORK_LEVEL or (last and last[1] is command):
                continue
            least_s = group.min_up_s if command is Command.STOP else group.min_down_s
            gone_s = (at - last[0]).total_seconds() if last else least_s
            if last and gone_s < least_s and (rig.rig_id, pd.Timestamp(at)) not in excused:
                violations.append(
                    f"{rig.rig_id}: {command} at {at}, {gone_s:.0f} s after {last[1]}; at least "
                    f"{least_s:.0f} s"
                )
            last = (at, command)
    return violations


def _false_claims(fleet: SimulatedFleet, claims: pd.DataFrame, intents: pd.DataFrame) -> list[str]:
    stops = intents[intents.command == Command.STOP]
    violations = []
    for claim in claims.itertuples():
        rig = fleet.rigs[str(claim.rig_id)]
        start = pd.Timestamp(str(claim.start_at)).to_pydatetime()
        end = pd.Timestamp(str(claim.end_at)).to_pydatetime()
        before = stops[(stops.rig_id == claim.rig_id) & (stops["at"] <= claim.start_at)]
        if before.empty:
            violations.append(f"{claim.rig_id}: a claim from {start} without a stop of ours")
            continue
        stopped_at = before["at"].iloc[-1].to_pydatetime()
        hours = (end - start).total_seconds() / SECONDS_PER_HOUR
        drawn_kwh = rig.energy_kwh(end) - rig.energy_kwh(start)
        true_kwh = rig.true_power_w(stopped_at) / W_PER_KW * hours - drawn_kwh
        if float(str(claim.reduced_kwh)) > true_kwh * (1.0 + CLAIM_TOLERANCE_FRAC) + 1e-3:
            violations.append(
                f"{claim.rig_id}: {claim.reduced_kwh} kWh claimed from {start} to {end}, "
                f"{true_kwh:.3f} kWh true"
            )
    return violations


def _span(journal: Journal, run_id: int) -> tuple[datetime, datetime]:
    row = journal.rows(
        "SELECT (SELECT at FROM runs WHERE id = ?1) AS start, "
        "(SELECT max(at) FROM supervisions WHERE run_id = ?1) AS stop", run_id,
    )[0]  # fmt: skip
    start = datetime.fromisoformat(row["start"])
    return start, datetime.fromisoformat(row["stop"]) if row["stop"] else start


def _state_of(running: object, alarms: list[str]) -> str:
    """Return the state of a rig at the end, from its last change and its alarms in order."""
    for bad, good in (
        (Alarm.LOCKOUT, Alarm.CLEARED),
        (Alarm.DISOBEYS, Alarm.CLEARED),
        (Alarm.UNREACHABLE, Alarm.REACHABLE),
        (Alarm.NO_POWER_READING, Alarm.POWER_READING),
    ):
        last = [kind for kind in alarms if kind in (bad, good)][-1:]
        if last == [bad]:
            return str(bad)
    if running is None:
        return "never measured"
    return "running" if running else "stopped"
