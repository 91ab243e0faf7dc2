"""The seven promises of a site, checked after the fact: its journal against the world's own log.

I1 power within the envelope, I2 minimum times, I3 nothing claimed that was not reduced, I4 no start
or change of level without a prior intent, I5 leases, I6 obligations before price, I7 lockout and
stop before all. Each that can be kept by doing nothing has a figure beside it that tells how much
was done. The log is that of `gridhash.serving.simulated_log`, so firmware of every kind is checked.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from gridhash.serving.drivers.protocol import Command, Outcome
from gridhash.serving.findings import Alarm
from gridhash.serving.history import intents_with_verdicts, site_of
from gridhash.serving.invariants_decided import check_envelope, check_obligations
from gridhash.serving.invariants_kinds import Invariant, Violation
from gridhash.serving.journal import Journal
from gridhash.serving.lease_record import lease_violations
from gridhash.serving.simulated_history import LoggedRig, WorldHistory
from gridhash.serving.simulated_model import Change, Fate
from gridhash.units import SECONDS_PER_HOUR, W_PER_KW

COMMANDS_OF = {
    Change.STOP: frozenset({Command.STOP}),
    Change.START: frozenset({Command.RESUME}),
    Change.LEVEL: frozenset({Command.SET_WORK_LEVEL}),
    Change.POWER_LIMIT: frozenset({Command.SET_POWER, Command.SET_PRESET}),
    Change.REBOOT: frozenset[Command](),
}
"""Commands of the journal that make a rig hear a change."""

CLAIM_TOLERANCE_FRAC = 0.02
"""By which a claim may exceed the truth before it is a violation: rigs measure themselves."""
CLAIM_TOLERANCE_KWH = 1e-3
STOP_WITHIN_S = 60.0
"""Time in which a stop-all must have reached every rig that hears us."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a run is found to have kept, and how much it did."""

    violations: tuple[Violation, ...]
    n_commands: int
    """Changes that rigs were told through the wire."""
    n_stops_without_intent: int
    """Allowed by I4, for a stop must pass where the journal cannot be written."""
    arrived_frac: float
    """Share of the acknowledged intents that a rig truly heard; 1 if there were none."""
    claimed_kwh: float
    truly_reduced_kwh: float
    """Energy not drawn from an obeyed stop to what next started the rig."""
    provable_kwh: float
    """Of it, by rigs whose own readings told what they drew."""

    @property
    def claimed_frac(self) -> float:
        """Share of the true reduction that was claimed; 1 if there was none."""
        return self.claimed_kwh / self.truly_reduced_kwh if self.truly_reduced_kwh else 1.0

    @property
    def claimed_of_provable_frac(self) -> float:
        """Share of what readings can prove that was claimed; 1 if there was none."""
        return self.claimed_kwh / self.provable_kwh if self.provable_kwh else 1.0

    def count(self, invariant: Invariant) -> int:
        """Return how often a promise was broken."""
        return sum(found.invariant is invariant for found in self.violations)


def check_invariants(
    journal: Journal, world: WorldHistory, *, run_id: int | None = None
) -> Judgement:
    """Judge a finished run, the newest if `run_id` is None, by what the rigs truly did.

    Raises
    ------
    JournalError
        If the journal holds no run.
    """
    run_id = run_id or journal.last_run_id()
    start, end = _span(journal, run_id)
    intents = intents_with_verdicts(journal, run_id)
    told = _matched(world, intents, start, end)
    claims = journal.frame("claims", run_id)
    leases = lease_violations(journal) if journal.rows("SELECT id FROM leases LIMIT 1") else []
    violations = [
        *check_envelope(journal, world, run_id),
        *_minimum_times(journal, run_id, world, told),
        *_false_claims(world, claims),
        *_without_intent(told),
        *(Violation(Invariant.LEASE, start, None, text) for text in leases),
        *check_obligations(journal, run_id),
        *_against_stops(journal, run_id, world, told, end),
    ]
    reduced = {rig.rig_id: true_reduction_kwh(rig, start, end) for rig in world.rigs.values()}
    tells = {rig.rig_id for rig in world.rigs.values() if _tells_its_power(rig)}
    heard = [one for one in told if one.intent_id is not None]
    answered = intents[intents.outcome.isin([Outcome.APPLIED, Outcome.PENDING])]
    arrived = answered.index.isin([one.intent_id for one in heard])
    return Judgement(
        violations=tuple(violations),
        n_commands=len(told),
        n_stops_without_intent=sum(
            one.intent_id is None and one.change is Change.STOP for one in told
        ),
        arrived_frac=float(arrived.mean()) if len(arrived) else 1.0,
        claimed_kwh=float(claims.reduced_kwh.sum()),
        truly_reduced_kwh=sum(reduced.values()),
        provable_kwh=sum(kwh for rig_id, kwh in reduced.items() if rig_id in tells),
    )


