"""A morning on which much goes wrong, checked against what the rigs truly did."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from gridhash.serving.findings import Alarm
from gridhash.serving.history import RunCheck, check_run, rig_fates, transitions
from gridhash.serving.replay import replay
from gridhash.serving.simulated_model import RigFaults, RigMismatch

HOURS = 9.0
Play = Callable[..., Any]


@pytest.fixture(scope="module")
def played(play: Play) -> Any:
    start = pd.Timestamp("2024-04-02T00:00Z").to_pydatetime()
    return play(
        None,
        HOURS,
        faults={
            "loop_a-001": RigFaults(unreachable="refused"),
            "loop_a-002": RigFaults(lies=True),
            "loop_b-001": RigFaults(clock_skew_s=3600.0),
            "loop_b-002": RigFaults(restarted_at=start + timedelta(hours=5.3)),
            "loop_c-001": RigFaults(softon_noreply=True),
            "loop_c-002": RigFaults(drop_reply=0.1),
            "loop_d-001": RigFaults(nan_telemetry=True),
        },
        mismatch=RigMismatch(power_lag_s=6.0, power_factor=1.02, efficiency_factor=1.03),
    )


@pytest.fixture(scope="module")
def check(played: Any) -> RunCheck:
    return check_run(played.journal, played.fleet)


@pytest.fixture(scope="module")
def fates(played: Any) -> pd.DataFrame:
    return rig_fates(played.journal, played.fleet).set_index("rig_id")


def test_no_promise_is_broken(check: RunCheck) -> None:
    assert check.violations == ()
    assert check.n_commands > 40
    assert check.n_without_intent == 0
    assert check.n_setpoints >= HOURS * 12 * 4
    assert check.n_setpoints_outside == 0


def test_what_obeys_is_verified_in_time_and_claimed(check: RunCheck) -> None:
    assert check.commanded_kw > 300.0
    assert check.verified_frac >= 0.95
    assert check.median_s < check.p95_s <= 60.0
    assert 0.98 <= check.claimed_frac <= 1.01


def test_nothing_is_claimed_from_what_does_not_obey(check: RunCheck, fates: pd.DataFrame) -> None:
    assert check.claimed_from_faulty_kwh == 0.0
    faulty = fates.loc[["loop_a-001", "loop_a-002", "loop_d-001"]]
    assert (faulty.claimed_kwh == 0.0).all()
    assert (faulty.truly_reduced_kwh.abs() < 1e-6).all()


def test_every_fault_raises_its_alarm_and_no_other_rig_any(fates: pd.DataFrame) -> None:
    expected = {
        "loop_a-001": Alarm.UNREACHABLE,
        "loop_a-002": Alarm.DISOBEYS,
        "loop_b-001": Alarm.CLOCK_SKEW,
        "loop_b-002": Alarm.RESTARTED,
        "loop_d-001": Alarm.NO_POWER_READING,
    }
    for rig_id, alarm in expected.items():
        assert alarm in fates.alarms[rig_id]
    sound = fates.drop([*expected, "loop_c-002"])
    assert (sound.alarms == "").all()


def test_a_rig_with_a_wrong_clock_or_no_reply_to_a_start_serves_like_the_others(
    fates: pd.DataFrame,
) -> None:
    for rig_id in ("loop_b-001", "loop_c-001"):
        assert fates.claimed_kwh[rig_id] == pytest.approx(fates.claimed_kwh["loop_c-003"], rel=0.01)
        assert fates.missed[rig_id] == 0


def test_transitions_tell_what_was_commanded_proven_and_true(played: Any) -> None:
    table = transitions(played.journal, played.fleet)
    large = table[table.n_rigs >= 10]
    assert len(large) >= 3
    assert set(large.command) == {"stop", "resume"}
    assert (large.verified_kw / large.obedient_kw >= 0.95).all()
    assert (abs(large.true_kw / large.verified_kw - 1.01) < 0.015).all()


def test_the_journal_of_a_bad_day_replays_to_the_bit(played: Any) -> None:
    assert replay(played.journal, None).different == 0


def test_the_checker_sees_a_command_that_nobody_intended(played: Any) -> None:
    rig = played.fleet.rigs["loop_d-002"]
    rig.received("ascset|0,softoff,1:0", replied=True)
    found = check_run(played.journal, played.fleet)
    rig.commands.pop()
    assert found.n_without_intent == 1
    assert "loop_d-002" in found.violations[0]
