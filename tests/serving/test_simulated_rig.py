import itertools
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.config import RigGroupConfig, load_site
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_avalon import AvalonWire
from gridhash.serving.simulated_listener import exchange
from gridhash.serving.simulated_model import RigFaults, RigMismatch, WorkState
from gridhash.serving.simulated_rig import SimulatedRig

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUPS = load_site("japan_pilot").groups
GROUP = GROUPS[0]
LEVELS = GROUP.model_copy(update={"load_levels": (0.7, 0.85, 1.0)})


def rig_of(
    faults: RigFaults | None = None,
    *,
    group: RigGroupConfig = GROUP,
    mismatch: RigMismatch | None = None,
    **more: Any,
) -> tuple[SimulatedRig, SimulatedClock]:
    clock = SimulatedClock(START)
    return SimulatedRig("rig", group, clock, faults=faults, mismatch=mismatch, **more), clock


def reply_to(rig: SimulatedRig, request: bytes) -> bytes | None:
    return exchange(AvalonWire(rig), request)


def ask(rig: SimulatedRig, command: str, parameter: str | None = None) -> dict[str, Any]:
    request = {"command": command} | ({} if parameter is None else {"parameter": parameter})
    reply = reply_to(rig, json.dumps(request).encode())
    assert reply is not None
    assert reply.endswith(b"\x00")
    parsed: dict[str, Any] = json.loads(reply[:-1])
    return parsed


def soft(rig: SimulatedRig, option: str, in_s: int) -> str:
    when = ask(rig, "version")["STATUS"][0]["When"]
    message = ask(rig, "ascset", f"0,{option},1:{when + in_s}")["STATUS"][0]["Msg"]
    assert isinstance(message, str)
    return message


def test_a_rig_sleeps_at_the_second_it_was_told_and_hashes_again_after_boot_and_warm_up() -> None:
    rig, clock = rig_of()

    assert "success softoff" in soft(rig, "softoff", 5)
    clock.step(4.999)
    assert rig.true_power_w() == 8064.0
    clock.step(0.001)
    assert (rig.true_power_w(), rig.true_hashrate_ths()) == (20.0, 0.0)
    clock.step(600.0)
    assert "success softon" in soft(rig, "softon", 5)
    clock.step(5.0)
    assert (rig.state, rig.true_power_w()) == (WorkState.INIT, 20.0)
    clock.step(GROUP.boot_s)
    assert (rig.state, rig.true_power_w(), rig.true_hashrate_ths()) == (WorkState.WORK, 8064.0, 0.0)
    clock.step(GROUP.warm_up_s)
    assert rig.true_hashrate_ths() == pytest.approx(480.0)


def test_energy_and_work_are_those_of_the_day_that_was_lived() -> None:
    rig, clock = rig_of()

    clock.step(3600.0)
    soft(rig, "softoff", 0)
    clock.step(3600.0)
    soft(rig, "softon", 0)
    clock.step(3600.0)

    hashing_s = 3600.0 + 3600.0 - GROUP.boot_s - GROUP.warm_up_s
    drawing_s = 3600.0 + 3600.0 - GROUP.boot_s
    expected_kwh = (8.064 * drawing_s + 0.020 * (3 * 3600.0 - drawing_s)) / 3600.0
    assert rig.energy_kwh() == pytest.approx(expected_kwh, rel=1e-12)
    assert rig.work_th() == pytest.approx(480.0 * hashing_s, rel=1e-12)


@given(looks=st.lists(st.floats(0.0, 7200.0), max_size=20))
def test_looking_at_a_rig_does_not_change_it(looks: list[float]) -> None:
    def lived(steps: list[float]) -> tuple[float, float, float]:
        rig, clock = rig_of(mismatch=RigMismatch(power_lag_s=8.0))
        rig.schedule_soft_off(int(START.timestamp()) + 1000)
        rig.schedule_soft_on(int(START.timestamp()) + 3000)
        for step_s in steps:
            clock.step(step_s)
            rig.chip_temp_c()
        return rig.energy_kwh(), rig.work_th(), rig.chip_temp_c()

    instants = [0.0, *sorted(looks), 7200.0]
    many = lived([b - a for a, b in itertools.pairwise(instants)])

    assert many == pytest.approx(lived([7200.0]), rel=1e-9)