def true_reduction_kwh(rig: LoggedRig, start: datetime, end: datetime) -> float:
    """Return the energy that a rig truly did not draw because of our stops [kWh].

    From each stop that it obeyed to the next start, of ours or by others, against its true power
    at the stop.
    """
    stops = [one.at for one in rig.commands if one.change is Change.STOP and _obeyed(one.fate)]
    others = [one.at for one in rig.commands if one.change is not Change.STOP]
    others += [at for at, change in rig.by_hand if change is not Change.STOP] + rig.reboots
    reduced_kwh, counted_to = 0.0, start
    for at in stops:
        if not counted_to <= at < end:
            continue
        counted_to = min([other for other in others if other > at], default=end)
        counted_to = min(counted_to, end)
        reduced_kwh += _not_drawn_kwh(rig, at, at, counted_to)
    return reduced_kwh


@dataclass(frozen=True, kw_only=True)
class _Told:
    """A change that a rig heard, and the intent that it came from."""

    rig_id: str
    at: datetime
    change: Change
    fate: Fate
    intent_id: int | None
    forced: bool


def _matched(
    world: WorldHistory, intents: pd.DataFrame, start: datetime, end: datetime
) -> list[_Told]:
    """Match every change that a rig heard with the newest intent for it that is not later."""
    free: dict[str, list[tuple[datetime, int, str, bool]]] = defaultdict(list)
    for row in intents.itertuples():
        at = pd.Timestamp(str(row.at)).to_pydatetime()
        free[str(row.rig_id)].append((at, int(str(row.Index)), str(row.command), bool(row.forced)))
    told = []
    for rig in world.rigs.values():
        for one in rig.commands:
            if not start <= one.at <= end:
                continue
            own = free[rig.rig_id]
            fits = [
                intent
                for intent in own
                if intent[0] <= one.at and intent[2] in COMMANDS_OF[one.change]
            ]
            intent = max(fits) if fits else None
            if intent is not None:
                own.remove(intent)
            told.append(
                _Told(
                    rig_id=rig.rig_id,
                    at=one.at,
                    change=one.change,
                    fate=one.fate,
                    intent_id=intent[1] if intent else None,
                    forced=intent[3] if intent else False,
                )
            )
    return told


def _without_intent(told: list[_Told]) -> Iterator[Violation]:
    for one in told:
        if one.intent_id is None and one.change is not Change.STOP:
            text = f"heard {one.change}, and no intent of ours for it is earlier"
            yield Violation(Invariant.INTENT, one.at, one.rig_id, text)


def _minimum_times(
    journal: Journal, run_id: int, world: WorldHistory, told: list[_Told]
) -> Iterator[Violation]:
    """Yield starts and stops that came too soon after the opposite one that the rig obeyed.

    Stops that a limit forced are excepted, and those without an intent, which only a stop-all or a
    journal that cannot be written lets pass.
    """
    groups = {group.name: group for group in site_of(journal, run_id).groups}
    last: dict[str, _Told] = {}
    for one in sorted(told, key=lambda own: own.at):
        if one.change not in (Change.STOP, Change.START):
            continue
        before, group = last.get(one.rig_id), groups[world.rigs[one.rig_id].group]
        stops = one.change is Change.STOP
        if before is not None and before.change is not one.change:
            least_s = group.min_up_s if stops else group.min_down_s
            gone_s = (one.at - before.at).total_seconds()
            excused = stops and (one.forced or one.intent_id is None)
            if gone_s < least_s and not excused:
                text = f"{one.change} {gone_s:.0f} s after {before.change}; at least {least_s:g} s"
                yield Violation(Invariant.MINIMUM_TIMES, one.at, one.rig_id, text)
        if _obeyed(one.fate):
            last[one.rig_id] = one


