import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "env_speed.py"


def test_benchmark_measures_every_figure_of_the_environment() -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--no-ppo", "--repeats", "1", "--json"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)

    assert {line["unit"] for line in result["figures"]} == {"steps/s", "s", "1"}
    assert len(result["figures"]) == 17
    assert all(line["best"] > 0 and line["median"] > 0 for line in result["figures"])
    assert (result["scenario"], result["groups"]) == ("JapanPilot", 4)
    assert result["peak_memory_mib"]["all"] >= result["peak_memory_mib"]["kernel"] > 50
