"""Every setting of a training run, with defaults that work."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, ValidationError, model_validator

from gridhash.config import Block, describe_faults
from gridhash.config_scenario import ON_REAL_SERIES
from gridhash.errors import ConfigError

SCENARIO_SETTINGS = "scenario_settings.toml"


class ImitationSettings(Block):
    """Cloning of the day-ahead dynamic program."""

    n_samples: int = Field(default=320_000, gt=0, description="states drawn from the training span")
    n_epochs: int = Field(
        default=28,
        ge=0,
        description="0: the actor begins at the level rule, others than shadow_price as a clone "
        "of what that rule draws",
    )
    batch_size: int = Field(default=1024, gt=0)
    learning_rate: float = Field(default=4e-3, gt=0)
    sharpness_per_start: float = Field(
        default=0.3,
        gt=0,
        description="shadow price over which a decision turns, per break-even and per hour of "
        "revenue that a start costs",
    )
    shadow_penalty: float = Field(default=0.003, ge=0, description="keeps shadow prices small")
    level_shadow_penalty: float = Field(
        default=0.1, ge=0, description="the same where rigs take levels, which shadow prices shift"
    )
    weight_decay: float = Field(default=1e-4, ge=0)
    n_oracle_rounds: int = Field(
        default=0,
        ge=0,
        description="of DAgger on the clairvoyant plan (`gridhash.training.oracle`) after cloning",
    )
    oracle_weeks: int | None = Field(
        default=26, gt=0, description="of the training span that the clairvoyant plans; all if none"
    )
    n_planner_rounds: int = Field(
        default=0,
        ge=0,
        description="of DAgger on the rolling planner `mpc`, after those on the clairvoyant plan "
        "(`gridhash.training.planner_rounds`)",
    )
    n_planner_states: int = Field(
        default=3072,
        gt=0,
        description="per such round; each costs the planner 4 to 15 ms and teaches every group",
    )
    n_price_shifts: int = Field(
        default=60, ge=0, description="copies of the prices at other levels to draw states from"
    )
    level_shift_sd: float = Field(
        default=0.2, ge=0, description="of the level of these copies, per break-even"
    )

    @property
    def n_rounds(self) -> int:
        """Rounds of DAgger, with either teacher."""
        return self.n_oracle_rounds + self.n_planner_rounds


class ImprovementSettings(Block):
    """Policy improvement by paired plays (`gridhash.training.rollouts`)."""

    n_rounds: int | None = Field(
        default=None,
        ge=0,
        description="of playing, comparing and fitting; where not given, 6 if the site has "
        "programs, a tariff or prices in real time, else 0: plans of published prices need none",
    )
    n_states: int = Field(default=24_576, gt=0, description="compared per round")
    horizon_h: float = Field(default=24.0, gt=0, description="played on after an action, at most")
    n_variants: int = Field(
        default=8,
        ge=0,
        description="draws of the scenario's randomisation that states come from, beside itself",
    )
    worlds_per_round: int = Field(default=3, gt=0, description="the scenario itself among them")
    kept_rounds: int = Field(default=4, gt=0, description="whose comparisons are learned from")
    n_epochs: int = Field(default=8, gt=0)
    batch_size: int = Field(default=1024, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    action_penalty: float = Field(
        default=1e-3, ge=0, description="keeps actions small where nothing is at stake"
    )
    smoothing: float = Field(
        default=0.0,
        ge=0,
        description="standard deviation of noise on the action while it is fitted, which looks "
        "beyond the nearest of the compared actions",
    )


class PpoSettings(Block):
    """Proximal policy optimisation from the policy that imitation and improvement made."""

    n_iterations: int = Field(default=24, ge=0, description="roll-outs, critic warm-up included")
    n_critic_iterations: int = Field(default=8, ge=0, description="with the actor frozen")
    n_envs: int = Field(default=512, gt=0)
    n_steps: int = Field(default=64, gt=0)
    batch_size: int = Field(default=8192, gt=0)
    n_epochs: int = Field(default=4, gt=0)
    learning_rate: float = Field(default=1e-4, gt=0)
    gamma: float = Field(default=0.9995, gt=0, le=1)
    gae_lambda: float = Field(default=0.97, gt=0, le=1)
    clip_range: float = Field(default=0.1, gt=0)
    exploration_per_start: float = Field(
        default=0.3,
        gt=0,
        description="standard deviation of the action at the start, per break-even and per hour "
        "of revenue that a start costs",
    )
    power_exploration: float = Field(
        default=0.05, gt=0, description="the same of action power, per full power"
    )
    max_kl_to_clone: float = Field(
        default=0.5, gt=0, description="stop when the policy has moved this far [nat]"
    )
    episode_days: float = Field(default=7.0, gt=0)


class SacSettings(Block):
    """Soft actor-critic from the policy that imitation and improvement made."""

    n_iterations: int = Field(
        default=24, ge=0, description="of collecting and learning, critic warm-up included"
    )
    n_critic_iterations: int = Field(default=8, ge=0, description="with the actor frozen")
    n_envs: int = Field(default=64, gt=0)
    n_steps: int = Field(default=128, gt=0, description="of every site per iteration")
    updates_per_step: int = Field(default=2, gt=0, description="batches learned from per step")
    batch_size: int = Field(default=512, gt=0)
    buffer_size: int = Field(
        default=100_000,
        gt=0,
        description="transitions kept to learn from; all of them are in the checkpoint",
    )
    learning_rate: float = Field(default=1e-4, gt=0)
    gamma: float = Field(default=0.995, gt=0, le=1)
    tau: float = Field(default=0.005, gt=0, le=1, description="of the critics' moving average")
    entropy: float = Field(
        default=1e-5,
        ge=0,
        description="worth of a nat of entropy, in reward; fixed, so that noise does not pay",
    )
    exploration_per_start: float = Field(
        default=0.3, gt=0, description="as of [ppo], before tanh; it may be learned otherwise"
    )
    power_exploration: float = Field(default=0.1, gt=0, description="the same of action power")
    max_kl_to_clone: float = Field(
        default=2.0, gt=0, description="stop when the policy has moved this far [nat]"
    )
    episode_days: float = Field(default=7.0, gt=0)


class TrainingConfig(Block):
    """One training run."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    action: Literal["shadow_price", "power", "levels"] = Field(
        default="shadow_price", description="what the policy says of each group"
    )
    algorithm: Literal["ppo", "maskable_ppo", "sac"] = Field(
        default="ppo",
        description="that goes on from imitation and plays: sac for shadow_price and power, "
        "maskable_ppo (which takes the settings of [ppo]) for levels",
    )
    begin_at: Literal["plan", "best_rule"] = Field(
        default="plan",
        description="plan: a clone of the day-ahead plan, or with no epochs the level rule; "
        "best_rule: the tuned rule that earns most on the validation span. By levels the network "
        "is its clone; else it adds to the rule, by the rule's kind of action, and begins with "
        "adding nothing",
    )
    hidden: tuple[PositiveInt, ...] = Field(default=(128, 128), min_length=1)
    imitation: ImitationSettings = ImitationSettings()
    improvement: ImprovementSettings = ImprovementSettings()
    ppo: PpoSettings = PpoSettings()
    sac: SacSettings = SacSettings()
    validate_every: int = Field(default=4, gt=0, description="iterations between validations")
    torch_threads: int = Field(default=1, gt=0)

    @model_validator(mode="after")
    def _check_algorithm(self) -> Self:
        """Refuse an algorithm that cannot learn the action."""
        if (self.action == "levels") != (self.algorithm == "maskable_ppo"):
            fitting = "maskable_ppo" if self.action == "levels" else "ppo or sac"
            raise ValueError(
                f"algorithm {self.algorithm} cannot learn action {self.action}: use {fitting}"
            )
        if self.begin_at == "best_rule" and self.algorithm == "sac":
            raise ValueError("sac cannot begin at best_rule: use ppo, or maskable_ppo for levels")
        return self

    @property
    def fine_tuning(self) -> PpoSettings | SacSettings:
        """Settings of the algorithm."""
        return self.sac if self.algorithm == "sac" else self.ppo


def load_training_config(
    path: Path | None, *, seed: int | None = None, scenario: str | None = None
) -> TrainingConfig:
    """Read a TOML file of training settings; defaults where it, or a key, is absent.

    Without a file a scenario of the package, named with or without ``@real``, takes its own table
    of `scenario_settings.toml`.

    Raises
    ------
    ConfigError
        If the file is missing or malformed, a key is unknown or a value is out of range.
    """
    values: dict[str, object] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as err:
            raise ConfigError(f"{path}: cannot be read: {err.strerror}") from err
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
            raise ConfigError(f"{path}: not valid TOML: {err}") from err
    elif scenario is not None:
        known = tomllib.loads((resources.files(__package__) / SCENARIO_SETTINGS).read_text("utf-8"))
        values = known.get(scenario.removesuffix(ON_REAL_SERIES), {})
    if seed is not None:
        values["seed"] = seed
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as err:
        origin = "training settings" if path is None else path
        raise ConfigError(f"{origin}: {describe_faults(err)}") from err