def _false_claims(world: WorldHistory, claims: pd.DataFrame) -> Iterator[Violation]:
    for claim in claims.itertuples():
        rig = world.rigs[str(claim.rig_id)]
        start = pd.Timestamp(str(claim.start_at)).to_pydatetime()
        end = pd.Timestamp(str(claim.end_at)).to_pydatetime()
        stops = [one.at for one in rig.commands if one.change is Change.STOP and one.at <= start]
        if not stops:
            text = f"claims from {start:%H:%M:%S} on without having heard a stop"
            yield Violation(Invariant.CLAIM, start, rig.rig_id, text)
            continue
        claimed_kwh = float(str(claim.reduced_kwh))
        true_kwh = max(_not_drawn_kwh(rig, at, start, end) for at in stops)
        if claimed_kwh > true_kwh * (1.0 + CLAIM_TOLERANCE_FRAC) + CLAIM_TOLERANCE_KWH:
            text = f"{claimed_kwh:.3f} kWh claimed to {end:%H:%M:%S}, {true_kwh:.3f} kWh true"
            yield Violation(Invariant.CLAIM, start, rig.rig_id, text)


def _against_stops(
    journal: Journal, run_id: int, world: WorldHistory, told: list[_Told], end: datetime
) -> Iterator[Violation]:
    """Yield starts of what is locked out or stopped, and rigs that a stop-all did not reach."""
    alarms = journal.frame("alarms", run_id)
    for row in alarms[alarms.kind.isin([Alarm.LOCKOUT, Alarm.STOP_ALL])].itertuples():
        since = pd.Timestamp(str(row.at)).to_pydatetime()
        of_all = row.kind == Alarm.STOP_ALL
        lifts = alarms[alarms.kind == (Alarm.STOP_ALL_LIFTED if of_all else Alarm.CLEARED)]
        lifts = lifts[lifts["at"] > row.at]
        if not of_all:
            lifts = lifts[lifts.rig_id == row.rig_id]
        until = end if lifts.empty else lifts["at"].iloc[0].to_pydatetime()
        for one in told:
            bound = of_all or one.rig_id == row.rig_id
            if bound and one.change in (Change.START, Change.LEVEL) and since < one.at < until:
                text = f"heard {one.change} under {row.kind} since {since:%H:%M:%S}"
                yield Violation(Invariant.STOP, one.at, one.rig_id, text)
        if of_all and (until - since).total_seconds() >= STOP_WITHIN_S:
            yield from _not_reached(journal, run_id, world, since)


def _not_reached(
    journal: Journal, run_id: int, world: WorldHistory, since: datetime
) -> Iterator[Violation]:
    """Yield rigs that ran, and neither heard a stop in time nor were meant to."""
    by = since + timedelta(seconds=STOP_WITHIN_S)
    intents = journal.frame("intents", run_id)
    meant = intents[(intents.command == Command.STOP) & (intents["at"] <= pd.Timestamp(by))]
    running_w = {group.name: 0.5 * group.rig_power_w for group in site_of(journal, run_id).groups}
    for rig in world.rigs.values():
        heard = any(one.change is Change.STOP and since <= one.at <= by for one in rig.commands)
        ran = min(rig.power_w(since), rig.power_w(by)) > running_w[rig.group]
        if ran and not heard and rig.rig_id not in set(meant.rig_id):
            text = f"ran on for {STOP_WITHIN_S:g} s after stop-all and was told nothing"
            yield Violation(Invariant.STOP, since, rig.rig_id, text)


def _tells_its_power(rig: LoggedRig) -> bool:
    names = {"stale_telemetry", "nan_telemetry"}
    return not any(names & faults.keys() for _, faults in rig.faults)


def _obeyed(fate: Fate) -> bool:
    return fate is Fate.OBEYED


def _not_drawn_kwh(rig: LoggedRig, stopped_at: datetime, start: datetime, end: datetime) -> float:
    hours = (end - start).total_seconds() / SECONDS_PER_HOUR
    # A rig without lag draws nothing at the instant of its stop: what counts is the one before.
    before = max(stopped_at - timedelta(microseconds=1), rig.power[0].at)
    return rig.power_w(before) / W_PER_KW * hours - rig.energy_kwh(start, end)


def _span(journal: Journal, run_id: int) -> tuple[datetime, datetime]:
    row = journal.rows(
        "SELECT (SELECT at FROM runs WHERE id = ?1) AS start, "
        "(SELECT max(at) FROM supervisions WHERE run_id = ?1) AS stop", run_id,
    )[0]  # fmt: skip
    start = datetime.fromisoformat(row["start"])
    return start, datetime.fromisoformat(row["stop"]) if row["stop"] else start
