"""Each promise, broken once in a doctored journal or world, is found; kept, none is."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gridhash.config import load_site
from gridhash.serving.authority import Authority, Order
from gridhash.serving.invariants import Judgement, check_invariants
from gridhash.serving.invariants_kinds import Invariant
from gridhash.serving.journal import Journal
from gridhash.serving.simulated_history import (
    LoggedCommand,
    LoggedPower,
    LoggedRig,
    WorldHistory,
)
from gridhash.serving.simulated_model import Change, Fate
from gridhash.serving.site_state import GroupState, SiteSnapshot

START = datetime(2024, 4, 2, tzinfo=UTC)
SITE = load_site("japan_pilot")
GROUP = SITE.groups[0]
KW = 8.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def heard(seconds: float, change: Change, fate: Fate = Fate.OBEYED) -> LoggedCommand:
    return LoggedCommand(at(seconds), change, fate, True, str(change))


def rig(name: str) -> LoggedRig:
    power = [LoggedPower(START, KW * 1e3, KW * 1e3, 0.0, 480.0)]
    return LoggedRig(name, GROUP.name, "1566HA", "00:00", [(START, "127.0.0.1")], power)


def power_from(seconds: float, power_kw: float) -> LoggedPower:
    return LoggedPower(at(seconds), power_kw * 1e3, power_kw * 1e3, 0.0, 0.0)


@dataclass
class Case:
    """A run of an hour and two rigs: the first is stopped after ten minutes, and stands."""

    intents: list[dict[str, Any]] = field(
        default_factory=lambda: [intent(600.0, "a", "stop")],
    )
    claims: list[tuple[str, float, float, float]] = field(
        default_factory=lambda: [("a", 620.0, 3600.0, KW * 2980.0 / 3600.0)]
    )
    alarms: list[tuple[float, str | None, str]] = field(default_factory=list)
    leases: list[tuple[int, int]] = field(default_factory=list)
    """Token and the intent that is before it."""
    orders: tuple[Order, ...] = ()
    setpoint_kw: float = KW
    cap_kw: float = 2 * KW
    rigs: dict[str, LoggedRig] = field(default_factory=lambda: {"a": rig("a"), "b": rig("b")})

    def __post_init__(self) -> None:
        self.rigs["a"].commands.append(heard(600.0, Change.STOP))
        self.rigs["a"].power.append(power_from(600.0, 0.0))

    def judge(self, folder: Path) -> Judgement:
        with Journal(folder / "journal.sqlite") as journal:
            with journal.transaction():
                self.write(journal)
            return check_invariants(journal, WorldHistory(START, self.rigs))

    def write(self, journal: Journal) -> None:
        run = journal.append(
            "runs", at=START, mode="live", site_json=SITE.model_dump_json(), policy_name="test",
            bundle_hash="", observation_hash="", versions="{}", note="",
        )  # fmt: skip
        counted = GroupState(
            name=GROUP.name, up=(2.0,), down=(0.0,), up_temp_c=(60.0,), down_temp_c=(30.0,),
            coolant_c=40.0, rig_kw=KW, setpoint_kw=KW, tripped=False,
        )  # fmt: skip
        snapshot = SiteSnapshot(
            at=START, substep=0, market=None, groups=(counted,), uncontrolled_kw=0.0,
            orders=self.orders,
        )  # fmt: skip
        snapshot_id = journal.append(
            "snapshots", run_id=run, at=START, input_hash="", text=snapshot.to_text()
        )
        text = {
            "setpoint_kw": [self.setpoint_kw.hex()], "max_kw": [(2 * KW).hex()],
            "rig_cap_kw": self.cap_kw.hex(),
        }  # fmt: skip
        journal.append(
            "decisions", run_id=run, snapshot_id=snapshot_id, at=START, policy_name="test",
            authority="policy", setpoint_kw=self.setpoint_kw, reason="", input_hash="",
            text=json.dumps(text),
        )  # fmt: skip
        for own in self.intents:
            number = journal.append("intents", run_id=run, **own)
            journal.append(
                "results", run_id=run, intent_id=number, at=own["at"], outcome="pending",
                detail="", took_s=0.1,
            )  # fmt: skip
        for name, start_s, end_s, kwh in self.claims:
            journal.append(
                "claims", run_id=run, rig_id=name, start_at=at(start_s), end_at=at(end_s),
                reference_kw=KW, reduced_kwh=kwh, method="self-reported",
            )  # fmt: skip
        for seconds, whose, kind in self.alarms:
            journal.append(
                "alarms", run_id=run, at=at(seconds), rig_id=whose, kind=kind, text="by test"
            )
        for token, after in self.leases:
            journal.append(
                "leases", run_id=run + (token > 1), at=START, token=token, event="taken",
                holder="test", after_intent_id=after,
            )  # fmt: skip
        for seconds in range(0, 3601, 300):
            journal.append(
                "supervisions", run_id=run, at=at(seconds), setpoint_kw=self.setpoint_kw,
                measured_kw=KW, potential_kw=KW, cap_kw=self.cap_kw, claimed_kw=0.0, n_running=1,
                n_stopped=1, n_unknown=0, n_pending=0,
            )  # fmt: skip


def intent(seconds: float, name: str, command: str, *, forced: bool = False) -> dict[str, Any]:
    return {
        "decision_id": 1, "at": at(seconds), "rig_id": name, "command": command, "level": None,
        "power_kw": KW, "attempt": 1, "forced": forced, "reason": "",
    }  # fmt: skip


def test_a_run_that_keeps_its_promises_has_no_violation_and_is_credited(tmp_path: Path) -> None:
    found = Case().judge(tmp_path)
    assert found.violations == ()
    assert (found.n_commands, found.arrived_frac) == (1, 1.0)
    assert found.truly_reduced_kwh == pytest.approx(KW * 3000.0 / 3600.0)
    assert found.claimed_frac == pytest.approx(2980.0 / 3000.0)


def set_above_cap(case: Case) -> None:
    case.setpoint_kw = 3 * KW


def drawn_above_cap(case: Case) -> None:
    case.cap_kw, case.setpoint_kw = 0.5 * KW, 0.0


def stopped_too_soon(case: Case) -> None:
    starts = 600.0 + GROUP.min_down_s / 2.0
    case.intents.append(intent(starts, "a", "resume"))
    case.rigs["a"].commands.append(heard(starts, Change.START))


def claimed_more_than_true(case: Case) -> None:
    case.rigs["a"].power.append(power_from(2000.0, KW))


def claimed_without_a_stop(case: Case) -> None:
    case.claims.append(("b", 620.0, 700.0, 0.1))


def claimed_of_what_fell_by_itself(case: Case) -> None:
    case.rigs["b"].power.append(power_from(500.0, 0.0))
    case.rigs["b"].commands.append(heard(600.0, Change.STOP))
    case.claims.append(("b", 620.0, 3600.0, KW * 2980.0 / 3600.0))


def started_without_intent(case: Case) -> None:
    case.rigs["b"].commands.append(heard(900.0, Change.START))


def intent_later_than_the_command(case: Case) -> None:
    case.rigs["b"].commands.append(heard(900.0, Change.LEVEL))
    case.intents.append(intent(901.0, "b", "set_work_level"))


def written_to_another_rig(case: Case) -> None:
    case.intents.append(intent(900.0, "a", "resume"))
    case.rigs["b"].commands.append(heard(900.0, Change.START))


def commanded_under_an_old_lease(case: Case) -> None:
    case.leases = [(1, 0), (2, 0)]


def price_before_obligation(case: Case) -> None:
    called = Order(authority=Authority.OBLIGATION, reason="event", at_most_kw=0.5 * KW)
    case.orders = (called,)


def obligation_to_run_not_kept(case: Case) -> None:
    called = Order(authority=Authority.OBLIGATION, reason="base point", at_least_kw=2 * KW)
    case.orders = (called,)


def started_under_lockout(case: Case) -> None:
    case.alarms.append((700.0, "a", "lockout"))
    case.intents.append(intent(3000.0, "a", "resume"))
    case.rigs["a"].commands.append(heard(3000.0, Change.START))
    case.rigs["a"].power.append(power_from(3600.0, 0.0))


def left_out_by_stop_all(case: Case) -> None:
    case.alarms.append((700.0, None, "stop-all"))


BROKEN: list[tuple[Callable[[Case], None], Invariant]] = [
    (set_above_cap, Invariant.ENVELOPE),
    (drawn_above_cap, Invariant.ENVELOPE),
    (stopped_too_soon, Invariant.MINIMUM_TIMES),
    (claimed_more_than_true, Invariant.CLAIM),
    (claimed_without_a_stop, Invariant.CLAIM),
    (claimed_of_what_fell_by_itself, Invariant.CLAIM),
    (started_without_intent, Invariant.INTENT),
    (intent_later_than_the_command, Invariant.INTENT),
    (written_to_another_rig, Invariant.INTENT),
    (commanded_under_an_old_lease, Invariant.LEASE),
    (price_before_obligation, Invariant.OBLIGATION),
    (obligation_to_run_not_kept, Invariant.OBLIGATION),
    (started_under_lockout, Invariant.STOP),
    (left_out_by_stop_all, Invariant.STOP),
]


@pytest.mark.parametrize(("doctor", "broken"), BROKEN, ids=[own[0].__name__ for own in BROKEN])
def test_a_broken_promise_is_found_and_no_other(
    doctor: Callable[[Case], None], broken: Invariant, tmp_path: Path
) -> None:
    case = Case()
    doctor(case)
    found = {violation.invariant for violation in case.judge(tmp_path).violations}
    assert found == {broken}


def test_a_stop_that_a_limit_forced_may_come_at_any_time(tmp_path: Path) -> None:
    case = Case(intents=[intent(300.0, "a", "resume"), intent(600.0, "a", "stop", forced=True)])
    case.rigs["a"].commands.insert(0, heard(300.0, Change.START))
    assert case.judge(tmp_path).violations == ()
    (tmp_path / "journal.sqlite").unlink()
    case.intents[1]["forced"] = False
    (only,) = case.judge(tmp_path).violations
    assert only.invariant is Invariant.MINIMUM_TIMES


def test_an_obligation_is_kept_as_far_as_limits_leave_room(tmp_path: Path) -> None:
    called = Order(authority=Authority.OBLIGATION, reason="base point", at_least_kw=2 * KW)
    limit = Order(authority=Authority.LIMIT, reason="feeder", at_most_kw=KW)
    assert Case(orders=(called, limit)).judge(tmp_path).violations == ()


def test_an_acknowledged_command_that_no_rig_heard_lowers_the_share_that_arrived(
    tmp_path: Path,
) -> None:
    case = Case(intents=[intent(600.0, "a", "stop"), intent(600.0, "b", "stop")])
    assert case.judge(tmp_path).arrived_frac == 0.5


def test_what_frozen_readings_cannot_prove_is_reduced_but_not_provable(tmp_path: Path) -> None:
    case = Case(claims=[])
    case.rigs["a"] = replace(case.rigs["a"], faults=[(START, {"stale_telemetry": True})])
    found = case.judge(tmp_path)
    assert found.truly_reduced_kwh > 0.0
    assert (found.provable_kwh, found.claimed_of_provable_frac) == (0.0, 1.0)
