"""The fault campaign in short: what `make campaign` plays on 1,000 rigs, on a few."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

# Scripts stand beside each other and are no package.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
cases: Any = importlib.import_module("campaign_cases")
sys.path.pop(0)

MIXED = (
    'kind = "hang"\ncount = 2',
    'kind = "refuse"\ncount = 2',
    'kind = "lie"\ncount = 2',
    'kind = "nan"\ncount = 1',
    'kind = "say_no"\ncount = 1',
)


def play(case: Any, folder: Path) -> Any:
    base_address = f"127.{192 + os.getpid() % 32}.{os.getpid() // 32 % 256}.1"
    return cases.play(case, 1, folder, lambda text: None, base_address=base_address)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    case = cases.Case(name="mixed", title="mixed", n_rigs=32, blocks=MIXED)
    return play(case, tmp_path_factory.mktemp("campaign"))


def test_no_promise_is_broken_and_every_decision_replays(figures: Any) -> None:
    assert figures["violations"] == figures["broken"] == []
    assert set(figures["invariants"]) == {f"I{k}" for k in range(1, 8)}
    assert figures["arrived_frac"] == 1.0
    assert figures["n_commands"] >= 24
    assert figures["replayed_alike"]


def test_what_obeys_is_verified_and_all_of_it_claimed(figures: Any) -> None:
    assert figures["verified_frac"] >= 0.95
    assert figures["claimed_from_faulty_kwh"] == 0.0
    assert 0.98 <= figures["claimed_frac"] <= 1.0 + 1e-6


def test_every_faulty_rig_raises_an_alarm_and_no_sound_one(figures: Any) -> None:
    assert figures["n_faulty_with_alarm"] == figures["n_faulty"] == 8
    assert figures["n_sound_with_alarm"] == 0


def test_what_shows_without_a_command_is_told_within_a_minute(tmp_path: Path) -> None:
    blocks = ('kind = "refuse"\ncount = 2',)
    found = play(cases.Case(name="refuse", title="refuse", n_rigs=8, blocks=blocks), tmp_path)
    assert found["n_faulty_with_alarm"] == 2
    assert found["rig_alarm_after_s"] <= 60.0


def test_a_policy_that_breaks_off_is_replaced_and_every_promise_kept(tmp_path: Path) -> None:
    case = cases.Case(name="raises", title="raises", n_rigs=8, policy=cases.Raises())
    found = play(case, tmp_path)
    assert found["site_alarms"]["policy replaced"][0] == 1
    assert found["broken"] == []
    assert found["replayed_alike"]


def test_a_case_without_faults_raises_no_alarm(tmp_path: Path) -> None:
    case = cases.Case(name="none", title="no fault", n_rigs=8)
    found = play(case, tmp_path)
    assert (found["alarms"], found["n_violations"], found["verified_frac"]) == ({}, 0, 1.0)
