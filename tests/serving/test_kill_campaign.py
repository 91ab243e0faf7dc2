"""The kill campaign in short: one kill, and a checker that finds what it looks for."""

import asyncio
import importlib
import multiprocessing
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gridhash.serving.clock import RealClock
from gridhash.serving.drivers.protocol import Command

# Scripts stand beside each other and are no package.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
cases: Any = importlib.import_module("kill_cases")
check: Any = importlib.import_module("kill_check")
sys.path.pop(0)

AT = datetime(2026, 1, 1, tzinfo=UTC)


def told(seconds: float, command: Command = Command.STOP) -> Any:
    return check.Told(rig_id="loop_a-001", at=AT + timedelta(seconds=seconds), command=command)


def intents(*rows: tuple[float, Command, bool]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "at": [pd.Timestamp(AT + timedelta(seconds=row[0])) for row in rows],
            "rig_id": "loop_a-001",
            "command": [str(row[1]) for row in rows],
            "forced": [int(row[2]) for row in rows],
        }
    )


def test_a_command_without_an_intent_and_one_that_came_twice_are_told_apart() -> None:
    one = intents((0.0, Command.STOP, False))
    assert check._unmatched([told(0.1)], one) == ([], [])
    lost, duplicated = check._unmatched([told(-0.1)], one)
    assert (len(lost), len(duplicated)) == (1, 0)
    lost, duplicated = check._unmatched([told(0.1), told(0.2)], one)
    assert (len(lost), len(duplicated)) == (0, 1)


def test_a_turn_that_comes_too_early_is_found_unless_it_is_a_stop_that_had_to_be() -> None:
    turn = [told(0.0, Command.RESUME), told(0.5)]
    plain, forced = intents((0.5, Command.STOP, False)), intents((0.5, Command.STOP, True))
    assert len(check._broken_minimum_times(turn, plain)) == 1
    assert check._broken_minimum_times(turn, forced) == []
    back = [told(0.0), told(0.5, Command.RESUME)]
    assert len(check._broken_minimum_times(back, forced)) == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on
def test_a_controller_killed_before_it_sends_is_followed_by_one_that_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forked, so that no import is in the time; the order of half power comes at once."""
    monkeypatch.setattr(cases, "PROCESSES", multiprocessing.get_context("fork"))
    monkeypatch.setattr(cases, "SHARES", ((0.0, 3600.0, 0.5),))
    monkeypatch.setattr(cases, "FIRST_S", 30.0)
    monkeypatch.setattr(cases, "END_S", 0.0)
    monkeypatch.setattr(cases, "AFTER_KILL_S", 2.5)
    base_address = f"127.{160 + os.getpid() % 32}.{os.getpid() // 32 % 256}.1"
    world = cases.World(folder=tmp_path, base_address=base_address, start=RealClock().now())
    fleet, found = asyncio.run(cases.kill_once(world, "intent.after_commit"))
    figures = check.judge(world, fleet, found["killed_at"])
    assert figures["killed"]
    assert figures["violations"] == []
    assert 0 < figures["n_commands"] < figures["n_intents"]  # those of the killed were not sent
