"""What a site is: rigs, cooling, market and limits, read from one TOML file.

A preset of the package is read with ``load_site("japan_pilot")``, a file of the user's with
``load_site("my_site.toml")``. Unknown keys are errors: a misspelt limit must not be ignored.
Every amount of money is in the site's one `currency`; only what is quoted in US dollars says so.
"""

import reprlib
import tomllib
from collections.abc import Mapping
from datetime import time
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from gridhash.errors import ConfigError
from gridhash.units import SECONDS_PER_DAY, THS_PER_PHS, W_PER_KW, break_even_price_per_kwh

Mark = Literal["measured", "sourced", "assumed"]
"""How a figure of a preset is known."""


class Block(BaseModel):
    """Base of every block of a site file: immutable, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class MarketConfig(Block):
    """How energy is priced and when prices become known."""

    settlement_period_s: int = Field(gt=0)
    price_published_local: time = Field(
        description="local time of day at which the site has the prices of the whole next day"
    )
    adders_per_kwh: float = Field(ge=0, description="levy, wheeling, tax: added to each import kWh")
    surplus_price_per_kwh: float = Field(
        default=0.0, description="all-in price of energy taken from surplus"
    )
    horizon_h: int = Field(default=36, ge=1, le=72, description="how far the observation looks")


class MiningConfig(Block):
    """What a hash earns."""

    hashprice_usd_per_phs_day: float = Field(gt=0, description="used where the trace has none")
    currency_per_usd: float = Field(gt=0, description="used where the trace has none")
    pool_fee_frac: float = Field(ge=0, lt=1)
    stale_frac: float = Field(ge=0, lt=1)


class LimitsConfig(Block):
    """Electrical limits of the site."""

    contract_power_kw: float = Field(gt=0, description="rigs and cooling together never exceed it")
    ramp_up_kw_per_min: float = Field(gt=0)
    ramp_down_kw_per_min: float = Field(gt=0)


class FigureSource(Block):
    """Where a figure of the preset comes from."""

    figure: str
    mark: Mark
    source: str


class SiteConfig(Block):
    """One site: everything that physics, money and limits need to know."""

    format_version: Literal[1] = 1
    name: str = Field(min_length=1)
    description: str = ""
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    timezone: str
    area: str
    dispatch_interval_s: int = Field(default=300, gt=0)
    outdoor_temp_c: float = Field(ge=-50, le=60, description="used where the trace has none")
    pue_for_planning: float = Field(ge=1, le=2, description="site power per rig power in rules")
    start_cost_per_fleet_start: float = Field(
        ge=0, description="wear of starting every rig once; a share is charged per rig started"
    )
    market: MarketConfig
    mining: MiningConfig
    limits: LimitsConfig
    use_work_levels: bool = Field(
        default=False, description="run each group at its optional_work_levels"
    )
    groups: tuple[RigGroupConfig, ...] = Field(min_length=1, max_length=16)
    figures: tuple[FigureSource, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as err:
            raise ValueError(f"unknown time zone {name!r}; use a name like Asia/Tokyo") from err
        return name

    @model_validator(mode="after")
    def _check_site(self) -> Self:
        period_s, interval_s = self.market.settlement_period_s, self.dispatch_interval_s
        if period_s % interval_s:
            raise ValueError(
                f"dispatch_interval_s {interval_s} must divide settlement_period_s {period_s}"
            )
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ValueError(f"group names must differ; found {names}")
        if self.use_work_levels and not all(g.optional_work_levels for g in self.groups):
            raise ValueError("use_work_levels needs optional_work_levels in every group")
        idle_kw = self.max_cooling_kw + sum(g.n_rigs * g.standby_w / W_PER_KW for g in self.groups)
        if idle_kw >= self.limits.contract_power_kw:
            raise ValueError(
                f"contract_power_kw {self.limits.contract_power_kw} leaves nothing for rigs: "
                f"cooling and standby alone may draw {idle_kw:.0f} kW"
            )
        return self

    def levels_of(self, group: RigGroupConfig) -> tuple[float, ...]:
        """Return the load fractions that a group may be commanded to, lowest first."""
        return group.optional_work_levels if self.use_work_levels else group.load_levels

    def max_group_kw(self, group: RigGroupConfig) -> float:
        """Return the power of all rigs of a group at their highest level [kW]."""
        return group.n_rigs * group.level_power_kw(self.levels_of(group)[-1])

    @property
    def n_rigs(self) -> int:
        """Rigs of the whole site."""
        return sum(group.n_rigs for group in self.groups)

    @property
    def max_rig_kw(self) -> float:
        """Power of all rigs at their highest level [kW]."""
        return sum(self.max_group_kw(group) for group in self.groups)

    @property
    def max_cooling_kw(self) -> float:
        """Fans and pumps of all groups at full speed [kW]."""
        return sum(group.cooling.fan_kw + group.cooling.pump_kw for group in self.groups)

    @property
    def start_cost_per_rig(self) -> float:
        """Wear of starting one rig [currency]."""
        return self.start_cost_per_fleet_start / self.n_rigs

    @property
    def hash_revenue_per_phs_day(self) -> float:
        """Net revenue of 1 PH/s for one day at the site's own hashprice [currency]."""
        mining = self.mining
        return (
            mining.hashprice_usd_per_phs_day
            * mining.currency_per_usd
            * (1.0 - mining.pool_fee_frac)
            * (1.0 - mining.stale_frac)
        )

    def break_even_per_kwh(self, group: RigGroupConfig) -> float:
        """Return the all-in energy price at which a group at nameplate earns nothing [per kWh]."""
        at_rig = break_even_price_per_kwh(self.hash_revenue_per_phs_day, group.efficiency_j_per_th)
        return at_rig / self.pue_for_planning

    def scaled_to(self, n_rigs: int | Mapping[str, int]) -> Self:
        """Return the same site with other numbers of rigs, and all that goes with them.

        Cooling follows the rigs of its group, start cost all rigs, contract power and ramps their
        power; so ratios, and with them the observation, keep their meaning: a policy for the whole
        site fits the slice.

        Parameters
        ----------
        n_rigs
            Rigs in each group: one number for all of them, or one by group name.

        Raises
        ------
        ConfigError
            If a group is missing or unknown, or would have no rig.
        """
        names = [group.name for group in self.groups]
        counts = dict.fromkeys(names, n_rigs) if isinstance(n_rigs, int) else dict(n_rigs)
        if set(counts) != set(names):
            raise ConfigError(f"{self.name} has the groups {names}; found {sorted(counts)}")
        for name, count in counts.items():
            if count < 1:
                raise ConfigError(f"group {name} of {self.name} needs a rig; found {count}")
        groups = []
        for group in self.groups:
            share = counts[group.name] / group.n_rigs
            cooling = group.cooling.model_copy(
                update={
                    name: getattr(group.cooling, name) * share
                    for name in (
                        "loop_heat_capacity_kj_per_k",
                        "heat_rejection_kw_per_k",
                        "fan_kw",
                        "pump_kw",
                    )
                }
            )
            groups.append(
                group.model_copy(update={"n_rigs": counts[group.name], "cooling": cooling})
            )
        share = sum(self.max_group_kw(group) for group in groups) / self.max_rig_kw
        limits = self.limits.model_copy(
            update={name: getattr(self.limits, name) * share for name in LimitsConfig.model_fields}
        )
        rig_share = sum(counts.values()) / self.n_rigs
        return self.model_copy(
            update={
                "groups": tuple(groups),
                "limits": limits,
                "start_cost_per_fleet_start": self.start_cost_per_fleet_start * rig_share,
            }
        )


