"""What a group of rigs is: its model, its levels and times, and the loop that cools it."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from gridhash.config_blocks import Block
from gridhash.units import SECONDS_PER_DAY, THS_PER_PHS, W_PER_KW


class CoolingConfig(Block):
    """Cooling of one rig group: chip, coolant loop and heat rejection, all lumped.

    For air-cooled rigs the loop is the air of the hall and the pump draws nothing.
    Relations: `gridhash.envs.thermal`.
    """

    kind: Literal["dry_cooler", "air"] = "dry_cooler"
    rig_heat_capacity_kj_per_k: float = Field(gt=0)
    chip_to_coolant_k_per_kw: float = Field(gt=0)
    loop_heat_capacity_kj_per_k: float = Field(gt=0, description="of the whole group's loop")
    heat_rejection_kw_per_k: float = Field(gt=0, description="UA at full fan speed, whole group")
    heat_rejection_exponent: float = Field(gt=0, le=1, description="UA ~ fan speed to this power")
    fan_kw: float = Field(ge=0, description="all fans of the group at full speed")
    fan_min_speed_frac: float = Field(ge=0, le=1, description="slowest speed, and draught when off")
    pump_kw: float = Field(ge=0, description="all pumps of the group at full flow")
    pump_idle_flow_frac: float = Field(ge=0, le=1, description="flow while no rig runs")
    coolant_setpoint_c: float = Field(ge=-20, le=80, description="fans hold the loop here")
    chip_derate_c: float = Field(ge=20, le=120, description="above this, power is limited")
    chip_trip_c: float = Field(ge=20, le=120, description="at this, the group stops")
    coolant_restart_c: float = Field(ge=-20, le=80, description="a tripped group may start below")

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


class RigGroupConfig(Block):
    """Rigs of one model, one firmware and one loop.

    A rig at load fraction p of its nameplate power draws ``p * rig_power_w`` and its efficiency
    is ``(curve_a + curve_b * p)`` times that at nameplate, so that its hash rate is
    ``rig_hashrate_ths * p / (curve_a + curve_b * p)``: concave in p.
    """

    name: str = Field(min_length=1)
    rig_model: str = Field(min_length=1)
    n_rigs: int = Field(gt=0, le=100_000)
    rig_power_w: float = Field(gt=0, le=50_000)
    rig_hashrate_ths: float = Field(gt=0, le=10_000)
    curve_a: float = Field(ge=0, le=1)
    curve_b: float = Field(ge=0, le=1)
    load_levels: tuple[float, ...] = Field(
        default=(1.0,), min_length=1, max_length=12, description="fractions the driver can command"
    )
    optional_work_levels: tuple[float, ...] = Field(
        default=(), description="levels to use instead once commissioning has shown that they exist"
    )
    standby_w: float = Field(ge=0)
    boot_s: float = Field(ge=0, le=3600, description="from the start command to full power")
    warm_up_s: float = Field(
        ge=0, le=3600, description="at full power before the first hash counts"
    )
    min_up_s: float = Field(ge=0, le=SECONDS_PER_DAY)
    min_down_s: float = Field(ge=0, le=SECONDS_PER_DAY)
    cooling: CoolingConfig

    @field_validator("load_levels", "optional_work_levels")
    @classmethod
    def _check_levels(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        rises = list(levels) == sorted(set(levels))
        if levels and not (rises and levels[0] >= 0.1 and levels[-1] <= 1.5):
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
        return self

    def level_power_kw(self, level: float) -> float:
        """Return the power of one rig at a load fraction [kW]."""
        return level * self.rig_power_w / W_PER_KW

    def level_hashrate_phs(self, level: float) -> float:
        """Return the hash rate of one rig at a load fraction [PH/s]."""
        return self.rig_hashrate_ths / THS_PER_PHS * level / (self.curve_a + self.curve_b * level)

    @property
    def efficiency_j_per_th(self) -> float:
        """Efficiency at nameplate [J/TH]."""
        return self.rig_power_w / self.rig_hashrate_ths
