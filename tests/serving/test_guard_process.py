"""R2 with real processes: a controller that is stopped or killed, a guard, rigs on sockets.

Times are scaled down; what is measured here in seconds is the guard's own work, not its limits.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridhash.config import load_site
from gridhash.serving.clock import RealClock
from gridhash.serving.guard_notice import GuardState
from gridhash.serving.rig_list import write_rig_list
from gridhash.serving.served import write_served
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import WorkState
from gridhash.serving.stand_alone import FleetRequest, listed_rigs, make_fleet
from gridhash.serving.state_folder import StateFolder

SITE = load_site("europe_sample")
SETTINGS = """
heartbeat_limit_s = 2.0
hold_s = 1.5
poll_s = 0.2
retry_s = 8.0
"""

CONTROLLER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from gridhash.serving.guard_link import read_link_key
from gridhash.serving.guard_notice import guard_orders
from gridhash.serving.guard_service import parse_guard_address
from gridhash.serving.heartbeat import Heartbeat
from gridhash.serving.heartbeat_push import HeartbeatPusher, HeartbeatSender
from gridhash.serving.lease import Lease
from gridhash.serving.state_folder import StateFolder

async def main(state, guards):
    folder = StateFolder(Path(state))
    lease = Lease(folder.lease, holder="fake")
    token = lease.acquire(datetime.now(UTC))
    key = folder.path / "link.key"
    pushers = [HeartbeatPusher(parse_guard_address(one), read_link_key(key)) for one in guards]
    sender = HeartbeatSender(folder, pushers)
    tick, orders = 0, guard_orders([])
    while True:
        tick += 1
        setpoint_kw = 60.0 if orders.cap_kw is None else min(orders.cap_kw, 60.0)
        notices = await sender.beat(Heartbeat(
            site="europe_sample", controller=f"fake:{state}", run_id=1, lease_token=token,
            tick=tick, at=datetime.now(UTC), mode="live", authority="policy", reason="test",
            setpoint_kw={"loop_a": setpoint_kw}, measured_kw=setpoint_kw, potential_kw=60.0,
            cap_kw=4000.0, acknowledged=dict(orders.epochs)))
        orders = guard_orders(notices)
        await asyncio.sleep(0.2)

asyncio.run(main(sys.argv[1], sys.argv[2:]))
"""


@pytest.fixture
def fleet(base_address: str, tmp_path: Path) -> SimulatedFleet:
    fleet = make_fleet(SITE, FleetRequest(count=8, address=base_address), RealClock())
    write_rig_list(tmp_path / "rigs.csv", listed_rigs(fleet))
    (tmp_path / "guard.toml").write_text(SETTINGS)
    return fleet


