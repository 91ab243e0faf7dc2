"""Which training settings a search may change, and within which limits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import Field, ValidationError, model_validator

from gridhash.config import Block, describe_faults
from gridhash.config_blocks import read_toml
from gridhash.errors import ConfigError
from gridhash.training.config import TrainingConfig

DEFAULT_PATH = Path(__file__).with_name("search_space.toml")
NOT_SEARCHED = {
    "seed": "the best of many seeds is luck, which does not repeat on other years",
    "torch_threads": "it changes speed alone",
    "improvement.n_variants": "all trials share their worlds: set it by --settings",
}
"""Settings that no search may change, and why."""

Value = bool | int | float | str
"""As Optuna keeps it: a choice is JSON text, since lists are among them."""


class Range(Block):
    """Limits of a number, both included."""

    low: float
    high: float
    log: bool = Field(default=False, description="draw evenly by the logarithm")
    step: float | None = Field(default=None, gt=0, description="draw whole steps from `low` on")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        if self.log and (self.low <= 0.0 or self.step is not None):
            raise ValueError("log = true needs low > 0 and no step")
        return self

    def distribution(self, *, whole: bool) -> BaseDistribution:
        """Return what Optuna draws from; of whole numbers if the setting takes no others."""
        if whole:
            return IntDistribution(
                int(self.low), int(self.high), log=self.log, step=int(self.step or 1)
            )
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)


@dataclass(frozen=True)
class SearchSpace:
    """Distributions by the dotted key of a setting, such as ``ppo.learning_rate``."""

    distributions: dict[str, BaseDistribution]

    def without(self, *keys: str) -> "SearchSpace":
        """Return the space without some keys, or tables of keys, that have no effect."""
        kept = {
            key: one
            for key, one in self.distributions.items()
            if key not in keys and key.split(".")[0] not in keys
        }
        return SearchSpace(kept)

    def values_of(self, config: TrainingConfig) -> dict[str, Value]:
        """Return the values that a configuration has, where they lie within the space."""
        values: dict[str, Value] = {}
        for key, distribution in self.distributions.items():
            value: Any = config
            for part in key.split("."):
                value = getattr(value, part)
            if isinstance(distribution, CategoricalDistribution):
                value = json.dumps(value)
                within = value in distribution.choices
            else:
                assert isinstance(distribution, IntDistribution | FloatDistribution)
                within = value is not None and distribution.low <= value <= distribution.high
            if within:
                values[key] = value
        return values


def with_values(base: TrainingConfig, values: Mapping[str, Value]) -> TrainingConfig:
    """Return settings with some of them changed, by dotted key, as a search drew them."""
    settings = base.model_dump()
    for key, value in values.items():
        _put(settings, key, json.loads(value) if isinstance(value, str) else value)
    return TrainingConfig.model_validate(settings)


def load_space(path: Path | None, base: TrainingConfig) -> SearchSpace:
    """Read a search space; the default one where no file is named.

    Raises
    ------
    ConfigError
        If the file is missing or malformed, a key is no training setting, or a limit is a value
        that this setting cannot have.
    """
    path = path or DEFAULT_PATH
    written = read_toml(path, missing=f"{path} does not exist: --space names a TOML file")
    distributions = {
        key: _distribution(path, key, entry, base) for key, entry in _entries(path, written)
    }
    if not distributions:
        raise ConfigError(f"{path}: names nothing to search: add a line such as "
                          "ppo.clip_range = { low = 0.05, high = 0.3 }")  # fmt: skip
    return SearchSpace(distributions)


def _entries(path: Path, written: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return what is written, by dotted key; refuse keys that are no settings."""
    entries: list[tuple[str, Any]] = []
    for name, entry in written.items():
        if name not in TrainingConfig.model_fields:
            _refuse_unknown(path, name, TrainingConfig)
        block = TrainingConfig.model_fields[name].annotation
        if not (isinstance(block, type) and issubclass(block, Block)):
            entries.append((name, entry))
            continue
        if not isinstance(entry, dict):
            raise ConfigError(f"{path}: {name} is a table of settings; write [{name}] above them")
        for inner, value in entry.items():
            if inner not in block.model_fields:
                _refuse_unknown(path, f"{name}.{inner}", block)
            entries.append((f"{name}.{inner}", value))
    return entries


def _refuse_unknown(path: Path, key: str, block: type[Block]) -> NoReturn:
    raise ConfigError(
        f"{path}: {key} is no training setting; there are {', '.join(block.model_fields)}"
    )


def _distribution(path: Path, key: str, entry: Any, base: TrainingConfig) -> BaseDistribution:
    if key in NOT_SEARCHED:
        raise ConfigError(f"{path}: {key} is not searched: {NOT_SEARCHED[key]}; remove the line")
    if isinstance(entry, list) and entry:
        for choice in entry:
            _try_value(path, key, choice, base)
        return CategoricalDistribution([json.dumps(choice) for choice in entry])
    if not isinstance(entry, dict):
        raise ConfigError(
            f"{path}: {key} takes {{ low = …, high = … }} or a list of choices; found {entry!r}. "
            "A value that stays the same belongs into --settings"
        )
    try:
        limits = Range.model_validate(entry)
    except ValidationError as err:
        raise ConfigError(f"{path}: {key}: {describe_faults(err)}") from err
    whole = _takes_whole_numbers(key)
    for value in (limits.low, limits.high, *([limits.step] if limits.step and whole else [])):
        if whole and value != int(value):
            raise ConfigError(f"{path}: {key} takes whole numbers; found {value:g}")
    for value in (limits.low, limits.high):
        _try_value(path, key, int(value) if whole else value, base)
    return limits.distribution(whole=whole)


def _takes_whole_numbers(key: str) -> bool:
    block: Any = TrainingConfig
    for part in key.split("."):
        block = block.model_fields[part].annotation
    return block in (int, int | None)


def _try_value(path: Path, key: str, value: Any, base: TrainingConfig) -> None:
    settings = base.model_dump()
    _put(settings, key, value)
    try:
        TrainingConfig.model_validate(settings)
    except ValidationError as err:
        raise ConfigError(f"{path}: {describe_faults(err)}") from err


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    *tables, name = key.split(".")
    for table in tables:
        settings = settings[table]
    settings[name] = value
