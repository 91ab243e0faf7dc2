"""A checkpoint is whole, of the run it is asked for, or refused in one line."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.errors import TrainingError

pytest.importorskip("torch")

import torch

from gridhash.training import checkpoint

KEY = {"settings": "a", "site": "b", "prices": "c"}


def values() -> dict[str, Any]:
    return {
        "policy": {"weight": torch.arange(40, dtype=torch.float32)},
        "fleet": np.linspace(0.0, 1.0, 30),
        "numpy_rng": np.random.default_rng(1).bit_generator.state,
        "n": 3,
    }


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return checkpoint.save(tmp_path_factory.mktemp("run"), KEY, values()).read_bytes()


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, KEY, values())

    loaded = checkpoint.load(tmp_path, KEY)

    assert path == tmp_path / checkpoint.FILE_NAME
    assert sorted(loaded) == sorted(values())
    assert torch.equal(loaded["policy"]["weight"], values()["policy"]["weight"])
    np.testing.assert_array_equal(loaded["fleet"], values()["fleet"])
    assert loaded["numpy_rng"] == values()["numpy_rng"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not exist: start without --resume") as caught:
        checkpoint.load(tmp_path / "none", KEY)

    assert str(tmp_path / "none" / checkpoint.FILE_NAME) in str(caught.value)


@given(data=st.data())
def test_damage_anywhere_is_found_before_anything_is_unpickled(
    data: st.DataObject, intact: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    where = data.draw(st.integers(0, len(intact) - 1), label="where")
    content = bytearray(intact)
    if data.draw(st.booleans(), label="cut off"):
        del content[where:]
    else:
        content[where] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    (folder / checkpoint.FILE_NAME).write_bytes(content)

    with pytest.raises(TrainingError, match=r"damaged|is no checkpoint of this gridhash") as caught:
        checkpoint.load(folder, KEY)

    assert "remove it and start again without --resume" in str(caught.value)
    assert "\n" not in str(caught.value)


def foreign_torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"notes\n", foreign_torch_file()])
def test_another_program_s_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / checkpoint.FILE_NAME).write_bytes(content)

    with pytest.raises(TrainingError, match="is no checkpoint of this gridhash"):
        checkpoint.load(tmp_path, KEY)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / checkpoint.FILE_NAME).mkdir()

    with pytest.raises(TrainingError, match="cannot be read"):
        checkpoint.load(tmp_path, KEY)


def test_another_run_s_checkpoint_is_refused_with_what_differs(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, KEY, values())

    with pytest.raises(TrainingError, match="these differ: site, spans") as caught:
        checkpoint.load(tmp_path, KEY | {"site": "x", "spans": "y"})

    assert "settings" not in str(caught.value)
    assert "prices" not in str(caught.value)


def test_a_part_left_behind_by_a_crash_does_no_harm(tmp_path: Path) -> None:
    part = tmp_path / "checkpoint.part"
    part.write_bytes(b"half a file")

    with pytest.raises(TrainingError, match="does not exist"):
        checkpoint.load(tmp_path, KEY)
    checkpoint.save(tmp_path, KEY, values())

    assert checkpoint.load(tmp_path, KEY)["n"] == 3
    assert not part.exists()


def test_a_write_that_fails_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, KEY, values())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TrainingError, match=r"checkpoint\.part cannot be written: No space left"):
        checkpoint.save(tmp_path, KEY, values() | {"n": 4})
    monkeypatch.undo()

    assert checkpoint.load(tmp_path, KEY)["n"] == 3
