"""Settings of learning from exact worths (`gridhash.training.worth_learning`)."""

import tomllib
from importlib import resources

from pydantic import Field

from gridhash.config import Block
from gridhash.config_scenario import ON_REAL_SERIES

FILE_NAME = "worth_settings.toml"


class WorthSettings(Block):
    """Policy iteration by boosted trees, and the network that takes over what they found."""

    hashprice_factors: tuple[float, ...] = Field(
        default=(0.7, 0.85, 1.0, 1.2, 1.4),
        min_length=1,
        description="the training prices are also seen at these multiples of the hashprice: as "
        "many more moments in which a price is near what running earns",
    )
    n_iterations: int = Field(default=6, gt=0)
    step: float = Field(
        default=0.4,
        gt=0,
        le=1,
        description="share of the newest iteration in what decides; the rest is of those before",
    )
    n_folds: int = Field(
        default=5,
        ge=2,
        description="of weeks: the policy that is evaluated in a week has not learned from it",
    )
    most_starts: float = Field(
        default=10.0, gt=0, description="worths beyond so many costs of a start are cut off"
    )
    n_samples: int = Field(default=60_000, gt=0, description="moments to fit trees to, at most")
    n_trees: int = Field(default=100, gt=0)
    n_leaves: int = Field(default=16, ge=2)
    n_per_leaf: int = Field(default=300, gt=0, description="moments in a leaf, at least")
    tree_rate: float = Field(default=0.05, gt=0)
    hidden: tuple[int, ...] = Field(default=(64, 64), min_length=1)
    network_factors: tuple[float, ...] = Field(
        default=(0.65, 0.75, 0.85, 0.92, 1.0, 1.08, 1.2, 1.35, 1.5),
        min_length=1,
        description="hashprices at which the network asks the trees",
    )
    n_epochs: int = Field(default=10, gt=0)
    batch_size: int = Field(default=1024, gt=0)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)


def worth_settings_of(scenario: str | None) -> WorthSettings | None:
    """Return the settings of a scenario, named with or without ``@real``; None: it learns else."""
    if scenario is None:
        return None
    known = tomllib.loads((resources.files(__package__) / FILE_NAME).read_text("utf-8"))
    values = known.get(scenario.removesuffix(ON_REAL_SERIES))
    return None if values is None else WorthSettings.model_validate(values)