class Processes:
    """Processes of a test, gone at its end."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.own: list[asyncio.subprocess.Process] = []

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.own.append(process)
        return process

    async def guard(self, state: Path, *more: str) -> asyncio.subprocess.Process:
        return await self.start(
            "-m", "gridhash", "guard", "europe_sample", "--rigs", str(self.tmp_path / "rigs.csv"),
            "--settings", str(self.tmp_path / "guard.toml"), "--state", str(state), *more,
        )  # fmt: skip

    async def controller(self, state: Path, *guards: str) -> asyncio.subprocess.Process:
        return await self.start("-c", CONTROLLER, str(state), *guards)

    async def __aenter__(self) -> "Processes":
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.own:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            await process.communicate()


def notice(state: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((state / "guard.json").read_bytes())
    except FileNotFoundError:
        return {"state": "none"}
    return content


def n_running(fleet: SimulatedFleet) -> int:
    return sum(rig.state is WorkState.WORK for rig in fleet.rigs.values())


async def until(condition: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for a condition; return how long it took [s]."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > within_s:
            pytest.fail(f"{what}: not within {within_s} s")
        await asyncio.sleep(0.05)
    return time.monotonic() - began_s


def states(state: Path) -> list[str]:
    lines = [json.loads(line) for line in (state / "guard.jsonl").read_text().splitlines()]
    return [line["state"] for line in lines if line["kind"] == "state"]


def test_a_stopped_controller_means_failsafe_and_its_return_does_not_flap(
    tmp_path: Path, fleet: SimulatedFleet
) -> None:
    watching = GuardState.WATCHING

    async def main() -> None:
        async with fleet, Processes(tmp_path) as processes:
            controller = await processes.controller(tmp_path)
            guard = await processes.guard(tmp_path)
            await until(lambda: notice(tmp_path)["state"] == watching, 30.0, "the guard watches")
            await asyncio.sleep(2.5)
            assert notice(tmp_path)["state"] == watching
            assert n_running(fleet) == 8

            controller.send_signal(signal.SIGSTOP)
            silent_s = await until(
                lambda: notice(tmp_path)["state"] == GuardState.FAILSAFE, 10.0, "failsafe"
            )
            assert silent_s < 2.0 + 1.5
            await until(lambda: n_running(fleet) == 0, 15.0, "every rig stands")

            controller.send_signal(signal.SIGCONT)
            back_s = await until(lambda: notice(tmp_path)["state"] == watching, 20.0, "handed back")
            assert back_s >= 1.5, "it waits for acknowledgement and the hold time"
            await asyncio.sleep(1.0)
            assert n_running(fleet) == 0, "a guard starts nothing"
            assert states(tmp_path) == ["failsafe", "handing back", "watching"]

            controller.kill()
            await until(
                lambda: notice(tmp_path)["state"] == GuardState.FAILSAFE, 10.0, "failsafe again"
            )
            assert notice(tmp_path)["epoch"] == 2
            guard.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(guard.wait(), 10.0) == 0

    asyncio.run(main())


def test_a_guard_on_a_second_host_hears_over_the_network_and_goes_on_where_it_was_killed(
    tmp_path: Path, fleet: SimulatedFleet
) -> None:
    key, elsewhere = tmp_path / "link.key", tmp_path / "elsewhere"
    key.write_text("5a" * 32)
    key.chmod(0o600)
    address = f"127.0.0.1:{20000 + os.getpid() % 20000}"
    heard = ("--listen", address, "--key", str(key))

    async def main() -> None:
        async with fleet, Processes(tmp_path) as processes:
            first = await processes.guard(elsewhere, *heard)
            await until(lambda: notice(elsewhere)["state"] == "watching", 30.0, "it watches")
            controller = await processes.controller(tmp_path, address)
            await until(lambda: "live" in (elsewhere / "guard.jsonl").read_text(), 20.0, "heard")
            controller.kill()
            await until(lambda: notice(elsewhere)["state"] == "failsafe", 10.0, "failsafe")
            first.kill()
            await first.wait()
            await processes.guard(elsewhere, *heard)
            await until(
                lambda: (elsewhere / "guard.jsonl").read_text().count('"begin"') == 2, 30.0, "again"
            )
            await until(lambda: n_running(fleet) == 0, 20.0, "every rig stands")
            assert notice(elsewhere)["epoch"] == 1

    asyncio.run(main())


def test_stop_all_with_a_dead_controller_stops_every_rig_itself(
    tmp_path: Path, fleet: SimulatedFleet
) -> None:
    write_served(StateFolder(tmp_path), SITE.scaled_to(2), tmp_path / "rigs.csv")

    async def main() -> None:
        async with fleet, Processes(tmp_path) as processes:
            controller = await processes.controller(tmp_path)
            await until((tmp_path / "heartbeat.json").exists, 20.0, "the controller lives")
            controller.send_signal(signal.SIGSTOP)
            command = await processes.start(
                "-m", "gridhash", "stop-all", "--state", str(tmp_path), "--person", "Ada",
                "--reason", "smoke",
            )  # fmt: skip
            text, _ = await asyncio.wait_for(command.communicate(), 60.0)
            assert command.returncode == 0, text.decode()
            assert "no controller has said" in text.decode()
            assert "8 of 8 rigs stand by their own watts" in text.decode()
            assert n_running(fleet) == 0
            assert json.loads((tmp_path / "stop-all.json").read_bytes())["person"] == "Ada"
            (waiting,) = (tmp_path / "requests").glob("*.request")
            assert json.loads(waiting.read_bytes())["kind"] == "stop all"

    asyncio.run(main())


def test_a_guard_is_light() -> None:
    code = (
        "import sys, gridhash.cli, gridhash.serving.guard_service;"
        "print(sorted({'pandas', 'numba', 'torch', 'stable_baselines3', 'fastapi', 'gymnasium'}"
        " & set(sys.modules)))"
    )

    async def main() -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
        )
        text, _ = await process.communicate()
        return text

    assert asyncio.run(main()).strip() == b"[]"
