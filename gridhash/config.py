"""What a site is: rigs, cooling, market and limits, read from one TOML file.

A preset of the package is read with ``load_site("japan_pilot")``, a file of the user's with
``load_site("my_site.toml")``. Unknown keys are errors: a misspelt limit must not be ignored.
Every amount of money is in the site's one `currency`; only what is quoted in US dollars says so.
"""

from collections.abc import Mapping
from datetime import time
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator

from gridhash.config_blocks import Block, FigureSource, Mark, describe_faults, parse_toml, read_toml
from gridhash.config_programs import ObservationConfig, ProgramsConfig
from gridhash.config_rigs import CoolingConfig, RigGroupConfig
from gridhash.config_tariff import TariffConfig
from gridhash.errors import ConfigError
from gridhash.units import SECONDS_PER_DAY, W_PER_KW, break_even_price_per_kwh

__all__ = [
    "Block",
    "CoolingConfig",
    "FigureSource",
    "LimitsConfig",
    "Mark",
    "MarketConfig",
    "MiningConfig",
    "ObservationConfig",
    "ProgramsConfig",
    "RigGroupConfig",
    "SiteConfig",
    "TariffConfig",
    "describe_faults",
    "load_site",
    "parse_site",
    "preset_names",
]


class MarketConfig(Block):
    """How energy is priced and when prices become known."""

    settlement_period_s: int = Field(
        gt=0, description="time for which energy is metered and priced"
    )
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
    pool_fee_frac: float = Field(ge=0, lt=1, description="of the revenue")
    stale_frac: float = Field(ge=0, lt=1, description="share of hashes that come too late to count")


class LimitsConfig(Block):
    """Electrical limits of the site."""

    contract_power_kw: float = Field(gt=0, description="rigs and cooling together never exceed it")
    ramp_up_kw_per_min: float = Field(gt=0, description="fastest rise of the site's rigs")
    ramp_down_kw_per_min: float = Field(gt=0, description="fastest fall of the site's rigs")


class SiteConfig(Block):
    """One site: everything that physics, money and limits need to know."""

    format_version: Literal[1] = Field(default=1, description="layout of the file")
    name: str = Field(min_length=1, description="as it stands in results")
    description: str = Field(default="", description="for people; nothing depends on it")
    currency: str = Field(
        pattern=r"^[A-Z]{3}$",
        description="ISO 4217 code of every amount that names no other currency",
    )
    timezone: str = Field(description="IANA name; local hours and days are meant in it")
    area: str = Field(description="price zone")
    dispatch_interval_s: int = Field(
        default=300, gt=0, description="time between two decisions: one step of the environment"
    )
    outdoor_temp_c: float = Field(ge=-50, le=60, description="used where the trace has none")
    relative_humidity_frac: float = Field(
        default=0.6, ge=0, le=1, description="used where the trace has none"
    )
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
    tariff: TariffConfig = TariffConfig()
    programs: ProgramsConfig = ProgramsConfig()
    observation: ObservationConfig = ObservationConfig()
    figures: tuple[FigureSource, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as err:
            raise ValueError(f"unknown time zone {name!r}; use a name like Asia/Tokyo") from err
        return name

    @model_validator(mode="after")
    def _check_site(self) -> Self:
        period_s, interval_s = self.market.settlement_period_s, self.dispatch_interval_s
        if period_s % interval_s:
            raise ValueError(
                f"dispatch_interval_s {interval_s} must divide settlement_period_s {period_s}"
            )
        if SECONDS_PER_DAY % period_s:
            raise ValueError(f"settlement_period_s {period_s} must divide a day of 86400 s")
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ValueError(f"group names must differ; found {names}")
        metering_s = self.tariff.metering_period_s or period_s
        if metering_s % interval_s or (metering_s % period_s and period_s % metering_s):
            raise ValueError(
                f"metering_period_s {metering_s} must be a multiple of dispatch_interval_s "
                f"{interval_s} and fit settlement_period_s {period_s}"
            )
        without = [group.name for group in self.groups if not group.optional_work_levels]
        if self.use_work_levels and without:
            raise ValueError(
                "use_work_levels needs optional_work_levels in every group; without: "
                f"{', '.join(without)}. Write optional_work_levels = [1.0] there for rigs that "
                "only run or stand, or use_work_levels = false for the site"
            )
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
        """Fans, pumps and heaters of all groups at full power [kW]."""
        fans_and_pumps_kw = sum(g.cooling.fan_kw + g.cooling.pump_kw for g in self.groups)
        return fans_and_pumps_kw + sum(g.cooling.freeze_heater_kw or 0.0 for g in self.groups)

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
                    name: amount * share
                    for name in (
                        "loop_heat_capacity_kj_per_k",
                        "heat_rejection_kw_per_k",
                        "fan_kw",
                        "pump_kw",
                        "freeze_heater_kw",
                    )
                    if (amount := getattr(group.cooling, name)) is not None
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
                "tariff": self.tariff.scaled_by(share),
                "programs": self.programs.scaled_by(share),
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
        return parse_site(
            parse_toml(preset.read_text(encoding="utf-8"), origin=origin), origin=origin
        )
    values = read_toml(
        name_or_path,
        missing=f"no preset and no file is called {name_or_path!s}; presets: "
        f"{', '.join(preset_names())}",
    )
    return parse_site(values, origin=str(name_or_path))


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
