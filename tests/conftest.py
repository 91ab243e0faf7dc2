"""What every test runs under: fixed randomness, no display, the real series where they are."""

import os
from collections.abc import Iterator
from pathlib import Path

# Set before matplotlib is imported anywhere: tests never open a window.
os.environ["MPLBACKEND"] = "Agg"
# Set before Ray is: no statistics to its makers, every port on loopback, no word on GPUs.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import hypothesis
import pytest

# Compiling and a busy machine make single examples slow, so there is no deadline per example.
hypothesis.settings.register_profile("local", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def quick_tuning() -> Iterator[None]:
    """Let the promotion gate tune rules by one play, so that they keep their defaults."""
    from gridhash.agents.tuning import SearchBudget  # only where it is used: it imports the kernel

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gridhash.training.tuned_rules.BUDGET", SearchBudget(n_wide=1, n_near=0))
        yield


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Return the folder of the real series, which are not part of the repository."""
    folder = os.environ.get("GRIDHASH_REFERENCE_DATA")
    if not folder:
        pytest.skip("GRIDHASH_REFERENCE_DATA names no folder with the real series")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"GRIDHASH_REFERENCE_DATA is {folder}, which is no folder: correct or unset it")
    return path


@pytest.fixture(autouse=True)
def own_data_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep every test away from the store of whoever runs it."""
    monkeypatch.setenv("GRIDHASH_DATA", str(tmp_path_factory.getbasetemp() / "no-data-here"))
