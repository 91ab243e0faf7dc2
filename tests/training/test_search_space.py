"""A search draws valid training settings alone, and a wrong space ends in one line."""

from pathlib import Path

import pytest

pytest.importorskip("optuna")

import optuna
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.errors import ConfigError
from gridhash.training.config import TrainingConfig
from gridhash.training.search_space import load_space, with_values

DEFAULT = load_space(None, TrainingConfig())


def written(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return path


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20)
def test_whatever_is_drawn_from_the_default_space_can_be_trained_with(seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    values = study.ask(DEFAULT.distributions).params

    config = with_values(TrainingConfig(), values)

    assert set(values) == set(DEFAULT.distributions)
    assert DEFAULT.values_of(config) == values


def test_every_default_setting_lies_within_the_default_space() -> None:
    values = DEFAULT.values_of(TrainingConfig())

    assert set(DEFAULT.distributions) - set(values) == {"improvement.n_rounds"}  # the site's choice
    assert with_values(TrainingConfig(), values) == TrainingConfig()


def test_a_file_names_all_that_is_searched(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "hidden = [[8], [16, 16]]\n"
        "ppo.clip_range = { low = 0.05, high = 0.3, log = true }\n"
        "imitation.n_epochs = { low = 2, high = 10, step = 4 }\n",
    )

    space = load_space(path, TrainingConfig())

    assert space.distributions == {
        "hidden": optuna.distributions.CategoricalDistribution(["[8]", "[16, 16]"]),
        "ppo.clip_range": optuna.distributions.FloatDistribution(0.05, 0.3, log=True),
        "imitation.n_epochs": optuna.distributions.IntDistribution(2, 10, step=4),
    }
    assert with_values(TrainingConfig(), {"hidden": "[16, 16]"}).hidden == (16, 16)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "learning_rat = [1, 2]",
            "learning_rat is no training setting; there are seed, action, algorithm, begin_at",
        ),
        ("[ppo]\nlearning_rat = [1]", "ppo.learning_rat is no training setting; there are n_iter"),
        ("ppo = [1, 2]", "ppo is a table of settings"),
        ("seed = { low = 0, high = 9 }", "seed is not searched: the best of many seeds is luck"),
        ("ppo.gamma = 0.99", "belongs into --settings"),
        ("ppo.gamma = []", "ppo.gamma takes { low"),
        ("ppo.gamma = { low = 0.9 }", "missing key high"),
        ("ppo.gamma = { low = 0.9, high = 0.99, logg = true }", "unknown key logg"),
        ("ppo.gamma = { low = 0.99, high = 0.9 }", "low = 0.99 must be below high = 0.9"),
        ("ppo.gamma = { low = 0.9, high = 1.1 }", "ppo.gamma: Input should be less than or equal"),
        ("ppo.n_envs = { low = 1.5, high = 8 }", "ppo.n_envs takes whole numbers; found 1.5"),
        ("ppo.n_envs = [8, 0]", "ppo.n_envs: Input should be greater than 0"),
        ("ppo.clip_range = { low = 0.0, high = 1.0, log = true }", "log = true needs low > 0"),
        ("hidden = [[64], [64, 0]]", "hidden.1"),
        ("", "names nothing to search"),
    ],
)
def test_a_wrong_space_is_one_line_that_names_file_and_key(
    text: str, says: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load_space(path, TrainingConfig())

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message
