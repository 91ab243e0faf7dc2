import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gridhash.config import RigGroupConfig, load_site
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_avalon import AvalonWire, bracket_string
from gridhash.serving.simulated_cgminer import parse_request
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


def test_every_reply_carries_the_rigs_clock_to_the_second() -> None:
    rig, clock = rig_of(RigFaults(clock_skew_s=3600.0))
    clock.step(0.9)

    for command in ("version", "devdetails", "summary", "stats", "estats", "devs", "pools"):
        when = ask(rig, command)["STATUS"][0]["When"]
        assert when == int(START.timestamp()) + 3600


def test_joined_commands_are_answered_together() -> None:
    rig, _ = rig_of()

    reply = ask(rig, "estats+version+devs")

    assert set(reply) == {"estats", "version", "devs", "id"}
    assert reply["version"][0]["VERSION"][0]["MODEL"] == "1566HA"


def test_text_requests_are_understood_and_answered_as_text() -> None:
    rig, clock = rig_of()
    due = int(clock.now().timestamp()) + 5

    reply = reply_to(rig, f"ascset|0,softoff,1:{due}".encode())

    assert reply is not None
    assert reply.startswith(
        b"STATUS=I,When=1711929600,Code=118,Msg=ASC 0 set info: success softoff"
    )
    clock.step(5.0)
    assert rig.soft_off


def test_standby_leaves_the_averages_high_and_only_speed_and_power_tell() -> None:
    rig, clock = rig_of()
    clock.step(3600.0)
    soft(rig, "softoff", 0)
    clock.step(5.0)

    text = bracket_string(rig)

    assert "SYSTEMSTATU[Work: In Idle, Hash Board: 4 ]" in text
    assert "WALLPOWER[20]" in text
    assert "GHSspd[0.00]" in text
    assert "GHSmm[480000.00]" in text
    assert "SoftOFF[4]" in text
    assert "TMax[0]" in text
    assert ask(rig, "devs")["DEVS"][0]["MHS 1m"] == pytest.approx(480e6 * 55 / 60, rel=1e-6)


def test_a_rig_without_levels_refuses_a_work_level_and_one_with_levels_takes_it() -> None:
    binary, _ = rig_of()
    levelled, clock = rig_of(group=LEVELS)

    assert ask(binary, "ascset", "0,worklevel,set,0")["STATUS"][0]["STATUS"] == "E"
    assert ask(levelled, "ascset", "0,worklevel,set,0")["STATUS"][0]["Msg"] == "ASC 0 set OK"
    assert ask(levelled, "ascset", "0,worklevel,set,3")["STATUS"][0]["STATUS"] == "E"
    assert ask(levelled, "ascset", "0,worklevel,set")["STATUS"][0]["STATUS"] == "E"
    clock.step(1.0)
    assert levelled.true_power_w() == pytest.approx(0.7 * 8064.0)
    assert "WORKLEVEL[0]" in bracket_string(levelled)
    assert "WORKLEVEL" not in bracket_string(binary)


@pytest.mark.parametrize(
    ("command", "parameter", "letter"),
    [
        ("nonsense", None, "E"),
        ("ascset", "0,overclock,9", "E"),
        ("ascset", "1,softoff,1:5", "E"),
        ("ascset", "0,softoff,1:soon", "E"),
        ("ascset", "0,led,1-1", "S"),
        ("ascset", "0,reboot,0", "S"),
    ],
)
def test_commands_are_answered_with_success_or_error(
    command: str, parameter: str | None, letter: str
) -> None:
    rig, _ = rig_of()

    assert ask(rig, command, parameter)["STATUS"][0]["STATUS"] == letter


def test_restart_has_the_odd_reply_that_pyasic_expects() -> None:
    rig, _ = rig_of()

    assert ask(rig, "restart") == {"STATUS": "RESTART"}
    assert rig.uptime_s == 0.0


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b'{"command": 7}', b"[]"])
def test_a_request_that_is_no_request_is_an_unknown_command(data: bytes) -> None:
    rig, _ = rig_of()

    reply = reply_to(rig, data)

    assert reply is not None
    assert b"Invalid command" in reply


def test_a_dropped_reply_is_a_command_carried_out_and_the_seed_decides_which() -> None:
    def replied(seed: int) -> list[bool]:
        rig, _ = rig_of(RigFaults(drop_reply=0.3), seed=seed)
        return [reply_to(rig, b'{"command":"version"}') is not None for _ in range(200)]

    assert replied(1) == replied(1)
    assert replied(1) != replied(2)
    assert 0.6 < sum(replied(1)) / 200 < 0.8


def test_the_world_log_keeps_every_command_with_both_clocks() -> None:
    rig, clock = rig_of(RigFaults(clock_skew_s=60.0, softon_noreply=True), running=False)
    clock.step(10.0)

    reply = reply_to(rig, b"ascset|0,softon,1:1")

    assert reply is None
    (command,) = rig.commands
    assert command.text == "ascset|0,softon,1:1"
    assert command.received_at == START + timedelta(seconds=10)
    assert command.rig_clock_at == START + timedelta(seconds=70)
    assert not command.replied
    assert rig.state is WorkState.INIT


def test_nan_telemetry_is_nan_on_the_wire() -> None:
    rig, _ = rig_of(RigFaults(nan_telemetry=True))

    assert "WALLPOWER[nan]" in bracket_string(rig)
    assert ask(rig, "devs")["DEVS"][0]["MHS 1m"] == "nan"


def test_a_request_is_split_into_command_and_parameter() -> None:
    assert parse_request(b'{"command":"ascset","parameter":"0,led,1-1"}') == ("ascset", "0,led,1-1")
    assert parse_request(b"ascset|0,led,1-1\n") == ("ascset", "0,led,1-1")
