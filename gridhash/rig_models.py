"""Rig models that ship with the package, one TOML file each in `gridhash/rigs`.

Every figure is marked measured, sourced or assumed; `tested` says whether a published table of
more than one operating point stands behind the curve. A group of a site file takes all of it
with ``rig = "A1566HA-480T"`` and overrides what it knows better.
"""

import tomllib
from importlib import resources
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from gridhash.config_blocks import Block, FigureSource, describe_faults
from gridhash.errors import ConfigError

CoolingFamily = Literal["air", "hydro", "immersion"]
StopModeName = Literal["sleep", "soft_off", "power_cut"]
"""How a rig stands: hashing paused, firmware switched off, or no mains at all."""
RigCommand = Literal["sleep", "wake_up", "soft_off", "soft_on", "restart", "work_level", "profile"]

RIG_COOLING_KEYS = frozenset(
    {"rig_heat_capacity_kj_per_k", "chip_to_coolant_k_per_kw", "chip_derate_c", "chip_trip_c"}
)
"""Keys of a group's `cooling` that belong to the rig model, not to the loop."""
RIG_KEYS = frozenset(
    {
        "rig_model",
        "rig_power_w",
        "rig_hashrate_ths",
        "curve_a",
        "curve_b",
        "profile",
        "load_levels",
        "optional_work_levels",
        "stop_mode",
        "standby_w",
        "boot_s",
        "warm_up_s",
        "power_per_k",
        "power_reference_c",
    }
)
"""Keys of a group that belong to the rig model: what `RigModel.group_values` may return."""


class HashPoint(Block):
    """One row of a table of operating points."""

    power_w: float = Field(gt=0, le=50_000, description="of one rig at the wall")
    hashrate_ths: float = Field(gt=0, le=10_000, description="at that power")


class StopMode(Block):
    """What a rig draws while it stands, and how it comes back."""

    standby_w: float = Field(ge=0, description="of one stopped rig")
    boot_s: float = Field(ge=0, le=3600, description="from the start command to full power")
    warm_up_s: float = Field(
        ge=0, le=3600, description="at full power before the first hash counts"
    )


class RigModel(Block):
    """What one model of rig can do. Either an efficiency line or a table of points."""

    format_version: Literal[1] = Field(default=1, description="layout of the file")
    name: str = Field(min_length=1, description="as a site file names it")
    cooling: CoolingFamily = Field(description="what cools its chips")
    tested: bool = Field(description="against a published table of operating points")
    power_w: float = Field(gt=0, le=50_000, description="nameplate, at the wall")
    hashrate_ths: float = Field(gt=0, le=10_000, description="at nameplate power")
    curve_a: float | None = Field(
        default=None, ge=0, le=1, description="constant part of efficiency; curve_a + curve_b = 1"
    )
    curve_b: float | None = Field(
        default=None, ge=0, le=1, description="part of efficiency that grows with load"
    )
    profile: tuple[HashPoint, ...] | None = Field(default=None, min_length=2)
    load_levels: tuple[float, ...] | None = Field(
        default=None,
        min_length=1,
        description="fractions that stock control can command; absent: rows of the profile",
    )
    optional_work_levels: tuple[float, ...] = Field(
        default=(), description="levels that a site may find when it is commissioned"
    )
    commands: tuple[RigCommand, ...] = Field(
        min_length=1, description="what its control understands"
    )
    stop_modes: dict[StopModeName, StopMode] = Field(
        min_length=1, description="ways of standing, by name"
    )
    default_stop_mode: StopModeName = Field(description="where a site names none")
    power_per_k: float = Field(ge=0, le=0.05, description="rise of power per kelvin of chip [1/K]")
    power_reference_c: float = Field(description="chip temperature of the nameplate power")
    coolant_in_min_c: float = Field(description="coldest inlet that the rig may run at")
    coolant_in_max_c: float = Field(description="hottest inlet")
    chip_derate_c: float = Field(description="above this, power is limited")
    chip_trip_c: float = Field(description="at this, the rig stops")
    rig_heat_capacity_kj_per_k: float = Field(gt=0, description="of one rig")
    chip_to_coolant_k_per_kw: float = Field(
        gt=0, description="how much hotter chips are than the coolant, per kW"
    )
    figures: tuple[FigureSource, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        has_curve = self.curve_a is not None and self.curve_b is not None
        if has_curve == (self.profile is not None):
            raise ValueError("give either curve_a and curve_b, or a profile")
        if self.load_levels is None and self.profile is None:
            raise ValueError("without a profile, load_levels must be given")
        if self.default_stop_mode not in self.stop_modes:
            raise ValueError(
                f"default_stop_mode {self.default_stop_mode} is none of {sorted(self.stop_modes)}"
            )
        if not self.coolant_in_min_c < self.coolant_in_max_c < self.chip_derate_c:
            raise ValueError("coolant_in_min_c < coolant_in_max_c < chip_derate_c must hold")
        if not self.chip_derate_c < self.chip_trip_c:
            raise ValueError("chip_derate_c < chip_trip_c must hold")
        return self

    @property
    def efficiency_j_per_th(self) -> float:
        """Efficiency at nameplate [J/TH]."""
        return self.power_w / self.hashrate_ths

    def group_values(self, stop_mode: str | None = None) -> dict[str, Any]:
        """Return the keys of a site file's group that follow from the model; `cooling` in part.

        Raises
        ------
        ConfigError
            If the model has no such stop mode.
        """
        name = stop_mode or self.default_stop_mode
        modes = {str(key): mode for key, mode in self.stop_modes.items()}
        if not isinstance(name, str) or name not in modes:
            raise ConfigError(
                f"rig {self.name} has no stop_mode {name!r}; choose one of {sorted(modes)}"
            )
        values: dict[str, Any] = {
            "rig_model": self.name,
            "rig_power_w": self.power_w,
            "rig_hashrate_ths": self.hashrate_ths,
            "optional_work_levels": self.optional_work_levels,
            "stop_mode": name,
            "power_per_k": self.power_per_k,
            "power_reference_c": self.power_reference_c,
            **modes[name].model_dump(),
            "cooling": {key: getattr(self, key) for key in sorted(RIG_COOLING_KEYS)},
        }
        if self.load_levels is not None:
            values["load_levels"] = self.load_levels
        if self.profile is None:
            values |= {"curve_a": self.curve_a, "curve_b": self.curve_b}
        else:
            values["profile"] = [point.model_dump() for point in self.profile]
        return values


def rig_names() -> list[str]:
    """Return the names of the rig models that ship with the package."""
    files = resources.files("gridhash.rigs").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def load_rig(name: str) -> RigModel:
    """Read a rig model by its name.

    Raises
    ------
    ConfigError
        If there is no such model, or its file is at fault.
    """
    if name not in rig_names():
        raise ConfigError(f"no rig model is called {name!r}; there are: {', '.join(rig_names())}")
    file = resources.files("gridhash.rigs").joinpath(f"{name}.toml")
    try:
        return RigModel.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as err:
        raise ConfigError(f"rig model {name}: {describe_faults(err)}") from err
