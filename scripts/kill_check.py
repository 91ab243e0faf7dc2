"""What a kill left: the journal of both processes against what the rigs truly received."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd
from kill_cases import World, site

from gridhash.agents.rule_registry import RULES
from gridhash.serving.drivers.protocol import Command
from gridhash.serving.journal import Journal
from gridhash.serving.lease_record import lease_violations
from gridhash.serving.replay import replay
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import Change
from gridhash.units import W_PER_KW

COMMANDS = {Change.STOP: Command.STOP, Change.START: Command.RESUME}
SAME_KW = 1e-3


@dataclass(frozen=True, kw_only=True)
class Told:
    """A command as a rig received it."""

    rig_id: str
    at: datetime
    command: Command


def told_of(fleet: SimulatedFleet) -> list[Told]:
    """Return the stops and starts that rigs received, in time."""
    found = [
        Told(rig_id=rig.rig_id, at=entry.received_at, command=COMMANDS[entry.change])
        for rig in fleet.rigs.values()
        for entry in rig.commands
        if entry.change in COMMANDS
    ]
    return sorted(found, key=lambda told: told.at)


def judge(world: World, fleet: SimulatedFleet, killed_at: datetime | None) -> dict[str, Any]:
    """Return the figures of a trial; its violations are texts.

    ``n_lost``: commands that a rig received without an intent on record before it.
    ``n_duplicated``: commands that a rig received a second time under one intent.
    """
    told = told_of(fleet)
    with Journal(world.state.journal, read_only=True) as journal:
        intents = journal.frame("intents")
        lost, duplicated = _unmatched(told, intents)
        violations = [*lost, *duplicated, *lease_violations(journal)]
        violations += _broken_minimum_times(told, intents)
        violations += _raised_beyond_orders(world, fleet, told)
        violations += _outside_limits(journal)
        violations += _false_claims(journal, fleet)
        violations += _replayed(journal)
        again_s = None if killed_at is None else _reconciled_s(journal, killed_at)
    with sqlite3.connect(world.state.journal) as database:
        if (said := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            violations.append(f"the journal's file: {said}")
    database.close()
    return {
        "killed": killed_at is not None,
        "n_commands": len(told),
        "n_intents": len(intents),
        "n_lost": len(lost),
        "n_duplicated": len(duplicated),
        "n_told_again": sum(
            before.command is after.command for before, after in _of_each_rig(told)
        ),
        "reconciled_s": None if again_s is None else round(again_s, 2),
        "violations": violations,
    }


def _of_each_rig(told: list[Told]) -> Iterator[tuple[Told, Told]]:
    by_rig: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        by_rig[one.rig_id].append(one)
    for own in by_rig.values():
        yield from pairwise(own)


def _unmatched(told: list[Told], intents: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Match each command with the newest intent before it, which may have been used up."""
    free: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for intent in intents.itertuples():
        at = pd.Timestamp(str(intent.at)).to_pydatetime()
        free[str(intent.rig_id), str(intent.command)].append(at)
    lost, duplicated = [], []
    for one in told:
        key = one.rig_id, str(one.command)
        seen[key] += 1
        prior = [at for at in free[key] if at <= one.at]
        if prior:
            free[key].remove(prior[-1])
            continue
        text = f"{one.rig_id}: {one.command} at {one.at}"
        if seen[key] > 1:
            duplicated.append(f"{text} a second time under one intent")
        else:
            lost.append(f"{text} without an intent before it")
    return lost, duplicated


def _broken_minimum_times(told: list[Told], intents: pd.DataFrame) -> list[str]:
    """Return turns that came too early, by orders that do not excuse them (I2)."""
    groups = {group.name: group for group in site().groups}
    forced = intents[intents.forced == 1]
    violations = []
    for before, after in _of_each_rig(told):
        group = groups[after.rig_id.rsplit("-", 1)[0]]
        least_s = group.min_up_s if after.command is Command.STOP else group.min_down_s
        gone_s = (after.at - before.at).total_seconds()
        own = forced[(forced.rig_id == after.rig_id) & (forced["at"] <= after.at)]
        excused = after.command is Command.STOP and not own.empty
        if before.command is not after.command and gone_s < least_s and not excused:
            violations.append(f"{after.rig_id}: {after.command} {gone_s:.2f} s after {before}")
    return violations


def _raised_beyond_orders(world: World, fleet: SimulatedFleet, told: list[Told]) -> list[str]:
    """Return starts for which the order in force left no room (I1, I6)."""
    violations = []
    for one in told:
        orders = [order for order in world.orders() if order.start <= one.at < order.end]
        if one.command is not Command.RESUME or not orders:
            continue
        most_kw = min(order.at_most_kw for order in orders if order.at_most_kw is not None)
        later = one.at + timedelta(seconds=1.0)
        draws_kw = sum(rig.true_power_w(later) for rig in fleet.rigs.values()) / W_PER_KW
        if draws_kw > most_kw + SAME_KW and later < orders[-1].end:
            violations.append(f"{one}: {draws_kw:.1f} kW, {most_kw:.1f} kW ordered")
    return violations


def _outside_limits(journal: Journal) -> list[str]:
    rows = journal.rows(
        "SELECT at, setpoint_kw, cap_kw FROM supervisions WHERE setpoint_kw > cap_kw + ?", SAME_KW
    )
    return [f"{row['at']}: setpoint {row['setpoint_kw']} above {row['cap_kw']}" for row in rows]


def _false_claims(journal: Journal, fleet: SimulatedFleet) -> list[str]:
    """Return claims of more energy than a rig at full power left undrawn (I3)."""
    violations = []
    for claim in journal.frame("claims").itertuples():
        rig = fleet.rigs[str(claim.rig_id)]
        start = pd.Timestamp(str(claim.start_at)).to_pydatetime()
        end = pd.Timestamp(str(claim.end_at)).to_pydatetime()
        full_kwh = rig.group.rig_power_w / W_PER_KW * (end - start).total_seconds() / 3600.0
        true_kwh = full_kwh - (rig.energy_kwh(end) - rig.energy_kwh(start))
        if float(str(claim.reduced_kwh)) > true_kwh * 1.02 + 1e-4:
            violations.append(f"{claim.rig_id}: {claim.reduced_kwh} kWh claimed, {true_kwh} true")
    return violations


def _replayed(journal: Journal) -> list[str]:
    policy = RULES["level_rule"].make(site())
    return [
        f"run {row['id']}: {different}"
        for row in journal.rows("SELECT id FROM runs")
        for different in replay(journal, policy, run_id=row["id"]).differences
    ]


def _reconciled_s(journal: Journal, killed_at: datetime) -> float | None:
    """Return until rigs stood as decided, nothing under way and nothing left to tell [s]."""
    rows = journal.rows(
        "SELECT at, setpoint_kw, measured_kw FROM supervisions AS s WHERE run_id = "
        "(SELECT max(id) FROM runs) AND at > ? AND n_pending = 0 AND n_unknown = 0 AND NOT EXISTS "
        "(SELECT 1 FROM intents AS i WHERE i.run_id = s.run_id AND i.at = s.at) ORDER BY id",
        killed_at.isoformat(timespec="microseconds"),
    )
    rig_kw = max(group.rig_power_w for group in site().groups) / W_PER_KW
    for row in rows:
        if abs(row["measured_kw"] - row["setpoint_kw"]) < rig_kw * len(site().groups):
            at = datetime.fromisoformat(row["at"])
            return (at - killed_at).total_seconds()
    return None