def test_the_past_of_a_rig_can_be_asked_for() -> None:
    rig, clock = rig_of()
    clock.step(60.0)
    soft(rig, "softoff", 0)
    clock.step(60.0)

    assert rig.true_power_w(START + timedelta(seconds=30)) == 8064.0
    assert rig.true_power_w(START + timedelta(seconds=61)) == 20.0
    assert rig.energy_kwh(START + timedelta(seconds=60)) == pytest.approx(8.064 / 60)


def test_soft_off_follows_the_rigs_own_clock() -> None:
    rig, clock = rig_of(RigFaults(clock_skew_s=-3600.0))
    by_host_clock = int(clock.now().timestamp()) + 5

    ask(rig, "ascset", f"0,softoff,1:{by_host_clock}")
    clock.step(3600.0)
    assert not rig.soft_off
    clock.step(5.0)
    assert rig.soft_off


def test_a_rig_without_ntp_counts_from_1970_and_still_obeys() -> None:
    rig, clock = rig_of(RigFaults(clock_skew_s=-START.timestamp() + 986.0))

    assert ask(rig, "version")["STATUS"][0]["When"] == 986
    soft(rig, "softoff", 5)
    clock.step(5.0)
    assert rig.soft_off


def test_a_timer_centuries_ahead_is_kept_and_does_not_fire() -> None:
    rig, clock = rig_of()

    ask(rig, "ascset", "0,softoff,1:99999999999999999")
    clock.step(86_400.0)

    assert not rig.soft_off


def test_a_liar_acknowledges_and_does_nothing() -> None:
    rig, clock = rig_of(RigFaults(lies=True))

    assert "success softoff" in soft(rig, "softoff", 5)
    clock.step(3600.0)

    assert rig.true_power_w() == 8064.0


def test_a_rig_restarted_by_hand_wakes_forgets_its_timers_and_counts_from_zero() -> None:
    rig, clock = rig_of(running=False)
    soft(rig, "softoff", 60)

    rig.restart_by_hand()
    clock.step(GROUP.boot_s + GROUP.warm_up_s + 60.0)

    assert rig.state is WorkState.WORK
    assert rig.true_hashrate_ths() == pytest.approx(480.0)
    assert rig.uptime_s == GROUP.boot_s + GROUP.warm_up_s + 60.0


def test_a_restart_by_hand_can_be_planned() -> None:
    rig, clock = rig_of(RigFaults(restarted_at=START + timedelta(seconds=100)), running=False)

    clock.step(100.0 + GROUP.boot_s)

    assert rig.true_power_w() == 8064.0


def test_mismatch_moves_power_lag_and_efficiency() -> None:
    rig, clock = rig_of(
        mismatch=RigMismatch(power_lag_s=6.0, power_factor=1.04, efficiency_factor=1.05)
    )

    assert rig.true_power_w() == pytest.approx(8064.0 * 1.04)
    assert rig.true_power_w() / rig.true_hashrate_ths() == pytest.approx(16.8 * 1.05)
    soft(rig, "softoff", 0)
    clock.step(6.0)
    gap_w = 8064.0 * 1.04 - 20.0
    assert rig.true_power_w() == pytest.approx(20.0 + gap_w / math.e)


def test_warmer_coolant_warms_the_chips() -> None:
    rig, clock = rig_of()
    before_c = rig.chip_temp_c()

    rig.set_coolant(50.0)
    clock.step(3600.0)

    assert rig.chip_temp_c() == pytest.approx(before_c + 10.0, abs=1e-6)
