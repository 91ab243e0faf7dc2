"""A misspelt or impossible training setting ends in one line that names file and key."""

import tomllib
from pathlib import Path

import pytest

from gridhash.config_scenario import scenario_names
from gridhash.errors import ConfigError
from gridhash.training import config
from gridhash.training.config import SCENARIO_SETTINGS, TrainingConfig, load_training_config


def written(folder: Path, text: str) -> Path:
    path = folder / "training.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_means_the_defaults() -> None:
    assert load_training_config(None) == TrainingConfig()


def test_a_file_changes_only_the_keys_it_names(tmp_path: Path) -> None:
    path = written(tmp_path, "hidden = [32, 16]\n[ppo]\nn_envs = 64\n")

    config = load_training_config(path)

    default = TrainingConfig()
    ppo = default.ppo.model_copy(update={"n_envs": 64})
    assert config == default.model_copy(update={"hidden": (32, 16), "ppo": ppo})


def test_the_seed_asked_for_goes_before_that_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "seed = 5\n")

    assert load_training_config(path).seed == 5
    assert load_training_config(path, seed=7).seed == 7


def test_what_is_written_as_json_reads_back_the_same() -> None:
    config = load_training_config(None, seed=11)

    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("learning_rat = 1", "learning_rat"),
        ("[ppo]\nlearning_rat = 1e-3", "ppo.learning_rat"),
        ("[imitations]\nn_epochs = 3", "imitations"),
        ("[ppo]\nn_envs = 'many'", "ppo.n_envs"),
        ("[ppo]\nn_envs = 1.5", "ppo.n_envs"),
        ("ppo = 3", "ppo"),
        ("[ppo]\ngamma = 1.01", "ppo.gamma"),
        ("[ppo]\nlearning_rate = nan", "ppo.learning_rate"),
        ("[imitation]\nn_samples = 0", "imitation.n_samples"),
        ("hidden = []", "hidden"),
        ("hidden = [64, 0]", "hidden"),
        ("hidden = 64", "hidden"),
        ("seed = -1", "seed"),
        ("seed = 4294967296", "seed"),
    ],
)
def test_a_wrong_setting_is_named_on_one_line(text: str, says: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load_training_config(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 200


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"[ppo\nn_envs = 3", "not valid TOML"), (b"name = '\xff'", "not valid TOML")],
)
def test_a_file_that_is_no_toml_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=says) as caught:
        load_training_config(path)

    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            load_training_config(path)
        assert str(path) in str(caught.value)


def test_a_seed_out_of_range_is_refused_without_a_file_too() -> None:
    with pytest.raises(ConfigError, match="training settings: seed"):
        load_training_config(None, seed=2**32)


def test_a_scenario_of_the_package_brings_its_settings() -> None:
    assert load_training_config(None, scenario="JapanPilot@real").imitation.n_epochs == 0
    assert load_training_config(None, scenario="JapanPilot") == load_training_config(
        None, scenario="JapanPilot@real"
    )
    assert load_training_config(None, scenario="SpotJapan", seed=3) == TrainingConfig(seed=3)
    assert load_training_config(None) == TrainingConfig()


def test_each_table_of_the_settings_is_a_scenario_and_holds() -> None:
    text = (Path(config.__file__).parent / SCENARIO_SETTINGS).read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    assert set(tables) <= set(scenario_names())
    for name in tables:
        assert load_training_config(None, scenario=name) != TrainingConfig()


def test_a_file_of_ones_own_replaces_them(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("hidden = [8]\n", encoding="utf-8")
    own = load_training_config(path, scenario="JapanPilot")
    assert own == TrainingConfig(hidden=(8,))


@pytest.mark.parametrize(
    ("action", "algorithm", "use"),
    [
        ("levels", "ppo", "maskable_ppo"),
        ("levels", "sac", "maskable_ppo"),
        ("power", "maskable_ppo", "ppo or sac"),
        ("shadow_price", "maskable_ppo", "ppo or sac"),
    ],
)
def test_an_algorithm_that_cannot_learn_the_action_is_refused(
    action: str, algorithm: str, use: str, tmp_path: Path
) -> None:
    path = written(tmp_path, f"action = {action!r}\nalgorithm = {algorithm!r}\n")

    with pytest.raises(ConfigError, match=f"{algorithm} cannot learn action {action}: use {use}"):
        load_training_config(path)
