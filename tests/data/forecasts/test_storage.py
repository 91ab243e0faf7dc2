"""A saved forecaster comes back the same, or not at all."""

import json
from pathlib import Path

import pandas as pd
import pytest

from gridhash.data.forecasts.forecast import Forecaster, forecast_many
from gridhash.data.forecasts.methods import METHODS
from gridhash.data.forecasts.series import Series
from gridhash.data.forecasts.storage import MANIFEST, load_forecaster, save_forecaster
from gridhash.errors import FileFormatError

ISSUES = pd.date_range("2024-04-20T09:00Z", periods=4, freq="7h", unit="s")


@pytest.mark.parametrize("method", METHODS)
def test_it_forecasts_the_same_bits_after_a_round_trip(
    method: str, market: dict[str, Series], fitted: dict[str, Forecaster], tmp_path: Path
) -> None:
    save_forecaster(fitted[method], tmp_path / "kept")

    again = load_forecaster(tmp_path / "kept")

    before = forecast_many(fitted[method], market, ISSUES, range(24))
    after = forecast_many(again, market, ISSUES, range(24))
    assert before.values.tobytes() == after.values.tobytes()
    assert again.trained_on == fitted[method].trained_on
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.fixture
def kept(fitted: dict[str, Forecaster], tmp_path: Path) -> Path:
    save_forecaster(fitted["boosted-quantiles"], tmp_path / "kept")
    return tmp_path / "kept"


def test_files_are_plain_text(kept: Path) -> None:
    models = sorted(path.name for path in kept.glob("*.txt"))

    assert len(models) == 15
    assert (kept / models[0]).read_text().startswith("tree\n")
    assert json.loads((kept / MANIFEST).read_text())["format"] == 1


def test_a_changed_model_is_refused(kept: Path) -> None:
    path = kept / "model_07.txt"
    path.write_text(path.read_text().replace("leaf_value=", "leaf_value=1", 1))

    with pytest.raises(FileFormatError, match=r"model_07\.txt.*damaged"):
        load_forecaster(kept)


def test_a_missing_model_is_refused(kept: Path) -> None:
    (kept / "model_00.txt").unlink()

    with pytest.raises(FileFormatError, match=r"model_00\.txt.*missing"):
        load_forecaster(kept)


def test_a_changed_number_in_the_manifest_is_refused(kept: Path) -> None:
    path = kept / MANIFEST
    path.write_text(path.read_text().replace('"n_steps": 24', '"n_steps": 48'))

    with pytest.raises(FileFormatError, match="checksum"):
        load_forecaster(kept)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', "\x00"])
def test_what_is_no_manifest_is_refused(kept: Path, text: str) -> None:
    (kept / MANIFEST).write_text(text)

    with pytest.raises(FileFormatError, match=MANIFEST):
        load_forecaster(kept)


def test_nothing_is_overwritten(kept: Path, fitted: dict[str, Forecaster]) -> None:
    with pytest.raises(FileFormatError, match="exists already"):
        save_forecaster(fitted["persistence"], kept)
