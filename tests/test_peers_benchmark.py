import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peers_benchmark", BENCHMARKS / "peers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def sample(environment: str, *rates: float) -> dict[str, Any]:
    """Return what the worker writes; the CPU clock finds twice the rate of the wall clock."""
    return {
        "environment": environment,
        "version": "1.2.3",
        "observation": "18",
        "action": "1 of 544",
        "steps_per_s": list(rates),
        "steps_per_cpu_s": [2.0 * rate for rate in rates],
        "resets": 7,
        "python": "3.11.7",
        "pinned": True,
    }


@pytest.fixture
def measurement() -> dict[str, Any]:
    ours = {
        "gridhash-1024": sample("ours, many", 1e6, 2e6, 9e6),
        "gridhash-256": sample("ours, fewer", 3e6),
        "gridhash-single": sample("ours, one", 60_000.0),
    }
    return sample("ANM6Easy-v0", 41.0, 40.0, 10.0) | {
        "ours": ours,
        "date": "2026-01-02",
        "machine": "a processor, 2 cores, Linux",
        "load_average": 0.5,
    }


def line_of(text: str, start: str) -> list[str]:
    """Return the cells of the one table line that starts with `start`."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_ratio_is_our_median_over_the_median_beside_it(
    peers: ModuleType, measurement: dict[str, Any]
) -> None:
    measurement["steps_per_cpu_s"] = [100.0]

    assert peers.ratio(measurement, "gridhash-1024") == 2e6 / 40.0
    assert peers.ratio(measurement, "gridhash-1024", "steps_per_cpu_s") == 4e6 / 100.0


def test_page_shows_measurements_ratios_and_every_environment_of_ours(
    peers: ModuleType, measurement: dict[str, Any]
) -> None:
    text = peers.page({"gym-anm": {"measurement": measurement}})

    assert line_of(text, "gym-anm: ANM6Easy-v0")[1:] == [
        *("1.2.3", "18", "1 of 544", "40", "80", "7", "**50,000**", "50,000", "1,500"),
    ]
    assert line_of(text, "ours, many")[4] == "**2,000,000** (2,000,000 … 2,000,000)"
    assert line_of(text, "ours, one")[4].startswith("**60,000**")
    assert "a processor, 2 cores, Linux; Python 3.11.7; 2026-01-02; load average 0.5" in text
    assert line_of(text, "grid2op: not measured")[1:] == ["–"] * 9


def test_our_rows_span_the_turns_beside_all_peers(
    peers: ModuleType, measurement: dict[str, Any]
) -> None:
    slower = measurement | {
        "ours": {name: sample("ours", 1e6) for name in measurement["ours"]},
    }

    text = peers.page({"gym-anm": {"measurement": measurement}, "ev2gym": {"measurement": slower}})

    assert "takes 25,000 to 50,000 times" in text
    assert "for 2 of the 2 environments" in text
    assert line_of(text, "ours, many")[4] == "**1,500,000** (1,000,000 … 2,000,000)"


def test_failure_has_its_reason_and_keeps_what_was_measured_before(
    peers: ModuleType, measurement: dict[str, Any]
) -> None:
    text = peers.page(
        {
            "gym-anm": {"measurement": measurement, "failure": "no wheel"},
            "citylearn": {"failure": "torch lacks"},
        }
    )

    assert line_of(text, "citylearn: ")[0] == "citylearn: failed: torch lacks"
    kept = line_of(text, "gym-anm: ANM6Easy-v0")
    assert kept[0].endswith("(failed since: no wheel)")
    assert kept[4] == "40"


def test_page_without_measurements_says_so(peers: ModuleType) -> None:
    assert "Nothing was measured yet" in peers.page({})
    assert "Nothing was measured yet" in peers.page({"gym-anm": {"failure": "no wheel"}})


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("Traceback\n  File x\nKeyError: 'a|b'\n\n", r"KeyError: 'a\|b'"),
        ("WARNING: w\nERROR: No matching\nERROR: later\nnotice", "ERROR: No matching"),
        ("", "no message"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_reason_of_a_failure_is_one_short_line(peers: ModuleType, output: str, reason: str) -> None:
    assert peers.one_line_reason(output) == reason


def test_failing_command_is_a_case_error_with_its_last_line(peers: ModuleType) -> None:
    with pytest.raises(peers.CaseError, match=r"^ValueError: broken$"):
        peers.call([sys.executable, "-S", "-c", "raise ValueError('broken')"], timeout_s=60.0)


def test_every_peer_has_cases_in_the_worker_and_exact_requirements(peers: ModuleType) -> None:
    worker = (BENCHMARKS / "peer_worker.py").read_text(encoding="utf-8")
    for peer in peers.PEERS:
        pins = (BENCHMARKS / "peers" / f"{peer.name}.txt").read_text(encoding="utf-8").splitlines()

        assert all(f'"{case}":' in worker for case in peer.cases)
        assert all("==" in pin for pin in pins if not pin.startswith("#"))
        assert any(pin.startswith(f"{peer.name}==") for pin in pins)
