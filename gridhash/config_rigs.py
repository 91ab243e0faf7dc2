"""What a group of rigs is: its model, its levels and times, and the loop that cools it."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from gridhash.config_blocks import Block, SparseBlock, describe_faults
from gridhash.errors import ConfigError
from gridhash.hash_curve import (
    concave_rows,
    fit_slope,
    linear_hashrate,
    profile_hashrate,
    tilted_hashrate,
)
from gridhash.rig_models import HashPoint, StopModeName, load_rig
from gridhash.units import SECONDS_PER_DAY, THS_PER_PHS, W_PER_KW

LOWEST_LEVEL, HIGHEST_LEVEL = 0.1, 1.5
"""Load fractions that a level may have."""


class CoolingConfig(SparseBlock):
    """Cooling of one rig group: chip, coolant loop and heat rejection, all lumped.

    The loop is water for a dry cooler or a wet tower, the air of the hall for `air` (the pump
    draws nothing), the tank's fluid for `immersion`. Only a wet tower works against the wet bulb.
    Relations: `gridhash.envs.thermal`, `gridhash.envs.heat_sink`.
    """

    kind: Literal["dry_cooler", "wet_tower", "air", "immersion"] = Field(
        default="dry_cooler", description="where the heat goes; sets which of the keys below apply"
    )
    rig_heat_capacity_kj_per_k: float = Field(gt=0, description="of one rig")
    chip_to_coolant_k_per_kw: float = Field(
        gt=0, description="how much hotter chips are than the loop, per kW of a rig"
    )
    loop_heat_capacity_kj_per_k: float = Field(gt=0, description="of the whole group's loop")
    heat_rejection_kw_per_k: float = Field(gt=0, description="UA at full fan speed, whole group")
    heat_rejection_exponent: float = Field(gt=0, le=1, description="UA ~ fan speed to this power")
    fan_kw: float = Field(ge=0, description="all fans of the group at full speed")
    fan_min_speed_frac: float = Field(ge=0, le=1, description="slowest speed, and draught when off")
    pump_kw: float = Field(ge=0, description="all pumps of the group at full flow")
    pump_idle_flow_frac: float = Field(ge=0, le=1, description="flow while no rig runs")
    coolant_setpoint_c: float = Field(
        ge=-20,
        le=80,
        description="fans hold the loop here, within what the group's `rig` may be at",
    )
    chip_derate_c: float = Field(ge=20, le=120, description="above this, power is limited")
    chip_trip_c: float = Field(ge=20, le=120, description="at this, the group stops")
    coolant_restart_c: float = Field(ge=-20, le=80, description="a tripped group may start below")
    spray_off_below_c: float | None = Field(
        default=None, ge=0, le=20, description="wet tower: outdoors below it no water is sprayed"
    )
    spray_off_rejection_frac: float | None = Field(
        default=None, gt=0, le=1, description="wet tower: share of kW/K that is left without spray"
    )
    cycles_of_concentration: float | None = Field(
        default=None, ge=1.1, le=100, description="wet tower: salt of its water per make-up water"
    )
    evaporated_heat_frac: float | None = Field(
        default=None, ge=0, le=1, description="wet tower: share of heat that leaves as vapour, or 1"
    )
    water_price_per_m3: float | None = Field(
        default=None, ge=0, description="wet tower: of make-up water"
    )
    coolant_start_min_c: float | None = Field(
        default=None, ge=-40, le=60, description="no rig starts while the loop is colder"
    )
    condensation_margin_k: float | None = Field(
        default=None,
        ge=0,
        le=20,
        description="no rig starts nearer to the dew point of outdoors, and fans keep off it",
    )
    freeze_protect_c: float | None = Field(
        default=None,
        ge=-40,
        le=60,
        description="a heater keeps the loop here, and off the two limits above, where rigs do not",
    )
    freeze_heater_kw: float | None = Field(
        default=None, gt=0, description="most power of that heater, whole group"
    )

    @model_validator(mode="after")
    def _check_optional(self) -> Self:
        wet_keys = (self.spray_off_below_c, self.spray_off_rejection_frac)
        given = [key is not None for key in wet_keys]
        if (self.kind == "wet_tower") != all(given) or any(given) != all(given):
            raise ValueError(
                "spray_off_below_c and spray_off_rejection_frac belong to kind wet_tower, which "
                f"needs both; found kind {self.kind} with {wet_keys}"
            )
        about_water = (self.evaporated_heat_frac, self.water_price_per_m3)
        cycles = self.cycles_of_concentration
        if cycles is None and about_water != (None, None):
            raise ValueError(
                "evaporated_heat_frac and water_price_per_m3 count for nothing without "
                "cycles_of_concentration; add it (3 to 6 is usual)"
            )
        if cycles is not None and self.kind != "wet_tower":
            raise ValueError(f"cycles_of_concentration belongs to wet_tower; found {self.kind}")
        if (self.freeze_protect_c is None) != (self.freeze_heater_kw is None):
            raise ValueError("freeze_protect_c and freeze_heater_kw must be given together")
        protect_c, start_c = self.freeze_protect_c, self.coolant_start_min_c
        if protect_c is not None and start_c is not None and protect_c < start_c:
            raise ValueError(
                f"freeze_protect_c {protect_c} is below coolant_start_min_c {start_c}: a group "
                "kept that cold could never start; raise it"
            )
        if protect_c is not None and protect_c > self.coolant_setpoint_c:
            raise ValueError(
                f"freeze_protect_c {protect_c} is above coolant_setpoint_c "
                f"{self.coolant_setpoint_c}: heater and fans would work against each other"
            )
        return self

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not self.coolant_setpoint_c < self.chip_derate_c < self.chip_trip_c:
            raise ValueError(
                "coolant_setpoint_c < chip_derate_c < chip_trip_c must hold; found "
                f"{self.coolant_setpoint_c}, {self.chip_derate_c}, {self.chip_trip_c}"
            )
        if self.coolant_restart_c < self.coolant_setpoint_c:
            raise ValueError(
                f"coolant_restart_c {self.coolant_restart_c} lies below coolant_setpoint_c "
                f"{self.coolant_setpoint_c}: a tripped group could never start again"
            )
        return self


class FailureConfig(Block):
    """How often rigs of a group break, and how long they are away. Relations: `envs.failures`."""

    hazard_ref_per_h: float = Field(ge=0, le=1, description="of a running rig at reference_c")
    reference_c: float = Field(default=65.0, ge=-20, le=150, description="chip temperature")
    activation_ev: float = Field(default=0.7, ge=0, le=3, description="Arrhenius, JEDEC JEP122")
    failed_per_start: float = Field(default=0.0, ge=0, le=1, description="share lost per start")
    repair_h: float = Field(gt=0, description="mean time until a broken rig is back")
    repair_cost: float = Field(default=0.0, ge=0, description="currency per rig that breaks")


class RigGroupConfig(SparseBlock):
    """Rigs of one model, one firmware and one loop.

    A rig at load fraction p of its nameplate power draws ``p * rig_power_w`` and its efficiency
    is ``(curve_a + curve_b * p)`` times that at nameplate, so that its hash rate is
    ``rig_hashrate_ths * p / (curve_a + curve_b * p)``: concave in p.
    A `profile` of measured points takes the place of that line, whose a and b then only summarise
    it; `load_levels`, where not given, are its rows. With ``rig = "S21-Hyd"`` the group takes all
    that `gridhash.rig_models` knows of the model; keys that the site gives itself count first.
    """

    rig: str | None = Field(default=None, description="rig model of the package to take over")
    name: str = Field(min_length=1, description="as it stands in observation and results")
    rig_model: str = Field(min_length=1, description="for people and results")
    n_rigs: int = Field(gt=0, le=100_000, description="all alike")
    rig_power_w: float = Field(
        gt=0, le=50_000, description="nameplate power of one rig at the wall"
    )
    rig_hashrate_ths: float = Field(gt=0, le=10_000, description="of one rig at nameplate power")
    curve_a: float = Field(
        ge=0, le=1, description="constant part of efficiency; curve_a + curve_b = 1"
    )
    curve_b: float = Field(ge=0, le=1, description="part of efficiency that grows with load")
    load_levels: tuple[float, ...] = Field(
        default=(1.0,), min_length=1, max_length=12, description="fractions the driver can command"
    )
    optional_work_levels: tuple[float, ...] = Field(
        default=(), description="levels to use instead once commissioning has shown that they exist"
    )
    standby_w: float = Field(ge=0, description="what one stopped rig draws")
    boot_s: float = Field(ge=0, le=3600, description="from the start command to full power")
    warm_up_s: float = Field(
        ge=0, le=3600, description="at full power before the first hash counts"
    )
    min_up_s: float = Field(ge=0, le=SECONDS_PER_DAY, description="least time a rig stays on")
    min_down_s: float = Field(ge=0, le=SECONDS_PER_DAY, description="least time a rig stays off")
    cooling: CoolingConfig
    profile: tuple[HashPoint, ...] | None = Field(default=None, min_length=2, max_length=64)
    stop_mode: StopModeName | None = Field(
        default=None, description="which of the rig model's stop modes the times are those of"
    )
    power_per_k: float | None = Field(
        default=None, ge=0, le=0.05, description="rise of power per kelvin of chip [1/K]"
    )
    power_reference_c: float | None = Field(
        default=None, ge=-20, le=120, description="chip temperature at which levels draw as named"
    )
    failures: FailureConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        """Take over a rig model of the package, and what follows from a profile."""
        if not isinstance(values, Mapping):
            return values
        own = dict(values)
        if isinstance(own.get("rig"), str):
            try:
                model = load_rig(own["rig"]).group_values(own.get("stop_mode"))
            except ConfigError as err:
                raise ValueError(str(err)) from err
            if "profile" not in own and {"curve_a", "curve_b"} & own.keys():
                model.pop("profile", None)
            if isinstance(own.get("cooling"), Mapping):
                own["cooling"] = model["cooling"] | dict(own["cooling"])
            own = model | own
        return own | _missing_from_profile(own)

    @field_validator("load_levels", "optional_work_levels")
    @classmethod
    def _check_levels(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        rises = list(levels) == sorted(set(levels))
        if levels and not (rises and levels[0] >= LOWEST_LEVEL and levels[-1] <= HIGHEST_LEVEL):
            raise ValueError(f"must rise strictly within 0.1 … 1.5; found {list(levels)}")
        return levels

    @model_validator(mode="after")
    def _check_curve(self) -> Self:
        if abs(self.curve_a + self.curve_b - 1.0) > 1e-9:
            raise ValueError(
                f"curve_a + curve_b must be 1 (efficiency at nameplate); found {self.curve_a} + "
                f"{self.curve_b}"
            )
        lowest = min(self.load_levels + self.optional_work_levels)
        if self.standby_w >= self.rig_power_w * lowest:
            raise ValueError(f"standby_w {self.standby_w} is not below the lowest running level")
        if (self.power_per_k is None) != (self.power_reference_c is None):
            raise ValueError("power_per_k and power_reference_c must be given together")
        return self

    @model_validator(mode="after")
    def _check_inlet(self) -> Self:
        if self.rig is None:
            return self
        model, setpoint_c = load_rig(self.rig), self.cooling.coolant_setpoint_c
        if not model.coolant_in_min_c <= setpoint_c <= model.coolant_in_max_c:
            raise ValueError(
                f"cooling.coolant_setpoint_c {setpoint_c:g} lies outside the inlet of rig "
                f"{self.rig}, {model.coolant_in_min_c:g} … {model.coolant_in_max_c:g} °C: set the "
                "loop within it, or name another rig"
            )
        return self

    @model_validator(mode="after")
    def _check_profile(self) -> Self:
        if self.profile is None:
            return self
        powers = [point.power_w for point in self.profile]
        hashes = [point.hashrate_ths for point in self.profile]
        if powers != sorted(set(powers)) or hashes != sorted(set(hashes)):
            raise ValueError("profile: power_w and hashrate_ths must rise strictly, row by row")
        at_nameplate = profile_hashrate(self.rig_power_w, powers, hashes)
        if abs(at_nameplate - self.rig_hashrate_ths) > 0.01 * self.rig_hashrate_ths:
            raise ValueError(
                f"profile gives {at_nameplate:.1f} TH/s at rig_power_w {self.rig_power_w:g}; "
                f"rig_hashrate_ths is {self.rig_hashrate_ths:g}"
            )
        for levels in (self.load_levels, self.optional_work_levels):
            level_w = [level * self.rig_power_w for level in levels]
            level_ths = [profile_hashrate(power, powers, hashes) for power in level_w]
            worth = concave_rows(level_w, level_ths)
            idle = [level for k, level in enumerate(levels) if k not in worth]
            if idle:
                raise ValueError(
                    f"at the levels {idle} a mix of the others hashes more for the same power: "
                    "leave them out"
                )
        slope = _slope_of(powers, hashes, self.rig_power_w, self.efficiency_j_per_th)
        if abs(self.curve_b - slope) > 1e-6:
            raise ValueError(
                f"curve_b {self.curve_b:g} is not the slope of the profile, {slope:.6f}: the "
                "profile counts, leave curve_a and curve_b out"
            )
        return self

    def level_power_kw(self, level: float) -> float:
        """Return the power of one rig at a load fraction [kW]."""
        return level * self.rig_power_w / W_PER_KW

    def level_hashrate_phs(self, level: float) -> float:
        """Return the hash rate of one rig at a load fraction [PH/s]."""
        if self.profile is not None:
            powers = [point.power_w for point in self.profile]
            hashes = [point.hashrate_ths for point in self.profile]
            return profile_hashrate(level * self.rig_power_w, powers, hashes) / THS_PER_PHS
        nameplate_phs = self.rig_hashrate_ths / THS_PER_PHS
        return linear_hashrate(nameplate_phs, level, self.curve_a, self.curve_b)

    def with_slope(self, slope: float) -> dict[str, Any]:
        """Return the keys of the same rig with another slope b; a profile is tilted to it."""
        keys: dict[str, Any] = {"curve_a": 1.0 - slope, "curve_b": slope}
        if self.profile is None:
            return keys
        tilt = slope - self.curve_b
        nameplate = (self.rig_power_w, self.rig_hashrate_ths)
        points = [(point.power_w, point.hashrate_ths) for point in self.profile]
        return keys | {
            "profile": [
                {"power_w": w, "hashrate_ths": tilted_hashrate(ths, w, *nameplate, tilt)}
                for w, ths in points
            ]
        }

    def slope_fault(self, slope: float) -> str:
        """Return why the rig cannot have a slope b, empty if it can."""
        try:
            type(self).model_validate(self.model_dump() | self.with_slope(slope))
        except ValidationError as err:
            return describe_faults(err)
        return ""

    @property
    def efficiency_j_per_th(self) -> float:
        """Efficiency at nameplate [J/TH]."""
        return self.rig_power_w / self.rig_hashrate_ths


def _missing_from_profile(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the levels and the summarising line that a profile stands for, where not given."""
    try:
        points = [HashPoint.model_validate(point) for point in values["profile"]]
        nameplate_w = float(values["rig_power_w"])
        nameplate_j_per_th = nameplate_w / float(values["rig_hashrate_ths"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return {}  # absent, or a fault that validation of the fields will name
    powers = [point.power_w for point in points]
    loads = [power / nameplate_w for power in powers]
    missing: dict[str, Any] = {}
    if "load_levels" not in values:
        rows = concave_rows(powers, [point.hashrate_ths for point in points])
        missing["load_levels"] = tuple(
            loads[k] for k in rows if LOWEST_LEVEL <= loads[k] <= HIGHEST_LEVEL
        )
    if not {"curve_a", "curve_b"} & values.keys():
        hashes = [point.hashrate_ths for point in points]
        missing["curve_b"] = _slope_of(powers, hashes, nameplate_w, nameplate_j_per_th)
        missing["curve_a"] = 1.0 - missing["curve_b"]
    return missing


def _slope_of(
    powers_w: list[float], hashes_ths: list[float], nameplate_w: float, nameplate_j_per_th: float
) -> float:
    """Return the slope of the efficiency line that summarises a profile, within 0 … 1."""
    loads = [power_w / nameplate_w for power_w in powers_w]
    relative = [w / ths / nameplate_j_per_th for w, ths in zip(powers_w, hashes_ths, strict=True)]
    return min(max(fit_slope(loads, relative), 0.0), 1.0)