def preset_names() -> list[str]:
    """Return the names of the sites that ship with the package."""
    files = resources.files("gridhash.presets").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def load_site(name_or_path: str | Path) -> SiteConfig:
    """Read a preset by name or a site file by path.

    Raises
    ------
    ConfigError
        If there is no such preset or file, the TOML is malformed, a key is unknown or a value is
        out of range; every fault of the file is listed.
    """
    if str(name_or_path) in preset_names():
        origin = f"preset {name_or_path}"
        preset = resources.files("gridhash.presets").joinpath(f"{name_or_path}.toml")
        text = preset.read_text(encoding="utf-8")
    else:
        origin = str(name_or_path)
        try:
            text = Path(name_or_path).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise ConfigError(
                f"no preset and no file is called {name_or_path!s}; presets: "
                f"{', '.join(preset_names())}"
            ) from None
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"{origin}: cannot be read as UTF-8 text: {err}") from err
    try:
        return parse_site(tomllib.loads(text), origin=origin)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{origin}: not valid TOML: {err}") from err


def parse_site(values: dict[str, Any], *, origin: str) -> SiteConfig:
    """Turn parsed TOML into a site; `origin` is named in errors.

    Raises
    ------
    ConfigError
        With one line per fault: key, what was found, what is expected.
    """
    try:
        return SiteConfig.model_validate(values)
    except ValidationError as err:
        raise ConfigError(f"{origin}: {describe_faults(err)}") from err


def describe_faults(err: ValidationError) -> str:
    """Return every fault of a validation as text: key, what is wrong, what was found."""
    faults = err.errors(include_url=False)
    # A list is also "too short" when one of its blocks is at fault; the block is what counts.
    inside = {fault["loc"][:n] for fault in faults for n in range(len(fault["loc"]))}
    lines = []
    for fault in faults:
        if fault["type"] == "too_short" and fault["loc"] in inside:
            continue
        key = ".".join(str(part) for part in fault["loc"]) or "site"
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key {key}: remove it or correct its spelling")
        elif fault["type"] == "missing":
            lines.append(f"missing key {key}: add it")
        elif fault["type"] == "value_error":
            lines.append(f"{key}: {fault['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"{key}: {fault['msg']}; found {reprlib.repr(fault.get('input'))}")
    return lines[0] if len(lines) == 1 else "\n  - ".join([f"{len(lines)} faults", *lines])
